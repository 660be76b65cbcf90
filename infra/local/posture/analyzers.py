"""IAM Access Analyzer: the analyzers of each account and Region. They find nothing.

An analyzer of the organization is made by the management account or by the delegated administrator.
"""

import time

from posture import directory, settings
from posture.wire import Refused, answering, whole_services

SERVICE, PRINCIPAL = "access-analyzer", "access-analyzer.amazonaws.com"

# By account, Region and name.
analyzers = {}


def named(call):
    """The analyzer that a call names."""
    key = (call.account, call.region, call.get("analyzerName"))
    if key not in analyzers:
        raise Refused("ResourceNotFoundException", f"Analyzer {arn(key)} does not exist", resourceId=arn(key), resourceType="ANALYZER")
    return key


def arn(key):
    """The ARN of an analyzer."""
    account, region, name = key
    return f"arn:aws:access-analyzer:{region}:{account}:analyzer/{name}"


def shown(key):
    """An analyzer as Access Analyzer shows it; one of the organization ends with the trusted access and the administrator."""
    one, reason = analyzers[key], None
    if one["type"].startswith("ORGANIZATION"):
        if not directory.trusts(PRINCIPAL):
            reason = "AWS_SERVICE_ACCESS_DISABLED"
        elif not may_administer(key[0]):
            reason = "DELEGATED_ADMINISTRATOR_DEREGISTERED"
    return {"arn": arn(key), "name": key[2], "type": one["type"], "createdAt": one["since"], "tags": one["tags"],
            "status": "DISABLED" if reason else "ACTIVE", **({"statusReason": {"code": reason}} if reason else {})}


def may_administer(account):
    """Whether an account may have analyzers of the organization."""
    in_organization = directory.backend_of(account) is not None
    return in_organization and (account == directory.management(account) or account in directory.administrators(PRINCIPAL))


@answering(SERVICE, "CreateAnalyzer")
def create(call):
    """CreateAnalyzer."""
    key, kind = (call.account, call.region, call.get("analyzerName")), call.get("type")
    if kind.startswith("ORGANIZATION"):
        if not may_administer(call.account):
            raise Refused("ValidationException", "You must be the management account or a delegated administrator to create an analyzer"
                          " with the organization as the zone of trust.", reason="other")
        if not directory.trusts(PRINCIPAL):
            directory.organization().enable_aws_service_access(ServicePrincipal=PRINCIPAL)
    if key in analyzers:
        raise Refused("ConflictException", f"An analyzer with the name {key[2]} already exists", resourceId=arn(key),
                      resourceType="ANALYZER")
    analyzers[key] = {"type": kind, "since": time.time(), "tags": call.get("tags", {})}
    return {"arn": arn(key)}


@answering(SERVICE, "GetAnalyzer")
def get(call):
    """GetAnalyzer."""
    return {"analyzer": shown(named(call))}


@answering(SERVICE, "DeleteAnalyzer")
def delete(call):
    """DeleteAnalyzer."""
    analyzers.pop(named(call))


@answering(SERVICE, "ListAnalyzers")
def list_all(call):
    """ListAnalyzers."""
    kind = call.get("type")
    listed = [shown(key) for key, one in analyzers.items()
              if key[:2] == (call.account, call.region) and kind in (None, one["type"])]
    return call.page(listed, "analyzers", "maxResults", "nextToken")


@answering(SERVICE, "ListFindings", "ListFindingsV2")
def findings(_call):
    """ListFindings and ListFindingsV2."""
    return {"findings": []}


@answering(SERVICE, "ListTagsForResource")
def tags(_call):
    """ListTagsForResource."""
    return {"tags": {}}


def no_change(_value):
    """Tests make analyzers by calls."""
    raise ValueError("make analyzers with CreateAnalyzer")


settings.part("analyzers", lambda: [shown(key) for key in analyzers], no_change, analyzers.clear)
whole_services.add(SERVICE)
