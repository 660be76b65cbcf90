"""Starts functions as Lambda does, up to their first request for an event: start_built.py ARCHITECTURE FUNCTION...

Each `bootstrap` in target/lambda/ runs with the environment that the template gives it, and with a Runtime API on this machine that
has no event. One that was built for another processor runs under qemu (`QEMU_LD_PREFIX` names a folder with its C library). No AWS
service has to answer. `make start-built` calls it.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import expand
from ministack.services.cloudformation import engine

ROOT = Path(__file__).resolve().parents[2]
NEXT = "/2018-06-01/runtime/invocation/next"
INIT_ERROR = "/2018-06-01/runtime/init/error"
SECONDS = 60
# A library's place in Debian's package libc6-arm64-cross.
LIBRARIES = {"arm64": "/usr/aarch64-linux-gnu", "x86_64": "/usr/x86_64-linux-gnu"}
QEMU = {"arm64": "qemu-aarch64-static", "x86_64": "qemu-x86_64-static"}
MACHINES = {183: "arm64", 62: "x86_64"}
HERE = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64"}
# Without these two functions are not in the stack.
PARAMETERS = {"IdentityCenterInstanceArn": "arn:aws:sso:::instance/ssoins-1111222233334444", "WebhookParameter": "/orgkeeper/webhook"}
# What Ref gives for a resource, by type; for all others its name.
REFS = {
    "AWS::SQS::Queue": "https://sqs.us-east-1.amazonaws.com/111111111111/{}",
    "AWS::SNS::Topic": "arn:aws:sns:us-east-1:111111111111:{}",
    "AWS::Serverless::StateMachine": "arn:aws:states:us-east-1:111111111111:stateMachine:{}",
}


class Failed(Exception):
    """An expected failure, whose message is all that the user needs."""


class Attributes(dict):
    """Every attribute that a template may ask for. Functions read what an ARN of a role is made of."""

    def __init__(self, kind, name):
        super().__init__()
        self.kind, self.name = kind, name

    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        if self.kind == "AWS::IAM::Role":
            return f"arn:aws:iam::111111111111:role/{self.name}"
        return f"arn:aws:{name.lower()}:us-east-1:111111111111:{name}"


def environments(template):
    """The variables of each function, by the folder of its code, as in a stack with parameters at their defaults."""
    parameters = {name: {"Value": PARAMETERS.get(name, str(one.get("Default", ""))), "Type": one["Type"]} for name, one in template["Parameters"].items()}
    conditions = engine._evaluate_conditions(template, parameters)
    resources = {
        name: {"PhysicalResourceId": REFS.get(one["Type"], "{}").format(name), "Attributes": Attributes(one["Type"], name)}
        for name, one in template["Resources"].items()}
    found = {}
    for one in template["Resources"].values():
        if one["Type"] == "AWS::Serverless::Function":
            variables = engine._resolve_refs(
                one["Properties"].get("Environment", {}).get("Variables", {}), resources, parameters, conditions,
                template.get("Mappings", {}), "orgkeeper", "orgkeeper")
            found[Path(one["Properties"]["CodeUri"]).name] = {name: str(value) for name, value in variables.items()}
    return found


def machine(binary):
    """What an ELF file was built for."""
    with open(binary, "rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF":
        raise Failed(f"{binary} is no ELF file")
    return MACHINES.get(int.from_bytes(header[18:20], "little"), "another architecture")


def command(binary, architecture, here=HERE.get(os.uname().machine)):
    """How to run it: by itself, or under qemu."""
    built_for = machine(binary)
    if built_for != architecture:
        raise Failed(f"{binary} was built for {built_for}, not for {architecture}: make build ARCH={architecture}")
    if built_for == here:
        return [str(binary)]
    qemu = os.environ.get("QEMU") or shutil.which(QEMU[architecture])
    if not qemu:
        raise Failed(f"{QEMU[architecture]} is missing: install qemu-user-static and libc6-arm64-cross")
    return [qemu, "-L", os.environ.get("QEMU_LD_PREFIX") or LIBRARIES[architecture], str(binary)]


class RuntimeApi(ThreadingHTTPServer):
    """A Runtime API without events: it keeps the first thing that the function says."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.said = threading.Event()
        self.failure = None
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    """A request of the function."""

    def do_GET(self):
        if self.path != NEXT:
            return self.send_error(404)
        self.server.said.set()
        # There is never an event: the function waits until it is stopped.
        time.sleep(SECONDS)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == INIT_ERROR:
            self.server.failure = body.decode(errors="replace")
            self.server.said.set()
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nobody reads a line for each request."""


def start(name, line, variables, seconds=SECONDS):
    """Starts a function, and returns how many seconds it took until it asked for its first event."""
    api = RuntimeApi()
    settings = {
        **variables, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}", "AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        # Nothing may leave this machine.
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    started = time.monotonic()
    process = subprocess.Popen(line, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while not api.said.wait(0.02):
            if process.poll() is not None:
                raise Failed(f"{name} ended with {process.returncode} at start: {process.stdout.read().strip()}")
            if time.monotonic() - started > seconds:
                raise Failed(f"{name} did not ask for an event within {seconds} s")
        took = time.monotonic() - started
        if api.failure is not None:
            raise Failed(f"{name} failed at start: {api.failure}")
        return took
    finally:
        process.kill()
        process.communicate()
        api.shutdown()
        api.server_close()


def main(arguments):
    """Starts each function, and exits 1 at the first that does not ask for an event."""
    if len(arguments) < 2:
        sys.exit("usage: start_built.py ARCHITECTURE FUNCTION...")
    architecture, *functions = arguments
    variables = environments(expand.expanded((ROOT / "template.yaml").read_text(encoding="utf-8")))
    try:
        for function in functions:
            line = command(ROOT / "target" / "lambda" / function / "bootstrap", architecture)
            took = start(function, line, variables[function])
            by = "" if len(line) == 1 else f" under {Path(line[0]).name}"
            print(f"{function}: asked for its first event after {took:.2f} s{by}", flush=True)
    except (Failed, OSError) as error:
        sys.exit(str(error))
    print(f"{len(functions)} passed, 0 failed")


if __name__ == "__main__":
    main(sys.argv[1:])
