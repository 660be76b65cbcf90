//! What is done about an item, and the most that is done about any.

use std::str::FromStr;

/// What is done about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nothing.
    Off,
    /// It is said what would be changed, and nothing is changed.
    Check,
    /// It is set once; what people change afterwards is reported.
    Once,
    /// It is set, and set again whenever somebody changes it.
    Keep,
}

/// The text is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mode: off, check, once, keep")]
pub struct InvalidMode(String);

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, InvalidMode> {
        match text {
            "off" => Ok(Self::Off),
            "check" => Ok(Self::Check),
            "once" => Ok(Self::Once),
            "keep" => Ok(Self::Keep),
            _ => Err(InvalidMode(text.to_owned())),
        }
    }
}

/// The most that is done, whatever the file says (`BaselineMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ceiling {
    /// Nothing is changed.
    #[default]
    Check,
    /// What the file says.
    Apply,
}

/// The text is no ceiling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has to be check or apply")]
pub struct InvalidCeiling;

impl FromStr for Ceiling {
    type Err = InvalidCeiling;

    fn from_str(text: &str) -> Result<Self, InvalidCeiling> {
        match text {
            "check" => Ok(Self::Check),
            "apply" => Ok(Self::Apply),
            _ => Err(InvalidCeiling),
        }
    }
}

impl Ceiling {
    /// The mode that is left of one in the file.
    #[must_use]
    pub fn over(self, mode: Mode) -> Mode {
        match self {
            Self::Check => mode.min(Mode::Check),
            Self::Apply => mode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_lowers() {
        assert_eq!(Ceiling::Check.over(Mode::Keep), Mode::Check);
        assert_eq!(Ceiling::Check.over(Mode::Off), Mode::Off);
        assert_eq!(Ceiling::Apply.over(Mode::Once), Mode::Once);
    }
}
