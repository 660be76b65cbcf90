//! A batch of the remediation queue: what is decided about its findings, and what follows.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use futures::{StreamExt, stream};
use jiff::SignedDuration;
use orgkeeper_shared::{
    account_directory::{
        table::DirectoryTable,
        task::{ACCOUNTS_PER_RE_ENRICHMENT, Task},
    },
    alert::Alert,
    alert_topics::AlertTopics,
    aws_error::AwsCallError,
    ids::AccountId,
    lambda::{Outcomes, Time, Work},
    queue::{Failure, Postponed, Queue, Reason, receives},
    remediation::{
        archive::ArchiveTask,
        breaker::{ALL, Breaker, Limits, Stop},
        control::Control,
        order::{Order, Parameters, Task as OrderTask},
        planning::{PlanningTask, task_in},
        record::{Sighting, today, undoing::UndoBegun},
        table::RemediationTable,
        target::Target,
    },
    security_hub::event::UnusableEvent,
};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::{
    active_playbook::{ActivePlaybook, InForce, NoPlaybook},
    alerts,
    decision::{Decision, Ignored, Lookup, Refusal, Rules, control_to_decide, decide},
    finding::{Finding, Malformed, findings_in},
    fixing::{Fixing, preview_key},
    gateway::executions::{Executions, Input},
    matter::{Matter, Matters, is_reported},
    playbook::Mode,
    targets::{Candidate, targets_of},
};

/// Matters whose calls are in progress at once.
const AT_ONCE: usize = 10;
/// A finding of a new account waits for the account's entry for so long, and is looked at again so often.
const WAIT_FOR_ENTRY: Duration = Duration::from_mins(15);
const BETWEEN_LOOKS: Duration = Duration::from_secs(20);

/// An alert about the circuit breaker that was not published after so long is published by another batch.
const STOP_UNREPORTED: SignedDuration = SignedDuration::from_mins(2);

/// Why nothing was decided about a message, or what was decided could not be done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotPlanned {
    /// The message is no Security Hub event.
    #[error("the message cannot be understood")]
    Unusable(#[source] UnusableEvent),
    /// One of its findings cannot be understood; the others were decided.
    #[error("a finding of the message cannot be understood")]
    Malformed(#[source] Malformed),
    /// There is no playbook.
    #[error("nothing is decided without a playbook")]
    Playbook(#[source] Arc<NoPlaybook>),
    /// The account of a finding could not be looked up.
    #[error("the account directory could not be read")]
    Directory(#[source] Arc<AwsCallError>),
    /// What was decided could not be noted or ordered.
    #[error("what was decided could not be done")]
    Call(#[source] Arc<AwsCallError>),
}

impl Reason for NotPlanned {
    fn retryable(&self) -> bool {
        match self {
            Self::Unusable(_) | Self::Malformed(_) => false,
            Self::Playbook(error) => error.retryable(),
            Self::Directory(error) | Self::Call(error) => error.retryable_or_denied(),
        }
    }
}

/// What became of a matter.
#[derive(Clone, Debug)]
enum Outcome {
    Done(&'static str),
    /// Its account has no entry yet.
    WaitsForEntry,
    /// Time ran out first.
    NotReached,
    Failed(NotPlanned),
}

/// Decides about one batch after another.
#[derive(Debug)]
pub struct Planner {
    /// The playbook.
    pub playbook: ActivePlaybook,
    /// The most that is done.
    pub ceiling: Mode,
    /// Accounts in which nothing is changed.
    pub protected: Vec<AccountId>,
    /// The organization's accounts.
    pub directory: DirectoryTable,
    /// What is known of each control on each resource.
    pub table: RemediationTable,
    /// How many fixes may start within an hour.
    pub limits: Limits,
    /// Held while a fix is counted.
    pub taking: tokio::sync::Mutex<()>,
    /// Starts fixes.
    pub executions: Executions,
    /// Sends messages.
    pub queue: Queue,
    /// The queue for previews.
    pub preview_queue_url: String,
    /// The queue for suppressions.
    pub archive_queue_url: String,
    /// The queue of `directory-refresher`.
    pub directory_queue_url: String,
    /// Where alerts are published.
    pub topics: AlertTopics,
    /// The Region of the stack.
    pub region: String,
    /// The version of the refused playbook that was reported.
    pub reported_playbook: Mutex<Option<String>>,
}

/// A finding of a batch that can come to something.
struct Open<'a> {
    message: usize,
    finding: &'a Finding,
    control: &'static Control,
    candidates: Vec<Candidate<'a>>,
}

impl Work for Planner {
    const FUNCTION: &'static str = "remediation-planner";
    type Reason = NotPlanned;

    async fn work<'a>(&self, messages: &'a [SqsMessage], time: &Time) -> Outcomes<'a, NotPlanned> {
        let in_force = match self.playbook.in_force(time.began()).await {
            Ok(in_force) => in_force,
            Err(error) => {
                let reason = NotPlanned::Playbook(Arc::new(error));
                let failed = messages.iter().map(|message| Failure {
                    message,
                    reason: reason.clone(),
                });
                return Outcomes::new(failed.collect());
            }
        };
        self.report_playbook(&in_force, time).await;
        let rules = Rules {
            playbook: &in_force.file,
            ceiling: self.ceiling,
            today: today(time.began()),
            now: time.began(),
            protected: &self.protected,
        };

        let mut failed: BTreeMap<usize, NotPlanned> = BTreeMap::new();
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        let events = self.undo_all(messages, time, &mut failed, &mut counts);
        let read: Vec<_> = events
            .await
            .into_iter()
            .map(|(place, body)| (place, findings_in(body)))
            .collect();
        let mut open = Vec::new();
        let mut ignored = 0;
        for &(place, ref findings) in &read {
            let findings = match findings {
                Ok(findings) => findings,
                Err(error) => {
                    failed.insert(place, NotPlanned::Unusable(*error));
                    continue;
                }
            };
            for finding in findings {
                match finding {
                    Err(error) => {
                        failed.insert(place, NotPlanned::Malformed(*error));
                    }
                    Ok(finding) => match control_to_decide(finding, &rules) {
                        Err(_) => ignored += 1,
                        Ok(control) => open.push(Open {
                            message: place,
                            finding,
                            control,
                            candidates: targets_of(finding, control),
                        }),
                    },
                }
            }
        }

        let outcomes = self.plan(&open, &rules, messages, time).await;
        let mut waiting: HashMap<usize, Duration> = HashMap::new();
        for (matter, outcome) in outcomes {
            match outcome {
                Outcome::Done(metric) => *counts.entry(metric).or_default() += 1,
                Outcome::WaitsForEntry => {
                    waiting.extend(matter.messages.iter().map(|place| (*place, BETWEEN_LOOKS)));
                }
                Outcome::NotReached => {
                    for place in &matter.messages {
                        waiting.entry(*place).or_default();
                    }
                }
                Outcome::Failed(reason) => {
                    let places = matter.messages.iter();
                    failed.extend(places.map(|place| (*place, reason.clone())));
                }
            }
        }
        let postponed = waiting
            .into_iter()
            .filter(|(place, _)| !failed.contains_key(place))
            .filter_map(|(place, delay)| {
                let message = messages.get(place)?;
                let body = message.body.as_deref().unwrap_or_default().into();
                Some(Postponed {
                    message,
                    body,
                    delay,
                })
            });
        let postponed = postponed.collect();
        let failures = failed.into_iter().filter_map(|(place, reason)| {
            let message = messages.get(place)?;
            Some(Failure { message, reason })
        });
        let outcomes = Outcomes::new(failures.collect())
            .postpone(postponed)
            .count("FindingsIgnored", ignored);
        counts
            .into_iter()
            .fold(outcomes, |outcomes, (metric, value)| {
                outcomes.count(metric, value)
            })
    }
}

impl Planner {
    /// Has the undos done that people order. Returns the other messages: each one's place and body.
    async fn undo_all<'a>(
        &self,
        messages: &'a [SqsMessage],
        time: &Time,
        failed: &mut BTreeMap<usize, NotPlanned>,
        counts: &mut BTreeMap<&'static str, usize>,
    ) -> Vec<(usize, &'a str)> {
        let mut events = Vec::new();
        for (place, message) in messages.iter().enumerate() {
            let body = message.body.as_deref().unwrap_or_default();
            let Some(PlanningTask::Undo { key, by }) = task_in(body) else {
                events.push((place, body));
                continue;
            };
            match self.undo(&key, &by, receives(message) > 1, time).await {
                Ok(metric) => *counts.entry(metric).or_default() += 1,
                Err(error) => {
                    failed.insert(place, NotPlanned::Call(Arc::new(error)));
                }
            }
        }
        events
    }

    /// Decides about the findings, and does what follows.
    async fn plan(
        &self,
        open: &[Open<'_>],
        rules: &Rules<'_>,
        messages: &[SqsMessage],
        time: &Time,
    ) -> Vec<(Matter, Outcome)> {
        let accounts: BTreeSet<AccountId> =
            open.iter().map(|it| it.finding.account.clone()).collect();
        let entries = if accounts.is_empty() {
            HashMap::new()
        } else {
            self.directory.read(&accounts).await
        };
        let mut matters = Matters::default();
        for Open {
            message,
            finding,
            control,
            candidates,
        } in open
        {
            for candidate in candidates {
                let account = Lookup::from(entries.get(&finding.account));
                let decision = decide(finding, control, candidate, account, rules);
                matters.add(
                    *message,
                    finding,
                    control,
                    candidate,
                    decision,
                    time.began(),
                );
            }
        }
        let matters: Vec<Matter> = matters.into_all().collect();
        let unknown: BTreeSet<&AccountId> = matters
            .iter()
            .filter(|matter| matter.decision == Decision::Refused(Refusal::NoEntry))
            .map(|matter| &matter.subject.target.account)
            .collect();
        let requested = self.request(&unknown, time).await;
        let breaker = self.breaker(&matters, time).await.map_err(Arc::new);
        let done = matters.into_iter().map(async |matter| {
            if Instant::now() >= time.start_until() {
                return (matter, Outcome::NotReached);
            }
            let outcome = match (&matter.decision, &requested) {
                (Decision::Refused(Refusal::LookupFailed), _) => {
                    match entries.get(&matter.subject.target.account) {
                        Some(Err(error)) => {
                            Outcome::Failed(NotPlanned::Directory(Arc::clone(error)))
                        }
                        _ => Outcome::WaitsForEntry,
                    }
                }
                (Decision::Refused(Refusal::NoEntry), Err(error)) => {
                    Outcome::Failed(NotPlanned::Call(Arc::clone(error)))
                }
                (Decision::Refused(Refusal::NoEntry), Ok(())) if is_new(&matter, time) => {
                    Outcome::WaitsForEntry
                }
                _ => {
                    let doing = self.carry_out(&matter, &breaker, messages, time);
                    match timeout_at(time.deadline(), doing).await {
                        Ok(Ok(metric)) => Outcome::Done(metric),
                        Ok(Err(error)) => Outcome::Failed(NotPlanned::Call(error)),
                        Err(_) => Outcome::NotReached,
                    }
                }
            };
            (matter, outcome)
        });
        stream::iter(done).buffer_unordered(AT_ONCE).collect().await
    }

    /// Notes a decision and does what follows. Gives the name of the metric that counts it.
    async fn carry_out(
        &self,
        matter: &Matter,
        breaker: &Result<Breaker, Arc<AwsCallError>>,
        messages: &[SqsMessage],
        time: &Time,
    ) -> Result<&'static str, Arc<AwsCallError>> {
        let sighting = &Sighting {
            findings: &matter.findings,
            updated_at: matter.updated_at,
            tags: matter.tags.as_ref(),
            actor: matter.actor.as_deref(),
        };
        let again = was_received_before(matter, messages);
        let done = match &matter.decision {
            Decision::Fix { order, conditions } | Decision::Ask { order, conditions } => {
                let fixing = &Fixing {
                    matter,
                    sighting,
                    order,
                    conditions,
                    breaker: breaker.as_ref().map_err(Arc::clone)?,
                    again,
                };
                if matches!(matter.decision, Decision::Ask { .. }) {
                    self.ask(fixing, time).await
                } else {
                    self.fix(fixing, None, time).await
                }
            }
            decision => self.note(matter, decision, sighting, again, time).await,
        };
        done.map_err(Arc::new)
    }

    /// Notes a decision by which nothing is fixed.
    async fn note(
        &self,
        matter: &Matter,
        decision: &Decision,
        sighting: &Sighting<'_>,
        again: bool,
        time: &Time,
    ) -> Result<&'static str, AwsCallError> {
        let Matter {
            subject, findings, ..
        } = matter;
        let now = time.now();
        match decision {
            Decision::Ignore(ignored @ Ignored::Exempt { .. }) => {
                let reason = ignored.to_string();
                self.table.exempt(subject, sighting, &reason, now).await?;
                Ok("RemediationsExempt")
            }
            Decision::Ignore(_) => Ok("FindingsIgnored"),
            Decision::Observe { order, .. } => {
                let of_order = preview_key(order);
                let observed = self
                    .table
                    .observe(subject, sighting, &of_order, false, now)
                    .await?;
                self.look(matter, order, observed, again).await?;
                Ok("RemediationsObserved")
            }
            Decision::Suppress { reason, until } => {
                self.table
                    .suppress(subject, sighting, *until, reason, now)
                    .await?;
                let task = ArchiveTask::Suppress {
                    key: subject.key.clone(),
                    findings: findings.clone(),
                    bare: matter.bare.keys().cloned().collect(),
                    as_of: matter.bare.values().min().copied(),
                    reason: reason.clone(),
                    until: *until,
                };
                self.send(&self.archive_queue_url, json!(task).to_string())
                    .await?;
                Ok("RemediationsSuppressed")
            }
            Decision::Fix { .. } | Decision::Ask { .. } => Ok("RemediationsRecent"),
            Decision::Refused(refusal) => {
                let reason = refusal.to_string();
                let new = self.table.refuse(subject, sighting, &reason, now).await?;
                tracing::warn!(control = subject.control, reason, "nothing is changed");
                if new && is_reported(refusal) {
                    self.publish(&alerts::finding_refused(subject, &reason, now))
                        .await?;
                }
                Ok("RemediationsRefused")
            }
        }
    }

    /// Undoes a fix for a person.
    async fn undo(
        &self,
        key: &str,
        by: &str,
        again: bool,
        time: &Time,
    ) -> Result<&'static str, AwsCallError> {
        if self.ceiling == Mode::Off {
            tracing::warn!(key, "nothing is undone: RemediationMode is off");
            return Ok("UndosRefused");
        }
        let (attempt, undo) = match self.table.begin_undo(key, by, time.now()).await? {
            UndoBegun::Started { attempt, undo } => (attempt, undo),
            // An execution of the same name is not started twice.
            UndoBegun::Running { attempt, undo } if again => (attempt, undo),
            UndoBegun::Running { .. } => return Ok("UndosStarted"),
            UndoBegun::No(why) => {
                tracing::warn!(key, %why, "nothing is undone");
                return Ok("UndosRefused");
            }
        };
        let Some(record) = self.table.read(key).await? else {
            return Ok("UndosRefused");
        };
        let order = Order {
            task: OrderTask::Undo,
            control: record.control,
            action: record.action,
            target: Target {
                account: record.account,
                region: record.region,
                resource: record.resource,
            },
            parameters: Parameters::new(),
            undo: Some(undo),
            since: None,
        };
        let input = Input {
            key,
            attempt,
            order: &order,
            findings: &record.findings,
            actor: None,
        };
        self.execute(&input, time).await?;
        Ok("UndosStarted")
    }

    /// The circuit breaker, if something is to be fixed; publishes what was not published about it.
    async fn breaker(&self, matters: &[Matter], time: &Time) -> Result<Breaker, AwsCallError> {
        let fixes = |matter: &Matter| {
            matches!(matter.decision, Decision::Fix { .. } | Decision::Ask { .. })
        };
        if !matters.iter().any(fixes) {
            return Ok(Breaker::default());
        }
        let breaker = self.table.breaker().await?;
        for (scope, stop) in breaker.owed() {
            if time.now().duration_since(stop.at) > STOP_UNREPORTED
                && let Err(error) = self.report_stop(scope, stop).await
            {
                tracing::warn!(%error, "the alert about the circuit breaker is published later");
            }
        }
        Ok(breaker)
    }

    /// Publishes what the circuit breaker has stopped.
    pub(crate) async fn report_stop(&self, scope: &str, stop: &Stop) -> Result<(), AwsCallError> {
        let account = (scope != ALL).then_some(scope);
        self.publish(&alerts::stopped(account, stop, &self.region))
            .await?;
        self.table.breaker_alerted(scope).await
    }

    pub(crate) async fn start(
        &self,
        matter: &Matter,
        order: &Order,
        attempt: u32,
        time: &Time,
    ) -> Result<&'static str, AwsCallError> {
        self.execute(&input(matter, order, attempt), time).await?;
        Ok("RemediationsStarted")
    }

    /// Starts the execution of an attempt.
    async fn execute(&self, input: &Input<'_>, time: &Time) -> Result<(), AwsCallError> {
        let Err(error) = self.executions.start(input).await else {
            return Ok(());
        };
        // Nobody knows whether a call without an answer has started it: the retry starts the same attempt.
        if !error.retryable() {
            let reason = "the execution could not be started";
            self.table
                .abandon(input.key, input.attempt, reason, time.now())
                .await?;
        }
        Err(error)
    }

    /// Asks for a preview.
    pub(crate) async fn preview(&self, matter: &Matter, order: &Order) -> Result<(), AwsCallError> {
        self.read(matter, order, Duration::ZERO).await
    }

    /// Sends an order that changes nothing, after a delay.
    pub(crate) async fn read(
        &self,
        matter: &Matter,
        order: &Order,
        delay: Duration,
    ) -> Result<(), AwsCallError> {
        let input = json!(input(matter, order, 0)).to_string();
        self.send_later(&self.preview_queue_url, input, delay).await
    }

    /// Has the findings show what is known already, if so.
    pub(crate) async fn show_if(&self, shows: bool, matter: &Matter) -> Result<(), AwsCallError> {
        if !shows {
            return Ok(());
        }
        let task = ArchiveTask::Show {
            key: matter.subject.key.clone(),
            findings: matter.findings.clone(),
        };
        self.send(&self.archive_queue_url, json!(task).to_string())
            .await
    }

    /// Has it published that a matter is left open, and by whom it was changed back, as its findings say.
    pub(crate) async fn publish_left_open(&self, matter: &Matter) -> Result<(), AwsCallError> {
        let key = matter.subject.key.clone();
        let task = ArchiveTask::LeftOpen { key };
        self.send(&self.archive_queue_url, json!(task).to_string())
            .await
    }

    async fn send(&self, queue_url: &str, body: String) -> Result<(), AwsCallError> {
        self.send_later(queue_url, body, Duration::ZERO).await
    }

    async fn send_later(
        &self,
        queue_url: &str,
        body: String,
        delay: Duration,
    ) -> Result<(), AwsCallError> {
        self.queue.send(queue_url, vec![(body, delay)]).await
    }

    pub(crate) async fn publish(&self, alert: &Alert) -> Result<(), AwsCallError> {
        self.topics.publish(alert).await
    }

    /// Asks `directory-refresher` to read accounts that have no entry.
    async fn request(
        &self,
        accounts: &BTreeSet<&AccountId>,
        time: &Time,
    ) -> Result<(), Arc<AwsCallError>> {
        if accounts.is_empty() {
            return Ok(());
        }
        let since = time.began().as_second();
        let accounts: Vec<AccountId> = accounts.iter().map(|account| (*account).clone()).collect();
        let tasks = accounts.chunks(ACCOUNTS_PER_RE_ENRICHMENT).map(|group| {
            let task = Task::entries_needed(group.iter().cloned(), since);
            (json!(task).to_string(), Duration::ZERO)
        });
        self.queue
            .send(&self.directory_queue_url, tasks.collect())
            .await
            .map_err(Arc::new)
    }

    /// Publishes an alert about a playbook that is refused, once for each version.
    async fn report_playbook(&self, in_force: &InForce, time: &Time) {
        let Some(refused) = &in_force.refused else {
            return;
        };
        let reported = || {
            self.reported_playbook
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if reported().as_ref() == Some(&refused.version) {
            return;
        }
        let alert = alerts::playbook_refused(refused, &self.region, time.now());
        match self.publish(&alert).await {
            Ok(()) => *reported() = Some(refused.version.clone()),
            Err(error) => {
                tracing::error!(%error, "the alert about the playbook is published later");
            }
        }
    }
}

fn input<'m>(matter: &'m Matter, order: &'m Order, attempt: u32) -> Input<'m> {
    Input {
        key: &matter.subject.key,
        attempt,
        order,
        findings: &matter.findings,
        actor: matter.actor.as_deref(),
    }
}

fn was_received_before(matter: &Matter, messages: &[SqsMessage]) -> bool {
    let mut of_matter = matter
        .messages
        .iter()
        .filter_map(|place| messages.get(*place));
    of_matter.any(|message| receives(message) > 1)
}

/// Whether the account can still be on its way into the directory. The event's own time counts: a message that goes on
/// as a new one is always young.
fn is_new(matter: &Matter, time: &Time) -> bool {
    matter.sent_at.is_some_and(|sent_at| {
        let waited = time.began().duration_since(sent_at);
        waited.unsigned_abs() < WAIT_FOR_ENTRY
    })
}
