"""Security Hub's finding aggregators: the home Region of an account, and those that are linked to it."""

import uuid
from dataclasses import dataclass

import moto_settings
from posture import hub, settings
from posture.wire import Refused, answering

ALL, ALL_BUT, SOME, NO = "ALL_REGIONS", "ALL_REGIONS_EXCEPT_SPECIFIED", "SPECIFIED_REGIONS", "NO_REGIONS"
WITH_REGIONS = {ALL: False, ALL_BUT: True, SOME: True, NO: False}


@dataclass
class Aggregator:
    """The aggregator of an account."""

    arn: str
    home: str
    mode: str
    regions: list

    def shown(self):
        """As Security Hub shows it."""
        return {"FindingAggregatorArn": self.arn, "FindingAggregationRegion": self.home, "RegionLinkingMode": self.mode,
                "Regions": self.regions}

    def linked(self, account):
        """The Regions that are linked to the home."""
        have = {region for region in (*moto_settings.DEFAULT_REGIONS, *moto_settings.OPT_IN_REGIONS)
                if moto_settings.is_on(account, region)}
        chosen = {ALL: have, ALL_BUT: have - set(self.regions), SOME: set(self.regions), NO: set()}[self.mode]
        return sorted(chosen - {self.home})


# By account: each has one at most.
aggregators = {}


def links(call):
    """How a call links Regions."""
    mode, regions = call.get("RegionLinkingMode"), call.get("Regions", [])
    if mode not in WITH_REGIONS:
        raise Refused("InvalidInputException", f"RegionLinkingMode {mode} is unknown")
    if WITH_REGIONS[mode] != bool(regions):
        raise Refused("InvalidInputException", f"RegionLinkingMode {mode} {'needs' if WITH_REGIONS[mode] else 'takes no'} Regions")
    return mode, regions


def named(call):
    """The account's aggregator, if it is the one that the call names."""
    own = aggregators.get(call.account)
    if own is None or own.arn != call.get("FindingAggregatorArn"):
        raise Refused("ResourceNotFoundException", "The finding aggregator does not exist")
    if call.operation != "GetFindingAggregator" and own.home != call.region:
        raise Refused("InvalidInputException", f"The finding aggregator is changed in its home Region {own.home}")
    return own


@answering("securityhub", "CreateFindingAggregator")
def create(call):
    """CreateFindingAggregator."""
    hub.subscribed(call.account, call.region)
    if call.account in aggregators:
        raise Refused("LimitExceededException", "The account has a finding aggregator already")
    mode, regions = links(call)
    arn = f"arn:aws:securityhub:{call.region}:{call.account}:finding-aggregator/{uuid.uuid4()}"
    aggregators[call.account] = made = Aggregator(arn, call.region, mode, regions)
    return made.shown()


@answering("securityhub", "GetFindingAggregator")
def get(call):
    """GetFindingAggregator."""
    return named(call).shown()


@answering("securityhub", "ListFindingAggregators")
def list_all(call):
    """ListFindingAggregators."""
    hub.subscribed(call.account, call.region)
    own = aggregators.get(call.account)
    return {"FindingAggregators": [{"FindingAggregatorArn": own.arn}] if own else []}


@answering("securityhub", "UpdateFindingAggregator")
def update(call):
    """UpdateFindingAggregator."""
    own = named(call)
    own.mode, own.regions = links(call)
    return own.shown()


@answering("securityhub", "DeleteFindingAggregator")
def delete(call):
    """DeleteFindingAggregator."""
    aggregators.pop(named(call) and call.account)


def no_change(_value):
    """Tests make aggregators by calls."""
    raise ValueError("make aggregators with CreateFindingAggregator")


settings.part("aggregators", lambda: {account: one.shown() for account, one in aggregators.items()}, no_change, aggregators.clear)
