"""A flow of the demo: a CSV is uploaded, and its accounts are created and assigned."""

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

# Name, organizational unit and owner of each requested account.
ACCOUNTS = (
    ("checkout-prod", "Root/Workloads/Prod", "anna"),
    ("refunds-prod", "Root/Workloads/Prod/Payments", "maria"),
    ("checkout-dev", "Root/Workloads/Dev", "anna"),
    ("checkout-test", "Root/Workloads/Test", "juergen"),
    ("sandbox-maria", "Root/Sandbox", "maria"),
)
# The invalid cells of the row that fails.
INVALID = {"AccountEmail": "marketing at example.com", "OrgUnit": "Marketing"}

# AWS takes half an hour.
CREATION_MILLISECONDS = 3000
PATIENCE_SECONDS = 120
ENDED = ("SUCCEEDED", "FAILED")
COLORS = {"SUCCEEDED": "green", "FAILED": "red", "ASSIGNING": "cyan", "PROVISIONING": "yellow"}


@dataclass
class Request:
    """A row of the file, and the statuses of its request."""

    row: dict
    unit_path: str
    # Status -> seconds after the upload, in the order of their appearance.
    statuses: dict = field(default_factory=dict)
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
        """The last status; empty before the row was accepted."""
        return next(reversed(self.statuses), "")


def run(here):
    """Uploads a file, watches its accounts being created and checks the outcome; returns whether all of it is right."""
    outputs = cloud.read(here.state / "outputs.json")
    for name in ("AccountsBucketName", "AccountsTableName"):
        if name not in outputs:
            raise cloud.Failed(f"the stack has no output {name}: is the vend flow switched on?")
    # New names, so that the demo can run again on the same cloud.
    run_id = uuid.uuid4().hex[:6]
    requests = [Request(row_for(run_id, name, unit, owner), unit) for name, unit, owner in ACCOUNTS]
    invalid = {**row_for(run_id, "marketing", "", "maria"), **INVALID}
    file = f"accounts-{run_id}.csv"
    rows = [*(one.row for one in requests), invalid]
    cloud.console.print(table_of(rows, COLUMNS))

    cloud.console.rule("S3 -> new-account-handler -> create-managed-account -> create-account-assignment")
    with creation_takes(here, CREATION_MILLISECONDS):
        storage, start = here.client("s3"), time.monotonic()
        storage.put_object(Bucket=outputs["AccountsBucketName"], Key=file, Body=as_csv(rows), ContentType="text/csv")
        watch(here.client("dynamodb"), outputs["AccountsTableName"], requests, start)
        results = wait_for_results(storage, outputs["AccountsBucketName"], f"results/{file}", rows, start)

    cloud.console.rule(f"results/{file}")
    if results:
        cloud.console.print(table_of(results, (*COLUMNS[:2], "OrgUnit", "Status", "AccountId", "ErrorMsg")))
    checks = [all_succeeded(requests), results_are_complete(results, requests, invalid),
              accounts_are_in_their_units(here, requests), group_has_access(here, requests)]
    return all(checks)


# ---------------------------------------------------------------- the file


def row_for(run_id, name, unit_path, owner):
    """A row of the file."""
    given, family = organization.USERS[owner]
    name = f"{name}-{run_id}"
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


# ---------------------------------------------------------------- progress


@contextlib.contextmanager
def creation_takes(here, milliseconds):
    """Sets how long Account Factory takes for an account, within this context."""
    here.control("POST", "account-factory", {"duration_ms": milliseconds})
    try:
        yield
    finally:
        here.control("DELETE", "account-factory")


def watch(database, table, requests, start):
    """Shows the statuses of the requests until all of them succeeded or failed, or the time is over."""
    terminal = cloud.console.is_terminal
    with Live(progress_of(requests), console=cloud.console) if terminal else contextlib.nullcontext() as live:
        while any(one.status not in ENDED for one in requests) and time.monotonic() - start < PATIENCE_SECONDS:
            time.sleep(0.2)
            items = read_items(database, table, [one.key for one in requests])
            for one in requests:
                changed = note_status(one, items.get(one.key, {}), time.monotonic() - start)
                if changed and not terminal:
                    cloud.console.print(f"{one.name}: {one.status} after {one.statuses[one.status]:.1f} s")
            if terminal:
                live.update(progress_of(requests))


def read_items(database, table, keys):
    """The items of the accounts table, key -> attribute -> text."""
    answer = database.batch_get_item(RequestItems={
        table: {"Keys": [{"AccountEmail": {"S": key}} for key in keys], "ConsistentRead": True}})
    return {
        item["AccountEmail"]["S"]: {name: value.get("S", "") for name, value in item.items()}
        for item in answer["Responses"].get(table, [])}


def note_status(one, item, seconds):
    """Keeps the account id and status of an item; returns whether the status changed."""
    one.account = item.get("AccountId", one.account)
    status = item.get("Status", one.status)
    if status == one.status:
        return False
    one.statuses[status] = seconds
    return True


def progress_of(requests):
    """The requests with their statuses, and when each was reached."""
    table = Table("account", "organizational unit", "id", "status", box=None)
    for one in requests:
        statuses = " ".join(
            f"[{COLORS.get(status, 'default')}]{status}[/] [dim]{seconds:.1f} s[/]"
            for status, seconds in one.statuses.items())
        table.add_row(one.name, one.unit_path, one.account, statuses or "[dim]waiting[/]")
    return table


def wait_for_results(storage, bucket, key, rows, start):
    """The rows of the results file, once it has the outcome of every row; what it has when the time is over."""
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


# ---------------------------------------------------------------- checks


def check(passed, sentence):
    """Prints whether a sentence is true; returns it."""
    cloud.console.print(f"[green]✓[/] {sentence}" if passed else f"[red]✗ failed:[/] {sentence}", soft_wrap=True)
    return passed


def all_succeeded(requests):
    """Whether every account was created and assigned."""
    created = [one for one in requests if one.status == "SUCCEEDED"]
    seconds = max((one.statuses["SUCCEEDED"] for one in created), default=0)
    return check(len(created) == len(requests),
                 f"{len(created)} of {len(requests)} accounts were created and assigned within {seconds:.1f} s.")


def results_are_complete(results, requests, invalid):
    """Whether the results file has every account, and an error message for the invalid row."""
    found = {row.get("AccountName"): row for row in results}
    named = [one for one in requests if found.get(one.name, {}).get("AccountId") == one.account != ""]
    message = (found.get(invalid["AccountName"]) or {}).get("ErrorMsg") or ""
    return check(len(named) == len(requests) and bool(message),
                 f"The results file has {len(named)} account ids, and an error message for the invalid row:"
                 f" {escape(message) or 'none'}")


def accounts_are_in_their_units(here, requests):
    """Whether each account is in the organization, in the organizational unit that its row names."""
    organizations = here.client("organizations")
    units = cloud.read(here.state / "organization.json")["organizational_units"]
    pages = organizations.get_paginator("list_accounts").paginate()
    emails = {account["Id"]: account["Email"].lower() for page in pages for account in page["Accounts"]}
    placed = [
        one for one in requests
        if emails.get(one.account) == one.key
        and organizations.list_parents(ChildId=one.account)["Parents"][0]["Id"] == units[one.unit_path]]
    return check(len(placed) == len(requests),
                 f"{len(placed)} accounts are in the organization, each in its organizational unit.")


def group_has_access(here, requests):
    """Whether the group has its permission set in each account."""
    center = cloud.read(here.state / "organization.json")["identity_center"]
    client, passed = here.client("sso-admin"), True
    for group, permission_set in organization.NEW_ACCOUNT_ACCESS:
        arn = center["permission_sets"][permission_set]
        pages = [
            page for one in requests if one.account
            for page in client.get_paginator("list_account_assignments").paginate(
                InstanceArn=center["instance_arn"], AccountId=one.account, PermissionSetArn=arn)]
        accounts = {
            assignment["AccountId"] for page in pages for assignment in page["AccountAssignments"]
            if assignment["PrincipalId"] == center["groups"][group]}
        passed = check(accounts == {one.account for one in requests},
                       f"The group {group} has the permission set {permission_set} in {len(accounts)} accounts.") and passed
    return passed
