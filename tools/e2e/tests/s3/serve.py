"""An S3 server of a test's own: moto's, which checks signatures and what a key may do.

Makes one user and one bucket called `backups`, prints `ADDRESS KEY-ID SECRET` and serves until its standard input is closed.
"""

import json
import os
import sys

os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "inf"

import boto3  # noqa: E402
from moto import settings  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
anyone = {
    "endpoint_url": f"http://{host}:{port}", "region_name": "eu-central-1",
    "aws_access_key_id": "anyone", "aws_secret_access_key": "anyone",
}
iam = boto3.client("iam", **anyone)
iam.create_user(UserName="database")
allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
iam.put_user_policy(
    UserName="database", PolicyName="s3",
    PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
key = iam.create_access_key(UserName="database")["AccessKey"]
boto3.client("s3", **anyone).create_bucket(
    Bucket="backups", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

# From here on every request is checked.
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
print(f"{host}:{port}", key["AccessKeyId"], key["SecretAccessKey"], flush=True)
sys.stdin.read()
server.stop()
