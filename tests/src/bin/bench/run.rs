//! Starts the functions as they were built, with the variables that the template gives them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use orgkeeper_tests::{
    dynamodb::ACCOUNT_DIRECTORY,
    runtime_api::Function,
    template::{FunctionSettings, Template},
    wire::Wire,
};

/// How long each AWS call takes.
pub(crate) const AWS_CALL: Duration = Duration::from_millis(10);
/// Runs of which the median is reported.
pub(crate) const RUNS: usize = 9;

/// What one start and its invocations took.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) cold_start: Duration,
    pub(crate) billed: Duration,
    pub(crate) calls: usize,
    pub(crate) peak_memory: u64,
}

/// The functions as they were built, and the template that configures them.
pub(crate) struct Build {
    pub(crate) folder: PathBuf,
    pub(crate) template: Template,
}

/// A function's binary, and what the template sets for it.
pub(crate) struct Binary {
    path: PathBuf,
    /// The size of its zip, in bytes.
    pub(crate) zip: u64,
    pub(crate) settings: FunctionSettings,
}

impl Build {
    /// What is in this folder.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            template: Template::load("template.yaml")?,
        })
    }

    /// The function of that folder in `functions/` and that logical id in the template.
    pub(crate) fn function(&self, name: &str, logical_id: &str) -> Result<Binary> {
        let zip = self.folder.join(format!("{name}.zip"));
        Ok(Binary {
            path: self.folder.join(name).join("bootstrap"),
            zip: std::fs::metadata(&zip)
                .with_context(|| format!("{} cannot be read", zip.display()))?
                .len(),
            settings: self.template.function(logical_id)?,
        })
    }
}

/// The setting that switches the pace off.
pub(crate) const NO_PACE: (&str, &str) = ("QUOTA_PERCENT", "0");

/// Starts a function whose AWS calls go to `wire`. Its variables are those of the template, and `more`.
pub(crate) async fn start(binary: &Binary, wire: &Wire, more: &[(&str, &str)]) -> Result<Function> {
    let usual = [
        ("ACCOUNT_DIRECTORY_TABLE", ACCOUNT_DIRECTORY),
        ("AWS_ENDPOINT_URL", wire.url()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "111111111111"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_SESSION_TOKEN", "test"),
    ];
    let mut variables = binary.settings.variables.clone();
    variables.extend(
        usual
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    Function::start(
        &binary.path,
        &variables,
        binary.settings.memory,
        binary.settings.timeout,
    )
    .await
}

#[expect(
    clippy::disallowed_methods,
    reason = "the directory's entries must not be expired by the function's own clock"
)]
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
