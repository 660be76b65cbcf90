"""Tests of what `cloud.py` works out by itself."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import cloud


class ParameterOverrides(unittest.TestCase):
    """The stack's parameters on the local cloud."""

    def test_those_of_samconfig_stay_beside_those_of_the_organization(self):
        with tempfile.TemporaryDirectory() as state, mock.patch.object(cloud, "STATE", Path(state)):
            cloud.write(Path(state) / "organization.json", {"identity_center": {
                "instance_arn": "arn:instance",
                "groups": {"platform-engineers": "11111111-2222-3333-4444-555555555555"},
                "permission_sets": {"AdministratorAccess": "arn:permission-set"},
            }})
            overrides = cloud.parameter_overrides()
        self.assertIn("Architecture=x86_64", overrides)
        self.assertEqual(overrides[-2:], [
            "IdentityCenterInstanceArn=arn:instance",
            "Assignments=11111111-2222-3333-4444-555555555555=arn:permission-set",
        ])


if __name__ == "__main__":
    unittest.main()
