"""Starts MiniStack, patched, in the foreground: `ministack_launcher.py PORT STATE_DIR`.

Everything that it keeps is under STATE_DIR, and nothing of an earlier run is read again. While a file `deliver-twice`
is in STATE_DIR, everything is delivered twice (ministack_patches.py says how). `cloud.py` starts it; by hand it is
useful to try one thing: `.venv/cloud/bin/python infra/local/ministack_launcher.py 4567 target/try`.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path


def main():
    """Sets the environment, patches MiniStack and runs it until a signal ends it."""
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
            deliver_twice_file=str(state / "deliver-twice")))
    except ministack_patches.WrongMiniStack as wrong:
        sys.exit(f"ministack_launcher: {wrong}")
    app.main()


def parse_options():
    """The command line."""
    parser = argparse.ArgumentParser(description="Start MiniStack with orgkeeper's patches.")
    parser.add_argument("port", type=int)
    parser.add_argument("state_dir", type=Path)
    parser.add_argument("--endpoint-url", help="what functions get as AWS_ENDPOINT_URL (default: MiniStack itself)")
    parser.add_argument("--management-account", default="111111111111",
                        help="the account of an access key that is not an account id (default: %(default)s)")
    parser.add_argument("--region", default="us-east-1")
    return parser.parse_args()


def start_empty(state):
    """Removes what an earlier run left in `state` and makes the directories of this one."""
    if (state / "ministack").exists():
        shutil.rmtree(state / "ministack")
    for name in ("tmp", "state", "s3"):
        (state / "ministack" / name).mkdir(parents=True)
    for name in ("mail.jsonl", "deliver-twice"):
        (state / name).unlink(missing_ok=True)


def ministack_environment(options, own_dir):
    """MiniStack's settings, as environment variables. Its functions inherit them."""
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
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        # AWS waits one and two minutes between the attempts of an asynchronous invocation.
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.1",
        # Listeners on fixed ports that nothing here uses.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # No container is started, and none of somebody else's is looked at.
        "DOCKER_HOST": f"unix://{own_dir / 'no-docker.sock'}",
    }


if __name__ == "__main__":
    main()
