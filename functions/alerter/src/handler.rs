//! A batch of the alerts queue: which of its events are published, and which messages failed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use futures::future::{join, join_all};
use jiff::Timestamp;
use orgkeeper_shared::{
    account_directory::{
        entry::AccountEntry,
        table::{DirectoryTable, Stored},
    },
    alert::{AlertAccount, Severity},
    ids::AccountId,
    lambda::{Outcomes, Time, Work},
    queue::Failure,
};
use tokio::time::{timeout, timeout_at};

use crate::{
    draft::Draft,
    gateway::root_sessions::RootSessions,
    kinds::{self, classifier::Classification, root_use, unrecognized},
    message::Message,
    publish_error::PublishError,
    publisher::{AlertPublisher, PendingAlert, PublishOutcome},
    rules::Rules,
    task::Task,
};

/// How long an alert waits for the name of its account.
const LOOKUP: Duration = Duration::from_secs(1);

/// Publishes the alerts of one batch after another.
#[derive(Debug)]
pub struct Alerter {
    publisher: AlertPublisher,
    directory: Option<DirectoryTable>,
    root_sessions: RootSessions,
    mail_topics: Vec<String>,
}

/// The result of each message, by its index in the batch.
type Results = BTreeMap<usize, Result<PublishOutcome, PublishError>>;

impl Work for Alerter {
    const FUNCTION: &'static str = "alerter";
    type Reason = PublishError;

    async fn work<'a>(
        &self,
        messages: &'a [SqsMessage],
        time: &Time,
    ) -> Outcomes<'a, PublishError> {
        let Batch { drafts, tasks } = classify(messages, time.began());
        let unrecognized = drafts
            .iter()
            .filter(|(draft, _)| draft.kind == unrecognized::KIND)
            .count();
        let mut results = Results::new();
        let (drafts, indices): (Vec<Draft>, Vec<Vec<usize>>) = drafts.into_iter().unzip();
        // At once: each takes a second at most. Boxed: the compiler gives up on the layout of so many nested futures.
        let (mut alerts, ()) = join(
            Box::pin(self.with_lookups(drafts, time.began())),
            Box::pin(self.publisher.rules.refresh(time.began())),
        )
        .await;
        alerts.extend(self.publisher.rules.report().map(|draft| PendingAlert {
            draft,
            account: None,
            account_unread: false,
        }));
        let published = Box::pin(self.publisher.publish_all(&alerts, time)).await;
        if let (Some(alert), Some(Ok(_))) = (alerts.get(indices.len()), published.last()) {
            self.publisher.rules.published(&alert.draft.key);
        }
        for (indices, result) in indices.into_iter().zip(published) {
            results.extend(indices.into_iter().map(|index| (index, result.clone())));
        }
        let trail_events = tasks.iter().filter(|(_, task)| *task == Task::TrailEvent);
        let trail_events = trail_events.count();
        let mut unconfirmed = None;
        for (index, task) in tasks {
            if task == Task::Check {
                let checked = timeout_at(time.deadline(), self.topics_unconfirmed()).await;
                let checked = checked.unwrap_or(Err(PublishError::OutOfTime));
                results.insert(
                    index,
                    checked.map(|topics| {
                        unconfirmed = Some(topics);
                        PublishOutcome::Checked
                    }),
                );
                continue;
            }
            let done = timeout_at(time.deadline(), Box::pin(self.perform(task, time))).await;
            results.insert(index, done.unwrap_or(Err(PublishError::OutOfTime)));
        }

        let count = |outcome: PublishOutcome| {
            let outcomes = results.values();
            outcomes
                .filter(|result| matches!(result, Ok(it) if *it == outcome))
                .count()
        };
        let unremembered = count(PublishOutcome::Unremembered);
        let counts = [
            (
                "AlertsPublished",
                count(PublishOutcome::Published) + unremembered,
            ),
            ("AlertsUnremembered", unremembered),
            ("AlertsDuplicate", count(PublishOutcome::Duplicate)),
            ("AlertsSummarized", count(PublishOutcome::Summarized)),
            ("AlertsSilenced", count(PublishOutcome::Silenced)),
            ("AlertsUnrecognized", unrecognized),
        ];
        let failures = results.into_iter().filter_map(|(index, result)| {
            let (reason, message) = (result.err()?, messages.get(index)?);
            Some(Failure { message, reason })
        });
        let outcomes = Outcomes::new(failures.collect());
        let trail_events = (trail_events > 0).then_some(("TrailEvents", trail_events));
        counts
            .into_iter()
            .chain(self.publisher.published.take())
            .chain(trail_events)
            .chain(unconfirmed.map(|topics| ("TopicsUnconfirmed", topics)))
            .fold(outcomes, |outcomes, (metric, value)| {
                outcomes.count(metric, value)
            })
    }
}

impl Alerter {
    /// An alerter over `publisher`. Account names come from `directory`, who opened a session from `root_sessions`.
    /// `mail_topics` have an address that receives mail.
    #[must_use]
    pub fn new(
        publisher: AlertPublisher,
        directory: Option<DirectoryTable>,
        root_sessions: RootSessions,
        mail_topics: Vec<String>,
    ) -> Self {
        Self {
            publisher,
            directory,
            root_sessions,
            mail_topics,
        }
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        self.publisher.rules.current()
    }

    /// Performs a task.
    async fn perform(&self, task: Task, time: &Time) -> Result<PublishOutcome, PublishError> {
        match task {
            Task::Check | Task::TrailEvent => Ok(PublishOutcome::Checked),
            Task::Summary(summary) => self.publisher.publish_summary(&summary, time).await,
            Task::Routes { mut alert } => {
                let id = alert
                    .account
                    .as_ref()
                    .and_then(|account| account.id.clone());
                if let Some(id) = id {
                    let accounts = self.accounts(BTreeSet::from([id.clone()])).await;
                    if accounts.is_unread(&id) {
                        return Err(PublishError::UnknownRoutes);
                    }
                    alert.account = Some(accounts.named(id));
                }
                self.publisher.publish_on_routes(&alert, time).await
            }
        }
    }

    /// The number of topics with an address whose mail subscription nobody has confirmed. The topic of errors is read
    /// in any case: the record of that call is the trail event.
    async fn topics_unconfirmed(&self) -> Result<usize, PublishError> {
        let topics = &self.publisher.topics;
        let errors = topics.of(Severity::Error);
        let mut unconfirmed = 0;
        let others = self.mail_topics.iter().map(String::as_str);
        for topic in others.filter(|topic| *topic != errors).chain([errors]) {
            let confirmed = topics.has_confirmed_mail(topic).await;
            let confirmed = confirmed.map_err(|error| PublishError::Check(Arc::new(error)))?;
            let wanted = self.mail_topics.iter().any(|wanted| wanted == topic);
            unconfirmed += usize::from(wanted && !confirmed);
        }
        Ok(unconfirmed)
    }

    /// The drafts with what the tables know of their accounts and sessions.
    pub async fn with_lookups(&self, mut drafts: Vec<Draft>, now: Timestamp) -> Vec<PendingAlert> {
        let (accounts, sessions) =
            join(self.accounts_of(&drafts), self.sessions_of(&drafts, now)).await;
        for draft in &mut drafts {
            if let Some(key) = draft.session_key.clone() {
                root_use::attribute(draft, sessions.get(&key).map(String::as_str));
            }
            if !draft.trusted_accounts.is_empty() {
                let trusted = accounts.names_of(&draft.trusted_accounts);
                let unread = trusted.is_none();
                draft.know_trusted(&trusted.unwrap_or_default(), unread);
            }
        }
        drafts
            .into_iter()
            .map(|draft| PendingAlert {
                account: draft.account.clone().map(|id| accounts.named(id)),
                account_unread: draft
                    .account
                    .as_ref()
                    .is_some_and(|id| accounts.is_unread(id)),
                draft,
            })
            .collect()
    }

    /// What the directory knows of the accounts of these drafts. If it does not answer, alerts have ids only.
    async fn accounts_of(&self, drafts: &[Draft]) -> Accounts {
        let ids = drafts
            .iter()
            .flat_map(|draft| draft.account.iter().chain(&draft.trusted_accounts));
        self.accounts(ids.cloned().collect()).await
    }

    async fn accounts(&self, ids: BTreeSet<AccountId>) -> Accounts {
        let mut accounts = Accounts {
            exist: self.directory.is_some(),
            ..Accounts::default()
        };
        if let Some(directory) = self.directory.as_ref().filter(|_| !ids.is_empty()) {
            let read = timeout(LOOKUP, directory.read(&ids)).await;
            accounts.timed_out = read.is_err();
            accounts.stored = read.unwrap_or_default();
        }
        if accounts.timed_out || accounts.stored.values().any(Result::is_err) {
            tracing::warn!(
                accounts = ids.len(),
                timed_out = accounts.timed_out,
                "account directory not read, alerts are published without account names"
            );
        }
        accounts
    }

    /// Who opened the sessions that may have made the calls of these drafts, by access key ids. Those that the drafts
    /// report are remembered.
    async fn sessions_of(&self, drafts: &[Draft], now: Timestamp) -> HashMap<String, String> {
        let opened: HashMap<String, String> = drafts
            .iter()
            .filter_map(|draft| draft.opened_session.clone())
            .map(|session| (session.access_key_id, session.who))
            .collect();
        let unknown: BTreeSet<&String> = drafts
            .iter()
            .filter_map(|draft| draft.session_key.as_ref())
            .filter(|key| !opened.contains_key(*key))
            .collect();
        let remember = opened
            .iter()
            .map(|(key, who)| self.root_sessions.remember(key, who, now));
        let look_up = unknown.into_iter().map(async |key| {
            let who = self.root_sessions.who_opened(key).await?;
            Some((key.clone(), who))
        });
        let (_, found) = join(join_all(remember), join_all(look_up)).await;
        found.into_iter().flatten().chain(opened.clone()).collect()
    }
}

/// What the directory knows of the accounts of a batch.
#[derive(Default)]
struct Accounts {
    /// Whether there is a directory.
    exist: bool,
    stored: HashMap<AccountId, Stored>,
    timed_out: bool,
}

impl Accounts {
    fn is_unread(&self, id: &AccountId) -> bool {
        self.timed_out || matches!(self.stored.get(id), Some(Err(_)))
    }

    fn entry(&self, id: &AccountId) -> Option<&AccountEntry> {
        let entry = self.stored.get(id)?.as_ref().ok();
        // One that was never in the organization has no name.
        entry.filter(|entry| !entry.name.is_empty())
    }

    fn named(&self, id: AccountId) -> AlertAccount {
        let entry = self.entry(&id);
        AlertAccount {
            name: entry.map(|entry| entry.name.clone()),
            ou_path: entry.map(|entry| entry.ou_path.to_string()),
            id: Some(id),
        }
    }

    /// The names of those accounts that are known; none if the directory was not read.
    fn names_of(&self, ids: &[AccountId]) -> Option<HashMap<AccountId, String>> {
        if !self.exist || ids.iter().any(|id| self.is_unread(id)) {
            return None;
        }
        let names = ids
            .iter()
            .filter_map(|id| Some((id.clone(), self.entry(id)?.name.clone())));
        Some(names.collect())
    }
}

/// The messages of a batch by what has to be done.
#[derive(Default)]
struct Batch {
    /// Each alert with the indices of its messages: duplicates in a batch are one alert.
    drafts: Vec<(Draft, Vec<usize>)>,
    tasks: Vec<(usize, Task)>,
}

fn classify(records: &[SqsMessage], now: Timestamp) -> Batch {
    let mut batch = Batch::default();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (index, record) in records.iter().enumerate() {
        match read(record, now) {
            Message::Task(task) => batch.tasks.push((index, *task)),
            Message::Event(event) => match kinds::classify(&event) {
                Classification::NotReported => {}
                Classification::Alert(draft) => {
                    let next = batch.drafts.len();
                    let at = *known.entry(draft.dedup_key()).or_insert(next);
                    match batch.drafts.get_mut(at) {
                        Some((_, indices)) => indices.push(index),
                        None => batch.drafts.push((*draft, vec![index])),
                    }
                }
            },
        }
    }
    batch
}

fn read(message: &SqsMessage, now: Timestamp) -> Message {
    let body = message.body.as_deref().unwrap_or_default();
    let id = message.message_id.as_deref().unwrap_or_default();
    Message::read(body, id, now)
}
