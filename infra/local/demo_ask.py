"""A flow of the demo: a person is asked in Slack about a fix, allows it by command, and undoes it again."""

import time
import uuid

from rich.markup import escape

import cloud
import demo_alert
import demo_remediate
import remediating
from demo_vend import check

def run(here):
    """Opens a bucket, asks, approves, fixes and undoes; returns whether each step did what it is to do."""
    account = cloud.read(here.state / "organization.json")["accounts"][demo_remediate.ACCOUNT]
    cloud.console.print(f"[bold]Somebody opens another bucket in {demo_remediate.ACCOUNT}.[/]")
    bucket = demo_remediate.open_bucket(here, account, uuid.uuid4().hex[:6])
    opened = bucket.look()
    posted = len(demo_alert.posts(here))
    remediating.wait_until_idle(here, demo_remediate.PATIENCE_SECONDS)
    with remediating.mode(here, "ask"):
        cloud.console.rule("RemediationMode=ask: Security Hub -> remediation-planner -> preview -> a person is asked in Slack")
        demo_remediate.send(here, [bucket])
        asked = wait_for_post(here, posted, "May this be fixed?")
        if not check(asked is not None, "A person was asked in Slack."):
            return False
        cloud.console.print(demo_alert.card(asked, 1))
        waiting = remediating.records(here, account).get(bucket.key, {})
        checks = [
            check(waiting.get("Status") == "WAITING", "The fix waits for an answer."),
            check(bucket.look() == opened, "Nothing was changed."),
        ]

        listed = command(here, "list", "--waiting")
        name = next((line.split()[0] for line in listed.splitlines() if bucket.arn.rpartition(":")[2] in line), "")
        cloud.console.rule("A person allows it: -> state machine -> remediator -> the member account")
        command(here, "approve", name, "--yes")
        fixed = wait_for_post(here, posted, "Fixed: S3.8 ")
        closed = bucket.look()
        checks += [
            check(fixed is not None, "The fix was published in Slack, with the person who allowed it."),
            check(closed == [f"{switch} on" for switch in demo_remediate.SWITCHES], "The bucket blocks public access."),
        ]
        if fixed:
            cloud.console.print(demo_alert.card(fixed, 1))

        cloud.console.rule("Somebody needs it as it was: the fix is undone")
        command(here, "undo", name, "--yes")
        undone = wait_for_post(here, posted, "Undone: S3.8 ")
        now = bucket.look()
        cloud.console.print(demo_remediate.comparison(bucket, closed, now))
        record = remediating.records(here, account).get(bucket.key, {})
        return all([
            *checks,
            check(undone is not None and now == opened, "The bucket is exactly as it was before the fix."),
            check(record.get("Status") == "UNDONE", "It is not fixed again until the playbook says so."),
        ])


def command(here, *arguments):
    """Runs `orgkeeper remediation` as a person would, shows it, and returns what it prints."""
    cloud.console.print(f"[bold]$ orgkeeper remediation {escape(' '.join(arguments))}[/]", soft_wrap=True)
    done = remediating.command(here, *arguments)
    cloud.console.print(escape(done.stdout + done.stderr), soft_wrap=True)
    return done.stdout


def wait_for_post(here, posted, title):
    """The message in Slack whose title begins so, once it was posted; None if the time is over."""
    started = time.monotonic()
    while time.monotonic() - started < demo_remediate.PATIENCE_SECONDS:
        for post in demo_alert.posts(here)[posted:]:
            if demo_alert.title_of(post).startswith(title):
                return post
        time.sleep(0.2)
    return None
