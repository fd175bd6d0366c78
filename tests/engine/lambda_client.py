"""A runtime in a page of Python, for tests to put into packages: it speaks the Runtime API by hand.

Only the standard library, since it runs inside a sandbox with the host's Python.
"""

import http.client
import json
import os

API = os.environ["AWS_LAMBDA_RUNTIME_API"]


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = dict(response.getheaders())
        self.body = body

    def json(self):
        return json.loads(self.body)


connection = http.client.HTTPConnection(API)


def call(method, path, body=None, headers=None, version="2018-06-01"):
    connection.request(method, f"/{version}/{path}", body=body, headers=headers or {})
    response = connection.getresponse()
    return Answer(response, response.read())


def next_one():
    return call("GET", "runtime/invocation/next")


def request_id(invocation):
    return invocation.headers["Lambda-Runtime-Aws-Request-Id"]


def answer(invocation, value):
    return call("POST", f"runtime/invocation/{request_id(invocation)}/response", json.dumps(value))


def fail(invocation, error_type, message):
    told = json.dumps({"errorType": error_type, "errorMessage": message})
    headers = {"Lambda-Runtime-Function-Error-Type": error_type}
    return call("POST", f"runtime/invocation/{request_id(invocation)}/error", told, headers)


def serve(handler):
    while True:
        invocation = next_one()
        answer(invocation, handler(json.loads(invocation.body), invocation.headers))
