"""Forms of the local cloud in which the other accounts get what they have by stack sets.

ORGKEEPER_FORM=split has `cloud.py up` deploy orgkeeper to a management, a security and a service account; ORGKEEPER_FORM=baseline
all flows to the management account, with the baseline flow; ORGKEEPER_FORM=posture the same with the posture flow. The templates are deployed as they are written, with samconfig.toml's
environment of each account. `FORMS` has one row for each deployment, in an order in which nothing has to be deployed twice.
`split.json` in the state folder says where everything is.
"""

import time
import tomllib
from dataclasses import dataclass
from typing import Callable

import organization

HOME = "us-east-1"
OTHER_REGION = "eu-central-1"
STACK_SET_SECONDS = 120
FILL_IN = "FILL-IN"

# The accounts of the example organization that can have a part; the management account is none of its members.
PARTS = {"security": "security-tooling", "service": "shared-services"}

# What a form deploys by stack sets, and in which Regions.
STACK_SETS = {
    "split": {"orgkeeper-alert-events": (HOME, OTHER_REGION), "orgkeeper-member-account": (HOME,)},
    "baseline": {"orgkeeper-alert-events": (HOME, OTHER_REGION), "orgkeeper-baseline-events": (HOME, OTHER_REGION),
                 "orgkeeper-member-account": (HOME,)},
    "posture": {"orgkeeper-alert-events": (HOME, OTHER_REGION), "orgkeeper-posture-events": (HOME, OTHER_REGION),
                "orgkeeper-member-account": (HOME,)},
}


@dataclass(frozen=True)
class Stack:
    """One deployment: whose, of what, and with which parameters beside those of samconfig.toml."""

    part: str
    name: str
    template: str
    parameters: Callable[[dict], dict]
    region: str = HOME
    # The environment of samconfig.toml.
    environment: str | None = None


def alerts_bus(facts):
    """The bus that other accounts forward to."""
    return f"arn:aws:events:{HOME}:{facts['management']}:event-bus/orgkeeper-alerts"


def surveyor(facts):
    """The role that reads what accounts expose."""
    return f"arn:aws:iam::{facts['management']}:role/orgkeeper-OrganizationSurveyor"


def keeper(facts):
    """The role that keeps settings."""
    return f"arn:aws:iam::{facts['management']}:role/orgkeeper-PostureKeeper"


def common(facts):
    """What every account of the stack says."""
    return {"Architecture": "x86_64", "OrganizationId": facts["organization"], "ErrorEmail": "platform@example.com"}


SPLIT = (
    Stack("service", "orgkeeper", "template.yaml", environment="service", parameters=lambda facts: {
        **common(facts), "SecurityAccountId": facts["security"]}),
    Stack("security", "orgkeeper", "template.yaml", environment="security", parameters=lambda facts: {
        **common(facts), "BatchingWindowSeconds": "1", "ManagementAccountId": facts["management"],
        "ServiceAccountId": facts["service"], "RemediationMode": "auto"}),
    Stack("management", "orgkeeper-contact-role", "infra/contact-role.yaml", parameters=lambda facts: {
        "SecurityAccountId": facts["security"], "OrganizationId": facts["organization"]}),
    Stack("management", "orgkeeper", "template.yaml", environment="management", parameters=lambda facts: {
        **common(facts), "BurstSeconds": "10", "WebhookParameter": facts["webhook"], "CriticalEmail": "on-call@example.com"}),
    Stack("management", "orgkeeper-forwarding", "infra/forwarding.yaml", parameters=lambda facts: {
        "AlertsBusArn": alerts_bus(facts), "OrganizationalUnitIds": facts["root"], "Regions": f"{HOME},{OTHER_REGION}",
        "OrganizationBusArn": f"arn:aws:events:{HOME}:{facts['security']}:event-bus/default",
        "ServiceAccountId": facts["service"], "OrganizationId": facts["organization"]}),
    Stack("management", "orgkeeper-forwarding", "infra/forwarding.yaml", region=OTHER_REGION, parameters=lambda facts: {
        "AlertsBusArn": alerts_bus(facts)}),
)

BASELINE = (
    Stack("management", "orgkeeper", "template.yaml", environment="local", parameters=lambda facts: {
        **facts["one"], "OrganizationId": facts["organization"], "BaselineFlow": "on", "BaselineMode": "apply"}),
    Stack("management", "orgkeeper-forwarding", "infra/forwarding.yaml", parameters=lambda facts: {
        "AlertsBusArn": alerts_bus(facts), "OrganizationalUnitIds": facts["root"], "Regions": f"{HOME},{OTHER_REGION}",
        "BaselineBusArn": f"arn:aws:events:{HOME}:{facts['management']}:event-bus/orgkeeper-baseline",
        "BaselineRoleArn": f"arn:aws:iam::{facts['management']}:role/orgkeeper-AccountHydrator",
        "OrganizationId": facts["organization"]}),
)

POSTURE = (
    Stack("management", "orgkeeper", "template.yaml", environment="local", parameters=lambda facts: {
        **facts["one"], "OrganizationId": facts["organization"], "PostureFlow": "on"}),
    Stack("management", "orgkeeper-forwarding", "infra/forwarding.yaml", parameters=lambda facts: {
        "AlertsBusArn": alerts_bus(facts), "OrganizationalUnitIds": facts["root"], "Regions": f"{HOME},{OTHER_REGION}",
        "PostureBusArn": f"arn:aws:events:{HOME}:{facts['management']}:event-bus/orgkeeper-posture",
        "AuditRoleArn": surveyor(facts), "PostureRoleArn": keeper(facts), "OrganizationId": facts["organization"]}),
    # No stack set reaches the management account.
    Stack("management", "orgkeeper-member-account", "infra/member-account.yaml", parameters=lambda facts: {
        "AuditRoleArn": surveyor(facts), "PostureRoleArn": keeper(facts), "OrganizationId": facts["organization"]}),
)

FORMS = {"split": SPLIT, "baseline": BASELINE, "posture": POSTURE}


def facts_of(ids, management, webhook, one):
    """What the parameters are made of; `one` are those of the form in which one account has everything."""
    accounts = {part: ids["accounts"][name] for part, name in PARTS.items()}
    return {"management": management, "organization": ids["organization_id"], "root": ids["root_id"], "webhook": webhook,
            "one": dict(parameter.split("=", 1) for parameter in one), **accounts}


def overrides(samconfig, stack, facts):
    """The parameters of a deployment, for the SAM CLI: those of samconfig.toml, with what is to be filled in."""
    stated = {}
    if stack.environment:
        with open(samconfig, "rb") as file:
            listed = tomllib.load(file)[stack.environment]["deploy"]["parameters"]["parameter_overrides"]
        stated = dict(one.split("=", 1) for one in listed)
    found = {**stated, **stack.parameters(facts)}
    missing = [name for name, value in found.items() if value == FILL_IN]
    if missing:
        raise ValueError(f"{stack.name} in the {stack.part} account has no {', '.join(missing)}")
    return [f"{name}={value}" for name, value in found.items()]


def instances(stacks, names):
    """The instances of the stack sets, as (stack set, account, Region, status)."""
    return [
        (name, one["Account"], one["Region"], one["Status"])
        for name in names for one in stacks.list_stack_instances(StackSetName=name)["Summaries"]]


def wait_for_stack_sets(form, stacks, accounts, shows):
    """Waits until every other account has what the stack sets deploy; returns a sentence about what is missing."""
    sets = STACK_SETS[form]
    wanted = {(name, account, region) for name, regions in sets.items() for account in accounts for region in regions}
    deadline = time.monotonic() + STACK_SET_SECONDS
    while True:
        current = {one[:3] for one in instances(stacks, sets) if one[3] == "CURRENT"}
        missing = wanted - current
        shows(f"stack sets: {len(current)} of {len(wanted)} stacks")
        if not missing or time.monotonic() > deadline:
            return f"these stacks are missing: {sorted(missing)}" if missing else None
        time.sleep(0.5)


def members(ids):
    """The ids of the active accounts but for the management account."""
    closed = {account.name for account in organization.ACCOUNTS if account.closed}
    return [account for name, account in ids["accounts"].items() if name not in closed]
