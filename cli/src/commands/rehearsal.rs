//! `orgkeeper rehearsal`: outages that are rehearsed.

use aws_config::SdkConfig;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use orgkeeper_shared::aws::CallCounter;
use outage_rehearser::{
    gateway::table::RehearsalTable,
    record::{Record, State},
    setup,
};
use serde::Serialize;

use crate::{
    aws::access::Target,
    context::Context,
    outcome::{CommandError, Outcome},
    output::{Format, print_json},
    remediation::store::caller,
};

/// The most that a person takes of Organizations' rates.
const QUOTA_PERCENT: u32 = 100;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List what is known of each rehearsal: planned, attached, ended, refused.
    List(List),
    /// End a rehearsal now: its policy is detached and deleted, also if the function is broken. Without --yes it only shows it.
    End(End),
}

/// The arguments of `orgkeeper rehearsal list`.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    target: Target,
}

/// The arguments of `orgkeeper rehearsal end`.
#[derive(Args)]
pub(crate) struct End {
    /// Its id, as the list and the alerts have it, or its name.
    id: String,
    /// Do it. Without it the rehearsal is only shown.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    target: Target,
}

/// A rehearsal in a list. Its fields are only added to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'r> {
    id: &'r str,
    state: State,
    target: &'r str,
    denies: String,
    from: Timestamp,
    until: Timestamp,
    accounts: usize,
    reason: Option<&'r str>,
    policy_id: Option<&'r str>,
}

impl<'r> Row<'r> {
    fn of(record: &'r Record) -> Self {
        Self {
            id: &record.id,
            state: record.state,
            target: &record.target,
            denies: record.denial.to_string(),
            from: record.from,
            until: record.until,
            accounts: record.accounts.len(),
            reason: record.reason.as_deref(),
            policy_id: record.policy_id.as_deref(),
        }
    }

    fn text(&self) -> String {
        let reason = self.reason.map(|reason| format!(" ({reason})"));
        format!(
            "{:8}  {}  until {}  {}  denies {}{}",
            self.state.word(),
            self.id,
            self.until,
            self.target,
            self.denies,
            reason.unwrap_or_default()
        )
    }
}

#[derive(Serialize)]
struct Listed<'r> {
    rehearsals: Vec<Row<'r>>,
}

/// What `end` did, or would do.
#[derive(Serialize)]
struct Ended<'r> {
    /// Whether it was done.
    done: bool,
    #[serde(flatten)]
    rehearsal: Row<'r>,
}

impl Command {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        match self {
            Self::List(arguments) => arguments.run(context).await,
            Self::End(arguments) => arguments.run(context).await,
        }
    }
}

/// The table, and what it has: the latest rehearsal first.
async fn records(
    target: &Target,
    context: &Context<'_>,
) -> Result<(SdkConfig, RehearsalTable, Vec<Record>), CommandError> {
    let sdk = target.sdk(&context.around.aws).await?;
    let stack = target.deployed(&sdk).await?;
    let name = stack.resource("Rehearsals").ok_or_else(|| {
        let why = "the stack has no table Rehearsals. Is the rehearse flow on (RehearsalFlow=on)?";
        CommandError::NotPossible(why.to_owned())
    })?;
    let table = RehearsalTable::connect(&sdk, &CallCounter::default(), name);
    let mut records = table.records().await?;
    records.sort_by(|one, other| other.from.cmp(&one.from).then(one.id.cmp(&other.id)));
    Ok((sdk, table, records))
}

impl List {
    async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let (_, _, records) = records(&self.target, context).await?;
        let rehearsals: Vec<Row<'_>> = records.iter().map(Row::of).collect();
        match context.format {
            Format::Json => print_json(&Listed { rehearsals }, context.out)?,
            Format::Table if rehearsals.is_empty() => {
                writeln!(context.out, "There are no rehearsals.")?;
            }
            Format::Table => {
                for row in &rehearsals {
                    writeln!(context.out, "{}", row.text())?;
                }
            }
        }
        let concerns = |record: &Record| match record.state {
            State::Attached => true,
            State::Refused => record.until > context.now,
            State::Planned | State::Ended => false,
        };
        Ok(if records.iter().any(concerns) {
            Outcome::Found
        } else {
            Outcome::Done
        })
    }
}

impl End {
    async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let (sdk, table, records) = records(&self.target, context).await?;
        let record = self.chosen(&records)?;
        if self.yes {
            let by = caller(&sdk).await?;
            let ended = match record.state {
                // Its policy is looked for nevertheless: an earlier run may have been cut off.
                State::Ended => record.clone(),
                State::Planned | State::Attached | State::Refused => {
                    let why = format!("{by} ended it");
                    // First, so that the function attaches nothing any more.
                    table.store(record.clone().ended(&why, context.now)).await?
                }
            };
            let ending = setup::ending(&sdk, &CallCounter::default(), QUOTA_PERCENT);
            ending.remove_all(&ended, &ending.own().await?).await?;
            self.show(context, &ended)?;
            return Ok(Outcome::Done);
        }
        self.show(context, record)?;
        Ok(Outcome::Found)
    }

    /// The rehearsal of this id, or the only one of this name that is open.
    fn chosen<'r>(&self, records: &'r [Record]) -> Result<&'r Record, CommandError> {
        if let Some(record) = records.iter().find(|record| record.id == self.id) {
            return Ok(record);
        }
        let mut named = records
            .iter()
            .filter(|record| record.name == self.id && record.is_open());
        let problem = match (named.next(), named.next()) {
            (Some(record), None) => return Ok(record),
            (Some(_), Some(_)) => "several open rehearsals have this name. Give the id",
            (None, _) => {
                "no open rehearsal has this name or id. orgkeeper rehearsal list shows them"
            }
        };
        Err(CommandError::NotPossible(format!("{}: {problem}", self.id)))
    }

    fn show(&self, context: &mut Context<'_>, record: &Record) -> Result<(), CommandError> {
        let rehearsal = Row::of(record);
        let done = self.yes;
        match context.format {
            Format::Json => print_json(&Ended { done, rehearsal }, context.out)?,
            Format::Table => {
                writeln!(context.out, "{}", rehearsal.text())?;
                let line = if done {
                    "Its policy is detached and deleted."
                } else {
                    "Nothing was done. Add --yes to end it."
                };
                writeln!(context.out, "{line}")?;
            }
        }
        Ok(())
    }
}
