//! The services of an organization in the test's own process: what they refuse, what they make by themselves, and what takes
//! its time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use orgkeeper_tests::wire::Answer;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    operation::{Does, OPERATIONS, Operation},
    service::{DETECTIVE, DEVOPS_GURU, INSPECTOR, MACIE},
};

pub(super) const MANAGEMENT: &str = "999999999999";
pub(super) const ADMINISTRATOR: &str = "222222222222";
/// The function's own account.
pub(super) const OWN: &str = "111111111111";
const ROOT: &str = "r-root";
/// How long Security Hub takes to prepare something.
const A_WHILE: Duration = Duration::from_secs(40);
/// How long a service takes to register its administrator with Organizations: meanwhile it refuses other Regions.
const A_MOMENT: Duration = Duration::from_millis(15);
/// The controls of every standard, and one that no Region has.
const CONTROLS: [&str; 5] = ["CloudTrail.5", "EC2.9", "IAM.6", "S3.1", "S3.8"];
const NOWHERE: &str = "EC2.9";

/// A call that arrived.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) operation: &'static Operation,
    pub(super) parameters: Value,
}

impl Made {
    pub(super) fn changes(&self) -> bool {
        self.operation.does == Does::Change
    }
}

/// The operation and parameters of a request: the table of operations, read the other way round.
pub(super) fn made(
    (account, region, service): (&str, &str, &str),
    method: &str,
    uri: &str,
    (target, body): (&str, &Value),
) -> Option<Made> {
    let uri = uri.split_once("in-process").map_or(uri, |(_, rest)| rest);
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let parts: Vec<&str> = path.split('/').collect();
    let of = |operation: &&'static Operation| -> Option<Value> {
        if operation.service.signing_name != service || operation.method != method {
            return None;
        }
        let mut parameters = body.as_object().cloned().unwrap_or_default();
        if operation.service.target.is_some() {
            let named = target.rsplit_once('.').map(|(_, name)| name);
            return (named == Some(operation.name)).then_some(Value::Object(parameters));
        }
        let pattern: Vec<&str> = operation.path.split('/').collect();
        for (place, part) in pattern.iter().enumerate() {
            let name = part.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            match name {
                Some(name) if name.ends_with('+') => {
                    let rest = decoded(&parts.get(place..)?.join("/"));
                    parameters.insert(name.trim_end_matches('+').to_owned(), rest.into());
                    break;
                }
                Some(name) => {
                    parameters.insert(name.to_owned(), decoded(parts.get(place)?).into());
                }
                None if parts.get(place) != Some(part) => return None,
                None => {}
            }
        }
        if !operation.path.ends_with("+}") && pattern.len() != parts.len() {
            return None;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            parameters.insert(name.to_owned(), decoded(value).into());
        }
        Some(Value::Object(parameters))
    };
    let mut all = OPERATIONS.iter().copied();
    let (operation, parameters) = all.find_map(|it| Some((it, of(&it)?)))?;
    Some(Made {
        account: account.to_owned(),
        region: region.to_owned(),
        operation,
        parameters,
    })
}

#[derive(Clone, Debug, PartialEq)]
struct Graph {
    automatic: bool,
    members: BTreeSet<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Inspector {
    automatic: BTreeMap<String, bool>,
    members: BTreeSet<String>,
    on: BTreeSet<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Macie {
    automatic: bool,
    members: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Policy {
    name: String,
    policy: Value,
}

/// All of them.
#[derive(Default)]
pub(super) struct Services {
    pub(super) accounts: BTreeSet<String>,
    trusted: BTreeSet<String>,
    registered: BTreeMap<String, String>,
    /// Administrators by service and Region.
    administrators: BTreeMap<(&'static str, String), String>,
    /// When an administrator was last set, by service.
    registering: BTreeMap<&'static str, (String, Instant)>,
    detectors: BTreeMap<(String, String), String>,
    graphs: BTreeMap<String, Graph>,
    inspectors: BTreeMap<String, Inspector>,
    /// Accounts that a policy of the organization keeps out of Inspector.
    pub(super) kept_out: BTreeSet<String>,
    /// When an account is a member of Inspector, by Region.
    associated: BTreeMap<(String, String), Instant>,
    /// Accounts and Regions with Macie.
    macie_on: BTreeSet<(String, String)>,
    macies: BTreeMap<String, Macie>,
    analyzers: BTreeMap<(String, String), String>,
    stacks: BTreeSet<(String, String)>,
    /// Hubs that are on.
    pub(super) hubs: BTreeSet<(String, String)>,
    aggregator: Option<Vec<String>>,
    central: bool,
    policies: BTreeMap<String, Policy>,
    associations: BTreeMap<String, (String, Instant)>,
    standards: BTreeMap<(String, String, String), Instant>,
    /// Controls that are off, with their reasons.
    off: BTreeMap<(String, String, String, String), String>,
    numbers: u32,
}

fn refused(code: &'static str) -> Answer {
    Answer::error(400, code)
}

fn ok() -> Answer {
    Answer::ok(json!({}))
}

impl Services {
    /// What there is, without times: two clouds that were kept alike are equal.
    pub(super) fn end(&self) -> Value {
        let policy_names: BTreeMap<&String, &String> = self
            .policies
            .iter()
            .map(|(id, it)| (id, &it.name))
            .collect();
        let associations: BTreeMap<&String, String> = self
            .associations
            .iter()
            .map(|(target, (policy, _))| {
                let name = policy_names.get(policy).map_or(policy, |name| *name);
                (target, name.clone())
            })
            .collect();
        json!([
            self.trusted,
            self.registered,
            format!("{:?}", self.administrators),
            format!("{:?}", self.detectors),
            format!("{:?}", self.graphs),
            format!("{:?}", self.inspectors),
            format!("{:?} {:?}", self.macie_on, self.macies),
            format!("{:?} {:?}", self.analyzers, self.stacks),
            format!("{:?} {}", self.aggregator, self.central),
            self.policies
                .values()
                .map(|it| (&it.name, &it.policy))
                .collect::<BTreeMap<_, _>>(),
            associations,
            self.standards.keys().collect::<Vec<_>>(),
            format!("{:?}", self.off),
        ])
    }

    pub(super) fn policy_names(&self) -> Vec<&str> {
        self.policies.values().map(|it| it.name.as_str()).collect()
    }

    /// Whether a service covers every account in a Region.
    pub(super) fn covers_all(&self, region: &str) -> [bool; 4] {
        let others: BTreeSet<String> = self
            .accounts
            .iter()
            .filter(|id| *id != ADMINISTRATOR)
            .cloned()
            .collect();
        let here = (ADMINISTRATOR.to_owned(), region.to_owned());
        [
            self.detectors.get(&here).is_some_and(|it| it == "ALL"),
            self.graphs
                .get(region)
                .is_some_and(|it| it.automatic && it.members == others),
            self.inspectors
                .get(region)
                .is_some_and(|it| it.members == others && it.on == self.accounts),
            self.macies
                .get(region)
                .is_some_and(|it| it.automatic && it.members == others),
        ]
    }

    /// The control is switched by hand.
    pub(super) fn switch(
        &mut self,
        (account, region): (&str, &str),
        standard: &str,
        control: &str,
        on: bool,
    ) {
        let key = (
            account.to_owned(),
            region.to_owned(),
            standard.to_owned(),
            control.to_owned(),
        );
        if on {
            self.off.remove(&key);
        } else {
            self.off.insert(key, "by hand".to_owned());
        }
    }

    pub(super) fn is_off(
        &self,
        (account, region): (&str, &str),
        standard: &str,
        control: &str,
    ) -> bool {
        let key = (
            account.to_owned(),
            region.to_owned(),
            standard.to_owned(),
            control.to_owned(),
        );
        self.off.contains_key(&key)
    }

    /// Somebody ends an account's membership.
    pub(super) fn leave_macie(&mut self, region: &str, account: &str) {
        let macie = self.macies.get_mut(region);
        assert!(macie.is_some_and(|macie| macie.members.remove(account)));
    }

    /// Somebody sets what GuardDuty does by itself.
    pub(super) fn set_automatic(&mut self, region: &str, to: &str) {
        let here = (ADMINISTRATOR.to_owned(), region.to_owned());
        self.detectors.insert(here, to.to_owned());
    }

    pub(super) fn answer(&mut self, made: &Made) -> Answer {
        let region = made.region.clone();
        if !made.operation.service.is_listed_in(&region) {
            return Answer::no_host();
        }
        match made.operation.service.name {
            "organizations" => self.organizations(made),
            "guardduty" => self.guardduty(made, region),
            "detective" => self.detective(made, &region),
            "inspector2" => self.inspector(made, &region),
            "macie2" => self.macie(made, region),
            "accessanalyzer" => self.access_analyzer(made, region),
            "devops-guru" => self.devops_guru(made, region),
            "securityhub" => self.security_hub(made, region),
            other => panic!("{other}"),
        }
    }

    fn organizations(&mut self, made: &Made) -> Answer {
        let text = |name: &str| {
            made.parameters[name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        assert!(
            made.account == MANAGEMENT || made.operation.name == "DescribeOrganization",
            "{made:?}"
        );
        match made.operation.name {
            "DescribeOrganization" => {
                Answer::ok(json!({ "Organization": { "MasterAccountId": MANAGEMENT } }))
            }
            "ListRoots" => Answer::ok(json!({ "Roots": [{ "Id": ROOT }] })),
            "ListAccounts" => {
                let accounts = self
                    .accounts
                    .iter()
                    .map(|id| {
                        // Those with a 4 have come after everything.
                        let joined = if id.starts_with('4') { 1_900_000_000.5 } else { 1_500_000_000.5 };
                        json!({ "Id": id, "Email": format!("{id}@example.com"), "JoinedTimestamp": joined })
                    });
                Answer::ok(json!({ "Accounts": accounts.collect::<Vec<_>>() }))
            }
            "ListAWSServiceAccessForOrganization" => {
                let on = self
                    .trusted
                    .iter()
                    .map(|it| json!({ "ServicePrincipal": it }));
                Answer::ok(json!({ "EnabledServicePrincipals": on.collect::<Vec<_>>() }))
            }
            "EnableAWSServiceAccess" => {
                self.trusted.insert(text("ServicePrincipal"));
                ok()
            }
            "DisableAWSServiceAccess" => {
                self.trusted.remove(&text("ServicePrincipal"));
                ok()
            }
            "ListDelegatedAdministrators" => {
                let of_service = self.registered.get(&text("ServicePrincipal"));
                let list: Vec<Value> = of_service.iter().map(|id| json!({ "Id": id })).collect();
                Answer::ok(json!({ "DelegatedAdministrators": list }))
            }
            "RegisterDelegatedAdministrator" => {
                let principal = text("ServicePrincipal");
                if !self.trusted.contains(&principal) {
                    return refused("ConstraintViolationException");
                }
                if self
                    .registered
                    .insert(principal, text("AccountId"))
                    .is_some()
                {
                    return refused("AccountAlreadyRegisteredException");
                }
                ok()
            }
            "DeregisterDelegatedAdministrator" => {
                self.registered.remove(&text("ServicePrincipal"));
                ok()
            }
            other => panic!("{other}"),
        }
    }

    /// Calls about the administrator, which all services have alike.
    fn administrator(
        &mut self,
        made: &Made,
        principal: &str,
        names: (&str, &str, &str),
    ) -> Option<Answer> {
        let (list, account, parameter) = names;
        let key = (made.operation.service.name, made.region.clone());
        let name = made.operation.name;
        if !name.contains("Admin") || name.starts_with("Describe") {
            return None;
        }
        assert_eq!(made.account, MANAGEMENT, "{made:?}");
        if name.starts_with("List") {
            let list_of: Vec<Value> = self
                .administrators
                .get(&key)
                .iter()
                .map(|id| json!({ account: id }))
                .collect();
            return Some(Answer::ok(json!({ list: list_of })));
        }
        if name.starts_with("Disable") {
            self.administrators.remove(&key);
            return Some(ok());
        }
        if !self.trusted.contains(principal) {
            return Some(refused("BadRequestException"));
        }
        let wanted = made.parameters[parameter].as_str().unwrap().to_owned();
        if self
            .administrators
            .get(&key)
            .is_some_and(|is| *is != wanted)
        {
            return Some(refused("BadRequestException"));
        }
        let now = (made.region.clone(), Instant::now());
        if let Some((region, since)) = self.registering.insert(key.0, now)
            && region != made.region
            && since.elapsed() < A_MOMENT
        {
            return Some(refused("BadRequestException"));
        }
        self.administrators.insert(key, wanted);
        Some(ok())
    }

    fn is_administrator(&self, made: &Made) -> bool {
        let key = (made.operation.service.name, made.region.clone());
        self.administrators
            .get(&key)
            .is_some_and(|is| *is == made.account)
    }

    fn guardduty(&mut self, made: &Made, region: String) -> Answer {
        if let Some(answer) = self.administrator(
            made,
            "guardduty.amazonaws.com",
            ("adminAccounts", "adminAccountId", "adminAccountId"),
        ) {
            if made.operation.name.starts_with("Enable") {
                self.detectors
                    .entry((ADMINISTRATOR.to_owned(), region))
                    .or_insert_with(|| "NONE".to_owned());
            }
            return answer;
        }
        let key = (made.account.clone(), region);
        match made.operation.name {
            "ListDetectors" => {
                let list: Vec<&str> = self.detectors.get(&key).iter().map(|_| "d").collect();
                Answer::ok(json!({ "detectorIds": list }))
            }
            _ if !self.is_administrator(made) => refused("BadRequestException"),
            "DescribeOrganizationConfiguration" => {
                Answer::ok(json!({ "autoEnableOrganizationMembers": self.detectors[&key] }))
            }
            "ListMembers" => {
                assert_eq!(self.detectors[&key], "ALL");
                let members = self.accounts.iter().filter(|id| *id != ADMINISTRATOR);
                let members =
                    members.map(|id| json!({ "accountId": id, "relationshipStatus": "Enabled" }));
                Answer::ok(json!({ "members": members.collect::<Vec<_>>() }))
            }
            "UpdateOrganizationConfiguration" => {
                assert_eq!(made.parameters["detectorId"], "d");
                let to = made.parameters["autoEnableOrganizationMembers"]
                    .as_str()
                    .unwrap();
                self.detectors.insert(key, to.to_owned());
                ok()
            }
            other => panic!("{other}"),
        }
    }

    fn detective(&mut self, made: &Made, region: &str) -> Answer {
        if let Some(answer) = self.administrator(
            made,
            "detective.amazonaws.com",
            ("Administrators", "AccountId", "AccountId"),
        ) {
            if made.operation.name.starts_with("Enable") {
                self.graphs.entry(region.to_owned()).or_insert(Graph {
                    automatic: false,
                    members: BTreeSet::new(),
                });
            }
            if made.operation.name.starts_with("Disable") {
                self.graphs.remove(region);
            }
            return answer;
        }
        if !self.is_administrator(made) {
            return refused("ValidationException");
        }
        let accounts = self.accounts.clone();
        let Some(graph) = self.graphs.get_mut(region) else {
            return Answer::ok(json!({ "GraphList": [] }));
        };
        match made.operation.name {
            "ListGraphs" => {
                Answer::ok(json!({ "GraphList": [{ "Arn": format!("graph-{region}") }] }))
            }
            "DescribeOrganizationConfiguration" => {
                Answer::ok(json!({ "AutoEnable": graph.automatic }))
            }
            "UpdateOrganizationConfiguration" => {
                graph.automatic = made.parameters["AutoEnable"].as_bool().unwrap();
                ok()
            }
            "ListMembers" => {
                let members = graph
                    .members
                    .iter()
                    .map(|id| json!({ "AccountId": id, "Status": "ENABLED" }));
                Answer::ok(json!({ "MemberDetails": members.collect::<Vec<_>>() }))
            }
            "CreateMembers" => {
                let members = made.parameters["Accounts"].as_array().unwrap();
                assert!((1..=50).contains(&members.len()), "{}", members.len());
                for member in members {
                    let id = member["AccountId"].as_str().unwrap();
                    assert_eq!(member["EmailAddress"], format!("{id}@example.com"));
                    assert!(accounts.contains(id));
                    graph.members.insert(id.to_owned());
                }
                Answer::ok(json!({ "Members": [], "UnprocessedAccounts": [] }))
            }
            other => panic!("{other}"),
        }
    }

    fn inspector(&mut self, made: &Made, region: &str) -> Answer {
        let names = (
            "delegatedAdminAccounts",
            "accountId",
            "delegatedAdminAccountId",
        );
        if let Some(answer) = self.administrator(made, "inspector2.amazonaws.com", names) {
            return answer;
        }
        if !self.is_administrator(made) {
            return Answer::error(403, "AccessDeniedException");
        }
        let inspector = self.inspectors.entry(region.to_owned()).or_default();
        let associated = &mut self.associated;
        let key = |id: &str| (region.to_owned(), id.to_owned());
        let is_member = |associated: &BTreeMap<(String, String), Instant>, id: &str| {
            associated
                .get(&key(id))
                .is_some_and(|ready| *ready <= Instant::now())
        };
        match made.operation.name {
            "DescribeOrganizationConfiguration" => {
                Answer::ok(json!({ "autoEnable": inspector.automatic }))
            }
            "UpdateOrganizationConfiguration" => {
                inspector.automatic =
                    serde_json::from_value(made.parameters["autoEnable"].clone()).unwrap();
                ok()
            }
            "ListMembers" => {
                let members = inspector.members.iter().map(|id| {
                    let status = if is_member(associated, id) {
                        "ENABLED"
                    } else {
                        "CREATED"
                    };
                    json!({ "accountId": id, "relationshipStatus": status })
                });
                Answer::ok(json!({ "members": members.collect::<Vec<_>>() }))
            }
            "AssociateMember" => {
                let id = made.parameters["accountId"].as_str().unwrap();
                inspector.members.insert(id.to_owned());
                associated.insert(key(id), Instant::now() + A_WHILE);
                ok()
            }
            "BatchGetAccountStatus" => {
                let asked = made.parameters["accountIds"].as_array().unwrap();
                assert!(asked.len() <= 100);
                let accounts = asked.iter().map(|id| {
                    let on = inspector.on.contains(id.as_str().unwrap());
                    let status = json!({ "status": if on { "ENABLED" } else { "DISABLED" } });
                    json!({ "accountId": id, "resourceState": { "ec2": status, "ecr": status, "lambda": status } })
                });
                Answer::ok(
                    json!({ "accounts": accounts.collect::<Vec<_>>(), "failedAccounts": [] }),
                )
            }
            "Enable" => {
                let mut failed = Vec::new();
                for id in made.parameters["accountIds"].as_array().unwrap() {
                    let id = id.as_str().unwrap();
                    if self.kept_out.contains(id) {
                        let code = "BLOCKED_BY_ORGANIZATION_POLICY";
                        failed.push(json!({ "accountId": id, "errorCode": code }));
                    } else if id == ADMINISTRATOR || is_member(associated, id) {
                        inspector.on.insert(id.to_owned());
                    } else {
                        failed.push(json!({ "accountId": id, "errorCode": "ACCESS_DENIED" }));
                    }
                }
                Answer::ok(json!({ "accounts": [], "failedAccounts": failed }))
            }
            other => panic!("{other}"),
        }
    }

    fn macie(&mut self, made: &Made, region: String) -> Answer {
        let key = (made.account.clone(), region.clone());
        if let Some(answer) = self.administrator(
            made,
            "macie.amazonaws.com",
            ("adminAccounts", "accountId", "adminAccountId"),
        ) {
            if made.operation.name.starts_with("Enable") {
                self.macie_on.insert((ADMINISTRATOR.to_owned(), region));
            }
            return answer;
        }
        if made.operation.name == "GetMacieSession" {
            return if self.macie_on.contains(&key) {
                Answer::ok(json!({ "status": "ENABLED" }))
            } else {
                Answer::ok(json!({ "message": "Macie is not enabled" }))
                    .with_header("x-amzn-errortype", "AccessDeniedException")
                    .with_status(403)
            };
        }
        if !self.is_administrator(made) {
            return Answer::error(403, "AccessDeniedException");
        }
        let macie = self.macies.entry(region).or_default();
        match made.operation.name {
            "DescribeOrganizationConfiguration" => {
                Answer::ok(json!({ "autoEnable": macie.automatic }))
            }
            "UpdateOrganizationConfiguration" => {
                macie.automatic = made.parameters["autoEnable"].as_bool().unwrap();
                ok()
            }
            "ListMembers" => {
                let members = macie
                    .members
                    .iter()
                    .map(|id| json!({ "accountId": id, "relationshipStatus": "Enabled" }));
                Answer::ok(json!({ "members": members.collect::<Vec<_>>() }))
            }
            "CreateMember" => {
                let account = &made.parameters["account"];
                let id = account["accountId"].as_str().unwrap();
                assert_eq!(account["email"], format!("{id}@example.com"));
                macie.members.insert(id.to_owned());
                ok()
            }
            other => panic!("{other}"),
        }
    }

    fn access_analyzer(&mut self, made: &Made, region: String) -> Answer {
        let key = (made.account.clone(), region);
        match made.operation.name {
            "ListAnalyzers" => {
                assert_eq!(made.parameters["type"], "ORGANIZATION");
                let list = self
                    .analyzers
                    .get(&key)
                    .map(|name| json!({ "name": name, "status": "ACTIVE" }));
                Answer::ok(json!({ "analyzers": list.into_iter().collect::<Vec<_>>() }))
            }
            "CreateAnalyzer" => {
                let is = self.registered.get("access-analyzer.amazonaws.com");
                if is != Some(&made.account) {
                    return refused("ValidationException");
                }
                let name = made.parameters["analyzerName"].as_str().unwrap();
                self.analyzers.insert(key, name.to_owned());
                ok()
            }
            "DeleteAnalyzer" => {
                self.analyzers.remove(&key);
                ok()
            }
            other => panic!("{other}"),
        }
    }

    fn devops_guru(&mut self, made: &Made, region: String) -> Answer {
        let key = (made.account.clone(), region);
        match made.operation.name {
            "GetResourceCollection" if made.parameters["ResourceCollectionType"] == "AWS_TAGS" => {
                Answer::error(404, "ResourceNotFoundException")
            }
            "GetResourceCollection" => {
                let names: Vec<&str> = self.stacks.get(&key).iter().map(|_| "*").collect();
                Answer::ok(
                    json!({ "ResourceCollection": { "CloudFormation": { "StackNames": names } } }),
                )
            }
            "UpdateResourceCollection" => {
                if made.parameters["Action"] == "ADD" {
                    self.stacks.insert(key);
                } else {
                    self.stacks.remove(&key);
                }
                ok()
            }
            other => panic!("{other}"),
        }
    }

    fn security_hub(&mut self, made: &Made, region: String) -> Answer {
        let names = ("AdminAccounts", "AccountId", "AdminAccountId");
        if let Some(answer) = self.administrator(made, "securityhub.amazonaws.com", names) {
            if made.operation.name.starts_with("Enable") {
                self.hubs.insert((ADMINISTRATOR.to_owned(), region));
            }
            return answer;
        }
        let here = (made.account.clone(), region.clone());
        if !self.hubs.contains(&here) {
            return Answer::error(401, "InvalidAccessException");
        }
        match made.operation.name {
            "GetEnabledStandards" | "BatchEnableStandards" | "BatchDisableStandards" => {
                self.standards(made, here)
            }
            "ListSecurityControlDefinitions" => {
                let controls = CONTROLS.iter().map(|id| {
                    let is_here = if *id == NOWHERE {
                        "UNAVAILABLE"
                    } else {
                        "AVAILABLE"
                    };
                    json!({ "SecurityControlId": id, "CurrentRegionAvailability": is_here })
                });
                Answer::ok(json!({ "SecurityControlDefinitions": controls.collect::<Vec<_>>() }))
            }
            "BatchGetStandardsControlAssociations" | "BatchUpdateStandardsControlAssociations" => {
                self.controls(made, &here)
            }
            _ => {
                assert!(self.is_administrator(made), "{made:?}");
                self.centrally(made, &region)
            }
        }
    }

    fn standards(&mut self, made: &Made, (account, region): (String, String)) -> Answer {
        match made.operation.name {
            "GetEnabledStandards" => {
                let mine = self
                    .standards
                    .iter()
                    .filter(|((of, at, _), _)| *of == account && *at == region);
                let list = mine.map(|((.., arn), ready)| {
                    let status = if *ready <= Instant::now() { "READY" } else { "PENDING" };
                    json!({ "StandardsArn": arn, "StandardsSubscriptionArn": format!("{arn}/subscription"), "StandardsStatus": status })
                });
                Answer::ok(json!({ "StandardsSubscriptions": list.collect::<Vec<_>>() }))
            }
            "BatchEnableStandards" => {
                for request in made.parameters["StandardsSubscriptionRequests"]
                    .as_array()
                    .unwrap()
                {
                    let arn = request["StandardsArn"].as_str().unwrap().to_owned();
                    assert!(arn.contains(&format!(":{region}:")), "{arn}");
                    // It comes on with all its controls.
                    self.off.retain(|(of, at, standard, _), _| {
                        (of, at, standard) != (&account, &region, &arn)
                    });
                    self.standards.insert(
                        (account.clone(), region.clone(), arn),
                        Instant::now() + A_WHILE,
                    );
                }
                Answer::ok(json!({ "StandardsSubscriptions": [] }))
            }
            _ => {
                for arn in made.parameters["StandardsSubscriptionArns"]
                    .as_array()
                    .unwrap()
                {
                    let arn = arn
                        .as_str()
                        .unwrap()
                        .trim_end_matches("/subscription")
                        .to_owned();
                    self.standards
                        .remove(&(account.clone(), region.clone(), arn));
                }
                Answer::ok(json!({ "StandardsSubscriptions": [] }))
            }
        }
    }

    fn controls(&mut self, made: &Made, (account, region): &(String, String)) -> Answer {
        let key = |pair: &Value| {
            let text = |name: &str| pair[name].as_str().unwrap().to_owned();
            (
                account.clone(),
                region.clone(),
                text("StandardsArn"),
                text("SecurityControlId"),
            )
        };
        let is_ready = |standards: &BTreeMap<(String, String, String), Instant>, arn: &str| {
            let ready = standards.get(&(account.clone(), region.clone(), arn.to_owned()));
            ready.is_some_and(|ready| *ready <= Instant::now())
        };
        if made.operation.name.starts_with("BatchGet") {
            let asked = made.parameters["StandardsControlAssociationIds"]
                .as_array()
                .unwrap();
            assert!((1..=100).contains(&asked.len()));
            let details = asked.iter().map(|pair| {
                let status = if self.off.contains_key(&key(pair)) { "DISABLED" } else { "ENABLED" };
                json!({ "StandardsArn": pair["StandardsArn"], "SecurityControlId": pair["SecurityControlId"], "AssociationStatus": status })
            });
            return Answer::ok(
                json!({ "StandardsControlAssociationDetails": details.collect::<Vec<_>>() }),
            );
        }
        let updates = made.parameters["StandardsControlAssociationUpdates"]
            .as_array()
            .unwrap();
        assert!((1..=100).contains(&updates.len()));
        for update in updates {
            let key = key(update);
            assert!(
                is_ready(&self.standards, &key.2),
                "not before the standard is ready: {update}"
            );
            if update["AssociationStatus"] == "DISABLED" {
                let reason = update["UpdatedReason"].as_str().unwrap();
                self.off.insert(key, reason.to_owned());
            } else {
                self.off.remove(&key);
            }
        }
        Answer::ok(json!({ "UnprocessedAssociationUpdates": [] }))
    }

    fn centrally(&mut self, made: &Made, region: &str) -> Answer {
        let text = |name: &str| {
            made.parameters[name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        match made.operation.name {
            "ListFindingAggregators" => {
                let list: Vec<Value> = self.aggregator.iter().map(|_| json!({ "FindingAggregatorArn": "arn:aws:securityhub:x:y:finding-aggregator/a" })).collect();
                Answer::ok(json!({ "FindingAggregators": list }))
            }
            "GetFindingAggregator" => {
                assert_eq!(
                    text("FindingAggregatorArn"),
                    "arn:aws:securityhub:x:y:finding-aggregator/a"
                );
                Answer::ok(
                    json!({ "FindingAggregationRegion": region, "RegionLinkingMode": "SPECIFIED_REGIONS", "Regions": self.aggregator }),
                )
            }
            "CreateFindingAggregator" | "UpdateFindingAggregator" => {
                let regions = serde_json::from_value(made.parameters["Regions"].clone()).unwrap();
                self.aggregator = Some(regions);
                ok()
            }
            "DescribeOrganizationConfiguration" => {
                let kind = if self.central { "CENTRAL" } else { "LOCAL" };
                Answer::ok(
                    json!({ "AutoEnable": !self.central, "AutoEnableStandards": if self.central { "NONE" } else { "DEFAULT" },
                    "OrganizationConfiguration": { "ConfigurationType": kind, "Status": "ENABLED" } }),
                )
            }
            "UpdateOrganizationConfiguration" => {
                let is_right = self
                    .aggregator
                    .as_ref()
                    .is_some_and(|regions| !regions.is_empty())
                    && made.parameters["AutoEnable"] == false
                    && text("AutoEnableStandards") == "NONE";
                if !is_right {
                    return refused("InvalidInputException");
                }
                self.central = true;
                ok()
            }
            _ if !self.central => refused("InvalidInputException"),
            _ => self.policy(made),
        }
    }

    fn policy(&mut self, made: &Made) -> Answer {
        let text = |name: &str| {
            made.parameters[name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        match made.operation.name {
            "ListConfigurationPolicies" => {
                let list = self
                    .policies
                    .iter()
                    .map(|(id, it)| json!({ "Id": id, "Name": it.name }));
                Answer::ok(json!({ "ConfigurationPolicySummaries": list.collect::<Vec<_>>() }))
            }
            "GetConfigurationPolicy" => Answer::ok(
                json!({ "ConfigurationPolicy": self.policies[&text("Identifier")].policy }),
            ),
            "CreateConfigurationPolicy" => {
                let policy = Policy {
                    name: text("Name"),
                    policy: made.parameters["ConfigurationPolicy"].clone(),
                };
                if self.policies.values().any(|it| it.name == policy.name) {
                    return Answer::error(409, "ResourceConflictException");
                }
                self.numbers += 1;
                self.policies
                    .insert(format!("policy-{}", self.numbers), policy);
                ok()
            }
            "UpdateConfigurationPolicy" => {
                let policy = self.policies.get_mut(&text("Identifier")).unwrap();
                policy.policy = made.parameters["ConfigurationPolicy"].clone();
                ok()
            }
            "DeleteConfigurationPolicy" => {
                let id = text("Identifier");
                assert!(self.associations.values().all(|(policy, _)| *policy != id));
                self.policies.remove(&id);
                ok()
            }
            "ListConfigurationPolicyAssociations" => {
                assert_eq!(made.parameters["Filters"]["AssociationType"], "APPLIED");
                let list = self.associations.iter().map(|(target, (policy, ready))| {
                    let status = if *ready <= Instant::now() { "SUCCESS" } else { "PENDING" };
                    json!({ "TargetId": target, "ConfigurationPolicyId": policy, "AssociationStatus": status })
                });
                Answer::ok(
                    json!({ "ConfigurationPolicyAssociationSummaries": list.collect::<Vec<_>>() }),
                )
            }
            name => {
                let target = made.parameters["Target"]
                    .as_object()
                    .unwrap()
                    .values()
                    .next()
                    .unwrap();
                let target = target.as_str().unwrap().to_owned();
                let policy = text("ConfigurationPolicyIdentifier");
                assert!(
                    policy == "SELF_MANAGED_SECURITY_HUB" || self.policies.contains_key(&policy),
                    "{policy}"
                );
                if name == "StartConfigurationPolicyAssociation" {
                    self.associations
                        .insert(target, (policy, Instant::now() + A_WHILE));
                } else {
                    self.associations.remove(&target);
                }
                ok()
            }
        }
    }
}

/// The Regions of these that have a service of each.
pub(super) fn offered(regions: &[&'static str]) -> [Vec<&'static str>; 4] {
    let of = |service: &crate::service::Service| {
        let offered = regions.iter().copied();
        offered
            .filter(|region| service.is_listed_in(region))
            .collect()
    };
    [of(&DETECTIVE), of(&INSPECTOR), of(&MACIE), of(&DEVOPS_GURU)]
}
