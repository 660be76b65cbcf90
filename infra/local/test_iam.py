"""Who may do what in the local cloud: MiniStack's check of policies with the patches of `ministack_iam.py`, and what it
passes on to moto with those of `passed_on.py`.

    .venv/cloud/bin/python -m unittest discover -s infra/local
"""

import json
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from emulators import ACCOUNT, OTHER_ACCOUNT, REGION, Cloud, policy

OTHER_REGION = "eu-central-1"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DENIALS = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation")


def setUpModule():
    """Starts MiniStack and moto once for all tests."""
    global cloud
    cloud = Cloud(with_moto=True)
    cloud.start()


def tearDownModule():
    cloud.stop()


def allow(action, resource="*", **more):
    """A statement that allows."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action, resource="*", **more):
    """A statement that denies."""
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def trust(principal, **more):
    """A statement of a role's trust policy."""
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole", **more}


class Caller:
    """The clients of a session or of an account's own key."""

    def __init__(self, key, secret="test", token=None):
        self.credentials = Credentials(key, secret, token)

    def client(self, service, region=REGION):
        return boto3.client(
            service, endpoint_url=cloud.url, region_name=region, aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key, aws_session_token=self.credentials.token)

    def assume(self, role, *statements):
        """A session of a role, cut down to these statements if there are any."""
        session = {"Policy": policy(*statements)} if statements else {}
        given = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test", **session)["Credentials"]
        return Caller(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    def ask(self, service, path, body, **headers):
        """Signs a call and sends it; returns status, headers and body."""
        request = AWSRequest("POST", cloud.url + path, data=json.dumps(body).encode(),
                             headers={"Content-Type": "application/json", **headers})
        SigV4Auth(self.credentials, service, REGION).add_auth(request)
        sent = urllib.request.Request(request.url, request.data, dict(request.headers))
        try:
            with urllib.request.urlopen(sent, timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.headers, refusal.read()


class Case(unittest.TestCase):
    """Roles in two accounts, and refusals."""

    def setUp(self):
        self.name = self.id().rpartition(".")[2].replace("_", "-")[-40:].strip("-")
        self.root, self.member = Caller(ACCOUNT), Caller(OTHER_ACCOUNT)

    def session(self, *own, session=(), **more):
        """A session in the other account, of a role that the first account may assume."""
        role = cloud.role(self.name, OTHER_ACCOUNT, *own, trust=trust(f"arn:aws:iam::{ACCOUNT}:root"), **more)
        return self.root.assume(role, *session)

    def denied(self, call, **request):
        with self.assertRaises(ClientError) as caught:
            call(**request)
        self.assertIn(caught.exception.response["Error"]["Code"], DENIALS)
        return caught.exception.response["Error"]["Message"]


class Policies(Case):
    """Identity policy, session policy, boundary, explicit denial."""

    def queue(self, name):
        return cloud.queue(f"{self.name}-{name}", OTHER_ACCOUNT)

    def test_a_session_policy_leaves_one_action_on_one_resource_in_one_region(self):
        (mine, arn), (other, _arn) = self.queue("mine"), self.queue("other")
        only = allow("sqs:PurgeQueue", arn, Condition={"StringEquals": {"aws:RequestedRegion": REGION}})
        session = self.session(EVERYTHING, session=[only])
        session.client("sqs").purge_queue(QueueUrl=mine)
        self.denied(session.client("sqs").purge_queue, QueueUrl=other)
        self.denied(session.client("sqs").send_message, QueueUrl=mine, MessageBody="text")
        self.denied(session.client("sqs", OTHER_REGION).purge_queue, QueueUrl=mine)
        self.denied(session.client("sns").list_topics)

    def test_a_session_policy_adds_nothing_to_the_role(self):
        session = self.session(allow("sns:ListTopics"), session=[EVERYTHING])
        session.client("sns").list_topics()
        self.denied(session.client("sqs").list_queues)

    def test_a_boundary_limits_the_role(self):
        boundary = self.member.client("iam").create_policy(
            PolicyName=self.name, PolicyDocument=policy(allow("sns:*")))["Policy"]["Arn"]
        session = self.session(EVERYTHING, PermissionsBoundary=boundary)
        session.client("sns").list_topics()
        self.denied(session.client("sqs").list_queues)

    def test_an_explicit_denial_wins(self):
        session = self.session(EVERYTHING, deny("sqs:ListQueues"))
        session.client("sns").list_topics()
        self.denied(session.client("sqs").list_queues)

    def test_a_batch_needs_the_permission_of_the_single_call(self):
        url, arn = self.queue("batch")
        session = self.session(allow(["sqs:SendMessage", "sqs:ReceiveMessage"], arn))
        sent = session.client("sqs").send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "text"}])
        self.assertEqual(len(sent["Successful"]), 1)
        received = session.client("sqs").receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
        self.denied(session.client("sqs").delete_message_batch, QueueUrl=url,
                    Entries=[{"Id": "1", "ReceiptHandle": received}])

    def test_a_call_on_this_machine_counts_as_one_over_tls(self):
        session = self.session(EVERYTHING, deny("*", Condition={"Bool": {"aws:SecureTransport": "false"}}))
        session.client("sqs").list_queues()
        plain = self.session_again(EVERYTHING, deny("*", Condition={"Bool": {"aws:SecureTransport": "true"}}))
        self.denied(plain.client("sqs").list_queues)

    def test_what_services_send_counts_as_over_tls(self):
        plain = deny("sqs:*", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})
        topics = allow("sqs:SendMessage", Principal={"Service": "sns.amazonaws.com"})
        url, arn = cloud.queue("only-tls", Policy=policy(topics, plain))
        sns = cloud.client("sns")
        topic = sns.create_topic(Name="only-tls")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        # By a schedule, so that no call has started it.
        cloud.client("scheduler").create_schedule(
            Name="only-tls", ScheduleExpression=time.strftime("at(%Y-%m-%dT%H:%M:%S)", time.gmtime(time.time() + 2)),
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": topic, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/any", "Input": "by itself"})
        self.assertEqual(cloud.messages(url, seconds=8)[0]["Body"], "by itself")

    def session_again(self, *own):
        self.name += "-again"
        return self.session(*own)

    def test_a_role_can_be_allowed_to_attach_one_policy_only(self):
        one, other = "arn:aws:iam::aws:policy/SecurityAudit", "arn:aws:iam::aws:policy/AdministratorAccess"
        session = self.session(
            allow("iam:AttachRolePolicy", Condition={"ArnEquals": {"iam:PolicyARN": one}}))
        session.client("iam").attach_role_policy(RoleName="any", PolicyArn=one)
        self.denied(session.client("iam").attach_role_policy, RoleName="any", PolicyArn=other)

    def test_a_check_costs_tenths_of_a_millisecond(self):
        checked = self.session(allow("sqs:ListQueues"), session=[allow("sqs:ListQueues")]).client("sqs")
        free = self.member.client("sqs")
        costs = {name: [] for name in ("checked", "free")}
        for _ in range(150):
            for name, client in (("checked", checked), ("free", free)):
                start = time.perf_counter()
                client.list_queues()
                costs[name].append(time.perf_counter() - start)
        # The fastest tenth, so that what else runs on this machine does not count.
        fastest = {name: sorted(times)[len(times) // 10] for name, times in costs.items()}
        self.assertLess(fastest["checked"] - fastest["free"], 0.001)


class Roles(Case):
    """Who may assume a role."""

    def test_a_missing_role_and_one_that_does_not_trust_look_alike(self):
        closed = cloud.role(self.name, OTHER_ACCOUNT, trust=trust("arn:aws:iam::333333333333:root"))
        missing = closed + "-missing"
        for role in (closed, missing):
            message = self.denied(self.root.assume, role=role)
            self.assertEqual(message, f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: sts:AssumeRole"
                                      f" on resource: {role}")

    def test_a_role_trusts_one_role(self):
        caller = cloud.role(f"{self.name}-caller", ACCOUNT, allow("sts:AssumeRole"))
        role = cloud.role(self.name, OTHER_ACCOUNT, EVERYTHING, trust=trust(caller))
        self.root.assume(caller).assume(role).client("sqs").list_queues()
        self.denied(self.root.assume, role=role)

    def test_a_caller_without_the_permission_may_not_assume(self):
        caller = cloud.role(f"{self.name}-caller", ACCOUNT, allow("sns:*"))
        role = cloud.role(self.name, OTHER_ACCOUNT, EVERYTHING, trust=trust(f"arn:aws:iam::{ACCOUNT}:root"))
        self.denied(self.root.assume(caller).assume, role=role)

    def test_a_wrong_token_or_signature_is_refused(self):
        session = self.session(EVERYTHING).credentials
        for wrong, code in ((Caller(session.access_key, session.secret_key, "wrong"), "InvalidClientTokenId"),
                            (Caller(session.access_key, "wrong", session.token), "SignatureDoesNotMatch"),
                            (Caller("AKIAIOSFODNN7EXAMPLE"), "InvalidClientTokenId")):
            with self.assertRaises(ClientError) as caught:
                wrong.client("sns").list_topics()
            self.assertEqual(caught.exception.response["Error"]["Code"], code)


class Organization(Case):
    """Conditions on the organization."""

    @classmethod
    def setUpClass(cls):
        organizations = cloud.moto.client("organizations")
        cls.id = organizations.create_organization(FeatureSet="ALL")["Organization"]["Id"]
        status = organizations.create_account(AccountName="a", Email="a@example.com")["CreateAccountStatus"]
        cls.account = status["AccountId"]

    def setUp(self):
        self.name = self._testMethodName.replace("_", "-")[-40:]
        self.root, self.member = Caller(ACCOUNT), Caller(self.account)

    def test_a_trust_policy_names_the_organization(self):
        role = cloud.role(self.name, OTHER_ACCOUNT, EVERYTHING, trust=trust(
            "*", Condition={"StringEquals": {"aws:PrincipalOrgID": self.id}}))
        self.root.assume(role)
        self.member.assume(role)
        self.denied(Caller("999999999999").assume, role=role)

    def test_a_trust_policy_names_an_account_and_one_of_its_roles(self):
        """As infra/contact-role.yaml and infra/member-account.yaml do: the role may be made later, and made again."""
        mine = f"arn:aws:iam::{ACCOUNT}:role/{self.name}"
        role = cloud.role(f"{self.name}-trusting", self.account, EVERYTHING, trust=trust(
            f"arn:aws:iam::{ACCOUNT}:root",
            Condition={"ArnLike": {"aws:PrincipalArn": mine}, "StringEquals": {"aws:PrincipalOrgID": self.id}}))
        everybody = trust(f"arn:aws:iam::{ACCOUNT}:root")
        for _time in ("made later", "made again"):
            self.assertEqual(cloud.role(self.name, ACCOUNT, allow("sts:AssumeRole", role), trust=everybody), mine)
            self.root.assume(mine).assume(role)
            own = cloud.client("iam")
            own.delete_role_policy(RoleName=self.name, PolicyName="own")
            own.delete_role(RoleName=self.name)
        other = cloud.role(f"{self.name}-2", ACCOUNT, allow("sts:AssumeRole", role), trust=everybody)
        self.denied(self.root.assume(other).assume, role=role)
        self.denied(self.root.assume, role=role)

    def test_a_policy_names_the_organization_of_the_resource(self):
        mine = allow("sts:AssumeRole", Condition={"StringEquals": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}})
        caller = self.root.assume(cloud.role(f"{self.name}-caller", ACCOUNT, mine))
        everybody = trust(f"arn:aws:iam::{ACCOUNT}:root")
        caller.assume(cloud.role(self.name, self.account, trust=everybody))
        self.denied(caller.assume, role=cloud.role(self.name, "999999999999", trust=everybody))


class OrganizationPolicies(Case):
    """Policies of the organization: whose tags IAM sees, and schedules that detach them."""

    @classmethod
    def setUpClass(cls):
        cls.organizations = cloud.moto.client("organizations")
        try:
            cls.organizations.create_organization(FeatureSet="ALL")
        except ClientError:
            pass  # Another class of this file has it.
        root = cls.organizations.list_roots()["Roots"][0]["Id"]
        cls.organizations.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
        tags = [{"Key": "rehearsal", "Value": "allowed"}]
        cls.units = [
            cls.organizations.create_organizational_unit(ParentId=root, Name=name, Tags=given)["OrganizationalUnit"]["Id"]
            for name, given in (("Allowed", tags), ("Other", []))]

    def policy(self, name, tags=()):
        given = [{"Key": key, "Value": "any"} for key in tags]
        made = self.organizations.create_policy(
            Name=f"{self.name}-{name}", Description="any", Type="SERVICE_CONTROL_POLICY", Content="{}", Tags=given)
        return made["Policy"]["PolicySummary"]["Id"]

    def test_a_policy_is_attached_by_its_tag_to_a_target_by_its_tag(self):
        session = self.root.assume(cloud.role(
            self.name, ACCOUNT,
            allow("organizations:AttachPolicy", "arn:aws:organizations::*:policy/o-*/service_control_policy/p-*",
                  Condition={"StringLike": {"aws:ResourceTag/own": "*"}}),
            allow("organizations:AttachPolicy", "arn:aws:organizations::*:ou/o-*/ou-*",
                  Condition={"StringEquals": {"aws:ResourceTag/rehearsal": "allowed"}}),
            trust=trust(f"arn:aws:iam::{ACCOUNT}:root")))
        own, other = self.policy("own", ["own"]), self.policy("other")
        target = {"X-Amz-Target": "AWSOrganizationsV20161128.AttachPolicy"}
        for policy_id, unit, allowed in ((own, 0, True), (own, 1, False), (other, 0, False)):
            body = {"PolicyId": policy_id, "TargetId": self.units[unit]}
            status, _headers, _body = session.ask("organizations", "/", body, **target)
            self.assertEqual(status == 200, allowed, body)

    def test_a_schedule_detaches_a_policy_if_its_role_may(self):
        detach = allow("organizations:DetachPolicy", [
            "arn:aws:organizations::*:policy/o-*/service_control_policy/p-*", "arn:aws:organizations::*:ou/o-*/ou-*"])
        url, queue = cloud.queue(self.name)
        for name, own, left in (("may", [detach], []), ("may-not", [], [self.units[0]])):
            with self.subTest(name):
                policy_id = self.policy(name)
                self.organizations.attach_policy(PolicyId=policy_id, TargetId=self.units[0])
                role = cloud.role(f"{self.name}-{name}"[-60:], ACCOUNT, *own)
                given = {"PolicyId": policy_id, "TargetId": self.units[0]}
                cloud.client("scheduler").create_schedule(
                    Name=policy_id, ScheduleExpression=time.strftime("at(%Y-%m-%dT%H:%M:%S)", time.gmtime(time.time() + 1)),
                    FlexibleTimeWindow={"Mode": "OFF"}, ActionAfterCompletion="DELETE",
                    Target={"Arn": "arn:aws:scheduler:::aws-sdk:organizations:detachPolicy", "RoleArn": role,
                            "Input": json.dumps(given), "DeadLetterConfig": {"Arn": queue}})
                deadline = time.monotonic() + 8
                if left:
                    self.assertEqual(json.loads(cloud.messages(url, seconds=8)[0]["Body"]), given)
                while time.monotonic() < deadline:
                    targets = self.organizations.list_targets_for_policy(PolicyId=policy_id)["Targets"]
                    if [one["TargetId"] for one in targets] == left:
                        break
                    time.sleep(0.2)
                self.assertEqual([one["TargetId"] for one in targets], left)


class FrontDoorServices(Case):
    """What the front door answers itself, after it has asked who calls."""

    def ask(self, caller, service, path, body, **headers):
        status, given, _body = caller.ask(service, path, body, **headers)
        return given.get("x-orgkeeper-caller") if status == 200 else status

    def test_an_allowed_caller_is_named(self):
        hub = f"arn:aws:securityhub:{REGION}:{OTHER_ACCOUNT}:hub/default"
        session = self.session(allow("securityhub:GetFindings", hub))
        self.assertEqual(self.ask(session, "securityhub", "/findings", {"MaxResults": 1}),
                         f"arn:aws:sts::{OTHER_ACCOUNT}:assumed-role/{self.name}/test")
        self.assertEqual(self.ask(session, "securityhub", "/findings/import", {"Findings": []}), 403)

    def test_every_service_is_checked(self):
        calls = {
            "account:GetAlternateContact": ("account", "/getAlternateContact", None),
            "controltower:ListBaselines": ("controltower", "/list-baselines", None),
            "organizations:ListAccounts": ("organizations", "/", "AWSOrganizationsV20161128.ListAccounts"),
            "servicecatalog:DescribeRecord": ("servicecatalog", "/", "AWS242ServiceCatalogService.DescribeRecord"),
            "sso:ListInstances": ("sso", "/", "SWBExternalService.ListInstances"),
        }
        allowed = {action: self.named_session(action, allow(action)) for action in calls}
        refused = self.named_session("none", allow("sqs:*"))
        for action, (service, path, target) in calls.items():
            with self.subTest(action):
                headers = {"X-Amz-Target": target} if target else {}
                self.assertIn(OTHER_ACCOUNT, str(self.ask(allowed[action], service, path, {}, **headers)))
                self.assertIn(self.ask(refused, service, path, {}, **headers), (400, 403))

    def test_the_access_analyzer_is_checked(self):
        analyzer = f"arn:aws:access-analyzer:{REGION}:{OTHER_ACCOUNT}:analyzer/mine"
        session = self.session(allow("access-analyzer:GetAnalyzer", analyzer))
        cloud.client("accessanalyzer", OTHER_ACCOUNT).create_analyzer(analyzerName="mine", type="ACCOUNT")
        client = session.client("accessanalyzer")
        self.assertEqual(client.get_analyzer(analyzerName="mine")["analyzer"]["arn"], analyzer)
        self.denied(client.get_analyzer, analyzerName="other")
        self.denied(client.list_analyzers)

    def named_session(self, name, statement):
        role = cloud.role(f"{self.name}-{name.replace(':', '-')}"[-60:], OTHER_ACCOUNT, statement,
                          trust=trust(f"arn:aws:iam::{ACCOUNT}:root"))
        return self.root.assume(role)


class PassedOn(Case):
    """What moto answers, for the account of the caller and after MiniStack's check."""

    OPEN = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}

    def group(self, name):
        """A security group that is open to everybody and to one network."""
        ec2 = self.member.client("ec2")
        group = ec2.create_security_group(GroupName=f"{self.name}-{name}", Description="test")["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
            {**self.OPEN, "IpRanges": [{"CidrIp": "0.0.0.0/0"}, {"CidrIp": "10.0.0.0/8", "Description": "office"}]}])
        return group

    def rules(self, group):
        found = self.member.client("ec2").describe_security_group_rules(
            Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
        return {rule["CidrIpv4"]: rule["SecurityGroupRuleId"] for rule in found if not rule["IsEgress"]}

    def test_one_group_is_closed_and_nothing_else(self):
        mine, other = self.group("mine"), self.group("other")
        only = allow("ec2:RevokeSecurityGroupIngress",
                     f"arn:aws:ec2:{REGION}:{OTHER_ACCOUNT}:security-group/{mine}")
        session = self.session(EVERYTHING, session=[only])
        rule = self.rules(mine)["0.0.0.0/0"]
        session.client("ec2").revoke_security_group_ingress(GroupId=mine, SecurityGroupRuleIds=[rule])
        self.assertEqual(list(self.rules(mine)), ["10.0.0.0/8"])
        self.denied(session.client("ec2").revoke_security_group_ingress, GroupId=other,
                    SecurityGroupRuleIds=[self.rules(other)["0.0.0.0/0"]])
        self.denied(session.client("ec2").authorize_security_group_ingress, GroupId=mine, IpPermissions=[self.OPEN])
        self.denied(session.client("rds").describe_db_instances)
        self.assertEqual(len(self.rules(other)), 2)

    def test_resources_are_named_as_in_policies(self):
        ec2 = self.member.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        lists = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
        snapshot = ec2.create_snapshot(
            VolumeId=ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"])["SnapshotId"]
        here = f"arn:aws:ec2:{REGION}:{OTHER_ACCOUNT}"
        session = self.session(
            allow("ec2:CreateNetworkAclEntry", f"{here}:network-acl/{lists[0]['NetworkAclId']}"),
            allow("ec2:ModifySnapshotAttribute", f"arn:aws:ec2:{REGION}::snapshot/{snapshot}"),
            allow("ec2:CreateFlowLogs", f"{here}:vpc/{vpc}"))
        client = session.client("ec2")
        entry = {"RuleNumber": 50, "Protocol": "6", "RuleAction": "deny", "Egress": False, "CidrBlock": "0.0.0.0/0",
                 "PortRange": {"From": 22, "To": 22}}
        client.create_network_acl_entry(NetworkAclId=lists[0]["NetworkAclId"], **entry)
        self.denied(client.create_network_acl_entry, NetworkAclId="acl-other", **entry)
        client.modify_snapshot_attribute(
            SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="remove", GroupNames=["all"])
        logs = {"ResourceType": "VPC", "TrafficType": "REJECT", "LogGroupName": "flows",
                "DeliverLogsPermissionArn": f"arn:aws:iam::{OTHER_ACCOUNT}:role/any"}
        self.denied(client.create_flow_logs, ResourceIds=["vpc-other"], **logs)
        self.assertEqual(client.create_flow_logs(ResourceIds=[vpc], **logs)["Unsuccessful"], [])
        with self.assertRaises(ClientError) as caught:
            client.create_flow_logs(ResourceIds=[vpc], **logs)
        self.assertEqual(caught.exception.response["Error"]["Code"], "FlowLogAlreadyExists")

    def test_state_is_of_the_callers_account_and_region(self):
        for caller, region, expected in ((self.member, REGION, True), (self.member, OTHER_REGION, False),
                                         (self.root, REGION, False)):
            ec2 = caller.client("ec2", region)
            if expected:
                ec2.enable_ebs_encryption_by_default()
            self.assertEqual(ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"], expected)
        detector = self.member.client("guardduty").create_detector(Enable=True)["DetectorId"]
        self.assertEqual(self.member.client("guardduty").list_detectors()["DetectorIds"], [detector])
        self.assertEqual(self.root.client("guardduty").list_detectors()["DetectorIds"], [])
        self.member.client("config").put_configuration_recorder(ConfigurationRecorder={
            "name": "default", "roleARN": f"arn:aws:iam::{OTHER_ACCOUNT}:role/any",
            "recordingGroup": {"allSupported": True, "includeGlobalResourceTypes": True}})
        self.assertEqual(self.root.client("config").describe_configuration_recorders()["ConfigurationRecorders"], [])

    def test_each_service_is_checked(self):
        session = self.session(allow("rds:DescribeDBInstances"))
        session.client("rds").describe_db_instances()
        self.denied(session.client("rds").describe_db_clusters)
        self.denied(session.client("guardduty").list_detectors)
        self.denied(session.client("config").describe_configuration_recorders)
        self.denied(session.client("ssm").describe_document, Name="any")
        self.denied(session.client("iam").list_server_certificates)
        self.denied(session.client("identitystore").list_groups, IdentityStoreId="d-1111111111")

    def test_a_group_and_its_store(self):
        mine, other = "d-1111111111", "d-2222222222"
        store = self.session(
            allow(["identitystore:DescribeGroup", "identitystore:ListGroups"],
                  f"arn:aws:identitystore::{OTHER_ACCOUNT}:identitystore/{mine}"),
            allow("identitystore:ListGroups", "arn:aws:identitystore:::group/*"),
            allow("identitystore:DescribeGroup", "arn:aws:identitystore:::group/known")).client("identitystore")
        self.assertEqual(store.list_groups(IdentityStoreId=mine)["Groups"], [])
        self.denied(store.list_groups, IdentityStoreId=other)
        with self.assertRaisesRegex(ClientError, "ResourceNotFound"):
            store.describe_group(IdentityStoreId=mine, GroupId="known")
        self.denied(store.describe_group, IdentityStoreId=mine, GroupId="other")

    def test_repositories_detectors_and_service_linked_roles(self):
        region = "eu-west-1"
        for name in ("team/mine", "team/other"):
            self.member.client("ecr").create_repository(repositoryName=name)
        detector = self.member.client("guardduty", region).create_detector(Enable=True)["DetectorId"]
        session = self.session(
            allow("ecr:DescribeRepositories", f"arn:aws:ecr:{REGION}:{OTHER_ACCOUNT}:repository/team/mine"),
            allow("guardduty:GetDetector", f"arn:aws:guardduty:{region}:{OTHER_ACCOUNT}:detector/{detector}"),
            allow("iam:CreateServiceLinkedRole", f"arn:aws:iam::{OTHER_ACCOUNT}:role/aws-service-role/"
                                                 "config.amazonaws.com/AWSServiceRoleForConfig"))
        session.client("ecr").describe_repositories(repositoryNames=["team/mine"])
        self.denied(session.client("ecr").describe_repositories, repositoryNames=["team/other"])
        session.client("guardduty", region).get_detector(DetectorId=detector)
        self.denied(session.client("guardduty").get_detector, DetectorId=detector)
        session.client("iam").create_service_linked_role(AWSServiceName="config.amazonaws.com")
        self.denied(session.client("iam").create_service_linked_role, AWSServiceName="guardduty.amazonaws.com")

    def test_budgets_have_two_permissions(self):
        own = f"arn:aws:budgets::{OTHER_ACCOUNT}:budget/orgkeeper-*"
        budget = {"BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": {"Amount": "5", "Unit": "USD"}}
        mine, other = ({"AccountId": OTHER_ACCOUNT, "BudgetName": name} for name in ("orgkeeper-1", "other"))
        self.member.client("budgets").create_budget(AccountId=OTHER_ACCOUNT, Budget={"BudgetName": "other", **budget})
        both = self.session(allow("budgets:*", own))
        role = f"arn:aws:iam::{OTHER_ACCOUNT}:role/{self.name}"
        writer, reader = (self.root.assume(role, allow(f"budgets:{one}", "*")) for one in ("ModifyBudget", "ViewBudget"))
        self.denied(both.client("budgets").describe_budget, **other)
        budgets = writer.client("budgets")
        budgets.create_budget(AccountId=OTHER_ACCOUNT, Budget={"BudgetName": "orgkeeper-1", **budget})
        self.denied(budgets.describe_budget, **mine)
        self.denied(budgets.delete_budget, **other)
        budgets = reader.client("budgets")
        budgets.describe_budget(**mine)
        self.denied(budgets.delete_budget, **mine)

    def test_aliases_and_listed_log_groups(self):
        mine = self.member.client("kms").create_key()["KeyMetadata"]["Arn"]
        other = self.member.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.member.client("kms").create_alias(AliasName="alias/other", TargetKeyId=other)
        session = self.session(
            allow("kms:DescribeKey", mine),
            allow("kms:CreateAlias", f"arn:aws:kms:{REGION}:{OTHER_ACCOUNT}:alias/mine"),
            allow("logs:DescribeLogGroups", f"arn:aws:logs:{REGION}:{OTHER_ACCOUNT}:log-group:*"))
        keys = session.client("kms")
        keys.create_alias(AliasName="alias/mine", TargetKeyId=mine)
        self.denied(keys.create_alias, AliasName="alias/third", TargetKeyId=mine)
        keys.describe_key(KeyId="alias/mine")
        self.denied(keys.describe_key, KeyId="alias/other")
        session.client("logs").describe_log_groups(logGroupNamePrefix="/team")
        self.denied(session.client("logs", "eu-west-1").describe_log_groups, logGroupNamePrefix="/team")

    def account_block(self, caller, account=OTHER_ACCOUNT):
        """A client whose account id is not put before the host, which is an address here."""
        client = caller.client("s3control")
        client.meta.events.unregister("before-call.s3-control")
        client.meta.events.register("before-sign.s3-control", lambda request, **_: setattr(
            request, "url", request.url.replace(f"{account}.", "")))
        return client

    def test_the_public_access_block_of_an_account(self):
        block = {name: True for name in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy",
                                         "RestrictPublicBuckets")}
        self.account_block(self.member).put_public_access_block(
            AccountId=OTHER_ACCOUNT, PublicAccessBlockConfiguration=block)
        session = self.session(allow("s3:GetAccountPublicAccessBlock"))
        read = self.account_block(session)
        self.assertEqual(
            read.get_public_access_block(AccountId=OTHER_ACCOUNT)["PublicAccessBlockConfiguration"], block)
        self.denied(read.put_public_access_block, AccountId=OTHER_ACCOUNT, PublicAccessBlockConfiguration=block)
        self.denied(self.account_block(session, ACCOUNT).get_public_access_block, AccountId=ACCOUNT)

    def test_documents_and_server_certificates(self):
        documents = self.member.client("ssm")
        content = json.dumps({"schemaVersion": "2.2", "description": "d", "mainSteps": []})
        for name in ("mine", "other"):
            documents.create_document(Name=f"{self.name}-{name}"[-60:], Content=content, DocumentType="Command")
        mine, other = (f"{self.name}-{name}"[-60:] for name in ("mine", "other"))
        session = self.session(allow("ssm:ModifyDocumentPermission",
                                     f"arn:aws:ssm:{REGION}:{OTHER_ACCOUNT}:document/{mine}"))
        change = {"PermissionType": "Share", "AccountIdsToRemove": ["all"]}
        documents.modify_document_permission(Name=mine, PermissionType="Share", AccountIdsToAdd=["all"])
        session.client("ssm").modify_document_permission(Name=mine, **change)
        self.denied(session.client("ssm").modify_document_permission, Name=other, **change)
        self.assertEqual(documents.describe_document_permission(Name=mine, PermissionType="Share")["AccountIds"], [])
        self.member.client("iam").upload_server_certificate(
            ServerCertificateName="old", CertificateBody="certificate", PrivateKey="key")
        names = [one["ServerCertificateName"] for one in
                 self.member.client("iam").list_server_certificates()["ServerCertificateMetadataList"]]
        self.assertEqual(names, ["old"])


class Functions(Case):
    """A function has the permissions of its own role."""

    def test_a_function_of_another_account_is_called_if_both_sides_allow_it(self):
        lambda_client = self.member.client("lambda")
        arn = cloud.function(self.name, "keep", OTHER_ACCOUNT)
        caller = self.root.assume(cloud.role(f"{self.name}-caller", ACCOUNT, allow("lambda:InvokeFunction", arn)))
        call = {"FunctionName": arn, "Payload": b"{}"}
        self.denied(caller.client("lambda").invoke, **call)
        lambda_client.add_permission(
            FunctionName=self.name, StatementId="proxy", Action="lambda:InvokeFunction",
            Principal=f"arn:aws:iam::{ACCOUNT}:role/{self.name}-caller")
        caller.client("lambda").invoke(**call)
        self.assertEqual(len(cloud.invocations(self.name)), 1)
        other = self.root.assume(cloud.role(f"{self.name}-other", ACCOUNT, allow("sqs:*")))
        self.denied(other.client("lambda").invoke, **call)


    def test_an_open_url_needs_both_permissions_and_no_signature(self):
        client = self.root.client("lambda")
        cloud.function(self.name, "keep")
        url = client.create_function_url_config(FunctionName=self.name, AuthType="NONE")["FunctionUrl"]

        def answered():
            request = urllib.request.Request(f"{client.meta.endpoint_url}/?a=1", headers={"Host": urllib.parse.urlsplit(url).netloc})
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status
            except urllib.error.HTTPError as error:
                return error.code

        self.assertEqual(answered(), 403)
        client.add_permission(FunctionName=self.name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*",
                              FunctionUrlAuthType="NONE")
        self.assertEqual(answered(), 403)
        client.add_permission(FunctionName=self.name, StatementId="via", Action="lambda:InvokeFunction", Principal="*",
                              InvokedViaFunctionUrl=True)
        self.assertEqual(answered(), 200)
        self.assertEqual(len(cloud.invocations(self.name)), 1)


class RolesOfServices(Case):
    """What AWS's services do with a role: its policies decide, as about every other call."""

    def queue_and_function(self, *actions):
        url, arn = cloud.queue(self.name)
        cloud.role(self.name, ACCOUNT, *([allow(list(actions), arn)] if actions else []))
        return url, arn, cloud.function(self.name, "keep", role=self.name)

    def test_a_queue_is_read_with_all_three_permissions(self):
        actions = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
        _url, arn, function = self.queue_and_function(*actions)
        client, iam = self.root.client("lambda"), self.root.client("iam")
        for missing in actions:
            rest = [action for action in actions if action != missing]
            iam.put_role_policy(RoleName=self.name, PolicyName="own", PolicyDocument=policy(allow(rest, arn)))
            with self.assertRaisesRegex(ClientError, f"does not have permissions to call {missing}"):
                client.create_event_source_mapping(FunctionName=function, EventSourceArn=arn)
        iam.put_role_policy(RoleName=self.name, PolicyName="own", PolicyDocument=policy(allow(list(actions), arn)))
        client.create_event_source_mapping(FunctionName=function, EventSourceArn=arn)
        self.assertLessEqual({(action, 1) for action in actions}, cloud.permissions_used(self.name))

    def test_a_template_makes_no_event_source_that_may_not_be_read(self):
        _url, arn, function = self.queue_and_function()
        template = {"Resources": {"Mapping": {
            "Type": "AWS::Lambda::EventSourceMapping", "Properties": {"EventSourceArn": arn, "FunctionName": function}}}}
        stacks = self.root.client("cloudformation")
        stacks.create_stack(StackName=self.name, TemplateBody=json.dumps(template))
        reasons = ""
        deadline = time.monotonic() + 5
        while "sqs:ReceiveMessage" not in reasons and time.monotonic() < deadline:
            events = stacks.describe_stack_events(StackName=self.name)["StackEvents"]
            reasons = " ".join(event.get("ResourceStatusReason", "") for event in events)
        self.assertIn("sqs:ReceiveMessage", reasons)

    def test_a_log_needs_both_permissions(self):
        group = f"/aws/lambda/{self.name}"
        logs, iam = self.root.client("logs"), self.root.client("iam")
        _url, _arn, function = self.queue_and_function()
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:*"
        for allowed in ([], ["logs:CreateLogStream"], ["logs:CreateLogStream", "logs:PutLogEvents"]):
            statements = [allow(allowed, arn)] if allowed else [deny("sqs:*")]
            iam.put_role_policy(RoleName=self.name, PolicyName="own", PolicyDocument=policy(*statements))
            self.root.client("lambda").invoke(FunctionName=function, Payload=b"{}")
            groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
            self.assertEqual(len(groups), int(len(allowed) == 2), allowed)

    def test_a_state_machine_does_what_its_role_may(self):
        url, arn = cloud.queue(self.name)
        function = cloud.function(self.name, "keep")
        role = cloud.role(self.name, ACCOUNT, deny("s3:*"))
        tasks = {
            "Send": ("sqs:sendMessage", {"QueueUrl": url, "MessageBody": "text"}, "sqs:SendMessage", arn),
            "Invoke": ("lambda:invoke", {"FunctionName": function, "Payload": {}}, "lambda:InvokeFunction", function),
        }
        machines, iam = self.root.client("stepfunctions"), self.root.client("iam")
        for name, (resource, parameters, action, on) in tasks.items():
            task = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters, "End": True,
                    "TimeoutSeconds": 5}
            machine = machines.create_state_machine(name=f"{self.name}-{name}"[-60:], roleArn=role, definition=json.dumps(
                {"StartAt": name, "States": {name: task}}))["stateMachineArn"]
            for statement, expected in ((deny("s3:*"), "FAILED"), (allow(action, on), "SUCCEEDED")):
                iam.put_role_policy(RoleName=self.name, PolicyName="own", PolicyDocument=policy(statement))
                execution = machines.start_execution(stateMachineArn=machine)["executionArn"]
                deadline = time.monotonic() + 5
                while (status := machines.describe_execution(executionArn=execution)["status"]) == "RUNNING":
                    self.assertLess(time.monotonic(), deadline)
                self.assertEqual(status, expected, name)


class EveryResource(Case):
    """A call about several resources needs all of them."""

    def test_an_assignment_needs_instance_permission_set_and_account(self):
        resources = ["arn:aws:sso:::instance/ssoins-1", "arn:aws:sso:::permissionSet/ssoins-1/ps-1",
                     f"arn:aws:sso:::account/{OTHER_ACCOUNT}"]
        body = {"InstanceArn": resources[0], "PermissionSetArn": resources[1], "TargetId": OTHER_ACCOUNT}
        target = {"X-Amz-Target": "SWBExternalService.CreateAccountAssignment"}
        for number, missing in enumerate([None, *resources]):
            role = cloud.role(f"every-resource-{number}", OTHER_ACCOUNT, allow(
                "sso:CreateAccountAssignment", [arn for arn in resources if arn != missing]),
                trust=trust(f"arn:aws:iam::{ACCOUNT}:root"))
            status, _headers, _body = self.root.assume(role).ask("sso", "/", body, **target)
            self.assertEqual(status == 200, missing is None, missing)

    def test_a_group_needs_its_store(self):
        store, group = "arn:aws:identitystore::222222222222:identitystore/d-1", "arn:aws:identitystore:::group/known"
        for resources in ([store], [group]):
            session = self.session(allow("identitystore:DescribeGroup", resources))
            self.denied(session.client("identitystore").describe_group, IdentityStoreId="d-1", GroupId="known")
            self.member.client("iam").delete_role_policy(RoleName=self.name, PolicyName="own")
            self.member.client("iam").delete_role(RoleName=self.name)

    def test_a_bus_that_is_described_is_a_bus(self):
        self.member.client("events").create_event_bus(Name="described")
        for name, allowed in (("described", True), ("another", False)):
            own = allow("events:DescribeEventBus", f"arn:aws:events:{REGION}:{OTHER_ACCOUNT}:event-bus/{name}")
            describe = self.session(own).client("events").describe_event_bus
            if allowed:
                self.assertEqual(describe(Name="described")["Name"], "described")
            else:
                self.denied(describe, Name="described")
            self.member.client("iam").delete_role_policy(RoleName=self.name, PolicyName="own")
            self.member.client("iam").delete_role(RoleName=self.name)

    def test_a_provisioned_product_is_of_the_account(self):
        own = allow("servicecatalog:DescribeRecord", Condition={
            "StringEquals": {"servicecatalog:accountLevel": "self"}})
        target = {"X-Amz-Target": "AWS242ServiceCatalogService.DescribeRecord"}
        status, _headers, _body = self.session(own).ask("servicecatalog", "/", {"Id": "rec-1"}, **target)
        self.assertEqual(status, 200)


class RootUsers(unittest.TestCase):
    """Sessions as root of a member account, and what root has there."""

    KEY, DEVICE, CERTIFICATE = "AKIAROOTROOTROOTROOT", f"arn:aws:iam::{OTHER_ACCOUNT}:mfa/root", "C" * 24

    def setUp(self):
        cloud.plant_root_credentials(OTHER_ACCOUNT, password="true", keys=self.KEY, devices=self.DEVICE, certificates=self.CERTIFICATE)

    def root(self, task, caller=ACCOUNT, target=OTHER_ACCOUNT):
        """IAM, in a session of a task."""
        given = Caller(caller).client("sts").assume_root(
            TargetPrincipal=target, TaskPolicyArn={"arn": f"arn:aws:iam::aws:policy/root-task/{task}"})["Credentials"]
        return Caller(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]).client("iam")

    def assertRefused(self, call, *arguments, code="AccessDenied", **more):
        with self.assertRaises(ClientError) as refused:
            call(*arguments, **more)
        self.assertEqual(refused.exception.response["Error"]["Code"], code)

    def test_a_task_can_do_its_own_and_nothing_else(self):
        audit = self.root("IAMAuditRootUserCredentials")
        self.assertEqual([self.KEY], [one["AccessKeyId"] for one in audit.list_access_keys()["AccessKeyMetadata"]])
        self.assertEqual([self.DEVICE], [one["SerialNumber"] for one in audit.list_mfa_devices()["MFADevices"]])
        self.assertTrue(audit.get_login_profile())
        self.assertRefused(audit.delete_access_key, AccessKeyId=self.KEY)
        self.assertRefused(audit.list_users)
        delete = self.root("IAMDeleteRootUserCredentials")
        delete.delete_access_key(AccessKeyId=self.KEY)
        delete.delete_signing_certificate(CertificateId=self.CERTIFICATE)
        delete.delete_login_profile()
        delete.deactivate_mfa_device(SerialNumber=self.DEVICE)
        self.assertRefused(delete.create_login_profile)
        self.assertEqual([], audit.list_access_keys()["AccessKeyMetadata"] + audit.list_mfa_devices()["MFADevices"])
        self.assertRefused(audit.get_login_profile, code="NoSuchEntity")
        self.root("IAMCreateRootUserPassword").create_login_profile()
        self.assertTrue(audit.get_login_profile())

    def test_only_the_management_account_has_them_and_not_for_itself(self):
        task = "IAMAuditRootUserCredentials"
        self.assertRefused(self.root, task, caller=OTHER_ACCOUNT, target=ACCOUNT)
        self.assertRefused(self.root, task, target=ACCOUNT)
        self.assertRefused(self.root, "AdministratorAccess", code="ValidationError")


if __name__ == "__main__":
    unittest.main()
