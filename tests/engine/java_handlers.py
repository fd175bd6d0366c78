"""The handlers of `test_java.py`: class → source, without its package and imports."""

_KINDS = {
    "OfStrings": """
        public class OfStrings implements RequestHandler<String, String> {
          public String handleRequest(String in, Context c) { return in + "!"; } }""",
    "OfPojos": """
        public class OfPojos implements RequestHandler<OfPojos.In, OfPojos.Out> {
          public static class Inner {
            private boolean on;
            public int open = 1;
            private int secret = 3;
            public boolean isOn() { return on; }
            public void setOn(boolean value) { on = value; }
            public int getPublic() { return 5; }
          }
          public static class In {
            private String name; private List<Integer> ages; private String url; Inner inner;
            public void setName(String value) { name = value; }
            public void setAges(List<Integer> value) { ages = value; }
            public void setURL(String value) { url = value; }
            private void setInner(Inner value) { inner = value; }
          }
          public static class Out extends In {
            public String getName() { return in.name; }
            public List<Integer> getAges() { return in.ages; }
            public String getURL() { return in.url; }
            public Inner getInner() { return in.inner; }
            public int getTotal() { return in.ages.stream().mapToInt(Integer::intValue).sum(); }
            public String getMissing() { return null; }
            private String getHidden() { return "x"; }
            private transient In in;
            Out(In in) { this.in = in; }
          }
          public Out handleRequest(In in, Context c) { return new Out(in); } }""",
    "OfRecords": """
        public class OfRecords implements RequestHandler<OfRecords.Pair, OfRecords.Pair> {
          public record Pair(int x, String y) {}
          public Pair handleRequest(Pair in, Context c) { return new Pair(in.x() + 1, in.y()); } }""",
    "OfLists": """
        public class OfLists implements RequestHandler<List<Object>, List<String>> {
          public List<String> handleRequest(List<Object> in, Context c) {
            List<String> out = new ArrayList<>();
            for (Object one : in) out.add(one.getClass().getSimpleName());
            return out; } }""",
    "OfStreams": """
        public class OfStreams implements RequestStreamHandler {
          public void handleRequest(InputStream in, OutputStream out, Context c) throws IOException {
            out.write("{\\"echo\\":".getBytes()); in.transferTo(out); out.write('}'); } }""",
    "Inherited": """
        public class Inherited extends Base<Inherited.Named, String> {
          public static class Named { public String name; }
          String run(Named in) { return in.name; } }
        abstract class Base<A, B> implements RequestHandler<A, B> {
          abstract B run(A in);
          public B handleRequest(A in, Context c) { return run(in); } }""",
    "Methods": """
        public class Methods {
          public enum Color { RED, GREEN }
          public static class Named { public String name; }
          public static class Times {
            public Date date; public java.time.Instant instant; public java.time.LocalDate day; }
          public static class Nulls { public String none; public Map<String, Object> map = new LinkedHashMap<>(); }
          public int number(int in) { return in + 1; }
          public static int fixed() { return 7; }
          public void nothing(Map<String, Object> in) { }
          public boolean contextOnly(Context c) { return c != null; }
          public static String upper(String in, Context c) { return in.toUpperCase(); }
          public Map<String, String> map(Map<String, Named> in) {
            Map<String, String> out = new HashMap<>(); in.forEach((k, v) -> out.put(k, v.name)); return out; }
          public void stream(InputStream in, OutputStream out) throws IOException { in.transferTo(out); }
          public String inOnly(InputStream in) { return "dropped"; }
          public String overloaded(String in) { return "alone: " + in; }
          public String overloaded(String in, Context c) { return "with context: " + in; }
          public String tooLong(int a, int b, Context c) { return "three"; }
          public String tooLong(int a, Context c) { return "two"; }
          public Nulls nulls() { Nulls n = new Nulls(); n.map.put("kept", 1); n.map.put("gone", null); return n; }
          public Times dates(Times in) { return in; }
          public byte[] bytes(byte[] in) { return in; }
          public Color color(Color in) { return in; }
          public List<String> single(List<String> in) { return in; }
          public String machine() { return System.getProperty("java.specification.version"); } }""",
    "Sandbox": """
        public class Sandbox {
          static int count;
          public Object handleRequest(Object in, Context c) throws Exception {
            new FileOutputStream("/tmp/x").write(1);
            return Arrays.asList(++count, System.getProperty("user.dir"),
              Sandbox.class.getProtectionDomain().getCodeSource().getLocation().toString(),
              new File("/etc/shadow").canRead(), System.getenv("AWS_ENDPOINT_URL"),
              System.getProperty("java.io.tmpdir")); } }""",
    "Telling": """
        public class Telling implements RequestHandler<Object, Map<String, Object>> {
          public Map<String, Object> handleRequest(Object in, Context c) {
            Map<String, Object> out = new LinkedHashMap<>();
            out.put("function", c.getFunctionName()); out.put("version", c.getFunctionVersion());
            out.put("memory", c.getMemoryLimitInMB()); out.put("arn", c.getInvokedFunctionArn());
            out.put("group", c.getLogGroupName());
            if (c.getClientContext() != null) {
              out.put("custom", c.getClientContext().getCustom());
              out.put("env", c.getClientContext().getEnvironment());
              out.put("title", c.getClientContext().getClient().getAppTitle()); }
            if (c.getIdentity() != null)
              out.put("identity", c.getIdentity().getIdentityId() + "/" + c.getIdentity().getIdentityPoolId());
            out.put("remaining", c.getRemainingTimeInMillis() > 0 && c.getRemainingTimeInMillis() <= 10000);
            out.put("trace", System.getProperty("com.amazonaws.xray.traceHeader"));
            out.put("handler", System.getenv("_HANDLER")); out.put("execution", System.getenv("AWS_EXECUTION_ENV"));
            out.put("region", System.getenv("AWS_REGION")); out.put("mine", System.getenv("MINE"));
            out.put("logger", LambdaRuntime.getLogger() == c.getLogger());
            return out; } }""",
    "Libraries": """
        public class Libraries {
          public Object handleRequest(Object in) throws Exception {
            return Arrays.asList(Class.forName("tool.Tool").getField("x").get(null),
              Class.forName("tool.Other").getField("x").get(null),
              new String(Libraries.class.getResourceAsStream("/note.txt").readAllBytes())); } }""",
    "Options": """
        public class Options {
          public Object handleRequest() {
            boolean parallel = java.lang.management.ManagementFactory.getGarbageCollectorMXBeans().stream()
              .anyMatch(one -> one.getName().startsWith("PS "));
            return Arrays.asList(System.getProperty("said"),
              Runtime.getRuntime().maxMemory() < 200_000_000L, parallel); } }""",
    "Serialiser": """
        public class Serialiser implements CustomPojoSerializer {
          @SuppressWarnings("unchecked")
          public <T> T fromJson(InputStream in, java.lang.reflect.Type type) {
            try { return (T) ("read " + new String(in.readAllBytes())); }
            catch (IOException e) { throw new UncheckedIOException(e); } }
          @SuppressWarnings("unchecked")
          public <T> T fromJson(String in, java.lang.reflect.Type type) { return (T) in; }
          public <T> void toJson(T value, OutputStream out, java.lang.reflect.Type type) {
            try { out.write(("<" + value + ">").getBytes()); }
            catch (IOException e) { throw new UncheckedIOException(e); } } }""",
}

_FAILS = {
    "Throwing": """
        public class Throwing implements RequestHandler<String, Object> {
          static class Own extends RuntimeException { Own() { super("own"); } }
          public static class Loop { public Loop next = this; }
          public Object handleRequest(String in, Context c) {
            switch (in) {
              case "checked": throw Throwing.<RuntimeException>sneak(new IOException("no"));
              case "bare": throw new IllegalStateException();
              case "error": throw new StackOverflowError("deep");
              case "inner": throw new Own();
              case "caused": throw new RuntimeException("outer", new IllegalStateException("why"));
              default: return new Loop(); } }
          @SuppressWarnings("unchecked")
          static <T extends Throwable> RuntimeException sneak(Throwable t) throws T { throw (T) t; } }""",
    "NoConstructor": """
        public class NoConstructor implements RequestHandler<String, String> {
          public NoConstructor(int x) {}
          public String handleRequest(String in, Context c) { return in; } }""",
    "Outer": """
        public class Outer { public class Inner implements RequestHandler<String, String> {
          public String handleRequest(String in, Context c) { return in; } } }""",
    "Raw": """
        @SuppressWarnings("rawtypes") public class Raw implements RequestHandler {
          public Object handleRequest(Object in, Context c) { return in; } }""",
    "StaticInit": """
        public class StaticInit implements RequestHandler<String, String> {
          static { if (true) throw new IllegalArgumentException("at init"); }
          public String handleRequest(String in, Context c) { return in; } }""",
    "Constructor": """
        public class Constructor implements RequestHandler<String, String> {
          public Constructor() { throw new IllegalArgumentException("at init"); }
          public String handleRequest(String in, Context c) { return in; } }""",
    "Exiting": """
        public class Exiting implements RequestHandler<String, Long> {
          public Long handleRequest(String in, Context c) {
            if (in.equals("exit")) System.exit(3);
            if (in.equals("fill")) { List<byte[]> all = new ArrayList<>(); while (true) all.add(new byte[1 << 20]); }
            return ProcessHandle.current().pid(); } }""",
}

_LOGS = {
    "Logging": """
        public class Logging {
          static { System.out.println("at init"); }
          public void handleRequest(Object in, Context c) throws Exception {
            System.out.println("out"); System.err.println("err");
            System.out.print("in "); System.out.print("parts\\n");
            c.getLogger().log("one\\nevent"); c.getLogger().log("bytes\\n".getBytes());
            LambdaRuntime.getLogger().log("static"); c.getLogger().log("levelled", LogLevel.WARN);
            System.out.print("no newline");
            new ProcessBuilder("/bin/echo", "past java").inheritIO().start().waitFor(); } }""",
    "Levels": """
        public class Levels {
          public void handleRequest(Object in, Context c) {
            c.getLogger().log("no level"); c.getLogger().log("hidden", LogLevel.INFO);
            c.getLogger().log("w \\"quoted\\"", LogLevel.WARN);
            throw new RuntimeException("end"); } }""",
}

_EVENTS = "com.amazonaws.services.lambda.runtime.events."
EVENTS = {
    # Shaped as those of `aws-lambda-java-events`, whose names are what matters.
    f"{_EVENTS}SQSEvent": """
        public class SQSEvent {
          private List<SQSMessage> records;
          public List<SQSMessage> getRecords() { return records; }
          public void setRecords(List<SQSMessage> value) { records = value; }
          public static class SQSMessage {
            private String body, eventSourceArn;
            public String getBody() { return body; }
            public void setBody(String value) { body = value; }
            public String getEventSourceArn() { return eventSourceArn; }
            public void setEventSourceArn(String value) { eventSourceArn = value; } } }""",
    f"{_EVENTS}DynamodbEvent": """
        public class DynamodbEvent {
          private List<DynamodbStreamRecord> records;
          public List<DynamodbStreamRecord> getRecords() { return records; }
          public void setRecords(List<DynamodbStreamRecord> value) { records = value; }
          public static class DynamodbStreamRecord {
            private com.amazonaws.services.lambda.runtime.events.models.dynamodb.StreamRecord dynamodb;
            public com.amazonaws.services.lambda.runtime.events.models.dynamodb.StreamRecord getDynamodb() {
              return dynamodb; }
            public void setDynamodb(com.amazonaws.services.lambda.runtime.events.models.dynamodb.StreamRecord value) {
              dynamodb = value; } } }""",
    f"{_EVENTS}models.dynamodb.StreamRecord": """
        public class StreamRecord {
          private Date approximateCreationDateTime; private Map<String, AttributeValue> keys;
          public Date getApproximateCreationDateTime() { return approximateCreationDateTime; }
          public void setApproximateCreationDateTime(Date value) { approximateCreationDateTime = value; }
          public Map<String, AttributeValue> getKeys() { return keys; }
          public void setKeys(Map<String, AttributeValue> value) { keys = value; } }""",
    f"{_EVENTS}models.dynamodb.AttributeValue": """
        public class AttributeValue {
          private String s; private Boolean bOOL; private Boolean nULLValue; private java.nio.ByteBuffer b;
          public String getS() { return s; }
          public void setS(String value) { s = value; }
          public Boolean getBOOL() { return bOOL; }
          public void setBOOL(Boolean value) { bOOL = value; }
          public Boolean isNULL() { return nULLValue; }
          public void setNULL(Boolean value) { nULLValue = value; }
          public java.nio.ByteBuffer getB() { return b; }
          public void setB(java.nio.ByteBuffer value) { b = value; } }""",
    f"{_EVENTS}models.s3.S3EventNotification": """
        public class S3EventNotification {
          private final List<S3EventNotificationRecord> records;
          public S3EventNotification(List<S3EventNotificationRecord> records) { this.records = records; }
          public List<S3EventNotificationRecord> getRecords() { return records; }
          public static class S3EventNotificationRecord {
            private final String awsRegion; private final ResponseElementsEntity responseElements;
            public S3EventNotificationRecord(String one, ResponseElementsEntity two) {
              awsRegion = one; responseElements = two; }
            public String getAwsRegion() { return awsRegion; }
            public ResponseElementsEntity getResponseElements() { return responseElements; } }
          public static class ResponseElementsEntity {
            private final String xAmzId2;
            public ResponseElementsEntity(String one) { xAmzId2 = one; }
            public String getxAmzId2() { return xAmzId2; } } }""",
    f"{_EVENTS}S3Event": """
        import com.amazonaws.services.lambda.runtime.events.models.s3.S3EventNotification;
        public class S3Event extends S3EventNotification {
          public S3Event() { this(null); }
          public S3Event(List<S3EventNotificationRecord> records) { super(records); } }""",
    "kinds.OfEvents": """
        import com.amazonaws.services.lambda.runtime.events.*;
        public class OfEvents {
          public SQSEvent queue(SQSEvent in) { return in; }
          public S3Event bucket(S3Event in) { return in; }
          public DynamodbEvent table(DynamodbEvent in) { return in; }
          public long moment(DynamodbEvent in) {
            return in.getRecords().get(0).getDynamodb().getApproximateCreationDateTime().getTime(); } }""",
}

_SNAPS = """
        public class Snap implements RequestHandler<String, List<Object>>, CRAC.Resource {
          static final String UUID_OF_THIS = UUID.randomUUID().toString();
          static final List<Object> seen = new ArrayList<>();
          static Snap kept;
          static class Second implements CRAC.Resource {
            public void beforeCheckpoint(CONTEXT c) {
              seen.add("second before"); }
            public void afterRestore(CONTEXT c) {
              seen.add("second after"); } }
          final Second second = new Second();
          public Snap() {
            kept = this;
            seen.add("init");
            CRAC.Core.getGlobalContext().register(this);
            CRAC.Core.getGlobalContext().register(second); }
          public void beforeCheckpoint(CONTEXT c)
            throws Exception { fail("before"); seen.add("before"); }
          public void afterRestore(CONTEXT c)
            throws Exception { fail("after"); seen.add("after"); }
          static void fail(String when) throws Exception {
            if (when.equals(System.getenv("FAIL"))) throw new IOException("at " + when); }
          public List<Object> handleRequest(String in, com.amazonaws.services.lambda.runtime.Context c) {
            List<Object> told = new ArrayList<>(seen);
            told.add(System.getenv("AWS_LAMBDA_INITIALIZATION_TYPE"));
            told.add(System.getenv("AWS_LAMBDA_LOG_STREAM_NAME") == null);
            told.add(UUID_OF_THIS);
            return told; } }"""
_CRAC = "com.amazonaws.services.lambda.crac"
SNAPS = _SNAPS.replace("CONTEXT", "CRAC.Context<? extends CRAC.Resource>").replace("CRAC", _CRAC)

HANDLERS = EVENTS | {
    f"{package}.{name}": source
    for package, classes in (("kinds", _KINDS), ("fails", _FAILS), ("logs", _LOGS))
    for name, source in classes.items()
}
