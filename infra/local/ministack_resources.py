"""The resource types of infra/organization-baseline.yaml, infra/security-baseline.yaml and infra/member-account.yaml that
MiniStack's CloudFormation does not know, and the boundaries of roles, which it ignores.

`ministack_patches.py` lists the patches. A resource is what a call of its service makes, in the account of the stack: moto
has Organizations and GuardDuty, the front door Security Hub and Access Analyzer, MiniStack itself IAM and CloudTrail.
"""

import json
from fnmatch import fnmatchcase

import boto3
from botocore.exceptions import ClientError
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudtrail, iam, s3
from ministack.services.cloudformation import provisioners

TRAIL_SERVICE = "cloudtrail.amazonaws.com"
# Properties of a trail that have another name in the call.
TRAIL_MEMBERS = {"TrailName": "Name", "KMSKeyId": "KmsKeyId"}
FLAGS = ("IsMultiRegionTrail", "IsOrganizationTrail", "IncludeGlobalServiceEvents", "EnableLogFileValidation")


def add_organization_resources(settings):
    """CloudFormation has resource types for policies of the organization, trails, detectors, analyzers, Security Hub and
    groups of users.

    MiniStack refuses a template with one of them. The patch adds them.
    """
    services = Services(settings)
    provisioners._RESOURCE_HANDLERS.update({
        "AWS::AccessAnalyzer::Analyzer": replaced_only(analyzer(services)),
        "AWS::CloudTrail::Trail": trail(services),
        "AWS::GuardDuty::Detector": detector(services),
        "AWS::IAM::Group": {"create": create_group, "update": update_group, "delete": delete_group},
        "AWS::Organizations::Policy": organization_policy(services),
        "AWS::SecurityHub::DelegatedAdmin": replaced_only(administrator(services)),
        "AWS::SecurityHub::Hub": replaced_only(hub(services)),
        "AWS::SecurityHub::OrganizationConfiguration": organization_configuration(services),
    })


def keep_boundaries_of_roles(_settings):
    """AWS gives a role the permissions boundary that its template names.

    MiniStack ignores the property. The patch sets the boundary.
    """
    own = provisioners._RESOURCE_HANDLERS["AWS::IAM::Role"]

    def bounded(name, properties):
        boundary = properties.get("PermissionsBoundary")
        if boundary:
            done(iam._put_role_permissions_boundary({"RoleName": [name], "PermissionsBoundary": [boundary]}))
        elif name in iam._roles:
            iam._roles[name].pop("PermissionsBoundary", None)

    def create(logical_id, properties, stack_name):
        name, attributes = own["create"](logical_id, properties, stack_name)
        bounded(name, properties)
        return name, attributes

    def update(physical_id, old, new, stack_name, logical_id=None):
        name, attributes = own["update"](physical_id, old, new, stack_name, logical_id)
        bounded(name, new)
        return name, attributes

    provisioners._RESOURCE_HANDLERS["AWS::IAM::Role"] = {**own, "create": create, "update": update}


class Services:
    """Clients of a stack's account, for the services that answer elsewhere."""

    def __init__(self, settings):
        self.settings = settings

    def of_moto(self, service):
        """A client of moto."""
        client = self.client(service, self.settings.moto_url)
        account = {"x-moto-account-id": get_account_id()}
        client.meta.events.register("before-call", lambda params, **_: params["headers"].update(account))
        return client

    def of_front_door(self, service):
        """A client of the front door."""
        return self.client(service, self.settings.endpoint_url)

    def organizations(self):
        """A client of the organization, for the management account only."""
        if get_account_id() != self.settings.management_account:
            raise ValueError("You don't have permissions to access this resource: only the management account has")
        return self.of_moto("organizations")

    @staticmethod
    def client(service, url):
        """A client with the account's own access key."""
        return boto3.client(service, endpoint_url=url, region_name=get_region(),
                            aws_access_key_id=get_account_id(), aws_secret_access_key="test")


def replaced_only(handlers):
    """Handlers of a type whose properties all need another resource: the local cloud refuses to change them."""

    def update(_physical_id, _old, _new, _stack_name):
        raise ValueError("the local cloud does not replace this resource: delete it first")

    return {**handlers, "update": update}


def done(answer):
    """The body of one of MiniStack's own answers; raises what it refuses."""
    status, _headers, body = answer
    if status >= 400:
        raise ValueError(body if isinstance(body, str) else body.decode())
    return body


# ---------------------------------------------------------------- Organizations


def organization_policy(services):
    """AWS::Organizations::Policy."""

    def given(properties):
        content = properties["Content"]
        return {"Name": properties["Name"], "Description": properties.get("Description", ""),
                "Content": content if isinstance(content, str) else json.dumps(content)}

    def create(_logical_id, properties, _stack_name):
        client = services.organizations()
        made = client.create_policy(Type=properties["Type"], **given(properties))["Policy"]["PolicySummary"]
        try:
            for target in properties.get("TargetIds") or []:
                client.attach_policy(PolicyId=made["Id"], TargetId=target)
        except ClientError:
            delete(made["Id"], properties)
            raise
        return made["Id"], {"Id": made["Id"], "Arn": made["Arn"]}

    def update(physical_id, old, new, _stack_name):
        if old["Type"] != new["Type"]:
            raise ValueError("the local cloud does not replace a policy: give it another logical name")
        client = services.organizations()
        changed = client.update_policy(PolicyId=physical_id, **given(new))["Policy"]["PolicySummary"]
        before, after = (set(one.get("TargetIds") or []) for one in (old, new))
        for target in sorted(after - before):
            client.attach_policy(PolicyId=physical_id, TargetId=target)
        for target in sorted(before - after):
            client.detach_policy(PolicyId=physical_id, TargetId=target)
        return physical_id, {"Id": physical_id, "Arn": changed["Arn"]}

    def delete(physical_id, _properties):
        client = services.organizations()
        for target in client.list_targets_for_policy(PolicyId=physical_id)["Targets"]:
            client.detach_policy(PolicyId=physical_id, TargetId=target["TargetId"])
        client.delete_policy(PolicyId=physical_id)

    return {"create": create, "update": update, "delete": delete}


# ---------------------------------------------------------------- CloudTrail


def trail(services):
    """AWS::CloudTrail::Trail."""

    def create(logical_id, properties, stack_name):
        given = trail_input(properties, properties.get("TrailName") or f"{stack_name}-{logical_id}")
        check_bucket(services, given)
        made = json.loads(done(cloudtrail._DISPATCH["CreateTrail"](given)))
        log(given["Name"], properties)
        return given["Name"], {"Arn": made["TrailARN"]}

    def update(physical_id, _old, new, _stack_name):
        given = trail_input(new, physical_id)
        check_bucket(services, given)
        changed = json.loads(done(cloudtrail._DISPATCH["UpdateTrail"](given)))
        log(physical_id, new)
        return physical_id, {"Arn": changed["TrailARN"]}

    def log(name, properties):
        operation = "StartLogging" if is_true(properties["IsLogging"]) else "StopLogging"
        done(cloudtrail._DISPATCH[operation]({"Name": name}))

    def delete(physical_id, _properties):
        done(cloudtrail._DISPATCH["DeleteTrail"]({"Name": physical_id}))

    return {"create": create, "update": update, "delete": delete}


def trail_input(properties, name):
    """The properties of a trail as the input of a call."""
    given = {TRAIL_MEMBERS.get(key, key): value for key, value in properties.items() if key not in ("IsLogging", "Tags")}
    given.update({flag: is_true(given[flag]) for flag in FLAGS if flag in given})
    return {**given, "Name": name}


def is_true(value):
    """A boolean of a template, which may be text."""
    return str(value).lower() == "true"


def check_bucket(services, given):
    """Raises AWS's error unless the bucket's policy lets the trail write where it has to."""
    bucket, account = given["S3BucketName"], get_account_id()
    arn = f"arn:aws:cloudtrail:{get_region()}:{account}:trail/{given['Name']}"
    prefixes = [account]
    if given.get("IsOrganizationTrail"):
        prefixes.append(services.organizations().describe_organization()["Organization"]["Id"])
    needed = [("s3:GetBucketAcl", f"arn:aws:s3:::{bucket}")]
    needed += [("s3:PutObject", f"arn:aws:s3:::{bucket}/AWSLogs/{prefix}/CloudTrail/log") for prefix in prefixes]
    policy = json.loads(s3._bucket_policies.get(bucket) or '{"Statement": []}')
    for action, resource in needed:
        if not any(lets_write(statement, arn, action, resource) for statement in policy["Statement"]):
            raise ValueError(f"Incorrect S3 bucket policy is detected for bucket: {bucket} ({action} on {resource})")


def lets_write(statement, arn, action, resource):
    """Whether a statement of a bucket's policy allows a call of a trail."""
    context = {"aws:SourceArn": arn, "s3:x-amz-acl": "bucket-owner-full-control"}
    conditions = [(key, listed(value)) for operator, keys in statement.get("Condition", {}).items()
                  for key, value in keys.items() if operator == "StringEquals"]
    principal = statement.get("Principal")
    return (statement["Effect"] == "Allow" and isinstance(principal, dict)
            and TRAIL_SERVICE in listed(principal.get("Service", []))
            and any(fnmatchcase(action, one) for one in listed(statement["Action"]))
            and any(fnmatchcase(resource, one) for one in listed(statement["Resource"]))
            and set(statement.get("Condition", {})) <= {"StringEquals"}
            and all(context.get(key) in wanted for key, wanted in conditions))


def listed(value):
    """A list, also of one."""
    return value if isinstance(value, list) else [value]


# ---------------------------------------------------------------- detection


def detector(services):
    """AWS::GuardDuty::Detector: an account has one in a Region."""

    def create(_logical_id, properties, _stack_name):
        client = services.of_moto("guardduty")
        if client.list_detectors()["DetectorIds"]:
            raise ValueError("The request is rejected because a detector already exists for the current account.")
        made = client.create_detector(Enable=is_true(properties["Enable"]))["DetectorId"]
        return made, {"Id": made}

    def update(physical_id, _old, new, _stack_name):
        services.of_moto("guardduty").update_detector(DetectorId=physical_id, Enable=is_true(new["Enable"]))
        return physical_id, {"Id": physical_id}

    def delete(physical_id, _properties):
        services.of_moto("guardduty").delete_detector(DetectorId=physical_id)

    return {"create": create, "update": update, "delete": delete}


def analyzer(services):
    """AWS::AccessAnalyzer::Analyzer."""

    def create(logical_id, properties, stack_name):
        name = properties.get("AnalyzerName") or f"{stack_name}-{logical_id}"
        made = services.of_front_door("accessanalyzer").create_analyzer(analyzerName=name, type=properties["Type"])
        return made["arn"], {"Arn": made["arn"]}

    def delete(physical_id, _properties):
        services.of_front_door("accessanalyzer").delete_analyzer(analyzerName=physical_id.rpartition("/")[2])

    return {"create": create, "delete": delete}


def hub(services):
    """AWS::SecurityHub::Hub."""

    def create(_logical_id, properties, _stack_name):
        client = services.of_front_door("securityhub")
        client.enable_security_hub(
            EnableDefaultStandards=is_true(properties.get("EnableDefaultStandards", True)),
            ControlFindingGenerator=properties.get("ControlFindingGenerator", "SECURITY_CONTROL"))
        arn = client.describe_hub()["HubArn"]
        return arn, {"ARN": arn}

    def delete(_physical_id, _properties):
        services.of_front_door("securityhub").disable_security_hub()

    return {"create": create, "delete": delete}


def administrator(services):
    """AWS::SecurityHub::DelegatedAdmin."""

    def create(_logical_id, properties, _stack_name):
        account = properties["AdminAccountId"]
        services.of_front_door("securityhub").enable_organization_admin_account(AdminAccountId=account)
        identifier = f"{account}/{get_region()}"
        return identifier, {"DelegatedAdminIdentifier": identifier, "Status": "ENABLED"}

    def delete(physical_id, _properties):
        account = physical_id.partition("/")[0]
        services.of_front_door("securityhub").disable_organization_admin_account(AdminAccountId=account)

    return {"create": create, "delete": delete}


def organization_configuration(services):
    """AWS::SecurityHub::OrganizationConfiguration: the local Security Hub is on in every account, and cannot be set otherwise."""

    def create(_logical_id, properties, _stack_name):
        set_to(properties)
        identifier = f"{get_account_id()}/{get_region()}/securityhub-organization-configuration"
        return identifier, {"OrganizationConfigurationIdentifier": identifier, "Status": "ENABLED"}

    def update(physical_id, _old, new, _stack_name):
        set_to(new)
        return physical_id, {"OrganizationConfigurationIdentifier": physical_id, "Status": "ENABLED"}

    def set_to(properties):
        found = services.of_front_door("securityhub").describe_organization_configuration()
        kind = properties.get("ConfigurationType", "LOCAL")
        known = found["OrganizationConfiguration"]["ConfigurationType"]
        if is_true(properties["AutoEnable"]) != found["AutoEnable"] or kind != known:
            raise ValueError("the local Security Hub is on in every account, and configured locally")

    def delete(_physical_id, _properties):
        """AWS switches off what new accounts would get; here they have it always."""

    return {"create": create, "update": update, "delete": delete}


# ---------------------------------------------------------------- IAM


def create_group(logical_id, properties, stack_name):
    """Makes a group of users with its policies."""
    name = properties.get("GroupName") or f"{stack_name}-{logical_id}"
    done(iam._create_group({"GroupName": [name], "Path": [properties.get("Path", "/")]}))
    set_policies(name, {}, properties)
    return name, {"Arn": iam._groups[name]["Arn"]}


def update_group(physical_id, old, new, _stack_name):
    """Changes the policies of a group."""
    set_policies(physical_id, old, new)
    return physical_id, {"Arn": iam._groups[physical_id]["Arn"]}


def set_policies(name, old, new):
    """Gives a group the policies of its template, and takes those of the template before."""
    group = iam._groups[name]
    inline = {one["PolicyName"]: one["PolicyDocument"] for one in new.get("Policies") or []}
    for one in old.get("Policies") or []:
        if one["PolicyName"] not in inline:
            done(iam._delete_group_policy({"GroupName": [name], "PolicyName": [one["PolicyName"]]}))
    for policy, document in inline.items():
        text = document if isinstance(document, str) else json.dumps(document)
        done(iam._put_group_policy({"GroupName": [name], "PolicyName": [policy], "PolicyDocument": [text]}))
    before, after = (set(one.get("ManagedPolicyArns") or []) for one in (old, new))
    for arn in sorted(before - after):
        iam.detach_managed_policy(group, arn)
    for arn in sorted(after - before):
        iam.attach_managed_policy(group, arn)


def delete_group(physical_id, _properties):
    """Deletes a group, unless somebody is in it."""
    if iam._groups.get(physical_id, {}).get("Users"):
        raise ValueError("Cannot delete entity, must remove users from group first.")
    if physical_id in iam._groups:
        done(iam._delete_group({"GroupName": [physical_id]}))
