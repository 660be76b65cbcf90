"""Security Hub's central configuration: policies that the delegated administrator associates with accounts, units and the root, in
the home Region and all linked ones.

An association is PENDING first; `pending_seconds` later its accounts have the standards and controls of the policy, or it has FAILED with
the words that a test has set for the account (`failing`), half applied. What is nearest above an account decides, and nothing merges.
"""

import time
import uuid
from dataclasses import dataclass, field

from posture import administrators, aggregators, directory, hub, settings, standards
from posture.wire import Refused, answering, before

SELF_MANAGED = "SELF_MANAGED_SECURITY_HUB"
APPLIED, INHERITED = "APPLIED", "INHERITED"
PENDING, SUCCESS, FAILED = "PENDING", "SUCCESS", "FAILED"
MOST_POLICIES = 20
KINDS = {"AccountId": "ACCOUNT", "OrganizationalUnitId": "ORGANIZATIONAL_UNIT", "RootId": "ROOT"}
NOT_CENTRAL = "Must be a Security Hub delegated administrator with Central Configuration enabled"


@dataclass
class Policy:
    """A configuration policy."""

    id: str
    arn: str
    name: str
    description: str
    content: dict
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)

    @property
    def settings(self):
        """What it says about Security Hub."""
        return self.content["SecurityHub"]

    def shown(self):
        """As Security Hub shows it."""
        return {"Id": self.id, "Arn": self.arn, "Name": self.name, "Description": self.description, "ConfigurationPolicy": self.content,
                "CreatedAt": self.created, "UpdatedAt": self.updated}


@dataclass
class Ruled:
    """What an account was last to get: the policy with its version, since when, whether it was done, and what went wrong."""

    version: tuple
    since: float = field(default_factory=time.time)
    done: bool = False
    error: str = None


policies, associations, ruled = {}, {}, {}
conduct = {}
AT_FIRST = {"pending_seconds": 0, "failing": {}}


def central_place():
    """Account and home Region of the central configuration; None if there is none."""
    for (service, region), place in administrators.places.items():
        if service == "securityhub" and place.administrator and place.details["type"] == hub.CENTRAL:
            return place.administrator, region
    return None


def regions():
    """The home Region and those that are linked to it."""
    account, home = central_place()
    own = aggregators.aggregators.get(account)
    return [home, *(own.linked(account) if own else [])]


def ruling(account, tree=None):
    """What rules an account or unit: the target above it that has an association, and the policy; the root is self-managed at first."""
    chain = directory.above(account, tree)
    for target in chain:
        if target in associations:
            return target, associations[target]
    return (chain[-1] if chain else None), SELF_MANAGED


def rules(account, region):
    """Whether a policy rules an account in a Region."""
    return central_place() is not None and region in regions() and ruling(account)[1] != SELF_MANAGED


# ---------------------------------------------------------------- the effect


def settle():
    """Gives each account what rules it, when it is due."""
    if central_place() is None:
        return
    tree, now = directory.targets(), time.time()
    for account in directory.members():
        _target, policy = ruling(account, tree)
        version = (policy, policies[policy].updated if policy in policies else 0)
        known = ruled.get(account)
        if known is None or known.version != version:
            known = ruled[account] = Ruled(version, now)
        if not known.done and now - known.since >= conduct["pending_seconds"]:
            known.done, known.error = True, conduct["failing"].get(account)
            if policy in policies:
                apply(account, policies[policy], regions()[:1] if known.error else regions())


def apply(account, policy, places):
    """Gives an account what a policy says, in these Regions."""
    wanted, home = policy.settings, central_place()[1]
    for region in places:
        place = administrators.places["securityhub", region]
        if not wanted["ServiceEnabled"]:
            hub.switch_off(account, region)
            continue
        if account != place.administrator:
            place.members.setdefault(account, administrators.Member())
        hub.switch_on(account, region, False)
        have = standards.of_place(account, region)
        names = [standards.name_of(arn, home) for arn in wanted["EnabledStandardIdentifiers"]]
        for name in set(have) - set(names):
            have.pop(name)
        for name in names:
            have.setdefault(name, standards.Enabled()).off = {
                one.id: "configuration policy" for one in standards.controls_of(name)
                if is_off(one.id, wanted["SecurityControlsConfiguration"]) or (one.is_global and region != home)}


def is_off(control, configuration):
    """Whether a policy switches a control off."""
    if "EnabledSecurityControlIdentifiers" in configuration:
        return control not in configuration["EnabledSecurityControlIdentifiers"]
    return control in configuration.get("DisabledSecurityControlIdentifiers", [])


# ---------------------------------------------------------------- the switch


@answering("securityhub", "DescribeOrganizationConfiguration")
def describe(call):
    """DescribeOrganizationConfiguration."""
    hub.subscribed(call.account, call.region)
    place = administrators.of_administrator(call)
    waiting = time.time() - place.details["since"] < conduct["pending_seconds"]
    return {"AutoEnable": place.automatic != administrators.NONE, "MemberAccountLimitReached": False,
            "AutoEnableStandards": place.details["standards"], "OrganizationConfiguration": {
                "ConfigurationType": place.details["type"], "Status": "PENDING" if waiting else "ENABLED"}}


@answering("securityhub", "UpdateOrganizationConfiguration")
def update(call):
    """UpdateOrganizationConfiguration."""
    hub.subscribed(call.account, call.region)
    place = administrators.of_administrator(call)
    automatic, kind = call.get("AutoEnable"), call.get("OrganizationConfiguration", {}).get("ConfigurationType")
    given = call.get("AutoEnableStandards", hub.DEFAULT if automatic else hub.NONE)
    kind = kind or place.details["type"]
    if kind == hub.CENTRAL:
        check_central(call, automatic, given)
    elif place.details["type"] == hub.CENTRAL:
        # The settings stay, the policies and their associations do not rule any more.
        associations.clear()
        ruled.clear()
    if kind != place.details["type"]:
        place.details["since"] = time.time()
    place.details.update(standards=given, type=kind)
    administrators.automatic("securityhub", call.region, administrators.NEW if automatic else administrators.NONE)


def check_central(call, automatic, given):
    """Refuses central configuration without what it needs."""
    if automatic or given != hub.NONE:
        raise Refused("InvalidInputException", "Auto Enable and AutoEnableStandards can not be enabled for Central Configuration")
    if call.account == directory.management(call.account):
        raise Refused("InvalidInputException", "The delegated administrator has to be a member account for Central Configuration.")
    own = aggregators.aggregators.get(call.account)
    if own is None or not own.linked(call.account):
        raise Refused("ResourceNotFoundException",
                      "Central Configuration needs a finding aggregator with a home Region and at least one linked Region.")
    if own.home != call.region:
        raise Refused("InvalidInputException", f"Central Configuration is set in the home Region {own.home}.")


def of_central(call):
    """Refuses a call of anybody but the administrator in the home Region of a central configuration."""
    hub.subscribed(call.account, call.region)
    if central_place() != (call.account, call.region):
        raise Refused("AccessDeniedException", NOT_CENTRAL)


# ---------------------------------------------------------------- policies


def checked(call, content):
    """The content of a policy, if it is complete and names what exists."""
    wanted = content.get("SecurityHub", {})
    on, configuration = wanted.get("ServiceEnabled"), wanted.get("SecurityControlsConfiguration", {})
    arns = wanted.get("EnabledStandardIdentifiers")
    lists = [name for name in ("EnabledSecurityControlIdentifiers", "DisabledSecurityControlIdentifiers") if name in configuration]
    if on is None:
        raise Refused("InvalidInputException", "ServiceEnabled is required")
    # A list may be empty, but not be absent.
    if on and (arns is None or not lists):
        raise Refused("InvalidInputException",
                      "Enabled standards and security control configurations must be configured if Security Hub is enabled")
    if not on and (arns or configuration):
        raise Refused("InvalidInputException",
                      "Enabled standards and security control configurations cannot be configured if Security Hub is disabled")
    if len(lists) > 1:
        raise Refused("InvalidInputException", "Either enabled or disabled security controls can be configured, not both")
    unknown = [arn for arn in arns or [] if standards.name_of(arn, call.region) is None]
    unknown += [control for name in lists for control in configuration[name] if control not in standards.CONTROLS]
    if unknown:
        raise Refused("InvalidInputException", f"Invalid identifier: {unknown[0]}")
    return {"SecurityHub": {"ServiceEnabled": on, **({"EnabledStandardIdentifiers": arns, "SecurityControlsConfiguration": configuration}
                                                     if on else {})}}


def policy_of(identifier):
    """A policy by its id or ARN."""
    found = next((one for one in policies.values() if identifier in (one.id, one.arn)), None)
    if found is None:
        raise Refused("ResourceNotFoundException", f"The configuration policy {identifier} does not exist")
    return found


def refuse_same_name(name, own=None):
    """Refuses a second policy of one name."""
    if any(one.name == name and one is not own for one in policies.values()):
        raise Refused("ResourceConflictException", f"A configuration policy with the name {name} already exists")


@answering("securityhub", "CreateConfigurationPolicy")
def create_policy(call):
    """CreateConfigurationPolicy."""
    of_central(call)
    content = checked(call, call.get("ConfigurationPolicy"))
    refuse_same_name(call.get("Name"))
    if len(policies) >= MOST_POLICIES:
        raise Refused("LimitExceededException", f"There are {MOST_POLICIES} configuration policies already")
    name = str(uuid.uuid4())
    arn = f"arn:aws:securityhub:{call.region}:{call.account}:configuration-policy/{name}"
    policies[name] = made = Policy(name, arn, call.get("Name"), call.get("Description", ""), content)
    return made.shown()


@answering("securityhub", "UpdateConfigurationPolicy")
def update_policy(call):
    """UpdateConfigurationPolicy."""
    of_central(call)
    policy = policy_of(call.get("Identifier"))
    if call.get("ConfigurationPolicy") is not None:
        policy.content = checked(call, call.get("ConfigurationPolicy"))
    refuse_same_name(call.get("Name", policy.name), policy)
    policy.name, policy.description = call.get("Name", policy.name), call.get("Description", policy.description)
    policy.updated = time.time()
    return policy.shown()


@answering("securityhub", "GetConfigurationPolicy")
def get_policy(call):
    """GetConfigurationPolicy."""
    of_central(call)
    return policy_of(call.get("Identifier")).shown()


@answering("securityhub", "ListConfigurationPolicies")
def list_policies(call):
    """ListConfigurationPolicies."""
    of_central(call)
    return call.page([{
        "Id": one.id, "Arn": one.arn, "Name": one.name, "Description": one.description, "UpdatedAt": one.updated,
        "ServiceEnabled": one.settings["ServiceEnabled"]} for one in policies.values()], "ConfigurationPolicySummaries")


@answering("securityhub", "DeleteConfigurationPolicy")
def delete_policy(call):
    """DeleteConfigurationPolicy."""
    of_central(call)
    policy = policy_of(call.get("Identifier"))
    if policy.id in associations.values():
        raise Refused("ResourceConflictException", "The configuration policy is associated with a target: disassociate it first")
    policies.pop(policy.id)


# ---------------------------------------------------------------- associations


def target_of(target):
    """The id of the target of a call."""
    ids = [target[name] for name in KINDS if target.get(name)]
    if len(ids) != 1:
        raise Refused("InvalidInputException", "A target is one of AccountId, OrganizationalUnitId and RootId")
    if ids[0] not in directory.targets() or kind_of(ids[0]) != KINDS[next(name for name in KINDS if target.get(name))]:
        raise Refused("ResourceNotFoundException", f"The target {ids[0]} does not exist")
    return ids[0]


def kind_of(target):
    """The kind of a target."""
    return "ROOT" if target.startswith("r-") else "ORGANIZATIONAL_UNIT" if target.startswith("ou-") else "ACCOUNT"


def association(target):
    """What rules a target, as Security Hub shows it: the status of a unit is that of what is below it."""
    source, policy = ruling(target)
    below = [ruled[one] for one in directory.accounts_below(target) if one in ruled and ruling(one)[0] == source]
    failed = [one for one in below if one.done and one.error]
    status = PENDING if any(not one.done for one in below) else FAILED if failed else SUCCESS
    return {
        "ConfigurationPolicyId": policy, "TargetId": target, "TargetType": kind_of(target),
        "AssociationType": APPLIED if source == target else INHERITED, "AssociationStatus": status,
        "AssociationStatusMessage": failed[0].error if status == FAILED else None,
        "UpdatedAt": max((one.since for one in below), default=time.time())}


@answering("securityhub", "StartConfigurationPolicyAssociation")
def associate(call):
    """StartConfigurationPolicyAssociation."""
    of_central(call)
    target, policy = target_of(call.get("Target")), call.get("ConfigurationPolicyIdentifier")
    policy = policy if policy == SELF_MANAGED else policy_of(policy).id
    changed = associations.get(target) != policy
    associations[target] = policy
    retry(target, changed)
    settle()
    # As AWS answers: the change is on its way.
    return {**association(target), "AssociationStatus": PENDING, "AssociationStatusMessage": None}


def retry(target, changed):
    """Starts again with the accounts that are to change, and with those that failed."""
    for account in directory.accounts_below(target):
        if ruling(account)[0] == target and account in ruled and (changed or ruled[account].error):
            ruled.pop(account)


@answering("securityhub", "StartConfigurationPolicyDisassociation")
def disassociate(call):
    """StartConfigurationPolicyDisassociation."""
    of_central(call)
    target, policy = target_of(call.get("Target", {})), call.get("ConfigurationPolicyIdentifier")
    policy = policy if policy == SELF_MANAGED else policy_of(policy).id
    if associations.get(target) != policy:
        raise Refused("ResourceNotFoundException", f"The policy {policy} is not associated with the target {target}")
    associations.pop(target)
    settle()


@answering("securityhub", "GetConfigurationPolicyAssociation")
def get_association(call):
    """GetConfigurationPolicyAssociation."""
    of_central(call)
    return association(target_of(call.get("Target")))


@answering("securityhub", "BatchGetConfigurationPolicyAssociations")
def get_associations(call):
    """BatchGetConfigurationPolicyAssociations."""
    of_central(call)
    found, unprocessed = [], []
    for one in call.get("ConfigurationPolicyAssociationIdentifiers"):
        try:
            found.append(association(target_of(one.get("Target", {}))))
        except Refused as refused:
            unprocessed.append({"ConfigurationPolicyAssociationIdentifiers": one, "ErrorCode": "RESOURCE_NOT_FOUND"
                                if refused.code == "ResourceNotFoundException" else "INVALID_INPUT", "ErrorReason": refused.message})
    return {"ConfigurationPolicyAssociations": found, "UnprocessedConfigurationPolicyAssociations": unprocessed}


@answering("securityhub", "ListConfigurationPolicyAssociations")
def list_associations(call):
    """ListConfigurationPolicyAssociations."""
    of_central(call)
    wanted = call.get("Filters", {})
    listed = [association(target) for target in directory.targets()]
    names = ("ConfigurationPolicyId", "AssociationType", "AssociationStatus")
    listed = [one for one in listed if all(wanted.get(name) in (None, one[name]) for name in names)]
    return call.page(listed, "ConfigurationPolicyAssociationSummaries")


# ---------------------------------------------------------------- settings


def set_conduct(value):
    """{"pending_seconds": 2, "failing": {"222222222222": "words"}}."""
    if set(value) - set(AT_FIRST) or not isinstance(value.get("failing", {}), dict):
        raise ValueError(f"set central to {', '.join(AT_FIRST)}")
    conduct.update(AT_FIRST, **value)


def report():
    """What is set, and what rules which target."""
    return {**conduct, "policies": {one.id: one.name for one in policies.values()}, "associations": dict(associations)}


def forget():
    """Everything as at first."""
    conduct.update(AT_FIRST)
    for store in (policies, associations, ruled):
        store.clear()


def settle_all(region):
    """Before each call to Security Hub."""
    administrators.settle("securityhub", region)
    settle()


forget()
settings.part("central", report, set_conduct, forget)
hub.followers["ruled"].append(rules)
hub.followers["forget"].append(forget)
before["securityhub"] = settle_all
