//! Updates to Security Hub findings.

use std::collections::BTreeMap;

use aws_sdk_securityhub::{
    Client,
    types::{
        AwsSecurityFinding, AwsSecurityFindingFilters, AwsSecurityFindingIdentifier, NoteUpdate,
        RecordState, StringFilter, StringFilterComparison,
    },
};
use serde::Deserialize;

use crate::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    ids::{AccountId, FindingId},
    pace::{Pace, Quota},
};

/// Findings that one `BatchUpdateFindings` call takes.
///
/// Source of this and of the limits below: the API's reference, `BatchUpdateFindings`.
pub const FINDINGS_PER_UPDATE: usize = 100;
/// Published rate of `GetFindings` (its API reference).
const GET_FINDINGS: Quota = Quota {
    per_second: 3,
    burst: 6,
};
/// Findings in a page of `GetFindings`.
const FINDINGS_PER_READ: i32 = 100;
/// User-defined fields of a finding.
pub const USER_DEFINED_FIELDS: usize = 50;
/// Characters in the name of a user-defined field.
pub const FIELD_NAME_CHARS: usize = 128;
/// Characters in the value of a user-defined field.
pub const FIELD_VALUE_CHARS: usize = 1_024;
/// Characters in a note.
pub const NOTE_CHARS: usize = 512;

/// A finding: what decides how it is enriched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What identifies it.
    pub id: FindingId,
    /// The account that it is about.
    pub account: AccountId,
    /// The user-defined fields that are there.
    pub user_defined_fields: BTreeMap<String, String>,
    /// Who wrote the note and what it says, if there is one.
    pub note: Option<FindingNote>,
    /// When its event was sent, as in the envelope (RFC 3339 in UTC, so that text order is time
    /// order); empty for a finding that was read from Security Hub.
    pub seen_at: String,
}

/// The note on a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FindingNote {
    /// What it says.
    pub text: String,
    /// Who says it.
    pub updated_by: String,
}

/// A note on a finding: a finding has one, and a new one replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Note {
    /// What it says, 1 to [`NOTE_CHARS`] characters.
    pub text: String,
    /// Who says it.
    pub updated_by: String,
}

/// What to change on a finding. Findings that get an equal update share a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FindingUpdate {
    /// The whole map of user-defined fields: it replaces the one that is there.
    pub user_defined_fields: BTreeMap<String, String>,
    /// The note, `None` to leave the one that is there.
    pub note: Option<Note>,
}

/// Why Security Hub did not update one finding of a call that it answered with success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("BatchUpdateFindings left the finding as it was ({class:?}): {code}")]
pub struct Unprocessed {
    /// The reason as a class.
    pub class: AwsErrorClass,
    /// The reason in Security Hub's own word.
    pub code: String,
}

impl Unprocessed {
    fn of(code: &str) -> Self {
        let class = match code {
            "ConcurrentUpdateError" => AwsErrorClass::Conflict,
            "InternalFailure" => AwsErrorClass::ServiceFault,
            "FindingNotFound" => AwsErrorClass::NotFound,
            _ => AwsErrorClass::Refused,
        };
        Self {
            class,
            code: code.to_owned(),
        }
    }
}

/// The Security Hub of this account and Region.
#[derive(Debug)]
pub struct SecurityHub {
    client: Client,
    updates: Pace,
    reads: Pace,
}

/// A page of an account's findings.
#[derive(Debug)]
pub struct FindingPage {
    /// The findings.
    pub findings: Vec<Finding>,
    /// What to ask for the next page with, if there is one.
    pub next_token: Option<String>,
}

impl SecurityHub {
    /// A gateway over `client`, which makes `BatchUpdateFindings` calls at the pace `updates`
    /// (quota: 10 a second, burst of 30, per account and Region), and keeps to one of `read_shares`
    /// parts of the rate of `GetFindings` (0: no pace).
    #[must_use]
    pub fn new(client: Client, updates: Pace, read_shares: u32) -> Self {
        Self {
            client,
            updates,
            reads: Pace::share(GET_FINDINGS, read_shares),
        }
    }

    /// A page of the active findings of an account, of every product.
    ///
    /// # Errors
    /// If the call fails; [`Refused`](AwsErrorClass::Refused) for a `next_token` that is no longer known.
    pub async fn findings_of(
        &self,
        account: &AccountId,
        next_token: Option<String>,
    ) -> Result<FindingPage, AwsCallError> {
        self.reads.wait().await;
        let equals = |value: &str| {
            StringFilter::builder()
                .value(value)
                .comparison(StringFilterComparison::Equals)
                .build()
        };
        let filters = AwsSecurityFindingFilters::builder()
            .aws_account_id(equals(account.as_str()))
            .record_state(equals(RecordState::Active.as_str()))
            .build();
        let answer = self
            .client
            .get_findings()
            .filters(filters)
            .max_results(FINDINGS_PER_READ)
            .set_next_token(next_token)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::SecurityHub, "GetFindings", &error))?;
        Ok(FindingPage {
            findings: answer
                .findings
                .unwrap_or_default()
                .into_iter()
                .filter_map(|finding| as_finding(finding, account))
                .collect(),
            next_token: answer.next_token.filter(|token| !token.is_empty()),
        })
    }

    /// Makes the same update to up to [`FINDINGS_PER_UPDATE`] different findings.
    ///
    /// Gives the findings that were not updated, each with its reason.
    ///
    /// # Errors
    /// If the call as a whole failed, or left out a finding without naming it: then no finding is
    /// known to be updated.
    pub async fn update(
        &self,
        findings: &[FindingId],
        update: &FindingUpdate,
    ) -> Result<Vec<(FindingId, Unprocessed)>, AwsCallError> {
        const OPERATION: &str = "BatchUpdateFindings";
        self.updates.wait().await;
        let note = update.note.as_ref().map(|note| {
            NoteUpdate::builder()
                .text(&note.text)
                .updated_by(&note.updated_by)
                .build()
        });
        let identifiers = findings
            .iter()
            .map(|finding| {
                AwsSecurityFindingIdentifier::builder()
                    .id(&finding.id)
                    .product_arn(&finding.product_arn)
                    .build()
            })
            .collect();
        let answer = self
            .client
            .batch_update_findings()
            .set_finding_identifiers(Some(identifiers))
            .set_user_defined_fields(Some(
                update
                    .user_defined_fields
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
            ))
            .set_note(note)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::SecurityHub, OPERATION, &error))?;
        answer
            .unprocessed_findings
            .unwrap_or_default()
            .into_iter()
            .map(|unprocessed| {
                let finding = unprocessed.finding_identifier?;
                Some((
                    FindingId {
                        id: finding.id?,
                        product_arn: finding.product_arn?,
                    },
                    Unprocessed::of(unprocessed.error_code.as_deref().unwrap_or_default()),
                ))
            })
            .collect::<Option<_>>()
            // A finding that is not named could be any of them.
            .ok_or_else(|| AwsCallError::unfinished(OPERATION))
    }
}

fn as_finding(finding: AwsSecurityFinding, account: &AccountId) -> Option<Finding> {
    Some(Finding {
        id: FindingId {
            id: finding.id?,
            product_arn: finding.product_arn?,
        },
        account: account.clone(),
        user_defined_fields: finding
            .user_defined_fields
            .unwrap_or_default()
            .into_iter()
            .collect(),
        note: finding.note.map(|note| FindingNote {
            text: note.text.unwrap_or_default(),
            updated_by: note.updated_by.unwrap_or_default(),
        }),
        seen_at: String::new(),
    })
}
