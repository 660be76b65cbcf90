//! What follows from a change of the tables, or from a task.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use aws_lambda_events::dynamodb::EventRecord;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    alert_topics::AlertTopics,
    aws_error::AwsCallError,
    lambda::Time,
    posture::{
        exposure::{Exposure, SORT_KEY},
        file::PostureFile,
        keep::{self, KeepSummary},
        pair::{KEY, Pair},
        setting_record::{self, SettingRecord},
        survey::{self, Reason as Why, SurveySummary},
        verdict::{self, FileVerdicts},
    },
    queue::{Queue, Reason},
    versioned_file::active::{ActiveFile, NoFile},
};
use serde::de::DeserializeOwned;

use crate::{
    alerts::{Around, of_notices},
    drift,
    gateway::{
        config_aggregator::ConfigAggregator,
        insights::Insights,
        notices::{Claimed, NoticesTable},
        reports::Reports,
        tables::PostureTables,
    },
    level::Level,
    notice::{Happened, Notice, of_change, of_expired},
    report::{
        error::ReportError,
        files, settings_csv,
        snapshot::{KnownAccount, Snapshot, folder},
    },
    task::{AGAIN, HOLD, SURVEY_LIMIT, Task, is_quiet},
};

/// The longest delay of a message.
const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// What the function works with.
#[derive(Debug)]
pub struct Reporter {
    /// What is, or is to be, published.
    pub notices: NoticesTable,
    /// The tables of the flow.
    pub tables: PostureTables,
    /// Names and units of accounts.
    pub directory: DirectoryTable,
    /// The reports.
    pub reports: Reports,
    /// What is wanted.
    pub file: ActiveFile<PostureFile>,
    /// Insights of the organization.
    pub devops_guru: Insights,
    /// The second source.
    pub config: ConfigAggregator,
    /// Where alerts are published.
    pub topics: AlertTopics,
    /// A gateway for its own tasks.
    pub queue: Queue,
    /// The address of its own queue.
    pub queue_url: String,
    /// The Region of the stack.
    pub region: String,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ReporterError {
    /// A call failed.
    #[error("a call failed")]
    Call(#[from] AwsCallError),
    /// A report could not be written.
    #[error("a report could not be written")]
    Report(#[from] ReportError),
    /// It is not known which file is in force.
    #[error("posture.toml cannot be read")]
    File(#[from] NoFile),
    /// A task could not be written.
    #[error("a task could not be written as JSON")]
    Task(#[from] serde_json::Error),
}

impl Reason for ReporterError {
    fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable_or_denied(),
            Self::File(error) => error.retryable(),
            Self::Report(_) | Self::Task(_) => false,
        }
    }
}

/// What became of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// It has to wait so long.
    pub again: Option<Duration>,
    /// Exposures that were published as new.
    pub new: usize,
    /// Exposures that were published as gone.
    pub gone: usize,
    /// Reports that were written.
    pub reports: usize,
    /// Surveys that were published as incomplete or late.
    pub incomplete: usize,
    /// Settings that were published as drifted.
    pub drifts: usize,
    /// Insights that were published.
    pub insights: usize,
    /// Regions whose insights could not be listed.
    pub insights_unread: usize,
}

impl Done {
    fn again(after: Duration) -> Self {
        Self {
            again: Some(after),
            ..Self::default()
        }
    }
}

/// What follows from changes of the tables.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// What people have to know.
    pub notices: Vec<Notice>,
    /// Tasks, each with its delay.
    pub tasks: Vec<(Task, Duration)>,
}

/// What follows from changes of the tables `Exposure` and `Posture`. Nothing does from an item that is neither: somebody
/// changed it by hand.
#[must_use]
pub fn followed(records: Vec<EventRecord>, time: &Time) -> Followed {
    let mut followed = Followed::default();
    for record in records {
        let change = record.change;
        // An item that was deleted was gone, or over, long before.
        if change.new_image.is_empty() {
            continue;
        }
        let key = serde_dynamo::from_item::<_, BTreeMap<String, String>>(change.keys);
        let key = key.unwrap_or_default();
        let begins = |prefix: &str| key.get(KEY).is_some_and(|key| key.starts_with(prefix));
        if key.contains_key(SORT_KEY) {
            let Some(new) = item::<Exposure>(change.new_image) else {
                continue;
            };
            let old = (!change.old_image.is_empty()).then(|| item::<Exposure>(change.old_image));
            let notice = of_change(old.flatten().as_ref(), &new, time.now());
            followed.notices.extend(notice);
        } else if begins(setting_record::KEY_PREFIX) {
            let Some(new) = item::<SettingRecord>(change.new_image) else {
                continue;
            };
            let old =
                (!change.old_image.is_empty()).then(|| item::<SettingRecord>(change.old_image));
            let notice = drift::of_change(old.flatten().as_ref(), &new, time.now());
            followed.notices.extend(notice);
        } else if begins(keep::KEY_PREFIX) {
            let Some(new) = item::<KeepSummary>(change.new_image) else {
                continue;
            };
            let old = (!change.old_image.is_empty()).then(|| item::<KeepSummary>(change.old_image));
            followed.tasks.extend(of_run(old.flatten().as_ref(), &new));
        } else if key.get(KEY).is_some_and(|key| key == verdict::KEY) {
            let Some(new) = item::<FileVerdicts>(change.new_image) else {
                continue;
            };
            followed.tasks.extend(of_verdicts(&new));
        } else if begins(survey::KEY_PREFIX) {
            let Some(new) = item::<SurveySummary>(change.new_image) else {
                continue;
            };
            let old =
                (!change.old_image.is_empty()).then(|| item::<SurveySummary>(change.old_image));
            followed
                .tasks
                .extend(of_survey(old.flatten().as_ref(), &new));
        }
    }
    let pairs: BTreeSet<&Pair> = followed.notices.iter().map(|notice| &notice.pair).collect();
    let publishing = pairs.into_iter().map(publish_task);
    let publishing: Vec<(Task, Duration)> = publishing.collect();
    followed.tasks.extend(publishing);
    followed
}

/// What follows from a change of a run: the plan of an uploaded file, once each setting was looked at.
fn of_run(old: Option<&KeepSummary>, new: &KeepSummary) -> Option<(Task, Duration)> {
    let is_planned = matches!(new.reason, Why::Upload | Why::Request);
    let had_ended = old.is_some_and(KeepSummary::has_ended);
    (is_planned && new.has_ended() && !had_ended).then(|| {
        let run = new.run.clone();
        (Task::Plan { run }, HOLD)
    })
}

/// What follows from what was decided about versions of the file: people have to know that the newest is refused.
fn of_verdicts(new: &FileVerdicts) -> Option<(Task, Duration)> {
    let newest = new.newest.as_ref()?;
    let is_refused = new.refused.contains_key(newest);
    is_refused.then(|| {
        let version = newest.clone();
        (Task::Refused { version }, Duration::ZERO)
    })
}

/// A task that publishes what is noted about a pair, once its look is over.
fn publish_task(pair: &Pair) -> (Task, Duration) {
    (Task::Publish { pair: pair.clone() }, HOLD)
}

/// An item of a stream; nothing of one that has another form.
fn item<T: DeserializeOwned>(image: serde_dynamo::Item) -> Option<T> {
    serde_dynamo::from_item(image)
        .inspect_err(|error| tracing::error!(%error, "an item of a posture table has another form"))
        .ok()
}

/// What follows from a change of a survey.
fn of_survey(old: Option<&SurveySummary>, new: &SurveySummary) -> Option<(Task, Duration)> {
    let survey_id = new.survey_id.clone();
    match (old, new.has_ended()) {
        // It says nothing about the organization: not how much of it cannot be read, and not what it looked like that day.
        _ if new.is_partial => None,
        (Some(old), true) if old.has_ended() => None,
        // The last changes of its exposures come a moment later.
        (_, true) => Some((Task::Report { survey_id }, HOLD)),
        (None, false) => Some((
            Task::SurveyDue {
                survey_id,
                due: new.began_at + SURVEY_LIMIT,
            },
            LONGEST_DELAY,
        )),
        (Some(_), false) => None,
    }
}

impl Reporter {
    /// Does what follows from changes; again it does the same.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn follow(&self, followed: &Followed) -> Result<(), ReporterError> {
        // First, so that the task finds them.
        self.notices.note(&followed.notices).await?;
        self.send(&followed.tasks).await
    }

    async fn send(&self, tasks: &[(Task, Duration)]) -> Result<(), ReporterError> {
        if tasks.is_empty() {
            return Ok(());
        }
        let bodies = tasks
            .iter()
            .map(|(task, delay)| Ok((serde_json::to_string(task)?, *delay)));
        let bodies: Result<Vec<_>, serde_json::Error> = bodies.collect();
        Ok(self.queue.send(&self.queue_url, bodies?).await?)
    }

    /// Does a task.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn carry_out(&self, task: &Task, time: &Time) -> Result<Done, ReporterError> {
        match task {
            Task::Publish { pair } => self.publish(pair, time).await,
            Task::Report { survey_id } => self.report(survey_id, time).await,
            Task::Plan { run } => self.plan(run).await,
            Task::SurveyDue { survey_id, due } if *due > time.now() => {
                let left = due.duration_since(time.now()).unsigned_abs();
                tracing::debug!(survey.id = survey_id, "a survey is not due yet");
                // A delay has whole seconds: one that is too short would come back at once.
                let left = Duration::from_secs(left.as_secs() + 1);
                Ok(Done::again(left.min(LONGEST_DELAY)))
            }
            Task::Refused { version } => self.refused(version, time).await,
            Task::Insights => self.insights(time).await,
            Task::SurveyDue { survey_id, .. } => self.survey_due(survey_id, time).await,
        }
    }

    fn around(&self, time: &Time) -> Around<'_> {
        Around {
            region: &self.region,
            bucket: self.reports.bucket(),
            now: time.now(),
        }
    }

    /// Publishes what is noted about a pair: one alert about what is new, one about what is gone.
    async fn publish(&self, pair: &Pair, time: &Time) -> Result<Done, ReporterError> {
        let notices = self.notices.unpublished(pair).await?;
        if notices.is_empty() {
            return Ok(Done::default());
        }
        if !is_quiet(&notices, time.now()) {
            return Ok(Done::again(AGAIN));
        }
        let what = Claimed::Pair(pair.clone());
        self.claimed(&what, time, async || {
            // Another invocation may have published them meanwhile.
            let notices = self.notices.unpublished(pair).await?;
            let (drifted, notices): (Vec<Notice>, Vec<Notice>) = notices
                .into_iter()
                .partition(|notice| notice.happened == Happened::Drifted);
            self.publish_drifts(&drifted, time).await?;
            let (gone, new): (Vec<Notice>, Vec<Notice>) = notices
                .into_iter()
                .partition(|notice| notice.happened == Happened::Gone);
            for group in [&new, &gone] {
                for alert in of_notices(self.around(time), group) {
                    self.topics.publish(&alert).await?;
                }
                self.notices
                    .mark(group, time.now().as_millisecond())
                    .await?;
            }
            Ok(Done {
                new: new.len(),
                gone: gone.len(),
                drifts: drifted.len(),
                ..Done::default()
            })
        })
        .await
    }

    async fn publish_drifts(&self, drifted: &[Notice], time: &Time) -> Result<(), ReporterError> {
        if drifted.is_empty() {
            return Ok(());
        }
        let accounts = self.known_accounts().await;
        for notice in drifted {
            if let Some(alert) = drift::alert(notice, &accounts, self.reports.bucket()) {
                self.topics.publish(&alert).await?;
            }
        }
        let marked = self.notices.mark(drifted, time.now().as_millisecond());
        Ok(marked.await?)
    }

    /// Writes the plan of a version of `posture.toml`.
    async fn plan(&self, run: &str) -> Result<Done, ReporterError> {
        let Some(summary) = self.tables.run(run).await? else {
            tracing::warn!(run, "the run is not in the table any more");
            return Ok(Done::default());
        };
        let settings = self.tables.settings().await?;
        let accounts = self.known_accounts().await;
        let plan = settings_csv::plan(&settings, &summary.version, &accounts)?;
        let key = format!("plans/{}.csv", summary.version);
        let written = self.reports.write(&key, "text/csv; charset=utf-8", plan);
        written.await?;
        Ok(Done {
            reports: 1,
            ..Done::default()
        })
    }

    /// Does something that no other invocation does meanwhile; if one does, it has to wait.
    pub(crate) async fn claimed(
        &self,
        what: &Claimed,
        time: &Time,
        work: impl AsyncFnOnce() -> Result<Done, ReporterError>,
    ) -> Result<Done, ReporterError> {
        let until = time.end().as_millisecond();
        if !self
            .notices
            .claim(what, time.now().as_millisecond(), until)
            .await?
        {
            return Ok(Done::again(AGAIN));
        }
        let done = work().await;
        let released = self.notices.release(what, until).await;
        let done = done?;
        released?;
        Ok(done)
    }

    /// Writes the reports of a survey, notes acceptances that are over, and says what could not be read.
    async fn report(&self, survey_id: &str, time: &Time) -> Result<Done, ReporterError> {
        let Some(survey) = self.tables.survey(survey_id).await? else {
            tracing::warn!(
                survey.id = survey_id,
                "the survey is not in the table any more"
            );
            return Ok(Done::default());
        };
        let everything = self.tables.everything().await?;
        let accounts = self.known_accounts().await;
        let snapshot = Snapshot::new(
            survey,
            everything.pairs,
            everything.exposures,
            accounts,
            time.now(),
        )
        .with_settings(self.tables.settings().await?)
        .with_second_source(self.config.ask().await)
        .with_enrolment(self.tables.enrolment().await?);
        for file in files(&snapshot)? {
            let key = format!("{}{}", snapshot.folder(), file.name);
            self.reports
                .write(&key, file.content_type, file.body)
                .await?;
        }
        let expired = snapshot
            .exposures
            .iter()
            .filter_map(|exposure| of_expired(exposure, time.now()));
        let expired: Vec<Notice> = expired.collect();
        self.notices.note(&expired).await?;
        let pairs: BTreeSet<&Pair> = expired.iter().map(|notice| &notice.pair).collect();
        let tasks: Vec<(Task, Duration)> = pairs.into_iter().map(publish_task).collect();
        self.send(&tasks).await?;
        let done = self.claimed(&Claimed::Surveys, time, async || {
            let names = snapshot
                .accounts
                .iter()
                .map(|(id, account)| (id.clone(), account.name.clone()));
            self.incomplete(&snapshot, &names.collect(), time).await
        });
        let done = done.await?;
        Ok(Done { reports: 1, ..done })
    }

    /// Publishes what was seen for the first time, and that a survey could not read everything, if that is worse than before.
    async fn incomplete(
        &self,
        snapshot: &Snapshot,
        names: &BTreeMap<orgkeeper_shared::ids::AccountId, String>,
        time: &Time,
    ) -> Result<Done, ReporterError> {
        let (survey, pairs) = (&snapshot.survey, &snapshot.pairs);
        let before = self.notices.level().await?;
        if before.has(&survey.survey_id) {
            return Ok(Done::default());
        }
        let found = snapshot.unexpected();
        let found = found.filter(|it| it.first_look && it.first_seen >= survey.began_at);
        let around = self.around(time);
        if let Some(alert) = around.first_survey(survey, found.collect(), &folder(survey)) {
            self.topics.publish(&alert).await?;
        }
        let level = before.after(survey);
        let is_worse = level.is_worse_than(&before);
        if is_worse {
            let alert = self
                .around(time)
                .incomplete(survey, &level, pairs, names, &folder(survey));
            self.topics.publish(&alert).await?;
        }
        self.notices.store_level(&level).await?;
        Ok(Done {
            incomplete: usize::from(is_worse),
            ..Done::default()
        })
    }

    /// Publishes that a survey has not ended, once.
    async fn survey_due(&self, survey_id: &str, time: &Time) -> Result<Done, ReporterError> {
        let survey = self.tables.survey(survey_id).await?;
        let Some(survey) = survey.filter(|survey| !survey.has_ended()) else {
            return Ok(Done::default());
        };
        self.claimed(&Claimed::Surveys, time, async || {
            let level = self.notices.level().await?;
            if level.late_survey.as_str() >= survey_id {
                return Ok(Done::default());
            }
            self.topics
                .publish(&self.around(time).late(&survey))
                .await?;
            let level = Level {
                late_survey: survey_id.to_owned(),
                ..level
            };
            self.notices.store_level(&level).await?;
            Ok(Done {
                incomplete: 1,
                ..Done::default()
            })
        })
        .await
    }

    /// Publishes that a version of the file is refused, once.
    async fn refused(&self, version: &str, time: &Time) -> Result<Done, ReporterError> {
        let verdicts = self.tables.verdicts().await?;
        let Some(refusal) = verdicts.refused.get(version) else {
            return Ok(Done::default());
        };
        self.claimed(&Claimed::Surveys, time, async || {
            let level = self.notices.level().await?;
            if level.refused_version == version {
                return Ok(Done::default());
            }
            let alert = self.around(time).refused(version, &refusal.faults);
            self.topics.publish(&alert).await?;
            let level = Level {
                refused_version: version.to_owned(),
                ..level
            };
            self.notices.store_level(&level).await?;
            Ok(Done::default())
        })
        .await
    }

    /// Names and units of accounts. They are a comfort: a report without them is better than none.
    pub(crate) async fn known_accounts(
        &self,
    ) -> BTreeMap<orgkeeper_shared::ids::AccountId, KnownAccount> {
        match self.directory.all().await {
            Ok(entries) => {
                let entries = entries
                    .into_iter()
                    .filter(|entry| entry.gone_since.is_none());
                entries
                    .map(|entry| {
                        let known = KnownAccount {
                            unit: entry.ou_path.to_string(),
                            name: entry.name,
                        };
                        (entry.account_id, known)
                    })
                    .collect()
            }
            Err(error) => {
                tracing::warn!(%error, "the account directory cannot be read: the report has no names");
                BTreeMap::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::survey;

    #[test]
    fn a_survey_is_watched_from_its_beginning_and_reported_at_its_end() {
        let ended = survey();
        let began = SurveySummary {
            ended: BTreeSet::new(),
            ended_at: None,
            ..survey()
        };
        let due = of_survey(None, &began).unwrap();
        assert_eq!(
            due.0,
            Task::SurveyDue {
                survey_id: began.survey_id.clone(),
                due: "2026-11-27T04:00:00Z".parse().unwrap(),
            }
        );
        let report = Task::Report {
            survey_id: began.survey_id.clone(),
        };
        assert_eq!(
            of_survey(Some(&began), &ended).map(|(task, _)| task),
            Some(report)
        );
        assert_eq!(of_survey(Some(&ended), &ended), None);
        let partial = |survey: &SurveySummary| SurveySummary {
            is_partial: true,
            ..survey.clone()
        };
        assert_eq!(of_survey(None, &partial(&began)), None);
        assert_eq!(of_survey(Some(&partial(&began)), &partial(&ended)), None);
        assert_eq!(of_survey(Some(&began), &began), None);
    }

    #[test]
    fn the_plan_of_an_upload_is_written_when_its_run_has_ended() {
        let run = |reason, ended: &[u64]| KeepSummary {
            pair: KeepSummary::key("r"),
            run: "r".into(),
            version: "v1".into(),
            reason,
            began_at: jiff::Timestamp::UNIX_EPOCH,
            parts: 2,
            ended: ended.iter().copied().collect(),
            ended_at: None,
            expires_at: 0,
        };
        let (one, both) = (run(Why::Upload, &[1]), run(Why::Upload, &[1, 2]));
        let plan = Task::Plan { run: "r".into() };
        assert_eq!(of_run(Some(&one), &both).map(|(task, _)| task), Some(plan));
        assert_eq!(of_run(None, &one), None);
        assert_eq!(of_run(Some(&both), &both), None);
        assert_eq!(of_run(None, &run(Why::Schedule, &[1, 2])), None);
    }
}
