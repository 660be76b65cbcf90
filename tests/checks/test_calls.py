"""Every gateway declares what it calls: the SDK operations in its code and the IAM actions in its constants are the same.

    python3 -m unittest discover -s tests/checks

`tests/tests/contract/permissions.rs` holds the functions' roles equal to what is declared.
"""

import re
import unittest
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The files of one gateway, where it has several.
ROOMS = ("shared/src/vending",)
# They declare their calls by action and resource (functions/remediator/src/actions/), and tests of their own hold them.
OWN_TABLES = ("functions/remediator/src", "functions/account-hydrator/src/items", "functions/posture-keeper/src/settings",
              "functions/posture-keeper/src/operation.rs", "functions/posture-keeper/src/member_policy.rs")
# It names actions that are denied, and calls none.
DENIES = "functions/outage-rehearser/src/denial.rs"
# An SDK client, however it is called, and the operation that is built with it.
OPERATION = re.compile(r"\b(?:client|secrets_manager|ssm)\s*\.\s*([a-z_0-9]+)\(\)")
ACTION = re.compile(r'"((?:account|config|controltower|devops-guru|dynamodb|ec2|elasticloadbalancing|iam|identitystore|lambda|organizations|rds|s3|scheduler'
                    r'|secretsmanager|securityhub|servicecatalog|sns|sqs|ssm|sso|states|sts):[A-Z]\w+)"')
# IAM has other names for these operations, or asks for the permissions of their parts.
ACTIONS = {
    "ChangeMessageVisibilityBatch": {"ChangeMessageVisibility"},
    # With its tags, and with the role that the schedule has.
    "CreatePolicy": {"CreatePolicy", "TagResource"},
    "CreateSchedule": {"CreateSchedule", "PassRole"},
    "DeactivateMfaDevice": {"DeactivateMFADevice"},
    "DescribeDbInstances": {"DescribeDBInstances"},
    "GetObject": {"GetObject", "GetObjectVersion", "ListBucket"},
    "Invoke": {"InvokeFunction"},
    "ListMfaDevices": {"ListMFADevices"},
    "ListObjectVersions": {"ListBucketVersions"},
    "SendMessageBatch": {"SendMessage"},
    "TransactWriteItems": {"ConditionCheckItem", "DeleteItem", "PutItem", "UpdateItem"},
}
NO_OPERATIONS = {"Config", "Iter"}
# They call for gateways, which declare it.
FOR_GATEWAYS = ("shared/src/items.rs", "shared/src/posture/items.rs")
# What a gateway calls by them, and by a signed request.
BY_OTHERS = {
    re.compile(pattern): action for pattern, action in {
        r"\bread_items\(": "BatchGetItem",
        r"\bwrite_items\(": "BatchWriteItem",
        r"\bitems\s*\.\s*(?:read|verdicts)\(": "GetItem",
        r"\bitems\s*\.\s*read_all\(": "BatchGetItem",
        r"\bitems\s*\.\s*write_all\(": "BatchWriteItem",
        r"\bitems\s*\.\s*replace\(": "PutItem",
        r"\bitems\s*\.\s*end_part\(": "UpdateItem",
        r"GET(?s:.*)/securityControls/definitions": "ListSecurityControlDefinitions",
    }.items()}


def code_of(path):
    """A file's code, without comments and tests."""
    text = path.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
    return re.sub(r"//.*", "", text)


def operations(code):
    """The SDK operations that are built, as often as they are."""
    names = ["".join(part.capitalize() for part in name.split("_")) for name in OPERATION.findall(code)]
    return [name for name in names if name not in NO_OPERATIONS]


class EveryGateway(unittest.TestCase):
    """All files with an SDK client."""

    @classmethod
    def setUpClass(cls):
        cls.code = defaultdict(str)
        paths = [*ROOT.glob("shared/src/**/*.rs"), *ROOT.glob("functions/*/src/**/*.rs")]
        for path in sorted(paths):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith((*OWN_TABLES, DENIES)) and not name.endswith("/calls.rs"):
                room = next((room for room in ROOMS if name.startswith(f"{room}/")), name)
                cls.code[room] += code_of(path)

    def test_declares_what_it_calls_and_nothing_else(self):
        for name, code in self.code.items():
            if name in FOR_GATEWAYS:
                continue
            with self.subTest(name):
                called = {action for pattern, action in BY_OTHERS.items() if pattern.search(code)}
                called |= {action for operation in operations(code) for action in ACTIONS.get(operation, {operation})}
                declared = {action.partition(":")[2] for action in ACTION.findall(code)}
                self.assertEqual(declared, called)

    def test_has_no_call_that_is_overlooked(self):
        for name, code in self.code.items():
            with self.subTest(name):
                self.assertEqual(len(operations(code)), len(re.findall(r"\.send\(\)", code)))

    def test_functions_put_together_what_gateways_declare(self):
        for path in ROOT.glob("functions/*/src/calls.rs"):
            own = code_of(path).partition("BY_ACCOUNT_FACTORY")[0]
            self.assertEqual(ACTION.findall(own), [], path)


if __name__ == "__main__":
    unittest.main()
