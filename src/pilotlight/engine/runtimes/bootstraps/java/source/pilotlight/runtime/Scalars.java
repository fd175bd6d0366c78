package pilotlight.runtime;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.URI;
import java.net.URL;
import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.Calendar;
import java.util.Currency;
import java.util.Date;
import java.util.Locale;
import java.util.Map;
import java.util.TimeZone;
import java.util.UUID;

/** Types that are one JSON value: numbers, text, dates, bytes, enumerations. */
final class Scalars {
    private static final String JODA = "org.joda.time.DateTime";
    private static final Map<Class<?>, Class<?>> BOXES = Map.of(
        int.class, Integer.class, long.class, Long.class, double.class, Double.class, float.class, Float.class,
        short.class, Short.class, byte.class, Byte.class, boolean.class, Boolean.class, char.class, Character.class);

    private Scalars() {
    }

    static boolean knows(Class<?> type) {
        return type.isPrimitive() || BOXES.containsValue(type) || CharSequence.class.isAssignableFrom(type)
            || Number.class == type || type == BigDecimal.class || type == BigInteger.class || type.isEnum()
            || Date.class.isAssignableFrom(type) || Calendar.class.isAssignableFrom(type) || type == byte[].class
            || type == char[].class || ByteBuffer.class.isAssignableFrom(type) || isTime(type) || type == UUID.class
            || type == URI.class || type == URL.class || type == Locale.class || type == Currency.class
            || type == Class.class || TimeZone.class.isAssignableFrom(type) || type.getName().equals(JODA)
            || type == java.io.File.class || type == StringBuilder.class
            || type == java.util.concurrent.atomic.AtomicInteger.class
            || type == java.util.concurrent.atomic.AtomicLong.class
            || type == java.util.concurrent.atomic.AtomicBoolean.class;
    }

    static boolean isTime(Class<?> type) {
        return type.getName().startsWith("java.time.") && !type.isInterface() && !type.isEnum();
    }

    static Object zero(Class<?> type) {
        return type == boolean.class ? (Object) false : type == char.class ? (Object) '\0' : number(0, type);
    }

    static Object read(Object json, Class<?> type, boolean seconds) throws Throwable {
        if (json instanceof Map) {
            throw Reader.mismatch(json, type);
        }
        if (json instanceof java.util.List && !isTime(type)) {
            throw Reader.mismatch(json, type);
        }
        if (type == String.class || type == CharSequence.class || type == Object.class) {
            return json instanceof BigDecimal ? json.toString() : String.valueOf(json);
        }
        Class<?> boxed = BOXES.getOrDefault(type, type);
        if (boxed == Boolean.class) {
            return truth(json, type);
        }
        if (boxed == Character.class) {
            return character(json, type);
        }
        if (Number.class.isAssignableFrom(boxed) && !boxed.getName().startsWith("java.util")) {
            return numeric(json, type);
        }
        if (type.isEnum()) {
            return constant(json, type);
        }
        if (Date.class.isAssignableFrom(type) || Calendar.class.isAssignableFrom(type)) {
            return date(json, type, seconds);
        }
        if (isTime(type)) {
            return Times.read(json, type);
        }
        return text(json, type);
    }

    private static Object truth(Object json, Class<?> type) {
        if (json instanceof Boolean) {
            return json;
        }
        if (json instanceof Integer || json instanceof Long) {
            return ((Number) json).longValue() != 0;
        }
        String text = json instanceof String ? ((String) json).trim() : "?";
        if (text.isEmpty()) {
            return type.isPrimitive() ? false : null;
        }
        switch (text) {
            case "true": case "True": case "TRUE":
                return true;
            case "false": case "False": case "FALSE":
                return false;
            default:
                throw Reader.mismatch(json, type);
        }
    }

    private static Object character(Object json, Class<?> type) {
        if (json instanceof Integer) {
            return (char) (int) json;
        }
        String text = String.valueOf(json);
        if (text.length() == 1) {
            return text.charAt(0);
        }
        if (text.isEmpty()) {
            return type.isPrimitive() ? '\0' : null;
        }
        throw Reader.mismatch(json, type);
    }

    private static Object numeric(Object json, Class<?> type) {
        if (json instanceof Number) {
            return number((Number) json, type);
        }
        if (!(json instanceof String)) {
            throw Reader.mismatch(json, type);
        }
        String text = ((String) json).trim();
        if (text.isEmpty()) {
            return type.isPrimitive() ? zero(type) : null;
        }
        try {
            boolean real = type == double.class || type == Double.class || type == float.class || type == Float.class;
            if (real && !Character.isDigit(text.charAt(text.length() - 1))) {
                return number(Double.valueOf(text.replace("INF", "Infinity")), type);
            }
            boolean fraction = real || type == BigDecimal.class || type == Number.class && !text.matches("-?[0-9]+");
            return number(fraction ? new BigDecimal(text) : new BigInteger(text), type);
        } catch (NumberFormatException error) {
            throw new Json.Malformed("Cannot deserialize value of type `" + type.getTypeName() + "` from String \""
                + text + "\": not a valid `" + type.getTypeName() + "` value");
        }
    }

    private static Object number(Number value, Class<?> type) {
        Class<?> boxed = BOXES.getOrDefault(type, type);
        if (boxed == Double.class) {
            return value.doubleValue();
        }
        if (boxed == Float.class) {
            return value.floatValue();
        }
        if (boxed == BigDecimal.class) {
            return value instanceof BigDecimal ? value : new BigDecimal(value.toString());
        }
        if (boxed == BigInteger.class) {
            return value instanceof BigDecimal ? ((BigDecimal) value).toBigInteger() : new BigInteger(value.toString());
        }
        if (boxed == Number.class) {
            return value instanceof BigDecimal ? (Number) value.doubleValue()
                : value instanceof BigInteger && value.toString().length() < 10 ? (Number) value.intValue() : value;
        }
        BigInteger whole = value instanceof BigInteger ? (BigInteger) value
            : value instanceof BigDecimal ? ((BigDecimal) value).toBigInteger() : BigInteger.valueOf(value.longValue());
        int bits = boxed == Long.class ? 63 : boxed == Integer.class ? 31 : boxed == Short.class ? 15 : 8;
        if (whole.bitLength() > bits) {
            throw new Json.Malformed("Numeric value (" + value + ") out of range of " + type.getName());
        }
        return bits == 63 ? (Object) whole.longValue() : bits == 31 ? (Object) whole.intValue()
            : bits == 15 ? (Object) whole.shortValue() : (Object) whole.byteValue();
    }

    private static Object constant(Object json, Class<?> type) {
        Object[] all = type.getEnumConstants();
        if (json instanceof Boolean || json instanceof BigDecimal || json instanceof Double) {
            throw Reader.mismatch(json, type);
        }
        if (json instanceof Number) {
            int index = ((Number) json).intValue();
            return index >= 0 && index < all.length ? all[index] : null;
        }
        String name = String.valueOf(json).trim();
        for (Object one : all) {
            if (one.toString().equals(name) || ((Enum<?>) one).name().equals(name)) {
                return one;
            }
        }
        return null; // AWS: an unknown one is null
    }

    private static Object date(Object json, Class<?> type, boolean seconds) throws Throwable {
        long millis;
        if (json instanceof Number) {
            double value = ((Number) json).doubleValue();
            if (seconds && value == 0) {
                return null;
            }
            millis = seconds ? (long) (value * 1000) : ((Number) json).longValue();
        } else {
            String text = String.valueOf(json).trim();
            if (text.isEmpty()) {
                return null;
            }
            millis = Times.instant(text).toEpochMilli();
        }
        if (Calendar.class.isAssignableFrom(type)) {
            Calendar made = new java.util.GregorianCalendar(TimeZone.getTimeZone("UTC"));
            made.setTimeInMillis(millis);
            return made;
        }
        return type == Date.class ? new Date(millis) : type.getConstructor(long.class).newInstance(millis);
    }

    private static Object text(Object json, Class<?> type) throws Throwable {
        String text = String.valueOf(json);
        if (type == byte[].class || ByteBuffer.class.isAssignableFrom(type)) {
            byte[] bytes = Base64.getMimeDecoder().decode(text);
            return type == byte[].class ? bytes : ByteBuffer.wrap(bytes);
        }
        if (type == char[].class) {
            return text.toCharArray();
        }
        if (type.getName().equals(JODA)) {
            Class<?> zone = Class.forName("org.joda.time.DateTimeZone", true, type.getClassLoader());
            return type.getConstructor(Object.class, zone).newInstance(text, zone.getField("UTC").get(null));
        }
        if (type == UUID.class) {
            return text.isEmpty() ? null : UUID.fromString(text);
        }
        if (type == Locale.class) {
            return Locale.forLanguageTag(text.replace('_', '-'));
        }
        if (type == Class.class) {
            return Class.forName(text);
        }
        if (TimeZone.class.isAssignableFrom(type)) {
            return TimeZone.getTimeZone(text);
        }
        if (type == Currency.class) {
            return Currency.getInstance(text);
        }
        if (type.getName().startsWith("java.util.concurrent.atomic.")) {
            Class<?> inner = type.getName().endsWith("Boolean") ? boolean.class
                : type.getName().endsWith("Long") ? long.class : int.class;
            return type.getConstructor(inner).newInstance(read(json, inner, false));
        }
        return type.getConstructor(String.class).newInstance(text);
    }

    /** Appends a value that is one of these; false where it is not. */
    static boolean write(StringBuilder into, Object value, boolean seconds) throws Throwable {
        if (value instanceof CharSequence || value instanceof Character) {
            Json.quote(into, value.toString());
        } else if (value instanceof Boolean) {
            into.append(value);
        } else if (value instanceof Double || value instanceof Float) {
            double real = ((Number) value).doubleValue();
            into.append(Double.isFinite(real) ? value.toString() : "\"" + value + "\"");
        } else if (value instanceof Number || value instanceof java.util.concurrent.atomic.AtomicBoolean) {
            into.append(value);
        } else if (value instanceof Enum) {
            Json.quote(into, ((Enum<?>) value).name());
        } else if (value instanceof Date || value instanceof Calendar) {
            long millis = value instanceof Date ? ((Date) value).getTime() : ((Calendar) value).getTimeInMillis();
            into.append(seconds && value instanceof Date ? String.valueOf(millis / 1000.0) : String.valueOf(millis));
        } else if (value instanceof byte[]) {
            Json.quote(into, Base64.getEncoder().encodeToString((byte[]) value));
        } else if (value instanceof ByteBuffer) {
            byte[] bytes = new byte[((ByteBuffer) value).remaining()];
            ((ByteBuffer) value).duplicate().get(bytes);
            Json.quote(into, Base64.getEncoder().encodeToString(bytes));
        } else if (value instanceof char[]) {
            Json.quote(into, new String((char[]) value));
        } else if (isTime(value.getClass())) {
            Times.write(into, value);
        } else if (value instanceof TimeZone) {
            Json.quote(into, ((TimeZone) value).getID());
        } else if (value instanceof Class) {
            Json.quote(into, ((Class<?>) value).getName());
        } else if (value.getClass().getName().equals(JODA)) {
            Json.quote(into, value.toString());
        } else if (knows(value.getClass())) {
            Json.quote(into, value.toString());
        } else {
            return false;
        }
        return true;
    }
}
