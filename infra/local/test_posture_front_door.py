"""The stand-ins of `posture/` through the front door, as a flow test meets them. Needs the front door compiled (make compiled)."""

import json
import os
import subprocess
import unittest
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

import cloud as local_cloud
from emulators import ACCOUNT, REGION, Cloud, answers, free_port, wait_for

BINARY = local_cloud.front_door_binary()
PCI = f"arn:aws:securityhub:{REGION}::standards/pci-dss/v/4.0.1"


def setUpModule():
    global cloud, door, url, member
    if not BINARY.exists():
        raise unittest.SkipTest(f"{BINARY} is not compiled")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    cloud = Cloud(with_moto=True, front_door=url)
    cloud.start()
    door = subprocess.Popen(
        [BINARY, "--port", str(port), "--ministack", cloud.url, "--moto", cloud.moto.url, "--management-account", ACCOUNT],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})
    wait_for(lambda: answers(f"{url}/_orgkeeper/health"), 10, "the front door did not start")
    organizations = client("organizations", "test")
    organizations.create_organization(FeatureSet="ALL")
    made = organizations.create_account(AccountName="member", Email="member@example.com")["CreateAccountStatus"]
    while "AccountId" not in made:
        made = organizations.describe_create_account_status(CreateAccountRequestId=made["Id"])["CreateAccountStatus"]
    member = made["AccountId"]
    wait_for(lambda: member in [one["Id"] for one in organizations.list_accounts()["Accounts"]], 5, "the account was not created")


def tearDownModule():
    door.kill()
    door.wait()
    cloud.stop()


def client(service, key, region=REGION):
    return boto3.client(service, endpoint_url=url, region_name=region, aws_access_key_id=key, aws_secret_access_key="test",
                        config=Config(retries={"total_max_attempts": 1}))


def control(method, path, body=None):
    request = urllib.request.Request(f"{url}/_orgkeeper/{path}", method=method, data=None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read() or b"null")


class FrontDoor(unittest.TestCase):
    def setUp(self):
        self.addCleanup(control, "DELETE", "posture")

    def test_findings_follow_the_administrator(self):
        payer, hub = client("securityhub", "test"), client("securityhub", member)
        self.assertEqual([one["AccountId"] for one in payer.list_organization_admin_accounts()["AdminAccounts"]], [ACCOUNT])
        payer.disable_organization_admin_account(AdminAccountId=ACCOUNT)
        payer.enable_organization_admin_account(AdminAccountId=member)
        self.assertEqual(hub.get_findings()["Findings"], [])
        finding = {
            "SchemaVersion": "2018-10-08", "Id": "1", "ProductArn": f"arn:aws:securityhub:{REGION}:{ACCOUNT}:product/{ACCOUNT}/default",
            "GeneratorId": "g", "AwsAccountId": ACCOUNT, "CreatedAt": "2026-03-01T09:00:00Z", "UpdatedAt": "2026-03-01T09:00:00Z",
            "Title": "t", "Description": "d", "Severity": {"Label": "HIGH"}, "Types": ["a/b/c"],
            "Resources": [{"Type": "Other", "Id": "one"}]}
        self.assertEqual(payer.batch_import_findings(Findings=[finding])["SuccessCount"], 1)
        self.assertEqual(len(hub.get_findings()["Findings"]), 1)
        hub.disable_security_hub()
        with self.assertRaises(ClientError) as caught:
            hub.get_findings()
        self.assertEqual(caught.exception.response["Error"]["Code"], "InvalidAccessException")
        hub.enable_security_hub()
        hub.get_findings()
        payer.disable_organization_admin_account(AdminAccountId=member)
        payer.enable_organization_admin_account(AdminAccountId=ACCOUNT)

    def test_a_region_without_the_service_has_no_host(self):
        for service, call in (("detective", "list_graphs"), ("devops-guru", "describe_account_health")):
            with self.assertRaises(ConnectionClosedError):
                getattr(client(service, member, "ap-northeast-3"), call)()
        # The front door answers others as before.
        client("detective", member).list_graphs()

    def test_calls_are_counted_by_name_and_fail_by_rules(self):
        control("DELETE", "calls")
        hub = client("securityhub", member)
        hub.batch_enable_standards(StandardsSubscriptionRequests=[{"StandardsArn": PCI}])
        hub.batch_get_standards_control_associations(StandardsControlAssociationIds=[{"SecurityControlId": "EC2.8", "StandardsArn": PCI}])
        client("guardduty", member).list_detectors()
        client("macie2", "test").list_organization_admin_accounts()
        counted = control("GET", "calls")
        for name in ("securityhub.BatchEnableStandards", "securityhub.BatchGetStandardsControlAssociations", "guardduty.ListDetectors",
                     "macie2.ListOrganizationAdminAccounts"):
            self.assertEqual(counted[name]["calls"], 1, name)
        control("POST", "faults", {"operation": "securityhub.GetEnabledStandards", "error": "TooManyRequestsException", "status": 429, "times": 1})
        with self.assertRaises(ClientError) as caught:
            hub.get_enabled_standards()
        self.assertEqual(caught.exception.response["Error"]["Code"], "TooManyRequestsException")
        hub.get_enabled_standards()

    def test_controls_reach_the_stand_ins(self):
        opened = control("POST", "posture/insights", {"open": [{"account": member, "region": REGION, "name": "latency"}]})
        self.assertEqual(opened["insights"][0]["status"], "ONGOING")
        self.assertEqual(control("POST", "posture", {"standards": {"pending_seconds": 2}})["standards"], {"pending_seconds": 2})
        with self.assertRaises(urllib.error.HTTPError) as caught:
            control("POST", "posture/toaster", {})
        self.assertEqual(caught.exception.code, 404)
        caught.exception.close()

    def test_changes_of_the_organization_have_events(self):
        queue, arn = cloud.queue("organization-changes")
        cloud.rule("organization-changes", {"source": ["aws.organizations"]}, Arn=arn)
        organizations = client("organizations", "test")
        given = {"AccountId": member, "ServicePrincipal": "ipam.amazonaws.com"}
        organizations.enable_aws_service_access(ServicePrincipal="ipam.amazonaws.com")
        organizations.register_delegated_administrator(**given)
        organizations.deregister_delegated_administrator(**given)
        organizations.disable_aws_service_access(ServicePrincipal="ipam.amazonaws.com")
        names = [json.loads(one["Body"])["detail"]["eventName"] for one in cloud.messages(queue, 4)]
        self.assertEqual(set(names), {"EnableAWSServiceAccess", "RegisterDelegatedAdministrator", "DeregisterDelegatedAdministrator",
                                      "DisableAWSServiceAccess"})

    def test_networks_are_read_as_any_account(self):
        ec2, balancers = client("ec2", member), client("elbv2", member)
        self.assertIn(REGION, [one["RegionName"] for one in ec2.describe_regions()["Regions"]])
        subnets = [one["SubnetId"] for one in ec2.describe_subnets(MaxResults=5)["Subnets"]][:2]
        balancers.create_load_balancer(Name="shop", Subnets=subnets)
        found = ec2.describe_network_interfaces(MaxResults=5, IncludeManagedResources=True)["NetworkInterfaces"]
        self.assertEqual({one["Description"].rpartition("/")[0] for one in found}, {"ELB app/shop"})
        self.assertEqual(balancers.describe_load_balancers(PageSize=400)["LoadBalancers"][0]["State"]["Code"], "active")
        self.assertEqual(client("ec2", "test").describe_network_interfaces()["NetworkInterfaces"], [])
        ec2.describe_vpc_block_public_access_options()


if __name__ == "__main__":
    unittest.main()
