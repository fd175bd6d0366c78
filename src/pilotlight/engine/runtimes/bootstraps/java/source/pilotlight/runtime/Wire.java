package pilotlight.runtime;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;

/**
 * The frames between the platform and a bootstrap, seen from inside: a length of four bytes, a kind of one, a body.
 * `engine/frames.py` is the other side.
 */
final class Wire {
    static final int START = 'S';
    static final int READY = 'R';
    static final int INVOKE = 'I';
    static final int RESPONSE = 'O';
    static final int FAILURE = 'F';
    static final int LOG = 'L';
    static final int INIT_FAILED = 'X';
    static final int LEAVING = 'G';
    static final int RESTORE = 'E';

    private static final int HEAD_BYTES = 5;
    private static final int BUFFER_BYTES = 8192; // Java reads more than this by way of a buffer that it allocates anew

    private final FileInputStream in;
    private final FileOutputStream out;
    private final byte[] buffer = new byte[BUFFER_BYTES];
    private int begin;
    private int end;

    /** The kind of the frame that was received last. */
    int kind;

    Wire(int number) {
        FileDescriptor descriptor = descriptor(number);
        in = new FileInputStream(descriptor);
        out = new FileOutputStream(descriptor);
    }

    /**
     * Java has no way to open a socket that was inherited under a number. This one needs no option that would cost the
     * archive of modules, as `--add-opens` does.
     */
    @SuppressWarnings({"deprecation", "removal"})
    private static FileDescriptor descriptor(int number) {
        try {
            Field found = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
            found.setAccessible(true);
            sun.misc.Unsafe unsafe = (sun.misc.Unsafe) found.get(null);
            FileDescriptor made = new FileDescriptor();
            unsafe.putInt(made, unsafe.objectFieldOffset(FileDescriptor.class.getDeclaredField("fd")), number);
            return made;
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
    }

    /** The next frame's body. Ends the process when the platform is gone. */
    byte[] receive() {
        fill(HEAD_BYTES);
        int size = integer(buffer, begin);
        kind = buffer[begin + 4];
        begin += HEAD_BYTES;
        byte[] body = new byte[size];
        int have = Math.min(size, end - begin);
        System.arraycopy(buffer, begin, body, 0, have);
        begin += have;
        while (have < size) {
            have += read(body, have, size - have);
        }
        return body;
    }

    static int integer(byte[] data, int at) {
        return (data[at] & 255) | (data[at + 1] & 255) << 8 | (data[at + 2] & 255) << 16 | (data[at + 3] & 255) << 24;
    }

    private void fill(int wanted) {
        if (begin == end) {
            begin = end = 0;
        } else if (begin + wanted > buffer.length) {
            System.arraycopy(buffer, begin, buffer, 0, end - begin);
            end -= begin;
            begin = 0;
        }
        while (end - begin < wanted) {
            end += read(buffer, end, buffer.length - end);
        }
    }

    private int read(byte[] into, int at, int length) {
        try {
            int count = in.read(into, at, length);
            if (count > 0) {
                return count;
            }
        } catch (IOException error) {
            // The platform is gone, as below.
        }
        Runtime.getRuntime().halt(0);
        return 0;
    }

    /** Written when it returns: what a process says before it exits must arrive. */
    synchronized void send(int what, byte[] body, int from, int length) {
        byte[] frame = new byte[HEAD_BYTES + length];
        for (int index = 0; index < 4; index++) {
            frame[index] = (byte) (length >>> 8 * index);
        }
        frame[4] = (byte) what;
        System.arraycopy(body, from, frame, HEAD_BYTES, length);
        try {
            out.write(frame);
        } catch (IOException error) {
            Runtime.getRuntime().halt(0);
        }
    }

    void send(int what, byte[] body) {
        send(what, body, 0, body.length);
    }

    void send(int what, String body) {
        send(what, body.getBytes(StandardCharsets.UTF_8));
    }
}
