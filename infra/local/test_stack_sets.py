"""Smoke tests of the stack sets in `stack_sets.py`, with MiniStack and moto that the tests start and stop.

    .venv/cloud/bin/python -m unittest discover -s infra/local
"""

import unittest

from botocore.exceptions import ClientError

from emulators import ACCOUNT, REGION, Cloud

SET = "orgkeeper-member-account"
TEMPLATE = "Resources: {}"


def setUpModule():
    """Starts MiniStack and moto, with an organization of a root, a unit and an account in each."""
    global cloud, organizations, root, unit
    cloud = Cloud(with_moto=True)
    cloud.start()
    organizations = cloud.moto.client("organizations")
    organizations.create_organization(FeatureSet="ALL")
    root = organizations.list_roots()["Roots"][0]["Id"]
    unit = organizations.create_organizational_unit(ParentId=root, Name="Prod")["OrganizationalUnit"]["Id"]


def tearDownModule():
    cloud.stop()


def account(name, parent=None):
    """A new account of the organization; returns its id."""
    created = organizations.create_account(AccountName=name, Email=f"{name}@example.com")["CreateAccountStatus"]["AccountId"]
    if parent:
        organizations.move_account(AccountId=created, SourceParentId=root, DestinationParentId=parent)
    return created


class StackSets(unittest.TestCase):
    """Sets with service-managed permissions."""

    def setUp(self):
        self.stacks = cloud.client("cloudformation")
        self.stacks.activate_organizations_access()

    def create(self, name, auto):
        self.stacks.create_stack_set(
            StackSetName=name, TemplateBody=TEMPLATE, PermissionModel="SERVICE_MANAGED",
            AutoDeployment={"Enabled": auto, "RetainStacksOnAccountRemoval": False})

    def accounts(self, name):
        return {one["Account"] for one in self.stacks.list_stack_instances(StackSetName=name)["Summaries"]}

    def test_accounts_of_a_unit_have_a_stack_and_with_auto_deployment_new_ones_too(self):
        first, outside = account("first", unit), account("outside")
        for name, auto in (("with", True), ("without", False)):
            self.create(name, auto)
            self.stacks.create_stack_instances(
                StackSetName=name, DeploymentTargets={"OrganizationalUnitIds": [unit]}, Regions=[REGION])
        later = account("later", unit)
        self.assertEqual(self.accounts("with"), {first, later})
        self.assertEqual(self.accounts("without"), {first})
        self.assertNotIn(outside, self.accounts("with"))
        self.assertTrue(self.stacks.describe_stack_set(StackSetName="with")["StackSet"]["AutoDeployment"]["Enabled"])

    def test_deleted_stack_is_missing_until_it_is_created_again(self):
        mine = account("mine")
        self.create(SET, True)
        targets = {"OrganizationalUnitIds": [root]}
        one = {**targets, "Accounts": [mine], "AccountFilterType": "INTERSECTION"}
        self.stacks.create_stack_instances(StackSetName=SET, DeploymentTargets=targets, Regions=[REGION])
        self.assertIn(mine, self.accounts(SET))
        self.assertNotIn(ACCOUNT, self.accounts(SET), "never the management account")
        self.stacks.delete_stack_instances(StackSetName=SET, DeploymentTargets=one, Regions=[REGION], RetainStacks=False)
        self.assertNotIn(mine, self.accounts(SET))
        with self.assertRaisesRegex(ClientError, "StackSetNotEmpty"):
            self.stacks.delete_stack_set(StackSetName=SET)
        self.stacks.create_stack_instances(StackSetName=SET, DeploymentTargets=one, Regions=[REGION])
        self.assertIn(mine, self.accounts(SET))

    def test_what_aws_refuses(self):
        member = cloud.client("cloudformation", account("member"))
        with self.assertRaisesRegex(ClientError, "StackSetNotFound"):
            member.list_stack_instances(StackSetName=SET)
        with self.assertRaisesRegex(ClientError, "delegated admin"):
            member.list_stack_instances(StackSetName=SET, CallAs="DELEGATED_ADMIN")
        organizations.disable_aws_service_access(
            ServicePrincipal="member.org.stacksets.cloudformation.amazonaws.com")
        with self.assertRaisesRegex(ClientError, "enable organizations access"):
            self.create("no-access", True)


if __name__ == "__main__":
    unittest.main()
