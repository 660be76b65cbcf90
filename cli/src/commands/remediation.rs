//! `orgkeeper remediation`: fixes of findings.

use std::{collections::HashMap, path::PathBuf};

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use jiff::Timestamp;
use orgkeeper_shared::{
    account_directory::{entry::AccountEntry, table::DirectoryTable},
    aws::{CallCounter, client},
    ids::AccountId,
    remediation::{
        archive::ArchiveTask,
        planning::PlanningTask,
        record::{Record, Status, asking::Judged},
    },
};
use remediation_planner::{
    active_playbook::{ActivePlaybook, NoPlaybook},
    playbook::{Mode, Playbook},
};
use serde::Serialize;

use crate::{
    aws::access::Target,
    context::Context,
    deployed,
    outcome::{CommandError, Outcome},
    output::{Format, print_json},
    remediation::{
        plan::{Basis, Plan, accounts_of},
        store::{Store, caller},
        view::{List, Whole},
    },
    stack::Stack,
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List what is known: open, waiting, held, exempt, fixed.
    List(ListArguments),
    /// Show everything about one: the change before and after, its request, its history.
    Show(One),
    /// Print what would be done now if the mode were auto, by control and organizational unit.
    Plan(PlanArguments),
    /// Allow a fix that a person is asked about. Without --yes it only shows the change.
    Approve(Change),
    /// Refuse a fix that a person is asked about. Without --yes it only shows the change.
    Refuse(Change),
    /// Restore what was before a fix, as long as the resource is as the fix left it. Without --yes it only shows the change.
    Undo(Change),
    /// Let the fixes start that the circuit breaker holds. Without --yes it only shows what is stopped.
    Resume(Resume),
}

/// The arguments of `orgkeeper remediation list`.
#[derive(Args)]
pub(crate) struct ListArguments {
    /// Only those with this status; can be given several times.
    #[arg(long, value_name = "STATUS", value_parser = PossibleValuesParser::new(Status::ALL.map(Status::word)))]
    status: Vec<String>,
    /// Only those that wait for something.
    #[arg(long)]
    waiting: bool,
    /// Only those of this account.
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Only those of this control.
    #[arg(long, value_name = "ID")]
    control: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// The arguments of a command about one.
#[derive(Args)]
pub(crate) struct One {
    /// Its id, as the list and the alerts have it.
    id: String,
    #[command(flatten)]
    target: Target,
}

/// The arguments of `orgkeeper remediation plan`.
#[derive(Args)]
pub(crate) struct PlanArguments {
    /// A playbook that is not uploaded yet. Without it, the one in force.
    #[arg(long, value_name = "FILE")]
    playbook: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

/// The arguments of a command that changes one.
#[derive(Args)]
pub(crate) struct Change {
    #[command(flatten)]
    one: One,
    /// Do it. Without it the change is only shown.
    #[arg(long)]
    yes: bool,
}

/// The arguments of `orgkeeper remediation resume`.
#[derive(Args)]
pub(crate) struct Resume {
    /// Only this account. Without it, everything that is stopped.
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Do it. Without it, what is stopped is only shown.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    target: Target,
}

/// What a command did, or would do.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'r> {
    /// Whether it was done.
    done: bool,
    /// What was done, or would be.
    what: &'r str,
    #[serde(flatten)]
    about: &'r Whole,
}

impl Command {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        match self {
            Self::List(arguments) => arguments.run(context).await,
            Self::Show(arguments) => arguments.run(context).await,
            Self::Plan(arguments) => arguments.run(context).await,
            Self::Approve(arguments) => arguments.judge(context, true).await,
            Self::Refuse(arguments) => arguments.judge(context, false).await,
            Self::Undo(arguments) => arguments.undo(context).await,
            Self::Resume(arguments) => arguments.run(context).await,
        }
    }
}

impl ListArguments {
    async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let sdk = self.target.sdk(&context.around.aws).await?;
        let store = Store::of(&sdk, &self.target.deployed(&sdk).await?)?;
        let (mut records, unreadable) = store.all().await?;
        records.retain(|record| self.wants(record));
        let list = List::of(
            &records,
            &store.table.breaker().await?,
            unreadable,
            context.now,
        );
        match context.format {
            Format::Json => print_json(&list, context.out)?,
            Format::Table => write!(context.out, "{}", list.text(context.now))?,
        }
        let something = !list.stopped.is_empty() || unreadable > 0;
        let waits = list.remediations.iter().any(|row| row.waits_for.is_some());
        Ok(if something || waits {
            Outcome::Found
        } else {
            Outcome::Done
        })
    }

    fn wants(&self, record: &Record) -> bool {
        let status = || self.status.iter().any(|it| it == record.status.word());
        let control = |control: &String| record.control.eq_ignore_ascii_case(control);
        (self.status.is_empty() || status())
            && (!self.waiting || record.waiting.is_some())
            && self.account.as_ref().is_none_or(|it| *it == record.account)
            && self.control.as_ref().is_none_or(control)
    }
}

impl One {
    async fn find(
        &self,
        context: &Context<'_>,
    ) -> Result<(aws_config::SdkConfig, Store, Record), CommandError> {
        let sdk = self.target.sdk(&context.around.aws).await?;
        let store = Store::of(&sdk, &self.target.deployed(&sdk).await?)?;
        let record = store.by_id(&self.id).await?;
        Ok((sdk, store, record))
    }

    async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let (_, _, record) = self.find(context).await?;
        let whole = Whole::of(&record, context.now);
        match context.format {
            Format::Json => print_json(&whole, context.out)?,
            Format::Table => write!(context.out, "{}", whole.text())?,
        }
        Ok(Outcome::Done)
    }
}

impl PlanArguments {
    async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        const PLANNER: &str = "RemediationPlanner";
        let sdk = self.target.sdk(&context.around.aws).await?;
        let stack = self.target.deployed(&sdk).await?;
        let store = Store::of(&sdk, &stack)?;
        let name = stack.resource(PLANNER).map(str::to_owned);
        let settings = deployed::settings(&sdk, name, PLANNER).await?;
        let (playbook, version) = match &self.playbook {
            Some(file) => (read(file)?, file.display().to_string()),
            None => in_force(&sdk, &settings, context.now).await?,
        };
        let (records, _) = store.all().await?;
        let entries = entries(&sdk, &stack, &records).await?;
        let protected = settings
            .get("PROTECTED_ACCOUNTS")
            .map_or("", String::as_str);
        let protected = protected.split(',').filter_map(|it| it.parse().ok());
        let breaker = store.table.breaker().await?;
        let basis = Basis {
            playbook: &playbook,
            ceiling: Mode::Auto,
            protected: &protected.collect::<Vec<_>>(),
            entries: &entries,
            breaker: &breaker,
            now: context.now,
        };
        let plan = Plan::of(&records, &basis, version);
        match context.format {
            Format::Json => print_json(&plan, context.out)?,
            Format::Table => write!(context.out, "{}", plan.text())?,
        }
        Ok(if plan.groups.is_empty() {
            Outcome::Done
        } else {
            Outcome::Found
        })
    }
}

fn read(file: &PathBuf) -> Result<Playbook, CommandError> {
    let text = std::fs::read_to_string(file).map_err(|source| CommandError::Unreadable {
        file: file.display().to_string(),
        source,
        hint: "Give the path of a playbook",
    })?;
    Playbook::parse(&text).map_err(|error| CommandError::NotPossible(error.to_string()))
}

/// The playbook in force, and its version.
async fn in_force(
    sdk: &aws_config::SdkConfig,
    settings: &HashMap<String, String>,
    now: Timestamp,
) -> Result<(Playbook, String), CommandError> {
    let bucket = settings.get("PLAYBOOK_BUCKET").cloned();
    let bucket =
        bucket.ok_or_else(|| CommandError::Settings("it has no PLAYBOOK_BUCKET".to_owned()))?;
    let calls = CallCounter::default();
    let active = ActivePlaybook::new(client!(aws_sdk_s3, sdk, calls), bucket);
    match active.in_force(now).await {
        Ok(in_force) => Ok((in_force.file.as_ref().clone(), in_force.version.clone())),
        Err(NoPlaybook::Call(_, error)) => Err(CommandError::Aws {
            what: "the playbook",
            said: error.to_string(),
        }),
        Err(error) => Err(CommandError::NotPossible(error.to_string())),
    }
}

/// What the directory has about the accounts of these records.
async fn entries(
    sdk: &aws_config::SdkConfig,
    stack: &Stack,
    records: &[Record],
) -> Result<HashMap<AccountId, AccountEntry>, CommandError> {
    let name = stack.resource("AccountDirectory");
    let name = name.ok_or(CommandError::NotInStack {
        what: "table AccountDirectory",
    })?;
    let calls = CallCounter::default();
    let directory = DirectoryTable::new(client!(aws_sdk_dynamodb, sdk, calls), name.to_owned());
    let mut entries = HashMap::new();
    for (account, entry) in directory.read(&accounts_of(records)).await {
        let entry = entry.map_err(|error| CommandError::Aws {
            what: "the account directory",
            said: error.to_string(),
        })?;
        entries.insert(account, entry);
    }
    Ok(entries)
}

impl Change {
    /// Shows what is done, or would be.
    fn show(
        context: &mut Context<'_>,
        what: &str,
        record: &Record,
        done: bool,
    ) -> Result<(), CommandError> {
        let about = &Whole::of(record, context.now);
        match context.format {
            Format::Json => print_json(&Report { done, what, about }, context.out)?,
            Format::Table => {
                let row = &about.row;
                writeln!(
                    context.out,
                    "{what}: {} on {} in {} ({})",
                    row.control, row.resource, row.account, row.id
                )?;
                for line in about.change_lines() {
                    writeln!(context.out, "{line}")?;
                }
                if !done {
                    writeln!(context.out, "Nothing was done. Add --yes to do it.")?;
                }
            }
        }
        Ok(())
    }

    async fn judge(
        self,
        context: &mut Context<'_>,
        approved: bool,
    ) -> Result<Outcome, CommandError> {
        let (sdk, store, record) = self.one.find(context).await?;
        let request = record
            .request
            .as_ref()
            .filter(|_| record.waits_for_answer());
        let Some(request) = request else {
            let answer = record.request.as_ref().and_then(|it| it.answer.as_ref());
            return Err(CommandError::NotPossible(match answer {
                Some(answer) => answered(answer.approved, &answer.by),
                None => format!(
                    "nobody is asked about {}: it is {}",
                    self.one.id,
                    record.status.word()
                ),
            }));
        };
        let what = if approved { "Approve" } else { "Refuse" };
        if !self.yes {
            Self::show(context, what, &record, false)?;
            return Ok(Outcome::Found);
        }
        let by = caller(&sdk).await?;
        let judged = store
            .table
            .judge(&record.key, request.until, approved, &by, context.now)
            .await?;
        match judged {
            Judged::Now => {}
            // The same once more: its message may not have been sent.
            Judged::Before(answer) if answer.approved == approved && answer.by == by => {}
            Judged::Before(answer) => {
                return Err(CommandError::NotPossible(answered(
                    answer.approved,
                    &answer.by,
                )));
            }
            Judged::Expired | Judged::NotAsked => {
                return Err(CommandError::NotPossible(
                    "the time for an answer is over. Nothing was changed".to_owned(),
                ));
            }
        }
        let key = record.key.clone();
        store.archive(&ArchiveTask::Answered { key }).await?;
        Self::show(context, what, &record, true)?;
        Ok(Outcome::Done)
    }

    async fn undo(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let (sdk, store, record) = self.one.find(context).await?;
        if let Err(why) = record.undoable(context.now) {
            return Err(CommandError::NotPossible(format!(
                "nothing can be undone: {why}"
            )));
        }
        if !self.yes {
            Self::show(context, "Undo", &record, false)?;
            return Ok(Outcome::Found);
        }
        let by = caller(&sdk).await?;
        let key = record.key.clone();
        store.plan(&PlanningTask::Undo { key, by }).await?;
        Self::show(context, "Undo", &record, true)?;
        Ok(Outcome::Done)
    }
}

fn answered(approved: bool, by: &str) -> String {
    let word = if approved { "approved" } else { "refused" };
    format!("it was {word} by {by} before")
}

/// What `resume` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resumed {
    done: bool,
    stopped: Vec<String>,
}

impl Resume {
    async fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let sdk = self.target.sdk(&context.around.aws).await?;
        let store = Store::of(&sdk, &self.target.deployed(&sdk).await?)?;
        let account = self.account.as_ref();
        let stopped = if self.yes {
            let by = caller(&sdk).await?;
            let resumed = store.table.resume(account, &by, context.now).await?;
            // Also if nothing is stopped any more: the message of an earlier run may not have been sent.
            let since = context.now;
            store.archive(&ArchiveTask::LookAtHeld { since }).await?;
            resumed
        } else {
            let breaker = store.table.breaker().await?;
            let is_meant = |scope: &&String| account.is_none_or(|it| it.as_str() == scope.as_str());
            breaker.stopped.keys().filter(is_meant).cloned().collect()
        };
        let report = Resumed {
            done: self.yes,
            stopped,
        };
        match context.format {
            Format::Json => print_json(&report, context.out)?,
            Format::Table => {
                let listed = report.stopped.join(", ");
                match (report.stopped.is_empty(), report.done) {
                    (true, _) => writeln!(context.out, "Nothing is stopped.")?,
                    (false, true) => writeln!(context.out, "Resumed: {listed}")?,
                    (false, false) => writeln!(
                        context.out,
                        "Stopped: {listed}\nNothing was done. Add --yes to resume it."
                    )?,
                }
            }
        }
        Ok(if report.done || report.stopped.is_empty() {
            Outcome::Done
        } else {
            Outcome::Found
        })
    }
}
