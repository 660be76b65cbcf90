//! The most that is done.

use std::str::FromStr;

/// What is done about a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is recorded, with the call that would close it.
    #[default]
    Observe,
    /// It is closed.
    Apply,
}

/// The text names no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mode is observe or apply")]
pub struct InvalidMode;

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, InvalidMode> {
        match text {
            "observe" => Ok(Self::Observe),
            "apply" => Ok(Self::Apply),
            _ => Err(InvalidMode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_observed_unless_it_is_named() {
        assert_eq!(Mode::default(), Mode::Observe);
        assert_eq!("apply".parse(), Ok(Mode::Apply));
        assert_eq!("Apply".parse::<Mode>(), Err(InvalidMode));
    }
}
