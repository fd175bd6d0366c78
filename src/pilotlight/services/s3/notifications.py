"""Notification configurations: checked as AWS checks them, the destination's permission included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pilotlight.arn import Arn
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import errors, events, names, store
from pilotlight.services.s3.access import PRINCIPAL, Shared
from pilotlight.services.s3.store import Bucket

Params = Mapping[str, Any]

EVENTS = (
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ObjectAcl:Put",
)
ELSEWHERE = ("s3:ReducedRedundancyLostObject", "s3:Replication:", "s3:IntelligentTiering")
"""Events whose causes do not happen here."""
FILTER_CHARS_MAX = 1024
MISSING = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NotFound", "NotFoundException")
DENIED = ("AccessDeniedException", "AccessDenied", "AuthorizationError")


class Notifications:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def get_bucket_notification_configuration(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        return dict(bucket.settings.get("notification", {}))

    async def put_bucket_notification_configuration(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        given = request["NotificationConfiguration"]
        if "EventBridgeConfiguration" in given:
            raise NotImplementedHere("PutBucketNotificationConfiguration with EventBridge")
        checked = {
            kind: [self._checked(item, member) for item in given[kind]]
            for kind, member in events.KINDS.items()
            if given.get(kind)
        }
        listed = [item for items in checked.values() for item in items]
        if len({item["Id"] for item in listed}) != len(listed):
            raise errors.invalid_argument(
                "Same ID used for multiple configurations. IDs must be unique", "Id", listed[0]["Id"]
            )
        if events.overlapping(listed):
            raise AwsError(
                "InvalidArgument",
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes "
                "are overlapping for the same event type.",
            )
        if not request.get("SkipDestinationValidation"):
            await self._check_destinations(caller, bucket, listed)
        await self._shared.database.write(store.change_bucket, bucket, "notification", checked or None)

    def _checked(self, item: Params, member: str) -> dict[str, Any]:
        arn = item[member]
        if not _names_a(member, arn):
            raise errors.invalid_argument("The ARN could not be parsed", member, arn)
        wanted = item["Events"]
        for event in wanted:
            if event.startswith(ELSEWHERE):
                raise NotImplementedHere(f"PutBucketNotificationConfiguration with {event}")
            if event not in EVENTS:
                raise errors.invalid_argument("The event is not supported for notifications", "Event", event)
        if not wanted:
            raise errors.malformed_xml()
        checked: dict[str, Any] = {
            "Id": item.get("Id") or self._shared.ids.uuid(),
            member: arn,
            "Events": list(wanted),
        }
        rules = item.get("Filter", {}).get("Key", {}).get("FilterRules", ())
        if rules:
            checked["Filter"] = {"Key": {"FilterRules": _checked_rules(rules)}}
        return checked

    async def _check_destinations(self, caller: Caller, bucket: Bucket, checked: Sequence[Params]) -> None:
        """May S3 reach them? Asked on the road that the events will take: functions by a dry run, queues and
        topics by a test message."""
        asker = Caller.of_service(
            PRINCIPAL, account=bucket.account, region=bucket.region, source_arn=names.bucket_arn(bucket.name)
        )
        asker = replace(asker, context={"aws:SourceAccount": bucket.account})
        now_ms = self._shared.clock.now_ms()
        test = events.test_message(bucket.name, request_id=caller.request_id, now_ms=now_ms)
        arns = [str(item[member]) for item in checked for member in events.KINDS.values() if member in item]
        for arn in dict.fromkeys(arns):
            parsed = Arn.parse(arn)
            if parsed.region != bucket.region:
                reason = "The notification destination service region is not valid for the bucket location constraint"
                raise AwsError("InvalidArgument", reason, members={"ArgumentName": "arn", "ArgumentValue": arn})
            if parsed.resource.endswith(".fifo"):
                raise _invalid_destination(arn, "FIFO SQS queues are not supported")
            service, operation, params = _test_call(arn, test)
            try:
                await self._shared.cloud.call(service, operation, params, asker.in_region(parsed.region))
            except AwsError as error:
                raise _unreachable(arn, parsed.service, error) from None


def _test_call(arn: str, test: str) -> tuple[str, str, dict[str, Any]]:
    parsed = Arn.parse(arn)
    if parsed.service == "lambda":
        return "lambda", "Invoke", {"FunctionName": arn, "InvocationType": "DryRun"}
    if parsed.service == "sns":
        return "sns", "Publish", {"TopicArn": arn, "Message": test, "Subject": events.SUBJECT}
    url = f"https://sqs.{parsed.region}.amazonaws.com/{parsed.account}/{parsed.resource}"
    return "sqs", "SendMessage", {"QueueUrl": url, "MessageBody": test}


def _unreachable(arn: str, service: str, error: AwsError) -> AwsError:
    """AWS's reason, by the kind of the destination; what is no refusal stays as it is."""
    if service == "lambda":
        if error.code == "ResourceNotFoundException":
            return _invalid_destination(arn, "The destination Lambda function does not exist")
        if error.code in DENIED:
            return _invalid_destination(arn, f"Not authorized to invoke function [{arn}]")
        return error
    what = "queue" if service == "sqs" else "topic"
    if error.code in MISSING:
        return _invalid_destination(arn, f"The destination {what} does not exist")
    if error.code in DENIED:
        reason = f"Permissions on the destination {what} do not allow S3 to publish notifications from this bucket"
        return _invalid_destination(arn, reason)
    return error


def _invalid_destination(arn: str, reason: str) -> AwsError:
    message = "Unable to validate the following destination configurations"
    return AwsError("InvalidArgument", message, members={"ArgumentName1": arn, "ArgumentValue1": reason})


def _names_a(member: str, arn: str) -> bool:
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return False
    if member == "LambdaFunctionArn":
        return parsed.service == "lambda" and parsed.resource.startswith("function:")
    return parsed.service == ("sqs" if member == "QueueArn" else "sns") and bool(parsed.resource)


def _checked_rules(rules: Sequence[Params]) -> list[dict[str, str]]:
    checked: dict[str, str] = {}
    for rule in rules:
        name, value = str(rule.get("Name", "")), str(rule.get("Value", ""))
        if name.lower() not in ("prefix", "suffix"):
            raise errors.invalid_argument("filter rule name must be either prefix or suffix", "FilterRule.Name", name)
        title = name.lower().capitalize()
        if title in checked:
            message = f"Cannot specify more than one {name.lower()} rule in a filter."
            raise errors.invalid_argument(message, f"FilterRule.{name.lower().capitalize()}", value)
        if len(value) > FILTER_CHARS_MAX:
            message = f"Size of filter rule value cannot exceed {FILTER_CHARS_MAX} bytes in UTF-8 representation"
            raise errors.invalid_argument(message, "FilterRule.Value", value)
        checked[title] = value
    # AWS: read back, the names begin with a capital.
    return [{"Name": name, "Value": value} for name, value in checked.items()]
