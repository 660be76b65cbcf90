//! How long nothing is posted after an answer that asks to wait.

use std::time::Duration;

use jiff::Timestamp;
use orgkeeper_shared::alert::Severity;

/// Seconds of the pauses that nobody has set, by how many came before in a row.
const GROWING: [u64; 7] = [1, 2, 4, 8, 16, 32, 60];
/// The longest pause: a message can be out of sight for twelve hours (SQS).
const LONGEST: Duration = Duration::from_hours(11);
/// A pause that is over so long has nothing to do with the next one.
const FORGOTTEN: Duration = Duration::from_mins(5);

/// Nothing is posted until it is over, and then the worse first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it is over.
    pub until: Timestamp,
    /// How many pauses in a row nobody has set, this one included.
    pub unset: u32,
}

impl Pause {
    /// The pause after a bad answer at `now`, as long as the answer `asked` for, or else longer each time.
    #[must_use]
    pub fn after(before: Option<Self>, asked: Option<Duration>, now: Timestamp) -> Self {
        let before = before
            .filter(|before| now.duration_since(before.until).as_secs() < secs(FORGOTTEN))
            .map_or(0, |before| before.unset);
        let (length, unset) = if let Some(asked) = asked {
            (asked.clamp(Duration::from_secs(1), LONGEST), 0)
        } else {
            let place = usize::try_from(before).unwrap_or(usize::MAX);
            let seconds = GROWING[place.min(GROWING.len() - 1)];
            (Duration::from_secs(seconds), before.saturating_add(1))
        };
        Self {
            until: now + length,
            unset,
        }
    }

    /// The pause once something was posted again: only the order of what waited is left of it.
    #[must_use]
    pub fn ended(self) -> Self {
        Self { unset: 0, ..self }
    }

    /// How much of it is left for what matters so much.
    #[must_use]
    pub fn left(&self, now: Timestamp, severity: Severity) -> Duration {
        let until = self.until + behind(severity);
        Duration::try_from(until.duration_since(now)).unwrap_or_default()
    }
}

/// How much later than a critical message others come back. SQS counts whole seconds, so a message can
/// come up to a second late: two seconds apart, the worse come first wherever they were received.
#[must_use]
pub fn behind(severity: Severity) -> Duration {
    Duration::from_secs(match severity {
        Severity::Critical => 0,
        Severity::Error => 2,
        Severity::Info => 4,
    })
}

/// The least whole seconds that are as long.
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
    fn a_pause_is_as_long_as_it_was_asked_for() {
        for (asked, length) in [(0, 1), (2, 2), (3_600, 3_600), (u64::MAX, 39_600)] {
            let pause = Pause::after(None, Some(Duration::from_secs(asked)), at(0));
            assert_eq!(
                pause,
                Pause {
                    until: at(length),
                    unset: 0
                }
            );
        }
    }

    #[test]
    fn pauses_that_nobody_set_grow() {
        let mut before = None;
        let mut lengths = Vec::new();
        let mut now = at(0);
        for _ in 0..9 {
            let pause = Pause::after(before, None, now);
            lengths.push(pause.left(now, Severity::Critical).as_secs());
            before = Some(pause);
            now = pause.until;
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        // Slack that says how long is well enough to start over.
        let asked = Pause::after(before, Some(Duration::from_secs(2)), now);
        assert_eq!(Pause::after(Some(asked), None, now).unset, 1);
        // So is one that took a message, or that was well for a while.
        let ended = before.map(Pause::ended);
        assert_eq!(Pause::after(ended, None, now).unset, 1);
        assert_eq!(
            Pause::after(before, None, now + Duration::from_mins(5)).unset,
            1
        );
        assert_eq!(
            Pause::after(before, None, now + Duration::from_mins(4)).unset,
            10
        );
    }

    #[test]
    fn the_worse_come_first() {
        let pause = Pause {
            until: at(10),
            unset: 0,
        };
        let left = |now| {
            [Severity::Critical, Severity::Error, Severity::Info]
                .map(|severity| pause.left(at(now), severity).as_secs())
        };
        assert_eq!(left(8), [2, 4, 6]);
        assert_eq!(left(11), [0, 1, 3]);
        assert_eq!(left(20), [0, 0, 0]);
    }

    #[test]
    fn part_of_a_second_is_a_whole_one() {
        for (millis, seconds) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2)] {
            let whole = whole_seconds(Duration::from_millis(millis));
            assert_eq!(whole, Duration::from_secs(seconds));
        }
    }
}
