//! A batch of the findings queue: which of its messages are enriched and which failed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use orgkeeper_shared::{
    account_directory::{AccountDirectory, Entries},
    aws_error::{AwsCallError, AwsErrorClass},
    enrichment::plan::{Plan, newest, plan},
    ids::{AccountId, FindingId},
    lambda::{Outcomes, Time, Work},
    queue::{Failure, Reason},
    security_hub::{Finding, SecurityHub, Unprocessed},
};
use tokio::time::timeout_at;

use crate::finding::{Unusable, findings_in};

/// `BatchUpdateFindings` calls in progress at once.
const UPDATES_AT_ONCE: usize = 8;
/// An event can arrive before its finding can be found: for so long it is retried.
const YOUNG: Duration = Duration::from_mins(15);

/// Why a finding was not enriched.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotEnriched {
    /// The message is no Security Hub event, or one of its findings lacks what is needed.
    #[error("the message cannot be understood")]
    Unusable(#[source] Unusable),
    /// The finding's account is not in the organization.
    #[error("account {account} is not in the organization")]
    ForeignAccount {
        /// That account.
        account: AccountId,
    },
    /// The finding's account could not be looked up.
    #[error("account {account} could not be looked up")]
    Lookup {
        /// That account.
        account: AccountId,
        /// Why.
        #[source]
        error: Arc<AwsCallError>,
    },
    /// The update failed.
    #[error("the finding could not be updated")]
    Update(#[source] Arc<AwsCallError>),
    /// Security Hub answered, but did not update this finding.
    #[error("the finding was not updated")]
    Unprocessed {
        /// Why.
        #[source]
        reason: Unprocessed,
        /// Whether the finding is so new that Security Hub may not find it yet.
        young: bool,
    },
    /// The invocation's time ran out first.
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
type Enriched = HashMap<FindingId, Result<(), NotEnriched>>;

/// Enriches the findings of one batch after another.
#[derive(Debug)]
pub struct Enricher {
    directory: AccountDirectory,
    security_hub: SecurityHub,
}

impl Enricher {
    /// An enricher over the gateways that it needs.
    #[must_use]
    pub fn new(directory: AccountDirectory, security_hub: SecurityHub) -> Self {
        Self {
            directory,
            security_hub,
        }
    }

    async fn enrich(&self, findings: &[&Finding], time: &Time) -> (Entries, Enriched) {
        let mut outcomes = Enriched::new();
        let now = time.began();
        let accounts: BTreeSet<AccountId> = findings
            .iter()
            .map(|finding| finding.account.clone())
            .collect();
        // What is looked up by then can still be written on its findings.
        let caller = time.invocation().account.as_ref();
        let lookup = self
            .directory
            .entries(&accounts, caller, now, time.start_until());
        let Ok(entries) = timeout_at(time.deadline(), lookup).await else {
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
        while let Ok(Some((updated, answer))) = timeout_at(time.deadline(), answers.next()).await {
            match answer {
                Ok(unprocessed) => {
                    outcomes.extend(updated.iter().map(|finding| (finding.clone(), Ok(()))));
                    for (finding, reason) in unprocessed {
                        let young = seen_at
                            .get(&finding)
                            .is_none_or(|seen_at| is_young(seen_at, now));
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
}

impl Work for Enricher {
    const FUNCTION: &'static str = "finding-enricher";
    type Reason = NotEnriched;

    /// Enriches every finding of every message. A message fails if one of its findings was not enriched,
    /// whatever the reason.
    async fn work<'a>(&self, messages: &'a [SqsMessage], time: &Time) -> Outcomes<'a, NotEnriched> {
        let messages: Vec<(&SqsMessage, Result<Vec<Finding>, Unusable>)> = messages
            .iter()
            .map(|message| {
                let body = message.body.as_deref().unwrap_or_default();
                (message, findings_in(body))
            })
            .collect();
        let readable = messages
            .iter()
            .filter_map(|(_, findings)| findings.as_ref().ok());
        let findings: Vec<&Finding> = newest(readable.flatten()).collect();
        let (entries, outcomes) = self.enrich(&findings, time).await;

        let enriched = outcomes.values().filter(|outcome| outcome.is_ok()).count();
        let failed = outcomes
            .values()
            .filter(|outcome| matches!(outcome, Err(reason) if !reason.retryable()))
            .count();
        let malformed = messages
            .iter()
            .filter(|(_, findings)| findings.is_err())
            .count();
        Outcomes::new(failures(&messages, &outcomes))
            .count("FindingsEnriched", enriched)
            .count("FindingsRetried", findings.len() - enriched - failed)
            .count("FindingsFailed", failed + malformed)
            .count("DirectoryHits", entries.hits)
            .count("DirectoryMisses", entries.misses)
    }
}

/// The messages with a finding that was not enriched. Of several reasons a retryable one counts.
fn failures<'a>(
    messages: &[(&'a SqsMessage, Result<Vec<Finding>, Unusable>)],
    outcomes: &Enriched,
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
