"""Starts moto's server, patched, in the foreground: `moto_launcher.py --host HOST --port PORT`.

Where moto differs from AWS in a way that orgkeeper notices, a function below makes it as AWS does it; its docstring
says what AWS does, what moto does and what is changed. Another version of moto than the one they were written for
refuses to start.
"""

import sys
import threading
from importlib.metadata import version

from moto import server
from moto.ssoadmin import models

MOTO_VERSION = "5.2.5"


def main():
    """Patches moto and runs it until a signal ends it."""
    if version("moto") != MOTO_VERSION:
        sys.exit(f"moto_launcher: the patches were written for moto {MOTO_VERSION}, installed is {version('moto')}")
    name_permission_sets()
    assign_once()
    server.main()


def name_permission_sets():
    """AWS names a permission set `arn:aws:sso:::permissionSet/ssoins-…/ps-…`.

    moto hangs it onto the ARN of its instance (`…:instance/ssoins-…/ps-…`), which no pattern for a permission set
    lets through. The patch gives it AWS's name.
    """
    generate = models.PermissionSet.generate_id

    def generate_id(instance_arn):
        return generate(instance_arn).replace(":instance/", ":permissionSet/", 1)

    models.PermissionSet.generate_id = staticmethod(generate_id)


def assign_once():
    """AWS succeeds in creating an account assignment that is there already, and there is still one.

    moto keeps and lists it once more. The patch looks first, and answers with the request that made it.
    """
    backend = models.SSOAdminBackend
    create = backend.create_account_assignment
    one_at_a_time = threading.Lock()

    def create_or_find(self, instance_arn, target_id, target_type, permission_set_arn, principal_type, principal_id):
        wanted = (instance_arn, target_id, target_type, permission_set_arn, principal_type, principal_id)
        with one_at_a_time:
            try:
                found = self._find_account(*wanted)
            except models.ResourceNotFoundException:
                return create(self, *wanted)
            return found.to_json(include_creation_date=True, include_request_id=True)

    backend.create_account_assignment = create_or_find


if __name__ == "__main__":
    main()
