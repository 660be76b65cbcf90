//! The figures of the benchmark, and the tables that they are printed in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One line of a table.
#[derive(Deserialize, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) measured: f64,
    unit: String,
    /// The most that it may be, if there is a bound.
    pub(crate) bound: Option<f64>,
    /// The AWS sample in Python on the same bench, as published with the project's design.
    sample_in_python: Option<f64>,
    /// A bare Rust function on the same bench.
    bare_rust: Option<f64>,
}

impl Figure {
    pub(crate) fn new(name: &str, measured: f64, unit: &str) -> Self {
        Self {
            name: name.to_owned(),
            measured,
            unit: unit.to_owned(),
            bound: None,
            sample_in_python: None,
            bare_rust: None,
        }
    }

    pub(crate) fn at_most(mut self, bound: f64) -> Self {
        self.bound = Some(bound);
        self
    }

    pub(crate) fn sample(mut self, figure: f64) -> Self {
        self.sample_in_python = Some(figure);
        self
    }

    pub(crate) fn bare(mut self, figure: f64) -> Self {
        self.bare_rust = Some(figure);
        self
    }
}

pub(crate) fn print(function: &str, figures: &[Figure]) {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    println!(
        "{function:<56} {:>12} {:>10} {:>16} {:>12}",
        "measured", "at most", "Python sample *", "bare Rust *"
    );
    for figure in figures {
        println!(
            "{:<56} {:>12} {:>10} {:>16} {:>12}",
            format!("{} {}", figure.name, figure.unit),
            number(Some(figure.measured)),
            number(figure.bound),
            number(figure.sample_in_python),
            number(figure.bare_rust)
        );
    }
    println!();
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
pub(crate) fn count(calls: usize) -> f64 {
    calls as f64
}
