//! `BatchUpdateFindings`: one update for many findings, and what became of each.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_securityhub::{
    Client,
    types::{AwsSecurityFindingIdentifier, NoteUpdate, WorkflowStatus, WorkflowUpdate},
};

use crate::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    ids::FindingId,
};

const OPERATION: &str = "BatchUpdateFindings";
/// What an update calls.
pub(super) const ACTION: &str = "securityhub:BatchUpdateFindings";
/// What Security Hub answers to a whole call for one wrong identifier in it, without naming it.
pub(super) const INVALID_INPUT: &str = "InvalidInputException";

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

/// How far people are with a finding (`Workflow.Status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workflow {
    /// Nobody has looked at it.
    New,
    /// Somebody was notified.
    Notified,
    /// It was corrected. Security Hub sets it back to new if the control fails again.
    Resolved,
    /// It is not to be looked at. Security Hub leaves it so.
    Suppressed,
}

impl Workflow {
    /// Every status.
    const ALL: [Self; 4] = [Self::New, Self::Notified, Self::Resolved, Self::Suppressed];

    fn status(self) -> WorkflowStatus {
        match self {
            Self::New => WorkflowStatus::New,
            Self::Notified => WorkflowStatus::Notified,
            Self::Resolved => WorkflowStatus::Resolved,
            Self::Suppressed => WorkflowStatus::Suppressed,
        }
    }

    /// The status of this name, as a finding has it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|workflow| workflow.status().as_str() == name)
    }
}

/// What to change on a finding. Findings that get an equal update share a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FindingUpdate {
    /// The whole map of user-defined fields: it replaces the one that is there. An empty map leaves that one.
    pub user_defined_fields: BTreeMap<String, String>,
    /// The note, `None` to leave the one that is there.
    pub note: Option<Note>,
    /// The workflow status, `None` to leave the one that is there.
    pub workflow: Option<Workflow>,
}

/// Why Security Hub refused to update one finding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("BatchUpdateFindings left the finding as it was ({class:?}): {code}")]
pub struct Unprocessed {
    /// The reason as a class.
    pub class: AwsErrorClass,
    /// The reason in Security Hub's own word.
    pub code: String,
}

impl Unprocessed {
    pub(super) fn of(code: &str) -> Self {
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

    /// Whether the finding would be larger than 240 KB with the update.
    #[must_use]
    pub fn too_large(&self) -> bool {
        self.code == "FindingSizeExceeded"
    }
}

/// Why a finding was not updated.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpdateError {
    /// The call for it failed: whether it was updated is not known.
    #[error(transparent)]
    Call(Arc<AwsCallError>),
    /// Security Hub refused this finding.
    #[error(transparent)]
    Unprocessed(Unprocessed),
}

impl UpdateError {
    /// The reason as a class.
    #[must_use]
    pub fn class(&self) -> AwsErrorClass {
        match self {
            Self::Call(error) => error.class(),
            Self::Unprocessed(reason) => reason.class,
        }
    }

    /// Whether the same update can succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.class().retryable()
    }

    /// Whether the finding would be larger than 240 KB with the update.
    #[must_use]
    pub fn too_large(&self) -> bool {
        matches!(self, Self::Unprocessed(reason) if reason.too_large())
    }
}

/// Gives the findings that Security Hub refused.
pub(super) async fn update_in_one_call(
    client: &Client,
    findings: &[FindingId],
    update: &FindingUpdate,
) -> Result<Vec<(FindingId, Unprocessed)>, AwsCallError> {
    let note = update.note.as_ref().map(|note| {
        NoteUpdate::builder()
            .text(&note.text)
            .updated_by(&note.updated_by)
            .build()
    });
    let fields = update
        .user_defined_fields
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let fields = (!update.user_defined_fields.is_empty()).then(|| fields.collect());
    let workflow = update
        .workflow
        .map(|workflow| WorkflowUpdate::builder().status(workflow.status()).build());
    let identifiers = findings
        .iter()
        .map(|finding| {
            AwsSecurityFindingIdentifier::builder()
                .id(&finding.id)
                .product_arn(&finding.product_arn)
                .build()
        })
        .collect();
    let answer = client
        .batch_update_findings()
        .set_finding_identifiers(Some(identifiers))
        .set_user_defined_fields(fields)
        .set_note(note)
        .set_workflow(workflow)
        .send()
        .await
        .map_err(|error| AwsCallError::new(Service::SecurityHub, OPERATION, &error))?;
    answer
        .unprocessed_findings
        .unwrap_or_default()
        .into_iter()
        .map(|unprocessed| {
            let identifier = unprocessed.finding_identifier?;
            let finding = FindingId {
                id: identifier.id?,
                product_arn: identifier.product_arn?,
            };
            let reason = Unprocessed::of(unprocessed.error_code.as_deref().unwrap_or_default());
            // The SDK fills in empty texts for what is missing.
            findings.contains(&finding).then_some((finding, reason))
        })
        .collect::<Option<_>>()
        // A finding that is not named could be any of them.
        .ok_or_else(|| AwsCallError::unfinished(OPERATION))
}
