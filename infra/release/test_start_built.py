"""Tests of start_built.py, with small programs in the place of functions."""

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import expand
import start_built

ROOT = Path(__file__).resolve().parents[2]
ASK = "import os, urllib.request as web\napi = 'http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2018-06-01/runtime/'\n"


class Start(unittest.TestCase):
    """What a function says first."""

    def start(self, program, **variables):
        return start_built.start("one", [sys.executable, "-c", ASK + program], variables)

    def test_one_that_asks_for_an_event_has_started(self):
        self.assertLess(self.start("web.urlopen(api + 'invocation/next')"), start_built.SECONDS)

    def test_it_has_its_variables_and_no_others(self):
        self.start("assert os.environ['SETTING'] == 'value' and 'HOME' not in os.environ\nweb.urlopen(api + 'invocation/next')", SETTING="value")

    def test_one_that_reports_an_error_has_not(self):
        with self.assertRaisesRegex(start_built.Failed, "one failed at start: SETTING is missing"):
            self.start("web.urlopen(api + 'init/error', data=b'SETTING is missing')\nimport time\ntime.sleep(60)")

    def test_one_that_ends_has_not(self):
        with self.assertRaisesRegex(start_built.Failed, "ended with 3 at start: no library"):
            self.start("import sys\nprint('no library')\nsys.exit(3)")

    def test_one_that_never_asks_has_not(self):
        with self.assertRaisesRegex(start_built.Failed, "did not ask for an event within 1 s"):
            start_built.start("one", [sys.executable, "-c", "import time\ntime.sleep(60)"], {}, seconds=1)


class Binaries(unittest.TestCase):
    """Which processor a binary is for."""

    def elf(self, number):
        file = tempfile.NamedTemporaryFile()
        self.addCleanup(file.close)
        file.write(b"\x7fELF" + bytes(14) + number.to_bytes(2, "little"))
        file.flush()
        return file.name

    def test_one_for_this_machine_runs_by_itself_and_another_under_qemu(self):
        with mock.patch.dict("os.environ", {"QEMU": "/bin/qemu", "QEMU_LD_PREFIX": "/libraries"}):
            self.assertEqual(start_built.command(self.elf(62), "x86_64", here="x86_64")[1:], [])
            arm = self.elf(183)
            self.assertEqual(start_built.command(arm, "arm64", here="x86_64"), ["/bin/qemu", "-L", "/libraries", arm])

    def test_what_was_built_for_another_processor_is_refused(self):
        for number in (62, 243):
            self.assertRaisesRegex(start_built.Failed, "make build ARCH=arm64", start_built.command, self.elf(number), "arm64")
        self.assertRaisesRegex(start_built.Failed, "no ELF", start_built.command, __file__, "arm64")


class Environments(unittest.TestCase):
    """The variables of template.yaml."""

    def test_each_function_has_those_of_the_template_with_values(self):
        found = start_built.environments(expand.expanded((ROOT / "template.yaml").read_text(encoding="utf-8")))
        self.assertRegex(found["outage-rehearser"]["END_ROLE_ARN"], r"^arn:aws:iam::111111111111:role/\w+$")
        self.assertEqual(sorted(found), sorted(path.name for path in (ROOT / "functions").iterdir()))
        self.assertEqual(found["alerter"]["BURST_LIMIT"], "5")
        self.assertEqual(found["alerter"]["ALERTS_QUEUE_URL"], "https://sqs.us-east-1.amazonaws.com/111111111111/AlertsQueue")
        for function, variables in found.items():
            for name, value in variables.items():
                self.assertNotRegex(value, r"[{}$]|AWS::", f"{name} of {function}")


if __name__ == "__main__":
    unittest.main()
