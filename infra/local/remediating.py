"""The remediate flow on the local cloud, as the demo and `cis.py` use it: its mode, its table, and when it has nothing left to do."""

import contextlib
import subprocess
import time

from boto3.dynamodb.types import TypeDeserializer

import cloud

COMMAND = cloud.TARGET / "debug" / "orgkeeper"

QUEUES = ("RemediationQueueUrl", "RemediationPreviewQueueUrl", "ArchiveQueueUrl")
DEAD_LETTER_QUEUES = tuple(name.replace("QueueUrl", "DeadLetterQueueUrl") for name in QUEUES)
# Of a queue: messages that wait, that are processed, and that are delayed.
COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")

# An event can be on its way from one to the next: so many looks, a second apart, have to see nothing.
IDLE_LOOKS = 3


@contextlib.contextmanager
def mode(here, name):
    """Raises the template's parameter RemediationMode within this context."""
    cloud.change_parameters(here, {"RemediationMode": name})
    try:
        yield
    finally:
        cloud.change_parameters(here, {"RemediationMode": "observe"})


def command(here, *arguments):
    """Runs `orgkeeper remediation` as a person would; what it printed, and its exit code."""
    return subprocess.run([COMMAND, "remediation", *arguments, "--region", cloud.REGION],
                          env=cloud.client_environment(here), capture_output=True, text=True, check=False)


def outputs(here):
    """The stack's outputs; fails if it has no remediate flow."""
    found = cloud.read(here.state / "outputs.json")
    if "RemediationsTableName" not in found:
        raise cloud.Failed("the stack has no output RemediationsTableName: is the remediate flow switched on?")
    return found


def records(here, account):
    """The table's records about an account, key -> record."""
    pages = here.client("dynamodb").get_paginator("scan").paginate(
        TableName=outputs(here)["RemediationsTableName"], ConsistentRead=True)
    plain = TypeDeserializer().deserialize
    found = [{name: plain(value) for name, value in item.items()} for page in pages for item in page["Items"]]
    return {record["Key"]: record for record in found if record["Key"].startswith(f"{account}#")}


def messages_in(here, queues):
    """How many messages are in these queues, by the name of their output."""
    client, found = here.client("sqs"), outputs(here)
    counts = {}
    for name in queues:
        attributes = client.get_queue_attributes(QueueUrl=found[name], AttributeNames=list(COUNTS))["Attributes"]
        counts[name] = sum(int(attributes[count]) for count in COUNTS)
    return counts


def running(here):
    """How many executions of the state machine run."""
    pages = here.client("stepfunctions").get_paginator("list_executions").paginate(
        stateMachineArn=outputs(here)["RemediationStateMachineArn"], statusFilter="RUNNING")
    return sum(len(page["executions"]) for page in pages)


def wait_until_idle(here, seconds, shows=lambda text: None):
    """Waits until the queues are empty and no execution runs, seen several times; fails after so many seconds.

    `shows` is called with the progress.
    """
    deadline, idle = time.monotonic() + seconds, 0
    while idle < IDLE_LOOKS:
        time.sleep(1)
        waiting, executions = sum(messages_in(here, QUEUES).values()), running(here)
        shows(f"{waiting} messages, {executions} executions")
        idle = 0 if waiting or executions else idle + 1
        if time.monotonic() > deadline:
            raise cloud.Failed(
                f"after {seconds} s there are still {waiting} messages and {executions} executions (logs: {cloud.shown(here.logs)})")
