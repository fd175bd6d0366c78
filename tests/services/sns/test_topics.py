"""Topics and their messages, over the wire."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from pilotlight.testing.cloud import Cloud
from tests.services.awslambda.wire import make_function, make_role, zipped
from tests.services.sns.conftest import Peer

ANYONE = json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}]})


@pytest.fixture
def sns(cloud: Cloud) -> Any:
    return cloud.client("sns")


@pytest.fixture
def topic(sns: Any) -> str:
    return str(sns.create_topic(Name="news")["TopicArn"])


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as failed:
        call(**request)
    error = failed.value.response["Error"]
    return error["Code"], error["Message"]


def a_queue(cloud: Cloud, name: str = "q", policy: str = ANYONE) -> tuple[str, str]:
    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    rights = {"Policy": policy} if policy else {}
    url = cloud.client("sqs").create_queue(QueueName=name, Attributes={**rights, **fifo})["QueueUrl"]
    return url, f"arn:aws:sqs:us-east-1:000000000000:{name}"


def settle(cloud: Cloud) -> None:
    """Moving the clock waits for all that was due."""
    cloud.clock.advance(seconds=1)


def received(cloud: Cloud, url: str) -> list[dict[str, Any]]:
    settle(cloud)
    return list(
        cloud.client("sqs")
        .receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        .get("Messages", [])
    )


def test_a_topic_is_made_told_and_deleted(sns: Any, topic: str) -> None:
    assert topic == "arn:aws:sns:us-east-1:000000000000:news"
    assert sns.create_topic(Name="news")["TopicArn"] == topic
    told = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert (told["Owner"], told["SubscriptionsConfirmed"], told["DisplayName"]) == ("000000000000", "0", "")
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="News")
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"] == "News"
    sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sns.untag_resource(ResourceArn=topic, TagKeys=["a"])
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "b", "Value": "2"}]
    sns.delete_topic(TopicArn=topic)
    sns.delete_topic(TopicArn=topic)
    assert refused(sns.get_topic_attributes, TopicArn=topic) == ("NotFound", "Topic does not exist")


def test_lists_are_paged(sns: Any) -> None:
    for number in range(101):
        sns.create_topic(Name=f"t-{number:03d}")
    first = sns.list_topics()
    assert len(first["Topics"]) == 100
    assert [one["TopicArn"][-5:] for one in sns.list_topics(NextToken=first["NextToken"])["Topics"]] == ["t-100"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"Name": "a b"}, "Invalid parameter: Topic Name"),
        ({"Name": "a", "Attributes": {"Nope": "1"}}, "Unknown attribute Nope"),
        ({"Name": "a", "Attributes": {"FifoTopic": "true"}}, "Fifo Topic names must end with .fifo"),
        ({"Name": "a", "Attributes": {"ContentBasedDeduplication": "true"}}, "FIFO topics"),
        ({"Name": "news", "Attributes": {"DisplayName": "x"}}, "already exists with different attributes"),
        ({"Name": "news", "Tags": [{"Key": "a", "Value": "b"}]}, "already exists with different tags"),
    ],
)
def test_what_no_topic_can_be_is_refused(sns: Any, topic: str, request_: dict[str, Any], message: str) -> None:
    code, said = refused(sns.create_topic, **request_)
    assert code == "InvalidParameter"
    assert message in said


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"Message": "x" * 262_145}, "Invalid parameter: Message too long"),
        ({"Message": ""}, "Invalid parameter: Empty message"),
        ({"Message": "m", "Subject": "a\nb"}, "Invalid parameter: Subject"),
        ({"Message": "m", "Subject": "x" * 101}, "Invalid parameter: Subject"),
        ({"Message": "m", "MessageStructure": "json"}, "JSON message body failed to parse"),
        ({"Message": "{}", "MessageStructure": "json"}, "No default entry in JSON message body"),
        ({"Message": "m", "MessageDeduplicationId": "d"}, "not valid for this topic type"),
    ],
)
def test_what_cannot_be_published_is_refused(sns: Any, topic: str, request_: dict[str, Any], message: str) -> None:
    code, said = refused(sns.publish, TopicArn=topic, **request_)
    assert code == "InvalidParameter"
    assert message in said


@pytest.mark.parametrize(
    ("protocol", "endpoint", "code", "message"),
    [
        ("sqs", "x", "InvalidParameter", "SQS endpoint ARN"),
        ("lambda", "x", "InvalidParameter", "Lambda endpoint ARN"),
        ("http", "https://a", "InvalidParameter", "Endpoint must match the specified protocol"),
        ("http", "http://127.0.0.1:4566/_pilotlight/reset", "InvalidParameter", "own pages"),
        ("http", "http://[a", "InvalidParameter", "Endpoint must match the specified protocol"),
        ("http", "http://a:99999/", "InvalidParameter", "Endpoint must match the specified protocol"),
        ("https", "https://user:secret@a/", "NotImplemented", "a name and a password"),
        ("email", "x", "InvalidParameter", "Email address"),
        ("sms", "12", "InvalidParameter", "Invalid SMS endpoint: 12"),
        ("pigeon", "x", "InvalidParameter", "does not support this protocol string: pigeon"),
        ("sqs", "arn:aws:sqs:us-east-1:000000000000:a.fifo", "InvalidParameter", "FIFO SQS Queues can not"),
        ("firehose", "arn:aws:firehose:us-east-1:000000000000:deliverystream/a", "NotImplemented", "Firehose"),
        ("application", "arn:aws:sns:us-east-1:000000000000:endpoint/x", "NotImplemented", "mobile applications"),
    ],
)
def test_what_cannot_subscribe_is_refused(
    sns: Any, topic: str, protocol: str, endpoint: str, code: str, message: str
) -> None:
    found, said = refused(sns.subscribe, TopicArn=topic, Protocol=protocol, Endpoint=endpoint)
    assert found == code
    assert message in said


def certificate_of(told: dict[str, Any]) -> x509.Certificate:
    with urllib.request.urlopen(told["SigningCertURL"]) as answer:
        return x509.load_pem_x509_certificate(answer.read())


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_queue_gets_the_signed_envelope(sns: Any, topic: str, cloud: Cloud, version: str) -> None:
    url, arn = a_queue(cloud)
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue=version)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    attributes = {"color": {"DataType": "String", "StringValue": "red"}}
    sent = sns.publish(TopicArn=topic, Message="hello", Subject="Hi", MessageAttributes=attributes)
    (message,) = received(cloud, url)
    told = json.loads(message["Body"])
    assert (told["Type"], told["MessageId"], told["Message"]) == ("Notification", sent["MessageId"], "hello")
    assert told["MessageAttributes"] == {"color": {"Type": "String", "Value": "red"}}
    signed = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
    text = "".join(f"{name}\n{told[name]}\n" for name in signed)
    key = certificate_of(told).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    digest = hashes.SHA1() if version == "1" else hashes.SHA256()
    key.verify(base64.b64decode(told["Signature"]), text.encode(), padding.PKCS1v15(), digest)


def test_raw_delivery_hands_over_the_message_alone(sns: Any, topic: str, cloud: Cloud) -> None:
    url, arn = a_queue(cloud)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    attributes = {"b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    sns.publish(
        TopicArn=topic,
        Message=json.dumps({"default": "d", "sqs": "for queues"}),
        MessageStructure="json",
        MessageAttributes=attributes,
    )
    (message,) = received(cloud, url)
    assert message["Body"] == "for queues"
    assert message["MessageAttributes"]["b"]["BinaryValue"] == b"\x00\xff"


def test_a_filter_policy_chooses(sns: Any, topic: str, cloud: Cloud) -> None:
    url, arn = a_queue(cloud)
    policy = {"color": ["red", {"prefix": "bl"}], "size": [{"numeric": [">", 3]}]}
    given = {"RawMessageDelivery": "true", "FilterPolicy": json.dumps(policy)}
    made = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=given)["SubscriptionArn"]
    for color, size in (("red", "4"), ("red", "3"), ("blue", "10"), ("green", "9")):
        attributes = {
            "color": {"DataType": "String", "StringValue": color},
            "size": {"DataType": "Number", "StringValue": size},
        }
        sns.publish(TopicArn=topic, Message=color + size, MessageAttributes=attributes)
    assert sorted(message["Body"] for message in received(cloud, url)) == ["blue10", "red4"]
    for name, value in (
        ("FilterPolicyScope", "MessageBody"),
        ("FilterPolicy", json.dumps({"a": {"b": [1]}})),
    ):
        sns.set_subscription_attributes(SubscriptionArn=made, AttributeName=name, AttributeValue=value)
    sns.publish(TopicArn=topic, Message='{"a": {"b": 1}}')
    sns.publish(TopicArn=topic, Message='{"a": {"b": 2}}')
    sns.publish(TopicArn=topic, Message="no json")
    assert [message["Body"] for message in received(cloud, url)] == ['{"a": {"b": 1}}']


@pytest.mark.parametrize(
    "policy",
    [
        "x",
        "[]",
        '{"a": "b"}',
        '{"a": {"b": ["c"]}}',
        '{"a": [{"wildcard": "b"}]}',
        json.dumps({key: ["x"] for key in "abcdef"}),
    ],
)
def test_a_filter_policy_that_cannot_hold_is_refused(sns: Any, topic: str, policy: str) -> None:
    endpoint = "arn:aws:sqs:us-east-1:000000000000:q"
    given = {"FilterPolicy": policy}
    code, message = refused(sns.subscribe, TopicArn=topic, Protocol="sqs", Endpoint=endpoint, Attributes=given)
    assert code == "InvalidParameter"
    assert "ilter" in message


def test_a_batch_fails_in_parts(sns: Any, topic: str, cloud: Cloud) -> None:
    url, arn = a_queue(cloud)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    entries = [{"Id": "good", "Message": "m"}, {"Id": "bad", "Message": "m", "Subject": "a\nb"}]
    told = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [one["Id"] for one in told["Successful"]] == ["good"]
    assert [(one["Id"], one["Code"]) for one in told["Failed"]] == [("bad", "InvalidParameter")]
    assert len(received(cloud, url)) == 1
    same = [{"Id": "a", "Message": "m"}] * 2
    assert refused(sns.publish_batch, TopicArn=topic, PublishBatchRequestEntries=same)[0] == "BatchEntryIdsNotDistinct"
    many = [{"Id": str(number), "Message": "m"} for number in range(11)]
    code, _ = refused(sns.publish_batch, TopicArn=topic, PublishBatchRequestEntries=many)
    assert code == "TooManyEntriesInBatchRequest"


def test_what_a_queue_refuses_goes_to_the_dead_letter_queue(sns: Any, topic: str, cloud: Cloud) -> None:
    closed, arn = a_queue(cloud, policy="")
    dead, dead_arn = a_queue(cloud, "dead")
    policy = json.dumps({"deadLetterTargetArn": dead_arn})
    given = {"RedrivePolicy": policy, "RawMessageDelivery": "true"}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=given)
    sns.publish(TopicArn=topic, Message="lost?")
    assert [message["Body"] for message in received(cloud, dead)] == ["lost?"]
    assert received(cloud, closed) == []


def test_fifo_keeps_order_and_drops_what_came_before(sns: Any, cloud: Cloud) -> None:
    url, arn = a_queue(cloud, "line.fifo")
    given = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    topic = sns.create_topic(Name="line.fifo", Attributes=given)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    assert "MessageGroupId" in refused(sns.publish, TopicArn=topic, Message="x")[1]
    entries = [{"Id": str(number), "Message": str(number), "MessageGroupId": "g"} for number in range(8)]
    first = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)["Successful"]
    again = sns.publish(TopicArn=topic, Message="0", MessageGroupId="g")
    assert (again["MessageId"], again["SequenceNumber"]) == (first[0]["MessageId"], first[0]["SequenceNumber"])
    assert [message["Body"] for message in received(cloud, url)] == [str(number) for number in range(8)]


def test_mail_and_text_messages_are_in_the_mailbox(sns: Any, topic: str, cloud: Cloud) -> None:
    pending = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")["SubscriptionArn"]
    assert pending == "pending confirmation"
    sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+15550100")
    settle(cloud)
    (asked,) = cloud.page("GET", "/_pilotlight/mailbox")["messages"]
    urllib.request.urlopen(asked["body"].splitlines()[-1]).close()
    sns.publish(TopicArn=topic, Message="hello", Subject="Hi")
    sns.publish(PhoneNumber="+15550101", Message="direct")
    settle(cloud)
    told = cloud.page("GET", "/_pilotlight/mailbox")["messages"][1:]
    assert sorted((one["protocol"], one["address"], one["body"]) for one in told) == [
        ("email", "a@example.com", "hello"),
        ("sms", "+15550100", "hello"),
        ("sms", "+15550101", "direct"),
    ]


def test_a_web_server_confirms_is_told_and_retried(sns: Any, topic: str, cloud: Cloud, peer: Peer) -> None:
    cloud.clock.freeze()
    dead, dead_arn = a_queue(cloud, "dead")
    given = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn})}
    given |= {"DeliveryPolicy": json.dumps({"requestPolicy": {"headerContentType": "application/json"}})}
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=peer.url, Attributes=given)
    settle(cloud)
    headers, body = peer.seen.pop()
    assert headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
    made = sns.confirm_subscription(TopicArn=topic, Token=json.loads(body)["Token"])["SubscriptionArn"]
    assert refused(sns.confirm_subscription, TopicArn=topic, Token="x")[0] == "InvalidParameter"
    sns.publish(TopicArn=topic, Message="one")
    settle(cloud)
    headers, body = peer.seen.pop()
    assert (headers["x-amz-sns-message-type"], headers["x-amz-sns-subscription-arn"]) == ("Notification", made)
    assert json.loads(body)["Message"] == "one"
    assert headers["content-type"] == "application/json"

    peer.status = 500
    sns.publish(TopicArn=topic, Message="two")
    settle(cloud)
    assert len(peer.seen) == 1
    cloud.clock.advance(seconds=21)
    assert len(peer.seen) == 2
    cloud.clock.advance(seconds=41)
    assert len(peer.seen) == 4
    (message,) = received(cloud, dead)
    assert json.loads(message["Body"])["Message"] == "two"


def test_a_function_gets_aws_s_event(sns: Any, topic: str, cloud: Cloud) -> None:
    url, _ = a_queue(cloud, "out")
    make_role(cloud)
    rights = {"Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
    cloud.client("iam").put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=json.dumps(rights))
    code = (
        "import boto3, json\n"
        "def handler(event, context):\n"
        "    boto3.client('sqs').send_message(\n"
        "        QueueUrl='http://127.0.0.1:4566/000000000000/out', MessageBody=json.dumps(event))\n"
    )
    function = make_function(cloud, "told", zipped(app_py=code))["FunctionArn"]
    functions = cloud.client("lambda")
    functions.get_waiter("function_active_v2").wait(FunctionName="told")
    functions.add_permission(
        FunctionName="told",
        StatementId="s",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
        SourceArn=topic,
    )
    made = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)["SubscriptionArn"]
    sns.publish(TopicArn=topic, Message="hello")
    (message,) = received(cloud, url)
    (record,) = json.loads(message["Body"])["Records"]
    assert (record["EventSource"], record["EventSubscriptionArn"]) == ("aws:sns", made)
    assert (record["Sns"]["Message"], record["Sns"]["Subject"]) == ("hello", None)
    assert "SigningCertUrl" in record["Sns"]


def test_buckets_notify_topics_that_let_them(sns: Any, topic: str, cloud: Cloud) -> None:
    url, arn = a_queue(cloud)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="uploads")
    wanted = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
    call = s3.put_bucket_notification_configuration
    assert refused(call, Bucket="uploads", NotificationConfiguration=wanted)[0] == "InvalidArgument"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    call(Bucket="uploads", NotificationConfiguration=wanted)
    s3.put_object(Bucket="uploads", Key="cat.jpg", Body=b"x")
    told = [json.loads(message["Body"]) for message in received(cloud, url)]
    assert [one["Records"][0]["s3"]["object"]["key"] for one in told if "Records" in one] == ["cat.jpg"]


def test_a_stack_has_topics(cloud: Cloud, sns: Any) -> None:
    template = {
        "Resources": {
            "Q": {"Type": "AWS::SQS::Queue"},
            "T": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "One"}},
            "S": {
                "Type": "AWS::SNS::Subscription",
                "Properties": {
                    "TopicArn": {"Ref": "T"},
                    "Protocol": "sqs",
                    "Endpoint": {"Fn::GetAtt": ["Q", "Arn"]},
                    "RawMessageDelivery": True,
                    "FilterPolicy": {"a": ["b"]},
                },
            },
            "P": {
                "Type": "AWS::SNS::TopicPolicy",
                "Properties": {
                    "Topics": [{"Ref": "T"}],
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": []},
                },
            },
        }
    }
    stacks = cloud.client("cloudformation")
    stacks.create_stack(StackName="s", TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig={"Delay": 1})
    (one,) = sns.list_subscriptions()["Subscriptions"]
    told = sns.get_subscription_attributes(SubscriptionArn=one["SubscriptionArn"])["Attributes"]
    assert (told["RawMessageDelivery"], told["FilterPolicyScope"]) == ("true", "MessageAttributes")
    policy = json.loads(sns.get_topic_attributes(TopicArn=one["TopicArn"])["Attributes"]["Policy"])
    assert policy["Statement"] == []
    stacks.delete_stack(StackName="s")
    stacks.get_waiter("stack_delete_complete").wait(StackName="s", WaiterConfig={"Delay": 1})
    assert sns.list_topics()["Topics"] == []
