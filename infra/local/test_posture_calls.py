"""What posture-keeper calls, against AWS's own models: methods, paths, and every request of its contract tests.

    .venv/cloud/bin/python -m pytest infra/local/test_posture_calls.py
"""

import json
import re
import unittest
from pathlib import Path

import botocore.session
from botocore.validate import ParamValidator

ROOT = Path(__file__).resolve().parents[2]
KEEPER = ROOT / "functions/posture-keeper/src"
# The services of the table by their names in the code.
SERVICES = {"ORGANIZATIONS": "organizations", "GUARDDUTY": "guardduty", "DETECTIVE": "detective", "INSPECTOR": "inspector2", "MACIE": "macie2",
            "ACCESS_ANALYZER": "accessanalyzer", "DEVOPS_GURU": "devops-guru", "SECURITY_HUB": "securityhub"}
ROW = re.compile(r"^\s+[A-Z_]+ = ([A-Z_]+) (?:Read|Change) \"([a-z0-9-]+):(\w+)\" ([A-Z]+) \"([^\"]+)\"", re.MULTILINE)
REQUESTS = KEEPER / "contract/snapshots/posture_keeper__contract__requests.snap"

# The one operation whose IAM action has another name.
OTHERWISE = {"ListOrganizationAdminAccount": "ListOrganizationAdminAccounts"}


def named(shape):
    """The members of a structure by their names on the wire."""
    return {member.serialization.get("name", name): name for name, member in shape.members.items()}


def as_members(shape, value):
    """A value as botocore takes it: members by their own names. What the model does not know is refused."""
    if shape.type_name == "structure":
        names = named(shape)
        unknown = set(value) - set(names)
        if unknown:
            raise AssertionError(f"{shape.name} has no {', '.join(sorted(unknown))}")
        return {names[key]: as_members(shape.members[names[key]], it) for key, it in value.items()}
    if shape.type_name == "list":
        return [as_members(shape.member, it) for it in value]
    if shape.type_name == "integer" and isinstance(value, str):
        return int(value)
    if shape.type_name == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        raise AssertionError(f"{shape.name} is not {value}")
    return value


class Calls(unittest.TestCase):
    """The table of operations, and the requests that were sent."""

    @classmethod
    def setUpClass(cls):
        session = botocore.session.get_session()
        cls.models = {name: session.get_service_model(name) for name in SERVICES.values()}

    def test_each_operation_is_as_its_model_has_it(self):
        rows = ROW.findall((KEEPER / "operation.rs").read_text(encoding="utf-8"))
        self.assertGreater(len(rows), 60)
        for service, prefix, name, method, path in rows:
            with self.subTest(f"{service} {name}"):
                model = self.models[SERVICES[service]]
                http = model.operation_model(OTHERWISE.get(name, name)).http
                self.assertEqual(method, http["method"])
                # Names of parameters in a path are those on the wire.
                self.assertEqual(path.lower(), http["requestUri"].lower())
                if model.metadata["protocol"] == "rest-json":
                    self.assertEqual(prefix, model.metadata.get("signingName", model.metadata["endpointPrefix"]))

    def test_each_request_is_valid(self):
        text = REQUESTS.read_text(encoding="utf-8").split("---\n", 2)[2]
        seen = set()
        for line in text.strip().splitlines():
            service, operation, parameters = line.split(" ", 2)
            with self.subTest(f"{service} {operation}"):
                shape = self.models[service].operation_model(OTHERWISE.get(operation, operation)).input_shape
                given = {key if key != "detectorId" else "DetectorId": value for key, value in json.loads(parameters).items()}
                report = ParamValidator().validate(as_members(shape, given), shape) if shape else None
                self.assertEqual(report.generate_report() if report else "", "")
            seen.add(operation)
        self.assertGreater(len(seen), 40)


if __name__ == "__main__":
    unittest.main()
