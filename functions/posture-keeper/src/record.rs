//! What a look says, and what of it the record keeps.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    ids::AccountId,
    posture::{
        setting::SettingRow,
        setting_record::{Call, ChangedBy, Difference, Drift, SettingRecord, State, key},
    },
};
use serde_json::Value;

use crate::{difference::has_unknown, mode::Mode, operation::SECURITY_HUB_CREATE_POLICY};

/// Differences that a record has at most.
const MOST_DIFFERENCES: usize = 400;
/// Bytes of the differences, of what was changed, and of the way back from earlier versions: an item has 400 KB.
const LARGEST_DIFFERENCES: usize = 120_000;
const LARGEST_APPLIED: usize = 120_000;
const LARGEST_WAY_BACK: usize = 60_000;
/// Characters of a reason.
const LONGEST_REASON: usize = 2_000;
/// Characters of what was there before.
const LONGEST_BEFORE: usize = 60_000;
/// For so long a record is kept that nobody looks at: the file does not speak of it any more.
const KEPT: SignedDuration = SignedDuration::from_hours(8 * 24);
/// After that a record is written again although nothing is new.
const FRESH: SignedDuration = SignedDuration::from_hours(20);
/// Why a call is not made that ends something.
pub const NEEDS_ALLOW_DELETE: &str =
    "it ends an administrator, a standard or a hub: that needs allow_delete = true";

/// How it is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub state: State,
    /// Why, in words.
    pub reason: Option<String>,
}

impl Verdict {
    /// In this state for that reason.
    #[must_use]
    pub fn new(state: State, reason: impl Into<String>) -> Self {
        Self {
            state,
            reason: Some(reason.into()),
        }
    }

    /// Of a call that failed and is not made again now.
    #[must_use]
    pub fn of_error(error: &AwsCallError) -> Self {
        // Security Hub keeps so many policies; it has the same code for its rate, which was waited for.
        if error.operation() == SECURITY_HUB_CREATE_POLICY.name
            && error.has_code("LimitExceededException")
        {
            let words = error.in_words();
            return Self::new(State::Blocked, format!("{error}: {words}"));
        }
        let state = match error.class() {
            AwsErrorClass::Denied | AwsErrorClass::SetUp => State::Blocked,
            AwsErrorClass::Throttled
            | AwsErrorClass::TimedOut
            | AwsErrorClass::Unreachable
            | AwsErrorClass::ServiceFault
            | AwsErrorClass::Conflict
            | AwsErrorClass::ConditionFailed
            | AwsErrorClass::NotFound
            | AwsErrorClass::Refused => State::Failed,
        };
        // What exactly was refused, AWS says in its message alone: which control does not exist, for example.
        let reason = match error.class() {
            AwsErrorClass::Refused => format!("{error}: {}", error.in_words()),
            _ => error.to_string(),
        };
        Self::new(state, reason)
    }
}

/// The same differences, where what may not be ended says so.
#[must_use]
pub fn allowed(differences: Vec<Difference>, allow_delete: bool) -> Vec<Difference> {
    let refuse = |mut difference: Difference| {
        if difference.ends && !allow_delete && difference.refused.is_none() {
            difference.refused = Some(NEEDS_ALLOW_DELETE.to_owned());
        }
        difference
    };
    differences.into_iter().map(refuse).collect()
}

/// Whether `apply` makes its call, sooner or later.
#[must_use]
pub fn is_to_be_closed(difference: &Difference) -> bool {
    difference.call.is_some() && difference.refused.is_none()
}

/// Whether its call can be made now.
#[must_use]
pub fn can_be_closed(difference: &Difference) -> bool {
    let known = difference.call.as_ref().is_some_and(|call| {
        let parameters: Value = serde_json::from_str(&call.parameters).unwrap_or_default();
        !has_unknown(&parameters)
    });
    is_to_be_closed(difference) && difference.later.is_none() && known
}

/// How it is with these differences, after everything was done that could be.
#[must_use]
pub fn verdict(mode: Mode, differences: &[Difference], after: Option<&str>) -> Verdict {
    let first = |of: fn(&Difference) -> Option<&String>| differences.iter().find_map(of).cloned();
    let refused = first(|it| it.refused.as_ref());
    let later = first(|it| it.later.as_ref());
    if differences.is_empty() {
        return Verdict {
            state: State::InPlace,
            reason: None,
        };
    }
    let is_open = differences.iter().any(is_to_be_closed);
    match mode {
        Mode::Observe if is_open => Verdict {
            state: State::Differs,
            reason: refused,
        },
        Mode::Apply if is_open => {
            let after = after.map(|name| format!("{name} comes first"));
            let asynchronous = || Some("it is not in effect yet".to_owned());
            Verdict {
                state: State::Waiting,
                reason: after.or(later).or_else(asynchronous),
            }
        }
        // What a person has to do counts more than what comes by itself.
        Mode::Observe | Mode::Apply => match (refused, later) {
            (Some(reason), _) => Verdict::new(State::Blocked, reason),
            (None, Some(reason)) => Verdict::new(State::Waiting, reason),
            (None, None) => Verdict {
                state: State::Differs,
                reason: None,
            },
        },
    }
}

/// A look that is over.
#[derive(Clone, Debug)]
pub struct Looked<'a> {
    /// The setting.
    pub row: &'static SettingRow,
    /// The account.
    pub account: &'a AccountId,
    /// The Region, as the record names it.
    pub region: &'a str,
    /// The version of the file.
    pub version: &'a str,
    /// How it is.
    pub verdict: Verdict,
    /// What differs.
    pub differences: &'a [Difference],
    /// What was changed now.
    pub applied: &'a [Difference],
    /// What was there before that.
    pub before: Option<String>,
    /// What has drifted, if it has.
    pub drift: Option<Drift>,
    /// Controls that somebody has switched.
    pub watched: BTreeSet<String>,
    /// The time.
    pub now: Timestamp,
}

impl Looked<'_> {
    /// The record that follows.
    #[must_use]
    pub fn record(self, old: Option<&SettingRecord>) -> SettingRecord {
        let of_version = old.filter(|old| old.version == self.version);
        let mut applied: Vec<Difference> = of_version
            .map(|old| old.applied.clone())
            .unwrap_or_default();
        for difference in self.applied {
            if !applied.contains(difference) {
                applied.push(difference.clone());
            }
        }
        let earlier = match (of_version, old) {
            (Some(old), _) => old.way_back.clone(),
            (None, old) => old.map(way_back).unwrap_or_default(),
        };
        let shown = within(
            LARGEST_DIFFERENCES,
            self.differences.to_vec(),
            serde_json::to_string,
        );
        let left_out = self.differences.len() - shown.len();
        let mut reason = self.verdict.reason;
        if let Some((end, _)) = reason
            .as_ref()
            .and_then(|it| it.char_indices().nth(LONGEST_REASON))
        {
            reason = reason.map(|it| it[..end].to_owned());
        }
        let stays = old.is_some_and(|old| old.state == self.verdict.state);
        let since = old.filter(|_| stays).map(|old| old.since);
        let known = old.and_then(|old| old.before.clone());
        SettingRecord {
            pair: key(self.row.name, self.account, self.region),
            setting: self.row.name.to_owned(),
            service: self.row.service.to_owned(),
            account: self.account.clone(),
            region: self.region.to_owned(),
            state: self.verdict.state,
            reason,
            differences: shown,
            left_out: left_out as u64,
            applied: within(LARGEST_APPLIED, applied, serde_json::to_string),
            way_back: within(LARGEST_WAY_BACK, earlier, serde_json::to_string),
            before: known.or(self.before),
            version: self.version.to_owned(),
            since: since.unwrap_or(self.now),
            looked_at: self.now,
            drift: self.drift.or_else(|| old.and_then(|old| old.drift.clone())),
            watched: self.watched,
            claimed_until: None,
            revision: old.map_or(0, |old| old.revision) + 1,
            expires_at: self.now.as_second().saturating_add(KEPT.as_secs()),
        }
    }
}

/// The first of these, as many as fit into so many bytes.
fn within<T>(bytes: usize, all: Vec<T>, text: fn(&T) -> serde_json::Result<String>) -> Vec<T> {
    let mut size = 0;
    let mut fits = |it: &T| {
        size += text(it).map_or(0, |text| text.len());
        size <= bytes
    };
    let all = all.into_iter().take(MOST_DIFFERENCES);
    all.take_while(|it| fits(it)).collect()
}

/// The calls of the way back, the newest last: each once, as what was there first.
#[must_use]
pub fn way_back(record: &SettingRecord) -> Vec<Call> {
    let mut calls = record.way_back.clone();
    for call in record.applied.iter().filter_map(|it| it.undo.as_ref()) {
        if !calls.contains(call) {
            calls.push(call.clone());
        }
    }
    calls
}

/// Whether a record says nothing that is not known.
#[must_use]
pub fn says_the_same(old: &SettingRecord, new: &SettingRecord) -> bool {
    let fresh = new.looked_at.duration_since(old.looked_at) < FRESH;
    let as_old = SettingRecord {
        looked_at: old.looked_at,
        revision: old.revision,
        expires_at: old.expires_at,
        ..new.clone()
    };
    fresh && as_old == *old
}

/// What has drifted: a setting that was in place for this version of the file, and is not. What no call closes now, a service
/// does by itself: it prepares something, or takes an account in.
#[must_use]
pub fn drift(
    old: Option<&SettingRecord>,
    version: &str,
    differences: &[Difference],
    by: Option<&ChangedBy>,
    now: Timestamp,
) -> Option<Drift> {
    let was = old.filter(|old| old.state == State::InPlace && old.version == version);
    let is_drift = |it: &&Difference| it.call.is_some() && it.later.is_none();
    let mut what = differences.iter().filter(is_drift).take(12).peekable();
    if was.is_none() || what.peek().is_none() {
        return None;
    }
    let what = what.map(|it| format!("{}: {}, should be {}", it.what, it.is, it.should_be));
    Some(Drift {
        at: now,
        what: what.collect(),
        put_back: false,
        by: by.cloned(),
    })
}

/// What was seen, as a record keeps it.
#[must_use]
pub fn kept(seen: &Value) -> Option<String> {
    let mut seen = seen.clone();
    if let Some(object) = seen.as_object_mut() {
        object.remove(crate::settings::security_hub_standards::NOT_KEPT);
    }
    let text = seen.to_string();
    (text.len() <= LONGEST_BEFORE).then_some(text)
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::posture::setting;
    use serde_json::json;

    use super::*;
    use crate::{
        difference::{Closed, differs},
        operation::MACIE_ENABLE,
    };

    fn open() -> Difference {
        differs("Macie", "off", "ENABLED").by(&MACIE_ENABLE, &json!({ "status": "ENABLED" }))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn looked<'a>(differences: &'a [Difference], account: &'a AccountId, now: i64) -> Looked<'a> {
        Looked {
            row: setting::named("macie-members").unwrap(),
            account,
            region: "eu-west-1",
            version: "v1",
            verdict: verdict(Mode::Observe, differences, None),
            differences,
            applied: &[],
            before: None,
            drift: None,
            watched: BTreeSet::new(),
            now: at(now),
        }
    }

    #[test]
    fn a_state_follows_from_what_is_left() {
        let state = |mode, differences: &[Difference]| verdict(mode, differences, None).state;
        let both = [Mode::Observe, Mode::Apply];
        assert!(both.iter().all(|mode| state(*mode, &[]) == State::InPlace));
        assert_eq!(state(Mode::Observe, &[open()]), State::Differs);
        assert_eq!(state(Mode::Apply, &[open()]), State::Waiting);
        let ends = allowed(vec![open().ending(true)], false);
        assert_eq!(ends[0].refused.as_deref(), Some(NEEDS_ALLOW_DELETE));
        assert!(
            both.iter()
                .all(|mode| state(*mode, &ends) == State::Blocked)
        );
        let may_end = allowed(vec![open().ending(true)], true);
        assert!(can_be_closed(&may_end[0]));
        let pending = [differs("x", "PENDING", "SUCCESS").later("y")];
        assert!(
            both.iter()
                .all(|mode| state(*mode, &pending) == State::Waiting)
        );
        let unknown = open().by(&MACIE_ENABLE, &json!({ "status": "{graph}" }));
        assert!(is_to_be_closed(&unknown) && !can_be_closed(&unknown));
    }

    #[test]
    fn only_what_was_in_place_for_this_version_drifts() {
        let account = "111122223333".parse().unwrap();
        let in_place = looked(&[], &account, 0).record(None);
        let differences = [open()];
        let of = |old: Option<&SettingRecord>, version, differences: &[Difference]| {
            drift(old, version, differences, None, at(9))
        };
        let drifted = of(Some(&in_place), "v1", &differences).unwrap();
        assert_eq!(drifted.what, ["Macie: off, should be ENABLED"]);
        assert_eq!(of(Some(&in_place), "v2", &differences), None);
        assert_eq!(of(Some(&in_place), "v1", &[]), None);
        assert_eq!(of(None, "v1", &differences), None);
        let differed = looked(&differences, &account, 0).record(None);
        assert_eq!(of(Some(&differed), "v1", &differences), None);
        // A service prepares something by itself.
        let pending = differs("standard", "PENDING", "READY").later("Security Hub prepares it");
        let waits = open().later("the standard is not ready yet");
        assert_eq!(of(Some(&in_place), "v1", &[pending.clone(), waits]), None);
        let both = of(Some(&in_place), "v1", &[pending, open()]).unwrap();
        assert_eq!(both.what, drifted.what);
    }

    #[test]
    fn a_record_is_written_if_it_says_something_new_or_is_old() {
        let account = "111122223333".parse().unwrap();
        let first = looked(&[], &account, 0).record(None);
        assert_eq!((first.revision, first.since), (1, at(0)));
        let second = looked(&[], &account, 60).record(Some(&first));
        assert!(says_the_same(&first, &second));
        assert_eq!((second.revision, second.since), (2, at(0)));
        let later = looked(&[], &account, 80_000).record(Some(&first));
        assert!(!says_the_same(&first, &later));
        let differences = [open()];
        let differs = looked(&differences, &account, 60).record(Some(&first));
        assert!(!says_the_same(&first, &differs));
        assert_eq!(differs.since, at(60));
    }

    #[test]
    fn a_record_has_a_largest_size() {
        let account = "111122223333".parse().unwrap();
        let many = vec![open(); 500];
        let record = looked(&many, &account, 0).record(None);
        assert_eq!((record.differences.len(), record.left_out), (400, 100));
        assert_eq!(kept(&json!("x".repeat(70_000))), None);
        // Few, but large: an item has 400 KB.
        let large = |number: usize| {
            let parameters = json!({ "text": "x".repeat(20_000), "number": number });
            open()
                .by(&MACIE_ENABLE, &parameters)
                .undone_by(&MACIE_ENABLE, &parameters)
        };
        let many: Vec<Difference> = (0..40).map(large).collect();
        let mut last: Option<SettingRecord> = None;
        for version in ["v1", "v2", "v3"] {
            let looked = Looked {
                applied: &many,
                version,
                verdict: Verdict::new(State::Failed, "y".repeat(9_000)),
                ..looked(&many, &account, 0)
            };
            last = Some(looked.record(last.as_ref()));
        }
        let size = serde_json::to_string(&last.unwrap()).unwrap().len();
        assert!((150_000..340_000).contains(&size), "{size}");
    }

    #[test]
    fn the_way_back_is_kept_with_another_version_of_the_file() {
        let account = "111122223333".parse().unwrap();
        let back = |to: &str| json!({ "status": to });
        let change = |to: &str| open().undone_by(&MACIE_ENABLE, &back(to));
        let (first, second) = ([change("none")], [change("all"), change("none")]);
        let looked = |version, applied| Looked {
            version,
            applied,
            ..looked(&[], &account, 0)
        };
        let record = looked("v1", &first).record(None);
        // The same change twice is one.
        let record = looked("v1", &first).record(Some(&record));
        assert_eq!(record.applied.len(), 1);
        let record = looked("v2", &second).record(Some(&record));
        let record = looked("v3", &[]).record(Some(&record));
        assert!(record.applied.is_empty());
        let calls = way_back(&record).into_iter().map(|call| call.parameters);
        let expected = ["none", "all"].map(|to| back(to).to_string());
        assert_eq!(calls.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn too_many_policies_are_a_persons_work() {
        use orgkeeper_shared::aws_error::Service;
        let code = Some("LimitExceededException");
        let words = "you have 20 policies";
        let name = SECURITY_HUB_CREATE_POLICY.name;
        let error = AwsCallError::of_part(Service::SecurityHub, name, code, words);
        let verdict = Verdict::of_error(&error);
        assert_eq!(verdict.state, State::Blocked);
        assert!(verdict.reason.unwrap().contains(words));
    }
}
