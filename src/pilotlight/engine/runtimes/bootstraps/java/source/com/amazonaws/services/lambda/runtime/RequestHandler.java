package com.amazonaws.services.lambda.runtime;

/** A handler of objects: Lambda makes the input of JSON, and JSON of the output. */
public interface RequestHandler<I, O> {
    O handleRequest(I input, Context context);
}
