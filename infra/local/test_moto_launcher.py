"""One smoke test for each patch in `moto_launcher.py`, on a moto that the tests start and end themselves."""

import unittest

from emulators import ACCOUNT, Moto


def setUpModule():
    """Starts moto once for all tests."""
    global moto, center, instance
    moto = Moto()
    moto.start()
    center = moto.client("sso-admin")
    instance = center.list_instances()["Instances"][0]["InstanceArn"]


def tearDownModule():
    moto.stop()


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


class Snapshots(unittest.TestCase):
    """Snapshots of volumes, and who may restore them."""

    def setUp(self):
        self.ec2 = moto.client("ec2")
        volume = self.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
        self.snapshot = self.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        self.other = self.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    def found(self, **query):
        return {one["SnapshotId"] for one in self.ec2.describe_snapshots(**query)["Snapshots"]}

    def change(self, **permission):
        self.ec2.modify_snapshot_attribute(
            SnapshotId=self.snapshot, Attribute="createVolumePermission", CreateVolumePermission=permission)

    def groups(self):
        attribute = self.ec2.describe_snapshot_attribute(SnapshotId=self.snapshot, Attribute="createVolumePermission")
        return [one.get("Group") for one in attribute["CreateVolumePermissions"]]

    def test_own_snapshots_only(self):
        for owner in ("self", ACCOUNT):
            mine = self.found(OwnerIds=[owner])
            self.assertTrue({self.snapshot, self.other} <= mine)
            self.assertTrue(all(one["OwnerId"] == ACCOUNT for one in
                                self.ec2.describe_snapshots(OwnerIds=[owner])["Snapshots"]))

    def test_shared_snapshots_only(self):
        public = {"OwnerIds": ["self"], "RestorableByUserIds": ["all"]}
        self.assertNotIn(self.snapshot, self.found(**public))
        self.change(Add=[{"Group": "all"}])
        self.assertIn(self.snapshot, self.found(**public))
        self.assertNotIn(self.other, self.found(**public))

    def test_sharing_in_both_forms(self):
        self.change(Add=[{"Group": "all"}])
        self.assertEqual(self.groups(), ["all"])
        # A wrong fix, which takes another permission away, changes nothing.
        self.change(Remove=[{"UserId": "222222222222"}])
        self.assertEqual(self.groups(), ["all"])
        self.change(Remove=[{"Group": "all"}])
        self.assertEqual(self.groups(), [])
        self.change(Add=[{"Group": "all"}])
        self.ec2.modify_snapshot_attribute(
            SnapshotId=self.snapshot, Attribute="createVolumePermission", OperationType="remove", GroupNames=["all"])
        self.assertEqual(self.groups(), [])


if __name__ == "__main__":
    unittest.main()
