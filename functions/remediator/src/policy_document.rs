//! Policies of resources: what is kept of them to the letter, and which statements allow something to everybody.

use std::fmt::{self, Write as _};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, json, value::RawValue};

const STATEMENT: &str = "Statement";

/// A policy as AWS gives it. Two are equal if they say the same, whatever their layout.
#[derive(Clone, Debug)]
pub struct PolicyText(String);

impl PolicyText {
    /// The policy with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn document(&self) -> Result<PolicyDocument, serde_json::Error> {
        PolicyDocument::parse(&self.0)
    }

    fn value(&self) -> Option<Value> {
        serde_json::from_str(&self.0).ok()
    }
}

impl PartialEq for PolicyText {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.value().is_some_and(|it| Some(it) == other.value())
    }
}

impl Serialize for PolicyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value() {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for PolicyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::String(text) => Self(text),
            value => Self(value.to_string()),
        })
    }
}

/// A policy in parts. What is not changed keeps its text and its place.
#[derive(Clone, Debug)]
pub struct PolicyDocument {
    /// The members in order; the statements are where there is no text.
    members: Vec<(String, Option<String>)>,
    statements: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug)]
pub struct Statement {
    text: String,
    value: Value,
}

impl Default for PolicyDocument {
    fn default() -> Self {
        let version = ("Version".to_owned(), Some(r#""2012-10-17""#.to_owned()));
        Self {
            members: vec![version, (STATEMENT.to_owned(), None)],
            statements: Vec::new(),
        }
    }
}

impl PolicyDocument {
    /// Takes a policy apart.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let Members(given) = serde_json::from_str(text)?;
        let mut document = Self {
            members: Vec::new(),
            statements: Vec::new(),
        };
        for (name, value) in given {
            if name != STATEMENT {
                let text = Some(value.get().to_owned());
                document.members.push((name, text));
                continue;
            }
            // A single statement may be there without a list.
            let statements: Vec<Box<RawValue>> = if value.get().starts_with('[') {
                serde_json::from_str(value.get())?
            } else {
                vec![value]
            };
            for statement in statements {
                document.statements.push(Statement {
                    value: serde_json::from_str(statement.get())?,
                    text: statement.get().to_owned(),
                });
            }
            document.members.push((name, None));
        }
        if document.members.iter().all(|(name, _)| name != STATEMENT) {
            document.members.push((STATEMENT.to_owned(), None));
        }
        Ok(document)
    }

    /// The statements.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Whether a statement has this Sid.
    #[must_use]
    pub fn has_sid(&self, sid: &str) -> bool {
        self.statements.iter().any(|it| it.sid() == Some(sid))
    }

    /// Appends a statement. Its Sid gets a number if another statement has it.
    pub fn append(&mut self, mut statement: Value) {
        if let Some(sid) = statement["Sid"].as_str().map(str::to_owned) {
            let mut free = sid.clone();
            let mut number = 2;
            while self.has_sid(&free) {
                free = format!("{sid}{number}");
                number += 1;
            }
            statement["Sid"] = Value::String(free);
        }
        self.statements.push(Statement::new(statement));
    }

    /// The policy without what it allows to everybody; nothing if it allows nothing to everybody.
    ///
    /// A statement for everybody and for named principals keeps the named ones.
    #[must_use]
    pub fn without_public(&self) -> Option<Self> {
        if !self.statements.iter().any(Statement::is_public) {
            return None;
        }
        let kept = self.statements.iter().filter_map(|statement| {
            if statement.is_public() {
                statement.for_named_principals()
            } else {
                Some(statement.clone())
            }
        });
        Some(Self {
            members: self.members.clone(),
            statements: kept.collect(),
        })
    }

    /// The policy as text.
    #[must_use]
    pub fn text(&self) -> PolicyText {
        let statements: Vec<&str> = self.statements.iter().map(|it| it.text.as_str()).collect();
        let statements = format!("[{}]", statements.join(","));
        let mut text = String::from("{");
        for (place, (name, value)) in self.members.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let value = value.as_deref().unwrap_or(&statements);
            let _ = write!(text, "{comma}{}:{value}", Value::from(name.as_str()));
        }
        text.push('}');
        PolicyText(text)
    }
}

impl Statement {
    fn new(value: Value) -> Self {
        Self {
            text: value.to_string(),
            value,
        }
    }

    /// Its members.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Its Sid.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.value["Sid"].as_str()
    }

    /// Whether it allows something to everybody: no condition names a source, an account or an organization.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.value["Effect"] == "Allow" && self.is_for_everybody() && !self.is_restricted()
    }

    /// Whether everybody is among its principals.
    #[must_use]
    pub fn is_for_everybody(&self) -> bool {
        let principal = &self.value["Principal"];
        !self.value["NotPrincipal"].is_null()
            || *principal == EVERYBODY
            || texts(&principal["AWS"]).iter().any(|it| it == EVERYBODY)
    }

    fn is_restricted(&self) -> bool {
        let Some(condition) = self.value["Condition"].as_object() else {
            return false;
        };
        condition.iter().any(|(operator, keys)| {
            let keys = keys.as_object().into_iter().flatten();
            keys.into_iter()
                .any(|(key, values)| restricts(operator, key, &texts(values)))
        })
    }

    /// The same statement for the principals that it names besides everybody.
    fn for_named_principals(&self) -> Option<Self> {
        let mut principal = self.value["Principal"].as_object()?.clone();
        let mut named = texts(&principal.remove("AWS")?);
        named.retain(|it| it != EVERYBODY);
        if !named.is_empty() {
            principal.insert("AWS".to_owned(), json!(named));
        }
        if principal.is_empty() {
            return None;
        }
        let mut value = self.value.clone();
        value["Principal"] = Value::Object(principal);
        Some(Self::new(value))
    }
}

const EVERYBODY: &str = "*";

/// Operators that hold only if the key is there and has one of the values. `…IfExists` and `ForAllValues:…` hold without
/// the key.
const OPERATORS: &[&str] = &[
    "stringequals",
    "stringequalsignorecase",
    "stringlike",
    "arnequals",
    "arnlike",
];

/// Condition keys that say where a call comes from, or on whose behalf.
const KEYS: &[&str] = &[
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
    "kms:calleraccount",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
];

fn restricts(operator: &str, key: &str, values: &[String]) -> bool {
    let operator = operator.to_ascii_lowercase();
    let operator = operator.strip_prefix("foranyvalue:").unwrap_or(&operator);
    let key = key.to_ascii_lowercase();
    if values.is_empty() {
        return false;
    }
    if operator == "ipaddress" && key == "aws:sourceip" {
        return values.iter().all(|range| is_narrow(range));
    }
    OPERATORS.contains(&operator)
        && KEYS.contains(&key.as_str())
        && values.iter().all(|value| is_fixed(value))
}

/// Whether a value names one account, organization, network or resource, and not any.
fn is_fixed(value: &str) -> bool {
    let is_open = |part: &str| part.is_empty() || part.contains(['*', '?', '$']);
    let parts: Vec<&str> = value.splitn(6, ':').collect();
    match parts[..] {
        // The ARN of a bucket has no account; its name has an owner.
        ["arn", _, _, _, "", resource] => !is_open(resource.split('/').next().unwrap_or_default()),
        ["arn", _, _, _, account, _] => !is_open(account),
        // The path of an organizational unit begins with its organization.
        _ => !is_open(value.split('/').next().unwrap_or_default()),
    }
}

/// Whether a range of addresses is one that AWS does not take for public: at least /8, of IPv6 /32.
fn is_narrow(range: &str) -> bool {
    let (address, bits) = range.split_once('/').unwrap_or((range, "128"));
    let least = if address.contains(':') { 32 } else { 8 };
    bits.parse().is_ok_and(|bits: u8| bits >= least)
}

/// A value or a list of values, as texts.
#[must_use]
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null | Value::Object(_) => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
    }
}

/// The members of a JSON object, in order and as they are written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a policy")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    const ACCOUNT: &str = "arn:aws:iam::111122223333:root";

    fn policy(statements: &[Value]) -> PolicyDocument {
        let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        PolicyDocument::parse(&text).unwrap()
    }

    fn allow(principal: &Value, condition: &Value) -> Value {
        let mut statement = json!({ "Effect": "Allow", "Principal": principal, "Action": "sqs:*", "Resource": "*" });
        if !condition.is_null() {
            statement["Condition"] = condition.clone();
        }
        statement
    }

    fn is_public(principal: &Value, condition: &Value) -> bool {
        policy(&[allow(principal, condition)]).statements()[0].is_public()
    }

    #[test]
    fn everybody_is_public() {
        for (principal, public) in [
            (json!("*"), true),
            (json!({ "AWS": "*" }), true),
            (json!({ "AWS": [ACCOUNT, "*"] }), true),
            (json!({ "AWS": ACCOUNT }), false),
            (json!({ "AWS": "111122223333" }), false),
            (json!({ "Service": "sns.amazonaws.com" }), false),
            (json!({ "CanonicalUser": "79a5" }), false),
        ] {
            assert_eq!(is_public(&principal, &Value::Null), public, "{principal}");
        }
        let all_but_one =
            json!({ "Effect": "Allow", "NotPrincipal": { "AWS": ACCOUNT }, "Action": "*" });
        let deny = json!({ "Effect": "Deny", "Principal": "*", "Action": "*" });
        let policy = policy(&[all_but_one, deny]);
        assert!(policy.statements()[0].is_public());
        assert!(!policy.statements()[1].is_public());
    }

    #[test]
    fn a_condition_on_the_source_restricts() {
        for condition in [
            json!({ "StringEquals": { "aws:SourceAccount": "111122223333" } }),
            json!({ "StringEquals": { "aws:SourceAccount": 111_122_223_333_u64 } }),
            json!({ "StringEquals": { "AWS:SourceOwner": "111122223333" } }),
            json!({ "StringEquals": { "aws:PrincipalOrgID": ["o-1", "o-2"] } }),
            json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": "o-1/r-1/*" } }),
            json!({ "ArnLike": { "aws:SourceArn": "arn:aws:sns:*:111122223333:*" } }),
            json!({ "ArnLike": { "aws:SourceArn": "arn:aws:s3:::logs" } }),
            json!({ "ArnEquals": { "aws:PrincipalArn": ACCOUNT } }),
            json!({ "StringEquals": { "aws:SourceVpce": "vpce-1" }, "Bool": { "aws:SecureTransport": "true" } }),
            json!({ "StringEquals": { "kms:CallerAccount": "111122223333", "kms:ViaService": "s3.eu-west-1.amazonaws.com" } }),
            json!({ "IpAddress": { "aws:SourceIp": ["198.51.100.0/24", "2001:db8::/32", "192.0.2.1"] } }),
        ] {
            assert!(!is_public(&json!("*"), &condition), "{condition}");
        }
    }

    #[test]
    fn a_condition_that_holds_for_everybody_does_not_restrict() {
        for condition in [
            json!({}),
            json!({ "Bool": { "aws:SecureTransport": "true" } }),
            json!({ "Null": { "aws:PrincipalOrgID": "false" } }),
            json!({ "StringLike": { "aws:PrincipalOrgID": "*" } }),
            json!({ "StringLike": { "aws:PrincipalOrgID": "o-*" } }),
            json!({ "StringLike": { "aws:PrincipalOrgID": ["o-1", "*"] } }),
            json!({ "StringEquals": { "aws:PrincipalOrgID": [] } }),
            json!({ "StringEquals": { "aws:SourceAccount": "${aws:PrincipalAccount}" } }),
            json!({ "StringEqualsIfExists": { "aws:SourceAccount": "111122223333" } }),
            json!({ "ForAllValues:StringEquals": { "aws:SourceAccount": "111122223333" } }),
            json!({ "StringNotEquals": { "aws:SourceAccount": "111122223333" } }),
            json!({ "ArnLike": { "aws:SourceArn": "arn:aws:sns:*:*:*" } }),
            json!({ "ArnLike": { "aws:SourceArn": "arn:aws:s3:::*" } }),
            json!({ "ArnLike": { "aws:SourceArn": "*" } }),
            json!({ "IpAddress": { "aws:SourceIp": "0.0.0.0/0" } }),
            json!({ "IpAddress": { "aws:SourceIp": ["198.51.100.0/24", "::/0"] } }),
            json!({ "NotIpAddress": { "aws:SourceIp": "198.51.100.0/24" } }),
            json!({ "StringEquals": { "lambda:FunctionUrlAuthType": "NONE" } }),
        ] {
            assert!(is_public(&json!("*"), &condition), "{condition}");
        }
    }

    #[test]
    fn the_public_is_removed_and_the_rest_keeps_its_text() {
        let text = r#"{ "Id": "x", "Statement": [
            {"Sid":"all","Effect":"Allow","Principal":"*","Action":"sqs:SendMessage"},
            { "Action" : ["sqs:*"],  "Effect":"Allow", "Principal":{"AWS":"111122223333"} },
            {"Sid":"both","Effect":"Allow","Principal":{"AWS":["*","111122223333"]},"Action":"a"}
        ], "Version": "2008-10-17" }"#;
        let private = PolicyDocument::parse(text)
            .unwrap()
            .without_public()
            .unwrap();
        assert_eq!(
            private.text().as_str(),
            r#"{"Id":"x","Statement":[{ "Action" : ["sqs:*"],  "Effect":"Allow", "Principal":{"AWS":"111122223333"} },{"Action":"a","Effect":"Allow","Principal":{"AWS":["111122223333"]},"Sid":"both"}],"Version":"2008-10-17"}"#
        );
        assert!(private.without_public().is_none());
    }

    #[test]
    fn a_single_statement_needs_no_list() {
        let text = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*"}}"#;
        let private = PolicyDocument::parse(text)
            .unwrap()
            .without_public()
            .unwrap();
        assert!(private.statements().is_empty());
        assert_eq!(private.text().as_str(), r#"{"Statement":[]}"#);
    }

    #[test]
    fn an_appended_statement_has_a_sid_of_its_own() {
        let mut document = policy(&[json!({ "Sid": "Tls" }), json!({ "Sid": "Tls2" })]);
        document.append(json!({ "Sid": "Tls" }));
        assert!(document.has_sid("Tls3"));
        assert_eq!(document.statements().len(), 3);
    }

    #[test]
    fn layout_makes_no_difference() {
        let text = |text: &str| PolicyText::new(text);
        assert_eq!(text(r#"{"a":1,"b":2}"#), text(r#"{ "b": 2, "a": 1 }"#));
        assert_ne!(text(r#"{"a":1}"#), text(r#"{"a":2}"#));
        assert_ne!(text("not json"), text("nor this"));
    }

    fn a_statement() -> impl Strategy<Value = String> {
        let effect = select(vec!["Allow", "Deny"]);
        let principal = select(vec![
            r#""Principal":"*""#,
            r#""Principal":{"AWS":"*"}"#,
            r#""Principal": {"AWS": ["*", "111122223333"]}"#,
            r#""Principal":{"AWS":"arn:aws:iam::111122223333:root"}"#,
            r#""Principal":{"Service":"sns.amazonaws.com"}"#,
            r#""NotPrincipal":{"AWS":"111122223333"}"#,
        ]);
        let condition = select(vec![
            "",
            r#", "Condition":{}"#,
            r#","Condition":{"StringEquals":{"aws:SourceAccount":"111122223333"}}"#,
            r#","Condition":{"StringLike":{"aws:PrincipalOrgID":"*"}}"#,
            r#","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::logs"}}"#,
            r#","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
        ]);
        (effect, principal, condition, "[a-z]{0,6}", "[ \n]{0,3}").prop_map(
            |(effect, principal, condition, action, space)| {
                format!(r#"{{{space}"Effect":"{effect}",{space}{principal},"Action":"s:{action}"{condition}{space}}}"#)
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_not_public_is_never_changed(statements in prop::collection::vec(a_statement(), 0..6)) {
            let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(", "));
            let document = PolicyDocument::parse(&text).unwrap();
            let texts = |document: &PolicyDocument| -> Vec<String> {
                let kept = document.statements.iter().filter(|it| !it.is_public());
                kept.map(|it| it.text.clone()).collect()
            };
            let private = document.without_public();
            prop_assert_eq!(private.is_some(), document.statements.iter().any(Statement::is_public));
            let private = private.unwrap_or_else(|| document.clone());
            prop_assert!(!private.statements.iter().any(Statement::is_public));
            let mut after = texts(&private).into_iter();
            for before in texts(&document) {
                prop_assert!(after.any(|it| it == before));
            }
            let again = private.text().document().unwrap();
            prop_assert_eq!(texts(&again), texts(&private));
        }

        #[test]
        fn any_text_is_a_policy_or_refused(text in ".*") {
            if let Ok(document) = PolicyDocument::parse(&text) {
                let _ = document.without_public();
            }
        }
    }
}
