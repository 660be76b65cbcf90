"""Requests at random, and what each has to be answered: by rules about who asks what of whom, not by the policies.

Every rule is a line of `RULES`, or one of the two perimeters below it. Nothing here reads infra/policies/.
"""

import random
import tomllib
from dataclasses import dataclass

from model import ACCOUNTS, HERE, HOME, is_member

ACTIONS = tomllib.loads((HERE / "actions.toml").read_text(encoding="utf-8"))
THINGS = [(kind, resource.strip(), action) for kind, of in ACTIONS.items() for resource, actions in of.items() for action in actions]
REGIONS = [HOME, "eu-central-1", "us-east-1", "ap-south-1"]

# Principals of a member account: what they are, and how they may be called.
CALLERS = {
    "ordinary": [
        "role/App",
        "role/Admin",
        "user/ana",
        "role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Administrators_0123456789abcdef",
        # These only look like somebody who is exempt.
        "role/Orgkeeper-evil",
        "role/OrgkeeperAuditor",
        "role/OrgkeeperRemediation2",
        "role/team/OrgkeeperBaseline",
        "role/a:role/OrgkeeperRemediation",
        "role/stacksets-execution",
        "role/StackSet-app",
        "role/Rescuer",
        "role/AWSReservedSSO_Rescuers_0123456789abcdef",
        "role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Rescuers_of_cats_0123456789abcdef",
        "user/OrgkeeperBreakGlass",
    ],
    "deployer": ["role/AWSControlTowerExecution", "role/stacksets-exec-0123456789abcdef0123456789abcdef"],
    "audit": ["role/OrgkeeperAudit"],
    "baseline": ["role/OrgkeeperBaseline"],
    "remediation": ["role/OrgkeeperRemediation"],
    "escape": [
        "role/OrgkeeperBreakGlass",
        "role/Rescue",
        "role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_OrgkeeperBreakGlass_fedcba9876543210",
        "role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Rescuers_0123456789abcdef",
    ],
    "forwarder": ["role/StackSet-orgkeeper-alert-events-Forward-1A2B3C"],
    "root": ["root"],
    "root session": ["root"],
}
WEIGHTS = {"ordinary": 12, "deployer": 3, "audit": 2, "baseline": 2, "remediation": 2, "escape": 3, "forwarder": 2, "root": 1, "root session": 1}

ORGANIZATION = [name for name in ACCOUNTS if name == "management" or is_member(name)]
MEMBERS = [name for name in ORGANIZATION if name != "management"]
AT_WORK = {"payroll", "films", "trailers", "football", "ledger"}
KEPT = AT_WORK | {"lab"}
ALL = set(MEMBERS)
# Kinds of what is asked, accounts in which they are denied, and the callers to whom they are not.
RULES = [
    ({"leave"}, ALL, set()),
    ({"exempt-role"}, ALL, {"deployer"}),
    ({"orgkeeper-role"}, ALL, {"deployer", "baseline", "remediation"}),
    ({"stack"}, ALL, {"deployer"}),
    ({"trail"}, ALL, {"deployer", "baseline", "remediation"}),
    ({"log"}, ALL, {"deployer", "remediation"}),
    ({"detection"}, ALL - {"security"}, {"deployer", "baseline", "remediation"}),
    ({"baseline", "document"}, KEPT, {"deployer", "baseline", "remediation"}),
    ({"contact"}, KEPT, {"deployer", "baseline"}),
    ({"lasting"}, {"lab"}, {"deployer", "remediation", "escape"}),
    (set(ACTIONS), {"closing"}, {"deployer", "audit", "baseline", "remediation", "escape", "forwarder", "root session"}),
]
ROAMING = {"deployer", "audit", "baseline", "remediation", "escape"}
OPEN_REGIONS = {**{name: {HOME, "eu-central-1"} for name in AT_WORK}, "lab": {HOME}}
# Services whose every call is global, and single global calls; the second group is not for the unit Restricted.
GLOBAL, GLOBAL_AT_WORK = (
    {action.split(":")[0] if action not in single else action for action in actions}
    for single in [{"cloudtrail:LookupEvents", "ec2:DescribeRegions", "s3:GetAccountPublicAccessBlock", "s3:ListAllMyBuckets", "s3:PutAccountPublicAccessBlock", "tag:GetResources"}]
    for actions in [ACTIONS["global"]["*"] + ["s3:PutAccountPublicAccessBlock"], ACTIONS["global-but-not-restricted"]["*"]]
)
# Whose resources may be used, by the account of the caller; every account's own, and those of the first line.
TRUSTED_RESOURCES = {"partner", "vendor"}
REACH = {name: set(ORGANIZATION) for name in MEMBERS} | {
    "films": {"films", "trailers", "football"},
    "trailers": {"films", "trailers", "football"},
    "ledger": {"ledger", "football"},
}
TRUSTED_PRINCIPALS = {"partner", "auditor", "cloudfront"}
BEHIND_THE_IDENTITY_PERIMETER = {"aoss", "dynamodb", "ecr", "kms", "logs", "s3", "secretsmanager", "sqs"}


@dataclass
class Case:
    """A request: who asks for what of whom, and the row for the judge."""

    caller: str
    account: str
    kind: str
    action: str
    owner: str
    region: str
    row: dict
    source: str | None = None

    def denials(self):
        """What denies it, in words."""
        if self.caller not in ("service", "nobody") and self.account in ALL:
            yield from self.denials_of_the_caller()
        if self.owner in ALL and (self.action.split(":")[0] in BEHIND_THE_IDENTITY_PERIMETER or self.action in ("sts:AssumeRole", "sts:SetContext")):
            trusted = set(ORGANIZATION) | TRUSTED_PRINCIPALS
            if self.caller == "service":
                if self.source not in trusted | {None}:
                    yield "a service acts for an outsider"
            elif self.caller == "nobody" or self.account not in trusted:
                yield "an outsider asks"

    def denials_of_the_caller(self):
        """What binds a principal of a member account."""
        if self.caller == "root":
            yield "a root user asks"
        for kinds, accounts, exempt in RULES:
            if self.kind in kinds and self.account in accounts and self.caller not in exempt:
                yield f"{self.kind} in {self.account}"
        if self.region not in OPEN_REGIONS.get(self.account, {self.region}) and self.caller not in ROAMING and not self.is_global():
            yield f"the Region {self.region}"
        # Events go to the bus of another account.
        reach = set(ORGANIZATION) if self.caller == "forwarder" else REACH[self.account]
        inside = reach | TRUSTED_RESOURCES | {self.account, "unknown"}
        if self.kind != "aws" and self.owner not in inside and self.caller not in ("deployer", "escape"):
            yield f"a resource of {self.owner}"

    def is_global(self):
        """Whether a call has no Region, for the unit of the caller."""
        known = GLOBAL if self.account == "lab" else GLOBAL | GLOBAL_AT_WORK
        return self.action in known or self.action.split(":")[0] in known

    def answer(self):
        """What the request has to be answered."""
        return "denied" if any(self.denials()) else "allowed"


def cases(seed, count):
    """Cases at random; each action comes as often as any other."""
    chance = random.Random(seed)
    for number in range(count):
        kind, resource, action = THINGS[number % len(THINGS)]
        yield one(chance, kind, resource, action)


# Somebody who is no principal of a member account, and for whom a service acts.
FROM_OUTSIDE = [
    *(("service", "", "sns.amazonaws.com", source) for source in (None, "payroll", "stranger", "loner", "partner", "vendor")),
    ("nobody", "", "anonymous", None),
    *(("outsider", name, "role/App", None) for name in ("stranger", "loner", "partner", "vendor", "auditor")),
    ("outsider", "cloudfront", "user/CloudFront Origin Access Identity E1ABCDEF", None),
]


def every():
    """A case for each action of an ordinary principal, and for each principal an action of each kind: what chance leaves out."""
    firsts = {kind: (resource, action) for kind, resource, action in reversed(THINGS)}
    for kind, resource, action in THINGS:
        for account in ("payroll", "lab", "films", "ledger"):
            yield asked("ordinary", account, "role/Admin", kind, resource, action, "aws" if kind == "aws" else account, usual_region(kind))
        if kind == "use":
            for caller, account, name, source in FROM_OUTSIDE:
                yield asked(caller, account, name, kind, resource, action, "payroll", HOME, source)
    for caller, name in (("ordinary", "role/Admin"), ("forwarder", CALLERS["forwarder"][0])):
        for account in ("payroll", "films", "ledger"):
            for owner in [*ORGANIZATION, "stranger", "loner", "partner", "vendor", "auditor", "unknown"]:
                for bucket in ("bucket", "sc"):
                    yield asked(caller, account, name, "use", f"arn:aws:s3:::{bucket}-of-{{owner}}/a", "s3:PutObject", owner, HOME)
    for caller, names in CALLERS.items():
        for name in names:
            for kind, (resource, action) in firsts.items():
                for account in ("payroll", "lab", "closing"):
                    yield asked(caller, account, name, kind, resource, action, "aws" if kind == "aws" else account, usual_region(kind))
            for account in ("payroll", "films", "ledger"):
                for bucket in ("bucket", "sc"):
                    yield asked(caller, account, name, "use", f"arn:aws:s3:::{bucket}-of-{{owner}}/a", "s3:PutObject", "loner", HOME)
            for account, region in (("payroll", "ap-south-1"), ("lab", "eu-central-1")):
                yield asked(caller, account, name, "use", "*", "ec2:RunInstances", account, region)


def usual_region(kind):
    """Global services answer in us-east-1."""
    return "us-east-1" if kind.startswith("global") else HOME


def asked(caller, account, name, kind, resource, action, owner, region, source=None):
    """A case with a principal of an account, or with one that has none."""
    context = {}
    if caller == "root session":
        context["aws:AssumedRoot"] = "true"
    if kind == "contact":
        context["account:AlternateContactTypes"] = "SECURITY"
    principal = f"{account}:{name}" if account else name
    row = {"principal": principal, "action": action, "resource": resource.replace("{region}", region), "owner": owner, "region": region, "context": context}
    return Case(caller, account, kind, action, owner, region, row | ({"source": source} if source else {}), source)


def one(chance, kind, resource, action):
    """A case at random that asks for an action."""
    region = "us-east-1" if kind.startswith("global") else chance.choice(REGIONS)
    supported = action.split(":")[0] in BEHIND_THE_IDENTITY_PERIMETER or action.startswith("sts:")
    if kind == "use" and supported and chance.random() < 0.4:
        # Somebody asks from outside, or a service.
        caller, account, name, source = chance.choice(FROM_OUTSIDE)
        return asked(caller, account, name, kind, resource, action, chance.choice(ORGANIZATION), region, source)
    account = chance.choice(ORGANIZATION)
    caller = chance.choices(list(CALLERS), list(WEIGHTS.values()))[0]
    owner = "aws" if kind == "aws" else account
    if kind in ("use", "lasting") and "{owner}" in resource and chance.random() < 0.6:
        owner = chance.choice([*ORGANIZATION, "stranger", "loner", "partner", "vendor", "auditor", "unknown"])
    return asked(caller, account, chance.choice(CALLERS[caller]), kind, resource, action, owner, region)
