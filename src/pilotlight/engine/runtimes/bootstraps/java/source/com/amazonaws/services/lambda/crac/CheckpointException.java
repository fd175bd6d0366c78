package com.amazonaws.services.lambda.crac;

/** Its suppressed exceptions are those of the resources. */
public class CheckpointException extends Exception {
    private static final long serialVersionUID = 1;

    public CheckpointException() {
    }

    public CheckpointException(String message) {
        super(message);
    }
}
