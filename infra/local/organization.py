"""The example organization of the local cloud.

The tables say what it contains; `Builder` creates it, with the same ids on every run, and returns the ids as a
dictionary (`cloud.py` writes it to organization.json).
"""

import json
import time
import urllib.request
from dataclasses import dataclass, field

import boto3

# The access key of every client of the local cloud; the front door takes it for the management account.
ACCESS_KEY = "test"

ORGANIZATIONAL_UNITS = (
    "Root/Security",
    "Root/Infrastructure",
    "Root/Workloads",
    "Root/Workloads/Prod",
    "Root/Workloads/Prod/Payments",
    "Root/Workloads/Dev",
    "Root/Workloads/Test",
    "Root/Sandbox",
    "Root/Suspended",
)


@dataclass(frozen=True)
class Account:
    """One member account."""

    name: str
    path: str
    email: str
    tags: dict = field(default_factory=dict)
    # Alternate contacts: type -> (name, title, e-mail address, telephone).
    contacts: dict = field(default_factory=dict)
    # Primary contact: the full name, or None.
    primary_contact: str | None = None
    closed: bool = False


def tags(environment, team, cost_center, **more):
    """The three tags that every account of this organization has, and others."""
    return {"Environment": environment, "team": team, "CostCenter": cost_center, **more}


SECURITY_DESK = ("Security Desk", "Security Operations", "security@example.com", "+1 555 0100")
PAYMENTS_ON_CALL = ("Payments On-Call", "Payments Security", "payments-security@example.com", "+1 555 0111")
WEBSHOP_ON_CALL = ("Webshop On-Call", "Operations", "webshop-ops@example.com", "+1 555 0122")
PLATFORM_ON_CALL = ("Platform On-Call", "Operations", "platform-ops@example.com", "+1 555 0133")
FINANCE = ("Accounts Payable", "Finance", "finance@example.com", "+1 555 0144")

# With the usual three these are 48 tags (an account takes 50): more than fit into the fields of a finding.
COMPLIANCE_TAGS = {
    f"compliance:control-{number:02}": f"PCI DSS 4.0 checked {2020 + number % 6}" for number in range(1, 46)
}

ACCOUNTS = (
    Account("log-archive", "Root/Security", "aws+log-archive@example.com",
            tags("PROD", "security", "CC-1001"), {"SECURITY": SECURITY_DESK}),
    Account("security-tooling", "Root/Security", "aws+security-tooling@example.com",
            tags("PROD", "security", "CC-1001"), {"SECURITY": SECURITY_DESK, "OPERATIONS": PLATFORM_ON_CALL}),
    Account("network", "Root/Infrastructure", "aws+network@example.com",
            tags("PROD", "platform", "CC-1100"), {"OPERATIONS": PLATFORM_ON_CALL}),
    Account("shared-services", "Root/Infrastructure", "aws+shared-services@example.com",
            tags("PROD", "platform", "CC-1100", Backup="daily"), {"OPERATIONS": PLATFORM_ON_CALL}),
    Account("webshop-prod", "Root/Workloads/Prod", "aws+webshop-prod@example.com",
            tags("PROD", "webshop", "CC-2200", DataClass="personal"), {"OPERATIONS": WEBSHOP_ON_CALL}),
    Account("kundenportal-prod", "Root/Workloads/Prod", "aws+kundenportal-prod@example.com",
            tags("PROD", "Kundenservice für Geschäfte", "KST-4711", Verantwortlich="Jürgen Müßig", Büro="東京"),
            {"SECURITY": ("Jürgen Müßig", "Sicherheitsbeauftragter", "juergen@example.com", "+41 44 555 01 55")}),
    Account("payments-api-prod", "Root/Workloads/Prod/Payments", "aws+payments-api-prod@example.com",
            tags("PROD", "payments", "CC-2300", DataClass="cardholder"),
            {"SECURITY": PAYMENTS_ON_CALL, "OPERATIONS": PLATFORM_ON_CALL, "BILLING": FINANCE}),
    Account("payments-ledger-prod", "Root/Workloads/Prod/Payments", "aws+payments-ledger-prod@example.com",
            tags("PROD", "payments", "CC-2300", **COMPLIANCE_TAGS), {"SECURITY": PAYMENTS_ON_CALL}),
    Account("webshop-dev", "Root/Workloads/Dev", "aws+webshop-dev@example.com",
            tags("DEV", "webshop", "CC-2200"), primary_contact="Maria Silva"),
    Account("webshop-test", "Root/Workloads/Test", "aws+webshop-test@example.com",
            tags("TEST", "webshop", "CC-2200"), {"SECURITY": SECURITY_DESK}),
    Account("sandbox-anna", "Root/Sandbox", "aws+sandbox-anna@example.com"),
    Account("billing-reports", "Root", "aws+billing-reports@example.com",
            tags("PROD", "finance", "CC-9000"), {"BILLING": FINANCE}, primary_contact="Finance Department"),
    Account("old-crm", "Root/Suspended", "aws+old-crm@example.com",
            tags("PROD", "crm", "CC-2100"), {"OPERATIONS": WEBSHOP_ON_CALL}, closed=True),
)

MANAGEMENT_CONTACTS = {"SECURITY": SECURITY_DESK, "BILLING": FINANCE}

USERS = {"anna": ("Anna", "Lind"), "maria": ("Maria", "Silva"), "juergen": ("Jürgen", "Müßig")}
GROUPS = {"platform-engineers": ("anna", "maria"), "security-analysts": ("juergen",)}
PERMISSION_SETS = {
    "AdministratorAccess": "Everything, for an hour",
    "DeveloperAccess": "What a team needs in its own accounts",
    "ReadOnlyAccess": "Look, do not touch",
}
# The groups and permission sets that the stack assigns in each new account.
NEW_ACCOUNT_ACCESS = (("platform-engineers", "AdministratorAccess"),)

# Types of policies that are on, as docs/guardrails.md switches them on.
POLICY_TYPES = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")
# Services that may work in the whole organization, as the flows need it.
TRUSTED_SERVICES = (
    "account.amazonaws.com",
    "cloudtrail.amazonaws.com",
    "member.org.stacksets.cloudformation.amazonaws.com",
    "securityhub.amazonaws.com",
    "sso.amazonaws.com",
)
TRAIL = "organization"

CONTACT_ROLE = "OrgkeeperContactReader"
STATUS_SECONDS = 20


class Builder:
    """Creates the organization through the endpoint, and seeds moto before each resource that gets an id."""

    def __init__(self, endpoint_url, moto_url, region, management_account):
        self.endpoint_url = endpoint_url
        self.moto_url = moto_url
        self.region = region
        self.management_account = management_account
        self.seeds = 0
        self.organizations = self.client("organizations")
        self.contacts = self.client("account")

    def client(self, service):
        """A boto3 client of the management account."""
        return boto3.client(
            service, endpoint_url=self.endpoint_url, region_name=self.region,
            aws_access_key_id=ACCESS_KEY, aws_secret_access_key="test")

    def seed(self):
        """Fixes moto's next random ids: before each resource, because one poll more or less would shift all later ids."""
        self.seeds += 1
        with urllib.request.urlopen(
                urllib.request.Request(f"{self.moto_url}/moto-api/seed?a={self.seeds}", method="POST"), timeout=30):
            pass

    def create(self):
        """Creates everything in the tables; returns the ids."""
        self.seed()
        organization = self.organizations.create_organization(FeatureSet="ALL")["Organization"]
        units = self.create_units()
        for kind in POLICY_TYPES:
            self.organizations.enable_policy_type(RootId=units["Root"], PolicyType=kind)
        accounts = {account.name: self.create_account(account, units) for account in ACCOUNTS}
        self.create_contacts(None, MANAGEMENT_CONTACTS)
        self.set_up_services()
        return {
            "management_account": self.management_account,
            "organization_id": organization["Id"],
            "root_id": units["Root"],
            "organizational_units": units,
            "accounts": accounts,
            "identity_center": self.create_identity_center(),
            "contact_role_arn": self.create_contact_role(),
        }

    def set_up_services(self):
        """What docs/deploy.md asks for before the first deployment: trusted access, a trail, one home of all findings."""
        for service in TRUSTED_SERVICES:
            self.organizations.enable_aws_service_access(ServicePrincipal=service)
        bucket = f"trail-{self.management_account}"
        self.client("s3").create_bucket(Bucket=bucket)
        trails = self.client("cloudtrail")
        trails.create_trail(Name=TRAIL, S3BucketName=bucket, IsOrganizationTrail=True, IsMultiRegionTrail=True)
        trails.start_logging(Name=TRAIL)
        self.client("securityhub").create_finding_aggregator(RegionLinkingMode="ALL_REGIONS")

    def create_units(self):
        """The organizational units; returns path -> id, with the root."""
        units = {"Root": self.organizations.list_roots()["Roots"][0]["Id"]}
        for path in ORGANIZATIONAL_UNITS:
            parent, _, name = path.rpartition("/")
            self.seed()
            created = self.organizations.create_organizational_unit(ParentId=units[parent], Name=name)
            units[path] = created["OrganizationalUnit"]["Id"]
        return units

    def create_account(self, account, units):
        """One account in its organizational unit, with tags and contacts; returns its id."""
        self.seed()
        status = self.organizations.create_account(
            AccountName=account.name, Email=account.email,
            Tags=[{"Key": key, "Value": value} for key, value in account.tags.items()])
        identifier = self.wait_for_account(status["CreateAccountStatus"]["Id"])
        if account.path != "Root":
            self.organizations.move_account(
                AccountId=identifier, SourceParentId=units["Root"], DestinationParentId=units[account.path])
        self.create_contacts(identifier, account.contacts)
        if account.primary_contact:
            self.contacts.put_contact_information(
                AccountId=identifier, ContactInformation=address_of(account.primary_contact))
        if account.closed:
            self.organizations.close_account(AccountId=identifier)
        return identifier

    def wait_for_account(self, request):
        """Waits until the account request has finished; returns the account's id."""
        deadline = time.monotonic() + STATUS_SECONDS
        while time.monotonic() < deadline:
            status = self.organizations.describe_create_account_status(CreateAccountRequestId=request)
            status = status["CreateAccountStatus"]
            if status["State"] == "SUCCEEDED":
                return status["AccountId"]
            if status["State"] == "FAILED":
                raise RuntimeError(f"account {status['AccountName']} was not created: {status['FailureReason']}")
            time.sleep(0.02)
        raise TimeoutError(f"account request {request} took longer than {STATUS_SECONDS} s")

    def create_contacts(self, identifier, contacts):
        """Alternate contacts of an account; None is the management account, which the calls must not name."""
        of_account = {"AccountId": identifier} if identifier else {}
        for kind, (name, title, email, telephone) in contacts.items():
            self.contacts.put_alternate_contact(
                AlternateContactType=kind, Name=name, Title=title, EmailAddress=email, PhoneNumber=telephone,
                **of_account)

    def create_identity_center(self):
        """Users, groups and permission sets; returns their ids."""
        center, store = self.client("sso-admin"), self.client("identitystore")
        self.seed()
        # moto has an instance in every account and Region, and cannot create one.
        instance = center.list_instances()["Instances"][0]
        users, groups, permission_sets = {}, {}, {}
        for name, (given, family) in USERS.items():
            self.seed()
            users[name] = store.create_user(
                IdentityStoreId=instance["IdentityStoreId"], UserName=name, DisplayName=f"{given} {family}",
                Name={"GivenName": given, "FamilyName": family},
                Emails=[{"Value": f"{name}@example.com", "Type": "work", "Primary": True}])["UserId"]
        for name, members in GROUPS.items():
            self.seed()
            groups[name] = store.create_group(
                IdentityStoreId=instance["IdentityStoreId"], DisplayName=name, Description=name)["GroupId"]
            for member in members:
                self.seed()
                store.create_group_membership(
                    IdentityStoreId=instance["IdentityStoreId"], GroupId=groups[name],
                    MemberId={"UserId": users[member]})
        for name, description in PERMISSION_SETS.items():
            self.seed()
            permission_sets[name] = center.create_permission_set(
                InstanceArn=instance["InstanceArn"], Name=name, Description=description, SessionDuration="PT1H",
            )["PermissionSet"]["PermissionSetArn"]
        return {
            "instance_arn": instance["InstanceArn"],
            "identity_store_id": instance["IdentityStoreId"],
            "users": users,
            "groups": groups,
            "permission_sets": permission_sets,
        }

    def create_contact_role(self):
        """The role in the management account that another account would assume to read contacts; returns its ARN."""
        trust = {
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{self.management_account}:root"},
                "Action": "sts:AssumeRole",
            }],
        }
        iam = self.client("iam")
        role = iam.create_role(
            RoleName=CONTACT_ROLE, AssumeRolePolicyDocument=json.dumps(trust),
            Description="Reads the contacts of the organization's accounts")
        # As in infra/contact-role.yaml.
        account = f"arn:aws:account::{self.management_account}:account"
        iam.put_role_policy(RoleName=CONTACT_ROLE, PolicyName="ReadContacts", PolicyDocument=json.dumps({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Action": ["account:GetAlternateContact", "account:GetContactInformation"],
                "Resource": [account, f"{account}/o-*/*"],
            }],
        }))
        return role["Role"]["Arn"]


def address_of(full_name):
    """Primary contact information with the required fields only."""
    return {
        "FullName": full_name,
        "CompanyName": "Example Corp",
        "AddressLine1": "1 Main Street",
        "City": "Springfield",
        "StateOrRegion": "WA",
        "PostalCode": "98101",
        "CountryCode": "US",
        "PhoneNumber": "+1 555 0199",
    }
