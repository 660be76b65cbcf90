#!/usr/bin/env python3
"""Prints which test needs which permission of which role, then takes each permission out in turn: a test has to fail.

    .venv/cloud/bin/python tests/permissions.py          after `make flows`

A flow test needs a permission if a call of it was allowed by nothing else: the local cloud records that, by the evaluation
that it checks every call with (infra/local/ministack_roles.py). A contract test needs it if its function makes the call. What
AWS calls with a function's permissions no test can need; it is listed with the rows that have its source.
Exit code 1 if a permission is needed by nothing, or can be taken out without a test that fails.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "infra" / "local"))

import expand  # noqa: E402

# What the local cloud has in place of parts of a policy.
DEPLOYED = {"${AWS::Partition}": "aws", "${AWS::Region}": "us-east-1", "${AWS::AccountId}": "111111111111"}
STACK = "orgkeeper"
# How a deployed ARN shows a resource that only a parameter names.
PARAMETERS = {"IdentityCenterInstanceArn": "arn:aws:sso:::instance/"}
OWNERS = ("AWS::Serverless::Function", "AWS::Serverless::StateMachine")
# The statements with what AWS calls with a function's permissions, and the rows that have the source (calls.rs).
BY_AWS = {
    ("Alerter", "DecryptRules"): "DECRYPT_SETTING",
    ("CreateManagedAccount", "AccountFactory"): "BY_ACCOUNT_FACTORY",
    ("CreateManagedAccount", "ReadArtifact"): "BY_ACCOUNT_FACTORY",
    ("CreateManagedAccount", "UseAccountFactory"): "BY_ACCOUNT_FACTORY",
    ("SlackNotifier", "DecryptWebhookParameter"): "DECRYPT_SETTING",
    ("SlackNotifier", "DecryptWebhookSecret"): "DECRYPT_SETTING",
}
# The modules of contract tests that are not called as the function that they test.
MODULES = {"accounts_cases": "NewAccountHandler", "playbook": "RemediationPlanner"}
# So many permissions are taken out at the same time.
AT_ONCE = 2
# The tests that compare roles with rows. These functions have their own, since nothing else may depend on them.
CONTRACTS = ("orgkeeper-tests", "--test", "contract")
OWN_TESTS = {"Remediator": "remediator", "RootCredentialsRemover": "root-credentials"}


def branches(value):
    """The items of a list, or a single one, whatever the conditions in it are."""
    if isinstance(value, list):
        return [item for one in value for item in branches(one)]
    if isinstance(value, dict) and "Fn::If" in value:
        return branches(value["Fn::If"][1:])
    return [] if value == {"Ref": "AWS::NoValue"} else [value]


def written(resource):
    """A resource of a policy as the rows write it (tests/src/permissions.rs)."""
    if isinstance(resource, str):
        return resource
    if "Ref" in resource:
        return resource["Ref"]
    if "Fn::GetAtt" in resource:
        path = resource["Fn::GetAtt"]
        name, attribute = path.split(".", 1) if isinstance(path, str) else path
        return name if attribute == "Arn" else f"{name}.{attribute}"
    return re.sub(r"^\$\{(\w+)\.Arn\}", r"\1", resource["Fn::Sub"])


def permissions():
    """Every permission of every role: owner, statement, action, resource."""
    resources = expand.expanded((ROOT / "template.yaml").read_text(encoding="utf-8"))["Resources"]
    for owner in sorted(name for name, one in resources.items() if one["Type"] in OWNERS):
        for policy in resources[f"{owner}Role"]["Properties"]["Policies"]:
            for statement in branches(policy["PolicyDocument"]["Statement"]):
                for action in branches(statement["Action"]):
                    for resource in branches(statement["Resource"]):
                        yield owner, statement["Sid"], action, written(resource)


def is_deployed_as(resource, arn):
    """Whether a resource of the template has this ARN in the local cloud."""
    if resource in PARAMETERS:
        return arn.startswith(PARAMETERS[resource])
    if resource.startswith("arn:") or resource == "*":
        for part, value in DEPLOYED.items():
            resource = resource.replace(part, value)
        return arn == re.sub(r"\$\{\w+\}", "", resource) or ("${" in resource and arn.startswith(resource.partition("${")[0]))
    name, slash, rest = resource.partition("/")
    name = name.removesuffix(".StreamArn")
    return re.search(rf"[-/:]{name}(-|/|:|$)", arn, re.IGNORECASE) is not None and arn.endswith(slash + rest)


def needed_by_flows(all_permissions):
    """The flow tests that need each permission."""
    by_statement = defaultdict(list)
    for one in all_permissions:
        by_statement[one[:3]].append(one)
    needed, found = defaultdict(set), False
    for file in sorted((ROOT / "target").glob("*/permissions.jsonl")):
        found = True
        for use in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            owner = use["role"].removeprefix(f"{STACK}-")
            if len(use["by"]) != 1:
                continue
            statement, action, arn = use["by"][0]
            candidates = by_statement.get((owner, statement, action), [])
            if len(candidates) > 1:
                candidates = [one for one in candidates if is_deployed_as(one[3], arn)]
            for one in candidates:
                needed[one].add(use["test"])
    return needed, found


def plain(name):
    """A name as all spell it: `account-directory`, `AccountDirectory`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def needed_by_contracts(all_permissions, calls):
    """The contract tests that need each permission: those of its function that make the call."""
    made = defaultdict(set)
    for line in calls.read_text(encoding="utf-8").splitlines():
        test, action, resource = line.split("\t")
        module, _, name = test.partition("::")
        made[plain(MODULES.get(module, module)), action].add((name and test, plain(resource)))
    granted = defaultdict(set)
    for owner, _statement, action, resource in all_permissions:
        granted[owner, action].add(plain(resource))
    needed = defaultdict(set)
    for one in all_permissions:
        owner, _statement, action, resource = one
        tests = made.get((plain(owner), action), set())
        exact = {test for test, named in tests if named and plain(resource).startswith(named)}
        # Calls that name no resource, and those on one that the test has another name for.
        others = {test for test, named in tests if not named or not any(on.startswith(named) for on in granted[owner, action])}
        needed[one] = exact or others
    return needed


def built(package, *target):
    """The binary with the tests of a package's target."""
    done = subprocess.run(["cargo", "test", "--package", package, *target, "--no-run", "--message-format=json"], cwd=ROOT, check=True,
                          stdout=subprocess.PIPE, text=True)
    made = [json.loads(line) for line in done.stdout.splitlines()]
    return [one["executable"] for one in made if one.get("executable") and one["profile"]["test"]][-1]


def failed_tests(binary, package, *modules, **more):
    """The tests of these modules of a binary that fail."""
    done = subprocess.run([binary, *(f"{module}::" for module in modules)], cwd=ROOT / package, text=True, capture_output=True,
                          env=os.environ | {"RUST_BACKTRACE": "0"} | more)
    failed = re.findall(r"^    (\w+::\S+)$", done.stdout, re.MULTILINE)
    return sorted(set(failed)) or (["a test that ended the process"] if done.returncode else [])


def shown(tests):
    """One of the tests, and how many more."""
    first, *others = sorted(tests)
    return f"{first} (and {len(others)} more)" if others else first


def main():
    all_permissions = list(dict.fromkeys(permissions()))
    flows, found = needed_by_flows(all_permissions)
    if not found:
        sys.exit("no flow test has recorded anything: make flows")
    contract_tests = built(*CONTRACTS)
    own_tests = {owner: built(package, "--lib") for owner, package in OWN_TESTS.items()}
    with tempfile.TemporaryDirectory() as folder:
        calls = Path(folder) / "calls"
        modules = {re.sub(r"\B[A-Z]", r"_\g<0>", owner).lower() for owner, *_ in all_permissions}.union(MODULES)
        if failed := failed_tests(contract_tests, "tests", *modules, ORGKEEPER_CALLS=str(calls)):
            sys.exit(f"fail without a change: {', '.join(failed)}")
        contracts = needed_by_contracts(all_permissions, calls)

    def without(one):
        """The tests that fail without a permission."""
        if package := OWN_TESTS.get(one[0]):
            return failed_tests(own_tests[one[0]], f"functions/{package}", "calls", ORGKEEPER_WITHOUT=" ".join(one))
        return failed_tests(contract_tests, "tests", "permissions", ORGKEEPER_WITHOUT=" ".join(one))

    needless, survived = [], []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for one, failed in zip(all_permissions, pool.map(without, all_permissions)):
            needs = [f"flow {shown(flows[one])}"] if flows.get(one) else []
            if row := BY_AWS.get(one[:2]):
                needs += [f"AWS ({row})"]
            elif contracts.get(one):
                needs += [f"contract {shown(contracts[one])}"]
            needless += [] if needs else [one]
            survived += [] if failed else [one]
            print(f"{' '.join(one)} | {'; '.join(needs) or 'NOTHING'} | without it: {', '.join(failed) or 'SURVIVED'}", flush=True)
    print(f"{len(all_permissions)} permissions, {len(needless)} needed by nothing, {len(survived)} survived")
    return 1 if needless or survived else 0


if __name__ == "__main__":
    sys.exit(main())
