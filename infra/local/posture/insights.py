"""DevOps Guru: what each account has covered in a Region, and insights of the organization, which a test opens and closes.

`POST /_orgkeeper/posture/insights` with `{"open": [{"account": "222222222222", "region": "us-east-1", "name": "latency",
"severity": "HIGH", "type": "REACTIVE"}]}` opens, `{"close": ["<id>"]}` closes; the answer lists all with their ids.
"""

import time
import uuid

from posture import directory, settings
from posture.wire import Refused, answering, whole_services

SERVICE, PRINCIPAL = "devops-guru", "devops-guru.amazonaws.com"
REACTIVE, PROACTIVE = "REACTIVE", "PROACTIVE"
ONGOING, CLOSED = "ONGOING", "CLOSED"
LISTS = {REACTIVE: "ReactiveInsights", PROACTIVE: "ProactiveInsights"}
STACKS = "AWS_CLOUD_FORMATION"
TAGS = "AWS_TAGS"
BOUNDARY_PREFIX = "devops-guru-"
ENOUGH_STACKS = 1000

# By account and Region: names of stacks, and values by the key of a tag.
coverage = {}
insights = []


def covered(call):
    """What an account has covered."""
    return coverage.setdefault((call.account, call.region), {"stacks": [], "tags": {}})


@answering(SERVICE, "UpdateResourceCollection")
def update_collection(call):
    """Adds or removes stacks or one tag: one kind at a time, and another kind replaces it."""
    wanted, have, adds = call.get("ResourceCollection"), covered(call), call.get("Action") == "ADD"
    stacks, tags = wanted.get("CloudFormation", {}).get("StackNames", []), wanted.get("Tags", [])
    if bool(stacks) == bool(tags) or len(tags) > 1:
        raise Refused("ValidationException", "A resource collection is either of stacks or of one tag")
    if any(not one["AppBoundaryKey"].lower().startswith(BOUNDARY_PREFIX) for one in tags):
        raise Refused("ValidationException", f"AppBoundaryKey has to begin with {BOUNDARY_PREFIX}")
    if adds and stacks:
        have["tags"] = {}
        have["stacks"] = ["*"] if "*" in stacks else [one for one in have["stacks"] if one not in ("*", *stacks)] + stacks
    elif adds:
        have["stacks"] = []
        have["tags"] = {one["AppBoundaryKey"]: one["TagValues"] for one in tags}
    elif stacks:
        have["stacks"] = [one for one in have["stacks"] if one not in stacks]
    else:
        for one in tags:
            have["tags"].pop(one["AppBoundaryKey"], None)


@answering(SERVICE, "GetResourceCollection")
def get_collection(call):
    """GetResourceCollection."""
    have, kind = covered(call), call.get("ResourceCollectionType")
    if not have["stacks" if kind == STACKS else "tags"]:
        raise Refused("ResourceNotFoundException", "There is no resource collection of this type.", ResourceId=kind,
                      ResourceType="RESOURCE_COLLECTION")
    if kind == STACKS:
        page = call.page(have["stacks"], "StackNames")
        more = {"NextToken": page["NextToken"]} if "NextToken" in page else {}
        return {"ResourceCollection": {"CloudFormation": {"StackNames": page["StackNames"]}}, **more}
    return {"ResourceCollection": {"Tags": [{"AppBoundaryKey": key, "TagValues": values} for key, values in have["tags"].items()]}}


# ---------------------------------------------------------------- the organization


def registered_at(call):
    """When the caller became the administrator of the organization; refuses every other."""
    backend = directory.organization()
    for one in backend.admins if backend else []:
        if one.account.id == call.account and PRINCIPAL in one.services:
            return one.services[PRINCIPAL]["DelegationEnabledDate"]
    if call.account == directory.management(call.account) and directory.trusts(PRINCIPAL):
        return 0
    raise Refused("AccessDeniedException", "The account is not a delegated administrator of DevOps Guru in an organization.")


def of_organization(call):
    """The insights of the accounts or units that a call names, or of all; of a unit those directly in it."""
    moment, accounts, units = registered_at(call), call.get("AccountIds", []), call.get("OrganizationalUnitIds", [])
    if accounts and units:
        raise Refused("ValidationException", "AccountIds and OrganizationalUnitIds cannot both be given")
    tree = directory.targets()
    unknown = [one for one in (*accounts, *units) if one not in tree]
    if unknown:
        raise Refused("ValidationException", f"{unknown[0]} is not in the organization")
    return [one for one in insights
            if one["region"] == call.region and one["start"] >= int(moment) and one["account"] in tree
            and (not accounts or one["account"] in accounts) and (not units or tree[one["account"]] in units)]


def chosen(call, candidates):
    """Those that the status filter of a call names, with their type."""
    filters = call.get("StatusFilter")
    if len(filters) != 1:
        raise Refused("ValidationException", "StatusFilter has to have one of Ongoing, Closed and Any")
    (kind, wanted), = filters.items()
    span = wanted.get("StartTimeRange") or wanted.get("EndTimeRange") or {}
    since, until = seconds(span.get("FromTime"), 0), seconds(span.get("ToTime"), float("inf"))
    moment = "end" if kind == "Closed" else "start"
    status = {"Ongoing": (ONGOING,), "Closed": (CLOSED,), "Any": (ONGOING, CLOSED)}[kind]
    return wanted["Type"], [one for one in candidates if one["type"] == wanted["Type"] and one["status"] in status
                            and since <= (one[moment] or 0) <= until]


def seconds(value, otherwise):
    """A time of a call in seconds."""
    return otherwise if value is None else float(value)


def shown(one, of_all):
    """An insight as DevOps Guru shows it."""
    span = {"StartTime": one["start"], "EndTime": one["end"]}
    more = {"AccountId": one["account"], "OrganizationalUnitId": directory.targets().get(one["account"])} if of_all else {}
    return {"Id": one["id"], "Name": one["name"], "Severity": one["severity"], "Status": one["status"], "InsightTimeRange": span,
            "ResourceCollection": {"CloudFormation": {"StackNames": one["stacks"]}},
            "ServiceCollection": {"ServiceNames": one["services"]}, **more}


@answering(SERVICE, "ListOrganizationInsights", "ListInsights")
def list_insights(call):
    """ListOrganizationInsights and ListInsights."""
    everywhere = call.operation == "ListOrganizationInsights"
    own = [one for one in insights if (one["account"], one["region"]) == (call.account, call.region)]
    kind, listed = chosen(call, of_organization(call) if everywhere else own)
    return call.page([shown(one, everywhere) for one in listed], LISTS[kind])


@answering(SERVICE, "DescribeInsight")
def describe(call):
    """DescribeInsight."""
    account = call.get("AccountId") or call.account
    if account != call.account:
        registered_at(call)
    found = [one for one in insights if (one["id"], one["account"], one["region"]) == (call.get("Id"), account, call.region)]
    if not found:
        raise Refused("ResourceNotFoundException", "The insight does not exist.", ResourceId=call.get("Id"), ResourceType="INSIGHT")
    one = shown(found[0], False)
    one.pop("ServiceCollection")
    return {LISTS[found[0]["type"]][:-1]: one}


def open_counts(listed):
    """How many insights are open."""
    def count(kind):
        return sum(one["type"] == kind and one["status"] == ONGOING for one in listed)
    return {"OpenReactiveInsights": count(REACTIVE), "OpenProactiveInsights": count(PROACTIVE), "MetricsAnalyzed": 0, "ResourceHours": 0}


@answering(SERVICE, "DescribeOrganizationHealth")
def organization_health(call):
    """DescribeOrganizationHealth."""
    return open_counts(of_organization(call))


@answering(SERVICE, "DescribeAccountHealth")
def account_health(call):
    """DescribeAccountHealth."""
    own = [one for one in insights if (one["account"], one["region"]) == (call.account, call.region)]
    return {**open_counts(own), "AnalyzedResourceCount": 0}


@answering(SERVICE, "DescribeOrganizationOverview")
def overview(call):
    """DescribeOrganizationOverview."""
    since, until = seconds(call.get("FromTime"), 0), seconds(call.get("ToTime"), float("inf"))
    listed = [one for one in of_organization(call) if since <= one["start"] <= until]
    return {LISTS[kind]: sum(one["type"] == kind for one in listed) for kind in LISTS}


# ---------------------------------------------------------------- settings


def set_insights(value):
    """Opens and closes insights."""
    for wanted in value.get("open", []):
        if not directory.is_account(wanted.get("account", "")) or wanted.get("severity", "HIGH") not in ("LOW", "MEDIUM", "HIGH"):
            raise ValueError("an insight has an account, a region, a name and a severity of LOW, MEDIUM and HIGH")
        kind = wanted.get("type", REACTIVE)
        insights.append({
            "id": wanted.get("id") or f"insight-{uuid.uuid4().hex}", "account": wanted["account"], "region": wanted["region"],
            "name": wanted["name"], "severity": wanted.get("severity", "HIGH"), "type": kind if kind in LISTS else REACTIVE,
            "stacks": wanted.get("stacks", []), "services": wanted.get("services", []), "status": ONGOING,
            "start": wanted.get("start", time.time()), "end": None})
    for name in value.get("close", []):
        found = [one for one in insights if one["id"] == name]
        if not found:
            raise ValueError(f"there is no insight {name}")
        found[0].update(status=CLOSED, end=time.time())


def report():
    """What is covered, and all insights."""
    return {"insights": insights, "coverage": {f"{account}/{region}": have for (account, region), have in coverage.items()}}


def forget():
    """No insights, and nothing covered."""
    insights.clear()
    coverage.clear()


settings.part("insights", report, set_insights, forget)
whole_services.add(SERVICE)
