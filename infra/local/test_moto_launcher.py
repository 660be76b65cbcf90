"""One smoke test for each patch in `moto_launcher.py`, on a moto that the tests start and end themselves."""

import os
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import boto3

LAUNCHER = Path(__file__).with_name("moto_launcher.py")
START_SECONDS = 20


def setUpModule():
    """Starts moto once for all tests."""
    global center, instance, process
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    process = subprocess.Popen(
        [sys.executable, LAUNCHER, "--host", "127.0.0.1", "--port", url.rpartition(":")[2]],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        if time.monotonic() > deadline:
            raise AssertionError(f"moto did not start within {START_SECONDS} s")
        time.sleep(0.05)
    center = boto3.client("sso-admin", endpoint_url=url, region_name="us-east-1",
                          aws_access_key_id="111111111111", aws_secret_access_key="test")
    instance = center.list_instances()["Instances"][0]["InstanceArn"]


def tearDownModule():
    process.terminate()
    process.wait(5)


def answers(url):
    """Whether moto answers."""
    try:
        return urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=1).status == 200
    except urllib.error.URLError:
        return False


class IdentityCenter(unittest.TestCase):
    """Permission sets and account assignments."""

    def permission_set(self, name):
        return center.create_permission_set(InstanceArn=instance, Name=name)["PermissionSet"]["PermissionSetArn"]

    def test_permission_set_is_named_as_on_aws(self):
        self.assertRegex(
            self.permission_set("named"), r"^arn:aws:sso:::permissionSet/(sso)?ins-[a-z0-9.-]{16}/ps-[a-z0-9./-]{16}$")

    def test_assignment_made_twice_is_there_once(self):
        arn = self.permission_set("twice")
        for _ in range(2):
            status = center.create_account_assignment(
                InstanceArn=instance, TargetId="222222222222", TargetType="AWS_ACCOUNT", PermissionSetArn=arn,
                PrincipalType="GROUP", PrincipalId="11111111-2222-3333-4444-555555555555")
            self.assertEqual(status["AccountAssignmentCreationStatus"]["Status"], "SUCCEEDED")
        found = center.list_account_assignments(InstanceArn=instance, AccountId="222222222222", PermissionSetArn=arn)
        self.assertEqual(len(found["AccountAssignments"]), 1)


if __name__ == "__main__":
    unittest.main()
