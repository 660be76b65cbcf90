#!/usr/bin/env python3
"""Judges every policy of every role in the templates with parliament.

    .venv/judges/bin/python tests/policies.py

It knows which actions, resource types and condition keys a service has, and what is allowed on `*` although it has a resource
type. What is listed in ACCEPTED is accepted, each for its reason; a row that nothing needs is a fault too.
"""

import json
import re
import sys
from pathlib import Path

import parliament
import yaml

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = [ROOT / "template.yaml", *sorted((ROOT / "infra").glob("*.yaml"))]
# A pseudo parameter or a resource of the template, as it may look on AWS.
VALUES = {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "111122223333", "AWS::StackName": "orgkeeper"}
KINDS = {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"}
ARNS = {
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:eu-west-1:111122223333:table/name",
    "AWS::Events::EventBus": "arn:aws:events:eu-west-1:111122223333:event-bus/name",
    "AWS::Logs::LogGroup": "arn:aws:logs:eu-west-1:111122223333:log-group:name:*",
    "AWS::S3::Bucket": "arn:aws:s3:::name",
    "AWS::SNS::Topic": "arn:aws:sns:eu-west-1:111122223333:name",
    "AWS::SQS::Queue": "arn:aws:sqs:eu-west-1:111122223333:name",
    "AWS::Serverless::Function": "arn:aws:lambda:eu-west-1:111122223333:function:name",
    "AWS::Serverless::StateMachine": "arn:aws:states:eu-west-1:111122223333:stateMachine:name",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:name-AbCdEf",
}
# What `Ref` gives the ARN of.
REF_IS_ARN = {"AWS::SNS::Topic", "AWS::SecretsManager::Secret", "AWS::Serverless::StateMachine"}
STREAM = "arn:aws:dynamodb:eu-west-1:111122223333:table/name/stream/label"
PARAMETERS = {
    "ManagementAccountId": "111122223333",
    "ServiceAccountId": "111122223333",
    "SettingsKeyArn": "arn:aws:kms:eu-west-1:111122223333:key/12345678-90ab-cdef-1234-567890abcdef",
    "IdentityCenterInstanceArn": "arn:aws:sso:::instance/ssoins-1234567890abcdef",
    "TargetBusArn": "arn:aws:events:eu-west-1:111122223333:event-bus/name",
    "RouteTopicArns": "arn:aws:sns:eu-west-1:111122223333:name",
    "WebhookSecretArn": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:name-AbCdEf",
}
NOT_IN_THE_REFERENCE = "AWS publishes it for callers of Account Factory, its service authorization reference does not have it"
RECORDER = "a recorder's ARN ends with an id that nobody knows before the call"
# (what is found, the statement or action): why it is accepted.
TARGETS = "a statement of its own for the targets, which are checked beside the policy: each with its tag"
ACCEPTED = {
    ("UNKNOWN_ACTION", "sso:GetPeregrineStatus"): NOT_IN_THE_REFERENCE,
    ("UNKNOWN_ACTION", "sso:ProvisionApplicationInstanceForAWSAccount"): NOT_IN_THE_REFERENCE,
    ("UNKNOWN_ACTION", "sso:ProvisionApplicationProfileForAWSAccountInstance"): NOT_IN_THE_REFERENCE,
    ("UNKNOWN_ACTION", "sso:ProvisionSAMLProvider"): NOT_IN_THE_REFERENCE,
    ("UNKNOWN_ACTION", "sso-directory:SearchGroupsWithGroupName"): NOT_IN_THE_REFERENCE,
    ("RESOURCE_STAR", "s3:GetObject"): "the bucket of Account Factory's artifact is not documented; a condition keeps our own objects out",
    ("RESOURCE_MISMATCH", "dynamodb:ListStreams"): "the DynamoDB guide has it on the stream, in the policy for Lambda functions",
    ("RESOURCE_MISMATCH", "logs:DescribeLogGroups"): "it has log groups as resource type since parliament's data was made",
    ("RESOURCE_MISMATCH", "organizations:AttachPolicy"): TARGETS,
    ("RESOURCE_MISMATCH", "organizations:DetachPolicy"): TARGETS,
    ("RESOURCE_STAR", "config:DescribeConfigurationRecorderStatus"): RECORDER,
    ("INVALID_ARN", "Remediation"): "a policy that AWS manages has `aws` in place of an account",
    ("MISMATCHED_TYPE_BUT_USABLE", "PeopleBoundary"): "one whole ARN is compared, without wildcards",
    ("MISMATCHED_TYPE_BUT_USABLE", "Remediation"): "one whole ARN is compared, without wildcards",
}


class Loader(yaml.SafeLoader):
    """Reads the short forms of CloudFormation as their long ones."""


def long_form(loader, suffix, node):
    read = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence,
            yaml.MappingNode: loader.construct_mapping}[type(node)]
    value = read(node) if isinstance(node, yaml.ScalarNode) else read(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", long_form)


def resolved(node, resources):
    """A part of a policy as on AWS, both sides of each condition in it."""
    if isinstance(node, list):
        items = [resolved(item, resources) for item in node]
        return [one for item in items for one in (item if isinstance(item, list) else [item]) if one is not None]
    if not isinstance(node, dict):
        return node
    if "Fn::If" in node:
        return resolved(node["Fn::If"][1:], resources)
    if "Ref" in node:
        return named(node["Ref"], resources)
    if "Fn::GetAtt" in node:
        path = node["Fn::GetAtt"]
        return attribute(path if isinstance(path, str) else ".".join(path), resources)
    if "Fn::Sub" in node:
        def value(found):
            name = found[1]
            return attribute(name, resources) if "." in name else str(named(name, resources))
        text = node["Fn::Sub"] if isinstance(node["Fn::Sub"], str) else node["Fn::Sub"][0]
        return re.sub(r"\$\{([A-Z][\w:.]*)\}", value, text)
    if any(key.startswith("Fn::") for key in node):
        return "name"
    return {key: resolved(value, resources) for key, value in node.items()}


def named(name, resources):
    """What `Ref` gives."""
    if name == "AWS::NoValue":
        return None
    if name in resources:
        kind = resources[name].get("Type")
        return ARNS[kind] if kind in REF_IS_ARN else "name"
    return VALUES.get(name) or PARAMETERS.get(name) or ("arn:aws:iam::111122223333:role/name" if name.endswith("Arn") else "/name")


def attribute(path, resources):
    """What `GetAtt` gives; resources in loops are queues here."""
    name, _, which = path.partition(".")
    if which == "StreamArn":
        return STREAM
    kind = resources.get(name, {}).get("Type") or ("AWS::Logs::LogGroup" if name.endswith("Logs") else "AWS::SQS::Queue")
    return ARNS.get(kind, "arn:aws:iam::111122223333:role/name")


def policies(template):
    """Every identity policy of a template: whose it is, and the document."""
    resources = {name: one for name, one in template["Resources"].items() if isinstance(one, dict)}
    for name, resource in resources.items():
        if resource.get("Type") in KINDS:
            given = resource["Properties"]
            for policy in [given] if "PolicyDocument" in given else given.get("Policies", []):
                yield name, resolved(policy["PolicyDocument"], resources)


def faults_of(owner, document):
    """What is wrong with a policy: kind, action or statement, and words."""
    for finding in parliament.analyze_policy_string(json.dumps(document)).findings:
        said = f"{finding.detail or ''} {finding.location or ''}"
        actions = re.findall(r"[a-z0-9-]+:[A-Z]\w+", said)
        yield finding.issue, actions[0] if actions else owner, said.strip()


def main():
    unused, wrong, count = set(ACCEPTED), [], 0
    for path in TEMPLATES:
        template = yaml.load(path.read_text(encoding="utf-8"), Loader)
        if "Resources" not in template:
            continue
        for owner, document in policies(template):
            count += 1
            for kind, what, said in faults_of(owner, document):
                unused.discard((kind, what))
                if (kind, what) not in ACCEPTED:
                    wrong.append(f"{path.relative_to(ROOT)}: {owner}: {kind} {what}: {said}")
    wrong += [f"nothing needs the accepted {' '.join(row)}" for row in sorted(unused)]
    print("\n".join(wrong) or f"{count} policies of {len(TEMPLATES)} templates: nothing to say")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
