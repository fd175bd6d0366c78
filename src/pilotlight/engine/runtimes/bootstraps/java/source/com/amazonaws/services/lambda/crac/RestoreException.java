package com.amazonaws.services.lambda.crac;

/** Its suppressed exceptions are those of the resources. */
public class RestoreException extends Exception {
    private static final long serialVersionUID = 1;

    public RestoreException() {
    }

    public RestoreException(String message) {
        super(message);
    }
}
