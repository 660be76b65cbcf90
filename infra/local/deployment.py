"""What `make deploy` does before and around `sam deploy`.

    deployment.py check ENVIRONMENT ARCHITECTURE     the environment of samconfig.toml is complete and for that architecture
    deployment.py deploy ENVIRONMENT ARCHITECTURE    the functions are built for it; then `sam deploy`

Parameters on the command line replace all of those in samconfig.toml. So they are passed on together with the two that
samconfig.toml need not have: Architecture, which is what was built, and TableProtection, once the stack exists.
"""

import argparse
import os
import re
import sys
import tomllib
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).resolve().parents[2]
SAM = ROOT / ".venv" / "sam" / "bin" / "sam"
# What samconfig.toml has in place of a value of the user.
TO_FILL_IN = "FILL-IN"
# The two bytes that name the machine of an ELF file.
MACHINES = {62: "x86_64", 183: "arm64"}
# States of a stack in which nothing is kept yet, or any more.
WITHOUT_TABLES = ("REVIEW_IN_PROGRESS", "CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")


class Refused(Exception):
    """Why nothing is deployed, and what to do."""


def main():
    """Runs one command; prints one line if it refuses."""
    parser = argparse.ArgumentParser(description="Deploys one environment of samconfig.toml.")
    parser.add_argument("command", choices=["check", "deploy"])
    parser.add_argument("environment")
    parser.add_argument("architecture", choices=sorted(MACHINES.values()))
    arguments = parser.parse_args()
    try:
        settings = environment((ROOT / "samconfig.toml").read_text(encoding="utf-8"), arguments.environment)
        check(settings, arguments.environment, arguments.architecture)
        if arguments.command == "deploy":
            check_built(ROOT, arguments.architecture)
            command = sam_deploy(settings, arguments.environment, arguments.architecture, has_tables(settings))
            os.chdir(ROOT)
            os.execv(SAM, command)
    except (Refused, ClientError, BotoCoreError) as refusal:
        sys.exit(f"not deployed: {refusal}")


def environment(samconfig, name):
    """The settings of an environment, as the SAM CLI reads them for `sam deploy`."""
    environments = tomllib.loads(samconfig)
    if not isinstance(environments.get(name), dict):
        known = ", ".join(one for one, settings in environments.items() if isinstance(settings, dict))
        raise Refused(f"samconfig.toml has no environment {name}: it has {known}")
    sections = (environments[name].get(section, {}).get("parameters", {}) for section in ("global", "deploy"))
    return {key: value for section in sections for key, value in section.items()}


def overrides(settings):
    """The parameters of an environment: one text, or a list of them."""
    stated = settings.get("parameter_overrides", [])
    stated = [stated] if isinstance(stated, str) else stated
    if not (isinstance(stated, list) and all(isinstance(one, str) for one in stated)):
        raise Refused("parameter_overrides in samconfig.toml has to be a text or a list of texts, NAME=VALUE each")
    return stated


def stated_value(settings, parameter):
    """The value that an environment gives a parameter; None if it gives none."""
    pattern = re.compile(rf"""(?:^|\s)(?:ParameterKey=)?["']?{parameter}["']?(?:,ParameterValue)?=["']?([^\s"',]*)""")
    values = [found[1] for one in overrides(settings) for found in pattern.finditer(one)]
    return values[-1] if values else None


def check(settings, name, architecture):
    """Refuses an environment with a value to fill in, or for another architecture."""
    missing = [found for one in overrides(settings) for found in re.findall(rf"(\w+)={TO_FILL_IN}\b", one)]
    if missing:
        raise Refused(f"fill in {', '.join(missing)} in parameter_overrides of [{name}.deploy.parameters] in samconfig.toml;"
                      " docs/deploy.md says what belongs there")
    stated = stated_value(settings, "Architecture")
    if stated not in (None, architecture):
        raise Refused(f"[{name}] in samconfig.toml has Architecture={stated}, and the functions are built for {architecture}:"
                      f" run make deploy ENV={name} ARCH={stated}, or take Architecture out of samconfig.toml")


def check_built(root, architecture):
    """Refuses functions that were not built, or for another architecture: they could not start."""
    faults = []
    for folder in sorted(path.parent for path in (root / "functions").glob("*/Cargo.toml")):
        bootstrap = root / "target" / "lambda" / folder.name / "bootstrap"
        machine = machine_of(bootstrap)
        if machine != architecture:
            faults.append(f"{bootstrap.relative_to(root)} {f'is for {machine}' if machine else 'is missing or no program'}")
    if faults:
        raise Refused(f"the functions are not built for {architecture}: {'; '.join(faults)}. Run make build ARCH={architecture}")


def machine_of(file):
    """The machine that a program is for; None if it is no ELF file."""
    try:
        with open(file, "rb") as program:
            head = program.read(20)
    except FileNotFoundError:
        return None
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return None
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return MACHINES.get(number, f"the ELF machine {number}")


def has_tables(settings):
    """Whether the stack exists, so that its tables hold something."""
    if "stack_name" not in settings:
        raise Refused("the environment of samconfig.toml has no stack_name")
    session = boto3.Session(profile_name=settings.get("profile"), region_name=settings.get("region"))
    try:
        found = session.client("cloudformation").describe_stacks(StackName=settings["stack_name"])["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return found[0]["StackStatus"] not in WITHOUT_TABLES


def sam_deploy(settings, name, architecture, protect):
    """The command that deploys."""
    parameters = [*overrides(settings), f"Architecture={architecture}"]
    if protect and stated_value(settings, "TableProtection") is None:
        parameters.append("TableProtection=on")
    return [str(SAM), "deploy", "--template-file", "template.yaml", "--config-file", str(ROOT / "samconfig.toml"),
            "--config-env", name, "--parameter-overrides", *parameters]


if __name__ == "__main__":
    main()
