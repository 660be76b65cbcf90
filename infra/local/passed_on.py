"""What MiniStack passes on to moto, which does it better: after it has checked the caller, in the caller's account.

`ministack_patches.py` lists the patch and explains its form.
"""

import asyncio
import http.client
import re
from urllib.parse import quote, urlencode, urlsplit

from ministack import app
from ministack.core import iam_actions, iam_evaluator, router
from ministack.core.responses import get_account_id

import ministack_trail

# The services, and the operations of each.
EVERY = re.compile("")
PASSED_ON = {
    "access-analyzer": EVERY,
    "budgets": EVERY,
    "config": EVERY,
    "detective": EVERY,
    "devops-guru": EVERY,
    "ec2": EVERY,
    "elasticloadbalancing": EVERY,
    "guardduty": EVERY,
    "iam": re.compile("ServerCertificate"),
    "identitystore": EVERY,
    "inspector2": EVERY,
    "macie2": EVERY,
    "rds": EVERY,
    # The front door has the findings, moto the rest.
    "securityhub": re.compile("^securityhub:(?!(BatchImportFindings|BatchUpdateFindings|GetFindings|UpdateFindings)$)"),
    "ssm": re.compile("Document"),
}
ACCOUNT_BLOCK = "/v20180820/configuration/publicAccessBlock"
ACCOUNT_BLOCK_ACTIONS = {
    "GET": "s3:GetAccountPublicAccessBlock",
    "PUT": "s3:PutAccountPublicAccessBlock",
    "DELETE": "s3:PutAccountPublicAccessBlock",
}
SECONDS = 60
# The headers by which an answer says who called, and that a Region lacks the service: its host has no name there.
CALLER_HEADER = "x-orgkeeper-caller"
NO_HOST_HEADER = "x-orgkeeper-no-host"
# Names of the credential scope -> botocore's names of the API.
MODELS = {"access-analyzer": "accessanalyzer"}

# Headers of a single connection, and of a body that was decoded on the way.
NOT_SENT = ("accept-encoding", "connection", "content-encoding", "content-length", "expect", "transfer-encoding")
NOT_RETURNED = ("connection", "content-length", "date", "server", "transfer-encoding")


def pass_on_to_moto(settings):
    """AWS closes one range of a security group and keeps the others, knows the state of databases, has GuardDuty and
    Identity Center, a public access block for whole accounts, shared documents and server certificates, interfaces of load balancers,
    and the services that an account administers for the organization.

    MiniStack lacks these or loses part of them; moto has them. The patch passes the calls on to moto, with the
    caller's account, after MiniStack has checked the caller.
    """
    for service, operations in PASSED_ON.items():
        if service not in app.SERVICE_HANDLERS:
            register(service, MODELS.get(service, service))
        app.SERVICE_HANDLERS[service] = passing_on(service, operations, app.SERVICE_HANDLERS.get(service), settings)
    control = app._handle_s3_control_request

    async def account_block(path, method, body, query_params, request_id, headers=None):
        if path.rstrip("/") != ACCOUNT_BLOCK or method not in ACCOUNT_BLOCK_ACTIONS:
            return await control(path, method, body, query_params, request_id, headers)
        refused = app._enforce_data_plane("s3", ACCOUNT_BLOCK_ACTIONS[method], headers, query_params, request_id)
        if refused:
            return refused
        if headers.get("x-amz-account-id") != get_account_id():
            return app._get_module("s3").s3control_account_error(headers)
        return await pass_on(settings, method, path, headers, body, query_params)

    app._handle_s3_control_request = account_block


def register(service, model):
    """Makes a service known to MiniStack by its credential scope, and its operations by botocore's model."""
    router.SERVICE_PATTERNS.setdefault(service, {})
    iam_actions.SERVICE_TO_IAM_NAMESPACE.setdefault(service, service)
    iam_actions._BOTOCORE_SERVICE_MAP.setdefault(service, [model])


def passing_on(service, operations, otherwise, settings):
    """A handler that passes these operations on, and leaves the others to MiniStack's own."""

    async def handler(method, path, headers, body, query_params):
        parameters = app._routing_params(method, path, headers, body, query_params)
        action = iam_actions.extract_iam_action(service, method, path, headers, body, parameters) or ""
        if otherwise is not None and not operations.search(action):
            return await otherwise(method, path, headers, body, query_params)
        status, returned, answer = await pass_on(settings, method, path, headers, body, query_params)
        ministack_trail.record(service, action.partition(":")[2], headers, parameters, body, (status, returned, answer))
        return status, {**returned, CALLER_HEADER: iam_evaluator.caller_arn()}, answer

    return handler


async def pass_on(settings, method, path, headers, body, query_params):
    """moto's answer to a request of the caller's account."""
    query = urlencode(query_params, doseq=True)
    target = quote(path) + (f"?{query}" if query else "")
    return await asyncio.to_thread(send, settings.moto_url, get_account_id(), method, target, headers, body)


def send(moto_url, account, method, target, headers, body):
    """Sends a request to moto for an account; returns status, headers and body of the answer."""
    connection = http.client.HTTPConnection(urlsplit(moto_url).netloc, timeout=SECONDS)
    sent = {name: value for name, value in headers.items() if name.lower() not in NOT_SENT}
    try:
        connection.request(method, target, body, {**sent, "x-moto-account-id": account})
        answer = connection.getresponse()
        returned = {name: value for name, value in answer.getheaders() if name.lower() not in NOT_RETURNED}
        return answer.status, returned, answer.read()
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return 502, {NO_HOST_HEADER: "true"}, b""
    finally:
        connection.close()


def authorization(account, region, service):
    """The header of a call of an account's own; moto reads service and Region from it."""
    scope = f"{account}/20260101/{region}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=local"
