//! What is known of one control on one resource: an item of the table `Remediations`, and how it changes.
//!
//! Plain values: each change takes the record as it is stored, if there is one, and gives the record that is to be
//! stored, if there is something to store. [`table`](super::table) writes it unless somebody else was faster.

pub mod asking;
pub mod leaving;
mod parts;
pub mod undoing;
pub mod waiting;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::Offset};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::parts::{Request, Terms, WaitFor};
use super::{
    archive::OrderError,
    control::{Control, PERIODIC_HOURS},
    order::Order,
    report::{Difference, Outcome, Report},
    target::Target,
};
use crate::ids::{AccountId, FindingId};

/// Findings of a record: the newest ones.
const FINDINGS: usize = 20;
/// Entries of a history: the newest ones.
const HISTORY: usize = 30;
/// Bytes of `Before` and of `After`. An item of DynamoDB has 400 KB.
const STATE_BYTES: usize = 100_000;
/// Characters of a reason, and of one in the history.
const REASON_CHARS: usize = 2_000;
const HISTORY_REASON_CHARS: usize = 300;
/// What ends a text that was cut.
const CUT: &str = "… (cut)";
/// An attempt that has no result after this time is lost. Longer than an execution with all its retries.
const LOST_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// After an attempt that failed the next one waits for so long: our own note on the finding is an event, too.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_hours(1);
/// A preview is asked for again after a change, at most so often.
const BETWEEN_PREVIEWS: SignedDuration = SignedDuration::from_hours(24);
/// A failure for the same reason is reported again after this time.
const BETWEEN_EQUAL_ALERTS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A record may be deleted so long after its last change, and after the end of its suppression.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(400 * 24);
/// A resource that was fixed so often within this time, and failed again, is left as it is.
pub const FIXES_BEFORE_LEFT: usize = 3;
const REOPENED_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Tags of a resource that are kept: AWS allows fifty.
const TAGS: usize = 50;
/// The partition of the index of suppressions.
pub const SUPPRESSED: &str = "yes";

/// What became of a control on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The fix is only previewed.
    Observed,
    /// A fix is in progress.
    Started,
    /// The resource was changed.
    Fixed,
    /// There was nothing to change.
    AlreadyCompliant,
    /// Somebody else has to do something first.
    Blocked,
    /// The resource does not exist, or the control does not apply to it.
    NotApplicable,
    /// Another control has to be fixed first.
    Needs,
    /// The fix failed.
    Failed,
    /// Its findings are suppressed until a day.
    Suppressed,
    /// Nothing may be changed on what is known: account, Region and resource disagree, say.
    Refused,
    /// The playbook exempts it.
    Exempt,
    /// Its fix waits: for a person's answer, for its change window, or for its start ([`WaitFor`]).
    Waiting,
    /// A person refused the fix, or nobody answered in time.
    Declined,
    /// The fix was undone. It is not fixed again until the playbook says so.
    Undone,
    /// It was fixed again and again, and is left as it is until a person or the playbook says so.
    LeftOpen,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 15] = [
        Self::Observed,
        Self::Started,
        Self::Fixed,
        Self::AlreadyCompliant,
        Self::Blocked,
        Self::NotApplicable,
        Self::Needs,
        Self::Failed,
        Self::Suppressed,
        Self::Refused,
        Self::Exempt,
        Self::Waiting,
        Self::Declined,
        Self::Undone,
        Self::LeftOpen,
    ];

    /// The status as a word, as in the table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Observed => "OBSERVED",
            Self::Started => "STARTED",
            Self::Fixed => "FIXED",
            Self::AlreadyCompliant => "ALREADY_COMPLIANT",
            Self::Blocked => "BLOCKED",
            Self::NotApplicable => "NOT_APPLICABLE",
            Self::Needs => "NEEDS",
            Self::Failed => "FAILED",
            Self::Suppressed => "SUPPRESSED",
            Self::Refused => "REFUSED",
            Self::Exempt => "EXEMPT",
            Self::Waiting => "WAITING",
            Self::Declined => "DECLINED",
            Self::Undone => "UNDONE",
            Self::LeftOpen => "LEFT_OPEN",
        }
    }
}

/// What happened, in a record's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum What {
    /// An attempt began.
    Started,
    /// The execution of an attempt could not be started.
    NotStarted,
    /// An attempt had no result in time.
    Lost,
    /// An attempt ended.
    Ended,
    /// The fix is only observed from now on.
    Observed,
    /// What the fix would do has changed.
    Previewed,
    /// Its findings were suppressed.
    Suppressed,
    /// The suppression ended.
    Reopened,
    /// It was refused.
    Refused,
    /// The playbook exempted it.
    Exempted,
    /// A person was asked.
    Asked,
    /// A person allowed the fix.
    Approved,
    /// A person refused the fix.
    Declined,
    /// Nobody answered in time.
    Expired,
    /// It waits, for the reason that is given.
    Waits,
    /// The finding was looked at again, and is no longer open.
    Closed,
    /// An undo began.
    UndoStarted,
    /// An undo ended.
    UndoEnded,
    /// It was fixed and reopened too often.
    LeftOpen,
}

/// An entry of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
    /// In which attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What came of it: a status, or the outcome of a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The person who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// `account#region#control#resource`.
    pub key: String,
    /// The resource.
    pub target: Target,
    /// The control's id.
    pub control: String,
    /// The action that fixes it.
    pub action: String,
}

impl Subject {
    /// A control on a resource.
    #[must_use]
    pub fn new(control: &Control, target: &Target) -> Self {
        Self {
            key: target.key(control),
            target: target.clone(),
            control: control.id.to_owned(),
            action: control.action.to_owned(),
        }
    }

    /// What an order with this key is about.
    #[must_use]
    pub fn of_order(key: &str, order: &Order) -> Self {
        Self {
            key: key.to_owned(),
            target: order.target.clone(),
            control: order.control.clone(),
            action: order.action.clone(),
        }
    }
}

/// What an event says about a subject.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sighting<'a> {
    /// The findings about it.
    pub findings: &'a [FindingId],
    /// When the control was last found to fail (`UpdatedAt` of the finding). Our own updates of a finding, and those
    /// of people, do not change it: this is how an event about the time before a fix is recognized.
    pub updated_at: Timestamp,
    /// The resource's tags, if they are known.
    pub tags: Option<&'a BTreeMap<String, String>>,
    /// Who made the resource as it is, if a finding says it.
    pub actor: Option<&'a str>,
}

/// How a fix is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start<'a> {
    /// Whether Security Hub looks at the control only every 12 to 24 hours.
    pub periodic: bool,
    /// The person who asked for it; then it starts unless it is in progress.
    pub by: Option<&'a str>,
    /// What was undone or left open before this time is fixed again: the playbook says so.
    pub again_before: Option<Timestamp>,
    /// Whether the circuit breaker stops the account's fixes.
    pub stopped: bool,
    /// When a person last resumed them: what was held before starts.
    pub resumed_at: Option<Timestamp>,
}

/// Whether a fix may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The caller starts the execution of this attempt.
    Started {
        /// The attempt.
        attempt: u32,
        /// Since when the circuit breaker has held it.
        held_since: Option<Timestamp>,
    },
    /// An attempt is in progress. A caller that may have crashed before it started the execution starts it again: an
    /// execution of the same name is not started twice.
    Running {
        /// The attempt.
        attempt: u32,
    },
    /// It was fixed, or was found to be right, and the event is about the time before, or the next periodic check is
    /// still to come.
    RecentlyFixed {
        /// Whether one of the findings is new: it does not show yet what came of the fix.
        unseen: bool,
    },
    /// The last attempt failed a short while ago.
    RecentlyFailed {
        /// As for [`RecentlyFixed`](Self::RecentlyFixed).
        unseen: bool,
    },
    /// It was undone, or is left open.
    Left {
        /// As for [`RecentlyFixed`](Self::RecentlyFixed).
        unseen: bool,
        /// Since when changes are looked for, if it was reopened too often and that is not published yet.
        unpublished: Option<Timestamp>,
    },
    /// The circuit breaker stops it.
    Held,
    /// It failed again after the last of [`FIXES_BEFORE_LEFT`] fixes: it is left open from now on.
    ReopenedTooOften {
        /// When the last fix began: who has changed it since is looked for.
        since: Timestamp,
    },
}

/// Whether a preview is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The caller asks for a preview.
    PreviewWanted,
    /// A preview was asked for and has no result yet. A caller that may have crashed before it asked asks again.
    PreviewAwaited,
    /// The preview that there is still applies, or the fix that there was.
    Known {
        /// Whether one of the findings is new: it does not show yet what is known.
        unseen: bool,
    },
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// What came of it; nothing if the order failed.
    pub outcome: Option<Outcome>,
    /// What the control looks at, as it was.
    pub before: Option<Value>,
    /// The same as it is now, or would be.
    pub after: Option<Value>,
    /// Why, in words, unless it was fixed.
    pub reason: Option<String>,
    /// The control that has to be fixed first.
    pub needs: Option<String>,
    /// The ARN of the execution.
    pub execution: Option<String>,
    /// Where the resource is not as the fix left it, if an undo is refused.
    pub differences: Vec<Difference>,
}

impl Ended {
    /// What a message of the archive queue says: the report, or else the error.
    #[must_use]
    pub fn of(
        report: Option<&Report>,
        error: Option<&OrderError>,
        execution: Option<&str>,
    ) -> Self {
        let execution = execution.map(str::to_owned);
        match (report, error) {
            (Some(report), _) => Self {
                outcome: Some(report.outcome),
                before: report.before.clone(),
                after: report.after.clone(),
                reason: report.reason.clone(),
                needs: report.needs.clone(),
                execution,
                differences: report.differences.clone(),
            },
            (None, error) => Self {
                outcome: None,
                before: None,
                after: None,
                reason: Some(error.map_or_else(
                    || "the order has neither a report nor an error".to_owned(),
                    OrderError::in_words,
                )),
                needs: None,
                execution,
                differences: Vec::new(),
            },
        }
    }

    /// The status of a subject whose fix ended so.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.outcome {
            Some(Outcome::Fixed) => Status::Fixed,
            Some(Outcome::AlreadyCompliant) => Status::AlreadyCompliant,
            Some(Outcome::Blocked) => Status::Blocked,
            Some(Outcome::NotApplicable) => Status::NotApplicable,
            Some(Outcome::Needs) => Status::Needs,
            // A fix that only previews has fixed nothing, and one that cannot be confirmed is attempted again.
            Some(
                Outcome::WouldFix
                | Outcome::Unconfirmed
                | Outcome::Refused
                | Outcome::Looked
                | Outcome::NotUndoable,
            )
            | None => Status::Failed,
            Some(Outcome::Undone | Outcome::AlreadyUndone) => Status::Undone,
        }
    }
}

/// Whether a result was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Now, by the caller.
    Now,
    /// It was recorded before.
    Before,
    /// Something newer is recorded already: a later attempt, or a fix after the preview.
    Outdated,
}

/// What a decision of the playbook does to a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing may be changed.
    Refuse,
    /// The playbook exempts it.
    Exempt,
    /// Its findings are suppressed until this day, the last one.
    Suppress(Date),
}

/// An undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UndoInProgress {
    /// Which attempt it is.
    pub attempt: u32,
    /// Who asked for it.
    pub by: String,
    /// The status before.
    pub from: Status,
}

/// An item of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    /// `account#region#control#resource`.
    pub key: String,
    /// The account that owns the resource.
    pub account: AccountId,
    /// The Region that calls go to.
    pub region: String,
    /// The control.
    pub control: String,
    /// The resource's ARN, or `AWS::::Account:<account>`.
    pub resource: String,
    /// The action that fixes it.
    pub action: String,
    /// What became of it.
    pub status: Status,
    /// The findings about it, the newest first.
    pub findings: Vec<FindingId>,
    /// When the control was first and last found to fail, and how often.
    pub first_seen_at: Timestamp,
    /// See `first_seen_at`.
    pub last_seen_at: Timestamp,
    /// See `first_seen_at`.
    pub seen: u64,
    /// The last attempt; 0 before the first.
    pub attempt: u32,
    /// When the last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended; nothing while it is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What the control looks at before the fix or preview, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The same after the fix, or as it would be after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Why it has its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The control that has to be fixed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// The ARN of the last execution that reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// The outcome of the last preview; absent if the preview failed, or there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Outcome>,
    /// When a preview was last asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_asked_at: Option<Timestamp>,
    /// When a preview last had a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previewed_at: Option<Timestamp>,
    /// What the preview was asked for: another text means that something has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_key: Option<String>,
    /// What happened, the newest last.
    pub history: Vec<HistoryEntry>,
    /// The last day of the suppression, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// `yes` while there is `until`: the partition of the index of suppressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
    /// The attempt whose result is to be published as an alert, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_attempt: Option<u32>,
    /// Until when an invocation has claimed to publish it; absent if it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_until: Option<Timestamp>,
    /// When an alert was last published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerted_at: Option<Timestamp>,
    /// What the last alert is about: status and reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerted_as: Option<String>,
    /// The resource's tags, as a finding last had them: one of them can name its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// Who made the resource as it is, as a finding last said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Whether a person is to be asked as soon as it is known what would be changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asking: bool,
    /// What a person was asked last, and the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// What it waits for: the partition of the index of what waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitFor>,
    /// Since when it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_since: Option<Timestamp>,
    /// Until when it waits, or when it is looked at again, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_until: Option<i64>,
    /// When it was last looked at again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
    /// When the fix ended whose states `before` and `after` are; absent if they are of something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_at: Option<Timestamp>,
    /// The undo that is in progress, or was the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<UndoInProgress>,
    /// When it was undone or left open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_at: Option<Timestamp>,
    /// Counts the changes.
    pub version: u64,
    /// When the record may be deleted, in seconds since 1970.
    pub expires_at: i64,
}

/// What is to be stored, if anything, and what the caller is answered.
pub type Change<T> = (Option<Record>, T);

impl Record {
    fn new(subject: &Subject, first_seen_at: Timestamp) -> Self {
        let target = &subject.target;
        Self {
            key: subject.key.clone(),
            account: target.account.clone(),
            region: target.region.clone(),
            control: subject.control.clone(),
            resource: target.resource.clone(),
            action: subject.action.clone(),
            status: Status::Observed,
            findings: Vec::new(),
            first_seen_at,
            last_seen_at: first_seen_at,
            seen: 0,
            attempt: 0,
            started_at: None,
            ended_at: None,
            before: None,
            after: None,
            reason: None,
            needs: None,
            execution: None,
            preview: None,
            preview_asked_at: None,
            previewed_at: None,
            preview_key: None,
            history: Vec::new(),
            until: None,
            suppressed: None,
            alert_attempt: None,
            alert_until: None,
            alerted_at: None,
            alerted_as: None,
            tags: None,
            actor: None,
            asking: false,
            request: None,
            waiting: None,
            wait_since: None,
            wait_until: None,
            looked_at: None,
            fixed_at: None,
            undo: None,
            left_at: None,
            version: 0,
            expires_at: 0,
        }
    }

    /// The record as it is stored over this one.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        let end = self.until.and_then(|until| {
            let end = until.at(23, 59, 59, 0);
            Offset::UTC.to_timestamp(end).ok()
        });
        let last = end.map_or(now, |end| end.max(now));
        Self {
            version: self.version + 1,
            expires_at: plus(last, KEPT_FOR).as_second(),
            ..self
        }
    }

    /// Whether one of the findings is not known.
    fn lacks(&self, sighting: &Sighting<'_>) -> bool {
        let mut findings = sighting.findings.iter();
        findings.any(|finding| !self.findings.contains(finding))
    }

    /// What the last attempt or preview came to, and when; nothing while one is in progress, or if there was none that
    /// the status still is about.
    #[must_use]
    pub fn result(&self) -> Option<(Ended, Timestamp)> {
        let (outcome, at) = match self.status {
            Status::Fixed => (Some(Outcome::Fixed), self.ended_at),
            Status::AlreadyCompliant => (Some(Outcome::AlreadyCompliant), self.ended_at),
            Status::Blocked => (Some(Outcome::Blocked), self.ended_at),
            Status::NotApplicable => (Some(Outcome::NotApplicable), self.ended_at),
            Status::Needs => (Some(Outcome::Needs), self.ended_at),
            Status::Failed => (None, self.ended_at),
            Status::Observed => {
                let is_recorded = self.previewed_at >= self.preview_asked_at;
                (self.preview, self.previewed_at.filter(|_| is_recorded))
            }
            Status::Started
            | Status::Suppressed
            | Status::Refused
            | Status::Exempt
            | Status::Waiting
            | Status::Declined
            | Status::Undone
            | Status::LeftOpen => return None,
        };
        // A state that was cut is no JSON any more.
        let state = |text: &Option<String>| serde_json::from_str(text.as_deref()?).ok();
        let ended = Ended {
            outcome,
            before: state(&self.before),
            after: state(&self.after),
            reason: self.reason.clone(),
            needs: self.needs.clone(),
            execution: self.execution.clone(),
            differences: Vec::new(),
        };
        Some((ended, at?))
    }

    /// Notes an event; `false` if it says nothing new.
    fn see(&mut self, sighting: &Sighting<'_>) -> bool {
        let new: Vec<FindingId> = sighting
            .findings
            .iter()
            .filter(|finding| !self.findings.contains(finding))
            .cloned()
            .collect();
        let later = self.seen == 0 || sighting.updated_at > self.last_seen_at;
        let earlier = sighting.updated_at < self.first_seen_at;
        let changed = later || earlier || !new.is_empty();
        if changed {
            let few = sighting.tags.filter(|tags| tags.len() <= TAGS);
            self.tags = few.cloned().or(self.tags.take());
            let actor = sighting.actor.map(|actor| cut(actor, HISTORY_REASON_CHARS));
            self.actor = actor.or(self.actor.take());
        }
        self.findings.splice(..0, new);
        self.findings.truncate(FINDINGS);
        if later {
            self.seen += 1;
        }
        self.first_seen_at = self.first_seen_at.min(sighting.updated_at);
        self.last_seen_at = self.last_seen_at.max(sighting.updated_at);
        changed
    }

    /// Adds to the history.
    fn happened(&mut self, at: Timestamp, what: What) -> &mut HistoryEntry {
        let excess = (self.history.len() + 1).saturating_sub(HISTORY);
        self.history.drain(..excess);
        let place = self.history.len();
        self.history.push(HistoryEntry {
            at,
            what,
            attempt: None,
            outcome: None,
            reason: None,
            by: None,
        });
        &mut self.history[place]
    }

    /// Whether it was undone or left open, and the playbook does not say that it is fixed again.
    fn is_left(&self, again_before: Option<Timestamp>) -> bool {
        self.left_at.is_some() && again_before <= self.left_at
    }

    /// It no longer waits.
    fn not_waiting(&mut self) {
        self.waiting = None;
        self.wait_since = None;
        self.wait_until = None;
    }

    /// Whether it was fixed so often lately that it is left open if it fails again.
    fn was_fixed_often(&self, now: Timestamp) -> bool {
        let since_left = self.history.rsplit(|entry| entry.what == What::LeftOpen);
        let fixes = since_left.take(1).flatten().filter(|entry| {
            entry.what == What::Ended
                && entry.outcome.as_deref() == Some(Status::Fixed.word())
                && plus(entry.at, REOPENED_WITHIN) > now
        });
        fixes.count() >= FIXES_BEFORE_LEFT
    }

    /// Whether an attempt is in progress.
    fn runs(&self, now: Timestamp) -> bool {
        let began = self.started_at.filter(|_| self.ended_at.is_none());
        began.is_some_and(|began| plus(began, LOST_AFTER) > now)
    }

    /// Has an alert published: by the caller, who has claimed it until `until`.
    fn owe_alert(&mut self, attempt: u32, about: String, until: Timestamp) {
        self.alert_attempt = Some(attempt);
        self.alert_until = Some(until);
        self.alerted_as = Some(about);
    }

    /// Keeps the states of a result, unless it has none, or those of a fix say more.
    fn keep_states(&mut self, ended: &Ended, now: Timestamp) {
        // What could not be confirmed was changed, too.
        let fixed = matches!(ended.outcome, Some(Outcome::Fixed | Outcome::Unconfirmed));
        let repeats = ended.outcome == Some(Outcome::AlreadyCompliant) && self.fixed_at.is_some();
        if repeats {
            return;
        }
        self.before = ended.before.as_ref().map(json);
        self.after = ended.after.as_ref().map(json);
        self.fixed_at = fixed.then_some(now);
    }

    /// Whether the alert about an attempt has not been published yet.
    #[must_use]
    pub fn owes_alert(&self, attempt: u32) -> bool {
        self.alert_attempt == Some(attempt) && self.alert_until.is_some()
    }

    /// The end of a suppression, or of what would be one if there were one.
    fn not_suppressed(&mut self) {
        self.until = None;
        self.suppressed = None;
    }

    /// Why a fix does not start now.
    fn begun(&self, sighting: &Sighting<'_>, start: &Start<'_>, now: Timestamp) -> Option<Begun> {
        let resumed = self
            .held_since()
            .is_some_and(|since| Some(since) <= start.resumed_at);
        let held = start.stopped && start.by.is_none() && !resumed;
        self.nothing_to_do(sighting, start, now)
            .or(held.then_some(Begun::Held))
    }

    /// Since when the circuit breaker holds it.
    fn held_since(&self) -> Option<Timestamp> {
        self.wait_since
            .filter(|_| self.waiting == Some(WaitFor::Breaker))
    }

    /// Why nothing is to be done.
    fn nothing_to_do(
        &self,
        sighting: &Sighting<'_>,
        start: &Start<'_>,
        now: Timestamp,
    ) -> Option<Begun> {
        if self.runs(now) {
            let attempt = self.attempt;
            return Some(Begun::Running { attempt });
        }
        if start.by.is_some() {
            return None;
        }
        let unseen = self.lacks(sighting);
        if self.is_left(start.again_before) {
            let unpublished = self.started_at.filter(|_| self.owes_left_alert());
            return Some(Begun::Left {
                unseen,
                unpublished,
            });
        }
        let ended_at = self.ended_at?;
        let within = |time: SignedDuration| plus(ended_at, time) > now;
        match self.status {
            Status::Fixed | Status::AlreadyCompliant | Status::NotApplicable => {
                let old = sighting.updated_at <= ended_at;
                let until_checked = SignedDuration::from_hours(PERIODIC_HOURS);
                let fixed = old || (start.periodic && within(until_checked));
                let often = self.status == Status::Fixed && self.was_fixed_often(now);
                match (fixed, often) {
                    (true, _) => Some(Begun::RecentlyFixed { unseen }),
                    (false, true) => Some(Begun::ReopenedTooOften {
                        since: self.started_at.unwrap_or(ended_at),
                    }),
                    (false, false) => None,
                }
            }
            // What it needed was fixed meanwhile.
            Status::Needs if self.looked_at > Some(ended_at) => None,
            Status::Blocked | Status::Needs | Status::Failed => {
                within(AFTER_FAILURE).then_some(Begun::RecentlyFailed { unseen })
            }
            Status::Observed
            | Status::Started
            | Status::Suppressed
            | Status::Refused
            | Status::Exempt
            | Status::Waiting
            | Status::Declined
            | Status::Undone
            | Status::LeftOpen => None,
        }
    }
}

/// Begins a fix, unless one is in progress or has just ended.
#[must_use]
pub fn begin(
    stored: Option<Record>,
    subject: &Subject,
    sighting: &Sighting<'_>,
    start: &Start<'_>,
    now: Timestamp,
) -> Change<Begun> {
    let mut record = stored.unwrap_or_else(|| Record::new(subject, sighting.updated_at));
    let held = record.begun(sighting, start, now);
    let seen = record.see(sighting);
    if let Some(begun @ Begun::ReopenedTooOften { .. }) = held {
        record.leave_open(sighting, now);
        return (Some(record), begun);
    }
    if let Some(begun) = held {
        return (seen.then_some(record), begun);
    }
    let held_since = record.held_since();
    if record.started_at.is_some() && record.ended_at.is_none() {
        let attempt = Some(record.attempt);
        record.happened(now, What::Lost).attempt = attempt;
    }
    record.not_suppressed();
    record.not_waiting();
    record.undo = None;
    record.left_at = None;
    record.attempt += 1;
    let attempt = record.attempt;
    record.status = Status::Started;
    record.started_at = Some(now);
    record.ended_at = None;
    record.reason = None;
    record.needs = None;
    let entry = record.happened(now, What::Started);
    entry.attempt = Some(attempt);
    entry.by = start.by.map(str::to_owned);
    (
        Some(record),
        Begun::Started {
            attempt,
            held_since,
        },
    )
}

/// Takes an attempt back whose execution could not be started: the next event begins another one.
#[must_use]
pub fn abandon(stored: Option<Record>, attempt: u32, reason: &str, now: Timestamp) -> Change<bool> {
    let ours = |record: &Record| record.attempt == attempt && record.ended_at.is_none();
    let Some(mut record) = stored.filter(ours) else {
        return (None, false);
    };
    record.ended_at = Some(now);
    if record.status == Status::Started {
        let undo = record.undo.as_ref().filter(|undo| undo.attempt == attempt);
        if let Some(undo) = undo {
            record.status = undo.from;
            record.left_at = None;
        } else {
            record.status = Status::Observed;
        }
        record.reason = Some(cut(reason, REASON_CHARS));
    }
    let entry = record.happened(now, What::NotStarted);
    entry.attempt = Some(attempt);
    entry.reason = Some(cut(reason, HISTORY_REASON_CHARS));
    (Some(record), true)
}

/// Notes an event about a fix that is only observed. `preview_key` names what a preview depends on, `held` whether the
/// circuit breaker keeps it from being fixed.
#[must_use]
pub fn observe(
    stored: Option<Record>,
    subject: &Subject,
    sighting: &Sighting<'_>,
    preview_key: &str,
    held: bool,
    now: Timestamp,
) -> Change<Observed> {
    let mut record = stored.unwrap_or_else(|| Record::new(subject, sighting.updated_at));
    if record.is_left(None) {
        let unseen = record.lacks(sighting);
        let seen = record.see(sighting);
        return (seen.then_some(record), Observed::Known { unseen });
    }
    look(record, sighting, preview_key, held, false, now)
}

/// Notes an event about something that is not fixed now, and says whether a preview is to be asked for.
fn look(
    mut record: Record,
    sighting: &Sighting<'_>,
    preview_key: &str,
    held: bool,
    asking: bool,
    now: Timestamp,
) -> Change<Observed> {
    let fixed = matches!(record.status, Status::Fixed | Status::AlreadyCompliant);
    let about_before = record.ended_at >= Some(sighting.updated_at);
    let unseen = record.lacks(sighting);
    if record.runs(now) || (fixed && about_before) {
        let seen = record.see(sighting);
        return (seen.then_some(record), Observed::Known { unseen });
    }
    let mut changed = record.see(sighting);
    if asking && !record.asking {
        // What is asked about is looked at now.
        record.preview_asked_at = None;
        record.previewed_at = None;
    }
    changed |= record.asking != asking;
    record.asking = asking;
    if held {
        changed |= record.hold(now);
    } else if record.waiting.is_some() {
        record.not_waiting();
        changed = true;
    }
    if record.status != Status::Observed {
        record.status = Status::Observed;
        record.reason = None;
        record.needs = None;
        record.not_suppressed();
        // A preview of another time says nothing of now.
        record.preview_asked_at = None;
        record.previewed_at = None;
        record.happened(now, What::Observed);
        changed = true;
    }
    let ago = |time: SignedDuration, at: Timestamp| plus(at, time) <= now;
    let awaited = record.preview_asked_at > record.previewed_at;
    let observed = match record.preview_asked_at.max(record.previewed_at) {
        None => Observed::PreviewWanted,
        Some(asked_at) if awaited && ago(LOST_AFTER, asked_at) => Observed::PreviewWanted,
        Some(_) if awaited => Observed::PreviewAwaited,
        Some(last) => {
            let other = record.preview_key.as_deref() != Some(preview_key);
            if other && ago(BETWEEN_PREVIEWS, last) {
                Observed::PreviewWanted
            } else {
                Observed::Known { unseen }
            }
        }
    };
    if observed == Observed::PreviewWanted {
        record.preview_asked_at = Some(now);
        record.preview_key = Some(preview_key.to_owned());
        changed = true;
    }
    (changed.then_some(record), observed)
}

/// Notes a decision of the playbook, or that a finding cannot be acted on; `true` if it is another one than before. A
/// fix that is in progress ends first.
#[must_use]
pub fn decide(
    stored: Option<Record>,
    subject: &Subject,
    sighting: &Sighting<'_>,
    decision: Decision,
    reason: &str,
    now: Timestamp,
) -> Change<bool> {
    let mut record = stored.unwrap_or_else(|| Record::new(subject, sighting.updated_at));
    let seen = record.see(sighting);
    if record.runs(now) {
        return (seen.then_some(record), false);
    }
    let (status, what, until) = match decision {
        Decision::Refuse => (Status::Refused, What::Refused, None),
        Decision::Exempt => (Status::Exempt, What::Exempted, None),
        Decision::Suppress(until) => (Status::Suppressed, What::Suppressed, Some(until)),
    };
    let reason = cut(reason, REASON_CHARS);
    let same = record.status == status
        && record.until == until
        && record.reason.as_deref() == Some(&reason);
    if same {
        return (seen.then_some(record), false);
    }
    record.happened(now, what).reason = Some(cut(&reason, HISTORY_REASON_CHARS));
    record.status = status;
    record.reason = Some(reason);
    record.needs = None;
    record.until = until;
    record.suppressed = until.map(|_| SUPPRESSED.to_owned());
    record.asking = false;
    record.not_waiting();
    (Some(record), true)
}

/// Records what came of an attempt, once. If people are to be alerted, the caller claims that until `alert_until`.
#[must_use]
pub fn finish(
    stored: Option<Record>,
    subject: &Subject,
    attempt: u32,
    ended: &Ended,
    now: Timestamp,
    alert_until: Timestamp,
) -> Change<Recorded> {
    // A record that was deleted meanwhile is written anew: what was changed has to be found somewhere.
    let mut record = stored.unwrap_or_else(|| Record {
        attempt,
        ..Record::new(subject, now)
    });
    let last = record
        .history
        .iter()
        .rfind(|entry| entry.attempt == Some(attempt))
        .map(|entry| entry.what);
    let recorded = if attempt < record.attempt {
        if matches!(last, Some(What::Ended | What::UndoEnded)) {
            return (None, Recorded::Outdated);
        }
        Recorded::Outdated
    } else if attempt == record.attempt
        && record.ended_at.is_some()
        // Its execution was started after all: the answer that said so was lost.
        && last != Some(What::NotStarted)
    {
        return (None, Recorded::Before);
    } else {
        Recorded::Now
    };
    let of_undo = record.undo.as_ref().filter(|undo| undo.attempt == attempt);
    let of_undo = of_undo.cloned();
    let status = ended.status();
    let what = of_undo.as_ref().map_or(What::Ended, |_| What::UndoEnded);
    let entry = record.happened(now, what);
    entry.attempt = Some(attempt);
    entry.outcome = Some(status.word().to_owned());
    entry.reason = ended
        .reason
        .as_deref()
        .map(|reason| cut(reason, HISTORY_REASON_CHARS));
    if recorded == Recorded::Outdated {
        return (Some(record), recorded);
    }
    record.attempt = attempt;
    record.ended_at = Some(now);
    record.started_at.get_or_insert(now);
    record.execution.clone_from(&ended.execution);
    if let Some(undo) = &of_undo {
        record.undo_ended(undo, ended, now);
    } else {
        record.keep_states(ended, now);
        // What the playbook has decided meanwhile stays.
        if matches!(record.status, Status::Started | Status::Observed) {
            record.status = status;
            record.reason = ended.reason.as_deref().map(|it| cut(it, REASON_CHARS));
            record.needs.clone_from(&ended.needs);
            if status == Status::Needs {
                record.wait_for_needed(now);
            }
        }
        record.answer_used(status);
    }
    let reason = ended.reason.as_deref().unwrap_or_default();
    let about = cut(&format!("{}: {reason}", status.word()), REASON_CHARS);
    let of_person = of_undo.is_some();
    let said = record.alerted_as.as_ref() == Some(&about)
        && record
            .alerted_at
            .is_some_and(|at| plus(at, BETWEEN_EQUAL_ALERTS) > now);
    let alert = match status {
        _ if of_person => true,
        Status::Fixed => true,
        Status::Blocked | Status::Failed => !said,
        _ => false,
    };
    if alert {
        record.owe_alert(attempt, about, alert_until);
    }
    (Some(record), recorded)
}

/// Records what a preview came to. If a person is to be asked, the request is made on these terms.
#[must_use]
pub fn previewed(
    stored: Option<Record>,
    subject: &Subject,
    ended: &Ended,
    now: Timestamp,
    terms: &Terms,
) -> Change<Recorded> {
    let mut record = stored.unwrap_or_else(|| Record::new(subject, now));
    // It was recorded, and the message is received again.
    if record.waits_for_answer() && record.previewed_at >= record.preview_asked_at {
        return (None, Recorded::Before);
    }
    if record.status != Status::Observed {
        return (None, Recorded::Outdated);
    }
    let (before, after) = (
        ended.before.as_ref().map(json),
        ended.after.as_ref().map(json),
    );
    let reason = ended.reason.as_deref().map(|it| cut(it, REASON_CHARS));
    let same = (record.preview, &record.before, &record.after) == (ended.outcome, &before, &after)
        && (&record.reason, &record.needs) == (&reason, &ended.needs);
    let is_recorded =
        record.previewed_at.is_some() && record.previewed_at >= record.preview_asked_at;
    let asks = record.asking && ended.outcome == Some(Outcome::WouldFix);
    if same && is_recorded && !asks {
        return (None, Recorded::Before);
    }
    if !same || record.previewed_at.is_none() {
        let outcome = ended.outcome.map_or("FAILED", Outcome::word);
        let entry = record.happened(now, What::Previewed);
        entry.outcome = Some(outcome.to_owned());
        entry.reason = reason
            .as_deref()
            .map(|reason| cut(reason, HISTORY_REASON_CHARS));
    }
    record.preview = ended.outcome;
    if (&record.before, &record.after) != (&before, &after) {
        record.fixed_at = None;
    }
    record.before = before;
    record.after = after;
    record.reason = reason;
    record.needs.clone_from(&ended.needs);
    record.previewed_at = Some(now);
    if asks {
        record.ask(terms, now);
    }
    (Some(record), Recorded::Now)
}

/// Whether the caller may publish the alert about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertClaim {
    /// The caller publishes it.
    Claimed,
    /// Another invocation has claimed it until then.
    InProgress(Timestamp),
    /// There is none to publish, or it was published.
    Nothing,
}

/// Claims the alert about an attempt whose first claim has expired: the invocation that held it was killed.
#[must_use]
pub fn claim_alert(
    stored: Option<Record>,
    attempt: u32,
    now: Timestamp,
    until: Timestamp,
) -> Change<AlertClaim> {
    let Some(mut record) = stored.filter(|record| record.owes_alert(attempt)) else {
        return (None, AlertClaim::Nothing);
    };
    match record.alert_until {
        Some(claimed) if claimed > now => (None, AlertClaim::InProgress(claimed)),
        _ => {
            record.alert_until = Some(until);
            (Some(record), AlertClaim::Claimed)
        }
    }
}

/// Notes that the alert about an attempt was published, or gives the claim back.
#[must_use]
pub fn alerted(
    stored: Option<Record>,
    attempt: u32,
    published_at: Option<Timestamp>,
) -> Change<()> {
    let Some(mut record) = stored.filter(|record| record.owes_alert(attempt)) else {
        return (None, ());
    };
    if let Some(at) = published_at {
        record.alert_until = None;
        record.alerted_at = Some(at);
    } else {
        record.alert_until = Some(Timestamp::UNIX_EPOCH);
    }
    (Some(record), ())
}

/// Ends a suppression whose last day was `until`, unless it was changed meanwhile.
#[must_use]
pub fn reopened(stored: Option<Record>, until: Date, now: Timestamp) -> Change<bool> {
    let Some(mut record) = stored.filter(|record| record.until == Some(until)) else {
        return (None, false);
    };
    record.not_suppressed();
    if record.status == Status::Suppressed {
        record.status = Status::Observed;
        record.reason = None;
    }
    record.happened(now, What::Reopened);
    (Some(record), true)
}

/// Whether the last day of a suppression is over.
#[must_use]
pub fn is_over(until: Date, now: Timestamp) -> bool {
    until < today(now)
}

/// The day in UTC.
#[must_use]
pub fn today(now: Timestamp) -> Date {
    Offset::UTC.to_datetime(now).date()
}

fn plus(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// A state as JSON, within [`STATE_BYTES`].
fn json(state: &Value) -> String {
    let mut text = state.to_string();
    if text.len() > STATE_BYTES {
        let mut end = STATE_BYTES - CUT.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(CUT);
    }
    text
}

/// The text within so many characters.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept = limit.saturating_sub(CUT.chars().count());
    text.chars().take(kept).chain(CUT.chars()).collect()
}
