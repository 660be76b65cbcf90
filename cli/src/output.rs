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
