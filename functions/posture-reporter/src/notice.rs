//! What people have to know of a change of the table `Exposure`.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use orgkeeper_shared::posture::{
    exposure::{Expectation, Exposure, Opening, Reachable},
    pair::Pair,
    setting_record::Drift,
};
use serde::{Deserialize, Serialize};

/// What happened to an exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    /// It is new.
    New,
    /// It was there, and can be reached since now, or by more.
    Opened,
    /// It is not expected or accepted any more.
    Expired,
    /// It is gone, or cannot be reached any more.
    Gone,
    /// A setting was as the file says, and somebody has changed it.
    Drifted,
}

impl Happened {
    /// As a word, in keys.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Opened => "opened",
            Self::Expired => "expired",
            Self::Gone => "gone",
            Self::Drifted => "drifted",
        }
    }
}

/// A setting that has drifted, as a notice has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DriftedSetting {
    /// Its name.
    pub setting: String,
    /// Why it is not put back, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The drift.
    pub drift: Drift,
}

/// Something that people have to know, as an item of the table of notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Notice {
    /// The table's partition key.
    pub pair: Pair,
    /// The table's sort key: the same for the same change, however often it is received.
    pub event: String,
    /// What happened.
    pub happened: Happened,
    /// To what, as it was then. Nothing once it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
    /// Which setting has drifted, if one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<DriftedSetting>,
    /// When it was noted, in milliseconds since 1970.
    pub noted_at: i64,
    /// When it was published, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<i64>,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: i64,
}

/// Days that a change is known, so that a duplicate of it is none: a stream has it for one.
const DAYS: i64 = 8;
/// Days that the end of an acceptance is known: each survey finds it again.
const DAYS_EXPIRED: i64 = 400;
const SECONDS_PER_DAY: i64 = 86_400;

/// The day of a time, in UTC.
#[must_use]
pub fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

impl Notice {
    fn of(happened: Happened, exposure: &Exposure, change: &str, now: Timestamp) -> Self {
        let days = match happened {
            Happened::Expired => DAYS_EXPIRED,
            Happened::New | Happened::Opened | Happened::Gone | Happened::Drifted => DAYS,
        };
        Self {
            pair: exposure.pair.clone(),
            event: format!("{}#{}#{change}", happened.word(), exposure.exposure_id),
            happened,
            exposure: Some(exposure.clone()),
            setting: None,
            noted_at: now.as_millisecond(),
            published_at: None,
            expires_at: now.as_second() + days * SECONDS_PER_DAY,
        }
    }
}

impl Notice {
    /// Of a setting that has drifted; `change` is the same for the same drift.
    #[must_use]
    pub fn of_setting(pair: Pair, change: &str, setting: DriftedSetting, now: Timestamp) -> Self {
        let happened = Happened::Drifted;
        Self {
            pair,
            event: format!("{}#{change}", happened.word()),
            happened,
            exposure: None,
            setting: Some(setting),
            noted_at: now.as_millisecond(),
            published_at: None,
            expires_at: now.as_second() + DAYS * SECONDS_PER_DAY,
        }
    }
}

/// What people have to know of it that `old` was replaced by `new`. Nothing of one that is expected or accepted, or whose
/// words alone changed; nothing of an item that was deleted: it was gone long before.
#[must_use]
pub fn of_change(old: Option<&Exposure>, new: &Exposure, now: Timestamp) -> Option<Notice> {
    let today = day(now);
    let old = old.filter(|old| old.gone_at.is_none());
    let concerns = |exposure: &&Exposure| exposure.is_unexpected(today);
    let was = old.filter(concerns);
    let is = Some(new)
        .filter(|new| new.gone_at.is_none())
        .filter(concerns);
    let (happened, time) = match (old, was, is) {
        // It was expected, and the file has changed: nothing was opened.
        (Some(old), None, Some(new))
            if old.expectation != new.expectation && is_as_open(old, new) =>
        {
            (Happened::Expired, new.last_change)
        }
        (Some(_), None, Some(_)) => (Happened::Opened, new.last_change),
        // The report of that survey says it of all of them.
        (None, _, Some(new)) if new.first_look => return None,
        (None, _, Some(new)) => (Happened::New, new.first_seen),
        (_, Some(was), Some(new)) if !is_as_open(was, new) => (Happened::Opened, new.last_change),
        (_, Some(_), Some(_)) | (_, None, None) => return None,
        // Somebody has accepted it: those know it.
        (_, Some(_), None) if new.gone_at.is_none() && new.reachable != Reachable::No => {
            return None;
        }
        (_, Some(_), None) => (Happened::Gone, new.gone_at.unwrap_or(new.last_change)),
    };
    Some(Notice::of(happened, new, &time.to_string(), now))
}

/// What people have to know of an exposure whose acceptance is over: no change says so.
#[must_use]
pub fn of_expired(exposure: &Exposure, now: Timestamp) -> Option<Notice> {
    let Expectation::Accepted { until, .. } = &exposure.expectation else {
        return None;
    };
    let over = exposure.gone_at.is_none() && exposure.is_unexpected(day(now));
    over.then(|| Notice::of(Happened::Expired, exposure, &until.to_string(), now))
}

/// Whether nobody can reach more of `new` than of `old`.
fn is_as_open(old: &Exposure, new: &Exposure) -> bool {
    let reached_before = old.reachable == Reachable::Yes || new.reachable != Reachable::Yes;
    reached_before && new.open.iter().all(|opening| is_within(opening, &old.open))
}

/// Whether each source of an opening had these ports before.
fn is_within(opening: &Opening, before: &[Opening]) -> bool {
    opening.sources.iter().all(|source| {
        before.iter().any(|old| {
            let everything = old.protocol == "all";
            (everything
                || (old.protocol == opening.protocol
                    && old.from <= opening.from
                    && old.to >= opening.to))
                && old.sources.contains(source)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::exposure;

    fn now() -> Timestamp {
        "2026-11-27T03:00:00Z".parse().unwrap()
    }

    fn changed(change: impl Fn(&mut Exposure)) -> Exposure {
        let mut exposure = exposure("i-1");
        change(&mut exposure);
        exposure
    }

    fn happened(old: Option<&Exposure>, new: &Exposure) -> Option<Happened> {
        of_change(old, new, now()).map(|notice| notice.happened)
    }

    fn accepted(until: &str) -> Expectation {
        Expectation::Accepted {
            reason: "a demo".into(),
            until: until.parse().unwrap(),
        }
    }

    #[test]
    fn a_change_that_lets_more_in_is_known() {
        let here = exposure("i-1");
        let closed = changed(|it| {
            it.reachable = Reachable::No;
            it.open.clear();
        });
        let unknown = changed(|it| it.reachable = Reachable::Unknown);
        let gone = changed(|it| it.gone_at = Some(now()));
        let expected = changed(|it| {
            it.expectation = Expectation::Expected {
                scope: "Root".into(),
            }
        });
        let accepted_now = changed(|it| it.expectation = accepted("2026-11-27"));
        let wider = changed(|it| it.open[0].to = 80);
        let more = changed(|it| it.open[0].sources.push("::/0".into()));
        let all = changed(|it| it.open[0].protocol = "all".into());
        let stale = changed(|it| it.stale = true);
        for (old, new, expected) in [
            (None, &here, Some(Happened::New)),
            (None, &unknown, Some(Happened::New)),
            (Some(&gone), &here, Some(Happened::New)),
            (None, &closed, None),
            (None, &expected, None),
            (None, &accepted_now, None),
            (None, &gone, None),
            (Some(&closed), &here, Some(Happened::Opened)),
            (Some(&here), &wider, Some(Happened::Opened)),
            (Some(&here), &more, Some(Happened::Opened)),
            (Some(&unknown), &here, Some(Happened::Opened)),
            (Some(&here), &unknown, None),
            (Some(&wider), &here, None),
            (Some(&all), &here, None),
            (Some(&here), &stale, None),
            (Some(&stale), &here, None),
            (Some(&here), &here, None),
            (Some(&here), &gone, Some(Happened::Gone)),
            (Some(&here), &closed, Some(Happened::Gone)),
            (Some(&gone), &gone, None),
            (Some(&expected), &gone, None),
            (Some(&here), &accepted_now, None),
            (Some(&accepted_now), &here, Some(Happened::Expired)),
            (Some(&expected), &wider, Some(Happened::Opened)),
        ] {
            assert_eq!(happened(old, new), expected, "{old:?}\n{new:?}");
        }
    }

    #[test]
    fn the_same_change_has_the_same_key() {
        let here = exposure("i-1");
        let first = of_change(None, &here, now()).unwrap();
        let again = of_change(None, &here, now() + jiff::SignedDuration::from_secs(9)).unwrap();
        assert_eq!(first.event, again.event);
        let later = changed(|it| it.first_seen = now());
        assert_ne!(first.event, of_change(None, &later, now()).unwrap().event);
    }

    #[test]
    fn an_acceptance_that_is_over_is_known_once_a_day_has_passed() {
        let with = |until: &str| changed(|it| it.expectation = accepted(until));
        assert_eq!(of_expired(&with("2026-11-27"), now()), None);
        let notice = of_expired(&with("2026-11-26"), now()).unwrap();
        assert_eq!(notice.happened, Happened::Expired);
        assert!(notice.event.ends_with("#2026-11-26"));
        assert_eq!(of_expired(&exposure("i-1"), now()), None);
        let gone = changed(|it| {
            it.expectation = accepted("2026-11-26");
            it.gone_at = Some(now());
        });
        assert_eq!(of_expired(&gone, now()), None);
    }

    #[test]
    fn a_notice_is_an_item_and_back() {
        let notice = of_change(None, &exposure("i-1"), now()).unwrap();
        let item: serde_dynamo::Item = serde_dynamo::to_item(&notice).unwrap();
        assert_eq!(serde_dynamo::from_item::<_, Notice>(item).unwrap(), notice);
    }
}
