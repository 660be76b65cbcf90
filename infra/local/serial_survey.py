"""What faces the internet, as a plain script asks for it: serial_survey.py ENDPOINT_URL ACCOUNT_ID ...

One account after the other, one Region after the other, one call after the other, as most scripts do. `make bench-survey` measures it
beside `organization-surveyor`.
"""

import sys

import boto3

ROLE = "OrgkeeperAudit"


def main():
    """Prints every public address of the accounts."""
    if len(sys.argv) < 3:
        sys.exit("usage: serial_survey.py ENDPOINT_URL ACCOUNT_ID ...")
    url, *accounts = sys.argv[1:]

    def client(service, region="us-east-1", key="111111111111", secret="test", token="test"):
        return boto3.client(service, endpoint_url=url, region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
                            aws_session_token=token)

    for account in accounts:
        made = client("sts").assume_role(RoleArn=f"arn:aws:iam::{account}:role/{ROLE}", RoleSessionName="script")["Credentials"]
        keys = (made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
        for region in client("ec2", "us-east-1", *keys).describe_regions()["Regions"]:
            name = region["RegionName"]
            ec2 = client("ec2", name, *keys)
            for interface in ec2.describe_network_interfaces()["NetworkInterfaces"]:
                if "Association" in interface:
                    print(account, name, interface["Association"]["PublicIp"])
            ec2.describe_addresses()
            ec2.describe_route_tables()
            ec2.describe_security_groups()
            client("elbv2", name, *keys).describe_load_balancers()
            client("rds", name, *keys).describe_db_instances()


if __name__ == "__main__":
    main()
