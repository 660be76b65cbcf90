"""Tests of audit.py: with a made-up database, an advisory about a crate that is used is found, another is not."""

import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import audit

ADVISORY = """```toml
[advisory]
id = "RUSTSEC-2020-9999"
package = "{crate}"
date = "2020-01-01"
url = "https://example.com/advisory"

[versions]
patched = [{patched}]
```

# Made up for a test

It says nothing about the crate.
"""


class Audit(unittest.TestCase):
    """cargo-deny with a database of one advisory."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.database = Path(temporary.name)

    def advisory(self, crate, patched=""):
        file = self.database / "crates" / crate / "RUSTSEC-2020-9999.md"
        file.parent.mkdir(parents=True)
        file.write_text(ADVISORY.format(crate=crate, patched=patched), encoding="utf-8")
        return file

    def audited(self):
        """The exit code, and what was printed."""
        printed = []

        def run(command, **options):
            if command[0] != audit.CARGO_DENY:
                return real(command, **options)
            done = real(command, **options, capture_output=True, text=True)
            printed.append((done.stdout + done.stderr)[:600])
            return done

        real = subprocess.run
        with mock.patch.object(subprocess, "run", run):
            code = audit.audit(self.database, checks=["advisories"])
        return code, "".join(printed)

    def test_an_advisory_about_a_used_crate_fails(self):
        self.advisory("tokio")
        code, printed = self.audited()
        self.assertEqual(code, 1, printed)
        self.assertIn("RUSTSEC-2020-9999", printed)
        self.assertIn("tokio", printed)

    def test_one_that_is_patched_or_about_another_crate_does_not(self):
        self.advisory("tokio", patched='">= 1.0.0"')
        self.advisory("a-crate-that-nobody-uses")
        code, printed = self.audited()
        self.assertEqual(code, 0, printed)
        self.assertIn("advisories ok", printed)

    def test_a_clone_is_read_as_it_is(self):
        self.advisory("serde_json")
        for command in (["init", "--quiet"], ["add", "--all"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--no-gpg-sign", "-m", "one"]):
            subprocess.run(["git", *command], cwd=self.database, check=True)
        code, printed = self.audited()
        self.assertEqual(code, 1, printed)
        self.assertIn("serde_json", printed)

    def test_the_age_of_the_database_is_said(self):
        self.advisory("tokio")
        self.assertEqual(audit.newest(self.database), "2020-01-01")

    def test_another_folder_is_refused(self):
        self.assertRaisesRegex(ValueError, "no advisory database", audit.audit, self.database)


if __name__ == "__main__":
    unittest.main()
