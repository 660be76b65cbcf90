"""Whether Prowler finds what orgkeeper says faces the internet (`make posture-prowler`).

The estate of `posture_estate.py` is made, and surveyed. Then Prowler looks at the same accounts and Regions with the checks that are about
the same: its findings have to be exactly the exposures of that kind. Exit code 1 if not.
"""

import csv
import shutil
import sys
import time

from rich.table import Table

import cis
import cloud
import posture_estate

PATIENCE_SECONDS = 180
# A check of Prowler, the kind of exposure that it finds, and what of a finding is what of an exposure.
CHECKS = {
    "ec2_instance_public_ip": ("instance", "Resource"),
    "ec2_elastic_ip_unassigned": ("idle-address", "Resource"),
    "elbv2_internet_facing": ("load-balancer", "Resource"),
}
# What Prowler says of a load balancer whose groups let everybody in at some ports only: it passes, and faces the internet.
FACING = "has an internet facing scheme"


def main():
    """Makes the estate, waits for a survey, and compares account by account."""
    here = cloud.this_cloud()
    ids = cloud.read(here.state / "organization.json")["accounts"]
    with cloud.Steps() as steps:
        with steps.step("Make what faces the internet"):
            posture_estate.seed(ids)
        with steps.step("Survey it") as detail:
            survey(here, detail)
        exposures = items(here, "ExposureTableName")
        found = {name: scan(here, name, ids[name], steps) for name in sorted({name for name, _ in posture_estate.ESTATE})}
    return show(exposures, found, ids)


def items(here, table):
    """All items of a table."""
    pages = here.client("dynamodb").get_paginator("scan").paginate(TableName=cloud.outputs(here)[table])
    return [item for page in pages for item in page["Items"]]


def survey(here, detail):
    """Asks for a survey, and waits until one that began afterwards has ended."""
    here.client("sqs").send_message(QueueUrl=cloud.outputs(here)["DirectoryQueueUrl"], MessageBody='{"task":"refresh-all"}')
    # With the management account, which organization.json leaves out.
    while len(items(here, "AccountDirectoryTableName")) <= len(cloud.read(here.state / "organization.json")["accounts"]):
        time.sleep(1)
    known = {item["Pair"]["S"] for item in items(here, "PostureTableName")}
    here.client("sqs").send_message(QueueUrl=cloud.outputs(here)["PostureQueueUrl"], MessageBody='{"task":"survey"}')
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        new = [item for item in items(here, "PostureTableName") if item["Pair"]["S"].startswith("survey#") and item["Pair"]["S"] not in known]
        ended = [item for item in new if "EndedAt" in item]
        detail(f"{sum(len(item.get('Ended', {}).get('NS', ())) for item in new)} parts have ended")
        if ended:
            return
        time.sleep(1)
    raise cloud.Failed(f"the survey has not ended within {PATIENCE_SECONDS} s (logs: {here.logs})")


def scan(here, name, account, steps):
    """What Prowler finds: check, Region and resource."""
    folder = here.state / "posture-prowler" / name
    # Prowler appends to the files of an earlier run.
    shutil.rmtree(folder, ignore_errors=True)
    regions = sorted({region for of, region in posture_estate.ESTATE if of == name})
    command = [
        cis.PROWLER / "bin" / "python", cis.PROWLER / "bin" / "prowler", "aws", "--checks", *CHECKS, "--scan-unused-services",
        "--region", *regions, "--output-formats", "csv", "--output-directory", folder, "--output-filename", name,
        "--no-banner", "--no-color", "--ignore-exit-code-3"]
    with steps.step(f"Prowler: {name}") as detail:
        cloud.run(command, here.logs / f"prowler-{name}.log", detail, cis.environment(here, account))
    if not (folder / f"{name}.csv").exists():
        # It has found none of these resources.
        return []
    with open(folder / f"{name}.csv", encoding="utf-8", newline="") as file:
        return [(row["CHECK_ID"], row["REGION"], row["RESOURCE_UID"]) for row in csv.DictReader(file, delimiter=";")
                if row["STATUS"] == "FAIL" or FACING in row["STATUS_EXTENDED"]]


def show(exposures, found, ids):
    """Prints a row for each check and account; returns the exit code."""
    table = Table("check", "account", "Prowler", "orgkeeper")
    wrong = 0
    for check, (kind, attribute) in CHECKS.items():
        for name, findings in found.items():
            theirs = {(region, resource.rpartition("/")[2]) for of, region, resource in findings if of == check}
            ours = {(item["Pair"]["S"].partition("#")[2], item[attribute]["S"].rpartition("/")[2]) for item in exposures
                    if item["Kind"]["S"] == kind and item["Pair"]["S"].startswith(ids[name]) and "GoneAt" not in item}
            wrong += theirs != ours
            color = "green" if theirs == ours else "red"
            table.add_row(check, name, f"[{color}]{len(theirs)}[/]", f"[{color}]{len(ours)}[/]")
            if theirs != ours:
                cloud.console.print(f"[red]✗[/] {check} in {name}: Prowler {sorted(theirs)}, orgkeeper {sorted(ours)}", soft_wrap=True)
    cloud.console.print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(cloud.exit_code("posture-prowler", main))
