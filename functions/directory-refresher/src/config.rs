//! What the template sets.

use orgkeeper_shared::{
    enrichment::style::Style,
    ids::RoleArn,
    lambda::settings::{ConfigError, Lookup, Variables},
};

/// The function's settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// `ACCOUNT_DIRECTORY_TABLE`: the account directory's table.
    pub account_directory_table: String,
    /// `ORGANIZATIONAL_UNITS_TABLE`: the table of the names of organizational units.
    pub organizational_units_table: String,
    /// `DIRECTORY_QUEUE_URL`: the queue that the function works on, and sends its next tasks to.
    pub directory_queue_url: String,
    /// `CONTACT_ROLE_ARN`: the role in the management account that contacts are read with.
    pub contact_role: Option<RoleArn>,
    /// `QUOTA_PERCENT`: how much of its share of the published rates the function uses, in percent (default 100;
    /// 0: no pace).
    pub quota_percent: u32,
    /// `ENRICH_FINDINGS`: whether findings are kept up with the directory (`on`, the default, or `off`).
    pub enrich_findings: bool,
    /// How accounts are shown on findings.
    pub style: Style,
}

impl Config {
    /// Reads the settings by `lookup`, which gives a variable's value by its name.
    ///
    /// # Errors
    /// Names every missing or malformed variable.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let read = Variables::new(lookup);
        read.finish(Self {
            account_directory_table: read.required("ACCOUNT_DIRECTORY_TABLE"),
            organizational_units_table: read.required("ORGANIZATIONAL_UNITS_TABLE"),
            directory_queue_url: read.required("DIRECTORY_QUEUE_URL"),
            contact_role: read.optional("CONTACT_ROLE_ARN"),
            quota_percent: read.number("QUOTA_PERCENT", 100, ..),
            enrich_findings: read.switch("ENRICH_FINDINGS", true),
            style: Style::from_env(&read),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let settings = |name: &str| {
            ["QUOTA_PERCENT", "ENRICH_FINDINGS"]
                .contains(&name)
                .then(|| "half".to_owned())
        };
        let error = Config::from_env(&settings).unwrap_err().to_string();
        for name in [
            "ACCOUNT_DIRECTORY_TABLE",
            "ORGANIZATIONAL_UNITS_TABLE",
            "DIRECTORY_QUEUE_URL",
            "QUOTA_PERCENT",
            "ENRICH_FINDINGS",
        ] {
            assert!(error.contains(name), "{error}");
        }
    }
}
