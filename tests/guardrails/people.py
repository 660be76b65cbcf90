"""Who may assume the roles of infra/member-account.yaml, and what the roles for people can do: the template, and requests.

What each request has to be answered follows from the tables here, not from the policies. A caller's own policies allow
everything, as those of an application role with sts:AssumeRole on `*`.
"""

import re
from dataclasses import dataclass

import yaml
from model import ROOT

TEMPLATE = ROOT / "infra" / "member-account.yaml"
HERE, SERVICE, OTHER, STRANGER = "111122223333", "444455556666", "777788889999", "970000000001"
ORGANIZATION, FOREIGN = "o-keeper0001", "o-stranger01"
MEMBERS = {HERE, SERVICE, OTHER}
PARAMETERS = {
    "ServiceAccountId": SERVICE, "StackName": "orgkeeper", "OrganizationId": ORGANIZATION, "UserPolicies": "on",
    "BaselineRoleArn": f"arn:aws:iam::{SERVICE}:role/orgkeeper-AccountHydrator",
    "AuditRoleArn": f"arn:aws:iam::{SERVICE}:role/orgkeeper-OrganizationSurveyor",
    "PostureRoleArn": f"arn:aws:iam::{SERVICE}:role/orgkeeper-PostureKeeper",
    "SupportRole": "on", "PeopleRoles": "on", "PeopleAccountId": "",
}
PSEUDO = {"AWS::Partition": "aws", "AWS::AccountId": HERE}
# Logical name of a role: the one role that may assume it.
TRUSTED = {"Remediation": "orgkeeper-Remediator", "Baseline": "orgkeeper-AccountHydrator", "Audit": "orgkeeper-OrganizationSurveyor",
           "Posture": "orgkeeper-PostureKeeper"}
PEOPLE = ("Support", "Administrator", "Operator", "Developer")
BOUND = PEOPLE[1:]


class Loader(yaml.SafeLoader):
    """Reads the short forms of CloudFormation as their long ones."""


def long_form(loader, suffix, node):
    read = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence,
            yaml.MappingNode: loader.construct_mapping}[type(node)]
    value = read(node) if isinstance(node, yaml.ScalarNode) else read(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", long_form)


class Template:
    """The template as CloudFormation reads it with parameters."""

    def __init__(self, **parameters):
        self.parameters = {**PARAMETERS, **parameters}
        read = yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader)
        self.resources, self.conditions = read["Resources"], read["Conditions"]

    def resource(self, name):
        """The properties of a resource."""
        return self.value(self.resources[name]["Properties"])

    def has(self, name):
        """Whether a resource exists."""
        return self.value({"Condition": self.resources[name]["Condition"]})

    def value(self, node):
        """A part of the template with values in place of functions."""
        if isinstance(node, list):
            return [self.value(one) for one in node]
        if not isinstance(node, dict):
            return node
        [name, given] = next(iter(node.items())) if len(node) == 1 else ("", None)
        if name == "Condition" and isinstance(given, str):
            return self.value(self.conditions[given])
        if name == "Ref":
            return self.named(given)
        if name == "Fn::If":
            return self.value(given[1] if self.value(self.conditions[given[0]]) else given[2])
        if name == "Fn::Sub":
            text, variables = given if isinstance(given, list) else (given, {})
            known = {key: self.value(value) for key, value in variables.items()}
            return re.sub(r"\$\{([\w:]+)\}", lambda found: known.get(found[1]) or self.named(found[1]), text)
        if name in FUNCTIONS:
            return FUNCTIONS[name](*(self.value(one) for one in given))
        return {key: self.value(value) for key, value in node.items()}

    def named(self, name):
        """What `Ref` gives; of a policy a name is enough."""
        return PSEUDO.get(name) or self.parameters.get(name, name)


FUNCTIONS = {
    "Fn::Equals": lambda one, other: one == other,
    "Fn::Not": lambda one: not one,
    "Fn::And": lambda *all_of: all(all_of),
    "Fn::Or": lambda *any_of: any(any_of),
    "Fn::Select": lambda at, values: values[int(at)],
    "Fn::Split": lambda delimiter, text: text.split(delimiter),
}


@dataclass(frozen=True)
class Caller:
    """Somebody who wants a role: an ARN, the organization, and how old the MFA is (None: there was none)."""

    says: str
    account: str
    name: str
    age: int | None = None
    organization: str | None = None
    says_no_mfa: bool = False

    @property
    def has_mfa(self):
        """Whether the caller's keys say that there was MFA."""
        return self.age is not None and not self.says_no_mfa

    @property
    def of_organization(self):
        """The organization of the caller's account."""
        return self.organization or (ORGANIZATION if self.account in MEMBERS else FOREIGN)

    def may(self, role, people_account):
        """Whether the caller may assume a role."""
        if role in TRUSTED:
            return (self.account, self.name, self.of_organization) == (SERVICE, f"role/{TRUSTED[role]}", ORGANIZATION)
        if role == "Support":
            signed_in = self.name.startswith("role/aws-reserved/sso.amazonaws.com/")
            return self.account == HERE and (self.has_mfa or signed_in)
        fresh = self.has_mfa and self.age < 3600
        return self.account == people_account and fresh and self.of_organization == ORGANIZATION


USER, APPLICATION = "user/ana", "role/App"
SSO = "role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Support_0123456789abcdef"
CALLERS = [
    Caller("a user with fresh MFA", HERE, USER, 60),
    Caller("a user with MFA of almost an hour", HERE, USER, 3599),
    Caller("a user with MFA of an hour", HERE, USER, 3600),
    Caller("a user with MFA two hours old", HERE, USER, 7200),
    Caller("a user with a bare key", HERE, USER),
    Caller("a user with a session without MFA", HERE, USER, says_no_mfa=True),
    Caller("an application role without MFA", HERE, APPLICATION),
    Caller("an application role whose session says so", HERE, APPLICATION, says_no_mfa=True),
    Caller("a session of Identity Center", HERE, SSO),
    Caller("a role named like one of Identity Center", HERE, "role/AWSReservedSSO_Support_0123456789abcdef"),
    Caller("a role below a path like Identity Center's", HERE, "role/team/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Support_0"),
    Caller("a session of Identity Center in another account", OTHER, SSO),
    # Keys that contradict each other: each condition counts.
    Caller("a user whose session has an age but no MFA", HERE, USER, 60, says_no_mfa=True),
    Caller("a user of another account whose session has an age but no MFA", OTHER, USER, 60, says_no_mfa=True),
    Caller("a user of another account with fresh MFA", OTHER, USER, 60),
    Caller("a user of another account with MFA of an hour", OTHER, USER, 3600),
    Caller("a user of another account that has left, with fresh MFA", OTHER, USER, 60, FOREIGN),
    Caller("a user of the service account with fresh MFA", SERVICE, USER, 60),
    Caller("a user of the service account with a bare key", SERVICE, USER),
    Caller("a user with fresh MFA whose account has left", HERE, USER, 60, FOREIGN),
    Caller("a stranger with fresh MFA", STRANGER, USER, 60),
    Caller("an application role of the service account", SERVICE, APPLICATION),
    *(caller for name in TRUSTED.values() for caller in (
        Caller("the role of the function", SERVICE, f"role/{name}"),
        Caller("a role whose name begins like the function's", SERVICE, f"role/{name}2"),
        Caller("a role of that name below a path", SERVICE, f"role/team/{name}"),
        Caller("a role of that name in another account", OTHER, f"role/{name}"),
        Caller("a role of that name in this account", HERE, f"role/{name}"),
        Caller("a user of that name", SERVICE, f"user/{name}"),
        Caller("the role of the function, whose account has left", SERVICE, f"role/{name}", organization=FOREIGN),
    )),
]

# What AWS's managed policies allow, as far as the requests go.
MANAGED = {
    "AdministratorAccess": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    "PowerUserAccess": [
        {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
        {"Effect": "Allow", "Action": ["account:GetAccountInformation", "account:ListRegions", "iam:CreateServiceLinkedRole",
                                       "iam:DeleteServiceLinkedRole", "iam:ListRoles", "organizations:DescribeOrganization"],
         "Resource": "*"}],
}
OURS, THEIRS = f"arn:aws:iam::{HERE}:policy/OrgkeeperPeopleBoundary", f"arn:aws:iam::{HERE}:policy/Mine"
A = "Administrator"
AO = (A, "Operator")
ALL = BOUND
ROLE, LIKE_OURS, POLICY = "iam::{}:role/app", "iam::{}:role/OrgkeeperAudit", "iam::{}:policy/OrgkeeperPeopleBoundary"
TRAIL, VPC = "cloudtrail:eu-west-1:{}:trail/t", "ec2:eu-west-1:{}:vpc/vpc-0"
# Action, resource, the boundary of the principal that is changed, and who may.
WORK = [
    *((f"iam:{action}", f"iam::{{}}:{kind}/app", boundary, may)
      for action, kind in (
          ("AttachRolePolicy", "role"), ("AttachUserPolicy", "user"), ("CreateRole", "role"), ("CreateUser", "user"),
          ("PutRolePermissionsBoundary", "role"), ("PutRolePolicy", "role"), ("PutUserPermissionsBoundary", "user"),
          ("PutUserPolicy", "user"))
      for boundary, may in ((OURS, (A,)), (THEIRS, ()), (None, ()))),
    ("iam:DeleteRolePermissionsBoundary", ROLE, OURS, ()),
    ("iam:DeleteUserPermissionsBoundary", "iam::{}:user/app", OURS, ()),
    ("iam:AttachRolePolicy", LIKE_OURS, OURS, ()),
    ("iam:CreateRole", "iam::{}:role/Orgkeeper-evil", OURS, ()),
    ("iam:CreatePolicyVersion", POLICY, None, ()),
    ("iam:DeletePolicyVersion", POLICY, None, ()),
    ("iam:SetDefaultPolicyVersion", POLICY, None, ()),
    ("iam:CreatePolicyVersion", "iam::{}:policy/Mine", None, (A,)),
    ("iam:DeleteRole", LIKE_OURS, None, ()),
    ("iam:DetachRolePolicy", LIKE_OURS, OURS, ()),
    ("iam:PassRole", LIKE_OURS, None, ()),
    ("iam:PutRolePolicy", LIKE_OURS, OURS, ()),
    ("iam:TagRole", LIKE_OURS, None, ()),
    ("iam:UntagRole", LIKE_OURS, None, ()),
    ("iam:UpdateAssumeRolePolicy", LIKE_OURS, None, ()),
    ("iam:PutGroupPolicy", "iam::{}:group/OrgkeeperDevelopers", None, ()),
    ("iam:AddUserToGroup", "iam::{}:group/OrgkeeperDevelopers", None, (A,)),
    ("iam:PutGroupPolicy", "iam::{}:group/team", None, (A,)),
    ("iam:UpdateAssumeRolePolicy", ROLE, None, (A,)),
    ("iam:DeleteRole", ROLE, None, (A,)),
    ("iam:ListRoles", None, None, ALL),
    ("account:CloseAccount", None, None, ()),
    ("organizations:LeaveOrganization", None, None, ()),
    *((f"cloudtrail:{action}", resource, None, (A,)) for action, resource in (
        ("AddTags", TRAIL), ("CancelQuery", "cloudtrail:eu-west-1:{}:eventdatastore/e"), ("CreateTrail", TRAIL), ("DeleteTrail", TRAIL),
        ("DeregisterOrganizationDelegatedAdmin", None), ("DisableFederation", "cloudtrail:eu-west-1:{}:eventdatastore/e"),
        ("EnableFederation", "cloudtrail:eu-west-1:{}:eventdatastore/e"), ("PutEventSelectors", TRAIL),
        ("RegisterOrganizationDelegatedAdmin", None), ("RemoveTags", TRAIL),
        ("RestoreEventDataStore", "cloudtrail:eu-west-1:{}:eventdatastore/e"), ("StartLogging", TRAIL), ("StopLogging", TRAIL),
        ("UpdateTrail", TRAIL))),
    ("cloudtrail:LookupEvents", None, None, ALL),
    ("cloudtrail:GetTrailStatus", TRAIL, None, ALL),
    *((action, resource, None, AO) for action, resource in (
        ("backup:DeleteRecoveryPoint", "backup:eu-west-1:{}:recovery-point:r"),
        ("config:DeleteConfigurationRecorder", "config:eu-west-1:{}:configuration-recorder/r/0"),
        ("config:PutConfigurationRecorder", "config:eu-west-1:{}:configuration-recorder/r/0"),
        ("config:StopConfigurationRecorder", "config:eu-west-1:{}:configuration-recorder/r/0"),
        ("directconnect:DeleteConnection", "directconnect:eu-west-1:{}:dxcon/c"),
        ("guardduty:DeleteDetector", "guardduty:eu-west-1:{}:detector/d"),
        ("guardduty:DisassociateFromAdministratorAccount", None),
        ("guardduty:UpdateDetector", "guardduty:eu-west-1:{}:detector/d"),
        ("kms:DisableKey", "kms:eu-west-1:{}:key/k"), ("kms:ScheduleKeyDeletion", "kms:eu-west-1:{}:key/k"),
        ("networkmanager:DeleteGlobalNetwork", "networkmanager::{}:global-network/g"),
        ("ram:DeleteResourceShare", "ram:eu-west-1:{}:resource-share/s"), ("route53domains:RegisterDomain", None),
        ("securityhub:DeleteInsight", "securityhub:eu-west-1:{}:hub/default"),
        ("securityhub:DisableSecurityHub", "securityhub:eu-west-1:{}:hub/default"),
        ("securityhub:DisassociateFromAdministratorAccount", "securityhub:eu-west-1:{}:hub/default"),
        ("securityhub:UpdateSecurityHubConfiguration", "securityhub:eu-west-1:{}:hub/default"),
        ("ec2:AttachInternetGateway", VPC), ("ec2:CreateCarrierGateway", VPC), ("ec2:CreateCustomerGateway", "ec2:eu-west-1:{}:customer-gateway/g"),
        ("ec2:CreateDefaultVpc", None), ("ec2:CreateEgressOnlyInternetGateway", VPC),
        ("ec2:CreateInternetGateway", "ec2:eu-west-1:{}:internet-gateway/g"), ("ec2:CreateNatGateway", "ec2:eu-west-1:{}:natgateway/g"),
        ("ec2:CreateNetworkAclEntry", "ec2:eu-west-1:{}:network-acl/a"), ("ec2:CreateRoute", "ec2:eu-west-1:{}:route-table/r"),
        ("ec2:CreateSubnet", VPC), ("ec2:CreateTransitGatewayRoute", "ec2:eu-west-1:{}:transit-gateway-route-table/t"),
        ("ec2:CreateVpcPeeringConnection", VPC), ("ec2:CreateVpnGateway", None), ("ec2:DeleteInternetGateway", "ec2:eu-west-1:{}:internet-gateway/g"),
        ("ec2:DeleteNetworkAcl", "ec2:eu-west-1:{}:network-acl/a"), ("ec2:DeleteRoute", "ec2:eu-west-1:{}:route-table/r"),
        ("ec2:DeleteSubnet", "ec2:eu-west-1:{}:subnet/s"), ("ec2:DeleteTransitGatewayRoute", "ec2:eu-west-1:{}:transit-gateway-route-table/t"),
        ("ec2:DeleteVpc", VPC), ("ec2:DeleteVpnConnection", "ec2:eu-west-1:{}:vpn-connection/v"), ("ec2:DetachInternetGateway", VPC),
        ("ec2:ModifySubnetAttribute", "ec2:eu-west-1:{}:subnet/s"), ("ec2:ModifyTransitGateway", "ec2:eu-west-1:{}:transit-gateway/t"),
        ("ec2:ModifyVpcAttribute", VPC), ("ec2:ModifyVpnConnection", "ec2:eu-west-1:{}:vpn-connection/v"),
        ("ec2:ReplaceNetworkAclEntry", "ec2:eu-west-1:{}:network-acl/a"), ("ec2:ReplaceRoute", "ec2:eu-west-1:{}:route-table/r"))),
    ("ec2:DescribeVpcs", None, None, ALL),
    ("ec2:TerminateInstances", "ec2:eu-west-1:{}:instance/i-0", None, ALL),
    ("guardduty:GetDetector", "guardduty:eu-west-1:{}:detector/d", None, ALL),
    ("lambda:UpdateFunctionCode", "lambda:eu-west-1:{}:function:f", None, ALL),
]


def documents(template=None):
    """Every policy that the requests are judged by, by name: the trust of each role, the boundary, and what roles have."""
    template = template or Template()
    elsewhere = Template(PeopleAccountId=OTHER)
    found = {f"trust of {role}": template.resource(role)["AssumeRolePolicyDocument"] for role in (*TRUSTED, *PEOPLE)}
    found |= {f"trust of {role} for people elsewhere": elsewhere.resource(role)["AssumeRolePolicyDocument"] for role in BOUND}
    found["boundary"] = template.resource("PeopleBoundary")["PolicyDocument"]
    found |= {name: {"Version": "2012-10-17", "Statement": statements} for name, statements in MANAGED.items()}
    for role in BOUND:
        for policy in template.resource(role).get("Policies", []):
            found[f"{policy['PolicyName']} of {role}"] = policy["PolicyDocument"]
    return found


def policies_of(role):
    """The names of what a role for people has."""
    return ["AdministratorAccess"] if role == A else ["PowerUserAccess", f"OnlyAdministrators of {role}"]


def cases():
    """Every request, as the judges take it, with the role that it is about and what it has to be answered."""
    for role in (*TRUSTED, *PEOPLE):
        for trust, people_account in ((f"trust of {role}", HERE), (f"trust of {role} for people elsewhere", OTHER)):
            if people_account == HERE or role in BOUND:
                yield from (wanting(caller, role, trust, people_account) for caller in CALLERS)
    names = {role: Template().resource(role)["RoleName"] for role in BOUND}
    for role in BOUND:
        for action, resource, boundary, may in WORK:
            context = {"aws:PrincipalArn": f"arn:aws:iam::{HERE}:role/{names[role]}"}
            if boundary:
                context["iam:PermissionsBoundary"] = boundary
            yield {
                "role": role, "principal": context["aws:PrincipalArn"], "action": action, "owner": HERE, "context": context,
                "resource": f"arn:aws:{resource.format(HERE)}" if resource else "*",
                "identity": policies_of(role), "boundary": ["boundary"], "answer": "allowed" if role in may else "denied",
                "says": f"{role}: {action} on {resource or '*'} with the boundary {boundary}"}


def wanting(caller, role, trust, people_account):
    """The request of somebody who wants a role."""
    arn = f"arn:aws:iam::{caller.account}:{caller.name}"
    context = {"aws:PrincipalArn": arn, "aws:PrincipalAccount": caller.account, "aws:PrincipalOrgID": caller.of_organization}
    if caller.age is not None:
        context |= {"aws:MultiFactorAuthPresent": "true", "aws:MultiFactorAuthAge": str(caller.age)}
    if caller.says_no_mfa:
        context["aws:MultiFactorAuthPresent"] = "false"
    return {
        "role": role, "principal": arn, "action": "sts:AssumeRole", "resource": f"arn:aws:iam::{HERE}:role/Orgkeeper{role}", "owner": HERE,
        "context": context, "trust": trust, "answer": "allowed" if caller.may(role, people_account) else "denied",
        "says": f"{caller.says} ({arn}) wants {role}, {trust}"}


def answers_here(documents_by_name, requests, allows):
    """What evaluator.py answers."""
    def answer(one):
        if "trust" in one:
            return allows([documents_by_name[one["trust"]]], one)
        own = [documents_by_name[name] for name in one["identity"]]
        return allows(own, one) and allows([documents_by_name[name] for name in one["boundary"]], one)

    return ["allowed" if answer(one) else "denied" for one in requests]
