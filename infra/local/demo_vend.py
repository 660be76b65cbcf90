"""A chapter of the demo: a CSV is uploaded, and its accounts and who may work in them come out."""

import contextlib
import csv
import io
import time
import uuid
from dataclasses import dataclass, field

from botocore.exceptions import ClientError
from rich.live import Live
from rich.markup import escape
from rich.table import Table

import cloud
import organization

COLUMNS = ("AccountName", "AccountEmail", "SSOUserEmail", "SSOUserFirstName", "SSOUserLastName", "OrgUnit")

# Name, organizational unit and owner of each account that is asked for.
ACCOUNTS = (
    ("checkout-prod", "Root/Workloads/Prod", "anna"),
    ("refunds-prod", "Root/Workloads/Prod/Payments", "maria"),
    ("checkout-dev", "Root/Workloads/Dev", "anna"),
    ("checkout-test", "Root/Workloads/Test", "juergen"),
    ("sandbox-maria", "Root/Sandbox", "maria"),
)
# What the row with two faults calls an address and an organizational unit.
WRONG = {"AccountEmail": "marketing at example.com", "OrgUnit": "Marketing"}

# The real thing takes half an hour.
MAKING_MILLISECONDS = 3000
PATIENCE_SECONDS = 120
ENDED = ("SUCCEEDED", "FAILED")
COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "ASSIGNING": "cyan", "PROVISIONING": "yellow"}


@dataclass
class Wanted:
    """A row of the file, and what became of it."""

    row: dict
    unit_path: str
    # Status -> seconds after the upload, in the order in which it was seen.
    passed: dict = field(default_factory=dict)
    account: str = ""

    @property
    def name(self):
        """The account's name."""
        return self.row["AccountName"]

    @property
    def key(self):
        """The key in the table."""
        return self.row["AccountEmail"].lower()

    @property
    def status(self):
        """The last status; empty before the row was taken in."""
        return next(reversed(self.passed), "")


def play(here):
    """Uploads a file, watches its accounts being made and checks what came of it; returns whether all of it did."""
    outputs = cloud.read(here.state / "outputs.json")
    for name in ("AccountsBucketName", "AccountsTableName"):
        if name not in outputs:
            raise cloud.Failed(f"the stack has no output {name}: is the vend flow switched on?")
    # New names, so that the story can be played again on the same cloud.
    run = uuid.uuid4().hex[:6]
    wanted = [Wanted(row_for(run, name, unit, owner), unit) for name, unit, owner in ACCOUNTS]
    wrong = {**row_for(run, "marketing", "", "maria"), **WRONG}
    file = f"accounts-{run}.csv"
    rows = [*(one.row for one in wanted), wrong]
    cloud.console.print(table_of(rows, COLUMNS))

    cloud.console.rule("S3 -> new-account-handler -> create-managed-account -> create-account-assignment")
    with making_takes(here, MAKING_MILLISECONDS):
        storage, start = here.client("s3"), time.monotonic()
        storage.put_object(Bucket=outputs["AccountsBucketName"], Key=file, Body=as_csv(rows), ContentType="text/csv")
        watch(here.client("dynamodb"), outputs["AccountsTableName"], wanted, start)
        results = wait_for_results(storage, outputs["AccountsBucketName"], f"results/{file}", rows, start)

    cloud.console.rule(f"results/{file}")
    if results:
        cloud.console.print(table_of(results, (*COLUMNS[:2], "OrgUnit", "Status", "AccountId", "ErrorMsg")))
    checks = [all_succeeded(wanted), results_tell(results, wanted, wrong),
              accounts_are_where_they_belong(here, wanted), group_has_access(here, wanted)]
    return all(checks)


# ---------------------------------------------------------------- the file


def row_for(run, name, unit_path, owner):
    """A row of the file."""
    given, family = organization.USERS[owner]
    name = f"{name}-{run}"
    values = (name, f"aws+{name}@example.com", f"{owner}@example.com", given, family, unit_path.rpartition("/")[2])
    return dict(zip(COLUMNS, values))


def as_csv(rows):
    """The rows as a file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def table_of(rows, columns):
    """Some columns of a file, as a table."""
    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(row.get(column) or "") for column in columns),
                      style="red" if row.get("Status") == "FAILED" else None)
    return table


# ---------------------------------------------------------------- while it happens


@contextlib.contextmanager
def making_takes(here, milliseconds):
    """Account Factory takes that long meanwhile."""
    here.control("POST", "factory", {"duration_ms": milliseconds})
    try:
        yield
    finally:
        here.control("DELETE", "factory")


def watch(database, table, wanted, start):
    """Shows each status that the accounts pass, until all of them have ended or patience ends."""
    terminal = cloud.console.is_terminal
    with Live(progress_of(wanted), console=cloud.console) if terminal else contextlib.nullcontext() as live:
        while any(one.status not in ENDED for one in wanted) and time.monotonic() - start < PATIENCE_SECONDS:
            time.sleep(0.2)
            items = read_items(database, table, [one.key for one in wanted])
            for one in wanted:
                changed = note_status(one, items.get(one.key, {}), time.monotonic() - start)
                if changed and not terminal:
                    cloud.console.print(f"{one.name} is {one.status} after {one.passed[one.status]:.1f} s")
            if terminal:
                live.update(progress_of(wanted))


def read_items(database, table, keys):
    """The items of the accounts table, key -> attribute -> text."""
    answer = database.batch_get_item(RequestItems={
        table: {"Keys": [{"AccountEmail": {"S": key}} for key in keys], "ConsistentRead": True}})
    return {
        item["AccountEmail"]["S"]: {name: value.get("S", "") for name, value in item.items()}
        for item in answer["Responses"].get(table, [])}


def note_status(one, item, seconds):
    """Keeps what the table says of an account; returns whether its status is another one than before."""
    one.account = item.get("AccountId", one.account)
    status = item.get("Status", one.status)
    if status == one.status:
        return False
    one.passed[status] = seconds
    return True


def progress_of(wanted):
    """The accounts with the statuses that they passed, and when."""
    table = Table("account", "organizational unit", "id", "status", box=None)
    for one in wanted:
        passed = " ".join(
            f"[{COLOURS.get(status, 'default')}]{status}[/] [dim]{seconds:.1f} s[/]"
            for status, seconds in one.passed.items())
        table.add_row(one.name, one.unit_path, one.account, passed or "[dim]waits[/]")
    return table


def wait_for_results(storage, bucket, key, rows, start):
    """The rows of the results file, once it tells how each row of the file ended; what there is when patience ends."""
    results = []
    while time.monotonic() - start < PATIENCE_SECONDS:
        try:
            text = storage.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8-sig")
            results = list(csv.DictReader(io.StringIO(text)))
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
        if len(results) == len(rows) and all(row.get("Status") in ENDED for row in results):
            break
        time.sleep(0.2)
    return results


# ---------------------------------------------------------------- what came of it


def say(happened, sentence):
    """Prints whether something holds; returns it."""
    cloud.console.print(f"[green]✓[/] {sentence}" if happened else f"[red]✗ not so:[/] {sentence}", soft_wrap=True)
    return happened


def all_succeeded(wanted):
    """Whether every account was made."""
    made = [one for one in wanted if one.status == "SUCCEEDED"]
    seconds = max((one.passed["SUCCEEDED"] for one in made), default=0)
    return say(len(made) == len(wanted),
               f"{len(made)} of {len(wanted)} accounts were made and handed over, {seconds:.1f} s after the upload.")


def results_tell(results, wanted, wrong):
    """Whether the results file tells of every account, and what was wrong with the row that was."""
    found = {row.get("AccountName"): row for row in results}
    told = [one for one in wanted if found.get(one.name, {}).get("AccountId") == one.account != ""]
    message = (found.get(wrong["AccountName"]) or {}).get("ErrorMsg") or ""
    return say(len(told) == len(wanted) and bool(message),
               f"The results file names {len(told)} accounts, and of the wrong row it says:"
               f" {escape(message) or 'nothing'}")


def accounts_are_where_they_belong(here, wanted):
    """Whether each account is in the organization, in the organizational unit that its row names."""
    organizations = here.client("organizations")
    units = cloud.read(here.state / "organization.json")["organizational_units"]
    pages = organizations.get_paginator("list_accounts").paginate()
    emails = {account["Id"]: account["Email"].lower() for page in pages for account in page["Accounts"]}
    there = [
        one for one in wanted
        if emails.get(one.account) == one.key
        and organizations.list_parents(ChildId=one.account)["Parents"][0]["Id"] == units[one.unit_path]]
    return say(len(there) == len(wanted),
               f"{len(there)} of them are in the organization, each in its organizational unit.")


def group_has_access(here, wanted):
    """Whether the group has its permission set on each account."""
    center = cloud.read(here.state / "organization.json")["identity_center"]
    client, happened = here.client("sso-admin"), True
    for group, permission_set in organization.NEW_ACCOUNT_ACCESS:
        arn = center["permission_sets"][permission_set]
        pages = [
            page for one in wanted if one.account
            for page in client.get_paginator("list_account_assignments").paginate(
                InstanceArn=center["instance_arn"], AccountId=one.account, PermissionSetArn=arn)]
        accounts = {
            assignment["AccountId"] for page in pages for assignment in page["AccountAssignments"]
            if assignment["PrincipalId"] == center["groups"][group]}
        happened = say(accounts == {one.account for one in wanted},
                       f"The group {group} has {permission_set} on {len(accounts)} of them.") and happened
    return happened
