"""The patches of moto about the policies of an organization: more types, what AWS refuses, and what accounts get of them.

`moto_launcher.py` applies them and explains their form.
"""

import json
import re
from datetime import datetime, timezone

from moto.organizations import models
from moto.organizations.exceptions import ConstraintViolationException, InvalidInputException, OrganizationsClientError
from moto.organizations.responses import OrganizationsResponse

IAM = "iam.amazonaws.com"
SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
# The types that are inherited by operators (`@@assign`): the first key of their policies.
MANAGEMENT_TYPES = {
    "BACKUP_POLICY": "plans",
    "TAG_POLICY": "tags",
    "S3_POLICY": "s3_attributes",
    "DECLARATIVE_POLICY_EC2": "ec2_attributes",
}
# Characters of a policy, blanks included. Of service control policies the lower of what the documentation's copies say.
SIZES = {SCP: 5120, RCP: 5120}
OTHER_SIZE = 10_000
# Policies of a type at a target.
PLACES = {SCP: 5, RCP: 5}
OTHER_PLACES = 10
PREFERENCE = ("no_preference", "enabled", "disabled")
# Attributes by their path, and the values that each may have. A number is in a string, too.
ATTRIBUTES = {
    "S3_POLICY": {"public_access_block_configuration": ("all", "none")},
    "DECLARATIVE_POLICY_EC2": {
        "exception_message": None,
        "image_block_public_access.state": ("block_new_sharing", "unblocked"),
        "instance_metadata_defaults.http_endpoint": PREFERENCE,
        "instance_metadata_defaults.http_put_response_hop_limit": tuple(str(one) for one in range(-1, 65) if one),
        "instance_metadata_defaults.http_tokens": ("no_preference", "required", "optional"),
        "instance_metadata_defaults.http_tokens_enforced": PREFERENCE,
        "instance_metadata_defaults.instance_metadata_tags": PREFERENCE,
        "serial_console_access.status": ("enabled", "disabled"),
        "snapshot_block_public_access.state": ("block_all_sharing", "block_new_sharing", "unblocked"),
        "vpc_block_public_access.internet_gateway_block.exclusions_allowed": ("enabled", "disabled"),
        "vpc_block_public_access.internet_gateway_block.mode": ("off", "block_ingress", "block_bidirectional"),
    },
}
# Attributes of which a policy has all or none.
TOGETHER = ("instance_metadata_defaults", ("http_endpoint", "http_put_response_hop_limit", "http_tokens", "instance_metadata_tags"))
FORBIDS = "@@operators_allowed_for_child_policies"


def trust_more_services():
    """AWS gives IAM trusted access, for central root access, and lets an account administer stack sets and IAM for the others.

    moto knows neither. The patch adds the principals.
    """
    models.FakeServiceAccess.TRUSTED_SERVICES.append(IAM)
    models.FakeDelegatedAdministrator.SUPPORTED_SERVICES.extend((IAM, "member.org.stacksets.cloudformation.amazonaws.com"))


def know_newer_policy_types():
    """AWS has policies of the types of MANAGEMENT_TYPES, too.

    moto refuses these types, or does not name their ARNs. The patch adds them.
    """
    for supporting in (models.FakePolicy, models.FakeRoot):
        supporting.SUPPORTED_POLICY_TYPES = sorted({*supporting.SUPPORTED_POLICY_TYPES, *MANAGEMENT_TYPES})
    create = models.FakePolicy.__init__

    def create_of_any_type(self, organization, **given):
        kind = given.get("Type", "")
        if kind not in MANAGEMENT_TYPES:
            return create(self, organization, **given)
        create(self, organization, **{**given, "Type": "TAG_POLICY"})
        self.type = kind
        self._arn_format = f"arn:{{0}}:organizations::{{1}}:policy/{{2}}/{kind.lower()}/{{3}}"

    models.FakePolicy.__init__ = create_of_any_type


def refuse_invalid_policies():
    """AWS refuses a policy that is no JSON, too long, or has attributes and values that its type does not have; to attach it
    twice, to too many, or while its type is off; to detach it where it is not attached, and to leave a target without any
    service control policy.

    moto accepts all of these. The patch refuses them.
    """
    create, update = OrganizationsResponse.create_policy, OrganizationsResponse.update_policy
    attach, detach = OrganizationsResponse.attach_policy, OrganizationsResponse.detach_policy

    def create_or_refuse(self):
        given = self.request_params
        check_content(given.get("Type", ""), given.get("Content", ""))
        return create(self)

    def update_or_refuse(self):
        given = self.request_params
        if "Content" in given:
            check_content(self.organizations_backend.get_policy_by_id(given["PolicyId"]).type, given["Content"])
        return update(self)

    def attach_or_refuse(self):
        backend, policy, attached = found(self)
        enabled = [one["Type"] for one in backend.ou[0].policy_types]
        if policy.type not in enabled:
            raise OrganizationsClientError(
                "PolicyTypeNotEnabledException", "The policy type must be enabled before it can be attached to a target.")
        same = [one for one in attached if one.type == policy.type]
        if policy in same:
            raise OrganizationsClientError(
                "DuplicatePolicyAttachmentException", "A policy with the specified name and type is already attached to the target.")
        if len(same) >= PLACES.get(policy.type, OTHER_PLACES):
            raise ConstraintViolationException(
                "You have attached the maximum number of policies of this type to the target."
                " (MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED)")
        return attach(self)

    def detach_or_refuse(self):
        _backend, policy, attached = found(self)
        if policy not in attached:
            raise OrganizationsClientError("PolicyNotAttachedException", "The policy isn't attached to the specified target.")
        if policy.type == SCP and sum(one.type == SCP for one in attached) == 1:
            raise ConstraintViolationException(
                "You can't detach the last policy of this type. (MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED)")
        return detach(self)

    OrganizationsResponse.create_policy, OrganizationsResponse.update_policy = create_or_refuse, update_or_refuse
    OrganizationsResponse.attach_policy, OrganizationsResponse.detach_policy = attach_or_refuse, detach_or_refuse


def describe_effective_policies():
    """AWS says what an account gets of all policies of a type above it (DescribeEffectivePolicy).

    moto does not know the call. The patch adds it for the types of MANAGEMENT_TYPES, with the operator `@@assign`.
    """

    def describe_effective_policy(self):
        given = self.request_params
        kind, target = given.get("PolicyType", ""), given.get("TargetId") or self.current_account
        if kind not in MANAGEMENT_TYPES:
            raise InvalidInputException("You specified an invalid value.")
        content = effective_policy(self.organizations_backend, target, kind)
        if content is None:
            raise OrganizationsClientError(
                "EffectivePolicyNotFoundException", "The effective policy doesn't exist for the specified target and policy type.")
        return json.dumps({"EffectivePolicy": {
            "PolicyContent": json.dumps(content), "LastUpdatedTimestamp": datetime.now(timezone.utc).timestamp(),
            "TargetId": target, "PolicyType": kind}})

    OrganizationsResponse.describe_effective_policy = describe_effective_policy


def found(response):
    """The organization, the policy of a call, and what is attached to its target."""
    backend, given = response.organizations_backend, response.request_params
    policy = backend.get_policy_by_id(given["PolicyId"])
    targets = [one for one in (*backend.ou, *backend.accounts) if one.id == given["TargetId"]]
    if not targets:
        raise OrganizationsClientError("TargetNotFoundException", "You specified a target that doesn't exist.")
    return backend, policy, targets[0].attached_policies


def check_content(kind, content):
    """Raises AWS's error about the text of a policy."""
    if len(content) > SIZES.get(kind, OTHER_SIZE):
        raise ConstraintViolationException(
            "The policy content exceeds the maximum size. (POLICY_CONTENT_LIMIT_EXCEEDED)")
    try:
        policy = json.loads(content)
    except ValueError:
        policy = None
    first = MANAGEMENT_TYPES.get(kind)
    well_formed = isinstance(policy, dict) and (list(policy) == [first] if first else True)
    if not well_formed or kind in ATTRIBUTES and not valid_attributes(kind, policy[first]):
        raise OrganizationsClientError(
            "MalformedPolicyDocumentException",
            "The provided policy document does not meet the requirements of the specified policy type.")


def valid_attributes(kind, attributes):
    """Whether a policy has known attributes with known values only."""
    known, given = ATTRIBUTES[kind], dict(assigned(attributes, ""))
    if not given or not set(given) <= set(known):
        return False
    name, members = TOGETHER
    together = [member for member in members if f"{name}.{member}" in given]
    return together in ([], list(members)) and all(known[path] is None or str(value) in known[path] for path, value in given.items())


def assigned(node, path):
    """The paths of a policy with the values that `@@assign` gives them; another leaf has the value None."""
    if not isinstance(node, dict):
        yield path, None
        return
    for key, value in node.items():
        if key == "@@assign":
            yield path, value
        elif key != FORBIDS:
            yield from assigned(value, f"{path}.{key}".strip("."))


def effective_policy(backend, target, kind):
    """What a target gets of the policies of a type: those above it first; None if there is none."""
    levels, parent = [], target
    while parent:
        level = next((one for one in (*backend.accounts, *backend.ou) if one.id == parent), None)
        if level is None:
            raise OrganizationsClientError("TargetNotFoundException", "You specified a target that doesn't exist.")
        levels.insert(0, [json.loads(one.content) for one in level.attached_policies if one.type == kind])
        parent = None if re.match("^r-", parent) else level.parent_id
    merged = {}
    for policy in (policy for level in levels for policy in level):
        merge(merged, policy)
    return without_operators(merged) if merged else None


def merge(above, below):
    """Adds what a lower policy says, where a higher one does not forbid it."""
    if above.get(FORBIDS) == ["@@none"]:
        return
    for key, value in below.items():
        if isinstance(value, dict) and isinstance(above.get(key), dict):
            merge(above[key], value)
        else:
            above[key] = json.loads(json.dumps(value))


def without_operators(node):
    """A policy with values in place of what assigns them."""
    if not isinstance(node, dict):
        return node
    if "@@assign" in node:
        return node["@@assign"]
    return {key: without_operators(value) for key, value in node.items() if not key.startswith("@@")}


def of_account(account, kind):
    """The attributes that the organization of an account sets there; empty if none does."""
    owner, partition = models.organizations_backends.master_accounts.get(account, (account, "aws"))
    backend = models.organizations_backends[owner][partition]
    known = {one.id for one in backend.accounts}
    content = effective_policy(backend, account, kind) if backend.org and account in known else None
    return (content or {}).get(MANAGEMENT_TYPES[kind], {})
