//! Accounts that are not under Control Tower: which these are, as the management account knows it, and what is in the way of
//! their enrolment, as they show it. An account that is under it is not called.

use std::collections::{BTreeMap, BTreeSet};

use futures::{
    StreamExt,
    future::{join, join_all},
    stream,
};
use jiff::Timestamp;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    aws_error::AwsCallError,
    ids::AccountId,
    items::TableError,
    lambda::Time,
    posture::enrolment::{EnrolmentRecord, EnrolmentSummary, expires_at},
};
use tokio::time::timeout_at;

use crate::{
    gateway::{
        members::{Members, Session},
        posture_table::PostureTable,
    },
    obstacles::{self, Enabled, InRegion, Member, not_known},
};

/// Accounts that are examined at the same time.
const ACCOUNTS_AT_ONCE: usize = 20;

/// What examining accounts needs.
#[derive(Clone, Copy, Debug)]
pub struct Enrolments<'a> {
    /// Makes sessions.
    pub members: &'a Members,
    /// Where it is written down.
    pub table: &'a PostureTable,
    /// The units of accounts.
    pub directory: &'a DirectoryTable,
    /// The account that knows which accounts are under Control Tower.
    pub management: Option<&'a AccountId>,
    /// The survey.
    pub survey_id: &'a str,
    /// The Regions in use; all that an account has if there are none.
    pub regions: &'a BTreeSet<String>,
    /// Whether this is the last attempt: what cannot be found out then is written down as not known.
    pub last: bool,
}

impl Enrolments<'_> {
    /// Finds out which accounts are not under Control Tower, and writes them down: those that are to be examined. None if that
    /// cannot be found out, which is written down, too; nothing if another attempt may.
    ///
    /// # Errors
    /// If a table cannot be read or written.
    pub async fn begin(&self, time: &Time) -> Result<Option<BTreeSet<AccountId>>, TableError> {
        let now = time.now();
        let unknown = |reason: String| EnrolmentSummary::new(self.survey_id, now, Some(reason));
        let Some(management) = self.management else {
            let reason = "not known: which account is the management account".to_owned();
            return self.none(unknown(reason)).await;
        };
        let organization = Box::pin(self.organization(management));
        let read = timeout_at(time.start_until(), organization).await;
        let (enabled, members) = match read {
            Err(_) if !self.last => return Ok(None),
            Err(_) => {
                let reason = "the management account gave no answer in time".to_owned();
                return self.none(unknown(reason)).await;
            }
            Ok(Err(error)) if error.retryable_or_denied() && !self.last => return Ok(None),
            Ok(Err(error)) => {
                tracing::warn!(%error, "it is not known which accounts are under Control Tower");
                let reason = not_known("what is under Control Tower", &error.to_string());
                return self.none(unknown(reason)).await;
            }
            Ok(Ok(read)) => read,
        };
        if enabled.accounts.is_empty() && enabled.units.is_empty() {
            let reason = format!(
                "Control Tower has no enabled baseline in {} of account {management}: it is not there, has another home Region, or \
                 ManagementAccountId is not the management account",
                self.members.home()
            );
            return self.none(unknown(reason)).await;
        }
        let records = self.outside(members, &enabled, now).await;
        let summary = EnrolmentSummary::new(self.survey_id, now, None);
        self.table
            .write_enrolments(&records, Some(&summary))
            .await?;
        let accounts = records.into_iter().map(|record| record.account);
        Ok(Some(accounts.collect()))
    }

    /// Writes down that it is not known.
    async fn none(
        &self,
        summary: EnrolmentSummary,
    ) -> Result<Option<BTreeSet<AccountId>>, TableError> {
        self.table.write_enrolments(&[], Some(&summary)).await?;
        Ok(Some(BTreeSet::new()))
    }

    async fn organization(
        &self,
        account: &AccountId,
    ) -> Result<(Enabled, Vec<Member>), AwsCallError> {
        let session = self.members.session(account).await?;
        let management = session.management();
        let enabled = management.enabled().await?;
        if enabled == Enabled::default() {
            return Ok((enabled, Vec::new()));
        }
        Ok((enabled, management.accounts().await?))
    }

    /// The accounts that are not under Control Tower, with what the organization shows of them.
    async fn outside(
        &self,
        members: Vec<Member>,
        enabled: &Enabled,
        now: Timestamp,
    ) -> Vec<EnrolmentRecord> {
        let out = |member: &Member| {
            Some(&member.id) != self.management && !enabled.accounts.contains(&member.id)
        };
        let members: Vec<Member> = members.into_iter().filter(out).collect();
        let ids = members.iter().map(|member| member.id.clone()).collect();
        let entries = self.directory.read(&ids).await;
        let records = members.into_iter().map(|member| {
            // An entry that cannot be read is one that is not known.
            let entry = entries
                .get(&member.id)
                .and_then(|entry| entry.as_ref().ok());
            EnrolmentRecord {
                pair: EnrolmentRecord::key(&member.id),
                outside: obstacles::outside(&member, entry, enabled),
                inside: Vec::new(),
                unit: obstacles::unit(entry),
                name: member.name,
                email: member.email,
                // Nobody can look into an account that is suspended, and that is in the way already.
                looked_at: (member.state != "ACTIVE").then_some(now),
                account: member.id,
                survey_id: self.survey_id.to_owned(),
                expires_at: expires_at(now),
            }
        });
        records.collect()
    }

    /// Examines accounts that were written down, and gives those that there was no time for.
    ///
    /// # Errors
    /// If a table cannot be read or written.
    pub async fn examine(
        &self,
        accounts: &BTreeSet<AccountId>,
        time: &Time,
    ) -> Result<BTreeSet<AccountId>, TableError> {
        let records = self.table.enrolments(accounts).await?;
        // Of another survey, or examined already: by an invocation that was stopped later.
        let open = records
            .into_iter()
            .filter(|record| record.survey_id == self.survey_id && record.looked_at.is_none());
        let open: BTreeMap<AccountId, EnrolmentRecord> = open
            .map(|record| (record.account.clone(), record))
            .collect();
        let examined = open.into_iter().map(async |(account, record)| {
            // Boxed: together the futures of the SDK's calls would outgrow a thread's stack.
            let inside = timeout_at(time.start_until(), Box::pin(self.inside(&account)));
            inside
                .await
                .map_err(|_| account)
                .map(|inside| EnrolmentRecord {
                    inside,
                    looked_at: Some(time.now()),
                    ..record
                })
        });
        let examined: Vec<Result<EnrolmentRecord, AccountId>> = stream::iter(examined)
            .buffer_unordered(ACCOUNTS_AT_ONCE)
            .collect()
            .await;
        let (mut records, mut left) = (Vec::new(), BTreeSet::new());
        for result in examined {
            match result {
                Ok(record) => records.push(record),
                Err(account) => {
                    left.insert(account);
                }
            }
        }
        self.table.write_enrolments(&records, None).await?;
        Ok(left)
    }

    /// What is in the way, as far as the account shows it. What cannot be read is in the way.
    async fn inside(&self, account: &AccountId) -> Vec<String> {
        let session = match self.members.session(account).await {
            Ok(session) => session,
            Err(error) => return vec![not_known("a look into the account", &error.to_string())],
        };
        let role = async {
            let role = session.readiness().has_role().await;
            role.map_err(|error| error.to_string())
        };
        let (role, regions) = join(role, Box::pin(self.in_regions(&session))).await;
        match regions {
            Ok(regions) => obstacles::inside(&role, &regions),
            Err(error) => {
                let mut found = obstacles::inside(&role, &[]);
                found.push(not_known("its Regions", &error.to_string()));
                found
            }
        }
    }

    /// AWS Config in the Regions in use that the account has.
    async fn in_regions(&self, session: &Session<'_>) -> Result<Vec<InRegion>, AwsCallError> {
        let offered = session.regions().await?.into_iter();
        let on = offered.filter(|region| region.on).map(|region| region.name);
        let used = on.filter(|name| self.regions.is_empty() || self.regions.contains(name));
        let mut used: Vec<String> = used.collect();
        used.sort();
        let readiness = session.readiness();
        let readiness = &readiness;
        let regions = used.into_iter().map(async |region| {
            let (recorder, channel) = Box::pin(join(
                readiness.has_recorder(&region),
                readiness.has_channel(&region),
            ))
            .await;
            InRegion {
                region,
                recorder: recorder.map_err(|error| error.to_string()),
                channel: channel.map_err(|error| error.to_string()),
            }
        });
        Ok(join_all(regions).await)
    }
}
