package com.amazonaws.services.lambda.runtime;

/** Who invoked, where Amazon Cognito vouched for them. */
public interface CognitoIdentity {
    String getIdentityId();

    String getIdentityPoolId();
}
