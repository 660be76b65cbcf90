//! Security Hub findings: how they arrive ([`event`]), what is read of one ([`finding`], [`owner`], [`lenient`]), finding
//! them, and their updates ([`update`]).

pub mod event;
pub mod finding;
pub mod lenient;
pub mod owner;
mod page;
pub mod update;
pub mod whole;

use std::{collections::BTreeSet, sync::Arc};

use aws_config::SdkConfig;
use aws_sdk_securityhub::{
    Client,
    types::{
        AwsSecurityFindingFilters, MapFilter, MapFilterComparison, RecordState, StringFilter,
        StringFilterComparison,
    },
};

pub use finding::{Finding, FindingNote};
pub use update::{FindingUpdate, NOTE_CHARS, Note, Unprocessed, UpdateError, Workflow};
pub use whole::FoundFinding;

use page::{AnswerReader, Found};
use update::{INVALID_INPUT, update_in_one_call};

use crate::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, Service},
    calls::{Calls, calls},
    gateway::rates::{Paces, QuotaShare, no_retries, security_hub as rates},
    ids::{AccountId, FindingId},
};

/// Findings that one `BatchUpdateFindings` call takes.
///
/// Source of this and of the limits below: the API's reference, `BatchUpdateFindings`.
pub const FINDINGS_PER_UPDATE: usize = 100;
/// Findings in a page of `GetFindings`.
const FINDINGS_PER_READ: i32 = 100;
/// Values that `GetFindings` takes for one attribute: accounts or ids in one call.
pub const VALUES_PER_READ: usize = 20;
/// The user-defined field that names the owner of a finding that another account published.
pub const OWNER_FIELD: &str = "AccountId";
/// The user-defined field that says what the remediation flow would do, or has done.
pub const REMEDIATION_FIELD: &str = "orgkeeper:Remediation";
/// What the authors of notes by orgkeeper's functions start with. Any other note is a person's and is kept.
pub const OUR_NOTES: &str = "orgkeeper/";
/// User-defined fields of a finding.
pub const USER_DEFINED_FIELDS: usize = 50;
/// Characters in the name of a user-defined field.
pub const FIELD_NAME_CHARS: usize = 128;
/// Characters in the value of a user-defined field.
pub const FIELD_VALUE_CHARS: usize = 1_024;

/// The Security Hub of this account and Region.
#[derive(Debug)]
pub struct SecurityHub {
    client: Client,
    paces: Paces,
}

/// A page of findings.
#[derive(Debug, Default)]
pub struct FindingPage {
    /// The findings.
    pub findings: Vec<Finding>,
    /// What to ask for the next page with, if there is one.
    pub next_token: Option<String>,
}

impl SecurityHub {
    /// What it calls; the second is in [`update`].
    pub const CALLS: Calls = calls(
        &["securityhub:GetFindings", update::ACTION],
        &["arn:${AWS::Partition}:securityhub:${AWS::Region}:${AWS::AccountId}:hub/default"],
    );

    /// The Security Hub that `sdk` reaches. It keeps to `share` of the published rates. Makes no AWS call.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, share: QuotaShare) -> Self {
        let client = client!(aws_sdk_securityhub, sdk, calls);
        let config = client.config().to_builder().retry_config(no_retries());
        Self {
            paces: Paces::new(share, client.config().retry_config()),
            client: Client::from_conf(config.build()),
        }
    }

    /// A page of the active findings that these accounts published, of every product. One call takes up to
    /// [`VALUES_PER_READ`] accounts; without any there are no findings.
    ///
    /// # Errors
    /// If the call fails; [`Refused`](crate::aws_error::AwsErrorClass::Refused) for a `next_token` that is no longer
    /// known.
    pub async fn findings_of(
        &self,
        accounts: &[AccountId],
        next_token: Option<String>,
    ) -> Result<FindingPage, AwsCallError> {
        let published = accounts.iter().map(|account| equals(account.as_str()));
        let filters = active().set_aws_account_id(Some(published.collect()));
        self.page_of(accounts, filters.build(), next_token).await
    }

    /// A page of the active findings about these accounts that another account published: their field
    /// [`OWNER_FIELD`] names the account. Otherwise as [`findings_of`](Self::findings_of).
    ///
    /// A field of that name can also be somebody else's: [`Finding::account`] says who the owner is.
    ///
    /// # Errors
    /// As `findings_of`.
    pub async fn findings_owned_by(
        &self,
        accounts: &[AccountId],
        next_token: Option<String>,
    ) -> Result<FindingPage, AwsCallError> {
        let owned = accounts.iter().map(|account| {
            MapFilter::builder()
                .key(OWNER_FIELD)
                .value(account.as_str())
                .comparison(MapFilterComparison::Equals)
                .build()
        });
        let filters = active().set_user_defined_fields(Some(owned.collect()));
        self.page_of(accounts, filters.build(), next_token).await
    }

    /// The findings with these identifiers as they are now, up to [`VALUES_PER_READ`]; one that Security Hub does not
    /// have is left out.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn findings_by_id(&self, ids: &[FindingId]) -> Result<Vec<Finding>, AwsCallError> {
        let filters = by_id(ids);
        let mut findings = Vec::new();
        let mut next_token = None;
        loop {
            let page = self.page_of(ids, filters.clone(), next_token).await?;
            let wanted = page.findings.into_iter();
            findings.extend(wanted.filter(|finding| ids.contains(&finding.id)));
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(findings);
            }
        }
    }

    /// The same as [`findings_by_id`](Self::findings_by_id), each with its whole JSON.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn whole_findings_by_id(
        &self,
        ids: &[FindingId],
    ) -> Result<Vec<FoundFinding>, AwsCallError> {
        let filters = by_id(ids);
        let mut whole = Vec::new();
        let mut next_token = None;
        loop {
            let (found, next) = self.found(ids, filters.clone(), next_token, true).await?;
            let found = found.findings.into_iter().zip(found.json);
            let wanted = found.filter(|(finding, _)| ids.contains(&finding.id));
            whole.extend(wanted.map(|(finding, json)| FoundFinding::new(finding, json)));
            next_token = next;
            if next_token.is_none() {
                return Ok(whole);
            }
        }
    }

    /// Makes the same update to up to [`FINDINGS_PER_UPDATE`] different findings.
    ///
    /// Gives the findings that were not updated, each with its reason. A call that is refused because of its input is
    /// repeated in halves, until a finding is refused alone: one wrong identifier does not keep its neighbours from
    /// being updated.
    pub async fn update(
        &self,
        findings: &[FindingId],
        update: &FindingUpdate,
    ) -> Vec<(FindingId, UpdateError)> {
        let mut not_updated = Vec::new();
        let mut parts = vec![findings];
        while let Some(part) = parts.pop() {
            let answer = self
                .paces
                .call(&rates::BATCH_UPDATE_FINDINGS, async || {
                    update_in_one_call(&self.client, part, update).await
                })
                .await;
            let reason = match answer {
                Ok(unprocessed) => {
                    let unprocessed = unprocessed.into_iter();
                    not_updated.extend(
                        unprocessed
                            .map(|(finding, reason)| (finding, UpdateError::Unprocessed(reason))),
                    );
                    continue;
                }
                Err(error) if error.has_code(INVALID_INPUT) && part.len() > 1 => {
                    let (one, other) = part.split_at(part.len() / 2);
                    parts.extend([other, one]);
                    continue;
                }
                Err(error) if error.has_code(INVALID_INPUT) => {
                    UpdateError::Unprocessed(Unprocessed::of(INVALID_INPUT))
                }
                Err(error) => UpdateError::Call(Arc::new(error)),
            };
            let findings = part.iter().cloned();
            not_updated.extend(findings.map(|finding| (finding, reason.clone())));
        }
        not_updated
    }

    /// A page of the findings that match `filters`, which are made of `values`.
    async fn page_of<T>(
        &self,
        values: &[T],
        filters: AwsSecurityFindingFilters,
        next_token: Option<String>,
    ) -> Result<FindingPage, AwsCallError> {
        let (found, next_token) = self.found(values, filters, next_token, false).await?;
        Ok(FindingPage {
            findings: found.findings,
            next_token,
        })
    }

    /// What a page has, and what to ask for the next one with.
    async fn found<T>(
        &self,
        values: &[T],
        filters: AwsSecurityFindingFilters,
        next_token: Option<String>,
        json: bool,
    ) -> Result<(Found, Option<String>), AwsCallError> {
        // Without a value nothing would be filtered: AWS would list the findings of everybody.
        if values.is_empty() {
            return Ok(Default::default());
        }
        let reader = AnswerReader::keeping_json(json);
        let answer = self
            .paces
            .call(&rates::GET_FINDINGS, async || {
                self.client
                    .get_findings()
                    .filters(filters.clone())
                    .max_results(FINDINGS_PER_READ)
                    .set_next_token(next_token.clone())
                    .customize()
                    .interceptor(reader.clone())
                    .send()
                    .await
                    .map_err(|error| AwsCallError::new(Service::SecurityHub, "GetFindings", &error))
            })
            .await?;
        let found = reader.take();
        if found.unreadable > 0 {
            tracing::warn!(
                unreadable = found.unreadable,
                "findings that cannot be read are left as they are"
            );
        }
        let next_token = answer.next_token.filter(|token| !token.is_empty());
        Ok((found, next_token))
    }
}

fn active() -> aws_sdk_securityhub::types::builders::AwsSecurityFindingFiltersBuilder {
    AwsSecurityFindingFilters::builder().record_state(equals(RecordState::Active.as_str()))
}

fn by_id(ids: &[FindingId]) -> AwsSecurityFindingFilters {
    // Two products can use the same id.
    let values: BTreeSet<&str> = ids.iter().map(|id| id.id.as_str()).collect();
    AwsSecurityFindingFilters::builder()
        .set_id(Some(values.into_iter().map(equals).collect()))
        .build()
}

fn equals(value: &str) -> StringFilter {
    StringFilter::builder()
        .value(value)
        .comparison(StringFilterComparison::Equals)
        .build()
}
