"""The templates of the baseline on a MiniStack and a moto that the tests start and stop: each is deployed twice in a row, and
the second time there is nothing to change.

In place of the front door there is a server for what the templates ask of Security Hub and Access Analyzer.
"""

import json
import re
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
from botocore.exceptions import ClientError, WaiterError

from emulators import ACCOUNT, OTHER_ACCOUNT, Cloud, policy

INFRA = Path(__file__).resolve().parents[1]
TRUSTED = f"arn:aws:iam::{ACCOUNT}:role/orgkeeper-AccountHydrator"
AUDITOR = f"arn:aws:iam::{OTHER_ACCOUNT}:role/orgkeeper-OrganizationSurveyor"
POLICY_TYPES = ("S3_POLICY", "DECLARATIVE_POLICY_EC2", "TAG_POLICY")
SCOPE = re.compile(r"Credential=(\d{12})/\d+/([a-z0-9-]+)/")


class FrontDoor(BaseHTTPRequestHandler):
    """Security Hub and Access Analyzer, as far as the templates go; what is unknown or there already is refused."""

    analyzers, hubs, administrator = {}, set(), None

    def answer(self):
        account, region = SCOPE.search(self.headers["Authorization"]).groups()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        given, place, kind = json.loads(body or b"{}"), (account, region), type(self)
        call = (self.command, self.path.partition("?")[0])
        if call == ("PUT", "/analyzer"):
            if place in kind.analyzers:
                return self.send(409, {"message": "there is one"})
            kind.analyzers[place] = given
            return self.send(200, {"arn": f"arn:aws:access-analyzer:{region}:{account}:analyzer/{given['analyzerName']}"})
        if call == ("DELETE", "/analyzer/orgkeeper-organization"):
            return self.send(200 if kind.analyzers.pop(place, None) else 404, {})
        if call == ("POST", "/accounts"):
            known, _ = place in kind.hubs, kind.hubs.add(place)
            return self.send(409 if known else 200, {})
        if call == ("GET", "/accounts"):
            return self.send(200 if place in kind.hubs else 404, {"HubArn": f"arn:aws:securityhub:{region}:{account}:hub/default"})
        if call == ("DELETE", "/accounts"):
            return self.send(200, kind.hubs.discard(place) or {})
        if call in (("POST", "/organization/admin/enable"), ("POST", "/organization/admin/disable")):
            kind.administrator = given["AdminAccountId"] if call[1].endswith("enable") else None
            return self.send(200 if account == ACCOUNT else 403, {})
        if call == ("GET", "/organization/configuration"):
            return self.send(200 if account == kind.administrator else 403, {
                "AutoEnable": True, "OrganizationConfiguration": {"ConfigurationType": "LOCAL"}})
        return self.send(501, {"message": f"{call} is not known"})

    def send(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Nothing is printed."""

    do_GET = do_POST = do_PUT = do_DELETE = answer


def setUpModule():
    """Starts all once for all tests, with an organization of the management account and one member."""
    global cloud, server, organizations, organization, root, member
    server = ThreadingHTTPServer(("127.0.0.1", 0), FrontDoor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cloud = Cloud(with_moto=True, front_door=f"http://127.0.0.1:{server.server_port}")
    cloud.start()
    organizations = cloud.moto.client("organizations")
    organization = organizations.create_organization(FeatureSet="ALL")["Organization"]["Id"]
    root = organizations.list_roots()["Roots"][0]["Id"]
    created = organizations.create_account(AccountName="one", Email="one@example.com")
    member = created["CreateAccountStatus"]["AccountId"]


def tearDownModule():
    cloud.stop()
    server.shutdown()


def assumed(role):
    """The credentials of a session of a role in the other account."""
    arn = f"arn:aws:iam::{OTHER_ACCOUNT}:role/{role}"
    return cloud.client("sts", OTHER_ACCOUNT).assume_role(RoleArn=arn, RoleSessionName="someone")["Credentials"]


def with_session(service, session):
    """A client with the credentials of a session."""
    return boto3.client(
        service, endpoint_url=cloud.url, region_name="us-east-1", aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"], aws_session_token=session["SessionToken"])


class Case(unittest.TestCase):
    def deploy(self, name, account=ACCOUNT, deleted=True, **parameters):
        """Makes the stack of a template, and deletes it at the end of the test."""
        stacks = cloud.client("cloudformation", account)
        given = self.given(name, parameters)
        stacks.create_stack(**given)
        if deleted:
            self.addCleanup(self.delete, stacks, given["StackName"])
        self.wait(stacks, "stack_create_complete", given["StackName"])
        return {one["OutputKey"]: one["OutputValue"]
                for one in stacks.describe_stacks(StackName=given["StackName"])["Stacks"][0].get("Outputs", [])}

    def given(self, name, parameters):
        return {"StackName": f"orgkeeper-{name}", "TemplateBody": (INFRA / f"{name}.yaml").read_text(encoding="utf-8"),
                "Capabilities": ["CAPABILITY_NAMED_IAM"],
                "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]}

    def update(self, name, account=ACCOUNT, **parameters):
        stacks, given = cloud.client("cloudformation", account), self.given(name, parameters)
        stacks.update_stack(**given)
        self.wait(stacks, "stack_update_complete", given["StackName"])

    def unchanged(self, name, account=ACCOUNT, **parameters):
        """The same again changes nothing."""
        with self.assertRaisesRegex(ClientError, "No updates are to be performed"):
            cloud.client("cloudformation", account).update_stack(**self.given(name, parameters))

    def wait(self, stacks, state, stack):
        try:
            stacks.get_waiter(state).wait(StackName=stack, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})
        except WaiterError:
            events = stacks.describe_stack_events(StackName=stack)["StackEvents"]
            self.fail([one["ResourceStatusReason"] for one in events if one.get("ResourceStatusReason")])

    def delete(self, stacks, stack):
        stacks.delete_stack(StackName=stack)
        stacks.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})

    def refused(self, words, name, **parameters):
        with self.assertRaisesRegex(ClientError, words):
            cloud.client("cloudformation").create_stack(**self.given(name, parameters))


class Organization(Case):
    """infra/organization-baseline.yaml and infra/security-baseline.yaml."""

    EVERYTHING = {"Trail": "on", "Detectors": "on", "TagStages": "dev,test,prod"}

    def switched_on(self, *kinds):
        for kind in kinds:
            organizations.enable_policy_type(RootId=root, PolicyType=kind)
            self.addCleanup(organizations.disable_policy_type, RootId=root, PolicyType=kind)

    def everything(self):
        return {**self.EVERYTHING, "OrganizationId": organization, "S3Targets": root, "Ec2Targets": f"{root},{member}",
                "TagTargets": member, "SecurityAccountId": OTHER_ACCOUNT}

    def test_it_deploys_twice_without_a_change(self):
        self.switched_on(*POLICY_TYPES)
        outputs = self.deploy("organization-baseline", **self.everything())
        self.unchanged("organization-baseline", **self.everything())

        trails = cloud.client("cloudtrail")
        trail = trails.describe_trails()["trailList"][0]
        self.assertEqual(trail["TrailARN"], outputs["TrailArn"])
        self.assertTrue(all(trail[flag] for flag in ("IsMultiRegionTrail", "IsOrganizationTrail", "LogFileValidationEnabled")))
        self.assertTrue(trails.get_trail_status(Name=outputs["TrailArn"])["IsLogging"])

        attached = {
            kind: [one["Name"] for one in organizations.list_policies_for_target(TargetId=target, Filter=kind)["Policies"]]
            for kind, target in zip(POLICY_TYPES, (root, root, member))}
        self.assertEqual(attached, {"S3_POLICY": ["orgkeeper-s3"], "DECLARATIVE_POLICY_EC2": ["orgkeeper-ec2"],
                                    "TAG_POLICY": ["orgkeeper-tags"]})
        tags = organizations.describe_effective_policy(PolicyType="TAG_POLICY", TargetId=member)["EffectivePolicy"]
        tags = json.loads(tags["PolicyContent"])["tags"]
        self.assertEqual(sorted(tags), ["org", "project", "role", "stack", "stage"])
        self.assertEqual(tags["stage"], {"tag_key": "stage", "tag_value": ["dev", "test", "prod"]})
        console = cloud.moto.client("ec2", member).get_serial_console_access_status()
        self.assertEqual(console["ManagedBy"], "declarative-policy")

        self.assertEqual(cloud.moto.client("guardduty").list_detectors()["DetectorIds"], [outputs["DetectorId"]])
        self.assertEqual(FrontDoor.administrator, OTHER_ACCOUNT)
        self.assertIn((ACCOUNT, "us-east-1"), FrontDoor.hubs)

        self.deploy("security-baseline", OTHER_ACCOUNT)
        self.unchanged("security-baseline", OTHER_ACCOUNT)
        self.assertEqual(FrontDoor.analyzers[OTHER_ACCOUNT, "us-east-1"]["type"], "ORGANIZATION")

        self.update("organization-baseline", **{**self.everything(), "Ec2Targets": member, "TagStages": ""})
        found = organizations.list_policies_for_target(TargetId=root, Filter="DECLARATIVE_POLICY_EC2")["Policies"]
        self.assertEqual(found, [])
        tags = organizations.describe_effective_policy(PolicyType="TAG_POLICY", TargetId=member)["EffectivePolicy"]
        self.assertEqual(json.loads(tags["PolicyContent"])["tags"]["stage"], {"tag_key": "stage"})

    def test_nothing_of_it_is_left_but_the_logs(self):
        self.switched_on(*POLICY_TYPES)
        outputs = self.deploy("organization-baseline", deleted=False, **{**self.everything(), "TrailName": "second"})
        self.delete(cloud.client("cloudformation"), "orgkeeper-organization-baseline")
        for kind in POLICY_TYPES:
            self.assertEqual(organizations.list_policies(Filter=kind)["Policies"], [])
        self.assertEqual(cloud.client("cloudtrail").describe_trails()["trailList"], [])
        self.assertEqual(cloud.moto.client("guardduty").list_detectors()["DetectorIds"], [])
        cloud.client("s3").head_bucket(Bucket=outputs["TrailBucketName"])

    def test_in_another_region_it_has_an_analyzer(self):
        self.deploy("organization-baseline", Analyzer="on")
        self.unchanged("organization-baseline", Analyzer="on")
        self.assertEqual(FrontDoor.analyzers[ACCOUNT, "us-east-1"], {
            "analyzerName": "orgkeeper-organization", "type": "ORGANIZATION", "clientToken": FrontDoor.analyzers[
                ACCOUNT, "us-east-1"].get("clientToken")})

    def test_what_cannot_work_is_refused(self):
        for words, parameters in [
            ("Set OrganizationId", {"Trail": "on"}),
            ("Set TagTargets", {"TagStages": "dev"}),
            ("Leave Analyzer off", {"Analyzer": "on", "SecurityAccountId": OTHER_ACCOUNT}),
            ("TrailDays", {"TrailDays": "30"}),
            ("S3Targets", {"S3Targets": "everywhere"}),
        ]:
            with self.subTest(words):
                self.refused(words, "organization-baseline", **parameters)

    def test_a_policy_whose_type_is_off_is_not_left_behind(self):
        with self.assertRaises(AssertionError) as failed:
            self.deploy("organization-baseline", S3Targets=root)
        self.assertIn("PolicyTypeNotEnabledException", str(failed.exception))
        self.assertEqual(organizations.list_policies(Filter="S3_POLICY")["Policies"], [])

    def test_a_trail_whose_bucket_refuses_it_is_refused(self):
        with self.assertRaises(AssertionError) as failed:
            self.deploy("organization-baseline", Trail="on", OrganizationId="o-another123", TrailName="third")
        self.assertIn(f"AWSLogs/{organization}/", str(failed.exception))


class CentralRootAccess(Case):
    """Its switches, and what they are for."""

    def test_the_management_account_switches_it(self):
        iam, task = cloud.client("iam"), {"arn": "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"}
        both = ["RootCredentialsManagement", "RootSessions"]
        self.assertEqual(iam.list_organizations_features()["EnabledFeatures"], both)
        assume = cloud.client("sts").assume_root
        assume(TargetPrincipal=member, TaskPolicyArn=task)
        self.assertEqual(iam.disable_organizations_root_sessions()["EnabledFeatures"], both[:1])
        self.refuses("AccessDenied", assume, TargetPrincipal=member, TaskPolicyArn=task)
        self.refuses("ServiceAccessNotEnabledException", iam.enable_organizations_root_sessions)
        organizations.enable_aws_service_access(ServicePrincipal="iam.amazonaws.com")
        self.assertEqual(iam.enable_organizations_root_sessions()["EnabledFeatures"], both)
        self.assertEqual(iam.disable_organizations_root_credentials_management()["EnabledFeatures"], both[1:])
        enabled = iam.enable_organizations_root_credentials_management()
        self.assertEqual((enabled["OrganizationId"], enabled["EnabledFeatures"]), (organization, both))
        of_member = cloud.client("iam", member)
        self.refuses("CallerIsNotManagementAccountException", of_member.enable_organizations_root_sessions)
        self.refuses("AccountNotManagementOrDelegatedAdministratorException", of_member.list_organizations_features)

    def refuses(self, code, call, **given):
        with self.assertRaises(ClientError) as refused:
            call(**given)
        self.assertEqual(refused.exception.response["Error"]["Code"], code)


class Settings(Case):
    """EC2's settings of an account, as MiniStack passes them on."""

    READS = ("get_serial_console_access_status", "get_snapshot_block_public_access_state", "get_image_block_public_access_state",
             "get_instance_metadata_defaults")
    CHANGES = (
        ("enable_serial_console_access", {}), ("disable_serial_console_access", {}),
        ("enable_snapshot_block_public_access", {"State": "block-all-sharing"}), ("disable_snapshot_block_public_access", {}),
        ("enable_image_block_public_access", {"ImageBlockPublicAccessState": "block-new-sharing"}),
        ("disable_image_block_public_access", {}), ("modify_instance_metadata_defaults", {"HttpTokens": "required"}))

    def test_a_role_needs_the_permission_of_each_call(self):
        cloud.role("reader", OTHER_ACCOUNT, {"Effect": "Allow", "Action": "ec2:Get*", "Resource": "*"})
        ec2 = with_session("ec2", assumed("reader"))
        for operation in self.READS:
            self.assertEqual(getattr(ec2, operation)()["ResponseMetadata"]["HTTPStatusCode"], 200)
        for operation, given in self.CHANGES:
            with self.subTest(operation), self.assertRaises(ClientError) as refused:
                getattr(ec2, operation)(**given)
            self.assertEqual(refused.exception.response["Error"]["Code"], "UnauthorizedOperation")
        allowed = cloud.client("ec2", OTHER_ACCOUNT)
        for operation, given in self.CHANGES:
            self.assertEqual(getattr(allowed, operation)(**given)["ResponseMetadata"]["HTTPStatusCode"], 200)


class Account(Case):
    """infra/member-account.yaml, in a member account and in the management account."""

    def everything(self):
        return {"OrganizationId": organization, "ServiceAccountId": OTHER_ACCOUNT, "UserPolicies": "on", "BaselineRoleArn": TRUSTED,
                "AuditRoleArn": AUDITOR, "SupportRole": "on", "PeopleRoles": "on"}

    def test_a_member_account_has_every_role(self):
        self.deploy("member-account", member, **self.everything())
        self.unchanged("member-account", member, **self.everything())
        iam = cloud.client("iam", member)
        roles = {one["RoleName"] for one in iam.list_roles()["Roles"] if one["RoleName"].startswith("Orgkeeper")}
        self.assertEqual(roles, {
            "OrgkeeperRemediation", "OrgkeeperBaseline", "OrgkeeperAudit", "OrgkeeperSupportAccess", "OrgkeeperAdministrator",
            "OrgkeeperOperator", "OrgkeeperDeveloper"})
        boundary = f"arn:aws:iam::{member}:policy/OrgkeeperPeopleBoundary"
        for name in ("OrgkeeperAdministrator", "OrgkeeperOperator", "OrgkeeperDeveloper"):
            role = iam.get_role(RoleName=name)["Role"]
            self.assertEqual(role["PermissionsBoundary"]["PermissionsBoundaryArn"], boundary)
            resource = iam.get_group_policy(GroupName=f"{name}s", PolicyName="AssumeTheRole")["PolicyDocument"]["Statement"][0]["Resource"]
            self.assertEqual(resource, role["Arn"])
        for name, trusted in [("OrgkeeperBaseline", TRUSTED), ("OrgkeeperAudit", AUDITOR)]:
            statement, = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"]
            self.assertEqual(statement, {
                "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": trusted.partition("role/")[0] + "root"},
                "Condition": {"ArnLike": {"aws:PrincipalArn": trusted}, "StringEquals": {"aws:PrincipalOrgID": organization}}})
            self.assertEqual(len(iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]), 1)

    def test_the_management_account_has_what_it_asks_for(self):
        parameters = {"OrganizationId": organization, "BaselineRoleArn": TRUSTED, "SupportRole": "on"}
        self.deploy("member-account", **parameters)
        self.unchanged("member-account", **parameters)
        iam = cloud.client("iam")
        roles = {one["RoleName"] for one in iam.list_roles()["Roles"] if one["RoleName"].startswith("Orgkeeper")}
        self.assertEqual(roles, {"OrgkeeperBaseline", "OrgkeeperSupportAccess"})
        self.update("member-account", **{**parameters, "SupportRole": "off", "PeopleRoles": "on", "PeopleAccountId": OTHER_ACCOUNT})
        roles = {one["RoleName"] for one in iam.list_roles()["Roles"] if one["RoleName"].startswith("Orgkeeper")}
        self.assertEqual(roles, {"OrgkeeperBaseline", "OrgkeeperAdministrator", "OrgkeeperOperator", "OrgkeeperDeveloper"})
        self.assertEqual(iam.list_groups()["Groups"], [], "the users are in another account")
        principal = iam.get_role(RoleName="OrgkeeperOperator")["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
        self.assertEqual(principal, {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"})

    def test_a_group_with_somebody_in_it_is_not_deleted(self):
        self.deploy("member-account", member, OrganizationId=organization, PeopleRoles="on")
        iam, stacks = cloud.client("iam", member), cloud.client("cloudformation", member)
        iam.create_user(UserName="ana")
        iam.add_user_to_group(GroupName="OrgkeeperDevelopers", UserName="ana")
        with self.assertRaises(WaiterError):
            self.delete(stacks, "orgkeeper-member-account")
        iam.remove_user_from_group(GroupName="OrgkeeperDevelopers", UserName="ana")
        iam.delete_user(UserName="ana")

    def test_a_boundary_binds_the_role(self):
        """As MiniStack evaluates it; tests/guardrails evaluates the boundary's every part."""
        self.deploy("member-account", OTHER_ACCOUNT, OrganizationId=organization, PeopleRoles="on")
        # Users have no MFA devices here: a role with the same policies, which anybody in the account may assume.
        boundary = f"arn:aws:iam::{OTHER_ACCOUNT}:policy/OrgkeeperPeopleBoundary"
        cloud.role("bounded", OTHER_ACCOUNT, {"Effect": "Allow", "Action": "*", "Resource": "*"}, PermissionsBoundary=boundary)
        session = assumed("bounded")
        iam = with_session("iam", session)
        trust = policy({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})
        with self.assertRaises(ClientError) as refused:
            iam.create_role(RoleName="escape", AssumeRolePolicyDocument=trust)
        self.assertEqual(refused.exception.response["Error"]["Code"], "AccessDenied")
        iam.create_role(RoleName="within", AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary)
        cloud.client("iam", OTHER_ACCOUNT).delete_role(RoleName="within")
        cloud.client("iam", OTHER_ACCOUNT).delete_role_policy(RoleName="bounded", PolicyName="own")
        cloud.client("iam", OTHER_ACCOUNT).delete_role(RoleName="bounded")

    def test_what_cannot_work_is_refused(self):
        for words, parameters in [
            ("Set PeopleRoles to on", {"OrganizationId": organization, "PeopleAccountId": OTHER_ACCOUNT}),
            ("Set ServiceAccountId", {"OrganizationId": organization, "UserPolicies": "on"}),
            ("AuditRoleArn", {"OrganizationId": organization, "AuditRoleArn": f"arn:aws:iam::{ACCOUNT}:role/*"}),
            ("BaselineRoleArn", {"OrganizationId": organization, "BaselineRoleArn": f"arn:aws:iam::{ACCOUNT}:root"}),
        ]:
            with self.subTest(words):
                self.refused(words, "member-account", **parameters)


if __name__ == "__main__":
    unittest.main()
