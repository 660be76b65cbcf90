//! A batch of the findings queue in, the messages that have to come back out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use orgkeeper_shared::{
    account_directory::{AccountDirectory, Entries},
    aws::CallCounter,
    aws_error::{AwsCallError, AwsErrorClass},
    enrichment::plan::{Plan, newest, plan},
    ids::{AccountId, FindingId},
    invocation::Invocation,
    queue::{Failure, Queue, Reason},
    security_hub::{Finding, SecurityHub, Unprocessed},
    telemetry::Metrics,
};
use tokio::time::{Instant, timeout_at};

use crate::finding::{Unusable, findings_in};

/// `BatchUpdateFindings` calls under way at once.
const UPDATES_AT_ONCE: usize = 8;
/// An event can come before its finding can be found: so long it is worth another try.
const YOUNG: Duration = Duration::from_mins(15);

/// Why a finding was not enriched.
#[derive(Clone, Debug, thiserror::Error)]
enum NotEnriched {
    #[error("the message cannot be understood")]
    Unusable(#[source] Unusable),
    #[error("account {account} is not in the organization")]
    ForeignAccount { account: AccountId },
    #[error("account {account} could not be looked up")]
    Lookup {
        account: AccountId,
        #[source]
        error: Arc<AwsCallError>,
    },
    #[error("the finding could not be updated")]
    Update(#[source] Arc<AwsCallError>),
    #[error("the finding was not updated")]
    Unprocessed {
        #[source]
        reason: Unprocessed,
        young: bool,
    },
    #[error("the invocation's time ran out first")]
    OutOfTime,
}

impl Reason for NotEnriched {
    fn retryable(&self) -> bool {
        match self {
            Self::Unusable(_) | Self::ForeignAccount { .. } => false,
            Self::Lookup { error, .. } | Self::Update(error) => error.retryable(),
            Self::Unprocessed { reason, young } => {
                reason.class.retryable() || (*young && reason.class == AwsErrorClass::NotFound)
            }
            Self::OutOfTime => true,
        }
    }
}

/// What became of each finding; one that is not in here was not reached in time.
type Outcomes = HashMap<FindingId, Result<(), NotEnriched>>;

/// Enriches the findings of one batch after another.
#[derive(Debug)]
pub struct Handler {
    directory: AccountDirectory,
    security_hub: SecurityHub,
    queue: Queue,
    calls: CallCounter,
}

impl Handler {
    /// A handler over the gateways that it needs, whose clients carry `calls`.
    #[must_use]
    pub fn new(
        directory: AccountDirectory,
        security_hub: SecurityHub,
        queue: Queue,
        calls: CallCounter,
    ) -> Self {
        Self {
            directory,
            security_hub,
            queue,
            calls,
        }
    }

    /// Enriches every finding of every message and names the messages that have to come back:
    /// those with a finding that was not enriched, whatever the reason. The queue's redrive policy
    /// moves a message that comes back too often to the dead-letter queue.
    pub async fn handle(&self, event: SqsEvent, invocation: Invocation) -> SqsBatchResponse {
        let start = Instant::now();
        let deadline = start + invocation.time_to_work();
        // What was looked up by then can still be written on its findings.
        let look_up_until = start + invocation.time_to_work() * 2 / 3;

        let messages: Vec<(&SqsMessage, Result<Vec<Finding>, Unusable>)> = event
            .records
            .iter()
            .map(|message| {
                (
                    message,
                    findings_in(message.body.as_deref().unwrap_or_default()),
                )
            })
            .collect();
        let findings: Vec<&Finding> = newest(
            messages
                .iter()
                .filter_map(|(_, findings)| findings.as_ref().ok())
                .flatten(),
        )
        .collect();

        let (entries, outcomes) = self
            .enrich(&findings, &invocation, look_up_until, deadline)
            .await;
        let failures = failures(&messages, &outcomes);
        let response = self
            .queue
            .give_back(&failures, invocation.time_to_answer())
            .await;
        self.metrics(&outcomes, findings.len(), &failures, &entries)
            .write(invocation.now.as_millisecond());
        tracing::info!(
            messages = messages.len(),
            findings = findings.len(),
            messages.returned = failures.len(),
            duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            "batch done"
        );
        response
    }

    async fn enrich(
        &self,
        findings: &[&Finding],
        invocation: &Invocation,
        look_up_until: Instant,
        deadline: Instant,
    ) -> (Entries, Outcomes) {
        let mut outcomes = Outcomes::new();
        let accounts: BTreeSet<AccountId> = findings
            .iter()
            .map(|finding| finding.account.clone())
            .collect();
        let looked_up = self.directory.entries(
            &accounts,
            invocation.account.as_ref(),
            invocation.now,
            look_up_until,
        );
        let Ok(entries) = timeout_at(deadline, looked_up).await else {
            return (Entries::default(), outcomes);
        };
        for finding in findings {
            if let Some(Err(error)) = entries.by_account.get(&finding.account) {
                let account = finding.account.clone();
                let failure = match error.class() {
                    AwsErrorClass::NotFound => NotEnriched::ForeignAccount { account },
                    _ => NotEnriched::Lookup {
                        account,
                        error: Arc::clone(error),
                    },
                };
                outcomes.insert(finding.id.clone(), Err(failure));
            }
        }

        let Plan { updates, unchanged } =
            plan(findings.iter().copied(), &BTreeMap::new(), |account| {
                entries.by_account.get(account)?.as_deref().ok()
            });
        outcomes.extend(unchanged.into_iter().map(|finding| (finding, Ok(()))));
        let seen_at: HashMap<&FindingId, &str> = findings
            .iter()
            .map(|finding| (&finding.id, finding.seen_at.as_str()))
            .collect();
        let mut answers = stream::iter(updates.iter().map(async |(update, findings)| {
            (findings, self.security_hub.update(findings, update).await)
        }))
        .buffer_unordered(UPDATES_AT_ONCE);
        while let Ok(Some((updated, answer))) = timeout_at(deadline, answers.next()).await {
            match answer {
                Ok(unprocessed) => {
                    outcomes.extend(updated.iter().map(|finding| (finding.clone(), Ok(()))));
                    for (finding, reason) in unprocessed {
                        let young = seen_at
                            .get(&finding)
                            .is_none_or(|seen_at| is_young(seen_at, invocation.now));
                        outcomes.insert(finding, Err(NotEnriched::Unprocessed { reason, young }));
                    }
                }
                Err(error) => {
                    let error = NotEnriched::Update(Arc::new(error));
                    outcomes.extend(
                        updated
                            .iter()
                            .map(|finding| (finding.clone(), Err(error.clone()))),
                    );
                }
            }
        }
        drop(answers);
        (entries, outcomes)
    }

    fn metrics(
        &self,
        outcomes: &Outcomes,
        findings: usize,
        failures: &[Failure<'_, NotEnriched>],
        entries: &Entries,
    ) -> Metrics {
        let enriched = outcomes.values().filter(|outcome| outcome.is_ok()).count();
        let failed = outcomes
            .values()
            .filter(|outcome| matches!(outcome, Err(reason) if !reason.retryable()))
            .count();
        let unusable = failures
            .iter()
            .filter(|failure| matches!(failure.reason, NotEnriched::Unusable(_)))
            .count();
        Metrics::of("finding-enricher")
            .count("FindingsEnriched", enriched as u64)
            .count("FindingsRetried", (findings - enriched - failed) as u64)
            .count("FindingsFailed", (failed + unusable) as u64)
            .count("DirectoryHits", entries.hits as u64)
            .count("DirectoryMisses", entries.misses as u64)
            .count("AwsCalls", self.calls.take())
    }
}

/// The messages with a finding that was not enriched. Of several reasons one that passes counts.
fn failures<'a>(
    messages: &[(&'a SqsMessage, Result<Vec<Finding>, Unusable>)],
    outcomes: &Outcomes,
) -> Vec<Failure<'a, NotEnriched>> {
    messages
        .iter()
        .filter_map(|(message, findings)| {
            let reason = match findings {
                Err(unusable) => Some(NotEnriched::Unusable(*unusable)),
                Ok(findings) => findings
                    .iter()
                    .filter_map(|finding| match outcomes.get(&finding.id) {
                        Some(outcome) => outcome.clone().err(),
                        None => Some(NotEnriched::OutOfTime),
                    })
                    .max_by_key(Reason::retryable),
            };
            reason.map(|reason| Failure { message, reason })
        })
        .collect()
}

fn is_young(seen_at: &str, now: Timestamp) -> bool {
    seen_at
        .parse::<Timestamp>()
        .is_ok_and(|seen_at| now.duration_since(seen_at).unsigned_abs() < YOUNG)
}
