//! The roles that the front door's own services create and look for in IAM.

use http::StatusCode;
use serde_json::json;

use crate::backend::{Backend, OwnCall, Unreachable};

/// A role without a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Role {
    account: String,
    name: String,
}

impl Role {
    /// The role with this name.
    pub(crate) fn named(account: &str, name: &str) -> Self {
        Self {
            account: account.to_owned(),
            name: name.to_owned(),
        }
    }
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
