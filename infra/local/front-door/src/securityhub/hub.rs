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
    administrator: Option<&str>,
) -> Result<Value, Refusal> {
    only(request, management)?;
    let all = administrator.map(|it| json!({"AccountId": it, "Status": "ENABLED"}));
    Ok(json!({"AdminAccounts": all.into_iter().collect::<Vec<_>>()}))
}

/// The administrator after a change, which only the management account may make: one account at a time.
pub(super) fn changed_administrator(
    request: &Request<'_>,
    management: &str,
    administrator: Option<&str>,
) -> Result<Option<String>, Refusal> {
    only(request, management)?;
    let input: Value = serde_json::from_slice(request.body).unwrap_or_default();
    let account = input["AdminAccountId"].as_str().unwrap_or_default();
    let enable = request.operation == "EnableOrganizationAdminAccount";
    let fits = match administrator {
        Some(current) => current == account,
        None => enable,
    };
    if !is_account_id(account) || !fits {
        let message = format!("AdminAccountId {account}: the administrator is {administrator:?}");
        return Err(Refusal::new("InvalidInputException", message));
    }
    Ok(enable.then(|| account.to_owned()))
}

/// What new accounts of the organization get, which only the administrator may ask for.
pub(super) fn configuration(request: &Request<'_>, administers: bool) -> Result<Value, Refusal> {
    if !administers {
        return Err(not_administrator(request));
    }
    Ok(json!({
        "AutoEnable": true,
        "MemberAccountLimitReached": false,
        "AutoEnableStandards": "DEFAULT",
        "OrganizationConfiguration": {"ConfigurationType": "LOCAL", "Status": "ENABLED"},
    }))
}

fn only(request: &Request<'_>, management: &str) -> Result<(), Refusal> {
    if request.account == management {
        return Ok(());
    }
    Err(not_administrator(request))
}

fn not_administrator(request: &Request<'_>) -> Refusal {
    let message = format!(
        "Account {} is not an administrator for this organization",
        request.account
    );
    Refusal::new("InvalidAccessException", message)
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
            path: "",
            body: b"",
        }
    }

    #[test]
    fn the_organization_is_shown_to_its_administrator_only() {
        let own = request(ADMINISTRATOR);
        let shown = administrators(&own, ADMINISTRATOR, Some(ADMINISTRATOR)).unwrap();
        assert_eq!(shown["AdminAccounts"][0]["AccountId"], ADMINISTRATOR);
        let shown = administrators(&own, ADMINISTRATOR, None).unwrap();
        assert_eq!(shown["AdminAccounts"], json!([]));
        assert!(configuration(&own, true).is_ok());
        let refusal = configuration(&request("111122223333"), false).unwrap_err();
        assert_eq!(refusal.code, "InvalidAccessException");
    }

    #[test]
    fn one_account_at_a_time_is_administrator() {
        const OTHER: &str = "111122223333";
        let change = |operation, account: &str, current| {
            let body = json!({"AdminAccountId": account}).to_string();
            let request = Request {
                operation,
                body: body.as_bytes(),
                ..request(ADMINISTRATOR)
            };
            changed_administrator(&request, ADMINISTRATOR, current)
        };
        let (enable, disable) = (
            "EnableOrganizationAdminAccount",
            "DisableOrganizationAdminAccount",
        );
        assert_eq!(change(enable, OTHER, None), Ok(Some(OTHER.to_owned())));
        assert_eq!(change(disable, OTHER, Some(OTHER)), Ok(None));
        change(enable, OTHER, Some(ADMINISTRATOR)).unwrap_err();
        change(disable, OTHER, Some(ADMINISTRATOR)).unwrap_err();
        change(disable, OTHER, None).unwrap_err();
        change(enable, "me", None).unwrap_err();
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
