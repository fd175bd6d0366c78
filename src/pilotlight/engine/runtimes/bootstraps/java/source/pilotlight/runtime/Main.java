package pilotlight.runtime;

import com.amazonaws.services.lambda.crac.Core;
import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import com.amazonaws.services.lambda.runtime.LambdaRuntimeInternal;
import java.io.IOError;
import java.io.InputStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Runs a Java handler: loads it once, answers one invocation after another.
 *
 * Started with the control socket's descriptor as its argument. Messages and shapes of errors are those of Lambda's own
 * Java runtime.
 */
public final class Main {
    private static final int EXIT_HOOK = 64;
    private static final String TRACE = "com.amazonaws.xray.traceHeader";

    private final Wire wire;
    private final Map<?, ?> start;
    private final Logger logger;

    private Main(Wire wire, Map<?, ?> start) {
        this.wire = wire;
        this.start = start;
        logger = new Logger(wire, start);
    }

    public static void main(String[] arguments) throws Exception {
        Wire wire = new Wire(Integer.parseInt(arguments[0]));
        byte[] body = wire.receive();
        if (wire.kind != Wire.START) {
            System.exit(2);
        }
        new Main(wire, (Map<?, ?>) Json.parse(new String(body, StandardCharsets.UTF_8))).run();
    }

    private void run() throws Exception {
        System.setIn(InputStream.nullInputStream());
        Field shared = LambdaRuntime.class.getDeclaredField("logger");
        shared.setAccessible(true);
        shared.set(null, logger);
        // AWS: a name that was not found is asked for again after a second.
        java.security.Security.setProperty("networkaddress.cache.negative.ttl",
            System.getenv().getOrDefault("AWS_LAMBDA_JAVA_NETWORKADDRESS_CACHE_NEGATIVE_TTL", "1"));
        System.setProperty("org.crac.Core.Compat", Core.class.getPackageName());
        boolean snapStart = Boolean.TRUE.equals(start.get("snap_start"));
        Handler handler;
        try {
            handler = Handler.load((String) start.get("handler"));
        } catch (Throwable error) {
            endInit(error instanceof Fault ? error : Fault.of(error, true), 1);
            return;
        }
        if (snapStart) {
            hook(() -> Core.getGlobalContext().beforeCheckpoint(null));
        }
        logger.finish();
        wire.send(Wire.READY, "");
        if (Boolean.TRUE.equals(start.get("training"))) {
            rehearse(handler);
            System.exit(0);
        }
        while (true) {
            byte[] body = wire.receive();
            if (wire.kind == Wire.INVOKE) {
                answer(handler, body);
            } else if (wire.kind == Wire.RESTORE && snapStart) {
                hook(() -> Core.getGlobalContext().afterRestore(null));
                logger.finish();
                wire.send(Wire.READY, "");
            }
        }
    }

    private interface Hook {
        void run() throws Exception;
    }

    /** AWS: a hook that fails ends the process with 64. */
    private void hook(Hook hook) {
        try {
            hook.run();
        } catch (Throwable error) {
            endInit(Fault.trimmed(error), EXIT_HOOK);
        }
    }

    private void endInit(Throwable error, int code) {
        logger.finish();
        logger.failure(error);
        wire.send(Wire.INIT_FAILED, Fault.answer(error));
        System.exit(code);
    }

    /** Loads what invocations will need, without one, for the archive that this machine writes when it ends. */
    private void rehearse(Handler handler) {
        Map<?, ?> header = (Map<?, ?>) Json.parse("{\"request_id\":\"\",\"deadline_ms\":0,\"a\":[1.5,true,null]}");
        handler.rehearse(new LambdaContext(start, header, logger));
        Fault.answer(new IllegalStateException("none"));
        Fault.told(new IllegalStateException("none"));
    }

    private void answer(Handler handler, byte[] body) {
        int size = Wire.integer(body, 0);
        Map<?, ?> header = (Map<?, ?>) Json.parse(new String(body, 4, size, StandardCharsets.UTF_8));
        byte[] payload = java.util.Arrays.copyOfRange(body, 4 + size, body.length);
        logger.requestId = (String) header.get("request_id");
        if (header.get("trace_id") == null) {
            System.clearProperty(TRACE);
        } else {
            System.setProperty(TRACE, (String) header.get("trace_id"));
        }
        byte[] made;
        try {
            if (LambdaRuntimeInternal.getUseLog4jAppender()) {
                tellLog4j(logger.requestId);
            }
            made = handler.call(payload, new LambdaContext(start, header, logger));
        } catch (Throwable error) {
            fail(error);
            return;
        }
        logger.finish();
        wire.send(Wire.RESPONSE, made);
        Thread.interrupted(); // a handler may leave it set
    }

    private void fail(Throwable error) {
        Throwable told = Fault.trimmed(error);
        logger.finish();
        logger.failure(told);
        // AWS: a machine that is broken is not used any more.
        boolean broken = error instanceof VirtualMachineError || error instanceof IOError
            || error instanceof Fault && ((Fault) error).fatal;
        if (broken) {
            wire.send(Wire.LEAVING, "");
        }
        wire.send(Wire.FAILURE, Fault.answer(told));
        if (broken) {
            System.exit(1);
        }
    }

    /** The request's id, for the patterns of log4j. */
    private static void tellLog4j(String requestId) {
        ClassLoader loader = Thread.currentThread().getContextClassLoader();
        tell(loader, "org.apache.log4j.MDC", Object.class, requestId);
        tell(loader, "org.apache.logging.log4j.ThreadContext", String.class, requestId);
    }

    private static void tell(ClassLoader loader, String name, Class<?> value, String requestId) {
        try {
            Class.forName(name, true, loader).getMethod("put", String.class, value).invoke(null, "AWSRequestId", requestId);
        } catch (ReflectiveOperationException error) {
            // That version of log4j is not there.
        }
    }
}
