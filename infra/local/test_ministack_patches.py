"""One smoke test for each patch in `ministack_patches.py`, on a MiniStack that the tests start and stop.

    .venv/cloud/bin/python -m unittest discover -s infra/local
"""

import csv
import datetime
import io
import json
import os
import statistics
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

from emulators import ACCOUNT, ENDPOINT, HERE, OTHER_ACCOUNT, REGION, Cloud, policy


def setUpModule():
    """Starts MiniStack once for all tests."""
    global cloud
    cloud = Cloud()
    cloud.start()


def tearDownModule():
    cloud.stop()


class Buses(unittest.TestCase):
    """Event buses, as CloudFormation lists their rules and as PutPermission sets their policies."""

    def test_rule_of_another_bus_is_listed_with_it(self):
        cloud.client("events").create_event_bus(Name="other")
        rules = {"Of": {"EventBusName": "other"}, "Default": {}}
        stacks = cloud.client("cloudformation")
        stacks.create_stack(StackName="buses", TemplateBody=json.dumps({"Resources": {
            name: {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {"source": ["none"]}, **properties}}
            for name, properties in rules.items()}}))
        stacks.get_waiter("stack_create_complete").wait(StackName="buses", WaiterConfig={"Delay": 1, "MaxAttempts": 10})
        listed = stacks.list_stack_resources(StackName="buses")["StackResourceSummaries"]
        names = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}
        self.assertTrue(names["Of"].startswith("other|buses-Of-"), names)
        self.assertTrue(names["Default"].startswith("buses-Default-"), names)

    def test_bus_takes_a_whole_policy(self):
        events = cloud.client("events")
        events.create_event_bus(Name="whole")
        whole = json.loads(policy({
            "Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": "*",
            "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}))
        events.put_permission(EventBusName="whole", Policy=json.dumps(whole))
        self.assertEqual(json.loads(events.describe_event_bus(Name="whole")["Policy"]), whole)


class Apis(unittest.TestCase):
    """Stages of an HTTP API."""

    def test_the_end_of_access_logs_leaves_the_stage(self):
        apis = cloud.client("apigatewayv2")
        api = apis.create_api(Name="logs", ProtocolType="HTTP")["ApiId"]
        stage = {"ApiId": api, "StageName": "$default"}
        logs = {"DestinationArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:apis", "Format": "$context.requestId"}
        apis.create_stage(**stage, AccessLogSettings=logs)
        self.assertEqual(apis.get_stage(**stage)["AccessLogSettings"], logs)
        apis.delete_access_log_settings(**stage)
        self.assertNotIn("AccessLogSettings", apis.get_stage(**stage))
        with self.assertRaisesRegex(ClientError, "NotFoundException"):
            apis.delete_access_log_settings(**{**stage, "StageName": "other"})


class Secrets(unittest.TestCase):
    """Secrets of a stack."""

    def test_a_reference_is_the_arn_through_create_update_and_delete(self):
        stacks, secrets = cloud.client("cloudformation"), cloud.client("secretsmanager")

        def template(description):
            return json.dumps({
                "Resources": {"Key": {"Type": "AWS::SecretsManager::Secret", "Properties": {
                    "Description": description, "GenerateSecretString": {"PasswordLength": 40}}}},
                "Outputs": {"Key": {"Value": {"Ref": "Key"}}}})

        def output(waiter):
            stacks.get_waiter(waiter).wait(StackName="secrets", WaiterConfig={"Delay": 1, "MaxAttempts": 10})
            return stacks.describe_stacks(StackName="secrets")["Stacks"][0]["Outputs"][0]["OutputValue"]

        stacks.create_stack(StackName="secrets", TemplateBody=template("first"))
        arn = output("stack_create_complete")
        self.assertRegex(arn, f"^arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:secrets-Key-.+-.{{6}}$")
        value = secrets.get_secret_value(SecretId=arn)["SecretString"]
        self.assertEqual(len(value), 40)
        stacks.update_stack(StackName="secrets", TemplateBody=template("second"))
        self.assertEqual(output("stack_update_complete"), arn)
        self.assertEqual(secrets.describe_secret(SecretId=arn)["Description"], "second")
        self.assertEqual(secrets.get_secret_value(SecretId=arn)["SecretString"], value)
        stacks.delete_stack(StackName="secrets")
        stacks.get_waiter("stack_delete_complete").wait(StackName="secrets", WaiterConfig={"Delay": 1, "MaxAttempts": 10})
        with self.assertRaises(ClientError):
            secrets.get_secret_value(SecretId=arn)


class Events(unittest.TestCase):
    """Buses, rules and schedules."""

    def bus(self, name, policy_of=None):
        """A bus of the other account with a queue behind it; returns the bus's ARN and the queue's URL."""
        events = cloud.client("events", OTHER_ACCOUNT)
        bus = events.create_event_bus(Name=name)["EventBusArn"]
        url, arn = cloud.queue(f"{name}-behind", OTHER_ACCOUNT)
        events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps({"detail-type": [{"exists": True}]}))
        events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "1", "Arn": arn}])
        if policy_of:
            resource = {"Type": "AWS::Events::EventBusPolicy", "Properties": {
                "EventBusName": name, "StatementId": "in", "Statement": {
                    "Effect": "Allow", "Action": "events:PutEvents", "Resource": bus, **policy_of}}}
            self.stack(name, OTHER_ACCOUNT, {"Policy": resource})
        return bus, url

    def stack(self, name, account, resources):
        stacks = cloud.client("cloudformation", account)
        stacks.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))
        stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 10})

    def forwarder(self, name, bus):
        """A role that EventBridge may assume, and that may put events on this bus only."""
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "events.amazonaws.com"},
                 "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}}
        return cloud.role(name, ACCOUNT, {"Effect": "Allow", "Action": "events:PutEvents", "Resource": bus}, trust=trust)

    def depth(self, url, account=ACCOUNT):
        answer = cloud.client("sqs", account).get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    FROM_ACCOUNT = {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}

    def test_a_caller_may_not_use_sources_of_aws_and_services_may(self):
        url, arn = cloud.queue("sources")
        cloud.rule("sources", {"source": ["aws.securityhub", "custom"]}, Arn=arn)
        entry = {"Source": "aws.securityhub", "DetailType": "test", "Detail": "{}"}
        answer = cloud.client("events").put_events(Entries=[entry, {**entry, "Source": "custom"}])
        self.assertEqual(answer["FailedEntryCount"], 1)
        self.assertEqual(answer["Entries"][0]["ErrorCode"], "NotAuthorizedForSourceException")
        self.assertEqual(json.loads(cloud.messages(url)[0]["Body"])["source"], "custom")
        cloud.service_events({**entry, "Account": ACCOUNT, "Region": REGION})
        self.assertEqual(json.loads(cloud.messages(url)[0]["Body"])["source"], "aws.securityhub")

    def test_the_envelope_has_the_account_and_region_of_the_sender(self):
        bus, url = self.bus("sender", self.FROM_ACCOUNT)
        entry = {"Source": "custom", "DetailType": "test", "Detail": '{"account": "1"}', "EventBusName": bus}
        answer = cloud.client("events").put_events(Entries=[entry, {**entry, "Source": "aws.signin"}])
        self.assertEqual([one.get("ErrorCode") for one in answer["Entries"]], [None, "NotAuthorizedForSourceException"])
        event = json.loads(cloud.messages(url, account=OTHER_ACCOUNT)[0]["Body"])
        self.assertEqual((event["account"], event["region"]), (ACCOUNT, REGION))

    def test_a_bus_lets_in_whom_its_policy_names(self):
        closed, _ = self.bus("closed")
        source = {"ForAllValues:StringEquals": {"events:source": ["aws.organizations"]}}
        narrow, _ = self.bus("narrow", {**self.FROM_ACCOUNT, "Condition": source})
        other, _ = self.bus("other", {"Principal": {"AWS": "arn:aws:iam::333333333333:root"}})
        for bus in (closed, narrow, other):
            with self.assertRaises(ClientError) as caught:
                cloud.client("events").put_events(Entries=[
                    {"Source": "custom", "DetailType": "test", "Detail": "{}", "EventBusName": bus}])
            self.assertEqual(caught.exception.response["Error"]["Code"], "AccessDeniedException", bus)

    def test_event_reaches_bus_of_other_account_and_region(self):
        bus, url = self.bus("central", self.FROM_ACCOUNT)
        there = cloud.client("events", region="eu-west-1")
        there.put_rule(Name="forward", EventPattern=json.dumps({"source": ["aws.signin"]}))
        there.put_targets(Rule="forward", Targets=[{"Id": "1", "Arn": bus, "RoleArn": self.forwarder("forward", bus)}])
        cloud.service_events(
            {"Source": "aws.signin", "DetailType": "test", "Detail": "{}", "Account": ACCOUNT, "Region": "eu-west-1"})
        event = json.loads(cloud.messages(url, account=OTHER_ACCOUNT)[0]["Body"])
        self.assertEqual((event["account"], event["region"], event["source"]), (ACCOUNT, "eu-west-1", "aws.signin"))

    def test_what_may_not_be_forwarded_goes_to_the_dead_letter_queue_and_is_counted(self):
        open_bus, arrived = self.bus("open", self.FROM_ACCOUNT)
        closed_bus, _ = self.bus("shut")
        role, other_role = self.forwarder("to-open", open_bus), self.forwarder("to-shut", closed_bus)
        for number, (bus, role_arn, works) in enumerate([
                (open_bus, role, True), (open_bus, other_role, False), (closed_bus, other_role, False),
                (open_bus, f"arn:aws:iam::{ACCOUNT}:role/missing", False),
                (open_bus, f"arn:aws:iam::{ACCOUNT}:role/any", False)]):
            name = f"forward-{number}"
            url, arn = cloud.queue(f"{name}-dead")
            cloud.rule(name, {"source": [name]}, Arn=bus, RoleArn=role_arn, DeadLetterConfig={"Arn": arn})
            self.alarm(name)
            cloud.put_event(name)
            with self.subTest(name):
                changed = cloud.evaluate_alarms()
                if works:
                    cloud.messages(arrived, account=OTHER_ACCOUNT)
                    self.assertEqual(self.depth(url), 0)
                    self.assertNotIn("ALARM", self.state(name))
                else:
                    attributes = cloud.messages(url)[0]["MessageAttributes"]
                    self.assertEqual(attributes["ERROR_CODE"]["StringValue"], "NO_PERMISSIONS")
                    self.assertIn(name, changed)
                    self.assertEqual(self.state(name), "ALARM")
        self.assertEqual(self.depth(arrived, OTHER_ACCOUNT), 0)

    def alarm(self, rule):
        cloud.client("cloudwatch").put_metric_alarm(
            AlarmName=rule, Namespace="AWS/Events", MetricName="FailedInvocations", Statistic="Sum", Period=60,
            Dimensions=[{"Name": "RuleName", "Value": rule}], EvaluationPeriods=1, Threshold=0,
            ComparisonOperator="GreaterThanThreshold", TreatMissingData="notBreaching")

    def state(self, alarm):
        return cloud.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"]

    def test_a_query_over_all_rules_raises_an_alarm_and_its_event(self):
        url, arn = cloud.queue("alarm-events")
        cloud.rule("alarm-events", {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["all-rules"]}}, Arn=arn)
        query = 'SELECT SUM(FailedInvocations) FROM SCHEMA("AWS/Events", RuleName)'
        self.stack("query", ACCOUNT, {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {
            "AlarmName": "all-rules", "Metrics": [{"Id": "failed", "Expression": query, "Period": 300}],
            "EvaluationPeriods": 1, "Threshold": 0, "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching"}}})
        cloud.rule("failing", {"source": ["failing"]}, Arn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:nowhere")
        cloud.put_event("failing")
        cloud.evaluate_alarms()
        self.assertEqual(self.state("all-rules"), "ALARM")
        event = json.loads(cloud.messages(url)[-1]["Body"])
        self.assertEqual((event["detail-type"], event["account"]), ("CloudWatch Alarm State Change", ACCOUNT))
        self.assertEqual(event["detail"]["state"]["value"], "ALARM")

    def test_event_for_missing_target_goes_to_its_dead_letter_queue(self):
        url, arn = cloud.queue("set-aside")
        gone = f"arn:aws:sqs:{REGION}:{ACCOUNT}:gone"
        cloud.rule("missing", {"source": ["missing"]}, Arn=gone, DeadLetterConfig={"Arn": arn})
        cloud.put_event("missing", word="kept")
        message = cloud.messages(url)[0]
        self.assertEqual(json.loads(message["Body"])["detail"], {"word": "kept"})
        self.assertEqual(message["MessageAttributes"]["TARGET_ARN"]["StringValue"], gone)

    def test_a_queue_gets_only_what_its_policy_lets_in_over_tls(self):
        url, arn = cloud.queue("set-aside-refused")
        rule = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
                "Resource": "*", "Condition": {"ArnEquals": {
                    "aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/let-in"}}}
        tls = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*",
               "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
        guarded, guarded_arn = cloud.queue("guarded", Policy=policy(rule, tls))
        for name in ("let-in", "kept-out"):
            cloud.rule(name, {"source": ["guarded"]}, Arn=guarded_arn, DeadLetterConfig={"Arn": arn})
        cloud.put_event("guarded")
        cloud.messages(guarded)
        refused = cloud.messages(url)[0]["MessageAttributes"]
        self.assertIn("kept-out", refused["RULE_ARN"]["StringValue"])

    def test_reads_reach_only_rules_that_ask_for_them(self):
        events, pattern = cloud.client("events"), json.dumps({"source": ["aws.iam"]})
        all_state = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
        queues = {name: cloud.queue(name) for name in ("changes", "reads", "stacked", "off")}
        for name, state in (("changes", "ENABLED"), ("reads", all_state), ("off", "DISABLED")):
            events.put_rule(Name=name, EventPattern=pattern, State=state)
            events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": queues[name][1]}])
        rule = {"Type": "AWS::Events::Rule", "Properties": {
            "Name": "stacked", "State": all_state, "EventPattern": json.loads(pattern),
            "Targets": [{"Id": "1", "Arn": queues["stacked"][1]}]}}
        stacks = cloud.client("cloudformation")
        stacks.create_stack(StackName="reads", TemplateBody=json.dumps({"Resources": {"Rule": rule}}))
        stacks.get_waiter("stack_create_complete").wait(StackName="reads", WaiterConfig={"Delay": 1, "MaxAttempts": 10})
        self.assertEqual(events.describe_rule(Name="stacked")["State"], all_state)

        def send(*operations, kind="AWS API Call via CloudTrail"):
            cloud.service_events(*(
                {"Source": "aws.iam", "DetailType": kind, "Detail": json.dumps({"eventName": operation})}
                for operation in operations))

        def received(name, count):
            bodies = [json.loads(message["Body"]) for message in cloud.messages(queues[name][0], count)]
            return sorted(body["detail"]["eventName"] for body in bodies)

        send("GetUser", "ListUsers", "DescribeUser", "GetSessionToken", "CreateUser")
        changes, everything = ["CreateUser", "GetSessionToken"], sorted(
            ["GetUser", "ListUsers", "DescribeUser", "GetSessionToken", "CreateUser"])
        self.assertEqual(received("reads", 5), everything)
        self.assertEqual(received("stacked", 5), everything)
        self.assertEqual(received("changes", 2), changes)
        # Only CloudTrail's records of calls are told apart, and EnableRule asks for changes alone.
        events.enable_rule(Name="reads")
        send("GetUser", kind="AWS Service Event via CloudTrail")
        send("ListUsers")
        send("DeleteUser")
        self.assertEqual(received("reads", 2), ["DeleteUser", "GetUser"])
        self.assertEqual(received("changes", 2), ["DeleteUser", "GetUser"])
        depth = cloud.client("sqs").get_queue_attributes(
            QueueUrl=queues["off"][0], AttributeNames=["ApproximateNumberOfMessages"])
        self.assertEqual(depth["Attributes"]["ApproximateNumberOfMessages"], "0")
        with self.assertRaises(ClientError) as caught:
            events.put_rule(Name="changes", EventPattern=pattern, State="ON")
        self.assertEqual(caught.exception.response["Error"]["Code"], "ValidationException")

    def test_a_change_set_adds_and_removes_what_a_condition_decides(self):
        stacks = cloud.client("cloudformation")
        queue = {"Type": "AWS::SQS::Queue", "Condition": "On"}
        body = json.dumps({
            "Parameters": {"Flow": {"Type": "String"}},
            "Conditions": {"On": {"Fn::Equals": [{"Ref": "Flow"}, "on"]}},
            "Resources": {"Always": {"Type": "AWS::SQS::Queue"}, "Flowing": queue}})

        def change(kind, flow):
            name = f"{kind}-{flow}".lower()
            request = {"StackName": "switched", "ChangeSetName": name}
            stacks.create_change_set(
                **request, ChangeSetType=kind, TemplateBody=body,
                Parameters=[{"ParameterKey": "Flow", "ParameterValue": flow}])
            found = stacks.describe_change_set(**request)
            changes = [one["ResourceChange"] for one in found["Changes"]]
            if changes:
                stacks.execute_change_set(**request)
                stacks.get_waiter(f"stack_{'create' if kind == 'CREATE' else 'update'}_complete").wait(
                    StackName="switched", WaiterConfig={"Delay": 1, "MaxAttempts": 10})
            return sorted((one["Action"], one["LogicalResourceId"]) for one in changes)

        self.assertEqual(change("CREATE", "on"), [("Add", "Always"), ("Add", "Flowing")])
        self.assertEqual(change("UPDATE", "on"), [])
        self.assertEqual(change("UPDATE", "off"), [("Remove", "Flowing")])
        self.assertEqual(change("UPDATE", "ON"), [])
        stacks.delete_change_set(StackName="switched", ChangeSetName="update-on")
        self.assertEqual(change("UPDATE", "on"), [("Add", "Flowing")])

    def test_schedule_fires_within_two_seconds(self):
        url, arn = cloud.queue("schedule")
        due = time.time() + 2
        cloud.client("scheduler").create_schedule(
            Name="once", ScheduleExpression=time.strftime("at(%Y-%m-%dT%H:%M:%S)", time.gmtime(due)),
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": arn, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/any", "Input": "{}"})
        cloud.messages(url, seconds=6)
        self.assertLess(time.time() - due, 2)

    def test_object_event_has_version(self):
        url, arn = cloud.queue("objects")
        cloud.rule("objects", {"source": ["aws.s3"]}, Arn=arn)
        storage = cloud.client("s3")
        storage.create_bucket(Bucket="versions")
        storage.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
        storage.put_bucket_notification_configuration(
            Bucket="versions", NotificationConfiguration={"EventBridgeConfiguration": {}})
        version = storage.put_object(Bucket="versions", Key="accounts.csv", Body=b"a,b")["VersionId"]
        event = json.loads(cloud.messages(url)[0]["Body"])
        self.assertEqual(event["detail"]["object"]["version-id"], version)


class Refusals(unittest.TestCase):
    """Requests that AWS refuses."""

    KEY = {"id": {"S": "a"}}

    def setUp(self):
        self.client = cloud.client("dynamodb")
        self.table = self.id().rpartition(".")[2]

    def make_table(self):
        self.client.create_table(
            TableName=self.table, BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])

    def refused(self, words, call, **request):
        with self.assertRaises(ClientError) as caught:
            call(**request)
        self.assertIn(words, caught.exception.response["Error"]["Message"])

    def update_refused(self, words, **update):
        """Alone and in a transaction, of which nothing is written."""
        update = {"TableName": self.table, "Key": self.KEY, **update}
        self.refused(words, self.client.update_item, **update)
        good = {"Put": {"TableName": self.table, "Item": {"id": {"S": "good"}}}}
        self.refused(words, self.client.transact_write_items, TransactItems=[good, {"Update": update}])
        self.assertEqual(self.client.scan(TableName=self.table)["Count"], 0)

    def test_unclear_updates(self):
        self.make_table()
        one = {":a": {"SS": ["1"]}}
        for expression in ("ADD #a :a DELETE #a :a", "SET #a = :a, #a.b = :a", "SET #a = :a REMOVE #a"):
            self.update_refused("Two document paths overlap", UpdateExpression=expression,
                                ExpressionAttributeNames={"#a": "attribute"}, ExpressionAttributeValues=one)
        self.update_refused("can only be used once", UpdateExpression="SET x = :a SET y = :a",
                            ExpressionAttributeValues=one)
        self.update_refused("Syntax error", UpdateExpression="SET x = :a,", ExpressionAttributeValues=one)
        self.update_refused("part of the key", UpdateExpression="SET id = :a", ExpressionAttributeValues=one)

    def test_writes_that_do_not_fit_the_table(self):
        self.make_table()
        self.update_refused("does not match the schema", UpdateExpression="REMOVE x",
                            Key={**self.KEY, "b": {"S": "c"}})
        self.update_refused("may not be empty", UpdateExpression="ADD x :a",
                            ExpressionAttributeValues={":a": {"SS": []}})
        self.update_refused("must not be empty", UpdateExpression="REMOVE x", ExpressionAttributeValues={})

    def test_clear_writes_are_not_refused(self):
        self.make_table()
        update = {
            "TableName": self.table, "Key": self.KEY,
            "UpdateExpression":
                "SET #s = if_not_exists(#s, :v), alone = :v REMOVE hint, trace ADD running :one, taken :n",
            "ExpressionAttributeNames": {"#s": "Status"},
            "ExpressionAttributeValues": {":v": {"S": "VALID"}, ":one": {"SS": ["x"]}, ":n": {"N": "1"}},
        }
        put = {"TableName": self.table, "Item": {"id": {"S": "b"}, "empty": {"S": ""}, "list": {"L": []}}}
        self.client.transact_write_items(TransactItems=[{"Update": update}, {"Put": put}])
        self.assertEqual(self.client.scan(TableName=self.table)["Count"], 2)

    def test_unfit_messages(self):
        notifications, queues = cloud.client("sns"), cloud.client("sqs")
        topic = notifications.create_topic(Name="unfit")["TopicArn"]
        unfit = {
            "Message Structure - No default": {"Message": json.dumps({"sqs": "text"}), "MessageStructure": "json"},
            "Message Structure - JSON": {"Message": "text", "MessageStructure": "json"},
            "Subject": {"Message": "text", "Subject": "two\nlines"},
            "Empty message": {"Message": ""},
        }
        for words, message in unfit.items():
            self.refused(words, notifications.publish, TopicArn=topic, **message)
        url, _arn = cloud.queue("unfit")
        self.refused("DelaySeconds", queues.send_message, QueueUrl=url, MessageBody="text", DelaySeconds=901)
        answer = queues.send_message_batch(QueueUrl=url, Entries=[
            {"Id": "1", "MessageBody": "text", "DelaySeconds": 901},
            {"Id": "2", "MessageBody": "text", "DelaySeconds": 900}])
        self.assertEqual([entry["Id"] for entry in answer["Failed"]], ["1"])


class MissingResources(unittest.TestCase):
    """What AWS refuses because something else is missing; and a wrong change that changes nothing."""

    def refused(self, code, call, **request):
        with self.assertRaises(ClientError) as caught:
            call(**request)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)

    def test_access_logs_need_a_bucket(self):
        storage = cloud.client("s3")
        for bucket in ("logged", "access-logs"):
            storage.create_bucket(Bucket=bucket)

        def log_to(target):
            status = {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": "p/"}}
            return {"Bucket": "logged", "BucketLoggingStatus": status}

        self.refused("InvalidTargetBucketForLogging", storage.put_bucket_logging, **log_to("missing"))
        self.assertNotIn("LoggingEnabled", storage.get_bucket_logging(Bucket="logged"))
        storage.put_bucket_logging(**log_to("access-logs"))
        self.assertIn("LoggingEnabled", storage.get_bucket_logging(Bucket="logged"))
        storage.put_bucket_logging(Bucket="logged", BucketLoggingStatus={})
        self.assertNotIn("LoggingEnabled", storage.get_bucket_logging(Bucket="logged"))

    def test_a_trail_needs_a_bucket(self):
        trails = cloud.client("cloudtrail")
        self.refused("S3BucketDoesNotExistException", trails.create_trail, Name="trail", S3BucketName="missing")
        self.assertEqual(trails.describe_trails()["trailList"], [])
        cloud.client("s3", OTHER_ACCOUNT).create_bucket(Bucket="trail-of-all")
        trails.create_trail(Name="trail", S3BucketName="trail-of-all")
        self.refused("S3BucketDoesNotExistException", trails.update_trail, Name="trail", S3BucketName="missing")
        self.assertEqual(trails.get_trail(Name="trail")["Trail"]["S3BucketName"], "trail-of-all")

    def test_rotation_needs_a_symmetric_key(self):
        keys = cloud.client("kms")
        symmetric = keys.create_key()["KeyMetadata"]["KeyId"]
        keys.enable_key_rotation(KeyId=symmetric)
        self.assertTrue(keys.get_key_rotation_status(KeyId=symmetric)["KeyRotationEnabled"])
        pair = keys.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        self.refused("UnsupportedOperationException", keys.enable_key_rotation, KeyId=pair)
        self.assertFalse(keys.get_key_rotation_status(KeyId=pair)["KeyRotationEnabled"])

    def test_a_function_without_a_policy(self):
        functions = cloud.client("lambda")
        cloud.function("unshared", "keep")
        self.refused("ResourceNotFoundException", functions.get_policy, FunctionName="unshared")
        functions.add_permission(
            FunctionName="unshared", StatementId="public", Action="lambda:InvokeFunction", Principal="*")
        self.assertIn("public", functions.get_policy(FunctionName="unshared")["Policy"])
        self.refused(
            "ResourceNotFoundException", functions.remove_permission, FunctionName="unshared", StatementId="other")
        self.assertIn("public", functions.get_policy(FunctionName="unshared")["Policy"])
        functions.remove_permission(FunctionName="unshared", StatementId="public")
        self.refused("ResourceNotFoundException", functions.get_policy, FunctionName="unshared")


class Alarms(unittest.TestCase):
    """Alarms of templates."""

    def test_an_alarm_on_an_expression_is_made(self):
        metrics = [{"Id": "failed", "Expression": 'SELECT SUM(FailedInvocations) FROM "AWS/Events"', "Period": 300,
                    "Label": "FailedInvocations"}]
        alarm = {"Type": "AWS::CloudWatch::Alarm", "Properties": {
            "Metrics": metrics, "EvaluationPeriods": 1, "Threshold": 0, "ComparisonOperator": "GreaterThanThreshold"}}
        stacks = cloud.client("cloudformation")
        stacks.create_stack(StackName="math", TemplateBody=json.dumps({"Resources": {"Alarm": alarm}}))
        stacks.get_waiter("stack_create_complete").wait(StackName="math", WaiterConfig={"Delay": 1, "MaxAttempts": 10})
        made = cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix="math-")["MetricAlarms"][0]
        self.assertEqual((made["MetricName"], made["Period"]), ("FailedInvocations", 300))


class Users(unittest.TestCase):
    """What IAM stores about an account's users."""

    def setUp(self):
        self.iam = cloud.client("iam")

    def test_a_partial_password_policy_resets_the_rest(self):
        self.iam.update_account_password_policy(
            MinimumPasswordLength=14, RequireSymbols=True, MaxPasswordAge=90, PasswordReusePrevention=24)
        # A wrong fix: one member only.
        self.iam.update_account_password_policy(RequireNumbers=True)
        now = self.iam.get_account_password_policy()["PasswordPolicy"]
        self.assertEqual(
            (now["MinimumPasswordLength"], now["RequireSymbols"], now["RequireNumbers"], now["ExpirePasswords"]),
            (6, False, True, False))
        self.assertNotIn("PasswordReusePrevention", now)

    def test_the_support_policy_allows_support_only(self):
        arn = "arn:aws:iam::aws:policy/AWSSupportAccess"
        version = self.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = self.iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        self.assertEqual(document["Statement"][0]["Action"], ["support:*", "support-console:*"])
        self.iam.create_role(RoleName="support", AssumeRolePolicyDocument=policy({
            "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}))
        self.assertEqual(self.iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"], [])
        # A wrong fix: another policy.
        self.iam.attach_role_policy(RoleName="support", PolicyArn="arn:aws:iam::aws:policy/SecurityAudit")
        self.assertEqual(self.iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"], [])
        self.iam.attach_role_policy(RoleName="support", PolicyArn=arn)
        self.assertEqual(
            [role["RoleName"] for role in self.iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"]], ["support"])

    def report(self):
        self.iam.generate_credential_report()
        text = self.iam.get_credential_report()["Content"].decode()
        return {row["user"]: row for row in csv.DictReader(io.StringIO(text))}

    def test_credentials_are_as_old_as_the_test_says(self):
        self.iam.create_user(UserName="old")
        self.iam.create_login_profile(UserName="old", Password="not-a-real-1-Password")
        key = self.iam.create_access_key(UserName="old")["AccessKey"]["AccessKeyId"]
        fresh = self.report()
        self.assertEqual(fresh["old"]["password_last_used"], "no_information")
        self.assertEqual(fresh["old"]["access_key_1_last_used_date"], "N/A")
        self.assertEqual(fresh["<root_account>"]["password_last_used"], "no_information")
        self.assertEqual(fresh["<root_account>"]["access_key_1_active"], "false")
        cloud.age_credentials("old", created=120, used=60)
        row = self.report()["old"]
        for column, days in (("access_key_1_last_rotated", 120), ("access_key_1_last_used_date", 60),
                             ("password_last_changed", 120), ("password_last_used", 60)):
            self.assertEqual(age(datetime.datetime.fromisoformat(row[column])), days, column)
        self.assertEqual(age(self.iam.list_access_keys(UserName="old")["AccessKeyMetadata"][0]["CreateDate"]), 120)
        self.assertEqual(
            age(self.iam.get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"]["LastUsedDate"]), 60)
        self.assertEqual(age(self.iam.get_user(UserName="old")["User"]["PasswordLastUsed"]), 60)
        # A wrong fix: a second key beside the old one.
        self.iam.create_access_key(UserName="old")
        self.assertEqual(self.report()["old"]["access_key_1_active"], "true")
        self.iam.update_access_key(UserName="old", AccessKeyId=key, Status="Inactive")
        self.assertEqual(self.report()["old"]["access_key_1_active"], "false")

    def test_the_report_has_what_root_was_given(self):
        columns = ("password_enabled", "access_key_1_active", "access_key_2_active", "mfa_active")
        for given, expected in (
                ({"password": "true", "keys": "AKIAROOTROOTROOTROOT"}, ["true", "true", "false", "false"]),
                ({"devices": f"arn:aws:iam::{ACCOUNT}:mfa/root"}, ["false", "false", "false", "true"]),
                ({}, ["false"] * 4)):
            cloud.plant_root_credentials(ACCOUNT, **given)
            root = self.report()["<root_account>"]
            self.assertEqual([root[column] for column in columns], expected)
            self.assertEqual(root["password_last_used"], "no_information")


def age(date):
    """How many days ago a date was."""
    return round((datetime.datetime.now(datetime.timezone.utc) - date).total_seconds() / 86400)


class AsynchronousInvocations(unittest.TestCase):
    """A failing function of a rule or topic is called three times; then its failure destination gets the event."""

    def fails_three_times(self, name, connect, send):
        url, destination = cloud.queue(f"{name}-failures")
        function = cloud.function(name, "fail")
        cloud.client("lambda").put_function_event_invoke_config(
            FunctionName=name, DestinationConfig={"OnFailure": {"Destination": destination}})
        connect(function)
        send()
        self.assertEqual(len(cloud.invocations(name, 3)), 3)
        self.assertEqual(json.loads(cloud.messages(url)[0]["Body"])["requestContext"]["condition"], "RetriesExhausted")

    def test_from_rule(self):
        self.fails_three_times(
            "of-rule",
            lambda function: cloud.rule("of-rule", {"source": ["of-rule"]}, Arn=function),
            lambda: cloud.put_event("of-rule"))

    def test_from_topic(self):
        notifications = cloud.client("sns")
        topic = notifications.create_topic(Name="of-topic")["TopicArn"]
        self.fails_three_times(
            "of-topic",
            lambda function: notifications.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function),
            lambda: notifications.publish(TopicArn=topic, Message="text"))


class Mail(unittest.TestCase):
    """The text of e-mail subscriptions."""

    def test_mail_is_kept(self):
        notifications = cloud.client("sns")
        topic = notifications.create_topic(Name="mail")["TopicArn"]
        notifications.subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.com")
        notifications.publish(TopicArn=topic, Subject="Root login", MessageStructure="json",
                              Message=json.dumps({"default": "{}", "email": "Somebody signed in as root."}))
        mail = json.loads((cloud.directory / "mail.jsonl").read_text())
        self.assertEqual(
            (mail["to"], mail["subject"], mail["text"]),
            ("ops@example.com", "Root login", "Somebody signed in as root."))


class QueueMappings(unittest.TestCase):
    """Batches between a queue and its function."""

    def mapped(self, name, behaviour, count, **settings):
        """Makes a queue with a function behind it and sends `count` messages; returns the URL and when it began."""
        url, arn = cloud.queue(name)
        cloud.function(name, behaviour)
        cloud.client("lambda").create_event_source_mapping(FunctionName=name, EventSourceArn=arn, **settings)
        client, start = cloud.client("sqs"), time.time()
        for first in range(0, count, 10):
            client.send_message_batch(QueueUrl=url, Entries=[
                {"Id": str(n), "MessageBody": str(n)} for n in range(first, min(first + 10, count))])
        return url, start

    def test_window_gathers_more_than_ten_and_ends_on_time(self):
        _url, start = self.mapped("gather", "keep", 25, BatchSize=100, MaximumBatchingWindowInSeconds=1)
        invocation = cloud.invocations("gather")[0]
        self.assertEqual(len(invocation["event"]["Records"]), 25)
        # The window, and at most 0.2 s with the start of the function.
        waited = invocation["start"] - start
        self.assertTrue(1 <= waited < 1.35, f"waited {waited:.2f} s for a window of 1 s")

    def test_full_batch_does_not_wait_for_the_window(self):
        _url, start = self.mapped("full", "keep", 20, BatchSize=20, MaximumBatchingWindowInSeconds=30)
        invocation = cloud.invocations("full")[0]
        self.assertEqual(len(invocation["event"]["Records"]), 20)
        self.assertLess(invocation["start"] - start, 1)

    def test_most_invocations_at_once(self):
        self.mapped("at-once", "slow", 8, BatchSize=1, ScalingConfig={"MaximumConcurrency": 2})
        starts = sorted(invocation["start"] for invocation in cloud.invocations("at-once", 8))
        # Each takes 0.4 s, so of any three in a row the last begins after the first has ended.
        apart = [third - first for first, third in zip(starts, starts[2:])]
        self.assertGreater(min(apart), 0.35)

    def test_wrong_partial_response_keeps_the_messages(self):
        url, _start = self.mapped("unknown", "name-unknown", 3, FunctionResponseTypes=["ReportBatchItemFailures"])
        cloud.invocations("unknown")
        time.sleep(0.2)
        attributes = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        self.assertEqual(attributes["ApproximateNumberOfMessagesNotVisible"], "3")

    def test_a_moved_clock_ends_visibility_timeouts_delays_and_retention(self):
        client = cloud.client("sqs")
        url, _arn = cloud.queue("clock", VisibilityTimeout="600", MessageRetentionPeriod="3600")

        def counts():
            names = ("", "NotVisible", "Delayed")
            attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            return tuple(int(attributes[f"ApproximateNumberOfMessages{name}"]) for name in names)

        client.send_message(QueueUrl=url, MessageBody="received")
        self.assertEqual(len(cloud.messages(url)), 1)
        client.send_message(QueueUrl=url, MessageBody="delayed", DelaySeconds=900)
        self.assertEqual(counts(), (0, 1, 1))
        start = cloud.advance_clock(0)
        self.assertEqual(cloud.advance_clock(590), start + 590)
        self.assertEqual(counts(), (0, 1, 1))
        cloud.advance_clock(10)
        self.assertEqual(counts(), (1, 0, 1))
        cloud.advance_clock(300)
        self.assertEqual(counts(), (2, 0, 0))
        # A message that is sent now waits its whole delay.
        client.send_message(QueueUrl=url, MessageBody="new", DelaySeconds=10)
        self.assertEqual(counts(), (2, 0, 1))
        found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
        ages = [time.time() - int(message["Attributes"]["SentTimestamp"]) / 1000 for message in found]
        self.assertEqual([round(age / 100) for age in ages], [9, 9])
        cloud.advance_clock(2690)
        self.assertEqual(counts(), (3, 0, 0))
        cloud.advance_clock(10)
        self.assertEqual(counts(), (1, 0, 0))

    def test_a_moved_clock_returns_the_messages_of_a_failed_invocation_and_ends_a_batching_window(self):
        self.mapped("clock-fails", "fail", 1)
        cloud.invocations("clock-fails")
        time.sleep(1.5)
        self.assertEqual(len(cloud.invocations("clock-fails")), 1)
        cloud.advance_clock(30)
        again = cloud.invocations("clock-fails", 2)[1]
        self.assertEqual(again["event"]["Records"][0]["attributes"]["ApproximateReceiveCount"], "2")

        self.mapped("clock-window", "keep", 1, BatchSize=20, MaximumBatchingWindowInSeconds=300)
        time.sleep(1)
        self.assertFalse((cloud.directory / "clock-window").exists(), "called before its window ended")
        cloud.advance_clock(300)
        cloud.invocations("clock-window")

    def test_queue_url_is_of_the_endpoint(self):
        url, _arn = cloud.queue("url")
        self.assertTrue(url.startswith(ENDPOINT + "/"), url)


def mapped_table(name, behaviour, **settings):
    """Makes a table with a function on its stream; returns the URL of the failure destination."""
    url, destination = cloud.queue(f"{name}-failures")
    stream = cloud.client("dynamodb").create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]["LatestStreamArn"]
    cloud.function(name, behaviour)
    cloud.client("lambda").create_event_source_mapping(
        FunctionName=name, EventSourceArn=stream, StartingPosition="TRIM_HORIZON", MaximumRetryAttempts=2,
        DestinationConfig={"OnFailure": {"Destination": destination}}, **{"BatchSize": 10, **settings})
    return url


def put(table, *identifiers):
    """Puts an item for each id."""
    client = cloud.client("dynamodb")
    for identifier in identifiers:
        client.put_item(TableName=table, Item={"id": {"S": identifier}})


def calls(name, count):
    """The ids of the records of each call."""
    return [[record["dynamodb"]["Keys"]["id"]["S"] for record in invocation["event"]["Records"]]
            for invocation in cloud.invocations(name, count)]


class StreamMappings(unittest.TestCase):
    """Batches between a DynamoDB stream and its function."""

    def test_poison_record_is_discarded_alone(self):
        url = mapped_table("partial", "poison", FunctionResponseTypes=["ReportBatchItemFailures"],
                          BisectBatchOnFunctionError=True, MaximumBatchingWindowInSeconds=1)
        put("partial", "a", "b", "poison", "c")
        discarded = json.loads(cloud.messages(url, seconds=8)[0]["Body"])
        self.assertEqual(discarded["requestContext"]["condition"], "RetryAttemptsExhausted")
        self.assertEqual(discarded["DDBStreamBatchInfo"]["batchSize"], 1)
        self.assertEqual(
            calls("partial", 6),
            [["a", "b", "poison", "c"], ["poison", "c"], ["poison"], ["poison"], ["poison"], ["c"]])

    def test_stream_continues_after_a_batch_that_fails_as_a_whole(self):
        url = mapped_table("whole", "fail")
        put("whole", "a")
        cloud.messages(url, seconds=8)
        put("whole", "b")
        self.assertEqual(calls("whole", 4), [["a"], ["a"], ["a"], ["b"]])


class Twice(unittest.TestCase):
    """Everything is delivered twice while the file exists."""

    def setUp(self):
        switch = cloud.directory / "deliver-twice"
        switch.touch()
        self.addCleanup(switch.unlink, missing_ok=True)
        self.switch = switch

    def test_event_reaches_its_target_twice(self):
        url, arn = cloud.queue("twice")
        cloud.rule("twice", {"source": ["twice"]}, Arn=arn)
        cloud.put_event("twice")
        first, second = (json.loads(message["Body"]) for message in cloud.messages(url, 2))
        self.assertEqual(first, second)
        self.switch.unlink()
        cloud.put_event("twice", last=True)
        time.sleep(1)
        self.assertEqual(len(cloud.messages(url)), 1)

    def test_messages_are_delivered_again_in_reverse_order_until_the_file_is_removed(self):
        url, arn = cloud.queue("again", RedrivePolicy=json.dumps(
            {"maxReceiveCount": 2, "deadLetterTargetArn": cloud.queue("again-dead")[1]}))
        cloud.function("again", "keep")
        cloud.client("lambda").create_event_source_mapping(
            FunctionName="again", EventSourceArn=arn, MaximumBatchingWindowInSeconds=1)
        client = cloud.client("sqs")
        client.send_message_batch(
            QueueUrl=url, Entries=[{"Id": text, "MessageBody": text} for text in "abc"])
        calls = [[(record["body"], record["attributes"]["ApproximateReceiveCount"])
                  for record in invocation["event"]["Records"]] for invocation in cloud.invocations("again", 2)]
        self.assertEqual(calls, [[("a", "1"), ("b", "1"), ("c", "1")], [("c", "1"), ("b", "1"), ("a", "1")]])
        self.switch.unlink()
        client.send_message(QueueUrl=url, MessageBody="once")
        cloud.invocations("again", 3)
        time.sleep(2)
        self.assertEqual(len(cloud.invocations("again", 3)), 3)

    def test_stream_batch_is_delivered_again_before_the_next(self):
        mapped_table("twice-stream", "keep", BatchSize=2, MaximumBatchingWindowInSeconds=1)
        put("twice-stream", "a", "b", "c")
        self.assertEqual(calls("twice-stream", 4), [["a", "b"], ["a", "b"], ["c"], ["c"]])


class Functions(unittest.TestCase):
    """How long an invocation takes beside the function's own time."""

    def test_silent_warm_function_answers_at_once(self):
        cloud.function("warm", "keep")
        client = cloud.client("lambda")

        def seconds():
            start = time.perf_counter()
            client.invoke(FunctionName="warm", Payload=b"{}")
            return time.perf_counter() - start

        seconds()
        # 40 ms for Nagle and 50 ms for the log without the patches.
        self.assertLess(statistics.median(seconds() for _ in range(15)), 0.035)


    def test_an_invocation_ends_although_its_function_is_updated(self):
        cloud.function("updated", "slow")
        client = cloud.client("lambda")
        with ThreadPoolExecutor() as pool:
            running = pool.submit(client.invoke, FunctionName="updated", Payload=b"{}")
            cloud.invocations("updated")
            client.update_function_configuration(FunctionName="updated", Timeout=11)
            self.assertNotIn("FunctionError", running.result())
        self.assertNotIn("FunctionError", client.invoke(FunctionName="updated", Payload=b"{}"))
        self.assertEqual(len(cloud.invocations("updated", 2)), 2)


class Check(unittest.TestCase):
    """The check of MiniStack's private functions."""

    def test_other_signature_is_named(self):
        program = (
            "import ministack_patches as p\n"
            "try: p.check('aws-sources', 'services.eventbridge._put_events(data)')\n"
            "except p.WrongMiniStack as e: print(e)\n")
        output = subprocess.run(
            [sys.executable, "-c", program], cwd=HERE, capture_output=True, text=True, check=True,
            env={"PATH": os.environ["PATH"], "STATE_DIR": str(cloud.directory)}).stdout
        self.assertIn("patch aws-sources was written for MiniStack 1.5.33", output)


if __name__ == "__main__":
    unittest.main()
