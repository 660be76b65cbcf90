"""Event buses, as CloudFormation lists their rules and as PutPermission sets their policies.

`ministack_patches.py` lists the patches and explains their form.
"""

import json
import re

from ministack.core.responses import json_response
from ministack.services import eventbridge
from ministack.services.cloudformation import handlers, provisioners

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


def make_bus_policies(_settings):
    """CloudFormation has the resource type AWS::Events::EventBusPolicy, and PutPermission takes a whole policy.

    MiniStack has no such type, and ignores the policy. The patch adds both.
    """
    put = eventbridge._put_permission

    def put_or_replace(data):
        if not data.get("Policy"):
            return put(data)
        eventbridge._event_bus_policies[data.get("EventBusName", "default")] = json.loads(data["Policy"])
        return json_response({})

    eventbridge._put_permission = put_or_replace

    def create(_logical_id, properties, _stack_name):
        bus, statement = properties.get("EventBusName", "default"), properties["StatementId"]
        delete(f"{bus}|{statement}", properties)
        policy = eventbridge._event_bus_policies.setdefault(bus, {"Version": "2012-10-17", "Statement": []})
        policy["Statement"].append({**properties["Statement"], "Sid": statement})
        return f"{bus}|{statement}", {}

    def update(physical_id, _old, properties, stack_name):
        delete(physical_id, properties)
        return create(None, properties, stack_name)

    def delete(physical_id, _properties):
        bus, _, statement = physical_id.partition("|")
        eventbridge._remove_permission({"EventBusName": bus, "StatementId": statement})

    provisioners._RESOURCE_HANDLERS["AWS::Events::EventBusPolicy"] = {
        "create": create, "update": update, "delete": delete}
