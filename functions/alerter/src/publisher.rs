//! Publishes alerts: each once on its topics, or counted for a summary.
//!
//! An alert is claimed by its idempotency record, gets its decision from its burst, is published, and only then
//! marked as completed. A crash at any step brings its message back to the same steps. An alert for several topics
//! has a record for each of them, so that one that fails repeats no other.
//!
//! A critical alert does not wait for that [`Memory`]: if it fails, the alert is published without.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Severity},
    alert_topics::AlertTopics,
    idempotency::{Claim, IdempotencyTable, Unrecorded},
    lambda::Time,
    optimistic,
    queue::{Queue, Reason},
};
use tokio::time::{timeout, timeout_at};

use crate::{
    active_rules::ActiveRules,
    burst_window::{BurstLimits, BurstWindows, Decision, IncomingAlert, burst_id},
    draft::Draft,
    gateway::sent_alerts::{SentAlerts, alert_record_id},
    held_alerts::{HEAVY, Place},
    memory::Memory,
    publish_error::PublishError,
    published_alerts::PublishedAlerts,
    rules::Rules,
    summary::{Summary, in_words},
    task::Task,
    text::{TITLE_CHARACTERS, shorten, uncapitalized},
};

/// Bursts processed at once.
const BURSTS_AT_ONCE: usize = 16;
/// Alerts of a burst processed at once.
const ALERTS_AT_ONCE: usize = 8;
/// Attempts to write the windows of a burst. In each attempt one writer succeeds: this is some times as many as
/// invocations run at once.
const ATTEMPTS: u32 = 30;
/// The detail of an alert that is published although the memory failed.
const MAY_BE_REPEATED: (&str, &str) = (
    "Possibly repeated",
    "yes: the record of what was sent could not be read, so this alert may arrive a second time",
);
/// How long the record of an alert that was published without it is tried to be written afterwards.
const LATE: Duration = Duration::from_secs(1);
/// How long a published alert is remembered. `GuardDuty` updates a finding for 90 days, a budget within its period.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(100 * 24);

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It was published.
    Published,
    /// It was published, but that is not recorded: it is critical, and the memory failed.
    Unremembered,
    /// It was published before.
    Duplicate,
    /// It is counted for a summary.
    Summarized,
    /// A rule silences it.
    Silenced,
    /// It was no alert.
    Checked,
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
    /// What was published without a record.
    pub unrecorded: Unrecorded,
    /// How many alerts were published.
    pub published: PublishedAlerts,
}

/// An alert with its severity and the id of its idempotency record.
struct RatedAlert<'p> {
    pending: &'p PendingAlert,
    record_id: String,
    severity: Severity,
}

impl RatedAlert<'_> {
    /// The burst that it belongs to.
    fn burst(&self, rules: &Rules) -> String {
        let PendingAlert { draft, account, .. } = self.pending;
        if let Some(cause) = &draft.cause {
            // A summary follows the routes of its alerts: those with other routes are another burst.
            let severities = [Severity::Info, Severity::Error, Severity::Critical];
            let routes: BTreeSet<(&str, &str)> = severities
                .into_iter()
                .flat_map(|severity| rules.topics(account.as_ref(), severity))
                .collect();
            return burst_id(&[draft.kind.name, "cause", &cause.key, &format!("{routes:?}")]);
        }
        let account = account.as_ref().and_then(|account| account.id.as_ref());
        burst_id(&[
            draft.kind.name,
            &format!("{:?}", self.severity),
            if draft.weight >= HEAVY { "heavy" } else { "" },
            &account.map(ToString::to_string).unwrap_or_default(),
            &draft.burst_key,
        ])
    }

    /// Where it came up, as people read it; none if that is not listed.
    fn shown_place(&self) -> Option<String> {
        let place = &self.pending.draft.cause.as_ref()?.place;
        let account = self.pending.account.as_ref();
        let account = account.filter(|account| {
            let id = account.id.as_ref();
            id.is_some_and(|id| id.to_string() == *place)
        });
        let name = account.and_then(|account| account.name.as_deref());
        Some(name.map_or_else(|| place.clone(), |name| format!("{name} ({place})")))
    }
}

/// What is done with an alert after its burst has decided.
enum Plan {
    /// What the burst decided.
    Decided(Decision),
    /// Publish it: the burst could not be read.
    Unremembered,
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
            let burst = alert.burst(&rules);
            let at = *known.entry(burst.clone()).or_insert_with(|| {
                bursts.push((burst, Vec::new()));
                bursts.len() - 1
            });
            bursts[at].1.push((index, alert));
        }
        let work = bursts.into_iter().map(async |(burst, alerts)| {
            let (indices, alerts): (Vec<usize>, Vec<RatedAlert<'_>>) = alerts.into_iter().unzip();
            // Boxed: the compiler gives up on the layout of so many nested futures.
            let publish = Box::pin(self.publish_burst(&burst, alerts, time));
            let published = timeout_at(time.deadline(), publish).await;
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
        let is_critical = |alert: &RatedAlert<'_>| alert.severity == Severity::Critical;
        let hurried = alerts.iter().any(is_critical);
        let claim = alerts.iter().map(async |alert| {
            let memory = Memory::of(alert.severity);
            let mut memory = if hurried { memory.hurried() } else { memory };
            let claim = self.claim_alert(alert, &mut memory, time).await;
            (claim, memory)
        });
        let mut claims: Vec<(Result<Option<Claim>>, Memory)> =
            stream::iter(claim).buffered(ALERTS_AT_ONCE).collect().await;
        let decided = self.decide_claimed(burst, &alerts, &mut claims, time).await;
        let finish = alerts.iter().zip(claims).zip(decided).map(
            async |((alert, (claim, mut memory)), decided)| match claim? {
                Some(Claim::Claimed) => match decided {
                    Ok(plan) => self.finish(alert, plan, memory, time).await,
                    Err(error) => {
                        self.release(&alert.record_id, &mut memory).await;
                        Err(error)
                    }
                },
                Some(Claim::Completed) => Ok(PublishOutcome::Duplicate),
                Some(Claim::InProgress) => Err(PublishError::InProgress),
                None => self.finish(alert, Plan::Unremembered, memory, time).await,
            },
        );
        stream::iter(finish)
            .buffered(ALERTS_AT_ONCE)
            .collect()
            .await
    }

    /// Claims an alert. One about something that was published at this level is completed. `None` if it is
    /// published without a claim.
    async fn claim_alert(
        &self,
        alert: &RatedAlert<'_>,
        memory: &mut Memory,
        time: &Time,
    ) -> Result<Option<Claim>> {
        if self.unrecorded.contains(&alert.record_id) {
            return Ok(Some(Claim::Completed));
        }
        if let Some((thing, level)) = &alert.pending.draft.level {
            let read = async { Ok(self.sent_alerts.level(thing).await?) };
            let published = memory.ask(read).await?.flatten();
            if published.is_some_and(|published| !level.rose_above(published)) {
                return Ok(Some(Claim::Completed));
            }
        }
        memory.ask(self.claim(&alert.record_id, time)).await
    }

    /// Decides on those alerts of a burst that are claimed.
    async fn decide_claimed(
        &self,
        burst: &str,
        alerts: &[RatedAlert<'_>],
        claims: &mut [(Result<Option<Claim>>, Memory)],
        time: &Time,
    ) -> Vec<Result<Plan>> {
        let claimed: Vec<usize> = (0..alerts.len())
            .filter(|index| matches!(claims[*index].0, Ok(Some(Claim::Claimed))))
            .collect();
        let mut plans: Vec<Result<Plan>> = alerts.iter().map(|_| Ok(Plan::Unremembered)).collect();
        if claimed.is_empty() {
            return plans;
        }
        let mut memory = Memory::of_all(claimed.iter().map(|index| claims[*index].1));
        let of_burst: Vec<&RatedAlert<'_>> = claimed.iter().map(|index| &alerts[*index]).collect();
        let decided = memory
            .ask(Box::pin(self.decide(burst, &of_burst, time)))
            .await;
        for (number, index) in claimed.into_iter().enumerate() {
            claims[index].1.share(memory);
            plans[index] = match &decided {
                Ok(Some(decisions)) => Ok(Plan::Decided(decisions[number])),
                Ok(None) if claims[index].1.is_optional() => Ok(Plan::Unremembered),
                Ok(None) => Err(PublishError::Unanswered),
                Err(error) => Err(error.clone()),
            };
        }
        plans
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
    async fn release(&self, record_id: &str, memory: &mut Memory) {
        let release = async { Ok(self.idempotency.release(record_id).await?) };
        if let Err(error) = memory.ask(release).await {
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
                let shown = alert.shown_place();
                let incoming = IncomingAlert {
                    key: &draft.dedup_key(),
                    headline: &draft.headline,
                    severity: alert.severity,
                    weight: draft.weight,
                    time: draft.time,
                    critical_from: draft.critical_from,
                    place: draft
                        .cause
                        .as_ref()
                        .zip(shown.as_deref())
                        .map(|(cause, shown)| Place {
                            id: &cause.place,
                            shown,
                        }),
                };
                windows.decide(incoming, time.began(), self.limits)
            });
            let decisions: Vec<Decision> = decide.collect();
            // Scheduled before an alert is held: a summary that finds nothing does no harm.
            let mut unscheduled = windows.take_unscheduled();
            unscheduled.retain(|window| scheduled.insert(*window));
            let held = alerts.iter().zip(&decisions);
            let held = held.filter(|(_, decision)| **decision == Decision::Summarize);
            let gravest = held
                .map(|(alert, _)| *alert)
                .max_by_key(|alert| (alert.severity, alert.pending.draft.weight));
            if let Some(example) = gravest {
                self.schedule(burst, unscheduled, example, time).await?;
            }
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

    /// Schedules the summaries of these windows, with one of the alerts that they hold.
    async fn schedule(
        &self,
        burst: &str,
        windows: Vec<(i64, i64)>,
        example: &RatedAlert<'_>,
        time: &Time,
    ) -> Result<()> {
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
        let tasks = summaries.into_iter().map(|summary| {
            let left = summary.end.saturating_sub(time.began().as_millisecond());
            // Whole seconds, rounded up.
            let delay = Duration::from_secs(u64::try_from(left / 1_000 + 1).unwrap_or_default());
            (Task::Summary(summary), delay)
        });
        self.send_tasks(tasks.collect()).await
    }

    /// Sends tasks to the function's own queue, with their delays.
    async fn send_tasks(&self, tasks: Vec<(Task, Duration)>) -> Result<()> {
        let messages = tasks
            .into_iter()
            .filter_map(|(task, delay)| Some((serde_json::to_string(&task).ok()?, delay)))
            .collect();
        let (queue, url) = &self.queue;
        let sent = queue.send(url, messages).await;
        sent.map_err(|error| PublishError::Task(Arc::new(error)))
    }

    /// Publishes an alert on the topics of its routes, once on each: it is on the topic of its severity already.
    ///
    /// # Errors
    /// If a topic or the table failed: the task can be retried.
    pub async fn publish_on_routes(&self, alert: &Alert, time: &Time) -> Result<PublishOutcome> {
        let rules = self.rules.current();
        // It has been published: what is left can wait for the memory.
        let mut memory = Memory::of(Severity::Error);
        for (_, topic) in rules.topics(alert.account.as_ref(), alert.severity) {
            if topic != self.topics.of(alert.severity) {
                self.publish_once_on(topic, alert, &mut memory, time)
                    .await?;
            }
        }
        Ok(PublishOutcome::Published)
    }

    /// Publishes a claimed alert, or leaves it to the summary.
    async fn finish(
        &self,
        rated: &RatedAlert<'_>,
        plan: Plan,
        mut memory: Memory,
        time: &Time,
    ) -> Result<PublishOutcome> {
        let draft = &rated.pending.draft;
        if !memory.is_optional() {
            // No critical alert waits for it any more.
            memory = Memory::of(rated.severity);
        }
        let position = match plan {
            Plan::Decided(Decision::Summarize) => {
                let complete = async { Ok(self.idempotency.complete(&rated.record_id).await?) };
                memory.ask(complete).await?;
                return Ok(PublishOutcome::Summarized);
            }
            Plan::Decided(Decision::Publish(position)) => position,
            Plan::Unremembered => 1,
        };
        let raised = draft.critical_from.is_some_and(|from| position >= from);
        let severity = if raised {
            Severity::Critical
        } else {
            rated.severity
        };
        if severity > rated.severity {
            memory = Memory::of(severity);
        }
        let mut alert = draft.alert(rated.pending.account.as_ref(), severity);
        if raised {
            let window = in_words(self.limits.window);
            let title = uncapitalized(&alert.title);
            let title = format!("No. {position} within {window}: {title}");
            alert.title = shorten(&title, TITLE_CHARACTERS);
        }
        if memory.failed() {
            let (label, text) = MAY_BE_REPEATED;
            alert.details.0.push((label.to_owned(), text.to_owned()));
        }
        let published = self
            .publish(&alert, rated.pending.account_unread, &mut memory, time)
            .await;
        if let Err(error) = published {
            self.release(&rated.record_id, &mut memory).await;
            return Err(error);
        }
        let remember = async {
            if let Some((thing, level)) = &draft.level {
                self.sent_alerts
                    .put_level(thing, *level, expires(time))
                    .await?;
            }
            Ok(self.idempotency.complete(&rated.record_id).await?)
        };
        memory.ask(remember).await?;
        if memory.failed() {
            // A claim that was only late has arrived: then a duplicate of the message finds the alert published.
            let late = self.idempotency.complete(&rated.record_id);
            let recorded = timeout(LATE, late).await.is_ok_and(|late| late.is_ok());
            tracing::info!(recorded, "critical alert published without its record");
            self.unrecorded.add(&rated.record_id);
            return Ok(PublishOutcome::Unremembered);
        }
        Ok(PublishOutcome::Published)
    }

    /// Publishes an alert on the topic of its severity, and on those that its routes add.
    async fn publish(
        &self,
        alert: &Alert,
        account_unread: bool,
        memory: &mut Memory,
        time: &Time,
    ) -> Result<()> {
        self.publish_by_routes_of(alert.account.as_ref(), alert, account_unread, memory, time)
            .await?;
        self.published.add(alert.severity);
        Ok(())
    }

    /// The same for an alert with the routes of that account.
    async fn publish_by_routes_of(
        &self,
        account: Option<&AlertAccount>,
        alert: &Alert,
        account_unread: bool,
        memory: &mut Memory,
        time: &Time,
    ) -> Result<()> {
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
            results.push(self.publish_once_on(topic, alert, memory, time).await);
        }
        if unknown_routes {
            // Not the message itself: without the memory it would be published again on every topic.
            let alert = alert.clone();
            let task = (Task::Routes { alert }, Duration::ZERO);
            results.push(self.send_tasks(vec![task]).await);
        }
        // A retryable reason wins over a permanent one.
        let failures = results.into_iter().filter_map(std::result::Result::err);
        failures.max_by_key(Reason::retryable).map_or(Ok(()), Err)
    }

    async fn publish_on(&self, topic: &str, alert: &Alert) -> Result<()> {
        let published = self.topics.publish_on(topic, alert).await;
        published.map_err(|error| PublishError::Topic(Arc::new(error)))
    }

    async fn publish_once_on(
        &self,
        topic: &str,
        alert: &Alert,
        memory: &mut Memory,
        time: &Time,
    ) -> Result<()> {
        let id = format!("{}#{topic}", alert_record_id(&alert.dedup_key));
        if self.unrecorded.contains(&id) {
            return Ok(());
        }
        match memory.ask(self.claim(&id, time)).await? {
            Some(Claim::Completed) => return Ok(()),
            Some(Claim::InProgress) => return Err(PublishError::InProgress),
            Some(Claim::Claimed) | None => {}
        }
        if let Err(error) = self.publish_on(topic, alert).await {
            self.release(&id, memory).await;
            return Err(error);
        }
        let complete = async { Ok(self.idempotency.complete(&id).await?) };
        if memory.ask(complete).await?.is_none() {
            self.unrecorded.add(&id);
        }
        Ok(())
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
        let Some(window) = closed.await?.filter(|window| window.count > 0) else {
            return Ok(PublishOutcome::Duplicate);
        };
        let alert = summary.alert(&window);
        let id = alert_record_id(&alert.dedup_key);
        let outcome = match self.claim(&id, time).await? {
            Claim::InProgress => return Err(PublishError::InProgress),
            Claim::Completed => PublishOutcome::Duplicate,
            Claim::Claimed => {
                let account = summary.example.account.as_ref();
                // A summary needs the memory: without, there is nothing to say.
                let mut memory = Memory::of(Severity::Error);
                let published =
                    self.publish_by_routes_of(account, &alert, false, &mut memory, time);
                if let Err(error) = published.await {
                    self.release(&id, &mut memory).await;
                    return Err(error);
                }
                self.published.add(alert.severity);
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
