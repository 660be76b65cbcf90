//! The user-defined fields of an enriched finding.
//!
//! Security Hub replaces the map of fields as a whole, so the fields of others are written back exactly as
//! they are. `Owners` separates them from ours, [`user_defined_fields`] adds ours in a fixed order as far as
//! there is room.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    account_directory::entry::{AccountEntry, Contact, STATE_FIELD},
    security_hub::{
        FIELD_NAME_CHARS, FIELD_VALUE_CHARS, Finding, OWNER_FIELD, REMEDIATION_FIELD,
        USER_DEFINED_FIELDS,
    },
};

use super::{
    style::Style,
    text::{clean, cut, list},
};

/// Marks a finding as enriched, with the value `True`; the rule leaves such findings out.
pub const ENRICHED: &str = "findingEnriched";
/// Says what did not fit; there only if something did not.
pub const NOT_SHOWN: &str = "enrichmentNotShown";
/// The account that owns the resource: only on a finding that another account published.
pub const ACCOUNT_ID: &str = OWNER_FIELD;
/// The account that published the finding, beside [`ACCOUNT_ID`].
pub const PUBLISHED_BY: &str = "PublishedBy";
/// What the enriched finding's own fields are called. A tag of such a name goes under `tag:<name>`.
pub const RESERVED: [&str; 9] = [
    ENRICHED,
    NOT_SHOWN,
    "AccountName",
    "OU",
    "OUPath",
    STATE_FIELD,
    ACCOUNT_ID,
    PUBLISHED_BY,
    "securityContact",
];
/// Those that the first releases did not have: tags of these names went under their own name.
const RESERVED_LATER: [&str; 3] = [STATE_FIELD, ACCOUNT_ID, PUBLISHED_BY];
/// [`STATE_FIELD`] of an account that the organization does not have.
pub const NOT_IN_ORGANIZATION: &str = "NOT_IN_ORGANIZATION";
/// Names fields of others that could be mistaken for ours, as a JSON list; there only if there are some.
pub const OTHERS: &str = "orgkeeper:fieldsOfOthers";

/// What a name of ours starts with if another party uses the name without it.
const OURS: &str = "orgkeeper:";
/// What a tag's name starts with if another party uses the name without it.
const TAG: &str = "tag:";
const MARK: &str = "True";
/// The state that is not worth a field.
const ACTIVE: &str = "ACTIVE";
/// States of an account in AWS Organizations, and ours for one that is not there.
const STATES: [&str; 5] = [
    "PENDING_ACTIVATION",
    "SUSPENDED",
    "PENDING_CLOSURE",
    "CLOSED",
    NOT_IN_ORGANIZATION,
];
/// What [`NOT_SHOWN`] says on a finding that Security Hub refused as too large.
const TOO_LARGE: &str = "the finding is too large for more";
/// Names to try for one field: others would have to use all of them.
const NAMES_TO_TRY: usize = 6;

/// The fields, and what is not shown in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Name to value, within every limit of Security Hub's.
    pub map: BTreeMap<String, String>,
    /// Names of our own fields and tags that did not fit, or only in part, in their order.
    pub not_shown: Vec<String>,
    /// Whether there was room for the field that names them.
    pub says_so: bool,
}

/// The fields of a finding about the account of `entry`.
///
/// Those of others stay as they are. Ours follow in a fixed order as far as there is room: the marker, what is
/// not shown, the account, then its tags.
#[must_use]
pub fn user_defined_fields(finding: &Finding, entry: &AccountEntry, style: &Style) -> Fields {
    compose(finding, entry, &contents(finding, entry, style), None)
}

/// The fields of a finding that is too large for more: see [`smallest`](super::plan::smallest).
#[must_use]
pub fn smallest_fields(finding: &Finding, entry: &AccountEntry, style: &Style) -> Fields {
    let mut contents = contents(finding, entry, style);
    contents.truncate(1);
    compose(finding, entry, &contents, Some(TOO_LARGE))
}

/// Whether the finding got the least of fields before.
#[must_use]
pub fn is_too_large(finding: &Finding) -> bool {
    let says_so = |name: &str| {
        finding
            .user_defined_fields
            .get(name)
            .is_some_and(|text| text == TOO_LARGE)
    };
    is_enriched(&finding.user_defined_fields)
        && (says_so(NOT_SHOWN) || says_so(&format!("{OURS}{NOT_SHOWN}")))
}

/// Whether the user-defined fields of a finding have our marker.
#[must_use]
pub fn is_enriched(fields: &BTreeMap<String, String>) -> bool {
    markers().any(|name| fields.get(&name).is_some_and(|value| value == MARK))
}

fn markers() -> impl Iterator<Item = String> {
    [ENRICHED.to_owned(), format!("{OURS}{ENRICHED}")].into_iter()
}

/// Something to show: a field of ours, or a tag.
#[derive(Clone, Debug)]
struct Content {
    kind: Kind,
    name: String,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Reserved,
    Tag,
}

impl Content {
    fn reserved(name: &str, value: impl Into<String>) -> Self {
        Self {
            kind: Kind::Reserved,
            name: name.to_owned(),
            value: clean(&value.into()),
        }
    }

    fn tag(name: &str, value: &str) -> Self {
        Self {
            kind: Kind::Tag,
            name: clean(name),
            value: clean(value),
        }
    }

    /// Where it may go: the first name that no other party uses.
    fn names(&self) -> impl Iterator<Item = String> {
        let plain = match self.kind {
            Kind::Reserved => [Some(self.name.clone()), None],
            Kind::Tag if is_kept_free(&self.name) => [None, Some(tag_name(&self.name))],
            Kind::Tag => [Some(self.name.clone()), Some(tag_name(&self.name))],
        };
        let mut prefixed = match self.kind {
            Kind::Reserved => format!("{OURS}{}", self.name),
            Kind::Tag => our_name_of_tag(&self.name),
        };
        let prefixed = std::iter::from_fn(move || {
            let name = prefixed.clone();
            prefixed.insert_str(0, OURS);
            Some(name)
        });
        plain
            .into_iter()
            .flatten()
            .chain(prefixed)
            .take(NAMES_TO_TRY)
            .map(|name| cut(&name, FIELD_NAME_CHARS))
            .filter(|name| name != REMEDIATION_FIELD)
    }
}

/// Whether a tag of this name never goes under its plain name: that is for our own fields.
fn is_kept_free(tag: &str) -> bool {
    RESERVED.contains(&tag) || tag.starts_with(OURS) || tag.starts_with(TAG)
}

fn tag_name(tag: &str) -> String {
    format!("{TAG}{tag}")
}

fn our_name_of_tag(tag: &str) -> String {
    if is_kept_free(tag) {
        format!("{OURS}{TAG}{tag}")
    } else {
        format!("{OURS}{tag}")
    }
}

/// What is to be said of the account, the most important first.
fn contents(finding: &Finding, entry: &AccountEntry, style: &Style) -> Vec<Content> {
    let mut contents = Vec::new();
    if is_known(entry) {
        contents.extend([
            Content::reserved("AccountName", &entry.name),
            Content::reserved("OU", entry.ou_path.leaf()),
            Content::reserved("OUPath", entry.ou_path.to_string()),
        ]);
    }
    contents.extend(state(entry).map(|state| Content::reserved(STATE_FIELD, state)));
    if finding.account != finding.publisher {
        contents.extend([
            Content::reserved(ACCOUNT_ID, finding.account.as_str()),
            Content::reserved(PUBLISHED_BY, finding.publisher.as_str()),
        ]);
    }
    if is_known(entry) {
        contents.extend(
            contact(entry, style).map(|contact| Content::reserved("securityContact", contact)),
        );
        contents.extend(tags(entry, style).map(|(name, value)| Content::tag(name, value)));
    }
    contents
}

/// Whether the organization has the account, or had it.
pub(super) fn is_known(entry: &AccountEntry) -> bool {
    entry.gone_since.is_none() || !clean(&entry.name).is_empty()
}

/// The account's state, if it is worth saying.
pub(super) fn state(entry: &AccountEntry) -> Option<&str> {
    match entry.gone_since {
        Some(_) => Some(NOT_IN_ORGANIZATION),
        None => entry
            .state
            .as_deref()
            .filter(|state| *state != ACTIVE && !clean(state).is_empty()),
    }
}

/// The contact on one line, if there is one.
pub(super) fn contact(entry: &AccountEntry, style: &Style) -> Option<String> {
    let contact = entry.security_contact.as_ref()?;
    let shown = Contact {
        phone: contact.phone.clone().filter(|_| style.phone),
        ..contact.clone()
    };
    Some(clean(&shown.to_string())).filter(|text| !text.is_empty())
}

/// The tags in the order of `style`, the others by name.
pub(super) fn tags<'a>(
    entry: &'a AccountEntry,
    style: &'a Style,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let place = |name: &str| {
        let order = style.tag_order.iter();
        order
            .clone()
            .position(|first| first == name)
            .unwrap_or(order.len())
    };
    let mut tags: Vec<(&str, &str)> = entry
        .tags
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    // Stable: the map is in order of names.
    tags.sort_by_cached_key(|(name, _)| place(name));
    tags.into_iter()
}

/// Puts the contents beside the fields of others. `notice` replaces the names of what is not shown.
fn compose(
    finding: &Finding,
    entry: &AccountEntry,
    contents: &[Content],
    notice: Option<&str>,
) -> Fields {
    let owners = Owners::of(finding, entry);
    let others = owners.others(&finding.user_defined_fields);
    let composed = Composition {
        owners: &owners,
        others: &others,
        contents,
        notice,
    };
    composed.fields().unwrap_or_else(|| Fields {
        not_shown: std::iter::once(ENRICHED.to_owned())
            .chain(contents.iter().map(|content| content.name.clone()))
            .collect(),
        map: others.clone(),
        says_so: false,
    })
}

struct Composition<'a> {
    owners: &'a Owners,
    others: &'a BTreeMap<String, String>,
    contents: &'a [Content],
    notice: Option<&'a str>,
}

impl Composition<'_> {
    /// Ours beside those of others; `None` if there is no room, or if it could not be seen afterwards which
    /// are ours.
    fn fields(&self) -> Option<Fields> {
        let marker = markers().find(|name| !self.others.contains_key(name))?;
        let mut fields = self.placed(&marker, None)?;
        let others = self.mistakable(&fields.map);
        if !others.is_empty() {
            // With this field there is room for one less, which can leave more names to mistake.
            let less = self.placed(&marker, Some(String::new()))?;
            let names = serde_json::to_string(&self.mistakable(&less.map)).ok()?;
            fields = self.placed(&marker, Some(names))?;
        }
        (self.owners.others(&fields.map) == *self.others).then_some(fields)
    }

    /// The names of others that could be taken for ours.
    fn mistakable(&self, map: &BTreeMap<String, String>) -> Vec<&str> {
        let is_ours = |name: &str| map.contains_key(name) && !self.others.contains_key(name);
        self.others
            .keys()
            .map(String::as_str)
            .filter(|name| self.owners.may_claim(name, &is_ours))
            .collect()
    }

    fn placed(&self, marker: &str, others_named: Option<String>) -> Option<Fields> {
        let mut first = vec![(marker.to_owned(), MARK.to_owned())];
        if let Some(names) = others_named {
            let too_long = names.chars().count() > FIELD_VALUE_CHARS;
            if too_long || self.others.contains_key(OTHERS) {
                return None;
            }
            first.push((OTHERS.to_owned(), names));
        }
        let room = USER_DEFINED_FIELDS
            .checked_sub(self.others.len())
            .filter(|room| *room >= first.len())?;
        let place = |first: Vec<(String, String)>| {
            let mut ours: BTreeMap<String, String> = first.into_iter().collect();
            let mut not_shown = Vec::new();
            let mut shown = BTreeSet::new();
            for content in self.contents {
                let name = content
                    .names()
                    .find(|name| !self.others.contains_key(name))
                    // Two tags that differ only in what a name cannot hold: the first keeps it.
                    .filter(|name| !ours.contains_key(name))
                    .filter(|_| shown.insert((content.kind, &content.name)));
                let value = cut(&content.value, FIELD_VALUE_CHARS);
                let room = ours.len() < room;
                let visible = !content.name.is_empty() && !value.is_empty();
                let whole = name.filter(|_| room && visible).is_some_and(|name| {
                    let whole = value == content.value && name.ends_with(&content.name);
                    ours.insert(name, value);
                    whole
                });
                if !whole {
                    not_shown.push(content.name.clone());
                }
            }
            (ours, not_shown)
        };
        let (mut ours, mut not_shown) = place(first.clone());
        let mut says_so = false;
        let needs_notice = self.notice.is_some() || !not_shown.is_empty();
        if needs_notice && first.len() < room {
            let notice = Content::reserved(NOT_SHOWN, "");
            let name = notice
                .names()
                .find(|name| !self.others.contains_key(name))?;
            first.push((name.clone(), String::new()));
            (ours, not_shown) = place(first);
            ours.insert(name, self.notice_text(&not_shown));
            says_so = true;
        }
        ours.extend(
            self.others
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        Some(Fields {
            map: ours,
            not_shown,
            says_so,
        })
    }

    fn notice_text(&self, not_shown: &[String]) -> String {
        const BEFORE: &str = "not shown or cut: ";
        match self.notice {
            Some(text) => text.to_owned(),
            None => format!(
                "{BEFORE}{}",
                list(not_shown, FIELD_VALUE_CHARS - BEFORE.len())
            ),
        }
    }
}

/// Separates our fields from those of others.
///
/// On a finding without our marker every field is another party's. On one with it ours are:
/// * what starts with `orgkeeper:`, but for the field of the remediation flow ([`REMEDIATION_FIELD`]);
/// * a reserved name, unless ours is there under `orgkeeper:<name>`;
/// * a tag's name with a value that the entry says now or said earlier, likewise, and `tag:<name>` with
///   such a value unless `<name>` itself is ours.
///
/// What others have under such a name is named in [`OTHERS`] when ours are written.
struct Owners {
    account: String,
    publisher: String,
    states: BTreeSet<String>,
    /// What tags of this clean name were or are, as a field shows them.
    tags: BTreeMap<String, BTreeSet<String>>,
    /// Names with the tags that may be there under their own name; several if they are cut.
    plain_names: BTreeMap<String, Vec<String>>,
    /// The same for `tag:<name>`.
    tag_names: BTreeMap<String, Vec<String>>,
}

impl Owners {
    fn of(finding: &Finding, entry: &AccountEntry) -> Self {
        let mut tags: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let now = entry.tags.iter();
        let earlier = entry
            .earlier_fields
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        for (name, value) in now.chain(earlier) {
            tags.entry(clean(name))
                .or_default()
                .insert(cut(&clean(value), FIELD_VALUE_CHARS));
        }
        let names = |name_of: fn(&str) -> String, may_be: fn(&str) -> bool| {
            let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for tag in tags.keys().filter(|tag| may_be(tag)) {
                let name = cut(&name_of(tag), FIELD_NAME_CHARS);
                names.entry(name).or_default().push(tag.clone());
            }
            names
        };
        let plain_names = names(str::to_owned, |tag| {
            !is_kept_free(tag) || RESERVED_LATER.contains(&tag)
        });
        let tag_names = names(tag_name, |_| true);
        let earlier_states = entry.earlier_fields.get(STATE_FIELD).into_iter().flatten();
        Self {
            account: finding.account.to_string(),
            publisher: finding.publisher.to_string(),
            states: STATES
                .into_iter()
                .chain(entry.state.as_deref())
                .chain(earlier_states.map(String::as_str))
                .map(|state| cut(&clean(state), FIELD_VALUE_CHARS))
                .collect(),
            plain_names,
            tag_names,
            tags,
        }
    }

    /// The fields that are not ours.
    fn others(&self, fields: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        if !is_enriched(fields) {
            return fields.clone();
        }
        let mut of_others: BTreeSet<String> = fields
            .get(OTHERS)
            .and_then(|names| serde_json::from_str(names).ok())
            .unwrap_or_default();
        // The marker decides whether there are any of ours: it is never another party's.
        of_others.retain(|name| {
            let is_marker = markers().any(|marker| marker == *name);
            !is_marker || fields.get(name).is_none_or(|value| value != MARK)
        });
        let may_be_ours = |name: &str| {
            fields.contains_key(name) && !of_others.contains(name) && name != REMEDIATION_FIELD
        };
        fields
            .iter()
            .filter(|(name, value)| {
                of_others.contains(*name) || !self.claims(name, value, fields, &may_be_ours)
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    fn claims(
        &self,
        name: &str,
        value: &str,
        fields: &BTreeMap<String, String>,
        may_be_ours: &dyn Fn(&str) -> bool,
    ) -> bool {
        let of_account = Self::may_be_of_account(name, may_be_ours)
            && match name {
                STATE_FIELD => self.states.contains(value),
                ACCOUNT_ID => self.account == value,
                PUBLISHED_BY => self.publisher == value,
                _ => true,
            };
        let says = |tag: &str, value: &str| self.tags[tag].contains(value);
        let mut plain = Self::may_be_of_tags(&self.plain_names, name, may_be_ours);
        let mut prefixed = Self::may_be_of_tags(&self.tag_names, name, may_be_ours);
        of_account
            || plain.any(|tag| says(tag, value))
            || prefixed.any(|tag| {
                let plain = cut(tag, FIELD_NAME_CHARS);
                let plain_is_ours = !is_kept_free(tag)
                    && may_be_ours(&plain)
                    && fields.get(&plain).is_some_and(|value| says(tag, value));
                says(tag, value) && !plain_is_ours
            })
    }

    /// Whether a field of this name can be ours, whatever its value.
    fn may_claim(&self, name: &str, is_ours: &dyn Fn(&str) -> bool) -> bool {
        Self::may_be_of_account(name, is_ours)
            || [&self.plain_names, &self.tag_names]
                .into_iter()
                .any(|names| Self::may_be_of_tags(names, name, is_ours).next().is_some())
    }

    fn may_be_of_account(name: &str, is_ours: &dyn Fn(&str) -> bool) -> bool {
        (name.starts_with(OURS) && name != REMEDIATION_FIELD)
            || (RESERVED.contains(&name) && !is_ours(&format!("{OURS}{name}")))
    }

    /// The tags that can be under this one of their `names`.
    fn may_be_of_tags<'a>(
        names: &'a BTreeMap<String, Vec<String>>,
        name: &str,
        is_ours: &dyn Fn(&str) -> bool,
    ) -> impl Iterator<Item = &'a str> {
        let tags = names.get(name).into_iter().flatten().map(String::as_str);
        tags.filter(|tag| !is_ours(&cut(&our_name_of_tag(tag), FIELD_NAME_CHARS)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::{
        account_directory::entry::{OrganizationalUnit, OuPath},
        ids::FindingId,
    };
    use proptest::{collection::btree_map, option, prelude::*, sample::select};

    use super::*;

    pub(crate) fn entry(tags: &[(&str, &str)]) -> AccountEntry {
        AccountEntry {
            account_id: "111122223333".parse().unwrap(),
            name: "payments-prod".into(),
            ou_path: path(&["Workloads", "Prod"]),
            tags: map(tags),
            security_contact: Some(Contact {
                name: "Sam Lee".into(),
                email: Some("sam@example.com".into()),
                phone: Some("+1 555 0100".into()),
            }),
            refreshed_at: 0,
            state: None,
            gone_since: None,
            earlier_fields: BTreeMap::new(),
            re_enrich_since: None,
            re_enriched_at: None,
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

    pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    /// A finding of the account of [`entry`] that nobody has written on.
    pub(crate) fn bare() -> Finding {
        Finding {
            id: FindingId {
                id: "a".into(),
                product_arn: "p".into(),
            },
            account: "111122223333".parse().unwrap(),
            publisher: "111122223333".parse().unwrap(),
            user_defined_fields: BTreeMap::new(),
            note: None,
            compliance: String::new(),
            workflow: None,
            seen_at: String::new(),
        }
    }

    /// The same, published by an administrator's account.
    pub(crate) fn published_for_another() -> Finding {
        Finding {
            publisher: "999900001111".parse().unwrap(),
            ..bare()
        }
    }

    fn with(existing: BTreeMap<String, String>) -> Finding {
        Finding {
            user_defined_fields: existing,
            ..bare()
        }
    }

    fn fields_on(existing: BTreeMap<String, String>, entry: &AccountEntry) -> Fields {
        user_defined_fields(&with(existing), entry, &Style::default())
    }

    fn theirs(count: usize) -> BTreeMap<String, String> {
        (0..count)
            .map(|n| (format!("theirs{n:02}"), "v".into()))
            .collect()
    }

    #[test]
    fn the_account_is_named_and_existing_fields_are_kept() {
        let fields = fields_on(
            map(&[("ticket", "SEC-1")]),
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
    fn what_the_remediation_flow_says_stays() {
        let entry = entry(&[("Remediation", "manual")]);
        let said = map(&[("orgkeeper:Remediation", "would fix: it")]);
        // Before the enrichment, and after it.
        let first = fields_on(said.clone(), &entry).map;
        let mut second = fields_on(BTreeMap::new(), &entry).map;
        second.extend(said);
        assert_eq!(first, second);
        assert_eq!(fields_on(second.clone(), &entry).map, second);
        assert!(!second.contains_key(OTHERS), "{second:?}");
    }

    #[test]
    fn an_account_directly_under_the_root_without_a_contact() {
        let mut entry = entry(&[]);
        entry.ou_path = path(&[]);
        entry.security_contact = None;
        let fields = fields_on(BTreeMap::new(), &entry);
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
    fn a_phone_number_is_left_out_if_style_says_so() {
        let style = Style {
            phone: false,
            ..Style::default()
        };
        let first = fields_on(BTreeMap::new(), &entry(&[]));
        let fields = user_defined_fields(&with(first.map), &entry(&[]), &style);
        assert_eq!(fields.map["securityContact"], "Sam Lee <sam@example.com>");
    }

    #[test]
    fn a_state_other_than_active_is_shown() {
        let mut entry = entry(&[]);
        entry.state = Some("ACTIVE".into());
        let first = fields_on(BTreeMap::new(), &entry);
        assert!(!first.map.contains_key("AccountState"), "{first:?}");
        entry.state = Some("SUSPENDED".into());
        let second = fields_on(first.map.clone(), &entry);
        assert_eq!(second.map["AccountState"], "SUSPENDED");
        entry.state = Some("ACTIVE".into());
        assert_eq!(fields_on(second.map, &entry), first);
    }

    #[test]
    fn an_account_that_left_keeps_what_is_known_of_it() {
        let mut entry = entry(&[("team", "payments")]);
        let before = fields_on(BTreeMap::new(), &entry);
        entry.gone_since = Some(1);
        let after = fields_on(before.map.clone(), &entry);
        let mut expected = before.map;
        expected.insert("AccountState".into(), "NOT_IN_ORGANIZATION".into());
        assert_eq!(after.map, expected);
    }

    #[test]
    fn of_an_account_that_was_never_in_the_organization_only_that_is_said() {
        let mut entry = entry(&[("team", "payments")]);
        entry.gone_since = Some(1);
        entry.name = String::new();
        assert_eq!(
            fields_on(map(&[("ticket", "SEC-1")]), &entry).map,
            map(&[
                ("AccountState", "NOT_IN_ORGANIZATION"),
                ("findingEnriched", "True"),
                ("ticket", "SEC-1"),
            ])
        );
    }

    #[test]
    fn owner_and_publisher_are_named_if_they_differ() {
        let entry = entry(&[]);
        let fields = user_defined_fields(&published_for_another(), &entry, &Style::default());
        assert_eq!(fields.map["AccountId"], "111122223333");
        assert_eq!(fields.map["PublishedBy"], "999900001111");
        let fields = fields_on(BTreeMap::new(), &entry);
        assert!(!fields.map.contains_key("AccountId"), "{fields:?}");
        assert!(!fields.map.contains_key("PublishedBy"), "{fields:?}");
    }

    #[test]
    fn a_tag_never_replaces_another_partys_field() {
        let entry = entry(&[("OU", "x"), ("findingEnriched", "False"), ("team", "new")]);
        let first = fields_on(map(&[("team", "theirs")]), &entry);
        assert_eq!(first.map["OU"], "Prod");
        assert_eq!(first.map["tag:OU"], "x");
        assert_eq!(first.map["findingEnriched"], "True");
        assert_eq!(first.map["tag:findingEnriched"], "False");
        assert_eq!(first.map["team"], "theirs");
        assert_eq!(first.map["tag:team"], "new");
        assert_eq!(fields_on(first.map.clone(), &entry), first);
    }

    #[test]
    fn others_may_have_fields_that_look_like_ours() {
        let others = map(&[
            ("OUPath", "/corp/lab/öst"),
            ("securityContact", "soc-3@people.example; pager 17"),
            ("enrichmentNotShown", "see wiki"),
            ("accountname", "lower case, another field"),
            ("tag:Environment", "from the scanner"),
            ("Environment", "LAB-7"),
        ]);
        let tagged = entry(&[("Environment", "LAB")]);
        let first = fields_on(others.clone(), &tagged);
        let mut expected = others.clone();
        expected.extend(map(&[
            ("findingEnriched", "True"),
            ("AccountName", "payments-prod"),
            ("OU", "Prod"),
            ("orgkeeper:OUPath", "Root/Workloads/Prod"),
            (
                "orgkeeper:securityContact",
                "Sam Lee <sam@example.com>, +1 555 0100",
            ),
            ("orgkeeper:Environment", "LAB"),
            ("orgkeeper:fieldsOfOthers", r#"["enrichmentNotShown"]"#),
        ]));
        assert_eq!(first.map, expected);
        assert_eq!(fields_on(first.map.clone(), &tagged), first);

        // Without a contact and the tag theirs stay, too.
        let mut bare = entry(&[]).succeeding(&tagged);
        bare.security_contact = None;
        let second = fields_on(first.map, &bare);
        for (name, value) in &others {
            assert_eq!(second.map.get(name), Some(value), "{name}");
        }
        assert_eq!(second, fields_on(others, &bare));
    }

    #[test]
    fn a_field_that_equals_a_tag_stays_when_the_tag_changes() {
        let others = map(&[("team", "red")]);
        let old = entry(&[("team", "red")]);
        let first = fields_on(others.clone(), &old);
        assert_eq!(first.map["team"], "red");
        assert_eq!(first.map["tag:team"], "red");
        let new = entry(&[("team", "blue")]).succeeding(&old);
        let second = fields_on(first.map, &new);
        assert_eq!(second.map["team"], "red");
        assert_eq!(second.map["tag:team"], "blue");
    }

    #[test]
    fn a_field_that_others_add_under_a_tags_other_name_stays() {
        let old = entry(&[("team", "red")]);
        let mut on_it = fields_on(BTreeMap::new(), &old).map;
        on_it.insert("tag:team".into(), "red".into());
        let new = entry(&[("team", "blue")]).succeeding(&old);
        let fields = fields_on(on_it, &new);
        assert_eq!(fields.map["tag:team"], "red");
        assert_eq!(fields.map["team"], "blue");
    }

    #[test]
    fn another_partys_marker_is_kept() {
        let others = map(&[("findingEnriched", "by the scanner"), ("OU", "theirs")]);
        let first = fields_on(others, &entry(&[]));
        assert_eq!(first.map["findingEnriched"], "by the scanner");
        assert_eq!(first.map["orgkeeper:findingEnriched"], "True");
        assert_eq!(first.map["OU"], "theirs");
        assert_eq!(first.map["orgkeeper:OU"], "Prod");
        assert_eq!(fields_on(first.map.clone(), &entry(&[])), first);
    }

    #[test]
    fn what_an_earlier_release_wrote_is_ours() {
        let existing = map(&[
            ("findingEnriched", "True"),
            ("AccountName", "old name"),
            ("OU", "Dev"),
            ("OUPath", "Root/Dev"),
            ("securityContact", "gone@example.com"),
            ("enrichmentNotShown", "not shown or cut: flag"),
            ("team", "red"),
            ("ticket", "SEC-1"),
            ("AccountId", "of another party"),
        ]);
        let new = entry(&[("team", "blue")]).succeeding(&entry(&[("team", "red")]));
        let bare = map(&[("ticket", "SEC-1"), ("AccountId", "of another party")]);
        assert_eq!(fields_on(existing, &new), fields_on(bare, &new));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let names: Vec<String> = (0..60).map(|n| format!("tag{n:02}")).collect();
        let tags: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
        let fields = fields_on(map(&[("ticket", "SEC-1")]), &entry(&tags));
        assert_eq!(fields.map.len(), 50);
        assert_eq!(fields.map["ticket"], "SEC-1");
        assert!(fields.map.contains_key("tag42"));
        assert!(!fields.map.contains_key("tag43"));
        assert_eq!(fields.not_shown.first().map(String::as_str), Some("tag43"));
        assert_eq!(fields.not_shown.len(), 17);
        assert!(fields.map[NOT_SHOWN].contains("tag59"), "{fields:?}");
    }

    #[test]
    fn tags_come_in_the_order_of_style() {
        let names: Vec<String> = (0..60).map(|n| format!("tag{n:02}")).collect();
        let tags: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
        let style = Style {
            tag_order: ["tag59", "absent", "tag58"].map(str::to_owned).to_vec(),
            ..Style::default()
        };
        let fields = user_defined_fields(&bare(), &entry(&tags), &style);
        assert!(fields.map.contains_key("tag59") && fields.map.contains_key("tag58"));
        assert_eq!(fields.not_shown.first().map(String::as_str), Some("tag42"));
    }

    #[test]
    fn the_order_of_ours_is_fixed() {
        let shown = |room: usize| {
            let entry = AccountEntry {
                state: Some("SUSPENDED".into()),
                ..entry(&[("team", "payments")])
            };
            let finding = Finding {
                user_defined_fields: theirs(50 - room),
                ..published_for_another()
            };
            let fields = user_defined_fields(&finding, &entry, &Style::default());
            assert!(fields.map.len() <= 50);
            let mut ours: Vec<String> = fields.map.into_keys().collect();
            ours.retain(|name| !name.starts_with("theirs"));
            ours
        };
        let order = [
            "findingEnriched",
            "enrichmentNotShown",
            "AccountName",
            "OU",
            "OUPath",
            "AccountState",
            "AccountId",
            "PublishedBy",
            "securityContact",
            "team",
        ];
        for room in 0..=order.len() {
            let mut expected: Vec<&str> = order[..room].to_vec();
            // The notice is not needed if all fit.
            if room == order.len() {
                expected.retain(|name| *name != NOT_SHOWN);
            }
            if room == order.len() - 1 {
                expected = order.to_vec();
                expected.retain(|name| *name != NOT_SHOWN);
            }
            expected.sort_unstable();
            assert_eq!(shown(room), expected, "room for {room}");
        }
    }

    #[test]
    fn a_tag_that_is_added_later_is_named_too() {
        let old = entry(&[("team", "payments")]);
        let first = fields_on(theirs(46), &old);
        assert_eq!(first.map.len(), 50);
        assert_eq!(
            first.map[NOT_SHOWN],
            "not shown or cut: OUPath, securityContact, team"
        );
        let new = entry(&[("cost", "4711"), ("team", "payments")]).succeeding(&old);
        let second = fields_on(first.map, &new);
        assert_eq!(
            second.map[NOT_SHOWN],
            "not shown or cut: OUPath, securityContact, cost, team"
        );
    }

    #[test]
    fn an_empty_tag_is_reported_as_not_shown() {
        let fields = fields_on(BTreeMap::new(), &entry(&[("flag", "")]));
        assert_eq!(fields.not_shown, ["flag"]);
        assert_eq!(fields.map[NOT_SHOWN], "not shown or cut: flag");
    }

    #[test]
    fn fifty_fields_of_others_leave_no_room() {
        let fields = fields_on(theirs(50), &entry(&[]));
        assert_eq!(fields.map, theirs(50));
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
        assert!(!fields.says_so);
    }

    #[test]
    fn with_room_for_one_the_marker_is_written_unless_it_would_make_theirs_look_like_ours() {
        let fields = fields_on(theirs(49), &entry(&[]));
        assert_eq!(fields.map["findingEnriched"], "True");
        let mut others = theirs(48);
        others.insert("OU".into(), "theirs".into());
        assert_eq!(fields_on(others.clone(), &entry(&[])).map, others);
    }

    fn long_text(chars: std::ops::Range<usize>) -> impl Strategy<Value = String> {
        ("[a-zä🦀]", chars).prop_map(|(character, chars)| character.repeat(chars))
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            8 => ".{0,10}",
            2 => "[\\x00-\\x20\\u{202e}äß漢🦀]{0,20}",
            1 => long_text(1_020..1_030),
        ]
    }

    fn any_tag_name() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => ".{0,10}",
            2 => select(RESERVED.to_vec()).prop_map(str::to_owned),
            3 => "[a-c]{1,2}",
            1 => "(tag:|orgkeeper:)[a-c]",
            1 => "(|tag:|orgkeeper:)Remediation",
            1 => long_text(120..140),
        ]
    }

    pub(crate) fn any_entry() -> impl Strategy<Value = AccountEntry> {
        (
            any_text(),
            proptest::collection::vec(any_text(), 0..6),
            btree_map(any_tag_name(), prop_oneof![any_text(), "[xy]"], 0..70),
            option::of((any_text(), option::of(any_text()), option::of(any_text()))),
            option::of(select(vec!["ACTIVE", "SUSPENDED", "NEW_STATE"])),
            option::weighted(0.2, 1_i64..9),
        )
            .prop_map(|(account_name, units, tags, contact, state, gone_since)| {
                AccountEntry {
                    name: account_name,
                    ou_path: path(&units.iter().map(String::as_str).collect::<Vec<_>>()),
                    tags,
                    security_contact: contact.map(|(name, email, phone)| Contact {
                        name,
                        email,
                        phone,
                    }),
                    state: state.map(str::to_owned),
                    gone_since,
                    ..entry(&[])
                }
            })
    }

    /// Fields that another party put on a finding: anything that Security Hub accepts, but our marker.
    fn any_others() -> impl Strategy<Value = BTreeMap<String, String>> {
        let name = || {
            prop_oneof![
                6 => ".{0,10}",
                2 => select(RESERVED.to_vec()).prop_map(str::to_owned),
                4 => "(|tag:|orgkeeper:|orgkeeper:tag:)[a-c]{1,2}",
                2 => ("(tag:|orgkeeper:|orgkeeper:tag:|orgkeeper:orgkeeper:)", select(RESERVED.to_vec()))
                    .prop_map(|(prefix, name)| format!("{prefix}{name}")),
                1 => long_text(100..129),
                1 => Just(OTHERS.to_owned()),
                1 => Just(REMEDIATION_FIELD.to_owned()),
            ]
        };
        let value = || {
            prop_oneof![
                4 => any_text(),
                4 => "[xy]",
                1 => select(STATES.to_vec()).prop_map(str::to_owned),
                1 => Just("111122223333".to_owned()),
                1 => Just(r#"["OU","a"]"#.to_owned()),
            ]
        };
        prop_oneof![
            3 => btree_map(name(), value(), 0..12),
            1 => btree_map(name(), value(), 38..=50),
        ]
        .prop_map(|mut fields| {
            fields.retain(|name, value| {
                let (name, value): (&str, &str) = (name, value);
                let visible = |text: &str| !text.trim().is_empty();
                let short = name.chars().count() <= 128 && value.chars().count() <= 1_024;
                let marker = value == MARK && markers().any(|marker| marker == name);
                visible(name) && visible(value) && short && !marker
            });
            fields
        })
    }

    fn any_finding() -> impl Strategy<Value = Finding> {
        (any_others(), any::<bool>()).prop_map(|(others, by_another)| Finding {
            user_defined_fields: others,
            ..if by_another {
                published_for_another()
            } else {
                bare()
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn never_over_a_limit(finding in any_finding(), entry in any_entry()) {
            let fields = user_defined_fields(&finding, &entry, &Style::default());
            prop_assert!(fields.map.len() <= 50);
            for (name, value) in &fields.map {
                if finding.user_defined_fields.contains_key(name) {
                    continue;
                }
                prop_assert!((1..=128).contains(&name.chars().count()));
                prop_assert!((1..=1_024).contains(&value.chars().count()));
                prop_assert!(!name.trim().is_empty() && !value.trim().is_empty());
                prop_assert!(!name.contains(char::is_control) && !value.contains(char::is_control));
            }
        }

        #[test]
        fn what_was_there_stays_and_the_rest_is_shown_or_said(
            finding in any_finding(),
            entry in any_entry(),
        ) {
            let fields = user_defined_fields(&finding, &entry, &Style::default());
            for (name, value) in &finding.user_defined_fields {
                prop_assert_eq!(fields.map.get(name), Some(value));
            }
            if !is_known(&entry) {
                return Ok(());
            }
            for name in entry.tags.keys() {
                let name = clean(name);
                let ours = |name: &str| {
                    fields.map.contains_key(name) && !finding.user_defined_fields.contains_key(name)
                };
                prop_assert!(
                    Content::tag(&name, "").names().any(|name| ours(&name))
                        || fields.not_shown.contains(&name),
                    "{}", name
                );
            }
        }

        #[test]
        fn enriching_twice_changes_nothing(mut finding in any_finding(), entry in any_entry()) {
            let style = Style::default();
            let once = user_defined_fields(&finding, &entry, &style);
            finding.user_defined_fields = once.map.clone();
            prop_assert_eq!(user_defined_fields(&finding, &entry, &style), once);
        }

        #[test]
        fn an_entry_that_changed_is_shown_as_if_it_had_always_been_so(
            finding in any_finding(),
            old in any_entry(),
            new in any_entry(),
            shared in btree_map("[a-c]{1,2}", "[xy]", 0..3),
        ) {
            let style = Style::default();
            let (mut old, mut new) = (old, new);
            old.tags.extend(shared.clone());
            new.tags.extend(shared);
            // A field that equals a tag which the account did not have before counts as the tag.
            let coincides = new.tags.iter().any(|(name, value)| {
                let tag = Content::tag(name, value);
                !old.tags.keys().any(|old| clean(old) == tag.name)
                    && [cut(&tag.name, FIELD_NAME_CHARS), cut(&tag_name(&tag.name), FIELD_NAME_CHARS)]
                        .iter()
                        .any(|name| finding.user_defined_fields.get(name).is_some_and(|there| {
                            *there == cut(&tag.value, FIELD_VALUE_CHARS)
                        }))
            });
            prop_assume!(!coincides);
            let new = new.succeeding(&old);
            let direct = user_defined_fields(&finding, &new, &style);
            let mut enriched = finding;
            enriched.user_defined_fields = user_defined_fields(&enriched, &old, &style).map;
            prop_assert_eq!(user_defined_fields(&enriched, &new, &style), direct);
        }
    }
}
