"""Patches of MiniStack, where it differs from AWS in a way that affects orgkeeper.

MiniStack runs the template and the functions on this machine. Each function below corrects one difference; its
docstring says what AWS does, what MiniStack does and what the patch changes. Those of IAM's checks are in
`ministack_iam.py` and `ministack_roles.py`, those of IAM's data in `ministack_users.py`, those of CloudFormation in
`ministack_stacksets.py` and `ministack_resources.py`, and what moto answers in `passed_on.py`. `PATCHES` at the end
lists them all with the private functions of MiniStack that each one replaces or calls. `apply_all` compares these with the installed MiniStack before it changes anything, so that another version fails at the start, by name,
and not in a test.

Import this module only after the environment is set: MiniStack reads its settings while it is imported.
"""

import contextlib
import contextvars
import datetime
import functools
import importlib
import inspect
import json
import re
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Callable
from urllib.parse import urlsplit

import yaml
from ministack.core import lambda_runtime
from ministack.core.arn import parse_arn
from ministack.core.responses import error_response_json, get_region, request_scope
from ministack.services.cloudformation import changesets, engine, provisioners
from ministack.services import (
    apigateway, cloudtrail, dynamodb, eventbridge, kms, lambda_svc, s3, scheduler, sns, sqs)

import ministack_events
import ministack_iam
import ministack_resources
import ministack_roles
import ministack_organization
import ministack_root
import ministack_stacksets
import ministack_users
import passed_on

MINISTACK_VERSION = "1.5.33"

# The limit of a request to Lambda, and about the size that Lambda adds to each message.
INVOCATION_BYTES = 6 * 1024 * 1024
RECORD_OVERHEAD_BYTES = 1024

# The interval at which MiniStack polls every queue, even if nothing wakes its poller.
POLL_SECONDS = 1.0

# AWS waits longer between retries; here only the growing delay and its limit matter.
FIRST_STREAM_RETRY_SECONDS = 0.1
LONGEST_STREAM_RETRY_SECONDS = 2.0

LONGEST_MESSAGE_DELAY_SECONDS = 900
LONGEST_SUBJECT = 99
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")

# The time between the first and the second delivery while `deliver-twice` exists.
SECOND_DELIVERY_SECONDS = 0.5

MESSAGE_TIMES = ("sent_at", "visible_at", "first_receive_at", "enqueued_at")

TARGET_BUCKET = re.compile(r"<TargetBucket>([^<]*)</TargetBucket>")
SYMMETRIC = "SYMMETRIC_DEFAULT"
FUNCTION_ARN = re.compile(r"\barn:aws:lambda:[a-z0-9-]+:(\d{12}):function:")

ENABLED = "ENABLED"
WITH_READS = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
RULE_STATES = (ENABLED, "DISABLED", WITH_READS)
READS = ("Describe", "Get", "List")
CHANGES_BY_NAME_OF_READS = ("GetFederationToken", "GetSessionToken")

UPDATE_SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")
EMPTY_SETS = {"SS": "string", "NS": "number", "BS": "binary"}


# ---------------------------------------------------------------- events


def tell_reads_from_changes(_settings):
    """AWS delivers read-only management events only to rules in state `ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS`.

    MiniStack delivers them to every rule that is `ENABLED`, and nothing at all to a rule in the other state. The
    patch delivers as AWS does, and lets PutRule refuse a state that does not exist.
    """
    put_rule = eventbridge._put_rule

    def put_rule_in_known_state(data):
        state = data.get("State", ENABLED)
        if state not in RULE_STATES:
            return error_response_json(
                "ValidationException",
                f"1 validation error detected: Value '{state}' at 'state' failed to satisfy constraint: "
                f"Member must satisfy enum value set: [{', '.join(RULE_STATES)}]", 400)
        return put_rule(data)

    def dispatch(event, view=None):
        view = view or eventbridge._pattern_event_view(event)
        states = (WITH_READS,) if is_read(event) else (ENABLED, WITH_READS)
        for key, rule in eventbridge._rules.items():
            pattern = rule.get("EventPattern")
            if rule.get("EventBusName", "default") != event.get("EventBusName", "default"):
                continue
            if not pattern or rule.get("State") not in states or key in (event.get("_DispatchPath") or ()):
                continue
            if eventbridge._matches_pattern_view(pattern, view, f"rule {key}"):
                for target in eventbridge._targets.get(key, []):
                    eventbridge._invoke_target(target, event, rule, view)

    eventbridge._put_rule = put_rule_in_known_state
    eventbridge._dispatch_event = dispatch


def is_read(event):
    """Whether CloudTrail recorded a call that only reads: its name begins with one of `READS`."""
    if event.get("DetailType") != "AWS API Call via CloudTrail":
        return False
    detail = event.get("Detail") or "{}"
    detail = json.loads(detail) if isinstance(detail, str) else detail
    operation = str(detail.get("eventName", ""))
    return operation.startswith(READS) and operation not in CHANGES_BY_NAME_OF_READS


def poll_schedules_every_second(_settings):
    """AWS fires a schedule within its minute, a one-time schedule within seconds.

    MiniStack polls its schedules every ten seconds. The patch polls every second.
    """
    eventbridge._SCHEDULER_TICK_INTERVAL = 1
    scheduler._SCHEDULE_TICK_INTERVAL = 1


def add_object_version(_settings):
    """AWS puts `version-id` into the event of an object in a versioned bucket.

    MiniStack puts it into bucket notifications but not into the EventBridge event. The patch adds it there.
    """
    fire = s3._fire_s3_event
    dispatch = eventbridge._dispatch_event
    signature = inspect.signature(fire)
    object_version = contextvars.ContextVar("object_version", default=None)

    def fire_with_version(*args, **kwargs):
        token = object_version.set(signature.bind(*args, **kwargs).arguments.get("version_id"))
        try:
            fire(*args, **kwargs)
        finally:
            object_version.reset(token)

    def dispatch_with_version(event, view=None):
        if object_version.get() and event.get("Source") == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = object_version.get()
            event = {**event, "Detail": json.dumps(detail)}
            view = None
        dispatch(event, view)

    s3._fire_s3_event = fire_with_version
    eventbridge._dispatch_event = dispatch_with_version


# ---------------------------------------------------------------- requests that AWS refuses


def refuse_invalid_writes(_settings):
    """AWS refuses an update that names a section or a path twice, ends with a comma or writes an attribute of the key;
    and in each write a key that is not exactly the table's, an empty set and empty maps of names or values.

    MiniStack accepts the first three in every call and all of them in transactions, so a write that works here could
    fail on AWS. The patch refuses them with AWS's messages, before anything is written.
    """
    update_item = dynamodb._update_item
    write_transaction = dynamodb._transact_write_items

    def update_or_refuse(data):
        return refusal("Update", data) or update_item(data)

    def write_or_refuse(data):
        actions = [action for actions in data.get("TransactItems") or [] for action in actions.items()]
        refused = (refusal(kind, write) for kind, write in actions)
        return next(filter(None, refused), None) or write_transaction(data)

    dynamodb._update_item = update_or_refuse
    dynamodb._transact_write_items = write_or_refuse


def refusal(kind, write):
    """The error for a write that AWS refuses; None for any other."""
    table = dynamodb._tables.get(write.get("TableName"))
    sentence = next(faults_of_write(kind, write, table), None) if table else None
    return sentence and error_response_json("ValidationException", sentence, 400)


def faults_of_write(kind, write, table):
    """The errors of one write, as DynamoDB words them."""
    key_names = {table["pk_name"], table["sk_name"]} - {None}
    for field in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        if write.get(field) == {}:
            yield f"{field} must not be empty"
    for value in [*(write.get("Item") or {}).values(), *(write.get("ExpressionAttributeValues") or {}).values()]:
        for set_type, name in EMPTY_SETS.items():
            if value.get(set_type) == []:
                yield f"One or more parameter values were invalid: An {name} set  may not be empty"
    if kind != "Put" and set(write.get("Key") or {}) != key_names:
        yield "The provided key element does not match the schema"
    if kind == "Update" and write.get("UpdateExpression"):
        yield from faults_of_update(write["UpdateExpression"], write.get("ExpressionAttributeNames") or {}, key_names)


def faults_of_update(expression, names, key_names):
    """The errors in the sections and paths of an update expression."""
    sections, paths = [], []
    for kind, text in dynamodb._tokenize(expression):
        if kind == "IDENT" and text.upper() in UPDATE_SECTIONS:
            sections.append((text.upper(), []))
        elif kind != "EOF" and sections:
            sections[-1][1].append((kind, text))
    for section, tokens in sections:
        if [other for other, _tokens in sections].count(section) > 1:
            yield f'Invalid UpdateExpression: The "{section}" section can only be used once in an update expression;'
        if not tokens or tokens[-1][0] == "COMMA":
            near = tokens[-1][1] if tokens else section
            yield f'Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "{near}"'
        paths += [dynamodb._parse_path_from_tokens(part, names) for part in dynamodb._split_by_comma(tokens)]
    for number, path in enumerate(paths):
        if path and path[0] in key_names:
            yield ("One or more parameter values were invalid: "
                   f"Cannot update attribute {path[0]}. This attribute is part of the key")
        for other in paths[:number]:
            shorter = min(len(path), len(other))
            if path[:shorter] == other[:shorter]:
                yield ("Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite "
                       f"one of these paths; path one: {shown_path(other)}, path two: {shown_path(path)}")


def shown_path(path):
    """A document path in the form of DynamoDB's errors."""
    return "[" + ", ".join(map(str, path)) + "]"


def refuse_invalid_messages(_settings):
    """AWS refuses a message to a topic that is empty, whose subject is too long or has control characters, or that
    has MessageStructure=json and is not JSON with a text as `default`; and a message to a queue with a delay of more
    than 15 minutes.

    MiniStack accepts them all. The patch refuses them.
    """
    publish = sns.publish_internal
    send = sqs._act_send_message

    @functools.wraps(publish)
    def publish_or_refuse(topic_arn, message, subject="", *, message_structure="", **more):
        fault = fault_of_message(message, subject, message_structure)
        if fault:
            raise sns.SnsPublishError("InvalidParameter", f"Invalid parameter: {fault}")
        return publish(topic_arn, message, subject, message_structure=message_structure, **more)

    def send_or_refuse(data, qurl):
        delay = int(data.get("DelaySeconds") or 0)
        if not 0 <= delay <= LONGEST_MESSAGE_DELAY_SECONDS:
            raise sqs._Err(
                "InvalidParameterValue",
                f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <="
                f" {LONGEST_MESSAGE_DELAY_SECONDS}.")
        return send(data, qurl)

    sns.publish_internal = publish_or_refuse
    sqs._act_send_message = sqs._HANDLERS["SendMessage"] = send_or_refuse


def fault_of_message(message, subject, message_structure):
    """The error of a message to a topic, as SNS words it; None if it is valid."""
    if not message:
        return "Empty message"
    if subject and (len(subject) > LONGEST_SUBJECT or CONTROL_CHARACTER.search(subject)):
        return "Subject"
    if message_structure != "json":
        return None
    try:
        texts = json.loads(message)
    except json.JSONDecodeError:
        return "Message Structure - JSON message body failed to parse"
    if not isinstance(texts, dict) or not isinstance(texts.get("default"), str):
        return "Message Structure - No default entry in JSON message body"
    return None


def refuse_missing_resources(_settings):
    """AWS refuses access logs or a trail into a bucket that does not exist, rotation of a key that is not symmetric,
    and the policy of a function that has none.

    MiniStack accepts them, and answers with an empty policy. The patch refuses them.
    """
    put_logging = s3._put_bucket_logging
    enable_rotation = kms._enable_key_rotation
    get_policy = lambda_svc._get_policy

    def put_logging_or_refuse(name, body):
        target = TARGET_BUCKET.search(body.decode("utf-8", errors="replace"))
        if target and not bucket_exists(target[1]):
            return s3._error("InvalidTargetBucketForLogging", "The target bucket for logging does not exist", 400)
        return put_logging(name, body)

    def with_bucket(change):
        def change_or_refuse(body):
            bucket = body.get("S3BucketName")
            if bucket and not bucket_exists(bucket):
                return cloudtrail._err("S3BucketDoesNotExistException", f"S3 bucket {bucket} does not exist!")
            return change(body)

        return change_or_refuse

    def enable_rotation_or_refuse(data):
        key = kms._resolve_key(data.get("KeyId", "")) or {}
        if key.get("KeySpec", SYMMETRIC) != SYMMETRIC:
            return error_response_json("UnsupportedOperationException", "", 400)
        return enable_rotation(data)

    def get_policy_or_refuse(func_name, query_params=None, path_qualifier=None):
        status, headers, body = get_policy(func_name, query_params, path_qualifier)
        if status == 200 and not json.loads(json.loads(body)["Policy"]).get("Statement"):
            return error_response_json("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        return status, headers, body

    s3._put_bucket_logging = put_logging_or_refuse
    for operation in ("CreateTrail", "UpdateTrail"):
        cloudtrail._DISPATCH[operation] = with_bucket(cloudtrail._DISPATCH[operation])
    kms._enable_key_rotation = enable_rotation_or_refuse
    lambda_svc._get_policy = get_policy_or_refuse


def bucket_exists(name):
    """Whether any account has this bucket."""
    return any(bucket == name for _account, bucket in s3._buckets.to_dict())


# ---------------------------------------------------------------- asynchronous invocations and mail


def invoke_asynchronously(_settings):
    """AWS invokes the function of a rule or of a topic asynchronously: two retries, then the failure destination.

    MiniStack invokes it once and ignores a failure. The patch uses MiniStack's own asynchronous invocation.
    """

    def start(function_arn, event):
        function, config, name = lambda_svc._get_func_record_for_ref(function_arn)
        if not function or not config:
            raise LookupError(f"function {name} does not exist")
        lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(function, config), event)

    def from_rule(arn, payload):
        start(arn, json.loads(payload))

    def from_topic(endpoint, envelope, topic_arn, sub_arn, msg_id, raw_message, message_attributes):
        record = {
            "EventVersion": "1.0",
            "EventSubscriptionArn": sub_arn,
            "EventSource": "aws:sns",
            "Sns": json.loads(envelope),
        }
        start(endpoint, {"Records": [record]})

    eventbridge._dispatch_to_lambda = from_rule
    sns._deliver_to_lambda = from_topic


def keep_mail(settings):
    """AWS sends the text of a message to the e-mail subscriptions of its topic.

    MiniStack drops the text. The patch appends one JSON line for each e-mail to `mail.jsonl` in the state directory.
    """
    fan_out = sns._fanout
    lock = threading.Lock()

    def fan_out_and_keep(topic_arn, msg_id, message, subject, message_structure="", message_attributes=None,
                         message_group_id="", message_dedup_id=""):
        topic = sns._topic_by_arn_any_scope(topic_arn) or {"subscriptions": []}
        mails = []
        for subscription in topic["subscriptions"]:
            protocol = subscription["protocol"]
            if protocol not in ("email", "email-json") or not subscription.get("confirmed"):
                continue
            text = sns._resolve_message_for_protocol(message, message_structure, protocol)
            if sns._matches_filter_policy(subscription, message_attributes or {}, text):
                mails.append({
                    "time": datetime.datetime.now(datetime.timezone.utc).isoformat(),
                    "to": subscription["endpoint"],
                    "topic": topic_arn,
                    "subject": subject or "AWS Notification Message",
                    "text": text,
                })
        with lock, open(settings.mail_file, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(mail) + "\n" for mail in mails)
        fan_out(topic_arn, msg_id, message, subject, message_structure, message_attributes,
                message_group_id, message_dedup_id)

    sns._fanout = fan_out_and_keep


# ---------------------------------------------------------------- queue mappings


def gather_batches(_settings):
    """AWS gathers up to BatchSize messages (10,000, or 6 MB) for at most the batching window, then invokes.

    MiniStack takes at most ten messages, ignores the window, and receives a message that becomes visible again up to
    a second late. It compares MaximumConcurrency without converting the template's text to a number. The patch
    gathers as AWS does and wakes the poller when a window ends or a message becomes visible.
    """
    receive_fifo = sqs._receive_messages_for_esm
    concurrency = lambda_svc._sqs_esm_concurrency

    def receive(queue_url, max_number):
        queue = sqs._get_q(queue_url)
        if queue["is_fifo"]:
            return receive_fifo(queue_url, max_number)
        window = batching_window(queue["attributes"]["QueueArn"])
        with sqs._queues_lock:
            sqs._expire_retained(queue)
            sqs._dlq_sweep(queue)
            for message in queue["messages"]:
                sqs._ensure_msg_fields(message)
            now = time.time()
            visible = [message for message in queue["messages"] if message["visible_at"] <= now]
            count = fitting(visible, int(max_number))
            if not visible:
                wake_poller_at(min((message["visible_at"] for message in queue["messages"]), default=None))
                return []
            window_ends = min(message["visible_at"] for message in visible) + window
            if count == len(visible) < int(max_number) and now < window_ends:
                wake_poller_at(window_ends)
                return []
            return sqs._collect_msgs(queue, count, int(queue["attributes"].get("VisibilityTimeout", "30")))

    def concurrency_as_number(esm, func_rec, config, queue=None):
        scaling = esm.get("ScalingConfig") or {}
        if "MaximumConcurrency" in scaling:
            esm = {**esm, "ScalingConfig": {"MaximumConcurrency": int(scaling["MaximumConcurrency"])}}
        return concurrency(esm, func_rec, config, queue)

    sqs._receive_messages_for_esm = receive
    lambda_svc._sqs_esm_concurrency = concurrency_as_number


def batching_window(queue_arn):
    """The batching window in seconds of the mapping that reads this queue."""
    for _account, _region, mapping in lambda_svc._iter_all_esms():
        if mapping["EventSourceArn"] == queue_arn and mapping.get("Enabled", True):
            return int(mapping.get("MaximumBatchingWindowInSeconds") or 0)
    return 0


def fitting(messages, batch_size):
    """How many messages, counted from the first, fit into one invocation."""
    free = INVOCATION_BYTES
    for count, message in enumerate(messages[:batch_size]):
        free -= len(message["body"].encode()) + RECORD_OVERHEAD_BYTES
        if free < 0:
            return max(count, 1)
    return min(len(messages), batch_size)


def wake_poller_at(moment):
    """Wakes the poller at `moment` (epoch seconds), if that is before its next poll."""
    if moment is None or moment - time.time() >= POLL_SECONDS:
        return
    later(max(moment - time.time(), 0), lambda_svc._esm_wake.set)


def honor_partial_failures(_settings):
    """AWS keeps the whole batch when a partial batch response names an empty or unknown message or is malformed.

    MiniStack deletes every message that the response does not name, so an invalid response loses messages. The patch
    deletes only messages that a well-formed response does not name.
    """

    def run_batch(esm, func_rec, event, batch, queue_url, queue_name):
        result = lambda_svc._execute_function(func_rec, event)
        failed = failed_items(esm, result, [message["id"] for message in batch])
        done = [message["receipt_handle"] for message in batch if message["id"] not in failed]
        sqs._delete_messages_for_esm(queue_url, set(done))
        if result.get("error"):
            # AWS does not invoke a function again at once after the whole invocation failed.
            lambda_svc._esm_backoff_until[esm["UUID"]] = time.time() + lambda_svc._ESM_BACKOFF_SECONDS
        esm["LastProcessingResult"] = f"OK - {len(done)} records" if not failed else f"FAILED - {len(failed)} records"

    lambda_svc._run_sqs_batch = run_batch


def failed_items(mapping, result, identifiers):
    """The identifiers of the batch that failed, by the function's result."""
    if result.get("error"):
        return set(identifiers)
    if "ReportBatchItemFailures" not in (mapping.get("FunctionResponseTypes") or []):
        return set()
    body = result.get("body") or {}
    if not isinstance(body, dict):
        return set(identifiers)
    named = {failure.get("itemIdentifier") for failure in body.get("batchItemFailures") or []}
    return named if named <= set(identifiers) else set(identifiers)


# ---------------------------------------------------------------- the queues' clock


def move_queue_clock(_settings):
    """AWS's clock cannot be moved: a visibility timeout of six minutes ends six minutes later.

    A test cannot wait that long. The patch adds the SQS action `AdvanceClock`, which makes every message of every
    queue `Seconds` older: visibility timeouts, delays, batching windows, retention and deduplication end that much
    sooner. The time of day does not change, so a message that is sent afterwards waits its whole time. The answer is
    the sum of all moves.
    """
    advanced = 0

    def advance(data, _queue_url):
        nonlocal advanced
        seconds = int(data["Seconds"])
        with sqs._queues_lock:
            for queue in list(sqs._queues._data.values()):
                for message in queue["messages"]:
                    grow_older(message, seconds)
                for sent in queue["dedup_cache"].values():
                    sent["expire"] -= seconds
        advanced += seconds
        lambda_svc._esm_wake.set()
        return {"AdvancedSeconds": advanced}

    sqs._HANDLERS["AdvanceClock"] = advance


def grow_older(message, seconds):
    """Moves every time of a message into the past."""
    sqs._ensure_msg_fields(message)
    for name in MESSAGE_TIMES:
        if message.get(name) is not None:
            message[name] -= seconds
    message["sys"]["SentTimestamp"] = str(int(message["sent_at"] * 1000))


# ---------------------------------------------------------------- stream mappings


def run_stream_batches(_settings):
    """AWS retries a failed stream batch from the first record that the function names (ReportBatchItemFailures), halves
    it (BisectBatchOnFunctionError), discards it after MaximumRetryAttempts or MaximumRecordAgeInSeconds and then sends
    the discarded records to the failure destination.

    MiniStack retries the same batch for ever, and its poller waits for the function, so a slow stream function blocks
    every queue. The patch runs stream batches outside the poller, one at a time for each mapping, with all of these
    settings and the batching window.
    """

    def poll_streams():
        started = [start_stream_batch(*mapping) for mapping in lambda_svc._iter_all_esms()]
        return any(started)

    lambda_svc._poll_dynamodb_streams = poll_streams


def start_stream_batch(account, region, mapping):
    """Starts the next batch of one stream mapping, if it has records and none is running."""
    spec = parse_arn(mapping["EventSourceArn"])
    if spec.service != "dynamodb" or not mapping.get("Enabled", True):
        return False
    identifier = mapping["UUID"]
    with request_scope(account, region):
        function, _config = lambda_svc._get_func_record_for_qualifier(mapping["FunctionName"], mapping.get("Qualifier"))
        table_name = lambda_svc._dynamodb_stream_table_from_arn_spec(spec)[0]
        table = dynamodb._tables.get(table_name)
        if function is None or not table or table.get("LatestStreamArn") != mapping["EventSourceArn"]:
            return False
        if lambda_svc._esm_inflight.get(identifier, 0):
            return False
        position = stream_position(mapping, table_name)
        batch_size = int(mapping.get("BatchSize") or 100)
        records = dynamodb.stream_records_since(table_name, position, batch_size)
        if not records or still_gathering(mapping, records, batch_size):
            return False
        lambda_svc._dispatch_esm_batch(identifier, run_stream_batch, mapping, function, records, position)
        return True


def stream_position(mapping, table_name):
    """The position after the last batch of this mapping; before the first batch, its StartingPosition."""
    positions = lambda_svc._dynamodb_stream_positions
    with lambda_svc._dynamodb_stream_positions_lock:
        if mapping["UUID"] not in positions:
            from_start = mapping.get("StartingPosition") == "TRIM_HORIZON"
            find = dynamodb.stream_start_position if from_start else dynamodb.stream_end_position
            positions[mapping["UUID"]] = find(table_name)
        positions[mapping["UUID"]] = max(positions[mapping["UUID"]], dynamodb.stream_start_position(table_name))
        return positions[mapping["UUID"]]


def still_gathering(mapping, records, batch_size):
    """Whether the batch is neither full nor as old as the batching window."""
    window = int(mapping.get("MaximumBatchingWindowInSeconds") or 0)
    window_ends = record_time(records[0]) + window
    if len(records) >= batch_size or time.time() >= window_ends:
        return False
    wake_poller_at(window_ends)
    return True


def run_stream_batch(mapping, function, records, position):
    """Runs one batch until all its records are processed or discarded, and moves the position behind it."""
    waiting = [(lambda_svc._apply_filter_criteria(records, mapping), 0)]
    while waiting and mapping["UUID"] in lambda_svc._esms:
        batch, retries = waiting.pop()
        if not batch:
            continue
        result = lambda_svc._execute_function(function, {"Records": batch})
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        failed = failed_items(mapping, result, numbers)
        if not failed:
            continue
        first = next(place for place, number in enumerate(numbers) if number in failed)
        waiting.extend(retries_of(mapping, function, batch[first:], first > 0, retries, result))
    with lambda_svc._dynamodb_stream_positions_lock:
        lambda_svc._dynamodb_stream_positions[mapping["UUID"]] = position + len(records)


def retries_of(mapping, function, batch, moved_on, retries, result):
    """The batches to retry, in reverse order, after `batch` failed at its first record."""
    if moved_on:
        return [(batch, 0)]
    if mapping.get("BisectBatchOnFunctionError") and len(batch) > 1:
        # Halving does not count as a retry.
        middle = len(batch) // 2
        return [(batch[middle:], 0), (batch[:middle], retries)]
    discard_reason = reason_to_discard(mapping, batch, retries)
    if discard_reason:
        lambda_svc._send_ddb_stream_failure_record(
            mapping, function, batch, mapping["EventSourceArn"], result, discard_reason)
        return []
    time.sleep(min(FIRST_STREAM_RETRY_SECONDS * 2**retries, LONGEST_STREAM_RETRY_SECONDS))
    return [(batch, retries + 1)]


def reason_to_discard(mapping, batch, retries):
    """Why a failed batch is not retried, as the failure record words it; None to retry it."""
    most_retries = int(mapping.get("MaximumRetryAttempts", -1))
    greatest_age = int(mapping.get("MaximumRecordAgeInSeconds", -1))
    if 0 <= most_retries <= retries:
        return "RetryAttemptsExhausted"
    if 0 < greatest_age < time.time() - record_time(batch[0]):
        return "MaxRecordAgeExceeded"
    return None


def record_time(record):
    """When a stream record was written, in epoch seconds."""
    return float(record["dynamodb"].get("ApproximateCreationDateTime", 0))


# ---------------------------------------------------------------- duplicates


def deliver_twice(settings):
    """AWS delivers at least once: an event, a message or a stream batch can be delivered again, later and out of order.

    MiniStack delivers once. The patch delivers twice while the file `deliver-twice` exists in the state directory: an
    event to each target of a rule; a message that a mapping's function has processed, after newer ones and in reverse
    order; a stream batch, before the next one, because a stream keeps its order. A duplicate keeps its id, and a
    message its receive count.
    """
    switch = Path(settings.deliver_twice_file)
    deliver_event = eventbridge._invoke_target
    delete_messages = sqs._delete_messages_for_esm
    start_batch = lambda_svc._dispatch_esm_batch

    def deliver_event_twice(target, event, rule, view=None):
        deliver_event(target, event, rule, view)
        if switch.exists():
            # In the account and region of this event, not of the timer.
            again = contextvars.copy_context().run
            later(SECOND_DELIVERY_SECONDS, again, deliver_event, target, event, rule, view)

    def return_messages(queue_url, receipt_handles):
        queue = sqs._get_q(queue_url)
        if switch.exists() and not queue["is_fifo"]:
            with sqs._queues_lock:
                receipt_handles = receipt_handles - put_back(queue, receipt_handles)
            wake_poller_at(time.time() + SECOND_DELIVERY_SECONDS)
        delete_messages(queue_url, receipt_handles)

    def start_batch_twice(identifier, run, *arguments):
        def run_twice(*again):
            run(*again)
            run(*again)

        twice = run is run_stream_batch and switch.exists()
        start_batch(identifier, run_twice if twice else run, *arguments)

    eventbridge._invoke_target = deliver_event_twice
    sqs._delete_messages_for_esm = return_messages
    lambda_svc._dispatch_esm_batch = start_batch_twice


def put_back(queue, receipt_handles):
    """Returns messages to the queue after their first receive, in reverse order; returns their old receipt handles."""
    done = [message for message in queue["messages"] if message.get("receipt_handle") in receipt_handles]
    handles = set()
    for message in reversed([message for message in done if not message.get("is_duplicate")]):
        handles.add(message["receipt_handle"])
        queue["messages"].remove(message)
        queue["messages"].append(message)
        message["is_duplicate"] = True
        message["receipt_handle"] = None
        message["receive_count"] -= 1
        message["visible_at"] = time.time() + SECOND_DELIVERY_SECONDS
    return handles


def later(seconds, function, *arguments):
    """Calls a function after some seconds."""
    timer = threading.Timer(seconds, function, arguments)
    timer.daemon = True
    timer.start()


# ---------------------------------------------------------------- functions


def find_functions_of_other_accounts(_settings):
    """AWS finds a function that is called by its ARN in the account of the ARN, if its policy allows that too.

    MiniStack looks for function and policy in the caller's account. The patch looks in the ARN's.
    """
    answer = lambda_svc.handle_request
    policy_of = lambda_svc.function_policy_for_arn

    def of_arn(text):
        named = FUNCTION_ARN.search(text)
        return request_scope(named[1], get_region()) if named else contextlib.nullcontext()

    async def answer_in_account(method, path, headers, body, query_params):
        with of_arn(path):
            return await answer(method, path, headers, body, query_params)

    def policy_in_account(resource_arn):
        with of_arn(resource_arn):
            return policy_of(resource_arn)

    lambda_svc.handle_request = answer_in_account
    lambda_svc.function_policy_for_arn = policy_in_account


# ---------------------------------------------------------------- what functions see


def name_queues_by_endpoint(settings):
    """AWS's queue URLs have the host of the endpoint that every client uses.

    MiniStack's queue URLs have its own port, so a client that calls them bypasses the front door. The patch puts the
    endpoint's port into them.
    """
    sqs.DEFAULT_PORT = str(urlsplit(settings.endpoint_url).port)


def disable_nagle(_settings):
    """AWS sends an event to a waiting function within about a millisecond.

    MiniStack leaves Nagle's algorithm on, which costs 40 ms an invocation together with delayed acknowledgements.
    The patch turns it off.
    """
    build = lambda_runtime.ProvidedWorker._build_handler_class

    def build_without_delay(self, generation, pending):
        handler = build(self, generation, pending)
        handler.disable_nagle_algorithm = True
        return handler

    lambda_runtime.ProvidedWorker._build_handler_class = build_without_delay


def do_not_wait_for_logs(_settings):
    """AWS does not delay an answer for the function's log.

    MiniStack waits up to 50 ms for the first line of a function that prints nothing. The patch waits 5 ms; a later
    line appears with the next invocation.
    """
    drain = lambda_runtime.ProvidedWorker._drain_stderr_bounded

    def drain_briefly(self, first_line_wait=0.005, idle_confirm=0.002, hard_cap=0.05):
        return drain(self, first_line_wait, idle_confirm, hard_cap)

    lambda_runtime.ProvidedWorker._drain_stderr_bounded = drain_briefly


def let_invocations_end(_settings):
    """AWS lets the invocations that run end when a function is updated; only later ones see the update.

    MiniStack ends them at once, so that what they work on comes back only after its visibility timeout. The patch ends
    an environment when its invocation has ended.
    """
    invalidate = lambda_svc.invalidate_worker

    def invalidate_idle(func_name, qualifier=None, account=None, region=None):
        busy = []
        with lambda_runtime._lock:
            for key, workers in lambda_runtime._workers.items():
                if func_name in key.split(":"):
                    busy += [worker for worker in workers if worker.in_use]
                    workers[:] = [worker for worker in workers if not worker.in_use]
        invalidate(func_name, qualifier=qualifier, account=account, region=region)
        for worker in busy:
            threading.Thread(target=end_when_idle, args=(worker,), daemon=True).start()

    lambda_svc.invalidate_worker = invalidate_idle


def end_when_idle(worker):
    """Ends an environment that gets no more invocations, once its last one has ended."""
    while worker.in_use and worker._proc is not None and worker._proc.poll() is None:
        time.sleep(0.1)
    worker.kill()


# ---------------------------------------------------------------- the table


@dataclass(frozen=True)
class Settings:
    """The settings of a run that patches need."""

    mail_file: str
    endpoint_url: str
    deliver_twice_file: str
    moto_url: str
    management_account: str
    permissions_file: str
    test_name_file: str


@dataclass(frozen=True)
class Patch:
    """A named patch, and what of MiniStack it replaces (`replaces`) or calls (`uses`)."""

    name: str
    apply: Callable[[Settings], None]
    replaces: tuple[str, ...]
    uses: tuple[str, ...] = ()


FUNCTION_LOOKUP = "services.lambda_svc._get_func_record_for_ref(function_ref)"
QUEUE_LOOKUP = "services.sqs._queue_by_arn(arn)"
TOPIC_LOOKUP = "services.sns._topic_by_arn_any_scope(topic_arn)"
QUEUE_POLICY = "services.sqs.queue_policy_allows(queue_arn, service, source_arn, source_account)"
QUEUES_LOCK = "services.sqs._queues_lock"
TABLES = "services.dynamodb._tables"
MESSAGE_FIELDS = "services.sqs._ensure_msg_fields(m)"
MAPPINGS = "services.lambda_svc._iter_all_esms()"
WAKE = "services.lambda_svc._esm_wake"
RUN = "services.lambda_svc._execute_function(func, event)"
IAM_HANDLERS = "services.iam._IAM_HANDLERS"
ACTION = "core.iam_actions.extract_iam_action(service, method, path, headers, body, query_params)"
RESOURCE = (
    "core.iam_actions.extract_resource_arn(service, method, path, headers, body, query_params, region, account_id)")
SERVICES = (
    "app.SERVICE_HANDLERS",
    "core.router.SERVICE_PATTERNS",
    "core.iam_actions.SERVICE_TO_IAM_NAMESPACE",
    "core.iam_actions._BOTOCORE_SERVICE_MAP",
)
CALLER = "core.iam_evaluator.caller_arn()"
EVALUATE = "core.iam_evaluator.evaluate(ctx, policies, limits)"
ENFORCE = "core.iam_evaluator.enforce(access_key_id, iam_action, service, region, resource_arn, service_context)"

def read_yaml_state_machines(_settings):
    """AWS reads a state machine's definition in S3 as JSON or as YAML.

    MiniStack takes it as JSON, and fails each execution of one that is YAML. The patch turns YAML into JSON.
    """
    read = provisioners._sfn_definition

    def definition_as_json(props):
        definition = read(props)
        try:
            json.loads(definition)
        except ValueError:
            return json.dumps(yaml.safe_load(definition))
        return definition

    provisioners._sfn_definition = definition_as_json


def delete_log_settings_of_a_stage(_settings):
    """DELETE of a stage's `accesslogsettings` ends the access logs of an HTTP or WebSocket API.

    MiniStack looks no further than the stage's name, and deletes the whole stage. The patch takes the settings away.
    """
    handle = apigateway.handle_request

    async def handle_settings(method, path, headers, body, query_params):
        stage, _, part = path.rstrip("/").rpartition("/")
        if (method, part) != ("DELETE", "accesslogsettings"):
            return await handle(method, path, headers, body, query_params)
        status, *answer = await handle("PATCH", stage, headers, b'{"accessLogSettings": {}}', query_params)
        return (204, {}, b"") if status == 200 else (status, *answer)

    apigateway.handle_request = handle_settings


def refer_to_secrets_by_arn(_settings):
    """`Ref` of an AWS::SecretsManager::Secret is its ARN, which is what a role names.

    MiniStack has the secret's name there, so that a role that names it by `Ref` may not read it. The patch turns one into the
    other around the resource's handlers.
    """
    handlers = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]
    create, update, delete = (handlers[step] for step in ("create", "update", "delete"))

    def name_in(arn):
        return arn.rpartition(":secret:")[2].rpartition("-")[0]

    def create_by_arn(logical_id, props, stack_name):
        _name, attributes = create(logical_id, props, stack_name)
        return attributes["Arn"], attributes

    def update_by_arn(arn, old_props, new_props, stack_name, logical_id=None):
        _name, attributes = update(name_in(arn), old_props, new_props, stack_name, logical_id)
        return attributes["Arn"], attributes

    def delete_by_arn(arn, props):
        delete(name_in(arn), props)

    handlers.update(create=create_by_arn, update=update_by_arn, delete=delete_by_arn)


def see_conditions_in_change_sets(_settings):
    """A change set adds and removes the resources whose conditions a parameter changes.

    MiniStack compares the templates without their conditions: `sam deploy` of a template that has not changed then finds
    no changes, and a flow is neither switched off nor on. The patch leaves out what a condition leaves out.
    """
    resolve = changesets._resolve_props_for_diff

    def without_those_left_out(template, params, stack_name, stack_id):
        resolved = resolve(template, params, stack_name, stack_id)
        conditions = engine._evaluate_conditions(template, params) if template else {}
        kept = {name: resource for name, resource in resolved.get("Resources", {}).items()
                if conditions.get(resource.get("Condition"), True)}
        return {**resolved, "Resources": kept} if template else resolved

    changesets._resolve_props_for_diff = without_those_left_out


PATCHES = (
    Patch(
        "yaml-state-machines",
        read_yaml_state_machines,
        replaces=("services.cloudformation.provisioners._sfn_definition(props)",),
    ),
    Patch(
        "log-settings",
        delete_log_settings_of_a_stage,
        replaces=("services.apigateway.handle_request(method, path, headers, body, query_params)",),
    ),
    Patch(
        "secrets-by-arn",
        refer_to_secrets_by_arn,
        replaces=("services.cloudformation.provisioners._RESOURCE_HANDLERS",),
    ),
    Patch(
        "conditions-of-change-sets",
        see_conditions_in_change_sets,
        replaces=("services.cloudformation.changesets._resolve_props_for_diff(template, params, stack_name, stack_id)",),
        uses=("services.cloudformation.engine._evaluate_conditions(template, params)",),
    ),
    Patch(
        "rules-with-reads",
        tell_reads_from_changes,
        replaces=(
            "services.eventbridge._dispatch_event(event, view)",
            "services.eventbridge._put_rule(data)",
        ),
        uses=(
            "services.eventbridge._pattern_event_view(event)",
            "services.eventbridge._matches_pattern_view(pattern_str, view, owner)",
            "services.eventbridge._invoke_target(target, event, rule, view)",
            "services.eventbridge._rules",
            "services.eventbridge._targets",
        ),
    ),
    Patch(
        "events-of-callers",
        ministack_events.put_events_of_callers,
        replaces=(
            "services.eventbridge._put_events(data, allow_aws_source)",
            "services.eventbridge.handle_request(method, path, headers, body, query_params)",
        ),
        uses=(
            "services.eventbridge._ensure_default_bus()",
            "services.eventbridge._dispatch_event(event, view)",
            "services.eventbridge._event_buses",
            "services.eventbridge._event_bus_policies",
            "core.iam_evaluator.evaluate_resource_policy(doc, ctx, service, named_only, direct_only)",
            CALLER,
        ),
    ),
    Patch(
        "delivery-policies",
        ministack_events.deliver_as_allowed,
        replaces=(
            "services.eventbridge._dispatch_to_event_bus(spec, event, rule, event_path, target_input_payload)",
            "services.eventbridge._invoke_target(target, event, rule, view)",
        ),
        uses=(
            "services.eventbridge._rule_key(rule_name, bus_name)",
            "services.eventbridge._pattern_event_view(event)",
            "services.iam._roles",
            "services.sqs._md5_msg_attrs(attrs)",
            "services.stepfunctions._resolve_state_machine_arn(arn)",
            "services.cloudwatch.record_metric(namespace, metric_name, value, unit, dimensions)",
            "core.iam_evaluator._gather_role_policies(role_name, account_id)",
            "core.iam_evaluator.evaluate(ctx, policies, limits)",
            QUEUE_POLICY, QUEUE_LOOKUP, FUNCTION_LOOKUP, TOPIC_LOOKUP, MESSAGE_FIELDS, WAKE,
        ),
    ),
    Patch(
        "services-as-tls",
        ministack_events.count_services_as_tls,
        replaces=(QUEUE_POLICY,),
        uses=("core.iam_evaluator.pin_request_origin(source_ip, secure_transport)", "core.iam_evaluator._request_origin"),
    ),
    Patch(
        "bus-policies",
        ministack_events.make_bus_policies,
        replaces=(
            "services.cloudformation.provisioners._RESOURCE_HANDLERS",
            "services.eventbridge._put_permission(data)",
        ),
        uses=("services.eventbridge._event_bus_policies", "services.eventbridge._remove_permission(data)"),
    ),
    Patch(
        "conditions-with-values",
        ministack_stacksets.know_functions_in_conditions,
        replaces=(
            "services.cloudformation.engine._evaluate_conditions(template, params)",
            "services.cloudformation.changesets._evaluate_conditions(template, params)",
            "services.cloudformation.handlers._evaluate_conditions(template, params)",
            "services.cloudformation.stacks._evaluate_conditions(template, params)",
        ),
    ),
    Patch(
        "stack-sets",
        ministack_stacksets.add_stack_sets,
        replaces=(
            "services.cloudformation.provisioners._RESOURCE_HANDLERS",
            "services.cloudformation.handlers._ACTION_HANDLERS",
        ),
        uses=(
            "services.cloudformation.helpers._resolve_template(params)",
            "services.cloudformation.helpers._xml(status, root_tag, inner)",
            "services.cloudformation.helpers._error(code, message, status)",
            "services.cloudformation.engine._parse_template(template_body)",
        ),
    ),
    Patch(
        "organization-resources",
        ministack_resources.add_organization_resources,
        replaces=("services.cloudformation.provisioners._RESOURCE_HANDLERS",),
        uses=(
            "services.cloudtrail._DISPATCH",
            "services.iam._groups",
            "services.iam._create_group(p)",
            "services.iam._delete_group(p)",
            "services.iam._delete_group_policy(p)",
            "services.iam._put_group_policy(p)",
            "services.iam.attach_managed_policy(entity, policy_arn)",
            "services.iam.detach_managed_policy(entity, policy_arn)",
            "services.s3._bucket_policies",
        ),
    ),
    Patch(
        "boundaries-of-roles",
        ministack_resources.keep_boundaries_of_roles,
        replaces=("services.cloudformation.provisioners._RESOURCE_HANDLERS",),
        uses=("services.iam._roles", "services.iam._put_role_permissions_boundary(p)"),
    ),
    Patch(
        "alarms-on-demand",
        ministack_events.evaluate_alarms_on_demand,
        replaces=(
            "services.cloudformation.provisioners._cw_metric_alarm_record(name, props)",
            "services.cloudwatch._evaluate_alarm(alarm)",
            "services.cloudwatch.handle_request(method, path, headers, body, query_params)",
        ),
        uses=(
            "services.cloudwatch._alarms",
            "services.cloudwatch._metrics",
            "services.cloudwatch._calc_stats(points)",
            "services.cloudwatch._stat_value(stats, stat_name, points)",
            "services.cloudwatch._record_history(alarm_name, old_state, new_state, reason, alarm_type, reason_data)",
            "services.cloudwatch._dispatch_alarm_actions(alarm, old_state, new_state, reason)",
            "services.cloudwatch._evaluate_parent_alarms(child, seen)",
        ),
    ),
    Patch(
        "embedded-metrics",
        ministack_events.take_embedded_metrics,
        replaces=("services.lambda_svc._emit_lambda_logs(func, request_id, log_text, error, duration_ms, log_source)",),
        uses=("services.cloudwatch.record_metric(namespace, metric_name, value, unit, dimensions)",),
    ),
    Patch(
        "schedules-every-second",
        poll_schedules_every_second,
        replaces=(
            "services.eventbridge._SCHEDULER_TICK_INTERVAL",
            "services.scheduler._SCHEDULE_TICK_INTERVAL",
        ),
    ),
    Patch(
        "object-version",
        add_object_version,
        replaces=(
            "services.s3._fire_s3_event(bucket_name, key, event_name, size, etag, deletion_type, restore_event_data,"
            " version_id, sequencer, object_extra, record_extra)",
            "services.eventbridge._dispatch_event(event, view)",
        ),
    ),
    Patch(
        "invalid-writes",
        refuse_invalid_writes,
        replaces=(
            "services.dynamodb._update_item(data)",
            "services.dynamodb._transact_write_items(data)",
        ),
        uses=(
            "services.dynamodb._tokenize(expr)",
            "services.dynamodb._split_by_comma(tokens)",
            "services.dynamodb._parse_path_from_tokens(tokens, attr_names)",
            TABLES,
        ),
    ),
    Patch(
        "invalid-messages",
        refuse_invalid_messages,
        replaces=(
            "services.sns.publish_internal(topic_arn, message, subject, message_structure, message_attributes,"
            " message_group_id, message_deduplication_id)",
            "services.sqs._act_send_message(data, qurl)",
        ),
        uses=("services.sns.SnsPublishError", "services.sqs._Err", "services.sqs._HANDLERS"),
    ),
    Patch(
        "missing-resources",
        refuse_missing_resources,
        replaces=(
            "services.s3._put_bucket_logging(name, body)",
            "services.cloudtrail._DISPATCH",
            "services.kms._enable_key_rotation(data)",
            "services.lambda_svc._get_policy(func_name, query_params, path_qualifier)",
        ),
        uses=(
            "services.s3._error(code, message, status, resource, extra, headers)",
            "services.s3._buckets",
            "services.cloudtrail._err(code, msg, status)",
            "services.kms._resolve_key(key_id_or_arn)",
        ),
    ),
    Patch(
        "asynchronous-invocations",
        invoke_asynchronously,
        replaces=(
            "services.eventbridge._dispatch_to_lambda(arn, payload)",
            "services.sns._deliver_to_lambda(endpoint, envelope, topic_arn, sub_arn, msg_id, raw_message,"
            " message_attributes)",
        ),
        uses=(
            "services.lambda_svc.invoke_async_with_retry(func, event)",
            "services.lambda_svc._execution_record_for_config(func, config)",
            FUNCTION_LOOKUP,
        ),
    ),
    Patch(
        "mail",
        keep_mail,
        replaces=(
            "services.sns._fanout(topic_arn, msg_id, message, subject, message_structure, message_attributes,"
            " message_group_id, message_dedup_id)",
        ),
        uses=(
            "services.sns._resolve_message_for_protocol(message, message_structure, protocol)",
            "services.sns._matches_filter_policy(sub, message_attributes, message)",
            TOPIC_LOOKUP,
        ),
    ),
    Patch(
        "queue-batches",
        gather_batches,
        replaces=(
            "services.sqs._receive_messages_for_esm(queue_url, max_number)",
            "services.lambda_svc._sqs_esm_concurrency(esm, func_rec, config, queue)",
        ),
        uses=(
            "services.sqs._get_q(url, action)",
            "services.sqs._expire_retained(q)",
            "services.sqs._dlq_sweep(q)",
            "services.sqs._collect_msgs(q, max_n, vis_timeout)",
            QUEUES_LOCK, MESSAGE_FIELDS, MAPPINGS, WAKE,
        ),
    ),
    Patch(
        "queue-partial-failures",
        honor_partial_failures,
        replaces=("services.lambda_svc._run_sqs_batch(esm, func_rec, event, batch, queue_url, queue_name)",),
        uses=(
            "services.sqs._delete_messages_for_esm(queue_url, receipt_handles)",
            "services.lambda_svc._esm_backoff_until",
            "services.lambda_svc._ESM_BACKOFF_SECONDS",
            RUN,
        ),
    ),
    Patch(
        "queue-clock",
        move_queue_clock,
        replaces=("services.sqs._HANDLERS",),
        uses=("services.sqs._queues", QUEUES_LOCK, MESSAGE_FIELDS, WAKE),
    ),
    Patch(
        "stream-batches",
        run_stream_batches,
        replaces=("services.lambda_svc._poll_dynamodb_streams()",),
        uses=(
            "services.lambda_svc._get_func_record_for_qualifier(name, qualifier)",
            "services.lambda_svc._dynamodb_stream_table_from_arn_spec(spec)",
            "services.lambda_svc._dispatch_esm_batch(esm_id, fn, args)",
            "services.lambda_svc._apply_filter_criteria(records, esm)",
            "services.lambda_svc._send_ddb_stream_failure_record(esm, func_rec, batch, stream_arn, result, condition)",
            "services.lambda_svc._dynamodb_stream_positions",
            "services.lambda_svc._dynamodb_stream_positions_lock",
            "services.lambda_svc._esm_inflight",
            "services.lambda_svc._esms",
            "services.dynamodb.stream_start_position(table_name, account_id, region)",
            "services.dynamodb.stream_end_position(table_name, account_id, region)",
            "services.dynamodb.stream_records_since(table_name, position, limit, account_id, region)",
            TABLES, MAPPINGS, RUN, WAKE,
        ),
    ),
    # After the others, because it wraps their functions.
    Patch(
        "deliver-twice",
        deliver_twice,
        replaces=(
            "services.eventbridge._invoke_target(target, event, rule, view)",
            "services.sqs._delete_messages_for_esm(queue_url, receipt_handles)",
            "services.lambda_svc._dispatch_esm_batch(esm_id, fn, args)",
        ),
        uses=("services.sqs._get_q(url, action)", QUEUES_LOCK, WAKE),
    ),
    Patch(
        "functions-of-other-accounts",
        find_functions_of_other_accounts,
        replaces=(
            "services.lambda_svc.handle_request(method, path, headers, body, query_params)",
            "services.lambda_svc.function_policy_for_arn(resource_arn)",
        ),
    ),
    Patch(
        "queue-urls",
        name_queues_by_endpoint,
        replaces=("services.sqs.DEFAULT_PORT",),
    ),
    Patch(
        "function-api-delay",
        disable_nagle,
        replaces=("core.lambda_runtime.ProvidedWorker._build_handler_class(self, generation, pending)",),
    ),
    Patch(
        "log-wait",
        do_not_wait_for_logs,
        replaces=(
            "core.lambda_runtime.ProvidedWorker._drain_stderr_bounded(self, first_line_wait, idle_confirm, hard_cap)",
        ),
    ),
    Patch(
        "function-updates",
        let_invocations_end,
        replaces=("services.lambda_svc.invalidate_worker(func_name, qualifier, account, region)",),
        uses=("core.lambda_runtime._lock", "core.lambda_runtime._workers"),
    ),
    Patch(
        "open-urls",
        ministack_iam.let_anybody_call_open_urls,
        replaces=("app._handle_lambda_url_request(host, path, method, headers, body, query_params, source_ip)",),
        uses=(
            "app._parse_lambda_url(host, path)",
            "services.lambda_svc.resolve_function_url(url_id)",
            "services.lambda_svc.handle_function_url_request(url_id, method, path, headers, body, query_params, resolved,"
            " source_ip)",
            "services.lambda_svc.function_policy_for_arn(resource_arn)",
            "core.iam_evaluator.evaluate_resource_policy(doc, ctx, service, named_only, direct_only)",
        ),
    ),
    Patch(
        "batch-permissions",
        ministack_iam.name_actions,
        replaces=(ACTION,),
    ),
    Patch(
        "loopback-as-tls",
        ministack_iam.count_loopback_as_tls,
        replaces=(
            "app.pin_request_origin(source_ip, secure_transport)",
            "core.iam_evaluator._request_origin",
        ),
    ),
    Patch(
        "resource-names",
        ministack_iam.name_resources,
        replaces=(RESOURCE,),
    ),
    Patch(
        "condition-keys",
        ministack_iam.know_condition_keys,
        replaces=("core.iam_actions.request_tag_context(service, iam_action, body, params)",),
        uses=("services.iam._roles", "services.iam._users"),
    ),
    Patch(
        "organization",
        ministack_iam.know_the_organization,
        replaces=(
            "core.iam_evaluator._principal_org_id(account_id)",
            "core.iam_evaluator._resolve_condition_key(key, ctx)",
            "core.iam_evaluator._conditions_met(conditions, ctx)",
        ),
        uses=(
            "core.iam_evaluator._account_from_arn(arn)",
            "core.iam_evaluator._role_name_from_assumed_arn(assumed_arn)",
            "services.iam._roles",
        ),
    ),
    Patch(
        "refused-caller",
        ministack_iam.name_the_refused_caller,
        replaces=("services.sts.handle_request(method, path, headers, body, query_params)",),
        uses=(CALLER,),
    ),
    Patch(
        "front-door-services",
        ministack_iam.say_who_calls,
        replaces=(RESOURCE, *SERVICES),
        uses=(CALLER,),
    ),
    Patch(
        "several-resources",
        ministack_iam.check_every_resource,
        replaces=(ENFORCE,),
    ),
    Patch(
        "roles-of-services",
        ministack_roles.check_what_services_do,
        replaces=(
            "services.lambda_svc._create_esm(data)",
            "services.cloudformation.provisioners._RESOURCE_HANDLERS",
            "services.lambda_svc._emit_lambda_logs(func, request_id, log_text, error, duration_ms, log_source)",
            "services.stepfunctions._execute_task(state_def, raw_input, execution, ctx)",
            "services.stepfunctions._invoke_resource(resource, input_data)",
            "services.stepfunctions._invoke_resource_with_timeout(resource, input_data, timeout)",
        ),
        uses=(
            "services.lambda_svc._get_func_record_for_ref(function_ref)",
            "services.lambda_svc._invalid_parameter_value(message)",
            "services.stepfunctions._ExecutionError",
            "services.stepfunctions._state_machines",
            "core.iam_evaluator._gather_role_policies(role_name, account_id)",
            EVALUATE,
        ),
    ),
    Patch(
        "recorded-permissions",
        ministack_roles.record_permissions,
        replaces=(EVALUATE,),
        uses=("core.iam_evaluator._first_match(ctx, stmts, effect)",),
    ),
    Patch(
        "passed-on",
        passed_on.pass_on_to_moto,
        replaces=(
            "app._handle_s3_control_request(path, method, body, query_params, request_id, headers)",
            *SERVICES,
        ),
        uses=(
            "app._enforce_data_plane(service, iam_action, headers, query_params, request_id, resource_arn,"
            " service_context, auth_error_response, named_resource)",
            "app._routing_params(method, path, headers, body, query_params)",
            "app._get_module(name)",
            "services.s3.s3control_account_error(headers)",
            ACTION,
            CALLER,
            "services.eventbridge._ensure_default_bus()",
        ),
    ),
    Patch(
        "tags-of-the-organization",
        ministack_organization.know_tags_of_the_organization,
        replaces=("services.tagging.resource_tags(arn)",),
    ),
    Patch(
        "universal-targets",
        ministack_organization.call_universal_targets,
        replaces=("services.eventbridge._invoke_target(target, event, rule, view)",),
        uses=("core.iam_evaluator._gather_role_policies(role_name, account_id)", "services.sqs._queue_by_arn(arn)"),
    ),
    Patch(
        "rules-of-other-buses",
        ministack_events.name_rules_with_their_bus,
        replaces=("services.cloudformation.handlers._ACTION_HANDLERS",),
        uses=("services.eventbridge._rules",),
    ),
    Patch(
        "root-users",
        ministack_root.have_root_users,
        replaces=(
            "services.sts.handle_request(method, path, headers, body, query_params)",
            RESOURCE,
            "core.iam_actions.request_tag_context(service, iam_action, body, params)",
            IAM_HANDLERS,
            "services.iam._aws_managed_policies",
        ),
        uses=(
            CALLER,
            "app._routing_params(method, path, headers, body, query_params)",
            "services.iam._make_aws_managed_record(name, document, description)",
            "services.iam._p(params, key, default)",
            "services.iam._xml(status, root_tag, inner, ns)",
            "services.iam._error(status, code, message, ns)",
            "services.sts._p(params, key, default)",
            "services.sts._xml(status, root_tag, inner, ns)",
            "services.sts._error(status, code, message, ns)",
            "services.sts._future(seconds)",
            "services.sts._gen_secret()",
            "services.sts._gen_session_access_key()",
            "services.sts._gen_session_token()",
            "services.sts.register_session(access_key, session)",
        ),
    ),
    Patch(
        "central-root-access",
        ministack_root.switch_central_root_access,
        replaces=(IAM_HANDLERS,),
        uses=("services.iam._error(status, code, message, ns)",),
    ),
    Patch(
        "password-policy",
        ministack_users.reset_what_is_left_out,
        replaces=(IAM_HANDLERS,),
        uses=("services.iam._account_password_policy", "services.iam._update_account_password_policy(p)"),
    ),
    Patch(
        "managed-policies",
        ministack_users.know_managed_policies,
        replaces=("services.iam._aws_managed_policies",),
        uses=("services.iam._make_aws_managed_record(name, document, description)",),
    ),
    Patch(
        "credential-ages",
        ministack_users.age_credentials,
        replaces=("services.iam._user_xml(name, boundary)", "services.iam._build_credential_report()", IAM_HANDLERS),
        uses=(
            "services.iam._p(params, key, default)",
            "services.iam._xml(status, root_tag, inner, ns)",
            "services.iam._error(status, code, message, ns)",
            "services.iam._get_access_key_last_used(p)",
            "services.iam._CRED_REPORT_HEADER",
            "services.iam._users",
            "services.iam._access_keys",
            "services.iam._login_profiles",
            "services.iam._mfa_devices",
        ),
    ),
)


class WrongMiniStack(Exception):
    """The installed MiniStack is not the version that the patches were written for."""


def apply_all(settings):
    """Checks every patch against the installed MiniStack, then applies them all."""
    for patch in PATCHES:
        for expected in patch.replaces + patch.uses:
            check(patch.name, expected)
    for patch in PATCHES:
        patch.apply(settings)


def check(patch_name, expected):
    """Raises unless MiniStack has what `expected` names: a value, or a function with exactly these parameters."""
    path = expected.partition("(")[0]
    found = describe(path)
    if found != expected:
        raise WrongMiniStack(
            f"patch {patch_name} was written for MiniStack {MINISTACK_VERSION}, installed is {version('ministack')}:"
            f" it needs {expected}, found {found or 'nothing of that name'}"
        )


def describe(path):
    """`path`, with its parameters if it is a function; None if MiniStack does not have it."""
    parts = path.split(".")
    # `app` is a module, `core` and `services` are packages of modules.
    depth = 1 if parts[0] == "app" else 2
    thing = importlib.import_module(".".join(["ministack", *parts[:depth]]))
    for name in parts[depth:]:
        thing = getattr(thing, name, None)
        if thing is None:
            return None
    if not inspect.isfunction(thing):
        return path
    return f"{path}({', '.join(inspect.signature(thing).parameters)})"
