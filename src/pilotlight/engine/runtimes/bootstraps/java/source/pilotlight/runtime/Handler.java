package pilotlight.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;

/** Finds what a handler's name means, `package.Class::method` or `package.Class`, and calls it. */
abstract class Handler {
    private static final byte[] NULL = {'n', 'u', 'l', 'l'};

    /** The answer's bytes. */
    abstract byte[] call(byte[] payload, Context context) throws Throwable;

    /** Reads and writes as an invocation would, but calls nothing. */
    void rehearse(Context context) {
        context.getRemainingTimeInMillis();
    }

    /** Raises a fatal Fault where initialisation fails; what is else wrong shows at each invocation, as on AWS. */
    static Handler load(String name) {
        int colons = name.lastIndexOf("::");
        String className = colons < 0 ? name : name.substring(0, colons);
        String method = colons < 0 ? null : name.substring(colons + 2);
        try {
            if (className.isEmpty() || method != null && method.isEmpty()) {
                throw Fault.of("Invalid handler: `" + name + "'");
            }
            Class<?> type = classOf(className);
            Handler made = method == null ? ofClass(type) : ofMethod(type, method);
            return made;
        } catch (Fault fault) {
            if (fault.fatal && !(fault.cause instanceof NoClassDefFoundError && fault.message.startsWith("Error loading"))) {
                throw fault;
            }
            return new Handler() {
                @Override
                byte[] call(byte[] payload, Context context) {
                    throw fault;
                }
            };
        }
    }

    private static Class<?> classOf(String name) {
        try {
            return Class.forName(name, true, Thread.currentThread().getContextClassLoader());
        } catch (ClassNotFoundException error) {
            throw Fault.of("Class not found: " + name, error, false);
        } catch (Throwable error) {
            throw Fault.loading(name, error);
        }
    }

    private static Handler ofClass(Class<?> type) {
        if (RequestStreamHandler.class.isAssignableFrom(type)) {
            RequestStreamHandler handler = (RequestStreamHandler) make(type);
            return new Streams((in, out, context) -> handler.handleRequest(in, out, context), true);
        }
        if (!RequestHandler.class.isAssignableFrom(type)) {
            throw Fault.of("Class does not implement an appropriate handler interface: " + type.getName());
        }
        Type[] types = Generics.arguments(type, RequestHandler.class);
        if (types == null) {
            throw Fault.of("Class " + type.getName() + " does not implement RequestHandler with concrete type parameters");
        }
        for (Type one : types) {
            if (one instanceof TypeVariable && ((TypeVariable<?>) one).getBounds()[0] == Object.class) {
                throw Fault.of("Class " + type.getName() + " does not implement RequestHandler with concrete type "
                    + "parameters: parameter " + one + " has no upper bound.");
            }
        }
        @SuppressWarnings("unchecked")
        RequestHandler<Object, Object> handler = (RequestHandler<Object, Object>) make(type);
        return new Objects(handler::handleRequest, types[0], types[1]);
    }

    private static Object make(Class<?> type) {
        try {
            return Bean.construct(type.getConstructor());
        } catch (NoSuchMethodException error) {
            boolean inner = type.getEnclosingClass() != null && !Modifier.isStatic(type.getModifiers());
            Exception told = inner
                ? new Exception("Class " + type.getName() + " cannot be instantiated because it is a non-static inner class")
                : new Exception("Class " + type.getName() + " has no public zero-argument constructor", error);
            throw Fault.of(told, false);
        } catch (InstantiationException | IllegalAccessException error) {
            throw Fault.of(error, false);
        } catch (Throwable error) {
            throw Fault.of(error, true);
        }
    }

    /**
     * AWS: of methods with the name, longer signatures are taken first, one that ends with a Context as if it were
     * longer by one more; those that cannot be a handler are passed over with a line in the log.
     */
    private static Handler ofMethod(Class<?> type, String name) {
        List<Method> found = new ArrayList<>();
        try {
            for (Method method : type.getMethods()) {
                if (method.getName().equals(name)) {
                    found.add(method);
                }
            }
        } catch (NoClassDefFoundError error) {
            throw Fault.of("Error loading method " + name + " on class " + type.getName(), error, false);
        }
        found.sort(Comparator.comparing(Method::isBridge).thenComparing(method -> -weight(method)));
        for (Method method : found) {
            Handler made = ofMethod(type, method);
            if (made != null) {
                return made;
            }
        }
        throw Fault.of("No public method named " + name + " with appropriate method signature found on class "
            + type.getName());
    }

    private static int weight(Method method) {
        Class<?>[] types = method.getParameterTypes();
        return types.length + (types.length > 0 && types[types.length - 1] == Context.class ? 1 : 0);
    }

    private static Handler ofMethod(Class<?> type, Method method) {
        Class<?>[] types = method.getParameterTypes();
        int count = types.length;
        boolean context = count > 0 && types[count - 1] == Context.class;
        int others = context ? count - 1 : count;
        boolean in = others > 0 && types[0] == InputStream.class;
        boolean out = others > 0 && types[others - 1] == OutputStream.class;
        String why = count > 3 ? "it has too many parameters: Expected at most 3, got " + count
            : count == 3 && !(in && out && context) ? "argument signature is not (InputStream, OutputStream, Context"
            : others == 2 && types[0] == Context.class ? "first argument type is Context"
            : others == 2 && types[0] == OutputStream.class
            ? "first argument type is OutputStream and second argument type is not Context"
            : others == 2 && in && !out ? "second parameter type, " + types[1].getName() + ", is not OutputStream."
            : others == 2 && !in ? "second parameter type is not Context" : null;
        if (why != null) {
            String number = count > 3 ? "an overload of method " + method.getName() : (count == 3 ? "three" : "two") + "-argument overload";
            System.err.println("Ignoring " + number + " because " + why);
            return null;
        }
        Object instance = Modifier.isStatic(method.getModifiers()) ? null : make(type);
        Bean.open(method);
        if (in || out) {
            if (method.getReturnType() != void.class) {
                System.err.println("Will ignore return type " + method.getReturnType() + " on byte stream handler");
            }
            return new Streams((input, output, given) -> {
                List<Object> arguments = new ArrayList<>();
                if (in) {
                    arguments.add(input);
                }
                if (out) {
                    arguments.add(output);
                }
                if (context) {
                    arguments.add(given);
                }
                invoke(method, instance, arguments.toArray());
            }, out);
        }
        Type input = others == 1 ? method.getGenericParameterTypes()[0] : null;
        return new Objects((value, given) -> invoke(method, instance,
            input == null ? (context ? new Object[] {given} : new Object[0])
            : context ? new Object[] {value, given} : new Object[] {value}), input, method.getGenericReturnType());
    }

    private static Object invoke(Method method, Object instance, Object[] arguments) throws Throwable {
        try {
            return method.invoke(instance, arguments);
        } catch (InvocationTargetException error) {
            throw error.getCause() == null ? error : error.getCause();
        }
    }

    private interface OfStreams {
        void call(InputStream in, OutputStream out, Context context) throws Throwable;
    }

    private interface OfObjects {
        Object call(Object input, Context context) throws Throwable;
    }

    private static final class Streams extends Handler {
        private final OfStreams inner;
        private final boolean writes;

        Streams(OfStreams inner, boolean writes) {
            this.inner = inner;
            this.writes = writes;
        }

        @Override
        byte[] call(byte[] payload, Context context) throws Throwable {
            ByteArrayOutputStream output = new ByteArrayOutputStream(1024);
            inner.call(new ByteArrayInputStream(payload), output, context);
            return writes ? output.toByteArray() : NULL;
        }
    }

    private static final class Objects extends Handler {
        private final OfObjects inner;
        private final Type input;
        private final Type output;
        private final CustomPojoSerializer own;

        Objects(OfObjects inner, Type input, Type output) {
            this.inner = inner;
            this.input = input;
            this.output = output == void.class || output == Void.class ? null : output;
            own = input == null && this.output == null ? null : ownSerializer();
        }

        @Override
        byte[] call(byte[] payload, Context context) throws Throwable {
            Object value;
            try {
                value = input == null ? null : own != null ? own.fromJson(new ByteArrayInputStream(payload), input)
                    : Reader.read(Json.parse(new String(payload, StandardCharsets.UTF_8)), input);
            } catch (Throwable error) {
                throw new RuntimeException("An error occurred during JSON parsing", Fault.trimmed(error));
            }
            Object answer = inner.call(value, context);
            try {
                if (output == null) {
                    return NULL;
                }
                if (own != null) {
                    ByteArrayOutputStream written = new ByteArrayOutputStream();
                    own.toJson(answer, written, output);
                    return written.toByteArray();
                }
                return Writer.write(answer).getBytes(StandardCharsets.UTF_8);
            } catch (Throwable error) {
                throw new RuntimeException("An error occurred during JSON serialization of response", error);
            }
        }

        @Override
        void rehearse(Context context) {
            super.rehearse(context);
            try {
                if (input != null && own == null) {
                    Writer.write(Reader.read(Json.parse("{}"), input));
                }
            } catch (Throwable error) {
                // An empty object is not what this one takes.
            }
        }

        private static CustomPojoSerializer ownSerializer() {
            ClassLoader loader = Thread.currentThread().getContextClassLoader();
            if (loader.getResource("META-INF/services/" + CustomPojoSerializer.class.getName()) == null) {
                return null;
            }
            try {
                Iterator<CustomPojoSerializer> found = ServiceLoader.load(CustomPojoSerializer.class, loader).iterator();
                CustomPojoSerializer first = found.hasNext() ? found.next() : null;
                if (found.hasNext()) {
                    throw Fault.of("Too many serializers provided: " + first.getClass().getName() + ", "
                        + found.next().getClass().getName());
                }
                return first;
            } catch (ServiceConfigurationError error) {
                throw Fault.of(error, true);
            }
        }
    }
}
