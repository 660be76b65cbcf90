//! Which findings of a batch share an update.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, hash_map},
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::{
    account_directory::entry::AccountEntry,
    ids::{AccountId, FindingId},
    security_hub::{FINDINGS_PER_UPDATE, Finding, FindingUpdate},
};

use super::{
    fields::{is_too_large, smallest_fields, user_defined_fields},
    note::note,
    style::Style,
};

/// What a batch of findings comes down to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The updates, in the order in which they are to be made.
    pub updates: Vec<Update>,
    /// Findings that say already what they would be made to say.
    pub unchanged: Vec<FindingId>,
}

/// One update and the findings that get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// What is changed.
    pub update: FindingUpdate,
    /// At most [`FINDINGS_PER_UPDATE`] different ones, the oldest first.
    pub findings: Vec<FindingId>,
}

/// Each finding once, as its newest event has it.
///
/// Events are duplicated and arrive out of order. Of two of the same second the one with more on it is newer:
/// what a person adds stays.
pub fn newest<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
) -> impl Iterator<Item = &'a Finding> {
    fn order(finding: &Finding) -> (&str, bool, usize) {
        (
            &finding.seen_at,
            finding.note.is_some(),
            finding.user_defined_fields.len(),
        )
    }
    let mut by_id: HashMap<&FindingId, &Finding> = HashMap::new();
    for finding in findings {
        match by_id.entry(&finding.id) {
            hash_map::Entry::Vacant(place) => {
                place.insert(finding);
            }
            hash_map::Entry::Occupied(mut place) if order(finding) > order(place.get()) => {
                place.insert(finding);
            }
            hash_map::Entry::Occupied(_) => {}
        }
    }
    by_id.into_values()
}

/// Groups findings by the update that they get; one whose account `entry_of` does not know is left out.
///
/// The update of the oldest finding comes first, of several such the larger one: no account waits for the
/// others because of its name or its few findings.
pub fn plan<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
    entry_of: impl Fn(&AccountId) -> Option<&'a AccountEntry>,
    style: &Style,
) -> Plan {
    let mut unchanged = Vec::new();
    let mut by_update: BTreeMap<FindingUpdate, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        let Some(entry) = entry_of(&finding.account) else {
            continue;
        };
        match update(finding, entry, style) {
            Some(update) => by_update.entry(update).or_default().push(finding),
            None => unchanged.push(finding.id.clone()),
        }
    }
    let mut updates: Vec<(Age<'_>, Update)> = Vec::new();
    for (update, mut findings) in by_update {
        findings.sort_by_key(|finding| (age(finding), &finding.id));
        updates.extend(findings.chunks(FINDINGS_PER_UPDATE).map(|chunk| {
            let update = Update {
                update: update.clone(),
                findings: chunk.iter().map(|finding| finding.id.clone()).collect(),
            };
            (age(chunk[0]), update)
        }));
    }
    updates.sort_by_cached_key(|(age, update)| {
        let size = Reverse(update.findings.len());
        // Of equal ones none comes first because of what it is called.
        (*age, size, hash(&update.findings))
    });
    Plan {
        updates: updates.into_iter().map(|(_, update)| update).collect(),
        unchanged,
    }
}

/// When the finding's event was sent; one without a time comes last.
type Age<'a> = (bool, &'a str);

fn age(finding: &Finding) -> Age<'_> {
    (finding.seen_at.is_empty(), &finding.seen_at)
}

fn hash(findings: &[FindingId]) -> u64 {
    let mut hasher = DefaultHasher::new();
    findings.hash(&mut hasher);
    hasher.finish()
}

/// What to change on a finding, `None` if it says everything already. One that was too large once gets the
/// [`smallest`] update from then on.
#[must_use]
pub fn update(finding: &Finding, entry: &AccountEntry, style: &Style) -> Option<FindingUpdate> {
    if is_too_large(finding) {
        let smallest = smallest(finding, entry, style);
        let differs = smallest.user_defined_fields != finding.user_defined_fields;
        return differs.then_some(smallest);
    }
    let fields = user_defined_fields(finding, entry, style);
    let note = note(finding, entry, style, &fields);
    (note.is_some() || fields.map != finding.user_defined_fields).then_some(FindingUpdate {
        user_defined_fields: fields.map,
        note,
        workflow: None,
    })
}

/// What an account's findings show of it: fields and note of one that nobody else has written on.
///
/// Two entries that differ here are two reasons to update the findings.
#[must_use]
pub fn shown(entry: &AccountEntry, style: &Style) -> FindingUpdate {
    let bare = Finding {
        id: FindingId {
            id: String::new(),
            product_arn: String::new(),
        },
        account: entry.account_id.clone(),
        publisher: entry.account_id.clone(),
        user_defined_fields: BTreeMap::new(),
        note: None,
        compliance: String::new(),
        workflow: None,
        seen_at: String::new(),
    };
    update(&bare, entry, style).unwrap_or_default()
}

/// What a finding gets that is too large for more (`FindingSizeExceeded`): the fields of others, and of
/// ours the marker, the account's name and why there is no more.
#[must_use]
pub fn smallest(finding: &Finding, entry: &AccountEntry, style: &Style) -> FindingUpdate {
    FindingUpdate {
        user_defined_fields: smallest_fields(finding, entry, style).map,
        note: None,
        workflow: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        enrichment::{
            fields::{
                ENRICHED,
                tests::{entry, map},
            },
            note::AUTHOR,
        },
        security_hub::FindingNote,
    };

    fn finding(id: &str, seen_at: &str) -> Finding {
        Finding {
            id: FindingId {
                id: id.into(),
                product_arn: "p".into(),
            },
            account: "111122223333".parse().unwrap(),
            publisher: "111122223333".parse().unwrap(),
            user_defined_fields: BTreeMap::new(),
            note: None,
            compliance: String::new(),
            workflow: None,
            seen_at: seen_at.into(),
        }
    }

    fn enriched(mut finding: Finding, update: FindingUpdate) -> Finding {
        finding.user_defined_fields = update.user_defined_fields;
        finding.note = update.note.map_or(finding.note, |note| {
            Some(FindingNote {
                text: note.text,
                updated_by: note.updated_by,
            })
        });
        finding
    }

    #[test]
    fn findings_of_an_account_share_calls_of_a_hundred() {
        let findings: Vec<Finding> = (0..250).map(|n| finding(&n.to_string(), "")).collect();
        let entry = entry(&[("team", "payments")]);
        let plan = plan(&findings, |_| Some(&entry), &Style::default());
        let sizes: Vec<usize> = plan.updates.iter().map(|of| of.findings.len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        assert_eq!(plan.unchanged, []);
    }

    #[test]
    fn the_oldest_finding_comes_first_then_the_larger_update() {
        let accounts = ["a", "b", "c", "d"].map(|name| AccountEntry {
            name: name.into(),
            ..entry(&[])
        });
        let id = |n: usize| -> AccountId { format!("{n:012}").parse().unwrap() };
        let findings: Vec<Finding> = [
            (0, "late", "2026-03-01T10:00:09Z"),
            (1, "single", "2026-03-01T10:00:05Z"),
            (2, "pair-young", "2026-03-01T10:00:08Z"),
            (2, "pair-old", "2026-03-01T10:00:05Z"),
            (3, "oldest", "2026-03-01T10:00:01Z"),
            (0, "without-a-time", ""),
        ]
        .into_iter()
        .map(|(account, name, seen_at)| Finding {
            account: id(account),
            publisher: id(account),
            ..finding(name, seen_at)
        })
        .collect();
        let plan = plan(
            &findings,
            |account| (0..4).find(|n| id(*n) == *account).map(|n| &accounts[n]),
            &Style::default(),
        );
        let order: Vec<Vec<&str>> = plan
            .updates
            .iter()
            .map(|of| of.findings.iter().map(|id| id.id.as_str()).collect())
            .collect();
        assert_eq!(
            order,
            [
                vec!["oldest"],
                vec!["pair-old", "pair-young"],
                vec!["single"],
                vec!["late", "without-a-time"],
            ]
        );
    }

    #[test]
    fn the_names_of_accounts_do_not_decide_who_is_first() {
        let names: Vec<String> = (0..40).map(|n| format!("account-{n:02}")).collect();
        let accounts: Vec<AccountEntry> = names
            .iter()
            .map(|name| AccountEntry {
                name: name.clone(),
                ..entry(&[])
            })
            .collect();
        let id = |n: usize| -> AccountId { format!("{n:012}").parse().unwrap() };
        let findings: Vec<Finding> = (0..40)
            .map(|n| Finding {
                account: id(n),
                publisher: id(n),
                ..finding(&names[n], "2026-03-01T10:00:00Z")
            })
            .collect();
        let plan = plan(
            &findings,
            |account| (0..40).find(|n| id(*n) == *account).map(|n| &accounts[n]),
            &Style::default(),
        );
        let order: Vec<&str> = plan
            .updates
            .iter()
            .map(|of| of.findings[0].id.as_str())
            .collect();
        let last_in_first_half = order.iter().take(20).filter(|name| **name >= "account-20");
        assert!(last_in_first_half.count() > 4, "{order:?}");
    }

    #[test]
    fn the_newest_event_of_a_finding_counts() {
        let old = finding("a", "2026-03-01T10:00:00Z");
        let mut new = finding("a", "2026-03-01T10:00:01Z");
        new.note = Some(FindingNote {
            text: "mine".into(),
            updated_by: "ana".into(),
        });
        for order in [[&old, &new, &old], [&new, &old, &new]] {
            assert_eq!(newest(order).collect::<Vec<_>>(), [&new]);
        }
        // The same second: the one with a person's note.
        let same = finding("a", "2026-03-01T10:00:01Z");
        assert_eq!(newest([&new, &same]).collect::<Vec<_>>(), [&new]);
    }

    #[test]
    fn the_same_id_of_two_products_is_two_findings() {
        let one = finding("a", "");
        let mut other = finding("a", "");
        other.id.product_arn = "q".into();
        assert_eq!(newest([&one, &other]).count(), 2);
    }

    #[test]
    fn a_finding_that_says_it_all_is_left_alone() {
        let entry = entry(&[("team", "payments")]);
        let style = Style::default();
        let finding = finding("a", "");
        let first = plan([&finding], |_| Some(&entry), &style).updates.remove(0);
        let finding = enriched(finding, first.update);
        let again = plan([&finding], |_| Some(&entry), &style);
        assert_eq!(again.updates, []);
        assert_eq!(again.unchanged, [finding.id]);
    }

    #[test]
    fn a_finding_with_fifty_fields_of_others_gets_a_note_and_is_then_left_alone() {
        let entry = entry(&[("team", "payments")]);
        let style = Style::default();
        let mut finding = finding("a", "");
        finding.user_defined_fields = (0..50)
            .map(|n| (format!("theirs{n}"), "v".into()))
            .collect();
        let first = update(&finding, &entry, &style).unwrap();
        assert_eq!(first.user_defined_fields, finding.user_defined_fields);
        assert!(first.note.is_some());
        let noted = enriched(finding.clone(), first);
        assert_eq!(update(&noted, &entry, &style), None);
        // There is nowhere to say anything.
        finding.note = Some(FindingNote {
            text: "accepted".into(),
            updated_by: "ana".into(),
        });
        assert_eq!(update(&finding, &entry, &style), None);
    }

    #[test]
    fn a_finding_that_is_too_large_gets_the_least_and_keeps_to_it() {
        let style = Style::default();
        let mut finding = finding("a", "");
        finding.user_defined_fields = map(&[("ticket", "SEC-1")]);
        let least = smallest(&finding, &entry(&[("team", "payments")]), &style);
        assert_eq!(
            least.user_defined_fields,
            map(&[
                ("AccountName", "payments-prod"),
                ("enrichmentNotShown", "the finding is too large for more"),
                (ENRICHED, "True"),
                ("ticket", "SEC-1"),
            ])
        );
        assert_eq!(least.note, None);
        let finding = enriched(finding, least);
        assert_eq!(update(&finding, &entry(&[("team", "red")]), &style), None);
        let renamed = AccountEntry {
            name: "payments-live".into(),
            ..entry(&[])
        };
        let update = update(&finding, &renamed, &style).unwrap();
        assert_eq!(update.user_defined_fields["AccountName"], "payments-live");
        assert_eq!(update.user_defined_fields.len(), 4);
    }

    #[test]
    fn what_an_account_shows_decides_whether_its_findings_are_updated() {
        let style = Style::default();
        let old = entry(&[("team", "red")]);
        let same = AccountEntry {
            refreshed_at: 7,
            re_enriched_at: Some(7),
            version: 7,
            ..old.clone()
        };
        assert_eq!(shown(&old, &style), shown(&same, &style));
        assert_ne!(
            shown(&old, &style),
            shown(&entry(&[("team", "blue")]), &style)
        );
        assert_eq!(
            shown(&old, &style).note.unwrap().updated_by,
            AUTHOR.to_owned()
        );
    }

    #[test]
    fn fields_of_an_earlier_entry_are_replaced_and_others_stay() {
        let style = Style::default();
        let old = entry(&[("gone", "x"), ("team", "red"), ("cost", "1")]);
        let new = entry(&[("team", "blue"), ("cost", "1")]).succeeding(&old);
        let mut theirs = finding("a", "");
        theirs.user_defined_fields = map(&[("ticket", "SEC-1")]);
        let first = update(&theirs, &old, &style).unwrap();
        assert_eq!(first.user_defined_fields["gone"], "x");
        let second = update(&enriched(theirs.clone(), first), &new, &style).unwrap();
        assert_eq!(Some(second), update(&theirs, &new, &style));
    }
}
