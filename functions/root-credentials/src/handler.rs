//! An order in, a report out.

use std::time::Duration;

use aws_config::SdkConfig;
use orgkeeper_shared::{
    aws::CallCounter,
    aws_error::{AwsCallError, AwsErrorClass},
    ids::AccountId,
    lambda::{Error, Function, Invocation, NamedError},
    remediation::{
        carried_out,
        control::{ROOT_CREDENTIALS, control},
        order::{Order, Task, Undo},
        report::{Outcome, Report},
    },
};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    credentials::RootUser,
    root_session::{RootSession, RootTask},
};

const FUNCTION: &str = "root-credentials";

/// The function.
#[derive(Debug)]
pub struct RootCredentials {
    sdk: SdkConfig,
}

fn named(error: &AwsCallError) -> NamedError {
    NamedError {
        name: match error.class() {
            AwsErrorClass::Throttled => "Throttled",
            AwsErrorClass::Conflict => "Busy",
            AwsErrorClass::TimedOut | AwsErrorClass::Unreachable | AwsErrorClass::ServiceFault => {
                "Unavailable"
            }
            AwsErrorClass::ConditionFailed
            | AwsErrorClass::NotFound
            | AwsErrorClass::Denied
            | AwsErrorClass::SetUp
            | AwsErrorClass::Refused => "Refused",
        },
        message: error.to_string(),
    }
}

/// What a call that failed means: an error by which the order is retried, or else a report.
fn refused(error: &AwsCallError) -> Result<Report, NamedError> {
    if error.retryable() {
        return Err(named(error));
    }
    Ok(Report::blocked(match (error.class(), error.operation()) {
        (AwsErrorClass::Denied, "AssumeRoot") => {
            "AWS denies a session as root: enable root sessions for member accounts in IAM of the management account (aws \
             iam enable-organizations-root-sessions), and look for a service control policy that denies it"
                .to_owned()
        }
        _ => format!("AWS refused the call: {error}"),
    }))
}

fn of(outcome: Outcome, before: &RootUser) -> Report {
    Report {
        before: Some(json!(before)),
        ..Report::of(outcome)
    }
}

impl RootCredentials {
    /// A function whose calls are made with these credentials. Makes no call.
    #[must_use]
    pub fn new(sdk: SdkConfig) -> Self {
        Self { sdk }
    }

    /// Carries out an order; `own` is the account of this function, the management account.
    ///
    /// # Errors
    /// If the order is none of ours, or a call failed for a reason that passes.
    pub async fn carry_out(
        &self,
        order: &Order,
        own: Option<&AccountId>,
        calls: &CallCounter,
    ) -> Result<Report, NamedError> {
        let none_of_ours = |message: &str| NamedError {
            name: "Refused",
            message: message.to_owned(),
        };
        let control = control(&order.control)
            .filter(|control| {
                control.action == ROOT_CREDENTIALS && order.action == ROOT_CREDENTIALS
            })
            .ok_or_else(|| none_of_ours("the control is not about root credentials"))?;
        order
            .target
            .check(control)
            .map_err(|mismatch| none_of_ours(&mismatch.to_string()))?;
        if order.undo.is_some() != (order.task == Task::Undo) {
            return Err(none_of_ours("only an undo has the states of a fix"));
        }
        if order.task == Task::WhoChanged {
            return Err(none_of_ours("a member's trail is read by the remediator"));
        }
        if own.is_none_or(|own| *own == order.target.account) {
            return Err(none_of_ours(
                "the management account's root user is never touched",
            ));
        }
        let carried_out = match &order.undo {
            Some(states) => self.give_back(order, states, calls).await,
            None => self.take(order, calls).await,
        };
        carried_out.or_else(|error| refused(&error))
    }

    async fn session(
        &self,
        order: &Order,
        calls: &CallCounter,
        task: RootTask,
    ) -> Result<RootSession, AwsCallError> {
        RootSession::begin(&self.sdk, calls, &order.target, task).await
    }

    /// Takes the credentials that the control is about, or says which they are. `account-hydrator`, which knows which
    /// account is a member, calls this directly.
    ///
    /// # Errors
    /// If a call failed, for whatever reason.
    pub async fn take(&self, order: &Order, calls: &CallCounter) -> Result<Report, AwsCallError> {
        let audit = self.session(order, calls, RootTask::Audit).await?;
        let before = audit.read().await?;
        let after = before.left_by(&order.control);
        if before == after {
            return Ok(of(Outcome::AlreadyCompliant, &before));
        }
        if !order.task.changes() {
            return Ok(Report {
                after: Some(json!(after)),
                ..of(Outcome::WouldFix, &before)
            });
        }
        let delete = self.session(order, calls, RootTask::Delete).await?;
        delete.delete(&before, &after).await?;
        Ok(read_back(&audit, Outcome::Fixed, &before, &after).await)
    }

    /// Gives back the password, as far as anybody can: keys and devices are gone.
    async fn give_back(
        &self,
        order: &Order,
        states: &Undo,
        calls: &CallCounter,
    ) -> Result<Report, AwsCallError> {
        let kept = |state: &Value| RootUser::deserialize(state).ok();
        let (Some(before), Some(left)) = (kept(&states.before), kept(&states.after)) else {
            return Ok(Report {
                reason: Some("the record has no states of a root user".to_owned()),
                ..Report::of(Outcome::Refused)
            });
        };
        if !before.password || left.password {
            return Ok(Report {
                reason: Some(
                    "access keys, signing certificates and MFA devices of a root user cannot be given back: the owner of \
                     its address signs in and creates new ones"
                        .to_owned(),
                ),
                ..Report::of(Outcome::NotUndoable)
            });
        }
        let audit = self.session(order, calls, RootTask::Audit).await?;
        let now = audit.read().await?;
        if now.password {
            return Ok(of(Outcome::AlreadyUndone, &now));
        }
        let create = self.session(order, calls, RootTask::CreatePassword).await?;
        create.create_password().await?;
        let after = RootUser {
            password: true,
            ..now.clone()
        };
        Ok(read_back(&audit, Outcome::Undone, &now, &after).await)
    }
}

/// Once something was changed, no failure loses what it was before.
async fn read_back(
    audit: &RootSession,
    success: Outcome,
    before: &RootUser,
    after: &RootUser,
) -> Report {
    let report = |outcome, after: &RootUser, reason| Report {
        after: Some(json!(after)),
        reason,
        ..of(outcome, before)
    };
    match audit.read().await {
        Ok(now) if now == *after => report(success, &now, None),
        Ok(now) => report(
            Outcome::Unconfirmed,
            &now,
            Some("the calls succeeded, but the root user reads back otherwise".to_owned()),
        ),
        Err(error) => report(
            Outcome::Unconfirmed,
            after,
            Some(format!(
                "the calls succeeded, but the root user could not be read back: {error}"
            )),
        ),
    }
}

impl Function for RootCredentials {
    type Event = Order;
    type Response = Report;

    async fn handle(&self, order: Order, invocation: Invocation) -> Result<Report, Error> {
        let calls = CallCounter::default();
        let time: Duration = invocation.time_to_work();
        let work = self.carry_out(&order, invocation.account.as_ref(), &calls);
        let report = timeout(time, work).await.unwrap_or_else(|_| {
            Err(NamedError {
                name: "Unavailable",
                message: "the invocation's time ran out".to_owned(),
            })
        });
        carried_out::write(FUNCTION, &order, &report, &calls, invocation.now);
        Ok(report?)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::{Mutex, PoisonError},
    };

    use orgkeeper_shared::remediation::{order::Parameters, target::Target};
    use orgkeeper_tests::wire::{Answer, Call, Wire};

    use super::*;

    const MANAGEMENT: &str = "999988887777";
    const MEMBER: &str = "111122223333";

    fn order(task: Task, id: &str, account: &str) -> Order {
        let control = control(id).unwrap();
        let resource = format!("AWS::::Account:{account}");
        let account = account.parse().unwrap();
        Order {
            task,
            control: control.id.to_owned(),
            action: control.action.to_owned(),
            target: Target::new(control, account, "eu-west-1", &resource).unwrap(),
            parameters: Parameters::new(),
            undo: None,
            since: None,
        }
    }

    /// A root user, and what its calls answer in a session of a task.
    struct Account(Mutex<RootUser>);

    impl Account {
        fn answer(&self, call: &Call) -> Answer {
            let mut user = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let list = |name: &str, item: &str, ids: &BTreeSet<String>| {
                let items: Vec<String> = ids
                    .iter()
                    .map(|id| format!("<member><{item}>{id}</{item}>{REST}</member>"))
                    .collect();
                result(
                    &call.operation,
                    &format!(
                        "<{name}>{}</{name}><IsTruncated>false</IsTruncated>",
                        items.concat()
                    ),
                )
            };
            let task = call.access_key.as_str();
            match (call.operation.as_str(), task) {
                ("AssumeRoot", _) => {
                    let policy = call.body["TaskPolicyArn.arn"].as_str().unwrap();
                    let task = policy.rsplit('/').next().unwrap();
                    assert_eq!(call.body["TargetPrincipal"], MEMBER);
                    result(
                        "AssumeRoot",
                        &format!(
                            "<Credentials><AccessKeyId>{task}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                             <SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
                        ),
                    )
                }
                ("ListAccessKeys", AUDIT) => {
                    list("AccessKeyMetadata", "AccessKeyId", &user.access_keys)
                }
                ("ListSigningCertificates", AUDIT) => {
                    list("Certificates", "CertificateId", &user.signing_certificates)
                }
                ("ListMFADevices", AUDIT) => list("MFADevices", "SerialNumber", &user.mfa_devices),
                ("GetLoginProfile", AUDIT) if user.password => result(
                    "GetLoginProfile",
                    "<LoginProfile><UserName>root</UserName><CreateDate>2026-01-01T00:00:00Z</CreateDate></LoginProfile>",
                ),
                ("GetLoginProfile", AUDIT) => error(404, "NoSuchEntity"),
                ("DeleteAccessKey", DELETE) => {
                    user.access_keys
                        .remove(call.body["AccessKeyId"].as_str().unwrap());
                    result("DeleteAccessKey", "")
                }
                ("DeleteSigningCertificate", DELETE) => {
                    user.signing_certificates.clear();
                    result("DeleteSigningCertificate", "")
                }
                ("DeleteLoginProfile", DELETE) => {
                    user.password = false;
                    result("DeleteLoginProfile", "")
                }
                ("DeactivateMFADevice", DELETE) => {
                    user.mfa_devices.clear();
                    result("DeactivateMFADevice", "")
                }
                ("CreateLoginProfile", CREATE) => {
                    user.password = true;
                    result(
                        "CreateLoginProfile",
                        "<LoginProfile><UserName>root</UserName><CreateDate>2026-01-01T00:00:00Z</CreateDate></LoginProfile>",
                    )
                }
                other => panic!("{other:?}"),
            }
        }
    }

    const AUDIT: &str = "IAMAuditRootUserCredentials";
    const DELETE: &str = "IAMDeleteRootUserCredentials";
    const CREATE: &str = "IAMCreateRootUserPassword";
    /// What IAM has in every item besides its id.
    const REST: &str = "<UserName>root</UserName><CertificateBody>b</CertificateBody><Status>Active</Status>\
                        <EnableDate>2026-01-01T00:00:00Z</EnableDate>";

    fn result(operation: &str, body: &str) -> Answer {
        Answer::xml(
            200,
            &format!(
                "<{operation}Response><{operation}Result>{body}</{operation}Result></{operation}Response>"
            ),
        )
    }

    fn error(status: u16, code: &str) -> Answer {
        let body = format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>");
        Answer::xml(status, &body)
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn everything() -> RootUser {
        RootUser {
            password: true,
            access_keys: names(&["AKIA1", "AKIA2"]),
            signing_certificates: names(&["C1"]),
            mfa_devices: names(&["arn:aws:iam::111122223333:mfa/root"]),
        }
    }

    async fn account(user: RootUser) -> (Wire, RootCredentials) {
        let account = Account(Mutex::new(user));
        let wire = Wire::start(move |call| account.answer(call)).await.unwrap();
        let function = RootCredentials::new(wire.sdk_config().await);
        (wire, function)
    }

    async fn carried_out(function: &RootCredentials, order: &Order) -> Result<Report, NamedError> {
        let own = MANAGEMENT.parse().unwrap();
        let calls = CallCounter::default();
        function.carry_out(order, Some(&own), &calls).await
    }

    #[tokio::test]
    async fn credentials_are_taken_and_the_password_is_given_back() {
        for id in ["IAM.4", "IAM.6", "IAM.9"] {
            let (wire, function) = account(everything()).await;
            let run = async |task| {
                carried_out(&function, &order(task, id, MEMBER))
                    .await
                    .unwrap()
            };
            let preview = run(Task::Preview).await;
            assert_eq!(preview.outcome, Outcome::WouldFix);
            assert_eq!(preview.before, Some(json!(everything())));
            assert!(
                wire.calls_of("AssumeRoot").len() == 1,
                "a preview only reads"
            );
            let fixed = run(Task::Fix).await;
            assert_eq!(fixed.outcome, Outcome::Fixed, "{fixed:?}");
            assert_eq!(fixed.after, Some(json!(everything().left_by(id))));
            assert_eq!(fixed.after, preview.after);
            assert_eq!(run(Task::Fix).await.outcome, Outcome::AlreadyCompliant);

            let undo = Order {
                undo: Some(Undo {
                    before: fixed.before.unwrap(),
                    after: fixed.after.unwrap(),
                }),
                ..order(Task::Undo, id, MEMBER)
            };
            let expected = if id == "IAM.4" {
                [Outcome::NotUndoable; 2]
            } else {
                [Outcome::Undone, Outcome::AlreadyUndone]
            };
            for expected in expected {
                let report = carried_out(&function, &undo).await.unwrap();
                assert_eq!(report.outcome, expected, "{report:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_order_that_is_none_of_ours_is_refused_without_a_call() {
        let good = order(Task::Fix, "IAM.9", MEMBER);
        let with = |change: fn(&mut Order)| {
            let mut order = good.clone();
            change(&mut order);
            order
        };
        let (wire, function) = account(everything()).await;
        for order in [
            order(Task::Fix, "IAM.9", MANAGEMENT),
            with(|order| "IAM.7".clone_into(&mut order.control)),
            with(|order| "iam-password-policy".clone_into(&mut order.action)),
            with(|order| order.target.account = "444455556666".parse().unwrap()),
            with(|order| order.task = Task::Undo),
            with(|order| order.task = Task::WhoChanged),
            with(|order| {
                order.undo = Some(Undo {
                    before: json!(1),
                    after: json!(2),
                });
            }),
        ] {
            let refused = carried_out(&function, &order).await;
            assert_eq!(refused.unwrap_err().name, "Refused", "{order:?}");
        }
        // A function that does not know where it runs could be asked for its own account.
        let calls = CallCounter::default();
        let unknown = function.carry_out(&good, None, &calls);
        assert_eq!(unknown.await.unwrap_err().name, "Refused");
        assert!(wire.calls().is_empty());
    }

    #[tokio::test]
    async fn what_a_retry_does_not_change_is_reported() {
        for (status, code, expected) in [
            (
                403,
                "AccessDenied",
                Ok("enable-organizations-root-sessions"),
            ),
            (400, "ExpiredTrustRelation", Ok("AWS refused the call")),
            (400, "Throttling", Err("Throttled")),
            (503, "ServiceUnavailable", Err("Unavailable")),
        ] {
            let wire = Wire::start(move |_| error(status, code)).await.unwrap();
            let function = RootCredentials::new(wire.sdk_config().await);
            let result = carried_out(&function, &order(Task::Fix, "IAM.6", MEMBER)).await;
            match (result, expected) {
                (Ok(report), Ok(words)) => {
                    assert_eq!(report.outcome, Outcome::Blocked);
                    assert!(report.reason.unwrap().contains(words), "{code}");
                }
                (Err(error), Err(name)) => assert_eq!(error.name, name),
                (other, _) => panic!("{code}: {other:?}"),
            }
        }
    }
}
