"""What the fixes do for CIS, as Prowler sees it (`make cis`).

Everything that CIS looks for is made wrong in a member account (`cis_seed.py`). Prowler looks at it with CIS 3.0, 5.0 and 7.0;
its findings are imported into Security Hub, which sends them to the remediate flow, with RemediationMode=auto, RootCredentials=on
and a playbook that fixes everything; what asks in the shipped playbook asks here, and every request is approved by command. Then
Prowler looks again: what the fixes made is looked at too (the bucket of a new trail), so that there are several rounds. At last
there is a table for each version, and a reason for each check that is not PASS (`cis.toml`).

Exit code 1 if a check has no reason, or if CIS 5.0 or 7.0 is not as far as it has to be.
"""

import csv
import json
import re
import shutil
import sys
import time
import tomllib
from collections import Counter

from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Column, Table

import cis_report
import cis_seed
import cloud
import remediating

ACCOUNT = "webshop-test"
VERSIONS = ("3.0", "5.0", "7.0")
# What later versions leave out and the metric filters need: the trail's log group.
ALSO_SCANNED = ("2.0",)
ROUNDS = 4

PROWLER = cloud.ROOT / ".venv" / "prowler"
EXPLANATIONS = cloud.ROOT / "infra" / "local" / "cis.toml"
CONTROLS = cloud.ROOT / "shared" / "src" / "remediation" / "control.rs"
PLAYBOOK = cloud.ROOT / "infra" / "playbook.toml"
# Who would receive the alarms.
EMAIL = "security@example.com"

PATIENCE_SECONDS = 300
FINDINGS_PER_IMPORT = 100
# Another control has to be fixed first: a person orders the fix again, once that is done.
NEEDS = "NEEDS"
UNFINISHED = ("NEEDS", "BLOCKED", "FAILED", "REFUSED", "STARTED")
CUSTOM_ACTION = "Security Hub Findings - Custom Action"

# The controls that make an alarm, whose parameter is who receives it.
METRIC_FILTER = re.compile(r"CloudWatch\.(?!16$)|prowler-cloudwatch_log_metric_filter_")

COLORS = {cis_report.PASS: "green", cis_report.FAIL: "red", cis_report.MANUAL: "yellow", cis_report.SILENT: "dim"}


def main():
    """Seeds, scans, fixes, scans again and compares; the exit code says whether everything is as it has to be."""
    here = cloud.this_cloud()
    account = cloud.read(here.state / "organization.json")["accounts"][ACCOUNT]
    explanations = cis_report.Explanations(tomllib.loads(EXPLANATIONS.read_text(encoding="utf-8")))
    controls = cis_report.controls_of_checks(CONTROLS.read_text(encoding="utf-8"))
    with cloud.Steps() as steps:
        with steps.step(f"Make {ACCOUNT} violate CIS"):
            seed(here, account)
        before, findings = scan(here, account, steps, "before")
        after = fix(here, account, steps, findings)
    cloud.console.rule(f"What became of the findings about {ACCOUNT}")
    show_records(here, account)
    versions = {}
    for version in VERSIONS:
        versions[version] = cis_report.rows(definition(version), before, after, controls, explanations)
        show_version(version, versions[version])
    faults = cis_report.faults(versions) + dead_letters(here)
    for fault in faults:
        cloud.console.print(f"[red]✗[/] {fault}", soft_wrap=True)
    if not faults:
        cloud.console.print("[bold green]Every check that is not PASS has a reason.[/]")
    return 1 if faults else 0


def seed(here, account):
    """Makes the violations; they need an account in which nobody has made them before."""
    try:
        cis_seed.seed(here, account)
    except (ClientError, BotoCoreError) as error:
        raise cloud.Failed(f"{ACCOUNT} could not be made to violate CIS: {error}. A used local cloud is no start: make down") from error


# ---------------------------------------------------------------- Prowler


def scan(here, account, steps, name):
    """Prowler's answers as check -> status, and its findings in Security Hub's format, which leave MANUAL out."""
    folder = here.state / "cis" / name
    # Prowler appends to the files of an earlier run.
    shutil.rmtree(folder, ignore_errors=True)
    compliance = [f"cis_{version}_aws" for version in (*ALSO_SCANNED, *VERSIONS)]
    command = [
        PROWLER / "bin" / "python", PROWLER / "bin" / "prowler", "aws", "--compliance", *compliance, "--scan-unused-services",
        "--region", cloud.REGION, "--output-formats", "csv", "json-asff", "--output-directory", folder,
        "--output-filename", name, "--no-banner", "--no-color", "--ignore-exit-code-3"]
    with steps.step(f"Prowler: {name}") as detail:
        cloud.run(command, here.logs / f"prowler-{name}.log", detail, environment(here, account))
    with open(folder / f"{name}.csv", encoding="utf-8", newline="") as file:
        answers = [(row["CHECK_ID"], row["STATUS"]) for row in csv.DictReader(file, delimiter=";")]
    findings = json.loads((folder / f"{name}.asff.json").read_text(encoding="utf-8"))
    return cis_report.statuses_of(answers), findings


def environment(here, account):
    """The variables of a program that is the account's root user and can reach nothing but this local cloud.

    As a proxy, the front door gets every request whatever its host: s3control puts the account id before it.
    """
    proxies = {name: here.front_door.url for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}
    variables = {**cloud.client_environment(here), **proxies, "NO_PROXY": ""}
    return {
        **variables,
        **{name.lower(): variables[name] for name in (*proxies, "NO_PROXY")},
        "AWS_ACCESS_KEY_ID": account,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def definition(version):
    """The checks of a version of CIS, each with its requirements."""
    file = next((PROWLER / "lib").glob(f"python*/site-packages/prowler/compliance/aws/cis_{version}_aws.json"))
    return cis_report.requirements_in(json.loads(file.read_text(encoding="utf-8")))


# ---------------------------------------------------------------- fixing


def fix(here, account, steps, findings):
    """Has the findings fixed, round by round, until Prowler finds nothing that is new; returns its last answers."""
    here.client("s3").put_object(
        Bucket=remediating.outputs(here)["PlaybookBucketName"], Key="playbook.toml", Body=playbook_that_fixes_everything().encode())
    seen = set()
    # As a person switches them on: nothing else deletes root credentials.
    cloud.change_parameters(here, {"RootCredentials": "on"})
    with remediating.mode(here, "auto"):
        for number in range(1, ROUNDS + 1):
            with steps.step(f"Round {number}: {len(findings)} findings") as detail:
                started = time.monotonic()
                import_findings(here.client("securityhub", account), findings)
                remediating.wait_until_idle(here, PATIENCE_SECONDS, detail)
                approved = approve(here)
                remediating.wait_until_idle(here, PATIENCE_SECONDS, detail)
                ordered = waiting_for_another(here, account, findings)
                order(here, ordered)
                remediating.wait_until_idle(here, PATIENCE_SECONDS, detail)
                seconds = time.monotonic() - started
            seen |= failed(findings)
            after, findings = scan(here, account, steps, f"after-{number}")
            new = failed(findings) - seen
            cloud.console.print(
                f"Fixed within {seconds:.0f} s; {approved} were approved, {len(ordered)} ordered again;"
                f" {len(failed(findings))} findings are left, {len(new)} of them new.", style="dim")
            if not new and not waiting_for_another(here, account, findings):
                break
    return after


def playbook_that_fixes_everything():
    """The shipped playbook with every control on `auto` but those that ask, an address for the alarms, and unused passwords deleted."""
    controls = tomllib.loads(PLAYBOOK.read_text(encoding="utf-8"))["control"]
    lines = ["[control]"]
    for control, rule in controls.items():
        mode = "ask" if rule["mode"] == "ask" else "auto"
        parameter = ""
        if METRIC_FILTER.match(control):
            parameter = f'email = "{EMAIL}"'
        elif control == "IAM.22":
            parameter = "delete_password = true"
        parameters = f", parameters = {{ {parameter} }}" if parameter else ""
        lines.append(f'"{control}" = {{ mode = "{mode}"{parameters} }}')
    return "\n".join(lines) + "\n"


def approve(here):
    """Approves every fix that a person is asked about, as that person does; returns how many."""
    listed = remediating.command(here, "list", "--waiting", "--output", "json")
    waiting = [row["id"] for row in json.loads(listed.stdout)["remediations"] if row["waitsFor"] == "ANSWER"]
    for name in waiting:
        approved = remediating.command(here, "approve", name, "--yes")
        if approved.returncode:
            raise cloud.Failed(f"{name} was not approved: {approved.stderr.strip()}")
    return len(waiting)


def failed(findings):
    """The ids of the findings that failed."""
    return {finding["Id"] for finding in findings if finding["Compliance"]["Status"] == "FAILED"}


def import_findings(hub, findings):
    """Imports findings as their product does; Security Hub then sends an event for each."""
    findings = cis_report.once(findings)
    for start in range(0, len(findings), FINDINGS_PER_IMPORT):
        answer = hub.batch_import_findings(Findings=findings[start:start + FINDINGS_PER_IMPORT])
        if answer["FailedCount"]:
            raise cloud.Failed(f"Security Hub refused {answer['FailedCount']} findings: {answer['FailedFindings'][0]}")


def waiting_for_another(here, account, findings):
    """The findings whose fix needed another control first."""
    identities = {
        finding["Id"] for record in remediating.records(here, account).values() if record["Status"] == NEEDS
        for finding in record["Findings"]}
    return [finding for finding in findings if finding["Id"] in identities & failed(findings)]


def order(here, findings):
    """Chooses the custom action Remediate for findings, as a person does in Security Hub."""
    action = f"arn:aws:securityhub:{cloud.REGION}:{cloud.MANAGEMENT_ACCOUNT}:action/custom/Remediate"
    here.send_events([
        {"source": "aws.securityhub", "detail-type": CUSTOM_ACTION, "resources": [action],
         "detail": {"actionName": "Remediate", "actionDescription": "Fix", "findings": [finding]}}
        for finding in findings])


def dead_letters(here):
    """A sentence for each dead-letter queue that is not empty."""
    depths = remediating.messages_in(here, remediating.DEAD_LETTER_QUEUES)
    return [f"{depth} messages are in the queue {name}" for name, depth in depths.items() if depth]


# ---------------------------------------------------------------- what is shown


def show_records(here, account):
    """How many records have which status, and what was not fixed."""
    records = sorted(remediating.records(here, account).items())
    counted = Counter(record["Status"] for _, record in records)
    cloud.console.print(", ".join(f"{status} {number}" for status, number in counted.most_common()))
    table = Table("control", Column("resource", overflow="fold"), "status", Column("why", overflow="fold"), box=None)
    for key, record in records:
        if record["Status"] in UNFINISHED:
            _, _, control, resource = key.split("#", 3)
            table.add_row(control, resource, record["Status"], record.get("Reason") or record.get("Needs") or "")
    if table.row_count:
        cloud.console.print(table)


def show_version(version, rows):
    """The table of a version, and how far it is."""
    cloud.console.rule(f"CIS {version}")
    table = Table(
        "requirement", Column("check", overflow="fold"), "control", "before", "after", Column("why not", overflow="fold"), box=None)
    for row in rows:
        why = f"{row.explanation.kind}: {row.explanation.reason}" if row.explanation else "[red]unexplained[/]" if row.unexplained else ""
        table.add_row(" ".join(row.requirements), row.check, row.control, colored(row.before), colored(row.after), why)
    cloud.console.print(table)
    counted = ", ".join(f"{number} {name}" for name, number in cis_report.classes(rows).items())
    cloud.console.print(
        f"CIS {version}: of the checks that a call can fix, {cis_report.share_before(rows)} were PASS before and"
        f" [bold]{cis_report.share_after(rows)}[/] are fixed. Of all {len(rows)}: {counted}.", soft_wrap=True)


def colored(status):
    """A status in its color."""
    return f"[{COLORS[status]}]{status}[/]"


if __name__ == "__main__":
    sys.exit(cloud.exit_code("cis", main))
