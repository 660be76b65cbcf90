"""The patches of MiniStack's IAM, where it differs from AWS in a way that affects orgkeeper.

With AUTH=true MiniStack checks each call: signature, session, trust policy, identity policies, session policy,
permissions boundary, and the policy of the resource. `ministack_patches.py` lists the patches and explains their form.
"""

import contextvars
import ipaddress
import json
import re
import time

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import request_scope
from ministack.services import iam, kms, lambda_svc, sts

import passed_on

POLICY_VARIABLE = re.compile(r"\$\{(aws:[A-Za-z/_-]+)\}")

# How long an account counts as one of the organization without asking again.
MEMBERSHIP_SECONDS = 5.0

# The services that the front door answers itself: name in the credential scope -> botocore's names of its API.
FRONT_DOOR_SERVICES = {
    "account": "account",
    "controltower": "controltower",
    "organizations": "organizations",
    "securityhub": "securityhub",
    "servicecatalog": "servicecatalog",
    "sso": "sso-admin",
}

# The actions of Service Catalog with condition keys for the owner ("Actions, resources, and condition keys for AWS Service
# Catalog"), of those that are called here.
ACTIONS_ON_PROVISIONED_PRODUCTS = {f"servicecatalog:{name}" for name in (
    "DescribeProvisionedProduct", "DescribeRecord", "SearchProvisionedProducts", "TerminateProvisionedProduct",
    "UpdateProvisionedProduct")}

# The resources of the front door's services that a call is checked on beside the first: operation -> members of its body,
# with the form of the ARN where it is not the value itself.
FURTHER_RESOURCES = {
    "sso:CreateAccountAssignment": {"InstanceArn": "{}", "TargetId": "arn:aws:sso:::account/{}"},
    "sso:DescribePermissionSet": {"InstanceArn": "{}"},
    "organizations:MoveAccount": {"SourceParentId": None, "DestinationParentId": None},
    "organizations:AttachPolicy": {"TargetId": None},
    "organizations:DetachPolicy": {"TargetId": None},
    "identitystore:DescribeGroup": {"IdentityStoreId": "arn:aws:identitystore::{account}:identitystore/{}"},
    "identitystore:ListGroups": {"": "arn:aws:identitystore:::group/any"},
    "identitystore:GetUserId": {"": "arn:aws:identitystore:::user/any"},
    "identitystore:ListGroupMembershipsForMember": {
        "": "arn:aws:identitystore:::membership/any", "MemberId": "arn:aws:identitystore:::user/any"},
}

# Ids of EC2's resources that MiniStack's check does not know, or names otherwise: parameter -> form of the ARN.
EC2_RESOURCES = {
    "NetworkAclId": "arn:aws:ec2:{region}:{account}:network-acl/{id}",
    "TransitGatewayId": "arn:aws:ec2:{region}:{account}:transit-gateway/{id}",
    "SnapshotId": "arn:aws:ec2:{region}::snapshot/{id}",
    "FlowLogId.1": "arn:aws:ec2:{region}:{account}:vpc-flow-log/{id}",
    "ImageId": "arn:aws:ec2:{region}::image/{id}",
    "ResourceId.1": "arn:aws:ec2:{region}:{account}:{kind}/{id}",
}
EC2_KINDS = {"vpc": "vpc", "subnet": "subnet", "eni": "network-interface", "sg": "security-group"}
IAM_RESOURCES = {
    "AWSServiceName": "arn:aws:iam::{account}:role/aws-service-role/{id}/{linked}",
    "ServerCertificateName": "arn:aws:iam::{account}:server-certificate/{id}",
}
# The names of the service-linked roles that are made here.
LINKED_ROLES = {
    "access-analyzer.amazonaws.com": "AWSServiceRoleForAccessAnalyzer",
    "config.amazonaws.com": "AWSServiceRoleForConfig",
    "guardduty.amazonaws.com": "AWSServiceRoleForAmazonGuardDuty",
}
RDS_RESOURCES = {
    "DBSnapshotIdentifier": "arn:aws:rds:{region}:{account}:snapshot:{id}",
    "DBClusterSnapshotIdentifier": "arn:aws:rds:{region}:{account}:cluster-snapshot:{id}",
}
# Services of which one type of resource is in our policies: what a call is checked on.
ANY_OF = {
    "access-analyzer": "arn:aws:access-analyzer:{region}:{account}:analyzer/any",
    "macie2": "arn:aws:macie2:{region}:{account}:member/any",
}
RDS_LISTS = {"DescribeDBClusters": "cluster", "DescribeDBInstances": "db"}


# ---------------------------------------------------------------- what a call is checked for


def name_actions(_settings):
    """AWS checks a batch call of SQS for the permission of the single call (SendMessage, DeleteMessage,
    ChangeMessageVisibility), every call of Budgets for one of two permissions, and the list of a function's URLs for its own.

    MiniStack asks for the name of the call, which is in no policy. The patch asks as AWS does.
    """
    action_of = iam_actions.extract_iam_action

    def checked(service, *request):
        action = action_of(service, *request)
        if service == "sqs" and action:
            return action.removesuffix("Batch")
        if service == "budgets" and action:
            return "budgets:ViewBudget" if ":Describe" in action else "budgets:ModifyBudget"
        if action == "detective:ListOrganizationAdminAccounts":
            # The action is in the singular ("Actions, resources, and condition keys for Amazon Detective").
            return action.removesuffix("s")
        if service == "lambda" and request[1].rstrip("/").endswith("/urls"):
            return "lambda:ListFunctionUrlConfigs"
        return action

    iam_actions.extract_iam_action = checked


def let_anybody_call_open_urls(_settings):
    """A function URL with the type NONE needs no signature: the function's policy alone decides.

    It has to allow both lambda:InvokeFunctionUrl and lambda:InvokeFunction to everybody ("Security and auth model for Lambda
    function URLs"). With AUTH=true MiniStack refuses each request without a signature.
    """
    handle = app._handle_lambda_url_request

    async def handle_unsigned(host, path, method, headers, body, query_params, source_ip=None):
        parsed = app._parse_lambda_url(host, path)
        resolved = lambda_svc.resolve_function_url(parsed[0]) if parsed else None
        if not resolved or resolved[-1].get("AuthType") != "NONE":
            return await handle(host, path, method, headers, body, query_params, source_ip)
        if not anybody_may_call(*resolved[:3]):
            return 403, {"Content-Type": "application/json"}, b'{"Message":"Forbidden"}'
        return await lambda_svc.handle_function_url_request(
            parsed[0], method, parsed[1], headers, body, query_params, resolved=resolved, source_ip=source_ip)

    app._handle_lambda_url_request = handle_unsigned


def anybody_may_call(account, region, name):
    """Whether the policy of a function lets everybody call it by its URL."""
    arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
    with request_scope(account, region):
        found = lambda_svc.function_policy_for_arn(arn)
    contexts = (
        ("lambda:InvokeFunctionUrl", {"lambda:functionurlauthtype": "NONE"}),
        ("lambda:InvokeFunction", {"lambda:invokedviafunctionurl": "true"}))
    return found is not None and all(
        iam_evaluator.evaluate_resource_policy(found[0], iam_evaluator.EvalContext(
            principal_arn="*", principal_type="Anonymous", principal_account="", action=action, resource_arn=arn,
            region=region, secure_transport=True, service_context=context)).decision == "Allow"
        for action, context in contexts)


def count_loopback_as_tls(_settings):
    """AWS sets aws:SecureTransport to true for every call over TLS, so for those of all SDKs.

    Here every call is plain HTTP, and a policy that denies it would deny all. The patch counts a call that comes from
    this machine as one over TLS, and so what services send each other by themselves: an event to a queue, say.
    """
    pin = app.pin_request_origin

    def pin_as_tls(source_ip, secure_transport):
        pin(source_ip, secure_transport or ipaddress.ip_address(source_ip).is_loopback)

    app.pin_request_origin = pin_as_tls
    # What no call has started has this origin.
    iam_evaluator._request_origin = contextvars.ContextVar("origin", default=("127.0.0.1", True))


def name_resources(_settings):
    """AWS names the resource that a call is about: network ACL, transit gateway, what a flow log is for, snapshots and
    images (without an account), snapshots of databases, documents, service settings, repositories, detectors, behavior graphs,
    service-linked roles, budgets, the key that an alias leads to, log groups that are listed, groups of an identity store, the event
    bus that is described, aggregators of AWS Config (by their name: the id is moto's).

    MiniStack takes `*` for most, which no policy with ARNs allows, a parameter for a document, and a rule for a bus. The
    patch names them.
    """
    resource_of = iam_actions.extract_resource_arn

    def resource(service, method, path, headers, body, query_params, region, account_id):
        named = None
        place = {"region": region, "account": account_id}
        if service == "ec2":
            named = by_parameter(EC2_RESOURCES, query_params, place)
        elif service == "rds":
            named = by_parameter(RDS_RESOURCES, query_params, place) or rds_list(query_params, place)
        elif service == "ssm":
            named = ssm_resource(headers, body, place)
        elif service == "kms":
            named = kms_resource(body, place)
        elif service == "budgets":
            named = budget_resource(body)
        elif service == "logs":
            named = logs_resource(headers, body, place)
        elif service == "ecr":
            names = json_members(body).get("repositoryNames")
            named = names and "arn:aws:ecr:{region}:{account}:repository/{id}".format(id=names[0], **place)
        elif service == "events" and headers.get("x-amz-target", "").endswith(".DescribeEventBus"):
            bus = json_members(body).get("Name") or "default"
            named = bus if bus.startswith("arn:") else "arn:aws:events:{region}:{account}:event-bus/{id}".format(id=bus, **place)
        elif service == "config" and "ConfigurationAggregatorName" in json_members(body):
            name = json_members(body)["ConfigurationAggregatorName"]
            named = "arn:aws:config:{region}:{account}:config-aggregator/{id}".format(id=name, **place)
        elif service == "guardduty" and path.startswith("/detector/"):
            named = "arn:aws:guardduty:{region}:{account}:detector/{id}".format(id=path.split("/")[2], **place)
        elif service == "detective":
            named = json_members(body).get("GraphArn")
        elif service in ANY_OF:
            named = ANY_OF[service].format(**place)
        elif service == "iam":
            named = user_or_group(query_params, place) or by_parameter(IAM_RESOURCES, query_params, place)
        elif service == "identitystore":
            named = identity_store_resource(body, place)
        return named or resource_of(service, method, path, headers, body, query_params, region, account_id)

    iam_actions.extract_resource_arn = resource


def user_or_group(parameters, place):
    """The ARN, with its path, of the group or else the user that a query of IAM names, also by an access key alone."""
    group, user, key = (parameters.get(name, [""])[0] for name in ("GroupName", "UserName", "AccessKeyId"))
    user = user or (key and (iam._access_keys.get(key) or {}).get("UserName"))
    if group:
        path = parameters.get("Path", ["/"])[0]
        return (iam._groups.get(group) or {}).get("Arn") or f"arn:aws:iam::{place['account']}:group{path}{group}"
    return user and (iam._users.get(user) or {}).get("Arn")


def rds_list(query_params, place):
    """What a list is checked on: RDS has no permission without a resource."""
    if by_parameter({"DBInstanceIdentifier": "{id}", "DBClusterIdentifier": "{id}"}, query_params, place):
        return None
    kind = RDS_LISTS.get(iam_actions._query_param(query_params, "Action"))
    return kind and "arn:aws:rds:{region}:{account}:{kind}:*".format(kind=kind, **place)


def by_parameter(forms, parameters, place):
    """The ARN of the first of these parameters that a query names."""
    for name, form in forms.items():
        if parameters.get(name):
            identifier = parameters[name][0]
            kind = EC2_KINDS.get(identifier.partition("-")[0], "*")
            return form.format(id=identifier, kind=kind, linked=LINKED_ROLES.get(identifier, "*"), **place)
    return None


def ssm_resource(headers, body, place):
    """The ARN of the document or service setting that a call to SSM names."""
    operation, given = headers.get("x-amz-target", "").rpartition(".")[2], json_members(body)
    if operation.endswith("ServiceSetting") and given.get("SettingId"):
        setting = given["SettingId"]
        form = "arn:aws:ssm:{region}:{account}:servicesetting/{id}"
        return setting if setting.startswith("arn:") else form.format(id=setting.lstrip("/"), **place)
    if "Document" in operation and given.get("Name"):
        return "arn:aws:ssm:{region}:{account}:document/{id}".format(id=given["Name"], **place)
    return None


def identity_store_resource(body, place):
    """The ARN of the group that a call names, else of the identity store."""
    given = json_members(body)
    if given.get("GroupId"):
        return f"arn:aws:identitystore:::group/{given['GroupId']}"
    return "arn:aws:identitystore::{account}:identitystore/{id}".format(id=given.get("IdentityStoreId", "*"), **place)


def kms_resource(body, place):
    """The ARN of the key that an alias leads to, or of an alias that is created."""
    given = json_members(body)
    if given.get("AliasName"):
        return "arn:aws:kms:{region}:{account}:{id}".format(id=given["AliasName"], **place)
    if given.get("KeyId", "").startswith("alias/"):
        key = kms._resolve_key(given["KeyId"]) or {"KeyId": "none"}
        return "arn:aws:kms:{region}:{account}:key/{id}".format(id=key["KeyId"], **place)
    return None


def budget_resource(body):
    """The ARN of the budget that a call names."""
    given = json_members(body)
    named = given.get("BudgetName") or (given.get("Budget") or given.get("NewBudget") or {}).get("BudgetName", "*")
    return f"arn:aws:budgets::{given.get('AccountId', '*')}:budget/{named}"


def logs_resource(headers, body, place):
    """The ARN of the log groups that a call lists by the beginning of their names."""
    prefix = json_members(body).get("logGroupNamePrefix", "")
    if headers.get("x-amz-target", "").endswith(".DescribeLogGroups"):
        return "arn:aws:logs:{region}:{account}:log-group:{id}".format(id=prefix, **place)
    return None


def json_members(body):
    """The members of a JSON body; none if it is something else."""
    try:
        members = json.loads(body or b"{}")
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}


def know_condition_keys(_settings):
    """AWS gives a call of IAM the condition key iam:PolicyARN, so that a role can be allowed one policy only, and
    iam:PermissionsBoundary, the boundary that is set, or that the named role or user has; and calls about provisioned
    products of Service Catalog the key servicecatalog:accountLevel, which is `self` for those of the caller's account.

    MiniStack does not, so that such statements never apply. The patch adds them; here every product is of the account.
    """
    context_of = iam_actions.request_tag_context

    def context(service, iam_action, body, params):
        keys = context_of(service, iam_action, body, params)
        if service == "iam" and params.get("PolicyArn"):
            keys = {**keys, "iam:PolicyARN": params["PolicyArn"][0]}
        if service == "iam" and boundary_of(params):
            keys = {**keys, "iam:PermissionsBoundary": boundary_of(params)}
        if iam_action in ACTIONS_ON_PROVISIONED_PRODUCTS:
            keys = {**keys, "servicecatalog:accountLevel": "self"}
        return keys

    iam_actions.request_tag_context = context


def boundary_of(params):
    """The permissions boundary that a call of IAM sets, or that the role or user has which it names."""
    if params.get("PermissionsBoundary"):
        return params["PermissionsBoundary"][0]
    for name, store in (("RoleName", iam._roles), ("UserName", iam._users)):
        if params.get(name):
            return (store.get(params[name][0]) or {}).get("PermissionsBoundary")
    return None


def know_the_organization(settings):
    """AWS sets aws:PrincipalOrgID to the organization of the caller's account, aws:ResourceOrgID to that of the
    resource's, aws:PrincipalArn of a session to its role, and replaces policy variables such as `${aws:PrincipalOrgID}`
    in conditions.

    MiniStack takes each account for an organization of its own, takes the session's ARN for aws:PrincipalArn, and knows
    neither the other key nor variables. The patch asks moto, which has the organization.
    """
    membership = Membership(settings)
    condition_value = iam_evaluator._resolve_condition_key
    conditions_met = iam_evaluator._conditions_met

    def value(key, context):
        if key.lower() == "aws:resourceorgid":
            return membership.organization(iam_evaluator._account_from_arn(context.resource_arn) or
                                           context.principal_account)
        if key.lower() == "aws:principalarn":
            return role_of_session(context.principal_arn)
        return condition_value(key, context)

    def replaced(given, context):
        if isinstance(given, str):
            return POLICY_VARIABLE.sub(lambda found: str(value(found[1], context) or found[0]), given)
        if isinstance(given, list):
            return [replaced(one, context) for one in given]
        return {key: replaced(one, context) for key, one in given.items()} if isinstance(given, dict) else given

    def met(conditions, context):
        return conditions_met(replaced(conditions, context) if "${" in str(conditions) else conditions, context)

    iam_evaluator._principal_org_id = membership.organization
    iam_evaluator._resolve_condition_key = value
    iam_evaluator._conditions_met = met


def role_of_session(arn):
    """The ARN of the role of a session; any other ARN as it is."""
    name = iam_evaluator._role_name_from_assumed_arn(arn) if ":assumed-role/" in arn else None
    if not name:
        return arn
    account = iam_evaluator._account_from_arn(arn)
    # A role's path is not in the ARN of its sessions.
    role = iam._roles.get_scoped(account, None, name) or {}
    return role.get("Arn") or f"arn:aws:iam::{account}:role/{name}"


class Membership:
    """Which accounts belong to the organization, as moto has it."""

    def __init__(self, settings):
        self.settings = settings
        self.known = {}

    def organization(self, account):
        """The id of the organization that an account belongs to; None if it belongs to none."""
        asked, found = self.known.get(account, (0.0, None))
        if found is None or time.monotonic() - asked > MEMBERSHIP_SECONDS:
            found = self.ask(account)
            self.known[account] = (time.monotonic(), found)
        return found

    def ask(self, account):
        """The organization in the account's ARN, `arn:aws:organizations::<management>:account/o-…/<account>`."""
        headers = {
            "X-Amz-Target": "AWSOrganizationsV20161128.DescribeAccount",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": passed_on.authorization(self.settings.management_account, "us-east-1", "organizations"),
        }
        status, _headers, body = passed_on.send(
            self.settings.moto_url, self.settings.management_account, "POST", "/", headers,
            json.dumps({"AccountId": account}).encode())
        return json.loads(body)["Account"]["Arn"].split("/")[1] if status == 200 else None


def name_the_refused_caller(_settings):
    """AWS says who may not assume a role in the same words whether the role is missing or does not trust the caller.

    MiniStack leaves the caller out if the role is missing. The patch adds it.
    """
    answer = sts.handle_request

    async def answer_with_caller(method, path, headers, body, query_params):
        status, answer_headers, content = await answer(method, path, headers, body, query_params)
        if status == 403:
            caller = iam_evaluator.caller_arn()
            content = content.replace(b"User: is not", f"User: {caller} is not".encode())
        return status, answer_headers, content

    sts.handle_request = answer_with_caller


# ---------------------------------------------------------------- the front door's own services


def say_who_calls(settings):
    """AWS checks the caller of every service in the same way.

    Some services are answered by the front door, where MiniStack cannot check them. The patch makes them services of
    MiniStack too: it checks a call that the front door sends on, and answers with the caller's ARN if it is allowed.
    """

    async def answer_with_caller(_method, _path, _headers, _body, _query_params):
        return 200, {passed_on.CALLER_HEADER: iam_evaluator.caller_arn()}, b""

    for service, model in FRONT_DOOR_SERVICES.items():
        passed_on.register(service, model)
        app.SERVICE_HANDLERS[service] = answer_with_caller
    membership = Membership(settings)
    resource_of = iam_actions.extract_resource_arn

    def resource(service, method, path, headers, body, query_params, region, account_id):
        if service not in FRONT_DOOR_RESOURCES:
            return resource_of(service, method, path, headers, body, query_params, region, account_id)
        place = Place(region, account_id, settings.management_account, membership)
        return FRONT_DOOR_RESOURCES[service](json_members(body), path, place) or "*"

    iam_actions.extract_resource_arn = resource


def check_every_resource(settings):
    """AWS checks a call on every resource that it is about: an assignment on the instance, the permission set and the
    account, a move on the account and both parents, a list of groups on the store and the groups.

    MiniStack checks one. The patch checks the others too.
    """
    membership = Membership(settings)
    resource_of, enforce = iam_actions.extract_resource_arn, iam_evaluator.enforce
    further = contextvars.ContextVar("orgkeeper_further_resources", default=())

    def resource(service, method, path, headers, body, query_params, region, account_id):
        first = resource_of(service, method, path, headers, body, query_params, region, account_id)
        place = Place(region, account_id, settings.management_account, membership)
        action = iam_actions.extract_iam_action(service, method, path, headers, body, query_params)
        further.set((action, further_resources(action, json_members(body), place)))
        return first

    def enforce_on_all(access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
        denied = enforce(access_key_id, iam_action, service, region, resource_arn, service_context)
        action, others = further.get() or (None, ())
        if action == iam_action:
            for arn in others:
                denied = denied or enforce(access_key_id, iam_action, service, region, arn, service_context)
        return denied

    iam_actions.extract_resource_arn = resource
    iam_evaluator.enforce = enforce_on_all


def further_resources(action, given, place):
    """The ARNs that a call is checked on beside the first."""
    arns = []
    for member, form in FURTHER_RESOURCES.get(action, {}).items():
        value = given.get(member, "") if member else ""
        if form is None:
            arns.append(of_organizations({"ParentId": value}, None, place))
        elif value or not member:
            arns.append(form.format(value if isinstance(value, str) else "", account=place.account))
    return arns


class Place:
    """Where a call is made, and the form of ARNs there."""

    def __init__(self, region, account, management, membership):
        self.region, self.account, self.management, self.membership = region, account, management, membership

    def of_organization(self, service, kind, identifier):
        """The ARN of something that belongs to the organization."""
        organization = self.membership.organization(self.management)
        return f"arn:aws:{service}::{self.management}:{kind}/{organization}/{identifier}"


def of_access_analyzer(given, path, place):
    """An analyzer."""
    here = f"arn:aws:access-analyzer:{place.region}:{place.account}:analyzer"
    name = given.get("analyzerName") or path.removeprefix("/analyzer").strip("/")
    return given.get("analyzerArn") or (f"{here}/{name}" if name else None)


def of_account(given, _path, place):
    """An account of the organization, or the caller's own."""
    if given.get("AccountId"):
        return place.of_organization("account", "account", given["AccountId"])
    return f"arn:aws:account::{place.account}:account"


def of_control_tower(given, _path, _place):
    """The landing zone; its other calls here have no resource type."""
    return given.get("landingZoneIdentifier")


def of_organizations(given, _path, place):
    """An account, an organizational unit, the root or a policy."""
    names = ("AccountId", "ChildId", "OrganizationalUnitId", "ParentId", "ResourceId", "PolicyId", "TargetId")
    identifier = next((given[name] for name in names if given.get(name)), None)
    if identifier is None:
        return None
    kind, _, rest = identifier.partition("-")
    if kind == "p":
        return place.of_organization("organizations", "policy", f"service_control_policy/p-{rest}")
    kind = {"r": "root", "ou": "ou"}.get(kind, "account")
    return place.of_organization("organizations", kind, identifier)


def of_security_hub(given, path, place):
    """The product that imports, a policy or an aggregator, or else the hub."""
    if path.startswith("/findings/import"):
        return next((finding.get("ProductArn") for finding in given.get("Findings") or []), None)
    kinds = {"/configurationPolicy/": "configuration-policy", "/findingAggregator/": "finding-aggregator"}
    kind = next((kind for beginning, kind in kinds.items() if path.startswith(beginning)), None)
    return f"arn:aws:securityhub:{place.region}:{place.account}:{f'{kind}/any' if kind else 'hub/default'}"


def of_service_catalog(given, _path, place):
    """A product."""
    product = given.get("ProductId") or given.get("ProductName")
    return product and f"arn:aws:catalog:{place.region}:{place.account}:product/{product}"


def of_identity_center(given, _path, _place):
    """A permission set or the instance."""
    return given.get("PermissionSetArn") or given.get("InstanceArn")


# Those of Access Analyzer and of most of Security Hub are in moto.
FRONT_DOOR_RESOURCES = {
    "access-analyzer": of_access_analyzer,
    "account": of_account,
    "controltower": of_control_tower,
    "organizations": of_organizations,
    "securityhub": of_security_hub,
    "servicecatalog": of_service_catalog,
    "sso": of_identity_center,
}
