//! Who owns a resource, for alerts.

use std::collections::BTreeMap;

use orgkeeper_shared::{
    account_directory::entry::AccountEntry,
    alert::AlertAccount,
    enrichment::text::{clean, cut},
    ids::AccountId,
};

/// Characters of an owner.
const OWNER_CHARS: usize = 300;

/// What an alert says about a resource beside what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The account as the directory has it.
    pub account: AlertAccount,
    /// Who owns the resource, if that is known.
    pub owner: Option<String>,
}

/// The account as the directory has it. A name is a comfort: without it the alert has the id.
#[must_use]
pub fn named(account: &AccountId, entry: Option<&AccountEntry>) -> AlertAccount {
    AlertAccount {
        id: Some(account.clone()),
        name: entry
            .map(|entry| entry.name.clone())
            .filter(|name| !name.is_empty()),
        ou_path: entry.map(|entry| entry.ou_path.to_string()),
    }
}

/// Who owns a resource: as the first of these tags says that it has, whatever the case of its key; else the security contact
/// of its account, without a phone number.
#[must_use]
pub fn owner(
    names: &[String],
    tags: Option<&BTreeMap<String, String>>,
    entry: Option<&AccountEntry>,
) -> Option<String> {
    let tag = |name: &String| {
        let mut tags = tags?.iter();
        let (_, value) = tags.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value.clone())
    };
    let contact = || {
        let contact = entry?.security_contact.as_ref()?;
        let email = contact.email.as_deref().map(|email| format!(" <{email}>"));
        let email = email.unwrap_or_default();
        Some(format!("security contact {}{email}", contact.name))
    };
    let tags = names.iter().filter_map(tag);
    let owners = tags.map(|owner| cut(&clean(&owner), OWNER_CHARS));
    let mut owners = owners.filter(|owner| !owner.is_empty());
    owners
        .next()
        .or_else(|| contact().map(|contact| cut(&clean(&contact), OWNER_CHARS)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_names_the_owner_else_the_account_has_a_contact() {
        let entry: AccountEntry = serde_json::from_value(json!({
            "AccountId": "111122223333", "Name": "payments", "OuPath": [], "RefreshedAt": 0,
            "SecurityContact": { "Name": "Sam Lee", "Email": "sam@example.com", "Phone": "+1 555 0100" },
        }))
        .unwrap();
        let names = ["owner".to_owned(), "team".to_owned()];
        let contact = "security contact Sam Lee <sam@example.com>";
        for (tags, expected) in [
            (json!({}), contact),
            (json!({ "Owner": "anna" }), "anna"),
            (json!({ "TEAM": "shop", "OWNER": "anna\nben" }), "anna ben"),
            (json!({ "team": "shop", "owner": " " }), "shop"),
            (json!({ "stage": "prod" }), contact),
        ] {
            let tags: BTreeMap<String, String> = serde_json::from_value(tags).unwrap();
            let found = owner(&names, Some(&tags), Some(&entry));
            assert_eq!(found.as_deref(), Some(expected));
        }
        assert_eq!(owner(&names, None, None), None);
        assert_eq!(owner(&names, None, Some(&entry)).as_deref(), Some(contact));
    }
}
