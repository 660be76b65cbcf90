//! Taking a file in, and writing its results again once its last request has ended.

use std::collections::{HashMap, HashSet};

use futures::future::OptionFuture;
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws_error::AwsCallError,
    vending::{
        file::{FileId, FileProgress},
        ledger::{Ledger, Refusal as NotTaken, Submission},
        request::AccountRequest,
    },
};

use crate::{
    access::{AccessCatalog, Names},
    csv::{self, Column, Fault, File, MOST_BYTES, Refusal, Row, shown},
    gateway::{
        bucket::{Bucket, Content},
        control_tower::Landscape,
        identity_center::{IdentityCenter, NoCatalog},
        organizations::Organizations,
    },
    message::{Upload, is_csv},
    organization::Organization,
    plan::{Decision, Wish, decide},
    results::{self, About, Counts},
    rules::{faults_of_repetition, in_words},
};

/// How often rows that others were changing at the same time are read and planned again.
const ROUNDS: usize = 3;
/// How long it is remembered that a file was taken in.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Why a file was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum NotTakenIn {
    /// A call failed.
    #[error("a call failed")]
    Call(#[from] AwsCallError),
    /// Others change the same requests all the time.
    #[error("others were changing the same requests all the time")]
    Overtaken,
}

impl NotTakenIn {
    /// Whether the same file can be taken in later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable(),
            Self::Overtaken => true,
        }
    }

    fn in_words(&self) -> String {
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
            Self::Overtaken => self.to_string(),
        }
    }
}

/// Why the rows of a file were not answered.
enum NotAnswered {
    /// They have been before.
    Before(FileProgress),
    /// For a reason that the writer of the file, or who set this up, can mend.
    Refused(Refusal),
    /// A call failed.
    Failed(NotTakenIn),
}

impl<E: Into<NotTakenIn>> From<E> for NotAnswered {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Refusal> for NotAnswered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The request of a row, or what is wrong with the row.
type Decided = Result<Box<AccountRequest>, Vec<Fault>>;

/// Takes files in.
#[derive(Debug)]
pub struct Intake {
    /// Where the files are.
    pub bucket: Bucket,
    /// The organization.
    pub organizations: Organizations,
    /// What Control Tower governs, if accounts are made with it.
    pub control_tower: Option<Landscape>,
    /// Who can get access, if anybody does.
    pub identity_center: Option<IdentityCenter>,
    /// What became of each request.
    pub ledger: Ledger,
    /// Where people are told.
    pub topics: AlertTopics,
    /// The region that this runs in.
    pub region: String,
}

impl Intake {
    /// Takes a file in: starts what can be started, answers every row in the results and tells people
    /// once. The same file again changes nothing. Gives what became of its rows.
    ///
    /// # Errors
    /// If a call fails. What was started stays started, and the same file again finds it. Of a
    /// reason that does not pass, people are told if `tell_failure` is set.
    pub async fn take_in(
        &self,
        upload: &Upload,
        now: Timestamp,
        tell_failure: bool,
    ) -> Result<Counts, NotTakenIn> {
        let file = &upload.file;
        let about = self.about(file, now);
        let (answers, alert, counts) = match self.answer(upload, now).await {
            Ok((answers, counts, faults)) => (answers, about.rows(counts, &faults), counts),
            Err(NotAnswered::Refused(Refusal(reason))) => (
                File::refused(&reason),
                about.refused(&reason),
                Counts::default(),
            ),
            Err(NotAnswered::Before(progress)) => {
                tracing::info!(file.key = file.key, "the file has been taken in before");
                // A crash may have come between the last two steps.
                self.finish(file, progress).await?;
                return Ok(Counts::default());
            }
            Err(NotAnswered::Failed(error)) => {
                if !error.retryable() {
                    self.explain(upload, about, tell_failure, &error).await;
                }
                return Err(error);
            }
        };
        self.bucket.write_results(upload, answers.write()).await?;
        self.topics.publish(&alert).await?;
        let forget = (now + REMEMBERED).as_second();
        let progress = self.ledger.taken_in(file, forget).await?;
        if counts.started + counts.under_way > 0 {
            self.finish(file, progress).await?;
        }
        tracing::info!(
            file.key = file.key,
            rows.started = counts.started,
            rows.under_way = counts.under_way,
            rows.done = counts.done,
            rows.refused = counts.refused,
            "file taken in"
        );
        Ok(counts)
    }

    /// Writes the results again if everything has ended before the file was taken in: nobody else does.
    async fn finish(&self, file: &FileId, progress: FileProgress) -> Result<(), NotTakenIn> {
        if progress.ended() {
            self.refresh_results(file).await?;
        }
        Ok(())
    }

    /// Says in the results, and to people, what AWS refuses for good; the message stays in the
    /// dead-letter queue until that is mended.
    async fn explain(&self, upload: &Upload, about: About<'_>, tell: bool, error: &NotTakenIn) {
        let reason = format!(
            "the file could not be taken in: {}. Once that is mended, send the file's message again \
             from the dead-letter queue, or upload the file again",
            error.in_words()
        );
        let results = File::refused(&reason).write();
        let mut outcomes = vec![self.bucket.write_results(upload, results).await];
        if tell {
            outcomes.push(self.topics.publish(&about.impossible(&reason)).await);
        }
        for error in outcomes.into_iter().filter_map(Result::err) {
            tracing::error!(%error, file.key = about.file.key, "the uploader could not be told");
        }
    }

    /// Fills in the results of a file again, unless a newer upload has taken their place.
    ///
    /// # Errors
    /// If a call fails, or somebody else writes the results at the same time.
    pub async fn refresh_results(&self, file: &FileId) -> Result<(), NotTakenIn> {
        let Some(stands) = self.bucket.results(file).await? else {
            tracing::info!(
                file.key = file.key,
                "its results have given way to a newer upload's"
            );
            return Ok(());
        };
        let Ok(mut answers) = csv::read(&stands.bytes) else {
            tracing::warn!(file.key = file.key, "its results have been changed by hand");
            return Ok(());
        };
        let open: Vec<String> = answers
            .rows
            .iter()
            .filter(|row| results::is_open(row))
            .map(Row::key)
            .collect();
        let requests = self.ledger.read(open.iter().map(String::as_str)).await?;
        if results::refresh(&mut answers, file, |key| requests.get(key)) {
            self.bucket
                .rewrite_results(file, stands, answers.write())
                .await?;
        }
        Ok(())
    }

    fn about<'a>(&'a self, file: &'a FileId, now: Timestamp) -> About<'a> {
        About {
            file,
            bucket: self.bucket.name(),
            region: &self.region,
            now,
        }
    }

    /// Reads the file, starts what can be started and fills in every row; gives also what became of
    /// the rows, and a sentence for each that was refused.
    async fn answer(
        &self,
        upload: &Upload,
        now: Timestamp,
    ) -> Result<(File, Counts, Vec<String>), NotAnswered> {
        let progress = self.ledger.progress([&upload.file]).await?;
        if let Some(progress) = progress.get(&upload.file)
            && progress.taken_in
        {
            return Err(NotAnswered::Before(*progress));
        }
        let mut file = self.read(upload).await?;
        let names = Names::of(&file.rows);
        // Boxed: so many calls at once make a large future.
        let (organization, catalog) = Box::pin(self.surroundings(&names)).await?;
        let wishes: Vec<Wish<'_>> = file
            .rows
            .iter()
            .zip(faults_of_repetition(&file.rows))
            .map(|(row, repetition)| Wish::of(row, repetition, &organization, catalog.as_ref()))
            .collect();
        let decisions = self
            .submit(&upload.file, &wishes, &organization, now)
            .await?;
        let mut counts = Counts::default();
        let mut refused = Vec::new();
        for (row, decision) in file.rows.iter_mut().zip(decisions) {
            match decision {
                Ok(request) => {
                    counts.taken(&request, request.is_of(&upload.file));
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
        Ok((file, counts, refused))
    }

    async fn read(&self, upload: &Upload) -> Result<File, NotAnswered> {
        let key = &upload.file.key;
        if !is_csv(key) {
            return Err(Refusal(format!(
                "{} is not a CSV: its name has to end in .csv",
                shown(key)
            ))
            .into());
        }
        if upload.size > MOST_BYTES as u64 {
            return Err(Refusal::too_long().into());
        }
        match self.bucket.file(upload).await? {
            Content::Bytes(bytes) => Ok(csv::read(&bytes)?),
            Content::TooLong => Err(Refusal::too_long().into()),
            Content::Gone => Err(Refusal(
                "the file was deleted or replaced before it could be read: upload it again"
                    .to_owned(),
            )
            .into()),
        }
    }

    /// The organization and what IAM Identity Center knows, read once for the whole file.
    async fn surroundings(
        &self,
        names: &Names,
    ) -> Result<(Organization, Option<AccessCatalog>), NotAnswered> {
        let control_tower = async {
            let governed = self.control_tower.as_ref().map(Landscape::governed);
            let governed = OptionFuture::from(governed).await.transpose();
            governed.map_err(NotAnswered::from)
        };
        let catalog = async {
            let catalog = self.identity_center.as_ref().map(|it| it.catalog(names));
            match OptionFuture::from(catalog).await.transpose() {
                Ok(catalog) => Ok(catalog),
                Err(NoCatalog::Settings(refusal)) => Err(refusal.into()),
                Err(NoCatalog::Call(error)) => Err(error.into()),
            }
        };
        let (accounts, (root, units), control_tower, catalog) = tokio::try_join!(
            async { Ok(self.organizations.accounts().await?) },
            async { Ok(self.organizations.units().await?) },
            control_tower,
            catalog,
        )?;
        Ok((
            Organization::new(root, units, accounts, control_tower),
            catalog,
        ))
    }

    /// Gives the table what is to be given; gives the request of each wish, or why it has none.
    async fn submit(
        &self,
        file: &FileId,
        wishes: &[Wish<'_>],
        organization: &Organization,
        now: Timestamp,
    ) -> Result<Vec<Decided>, NotTakenIn> {
        let mut decided: Vec<Option<Decided>> = wishes.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..wishes.len()).collect();
        // Requests that ended before this file could follow them: how they ended is the answer.
        let mut only_shown: HashSet<usize> = HashSet::new();
        for _ in 0..ROUNDS {
            let keys: Vec<Option<String>> = left.iter().map(|place| wishes[*place].key()).collect();
            let readable = keys.iter().flatten().map(String::as_str);
            let held = self.ledger.read(readable).await?;
            let mut given = Vec::new();
            let mut submissions = Vec::new();
            for (place, key) in left.drain(..).zip(keys) {
                let held = key.and_then(|key| held.get(&key));
                let decision = match held {
                    Some(held) if only_shown.contains(&place) => {
                        Decision::Stands(Box::new(held.clone()))
                    }
                    _ => {
                        let after = i64::try_from(place).unwrap_or(i64::MAX);
                        let queued_at = now.as_millisecond().saturating_add(after);
                        decide(&wishes[place], held, organization, file, queued_at)
                    }
                };
                match decision {
                    Decision::Submit(submission, request) => {
                        submissions.push(submission);
                        given.push((place, request));
                    }
                    Decision::Stands(request) => decided[place] = Some(Ok(request)),
                    Decision::Refused(faults) => decided[place] = Some(Err(faults)),
                }
            }
            let not_taken = self.ledger.submit(file, &submissions).await?;
            let mut not_taken: HashMap<usize, NotTaken> = not_taken.into_iter().collect();
            for (nth, (place, request)) in given.into_iter().enumerate() {
                match not_taken.remove(&nth) {
                    None => decided[place] = Some(Ok(request)),
                    Some(NotTaken::NameTaken(holder)) => {
                        let fault = format!(
                            "is the name of the account for {holder}, which is under way already"
                        );
                        decided[place] = Some(Err(vec![Fault::of(Column::AccountName, fault)]));
                    }
                    Some(NotTaken::Changed) => {
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
        Err(NotTakenIn::Overtaken)
    }
}
