"""botocore's published protocol cases, run backwards: what its clients send we read, what we send they read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.protocols.vectors import Case, cases, client_reads, comparable, request_of, values

from pilotlight.errors import AwsError
from pilotlight.protocols.router import find_operation

GZIP = "request compression is for services that none of ours is, and the cases do not say what is sent"
FILLED = "the client fills in an idempotency token, so what is sent is not what was given"
BOTH = "one member stands for two: the map's value and the named one, which wins on the wire"
UNREAD = "botocore's own parser cannot read the answer that the case gives"
OURS = "the client takes every header for the map's, since the prefix is empty; ours send some of their own"
LISTS = "botocore writes the list's name and reads its element's; no service here has both"
PATH = "the endpoint has a path of its own, which ours never has"
STREAM = "event streams are not among our protocols yet"
QUIET = "the error has no code of the query protocol's time; we send the header with its name, which says the same"
MISSES = {
    "RestJsonQueryPrecedence": BOTH,
    "RestXmlQueryPrecedence": BOTH,
    "RestJsonAllQueryStringTypes": BOTH,
    "RestJsonQueryStringEscaping": BOTH,
    "RestJsonSupportsNaNFloatQueryValues": BOTH,
    "RestJsonSupportsInfinityFloatQueryValues": BOTH,
    "RestJsonSupportsNegativeInfinityFloatQueryValues": BOTH,
    "RestJsonZeroAndFalseQueryValues": BOTH,
    "RestJsonHostWithPath": PATH,
    "SDKApp": GZIP,
    "IdempotencyTokenAutoFill": FILLED,
    "Idempotency token auto fill": FILLED,
    "QueryEmptyInputAndEmptyOutput": UNREAD,
    "QueryNoInputAndNoOutput": UNREAD,
    "QueryNoInputAndOutput": UNREAD,
    "UnsetUnion": UNREAD,
    "DenseSetMapAndSkipsNull": UNREAD,
    "Tagged Unions 3": UNREAD,
    "Unions 3": UNREAD,
    "HttpPrefixHeadersResponse": OURS,
    "Supports header maps 1": OURS,
    "rest-xml: XmlLists": LISTS,
    "Event Stream": STREAM,
    "QueryCompatibleAwsJson10NoCustomCodeError": QUIET,
}


def marked(direction: str, *, errors: bool = False) -> list[Any]:
    found = []
    for case in cases(direction):
        if errors == ("error" in case.data):
            reason = next((why for name, why in MISSES.items() if name in case.name), "")
            # Lists that botocore reads by another name than it writes them are a matter of answers only.
            skipped = reason and not (reason is LISTS and direction == "input")
            marks = [pytest.mark.skip(reason=reason)] if skipped else []
            found.append(pytest.param(case, id=case.name, marks=marks))
    return found


INPUTS, OUTPUTS, ERRORS = marked("input"), marked("output"), marked("output", errors=True)
pytestmark = pytest.mark.skipif(not INPUTS, reason="the published cases are not beside this checkout")


def said(value: Any) -> Any:
    """Without what is sent by not being sent: empty lists and maps."""
    if isinstance(value, Mapping):
        return {key: said(item) for key, item in value.items() if item not in ({}, [])}
    return value


@pytest.mark.parametrize("case", INPUTS)
async def test_what_a_client_sends_is_read(case: Case) -> None:
    operation, request = case.operation(), request_of(case)
    found = find_operation(operation.model, request)
    assert not isinstance(found, AwsError), "no route"
    parsed = operation.parse(request, found[1])
    for name, value in parsed.items():
        if hasattr(value, "__aiter__"):
            parsed[name] = await value.read()
    if case.name.endswith("JSON body 8"):
        parsed.pop("contentType")  # the client's own default
    assert said(comparable(parsed)) == said(comparable(values(operation.input, case.data.get("params", {}))))


@pytest.mark.parametrize("case", OUTPUTS)
def test_what_we_answer_is_read_by_a_client_as_the_published_answer(case: Case) -> None:
    operation, theirs = case.operation(), case.data["response"]
    ours = operation.render(values(operation.output, case.data.get("result", {})), "request-id")
    assert isinstance(ours.body, bytes)
    assert ours.status == theirs["status_code"]
    read = client_reads(case, ours.status, dict(ours.headers), ours.body)
    wanted = client_reads(case, theirs["status_code"], theirs.get("headers", {}), theirs.get("body", "").encode())
    assert said(read) == said(wanted)


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_keeps_its_code_message_and_members(case: Case) -> None:
    operation, theirs = case.operation(), case.data["response"]
    code = case.data["errorCode"]
    shape = operation.model.exception(code)
    given = values(shape, case.data["error"])
    members = {name: item for name, item in given.items() if name.lower() != "message"}
    message = case.data.get("errorMessage", "")
    error = AwsError(code, message, status=theirs["status_code"], members=members)
    ours = operation.render_error(error, "request-id")
    assert isinstance(ours.body, bytes)
    read = client_reads(case, ours.status, dict(ours.headers), ours.body)
    assert (read["Error"]["Code"], read["Error"].get("Message", "")) == (code, message)
    if shape is not None and {"shape": shape.name} in case.data["given"].get("errors", []):
        known = {name: item for name, item in members.items() if name in shape.members}
        assert {name: read.get(name) for name in known} == comparable(known)
