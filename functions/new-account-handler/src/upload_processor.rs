//! Processing an upload, and writing its results again once its last request has ended.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::future::OptionFuture;
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    alert::Alert,
    alert_topics::AlertTopics,
    aws_error::AwsCallError,
    gateway::organizations::{OrganizationAccount, OrganizationalUnit, Organizations},
    idempotency::{Claim, IdempotencyTable},
    queue::Reason,
    vending::{
        file::{FileId, FileProgress},
        ledger::Ledger,
        request::{AccountRequest, Status, Unit},
        submission::{Refusal as SubmissionRefusal, Submission},
    },
};

use crate::{
    access::{AccessCatalog, Names},
    catalog::{CatalogError, CatalogReader},
    csv::{self, Column, Fault, File, Owner, Refusal, Row, shown},
    gateway::{
        bucket::{Bucket, CHECK, Content, MODE, Results},
        control_tower::ControlTower,
    },
    message::{Upload, acceptable},
    organization::{Account, Organization},
    plan::{Decision, RequestedAccount, decide},
    results::{self, Counts, UploadAlerts},
    rules::{faults_of_repetition, in_words},
    waiting::Line,
};

/// How often rows that other invocations change at the same time are read and planned again.
const ROUNDS: usize = 3;
/// How long another invocation waits before it publishes what this one may have published.
const CLAIMED: SignedDuration = SignedDuration::from_mins(3);
/// How long it is remembered that a file was processed.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Why an upload was not processed.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// A call failed.
    #[error("a call failed")]
    Call(#[from] AwsCallError),
    /// Other invocations keep changing the same requests.
    #[error("other invocations keep changing the same requests")]
    Conflict,
}

impl Reason for UploadError {
    fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable(),
            Self::Conflict => true,
        }
    }
}

impl UploadError {
    /// What failed and why, in one sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Call(error) => {
                let said = error.to_string();
                let words = error.in_words();
                if said.contains(words) {
                    said
                } else {
                    format!("{said}: {words}")
                }
            }
            Self::Conflict => self.to_string(),
        }
    }
}

/// Why the rows of a file were not read, or what they are compared with.
pub(crate) enum NotRead {
    /// For a reason that people can correct, in the file or in the settings.
    Refused(Refusal),
    /// A call failed.
    Failed(UploadError),
}

impl<E: Into<UploadError>> From<E> for NotRead {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Refusal> for NotRead {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Why the rows of a file were not processed.
enum NotProcessed {
    /// They have been processed before.
    Duplicate(FileProgress),
    /// A newer version of the file has been processed before.
    Superseded,
    /// The file is only to be checked: what the results say.
    OnlyChecked(File),
    /// For a reason that people can correct, in the file or in the settings.
    Refused(Refusal),
    /// A call failed.
    Failed(UploadError),
}

impl<E: Into<NotRead>> From<E> for NotProcessed {
    fn from(error: E) -> Self {
        match error.into() {
            NotRead::Refused(refusal) => Self::Refused(refusal),
            NotRead::Failed(error) => Self::Failed(error),
        }
    }
}

/// The request of a row, or what is wrong with the row.
type Decided = Result<Box<AccountRequest>, Vec<Fault>>;

/// Processes uploads.
#[derive(Debug)]
pub struct UploadProcessor {
    /// Where the files are.
    pub bucket: Bucket,
    /// The organization.
    pub organizations: Organizations,
    /// Control Tower, if it creates the accounts.
    pub control_tower: Option<ControlTower>,
    /// The groups and permission sets, if access is assigned.
    pub catalog_reader: Option<CatalogReader>,
    /// What is known of each request.
    pub ledger: Ledger,
    /// Where alerts are published.
    pub topics: AlertTopics,
    /// Which of them were published.
    pub alerts_sent: IdempotencyTable,
    /// The Region that this runs in.
    pub region: String,
}

impl UploadProcessor {
    /// Processes an upload: starts what can be started, takes back what an earlier version of it has waiting, writes
    /// the results and publishes one alert. Idempotent. Gives the counts of its rows.
    ///
    /// # Errors
    /// If a call fails. What was started stays started, and the same upload again finds it. A permanent
    /// error is published if `publish_failure` is set.
    pub async fn process(
        &self,
        upload: &Upload,
        now: Timestamp,
        publish_failure: bool,
    ) -> Result<Counts, UploadError> {
        let file = &upload.file;
        let alerts = self.alerts(file, now);
        let (former, rows) = match self.former_results(upload).await {
            Ok(former) => {
                let rows = self.rows(upload, former.as_ref(), now).await;
                (former, rows)
            }
            Err(reason) => (None, Err(reason)),
        };
        let (answers, alert, counts) = match rows {
            Ok((answers, counts, faults)) => (answers, alerts.rows(counts, &faults), counts),
            Err(NotProcessed::Refused(Refusal(reason))) => (
                File::refused(&reason),
                alerts.refused(&reason),
                Counts::default(),
            ),
            Err(NotProcessed::Duplicate(progress)) => {
                tracing::info!(
                    file.key = file.key,
                    "duplicate: the file has been processed before"
                );
                // A crash may have come between the last two steps.
                self.finish(file, progress, now).await?;
                return Ok(Counts::default());
            }
            Err(NotProcessed::Superseded) => {
                tracing::info!(
                    file.key = file.key,
                    "a newer version of the file has been processed before"
                );
                self.take_back_older(upload).await?;
                self.mark_processed(file, now).await?;
                return Ok(Counts::default());
            }
            Err(NotProcessed::OnlyChecked(results)) => {
                self.bucket
                    .write_check(upload, former.as_ref(), results.write())
                    .await?;
                tracing::info!(file.key = file.key, "file checked: nothing was started");
                return Ok(Counts::default());
            }
            Err(NotProcessed::Failed(error)) => {
                if !error.retryable() {
                    self.report_failure(upload, alerts, publish_failure, &error)
                        .await;
                }
                return Err(error);
            }
        };
        self.bucket
            .write_results(upload, former.as_ref(), answers.write())
            .await?;
        self.publish_once(file, &alert, now).await?;
        let progress = self.mark_processed(file, now).await?;
        if counts.started + counts.in_progress > 0 {
            self.finish(file, progress, now).await?;
        }
        tracing::info!(
            file.key = file.key,
            rows.started = counts.started,
            rows.in_progress = counts.in_progress,
            rows.done = counts.done,
            rows.refused = counts.refused,
            rows.taken_back = counts.taken_back,
            "file processed"
        );
        Ok(counts)
    }

    /// The results of the version of the file that was processed last.
    async fn former_results(&self, upload: &Upload) -> Result<Option<Results>, NotProcessed> {
        let progress = self.ledger.progress([&upload.file]).await?;
        if let Some(progress) = progress.get(&upload.file)
            && progress.processed
        {
            return Err(NotProcessed::Duplicate(*progress));
        }
        let former = self.bucket.results(&upload.file.key).await?;
        if former.as_ref().is_some_and(|it| it.are_later_than(upload)) {
            return Err(NotProcessed::Superseded);
        }
        Ok(former)
    }

    /// Publishes the alert about a file once, however often its event is delivered.
    async fn publish_once(
        &self,
        file: &FileId,
        alert: &Alert,
        now: Timestamp,
    ) -> Result<(), UploadError> {
        let id = format!("told#{file}");
        let until = (now + CLAIMED).as_millisecond();
        let forget = (now + REMEMBERED).as_second();
        let claim = self
            .alerts_sent
            .claim(&id, now.as_millisecond(), until, forget)
            .await?;
        match claim {
            Claim::Claimed => {}
            Claim::Completed => return Ok(()),
            Claim::InProgress => return Err(UploadError::Conflict),
        }
        if let Err(error) = self.topics.publish(alert).await {
            self.alerts_sent.release(&id).await?;
            return Err(error.into());
        }
        Ok(self.alerts_sent.complete(&id).await?)
    }

    async fn mark_processed(
        &self,
        file: &FileId,
        now: Timestamp,
    ) -> Result<FileProgress, AwsCallError> {
        let forget = (now + REMEMBERED).as_second();
        self.ledger.mark_processed(file, forget).await
    }

    /// Writes the results again if everything ended before the file was processed: no task is sent then.
    async fn finish(
        &self,
        file: &FileId,
        progress: FileProgress,
        now: Timestamp,
    ) -> Result<(), UploadError> {
        if progress.ended() {
            self.refresh_results(file, now).await?;
        }
        Ok(())
    }

    /// Writes a permanent error into the results and publishes it; the message waits in the dead-letter
    /// queue.
    async fn report_failure(
        &self,
        upload: &Upload,
        alerts: UploadAlerts<'_>,
        publish: bool,
        error: &UploadError,
    ) {
        let reason = format!(
            "the file could not be processed: {}. Once that is fixed, send the file's message again \
             from the dead-letter queue, or upload the file again",
            error.in_words()
        );
        let results = File::refused(&reason).write();
        let written = async {
            let over = self.bucket.results(&upload.file.key).await?;
            self.bucket
                .write_results(upload, over.as_ref(), results)
                .await
        };
        let mut outcomes = vec![written.await];
        if publish {
            outcomes.push(self.topics.publish(&alerts.failed(&reason)).await);
        }
        for error in outcomes.into_iter().filter_map(Result::err) {
            tracing::error!(%error, file.key = alerts.file.key, "the failure could not be reported");
        }
    }

    /// Writes the results of a file again, with what its open rows wait for, unless those of a newer upload have replaced
    /// them.
    ///
    /// # Errors
    /// If a call fails, or another invocation writes the results at the same time.
    pub async fn refresh_results(&self, file: &FileId, now: Timestamp) -> Result<(), UploadError> {
        let existing = self.bucket.results(&file.key).await?;
        let Some(existing) = existing.filter(|it| it.version.as_ref() == Some(&file.version))
        else {
            tracing::info!(
                file.key = file.key,
                "its results were replaced by those of a newer upload"
            );
            return Ok(());
        };
        let Ok(mut answers) = csv::read(&existing.bytes, Owner::Optional) else {
            tracing::warn!(file.key = file.key, "its results were changed by hand");
            return Ok(());
        };
        let keys_of = |is: fn(&Row) -> bool| {
            let rows = answers.rows.iter().filter(|row| is(row));
            rows.map(Row::key).collect::<Vec<String>>()
        };
        let mut wanted = keys_of(results::is_open);
        if wanted.is_empty() {
            // Each account is ready some time after its row has ended.
            wanted = keys_of(results::may_become_ready);
        }
        let requests = self.ledger.read(wanted.iter().map(String::as_str)).await?;
        let waits = |request: &AccountRequest| {
            request.status == Status::Valid && request.waits_for.is_none()
        };
        let keys = if requests.values().any(waits) {
            let line = self.ledger.with_status(Status::Valid, 0).await?;
            line.into_iter().map(|it| it.account_email).collect()
        } else {
            Vec::new()
        };
        let line = Line { keys: &keys, now };
        let refreshed = results::refresh(&mut answers, file, &line, |key| requests.get(key));
        if refreshed.changed {
            self.bucket
                .rewrite_results(file, &existing, answers.write())
                .await?;
        }
        if refreshed.lost {
            self.ledger.correct_open(file, refreshed.open).await?;
        }
        Ok(())
    }

    fn alerts<'a>(&'a self, file: &'a FileId, now: Timestamp) -> UploadAlerts<'a> {
        UploadAlerts {
            file,
            bucket: self.bucket.name(),
            region: &self.region,
            now,
        }
    }

    /// Reads the file, starts what can be started and fills in every row; gives also the counts of the rows,
    /// and a sentence for each that was refused.
    async fn rows(
        &self,
        upload: &Upload,
        former: Option<&Results>,
        now: Timestamp,
    ) -> Result<(File, Counts, Vec<String>), NotProcessed> {
        let (bytes, mode) = self.read(upload).await?;
        match mode.as_deref().map(str::trim) {
            None => {}
            Some(mode) if mode.eq_ignore_ascii_case(CHECK) => {
                let checked = self.check(&upload.file.key, &bytes).await;
                return Err(NotProcessed::OnlyChecked(checked?.results));
            }
            Some(mode) => {
                let text = format!(
                    "the metadata {MODE} of the file is {}: only {CHECK} is known",
                    shown(mode)
                );
                return Err(Refusal(text).into());
            }
        }
        let mut file = csv::read(&bytes, self.owner())?;
        let names = Names::of(&file.rows);
        // Boxed: so many calls at once make a large future.
        let (mut organization, catalog) = Box::pin(self.read_organization(&names)).await?;
        self.read_existing(&file.rows, &mut organization, catalog.as_ref())
            .await?;
        let requested: Vec<RequestedAccount<'_>> = file
            .rows
            .iter()
            .zip(faults_of_repetition(&file.rows))
            .map(|(row, repetition)| {
                RequestedAccount::of(row, repetition, &organization, catalog.as_ref())
            })
            .collect();
        let decisions = self
            .submit(&upload.file, &requested, &organization, now)
            .await?;
        let mut counts = Counts::default();
        let mut refused = Vec::new();
        let mut accepted = BTreeSet::new();
        for (row, decision) in file.rows.iter_mut().zip(decisions) {
            match decision {
                Ok(request) => {
                    accepted.insert(request.account_email.clone());
                    counts.accepted(&request, request.is_of(&upload.file));
                    results::fill_in(row, &request);
                }
                Err(faults) => {
                    let words = in_words(row.line, &faults);
                    results::refuse(row, &words);
                    refused.push(words);
                }
            }
        }
        counts.refused = refused.len();
        if let Some(former) = former {
            counts.taken_back = self.take_back(upload, former, &accepted, &mut file).await?;
        }
        Ok((file, counts, refused))
    }

    /// The bytes of an upload, and its mode.
    async fn read(&self, upload: &Upload) -> Result<(Vec<u8>, Option<String>), NotRead> {
        acceptable(&upload.file.key, upload.size)?;
        match self.bucket.file(upload).await? {
            Content::Bytes { bytes, mode } => Ok((bytes, mode)),
            Content::TooLong => Err(Refusal::too_long().into()),
            Content::Deleted => Err(Refusal(
                "the file was deleted or replaced before it could be read: upload it again"
                    .to_owned(),
            )
            .into()),
        }
    }

    /// Who has to say who owns an account: only Account Factory asks for it.
    pub(crate) fn owner(&self) -> Owner {
        match self.control_tower {
            Some(_) => Owner::Required,
            None => Owner::Optional,
        }
    }

    /// The organization and what IAM Identity Center knows, read once for the whole file.
    pub(crate) async fn read_organization(
        &self,
        names: &Names,
    ) -> Result<(Organization, Option<AccessCatalog>), NotRead> {
        let governed = async {
            let governed = self.control_tower.as_ref().map(ControlTower::governed);
            let governed = OptionFuture::from(governed).await.transpose();
            governed.map_err(NotRead::from)
        };
        let catalog = async {
            let catalog = self.catalog_reader.as_ref().map(|it| it.read(names));
            match OptionFuture::from(catalog).await.transpose() {
                Ok(catalog) => Ok(catalog),
                Err(CatalogError::Settings(refusal)) => Err(refusal.into()),
                Err(CatalogError::Call(error)) => Err(error.into()),
            }
        };
        let (accounts, (root, units), governed, catalog) = tokio::try_join!(
            async { Ok(self.organizations.all_accounts().await?) },
            async { Ok(self.organizations.units().await?) },
            governed,
            catalog,
        )?;
        let units = units.into_iter().map(unit).collect();
        let accounts = accounts.into_iter().filter_map(account).collect();
        Ok((Organization::new(root, units, accounts, governed), catalog))
    }

    /// Submits what is to be submitted to the table; gives the request of each row, or why it has none.
    async fn submit(
        &self,
        file: &FileId,
        requested: &[RequestedAccount<'_>],
        organization: &Organization,
        now: Timestamp,
    ) -> Result<Vec<Decided>, UploadError> {
        let mut decided: Vec<Option<Decided>> = requested.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..requested.len()).collect();
        // Requests that ended before this file could follow them: their outcome is the answer.
        let mut only_shown: HashSet<usize> = HashSet::new();
        for _ in 0..ROUNDS {
            let keys: Vec<Option<String>> =
                left.iter().map(|place| requested[*place].key()).collect();
            let readable = keys.iter().flatten().map(String::as_str);
            let held = self.ledger.read(readable).await?;
            let mut submitted = Vec::new();
            let mut submissions = Vec::new();
            for (place, key) in left.drain(..).zip(keys) {
                let held = key.and_then(|key| held.get(&key));
                let decision = match held {
                    Some(held) if only_shown.contains(&place) => {
                        Decision::Exists(Box::new(held.clone()))
                    }
                    _ => {
                        let after = i64::try_from(place).unwrap_or(i64::MAX);
                        let queued_at = now.as_millisecond().saturating_add(after);
                        decide(&requested[place], held, organization, file, queued_at)
                    }
                };
                match decision {
                    Decision::Submit(submission, request) => {
                        submissions.push(submission);
                        submitted.push((place, request));
                    }
                    Decision::Exists(request) => decided[place] = Some(Ok(request)),
                    Decision::Refused(faults) => decided[place] = Some(Err(faults)),
                }
            }
            let refused = self.ledger.submit(file, &submissions).await?;
            let mut refused: HashMap<usize, SubmissionRefusal> = refused.into_iter().collect();
            for (nth, (place, request)) in submitted.into_iter().enumerate() {
                match refused.remove(&nth) {
                    None => decided[place] = Some(Ok(request)),
                    Some(SubmissionRefusal::NameTaken(holder))
                        if !self.is_open(&holder).await? =>
                    {
                        // Somebody deleted the request that had the name.
                        let name = &requested[place].row.get(Column::AccountName);
                        self.ledger.free_abandoned_name(name, &holder).await?;
                        left.push(place);
                    }
                    Some(SubmissionRefusal::NameTaken(holder)) => {
                        decided[place] = Some(Err(vec![name_taken(&holder)]));
                    }
                    Some(SubmissionRefusal::Changed) => {
                        left.push(place);
                        if matches!(submissions[nth], Submission::Follow { .. }) {
                            only_shown.insert(place);
                        }
                    }
                }
            }
            if left.is_empty() {
                return Ok(decided.into_iter().flatten().collect());
            }
        }
        Err(UploadError::Conflict)
    }
}

impl UploadProcessor {
    /// Whether the request with this key has not ended.
    async fn is_open(&self, email: &str) -> Result<bool, AwsCallError> {
        let held = self.ledger.read([email]).await?;
        Ok(held.values().any(|request| !request.status.ended()))
    }
}

/// The fault that the request with this key, which is in progress, has the name of the row.
pub(crate) fn name_taken(holder: &str) -> Fault {
    let fault = format!("is the name of the account for {holder}, which is in progress already");
    Fault::of(Column::AccountName, fault)
}

fn unit(unit: OrganizationalUnit) -> Unit {
    Unit {
        id: unit.id.0,
        name: unit.name,
        path: unit.path,
    }
}

/// An account after its e-mail address.
fn account(account: OrganizationAccount) -> Option<(String, Account)> {
    let known = Account {
        parent: account
            .path
            .as_ref()
            .and_then(|path| path.last())
            .map(|unit| unit.0.clone()),
        id: account.id,
        name: account.name.unwrap_or_default(),
        state: account.state,
        is_management: account.is_management,
    };
    Some((account.email?, known))
}
