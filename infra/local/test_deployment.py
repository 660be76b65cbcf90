"""Tests of what `make deploy` refuses, and of what it gives to `sam deploy`."""

import tempfile
import tomllib
import unittest
from pathlib import Path
from unittest import mock

from botocore.exceptions import ClientError
from botocore.stub import Stubber

import boto3
import deployment

ROOT = Path(__file__).resolve().parents[2]
SAMCONFIG = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
X86_64, ARM64, RISCV = 62, 183, 243


def program(machine, order="little"):
    """The beginning of a program for a machine."""
    return b"\x7fELF\x02" + (b"\x01" if order == "little" else b"\x02") + bytes(12) + machine.to_bytes(2, order) + bytes(40)


class Built(unittest.TestCase):
    """What is in target/lambda/."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for name in ("alerter", "slack-notifier"):
            self.write(f"functions/{name}/Cargo.toml", b"")

    def write(self, path, content):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def build(self, alerter, slack_notifier):
        self.write("target/lambda/alerter/bootstrap", alerter)
        self.write("target/lambda/slack-notifier/bootstrap", slack_notifier)

    def refusal(self, architecture):
        with self.assertRaises(deployment.Refused) as caught:
            deployment.check_built(self.root, architecture)
        return str(caught.exception)

    def test_every_function_is_for_the_architecture(self):
        self.build(program(ARM64), program(ARM64))
        deployment.check_built(self.root, "arm64")
        self.build(program(X86_64), program(X86_64, "big"))
        deployment.check_built(self.root, "x86_64")

    def test_a_function_for_another_one_is_named(self):
        self.build(program(ARM64), program(X86_64))
        self.assertEqual(
            self.refusal("x86_64"),
            "the functions are not built for x86_64: target/lambda/alerter/bootstrap is for arm64. Run make build ARCH=x86_64")
        self.build(program(RISCV), program(ARM64))
        self.assertIn("alerter/bootstrap is for the ELF machine 243. ", self.refusal("arm64"))

    def test_what_is_missing_or_no_program_is_named(self):
        self.write("target/lambda/alerter/bootstrap", b"#!/bin/sh\necho hello to everybody\n")
        self.assertIn(
            "alerter/bootstrap is missing or no program; target/lambda/slack-notifier/bootstrap is missing or no program.",
            self.refusal("arm64"))
        self.build(b"\x7fELF", b"")
        self.assertIn("alerter/bootstrap is missing or no program; ", self.refusal("arm64"))


class Environments(unittest.TestCase):
    """What samconfig.toml states."""

    def refusal(self, settings, architecture="arm64"):
        with self.assertRaises(deployment.Refused) as caught:
            deployment.check(settings, "default", architecture)
        return str(caught.exception)

    def test_an_unknown_environment_is_refused(self):
        with self.assertRaisesRegex(deployment.Refused, "no environment prod: it has default, security, management, service, local$"):
            deployment.environment(SAMCONFIG, "prod")
        with self.assertRaises(deployment.Refused):
            deployment.environment(SAMCONFIG, "version")

    def test_an_environment_as_printed_has_to_be_filled_in(self):
        for name in tomllib.loads(SAMCONFIG):
            if name in ("version", "local"):
                continue
            with self.subTest(name):
                said = self.refusal(deployment.environment(SAMCONFIG, name))
                self.assertRegex(said, r"^fill in .*OrganizationId.*ErrorEmail.* in parameter_overrides of \[default\.deploy")
                filled = SAMCONFIG.replace("FILL-IN", "x")
                deployment.check(deployment.environment(filled, name), name, "x86_64")

    def test_the_architecture_of_the_environment_is_the_one_that_was_built(self):
        local = deployment.environment(SAMCONFIG, "local")
        deployment.check(local, "local", "x86_64")
        self.assertIn("has Architecture=x86_64, and the functions are built for arm64: run make deploy ENV=default ARCH=x86_64",
                      self.refusal(local))
        for stated in ("Architecture=arm64", ["A=b Architecture=arm64"], ["ParameterKey=Architecture,ParameterValue=arm64"],
                       ["Architecture=x86_64", "Architecture='arm64'"]):
            with self.subTest(stated):
                deployment.check({"parameter_overrides": stated}, "default", "arm64")
                self.assertIn("Architecture=arm64", self.refusal({"parameter_overrides": stated}, "x86_64"))

    def test_other_forms_are_refused(self):
        self.assertIn("a text or a list of texts", self.refusal({"parameter_overrides": {"Architecture": "arm64"}}))
        self.assertIn("a text or a list of texts", self.refusal({"parameter_overrides": [{"Architecture": "arm64"}]}))


class SamDeploy(unittest.TestCase):
    """The command, and whether the tables are protected."""

    def parameters(self, settings, protect):
        command = deployment.sam_deploy(settings, "management", "x86_64", protect)
        self.assertEqual(command[command.index("--config-env") + 1], "management")
        return command[command.index("--parameter-overrides") + 1:]

    def test_the_parameters_of_samconfig_stay(self):
        settings = {"parameter_overrides": ["VendFlow=off", 'ReconcileSchedule="rate(1 minute)"']}
        stated = settings["parameter_overrides"]
        self.assertEqual(self.parameters(settings, False), [*stated, "Architecture=x86_64"])
        self.assertEqual(self.parameters(settings, True), [*stated, "Architecture=x86_64", "TableProtection=on"])
        self.assertEqual(self.parameters({}, False), ["Architecture=x86_64"])

    def test_the_environment_decides_about_the_tables_if_it_says_so(self):
        settings = {"parameter_overrides": "VendFlow=off TableProtection=off"}
        self.assertEqual(self.parameters(settings, True), ["VendFlow=off TableProtection=off", "Architecture=x86_64"])

    def has_tables(self, answer):
        client = boto3.client("cloudformation", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
        with Stubber(client) as stub, mock.patch.object(deployment.boto3, "Session") as session:
            session.return_value.client.return_value = client
            if isinstance(answer, str):
                stub.add_response("describe_stacks", {"Stacks": [
                    {"StackName": "orgkeeper", "StackStatus": answer, "CreationTime": 0}]}, {"StackName": "orgkeeper"})
            else:
                stub.add_client_error("describe_stacks", *answer)
            return deployment.has_tables({"stack_name": "orgkeeper", "region": "eu-west-1"})

    def test_the_tables_are_protected_once_the_stack_exists(self):
        for state in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"):
            self.assertTrue(self.has_tables(state), state)
        for state in ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE"):
            self.assertFalse(self.has_tables(state), state)
        self.assertFalse(self.has_tables(("ValidationError", "Stack with id orgkeeper does not exist")))
        with self.assertRaises(ClientError):
            self.has_tables(("AccessDenied", "not authorized"))


if __name__ == "__main__":
    unittest.main()
