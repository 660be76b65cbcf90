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
/// Pages of accounts a second. The functions of the management account share nine tenths of this rate, eight a second
/// (`shared/src/gateway/rates.rs`): this is less than what they leave, for one task of a day.
const PAGES_A_SECOND: f64 = 0.7;
/// Of these, at once.
const PAGES_AT_ONCE: u32 = 3;

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

    /// What Control Tower has enabled baselines for, except where that failed. The baselines of its log archive and audit
    /// account count, too: these accounts are not to be enrolled.
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
                if status == Some(&EnablementStatus::Failed) {
                    continue;
                }
                // arn:aws:organizations::<management>:ou/o-…/ou-…, or …:account/o-…/<id>.
                let id = enabled.target_identifier().rsplit('/').next();
                let id = id.unwrap_or_default();
                match id.parse::<AccountId>() {
                    Ok(account) => accounts.insert(account),
                    Err(_) => units.insert(id.to_owned()),
                };
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
