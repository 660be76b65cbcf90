//! Logs that stop: of networks, names, buckets, web firewalls, load balancers; log groups that are deleted or forget
//! sooner.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::Draft,
    event::{Event, text_of},
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call, row as call},
        classifier::{Classification, Classifier},
    },
    outcome::Outcome,
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
};

/// What is looked at after an attack is no longer recorded, or gone.
const EVIDENCE: Content = Content::grave("evidence is no longer recorded, or deleted");
/// A log group of an application.
const APPLICATION: Content = Content::new("logs of an application");

/// Logs were stopped or deleted.
pub const KIND: &Kind = &Kind {
    name: "logs.stopped",
    plural: "stopped logs",
    severities: &[
        NOT_THERE,
        DENIED,
        row(Severity::Error).outcome(Outcome::Failed),
        BY_A_SERVICE,
        BY_A_DEPLOYMENT,
        row(Severity::Info).content(APPLICATION),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "flow logs, DNS query logs, access logs or web firewall logs stopped, log groups deleted, or an attempt",
    rules: &[
        EventRule::of(
            "LogsStopped",
            "Logs of networks, names, web firewalls and load balancers that stop, and log groups that are deleted",
            STOPS,
        ),
        EventRule::of(
            "LogRetention",
            "Log groups that keep their logs for less than a week",
            RETENTION,
        ),
        EventRule::of(
            "BucketLogging",
            "Access logs of buckets that stop",
            BUCKET_LOGGING,
        ),
    ],
    calls: CALLS,
    samples: &[
        "logs-stopped",
        "logs-stopped-application",
        "logs-stopped-bucket",
        "logs-stopped-dns",
    ],
    classify,
};

const STOPS: &str = r#"{"source":["aws.ec2","aws.elasticloadbalancing","aws.logs","aws.route53","aws.route53resolver",
    "aws.waf","aws.waf-regional","aws.wafv2"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["DeleteFlowLogs","DeleteLogGroup","DeleteLogStream","DeleteLoggingConfiguration",
    "DeleteQueryLoggingConfig","DeleteResolverQueryLogConfig","DisassociateResolverQueryLogConfig",
    "ModifyLoadBalancerAttributes"]}}"#;
/// Shorter than this is too short to find out what happened.
const RETENTION: &str = r#"{"source":["aws.logs"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["PutRetentionPolicy"],
    "requestParameters":{"retentionInDays":[{"numeric":["<",7]},{"exists":false}]}}}"#;
const BUCKET_LOGGING: &str = r#"{"source":["aws.s3"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["PutBucketLogging"],
    "requestParameters":{"BucketLoggingStatus":{"LoggingEnabled":{"TargetBucket":[{"exists":false}]}}}}}"#;

const DELETE: [&str; 2] = ["delete", "deleted"];
const STOP: [&str; 2] = ["stop", "stopped"];
const SET: [&str; 2] = ["set", "set"];
const WEB_FIREWALL: &str = "the logs|of web firewall {resourceArn}";
const ACCESS_LOGS: &str = "the access logs";

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    call("ec2", "DeleteFlowLogs", DELETE, "flow logs", ""),
    call(
        "route53resolver",
        "DisassociateResolverQueryLogConfig",
        STOP,
        "the DNS query logs|of {resourceId}",
        "",
    ),
    call(
        "route53resolver",
        "DeleteResolverQueryLogConfig",
        DELETE,
        "the DNS query logs|of {resolverQueryLogConfigId}",
        "",
    ),
    call(
        "route53",
        "DeleteQueryLoggingConfig",
        DELETE,
        "the DNS query logs|of a hosted zone",
        "",
    ),
    call(
        "logs",
        "DeleteLogGroup",
        DELETE,
        "log group {logGroupName}",
        "",
    ),
    call(
        "logs",
        "DeleteLogStream",
        DELETE,
        "a log stream|of log group {logGroupName}",
        "",
    ),
    call(
        "logs",
        "PutRetentionPolicy",
        SET,
        "the retention|of log group {logGroupName}",
        "(days: {retentionInDays})",
    ),
    call(
        "s3",
        "PutBucketLogging",
        STOP,
        "the access logs|of bucket {bucketName}",
        "",
    ),
    call(
        "wafv2",
        "DeleteLoggingConfiguration",
        STOP,
        WEB_FIREWALL,
        "",
    ),
    call("waf", "DeleteLoggingConfiguration", STOP, WEB_FIREWALL, ""),
    call(
        "waf-regional",
        "DeleteLoggingConfiguration",
        STOP,
        WEB_FIREWALL,
        "",
    ),
    call(
        "elasticloadbalancing",
        "ModifyLoadBalancerAttributes",
        STOP,
        ACCESS_LOGS,
        "of load balancer {loadBalancerArn}",
    ),
];

/// Parts of the names of log groups, in lower case, that hold what is looked at after an attack.
const OF_EVIDENCE: &[&str] = &[
    "/aws/eks/",
    "audit",
    "controltower",
    "dns",
    "firewall",
    "flow",
    "guardduty",
    "resolver",
    "security",
    "trail",
    "vpc",
    "waf",
];
/// Days that a log group keeps its logs at least.
const SHORTEST_RETENTION: f64 = 7.0;

const RESTORE: &str = "If it was not planned, switch the logs on again now. Then find out what was done while nothing was \
    recorded, and revoke the access of the person who did it.";
const APPLICATION_TO_DO: &str = "Nothing, if they clean up. If you do not expect this from them, ask: what was deleted \
    does not come back.";
const NOT_DONE: &str =
    "Nothing was changed, but somebody tried. Ask them if you do not expect this from them.";

const REQUEST: &str = "/detail/requestParameters";

/// Classifies a call that stops or deletes logs.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    if keeps_logs(event, words.operation) {
        return Some(Classification::NotReported);
    }
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    let group = event.value(&format!("{REQUEST}/logGroupName"));
    let is_evidence = group.is_none_or(|group| {
        let group = group.to_lowercase();
        OF_EVIDENCE.iter().any(|part| group.contains(part))
    });
    draft.is_about(if is_evidence { EVIDENCE } else { APPLICATION });
    let next = NextSteps {
        done: if is_evidence {
            RESTORE
        } else {
            APPLICATION_TO_DO
        },
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    Some(draft.into())
}

/// Whether a request, of a call that can also do something else, stops nothing.
fn keeps_logs(event: &Event, operation: &str) -> bool {
    match operation {
        "PutRetentionPolicy" => event
            .number(&format!("{REQUEST}/retentionInDays"))
            .is_some_and(|days| days >= SHORTEST_RETENTION),
        "PutBucketLogging" => event
            .value(&format!(
                "{REQUEST}/BucketLoggingStatus/LoggingEnabled/TargetBucket"
            ))
            .is_some(),
        "ModifyLoadBalancerAttributes" => keeps_access_logs(event),
        _ => false,
    }
}

/// Whether the attributes of a load balancer leave its access logs as they are, or switch them on.
fn keeps_access_logs(event: &Event) -> bool {
    // Classic load balancers have another form.
    let classic = format!("{REQUEST}/loadBalancerAttributes");
    if event.node(&classic).is_some_and(|it| !it.is_null()) {
        return !event.is(&format!("{classic}/accessLog/enabled"), "false");
    }
    let attributes = event.elements(&format!("{REQUEST}/attributes"));
    let logs = attributes.iter().filter(|attribute| {
        text_of(attribute.get("key")).is_none_or(|key| key == "access_logs.s3.enabled")
    });
    let mut values = logs.map(|attribute| text_of(attribute.get("value")));
    !attributes.is_empty() && values.all(|value| value.as_deref() == Some("true"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::tried::{DEPLOYMENT, PERSON, SERVICE, severity, severity_if_denied, title};

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn stopped_evidence_is_an_error_by_a_person() {
        const ERROR: Option<Severity> = Some(Severity::Error);
        const INFO: Option<Severity> = Some(Severity::Info);
        let group = |name: &str| json!({ "logGroupName": name });
        let retention =
            |name: &str, days: i64| json!({ "logGroupName": name, "retentionInDays": days });
        let attribute =
            |key: &str, value: &str| json!({ "attributes": [{ "key": key, "value": value }] });
        let classic =
            |on: bool| json!({ "loadBalancerAttributes": { "accessLog": { "enabled": on } } });
        let bucket = json!({ "bucketName": "b", "BucketLoggingStatus": {
            "LoggingEnabled": { "TargetBucket": "logs", "TargetPrefix": "" } } });
        let nothing = json!({});
        for (service, operation, request, wanted) in [
            ("ec2", "DeleteFlowLogs", nothing.clone(), ERROR),
            (
                "route53resolver",
                "DisassociateResolverQueryLogConfig",
                nothing.clone(),
                ERROR,
            ),
            (
                "wafv2",
                "DeleteLoggingConfiguration",
                nothing.clone(),
                ERROR,
            ),
            ("logs", "DeleteLogGroup", group("/vpc/flow-logs"), ERROR),
            (
                "logs",
                "DeleteLogGroup",
                group("/aws/lambda/checkout"),
                INFO,
            ),
            ("logs", "DeleteLogGroup", nothing.clone(), ERROR),
            (
                "logs",
                "PutRetentionPolicy",
                retention("aws-cloudtrail-logs", 1),
                ERROR,
            ),
            (
                "logs",
                "PutRetentionPolicy",
                retention("/aws/lambda/checkout", 3),
                INFO,
            ),
            (
                "logs",
                "PutRetentionPolicy",
                retention("aws-cloudtrail-logs", 30),
                None,
            ),
            (
                "s3",
                "PutBucketLogging",
                json!({ "bucketName": "b", "BucketLoggingStatus": {} }),
                ERROR,
            ),
            ("s3", "PutBucketLogging", bucket, None),
            (
                "elasticloadbalancing",
                "ModifyLoadBalancerAttributes",
                attribute("access_logs.s3.enabled", "false"),
                ERROR,
            ),
            (
                "elasticloadbalancing",
                "ModifyLoadBalancerAttributes",
                attribute("access_logs.s3.enabled", "true"),
                None,
            ),
            (
                "elasticloadbalancing",
                "ModifyLoadBalancerAttributes",
                attribute("idle_timeout.timeout_seconds", "5"),
                None,
            ),
            (
                "elasticloadbalancing",
                "ModifyLoadBalancerAttributes",
                nothing.clone(),
                ERROR,
            ),
            (
                "elasticloadbalancing",
                "ModifyLoadBalancerAttributes",
                classic(false),
                ERROR,
            ),
            (
                "elasticloadbalancing",
                "ModifyLoadBalancerAttributes",
                classic(true),
                None,
            ),
        ] {
            let found = severity(KIND, service, operation, &request, PERSON);
            assert_eq!(found, wanted, "{operation} {request}");
        }
        for actor in [DEPLOYMENT, SERVICE] {
            let found = severity(KIND, "ec2", "DeleteFlowLogs", &nothing, actor);
            assert_eq!(found, INFO);
        }
        assert_eq!(
            severity_if_denied(KIND, "ec2", "DeleteFlowLogs", &nothing),
            ERROR
        );
        assert_eq!(
            title(
                KIND,
                "logs",
                "PutRetentionPolicy",
                &retention("trail", 1),
                PERSON
            ),
            "Retention of log group trail set (days: 1)"
        );
    }
}
