"""The whole story on the local cloud (`make demo`), a module for each chapter.

Starts the local cloud unless it runs already, and then also stops it. Exit code 0 only if all of it happened.
"""

import sys

import cloud
import demo_alert
import demo_enrich
import demo_vend

# What each chapter tells, and the function that plays it and returns whether it all happened.
CHAPTERS = (
    ("A CSV in, accounts and access out", demo_vend.play),
    ("Security Hub tells of findings, and nobody knows whose accounts these are", demo_enrich.play),
    ("Somebody signs in as the root user, and the people on call read it in words", demo_alert.play),
)


def main():
    """Plays the story; the exit code says whether it all happened."""
    cloud.console.rule("1. A local AWS with an organization and the stack")
    happened = True
    with cloud.being_up() as here:
        for number, (title, play) in enumerate(CHAPTERS, 2):
            cloud.console.rule(f"{number}. {title}")
            happened = play(here) and happened
    cloud.console.print(
        "[bold green]It all happened.[/]" if happened else
        f"[bold red]Not everything happened.[/] Logs: {cloud.shown(here.logs)}")
    return 0 if happened else 1


if __name__ == "__main__":
    sys.exit(cloud.exit_code("demo", main))
