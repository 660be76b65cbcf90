"""Starts moto's server, patched, in the foreground: `moto_launcher.py --host HOST --port PORT`.

Each patch corrects one difference from AWS that affects orgkeeper; its docstring says what AWS does, what moto does and
what the patch changes. Those of the organization's policies are in `moto_organization.py`, those of an account's settings
in `moto_settings.py`, and the stand-ins of the organization's security services in `posture/`. With another version of moto the launcher fails.
"""

import sys
import threading
from importlib.metadata import version

from moto import server
from moto.core.responses import ActionResult
from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.ssoadmin import models

import moto_organization
import moto_settings
import posture

MOTO_VERSION = "5.2.5"


def main():
    """Patches moto and runs it until a signal stops it."""
    if version("moto") != MOTO_VERSION:
        sys.exit(f"moto_launcher: the patches were written for moto {MOTO_VERSION}, installed is {version('moto')}")
    name_permission_sets()
    assign_once()
    find_shared_snapshots()
    share_snapshots_in_both_forms()
    moto_organization.trust_more_services()
    moto_organization.know_newer_policy_types()
    moto_organization.refuse_invalid_policies()
    moto_organization.describe_effective_policies()
    moto_settings.have_account_settings()
    moto_settings.keep_public_buckets_blocked()
    moto_settings.have_opt_in_regions()
    posture.stand_in()
    server.main()


def name_permission_sets():
    """AWS names a permission set `arn:aws:sso:::permissionSet/ssoins-…/ps-…`.

    moto appends it to the ARN of its instance (`…:instance/ssoins-…/ps-…`), which matches no pattern for a permission
    set. The patch uses AWS's name.
    """
    generate = models.PermissionSet.generate_id

    def generate_id(instance_arn):
        return generate(instance_arn).replace(":instance/", ":permissionSet/", 1)

    models.PermissionSet.generate_id = staticmethod(generate_id)


def assign_once():
    """AWS accepts the creation of an account assignment that exists, and there is still only one.

    moto stores it a second time. The patch looks for it first, and answers with the request that created it.
    """
    backend = models.SSOAdminBackend
    create = backend.create_account_assignment
    one_at_a_time = threading.Lock()

    def create_or_find(self, instance_arn, target_id, target_type, permission_set_arn, principal_type, principal_id):
        assignment = (instance_arn, target_id, target_type, permission_set_arn, principal_type, principal_id)
        with one_at_a_time:
            try:
                found = self._find_account(*assignment)
            except models.ResourceNotFoundException:
                return create(self, *assignment)
            return found.to_json(include_creation_date=True, include_request_id=True)

    backend.create_account_assignment = create_or_find


def find_shared_snapshots():
    """AWS returns the snapshots of the owners that `OwnerIds` names, and those that somebody in `RestorableByUserIds` may
    restore: `self`, `all` (everybody) or account ids.

    moto ignores both, and returns a thousand snapshots of its images too. The patch leaves out the others.
    """
    describe = ElasticBlockStore.describe_snapshots

    def describe_and_filter(self):
        me = self.current_account
        owners = {me if one == "self" else one for one in self._get_param("OwnerIds", [])}
        restorable_by = {me if one == "self" else one for one in self._get_param("RestorableByUserIds", [])}

        def matches(snapshot):
            allowed = {snapshot.owner_id, *snapshot.create_volume_permission_userids,
                       *snapshot.create_volume_permission_groups}
            return (not owners or snapshot.owner_id in owners) and (
                not restorable_by or bool(allowed & restorable_by))

        answer = describe(self)
        return ActionResult({"Snapshots": [one for one in answer.result["Snapshots"] if matches(one)]})

    ElasticBlockStore.describe_snapshots = describe_and_filter


def share_snapshots_in_both_forms():
    """AWS takes a change of who may restore a snapshot as `OperationType` with names, or as `CreateVolumePermission`
    with lists to add and to remove.

    moto ignores the second form. The patch applies it.
    """
    modify = ElasticBlockStore.modify_snapshot_attribute

    def modify_in_both_forms(self):
        changes = self._get_param("CreateVolumePermission", {}) or {}
        backend, snapshot = self.ec2_backend, self._get_param("SnapshotId")
        answer = modify(self)
        for member, change in (("Add", backend.add_create_volume_permission),
                               ("Remove", backend.remove_create_volume_permission)):
            listed = changes.get(member) or []
            if listed:
                change(snapshot, user_ids=[one["UserId"] for one in listed if one.get("UserId")],
                       groups=[one["Group"] for one in listed if one.get("Group")])
        return answer

    ElasticBlockStore.modify_snapshot_attribute = modify_in_both_forms


if __name__ == "__main__":
    main()
