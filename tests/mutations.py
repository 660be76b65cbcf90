#!/usr/bin/env python3
"""Takes each clause of each condition (mutations.toml) out in turn and says which contract test fails.

The DynamoDB double does it to the conditions that arrive, so that nothing is compiled for it. Exit code 1 if a
clause can be taken out without a test failing, 2 if the list and the conditions that arrive are not the same.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ["cargo", "test", "--workspace", "--test", "contract"]
# Some functions have contract tests of their own, in this module.
OWN = "contract"


def failed_tests(modules: list[str], more: dict[str, str]) -> list[str]:
    """The contract tests of these modules that fail with these variables in the environment."""
    own = ["--lib"] if OWN in modules else []
    run = [*COMMAND, *own, "--quiet", "--no-fail-fast", "--", "--format=pretty", *(f"{module}::" for module in modules)]
    done = subprocess.run(run, cwd=ROOT, env=os.environ | {"RUST_BACKTRACE": "0"} | more, capture_output=True, text=True)
    failed = re.findall(r"^    (\w+::\S+)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 and not failed:
        failed = ["a test that ended the process"]
    return sorted(set(failed))


def unlisted(seen: set[tuple[str, str]], listed: list[dict]) -> list[str]:
    """What of the conditions that arrived is in no listed clause, and the listed ones that did not arrive."""
    faults = []
    for action, text in sorted(seen):
        rest = text
        for condition in listed:
            if (condition["action"], condition["text"]) == (action, text):
                for clause in condition["clauses"]:
                    if text.count(clause) != 1:
                        faults.append(f"{condition['name']}: {clause} does not occur once in {text}")
                    rest = rest.replace(clause, "", 1)
        if re.sub(r"AND|OR|NOT|[() ]", "", rest):
            faults.append(f"a clause is not listed: {action} {text}")
    for condition in listed:
        if (condition["action"], condition["text"]) not in seen:
            faults.append(f"{condition['name']}: this condition did not arrive: {condition['action']} {condition['text']}")
    return faults


def main() -> int:
    conditions = tomllib.loads((ROOT / "tests" / "mutations.toml").read_text(encoding="utf-8"))["condition"]
    wanted = sys.argv[1:]
    chosen = [it for it in conditions if not wanted or any(word in it["name"] for word in wanted)]
    subprocess.run([*COMMAND, "--lib", "--no-run"], cwd=ROOT, check=True)
    modules = sorted({module for condition in conditions for module in condition["tests"]})
    with tempfile.TemporaryDirectory() as folder:
        arrived = Path(folder) / "conditions"
        if before := failed_tests(modules, {"ORGKEEPER_CONDITIONS_SEEN": str(arrived)}):
            print(f"fail without a mutation: {', '.join(before)}", file=sys.stderr)
            return 2
        seen = {tuple(line.split("\t")) for line in arrived.read_text(encoding="utf-8").splitlines()}
    if faults := unlisted(seen, conditions):
        print("\n".join(faults), file=sys.stderr)
        return 2
    survived = 0
    for condition in chosen:
        for clause in condition["clauses"]:
            if clause in condition.get("redundant", []):
                print(f"{condition['name']} | {clause} | redundant", flush=True)
                continue
            other = "AND" if clause in condition.get("any", []) else "OR"
            neutral = f"({clause} {other} NOT {clause})"
            mutation = "\t".join([condition["action"], condition["text"], clause, neutral])
            failed = failed_tests(condition["tests"], {"ORGKEEPER_MUTATION": mutation})
            survived += not failed
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            caught = failed[0] + more if failed else "SURVIVED"
            print(f"{condition['name']} | {clause} | {caught}", flush=True)
    print(f"{survived} survived")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
