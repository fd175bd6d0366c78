package pilotlight.runtime;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a handler learns of its invocation. */
final class LambdaContext implements Context {
    private final Map<?, ?> start;
    private final Map<?, ?> header;
    private final LambdaLogger logger;
    private final long deadline;
    private final ClientContext client;
    private final CognitoIdentity identity;

    LambdaContext(Map<?, ?> start, Map<?, ?> header, LambdaLogger logger) {
        this.start = start;
        this.header = header;
        this.logger = logger;
        deadline = ((Number) header.get("deadline_ms")).longValue();
        client = header.get("client_context") == null ? null : clientOf((String) header.get("client_context"));
        identity = header.get("identity") == null ? null : identityOf((String) header.get("identity"));
    }

    @Override
    public String getAwsRequestId() {
        return (String) header.get("request_id");
    }

    @Override
    public String getLogGroupName() {
        return (String) start.get("log_group");
    }

    @Override
    public String getLogStreamName() {
        return (String) start.get("log_stream");
    }

    @Override
    public String getFunctionName() {
        return (String) start.get("function_name");
    }

    @Override
    public String getFunctionVersion() {
        return (String) start.get("function_version");
    }

    @Override
    public String getInvokedFunctionArn() {
        return (String) header.get("invoked_arn");
    }

    @Override
    public CognitoIdentity getIdentity() {
        return identity;
    }

    @Override
    public ClientContext getClientContext() {
        return client;
    }

    @Override
    public int getRemainingTimeInMillis() {
        return (int) (deadline - System.currentTimeMillis());
    }

    @Override
    public int getMemoryLimitInMB() {
        return ((Number) start.get("memory_mb")).intValue();
    }

    @Override
    public LambdaLogger getLogger() {
        return logger;
    }

    @Override
    public String getXrayTraceId() {
        return (String) header.get("trace_id");
    }

    private static Map<?, ?> members(Object json) {
        return json instanceof Map ? (Map<?, ?>) json : Map.of();
    }

    private static String text(Map<?, ?> from, String name) {
        Object value = from.get(name);
        return value == null ? null : value.toString();
    }

    private static Map<String, String> texts(Object json) {
        if (!(json instanceof Map)) {
            return null;
        }
        Map<String, String> made = new LinkedHashMap<>();
        for (Object name : ((Map<?, ?>) json).keySet()) {
            made.put((String) name, text((Map<?, ?>) json, (String) name));
        }
        return made;
    }

    private static CognitoIdentity identityOf(String text) {
        Map<?, ?> json = members(Json.parse(text));
        return new CognitoIdentity() {
            @Override
            public String getIdentityId() {
                return text(json, "cognitoIdentityId");
            }

            @Override
            public String getIdentityPoolId() {
                return text(json, "cognitoIdentityPoolId");
            }
        };
    }

    private static ClientContext clientOf(String text) {
        Map<?, ?> json = members(Json.parse(text));
        Map<String, String> custom = texts(json.get("custom"));
        Map<String, String> environment = texts(json.get("env"));
        Client client = json.get("client") instanceof Map ? applicationOf(members(json.get("client"))) : null;
        return new ClientContext() {
            @Override
            public Client getClient() {
                return client;
            }

            @Override
            public Map<String, String> getCustom() {
                return custom;
            }

            @Override
            public Map<String, String> getEnvironment() {
                return environment;
            }
        };
    }

    private static Client applicationOf(Map<?, ?> json) {
        return new Client() {
            @Override
            public String getInstallationId() {
                return text(json, "installation_id");
            }

            @Override
            public String getAppTitle() {
                return text(json, "app_title");
            }

            @Override
            public String getAppVersionName() {
                return text(json, "app_version_name");
            }

            @Override
            public String getAppVersionCode() {
                return text(json, "app_version_code");
            }

            @Override
            public String getAppPackageName() {
                return text(json, "app_package_name");
            }
        };
    }
}
