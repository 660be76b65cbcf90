//! When a hinted pair is looked at: 20 seconds after the hint, and once a minute however many come. A hint that comes after
//! a look is never lost: the next look follows. What a call starts slowly is looked at again after a quarter of an hour.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::hints::{About, Hint};

/// After what time a hint is followed: what the call started is there then.
pub const AFTER: SignedDuration = SignedDuration::from_secs(20);
/// The time between two looks at a pair.
pub const BETWEEN: SignedDuration = SignedDuration::from_secs(60);
/// The time until the second look, where what a call starts takes minutes; SQS delays a message no longer.
pub const AGAIN: SignedDuration = SignedDuration::from_mins(15);
/// For so long the last look is remembered.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The key of the item about a pair's looks.
#[must_use]
pub fn key(hint: &Hint) -> String {
    let about = match hint.about {
        About::Network => "",
        About::SlowNetwork => "#slow",
        About::Functions => "#functions",
    };
    format!("hint#{}{about}", hint.pair)
}

/// The look at a pair that hints have led to, an item of the table `Posture`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HintedLook {
    /// The table's key.
    pub pair: String,
    /// When it is, in milliseconds since 1970.
    pub look_at: i64,
    /// The message that has led to it.
    pub by: String,
    /// Whether its task was sent.
    #[serde(default)]
    pub sent: bool,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: i64,
}

/// What follows from a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follows {
    /// A look that is to come covers it.
    Joined,
    /// This look's task is to be sent: a function that was stopped has not sent it.
    Again(HintedLook),
    /// A new look.
    Look(HintedLook),
}

/// What follows from hints of one kind that came by these messages.
#[must_use]
pub fn follows(old: Option<&HintedLook>, hint: &Hint, by: &[&str], now: Timestamp) -> Follows {
    let now_ms = now.as_millisecond();
    let soon = now_ms.saturating_add(millis(AFTER));
    let look_at = match old {
        // Others may have come with its message.
        Some(old) if by.contains(&&*old.by) && !old.sent => return Follows::Again(old.clone()),
        // The messages are duplicates of one that has led to a look that was sent.
        Some(old) if by.iter().all(|by| *by == old.by) || old.look_at > now_ms => {
            return Follows::Joined;
        }
        Some(old) => soon.max(old.look_at.saturating_add(millis(BETWEEN))),
        None => soon,
    };
    let expires = now.as_second().saturating_add(KEPT.as_secs());
    Follows::Look(HintedLook {
        pair: key(hint),
        look_at,
        by: by.iter().min().copied().unwrap_or_default().to_owned(),
        sent: false,
        expires_at: expires,
    })
}

fn millis(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hint() -> Hint {
        Hint {
            pair: "111122223333#eu-west-1".parse().unwrap(),
            about: About::Network,
        }
    }

    fn follows(old: Option<&HintedLook>, by: &str, now: Timestamp) -> Follows {
        super::follows(old, &hint(), &[by], now)
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
    }

    fn sent(look: HintedLook) -> HintedLook {
        HintedLook { sent: true, ..look }
    }

    #[test]
    fn a_hint_is_followed_after_twenty_seconds_and_the_next_a_minute_later() {
        let Follows::Look(first) = follows(None, "a", at(0)) else {
            panic!("a look")
        };
        assert_eq!(first.look_at - at(0).as_millisecond(), 20_000);
        let first = sent(first);
        assert_eq!(follows(Some(&first), "b", at(19_999)), Follows::Joined);
        // It comes after the look: the next one is a minute after that.
        let Follows::Look(second) = follows(Some(&first), "c", at(20_000)) else {
            panic!("a look")
        };
        assert_eq!(second.look_at - first.look_at, 60_000);
        let Follows::Look(third) = follows(Some(&first), "d", at(500_000)) else {
            panic!("a look")
        };
        assert_eq!(third.look_at - at(500_000).as_millisecond(), 20_000);
    }

    #[test]
    fn a_message_that_comes_twice_leads_to_one_look() {
        let Follows::Look(look) = follows(None, "a", at(0)) else {
            panic!("a look")
        };
        assert_eq!(
            follows(Some(&look), "a", at(5_000)),
            Follows::Again(look.clone())
        );
        assert_eq!(follows(Some(&sent(look)), "a", at(90_000)), Follows::Joined);
    }

    #[test]
    fn a_look_that_was_not_sent_is_sent_by_its_message_among_others() {
        let Follows::Look(look) = follows(None, "b", at(0)) else {
            panic!("a look")
        };
        let by = ["a", "b", "c"];
        assert_eq!(
            super::follows(Some(&look), &hint(), &by, at(5_000)),
            Follows::Again(look.clone())
        );
        // It was sent, and a new hint comes with a duplicate after the look.
        let by = ["b", "c"];
        let next = super::follows(Some(&sent(look)), &hint(), &by, at(30_000));
        assert!(matches!(next, Follows::Look(_)), "{next:?}");
    }

    #[test]
    fn looks_of_each_kind_are_paced_by_themselves() {
        let keys = [About::Network, About::SlowNetwork, About::Functions]
            .map(|about| key(&Hint { about, ..hint() }));
        assert_eq!(
            keys,
            [
                "hint#111122223333#eu-west-1",
                "hint#111122223333#eu-west-1#slow",
                "hint#111122223333#eu-west-1#functions"
            ]
        );
    }

    proptest! {
        #[test]
        fn looks_are_a_minute_apart_and_every_hint_has_one_after_it(
            mut hints in prop::collection::vec(0_i64..600_000, 1..300)
        ) {
            hints.sort_unstable();
            let mut looks: Vec<HintedLook> = Vec::new();
            for (number, hint) in hints.iter().enumerate() {
                if let Follows::Look(look) = follows(looks.last(), &number.to_string(), at(*hint)) {
                    looks.push(sent(look));
                }
            }
            for two in looks.windows(2) {
                prop_assert!(two[1].look_at - two[0].look_at >= 60_000);
            }
            for hint in &hints {
                let hint = at(*hint).as_millisecond();
                let next = looks.iter().map(|look| look.look_at).find(|look| *look > hint);
                prop_assert!(next.is_some_and(|next| next - hint <= 80_000));
            }
        }
    }
}
