//! A batch of the findings queue in, the messages that have to come back out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use lambda_runtime::Context;
use orgkeeper_shared::{
    account_directory::{AccountDirectory, Entries},
    aws::CallCounter,
    aws_error::{AwsCallError, AwsErrorClass},
    enrichment::plan::{Plan, newest, plan},
    ids::{AccountId, FindingId},
    queue::{Queue, batch_response, receives, retry_delay},
    security_hub::{Finding, SecurityHub, Unprocessed},
    telemetry::Metrics,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::finding::{Unusable, findings_in};

/// `BatchUpdateFindings` calls under way at once.
const UPDATES_AT_ONCE: usize = 8;
/// An event can come before its finding can be found: so long it is worth another try.
const YOUNG: Duration = Duration::from_mins(15);
/// The most time that is kept back to answer with and to give messages back.
const TIME_TO_ANSWER: Duration = Duration::from_secs(5);
/// Message ids named in a log line about many.
const NAMED_IN_LOG: usize = 5;

/// What an invocation brings beside its messages.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The time.
    pub now: Timestamp,
    /// How long the invocation may take.
    pub remaining: Duration,
    /// The account that the function runs in, if its ARN tells.
    pub account: Option<AccountId>,
}

impl Invocation {
    /// What the Lambda runtime says of this invocation.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the deadline is a time of day: this is where the clock is read"
    )]
    pub fn of(context: &Context) -> Self {
        let now = SystemTime::now();
        Self {
            now: Timestamp::try_from(now).unwrap_or_default(),
            remaining: context.deadline().duration_since(now).unwrap_or_default(),
            account: AccountId::from_arn(&context.invoked_function_arn).ok(),
        }
    }
}

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

impl NotEnriched {
    /// Whether the same message can be done later.
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

    /// The error and its causes on one line.
    fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            line = format!("{line}: {inner}");
            cause = inner.source();
        }
        line
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
        let to_answer = TIME_TO_ANSWER.min(invocation.remaining / 4);
        let deadline = start + invocation.remaining.saturating_sub(to_answer);

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

        let (entries, outcomes) = self.enrich(&findings, &invocation, deadline).await;
        let failures = failures(&messages, &outcomes);
        log(&failures);
        self.give_back(&failures, to_answer).await;
        self.metrics(&outcomes, findings.len(), &failures, &entries)
            .write(invocation.now.as_millisecond());
        tracing::info!(
            messages = messages.len(),
            findings = findings.len(),
            messages.returned = failures.len(),
            duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            "batch done"
        );
        batch_response(failures.iter().map(|failure| failure.message))
    }

    async fn enrich(
        &self,
        findings: &[&Finding],
        invocation: &Invocation,
        deadline: Instant,
    ) -> (Entries, Outcomes) {
        let mut outcomes = Outcomes::new();
        let accounts: BTreeSet<AccountId> = findings
            .iter()
            .map(|finding| finding.account.clone())
            .collect();
        let looked_up =
            self.directory
                .entries(&accounts, invocation.account.as_ref(), invocation.now);
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

        let Plan { updates, unchanged } = plan(findings.iter().copied(), |account| {
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

    /// Lets a message that can succeed later come back after a growing delay, and one that cannot
    /// at once, so that it soon stands in the dead-letter queue where somebody sees it.
    async fn give_back(&self, failures: &[Failure<'_>], time: Duration) {
        let delays: Vec<_> = failures
            .iter()
            .map(|failure| {
                let delay = if failure.reason.retryable() {
                    retry_delay(receives(failure.message))
                } else {
                    Duration::ZERO
                };
                (failure.message, delay)
            })
            .collect();
        match timeout(time, self.queue.return_after(&delays)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "messages come back after the queue's visibility timeout");
            }
            Err(_) => {
                tracing::warn!("messages come back after the queue's visibility timeout");
            }
        }
    }

    fn metrics(
        &self,
        outcomes: &Outcomes,
        findings: usize,
        failures: &[Failure<'_>],
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

/// A message that has to come back, and why.
struct Failure<'a> {
    message: &'a SqsMessage,
    reason: NotEnriched,
}

/// The messages with a finding that was not enriched. Of several reasons one that passes counts.
fn failures<'a>(
    messages: &[(&'a SqsMessage, Result<Vec<Finding>, Unusable>)],
    outcomes: &Outcomes,
) -> Vec<Failure<'a>> {
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
                    .max_by_key(NotEnriched::retryable),
            };
            reason.map(|reason| Failure { message, reason })
        })
        .collect()
}

/// One line per reason, however many messages have it.
fn log(failures: &[Failure<'_>]) {
    let mut by_reason: BTreeMap<(bool, String), Vec<&str>> = BTreeMap::new();
    for Failure { message, reason } in failures {
        by_reason
            .entry((reason.retryable(), reason.chain()))
            .or_default()
            .push(message.message_id.as_deref().unwrap_or_default());
    }
    for ((retryable, error), messages) in by_reason {
        let count = messages.len();
        let named = messages[..count.min(NAMED_IN_LOG)].join(" ");
        if retryable {
            tracing::warn!(
                error,
                messages = count,
                message.ids = named,
                "tried again later"
            );
        } else {
            tracing::error!(
                error,
                messages = count,
                message.ids = named,
                "on the way to the dead-letter queue"
            );
        }
    }
}

fn is_young(seen_at: &str, now: Timestamp) -> bool {
    seen_at
        .parse::<Timestamp>()
        .is_ok_and(|seen_at| now.duration_since(seen_at).unsigned_abs() < YOUNG)
}
