//! `orgkeeper alert`: trying rules and events.

use std::{
    fs,
    path::{Path, PathBuf},
};

use alerter::rules::Rules;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    alert_preview::{AssumedAccount, Preview, SilencePreview, preview},
    context::Context,
    outcome::{CommandError, Outcome},
    output::{Format, print_json},
};

const EVENT_HINT: &str = "Check the path. The repository has sample events in events/alerter/.";
const RULES_HINT: &str =
    "Check the path. The repository has sample rules in events/alerter/rules.toml.";
const JSON_HINT: &str = "Give a file with one event of EventBridge, or with the envelope of an SNS message, like \
    those in events/alerter/.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show where an event would go and what people would read, under the given rules.
    ///
    /// Nothing is sent and nothing is stored: duplicates and bursts are shown like a first alert. Without FILE only the
    /// rules are checked.
    Try(Try),
}

impl Command {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        match self {
            Self::Try(arguments) => arguments.run(context),
        }
    }
}

/// The arguments of `orgkeeper alert try`.
#[derive(Args)]
pub(crate) struct Try {
    /// The rules, a TOML file. Without it there are none.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// The name of the account, as the account directory would have it.
    #[arg(long)]
    name: Option<String>,
    /// The path of its organizational unit, for example Root/Workloads/Dev.
    #[arg(long, value_name = "PATH")]
    ou: Option<String>,
    /// The time that silences are checked at, for example 2026-06-30T12:00:00Z. Without it, now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Messages of the alerts queue: an event of EventBridge or the envelope of an SNS message each.
    #[arg(value_name = "FILE", required_unless_present = "rules")]
    events: Vec<PathBuf>,
}

/// What `orgkeeper alert try` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Faults of the rules, each with its line. With any of them the function keeps its old rules.
    rule_faults: Vec<String>,
    /// Silences without any effect.
    expired_silences: Vec<SilencePreview>,
    events: Vec<EventReport>,
}

#[derive(Serialize)]
struct EventReport {
    file: String,
    #[serde(flatten)]
    preview: Preview,
}

impl Try {
    fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let report = self.report(context.now)?;
        match context.format {
            Format::Json => print_json(&report, context.out)?,
            Format::Table => write!(context.out, "{}", self.text(&report))?,
        }
        Ok(if report.rule_faults.is_empty() {
            Outcome::Done
        } else {
            Outcome::Found
        })
    }

    fn report(&self, now: Timestamp) -> Result<Report, CommandError> {
        let now = self.at.unwrap_or(now);
        let rules = match &self.rules {
            Some(path) => Rules::parse(&read(path, RULES_HINT)?),
            None => Ok(Rules::default()),
        };
        let rules = match rules {
            Ok(rules) => rules,
            Err(refused) => {
                return Ok(Report {
                    rule_faults: refused.0,
                    expired_silences: Vec::new(),
                    events: Vec::new(),
                });
            }
        };
        let assumed = AssumedAccount {
            name: self.name.clone(),
            ou_path: self.ou.clone(),
        };
        let events = self.events.iter().map(|path| {
            let body = read(path, EVENT_HINT)?;
            let file = path.display().to_string();
            if let Err(error) = serde_json::from_str::<Value>(&body) {
                return Err(CommandError::NotJson {
                    file,
                    line: error.line(),
                    column: error.column(),
                    hint: JSON_HINT,
                });
            }
            let preview = preview(&body, &rules, &assumed, now);
            Ok(EventReport { file, preview })
        });
        Ok(Report {
            rule_faults: Vec::new(),
            expired_silences: rules.expired(now).map(SilencePreview::from).collect(),
            events: events.collect::<Result<_, _>>()?,
        })
    }

    fn text(&self, report: &Report) -> String {
        let file = self.rules.clone().unwrap_or_default();
        let file = file.display();
        let refused = (!report.rule_faults.is_empty()).then(|| {
            format!(
                "{file}: the rules are refused, and the alerter would keep its old rules. Correct these lines:\n"
            )
        });
        let faults = report.rule_faults.iter();
        let silences = report.expired_silences.iter();
        let events = report.events.iter();
        let mut text: String =
            refused
                .into_iter()
                .chain(faults.map(|fault| format!("  {fault}\n")))
                .chain(silences.map(|SilencePreview { line, until, .. }| {
                    format!("The silence in line {line} has no effect: it expired after {until}.\n")
                }))
                .chain(events.map(|EventReport { file, preview }| {
                    format!("=== {file}\n{}\n", preview.text())
                }))
                .collect();
        if text.is_empty() {
            text = format!("{file}: the rules are correct.\n");
        }
        text
    }
}

fn read(path: &Path, hint: &'static str) -> Result<String, CommandError> {
    fs::read_to_string(path).map_err(|source| CommandError::Unreadable {
        file: path.display().to_string(),
        source,
        hint,
    })
}
