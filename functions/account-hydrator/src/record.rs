//! What is known of an account's baseline: the table `Baseline` has one record for each account. It says what is left.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    ids::AccountId,
};
use remediator::{action::Plan, runner::Planned};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{held, mode::Mode, starts::Undoing};

/// How long "not yet" is an answer: a fresh account gives it for minutes.
pub const PATIENCE: SignedDuration = SignedDuration::from_hours(1);
/// The key of what is not an item: the account lets nobody in, or does not list its Regions.
pub const ACCESS: &str = "access";
/// The shortest and the longest time until something that is left is tried again.
const SOONEST: SignedDuration = SignedDuration::from_secs(3);
const LATEST: SignedDuration = SignedDuration::from_mins(5);

/// The state of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Something is left, and is tried again.
    #[default]
    Waiting,
    /// Something is being changed.
    Applying,
    /// Everything is as the baseline says.
    Ready,
    /// Somebody has undone something, and it is not put back.
    Drifted,
    /// Something is left that does not work since an hour.
    Failed,
}

/// What came of an item, in one Region if it is regional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Came {
    /// It was right already.
    Right,
    /// It was set.
    Set,
    /// It is being set; a function that was stopped leaves it so.
    Setting,
    /// It would be set in another mode.
    Would,
    /// A policy of the organization decides about it.
    Held,
    /// It cannot be set here, for a reason that is no fault.
    LeftOut,
    /// Somebody has undone it, and it is not put back.
    Drifted,
    /// It does not work yet.
    NotYet,
    /// AWS refuses it.
    Failed,
}

impl Came {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_settled(self) -> bool {
        match self {
            Self::Right | Self::Set | Self::Would | Self::Held | Self::LeftOut | Self::Drifted => {
                true
            }
            Self::Setting | Self::NotYet | Self::Failed => false,
        }
    }

    /// Whether it was as the baseline says, so that a difference was made by somebody.
    fn was_right(self) -> bool {
        matches!(self, Self::Right | Self::Set | Self::Drifted)
    }
}

/// What is known of an item, in one Region if it is regional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// What came of it.
    pub came: Came,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// What was before this function first changed it, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it was changed to, or would be, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Why, in words, unless it is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// While it is being set: whether somebody had undone it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drifted: bool,
    /// Who, if the event arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Undoing>,
}

/// The record of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    /// The table's key.
    pub account_id: AccountId,
    /// Its state.
    #[serde(default)]
    pub state: State,
    /// When its hydration began, in seconds since 1970.
    #[serde(default)]
    pub began: i64,
    /// When it first was ready since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<i64>,
    /// The path of its organizational unit when it was last looked at.
    #[serde(default)]
    pub unit: String,
    /// The version of the baseline that it was last looked at with.
    #[serde(default)]
    pub baseline: String,
    /// Each item, `ebs-encryption@eu-west-1`, or `password-policy` for one that is the account's.
    #[serde(default)]
    pub items: BTreeMap<String, Entry>,
    /// The state that people were last informed about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<State>,
    /// Alerts that are to be published, as JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<String>,
    /// Which invocation works on it, and until when at the latest (milliseconds since 1970).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<String>,
    /// See `claimed_by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_until: Option<i64>,
}

/// What follows from a look at an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing is changed: this is known of it.
    Known(Entry),
    /// It is changed; until that has succeeded, this is known of it.
    Change(Entry, Value),
}

/// What is to be known for what follows from a look.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// What was known.
    pub old: Option<&'a Entry>,
    /// The mode, below the ceiling.
    pub mode: Mode,
    /// Whether somebody is known to have made a call that undoes it.
    pub undone: bool,
    /// The time.
    pub now: Timestamp,
}

fn json(value: &Value) -> String {
    value.to_string()
}

impl Entry {
    fn new(came: Came, now: Timestamp) -> Self {
        Self {
            came,
            since: now.as_second(),
            before: None,
            after: None,
            reason: None,
            drifted: false,
            by: None,
        }
    }

    /// An entry for a call that failed.
    #[must_use]
    pub fn failed(old: Option<&Self>, error: &AwsCallError, now: Timestamp) -> Self {
        Self::without_result(old, came_of(error), error.to_string(), now)
    }

    /// An entry for what gave no result, for this reason. How long it has been so counts from the first time.
    #[must_use]
    pub fn without_result(old: Option<&Self>, came: Came, reason: String, now: Timestamp) -> Self {
        let since =
            old.filter(|old| matches!(old.came, Came::NotYet | Came::Failed | Came::Setting));
        Self {
            since: since.map_or(now.as_second(), |old| old.since),
            before: old.and_then(|old| old.before.clone()),
            after: old.and_then(|old| old.after.clone()),
            reason: Some(reason),
            drifted: old.is_some_and(|old| old.drifted),
            by: old.and_then(|old| old.by.clone()),
            ..Self::new(came, now)
        }
    }

    /// What is known once it was set.
    #[must_use]
    pub fn set(self, now: Timestamp) -> Self {
        Self {
            came: Came::Set,
            since: now.as_second(),
            reason: None,
            drifted: false,
            by: None,
            ..self
        }
    }
}

/// What a failed call means for its item.
fn came_of(error: &AwsCallError) -> Came {
    const NOT_YET: &[&str] = &["OptInRequired", "SubscriptionRequiredException"];
    if held::refused_by_policy(error) {
        return Came::Held;
    }
    if NOT_YET.iter().any(|code| error.has_code(code)) {
        return Came::NotYet;
    }
    match error.class() {
        // A fresh account's roles and services are denied for minutes.
        AwsErrorClass::Denied
        | AwsErrorClass::Throttled
        | AwsErrorClass::TimedOut
        | AwsErrorClass::Unreachable
        | AwsErrorClass::ServiceFault
        | AwsErrorClass::Conflict => Came::NotYet,
        AwsErrorClass::ConditionFailed
        | AwsErrorClass::NotFound
        | AwsErrorClass::SetUp
        | AwsErrorClass::Refused => Came::Failed,
    }
}

impl Look<'_> {
    /// What follows from what was found.
    #[must_use]
    pub fn next(&self, found: Planned) -> Next {
        let entry = |came| Entry {
            before: self.old.and_then(|old| old.before.clone()),
            after: self.old.and_then(|old| old.after.clone()),
            ..Entry::new(came, self.now)
        };
        let for_reason = |came, reason| Entry {
            reason: Some(reason),
            ..entry(came)
        };
        let known = |entry: Entry| {
            // Nothing new: it is so since it was first found.
            let since = self.old.filter(|old| old.came == entry.came);
            Next::Known(Entry {
                since: since.map_or(entry.since, |old| old.since),
                ..entry
            })
        };
        let was_right = self.undone || self.old.is_some_and(|old| old.came.was_right());
        match found.plan {
            Plan::Compliant => match self.old.map(|old| old.came) {
                // A function that was stopped may have set it.
                Some(Came::Set | Came::Setting) => known(entry(Came::Set)),
                _ => known(entry(Came::Right)),
            },
            Plan::NotApplicable(reason) if held::by_policy(found.before["ManagedBy"].as_str()) => {
                known(for_reason(Came::Held, reason))
            }
            Plan::NotApplicable(reason) | Plan::Blocked(reason) => {
                known(for_reason(Came::LeftOut, reason))
            }
            Plan::Needs(other) => known(for_reason(Came::LeftOut, format!("{other} comes first"))),
            Plan::Change(after) => match self.mode {
                Mode::Keep => self.change(found.before, &after),
                Mode::Once if !was_right => self.change(found.before, &after),
                Mode::Off | Mode::Check | Mode::Once => {
                    let came = if was_right {
                        Came::Drifted
                    } else {
                        Came::Would
                    };
                    known(Entry {
                        after: Some(json(&after)),
                        ..for_reason(came, format!("it is {}", found.before))
                    })
                }
            },
        }
    }

    fn change(&self, before: Value, after: &Value) -> Next {
        let first = self.old.and_then(|old| old.before.clone());
        let tried = self.old.filter(|old| !old.came.is_settled());
        let entry = Entry {
            since: tried.map_or(self.now.as_second(), |old| old.since),
            // What an undo restores is what people had, not what somebody made of the baseline.
            before: Some(first.unwrap_or_else(|| json(&before))),
            after: Some(json(after)),
            ..Entry::new(Came::Setting, self.now)
        };
        Next::Change(entry, before)
    }
}

impl Record {
    /// A record of an account of which nothing is known.
    #[must_use]
    pub fn new(account_id: AccountId) -> Self {
        Self {
            account_id,
            state: State::Waiting,
            began: 0,
            ready_at: None,
            unit: String::new(),
            baseline: String::new(),
            items: BTreeMap::new(),
            announced: None,
            owed: Vec::new(),
            claimed_by: None,
            claimed_until: None,
        }
    }

    /// Begins a hydration, unless one is in progress: of a new account, or of one that came to another unit.
    pub fn begin(&mut self, unit: &str, began: Timestamp) {
        let is_new = self.began == 0;
        let is_moved = self.unit != unit && self.state != State::Waiting;
        if is_new || is_moved {
            self.began = began.as_second();
            self.ready_at = None;
            self.announced = None;
            self.state = State::Waiting;
        }
    }

    /// Drops what the baseline does not ask for any more.
    pub fn keep_only(&mut self, keys: &BTreeSet<String>) {
        self.items.retain(|key, _| keys.contains(key));
    }

    /// The state that follows from the items.
    #[must_use]
    pub fn concluded(&self, now: Timestamp) -> State {
        let open = self.items.values().filter(|entry| !entry.came.is_settled());
        let oldest = open.map(|entry| entry.since).min();
        match oldest {
            Some(since) if now.as_second() - since >= PATIENCE.as_secs() => State::Failed,
            Some(_) => State::Waiting,
            None if self.items.values().any(|entry| entry.came == Came::Drifted) => State::Drifted,
            None => State::Ready,
        }
    }

    /// After what time something that is left is tried again: the longer it lasts, the less often.
    #[must_use]
    pub fn delay(&self, now: Timestamp) -> Option<SignedDuration> {
        let open = self.items.values().filter(|entry| !entry.came.is_settled());
        let oldest = open.map(|entry| entry.since).min()?;
        let lasts = SignedDuration::from_secs(now.as_second() - oldest);
        Some((lasts / 2).clamp(SOONEST, LATEST))
    }

    /// Whether an account is as it should be, so that only what reads again has anything to do.
    #[must_use]
    pub fn is_done(&self, unit: &str, baseline: &str) -> bool {
        let finished = matches!(self.state, State::Ready | State::Drifted);
        finished && self.owed.is_empty() && self.unit == unit && self.baseline == baseline
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn entry(came: Came, since: i64) -> Entry {
        Entry {
            since,
            ..Entry::new(came, at(0))
        }
    }

    fn next(old: Option<&Entry>, mode: Mode, undone: bool, plan: Plan<Value>) -> Next {
        let look = Look {
            old,
            mode,
            undone,
            now: at(100),
        };
        look.next(Planned {
            before: json!({ "On": false }),
            plan,
        })
    }

    fn came(next: &Next) -> Came {
        match next {
            Next::Known(entry) | Next::Change(entry, _) => entry.came,
        }
    }

    #[test]
    fn a_mode_decides_about_a_difference() {
        let change = || Plan::Change(json!({ "On": true }));
        for (old, mode, undone, expected) in [
            (None, Mode::Check, false, Came::Would),
            (None, Mode::Once, false, Came::Setting),
            (None, Mode::Keep, false, Came::Setting),
            (Some(Came::Would), Mode::Check, false, Came::Would),
            (Some(Came::Would), Mode::Check, true, Came::Drifted),
            (Some(Came::Right), Mode::Check, false, Came::Drifted),
            (Some(Came::Set), Mode::Once, false, Came::Drifted),
            (Some(Came::Drifted), Mode::Once, false, Came::Drifted),
            (Some(Came::NotYet), Mode::Once, false, Came::Setting),
            (Some(Came::Setting), Mode::Once, false, Came::Setting),
            (Some(Came::Set), Mode::Keep, true, Came::Setting),
            (Some(Came::Drifted), Mode::Keep, false, Came::Setting),
        ] {
            let old = old.map(|came| entry(came, 1));
            let next = next(old.as_ref(), mode, undone, change());
            assert_eq!(came(&next), expected, "{old:?} {mode:?} {undone}");
            assert_eq!(
                matches!(next, Next::Change(..)),
                expected == Came::Setting,
                "{next:?}"
            );
        }
    }

    #[test]
    fn what_was_before_is_kept() {
        let first = next(None, Mode::Keep, false, Plan::Change(json!(1)));
        let Next::Change(entry, _) = first else {
            panic!("no change");
        };
        assert_eq!(entry.before.as_deref(), Some("{\"On\":false}"));
        let own = Entry {
            before: Some("0".to_owned()),
            ..entry
        };
        // The function was stopped after the call.
        let Next::Known(set) = next(Some(&own), Mode::Keep, false, Plan::Compliant) else {
            panic!("a change");
        };
        assert_eq!((set.came, set.before.as_deref()), (Came::Set, Some("0")));
        let Next::Change(again, _) = next(Some(&set), Mode::Keep, true, Plan::Change(json!(1)))
        else {
            panic!("no change");
        };
        assert_eq!(again.before.as_deref(), Some("0"));
    }

    #[test]
    fn a_policy_holds_and_the_rest_is_left_out() {
        let found = |before: Value| {
            let look = Look {
                old: None,
                mode: Mode::Keep,
                undone: false,
                now: at(0),
            };
            came(&look.next(Planned {
                before,
                plan: Plan::NotApplicable("why".to_owned()),
            }))
        };
        assert_eq!(
            found(json!({ "ManagedBy": "declarative-policy" })),
            Came::Held
        );
        assert_eq!(found(json!({ "ManagedBy": "account" })), Came::LeftOut);
        assert_eq!(found(Value::Null), Came::LeftOut);
    }

    #[test]
    fn not_yet_is_an_answer_for_an_hour() {
        let mut record = Record::new("111122223333".parse().unwrap());
        record.items.insert("a".to_owned(), entry(Came::Right, 0));
        assert_eq!(record.concluded(at(9_999)), State::Ready);
        assert_eq!(record.delay(at(9_999)), None);
        record
            .items
            .insert("b".to_owned(), entry(Came::NotYet, 1_000));
        for (now, state, delay) in [
            (1_000, State::Waiting, 3),
            (1_020, State::Waiting, 10),
            (4_599, State::Waiting, 300),
            (4_600, State::Failed, 300),
        ] {
            assert_eq!(record.concluded(at(now)), state);
            assert_eq!(
                record.delay(at(now)),
                Some(SignedDuration::from_secs(delay))
            );
        }
        record.items.insert("b".to_owned(), entry(Came::Drifted, 0));
        assert_eq!(record.concluded(at(9_999)), State::Drifted);
    }

    #[test]
    fn how_long_it_does_not_work_counts_from_the_first_time() {
        let denied = AwsCallError::timed_out("GetSomething");
        let first = Entry::failed(None, &denied, at(10));
        let second = Entry::failed(Some(&first), &denied, at(50));
        assert_eq!((second.came, second.since), (Came::NotYet, 10));
        let right = entry(Came::Right, 1);
        assert_eq!(Entry::failed(Some(&right), &denied, at(50)).since, 50);
    }

    #[test]
    fn a_move_begins_again() {
        let mut record = Record::new("111122223333".parse().unwrap());
        record.begin("Root/A", at(5));
        assert_eq!(record.began, 5);
        record.unit = "Root/A".to_owned();
        record.begin("Root/A", at(9));
        record.state = State::Ready;
        record.announced = Some(State::Ready);
        record.begin("Root/A", at(9));
        assert_eq!((record.began, record.announced), (5, Some(State::Ready)));
        record.begin("Root/B", at(9));
        assert_eq!(
            (record.began, record.announced, record.state),
            (9, None, State::Waiting)
        );
    }
}
