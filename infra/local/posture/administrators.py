"""The services that one account administers for all others, by one table: who the administrator is in a Region, what new accounts
get, and who is a member.

A new account of the organization becomes a member with the next call to the service in that Region, if the administrator has
switched that on. New members of Detective can be set to be without data (`status` of the settings).
"""

import time
import uuid
from dataclasses import dataclass, field
from functools import partial

from moto.guardduty.models import guardduty_backends

from posture import directory, hub, principals, settings
from posture.wire import Refused, answering, before, whole_services

ALL, NEW, NONE = "ALL", "NEW", "NONE"
ENABLED, DISABLED = "ENABLED", "DISABLED"
WAITING = "ACCEPTED_BUT_DISABLED"
SCANS = {"EC2": "ec2", "ECR": "ecr", "LAMBDA": "lambda", "LAMBDA_CODE": "lambdaCode", "CODE_REPOSITORY": "codeRepository"}


@dataclass
class Member:
    """An account that the administrator of a service has."""

    status: str = ENABLED
    reason: str = None
    since: float = field(default_factory=time.time)


@dataclass
class Place:
    """A service in one Region."""

    administrator: str = None
    since: float = 0
    # What new accounts get: NONE, NEW or ALL, and details as the service has them.
    automatic: str = NONE
    details: dict = field(default_factory=dict)
    members: dict = field(default_factory=dict)
    # The accounts that were there when it was last looked.
    known: set = field(default_factory=set)


@dataclass(frozen=True)
class Service:
    """How a service names what all of them have. `denied` is its error for everybody else, `invalid` that for wrong input."""

    name: str
    principal: str
    denied: str
    invalid: str
    enable: str
    disable: str
    list: str
    given: str
    listed: str
    shown: object
    # What the administrator and members have switched on, as functions of account and Region.
    switch_on: object
    management_may: bool = True
    echo: bool = False
    # Whether its administrator stays registered in Organizations, until somebody ends that there: in all Regions at once.
    stays: bool = False


def switch_detector_on(account, region):
    """GuardDuty: a detector."""
    backend = guardduty_backends[account][region]
    if not backend.detectors:
        backend.create_detector(True, "SIX_HOURS", {}, {}, [])


def switch_graph_on(account, region):
    """Detective: a graph, of the administrator only."""
    if places["detective", region].administrator == account:
        graphs.setdefault((account, region), Graph(account, region))


def switch_macie_on(account, region):
    """Macie: a session."""
    sessions.setdefault((account, region), {"status": ENABLED, "createdAt": time.time(), "findingPublishingFrequency": "FIFTEEN_MINUTES"})


def switch_scans_on(_account, _region):
    """Inspector: nothing, until somebody enables scans."""


def switch_hub_on(account, region):
    """Security Hub: a hub, but for the management account, which has to do that itself."""
    place = places["securityhub", region]
    if account == place.administrator or account != directory.management(account):
        hub.switch_on(account, region, account == place.administrator or place.details["standards"] == hub.DEFAULT)


class Graph:
    """A behavior graph of Detective."""

    def __init__(self, account, region):
        self.arn = f"arn:aws:detective:{region}:{account}:graph:{uuid.uuid4().hex}"
        self.since = time.time()


def detective_administrator(place, region):
    """The administrator as Detective shows it."""
    graph = graphs.get((place.administrator, region))
    return {"AccountId": place.administrator, "GraphArn": graph and graph.arn, "DelegationTime": place.since}


BY_ACCOUNT = ("EnableOrganizationAdminAccount", "DisableOrganizationAdminAccount", "ListOrganizationAdminAccounts")
SERVICES = {one.name: one for one in (
    Service("guardduty", "guardduty.amazonaws.com", "BadRequestException", "BadRequestException", *BY_ACCOUNT, "AdminAccountId",
            "AdminAccounts", lambda place, _: {"AdminAccountId": place.administrator, "AdminStatus": ENABLED}, switch_detector_on),
    Service("detective", "detective.amazonaws.com", "AccessDeniedException", "ValidationException", *BY_ACCOUNT, "AccountId",
            "Administrators", detective_administrator, switch_graph_on, management_may=False, stays=True),
    Service("macie2", "macie.amazonaws.com", "AccessDeniedException", "ValidationException", *BY_ACCOUNT, "adminAccountId",
            "adminAccounts", lambda place, _: {"accountId": place.administrator, "status": ENABLED}, switch_macie_on),
    Service("inspector2", "inspector2.amazonaws.com", "AccessDeniedException", "ValidationException", "EnableDelegatedAdminAccount",
            "DisableDelegatedAdminAccount", "ListDelegatedAdminAccounts", "delegatedAdminAccountId", "delegatedAdminAccounts",
            lambda place, _: {"accountId": place.administrator, "status": ENABLED}, switch_scans_on, echo=True),
    Service("securityhub", "securityhub.amazonaws.com", "InvalidAccessException", "InvalidInputException", *BY_ACCOUNT,
            "AdminAccountId", "AdminAccounts", lambda place, _: {"AccountId": place.administrator, "Status": ENABLED},
            switch_hub_on),
)}

places, graphs, sessions, scans = {}, {}, {}, {}
# What a test sets: the status that new members of Detective get, and accounts that a policy of the organization keeps Inspector from.
conduct = {}
# For so many seconds after a service has its first administrator it registers it, and refuses other Regions.
AT_FIRST = {"status": ENABLED, "reason": None, "inspector_blocked": [], "registering_seconds": 0}


class Places(dict):
    """A place for each service and Region, made when it is asked for."""

    def __missing__(self, key):
        service, _region = key
        self[key] = place = Place(known=set(directory.members()))
        if service == "securityhub":
            hub.begin(place)
        return place


places = Places()


def place_of(call):
    """The place of a call."""
    return places[call.service, call.region]


def of_management(call):
    """Refuses a call of another account than the management account; returns moto's organization."""
    backend = directory.backend_of(call.account)
    if backend is None or backend.org.master_account_id != call.account:
        raise Refused(SERVICES[call.service].denied, f"Account {call.account} is not the management account of an organization")
    return backend


def of_administrator(call):
    """Refuses a call of another account than the administrator; returns the place."""
    place = place_of(call)
    if place.administrator != call.account:
        raise Refused(SERVICES[call.service].denied, f"Account {call.account} is not an administrator for this organization")
    return place


def registered(service):
    """The administrator in Organizations, of a service that leaves it there. Where it was ended, it is so in every Region."""
    if not service.stays:
        return set()
    found = set(directory.administrators(service.principal))
    for key in [key for key, one in places.items() if key[0] == service.name and one.administrator not in {None, *found}]:
        graphs.pop((places.pop(key).administrator, key[1]), None)
    return found


def enable_administrator(service, call):
    """Makes an account the administrator in a Region: one, and the same in all."""
    backend, account = of_management(call), call.get(service.given)
    if account not in directory.members():
        raise Refused(service.invalid, f"Account {account} is not a member of the organization.")
    if account == call.account and not service.management_may:
        raise Refused(service.invalid, "The management account cannot be the delegated administrator.")
    known, place = registered(service), place_of(call)
    elsewhere = (known | {one.administrator for (name, _), one in places.items() if name == service.name}) - {None, account}
    code = "ConflictException" if service.name == "inspector2" else service.invalid
    others = [one.since for (name, region), one in places.items()
              if (name, one.administrator) == (service.name, account) and region != call.region]
    if others and time.time() - min(others) < conduct["registering_seconds"]:
        raise Refused(code, f"Account {account} is being registered as the delegated administrator. Try again later.")
    if elsewhere:
        raise Refused(code, f"Account {', '.join(elsewhere)} is the delegated administrator already: it has to be the same in all Regions.")
    if service.name == "securityhub" and account == call.account and hub.conduct["ended"]:
        # It is that everywhere again, as at first.
        hub.conduct["ended"] = False
        for key in [key for key, one in places.items() if key[0] == service.name and one.administrator is None]:
            del places[key]
        place = place_of(call)
    if place.administrator is None:
        place.administrator, place.since, place.known = account, time.time(), set(directory.members())
        principals.delegate(backend, account, service.principal)
        service.switch_on(account, call.region)
    return {service.given: account} if service.echo else {}


def disable_administrator(service, call):
    """Ends the administration in a Region. Of Detective that deletes the graph."""
    backend, place, account = of_management(call), place_of(call), call.get(service.given)
    if place.administrator is None or (account or place.administrator) != place.administrator:
        code = "ResourceNotFoundException" if service.name in ("inspector2", "macie2") else service.invalid
        raise Refused(code, f"Account {account} is not the delegated administrator.")
    account = place.administrator
    if service.name == "detective":
        graphs.pop((account, call.region), None)
    if service.name == "securityhub" and account == call.account and not hub.conduct["ended"]:
        # It was that everywhere, without having been made it.
        hub.conduct["ended"] = True
        forget_hub()
    places[service.name, call.region] = Place(details=hub.nothing() if service.name == "securityhub" else {})
    if not service.stays and not any(one.administrator for (name, _), one in places.items() if name == service.name):
        principals.end_delegation(backend, account, service.principal)
    return {service.given: account} if service.echo else {}


def list_administrators(service, call):
    """The administrator, for the management account."""
    of_management(call)
    registered(service)
    place = place_of(call)
    return {service.listed: [service.shown(place, call.region)] if place.administrator else []}


for _service in SERVICES.values():
    answering(_service.name, _service.enable)(partial(enable_administrator, _service))
    answering(_service.name, _service.disable)(partial(disable_administrator, _service))
    answering(_service.name, _service.list)(partial(list_administrators, _service))


# ---------------------------------------------------------------- members


def settle(service, region):
    """Adds members that have come since, if new accounts get the service; ends the membership of those that left."""
    place = places[service, region]
    if place.administrator is None:
        return
    present = set(directory.members())
    for account in sorted(present - place.known):
        if place.automatic != NONE and account != place.administrator:
            join(service, region, account)
    for account in set(place.members) - present:
        place.members.pop(account)
    place.known = present


def join(service, region, account):
    """Makes an account a member with the service switched on."""
    place = places[service, region]
    member = place.members.setdefault(account, Member())
    if service == "detective":
        member.status, member.reason = conduct["status"], conduct["reason"]
    else:
        member.status = ENABLED
    SERVICES[service].switch_on(account, region)
    if service == "guardduty":
        set_features(account, region, [one for one in place.details.values() if one["AutoEnable"] != NONE], ENABLED)
    if service == "inspector2":
        scan(account, region, [kind for kind, name in SCANS.items() if place.details.get(name)], True)
    return member


def automatic(service, region, kind):
    """Sets what new accounts get; ALL is for those that are there, too."""
    place = places[service, region]
    settle(service, region)
    place.automatic = kind
    if kind == ALL:
        for account in sorted(set(directory.members()) - {place.administrator}):
            join(service, region, account)


def scan(account, region, kinds, on):
    """Switches scans of an account on or off."""
    state = scans.setdefault((account, region), set())
    for kind in kinds:
        (state.add if on else state.discard)(kind)


def set_features(account, region, features, status):
    """Sets features of an account's detector, as moto has them."""
    for detector in guardduty_backends[account][region].detectors.values():
        names = [one["Name"] for one in features]
        detector.features = [one for one in detector.features if one["name"] not in names] + [
            {"name": name, "status": status, "additionalConfiguration": []} for name in names]


def create_members(call, accounts):
    """Adds accounts of the organization as members; returns those that were added, and the reasons of the others."""
    place, unprocessed, made = of_administrator(call), {}, []
    present = directory.members()
    for account in accounts:
        if account == place.administrator:
            unprocessed[account] = "The request is rejected because the given account ID is the administrator's own."
        elif account not in present:
            unprocessed[account] = "The request is rejected because the given account ID is not an account of the organization."
        elif call.service == "securityhub" and account == directory.management(account) and not hub.since(account, call.region):
            unprocessed[account] = "The management account has to enable Security Hub itself."
        elif account in place.members and place.members[account].status != DISABLED:
            unprocessed[account] = "The request is rejected because the given account ID is already a member of the current account."
        else:
            join(call.service, call.region, account)
            made.append(account)
    return made, unprocessed


def remove_members(call, accounts):
    """Ends memberships; returns the reasons of those that were none."""
    place = of_administrator(call)
    missing = {one: "The account is not a member of the current account." for one in accounts if one not in place.members}
    for account in accounts:
        place.members.pop(account, None)
    return missing


# ---------------------------------------------------------------- settings


def set_conduct(value):
    """{"status": "ACCEPTED_BUT_DISABLED", "reason": "VOLUME_UNKNOWN"} for new members of Detective; `inspector_blocked` lists accounts;
    `registering_seconds` refuses a second Region after the first."""
    if set(value) - set(AT_FIRST) or value.get("status", ENABLED) not in (ENABLED, WAITING):
        raise ValueError(f"set members to {', '.join(AT_FIRST)}, with the status {ENABLED} or {WAITING}")
    conduct.update(AT_FIRST, **value)


def report():
    """What is set, and what there is by service and Region."""
    found = {}
    for (service, region), place in places.items():
        if place.administrator:
            found.setdefault(service, {})[region] = {
                "administrator": place.administrator, "automatic": place.automatic,
                "members": {account: member.status for account, member in sorted(place.members.items())}}
    return {**conduct, "services": found}


def forget_hub():
    """Security Hub's administrator as at first."""
    for key in [key for key in places if key[0] == "securityhub"]:
        places.pop(key)


def forget():
    """Everything as at first, but for moto's own detectors."""
    conduct.update(AT_FIRST)
    backend = directory.organization()
    for service in SERVICES.values():
        for account in directory.administrators(service.principal):
            principals.end_delegation(backend, account, service.principal)
    for store in (places, graphs, sessions, scans):
        store.clear()


forget()
hub.followers.setdefault("forget", []).append(forget_hub)
settings.part("administrators", report, set_conduct, forget)
whole_services.update(("detective", "macie2", "inspector2"))
for _name in SERVICES:
    before[_name] = partial(settle, _name)
