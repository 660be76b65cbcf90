"""The patches of MiniStack that have root users with credentials, sessions as root of a member account, and the switches
of central root access.

`ministack_patches.py` lists the patches and explains their form.
"""

import json
import time

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import iam, sts

from ministack_resources import Services

CREATED = "2026-01-01T00:00:00Z"
LONGEST_SESSION_SECONDS = 900
# The principal of a session as root, after its account.
ASSUMED_ROOT = ":assumed-root"

TASKS = {
    "IAMAuditRootUserCredentials": (
        "GetAccessKeyLastUsed", "GetLoginProfile", "GetUser", "ListAccessKeys", "ListMFADevices", "ListSigningCertificates"),
    "IAMCreateRootUserPassword": ("CreateLoginProfile", "GetLoginProfile"),
    "IAMDeleteRootUserCredentials": (
        "DeactivateMFADevice", "DeleteAccessKey", "DeleteLoginProfile", "DeleteSigningCertificate"),
}

CREDENTIALS, SESSIONS = "RootCredentialsManagement", "RootSessions"
# The switch of central root access that an operation changes, and to what.
SWITCHES = {
    f"{verb}Organizations{name}": (feature, verb == "Enable")
    for verb in ("Enable", "Disable")
    for name, feature in ((CREDENTIALS, CREDENTIALS), (SESSIONS, SESSIONS))}

# The credentials of the root users, by account.
roots = {}
# What of central root access is on. The local organization begins with both.
features = {CREDENTIALS, SESSIONS}


def have_root_users(settings):
    """AWS gives the management account sessions as root of a member account (AssumeRoot), limited to one task; a call
    of IAM that names no user is then about root. An account's root can have a password, keys, certificates and MFA.

    MiniStack has no such session and no root credentials. The patch adds both, and the action PlantRootCredentials, by
    which a test gives the caller's account credentials.
    """
    for name, actions in TASKS.items():
        statement = {"Effect": "Allow", "Action": [f"iam:{action}" for action in actions], "Resource": "*"}
        record = iam._make_aws_managed_record(name, json.dumps({"Version": "2012-10-17", "Statement": statement}), name)
        arn = f"arn:aws:iam::aws:policy/root-task/{name}"
        iam._aws_managed_policies[arn] = {**record, "Arn": arn, "Path": "/root-task/"}
    answer = sts.handle_request

    async def answer_or_assume_root(method, path, headers, body, query_params):
        parameters = app._routing_params(method, path, headers, body, query_params)
        if sts._p(parameters, "Action") == "AssumeRoot":
            return assume_root(settings, parameters)
        return await answer(method, path, headers, body, query_params)

    sts.handle_request = answer_or_assume_root
    resource_of, context_of = iam_actions.extract_resource_arn, iam_actions.request_tag_context

    def resource(service, method, path, headers, body, query_params, region, account_id):
        if service == "sts" and query_params.get("TargetPrincipal"):
            return f"arn:aws:iam::{query_params['TargetPrincipal'][0]}:root"
        return resource_of(service, method, path, headers, body, query_params, region, account_id)

    def context(service, iam_action, body, params):
        keys = context_of(service, iam_action, body, params)
        if service == "sts" and params.get("TaskPolicyArn.arn"):
            keys = {**keys, "sts:TaskPolicyArn": params["TaskPolicyArn.arn"][0]}
        return keys

    iam_actions.extract_resource_arn, iam_actions.request_tag_context = resource, context
    for action, own in OF_ROOT.items():
        iam._IAM_HANDLERS[action] = about_root(own, iam._IAM_HANDLERS.get(action))
    iam._IAM_HANDLERS["PlantRootCredentials"] = plant


def switch_central_root_access(settings):
    """AWS lets the management account switch central root access on and off, once IAM has trusted access; without root
    sessions there is no AssumeRoot.

    MiniStack does not know the calls. The patch adds them.
    """
    services = Services(settings)

    def refusal(action):
        if get_account_id() != settings.management_account:
            code = "AccountNotManagementOrDelegatedAdministratorException" if action.startswith("List") else "CallerIsNotManagementAccountException"
            return iam._error(400, code, "The account is not the management account of an organization.", ns="iam")
        trusted = services.organizations().list_aws_service_access_for_organization()["EnabledServicePrincipals"]
        if action.startswith("Enable") and "iam.amazonaws.com" not in [one["ServicePrincipal"] for one in trusted]:
            return iam._error(409, "ServiceAccessNotEnabledException", "Trusted access is not enabled for IAM.", ns="iam")
        return None

    def shown(action):
        organization = services.organizations().describe_organization()["Organization"]["Id"]
        members = "".join(f"<member>{one}</member>" for one in sorted(features))
        return result(action, f"<OrganizationId>{organization}</OrganizationId><EnabledFeatures>{members}</EnabledFeatures>")

    def switching(action, feature, on):
        def handler(_parameters):
            refused = refusal(action)
            if refused is None:
                (features.add if on else features.discard)(feature)
            return refused or shown(action)

        return handler

    def listed(_parameters):
        return refusal("ListOrganizationsFeatures") or shown("ListOrganizationsFeatures")

    iam._IAM_HANDLERS["ListOrganizationsFeatures"] = listed
    for action, (feature, on) in SWITCHES.items():
        iam._IAM_HANDLERS[action] = switching(action, feature, on)


def assume_root(settings, parameters):
    """A session as root of a member account."""
    target, task = sts._p(parameters, "TargetPrincipal"), sts._p(parameters, "TaskPolicyArn.arn")
    seconds = int(sts._p(parameters, "DurationSeconds") or LONGEST_SESSION_SECONDS)
    if SESSIONS not in features or get_account_id() != settings.management_account or target == settings.management_account:
        message = f"User: {iam_evaluator.caller_arn()} is not authorized to perform: sts:AssumeRoot"
        return sts._error(403, "AccessDenied", message, ns="sts")
    if task.rpartition("/")[2] not in TASKS or not 0 < seconds <= LONGEST_SESSION_SECONDS:
        return sts._error(400, "ValidationError", "The task policy or the duration is not valid.", ns="sts")
    key, secret, token = sts._gen_session_access_key(), sts._gen_secret(), sts._gen_session_token()
    sts.register_session(key, {
        "Arn": f"arn:aws:sts::{target}{ASSUMED_ROOT}", "UserId": target, "AccountId": target,
        # Everything is allowed to it but what the task leaves out.
        "PrincipalType": "FederatedUser", "SessionPolicies": {"PolicyArns": [task]},
        "SecretAccessKey": secret, "SessionToken": token, "Expiration": time.time() + seconds})
    return sts._xml(
        200, "AssumeRootResponse",
        f"<AssumeRootResult><Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
        f"<SessionToken>{token}</SessionToken><Expiration>{sts._future(seconds)}</Expiration></Credentials>"
        f"<SourceIdentity></SourceIdentity></AssumeRootResult>", ns="sts")


def root():
    """The root user of the caller's account."""
    return roots.setdefault(get_account_id(), {"password": False, "keys": [], "certificates": [], "devices": []})


def plant(parameters):
    """Gives root of the caller's account a password, a key, a certificate and an MFA device, as far as they are named."""
    for kind in ("keys", "certificates", "devices"):
        named = iam._p(parameters, kind)
        root()[kind] = named.split(",") if named else []
    root()["password"] = iam._p(parameters, "password") == "true"
    return iam._xml(200, "PlantRootCredentialsResponse", "", ns="iam")


def about_root(own, otherwise):
    """A handler that answers for root in a session as root."""

    def handler(parameters):
        if iam_evaluator.caller_arn().endswith(ASSUMED_ROOT) and not iam._p(parameters, "UserName"):
            return own(parameters)
        if otherwise is None:
            return iam._error(400, "InvalidAction", "no such action", ns="iam")
        return otherwise(parameters)

    return handler


def listing(action, kind, members):
    """A handler that lists what root has."""

    def handler(_parameters):
        items = "".join(f"<member>{members.format(id=one)}</member>" for one in root()[kind])
        name = {"keys": "AccessKeyMetadata", "certificates": "Certificates", "devices": "MFADevices"}[kind]
        return result(action, f"<{name}>{items}</{name}><IsTruncated>false</IsTruncated>")

    return handler


def removal(action, kind, parameter):
    """A handler that removes one of the things that root has."""

    def handler(parameters):
        identifier = iam._p(parameters, parameter)
        if identifier not in root()[kind]:
            return iam._error(404, "NoSuchEntity", f"{identifier} cannot be found.", ns="iam")
        root()[kind].remove(identifier)
        return result(action, "")

    return handler


def get_password(_parameters):
    if not root()["password"]:
        return iam._error(404, "NoSuchEntity", "Login Profile for root cannot be found.", ns="iam")
    return result("GetLoginProfile", PROFILE)


def create_password(_parameters):
    if root()["password"]:
        return iam._error(409, "EntityAlreadyExists", "Login Profile for root already exists.", ns="iam")
    root()["password"] = True
    return result("CreateLoginProfile", PROFILE)


def delete_password(parameters):
    answer = get_password(parameters)
    root()["password"] = False
    return answer if answer[0] != 200 else result("DeleteLoginProfile", "")


def result(action, members):
    inner = f"<{action}Result>{members}</{action}Result>" if members else ""
    return iam._xml(200, f"{action}Response", inner, ns="iam")


PROFILE = f"<LoginProfile><UserName>root</UserName><CreateDate>{CREATED}</CreateDate></LoginProfile>"
OF_ROOT = {
    "CreateLoginProfile": create_password,
    "DeactivateMFADevice": removal("DeactivateMFADevice", "devices", "SerialNumber"),
    "DeleteAccessKey": removal("DeleteAccessKey", "keys", "AccessKeyId"),
    "DeleteLoginProfile": delete_password,
    "DeleteSigningCertificate": removal("DeleteSigningCertificate", "certificates", "CertificateId"),
    "GetLoginProfile": get_password,
    "ListAccessKeys": listing(
        "ListAccessKeys", "keys",
        f"<AccessKeyId>{{id}}</AccessKeyId><Status>Active</Status><CreateDate>{CREATED}</CreateDate>"),
    "ListMFADevices": listing(
        "ListMFADevices", "devices",
        f"<UserName>root</UserName><SerialNumber>{{id}}</SerialNumber><EnableDate>{CREATED}</EnableDate>"),
    "ListSigningCertificates": listing(
        "ListSigningCertificates", "certificates",
        "<UserName>root</UserName><CertificateId>{id}</CertificateId><CertificateBody>-</CertificateBody>"
        "<Status>Active</Status>"),
}
