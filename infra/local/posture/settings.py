"""What tests set and read under `/_orgkeeper/posture`, and which service is offered where.

`GET` returns it, `POST` sets what it names, `DELETE` sets all as at first. The parts are in PARTS, each with its default; a part has
a function that reads and one that sets it. `regions.toml` says which Regions lack a service.
"""

import json
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
REGIONS = tomllib.loads((HERE / "regions.toml").read_text(encoding="utf-8"))

# name -> (report, set, reset): filled by the stand-ins.
parts = {}
# Services that a test takes out of Regions, or brings back: service -> list of Regions, or None for those of the data.
not_offered = {}
AT_FIRST = {"refuse_off": False, "denied": []}
regions = dict(AT_FIRST)
trail = {"every_call": False}


def part(name, report, set_to, reset):
    """Adds a part of the settings."""
    parts[name] = (report, set_to, reset)


def control(environ, body):
    """Status, headers and body of the answer to a control."""
    method, named = environ["REQUEST_METHOD"], environ["PATH_INFO"].rpartition("/posture")[2].strip("/")
    if named and named not in parts:
        return as_json(404, {"error": f"there is no {named}; there are {', '.join(sorted(parts))}"})
    chosen = [named] if named else list(parts)
    if method in ("POST", "PUT"):
        try:
            wanted = json.loads(body or b"{}")
            wanted = {named: wanted} if named else wanted
            unknown = sorted(set(wanted) - set(parts))
            if unknown:
                raise ValueError(f"there is no {unknown[0]}; there are {', '.join(sorted(parts))}")
            for name, value in wanted.items():
                parts[name][1](value)
        except (ValueError, KeyError, TypeError, AttributeError) as wrong:
            return as_json(400, {"error": str(wrong)})
    elif method == "DELETE":
        for name in chosen:
            parts[name][2]()
        return 204, {}, b""
    report = {name: parts[name][0]() for name in chosen}
    return as_json(200, report[named] if named else report)


def as_json(status, value):
    """An answer in JSON."""
    return status, {}, json.dumps(value).encode()


def offered(service, region):
    """Whether a service has a host in a Region. Without a row in the data it is everywhere."""
    if service in not_offered:
        return region not in not_offered[service]
    only = REGIONS["offered"].get(service)
    return (only is None or region in only) and region not in REGIONS["lacking"].get(service, [])


def set_not_offered(value):
    """Takes services out of Regions: {"detective": ["eu-west-1"]}; an empty list is every Region."""
    for service, regions in value.items():
        if not isinstance(regions, list):
            raise ValueError(f"set not_offered.{service} to a list of Regions")
        not_offered[service] = regions


def numbers(name, values, at_first, report=None):
    """A part that is some numbers by name, such as how long something takes; returns them."""
    values.update(at_first)

    def set_to(wanted):
        for key, value in wanted.items():
            if key not in at_first or not isinstance(value, (int, float)) or value < 0:
                raise ValueError(f"set {name} to numbers of {', '.join(at_first)}")
            values[key] = value

    part(name, report or (lambda: dict(values)), set_to, lambda: values.update(at_first))
    return values


def set_regions(value):
    """{"refuse_off": true}: calls in a Region that their account has not switched on are refused, as on AWS; {"denied":
    ["222222222222/eu-west-3"]}: a service control policy denies all calls of an account in a Region."""
    wanted = {**AT_FIRST, **value}
    if set(value) - set(AT_FIRST) or not isinstance(wanted["refuse_off"], bool) or not isinstance(wanted["denied"], list):
        raise ValueError('set regions to {"refuse_off": true, "denied": ["222222222222/eu-west-3"]}')
    regions.update(wanted)


part("regions", lambda: dict(regions), set_regions, lambda: regions.update(AT_FIRST))
def set_trail(value):
    """{"every_call": true}: CloudTrail's events of EC2, load balancers, databases, GuardDuty, AWS Config and Access Analyzer, too."""
    if set(value) != {"every_call"} or not isinstance(value["every_call"], bool):
        raise ValueError('set trail to {"every_call": true}')
    trail.update(value)


part("trail", lambda: dict(trail), set_trail, lambda: trail.update(every_call=False))
part("not_offered", lambda: not_offered, set_not_offered, not_offered.clear)
