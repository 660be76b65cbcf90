"""What an account's settings are, as any other program reads them: account_settings.py ACCOUNT_ID

Prints them as JSON: `account`, what the account has once, and `regions`, what each of its Regions has. Flow tests compare that
with what the baseline flow says. ORGKEEPER_INSTANCE names the local cloud.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import cloud


def main():
    """Prints the settings of the account."""
    if len(sys.argv) != 2:
        sys.exit("usage: account_settings.py ACCOUNT_ID")
    session = Account(sys.argv[1])
    with ThreadPoolExecutor(4) as threads:
        regions = session.regions()
        found = dict(zip(regions, threads.map(session.of_region, regions)))
    print(json.dumps({"account": session.once(), "regions": found}, indent=1, default=str))


def unless(code, call, **given):
    """The answer of a call, or None if AWS says that there is no such thing."""
    try:
        return call(**given)
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return None


class Account:
    """An account of the local cloud, with its own credentials."""

    def __init__(self, account):
        self.account = account
        self.url = cloud.this_cloud().front_door.url

    def client(self, service, region=cloud.REGION):
        """A client of the account's own. By a proxy, since s3control puts the account id before the host."""
        return boto3.client(service, endpoint_url=self.url, region_name=region, config=Config(proxies={"http": self.url}),
                            aws_access_key_id=self.account, aws_secret_access_key="test")

    def regions(self):
        """The Regions that are enabled in the account."""
        pages = self.client("account").get_paginator("list_regions").paginate(
            RegionOptStatusContains=["ENABLED", "ENABLED_BY_DEFAULT"])
        return [one["RegionName"] for page in pages for one in page["Regions"]]

    def once(self):
        """What the account has once."""
        iam, storage = self.client("iam"), self.client("s3control")
        passwords = unless("NoSuchEntity", iam.get_account_password_policy)
        block = unless("NoSuchPublicAccessBlockConfiguration", storage.get_public_access_block, AccountId=self.account)
        return {
            **self.of_payer(),
            "s3-public-access-block": block and block["PublicAccessBlockConfiguration"],
            "password-policy": passwords and passwords["PasswordPolicy"],
            "account-alias": iam.list_account_aliases()["AccountAliases"],
        }

    def of_payer(self):
        """What the management account has for it."""
        payer = Account(cloud.MANAGEMENT_ACCOUNT)
        # AWS refuses the management account's own id.
        member = {} if self.account == payer.account else {"AccountId": self.account}
        contact = unless("ResourceNotFoundException", payer.client("account").get_alternate_contact,
                         AlternateContactType="SECURITY", **member)
        budget = unless("NotFoundException", payer.client("budgets").describe_budget,
                        AccountId=payer.account, BudgetName=f"orgkeeper-{self.account}")
        tags = payer.client("organizations").list_tags_for_resource(ResourceId=self.account)["Tags"]
        return {
            "security-contact": contact and contact["AlternateContact"]["EmailAddress"],
            "budget": budget and {"amount": float(budget["Budget"]["BudgetLimit"]["Amount"]),
                                  "of": budget["Budget"]["CostFilters"]},
            "account-tags": {tag["Key"]: tag["Value"] for tag in tags},
        }

    def of_region(self, region):
        """What one Region has."""
        ec2, ssm = self.client("ec2", region), self.client("ssm", region)
        groups = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])["SecurityGroups"]
        sharing = ssm.get_service_setting(SettingId="/ssm/documents/console/public-sharing-permission")
        return {
            "ebs-encryption": ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"],
            "instance-metadata-defaults": ec2.get_instance_metadata_defaults()["AccountLevel"],
            "snapshot-block": ec2.get_snapshot_block_public_access_state()["State"],
            "image-block": ec2.get_image_block_public_access_state()["ImageBlockPublicAccessState"],
            "serial-console": ec2.get_serial_console_access_status()["SerialConsoleAccessEnabled"],
            "ssm-document-sharing": sharing["ServiceSetting"]["SettingValue"],
            "default-security-groups": sum(
                len(group["IpPermissions"]) + len(group["IpPermissionsEgress"]) for group in groups),
        }


if __name__ == "__main__":
    main()
