"""A flow of the demo: a bucket and a security group are opened in a member account, and closed again."""

import contextlib
import json
import time
import uuid

from botocore.exceptions import ClientError
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

import cloud
import demo_alert
import demo_enrich
import remediating
from demo_vend import check

ACCOUNT = "webshop-dev"
ANYWHERE = "0.0.0.0/0"
# Port, source and description of each rule of the security group; the first is the one that must not be there.
RULES = (
    (5432, ANYWHERE, "quick test"),
    (5432, "10.0.0.0/8", "our networks"),
    (443, ANYWHERE, "shop"),
)
# The switches of a public access block.
SWITCHES = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
CONTROLS = {
    "bucket": ("S3.8", "AwsS3Bucket", "HIGH", "S3 general purpose buckets should block public access"),
    "group": ("EC2.19", "AwsEc2SecurityGroup", "CRITICAL", "Security groups should not allow unrestricted access to ports with high risk"),
}
OBSERVED_FIELD = "orgkeeper:Remediation"
WOULD_FIX = "would fix: "

PATIENCE_SECONDS = 90
CARD_WIDTH = 110


class Resource:
    """A resource of the member account, and the finding about it."""

    def __init__(self, control, kind, severity, title, account, arn, look):
        self.control = control
        self.arn = arn
        # Returns the state that a person looks at, as lines.
        self.look = look
        scope = "global" if kind == "AwsS3Bucket" else cloud.REGION
        self.key = f"{account}#{scope}#{control}#{arn}"
        self.finding = demo_enrich.sample_finding(account, control, severity, title) | {
            "Region": cloud.REGION,
            "Resources": [{"Type": kind, "Id": arn, "Partition": "aws", "Region": cloud.REGION}],
        }


def run(here):
    """Opens, observes, fixes and shows; returns whether it was first only observed, and then closed."""
    account = cloud.read(here.state / "organization.json")["accounts"][ACCOUNT]
    run_id = uuid.uuid4().hex[:6]
    cloud.console.print(f"[bold]Somebody opens a bucket and a security group in {ACCOUNT}.[/]")
    resources = (open_bucket(here, account, run_id), open_group(here, account, run_id))
    opened = [resource.look() for resource in resources]

    cloud.console.rule("RemediationMode=observe: Security Hub -> remediation-planner -> preview -> the finding says what would be changed")
    send(here, resources)
    findings = wait_for(here, resources, is_observed, "findings previewed")
    for resource in resources:
        cloud.console.print(card(findings.get(resource.finding["Id"], resource.finding), what_would_be_changed(findings, resource)))
    checks = [
        check(all(is_observed(found) for found in findings.values()) and len(findings) == len(resources),
              "Both findings say what would be changed."),
        check([resource.look() for resource in resources] == opened, "Nothing was changed."),
    ]

    cloud.console.rule("RemediationMode=auto: -> state machine -> remediation-proxy -> remediator -> the member account")
    posted = len(demo_alert.posts(here))
    # A function that is deployed again in the middle of a batch would leave its messages invisible for minutes.
    remediating.wait_until_idle(here, PATIENCE_SECONDS)
    with remediating.mode(here, "auto"):
        started = time.monotonic()
        # Security Hub looks again, and the controls still fail.
        send(here, resources)
        findings = wait_for(here, resources, is_resolved, "findings resolved")
        seconds = time.monotonic() - started
        alerts = wait_for_alerts(here, posted, resources)
    records = remediating.records(here, account)
    closed = [resource.look() for resource in resources]
    for resource, before, after in zip(resources, opened, closed):
        cloud.console.print(comparison(resource, before, after))
        finding = findings.get(resource.finding["Id"], resource.finding)
        cloud.console.print(card(finding, result_of(finding)))
        cloud.console.print(record_card(resource, records.get(resource.key, {})))
    for alert in alerts:
        cloud.console.print(demo_alert.card(alert, 1))
    open_rule = f"{RULES[0][0]} from {ANYWHERE}"
    return all([
        *checks,
        check(all(is_resolved(found) for found in findings.values()) and len(findings) == len(resources),
              f"Both findings are resolved, {seconds:.1f} s after they arrived."),
        check(closed[0] == [f"{switch} on" for switch in SWITCHES], "The bucket blocks public access."),
        check([line for line in opened[1] if not line.startswith(open_rule)] == closed[1] and len(closed[1]) == len(RULES) - 1,
              "The security group lost the open rule, and only that one."),
        check([records.get(resource.key, {}).get("Status") for resource in resources] == ["FIXED"] * len(resources),
              "The table Remediations has both fixes, with the state before and after."),
        check(len(alerts) == len(resources), "Both fixes were published in Slack."),
    ])


# ---------------------------------------------------------------- the member account


def open_bucket(here, account, run_id):
    """A bucket whose public access block somebody has taken away."""
    storage, name = here.client("s3", account), f"webshop-pictures-{run_id}"
    storage.create_bucket(Bucket=name)
    storage.delete_public_access_block(Bucket=name)

    def look():
        block = {}
        with contextlib.suppress(ClientError):
            block = storage.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        return [f"{switch} {'on' if block.get(switch) else 'off'}" for switch in SWITCHES]

    return Resource(*CONTROLS["bucket"], account, f"arn:aws:s3:::{name}", look)


def open_group(here, account, run_id):
    """A security group that somebody has opened a database's port in, beside rules that are right."""
    network = here.client("ec2", account)
    vpc = network.create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
    group = network.create_security_group(GroupName=f"webshop-db-{run_id}", Description="Database", VpcId=vpc)["GroupId"]
    network.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": source, "Description": description}]}
        for port, source, description in RULES])

    def look():
        rules = network.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
        inbound = [rule for rule in rules if not rule["IsEgress"]]
        return sorted(f"{rule['FromPort']} from {rule['CidrIpv4']} ({rule['Description']})" for rule in inbound)

    return Resource(*CONTROLS["group"], account, f"arn:aws:ec2:{cloud.REGION}:{account}:security-group/{group}", look)


# ---------------------------------------------------------------- findings


def send(here, resources):
    """Sends the findings, as found a moment ago."""
    for resource in resources:
        resource.finding["UpdatedAt"] = demo_enrich.now()
    demo_enrich.send(here, [resource.finding for resource in resources])


def is_observed(finding):
    """Whether the finding says what would be changed."""
    return finding.get("UserDefinedFields", {}).get(OBSERVED_FIELD, "").startswith(WOULD_FIX)


def is_resolved(finding):
    """Whether the finding is resolved."""
    return finding["Workflow"]["Status"] == "RESOLVED"


def wait_for(here, resources, done, what):
    """Waits until `done` is true of every finding or the time is over; returns the findings by id."""
    hub, started, found = here.client("securityhub"), time.monotonic(), {}
    identities = [{"Value": resource.finding["Id"], "Comparison": "EQUALS"} for resource in resources]
    with Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                  console=cloud.console, disable=not cloud.console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=len(resources))
        while time.monotonic() - started < PATIENCE_SECONDS:
            found = {finding["Id"]: finding for finding in hub.get_findings(Filters={"Id": identities})["Findings"]}
            ready = sum(done(finding) for finding in found.values())
            progress.update(task, completed=ready)
            if ready == len(resources):
                break
            time.sleep(0.2)
    return found


def wait_for_alerts(here, posted, resources):
    """The messages in Slack about the fixes, once there is one for each or the time is over."""
    started, titles = time.monotonic(), tuple(f"Fixed: {resource.control} " for resource in resources)
    while True:
        found = [post for post in demo_alert.posts(here)[posted:] if demo_alert.title_of(post).startswith(titles)]
        if len(found) >= len(resources) or time.monotonic() - started > PATIENCE_SECONDS:
            return found
        time.sleep(0.2)


# ---------------------------------------------------------------- what a person reads


def what_would_be_changed(findings, resource):
    """The field of a finding that is observed."""
    fields = findings.get(resource.finding["Id"], {}).get("UserDefinedFields", {})
    return {OBSERVED_FIELD: fields.get(OBSERVED_FIELD, "nothing yet")}


def result_of(finding):
    """Status and note of a finding."""
    note = finding.get("Note", {"Text": "none", "UpdatedBy": ""})
    return {"status": finding["Workflow"]["Status"], "note": f"{note['Text']} ({note['UpdatedBy']})"}


def card(finding, facts):
    """A finding with what is new about it."""
    return panel(facts, f"{finding['Severity']['Label']} {finding['Compliance']['SecurityControlId']}: {finding['Title']}",
                 finding["Resources"][0]["Id"])


def record_card(resource, record):
    """What the table says about a fix."""
    history = [
        f"{entry['At'][11:19]} {entry['What'].lower().replace('_', ' ')}" + (f": {entry['Outcome']}" if entry.get("Outcome") else "")
        for entry in record.get("History", ())]
    facts = {
        "status": record.get("Status", "none"),
        "attempt": str(record.get("Attempt", "")),
        "before": compact(record.get("Before")),
        "after": compact(record.get("After")),
        "execution": record.get("Execution", "").rpartition(":")[2],
        "history": "\n".join(history),
    }
    return panel(facts, "Remediations", resource.key)


def compact(state):
    """A state as lines: a name and its value, or an element of a list."""
    lines = []
    for name, value in json.loads(state or "{}").items():
        elements = value if isinstance(value, list) else [value]
        lines += [f"{name}: {' '.join(map(str, one.values())) if isinstance(one, dict) else json.dumps(one)}" for one in elements]
    return "\n".join(lines)


def comparison(resource, before, after):
    """The member account as its people see it, before and after."""
    table = Table("before", "after", title=escape(resource.arn), title_justify="left", width=min(CARD_WIDTH, cloud.console.width))
    for line in dict.fromkeys([*before, *after]):
        left = line if line in before else ""
        right = line if line in after else ""
        table.add_row(f"[red]{escape(left)}[/]" if left and not right else escape(left),
                      f"[green]{escape(right)}[/]" if right and not left else escape(right))
    return table


def panel(facts, title, subtitle):
    """Names and values in a frame."""
    grid = Table.grid(Column(style="cyan", no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for name, value in facts.items():
        grid.add_row(name, escape(value))
    return Panel(grid, title=escape(title), title_align="left", subtitle=escape(subtitle), subtitle_align="right",
                 width=min(CARD_WIDTH, cloud.console.width))
