//! Settings from the environment: every problem in one message, never a silent default for a typo.

use std::{fmt::Display, str::FromStr};

/// What is wrong with the environment: every missing or malformed variable, one sentence each.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function cannot start: {}", .0.join("; "))]
pub struct ConfigError(Vec<String>);

/// Reads variables through a lookup function, so that a test never touches the process's own.
pub struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

/// The process's own variable `name`: the lookup that a `main.rs` passes on.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl<'a> Variables<'a> {
    /// Reads by `lookup`, which gives a variable's value by its name.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
        }
    }

    /// A variable that has to be there.
    pub fn required<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.optional(name)?;
        if value.is_none() {
            self.problems.push(format!("{name} is not set"));
        }
        value
    }

    /// A variable that may be absent or empty: `Some(None)`. Malformed: a problem and `None`.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<Option<T>> {
        let Some(text) = (self.lookup)(name).filter(|text| !text.is_empty()) else {
            return Some(None);
        };
        match text.parse() {
            Ok(value) => Some(Some(value)),
            Err(error) => {
                self.problems
                    .push(format!("{name} is malformed ({text:?}): {error}"));
                None
            }
        }
    }

    /// A number from `least` upwards, `default` if it is not set.
    pub fn number_or(&mut self, name: &str, default: u32, least: u32) -> Option<u32> {
        let number = self.optional(name)?.unwrap_or(default);
        if number < least {
            self.problems
                .push(format!("{name} is {number}: {least} is the least"));
            return None;
        }
        Some(number)
    }

    /// Adds a problem that lies between variables.
    pub fn refuse(&mut self, problem: &str) {
        self.problems.push(problem.to_owned());
    }

    /// Builds the configuration out of what was read.
    ///
    /// # Errors
    /// Names every variable that was missing or malformed.
    pub fn finish<C>(self, build: impl FnOnce() -> Option<C>) -> Result<C, ConfigError> {
        match build() {
            Some(config) if self.problems.is_empty() => Ok(config),
            _ => Err(ConfigError(self.problems)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_said_at_once() {
        let lookup = |name: &str| match name {
            "RATE" => Some("fast".to_owned()),
            "BURST" => Some("0".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let mut read = Variables::new(&lookup);
        let table = read.required::<String>("TABLE");
        let rate = read.number_or("RATE", 10, 0);
        let burst = read.number_or("BURST", 30, 1);
        assert_eq!(read.optional::<String>("EMPTY"), Some(None));
        let error = read
            .finish(|| Some((table?, rate?, burst?)))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "the function cannot start: TABLE is not set; \
             RATE is malformed (\"fast\"): invalid digit found in string; \
             BURST is 0: 1 is the least"
        );
    }
}
