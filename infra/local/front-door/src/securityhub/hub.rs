//! What an account with Security Hub has switched on: the same everywhere, as after `EnableSecurityHub` without choices.

use serde_json::{Value, json};

use super::request::Request;
use crate::reply::Refusal;
use crate::scope::is_account_id;

/// The standards that are on by default.
const STANDARDS: &[&str] = &[
    "aws-foundational-security-best-practices/v/1.0.0",
    "cis-aws-foundations-benchmark/v/1.2.0",
];

/// The products whose findings are imported by default.
const PRODUCTS: &[&str] = &["aws/config", "aws/guardduty"];

/// The enabled standards.
pub(super) fn standards(request: &Request<'_>) -> Value {
    let (region, account) = (request.region, request.account);
    let subscriptions: Vec<_> = STANDARDS
        .iter()
        .map(|name| {
            json!({
                "StandardsSubscriptionArn":
                    format!("arn:aws:securityhub:{region}:{account}:subscription/{name}"),
                "StandardsArn": format!("arn:aws:securityhub:{region}::standards/{name}"),
                "StandardsInput": {},
                "StandardsStatus": "READY",
            })
        })
        .collect();
    json!({"StandardsSubscriptions": subscriptions})
}

/// The products that may import findings.
pub(super) fn products(request: &Request<'_>) -> Value {
    let (region, account) = (request.region, request.account);
    let subscriptions: Vec<_> = PRODUCTS
        .iter()
        .map(|name| format!("arn:aws:securityhub:{region}:{account}:product-subscription/{name}"))
        .collect();
    json!({"ProductSubscriptions": subscriptions})
}

/// The organization's administrator, which only the management account may ask for.
pub(super) fn administrators(
    request: &Request<'_>,
    management: &str,
    administrator: &str,
) -> Result<Value, Refusal> {
    only(request, management)?;
    Ok(json!({"AdminAccounts": [{"AccountId": administrator, "Status": "ENABLED"}]}))
}

/// The account that becomes the administrator, which only the management account may say.
pub(super) fn new_administrator(
    request: &Request<'_>,
    management: &str,
) -> Result<String, Refusal> {
    only(request, management)?;
    let body: Value = serde_json::from_slice(request.body).unwrap_or_default();
    match body["AdminAccountId"].as_str() {
        Some(account) if is_account_id(account) => Ok(account.to_owned()),
        _ => Err(Refusal::new(
            "InvalidInputException",
            "AdminAccountId has to be the id of an account",
        )),
    }
}

/// What new accounts of the organization get, which only the administrator may ask for.
pub(super) fn configuration(request: &Request<'_>, administrator: &str) -> Result<Value, Refusal> {
    only(request, administrator)?;
    Ok(json!({
        "AutoEnable": true,
        "MemberAccountLimitReached": false,
        "AutoEnableStandards": "DEFAULT",
        "OrganizationConfiguration": {"ConfigurationType": "LOCAL", "Status": "ENABLED"},
    }))
}

fn only(request: &Request<'_>, administrator: &str) -> Result<(), Refusal> {
    if request.account == administrator {
        return Ok(());
    }
    let message = format!(
        "Account {} is not an administrator for this organization",
        request.account
    );
    Err(Refusal::new("InvalidAccessException", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMINISTRATOR: &str = "999988887777";

    fn request(account: &str) -> Request<'_> {
        Request {
            operation: "",
            account,
            region: "us-east-1",
            body: b"",
        }
    }

    #[test]
    fn the_organization_is_shown_to_its_administrator_only() {
        let shown = administrators(&request("1"), "1", ADMINISTRATOR).unwrap();
        assert_eq!(shown["AdminAccounts"][0]["AccountId"], ADMINISTRATOR);
        assert!(configuration(&request(ADMINISTRATOR), ADMINISTRATOR).is_ok());
        let refusal = configuration(&request("111122223333"), ADMINISTRATOR).unwrap_err();
        assert_eq!(refusal.code, "InvalidAccessException");
    }

    #[test]
    fn the_management_account_names_the_administrator() {
        let named = |account, body: &'static [u8]| {
            let request = Request {
                body,
                ..request(account)
            };
            new_administrator(&request, "1")
        };
        let body = br#"{"AdminAccountId": "999988887777"}"#;
        assert_eq!(named("1", body).unwrap(), ADMINISTRATOR);
        let refusal = named("2", body).unwrap_err();
        assert_eq!(refusal.code, "InvalidAccessException");
        assert_eq!(named("1", b"{}").unwrap_err().code, "InvalidInputException");
    }

    #[test]
    fn standards_and_products_are_those_of_the_account() {
        let standards = standards(&request("111122223333"));
        let first = &standards["StandardsSubscriptions"][0];
        let arn = first["StandardsSubscriptionArn"].as_str().unwrap();
        assert!(arn.starts_with("arn:aws:securityhub:us-east-1:111122223333:subscription/aws-"));
        assert_eq!(
            products(&request("1"))["ProductSubscriptions"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
    }
}
