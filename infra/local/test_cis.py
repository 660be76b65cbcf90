"""Tests of how `make cis` counts and explains."""

import tomllib
import unittest

import cis
import cis_report
from cis_report import FAIL, MANUAL, PASS, SILENT, Explanation, Explanations, Row


def row(before, after, explanation=None, fixable=True):
    """A row whose check, requirement and control do not matter."""
    return Row("a_check", ("1.1",), "S3.1", before, after, explanation, fixable)


class Statuses(unittest.TestCase):
    """The status of a check."""

    def test_the_worst_finding_counts(self):
        statuses = cis_report.statuses_of([
            ("one", PASS), ("one", FAIL), ("one", PASS), ("two", PASS), ("two", MANUAL), ("three", PASS), ("four", "MUTED")])
        self.assertEqual(statuses, {"one": FAIL, "two": MANUAL, "three": PASS})


class Findings(unittest.TestCase):
    """The findings that are imported."""

    def test_of_several_with_one_id_one_that_failed_counts(self):
        def finding(identity, status):
            return {"Id": identity, "Compliance": {"Status": status}}

        passed, failed = finding("a", "PASSED"), finding("a", "FAILED")
        other = finding("b", "PASSED")
        for given in ([passed, failed, other], [failed, passed, other]):
            self.assertEqual(cis_report.once(given), [failed, other])


class Controls(unittest.TestCase):
    """The table of controls, as its Rust source has it."""

    SOURCE = cis.CONTROLS.read_text(encoding="utf-8")

    def test_every_row_of_the_source_is_read(self):
        rows = list(cis_report.CONTROL_ROW.finditer(self.SOURCE))
        self.assertEqual(len(rows), self.SOURCE.count("row(\""))
        self.assertGreater(len(rows), 60)

    def test_the_closest_control_counts(self):
        found = cis_report.controls_of_checks(
            '    row("S3.2", "a", Global, BUCKET, Auto, OnChange, &["one", "two"]),\n'
            '    row("S3.3", "a", Global, BUCKET, Auto, OnChange, &["two", "three"]),\n'
            '    row("IAM.7", "a", Global, Account, Auto, Periodic, &[]),\n')
        self.assertEqual(found, {"one": "S3.2", "two": "S3.2", "three": "S3.3"})

    def test_the_playbook_fixes_everything_and_somebody_receives_the_alarms(self):
        controls = tomllib.loads(cis.playbook_that_fixes_everything())["control"]
        self.assertEqual(set(controls), {found["control"] for found in cis_report.CONTROL_ROW.finditer(self.SOURCE)})
        shipped = tomllib.loads(cis.PLAYBOOK.read_text(encoding="utf-8"))["control"]
        for control, rule in controls.items():
            self.assertEqual(rule["mode"], "ask" if shipped[control]["mode"] == "ask" else "auto")
        for control in ("CloudWatch.1", "prowler-cloudwatch_log_metric_filter_aws_organizations_changes"):
            self.assertEqual(controls[control]["parameters"], {"email": cis.EMAIL})
        self.assertNotIn("parameters", controls["CloudWatch.16"])


class Explaining(unittest.TestCase):
    """Why a check is not PASS."""

    EXPLANATIONS = Explanations({
        "next issue": {"later": "IAM.2", "both": "IAM.26"}, cis_report.WENT_SILENT: {"both": "nothing is left to look at"}})

    def test_the_file_is_right(self):
        file = Explanations(tomllib.loads(cis.EXPLANATIONS.read_text(encoding="utf-8")))
        self.assertEqual(file.of("s3_bucket_no_mfa_delete", FAIL, FAIL).kind, "needs a person")

    def test_what_went_silent_needs_a_reason_of_its_own(self):
        self.assertEqual(self.EXPLANATIONS.of("later", FAIL, FAIL).reason, "IAM.2")
        self.assertEqual(self.EXPLANATIONS.of("later", SILENT, SILENT).reason, "IAM.2")
        self.assertIsNone(self.EXPLANATIONS.of("later", FAIL, SILENT))
        self.assertEqual(self.EXPLANATIONS.of("both", FAIL, FAIL).reason, "IAM.26")
        self.assertEqual(self.EXPLANATIONS.of("both", PASS, SILENT).kind, cis_report.WENT_SILENT)

    def test_pass_needs_none(self):
        self.assertIsNone(self.EXPLANATIONS.of("later", FAIL, PASS))

    def test_a_wrong_file_is_refused(self):
        for document in ({"later": {"a": "b"}}, {"manual": {"a": " "}}, {"manual": {"a": 1}},
                         {"manual": {"a": "b"}, "emulator": {"a": "b"}}):
            with self.subTest(document):
                self.assertRaises(ValueError, Explanations, document)


class Counting(unittest.TestCase):
    """Rows, shares and what is not as it has to be."""

    def test_a_version_has_a_row_for_each_check_by_requirement(self):
        requirements = cis_report.requirements_in({"Requirements": [
            {"Id": "10.1", "Checks": ["late"]}, {"Id": "2.1", "Checks": ["early", "both"]}, {"Id": "2.2", "Checks": ["both"]}]})
        explanations = Explanations({"manual": {"late": "a person"}})
        rows = cis_report.rows(
            requirements, {"early": FAIL, "late": MANUAL}, {"early": PASS, "late": MANUAL}, {"early": "S3.1"}, explanations)
        self.assertEqual([each.check for each in rows], ["both", "early", "late"])
        self.assertEqual(rows[0].requirements, ("2.1", "2.2"))
        self.assertEqual((rows[1].control, rows[1].before, rows[1].after), ("S3.1", FAIL, PASS))
        self.assertEqual((rows[0].before, rows[0].after, rows[0].unexplained), (SILENT, SILENT, True))
        self.assertEqual(rows[2].explanation.kind, "manual")
        self.assertEqual([each.fixable for each in rows], [True, True, False])
        self.assertEqual(cis_report.classes(rows), {PASS: 1, "manual": 1, "unexplained": 1})

    def test_a_share_is_of_what_a_call_can_fix(self):
        rows = [row(FAIL, PASS), row(PASS, PASS), row(FAIL, FAIL), row(SILENT, SILENT), row(PASS, PASS, fixable=False)]
        self.assertEqual(str(cis_report.share_before(rows)), "1 of 4 (25%)")
        self.assertEqual(str(cis_report.share_after(rows)), "2 of 4 (50%)")
        self.assertEqual(cis_report.share_after([]).share, 0)

    def test_what_a_call_can_fix_does_not_depend_on_its_status(self):
        explanations = Explanations({
            "manual": {"a": "a person"}, "needs a person": {"b": "a person"}, "next issue": {"c": "S3.99"}, "emulator": {"d": "no"},
            cis_report.WENT_SILENT: {"e": "nothing is left"}})
        self.assertEqual([explanations.can_be_fixed(check) for check in "abcdef"], [False, False, True, True, True, True])

    def test_a_check_that_has_nothing_left_to_look_at_is_fixed_if_it_failed(self):
        nothing_left = Explanation(cis_report.WENT_SILENT, "nothing is left to look at")
        for made, fixed in (
                (row(FAIL, SILENT, nothing_left), True), (row(FAIL, SILENT), False), (row(PASS, SILENT, nothing_left), False),
                (row(SILENT, SILENT, Explanation("emulator", "it has none")), False), (row(SILENT, PASS), True),
                (row(FAIL, FAIL, Explanation("next issue", "S3.99")), False)):
            with self.subTest(made):
                self.assertEqual(made.is_fixed, fixed)

    def test_what_is_not_as_it_has_to_be(self):
        explained = Explanation("manual", "a person")
        good = [row(FAIL, PASS)] * 19 + [row(FAIL, FAIL, explanation=explained)]
        for rows, expected in (
                (good, []),
                (good + [row(PASS, PASS, fixable=False)], []),
                (good + [row(MANUAL, MANUAL, fixable=False)], ["is MANUAL"]),
                (good + [row(FAIL, SILENT, fixable=False)], ["went silent"]),
                (good[1:], ["less than 95%"]),
                (good[3:] + [row(PASS, PASS)] * 3, ["more than 10%"])):
            with self.subTest(expected):
                found = cis_report.faults({"5.0": rows, "7.0": good})
                self.assertEqual(len(found), len(expected), found)
                for part, sentence in zip(expected, found):
                    self.assertIn(part, sentence)
        # Each of the two versions has to be so far.
        self.assertIn("CIS 7.0", cis_report.faults({"5.0": good, "7.0": good[1:]})[0])
        # The shares are of two versions, the reasons of all.
        both = {"5.0": good, "7.0": good}
        self.assertEqual(cis_report.faults({**both, "3.0": [row(FAIL, FAIL, explanation=explained)]}), [])
        self.assertEqual(len(cis_report.faults({**both, "3.0": [row(FAIL, FAIL)]})), 1)


if __name__ == "__main__":
    unittest.main()
