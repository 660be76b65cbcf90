"""Tests of template.yaml that cfn-lint cannot make: every queue and every function has what all have, and settings fit together."""

import json
import re
import tomllib
import unittest
from pathlib import Path

from ministack.core import iam_evaluator
from ministack.services.cloudformation import engine

import deployment
import expand
import ledger

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = "AWS::Serverless::Function"


class EveryQueueAndFunction(unittest.TestCase):
    """What every queue and every function has, in a loop or outside."""

    @classmethod
    def setUpClass(cls):
        cls.template = expand.expanded((ROOT / "template.yaml").read_text(encoding="utf-8"))
        cls.resources = cls.template["Resources"]
        queues = [name.removesuffix("Queue") for name, one in cls.resources.items() if one["Type"] == "AWS::SQS::Queue"]
        cls.queues = [name for name in queues if not name.endswith("DeadLetter")]
        cls.functions = {name: one for name, one in cls.resources.items() if one["Type"] == FUNCTION}

    def test_each_queue_has_a_dead_letter_queue_an_alarm_and_outputs(self):
        for name in self.queues:
            with self.subTest(name):
                queue, dead_letters = self.resources[f"{name}Queue"], self.resources[f"{name}DeadLetterQueue"]
                alarm = self.resources[f"{name}DeadLetterAlarm"]
                self.assertEqual(len({one["Condition"] for one in (queue, dead_letters, alarm)}), 1)
                self.assertEqual(
                    queue["Properties"]["RedrivePolicy"]["deadLetterTargetArn"], {"Fn::GetAtt": [f"{name}DeadLetterQueue", "Arn"]})
                self.assertEqual(
                    alarm["Properties"]["Dimensions"][0]["Value"], {"Fn::GetAtt": [f"{name}DeadLetterQueue", "QueueName"]})
                for output, resource in ((f"{name}QueueUrl", f"{name}Queue"), (f"{name}DeadLetterQueueUrl", f"{name}DeadLetterQueue")):
                    self.assertEqual(self.template["Outputs"][output]["Value"], {"Ref": resource})
                    self.assertEqual(self.template["Outputs"][output]["Condition"], queue["Condition"])

    def test_each_queue_has_an_alarm_on_the_age_of_its_oldest_message(self):
        for name in self.queues:
            with self.subTest(name):
                alarm = self.resources[f"{name}UnreadAlarm"]
                self.assertEqual(alarm["Condition"], self.resources[f"{name}Queue"]["Condition"])
                self.assertEqual(alarm["Properties"]["MetricName"], "ApproximateAgeOfOldestMessage")
                self.assertEqual(
                    alarm["Properties"]["Dimensions"][0]["Value"], {"Fn::GetAtt": [f"{name}Queue", "QueueName"]})
                # What waits goes on in a new message after a quarter of an hour; what fails is given up in about as long.
                self.assertGreater(int(alarm["Properties"]["Threshold"]), 900)

    def test_throttles_of_each_function_are_in_an_alarm_of_ten_metrics_at_most(self):
        watched = {}
        for alarm in self.resources.values():
            metrics = alarm.get("Properties", {}).get("Metrics", [])
            functions = [one["Fn::If"][:2] for one in metrics if "Fn::If" in one]
            # Of one flow alone the alarm itself has the condition.
            functions += [(alarm.get("Condition"), one) for one in metrics if "MetricStat" in one]
            self.assertLessEqual(len(functions), 10)
            for condition, metric in functions:
                described = metric["MetricStat"]["Metric"]
                self.assertEqual(described["MetricName"], "Throttles")
                watched[described["Dimensions"][0]["Value"]["Ref"]] = condition
        self.assertEqual(watched, {name: one["Condition"] for name, one in self.functions.items()})

    def test_nothing_is_accepted_without_tls(self):
        """Each queue, topic and bucket, by MiniStack's own evaluation of its policy."""
        kinds = {"AWS::SQS::QueuePolicy": ("Queues", "sqs:SendMessage"), "AWS::SNS::TopicPolicy": ("Topics", "sns:Publish"),
                 "AWS::S3::BucketPolicy": ("Bucket", "s3:GetObject")}
        closed = set()
        for name, one in self.resources.items():
            if one["Type"] not in kinds:
                continue
            member, action = kinds[one["Type"]]
            properties = with_arns(one["Properties"])
            owners = properties[member] if isinstance(properties[member], list) else [properties[member]]
            for owner in owners:
                with self.subTest(name, owner=owner):
                    self.assertEqual(self.resources[owner]["Condition"] if "Condition" in one else None, one.get("Condition"))
                    decisions = {tls: decision(properties["PolicyDocument"], owner, action, tls) for tls in (True, False)}
                    self.assertEqual(decisions[False], "Deny")
                    self.assertNotEqual(decisions[True], "Deny")
                closed.add(owner)
        kinds = ("AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::S3::Bucket")
        self.assertEqual(closed, {name for name, one in self.resources.items() if one["Type"] in kinds})

    def test_the_dashboard_is_json_for_every_set_of_flows(self):
        body = self.resources["Dashboard"]["Properties"]["DashboardBody"]
        conditions = ("Enrich", "Directory", "Vend", "Alert", "Chat", "Remediate", "Rehearse")
        most = 0
        for bits in range(2 ** len(conditions)):
            on = {name for place, name in enumerate(conditions) if bits >> place & 1}
            text = rendered(body, on)
            widgets = json.loads(text)["widgets"]
            self.assertEqual(len({one["properties"]["title"] for one in widgets}), len(widgets))
            self.assertTrue(all(one["properties"]["metrics"] for one in widgets))
            most = max(most, len(text))
            missing = [found for found in re.findall(r"[$][{](\w+)", text) if found != "AWS"
                       and self.meaning_of(found) not in on]
            self.assertEqual(missing, [], on)
        # CloudWatch takes more; a template does not (1 MB in a bucket).
        self.assertLess(most, 20_000)

    def meaning_of(self, resource):
        return self.resources[resource].get("Condition")

    def test_each_function_has_a_log_group_an_alarm_and_an_output(self):
        for name, function in self.functions.items():
            with self.subTest(name):
                logs, alarm = self.resources[f"{name}Logs"], self.resources[f"{name}ErrorsAlarm"]
                output = self.template["Outputs"][f"{name}FunctionName"]
                self.assertEqual({one["Condition"] for one in (logs, alarm, output)}, {function["Condition"]})
                self.assertEqual(function["Properties"]["LoggingConfig"]["LogGroup"], {"Ref": f"{name}Logs"})
                self.assertEqual(alarm["Properties"]["Dimensions"][0]["Value"], {"Ref": name})
                self.assertEqual(output["Value"], {"Ref": name})

    def test_each_queue_exists_if_its_function_does(self):
        for name, function in self.functions.items():
            for event in function["Properties"].get("Events", {}).values():
                if event["Type"] == "SQS" and name != "CreateAccountAssignment":
                    queue = self.queue_of(event)
                    self.assertEqual(self.meaning(queue["Condition"]), self.meaning(function["Condition"]), name)

    def meaning(self, condition):
        return expand.meaning(condition, self.template["Conditions"])

    def queue_of(self, event):
        """The queue that an event source reads."""
        queue = event["Properties"]["Queue"]["Fn::GetAtt"]
        return self.resources[(queue if isinstance(queue, list) else queue.split("."))[0]]

    def test_a_message_stays_invisible_for_six_timeouts_and_the_batching_window(self):
        for name, function in self.functions.items():
            for event in function["Properties"].get("Events", {}).values():
                if event["Type"] != "SQS":
                    continue
                queue = self.queue_of(event)
                window = event["Properties"].get("MaximumBatchingWindowInSeconds", 0)
                if isinstance(window, dict):
                    window = self.template["Parameters"][window["Ref"]]["MaxValue"]
                with self.subTest(name):
                    self.assertGreaterEqual(
                        queue["Properties"]["VisibilityTimeout"], 6 * function["Properties"]["Timeout"] + window)
                    self.assertEqual(event["Properties"]["FunctionResponseTypes"], ["ReportBatchItemFailures"])


# What a user writes in place of FILL-IN in samconfig.toml.
FILLED_IN = {
    "OrganizationId": "o-a1b2c3d4e5",
    "ManagementAccountId": "111111111111",
    "SecurityAccountId": "222222222222",
    "ErrorEmail": "platform@example.com",
    "CriticalEmail": "on-call@example.com",
}
WEBHOOK = {"WebhookParameter": "/orgkeeper/slack-webhook"}
SECRET = {"WebhookSecretArn": "arn:aws:secretsmanager:eu-west-1:111111111111:secret:slack-AbCdEf"}
IDENTITY_CENTER = {"IdentityCenterInstanceArn": "arn:aws:sso:::instance/ssoins-1"}
ASSIGNMENTS = {"Assignments": "g-1=arn:aws:sso:::permissionSet/ssoins-1/ps-1,g-2=arn:aws:sso:::permissionSet/ssoins-1/ps-2"}
ROUTES = {"RouteTopicArns": "arn:aws:sns:eu-west-1:111111111111:a,arn:aws:sns:eu-west-1:111111111111:b"}
RULES = {"AlertRulesParameter": "/orgkeeper/alert-rules"}
PROTECTED = {"RehearsalProtectedAccountIds": "222222222222"}

# Environment of samconfig.toml, and parameters that make another documented set-up of it.
WORKS = [
    ("default", {}),
    ("default", {"OrganizationId": "none"}),
    ("default", {"CriticalEmail": "none", "ErrorEmail": "none"}),
    ("default", {"CriticalEmail": "", **WEBHOOK}),
    ("default", {"CriticalEmail": "", **SECRET}),
    ("default", {"CriticalEmail": "", "ChatTopic": "on"}),
    ("default", {"AlertFlow": "off", "OrganizationId": "", "CriticalEmail": ""}),
    # A flow is switched off without touching its parameters.
    ("default", {"AlertFlow": "off", **WEBHOOK, **RULES, **ROUTES}),
    ("default", {"VendFlow": "off", "AccountFactoryPortfolioId": "port-abc", **ASSIGNMENTS}),
    ("default", {"RemediateFlow": "off"}),
    ("default", {"RemediationMode": "auto"}),
    ("default", {**RULES, **ROUTES, **WEBHOOK}),
    ("default", {"AccountFactoryPortfolioId": "port-abc", **IDENTITY_CENTER, **ASSIGNMENTS}),
    ("default", {"AccountCreation": "organizations", **IDENTITY_CENTER}),
    ("default", {"ManagementAccountId": "111111111111"}),
    ("security", {}),
    ("security", {"ServiceAccountId": "333333333333", "RemediationMode": "auto"}),
    ("security", {"RootCredentials": "on", "RemediationMode": "ask", "ApprovalLinks": "on"}),
    ("default", {"RootCredentials": "on"}),
    ("management", {}),
    ("management", {"RootCredentials": "on", "SecurityAccountId": "222222222222"}),
    ("management", {"RehearsalFlow": "on", "RehearsalProtectedAccountIds": "222222222222,333333333333"}),
    ("management", {"AccountFactoryPortfolioId": "port-abc", **SECRET}),
    ("security", {"PostureFlow": "on"}),
    ("default", {"PostureFlow": "on", "OrganizationId": "none"}),
    ("service", {}),
    ("local", {**IDENTITY_CENTER, **ASSIGNMENTS}),
]

# Environment, parameters, the rule that refuses them, and words that it says.
REFUSED = [
    ("service", {"SecurityAccountId": ""}, "SomethingToDeploy", "nothing to deploy"),
    ("default", {"ErrorEmail": ""}, "ErrorsReachSomebody", "Set ErrorEmail"),
    ("security", {"ErrorEmail": ""}, "ErrorsReachSomebody", "Set ErrorEmail"),
    ("service", {"ErrorEmail": ""}, "ErrorsReachSomebody", "Set ErrorEmail"),
    ("default", {"CriticalEmail": ""}, "AlertsReachSomebody", "Nobody would receive critical alerts"),
    ("management", {"CriticalEmail": "", "InfoEmail": "platform@example.com"}, "AlertsReachSomebody", "Set CriticalEmail"),
    ("management", {"OrganizationId": ""}, "AlertsOfTheOrganization", "Set OrganizationId"),
    ("default", {"OrganizationId": ""}, "AlertsOfTheOrganization", "OrganizationId=none says"),
    ("default", {**WEBHOOK, **SECRET}, "OneWebhook", "WebhookParameter or WebhookSecretArn, not both"),
    ("default", {**WEBHOOK, "ChatTopic": "on"}, "OneWebhook", "ChatTopic or a webhook, not both"),
    ("default", {**SECRET, "ChatTopic": "on"}, "OneWebhook", "ChatTopic or a webhook, not both"),
    ("default", {**WEBHOOK, "AlertRulesParameter": WEBHOOK["WebhookParameter"]}, "OneWebhook", "name one parameter"),
    ("default", ROUTES, "RoutesAreOfTheRules", "Set AlertRulesParameter too"),
    ("security", {"OrganizationId": ""}, "EventsOfTheManagementAccount", "would be lost"),
    ("security", {"OrganizationId": "none"}, "EventsOfTheManagementAccount", "would be lost"),
    ("default", ASSIGNMENTS, "AccessNeedsIdentityCenter", "Assignments needs IdentityCenterInstanceArn"),
    ("default", {"AccountCreation": "organizations", "AccountFactoryPortfolioId": "port-abc"}, "AccountFactoryOnly", "are for"),
    ("default", {"AccountCreation": "organizations", "AccountFactoryLaunchPathId": "lpv2-abc"}, "AccountFactoryOnly", "are for"),
    ("management", {"RemediationMode": "auto"}, "FixesNeedTheFlow", "fixes nothing"),
    ("management", {"RemediationMode": "ask"}, "FixesNeedTheFlow", "fixes nothing"),
    ("management", {"RootCredentials": "on"}, "RootCredentialsAreOrdered", "needs SecurityAccountId"),
    *(("service", {flow: "on", "CriticalEmail": "on-call@example.com", **PROTECTED}, "ServiceAccountOnlyActs", "Switch every flow off")
      for flow in ("EnrichFlow", "VendFlow", "AlertFlow", "RemediateFlow", "RehearsalFlow", "PostureFlow")),
    ("security", {"RehearsalFlow": "on", **PROTECTED}, "RehearsalsOfTheOrganization", "for the management account"),
    ("management", {"RehearsalFlow": "on"}, "RehearsalsOfTheOrganization", "Set RehearsalProtectedAccountIds"),
    ("management", {"RehearsalFlow": "on", "AlertFlow": "off", "OrganizationId": "", **PROTECTED}, "RehearsalsOfTheOrganization", "no report"),
    ("default", {"PostureFlow": "on", "AlertFlow": "off", "OrganizationId": ""}, "PostureOfTheOrganization", "only the daily survey"),
    ("service", {"ServiceAccountId": "333333333333"}, "ServiceAccountOnlyActs", "not both in one"),
    ("service", {"OrganizationId": "none"}, "ServiceAccountOnlyActs", "may be invoked from within it"),
]


class Parameters(unittest.TestCase):
    """Which combinations of parameters are refused: the rules of the template, as CloudFormation evaluates them."""

    @classmethod
    def setUpClass(cls):
        cls.template = expand.expanded((ROOT / "template.yaml").read_text(encoding="utf-8"))
        cls.samconfig = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
        cls.environments = [name for name in tomllib.loads(cls.samconfig) if name != "version"]

    def stated(self, environment):
        """The parameters of an environment in samconfig.toml."""
        pairs = (one.split("=", 1) for one in deployment.overrides(deployment.environment(self.samconfig, environment)))
        return {name: value.strip('"') for name, value in pairs}

    def filled_in(self, environment):
        return {name: FILLED_IN[name] if value == deployment.TO_FILL_IN else value
                for name, value in self.stated(environment).items()}

    def evaluate(self, parameters):
        unknown = set(parameters) - set(self.template["Parameters"])
        self.assertEqual(unknown, set(), "the template does not have these parameters")
        provided = [{"Key": name, "Value": value} for name, value in parameters.items()]
        engine._evaluate_rules(self.template, engine._resolve_parameters(self.template, provided), {})

    def test_every_documented_set_up_is_accepted(self):
        for environment, more in WORKS:
            with self.subTest(environment, **more):
                self.evaluate({**self.filled_in(environment), **more})
        self.assertEqual({environment for environment, _more in WORKS}, set(self.environments))

    def test_each_rule_refuses_its_combinations(self):
        said = set()
        for environment, more, rule, words in REFUSED:
            with self.subTest(environment, **more):
                with self.assertRaises(ValueError) as caught:
                    self.evaluate({**self.filled_in(environment), **more})
                refusal = str(caught.exception)
                self.assertIn(f"rule {rule} failed: ", refusal)
                self.assertIn(words, refusal)
                said.add(refusal.partition(" failed: ")[2])
        every = [one["AssertDescription"] for rule in self.template["Rules"].values() for one in rule["Assertions"]]
        self.assertEqual(sorted(said), sorted(every), "an assertion that no combination of the table breaks")

    def test_a_value_to_fill_in_is_refused_with_a_sentence(self):
        seen = set()
        for environment in self.environments:
            for name, value in self.stated(environment).items():
                if value != deployment.TO_FILL_IN:
                    continue
                seen.add(name)
                with self.subTest(environment, parameter=name), self.assertRaisesRegex(ValueError, f"'{name}' has to be"):
                    self.evaluate({**self.filled_in(environment), name: value})
        self.assertEqual(seen, set(FILLED_IN))

    def test_a_pattern_has_a_sentence(self):
        """For those that people type; CloudFormation shows a pattern otherwise."""
        for path in ["template.yaml", *(f"infra/{name}.yaml" for name in ("budget", "contact-role", "member-account"))]:
            parameters = engine._parse_template((ROOT / path).read_text(encoding="utf-8"))["Parameters"]
            for name, parameter in parameters.items():
                if re.search("AccountId$|^OrganizationId$|Email$|Amount$|KeyArn$|TopicArn$", name):
                    with self.subTest(path, parameter=name):
                        self.assertRegex(parameter["ConstraintDescription"], r"^has to be .+\.$")

    def test_templates_of_other_accounts_are_short_enough(self):
        """CloudFormation takes 51,200 bytes without a bucket; what people and stack sets deploy needs none."""
        for path in sorted((ROOT / "infra").glob("*.yaml")):
            with self.subTest(path.name):
                self.assertLessEqual(len(path.read_bytes()), 51_200)

    def test_the_documented_parameters_are_those_of_the_template(self):
        section = (ROOT / "docs/deploy.md").read_text(encoding="utf-8").split("\n## Parameters\n")[1].split("\n## ")[0]
        first_cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
        documented = [name for cell in first_cells for name in re.findall("`([^`]+)`", cell)]
        self.assertEqual(sorted(documented), sorted(self.template["Parameters"]))

    def test_every_environment_has_the_same_tags_and_capabilities(self):
        for name in self.environments:
            with self.subTest(name):
                settings = deployment.environment(self.samconfig, name)
                # IAM takes "Project" and "project" for one key.
                self.assertEqual([tag.split("=")[0] for tag in settings["tags"]], ["org", "project", "stack", "stage", "role"])
                self.assertIn("project=orgkeeper", settings["tags"])
                self.assertEqual(settings["capabilities"].split(), ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"])


LEDGERS = (
    "Accounts", "VendingState", "Remediations", "Baseline", "AccountsBucket", "PlaybookBucket", "BaselineBucket", "RehearsalsBucket",
    "Posture", "Exposure", "PostureBucket")


class Ledgers(unittest.TestCase):
    """What people and flows have written down outlives flows and stacks."""

    @classmethod
    def setUpClass(cls):
        cls.template = expand.expanded((ROOT / "template.yaml").read_text(encoding="utf-8"))

    def test_tables_and_buckets_are_kept_or_can_be_made_again(self):
        kept = {}
        for name, resource in self.template["Resources"].items():
            if resource["Type"] not in ("AWS::DynamoDB::Table", "AWS::S3::Bucket"):
                continue
            policies = (resource["DeletionPolicy"], resource["UpdateReplacePolicy"])
            self.assertIn(policies, [("RetainExceptOnCreate", "Retain"), ("Delete", "Delete")], name)
            if policies[1] == "Retain":
                kept[name] = resource
        self.assertEqual(set(kept), set(LEDGERS))
        for name, resource in kept.items():
            with self.subTest(name):
                properties = resource["Properties"]
                self.assertEqual(resource["Condition"], "Ledgers")
                if resource["Type"] == "AWS::S3::Bucket":
                    self.assertEqual(properties["VersioningConfiguration"], {"Status": "Enabled"})
                else:
                    self.assertTrue(properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"])
                    self.assertEqual(properties["DeletionProtectionEnabled"], {"Fn::If": ["ProtectTables", True, False]})

    def test_a_flow_that_is_switched_off_leaves_its_ledger_in_the_stack(self):
        flows = ("EnrichFlow", "VendFlow", "AlertFlow", "RemediateFlow", "RehearsalFlow", "PostureFlow")
        for values, ledgers in (
                (dict.fromkeys(flows, "on"), True),
                ({**dict.fromkeys(flows, "off"), "AlertFlow": "on"}, True),
                ({**dict.fromkeys(flows, "off"), "SecurityAccountId": "222222222222"}, False)):
            with self.subTest(**values):
                provided = [{"Key": name, "Value": value} for name, value in values.items()]
                parameters = engine._resolve_parameters(self.template, provided)
                self.assertEqual(engine._evaluate_conditions(self.template, parameters)["Ledgers"], ledgers)

    def test_each_of_them_can_be_imported_into_a_new_stack(self):
        names = {name: f"orgkeeper-{name.lower()}-1" for name in LEDGERS}
        template, to_import = ledger.files(self.template, names)
        self.assertEqual(set(template["Resources"]), set(LEDGERS))
        for resource in template["Resources"].values():
            self.assertEqual(resource["DeletionPolicy"], "Retain")
            self.assertNotRegex(str(resource), "Ref|Fn::|Condition")
        self.assertIn({"ResourceType": "AWS::DynamoDB::Table", "LogicalResourceId": "Accounts",
                       "ResourceIdentifier": {"TableName": "orgkeeper-accounts-1"}}, to_import)
        self.assertIn({"ResourceType": "AWS::S3::Bucket", "LogicalResourceId": "PlaybookBucket",
                       "ResourceIdentifier": {"BucketName": "orgkeeper-playbookbucket-1"}}, to_import)
        one, _ = ledger.files(self.template, {"Accounts": "orgkeeper-Accounts-1"})
        self.assertEqual(list(one["Resources"]), ["Accounts"])
        with self.assertRaisesRegex(ledger.Unknown, "^AlertsSent: it has to be one of .*Accounts"):
            ledger.files(self.template, {"AlertsSent": "x"})


class TrustAcrossAccounts(unittest.TestCase):
    """What other accounts trust by name has that name in the stack."""

    # Template, its role, the parameter that names the account, and the function whose role it trusts.
    TRUSTS = [
        ("contact-role", "ContactReader", "SecurityAccountId", "DirectoryRefresher"),
        ("member-account", "Remediation", "ServiceAccountId", "Remediator"),
    ]

    @classmethod
    def setUpClass(cls):
        cls.template = expand.expanded((ROOT / "template.yaml").read_text(encoding="utf-8"))

    def test_a_role_is_trusted_by_account_name_and_organization(self):
        for path, role, account, function in self.TRUSTS:
            with self.subTest(path):
                trusting = engine._parse_template((ROOT / f"infra/{path}.yaml").read_text(encoding="utf-8"))
                self.assertEqual(trusting["Parameters"]["StackName"]["Default"], "orgkeeper")
                statement, = trusting["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
                root = f"arn:${{AWS::Partition}}:iam::${{{account}}}"
                self.assertEqual(statement["Principal"], {"AWS": {"Fn::Sub": f"{root}:root"}})
                self.assertEqual(statement["Condition"], {
                    "ArnLike": {"aws:PrincipalArn": {"Fn::Sub": f"{root}:role/${{StackName}}-{function}"}},
                    "StringEquals": {"aws:PrincipalOrgID": {"Ref": "OrganizationId"}}})
                name = self.template["Resources"][f"{function}Role"]["Properties"]["RoleName"]
                self.assertEqual(name, {"Fn::Sub": f"${{AWS::StackName}}-{function}"})
                self.assertEqual(self.template["Resources"][function]["Properties"]["Role"], {"Fn::GetAtt": [f"{function}Role", "Arn"]})

    def test_a_role_and_a_function_are_found_by_name(self):
        """What the stack derives from an account id is what the other account has."""
        contacts = engine._parse_template((ROOT / "infra/contact-role.yaml").read_text(encoding="utf-8"))["Resources"]["ContactReader"]
        variables = self.template["Resources"]["DirectoryRefresher"]["Properties"]["Environment"]["Variables"]
        self.assertEqual(variables["CONTACT_ROLE_ARN"]["Fn::If"][1], {
            "Fn::Sub": f"arn:${{AWS::Partition}}:iam::${{ManagementAccountId}}:role/{contacts['Properties']['RoleName']}"})
        remediator = self.template["Resources"]["Remediator"]["Properties"]["FunctionName"]["Fn::Sub"]
        arn = f"arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{ServiceAccountId}}:function:{remediator}"
        proxy = self.template["Resources"]["RemediationProxy"]["Properties"]["Environment"]["Variables"]
        self.assertEqual(proxy["REMEDIATORS"]["Fn::If"][1], {"Fn::Sub": arn})
        remover = self.template["Resources"]["RootCredentialsRemover"]["Properties"]["FunctionName"]["Fn::Sub"]
        arn = f"arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{ManagementAccountId}}:function:{remover}"
        self.assertEqual(proxy["ROOT_CREDENTIALS_FUNCTION"]["Fn::If"][1], {"Fn::Sub": arn})
        # IAM allows 64 characters, and a stack's name here is of 40 at most.
        names = [name.removesuffix("Role") for name, one in self.template["Resources"].items() if one["Type"] == "AWS::IAM::Role"]
        self.assertLessEqual(max(map(len, names)), 64 - 1 - 40)


class KeysOfTheUser(unittest.TestCase):
    """A function may decrypt, with the user's key, the one setting that it reads, and nothing else."""

    def test_each_setting_has_its_statement(self):
        template = expand.expanded((ROOT / "template.yaml").read_text(encoding="utf-8"))
        found = {}
        for name, resource in template["Resources"].items():
            for statement in self.statements(resource):
                if statement["Action"] == "kms:Decrypt":
                    self.assertEqual((statement["Effect"], statement["Resource"]), ("Allow", {"Ref": "SettingsKeyArn"}))
                    self.assertEqual(list(statement["Condition"]), ["StringEquals"])
                    limits = statement["Condition"]["StringEquals"]
                    service = limits.pop("kms:ViaService")["Fn::Sub"].split(".")[0]
                    (context, value), = limits.items()
                    found.setdefault(name.removesuffix("Role"), []).append((service, context.rpartition(":")[2], re.search(r"\w+(?=}?'})", str(value))[0]))
        self.assertEqual(found, {
            "Alerter": [("ssm", "PARAMETER_ARN", "AlertRulesParameter")],
            "SlackNotifier": [("secretsmanager", "SecretARN", "WebhookSecretArn"), ("ssm", "PARAMETER_ARN", "WebhookParameter")],
        })

    def statements(self, node):
        """Every statement of a policy below a part of the template."""
        if isinstance(node, dict):
            if isinstance(node.get("Action"), str) and "Effect" in node:
                yield node
            node = list(node.values())
        if isinstance(node, list):
            for one in node:
                yield from self.statements(one)
def with_arns(node):
    """The same with the name of a resource in place of a reference to it."""
    if isinstance(node, list):
        return [with_arns(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "Ref" in node:
        return node["Ref"]
    if "Fn::GetAtt" in node:
        attribute = node["Fn::GetAtt"]
        return attribute.split(".")[0] if isinstance(attribute, str) else attribute[0]
    if "Fn::Sub" in node:
        return node["Fn::Sub"].removeprefix("${").replace(".Arn}", "")
    return {key: with_arns(value) for key, value in node.items()}


def decision(document, resource, action, tls):
    """What the policy of a resource decides about a call of a service, over TLS or not."""
    context = iam_evaluator.EvalContext(
        principal_arn="*", principal_type="Service", principal_account="", action=action, resource_arn=resource,
        region="", secure_transport=tls)
    return iam_evaluator.evaluate_resource_policy(json.dumps(document), context, service="events.amazonaws.com").decision


def rendered(node, conditions):
    """The text of a dashboard where these conditions hold; resources stay as they are written."""
    if isinstance(node, str):
        return node
    function, argument = next(iter(node.items()))
    if function == "Fn::Sub":
        return argument
    if function == "Fn::If":
        return rendered(argument[1 if argument[0] in conditions else 2], conditions)
    assert function == "Fn::Join", function
    separator, parts = argument
    return separator.join(rendered(part, conditions) for part in parts)


if __name__ == "__main__":
    unittest.main()
