"""The roles of infra/member-account.yaml as tests/guardrails asks for them: who may assume them, and what those for people can do.

    .venv/cloud/bin/python -m unittest discover -s infra/local
"""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "guardrails"))

import people  # noqa: E402
from evaluator import allows  # noqa: E402


class People(unittest.TestCase):
    """The table of people.py; `make guardrails` also takes each part of each policy out."""

    def test_every_request_is_answered_as_it_has_to_be(self):
        requests = list(people.cases())
        answered = people.answers_here(people.documents(), requests, allows)
        wrong = [one["says"] for one, answer in zip(requests, answered) if answer != one["answer"]]
        self.assertEqual(wrong, [])

    def test_an_application_role_without_mfa_becomes_nobody(self):
        found = {one["answer"] for one in people.cases()
                 if one["role"] in people.BOUND and one["principal"] == f"arn:aws:iam::{people.HERE}:role/App"}
        self.assertEqual(found, {"denied"})

    def test_each_answer_is_given_for_each_role(self):
        seen = {}
        for one in people.cases():
            seen.setdefault(one["role"], set()).add(one["answer"])
        self.assertEqual(seen, {role: {"allowed", "denied"} for role in (*people.TRUSTED, *people.PEOPLE)})

    def test_the_template_is_read_as_cloudformation_reads_it(self):
        here, elsewhere = people.Template(), people.Template(PeopleAccountId="444455556666")
        for template, account in ((here, people.HERE), (elsewhere, "444455556666")):
            [statement] = template.resource("Operator")["AssumeRolePolicyDocument"]["Statement"]
            self.assertEqual(statement["Principal"], {"AWS": f"arn:aws:iam::{account}:root"})
        self.assertTrue(here.has("Administrators"))
        self.assertFalse(elsewhere.has("Administrators"))
        self.assertFalse(people.Template(ServiceAccountId="").has("RemediationOfApplications"))

    def test_policies_are_short_enough(self):
        template = people.Template()
        for name, resource in template.resources.items():
            text = json.dumps(template.resource(name).get("PolicyDocument", {}), separators=(",", ":"))
            self.assertLessEqual(len(text), 6_144, name)
            trust = json.dumps(template.resource(name).get("AssumeRolePolicyDocument", {}), separators=(",", ":"))
            self.assertLessEqual(len(trust), 2_048, name)
            self.assertIn("Condition", resource, "each has a switch")


if __name__ == "__main__":
    unittest.main()
