"""Tests of template.yaml that cfn-lint cannot make: every queue and every function has what all have, and settings fit together."""

import json
import re
import unittest
from pathlib import Path

from ministack.core import iam_evaluator

import expand

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
            functions = [one["Fn::If"] for one in metrics if "Fn::If" in one]
            self.assertLessEqual(len(functions), 10)
            for condition, metric, _none in functions:
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
        conditions = ("Enrich", "Directory", "Vend", "Alert", "Chat", "Remediate")
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
