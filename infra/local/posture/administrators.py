"""The services that one account administers for all others, by one table: who the administrator is in a Region, what new accounts
get, and who is a member.

A new account of the organization becomes a member with the next call to the service in that Region, if the administrator has
switched that on. A member of Detective can be set to be without data (`member_status` of the settings).
"""

import time
import uuid
from dataclasses import dataclass, field
from functools import partial

from moto.guardduty.models import guardduty_backends

from posture import directory, hub, principals, settings
from posture.wire import Refused, answering, before, whole_services

ALL, NEW, NONE = "ALL", "NEW", "NONE"
ENABLED, DISABLED, CREATED = "ENABLED", "DISABLED", "CREATED"
WAITING = "ACCEPTED_BUT_DISABLED"
SCANS = {"EC2": "ec2", "ECR": "ecr", "LAMBDA": "lambda", "LAMBDA_CODE": "lambdaCode", "CODE_REPOSITORY": "codeRepository"}
CHAINED = {"LAMBDA_CODE": "LAMBDA"}


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
            "Administrators", detective_administrator, switch_graph_on, management_may=False),
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
AT_FIRST = {"status": ENABLED, "reason": None, "inspector_blocked": []}


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
        raise Refused(SERVICES[call.service].denied, f"Account {call.account} is not the management account of an organization.")
    return backend


def of_administrator(call):
    """Refuses a call of another account than the administrator; returns the place."""
    place = place_of(call)
    if place.administrator != call.account:
        raise Refused(SERVICES[call.service].denied,
                      f"Account {call.account} is not the delegated administrator of the organization for this service.")
    return place


def enable_administrator(service, call):
    """Makes an account the administrator in a Region: one, and the same in all."""
    backend, account, place = of_management(call), call.get(service.given), place_of(call)
    if account not in directory.members():
        raise Refused(service.invalid, f"Account {account} is not a member of the organization.")
    if account == call.account and not service.management_may:
        raise Refused(service.invalid, "The management account cannot be the delegated administrator.")
    elsewhere = {one.administrator for (name, _), one in places.items() if name == service.name} - {None, account}
    if elsewhere:
        code = "ConflictException" if service.name == "inspector2" else service.invalid
        raise Refused(code, f"Account {', '.join(elsewhere)} is the delegated administrator already: it has to be the same in all Regions.")
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
    if not any(one.administrator for (name, _), one in places.items() if name == service.name):
        principals.end_delegation(backend, account, service.principal)
    return {service.given: account} if service.echo else {}


def list_administrators(service, call):
    """The administrator, for the management account."""
    of_management(call)
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


def listed_as(**names):
    """Failures as a service lists them."""

    def shown(reasons):
        return [{names["account"]: account, names["reason"]: reason} for account, reason in reasons.items()]

    return shown


guardduty_failures = listed_as(account="AccountId", reason="Result")
detective_failures = listed_as(account="AccountId", reason="Reason")
hub_failures = listed_as(account="AccountId", reason="ProcessingResult")


def iso(moment):
    """A time as GuardDuty writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment))


# ---------------------------------------------------------------- GuardDuty


def own_detector(call):
    """The place of GuardDuty, if the call names a detector of the administrator's own."""
    place = of_administrator(call)
    if call.get("DetectorId") not in guardduty_backends[call.account][call.region].detectors:
        raise Refused("BadRequestException",
                      "The request is rejected because the input detectorId is not owned by the current account.")
    return place


@answering("guardduty", "DescribeOrganizationConfiguration")
def guardduty_configuration(call):
    place = own_detector(call)
    return {"AutoEnable": place.automatic != NONE, "MemberAccountLimitReached": False,
            "AutoEnableOrganizationMembers": place.automatic, "Features": list(place.details.values())}


@answering("guardduty", "UpdateOrganizationConfiguration")
def configure_guardduty(call):
    place = own_detector(call)
    kind, old = call.get("AutoEnableOrganizationMembers"), call.get("AutoEnable")
    if kind is not None and old is not None:
        raise Refused("BadRequestException",
                      "The request is rejected because autoEnable and autoEnableOrganizationMembers cannot both be provided.")
    if kind is None and old is None:
        raise Refused("BadRequestException", "The request is rejected because an invalid or out-of-range value is specified.")
    for feature in call.get("Features", []):
        place.details[feature["Name"]] = {"AdditionalConfiguration": [], **feature}
    automatic("guardduty", call.region, kind or (NEW if old else NONE))


@answering("guardduty", "CreateMembers")
def create_guardduty_members(call):
    own_detector(call)
    _, unprocessed = create_members(call, [one["AccountId"] for one in call.get("AccountDetails")])
    return {"UnprocessedAccounts": guardduty_failures(unprocessed)}


@answering("guardduty", "ListMembers", "GetMembers")
def list_guardduty_members(call):
    place = own_detector(call)

    def shown(account):
        member, detectors = place.members[account], list(guardduty_backends[account][call.region].detectors)
        status = "Enabled" if member.status == ENABLED else "Removed"
        return {"AccountId": account, "MasterId": call.account, "AdministratorId": call.account, "Email": directory.email(account),
                "RelationshipStatus": status, "UpdatedAt": iso(member.since), "InvitedAt": iso(member.since),
                "DetectorId": next(iter(detectors), None)}

    if call.operation == "GetMembers":
        wanted = call.get("AccountIds")
        missing = {one: "The account is not a member of the current account." for one in wanted if one not in place.members}
        return {"Members": [shown(one) for one in wanted if one in place.members], "UnprocessedAccounts": guardduty_failures(missing)}
    associated = str(call.get("OnlyAssociated", "true")).lower() != "false"
    return call.page([shown(one) for one in sorted(place.members) if not associated or place.members[one].status == ENABLED], "Members")


@answering("guardduty", "DeleteMembers", "DisassociateMembers")
def remove_guardduty_members(call):
    place, accounts = own_detector(call), call.get("AccountIds")
    if place.automatic == ALL:
        raise Refused("BadRequestException",
                      "The request is rejected because the organization has auto-enable preference set to ALL.")
    if call.operation == "DeleteMembers":
        return {"UnprocessedAccounts": guardduty_failures(remove_members(call, accounts))}
    missing = {one: "The account is not a member of the current account." for one in accounts if one not in place.members}
    for account in accounts:
        if account in place.members:
            place.members[account].status = DISABLED
    return {"UnprocessedAccounts": guardduty_failures(missing)}


# ---------------------------------------------------------------- Detective


def own_graph(call):
    """The place of Detective, if the call names the graph of the administrator."""
    graph = graphs.get((call.account, call.region))
    if graph is None or graph.arn != call.get("GraphArn"):
        known = any(one.arn == call.get("GraphArn") for one in graphs.values())
        if known or call.operation in ("DescribeOrganizationConfiguration", "UpdateOrganizationConfiguration"):
            raise Refused("AccessDeniedException", "You are not authorized to perform this action on the behavior graph.")
        raise Refused("ResourceNotFoundException", "The behavior graph does not exist.")
    return of_administrator(call)


@answering("detective", "ListGraphs")
def list_graphs(call):
    graph = graphs.get((call.account, call.region))
    return {"GraphList": [{"Arn": graph.arn, "CreatedTime": graph.since}] if graph else []}


@answering("detective", "CreateGraph")
def create_graph(call):
    if (call.account, call.region) in graphs:
        raise Refused("ConflictException", "The account has a behavior graph in this Region.")
    graphs[call.account, call.region] = graph = Graph(call.account, call.region)
    return {"GraphArn": graph.arn}


@answering("detective", "DeleteGraph")
def delete_graph(call):
    graph = graphs.get((call.account, call.region))
    if graph is None or graph.arn != call.get("GraphArn"):
        raise Refused("ResourceNotFoundException", "The behavior graph does not exist.")
    graphs.pop((call.account, call.region))
    place_of(call).members.clear()


@answering("detective", "DescribeOrganizationConfiguration")
def detective_configuration(call):
    return {"AutoEnable": own_graph(call).automatic != NONE}


@answering("detective", "UpdateOrganizationConfiguration")
def configure_detective(call):
    own_graph(call)
    automatic("detective", call.region, NEW if call.get("AutoEnable") else NONE)


def detective_member(call, account):
    """A member of the graph, as Detective shows it."""
    member = place_of(call).members[account]
    return {"AccountId": account, "EmailAddress": directory.email(account), "GraphArn": graphs[call.account, call.region].arn,
            "MasterId": call.account, "AdministratorId": call.account, "Status": member.status, "DisabledReason": member.reason,
            "InvitedTime": member.since, "UpdatedTime": member.since, "InvitationType": "ORGANIZATION"}


@answering("detective", "CreateMembers")
def create_detective_members(call):
    own_graph(call)
    made, unprocessed = create_members(call, [one["AccountId"] for one in call.get("Accounts")])
    return {"Members": [detective_member(call, one) for one in made], "UnprocessedAccounts": detective_failures(unprocessed)}


@answering("detective", "ListMembers", "GetMembers")
def list_detective_members(call):
    place = own_graph(call)
    if call.operation == "ListMembers":
        return call.page([detective_member(call, one) for one in sorted(place.members)], "MemberDetails")
    wanted = call.get("AccountIds")
    missing = {one: "The account is not a member of the behavior graph." for one in wanted if one not in place.members}
    return {"MemberDetails": [detective_member(call, one) for one in wanted if one in place.members],
            "UnprocessedAccounts": detective_failures(missing)}


@answering("detective", "DeleteMembers")
def delete_detective_members(call):
    own_graph(call)
    missing = remove_members(call, call.get("AccountIds"))
    return {"AccountIds": [one for one in call.get("AccountIds") if one not in missing], "UnprocessedAccounts": detective_failures(missing)}


@answering("detective", "StartMonitoringMember")
def start_monitoring(call):
    member = own_graph(call).members.get(call.get("AccountId"))
    if member is None:
        raise Refused("ResourceNotFoundException", "The account is not a member of the behavior graph.")
    if member.status != WAITING:
        raise Refused("ConflictException", f"The member account has to have the status {WAITING}.")
    if member.reason == "VOLUME_TOO_HIGH":
        raise Refused("ServiceQuotaExceededException", "The data volume of the behavior graph would become too high.")
    member.status, member.reason, member.since = ENABLED, None, time.time()


# ---------------------------------------------------------------- Macie


def own_session(call):
    """The session of an account, without which Macie refuses everything."""
    if (call.account, call.region) not in sessions:
        raise Refused("AccessDeniedException", "Macie is not enabled")
    return sessions[call.account, call.region]


@answering("macie2", "EnableMacie")
def enable_macie(call):
    if (call.account, call.region) in sessions:
        raise Refused("ConflictException", "Macie has already been enabled")
    switch_macie_on(call.account, call.region)
    change_macie(call)


@answering("macie2", "UpdateMacieSession")
def change_macie(call):
    own_session(call).update(call.given, updatedAt=time.time())
    own_session(call).pop("clientToken", None)


@answering("macie2", "GetMacieSession")
def macie_session(call):
    role = f"arn:aws:iam::{call.account}:role/aws-service-role/macie.amazonaws.com/AWSServiceRoleForAmazonMacie"
    return {"updatedAt": own_session(call)["createdAt"], **own_session(call), "serviceRole": role}


@answering("macie2", "DisableMacie")
def disable_macie(call):
    own_session(call)
    if place_of(call).administrator == call.account:
        raise Refused("ConflictException", "The account administers Macie for an organization")
    sessions.pop((call.account, call.region))


@answering("macie2", "DescribeOrganizationConfiguration")
def macie_configuration(call):
    own_session(call)
    return {"autoEnable": of_administrator(call).automatic != NONE, "maxAccountLimitReached": False}


@answering("macie2", "UpdateOrganizationConfiguration")
def configure_macie(call):
    own_session(call)
    of_administrator(call)
    automatic("macie2", call.region, NEW if call.get("autoEnable") else NONE)


def macie_member(call, account):
    """A member as Macie shows it."""
    member = place_of(call).members[account]
    session = sessions.get((account, call.region))
    status = "Removed" if member.status == DISABLED else "Paused" if session and session["status"] == "PAUSED" else "Enabled"
    return {"accountId": account, "administratorAccountId": call.account, "masterAccountId": call.account,
            "arn": f"arn:aws:macie2:{call.region}:{call.account}:member/{account}", "email": directory.email(account),
            "relationshipStatus": status, "invitedAt": member.since, "updatedAt": member.since, "tags": {}}


@answering("macie2", "CreateMember")
def create_macie_member(call):
    own_session(call)
    account = call.get("account")["accountId"]
    _, unprocessed = create_members(call, [account])
    if unprocessed:
        raise Refused("ConflictException" if "already" in unprocessed[account] else "ValidationException", unprocessed[account])
    return {"arn": macie_member(call, account)["arn"]}


@answering("macie2", "ListMembers")
def list_macie_members(call):
    place, associated = of_administrator(call), str(call.get("onlyAssociated", "true")).lower() != "false"
    shown = [macie_member(call, one) for one in sorted(place.members) if not associated or place.members[one].status == ENABLED]
    return call.page(shown, "members", "maxResults", "nextToken")


@answering("macie2", "GetMember", "DeleteMember", "DisassociateMember")
def one_macie_member(call):
    place, account = of_administrator(call), call.get("id")
    if account not in place.members:
        raise Refused("ResourceNotFoundException", "The account is not a member.")
    if call.operation == "GetMember":
        return macie_member(call, account)
    if call.operation == "DeleteMember":
        place.members.pop(account)
    else:
        place.members[account].status = DISABLED
    return {}


# ---------------------------------------------------------------- Inspector


def scan(account, region, kinds, on):
    """Switches scans of an account on or off."""
    state = scans.setdefault((account, region), set())
    for kind in kinds:
        (state.add if on else state.discard)(kind)


def scan_status(account, region):
    """The states of the scans of an account."""
    on = scans.get((account, region), set())
    return ENABLED if on else DISABLED, {name: ENABLED if kind in on else DISABLED for kind, name in SCANS.items()}


@answering("inspector2", "Enable", "Disable", "BatchGetAccountStatus")
def switch_scans(call):
    """For the account itself, and for the administrator for its members: another account has to be associated first."""
    place, done, failed = place_of(call), [], []
    kinds = call.get("resourceTypes") or (list(SCANS) if call.operation == "Disable" else [])
    if any(CHAINED.get(kind, kind) not in kinds and call.operation == "Enable" for kind in kinds):
        raise Refused("ValidationException", "LAMBDA_CODE needs LAMBDA")
    for account in call.get("accountIds") or [call.account]:
        member = place.members.get(account) if place.administrator == call.account else None
        error = None
        if account != call.account and (member is None or member.status != ENABLED):
            error = ("ACCESS_DENIED", "Invoking account does not have access to this account")
        elif call.operation == "Enable" and account in conduct["inspector_blocked"]:
            error = ("BLOCKED_BY_ORGANIZATION_POLICY", "A policy of the organization decides about this account")
        elif call.operation == "Enable" and set(kinds) <= scans.get((account, call.region), set()):
            error = ("ALREADY_ENABLED", "The scans are enabled already")
        if error is None and call.operation != "BatchGetAccountStatus":
            scan(account, call.region, kinds, call.operation == "Enable")
        status, by_kind = scan_status(account, call.region)
        if error:
            failed.append({"accountId": account, "status": status, "resourceStatus": by_kind, "errorCode": error[0], "errorMessage": error[1]})
        elif call.operation == "BatchGetAccountStatus":
            done.append({"accountId": account, "state": state(status), "resourceState": {name: state(one) for name, one in by_kind.items()}})
        else:
            # As AWS answers: the change is on its way.
            going = "ENABLING" if call.operation == "Enable" else "DISABLING"
            changed = {name: going if kind in kinds else by_kind[name] for kind, name in SCANS.items()}
            done.append({"accountId": account, "status": going, "resourceStatus": changed})
    return {"accounts": done, "failedAccounts": failed}


def state(status):
    """A state; the model asks for an error, which AWS leaves empty."""
    return {"status": status, "errorCode": "ALREADY_ENABLED", "errorMessage": ""}


@answering("inspector2", "DescribeOrganizationConfiguration")
def inspector_configuration(call):
    place = of_administrator(call)
    return {"autoEnable": {name: bool(place.details.get(name)) for name in SCANS.values()}, "maxAccountLimitReached": False}


@answering("inspector2", "UpdateOrganizationConfiguration")
def configure_inspector(call):
    place, wanted = of_administrator(call), call.get("autoEnable")
    if wanted.get("lambdaCode") and not wanted.get("lambda"):
        raise Refused("ValidationException", "lambdaCode needs lambda")
    settle("inspector2", call.region)
    place.details = {name: bool(wanted.get(name)) for name in SCANS.values()}
    place.automatic = NEW if any(place.details.values()) else NONE
    return {"autoEnable": place.details}


@answering("inspector2", "AssociateMember", "DisassociateMember")
def associate(call):
    place, account = of_administrator(call), call.get("accountId")
    if call.operation == "DisassociateMember":
        if account not in place.members:
            raise Refused("ValidationException", "The account is not a member of the current account.")
        place.members[account].status = DISABLED
    else:
        _, unprocessed = create_members(call, [account])
        if unprocessed:
            known = "not an account" in unprocessed[account]
            raise Refused("AccessDeniedException" if known else "ValidationException", unprocessed[account])
    return {"accountId": account}


def inspector_member(call, account):
    """A member as Inspector shows it."""
    member = place_of(call).members[account]
    return {"accountId": account, "relationshipStatus": member.status, "delegatedAdminAccountId": call.account, "updatedAt": member.since}


@answering("inspector2", "ListMembers", "GetMember")
def list_inspector_members(call):
    place = of_administrator(call)
    if call.operation == "GetMember":
        if call.get("accountId") not in place.members:
            raise Refused("ResourceNotFoundException", "The account is not a member of the current account.")
        return {"member": inspector_member(call, call.get("accountId"))}
    associated = call.get("onlyAssociated", True)
    shown = [inspector_member(call, one) for one in sorted(place.members) if not associated or place.members[one].status == ENABLED]
    return call.page(shown, "members", "maxResults", "nextToken")


@answering("inspector2", "GetDelegatedAdminAccount")
def inspector_administrator(call):
    place = place_of(call)
    if place.administrator is None:
        raise Refused("ResourceNotFoundException", "The organization has no delegated administrator for this service.")
    return {"delegatedAdmin": {"accountId": place.administrator, "relationshipStatus": ENABLED}}


# ---------------------------------------------------------------- Security Hub's members


@answering("securityhub", "CreateMembers")
def create_hub_members(call):
    hub.subscribed(call.account, call.region)
    _, unprocessed = create_members(call, [one["AccountId"] for one in call.get("AccountDetails")])
    return {"UnprocessedAccounts": hub_failures(unprocessed)}


@answering("securityhub", "ListMembers", "GetMembers")
def list_hub_members(call):
    hub.subscribed(call.account, call.region)
    place = of_administrator(call)

    def shown(account):
        member = place.members[account]
        return {"AccountId": account, "Email": directory.email(account), "MasterId": call.account, "AdministratorId": call.account,
                "MemberStatus": "Enabled" if member.status == ENABLED else "Removed", "InvitedAt": member.since, "UpdatedAt": member.since}

    if call.operation == "GetMembers":
        wanted = call.get("AccountIds")
        missing = {one: "The account is not a member of the current account." for one in wanted if one not in place.members}
        return {"Members": [shown(one) for one in wanted if one in place.members], "UnprocessedAccounts": hub_failures(missing)}
    associated = call.get("OnlyAssociated", True)
    return call.page([shown(one) for one in sorted(place.members) if not associated or place.members[one].status == ENABLED], "Members")


@answering("securityhub", "DeleteMembers", "DisassociateMembers")
def remove_hub_members(call):
    hub.subscribed(call.account, call.region)
    if call.operation == "DeleteMembers":
        return {"UnprocessedAccounts": hub_failures(remove_members(call, call.get("AccountIds")))}
    for account in call.get("AccountIds"):
        if account in of_administrator(call).members:
            of_administrator(call).members[account].status = DISABLED
    return {}


# ---------------------------------------------------------------- settings


def set_conduct(value):
    """{"status": "ACCEPTED_BUT_DISABLED", "reason": "VOLUME_UNKNOWN"} for new members of Detective; `inspector_blocked` lists accounts."""
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
