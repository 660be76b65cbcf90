//! What a policy document allows: to do everything, or whom it lets in.
//!
//! "IAM JSON policy elements" in the IAM User Guide. What cannot be read allows nothing here: the alert is sent
//! anyway, with the severity of its kind.

use std::collections::BTreeSet;

use orgkeeper_shared::ids::AccountId;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{event::account_id_in, severity::Content};

/// A policy lets in everybody.
pub const EVERYBODY: Content = Content::grave("lets in everybody");
/// A policy lets in an account that is not one of the organization's.
pub const OUTSIDE: Content = Content::grave("lets in an account outside of the organization");

/// A policy that is missing, or not in a known form: it may let in anybody.
pub const UNREAD: Content = Content::new("whom it lets in cannot be read");

/// A policy document.
#[derive(Clone, Debug)]
pub struct PolicyDocument {
    statements: Vec<Value>,
}

/// Whom a policy lets in from outside of its account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetsIn {
    /// Everybody, whatever their account.
    pub everybody: bool,
    /// Everybody in these organizations.
    pub organizations: BTreeSet<String>,
    /// These accounts.
    pub accounts: BTreeSet<AccountId>,
}

/// Condition keys that limit `*` to accounts of an organization, and to accounts.
const ORGANIZATION_KEYS: &[&str] = &["aws:principalorgid", "aws:sourceorgid", "aws:resourceorgid"];
const ORGANIZATION_PATH_KEYS: &[&str] = &["aws:principalorgpaths", "aws:sourceorgpaths"];
const ACCOUNT_KEYS: &[&str] = &[
    "aws:principalaccount",
    "aws:sourceaccount",
    "aws:sourceowner",
    "kms:calleraccount",
    "aws:principalarn",
    "aws:sourcearn",
];
/// Condition keys that limit `*` to networks of one's own.
const NETWORK_KEYS: &[&str] = &[
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:vpcsourceip",
    "s3:dataaccesspointaccount",
];
/// Addresses that are everywhere.
const EVERYWHERE: &[&str] = &["0.0.0.0/0", "::/0"];

impl PolicyDocument {
    /// The document in a value of a request: a text, also an encoded one, or an object.
    #[must_use]
    pub fn read(value: Option<&Value>) -> Option<Self> {
        let document = match value? {
            Value::String(text) => serde_json::from_str(text).ok().or_else(|| {
                let text = percent_decode_str(text).decode_utf8().ok()?;
                serde_json::from_str(&text).ok()
            })?,
            other => other.clone(),
        };
        let statements = match document.get("Statement")? {
            Value::Array(statements) => statements.clone(),
            statement => vec![statement.clone()],
        };
        Some(Self { statements })
    }

    /// Whether it allows everything, or everything of IAM, which is as much: a caller who may change rights has all.
    #[must_use]
    pub fn gives_every_right(&self) -> bool {
        self.allowing().any(|statement| {
            let everywhere = list(&statement["Resource"]).any(|resource| resource == "*")
                || !statement["NotResource"].is_null();
            let actions = list(&statement["Action"])
                .any(|action| ["*", "*:*", "iam:*"].contains(&action.to_lowercase().as_str()));
            let excluded: Vec<String> = list(&statement["NotAction"])
                .map(str::to_lowercase)
                .collect();
            let all_but = !statement["NotAction"].is_null()
                && !excluded.iter().any(|action| action.starts_with("iam:"));
            everywhere && (actions || all_but)
        })
    }

    /// Whom it lets in, beside principals of the account `own`.
    #[must_use]
    pub fn lets_in(&self, own: Option<&AccountId>) -> LetsIn {
        let mut lets_in = LetsIn::default();
        for statement in self.allowing() {
            add(&mut lets_in, statement);
        }
        if let Some(own) = own {
            lets_in.accounts.remove(own);
        }
        lets_in
    }

    /// Whether each statement says what it does and whom it names. If not, it may let in anybody.
    #[must_use]
    pub fn is_understood(&self) -> bool {
        !self.statements.is_empty()
            && self.statements.iter().all(|statement| {
                let effect = statement["Effect"].as_str().unwrap_or_default();
                let names = effect.eq_ignore_ascii_case("allow") && names_known(statement);
                names || effect.eq_ignore_ascii_case("deny")
            })
    }

    fn allowing(&self) -> impl Iterator<Item = &Value> {
        self.statements.iter().filter(|statement| {
            statement["Effect"]
                .as_str()
                .is_some_and(|effect| effect.eq_ignore_ascii_case("allow"))
        })
    }
}

/// Kinds of principals that are no account: services, and providers that [`add`] judges.
const WITHOUT_ACCOUNT: &[&str] = &["Service", "Federated"];
/// What `CloudFront` reads a bucket as.
const OF_CLOUDFRONT: &str = ":iam::cloudfront:user/";

/// Whether all principals of a statement have a known form. The canonical id of a user names no account.
fn names_known(statement: &Value) -> bool {
    let is_known = |principal: &str| {
        // The unique id of a deleted role or user.
        let unique = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit();
        principal == "*"
            || account_id_in(principal).is_some()
            || principal.contains(OF_CLOUDFRONT)
            || principal.starts_with('A') && principal.chars().all(unique)
    };
    let all_known = |value: &Value| {
        let texts = list(value).count();
        let length = value.as_array().map_or(1, Vec::len);
        texts == length && list(value).all(is_known)
    };
    match &statement["Principal"] {
        Value::Object(kinds) => kinds.iter().all(|(kind, names)| {
            WITHOUT_ACCOUNT.contains(&kind.as_str()) || kind == "AWS" && all_known(names)
        }),
        Value::Null => !statement["NotPrincipal"].is_null(),
        names => all_known(names),
    }
}

fn add(lets_in: &mut LetsIn, statement: &Value) {
    let principal = &statement["Principal"];
    let of_aws = match principal {
        Value::Object(kinds) => kinds.get("AWS").unwrap_or(&Value::Null),
        other => other,
    };
    let mut everybody = !statement["NotPrincipal"].is_null();
    for principal in list(of_aws) {
        if principal == "*" {
            everybody = true;
        }
        lets_in.accounts.extend(account_id_in(principal));
    }
    // Anybody has an account of a public identity provider: only a condition says which.
    everybody |= list(&principal["Federated"]).any(|provider| {
        let public = !provider.starts_with("arn:") || provider.contains(":oidc-provider/");
        public && !names_an_identity(statement)
    });
    if everybody && !limit(lets_in, statement) {
        lets_in.everybody = true;
    }
}

/// Adds those to whom conditions limit a statement for everybody. False if there is no such condition.
fn limit(lets_in: &mut LetsIn, statement: &Value) -> bool {
    let mut limited = false;
    for (operator, key, values) in conditions(statement) {
        let negative = operator.contains("not") || operator.starts_with("null");
        let optional = operator.contains("ifexists") || operator.starts_with("forallvalues");
        if negative || optional {
            continue;
        }
        if ORGANIZATION_KEYS.contains(&key.as_str()) {
            limited |= !values.iter().any(|value| value.starts_with('*'));
            lets_in.organizations.extend(values);
        } else if ORGANIZATION_PATH_KEYS.contains(&key.as_str()) {
            limited |= !values.iter().any(|value| value.starts_with('*'));
            let organizations = values.iter().filter_map(|path| path.split('/').next());
            lets_in
                .organizations
                .extend(organizations.map(str::to_owned));
        } else if ACCOUNT_KEYS.contains(&key.as_str()) {
            let accounts: Vec<AccountId> =
                values.iter().filter_map(|it| account_id_in(it)).collect();
            // The ARN of a bucket names no account, but one thing.
            let one_thing =
                key.ends_with("sourcearn") && !values.iter().any(|value| value.starts_with('*'));
            limited |= accounts.len() == values.len() || one_thing;
            lets_in.accounts.extend(accounts);
        } else if NETWORK_KEYS.contains(&key.as_str()) {
            limited = true;
        } else if key == "aws:sourceip" {
            limited |= !values
                .iter()
                .any(|value| EVERYWHERE.contains(&value.as_str()));
        }
    }
    limited
}

/// Whether a condition says which identities of a provider are meant.
fn names_an_identity(statement: &Value) -> bool {
    conditions(statement).any(|(operator, key, values)| {
        let subject = key.ends_with(":sub") || key.ends_with(":amr") || key.ends_with(":aud");
        // Everybody in GitHub has the same audience.
        let shared = key.contains("githubusercontent") && key.ends_with(":aud");
        let open = values
            .iter()
            .all(|value| value.trim_start_matches("repo:").starts_with('*'));
        subject && !shared && !open && !operator.contains("not")
    })
}

/// The conditions of a statement: operator and key in lower case, and the values.
fn conditions(statement: &Value) -> impl Iterator<Item = (String, String, Vec<String>)> {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    operators.flat_map(|(operator, keys)| {
        let keys = keys.as_object().into_iter().flatten();
        keys.map(move |(key, values)| {
            let values = list(values).map(str::to_owned).collect();
            (operator.to_lowercase(), key.to_lowercase(), values)
        })
    })
}

/// The texts of a value that is one or a list.
fn list(value: &Value) -> impl Iterator<Item = &str> {
    let (one, many) = match value {
        Value::Array(values) => (None, Some(values)),
        value => (Some(value), None),
    };
    one.into_iter()
        .chain(many.into_iter().flatten())
        .filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(statement: &Value) -> PolicyDocument {
        let text = json!({ "Version": "2012-10-17", "Statement": statement }).to_string();
        PolicyDocument::read(Some(&text.into())).unwrap()
    }

    #[test]
    fn every_right_has_many_spellings() {
        for (statement, wanted) in [
            (
                json!({ "Effect": "Allow", "Action": "*", "Resource": "*" }),
                true,
            ),
            (
                json!([{ "Effect": "Allow", "Action": ["s3:Get*", "*:*"], "Resource": ["*"] }]),
                true,
            ),
            (
                json!({ "Effect": "Allow", "Action": "IAM:*", "Resource": "*" }),
                true,
            ),
            (
                json!({ "Effect": "Allow", "NotAction": "s3:*", "Resource": "*" }),
                true,
            ),
            (
                json!({ "Effect": "Allow", "NotAction": ["iam:*", "organizations:*"], "Resource": "*" }),
                false,
            ),
            (
                json!({ "Effect": "Deny", "Action": "*", "Resource": "*" }),
                false,
            ),
            (
                json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }),
                false,
            ),
            (
                json!({ "Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::one" }),
                false,
            ),
        ] {
            assert_eq!(
                document(&statement).gives_every_right(),
                wanted,
                "{statement}"
            );
        }
        let encoded = "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22*%22%2C%22Resource%22%3A%22*%22%7D%7D";
        assert!(
            PolicyDocument::read(Some(&encoded.into()))
                .unwrap()
                .gives_every_right()
        );
        assert!(PolicyDocument::read(Some(&"no policy".into())).is_none());
        assert!(PolicyDocument::read(None).is_none());
    }

    #[test]
    fn a_principal_has_many_spellings() {
        let lets_in = |principal: Value, condition: Value| {
            let statement = json!([{ "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole",
                "Condition": condition }]);
            let lets_in = document(&statement).lets_in("111122223333".parse().ok().as_ref());
            let accounts: Vec<String> = lets_in.accounts.iter().map(ToString::to_string).collect();
            let organizations: Vec<String> = lets_in.organizations.into_iter().collect();
            format!(
                "{} {} {}",
                lets_in.everybody,
                organizations.join(","),
                accounts.join(",")
            )
        };
        for (principal, condition, wanted) in [
            (json!("*"), Value::Null, "true  "),
            (json!({ "AWS": ["*"] }), Value::Null, "true  "),
            (
                json!({ "AWS": "444455556666" }),
                Value::Null,
                "false  444455556666",
            ),
            (
                json!({ "AWS": ["arn:aws:iam::444455556666:role/a", "arn:aws:iam::111122223333:root"] }),
                Value::Null,
                "false  444455556666",
            ),
            (
                json!({ "Service": "lambda.amazonaws.com" }),
                Value::Null,
                "false  ",
            ),
            (
                json!("*"),
                json!({ "StringEquals": { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } }),
                "false o-a1b2c3d4e5 ",
            ),
            (
                json!("*"),
                json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": ["o-a1b2c3d4e5/r-1/*"] } }),
                "false o-a1b2c3d4e5 ",
            ),
            (
                json!("*"),
                json!({ "StringEquals": { "aws:PrincipalAccount": ["444455556666"] } }),
                "false  444455556666",
            ),
            (
                json!("*"),
                json!({ "StringEquals": { "sts:ExternalId": "x" } }),
                "true  ",
            ),
            (
                json!("*"),
                json!({ "StringNotEquals": { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } }),
                "true  ",
            ),
            (
                json!("*"),
                json!({ "StringEqualsIfExists": { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } }),
                "true  ",
            ),
            (
                json!("*"),
                json!({ "IpAddress": { "aws:SourceIp": "0.0.0.0/0" } }),
                "true  ",
            ),
            (
                json!("*"),
                json!({ "IpAddress": { "aws:SourceIp": ["192.0.2.0/24"] } }),
                "false  ",
            ),
            (
                json!({ "Federated": "accounts.google.com" }),
                Value::Null,
                "true  ",
            ),
            (
                json!({ "Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com" }),
                json!({ "StringEquals": { "token.actions.githubusercontent.com:aud": "sts.amazonaws.com" } }),
                "true  ",
            ),
            (
                json!({ "Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com" }),
                json!({ "StringLike": { "token.actions.githubusercontent.com:sub": "repo:acme/*" } }),
                "false  ",
            ),
            (
                json!({ "Federated": "arn:aws:iam::111122223333:saml-provider/corp" }),
                Value::Null,
                "false  ",
            ),
        ] {
            assert_eq!(
                lets_in(principal.clone(), condition.clone()),
                wanted,
                "{principal} {condition}"
            );
        }
        let but =
            json!({ "Effect": "Allow", "NotPrincipal": { "AWS": "444455556666" }, "Action": "*" });
        assert!(document(&but).lets_in(None).everybody);
        let denied = json!({ "Effect": "Deny", "Principal": "*", "Action": "*" });
        assert_eq!(document(&denied).lets_in(None), LetsIn::default());
    }
}
