//! The rules: what somebody wants otherwise than the template has it, as TOML.
//!
//! A wrong rule is refused with its line, and with it all of them: nothing is silenced by accident.
//! `events/alerter/rules.toml` has one of each.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use orgkeeper_shared::{
    alert::{AlertAccount, Severity},
    ids::AccountId,
};
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::{
    draft::{Draft, name_of},
    kinds::Kind,
    who::Who,
};

/// The roles of deployment tools: IAM changes by them are for the record. `*` stands for anything.
///
/// These two can be assumed by `CloudFormation` alone: `cdk bootstrap`'s execution role and that of
/// service-managed stack sets. Roles that people can assume as well are in [`BY_CLOUDFORMATION`].
const DEPLOYMENT_ROLES: &[&str] = &["cdk-*-cfn-exec-role-*", "stacksets-exec-*"];
/// Roles that `CloudFormation` and Control Tower deploy with, but that every administrator of the
/// management account can assume too: only what a service does with them is for the record.
/// `OrganizationAccountAccessRole` and `AWSReservedSSO_*` are people's, and in neither list.
const BY_CLOUDFORMATION: &[&str] = &[
    "AWSControlTowerExecution",
    "AWSCloudFormationStackSetExecutionRole",
];
const DEPLOYING_SERVICES: &[&str] = &["cloudformation.amazonaws.com", "controltower.amazonaws.com"];

/// What is wrong with the rules, each with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rules are refused: {}", .0.join("; "))]
pub struct RulesError(pub Vec<String>);

/// Alerts that are not told for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its line in the rules.
    pub line: usize,
    /// Why.
    pub reason: String,
    /// The last day.
    pub until: Date,
    kind: Option<Kind>,
    account: Option<AccountId>,
    unit: Option<String>,
    principal: Option<String>,
}

/// A further topic for the alerts about an account, or about those of an organizational unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub name: String,
    account: Option<AccountId>,
    unit: Option<String>,
    topics: Vec<(Severity, String)>,
}

/// The rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    severities: BTreeMap<Kind, Severity>,
    silences: Vec<Silence>,
    routes: Vec<Route>,
    /// In place of the deployment tools' roles that are known.
    deployment_roles: Option<Vec<String>>,
}

/// What the rules say of an alert.
#[derive(Debug)]
pub struct Verdict<'r> {
    /// How much it matters.
    pub severity: Severity,
    /// What silences it.
    pub silence: Option<&'r Silence>,
}

impl Rules {
    /// Reads the rules.
    ///
    /// # Errors
    /// Names everything that is wrong, with its line.
    pub fn read(text: &str) -> Result<Self, RulesError> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let problem = error.message().lines().collect::<Vec<_>>().join(" ");
            RulesError(vec![format!("line {line}: {problem}")])
        })?;
        let mut check = Check {
            text,
            problems: Vec::new(),
        };
        let rules = check.rules(document);
        if check.problems.is_empty() {
            return Ok(rules);
        }
        check.problems.sort();
        check.problems.dedup();
        let problems = check.problems.into_iter();
        Err(RulesError(
            problems
                .map(|(line, problem)| format!("line {line}: {problem}"))
                .collect(),
        ))
    }

    /// What they say of an alert about `account` at that time.
    #[must_use]
    pub fn judge(
        &self,
        draft: &Draft,
        account: Option<&AlertAccount>,
        now: Timestamp,
    ) -> Verdict<'_> {
        let deployed = draft.kind == Kind::IamChange
            && draft.who.as_ref().is_some_and(|who| self.deploys(who));
        let severity = match self.severities.get(&draft.kind) {
            _ if draft.stands => draft.severity,
            _ if deployed => Severity::Info,
            Some(severity) => *severity,
            None => draft.severity,
        };
        let silence = self
            .silences
            .iter()
            .find(|silence| silence.holds(now) && silence.covers(draft, account));
        Verdict { severity, silence }
    }

    /// The further topics, by the names of their routes, for alerts of a severity about `account`.
    #[must_use]
    pub fn topics(&self, account: Option<&AlertAccount>, severity: Severity) -> Vec<(&str, &str)> {
        let covers = |route: &Route| {
            let (id, unit) = (route.account.as_ref(), route.unit.as_deref());
            account.is_some_and(|account| is_in(account, id, unit))
        };
        let covering = self.routes.iter().filter(|route| covers(route));
        covering
            .filter_map(|Route { name, topics, .. }| {
                let (_, topic) = topics.iter().find(|(of, _)| *of == severity)?;
                Some((name.as_str(), topic.as_str()))
            })
            .collect()
    }

    /// Whether a route needs to know where an account stands.
    #[must_use]
    pub fn route_by_unit(&self) -> bool {
        self.routes.iter().any(|route| route.unit.is_some())
    }

    /// The silences that have come to their end: they have no effect.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = &Silence> {
        self.silences
            .iter()
            .filter(move |silence| !silence.holds(now))
    }

    /// Whether somebody is a deployment tool.
    fn deploys(&self, who: &Who) -> bool {
        let Some(role) = &who.role else {
            return false;
        };
        if let Some(patterns) = &self.deployment_roles {
            return patterns.iter().any(|pattern| is_role(pattern, role));
        }
        let any = |patterns: &[&str]| patterns.iter().any(|pattern| is_role(pattern, role));
        let by_a_service = who
            .service
            .as_deref()
            .is_some_and(|service| DEPLOYING_SERVICES.contains(&service));
        any(DEPLOYMENT_ROLES) || by_a_service && any(BY_CLOUDFORMATION)
    }
}

/// A pattern of a role's whole ARN, or of its name alone.
fn is_role(pattern: &str, role: &str) -> bool {
    if pattern.starts_with("arn:") {
        matches(pattern, role)
    } else {
        matches(pattern, name_of(role))
    }
}

impl Silence {
    /// The last day counts, everywhere on earth in UTC.
    fn holds(&self, now: Timestamp) -> bool {
        now.to_zoned(TimeZone::UTC).date() <= self.until
    }

    fn covers(&self, draft: &Draft, account: Option<&AlertAccount>) -> bool {
        let of_account = match (&self.account, &self.unit) {
            (None, None) => true,
            (id, unit) => {
                account.is_some_and(|account| is_in(account, id.as_ref(), unit.as_deref()))
            }
        };
        let of_principal = self.principal.as_ref().is_none_or(|pattern| {
            let who = draft.who.as_ref();
            who.is_some_and(|who| who.principals.iter().any(|arn| matches(pattern, arn)))
        });
        self.kind.is_none_or(|kind| kind == draft.kind) && of_account && of_principal
    }
}

/// Whether an account is that one, and stands in that organizational unit or below it.
fn is_in(account: &AlertAccount, id: Option<&AccountId>, unit: Option<&str>) -> bool {
    let below = |unit: &str| {
        let path = account.ou_path.as_deref();
        path.and_then(|path| path.strip_prefix(unit))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    id.is_none_or(|id| account.id.as_ref() == Some(id)) && unit.is_none_or(below)
}

/// Whether a text reads like a pattern, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, mut rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    while let Some((part, further)) = rest.split_once('*') {
        let Some(place) = text.find(part) else {
            return false;
        };
        text = &text[place + part.len()..];
        rest = further;
    }
    text.ends_with(rest)
}

fn line_of(text: &str, place: usize) -> usize {
    let before = text.as_bytes().iter().take(place);
    before.filter(|byte| **byte == b'\n').count() + 1
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

/// Looks at what TOML cannot know.
struct Check<'t> {
    text: &'t str,
    problems: Vec<(usize, String)>,
}

impl Check<'_> {
    fn line<T>(&self, value: &Spanned<T>) -> usize {
        line_of(self.text, value.span().start)
    }

    fn refuse<T>(&mut self, value: &Spanned<T>, problem: impl Into<String>) {
        self.problems.push((self.line(value), problem.into()));
    }

    /// The value as `read` has it, if there is one; a wrong one is a problem.
    fn read<R>(
        &mut self,
        value: Option<&Spanned<String>>,
        read: impl FnOnce(&str) -> Result<R, String>,
    ) -> Option<R> {
        let value = value?;
        match read(value.as_ref()) {
            Ok(read) => Some(read),
            Err(problem) => {
                self.refuse(value, problem);
                None
            }
        }
    }

    fn rules(&mut self, document: Document) -> Rules {
        let mut rules = Rules::default();
        for (kind, severity) in &document.severity {
            let kind = self.read(Some(kind), kind_of);
            let severity = self.read(Some(severity), severity_of);
            rules.severities.extend(kind.zip(severity));
        }
        for silence in &document.silence {
            rules.silences.extend(self.silence(silence));
        }
        for route in &document.route {
            let known: Vec<String> = rules
                .routes
                .iter()
                .map(|route| route.name.clone())
                .collect();
            rules.routes.extend(self.route(route, &known));
        }
        rules.deployment_roles = document.deployment_roles.map(|patterns| {
            patterns
                .iter()
                .filter_map(|pattern| self.read(Some(pattern), pattern_of))
                .collect()
        });
        rules
    }

    fn silence(&mut self, silence: &Spanned<RawSilence>) -> Option<Silence> {
        let raw = silence.as_ref();
        let given = [&raw.kind, &raw.account, &raw.ou, &raw.principal];
        if given.iter().all(|given| given.is_none()) {
            self.refuse(
                silence,
                "a silence names a kind, an account, an ou or a principal",
            );
        }
        let reason = self.needed(silence, "silence", "reason", raw.reason.as_ref(), filled);
        let until = raw.until.as_ref().and_then(|until| {
            let day = date_of(until.as_ref());
            if day.is_none() {
                self.refuse(until, "until is a day, 2026-06-30 say");
            }
            day
        });
        if raw.until.is_none() {
            self.refuse(
                silence,
                "a silence has an until, the last day on which it holds",
            );
        }
        Some(Silence {
            line: self.line(silence),
            kind: self.read(raw.kind.as_ref(), kind_of),
            account: self.read(raw.account.as_ref(), account_of),
            unit: self.read(raw.ou.as_ref(), unit_of),
            principal: self.read(raw.principal.as_ref(), pattern_of),
            reason: reason?,
            until: until?,
        })
    }

    fn route(&mut self, route: &Spanned<RawRoute>, known: &[String]) -> Option<Route> {
        let raw = route.as_ref();
        let name = self.needed(route, "route", "name", raw.name.as_ref(), |name| {
            if known.iter().any(|known| known == name) {
                return Err(format!("there is a route {name:?} already"));
            }
            filled(name)
        });
        if raw.account.is_some() == raw.ou.is_some() {
            self.refuse(route, "a route has either an account or an ou");
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
                self.refuse(route, "a route has either a topic or topics by severity");
                of(&RawTopics::default())
            }
        };
        let mut topics = Vec::new();
        for (severity, topic) in given {
            let topic = self.read(topic.as_ref(), topic_of);
            topics.extend(topic.map(|topic| (severity, topic)));
        }
        if topics.is_empty() && raw.topics.is_some() {
            self.refuse(route, "a route's topics name one at least");
        }
        Some(Route {
            account: self.read(raw.account.as_ref(), account_of),
            unit: self.read(raw.ou.as_ref(), unit_of),
            name: name?,
            topics,
        })
    }

    /// A value that has to be there.
    fn needed<T>(
        &mut self,
        of: &Spanned<T>,
        what: &str,
        name: &str,
        value: Option<&Spanned<String>>,
        read: impl FnOnce(&str) -> Result<String, String>,
    ) -> Option<String> {
        if value.is_none() {
            self.refuse(of, format!("a {what} has a {name}"));
        }
        self.read(value, read)
    }
}

fn filled(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(text.to_owned())
}

fn kind_of(text: &str) -> Result<Kind, String> {
    text.parse().map_err(|_| {
        let names: Vec<&str> = Kind::names().collect();
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

fn account_of(text: &str) -> Result<AccountId, String> {
    text.parse()
        .map_err(|problem| format!("{text:?}: {problem}"))
}

fn unit_of(text: &str) -> Result<String, String> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let mut names = path.split('/');
    if names.next() != Some("Root") || names.any(str::is_empty) {
        return Err(format!(
            "{text:?} is no path of an organizational unit, Root/Workloads say"
        ));
    }
    Ok(path.to_owned())
}

fn pattern_of(text: &str) -> Result<String, String> {
    if text.trim().chars().all(|character| character == '*') {
        return Err(format!("{text:?} is everybody: name whom it means"));
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

/// A day, be it a date of TOML's or a text.
fn date_of(value: &Value) -> Option<Date> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Datetime(date) if date.time.is_none() => date.to_string(),
        _ => return None,
    };
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::{Event, Message},
        kinds::{self, Reading},
    };

    const TOPIC: &str = "arn:aws:sns:eu-west-1:444455556666:partner";

    fn problems(text: &str) -> Vec<String> {
        Rules::read(text).unwrap_err().0
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn draft(sample: &str) -> Draft {
        let Message::Event(event) = Message::read(sample, "1", Timestamp::UNIX_EPOCH) else {
            panic!("a task");
        };
        drafted(&event)
    }

    fn drafted(event: &Event) -> Draft {
        match kinds::read(event) {
            Reading::Tell(draft) => *draft,
            Reading::Nothing => panic!("no news"),
        }
    }

    fn iam_change() -> Draft {
        draft(include_str!("../../../events/alerter/iam-change.json"))
    }

    fn account(path: &str) -> AlertAccount {
        AlertAccount {
            id: "111122223333".parse().ok(),
            name: Some("payments-dev".to_owned()),
            ou_path: (!path.is_empty()).then(|| path.to_owned()),
        }
    }

    /// Whether a silence with these lines silences the IAM change of the sample on that day.
    fn silenced(lines: &str, path: &str, day: &str) -> bool {
        let text = format!("[[silence]]\nreason = \"test\"\nuntil = 2026-06-30\n{lines}\n");
        let rules = Rules::read(&text).unwrap();
        let now = at(&format!("{day}T23:59:59Z"));
        let verdict = rules.judge(&iam_change(), Some(&account(path)), now);
        verdict.silence.is_some()
    }

    #[test]
    fn no_rules_change_nothing() {
        let rules = Rules::read("# none\n").unwrap();
        assert_eq!(rules, Rules::default());
        let draft = iam_change();
        let verdict = rules.judge(&draft, None, at("2026-03-01T00:00:00Z"));
        assert_eq!(verdict.severity, Severity::Error);
        assert!(verdict.silence.is_none());
        assert!(!rules.route_by_unit());
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
    fn everything_wrong_is_said_at_once_in_the_order_of_lines() {
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
            "line 1: \"*\" is everybody",
            "line 3: \"unheard\" is no kind",
            "line 4: a silence names a kind",
            "line 5: is empty",
            "line 6: until is a day",
            "line 7: a silence has a reason",
            "line 7: a silence has an until",
            "line 8: \"1\": an AWS account id",
            "line 9: \"Workloads\" is no path",
            "line 10: \"**\" is everybody",
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

    #[test]
    fn all_that_a_silence_names_has_to_fit() {
        let day = "2026-03-01";
        for (lines, path, wanted) in [
            ("kind = \"iam.change\"", "", true),
            ("kind = \"trail.change\"", "", false),
            ("account = \"111122223333\"", "", true),
            ("account = \"444455556666\"", "", false),
            ("ou = \"Root/Work\"", "Root/Work", true),
            ("ou = \"Root/Work/\"", "Root/Work/Dev", true),
            ("ou = \"Root/Work\"", "Root/Workloads", false),
            ("ou = \"Root\"", "Root/Work", true),
            // What is not known is not silenced.
            ("ou = \"Root\"", "", false),
            ("principal = \"arn:aws:iam::*:role/Admin\"", "", true),
            ("principal = \"*assumed-role/Admin/ana\"", "", true),
            ("principal = \"arn:aws:iam::*:role/Adm\"", "", false),
            (
                "kind = \"iam.change\"\naccount = \"444455556666\"",
                "",
                false,
            ),
            (
                "kind = \"iam.change\"\nou = \"Root\"\naccount = \"111122223333\"",
                "Root/A",
                true,
            ),
        ] {
            assert_eq!(silenced(lines, path, day), wanted, "{lines} {path}");
        }
    }

    #[test]
    fn a_silence_ends_with_its_last_day() {
        assert!(silenced("kind = \"iam.change\"", "", "2026-06-30"));
        assert!(!silenced("kind = \"iam.change\"", "", "2026-07-01"));
        let text = "[[silence]]\nkind = \"iam.change\"\nreason = \"r\"\nuntil = \"2026-06-30\"";
        let rules = Rules::read(text).unwrap();
        assert_eq!(rules.expired(at("2026-06-30T00:00:00Z")).count(), 0);
        let expired: Vec<usize> = rules
            .expired(at("2026-07-01T00:00:00Z"))
            .map(|silence| silence.line)
            .collect();
        assert_eq!(expired, [1]);
    }

    #[test]
    fn a_route_adds_its_topics() {
        let text = format!(
            "[[route]]\nname = \"a\"\nou = \"Root/Partner\"\ntopics = {{ critical = \"{TOPIC}-c\" }}\n\
             [[route]]\nname = \"b\"\naccount = \"111122223333\"\ntopic = \"{TOPIC}\"\n"
        );
        let rules = Rules::read(&text).unwrap();
        assert!(rules.route_by_unit());
        let names = |account: Option<&AlertAccount>, severity| {
            let topics = rules.topics(account, severity);
            topics.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        let below = account("Root/Partner/Dev");
        assert_eq!(names(Some(&below), Severity::Critical), ["a", "b"]);
        assert_eq!(names(Some(&below), Severity::Info), ["b"]);
        let beside = account("Root/Partner2");
        assert_eq!(names(Some(&beside), Severity::Critical), ["b"]);
        assert_eq!(names(None, Severity::Critical), [""; 0]);
    }

    #[test]
    fn a_rule_changes_how_much_a_kind_matters() {
        let rules = Rules::read(
            "[severity]\n\"iam.change\" = \"critical\"\n\"root.use\" = \"critical\"\n\
             \"cloudwatch.alarm\" = \"critical\"\n",
        )
        .unwrap();
        let severity = |sample| {
            let draft = draft(sample);
            rules.judge(&draft, None, Timestamp::UNIX_EPOCH).severity
        };
        for (sample, wanted) in [
            (
                include_str!("../../../events/alerter/iam-change.json"),
                Severity::Critical,
            ),
            (
                include_str!("../../../events/alerter/alarm.json"),
                Severity::Critical,
            ),
            // These stand as they are.
            (
                include_str!("../../../events/alerter/alarm-over.json"),
                Severity::Info,
            ),
            (
                include_str!("../../../events/alerter/iam-change-deployment.json"),
                Severity::Info,
            ),
            (
                include_str!("../../../events/alerter/root-use-by-service.json"),
                Severity::Info,
            ),
            (
                include_str!("../../../events/alerter/root-session.json"),
                Severity::Error,
            ),
        ] {
            assert_eq!(severity(sample), wanted, "{sample}");
        }
    }

    #[test]
    fn deployment_tools_are_known_by_their_roles() {
        let severity = |rules: &Rules, role: &str, service: Option<&str>| {
            let mut draft = iam_change();
            let who = draft.who.as_mut().unwrap();
            who.role = Some(format!("arn:aws:iam::111122223333:role/{role}"));
            who.service = service.map(str::to_owned);
            rules.judge(&draft, None, Timestamp::UNIX_EPOCH).severity
        };
        let cloudformation = Some("cloudformation.amazonaws.com");
        let known = Rules::default();
        for (role, service, wanted) in [
            (
                "cdk-hnb659fds-cfn-exec-role-111122223333-eu-west-1",
                None,
                Severity::Info,
            ),
            ("stacksets-exec-0123456789abcdef", None, Severity::Info),
            ("AWSControlTowerExecution", cloudformation, Severity::Info),
            ("AWSControlTowerExecution", None, Severity::Error),
            (
                "AWSControlTowerExecution",
                Some("s3.amazonaws.com"),
                Severity::Error,
            ),
            ("cdk-tool", None, Severity::Error),
            (
                "OrganizationAccountAccessRole",
                cloudformation,
                Severity::Error,
            ),
            (
                "aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0",
                None,
                Severity::Error,
            ),
        ] {
            assert_eq!(
                severity(&known, role, service),
                wanted,
                "{role} {service:?}"
            );
        }
        let own = "deployment-roles = [\"ci-*\", \"arn:aws:iam::*:role/tools/*\"]";
        let own = Rules::read(own).unwrap();
        assert_eq!(severity(&own, "path/ci-deploy", None), Severity::Info);
        assert_eq!(severity(&own, "tools/x", None), Severity::Info);
        assert_eq!(severity(&own, "stacksets-exec-1", None), Severity::Error);
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, wanted) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*c", "ac", true),
            ("a*c", "abbc", true),
            ("a*c*", "abcd", true),
            ("*b*", "abc", true),
            ("a*bc*c", "abc", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_rules_or_refused_with_a_line(text in "(?s).{0,80}") {
            if let Err(error) = Rules::read(&text) {
                prop_assert!(error.0.iter().all(|problem| problem.starts_with("line ")));
            }
        }
    }
}
