//! The two forms of a result.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Table,
    /// One JSON document for programs. Fields are only added, never changed.
    Json,
}

/// A JSON document: a result, with the version of its form.
#[derive(Serialize)]
struct Document<'r, R> {
    version: u32,
    #[serde(flatten)]
    result: &'r R,
}

/// Prints a result as a JSON document.
///
/// # Errors
/// If it cannot be written.
pub fn print_json(result: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let document = Document { version: 1, result };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

/// A duration for people, in its largest unit: `3 h`.
#[must_use]
pub fn since(seconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = UNITS.iter().find(|(length, _)| seconds >= *length);
    unit.map_or_else(
        || format!("{seconds} s"),
        |(length, unit)| format!("{} {unit}", seconds / length),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_its_largest_unit() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (7_199, "1 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(since(seconds), expected);
        }
    }
}
