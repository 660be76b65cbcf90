"""What moto's EC2 and load balancers answer differently from AWS, where a survey of networks sees it."""

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import amis, ec2_backends, elastic_network_interfaces, nat_gateways, route_tables, subnets
from moto.ec2.responses.availability_zones_and_regions import AvailabilityZonesAndRegions
from moto.ec2.responses.egress_only_internet_gateways import EgressOnlyInternetGateway
from moto.ec2.responses.elastic_network_interfaces import ElasticNetworkInterfaces
from moto.ec2.responses.internet_gateways import InternetGateways
from moto.ec2.responses.route_tables import RouteTables
from moto.ec2.responses.security_groups import SecurityGroups
from moto.ec2.responses.settings import Settings
from moto.ec2.responses.subnets import Subnets
from moto.ec2.utils import random_public_ip
from moto.elb.models import ELBBackend
from moto.elbv2.models import ELBv2Backend
from moto.core.responses import ActionResult

import moto_organization
import moto_settings
from posture import wire

# Operations with pages: class, method, list of the answer, least and most of MaxResults.
PAGED = (
    (ElasticNetworkInterfaces, "describe_network_interfaces", "NetworkInterfaces", 5, 1000),
    (RouteTables, "describe_route_tables", "RouteTables", 5, 100),
    (Subnets, "describe_subnets", "Subnets", 5, 1000),
    (SecurityGroups, "describe_security_groups", "SecurityGroups", 5, 1000),
    (InternetGateways, "describe_internet_gateways", "InternetGateways", 5, 1000),
    (EgressOnlyInternetGateway, "describe_egress_only_internet_gateways", "EgressOnlyInternetGateways", 5, 255),
)
BALANCER, NAT = "amazon-elb", "AIDANATGATEWAY"
MODES = ("off", "block-bidirectional", "block-ingress")
IMAGES = 3
ARN_PARTS = {"network": "net", "gateway": "gwy"}
OPT_IN = {True: "opted-in", False: "not-opted-in"}

# By account and Region.
block_modes, exclusions = {}, {}


def correct():
    """Applies all patches of this file."""
    for responses, method, member, least, most in PAGED:
        setattr(responses, method, in_pages(getattr(responses, method), member, least, most))
    filter_interfaces()
    mark_interfaces_of_nat_gateways()
    have_interfaces_of_load_balancers()
    lose_routes()
    list_regions_of_account()
    block_public_access()
    load_few_images()


def in_pages(describe, member, least, most):
    """AWS returns pages of the asked size, if a size is asked.

    moto returns everything at once. The patch cuts its answer.
    """

    def describe_page(self):
        size, token = self._get_param("MaxResults"), self._get_param("NextToken")
        answer = describe(self)
        if size is None and token is None:
            return answer
        size = int(size or most)
        if not least <= size <= most:
            raise EC2ClientError(
                "InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value from {least} to {most}.")
        try:
            wire.read_token(token)
        except ValueError:
            raise EC2ClientError("InvalidParameterValue", "Invalid value for nextToken.") from None
        call = wire.Call("ec2", "", "", "", {"MaxResults": size, "NextToken": token})
        return ActionResult({**answer.result, **call.page(answer.result[member], member)})

    return describe_page


def filter_interfaces():
    """AWS filters network interfaces by their public addresses and their kind.

    moto fails on these filters. The patch adds those of a survey.
    """
    interface = elastic_network_interfaces.NetworkInterface
    known = interface.get_filter_value

    def get_filter_value(self, name, method_name=None):
        if name in ("association.public-ip", "addresses.association.public-ip"):
            return self.public_ip
        if name == "association.allocation-id":
            return self.association.get("allocationId")
        if name in ("interface-type", "status", "requester-id", "owner-id", "mac-address"):
            return getattr(self, name.replace("-", "_"))
        if name == "requester-managed":
            return str(self.requester_managed).lower()
        if name == "ipv6-addresses.ipv6-address":
            return self.ipv6_addresses
        if name == "group-name":
            return [group.name for group in self._group_set]
        return known(self, name, method_name)

    interface.get_filter_value = get_filter_value


def mark_interfaces_of_nat_gateways():
    """On AWS the interface of a NAT gateway has its type and its name, and belongs to a requester.

    moto makes a plain interface. The patch marks it, and deletes it with the gateway.
    """
    create, delete = nat_gateways.NatGateway.__init__, nat_gateways.NatGatewayBackend.delete_nat_gateway

    def create_and_mark(self, *given, **more):
        create(self, *given, **more)
        managed(self._eni, "nat_gateway", NAT, f"Interface for NAT Gateway {self.id}")

    def delete_with_interface(self, nat_gateway_id):
        interface = self.nat_gateways[nat_gateway_id]._eni if nat_gateway_id in self.nat_gateways else None
        answer = delete(self, nat_gateway_id)
        if interface:
            remove(self, interface)
        return answer

    nat_gateways.NatGateway.__init__ = create_and_mark
    nat_gateways.NatGatewayBackend.delete_nat_gateway = delete_with_interface


def managed(interface, kind, requester, description):
    """Marks an interface that a service of AWS has made."""
    interface.interface_type, interface.requester_id, interface.description = kind, requester, description
    interface.requester_managed, interface.status = True, "in-use"


def remove(backend, interface):
    """Deletes an interface, and lets its Elastic IP go."""
    for address in backend.addresses:
        if address.eni is interface:
            address.eni = None
            address.association_id = None
    backend.enis.pop(interface.id, None)


def have_interfaces_of_load_balancers():
    """On AWS a load balancer has an interface in each of its subnets, with a public address if it faces the internet, and is
    active soon.

    moto has no interfaces, leaves it in the state provisioning, and does not say whether it writes access logs. The patch adds these.
    """
    for backend, described in ((ELBv2Backend, describe_modern), (ELBBackend, describe_classic)):
        with_interfaces(backend, described)


def describe_modern(backend, balancer):
    """Kind, description, subnets, groups and scheme of an application, network or gateway load balancer; its ARN names its type."""
    balancer.state, plain = "active", balancer.arn
    balancer.attrs.setdefault("access_logs.s3.enabled", "false")
    balancer.arn = plain.replace(":loadbalancer/app/", f":loadbalancer/{ARN_PARTS.get(balancer.type, 'app')}/")
    backend.load_balancers[balancer.arn] = backend.load_balancers.pop(plain)
    backend.tagging_service.tag_resource(balancer.arn, backend.tagging_service.list_tags_for_resource(plain)["Tags"])
    kinds = {"network": "network_load_balancer", "gateway": "gateway_load_balancer"}
    groups = balancer.security_groups or []
    return (kinds.get(balancer.type, "interface"), f"ELB {balancer.arn.partition(':loadbalancer/')[2]}",
            [subnet.id for subnet in balancer.subnets], groups, balancer.scheme)


def describe_classic(_backend, balancer):
    """The same of a classic load balancer."""
    return "interface", f"ELB {balancer.name}", balancer.subnets or [], balancer.security_groups or [], balancer.scheme


def with_interfaces(backend, described):
    """Makes the interfaces of a kind of load balancers, and deletes them with it."""
    create, delete = backend.create_load_balancer, backend.delete_load_balancer

    def create_with_interfaces(self, *given, **more):
        balancer = create(self, *given, **more)
        kind, description, places, groups, scheme = described(self, balancer)
        network = ec2_backends[self.account_id][self.region_name]
        balancer.interfaces = []
        for subnet in places:
            interface = network.create_network_interface(network.get_subnet(subnet), [], group_ids=groups)
            managed(interface, kind, BALANCER, description)
            if scheme == "internet-facing":
                interface.public_ip = random_public_ip()
            balancer.interfaces.append(interface)
        return balancer

    def delete_with_interfaces(self, named):
        found = [one for one in self.load_balancers.values() if named in (getattr(one, "arn", None), one.name)]
        answer = delete(self, named)
        for balancer in found:
            for interface in getattr(balancer, "interfaces", []):
                remove(ec2_backends[self.account_id][self.region_name], interface)
        return answer

    backend.create_load_balancer, backend.delete_load_balancer = create_with_interfaces, delete_with_interfaces


def lose_routes():
    """On AWS a route is a black hole while its gateway is detached or deleted.

    moto's routes are active for ever. The patch looks.
    """

    def state(self):
        if self.nat_gateway is not None and self.nat_gateway.state != "available":
            return "blackhole"
        if self.gateway is not None and self.gateway.id.startswith("igw-"):
            known = self.route_table.ec2_backend.internet_gateways.get(self.gateway.id)
            return "active" if known is not None and known.vpc else "blackhole"
        return "active"

    route_tables.Route.state = property(state)


def list_regions_of_account():
    """AWS lists the Regions of the account with their states: those that it has, and all with AllRegions.

    moto lists its own, the same for each account. The patch lists what Account Management says.
    """

    def describe_regions(self):
        self.error_on_dryrun()
        named, filters = self._get_param("RegionNames", []), self._filters_from_querystring()
        every = str(self._get_param("AllRegions", False)).lower() == "true"
        known = moto_settings.DEFAULT_REGIONS + moto_settings.OPT_IN_REGIONS
        unknown = [one for one in named if one not in known]
        if unknown:
            raise EC2ClientError("InvalidParameterValue", f"Invalid region(s): {', '.join(unknown)}")
        found = []
        for region in sorted(named or known):
            on = moto_settings.is_on(self.current_account, region)
            status = "opt-in-not-required" if region in moto_settings.DEFAULT_REGIONS else OPT_IN[on]
            shown = {"RegionName": region, "Endpoint": f"ec2.{region}.amazonaws.com", "OptInStatus": status}
            by_filter = {"opt-in-status": status, "region-name": region, "endpoint": shown["Endpoint"]}
            if (on or every or named) and all(by_filter.get(name) in values for name, values in filters.items()):
                found.append(shown)
        return ActionResult({"Regions": found})

    AvailabilityZonesAndRegions.describe_regions = describe_regions


def load_few_images():
    """AWS has public images.

    moto loads a thousand of them, with their snapshots, for each account and Region: 70 ms and 5 MB, with 221 pairs of both. The patch
    loads three.
    """

    def load(self):
        for image in amis.AMIS[:IMAGES]:
            if isinstance(image.get("creation_date"), str):
                image["creation_date"] = amis.parse_timestamp(image["creation_date"])
            self.amis[image["ami_id"]] = amis.Ami(self, **{**image, "owner_alias": "amazon"})

    amis.AmiBackend._load_amis = load


# ---------------------------------------------------------------- VPC Block Public Access


def block_public_access():
    """AWS can block public access to all VPCs of an account and Region, with exclusions; a declarative policy can, too.

    moto knows no such calls. The patch adds them, and the states of subnets.
    """
    Settings.describe_vpc_block_public_access_options = describe_options
    Settings.modify_vpc_block_public_access_options = modify_options
    Settings.describe_vpc_block_public_access_exclusions = describe_exclusions
    Settings.create_vpc_block_public_access_exclusion = create_exclusion
    Settings.delete_vpc_block_public_access_exclusion = delete_exclusion
    subnets.Subnet.block_public_access_states = property(
        lambda subnet: {"InternetGatewayBlockMode": mode_of_subnet(subnet)})


def declared_mode(account):
    """The mode that a policy of the organization sets; None if none does."""
    node = moto_organization.of_account(account, moto_settings.EC2_POLICY)
    for name in ("vpc_block_public_access", "internet_gateway_block", "mode"):
        node = node.get(name, {}) if isinstance(node, dict) else {}
    return node.replace("_", "-") if isinstance(node, str) else None


def mode_of(account, region):
    """The mode in an account and Region, and who has set it."""
    declared = declared_mode(account)
    return (declared, "declarative-policy") if declared else (block_modes.get((account, region), "off"), "account")


def mode_of_subnet(subnet):
    """The mode of a subnet: off if it or its VPC is excluded from both directions."""
    account, region = subnet.ec2_backend.account_id, subnet.ec2_backend.region_name
    mode, _ = mode_of(account, region)
    excluded = [one for one in exclusions.get((account, region), {}).values()
                if one["ResourceArn"].rpartition("/")[2] in (subnet.id, subnet.vpc_id)]
    if any(one["InternetGatewayExclusionMode"] == "allow-bidirectional" for one in excluded):
        return "off"
    return "block-ingress" if excluded and mode != "off" else mode


def options(response):
    """The options as EC2 shows them."""
    mode, owner = mode_of(response.current_account, response.region)
    return ActionResult({"VpcBlockPublicAccessOptions": {
        "AwsAccountId": response.current_account, "AwsRegion": response.region,
        "State": "update-complete" if mode != "off" else "default-state",
        "InternetGatewayBlockMode": mode, "ManagedBy": owner, "ExclusionsAllowed": "allowed", "Reason": ""}})


def describe_options(self):
    """DescribeVpcBlockPublicAccessOptions."""
    self.error_on_dryrun()
    return options(self)


def modify_options(self):
    """ModifyVpcBlockPublicAccessOptions."""
    self.error_on_dryrun()
    mode = self._get_param("InternetGatewayBlockMode")
    if mode not in MODES:
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{mode}' for InternetGatewayBlockMode.")
    moto_settings.refuse_declared(self.current_account, declared_mode(self.current_account))
    block_modes[self.current_account, self.region] = mode
    return options(self)


def describe_exclusions(self):
    """DescribeVpcBlockPublicAccessExclusions."""
    self.error_on_dryrun()
    found = exclusions.get((self.current_account, self.region), {})
    wanted = self._get_param("ExclusionIds", [])
    return ActionResult({"VpcBlockPublicAccessExclusions": [one for name, one in found.items() if not wanted or name in wanted]})


def create_exclusion(self):
    """CreateVpcBlockPublicAccessExclusion, of a VPC or a subnet."""
    self.error_on_dryrun()
    vpc, subnet, mode = (self._get_param(name) for name in ("VpcId", "SubnetId", "InternetGatewayExclusionMode"))
    if bool(vpc) == bool(subnet) or mode not in ("allow-bidirectional", "allow-egress"):
        raise EC2ClientError("InvalidParameterCombination", "An exclusion is of a VPC or of a subnet.")
    kind, resource = ("vpc", vpc) if vpc else ("subnet", subnet)
    found = exclusions.setdefault((self.current_account, self.region), {})
    name = f"vpcbpa-exclude-{len(found) + 1:017x}"
    found[name] = {
        "ExclusionId": name, "InternetGatewayExclusionMode": mode, "State": "create-complete", "Reason": "",
        "ResourceArn": f"arn:aws:ec2:{self.region}:{self.current_account}:{kind}/{resource}"}
    return ActionResult({"VpcBlockPublicAccessExclusion": found[name]})


def delete_exclusion(self):
    """DeleteVpcBlockPublicAccessExclusion."""
    self.error_on_dryrun()
    found, name = exclusions.get((self.current_account, self.region), {}), self._get_param("ExclusionId")
    if name not in found:
        raise EC2ClientError("InvalidVpcBlockPublicAccessExclusionId.NotFound", f"The exclusion '{name}' does not exist.")
    return ActionResult({"VpcBlockPublicAccessExclusion": {**found.pop(name), "State": "delete-complete"}})
