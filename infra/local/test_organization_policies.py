"""infra/organization-policies.yaml as CloudFormation takes it: which policies exist, what they say, what is refused.

    .venv/cloud/bin/python -m unittest discover -s infra/local
"""

import json
import sys
import unittest
from pathlib import Path

from ministack.services.cloudformation import engine

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "guardrails"))

from model import PARAMETERS, policies, source  # noqa: E402

TEMPLATE = engine._parse_template(source.TEMPLATE.read_text(encoding="utf-8"))
ACCOUNT, UNIT, ROOT = "333333333333", "ou-k001-active01", "r-k001"


class Deployed:
    """The stack with these parameters, or the sentence that refuses it."""

    def __init__(self, **parameters):
        given = engine._resolve_parameters(TEMPLATE, [{"Key": key, "Value": value} for key, value in parameters.items()])
        conditions = engine._evaluate_conditions(TEMPLATE, given)
        engine._evaluate_rules(TEMPLATE, given, conditions)
        self.policies = {
            resource["Properties"]["Name"].removeprefix("orgkeeper-"):
                engine._resolve_refs(resource["Properties"], {}, given, conditions, {}, "orgkeeper-policies", "id")
            for resource in TEMPLATE["Resources"].values() if conditions[resource["Condition"]]
        }


class OrganizationPolicies(unittest.TestCase):
    def test_nothing_is_attached_by_default(self):
        self.assertEqual(Deployed().policies, {})

    def test_a_policy_exists_where_its_targets_are_set(self):
        stack = Deployed(GuardTargets=f"{UNIT},{ACCOUNT}")
        self.assertEqual(list(stack.policies), ["guard"])
        self.assertEqual(stack.policies["guard"]["TargetIds"], [UNIT, ACCOUNT])

    def test_the_text_is_the_policy_with_its_parameters(self):
        targets = {f"{logical}Targets": ACCOUNT for _, logical, _, _ in source.POLICIES}
        stack = Deployed(**PARAMETERS, **targets)
        self.assertEqual({name: json.loads(one["Content"]) for name, one in stack.policies.items()}, policies())
        self.assertEqual({name: one["Type"] for name, one in stack.policies.items()}, {name: kind for name, _, kind, _ in source.POLICIES})

    def test_what_cannot_work_is_refused(self):
        for parameters, words in [
            ({"RegionsTargets": UNIT, "AllowedRegions": "eu-west-1"}, "Set GuardTargets"),
            ({"InactiveTargets": UNIT}, "Set GuardTargets"),
            ({"GuardTargets": ROOT, "RegionsTargets": UNIT}, "Set AllowedRegions"),
            ({"GuardTargets": ROOT, "RestrictedTargets": UNIT}, "Set RestrictedRegions"),
            ({"GuardTargets": ROOT, "PerimeterUnitTargets": UNIT}, "Set PerimeterUnitPaths"),
            ({"GuardTargets": ROOT, "PerimeterOrganizationTargets": UNIT}, "Set OrganizationId"),
            ({"PerimeterIdentityTargets": UNIT}, "Set OrganizationId"),
        ]:
            with self.assertRaisesRegex(ValueError, words):
                Deployed(**parameters)

    def test_values_that_would_be_a_hole_or_a_lock_are_refused(self):
        for name, value in [
            ("InactiveTargets", ROOT),
            ("RestrictedTargets", f"{UNIT},{ROOT}"),
            ("GuardTargets", f"{UNIT}, {ACCOUNT}"),
            ("ExemptRoleNames", "Orgkeeper*"),
            ("ExemptRoleNames", ""),
            ("ExemptPermissionSets", "Rescue?"),
            ("AwsBucketNames", "elasticbeanstalk-*"),
            ("PerimeterUnitPaths", "o-keeper0001/r-k001/ou-k001-media001"),
            ("PerimeterUnitPaths", "o-keeper0001/r-k001/ou-k001-media001/*"),
            ("TrustedResourceAccountIds", "*"),
            ("AllowedRegions", "*"),
        ]:
            with self.assertRaises(ValueError, msg=f"{name}={value}"):
                Deployed(**{name: value})


if __name__ == "__main__":
    unittest.main()
