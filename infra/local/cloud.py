"""The local cloud: `cloud.py up`, `set`, `down` and `status` (`make up` and `make down` call it).

`up` builds the functions and the front door, starts three servers in the background, creates the example
organization, deploys template.yaml with the real `sam deploy`, and prints the endpoint and the stack's outputs:

    front door :4566   receives every AWS call of a client or a function
    MiniStack  :4567   runs the stack (ministack_launcher.py)
    moto       :4568   holds the organization and IAM Identity Center (moto_launcher.py, organization.py)

ORGKEEPER_PORT moves the three ports. `up` writes to target/local/: a log and a process file for each server,
outputs.json (the stack's outputs), organization.json (the organization's ids). While a file `deliver-twice` exists
there, everything is delivered twice (ministack_patches.py).

ORGKEEPER_FORM=split deploys to a management, a security and a service account, and to all others (split.py);
ORGKEEPER_FORM=baseline all flows to the management account, and what the baseline needs to all others; ORGKEEPER_FORM=posture the
same with the posture flow;
ORGKEEPER_FORM=empty deploys nothing.

Several local clouds run side by side: each has its own ORGKEEPER_PORT and its own ORGKEEPER_INSTANCE, a name that
replaces `local` in target/local/. They share the build, which one lock guards.
"""

import argparse
import contextlib
import fcntl
import filecmp
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit("the local cloud needs Python 3.11 or later: install it, then run make up")
import tomllib

try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column, Table
except ModuleNotFoundError as missing:
    sys.exit(f"the Python module {missing.name} is missing: start the local cloud with make up, which installs it")

import organization
import split

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "target"
LAMBDA = TARGET / "lambda"
SAM = ROOT / ".venv" / "sam" / "bin" / "sam"
SAMCONFIG = ROOT / "samconfig.toml"

DEFAULT_PORT = 4566
DEFAULT_INSTANCE = "local"
INSTANCE_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
# Folders below target/ that cargo and make write.
OTHER_FOLDERS = ("bench", "clippy", "debug", "doc", "lambda", "nextest", "package", "release", "release-files", "reproducible", "tmp")
REGION = "us-east-1"
MANAGEMENT_ACCOUNT = "111111111111"
STACK = "orgkeeper"
FORMS = ("one", *split.FORMS, "empty")
# What every member account has.
MEMBER_STACK = "orgkeeper-member"
MEMBER_TEMPLATE = ROOT / "infra" / "member-account.yaml"
# The portfolio of Account Factory.
PORTFOLIO = "AWS Control Tower Account Factory Portfolio"
# The channel that alerts are posted to, and the parameter that holds its webhook's address.
SLACK_CHANNEL = "alerts"
WEBHOOK_PARAMETER = "/orgkeeper/slack-webhook"
# The parameter that holds the alert rules, and the team that they route alerts to.
RULES_PARAMETER = "/orgkeeper/alert-rules"
RULES = ROOT / "infra" / "local" / "alert-rules.toml"
ROUTED_TEAM = "webshop-agency"

START_SECONDS = 60
STOP_SECONDS = 5

WIDEST_STEP = len("Build the functions and the front door")

# Without a terminal the output is wide, so that no line that a program reads is wrapped.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


class Failed(Exception):
    """An expected failure, whose message is all that the user needs."""


# ---------------------------------------------------------------- the commands


def main():
    """Runs one command; the exit code says whether it succeeded."""
    # Both signals stop `up` in the same way, even if a shell started it with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(description="The local cloud.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start it with the stack deployed, in the background")
    commands.add_parser("down", help="stop it")
    setting = commands.add_parser("set", help="change parameters of the running stack; the others keep their values")
    setting.add_argument("parameters", nargs="+", metavar="PARAMETER=VALUE", type=parameter)
    commands.add_parser("status", help="show which servers run; exit code 1 unless all of them do")
    during = commands.add_parser("during", help="run a command while it is up; stop it afterwards unless it was up before")
    during.add_argument("during", nargs=argparse.REMAINDER, metavar="COMMAND")
    arguments = parser.parse_args()
    commands = {"up": up, "down": down, "status": status, "set": lambda: set_parameters(arguments.parameters), "during": lambda: run_during(arguments.during)}
    sys.exit(exit_code(arguments.command, commands[arguments.command]))


def exit_code(name, command):
    """Runs a command, prints one line if it fails, and returns its exit code."""
    try:
        return command()
    except (Failed, OSError, subprocess.SubprocessError) as error:
        console.print(f"[red]{escape(name)} failed:[/red] {escape(str(error))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print(f"[red]{escape(name)} was interrupted[/red]")
        return 130


def up():
    """Starts what does not run, deploys what changed, and prints how to reach it."""
    cloud = this_cloud()
    bring_up(cloud)
    print_how_to_reach(cloud)
    return 0


def bring_up(cloud):
    """Starts what does not run and deploys what changed."""
    with only_one(cloud), Steps() as steps:
        need_tools()
        running = [server for server in cloud.servers if server.runs()]
        # A start that was interrupted can leave servers without an organization.
        complete = len(running) == len(cloud.servers) and (cloud.state / "organization.json").exists()
        if complete and not cloud.front_door.healthy():
            raise Failed(f"the local cloud runs on another port than {cloud.port}, or does not answer: make down, then make up")
        build(cloud, steps)
        if complete:
            deploy_again(cloud, steps)
        else:
            for server in running:
                console.print(f"{server.name} is left over from an incomplete start: it is restarted")
            start_all(cloud, steps)


def set_parameters(parameters):
    """Deploys the running stack with other parameters, which stay until they are set again."""
    cloud = this_cloud()
    with only_one(cloud), Steps() as steps:
        if not all(server.runs() for server in cloud.servers):
            raise Failed("the local cloud does not run: make up")
        with steps.step("Change the stack's parameters"):
            change_parameters(cloud, dict(parameter.split("=", 1) for parameter in parameters))
    return 0


def down():
    """Stops what `up` started."""
    cloud = this_cloud()
    with only_one(cloud), Steps() as steps:
        running = [server.name for server in cloud.servers if server.runs()]
        if not running:
            console.print("the local cloud does not run")
            return 0
        with steps.step(f"Stop {', '.join(running)}"):
            cloud.stop()
    return 0


@contextlib.contextmanager
def being_up():
    """Brings the local cloud up with the current stack, and stops it afterwards unless it was up before."""
    cloud = this_cloud()
    was_up = all(server.runs() for server in cloud.servers)
    bring_up(cloud)
    try:
        yield cloud
    finally:
        if not was_up:
            down()


def run_during(command):
    """Runs a command against the local cloud; its exit code is the command's."""
    with being_up() as cloud:
        return subprocess.run(command, cwd=ROOT, env={**os.environ, **cloud.variables()}).returncode


def status():
    """Shows which servers run and answer."""
    cloud = this_cloud()
    table = Table("server", "address", "process", "state")
    states = []
    for server in cloud.servers:
        process = server.process()
        states.append("stopped" if process is None else "up" if server.healthy() else "does not answer")
        table.add_row(server.name, server.url, str(process or ""), states[-1])
    console.print(table)
    return 0 if set(states) == {"up"} else 1


# ---------------------------------------------------------------- what `up` does


def base_port():
    """The front door's port; MiniStack and moto have the next two."""
    text = os.environ.get("ORGKEEPER_PORT", str(DEFAULT_PORT))
    if not text.isdecimal() or not 1024 <= int(text) <= 65533:
        raise Failed(f"ORGKEEPER_PORT is {text}: it has to be a number from 1024 to 65533")
    return int(text)


def instance():
    """The name of this local cloud, which is the name of its state folder too."""
    name = os.environ.get("ORGKEEPER_INSTANCE", DEFAULT_INSTANCE)
    if not INSTANCE_NAME.fullmatch(name) or name in OTHER_FOLDERS:
        raise Failed(f"ORGKEEPER_INSTANCE is {name}: it has to be up to 32 of a-z, 0-9 and -, start with a letter,"
                     f" and not be {', '.join(OTHER_FOLDERS[:-1])} or {OTHER_FOLDERS[-1]}")
    return name


def form():
    """Whether one account has everything, or several have a part."""
    name = os.environ.get("ORGKEEPER_FORM", FORMS[0])
    if name not in FORMS:
        raise Failed(f"ORGKEEPER_FORM is {name}: it has to be one of {', '.join(FORMS)}")
    return name


def this_cloud():
    """The local cloud that the environment names."""
    return Cloud(instance(), base_port())


@contextlib.contextmanager
def only_one(cloud):
    """Lets one `up` or `down` of a local cloud work at a time."""
    cloud.logs.mkdir(parents=True, exist_ok=True)
    with open(cloud.state / "lock", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed("another up or down is running: wait until it has finished") from None
        yield


def need_tools():
    """Fails unless the tools that are not Python modules are installed."""
    if not shutil.which("cargo"):
        raise Failed("cargo is missing: install the Rust toolchain, then run make up again")
    if not SAM.exists():
        raise Failed("the AWS SAM CLI is missing: start the local cloud with make up, which installs it")


def start_all(cloud, steps):
    """Starts the three servers and deploys to them. If anything fails, it stops all of them again."""
    cloud.stop()
    for name in ("outputs.json", "organization.json", "deployed.json", "split.json"):
        (cloud.state / name).unlink(missing_ok=True)
    for server in cloud.servers:
        need_free_port(server.port)
    try:
        with steps.step("Start the servers"):
            write(cloud.state / "servers.json", fingerprints(server_files()))
            for server in cloud.servers:
                server.start()
            for server in cloud.servers:
                server.wait_until_healthy()
        with steps.step("Create the example organization"):
            create_organization(cloud)
        deploy(cloud, steps)
    except BaseException:
        cloud.stop()
        raise


def deploy_again(cloud, steps):
    """Deploys to a local cloud that runs already, if anything changed."""
    if read(cloud.state / "servers.json") != fingerprints(server_files()):
        console.print("the servers changed, but the old ones still run: make down and make up replace them")
    if read(cloud.state / "deployed.json") == fingerprints(deployed_files()):
        console.print("the local cloud runs already, and template and functions are unchanged: nothing to deploy")
        return
    console.print("the local cloud runs already, and template or functions changed: deploying again")
    deploy(cloud, steps)


def build(cloud, steps):
    """Builds the front door and the functions, and puts each function where the template expects it."""
    with steps.step("Build the functions and the front door") as detail, only_one_build(detail):
        # The flow tests too: without a test target cargo selects other features, and `make test` compiles the SDK again.
        run(["cargo", "build", "--workspace", "--bins", "--test", "flow"], cloud.logs / "build.log", detail,
            {**os.environ, "CARGO_TARGET_DIR": str(TARGET), "CARGO_TERM_COLOR": "never"})
        for name in function_names():
            place(TARGET / "debug" / name, LAMBDA / name / "bootstrap")


@contextlib.contextmanager
def only_one_build(detail):
    """Lets one local cloud build at a time; the others wait, and then have nothing left to build."""
    TARGET.mkdir(exist_ok=True)
    with open(TARGET / "build.lock", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            detail("another local cloud is building: waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def function_names():
    """The functions: each folder below functions/ is a package and a binary of that name."""
    return sorted(path.parent.name for path in (ROOT / "functions").glob("*/Cargo.toml"))


def place(binary, bootstrap):
    """Copies a function's binary, without its debug information, to the folder that the template deploys.

    Another local cloud may be deploying that folder: the file is replaced atomically, and only if it changed.
    """
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    # Outside that folder, because all of it is deployed.
    draft = bootstrap.parent.with_suffix(".draft")
    shutil.copy(binary, draft)
    strip = shutil.which("strip")
    if strip:
        subprocess.run([strip, draft], check=True)
    if bootstrap.exists() and filecmp.cmp(draft, bootstrap, shallow=False):
        draft.unlink()
    else:
        draft.replace(bootstrap)


def front_door_binary():
    """The front door's binary."""
    return TARGET / "debug" / "front-door"


def create_organization(cloud):
    """Creates the example organization and writes its ids to organization.json."""
    builder = organization.Builder(cloud.front_door.url, cloud.moto.url, REGION, MANAGEMENT_ACCOUNT)
    try:
        write(cloud.state / "organization.json", builder.create())
    except (ClientError, BotoCoreError, RuntimeError) as error:
        raise Failed(f"the example organization was not created: {error} (logs: {shown(cloud.logs)})") from error


def deploy(cloud, steps):
    """Deploys the template with the real SAM CLI, and writes the outputs to outputs.json."""
    if form() in split.FORMS:
        deploy_form(cloud, steps)
        return
    if form() == "empty":
        write(cloud.state / "outputs.json", {})
        write(cloud.state / "deployed.json", fingerprints(deployed_files()))
        return
    with steps.step("Deploy the stack") as detail:
        prepare_alerts(cloud)
        to_deploy = fingerprints(deployed_files())
        run([SAM, "deploy", "--template-file", ROOT / "template.yaml", "--config-file", SAMCONFIG,
             "--config-env", "local", "--parameter-overrides", *parameter_overrides(cloud)],
            cloud.logs / "deploy.log", detail, client_environment(cloud))
        write(cloud.state / "outputs.json", outputs(cloud))
        associate_portfolio(cloud)
        deploy_to_members(cloud, detail)
        write(cloud.state / "deployed.json", to_deploy)


def deploy_form(cloud, steps):
    """Deploys to several accounts; writes the outputs of the management account to outputs.json, and all to split.json."""
    to_deploy = fingerprints(deployed_files())
    ids = read(cloud.state / "organization.json")
    webhook = prepare_alerts(cloud)
    facts = split.facts_of(ids, MANAGEMENT_ACCOUNT, webhook, parameter_overrides(cloud))
    stacks = split.FORMS[form()]
    if any(stack.part == "security" for stack in stacks):
        hub = cloud.client("securityhub")
        hub.disable_organization_admin_account(AdminAccountId=MANAGEMENT_ACCOUNT)
        hub.enable_organization_admin_account(AdminAccountId=facts["security"])
    parts = {part: {"account": facts[part], "outputs": {}} for part in ("management", *split.PARTS)}
    for stack in stacks:
        with steps.step(f"Deploy {stack.name}: {stack.part}, {stack.region}") as detail:
            run([SAM, "deploy", "--template-file", ROOT / stack.template, "--config-file", SAMCONFIG,
                 "--config-env", stack.environment or "local", "--stack-name", stack.name, "--region", stack.region,
                 "--no-confirm-changeset", "--parameter-overrides", *split.overrides(SAMCONFIG, stack, facts)],
                cloud.logs / f"deploy-{stack.part}.log", detail,
                {**client_environment(cloud), "AWS_ACCESS_KEY_ID": facts[stack.part]})
            if stack.name == STACK:
                parts[stack.part]["outputs"] = outputs(cloud, facts[stack.part])
    with steps.step("Deploy to all other accounts") as detail:
        missing = split.wait_for_stack_sets(form(), cloud.client("cloudformation"), split.members(ids), detail)
        if missing:
            raise Failed(f"{missing} (logs: {shown(cloud.logs)})")
    write(cloud.state / "outputs.json", parts["management"]["outputs"])
    if form() == "baseline":
        associate_portfolio(cloud)
    write(cloud.state / "split.json", {**parts, "other_region": split.OTHER_REGION})
    write(cloud.state / "deployed.json", to_deploy)


def associate_portfolio(cloud):
    """Gives the role of create-managed-account access to Account Factory, as the template does with a portfolio's id."""
    catalog = cloud.client("servicecatalog")
    found = next(one["Id"] for one in catalog.list_portfolios()["PortfolioDetails"] if one["DisplayName"] == PORTFOLIO)
    catalog.associate_principal_with_portfolio(
        PortfolioId=found, PrincipalARN=outputs(cloud)["CreateManagedAccountRoleArn"], PrincipalType="IAM")


def deploy_to_members(cloud, detail):
    """Deploys what every member account has, as a stack set would, to the accounts of the example organization."""
    ids = read(cloud.state / "organization.json")
    closed = {account.name for account in organization.ACCOUNTS if account.closed}
    parameters = {"ServiceAccountId": MANAGEMENT_ACCOUNT, "StackName": STACK, "OrganizationId": ids["organization_id"],
                  "UserPolicies": "on"}
    stack = {
        "StackName": MEMBER_STACK,
        "TemplateBody": MEMBER_TEMPLATE.read_text(encoding="utf-8"),
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }
    for name, account in ids["accounts"].items():
        if name in closed:
            continue
        detail(f"account {name}")
        stacks = cloud.client("cloudformation", account)
        known = stacks.list_stacks(StackStatusFilter=["CREATE_COMPLETE", "UPDATE_COMPLETE"])["StackSummaries"]
        exists = any(one["StackName"] == MEMBER_STACK for one in known)
        try:
            if exists:
                stacks.update_stack(**stack)
            else:
                stacks.create_stack(**stack)
            stacks.get_waiter("stack_update_complete" if exists else "stack_create_complete").wait(
                StackName=MEMBER_STACK, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100})
        except (ClientError, BotoCoreError) as error:
            # CloudFormation's answer to a template that is deployed already.
            if "No updates are to be performed" in str(error):
                continue
            raise Failed(f"{shown(MEMBER_TEMPLATE)} was not deployed to account {name}: {error}") from error


def parameter(text):
    """An argument of `set`: a parameter's name and value."""
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text}: write PARAMETER=VALUE")
    return text


def change_parameters(cloud, values):
    """Updates the deployed stack with these parameter values; the other parameters keep theirs."""
    stacks = cloud.client("cloudformation")
    known = [one["ParameterKey"] for one in stacks.describe_stacks(StackName=STACK)["Stacks"][0]["Parameters"]]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise Failed(f"the template has no parameter {', '.join(unknown)}")
    try:
        stacks.update_stack(
            StackName=STACK, UsePreviousTemplate=True, Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[
                {"ParameterKey": name, "ParameterValue": values[name]} if name in values
                else {"ParameterKey": name, "UsePreviousValue": True} for name in known])
        stacks.get_waiter("stack_update_complete").wait(
            StackName=STACK, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})
    except (ClientError, BotoCoreError) as error:
        raise Failed(f"the stack was not changed: {error}") from error
    write(cloud.state / "outputs.json", outputs(cloud))


def prepare_alerts(cloud):
    """Creates what the parameters of samconfig.toml name: the webhook's address of the Slack stand-in, the alert rules,
    and another team's topic with its subscriber. Returns the name of the parameter with the webhook."""
    parameters, topics = cloud.client("ssm"), cloud.client("sns")
    parameters.put_parameter(
        Name=WEBHOOK_PARAMETER, Value=f"{cloud.front_door.url}/_orgkeeper/slack/{SLACK_CHANNEL}", Type="SecureString", Overwrite=True)
    parameters.put_parameter(
        Name=RULES_PARAMETER, Value=RULES.read_text(encoding="utf-8"), Type="String", Overwrite=True)
    topic = topics.create_topic(Name=ROUTED_TEAM)["TopicArn"]
    topics.subscribe(TopicArn=topic, Protocol="email", Endpoint=f"{ROUTED_TEAM}@example.com")
    return WEBHOOK_PARAMETER


def parameter_overrides(cloud):
    """The stack's parameters: those of samconfig.toml, which the SAM CLI ignores once it gets others, and those that
    depend on the example organization. The SAM CLI skips a parameter that the template does not declare."""
    with open(SAMCONFIG, "rb") as file:
        stated = tomllib.load(file)["local"]["deploy"]["parameters"]["parameter_overrides"]
    ids = read(cloud.state / "organization.json")
    center = ids["identity_center"]
    assignments = [
        f"{center['groups'][group]}={center['permission_sets'][permission_set]}"
        for group, permission_set in organization.NEW_ACCOUNT_ACCESS]
    allowed = {"AllowedGroups": center["groups"], "AllowedPermissionSets": center["permission_sets"]}
    own = [f"OrganizationId={ids['organization_id']}", f"IdentityCenterInstanceArn={center['instance_arn']}",
           f"Assignments={','.join(assignments)}",
           *(f"{parameter}={','.join(known.values())}" for parameter, known in allowed.items())]
    names = {one.partition("=")[0] for one in own}
    return [*(one for one in stated if one.partition("=")[0] not in names), *own]


def client_environment(cloud):
    """The environment of a command that reaches the local cloud, and cannot reach AWS by mistake."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_CLI_"))}
    return {
        **others,
        **exports(cloud),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAM_CLI_TELEMETRY": "0",
        # Seconds between its polls of the stack; the default of five is longer than the deployment takes.
        "SAM_CLI_POLL_DELAY": "0.2",
        # The folder of the SAM CLI's own settings.
        "__SAM_CLI_APP_DIR": str(cloud.state / "sam"),
    }


def exports(cloud):
    """The variables with which any AWS client reaches the local cloud."""
    return {
        "AWS_ENDPOINT_URL": cloud.front_door.url,
        "AWS_ACCESS_KEY_ID": organization.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
    }


def outputs(cloud, account=organization.ACCESS_KEY):
    """The outputs of the stack in an account, name -> value."""
    stack = cloud.client("cloudformation", account).describe_stacks(StackName=STACK)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def deployed_files():
    """The files that a deployment depends on."""
    functions = [LAMBDA / name / "bootstrap" for name in function_names()]
    templates = [ROOT / "template.yaml", *sorted((ROOT / "infra").glob("*.yaml"))]
    return [*templates, SAMCONFIG, RULES, *functions]


def server_files():
    """The files that the servers are started from."""
    local = ROOT / "infra" / "local"
    others = (local / f"{script}.py" for script in ("passed_on", "organization"))
    patches = (found for name in ("ministack_*.py", "moto_*.py", "posture/*") for found in sorted(local.glob(name)) if found.is_file())
    return [front_door_binary(), *patches, *others]


def fingerprints(files):
    """A hash of the content of each file."""
    found = {}
    for file in files:
        with open(file, "rb") as content:
            found[str(shown(file))] = hashlib.file_digest(content, "sha256").hexdigest()
    return found


def print_how_to_reach(cloud):
    """Prints the endpoint, the exports and the outputs."""
    table = Table(f"output of stack {STACK}", Column("value", overflow="fold"))
    for name, value in sorted(read(cloud.state / "outputs.json").items()):
        table.add_row(name, value)
    console.print(table)
    console.print(f"The local cloud is up: {cloud.front_door.url}. {cloud.make()} down stops it.")
    console.print("To reach it from a shell:\n")
    for name, value in exports(cloud).items():
        console.print(f"  export {name}={value}", soft_wrap=True)
    console.print("\nVersion 1 of the AWS CLI needs --endpoint-url $AWS_ENDPOINT_URL for aws sqs; everything else reads the variable.",
                  soft_wrap=True)


def read(file):
    """The JSON in a file; None if the file does not exist."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def write(file, content):
    """Writes JSON atomically."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(file)


# ---------------------------------------------------------------- servers


@dataclass(frozen=True)
class Server:
    """One server of the local cloud: its command, and the path of its health check."""

    name: str
    state: Path
    port: int
    health: str
    command: tuple

    @property
    def url(self):
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def process_file(self):
        """Holds its process id and start time, so that another process with a reused id is not mistaken for it."""
        return self.state / f"{self.name}.process.json"

    @property
    def log(self):
        """The file that it prints to."""
        return self.state / "log" / f"{self.name}.log"

    def start(self):
        """Starts it in a process group of its own, without the user's AWS settings."""
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "RUST_LOG") if name in os.environ}
        with open(self.log, "wb") as log:
            process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
                start_new_session=True, env=environment)
        write(self.process_file, {"id": process.pid, "started": start_time(process.pid)})

    def process(self):
        """Its process id; None if it does not run."""
        known = read(self.process_file)
        if known is None or known["started"] is None or start_time(known["id"]) != known["started"]:
            return None
        return known["id"]

    def runs(self):
        """Whether its process exists."""
        return self.process() is not None

    def healthy(self):
        """Whether it answers."""
        try:
            with urllib.request.urlopen(self.url + self.health, timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def wait_until_healthy(self):
        """Waits until it answers."""
        deadline = time.monotonic() + START_SECONDS
        while not self.healthy():
            if not self.runs():
                raise Failed(f"{self.name} failed to start: {last_line(self.log)} (log: {shown(self.log)})")
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} does not answer after {START_SECONDS} s (log: {shown(self.log)})")
            time.sleep(0.05)

    def terminate(self):
        """Sends SIGTERM to its process; returns the process id, None if it does not run."""
        process = self.process()
        if process is not None:
            os.kill(process, signal.SIGTERM)
        return process

    def wait_until_stopped(self, process):
        """Waits until its process has stopped; kills it after a while, with every process that it started."""
        deadline = time.monotonic() + STOP_SECONDS
        while self.runs() and time.monotonic() < deadline:
            time.sleep(0.05)
        if process is not None:
            # The rest of its group: functions, or the server itself if it ignored the signal.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
        self.process_file.unlink(missing_ok=True)


class Cloud:
    """One local cloud: its state folder, and its three servers with their ports."""

    def __init__(self, name, port):
        self.name = name
        self.port = port
        self.state = TARGET / name
        self.logs = self.state / "log"
        self.ministack = Server(
            "ministack", self.state, port + 1, "/_ministack/health",
            (sys.executable, str(ROOT / "infra/local/ministack_launcher.py"), str(port + 1), str(self.state),
             "--endpoint-url", f"http://127.0.0.1:{port}", "--moto", f"http://127.0.0.1:{port + 2}",
             "--management-account", MANAGEMENT_ACCOUNT, "--region", REGION))
        self.moto = Server(
            "moto", self.state, port + 2, "/moto-api/data.json",
            (sys.executable, str(ROOT / "infra/local/moto_launcher.py"),
             "--host", "127.0.0.1", "--port", str(port + 2)))
        self.front_door = Server(
            "front-door", self.state, port, "/_orgkeeper/health",
            (str(front_door_binary()), "--port", str(port), "--ministack", self.ministack.url,
             "--moto", self.moto.url, "--management-account", MANAGEMENT_ACCOUNT, "--region", REGION))
        self.servers = (self.ministack, self.moto, self.front_door)

    def variables(self):
        """The variables that name this local cloud to the tests and to cloud.py."""
        return {"ORGKEEPER_INSTANCE": self.name, "ORGKEEPER_PORT": str(self.port), "ORGKEEPER_FORM": form()}

    def make(self):
        """How the user calls make for this local cloud."""
        default = {"ORGKEEPER_INSTANCE": DEFAULT_INSTANCE, "ORGKEEPER_PORT": str(DEFAULT_PORT), "ORGKEEPER_FORM": FORMS[0]}
        other = [f"{name}={value}" for name, value in self.variables().items() if value != default[name]]
        return " ".join([*other, "make"])

    def client(self, service, account=organization.ACCESS_KEY):
        """A boto3 client of the root user of an account, by default of the management account."""
        return boto3.client(
            service, endpoint_url=self.front_door.url, region_name=REGION,
            aws_access_key_id=account, aws_secret_access_key="test")

    def send_events(self, events):
        """Sends events in the name of AWS's own services, in the form in which rules deliver them."""
        self.control("POST", "events", events)

    def control(self, method, what, settings=None):
        """Calls a control of the front door; returns its JSON answer, if it has one."""
        request = urllib.request.Request(
            f"{self.front_door.url}/_orgkeeper/{what}", method=method,
            data=None if settings is None else json.dumps(settings).encode(), headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def stop(self):
        """Stops every server."""
        for server, process in [(server, server.terminate()) for server in self.servers]:
            server.wait_until_stopped(process)


def start_time(process):
    """The start time of a process, as text to compare; None if there is no such process."""
    with contextlib.suppress(ChildProcessError):
        # A child process stays a zombie until it is waited for.
        os.waitpid(process, os.WNOHANG)
    stat = Path(f"/proc/{process}/stat")
    if not Path("/proc/self/stat").exists():
        found = subprocess.run(["ps", "-o", "lstart=", "-p", str(process)], capture_output=True, text=True)
        return found.stdout.strip() or None
    try:
        # The command name is in parentheses and may contain spaces; state and start time follow it.
        fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def need_free_port(port):
    """Fails if another program listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Failed(
                f"port {port} is in use: stop the program that listens there, or move the local cloud with"
                f" ORGKEEPER_PORT (it takes that port and the next two)") from None


# ---------------------------------------------------------------- running and showing


def run(command, log, detail, environment):
    """Runs a command with its output in a log, and shows the log's last line as `detail` meanwhile."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=environment,
            start_new_session=True)
    try:
        while process.poll() is None:
            detail(last_line(log))
            time.sleep(0.1)
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if process.returncode:
        raise Failed(f"{Path(command[0]).name} {command[1]}: {reason(log)} (log: {shown(log)})")


def reason(log):
    """The line of a log that explains a failure: the first error, or else the last line."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in lines if line.lower().startswith("error")), last_line(log)).strip()


def last_line(log):
    """The last line of a log with a letter or digit, with single spaces."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")[-50:]
    return next((" ".join(line.split()) for line in reversed(lines) if any(map(str.isalnum, line))), "")


def shown(file):
    """A path relative to the repository."""
    return file.relative_to(ROOT)


class Steps:
    """Shows the steps of a long command: with a spinner and the time on a terminal, as plain lines elsewhere."""

    def __init__(self):
        self.progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/green]"),
            TextColumn("{task.description}", table_column=Column(min_width=WIDEST_STEP, no_wrap=True)),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[detail]}[/dim]"),
            console=console) if console.is_terminal else None

    def __enter__(self):
        if self.progress:
            self.progress.start()
        return self

    def __exit__(self, *_):
        if self.progress:
            self.progress.stop()

    @contextlib.contextmanager
    def step(self, name):
        """One step; yields a function that shows its progress."""
        start = time.monotonic()
        if not self.progress:
            console.print(f"{name} ...")
            yield lambda text: None
            console.print(f"{name}: done after {time.monotonic() - start:.1f} s")
            return
        task = self.progress.add_task(name, total=1, detail="")
        # Spinner, time and the spaces between take the rest.
        width = max(console.width - WIDEST_STEP - 16, 0)
        try:
            yield lambda text: self.progress.update(task, detail=escape(text[:width]))
            self.progress.update(task, completed=1, detail="")
        finally:
            self.progress.stop_task(task)


if __name__ == "__main__":
    main()
