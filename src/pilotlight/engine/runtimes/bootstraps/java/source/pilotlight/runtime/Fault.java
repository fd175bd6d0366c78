package pilotlight.runtime;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** What is wrong with a function, in the words of Lambda's own runtime; and how any error is answered and logged. */
final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1;
    private static final String OURS = Fault.class.getPackageName() + ".";

    final String message;
    final String type;
    final transient Throwable cause;
    /** Nothing of the function may run after it. */
    final boolean fatal;

    private Fault(String message, String type, Throwable cause, boolean fatal) {
        super(message, null, false, false);
        this.message = message;
        this.type = type;
        this.cause = cause;
        this.fatal = fatal;
    }

    static Fault of(String message) {
        return new Fault(message, null, null, false);
    }

    static Fault of(String message, Throwable cause, boolean fatal) {
        return new Fault(message, cause.getClass().getName(), cause, fatal);
    }

    static Fault of(Throwable cause, boolean fatal) {
        return of(messageOf(cause), cause, fatal);
    }

    static Fault loading(String name, Throwable cause) {
        return of("Error loading class " + name + (cause.getMessage() == null ? "" : ": " + cause.getMessage()), cause, true);
    }

    static String messageOf(Throwable error) {
        String message = error.getLocalizedMessage();
        return message == null ? error.getClass().getName() : message;
    }

    /** AWS: the answer to a fault has no stack trace, that to an exception of the function's own has. */
    static String answer(Throwable error) {
        Map<String, Object> made = new LinkedHashMap<>();
        if (error instanceof Fault) {
            made.put("errorMessage", ((Fault) error).message);
            made.put("errorType", ((Fault) error).type);
        } else {
            made.put("errorMessage", messageOf(error));
            made.put("errorType", error.getClass().getName());
            StackTraceElement[] trace = error.getStackTrace();
            String[] lines = new String[trace.length];
            for (int index = 0; index < trace.length; index++) {
                lines[index] = trace[index].toString();
            }
            made.put("stackTrace", lines);
        }
        try {
            return Writer.write(made);
        } catch (Throwable impossible) {
            return "{\"errorType\":\"java.lang.Error\"}";
        }
    }

    /** As it is logged. */
    static String told(Throwable error) {
        Fault fault = error instanceof Fault ? (Fault) error : of(error, false);
        if (fault.cause == null) {
            return fault.message + "\n";
        }
        StringWriter trace = new StringWriter();
        trimmed(fault.cause).printStackTrace(new PrintWriter(trace));
        return fault.message + ": " + fault.type + "\n" + trace + "\n";
    }

    /** Without our own frames, and what is below them. */
    static <T extends Throwable> T trimmed(T error) {
        trim(error, new HashSet<>());
        return error;
    }

    private static void trim(Throwable error, Set<Throwable> seen) {
        if (error == null || !seen.add(error)) {
            return;
        }
        StackTraceElement[] trace = error.getStackTrace();
        for (int index = 0; index < trace.length; index++) {
            if (trace[index].getClassName().startsWith(OURS)) {
                StackTraceElement[] kept = new StackTraceElement[index];
                System.arraycopy(trace, 0, kept, 0, index);
                error.setStackTrace(kept);
                break;
            }
        }
        trim(error.getCause(), seen);
        for (Throwable one : error.getSuppressed()) {
            trim(one, seen);
        }
    }

    /** Throws what a signature does not allow. */
    @SuppressWarnings("unchecked")
    static <T extends Throwable> RuntimeException raise(Throwable error) throws T {
        throw (T) error;
    }
}
