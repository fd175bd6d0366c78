package pilotlight.runtime;

import java.util.HashMap;
import java.util.Map;

/**
 * The classes of `aws-lambda-java-events` whose members are spelled otherwise in JSON than in Java, and how.
 *
 * AWS: the official runtime changes these names by mix-ins of its own, and reads their dates as seconds.
 */
final class EventNames {
    private static final String EVENTS = "com.amazonaws.services.lambda.runtime.events.";
    private static final String S3 = "S3EventNotification";
    private static final Map<String, Map<String, String>> NAMES = new HashMap<>();

    private static final String[] OF_RECORD = {
        "keys", "Keys", "sizeBytes", "SizeBytes", "sequenceNumber", "SequenceNumber", "streamViewType",
        "StreamViewType", "newImage", "NewImage", "oldImage", "OldImage", "approximateCreationDateTime",
        "ApproximateCreationDateTime",
    };
    private static final String[] OF_VALUE = {
        "s", "S", "n", "N", "b", "B", "nULL", "NULL", "null", "NULL", "bOOL", "BOOL", "sS", "SS", "nS", "NS", "bS",
        "BS", "m", "M", "l", "L",
    };

    static {
        names("CloudFormationCustomResourceEvent", "requestType", "RequestType", "serviceToken", "ServiceToken",
            "physicalResourceId", "PhysicalResourceId", "responseUrl", "ResponseURL", "stackId", "StackId",
            "requestId", "RequestId", "logicalResourceId", "LogicalResourceId", "resourceType", "ResourceType",
            "resourceProperties", "ResourceProperties", "oldResourceProperties", "OldResourceProperties");
        names("CloudFrontEvent", "records", "Records");
        names("CloudWatchLogsEvent", "awsLogs", "awslogs");
        names("CodeCommitEvent", "records", "Records");
        names("CodeCommitEvent$Record", "codeCommit", "codecommit", "eventSourceArn", "eventSourceARN",
            "userIdentityArn", "userIdentityARN");
        names("ConnectEvent", "details", "Details", "name", "Name");
        names("ConnectEvent$Details", "contactData", "ContactData", "parameters", "Parameters");
        names("ConnectEvent$ContactData", "attributes", "Attributes", "channel", "Channel", "contactId", "ContactId",
            "customerEndpoint", "CustomerEndpoint", "initialContactId", "InitialContactId", "initiationMethod",
            "InitiationMethod", "instanceArn", "InstanceARN", "previousContactId", "PreviousContactId", "queue",
            "Queue", "systemEndpoint", "SystemEndpoint");
        names("ConnectEvent$CustomerEndpoint", "address", "Address", "type", "Type");
        names("ConnectEvent$SystemEndpoint", "address", "Address", "type", "Type");
        names("ConnectEvent$Queue", "name", "Name");
        names("DynamodbEvent", "records", "Records");
        names("DynamodbTimeWindowEvent", "records", "Records", "eventSourceArn", "eventSourceARN");
        names("DynamodbEvent$DynamodbStreamRecord", "eventSourceArn", "eventSourceARN");
        names("models.dynamodb.StreamRecord", OF_RECORD);
        names("models.dynamodb.AttributeValue", OF_VALUE);
        NAMES.put("com.amazonaws.services.dynamodbv2.model.StreamRecord", table(OF_RECORD));
        NAMES.put("com.amazonaws.services.dynamodbv2.model.AttributeValue", table(OF_VALUE));
        names("KinesisEvent", "records", "Records");
        names("KinesisTimeWindowEvent", "records", "Records", "eventSourceArn", "eventSourceARN");
        names("ScheduledEvent", "detailType", "detail-type");
        names("SecretsManagerRotationEvent", "step", "Step", "secretId", "SecretId", "clientRequestToken",
            "ClientRequestToken", "rotationToken", "RotationToken");
        names("SNSEvent", "records", "Records");
        names("SNSEvent$SNSRecord", "sns", "Sns", "SNS", "Sns", "eventVersion", "EventVersion", "eventSource",
            "EventSource", "eventSubscriptionArn", "EventSubscriptionArn");
        names("SNSEvent$SNS", "signature", "Signature", "signingCertUrl", "SigningCertUrl", "messageId", "MessageId",
            "message", "Message", "subject", "Subject", "type", "Type", "timestamp", "Timestamp", "topicArn",
            "TopicArn", "signatureVersion", "SignatureVersion", "unsubscribeUrl", "UnsubscribeUrl",
            "messageAttributes", "MessageAttributes");
        names("SNSEvent$MessageAttribute", "type", "Type", "value", "Value");
        names("SQSEvent", "records", "Records");
        names("SQSEvent$SQSMessage", "eventSourceArn", "eventSourceARN");
        names("S3Event", "records", "Records");
        names("models.s3." + S3, "records", "Records");
        names("models.s3." + S3 + "$ResponseElementsEntity", "xAmzId2", "x-amz-id-2", "xAmzRequestId", "x-amz-request-id");
        NAMES.put("com.amazonaws.services.s3.event." + S3, table("records", "Records"));
        NAMES.put("com.amazonaws.services.s3.event." + S3 + "$ResponseElementsEntity",
            table("xAmzId2", "x-amz-id-2", "xAmzRequestId", "x-amz-request-id"));
    }

    private EventNames() {
    }

    private static void names(String type, String... pairs) {
        NAMES.put(EVENTS + type, table(pairs));
    }

    private static Map<String, String> table(String... pairs) {
        Map<String, String> made = new HashMap<>();
        for (int index = 0; index < pairs.length; index += 2) {
            made.put(pairs[index], pairs[index + 1]);
        }
        return made;
    }

    /** A member's name in JSON. */
    static String of(Class<?> type, String name) {
        for (Class<?> one = type; one != null && one != Object.class; one = one.getSuperclass()) {
            Map<String, String> names = NAMES.get(one.getName());
            if (names != null && names.containsKey(name)) {
                return names.get(name);
            }
        }
        return name;
    }

    static boolean isEvent(Class<?> type) {
        return type.getName().startsWith("com.amazonaws.services.") && NAMES.containsKey(type.getName());
    }

    static boolean madeByConstructor(Class<?> type) {
        String name = type.getName();
        return name.startsWith("com.amazonaws.services.")
            && (name.contains("." + S3 + "$") || name.endsWith("." + S3) || name.equals(EVENTS + "S3Event"));
    }
}
