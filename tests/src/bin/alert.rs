//! The dry run of the alerts' configuration: where an event would go, and what it would say.
//!
//! `cargo run --bin alert -- --rules events/alerter/rules.toml events/alerter/*.json`

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use alerter::{
    draft::Draft,
    event::Message,
    kinds::{self, Reading},
    rules::Rules,
};
use anyhow::Context;
use clap::Parser;
use jiff::Timestamp;
use orgkeeper_shared::alert::{AlertAccount, Severity};
use slack_notifier::{blocks, card::Card, message, text};

/// Shows where an event would go and what it would say, under the given rules.
///
/// Nothing is sent, and nothing is remembered: repetitions and bursts are told like the first.
#[derive(Parser)]
struct Arguments {
    /// A file with the rules (TOML); without it there are none.
    #[arg(long)]
    rules: Option<PathBuf>,
    /// The time, for silences: 2026-06-30T12:00:00Z, say; without it the present.
    #[arg(long)]
    at: Option<Timestamp>,
    /// The name that the account directory would have for the account.
    #[arg(long)]
    name: Option<String>,
    /// The organizational units that it would have: Root/Workloads/Dev, say.
    #[arg(long)]
    ou: Option<String>,
    /// Files with what comes from the alerts queue: an event of EventBridge or an envelope of SNS.
    #[arg(required_unless_present = "rules")]
    events: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(error) if closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn closed(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "without --at it is now")]
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let rules = match &arguments.rules {
        Some(path) => {
            let rules = fs::read_to_string(path).with_context(|| path.display().to_string())?;
            Rules::read(&rules).with_context(|| path.display().to_string())?
        }
        None => Rules::default(),
    };
    let mut out = io::stdout().lock();
    for silence in rules.expired(now) {
        writeln!(
            out,
            "The silence in line {} has no effect: it ended on {}.",
            silence.line, silence.until
        )?;
    }
    for path in &arguments.events {
        let event = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        writeln!(
            out,
            "=== {}\n{}",
            path.display(),
            shown(&event, &rules, arguments, now)
        )?;
    }
    Ok(())
}

fn shown(body: &str, rules: &Rules, arguments: &Arguments, now: Timestamp) -> String {
    let draft = match Message::read(body, "dry-run", now) {
        Message::Task(_) => {
            return "A task of the function's own: nothing is told of it.\n".to_owned();
        }
        Message::Event(event) => match kinds::read(&event) {
            Reading::Nothing => return "No news: nothing is told of it.\n".to_owned(),
            Reading::Tell(draft) => draft,
        },
    };
    let account = account(&draft, arguments);
    let verdict = rules.judge(&draft, account.as_ref(), now);
    let alert = draft.alert(account.as_ref(), verdict.severity);
    let mut lines = vec![
        format!("Kind:      {}", alert.kind),
        format!("Severity:  {}", word(alert.severity)),
    ];
    if let Some(silence) = verdict.silence {
        lines.push(format!(
            "Silenced:  by line {} until {}: {}",
            silence.line, silence.until, silence.reason
        ));
    } else {
        lines.push(format!("Topic:     {}", word(alert.severity)));
        for (name, topic) in rules.topics(account.as_ref(), alert.severity) {
            lines.push(format!("Route:     {name}: {topic}"));
        }
        if rules.route_by_unit() && arguments.ou.is_none() {
            lines.push("Route:     by organizational unit: say --ou to see them".to_owned());
        }
        if let Some(from) = draft.critical_from {
            lines.push(format!("Raised:    critical from no. {from} of a burst on"));
        }
    }
    lines.extend([
        format!("\nMail: {}\n", alert.subject()),
        indented(&alert.text()),
    ]);
    let posted = serde_json::to_string(&alert).unwrap_or_default();
    let posted = message::Message::read(&posted, "dry-run", now);
    let posted = text::text(&blocks::message(&Card::of(&posted)));
    lines.extend([
        "\nSlack:\n".to_owned(),
        indented(posted.trim_end()),
        String::new(),
    ]);
    lines.join("\n")
}

fn account(draft: &Draft, arguments: &Arguments) -> Option<AlertAccount> {
    Some(AlertAccount {
        id: Some(draft.account.clone()?),
        name: arguments.name.clone(),
        ou_path: arguments.ou.clone(),
    })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("    {line}").trim_end().to_owned())
        .collect();
    lines.join("\n")
}
