"""A flow of the demo: security and cost events arrive, and are published as alerts in Slack and by e-mail."""

import html
import json
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone

from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

import cloud

EVENTS = cloud.ROOT / "events" / "alerter"
# The accounts that the samples are about.
ACCOUNTS_OF_SAMPLES = ("111122223333", "999900001111")
# A burst: the IAM changes of one role, and how many of them are published before the rest is summarized.
BURST = 12
PUBLISHED_OF_BURST = 5

# Makes the ids of this run's events differ from those of every other run.
RUN = uuid.uuid4()
BUDGET = f"team-a-{RUN.hex[:4]}"

PATIENCE_SECONDS = 60
CARD_WIDTH = 110
COLORS = {"CRITICAL": "red", "ERROR": "yellow", "INFO": "blue"}


@dataclass(frozen=True)
class Step:
    """A sample event, its account, how often it is sent, and the titles of the alerts that it causes."""

    description: str
    sample: str
    account: str
    titles: tuple
    times: int = 1
    # Whether the same event is sent each time: a duplicate.
    same: bool = True


STEPS = (
    Step("The root user of payments-api-prod signs in without MFA. The event is delivered twice.",
         "root-sign-in-without-mfa", "payments-api-prod",
         ("Root user signed in without MFA in payments-api-prod",), times=2),
    Step("Somebody stops the CloudTrail trail of payments-ledger-prod.",
         "trail-change", "payments-ledger-prod", ("Trail main stopped in payments-ledger-prod",)),
    Step("AWS Budgets sends a notification: a budget is exceeded.",
         "budget-exceeded", "webshop-dev", (f"Budget {BUDGET} exceeded: $104.20 of $100.00 in webshop-dev",)),
    Step(f"A role in webshop-dev makes {BURST} IAM changes within a few seconds.",
         "iam-change", "webshop-dev",
         ("Policy ReadOnlyAccess attached to role app in webshop-dev",) * PUBLISHED_OF_BURST
         + (f"{BURST - PUBLISHED_OF_BURST} more: IAM changes in webshop-dev within 10 seconds",),
         times=BURST, same=False),
)


def run(here):
    """Sends the events of each step and shows the alerts; returns whether each alert was published exactly once."""
    accounts = cloud.read(here.state / "organization.json")["accounts"]
    mails = here.state / "mail.jsonl"
    seen_mails = len(lines(mails))
    here.control("DELETE", "slack-answers")
    here.control("DELETE", "slack")
    succeeded = True
    for step in STEPS:
        cloud.console.print(f"\n[bold]{escape(step.description)}[/]")
        before = len(posts(here))
        started = time.monotonic()
        for number in range(step.times):
            send(here, sample(step, accounts[step.account], 0 if step.same else number))
        succeeded = show(step, here, before, started) and succeeded
    sent = [json.loads(line) for line in lines(mails)[seen_mails:]]
    cloud.console.rule("The same alerts by e-mail")
    table = Table("to", "subject", box=None)
    for mail in sent:
        table.add_row(escape(mail["to"]), escape(mail["subject"]))
    cloud.console.print(table)
    expected = sorted(title for step in STEPS for title in step.titles)
    return succeeded and sorted(mail["subject"] for mail in sent) == expected


def show(step, here, before, started):
    """Waits for a step's messages and shows each different one once; returns whether exactly those were posted."""
    with Progress(TextColumn("messages in Slack"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                  console=cloud.console, disable=not cloud.console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=len(step.titles))
        while time.monotonic() - started < PATIENCE_SECONDS:
            posted = posts(here)[before:]
            progress.update(task, completed=len(posted))
            if len(posted) >= len(step.titles):
                break
            time.sleep(0.1)
    seconds = time.monotonic() - started
    titles = [title_of(post) for post in posted]
    for title in dict.fromkeys(titles):
        first = posted[titles.index(title)]
        cloud.console.print(card(first, titles.count(title)))
    cloud.console.print(f"Posted to Slack after {seconds:.1f} s.", style="dim")
    if sorted(titles) == sorted(step.titles):
        return True
    cloud.console.print(f"[red]Expected:[/] {escape(', '.join(step.titles))}")
    return False


def card(post, count):
    """A message about as Slack shows it."""
    grid = Table.grid()
    link = None
    for block in post["blocks"][1:]:
        match block:
            case {"type": "section", "fields": fields}:
                # Labels and values alternate.
                facts = Table.grid(padding=(0, 2))
                for label, value in zip(fields[::2], fields[1::2]):
                    facts.add_row(Text(label["text"].strip("*"), style="bold"), Text(html.unescape(value["text"])))
                grid.add_row(Padding(facts, (1, 0, 0, 0)))
            case {"type": "section", "text": text}:
                grid.add_row(Padding(Text(html.unescape(text["text"])), (1, 0, 0, 0)))
            case {"type": "context", "elements": elements}:
                grid.add_row(Padding(Text(elements[0]["text"], style="dim"), (1, 0, 0, 0)))
            case {"type": "actions", "elements": elements}:
                link = f"[{elements[0]['text']['text']}]"
    if link:
        grid.add_row(Text(link, style="reverse"))
    return Panel(grid, title=Text(post["blocks"][0]["text"]["text"]), title_align="left",
                 subtitle=f"{count} like this" if count > 1 else "#" + cloud.SLACK_CHANNEL, subtitle_align="right",
                 border_style=COLORS[severity_of(post)], width=min(CARD_WIDTH, cloud.console.width))


def severity_of(post):
    """The severity in a message's header."""
    return post["blocks"][0]["text"]["text"].split(":")[0].split()[-1]


def title_of(post):
    """The title in a message's header, which follows the severity."""
    return post["blocks"][0]["text"]["text"].split(": ", 1)[1]


def sample(step, account, number):
    """A step's sample event about an account, with ids of its own."""
    text = (EVENTS / f"{step.sample}.json").read_text(encoding="utf-8")
    for other in ACCOUNTS_OF_SAMPLES:
        text = text.replace(other, account)
    event = json.loads(text)
    now = datetime.now(timezone.utc)
    if "detail" in event:
        # CloudTrail's id of an event.
        event["detail"]["eventID"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{RUN}/{step.sample}/{number}"))
        event["detail"]["eventTime"] = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    else:
        # A budget causes one alert in its period.
        event["Message"] = event["Message"].replace("March 01, 2026", now.strftime("%B %d, %Y")).replace("team-a", BUDGET)
    return event


def send(here, event):
    """Sends an event as AWS does: through EventBridge, or on the topic of signals."""
    if "TopicArn" in event:
        topic = cloud.read(here.state / "outputs.json")["SignalsTopicArn"]
        here.client("sns").publish(TopicArn=topic, Subject=event["Subject"], Message=event["Message"])
        return
    here.send_events({**event, "bus": cloud.read(here.state / "outputs.json")["AlertsBusArn"]})


def posts(here):
    """The messages that were posted to Slack, oldest first."""
    return [message["body"] for message in here.control("GET", "slack")["messages"]]


def lines(file):
    """The lines of a file; none if it does not exist."""
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []
