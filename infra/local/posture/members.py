"""The calls of the administrators by which each service lists, adds and removes its members, and says what new accounts get."""

import time

from moto.guardduty.models import guardduty_backends

from posture import directory, hub
from posture.administrators import (
    ALL, DISABLED, ENABLED, NEW, NONE, SCANS, WAITING, Graph, automatic, conduct, create_members, graphs, of_administrator, place_of,
    remove_members, scan, scans, sessions, set_features, settle, switch_macie_on)
from posture.wire import Refused, answering

CHAINED = {"LAMBDA_CODE": "LAMBDA"}


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
    """DescribeOrganizationConfiguration."""
    place = own_detector(call)
    return {"AutoEnable": place.automatic != NONE, "MemberAccountLimitReached": False,
            "AutoEnableOrganizationMembers": place.automatic, "Features": list(place.details.values())}


@answering("guardduty", "UpdateOrganizationConfiguration")
def configure_guardduty(call):
    """UpdateOrganizationConfiguration."""
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
    for account in (*place.members, call.account):
        set_features(account, call.region, [one for one in call.get("Features", []) if one["AutoEnable"] == ALL], ENABLED)


@answering("guardduty", "UpdateMemberDetectors")
def update_member_detectors(call):
    """UpdateMemberDetectors."""
    place, accounts = own_detector(call), call.get("AccountIds")
    missing = {one: "The account is not a member of the current account." for one in accounts if one not in place.members}
    for account in set(accounts) - set(missing):
        for feature in call.get("Features", []):
            set_features(account, call.region, [feature], feature["Status"])
    return {"UnprocessedAccounts": guardduty_failures(missing)}


@answering("guardduty", "CreateMembers")
def create_guardduty_members(call):
    """CreateMembers."""
    own_detector(call)
    _, unprocessed = create_members(call, [one["AccountId"] for one in call.get("AccountDetails")])
    return {"UnprocessedAccounts": guardduty_failures(unprocessed)}


@answering("guardduty", "ListMembers", "GetMembers")
def list_guardduty_members(call):
    """ListMembers and GetMembers."""
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
    """DeleteMembers and DisassociateMembers."""
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
    """ListGraphs."""
    graph = graphs.get((call.account, call.region))
    return {"GraphList": [{"Arn": graph.arn, "CreatedTime": graph.since}] if graph else []}


@answering("detective", "CreateGraph")
def create_graph(call):
    """CreateGraph."""
    if (call.account, call.region) in graphs:
        raise Refused("ConflictException", "The account has a behavior graph in this Region.")
    graphs[call.account, call.region] = graph = Graph(call.account, call.region)
    return {"GraphArn": graph.arn}


@answering("detective", "DeleteGraph")
def delete_graph(call):
    """DeleteGraph."""
    graph = graphs.get((call.account, call.region))
    if graph is None or graph.arn != call.get("GraphArn"):
        raise Refused("ResourceNotFoundException", "The behavior graph does not exist.")
    graphs.pop((call.account, call.region))
    place_of(call).members.clear()


@answering("detective", "DescribeOrganizationConfiguration")
def detective_configuration(call):
    """DescribeOrganizationConfiguration."""
    return {"AutoEnable": own_graph(call).automatic != NONE}


@answering("detective", "UpdateOrganizationConfiguration")
def configure_detective(call):
    """UpdateOrganizationConfiguration."""
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
    """CreateMembers."""
    own_graph(call)
    made, unprocessed = create_members(call, [one["AccountId"] for one in call.get("Accounts")])
    return {"Members": [detective_member(call, one) for one in made], "UnprocessedAccounts": detective_failures(unprocessed)}


@answering("detective", "ListMembers", "GetMembers")
def list_detective_members(call):
    """ListMembers and GetMembers."""
    place = own_graph(call)
    if call.operation == "ListMembers":
        return call.page([detective_member(call, one) for one in sorted(place.members)], "MemberDetails")
    wanted = call.get("AccountIds")
    missing = {one: "The account is not a member of the behavior graph." for one in wanted if one not in place.members}
    return {"MemberDetails": [detective_member(call, one) for one in wanted if one in place.members],
            "UnprocessedAccounts": detective_failures(missing)}


@answering("detective", "DeleteMembers")
def delete_detective_members(call):
    """DeleteMembers."""
    own_graph(call)
    missing = remove_members(call, call.get("AccountIds"))
    return {"AccountIds": [one for one in call.get("AccountIds") if one not in missing], "UnprocessedAccounts": detective_failures(missing)}


@answering("detective", "StartMonitoringMember")
def start_monitoring(call):
    """StartMonitoringMember."""
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
    """EnableMacie."""
    if (call.account, call.region) in sessions:
        raise Refused("ConflictException", "Macie has already been enabled")
    switch_macie_on(call.account, call.region)
    change_macie(call)


@answering("macie2", "UpdateMacieSession")
def change_macie(call):
    """UpdateMacieSession."""
    own_session(call).update(call.given, updatedAt=time.time())
    own_session(call).pop("clientToken", None)


@answering("macie2", "GetMacieSession")
def macie_session(call):
    """GetMacieSession."""
    role = f"arn:aws:iam::{call.account}:role/aws-service-role/macie.amazonaws.com/AWSServiceRoleForAmazonMacie"
    return {"updatedAt": own_session(call)["createdAt"], **own_session(call), "serviceRole": role}


@answering("macie2", "DisableMacie")
def disable_macie(call):
    """DisableMacie."""
    own_session(call)
    if place_of(call).administrator == call.account:
        raise Refused("ConflictException", "The account administers Macie for an organization")
    sessions.pop((call.account, call.region))


@answering("macie2", "DescribeOrganizationConfiguration")
def macie_configuration(call):
    """DescribeOrganizationConfiguration."""
    own_session(call)
    return {"autoEnable": of_administrator(call).automatic != NONE, "maxAccountLimitReached": False}


@answering("macie2", "UpdateOrganizationConfiguration")
def configure_macie(call):
    """UpdateOrganizationConfiguration."""
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
    """CreateMember."""
    own_session(call)
    account = call.get("account")["accountId"]
    _, unprocessed = create_members(call, [account])
    if unprocessed:
        raise Refused("ConflictException" if "already" in unprocessed[account] else "ValidationException", unprocessed[account])
    return {"arn": macie_member(call, account)["arn"]}


@answering("macie2", "ListMembers")
def list_macie_members(call):
    """ListMembers."""
    place, associated = of_administrator(call), str(call.get("onlyAssociated", "true")).lower() != "false"
    shown = [macie_member(call, one) for one in sorted(place.members) if not associated or place.members[one].status == ENABLED]
    return call.page(shown, "members", "maxResults", "nextToken")


@answering("macie2", "GetMember", "DeleteMember", "DisassociateMember")
def one_macie_member(call):
    """GetMember, DeleteMember and DisassociateMember."""
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
            failed.append({"accountId": account, "status": status, "resourceStatus": by_kind, "errorCode": error[0],
                           "errorMessage": error[1]})
        elif call.operation == "BatchGetAccountStatus":
            done.append({"accountId": account, "state": state(status),
                         "resourceState": {name: state(one) for name, one in by_kind.items()}})
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
    """DescribeOrganizationConfiguration."""
    place = of_administrator(call)
    return {"autoEnable": {name: bool(place.details.get(name)) for name in SCANS.values()}, "maxAccountLimitReached": False}


@answering("inspector2", "UpdateOrganizationConfiguration")
def configure_inspector(call):
    """UpdateOrganizationConfiguration."""
    place, wanted = of_administrator(call), call.get("autoEnable")
    if wanted.get("lambdaCode") and not wanted.get("lambda"):
        raise Refused("ValidationException", "lambdaCode needs lambda")
    settle("inspector2", call.region)
    place.details = {name: bool(wanted.get(name)) for name in SCANS.values()}
    place.automatic = NEW if any(place.details.values()) else NONE
    return {"autoEnable": place.details}


@answering("inspector2", "AssociateMember", "DisassociateMember")
def associate(call):
    """AssociateMember and DisassociateMember."""
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
    """ListMembers and GetMember."""
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
    """GetDelegatedAdminAccount."""
    place = place_of(call)
    if place.administrator is None:
        raise Refused("ResourceNotFoundException", "The organization has no delegated administrator for this service.")
    return {"delegatedAdmin": {"accountId": place.administrator, "relationshipStatus": ENABLED}}


# ---------------------------------------------------------------- Security Hub's members


@answering("securityhub", "CreateMembers")
def create_hub_members(call):
    """CreateMembers."""
    hub.subscribed(call.account, call.region)
    _, unprocessed = create_members(call, [one["AccountId"] for one in call.get("AccountDetails")])
    return {"UnprocessedAccounts": hub_failures(unprocessed)}


@answering("securityhub", "ListMembers", "GetMembers")
def list_hub_members(call):
    """ListMembers and GetMembers."""
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
    """DeleteMembers and DisassociateMembers."""
    hub.subscribed(call.account, call.region)
    if call.operation == "DeleteMembers":
        return {"UnprocessedAccounts": hub_failures(remove_members(call, call.get("AccountIds")))}
    for account in call.get("AccountIds"):
        if account in of_administrator(call).members:
            of_administrator(call).members[account].status = DISABLED
    return {}
