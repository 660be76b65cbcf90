"""The patches of MiniStack about policies of the organization: the tags that IAM sees, and schedules that call Organizations.

`ministack_patches.py` lists the patches and explains their form.
"""

import json

from ministack.services import eventbridge, tagging

import ministack_events
import ministack_iam
import ministack_roles
import passed_on

UNIVERSAL = "arn:aws:scheduler:::aws-sdk:organizations:"


def know_tags_of_the_organization(settings):
    """AWS gives a call the tags of the account, organizational unit or policy that it is about (aws:ResourceTag).

    MiniStack does not know these resources. The patch asks moto, which has them.
    """
    tags_of = tagging.resource_tags

    def resource_tags(arn):
        if arn.split(":")[2:3] != ["organizations"]:
            return tags_of(arn)
        status, answer = ask(settings, "ListTagsForResource", {"ResourceId": arn.rpartition("/")[2]})
        return {tag["Key"]: tag["Value"] for tag in answer["Tags"]} if status == 200 else None

    tagging.resource_tags = resource_tags


def call_universal_targets(settings):
    """A schedule can call an operation of almost any service, by its role and with its input: a universal target.

    MiniStack knows no such target. The patch calls those of Organizations, which moto has, if the role may; what fails goes
    to the dead-letter queue of the target.
    """
    invoke = eventbridge._invoke_target
    membership = ministack_iam.Membership(settings)

    def call(target, event, rule, view=None):
        arn = target.get("Arn", "")
        if not arn.startswith(UNIVERSAL):
            invoke(target, event, rule, view)
            return
        operation = arn.removeprefix(UNIVERSAL)
        operation = operation[:1].upper() + operation[1:]
        given = json.loads(target.get("Input") or "{}")
        reason = refusal(operation, given, target.get("RoleArn"))
        if reason is None:
            status, answer = ask(settings, operation, given)
            if status == 200:
                return
            reason = (answer.get("__type", "Failed"), answer.get("Message") or answer.get("message") or "The call failed.")
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if queue:
            ministack_events.send_to_dead_letter_queue(queue, arn, rule, reason, given)

    def refusal(operation, given, role):
        action = f"organizations:{operation}"
        place = ministack_iam.Place("us-east-1", settings.management_account, settings.management_account, membership)
        first = ministack_iam.of_organizations(given, None, place) or "*"
        for resource in (first, *ministack_iam.further_resources(action, given, place)):
            keys = {f"aws:resourcetag/{name}".lower(): value for name, value in (tagging.resource_tags(resource) or {}).items()}
            if not ministack_roles.may(role, action, resource, keys):
                return "AccessDeniedException", f"{role} is not authorized to perform: {action} on resource: {resource}"
        return None

    eventbridge._invoke_target = call


def ask(settings, operation, given):
    """moto's answer to a call of the management account: status and body."""
    headers = {
        "X-Amz-Target": f"AWSOrganizationsV20161128.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": passed_on.authorization(settings.management_account, "us-east-1", "organizations"),
    }
    status, _headers, body = passed_on.send(
        settings.moto_url, settings.management_account, "POST", "/", headers, json.dumps(given).encode())
    return status, json.loads(body or b"{}")
