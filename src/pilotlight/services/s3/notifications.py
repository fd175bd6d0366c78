"""Notification configurations: checked as AWS checks them, the destination's permission included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
)
ELSEWHERE = (
    "s3:ReducedRedundancyLostObject",
    "s3:ObjectRestore:",
    "s3:Replication:",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
    "s3:ObjectAcl:",
    "s3:LifecycleExpiration:",
)
"""Events whose causes do not happen here yet."""
FILTER_CHARS_MAX = 1024
REFUSED = {
    "QueueConfigurations": "queues",
    "TopicConfigurations": "topics",
    "EventBridgeConfiguration": "EventBridge",
}


class Notifications:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def get_bucket_notification_configuration(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(request)
        return dict(bucket.settings.get("notification", {}))

    async def put_bucket_notification_configuration(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(request)
        given = request["NotificationConfiguration"]
        for member, what in REFUSED.items():
            if given.get(member) or (member == "EventBridgeConfiguration" and member in given):
                raise NotImplementedHere(f"PutBucketNotificationConfiguration with {what}")
        checked = [self._checked(item) for item in given.get("LambdaFunctionConfigurations", ())]
        if len({item["Id"] for item in checked}) != len(checked):
            raise errors.invalid_argument(
                "Same ID used for multiple configurations. IDs must be unique", "Id", checked[0]["Id"]
            )
        if events.overlapping(checked):
            raise AwsError(
                "InvalidArgument",
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes "
                "are overlapping for the same event type.",
            )
        if not request.get("SkipDestinationValidation"):
            await self._check_destinations(bucket, checked)
        value = {"LambdaFunctionConfigurations": checked} if checked else None
        await self._shared.database.write(store.change_bucket, bucket, "notification", value)

    def _checked(self, item: Params) -> dict[str, Any]:
        arn = item["LambdaFunctionArn"]
        if not _is_function(arn):
            raise errors.invalid_argument("The ARN could not be parsed", "LambdaFunctionArn", arn)
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
            "LambdaFunctionArn": arn,
            "Events": list(wanted),
        }
        rules = item.get("Filter", {}).get("Key", {}).get("FilterRules", ())
        if rules:
            checked["Filter"] = {"Key": {"FilterRules": _checked_rules(rules)}}
        return checked

    async def _check_destinations(self, bucket: Bucket, checked: Sequence[Params]) -> None:
        """May S3 invoke them? Asked by a dry run, on the road that the events will take."""
        asker = Caller.of_service(
            PRINCIPAL, account=bucket.account, region=bucket.region, source_arn=names.bucket_arn(bucket.name)
        )
        for arn in dict.fromkeys(str(item["LambdaFunctionArn"]) for item in checked):
            params = {"FunctionName": arn, "InvocationType": "DryRun"}
            asking = asker.in_region(Arn.parse(arn).region)
            try:
                await self._shared.cloud.call("lambda", "Invoke", params, asking)
            except AwsError as error:
                if error.code == "ResourceNotFoundException":
                    raise _invalid_destination(arn, "The destination Lambda function does not exist") from None
                if error.code in ("AccessDeniedException", "AccessDenied"):
                    raise _invalid_destination(arn, f"Not authorized to invoke function [{arn}]") from None
                raise


def _invalid_destination(arn: str, reason: str) -> AwsError:
    message = "Unable to validate the following destination configurations"
    return AwsError("InvalidArgument", message, members={"ArgumentName1": arn, "ArgumentValue1": reason})


def _is_function(arn: str) -> bool:
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return False
    return parsed.service == "lambda" and parsed.resource.startswith("function:")


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
