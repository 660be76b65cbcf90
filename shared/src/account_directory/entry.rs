//! What is known about an account: one shape for writers and readers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::AccountId;

/// The field that shows an account's state on findings.
pub const STATE_FIELD: &str = "AccountState";

/// One account, as the `AccountDirectory` table holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountEntry {
    /// The table's key.
    pub account_id: AccountId,
    /// The account's name in the organization.
    pub name: String,
    /// The organizational units above it.
    pub ou_path: OuPath,
    /// All of its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The contact for security matters, if one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_contact: Option<Contact>,
    /// When this was read from the organization, in seconds since 1970.
    pub refreshed_at: i64,
    /// Its state in the organization: `ACTIVE`, `SUSPENDED`, `CLOSED`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Since when the organization does not have it, in seconds since 1970. One that it never had has
    /// an empty name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_since: Option<i64>,
    /// What earlier versions of this entry put on findings, by name, and may still be on some of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub earlier_fields: BTreeMap<String, BTreeSet<String>>,
    /// Since when its findings have to be updated, in seconds since 1970; absent if they are up to date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re_enrich_since: Option<i64>,
    /// When the last completed re-enrichment of its findings began, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re_enriched_at: Option<i64>,
    /// Grows by one with each write: a writer names the version that it has read.
    #[serde(default)]
    pub version: u64,
}

impl AccountEntry {
    /// How old the entry is; nothing for one from the future.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Duration {
        let seconds = now.as_second().saturating_sub(self.refreshed_at);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }

    /// Whether every finding that there was at `time` (seconds since 1970) shows this entry.
    #[must_use]
    pub fn shown_since(&self, time: i64) -> bool {
        self.re_enrich_since.is_none() && self.re_enriched_at.is_some_and(|at| at >= time)
    }

    /// This entry in place of `old`: what the old one put on findings is remembered in
    /// [`earlier_fields`](Self::earlier_fields), except what this one puts on them again.
    #[must_use]
    pub fn succeeding(mut self, old: &Self) -> Self {
        let mut earlier = old.earlier_fields.clone();
        let state = old.state.iter().map(|state| (STATE_FIELD, state));
        let tags = old.tags.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in tags.chain(state) {
            earlier
                .entry(name.to_owned())
                .or_default()
                .insert(value.clone());
        }
        for (name, value) in &self.tags {
            if let Some(values) = earlier.get_mut(name) {
                values.remove(value);
            }
        }
        earlier.retain(|_, values| !values.is_empty());
        self.earlier_fields = earlier;
        self
    }
}

/// An organizational unit: ids are compared, names are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OrganizationalUnit {
    /// Its id, `ou-…`.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// The organizational units above an account, from the one below the root down to its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OuPath(pub Vec<OrganizationalUnit>);

impl OuPath {
    /// The name of the account's own organizational unit, `ROOT` directly under the root.
    #[must_use]
    pub fn leaf(&self) -> &str {
        self.0.last().map_or("ROOT", |unit| &unit.name)
    }
}

/// The whole path by names: `Root/Workloads/Prod`.
impl fmt::Display for OuPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Root")?;
        self.0
            .iter()
            .try_for_each(|unit| write!(formatter, "/{}", unit.name))
    }
}

/// A contact: an alternate one, or the primary one (which has no e-mail address).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Contact {
    /// Full name.
    pub name: String,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// On one line: `Sam Lee <sam@example.com>, +1 555 0100`.
impl fmt::Display for Contact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if let Some(email) = &self.email {
            write!(formatter, " <{email}>")?;
        }
        if let Some(phone) = &self.phone {
            write!(formatter, ", {phone}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tags: &[(&str, &str)]) -> AccountEntry {
        AccountEntry {
            account_id: "111122223333".parse().unwrap(),
            name: "payments-prod".into(),
            ou_path: OuPath::default(),
            tags: tags
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            security_contact: None,
            refreshed_at: 0,
            state: None,
            gone_since: None,
            earlier_fields: BTreeMap::new(),
            re_enrich_since: None,
            re_enriched_at: None,
            version: 0,
        }
    }

    #[test]
    fn an_entry_remembers_what_the_ones_before_it_put_on_findings() {
        let first = entry(&[("team", "red"), ("gone", "x"), ("cost", "1")]);
        let second = entry(&[("team", "blue"), ("cost", "1")]).succeeding(&first);
        let third = entry(&[("team", "red"), ("cost", "1")]).succeeding(&second);
        let values = |values: &[&str]| values.iter().map(|&value| value.into()).collect();
        assert_eq!(
            second.earlier_fields,
            BTreeMap::from([
                ("gone".into(), values(&["x"])),
                ("team".into(), values(&["red"])),
            ])
        );
        assert_eq!(
            third.earlier_fields,
            BTreeMap::from([
                ("gone".into(), values(&["x"])),
                ("team".into(), values(&["blue"])),
            ])
        );
    }

    #[test]
    fn an_entry_from_before_the_newer_attributes_is_read() {
        let old: AccountEntry = serde_json::from_str(
            r#"{"AccountId":"111122223333","Name":"payments-prod","OuPath":[],"RefreshedAt":0}"#,
        )
        .unwrap();
        assert_eq!(old, entry(&[]));
    }

    fn path(names: &[&str]) -> OuPath {
        OuPath(
            names
                .iter()
                .map(|name| OrganizationalUnit {
                    id: "ou-ab12-cdefgh34".into(),
                    name: (*name).into(),
                })
                .collect(),
        )
    }

    #[test]
    fn a_path_starts_at_the_root() {
        assert_eq!(path(&[]).to_string(), "Root");
        assert_eq!(path(&[]).leaf(), "ROOT");
        assert_eq!(
            path(&["Workloads", "Prod"]).to_string(),
            "Root/Workloads/Prod"
        );
        assert_eq!(path(&["Workloads", "Prod"]).leaf(), "Prod");
    }

    #[test]
    fn a_contact_says_what_is_known() {
        let mut contact = Contact {
            name: "Sam Lee".into(),
            ..Contact::default()
        };
        assert_eq!(contact.to_string(), "Sam Lee");
        contact.phone = Some("+1 555 0100".into());
        assert_eq!(contact.to_string(), "Sam Lee, +1 555 0100");
        contact.email = Some("sam@example.com".into());
        assert_eq!(
            contact.to_string(),
            "Sam Lee <sam@example.com>, +1 555 0100"
        );
    }
}
