"""Tests of uninstall.py on MiniStack, with stacks as docs/deploy.md makes them, and with a double of the stack sets."""

import json
import re
import unittest
from pathlib import Path
from unittest import mock

import boto3
from botocore.exceptions import ClientError

import emulators
import uninstall
from uninstall import BUCKET, TABLE, Account, Data, Failed, Plan, Stack

HOME = "eu-west-1"
KEY = {"AttributeDefinitions": [{"AttributeName": "Id", "AttributeType": "S"}], "KeySchema": [{"AttributeName": "Id", "KeyType": "HASH"}]}


def table(**more):
    """A table as in template.yaml."""
    return {"Type": TABLE, "Properties": {**KEY, "BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": "DeletionPolicy" in more}, **more}


STACK = {"Resources": {
    "Ledger": table(DeletionPolicy="RetainExceptOnCreate", UpdateReplacePolicy="Retain"),
    "Memory": table(),
    "Uploads": {"Type": BUCKET, "DeletionPolicy": "Retain", "Properties": {"VersioningConfiguration": {"Status": "Enabled"}}},
    "Queue": {"Type": "AWS::SQS::Queue"},
}}
SMALL = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}


class Names(unittest.TestCase):
    """What is removed, against what docs/deploy.md has deployed."""

    def test_every_stack_set_of_the_forwarding_goes(self):
        forwarding = (Path(uninstall.__file__).parents[1] / "forwarding.yaml").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"StackSetName: (\S+)", forwarding)), set(uninstall.STACK_SETS))


def setUpModule():
    """Starts MiniStack once for all tests."""
    global cloud
    cloud = emulators.Cloud()
    cloud.start()


def tearDownModule():
    cloud.stop()


class StackSets:
    """The stack sets of an account: it refuses what CloudFormation refuses."""

    class Missing(ClientError):
        """StackSetNotFoundException."""

    def __init__(self, model="SERVICE_MANAGED", fails=False, **sets):
        self.model, self.fails, self.sets, self.calls = model, fails, sets, []
        self.exceptions = mock.Mock(StackSetNotFoundException=self.Missing)

    def get_paginator(self, operation):
        pages = {
            "list_stack_sets": lambda Status: [{"Summaries": [{"StackSetName": name} for name in self.sets]}],
            "list_stack_instances": lambda StackSetName: [{"Summaries": [one]} for one in self.instances(StackSetName)],
        }
        return mock.Mock(paginate=pages[operation])

    def instances(self, name):
        if name not in self.sets:
            raise self.Missing({"Error": {"Code": "StackSetNotFoundException", "Message": name}}, "DescribeStackSet")
        return self.sets[name]

    def describe_stack_set(self, StackSetName):
        self.instances(StackSetName)
        return {"StackSet": {"PermissionModel": self.model}}

    def delete_stack_instances(self, StackSetName, Regions, RetainStacks, Accounts=None, DeploymentTargets=None):
        wanted = "DeploymentTargets" if self.model == "SERVICE_MANAGED" else "Accounts"
        assert (DeploymentTargets is None) == (wanted == "Accounts") and (Accounts is None) == (wanted == "DeploymentTargets") and not RetainStacks
        self.calls.append((StackSetName, Regions, Accounts or DeploymentTargets["OrganizationalUnitIds"]))
        self.waits = 2
        return {"OperationId": "1"}

    def describe_stack_set_operation(self, StackSetName, OperationId):
        self.waits -= 1
        if self.waits:
            return {"StackSetOperation": {"Status": "RUNNING"}}
        if not self.fails:
            self.sets[StackSetName] = []
        return {"StackSetOperation": {"Status": "FAILED" if self.fails else "SUCCEEDED"}}

    def list_stack_set_operation_results(self, StackSetName, OperationId):
        return {"Summaries": [{"Account": "2" * 12, "Region": HOME, "Status": "FAILED", "StatusReason": "the role is gone"},
                              {"Account": "3" * 12, "Region": HOME, "Status": "SUCCEEDED"}]}

    def delete_stack_set(self, StackSetName):
        assert not self.instances(StackSetName), "StackSetNotEmptyException"
        self.calls.append(StackSetName)
        del self.sets[StackSetName]


class Removal(unittest.TestCase):
    """An account of its own for each test."""

    accounts = iter(range(700000000000, 700000000100))

    def setUp(self):
        self.id = str(next(self.accounts))
        self.sets = StackSets()
        self.account = Account(self.client, pause=0.05)
        self.account.stack_sets, self.account.instances = self.with_sets(Account.stack_sets), self.with_sets(Account.instances)
        self.account.delete_stack_set = self.with_sets(Account.delete_stack_set)

    def with_sets(self, method):
        """MiniStack has no stack sets: their methods get the double."""
        beside = Account(lambda service, region: self.sets if region == HOME else StackSets(), pause=0)
        return lambda *arguments: method(beside, *arguments)

    def client(self, service, region):
        return boto3.client(
            service, endpoint_url=cloud.url, region_name=region, aws_access_key_id=self.id, aws_secret_access_key="test",
            config=boto3.session.Config(s3={"addressing_style": "path"}))

    def create(self, name, template, region=HOME, **more):
        cloudformation = self.client("cloudformation", region)
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template), **more)
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        return {one["LogicalResourceId"]: one["PhysicalResourceId"]
                for one in cloudformation.list_stack_resources(StackName=name)["StackResourceSummaries"]}

    def remove(self, delete_data):
        said = []
        plan = self.account.plan("orgkeeper", HOME)
        uninstall.carry_out(self.account, plan, delete_data, said.append)
        return plan, said

    def test_all_goes_but_what_the_template_retains(self):
        names = self.create("orgkeeper", STACK)
        self.create("orgkeeper-organization-events", SMALL, "us-east-1")
        self.create("orgkeeper-contact-role", SMALL)
        self.create("orgkeeper-of-somebody-else", SMALL)
        self.client("dynamodb", HOME).put_item(TableName=names["Ledger"], Item={"Id": {"S": "1"}})
        plan, said = self.remove(delete_data=False)
        self.assertEqual([(one.name, one.region) for one in plan.small], [
            ("orgkeeper-organization-events", "us-east-1"), ("orgkeeper-contact-role", HOME)])
        self.assertEqual(plan.data, [Data(TABLE, names["Ledger"]), Data(BUCKET, names["Uploads"])])
        lines = plan.lines(delete_data=False)
        self.assertLess(lines.index("  stack      orgkeeper (eu-west-1)"), lines.index("stays:"))
        self.assertGreater(lines.index(f"  table      {names['Ledger']}"), lines.index("stays:"))
        self.assertEqual(said[-1], "deleted: stack orgkeeper (eu-west-1)")
        left = [one["StackName"] for one in self.client("cloudformation", HOME).describe_stacks()["Stacks"]]
        self.assertEqual(left, ["orgkeeper-of-somebody-else"])
        self.assertEqual(self.client("dynamodb", HOME).list_tables()["TableNames"], [names["Ledger"]])
        self.assertEqual(self.client("dynamodb", HOME).scan(TableName=names["Ledger"])["Count"], 1)
        self.client("s3", HOME).head_bucket(Bucket=names["Uploads"])

    def test_the_second_flag_deletes_the_data_also_of_the_stack_that_went_before(self):
        names = self.create("orgkeeper", STACK)
        bucket = self.client("s3", HOME)
        for text in (b"one", b"two"):
            bucket.put_object(Bucket=names["Uploads"], Key="accounts.csv", Body=text)
        bucket.delete_object(Bucket=names["Uploads"], Key="accounts.csv")
        self.remove(delete_data=False)
        plan, said = self.remove(delete_data=True)
        self.assertIsNone(plan.stack)
        self.assertEqual(said, [f"deleted: table {names['Ledger']}", f"deleted: bucket {names['Uploads']}"])
        self.assertEqual(self.client("dynamodb", HOME).list_tables()["TableNames"], [])
        self.assertEqual(bucket.list_buckets()["Buckets"], [])
        self.assertTrue(self.account.plan("orgkeeper", HOME).empty(delete_data=True))

    def test_data_of_the_present_stack_goes_with_it(self):
        names = self.create("orgkeeper", STACK)
        plan, said = self.remove(delete_data=True)
        self.assertIn(f"  table      {names['Ledger']}, with everything in it", plan.lines(delete_data=True))
        self.assertEqual(said[0], "deleted: stack orgkeeper (eu-west-1)")
        self.assertEqual(self.client("dynamodb", HOME).list_tables()["TableNames"], [])

    def test_a_table_whose_flow_was_switched_off_is_data_too(self):
        names = self.create("orgkeeper", STACK)
        cloudformation = self.client("cloudformation", HOME)
        cloudformation.update_stack(StackName="orgkeeper", TemplateBody=json.dumps(SMALL))
        cloudformation.get_waiter("stack_update_complete").wait(StackName="orgkeeper", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        plan = self.account.plan("orgkeeper", HOME)
        self.assertEqual(plan.data, [Data(TABLE, names["Ledger"]), Data(BUCKET, names["Uploads"])])

    def test_a_protected_stack_is_refused_with_the_command(self):
        self.create("orgkeeper", SMALL, EnableTerminationProtection=True)
        plan = self.account.plan("orgkeeper", HOME)
        self.assertRaisesRegex(Failed, "update-termination-protection .*--stack-name orgkeeper --region eu-west-1", uninstall.refuse, plan)

    def test_a_resource_that_cannot_be_deleted_is_named(self):
        # A repository that is not empty: unlike AWS, MiniStack deletes a bucket with what is in it.
        names = self.create("orgkeeper", {"Resources": {"Images": {"Type": "AWS::ECR::Repository"}, **SMALL["Resources"]}})
        self.client("ecr", HOME).put_image(repositoryName=names["Images"], imageManifest="{}", imageTag="one")
        self.assertRaisesRegex(Failed, r"stack orgkeeper \(eu-west-1\) could not be deleted: Images: ", self.remove, delete_data=False)
        self.client("ecr", HOME).batch_delete_image(repositoryName=names["Images"], imageIds=[{"imageTag": "one"}])
        self.assertEqual(self.remove(delete_data=False)[1], ["deleted: stack orgkeeper (eu-west-1)"])

    def test_nothing_is_there(self):
        plan = self.account.plan("orgkeeper", HOME)
        self.assertTrue(plan.empty(delete_data=True))
        self.assertEqual(plan.lines(delete_data=True)[:3], [f"account {self.id}, {HOME}", "goes:", "  nothing"])

    def test_the_instances_of_a_service_managed_stack_set_go_by_unit(self):
        one = {"Account": "2" * 12, "Region": HOME, "OrganizationalUnitId": "r-abcd"}
        self.sets = StackSets(**{"orgkeeper-alert-events": [one, {**one, "Region": "us-east-1"}, {**one, "Account": "3" * 12}], "others": [one]})
        plan, said = self.remove(delete_data=False)
        self.assertIn("  stack set  orgkeeper-alert-events (eu-west-1) with 3 instances", plan.lines(delete_data=False))
        self.assertEqual(self.sets.calls, [("orgkeeper-alert-events", [HOME, "us-east-1"], ["r-abcd"]), "orgkeeper-alert-events"])
        self.assertEqual(said, ["deleted: stack set orgkeeper-alert-events"])
        self.assertEqual(list(self.sets.sets), ["others"])

    def test_those_of_a_self_managed_one_go_by_account(self):
        self.sets = StackSets("SELF_MANAGED", **{"orgkeeper-member-account": [{"Account": "2" * 12, "Region": HOME}]})
        self.remove(delete_data=False)
        self.assertEqual(self.sets.calls[0], ("orgkeeper-member-account", [HOME], ["2" * 12]))

    def test_an_instance_that_cannot_be_deleted_is_named(self):
        one = {"Account": "2" * 12, "Region": HOME, "OrganizationalUnitId": "r-abcd"}
        self.sets = StackSets(fails=True, **{"orgkeeper-alert-events": [one]})
        self.assertRaisesRegex(Failed, "222222222222 eu-west-1: the role is gone", self.remove, delete_data=False)

    def test_a_stack_set_that_went_with_its_stack_is_done(self):
        self.sets = StackSets(**{"orgkeeper-alert-events": []})
        plan = self.account.plan("orgkeeper", HOME)
        self.sets.sets.clear()
        said = []
        uninstall.carry_out(self.account, plan, False, said.append)
        self.assertEqual(said, ["deleted: stack set orgkeeper-alert-events"])


class Refusals(unittest.TestCase):
    """What is said before anything is deleted."""

    def test_a_stack_that_is_being_changed_is_refused(self):
        stack = Stack(HOME, "orgkeeper", "id", "UPDATE_IN_PROGRESS", False)
        plan = Plan("1" * 12, HOME, [], [], stack, [])
        self.assertRaisesRegex(Failed, "UPDATE_IN_PROGRESS", uninstall.refuse, plan)

    def test_an_environment_that_is_not_there_is_named_with_those_that_are(self):
        text = uninstall.SAMCONFIG.read_text(encoding="utf-8")
        self.assertRaisesRegex(Failed, "no environment prod: ENV is one of default, security", uninstall.environment, text, "prod")
        self.assertEqual(uninstall.environment(text, "local"), ("orgkeeper", "us-east-1"))
        self.assertEqual(uninstall.environment(text, "management"), ("orgkeeper", None))


if __name__ == "__main__":
    unittest.main()
