//! What a message or event starts.

use std::collections::BTreeSet;

use orgkeeper_shared::{
    ids::AccountId,
    lifecycle::{LifecycleEvent, Operation, Outcome},
    posture::{regions, setting, task::Reason},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    hints::{Hint, hinted},
    switched::{Switched, switched},
};

/// What a message asks for. As JSON: `{"task":"survey"}`, `{"task":"survey","accounts":["111122223333"],
/// "regions":["eu-west-1"]}`, `{"task":"keep"}`, `{"task":"undo","setting":"macie-members","regions":["eu-west-1"]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A survey.
    Survey(Wanted),
    /// A run over the settings of these accounts, or over all settings if none are named.
    Keep(Reason, Vec<AccountId>),
    /// A setting as it was before.
    Undo(Undo),
    /// A look at settings that a call can have undone.
    Switched(Box<Switched>),
    /// A version of the file was uploaded.
    Upload,
    /// A look at a part of a pair.
    Hint(Hint),
    /// Nothing: an event that changes nothing here.
    Nothing,
}

/// What is to be surveyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Why.
    pub reason: Reason,
    /// The accounts; all of the organization if none are named.
    pub accounts: Vec<AccountId>,
    /// The Regions; all of each account if none are named.
    pub regions: Option<BTreeSet<String>>,
}

/// Which setting is to be as it was before, and where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// Its name.
    pub setting: String,
    /// The accounts, of a setting that each account has; all of them if none are named.
    #[serde(default)]
    pub accounts: Vec<AccountId>,
    /// The Regions; all in use if none are named.
    pub regions: Option<BTreeSet<String>>,
}

/// A Region that a message names does not exist, or it names none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a survey is asked for in a Region that does not exist")]
pub struct NoRegion;

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Task(Task),
    Event(Event),
}

#[derive(Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case", deny_unknown_fields)]
enum Task {
    Survey {
        #[serde(default)]
        accounts: Vec<AccountId>,
        regions: Option<BTreeSet<String>>,
        reason: Option<Reason>,
    },
    Keep {
        #[serde(default)]
        accounts: Vec<AccountId>,
        reason: Option<Reason>,
    },
    Undo(Undo),
}

#[derive(Deserialize)]
struct Event {
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    detail: Value,
}

/// What the body of a message asks for.
///
/// # Errors
/// If it is neither an event nor one of our own messages.
pub fn asked(body: &str) -> Result<Asked, serde_json::Error> {
    Ok(match serde_json::from_str(body)? {
        Message::Task(Task::Survey {
            accounts,
            regions,
            reason,
        }) => {
            let exist = regions
                .iter()
                .flatten()
                .all(|region| regions::exists(region));
            if !exist || regions.as_ref().is_some_and(BTreeSet::is_empty) {
                return Err(serde::de::Error::custom(NoRegion));
            }
            Asked::Survey(Wanted {
                reason: reason.unwrap_or(Reason::Request),
                accounts,
                regions,
            })
        }
        Message::Task(Task::Keep { accounts, reason }) => {
            Asked::Keep(reason.unwrap_or(Reason::Request), accounts)
        }
        Message::Task(Task::Undo(undo)) => {
            if setting::named(&undo.setting).is_none() {
                return Err(serde::de::Error::custom("there is no such setting"));
            }
            Asked::Undo(undo)
        }
        Message::Event(event) => of_event(&event),
    })
}

fn of_event(event: &Event) -> Asked {
    if (event.source.as_str(), event.detail_type.as_str()) == ("aws.s3", "Object Created") {
        return Asked::Upload;
    }
    if let Some(accounts) = changed_accounts(&event.detail) {
        return Asked::Survey(Wanted {
            reason: Reason::Hint,
            accounts,
            regions: None,
        });
    }
    if let Some(switched) = switched(&event.detail) {
        return Asked::Switched(Box::new(switched));
    }
    hinted(&event.detail).map_or(Asked::Nothing, Asked::Hint)
}

/// The account that was created, joined, closed or left; all of them if the event does not say which.
fn changed_accounts(detail: &Value) -> Option<Vec<AccountId>> {
    let account = match LifecycleEvent::read(detail)? {
        LifecycleEvent::OperationEnded(ended) if ended.outcome == Outcome::Succeeded => {
            match ended.operation {
                Operation::CreateAccount { .. }
                | Operation::CreateManagedAccount
                | Operation::CloseAccount => Some(ended.account_id?),
                Operation::UpdateManagedAccount => return None,
            }
        }
        LifecycleEvent::AccountJoined { account_id }
        | LifecycleEvent::AccountDeparted { account_id, .. } => account_id,
        LifecycleEvent::OperationEnded(_) => return None,
    };
    Some(account.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hints::About;

    const ID: &str = "111122223333";

    #[test]
    fn the_sample_events_start_what_they_are_about() {
        let survey = |reason, accounts: &[&str]| {
            Asked::Survey(Wanted {
                reason,
                accounts: accounts.iter().map(|id| id.parse().unwrap()).collect(),
                regions: None,
            })
        };
        for (text, expected) in [
            (
                include_str!("../../../events/posture-planner/schedule.json"),
                survey(Reason::Schedule, &[]),
            ),
            (
                include_str!("../../../events/posture-planner/joined.json"),
                survey(Reason::Hint, &[ID]),
            ),
            (
                include_str!("../../../events/posture-planner/closed.json"),
                survey(Reason::Hint, &[ID]),
            ),
            (
                include_str!("../../../events/posture-planner/uploaded.json"),
                Asked::Upload,
            ),
            (
                include_str!("../../../events/posture-planner/instance-started.json"),
                Asked::Hint(Hint {
                    pair: "111122223333#eu-west-1".parse().unwrap(),
                    about: About::Network,
                }),
            ),
        ] {
            assert_eq!(asked(text).unwrap(), expected);
        }
        let keep = include_str!("../../../events/posture-planner/keep.json");
        assert_eq!(
            asked(keep).unwrap(),
            Asked::Keep(Reason::Schedule, Vec::new())
        );
        let switched = include_str!("../../../events/posture-planner/control-switched.json");
        let Asked::Switched(switched) = asked(switched).unwrap() else {
            panic!("a call that undoes a setting")
        };
        assert_eq!(switched.controls.len(), 1);
        let undo = include_str!("../../../events/posture-planner/undo.json");
        let Asked::Undo(undo) = asked(undo).unwrap() else {
            panic!("a way back")
        };
        assert_eq!(undo.setting, "macie-members");
        let request = include_str!("../../../events/posture-planner/request.json");
        let Asked::Survey(wanted) = asked(request).unwrap() else {
            panic!("a survey")
        };
        assert_eq!((wanted.reason, wanted.accounts.len()), (Reason::Request, 1));
        assert_eq!(wanted.regions.map(|regions| regions.len()), Some(1));
    }

    #[test]
    fn an_account_that_is_not_named_makes_it_a_survey_of_all() {
        let mut event: Value =
            serde_json::from_str(include_str!("../../../events/posture-planner/joined.json"))
                .unwrap();
        event["detail"]["serviceEventDetails"] = Value::Null;
        let Asked::Survey(wanted) = asked(&event.to_string()).unwrap() else {
            panic!("a survey")
        };
        assert!(wanted.accounts.is_empty());
    }

    #[test]
    fn what_is_not_understood_is_an_error_or_nothing() {
        for wrong in [
            "{}",
            "no",
            r#"{"task":"other"}"#,
            r#"{"task":"survey","regions":["eu-west-9"]}"#,
            r#"{"task":"survey","regions":[]}"#,
            r#"{"task":"survey","accounts":["1"]}"#,
            r#"{"task":"undo","setting":"coffee"}"#,
            r#"{"task":"keep","more":1}"#,
        ] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
        let other = r#"{"source":"aws.ec2","detail-type":"AWS API Call via CloudTrail","detail":{"eventName":"DescribeVpcs"}}"#;
        assert_eq!(asked(other).unwrap(), Asked::Nothing);
    }
}
