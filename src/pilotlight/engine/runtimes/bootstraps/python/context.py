"""The context object, with the names and types that AWS's own has."""

import time


class CognitoIdentity:
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, given):
        self.cognito_identity_id = (given or {}).get("cognitoIdentityId")
        self.cognito_identity_pool_id = (given or {}).get("cognitoIdentityPoolId")

    def __repr__(self):
        return (
            f"CognitoIdentity([cognito_identity_id={self.cognito_identity_id},"
            f"cognito_identity_pool_id={self.cognito_identity_pool_id}])"
        )


class Client:
    __slots__ = ("app_package_name", "app_title", "app_version_code", "app_version_name", "installation_id")

    def __init__(self, given):
        for name in self.__slots__:
            setattr(self, name, given.get(name))


class ClientContext:
    __slots__ = ("client", "custom", "env")

    def __init__(self, given):
        self.custom = given.get("custom")
        self.env = given.get("env")
        client = given.get("client")
        self.client = Client(client) if client is not None else None


class LambdaContext:
    """`get_remaining_time_in_millis` goes by wall time, as the deadline does."""

    def __init__(self, start, header, client_context, identity):
        self.aws_request_id = header["request_id"]
        self.log_group_name = start["log_group"]
        self.log_stream_name = start["log_stream"]
        self.function_name = start["function_name"]
        self.memory_limit_in_mb = str(start["memory_mb"])
        self.function_version = start["function_version"]
        self.invoked_function_arn = header["invoked_arn"]
        self.tenant_id = None
        self.client_context = ClientContext(client_context) if client_context else None
        self.identity = CognitoIdentity(identity)
        self._epoch_deadline_time_in_ms = header["deadline_ms"]

    def get_remaining_time_in_millis(self):
        remaining = self._epoch_deadline_time_in_ms - round(time.time() * 1000)
        return remaining if remaining > 0 else 0

    def log(self, message):
        print(message, end="")

    def __repr__(self):
        return (
            f"LambdaContext([aws_request_id={self.aws_request_id},log_group_name={self.log_group_name},"
            f"log_stream_name={self.log_stream_name},function_name={self.function_name},"
            f"memory_limit_in_mb={self.memory_limit_in_mb},function_version={self.function_version},"
            f"invoked_function_arn={self.invoked_function_arn},client_context={self.client_context},"
            f"identity={self.identity},"
            f"tenant_id={self.tenant_id}])"
        )
