package pilotlight.runtime;

import java.lang.reflect.Array;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.BaseStream;

/** Objects to JSON. AWS: what is null is left out, in objects and in maps. */
final class Writer {
    private static final int DEPTH_MAX = 1000;

    private final StringBuilder into = new StringBuilder();
    private final boolean seconds;
    private int depth;

    private Writer(boolean seconds) {
        this.seconds = seconds;
    }

    static String write(Object value) throws Throwable {
        Writer writer = new Writer(value != null && EventNames.isEvent(value.getClass()));
        writer.value(value);
        return writer.into.toString();
    }

    private void value(Object value) throws Throwable {
        if (value == null) {
            into.append("null");
            return;
        }
        if (Scalars.write(into, value, seconds)) {
            return;
        }
        if (++depth > DEPTH_MAX) {
            throw new Json.Malformed("Document nesting depth (" + depth + ") exceeds the maximum allowed (" + DEPTH_MAX + ")");
        }
        if (value instanceof Map) {
            map((Map<?, ?>) value);
        } else if (value instanceof Iterable && !(value instanceof java.nio.file.Path)) {
            elements(((Iterable<?>) value).iterator());
        } else if (value instanceof Iterator) {
            elements((Iterator<?>) value);
        } else if (value.getClass().isArray()) {
            array(value);
        } else if (value instanceof Optional) {
            value(((Optional<?>) value).orElse(null));
        } else if (value instanceof OptionalInt) {
            value(((OptionalInt) value).isPresent() ? ((OptionalInt) value).getAsInt() : null);
        } else if (value instanceof OptionalLong) {
            value(((OptionalLong) value).isPresent() ? ((OptionalLong) value).getAsLong() : null);
        } else if (value instanceof OptionalDouble) {
            value(((OptionalDouble) value).isPresent() ? ((OptionalDouble) value).getAsDouble() : null);
        } else if (value instanceof AtomicReference) {
            value(((AtomicReference<?>) value).get());
        } else if (value instanceof BaseStream) {
            elements(((BaseStream<?, ?>) value).iterator());
        } else if (value instanceof Map.Entry) {
            map(java.util.Collections.singletonMap(((Map.Entry<?, ?>) value).getKey(), ((Map.Entry<?, ?>) value).getValue()));
        } else if (value instanceof java.nio.file.Path) {
            Json.quote(into, ((java.nio.file.Path) value).toUri().toString());
        } else {
            bean(value);
        }
        depth--;
    }

    private void map(Map<?, ?> map) throws Throwable {
        into.append('{');
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            if (entry.getValue() != null) {
                if (entry.getKey() == null) {
                    throw new Json.Malformed("Null key for a Map not allowed in JSON (use a converting NullKeySerializer?)");
                }
                member(key(entry.getKey()), entry.getValue());
            }
        }
        into.append('}');
    }

    private static String key(Object key) {
        return key instanceof Enum ? ((Enum<?>) key).name()
            : key instanceof java.util.Date ? Times.text((java.util.Date) key) : key.toString();
    }

    private void member(String name, Object value) throws Throwable {
        if (into.charAt(into.length() - 1) != '{') {
            into.append(',');
        }
        Json.quote(into, name);
        into.append(':');
        value(value);
    }

    private void elements(Iterator<?> all) throws Throwable {
        into.append('[');
        for (boolean first = true; all.hasNext(); first = false) {
            if (!first) {
                into.append(',');
            }
            value(all.next());
        }
        into.append(']');
    }

    private void array(Object array) throws Throwable {
        into.append('[');
        for (int index = 0; index < Array.getLength(array); index++) {
            if (index > 0) {
                into.append(',');
            }
            value(Array.get(array, index));
        }
        into.append(']');
    }

    private void bean(Object bean) throws Throwable {
        into.append('{');
        for (Map.Entry<String, Bean.Property> entry : Bean.of(bean.getClass()).properties.entrySet()) {
            if (entry.getValue().getter != null) {
                Object value = Bean.get(entry.getValue().getter, bean);
                if (value == bean) {
                    throw new Json.Malformed("Direct self-reference leading to cycle");
                }
                if (value != null) {
                    member(entry.getKey(), value);
                }
            }
        }
        into.append('}');
    }
}
