//! Why a report was not written.

/// A report cannot be written as text.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The page.
    #[error("the page cannot be written")]
    Page(#[from] askama::Error),
    /// A CSV file.
    #[error("a CSV file cannot be written")]
    Csv(#[from] csv::Error),
    /// The last lines of a CSV file.
    #[error("the end of a CSV file cannot be written")]
    Io(#[from] std::io::Error),
}
