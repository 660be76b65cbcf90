//! A batch of the posture queue: each message is an event or a request.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    account_directory::{entry::AccountEntry, table::DirectoryTable},
    aws_error::AwsCallError,
    ids::AccountId,
    items::TableError,
    lambda::{Malformed, MessageError, Outcomes, Time, Work, each},
    optimistic,
    posture::{
        file::{Actual, PostureFile},
        keep::KeepTask,
        setting,
        survey::Counts,
        task::{AccountLook, Part, Reason, SurveyTask},
        verdict::{FileVerdicts, remembered},
    },
    queue::{Failure, Queue, Reason as FailureReason, since_sent},
    versioned_file::{
        active::{ActiveFile, InForce, NoFile, SHIPPED_VERSION, Written},
        object::{Found, VersionedObject},
    },
};

use crate::{
    gateway::{controls::Controls, posture_table::PostureTable},
    hints::{About, Hint},
    keep::{self, Basis},
    pacing::{AGAIN, Follows, follows},
    starts::{Asked, Undo, Wanted, asked},
    survey,
    switched::Switched,
};

/// Messages that one invocation works on at the same time.
const MESSAGES_AT_ONCE: usize = 10;
/// How often an item is read again that another invocation was faster to write.
const ATTEMPTS: u32 = 5;
/// After what time an account is looked at that was created, closed, has joined or left: its role is there then, and the
/// directory knows of it.
const UNTIL_READY: Duration = Duration::from_mins(10);

/// After what time a setting is looked at that a call can have undone: it is in effect then.
const AFTER_CALL: Duration = Duration::from_secs(5);

/// Why a message was not processed.
#[derive(Debug, thiserror::Error)]
pub enum NotPlanned {
    /// The account directory cannot be read.
    #[error("the account directory cannot be read")]
    Directory(#[source] AwsCallError),
    /// The directory has no account: it has never been filled, and says nothing about what exists.
    #[error("the account directory is empty: send {{\"task\":\"refresh-all\"}} to DirectoryQueue")]
    EmptyDirectory,
    /// A request names accounts of somebody else.
    #[error(
        "the account directory does not have {0}: correct the request, or, if the account is new, repeat it in an hour"
    )]
    Strangers(String),
    /// The uploaded file cannot be read.
    #[error("posture.toml cannot be read")]
    File(#[source] AwsCallError),
    /// It is not known which file is in force.
    #[error("posture.toml cannot be read")]
    InForce(#[source] NoFile),
    /// The table cannot be read or written.
    #[error("it cannot be noted what is to be looked at")]
    Table(#[from] TableError),
    /// Tasks cannot be sent.
    #[error("tasks cannot be sent")]
    Unsent(#[source] AwsCallError),
    /// A task cannot be written as JSON.
    #[error("a task cannot be written")]
    Unwritable(#[from] serde_json::Error),
}

impl From<AwsCallError> for NotPlanned {
    fn from(error: AwsCallError) -> Self {
        Self::Table(TableError::Call(error))
    }
}

impl FailureReason for NotPlanned {
    fn retryable(&self) -> bool {
        match self {
            Self::Directory(error) | Self::File(error) | Self::Unsent(error) => {
                error.retryable_or_denied()
            }
            Self::InForce(error) => error.retryable(),
            Self::Table(error) => error.retryable(),
            Self::EmptyDirectory => true,
            Self::Unwritable(_) | Self::Strangers(_) => false,
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Started,
    Nothing,
}

/// The function.
#[derive(Debug)]
pub struct Planner {
    /// The file.
    pub file: VersionedObject,
    /// The file in force.
    pub in_force: ActiveFile<PostureFile>,
    /// The organization's accounts.
    pub directory: DirectoryTable,
    /// Surveys, hints and verdicts.
    pub table: PostureTable,
    /// The controls of Security Hub.
    pub controls: Controls,
    /// Sends tasks.
    pub queue: Queue,
    /// The queue of `organization-surveyor`.
    pub survey_queue_url: String,
    /// The queue of `posture-keeper`.
    pub changes_queue_url: String,
    /// The Region of the stack.
    pub here: String,
}

/// Why a message failed, which others of the batch may share.
type Why = MessageError<Arc<NotPlanned>>;

impl Work for Planner {
    const FUNCTION: &'static str = "posture-planner";
    type Reason = Why;

    async fn work<'a>(&self, messages: &'a [SqsMessage], time: &Time) -> Outcomes<'a, Why> {
        let mut failures = Vec::new();
        // Many hints are about the same pair: they are followed together, before anything else.
        let mut hints: BTreeMap<Hint, Vec<&SqsMessage>> = BTreeMap::new();
        for message in messages {
            if let Ok(Asked::Hint(hint)) = read(message) {
                hints.entry(hint).or_default().push(message);
            }
        }
        let (mut hinted, mut joined) = (0, 0);
        for (hint, of_pair) in &hints {
            let result = tokio::time::timeout_at(time.deadline(), self.hint(hint, of_pair, time));
            let reason = match result.await {
                Ok(Ok(looks)) => {
                    hinted += usize::from(looks);
                    joined += of_pair.len() - usize::from(looks);
                    continue;
                }
                Ok(Err(error)) => MessageError::Failed(Arc::new(error)),
                Err(_) => MessageError::OutOfTime,
            };
            failures.extend(of_pair.iter().map(|message| Failure {
                message,
                reason: reason.clone(),
            }));
        }
        let done = each(messages, MESSAGES_AT_ONCE, time.deadline(), |message| {
            self.process(message, time)
        });
        let mut started = 0;
        for (message, result) in done.await {
            match result {
                Ok(Done::Started) => started += 1,
                Ok(Done::Nothing) => {}
                Err(reason) => failures.push(Failure { message, reason }),
            }
        }
        Outcomes::new(failures)
            .count("SurveysStarted", started)
            .count("PairsHinted", hinted)
            .count("HintsJoined", joined)
    }
}

impl Planner {
    async fn process(&self, message: &SqsMessage, time: &Time) -> Result<Done, Why> {
        let asked = read(message).map_err(|error| Malformed::json("event or request", &error))?;
        let done = match asked {
            // Followed already.
            Asked::Hint(_) | Asked::Nothing => Ok(Done::Nothing),
            Asked::Survey(wanted) => {
                let done = self.survey(&wanted, message, time).await;
                match (&done, wanted.reason) {
                    // Its settings are to be as those of all others.
                    (Ok(_), Reason::Hint) if !wanted.accounts.is_empty() => {
                        self.keep(wanted.reason, &wanted.accounts, message, time)
                            .await
                    }
                    _ => done,
                }
            }
            Asked::Keep(reason, accounts) => self.keep(reason, &accounts, message, time).await,
            Asked::Undo(undo) => self.undo(&undo, message, time).await,
            Asked::Switched(switched) => self.switched(&switched, message, time).await,
            Asked::Upload => self.upload(message, time).await,
        };
        done.map_err(|error| MessageError::Failed(Arc::new(error)))
    }

    /// Plans a look at a pair, unless one is to come: true if it does.
    async fn hint(
        &self,
        hint: &Hint,
        messages: &[&SqsMessage],
        time: &Time,
    ) -> Result<bool, NotPlanned> {
        let by: Vec<&str> = messages
            .iter()
            .filter_map(|message| message.message_id.as_deref())
            .collect();
        let planned = optimistic::update("PutItem", ATTEMPTS, async || {
            let last = self.table.look(hint).await?;
            match follows(last.as_ref(), hint, &by, time.now()) {
                Follows::Joined => Ok::<_, NotPlanned>(Some(None)),
                Follows::Again(look) => Ok(Some(Some(look))),
                Follows::Look(look) => {
                    let written = self.table.plan(&look, last.as_ref()).await?;
                    Ok(written.then_some(Some(look)))
                }
            }
        });
        let Some(look) = planned.await? else {
            return Ok(false);
        };
        let looks = looks(hint, look.look_at).into_iter();
        let tasks = looks.map(|look_at| (of_hint(hint, look_at), delay(look_at, time.now())));
        self.send(tasks.collect()).await?;
        self.table.sent(&look.pair).await?;
        Ok(true)
    }

    /// Sends the tasks of a survey.
    async fn survey(
        &self,
        wanted: &Wanted,
        message: &SqsMessage,
        time: &Time,
    ) -> Result<Done, NotPlanned> {
        // An account that an event names may be newer than its entry.
        let is_named_by_event = wanted.reason == Reason::Hint && !wanted.accounts.is_empty();
        let entries = if is_named_by_event {
            Vec::new()
        } else {
            self.entries().await?
        };
        let strangers = survey::strangers(wanted, &entries);
        if !is_named_by_event && !strangers.is_empty() {
            let ids: Vec<&str> = strangers.iter().map(AccountId::as_str).collect();
            return Err(NotPlanned::Strangers(ids.join(", ")));
        }
        self.begin(wanted, &entries, message, time).await
    }

    async fn begin(
        &self,
        wanted: &Wanted,
        entries: &[AccountEntry],
        message: &SqsMessage,
        time: &Time,
    ) -> Result<Done, NotPlanned> {
        let began = sent_at(message, time.began());
        let id = survey::id(began, message.message_id.as_deref().unwrap_or_default());
        let accounts = survey::accounts(wanted, entries, time.began());
        let tasks = survey::tasks(&id, wanted, &accounts);
        if tasks.is_empty() {
            return Ok(Done::Nothing);
        }
        let summary = survey::summary(&id, wanted, accounts.len(), tasks.len(), began);
        if !self.table.begin(&summary.pair, &summary).await? {
            return Ok(Done::Nothing);
        }
        let delay = match wanted.reason {
            Reason::Hint => UNTIL_READY,
            Reason::Schedule | Reason::Upload | Reason::Request => Duration::ZERO,
        };
        let tasks = tasks.into_iter().enumerate();
        let tasks = tasks.map(|(place, task)| (task, delay + survey::delay(place)));
        self.send(tasks.collect()).await?;
        self.table.sent(&summary.pair).await?;
        tracing::info!(
            survey.id = id,
            reason = ?wanted.reason,
            accounts = accounts.len(),
            parts = summary.parts,
            "survey started"
        );
        Ok(Done::Started)
    }

    /// Decides about the newest version of the file. With a right one everything is looked at again.
    async fn upload(&self, message: &SqsMessage, time: &Time) -> Result<Done, NotPlanned> {
        let entries = self.entries().await?;
        let found = self.file.read(None).await.map_err(NotPlanned::File)?;
        let (version, file, faults) = match found {
            Found::Version(version) => {
                let file = match &version.text {
                    Ok(text) => PostureFile::parse(text),
                    Err(problem) => Err(vec![(*problem).to_owned()]),
                };
                match file {
                    Ok(file) => {
                        let controls = self.controls(&file).await;
                        let faults = file.faults_in(Actual {
                            entries: &entries,
                            here: &self.here,
                            controls: controls.as_ref(),
                        });
                        (version.id, file, faults)
                    }
                    Err(faults) => (version.id, PostureFile::default(), faults),
                }
            }
            // It was deleted since.
            Found::Nothing | Found::Unchanged => (
                SHIPPED_VERSION.to_owned(),
                PostureFile::default(),
                Vec::new(),
            ),
        };
        self.decide(&version, &faults, time).await?;
        if !faults.is_empty() {
            tracing::error!(
                version,
                faults = faults.len(),
                "posture.toml is refused, the last good version stays in force"
            );
            return Ok(Done::Nothing);
        }
        let wanted = Wanted {
            reason: Reason::Upload,
            accounts: Vec::new(),
            regions: None,
        };
        self.begin(&wanted, &entries, message, time).await?;
        let basis = Basis {
            file: &file,
            version: &version,
            entries: &entries,
            here: &self.here,
        };
        self.begin_run(basis, wanted.reason, &[], message, time)
            .await?;
        Ok(Done::Started)
    }

    /// The controls that Security Hub has, if the file names some. Without an answer no name is wrong: the record of the setting
    /// says later what is.
    async fn controls(&self, file: &PostureFile) -> Option<BTreeSet<String>> {
        file.controls().next()?;
        let controls = self.controls.all().await;
        controls
            .inspect_err(|error| {
                tracing::warn!(%error, "whether the controls of posture.toml exist is not known");
            })
            .ok()
    }

    /// Sends the tasks of a run over settings.
    async fn keep(
        &self,
        reason: Reason,
        accounts: &[AccountId],
        message: &SqsMessage,
        time: &Time,
    ) -> Result<Done, NotPlanned> {
        let in_force = self.file_in_force(time).await?;
        let entries = self.entries().await?;
        self.begin_run(
            self.basis(&in_force, &entries),
            reason,
            accounts,
            message,
            time,
        )
        .await
    }

    async fn begin_run(
        &self,
        basis: Basis<'_>,
        reason: Reason,
        accounts: &[AccountId],
        message: &SqsMessage,
        time: &Time,
    ) -> Result<Done, NotPlanned> {
        let began = sent_at(message, time.began());
        let run = survey::id(began, message.message_id.as_deref().unwrap_or_default());
        let tasks = basis.tasks(&run, reason, accounts);
        if tasks.is_empty() {
            return Ok(Done::Nothing);
        }
        let summary = keep::summary(&run, basis.version, reason, tasks.len(), began);
        if !self.table.begin(&summary.pair, &summary).await? {
            return Ok(Done::Nothing);
        }
        let delay = match reason {
            Reason::Hint => UNTIL_READY,
            Reason::Schedule | Reason::Upload | Reason::Request => Duration::ZERO,
        };
        self.send_changes(&tasks, delay).await?;
        self.table.sent(&summary.pair).await?;
        tracing::info!(
            run,
            ?reason,
            version = basis.version,
            parts = tasks.len(),
            "run over settings started"
        );
        Ok(Done::Started)
    }

    /// Sends tasks about what a call can have undone. A duplicate of one does no harm.
    async fn switched(
        &self,
        switched: &Switched,
        message: &SqsMessage,
        time: &Time,
    ) -> Result<Done, NotPlanned> {
        let in_force = self.file_in_force(time).await?;
        let basis = self.basis(&in_force, &[]);
        let tasks = basis.after(&event_id(message), switched);
        if tasks.is_empty() {
            return Ok(Done::Nothing);
        }
        self.send_changes(&tasks, AFTER_CALL).await?;
        Ok(Done::Started)
    }

    /// Sends the tasks that make a setting as it was before.
    async fn undo(
        &self,
        undo: &Undo,
        message: &SqsMessage,
        time: &Time,
    ) -> Result<Done, NotPlanned> {
        let in_force = self.file_in_force(time).await?;
        let entries = self.entries().await?;
        let Some(row) = setting::named(&undo.setting) else {
            return Ok(Done::Nothing);
        };
        let basis = self.basis(&in_force, &entries);
        let regions = undo.regions.as_ref();
        let tasks = basis.undo(&event_id(message), row, &undo.accounts, regions);
        self.send_changes(&tasks, Duration::ZERO).await?;
        Ok(Done::Started)
    }

    async fn file_in_force(&self, time: &Time) -> Result<Arc<InForce<PostureFile>>, NotPlanned> {
        let verdicts = self.table.verdicts().await?.unwrap_or_default();
        let in_force = verdicts.in_force(&self.in_force, time.began());
        in_force.await.map_err(NotPlanned::InForce)
    }

    fn basis<'b>(
        &'b self,
        in_force: &'b InForce<PostureFile>,
        entries: &'b [AccountEntry],
    ) -> Basis<'b> {
        Basis {
            file: &in_force.file,
            version: &in_force.version,
            entries,
            here: &self.here,
        }
    }

    async fn send_changes(&self, tasks: &[KeepTask], delay: Duration) -> Result<(), NotPlanned> {
        let bodies = tasks
            .iter()
            .map(|task| Ok((serde_json::to_string(task)?, delay)));
        let bodies = bodies.collect::<Result<Vec<_>, serde_json::Error>>()?;
        let sent = self.queue.send(&self.changes_queue_url, bodies).await;
        sent.map_err(NotPlanned::Unsent)
    }

    async fn decide(
        &self,
        version: &str,
        faults: &[String],
        time: &Time,
    ) -> Result<(), NotPlanned> {
        let faults = &remembered(faults.to_vec())[..];
        let decided = optimistic::update("PutItem", ATTEMPTS, async || {
            let last: Option<FileVerdicts> = self.table.verdicts().await?;
            let verdicts = last.clone().unwrap_or_default();
            let known = verdicts
                .refused
                .get(version)
                .map(|refusal| &refusal.faults[..]);
            if verdicts.newest.as_deref() == Some(version) && known.unwrap_or_default() == faults {
                return Ok::<_, NotPlanned>(Some(()));
            }
            let verdicts = verdicts.with(version, faults.to_vec(), time.now());
            let written = self.table.decide(&verdicts, last.as_ref()).await?;
            Ok(written.then_some(()))
        });
        decided.await
    }

    async fn entries(&self) -> Result<Vec<AccountEntry>, NotPlanned> {
        let entries = self.directory.all().await.map_err(NotPlanned::Directory)?;
        if entries.is_empty() {
            return Err(NotPlanned::EmptyDirectory);
        }
        Ok(entries)
    }

    async fn send(&self, tasks: Vec<(SurveyTask, Duration)>) -> Result<(), NotPlanned> {
        let bodies = tasks
            .iter()
            .map(|(task, delay)| Ok((serde_json::to_string(task)?, *delay)));
        let bodies = bodies.collect::<Result<Vec<_>, serde_json::Error>>()?;
        let sent = self.queue.send(&self.survey_queue_url, bodies).await;
        sent.map_err(NotPlanned::Unsent)
    }
}

fn read(message: &SqsMessage) -> Result<Asked, serde_json::Error> {
    asked(message.body.as_deref().unwrap_or_default())
}

/// When a message was sent: the same, however often it comes.
fn sent_at(message: &SqsMessage, now: Timestamp) -> Timestamp {
    let since = SignedDuration::try_from(since_sent(message, now)).unwrap_or_default();
    now.checked_sub(since).unwrap_or(now)
}

/// The id of what one message alone starts.
fn event_id(message: &SqsMessage) -> String {
    let id = message.message_id.as_deref().unwrap_or_default();
    format!("event-{id}")
}

/// When a hint is followed, in milliseconds since 1970.
fn looks(hint: &Hint, look_at: i64) -> Vec<i64> {
    match hint.about {
        About::Network | About::Functions => vec![look_at],
        About::SlowNetwork => {
            let again = i64::try_from(AGAIN.as_millis()).unwrap_or_default();
            vec![look_at, look_at.saturating_add(again)]
        }
    }
}

/// The task of a hinted look.
fn of_hint(hint: &Hint, look_at: i64) -> SurveyTask {
    let region = &hint.pair.region;
    let part = Part {
        sources: hint.about.sources(),
        after: None,
    };
    SurveyTask {
        survey_id: format!("hint-{look_at}"),
        reason: Reason::Hint,
        accounts: vec![AccountLook {
            regions: Some([region.clone()].into()),
            parts: [(region.clone(), part)].into(),
            ..AccountLook::all_of(hint.pair.account.clone())
        }],
        part: None,
        failures: 0,
        enrolment: false,
        counted: Counts::default(),
    }
}

/// How long a hinted look is still to wait, as far as SQS delays a message. Whole seconds: SQS knows no parts, and none is left
/// out.
fn delay(look_at: i64, now: Timestamp) -> Duration {
    let left = look_at.saturating_sub(now.as_millisecond()).max(0);
    let left = Duration::from_secs(u64::try_from(left).unwrap_or_default().div_ceil(1_000));
    left.min(AGAIN.unsigned_abs())
}
