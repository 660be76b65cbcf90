//! `AssumeRole` as AWS does it: only a role that exists can be assumed, while `MiniStack` accepts any. Also creates
//! and looks up roles for the front door's own services.

use http::StatusCode;
use serde_json::{Value, json};

use crate::backend::{Backend, OwnCall, Unreachable};
use crate::callers::Caller;
use crate::operation::form_value;
use crate::reply::Refusal;
use crate::scope::is_account_id;

/// A role, by its ARN.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Role {
    account: String,
    name: String,
    arn: String,
}

impl Role {
    /// The role with this name, without a path.
    pub(crate) fn named(account: &str, name: &str) -> Self {
        Self {
            account: account.to_owned(),
            name: name.to_owned(),
            arn: format!("arn:aws:iam::{account}:role/{name}"),
        }
    }
}

/// The role that an `AssumeRole` call names, in a form (query protocol) or in JSON.
pub(crate) fn requested_role(body: &[u8]) -> Option<Role> {
    let arn = match serde_json::from_slice::<Value>(body) {
        Ok(json) => json["RoleArn"].as_str()?.to_owned(),
        Err(_) => form_value(body, "RoleArn")?,
    };
    let (account, name) = {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", _, "iam", "", account, resource] = parts[..] else {
            return None;
        };
        let path = resource.strip_prefix("role/")?;
        let name = path.rsplit('/').next()?;
        (account.to_owned(), name.to_owned())
    };
    Some(Role { account, name, arn })
}

/// Whether IAM of the role's account has the role.
pub(crate) async fn exists(
    role: &Role,
    ministack: &Backend,
    region: &str,
) -> Result<bool, Unreachable> {
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "GetRole")
        .append_pair("Version", "2010-05-08")
        .append_pair("RoleName", &role.name)
        .finish();
    let call = OwnCall {
        account: &role.account,
        region,
        service: "iam",
        content_type: "application/x-www-form-urlencoded",
        target: "",
        body,
    };
    Ok(ministack.call(call).await?.status != StatusCode::NOT_FOUND)
}

/// Creates a role that the account `trusted` may assume; an existing one stays unchanged.
pub(crate) async fn create(
    role: &Role,
    trusted: &str,
    ministack: &Backend,
    region: &str,
) -> Result<(), Unreachable> {
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": format!("arn:aws:iam::{trusted}:root")},
            "Action": "sts:AssumeRole",
        }],
    });
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "CreateRole")
        .append_pair("Version", "2010-05-08")
        .append_pair("RoleName", &role.name)
        .append_pair("AssumeRolePolicyDocument", &trust.to_string())
        .finish();
    let call = OwnCall {
        account: &role.account,
        region,
        service: "iam",
        content_type: "application/x-www-form-urlencoded",
        target: "",
        body,
    };
    ministack.call(call).await.map(drop)
}

/// AWS does not disclose whether the role is missing or its trust is.
pub(crate) fn refusal(caller: &Caller, role: &Role) -> Refusal {
    let message = format!(
        "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
        caller.arn, role.arn
    );
    Refusal {
        status: Some(StatusCode::FORBIDDEN),
        ..Refusal::new("AccessDenied", message)
    }
}

/// The access key in an answer of STS, and the caller that it belongs to.
pub(crate) fn assumed_session(answer: &[u8]) -> Option<(String, Caller)> {
    let (access_key, arn) = if let Ok(json) = serde_json::from_slice::<Value>(answer) {
        let access_key = json["Credentials"]["AccessKeyId"].as_str()?;
        let arn = json["AssumedRoleUser"]["Arn"].as_str()?;
        (access_key.to_owned(), arn.to_owned())
    } else {
        let xml = str::from_utf8(answer).ok()?;
        (element(xml, "AccessKeyId")?, element(xml, "Arn")?)
    };
    let account = arn.split(':').nth(4).filter(|it| is_account_id(it))?;
    let account = account.to_owned();
    Some((access_key, Caller { account, arn }))
}

fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_read_from_the_form() {
        let body =
            b"Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fteam%2Freader";
        let role = requested_role(body).unwrap();
        assert_eq!(
            (role.account.as_str(), role.name.as_str()),
            ("111122223333", "reader")
        );
        assert_eq!(role.arn, "arn:aws:iam::111122223333:role/team/reader");
        assert_eq!(requested_role(b"RoleArn=reader"), None);
    }

    #[test]
    fn a_session_is_read_from_the_answer() {
        let xml = b"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA1</AccessKeyId>\
            </Credentials><AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/reader/me</Arn>\
            </AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>";
        let (key, caller) = assumed_session(xml).unwrap();
        assert_eq!(key, "ASIA1");
        assert_eq!(caller.account, "111122223333");
        assert!(assumed_session(b"<ErrorResponse/>").is_none());
    }
}
