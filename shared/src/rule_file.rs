//! Reads a TOML file that people write: rules, a playbook. One fault refuses the whole file, and every fault is named
//! with its line.

use jiff::civil::Date;
use serde::de::DeserializeOwned;
use toml::{Spanned, Value};

use crate::ids::AccountId;

/// Reads a document of the shape `D`, then checks it by `read`, which notes the faults that TOML does not know.
///
/// # Errors
/// Names everything that is wrong, with its line, in the order of lines.
pub fn parse<D: DeserializeOwned, R>(
    text: &str,
    read: impl FnOnce(&mut Check, &D) -> R,
) -> Result<R, Vec<String>> {
    let document: D = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let problem = error.message().lines().collect::<Vec<_>>().join(" ");
        vec![format!("line {line}: {problem}")]
    })?;
    let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    let mut check = Check {
        breaks: breaks.map(|(place, _)| place).collect(),
        problems: Vec::new(),
    };
    let read = read(&mut check, &document);
    let mut problems = check.problems;
    if problems.is_empty() {
        return Ok(read);
    }
    problems.sort();
    problems.dedup();
    let problems = problems.into_iter();
    Err(problems
        .map(|(line, problem)| format!("line {line}: {problem}"))
        .collect())
}

/// Checks what the TOML parser does not know.
#[derive(Debug)]
pub struct Check {
    /// Where the text has the ends of its lines.
    breaks: Vec<usize>,
    problems: Vec<(usize, String)>,
}

impl Check {
    /// The line of a value.
    pub fn line<T>(&self, value: &Spanned<T>) -> usize {
        let start = value.span().start;
        self.breaks.partition_point(|place| *place < start) + 1
    }

    /// Notes a problem at the line of a value.
    pub fn refuse<T>(&mut self, value: &Spanned<T>, problem: impl Into<String>) {
        self.problems.push((self.line(value), problem.into()));
    }

    /// The value, read by `read`. A wrong one is a problem.
    pub fn read<R>(
        &mut self,
        value: Option<&Spanned<String>>,
        read: impl FnOnce(&str) -> Result<R, String>,
    ) -> Option<R> {
        let value = value?;
        match read(value.as_ref()) {
            Ok(read) => Some(read),
            Err(problem) => {
                self.refuse(value, problem);
                None
            }
        }
    }

    /// A value that has to be set; `what` is the thing that has it: "a silence".
    pub fn needed<T, R>(
        &mut self,
        of: &Spanned<T>,
        what: &str,
        name: &str,
        value: Option<&Spanned<String>>,
        read: impl FnOnce(&str) -> Result<R, String>,
    ) -> Option<R> {
        if value.is_none() {
            self.refuse(of, format!("{what} has a {name}"));
        }
        self.read(value, read)
    }

    /// The last day of something, which has to be set.
    pub fn until<T>(
        &mut self,
        of: &Spanned<T>,
        what: &str,
        value: Option<&Spanned<Value>>,
    ) -> Option<Date> {
        let Some(value) = value else {
            self.refuse(of, format!("{what} has an until, its last day"));
            return None;
        };
        let day = date_of(value.as_ref());
        if day.is_none() {
            self.refuse(value, "until is a day, 2026-06-30 say");
        }
        day
    }

    /// A day, which has to be set; `what` is the thing that has it.
    pub fn day<T>(
        &mut self,
        of: &Spanned<T>,
        what: &str,
        name: &str,
        value: Option<&Spanned<Value>>,
    ) -> Option<Date> {
        let Some(value) = value else {
            self.refuse(of, format!("{what} has a day {name}"));
            return None;
        };
        let day = date_of(value.as_ref());
        if day.is_none() {
            self.refuse(value, format!("{name} is a day, 2026-06-30 say"));
        }
        day
    }
}

/// A text that is not empty.
///
/// # Errors
/// If it is.
pub fn filled(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(text.to_owned())
}

/// An account id.
///
/// # Errors
/// If it is none.
pub fn account_of(text: &str) -> Result<AccountId, String> {
    text.parse()
        .map_err(|problem| format!("{text:?}: {problem}"))
}

/// The path of an organizational unit by names, without a slash at its end.
///
/// # Errors
/// If it is none.
pub fn unit_path_of(text: &str) -> Result<String, String> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let mut names = path.split('/');
    if names.next() != Some("Root") || names.any(str::is_empty) {
        return Err(format!(
            "{text:?} is no path of an organizational unit, Root/Workloads say"
        ));
    }
    Ok(path.to_owned())
}

/// A day, written as a TOML date or as a text.
fn date_of(value: &Value) -> Option<Date> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Datetime(date) if date.time.is_none() => date.to_string(),
        _ => return None,
    };
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}
