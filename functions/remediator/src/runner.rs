//! The steps of every order: read, plan, apply, read back. An undo compares in place of the plan.

use std::time::Duration;

use orgkeeper_shared::remediation::{
    order::{Order, Undo},
    report::{Outcome, Report},
};
use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::timeout_at;

use crate::{
    action::{Action, Plan},
    member::Member,
    refusal::CallFailed,
    undo::{differences, is_between},
};

/// The waits before a changed resource is read again: some services show a change after a second or two.
const UNTIL_SEEN: &[Duration] = &[
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Why a record's states are not enough for an undo.
const NOT_KEPT: &str = "the record does not have all that is needed to restore the resource exactly: it is of an older \
                        version, or too long; nothing was changed";

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
    let carried_out = match &order.undo {
        Some(states) => undo(action, member, order, states).await,
        None => steps(action, member, order).await,
    };
    match carried_out {
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
    if !order.task.changes() {
        return Ok(Report {
            after: Some(json_of(&after)),
            ..report(Outcome::WouldFix)
        });
    }
    if let Err(failed) = action.apply(member, order, &before, &after).await {
        return not_changed(failed, &before);
    }
    // From here on a retry would find the resource as it was made, and what it was before would be lost.
    let is_fixed =
        |state: &A::State| *state == after || action.plan(state, order) == Plan::Compliant;
    let read_back = read_back(action, member, order, is_fixed).await;
    Ok(changed(read_back, Outcome::Fixed, &before, &after))
}

/// What an action found, and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// What there is.
    pub before: Value,
    /// What follows from it.
    pub plan: Plan<Value>,
}

/// Reads and plans, and changes nothing: the first of two steps, for who keeps what was before in a record first.
///
/// # Errors
/// If a call failed, for whatever reason.
pub async fn plan<A: Action>(
    action: &A,
    member: &Member,
    order: &Order,
) -> Result<Planned, CallFailed> {
    let before = action.read(member, order).await?;
    let plan = match action.plan(&before, order) {
        Plan::Change(after) => Plan::Change(json_of(&after)),
        Plan::Compliant => Plan::Compliant,
        Plan::NotApplicable(reason) => Plan::NotApplicable(reason),
        Plan::Blocked(reason) => Plan::Blocked(reason),
        Plan::Needs(control) => Plan::Needs(control),
    };
    let before = json_of(&before);
    Ok(Planned { before, plan })
}

/// Changes what was [planned](plan), and reads it back unless the [answer says enough](Action::answer_confirms).
///
/// # Errors
/// If a call that changes the resource failed, for whatever reason.
pub async fn apply<A: Action>(
    action: &A,
    member: &Member,
    order: &Order,
    states: &Undo,
) -> Result<Report, CallFailed> {
    let (Some(before), Some(after)) = (kept::<A>(&states.before), kept::<A>(&states.after)) else {
        return Ok(Report {
            reason: Some(NOT_KEPT.to_owned()),
            ..Report::of(Outcome::Refused)
        });
    };
    action.apply(member, order, &before, &after).await?;
    if action.answer_confirms() {
        let confirmed = ReadBack::AsWanted(after.clone());
        return Ok(changed(confirmed, Outcome::Fixed, &before, &after));
    }
    let is_fixed =
        |state: &A::State| *state == after || action.plan(state, order) == Plan::Compliant;
    let read_back = read_back(action, member, order, is_fixed).await;
    Ok(changed(read_back, Outcome::Fixed, &before, &after))
}

/// Restores what was before a fix, if the resource is as the fix left it.
async fn undo<A: Action>(
    action: &A,
    member: &Member,
    order: &Order,
    states: &Undo,
) -> Result<Report, CallFailed> {
    let (Some(before), Some(left)) = (kept::<A>(&states.before), kept::<A>(&states.after)) else {
        return Ok(Report {
            reason: Some(NOT_KEPT.to_owned()),
            ..Report::of(Outcome::Refused)
        });
    };
    let now = action.read(member, order).await?;
    let report = |outcome| Report {
        before: Some(json_of(&now)),
        ..Report::of(outcome)
    };
    let compared = |state: &A::State| action.comparable(json_of(state));
    let (wanted, left, found) = (compared(&before), compared(&left), compared(&now));
    if found == wanted {
        return Ok(report(Outcome::AlreadyUndone));
    }
    if !is_between(&wanted, &left, &found) {
        return Ok(Report {
            reason: Some("the resource is not as the fix left it: nothing was changed".to_owned()),
            differences: differences(&left, &found),
            ..report(Outcome::Refused)
        });
    }
    if let Err(reason) = action.undoable(&now, &before) {
        return Ok(Report {
            reason: Some(reason),
            ..report(Outcome::NotUndoable)
        });
    }
    if let Err(failed) = action.apply(member, order, &now, &before).await {
        return not_changed(failed, &now);
    }
    let is_restored = |state: &A::State| compared(state) == wanted;
    let read_back = read_back(action, member, order, is_restored).await;
    Ok(changed(read_back, Outcome::Undone, &now, &before))
}

/// A state that a record kept; nothing if it lacks something.
fn kept<A: Action>(state: &Value) -> Option<A::State> {
    A::State::deserialize(state).ok()
}

/// The report of calls that failed; what is known of the resource is kept, also where nothing could be changed.
fn not_changed(failed: CallFailed, before: &impl serde::Serialize) -> Result<Report, CallFailed> {
    failed.report().map_or(Err(failed), |refused| {
        Ok(Report {
            before: Some(json_of(before)),
            ..refused
        })
    })
}

/// The report of calls that succeeded.
fn changed<S: serde::Serialize>(
    read_back: ReadBack<S>,
    success: Outcome,
    before: &S,
    after: &S,
) -> Report {
    let report = |outcome, after: &S, reason| Report {
        before: Some(json_of(before)),
        after: Some(json_of(after)),
        reason,
        ..Report::of(outcome)
    };
    match read_back {
        ReadBack::AsWanted(state) => report(success, &state, None),
        ReadBack::Otherwise(state) => report(
            Outcome::Unconfirmed,
            &state,
            Some("the calls succeeded, but the resource reads back otherwise".to_owned()),
        ),
        ReadBack::Failed(why) => report(
            Outcome::Unconfirmed,
            after,
            Some(format!(
                "the calls succeeded, but the resource could not be read back: {why}"
            )),
        ),
    }
}

/// What a changed resource reads back as.
enum ReadBack<S> {
    /// As it should be.
    AsWanted(S),
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
    is_wanted: impl Fn(&A::State) -> bool,
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
            Ok(state) if is_wanted(&state) => return ReadBack::AsWanted(state),
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
pub(crate) mod tests {
    use std::{cell::RefCell, collections::VecDeque};

    use aws_config::{BehaviorVersion, SdkConfig};
    use orgkeeper_shared::{
        aws_error::{AwsCallError, Service},
        remediation::order::Task,
    };
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::parameters::tests::account_order;

    /// What follows from a kept state; nothing if it is no state of the action. Everything that is a pure function of a state
    /// is called.
    pub(crate) fn probe<A: Action>(
        action: &A,
        state: &Value,
        order: &Order,
    ) -> Option<Plan<Value>> {
        let state = kept::<A>(state)?;
        let again = kept::<A>(&json_of(&state))?;
        assert_eq!(json_of(&state), json_of(&again), "a record loses something");
        let _ = action.undoable(&state, &again);
        let _ = action.comparable(json_of(&state));
        Some(match action.plan(&state, order) {
            Plan::Change(after) => {
                let after = json_of(&after);
                assert!(kept::<A>(&after).is_some(), "{after} could not be undone");
                Plan::Change(action.comparable(after))
            }
            Plan::Compliant => Plan::Compliant,
            Plan::NotApplicable(reason) => Plan::NotApplicable(reason),
            Plan::Blocked(reason) => Plan::Blocked(reason),
            Plan::Needs(control) => Plan::Needs(control),
        })
    }

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
        no_way_back: Option<&'static str>,
    }

    impl Fake {
        fn new(reads: &[Answer<u8>], applied: Answer<()>) -> Self {
            Self {
                reads: RefCell::new(reads.iter().copied().collect()),
                applied,
                plan: Plan::Change(9),
                no_way_back: None,
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
            order: &Order,
            before: &u8,
            after: &u8,
        ) -> Result<(), CallFailed> {
            let there_and_back = match order.task {
                Task::Undo => (9, 1),
                _ => (1, 9),
            };
            assert_eq!((*before, *after), there_and_back);
            given(self.applied).await
        }

        fn undoable(&self, _now: &u8, _before: &u8) -> Result<(), String> {
            self.no_way_back.map_or(Ok(()), |why| Err(why.to_owned()))
        }
    }

    async fn run_as(fake: &Fake, task: Task) -> Result<Report, CallFailed> {
        let states = Undo {
            before: json!(1),
            after: json!(9),
        };
        carried_out(fake, task, (task == Task::Undo).then_some(states)).await
    }

    async fn carried_out(
        fake: &Fake,
        task: Task,
        undo: Option<Undo>,
    ) -> Result<Report, CallFailed> {
        let order = Order {
            task,
            undo,
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

    async fn undone(reads: &[Answer<u8>], applied: Answer<()>) -> Result<Report, CallFailed> {
        run_as(&Fake::new(reads, applied), Task::Undo).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_undo_restores_what_was_before_exactly() {
        for reads in [
            &[Is(9), Is(1)][..],
            &[Is(9), Is(9), error(THROTTLED), Is(1)],
        ] {
            let report = undone(reads, Is(())).await.unwrap();
            is(&report, Outcome::Undone, Some(9), Some(1));
            assert_eq!(report.reason, None);
        }
        // Compliant is not enough.
        let report = undone(&[Is(9), Is(8)], Is(())).await.unwrap();
        is(&report, Outcome::Unconfirmed, Some(9), Some(8));
        let report = undone(&[Is(9), error(SCP)], Is(())).await.unwrap();
        is(&report, Outcome::Unconfirmed, Some(9), Some(1));
    }

    #[tokio::test]
    async fn an_undo_changes_nothing_that_is_not_as_the_fix_left_it() {
        let report = undone(&[Is(1), error(SCP)], NOT).await.unwrap();
        is(&report, Outcome::AlreadyUndone, Some(1), None);
        let report = undone(&[Is(8), error(SCP)], NOT).await.unwrap();
        is(&report, Outcome::Refused, Some(8), None);
        let [difference] = &report.differences[..] else {
            panic!("{report:?}");
        };
        assert_eq!(difference.left, Some(json!(9)));
        assert_eq!(difference.now, Some(json!(8)));
        let fake = Fake {
            no_way_back: Some("by hand"),
            ..Fake::new(&[Is(9), error(SCP)], NOT)
        };
        let report = run_as(&fake, Task::Undo).await.unwrap();
        is(&report, Outcome::NotUndoable, Some(9), None);
        assert_eq!(report.reason.as_deref(), Some("by hand"));
    }

    #[tokio::test]
    async fn an_undo_of_a_record_that_lacks_something_reads_nothing() {
        for (before, after) in [
            (json!({ "Old": true }), json!(9)),
            (json!(1), json!("… (cut)")),
            (json!(null), json!(9)),
            (json!(1), json!(-9)),
        ] {
            let fake = Fake::new(&[error(SCP)], NOT);
            let states = Undo { before, after };
            let report = carried_out(&fake, Task::Undo, Some(states)).await.unwrap();
            is(&report, Outcome::Refused, None, None);
            assert!(report.reason.unwrap().contains("nothing was changed"));
        }
    }

    #[tokio::test]
    async fn a_refused_undo_is_reported_and_what_passes_is_retried() {
        for (reads, applied, outcome) in [
            (&[error(SCP)][..], NOT, Some(Outcome::Blocked)),
            (&[error(GONE)], NOT, Some(Outcome::NotApplicable)),
            (&[error(THROTTLED)], NOT, None),
            (&[Is(9)], error(SCP), Some(Outcome::Blocked)),
            (&[Is(9)], error(THROTTLED), None),
        ] {
            let report = undone(reads, applied).await;
            assert_eq!(report.ok().map(|it| it.outcome), outcome);
        }
    }
}
