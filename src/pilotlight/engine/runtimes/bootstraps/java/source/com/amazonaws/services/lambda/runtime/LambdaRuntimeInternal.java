package com.amazonaws.services.lambda.runtime;

/** How the appenders for log4j ask for the request's id in its context. */
public final class LambdaRuntimeInternal {
    private static boolean useLog4jAppender;

    private LambdaRuntimeInternal() {
    }

    public static void setUseLog4jAppender(boolean use) {
        useLog4jAppender = use;
    }

    public static boolean getUseLog4jAppender() {
        return useLog4jAppender;
    }
}
