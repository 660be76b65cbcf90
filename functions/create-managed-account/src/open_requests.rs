//! What the schedule does about requests that no event, message or record of the stream comes for any more.
//!
//! For each status there is something that ends it: AWS is asked about operations, assignments are sent again, what was
//! not published is published, and the results of every file with open requests are written again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    alert::Alert,
    aws_error::AwsCallError,
    idempotency::Claim,
    vending::request::{AccountRequest, Status},
};

use crate::{census::Census, incoming::Lost, outcome_alert, pipeline::Pipeline};

/// Assignments of which nothing came are sent again after so many times the wait for an operation.
const ASSIGNMENTS_WAIT: u32 = 5;
/// What takes longer is reported, once: Account Factory needs up to half an hour for an account.
const LONG: SignedDuration = SignedDuration::from_hours(1);
/// How far back it is looked whether the end of a request was published. The stream keeps its records for a day.
const LOOKED_BACK: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How long it is remembered what was published.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long another invocation waits before it publishes what this one may have published.
const CLAIMED: SignedDuration = SignedDuration::from_mins(3);

impl Pipeline {
    /// Looks after every open request and after those whose end was not published.
    ///
    /// # Errors
    /// If a call failed; whatever does not depend on it is done.
    pub(crate) async fn look_after_all(
        &self,
        lost: Lost,
        now: Timestamp,
    ) -> Result<Census, AwsCallError> {
        let assigning = self.ledger.with_status(Status::Assigning, 0).await?;
        let assigned = self.send_assignments_again(&assigning, lost, now).await;
        let provisioning = self.ledger.with_status(Status::Provisioning, 0).await?;
        let reported = self
            .tell_of_long_ones(provisioning.iter().chain(&assigning), now)
            .await;
        let mut census = Census {
            valid: self.ledger.with_status(Status::Valid, 0).await?.len(),
            provisioning: provisioning.len(),
            assigning: assigning.len(),
            ..Census::default()
        };
        let open = provisioning.iter().chain(&assigning);
        let ages = open.filter_map(|request| Some(now.duration_since(began(request)?).as_secs()));
        census.oldest_operation_seconds = ages
            .max()
            .and_then(|age| age.try_into().ok())
            .unwrap_or_default();
        let published = self.publish_what_was_not(&mut census, now).await;
        let files: BTreeSet<String> = self
            .ledger
            .open_files()
            .await?
            .iter()
            .map(ToString::to_string)
            .collect();
        let written = self.send_results_tasks(files.iter(), now).await;
        assigned.and(reported).and(published).and(written)?;
        Ok(census)
    }

    /// Sends the assignments of requests again of which nothing came: their message was lost.
    async fn send_assignments_again(
        &self,
        assigning: &[AccountRequest],
        lost: Lost,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        let wait = (self.reconcile_after * ASSIGNMENTS_WAIT).as_millis();
        let now = now.as_millisecond();
        let mut again = Vec::new();
        for request in assigning {
            let since = request.assign_sent_at.or(request.assigning_at);
            let waited = u128::try_from(now - since.unwrap_or_default()).unwrap_or_default();
            if lost == Lost::Certainly || waited >= wait {
                again.extend(self.ledger.send_assignments_again(request, now).await?);
            }
        }
        self.send_assign_tasks(again.iter()).await
    }

    /// Publishes, once for each attempt, that a request takes long.
    async fn tell_of_long_ones(
        &self,
        open: impl Iterator<Item = &AccountRequest>,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        for request in open {
            let Some(since) = began(request) else {
                continue;
            };
            if now.duration_since(since) >= LONG {
                let alert = outcome_alert::long(request, since, &self.region, now);
                let id = format!("long#{}#{since}", request.attempt_id());
                self.publish_once(&id, &alert, now).await?;
            }
        }
        Ok(())
    }

    /// Publishes the end of requests whose change of the table was lost, and has their results written.
    async fn publish_what_was_not(
        &self,
        census: &mut Census,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        let since = (now - LOOKED_BACK).as_millisecond();
        let mut ended: BTreeMap<String, AccountRequest> = BTreeMap::new();
        for (status, count) in [
            (Status::Succeeded, &mut census.succeeded),
            (Status::Failed, &mut census.failed),
        ] {
            let found = self.ledger.with_status(status, since).await?;
            *count = found.len();
            // What an earlier version has published is not in the table.
            let ours = found
                .into_iter()
                .filter(|request| request.requested_at > 0 && !request.withdrawn);
            ended.extend(ours.map(|request| (told_id(&request), request)));
        }
        let ids: Vec<String> = ended.keys().cloned().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let left = self.ledger.not_done(&ids).await?;
        let left: Vec<&AccountRequest> = left.iter().filter_map(|id| ended.get(id)).collect();
        self.send_results_tasks(left.iter().flat_map(|request| &request.files), now)
            .await?;
        for request in left {
            self.publish_outcome(request, now).await?;
        }
        Ok(())
    }

    /// Publishes the outcome of a request, once however often this is called.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn publish_outcome(
        &self,
        ended: &AccountRequest,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        match outcome_alert::alert(ended, self.queues.baseline.is_some(), &self.region, now) {
            Some(alert) => self.publish_once(&told_id(ended), &alert, now).await,
            None => Ok(()),
        }
    }

    async fn publish_once(
        &self,
        id: &str,
        alert: &Alert,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        let until = (now + CLAIMED).as_millisecond();
        let forget = (now + REMEMBERED).as_second();
        match self
            .alerts_sent
            .claim(id, now.as_millisecond(), until, forget)
            .await?
        {
            Claim::Claimed => {}
            // If the other invocation crashes, the schedule publishes it.
            Claim::Completed | Claim::InProgress => return Ok(()),
        }
        if let Err(error) = self.topics.publish(alert).await {
            self.alerts_sent.release(id).await?;
            return Err(error);
        }
        self.alerts_sent.complete(id).await
    }

    /// Frees what a request held whose item somebody deleted.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn forget(
        &self,
        deleted: &AccountRequest,
        now: Timestamp,
    ) -> Result<(), AwsCallError> {
        tracing::warn!("an open request was deleted from the table: what it held is released");
        let forget = (now + REMEMBERED).as_second();
        self.ledger.forget(deleted, forget).await
    }
}

/// When the operation that an open request waits for began.
fn began(request: &AccountRequest) -> Option<Timestamp> {
    let since = match request.status {
        Status::Provisioning => request.started_at,
        Status::Assigning => request.assigning_at,
        Status::Valid | Status::Succeeded | Status::Failed => None,
    };
    Some(Timestamp::from_millisecond(since?).unwrap_or_default())
}

fn told_id(request: &AccountRequest) -> String {
    let ready = if request.is_ready() { "#ready" } else { "" };
    format!("told#{}{ready}", request.attempt_id())
}
