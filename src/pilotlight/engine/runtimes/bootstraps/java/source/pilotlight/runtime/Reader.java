package pilotlight.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;

/** JSON values to objects of a type, as Lambda's own runtime makes them. Dates and such are `Scalars`. */
final class Reader {
    /** What the type variables of the class being read stand for. */
    private final Map<TypeVariable<?>, Type> variables;
    /** AWS: in the events that Lambda knows, dates are seconds. */
    private final boolean seconds;
    /** The object whose members are being read. */
    private Object outer;

    private Reader(Map<TypeVariable<?>, Type> variables, boolean seconds) {
        this.variables = variables;
        this.seconds = seconds;
    }

    static Object read(Object json, Type type) throws Throwable {
        boolean event = type instanceof Class && EventNames.isEvent((Class<?>) type);
        return new Reader(Collections.emptyMap(), event).as(json, type);
    }

    private Object as(Object json, Type type) throws Throwable {
        if (type instanceof Class) {
            return asClass(json, (Class<?>) type, new Type[0]);
        }
        if (type instanceof ParameterizedType) {
            ParameterizedType parameterised = (ParameterizedType) type;
            return asClass(json, (Class<?>) parameterised.getRawType(), parameterised.getActualTypeArguments());
        }
        if (type instanceof GenericArrayType) {
            return array(json, ((GenericArrayType) type).getGenericComponentType());
        }
        if (type instanceof WildcardType) {
            return as(json, ((WildcardType) type).getUpperBounds()[0]);
        }
        TypeVariable<?> variable = (TypeVariable<?>) type;
        Type meant = variables.get(variable);
        return as(json, meant == null || meant == variable ? variable.getBounds()[0] : meant);
    }

    private Object asClass(Object json, Class<?> type, Type[] arguments) throws Throwable {
        if (type == Optional.class) {
            return json == null ? Optional.empty() : Optional.of(as(json, arguments.length > 0 ? arguments[0] : Object.class));
        }
        if (json == null) {
            return type.isPrimitive() ? Scalars.zero(type) : null;
        }
        if (type == Object.class || type == java.io.Serializable.class) {
            return natural(json);
        }
        if (type.isArray() && !(type == byte[].class && json instanceof String)
            && !(type == char[].class && json instanceof String)) {
            return array(json, type.getComponentType());
        }
        if (Collection.class.isAssignableFrom(type) || type == Iterable.class) {
            return collection(json, type, arguments);
        }
        if (Map.class.isAssignableFrom(type) && !(json instanceof List)) {
            return map(json, type, arguments);
        }
        if (json instanceof List) { // AWS: an array of one stands for its element
            List<?> list = (List<?>) json;
            if (list.size() == 1) {
                return asClass(list.get(0), type, arguments);
            }
            if (list.isEmpty() && !type.isPrimitive() && !Scalars.isTime(type)) {
                return null;
            }
        }
        if (Map.class.isAssignableFrom(type)) {
            throw mismatch(json, type);
        }
        if (Scalars.knows(type)) {
            return Scalars.read(json, type, seconds);
        }
        if ("".equals(json)) {
            return null;
        }
        return bean(json, type, arguments);
    }

    /** As `Object` is read: a fraction is a Double. */
    private static Object natural(Object json) {
        if (json instanceof BigDecimal) {
            return ((BigDecimal) json).doubleValue();
        }
        if (json instanceof List) {
            List<Object> made = new ArrayList<>();
            for (Object one : (List<?>) json) {
                made.add(natural(one));
            }
            return made;
        }
        if (json instanceof Map) {
            Map<Object, Object> made = new LinkedHashMap<>();
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) json).entrySet()) {
                made.put(entry.getKey(), natural(entry.getValue()));
            }
            return made;
        }
        return json;
    }

    private static List<?> listOf(Object json) {
        // AWS: a single value stands for an array of one.
        return json instanceof List ? (List<?>) json : Collections.singletonList(json);
    }

    private Object array(Object json, Type component) throws Throwable {
        if ("".equals(json)) {
            return null;
        }
        List<?> list = listOf(json);
        Class<?> raw = raw(component);
        Object made = Array.newInstance(raw, list.size());
        for (int index = 0; index < list.size(); index++) {
            Array.set(made, index, as(list.get(index), component));
        }
        return made;
    }

    private Class<?> raw(Type type) {
        if (type instanceof Class) {
            return (Class<?>) type;
        }
        if (type instanceof ParameterizedType) {
            return (Class<?>) ((ParameterizedType) type).getRawType();
        }
        if (type instanceof GenericArrayType) {
            return Array.newInstance(raw(((GenericArrayType) type).getGenericComponentType()), 0).getClass();
        }
        if (type instanceof WildcardType) {
            return raw(((WildcardType) type).getUpperBounds()[0]);
        }
        Type meant = variables.get((TypeVariable<?>) type);
        return raw(meant == null || meant == type ? ((TypeVariable<?>) type).getBounds()[0] : meant);
    }

    @SuppressWarnings("unchecked")
    private Object collection(Object json, Class<?> type, Type[] arguments) throws Throwable {
        if ("".equals(json)) {
            return null;
        }
        Type element = arguments.length == 1 ? arguments[0] : argumentOf(type, Collection.class, 0);
        Collection<Object> made = (Collection<Object>) container(type);
        for (Object one : listOf(json)) {
            made.add(as(one, element));
        }
        return made;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private Object map(Object json, Class<?> type, Type[] arguments) throws Throwable {
        if ("".equals(json)) {
            return null;
        }
        if (!(json instanceof Map)) {
            throw mismatch(json, type);
        }
        Type key = arguments.length == 2 ? arguments[0] : argumentOf(type, Map.class, 0);
        Type value = arguments.length == 2 ? arguments[1] : argumentOf(type, Map.class, 1);
        Map<Object, Object> made = type == EnumMap.class
            ? (Map) new EnumMap(raw(key).asSubclass(Enum.class)) : (Map<Object, Object>) container(type);
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) json).entrySet()) {
            Object name = key == Object.class ? entry.getKey() : as(entry.getKey(), key);
            made.put(name, as(entry.getValue(), value));
        }
        return made;
    }

    /** What a class says of an interface's parameter, as in `class Names extends ArrayList<String>`. */
    private static Type argumentOf(Class<?> type, Class<?> wanted, int index) {
        Type[] found = Generics.arguments(type, wanted);
        return found == null || found[index] instanceof TypeVariable ? Object.class : found[index];
    }

    private static Object container(Class<?> type) throws Throwable {
        if (!type.isInterface() && !Modifier.isAbstract(type.getModifiers())) {
            return Bean.of(type).make(null);
        }
        if (type.isAssignableFrom(ArrayList.class)) {
            return new ArrayList<Object>();
        }
        if (type.isAssignableFrom(LinkedHashMap.class)) {
            return new LinkedHashMap<Object, Object>();
        }
        for (Object made : new Object[] {new HashSet<>(), new TreeSet<>(), new LinkedList<>(), new ArrayDeque<>(),
            new TreeMap<>(), new java.util.concurrent.ConcurrentHashMap<>(),
            new java.util.concurrent.ConcurrentSkipListMap<>(), new java.util.concurrent.LinkedBlockingQueue<>()}) {
            if (type.isInstance(made)) {
                return made;
            }
        }
        throw new Json.Malformed("Cannot construct instance of `" + type.getName()
            + "`: abstract types either need to be mapped to concrete types, have custom deserializer, or contain "
            + "additional type information");
    }

    private Object bean(Object json, Class<?> type, Type[] arguments) throws Throwable {
        if (!(json instanceof Map)) {
            throw mismatch(json, type);
        }
        if (type.isInterface() || Modifier.isAbstract(type.getModifiers())) {
            container(type);
        }
        Bean bean = Bean.of(type);
        Reader inner = new Reader(Generics.variables(type, resolved(arguments)), seconds);
        Map<?, ?> members = (Map<?, ?>) json;
        if (bean.canonical != null) {
            return inner.byConstructor(bean, members);
        }
        Object made = bean.make(outer);
        inner.outer = made;
        for (Map.Entry<?, ?> entry : members.entrySet()) {
            Bean.Property property = bean.properties.get(entry.getKey());
            if (property != null && property.setter != null) {
                Bean.set(property.setter, made, inner.as(entry.getValue(), property.setterType));
            }
        }
        return made;
    }

    private Object byConstructor(Bean bean, Map<?, ?> members) throws Throwable {
        Constructor<?> constructor = bean.canonical;
        Object[] arguments = new Object[constructor.getParameterCount()];
        int index = 0;
        for (Bean.Property property : bean.properties.values()) {
            if (index == arguments.length) {
                break;
            }
            arguments[index++] = as(members.get(property.name), property.setterType);
        }
        return Bean.construct(constructor, arguments);
    }

    private Type[] resolved(Type[] arguments) {
        Type[] made = arguments.clone();
        for (int index = 0; index < made.length; index++) {
            if (made[index] instanceof TypeVariable && variables.containsKey(made[index])) {
                made[index] = variables.get(made[index]);
            }
        }
        return made;
    }

    static Json.Malformed mismatch(Object json, Class<?> type) {
        String token = json instanceof Map ? "Object value (token `JsonToken.START_OBJECT`)"
            : json instanceof List ? "Array value (token `JsonToken.START_ARRAY`)"
            : json instanceof String ? "String value (token `JsonToken.VALUE_STRING`)"
            : json instanceof Boolean ? "Boolean value (token `JsonToken.VALUE_" + json.toString().toUpperCase() + "`)"
            : json instanceof BigDecimal || json instanceof Double
            ? "Floating-point value (token `JsonToken.VALUE_NUMBER_FLOAT`)"
            : "Integer value (token `JsonToken.VALUE_NUMBER_INT`)";
        return new Json.Malformed("Cannot deserialize value of type `" + type.getTypeName() + "` from " + token);
    }
}
