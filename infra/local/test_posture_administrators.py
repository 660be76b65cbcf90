"""The stand-ins of `posture/`: trusted access, administrators and members, with boto3, on a moto that the tests start and end."""

import json
import unittest
import urllib.request

from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from emulators import ACCOUNT, REGION, Moto

OTHER_REGION = "eu-west-1"
PRINCIPALS = ("access-analyzer", "config", "config-multiaccountsetup", "detective", "devops-guru", "guardduty", "inspector2", "ipam",
              "macie", "securityhub")


class Organization:
    """An organization on a moto of its own: management, an administrator and two more accounts."""

    def __init__(self):
        self.moto = Moto()
        self.moto.start()
        self.organizations = self.moto.client("organizations")
        self.organizations.create_organization(FeatureSet="ALL")
        self.root = self.organizations.list_roots()["Roots"][0]["Id"]
        self.admin, self.one, self.two = (self.new_account(name) for name in ("admin", "one", "two"))

    def new_account(self, name):
        made = self.organizations.create_account(AccountName=name, Email=f"{name}@example.com")
        return made["CreateAccountStatus"]["AccountId"]

    def client(self, service, account=ACCOUNT, region=REGION):
        return self.moto.client(service, account, region, config=Config(retries={"total_max_attempts": 1}))

    def control(self, method, path="", body=None):
        """A control of the stand-ins, as the front door passes it on."""
        request = urllib.request.Request(f"{self.moto.url}/_orgkeeper/posture{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read() or b"null")


class Case(unittest.TestCase):
    def refused(self, code, call, *positional, **given):
        with self.assertRaises(ClientError) as caught:
            call(*positional, **given)
        self.assertEqual(caught.exception.response["Error"]["Code"], code, caught.exception)
        return caught.exception.response["Error"]["Message"]


def setUpModule():
    global here
    here = Organization()


def tearDownModule():
    here.moto.stop()


class Settled(Case):
    """A test that leaves nothing behind."""

    def setUp(self):
        self.addCleanup(here.control, "DELETE")
        here.control("POST", "", {"hub": {"at_first": "off"}})


class Principals(Case):
    def test_every_service_can_have_an_administrator_after_trusted_access(self):
        organizations = here.organizations
        for name in PRINCIPALS:
            with self.subTest(name):
                given = {"AccountId": here.admin, "ServicePrincipal": f"{name}.amazonaws.com"}
                organizations.disable_aws_service_access(ServicePrincipal=f"{name}.amazonaws.com")
                self.assertIn("SERVICE_ACCESS_NOT_ENABLED", self.refused(
                    "ConstraintViolationException", organizations.register_delegated_administrator, **given))
                organizations.enable_aws_service_access(ServicePrincipal=f"{name}.amazonaws.com")
                organizations.register_delegated_administrator(**given)
                self.refused("AccountAlreadyRegisteredException", organizations.register_delegated_administrator, **given)
                self.assertIn("CANNOT_REGISTER_MASTER", self.refused(
                    "ConstraintViolationException", organizations.register_delegated_administrator, **{**given, "AccountId": ACCOUNT}))
                listed = organizations.list_delegated_administrators(ServicePrincipal=f"{name}.amazonaws.com")
                self.assertEqual([one["Id"] for one in listed["DelegatedAdministrators"]], [here.admin])
                organizations.deregister_delegated_administrator(**given)
                self.refused("AccountNotRegisteredException", organizations.deregister_delegated_administrator, **given)
                trusted = organizations.list_aws_service_access_for_organization()["EnabledServicePrincipals"]
                self.assertIn(f"{name}.amazonaws.com", [one["ServicePrincipal"] for one in trusted])
                organizations.disable_aws_service_access(ServicePrincipal=f"{name}.amazonaws.com")

    def test_most_services_have_one_administrator(self):
        organizations, service = here.organizations, "devops-guru.amazonaws.com"
        organizations.enable_aws_service_access(ServicePrincipal=service)
        organizations.register_delegated_administrator(AccountId=here.one, ServicePrincipal=service)
        self.addCleanup(organizations.disable_aws_service_access, ServicePrincipal=service)
        self.addCleanup(organizations.deregister_delegated_administrator, AccountId=here.one, ServicePrincipal=service)
        self.assertIn("MAX_DELEGATED", self.refused(
            "ConstraintViolationException", organizations.register_delegated_administrator, AccountId=here.two, ServicePrincipal=service))

    def test_an_unknown_principal_is_refused(self):
        for call in (here.organizations.enable_aws_service_access, here.organizations.disable_aws_service_access):
            self.refused("InvalidInputException", call, ServicePrincipal="toaster.amazonaws.com")
        self.refused("InvalidInputException", here.organizations.register_delegated_administrator, AccountId=here.one,
                     ServicePrincipal="toaster.amazonaws.com")


class Administrators(Settled):
    """What all services have in common."""

    # Service, calls, member of the calls, refusal of others, and how the list names the administrator.
    BY_ACCOUNT = ("enable_organization_admin_account", "list_organization_admin_accounts", "disable_organization_admin_account")
    ROWS = (
        ("guardduty", BY_ACCOUNT, "AdminAccountId", "BadRequestException", ("AdminAccounts", "AdminAccountId")),
        ("detective", BY_ACCOUNT, "AccountId", "AccessDeniedException", ("Administrators", "AccountId")),
        ("macie2", BY_ACCOUNT, "adminAccountId", "AccessDeniedException", ("adminAccounts", "accountId")),
        ("securityhub", BY_ACCOUNT, "AdminAccountId", "InvalidAccessException", ("AdminAccounts", "AccountId")),
        ("inspector2", ("enable_delegated_admin_account", "list_delegated_admin_accounts", "disable_delegated_admin_account"),
         "delegatedAdminAccountId", "AccessDeniedException", ("delegatedAdminAccounts", "accountId")),
    )
    PRINCIPALS = {"macie2": "macie.amazonaws.com"}

    def test_the_management_account_makes_one_the_administrator_in_each_region(self):
        for service, (enable, list_all, disable), member, denied, (listed, named) in self.ROWS:
            with self.subTest(service):
                payer, other = here.client(service), here.client(service, here.one)

                def administrators(client=payer):
                    return [one[named] for one in getattr(client, list_all)()[listed]]

                principal = self.PRINCIPALS.get(service, f"{service}.amazonaws.com")
                self.assertEqual(administrators(), [])
                self.refused(denied, getattr(other, enable), **{member: here.admin})
                self.refused(denied, getattr(other, list_all))
                getattr(payer, enable)(**{member: here.admin})
                # As it is already: no error.
                getattr(payer, enable)(**{member: here.admin})
                self.assertEqual(administrators(), [here.admin])
                self.assertEqual(administrators(here.client(service, region=OTHER_REGION)), [])
                registered = here.organizations.list_delegated_administrators(ServicePrincipal=principal)
                self.assertEqual([one["Id"] for one in registered["DelegatedAdministrators"]], [here.admin])
                for region in (REGION, OTHER_REGION):
                    with self.assertRaises(ClientError):
                        getattr(here.client(service, region=region), enable)(**{member: here.one})
                with self.assertRaises(ClientError):
                    getattr(payer, enable)(**{member: "999999999999"})
                getattr(payer, disable)(**({} if service == "detective" else {member: here.admin}))
                self.assertEqual(administrators(), [])
                registered = here.organizations.list_delegated_administrators(ServicePrincipal=principal)
                left = [one["Id"] for one in registered["DelegatedAdministrators"]]
                # Detective leaves it there, and takes no other one until somebody has ended it.
                self.assertEqual(left, [here.admin] if service == "detective" else [])
                if left:
                    self.refused("ValidationException", getattr(payer, enable), **{member: here.one})
                    getattr(payer, enable)(**{member: here.admin})
                    here.organizations.deregister_delegated_administrator(AccountId=here.admin, ServicePrincipal=principal)
                    self.assertEqual(administrators(), [])
                    getattr(payer, enable)(**{member: here.one})

    def test_a_second_region_is_refused_while_the_first_is_registered(self):
        for service, (enable, _, _), member, *_ in self.ROWS:
            with self.subTest(service):
                here.control("POST", "/administrators", {"registering_seconds": 60})
                getattr(here.client(service), enable)(**{member: here.admin})
                second = getattr(here.client(service, region=OTHER_REGION), enable)
                with self.assertRaises(ClientError) as caught:
                    second(**{member: here.admin})
                self.assertIn("Try again later", str(caught.exception))
                here.control("POST", "/administrators", {"registering_seconds": 0})
                second(**{member: here.admin})

    def test_a_region_without_the_service_has_no_host(self):
        for service, region in (("detective", "ap-northeast-3"), ("devops-guru", "eu-south-1")):
            client = here.client(service, region=region)
            with self.assertRaises(ConnectionClosedError):
                getattr(client, "list_graphs" if service == "detective" else "describe_account_health")()
        here.control("POST", "/not_offered", {"macie2": [OTHER_REGION]})
        with self.assertRaises(ConnectionClosedError):
            here.client("macie2", region=OTHER_REGION).list_organization_admin_accounts()
        here.client("macie2").list_organization_admin_accounts()


class GuardDuty(Settled):
    def setUp(self):
        super().setUp()
        here.client("guardduty").enable_organization_admin_account(AdminAccountId=here.admin)
        self.client = here.client("guardduty", here.admin)
        self.detector = {"DetectorId": self.client.list_detectors()["DetectorIds"][0]}

    def members(self):
        return {one["AccountId"]: one["RelationshipStatus"] for one in self.client.list_members(**self.detector)["Members"]}

    def test_all_members_and_new_accounts_get_it(self):
        self.assertEqual(self.client.describe_organization_configuration(**self.detector)["AutoEnableOrganizationMembers"], "NONE")
        self.client.update_organization_configuration(
            AutoEnableOrganizationMembers="ALL", Features=[{"Name": "S3_DATA_EVENTS", "AutoEnable": "ALL"}], **self.detector)
        found = self.client.describe_organization_configuration(**self.detector)
        self.assertEqual((found["AutoEnableOrganizationMembers"], found["Features"][0]["Name"]), ("ALL", "S3_DATA_EVENTS"))
        self.assertLessEqual({here.one: "Enabled", here.two: "Enabled", ACCOUNT: "Enabled"}.items(), self.members().items())
        self.assertEqual(len(here.client("guardduty", here.one).list_detectors()["DetectorIds"]), 1)
        def features(account):
            client = here.client("guardduty", account)
            found = client.get_detector(DetectorId=client.list_detectors()["DetectorIds"][0])
            return {one["Name"]: one["Status"] for one in found["Features"]}

        self.assertEqual(features(here.one), {"S3_DATA_EVENTS": "ENABLED"})
        later = here.new_account("later-all")
        self.assertEqual(len(here.client("guardduty", later).list_detectors()["DetectorIds"]), 1)
        self.assertEqual(self.members()[later], "Enabled")
        self.assertEqual(features(later), {"S3_DATA_EVENTS": "ENABLED"})
        self.client.update_member_detectors(AccountIds=[here.one], Features=[{"Name": "S3_DATA_EVENTS", "Status": "DISABLED"}], **self.detector)
        self.assertEqual(features(here.one), {"S3_DATA_EVENTS": "DISABLED"})
        self.refused("BadRequestException", self.client.delete_members, AccountIds=[later], **self.detector)

    def test_new_accounts_only(self):
        self.client.update_organization_configuration(AutoEnableOrganizationMembers="NEW", **self.detector)
        self.assertEqual(self.members(), {})
        later = here.new_account("later-new")
        self.assertEqual(self.members(), {later: "Enabled"})
        made = self.client.create_members(AccountDetails=[
            {"AccountId": one, "Email": "a@example.com"} for one in (here.one, later, "999999999999")], **self.detector)
        self.assertEqual({one["AccountId"] for one in made["UnprocessedAccounts"]}, {later, "999999999999"})
        self.assertEqual(set(self.members()), {later, here.one})
        self.client.disassociate_members(AccountIds=[here.one], **self.detector)
        self.assertEqual(set(self.members()), {later})
        self.client.create_members(AccountDetails=[{"AccountId": here.one, "Email": "a@example.com"}], **self.detector)
        self.assertEqual(self.members()[here.one], "Enabled")

    def test_what_is_refused(self):
        self.refused("BadRequestException", self.client.create_members, AccountDetails=[
            {"AccountId": f"{number:012}", "Email": "a@example.com"} for number in range(51)], **self.detector)
        self.refused("BadRequestException", self.client.list_members, DetectorId="0" * 32)
        other = here.client("guardduty", here.one)
        other.create_detector(Enable=True)
        self.refused("BadRequestException", other.update_organization_configuration, AutoEnableOrganizationMembers="ALL",
                     DetectorId=other.list_detectors()["DetectorIds"][0])
        self.refused("BadRequestException", self.client.update_organization_configuration, **self.detector)


class Detective(Settled):
    def setUp(self):
        super().setUp()
        here.client("detective").enable_organization_admin_account(AccountId=here.admin)
        self.client = here.client("detective", here.admin)
        self.graph = {"GraphArn": self.client.list_graphs()["GraphList"][0]["Arn"]}

    def members(self):
        return {one["AccountId"]: one["Status"] for one in self.client.list_members(**self.graph)["MemberDetails"]}

    def add(self, *accounts):
        return self.client.create_members(
            Accounts=[{"AccountId": one, "EmailAddress": "a@example.com"} for one in accounts], **self.graph)

    def test_members_and_new_accounts(self):
        self.assertFalse(self.client.describe_organization_configuration(**self.graph)["AutoEnable"])
        self.client.update_organization_configuration(AutoEnable=True, **self.graph)
        self.assertTrue(self.client.describe_organization_configuration(**self.graph)["AutoEnable"])
        self.assertEqual(self.members(), {})
        later = here.new_account("later-detective")
        made = self.add(here.one, "999999999999")
        self.assertEqual([one["AccountId"] for one in made["Members"]], [here.one])
        self.assertEqual([one["AccountId"] for one in made["UnprocessedAccounts"]], ["999999999999"])
        self.assertEqual(self.members(), {here.one: "ENABLED", later: "ENABLED"})
        self.assertEqual(self.client.list_members(**self.graph)["MemberDetails"][0]["InvitationType"], "ORGANIZATION")

    def test_a_member_without_data_is_started_later(self):
        here.control("POST", "/administrators", {"status": "ACCEPTED_BUT_DISABLED", "reason": "VOLUME_UNKNOWN"})
        self.add(here.one)
        self.assertEqual(self.members(), {here.one: "ACCEPTED_BUT_DISABLED"})
        self.client.start_monitoring_member(AccountId=here.one, **self.graph)
        self.assertEqual(self.members(), {here.one: "ENABLED"})
        self.refused("ConflictException", self.client.start_monitoring_member, AccountId=here.one, **self.graph)
        here.control("POST", "/administrators", {"status": "ACCEPTED_BUT_DISABLED", "reason": "VOLUME_TOO_HIGH"})
        self.add(here.two)
        self.refused("ServiceQuotaExceededException", self.client.start_monitoring_member, AccountId=here.two, **self.graph)
        self.refused("ResourceNotFoundException", self.client.start_monitoring_member, AccountId=ACCOUNT, **self.graph)

    def test_the_end_of_the_administrator_deletes_the_graph(self):
        self.add(here.one)
        here.client("detective").disable_organization_admin_account()
        self.assertEqual(self.client.list_graphs()["GraphList"], [])
        self.refused("ValidationException", here.client("detective").disable_organization_admin_account)

    def test_what_is_refused(self):
        self.refused("ValidationException", self.add, *(f"{number:012}" for number in range(51)))
        other = here.client("detective", here.one)
        self.refused("AccessDeniedException", other.update_organization_configuration, AutoEnable=True, **self.graph)
        self.refused("AccessDeniedException", other.list_members, **self.graph)
        here.client("detective").disable_organization_admin_account()
        self.refused("ValidationException", here.client("detective").enable_organization_admin_account, AccountId=ACCOUNT)


class Macie(Settled):
    def test_session_members_and_new_accounts(self):
        client = here.client("macie2", here.admin)
        self.refused("AccessDeniedException", client.get_macie_session)
        here.client("macie2").enable_organization_admin_account(adminAccountId=here.admin)
        self.assertEqual(client.get_macie_session()["status"], "ENABLED")
        self.refused("ConflictException", client.enable_macie)
        self.assertFalse(client.describe_organization_configuration()["autoEnable"])
        client.update_organization_configuration(autoEnable=True)
        later = here.new_account("later-macie")
        client.create_member(account={"accountId": here.one, "email": "a@example.com"})
        self.refused("ConflictException", client.create_member, account={"accountId": here.one, "email": "a@example.com"})
        self.refused("ValidationException", client.create_member, account={"accountId": "999999999999", "email": "a@example.com"})
        pages = client.get_paginator("list_members").paginate(maxResults=1)
        found = {one["accountId"]: one["relationshipStatus"] for page in pages for one in page["members"]}
        self.assertEqual(found, {here.one: "Enabled", later: "Enabled"})
        self.assertEqual(here.client("macie2", later).get_macie_session()["status"], "ENABLED")
        self.refused("AccessDeniedException", here.client("macie2", here.one).update_organization_configuration, autoEnable=True)
        self.refused("ResourceNotFoundException", client.get_member, id=here.two)
        alone = here.client("macie2", here.two)
        alone.enable_macie(status="PAUSED")
        self.assertEqual(alone.get_macie_session()["status"], "PAUSED")
        alone.disable_macie()
        self.refused("AccessDeniedException", alone.get_macie_session)


class Inspector(Settled):
    def setUp(self):
        super().setUp()
        here.client("inspector2").enable_delegated_admin_account(delegatedAdminAccountId=here.admin)
        self.client = here.client("inspector2", here.admin)

    def status(self, account, client=None):
        found = (client or self.client).batch_get_account_status(accountIds=[account])
        return (found["accounts"] or found["failedAccounts"])[0]

    def test_a_member_is_associated_before_it_is_enabled(self):
        failed = self.client.enable(accountIds=[here.one], resourceTypes=["EC2"])["failedAccounts"]
        self.assertEqual([one["errorCode"] for one in failed], ["ACCESS_DENIED"])
        self.client.associate_member(accountId=here.one)
        self.refused("ValidationException", self.client.associate_member, accountId=here.one)
        done = self.client.enable(accountIds=[here.one, here.admin], resourceTypes=["EC2", "ECR"])
        self.assertEqual([one["status"] for one in done["accounts"]], ["ENABLING", "ENABLING"])
        self.assertEqual(self.status(here.one)["resourceState"]["ec2"]["status"], "ENABLED")
        self.assertEqual(self.status(here.one, here.client("inspector2", here.one))["state"]["status"], "ENABLED")
        self.assertEqual(self.status(here.two)["errorCode"], "ACCESS_DENIED")
        again = self.client.enable(accountIds=[here.one], resourceTypes=["EC2"])["failedAccounts"]
        self.assertEqual(again[0]["errorCode"], "ALREADY_ENABLED")
        self.assertEqual([one["accountId"] for one in self.client.list_members()["members"]], [here.one])

    def test_new_accounts_are_scanned(self):
        self.assertFalse(self.client.describe_organization_configuration()["autoEnable"]["ec2"])
        self.client.update_organization_configuration(autoEnable={"ec2": True, "ecr": False, "lambda": True})
        self.refused("ValidationException", self.client.update_organization_configuration,
                     autoEnable={"ec2": True, "ecr": True, "lambda": False, "lambdaCode": True})
        later = here.new_account("later-inspector")
        state = self.status(later)["resourceState"]
        self.assertEqual([state[name]["status"] for name in ("ec2", "ecr", "lambda")], ["ENABLED", "DISABLED", "ENABLED"])

    def test_a_policy_of_the_organization_blocks(self):
        here.control("POST", "/administrators", {"inspector_blocked": [here.two]})
        self.client.associate_member(accountId=here.two)
        failed = self.client.enable(accountIds=[here.two], resourceTypes=["EC2"])["failedAccounts"]
        self.assertEqual(failed[0]["errorCode"], "BLOCKED_BY_ORGANIZATION_POLICY")
        self.refused("AccessDeniedException", here.client("inspector2", here.one).update_organization_configuration,
                     autoEnable={"ec2": True, "ecr": True})


class Analyzers(Settled):
    def test_an_analyzer_of_the_organization_needs_an_administrator(self):
        service, client = "access-analyzer.amazonaws.com", here.client("accessanalyzer", here.admin)
        given = {"analyzerName": "organization", "type": "ORGANIZATION"}
        self.refused("ValidationException", client.create_analyzer, **given)
        here.organizations.enable_aws_service_access(ServicePrincipal=service)
        here.organizations.register_delegated_administrator(AccountId=here.admin, ServicePrincipal=service)
        arn = client.create_analyzer(**given)["arn"]
        self.refused("ConflictException", client.create_analyzer, **given)
        self.assertEqual(client.get_analyzer(analyzerName="organization")["analyzer"]["status"], "ACTIVE")
        self.assertEqual([one["arn"] for one in client.list_analyzers(type="ORGANIZATION")["analyzers"]], [arn])
        self.assertEqual(here.client("accessanalyzer", here.admin, OTHER_REGION).list_analyzers()["analyzers"], [])
        here.organizations.deregister_delegated_administrator(AccountId=here.admin, ServicePrincipal=service)
        found = client.get_analyzer(analyzerName="organization")["analyzer"]
        self.assertEqual((found["status"], found["statusReason"]["code"]), ("DISABLED", "DELEGATED_ADMINISTRATOR_DEREGISTERED"))
        here.organizations.disable_aws_service_access(ServicePrincipal=service)
        client.delete_analyzer(analyzerName="organization")
        self.refused("ResourceNotFoundException", client.get_analyzer, analyzerName="organization")
        here.client("accessanalyzer").create_analyzer(**given)


class Controls(Case):
    def test_an_unknown_setting_is_refused_with_its_name(self):
        for path, body in (("", {"toaster": 1}), ("/standards", {"pending": 1}), ("/not_offered", {"macie2": "eu-west-1"}),
                           ("/hub", {"at_first": "perhaps"}), ("/administrators", {"status": "GONE"})):
            with self.assertRaises(urllib.error.HTTPError) as caught:
                here.control("POST", path, body)
            self.assertEqual(caught.exception.code, 400)
            self.assertIn("error", json.loads(caught.exception.read()))
            caught.exception.close()


if __name__ == "__main__":
    unittest.main()
