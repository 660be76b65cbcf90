//! The rules: severities of kinds, silences and routes. `events/alerter/rules.toml` has one of each.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use orgkeeper_shared::{
    alert::{AlertAccount, Severity},
    ids::AccountId,
    pattern::matches,
};

use crate::{
    actor::{Actor, ActorClass, RootAccess},
    draft::Draft,
    kind::Kind,
    severity,
    text::name_of,
};

/// The roles of deployment tools. `*` matches anything.
///
/// Only `CloudFormation` can assume these two: the execution roles of `cdk bootstrap` and of service-managed
/// stack sets. `OrganizationAccountAccessRole` and `AWSReservedSSO_*` are used by people.
const DEPLOYMENT_ROLES: &[&str] = &["cdk-*-cfn-exec-role-*", "stacksets-exec-*"];

/// The role that orgkeeper's remediator, and nobody else, assumes in member accounts (`infra/member-account.yaml`).
const OWN_ROLE: &str = "OrgkeeperRemediation";

/// The role that self-managed stack sets deploy with, but that every administrator of the management account can
/// assume too: only calls that `CloudFormation` makes with it are a deployment.
const STACK_SET_ROLE: &str = "AWSCloudFormationStackSetExecutionRole";
const CLOUDFORMATION: &str = "cloudformation.amazonaws.com";

/// Suppresses alerts until a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its line in the file.
    pub line: usize,
    /// The reason for it.
    pub reason: String,
    /// The last day.
    pub until: Date,
    pub(crate) kind: Option<&'static Kind>,
    pub(crate) account: Option<AccountId>,
    pub(crate) unit: Option<String>,
    pub(crate) principal: Option<String>,
}

/// Further topics for the alerts about an account or an organizational unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub name: String,
    pub(crate) account: Option<AccountId>,
    pub(crate) unit: Option<String>,
    pub(crate) topics: Vec<(Severity, String)>,
}

/// The rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub(crate) severities: BTreeMap<&'static Kind, Severity>,
    pub(crate) silences: Vec<Silence>,
    pub(crate) routes: Vec<Route>,
    /// Replaces the known roles of deployment tools.
    pub(crate) deployment_roles: Option<Vec<String>>,
}

/// The effect of the rules on an alert.
#[derive(Debug)]
pub struct Verdict<'r> {
    /// Its severity.
    pub severity: Severity,
    /// The silence that suppresses it.
    pub silence: Option<&'r Silence>,
}

impl Rules {
    /// The effect on an alert about `account` at that time.
    #[must_use]
    pub fn judge(
        &self,
        draft: &Draft,
        account: Option<&AlertAccount>,
        now: Timestamp,
    ) -> Verdict<'_> {
        let actor = draft.actor.as_ref().map(|actor| self.class_of(actor));
        let row = severity::decide(draft.kind.severities, draft.decisive(actor));
        let severity = match self.severities.get(draft.kind) {
            Some(severity) if !row.fixed => *severity,
            _ => row.severity,
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

    /// Whether a route names an organizational unit.
    #[must_use]
    pub fn route_by_unit(&self) -> bool {
        self.routes.iter().any(|route| route.unit.is_some())
    }

    /// The silences that have expired.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = &Silence> {
        self.silences
            .iter()
            .filter(move |silence| !silence.holds(now))
    }

    /// What kind of actor somebody is.
    #[must_use]
    pub fn class_of(&self, actor: &Actor) -> ActorClass {
        match actor.root_access {
            RootAccess::Credentials => return ActorClass::RootUser,
            RootAccess::CentralSession => return ActorClass::CentralRootSession,
            RootAccess::NotRoot | RootAccess::Service | RootAccess::IdentityProvider => {}
        }
        if actor.by_service {
            return ActorClass::AwsService;
        }
        let Some(role) = &actor.role else {
            return ActorClass::Person;
        };
        let deploys = match &self.deployment_roles {
            Some(patterns) => patterns.iter().any(|pattern| is_role(pattern, role)),
            None => DEPLOYMENT_ROLES
                .iter()
                .any(|pattern| is_role(pattern, role)),
        };
        let by_cloudformation = actor.service.as_deref() == Some(CLOUDFORMATION);
        let by_stack_set = by_cloudformation && is_role(STACK_SET_ROLE, role);
        if deploys || by_stack_set || is_role(OWN_ROLE, role) {
            return ActorClass::DeploymentTool;
        }
        ActorClass::Person
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
    /// The last day is included, in UTC.
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
            let actor = draft.actor.as_ref();
            actor.is_some_and(|actor| actor.principals.iter().any(|arn| matches(pattern, arn)))
        });
        self.kind.is_none_or(|kind| kind == draft.kind) && of_account && of_principal
    }
}

/// Whether an account has that id, and is in that organizational unit or below it.
fn is_in(account: &AlertAccount, id: Option<&AccountId>, unit: Option<&str>) -> bool {
    let below = |unit: &str| {
        let path = account.ou_path.as_deref();
        path.and_then(|path| path.strip_prefix(unit))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    id.is_none_or(|id| account.id.as_ref() == Some(id)) && unit.is_none_or(below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Event,
        kinds::{self, classifier::Classification},
    };

    const TOPIC: &str = "arn:aws:sns:eu-west-1:444455556666:partner";

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn draft(sample: &str) -> Draft {
        match kinds::classify(&Event::read(sample, "1", Timestamp::UNIX_EPOCH)) {
            Classification::Alert(draft) => *draft,
            Classification::NotReported => panic!("not reported"),
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
        let rules = Rules::parse(&text).unwrap();
        let now = at(&format!("{day}T23:59:59Z"));
        let verdict = rules.judge(&iam_change(), Some(&account(path)), now);
        verdict.silence.is_some()
    }

    #[test]
    fn no_rules_change_nothing() {
        let rules = Rules::parse("# none\n").unwrap();
        assert_eq!(rules, Rules::default());
        let draft = iam_change();
        let verdict = rules.judge(&draft, None, at("2026-03-01T00:00:00Z"));
        assert_eq!(verdict.severity, Severity::Error);
        assert!(verdict.silence.is_none());
        assert!(!rules.route_by_unit());
    }

    #[test]
    fn a_silence_has_to_match_in_everything_it_names() {
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
            // An unknown organizational unit is not silenced.
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
    fn a_silence_expires_after_its_last_day() {
        assert!(silenced("kind = \"iam.change\"", "", "2026-06-30"));
        assert!(!silenced("kind = \"iam.change\"", "", "2026-07-01"));
        let text = "[[silence]]\nkind = \"iam.change\"\nreason = \"r\"\nuntil = \"2026-06-30\"";
        let rules = Rules::parse(text).unwrap();
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
        let rules = Rules::parse(&text).unwrap();
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
    fn a_rule_changes_the_severity_of_a_kind() {
        let rules = Rules::parse(
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
            // These have a fixed severity.
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
            let actor = draft.actor.as_mut().unwrap();
            actor.role = Some(format!("arn:aws:iam::111122223333:role/{role}"));
            actor.service = service.map(str::to_owned);
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
            ("OrgkeeperRemediation", None, Severity::Info),
            (STACK_SET_ROLE, cloudformation, Severity::Info),
            (STACK_SET_ROLE, None, Severity::Error),
            (STACK_SET_ROLE, Some("s3.amazonaws.com"), Severity::Error),
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
        let own = Rules::parse(own).unwrap();
        assert_eq!(severity(&own, "path/ci-deploy", None), Severity::Info);
        assert_eq!(severity(&own, "tools/x", None), Severity::Info);
        assert_eq!(severity(&own, "stacksets-exec-1", None), Severity::Error);
    }
}
