//! A made-up organization and the bucket that files of accounts are uploaded to, for the wire.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    dynamodb::DynamoDb,
    organization::{MANAGEMENT_ACCOUNT, account},
    wire::{Answer, Call},
};

/// The bucket of the files.
pub const BUCKET: &str = "orgkeeper-accounts-111111111111";
/// The instance of IAM Identity Center.
pub const INSTANCE: &str = "arn:aws:sso:::instance/ssoins-1234567890abcdef";
/// The root of the organization.
const ROOT: &str = "r-a1b2";
/// The baseline of Control Tower.
const BASELINE: &str = "arn:aws:controltower:us-east-1::baseline/17BSJV3IGJ2QSGA2";

/// The units of the example organization: id, parent's id, name.
const EXAMPLE_UNITS: [(&str, &str, &str); 9] = [
    ("ou-5by1-security", ROOT, "Security"),
    ("ou-5by1-infrastr", ROOT, "Infrastructure"),
    ("ou-5by1-workload", ROOT, "Workloads"),
    ("ou-5by1-prod0000", "ou-5by1-workload", "Prod"),
    ("ou-5by1-payments", "ou-5by1-prod0000", "Payments"),
    ("ou-5by1-ujzde8gx", "ou-5by1-workload", "Dev"),
    ("ou-5by1-test0000", "ou-5by1-workload", "Test"),
    ("ou-5by1-sandbox0", ROOT, "Sandbox"),
    ("ou-5by1-suspende", ROOT, "Suspended"),
];
/// Accounts of the example organization: id, name, e-mail address, state.
const EXAMPLE_ACCOUNTS: [(&str, &str, &str, &str); 4] = [
    (
        MANAGEMENT_ACCOUNT,
        "management",
        "master@example.com",
        "ACTIVE",
    ),
    (
        "222222222201",
        "log-archive",
        "aws+log-archive@example.com",
        "ACTIVE",
    ),
    (
        "222222222202",
        "security-tooling",
        "aws+security-tooling@example.com",
        "ACTIVE",
    ),
    (
        "222222222203",
        "old-crm",
        "aws+old-crm@example.com",
        "SUSPENDED",
    ),
];

/// The header of a file.
pub const HEADER: &str = "AccountName,SSOUserEmail,AccountEmail,SSOUserFirstName,SSOUserLastName,OrgUnit,Status,AccountId,ErrorMsg";

/// Everything that a call can look at or change.
#[derive(Debug, Default)]
pub struct World {
    /// Organizational units: id, parent's id, name.
    pub units: Vec<(String, String, String)>,
    /// Accounts, as `ListAccounts` has them.
    pub accounts: Vec<Value>,
    /// The parents of accounts; of those that are not here it is the first organizational unit below the root.
    pub parents: BTreeMap<String, String>,
    /// Assignments: account, group's or user's id, permission set's ARN.
    pub assignments: Vec<(String, String, String)>,
    /// Whether a page without accounts comes between others.
    pub empty_pages: bool,
    /// Targets of the baseline, by ARN, with their status.
    pub governed: BTreeMap<String, &'static str>,
    /// Groups: id and name.
    pub groups: Vec<(String, String)>,
    /// Users: id, name and e-mail address.
    pub users: Vec<(String, String, String)>,
    /// Who is in which group: ids of group and user.
    pub members: Vec<(String, String)>,
    /// The landing zone of Control Tower, as `GetLandingZone` has it.
    pub landing_zone: Option<Value>,
    /// Functions, as `ListFunctions` has them.
    pub functions: Vec<Value>,
    /// Permission sets: ARN and name.
    pub permission_sets: Vec<(String, String)>,
    /// Objects of the bucket: every version of each, the oldest first.
    pub objects: BTreeMap<String, Vec<Object>>,
    /// What was published: topic and normalized alert.
    pub published: Vec<(String, Value)>,
    /// Versions that there were.
    versions: usize,
}

/// A version of an object.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// Its version id.
    pub version: String,
    /// Its content.
    pub text: String,
    /// The version of the file that it has the results of.
    pub source_version: String,
    /// The place of that version among all of the file.
    pub source_sequencer: String,
    /// For what a check says: the version of the results that it was written over.
    pub results_before: String,
    /// Its content type.
    pub content_type: String,
    /// What its metadata say that is done with it.
    pub mode: String,
}

/// A made-up organization.
pub struct Vending {
    world: Mutex<World>,
    /// The tables.
    pub tables: DynamoDb,
}

impl Vending {
    /// An organization of `accounts` enrolled member accounts and `units` registered organizational
    /// units, four under each, named `Unit 0`, `Unit 1`, …
    #[must_use]
    pub fn new(accounts: usize, units: usize) -> Self {
        let units: Vec<_> = (0..units)
            .map(|n| {
                let parent = match n / 4 {
                    0 => ROOT.to_owned(),
                    above => unit(above - 1),
                };
                (unit(n), parent, format!("Unit {n}"))
            })
            .collect();
        let governed = units
            .iter()
            .map(|(id, ..)| unit_arn(id))
            .chain((0..accounts).map(|n| account_arn(&account(n))))
            .map(|arn| (arn, "SUCCEEDED"))
            .collect();
        let members = (0..accounts).map(|n| {
            member(
                &account(n),
                &format!("account-{n}"),
                &format!("aws+{n}@example.com"),
            )
        });
        let management = member(MANAGEMENT_ACCOUNT, "management", "management@example.com");
        let world = World {
            accounts: std::iter::once(management).chain(members).collect(),
            units,
            governed,
            ..World::default()
        };
        Self {
            world: Mutex::new(world),
            tables: DynamoDb::new(),
        }
    }

    /// The example organization of the local cloud, with the accounts of Control Tower's set-up in `Security`.
    #[must_use]
    pub fn example() -> Self {
        let vending = Self::new(0, 0);
        {
            let mut world = vending.look();
            for (id, parent, name) in EXAMPLE_UNITS {
                world.add_unit(id, parent, name);
            }
            world.accounts = EXAMPLE_ACCOUNTS
                .iter()
                .map(|(id, name, email, state)| {
                    let mut account = member(id, name, email);
                    account["State"] = json!(state);
                    account
                })
                .collect();
            world.landing_zone = Some(json!({
                "arn": "arn:aws:controltower:us-east-1:111111111111:landingzone/1A2B3C4D5E6F7G8H",
                "version": "3.3",
                "manifest": {
                    "governedRegions": ["us-east-1"],
                    "organizationStructure": { "security": { "name": "Security" } },
                    "centralizedLogging": { "accountId": EXAMPLE_ACCOUNTS[1].0, "enabled": true },
                    "securityRoles": { "accountId": EXAMPLE_ACCOUNTS[2].0 },
                },
            }));
            let groups = ["platform-engineers", "security-analysts"];
            world.groups = groups
                .map(|name| (format!("g-{name}"), name.to_owned()))
                .to_vec();
            let sets = ["AdministratorAccess", "DeveloperAccess", "ReadOnlyAccess"];
            world.permission_sets = sets
                .map(|name| {
                    (
                        format!("arn:aws:sso:::permissionSet/ssoins-1/ps-{name}"),
                        name.to_owned(),
                    )
                })
                .to_vec();
            world.users = vec![(
                "u-maria".to_owned(),
                "maria".to_owned(),
                "maria@example.com".to_owned(),
            )];
            world.members = vec![("g-platform-engineers".to_owned(), "u-maria".to_owned())];
        }
        vending
    }

    /// Everything, to look at or change.
    pub fn look(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a file into the bucket and gives the event that tells of it.
    pub fn upload(&self, key: &str, text: &str) -> Value {
        self.upload_as(key, text, "")
    }

    /// Puts a file into the bucket with this mode in its metadata, and gives the event that tells of it.
    pub fn upload_as(&self, key: &str, text: &str, mode: &str) -> Value {
        let object = Object {
            text: text.to_owned(),
            content_type: "text/csv".to_owned(),
            mode: mode.to_owned(),
            ..Object::default()
        };
        let version = self.look().put(key, object);
        uploaded(key, &version, text.len())
    }

    /// The results of a file, row by row, column to cell.
    #[must_use]
    pub fn results(&self, key: &str) -> Vec<BTreeMap<String, String>> {
        let world = self.look();
        let Some(object) = world.objects.get(key).and_then(|versions| versions.last()) else {
            return Vec::new();
        };
        csv::Reader::from_reader(object.text.as_bytes())
            .deserialize()
            .filter_map(Result::ok)
            .collect()
    }

    /// The answer to a call.
    pub fn answer(&self, call: &Call) -> Answer {
        if let Some(answer) = self.tables.answer(call) {
            return answer;
        }
        let mut world = self.look();
        match call.operation.as_str() {
            "GetObject" | "HeadObject" => world.get_object(call),
            "PutObject" => world.put_object(call),
            "ListAccounts" => world.list_accounts(&call.body),
            "ListRoots" => Answer::ok(json!({ "Roots": [{ "Id": ROOT, "Name": "Root" }] })),
            "ListOrganizationalUnitsForParent" => world.list_units(&call.body),
            "ListParents" => world.list_parents(&call.body),
            "ListAccountAssignmentsForPrincipal" => world.list_assignments(&call.body),
            "ListBaselines" => Answer::ok(json!({ "baselines": [
                { "arn": "arn:aws:controltower:us-east-1::baseline/LN25R72TTG6IGPTQ", "name": "IdentityCenterBaseline" },
                { "arn": BASELINE, "name": "AWSControlTowerBaseline" },
            ] })),
            "ListEnabledBaselines" => world.list_enabled_baselines(&call.body),
            "ListInstances" => Answer::ok(json!({ "Instances": [
                { "InstanceArn": INSTANCE, "IdentityStoreId": "d-1234567890" } ] })),
            "ListLandingZones" => world.list_landing_zones(),
            "GetLandingZone" => Answer::ok(json!({ "landingZone": world.landing_zone })),
            "ListFunctions" => Answer::ok(json!({ "Functions": world.functions })),
            "GetFunctionConfiguration" => world.get_function(call),
            "GetUserId" => world.get_user_id(&call.body),
            "ListGroupMembershipsForMember" => world.list_memberships(&call.body),
            "DescribeGroup" => world.describe_group(&call.body),
            "ListGroups" => world.list_groups(&call.body),
            "DescribePermissionSet" => world.describe_permission_set(&call.body),
            "ListPermissionSets" => world.list_permission_sets(&call.body),
            "Publish" => world.publish(&call.body),
            "ChangeMessageVisibilityBatch" => Answer::ok(json!({ "Successful": [], "Failed": [] })),
            _ => Answer::error(400, "UnknownOperationException"),
        }
    }
}

/// The id of the `n`th organizational unit.
#[must_use]
pub fn unit(n: usize) -> String {
    format!("ou-a1b2-{n:08}")
}

/// The ARN of an organizational unit.
#[must_use]
pub fn unit_arn(id: &str) -> String {
    format!("arn:aws:organizations::{MANAGEMENT_ACCOUNT}:ou/o-aa111/{id}")
}

/// The ARN of an account.
#[must_use]
pub fn account_arn(id: &str) -> String {
    format!("arn:aws:organizations::{MANAGEMENT_ACCOUNT}:account/o-aa111/{id}")
}

/// An active account, as `ListAccounts` has it.
#[must_use]
pub fn member(id: &str, name: &str, email: &str) -> Value {
    json!({ "Id": id, "Arn": account_arn(id), "Name": name, "Email": email, "State": "ACTIVE" })
}

/// The row of a file for the `n`th new account, in the `unit`th organizational unit.
#[must_use]
pub fn row(n: usize, unit: usize) -> String {
    format!("new-{n},ana@example.com,aws+new-{n}@example.com,Ana,Silva,Unit {unit},,,")
}

/// The event that tells of an uploaded file.
#[must_use]
pub fn uploaded(key: &str, version: &str, size: usize) -> Value {
    json!({
        "version": "0",
        "id": "2d4eba74-fd51-3966-4bfa-b013c9da8ff1",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": MANAGEMENT_ACCOUNT,
        "time": "2026-03-01T12:10:00Z",
        "region": "us-east-1",
        "resources": [format!("arn:aws:s3:::{BUCKET}")],
        "detail": {
            "version": "0",
            "bucket": { "name": BUCKET },
            "object": { "key": key, "size": size, "etag": tag(version), "version-id": version,
                "sequencer": format!("0062E99A{:0>8}", version.trim_start_matches('v')) },
            "reason": "PutObject",
        },
    })
}

fn tag(version: &str) -> String {
    format!("tag-of-{version}")
}

/// A part of a list, and the token of what follows: the place of the next entry.
fn page<'a, T>(all: &'a [T], token: &Value, size: usize) -> (&'a [T], Value) {
    let first = token
        .as_str()
        .and_then(|token| token.parse().ok())
        .unwrap_or(0);
    let end = all.len().min(first + size);
    let next = (end < all.len()).then(|| end.to_string());
    (all.get(first..end).unwrap_or_default(), json!(next))
}

impl World {
    /// A unit that is registered with Control Tower.
    pub fn add_unit(&mut self, id: &str, parent: &str, name: &str) {
        let unit = (id.to_owned(), parent.to_owned(), name.to_owned());
        self.units.push(unit);
        self.governed.insert(unit_arn(id), "SUCCEEDED");
    }

    fn put(&mut self, key: &str, object: Object) -> String {
        self.versions += 1;
        let version = format!("v{}", self.versions);
        let versions = self.objects.entry(key.to_owned()).or_default();
        versions.push(Object {
            version: version.clone(),
            ..object
        });
        version
    }

    fn get_object(&self, call: &Call) -> Answer {
        let (key, version) = object_of(call);
        let Some(versions) = self.objects.get(&key) else {
            return Answer::xml_error(404, "NoSuchKey");
        };
        let object = match version {
            Some(version) => versions.iter().find(|object| object.version == version),
            None => versions.last(),
        };
        let Some(object) = object else {
            return Answer::xml_error(404, "NoSuchVersion");
        };
        if let Some(wanted) = if_match(call)
            && wanted != tag(&object.version)
        {
            return Answer::xml_error(412, "PreconditionFailed");
        }
        let mut answer = Answer::xml(200, &object.text);
        for (name, value) in [
            ("x-amz-meta-orgkeeper-mode", &object.mode),
            ("x-amz-meta-results-before", &object.results_before),
        ] {
            if !value.is_empty() {
                answer = answer.with_header(name, value);
            }
        }
        answer
            .with_header("etag", &format!("\"{}\"", tag(&object.version)))
            .with_header("x-amz-version-id", &object.version)
            .with_header("x-amz-meta-source-version", &object.source_version)
            .with_header("x-amz-meta-source-sequencer", &object.source_sequencer)
    }

    fn put_object(&mut self, call: &Call) -> Answer {
        let (key, _) = object_of(call);
        let stands = self.objects.get(&key).and_then(|versions| versions.last());
        if let Some(wanted) = if_match(call)
            && stands.is_none_or(|stands| wanted != tag(&stands.version))
        {
            return Answer::xml_error(412, "PreconditionFailed");
        }
        if stands.is_some() && call.header("if-none-match") == "*" {
            return Answer::xml_error(412, "PreconditionFailed");
        }
        let header = |name| call.header(name).to_owned();
        let object = Object {
            version: String::new(),
            text: call.text.clone(),
            source_version: header("x-amz-meta-source-version"),
            source_sequencer: header("x-amz-meta-source-sequencer"),
            results_before: header("x-amz-meta-results-before"),
            content_type: header("content-type"),
            mode: String::new(),
        };
        let version = self.put(&key, object);
        Answer::xml(200, "").with_header("etag", &format!("\"{}\"", tag(&version)))
    }

    fn list_accounts(&self, body: &Value) -> Answer {
        let token = body["NextToken"].as_str().unwrap_or_default();
        if self.empty_pages
            && let Some(token) = token.strip_prefix("gap-")
        {
            return Answer::ok(json!({ "Accounts": [], "NextToken": token }));
        }
        let (accounts, mut next) = page(&self.accounts, &body["NextToken"], 20);
        if self.empty_pages
            && let Some(token) = next.as_str()
        {
            next = json!(format!("gap-{token}"));
        }
        Answer::ok(json!({ "Accounts": accounts, "NextToken": next }))
    }

    fn list_units(&self, body: &Value) -> Answer {
        let below: Vec<Value> = self
            .units
            .iter()
            .filter(|(_, parent, _)| body["ParentId"] == *parent)
            .map(|(id, _, name)| json!({ "Id": id, "Arn": unit_arn(id), "Name": name }))
            .collect();
        let (units, next) = page(&below, &body["NextToken"], 20);
        Answer::ok(json!({ "OrganizationalUnits": units, "NextToken": next }))
    }

    fn list_parents(&self, body: &Value) -> Answer {
        let child = body["ChildId"].as_str().unwrap_or_default();
        let parent = self.parents.get(child).cloned().unwrap_or_else(|| unit(1));
        let kind = if parent.starts_with("ou-") {
            "ORGANIZATIONAL_UNIT"
        } else {
            "ROOT"
        };
        Answer::ok(json!({ "Parents": [{ "Id": parent, "Type": kind }] }))
    }

    fn list_assignments(&self, body: &Value) -> Answer {
        let is_user = |id: &str| self.users.iter().any(|(user, ..)| user == id);
        // What a user has through its groups is listed too.
        let through_group = |id: &str| {
            let mut members = self.members.iter();
            members.any(|(group, user)| group == id && body["PrincipalId"] == *user)
        };
        let of_principal: Vec<Value> = self
            .assignments
            .iter()
            .filter(|(_, id, _)| match body["PrincipalType"].as_str() {
                Some("USER") => body["PrincipalId"] == *id && is_user(id) || through_group(id),
                _ => body["PrincipalId"] == *id && !is_user(id),
            })
            .map(|(account, id, set)| {
                let kind = if is_user(id) { "USER" } else { "GROUP" };
                json!({ "AccountId": account, "PrincipalId": id, "PrincipalType": kind,
                    "PermissionSetArn": set })
            })
            .collect();
        let (assignments, next) = page(&of_principal, &body["NextToken"], 2);
        Answer::ok(json!({ "AccountAssignments": assignments, "NextToken": next }))
    }

    fn list_enabled_baselines(&self, body: &Value) -> Answer {
        let children = body["includeChildren"] == true;
        let all: Vec<Value> = self
            .governed
            .iter()
            .filter(|(target, _)| children || target.contains(":ou/"))
            .map(|(target, status)| {
                json!({ "arn": format!("{BASELINE}/enabled"), "baselineIdentifier": BASELINE,
                    "targetIdentifier": target, "statusSummary": { "status": status } })
            })
            .collect();
        let (enabled, next) = page(&all, &body["nextToken"], 100);
        Answer::ok(json!({ "enabledBaselines": enabled, "nextToken": next }))
    }

    fn list_landing_zones(&self) -> Answer {
        let arns = self
            .landing_zone
            .iter()
            .map(|found| json!({ "arn": found["arn"] }));
        Answer::ok(json!({ "landingZones": arns.collect::<Vec<_>>() }))
    }

    fn get_function(&self, call: &Call) -> Answer {
        let mut functions = self.functions.iter();
        let found = functions.find(|function| {
            let name = function["FunctionName"].as_str().unwrap_or_default();
            call.uri.ends_with(&format!("/{name}/configuration"))
        });
        match found {
            Some(function) => Answer::ok(function.clone()),
            None => Answer::error(404, "ResourceNotFoundException"),
        }
    }

    fn get_user_id(&self, body: &Value) -> Answer {
        let unique = &body["AlternateIdentifier"]["UniqueAttribute"];
        let found = self.users.iter().find(|(_, name, email)| {
            let own = match unique["AttributePath"].as_str() {
                Some("userName") => name,
                Some("emails.value") => email,
                _ => return false,
            };
            unique["AttributeValue"] == *own
        });
        match found {
            Some((id, ..)) => {
                Answer::ok(json!({ "UserId": id, "IdentityStoreId": "d-1234567890" }))
            }
            None => Answer::error(400, "ResourceNotFoundException"),
        }
    }

    fn list_memberships(&self, body: &Value) -> Answer {
        let user = &body["MemberId"]["UserId"];
        let all: Vec<Value> = self
            .members
            .iter()
            .filter(|(_, member)| user == member)
            .map(|(group, member)| {
                json!({ "IdentityStoreId": "d-1234567890", "MembershipId": format!("{group}-{member}"),
                    "GroupId": group, "MemberId": { "UserId": member } })
            })
            .collect();
        let (memberships, next) = page(&all, &body["NextToken"], 100);
        Answer::ok(json!({ "GroupMemberships": memberships, "NextToken": next }))
    }

    fn describe_group(&self, body: &Value) -> Answer {
        match self.groups.iter().find(|(id, _)| body["GroupId"] == *id) {
            Some(group) => Answer::ok(as_group(group)),
            None => Answer::error(400, "ResourceNotFoundException"),
        }
    }

    fn list_groups(&self, body: &Value) -> Answer {
        let (groups, next) = page(&self.groups, &body["NextToken"], 100);
        let groups: Vec<Value> = groups.iter().map(as_group).collect();
        Answer::ok(json!({ "Groups": groups, "NextToken": next }))
    }

    fn describe_permission_set(&self, body: &Value) -> Answer {
        let wanted = &body["PermissionSetArn"];
        match self.permission_sets.iter().find(|(arn, _)| wanted == arn) {
            Some((arn, name)) => {
                Answer::ok(json!({ "PermissionSet": { "Name": name, "PermissionSetArn": arn } }))
            }
            None => Answer::error(400, "ResourceNotFoundException"),
        }
    }

    fn list_permission_sets(&self, body: &Value) -> Answer {
        let arns: Vec<&String> = self.permission_sets.iter().map(|(arn, _)| arn).collect();
        let (arns, next) = page(&arns, &body["NextToken"], 100);
        Answer::ok(json!({ "PermissionSets": arns, "NextToken": next }))
    }

    fn publish(&mut self, form: &Value) -> Answer {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let message: Value = serde_json::from_str(&text(&form["Message"])).unwrap_or_default();
        let alert = serde_json::from_str(&text(&message["default"])).unwrap_or_default();
        self.published.push((text(&form["TopicArn"]), alert));
        Answer::published()
    }
}

fn as_group((id, name): &(String, String)) -> Value {
    json!({ "GroupId": id, "DisplayName": name, "IdentityStoreId": "d-1234567890" })
}

/// The key of an object in a call, and the version that was asked for.
fn object_of(call: &Call) -> (String, Option<String>) {
    let Ok(url) = reqwest::Url::parse(&format!("http://s3{}", call.uri)) else {
        return Default::default();
    };
    let version = url
        .query_pairs()
        .find(|(name, _)| name == "versionId")
        .map(|(_, version)| version.into_owned());
    let path = url.path().trim_start_matches('/');
    let key = path.strip_prefix(BUCKET).unwrap_or_default();
    (decoded(key.trim_start_matches('/')), version)
}

/// A path without its `%20`s.
fn decoded(path: &str) -> String {
    let form = format!("http://x/?k={}", path.replace('+', "%2B"));
    let url = reqwest::Url::parse(&form).ok();
    url.and_then(|url| Some(url.query_pairs().next()?.1.into_owned()))
        .unwrap_or_default()
}

fn if_match(call: &Call) -> Option<&str> {
    let wanted = call.header("if-match").trim_matches('"');
    (!wanted.is_empty()).then_some(wanted)
}
