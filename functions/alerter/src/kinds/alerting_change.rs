//! The alert system itself: its rules, topics, queues, functions, alarms and settings switched off or changed.

use orgkeeper_shared::alert::Severity;
use serde_json::Value;

use crate::{
    draft::Draft,
    event::{Event, text_of},
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call, row as call},
        classifier::{Classification, Classifier},
        own_stack::is_own,
    },
    outcome::Outcome,
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
    text::{name_of, uncapitalized},
};

/// Alerts, or some of them, do not come any more.
const SWITCHED_OFF: Content = Content::grave("switched off");
/// Nobody knows what the new code does.
const CODE: Content = Content::grave("its code was replaced");
/// A deployment of the stack, or a part of one: the call for the stack says who ordered it.
const DEPLOYED: Content = Content::new("a deployment with CloudFormation");
/// Rules and other settings: wrong ones do not stop alerts.
const SETTINGS: Content = Content::new("its rules or settings");

/// The alert system changed.
pub const KIND: &Kind = &Kind {
    name: "alerting.change",
    plural: "changes of the alert system",
    severities: &[
        NOT_THERE,
        row(Severity::Info).content(DEPLOYED).fixed(),
        BY_A_SERVICE,
        BY_A_DEPLOYMENT,
        DENIED,
        row(Severity::Error).outcome(Outcome::Failed),
        row(Severity::Critical).content(SWITCHED_OFF).fixed(),
        row(Severity::Critical).content(CODE).fixed(),
        row(Severity::Info).content(SETTINGS),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "rules, topics, queues, functions, alarms or settings of orgkeeper itself switched off or changed, or an attempt",
    rules: &[
        EventRule::of(
            "AlertingRuleChanged",
            "Changes to the EventBridge rules and buses of orgkeeper",
            EVENTBRIDGE,
        ),
        EventRule::of(
            "AlertingDeliveryChanged",
            "Changes to the topics and queues of orgkeeper",
            DELIVERY,
        ),
        EventRule::of(
            "AlertingFunctionChanged",
            "Changes to the functions, alarms, tables, settings and stacks of orgkeeper",
            FUNCTIONS,
        ),
    ],
    calls: CALLS,
    samples: &[
        "alerting-change",
        "alerting-change-denied",
        "alerting-change-deployment",
        "alerting-change-settings",
    ],
    classify,
};

// The names of CloudTrail's event sources differ from those of EventBridge's sources for some services, so that the
// patterns select by the former alone. A refused call often has no parameters: its message names the resource.

/// The pattern for EventBridge.
const EVENTBRIDGE: &str = r#"{"source":[{"prefix":"aws."}],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventSource":["events.amazonaws.com"],
    "eventName":["DeleteEventBus","DeleteRule","DisableRule","PutRule","PutTargets","RemovePermission","RemoveTargets"],
    "$or":[{"requestParameters":{"name":[{"wildcard":"*orgkeeper*"}]}},
    {"requestParameters":{"rule":[{"wildcard":"*orgkeeper*"}]}},
    {"requestParameters":{"eventBusName":[{"wildcard":"*orgkeeper*"}]}},
    {"errorMessage":[{"wildcard":"*resource: *orgkeeper*"}]}]}}"#;

/// The pattern for SNS and SQS.
const DELIVERY: &str = r#"{"source":[{"prefix":"aws."}],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventSource":["sns.amazonaws.com","sqs.amazonaws.com"],
    "eventName":["DeleteQueue","DeleteTopic","PurgeQueue","RemovePermission","SetQueueAttributes",
    "SetSubscriptionAttributes","SetTopicAttributes","Unsubscribe"],
    "$or":[{"requestParameters":{"topicArn":[{"wildcard":"*orgkeeper*"}]}},
    {"requestParameters":{"subscriptionArn":[{"wildcard":"*orgkeeper*"}]}},
    {"requestParameters":{"queueUrl":[{"wildcard":"*orgkeeper*"}]}},
    {"errorMessage":[{"wildcard":"*resource: *orgkeeper*"}]}]}}"#;

/// The pattern for everything else. The request about an event source mapping has its id alone, the answer its function.
const FUNCTIONS: &str = r#"{"source":[{"prefix":"aws."}],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventSource":["cloudformation.amazonaws.com","dynamodb.amazonaws.com","lambda.amazonaws.com",
    "monitoring.amazonaws.com","ssm.amazonaws.com"],
    "eventName":["DeleteAlarms","DeleteEventSourceMapping20150331","DeleteFunction20150331","DeleteParameter",
    "DeleteParameters","DeleteStack","DeleteTable","DisableAlarmActions","ExecuteChangeSet",
    "PutFunctionConcurrency20171031","PutParameter","RemovePermission20150331v2","UpdateEventSourceMapping20150331",
    "UpdateFunctionCode20150331v2","UpdateFunctionConfiguration20150331v2","UpdateStack"],
    "$or":[{"requestParameters":{"functionName":[{"wildcard":"*orgkeeper*"}]}},
    {"responseElements":{"functionArn":[{"wildcard":"*orgkeeper*"}]}},
    {"requestParameters":{"alarmNames":[{"wildcard":"*orgkeeper*"}]}},
    {"requestParameters":{"name":[{"wildcard":"*orgkeeper*"}]}},
    {"requestParameters":{"names":[{"wildcard":"*orgkeeper*"}]}},
    {"requestParameters":{"stackName":[{"wildcard":"*orgkeeper*"}]}},
    {"requestParameters":{"tableName":[{"wildcard":"*orgkeeper*"}]}},
    {"errorMessage":[{"wildcard":"*resource: *orgkeeper*"}]}]}}"#;

const CHANGE: [&str; 2] = ["change", "changed"];
const DELETE: [&str; 2] = ["delete", "deleted"];
const DEPLOY: [&str; 2] = ["deploy", "deployed"];
const DISABLE: [&str; 2] = ["disable", "disabled"];
const EMPTY: [&str; 2] = ["empty", "emptied"];
const REMOVE: [&str; 2] = ["remove", "removed"];
const REPLACE: [&str; 2] = ["replace", "replaced"];

const FUNCTION: &str = "function {functionName}";
const MAPPING: &str = "an event source of a function";
const QUEUE: &str = "queue {queueUrl}";
const RULE: &str = "rule {name}";
const STACK: &str = "stack {stackName}";
const TOPIC: &str = "topic {topicArn}";

/// The calls that are reported. Only those about a resource of orgkeeper are.
pub const CALLS: &[CallWords] = &[
    call("events", "DisableRule", DISABLE, RULE, ""),
    call("events", "DeleteRule", DELETE, RULE, ""),
    call("events", "PutRule", CHANGE, RULE, ""),
    call(
        "events",
        "PutTargets",
        CHANGE,
        "the targets|of rule {rule}",
        "",
    ),
    call(
        "events",
        "RemoveTargets",
        REMOVE,
        "the targets|of rule {rule}",
        "",
    ),
    call("events", "DeleteEventBus", DELETE, "event bus {name}", ""),
    call(
        "events",
        "RemovePermission",
        REMOVE,
        "a permission|of event bus {eventBusName}",
        "",
    ),
    call("sns", "DeleteTopic", DELETE, TOPIC, ""),
    call(
        "sns",
        "Unsubscribe",
        DELETE,
        "a subscription|of topic {subscriptionArn}",
        "",
    ),
    call(
        "sns",
        "SetTopicAttributes",
        CHANGE,
        "attribute {attributeName}|of topic {topicArn}",
        "",
    ),
    call(
        "sns",
        "SetSubscriptionAttributes",
        CHANGE,
        "a subscription|of topic {subscriptionArn}",
        "",
    ),
    call(
        "sns",
        "RemovePermission",
        REMOVE,
        "a permission|of topic {topicArn}",
        "",
    ),
    call("sqs", "DeleteQueue", DELETE, QUEUE, ""),
    call("sqs", "PurgeQueue", EMPTY, QUEUE, ""),
    call("sqs", "SetQueueAttributes", CHANGE, QUEUE, ""),
    call(
        "sqs",
        "RemovePermission",
        REMOVE,
        "a permission|of queue {queueUrl}",
        "",
    ),
    call("lambda", "DeleteFunction20150331", DELETE, FUNCTION, ""),
    call(
        "lambda",
        "UpdateFunctionCode20150331v2",
        REPLACE,
        "the code|of function {functionName}",
        "",
    ),
    call(
        "lambda",
        "UpdateFunctionConfiguration20150331v2",
        CHANGE,
        FUNCTION,
        "",
    ),
    call(
        "lambda",
        "PutFunctionConcurrency20171031",
        CHANGE,
        "the concurrency|of function {functionName}",
        "",
    ),
    call(
        "lambda",
        "RemovePermission20150331v2",
        REMOVE,
        "a permission|of function {functionName}",
        "",
    ),
    call(
        "lambda",
        "DeleteEventSourceMapping20150331",
        DELETE,
        MAPPING,
        "",
    ),
    call(
        "lambda",
        "UpdateEventSourceMapping20150331",
        CHANGE,
        MAPPING,
        "",
    ),
    call(
        "monitoring",
        "DisableAlarmActions",
        DISABLE,
        "the actions of alarms",
        "",
    ),
    call("monitoring", "DeleteAlarms", DELETE, "alarms", ""),
    call("ssm", "PutParameter", CHANGE, "parameter {name}", ""),
    call("ssm", "DeleteParameter", DELETE, "parameter {name}", ""),
    call("ssm", "DeleteParameters", DELETE, "parameters", ""),
    call("cloudformation", "DeleteStack", DELETE, STACK, ""),
    call("cloudformation", "UpdateStack", DEPLOY, STACK, ""),
    call("cloudformation", "ExecuteChangeSet", DEPLOY, STACK, ""),
    call("dynamodb", "DeleteTable", DELETE, "table {tableName}", ""),
];

const OFF: &str = "If this was not planned, put it back now as its CloudFormation stack has it: until then alerts can be \
    missing. Then find in CloudTrail what was done meanwhile, and revoke the access of the person who did it.";
const CHANGED: &str = "If this was not planned, undo it now and send yourself a test alert. Then ask the person who did it, \
    and find in CloudTrail what else they did.";
const NEW_SETTINGS: &str = "Check that no silence covers more than it should. If this was not planned, restore the version \
    before, and ask the person who did it.";
const BY_CLOUDFORMATION: &str =
    "Nothing, if a deployment of orgkeeper was planned. Otherwise ask the person who deployed it.";
const NOT_DONE: &str = "Nothing was changed, but somebody tried to change the alert system. Ask them now. If it was not \
    planned, revoke their access and check in CloudTrail what else they did.";

/// Where a record names the resource.
const RESOURCES: &[&str] = &[
    "/detail/requestParameters/name",
    "/detail/requestParameters/names",
    "/detail/requestParameters/rule",
    "/detail/requestParameters/eventBusName",
    "/detail/requestParameters/topicArn",
    "/detail/requestParameters/subscriptionArn",
    "/detail/requestParameters/queueUrl",
    "/detail/requestParameters/functionName",
    "/detail/requestParameters/alarmNames",
    "/detail/requestParameters/stackName",
    "/detail/requestParameters/tableName",
    "/detail/responseElements/functionArn",
];
/// What a refusal says before the resource.
const REFUSED: &str = "on resource: ";

/// Verbs of calls that switch something off, whatever the request says.
const OFF_VERBS: &[&str] = &["Delete", "Disable", "Purge", "Remove", "Unsubscribe"];
/// What other calls say when they switch something off: operation, field, value.
const OFF_VALUES: &[(&str, &str, &str)] = &[
    ("PutRule", "state", "DISABLED"),
    (
        "PutFunctionConcurrency20171031",
        "reservedConcurrentExecutions",
        "0",
    ),
    ("UpdateEventSourceMapping20150331", "enabled", "false"),
];

/// Classifies a change of the alert system. A call about somebody else's resource is of another kind, or of none.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let resources = own_resources(event);
    let named = name_of(resources.first()?);
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    if !draft.headline.contains(named) {
        draft.headline = format!("{} ({named})", draft.headline);
    }
    let through_cloudformation = draft
        .actor
        .as_ref()
        .is_some_and(|actor| actor.service.as_deref() == Some("cloudformation.amazonaws.com"));
    let content = content(event, words, through_cloudformation);
    if let Some(content) = content {
        draft.is_about(content);
    }
    if content == Some(SWITCHED_OFF) && draft.outcome == Outcome::Done {
        draft.headline = format!("Alerting switched off: {}", uncapitalized(&draft.headline));
    }
    let done = match content {
        Some(SWITCHED_OFF) => OFF,
        Some(SETTINGS) => NEW_SETTINGS,
        Some(DEPLOYED) => BY_CLOUDFORMATION,
        _ => CHANGED,
    };
    let next = NextSteps {
        done,
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    draft.detail("Resource", Some(resources.join(", ")));
    Some(draft.into())
}

/// The resources of orgkeeper that a call is about.
fn own_resources(event: &Event) -> Vec<String> {
    let named = RESOURCES.iter().flat_map(|place| match event.node(place) {
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(|name| text_of(Some(name)))
            .collect(),
        name => text_of(name).into_iter().collect::<Vec<_>>(),
    });
    let refused = event.value("/detail/errorMessage").and_then(|message| {
        let (_, resource) = message.split_once(REFUSED)?;
        resource.split_whitespace().next().map(str::to_owned)
    });
    let mut own: Vec<String> = Vec::new();
    for resource in named.chain(refused).filter(|resource| is_own(resource)) {
        if own.iter().all(|known| name_of(known) != name_of(&resource)) {
            own.push(resource);
        }
    }
    own
}

/// What a call does to the alert system.
fn content(event: &Event, words: &CallWords, through_cloudformation: bool) -> Option<Content> {
    if through_cloudformation || words.verb == DEPLOY[0] {
        return Some(DEPLOYED);
    }
    if words.service == "ssm" {
        return Some(SETTINGS);
    }
    if words.verb == REPLACE[0] {
        return Some(CODE);
    }
    let by_name = OFF_VERBS
        .iter()
        .any(|verb| words.operation.starts_with(verb));
    let by_value = OFF_VALUES.iter().any(|(operation, field, off)| {
        *operation == words.operation
            && event.is(&format!("/detail/requestParameters/{field}"), off)
    });
    (by_name || by_value).then_some(SWITCHED_OFF)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::test_events::{DEPLOYER, PERSON, call as event, draft, judged};

    fn severity(event: &Event) -> Severity {
        let (kind, severity, _) = judged(event).unwrap();
        assert_eq!(kind, KIND.name);
        severity
    }

    /// What a person is reported with who makes this call.
    fn by_a_person(service: &str, operation: &str, request: &Value) -> (Severity, String) {
        let request = json!({ "requestParameters": request });
        let (kind, severity, headline) =
            judged(&event(service, operation, PERSON, &request)).unwrap();
        assert_eq!(kind, KIND.name);
        (severity, headline)
    }

    #[test]
    fn a_person_who_switches_alerts_off_is_critical() {
        for (service, operation, request, headline) in [
            (
                "events",
                "DisableRule",
                json!({ "name": "orgkeeper-RootUseRule-1A" }),
                "Alerting switched off: rule orgkeeper-RootUseRule-1A disabled",
            ),
            (
                "events",
                "PutRule",
                json!({ "name": "orgkeeper-RootUseRule-1A", "state": "DISABLED" }),
                "Alerting switched off: rule orgkeeper-RootUseRule-1A changed",
            ),
            (
                "events",
                "RemoveTargets",
                json!({ "rule": "orgkeeper-RootUseRule-1A", "ids": ["queue"] }),
                "Alerting switched off: targets of rule orgkeeper-RootUseRule-1A removed",
            ),
            (
                "sqs",
                "PurgeQueue",
                json!({ "queueUrl": "https://sqs.eu-west-1.amazonaws.com/999900001111/orgkeeper-AlertsQueue-1A" }),
                "Alerting switched off: queue orgkeeper-AlertsQueue-1A emptied",
            ),
            (
                "sns",
                "Unsubscribe",
                json!({ "subscriptionArn": "arn:aws:sns:eu-west-1:999900001111:orgkeeper-CriticalTopic-1A:0b1c" }),
                "Alerting switched off: subscription of topic orgkeeper-CriticalTopic-1A deleted",
            ),
            (
                "lambda",
                "PutFunctionConcurrency20171031",
                json!({ "functionName": "orgkeeper-Alerter-1A", "reservedConcurrentExecutions": 0 }),
                "Alerting switched off: concurrency of function orgkeeper-Alerter-1A changed",
            ),
            (
                "lambda",
                "UpdateFunctionCode20150331v2",
                json!({ "functionName": "orgkeeper-Alerter-1A" }),
                "Code of function orgkeeper-Alerter-1A replaced",
            ),
            (
                "monitoring",
                "DeleteAlarms",
                json!({ "alarmNames": ["other", "orgkeeper-AlertsAge-1A"] }),
                "Alerting switched off: alarms deleted (orgkeeper-AlertsAge-1A)",
            ),
            (
                "cloudformation",
                "DeleteStack",
                json!({ "stackName": "arn:aws:cloudformation:eu-west-1:999900001111:stack/Orgkeeper/0b1c" }),
                "Alerting switched off: stack Orgkeeper deleted",
            ),
        ] {
            let wanted = (Severity::Critical, headline.to_owned());
            let judged = by_a_person(service, operation, &request);
            assert_eq!(judged, wanted, "{operation} {request}");
        }
    }

    #[test]
    fn what_leaves_alerts_on_is_less() {
        for (service, operation, request, severity, headline) in [
            (
                "events",
                "PutRule",
                json!({ "name": "orgkeeper-RootUseRule-1A", "state": "ENABLED" }),
                Severity::Error,
                "Rule orgkeeper-RootUseRule-1A changed",
            ),
            (
                "lambda",
                "PutFunctionConcurrency20171031",
                json!({ "functionName": "orgkeeper-Alerter-1A", "reservedConcurrentExecutions": 5 }),
                Severity::Error,
                "Concurrency of function orgkeeper-Alerter-1A changed",
            ),
            (
                "ssm",
                "PutParameter",
                json!({ "name": "/orgkeeper/alert-rules" }),
                Severity::Info,
                "Parameter /orgkeeper/alert-rules changed",
            ),
            (
                "cloudformation",
                "UpdateStack",
                json!({ "stackName": "orgkeeper" }),
                Severity::Info,
                "Stack orgkeeper deployed",
            ),
        ] {
            let wanted = (severity, headline.to_owned());
            let judged = by_a_person(service, operation, &request);
            assert_eq!(judged, wanted, "{operation} {request}");
        }
    }

    #[test]
    fn the_answer_names_the_function_of_an_event_source() {
        let off = json!({ "requestParameters": { "uUID": "0b1c", "enabled": false },
            "responseElements": { "functionArn": "arn:aws:lambda:eu-west-1:999900001111:function:orgkeeper-Alerter-1A" } });
        let event = event("lambda", "UpdateEventSourceMapping20150331", PERSON, &off);
        assert_eq!(severity(&event), Severity::Critical);
    }

    #[test]
    fn only_the_resources_of_orgkeeper_are_named() {
        let names =
            json!({ "requestParameters": { "alarmNames": ["orders", "orgkeeper-AlertsAge-1A"] } });
        let draft = draft(&event("monitoring", "DisableAlarmActions", PERSON, &names)).unwrap();
        let resource = ("Resource", "orgkeeper-AlertsAge-1A".to_owned());
        assert!(draft.details.contains(&resource), "{:?}", draft.details);
    }

    #[test]
    fn a_deployment_is_information() {
        let request = json!({ "requestParameters": { "functionName": "orgkeeper-Alerter-1A" } });
        let by_tool = event("lambda", "DeleteFunction20150331", DEPLOYER, &request);
        assert_eq!(severity(&by_tool), Severity::Info);
        let identity = json!({ "type": "AssumedRole", "invokedBy": "cloudformation.amazonaws.com",
            "sessionContext": { "sessionIssuer": { "arn": PERSON } } });
        let through = json!({ "requestParameters": { "functionName": "orgkeeper-Alerter-1A" }, "userIdentity": identity });
        let through = event("lambda", "DeleteFunction20150331", PERSON, &through);
        assert_eq!(severity(&through), Severity::Info);
    }

    #[test]
    fn an_attempt_that_was_denied_is_an_error() {
        let message = "User: arn:aws:sts::999900001111:assumed-role/Dev/ana is not authorized to perform: SNS:DeleteTopic \
            on resource: arn:aws:sns:eu-west-1:999900001111:orgkeeper-CriticalTopic-1A because no policy allows it";
        let denied = json!({ "requestParameters": null, "errorCode": "AccessDenied", "errorMessage": message });
        let denied = judged(&event("sns", "DeleteTopic", PERSON, &denied));
        assert_eq!(
            denied,
            Some((
                KIND.name,
                Severity::Error,
                "Denied: delete topic (orgkeeper-CriticalTopic-1A)".to_owned()
            ))
        );
    }

    #[test]
    fn a_resource_of_somebody_else_is_of_another_kind() {
        let others = json!({ "requestParameters": { "topicArn": "arn:aws:sns:eu-west-1:999900001111:orders" } });
        assert!(classify(&event("sns", "DeleteTopic", PERSON, &others)).is_none());
        let message = "User: arn:aws:sts::999900001111:assumed-role/orgkeeper-x/ana is not authorized to perform: \
            SNS:DeleteTopic on resource: arn:aws:sns:eu-west-1:999900001111:orders";
        let by_own = json!({ "errorCode": "AccessDenied", "errorMessage": message });
        assert!(classify(&event("sns", "DeleteTopic", PERSON, &by_own)).is_none());
    }
}
