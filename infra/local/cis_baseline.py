"""What the baseline does for CIS, as Prowler sees it (`make cis-baseline`).

Of two new accounts one has no baseline, and the other one is READY with every item set to `keep`. Prowler looks at both with the
checks that the items claim. Exit code 1 if one of them does not pass in the account that is READY.
"""

import csv
import shutil
import sys
import time

from rich.table import Table

import cis
import cloud

UNIT = "Root/Sandbox"
BASELINE = f"""
[[unit]]
ou = "{UNIT}"
mode = "keep"
"""
PATIENCE_SECONDS = 180
REGIONS = ("us-east-1", "eu-central-1")

# What an item claims: checks of Prowler.
CLAIMS = {
    "s3-public-access-block": ("s3_account_level_public_access_blocks",),
    "password-policy": (
        "iam_password_policy_minimum_length_14",
        "iam_password_policy_reuse_24",
    ),
    "ebs-encryption": ("ec2_ebs_default_encryption",),
    "instance-metadata-defaults": ("ec2_instance_account_imdsv2_enabled",),
    "snapshot-block": ("ec2_ebs_snapshot_account_block_public_access",),
    "default-security-groups": ("ec2_securitygroup_default_restrict_traffic",),
}


def main():
    """Makes the accounts, scans both, and compares."""
    here = cloud.this_cloud()
    with cloud.Steps() as steps:
        with steps.step("Upload the baseline"):
            bucket = cloud.outputs(here)["BaselineBucketName"]
            here.client("s3").put_object(Bucket=bucket, Key="baseline.toml", Body=BASELINE.encode())
        with steps.step("Make two accounts, and wait until one is READY") as detail:
            fresh = new_account(here, "cis-fresh")
            ready = new_account(here, "cis-ready")
            move(here, ready)
            wait_until_ready(here, ready, detail)
        before = scan(here, fresh, steps, "fresh")
        after = scan(here, ready, steps, "ready")
    return show(before, after)


def new_account(here, name):
    """Creates an account, and gives its id."""
    organizations = here.client("organizations")
    organizations.create_account(AccountName=name, Email=f"{name}@example.com")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        pages = organizations.get_paginator("list_accounts").paginate()
        found = [one["Id"] for page in pages for one in page["Accounts"] if one["Name"] == name]
        if found:
            return found[0]
        time.sleep(0.5)
    raise cloud.Failed(f"account {name} was not created within {PATIENCE_SECONDS} s")


def move(here, account):
    """Moves an account to the unit whose accounts have the baseline."""
    organizations = here.client("organizations")
    units = cloud.read(here.state / "organization.json")["organizational_units"]
    parent = organizations.list_parents(ChildId=account)["Parents"][0]["Id"]
    organizations.move_account(AccountId=account, SourceParentId=parent, DestinationParentId=units[UNIT])


def wait_until_ready(here, account, detail):
    """Waits until the baseline's record of the account says that it is READY in its unit."""
    table = cloud.outputs(here)["BaselineTableName"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    state = None
    while time.monotonic() < deadline:
        item = here.client("dynamodb").get_item(TableName=table, Key={"AccountId": {"S": account}}).get("Item", {})
        state, unit = (item.get(name, {}).get("S") for name in ("State", "Unit"))
        detail(f"account {account}: {state}")
        if state == "READY" and unit == UNIT:
            return
        time.sleep(1)
    raise cloud.Failed(f"account {account} is {state} after {PATIENCE_SECONDS} s (logs: {here.logs})")


def scan(here, account, steps, name):
    """Prowler's answers: the worst status of each check."""
    folder = here.state / "cis-baseline" / name
    # Prowler appends to the files of an earlier run.
    shutil.rmtree(folder, ignore_errors=True)
    checks = [check for claimed in CLAIMS.values() for check in claimed]
    command = [
        cis.PROWLER / "bin" / "python", cis.PROWLER / "bin" / "prowler", "aws", "--checks", *checks, "--scan-unused-services",
        "--region", *REGIONS, "--output-formats", "csv", "--output-directory", folder, "--output-filename", name,
        "--no-banner", "--no-color", "--ignore-exit-code-3"]
    with steps.step(f"Prowler: the {name} account") as detail:
        cloud.run(command, here.logs / f"prowler-{name}.log", detail, cis.environment(here, account))
    worst = {}
    with open(folder / f"{name}.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter=";"):
            if worst.get(row["CHECK_ID"]) != "FAIL":
                worst[row["CHECK_ID"]] = row["STATUS"]
    return worst


def show(before, after):
    """Prints the table, and gives the exit code."""
    table = Table("item", "check", "fresh", "READY")
    wrong = 0
    for item, checks in CLAIMS.items():
        for check in checks:
            passes = after.get(check) == "PASS"
            wrong += not passes
            color = "green" if passes else "red"
            table.add_row(item, check, before.get(check, "silent"), f"[{color}]{after.get(check, 'silent')}[/]")
    cloud.console.print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(cloud.exit_code("cis-baseline", main))
