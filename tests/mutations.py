#!/usr/bin/env python3
"""Takes each clause of each condition out in turn (mutations.toml) and says which contract test fails.

It works on a copy of the tracked files in target/mutations, with a target directory of its own. Exit code 1 if
a clause can be taken out without a test failing, 2 if a condition no longer occurs once in the sources.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "target" / "mutations" / "tree"
BUILDERS = (".put(", ".update(", ".delete(", ".check(")


def sources() -> list[Path]:
    return [path for room in ("shared", "functions") for path in sorted(ROOT.glob(f"{room}/**/src/**/*.rs"))]


def found(condition: dict) -> tuple[Path, int]:
    """The file and the place of a condition."""
    hits = []
    for path in sources():
        text = path.read_text()
        for hit in re.finditer(re.escape(condition["text"]), text):
            rest = text[hit.end() :]
            follows = min((rest.find(call), call) for call in BUILDERS if call in rest)[1] if "then" in condition else None
            if follows == condition.get("then"):
                hits.append((path, hit.start()))
    if len(hits) != 1:
        print(f"{condition['name']}: occurs {len(hits)} times: {condition['text']}", file=sys.stderr)
        raise SystemExit(2)
    return hits[0]


def mutated(condition: dict, clause: str) -> tuple[Path, str]:
    """The file of a condition, and its text without that clause."""
    path, start = found(condition)
    text = path.read_text()
    if condition["text"].count(clause) != 1:
        print(f"{condition['name']}: the clause {clause} does not occur once", file=sys.stderr)
        raise SystemExit(2)
    place = start + condition["text"].index(clause)
    other = "OR" if condition["joined"] == "AND" else "AND"
    neutral = f"({clause} {other} NOT {clause})"
    return path, text[:place] + neutral + text[place + len(clause) :]


def copy_tree() -> None:
    """Brings the copy up to date; files that did not change keep their times, for cargo."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, COPY / name
        if source.is_file() and (not target.is_file() or target.read_bytes() != source.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def failed_tests(modules: list[str]) -> list[str]:
    """The contract tests of these modules that fail."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(COPY.parent / "target")}
    command = ["cargo", "test", "--workspace", "--test", "contract"]
    build = subprocess.run([*command, "--no-run"], cwd=COPY, env=environment, capture_output=True, text=True)
    if build.returncode != 0:
        print(build.stderr[-4000:], file=sys.stderr)
        raise SystemExit(2)
    run = [*command, "--quiet", "--", "--format=pretty", *(f"{module}::" for module in modules)]
    done = subprocess.run(run, cwd=COPY, env=environment, capture_output=True, text=True)
    failed = re.findall(r"^test (\S+) \.\.\. FAILED$", done.stdout, re.MULTILINE)
    if done.returncode != 0 and not failed:
        failed = re.findall(r"^    (\w+::\S+)$", done.stdout, re.MULTILINE) or ["a test that ended the process"]
    return failed


def main() -> int:
    conditions = tomllib.loads((ROOT / "tests" / "mutations.toml").read_text())["condition"]
    wanted = sys.argv[1:]
    chosen = [it for it in conditions if not wanted or any(word in it["name"] for word in wanted)]
    for condition in conditions:
        for clause in condition["clauses"]:
            mutated(condition, clause)
    copy_tree()
    modules = sorted({module for condition in chosen for module in condition["tests"]})
    if before := failed_tests(modules):
        print(f"fail without a mutation: {', '.join(before)}", file=sys.stderr)
        return 2
    survived = 0
    for condition in chosen:
        for clause in condition["clauses"]:
            path, text = mutated(condition, clause)
            copied = COPY / path.relative_to(ROOT)
            original = copied.read_text()
            copied.write_text(text)
            failed = failed_tests(condition["tests"])
            copied.write_text(original)
            survived += not failed
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            caught = failed[0] + more if failed else "SURVIVED"
            print(f"{condition['name']} | {clause} | {caught}", flush=True)
    print(f"{survived} survived")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
