//! All accounts and Regions of a sweep.

use std::{collections::BTreeSet, io::Write, time::Duration};

use aws_config::SdkConfig;
use futures::{StreamExt, future::join_all, stream};
use orgkeeper_shared::{
    aws_error::AwsErrorClass, ids::AccountId, pace::Pace, posture::pair::Outcome,
};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{
    failure::{outcome_of, reason},
    member::{Caller, LookError, Member, assume},
    organization::SweptAccount,
    question_file::Question,
    service::Place,
};

/// Calls in flight at once.
const IN_FLIGHT: usize = 64;
/// Accounts that are looked at at once.
const ACCOUNTS_AT_ONCE: usize = 16;
/// `AssumeRole` a second: 600 are allowed, to all of the account together.
const SESSIONS_PER_SECOND: f64 = 50.0;
/// In place of a Region, if an account could not be entered and the file names no Regions.
pub const ALL_REGIONS: &str = "*";
/// How often progress is shown.
const SHOWN: usize = 20;

/// What became of an account and Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedAt {
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// The Region, or [`ALL_REGIONS`].
    pub region: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, unless everything was read.
    pub reason: String,
    /// What was found.
    pub rows: Vec<Value>,
}

/// A sweep.
#[derive(Debug)]
pub struct Sweep<'s> {
    /// With the credentials of the caller.
    pub sdk: &'s SdkConfig,
    /// Who asks.
    pub caller: &'s Caller,
    /// What is asked.
    pub question: &'s Question,
    /// The wait before the second attempt of a call.
    pub backoff: Duration,
}

/// What all accounts of a sweep share.
struct Limits {
    in_flight: Semaphore,
    sessions: Pace,
}

impl Sweep<'_> {
    /// Asks all accounts; the result is in the order of accounts and Regions.
    pub async fn run(&self, accounts: &[SweptAccount], progress: &mut dyn Write) -> Vec<LookedAt> {
        let limits = Limits {
            in_flight: Semaphore::new(IN_FLIGHT),
            sessions: Pace::new(SESSIONS_PER_SECOND, 10),
        };
        let looks = accounts
            .iter()
            .map(|account| self.look_at_account(account, &limits));
        let mut looks = stream::iter(looks).buffer_unordered(ACCOUNTS_AT_ONCE);
        let (mut all, mut done, mut rows, mut unread) = (Vec::new(), 0, 0, 0);
        while let Some(looked) = looks.next().await {
            done += 1;
            rows += looked.iter().map(|it| it.rows.len()).sum::<usize>();
            unread += looked
                .iter()
                .filter(|it| it.outcome != Outcome::Seen)
                .count();
            all.extend(looked);
            let step = accounts.len().div_ceil(SHOWN);
            if done % step == 0 || done == accounts.len() {
                // Progress is a comfort.
                let _ = writeln!(
                    progress,
                    "{done} of {} accounts, {} pairs, {unread} of them not seen, {rows} rows …",
                    accounts.len(),
                    all.len()
                );
            }
        }
        all.sort_by(|one, other| (&one.account, &one.region).cmp(&(&other.account, &other.region)));
        all
    }

    async fn look_at_account(&self, account: &SweptAccount, limits: &Limits) -> Vec<LookedAt> {
        let whole = |outcome, reason: &str| {
            let regions = self.regions_of_file();
            let regions = regions.into_iter();
            regions
                .map(|region| looked_at(account, &region, outcome, reason))
                .collect()
        };
        if !account.is_active() {
            return whole(
                Outcome::Suspended,
                &format!("the account is {}", account.state),
            );
        }
        let member = match self.member(account, limits).await {
            Ok(member) => member,
            Err((outcome, reason)) => return whole(outcome, &reason),
        };
        // A service that is there once needs no list of Regions.
        if let Place::Global { region, .. } = self.question.service.place {
            return vec![self.look(account, &member, region, true).await];
        }
        let wanted = &self.question.scope.regions;
        let (own, known) = match member.regions().await {
            Ok(own) => (own, true),
            // The list is denied; the Regions of the file can be asked nevertheless.
            Err(error) if error.class() == AwsErrorClass::Denied && !wanted.is_empty() => {
                (wanted.clone(), false)
            }
            Err(error) => {
                let (outcome, reason) = outcome_of(&error, true);
                return whole(outcome, &format!("the Regions of the account: {reason}"));
            }
        };
        let regions: BTreeSet<&String> = if wanted.is_empty() { &own } else { wanted }
            .iter()
            .collect();
        let looks = regions.into_iter().map(|region| async {
            if own.contains(region) {
                self.look(account, &member, region, known).await
            } else {
                looked_at(
                    account,
                    region,
                    Outcome::RegionOff,
                    "the account does not have this Region",
                )
            }
        });
        join_all(looks).await
    }

    /// A session in the account. In the caller's own account that is the caller: there may be no role.
    async fn member<'m>(
        &'m self,
        account: &SweptAccount,
        limits: &'m Limits,
    ) -> Result<Member<'m>, (Outcome, String)> {
        let sdk = if account.id == self.caller.account {
            self.sdk.clone()
        } else {
            limits.sessions.wait().await;
            let role = &self.question.scope.role;
            let assumed = assume(self.sdk, self.caller, &account.id, role, self.backoff).await;
            assumed.map_err(|error| match error.class() {
                AwsErrorClass::Denied | AwsErrorClass::NotFound => (
                    Outcome::RoleMissing,
                    format!("{role} cannot be assumed: {}", reason(&error)),
                ),
                _ => (Outcome::Failed, format!("AssumeRole: {}", reason(&error))),
            })?
        };
        Ok(Member::new(
            sdk,
            self.question,
            &limits.in_flight,
            self.backoff,
        ))
    }

    async fn look(
        &self,
        account: &SweptAccount,
        member: &Member<'_>,
        region: &str,
        known: bool,
    ) -> LookedAt {
        match member.rows(region).await {
            Ok(rows) => LookedAt {
                rows,
                ..looked_at(account, region, Outcome::Seen, "")
            },
            Err(LookError::Call(error)) => {
                let (outcome, reason) = outcome_of(&error, known);
                looked_at(account, region, outcome, &reason)
            }
            Err(LookError::Answer(reason)) => looked_at(account, region, Outcome::Failed, &reason),
        }
    }

    /// The Regions that are known without asking the account.
    fn regions_of_file(&self) -> Vec<String> {
        match self.question.service.place {
            Place::Global { region, .. } => vec![region.to_owned()],
            Place::Regional if self.question.scope.regions.is_empty() => {
                vec![ALL_REGIONS.to_owned()]
            }
            Place::Regional => self.question.scope.regions.iter().cloned().collect(),
        }
    }
}

fn looked_at(account: &SweptAccount, region: &str, outcome: Outcome, reason: &str) -> LookedAt {
    LookedAt {
        account: account.id.clone(),
        name: account.name.clone(),
        region: region.to_owned(),
        outcome,
        reason: reason.to_owned(),
        rows: Vec::new(),
    }
}
