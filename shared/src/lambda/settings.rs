//! Settings from the environment: every problem in one message, never a silent default for a typo.

use std::{cell::RefCell, fmt::Display, ops::RangeBounds, str::FromStr};

/// What is wrong with the environment: every missing or malformed variable, one sentence each.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function cannot start: {}", .0.join("; "))]
pub struct ConfigError(Vec<String>);

/// Gives a variable's value by its name: the process's own [`environment`], or a test's.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads variables, one line for each setting, and notes the problems until [`finish`](Self::finish).
///
/// A variable with a problem gives a placeholder, which is never used: `finish` then returns the error.
pub struct Variables<'a> {
    lookup: Lookup<'a>,
    problems: RefCell<Vec<String>>,
}

/// The process's own variable `name`.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl<'a> Variables<'a> {
    /// Reads by `lookup`.
    pub fn new(lookup: Lookup<'a>) -> Self {
        Self {
            lookup,
            problems: RefCell::default(),
        }
    }

    /// A variable that has to be set.
    pub fn required<T: FromStr<Err: Display> + Default>(&self, name: &str) -> T {
        if self.text(name).is_none() {
            self.refuse(format!("{name} is not set"));
        }
        self.optional(name).unwrap_or_default()
    }

    /// A variable that may be absent or empty.
    pub fn optional<T: FromStr<Err: Display>>(&self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        text.parse()
            .map_err(|error| self.refuse(format!("{name} is malformed ({text:?}): {error}")))
            .ok()
    }

    /// A number in the range `allowed`, `default` if it is not set.
    pub fn number(&self, name: &str, default: u32, allowed: impl RangeBounds<u32>) -> u32 {
        let number = self.optional(name).unwrap_or(default);
        if !allowed.contains(&number) {
            self.refuse(format!("{name} is {number}: {}", limits(&allowed)));
        }
        number
    }

    /// A switch, `on` or `off`; `default` if it is not set.
    pub fn switch(&self, name: &str, default: bool) -> bool {
        match self.text(name).as_deref() {
            None => default,
            Some("on") => true,
            Some("off") => false,
            Some(other) => {
                self.refuse(format!("{name} is {other:?}: on or off is allowed"));
                default
            }
        }
    }

    /// A list, separated by commas; empty if it is not set.
    pub fn list<T: FromStr<Err: Display>>(&self, name: &str) -> Vec<T> {
        let text = self.text(name).unwrap_or_default();
        let values = text
            .split(',')
            .map(str::trim)
            .filter(|value| !value.is_empty());
        let parsed = values.map(|value| {
            value
                .parse()
                .map_err(|error| self.refuse(format!("{name} is malformed ({value:?}): {error}")))
        });
        parsed.filter_map(Result::ok).collect()
    }

    /// Notes a problem, for example between two variables.
    pub fn refuse(&self, problem: impl Into<String>) {
        self.problems.borrow_mut().push(problem.into());
    }

    /// The configuration that was built out of the variables.
    ///
    /// # Errors
    /// Names every variable that is missing or malformed.
    pub fn finish<C>(&self, config: C) -> Result<C, ConfigError> {
        let problems = self.problems.take();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(problems))
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|text| !text.is_empty())
    }
}

/// A range in words.
fn limits(allowed: &impl RangeBounds<u32>) -> String {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let minimum = match allowed.start_bound() {
        Included(least) => *least,
        Excluded(below) => below.saturating_add(1),
        Unbounded => 0,
    };
    match allowed.end_bound() {
        Included(most) => format!("{minimum} to {most} is allowed"),
        Excluded(above) => format!("{minimum} to {} is allowed", above.saturating_sub(1)),
        Unbounded => format!("at least {minimum} is allowed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_separated_by_commas() {
        let lookup = |name: &str| match name {
            "PORTS" => Some("22, 3389,".to_owned()),
            "WRONG" => Some("22,ssh".to_owned()),
            _ => None,
        };
        let read = Variables::new(&lookup);
        assert_eq!(read.list::<u16>("PORTS"), [22, 3389]);
        assert_eq!(read.list::<u16>("ABSENT"), [] as [u16; 0]);
        let wrong = read.list::<u16>("WRONG");
        let error = read.finish(wrong).unwrap_err().to_string();
        assert!(error.contains(r#"WRONG is malformed ("ssh")"#), "{error}");
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let lookup = |name: &str| match name {
            "RATE" => Some("fast".to_owned()),
            "BURST" => Some("0".to_owned()),
            "SECONDS" => Some("901".to_owned()),
            "SWITCH" => Some("maybe".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let read = Variables::new(&lookup);
        let table = read.required::<String>("TABLE");
        let rate = read.number("RATE", 10, ..);
        let burst = read.number("BURST", 30, 1..);
        let seconds = read.number("SECONDS", 300, 1..=900);
        let switch = read.switch("SWITCH", true);
        assert_eq!(read.optional::<String>("EMPTY"), None);
        let error = read
            .finish((table, rate, burst, seconds, switch))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "the function cannot start: TABLE is not set; \
             RATE is malformed (\"fast\"): invalid digit found in string; \
             BURST is 0: at least 1 is allowed; \
             SECONDS is 901: 1 to 900 is allowed; \
             SWITCH is \"maybe\": on or off is allowed"
        );
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        let read = Variables::new(&|name| (name == "TABLE").then(|| "accounts".to_owned()));
        let config = (
            read.required::<String>("TABLE"),
            read.number("RATE", 10, ..),
            read.switch("SWITCH", true),
        );
        assert_eq!(read.finish(config), Ok(("accounts".to_owned(), 10, true)));
    }
}
