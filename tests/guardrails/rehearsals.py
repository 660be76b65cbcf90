"""The policies of rehearsed outages, and requests at a time: rehearsals.json and rehearsals.toml."""

import datetime
import json
import tomllib

from model import ACCOUNTS, HERE, ROOT, request

# The account of the rows, and the one that the sample names.
ACCOUNT, SAMPLE = "payroll", "111122223333"
FILE = ROOT / "events" / "outage-rehearser" / "rehearsals.toml"


def documents():
    """The policies by name, of the account of the rows."""
    text = (HERE / "rehearsals.json").read_text(encoding="utf-8")
    return json.loads(text.replace(SAMPLE, ACCOUNTS[ACCOUNT]["id"]))


def rows():
    """The rows, and what follows from each denial: allowed before and after the window, and to the break-glass role within it."""
    windows = {one["name"]: one for one in tomllib.loads(FILE.read_text(encoding="utf-8"))["rehearsal"]}
    for row in tomllib.loads((HERE / "rehearsals.toml").read_text(encoding="utf-8"))["row"]:
        yield row
        if row["answer"] == "denied":
            window, allowed = windows[row["policy"]], {**row, "answer": "allowed"}
            second = datetime.timedelta(seconds=1)
            yield {**allowed, "says": f"before the window: {row['says']}", "time": iso(window["from"] - second)}
            yield {**allowed, "says": f"when it begins: {row['says']}", "time": iso(window["from"])}
            yield {**row, "says": f"in its last second: {row['says']}", "time": iso(window["until"] - second)}
            yield {**allowed, "says": f"when it is over: {row['says']}", "time": iso(window["until"])}
            yield {**allowed, "says": f"years later: {row['says']}", "time": "2031-01-01T00:00:00Z"}
            yield {**allowed, "says": f"by the break-glass role: {row['says']}", "principal": f"{ACCOUNT}:role/{window['exempt-role']}"}


def iso(time):
    """A time as IAM writes it."""
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def requested(row):
    """A row as the judge takes it."""
    known = {name: value for name, value in row.items() if name not in ("policy", "time")}
    return request({**known, "policies": [], "context": {"aws:CurrentTime": row["time"]}}) | {"scps": [row["policy"]]}
