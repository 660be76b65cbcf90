//! A record as people and programs read it.

use jiff::Timestamp;
use orgkeeper_shared::remediation::{
    breaker::Breaker,
    difference::changes,
    record::{HistoryEntry, Record, Status, asking::Request, waiting::WaitFor},
    target::name_of,
};
use serde::Serialize;
use serde_json::Value;

use crate::output::since;

/// A record in a list. Its fields are only added to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The id by which people name it.
    pub id: String,
    /// Its key in the table.
    pub key: String,
    /// What became of it.
    pub status: Status,
    /// What it waits for, if it waits.
    pub waits_for: Option<WaitFor>,
    /// Until when, or when it is looked at again.
    pub waits_until: Option<Timestamp>,
    /// The account that owns the resource.
    pub account: String,
    /// The Region.
    pub region: String,
    /// The control.
    pub control: String,
    /// The resource.
    pub resource: String,
    /// When the control was last found to fail.
    pub last_seen_at: Timestamp,
    /// When its suppression ends.
    pub suppressed_until: Option<String>,
    /// Whether a fix can be undone.
    pub undoable: bool,
    /// Why it has its status.
    pub reason: Option<String>,
}

impl Row {
    /// The row of a record.
    #[must_use]
    pub fn of(record: &Record, now: Timestamp) -> Self {
        Self {
            id: record.id(),
            key: record.key.clone(),
            status: record.status,
            waits_for: record.waiting,
            waits_until: record.waiting.and_then(|_| record.waits_until()),
            account: record.account.to_string(),
            region: record.region.clone(),
            control: record.control.clone(),
            resource: record.resource.clone(),
            last_seen_at: record.last_seen_at,
            suppressed_until: record.until.map(|until| until.to_string()),
            undoable: record.undoable(now).is_ok(),
            reason: record.reason.clone(),
        }
    }

    /// Its status, and what it waits for.
    fn state(&self) -> String {
        let word = self.status.word();
        match self.waits_for {
            // That it was refused is about to be published.
            Some(_) if self.status == Status::Declined => word.to_owned(),
            Some(WaitFor::Answer) => "WAITING for an answer".to_owned(),
            Some(WaitFor::Window) => "WAITING for its window".to_owned(),
            Some(WaitFor::Start) => "WAITING to start".to_owned(),
            Some(WaitFor::Breaker) => format!("{word}, held"),
            Some(WaitFor::Needs | WaitFor::Alert) | None => word.to_owned(),
        }
    }

    fn until(&self) -> String {
        let waits = match self.waits_for {
            Some(WaitFor::Answer | WaitFor::Window) => self.waits_until,
            _ => None,
        };
        let until = waits.map(|until| until.to_string());
        until.or(self.suppressed_until.clone()).unwrap_or_default()
    }
}

/// The records of a table that are listed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List {
    /// The records.
    pub remediations: Vec<Row>,
    /// What the circuit breaker has stopped: accounts, or all.
    pub stopped: Vec<String>,
    /// How many records cannot be read.
    pub unreadable: usize,
}

impl List {
    /// These records, sorted, with the state of the circuit breaker.
    #[must_use]
    pub fn of(records: &[Record], breaker: &Breaker, unreadable: usize, now: Timestamp) -> Self {
        let mut remediations: Vec<Row> = records.iter().map(|it| Row::of(it, now)).collect();
        let place = |row: &Row| Status::ALL.iter().position(|status| *status == row.status);
        remediations.sort_by_key(|row| {
            let waits = row.waits_for.is_none();
            (waits, place(row), row.key.clone())
        });
        Self {
            remediations,
            stopped: breaker.stopped.keys().cloned().collect(),
            unreadable,
        }
    }

    /// The list as text for people.
    #[must_use]
    pub fn text(&self, now: Timestamp) -> String {
        let header = [
            "ID",
            "STATUS",
            "CONTROL",
            "ACCOUNT",
            "RESOURCE",
            "LAST SEEN",
            "UNTIL",
        ];
        let mut rows = vec![header.map(str::to_owned)];
        rows.extend(self.remediations.iter().map(|row| {
            let ago = now.duration_since(row.last_seen_at).as_secs();
            [
                row.id.clone(),
                row.state(),
                row.control.clone(),
                row.account.clone(),
                name_of(&row.resource).to_owned(),
                format!("{} ago", since(u64::try_from(ago).unwrap_or_default())),
                row.until(),
            ]
        }));
        let mut lines = if self.remediations.is_empty() {
            vec!["There is nothing.".to_owned()]
        } else {
            columns(&rows)
        };
        for scope in &self.stopped {
            let (what, option) = match scope.as_str() {
                "all" => ("all accounts".to_owned(), String::new()),
                account => (
                    format!("account {account}"),
                    format!(" --account {account}"),
                ),
            };
            lines.push(format!(
                "Stopped:  {what}. To do: orgkeeper remediation resume{option}"
            ));
        }
        if self.unreadable > 0 {
            lines.push(format!("Not read: {} records", self.unreadable));
        }
        lines.join("\n") + "\n"
    }
}

/// Rows in columns.
#[must_use]
pub fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let widths: [usize; N] = std::array::from_fn(|place| {
        let widths = rows.iter().map(|row| row[place].chars().count());
        widths.max().unwrap_or_default()
    });
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(widths);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

/// Everything about a record.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Whole {
    /// What a list says of it.
    #[serde(flatten)]
    pub row: Row,
    /// The state before.
    pub before: Option<Value>,
    /// The state after, or as it would be.
    pub after: Option<Value>,
    /// The difference, in words.
    pub changes: Vec<String>,
    /// The control that has to be fixed first.
    pub needs: Option<String>,
    /// Who made the resource as it is.
    pub actor: Option<String>,
    /// The last attempt.
    pub attempt: u32,
    /// The execution that reported last.
    pub execution: Option<String>,
    /// What a person was asked last, and the answer.
    pub request: Option<Asked>,
    /// What happened, the newest last.
    pub history: Vec<Event>,
}

/// What a person was asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// When.
    pub asked_at: Timestamp,
    /// Until when an answer counts.
    pub until: Timestamp,
    /// The answer.
    pub approved: Option<bool>,
    /// Who answered.
    pub by: Option<String>,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let answer = request.answer.as_ref();
        Self {
            asked_at: request.asked_at,
            until: request.until,
            approved: answer.map(|answer| answer.approved),
            by: answer.map(|answer| answer.by.clone()),
        }
    }
}

/// Something that happened.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: String,
    /// What came of it.
    pub outcome: Option<String>,
    /// Who asked for it.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Event {
    fn of(entry: &HistoryEntry) -> Self {
        let what = serde_json::to_value(entry.what).unwrap_or_default();
        Self {
            at: entry.at,
            what: what.as_str().unwrap_or_default().to_owned(),
            outcome: entry.outcome.clone(),
            by: entry.by.clone(),
            reason: entry.reason.clone(),
        }
    }

    fn text(&self) -> String {
        let what = self.what.to_lowercase().replace('_', " ");
        let outcome = self.outcome.as_ref().map(|it| format!(": {it}"));
        let by = self.by.as_ref().map(|it| format!(" by {it}"));
        let reason = self.reason.as_ref().map(|it| format!(" ({it})"));
        let parts = [outcome, by, reason].map(Option::unwrap_or_default);
        format!("{}  {what}{}", self.at, parts.concat())
    }
}

impl Whole {
    /// Everything about a record.
    #[must_use]
    pub fn of(record: &Record, now: Timestamp) -> Self {
        let state = |text: &Option<String>| serde_json::from_str(text.as_deref()?).ok();
        let (before, after): (Option<Value>, Option<Value>) =
            (state(&record.before), state(&record.after));
        Self {
            row: Row::of(record, now),
            changes: changes(before.as_ref(), after.as_ref()),
            before,
            after,
            needs: record.needs.clone(),
            actor: record.actor.clone(),
            attempt: record.attempt,
            execution: record.execution.clone(),
            request: record.request.as_ref().map(Asked::of),
            history: record.history.iter().map(Event::of).collect(),
        }
    }

    /// It as text for people.
    #[must_use]
    pub fn text(&self) -> String {
        let row = &self.row;
        let mut facts = vec![
            ("Id", row.id.clone()),
            ("Status", row.state()),
            ("Control", row.control.clone()),
            ("Account", row.account.clone()),
            ("Region", row.region.clone()),
            ("Resource", row.resource.clone()),
        ];
        let request = self
            .request
            .as_ref()
            .map(|asked| match (&asked.by, asked.approved) {
                (Some(by), Some(true)) => format!("approved by {by}"),
                (Some(by), _) => format!("refused by {by}"),
                (None, _) => format!("an answer counts until {}", asked.until),
            });
        let optional = [
            ("Until", Some(row.until()).filter(|until| !until.is_empty())),
            ("Why", row.reason.clone()),
            ("Needs", self.needs.clone()),
            ("Made so by", self.actor.clone()),
            ("Request", request),
            ("Execution", self.execution.clone()),
            (
                "Undo",
                row.undoable
                    .then(|| format!("orgkeeper remediation undo {}", row.id)),
            ),
        ];
        let optional = optional.into_iter();
        facts.extend(optional.filter_map(|(label, text)| Some((label, text?))));
        let mut lines: Vec<String> = facts
            .iter()
            .map(|(label, text)| format!("{:11} {text}", format!("{label}:")))
            .collect();
        lines.extend(self.change_lines());
        lines.push("History:".to_owned());
        lines.extend(
            self.history
                .iter()
                .map(|event| format!("  {}", event.text())),
        );
        lines.join("\n") + "\n"
    }

    /// The change, before and after.
    #[must_use]
    pub fn change_lines(&self) -> Vec<String> {
        if self.changes.is_empty() {
            return Vec::new();
        }
        let changes = self.changes.iter().map(|change| format!("  {change}"));
        std::iter::once("Changes:".to_owned())
            .chain(changes)
            .collect()
    }
}
