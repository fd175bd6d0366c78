"""Two functions: one makes thumbnails of what is uploaded, the other tells about them."""

import io
import json
import os
import pathlib
import urllib.parse

import boto3

storage = boto3.client("s3")
table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
print("initialised: clients are made once an instance")

LONGEST_SIDE = 320


def shrink(event, context):
    """For each uploaded picture: a thumbnail beside it, and an item that describes both."""
    from PIL import Image

    made = []
    for record in event["Records"]:
        bucket = record["s3"]["bucket"]["name"]
        key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        with Image.open(storage.get_object(Bucket=bucket, Key=key)["Body"]) as picture:
            size = picture.size
            picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            data = io.BytesIO()
            picture.save(data, "JPEG", quality=85)
        thumbnail = key.replace("uploads/", "thumbnails/", 1)
        storage.put_object(Bucket=bucket, Key=thumbnail, Body=data.getvalue(), ContentType="image/jpeg")
        item = {
            "name": pathlib.PurePosixPath(key).stem,
            "original": {"key": key, "width": size[0], "height": size[1]},
            "thumbnail": {"key": thumbnail, "width": picture.width, "height": picture.height},
            "milliseconds_left": context.get_remaining_time_in_millis(),
        }
        table.put_item(Item=item)
        print("made", thumbnail, picture.size)
        made.append(thumbnail)
    return {"thumbnails": made}


def describe(event, context):
    """GET /pictures/{name}"""
    found = table.get_item(Key={"name": event["pathParameters"]["name"]}).get("Item")
    if found is None:
        return {"statusCode": 404, "body": json.dumps({"error": "no such picture"})}
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(found, default=int),
    }
