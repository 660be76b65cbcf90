//! A person is asked before a fix: the request, the answer, and the end without one.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

pub use super::parts::{Answer, Request, Terms};
use super::{
    Begun, Change, HISTORY_REASON_CHARS, Observed, Record, Sighting, Start, Status, Subject, What,
    cut, look, parts::WaitFor, plus,
};

/// A person is not asked again about the same for so long after they were asked, unless it was fixed meanwhile.
const BETWEEN_REQUESTS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The end of a request is published again if that failed so long ago.
const UNPUBLISHED: SignedDuration = SignedDuration::from_mins(10);
/// Characters of an id: of a million records, two have the same with a probability of one in two million.
const ID_CHARS: usize = 15;
/// Characters of the name of the one who answered.
const BY_CHARS: usize = 200;

/// The id of a record, which a person types: a hash of its key.
#[must_use]
pub fn id_of(key: &str) -> String {
    let hash = Sha256::digest(key);
    hex::encode(hash)[..ID_CHARS].to_owned()
}

/// Whether a person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// First it has to be known what would be changed.
    Look(Observed),
    /// They were asked, and have not answered.
    Waits {
        /// Whether one of the findings is new: it does not show yet that they were asked.
        unseen: bool,
    },
    /// They have allowed it.
    Approved {
        /// Who.
        by: String,
    },
    /// They were asked a short while ago, and it came to nothing.
    Recently {
        /// As for [`Waits`](Self::Waits).
        unseen: bool,
    },
    /// There is nothing to ask about now.
    No(Begun),
}

/// Whether an answer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is recorded.
    Now,
    /// There was one before.
    Before(Answer),
    /// It comes too late.
    Expired,
    /// Nobody was asked, or about something else.
    NotAsked,
}

impl Record {
    /// The id by which people name it.
    #[must_use]
    pub fn id(&self) -> String {
        id_of(&self.key)
    }

    /// Whether a person was asked and can still answer.
    #[must_use]
    pub fn waits_for_answer(&self) -> bool {
        self.status == Status::Waiting && self.waiting == Some(WaitFor::Answer)
    }

    /// Who has ordered or allowed an attempt, if a person did.
    #[must_use]
    pub fn allowed_by(&self, attempt: u32) -> Option<&str> {
        let mut entries = self.history.iter().rev();
        let began = entries.find(|it| it.what == What::Started && it.attempt == Some(attempt));
        began?.by.as_deref()
    }

    /// The number under which the alert of a request is claimed, or that a resource is left open: that of the attempt that
    /// would follow.
    #[must_use]
    pub fn request_number(&self) -> u32 {
        self.attempt + 1
    }

    /// Asks a person.
    pub(super) fn ask(&mut self, terms: &Terms, now: Timestamp) {
        let until = plus(now, terms.answer_within);
        self.status = Status::Waiting;
        self.request = Some(Request {
            asked_at: now,
            until,
            about: self.preview_key.clone(),
            answer: None,
            used: false,
        });
        self.not_waiting();
        self.waiting = Some(WaitFor::Answer);
        self.wait_since = Some(now);
        self.wait_until = Some(until.as_second());
        self.happened(now, What::Asked);
        let number = self.request_number();
        self.owe_alert(
            number,
            format!("{}: asked", self.status.word()),
            terms.alert_until,
        );
    }

    /// What a fix that ended means for the answer that allowed it. One that needs another control first is still
    /// allowed; after a fix people are asked about the next one.
    pub(super) fn answer_used(&mut self, status: Status) {
        match status {
            Status::Needs => {}
            Status::Fixed | Status::AlreadyCompliant | Status::NotApplicable => self.request = None,
            _ => {
                if let Some(request) = &mut self.request {
                    request.used = true;
                }
            }
        }
    }
}

/// Notes an event about a fix that a person is asked about, and says what follows.
#[must_use]
pub fn ask(
    stored: Option<Record>,
    subject: &Subject,
    sighting: &Sighting<'_>,
    start: &Start<'_>,
    preview_key: &str,
    now: Timestamp,
) -> Change<Asked> {
    let mut record = stored.unwrap_or_else(|| Record::new(subject, sighting.updated_at));
    match record.begun(sighting, start, now) {
        Some(begun @ Begun::ReopenedTooOften { .. }) => {
            record.see(sighting);
            record.leave_open(sighting, now);
            return (Some(record), Asked::No(begun));
        }
        Some(begun) => {
            let seen = record.see(sighting);
            return (seen.then_some(record), Asked::No(begun));
        }
        None => {}
    }
    let about_this = |request: &&Request| request.about.as_deref() == Some(preview_key);
    let unseen = record.lacks(sighting);
    if let Some(request) = record.request.clone().as_ref().filter(about_this) {
        let seen = |mut record: Record| record.see(sighting).then_some(record);
        if let Some(by) = request.approved_by(now) {
            let by = by.to_owned();
            return (seen(record), Asked::Approved { by });
        }
        if request.is_open(now) && record.waits_for_answer() {
            return (seen(record), Asked::Waits { unseen });
        }
        let fixed = matches!(
            record.status,
            Status::Fixed | Status::AlreadyCompliant | Status::NotApplicable
        );
        if !fixed && plus(request.asked_at, BETWEEN_REQUESTS) > now {
            if record.waits_for_answer() {
                expire_now(&mut record, now);
                record.see(sighting);
                return (Some(record), Asked::Recently { unseen });
            }
            return (seen(record), Asked::Recently { unseen });
        }
    }
    let (next, observed) = look(record, sighting, preview_key, false, true, now);
    (next, Asked::Look(observed))
}

/// Records a person's answer to the request that counts until `until`, once.
#[must_use]
pub fn judge(
    stored: Option<Record>,
    until: Timestamp,
    approved: bool,
    by: &str,
    now: Timestamp,
) -> Change<Judged> {
    let Some(mut record) = stored else {
        return (None, Judged::NotAsked);
    };
    let waits = record.waits_for_answer();
    let request = record.request.as_mut();
    let Some(request) = request.filter(|request| request.until.as_second() == until.as_second())
    else {
        return (None, Judged::NotAsked);
    };
    if let Some(answer) = &request.answer {
        return (None, Judged::Before(answer.clone()));
    }
    if request.until <= now {
        return (None, Judged::Expired);
    }
    if !waits {
        return (None, Judged::NotAsked);
    }
    let by = cut(by, BY_CHARS);
    request.answer = Some(Answer {
        approved,
        by: by.clone(),
        at: now,
    });
    let what = if approved {
        What::Approved
    } else {
        What::Declined
    };
    record.happened(now, what).by = Some(by.clone());
    if approved {
        record.waiting = Some(WaitFor::Start);
        record.wait_since = Some(now);
        record.wait_until = Some(now.as_second());
    } else {
        decline(&mut record, &format!("refused by {by}"), now);
    }
    (Some(record), Judged::Now)
}

/// Ends a request that nobody has answered in time. Gives the record if that is now, or if the end of its request was not
/// published yet.
#[must_use]
pub fn expire(stored: Option<Record>, now: Timestamp) -> Change<Option<Record>> {
    let Some(mut record) = stored.filter(|record| record.waiting == Some(WaitFor::Answer)) else {
        return (None, None);
    };
    if record.status == Status::Declined {
        record.wait_until = Some(plus(now, UNPUBLISHED).as_second());
    } else if record.request.as_ref().is_some_and(|it| it.is_open(now)) {
        return (None, None);
    } else {
        expire_now(&mut record, now);
    }
    (Some(record.clone()), Some(record))
}

/// Notes that the end of a request was published.
#[must_use]
pub fn published(stored: Option<Record>) -> Change<()> {
    let ended = |record: &Record| {
        record.status == Status::Declined && record.waiting == Some(WaitFor::Answer)
    };
    let Some(mut record) = stored.filter(ended) else {
        return (None, ());
    };
    record.not_waiting();
    (Some(record), ())
}

fn expire_now(record: &mut Record, now: Timestamp) {
    record.happened(now, What::Expired);
    decline(record, "nobody answered in time", now);
}

/// Nothing is changed, and that is published: until it was, the schedule finds it.
fn decline(record: &mut Record, reason: &str, now: Timestamp) {
    record.status = Status::Declined;
    record.asking = false;
    record.waiting = Some(WaitFor::Answer);
    record.wait_until = Some(plus(now, UNPUBLISHED).as_second());
    let reason = cut(reason, HISTORY_REASON_CHARS);
    let about = format!("{}: {reason}", record.status.word());
    record.reason = Some(reason);
    // The invocation that publishes it claims it first.
    record.owe_alert(record.request_number(), about, Timestamp::UNIX_EPOCH);
}
