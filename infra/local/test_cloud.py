"""Tests of what `cloud.py` works out by itself."""

import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import cloud


class ParameterOverrides(unittest.TestCase):
    """The stack's parameters on the local cloud."""

    def test_those_of_samconfig_stay_beside_those_of_the_organization(self):
        with tempfile.TemporaryDirectory() as target, mock.patch.object(cloud, "TARGET", Path(target)):
            here = cloud.Cloud("local", 4566)
            here.state.mkdir()
            cloud.write(here.state / "organization.json", {"organization_id": "o-a1b2c3d4e5", "identity_center": {
                "instance_arn": "arn:instance",
                "groups": {"platform-engineers": "11111111-2222-3333-4444-555555555555"},
                "permission_sets": {"AdministratorAccess": "arn:permission-set"},
            }})
            overrides = cloud.parameter_overrides(here)
        self.assertIn("Architecture=x86_64", overrides)
        self.assertEqual(overrides[-5:], [
            "OrganizationId=o-a1b2c3d4e5",
            "IdentityCenterInstanceArn=arn:instance",
            "Assignments=11111111-2222-3333-4444-555555555555=arn:permission-set",
            "AllowedGroups=11111111-2222-3333-4444-555555555555",
            "AllowedPermissionSets=arn:permission-set",
        ])
        # Each parameter once: the SAM CLI takes either of two.
        names = [one.partition("=")[0] for one in overrides]
        self.assertEqual(len(names), len(set(names)))


class Instances(unittest.TestCase):
    """Several local clouds side by side."""

    def test_the_environment_names_the_instance_and_its_ports(self):
        with mock.patch.dict(os.environ, {"ORGKEEPER_INSTANCE": "second", "ORGKEEPER_PORT": "4666"}):
            second = cloud.this_cloud()
        with mock.patch.dict(os.environ):
            os.environ.pop("ORGKEEPER_INSTANCE", None)
            os.environ.pop("ORGKEEPER_PORT", None)
            first = cloud.this_cloud()
        self.assertEqual(first.state, cloud.ROOT / "target" / "local")
        self.assertEqual(second.state, cloud.ROOT / "target" / "second")
        self.assertEqual([server.port for server in second.servers], [4667, 4668, 4666])
        self.assertEqual(second.variables(), {"ORGKEEPER_INSTANCE": "second", "ORGKEEPER_PORT": "4666", "ORGKEEPER_FORM": "one"})
        self.assertEqual(first.make(), "make")
        self.assertEqual(second.make(), "ORGKEEPER_INSTANCE=second ORGKEEPER_PORT=4666 make")
        files = [{server.process_file, server.log} for server in first.servers + second.servers]
        self.assertEqual(len(set.union(*files)), 12)

    def test_an_instance_has_a_plain_name_that_is_no_other_folder_of_target(self):
        for name in ("", "../local", "a/b", "Local", "2nd", "lambda", "debug", "x" * 33):
            with self.subTest(name), mock.patch.dict(os.environ, {"ORGKEEPER_INSTANCE": name}):
                self.assertRaises(cloud.Failed, cloud.instance)

    def test_each_instance_has_a_lock_of_its_own(self):
        with tempfile.TemporaryDirectory() as target, mock.patch.object(cloud, "TARGET", Path(target)):
            first, second = cloud.Cloud("local", 4566), cloud.Cloud("second", 4666)
            with cloud.only_one(first), cloud.only_one(second):
                with self.assertRaises(cloud.Failed), cloud.only_one(first):
                    pass

    def test_during_names_the_instance_to_its_command(self):
        variables = {"ORGKEEPER_INSTANCE": "second", "ORGKEEPER_PORT": "4666"}
        check = f"import os, sys; sys.exit(0 if {variables!r}.items() <= os.environ.items() else 1)"
        with mock.patch.object(cloud, "being_up") as being_up:
            being_up.return_value.__enter__.return_value = cloud.Cloud("second", 4666)
            self.assertEqual(cloud.run_during([sys.executable, "-c", check]), 0)


class Builds(unittest.TestCase):
    """What the instances share: one build at a time, and a binary is rewritten only when it changed."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_build_waits_for_another_one(self):
        said = []
        with mock.patch.object(cloud, "TARGET", self.folder), mock.patch.object(cloud.fcntl, "flock") as flock:
            flock.side_effect = [BlockingIOError, None]
            with cloud.only_one_build(said.append):
                pass
        self.assertEqual(said, ["another local cloud is building: waiting"])
        self.assertEqual(flock.call_count, 2)

    def test_a_binary_is_replaced_as_a_whole_and_only_if_it_changed(self):
        binary, bootstrap = self.folder / "binary", self.folder / "lambda" / "alerter" / "bootstrap"
        shutil.copy("/bin/true", binary)
        cloud.place(binary, bootstrap)
        placed = bootstrap.stat()
        cloud.place(binary, bootstrap)
        self.assertEqual((bootstrap.stat().st_ino, bootstrap.stat().st_mtime_ns), (placed.st_ino, placed.st_mtime_ns))
        shutil.copy("/bin/false", binary)
        with open(bootstrap, "rb") as in_use:
            old = in_use.read()
            cloud.place(binary, bootstrap)
            in_use.seek(0)
            self.assertEqual(in_use.read(), old)
        self.assertNotEqual(bootstrap.read_bytes(), old)
        self.assertEqual([path.name for path in bootstrap.parent.iterdir()], ["bootstrap"])
        self.assertEqual([path.name for path in bootstrap.parent.parent.iterdir()], ["alerter"])


if __name__ == "__main__":
    unittest.main()
