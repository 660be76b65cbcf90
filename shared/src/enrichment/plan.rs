//! Which findings of a batch share an update.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, hash_map},
};

use crate::{
    account_directory::entry::AccountEntry,
    ids::{AccountId, FindingId},
    security_hub::{FINDINGS_PER_UPDATE, Finding, FindingUpdate},
};

use super::{fields::user_defined_fields, note::note};

/// What a batch of findings comes down to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Each update with the findings that get it, at most [`FINDINGS_PER_UPDATE`] different ones a time.
    pub updates: Vec<(FindingUpdate, Vec<FindingId>)>,
    /// Findings that say already what they would be made to say.
    pub unchanged: Vec<FindingId>,
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

/// Groups findings by the update that they get; an account that `entry_of` does not know is left out.
///
/// `ours` are fields that an earlier entry of the account put on findings: one that is unchanged since then
/// is replaced.
pub fn plan<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
    ours: &BTreeMap<String, String>,
    entry_of: impl Fn(&AccountId) -> Option<&'a AccountEntry>,
) -> Plan {
    let mut unchanged = Vec::new();
    let mut by_update: BTreeMap<FindingUpdate, Vec<FindingId>> = BTreeMap::new();
    for finding in findings {
        let Some(entry) = entry_of(&finding.account) else {
            continue;
        };
        let others: BTreeMap<String, String> = finding
            .user_defined_fields
            .iter()
            .filter(|(name, value)| ours.get(*name) != Some(value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let update = FindingUpdate {
            user_defined_fields: user_defined_fields(&others, entry).map,
            note: note(finding.note.as_ref(), entry),
        };
        if update.note.is_none() && update.user_defined_fields == finding.user_defined_fields {
            unchanged.push(finding.id.clone());
        } else {
            by_update
                .entry(update)
                .or_default()
                .push(finding.id.clone());
        }
    }
    let mut updates: Vec<_> = by_update
        .into_iter()
        .flat_map(|(update, mut findings)| {
            findings.sort();
            findings
                .chunks(FINDINGS_PER_UPDATE)
                .map(|chunk| (update.clone(), chunk.to_vec()))
                .collect::<Vec<_>>()
        })
        .collect();
    // Should time run out, most findings are done.
    updates.sort_by_key(|(_, findings)| Reverse(findings.len()));
    Plan { updates, unchanged }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{enrichment::fields::tests::entry, security_hub::FindingNote};

    fn finding(id: &str, seen_at: &str) -> Finding {
        Finding {
            id: FindingId {
                id: id.into(),
                product_arn: "p".into(),
            },
            account: "111122223333".parse().unwrap(),
            user_defined_fields: BTreeMap::new(),
            note: None,
            seen_at: seen_at.into(),
        }
    }

    #[test]
    fn findings_of_an_account_share_calls_of_a_hundred() {
        let findings: Vec<Finding> = (0..250).map(|n| finding(&n.to_string(), "")).collect();
        let entry = entry(&[("team", "payments")]);
        let plan = plan(&findings, &BTreeMap::new(), |_| Some(&entry));
        let sizes: Vec<usize> = plan.updates.iter().map(|(_, of)| of.len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        assert_eq!(plan.unchanged, []);
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
        let mut finding = finding("a", "");
        let update = plan([&finding], &BTreeMap::new(), |_| Some(&entry))
            .updates
            .remove(0)
            .0;
        finding.user_defined_fields = update.user_defined_fields;
        finding.note = update.note.map(|note| FindingNote {
            text: note.text,
            updated_by: note.updated_by,
        });
        let again = plan([&finding], &BTreeMap::new(), |_| Some(&entry));
        assert_eq!(again.updates, []);
        assert_eq!(again.unchanged, [finding.id]);
    }

    #[test]
    fn fields_of_an_earlier_entry_give_way_and_others_stay() {
        let (old, new) = (
            entry(&[("gone", "x"), ("team", "red"), ("cost", "1")]),
            entry(&[("team", "blue"), ("cost", "1")]),
        );
        let mut finding = finding("a", "");
        finding.user_defined_fields = user_defined_fields(&BTreeMap::new(), &old).map;
        finding
            .user_defined_fields
            .insert("ticket".into(), "SEC-1".into());
        let ours = user_defined_fields(&BTreeMap::new(), &old).map;
        let update = plan([&finding], &ours, |_| Some(&new)).updates.remove(0).0;
        let mut expected = user_defined_fields(&BTreeMap::new(), &new).map;
        expected.insert("ticket".into(), "SEC-1".into());
        assert_eq!(update.user_defined_fields, expected);
    }
}
