package pilotlight.runtime;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Map;

/** The context's logger, as text or as JSON, and what is printed to `System.out` and `System.err`. */
final class Logger implements LambdaLogger {
    private static final int EVENT_BYTES_MAX = 262_118; // CloudWatch's 256 KiB an event, less its overhead of 26 bytes

    private final Wire wire;
    private final boolean json;
    private final LogLevel least;
    private final Lines lines = new Lines();
    private DateTimeFormatter moment;
    volatile String requestId;

    Logger(Wire wire, Map<?, ?> start) {
        this.wire = wire;
        json = "JSON".equals(start.get("log_format"));
        Object level = start.get("application_log_level");
        // AWS: text has no levels; a line of no level passes every filter.
        least = !json ? LogLevel.UNDEFINED : level == null || "".equals(level) ? LogLevel.INFO : LogLevel.fromString(level.toString());
        PrintStream stream = new PrintStream(lines, false, StandardCharsets.UTF_8);
        System.setOut(stream);
        System.setErr(stream);
    }

    @Override
    public void log(String message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(byte[] message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(String message, LogLevel level) {
        if (passes(level)) {
            String text = String.valueOf(message);
            write((json ? entry(text, level) : level == LogLevel.UNDEFINED ? text : "[" + level + "] " + text)
                .getBytes(StandardCharsets.UTF_8));
        }
    }

    @Override
    public void log(byte[] message, LogLevel level) {
        if (passes(level)) {
            write(message);
        }
    }

    private boolean passes(LogLevel level) {
        return level == LogLevel.UNDEFINED || level.ordinal() >= least.ordinal();
    }

    void failure(Throwable error) {
        log(Fault.told(error), json ? LogLevel.ERROR : LogLevel.UNDEFINED);
    }

    private String entry(String message, LogLevel level) {
        if (moment == null) {
            moment = DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);
        }
        StringBuilder made = new StringBuilder("{\"timestamp\":\"").append(moment.format(Instant.now()));
        Json.quote(made.append("\",\"message\":"), message);
        made.append(",\"level\":\"").append(level).append('"');
        if (requestId != null) {
            made.append(",\"AWSRequestId\":\"").append(requestId).append('"');
        }
        return made.append('}').toString();
    }

    private void write(byte[] text) {
        lines.finish();
        int end = text.length > 0 && text[text.length - 1] == '\n' ? text.length - 1 : text.length;
        event(text, 0, end);
    }

    private void event(byte[] text, int from, int end) {
        do {
            int size = Math.min(end - from, EVENT_BYTES_MAX);
            wire.send(Wire.LOG, text, from, size);
            from += size;
        } while (from < end);
    }

    /** What is printed becomes a line of the log at its newline, or at the end of the invocation. */
    void finish() {
        lines.finish();
    }

    private final class Lines extends OutputStream {
        private final ByteArrayOutputStream open = new ByteArrayOutputStream();

        @Override
        public synchronized void write(int next) {
            write(new byte[] {(byte) next}, 0, 1);
        }

        @Override
        public synchronized void write(byte[] data, int from, int length) {
            int begin = from;
            for (int at = from; at < from + length; at++) {
                if (data[at] == '\n') {
                    if (open.size() == 0) {
                        event(data, begin, at);
                    } else {
                        open.write(data, begin, at - begin);
                        finish();
                    }
                    begin = at + 1;
                }
            }
            open.write(data, begin, from + length - begin);
            if (open.size() > EVENT_BYTES_MAX) {
                finish();
            }
        }

        synchronized void finish() {
            if (open.size() > 0) {
                event(open.toByteArray(), 0, open.size());
                open.reset();
            }
        }
    }
}
