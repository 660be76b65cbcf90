"""A member account in which everything is wrong that CIS looks for, made by ordinary clients of the account's root user.

`cis.py` calls it; each function makes the violations of one service.
"""

import datetime
import io
import json
import urllib.request
import zipfile
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

REGION = "us-east-1"
ANYWHERE = "0.0.0.0/0"
PASSWORD = "Only-a-test-1"
# Days since the user's credentials were created, and since they were used.
CREATED_DAYS, USED_DAYS = 200, 100


def seed(here, account):
    """Makes every violation in the account."""

    def client(service):
        return here.client(service, account)

    vpc = network(client("ec2"))
    machines(client("ec2"), vpc)
    databases(client("rds"), vpc)
    buckets_and_trail(client("s3"), client("cloudtrail"), account)
    users(here, client("iam"), account)
    root_credentials(here, account)
    public_policies(client, account)
    without_logs(client, vpc)
    client("efs").create_file_system(CreationToken="cis", Encrypted=False)


# ---------------------------------------------------------------- network and machines


def network(ec2):
    """A VPC with public subnets, open security groups, and a peering whose route is too wide; returns its ids."""
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    routes = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=routes, DestinationCidrBlock=ANYWHERE, GatewayId=gateway)
    subnets = []
    for zone, block in (("a", "10.20.1.0/24"), ("b", "10.20.2.0/24")):
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=REGION + zone)["Subnet"]["SubnetId"]
        ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
        ec2.associate_route_table(RouteTableId=routes, SubnetId=subnet)
        subnets.append(subnet)
    peer = ec2.create_vpc(CidrBlock="10.30.0.0/16")["Vpc"]["VpcId"]
    peering = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=peer)["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    ec2.create_route(RouteTableId=routes, DestinationCidrBlock="10.30.0.0/16", VpcPeeringConnectionId=peering)
    return {
        "vpc": vpc,
        "subnets": subnets,
        # A public address that reaches ports nobody else needs.
        "ssh": group(ec2, vpc, "ssh", "tcp", 22),
        "rdp": group(ec2, vpc, "rdp", "tcp", 3389),
        "database": group(ec2, vpc, "database", "tcp", 3306),
        "everything": group(ec2, vpc, "everything", "-1", None),
    }


def group(ec2, vpc, name, protocol, port):
    """A security group with one open rule, beside one that is restricted."""
    made = ec2.create_security_group(GroupName=name, Description=f"CIS: {name}", VpcId=vpc)["GroupId"]
    ports = {} if port is None else {"FromPort": port, "ToPort": port}
    ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[
        {"IpProtocol": protocol, **ports, "IpRanges": [{"CidrIp": ANYWHERE}, {"CidrIp": "198.51.100.0/24"}]}])
    return made


def machines(ec2, vpc):
    """An instance with the first version of the metadata service and no profile, and an unencrypted volume."""
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.micro", SubnetId=vpc["subnets"][0],
        SecurityGroupIds=[vpc["everything"]], MetadataOptions={"HttpTokens": "optional", "HttpEndpoint": "enabled"})
    ec2.create_volume(Size=1, AvailabilityZone=f"{REGION}a", Encrypted=False)
    ec2.disable_ebs_encryption_by_default()


def databases(rds, vpc):
    """A public database in a public subnet, and a cluster of one instance."""
    rds.create_db_subnet_group(
        DBSubnetGroupName="public", DBSubnetGroupDescription="CIS: public subnets", SubnetIds=vpc["subnets"])
    rds.create_db_instance(
        DBInstanceIdentifier="orders", DBInstanceClass="db.t3.micro", Engine="mysql", AllocatedStorage=20,
        MasterUsername="admin", MasterUserPassword=PASSWORD, PubliclyAccessible=True, AutoMinorVersionUpgrade=False,
        MultiAZ=False, StorageEncrypted=False, DBSubnetGroupName="public", VpcSecurityGroupIds=[vpc["database"]])
    rds.create_db_cluster(
        DBClusterIdentifier="orders-cluster", Engine="aurora-mysql", MasterUsername="admin", MasterUserPassword=PASSWORD)


# ---------------------------------------------------------------- storage and trails


def buckets_and_trail(s3, trails, account):
    """A bucket that everybody may write to, and a trail that records nothing, of one Region, into a bucket without logs."""
    public, logs = f"cis-public-{account}", f"cis-trail-{account}"
    for name in (public, logs):
        s3.create_bucket(Bucket=name)
        s3.delete_public_access_block(Bucket=name)
    s3.put_bucket_policy(Bucket=public, Policy=everybody("s3:PutObject", f"arn:aws:s3:::{public}/*"))
    # It is not started.
    trails.create_trail(Name="cis", S3BucketName=logs, IsMultiRegionTrail=False)


# ---------------------------------------------------------------- people


def users(here, iam, account):
    """A user with policies of its own, old keys and an old password, and a server certificate that has expired."""
    name = "maria"
    iam.create_user(UserName=name)
    iam.create_login_profile(UserName=name, Password=PASSWORD, PasswordResetRequired=False)
    iam.create_access_key(UserName=name)
    iam.create_access_key(UserName=name)
    everything = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
    policy = iam.create_policy(PolicyName="everything", PolicyDocument=everything)["Policy"]["Arn"]
    for attached in (policy, "arn:aws:iam::aws:policy/AdministratorAccess", "arn:aws:iam::aws:policy/AWSCloudShellFullAccess"):
        iam.attach_user_policy(UserName=name, PolicyArn=attached)
    here.control("POST", "credentials", {
        "account": account, "user": name, "created_days": CREATED_DAYS, "used_days": USED_DAYS})
    # A user whose key was never used.
    iam.create_user(UserName="juergen")
    iam.create_login_profile(UserName="juergen", Password=PASSWORD, PasswordResetRequired=False)
    iam.create_access_key(UserName="juergen")
    certificate, key = expired_certificate()
    iam.upload_server_certificate(ServerCertificateName="shop", CertificateBody=certificate, PrivateKey=key)


def root_credentials(here, account):
    """A password and an access key of the root user, and no MFA. No SDK knows the call, by which a test plants them."""
    form = {"Action": "PlantRootCredentials", "password": "true", "keys": f"AKIAROOT{account}"}
    request = urllib.request.Request(here.front_door.url, method="POST", data=urlencode(form).encode(), headers={
        "Authorization": f"AWS4-HMAC-SHA256 Credential={account}/20260301/{REGION}/iam/aws4_request",
        "Content-Type": "application/x-www-form-urlencoded"})
    with urllib.request.urlopen(request, timeout=10):
        pass


def expired_certificate():
    """A certificate whose last day was a month ago, and its key, in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example.com")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now - datetime.timedelta(days=30)).sign(key, hashes.SHA256()))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


# ---------------------------------------------------------------- policies that let everybody in


def everybody(action, resource):
    """A policy that allows everybody an action."""
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Sid": "everybody", "Effect": "Allow", "Principal": "*", "Action": action, "Resource": resource}]})


def public_policies(client, account):
    """A queue, a topic, a key, a function, an event bus and a secret that everybody may use."""
    sqs, sns, kms = client("sqs"), client("sns"), client("kms")
    queue = sqs.create_queue(QueueName="cis")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={
        "Policy": everybody("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{account}:cis")})
    topic = sns.create_topic(Name="cis")["TopicArn"]
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=everybody("sns:Publish", topic))
    # A new key is not rotated.
    key = kms.create_key(Description="CIS: public")["KeyMetadata"]["KeyId"]
    root = {"Sid": "root", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "kms:*", "Resource": "*"}
    open_policy = json.loads(everybody("kms:Decrypt", "*"))
    open_policy["Statement"].append(root)
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(open_policy))
    function(client("iam"), client("lambda"))
    events, secrets = client("events"), client("secretsmanager")
    events.put_permission(StatementId="everybody", Action="events:PutEvents", Principal="*")
    secret = secrets.create_secret(Name="cis", SecretString="nothing")["ARN"]
    # Without what is left for the account, Prowler would have nothing to look at afterwards.
    open_policy = json.loads(everybody("secretsmanager:GetSecretValue", "*"))
    open_policy["Statement"].append({**root, "Action": "secretsmanager:*"})
    secrets.put_resource_policy(SecretId=secret, ResourcePolicy=json.dumps(open_policy))


def function(iam, functions):
    """A function that everybody may invoke."""
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="cis-function", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return event\n")
    functions.create_function(
        FunctionName="cis", Runtime="python3.12", Handler="index.handler", Role=role, Code={"ZipFile": packed.getvalue()})
    functions.add_permission(FunctionName="cis", StatementId="everybody", Action="lambda:InvokeFunction", Principal="*")


# ---------------------------------------------------------------- what CIS 7.0 wants logs of


def without_logs(client, vpc):
    """Two APIs, a distribution and a load balancer without access logs."""
    rest = client("apigateway")
    api = rest.create_rest_api(name="cis")["id"]
    root = rest.get_resources(restApiId=api)["items"][0]["id"]
    rest.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
    rest.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
    rest.create_deployment(restApiId=api, stageName="prod")
    http = client("apigatewayv2")
    api = http.create_api(Name="cis", ProtocolType="HTTP")["ApiId"]
    http.create_stage(ApiId=api, StageName="prod")
    client("elbv2").create_load_balancer(Name="cis", Subnets=vpc["subnets"], Type="application")
    client("cloudfront").create_distribution(DistributionConfig={
        "CallerReference": "cis", "Comment": "CIS", "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [{
            "Id": "shop", "DomainName": "shop.example.com",
            "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}}]},
        "DefaultCacheBehavior": {
            "TargetOriginId": "shop", "ViewerProtocolPolicy": "allow-all",
            "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}}, "MinTTL": 0},
    })
