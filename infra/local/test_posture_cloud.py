"""The stand-ins of `posture/` behind MiniStack, which checks the caller and sends the events of changing calls."""

import json
import re
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

from emulators import ACCOUNT, OTHER_ACCOUNT, REGION, Cloud
from posture import wire

PCI = f"arn:aws:securityhub:{REGION}::standards/pci-dss/v/4.0.1"
OPERATIONS = Path(__file__).parent / "front-door" / "src" / "posture_operations.rs"
API_CALL = "AWS API Call via CloudTrail"


def setUpModule():
    global cloud
    cloud = Cloud(with_moto=True)
    cloud.start()


def tearDownModule():
    cloud.stop()


class Events(unittest.TestCase):
    """What CloudTrail says of changing calls, on the bus of their account."""

    def every_call(self, on):
        """Sets whether calls have events that tests make to prepare something."""
        request = urllib.request.Request(f"{cloud.moto.url}/_orgkeeper/posture/trail", method="POST", data=json.dumps({"every_call": on}).encode())
        urllib.request.urlopen(request, timeout=5).close()

    def watch(self, source, account=OTHER_ACCOUNT):
        """A queue for the events of a service."""
        name = f"{self.id().rpartition('.')[2]}-{source.replace('.', '-')}"[:60]
        url, arn = cloud.queue(name, account)
        cloud.rule(name, {"source": [source], "detail-type": [API_CALL]}, account, Arn=arn)
        return url

    def details(self, url, count=1, account=OTHER_ACCOUNT):
        return [json.loads(one["Body"])["detail"] for one in cloud.messages(url, count, account)]

    def test_a_control_that_is_switched_by_hand(self):
        queue = self.watch("aws.securityhub")
        client = cloud.client("securityhub", OTHER_ACCOUNT)
        client.batch_enable_standards(StandardsSubscriptionRequests=[{"StandardsArn": PCI}])
        client.get_enabled_standards()
        answer = client.batch_update_standards_control_associations(StandardsControlAssociationUpdates=[
            {"SecurityControlId": "EC2.8", "StandardsArn": PCI, "AssociationStatus": "DISABLED", "UpdatedReason": "by hand"}])
        self.assertEqual(answer["UnprocessedAssociationUpdates"], [])
        found = {one["eventName"]: one for one in self.details(queue, 2)}
        self.assertEqual(set(found), {"BatchEnableStandards", "BatchUpdateStandardsControlAssociations"})
        one = found["BatchUpdateStandardsControlAssociations"]
        self.assertEqual((one["eventSource"], one["awsRegion"], one["recipientAccountId"]), ("securityhub.amazonaws.com", REGION, OTHER_ACCOUNT))
        self.assertEqual(one["requestParameters"]["standardsControlAssociationUpdates"][0]["securityControlId"], "EC2.8")
        self.assertEqual(one["userIdentity"]["accountId"], OTHER_ACCOUNT)
        self.assertFalse(one["readOnly"])

    def test_calls_that_can_expose_something(self):
        queue = self.watch("aws.ec2")
        ec2 = cloud.client("ec2", OTHER_ACCOUNT)
        ec2.allocate_address(Domain="vpc")
        self.every_call(True)
        self.addCleanup(self.every_call, False)
        ec2.describe_addresses()
        made = ec2.allocate_address(Domain="vpc")
        ec2.create_tags(Resources=[made["AllocationId"]], Tags=[{"Key": "a", "Value": "b"}])
        ec2.release_address(AllocationId=made["AllocationId"])
        found = self.details(queue, 2)
        self.assertEqual([one["eventName"] for one in found], ["AllocateAddress", "ReleaseAddress"])
        self.assertEqual(found[1]["requestParameters"], {"allocationId": made["AllocationId"]})
        balancers = self.watch("aws.elasticloadbalancing")
        subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]][:2]
        cloud.client("elbv2", OTHER_ACCOUNT).create_load_balancer(Name="web", Subnets=subnets)
        self.assertEqual([one["eventName"] for one in self.details(balancers)], ["CreateLoadBalancer"])
        found = ec2.describe_network_interfaces(Filters=[{"Name": "requester-id", "Values": ["amazon-elb"]}])["NetworkInterfaces"]
        self.assertEqual(len(found), 2)

    def test_a_call_that_fails_has_none(self):
        queue = self.watch("aws.macie2")
        client = cloud.client("macie2", OTHER_ACCOUNT)
        with self.assertRaises(ClientError):
            client.update_macie_session(status="PAUSED")
        client.enable_macie()
        self.assertEqual([one["eventName"] for one in self.details(queue)], ["EnableMacie"])

    def test_the_events_name_the_role(self):
        queue = self.watch("aws.guardduty")
        self.every_call(True)
        self.addCleanup(self.every_call, False)
        session = cloud.client("sts", OTHER_ACCOUNT).assume_role(RoleArn=f"arn:aws:iam::{OTHER_ACCOUNT}:role/any", RoleSessionName="me")
        keys = session["Credentials"]
        boto3.client("guardduty", endpoint_url=cloud.url, region_name=REGION, aws_access_key_id=keys["AccessKeyId"],
                     aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"]).create_detector(Enable=True)
        identity = self.details(queue)[0]["userIdentity"]
        self.assertEqual((identity["type"], identity["sessionContext"]["sessionIssuer"]["userName"]), ("AssumedRole", "any"))


class Permissions(unittest.TestCase):
    """MiniStack checks who calls."""

    def client(self, service, *statements):
        """A client of a role with these permissions."""
        name = self.id().rpartition(".")[2]
        arn = cloud.role(name, OTHER_ACCOUNT, *statements)
        keys = cloud.client("sts", OTHER_ACCOUNT).assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
        return boto3.client(service, endpoint_url=cloud.url, region_name=REGION, aws_access_key_id=keys["AccessKeyId"],
                            aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"])

    def test_a_role_calls_what_its_policy_allows(self):
        hub = f"arn:aws:securityhub:{REGION}:{OTHER_ACCOUNT}:hub/default"
        client = self.client("securityhub", {"Effect": "Allow", "Action": "securityhub:GetEnabledStandards", "Resource": hub})
        client.get_enabled_standards()
        with self.assertRaises(ClientError) as caught:
            client.describe_standards()
        self.assertIn("AccessDenied", caught.exception.response["Error"]["Code"])

    def test_services_that_only_moto_has_are_checked(self):
        client = self.client("detective", {"Effect": "Allow", "Action": "detective:ListGraphs", "Resource": "*"})
        self.assertEqual(client.list_graphs()["GraphList"], [])
        with self.assertRaises(ClientError):
            client.create_graph()


class Routing(unittest.TestCase):
    def test_findings_are_left_to_the_front_door(self):
        request = urllib.request.Request(f"{cloud.url}/findings", method="POST", data=b"{}", headers={
            "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260301/{REGION}/securityhub/aws4_request"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            self.assertEqual((answer.read(), answer.headers["x-orgkeeper-caller"]), (b"", f"arn:aws:iam::{ACCOUNT}:root"))

    def test_a_region_without_a_host_is_named_so(self):
        request = urllib.request.Request(f"{cloud.url}/graphs/list", method="POST", data=b"{}", headers={
            "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260301/ap-northeast-3/detective/aws4_request"})
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)
        self.assertEqual((caught.exception.code, caught.exception.headers["x-orgkeeper-no-host"]), (502, "true"))
        caught.exception.close()


class Names(unittest.TestCase):
    def test_the_front_door_names_each_operation_of_the_stand_ins(self):
        rows = set(re.findall(r'\("([\w-]+)", "([A-Z]+)", "([^"]+)", "(\w+)"\)', OPERATIONS.read_text(encoding="utf-8")))
        for service, operation in wire.answers:
            http = wire.model_of(service).operation_model(operation).http
            path = re.sub(r"\{\w+\+?\}", "{}", http["requestUri"].partition("?")[0])
            self.assertIn((service, http["method"], path, operation), rows)


if __name__ == "__main__":
    unittest.main()
