"""The patches of `moto_organization.py` and `moto_settings.py`, on a moto that the tests start and end themselves."""

import json
import unittest

from botocore.exceptions import ClientError

from emulators import Moto

SCP, EC2, S3, TAGS = "SERVICE_CONTROL_POLICY", "DECLARATIVE_POLICY_EC2", "S3_POLICY", "TAG_POLICY"
ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
BLOCKED = json.dumps({"s3_attributes": {"public_access_block_configuration": {"@@assign": "all"}}})
METADATA = {"http_tokens": "required", "http_put_response_hop_limit": "2", "http_endpoint": "no_preference",
            "instance_metadata_tags": "no_preference"}


def declarative(**attributes):
    """A declarative policy with these attributes, whose members have these values."""
    return json.dumps({"ec2_attributes": {
        name: {member: {"@@assign": value} for member, value in members.items()} for name, members in attributes.items()}})


def setUpModule():
    """Starts moto once for all tests, with an organization of one unit and one account."""
    global moto, organizations, root, unit, member, other
    moto = Moto()
    moto.start()
    organizations = moto.client("organizations")
    organizations.create_organization(FeatureSet="ALL")
    root = organizations.list_roots()["Roots"][0]["Id"]
    unit = organizations.create_organizational_unit(ParentId=root, Name="Active")["OrganizationalUnit"]["Id"]
    member, other = (new_account(name) for name in ("one", "two"))
    organizations.move_account(AccountId=member, SourceParentId=root, DestinationParentId=unit)


def tearDownModule():
    moto.stop()


def new_account(name):
    created = organizations.create_account(AccountName=name, Email=f"{name}@example.com")
    return created["CreateAccountStatus"]["AccountId"]


class Case(unittest.TestCase):
    def refused(self, code, call, **given):
        with self.assertRaises(ClientError) as caught:
            call(**given)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)

    def policy(self, kind, content, name=None):
        """Makes a policy, which the test deletes at its end; returns its id."""
        name = name or self.id().rpartition(".")[2] + kind
        made = organizations.create_policy(Name=name, Description="d", Type=kind, Content=content)
        policy = made["Policy"]["PolicySummary"]
        self.addCleanup(organizations.delete_policy, PolicyId=policy["Id"])
        return policy

    def switched_on(self, kind):
        organizations.enable_policy_type(RootId=root, PolicyType=kind)
        self.addCleanup(organizations.disable_policy_type, RootId=root, PolicyType=kind)

    def attached(self, kind, content, target):
        """Attaches a new policy until the end of the test."""
        policy = self.policy(kind, content)["Id"]
        organizations.attach_policy(PolicyId=policy, TargetId=target)
        self.addCleanup(organizations.detach_policy, PolicyId=policy, TargetId=target)
        return policy


class Services(Case):
    """Services that the organization lets work in its accounts."""

    def test_iam_has_trusted_access_and_an_administrator(self):
        organizations.enable_aws_service_access(ServicePrincipal="iam.amazonaws.com")
        trusted = organizations.list_aws_service_access_for_organization()["EnabledServicePrincipals"]
        self.assertIn("iam.amazonaws.com", [one["ServicePrincipal"] for one in trusted])
        for service in ("iam.amazonaws.com", "member.org.stacksets.cloudformation.amazonaws.com"):
            organizations.enable_aws_service_access(ServicePrincipal=service)
            organizations.register_delegated_administrator(AccountId=other, ServicePrincipal=service)
            found = organizations.list_delegated_administrators(ServicePrincipal=service)["DelegatedAdministrators"]
            self.assertEqual([one["Id"] for one in found], [other])


class Policies(Case):
    """What Organizations takes and refuses."""

    def test_newer_types_are_stored_and_named(self):
        policy = self.policy(EC2, declarative(serial_console_access={"status": "disabled"}))
        self.assertRegex(policy["Arn"], r"^arn:aws:organizations::\d+:policy/o-[a-z0-9]+/declarative_policy_ec2/p-[a-z0-9]+$")
        listed = organizations.list_policies(Filter=EC2)["Policies"]
        self.assertEqual([one["Id"] for one in listed], [policy["Id"]])
        self.assertEqual(organizations.list_policies(Filter=S3)["Policies"], [])

    def test_a_policy_that_says_nothing_known_is_refused(self):
        create = organizations.create_policy
        for kind, content in [
            (SCP, "no JSON"),
            (S3, "{"),
            (S3, json.dumps({"s3_attributes": {"public_access_block_configuration": {"@@assign": "most"}}})),
            (S3, json.dumps({"s3": {}})),
            (EC2, json.dumps({"ec2_attributes": {}})),
            (EC2, declarative(serial_console_access={"status": "off"})),
            (EC2, declarative(serial_console={"status": "disabled"})),
            (EC2, declarative(snapshot_block_public_access={"state": "block-all-sharing"})),
            (EC2, declarative(instance_metadata_defaults={"http_tokens": "required"})),
            (EC2, json.dumps({"ec2_attributes": {"serial_console_access": {"status": "disabled"}}})),
            (TAGS, json.dumps({"tag": {}})),
        ]:
            with self.subTest(content):
                self.refused("MalformedPolicyDocumentException", create, Name="n", Description="d", Type=kind, Content=content)
        for kind, size in [(SCP, 5_121), (S3, 10_001)]:
            content = ALLOW.ljust(size)
            self.refused("ConstraintViolationException", create, Name="n", Description="d", Type=kind, Content=content)
        policy = self.policy(S3, BLOCKED)["Id"]
        self.refused("MalformedPolicyDocumentException", organizations.update_policy, PolicyId=policy, Content="{}")
        self.refused("DuplicatePolicyException", create, Name=self.id().rpartition(".")[2] + S3, Description="d", Type=S3, Content=BLOCKED)

    def test_a_policy_is_attached_once_while_its_type_is_on(self):
        policy = self.policy(S3, BLOCKED)["Id"]
        place = {"PolicyId": policy, "TargetId": unit}
        self.refused("PolicyTypeNotEnabledException", organizations.attach_policy, **place)
        self.switched_on(S3)
        self.refused("PolicyNotAttachedException", organizations.detach_policy, **place)
        organizations.attach_policy(**place)
        self.refused("DuplicatePolicyAttachmentException", organizations.attach_policy, **place)
        self.refused("PolicyInUseException", organizations.delete_policy, PolicyId=policy)
        organizations.detach_policy(**place)

    def test_a_target_has_five_service_control_policies_and_at_least_one(self):
        self.switched_on(SCP)
        for number in range(4):
            policy = self.policy(SCP, ALLOW, f"scp-{number}")["Id"]
            organizations.attach_policy(PolicyId=policy, TargetId=unit)
            self.addCleanup(organizations.detach_policy, PolicyId=policy, TargetId=unit)
        last = self.policy(SCP, ALLOW, "scp-4")["Id"]
        self.refused("ConstraintViolationException", organizations.attach_policy, PolicyId=last, TargetId=unit)
        full = {"PolicyId": "p-FullAWSAccess", "TargetId": other}
        self.refused("ConstraintViolationException", organizations.detach_policy, **full)

    def test_the_effective_policy_has_what_is_above(self):
        effective = organizations.describe_effective_policy
        self.switched_on(EC2)
        self.refused("EffectivePolicyNotFoundException", effective, PolicyType=EC2, TargetId=member)
        self.attached(EC2, declarative(serial_console_access={"status": "disabled"}, instance_metadata_defaults=METADATA), root)
        policy = self.policy(EC2, declarative(serial_console_access={"status": "enabled"}), "below")["Id"]
        organizations.attach_policy(PolicyId=policy, TargetId=unit)
        self.addCleanup(organizations.detach_policy, PolicyId=policy, TargetId=unit)
        for account, status in [(member, "enabled"), (other, "disabled")]:
            found = effective(PolicyType=EC2, TargetId=account)["EffectivePolicy"]
            self.assertEqual(json.loads(found["PolicyContent"]), {"ec2_attributes": {
                "serial_console_access": {"status": status}, "instance_metadata_defaults": METADATA}})
        self.refused("InvalidInputException", moto.client("organizations").describe_effective_policy, PolicyType="CHATBOT_POLICY")


class AccountSettings(Case):
    """EC2's settings for a whole account and Region."""

    def settings(self, account, region="us-east-1"):
        ec2 = moto.client("ec2", account, region)
        return {
            "snapshots": ec2.get_snapshot_block_public_access_state(),
            "images": ec2.get_image_block_public_access_state(),
            "console": ec2.get_serial_console_access_status(),
            "metadata": ec2.get_instance_metadata_defaults()["AccountLevel"],
        }

    def shown(self, account, region="us-east-1"):
        found = self.settings(account, region)
        return [found["snapshots"]["State"], found["images"]["ImageBlockPublicAccessState"],
                found["console"]["SerialConsoleAccessEnabled"], found["metadata"]]

    def test_each_is_kept_by_account_and_region(self):
        fresh = ["unblocked", "unblocked", False, {"ManagedBy": "account"}]
        self.assertEqual(self.shown(member), fresh)
        ec2 = moto.client("ec2", member)
        self.assertEqual(ec2.enable_snapshot_block_public_access(State="block-all-sharing")["State"], "block-all-sharing")
        answer = ec2.enable_image_block_public_access(ImageBlockPublicAccessState="block-new-sharing")
        self.assertEqual(answer["ImageBlockPublicAccessState"], "block-new-sharing")
        self.assertTrue(ec2.enable_serial_console_access()["SerialConsoleAccessEnabled"])
        self.assertTrue(ec2.modify_instance_metadata_defaults(HttpTokens="required", HttpPutResponseHopLimit=2)["Return"])
        ec2.modify_instance_metadata_defaults(HttpEndpoint="enabled")
        self.assertEqual(self.shown(member), ["block-all-sharing", "block-new-sharing", True, {
            "HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled", "ManagedBy": "account"}])
        self.assertEqual(self.shown(member, "eu-west-1"), fresh)
        self.assertEqual(self.shown(other), fresh)
        ec2.disable_snapshot_block_public_access()
        ec2.disable_image_block_public_access()
        self.assertFalse(ec2.disable_serial_console_access()["SerialConsoleAccessEnabled"])
        ec2.modify_instance_metadata_defaults(HttpTokens="no-preference", HttpPutResponseHopLimit=-1, HttpEndpoint="no-preference")
        self.assertEqual(self.shown(member), fresh)

    def test_values_that_do_not_exist_are_refused(self):
        ec2 = moto.client("ec2", member)
        self.refused("InvalidParameterValue", ec2.enable_snapshot_block_public_access, State="block-some")
        self.refused("InvalidParameterValue", ec2.enable_image_block_public_access, ImageBlockPublicAccessState="blocked")
        self.refused("InvalidParameterValue", ec2.modify_instance_metadata_defaults, HttpTokens="always")
        self.refused("InvalidParameterValue", ec2.modify_instance_metadata_defaults, HttpPutResponseHopLimit=65)
        self.refused("DryRunOperation", ec2.enable_serial_console_access, DryRun=True)

    def test_a_policy_of_the_organization_takes_them_over(self):
        self.switched_on(EC2)
        ec2 = moto.client("ec2", member)
        self.attached(EC2, declarative(
            snapshot_block_public_access={"state": "block_all_sharing"}, image_block_public_access={"state": "block_new_sharing"},
            serial_console_access={"status": "disabled"}, instance_metadata_defaults=METADATA), unit)
        found = self.settings(member)
        self.assertEqual({one["ManagedBy"] for one in found.values()}, {"declarative-policy"})
        self.assertEqual(found["snapshots"]["State"], "block-all-sharing")
        self.assertEqual(found["metadata"]["HttpTokens"], "required")
        self.assertEqual(found["metadata"]["HttpPutResponseHopLimit"], 2)
        self.assertNotIn("HttpEndpoint", found["metadata"])
        for call, given in [
            (ec2.disable_snapshot_block_public_access, {}), (ec2.disable_image_block_public_access, {}),
            (ec2.enable_serial_console_access, {}), (ec2.modify_instance_metadata_defaults, {"HttpTokens": "optional"}),
        ]:
            self.refused("DeclarativePolicyViolation", call, **given)
        self.assertEqual(self.settings(other)["console"]["ManagedBy"], "account")

    def test_a_policy_of_the_organization_blocks_public_buckets(self):
        def s3control(account):
            client = moto.client("s3control", account)
            # The account is before the host, which no name server knows.
            client.meta.events.register("before-sign", lambda request, **_: setattr(
                request, "url", request.url.replace(f"//{account}.", "//")))
            return client

        control, block = s3control(member), {"BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": False,
                                             "RestrictPublicBuckets": False}
        control.put_public_access_block(AccountId=member, PublicAccessBlockConfiguration=block)
        self.switched_on(S3)
        self.attached(S3, BLOCKED, root)
        found = control.get_public_access_block(AccountId=member)["PublicAccessBlockConfiguration"]
        self.assertEqual(set(found.values()), {True})
        self.refused("AccessDenied", control.put_public_access_block, AccountId=member, PublicAccessBlockConfiguration=block)
        self.refused("AccessDenied", control.delete_public_access_block, AccountId=member)


class Regions(Case):
    """The Regions of an account."""

    def test_an_account_has_what_it_asks_for(self):
        account = moto.client("account", member)

        def states(**query):
            pages = account.get_paginator("list_regions").paginate(**query)
            return {one["RegionName"]: one["RegionOptStatus"] for page in pages for one in page["Regions"]}

        found = states()
        self.assertEqual(found["us-east-1"], "ENABLED_BY_DEFAULT")
        self.assertEqual(found["eu-central-2"], "DISABLED")
        self.assertEqual(len(found), 29)
        self.assertEqual(len(states(RegionOptStatusContains=["ENABLED_BY_DEFAULT"])), 17)
        account.enable_region(RegionName="eu-central-2")
        self.refused("ConflictException", account.disable_region, RegionName="eu-central-2")
        self.assertEqual(states()["eu-central-2"], "ENABLING")
        self.assertEqual(states()["eu-central-2"], "ENABLED")
        self.assertEqual(account.get_region_opt_status(RegionName="eu-central-2")["RegionOptStatus"], "ENABLED")
        of_other = moto.client("account").get_region_opt_status(AccountId=other, RegionName="eu-central-2")
        self.assertEqual(of_other["RegionOptStatus"], "DISABLED")
        account.disable_region(RegionName="eu-central-2")
        self.assertEqual([states()["eu-central-2"] for _ in range(2)], ["DISABLING", "DISABLED"])

    def test_regions_that_nobody_switches_are_refused(self):
        account = moto.client("account", member)
        self.refused("ValidationException", account.enable_region, RegionName="us-east-1")
        self.refused("ValidationException", account.get_region_opt_status, RegionName="eu-nowhere-1")


if __name__ == "__main__":
    unittest.main()
