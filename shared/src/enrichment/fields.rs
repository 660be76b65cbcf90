//! The user-defined fields of an enriched finding.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    account_directory::entry::AccountEntry,
    security_hub::{FIELD_NAME_CHARS, FIELD_VALUE_CHARS, USER_DEFINED_FIELDS},
};

use super::text::{clean, cut};

/// Marks a finding as enriched; the rule leaves such findings out.
pub const ENRICHED: &str = "findingEnriched";
/// Says what did not fit; there only if something did not.
pub const NOT_SHOWN: &str = "enrichmentNotShown";
/// What the enriched finding's own fields are called. A tag of such a name goes under `tag:<name>`.
pub const RESERVED: [&str; 6] = [
    ENRICHED,
    "AccountName",
    "OU",
    "OUPath",
    "securityContact",
    NOT_SHOWN,
];

/// The fields, and the tags that are not shown in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Name to value, within every limit of Security Hub's.
    pub map: BTreeMap<String, String>,
    /// Names of our own fields and tags that did not fit, or only in part, in their order.
    pub not_shown: Vec<String>,
}

/// The fields of a finding that has `existing` ones and is about the account of `entry`.
///
/// What was there stays. Ours follow in a fixed order (the reserved names, then the tags by name)
/// as far as there is room. A tag whose name is reserved, or used by another party's field, goes
/// under `tag:<name>`.
#[must_use]
pub fn user_defined_fields(existing: &BTreeMap<String, String>, entry: &AccountEntry) -> Fields {
    let mut map: BTreeMap<String, String> = existing
        .iter()
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
        .filter_map(|(name, value)| fitting(name, value).map(|fit| (fit.name, fit.value)))
        .take(USER_DEFINED_FIELDS)
        .collect();

    let mut ours = vec![
        (ENRICHED.to_owned(), "True".to_owned()),
        ("AccountName".to_owned(), entry.name.clone()),
        ("OU".to_owned(), entry.ou_path.leaf().to_owned()),
        ("OUPath".to_owned(), entry.ou_path.to_string()),
    ];
    ours.extend(
        entry
            .security_contact
            .iter()
            .map(|contact| ("securityContact".to_owned(), contact.to_string())),
    );
    let before_tags = ours.len();
    // The names that are in use so far: another party's field or an earlier tag.
    let mut claimed = map.clone();
    for (tag, value) in &entry.tags {
        let whole = clean(tag);
        let name = cut(&whole, FIELD_NAME_CHARS);
        let value = clean(value);
        let fit = cut(&value, FIELD_VALUE_CHARS);
        let taken = claimed.get(&name).is_some_and(|there| *there != fit);
        if taken || RESERVED.contains(&name.as_str()) {
            ours.push((format!("tag:{whole}"), value));
        } else {
            claimed.insert(name, fit);
            ours.push((whole, value));
        }
    }

    let not_shown = place(&mut map.clone(), &ours);
    if !not_shown.is_empty() {
        let notice = format!("not shown or cut: {}", not_shown.join(", "));
        ours.insert(before_tags, (NOT_SHOWN.to_owned(), notice));
    }
    let mut not_shown = place(&mut map, &ours);
    not_shown.retain(|name| name != NOT_SHOWN);
    Fields { map, not_shown }
}

/// Puts the fields into the map as far as there is room; gives the names that are not shown whole.
fn place(map: &mut BTreeMap<String, String>, fields: &[(String, String)]) -> Vec<String> {
    let mut placed = BTreeSet::new();
    let mut not_shown = Vec::new();
    for (name, value) in fields {
        let whole = fitting(name, value).is_some_and(|fit| {
            let room = map.len() < USER_DEFINED_FIELDS || map.contains_key(&fit.name);
            // Two tags can have one name once they are cut: the first keeps it.
            let shown = room && placed.insert(fit.name.clone());
            if shown {
                map.insert(fit.name, fit.value);
            }
            shown && fit.whole
        });
        if !whole {
            not_shown.push(clean(name));
        }
    }
    not_shown
}

struct Fitting {
    name: String,
    value: String,
    whole: bool,
}

/// A field within the limits; `None` if its name or value is blank, which Security Hub refuses.
fn fitting(name: &str, value: &str) -> Option<Fitting> {
    let (clean_name, clean_value) = (clean(name), clean(value));
    if clean_name.is_empty() || clean_value.is_empty() {
        return None;
    }
    let fit = Fitting {
        name: cut(&clean_name, FIELD_NAME_CHARS),
        value: cut(&clean_value, FIELD_VALUE_CHARS),
        whole: true,
    };
    let whole = fit.name == clean_name && fit.value == clean_value;
    Some(Fitting { whole, ..fit })
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::account_directory::entry::{Contact, OrganizationalUnit, OuPath};
    use proptest::{collection::btree_map, option, prelude::*, sample::select};

    use super::*;

    pub(crate) fn entry(tags: &[(&str, &str)]) -> AccountEntry {
        AccountEntry {
            account_id: "111122223333".parse().unwrap(),
            name: "payments-prod".into(),
            ou_path: path(&["Workloads", "Prod"]),
            tags: tags
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            security_contact: Some(Contact {
                name: "Sam Lee".into(),
                email: Some("sam@example.com".into()),
                phone: Some("+1 555 0100".into()),
            }),
            refreshed_at: 0,
            gone_since: None,
            version: 0,
        }
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

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn the_account_is_named_and_existing_fields_are_kept() {
        let fields = user_defined_fields(
            &map(&[("ticket", "SEC-1")]),
            &entry(&[("Environment", "PROD"), ("team", "payments")]),
        );
        assert_eq!(
            fields.map,
            map(&[
                ("AccountName", "payments-prod"),
                ("Environment", "PROD"),
                ("OU", "Prod"),
                ("OUPath", "Root/Workloads/Prod"),
                ("findingEnriched", "True"),
                ("securityContact", "Sam Lee <sam@example.com>, +1 555 0100"),
                ("team", "payments"),
                ("ticket", "SEC-1"),
            ])
        );
        assert_eq!(fields.not_shown, [""; 0]);
    }

    #[test]
    fn an_account_directly_under_the_root_without_a_contact() {
        let mut entry = entry(&[]);
        entry.ou_path = path(&[]);
        entry.security_contact = None;
        let fields = user_defined_fields(&BTreeMap::new(), &entry);
        assert_eq!(
            fields.map,
            map(&[
                ("AccountName", "payments-prod"),
                ("OU", "ROOT"),
                ("OUPath", "Root"),
                ("findingEnriched", "True"),
            ])
        );
    }

    #[test]
    fn a_tag_never_replaces_another_partys_field() {
        let entry = entry(&[("OU", "x"), ("findingEnriched", "False"), ("team", "new")]);
        let first = user_defined_fields(&map(&[("team", "theirs")]), &entry);
        assert_eq!(first.map["OU"], "Prod");
        assert_eq!(first.map["tag:OU"], "x");
        assert_eq!(first.map["findingEnriched"], "True");
        assert_eq!(first.map["tag:findingEnriched"], "False");
        assert_eq!(first.map["team"], "theirs");
        assert_eq!(first.map["tag:team"], "new");
        assert_eq!(user_defined_fields(&first.map, &entry), first);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let names: Vec<String> = (0..60).map(|n| format!("tag{n:02}")).collect();
        let tags: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
        let fields = user_defined_fields(&map(&[("ticket", "SEC-1")]), &entry(&tags));
        assert_eq!(fields.map.len(), 50);
        assert_eq!(fields.map["ticket"], "SEC-1");
        assert!(fields.map.contains_key("tag42"));
        assert!(!fields.map.contains_key("tag43"));
        assert_eq!(fields.not_shown.first().map(String::as_str), Some("tag43"));
        assert_eq!(fields.not_shown.len(), 17);
        assert!(fields.map[NOT_SHOWN].contains("tag59"), "{fields:?}");
    }

    #[test]
    fn an_empty_tag_is_reported_as_not_shown() {
        let fields = user_defined_fields(&BTreeMap::new(), &entry(&[("flag", "")]));
        assert_eq!(fields.not_shown, ["flag"]);
        assert_eq!(fields.map[NOT_SHOWN], "not shown or cut: flag");
    }

    #[test]
    fn fifty_fields_of_others_leave_no_room() {
        let names: Vec<String> = (0..50).map(|n| format!("theirs{n}")).collect();
        let existing: BTreeMap<_, _> = names.iter().map(|n| (n.clone(), "v".into())).collect();
        let fields = user_defined_fields(&existing, &entry(&[]));
        assert_eq!(fields.map, existing);
        assert_eq!(
            fields.not_shown,
            [
                "findingEnriched",
                "AccountName",
                "OU",
                "OUPath",
                "securityContact"
            ]
        );
    }

    pub(crate) fn any_entry() -> impl Strategy<Value = AccountEntry> {
        let text = || {
            prop_oneof![
                8 => ".{0,10}",
                2 => "[\\x00-\\x20\\u{202e}äß漢🦀]{0,20}",
                1 => "[a-zä🦀]{1020,1030}",
            ]
        };
        let name = || {
            prop_oneof![
                6 => ".{0,10}",
                2 => select(RESERVED.to_vec()).prop_map(str::to_owned),
                2 => "[a-c]{1,2}",
                1 => "[a-zä🦀]{120,140}",
            ]
        };
        (
            text(),
            proptest::collection::vec(text(), 0..6),
            btree_map(name(), text(), 0..70),
            option::of((text(), option::of(text()), option::of(text()))),
        )
            .prop_map(|(account_name, units, tags, contact)| AccountEntry {
                account_id: "111122223333".parse().unwrap(),
                name: account_name,
                ou_path: path(&units.iter().map(String::as_str).collect::<Vec<_>>()),
                tags,
                security_contact: contact.map(|(name, email, phone)| Contact {
                    name,
                    email,
                    phone,
                }),
                refreshed_at: 0,
                gone_since: None,
                version: 0,
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn never_over_a_limit(
            existing in btree_map(".{0,10}", ".{0,10}", 0..60),
            entry in any_entry(),
        ) {
            let fields = user_defined_fields(&existing, &entry);
            prop_assert!(fields.map.len() <= 50);
            for (name, value) in &fields.map {
                prop_assert!((1..=128).contains(&name.chars().count()));
                prop_assert!((1..=1_024).contains(&value.chars().count()));
                prop_assert!(!name.trim().is_empty() && !value.trim().is_empty());
                prop_assert!(!name.contains(char::is_control) && !value.contains(char::is_control));
            }
        }

        #[test]
        fn what_was_there_stays_and_the_rest_is_shown_or_said(
            existing in btree_map("[a-z]{1,8}", "[a-z]{1,8}", 0..60),
            entry in any_entry(),
        ) {
            let fields = user_defined_fields(&existing, &entry);
            for (name, value) in existing.iter().take(50) {
                prop_assert_eq!(fields.map.get(name), Some(value));
            }
            for name in entry.tags.keys() {
                let name = clean(name);
                let shown = |name: &str| fields.map.contains_key(name);
                prop_assert!(
                    shown(&name)
                        || shown(&format!("tag:{name}"))
                        || fields.not_shown.iter().any(|not| not.ends_with(&name)),
                    "{}", name
                );
            }
        }

        #[test]
        fn enriching_twice_changes_nothing(
            existing in btree_map("(tag:)?[a-e]{1,2}", "[a-z]{1,3}", 0..60),
            entry in any_entry(),
        ) {
            let once = user_defined_fields(&existing, &entry);
            prop_assert_eq!(user_defined_fields(&once.map, &entry), once);
        }
    }
}
