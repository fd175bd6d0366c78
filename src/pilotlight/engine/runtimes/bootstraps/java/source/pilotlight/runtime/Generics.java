package pilotlight.runtime;

import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;

/** What type parameters stand for, up and down a hierarchy. */
final class Generics {
    private Generics() {
    }

    /** The arguments that `type` gives to an interface or superclass, or null where it has none or is raw. */
    static Type[] arguments(Class<?> type, Class<?> wanted) {
        return find(type, wanted, Collections.emptyMap());
    }

    private static Type[] find(Type type, Class<?> wanted, Map<TypeVariable<?>, Type> known) {
        Class<?> raw = type instanceof ParameterizedType
            ? (Class<?>) ((ParameterizedType) type).getRawType() : (Class<?>) type;
        if (!wanted.isAssignableFrom(raw)) {
            return null;
        }
        Type[] given = type instanceof ParameterizedType ? ((ParameterizedType) type).getActualTypeArguments() : null;
        if (given != null) {
            for (int index = 0; index < given.length; index++) {
                given[index] = known.getOrDefault(given[index], given[index]);
            }
        }
        if (raw == wanted) {
            return given;
        }
        Map<TypeVariable<?>, Type> mine = new HashMap<>();
        TypeVariable<?>[] parameters = raw.getTypeParameters();
        for (int index = 0; index < parameters.length; index++) {
            mine.put(parameters[index], given == null ? parameters[index] : given[index]);
        }
        for (Type one : raw.getGenericInterfaces()) {
            Type[] found = find(one, wanted, mine);
            if (found != null) {
                return found;
            }
        }
        return raw.getGenericSuperclass() == null ? null : find(raw.getGenericSuperclass(), wanted, mine);
    }

    /** The variables of a class and of those above it. */
    static Map<TypeVariable<?>, Type> variables(Class<?> type, Type[] arguments) {
        if (arguments.length == 0 && !(type.getGenericSuperclass() instanceof ParameterizedType)) {
            return Collections.emptyMap();
        }
        Map<TypeVariable<?>, Type> made = new HashMap<>();
        TypeVariable<?>[] parameters = type.getTypeParameters();
        for (int index = 0; index < parameters.length && index < arguments.length; index++) {
            made.put(parameters[index], arguments[index]);
        }
        Type above = type.getGenericSuperclass();
        while (above instanceof ParameterizedType) {
            Class<?> raw = (Class<?>) ((ParameterizedType) above).getRawType();
            Type[] given = ((ParameterizedType) above).getActualTypeArguments();
            for (int index = 0; index < given.length; index++) {
                made.put(raw.getTypeParameters()[index], made.getOrDefault(given[index], given[index]));
            }
            above = raw.getGenericSuperclass();
        }
        return made;
    }
}
