//! What the planner would do about each record now, by its own code.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use orgkeeper_shared::{
    account_directory::entry::AccountEntry,
    ids::AccountId,
    remediation::{
        breaker::Breaker,
        control::{Control, control},
        record::{Record, Status, today},
    },
};
use remediation_planner::{
    decision::{Decision, Ignored, Lookup, Rules, control_to_decide, decide},
    finding::{Finding, Resource},
    playbook::{Mode, Playbook},
    targets::targets_of,
};
use serde::Serialize;

use super::view::columns;

/// What would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Would {
    /// It would be fixed.
    Fix,
    /// A person would be asked.
    Ask,
    /// It would wait for its change window.
    Wait,
    /// The circuit breaker would hold it.
    Held,
    /// It would only be observed.
    Observe,
    /// The playbook exempts it.
    Exempt,
    /// Its findings would be suppressed.
    Suppress,
    /// It was undone, or is left open.
    Left,
    /// Nothing would be done.
    Nothing,
}

const COLUMNS: [(Would, &str); 9] = [
    (Would::Fix, "FIX"),
    (Would::Ask, "ASK"),
    (Would::Wait, "WAIT"),
    (Would::Held, "HELD"),
    (Would::Observe, "OBSERVE"),
    (Would::Exempt, "EXEMPT"),
    (Would::Suppress, "SUPPRESS"),
    (Would::Left, "LEFT"),
    (Would::Nothing, "NOTHING"),
];

/// What the planner decides with.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// The playbook.
    pub playbook: &'a Playbook,
    /// The most that is done.
    pub ceiling: Mode,
    /// The accounts in which nothing is changed.
    pub protected: &'a [AccountId],
    /// The organization's accounts.
    pub entries: &'a HashMap<AccountId, AccountEntry>,
    /// The circuit breaker.
    pub breaker: &'a Breaker,
    /// The time.
    pub now: Timestamp,
}

/// The records of a control in a unit, counted by what would be done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The control.
    pub control: String,
    /// The organizational unit.
    pub unit: String,
    /// How many, by what would be done.
    pub counts: BTreeMap<Would, usize>,
}

/// What would be done now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The version of the playbook, or its file.
    pub playbook: String,
    /// By control and unit.
    pub groups: Vec<Group>,
    /// All of them.
    pub total: BTreeMap<Would, usize>,
}

impl Plan {
    /// What would be done about these records; those that are fixed or gone are left out.
    #[must_use]
    pub fn of(records: &[Record], basis: &Basis<'_>, playbook: String) -> Self {
        let mut groups: BTreeMap<(String, String), BTreeMap<Would, usize>> = BTreeMap::new();
        let mut total = BTreeMap::new();
        for record in records {
            let done = matches!(
                record.status,
                Status::Fixed | Status::AlreadyCompliant | Status::NotApplicable
            );
            if done {
                continue;
            }
            let entry = basis.entries.get(&record.account);
            let unit = entry.map_or_else(|| "?".to_owned(), |entry| entry.ou_path.to_string());
            let would = would(record, basis);
            *total.entry(would).or_default() += 1;
            let group = groups.entry((record.control.clone(), unit)).or_default();
            *group.entry(would).or_default() += 1;
        }
        let groups = groups.into_iter();
        Self {
            playbook,
            groups: groups
                .map(|((control, unit), counts)| Group {
                    control,
                    unit,
                    counts,
                })
                .collect(),
            total,
        }
    }

    /// It as text for people.
    #[must_use]
    pub fn text(&self) -> String {
        let used: Vec<(Would, &str)> = COLUMNS
            .into_iter()
            .filter(|(would, _)| self.total.contains_key(would))
            .collect();
        if used.is_empty() {
            return format!("Playbook: {}\nThere is nothing to do.\n", self.playbook);
        }
        let counts = |counts: &BTreeMap<Would, usize>| -> String {
            let cells = used.iter().map(|(would, _)| {
                let count = counts.get(would).copied().unwrap_or_default();
                format!("{count:>8}")
            });
            cells.collect()
        };
        let names = used.iter().map(|(_, name)| format!("{name:>8}"));
        let header = names.collect::<Vec<_>>().concat();
        let mut rows = vec![["CONTROL".to_owned(), "UNIT".to_owned(), header]];
        rows.extend(self.groups.iter().map(|group| {
            [
                group.control.clone(),
                group.unit.clone(),
                counts(&group.counts),
            ]
        }));
        rows.push(["all".to_owned(), String::new(), counts(&self.total)]);
        let mut lines = vec![format!("Playbook: {}", self.playbook)];
        lines.extend(columns(&rows));
        lines.join("\n") + "\n"
    }
}

/// What would be done about a record, if its finding is still open.
fn would(record: &Record, basis: &Basis<'_>) -> Would {
    let rules = Rules {
        playbook: basis.playbook,
        ceiling: basis.ceiling,
        today: today(basis.now),
        now: basis.now,
        protected: basis.protected,
    };
    let (Some(control), Some(finding)) = (control(&record.control), finding_of(record)) else {
        return Would::Nothing;
    };
    match decision(&finding, control, basis, &rules) {
        Decision::Ignore(Ignored::Exempt { .. }) => Would::Exempt,
        Decision::Ignore(_) | Decision::Refused(_) => Would::Nothing,
        Decision::Observe { .. } => Would::Observe,
        Decision::Suppress { .. } => Would::Suppress,
        Decision::Fix { conditions, .. } | Decision::Ask { conditions, .. }
            if record.left_at.is_some() && conditions.again_before <= record.left_at =>
        {
            Would::Left
        }
        Decision::Ask { .. } => Would::Ask,
        Decision::Fix { conditions, .. } if conditions.opens_at.is_some() => Would::Wait,
        Decision::Fix { .. } if basis.breaker.stops(&record.account).is_some() => Would::Held,
        Decision::Fix { .. } => Would::Fix,
    }
}

fn decision(
    finding: &Finding,
    control: &'static Control,
    basis: &Basis<'_>,
    rules: &Rules<'_>,
) -> Decision {
    if let Err(ignored) = control_to_decide(finding, rules) {
        return Decision::Ignore(ignored);
    }
    let entry = basis.entries.get(&finding.account);
    let account = entry.map_or(Lookup::Missing, Lookup::Entry);
    // There is one at least.
    let candidates = targets_of(finding, control);
    let decided = candidates.first();
    decided.map_or(Decision::Ignore(Ignored::NoControl), |candidate| {
        decide(finding, control, candidate, account, rules)
    })
}

/// The finding that a record is about, as far as it matters.
fn finding_of(record: &Record) -> Option<Finding> {
    let some = |text: &str| Some(text.to_owned());
    Some(Finding {
        id: record.findings.first()?.clone(),
        account: record.account.clone(),
        region: record.region.clone(),
        record_state: some("ACTIVE"),
        workflow_status: some("NEW"),
        compliance_status: some("FAILED"),
        control_id: Some(record.control.clone()),
        parameters: BTreeMap::new(),
        generator_id: format!("security-control/{}", record.control),
        product_fields: BTreeMap::new(),
        resources: vec![Resource {
            id: record.resource.clone(),
            tags: record.tags.clone(),
            ..Resource::default()
        }],
        actor: None,
        bare: false,
        ordered: false,
        sent_at: String::new(),
        updated_at: None,
    })
}

/// The accounts of these records.
#[must_use]
pub fn accounts_of(records: &[Record]) -> BTreeSet<AccountId> {
    records
        .iter()
        .map(|record| record.account.clone())
        .collect()
}
