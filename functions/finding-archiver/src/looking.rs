//! What waits is looked at again: its findings, as they are now, go through the planner once more. So nothing starts on what
//! was known when it began to wait.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    aws_error::AwsCallError,
    ids::FindingId,
    lambda::Time,
    remediation::{
        control::{Form, control},
        record::{Record, Status, waiting::WaitFor},
        target::Target,
    },
    security_hub::{FoundFinding, VALUES_PER_READ},
};
use tokio::time::Instant;

use crate::{
    due::{Due, Looked},
    handler::{AT_ONCE, Archiver},
};

/// Findings that are not found are gone if it has waited for so long: a new one cannot be found at once.
const GONE_AFTER: SignedDuration = SignedDuration::from_hours(1);

impl Archiver {
    /// Looks again at what waits for this.
    pub(crate) async fn look_at_waiting(
        &self,
        what: WaitFor,
        due: Due,
        time: &Time,
    ) -> Result<Looked, AwsCallError> {
        let until = match due {
            Due::Now => time.now(),
            Due::Since(_) => Timestamp::MAX,
        };
        let keys = self.table.waiting(what, until).await?;
        self.look_at(what, keys, due, time).await
    }

    /// Looks again at these records, if they wait for this.
    pub(crate) async fn look_at(
        &self,
        what: WaitFor,
        keys: Vec<String>,
        due: Due,
        time: &Time,
    ) -> Result<Looked, AwsCallError> {
        let mut looked = Looked::default();
        // Those of one call to Security Hub at a time: what is noted as looked at is looked at.
        for keys in keys.chunks(VALUES_PER_READ) {
            if Instant::now() >= time.start_until() {
                looked.unfinished = true;
                break;
            }
            let since = match due {
                Due::Now => None,
                Due::Since(since) => Some(since),
            };
            let noting = keys
                .iter()
                .map(|key| self.table.look_again(key, what, since, time.now()));
            let mut noted = stream::iter(noting).buffered(AT_ONCE);
            let mut records = Vec::new();
            while let Some(record) = noted.next().await {
                records.extend(record?);
            }
            drop(noted);
            looked.sent += self.send_again(&records, Some(what), time).await?;
        }
        Ok(looked)
    }

    /// Sends the findings of records to the planner, as they are now. What waits and has no open finding ends.
    pub(crate) async fn send_again(
        &self,
        records: &[Record],
        waits_for: Option<WaitFor>,
        time: &Time,
    ) -> Result<usize, AwsCallError> {
        let ids: Vec<FindingId> = records
            .iter()
            .flat_map(|record| record.findings.iter().cloned())
            .collect();
        let mut found: HashMap<FindingId, FoundFinding> = HashMap::new();
        for ids in ids.chunks(VALUES_PER_READ) {
            let read = self.security_hub.whole_findings_by_id(ids).await?;
            found.extend(
                read.into_iter()
                    .map(|finding| (finding.id.clone(), finding)),
            );
        }
        let mut messages = Vec::new();
        for record in records {
            let open: Vec<&FoundFinding> = record
                .findings
                .iter()
                .filter_map(|id| found.get(id))
                .filter(|finding| finding.is_open)
                .collect();
            messages.extend(open.iter().map(|finding| {
                let message = finding.as_event(time.now());
                (message, Duration::ZERO)
            }));
            let known = record.findings.iter().any(|id| found.contains_key(id));
            let since = record.wait_since.unwrap_or_else(|| time.now());
            let gone = known || time.now().duration_since(since) > GONE_AFTER;
            if let Some(what) = waits_for
                && open.is_empty()
                && gone
            {
                self.table.close(&record.key, what, time.now()).await?;
            }
        }
        let sent = messages.len();
        if sent > 0 {
            self.queue
                .send(&self.remediation_queue_url, messages)
                .await?;
        }
        Ok(sent)
    }

    /// What a fix that ended means for others: what needed this control is looked at again, and a control that this one
    /// needs is ordered first, if the playbook lets it.
    pub(crate) async fn order_by_needs(
        &self,
        record: &Record,
        time: &Time,
    ) -> Result<(), AwsCallError> {
        match record.status {
            Status::Fixed | Status::AlreadyCompliant => {
                let of_account = format!("{}#", record.account);
                let mut keys = Vec::new();
                for key in self.table.waiting(WaitFor::Needs, Timestamp::MAX).await? {
                    if !key.starts_with(&of_account) {
                        continue;
                    }
                    let other = self.table.read(&key).await?;
                    let needs = other.as_ref().and_then(|it| it.needs.as_deref());
                    if needs.is_some_and(|needs| needs.eq_ignore_ascii_case(&record.control)) {
                        keys.push(key);
                    }
                }
                let since = record.ended_at.unwrap_or_else(|| time.now());
                self.look_at(WaitFor::Needs, keys, Due::Since(since), time)
                    .await?;
            }
            Status::Needs => {
                if let Some(needed) = self.needed(record).await? {
                    self.send_again(&[needed], None, time).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The record of the control that this one needs, if it is about the account as a whole: of others it is not known
    /// which resource is meant.
    async fn needed(&self, record: &Record) -> Result<Option<Record>, AwsCallError> {
        let needed = record.needs.as_deref().and_then(control);
        let Some(needed) = needed.filter(|needed| needed.form == Form::Account) else {
            return Ok(None);
        };
        let account = record.account.clone();
        let resource = format!("AWS::::Account:{account}");
        match Target::new(needed, account, &record.region, &resource) {
            Ok(target) => self.table.read(&target.key(needed)).await,
            Err(_) => Ok(None),
        }
    }
}
