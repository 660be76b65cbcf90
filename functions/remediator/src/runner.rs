//! The steps of every order: read, plan, apply, read back.

use std::time::Duration;

use orgkeeper_shared::remediation::{
    order::{Order, Task},
    report::{Outcome, Report},
};
use serde_json::Value;
use tokio::time::timeout_at;

use crate::{
    action::{Action, Plan},
    member::Member,
    refusal::CallFailed,
};

/// The waits before a changed resource is read again: some services show a change after a second or two.
const UNTIL_SEEN: &[Duration] = &[
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Why nothing was read back, where there was no time for it.
const NO_TIME: &str = "the invocation's time ran out";

/// Carries out an order by an action.
///
/// Once the calls that change the resource have succeeded, there is a report with the state before: a failure to read
/// it back is [`Outcome::Unconfirmed`].
///
/// # Errors
/// If a call failed for a reason that [`CallFailed::report`] makes no report of: the order is retried.
pub async fn run<A: Action>(
    action: &A,
    member: &Member,
    order: &Order,
) -> Result<Report, CallFailed> {
    match steps(action, member, order).await {
        Ok(report) => Ok(report),
        Err(failed) => failed.report().ok_or(failed),
    }
}

async fn steps<A: Action>(
    action: &A,
    member: &Member,
    order: &Order,
) -> Result<Report, CallFailed> {
    let before = action.read(member, order).await?;
    let report = |outcome| Report {
        before: Some(json_of(&before)),
        ..Report::of(outcome)
    };
    let after = match action.plan(&before, order) {
        Plan::Change(after) => after,
        Plan::Compliant => return Ok(report(Outcome::AlreadyCompliant)),
        Plan::NotApplicable(reason) => {
            return Ok(Report {
                reason: Some(reason),
                ..report(Outcome::NotApplicable)
            });
        }
        Plan::Blocked(reason) => {
            return Ok(Report {
                reason: Some(reason),
                ..report(Outcome::Blocked)
            });
        }
        Plan::Needs(control) => {
            return Ok(Report {
                needs: Some(control.to_owned()),
                ..report(Outcome::Needs)
            });
        }
    };
    if order.task == Task::Preview {
        return Ok(Report {
            after: Some(json_of(&after)),
            ..report(Outcome::WouldFix)
        });
    }
    if let Err(failed) = action.apply(member, order, &before, &after).await {
        // What is known of the resource is kept, also where nothing could be changed.
        return failed.report().map_or(Err(failed), |refused| {
            Ok(Report {
                before: Some(json_of(&before)),
                ..refused
            })
        });
    }
    // From here on a retry would find the resource as it was made, and what it was before would be lost.
    let read_back = read_back(action, member, order, &after).await;
    Ok(match read_back {
        ReadBack::Fixed(state) => Report {
            after: Some(json_of(&state)),
            ..report(Outcome::Fixed)
        },
        ReadBack::Otherwise(state) => Report {
            after: Some(json_of(&state)),
            reason: Some("the calls succeeded, but the resource reads back otherwise".to_owned()),
            ..report(Outcome::Unconfirmed)
        },
        ReadBack::Failed(why) => Report {
            after: Some(json_of(&after)),
            reason: Some(format!(
                "the calls succeeded, but the resource could not be read back: {why}"
            )),
            ..report(Outcome::Unconfirmed)
        },
    })
}

/// What a changed resource reads back as.
enum ReadBack<S> {
    /// As it should be.
    Fixed(S),
    /// Otherwise.
    Otherwise(S),
    /// It could not be read, for this reason.
    Failed(String),
}

/// Reads a changed resource until it is as it should be, the waits are over, or the order's time is.
async fn read_back<A: Action>(
    action: &A,
    member: &Member,
    order: &Order,
    after: &A::State,
) -> ReadBack<A::State> {
    let mut last = ReadBack::Failed(NO_TIME.to_owned());
    for wait in UNTIL_SEEN {
        let read = async {
            tokio::time::sleep(*wait).await;
            action.read(member, order).await
        };
        let Ok(read) = timeout_at(member.until, read).await else {
            break;
        };
        last = match read {
            Ok(state) if state == *after || action.plan(&state, order) == Plan::Compliant => {
                return ReadBack::Fixed(state);
            }
            Ok(state) => ReadBack::Otherwise(state),
            Err(failed) => {
                let why = failed.report().and_then(|refused| refused.reason);
                ReadBack::Failed(why.unwrap_or_else(|| failed.to_string()))
            }
        };
    }
    last
}

/// A state as before and after show it.
fn json_of(state: &impl serde::Serialize) -> Value {
    serde_json::to_value(state).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::VecDeque};

    use aws_config::{BehaviorVersion, SdkConfig};
    use orgkeeper_shared::aws_error::{AwsCallError, Service};
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::parameters::tests::account_order;

    /// What a call answers: a value, an error's code and words, or nothing within the time.
    #[derive(Clone, Copy)]
    enum Answer<T> {
        Is(T),
        Error(&'static str, &'static str),
        Never,
    }
    use Answer::{Error, Is, Never};

    async fn given<T>(answer: Answer<T>) -> Result<T, CallFailed> {
        match answer {
            Is(value) => Ok(value),
            Error(code, words) => {
                Err(AwsCallError::of_part(Service::Ec2, "Call", Some(code), words).into())
            }
            Never => std::future::pending().await,
        }
    }

    const THROTTLED: (&str, &str) = ("RequestLimitExceeded", "");
    const SCP: (&str, &str) = (
        "AccessDenied",
        "not authorized with an explicit deny in a service control policy",
    );
    const GONE: (&str, &str) = ("InvalidVpcID.NotFound", "");

    fn error<T>((code, words): (&'static str, &'static str)) -> Answer<T> {
        Error(code, words)
    }

    /// A setting that is to be 9, and is what each read says; the last one is said again.
    struct Fake {
        reads: RefCell<VecDeque<Answer<u8>>>,
        applied: Answer<()>,
        plan: Plan<u8>,
    }

    impl Fake {
        fn new(reads: &[Answer<u8>], applied: Answer<()>) -> Self {
            Self {
                reads: RefCell::new(reads.iter().copied().collect()),
                applied,
                plan: Plan::Change(9),
            }
        }
    }

    impl Action for Fake {
        type State = u8;

        async fn read(&self, _member: &Member, _order: &Order) -> Result<u8, CallFailed> {
            let next = {
                let mut reads = self.reads.borrow_mut();
                let next = *reads.front().unwrap();
                if reads.len() > 1 {
                    reads.pop_front();
                }
                next
            };
            given(next).await
        }

        fn plan(&self, state: &u8, _order: &Order) -> Plan<u8> {
            match state {
                8 | 9 => Plan::Compliant,
                _ => self.plan.clone(),
            }
        }

        async fn apply(
            &self,
            _member: &Member,
            _order: &Order,
            before: &u8,
            after: &u8,
        ) -> Result<(), CallFailed> {
            assert_eq!((*before, *after), (1, 9));
            given(self.applied).await
        }
    }

    async fn run_as(fake: &Fake, task: Task) -> Result<Report, CallFailed> {
        let order = Order {
            task,
            ..account_order("EC2.7", &[])
        };
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .build();
        let member = Member::for_test(sdk, order.target.clone());
        run(fake, &member, &order).await
    }

    async fn fixed(reads: &[Answer<u8>], applied: Answer<()>) -> Result<Report, CallFailed> {
        run_as(&Fake::new(reads, applied), Task::Fix).await
    }

    fn is(report: &Report, outcome: Outcome, before: Option<u8>, after: Option<u8>) {
        assert_eq!(report.outcome, outcome, "{report:?}");
        assert_eq!(report.before, before.map(|it| json!(it)), "{report:?}");
        assert_eq!(report.after, after.map(|it| json!(it)), "{report:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_reads_back_is_fixed() {
        for reads in [
            &[Is(1), Is(9)][..],
            // It shows after a while.
            &[Is(1), Is(1), Is(1), Is(9)],
            // Somebody made it stricter meanwhile.
            &[Is(1), Is(8)],
            // What passes is tried again.
            &[Is(1), error(THROTTLED), Is(9)],
            &[Is(1), error(GONE), Is(1), Is(9)],
        ] {
            let report = fixed(reads, Is(())).await.unwrap();
            let Some(Is(after)) = reads.last() else {
                panic!("the last read fails");
            };
            is(&report, Outcome::Fixed, Some(1), Some(*after));
            assert_eq!(report.reason, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_cannot_be_read_back_keeps_the_state_before() {
        for (failure, words) in [
            (error(THROTTLED), "RequestLimitExceeded"),
            (error(SCP), "a service control policy"),
            (error(GONE), "does not exist any more"),
            (Never, "time ran out"),
        ] {
            let started = Instant::now();
            let report = fixed(&[Is(1), failure], Is(())).await.unwrap();
            is(&report, Outcome::Unconfirmed, Some(1), Some(9));
            let reason = report.reason.unwrap();
            assert!(reason.starts_with("the calls succeeded, but"), "{reason}");
            assert!(reason.contains(words), "{reason}");
            assert!(started.elapsed() <= Duration::from_secs(61));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_reads_back_otherwise_is_not_fixed() {
        for (reads, found) in [
            (&[Is(1), Is(1)][..], 1),
            (&[Is(1), Is(2), Is(3)], 3),
            // What was read last counts, also if the time runs out then.
            (&[Is(1), Is(2), Never], 2),
        ] {
            let report = fixed(reads, Is(())).await.unwrap();
            is(&report, Outcome::Unconfirmed, Some(1), Some(found));
            assert!(report.reason.unwrap().contains("reads back otherwise"));
        }
    }

    #[tokio::test]
    async fn a_refusal_is_reported_and_what_passes_is_retried() {
        for (reads, applied, outcome, before) in [
            (&[error(SCP)][..], Is(()), Some(Outcome::Blocked), None),
            (&[error(GONE)], Is(()), Some(Outcome::NotApplicable), None),
            (&[error(THROTTLED)], Is(()), None, None),
            (&[Is(1)], error(SCP), Some(Outcome::Blocked), Some(1)),
            (&[Is(1)], error(GONE), Some(Outcome::NotApplicable), Some(1)),
            (&[Is(1)], error(THROTTLED), None, None),
        ] {
            match (fixed(reads, applied).await, outcome) {
                (Ok(report), Some(outcome)) => {
                    is(&report, outcome, before, None);
                    assert!(report.reason.is_some());
                }
                (Err(failed), None) => assert_eq!(failed.name(), "Throttled"),
                (other, _) => panic!("{other:?}"),
            }
        }
    }

    /// What is neither changed nor read again.
    const NOT: Answer<()> = Error("Applied", "");

    #[tokio::test]
    async fn a_preview_changes_nothing() {
        let fake = Fake::new(&[Is(1), error(SCP)], NOT);
        let report = run_as(&fake, Task::Preview).await.unwrap();
        is(&report, Outcome::WouldFix, Some(1), Some(9));
    }

    #[tokio::test]
    async fn a_plan_without_a_change_is_reported() {
        let report = fixed(&[Is(8), error(SCP)], NOT).await.unwrap();
        is(&report, Outcome::AlreadyCompliant, Some(8), None);
        for (plan, outcome, reason, needs) in [
            (
                Plan::NotApplicable("no".to_owned()),
                Outcome::NotApplicable,
                Some("no"),
                None,
            ),
            (
                Plan::Blocked("first".to_owned()),
                Outcome::Blocked,
                Some("first"),
                None,
            ),
            (
                Plan::Needs("CloudTrail.1"),
                Outcome::Needs,
                None,
                Some("CloudTrail.1"),
            ),
        ] {
            let fake = Fake {
                plan,
                ..Fake::new(&[Is(1), error(SCP)], NOT)
            };
            let report = run_as(&fake, Task::Fix).await.unwrap();
            is(&report, outcome, Some(1), None);
            assert_eq!(report.reason.as_deref(), reason);
            assert_eq!(report.needs.as_deref(), needs);
        }
    }
}
