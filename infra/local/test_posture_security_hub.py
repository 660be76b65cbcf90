"""The stand-ins of Security Hub in `posture/`: hubs, standards, controls and central configuration, with boto3."""

import time
import unittest

from emulators import ACCOUNT, REGION
from test_posture_administrators import OTHER_REGION, Case, Organization

FSBP = "aws-foundational-security-best-practices/v/1.0.0"
PCI = "pci-dss/v/4.0.1"
CIS = "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0"
THIRD_REGION = "us-west-2"
OFF = "SELF_MANAGED_SECURITY_HUB"


def setUpModule():
    global here
    here = Organization()


def tearDownModule():
    here.moto.stop()


def arn(name, region=REGION):
    return f"arn:aws:securityhub:{region}::standards/{name}"


class FromNothing(Case):
    def setUp(self):
        self.addCleanup(here.control, "DELETE")
        here.control("POST", "/hub", {"at_first": "off"})

    def standards(self, client):
        """The standards that are on, by the end of their ARN, with their status."""
        found = client.get_enabled_standards()["StandardsSubscriptions"]
        return {one["StandardsArn"].rpartition(":")[2].partition("/")[2]: one["StandardsStatus"] for one in found}

    def controls(self, client, name=PCI, region=REGION, *controls):
        """Whether controls are on in a standard."""
        found = client.batch_get_standards_control_associations(StandardsControlAssociationIds=[
            {"SecurityControlId": one, "StandardsArn": arn(name, region)} for one in controls])
        return {one["SecurityControlId"]: one["AssociationStatus"] for one in found["StandardsControlAssociationDetails"]}


class AtFirst(Case):
    """Without a setting every account is subscribed, and the management account administers."""

    def setUp(self):
        self.addCleanup(here.control, "DELETE")
        here.control("DELETE")

    def test_nothing_has_to_be_set_up(self):
        payer, member = here.client("securityhub"), here.client("securityhub", here.one)
        self.assertEqual([one["AccountId"] for one in payer.list_organization_admin_accounts()["AdminAccounts"]], [ACCOUNT])
        self.assertTrue(payer.describe_organization_configuration()["AutoEnable"])
        found = [one["StandardsArn"] for one in member.get_enabled_standards()["StandardsSubscriptions"]]
        self.assertEqual(found, [arn(FSBP), CIS])
        member.enable_security_hub()
        self.refused("ResourceConflictException", member.enable_security_hub)
        member.disable_security_hub()
        self.refused("InvalidAccessException", member.describe_hub)
        self.refused("InvalidAccessException", member.get_enabled_standards)
        # Another Region is another hub.
        self.assertIn(OTHER_REGION, here.client("securityhub", here.one, OTHER_REGION).describe_hub()["HubArn"])

    def test_another_account_becomes_administrator(self):
        payer = here.client("securityhub")
        self.refused("InvalidInputException", payer.enable_organization_admin_account, AdminAccountId=here.admin)
        payer.disable_organization_admin_account(AdminAccountId=ACCOUNT)
        payer.enable_organization_admin_account(AdminAccountId=here.admin)
        elsewhere = here.client("securityhub", region=OTHER_REGION)
        self.assertEqual(elsewhere.list_organization_admin_accounts()["AdminAccounts"], [])
        elsewhere.enable_organization_admin_account(AdminAccountId=here.admin)


class Members(FromNothing):
    def test_members_and_new_accounts_get_a_hub(self):
        here.client("securityhub").enable_organization_admin_account(AdminAccountId=here.admin)
        client = here.client("securityhub", here.admin)
        self.refused("InvalidAccessException", here.client("securityhub", here.one).describe_hub)
        client.update_organization_configuration(AutoEnable=True, AutoEnableStandards="NONE")
        made = client.create_members(AccountDetails=[{"AccountId": one} for one in (here.one, ACCOUNT, "999999999999")])
        self.assertEqual({one["AccountId"] for one in made["UnprocessedAccounts"]}, {ACCOUNT, "999999999999"})
        later = here.new_account("later-hub")
        self.assertEqual({one["AccountId"]: one["MemberStatus"] for one in client.list_members()["Members"]},
                         {here.one: "Enabled", later: "Enabled"})
        for account in (here.one, later):
            self.assertEqual(self.standards(here.client("securityhub", account)), {})
        self.refused("InvalidInputException", client.create_members,
                     AccountDetails=[{"AccountId": f"{number:012}"} for number in range(51)])
        self.refused("InvalidAccessException", here.client("securityhub", here.one).list_members)


class Standards(FromNothing):
    def setUp(self):
        super().setUp()
        self.client = here.client("securityhub", here.one)
        self.client.enable_security_hub(EnableDefaultStandards=False)

    def enable(self, name):
        return self.client.batch_enable_standards(StandardsSubscriptionRequests=[{"StandardsArn": arn(name)}])["StandardsSubscriptions"]

    def update(self, status, *controls, name=PCI):
        return self.client.batch_update_standards_control_associations(StandardsControlAssociationUpdates=[
            {"SecurityControlId": one, "StandardsArn": arn(name), "AssociationStatus": status, "UpdatedReason": "because"}
            for one in controls])["UnprocessedAssociationUpdates"]

    def test_the_data_is_complete(self):
        described = self.client.describe_standards()["Standards"]
        self.assertIn((CIS, True), [(one["StandardsArn"], one["EnabledByDefault"]) for one in described])
        self.assertIn((arn(PCI), False), [(one["StandardsArn"], one["EnabledByDefault"]) for one in described])
        pages = self.client.get_paginator("list_security_control_definitions").paginate(PaginationConfig={"PageSize": 10})
        controls = [one for page in pages for one in page["SecurityControlDefinitions"]]
        self.assertGreaterEqual(len(controls), 40)
        for standard in described:
            found = self.client.list_security_control_definitions(StandardsArn=standard["StandardsArn"])
            self.assertTrue(found["SecurityControlDefinitions"], standard)
        self.refused("InvalidInputException", self.client.list_security_control_definitions, StandardsArn=arn(PCI, OTHER_REGION))

    def test_a_standard_is_pending_and_then_ready(self):
        here.control("POST", "/standards", {"pending_seconds": 0.6})
        made = self.enable(PCI)[0]
        self.assertEqual((made["StandardsStatus"], made["StandardsControlsUpdatable"]), ("PENDING", "NOT_READY_FOR_UPDATES"))
        self.assertEqual([one["ErrorCode"] for one in self.update("DISABLED", "CloudTrail.2")], ["INVALID_INPUT"])
        time.sleep(0.7)
        self.assertEqual(self.standards(self.client), {PCI: "READY"})
        self.assertEqual(self.update("DISABLED", "CloudTrail.2"), [])

    def test_controls_are_switched_one_by_one(self):
        self.enable(PCI)
        self.assertEqual(self.update("DISABLED", "CloudTrail.2", "EC2.8"), [])
        self.assertEqual(self.controls(self.client, PCI, REGION, "CloudTrail.2", "EC2.8", "RDS.2"),
                         {"CloudTrail.2": "DISABLED", "EC2.8": "DISABLED", "RDS.2": "ENABLED"})
        found = self.client.list_standards_control_associations(SecurityControlId="EC2.8")["StandardsControlAssociationSummaries"]
        self.assertEqual([(one["StandardsArn"], one["UpdatedReason"]) for one in found], [(arn(PCI), "because")])
        self.assertEqual(self.update("ENABLED", "EC2.8"), [])
        self.assertEqual(self.controls(self.client, PCI, REGION, "EC2.8"), {"EC2.8": "ENABLED"})
        # Enabled again, a standard has every control on.
        mine = self.client.get_enabled_standards()["StandardsSubscriptions"][0]["StandardsSubscriptionArn"]
        gone = self.client.batch_disable_standards(StandardsSubscriptionArns=[mine])["StandardsSubscriptions"]
        self.assertEqual([one["StandardsStatus"] for one in gone], ["DELETING"])
        self.enable(PCI)
        self.assertEqual(self.controls(self.client, PCI, REGION, "CloudTrail.2"), {"CloudTrail.2": "ENABLED"})

    def test_what_cannot_be_done_is_unprocessed(self):
        self.enable(PCI)
        codes = {one["StandardsControlAssociationUpdate"]["SecurityControlId"]: one["ErrorCode"]
                 for one in self.update("DISABLED", "CloudTrail.2", "Toaster.1", "EC2.9")}
        self.assertEqual(codes, {"Toaster.1": "RESOURCE_NOT_FOUND", "EC2.9": "RESOURCE_NOT_FOUND"})
        self.assertEqual([one["ErrorCode"] for one in self.update("DISABLED", "EC2.9", name=FSBP)], ["RESOURCE_NOT_FOUND"])
        found = self.client.batch_get_standards_control_associations(
            StandardsControlAssociationIds=[{"SecurityControlId": "EC2.8", "StandardsArn": arn(FSBP)}])
        self.assertEqual([one["ErrorCode"] for one in found["UnprocessedAssociations"]], ["RESOURCE_NOT_FOUND"])
        self.refused("InvalidInputException", self.client.batch_enable_standards,
                     StandardsSubscriptionRequests=[{"StandardsArn": arn("toaster/v/1.0.0")}])

    def test_a_control_that_the_region_lacks(self):
        client = here.client("securityhub", here.one, OTHER_REGION)
        client.enable_security_hub(EnableDefaultStandards=False)
        client.batch_enable_standards(StandardsSubscriptionRequests=[{"StandardsArn": arn(PCI, OTHER_REGION)}])

        def availability(one, region):
            pages = one.get_paginator("list_security_control_definitions").paginate(StandardsArn=arn(PCI, region))
            return {row["SecurityControlId"]: row["CurrentRegionAvailability"] for page in pages for row in page["SecurityControlDefinitions"]}

        self.assertEqual(availability(self.client, REGION)["CloudFront.1"], "AVAILABLE")
        self.assertEqual(availability(client, OTHER_REGION)["CloudFront.1"], "UNAVAILABLE")
        refused = client.batch_update_standards_control_associations(StandardsControlAssociationUpdates=[
            {"SecurityControlId": "CloudFront.1", "StandardsArn": arn(PCI, OTHER_REGION), "AssociationStatus": "DISABLED"}])
        self.assertEqual([one["ErrorCode"] for one in refused["UnprocessedAssociationUpdates"]], ["INVALID_INPUT"])
        # The other Region's standards are its own.
        self.assertEqual(self.standards(self.client), {})

    def test_default_standards_without_a_choice(self):
        client = here.client("securityhub", here.two)
        client.enable_security_hub()
        self.assertEqual(set(self.standards(client)), {FSBP, "cis-aws-foundations-benchmark/v/1.2.0"})


class Central(FromNothing):
    def setUp(self):
        super().setUp()
        for region in (REGION, OTHER_REGION, THIRD_REGION):
            here.client("securityhub", region=region).enable_organization_admin_account(AdminAccountId=here.admin)
        self.client = here.client("securityhub", here.admin)

    def aggregator(self):
        return self.client.create_finding_aggregator(RegionLinkingMode="SPECIFIED_REGIONS", Regions=[OTHER_REGION])

    def central(self):
        self.aggregator()
        self.client.update_organization_configuration(
            AutoEnable=False, AutoEnableStandards="NONE", OrganizationConfiguration={"ConfigurationType": "CENTRAL"})

    def policy(self, name="one", standards=(PCI,), off=("CloudTrail.2",), **more):
        content = {"ServiceEnabled": True, "EnabledStandardIdentifiers": [arn(one) for one in standards],
                   "SecurityControlsConfiguration": {"DisabledSecurityControlIdentifiers": list(off)}, **more}
        content = {name: value for name, value in content.items() if value is not None}
        return self.client.create_configuration_policy(Name=name, ConfigurationPolicy={"SecurityHub": content})["Id"]

    def unit(self, name, parent=None):
        made = here.organizations.create_organizational_unit(ParentId=parent or here.root, Name=name)
        return made["OrganizationalUnit"]["Id"]

    def move(self, account, unit):
        parent = here.organizations.list_parents(ChildId=account)["Parents"][0]["Id"]
        here.organizations.move_account(AccountId=account, SourceParentId=parent, DestinationParentId=unit)

    def associate(self, policy, **target):
        return self.client.start_configuration_policy_association(ConfigurationPolicyIdentifier=policy, Target=target)

    def status(self, *accounts):
        found = self.client.batch_get_configuration_policy_associations(
            ConfigurationPolicyAssociationIdentifiers=[{"Target": {"AccountId": one}} for one in accounts])
        return [(one["ConfigurationPolicyId"], one["AssociationType"], one["AssociationStatus"])
                for one in found["ConfigurationPolicyAssociations"]]

    def test_what_central_configuration_needs(self):
        central = {"ConfigurationType": "CENTRAL"}
        update = self.client.update_organization_configuration
        self.refused("ResourceNotFoundException", update, AutoEnable=False, AutoEnableStandards="NONE", OrganizationConfiguration=central)
        self.client.create_finding_aggregator(RegionLinkingMode="NO_REGIONS")
        self.refused("ResourceNotFoundException", update, AutoEnable=False, AutoEnableStandards="NONE", OrganizationConfiguration=central)
        found = self.client.list_finding_aggregators()["FindingAggregators"][0]["FindingAggregatorArn"]
        self.client.update_finding_aggregator(FindingAggregatorArn=found, RegionLinkingMode="ALL_REGIONS")
        message = self.refused("InvalidInputException", update, AutoEnable=True, AutoEnableStandards="NONE", OrganizationConfiguration=central)
        self.assertEqual(message, "Auto Enable and AutoEnableStandards can not be enabled for Central Configuration")
        self.refused("InvalidInputException", update, AutoEnable=False, AutoEnableStandards="DEFAULT", OrganizationConfiguration=central)
        elsewhere = here.client("securityhub", here.admin, OTHER_REGION)
        self.refused("InvalidInputException", elsewhere.update_organization_configuration, AutoEnable=False, AutoEnableStandards="NONE",
                     OrganizationConfiguration=central)
        self.refused("AccessDeniedException", self.client.list_configuration_policies)
        update(AutoEnable=False, AutoEnableStandards="NONE", OrganizationConfiguration=central)
        found = self.client.describe_organization_configuration()
        self.assertEqual(found["OrganizationConfiguration"], {"ConfigurationType": "CENTRAL", "Status": "ENABLED"})
        self.assertEqual(self.client.list_configuration_policies()["ConfigurationPolicySummaries"], [])
        self.refused("AccessDeniedException", elsewhere.list_configuration_policies)

    def test_a_management_account_cannot_configure_centrally(self):
        payer = here.client("securityhub")
        for region in (REGION, OTHER_REGION, THIRD_REGION):
            here.client("securityhub", region=region).disable_organization_admin_account(AdminAccountId=here.admin)
        payer.enable_organization_admin_account(AdminAccountId=ACCOUNT)
        payer.create_finding_aggregator(RegionLinkingMode="ALL_REGIONS")
        self.refused("InvalidInputException", payer.update_organization_configuration, AutoEnable=False, AutoEnableStandards="NONE",
                     OrganizationConfiguration={"ConfigurationType": "CENTRAL"})

    def test_policies_are_complete(self):
        self.central()
        message = self.refused("InvalidInputException", self.policy, EnabledStandardIdentifiers=None)
        self.assertTrue(message.startswith("Enabled standards and security control configurations must be configured"), message)
        self.refused("InvalidInputException", self.policy, SecurityControlsConfiguration={})
        empty = self.policy("empty", standards=(), off=())
        self.client.delete_configuration_policy(Identifier=empty)
        self.refused("InvalidInputException", self.policy, SecurityControlsConfiguration={
            "EnabledSecurityControlIdentifiers": ["EC2.8"], "DisabledSecurityControlIdentifiers": ["EC2.9"]})
        self.refused("InvalidInputException", self.policy, off=("Toaster.1",))
        self.refused("InvalidInputException", self.policy, standards=("toaster/v/1.0.0",))
        policy = self.policy()
        self.refused("ResourceConflictException", self.policy)
        found = self.client.get_configuration_policy(Identifier=policy)
        by_arn = self.client.get_configuration_policy(Identifier=found["Arn"])
        self.assertEqual(by_arn["ConfigurationPolicy"]["SecurityHub"]["EnabledStandardIdentifiers"], [arn(PCI)])
        self.client.update_configuration_policy(Identifier=policy, Name="two", Description="d")
        summary = self.client.list_configuration_policies()["ConfigurationPolicySummaries"]
        self.assertEqual([(one["Name"], one["ServiceEnabled"]) for one in summary], [("two", True)])
        for number in range(19):
            self.policy(f"more-{number}")
        self.refused("LimitExceededException", self.policy, "last")
        self.client.delete_configuration_policy(Identifier=policy)
        self.refused("ResourceNotFoundException", self.client.get_configuration_policy, Identifier=policy)

    def test_the_nearest_policy_rules_and_new_accounts_inherit(self):
        self.central()
        unit = self.unit("prod")
        below = self.unit("web", unit)
        self.move(here.two, below)
        self.addCleanup(self.move, here.two, here.root)
        first, second = self.policy("first"), self.policy("second", (FSBP, PCI), ("RDS.2",))
        self.assertEqual(self.status(here.one), [(OFF, "INHERITED", "SUCCESS")])
        answer = self.associate(first, RootId=here.root)
        self.assertEqual((answer["AssociationType"], answer["AssociationStatus"]), ("APPLIED", "PENDING"))
        self.associate(second, OrganizationalUnitId=unit)
        later = here.new_account("later-central")
        self.assertEqual(self.status(here.one, here.two, later), [
            (first, "INHERITED", "SUCCESS"), (second, "INHERITED", "SUCCESS"), (first, "INHERITED", "SUCCESS")])
        for account, standards, off in ((here.one, {PCI}, "CloudTrail.2"), (later, {PCI}, "CloudTrail.2"), (here.two, {FSBP, PCI}, "RDS.2")):
            for region in (REGION, OTHER_REGION):
                client = here.client("securityhub", account, region)
                self.assertEqual(set(self.standards(client)), standards)
                self.assertEqual(self.controls(client, PCI, region, "CloudTrail.2", "RDS.2"),
                                 {one: "DISABLED" if one == off else "ENABLED" for one in ("CloudTrail.2", "RDS.2")})
                # Controls of global resources are on in the home Region only.
                self.assertEqual(self.controls(client, PCI, region, "IAM.6"), {"IAM.6": "ENABLED" if region == REGION else "DISABLED"})
            self.refused("InvalidAccessException", here.client("securityhub", account, THIRD_REGION).describe_hub)
        listed = self.client.list_configuration_policy_associations(Filters={"ConfigurationPolicyId": second})
        self.assertEqual({one["TargetId"]: one["AssociationType"] for one in listed["ConfigurationPolicyAssociationSummaries"]},
                         {unit: "APPLIED", below: "INHERITED", here.two: "INHERITED"})
        self.move(here.two, here.root)
        self.assertEqual(self.status(here.two), [(first, "INHERITED", "SUCCESS")])
        self.assertEqual(set(self.standards(here.client("securityhub", here.two))), {PCI})

    def test_local_changes_are_refused_under_a_policy(self):
        self.central()
        self.associate(self.policy(), AccountId=here.one)
        member = here.client("securityhub", here.one)
        mine = member.get_enabled_standards()["StandardsSubscriptions"][0]["StandardsSubscriptionArn"]
        self.refused("AccessDeniedException", member.batch_enable_standards, StandardsSubscriptionRequests=[{"StandardsArn": arn(FSBP)}])
        self.refused("AccessDeniedException", member.batch_disable_standards, StandardsSubscriptionArns=[mine])
        self.refused("AccessDeniedException", member.disable_security_hub)
        refused = member.batch_update_standards_control_associations(StandardsControlAssociationUpdates=[
            {"SecurityControlId": "EC2.8", "StandardsArn": arn(PCI), "AssociationStatus": "DISABLED"}])
        self.assertEqual([one["ErrorCode"] for one in refused["UnprocessedAssociationUpdates"]], ["ACCESS_DENIED"])
        # A self-managed account decides itself, and a Region that is not linked has no policy.
        here.client("securityhub", here.one, THIRD_REGION).enable_security_hub()
        self.associate(OFF, AccountId=here.one)
        member.batch_enable_standards(StandardsSubscriptionRequests=[{"StandardsArn": arn(FSBP)}])
        self.assertEqual(set(self.standards(member)), {FSBP, PCI})

    def test_a_dissociated_account_keeps_its_settings(self):
        self.central()
        policy = self.policy()
        self.refused("ResourceNotFoundException", self.client.start_configuration_policy_disassociation,
                     ConfigurationPolicyIdentifier=policy, Target={"AccountId": here.one})
        self.associate(policy, AccountId=here.one)
        self.refused("ResourceConflictException", self.client.delete_configuration_policy, Identifier=policy)
        self.client.start_configuration_policy_disassociation(ConfigurationPolicyIdentifier=policy, Target={"AccountId": here.one})
        self.client.delete_configuration_policy(Identifier=policy)
        self.assertEqual(self.status(here.one), [(OFF, "INHERITED", "SUCCESS")])
        self.assertEqual(set(self.standards(here.client("securityhub", here.one))), {PCI})

    def test_an_association_is_pending_and_can_fail(self):
        self.central()
        here.control("POST", "/central", {"pending_seconds": 0.6, "failing": {here.two: "Regions are denied"}})
        policy = self.policy()
        self.associate(policy, RootId=here.root)
        self.assertEqual(self.status(here.one), [(policy, "INHERITED", "PENDING")])
        self.refused("InvalidAccessException", here.client("securityhub", here.one).get_enabled_standards)
        time.sleep(0.7)
        self.assertEqual(self.status(here.one, here.two), [(policy, "INHERITED", "SUCCESS"), (policy, "INHERITED", "FAILED")])
        found = self.client.get_configuration_policy_association(Target={"RootId": here.root})
        self.assertEqual((found["AssociationStatus"], found["AssociationStatusMessage"]), ("FAILED", "Regions are denied"))
        # It failed half way.
        self.assertEqual(set(self.standards(here.client("securityhub", here.two))), {PCI})
        self.refused("InvalidAccessException", here.client("securityhub", here.two, OTHER_REGION).describe_hub)
        here.control("POST", "/central", {"failing": {}})
        self.associate(policy, RootId=here.root)
        self.assertEqual(self.status(here.two), [(policy, "INHERITED", "SUCCESS")])

    def test_a_changed_policy_is_applied_again(self):
        self.central()
        policy = self.policy()
        self.associate(policy, RootId=here.root)
        self.assertEqual(set(self.standards(here.client("securityhub", here.one))), {PCI})
        self.client.update_configuration_policy(Identifier=policy, ConfigurationPolicy={"SecurityHub": {
            "ServiceEnabled": True, "EnabledStandardIdentifiers": [arn(FSBP)],
            "SecurityControlsConfiguration": {"EnabledSecurityControlIdentifiers": ["EC2.8"]}}})
        client = here.client("securityhub", here.one)
        self.assertEqual(set(self.standards(client)), {FSBP})
        self.assertEqual(self.controls(client, FSBP, REGION, "EC2.8", "EC2.9"), {"EC2.8": "ENABLED", "EC2.9": "DISABLED"})

    def test_unknown_targets_and_policies(self):
        self.central()
        policy = self.policy()
        self.refused("ResourceNotFoundException", self.associate, policy, AccountId="999999999999")
        self.refused("ResourceNotFoundException", self.associate, "00000000-0000-0000-0000-000000000000", AccountId=here.one)
        found = self.client.batch_get_configuration_policy_associations(
            ConfigurationPolicyAssociationIdentifiers=[{"Target": {"AccountId": "999999999999"}}])
        self.assertEqual([one["ErrorCode"] for one in found["UnprocessedConfigurationPolicyAssociations"]], ["RESOURCE_NOT_FOUND"])

    def test_hubs_can_be_off_by_a_policy(self):
        self.central()
        made = self.client.create_configuration_policy(Name="off", ConfigurationPolicy={"SecurityHub": {"ServiceEnabled": False}})
        here.client("securityhub", here.one).enable_security_hub()
        self.associate(made["Id"], AccountId=here.one)
        self.refused("InvalidAccessException", here.client("securityhub", here.one).describe_hub)


if __name__ == "__main__":
    unittest.main()
