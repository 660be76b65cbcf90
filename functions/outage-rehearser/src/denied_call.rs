//! What an event says about a call that a service control policy denied. Only who called what is read; parameters are not.

use jiff::Timestamp;
use orgkeeper_shared::ids::AccountId;
use serde::Deserialize;

use crate::record::Record;

/// How AWS words such a denial, in the record's `errorMessage`; the rules of EventBridge have the same.
pub const BY_POLICY: &str = "explicit deny in a service control policy";
/// What precedes the action in these words.
const BEFORE_ACTION: &str = "not authorized to perform: ";

/// A denied call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedCall {
    /// The id of CloudTrail's record.
    pub id: String,
    /// When it was made.
    pub time: Timestamp,
    /// The account whose principal made it.
    pub account: AccountId,
    /// Who made it: the ARN of a role (not of its session) or a user, or what else is known.
    pub caller: String,
    /// The action, `route53:ListHostedZones`.
    pub action: String,
    /// The Region.
    pub region: String,
    /// The id of the policy, if the words name it.
    pub policy: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    source: String,
    account: Option<String>,
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(rename = "eventID")]
    event_id: Option<String>,
    event_time: Option<Timestamp>,
    #[serde(default)]
    event_source: String,
    #[serde(default)]
    event_name: String,
    #[serde(default)]
    aws_region: String,
    #[serde(default)]
    error_message: String,
    recipient_account_id: Option<AccountId>,
    #[serde(default)]
    user_identity: Identity,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    r#type: Option<String>,
    arn: Option<String>,
    invoked_by: Option<String>,
    #[serde(default)]
    session_context: Context,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    #[serde(default)]
    session_issuer: Issuer,
}

#[derive(Default, Deserialize)]
struct Issuer {
    arn: Option<String>,
}

/// The denied call that an event is about; nothing for any other event, or one that AWS did not send.
///
/// # Errors
/// If it is no event of EventBridge.
pub fn denied_call(body: &str) -> Result<Option<DeniedCall>, serde_json::Error> {
    let Event {
        source,
        account,
        detail,
    } = serde_json::from_str(body)?;
    let identity = detail.user_identity;
    let words = detail.error_message;
    let (Some(id), Some(time), Some(recipient)) = (
        detail.event_id,
        detail.event_time,
        detail.recipient_account_id,
    ) else {
        return Ok(None);
    };
    // Nobody but AWS sends as `aws.`, and the bus writes the account into the envelope.
    let is_of_aws = source.starts_with("aws.") && account.as_deref() == Some(recipient.as_str());
    if !is_of_aws || !words.contains(BY_POLICY) {
        return Ok(None);
    }
    let caller = identity
        .session_context
        .session_issuer
        .arn
        .or(identity.arn)
        .or(identity.invoked_by)
        .or(identity.r#type)
        .unwrap_or_else(|| "unknown".to_owned());
    let named = words
        .split_once(BEFORE_ACTION)
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .filter(|action| is_action(action));
    let action = named.map_or_else(
        || {
            let service = detail.event_source.split('.').next().unwrap_or_default();
            format!("{service}:{}", detail.event_name)
        },
        str::to_owned,
    );
    Ok(Some(DeniedCall {
        id,
        time,
        account: recipient,
        caller,
        action,
        region: detail.aws_region,
        policy: policy_in(&words),
    }))
}

fn is_action(text: &str) -> bool {
    let is_word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'-')
    };
    text.split_once(':')
        .is_some_and(|(service, action)| is_word(service) && is_word(action))
}

/// The id in `…service control policy: arn:aws:organizations::…:policy/o-…/service_control_policy/p-…`.
fn policy_in(words: &str) -> Option<String> {
    let (_, rest) = words.split_once("/service_control_policy/")?;
    let id: String = rest
        .chars()
        .take_while(|it| it.is_ascii_alphanumeric() || *it == '-')
        .collect();
    id.starts_with("p-").then_some(id)
}

impl DeniedCall {
    /// Whether this rehearsal denied it. Another policy may deny the same: AWS does not always name the one that did.
    #[must_use]
    pub fn is_of(&self, record: &Record) -> bool {
        if !record.begun || self.time < record.from || self.time > record.denied_until() {
            return false;
        }
        match (&self.policy, &record.policy_id) {
            (Some(named), Some(own)) => named == own,
            _ => {
                record.accounts.contains(&self.account)
                    && record.denial.denies(&self.action, &self.region)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::samples::{at, planned};

    const EVENT: &str = include_str!("../../../events/outage-rehearser/denied-call.json");

    fn event() -> Value {
        serde_json::from_str(EVENT).unwrap()
    }

    fn read(event: &Value) -> Option<DeniedCall> {
        denied_call(&event.to_string()).unwrap()
    }

    #[test]
    fn the_sample_says_who_called_what() {
        let call = read(&event()).unwrap();
        assert_eq!(
            call,
            DeniedCall {
                id: "5f0c2b1e-6a1d-4f0e-9a51-3c1d2e4f5a6b".to_owned(),
                time: at(12),
                account: "111122223333".parse().unwrap(),
                caller: "arn:aws:iam::111122223333:role/ExternalDns".to_owned(),
                action: "route53:ListHostedZones".to_owned(),
                region: "us-east-1".to_owned(),
                policy: None,
            }
        );
    }

    #[test]
    fn what_is_not_said_is_taken_from_elsewhere() {
        let mut other = event();
        let message = "You are not authorized with an explicit deny in a service control policy: \
                       arn:aws:organizations::999988887777:policy/o-keeper0001/service_control_policy/p-ab12cd34";
        other["detail"]["errorMessage"] = json!(message);
        other["detail"]["userIdentity"] =
            json!({ "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ana" });
        let call = read(&other).unwrap();
        assert_eq!(call.caller, "arn:aws:iam::111122223333:user/ana");
        assert_eq!(call.action, "route53:ListHostedZones");
        assert_eq!(call.policy.as_deref(), Some("p-ab12cd34"));
        other["detail"]["userIdentity"] = json!({});
        assert_eq!(read(&other).unwrap().caller, "unknown");
    }

    #[test]
    fn anything_else_is_left() {
        let with = |path: &str, value: Value| {
            let mut event = event();
            *event.pointer_mut(path).unwrap() = value;
            read(&event)
        };
        assert_eq!(with("/source", json!("my.route53")), None);
        assert_eq!(with("/account", json!("222233334444")), None);
        let by_identity =
            "is not authorized to perform: route53:X because no identity-based policy allows it";
        assert_eq!(with("/detail/errorMessage", json!(by_identity)), None);
        assert!(denied_call("{}").is_err());
        assert!(denied_call("no JSON").is_err());
    }

    #[test]
    fn a_call_belongs_to_the_rehearsal_that_denied_it() {
        let call = read(&event()).unwrap();
        let record = planned(at(-10))
            .beginning(vec![call.account.clone()])
            .attached("p-own", at(-9));
        assert!(call.is_of(&record));
        let at_time = |time| DeniedCall {
            time,
            ..call.clone()
        };
        assert!(!at_time(at(-1)).is_of(&record));
        assert!(!at_time(at(61)).is_of(&record));
        let ended = record.clone().ended("by hand", at(11));
        assert!(!call.is_of(&ended));
        assert!(at_time(at(10)).is_of(&ended));
        let named = |id: &str| DeniedCall {
            policy: Some(id.to_owned()),
            ..call.clone()
        };
        assert!(named("p-own").is_of(&record));
        assert!(!named("p-other").is_of(&record));
        let elsewhere = DeniedCall {
            account: "222233334444".parse().unwrap(),
            ..call.clone()
        };
        assert!(!elsewhere.is_of(&record));
        let other = DeniedCall {
            action: "s3:ListAllMyBuckets".to_owned(),
            ..call.clone()
        };
        assert!(!other.is_of(&record));
        assert!(!call.is_of(&planned(at(-10))));
    }
}
