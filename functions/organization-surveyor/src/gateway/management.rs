//! What the management account knows: which accounts are under Control Tower, and which there are.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_controltower::types::EnablementStatus;
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, Service},
    ids::AccountId,
    pace::Pace,
};

use super::caller::Caller;
use crate::obstacles::{Enabled, Member};

/// Entries of a page of baselines (`ListEnabledBaselines`: 5 to 100).
const BASELINES: i32 = 100;
/// Accounts of a page (`ListAccounts`: 20 at most).
const ACCOUNTS: i32 = 20;
/// Pages of accounts a second, so that 4,000 accounts are listed within an invocation. The organization has eight a second, nine
/// tenths of which the functions of the management account share (`shared/src/gateway/rates.rs`): for a minute or two of a day
/// this is more than they leave, and what is throttled is asked again.
const PAGES_A_SECOND: f64 = 2.0;
/// Of these, at once.
const PAGES_AT_ONCE: u32 = 3;

/// The id of `AWSControlTowerBaseline`, and those of the baselines of the log archive and audit account: the same in every
/// organization ("Types of baselines", Control Tower user guide).
const BASELINE: &str = "17BSJV3IGJ2QSGA2";
const OF_SHARED_ACCOUNTS: [&str; 2] = ["4T4HA1KMO10S6311", "J8HX46AHS5MIKQPD"];

fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// Reads in the management account.
#[derive(Debug)]
pub struct Management<'m> {
    sdk: &'m SdkConfig,
    calls: &'m CallCounter,
    caller: &'m Caller,
}

impl<'m> Management<'m> {
    /// What it calls in a session, as IAM names it.
    pub const CALLS: &'static [&'static str] = &[
        "controltower:ListEnabledBaselines",
        "organizations:ListAccounts",
    ];

    /// Reads with this session's configuration.
    #[must_use]
    pub(super) fn new(sdk: &'m SdkConfig, calls: &'m CallCounter, caller: &'m Caller) -> Self {
        Self { sdk, calls, caller }
    }

    /// What Control Tower has enabled its baseline for, except where that failed. The baselines of its log archive and audit
    /// account count for accounts, too: these are not to be enrolled.
    ///
    /// # Errors
    /// If a call fails: never a part of it.
    pub async fn enabled(&self) -> Result<Enabled, AwsCallError> {
        let client = client!(aws_sdk_controltower, self.sdk, self.calls);
        let (mut accounts, mut units) = (BTreeSet::new(), BTreeSet::new());
        let mut token: Option<String> = None;
        loop {
            let read = async || {
                client
                    .list_enabled_baselines()
                    .include_children(true)
                    .max_results(BASELINES)
                    .set_next_token(token.clone())
                    .send()
                    .await
                    .map_err(|error| {
                        AwsCallError::new(Service::ControlTower, "ListEnabledBaselines", &error)
                    })
            };
            let page = self.caller.call(read).await?;
            for enabled in page.enabled_baselines() {
                let summary = enabled.status_summary();
                let status = summary.and_then(|summary| summary.status());
                let baseline = last_part(enabled.baseline_identifier());
                if status == Some(&EnablementStatus::Failed) {
                    continue;
                }
                // arn:aws:organizations::<management>:ou/o-…/ou-…, or …:account/o-…/<id>.
                let id = last_part(enabled.target_identifier());
                match id.parse::<AccountId>() {
                    Ok(account)
                        if baseline == BASELINE || OF_SHARED_ACCOUNTS.contains(&baseline) =>
                    {
                        accounts.insert(account);
                    }
                    Err(_) if baseline == BASELINE => {
                        units.insert(id.to_owned());
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(Enabled { accounts, units });
            }
        }
    }

    /// The accounts of the organization.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn accounts(&self) -> Result<Vec<Member>, AwsCallError> {
        let client = client!(aws_sdk_organizations, self.sdk, self.calls);
        let pace = Pace::new(PAGES_A_SECOND, PAGES_AT_ONCE);
        let (mut members, mut token) = (Vec::new(), None::<String>);
        loop {
            let read = async || {
                pace.wait().await;
                client
                    .list_accounts()
                    .max_results(ACCOUNTS)
                    .set_next_token(token.clone())
                    .send()
                    .await
                    .map_err(|error| {
                        AwsCallError::new(Service::Organizations, "ListAccounts", &error)
                    })
            };
            let answer = self.caller.call(read).await?;
            for account in answer.accounts.unwrap_or_default() {
                let Some(Ok(id)) = account.id.as_deref().map(str::parse) else {
                    continue;
                };
                // `Status` was announced to be retired; a service that does not know `State` yet still has it.
                let status = || account.status().map(|status| status.as_str().to_owned());
                let state = account.state().map(|state| state.as_str().to_owned());
                let state = state.or_else(status);
                members.push(Member {
                    id,
                    name: account.name.unwrap_or_default(),
                    email: account.email.unwrap_or_default(),
                    state: state.unwrap_or_default(),
                });
            }
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(members);
            }
        }
    }
}
