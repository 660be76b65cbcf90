//! Reads the rules from TOML. One wrong rule refuses the whole file, with its line: nothing is silenced by
//! accident.

use std::collections::BTreeMap;

use orgkeeper_shared::{
    alert::Severity,
    ids::AccountId,
    rule_file::{self, Check, account_of, filled, unit_path_of},
};
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::{
    kind::Kind,
    kinds,
    rules::{Route, Rules, Silence},
};

/// Everything that is wrong with the rules, each with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rules are refused: {}", .0.join("; "))]
pub struct RulesError(pub Vec<String>);

impl Rules {
    /// The rules in this text.
    ///
    /// # Errors
    /// Names everything that is wrong, with its line.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        rule_file::parse(text, rules).map_err(RulesError)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    #[serde(default)]
    severity: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    silence: Vec<Spanned<RawSilence>>,
    #[serde(default)]
    route: Vec<Spanned<RawRoute>>,
    deployment_roles: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSilence {
    kind: Option<Spanned<String>>,
    account: Option<Spanned<String>>,
    ou: Option<Spanned<String>>,
    principal: Option<Spanned<String>>,
    reason: Option<Spanned<String>>,
    until: Option<Spanned<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    name: Option<Spanned<String>>,
    account: Option<Spanned<String>>,
    ou: Option<Spanned<String>>,
    topic: Option<Spanned<String>>,
    topics: Option<RawTopics>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTopics {
    info: Option<Spanned<String>>,
    error: Option<Spanned<String>>,
    critical: Option<Spanned<String>>,
}

fn rules(check: &mut Check, document: &Document) -> Rules {
    let mut rules = Rules::default();
    for (kind, severity) in &document.severity {
        let kind = check.read(Some(kind), kind_of);
        let severity = check.read(Some(severity), severity_of);
        rules.severities.extend(kind.zip(severity));
    }
    for silence in &document.silence {
        rules.silences.extend(self::silence(check, silence));
    }
    for route in &document.route {
        let known: Vec<String> = rules
            .routes
            .iter()
            .map(|route| route.name.clone())
            .collect();
        rules.routes.extend(self::route(check, route, &known));
    }
    rules.deployment_roles = document.deployment_roles.as_ref().map(|patterns| {
        patterns
            .iter()
            .filter_map(|pattern| check.read(Some(pattern), pattern_of))
            .collect()
    });
    rules
}

fn silence(check: &mut Check, silence: &Spanned<RawSilence>) -> Option<Silence> {
    let raw = silence.as_ref();
    let given = [&raw.kind, &raw.account, &raw.ou, &raw.principal];
    if given.iter().all(|given| given.is_none()) {
        check.refuse(
            silence,
            "a silence names a kind, an account, an ou or a principal",
        );
    }
    let reason = check.needed(silence, "a silence", "reason", raw.reason.as_ref(), filled);
    let until = check.until(silence, "a silence", raw.until.as_ref());
    Some(Silence {
        line: check.line(silence),
        kind: check.read(raw.kind.as_ref(), kind_of),
        account: check.read(raw.account.as_ref(), account_of),
        unit: check.read(raw.ou.as_ref(), unit_path_of),
        principal: check.read(raw.principal.as_ref(), pattern_of),
        reason: reason?,
        until: until?,
    })
}

fn route(check: &mut Check, route: &Spanned<RawRoute>, known: &[String]) -> Option<Route> {
    let raw = route.as_ref();
    let name = check.needed(route, "a route", "name", raw.name.as_ref(), |name| {
        if known.iter().any(|known| known == name) {
            return Err(format!("there is a route {name:?} already"));
        }
        filled(name)
    });
    if raw.account.is_some() == raw.ou.is_some() {
        check.refuse(route, "a route has either an account or an ou");
    }
    let of = |topics: &RawTopics| {
        [
            (Severity::Info, topics.info.clone()),
            (Severity::Error, topics.error.clone()),
            (Severity::Critical, topics.critical.clone()),
        ]
    };
    let given = match (&raw.topic, &raw.topics) {
        (Some(topic), None) => {
            let all = [Severity::Info, Severity::Error, Severity::Critical];
            all.map(|severity| (severity, Some(topic.clone())))
        }
        (None, Some(topics)) => of(topics),
        _ => {
            check.refuse(route, "a route has either a topic or topics by severity");
            of(&RawTopics::default())
        }
    };
    let mut topics = Vec::new();
    for (severity, topic) in given {
        let topic = check.read(topic.as_ref(), topic_of);
        topics.extend(topic.map(|topic| (severity, topic)));
    }
    if topics.is_empty() && raw.topics.is_some() {
        check.refuse(route, "a route's topics name one at least");
    }
    Some(Route {
        account: check.read(raw.account.as_ref(), account_of),
        unit: check.read(raw.ou.as_ref(), unit_path_of),
        name: name?,
        topics,
    })
}

fn kind_of(text: &str) -> Result<&'static Kind, String> {
    kinds::by_name(text).ok_or_else(|| {
        let names: Vec<&str> = kinds::all().map(|kind| kind.name).collect();
        format!("{text:?} is no kind of alert: {}", names.join(", "))
    })
}

fn severity_of(text: &str) -> Result<Severity, String> {
    match text {
        "info" => Ok(Severity::Info),
        "error" => Ok(Severity::Error),
        "critical" => Ok(Severity::Critical),
        _ => Err(format!("{text:?} is no severity: info, error, critical")),
    }
}

fn pattern_of(text: &str) -> Result<String, String> {
    if text.trim().chars().all(|character| character == '*') {
        return Err(format!(
            "{text:?} matches everybody: name the roles that it means"
        ));
    }
    Ok(text.to_owned())
}

fn topic_of(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        ["arn", _, "sns", region, account, name]
            if !region.is_empty() && account.parse::<AccountId>().is_ok() && !name.is_empty() =>
        {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "{text:?} is no topic: arn:aws:sns:<region>:<account id>:<name>"
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problems(text: &str) -> Vec<String> {
        Rules::parse(text).unwrap_err().0
    }

    #[test]
    fn a_wrong_rule_is_refused_with_its_line() {
        for (text, line, word) in [
            (
                "[severity]\n\"iam.chnage\" = \"info\"",
                2,
                "no kind of alert",
            ),
            ("[severity]\n\"iam.change\" = \"low\"", 2, "no severity"),
            ("\n[severities]\n", 2, "unknown field"),
            ("[[silence]]\nkinds = \"iam.change\"", 2, "unknown field"),
            (
                "[[silence]]\nkind = \"iam.change\"\nreason = 7",
                3,
                "invalid type",
            ),
            ("[[silence]", 1, ""),
            ("a = 1\na = 2\n", 2, "duplicate"),
        ] {
            let problems = problems(text);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(
                problems[0].starts_with(&format!("line {line}: ")),
                "{text}: {problems:?}"
            );
            assert!(problems[0].contains(word), "{problems:?}");
            assert!(!problems[0].contains('\n'), "{problems:?}");
        }
    }

    #[test]
    fn every_problem_is_named_in_the_order_of_lines() {
        let text = "\
deployment-roles = [\"*\"]
[severity]
\"unheard\" = \"info\"
[[silence]]
reason = \"\"
until = 2026-06-30T10:00:00Z
[[silence]]
account = \"1\"
ou = \"Workloads\"
principal = \"**\"
[[route]]
account = \"111122223333\"
ou = \"Root/A//B\"
topic = \"arn:aws:sqs:eu-west-1:444455556666:partner\"
[[route]]
name = \"x\"
ou = \"Root\"
[[route]]
name = \"x\"
ou = \"Root\"
[route.topics]
";
        let problems = problems(text);
        let starts = [
            "line 1: \"*\" matches everybody",
            "line 3: \"unheard\" is no kind",
            "line 4: a silence names a kind",
            "line 5: is empty",
            "line 6: until is a day",
            "line 7: a silence has a reason",
            "line 7: a silence has an until",
            "line 8: \"1\": an AWS account id",
            "line 9: \"Workloads\" is no path",
            "line 10: \"**\" matches everybody",
            "line 11: a route has a name",
            "line 11: a route has either an account or an ou",
            "line 13: \"Root/A//B\" is no path",
            "line 14: \"arn:aws:sqs",
            "line 15: a route has either a topic or topics",
            "line 18: a route's topics name one",
            "line 19: there is a route \"x\" already",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem} / {start}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_with_a_line(text in "(?s).{0,80}") {
            if let Err(error) = Rules::parse(&text) {
                prop_assert!(error.0.iter().all(|problem| problem.starts_with("line ")));
            }
        }
    }
}
