//! What `new-account-handler` would say about a file: by its own code, with its own settings.

use std::{fs, path::Path};

use aws_config::SdkConfig;
use new_account_handler::{
    check::{self, Checked},
    config::Config,
    csv::{Column, Owner, Row},
    setup::processor,
};
use orgkeeper_shared::{aws::CallCounter, vending::creation::AccountCreation};
use serde::Serialize;

use crate::{
    context::Context,
    deployed,
    outcome::{CommandError, Outcome},
    output::{Format, print_json},
};

/// What the name of the deployed function has in it.
const FUNCTION: &str = "NewAccountHandler";
const FILE_HINT: &str =
    "Check the path. The repository has a sample file: events/new-account-handler/accounts.csv.";

/// A file that is to be checked.
#[derive(Debug)]
pub struct AccountsFile {
    /// Its name, as the key of the upload.
    key: String,
    bytes: Vec<u8>,
}

impl AccountsFile {
    /// Reads the file at this path.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: &Path) -> Result<Self, CommandError> {
        let bytes = fs::read(path).map_err(|source| CommandError::Unreadable {
            file: path.display().to_string(),
            source,
            hint: FILE_HINT,
        })?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self {
            key: name.to_string_lossy().into_owned(),
            bytes,
        })
    }
}

/// Checks a file with the settings of the function with this name or, without one, of the only one.
///
/// # Errors
/// If a call fails, or the function is not found.
pub async fn check(
    file: &AccountsFile,
    sdk: &SdkConfig,
    function: Option<String>,
) -> Result<Report, CommandError> {
    let settings = deployed::settings(sdk, function, FUNCTION).await?;
    let config = Config::from_env(&|name| settings.get(name).cloned())
        .map_err(|error| CommandError::Settings(error.to_string()))?;
    let processor = processor(&config, sdk, &CallCounter::default());
    let checked = processor
        .check(&file.key, &file.bytes)
        .await
        .map_err(|error| CommandError::Aws {
            what: "the organization",
            said: error.in_words(),
        })?;
    Ok(Report::of(file, &checked, "would be accepted"))
}

/// Checks what can be checked without AWS.
#[must_use]
pub fn check_form(file: &AccountsFile, creation: AccountCreation) -> Report {
    let owner = match creation {
        AccountCreation::AccountFactory => Owner::Required,
        AccountCreation::Organizations => Owner::Optional,
    };
    let checked = check::check_form(&file.key, &file.bytes, owner);
    Report::of(file, &checked, "have no fault that shows without AWS")
}

/// What `orgkeeper accounts check` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    file: String,
    accepted: usize,
    refused: usize,
    rows: Vec<RowReport>,
    /// The results, byte by byte.
    #[serde(skip)]
    results: Vec<u8>,
    #[serde(skip)]
    has_faults: bool,
    /// What the accepted rows are.
    #[serde(skip)]
    verdict: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RowReport {
    /// The line of the file; 0 if the file as a whole is refused.
    line: usize,
    account_name: String,
    account_email: String,
    status: String,
    account_id: String,
    error_msg: String,
}

impl RowReport {
    fn of(row: &Row) -> Self {
        let cell = |column| row.get(column).to_owned();
        Self {
            line: row.line,
            account_name: cell(Column::AccountName),
            account_email: cell(Column::AccountEmail),
            status: cell(Column::Status),
            account_id: cell(Column::AccountId),
            error_msg: cell(Column::ErrorMsg),
        }
    }
}

impl Report {
    fn of(file: &AccountsFile, checked: &Checked, verdict: &'static str) -> Self {
        let counts = checked.counts;
        Self {
            file: file.key.clone(),
            accepted: counts.started + counts.in_progress + counts.done,
            refused: counts.refused,
            rows: checked.results.rows.iter().map(RowReport::of).collect(),
            results: checked.results.write(),
            has_faults: checked.has_faults(),
            verdict,
        }
    }

    /// Prints the results as they would be written, and a summary beside them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn print(&self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        match context.format {
            Format::Json => print_json(self, context.out)?,
            Format::Table => {
                context.out.write_all(&self.results)?;
                let Self {
                    file,
                    accepted,
                    refused,
                    verdict,
                    ..
                } = self;
                let rows = accepted + refused;
                let summary = match rows {
                    0 => "the file would be refused".to_owned(),
                    _ => format!("{accepted} of {rows} rows {verdict}"),
                };
                writeln!(context.err, "{file}: {summary}; nothing was started")?;
            }
        }
        Ok(if self.has_faults {
            Outcome::Found
        } else {
            Outcome::Done
        })
    }
}
