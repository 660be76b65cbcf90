//! Ranges of ports, as rules and parameters have them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Ports from `first` to `last`, both included. Its text is `22`, `8000-8100` or `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    first: u16,
    last: u16,
}

/// The text for every port.
const EVERY: &str = "all";

/// A text that names no ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a port or a range of ports")]
pub struct NoPorts;

impl Ports {
    /// Every port.
    pub const ALL: Self = Self {
        first: 0,
        last: u16::MAX,
    };

    /// One port.
    #[must_use]
    pub const fn one(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }

    /// The range of a rule as AWS gives it: no number, or a negative one, stands for all ports.
    #[must_use]
    pub fn of_rule(from: Option<i32>, to: Option<i32>) -> Self {
        let port = |number: Option<i32>| number.and_then(|number| u16::try_from(number).ok());
        match (port(from), port(to)) {
            (Some(first), Some(last)) => Self { first, last },
            _ => Self::ALL,
        }
    }

    /// The first one.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last one.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether the port is one of them.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether a port is in both ranges.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first.max(other.first) <= self.last.min(other.last)
    }

    /// Whether each of them is in one of these ranges.
    #[must_use]
    pub fn within(self, ranges: &[Self]) -> bool {
        let mut port = self.first;
        while let Some(range) = ranges.iter().find(|range| range.contains(port)) {
            if range.last >= self.last {
                return true;
            }
            port = range.last + 1;
        }
        false
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (0, u16::MAX) => formatter.write_str(EVERY),
            (first, last) if first == last => write!(formatter, "{first}"),
            (first, last) => write!(formatter, "{first}-{last}"),
        }
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == EVERY {
            return Ok(Self::ALL);
        }
        text.parse().map_err(de::Error::custom)
    }
}

impl FromStr for Ports {
    type Err = NoPorts;

    fn from_str(text: &str) -> Result<Self, NoPorts> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse().map_err(|_| NoPorts);
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(NoPorts);
        }
        Ok(Self { first, last })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_has_a_text() {
        for (from, to, text) in [
            (Some(22), Some(22), "22"),
            (Some(8_000), Some(8_100), "8000-8100"),
            (Some(0), Some(65_535), "all"),
            (Some(-1), Some(-1), "all"),
            (None, None, "all"),
        ] {
            assert_eq!(Ports::of_rule(from, to).to_string(), text);
        }
        for text in ["", "-", "ssh", "70000", "30-20", "-1"] {
            assert_eq!(text.parse::<Ports>(), Err(NoPorts), "{text}");
        }
        assert_eq!(" 22".parse(), Ok(Ports::one(22)));
    }

    fn ports() -> impl Strategy<Value = Ports> {
        let edge = prop_oneof![0..40_u16, 65_500..=u16::MAX];
        (edge.clone(), edge).prop_map(|(a, b)| Ports {
            first: a.min(b),
            last: a.max(b),
        })
    }

    proptest! {
        #[test]
        fn within_is_what_each_port_says(asked in ports(), ranges in prop::collection::vec(ports(), 0..5)) {
            let each = (asked.first..=asked.last)
                .all(|port| ranges.iter().any(|range| range.contains(port)));
            prop_assert_eq!(asked.within(&ranges), each);
        }

        #[test]
        fn two_ranges_overlap_if_a_port_is_in_both(one in ports(), other in ports()) {
            let shared = (one.first..=one.last).any(|port| other.contains(port));
            prop_assert_eq!(one.overlaps(other), shared);
        }
    }
}
