//! The tasks of the vending flow: messages that one of its functions sends and another, or itself, reads.
//!
//! A queue carries one of these types. Its JSON form is a contract between the versions of two functions:
//! messages of the version before are still in the queue after a deployment.

use serde::{Deserialize, Serialize};

use super::file::FileId;
use crate::ids::AccountId;

/// A task of the account events queue, which carries lifecycle events too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum AccountEventsTask {
    /// Give free slots to waiting requests.
    Advance,
    /// Ask AWS about operations that no event came of, look after every open request, and give free slots to waiting
    /// requests.
    Reconcile,
    /// An account is as its baseline says: the request that it was created for says so.
    Ready {
        /// The account's id.
        #[serde(rename = "accountId")]
        account_id: AccountId,
    },
}

/// A task of the uploads queue, which carries events of uploads too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum UploadsTask {
    /// Write the results of an upload again: one of its requests has changed.
    Results(FileId),
}

/// A task of the assignments queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum AssignmentsTask {
    /// Create the assignments of a request.
    Assign(AssignTask),
}

/// The assignments of a request, and how far they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignTask {
    /// The request's key.
    pub email: String,
    /// Its attempt.
    pub attempt: u32,
    /// The request's `assign_chain` when the first of these messages was sent.
    #[serde(default, skip_serializing_if = "is_first")]
    pub chain: u32,
    /// The state of each assignment, in the request's order; those beyond are open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<AssignmentState>,
    /// How often they were polled since one of them made progress; `None` in the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polls: Option<u32>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_first(chain: &u32) -> bool {
    *chain == 0
}

/// The state of an assignment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AssignmentState {
    /// It has not been requested.
    #[default]
    #[serde(rename = "open")]
    Open,
    /// It has been requested: AWS's id of that request.
    #[serde(rename = "asked")]
    Requested(String),
    /// It exists.
    #[serde(rename = "given")]
    Created,
    /// AWS refuses it, for this reason.
    #[serde(rename = "refused")]
    Refused(String),
}

impl AssignTask {
    /// The first task of an attempt of a request.
    #[must_use]
    pub fn first(email: &str, attempt: u32) -> Self {
        Self {
            email: email.to_owned(),
            attempt,
            chain: 0,
            steps: Vec::new(),
            polls: None,
        }
    }

    /// The name under which the assignment at `index` holds a slot.
    #[must_use]
    pub fn slot(&self, index: usize) -> String {
        format!("{}{index}", self.slot_prefix())
    }

    /// Whether the slot of this name is held by one of these assignments.
    #[must_use]
    pub fn holds(&self, slot: &str) -> bool {
        slot.starts_with(&self.slot_prefix())
    }

    fn slot_prefix(&self) -> String {
        format!("{}#{}#", self.email, self.attempt)
    }
}

/// The key of the request that holds the slot of this name.
#[must_use]
pub fn email_of_slot(slot: &str) -> &str {
    slot.split('#').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;
    use serde_json::Value;

    use super::*;

    /// Reads `sample` and sees that it is written in the same form.
    fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(sample: &str) -> T {
        let task: T = serde_json::from_str(sample).unwrap();
        let written = serde_json::to_value(&task).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(sample).unwrap());
        task
    }

    #[test]
    fn the_samples_of_the_account_events_queue_are_read_and_written() {
        assert_eq!(
            round_trip::<AccountEventsTask>(include_str!(
                "../../../events/create-managed-account/advance.json"
            )),
            AccountEventsTask::Advance
        );
        assert_eq!(
            round_trip::<AccountEventsTask>(include_str!(
                "../../../events/create-managed-account/reconcile.json"
            )),
            AccountEventsTask::Reconcile
        );
        assert_eq!(
            round_trip::<AccountEventsTask>(include_str!(
                "../../../events/create-managed-account/ready.json"
            )),
            AccountEventsTask::Ready {
                account_id: "111122223333".parse().unwrap()
            }
        );
    }

    #[test]
    fn the_sample_of_the_uploads_queue_is_read_and_written() {
        let UploadsTask::Results(file) = round_trip(include_str!(
            "../../../events/new-account-handler/results.json"
        ));
        assert_eq!(file.key, "teams/new accounts.csv");
        assert_eq!(file.version, "WYAk8n6yGgNVNjHzrwBiTx2kC8wqkyPl");
    }

    #[test]
    fn the_samples_of_the_assignments_queue_are_read_and_written() {
        let AssignmentsTask::Assign(first) = round_trip(include_str!(
            "../../../events/create-account-assignment/assign.json"
        ));
        assert_eq!(first, AssignTask::first("aws+payments@example.com", 1));
        let AssignmentsTask::Assign(follow_up) = round_trip(include_str!(
            "../../../events/create-account-assignment/follow-up.json"
        ));
        assert_eq!(
            follow_up.steps,
            [
                AssignmentState::Created,
                AssignmentState::Requested("c0ffee00-0000-4111-8222-333344445555".to_owned()),
                AssignmentState::Open,
                AssignmentState::Refused("The role quota is exceeded.".to_owned()),
            ]
        );
        assert_eq!(follow_up.polls, Some(2));
    }

    #[test]
    fn an_unknown_task_is_refused() {
        for text in [r#"{"task":"dance"}"#, "{}", "[]", r#"{"task":"assign"}"#] {
            assert!(serde_json::from_str::<AccountEventsTask>(text).is_err());
            assert!(serde_json::from_str::<UploadsTask>(text).is_err());
            assert!(serde_json::from_str::<AssignmentsTask>(text).is_err());
        }
    }

    #[test]
    fn each_assignment_of_each_attempt_has_its_own_slot() {
        let first = AssignTask::first("aws+payments@example.com", 1);
        let eleventh = AssignTask::first("aws+payments@example.com", 11);
        assert_eq!(first.slot(1), "aws+payments@example.com#1#1");
        assert!(first.holds(&first.slot(1)));
        assert!(!first.holds(&eleventh.slot(1)));
        assert_eq!(email_of_slot(&first.slot(1)), first.email);
    }
}
