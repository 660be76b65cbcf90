"""What Prowler says before and after the fixes, counted and explained: plain values in, plain values out.

`cis.py` runs Prowler and shows the tables; `cis.toml` has the explanations.
"""

import re
from collections import Counter
from dataclasses import dataclass

# What a check answers, from the worst: the worst of its findings counts.
FAIL, MANUAL, PASS, SILENT = "FAIL", "MANUAL", "PASS", "silent"
STATUSES = (FAIL, MANUAL, PASS)

# Why a check is not PASS after the fixes: nobody can ask for it by a call; a person has to decide or do it; a control that comes
# later; the local cloud cannot hold it.
CLASSES = ("manual", "needs a person", "next issue", "emulator")
# What no call can fix, whatever its status is.
NO_CALL = CLASSES[:2]
# Why a check that failed before does not answer any more: a reason of its own, whatever else is said about it. Nothing is left
# that it could fail on, so that it counts as fixed.
WENT_SILENT = "went silent"

# Version -> the share that has to be fixed, of the checks that a call can fix; before the fixes few are PASS.
LEAST_AFTER = {"5.0": 0.95, "7.0": 0.95}
MOST_BEFORE = 0.10

# A row of CONTROLS in shared/src/remediation/control.rs: the control, and Prowler's checks that mean the same.
CONTROL_ROW = re.compile(r'^\s*(?:\w+\()?row\("(?P<control>[^"]+)",.*&\[(?P<checks>[^\]]*)\]\)+,$', re.MULTILINE)
QUOTED = re.compile(r'"([^"]+)"')


@dataclass(frozen=True)
class Explanation:
    """Why a check is not PASS after the fixes."""

    kind: str
    reason: str


@dataclass(frozen=True)
class Row:
    """A check of one version, before and after the fixes."""

    check: str
    requirements: tuple
    # The control whose fix a call can make; empty if there is none.
    control: str
    before: str
    after: str
    # None if it is PASS, or if nobody has explained it.
    explanation: Explanation | None
    # Whether a call can fix it, whatever its status is.
    fixable: bool = True

    @property
    def unexplained(self):
        """Whether it is not PASS and nobody has said why."""
        return self.after != PASS and self.explanation is None

    @property
    def went_silent(self):
        """Whether it answered before and does not any more."""
        return self.before != SILENT and self.after == SILENT

    @property
    def is_fixed(self):
        """Whether it is PASS after the fixes, or failed before and has nothing left to look at, as the explanation says."""
        return self.after == PASS or (self.before == FAIL and self.went_silent and self.explanation is not None)


@dataclass(frozen=True)
class Share:
    """How many of some checks are as they should be."""

    passed: int
    of: int

    @property
    def share(self):
        """From 0 to 1."""
        return self.passed / self.of if self.of else 0.0

    def __str__(self):
        return f"{self.passed} of {self.of} ({self.share:.0%})"


def controls_of_checks(source):
    """Check of Prowler -> control, from the Rust source of the table of controls; the first control is the closest."""
    found = {}
    for row in CONTROL_ROW.finditer(source):
        for check in QUOTED.findall(row["checks"]):
            found.setdefault(check, row["control"])
    return found


class Explanations:
    """The parsed cis.toml: why checks are not PASS, and why some went silent."""

    def __init__(self, document):
        """Raises ValueError for a class that does not exist, a missing reason or a check that is explained twice."""
        self.of_check, self.of_silence = {}, {}
        for kind, checks in document.items():
            if kind not in (*CLASSES, WENT_SILENT):
                raise ValueError(f"{kind} is no class: {', '.join(CLASSES)}, or {WENT_SILENT}")
            found = self.of_silence if kind == WENT_SILENT else self.of_check
            for check, reason in checks.items():
                if not isinstance(reason, str) or not reason.strip():
                    raise ValueError(f"{check} has no reason")
                if check in found:
                    raise ValueError(f"{check} is explained twice")
                found[check] = Explanation(kind, reason)

    def of(self, check, before, after):
        """The explanation of a check with these statuses; None if it needs none, or has none."""
        if after == PASS:
            return None
        went_silent = before != SILENT and after == SILENT
        return (self.of_silence if went_silent else self.of_check).get(check)

    def can_be_fixed(self, check):
        """Whether a call can fix what a check looks at."""
        explanation = self.of_check.get(check)
        return explanation is None or explanation.kind not in NO_CALL


def requirements_in(compliance):
    """Check -> the numbers of its requirements, from Prowler's definition of one version."""
    found = {}
    for requirement in compliance["Requirements"]:
        for check in requirement["Checks"]:
            found.setdefault(check, []).append(requirement["Id"])
    return {check: tuple(numbers) for check, numbers in found.items()}


def statuses_of(findings):
    """Check -> status: that of its worst finding. `findings` are pairs of check and status."""
    found = {}
    for check, status in findings:
        known = found.get(check)
        if status in STATUSES and (known is None or STATUSES.index(status) < STATUSES.index(known)):
            found[check] = status
    return found


def once(findings):
    """Each finding once: Prowler gives several about one resource the same id, of which one that failed counts."""
    found = {}
    for finding in findings:
        known = found.setdefault(finding["Id"], finding)
        if known["Compliance"]["Status"] != "FAILED":
            found[finding["Id"]] = finding
    return list(found.values())


def rows(requirements, before, after, controls, explanations):
    """A row for each check of a version, in the order of the requirements."""
    made = []
    for check, numbers in requirements.items():
        statuses = before.get(check, SILENT), after.get(check, SILENT)
        made.append(Row(
            check, numbers, controls.get(check, ""), *statuses, explanations.of(check, *statuses), explanations.can_be_fixed(check)))
    return sorted(made, key=lambda row: (number_of(row.requirements[0]), row.check))


def number_of(requirement):
    """`2.1.4` as numbers, to sort by."""
    return [int(part) if part.isdecimal() else 0 for part in requirement.split(".")]


def share_before(rows_of_version):
    """How many of the checks that a call can fix were PASS before the fixes."""
    return share_of(rows_of_version, lambda row: row.before == PASS)


def share_after(rows_of_version):
    """How many of the checks that a call can fix are fixed."""
    return share_of(rows_of_version, lambda row: row.is_fixed)


def share_of(rows_of_version, counts):
    """How many of the checks that a call can fix count."""
    fixable = [row for row in rows_of_version if row.fixable]
    return Share(sum(map(counts, fixable)), len(fixable))


def classes(rows_of_version):
    """How many checks are PASS after the fixes, and how many are of each class."""
    counted = Counter(
        PASS if row.after == PASS else row.explanation.kind if row.explanation else "unexplained" for row in rows_of_version)
    return {name: counted[name] for name in (PASS, *CLASSES, WENT_SILENT, "unexplained") if counted[name]}


def faults(versions):
    """What is not as it has to be, as sentences; `versions` is version -> rows."""
    found = []
    for version, its_rows in versions.items():
        for row in its_rows:
            if row.unexplained:
                silent = "went silent" if row.went_silent else f"is {row.after}"
                found.append(f"CIS {version}: {row.check} {silent}, and cis.toml does not say why")
    for version, least in LEAST_AFTER.items():
        measured = versions.get(version, ())
        before, after = share_before(measured), share_after(measured)
        if before.share > MOST_BEFORE:
            found.append(f"CIS {version}: {before} of what a call can fix is PASS before, more than {MOST_BEFORE:.0%}")
        if after.share < least:
            found.append(f"CIS {version}: {after} of what a call can fix is fixed, less than {least:.0%}")
    return found
