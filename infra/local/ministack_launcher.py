"""Starts MiniStack, patched, in the foreground: `ministack_launcher.py PORT STATE_DIR`.

It stores everything under STATE_DIR and reads nothing of an earlier run. While a file `deliver-twice` exists in
STATE_DIR, everything is delivered twice (ministack_patches.py says how). `cloud.py` starts it; to experiment, start it
by hand: `.venv/cloud/bin/python infra/local/ministack_launcher.py 4567 target/try`. A part of the calls goes on to moto
(passed_on.py), which moto_launcher.py starts.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path


def main():
    """Sets the environment, patches MiniStack and runs it until a signal stops it."""
    options = parse_options()
    options.endpoint_url = options.endpoint_url or f"http://127.0.0.1:{options.port}"
    state = options.state_dir.resolve()
    start_empty(state)
    os.environ.update(ministack_environment(options, state / "ministack"))
    # The default directory for temporary files was chosen before TMPDIR was set.
    tempfile.tempdir = None
    sys.argv[1:] = []

    # Not at the top: MiniStack reads its environment while it is imported.
    import ministack_patches
    from ministack import app

    try:
        ministack_patches.apply_all(ministack_patches.Settings(
            mail_file=str(state / "mail.jsonl"), endpoint_url=options.endpoint_url,
            deliver_twice_file=str(state / "deliver-twice"),
            permissions_file=str(state / "permissions.jsonl"), test_name_file=str(state / "running-test"),
            moto_url=options.moto, management_account=options.management_account))
    except ministack_patches.WrongMiniStack as wrong:
        sys.exit(f"ministack_launcher: {wrong}")
    app.main()


def parse_options():
    """The command line."""
    parser = argparse.ArgumentParser(description="Start MiniStack with orgkeeper's patches.")
    parser.add_argument("port", type=int)
    parser.add_argument("state_dir", type=Path)
    parser.add_argument("--endpoint-url", help="the AWS_ENDPOINT_URL of functions (default: MiniStack itself)")
    parser.add_argument("--moto", default="http://127.0.0.1:4568", help="the address of moto (default: %(default)s)")
    parser.add_argument("--management-account", default="111111111111",
                        help="the account of an access key that is not an account id (default: %(default)s)")
    parser.add_argument("--region", default="us-east-1")
    return parser.parse_args()


def start_empty(state):
    """Removes the files of an earlier run from `state` and creates the directories of this one."""
    if (state / "ministack").exists():
        shutil.rmtree(state / "ministack")
    for name in ("tmp", "state", "s3"):
        (state / "ministack" / name).mkdir(parents=True)
    for name in ("mail.jsonl", "deliver-twice", "permissions.jsonl", "running-test"):
        (state / name).unlink(missing_ok=True)


def ministack_environment(options, own_dir):
    """MiniStack's settings, as environment variables, which its functions inherit."""
    return {
        "GATEWAY_PORT": str(options.port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": options.region,
        "MINISTACK_ACCOUNT_ID": options.management_account,
        "AWS_DEFAULT_REGION": options.region,
        "AWS_ENDPOINT_URL": options.endpoint_url,
        "STATE_DIR": str(own_dir / "state"),
        "S3_DATA_DIR": str(own_dir / "s3"),
        "TMPDIR": str(own_dir / "tmp"),
        # Every call is checked: signature, session and policies.
        "AUTH": "true",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        # AWS waits one and two minutes before the retries of an asynchronous invocation.
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.1",
        # Unused listeners on fixed ports.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # No container is started or listed.
        "DOCKER_HOST": f"unix://{own_dir / 'no-docker.sock'}",
    }


if __name__ == "__main__":
    main()
