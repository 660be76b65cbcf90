"""What faces the internet in the example organization: posture_estate.py seed | list | start ACCOUNT#REGION ...

`seed` makes resources in some member accounts, by ordinary clients of each account: instances with a public address, IPv6 with and
without a way in, a NAT gateway, load balancers, idle addresses, a public database and a function URL. `list` prints what is exposed in
every account and Region, as a plain script finds it: the flow test compares that with what orgkeeper says. `start` starts an instance with
a public address in each of these places, and prints the addresses. ORGKEEPER_INSTANCE names the local cloud.
"""

import io
import json
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import account_settings
import cloud
import organization

ANYWHERE, ANYWHERE_V6 = "0.0.0.0/0", "::/0"
# In which accounts and Regions something is made, and what.
ESTATE = {
    ("webshop-prod", "us-east-1"): ("public", "load_balancer", "idle_address"),
    ("webshop-prod", "eu-central-1"): ("public",),
    ("webshop-dev", "eu-central-1"): ("public", "database"),
    ("payments-api-prod", "us-east-1"): ("ipv6", "nat"),
    ("payments-api-prod", "ap-southeast-1"): ("egress_only", "idle_address"),
    ("network", "eu-west-1"): ("nat", "load_balancer"),
    ("shared-services", "us-west-2"): ("function_url",),
    ("kundenportal-prod", "us-east-1"): ("private",),
}


def main():
    """Makes the estate, lists it, or adds to it."""
    commands = {"seed": seed, "list": listing, "start": start}
    if len(sys.argv) < 2 or sys.argv[1] not in commands or (sys.argv[1] == "start") == (len(sys.argv) == 2):
        sys.exit("usage: posture_estate.py seed | list | start ACCOUNT#REGION ...")
    ids = cloud.read(cloud.this_cloud().state / "organization.json")["accounts"]
    print(json.dumps(commands[sys.argv[1]](ids, *sys.argv[2:]), indent=1))


# ---------------------------------------------------------------- making


def seed(ids):
    """Makes everything of ESTATE; returns the accounts and Regions."""
    for (name, region), parts in ESTATE.items():
        place = Place(ids[name], region)
        for part in parts:
            getattr(place, part)()
    return [[ids[name], region] for name, region in ESTATE]


def start(_ids, *places):
    """Starts an instance in each place; returns its public address and when it was started, by place."""
    started = {}
    for place in places:
        began = datetime.now(UTC).isoformat()
        started[place] = [Place(*place.split("#")).public(), began]
    return started


class Place:
    """An account in a Region, in which things are made."""

    def __init__(self, account, region):
        self.client = lambda service: account_settings.Account(account).client(service, region)
        self.ec2, self.region = self.client("ec2"), region
        images = self.ec2.describe_images(Owners=["amazon"])["Images"]
        self.image = images[0]["ImageId"] if images else "ami-12c6146b"
        self.networks = 0

    def network(self, ipv6=False):
        """A VPC with two subnets, and its route table."""
        self.networks += 1
        block = f"10.{20 + self.networks}"
        vpc = self.ec2.create_vpc(CidrBlock=f"{block}.0.0/16", AmazonProvidedIpv6CidrBlock=ipv6)["Vpc"]
        routes = self.ec2.create_route_table(VpcId=vpc["VpcId"])["RouteTable"]["RouteTableId"]
        subnets = []
        for number, zone in enumerate("ab"):
            given = {}
            if ipv6:
                range_of_vpc = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
                given = {"Ipv6CidrBlock": range_of_vpc.replace("00::/56", f"0{number}::/64")}
            subnet = self.ec2.create_subnet(
                VpcId=vpc["VpcId"], CidrBlock=f"{block}.{number}.0/24", AvailabilityZone=self.region + zone, **given)
            subnets.append(subnet["Subnet"]["SubnetId"])
            self.ec2.associate_route_table(RouteTableId=routes, SubnetId=subnets[-1])
        return vpc["VpcId"], subnets, routes

    def gateway(self, vpc):
        """An internet gateway of a VPC."""
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        return gateway

    def group(self, vpc, port):
        """A security group that lets everybody in at one port."""
        made = self.ec2.create_security_group(GroupName=f"open-{port}", Description="open", VpcId=vpc)["GroupId"]
        self.ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": ANYWHERE}],
             "Ipv6Ranges": [{"CidrIpv6": ANYWHERE_V6}]}])
        return made

    def instance(self, subnet, group, **of_interface):
        """An instance with one interface; returns its public address."""
        interface = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], **of_interface}
        started = self.ec2.run_instances(ImageId=self.image, MinCount=1, MaxCount=1, NetworkInterfaces=[interface])
        found = self.ec2.describe_instances(InstanceIds=[started["Instances"][0]["InstanceId"]])
        return found["Reservations"][0]["Instances"][0].get("PublicIpAddress")

    def public_network(self):
        """A VPC whose subnets route to an internet gateway."""
        vpc, subnets, routes = self.network()
        self.ec2.create_route(RouteTableId=routes, DestinationCidrBlock=ANYWHERE, GatewayId=self.gateway(vpc))
        return vpc, subnets

    def public(self):
        """An instance without a public address, and one with such an address that SSH reaches, which is returned."""
        vpc, subnets = self.public_network()
        group = self.group(vpc, 22)
        self.instance(subnets[0], group, AssociatePublicIpAddress=False)
        return self.instance(subnets[0], group, AssociatePublicIpAddress=True)

    def private(self):
        """An instance that nobody outside reaches."""
        vpc, subnets, _routes = self.network()
        self.instance(subnets[0], self.group(vpc, 22), AssociatePublicIpAddress=False)

    def ipv6(self):
        """An interface with an IPv6 address and a way in."""
        vpc, subnets, routes = self.network(ipv6=True)
        self.ec2.create_route(RouteTableId=routes, DestinationIpv6CidrBlock=ANYWHERE_V6, GatewayId=self.gateway(vpc))
        self.ec2.create_network_interface(SubnetId=subnets[0], Groups=[self.group(vpc, 443)], Ipv6AddressCount=1)

    def egress_only(self):
        """An interface with an IPv6 address, and a gateway that lets nobody in."""
        vpc, subnets, routes = self.network(ipv6=True)
        gateway = self.ec2.create_egress_only_internet_gateway(VpcId=vpc)["EgressOnlyInternetGateway"]
        self.ec2.create_route(
            RouteTableId=routes, DestinationIpv6CidrBlock=ANYWHERE_V6,
            EgressOnlyInternetGatewayId=gateway["EgressOnlyInternetGatewayId"])
        self.ec2.create_network_interface(SubnetId=subnets[0], Groups=[self.group(vpc, 443)], Ipv6AddressCount=1)

    def nat(self):
        """A NAT gateway with a public address."""
        _vpc, subnets = self.public_network()
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        self.ec2.create_nat_gateway(SubnetId=subnets[0], AllocationId=address)

    def idle_address(self):
        """An address that nothing uses."""
        self.ec2.allocate_address(Domain="vpc")

    def load_balancer(self):
        """Two load balancers: one for everybody, and one for inside. An instance beside them, as there always is."""
        vpc, subnets = self.public_network()
        group = self.group(vpc, 443)
        self.instance(subnets[0], group, AssociatePublicIpAddress=False)
        balancers = self.client("elbv2")
        for name, scheme in (("shop", "internet-facing"), ("inside", "internal")):
            balancers.create_load_balancer(Name=name, Subnets=subnets, SecurityGroups=[group], Scheme=scheme)

    def database(self):
        """A database with public access."""
        self.client("rds").create_db_instance(
            DBInstanceIdentifier="orders", Engine="mysql", DBInstanceClass="db.t3.micro", AllocatedStorage=20,
            MasterUsername="admin", MasterUserPassword="only-a-test", PubliclyAccessible=True)

    def function_url(self):
        """A function that everybody can call by its URL."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as files:
            files.writestr("index.py", "def handler(event, context):\n    return 'hello'\n")
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
        role = self.client("iam").create_role(RoleName="hello", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        functions = self.client("lambda")
        functions.create_function(
            FunctionName="hello", Runtime="python3.13", Handler="index.handler", Code={"ZipFile": archive.getvalue()},
            Role=role)
        functions.create_function_url_config(FunctionName="hello", AuthType="NONE")


# ---------------------------------------------------------------- listing


def listing(ids):
    """What is exposed, as sorted rows: account, Region, kind, address or name."""
    closed = {account.name for account in organization.ACCOUNTS if account.closed}
    accounts = [cloud.MANAGEMENT_ACCOUNT, *(id_ for name, id_ in ids.items() if name not in closed)]
    places = [(account, region) for account in accounts for region in account_settings.Account(account).regions()]
    with ThreadPoolExecutor(8) as threads:
        rows = threads.map(lambda place: exposed(*place), places)
    return sorted([account, region, *row] for (account, region), found in zip(places, rows) for row in found)


def exposed(account, region):
    """The kind and address or name of all that is exposed in one account and Region."""

    def client(service):
        return account_settings.Account(account).client(service, region)

    ec2 = client("ec2")
    interfaces = ec2.describe_network_interfaces()["NetworkInterfaces"]
    tables = ec2.describe_route_tables()["RouteTables"]
    subnets = ec2.describe_subnets()["Subnets"]
    ways = {
        subnet["SubnetId"]: {family for family in ("v4", "v6") if leads_out(table_of(subnet, tables), family)} for subnet in subnets}
    rows, in_use = [], set()
    for one in interfaces:
        addresses = {private["Association"]["PublicIp"] for private in one["PrivateIpAddresses"] if "Association" in private}
        addresses |= {one["Association"]["PublicIp"]} if "Association" in one else set()
        kind = "nat-gateway" if one["InterfaceType"] in ("natGateway", "nat_gateway") else "interface"
        kind = "instance" if one.get("Attachment", {}).get("InstanceId") else kind
        # A load balancer has its row by its name.
        rows += [(kind, address) for address in addresses if not one["Description"].startswith("ELB ")]
        if "v6" in ways.get(one["SubnetId"], ()):
            rows += [("ipv6", address["Ipv6Address"]) for address in one["Ipv6Addresses"]]
            addresses |= {address["Ipv6Address"] for address in one["Ipv6Addresses"]}
        if addresses:
            in_use.add(one["SubnetId"])
    # Where nothing has an interface, a subnet exposes nothing yet, and nobody looks.
    if interfaces:
        rows += [("route", f"{destination} {target}") for table in tables for destination, target in ways_out(table)]
        rows += [("public-subnet", subnet["CidrBlock"]) for subnet in subnets
                 if ways[subnet["SubnetId"]] and subnet["SubnetId"] not in in_use]
    rows += [("idle-address", address["PublicIp"]) for address in ec2.describe_addresses()["Addresses"]
             if not address.get("AssociationId") and not address.get("InstanceId")]
    rows += [("load-balancer", one["DNSName"]) for one in client("elbv2").describe_load_balancers()["LoadBalancers"]
             if one["Scheme"] == "internet-facing"]
    rows += [("database", one["Endpoint"]["Address"]) for one in client("rds").describe_db_instances()["DBInstances"]
             if one["PubliclyAccessible"]]
    functions = client("lambda")
    for function in functions.list_functions()["Functions"]:
        urls = functions.list_function_url_configs(FunctionName=function["FunctionName"])["FunctionUrlConfigs"]
        rows += [("function-url", url["FunctionUrl"]) for url in urls if url["AuthType"] == "NONE"]
    return rows


def table_of(subnet, tables):
    """The route table of a subnet: its own, or the main one of its VPC."""
    def has(table, **wanted):
        return any(wanted.items() <= association.items() for association in table["Associations"])

    own = [table for table in tables if has(table, SubnetId=subnet["SubnetId"])]
    main = [table for table in tables if table["VpcId"] == subnet["VpcId"] and has(table, Main=True)]
    return (own or main or [{"Routes": []}])[0]


def ways_out(table):
    """The routes of a table that leave for the internet: destination and target."""
    targets = ("GatewayId", "NatGatewayId", "EgressOnlyInternetGatewayId")
    for route in table["Routes"]:
        destination = route.get("DestinationCidrBlock") or route.get("DestinationIpv6CidrBlock")
        target = next((route[name] for name in targets if route.get(name)), "local")
        if destination in (ANYWHERE, ANYWHERE_V6) and target != "local":
            yield destination, target


def leads_out(table, family):
    """Whether a route leads everything of a family to an internet gateway."""
    key, everything = {"v4": ("DestinationCidrBlock", ANYWHERE), "v6": ("DestinationIpv6CidrBlock", ANYWHERE_V6)}[family]
    return any(route.get(key) == everything and route.get("GatewayId", "").startswith("igw-") for route in table["Routes"])


if __name__ == "__main__":
    main()
