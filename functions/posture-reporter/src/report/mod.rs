//! The files of a survey: what faces the internet, what was read, and one page about both.
//!
//! * [`snapshot`]: everything that they are written from. [`csv_files`], [`settings_csv`]: the CSV files; [`enrolment_csv`]: that of
//!   the accounts outside Control Tower. [`page`]: the HTML page; [`chart`]: its charts. [`recording`]: what a second source
//!   lacks. [`left_out`]: what there is nothing about.

pub mod chart;
pub mod csv_files;
pub mod enrolment_csv;
pub mod error;
pub mod left_out;
pub mod page;
pub mod recording;
pub mod settings_csv;
pub mod snapshot;

#[cfg(test)]
pub(crate) mod samples;

/// A file of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name in the folder.
    pub name: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// The files of a report. What has no data is left out, and the page says so.
///
/// # Errors
/// If one cannot be written.
pub fn files(snapshot: &snapshot::Snapshot) -> Result<Vec<File>, error::ReportError> {
    const CSV: &str = "text/csv; charset=utf-8";
    let mut files = vec![
        File {
            name: "exposure.csv",
            content_type: CSV,
            body: csv_files::exposure(snapshot)?,
        },
        File {
            name: "routes.csv",
            content_type: CSV,
            body: csv_files::routes(snapshot)?,
        },
        File {
            name: "coverage.csv",
            content_type: CSV,
            body: csv_files::coverage(snapshot)?,
        },
        File {
            name: "drift.csv",
            content_type: CSV,
            body: settings_csv::drift(&snapshot.settings, &snapshot.accounts, snapshot.now)?,
        },
        File {
            name: "index.html",
            content_type: "text/html; charset=utf-8",
            body: page::page(snapshot)?.into_bytes(),
        },
    ];
    let enrolment = enrolment_csv::enrolment(&snapshot.enrolment)?;
    files.extend(enrolment.map(|body| File {
        name: "enrolment.csv",
        content_type: CSV,
        body,
    }));
    Ok(files)
}
