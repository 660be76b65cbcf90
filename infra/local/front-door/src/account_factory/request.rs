//! Reads a request to provision or update, with the checks of Service Catalog and Account Factory.

use std::collections::BTreeMap;

use serde_json::Value;

use super::catalog::invalid;
use crate::reply::Refusal;

pub(super) const EMAIL: &str = "AccountEmail";
pub(super) const NAME: &str = "AccountName";
pub(super) const UNIT: &str = "ManagedOrganizationalUnit";
pub(super) const SSO_EMAIL: &str = "SSOUserEmail";

/// Parameters of Account Factory; all are required.
const KEYS: &[&str] = &[
    EMAIL,
    NAME,
    UNIT,
    SSO_EMAIL,
    "SSOUserFirstName",
    "SSOUserLastName",
];

/// Parameters that an update cannot change.
const FIXED: &[&str] = &[EMAIL, NAME];

const NAME_LENGTH: usize = 128;
const VALUE_LENGTH: usize = 4_096;
/// The longest account name of Organizations, which Account Factory checks in advance.
const ACCOUNT_NAME_LENGTH: usize = 50;

/// Parameters by key.
pub(super) type Parameters = BTreeMap<String, String>;

/// The name of the provisioned product.
pub(super) fn name(input: &Value) -> Result<String, Refusal> {
    pattern(input, "ProvisionedProductName", "._-")
}

/// An idempotency token.
pub(super) fn token(input: &Value, member: &str) -> Result<String, Refusal> {
    pattern(input, member, "_-")
}

fn pattern(input: &Value, member: &str, marks: &str) -> Result<String, Refusal> {
    let text = input[member].as_str().unwrap_or_default();
    let rest = |it: char| it.is_ascii_alphanumeric() || marks.contains(it);
    let is_good = text.len() <= NAME_LENGTH
        && text.starts_with(|it: char| it.is_ascii_alphanumeric())
        && text.chars().all(rest);
    if is_good {
        return Ok(text.to_owned());
    }
    Err(invalid(format!(
        "{member} must match [a-zA-Z0-9][a-zA-Z0-9{marks}]* and be 1 to {NAME_LENGTH} characters long."
    )))
}

/// The parameters of a new account.
pub(super) fn parameters(input: &Value) -> Result<Parameters, Refusal> {
    let given = given(input, None)?;
    let missing = KEYS.iter().find(|it| !given.contains_key(**it));
    match missing {
        Some(key) => Err(invalid(format!("Parameter {key} is required."))),
        None => checked(given),
    }
}

/// The parameters of an update: a missing parameter keeps its value.
pub(super) fn updated(input: &Value, previous: &Parameters) -> Result<Parameters, Refusal> {
    let mut all = previous.clone();
    all.extend(given(input, Some(previous))?);
    let fixed = FIXED.iter().find(|it| all.get(**it) != previous.get(**it));
    match fixed {
        Some(key) => Err(invalid(format!("Parameter {key} cannot be changed."))),
        None => checked(all),
    }
}

fn given(input: &Value, previous: Option<&Parameters>) -> Result<Parameters, Refusal> {
    let mut given = Parameters::new();
    for parameter in input["ProvisioningParameters"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let key = parameter["Key"].as_str().unwrap_or_default();
        if !KEYS.contains(&key) {
            return Err(invalid(format!("Parameter {key} does not exist.")));
        }
        let uses_previous = parameter["UsePreviousValue"] == true;
        let value = match (parameter["Value"].as_str(), previous) {
            (None, Some(previous)) if uses_previous => previous.get(key).map(String::as_str),
            (value, _) if !uses_previous => value,
            _ => None,
        };
        let Some(value) = value.filter(|it| it.len() <= VALUE_LENGTH) else {
            return Err(invalid(format!("Parameter {key} has no usable value.")));
        };
        if given.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(invalid(format!("Parameter {key} appears twice.")));
        }
    }
    Ok(given)
}

fn checked(parameters: Parameters) -> Result<Parameters, Refusal> {
    let empty = parameters.iter().find(|(_, value)| value.trim().is_empty());
    if let Some((key, _)) = empty {
        return Err(invalid(format!("Parameter {key} is empty.")));
    }
    for key in [EMAIL, SSO_EMAIL] {
        if !is_email(&parameters[key]) {
            let message = format!("Parameter {key} is not a valid e-mail address.");
            return Err(invalid(message));
        }
    }
    if parameters[NAME].chars().count() > ACCOUNT_NAME_LENGTH {
        let message = format!("Parameter {NAME} is longer than {ACCOUNT_NAME_LENGTH} characters.");
        return Err(invalid(message));
    }
    unit(&parameters)?;
    Ok(parameters)
}

/// Name and id of the organizational unit in `Name (ou-xxxx-xxxxxxxx)`.
pub(super) fn unit(parameters: &Parameters) -> Result<(&str, &str), Refusal> {
    let text = parameters.get(UNIT).map(String::as_str).unwrap_or_default();
    let parts = text
        .strip_suffix(')')
        .and_then(|it| it.rsplit_once(" ("))
        .filter(|(name, id)| !name.is_empty() && id.starts_with("ou-"));
    let refused = || {
        invalid(format!(
            "Parameter {UNIT} must be the name and the id of an organizational unit, such as Sandbox (ou-ab12-cdefgh34)."
        ))
    };
    parts.ok_or_else(refused)
}

/// `[A-Z0-9a-z._%+-]+@[A-Za-z0-9.-]+[.]+[A-Za-z]+`, as Control Tower checks it, and no longer than 64 characters.
fn is_email(text: &str) -> bool {
    const LENGTH: usize = 64;
    let is_local = |it: char| it.is_ascii_alphanumeric() || "._%+-".contains(it);
    let is_host = |it: char| it.is_ascii_alphanumeric() || ".-".contains(it);
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let Some((host, last)) = domain.rsplit_once('.') else {
        return false;
    };
    text.len() <= LENGTH
        && [local, host, last].iter().all(|it| !it.is_empty())
        && local.chars().all(is_local)
        && host.chars().all(is_host)
        && last.chars().all(|it| it.is_ascii_alphabetic())
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// All six parameters.
    pub(crate) fn sample() -> Value {
        json!({"ProvisioningParameters": [
            {"Key": "AccountEmail", "Value": "aws+payments-dev@example.com"},
            {"Key": "AccountName", "Value": "payments-dev"},
            {"Key": "ManagedOrganizationalUnit", "Value": "Sandbox (ou-ab12-cdefgh34)"},
            {"Key": "SSOUserEmail", "Value": "ops@example.com"},
            {"Key": "SSOUserFirstName", "Value": "Ops"},
            {"Key": "SSOUserLastName", "Value": "Team"},
        ]})
    }

    fn with(place: usize, value: &str) -> Value {
        let mut input = sample();
        input["ProvisioningParameters"][place]["Value"] = json!(value);
        input
    }

    fn refused(input: &Value) -> String {
        let refusal = parameters(input).unwrap_err();
        assert_eq!(refusal.code, "InvalidParametersException");
        refusal.message
    }

    #[test]
    fn all_six_parameters_are_required_and_no_other() {
        let read = parameters(&sample()).unwrap();
        assert_eq!(unit(&read).unwrap(), ("Sandbox", "ou-ab12-cdefgh34"));
        for place in 0..6 {
            let mut input = sample();
            let list = input["ProvisioningParameters"].as_array_mut().unwrap();
            let removed = list.remove(place);
            assert!(refused(&input).contains(removed["Key"].as_str().unwrap()));
        }
        for extra in [
            json!({"Key": "VPCOptions", "Value": "x"}),
            json!({"Key": "AccountName", "Value": "x"}),
        ] {
            let mut input = sample();
            let list = input["ProvisioningParameters"].as_array_mut().unwrap();
            list.push(extra);
            refused(&input);
        }
    }

    #[test]
    fn values_are_validated() {
        for (place, value) in [
            (0, "not an address"),
            (0, "o'neil@example.com"),
            (0, "a@b@example.com"),
            (0, "a@example"),
            (1, " "),
            (1, "An account with a name of more than fifty characters"),
            (2, "Sandbox"),
            (2, "Sandbox (r-ab12)"),
            (2, "(ou-ab12-cdefgh34)"),
            (3, "ops"),
            (4, ""),
        ] {
            refused(&with(place, value));
        }
        for (place, value) in [
            (0, "A.b%c+d-e@my-host.example.com"),
            (2, "A (b) (ou-ab12-cdefgh34)"),
        ] {
            parameters(&with(place, value)).unwrap();
        }
    }

    #[test]
    fn names_and_tokens_have_patterns() {
        let name_of = |text: &str| name(&json!({"ProvisionedProductName": text}));
        let token_of = |text: &str| token(&json!({"T": text}), "T");
        let long = "a".repeat(129);
        for good in ["a", "payments-dev_1.2", &long[1..]] {
            name_of(good).unwrap();
        }
        for bad in ["", "-a", "payments dev", "ä", &long] {
            name_of(bad).unwrap_err();
        }
        token_of("vend-1_A").unwrap();
        token_of("vend.1").unwrap_err();
        name(&json!({})).unwrap_err();
    }

    #[test]
    fn an_update_keeps_missing_parameters() {
        let previous = parameters(&sample()).unwrap();
        let update = json!({"ProvisioningParameters": [
            {"Key": "ManagedOrganizationalUnit", "Value": "Dev (ou-ab12-22222222)"},
            {"Key": "AccountName", "UsePreviousValue": true},
        ]});
        let after = updated(&update, &previous).unwrap();
        assert_eq!(unit(&after).unwrap(), ("Dev", "ou-ab12-22222222"));
        assert_eq!(after[EMAIL], previous[EMAIL]);
        assert_eq!(updated(&json!({}), &previous).unwrap(), previous);
        for list in [
            json!([{"Key": "AccountEmail", "Value": "other@example.com"}]),
            json!([{"Key": "AccountName", "Value": "other"}]),
            json!([{"Key": "AccountName", "Value": "payments-dev", "UsePreviousValue": true}]),
            json!([{"Key": "Other", "Value": "x"}]),
        ] {
            let input = json!({"ProvisioningParameters": list});
            updated(&input, &previous).unwrap_err();
        }
        let first =
            json!({"ProvisioningParameters": [{"Key": "AccountName", "UsePreviousValue": true}]});
        parameters(&first).unwrap_err();
    }
}
