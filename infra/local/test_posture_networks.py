"""The stand-ins of `posture/` about networks, AWS Config and DevOps Guru, and the Regions of accounts, with boto3."""

import json
import time
import unittest

from botocore.config import Config

from emulators import ACCOUNT, REGION
from test_posture_administrators import OTHER_REGION, Case, Organization

TYPE = "AWS::EC2::NetworkInterface"
QUERY = f"SELECT accountId, awsRegion, resourceId, configuration.association.publicIp WHERE resourceType = '{TYPE}'"
OPT_IN = "eu-south-1"


def setUpModule():
    global here
    here = Organization()


def tearDownModule():
    here.moto.stop()


class Network:
    """A VPC of an account with a gateway, a route and two subnets."""

    def __init__(self, account, region=REGION):
        self.ec2 = here.client("ec2", account, region)
        self.balancers = here.client("elbv2", account, region)
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.table = self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["RouteTables"][0]["RouteTableId"]
        self.ec2.create_route(RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=self.gateway)
        self.subnets = [self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{region}{zone}")
                        ["Subnet"]["SubnetId"] for number, zone in enumerate("ab")]

    def interfaces(self, **query):
        query.setdefault("Filters", []).append({"Name": "vpc-id", "Values": [self.vpc]})
        return self.ec2.describe_network_interfaces(**query)["NetworkInterfaces"]

    def interface(self):
        return self.ec2.create_network_interface(SubnetId=self.subnets[0])["NetworkInterface"]["NetworkInterfaceId"]

    def address(self, interface):
        made = self.ec2.allocate_address(Domain="vpc")
        self.ec2.associate_address(AllocationId=made["AllocationId"], NetworkInterfaceId=interface)
        return made["PublicIp"]

    def balancer(self, name, kind="application", scheme="internet-facing"):
        made = self.balancers.create_load_balancer(Name=name, Type=kind, Scheme=scheme, Subnets=self.subnets)
        return made["LoadBalancers"][0]["LoadBalancerArn"]


class Interfaces(Case):
    def test_pages_and_filters(self):
        net = Network(here.one)
        made = [net.interface() for _ in range(12)]
        public = net.address(made[3])
        pages = list(net.ec2.get_paginator("describe_network_interfaces").paginate(
            Filters=[{"Name": "vpc-id", "Values": [net.vpc]}], PaginationConfig={"PageSize": 5}))
        self.assertEqual([len(page["NetworkInterfaces"]) for page in pages], [5, 5, 2])
        self.assertEqual({one["NetworkInterfaceId"] for page in pages for one in page["NetworkInterfaces"]}, set(made))
        self.assertNotIn("NextToken", pages[-1])
        for name in ("association.public-ip", "addresses.association.public-ip"):
            found = net.ec2.describe_network_interfaces(Filters=[{"Name": name, "Values": [public]}], IncludeManagedResources=True)
            self.assertEqual([one["NetworkInterfaceId"] for one in found["NetworkInterfaces"]], [made[3]])
        found = net.interfaces(Filters=[{"Name": "association.public-ip", "Values": ["*"]}])
        self.assertEqual([one["Association"]["PublicIp"] for one in found], [public])
        unchecked = here.moto.client("ec2", here.one, config=Config(parameter_validation=False))
        self.refused("InvalidParameterValue", unchecked.describe_network_interfaces, MaxResults=4)
        self.refused("InvalidParameterValue", net.ec2.describe_network_interfaces, MaxResults=5, NextToken="%")
        self.assertEqual(len(net.ec2.describe_route_tables(MaxResults=5)["RouteTables"]), len(net.ec2.describe_route_tables()["RouteTables"]))
        tables = [net.ec2.create_route_table(VpcId=net.vpc) for _ in range(6)]
        pages = list(net.ec2.get_paginator("describe_route_tables").paginate(
            Filters=[{"Name": "vpc-id", "Values": [net.vpc]}], PaginationConfig={"PageSize": 5}))
        self.assertEqual([len(page["RouteTables"]) for page in pages], [5, len(tables) - 4])

    def test_what_services_make_belongs_to_them(self):
        net = Network(here.one)
        arns = {kind: net.balancer(f"web-{kind}", kind) for kind in ("application", "network")}
        net.balancer("inside", scheme="internal")
        by_kind = {}
        for one in net.interfaces(Filters=[{"Name": "requester-managed", "Values": ["true"]}]):
            by_kind.setdefault(one["Description"].rpartition("/")[0], []).append(one)
        application = by_kind["ELB app/web-application"]
        self.assertEqual([(one["InterfaceType"], one["RequesterId"]) for one in application], [("interface", "amazon-elb")] * 2)
        self.assertTrue(all(one["Association"]["PublicIp"] for one in application))
        self.assertEqual({one["InterfaceType"] for one in by_kind["ELB net/web-network"]}, {"network_load_balancer"})
        self.assertTrue(all("Association" not in one for one in by_kind["ELB app/inside"]))
        states = net.balancers.describe_load_balancers(LoadBalancerArns=list(arns.values()))["LoadBalancers"]
        self.assertEqual({one["State"]["Code"] for one in states}, {"active"})
        attributes = net.balancers.describe_load_balancer_attributes(LoadBalancerArn=arns["application"])["Attributes"]
        self.assertIn({"Key": "access_logs.s3.enabled", "Value": "false"}, attributes)
        net.balancers.delete_load_balancer(LoadBalancerArn=arns["application"])
        self.assertEqual(net.interfaces(Filters=[{"Name": "description", "Values": ["ELB app/web-*"]}]), [])
        classic = here.client("elb", here.one)
        classic.create_load_balancer(LoadBalancerName="old", Subnets=net.subnets, Listeners=[
            {"Protocol": "http", "LoadBalancerPort": 80, "InstancePort": 80}])
        found = net.interfaces(Filters=[{"Name": "description", "Values": ["ELB old"]}])
        self.assertEqual(len(found), 2)
        classic.delete_load_balancer(LoadBalancerName="old")
        self.assertEqual(net.interfaces(Filters=[{"Name": "description", "Values": ["ELB old"]}]), [])

    def test_a_nat_gateway_has_an_interface_until_its_end(self):
        net = Network(here.one)
        elastic = net.ec2.allocate_address(Domain="vpc")
        made = net.ec2.create_nat_gateway(SubnetId=net.subnets[0], AllocationId=elastic["AllocationId"])["NatGateway"]["NatGatewayId"]
        found = net.interfaces(Filters=[{"Name": "interface-type", "Values": ["nat_gateway"]}])
        self.assertEqual([(one["Description"], one["Association"]["PublicIp"]) for one in found],
                         [(f"Interface for NAT Gateway {made}", elastic["PublicIp"])])
        net.ec2.create_route(RouteTableId=net.table, DestinationCidrBlock="192.0.2.0/24", NatGatewayId=made)
        net.ec2.delete_nat_gateway(NatGatewayId=made)
        self.assertEqual(net.interfaces(Filters=[{"Name": "interface-type", "Values": ["nat_gateway"]}]), [])
        idle = net.ec2.describe_addresses(PublicIps=[elastic["PublicIp"]])["Addresses"][0]
        self.assertFalse(idle.get("AssociationId"))
        self.assertEqual(self.states(net), {"10.0.0.0/16": "active", "0.0.0.0/0": "active", "192.0.2.0/24": "blackhole"})
        net.ec2.detach_internet_gateway(InternetGatewayId=net.gateway, VpcId=net.vpc)
        self.assertEqual(self.states(net)["0.0.0.0/0"], "blackhole")

    def states(self, net):
        routes = net.ec2.describe_route_tables(RouteTableIds=[net.table])["RouteTables"][0]["Routes"]
        return {one["DestinationCidrBlock"]: one["State"] for one in routes}

    def test_public_access_to_vpcs_can_be_blocked(self):
        net = Network(here.two)
        options = net.ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
        self.assertEqual((options["InternetGatewayBlockMode"], options["ManagedBy"]), ("off", "account"))
        net.ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode="block-ingress")
        options = net.ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
        self.assertEqual(options["InternetGatewayBlockMode"], "block-ingress")
        made = net.ec2.create_vpc_block_public_access_exclusion(SubnetId=net.subnets[0], InternetGatewayExclusionMode="allow-bidirectional")
        name = made["VpcBlockPublicAccessExclusion"]["ExclusionId"]
        subnets = net.ec2.describe_subnets(SubnetIds=net.subnets)["Subnets"]
        self.assertEqual({one["SubnetId"]: one["BlockPublicAccessStates"]["InternetGatewayBlockMode"] for one in subnets},
                         {net.subnets[0]: "off", net.subnets[1]: "block-ingress"})
        self.assertEqual(len(net.ec2.describe_vpc_block_public_access_exclusions()["VpcBlockPublicAccessExclusions"]), 1)
        net.ec2.delete_vpc_block_public_access_exclusion(ExclusionId=name)
        self.assertEqual(net.ec2.describe_vpc_block_public_access_exclusions()["VpcBlockPublicAccessExclusions"], [])
        other = here.client("ec2", here.two, OTHER_REGION).describe_vpc_block_public_access_options()
        self.assertEqual(other["VpcBlockPublicAccessOptions"]["InternetGatewayBlockMode"], "off")
        self.refused("InvalidParameterValue", net.ec2.modify_vpc_block_public_access_options, InternetGatewayBlockMode="most")


class Images(Case):
    def test_there_are_a_few(self):
        self.assertEqual(len(here.client("ec2", here.one).describe_images(Owners=["amazon"])["Images"]), 3)


class Regions(Case):
    def test_ec2_and_account_management_agree(self):
        for account in (here.one, here.two):
            if account == here.two:
                here.client("account", account).enable_region(RegionName=OPT_IN)
                while here.client("account", account).get_region_opt_status(RegionName=OPT_IN)["RegionOptStatus"] != "ENABLED":
                    pass
            ec2 = here.client("ec2", account)
            pages = here.client("account", account).get_paginator("list_regions").paginate(
                RegionOptStatusContains=["ENABLED", "ENABLED_BY_DEFAULT"])
            listed = {one["RegionName"] for page in pages for one in page["Regions"]}
            filters = [{"Name": "opt-in-status", "Values": ["opt-in-not-required", "opted-in"]}]
            for query in ({}, {"Filters": filters}, {"Filters": filters, "AllRegions": True}):
                self.assertEqual({one["RegionName"] for one in ec2.describe_regions(**query)["Regions"]}, listed)
            every = {one["RegionName"]: one["OptInStatus"] for one in ec2.describe_regions(AllRegions=True)["Regions"]}
            self.assertEqual(every[OPT_IN], "opted-in" if account == here.two else "not-opted-in")
            self.assertEqual(every[REGION], "opt-in-not-required")
            self.assertEqual(OPT_IN in listed, account == here.two)
        self.refused("InvalidParameterValue", here.client("ec2").describe_regions, RegionNames=["moon-1"])

    def test_a_test_can_have_regions_refused_that_are_off(self):
        self.addCleanup(here.control, "DELETE", "/regions")
        off = here.client("ec2", here.one, "il-central-1")
        off.describe_vpcs()
        here.control("POST", "/regions", {"refuse_off": True})
        self.refused("AuthFailure", off.describe_vpcs)
        self.refused("UnrecognizedClientException", here.client("securityhub", here.one, "il-central-1").describe_hub)
        here.client("ec2", here.one).describe_vpcs()

    def test_a_test_can_have_regions_denied(self):
        self.addCleanup(here.control, "DELETE", "/regions")
        here.control("POST", "/regions", {"denied": [f"{here.one}/eu-west-3"]})
        for service, call, code in (("ec2", "describe_vpcs", "UnauthorizedOperation"), ("elbv2", "describe_load_balancers", "AccessDenied"),
                                    ("securityhub", "describe_hub", "AccessDeniedException"),
                                    ("config", "describe_configuration_recorders", "AccessDeniedException")):
            message = self.refused(code, getattr(here.client(service, here.one, "eu-west-3"), call))
            self.assertIn("with an explicit deny in a service control policy", message)
            getattr(here.client(service, here.two, "eu-west-3"), call)()
            getattr(here.client(service, here.one, OTHER_REGION), call)()


class Recorder(Case):
    def setUp(self):
        self.addCleanup(here.control, "DELETE", "/recorder")
        self.config = here.client("config")
        self.config.put_configuration_aggregator(ConfigurationAggregatorName="organization", OrganizationAggregationSource={
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/config", "AllAwsRegions": True})

    def select(self, expression=QUERY, **more):
        found, token = [], {}
        while token is not None:
            answer = self.config.select_aggregate_resource_config(
                Expression=expression, ConfigurationAggregatorName="organization", **token, **more)
            self.assertLessEqual(len(answer["Results"]), more.get("MaxResults", 25))
            found += [json.loads(one) for one in answer["Results"]]
            token = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else None
        return found

    def test_interfaces_of_all_accounts_are_found(self):
        made = {}
        for account, region in ((here.one, REGION), (here.two, OTHER_REGION)):
            net = Network(account, region)
            for _ in range(30):
                made[net.interface()] = (account, region)
            last = list(made)[-1]
            made[last] = (*made[last], net.address(last))
        found = {one["resourceId"]: one for one in self.select() if one["resourceId"] in made}
        self.assertEqual({name: (one["accountId"], one["awsRegion"]) for name, one in found.items()},
                         {name: place[:2] for name, place in made.items()})
        public = {name: place[2] for name, place in made.items() if len(place) > 2}
        self.assertEqual({name: one["configuration"]["association"]["publicIp"] for name, one in found.items() if "configuration" in one}, public)
        self.assertGreaterEqual({one["resourceId"] for one in self.select(MaxResults=100)}, set(made))
        only = self.select(f"{QUERY} AND accountId = '{here.two}' AND configuration.association.publicIp LIKE '%'")
        self.assertEqual([one["resourceId"] for one in only if one["resourceId"] in made], [list(public)[1]])
        self.assertEqual(self.select(QUERY.replace(TYPE, "AWS::EC2::Volume")), [])
        lost, some = list(made)[0], list(made)[-1]
        here.control("POST", "/recorder", {"missing": [lost, f"{here.two}/{OTHER_REGION}"]})
        found = {one["resourceId"] for one in self.select(MaxResults=100)}
        self.assertEqual((lost in found, some in found, list(made)[1] in found), (False, False, True))
        pages = self.config.get_paginator("describe_configuration_aggregator_sources_status").paginate(
            ConfigurationAggregatorName="organization", UpdateStatus=["FAILED"])
        failed = [(one["SourceId"], one["AwsRegion"]) for page in pages for one in page["AggregatedSourceStatusList"]]
        self.assertEqual(failed, [(here.two, OTHER_REGION)])

    def test_what_is_refused(self):
        for wrong in ("SELECT", "DELETE everything", f"{QUERY} OR 1"):
            self.refused("InvalidExpressionException", self.select, wrong)
        self.refused("NoSuchConfigurationAggregatorException", self.config.select_aggregate_resource_config, Expression=QUERY,
                     ConfigurationAggregatorName="nobody")
        member = here.client("config", here.one)
        source = {"RoleArn": f"arn:aws:iam::{here.one}:role/config", "AllAwsRegions": True}
        self.refused("OrganizationAccessDeniedException", member.put_configuration_aggregator, ConfigurationAggregatorName="mine",
                     OrganizationAggregationSource=source)
        here.organizations.enable_aws_service_access(ServicePrincipal="config.amazonaws.com")
        here.organizations.register_delegated_administrator(AccountId=here.one, ServicePrincipal="config.amazonaws.com")
        member.put_configuration_aggregator(ConfigurationAggregatorName="mine", OrganizationAggregationSource=source)
        named = [one["ConfigurationAggregatorName"] for one in member.describe_configuration_aggregators()["ConfigurationAggregators"]]
        self.assertEqual(named, ["mine"])


class DevOpsGuru(Case):
    SERVICE = "devops-guru.amazonaws.com"

    def setUp(self):
        self.addCleanup(here.control, "DELETE", "/insights")
        self.addCleanup(here.organizations.disable_aws_service_access, ServicePrincipal=self.SERVICE)
        here.organizations.enable_aws_service_access(ServicePrincipal=self.SERVICE)
        here.organizations.register_delegated_administrator(AccountId=here.admin, ServicePrincipal=self.SERVICE)
        self.addCleanup(here.organizations.deregister_delegated_administrator, AccountId=here.admin, ServicePrincipal=self.SERVICE)
        self.client = here.client("devops-guru", here.admin)

    def test_coverage_is_of_an_account_and_region(self):
        client = here.client("devops-guru", here.one)
        self.refused("ResourceNotFoundException", client.get_resource_collection, ResourceCollectionType="AWS_CLOUD_FORMATION")

        def update(action, client=client, **collection):
            client.update_resource_collection(Action=action, ResourceCollection=collection)

        def stacks(client=client):
            return client.get_resource_collection(ResourceCollectionType="AWS_CLOUD_FORMATION")["ResourceCollection"]["CloudFormation"]["StackNames"]

        update("ADD", CloudFormation={"StackNames": ["web", "api"]})
        self.assertEqual(stacks(), ["web", "api"])
        update("ADD", CloudFormation={"StackNames": ["*"]})
        self.assertEqual(stacks(), ["*"])
        elsewhere = here.client("devops-guru", here.one, OTHER_REGION)
        self.refused("ResourceNotFoundException", elsewhere.get_resource_collection, ResourceCollectionType="AWS_CLOUD_FORMATION")
        update("ADD", Tags=[{"AppBoundaryKey": "DevOps-Guru-team", "TagValues": ["*"]}])
        found = client.get_resource_collection(ResourceCollectionType="AWS_TAGS")["ResourceCollection"]["Tags"]
        self.assertEqual(found, [{"AppBoundaryKey": "DevOps-Guru-team", "TagValues": ["*"]}])
        self.refused("ResourceNotFoundException", client.get_resource_collection, ResourceCollectionType="AWS_CLOUD_FORMATION")
        update("REMOVE", Tags=[{"AppBoundaryKey": "DevOps-Guru-team", "TagValues": ["*"]}])
        self.refused("ResourceNotFoundException", client.get_resource_collection, ResourceCollectionType="AWS_TAGS")
        self.refused("ValidationException", client.update_resource_collection, Action="ADD", ResourceCollection={})
        self.refused("ValidationException", update, "ADD", Tags=[{"AppBoundaryKey": "team", "TagValues": ["*"]}])

    def open(self, **more):
        answer = here.control("POST", "/insights", {"open": [
            {"account": here.one, "region": REGION, "name": "latency", "severity": "HIGH", **more}]})
        return answer["insights"][-1]["id"]

    def listed(self, client=None, kind="REACTIVE", **query):
        query.setdefault("StatusFilter", {"Ongoing": {"Type": kind}})
        answer = (client or self.client).list_organization_insights(**query)
        return [one["Id"] for one in answer.get(f"{kind.title()}Insights", [])]

    def test_insights_are_opened_and_closed_by_a_test(self):
        first = self.open()
        second = self.open(account=here.two, type="PROACTIVE", severity="LOW")
        third = self.open(region=OTHER_REGION)
        self.assertEqual(self.listed(), [first])
        self.assertEqual(self.listed(kind="PROACTIVE"), [second])
        self.assertEqual(self.listed(here.client("devops-guru", here.admin, OTHER_REGION)), [third])
        self.assertEqual(self.listed(AccountIds=[here.two]), [])
        self.assertEqual(self.listed(OrganizationalUnitIds=[here.root]), [first])
        shown = self.client.list_organization_insights(StatusFilter={"Ongoing": {"Type": "REACTIVE"}})["ReactiveInsights"][0]
        self.assertEqual((shown["AccountId"], shown["Severity"], shown["Name"]), (here.one, "HIGH", "latency"))
        health = self.client.describe_organization_health()
        self.assertEqual((health["OpenReactiveInsights"], health["OpenProactiveInsights"]), (1, 1))
        overview = self.client.describe_organization_overview(FromTime=time.time() - 60)
        self.assertEqual((overview["ReactiveInsights"], overview["ProactiveInsights"]), (1, 1))
        here.control("POST", "/insights", {"close": [first]})
        self.assertEqual(self.listed(), [])
        since = {"FromTime": time.time() - 60}
        self.assertEqual(self.listed(StatusFilter={"Closed": {"Type": "REACTIVE", "EndTimeRange": since}}), [first])
        self.assertEqual(self.listed(StatusFilter={"Any": {"Type": "REACTIVE", "StartTimeRange": since}}), [first])
        self.assertEqual(self.client.describe_insight(Id=first, AccountId=here.one)["ReactiveInsight"]["Status"], "CLOSED")
        self.refused("ResourceNotFoundException", self.client.describe_insight, Id="other")

    def test_only_insights_since_the_registration_are_seen(self):
        self.open(start=time.time() - 3600)
        self.assertEqual(self.listed(), [])

    def test_what_is_refused(self):
        member = here.client("devops-guru", here.two)
        ongoing = {"Ongoing": {"Type": "REACTIVE"}}
        self.refused("AccessDeniedException", member.list_organization_insights, StatusFilter=ongoing)
        self.refused("AccessDeniedException", member.describe_organization_health)
        self.refused("ValidationException", self.client.list_organization_insights, StatusFilter={})
        self.refused("ValidationException", self.client.list_organization_insights, StatusFilter=ongoing, AccountIds=[here.one, here.two])
        self.refused("ValidationException", self.client.describe_organization_health, AccountIds=[here.one] * 6)
        self.refused("ValidationException", self.client.list_organization_insights, StatusFilter=ongoing, MaxResults=101)


if __name__ == "__main__":
    unittest.main()
