//! Publishes alerts: each once on its topics, or counted for a summary.
//!
//! An alert is claimed by its idempotency record, gets its decision from its burst, is published, and only then
//! marked as completed. A crash at any step brings its message back to the same steps. An alert for several topics
//! has a record for each of them, so that one that fails repeats no other.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, future::join_all, stream};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Severity},
    alert_topics::AlertTopics,
    aws_error::AwsCallError,
    idempotency::{Claim, IdempotencyTable},
    lambda::Time,
    optimistic,
    queue::{Queue, Reason},
};
use tokio::time::timeout_at;

use crate::{
    active_rules::ActiveRules,
    burst_window::{BurstLimits, BurstWindows, Decision, IncomingAlert, burst_id},
    draft::Draft,
    gateway::sent_alerts::{SentAlerts, alert_record_id},
    summary::{Summary, Task, in_words},
    text::uncapitalized,
};

/// Bursts processed at once.
const BURSTS_AT_ONCE: usize = 16;
/// Alerts of a burst processed at once.
const ALERTS_AT_ONCE: usize = 8;
/// Attempts to write the windows of a burst. In each attempt one writer succeeds: this is some times as many as
/// invocations run at once.
const ATTEMPTS: u32 = 30;
/// How long a published alert is remembered. `GuardDuty` updates a finding for 90 days, a budget within its period.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(100 * 24);

/// Why an alert was not published.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// Another invocation holds its claim.
    #[error("another invocation is publishing it")]
    InProgress,
    /// A call to the table of sent alerts failed.
    #[error("the table of sent alerts failed")]
    SentAlerts(#[from] Arc<AwsCallError>),
    /// A topic did not accept it.
    #[error("it could not be published")]
    Topic(#[source] Arc<AwsCallError>),
    /// The summary that it is counted for could not be scheduled.
    #[error("its summary could not be scheduled")]
    Summary(#[source] Arc<AwsCallError>),
    /// It was published, but its routes are unknown.
    #[error("the account could not be read, and there are routes by organizational unit")]
    UnknownRoutes,
    /// Time ran out.
    #[error("the invocation's time ran out first")]
    OutOfTime,
}

impl Reason for PublishError {
    fn retryable(&self) -> bool {
        match self {
            Self::InProgress | Self::UnknownRoutes | Self::OutOfTime => true,
            Self::SentAlerts(error) | Self::Topic(error) | Self::Summary(error) => {
                error.retryable()
            }
        }
    }
}

impl From<AwsCallError> for PublishError {
    fn from(error: AwsCallError) -> Self {
        Self::SentAlerts(Arc::new(error))
    }
}

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It was published.
    Published,
    /// It was published before.
    Duplicate,
    /// It is counted for a summary.
    Summarized,
    /// A rule silences it.
    Silenced,
}

type Result<T> = std::result::Result<T, PublishError>;

/// An alert that is to be published.
#[derive(Debug)]
pub struct PendingAlert {
    /// The alert before rules.
    pub draft: Draft,
    /// The account, as far as it is known.
    pub account: Option<AlertAccount>,
    /// The account directory could not be read.
    pub account_unread: bool,
}

/// Publishes alerts.
#[derive(Debug)]
pub struct AlertPublisher {
    /// The idempotency records.
    pub idempotency: IdempotencyTable,
    /// Bursts and levels.
    pub sent_alerts: SentAlerts,
    /// The topics of the severities.
    pub topics: AlertTopics,
    /// The queue that summaries are scheduled on, and its URL.
    pub queue: (Queue, String),
    /// The rules.
    pub rules: ActiveRules,
    /// When alerts are a burst.
    pub limits: BurstLimits,
}

/// An alert with its severity and the id of its idempotency record.
struct RatedAlert<'p> {
    pending: &'p PendingAlert,
    record_id: String,
    severity: Severity,
}

impl RatedAlert<'_> {
    /// Whether it counts in a burst. A critical one is always published, but failed sign-ins are counted to
    /// become critical.
    fn is_counted(&self) -> bool {
        self.severity < Severity::Critical || self.pending.draft.critical_from.is_some()
    }

    /// The burst that it belongs to; a burst of its own if it is not counted.
    fn burst(&self) -> String {
        let PendingAlert { draft, account, .. } = self.pending;
        if !self.is_counted() {
            return draft.dedup_key();
        }
        let account = account.as_ref().and_then(|account| account.id.as_ref());
        burst_id(&[
            draft.kind.name,
            &format!("{:?}", self.severity),
            &account.map(ToString::to_string).unwrap_or_default(),
            &draft.burst_key,
        ])
    }
}

impl AlertPublisher {
    /// Publishes alerts until the deadline, the most severe first. Gives the outcome of each.
    pub async fn publish_all(
        &self,
        alerts: &[PendingAlert],
        time: &Time,
    ) -> Vec<Result<PublishOutcome>> {
        let mut results: Vec<Result<PublishOutcome>> =
            vec![Err(PublishError::OutOfTime); alerts.len()];
        let rules = self.rules.current();
        let mut rated = Vec::new();
        for (index, pending) in alerts.iter().enumerate() {
            let verdict = rules.judge(&pending.draft, pending.account.as_ref(), time.began());
            if let Some(silence) = verdict.silence {
                tracing::info!(silence.line = silence.line, "alert silenced");
                results[index] = Ok(PublishOutcome::Silenced);
                continue;
            }
            let alert = RatedAlert {
                pending,
                record_id: alert_record_id(&pending.draft.dedup_key()),
                severity: verdict.severity,
            };
            rated.push((index, alert));
        }
        rated.sort_by_key(|(_, alert)| Reverse(alert.severity));

        // The windows of a burst are read and written once for all of its alerts.
        let mut bursts: Vec<(String, Vec<(usize, RatedAlert<'_>)>)> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for (index, alert) in rated {
            let burst = alert.burst();
            let at = *known.entry(burst.clone()).or_insert_with(|| {
                bursts.push((burst, Vec::new()));
                bursts.len() - 1
            });
            bursts[at].1.push((index, alert));
        }
        let work = bursts.into_iter().map(async |(burst, alerts)| {
            let (indices, alerts): (Vec<usize>, Vec<RatedAlert<'_>>) = alerts.into_iter().unzip();
            let published =
                timeout_at(time.deadline(), self.publish_burst(&burst, alerts, time)).await;
            (indices, published.unwrap_or_default())
        });
        let done: Vec<_> = stream::iter(work)
            .buffer_unordered(BURSTS_AT_ONCE)
            .collect()
            .await;
        for (indices, published) in done {
            for (index, result) in indices.into_iter().zip(published) {
                results[index] = result;
            }
        }
        results
    }

    /// Publishes the alerts of one burst.
    async fn publish_burst(
        &self,
        burst: &str,
        alerts: Vec<RatedAlert<'_>>,
        time: &Time,
    ) -> Vec<Result<PublishOutcome>> {
        let claims: Vec<_> = stream::iter(alerts.iter().map(|alert| self.claim_alert(alert, time)))
            .buffered(ALERTS_AT_ONCE)
            .collect()
            .await;
        let is_claimed = |index: &usize| matches!(claims[*index], Ok(Claim::Claimed));
        let mut decisions = vec![Decision::Publish(1); alerts.len()];
        let counted: Vec<usize> = (0..alerts.len())
            .filter(is_claimed)
            .filter(|index| alerts[*index].is_counted())
            .collect();
        if !counted.is_empty() {
            let of_burst: Vec<&RatedAlert<'_>> =
                counted.iter().map(|index| &alerts[*index]).collect();
            match self.decide(burst, &of_burst, time).await {
                Ok(decided) => {
                    for (index, decision) in counted.into_iter().zip(decided) {
                        decisions[index] = decision;
                    }
                }
                Err(error) => {
                    let claimed = (0..alerts.len()).filter(is_claimed);
                    join_all(claimed.map(|index| self.release(&alerts[index].record_id))).await;
                    return vec![Err(error); alerts.len()];
                }
            }
        }
        let finish =
            alerts
                .iter()
                .zip(claims)
                .zip(decisions)
                .map(async |((alert, claim), decision)| match claim? {
                    Claim::Claimed => self.finish(alert, decision, time).await,
                    Claim::Completed => Ok(PublishOutcome::Duplicate),
                    Claim::InProgress => Err(PublishError::InProgress),
                });
        stream::iter(finish)
            .buffered(ALERTS_AT_ONCE)
            .collect()
            .await
    }

    /// Claims an alert. One about something that was published at this level is completed.
    async fn claim_alert(&self, alert: &RatedAlert<'_>, time: &Time) -> Result<Claim> {
        if let Some((thing, level)) = &alert.pending.draft.level {
            let published = self.sent_alerts.level(thing).await?;
            if published.is_some_and(|published| !level.rose_above(published)) {
                return Ok(Claim::Completed);
            }
        }
        self.claim(&alert.record_id, time).await
    }

    async fn claim(&self, record_id: &str, time: &Time) -> Result<Claim> {
        let (now, until) = (time.began().as_millisecond(), time.end().as_millisecond());
        Ok(self
            .idempotency
            .claim(record_id, now, until, expires(time))
            .await?)
    }

    /// Releases a claim, so that the alert can be retried at once. If that fails, the claim expires with the
    /// invocation.
    async fn release(&self, record_id: &str) {
        if let Err(error) = self.idempotency.release(record_id).await {
            tracing::warn!(%error, "claim not released, it expires with the invocation");
        }
    }

    /// Decides on the alerts of a burst, and schedules the summary of those that are held.
    async fn decide(
        &self,
        burst: &str,
        alerts: &[&RatedAlert<'_>],
        time: &Time,
    ) -> Result<Vec<Decision>> {
        let mut scheduled = BTreeSet::new();
        self.update_windows(burst, time, async |windows| {
            let decide = alerts.iter().map(|alert| {
                let draft = &alert.pending.draft;
                let incoming = IncomingAlert {
                    key: &draft.dedup_key(),
                    headline: &draft.headline,
                    critical_from: match alert.severity {
                        Severity::Critical => Some(1),
                        Severity::Error | Severity::Info => draft.critical_from,
                    },
                };
                windows.decide(incoming, time.began(), self.limits)
            });
            let decisions = decide.collect();
            // Scheduled before an alert is held: a summary that finds nothing does no harm.
            let mut unscheduled = windows.take_unscheduled();
            unscheduled.retain(|window| scheduled.insert(*window));
            self.schedule(burst, unscheduled, alerts, time).await?;
            Ok(decisions)
        })
        .await
    }

    /// Changes the windows of a burst in the table.
    async fn update_windows<T>(
        &self,
        burst: &str,
        time: &Time,
        mut change: impl AsyncFnMut(&mut BurstWindows) -> Result<T>,
    ) -> Result<T> {
        optimistic::update("PutItem", ATTEMPTS, async || {
            let before = self.sent_alerts.windows(burst).await?;
            let mut after = before.clone();
            let changed = change(&mut after.windows).await?;
            let written = after == before
                || self
                    .sent_alerts
                    .put_windows(burst, &after, expires(time))
                    .await?;
            Ok(written.then_some(changed))
        })
        .await
    }

    /// Schedules the summaries of these windows.
    async fn schedule(
        &self,
        burst: &str,
        windows: Vec<(i64, i64)>,
        alerts: &[&RatedAlert<'_>],
        time: &Time,
    ) -> Result<()> {
        let Some(example) = alerts.last() else {
            return Ok(());
        };
        let summaries = windows.into_iter().map(|(start, end)| {
            let PendingAlert { draft, account, .. } = example.pending;
            Summary {
                burst: burst.to_owned(),
                start,
                end,
                plural: draft.kind.plural.to_owned(),
                example: draft.alert(account.as_ref(), example.severity),
            }
        });
        self.send(summaries.collect(), time).await
    }

    /// Sends summaries to the function's own queue, delayed until their windows end.
    async fn send(&self, summaries: Vec<Summary>, time: &Time) -> Result<()> {
        if summaries.is_empty() {
            return Ok(());
        }
        let messages = summaries
            .into_iter()
            .filter_map(|summary| {
                let left = summary.end.saturating_sub(time.began().as_millisecond());
                // Whole seconds, rounded up.
                let delay =
                    Duration::from_secs(u64::try_from(left / 1_000 + 1).unwrap_or_default());
                let task = serde_json::to_string(&Task::Summary(summary)).ok()?;
                Some((task, delay))
            })
            .collect();
        let (queue, url) = &self.queue;
        let sent = queue.send(url, messages).await;
        sent.map_err(|error| PublishError::Summary(Arc::new(error)))
    }

    /// Publishes a claimed alert, or leaves it to the summary.
    async fn finish(
        &self,
        rated: &RatedAlert<'_>,
        decision: Decision,
        time: &Time,
    ) -> Result<PublishOutcome> {
        let draft = &rated.pending.draft;
        let position = match decision {
            Decision::Summarize => {
                self.idempotency.complete(&rated.record_id).await?;
                return Ok(PublishOutcome::Summarized);
            }
            Decision::Publish(position) => position,
        };
        let raised = draft.critical_from.is_some_and(|from| position >= from);
        let severity = if raised {
            Severity::Critical
        } else {
            rated.severity
        };
        let mut alert = draft.alert(rated.pending.account.as_ref(), severity);
        if raised {
            let window = in_words(self.limits.window);
            alert.title = format!(
                "No. {position} within {window}: {}",
                uncapitalized(&alert.title)
            );
        }
        let published = self
            .publish(&alert, rated.pending.account_unread, time)
            .await;
        if let Err(error) = published {
            self.release(&rated.record_id).await;
            return Err(error);
        }
        if let Some((thing, level)) = &draft.level {
            self.sent_alerts
                .put_level(thing, *level, expires(time))
                .await?;
        }
        self.idempotency.complete(&rated.record_id).await?;
        Ok(PublishOutcome::Published)
    }

    /// Publishes an alert on the topic of its severity, and on those that its routes add.
    async fn publish(&self, alert: &Alert, account_unread: bool, time: &Time) -> Result<()> {
        let account = alert.account.as_ref();
        let rules = self.rules.current();
        let mut topics = vec![self.topics.of(alert.severity)];
        for (_, topic) in rules.topics(account, alert.severity) {
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        let unknown_routes = account_unread && account.is_some() && rules.route_by_unit();
        if let ([topic], false) = (&topics[..], unknown_routes) {
            return self.publish_on(topic, alert).await;
        }
        let mut results = Vec::new();
        for topic in topics {
            results.push(self.publish_once_on(topic, alert, time).await);
        }
        if unknown_routes {
            results.push(Err(PublishError::UnknownRoutes));
        }
        // A retryable reason wins over a permanent one.
        let failures = results.into_iter().filter_map(std::result::Result::err);
        failures.max_by_key(Reason::retryable).map_or(Ok(()), Err)
    }

    async fn publish_on(&self, topic: &str, alert: &Alert) -> Result<()> {
        let published = self.topics.publish_on(topic, alert).await;
        published.map_err(|error| PublishError::Topic(Arc::new(error)))
    }

    async fn publish_once_on(&self, topic: &str, alert: &Alert, time: &Time) -> Result<()> {
        let id = format!("{}#{topic}", alert_record_id(&alert.dedup_key));
        match self.claim(&id, time).await? {
            Claim::Completed => Ok(()),
            Claim::InProgress => Err(PublishError::InProgress),
            Claim::Claimed => match self.publish_on(topic, alert).await {
                Ok(()) => Ok(self.idempotency.complete(&id).await?),
                Err(error) => {
                    self.release(&id).await;
                    Err(error)
                }
            },
        }
    }

    /// Publishes the summary of a window.
    ///
    /// # Errors
    /// If it could not be published: the task can be retried.
    pub async fn publish_summary(&self, summary: &Summary, time: &Time) -> Result<PublishOutcome> {
        let Summary { burst, start, .. } = summary;
        if time.began().as_millisecond() < summary.end {
            self.send(vec![summary.clone()], time).await?;
            return Ok(PublishOutcome::Summarized);
        }
        let closed = self.update_windows(burst, time, async |windows| Ok(windows.close(*start)));
        let Some((count, headlines)) = closed.await?.filter(|(count, _)| *count > 0) else {
            return Ok(PublishOutcome::Duplicate);
        };
        let alert = summary.alert(count, &headlines);
        let id = alert_record_id(&alert.dedup_key);
        let outcome = match self.claim(&id, time).await? {
            Claim::InProgress => return Err(PublishError::InProgress),
            Claim::Completed => PublishOutcome::Duplicate,
            Claim::Claimed => {
                if let Err(error) = self.publish(&alert, false, time).await {
                    self.release(&id).await;
                    return Err(error);
                }
                self.idempotency.complete(&id).await?;
                PublishOutcome::Published
            }
        };
        self.update_windows(burst, time, async |windows| {
            windows.remove(*start);
            Ok(())
        })
        .await?;
        Ok(outcome)
    }
}

/// When the records of this invocation expire, in seconds since 1970.
fn expires(time: &Time) -> i64 {
    time.began()
        .saturating_add(REMEMBERED)
        .map_or(i64::MAX, Timestamp::as_second)
}
