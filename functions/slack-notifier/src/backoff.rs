//! The backoff: how long nothing is posted after Slack throttled or failed.

use std::time::Duration;

use jiff::Timestamp;
use orgkeeper_shared::alert::Severity;

/// Seconds of backoff where the answer asks for none, by the number of failures in a row.
const SECONDS: [u64; 7] = [1, 2, 4, 8, 16, 32, 60];
/// The longest backoff: SQS keeps a message invisible for twelve hours at most.
const LONGEST: Duration = Duration::from_hours(11);
/// After a post the end of the backoff is moved by this much or not at all: it is not written after each post.
const STEP_MILLISECONDS: i128 = 500;
/// After this time without a failure, the count of failures starts again.
const FORGOTTEN: Duration = Duration::from_mins(5);

/// Until when nothing is posted. Afterwards the most severe messages are posted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// When it ends.
    pub until: Timestamp,
    /// The number of failures in a row, without those that said how long to wait.
    pub attempts: u32,
}

impl Backoff {
    /// The backoff after a failure at `now`: as long as the answer `asked` for, else longer each time.
    #[must_use]
    pub fn after(before: Option<Self>, asked: Option<Duration>, now: Timestamp) -> Self {
        let before = before
            .filter(|before| now.duration_since(before.until).as_secs() < secs(FORGOTTEN))
            .map_or(0, |before| before.attempts);
        let (length, attempts) = if let Some(asked) = asked {
            (asked.clamp(Duration::from_secs(1), LONGEST), 0)
        } else {
            let place = usize::try_from(before).unwrap_or(usize::MAX);
            let seconds = SECONDS[place.min(SECONDS.len() - 1)];
            (Duration::from_secs(seconds), before.saturating_add(1))
        };
        Self {
            until: now + length,
            attempts,
        }
    }

    /// The backoff after a message of this severity was posted. While less severe ones wait, they begin to wait again:
    /// many messages are posted in their order, however long that takes.
    #[must_use]
    pub fn after_post(self, severity: Severity, now: Timestamp) -> Self {
        let others_wait = severity != Severity::Info && !self.left(now, Severity::Info).is_zero();
        let until = now - delay_of(severity);
        let later = until.duration_since(self.until).as_millis() >= STEP_MILLISECONDS;
        Self {
            attempts: 0,
            until: if others_wait && later {
                until
            } else {
                self.until
            },
        }
    }

    /// The one of both that ends later; this one if they end together.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if other.until > self.until {
            other
        } else {
            self
        }
    }

    /// How much of it is left for a message of this severity.
    #[must_use]
    pub fn left(&self, now: Timestamp, severity: Severity) -> Duration {
        let until = self.until + delay_of(severity);
        Duration::try_from(until.duration_since(now)).unwrap_or_default()
    }
}

/// How much later than a critical message others are retried. SQS counts whole seconds, so a message can be
/// up to a second late. Three seconds apart, the more severe one is received first.
#[must_use]
pub fn delay_of(severity: Severity) -> Duration {
    Duration::from_secs(match severity {
        Severity::Critical => 0,
        Severity::Error => 3,
        Severity::Info => 6,
    })
}

/// The duration, rounded up to whole seconds.
#[must_use]
pub fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

fn secs(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_backoff_is_as_long_as_the_answer_asks() {
        for (asked, length) in [(0, 1), (2, 2), (3_600, 3_600), (u64::MAX, 39_600)] {
            let backoff = Backoff::after(None, Some(Duration::from_secs(asked)), at(0));
            assert_eq!(
                backoff,
                Backoff {
                    until: at(length),
                    attempts: 0
                }
            );
        }
    }

    #[test]
    fn backoffs_grow_with_each_failure() {
        let mut before = None;
        let mut lengths = Vec::new();
        let mut now = at(0);
        for _ in 0..9 {
            let backoff = Backoff::after(before, None, now);
            lengths.push(backoff.left(now, Severity::Critical).as_secs());
            before = Some(backoff);
            now = backoff.until;
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        // An answer that says how long to wait starts the count again.
        let asked = Backoff::after(before, Some(Duration::from_secs(2)), now);
        assert_eq!(Backoff::after(Some(asked), None, now).attempts, 1);
        // So does a post, and some time without a failure.
        let ended = before.map(|before| before.after_post(Severity::Critical, now));
        assert_eq!(Backoff::after(ended, None, now).attempts, 1);
        assert_eq!(
            Backoff::after(before, None, now + Duration::from_mins(5)).attempts,
            1
        );
        assert_eq!(
            Backoff::after(before, None, now + Duration::from_mins(4)).attempts,
            10
        );
    }

    #[test]
    fn the_more_severe_are_retried_first() {
        let backoff = Backoff {
            until: at(10),
            attempts: 0,
        };
        let left = |now| {
            [Severity::Critical, Severity::Error, Severity::Info]
                .map(|severity| backoff.left(at(now), severity).as_secs())
        };
        assert_eq!(left(8), [2, 5, 8]);
        assert_eq!(left(11), [0, 2, 5]);
        assert_eq!(left(20), [0, 0, 0]);
    }

    #[test]
    fn less_severe_messages_wait_until_none_that_is_more_severe_was_posted_for_three_seconds() {
        let backoff = Backoff {
            until: at(10),
            attempts: 1,
        };
        for (severity, now, until) in [
            (Severity::Critical, 10, 10),
            (Severity::Critical, 13, 13),
            // Nobody waits any more.
            (Severity::Critical, 16, 10),
            (Severity::Error, 13, 10),
            (Severity::Error, 14, 11),
            (Severity::Info, 14, 10),
        ] {
            let after = backoff.after_post(severity, at(now));
            let expected = Backoff {
                until: at(until),
                attempts: 0,
            };
            assert_eq!(after, expected, "{severity:?} at {now}");
        }
        // It is written twice a second at most.
        let moment = at(10) + Duration::from_millis(499);
        assert_eq!(backoff.after_post(Severity::Critical, moment).until, at(10));
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (millis, seconds) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2)] {
            let whole = whole_seconds(Duration::from_millis(millis));
            assert_eq!(whole, Duration::from_secs(seconds));
        }
    }
}
