//! The files of a survey: what faces the internet, what was read, and one page about both.
//!
//! * [`snapshot`]: everything that they are written from. [`csv_files`]: the CSV files. [`page`]: the HTML page;
//!   [`chart`]: its charts.

pub mod chart;
pub mod csv_files;
pub mod page;
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

/// The files of a report. What has no data is left out, and the page says so.
///
/// # Errors
/// If one cannot be written.
pub fn files(snapshot: &snapshot::Snapshot) -> Result<Vec<File>, ReportError> {
    const CSV: &str = "text/csv; charset=utf-8";
    Ok(vec![
        File {
            name: "exposure.csv",
            content_type: CSV,
            body: csv_files::exposure(snapshot)?,
        },
        File {
            name: "coverage.csv",
            content_type: CSV,
            body: csv_files::coverage(snapshot)?,
        },
        File {
            name: "index.html",
            content_type: "text/html; charset=utf-8",
            body: page::page(snapshot)?.into_bytes(),
        },
    ])
}

/// Files of a report that have no data yet, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    (
        "routes.csv",
        "routes are read to decide what can be reached, and are not kept",
    ),
    (
        "drift.csv",
        "settings are not compared with posture.toml yet",
    ),
    (
        "enrolment.csv",
        "accounts outside Control Tower are not examined yet",
    ),
];

/// What no survey looks at, so that nobody takes its absence for safety.
pub const NOT_LOOKED_AT: &[&str] = &[
    "Global Accelerator, CloudFront, API Gateway, App Runner and Lightsail: they have no interface in the account",
    "OpenSearch, MSK and EKS endpoints, and Redshift, with public access",
    "S3 buckets, snapshots and images that are shared with everybody",
    "what is behind a load balancer, and which rules its listeners have",
    "network ACLs and firewalls of a VPC or of an instance",
    "what other accounts reach by peering, transit gateways, VPN or PrivateLink",
];
