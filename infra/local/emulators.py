"""The emulators as the tests of the local cloud start them: MiniStack and moto with their patches, on free ports."""

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urlencode

import boto3

HERE = Path(__file__).parent
START_SECONDS = 20
ACCOUNT = "111111111111"
OTHER_ACCOUNT = "222222222222"
REGION = "us-east-1"
# Not MiniStack's own address, as behind the front door.
ENDPOINT = "http://127.0.0.1:1"

# A function that writes each event with its arrival time to a file, then behaves as its BEHAVIOUR says.
BOOTSTRAP = """#!{python}
import http.client, json, os, sys, time

def keep(event):
    with open(os.environ["KEEP"], "a") as file:
        file.write(json.dumps({{"start": time.time(), "event": event}}) + "\\n")

def answer(event):
    behaviour = os.environ["BEHAVIOUR"]
    if behaviour == "fail":
        raise RuntimeError("as configured")
    if behaviour == "slow":
        time.sleep(0.4)
    if behaviour == "name-unknown":
        return {{"batchItemFailures": [{{"itemIdentifier": "nobody"}}]}}
    if behaviour == "poison":
        bad = [r for r in event["Records"] if "poison" in json.dumps(r)]
        return {{"batchItemFailures": [{{"itemIdentifier": r["dynamodb"]["SequenceNumber"]}} for r in bad]}}
    return {{}}

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    response = api.getresponse()
    event = json.loads(response.read())
    if response.status != 200:
        sys.exit(0)
    keep(event)
    path = "/2018-06-01/runtime/invocation/" + response.headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        api.request("POST", path + "/response", json.dumps(answer(event)))
    except RuntimeError as error:
        api.request("POST", path + "/error", json.dumps({{"errorType": "Configured", "errorMessage": str(error)}}))
    api.getresponse().read()
"""


class Cloud:
    """A patched MiniStack on a free port, with moto behind it and a front door before it if needed, and clients for it."""

    def __init__(self, with_moto=False, front_door=ENDPOINT):
        self.directory = Path(tempfile.mkdtemp(prefix="ministack-patches-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.front_door = front_door
        self.moto = Moto() if with_moto else None

    def start(self):
        behind = ["--moto", self.moto.url] if self.moto else []
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, HERE / "ministack_launcher.py", str(self.port), self.directory,
                 "--endpoint-url", self.front_door, *behind],
                stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.environ["PATH"]},
            )
        if self.moto:
            self.moto.start()
        wait_for(lambda: answers(f"{self.url}/_ministack/health"), START_SECONDS,
                 f"MiniStack did not start, see {self.directory}/log")
        for account in (ACCOUNT, OTHER_ACCOUNT):
            self.role("any", account, {"Effect": "Allow", "Action": "*", "Resource": "*"})

    def stop(self):
        if self.moto:
            self.moto.stop()
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)
        shutil.rmtree(self.directory)

    def role(self, name, account, *statements, trust=None, **more):
        """Makes a role that functions and everybody in the account may assume; returns its ARN."""
        iam = self.client("iam", account)
        trust = trust or {
            "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"Service": "lambda.amazonaws.com", "AWS": f"arn:aws:iam::{account}:root"}}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust), **more)["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(*statements))
        return arn

    def client(self, service, account=ACCOUNT, region=REGION):
        return boto3.client(
            service, endpoint_url=self.url, region_name=region,
            aws_access_key_id=account, aws_secret_access_key="test")

    def queue(self, name, account=ACCOUNT, **attributes):
        """Makes a queue, to which rules of its account may send; returns its URL and ARN."""
        client, arn = self.client("sqs", account), f"arn:aws:sqs:{REGION}:{account}:{name}"
        rules = {"ArnLike": {"aws:SourceArn": f"arn:aws:events:{REGION}:{account}:rule/*"}}
        attributes = {"Policy": policy({
            "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": arn, "Condition": rules}), **attributes}
        return client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], arn

    def messages(self, url, count=1, account=ACCOUNT, seconds=5):
        """Waits until `count` messages were received from the queue."""
        client, found = self.client("sqs", account), []
        deadline = time.monotonic() + seconds
        while len(found) < count and time.monotonic() < deadline:
            answer = client.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"])
            found += answer.get("Messages", [])
        if len(found) < count:
            raise AssertionError(f"{len(found)} of {count} messages arrived within {seconds} s")
        return found

    def advance_clock(self, seconds):
        """Makes every message that much older, as the front door does; returns the sum."""
        answer = self.own_call("sqs", json.dumps({"Seconds": seconds}), **{
            "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.AdvanceClock"})
        return json.loads(answer)["AdvancedSeconds"]

    def age_credentials(self, user, created, used):
        """Makes a user's credentials older, as the front door does; in days."""
        form = {"Action": "AgeCredentials", "UserName": user, "CreatedDays": created, "UsedDays": used}
        self.own_call("iam", urlencode(form), **{"Content-Type": "application/x-www-form-urlencoded"})

    def plant_root_credentials(self, account, **credentials):
        """Gives an account's root user credentials."""
        form = {"Action": "PlantRootCredentials", **credentials}
        self.own_call("iam", urlencode(form), account, **{"Content-Type": "application/x-www-form-urlencoded"})

    def service_events(self, *entries):
        """Sends events as AWS's own services do: entries of PutEvents, with `Account` and `Region` beside them."""
        self.own_call("events", json.dumps({"Entries": entries}), **{
            "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents.SendServiceEvents"})

    def evaluate_alarms(self, account=ACCOUNT):
        """Evaluates the alarms of an account, as the front door does; returns those whose state changed."""
        answer = self.own_call("monitoring", "{}", account, **{
            "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "GraniteServiceVersion20100801.EvaluateAlarms"})
        return json.loads(answer)["Changed"]

    def own_call(self, service, body, account=ACCOUNT, **headers):
        """A call that no SDK knows; returns the answer."""
        authorization = f"AWS4-HMAC-SHA256 Credential={account}/20260301/{REGION}/{service}/aws4_request"
        request = urllib.request.Request(
            self.url, method="POST", data=body.encode(), headers={**headers, "Authorization": authorization})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read()

    def function(self, name, behaviour, account=ACCOUNT, role="any"):
        """Makes a function with a role of its account; returns its ARN."""
        arn = self.client("lambda", account).create_function(
            FunctionName=name, Runtime="provided.al2023", Handler="bootstrap", Timeout=10,
            Role=f"arn:aws:iam::{account}:role/{role}", Code={"ZipFile": bootstrap_zip()},
            Environment={"Variables": {"BEHAVIOUR": behaviour, "KEEP": str(self.directory / name)}},
        )["FunctionArn"]
        return arn

    def invocations(self, name, count=1, seconds=6):
        """Waits until the function was called `count` times; returns what it kept."""
        file = self.directory / name
        wait_for(lambda: file.exists() and len(file.read_text().splitlines()) >= count, seconds,
                 f"{name} was not called {count} times within {seconds} s")
        return [json.loads(line) for line in file.read_text().splitlines()]

    def permissions_used(self, role):
        """The permissions by which calls of a role were allowed: action, and how many permissions allow it."""
        lines = (self.directory / "permissions.jsonl").read_text(encoding="utf-8").splitlines()
        return {(use["action"], len(use["by"])) for use in map(json.loads, lines) if use["role"] == role}

    def rule(self, name, pattern, account=ACCOUNT, **target):
        """Makes a rule with one target."""
        events = self.client("events", account)
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        answer = events.put_targets(Rule=name, Targets=[{"Id": "1", **target}])
        assert not answer["FailedEntryCount"], answer

    def put_event(self, source, account=ACCOUNT, **detail):
        self.service_events({
            "Source": source, "DetailType": "test", "Detail": json.dumps(detail), "Account": account, "Region": REGION})


class Moto:
    """A patched moto on a free port."""

    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "moto_launcher.py", "--host", "127.0.0.1", "--port", str(self.port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})
        wait_for(lambda: answers(f"{self.url}/moto-api/data.json"), START_SECONDS, "moto did not start")

    def stop(self):
        # Nothing is left to save.
        self.process.kill()
        self.process.wait()

    def client(self, service, account=ACCOUNT, region=REGION, **more):
        client = boto3.client(
            service, endpoint_url=self.url, region_name=region,
            aws_access_key_id=account, aws_secret_access_key="test", **more)
        # As MiniStack and the front door say whose call it is.
        client.meta.events.register(
            "before-call", lambda params, **_: params["headers"].update({"x-moto-account-id": account}))
        return client


def policy(*statements):
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def free_port():
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url):
    """Whether a server answers at this address."""
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(url, timeout=1).status == 200
    return False


def bootstrap_zip():
    """The bootstrap above as a function's zip."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, BOOTSTRAP.format(python=sys.executable))
    return content.getvalue()


def wait_for(condition, seconds, failure):
    """Waits until `condition()` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(failure)
        time.sleep(0.05)
