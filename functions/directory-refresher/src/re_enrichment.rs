//! Re-enriches the findings of a group of accounts: reads them page by page, and updates those that show something
//! else than their account's entry.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use orgkeeper_shared::{
    account_directory::{
        entry::AccountEntry,
        table::DirectoryTable,
        task::{Findings, Progress, Task},
    },
    aws_error::{AwsCallError, AwsErrorClass},
    enrichment::{
        plan::{plan, smallest},
        style::Style,
        write::write,
    },
    ids::{AccountId, FindingId},
    lambda::Time,
    security_hub::{Finding, FindingPage, SecurityHub, UpdateError},
};
use tokio::time::Instant;

use crate::outcome::{Counts, Done, RefreshError, add, token_expired};

/// Findings that are planned together: enough that those of an account share calls, few enough for a small memory.
const FINDINGS_AT_ONCE: usize = 800;
/// The time that is kept to update the findings that were read.
const TIME_TO_UPDATE: Duration = Duration::from_secs(12);

/// What [`Task::ReEnrich`] says.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) accounts: Vec<AccountId>,
    pub(crate) needed_since: Option<i64>,
    pub(crate) findings: Findings,
    pub(crate) progress: Progress,
}

impl Step {
    /// The task that goes on from here.
    fn task(&self) -> Task {
        Task::ReEnrich {
            accounts: self.accounts.clone(),
            needed_since: self.needed_since,
            findings: self.findings,
            progress: self.progress.clone(),
        }
    }

    /// The step after this one, whose findings end with this token. `changed`: the accounts' entries have changed, so
    /// that what others published about them has to be updated, too.
    fn next(&self, token: Option<String>, changed: bool) -> Option<Self> {
        let (findings, next_token) = match (token, self.findings) {
            (Some(token), findings) => (findings, Some(token)),
            (None, Findings::Published) if changed => (Findings::Owned, None),
            (None, _) => return None,
        };
        let progress = Progress {
            next_token,
            ..self.progress.clone()
        };
        Some(Self {
            findings,
            progress,
            ..self.clone()
        })
    }
}

/// Some pages of findings.
struct Gathered {
    findings: Vec<Finding>,
    /// The step after them.
    next: Option<Step>,
}

/// Why findings could not be gathered.
enum NotGathered {
    TokenExpired,
    Failed(AwsCallError),
}

/// Re-enriches findings.
#[derive(Debug)]
pub struct ReEnrichment {
    /// Where the findings are.
    pub security_hub: SecurityHub,
    /// How accounts are shown on them.
    pub style: Style,
}

impl ReEnrichment {
    /// Does a step and those after it, until time runs out. The entries are those of `table`.
    pub(crate) async fn run(
        &self,
        table: &DirectoryTable,
        mut step: Step,
        time: &Time,
        counts: &Counts,
    ) -> Result<Done, RefreshError> {
        let security_hub = &self.security_hub;
        let began = *step.progress.began.get_or_insert(time.now().as_second());
        let mut entries = entries_to_show(table, &mut step).await?;
        if step.accounts.is_empty() {
            return Ok(Done::Whole);
        }
        let changed = step.needed_since.is_none()
            || step.accounts.iter().any(|account| {
                let entry = entries.get(account);
                entry.is_some_and(|entry| entry.re_enrich_since.is_some())
            });
        let mut failure = None;
        let mut gathered = gather(security_hub, &step, changed, time).await;
        loop {
            let Gathered { findings, next } = match gathered {
                Ok(gathered) => gathered,
                // Start over: a finding that is up to date is not updated again.
                Err(NotGathered::TokenExpired) => {
                    step.progress.next_token = None;
                    step.progress.restarts += 1;
                    return Ok(Done::Rest(step.task()));
                }
                Err(NotGathered::Failed(error)) => return Err(error.into()),
            };
            add_owners(table, &findings, &mut entries).await?;
            // The next ones are read while these are updated.
            let reading = async {
                match &next {
                    Some(next) if may_read(time) => {
                        Some(gather(security_hub, next, changed, time).await)
                    }
                    _ => None,
                }
            };
            let writing = self.show(&findings, &entries, time, counts);
            let (complete, read) = tokio::join!(writing, reading);
            match complete {
                Ok(true) => {}
                Ok(false) => return Ok(Done::Rest(step.task())),
                // The others first: the retry finds just what is left.
                Err(error) => failure = Some(error),
            }
            match (next, read) {
                (Some(next), Some(read)) => (step, gathered) = (next, read),
                (Some(next), None) => {
                    return failure.map_or_else(|| Ok(Done::Rest(next.task())), Err);
                }
                (None, _) => break,
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        for account in &step.accounts {
            table.re_enriched(account, began).await?;
        }
        Ok(Done::Whole)
    }

    /// Updates the findings that show something else than their account's entry. Gives whether time allowed all.
    async fn show(
        &self,
        findings: &[Finding],
        entries: &HashMap<AccountId, AccountEntry>,
        time: &Time,
        counts: &Counts,
    ) -> Result<bool, RefreshError> {
        let by_id: HashMap<&FindingId, &Finding> = findings
            .iter()
            .map(|finding| (&finding.id, finding))
            .collect();
        let plan = plan(findings, |account| entries.get(account), &self.style);
        add(&counts.findings_unchanged, plan.unchanged.len());
        let least = |id: &FindingId| {
            let finding = by_id.get(id)?;
            let entry = entries.get(&finding.account)?;
            Some(smallest(finding, entry, &self.style))
        };
        let written = write(&self.security_hub, &plan.updates, least, time.deadline()).await;
        let mut failure = None;
        for (id, outcome) in written.by_finding {
            let Err(reason) = outcome else {
                add(&counts.findings_updated, 1);
                continue;
            };
            match reason.class() {
                // A finding that is gone needs no update.
                AwsErrorClass::NotFound => {}
                AwsErrorClass::Refused => {
                    add(&counts.findings_refused, 1);
                    tracing::warn!(error = %reason, "Security Hub refuses to update a finding");
                }
                _ => {
                    let account = by_id.get(&id).map(|finding| finding.account.clone());
                    failure = Some((account, reason));
                }
            }
        }
        match failure {
            None => Ok(written.complete),
            Some((Some(account), UpdateError::Unprocessed(reason))) => {
                Err(RefreshError::Unprocessed { account, reason })
            }
            Some((_, UpdateError::Call(error))) => Err(RefreshError::Call(error)),
            Some((None, UpdateError::Unprocessed(_))) => {
                Err(Arc::new(AwsCallError::unfinished("BatchUpdateFindings")).into())
            }
        }
    }
}

/// The entries of the step's accounts; it loses those whose findings need nothing.
async fn entries_to_show(
    table: &DirectoryTable,
    step: &mut Step,
) -> Result<HashMap<AccountId, AccountEntry>, RefreshError> {
    let accounts: BTreeSet<AccountId> = step.accounts.iter().cloned().collect();
    let mut entries = HashMap::new();
    for (account, stored) in table.read(&accounts).await {
        entries.insert(account, stored?);
    }
    let (needed_since, first) = (step.needed_since, step.progress.next_token.is_none());
    step.accounts.retain(|account| {
        entries.get(account).is_some_and(|entry| {
            let done = needed_since.is_some_and(|since| entry.shown_since(since));
            !(first && step.findings == Findings::Published && done)
        })
    });
    Ok(entries)
}

/// Adds the entries of accounts that own what one of the group published a finding about.
async fn add_owners(
    table: &DirectoryTable,
    findings: &[Finding],
    entries: &mut HashMap<AccountId, AccountEntry>,
) -> Result<(), RefreshError> {
    let owners: BTreeSet<AccountId> = findings
        .iter()
        .map(|finding| &finding.account)
        .filter(|owner| !entries.contains_key(*owner))
        .cloned()
        .collect();
    for (owner, stored) in table.read(&owners).await {
        entries.insert(owner, stored?);
    }
    Ok(())
}

/// Whether there is time to read findings and to update them.
fn may_read(time: &Time) -> bool {
    Instant::now() + TIME_TO_UPDATE.min(time.invocation().remaining / 3) < time.deadline()
}

/// Reads the pages of a step, a limited number of findings, while there is time to begin something.
async fn gather(
    security_hub: &SecurityHub,
    step: &Step,
    changed: bool,
    time: &Time,
) -> Result<Gathered, NotGathered> {
    let mut findings = Vec::new();
    let mut at = step.clone();
    loop {
        let token = at.progress.next_token.clone();
        let page = match at.findings {
            Findings::Published => security_hub.findings_of(&at.accounts, token).await,
            Findings::Owned => security_hub.findings_owned_by(&at.accounts, token).await,
        };
        let FindingPage {
            findings: page,
            next_token,
        } = page.map_err(|error| {
            if token_expired(&error, &at.progress) {
                NotGathered::TokenExpired
            } else {
                NotGathered::Failed(error)
            }
        })?;
        findings.extend(page.into_iter().filter(|finding| match at.findings {
            Findings::Published => true,
            Findings::Owned => at.accounts.contains(&finding.account),
        }));
        let next = at.next(next_token, changed);
        match next {
            Some(next) if findings.len() < FINDINGS_AT_ONCE && may_read(time) => {
                at = next;
            }
            next => return Ok(Gathered { findings, next }),
        }
    }
}
