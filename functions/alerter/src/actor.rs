//! Who made a call, in words: `userIdentity` of a call that CloudTrail recorded.

use std::net::IpAddr;

use orgkeeper_shared::pattern::matches;

use crate::{event::Event, text::name_of};

/// Who made a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// In words: `role Admin (session ana)`.
    pub description: String,
    /// The ARNs that a rule can name: the identity's own and its role's.
    pub principals: Vec<String>,
    /// The role whose session it is: its ARN, or its name where that is missing.
    pub role: Option<String>,
    /// The AWS service that made the call for this identity.
    pub service: Option<String>,
    /// Whether an AWS service made the call by itself: with a role of its own, or with none.
    pub by_service: bool,
    /// In which way it is the root user.
    pub root_access: RootAccess,
    /// The access key that the call was made with.
    pub access_key: Option<String>,
}

/// What kind of actor somebody is, as far as it decides how severe an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorClass {
    /// A person, or a program with the rights of one.
    Person,
    /// A tool that deploys what was reviewed before.
    DeploymentTool,
    /// An AWS service with a role of its own.
    AwsService,
    /// A central root session (`sts:AssumeRoot`) for one task.
    CentralRootSession,
    /// The root user of an account.
    RootUser,
}

impl ActorClass {
    /// The class in words: `by a deployment tool`.
    #[must_use]
    pub fn by(self) -> &'static str {
        match self {
            Self::Person => "by a person",
            Self::DeploymentTool => "by a deployment tool",
            Self::AwsService => "by an AWS service",
            Self::CentralRootSession => "in a central root session",
            Self::RootUser => "by the root user",
        }
    }
}

/// In which way an actor is the root user of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootAccess {
    /// It is not the root user.
    NotRoot,
    /// Somebody with the root user's password or keys.
    Credentials,
    /// A central root session (`sts:AssumeRoot`) for one task.
    CentralSession,
    /// An AWS service that acts as the root user.
    Service,
    /// Somebody whom an external identity provider signed in: recorded as root, but without root's credentials.
    IdentityProvider,
}

const IDENTITY: &str = "/detail/userIdentity";
/// The "calling service" of a person who uses the console.
const CONSOLE: &[&str] = &["signin.amazonaws.com", "console.amazonaws.com"];
/// The end of a service's name, which a call of a service can have in place of an address.
const SERVICE_DOMAIN: &str = ".amazonaws.com";
/// The "calling service" of calls that the console, or AWS itself, makes.
const INTERNAL: &str = "AWS Internal";
/// Roles that services assume and nobody else can: IAM keeps this path for them.
const SERVICE_LINKED_PATH: &str = ":role/aws-service-role/";
/// The name of a service-linked role. A record without the path needs the service beside it: names can be imitated.
const SERVICE_LINKED_NAME: &str = "AWSServiceRoleFor";
/// Control Tower's roles. Every administrator of the management account can assume them too: only calls that one of
/// these services makes with them are Control Tower's own.
const CONTROL_TOWER_ROLES: &[&str] = &["AWSControlTower*", "aws-controltower-*"];
const CONTROL_TOWER_SERVICES: &[&str] =
    &["cloudformation.amazonaws.com", "controltower.amazonaws.com"];
/// Who signed somebody in that a record calls root.
const PROVIDERS: &[&str] = &[
    "identityProvider",
    "sessionContext/webIdFederationData/federatedProvider",
    "sessionContext/sessionIssuer/identityProvider",
];

impl Actor {
    /// Who made the call that `event` is about; `None` if it does not say.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let field = |name: &str| event.value(&format!("{IDENTITY}/{name}"));
        let issuer = |name: &str| field(&format!("sessionContext/sessionIssuer/{name}"));
        let by_click = in_console(event);
        let is_root = event.is(&format!("{IDENTITY}/type"), "Root");
        let source = event
            .value("/detail/sourceIPAddress")
            .filter(|source| !is_root && source.ends_with(SERVICE_DOMAIN));
        let service = field("invokedBy").or(source).filter(|service| {
            !(CONSOLE.contains(&service.as_str()) || by_click && service == INTERNAL)
        });
        let provider = PROVIDERS.iter().find_map(|place| field(place));
        let root_access = if !is_root {
            RootAccess::NotRoot
        } else if provider.is_some() {
            RootAccess::IdentityProvider
        } else if service.is_some() || event.is("/detail/eventType", "AwsServiceEvent") {
            RootAccess::Service
        } else if event.is(&format!("{IDENTITY}/sessionContext/assumedRoot"), "true") {
            RootAccess::CentralSession
        } else {
            RootAccess::Credentials
        };
        let arn = field("arn");
        // arn:aws:sts::111122223333:assumed-role/Admin/ana
        let mut of_arn = arn.iter().flat_map(|arn| arn.split('/').skip(1));
        let (second, third) = (of_arn.next(), of_arn.next());
        let named = |name: Option<String>| name.or_else(|| field("principalId"));
        let words = match field("type").unwrap_or_default().as_str() {
            "Root" => match root_access {
                RootAccess::Service => format!(
                    "AWS service {} as the root user",
                    service.as_deref().unwrap_or("(which one is not said)")
                ),
                RootAccess::CentralSession => "a central root session (sts:AssumeRoot)".to_owned(),
                RootAccess::IdentityProvider => format!(
                    "{} (recorded as root)",
                    signed_in_by(field("userName"), provider.as_deref())
                ),
                RootAccess::Credentials | RootAccess::NotRoot => "the root user".to_owned(),
            },
            "IAMUser" => {
                let user = field("userName").or_else(|| second.map(str::to_owned));
                named(user).map_or("an IAM user".to_owned(), |user| format!("IAM user {user}"))
            }
            "AssumedRole" => {
                let role = issuer("userName").or_else(|| second.map(str::to_owned));
                session(role.as_deref(), third)
            }
            "FederatedUser" => {
                let user = field("userName").or_else(|| second.map(str::to_owned));
                format!("federated user {}", named(user).unwrap_or_default())
            }
            "AWSService" => format!("AWS service {}", service.clone().unwrap_or_default()),
            "AWSAccount" => format!(
                "AWS account {}",
                named(field("accountId")).unwrap_or_default()
            ),
            // WebIdentityUser, SAMLUser, IdentityCenterUser and later types.
            other => {
                let user = field("userName").or_else(|| field("onBehalfOf/userId"));
                match named(user)
                    .or_else(|| arn.clone())
                    .or_else(|| service.clone())
                {
                    Some(user) => format!("{other} {user}"),
                    None => other.to_owned(),
                }
            }
        };
        let words = words.trim();
        if words.is_empty() {
            return None;
        }
        let through = match &service {
            Some(service) if !words.contains(service) => format!(" through {service}"),
            _ => String::new(),
        };
        let role = issuer("arn").or_else(|| issuer("userName"));
        let role = role.or_else(|| {
            let of_a_role = arn.as_ref()?.contains(":assumed-role/");
            of_a_role.then(|| second.map(str::to_owned)).flatten()
        });
        let is_service = match field("type").as_deref() {
            Some("AWSService") => true,
            Some(_) => is_of_a_service(role.as_deref(), service.as_deref()),
            None => service.is_some(),
        };
        Some(Self {
            description: format!("{words}{through}"),
            principals: arn.iter().cloned().chain(issuer("arn")).collect(),
            role,
            service,
            by_service: is_service || root_access == RootAccess::Service,
            root_access,
            access_key: field("accessKeyId"),
        })
    }
}

/// Somebody whom a provider signed in.
fn signed_in_by(user: Option<String>, provider: Option<&str>) -> String {
    let user = user.unwrap_or_else(|| "somebody".to_owned());
    let provider = provider.unwrap_or("an external identity provider");
    format!("{user}, signed in by {provider}")
}

/// Whether a call with this role, by this service, is the service's own: nobody else can make it.
fn is_of_a_service(role: Option<&str>, service: Option<&str>) -> bool {
    let Some(role) = role else {
        return false;
    };
    let name = name_of(role);
    let is_control_tower = CONTROL_TOWER_ROLES
        .iter()
        .any(|pattern| matches(pattern, name))
        && service.is_some_and(|service| CONTROL_TOWER_SERVICES.contains(&service));
    let is_linked = service.is_some() && name.starts_with(SERVICE_LINKED_NAME);
    role.contains(SERVICE_LINKED_PATH) || is_linked || is_control_tower
}

/// Whether a person clicked: the call's credentials come from the console's session.
fn in_console(event: &Event) -> bool {
    event.is("/detail/sessionCredentialFromConsole", "true")
}

/// A role's session; one of IAM Identity Center is a person.
fn session(role: Option<&str>, session: Option<&str>) -> String {
    let of_a_person = role
        .and_then(|role| role.strip_prefix("AWSReservedSSO_"))
        .map(|rest| rest.rsplit_once('_').map_or(rest, |(set, _)| set));
    match (of_a_person, role, session) {
        (Some(set), _, Some(person)) => {
            format!("Identity Center user {person} (permission set {set})")
        }
        (_, Some(role), Some(session)) => format!("role {role} (session {session})"),
        (_, Some(role), None) => format!("role {role}"),
        (_, None, Some(session)) => format!("role session {session}"),
        (_, None, None) => "a role".to_owned(),
    }
}

/// The address that the call came from. A call of a service has its name instead.
#[must_use]
pub fn source_ip(event: &Event) -> Option<String> {
    event
        .value("/detail/sourceIPAddress")
        .filter(|address| address.parse::<IpAddr>().is_ok())
}

/// Programs, by the start of the user agent.
const TOOLS: &[(&str, &str)] = &[
    ("Mozilla/", "a browser"),
    ("signin.amazonaws.com", "a browser"),
    ("console.amazonaws.com", "the AWS console"),
    ("console.ec2.amazonaws.com", "the AWS console"),
    ("S3Console/", "the AWS console"),
    ("AWSCloudTrail", "the AWS console"),
    ("AWS Internal", "AWS itself"),
    ("aws-cli", "the AWS CLI"),
    ("[aws-cli", "the AWS CLI"),
    ("APN/1.0 HashiCorp", "Terraform"),
    ("HashiCorp Terraform", "Terraform"),
    ("Boto3", "a Python program"),
    ("aws-sdk-", "a program with an AWS SDK"),
];

/// The program that the call was made with, in words; an unknown one by the start of its name.
#[must_use]
pub fn tool(event: &Event) -> Option<String> {
    if in_console(event) {
        return Some("the AWS console".to_owned());
    }
    let agent = event.value("/detail/userAgent")?;
    let known = TOOLS.iter().find(|(start, _)| agent.starts_with(start));
    Some(match known {
        Some((_, words)) => (*words).to_owned(),
        None => agent.split([' ', '/']).next()?.chars().take(60).collect(),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn of(identity: &Value) -> Option<Actor> {
        let body = json!({ "detail": { "userIdentity": identity } }).to_string();
        Actor::of(&Event::read(&body, "", Timestamp::UNIX_EPOCH))
    }

    fn words(identity: &Value) -> String {
        of(identity).unwrap().description
    }

    #[test]
    fn every_identity_has_a_description() {
        let assumed = |role: &str| {
            json!({ "type": "AssumedRole", "principalId": "AROA:ana",
                "arn": format!("arn:aws:sts::111122223333:assumed-role/{role}/ana") })
        };
        for (identity, wanted) in [
            (assumed("Admin"), "role Admin (session ana)"),
            (
                assumed("AWSReservedSSO_Power_User_0123456789abcdef"),
                "Identity Center user ana (permission set Power_User)",
            ),
            (json!({ "type": "AssumedRole" }), "a role"),
            (
                json!({ "type": "IAMUser", "userName": "ana" }),
                "IAM user ana",
            ),
            (
                json!({ "type": "IAMUser", "principalId": "AIDA" }),
                "IAM user AIDA",
            ),
            (json!({ "type": "IAMUser" }), "an IAM user"),
            (
                json!({ "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ana",
                    "invokedBy": "cloudformation.amazonaws.com" }),
                "IAM user ana through cloudformation.amazonaws.com",
            ),
            (
                json!({ "type": "AWSService", "invokedBy": "config.amazonaws.com" }),
                "AWS service config.amazonaws.com",
            ),
            (
                json!({ "type": "AWSAccount", "accountId": "111122223333" }),
                "AWS account 111122223333",
            ),
            (
                json!({ "type": "WebIdentityUser", "userName": "repo:a" }),
                "WebIdentityUser repo:a",
            ),
            (json!({ "type": "Unknown" }), "Unknown"),
            (json!({ "invokedBy": "AWS Internal" }), "AWS Internal"),
        ] {
            assert_eq!(words(&identity), wanted, "{identity}");
        }
        assert_eq!(of(&json!({})), None);
        assert_eq!(of(&Value::Null), None);
    }

    #[test]
    fn the_ways_of_being_root_are_distinguished() {
        let root = |more: Value| {
            let mut identity = json!({ "type": "Root", "arn": "arn:aws:iam::111122223333:root" });
            identity
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            of(&identity).unwrap()
        };
        assert_eq!(root(json!({})).root_access, RootAccess::Credentials);
        let in_console = root(json!({ "invokedBy": "signin.amazonaws.com" }));
        assert_eq!(in_console.root_access, RootAccess::Credentials);
        let service = root(json!({ "invokedBy": "support.amazonaws.com" }));
        assert_eq!(service.root_access, RootAccess::Service);
        assert_eq!(
            service.description,
            "AWS service support.amazonaws.com as the root user"
        );
        for assumed in [json!("true"), json!(true)] {
            let session = root(json!({ "sessionContext": { "assumedRoot": assumed } }));
            assert_eq!(session.root_access, RootAccess::CentralSession);
        }
        assert_eq!(
            of(&json!({ "type": "IAMUser" })).unwrap().root_access,
            RootAccess::NotRoot
        );
    }

    #[test]
    fn a_session_has_its_role() {
        let role = "arn:aws:iam::111122223333:role/path/Admin";
        let actor = of(&json!({ "type": "AssumedRole",
            "arn": "arn:aws:sts::111122223333:assumed-role/Admin/ana",
            "sessionContext": { "sessionIssuer": { "arn": role, "userName": "Admin" } } }))
        .unwrap();
        assert_eq!(actor.role.as_deref(), Some(role));
        assert!(actor.principals.contains(&role.to_owned()));
        let actor = of(&json!({ "type": "AssumedRole",
            "arn": "arn:aws:sts::111122223333:assumed-role/Admin/ana" }))
        .unwrap();
        assert_eq!(actor.role.as_deref(), Some("Admin"));
    }
}
