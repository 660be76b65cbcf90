"""The demo (`make demo`): every flow once on the local cloud, a module for each flow.

Starts the local cloud unless it runs already, and then also stops it. Exit code 0 only if every step succeeded.
"""

import sys

import cloud
import demo_alert
import demo_ask
import demo_enrich
import demo_remediate
import demo_vend

# The title of each flow, and the function that runs it and returns whether every step succeeded.
FLOWS = (
    ("Vend: a CSV is uploaded, and accounts are created and assigned", demo_vend.run),
    ("Enrich: Security Hub findings arrive, and get the name, owner and contact of their account", demo_enrich.run),
    ("Alert: the root user signs in, and people read it in Slack and by e-mail", demo_alert.run),
    ("Remediate: a bucket and a security group are opened in a member account, and closed again", demo_remediate.run),
    ("Ask: a person allows a fix, and undoes it", demo_ask.run),
)


def main():
    """Runs every flow; the exit code says whether every step succeeded."""
    cloud.console.rule("1. Start a local AWS with an example organization, and deploy the stack")
    succeeded = True
    with cloud.being_up() as here:
        for number, (title, run) in enumerate(FLOWS, 2):
            cloud.console.rule(f"{number}. {title}")
            succeeded = run(here) and succeeded
    cloud.console.print(
        "[bold green]Every step succeeded.[/]" if succeeded else
        f"[bold red]Some steps failed.[/] Logs: {cloud.shown(here.logs)}")
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(cloud.exit_code("demo", main))
