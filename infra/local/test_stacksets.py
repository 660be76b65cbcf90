"""The stack sets of `ministack_stacksets.py`, on a MiniStack and a moto that the tests start and stop."""

import json
import unittest
from urllib.parse import urlencode

from botocore.exceptions import ClientError, WaiterError

from emulators import ACCOUNT, OTHER_ACCOUNT, Cloud, wait_for

SECONDS = 20


def setUpModule():
    """Starts both once for all tests, with an organization of a unit and two members."""
    global cloud, root, unit, members
    cloud = Cloud(with_moto=True)
    cloud.start()
    organizations = cloud.moto.client("organizations")
    organizations.create_organization(FeatureSet="ALL")
    root = organizations.list_roots()["Roots"][0]["Id"]
    unit = organizations.create_organizational_unit(ParentId=root, Name="Workloads")["OrganizationalUnit"]["Id"]
    members = [new_account("one"), new_account("two", unit)]


def tearDownModule():
    cloud.stop()


def new_account(name, parent=None):
    """Makes an account of the organization; returns its id."""
    organizations = cloud.moto.client("organizations")
    answer = organizations.create_account(AccountName=name, Email=f"{name}@example.com")
    account = answer["CreateAccountStatus"]["AccountId"]
    if parent:
        organizations.move_account(AccountId=account, SourceParentId=root, DestinationParentId=parent)
    return account


class StackSets(unittest.TestCase):
    """What CloudFormation's stack sets deploy, and what they refuse."""

    def setUp(self):
        self.name = self.id().rpartition(".")[2].replace("_", "-")
        self.stacks = cloud.client("cloudformation")

    def queues(self, account, region="us-east-1"):
        urls = cloud.client("sqs", account, region).list_queues().get("QueueUrls", [])
        return [url.rpartition("/")[2] for url in urls if self.name in url]

    def resource(self, unit_id, queue="", template=None, **more):
        template = template or {"Resources": {"Queue": {
            "Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": f"{self.name}{queue}-${{Word}}"}}}},
            "Parameters": {"Word": {"Type": "String"}}}
        return {"Resources": {"Set": {"Type": "AWS::CloudFormation::StackSet", "Properties": {
            "StackSetName": self.name, "PermissionModel": "SERVICE_MANAGED", "AutoDeployment": {"Enabled": True},
            "Parameters": [{"ParameterKey": "Word", "ParameterValue": "here"}],
            "StackInstancesGroup": [{
                "DeploymentTargets": {"OrganizationalUnitIds": [unit_id]}, "Regions": ["us-east-1", "eu-west-1"]}],
            "TemplateBody": json.dumps(template), **more}}}}

    def deploy(self, template, account=ACCOUNT):
        stacks = cloud.client("cloudformation", account)
        stacks.create_stack(StackName=self.name, TemplateBody=json.dumps(template))
        stacks.get_waiter("stack_create_complete").wait(
            StackName=self.name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 50})

    def has(self, account, queues, region="us-east-1"):
        wait_for(lambda: self.queues(account, region) == queues, SECONDS, f"{account} has {self.queues(account, region)}")

    def test_only_the_management_account_sees_them_and_gives_trusted_access(self):
        self.stacks.activate_organizations_access()
        other = cloud.client("cloudformation", OTHER_ACCOUNT)
        self.assertRaises(ClientError, other.activate_organizations_access)
        self.assertEqual(other.list_stack_sets()["Summaries"], [])
        with self.assertRaises(ClientError) as refused:
            other.list_stack_instances(StackSetName=self.name)
        self.assertEqual(refused.exception.response["Error"]["Code"], "StackSetNotFoundException")

    def test_each_account_gets_the_stack_and_new_ones_too(self):
        self.deploy(self.resource(root))
        for account in members:
            for region in ("us-east-1", "eu-west-1"):
                self.has(account, [f"{self.name}-here"], region)
        self.assertEqual(self.queues(ACCOUNT), [], "the management account has none")
        later = new_account("later")
        self.has(later, [f"{self.name}-here"])
        described = self.stacks.describe_stack_set(StackSetName=self.name)["StackSet"]
        self.assertTrue(described["AutoDeployment"]["Enabled"])
        listed = self.stacks.list_stack_instances(StackSetName=self.name)["Summaries"]
        self.assertEqual({one["Account"] for one in listed}, {*members, later})
        self.assertEqual({one["Status"] for one in listed}, {"CURRENT"})
        self.assertIn(self.name, [one["StackSetName"] for one in self.stacks.list_stack_sets()["Summaries"]])
        self.stacks.delete_stack(StackName=self.name)
        self.has(later, [])

    def test_each_change_of_an_instance_is_an_event(self):
        url, arn = cloud.queue(f"{self.name}-events")
        cloud.rule(self.name, {"source": ["aws.cloudformation"], "detail": {"stack-set-arn": [{"wildcard": f"*:stackset/{self.name}:*"}]}},
                   Arn=arn)
        self.conduct(Seconds=1, FailingAccounts=members[0])
        self.addCleanup(self.conduct)
        accounts = cloud.moto.client("organizations").list_accounts()["Accounts"]
        there = [one["Id"] for one in accounts if one["Status"] == "ACTIVE" and one["Id"] != ACCOUNT]
        self.deploy(self.resource(root))
        # Two Regions, each with a beginning and an end.
        seen = [json.loads(one["Body"]) for one in cloud.messages(url, count=4 * len(there), seconds=SECONDS)]
        self.assertEqual({one["account"] for one in seen}, {ACCOUNT})
        self.assertEqual({one["detail-type"] for one in seen}, {"CloudFormation StackSet StackInstance Status Change"})
        ended = {}
        for one in seen:
            detail = one["detail"]["status-details"]
            account = one["detail"]["stack-id"].split(":")[4]
            ended.setdefault((account, detail["detailed-status"]), set()).add(detail["status"])
        self.assertEqual(ended, {
            **{(account, "RUNNING"): {"OUTDATED"} for account in there}, (members[0], "FAILED"): {"OUTDATED"},
            **{(account, "SUCCEEDED"): {"CURRENT"} for account in there if account != members[0]}})
        found = self.stacks.describe_stack_instance(
            StackSetName=self.name, StackInstanceAccount=members[0], StackInstanceRegion="us-east-1")["StackInstance"]
        self.assertEqual((found["Status"], found["StatusReason"]), ("OUTDATED", "as configured"))
        self.assertEqual(found["StackInstanceStatus"]["DetailedStatus"], "FAILED")
        self.stacks.delete_stack(StackName=self.name)

    def conduct(self, **given):
        """Says how long instances take, and where they fail."""
        form = urlencode({"Action": "SetStackSetConduct", **given})
        cloud.own_call("cloudformation", form, **{"Content-Type": "application/x-www-form-urlencoded"})

    def test_what_a_suspended_account_has_is_left(self):
        account = new_account("suspended", unit)
        self.deploy(self.resource(unit))
        self.has(account, [f"{self.name}-here"])
        cloud.moto.client("organizations").close_account(AccountId=account)

        def detailed():
            listed = self.stacks.list_stack_instances(StackSetName=self.name)["Summaries"]
            return {one["StackInstanceStatus"]["DetailedStatus"] for one in listed if one["Account"] == account}

        wait_for(lambda: detailed() == {"SKIPPED_SUSPENDED_ACCOUNT"}, SECONDS, f"{detailed()}")
        self.assertEqual(self.queues(account), [f"{self.name}-here"])
        self.stacks.delete_stack(StackName=self.name)

    def test_a_unit_limits_it_and_a_change_follows(self):
        self.deploy(self.resource(unit))
        self.has(members[1], [f"{self.name}-here"])
        self.assertEqual(self.queues(members[0]), [])
        self.stacks.update_stack(StackName=self.name, TemplateBody=json.dumps(self.resource(unit, queue="-2")))
        self.has(members[1], [f"{self.name}-2-here"])
        organizations = cloud.moto.client("organizations")
        organizations.move_account(AccountId=members[1], SourceParentId=unit, DestinationParentId=root)
        self.has(members[1], [])
        organizations.move_account(AccountId=members[1], SourceParentId=root, DestinationParentId=unit)

    def test_a_condition_knows_account_region_and_parts_of_a_value(self):
        queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": f"{self.name}-${{AWS::Region}}"}}}
        part = [{"Fn::Select": [number, {"Fn::Split": [":", {"Ref": "Arn"}]}]} for number in (3, 4)]
        there = {"Fn::And": [{"Fn::Equals": [part[0], {"Ref": "AWS::Region"}]},
                             {"Fn::Equals": [part[1], {"Ref": "AWS::AccountId"}]}]}
        template = {
            "Parameters": {"Arn": {"Type": "String", "Default": f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/a"},
                           "Units": {"Type": "CommaDelimitedList", "Default": ""}},
            "Conditions": {"Elsewhere": {"Fn::Not": [there]},
                           "Some": {"Fn::Not": [{"Fn::Equals": [{"Fn::Select": [0, {"Ref": "Units"}]}, ""]}]}},
            "Resources": {"Queue": {**queue, "Condition": "Elsewhere"}, "Topic": {
                "Type": "AWS::SNS::Topic", "Condition": "Some"}, "Other": {"Type": "AWS::SNS::Topic"}}}
        for region in ("us-east-1", "eu-west-1"):
            stacks = cloud.client("cloudformation", region=region)
            stacks.create_stack(StackName=self.name, TemplateBody=json.dumps(template))
            stacks.get_waiter("stack_create_complete").wait(
                StackName=self.name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 50})
            resources = stacks.describe_stack_resources(StackName=self.name)["StackResources"]
            self.assertNotIn("Topic", [one["LogicalResourceId"] for one in resources])
        self.assertEqual(self.queues(ACCOUNT), [f"{self.name}-us-east-1"])
        self.assertEqual(self.queues(ACCOUNT, "eu-west-1"), [])

    def test_what_it_cannot_deploy_is_refused(self):
        queue = {"Type": "AWS::SQS::Queue"}
        nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "https://s3.amazonaws.com/a/b"}}
        for number, template in enumerate((
                {"Transform": "AWS::Serverless-2016-10-31", "Resources": {"Queue": queue}},
                {"Resources": {"Nested": nested}})):
            with self.subTest(number):
                self.name = f"refused-{number}"
                with self.assertRaises(WaiterError):
                    self.deploy(self.resource(root, template=template))
        self.name = "refused-member"
        with self.assertRaises(WaiterError):
            self.deploy(self.resource(root), OTHER_ACCOUNT)
        with self.assertRaises(ClientError) as caught:
            self.stacks.list_stack_instances(StackSetName="unknown")
        self.assertEqual(caught.exception.response["Error"]["Code"], "StackSetNotFoundException")


if __name__ == "__main__":
    unittest.main()
