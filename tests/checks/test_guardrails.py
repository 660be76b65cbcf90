"""The organization's policies as text: size, placeholders, the template that puts them in place, and the roles that they name.

    python3 -m unittest discover -s tests/checks

`make guardrails` evaluates them.
"""

import json
import re
import sys
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "guardrails"))

import evaluator  # noqa: E402
import model  # noqa: E402
from model import PARAMETERS, source  # noqa: E402

# Roles of AWS itself, or of the parameters: no template of ours has them.
FOREIGN = {"AWSControlTowerExecution", "stacksets-exec-*", "${ExemptRoleNames}"}
# Names that stack sets complete. Nobody else creates such a role, the guard says.
PATTERNS = {"stacksets-exec-*", "StackSet-orgkeeper-*"}
ROLE = re.compile(r"arn:\*:iam::\*:role/([\w${}*-]+)$")


def texts(node):
    """Every string in a policy."""
    if isinstance(node, str):
        yield node
    for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        yield from texts(one)


class Policies(unittest.TestCase):
    def test_every_file_is_a_policy_of_the_template(self):
        files = {path.stem for path in source.FOLDER.iterdir()}
        self.assertEqual(files, {name for name, *_ in source.POLICIES})

    def test_the_template_is_what_its_policies_make(self):
        self.assertEqual(source.TEMPLATE.read_text(encoding="utf-8"), source.template(), "run python3 infra/local/organization_policies.py")

    def test_the_template_can_be_sent_as_it_is(self):
        self.assertLess(source.TEMPLATE.stat().st_size, 51_200, "CloudFormation takes a larger template only from a bucket")

    def test_each_is_small_enough(self):
        for name, policy in model.policies().items():
            # Between statements the template has a blank.
            size = len(source.minified(policy)) + len(policy["Statement"]) + 1
            self.assertLessEqual(size, source.MAXIMUM, name)

    def test_placeholders_are_parameters_of_the_template(self):
        parameters = set(re.findall(r"^  (\w+):\n    Type: String$", source.TEMPLATE.read_text(encoding="utf-8"), re.M))
        named = {one for name in model.TYPES for text in texts(source.source(name)) for one in source.PLACEHOLDER.findall(text)}
        targets = {f"{logical}Targets" for _, logical, _, _ in source.POLICIES}
        self.assertEqual(named | targets, parameters)
        self.assertEqual(named, set(PARAMETERS))
        self.assertEqual(named - {"OrganizationId"}, source.LISTS)

    def test_no_placeholder_is_left(self):
        for name, policy in model.policies().items():
            left = [text for text in texts(policy) if source.PLACEHOLDER.search(text)]
            self.assertEqual(left, [], name)

    def test_statements_have_names_of_their_own(self):
        for name in model.TYPES:
            names = [statement["Sid"] for statement in source.source(name)["Statement"]]
            self.assertEqual(len(names), len(set(names)), name)
            for sid in names:
                self.assertRegex(sid, r"^[A-Za-z0-9]+$", name)

    def test_a_list_repeats_the_text_around_it(self):
        policy = {"Action": "*", "Resource": ["a/${LogBucketNames}/*", "b"], "Condition": {"k": "${OrganizationId}", "v": "${aws:PrincipalAccount}"}}
        self.assertEqual(
            source.rendered(policy, {"LogBucketNames": "x,y", "OrganizationId": "o-1"}),
            {"Action": "*", "Resource": ["a/x/*", "a/y/*", "b"], "Condition": {"k": "o-1", "v": "${aws:PrincipalAccount}"}},
        )


class Roles(unittest.TestCase):
    def exempt(self):
        """Names of the roles that a policy exempts."""
        for name in model.TYPES:
            for statement in source.source(name)["Statement"]:
                for text in texts(statement.get("Condition", {}).get("ArnNotLike", {})):
                    yield from ROLE.findall(text)

    def guarded(self):
        """Names of the roles that nobody in a member account changes."""
        [statement] = [one for one in source.source("guard")["Statement"] if one["Sid"] == "ExemptRolesAreNotChanged"]
        return {found[1] for found in map(ROLE.match, statement["Resource"]) if found}

    def test_exempt_roles_are_guarded(self):
        self.assertEqual(set(self.exempt()), self.guarded())

    def test_exempt_roles_have_exact_names(self):
        patterns = {name for name in self.exempt() if "*" in name}
        self.assertEqual(patterns, PATTERNS, "an exemption by pattern is a hole")

    def test_exemptions_compare_arns(self):
        # StringLike would let the asterisk in place of the account reach into a path with a colon.
        for name in model.TYPES:
            for statement in source.source(name)["Statement"]:
                for operator, keys in statement.get("Condition", {}).items():
                    if "aws:PrincipalArn" in keys:
                        self.assertIn(operator, ("ArnLike", "ArnNotLike"), f"{name}: {statement['Sid']}")

    def test_orgkeepers_roles_exist(self):
        templates = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "infra").glob("*.yaml"))
        existing = set(re.findall(r"RoleName: (Orgkeeper\w+)", templates))
        self.assertLessEqual(set(self.exempt()) - FOREIGN - PATTERNS, existing)

    def test_stack_sets_have_the_names_that_are_guarded(self):
        names = re.findall(r"StackSetName: (\S+)", (ROOT / "infra" / "forwarding.yaml").read_text(encoding="utf-8"))
        self.assertTrue(names)
        for name in names:
            self.assertTrue(f"StackSet-{name}".startswith("StackSet-orgkeeper-"), name)


class Evaluation(unittest.TestCase):
    def test_an_asterisk_does_not_reach_over_a_colon_of_an_arn(self):
        exempt = "arn:*:iam::*:role/OrgkeeperAudit"
        self.assertTrue(evaluator.arn_fits(exempt, "arn:aws:iam::111122223333:role/OrgkeeperAudit"))
        self.assertFalse(evaluator.arn_fits(exempt, "arn:aws:iam::111122223333:role/a:role/OrgkeeperAudit"))
        self.assertTrue(evaluator.fits(exempt, "arn:aws:iam::111122223333:role/a:role/OrgkeeperAudit"), "StringLike is a hole")

    def test_a_key_that_is_absent(self):
        for operator, is_true in [
            ("StringEquals", False), ("StringNotEquals", True), ("ArnNotLike", True), ("BoolIfExists", True), ("Bool", False),
            ("ForAllValues:StringNotLike", True), ("ForAnyValue:StringEquals", False),
        ]:
            self.assertEqual(evaluator.holds(operator, None, ["x"]), is_true, operator)
        self.assertEqual([evaluator.holds("Null", None, [value]) for value in ("true", "false")], [True, False])

    def test_several_values(self):
        self.assertTrue(evaluator.holds("ForAllValues:StringNotLike", ["a/b/"], ["c/*"]))
        self.assertFalse(evaluator.holds("ForAllValues:StringNotLike", ["c/d/"], ["c/*"]))
        self.assertTrue(evaluator.holds("ForAnyValue:StringEquals", ["a", "b"], ["b"]))

    def test_a_number_is_less(self):
        for age, is_true in [("3599", True), ("3600", False), ("10000", False), (None, False)]:
            self.assertEqual(evaluator.holds("NumericLessThan", age, ["3600"]), is_true, age)

    def test_a_policy_allows_whom_it_names_unless_it_denies(self):
        def statement(effect, **more):
            return {"Effect": effect, "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, **more}

        asked = {"principal": "arn:aws:iam::111122223333:role/a", "action": "sts:AssumeRole", "resource": "r", "context": {}}
        for statements, allowed in [
            ([statement("Allow")], True), ([], False), ([statement("Deny")], False), ([statement("Allow"), statement("Deny")], False),
            ([statement("Allow", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})], False),
            ([statement("Allow", Principal={"AWS": ["arn:aws:iam::444455556666:root"]})], False),
            ([statement("Allow", Principal={"AWS": "arn:aws:iam::111122223333:role/a"})], False),
        ]:
            self.assertEqual(evaluator.allows([{"Statement": statements}], asked), allowed, statements)

    def test_an_operator_that_is_not_known_is_an_error(self):
        with self.assertRaises(KeyError):
            evaluator.holds("NumericGreaterThan", "1", ["2"])


class Requests(unittest.TestCase):
    def test_every_policy_has_rows(self):
        rows = tomllib.loads((model.HERE / "requests.toml").read_text(encoding="utf-8"))["row"]
        bound = set()
        for row in rows:
            made = model.request(row)
            bound |= set(made["scps"] or []) | set(made["rcps"] or [])
            self.assertIn(row["answer"], ("allowed", "denied"), row["says"])
        self.assertEqual(bound, set(model.TYPES))

    def test_a_request_says_whose_everything_is(self):
        row = {"principal": "films:role/App", "action": "s3:GetObject", "resource": "arn:aws:s3:::of-{owner}/a", "owner": "loner"}
        made = model.request(row)
        self.assertEqual(made["resource"], "arn:aws:s3:::of-970000000002/a")
        self.assertEqual(made["context"]["aws:PrincipalOrgID"], PARAMETERS["OrganizationId"])
        self.assertEqual(made["context"]["aws:ResourceAccount"], "970000000002")
        self.assertNotIn("aws:ResourceOrgID", made["context"])
        self.assertIn("perimeter-unit", made["scps"])
        self.assertIsNone(made["rcps"], "no policy of the organization binds a stranger's resource")

    def test_generated_requests_are_the_same_for_a_seed(self):
        from oracle import cases

        first, second = ([json.dumps(case.row) + case.answer() for case in cases(7, 300)] for _ in range(2))
        self.assertEqual(first, second)
        self.assertEqual({case.answer() for case in cases(7, 300)}, {"allowed", "denied"})


if __name__ == "__main__":
    unittest.main()
