"""Service-managed StackSets, which MiniStack does not have.

`ministack_patches.py` lists the patches. A stack set says what every account of its organizational units has; one thread
compares that with what was deployed, every few seconds as AWS's automatic deployment does after an account has moved
or was created, and makes, updates and deletes the stacks, each as the account's own call. Each change of an instance is an
event of the management account, as CloudFormation sends them.

`Action=SetStackSetConduct&Seconds=30&FailingAccounts=222222222222,…`, which AWS does not have, says how long each instance
takes from then on and in which accounts it fails; without both it is as at first.
"""

import json
import os
import threading
import time
import uuid
from xml.sax.saxutils import escape

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import changesets, engine, handlers, helpers, provisioners, stacks
from ministack.services.cloudformation.engine import _parse_template

import ministack_events

INTERVAL_SECONDS = 3.0
STACK_SECONDS = 60
# What StackSets with service-managed permissions refuse.
REFUSED_TYPE = "AWS::CloudFormation::Stack"
STATUS_CHANGE = "CloudFormation StackSet StackInstance Status Change"
RUNNING, SUCCEEDED, FAILED, SKIPPED = "RUNNING", "SUCCEEDED", "FAILED", "SKIPPED_SUSPENDED_ACCOUNT"


def add_stack_sets(settings):
    """CloudFormation has the resource type AWS::CloudFormation::StackSet, and calls that describe stack sets.

    MiniStack has neither. The patch adds service-managed stack sets with automatic deployment.
    """
    sets = StackSets(settings)
    provisioners._RESOURCE_HANDLERS["AWS::CloudFormation::StackSet"] = {
        "create": sets.create, "update": sets.update, "delete": sets.delete}
    handlers._ACTION_HANDLERS.update({
        "DescribeStackSet": sets.describe, "ListStackSets": sets.list, "ListStackInstances": sets.list_instances,
        "DescribeStackInstance": sets.describe_instance, "SetStackSetConduct": sets.set_conduct,
        "ActivateOrganizationsAccess": sets.switch_access, "DeactivateOrganizationsAccess": sets.switch_access})


def know_functions_in_conditions(_settings):
    """A condition can name the account and Region of the stack, and select a part of a parameter's value.

    MiniStack takes such a reference for its name, and does not split. The patch puts the values in their place.
    """
    evaluate = engine._evaluate_conditions

    def evaluate_with_values(template, params):
        conditions = with_values(template.get("Conditions", {}), params)
        return evaluate({**template, "Conditions": conditions}, params)

    for module in (engine, changesets, handlers, stacks):
        module._evaluate_conditions = evaluate_with_values


def with_values(part, params):
    """A part of a condition, with the account, the Region and the parts of a value."""
    if isinstance(part, list):
        return [with_values(one, params) for one in part]
    if not isinstance(part, dict):
        return part
    if part.get("Ref") in ("AWS::Region", "AWS::AccountId"):
        return get_region() if part["Ref"] == "AWS::Region" else get_account_id()
    if "Fn::Split" in part:
        delimiter, text = part["Fn::Split"]
        return text_of(text, params).split(delimiter)
    return {name: with_values(value, params) for name, value in part.items()}


def text_of(part, params):
    """The text that a part of a condition is: itself, a parameter's value, or several of them joined."""
    if not isinstance(part, dict):
        return str(part)
    if "Fn::Join" in part:
        delimiter, parts = part["Fn::Join"]
        return delimiter.join(text_of(one, params) for one in parts)
    return str(params[part["Ref"]]["Value"])


class StackSets:
    """The stack sets of the organization, by name."""

    def __init__(self, settings):
        self.settings = settings
        self.all = {}
        self.wake = threading.Event()
        self.started = False
        self.seconds, self.failing = 0.0, frozenset()

    # ------------------------------------------------------------ the resource

    def create(self, logical_id, properties, stack_name):
        """Makes a stack set; its stacks follow."""
        name = properties.get("StackSetName") or f"{stack_name}-{logical_id}"
        if name in self.all:
            raise ValueError(f"Name already exists: StackSet {name}")
        self.all[name] = StackSet(name, get_region(), self.read(properties))
        self.start()
        return name, {"StackSetId": f"{name}:{self.all[name].id}"}

    def update(self, physical_id, _old, properties, _stack_name):
        """Changes a stack set; its stacks follow."""
        self.all[physical_id].settings = self.read(properties)
        self.wake.set()
        return physical_id, {"StackSetId": f"{physical_id}:{self.all[physical_id].id}"}

    def delete(self, physical_id, _properties):
        """Deletes the stacks, and then the stack set."""
        if physical_id in self.all:
            self.all[physical_id].deleted = True
            self.wake.set()

    def read(self, properties):
        """What a stack set is to deploy; refuses what AWS refuses."""
        if get_account_id() != self.settings.management_account:
            raise ValueError("You must be the management account or delegated admin account of an organization"
                             " before operating a SERVICE_MANAGED stack set")
        if properties.get("PermissionModel") != "SERVICE_MANAGED":
            raise ValueError("the local cloud knows StackSets with PermissionModel SERVICE_MANAGED only")
        body = properties.get("TemplateBody")
        if body is None:
            body, error = helpers._resolve_template({"TemplateURL": [properties["TemplateURL"]]})
            if error is not None or not body:
                raise ValueError(f"TemplateURL {properties['TemplateURL']} cannot be read")
        template = _parse_template(body)
        if "Transform" in template:
            raise ValueError("Stack sets with SERVICE_MANAGED permission model do not support templates with transforms")
        if any(one.get("Type") == REFUSED_TYPE for one in template["Resources"].values()):
            raise ValueError("Stack sets with SERVICE_MANAGED permission model do not support nested stacks")
        groups = properties.get("StackInstancesGroup") or []
        if any("OrganizationalUnitIds" not in group["DeploymentTargets"] for group in groups):
            raise ValueError("OrganizationalUnitIds are required")
        return {
            "body": body,
            "groups": groups,
            "parameters": properties.get("Parameters") or [],
            "capabilities": properties.get("Capabilities") or [],
            "automatic": str((properties.get("AutoDeployment") or {}).get("Enabled", False)).lower() == "true",
        }

    # ------------------------------------------------------------ the calls

    def describe(self, parameters):
        """DescribeStackSet."""
        found = self.found(parameters)
        if found is None:
            return not_found(parameters)
        content = (f"<StackSet>{found.summary()}<AutoDeployment><Enabled>{str(found.settings['automatic']).lower()}"
                   "</Enabled></AutoDeployment></StackSet>")
        return answer("DescribeStackSet", content)

    def list(self, _parameters):
        """ListStackSets."""
        members = "".join(f"<member>{one.summary()}</member>" for one in self.all.values() if self.shows(one))
        return answer("ListStackSets", f"<Summaries>{members}</Summaries>")

    def list_instances(self, parameters):
        """ListStackInstances."""
        found = self.found(parameters)
        if found is None:
            return not_found(parameters)
        members = "".join(
            f"<member>{instance.summary(found, account, region)}</member>"
            for (account, region), instance in sorted(found.instances.items()))
        return answer("ListStackInstances", f"<Summaries>{members}</Summaries>")

    def describe_instance(self, parameters):
        """DescribeStackInstance."""
        found = self.found(parameters)
        if found is None:
            return not_found(parameters)
        account, region = (first(parameters, f"StackInstance{name}") for name in ("Account", "Region"))
        instance = found.instances.get((account, region))
        if instance is None:
            return helpers._error("StackInstanceNotFoundException", f"Stack instance of {account} in {region} not found", 404)
        return answer("DescribeStackInstance", f"<StackInstance>{instance.summary(found, account, region)}</StackInstance>")

    def set_conduct(self, parameters):
        """SetStackSetConduct."""
        self.seconds = float(first(parameters, "Seconds") or 0)
        self.failing = frozenset(one for one in first(parameters, "FailingAccounts").split(",") if one)
        return answer("SetStackSetConduct", "")

    def switch_access(self, parameters):
        """ActivateOrganizationsAccess and DeactivateOrganizationsAccess: the local cloud deploys with and without it."""
        if get_account_id() != self.settings.management_account:
            return helpers._error("InvalidOperationException", "Only the management account can change trusted access")
        return answer(first(parameters, "Action"), "")

    def shows(self, stack_set):
        """Whether the caller sees a stack set: it is the management account's, in one Region, and not deleted."""
        own = get_account_id() == self.settings.management_account and get_region() == stack_set.region
        return own and not stack_set.deleted

    def found(self, parameters):
        """The stack set that a call names, if its caller sees it."""
        named = self.all.get(first(parameters, "StackSetName"))
        return named if named and self.shows(named) else None

    # ------------------------------------------------------------ deployment

    def start(self):
        """Starts the thread with the first stack set."""
        if not self.started:
            self.started = True
            threading.Thread(target=self.run, daemon=True, name="stack-sets").start()
        self.wake.set()

    def run(self):
        """Brings the accounts up to date for ever."""
        while True:
            self.wake.wait(INTERVAL_SECONDS if self.all else None)
            self.wake.clear()
            for stack_set in list(self.all.values()):
                try:
                    self.deploy(stack_set)
                except (BotoCoreError, ClientError) as error:
                    print(f"stack set {stack_set.name}: {error}", flush=True)

    def deploy(self, stack_set):
        """Makes, updates and deletes the stacks of one stack set."""
        wanted = set() if stack_set.deleted else self.wanted(stack_set)
        suspended = self.suspended() if set(stack_set.instances) - wanted else set()
        for place in sorted(set(stack_set.instances) - wanted):
            if place[0] in suspended:
                self.skip(stack_set, place)
                continue
            instance = stack_set.instances.pop(place)
            instance.delete(self.stacks(*place))
            self.send(stack_set, place, instance, "DELETE", SUCCEEDED)
        for place in sorted(wanted):
            known = stack_set.instances.get(place)
            if known is None:
                known = stack_set.instances[place] = Instance(f"StackSet-{stack_set.name}-{uuid.uuid4()}")
            if known.deployed != stack_set.settings:
                self.bring_up_to_date(stack_set, place, known)
        stack_set.seen = True
        # What a suspended account has is left there.
        if stack_set.deleted:
            self.all.pop(stack_set.name, None)

    def bring_up_to_date(self, stack_set, place, instance):
        """Makes or updates a stack, after the time that it takes."""
        action = "CREATE" if instance.deployed is None else "UPDATE"
        if instance.begun is None:
            instance.begun, instance.detailed = time.monotonic(), RUNNING
            self.send(stack_set, place, instance, action, RUNNING)
        if time.monotonic() - instance.begun < self.seconds:
            return
        if place[0] in self.failing:
            instance.status, instance.reason, instance.deployed = "OUTDATED", "as configured", stack_set.settings
        else:
            instance.deploy(self.stacks(*place), stack_set.settings)
        instance.begun = None
        instance.detailed = SUCCEEDED if instance.status == "CURRENT" else FAILED
        self.send(stack_set, place, instance, action, instance.detailed)

    def skip(self, stack_set, place):
        """Leaves the stack of a suspended account as it is."""
        instance = stack_set.instances[place]
        if instance.detailed != SKIPPED:
            instance.detailed = SKIPPED
            self.send(stack_set, place, instance, "UPDATE", SKIPPED)

    def send(self, stack_set, place, instance, action, detailed):
        """Sends the event about an instance: to the account of the stack set, though it is about another's stack."""
        detail = {
            "stack-set-arn": f"arn:aws:cloudformation:{stack_set.region}:{self.settings.management_account}:stackset/"
                             f"{stack_set.name}:{stack_set.id}",
            "stack-id": instance.arn(*place), "action": action,
            "status-details": {"status": instance.status, "status-reason": instance.reason, "detailed-status": detailed}}
        ministack_events.send_service_events({"Entries": [{
            "Source": "aws.cloudformation", "DetailType": STATUS_CHANGE, "Detail": json.dumps(detail),
            "Account": self.settings.management_account, "Region": stack_set.region}]})

    def wanted(self, stack_set):
        """The accounts and Regions that have a stack; never the management account."""
        if stack_set.seen and not stack_set.settings["automatic"]:
            return set(stack_set.instances)
        return {
            (account, region) for group in stack_set.settings["groups"]
            for account in self.accounts_below(group["DeploymentTargets"]["OrganizationalUnitIds"])
            for region in group["Regions"]}

    def accounts_below(self, units):
        """The active accounts in these units, or the root, and below, but for the management account."""
        organizations, found, units = self.organizations(), set(), list(units)
        while units:
            unit = units.pop()
            for page in organizations.get_paginator("list_accounts_for_parent").paginate(ParentId=unit):
                found |= {one["Id"] for one in page["Accounts"] if one["Status"] == "ACTIVE"}
            for page in organizations.get_paginator("list_organizational_units_for_parent").paginate(ParentId=unit):
                units += [one["Id"] for one in page["OrganizationalUnits"]]
        return found - {self.settings.management_account}

    def suspended(self):
        """The accounts that are suspended."""
        pages = self.organizations().get_paginator("list_accounts").paginate()
        return {one["Id"] for page in pages for one in page["Accounts"] if one["Status"] == "SUSPENDED"}

    def stacks(self, account, region):
        """A client of an account's own, for its stacks."""
        return boto3.client(
            "cloudformation", endpoint_url=f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}", region_name=region,
            aws_access_key_id=account, aws_secret_access_key="test")

    def organizations(self):
        """A client of the management account's, for the organization that moto holds."""
        client = boto3.client(
            "organizations", endpoint_url=self.settings.moto_url, region_name="us-east-1",
            aws_access_key_id=self.settings.management_account, aws_secret_access_key="test")
        account = {"x-moto-account-id": self.settings.management_account}
        client.meta.events.register("before-call", lambda params, **_: params["headers"].update(account))
        return client


class StackSet:
    """One stack set, and its instances by account and Region."""

    def __init__(self, name, region, settings):
        self.name, self.region, self.settings = name, region, settings
        self.id = str(uuid.uuid4())
        self.instances = {}
        self.deleted = self.seen = False

    def summary(self):
        """The members that every answer about it has."""
        return (f"<StackSetName>{self.name}</StackSetName><StackSetId>{self.name}:{self.id}</StackSetId>"
                "<Status>ACTIVE</Status><PermissionModel>SERVICE_MANAGED</PermissionModel>")


class Instance:
    """One stack of a stack set."""

    def __init__(self, stack):
        self.stack, self.deployed, self.begun = stack, None, None
        self.status, self.reason, self.detailed = "OUTDATED", "", "PENDING"
        self.id = None

    def arn(self, account, region):
        """The id of the stack; CloudFormation gives it one before the stack exists."""
        return self.id or f"arn:aws:cloudformation:{region}:{account}:stack/{self.stack}/{self.stack[-36:]}"

    def summary(self, stack_set, account, region):
        """The members that every answer about it has."""
        return (f"<StackSetId>{stack_set.name}:{stack_set.id}</StackSetId><Account>{account}</Account><Region>{region}</Region>"
                f"<StackId>{self.arn(account, region)}</StackId><Status>{self.status}</Status>"
                f"<StatusReason>{escape(self.reason)}</StatusReason>"
                f"<StackInstanceStatus><DetailedStatus>{self.detailed}</DetailedStatus></StackInstanceStatus>")

    def deploy(self, client, settings):
        """Makes the stack, or updates it."""
        call = client.create_stack if self.deployed is None else client.update_stack
        done = "stack_create_complete" if self.deployed is None else "stack_update_complete"
        try:
            made = call(StackName=self.stack, TemplateBody=settings["body"], Capabilities=settings["capabilities"],
                 Parameters=[{name: str(value) for name, value in one.items()} for one in settings["parameters"]])
            self.id = made["StackId"]
            client.get_waiter(done).wait(
                StackName=self.stack, WaiterConfig={"Delay": 0.1, "MaxAttempts": STACK_SECONDS * 10})
            self.status, self.reason = "CURRENT", ""
        except (BotoCoreError, ClientError) as error:
            if "No updates are to be performed" not in str(error):
                self.status, self.reason = "OUTDATED", str(error)
        self.deployed = settings

    def delete(self, client):
        """Deletes the stack; of an account that has left there is nothing to delete."""
        try:
            client.delete_stack(StackName=self.stack)
        except (BotoCoreError, ClientError) as error:
            print(f"stack {self.stack} was not deleted: {error}", flush=True)


def first(parameters, name):
    """The value of a parameter of the query protocol."""
    value = parameters.get(name) or [""]
    return (value[0] if isinstance(value, list) else value).partition(":")[0]


def not_found(parameters):
    """The error about a stack set that does not exist."""
    return helpers._error("StackSetNotFoundException", f"StackSet {first(parameters, 'StackSetName')} not found", 404)


def answer(operation, content):
    """An answer of the query protocol."""
    return helpers._xml(200, f"{operation}Response", f"<{operation}Result>{content}</{operation}Result>")
