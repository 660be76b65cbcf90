//! What starts a hydration: messages and events, in one table.
//!
//! Any of them can be missing, a duplicate or too early: the account's record says what is left.

use jiff::Timestamp;
use orgkeeper_shared::{
    ids::AccountId,
    lifecycle::{LifecycleEvent, Operation, Outcome},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    item::Place,
    items::{ITEMS, budget::BUDGETS},
    role::{ROLE, SESSION},
};

/// Why an account is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It was created.
    Created,
    /// AWS Control Tower enrolled or updated it.
    Enrolled,
    /// It joined the organization.
    Joined,
    /// It was moved to another organizational unit.
    Moved,
    /// Its stack of roles is there.
    RolesReady,
    /// The request that it was created for has succeeded, and waits for the answer that it is ready.
    Vended,
    /// Somebody made a call that can undo an item.
    Undone,
    /// The schedule: everything is read again.
    Schedule,
    /// Something was left.
    Left,
    /// A person asked for it.
    Message,
}

impl Reason {
    /// Whether the account directory has to be newer than the event: what changed is where the account is.
    #[must_use]
    pub fn is_about_the_organization(self) -> bool {
        matches!(
            self,
            Self::Created | Self::Enrolled | Self::Joined | Self::Moved
        )
    }

    /// Whether an account in which nothing is left is read again.
    #[must_use]
    pub fn reads_again(self) -> bool {
        matches!(self, Self::Undone | Self::Schedule | Self::Message)
    }
}

/// Somebody's call that can undo an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Undoing {
    /// The item.
    pub item: String,
    /// The Region, unless the setting is the account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Who made it.
    pub by: String,
    /// The call.
    pub call: String,
}

/// An account to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
// An event has a field `account`, too.
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Start {
    /// Which.
    pub account: AccountId,
    /// Why.
    #[serde(default = "by_message")]
    pub reason: Reason,
    /// When that happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// When somebody uploaded a baseline: one that was read before does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_at: Option<Timestamp>,
    /// What may have been undone; with it nothing else is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Undoing>,
    /// An item that a person wants to be as it was before this function set it; with it nothing else is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

fn by_message() -> Reason {
    Reason::Message
}

/// What a message asks for. As JSON: `{"account":"111122223333"}`, `{"account":"111122223333","undo":"ebs-encryption"}`,
/// `{"task":"all"}`, `{"task":"left"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One account.
    One(Start),
    /// Each account of the organization; because somebody uploaded a baseline at this time.
    All(Option<Timestamp>),
    /// Each account in which something is left.
    Left,
    /// Nothing: an event that is not about an account's baseline.
    Nothing,
}

impl Asked {
    /// Since when the baseline has to have been read.
    #[must_use]
    pub fn uploaded_at(&self) -> Option<Timestamp> {
        match self {
            Self::One(start) => start.uploaded_at,
            Self::All(uploaded_at) => *uploaded_at,
            Self::Left | Self::Nothing => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Start(Start),
    Task { task: Task },
    Event(Event),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Task {
    All,
    Left,
}

#[derive(Deserialize)]
struct Event {
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    #[serde(default)]
    time: Option<Timestamp>,
    detail: Value,
}

/// What the body of a message asks for.
///
/// # Errors
/// If it is neither an event nor one of our own messages.
pub fn asked(body: &str) -> Result<Asked, serde_json::Error> {
    Ok(match serde_json::from_str(body)? {
        Message::Start(start) => Asked::One(start),
        Message::Task { task: Task::All } => Asked::All(None),
        Message::Task { task: Task::Left } => Asked::Left,
        Message::Event(event) => of_event(&event),
    })
}

/// How the name of this function's own role ends.
const OWN_ROLE: &str = "-AccountHydrator";
const STACK_INSTANCE: &str = "CloudFormation StackSet StackInstance Status Change";
const OBJECT_CREATED: &str = "Object Created";

/// Calls of Organizations about one account: name, where the account is, and why it is looked at.
const CALLS: &[(&str, &str, Reason)] = &[
    ("AcceptHandshake", "/userIdentity/accountId", Reason::Joined),
    ("MoveAccount", "/requestParameters/accountId", Reason::Moved),
];

fn of_event(event: &Event) -> Asked {
    let start = match (event.source.as_str(), event.detail_type.as_str()) {
        // Somebody has uploaded a baseline.
        ("aws.s3", OBJECT_CREATED) => return Asked::All(event.time),
        _ if joined_somewhere(&event.detail) => return Asked::All(None),
        (_, STACK_INSTANCE) => stack_instance(event),
        _ => organization(event).or_else(|| undone(event)),
    };
    start.map_or(Asked::Nothing, Asked::One)
}

/// An account has joined, and the event does not say which.
fn joined_somewhere(detail: &Value) -> bool {
    let event = LifecycleEvent::read(detail);
    matches!(
        event,
        Some(LifecycleEvent::AccountJoined { account_id: None })
    )
}

fn start(account: AccountId, reason: Reason, event: &Event) -> Start {
    let at = event.detail["eventTime"].as_str();
    Start {
        account,
        reason,
        at: at.and_then(|at| at.parse().ok()).or(event.time),
        uploaded_at: None,
        undone: None,
        undo: None,
    }
}

/// A stack of the member account's roles: the event's own account is the administrator's.
fn stack_instance(event: &Event) -> Option<Start> {
    let detail = &event.detail;
    let status = detail.pointer("/status-details/detailed-status");
    if status.and_then(Value::as_str) != Some("SUCCEEDED") {
        return None;
    }
    let account = AccountId::from_arn(detail["stack-id"].as_str()?).ok()?;
    Some(start(account, Reason::RolesReady, event))
}

fn organization(event: &Event) -> Option<Start> {
    let detail = &event.detail;
    if !detail["errorCode"].is_null() {
        return None;
    }
    if detail["eventSource"] == "organizations.amazonaws.com"
        && let Some((_, place, reason)) =
            CALLS.iter().find(|(name, ..)| detail["eventName"] == *name)
    {
        let account = detail.pointer(place)?.as_str()?.parse().ok()?;
        return Some(start(account, *reason, event));
    }
    let (account, reason) = match LifecycleEvent::read(detail)? {
        LifecycleEvent::OperationEnded(ended) if ended.outcome == Outcome::Succeeded => {
            let reason = match ended.operation {
                Operation::CreateAccount { .. } => Reason::Created,
                Operation::CreateManagedAccount | Operation::UpdateManagedAccount => {
                    Reason::Enrolled
                }
                Operation::CloseAccount => return None,
            };
            (ended.account_id?, reason)
        }
        LifecycleEvent::AccountJoined { account_id } => (account_id?, Reason::Joined),
        _ => return None,
    };
    Some(start(account, reason, event))
}

/// A call that can undo an item, by anybody but this function.
fn undone(event: &Event) -> Option<Start> {
    let detail = &event.detail;
    let text = |place: &str| detail.pointer(place).and_then(Value::as_str);
    if !detail["errorCode"].is_null() {
        return None;
    }
    let call = text("/eventName")?;
    let service = text("/eventSource")?.strip_suffix(".amazonaws.com")?;
    let item = ITEMS.iter().find(|item| {
        let (source, names) = item.undone_by;
        source == service && names.contains(&call)
    })?;
    let by = [
        "/userIdentity/arn",
        "/userIdentity/invokedBy",
        "/userIdentity/principalId",
    ]
    .into_iter()
    .find_map(text)?;
    if is_ours(by) {
        return None;
    }
    // What the management account does for a member names the member.
    let of_payer = [
        "/requestParameters/budgetName",
        "/requestParameters/newBudget/budgetName",
        "/requestParameters/accountId",
        "/requestParameters/resourceId",
    ];
    let of_member = ["/recipientAccountId", "/userIdentity/accountId"];
    let places = match item.place {
        Place::Payer => [&of_payer[..], &of_member].concat(),
        Place::Account | Place::Region => of_member.to_vec(),
    };
    let account = places.into_iter().find_map(|place| {
        let text = text(place)?;
        text.strip_prefix(BUDGETS).unwrap_or(text).parse().ok()
    })?;
    let region = (item.place == Place::Region)
        .then(|| text("/awsRegion").map(str::to_owned))
        .flatten();
    Some(Start {
        undone: Some(Undoing {
            item: item.name.to_owned(),
            region,
            by: by.to_owned(),
            call: call.to_owned(),
        }),
        ..start(account, Reason::Undone, event)
    })
}

/// Whether this function made a call: in a member, or with its own role for a member.
fn is_ours(by: &str) -> bool {
    let role = by.split(":assumed-role/").nth(1);
    role.and_then(|role| role.split_once('/'))
        .is_some_and(|(role, session)| {
            (role == ROLE && session == SESSION) || role.ends_with(OWN_ROLE)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orgkeeper_tests::template::Template;
    use serde_json::json;

    use super::*;

    const ID: &str = "111122223333";

    fn one(body: &str) -> Option<Start> {
        match asked(body).unwrap() {
            Asked::One(start) => Some(start),
            _ => None,
        }
    }

    fn of_call(source: &str, name: &str, more: &Value) -> Option<Start> {
        let mut detail = json!({ "eventSource": format!("{source}.amazonaws.com"), "eventName": name,
            "eventTime": "2026-03-01T12:00:00Z", "awsRegion": "eu-west-1", "recipientAccountId": ID,
            "userIdentity": { "arn": "arn:aws:iam::111122223333:user/eve", "accountId": ID } });
        for (key, value) in more.as_object().unwrap() {
            detail[key] = value.clone();
        }
        let event = json!({ "source": format!("aws.{source}"), "detail-type": "AWS API Call via CloudTrail",
            "time": "2026-03-01T12:00:01Z", "detail": detail });
        one(&event.to_string())
    }

    #[test]
    fn the_sample_events_start_an_account() {
        for (text, reason) in [
            (
                include_str!("../../../events/account-hydrator/created.json"),
                Reason::Created,
            ),
            (
                include_str!("../../../events/account-hydrator/enrolled.json"),
                Reason::Enrolled,
            ),
            (
                include_str!("../../../events/account-hydrator/joined.json"),
                Reason::Joined,
            ),
            (
                include_str!("../../../events/account-hydrator/moved.json"),
                Reason::Moved,
            ),
            (
                include_str!("../../../events/account-hydrator/roles-ready.json"),
                Reason::RolesReady,
            ),
            (
                include_str!("../../../events/account-hydrator/undone.json"),
                Reason::Undone,
            ),
            (
                include_str!("../../../events/account-hydrator/message.json"),
                Reason::Message,
            ),
        ] {
            let start = one(text).unwrap_or_else(|| panic!("{reason:?}"));
            assert_eq!((start.account.as_str(), start.reason), (ID, reason));
            assert_eq!(start.undone.is_some(), reason == Reason::Undone);
        }
        let all = include_str!("../../../events/account-hydrator/all.json");
        assert_eq!(asked(all).unwrap(), Asked::All(None));
        let left = include_str!("../../../events/account-hydrator/left.json");
        assert_eq!(asked(left).unwrap(), Asked::Left);
    }

    #[test]
    fn every_call_that_can_undo_an_item_names_it_and_who_made_it() {
        for item in ITEMS {
            let (source, names) = item.undone_by;
            for name in names {
                let start = of_call(source, name, &json!({})).unwrap();
                let undone = start.undone.unwrap();
                assert_eq!(undone.item, item.name);
                assert_eq!(undone.call, *name);
                assert_eq!(undone.by, "arn:aws:iam::111122223333:user/eve");
                let regional = item.place == Place::Region;
                assert_eq!(undone.region.is_some(), regional, "{item:?}");
            }
        }
    }

    /// The names that rules deliver; what is done in the organization is done in the management account alone.
    #[test]
    fn the_rules_deliver_the_calls_that_can_undo_an_item() {
        /// Services in which other accounts have nothing of the baseline.
        const OF_MANAGEMENT: [&str; 2] = ["budgets", "organizations"];
        let calls = |with_organization: bool| -> BTreeSet<String> {
            let items = ITEMS
                .iter()
                .filter(|item| with_organization || !OF_MANAGEMENT.contains(&item.undone_by.0));
            items
                .flat_map(|item| item.undone_by.1)
                .map(|name| (*name).to_owned())
                .collect()
        };
        for (template, with_organization) in [
            ("template.yaml", true),
            ("infra/baseline-events.yaml", false),
        ] {
            let template = Template::load(template).unwrap();
            let rule = template.resource("BaselineUndoneRule").unwrap();
            let names = &rule["Properties"]["EventPattern"]["detail"]["eventName"];
            let names: BTreeSet<String> = serde_json::from_value(names.clone()).unwrap();
            assert_eq!(names, calls(with_organization));
        }
    }

    #[test]
    fn the_management_account_names_the_member() {
        let start = of_call(
            "account",
            "DeleteAlternateContact",
            &json!({ "recipientAccountId": "999988887777", "requestParameters": { "accountId": ID } }),
        );
        assert_eq!(start.unwrap().account.as_str(), ID);
        let budget = format!("orgkeeper-{ID}");
        for (call, parameters) in [
            (
                "DeleteBudget",
                json!({ "accountId": "999988887777", "budgetName": budget }),
            ),
            (
                "UpdateBudget",
                json!({ "accountId": "999988887777", "newBudget": { "budgetName": budget } }),
            ),
        ] {
            let more =
                json!({ "recipientAccountId": "999988887777", "requestParameters": parameters });
            let start = of_call("budgets", call, &more);
            assert_eq!(start.unwrap().account.as_str(), ID);
        }
    }

    #[test]
    fn what_is_ours_or_was_refused_starts_nothing() {
        let ours = format!("arn:aws:sts::{ID}:assumed-role/{ROLE}/{SESSION}");
        for more in [
            json!({ "userIdentity": { "arn": ours, "accountId": ID } }),
            json!({ "userIdentity": { "arn": format!("arn:aws:sts::{ID}:assumed-role/orgkeeper-AccountHydrator/f") } }),
            json!({ "errorCode": "Client.UnauthorizedOperation" }),
        ] {
            assert_eq!(of_call("ec2", "DisableEbsEncryptionByDefault", &more), None);
        }
        assert_eq!(of_call("ec2", "RunInstances", &json!({})), None);
        let failed = json!({ "source": "aws.cloudformation", "detail-type": STACK_INSTANCE,
            "detail": { "stack-id": format!("arn:aws:cloudformation:us-east-1:{ID}:stack/s/1"),
                "status-details": { "detailed-status": "FAILED" } } });
        assert_eq!(one(&failed.to_string()), None);
    }

    #[test]
    fn a_message_goes_on_as_it_was() {
        let start = of_call("ec2", "EnableSerialConsoleAccess", &json!({})).unwrap();
        let body = serde_json::to_string(&start).unwrap();
        assert_eq!(one(&body), Some(start));
        assert!(asked("{}").is_err() && asked("no").is_err());
    }
}
