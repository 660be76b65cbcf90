"""Starts moto's server, patched, in the foreground: `moto_launcher.py --host HOST --port PORT`.

Each patch corrects one difference from AWS that affects orgkeeper; its docstring says what AWS does, what moto does and
what the patch changes. With another version of moto the launcher fails.
"""

import sys
import threading
from importlib.metadata import version

from moto import server
from moto.ssoadmin import models

MOTO_VERSION = "5.2.5"


def main():
    """Patches moto and runs it until a signal stops it."""
    if version("moto") != MOTO_VERSION:
        sys.exit(f"moto_launcher: the patches were written for moto {MOTO_VERSION}, installed is {version('moto')}")
    name_permission_sets()
    assign_once()
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


if __name__ == "__main__":
    main()
