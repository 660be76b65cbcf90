//! How a rehearsal begins, ends and is reported. Each step can be interrupted anywhere, and is made again by the next plan.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use orgkeeper_shared::{
    alert_topics::AlertTopics,
    aws_error::{AwsCallError, AwsErrorClass},
    gateway::organizations::OrganizationAccount,
    ids::AccountId,
    versioned_file::object::{Found, Version, VersionedObject},
};

use crate::{
    alerts::Around,
    ending::Ending,
    gateway::{reports::Reports, schedules::EndsBy, table::RehearsalTable},
    plan::{OwnPolicy, Step, steps},
    policy,
    record::{Record, State},
    refusal::{Facts, Refusal},
    rehearsal::Rehearsal,
    rehearsal_file::{FileError, parse},
    report::Report,
};

/// Holds rehearsals.
#[derive(Debug)]
pub struct Rehearser {
    /// The file.
    pub file: VersionedObject,
    /// What is known of each rehearsal.
    pub table: RehearsalTable,
    /// The policies, their schedules and the organization.
    pub ending: Ending,
    /// By whose right a schedule ends a rehearsal.
    pub ends_by: EndsBy,
    /// Where reports are stored.
    pub reports: Reports,
    /// Where alerts are published.
    pub topics: AlertTopics,
    /// The accounts that no rehearsal reaches.
    pub protected: Vec<AccountId>,
    /// The Region of the stack.
    pub region: String,
    /// The version of the refused file that was reported.
    pub reported_file: Mutex<Option<String>>,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Nothing that is counted.
    Looked,
    /// A policy was attached.
    Attached,
    /// A rehearsal ended.
    Ended,
    /// A rehearsal is refused.
    Refused,
    /// A report was published.
    Reported,
    /// A policy whose time is over could not be taken away.
    Overdue,
}

/// What the steps came to, and the first failure of a call.
#[derive(Debug, Default)]
pub(crate) struct Rehearsed {
    pub(crate) done: Vec<Done>,
    pub(crate) failed: Option<AwsCallError>,
}

impl Rehearsed {
    fn fail(&mut self, error: AwsCallError) {
        tracing::warn!(%error, "a step of the plan failed and will be made again");
        self.failed.get_or_insert(error);
    }
}

impl Rehearser {
    /// Does what is to be done now. A failure of one step does not stop the others.
    pub(crate) async fn rehearse(&self, now: Timestamp) -> Rehearsed {
        let mut rehearsed = Rehearsed::default();
        // What is not known ends nothing and begins nothing.
        let records = match self.table.records().await {
            Ok(records) => records,
            Err(error) => {
                rehearsed.fail(error);
                return rehearsed;
            }
        };
        let mut file = match self.in_force(now).await {
            Ok(file) => Some(file),
            Err(error) => {
                rehearsed.fail(error);
                None
            }
        };
        let own = match self.ending.own().await {
            Ok(own) => own,
            Err(error) => {
                rehearsed.fail(error);
                // A policy that exists must not be created again.
                file = None;
                Vec::new()
            }
        };
        let mut accounts = None;
        for step in steps(file.as_deref(), &records, &own, now) {
            match Box::pin(self.step(&step, &own, &mut accounts, now)).await {
                Ok(done) => rehearsed.done.push(done),
                Err(error) => {
                    if is_overdue(&step, now) {
                        rehearsed.done.push(Done::Overdue);
                    }
                    rehearsed.fail(error);
                }
            }
        }
        rehearsed
    }

    /// The rehearsals of the file; those of the last good version where the newest one is wrong.
    async fn in_force(&self, now: Timestamp) -> Result<Vec<Rehearsal>, AwsCallError> {
        let version = match self.file.read(None).await? {
            Found::Version(version) => version,
            // Without a known version nothing is unchanged.
            Found::Nothing | Found::Unchanged => return Ok(Vec::new()),
        };
        let error = match read(&version) {
            Ok(rehearsals) => return Ok(rehearsals),
            Err(error) => error,
        };
        self.report_file(&version.id, &error, now).await?;
        for id in self.file.earlier().await? {
            let version = self.file.version(&id).await?;
            if let Some(Ok(rehearsals)) = version.as_ref().map(read) {
                return Ok(rehearsals);
            }
        }
        Ok(Vec::new())
    }

    /// Reports a file that is refused, once for each version and process.
    async fn report_file(
        &self,
        version: &str,
        error: &FileError,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        let reported = || {
            self.reported_file
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if reported().as_deref() == Some(version) {
            return Ok(());
        }
        let alert = self.around(now).file_refused(version, error);
        self.topics.publish(&alert).await?;
        *reported() = Some(version.to_owned());
        Ok(())
    }

    async fn step(
        &self,
        step: &Step<'_>,
        own: &[OwnPolicy],
        accounts: &mut Option<Vec<OrganizationAccount>>,
        now: Timestamp,
    ) -> Result<Done, AwsCallError> {
        match *step {
            Step::End { record, why } => {
                self.ending.remove_all(record, own).await?;
                self.table.store(record.clone().ended(why, now)).await?;
                tracing::info!(rehearsal = record.id, why, "the rehearsal ended");
                Ok(Done::Ended)
            }
            Step::Remove(policy) => {
                self.ending.remove(&policy.id).await?;
                tracing::info!(
                    rehearsal = policy.rehearsal,
                    "a policy that was left was removed"
                );
                Ok(Done::Looked)
            }
            Step::Examine {
                rehearsal,
                record,
                begin,
            } => {
                let looked = Record::planned(rehearsal, now).over(record);
                let refusal = Refusal::in_the_file(rehearsal);
                if let Some(refusal) = refusal {
                    return self.refuse(looked, record, refusal.words(), own, now).await;
                }
                let facts = self.facts(rehearsal, accounts).await?;
                if let Some(refusal) = Refusal::of(rehearsal, &facts) {
                    return self.refuse(looked, record, refusal.words(), own, now).await;
                }
                if !begin {
                    self.table.store(looked).await?;
                    return Ok(Done::Looked);
                }
                let looked = looked.beginning(facts.accounts);
                self.begin(rehearsal, looked, record, own, now).await
            }
            Step::Report(record) => self.report(record, now).await,
        }
    }

    /// What the organization says about the target.
    async fn facts(
        &self,
        rehearsal: &Rehearsal,
        accounts: &mut Option<Vec<OrganizationAccount>>,
    ) -> Result<Facts, AwsCallError> {
        let organizations = &self.ending.organizations;
        let target = rehearsal.target.id();
        let tags = match organizations.tags_of(target).await {
            Ok(tags) => tags,
            Err(error) if error.class() == AwsErrorClass::NotFound => return Ok(Facts::default()),
            Err(error) => return Err(error),
        };
        let all = match accounts {
            Some(all) => all,
            None => accounts.insert(organizations.all_accounts().await?),
        };
        let name = rehearsal.policy_name();
        Ok(Facts {
            tags: Some(tags),
            policies: self.ending.policies.count(target, &name).await?,
            ..Facts::of_accounts(&rehearsal.target, all, &self.protected)
        })
    }

    /// Refuses a rehearsal: reported once for each reason.
    async fn refuse(
        &self,
        looked: Record,
        earlier: Option<&Record>,
        reason: &str,
        own: &[OwnPolicy],
        now: Timestamp,
    ) -> Result<Done, AwsCallError> {
        if looked.begun {
            self.ending.remove_all(&looked, own).await?;
        }
        let refused = looked.refused(reason);
        let is_known = earlier.is_some_and(|earlier| {
            earlier.state == State::Refused && earlier.reason == refused.reason
        });
        if !is_known {
            // Before it is stored, so that a crash repeats it and never loses it.
            self.topics
                .publish(&self.around(now).refused(&refused))
                .await?;
        }
        self.table.store(refused).await?;
        Ok(if is_known {
            Done::Looked
        } else {
            Done::Refused
        })
    }

    /// Attaches the policy. Its record says that it may exist before anything is made, and its end is set before it is attached.
    async fn begin(
        &self,
        rehearsal: &Rehearsal,
        looked: Record,
        earlier: Option<&Record>,
        own: &[OwnPolicy],
        now: Timestamp,
    ) -> Result<Done, AwsCallError> {
        let record = self.table.store(looked).await?;
        match self.attach(rehearsal, &record, own).await {
            Ok(policy) => {
                let attached = record.attached(&policy, now);
                self.topics
                    .publish(&self.around(now).attached(&attached))
                    .await?;
                self.table.store(attached).await?;
                tracing::info!(rehearsal = rehearsal.id(), "the policy is attached");
                Ok(Done::Attached)
            }
            Err(error) if error.retryable_or_denied() => Err(error),
            // For example that the target has no place.
            Err(error) => {
                let own = &self.ending.own().await?;
                let reason = format!("AWS refused it: {error}");
                self.refuse(record, earlier, &reason, own, now).await
            }
        }
    }

    async fn attach(
        &self,
        rehearsal: &Rehearsal,
        record: &Record,
        own: &[OwnPolicy],
    ) -> Result<String, AwsCallError> {
        let Ending {
            policies,
            schedules,
            ..
        } = &self.ending;
        let name = &record.policy_name;
        let existing = own
            .iter()
            .find(|policy| policy.name == *name && policy.rehearsal == record.id);
        let policy = if let Some(policy) = existing {
            policy.id.clone()
        } else {
            let partition = self.ends_by.role.split(':').nth(1).unwrap_or("aws");
            let text = policy::text(rehearsal, partition);
            let description = policy::description(rehearsal);
            policies
                .create(name, &description, &text, &record.id)
                .await?
        };
        schedules
            .detach_at(record.until, &policy, &record.target, &self.ends_by)
            .await?;
        policies.attach(&policy, &record.target).await?;
        Ok(policy)
    }

    /// Publishes who called what.
    async fn report(&self, record: &Record, now: Timestamp) -> Result<Done, AwsCallError> {
        let report = Report::of(self.table.callers(&record.id).await?);
        self.reports
            .write(&Report::key(record), report.csv().into_bytes())
            .await?;
        let alert = self
            .around(now)
            .report(record, &report, self.reports.bucket());
        self.topics.publish(&alert).await?;
        let reported = Record {
            reported: true,
            ..record.clone()
        };
        self.table.store(reported).await?;
        tracing::info!(
            rehearsal = record.id,
            calls = report.calls(),
            "the report is published"
        );
        Ok(Done::Reported)
    }

    fn around(&self, now: Timestamp) -> Around<'_> {
        Around {
            region: &self.region,
            now,
        }
    }
}

/// Whether a step that failed leaves a policy attached whose time is over.
fn is_overdue(step: &Step<'_>, now: Timestamp) -> bool {
    match step {
        Step::End { record, .. } => now >= record.until,
        Step::Remove(_) => true,
        Step::Examine { .. } | Step::Report(_) => false,
    }
}

fn read(version: &Version) -> Result<Vec<Rehearsal>, FileError> {
    match &version.text {
        Ok(text) => parse(text),
        Err(problem) => Err(FileError(vec![(*problem).to_owned()])),
    }
}
