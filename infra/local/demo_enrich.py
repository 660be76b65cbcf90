"""A flow of the demo: findings arrive and are enriched with what is known about their account."""

import textwrap
import time
import uuid
from datetime import datetime, timezone

from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import cloud

# Account, control, severity and title of each finding; None is the management account.
FINDINGS = (
    ("payments-api-prod", "S3.1", "MEDIUM", "S3 general purpose buckets should have block public access settings enabled"),
    ("payments-ledger-prod", "RDS.2", "CRITICAL", "RDS DB instances should prohibit public access"),
    ("kundenportal-prod", "EC2.13", "HIGH", "Security groups should not allow ingress from 0.0.0.0/0 to port 22"),
    ("webshop-dev", "IAM.3", "MEDIUM", "IAM users' access keys should be rotated every 90 days or less"),
    ("sandbox-anna", "KMS.4", "LOW", "AWS KMS key rotation should be enabled"),
    ("billing-reports", "S3.5", "MEDIUM", "S3 general purpose buckets should require requests to use SSL"),
    (None, "IAM.6", "CRITICAL", "Hardware MFA should be enabled for the root user"),
)
# The finding that already has a person's note and field.
ANNOTATED = "webshop-dev"
PERSONS_NOTE = {"Text": "Key belongs to the old deploy job, gone in May. SEC-1412", "UpdatedBy": "anna"}
PERSONS_FIELDS = {"ticket": "SEC-1412"}

# The fields of every enriched finding; the account's tags follow them.
FIRST_FIELDS = ("AccountName", "OU", "OUPath", "enrichmentNotShown", "findingEnriched", "securityContact")
FIELDS_SHOWN = 12
CARD_WIDTH = 110

PATIENCE_SECONDS = 90


def run(here):
    """Sends the findings, shows each before and after; returns whether all of them were enriched."""
    accounts = cloud.read(here.state / "organization.json")["accounts"]
    sent = {}
    for name, control, severity, title in FINDINGS:
        finding = sample_finding(accounts.get(name, cloud.MANAGEMENT_ACCOUNT), control, severity, title)
        if name == ANNOTATED:
            finding |= {"Note": {**PERSONS_NOTE, "UpdatedAt": now()}, "UserDefinedFields": PERSONS_FIELDS}
        sent[finding["Id"]] = finding
    table = Table("severity", "finding", "account", "note", box=None)
    for finding in sent.values():
        table.add_row(finding["Severity"]["Label"], finding["Title"], finding["AwsAccountId"],
                      escape(finding.get("Note", {}).get("Text", "")))
    cloud.console.print(table)

    cloud.console.rule("EventBridge -> findings queue -> finding-enricher -> BatchUpdateFindings")
    send(here, list(sent.values()))
    seconds, enriched = wait_until_enriched(here.client("securityhub"), sent)
    for finding in enriched.values():
        cloud.console.print(card(finding))
    missing = [finding for id, finding in sent.items() if id not in enriched]
    for finding in missing:
        cloud.console.print(f"[red]not enriched:[/] {finding['Title']} in {finding['AwsAccountId']}")
    cloud.console.print(f"{len(enriched)} of {len(sent)} findings were enriched within {seconds:.1f} s.")
    return not missing


def sample_finding(account, control, severity, title):
    """A failed finding of a control."""
    identity = f"arn:aws:securityhub:{cloud.REGION}:{account}:security-control/{control}/finding/{uuid.uuid4()}"
    return {
        "SchemaVersion": "2018-10-08",
        "Id": identity,
        "ProductArn": f"arn:aws:securityhub:{cloud.REGION}::product/aws/securityhub",
        "GeneratorId": f"security-control/{control}",
        "AwsAccountId": account,
        "Types": ["Software and Configuration Checks/Industry and Regulatory Standards"],
        "CreatedAt": now(),
        "UpdatedAt": now(),
        "Severity": {"Label": severity},
        "Title": title,
        "Description": title,
        "Resources": [{"Type": "AwsAccount", "Id": f"AWS::::Account:{account}"}],
        "Compliance": {"Status": "FAILED", "SecurityControlId": control},
        "Workflow": {"Status": "NEW"},
        "RecordState": "ACTIVE",
    }


def send(here, findings):
    """Sends one event for each finding, as Security Hub does."""
    here.send_events([
        {"source": "aws.securityhub", "detail-type": "Security Hub Findings - Imported", "detail": {"findings": [finding]}}
        for finding in findings])


def wait_until_enriched(security_hub, sent):
    """Waits until every finding is enriched or the time is over; returns the seconds and the enriched ones by id."""
    start = time.monotonic()
    enriched = {}
    with Progress(TextColumn("findings enriched"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                  console=cloud.console, disable=not cloud.console.is_terminal) as progress:
        task = progress.add_task("", total=len(sent))
        while len(enriched) < len(sent) and time.monotonic() - start < PATIENCE_SECONDS:
            time.sleep(0.2)
            pages = security_hub.get_paginator("get_findings").paginate(
                Filters={"Id": [{"Value": id, "Comparison": "EQUALS"} for id in sent],
                         "UserDefinedFields": [{"Key": "findingEnriched", "Value": "True", "Comparison": "EQUALS"}]})
            enriched = {finding["Id"]: finding for page in pages for finding in page["Findings"]}
            progress.update(task, completed=len(enriched))
    # In the order in which they were sent.
    return time.monotonic() - start, {id: enriched[id] for id in sent if id in enriched}


def card(finding):
    """The enriched finding: its user-defined fields and its note."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    fields = sorted(finding["UserDefinedFields"].items(), key=lambda field: (field[0] not in FIRST_FIELDS, field[0]))
    few, rest = fields[:FIELDS_SHOWN], fields[FIELDS_SHOWN:]
    for name, value in few:
        grid.add_row(escape(name), escape(textwrap.shorten(value, 200, placeholder=" …")))
    if rest:
        grid.add_row("…", f"and {len(rest)} more fields")
    note = finding["Note"]
    grid.add_row("note", f"{escape(note['Text'])} [dim]({escape(note['UpdatedBy'])})[/]")
    return Panel(grid, title=f"{finding['Severity']['Label']} {escape(finding['Title'])}", title_align="left",
                 subtitle=finding["AwsAccountId"], subtitle_align="right",
                 width=min(CARD_WIDTH, cloud.console.width))


def now():
    """The current time in the format of findings."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
