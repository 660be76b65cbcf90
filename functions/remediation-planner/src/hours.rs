//! The hours of a change window: days, a time of day, a time zone.

use jiff::{
    Span, Timestamp,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};

/// The names of days in the playbook.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// From one time of day to another, on some days. What ends at or before its beginning ends on the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    pub(crate) days: Vec<Weekday>,
    pub(crate) from: Time,
    pub(crate) until: Time,
    pub(crate) zone: TimeZone,
}

impl Hours {
    /// When they are open next: `now` if they are.
    #[must_use]
    pub fn opens_at(&self, now: Timestamp) -> Timestamp {
        let today = self.zone.to_datetime(now).date();
        // One that began yesterday can still be open; the same day of the next week is the last that can be next.
        let openings = (-1..=7).filter_map(|days| {
            let day = today.checked_add(Span::new().days(days)).ok()?;
            let (opens, closes) = self.on(day)?;
            (closes > now).then_some(opens.max(now))
        });
        // Without any it never opens: nothing is changed.
        openings.min().unwrap_or(Timestamp::MAX)
    }

    /// When they open and close, if they begin on this day. A time that the clock skips is the one after it.
    fn on(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.contains(&day.weekday()) {
            return None;
        }
        let last = if self.until <= self.from {
            day.tomorrow().ok()?
        } else {
            day
        };
        let at = |day: Date, time: Time| {
            let zoned = self.zone.to_zoned(day.to_datetime(time)).ok()?;
            Some(zoned.timestamp())
        };
        Some((at(day, self.from)?, at(last, self.until)?))
    }
}

/// The day of this name.
///
/// # Errors
/// If there is none.
pub fn day_of(text: &str) -> Result<Weekday, String> {
    let found = DAYS.iter().find(|(name, _)| *name == text);
    found.map(|(_, day)| *day).ok_or_else(|| {
        let names: Vec<&str> = DAYS.iter().map(|(name, _)| *name).collect();
        format!("{text:?} is no day: {}", names.join(", "))
    })
}

/// The times of day in a text such as `22:00-05:00`.
///
/// # Errors
/// If it is none.
pub fn hours_of(text: &str) -> Result<(Time, Time), String> {
    let problem = || format!("{text:?} are no hours: 22:00-05:00 say");
    let time = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|it| it.is_ascii_digit());
        if !digits(hour) || !digits(minute) {
            return None;
        }
        if (hour, minute) == ("24", "00") {
            return Some(Time::midnight());
        }
        Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
    };
    let (from, until) = text.split_once('-').ok_or_else(problem)?;
    time(from).zip(time(until)).ok_or_else(problem)
}

/// The time zone of this name.
///
/// # Errors
/// If there is none.
pub fn zone_of(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| format!("{text:?} is no time zone: Europe/Berlin say, or UTC"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(days: &[&str], text: &str, zone: &str) -> Hours {
        let (from, until) = hours_of(text).unwrap();
        Hours {
            days: days.iter().map(|day| day_of(day).unwrap()).collect(),
            from,
            until,
            zone: zone_of(zone).unwrap(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn they_open_on_their_days_in_their_time_zone() {
        let every = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        // 2026-03-02 is a Monday; on 2026-03-29 at 2:00 the clocks of Berlin skip an hour.
        for (days, text, zone, now, opens) in [
            (
                &["mon"][..],
                "09:00-17:00",
                "UTC",
                "2026-03-02T08:00:00Z",
                "2026-03-02T09:00:00Z",
            ),
            (
                &["mon"],
                "09:00-17:00",
                "UTC",
                "2026-03-02T09:00:00Z",
                "2026-03-02T09:00:00Z",
            ),
            (
                &["mon"],
                "09:00-17:00",
                "UTC",
                "2026-03-02T16:59:59Z",
                "2026-03-02T16:59:59Z",
            ),
            (
                &["mon"],
                "09:00-17:00",
                "UTC",
                "2026-03-02T17:00:00Z",
                "2026-03-09T09:00:00Z",
            ),
            (
                &["mon"],
                "09:00-17:00",
                "Europe/Berlin",
                "2026-03-02T07:00:00Z",
                "2026-03-02T08:00:00Z",
            ),
            (
                &["mon"],
                "09:00-17:00",
                "Europe/Berlin",
                "2026-07-06T06:00:00Z",
                "2026-07-06T07:00:00Z",
            ),
            // Over midnight: it belongs to the day on which it begins.
            (
                &["sat"],
                "22:00-05:00",
                "UTC",
                "2026-03-08T04:00:00Z",
                "2026-03-08T04:00:00Z",
            ),
            (
                &["sat"],
                "22:00-05:00",
                "UTC",
                "2026-03-08T05:00:00Z",
                "2026-03-14T22:00:00Z",
            ),
            (
                &["sun"],
                "22:00-05:00",
                "UTC",
                "2026-03-08T04:00:00Z",
                "2026-03-08T22:00:00Z",
            ),
            (
                &every,
                "00:00-24:00",
                "UTC",
                "2026-03-08T04:00:00Z",
                "2026-03-08T04:00:00Z",
            ),
            (
                &every,
                "20:00-24:00",
                "UTC",
                "2026-03-08T23:59:00Z",
                "2026-03-08T23:59:00Z",
            ),
            (
                &["sun"],
                "02:30-04:00",
                "Europe/Berlin",
                "2026-03-29T00:00:00Z",
                "2026-03-29T01:30:00Z",
            ),
            (
                &["sun"],
                "02:30-04:00",
                "Europe/Berlin",
                "2026-10-24T00:00:00Z",
                "2026-10-25T00:30:00Z",
            ),
        ] {
            let hours = hours(days, text, zone);
            assert_eq!(
                hours.opens_at(at(now)),
                at(opens),
                "{days:?} {text} {zone} {now}"
            );
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "9-17",
            "09:00",
            "09:00-",
            "09:60-10:00",
            "25:00-26:00",
            "9:00-10:00",
            "+9:00-10:00",
        ] {
            assert!(hours_of(text).is_err(), "{text}");
        }
        assert!(day_of("monday").is_err() && day_of("Mon").is_err());
        assert!(zone_of("Europe/Atlantis").is_err() && zone_of("").is_err());
    }

    proptest! {
        #[test]
        fn they_open_within_eight_days_and_then_they_are_open(
            days in proptest::sample::subsequence(vec!["mon", "tue", "wed", "thu", "fri", "sat", "sun"], 1..=7),
            (from, until) in ((0..24_i8, 0..60_i8), (0..24_i8, 0..60_i8)),
            zone in proptest::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
            seconds in 0..4_000_000_000_i64,
        ) {
            let time = |(hour, minute)| Time::new(hour, minute, 0, 0).unwrap();
            let hours = Hours { from: time(from), until: time(until), ..hours(&days, "00:00-01:00", zone) };
            let now = Timestamp::from_second(seconds).unwrap();
            let opens = hours.opens_at(now);
            prop_assert!(opens >= now);
            prop_assert!(opens.duration_since(now).as_hours() <= 8 * 24 + 2);
            prop_assert_eq!(hours.opens_at(opens), opens);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,20}") {
            let _ = (hours_of(&text), day_of(&text), zone_of(&text));
        }
    }
}
