"""Security Hub's standards and their controls, by account and Region.

A standard is PENDING at first, and READY `pending_seconds` later. Switched on again it has every control on. `controls.toml` says which
control belongs to which standard, and which Region has it.
"""

import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from posture import hub, settings
from posture.wire import Refused, answering

DATA = tomllib.loads((Path(__file__).parent / "controls.toml").read_text(encoding="utf-8"))
STANDARDS = {one["id"]: one for one in DATA["standard"]}
BY_SHORT = {one["short"]: one["id"] for one in DATA["standard"]}
ENABLED, DISABLED = "ENABLED", "DISABLED"
MOST_PAIRS = 100
NOT_FOUND, DENIED, INVALID = "RESOURCE_NOT_FOUND", "ACCESS_DENIED", "INVALID_INPUT"


@dataclass(frozen=True)
class Control:
    """A control."""

    id: str
    severity: str
    standards: tuple
    title: str
    places: tuple

    @property
    def is_global(self):
        """Whether it is about resources that no Region has."""
        return "global" in self.places

    def available(self, region):
        """Whether a Region has it."""
        only = [one[1:] for one in self.places if one.startswith("=")]
        return f"-{region}" not in self.places and (not only or region in only)


def read_control(name, row):
    """A control of the data."""
    severity, standards, title, places = row
    return Control(name, severity, tuple(BY_SHORT[one] for one in standards.split()), title, tuple(places.split()))


CONTROLS = {name: read_control(name, row) for name, row in DATA["controls"].items()}


@dataclass
class Enabled:
    """A standard that is on: since when, and the controls that are off in it, with reason and time."""

    since: float = field(default_factory=time.time)
    off: dict = field(default_factory=dict)
    updated: dict = field(default_factory=dict)


# By account and Region: id of the standard -> Enabled. Without an entry it is as at first.
enabled = {}
conduct = settings.numbers("standards", {}, {"pending_seconds": 0})


def of_place(account, region):
    """The standards that an account has on in a Region."""
    if hub.since(account, region) is None:
        return {}
    if (account, region) not in enabled:
        enabled[account, region] = by_default() if hub.conduct["at_first"] == hub.ON else {}
    return enabled[account, region]


def by_default():
    """The standards that are on without a choice; ready since long."""
    return {name: Enabled(since=0) for name, one in STANDARDS.items() if one.get("default")}


def switched_on(account, region, with_standards):
    """A hub was switched on."""
    enabled[account, region] = {}
    if with_standards:
        for name in by_default():
            enabled[account, region][name] = Enabled()


def switched_off(account, region):
    """A hub was switched off."""
    enabled.pop((account, region), None)


def arn_of(name, region):
    """The ARN of a standard: CIS 1.2.0 has none of a Region."""
    return f"arn:aws:securityhub:::ruleset/{name}" if STANDARDS[name].get("ruleset") else f"arn:aws:securityhub:{region}::standards/{name}"


def name_of(arn, region):
    """The id of a standard by its ARN in a Region; None if there is none."""
    return next((name for name in STANDARDS if arn_of(name, region) == arn), None)


def subscription_arn(call, name):
    """The ARN of a standard that is on."""
    return f"arn:aws:securityhub:{call.region}:{call.account}:subscription/{name}"


def is_ready(one):
    """Whether the controls of a standard can be changed."""
    return time.time() - one.since >= conduct["pending_seconds"]


def subscription(call, name, one, status=None):
    """A standard that is on, as Security Hub shows it."""
    ready = is_ready(one)
    return {
        "StandardsSubscriptionArn": subscription_arn(call, name), "StandardsArn": arn_of(name, call.region), "StandardsInput": {},
        "StandardsStatus": status or ("READY" if ready else "PENDING"),
        "StandardsControlsUpdatable": "READY_FOR_UPDATES" if ready else "NOT_READY_FOR_UPDATES"}


def controls_of(name):
    """The controls of a standard."""
    return [one for one in CONTROLS.values() if name in one.standards]


# ---------------------------------------------------------------- standards


@answering("securityhub", "DescribeStandards")
def describe(call):
    """DescribeStandards."""
    hub.subscribed(call.account, call.region)
    return call.page([{
        "StandardsArn": arn_of(name, call.region), "Name": one["name"], "Description": one["name"],
        "EnabledByDefault": bool(one.get("default")), "StandardsManagedBy": {"Company": "AWS", "Product": "Security Hub"},
    } for name, one in STANDARDS.items()], "Standards")


@answering("securityhub", "GetEnabledStandards")
def get_enabled(call):
    """GetEnabledStandards."""
    hub.subscribed(call.account, call.region)
    wanted = call.get("StandardsSubscriptionArns")
    found = [subscription(call, name, one) for name, one in of_place(call.account, call.region).items()]
    return call.page([one for one in found if not wanted or one["StandardsSubscriptionArn"] in wanted], "StandardsSubscriptions")


@answering("securityhub", "BatchEnableStandards")
def enable(call):
    """BatchEnableStandards."""
    hub.subscribed(call.account, call.region)
    hub.refuse_if_ruled(call)
    have, answer, wanted = of_place(call.account, call.region), [], []
    for request in call.get("StandardsSubscriptionRequests"):
        name = name_of(request["StandardsArn"], call.region)
        if name is None:
            raise Refused("InvalidInputException", f"Invalid StandardsArn: {request['StandardsArn']}")
        wanted.append(name)
    for name in wanted:
        if name not in have:
            have[name] = Enabled()
        answer.append(subscription(call, name, have[name]))
    return {"StandardsSubscriptions": answer}


@answering("securityhub", "BatchDisableStandards")
def disable(call):
    """BatchDisableStandards."""
    hub.subscribed(call.account, call.region)
    hub.refuse_if_ruled(call)
    have = of_place(call.account, call.region)
    by_arn = {subscription_arn(call, name): name for name in have}
    unknown = [arn for arn in call.get("StandardsSubscriptionArns") if arn not in by_arn]
    if unknown:
        raise Refused("InvalidInputException", f"Invalid StandardsSubscriptionArn: {unknown[0]}")
    names = [by_arn[arn] for arn in call.get("StandardsSubscriptionArns")]
    return {"StandardsSubscriptions": [subscription(call, name, have.pop(name), "DELETING") for name in names]}


# ---------------------------------------------------------------- controls


def definition(control, region):
    """A control as Security Hub describes it."""
    return {
        "SecurityControlId": control.id, "Title": control.title, "Description": f"{control.title}.",
        "RemediationUrl": f"https://docs.aws.amazon.com/console/securityhub/{control.id}/remediation",
        "SeverityRating": control.severity,
        "CurrentRegionAvailability": "AVAILABLE" if control.available(region) else "UNAVAILABLE"}


@answering("securityhub", "ListSecurityControlDefinitions")
def definitions(call):
    """ListSecurityControlDefinitions."""
    hub.subscribed(call.account, call.region)
    arn, listed = call.get("StandardsArn"), list(CONTROLS.values())
    if arn is not None:
        name = name_of(arn, call.region)
        if name is None:
            raise Refused("InvalidInputException", f"Invalid StandardsArn: {arn}")
        listed = controls_of(name)
    return call.page([definition(one, call.region) for one in listed], "SecurityControlDefinitions")


@answering("securityhub", "GetSecurityControlDefinition")
def one_definition(call):
    """GetSecurityControlDefinition."""
    hub.subscribed(call.account, call.region)
    control = CONTROLS.get(call.get("SecurityControlId"))
    if control is None:
        raise Refused("ResourceNotFoundException", "The security control does not exist.")
    return {"SecurityControlDefinition": definition(control, call.region)}


@answering("securityhub", "BatchGetSecurityControls")
def get_controls(call):
    """BatchGetSecurityControls."""
    hub.subscribed(call.account, call.region)
    found, unprocessed, have = [], [], of_place(call.account, call.region)
    for name in call.get("SecurityControlIds"):
        control = CONTROLS.get(name.rpartition("/")[2])
        if control is None or not control.available(call.region):
            unprocessed.append({"SecurityControlId": name, "ErrorCode": NOT_FOUND, "ErrorReason": "The control does not exist here."})
            continue
        on = any(standard in have and control.id not in have[standard].off for standard in control.standards)
        shown = definition(control, call.region)
        shown.pop("CurrentRegionAvailability")
        found.append({**shown, "SecurityControlArn": control_arn(call, control), "SecurityControlStatus": ENABLED if on else DISABLED})
    return {"SecurityControls": found, "UnprocessedIds": unprocessed}


def control_arn(call, control):
    """The ARN of a control in an account and Region."""
    return f"arn:aws:securityhub:{call.region}:{call.account}:security-control/{control.id}"


def association(call, control, name):
    """Whether a control is on in a standard, as Security Hub shows it."""
    one = of_place(call.account, call.region)[name]
    reason, moment = one.off.get(control.id), one.updated.get(control.id)
    return {
        "StandardsArn": arn_of(name, call.region), "SecurityControlId": control.id, "SecurityControlArn": control_arn(call, control),
        "AssociationStatus": ENABLED if reason is None else DISABLED, "RelatedRequirements": [], "UpdatedReason": reason or None,
        "UpdatedAt": moment or one.since, "StandardsControlTitle": control.title, "StandardsControlDescription": f"{control.title}."}


def problem(call, pair):
    """Why a pair of standard and control cannot be read, as code and words; None if it can."""
    name = name_of(pair["StandardsArn"], call.region)
    control = CONTROLS.get(pair["SecurityControlId"])
    if name is None:
        return INVALID, "The standard does not exist."
    if control is None or name not in control.standards:
        return NOT_FOUND, "The security control does not exist in the standard."
    if name not in of_place(call.account, call.region):
        return NOT_FOUND, "The standard is not enabled."
    if not control.available(call.region):
        return INVALID, "The security control is not available in this Region."
    return None


@answering("securityhub", "BatchGetStandardsControlAssociations")
def get_associations(call):
    """BatchGetStandardsControlAssociations."""
    hub.subscribed(call.account, call.region)
    pairs, found, unprocessed = limited(call.get("StandardsControlAssociationIds")), [], []
    for pair in pairs:
        wrong = problem(call, pair)
        if wrong:
            unprocessed.append({"StandardsControlAssociationId": pair, "ErrorCode": wrong[0], "ErrorReason": wrong[1]})
        else:
            name, control = name_of(pair["StandardsArn"], call.region), CONTROLS[pair["SecurityControlId"]]
            found.append({**association(call, control, name), "StandardsControlArns": []})
    return {"StandardsControlAssociationDetails": found, "UnprocessedAssociations": unprocessed}


@answering("securityhub", "ListStandardsControlAssociations")
def list_associations(call):
    """ListStandardsControlAssociations."""
    hub.subscribed(call.account, call.region)
    control = CONTROLS.get(call.get("SecurityControlId"))
    if control is None:
        raise Refused("InvalidInputException", f"Invalid SecurityControlId: {call.get('SecurityControlId')}")
    have = of_place(call.account, call.region)
    listed = [association(call, control, name) for name in control.standards if name in have and control.available(call.region)]
    return call.page(listed, "StandardsControlAssociationSummaries")


@answering("securityhub", "BatchUpdateStandardsControlAssociations")
def update_associations(call):
    """BatchUpdateStandardsControlAssociations."""
    hub.subscribed(call.account, call.region)
    unprocessed = []
    for update in limited(call.get("StandardsControlAssociationUpdates")):
        wrong = problem(call, update)
        if wrong is None and any(ruled(call.account, call.region) for ruled in hub.followers["ruled"]):
            wrong = DENIED, "A configuration policy of the delegated administrator decides about this control."
        name = name_of(update["StandardsArn"], call.region)
        one = of_place(call.account, call.region).get(name)
        if wrong is None and not is_ready(one):
            wrong = INVALID, "The standard is not ready: NOT_READY_FOR_UPDATES."
        if wrong:
            unprocessed.append({"StandardsControlAssociationUpdate": update, "ErrorCode": wrong[0], "ErrorReason": wrong[1]})
            continue
        if update["AssociationStatus"] == DISABLED:
            one.off[update["SecurityControlId"]] = update.get("UpdatedReason", "")
        else:
            one.off.pop(update["SecurityControlId"], None)
        one.updated[update["SecurityControlId"]] = time.time()
    return {"UnprocessedAssociationUpdates": unprocessed}


def limited(pairs):
    """Refuses more pairs in a call than are safe."""
    if len(pairs) > MOST_PAIRS:
        raise Refused("InvalidInputException", f"A call takes at most {MOST_PAIRS} pairs of standard and control.")
    return pairs




hub.followers["on"].append(switched_on)
hub.followers["off"].append(switched_off)
hub.followers.setdefault("forget", []).append(enabled.clear)
