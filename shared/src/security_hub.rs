//! Updates to Security Hub findings.

use std::collections::BTreeMap;

use aws_sdk_securityhub::{
    Client,
    types::{AwsSecurityFindingIdentifier, NoteUpdate},
};

use crate::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    ids::FindingId,
    pace::Pace,
};

/// Findings that one `BatchUpdateFindings` call takes.
///
/// Source of this and of the limits below: the API's reference, `BatchUpdateFindings`.
pub const FINDINGS_PER_UPDATE: usize = 100;
/// User-defined fields of a finding.
pub const USER_DEFINED_FIELDS: usize = 50;
/// Characters in the name of a user-defined field.
pub const FIELD_NAME_CHARS: usize = 128;
/// Characters in the value of a user-defined field.
pub const FIELD_VALUE_CHARS: usize = 1_024;
/// Characters in a note.
pub const NOTE_CHARS: usize = 512;

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
}

impl SecurityHub {
    /// A gateway over `client`, which makes `BatchUpdateFindings` calls at the pace `updates`
    /// (quota: 10 a second, burst of 30, per account and Region).
    #[must_use]
    pub fn new(client: Client, updates: Pace) -> Self {
        Self { client, updates }
    }

    /// Makes the same update to up to [`FINDINGS_PER_UPDATE`] findings, none of them twice.
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
