"""The aggregator of AWS Config, as a second source about network interfaces: one kind of query, over moto's interfaces.

`POST /_orgkeeper/posture/recorder` with `{"missing": ["eni-…", "222222222222", "222222222222/eu-west-1"]}` leaves interfaces, accounts or
Regions of accounts out; the sources of those that are left out have FAILED.
"""

import json
import re
import time

from moto.config.exceptions import NoSuchConfigurationAggregatorException
from moto.config.responses import ConfigResponse
from moto.core.exceptions import JsonRESTError
from moto.ec2.models import ec2_backends

import moto_settings
from posture import directory, settings, wire

PRINCIPALS = ("config.amazonaws.com", "config-multiaccountsetup.amazonaws.com")
QUERY = re.compile(
    r"\s*SELECT\s+(?P<fields>[\w.,\s]+?)\s+WHERE\s+resourceType\s*=\s*'(?P<type>[\w:]+)'(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
CONDITION = re.compile(
    r"\s*(?P<field>[\w.]+)\s*(?:=\s*'(?P<value>[^']*)'|LIKE\s*'(?P<like>[^']*)'|>\s*'(?P<above>[^']*)'|(?P<set>IS\s+NOT\s+NULL))\s*",
    re.IGNORECASE)
GROUP = re.compile(r"\s*AND\s+(?:\((?P<group>[^()]*)\)|(?P<one>[^()]+?(?=\s+AND\s|\s*$)))", re.IGNORECASE | re.DOTALL)
OR = re.compile(r"\s+OR\s+", re.IGNORECASE)
TYPE = "AWS::EC2::NetworkInterface"
FIELDS = ("accountId", "awsRegion", "resourceId", "resourceType", "arn", "availabilityZone", "resourceName", "tags")
MOST, BY_DEFAULT = 100, 25

missing = set()


def have_aggregators():
    """AWS aggregates what all accounts of an organization record, answers queries about it, and says which sources it lacks.

    moto knows the aggregator, but lets every account have one for an organization, and answers no query. The patch answers the
    query about network interfaces and the states of sources, and refuses what AWS refuses.
    """
    put = ConfigResponse.put_configuration_aggregator

    def put_or_refuse(self):
        account, given = self.current_account, json.loads(self.body)
        if given.get("OrganizationAggregationSource"):
            if directory.backend_of(account) is None:
                raise JsonRESTError("NoAvailableOrganizationException", "The account is not in an organization.")
            if account != directory.management(account) and not any(account in directory.administrators(one) for one in PRINCIPALS):
                raise JsonRESTError("OrganizationAccessDeniedException",
                                    "The account is neither the management account nor a delegated administrator.")
        return put(self)

    ConfigResponse.put_configuration_aggregator = put_or_refuse
    ConfigResponse.describe_configuration_aggregator_sources_status = describe_sources
    ConfigResponse.select_aggregate_resource_config = select


def aggregator_of(response, given):
    """The aggregator that a call names."""
    found = response.config_backend.config_aggregators.get(given.get("ConfigurationAggregatorName"))
    if found is None:
        raise NoSuchConfigurationAggregatorException
    return found


def sources(aggregator):
    """The pairs of account and Region that an aggregator reads, and whether for the organization."""
    organization = aggregator.organization_aggregation_source
    if organization:
        chosen = [(organization, directory.members())]
    else:
        chosen = [(one, one.account_ids) for one in aggregator.account_aggregation_sources or []]
    pairs = {(account, region) for source, accounts in chosen for account in accounts for region in regions_of(source, account)}
    return sorted(pairs), bool(organization)


def regions_of(source, account):
    """The Regions of an account that a source has."""
    if source.all_aws_regions:
        return [one for one in (*moto_settings.DEFAULT_REGIONS, *moto_settings.OPT_IN_REGIONS) if moto_settings.is_on(account, one)]
    return source.aws_regions or []


def lacks(account, region):
    """Whether a source does not deliver."""
    return account in missing or f"{account}/{region}" in missing


def page(given, items, limit, most):
    """A part of a list, and what names the next one."""
    size = given.get(limit) or most[0]
    if not 0 < size <= most[1]:
        raise JsonRESTError("InvalidLimitException", f"The limit is from 1 to {most[1]}.")
    try:
        start = wire.read_token(given.get("NextToken"))
    except ValueError:
        raise JsonRESTError("InvalidNextTokenException", "The nextToken is invalid.") from None
    answer = wire.Call("config", "", "", "", {"MaxResults": size, "NextToken": given.get("NextToken")}).page(items, "items")
    return answer["items"], {"NextToken": answer["NextToken"]} if start + size < len(items) else {}


def describe_sources(self):
    """DescribeConfigurationAggregatorSourcesStatus."""
    given = json.loads(self.body)
    pairs, of_organization = sources(aggregator_of(self, given))
    listed = [{"SourceId": account, "SourceType": "ACCOUNT", "AwsRegion": region, "LastUpdateTime": time.time(),
               **({"LastUpdateStatus": "FAILED", "LastErrorCode": "AccessDenied", "LastErrorMessage": "The source does not deliver."}
                  if lacks(account, region) else {"LastUpdateStatus": "SUCCEEDED"})} for account, region in pairs]
    if of_organization:
        backend = directory.organization()
        listed.insert(0, {"SourceId": backend.org.id, "SourceType": "ORGANIZATION", "AwsRegion": self.region, "LastUpdateTime": time.time(),
                          "LastUpdateStatus": "SUCCEEDED"})
    wanted = given.get("UpdateStatus")
    listed, more = page(given, [one for one in listed if not wanted or one["LastUpdateStatus"] in wanted], "Limit", (50, 100))
    return json.dumps({"AggregatedSourceStatusList": listed, **more})


def select(self):
    """SelectAggregateResourceConfig, of network interfaces."""
    given = json.loads(self.body)
    aggregator = aggregator_of(self, given)
    query = QUERY.fullmatch(given.get("Expression", ""))
    if query is None or len(given["Expression"]) > 4096:
        raise JsonRESTError("InvalidExpressionException", "Syntax error in the expression.")
    fields = [one.strip() for one in query["fields"].split(",")]
    conditions = read_conditions(query["rest"])
    found = []
    if query["type"] == TYPE:
        for account, region in sources(aggregator)[0]:
            if not lacks(account, region):
                found += [one for one in map(recorded, interfaces(account, region)) if all(any(holds(one, *part) for part in group) for group in conditions)]
    results, more = page(given, found, "MaxResults" if given.get("MaxResults") else "Limit", (BY_DEFAULT, MOST))
    return json.dumps({"Results": [json.dumps(chosen(one, fields)) for one in results],
                       "QueryInfo": {"SelectFields": [{"Name": field} for field in fields]}, **more})


def read_conditions(text):
    """The conditions after the type, as field and test: of each group one has to hold."""
    groups, at = [], 0
    while text[at:].strip():
        found = GROUP.match(text, at)
        if found is None:
            raise JsonRESTError("InvalidExpressionException", "Syntax error in the expression.")
        parts = [CONDITION.fullmatch(part) for part in OR.split(found["group"] or found["one"])]
        if not all(parts):
            raise JsonRESTError("InvalidExpressionException", "Syntax error in the expression.")
        groups.append([(part["field"], part["value"], part["like"], part["above"]) for part in parts])
        at = found.end()
    return groups


def holds(item, field, value, like, above):
    """Whether a field of an item is as a condition says; of a list, whether one of its values is."""
    known = [one for one in at_path(item, field) if one is not None]
    if value is not None:
        return value in map(str, known)
    if like is not None:
        return any(str(one).startswith(like.rstrip("%")) for one in known)
    return any(above is None or str(one) > above for one in known)


def interfaces(account, region):
    """moto's network interfaces of an account in a Region that are not left out."""
    if account not in ec2_backends or region not in ec2_backends[account]:
        return []
    return [(account, region, one) for one in ec2_backends[account][region].enis.values() if one.id not in missing]


def recorded(place):
    """An interface as Config records it."""
    account, region, one = place
    association = one.association or {}
    return {
        "accountId": account, "awsRegion": region, "resourceId": one.id, "resourceType": TYPE, "resourceName": one.id,
        "arn": f"arn:aws:ec2:{region}:{account}:network-interface/{one.id}", "availabilityZone": one.subnet.availability_zone,
        "tags": [{"key": tag["key"], "value": tag["value"]} for tag in one.get_tags()],
        "configuration": {
            "networkInterfaceId": one.id, "interfaceType": one.interface_type, "description": one.description,
            "privateIpAddress": one.private_ip_address,
            "privateIpAddresses": [{"privateIpAddress": one.private_ip_address, "primary": True, "association": {
                "publicIp": association.get("publicIp")} if association else None}],
            "subnetId": one.subnet.id, "vpcId": one.subnet.vpc_id,
            "requesterManaged": one.requester_managed, "status": one.status,
            "ipv6Addresses": [{"ipv6Address": ip} for ip in one.ipv6_addresses],
            "association": {"publicIp": association.get("publicIp"), "ipOwnerId": association.get("ipOwnerId")} if association else None,
            "attachment": {"instanceId": one.instance.id} if one.instance else None}}


def at_path(item, path):
    """The values at a path with dots: as many as the lists on the way have, each None if there is none."""
    found = [item]
    for name in path.split("."):
        found = [one for each in found for one in (each if isinstance(each, list) else [each])]
        found = [one.get(name) if isinstance(one, dict) else None for one in found]
    return found


def chosen(item, fields):
    """The fields of an item that a query names, nested as Config returns them; what is absent is left out."""
    found = {}
    for field in fields:
        value, node, names = at_path(item, field)[0], found, field.split(".")
        if value is None:
            continue
        for name in names[:-1]:
            node = node.setdefault(name, {})
        node[names[-1]] = value
    return found


def set_missing(value):
    """{"missing": […]}."""
    if not isinstance(value.get("missing"), list):
        raise ValueError('set recorder to {"missing": ["eni-…", "account", "account/region"]}')
    missing.clear()
    missing.update(value["missing"])


settings.part("recorder", lambda: {"missing": sorted(missing)}, set_missing, missing.clear)
