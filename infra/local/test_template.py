"""Tests of template.yaml that cfn-lint cannot make: every queue and every function has what all have, and settings fit together."""

import unittest
from pathlib import Path

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


if __name__ == "__main__":
    unittest.main()
