"""Removes one environment of samconfig.toml from the account of the credentials: uninstall.py ENVIRONMENT.

Shows what goes and what stays, and asks. Then it deletes, in this order, so that nothing sends to what is gone: the stacks that
forward or lend roles, the stack sets with their instances, the stack, and with --delete-data the tables and buckets that the stack
leaves behind, also those of an earlier stack of the same name. `make uninstall` calls it.
"""

import argparse
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

SAMCONFIG = Path(__file__).resolve().parents[2] / "samconfig.toml"
# By these names docs/deploy.md deploys the templates in infra/.
SMALL_STACKS = (
    "orgkeeper-forwarding", "orgkeeper-alert-events", "orgkeeper-organization-events", "orgkeeper-contact-role", "orgkeeper-member-account",
    "orgkeeper-rehearsal-events", "orgkeeper-baseline-events", "orgkeeper-posture-events", "orgkeeper-budget")
STACK_SETS = (
    "orgkeeper-member-account", "orgkeeper-alert-events", "orgkeeper-rehearsal-events", "orgkeeper-baseline-events",
    "orgkeeper-posture-events")
# Where the organization's and the root users' events are, and so a stack that forwards them.
GLOBAL_REGION = "us-east-1"

RETAINED = ("Retain", "RetainExceptOnCreate")
TABLE, BUCKET = "AWS::DynamoDB::Table", "AWS::S3::Bucket"
KINDS = {TABLE: "table", BUCKET: "bucket"}
# What stays in any case.
OTHERS = (
    "the parameters and secrets with the webhook's address and the alert rules, which you made",
    "the stacks orgkeeper-policies, orgkeeper-organization-baseline and orgkeeper-security-baseline: without them the organization has"
    " fewer fences and no trail of theirs (docs/baseline.md and docs/guardrails.md say how they are removed)",
    "the stack aws-sam-cli-managed-default, whose bucket has the uploaded code of every stack that the SAM CLI deploys",
)
PAUSE_SECONDS = 5
LIMIT_SECONDS = 3600


class Failed(Exception):
    """An expected failure, whose message is all that the user needs."""


@dataclass(frozen=True)
class Stack:
    """A stack that goes."""

    region: str
    name: str
    id: str
    status: str
    protected: bool


@dataclass(frozen=True)
class StackSet:
    """A stack set that goes, with its instances."""

    region: str
    name: str
    instances: int


@dataclass(frozen=True, order=True)
class Data:
    """A table or bucket that a stack leaves behind."""

    kind: str
    name: str


@dataclass(frozen=True)
class Plan:
    """What there is."""

    account: str
    region: str
    small: list[Stack]
    stack_sets: list[StackSet]
    stack: Stack | None
    data: list[Data]

    def empty(self, delete_data):
        """Whether there is nothing to delete."""
        return not (self.small or self.stack_sets or self.stack or (delete_data and self.data))

    def lines(self, delete_data):
        """What is shown."""
        data = [f"{KINDS[one.kind]:<10} {one.name}" for one in self.data]
        goes = [f"stack      {one.name} ({one.region})" for one in self.small]
        goes += [f"stack set  {one.name} ({one.region}) with {one.instances} instances" for one in self.stack_sets]
        goes += [f"stack      {one.name} ({one.region})" for one in [self.stack] if one]
        goes += [f"{line}, with everything in it" for line in data if delete_data]
        stays = [] if delete_data else data
        return [f"account {self.account}, {self.region}", "goes:", *indented(goes), "stays:", *indented([*stays, *OTHERS])]


def indented(lines):
    """Each line below a heading."""
    return [f"  {line}" for line in lines] or ["  nothing"]


class Account:
    """The calls to AWS."""

    def __init__(self, client, pause=PAUSE_SECONDS):
        """`client(service, region)` gives a client."""
        self.client = client
        self.pause = pause

    def plan(self, stack_name, region, more_regions=()):
        """Looks what there is."""
        regions = list(dict.fromkeys([region, GLOBAL_REGION, *more_regions]))
        stack = self.stack(stack_name, region)
        data = {*(self.retained(stack) if stack else ()), *self.left_behind(stack_name, region)}
        return Plan(
            account=self.client("sts", region).get_caller_identity()["Account"],
            region=region,
            small=[found for name in SMALL_STACKS for each in regions if name != stack_name and (found := self.stack(name, each))],
            stack_sets=[found for each in regions for found in self.stack_sets(each)],
            stack=stack,
            data=sorted(data),
        )

    def stack(self, name, region):
        """The stack of that name or id, if there is one."""
        try:
            stack = self.client("cloudformation", region).describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in error.response["Error"]["Message"]:
                return None
            raise
        return Stack(region, stack["StackName"], stack["StackId"], stack["StackStatus"], stack.get("EnableTerminationProtection", False))

    def retained(self, stack):
        """The tables and buckets that the stack's template keeps."""
        cloudformation = self.client("cloudformation", stack.region)
        template = cloudformation.get_template(StackName=stack.id, TemplateStage="Processed")["TemplateBody"]
        kept = {name for name, one in template["Resources"].items() if one.get("DeletionPolicy") in RETAINED}
        return [Data(one["ResourceType"], one["PhysicalResourceId"]) for one in self.resources(stack.id, stack.region)
                if one["LogicalResourceId"] in kept and one["ResourceType"] in KINDS]

    def left_behind(self, name, region):
        """The tables and buckets that a stack of that name kept and that are still there: when it was deleted, or when a flow was switched
        off. CloudFormation knows it for 90 days."""
        cloudformation = self.client("cloudformation", region)
        listed = cloudformation.get_paginator("list_stacks").paginate()
        stacks = [one["StackId"] for page in listed for one in page["StackSummaries"] if one["StackName"] == name]
        events = cloudformation.get_paginator("describe_stack_events")
        kept = {Data(one["ResourceType"], one["PhysicalResourceId"]) for stack in stacks for page in events.paginate(StackName=stack)
                for one in page["StackEvents"] if one.get("ResourceStatus") == "DELETE_SKIPPED" and one["ResourceType"] in KINDS}
        return [data for data in kept if self.exists(data, region)]

    def resources(self, stack_id, region):
        """Every resource of a stack."""
        pages = self.client("cloudformation", region).get_paginator("list_stack_resources").paginate(StackName=stack_id)
        return [one for page in pages for one in page["StackResourceSummaries"] if one.get("PhysicalResourceId")]

    def exists(self, data, region):
        """Whether a table or bucket is there, and this account's."""
        try:
            if data.kind == TABLE:
                self.client("dynamodb", region).describe_table(TableName=data.name)
            else:
                self.client("s3", region).head_bucket(Bucket=data.name)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ResourceNotFoundException", "404", "NoSuchBucket", "403"):
                return False
            raise
        return True

    def stack_sets(self, region):
        """The stack sets of ours that were made in this account and Region."""
        cloudformation = self.client("cloudformation", region)
        pages = cloudformation.get_paginator("list_stack_sets").paginate(Status="ACTIVE")
        names = [one["StackSetName"] for page in pages for one in page["Summaries"] if one["StackSetName"] in STACK_SETS]
        return [StackSet(region, name, len(self.instances(name, region))) for name in names]

    def instances(self, name, region):
        """Every instance of a stack set."""
        pages = self.client("cloudformation", region).get_paginator("list_stack_instances").paginate(StackSetName=name)
        return [one for page in pages for one in page["Summaries"]]

    def delete_stack(self, stack):
        """Deletes a stack, and waits for it."""
        cloudformation = self.client("cloudformation", stack.region)
        cloudformation.delete_stack(StackName=stack.id)

        def deleted():
            now = self.stack(stack.id, stack.region)
            if now is None or now.status == "DELETE_COMPLETE":
                return True
            if now.status == "DELETE_FAILED":
                failed = [one for one in self.resources(stack.id, stack.region) if one["ResourceStatus"] == "DELETE_FAILED"]
                reasons = "; ".join(f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason', 'no reason')}" for one in failed)
                raise Failed(f"the stack {stack.name} ({stack.region}) could not be deleted: {reasons}. Remove the cause, then run this again")
            return False

        self.wait(deleted, f"the stack {stack.name} is still being deleted")

    def delete_stack_set(self, stack_set):
        """Deletes the stacks in other accounts, then the stack set; does nothing if it went with the stack that made it."""
        cloudformation, name = self.client("cloudformation", stack_set.region), stack_set.name
        try:
            managed = cloudformation.describe_stack_set(StackSetName=name)["StackSet"].get("PermissionModel") == "SERVICE_MANAGED"
            instances = self.instances(name, stack_set.region)
            if instances:
                regions = sorted({one["Region"] for one in instances})
                where = ({"DeploymentTargets": {"OrganizationalUnitIds": sorted({one["OrganizationalUnitId"] for one in instances})}} if managed
                         else {"Accounts": sorted({one["Account"] for one in instances})})
                operation = cloudformation.delete_stack_instances(StackSetName=name, Regions=regions, RetainStacks=False, **where)["OperationId"]
                self.wait(lambda: self.ended(cloudformation, name, operation), f"the instances of {name} are still being deleted")
            cloudformation.delete_stack_set(StackSetName=name)
        except cloudformation.exceptions.StackSetNotFoundException:
            return

    @staticmethod
    def ended(cloudformation, name, operation):
        """Whether an operation on a stack set has succeeded."""
        status = cloudformation.describe_stack_set_operation(StackSetName=name, OperationId=operation)["StackSetOperation"]["Status"]
        if status in ("FAILED", "STOPPED"):
            results = cloudformation.list_stack_set_operation_results(StackSetName=name, OperationId=operation)["Summaries"]
            reasons = "; ".join(f"{one['Account']} {one['Region']}: {one.get('StatusReason', 'no reason')}" for one in results if one["Status"] != "SUCCEEDED")
            raise Failed(f"instances of the stack set {name} could not be deleted: {reasons}. Remove the cause, then run this again")
        return status == "SUCCEEDED"

    def delete_data(self, data, region):
        """Deletes a table or bucket with everything in it."""
        (self.delete_table if data.kind == TABLE else self.delete_bucket)(data.name, region)

    def delete_table(self, name, region):
        """Switches the deletion protection off, then deletes the table."""
        dynamodb = self.client("dynamodb", region)
        if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
            dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
            self.wait(lambda: dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE", f"the table {name} is still being changed")
        dynamodb.delete_table(TableName=name)

    def delete_bucket(self, name, region):
        """Deletes every version of every object, then the bucket."""
        s3 = self.client("s3", region)
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]]
            if objects:
                errors = s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])
                if errors:
                    raise Failed(f"{len(errors)} objects of the bucket {name} could not be deleted, the first because of {errors[0]['Code']}")
        s3.delete_bucket(Bucket=name)

    def wait(self, done, still):
        """Waits until it is done."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise Failed(f"{still} after an hour: run this again")
            time.sleep(self.pause)


def refuse(plan):
    """What has to be done first, if anything."""
    for stack in [*plan.small, *([plan.stack] if plan.stack else [])]:
        if stack.protected:
            raise Failed(
                f"the stack {stack.name} is protected. To delete it: aws cloudformation update-termination-protection "
                f"--no-enable-termination-protection --stack-name {stack.name} --region {stack.region}")
        if stack.status.endswith("_IN_PROGRESS") and stack.status != "DELETE_IN_PROGRESS":
            raise Failed(f"the stack {stack.name} is {stack.status}: wait until that has ended, then run this again")


def carry_out(account, plan, delete_data, say=print):
    """Deletes what the plan says, and says each step that is done."""
    for stack in plan.small:
        account.delete_stack(stack)
        say(f"deleted: stack {stack.name} ({stack.region})")
    for stack_set in plan.stack_sets:
        account.delete_stack_set(stack_set)
        say(f"deleted: stack set {stack_set.name}")
    if plan.stack:
        account.delete_stack(plan.stack)
        say(f"deleted: stack {plan.stack.name} ({plan.stack.region})")
    for data in plan.data if delete_data else ():
        account.delete_data(data, plan.region)
        say(f"deleted: {KINDS[data.kind]} {data.name}")


def environment(text, name):
    """The stack's name and the Region, if it is set, of an environment of samconfig.toml."""
    config = tomllib.loads(text)
    if name not in config or name == "version":
        raise Failed(f"samconfig.toml has no environment {name}: ENV is one of {', '.join(key for key in config if key != 'version')}")
    settings = {**config[name].get("global", {}).get("parameters", {}), **config[name].get("deploy", {}).get("parameters", {})}
    return settings.get("stack_name", "orgkeeper"), settings.get("region")


def main():
    """Shows, asks, deletes; exit code 1 if something is left that should be gone."""
    parser = argparse.ArgumentParser(description="Removes one environment of samconfig.toml from the account of the credentials.")
    parser.add_argument("environment")
    parser.add_argument("--region", action="append", default=[], help=f"a further Region with small stacks, beside the stack's and {GLOBAL_REGION}")
    parser.add_argument("--delete-data", action="store_true", help="delete the tables and buckets too that the stack leaves behind")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args()
    try:
        name, region = environment(SAMCONFIG.read_text(encoding="utf-8"), arguments.environment)
        session = boto3.Session()
        region = region or session.region_name
        if not region:
            raise Failed("the Region is not known: set AWS_REGION, or region in samconfig.toml")
        account = Account(lambda service, where: session.client(service, region_name=where))
        plan = account.plan(name, region, arguments.region)
        print(*plan.lines(arguments.delete_data), sep="\n", flush=True)
        if plan.empty(arguments.delete_data):
            return
        refuse(plan)
        if not arguments.yes and (not sys.stdin.isatty() or input(f"To delete it, type the stack's name ({name}): ").strip() != name):
            raise Failed("nothing was deleted: type the stack's name, or run it with YES=1")
        carry_out(account, plan, arguments.delete_data)
    except (Failed, ClientError, BotoCoreError) as error:
        sys.exit(str(error))
    if plan.data and not arguments.delete_data:
        print(f"to delete what it left behind too, within 90 days: make uninstall ENV={arguments.environment} DELETE_DATA=1")


if __name__ == "__main__":
    main()
