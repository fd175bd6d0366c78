"""The contract's handlers in Java."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.engine.contract import Language, folder
from tests.engine.java import compiled

PROGRAM = """
public class App {
    static class Boom extends RuntimeException { Boom(String message) { super(message); } }
    static int count = 0;
    static volatile long ticks = 0;
    static { System.out.println("loaded"); }

    public Object handle(Object event, Context context) throws Exception {
        if (!(event instanceof Map<?, ?> asked) || asked.get("do") == null) return event;
        return can((String) asked.get("do"), asked.get("with"), context);
    }

    static Object can(String what, Object with, Context context) throws Exception {
        switch (what) {
            case "echo": return with;
            case "context": return about(context);
            case "remaining": return context.getRemainingTimeInMillis();
            case "environment": return System.getenv();
            case "where": return List.of(System.getProperty("user.dir"), System.getenv("LAMBDA_TASK_ROOT"));
            case "count": return ++count;
            case "pid": return ProcessHandle.current().pid();
            case "raise": throw new Boom((String) with);
            case "unserialisable": return new Object() { public Object getItself() { return this; } };
            case "exit": System.exit(((Number) with).intValue()); return null;
            case "signal":
                new ProcessBuilder("kill", "-" + with, "" + ProcessHandle.current().pid()).start().waitFor();
                Thread.sleep(5000);
                return null;
            case "sleep": Thread.sleep((long) (((Number) with).doubleValue() * 1000)); return null;
            case "spin": while (true) { ticks += 0; }
            case "big": return "x".repeat(((Number) with).intValue());
            case "print": System.out.println(with); return null;
            case "error": System.err.println(with); return null;
            case "partial": System.out.print(with); System.out.flush(); return null;
            case "child": new ProcessBuilder("sh", "-c", (String) with).inheritIO().start().waitFor(); return null;
            case "tick":
                Thread ticking = new Thread(() -> {
                    while (true) { ticks += 1; try { Thread.sleep(5); } catch (InterruptedException end) { return; } }
                });
                ticking.setDaemon(true);
                ticking.start();
                return null;
            case "ticks": return ticks;
            case "write":
                try (FileOutputStream file = new FileOutputStream((String) with, true)) { file.write('x'); }
                return new File((String) with).length();
            case "can":
                try (FileOutputStream file = new FileOutputStream((String) with, true)) { return true; }
                catch (IOException no) { return false; }
            case "reads":
                try (FileInputStream file = new FileInputStream((String) with)) { return file.read() >= -1; }
                catch (IOException no) { return false; }
            case "user": return Integer.parseInt(said("id -u"));
            case "files": return Integer.parseInt(said("ulimit -n"));
            case "fill":
                List<byte[]> kept = new ArrayList<>();
                while (true) { byte[] block = new byte[1 << 20]; Arrays.fill(block, (byte) 1); kept.add(block); }
            case "listing":
                String[] names = new File((String) with).list();
                Arrays.sort(names);
                return names;
            default: return null;
        }
    }

    static Object about(Context context) {
        Map<String, Object> told = new HashMap<>();
        told.put("request", context.getAwsRequestId());
        told.put("arn", context.getInvokedFunctionArn());
        told.put("name", context.getFunctionName());
        told.put("version", context.getFunctionVersion());
        told.put("memory", "" + context.getMemoryLimitInMB());
        told.put("group", context.getLogGroupName());
        told.put("stream", context.getLogStreamName());
        ClientContext client = context.getClientContext();
        told.put("custom", client == null ? null : client.getCustom());
        CognitoIdentity identity = context.getIdentity();
        told.put("identity", identity == null ? null : identity.getIdentityId());
        return told;
    }

    static String said(String command) throws Exception {
        Process child = new ProcessBuilder("sh", "-c", command).start();
        return new String(child.getInputStream().readAllBytes()).trim();
    }
}
"""
AT_INIT = {
    "Raises": 'public class Raises { static { if (true) throw new IllegalStateException("at init"); } '
    "public Object handle(Object event) { return event; } }",
    "Exits": "public class Exits { static { System.exit(7); } public Object handle(Object event) { return event; } }",
    "Hangs": "public class Hangs { static { try { Thread.sleep(60000); } catch (InterruptedException no) { } } "
    "public Object handle(Object event) { return event; } }",
    "Nothing": "public class Nothing { }",
}
SELECTED = {"raise": "Raises", "exit": "Exits", "hang": "Hangs", "nothing": "Nothing"}


@cache
def code() -> Path:
    """A package with all classes, compiled once."""
    return compiled(folder("java"), {"App": PROGRAM, **AT_INIT})


LANGUAGE = Language(
    name="java",
    runtime="java17",
    executable="javac",
    file="App.java",
    program="",
    code=code,
    select=lambda program: {"handler": f"{SELECTED[program]}::handle"},
    handler="App::handle",
    at_init={name: name for name in SELECTED},
    init_seconds=3.0,
    memory_mb=512,
    faults={
        "raise": "App$Boom",
        "init": "java.lang.ExceptionInInitializerError",
        "handler": "",
        "missing": "java.lang.ClassNotFoundException",
        "name": "java.lang.ClassNotFoundException",
        "unserialisable": "java.lang.RuntimeException",
    },
    lacks={
        "test_the_trace_is_in_the_environment_while_it_is_invoked": "it is a property of the virtual machine",
        "test_an_error_while_loading": "what a class's initialiser throws is wrapped: test_java has AWS's words",
        "test_out_of_memory_ends_the_instance": "the heap ends before the sandbox's memory does: test_java",
        "test_only_its_own_code_is_there": "a package has many classes",
    },
)
