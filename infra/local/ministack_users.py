"""The patches of what MiniStack's IAM stores: the password policy, a managed policy, the age and use of credentials.

`ministack_patches.py` lists the patches and explains their form.
"""

import csv
import datetime
import io
import json

from ministack.core.responses import get_account_id
from ministack.services import iam

import ministack_root

# What AWS takes for a password policy's length if it is not sent.
LEAST_PASSWORD_LENGTH = 6

# Managed policies of AWS that MiniStack does not have: name -> what it is for, and the actions that it allows.
MANAGED_POLICIES = {
    "AWSCloudShellFullAccess": ("Grants using AWS CloudShell with all features", ["cloudshell:*"]),
    "AWSSupportAccess": ("Allows users to access the AWS Support Center.", ["support:*", "support-console:*"]),
}

ROOT = "<root_account>"
# The Region and service that an aged access key was last used for.
USED_REGION, USED_SERVICE = "us-east-1", "s3"
NEVER_USED = "no_information"
NO_VALUE = "N/A"


def reset_what_is_left_out(_settings):
    """AWS sets every member of the password policy that an update leaves out back to its default.

    MiniStack keeps the old value, which hides that a caller sent only one member. The patch resets it.
    """
    update = iam._update_account_password_policy

    def reset_and_update(parameters):
        iam._account_password_policy["policy"] = {"MinimumPasswordLength": LEAST_PASSWORD_LENGTH}
        return update(parameters)

    iam._IAM_HANDLERS["UpdateAccountPasswordPolicy"] = reset_and_update


def know_managed_policies(_settings):
    """AWS has the managed policies AWSSupportAccess and AWSCloudShellFullAccess, which allow the calls of one service.

    MiniStack does not know them, or makes some on the fly that allow everything. The patch adds them.
    """
    for name, (description, actions) in MANAGED_POLICIES.items():
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        record = iam._make_aws_managed_record(name, json.dumps(document), description)
        iam._aws_managed_policies[record["Arn"]] = record


def age_credentials(_settings):
    """AWS knows when users, passwords and access keys were created and last used, and reports it, root in the first
    row.

    In MiniStack everything is new and nothing was ever used, and root's row has `not_supported` where a date belongs.
    The patch reports as AWS does, and adds the action AgeCredentials, by which the front door makes a user's
    credentials older: created `CreatedDays` ago, last used `UsedDays` ago (never, without it).
    """
    user_xml = iam._user_xml

    def user_with_last_use(name, boundary=True):
        used = iam._users[name].get("PasswordLastUsed")
        last_use = f"<PasswordLastUsed>{used}</PasswordLastUsed>" if used else ""
        return user_xml(name, boundary) + last_use

    iam._user_xml = user_with_last_use
    iam._build_credential_report = credential_report
    iam._IAM_HANDLERS["AgeCredentials"] = make_older
    iam._IAM_HANDLERS["GetAccessKeyLastUsed"] = last_use_of_key


def make_older(parameters):
    """Changes the dates of a user, its password and its access keys."""
    name, used_days = iam._p(parameters, "UserName"), iam._p(parameters, "UsedDays")
    created = days_ago(iam._p(parameters, "CreatedDays") or 0)
    used = days_ago(used_days) if used_days else None
    if name not in iam._users:
        return iam._error(404, "NoSuchEntity", f"The user with name {name} cannot be found.", ns="iam")
    password = iam._login_profiles.get(name)
    iam._users[name]["CreateDate"] = created
    iam._users[name]["PasswordLastUsed"] = used if password else None
    for credential in [*keys_of(name), *([password] if password else [])]:
        credential["CreateDate"] = created
        credential["LastUsedDate"] = used
    return iam._xml(200, "AgeCredentialsResponse", "", ns="iam")


def days_ago(days):
    """A date in the form of IAM."""
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=int(days))
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


def keys_of(user):
    """The access keys of a user, the oldest first."""
    keys = [key for key in iam._access_keys.values() if key["UserName"] == user]
    return sorted(keys, key=lambda key: key.get("CreateDate", ""))


def last_use_of_key(parameters):
    """The answer of GetAccessKeyLastUsed: without a date for a key that was never used."""
    identifier = iam._p(parameters, "AccessKeyId")
    key = iam._access_keys.get(identifier)
    if key is None or not key.get("LastUsedDate"):
        return iam._get_access_key_last_used(parameters)
    return iam._xml(
        200, "GetAccessKeyLastUsedResponse",
        f"<GetAccessKeyLastUsedResult><UserName>{key['UserName']}</UserName><AccessKeyLastUsed>"
        f"<LastUsedDate>{key['LastUsedDate']}</LastUsedDate><Region>{USED_REGION}</Region>"
        f"<ServiceName>{USED_SERVICE}</ServiceName></AccessKeyLastUsed></GetAccessKeyLastUsedResult>", ns="iam")


def credential_report():
    """The credential report of the account, as text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, iam._CRED_REPORT_HEADER.split(","), restval=NO_VALUE, lineterminator="\n")
    writer.writeheader()
    writer.writerow(root_row())
    writer.writerows(user_row(name, user) for name, user in iam._users.items())
    return text.getvalue().rstrip("\n")


def root_row():
    """Root's row: a new member account's root has neither password nor keys, but a test can give it some."""
    root = ministack_root.root()
    keys = [{"Status": "Active", "CreateDate": ministack_root.CREATED} for _key in root["keys"]]
    return {
        "user": ROOT,
        "arn": f"arn:aws:iam::{get_account_id()}:root",
        "user_creation_time": days_ago(0),
        "password_enabled": "true" if root["password"] else "false",
        "password_last_used": NEVER_USED,
        "password_last_changed": "not_supported",
        "password_next_rotation": "not_supported",
        "mfa_active": "true" if root["devices"] else "false",
        **key_columns(keys),
    }


def user_row(name, user):
    """A user's row."""
    password = iam._login_profiles.get(name)
    has_device = any(device.get("User") == name for device in iam._mfa_devices.values())
    row = {
        "user": name,
        "arn": user["Arn"],
        "user_creation_time": user["CreateDate"],
        "password_enabled": "true" if password else "false",
        "mfa_active": "true" if has_device else "false",
        **key_columns(keys_of(name)),
    }
    if password:
        row["password_last_used"] = password.get("LastUsedDate") or NEVER_USED
        row["password_last_changed"] = password["CreateDate"]
    return row


def key_columns(keys):
    """The columns of two access keys, and of certificates, which nobody has."""
    columns = {"cert_1_active": "false", "cert_2_active": "false",
               "access_key_1_active": "false", "access_key_2_active": "false"}
    for number, key in enumerate(keys[:2], start=1):
        columns[f"access_key_{number}_active"] = "true" if key.get("Status") == "Active" else "false"
        columns[f"access_key_{number}_last_rotated"] = key["CreateDate"]
        if key.get("LastUsedDate"):
            columns[f"access_key_{number}_last_used_date"] = key["LastUsedDate"]
            columns[f"access_key_{number}_last_used_region"] = USED_REGION
            columns[f"access_key_{number}_last_used_service"] = USED_SERVICE
    return columns
