//! An order in, a report out.

use std::{borrow::Cow, time::Duration};

use aws_config::SdkConfig;
use jiff::Timestamp;
use orgkeeper_shared::{
    aws::CallCounter,
    lambda::{Error, Function, Invocation, NamedError},
    remediation::{
        carried_out,
        control::control,
        order::{Order, Task},
        report::{Outcome, Report},
        target::Target,
    },
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{
    action_row::Undoing,
    actions::{
        self,
        trail_bucket::{self, is_of_a_trail, of_trail},
    },
    member::{Member, SESSION},
    refusal::CallFailed,
    session_policy::{policy_of, session_policy},
    who_changed,
};

const FUNCTION: &str = "remediator";
/// The time between the last read of a changed resource and the end of an order.
const TO_REPORT: Duration = Duration::from_secs(1);

/// The function.
#[derive(Debug)]
pub struct Remediator {
    sdk: SdkConfig,
}

impl Remediator {
    /// A remediator whose calls start from these credentials. Makes no call.
    #[must_use]
    pub fn new(sdk: SdkConfig) -> Self {
        Self { sdk }
    }

    /// Carries out an order that began at `now`, until then at the latest.
    ///
    /// # Errors
    /// If the order is none of ours, or a call failed for a reason that passes.
    pub async fn carry_out(
        &self,
        order: &Order,
        calls: &CallCounter,
        now: Timestamp,
        until: Instant,
    ) -> Result<Report, NamedError> {
        let work = timeout_at(until, Box::pin(self.within(order, calls, now, until)));
        work.await.unwrap_or_else(|_| {
            Err(NamedError {
                name: "Unavailable",
                message: "the invocation's time ran out".to_owned(),
            })
        })
    }

    async fn within(
        &self,
        order: &Order,
        calls: &CallCounter,
        now: Timestamp,
        until: Instant,
    ) -> Result<Report, NamedError> {
        let refused = |message: &str| NamedError {
            name: "Refused",
            message: message.to_owned(),
        };
        let control = control(&order.control).ok_or_else(|| refused("unknown control"))?;
        if order.action != control.action {
            return Err(refused("the control has another action"));
        }
        if order.undo.is_some() != (order.task == Task::Undo) {
            return Err(refused("only an undo has the states of a fix"));
        }
        order
            .target
            .check(control)
            .map_err(|mismatch| refused(&mismatch.to_string()))?;
        // What was changed has to be read back, and reported, before the time is over.
        let until = until.checked_sub(TO_REPORT).unwrap_or(until);
        let member = async |target: &Target, policy: Value| {
            let target = target.clone();
            Member::connect(&self.sdk, calls, target, &policy, SESSION, (now, until)).await
        };
        let mut order = Cow::Borrowed(order);
        if is_of_a_trail(control, &order.target) {
            let policy = policy_of(trail_bucket::READS, control.scope, &order.target);
            let found = of_trail(&member(&order.target, policy).await, control).await;
            order.to_mut().target = match found {
                Ok(Ok(bucket)) => bucket,
                Ok(Err(mismatch)) => return Ok(Report::blocked(mismatch.to_string())),
                Err(failed) => return failed.report().ok_or_else(|| failed.into()),
            };
        }
        if order.task == Task::WhoChanged {
            let policy = policy_of(who_changed::READS, control.scope, &order.target);
            let member = member(&order.target, policy).await;
            return Ok(who_changed::look(&member, &order).await?);
        }
        let row =
            actions::of(control.action).ok_or_else(|| refused("the control has no action here"))?;
        if let (Task::Undo, Undoing::Not(reason)) = (order.task, row.undo) {
            return Ok(Report {
                reason: Some(reason.to_owned()),
                ..Report::of(Outcome::NotUndoable)
            });
        }
        let policy = session_policy(row, control.scope, order.task, &order.target);
        let member = member(&order.target, policy).await;
        (row.run)(&member, &order).await.map_err(NamedError::from)
    }
}

impl From<CallFailed> for NamedError {
    fn from(failed: CallFailed) -> Self {
        Self {
            name: failed.name(),
            message: failed.to_string(),
        }
    }
}

impl Function for Remediator {
    type Event = Order;
    type Response = Report;

    async fn handle(&self, order: Order, invocation: Invocation) -> Result<Report, Error> {
        let calls = CallCounter::default();
        let began = invocation.now;
        let until = Instant::now() + invocation.time_to_work();
        let report = self.carry_out(&order, &calls, began, until).await;
        carried_out::write(FUNCTION, &order, &report, &calls, began);
        Ok(report?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use aws_smithy_runtime_api::client::{
        identity::{
            IdentityFuture, ResolveCachedIdentity, ResolveIdentity as _, SharedIdentityResolver,
        },
        runtime_components::RuntimeComponents,
    };
    use aws_smithy_types::{config_bag::ConfigBag, retry::RetryConfig};
    use orgkeeper_shared::remediation::order::Undo;
    use orgkeeper_tests::wire::{Answer, Call, Wire};
    use serde_json::json;

    use super::*;
    use crate::actions::testing::order;

    const TABLE: &str = "arn:aws:dynamodb:eu-west-1:111122223333:table/t";
    const TRAIL: &str = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/all";

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    /// The session with this number.
    fn session(number: usize) -> Answer {
        let body = format!(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA{number}</AccessKeyId>\
             <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
             <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>\
             <AssumedRoleId>A:s</AssumedRoleId><Arn>arn:aws:sts::111122223333:assumed-role/r/s</Arn>\
             </AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
        );
        Answer::xml(200, &body)
    }

    /// How a service writes an error.
    #[derive(Clone, Copy)]
    enum Protocol {
        Json,
        Query,
        Ec2,
        S3,
    }

    #[derive(Clone, Copy)]
    struct Refusal(Protocol, u16, &'static str, &'static str);

    impl Refusal {
        fn answer(self) -> Answer {
            let Self(protocol, status, code, message) = self;
            let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
            let body = match protocol {
                Protocol::Json => json!({ "__type": code, "message": message }).to_string(),
                Protocol::Query => format!("<ErrorResponse>{error}</ErrorResponse>"),
                Protocol::Ec2 => format!("<Response><Errors>{error}</Errors></Response>"),
                Protocol::S3 => error,
            };
            Answer::xml(status, &body)
        }
    }

    /// Carries out the order over a wire where this operation is refused; `others` answers the others.
    async fn refused(
        order: &Order,
        operation: &'static str,
        refusal: Refusal,
        others: impl Fn(&Call) -> Answer + Send + Sync + 'static,
    ) -> (Result<Report, NamedError>, Vec<String>) {
        let wire = Wire::start(move |call| match &call.operation {
            named if named == operation => refusal.answer(),
            named if named == "AssumeRole" => session(1),
            _ => others(call),
        })
        .await
        .unwrap();
        let remediator = Remediator::new(wire.sdk_config().await);
        let report = remediator
            .carry_out(
                order,
                &CallCounter::default(),
                Timestamp::UNIX_EPOCH,
                soon(),
            )
            .await;
        let calls = wire.calls().into_iter().map(|call| call.operation);
        (report, calls.collect())
    }

    /// A table without deletion protection, which can be changed.
    fn table(call: &Call) -> Answer {
        match call.operation.as_str() {
            "DescribeTable" => {
                Answer::ok(json!({ "Table": { "DeletionProtectionEnabled": false } }))
            }
            "UpdateTable" => Answer::ok(json!({})),
            other => panic!("{other}"),
        }
    }

    const ASSUME: &str = "AssumeRole";
    const READ: &str = "DescribeTable";
    const WRITE: &str = "UpdateTable";

    /// What AWS answers, the outcome, and what its reason says.
    #[rustfmt::skip]
    const REPORTED: &[(&str, Refusal, Outcome, &str)] = &[
        // The role is missing, or does not trust the remediator.
        (ASSUME, Refusal(Protocol::Query, 403, "AccessDenied", "User: arn:aws:sts::999999999999:assumed-role/remediator/f is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111122223333:role/OrgkeeperRemediation"), Outcome::Blocked, "deploy infra/member-account.yaml"),
        (ASSUME, Refusal(Protocol::Query, 403, "AccessDenied", "User: u is not authorized to perform: sts:AssumeRole on resource: r because no role trust policy allows the sts:AssumeRole action"), Outcome::Blocked, "deploy infra/member-account.yaml"),
        (ASSUME, Refusal(Protocol::Query, 403, "AccessDenied", "User: u is not authorized to perform: sts:AssumeRole on resource: r with an explicit deny in a service control policy"), Outcome::Blocked, "service control policy of the organization"),
        (ASSUME, Refusal(Protocol::Query, 403, "RegionDisabledException", "STS is not activated in this region"), Outcome::Blocked, "the Region is not enabled"),
        // A policy of the organization, in both wordings.
        (READ, Refusal(Protocol::Json, 400, "AccessDeniedException", "User: u is not authorized to perform: dynamodb:DescribeTable on resource: t with an explicit deny in a service control policy"), Outcome::Blocked, "service control policy of the organization"),
        (WRITE, Refusal(Protocol::Json, 400, "AccessDeniedException", "User: u is not authorized to perform: dynamodb:UpdateTable on resource: t because no service control policy allows the dynamodb:UpdateTable action"), Outcome::Blocked, "service control policy of the organization"),
        (WRITE, Refusal(Protocol::Json, 400, "AccessDeniedException", "User: u is not authorized to perform: dynamodb:UpdateTable on resource: t with an explicit deny in a service control policy: arn:aws:organizations::999999999999:policy/o-exampleorg/service_control_policy/p-1"), Outcome::Blocked, "service control policy of the organization"),
        (WRITE, Refusal(Protocol::Json, 400, "AccessDeniedException", "User: u is not authorized to perform: dynamodb:UpdateTable on resource: t with an explicit deny in a resource control policy"), Outcome::Blocked, "resource control policy of the organization"),
        (WRITE, Refusal(Protocol::Json, 400, "AccessDeniedException", "User: u is not authorized to perform: dynamodb:UpdateTable because no permissions boundary allows the dynamodb:UpdateTable action"), Outcome::Blocked, "permissions boundary of the role"),
        (WRITE, Refusal(Protocol::Json, 400, "AccessDeniedException", "User: u is not authorized to perform: dynamodb:UpdateTable with an explicit deny in a permissions boundary"), Outcome::Blocked, "permissions boundary of the role"),
        (WRITE, Refusal(Protocol::Json, 400, "AccessDeniedException", "User: u is not authorized to perform: dynamodb:UpdateTable because no identity-based policy allows the dynamodb:UpdateTable action"), Outcome::Blocked, "update infra/member-account.yaml"),
        (WRITE, Refusal(Protocol::Json, 400, "AccessDeniedException", "User: u is not authorized to perform: dynamodb:UpdateTable on resource: t with an explicit deny in an identity-based policy"), Outcome::Blocked, "that was added to the role"),
        (WRITE, Refusal(Protocol::Json, 400, "LimitExceeded", ""), Outcome::Blocked, "a quota of the account is reached"),
        (WRITE, Refusal(Protocol::Json, 400, "AccessDeniedException", "User: u is not authorized to perform: dynamodb:UpdateTable because no session policy allows the dynamodb:UpdateTable action"), Outcome::Blocked, "fault of orgkeeper"),
        (WRITE, Refusal(Protocol::Json, 400, "AccessDeniedException", "User: u is not authorized to perform: dynamodb:UpdateTable with an explicit deny in a resource-based policy"), Outcome::Blocked, "policy of the resource itself"),
        // Without a reason, as some services answer.
        (WRITE, Refusal(Protocol::Json, 400, "AccessDeniedException", ""), Outcome::Blocked, "does not say why: update infra/member-account.yaml there"),
        (WRITE, Refusal(Protocol::Json, 400, "ValidationException", "no"), Outcome::Blocked, "AWS refused the call"),
        (READ, Refusal(Protocol::Json, 400, "ResourceNotFoundException", "no such table"), Outcome::NotApplicable, "does not exist any more"),
        (WRITE, Refusal(Protocol::Json, 400, "ResourceNotFoundException", "no such table"), Outcome::NotApplicable, "does not exist any more"),
        (READ, Refusal(Protocol::Json, 400, "UnrecognizedClientException", "The security token included in the request is invalid."), Outcome::Blocked, "the Region is not enabled"),
        (READ, Refusal(Protocol::Json, 400, "SubscriptionRequiredException", ""), Outcome::Blocked, "cannot use the service"),
    ];

    #[tokio::test]
    async fn what_a_retry_does_not_change_is_reported() {
        let order = order("DynamoDB.6", TABLE);
        for (operation, refusal, outcome, words) in REPORTED {
            let (report, calls) = refused(&order, operation, *refusal, table).await;
            let shown = &refusal.3;
            let report = report.unwrap_or_else(|error| panic!("{operation} {shown}: {error}"));
            assert_eq!(report.outcome, *outcome, "{operation} {shown}");
            let reason = report.reason.unwrap();
            assert!(reason.contains(words), "{operation} {shown}: {reason}");
            // It is called once, and nothing after it.
            assert_eq!(calls.last().map(String::as_str), Some(*operation));
            let times = calls.iter().filter(|call| call == operation).count();
            assert_eq!(times, 1, "{calls:?}");
            let known = json!({ "DeletionProtectionEnabled": false });
            assert_eq!(report.before, (*operation == WRITE).then_some(known));
            assert_eq!(report.after, None);
        }
    }

    #[tokio::test]
    async fn each_service_refuses_in_its_own_way() {
        let group = "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1";
        let topic = "arn:aws:sns:eu-west-1:111122223333:t";
        let (bucket, bucket_read) = ("arn:aws:s3:::data", "GetObject");
        let scp = "User: u is not authorized to perform: a with an explicit deny in a service control policy";
        let (policy, off) = ("service control policy", "the Region is not enabled");
        let gone = "does not exist any more";
        for (control, resource, operation, refusal, words) in [
            (
                "EC2.2",
                group,
                "DescribeSecurityGroups",
                Refusal(Protocol::Ec2, 403, "UnauthorizedOperation", scp),
                policy,
            ),
            (
                "EC2.2",
                group,
                "DescribeSecurityGroups",
                Refusal(
                    Protocol::Ec2,
                    401,
                    "AuthFailure",
                    "AWS was not able to validate the provided access credentials",
                ),
                off,
            ),
            (
                "EC2.2",
                group,
                "DescribeSecurityGroups",
                Refusal(Protocol::Ec2, 401, "OptInRequired", ""),
                "cannot use the service",
            ),
            (
                "EC2.2",
                group,
                "DescribeSecurityGroups",
                Refusal(Protocol::Ec2, 400, "InvalidGroup.NotFound", ""),
                gone,
            ),
            (
                "SNS.1",
                topic,
                "GetTopicAttributes",
                Refusal(Protocol::Query, 403, "AuthorizationError", scp),
                policy,
            ),
            (
                "SNS.1",
                topic,
                "GetTopicAttributes",
                Refusal(
                    Protocol::Query,
                    403,
                    "InvalidClientTokenId",
                    "The security token included in the request is invalid",
                ),
                off,
            ),
            (
                "SNS.1",
                topic,
                "GetTopicAttributes",
                Refusal(Protocol::Query, 404, "NotFound", ""),
                gone,
            ),
            (
                "S3.8",
                bucket,
                bucket_read,
                Refusal(Protocol::S3, 403, "AccessDenied", scp),
                policy,
            ),
            (
                "S3.8",
                bucket,
                bucket_read,
                Refusal(Protocol::S3, 404, "NoSuchBucket", ""),
                gone,
            ),
        ] {
            let order = order(control, resource);
            let none = |call: &Call| panic!("{} {}", call.operation, call.uri);
            let (report, _) = refused(&order, operation, refusal, none).await;
            let report = report.unwrap();
            let reason = report.reason.unwrap();
            assert!(reason.contains(words), "{control} {}: {reason}", refusal.2);
        }
    }

    #[tokio::test]
    async fn what_passes_has_a_name_that_the_state_machine_retries() {
        let machine = include_str!("../../../infra/remediation.asl.yaml");
        let retried = machine.split("Retry:").nth(1).unwrap();
        let retried = retried.split("Catch:").next().unwrap();
        let is_retried = |name: &str| {
            let lines = retried.lines().map(str::trim);
            let mut lines = lines.filter(|line| !line.starts_with('#'));
            lines.any(|line| {
                let mut words = line.split([' ', '[', ']', ',']);
                words.any(|word| word == name)
            })
        };
        let order = order("DynamoDB.6", TABLE);
        for (operation, refusal, name) in [
            (
                ASSUME,
                Refusal(Protocol::Query, 400, "Throttling", ""),
                "Throttled",
            ),
            (
                READ,
                Refusal(Protocol::Json, 400, "ThrottlingException", ""),
                "Throttled",
            ),
            (
                WRITE,
                Refusal(Protocol::Json, 400, "RequestLimitExceeded", ""),
                "Throttled",
            ),
            (
                WRITE,
                Refusal(Protocol::Json, 400, "ConflictException", ""),
                "Busy",
            ),
            (
                READ,
                Refusal(Protocol::Json, 500, "InternalServerError", ""),
                "Unavailable",
            ),
            (
                WRITE,
                Refusal(Protocol::Json, 503, "ServiceUnavailable", ""),
                "Unavailable",
            ),
        ] {
            let (report, _) = refused(&order, operation, refusal, table).await;
            let error = report.unwrap_err();
            assert_eq!(error.name, name, "{operation}: {error}");
            assert!(is_retried(name), "{name}");
        }
        assert!(!is_retried("Refused"));
    }

    #[tokio::test]
    async fn an_order_that_takes_too_long_is_retried() {
        let wire = Wire::start(|call| match call.operation.as_str() {
            "AssumeRole" => session(1),
            _ => table(call).after(Duration::from_secs(5)),
        })
        .await
        .unwrap();
        let remediator = Remediator::new(wire.sdk_config().await);
        let soon = Instant::now() + Duration::from_millis(200);
        let order = order("DynamoDB.6", TABLE);
        let calls = CallCounter::default();
        let work = remediator.carry_out(&order, &calls, Timestamp::UNIX_EPOCH, soon);
        assert_eq!(work.await.unwrap_err().name, "Unavailable");
    }

    #[tokio::test]
    async fn an_order_that_is_none_of_ours_is_refused_without_a_call() {
        let good = order("DynamoDB.6", TABLE);
        let with = |change: fn(&mut Order)| {
            let mut order = good.clone();
            change(&mut order);
            order
        };
        for order in [
            with(|order| "EC2.4".clone_into(&mut order.control)),
            with(|order| "dynamodb-recovery".clone_into(&mut order.action)),
            with(|order| "none".clone_into(&mut order.action)),
            with(|order| "eu-west-2".clone_into(&mut order.target.region)),
            with(|order| order.target.account = "444455556666".parse().unwrap()),
            with(|order| "*".clone_into(&mut order.target.resource)),
            with(|order| order.target.resource.push('*')),
            with(|order| TRAIL.clone_into(&mut order.target.resource)),
            with(|order| order.task = Task::Undo),
            with(|order| order.undo = Some(states())),
        ] {
            let none = |call: &Call| panic!("{}", call.operation);
            let refusal = Refusal(Protocol::Query, 400, "None", "");
            let (report, calls) = refused(&order, ASSUME, refusal, none).await;
            assert_eq!(report.unwrap_err().name, "Refused", "{order:?}");
            assert!(calls.is_empty());
        }
    }

    fn states() -> Undo {
        Undo {
            before: json!({ "DeletionProtectionEnabled": false }),
            after: json!({ "DeletionProtectionEnabled": true }),
        }
    }

    #[tokio::test]
    async fn an_undo_has_a_session_that_cannot_fix_and_restores_the_state() {
        let updates = AtomicUsize::new(0);
        let wire = Wire::start(move |call| match call.operation.as_str() {
            "AssumeRole" => session(1),
            "UpdateTable" => {
                updates.fetch_add(1, Ordering::Relaxed);
                assert_eq!(call.body["DeletionProtectionEnabled"], false);
                Answer::ok(json!({}))
            }
            _ => {
                let protected = updates.load(Ordering::Relaxed) == 0;
                Answer::ok(json!({ "Table": { "DeletionProtectionEnabled": protected } }))
            }
        })
        .await
        .unwrap();
        let remediator = Remediator::new(wire.sdk_config().await);
        let undo = |control, resource| Order {
            task: Task::Undo,
            undo: Some(states()),
            ..order(control, resource)
        };
        let calls = CallCounter::default();
        for expected in [Outcome::Undone, Outcome::AlreadyUndone] {
            let undo = undo("DynamoDB.6", TABLE);
            let report = remediator.carry_out(&undo, &calls, Timestamp::UNIX_EPOCH, soon());
            assert_eq!(report.await.unwrap().outcome, expected);
        }
        // What cannot be undone needs no call.
        drop(wire.take_calls());
        let undo = undo("CloudTrail.1", "AWS::::Account:111122223333");
        let report = remediator.carry_out(&undo, &calls, Timestamp::UNIX_EPOCH, soon());
        let report = report.await.unwrap();
        assert_eq!(report.outcome, Outcome::NotUndoable);
        assert!(report.reason.unwrap().contains("stop-logging"));
        assert!(wire.calls().is_empty());
    }

    /// Counts who asks it for credentials.
    #[derive(Clone, Debug, Default)]
    struct SharedCache(Arc<AtomicUsize>);

    impl ResolveCachedIdentity for SharedCache {
        fn resolve_cached_identity<'a>(
            &'a self,
            resolver: SharedIdentityResolver,
            components: &'a RuntimeComponents,
            bag: &'a ConfigBag,
        ) -> IdentityFuture<'a> {
            self.0.fetch_add(1, Ordering::Relaxed);
            IdentityFuture::new(async move { resolver.resolve_identity(components, bag).await })
        }
    }

    #[tokio::test]
    async fn each_order_has_credentials_of_its_own() {
        let (sessions, updates) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let wire = Wire::start(move |call| match call.operation.as_str() {
            "AssumeRole" => session(sessions.fetch_add(1, Ordering::Relaxed)),
            "UpdateTable" => {
                updates.fetch_add(1, Ordering::Relaxed);
                Answer::ok(json!({}))
            }
            // Each order finds it unprotected once more.
            _ => {
                let (sessions, updates) = (&sessions, &updates);
                let protected = sessions.load(Ordering::Relaxed) == updates.load(Ordering::Relaxed);
                Answer::ok(json!({ "Table": { "DeletionProtectionEnabled": protected } }))
            }
        })
        .await
        .unwrap();
        let shared = SharedCache::default();
        let sdk = wire.sdk_config().await.to_builder();
        let remediator = Remediator::new(sdk.identity_cache(shared.clone()).build());
        for number in 0..3 {
            let order = Order {
                task: Task::Fix,
                ..order("DynamoDB.6", TABLE)
            };
            let report = remediator
                .carry_out(
                    &order,
                    &CallCounter::default(),
                    Timestamp::UNIX_EPOCH,
                    soon(),
                )
                .await
                .unwrap();
            assert_eq!(report.outcome, Outcome::Fixed);
            let (assumed, others): (Vec<_>, Vec<_>) = wire
                .take_calls()
                .into_iter()
                .partition(|call| call.operation == "AssumeRole");
            assert_eq!(assumed.len(), 1, "one session serves an order's clients");
            assert_eq!(others.len(), 3);
            for call in others {
                assert_eq!(call.access_key, format!("ASIA{number}"));
            }
        }
        assert_eq!(shared.0.load(Ordering::Relaxed), 0, "orders share a cache");
    }

    #[tokio::test]
    async fn a_trail_stands_for_its_bucket() {
        let logging = AtomicBool::new(false);
        let wire = Wire::start(move |call| {
            let path = call.uri.split('?').next().unwrap_or_default();
            let asks = |name: &str| call.uri.contains(name);
            match call.operation.as_str() {
                "AssumeRole" => session(1),
                "GetTrail" => {
                    assert_eq!(call.body["Name"], TRAIL);
                    Answer::ok(json!({ "Trail": { "S3BucketName": "trail-files" } }))
                }
                "GetObject" if asks("logging") => {
                    assert!(path.contains("trail-files"), "{path}");
                    let enabled = "<BucketLoggingStatus><LoggingEnabled><TargetBucket>orgkeeper-access-logs-111122223333-eu-west-1</TargetBucket><TargetPrefix>trail-files/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>";
                    let is_enabled = logging.load(Ordering::Relaxed);
                    Answer::xml(200, if is_enabled { enabled } else { "<BucketLoggingStatus/>" })
                }
                "PutObject" if asks("logging") => {
                    assert!(path.contains("trail-files"), "{path}");
                    logging.store(true, Ordering::Relaxed);
                    Answer::xml(200, "")
                }
                "GetObject" if asks("policy") => Answer::xml_error(404, "NoSuchBucket"),
                "PutObject" => {
                    assert!(path.contains("orgkeeper-access-logs"), "{path}");
                    Answer::xml(200, "")
                }
                other => panic!("{other} {}", call.uri),
            }
        })
        .await
        .unwrap();
        let remediator = Remediator::new(wire.sdk_config().await);
        let order = order("CloudTrail.7", TRAIL);
        let report = remediator
            .carry_out(
                &order,
                &CallCounter::default(),
                Timestamp::UNIX_EPOCH,
                soon(),
            )
            .await
            .unwrap();
        assert_eq!(report.outcome, Outcome::Fixed, "{report:?}");
        let policies: Vec<Value> = wire
            .calls_of("AssumeRole")
            .iter()
            .map(|call| serde_json::from_str(call.body["Policy"].as_str().unwrap()).unwrap())
            .collect();
        let [trail, bucket] = &policies[..] else {
            panic!("{policies:?}");
        };
        let statement =
            json!({ "Effect": "Allow", "Action": ["cloudtrail:GetTrail"], "Resource": TRAIL });
        assert_eq!(trail["Statement"], json!([statement]));
        let on_bucket = json!({
            "Effect": "Allow",
            "Action": ["s3:GetBucketLogging", "s3:PutBucketLogging"],
            "Resource": "arn:aws:s3:::trail-files",
        });
        assert_eq!(bucket["Statement"][0], on_bucket);
    }

    /// An event of the trail: its call, when it was, who made it, and what else it has.
    fn event(name: &str, minute: u32, arn: &str, more: &Value) -> Value {
        let mut event = json!({
            "eventName": name, "eventSource": "s3.amazonaws.com", "eventTime": format!("2026-03-01T10:{minute:02}:00Z"),
            "readOnly": false, "userIdentity": { "type": "AssumedRole", "arn": arn },
        });
        let more = more.as_object().unwrap().clone();
        event.as_object_mut().unwrap().extend(more);
        json!({ "EventName": name, "CloudTrailEvent": event.to_string() })
    }

    const DEPLOY: &str = "arn:aws:sts::111122223333:assumed-role/Deploy/ci";
    const OURS: &str =
        "arn:aws:sts::111122223333:assumed-role/OrgkeeperRemediation/orgkeeper-remediator";

    /// Looks who changed the resource, over a wire where CloudTrail answers so.
    async fn looked(
        order: Order,
        answer: impl Fn(&Call) -> Answer + Send + Sync + 'static,
    ) -> (Result<Report, NamedError>, Vec<Call>) {
        let wire = Wire::start(move |call| match call.operation.as_str() {
            "AssumeRole" => session(1),
            "LookupEvents" => answer(call),
            other => panic!("{other}"),
        })
        .await
        .unwrap();
        // As in the function: the SDK retries.
        let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
        let sdk = wire.sdk_config().await.to_builder();
        let remediator = Remediator::new(sdk.retry_config(retries).build());
        let order = Order {
            task: Task::WhoChanged,
            since: "2026-03-01T09:00:00Z".parse().ok(),
            ..order
        };
        let (calls, now) = (CallCounter::default(), "2026-03-02T00:00:00Z");
        let report = remediator.carry_out(&order, &calls, now.parse().unwrap(), soon());
        (report.await, wire.calls())
    }

    fn named(call: &Call) -> String {
        let attribute = &call.body["LookupAttributes"][0];
        assert_eq!(attribute["AttributeKey"], "ResourceName");
        attribute["AttributeValue"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn the_newest_change_by_somebody_else_is_found() {
        let (report, calls) = looked(order("S3.8", "arn:aws:s3:::logs"), |_| {
            let events = [
                event(
                    "DeletePublicAccessBlock",
                    59,
                    DEPLOY,
                    &json!({ "errorCode": "AccessDenied" }),
                ),
                event("PutPublicAccessBlock", 58, OURS, &json!({})),
                event("GetBucketAcl", 57, DEPLOY, &json!({ "readOnly": true })),
                event(
                    "DeleteLogGroup",
                    56,
                    DEPLOY,
                    &json!({ "eventSource": "logs.amazonaws.com" }),
                ),
                json!({ "EventName": "PutBucketAcl", "CloudTrailEvent": "{" }),
                event("DeletePublicAccessBlock", 30, DEPLOY, &json!({})),
                event(
                    "PutBucketAcl",
                    10,
                    "arn:aws:iam::111122223333:user/ada",
                    &json!({}),
                ),
            ];
            Answer::ok(json!({ "Events": events }))
        })
        .await;
        let report = report.unwrap();
        let by = format!("{DEPLOY} by DeletePublicAccessBlock at 2026-03-01T10:30:00Z");
        assert_eq!(report.changed_by, Some(by), "{report:?}");
        assert_eq!((report.outcome, report.before), (Outcome::Looked, None));
        let [assume, look] = &calls[..] else {
            panic!("{calls:?}");
        };
        let policy: Value = serde_json::from_str(assume.body["Policy"].as_str().unwrap()).unwrap();
        let statement =
            json!({ "Effect": "Allow", "Action": ["cloudtrail:LookupEvents"], "Resource": "*" });
        assert_eq!(policy["Statement"], json!([statement]));
        assert_eq!(named(look), "logs");
        // The start of the last fix.
        assert_eq!(look.body["StartTime"].as_f64(), Some(1_772_355_600.0));
        assert!(
            look.header("authorization")
                .contains("/eu-west-1/cloudtrail/")
        );
    }

    #[tokio::test]
    async fn a_service_and_another_session_of_the_role_are_named() {
        let other = "arn:aws:sts::111122223333:assumed-role/OrgkeeperRemediation/ana";
        let service =
            json!({ "userIdentity": { "type": "AWSService", "invokedBy": "ssm.amazonaws.com" } });
        for (event, by) in [
            (event("PutBucketAcl", 10, other, &json!({})), other),
            (event("PutBucketAcl", 10, "", &service), "ssm.amazonaws.com"),
        ] {
            let events = json!({ "Events": [event] });
            let answer = move |_: &Call| Answer::ok(events.clone());
            let (report, _) = looked(order("S3.8", "arn:aws:s3:::logs"), answer).await;
            let by = format!("{by} by PutBucketAcl at 2026-03-01T10:10:00Z");
            assert_eq!(report.unwrap().changed_by, Some(by));
        }
    }

    #[tokio::test]
    async fn pages_and_the_arn_are_looked_at_before_nothing_is_found() {
        let user = "arn:aws:iam::111122223333:user/staff/ada";
        let (report, calls) = looked(order("IAM.3", user), |call| {
            let more = named(call) == "ada" && call.body["NextToken"].is_null();
            Answer::ok(json!({ "Events": [], "NextToken": more.then_some("more") }))
        })
        .await;
        let report = report.unwrap();
        assert_eq!((report.outcome, report.changed_by), (Outcome::Looked, None));
        assert!(
            report
                .reason
                .unwrap()
                .contains("no change of it since 2026-03-01T09:00:00Z")
        );
        let names: Vec<String> = calls[1..].iter().map(named).collect();
        assert_eq!(names, ["ada", "ada", user]);
        assert!(
            calls[1]
                .header("authorization")
                .contains("/us-east-1/cloudtrail/")
        );
        // No more than four pages.
        let endless = |_: &Call| Answer::ok(json!({ "Events": [], "NextToken": "more" }));
        let (report, calls) = looked(order("S3.8", "arn:aws:s3:::logs"), endless).await;
        assert!(report.unwrap().reason.unwrap().contains("are no changes"));
        assert_eq!(calls.len(), 1 + 4);
    }

    #[tokio::test]
    async fn the_account_as_a_whole_has_no_name_to_look_for() {
        for control in ["IAM.7", "IAM.9"] {
            let none = |_: &Call| -> Answer { panic!("a call") };
            let order = order(control, "AWS::::Account:111122223333");
            let (report, calls) = looked(order, none).await;
            let report = report.unwrap();
            assert_eq!((report.outcome, report.changed_by), (Outcome::Looked, None));
            assert!(report.reason.unwrap().contains("account-wide settings"));
            assert!(calls.is_empty());
        }
    }

    #[tokio::test]
    async fn a_look_is_retried_if_it_is_throttled_and_reported_if_it_is_denied() {
        let throttled = AtomicBool::new(false);
        let (report, calls) = looked(order("S3.8", "arn:aws:s3:::logs"), move |_| {
            if throttled.swap(true, Ordering::Relaxed) {
                return Answer::ok(
                    json!({ "Events": [event("PutBucketAcl", 10, DEPLOY, &json!({}))] }),
                );
            }
            Refusal(Protocol::Json, 400, "ThrottlingException", "Rate exceeded").answer()
        })
        .await;
        assert!(report.unwrap().changed_by.unwrap().starts_with(DEPLOY));
        assert_eq!(calls.len(), 3);
        let always = |_: &Call| Refusal(Protocol::Json, 400, "ThrottlingException", "").answer();
        let (report, _) = looked(order("S3.8", "arn:aws:s3:::logs"), always).await;
        assert_eq!(report.unwrap_err().name, "Throttled");
        let denied = |_: &Call| {
            let words = "User: u is not authorized to perform: cloudtrail:LookupEvents because no identity-based policy allows the cloudtrail:LookupEvents action";
            Refusal(Protocol::Json, 400, "AccessDeniedException", words).answer()
        };
        let (report, _) = looked(order("S3.8", "arn:aws:s3:::logs"), denied).await;
        let report = report.unwrap();
        assert_eq!(
            (report.outcome, report.changed_by),
            (Outcome::Blocked, None)
        );
        assert!(report.reason.unwrap().contains("older than this version"));
    }

    #[tokio::test]
    async fn a_trail_that_is_gone_has_no_bucket() {
        let order = order("CloudTrail.6", TRAIL);
        let refusal = Refusal(Protocol::Json, 400, "TrailNotFoundException", "");
        let none = |call: &Call| panic!("{}", call.operation);
        let (report, calls) = refused(&order, "GetTrail", refusal, none).await;
        assert_eq!(report.unwrap().outcome, Outcome::NotApplicable);
        assert_eq!(calls, ["AssumeRole", "GetTrail"]);
    }
}
