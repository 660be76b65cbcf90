"""The patches of MiniStack's EventBridge and CloudWatch, where several accounts and Regions meet.

AWS checks each delivery: the role of the rule, the policy of the bus, the policy of the queue; it writes the sender's
account into the envelope, lets nobody but its services use sources that begin with `aws.`, and puts what cannot be
delivered into the target's dead-letter queue. `ministack_patches.py` lists the patches and explains their form.
"""

import json
import re
import time

from ministack.core import iam_evaluator
from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, new_uuid, request_scope
from ministack.services import cloudwatch, eventbridge, iam, lambda_svc, sns, sqs, stepfunctions
from ministack.services.cloudformation import handlers, provisioners

EVENTS = "events.amazonaws.com"
MOST_ENTRIES = 10
AWS_SOURCE = "aws."

# The actions that AWS does not have: the front door calls them for its controls and its own services.
SEND_SERVICE_EVENTS = "SendServiceEvents"
EVALUATE_ALARMS = "EvaluateAlarms"

QUERY = re.compile(r'SELECT (AVG|MAX|MIN|SUM)\((\w+)\) FROM (?:SCHEMA\()?"([\w/]+)"(?:, \w+)*\)?')
LISTED_RULE = re.compile(
    r"(?P<name>[^<>]+)(?P<kind></PhysicalResourceId><ResourceType>AWS::Events::Rule</ResourceType>)")
STATISTICS = {"AVG": "Average", "MAX": "Maximum", "MIN": "Minimum", "SUM": "Sum"}


# ---------------------------------------------------------------- events that are sent


def put_events_of_callers(_settings):
    """AWS refuses a source that begins with `aws.` in PutEvents, and takes the bus of another account by its ARN if
    that bus's policy lets the caller in. The envelope has the caller's account and Region.

    MiniStack knows the buses of the caller's account only. The patch adds the others, and the action
    `SendServiceEvents`, by which the front door sends what AWS's own services would: entries as in PutEvents, with
    `Account` and `Region` beside them, for the account's own bus or the one that `EventBusName` names.
    """
    put = eventbridge._put_events
    answer = eventbridge.handle_request

    def put_on_any_bus(data, allow_aws_source=False):
        entries = data.get("Entries") or []
        buses = [bus_of_other_account(entry) for entry in entries]
        if len(entries) > MOST_ENTRIES or not any(buses):
            return put(data, allow_aws_source)
        caller = iam_evaluator.caller_arn()
        for bus, entry in zip(buses, entries):
            if bus and not (bus_exists(bus) and bus_lets_in(bus, caller, get_account_id(), entry)):
                return error_response_json(
                    "AccessDeniedException",
                    f"User: {caller} is not authorized to perform: events:PutEvents on resource: {bus} because no"
                    " resource-based policy allows the events:PutEvents action", 400)
        results = [
            put_on_bus(bus, entry) if bus
            else json.loads(put({"Entries": [entry]}, allow_aws_source)[2])["Entries"][0]
            for bus, entry in zip(buses, entries)]
        failed = sum("ErrorCode" in result for result in results)
        return json_response({"FailedEntryCount": failed, "Entries": results})

    async def answer_for_services(method, path, headers, body, query_params):
        if headers.get("x-amz-target", "").endswith(f".{SEND_SERVICE_EVENTS}"):
            eventbridge._ensure_default_bus()
            return send_service_events(json.loads(body))
        return await answer(method, path, headers, body, query_params)

    eventbridge._put_events = put_on_any_bus
    eventbridge.handle_request = answer_for_services


def bus_of_other_account(entry):
    """The ARN of the bus that an entry of PutEvents names, if it belongs to another account."""
    name = entry.get("EventBusName") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name.startswith("arn:"):
        return None
    try:
        spec = parse_arn(name)
    except ArnParseError:
        return None
    # PutEvents reaches the buses of its own Region only.
    is_bus = spec.service == "events" and spec.resource.startswith("event-bus/") and spec.region == get_region()
    return spec if is_bus and spec.account_id != get_account_id() else None


def put_on_bus(bus, entry):
    """Puts the entry of a caller on the bus of another account; returns its result."""
    if str(entry.get("Source", "")).startswith(AWS_SOURCE):
        return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
    event = event_of(entry, get_account_id(), get_region(), bus)
    dispatch(bus, event)
    return {"EventId": event["EventId"]}


def send_service_events(data):
    """Puts the events of AWS's own services on buses."""
    results = []
    for entry in data["Entries"]:
        account, region = entry.get("Account") or get_account_id(), entry.get("Region") or get_region()
        bus = entry.get("EventBusName") or f"arn:aws:events:{region}:{account}:event-bus/default"
        event = event_of(entry, account, region, parse_arn(bus))
        dispatch(parse_arn(bus), event)
        results.append({"EventId": event["EventId"]})
    return json_response({"FailedEntryCount": 0, "Entries": results})


def event_of(entry, account, region, bus):
    """The event that an entry becomes."""
    return {
        "EventId": new_uuid(),
        "Source": entry.get("Source", ""),
        "DetailType": entry.get("DetailType", ""),
        "Detail": entry.get("Detail", "{}"),
        "EventBusName": bus.resource.removeprefix("event-bus/"),
        "Time": int(time.time()),
        "Resources": entry.get("Resources") or [],
        "Account": account,
        "Region": region,
    }


def dispatch(bus, event):
    """Puts an event on a bus of any account and Region."""
    with request_scope(bus.account_id, bus.region):
        eventbridge._ensure_default_bus()
        eventbridge._dispatch_event(event)


# ---------------------------------------------------------------- who may deliver


def bus_exists(bus):
    """Whether there is such a bus."""
    with request_scope(bus.account_id, bus.region):
        eventbridge._ensure_default_bus()
        return bus.resource.removeprefix("event-bus/") in eventbridge._event_buses


def bus_lets_in(bus, principal, account, entry):
    """Whether the policy of another account's bus lets a principal put this entry on it."""
    with request_scope(bus.account_id, bus.region):
        policy = eventbridge._event_bus_policies.get(bus.resource.removeprefix("event-bus/"))
    context = iam_evaluator.EvalContext(
        principal_arn=principal, principal_type="AssumedRole", principal_account=account,
        action="events:PutEvents", resource_arn=str(bus), region=bus.region, secure_transport=True,
        service_context={"events:source": entry.get("Source"), "events:detail-type": entry.get("DetailType")})
    return iam_evaluator.evaluate_resource_policy(policy, context).decision == "Allow"


def role_may_put_events(role_arn, bus, account):
    """Whether EventBridge may assume the role of a rule, and the role may put events on the bus."""
    name = role_arn.rpartition("/")[2]
    role = iam._roles.get_scoped(account, None, name)
    if role is None:
        return False
    trust = iam_evaluator.EvalContext(
        principal_arn="*", principal_type="Service", principal_account="",
        action="sts:AssumeRole", resource_arn=role_arn, region=bus.region, secure_transport=True,
        service_context={"aws:sourceaccount": account})
    trusted = iam_evaluator.evaluate_resource_policy(
        role["AssumeRolePolicyDocument"], trust, service=EVENTS).decision == "Allow"
    allowed = iam_evaluator.evaluate(
        iam_evaluator.EvalContext(
            principal_arn=session_of(role_arn), principal_type="AssumedRole", principal_account=account,
            action="events:PutEvents", resource_arn=str(bus), region=bus.region, secure_transport=True),
        iam_evaluator._gather_role_policies(name, account))
    return trusted and allowed.decision == "Allow"


def session_of(role_arn):
    """The session of a rule's role."""
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    return f"arn:aws:sts::{account}:assumed-role/{name}/events"


def count_services_as_tls(_settings):
    """AWS's own services send to queues over TLS: a policy that denies everything else lets them in.

    MiniStack counts a delivery that no request caused as one without TLS. The patch counts it as one with TLS.
    """
    allows = sqs.queue_policy_allows

    def allows_over_tls(*delivery):
        address, secure = iam_evaluator._request_origin.get()
        iam_evaluator.pin_request_origin(address, True)
        try:
            return allows(*delivery)
        finally:
            iam_evaluator.pin_request_origin(address, secure)

    sqs.queue_policy_allows = allows_over_tls


# ---------------------------------------------------------------- delivery


def deliver_as_allowed(_settings):
    """AWS delivers an event to a bus in another account or Region with its account and Region unchanged. It assumes the
    role of the target, and the bus's policy has to let that role in; a queue's policy has to let the rule in. What
    cannot be delivered goes to the target's dead-letter queue, with the reason, and counts in FailedInvocations.

    MiniStack drops it, overwrites the Region within an account, and checks none of the policies. The patch does as
    AWS does.
    """
    invoke = eventbridge._invoke_target

    def forward(spec, event, rule, event_path, target_input_payload=None):
        rule_key = eventbridge._rule_key(rule.get("Name"), rule.get("EventBusName", "default"))
        if rule_key in event_path:
            return
        forwarded = {**event, "EventBusName": spec.resource.removeprefix("event-bus/")}
        # A rule of another account can have the same name.
        is_here = (spec.account_id, spec.region) == (get_account_id(), get_region())
        forwarded["_DispatchPath"] = [*event_path, rule_key] if is_here else []
        if target_input_payload is not None:
            forwarded["Detail"] = target_input_payload
        dispatch(spec, forwarded)

    def deliver(target, event, rule, view=None):
        count("Invocations", rule)
        reason = obstacle(target, event, rule)
        if reason is None:
            invoke(target, event, rule, view)
            return
        count("FailedInvocations", rule)
        dead_letter_arn = (target.get("DeadLetterConfig") or {}).get("Arn")
        if dead_letter_arn is None:
            return
        view = view or eventbridge._pattern_event_view(event)
        sent = rule_may_send(dead_letter_arn, rule)
        count("InvocationsSentToDlq" if sent else "InvocationsFailedToBeSentToDlq", rule)
        if sent:
            send_to_dead_letter_queue(dead_letter_arn, target["Arn"], rule, reason, view.event_with_detail())

    eventbridge._dispatch_to_event_bus = forward
    eventbridge._invoke_target = deliver


def obstacle(target, event, rule):
    """Why a target cannot be reached, as an error code and a sentence; None if it can."""
    spec = parse_arn(target["Arn"])
    missing = ("RESOURCE_NOT_FOUND", f"The target {spec} does not exist.")
    forbidden = ("NO_PERMISSIONS", f"The rule may not deliver to {spec}.")
    if spec.service == "sqs":
        if sqs._queue_by_arn(str(spec)) is None:
            return missing
        return None if rule_may_send(str(spec), rule) else forbidden
    if spec.service == "events" and spec.resource.startswith("event-bus/"):
        account = get_account_id()
        if (spec.account_id, spec.region) == (account, get_region()):
            return None if bus_exists(spec) else missing
        role = target.get("RoleArn") or ""
        entry = {"Source": event.get("Source"), "DetailType": event.get("DetailType")}
        may_send = role_may_put_events(role, spec, account)
        may_enter = spec.account_id == account or bus_lets_in(spec, session_of(role) if role else "", account, entry)
        if not (may_send and may_enter):
            return forbidden
        return None if bus_exists(spec) else missing
    if spec.service == "lambda" and lambda_svc._get_func_record_for_ref(str(spec))[0] is None:
        return "NO_PERMISSIONS", missing[1]
    if spec.service == "sns" and sns._topic_by_arn_any_scope(str(spec)) is None:
        return missing
    if spec.service == "states" and stepfunctions._resolve_state_machine_arn(str(spec)) is None:
        return missing
    return None


def rule_may_send(queue_arn, rule):
    """Whether a queue's policy lets EventBridge send for this rule; a schedule sends with its role."""
    arn = rule.get("Arn", "")
    return ":scheduler:" in arn or sqs.queue_policy_allows(queue_arn, EVENTS, arn, get_account_id())


def count(metric, rule):
    """Counts something about a rule, as AWS/Events does."""
    dimensions = {"RuleName": rule.get("Name", "")}
    bus = rule.get("EventBusName", "default")
    if bus != "default":
        dimensions["EventBusName"] = bus
    cloudwatch.record_metric("AWS/Events", metric, 1, "Count", dimensions)


def send_to_dead_letter_queue(queue_arn, target_arn, rule, reason, event):
    """Puts `event` on the queue with the message attributes that EventBridge adds."""
    queue = sqs._queue_by_arn(queue_arn)
    code, sentence = reason
    texts = {"RULE_ARN": rule.get("Arn", ""), "TARGET_ARN": target_arn, "ERROR_CODE": code, "ERROR_MESSAGE": sentence}
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in texts.items() if value}
    message = {
        "id": new_uuid(),
        "body": json.dumps(event),
        "message_attributes": attributes,
        "md5_attrs": sqs._md5_msg_attrs(attributes),
    }
    sqs._ensure_msg_fields(message)
    queue["messages"].append(message)
    lambda_svc._esm_wake.set()


def make_bus_policies(_settings):
    """CloudFormation has the resource type AWS::Events::EventBusPolicy, and PutPermission takes a whole policy.

    MiniStack has no such type, and ignores the policy. The patch adds both.
    """
    put_permission = eventbridge._put_permission

    def put_policy(data):
        if not data.get("Policy"):
            return put_permission(data)
        eventbridge._event_bus_policies[data.get("EventBusName", "default")] = json.loads(data["Policy"])
        return json_response({})

    eventbridge._put_permission = put_policy

    def create(_logical_id, properties, _stack_name):
        bus, statement = properties.get("EventBusName", "default"), properties["StatementId"]
        delete(f"{bus}|{statement}", properties)
        policy = eventbridge._event_bus_policies.setdefault(bus, {"Version": "2012-10-17", "Statement": []})
        policy["Statement"].append({**properties["Statement"], "Sid": statement})
        return f"{bus}|{statement}", {}

    def update(physical_id, _old, properties, stack_name):
        delete(physical_id, properties)
        return create(None, properties, stack_name)

    def delete(physical_id, _properties):
        bus, _, statement = physical_id.partition("|")
        eventbridge._remove_permission({"EventBusName": bus, "StatementId": statement})

    provisioners._RESOURCE_HANDLERS["AWS::Events::EventBusPolicy"] = {
        "create": create, "update": update, "delete": delete}


def name_rules_with_their_bus(_settings):
    """AWS names a rule of another bus than the default one in a stack `<bus>|<rule>`.

    MiniStack lists the rule's name alone, by which nobody finds it on its bus. The patch puts the bus before it.
    """
    list_resources = handlers._ACTION_HANDLERS["ListStackResources"]

    def list_with_buses(params):
        status, headers, body = list_resources(params)
        buses = {rule["Name"]: rule["EventBusName"] for rule in eventbridge._rules.values()
                 if rule["EventBusName"] != "default"}

        def with_bus(found):
            bus = buses.get(found["name"])
            return f"{bus}|{found['name']}{found['kind']}" if bus else found[0]

        return status, headers, LISTED_RULE.sub(with_bus, body.decode()).encode()

    handlers._ACTION_HANDLERS["ListStackResources"] = list_with_buses


# ---------------------------------------------------------------- alarms


def evaluate_alarms_on_demand(_settings):
    """CloudWatch evaluates each alarm every minute over the metrics that its dimensions name, takes an expression of
    several metrics or a query of Metrics Insights for a metric, and sends an event when the state changes.

    MiniStack evaluates when somebody puts a metric, over all dimensions, refuses expressions and queries, and sends no
    event. The patch corrects that, and evaluates by the action `EvaluateAlarms` only: a test asks for what would happen
    within a minute, and no other test finds an alert that it did not cause.
    """
    record_of = provisioners._cw_metric_alarm_record
    answer = cloudwatch.handle_request

    def record(name, properties):
        metrics = properties.get("Metrics")
        if not metrics:
            return record_of(name, properties)
        first = metrics[0]
        query = QUERY.fullmatch(first.get("Expression", "")) if len(metrics) == 1 else None
        # An expression of several metrics is never in alarm here.
        named = ({"Namespace": query[3], "MetricName": query[2], "Statistic": STATISTICS[query[1]]} if query
                 else {"Namespace": "MetricMath", "MetricName": first.get("Label") or first["Id"]})
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        return record_of(name, {**plain, **named, "Period": first.get("Period", 300)})

    async def answer_or_evaluate(method, path, headers, body, query_params):
        if headers.get("x-amz-target", "").endswith(f".{EVALUATE_ALARMS}"):
            changed = [name for name, alarm in cloudwatch._alarms.items() if evaluate(alarm)]
            return json_response({"Changed": sorted(changed)})
        return await answer(method, path, headers, body, query_params)

    provisioners._cw_metric_alarm_record = record
    cloudwatch._evaluate_alarm = lambda _alarm: None
    cloudwatch.handle_request = answer_or_evaluate


def evaluate(alarm):
    """Brings an alarm's state up to date; returns whether it changed."""
    wanted = {one["Name"]: one["Value"] for one in alarm.get("Dimensions") or []}
    oldest = time.time() - alarm.get("Period", 60) * alarm.get("EvaluationPeriods", 1)
    metric = (alarm.get("Namespace"), alarm.get("MetricName"))
    points = [
        point for (namespace, name, _key), all_points in list(cloudwatch._metrics.items()) if (namespace, name) == metric
        for point in all_points
        if point["Timestamp"] >= oldest and (not wanted or point["Dimensions"] == wanted)]
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "Average")
    value = cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points) if points else None
    before, after = alarm["StateValue"], state_of(alarm, value)
    if after in (None, before):
        return False
    reason = f"Threshold Crossed: {statistic} {value} {alarm.get('ComparisonOperator')} {alarm.get('Threshold')}"
    alarm.update(StateValue=after, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], before, after, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, after, reason)
    cloudwatch._evaluate_parent_alarms(alarm)
    send_state_change(alarm, before)
    return True


def state_of(alarm, value):
    """The state that a value leads to; None to keep the one that it has."""
    if value is None:
        return {"notBreaching": "OK", "breaching": "ALARM", "missing": "INSUFFICIENT_DATA"}.get(
            alarm.get("TreatMissingData", "missing"))
    threshold = alarm.get("Threshold", 0)
    breaching = {
        "GreaterThanOrEqualToThreshold": value >= threshold,
        "GreaterThanThreshold": value > threshold,
        "LessThanThreshold": value < threshold,
        "LessThanOrEqualToThreshold": value <= threshold,
    }[alarm["ComparisonOperator"]]
    return "ALARM" if breaching else "OK"


def send_state_change(alarm, before):
    """Sends the event about an alarm's new state."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())
    metric = {"namespace": alarm.get("Namespace"), "name": alarm.get("MetricName"),
              "dimensions": {one["Name"]: one["Value"] for one in alarm.get("Dimensions") or []}}
    detail = {
        "alarmName": alarm["AlarmName"],
        "state": {"value": alarm["StateValue"], "reason": alarm["StateReason"], "timestamp": at},
        "previousState": {"value": before},
        "configuration": {
            "description": alarm.get("AlarmDescription", ""),
            "metrics": [{"id": "m1", "returnData": True, "metricStat": {
                "metric": metric, "period": alarm.get("Period", 60), "stat": alarm.get("Statistic")}}]},
    }
    eventbridge._put_events({"Entries": [{
        "Source": "aws.cloudwatch", "DetailType": "CloudWatch Alarm State Change",
        "Resources": [alarm["AlarmArn"]], "Detail": json.dumps(detail)}]}, allow_aws_source=True)


def take_embedded_metrics(_settings):
    """CloudWatch makes metrics of the log lines in embedded metric format.

    MiniStack keeps them as lines only. The patch makes metrics of them.
    """
    emit = lambda_svc._emit_lambda_logs

    def emit_with_metrics(function, request_id, log_text, *more, **named):
        emit(function, request_id, log_text, *more, **named)
        for line in (log_text or "").splitlines():
            if line.startswith("{") and '"_aws"' in line:
                record_embedded(line)

    lambda_svc._emit_lambda_logs = emit_with_metrics


def record_embedded(line):
    """Records the metrics of one line; a line that is no JSON has none."""
    try:
        values = json.loads(line)
        directives = values["_aws"]["CloudWatchMetrics"]
    except (ValueError, KeyError, TypeError):
        return
    for directive in directives:
        for names in directive["Dimensions"]:
            dimensions = {name: str(values[name]) for name in names}
            for metric in directive["Metrics"]:
                cloudwatch.record_metric(
                    directive["Namespace"], metric["Name"], values[metric["Name"]], metric.get("Unit", "None"), dimensions)
