package pilotlight.runtime;

import java.lang.reflect.AccessibleObject;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * What JSON sees of a class. Written are getters, `is…` of booleans and public fields; read are setters of any
 * visibility and public fields; records by their components. The order is that of the fields.
 */
final class Bean {
    /** One member of the JSON object. Either side may be missing. */
    static final class Property {
        String name;
        Member getter;
        Member setter;
        Type setterType;
    }

    private static final Map<Class<?>, Bean> KNOWN = new ConcurrentHashMap<>();

    final Class<?> type;
    final Map<String, Property> properties = new LinkedHashMap<>();
    /** Where set, objects are made by it, with its parameters in the order of `properties`. */
    Constructor<?> canonical;
    private Constructor<?> empty;

    static Bean of(Class<?> type) {
        Bean bean = KNOWN.get(type);
        if (bean == null) {
            KNOWN.put(type, bean = new Bean(type));
        }
        return bean;
    }

    private Bean(Class<?> type) {
        this.type = type;
        if (type.isRecord()) {
            record();
        } else if (EventNames.madeByConstructor(type)) {
            byFields();
        } else {
            fields(type);
            methods();
        }
        properties.values().removeIf(one -> one.getter == null && one.setter == null && canonical == null);
        rename();
    }

    private void record() {
        List<Class<?>> parameters = new ArrayList<>();
        for (java.lang.reflect.RecordComponent component : type.getRecordComponents()) {
            Property property = property(component.getName());
            property.getter = open(component.getAccessor());
            property.setterType = component.getGenericType();
            parameters.add(component.getType());
        }
        try {
            canonical = open(type.getDeclaredConstructor(parameters.toArray(new Class<?>[0])));
        } catch (NoSuchMethodException error) {
            throw new IllegalStateException(error);
        }
    }

    /** S3's events have only constructors, whose parameters come in the order of the fields. */
    private void byFields() {
        for (Constructor<?> one : type.getConstructors()) {
            Type[] types = one.getGenericParameterTypes();
            if (canonical == null || types.length > canonical.getParameterCount()
                || types.length == canonical.getParameterCount() && one.toString().contains("Long")) {
                canonical = one;
            }
        }
        Class<?> from = type;
        while (declared(from).isEmpty() && from.getSuperclass() != Object.class) {
            from = from.getSuperclass();
        }
        int index = 0;
        for (Field field : declared(from)) {
            if (index == canonical.getParameterCount()) {
                break;
            }
            Property property = property(field.getName());
            property.getter = open(field);
            property.setterType = canonical.getGenericParameterTypes()[index++];
        }
        try {
            property("urlDecodedKey").getter = type.getMethod("getUrlDecodedKey");
        } catch (NoSuchMethodException error) {
            properties.remove("urlDecodedKey"); // only an object has one, and AWS writes it too
        }
    }

    private static List<Field> declared(Class<?> from) {
        List<Field> found = new ArrayList<>();
        for (Field field : from.getDeclaredFields()) {
            if (!Modifier.isStatic(field.getModifiers()) && !field.isSynthetic()) {
                found.add(field);
            }
        }
        return found;
    }

    /** Fields give the order, and are members themselves where they are public. */
    private void fields(Class<?> from) {
        if (from == null || from == Object.class) {
            return;
        }
        fields(from.getSuperclass());
        for (Field field : declared(from)) {
            if (Modifier.isTransient(field.getModifiers())) {
                continue;
            }
            Property property = property(field.getName());
            if (Modifier.isPublic(field.getModifiers())) {
                property.getter = property.setter = open(field);
                property.setterType = field.getGenericType();
            }
        }
    }

    private void methods() {
        for (Method method : type.getMethods()) {
            String name = getterName(method);
            if (name != null) {
                Property property = property(name);
                // A `getX` wins over an `isX`, and what a subclass narrows over what it inherits.
                if (!(property.getter instanceof Method) || !property.getter.getName().startsWith("get")) {
                    property.getter = open(method);
                }
            }
        }
        for (Class<?> from = type; from != null && from != Object.class; from = from.getSuperclass()) {
            Method[] declared = from.getDeclaredMethods();
            Arrays.sort(declared, Comparator.comparingInt(Bean::weight));
            for (Method method : declared) {
                String name = setterName(method);
                if (name == null) {
                    continue;
                }
                Property property = property(name);
                if (!(property.setter instanceof Method)) {
                    property.setter = open(method);
                    property.setterType = method.getGenericParameterTypes()[0];
                }
            }
        }
    }

    /** Which of several setters of a name is taken: AWS prefers primitive types, then strings. */
    private static int weight(Method method) {
        if (method.isBridge() || method.getParameterCount() != 1) {
            return 3;
        }
        Class<?> type = method.getParameterTypes()[0];
        return type.isPrimitive() ? 0 : type == String.class ? 1 : 2;
    }

    private static String getterName(Method method) {
        if (method.getParameterCount() != 0 || method.isBridge() || Modifier.isStatic(method.getModifiers())
            || method.getReturnType() == void.class || method.getDeclaringClass() == Object.class) {
            return null;
        }
        String name = method.getName();
        if (name.startsWith("get") && name.length() > 3) {
            return decapitalised(name.substring(3));
        }
        Class<?> result = method.getReturnType();
        boolean truth = result == boolean.class || result == Boolean.class;
        return truth && name.startsWith("is") && name.length() > 2 ? decapitalised(name.substring(2)) : null;
    }

    private static String setterName(Method method) {
        String name = method.getName();
        boolean fits = name.startsWith("set") && name.length() > 3 && method.getParameterCount() == 1
            && !method.isBridge() && !Modifier.isStatic(method.getModifiers());
        return fits ? decapitalised(name.substring(3)) : null;
    }

    /** As JavaBeans do: `URL` stays, `Name` becomes `name`. */
    static String decapitalised(String name) {
        if (name.length() > 1 && Character.isUpperCase(name.charAt(0)) && Character.isUpperCase(name.charAt(1))) {
            return name;
        }
        return Character.toLowerCase(name.charAt(0)) + name.substring(1);
    }

    private Property property(String name) {
        return properties.computeIfAbsent(name, key -> new Property());
    }

    private void rename() {
        Map<String, Property> renamed = new LinkedHashMap<>();
        for (Map.Entry<String, Property> entry : properties.entrySet()) {
            String name = EventNames.of(type, entry.getKey());
            if (name == null) {
                continue;
            }
            Property property = entry.getValue();
            Property other = renamed.putIfAbsent(name, property);
            property.name = name;
            if (other != null) { // `getSNS` and `setSns` are one
                other.getter = other.getter == null ? property.getter : other.getter;
                if (other.setter == null) {
                    other.setter = property.setter;
                    other.setterType = property.setterType;
                }
            }
        }
        properties.clear();
        properties.putAll(renamed);
    }

    static <T extends AccessibleObject> T open(T member) {
        try {
            member.setAccessible(true);
        } catch (RuntimeException error) {
            // A class of the platform's own: what is public there can be used as it is.
        }
        return member;
    }

    /** `outer`: the object whose member this will be, for a class that lives inside of one. */
    Object make(Object outer) throws Throwable {
        Class<?> around = type.getEnclosingClass();
        if (around != null && around.isInstance(outer) && !Modifier.isStatic(type.getModifiers())) {
            return construct(open(type.getDeclaredConstructor(around)), outer);
        }
        if (empty == null) {
            try {
                empty = open(type.getDeclaredConstructor());
            } catch (NoSuchMethodException error) {
                throw new Json.Malformed("Cannot construct instance of `" + type.getName()
                    + "` (no Creators, like default constructor, exist): cannot deserialize from Object value");
            }
        }
        return construct(empty);
    }

    static Object construct(Constructor<?> constructor, Object... arguments) throws Throwable {
        try {
            return constructor.newInstance(arguments);
        } catch (InvocationTargetException error) {
            throw error.getCause() == null ? error : error.getCause();
        }
    }

    static Object get(Member getter, Object from) throws Throwable {
        try {
            return getter instanceof Field ? ((Field) getter).get(from) : ((Method) getter).invoke(from);
        } catch (InvocationTargetException error) {
            throw error.getCause() == null ? error : error.getCause();
        }
    }

    static void set(Member setter, Object in, Object value) throws Throwable {
        try {
            if (setter instanceof Field) {
                ((Field) setter).set(in, value);
            } else {
                ((Method) setter).invoke(in, value);
            }
        } catch (InvocationTargetException error) {
            throw error.getCause() == null ? error : error.getCause();
        }
    }
}
