"""Security Hub's subscriptions by account and Region, and what the administrator gives new accounts.

At first every account is subscribed everywhere with the default standards, and the management account is the administrator, so that
nobody has to set it up first. `{"hub": {"at_first": "off"}}` starts as AWS does: with nothing. The management account's own hub is
never switched on for it.
"""

import time

from posture import directory, settings
from posture.wire import Refused, answering

ON, OFF = "on", "off"
NONE, DEFAULT = "NONE", "DEFAULT"
LOCAL, CENTRAL = "LOCAL", "CENTRAL"
PRODUCTS = ("aws/config", "aws/guardduty")

# By account and Region: since when, or None for one that was disabled. What is not here is as at first.
subscriptions = {}
started = time.time()
# `ended`: the management account is not the administrator any more.
conduct = {"at_first": ON, "ended": False}
# What the other modules do when a hub is switched on or off; `central` says whether a policy rules an account.
followers = {"on": [], "off": [], "ruled": []}


def nothing():
    """What new accounts get without a choice."""
    return {"standards": NONE, "type": LOCAL, "since": 0}


def begin(place):
    """The administrator and what new accounts get, as at first."""
    place.details = nothing()
    backend = directory.organization()
    if conduct["at_first"] == ON and not conduct["ended"] and backend is not None:
        place.administrator, place.automatic = backend.org.master_account_id, "NEW"
        place.details["standards"] = DEFAULT


def since(account, region):
    """Since when an account is subscribed; None if it is not."""
    if (account, region) in subscriptions:
        return subscriptions[account, region]
    return started if conduct["at_first"] == ON else None


def subscribed(account, region):
    """Refuses what needs a subscription."""
    moment = since(account, region)
    if moment is None:
        raise Refused("InvalidAccessException", f"Account {account} is not subscribed to AWS Security Hub")
    return moment


def switch_on(account, region, standards=True):
    """Subscribes an account, unless it is."""
    if since(account, region) is None:
        subscriptions[account, region] = time.time()
        for follower in followers["on"]:
            follower(account, region, standards)


def switch_off(account, region):
    """Ends a subscription, and with it the standards."""
    subscriptions[account, region] = None
    for follower in followers["off"]:
        follower(account, region)


def refuse_if_ruled(call):
    """Refuses what a configuration policy decides."""
    if any(ruled(call.account, call.region) for ruled in followers["ruled"]):
        raise Refused("AccessDeniedException",
                      "This account is currently associated with a central configuration policy, so only the administrator can access"
                      " this operation.")


@answering("securityhub", "EnableSecurityHub")
def enable(call):
    """EnableSecurityHub."""
    refuse_if_ruled(call)
    if subscriptions.get((call.account, call.region)) or (conduct["at_first"] == OFF and since(call.account, call.region)):
        raise Refused("ResourceConflictException", "Account is already subscribed to Security Hub")
    if since(call.account, call.region) is None:
        switch_on(call.account, call.region, call.get("EnableDefaultStandards", True))
    subscriptions[call.account, call.region] = time.time()


@answering("securityhub", "DisableSecurityHub")
def disable(call):
    """DisableSecurityHub."""
    refuse_if_ruled(call)
    subscribed(call.account, call.region)
    switch_off(call.account, call.region)


@answering("securityhub", "DescribeHub")
def describe(call):
    """DescribeHub."""
    moment = subscribed(call.account, call.region)
    return {
        "HubArn": f"arn:aws:securityhub:{call.region}:{call.account}:hub/default",
        "SubscribedAt": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment)),
        "AutoEnableControls": True, "ControlFindingGenerator": "SECURITY_CONTROL"}


@answering("securityhub", "ListEnabledProductsForImport")
def products(call):
    """ListEnabledProductsForImport."""
    subscribed(call.account, call.region)
    arn = f"arn:aws:securityhub:{call.region}:{call.account}:product-subscription"
    return {"ProductSubscriptions": [f"{arn}/{name}" for name in PRODUCTS]}


@answering("securityhub", "ListTagsForResource")
def tags(_call):
    """ListTagsForResource."""
    return {"Tags": {}}


def set_conduct(value):
    """{"at_first": "off"}: nobody is subscribed, and there is no administrator; what there was is forgotten."""
    if value not in ({"at_first": ON}, {"at_first": OFF}):
        raise ValueError('set hub to {"at_first": "on"} or {"at_first": "off"}')
    forget()
    conduct.update(value)


def report():
    """What is set, and who is not as at first."""
    changed = {f"{account}/{region}": ON if moment else OFF for (account, region), moment in subscriptions.items()}
    return {"at_first": conduct["at_first"], "accounts": changed}


def forget():
    """Everything as at first."""
    subscriptions.clear()
    conduct.update(at_first=ON, ended=False)
    for follower in followers.get("forget", []):
        follower()


settings.part("hub", report, set_conduct, forget)
