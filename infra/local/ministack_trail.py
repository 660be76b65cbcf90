"""The events that CloudTrail sends to EventBridge about changing calls that moto answers: each on the default bus of the account
and Region of the call. AWS does so while a trail is logging; here one always is for the services of ALWAYS. Calls of the others,
which most tests make only to prepare something, have events while `/_orgkeeper/posture/trail` says `{"every_call": true}`: moto's answers then
have a header.

What the front door answers itself has its events there (`trail.rs`).
"""

import json
import re
import time
import uuid

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import eventbridge

import ministack_events

API_CALL = "AWS API Call via CloudTrail"
ALWAYS = ("detective", "devops-guru", "inspector2", "macie2", "securityhub")
# Services of which every call that changes something is an event.
EVERY_CHANGE = (*ALWAYS, "access-analyzer", "config", "guardduty")
TRAIL_HEADER = "x-orgkeeper-trail"
READS = re.compile("^(BatchGet|Describe|Get|List|Search|Select)")
# Services of which these calls are: those that can expose something.
SOME = {
    "ec2": re.compile(
        "^(AllocateAddress|AssignIpv6Addresses|Associate(Address|RouteTable)|Attach(InternetGateway|NetworkInterface)"
        "|(Authorize|Revoke)SecurityGroupIngress|(Create|Delete)(NatGateway|NetworkInterface|Route)|DetachInternetGateway"
        "|Disassociate(Address|RouteTable)|Modify(InstanceAttribute|NetworkInterfaceAttribute|SecurityGroupRules|SubnetAttribute)"
        "|(Create|Delete|Modify)VpcBlockPublicAccess(Exclusion|Options)|ReleaseAddress|Replace(Route|RouteTableAssociation)"
        "|(Run|Start|Stop|Terminate)Instances)$"),
    "elasticloadbalancing": re.compile("^((Create|Delete|Modify)(Listener|LoadBalancer)|Set(SecurityGroups|Subnets))$"),
    "rds": re.compile("^(Create|Delete|Modify)DBInstance$"),
}
FORM = ("Action", "Version")


def is_change(service, operation):
    """Whether a call of a service is an event."""
    if service in EVERY_CHANGE:
        return bool(operation) and not READS.match(operation)
    return service in SOME and bool(SOME[service].match(operation))


def record(service, operation, headers, parameters, body, answer):
    """Sends the event of a call that succeeded and changes something."""
    status, returned, _content = answer
    wanted = service in ALWAYS or any(name.lower() == TRAIL_HEADER for name in returned)
    if status >= 400 or not wanted or not is_change(service, operation):
        return
    detail = {
        "eventVersion": "1.08", "userIdentity": identity(), "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "eventSource": f"{service}.amazonaws.com", "eventName": operation, "awsRegion": get_region(), "sourceIPAddress": "127.0.0.1",
        "userAgent": headers.get("user-agent"), "requestParameters": request(headers, parameters, body), "responseElements": None,
        "requestID": returned.get("x-amzn-requestid") or str(uuid.uuid4()), "eventID": str(uuid.uuid4()), "readOnly": False,
        "eventType": "AwsApiCall", "managementEvent": True, "recipientAccountId": get_account_id(), "eventCategory": "Management"}
    eventbridge._ensure_default_bus()
    ministack_events.send_service_events({"Entries": [{
        "Source": f"aws.{service}", "DetailType": API_CALL, "Detail": json.dumps(detail)}]})


def identity():
    """The caller: an access key of an account's own is that of a user, since CloudTrail would not call it root."""
    account, arn = get_account_id(), iam_evaluator.caller_arn()
    if ":assumed-role/" in arn:
        role = arn.split("/")[1]
        issuer = {"type": "Role", "arn": f"arn:aws:iam::{account}:role/{role}", "accountId": account, "userName": role}
        return {"type": "AssumedRole", "arn": arn, "accountId": account, "sessionContext": {"sessionIssuer": issuer}}
    return {"type": "IAMUser", "arn": f"arn:aws:iam::{account}:user/local", "accountId": account, "userName": "local"}


def request(headers, parameters, body):
    """The parameters of a call with names as CloudTrail writes them; those of a form flat."""
    if "x-www-form-urlencoded" in headers.get("content-type", ""):
        form = {name: value[0] if isinstance(value, list) else value for name, value in parameters.items()}
        return {lower(name): value for name, value in form.items() if name not in FORM}
    try:
        return lower_names(json.loads(body)) if body else None
    except ValueError:
        return None


def lower_names(value):
    """A value with names that begin in lower case."""
    if isinstance(value, list):
        return [lower_names(one) for one in value]
    if isinstance(value, dict):
        return {lower(name): lower_names(one) for name, one in value.items()}
    return value


def lower(name):
    """A name with its first letter in lower case."""
    return name[:1].lower() + name[1:]
