"""Event buses, as CloudFormation lists their rules and as PutPermission sets their policies.

`ministack_patches.py` lists the patches and explains their form.
"""

import json
import re

from ministack.core.responses import json_response
from ministack.services import eventbridge
from ministack.services.cloudformation import handlers

LISTED_RULE = re.compile(
    r"(?P<name>[^<>]+)(?P<kind></PhysicalResourceId><ResourceType>AWS::Events::Rule</ResourceType>)")


def name_rules_with_their_bus(_settings):
    """AWS names a rule of another bus than the default one in a stack `<bus>|<rule>`.

    MiniStack lists the rule's name alone, by which nobody finds it on its bus. The patch puts the bus before it.
    """
    list_resources = handlers._ACTION_HANDLERS["ListStackResources"]

    def list_with_buses(params):
        status, headers, body = list_resources(params)
        buses = {rule["Name"]: rule["EventBusName"] for rule in eventbridge._rules.values()
                 if rule["EventBusName"] != "default"}

        def with_bus(found):
            bus = buses.get(found["name"])
            return f"{bus}|{found['name']}{found['kind']}" if bus else found[0]

        return status, headers, LISTED_RULE.sub(with_bus, body.decode()).encode()

    handlers._ACTION_HANDLERS["ListStackResources"] = list_with_buses


def take_whole_bus_policies(_settings):
    """AWS's PutPermission takes a whole policy instead of one statement.

    MiniStack ignores it, and adds a statement without a condition. The patch stores the policy.
    """
    put = eventbridge._put_permission

    def put_or_replace(data):
        if not data.get("Policy"):
            return put(data)
        eventbridge._event_bus_policies[data.get("EventBusName", "default")] = json.loads(data["Policy"])
        return json_response({})

    eventbridge._put_permission = put_or_replace
