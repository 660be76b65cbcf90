//! What AWS reports about credentials that somebody else has: whose, which, where they were found.

use crate::{
    draft::Draft,
    event::{Event, text_of},
};

/// The service of such events. Reports of abuse name credentials too.
const SERVICE: &str = "RISK";
/// How the codes of its events begin.
const CODES: &str = "AWS_RISK_";
/// Parts of other codes that name credentials.
const OTHER_CODES: &[&str] = &[
    "CREDENTIAL",
    "ACCESS_KEY",
    "KEY_EXPOSED",
    "KEY_COMPROMISED",
    "QUARANTINE",
];

/// What became of the credentials, by a part of the code. The first that is found counts.
const WORDS: &[(&str, &str)] = &[
    ("EXPOSURE_SUSPECTED", "Possibly exposed"),
    ("COMPROMISE_SUSPECTED", "Possibly compromised"),
    ("EXPOSED", "Exposed"),
    ("QUARANTINE", "Put in quarantine by AWS"),
    ("COMPROMISE", "Compromised"),
];
/// A report about the console is about no key.
const CONSOLE: &str = "CONSOLE_COMPROMISE";

/// Where the metadata names the user, the key and the place. AWS documents no list: every spelling that was seen.
const USERS: &[&str] = &["userName", "iamUserName", "iamUser", "user"];
const KEYS: &[&str] = &["publicKey", "accessKeyId", "accessKey", "keyId"];
const PLACES: &[&str] = &["exposedUrl", "exposedURL", "url", "exposedLocation"];
/// How the ids of access keys begin.
const KEY_IDS: &[&str] = &["AKIA", "ASIA"];

const KEY_TO_DO: &str = "Deactivate the access key now (IAM, the user, security credentials), then create a new one for \
    what needs it. Look in CloudTrail for what was done with it in every Region, and remove the users, keys, roles and \
    instances that it created. Then delete the key, and remove it from where it was found.";
const CONSOLE_TO_DO: &str = "Change the passwords of the root user and of everybody who signs in to this account, check \
    their MFA devices, and revoke the sessions of its roles. Look in CloudTrail for what was done in every Region.";

/// The value of the first of these names in the event's metadata, in any case.
fn metadata(event: &Event, names: &[&str]) -> Option<String> {
    let metadata = event.members("/detail/eventMetadata");
    names.iter().find_map(|name| {
        let same = |(of, _): &&(String, String)| of.eq_ignore_ascii_case(name);
        metadata.iter().find(same).map(|(_, value)| value.clone())
    })
}

/// Whether a name of the metadata has a line of its own here.
pub(super) fn is_known(name: &str) -> bool {
    let known = [USERS, KEYS, PLACES].concat();
    known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether the event reports that somebody else has credentials.
pub(super) fn is_reported(event: &Event) -> bool {
    let code = code(event);
    event.is("/detail/service", SERVICE)
        || code.starts_with(CODES)
        || (event.is("/detail/service", "ABUSE") || code.starts_with("AWS_ABUSE_"))
            && OTHER_CODES.iter().any(|part| code.contains(part))
}

/// The keys that the event names.
fn keys(event: &Event) -> Vec<String> {
    let entities = event.elements("/detail/affectedEntities").iter();
    let entities = entities.filter_map(|entity| text_of(entity.get("entityValue")));
    let of_entities =
        entities.filter(|entity| KEY_IDS.iter().any(|start| entity.starts_with(start)));
    let mut keys: Vec<String> = Vec::new();
    for key in metadata(event, KEYS).into_iter().chain(of_entities) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// The headline: `Exposed: access key AKIA… of user ana`.
pub(super) fn headline(event: &Event) -> String {
    let code = code(event);
    let words = WORDS.iter().find(|(part, _)| code.contains(part));
    let words = words.map_or("At risk", |(_, words)| words);
    if code.contains(CONSOLE) {
        return format!("{words}: the console of this account");
    }
    let of = metadata(event, USERS).map_or(String::new(), |user| format!(" of user {user}"));
    let which = match &keys(event)[..] {
        [] => format!("an access key{of}"),
        [key] => format!("access key {key}{of}"),
        [first, more @ ..] => format!("access key {first} and {} more{of}", more.len()),
    };
    format!("{words}: {which}")
}

/// The code of the event.
fn code(event: &Event) -> String {
    let code = event.value("/detail/eventTypeCode").unwrap_or_default();
    code.to_uppercase()
}

/// Adds whose key it is, which, where it was found, and what to do.
pub(super) fn describe(draft: &mut Draft, event: &Event) {
    let keys = keys(event);
    draft.detail("User", metadata(event, USERS));
    draft.detail("Access key", (!keys.is_empty()).then(|| keys.join(", ")));
    draft.detail("Found at", metadata(event, PLACES));
}

/// What to do about it.
pub(super) fn to_do(event: &Event) -> &'static str {
    if code(event).contains(CONSOLE) {
        CONSOLE_TO_DO
    } else {
        KEY_TO_DO
    }
}
