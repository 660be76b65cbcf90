"""The patches of moto about what an account has once in each Region, or once: EC2's settings, opt-in Regions, and the block of
public access to S3, which policies of the organization can take over.

`moto_launcher.py` applies them and explains their form.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field

from moto.account.responses import AccountResponse
from moto.account.urls import url_paths
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.settings import Settings
from moto.s3control.exceptions import S3ControlError
from moto.s3control.responses import S3ControlResponse

import moto_organization

EC2_POLICY, S3_POLICY = "DECLARATIVE_POLICY_EC2", "S3_POLICY"
NO_PREFERENCE = ("no-preference", "-1")
PREFERENCE = ("enabled", "disabled", "no-preference")
# Regions that an account has without asking, and those that it asks for.
DEFAULT_REGIONS = (
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1",
    "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1",
    "us-west-2")
OPT_IN_REGIONS = (
    "af-south-1", "ap-east-1", "ap-south-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-6", "ca-west-1", "eu-central-2",
    "eu-south-1", "eu-south-2", "il-central-1", "me-central-1")
# On AWS it takes minutes. Here an account sees the state in between once for each of these reads.
READS_WHILE_CHANGING = 1


@dataclass(frozen=True)
class Setting:
    """A setting of EC2 with one value.

    `member` is its name in answers and parameters, `values` are those that it can be set to, `by_name` what an operation
    sets it to, and `path` is where a policy of the organization has it.
    """

    read: str
    member: str
    at_first: object
    by_name: dict
    path: tuple
    values: tuple = ()
    in_policy: dict = field(default_factory=dict)


SETTINGS = (
    Setting("get_snapshot_block_public_access_state", "State", "unblocked",
            {"enable_snapshot_block_public_access": None, "disable_snapshot_block_public_access": "unblocked"},
            ("snapshot_block_public_access", "state"), ("block-all-sharing", "block-new-sharing")),
    Setting("get_image_block_public_access_state", "ImageBlockPublicAccessState", "unblocked",
            {"enable_image_block_public_access": None, "disable_image_block_public_access": "unblocked"},
            ("image_block_public_access", "state"), ("block-new-sharing",)),
    Setting("get_serial_console_access_status", "SerialConsoleAccessEnabled", False,
            {"enable_serial_console_access": True, "disable_serial_console_access": False},
            ("serial_console_access", "status"), (), {"enabled": True, "disabled": False}),
)
# What new instances get, by its parameter: the values that it can be set to, and its name in a policy.
METADATA = {
    "HttpTokens": (("optional", "required", "no-preference"), "http_tokens"),
    "HttpPutResponseHopLimit": (tuple(str(one) for one in range(-1, 65) if one), "http_put_response_hop_limit"),
    "HttpEndpoint": (PREFERENCE, "http_endpoint"),
    "InstanceMetadataTags": (PREFERENCE, "instance_metadata_tags"),
    "HttpTokensEnforced": (PREFERENCE, "http_tokens_enforced"),
}
METADATA_POLICY = "instance_metadata_defaults"

# What accounts have set, by account, Region and name.
values = {}
# The Regions that accounts have switched on or off, by account: the state, and how often it is still on its way.
regions = defaultdict(dict)


def have_account_settings():
    """AWS has settings of EC2 for a whole account and Region: defaults of instance metadata, blocks of public snapshots and
    images, and the serial console. A declarative policy of the organization takes them over.

    moto does not know them. The patch adds each row of SETTINGS, and those of METADATA.
    """
    for setting in SETTINGS:
        setattr(Settings, setting.read, reading(setting))
        for operation, value in setting.by_name.items():
            setattr(Settings, operation, changing(setting, value))
    Settings.get_instance_metadata_defaults = get_instance_metadata_defaults
    Settings.modify_instance_metadata_defaults = modify_instance_metadata_defaults


def reading(setting):
    """The call that reads a setting."""

    def read(self):
        self.error_on_dryrun()
        declared = declared_value(self.current_account, setting)
        if declared is not None:
            return ActionResult({setting.member: declared, "ManagedBy": "declarative-policy"})
        value = values.get((self.current_account, self.region, setting.member), setting.at_first)
        return ActionResult({setting.member: value, "ManagedBy": "account"})

    return read


def changing(setting, value):
    """A call that changes a setting, to this value or to that of its parameter."""

    def change(self):
        self.error_on_dryrun()
        wanted = self._get_param(setting.member) if value is None else value
        if value is None and wanted not in setting.values:
            raise EC2ClientError("InvalidParameterValue", f"Invalid value '{wanted}' for {setting.member}.")
        refuse_declared(self.current_account, declared_value(self.current_account, setting))
        values[self.current_account, self.region, setting.member] = wanted
        return ActionResult({setting.member: wanted})

    return change


def declared_value(account, setting):
    """The value that a policy of the organization gives a setting, as EC2 writes it; None if none does."""
    node = moto_organization.of_account(account, EC2_POLICY)
    for name in setting.path:
        node = node.get(name, {}) if isinstance(node, dict) else {}
    if node == {}:
        return None
    return setting.in_policy.get(node, str(node).replace("_", "-"))


def refuse_declared(account, declared):
    """Raises AWS's error if a policy of the organization sets what an account wants to set."""
    if declared is not None:
        message = moto_organization.of_account(account, EC2_POLICY).get("exception_message", "")
        raise EC2ClientError(
            "DeclarativePolicyViolation",
            f"This functionality has been disabled by a Declarative Policy. Custom Message: {message}")


def get_instance_metadata_defaults(self):
    """GetInstanceMetadataDefaults: what has no value has no preference."""
    self.error_on_dryrun()
    declared = moto_organization.of_account(self.current_account, EC2_POLICY)
    if METADATA_POLICY in declared:
        of_policy = declared[METADATA_POLICY]
        found = {name: str(of_policy[key]).replace("_", "-") for name, (_, key) in METADATA.items() if key in of_policy}
        more = {"ManagedBy": "declarative-policy", "ManagedExceptionMessage": declared.get("exception_message", "")}
    else:
        known = {name: values.get((self.current_account, self.region, name)) for name in METADATA}
        found, more = {name: value for name, value in known.items() if value is not None}, {"ManagedBy": "account"}
    shown = {name: int(value) if name == "HttpPutResponseHopLimit" else value
             for name, value in found.items() if value not in NO_PREFERENCE}
    return ActionResult({"AccountLevel": {**shown, **more}})


def modify_instance_metadata_defaults(self):
    """ModifyInstanceMetadataDefaults: what is not given stays."""
    self.error_on_dryrun()
    given = {name: self._get_param(name) for name in METADATA if self._get_param(name) is not None}
    for name, value in given.items():
        if str(value) not in METADATA[name][0]:
            raise EC2ClientError("InvalidParameterValue", f"Invalid value '{value}' for {name}.")
    refuse_declared(self.current_account, moto_organization.of_account(self.current_account, EC2_POLICY).get(METADATA_POLICY))
    values.update({(self.current_account, self.region, name): str(value) for name, value in given.items()})
    return ActionResult({"Return": True})


def keep_public_buckets_blocked():
    """AWS lets a policy of the organization (S3_POLICY) block public access to S3 in an account, which then cannot change it.

    moto knows the account's own setting only. The patch answers with the policy's, and refuses changes.
    """
    read, put, delete = (getattr(S3ControlResponse, f"{verb}_public_access_block") for verb in ("get", "put", "delete"))
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")

    def declared(self):
        account = self._get_param("AccountId")
        return moto_organization.of_account(account, S3_POLICY).get("public_access_block_configuration")

    def get_public_access_block(self):
        blocked = declared(self)
        if blocked is None:
            return read(self)
        return ActionResult({"PublicAccessBlockConfiguration": {name: blocked == "all" for name in names}})

    def unless_declared(change):
        def change_or_refuse(self):
            if declared(self) is not None:
                raise S3ControlError("AccessDenied", "Access Denied")
            return change(self)

        return change_or_refuse

    S3ControlResponse.get_public_access_block = get_public_access_block
    S3ControlResponse.put_public_access_block = unless_declared(put)
    S3ControlResponse.delete_public_access_block = unless_declared(delete)


def have_opt_in_regions():
    """AWS lists the Regions of an account with their states, and lets it switch on those that it does not have by itself.

    moto does not know these calls. The patch adds them. A Region is ENABLING or DISABLING first.
    """
    for operation in (list_regions, get_region_opt_status, enable_region, disable_region):
        setattr(AccountResponse, operation.__name__, operation)
        path = operation.__name__.split("_")
        url_paths["{0}/" + path[0] + "".join(part.title() for part in path[1:]) + "$"] = AccountResponse.dispatch


def state_of(account, region):
    """The state of a Region in an account, as a read sees it."""
    if region in DEFAULT_REGIONS:
        return "ENABLED_BY_DEFAULT"
    on, left = regions[account].get(region, (False, 0))
    if left:
        regions[account][region] = (on, left - 1)
        return "ENABLING" if on else "DISABLING"
    return "ENABLED" if on else "DISABLED"


def is_on(account, region):
    """Whether an account has a Region, without a read of its state."""
    return region in DEFAULT_REGIONS or regions[account].get(region) == (True, 0)


def list_regions(self):
    """ListRegions, in pages."""
    account, wanted = self._get_account_id(), self._get_param("RegionOptStatusContains") or []
    size, start = self._get_int_param("MaxResults") or 20, int(self._get_param("NextToken") or 0)
    known = [(region, state_of(account, region)) for region in sorted(DEFAULT_REGIONS + OPT_IN_REGIONS)]
    listed = [{"RegionName": region, "RegionOptStatus": state} for region, state in known if not wanted or state in wanted]
    more = {"NextToken": str(start + size)} if start + size < len(listed) else {}
    return ActionResult({"Regions": listed[start:start + size], **more})


def get_region_opt_status(self):
    """GetRegionOptStatus."""
    region = known_region(self)
    return ActionResult({"RegionName": region, "RegionOptStatus": state_of(self._get_account_id(), region)})


def enable_region(self):
    """EnableRegion."""
    return switch(self, True)


def disable_region(self):
    """DisableRegion."""
    return switch(self, False)


def switch(self, on):
    """Switches a Region of an account on or off; one that is on its way is refused."""
    region, account = known_region(self), self._get_account_id()
    if region in DEFAULT_REGIONS:
        raise JsonRESTError("ValidationException", f"The Region {region} is enabled by default, and cannot be changed.")
    was_on, left = regions[account].get(region, (False, 0))
    if left:
        raise JsonRESTError("ConflictException", f"The Region {region} is being changed.")
    if was_on != on:
        regions[account][region] = (on, READS_WHILE_CHANGING)
    return EmptyResult()


def known_region(self):
    """The Region of a call; refuses one that does not exist."""
    region = self._get_param("RegionName")
    if region not in DEFAULT_REGIONS + OPT_IN_REGIONS:
        raise JsonRESTError("ValidationException", f"Region {json.dumps(region)} is not known.")
    return region
