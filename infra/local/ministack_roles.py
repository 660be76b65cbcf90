"""The patches of MiniStack about roles: what AWS's services do with the permissions of a role is checked too, and every use
of a permission by a role is recorded.

`ministack_patches.py` lists the patches and explains their form. `tests/permissions.py` reads what is recorded.
"""

import contextvars
import json
import threading
from dataclasses import replace
from pathlib import Path

from ministack.core import iam_evaluator
from ministack.core.arn import parse_arn
from ministack.core.responses import get_account_id, get_region
from ministack.services import lambda_svc, stepfunctions
from ministack.services.cloudformation import provisioners

# What Lambda calls with a function's role to read what it is invoked for, by the service of the event source.
READS = {
    "sqs": ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    "dynamodb": ("dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream", "dynamodb:ListStreams"),
}
LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
# What a state machine calls with its role: integration -> action, the member that names the resource.
INTEGRATIONS = {
    "states:::lambda:invoke": ("lambda:InvokeFunction", "FunctionName"),
    "states:::sqs:sendMessage": ("sqs:SendMessage", "QueueUrl"),
}
# The file with the name of the test that runs; without it a call belongs to the deployment.
DEPLOYMENT = "deployment"


# ---------------------------------------------------------------- what services do with a role


def check_what_services_do(_settings):
    """AWS's services have the permissions of the role that they are given. Lambda refuses an event source that the
    function's role may not read, or a destination of failures that it may not send to, and writes no log that the role
    may not write. Step Functions fails a task that the state machine's role may not do.

    MiniStack does all of it without a check. The patch checks.
    """
    create, by_template = lambda_svc._create_esm, provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
    create_by_template = by_template["create"]
    write_log = lambda_svc._emit_lambda_logs
    execute, invoke = stepfunctions._execute_task, stepfunctions._invoke_resource
    invoke_in_time = stepfunctions._invoke_resource_with_timeout
    role_of_task = contextvars.ContextVar("orgkeeper_role_of_task", default=None)

    def create_if_allowed(data):
        refusal = refused_mapping(data)
        return lambda_svc._invalid_parameter_value(refusal) if refusal else create(data)

    def create_by_template_if_allowed(logical_id, props, stack_name):
        refusal = refused_mapping(props)
        if refusal:
            raise ValueError(refusal)
        return create_by_template(logical_id, props, stack_name)

    def write_log_if_allowed(func, *text, **more):
        config = func.get("config") or func
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config.get('FunctionName')}"
        arn = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{group}:log-stream:any"
        if all([may(config.get("Role"), action, arn) for action in LOGS]):
            write_log(func, *text, **more)

    def execute_with_role(state_def, raw_input, execution, ctx):
        machine = stepfunctions._state_machines.get((execution or {}).get("stateMachineArn"))
        token = role_of_task.set(machine and machine["roleArn"])
        try:
            return execute(state_def, raw_input, execution, ctx)
        finally:
            role_of_task.reset(token)

    def check_task(resource, given):
        role = role_of_task.get()
        found = next((INTEGRATIONS[name] for name in INTEGRATIONS if name in resource), None)
        if role and found:
            action, member = found
            arn = arn_of(action, given.get(member, ""))
            if not may(role, action, arn):
                raise stepfunctions._ExecutionError(
                    "States.TaskFailed", f"User: {role} is not authorized to perform: {action} on resource: {arn}")

    def invoke_if_allowed(resource, input_data):
        check_task(resource, input_data)
        return invoke(resource, input_data)

    def invoke_in_time_if_allowed(resource, input_data, timeout):
        check_task(resource, input_data)
        return invoke_in_time(resource, input_data, timeout)

    lambda_svc._create_esm, by_template["create"] = create_if_allowed, create_by_template_if_allowed
    lambda_svc._emit_lambda_logs = write_log_if_allowed
    stepfunctions._execute_task, stepfunctions._invoke_resource = execute_with_role, invoke_if_allowed
    stepfunctions._invoke_resource_with_timeout = invoke_in_time_if_allowed


def refused_mapping(given):
    """Why Lambda refuses an event source, in its words; None if it does not."""
    function = lambda_svc._get_func_record_for_ref(given.get("FunctionName", ""))[0]
    role = ((function or {}).get("config") or {}).get("Role")
    source = given.get("EventSourceArn", "")
    destination = ((given.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination", "")
    calls = [(action, source) for action in READS.get(source.split(":")[2] if source else "", ())]
    calls += [("sqs:SendMessage", destination)] if ":sqs:" in destination else []
    denied = [f"{action} on {arn}" for action, arn in calls if not may(role, action, arn)]
    return denied and f"The function execution role does not have permissions to call {', '.join(denied)}"


def arn_of(action, name):
    """The ARN of the function or queue that a task names."""
    if name.startswith("arn:"):
        return name
    service = action.partition(":")[0]
    if service == "sqs":
        account, queue = name.rstrip("/").split("/")[-2:]
        return f"arn:aws:sqs:{get_region()}:{account}:{queue}"
    return f"arn:aws:lambda:{get_region()}:{get_account_id()}:function:{name}"


def may(role, action, resource, keys=None):
    """Whether a role's own policies allow a call, with these condition keys in lower case."""
    if not role:
        return True
    spec = parse_arn(role)
    name = role.rpartition("/")[2]
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{spec.account_id}:assumed-role/{name}/service", principal_type="AssumedRole",
        principal_account=spec.account_id, action=action, resource_arn=resource, region=get_region(),
        service_context=keys or {})
    policies = iam_evaluator._gather_role_policies(name, spec.account_id)
    return iam_evaluator.evaluate(context, policies).decision == "Allow"


# ---------------------------------------------------------------- what is recorded


def record_permissions(settings):
    """Not a difference from AWS: a test has to know which permission of which role each test needs.

    The patch writes for each allowed call of a role which permissions allow it: statement, action, resource. A call that
    only one of them allows fails without it.
    """
    evaluate = iam_evaluator.evaluate
    recorder = Recorder(Path(settings.permissions_file), Path(settings.test_name_file))

    def evaluate_and_record(ctx, policies, *limits):
        result = evaluate(ctx, policies, *limits)
        if result.decision == "Allow" and ":assumed-role/" in ctx.principal_arn:
            recorder.record(ctx, policies)
        return result

    iam_evaluator.evaluate = evaluate_and_record


class Recorder:
    """The file of the permissions that were used."""

    def __init__(self, file, test_name_file):
        self.file, self.test_name_file = file, test_name_file
        self.known, self.lock = set(), threading.Lock()

    def record(self, ctx, policies):
        """Writes a use, once for each test."""
        call = (self.test(), ctx.principal_arn.split("/")[1], ctx.action, ctx.resource_arn)
        with self.lock:
            if call in self.known:
                return
            self.known.add(call)
        test, role, action, _resource = call
        use = {"test": test, "role": role, "action": action, "by": permissions(ctx, policies)}
        line = json.dumps(use)
        with self.lock:
            if line not in self.known:
                self.known.add(line)
                with open(self.file, "a", encoding="utf-8") as file:
                    file.write(line + "\n")

    def test(self):
        """The name of the test that runs."""
        try:
            return self.test_name_file.read_text(encoding="utf-8")
        except OSError:
            return DEPLOYMENT


def permissions(ctx, policies):
    """What of the policies allows a call: statement, action and resource, each as it is written."""
    return [
        [stmt.sid, action, resource]
        for stmts in policies for stmt in stmts if stmt.effect == "Allow"
        for action in stmt.actions for resource in stmt.resources
        if iam_evaluator._first_match(ctx, [replace(stmt, actions=[action], resources=[resource])], "Allow")
    ]
