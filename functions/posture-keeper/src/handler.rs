//! A batch of the changes queue: each message is one setting in some places. What is left of it goes on in a new message.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use futures::future::join_all;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    aws_error::AwsCallError,
    ids::AccountId,
    items::TableError,
    lambda::{Malformed, MessageError, Outcomes, Time, Work, each},
    posture::{
        file::PostureFile,
        keep::{KeepPlace, KeepTask},
        setting::{self, EVERYWHERE, Place},
        setting_record::State,
    },
    queue::{Failure, Postponed, Reason as FailureReason},
    versioned_file::active::{ActiveFile, InForce, NoFile},
};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    engine::{Kept, Run, Spot},
    gateway::{
        members::{Members, Sessions},
        posture_table::PostureTable,
    },
    look::{KnownAccounts, ReadOnce},
    mode::Mode,
    record::way_back,
    settings,
    wanted::Organization,
};

/// Messages that one invocation works on at the same time.
const MESSAGES_AT_ONCE: usize = 5;
/// Places of a message that are worked on at the same time.
const PLACES_AT_ONCE: usize = 256;
/// After what time something is looked at again that another invocation changes, or whose turn has not come.
const SOON: Duration = Duration::from_secs(5);
/// After what time a call that failed is made again; it grows with each time.
const LATER: Duration = Duration::from_secs(30);
/// After what time something asynchronous is looked at again; it doubles with each time.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// The longest of that.
const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// How often something asynchronous is looked at; after that the schedule does.
const MOST_LOOKS: u32 = 40;

/// Why a message was not processed.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// It is not known what is wanted.
    #[error("posture.toml cannot be read")]
    File(#[source] Arc<NoFile>),
    /// A table cannot be read or written.
    #[error("it cannot be noted how it is")]
    Table(#[source] Arc<TableError>),
    /// The organization cannot be read.
    #[error("the organization cannot be read")]
    Organization(#[source] Arc<AwsCallError>),
    /// The rest cannot be written as JSON.
    #[error("the rest of the task cannot be written")]
    Unwritable(#[from] serde_json::Error),
    /// The setting is none of ours.
    #[error("there is no such setting")]
    NoSetting,
}

impl From<TableError> for NotKept {
    fn from(error: TableError) -> Self {
        Self::Table(Arc::new(error))
    }
}

impl FailureReason for NotKept {
    fn retryable(&self) -> bool {
        match self {
            Self::File(error) => error.retryable(),
            Self::Table(error) => error.retryable(),
            Self::Organization(error) => error.retryable_or_denied(),
            Self::Unwritable(_) | Self::NoSetting => false,
        }
    }
}

/// What became of a message.
#[derive(Debug, Default)]
struct Done {
    states: BTreeMap<State, usize>,
    left: Option<(String, Duration)>,
}

/// The function.
#[derive(Debug)]
pub struct Keeper {
    /// Makes sessions.
    pub members: Members,
    /// What is wanted.
    pub file: ActiveFile<PostureFile>,
    /// The organization's accounts.
    pub directory: DirectoryTable,
    /// Records and runs.
    pub table: PostureTable,
    /// The most that is done.
    pub mode: Mode,
    /// What is the same for all accounts.
    pub read_once: ReadOnce,
    /// The management account, which does not change.
    pub management: OnceCell<AccountId>,
}

/// What all messages of a batch need.
struct Batch<'k> {
    sessions: Sessions<'k>,
    accounts: OnceCell<KnownAccounts>,
    basis: Result<(Arc<InForce<PostureFile>>, Organization), NotKept>,
}

impl Work for Keeper {
    const FUNCTION: &'static str = "posture-keeper";
    type Reason = MessageError<NotKept>;

    async fn work<'a>(
        &self,
        messages: &'a [SqsMessage],
        time: &Time,
    ) -> Outcomes<'a, MessageError<NotKept>> {
        let batch = Batch {
            sessions: self.members.sessions(),
            accounts: OnceCell::new(),
            basis: self.basis(time).await,
        };
        let done = each(messages, MESSAGES_AT_ONCE, time.deadline(), |message| {
            self.process(message, &batch, time)
        });
        let (mut failures, mut postponed) = (Vec::new(), Vec::new());
        let mut states: BTreeMap<State, usize> = BTreeMap::new();
        for (message, result) in done.await {
            match result {
                Ok(done) => {
                    for (state, count) in done.states {
                        *states.entry(state).or_default() += count;
                    }
                    postponed.extend(done.left.map(|(body, delay)| Postponed {
                        message,
                        body: body.into(),
                        delay,
                    }));
                }
                Err(reason) => failures.push(Failure { message, reason }),
            }
        }
        let count = |of: &[State]| of.iter().filter_map(|state| states.get(state)).sum();
        Outcomes::new(failures)
            .postpone(postponed)
            .count("SettingsInPlace", count(&[State::InPlace]))
            .count(
                "SettingsDiffering",
                count(&[State::Differs, State::Waiting]),
            )
            .count("SettingsBlocked", count(&[State::Blocked, State::Failed]))
    }
}

impl Keeper {
    /// The file in force, and the organization that it is about.
    async fn basis(
        &self,
        time: &Time,
    ) -> Result<(Arc<InForce<PostureFile>>, Organization), NotKept> {
        let verdicts = self.table.verdicts().await?;
        let in_force = verdicts
            .in_force(&self.file, time.began())
            .await
            .map_err(|error| NotKept::File(Arc::new(error)))?;
        let unread = |error: AwsCallError| NotKept::Organization(Arc::new(error));
        let entries = self.directory.all().await.map_err(unread)?;
        let own = time.invocation().account.clone();
        let own = own.ok_or_else(|| unread(AwsCallError::not_found("Invoke", "no account")))?;
        let management = self
            .management
            .get_or_try_init(async || self.members.management_account(&own).await)
            .await
            .map_err(unread)?;
        let organization = Organization::new(management.clone(), entries, &in_force.file);
        Ok((in_force, organization))
    }

    async fn process(
        &self,
        message: &SqsMessage,
        batch: &Batch<'_>,
        time: &Time,
    ) -> Result<Done, MessageError<NotKept>> {
        let body = message.body.as_deref().unwrap_or_default();
        let task: KeepTask =
            serde_json::from_str(body).map_err(|error| Malformed::json("keep task", &error))?;
        let done = match &batch.basis {
            Ok((in_force, organization)) => {
                self.keep(&task, in_force, organization, batch, time).await
            }
            Err(error) => Err(error.again()),
        };
        done.map_err(MessageError::Failed)
    }

    async fn keep(
        &self,
        task: &KeepTask,
        in_force: &InForce<PostureFile>,
        organization: &Organization,
        batch: &Batch<'_>,
        time: &Time,
    ) -> Result<Done, NotKept> {
        let row = setting::named(&task.setting).ok_or(NotKept::NoSetting)?;
        let setting = settings::named(row.name).ok_or(NotKept::NoSetting)?;
        let run = Run {
            task,
            row,
            in_force,
            organization,
            sessions: &batch.sessions,
            accounts: &batch.accounts,
            read_once: &self.read_once,
            table: &self.table,
            mode: self.mode,
            here: self.members.home(),
            time,
        };
        // What was changed can be as before although the file says nothing about it any more.
        let spots = if task.undo || row.is_wanted(&in_force.file) {
            run.spots()
        } else {
            BTreeSet::new()
        };
        let records = self.table.records(&run.keys(&spots)).await?;
        if task.undo {
            let own = spots
                .iter()
                .filter_map(|spot| records.get(&spot.key(row.name)));
            if own.map(way_back).all(|calls| calls.is_empty()) {
                tracing::warn!(
                    run = task.run,
                    setting = row.name,
                    "nothing to undo: no change is recorded in these places"
                );
            }
        }
        let turn = Semaphore::new(at_once(row.place));
        // A change stops at the time until which something may be started; after that it reads back and notes what was done.
        let until = time.start_until() + (time.deadline() - time.start_until()) * 9 / 10;
        let kept = spots.iter().map(async |spot| {
            // It is never closed.
            let _turn = turn.acquire().await.ok();
            if Instant::now() >= time.start_until() {
                return (spot, Ok(Ok(Kept::Soon)));
            }
            // Boxed: together the futures of the calls would outgrow a thread's stack.
            let keep = Box::pin(run.keep(setting, spot, &records));
            (spot, timeout_at(until, keep).await)
        });
        let mut done = Done::default();
        let mut left: BTreeMap<&Spot, Kept> = BTreeMap::new();
        let mut failed = false;
        let mut unread = None;
        for (spot, kept) in join_all(kept).await {
            match kept {
                Ok(Ok(Kept::Ended(state))) => *done.states.entry(state).or_default() += 1,
                Ok(Ok(kept)) => {
                    failed |= kept == Kept::Again;
                    left.insert(spot, kept);
                }
                Ok(Err(error)) => unread = Some(error),
                // What was begun is looked at again: the claim ends with this invocation.
                Err(_) => {
                    left.insert(spot, Kept::Soon);
                }
            }
        }
        if let Some(error) = unread {
            return Err(error.into());
        }
        let is_over = left.values().all(|kept| *kept == Kept::Waiting);
        if is_over && let Some(part) = task.part {
            self.table.end_part(&task.run, part, time.now()).await?;
        }
        if !left.is_empty() && task.looks < MOST_LOOKS {
            let rest = KeepTask {
                places: places(row.place, left.keys().copied()),
                part: task.part.filter(|_| !is_over),
                looks: task.looks + 1,
                failures: task.failures + u32::from(failed),
                ..task.clone()
            };
            let delay = delay(&left, task);
            done.left = Some((serde_json::to_string(&rest)?, delay));
        } else if let Some(part) = task.part.filter(|_| !is_over) {
            // The schedule looks at it again.
            self.table.end_part(&task.run, part, time.now()).await?;
        }
        tracing::info!(
            run = task.run,
            setting = row.name,
            places = spots.len(),
            places.left = left.len(),
            "setting looked at"
        );
        Ok(done)
    }
}

impl NotKept {
    /// The same for another message of the batch.
    fn again(&self) -> Self {
        match self {
            Self::File(error) => Self::File(Arc::clone(error)),
            Self::Table(error) => Self::Table(Arc::clone(error)),
            Self::Organization(error) => Self::Organization(Arc::clone(error)),
            Self::Unwritable(_) | Self::NoSetting => Self::NoSetting,
        }
    }
}

/// In how many places a setting is kept at the same time. Of several Regions that set an administrator at once, a service
/// refuses all but the first: it registers the account with Organizations.
fn at_once(place: Place) -> usize {
    match place {
        Place::Management => 1,
        Place::Organization | Place::Administrator | Place::Home | Place::Members => PLACES_AT_ONCE,
    }
}

/// The places of what is left.
fn places<'s>(place: Place, spots: impl Iterator<Item = &'s Spot>) -> Vec<KeepPlace> {
    let mut by_account: BTreeMap<&AccountId, BTreeSet<String>> = BTreeMap::new();
    for spot in spots {
        let regions = by_account.entry(&spot.account).or_default();
        if spot.region != EVERYWHERE {
            regions.insert(spot.region.clone());
        }
    }
    let named = place == Place::Members;
    by_account
        .into_iter()
        .map(|(account, regions)| KeepPlace {
            account: named.then(|| account.clone()),
            regions,
        })
        .collect()
}

/// After what time it is looked at again.
fn delay(left: &BTreeMap<&Spot, Kept>, task: &KeepTask) -> Duration {
    let of = |kept: &Kept| match kept {
        Kept::Soon => SOON * (1 + task.looks.min(11)),
        Kept::Again => LATER * (1 + task.failures),
        Kept::Waiting | Kept::Ended(_) => {
            (FIRST_WAIT * 2_u32.pow(task.looks.min(10))).min(LONGEST_WAIT)
        }
    };
    left.values().map(of).min().unwrap_or(SOON)
}
