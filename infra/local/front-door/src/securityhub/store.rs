//! The findings, in the order of their first import.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::finding::{self, Finding, Key};
use super::limits;

#[derive(Debug)]
struct Stored {
    finding: Finding,
    /// Fields that a customer has set; an import does not change them.
    chosen: BTreeSet<String>,
}

/// All findings of the organization. None is ever removed, so an index into the list stays valid.
#[derive(Debug, Default)]
pub(crate) struct Store {
    indexes: HashMap<Key, usize>,
    findings: Vec<Stored>,
}

impl Store {
    /// All findings, oldest first.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().map(|it| &it.finding)
    }

    /// Whether the finding is unknown, or newer than the stored one.
    pub(crate) fn is_news(&self, key: &Key, incoming: &Finding) -> bool {
        let stored = self
            .indexes
            .get(key)
            .and_then(|index| self.findings.get(*index));
        stored.is_none_or(|stored| finding::is_newer(incoming, &stored.finding, false))
    }

    /// Stores a finding; `None` if the stored one is newer.
    pub(crate) fn import(
        &mut self,
        key: Key,
        incoming: Finding,
        now: Timestamp,
    ) -> Option<&Finding> {
        let index = self.indexes.get(&key).copied();
        if let Some(stored) = index.and_then(|index| self.findings.get(index))
            && !finding::is_newer(&incoming, &stored.finding, true)
        {
            return None;
        }
        let incoming = finding::complete(incoming, now);
        let index = index.unwrap_or(self.findings.len());
        if let Some(stored) = self.findings.get_mut(index) {
            stored.finding = finding::imported_again(&stored.finding, &stored.chosen, incoming);
        } else {
            self.indexes.insert(key, index);
            self.findings.push(Stored {
                finding: incoming,
                chosen: BTreeSet::new(),
            });
        }
        self.findings.get(index).map(|it| &it.finding)
    }

    /// Sets a customer's fields; the error is the finding's `ErrorCode` and message. A finding that
    /// the caller does not see is not found.
    pub(crate) fn update(
        &mut self,
        key: &Key,
        sees: impl Fn(&Finding) -> bool,
        fields: &Finding,
        now: Timestamp,
    ) -> Result<&Finding, (String, String)> {
        let stored = self
            .indexes
            .get(key)
            .and_then(|index| self.findings.get_mut(*index))
            .filter(|stored| sees(&stored.finding))
            .ok_or_else(|| ("FindingNotFound".to_owned(), "Finding Not Found".to_owned()))?;
        let updated = finding::updated(&stored.finding, fields, now);
        limits::size(&updated)?;
        stored.finding = updated;
        stored.chosen.extend(fields.keys().cloned());
        Ok(&stored.finding)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::finding::tests::sample;
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn titled(title: &str, updated_at: &str) -> (Key, Finding) {
        let mut finding = sample("1");
        finding.insert("Title".to_owned(), json!(title));
        finding.insert("UpdatedAt".to_owned(), json!(updated_at));
        (finding::key(&finding).unwrap(), finding)
    }

    #[test]
    fn an_older_import_changes_nothing() {
        let mut store = Store::default();
        let (key, newer) = titled("newer", "2026-03-02T00:00:00Z");
        let (_, older) = titled("older", "2026-03-01T00:00:00Z");
        assert!(store.import(key.clone(), newer.clone(), NOW).is_some());
        assert!(!store.is_news(&key, &newer));
        assert!(store.import(key.clone(), older, NOW).is_none());
        let (_, newest) = titled("newest", "2026-03-03T00:00:00Z");
        assert!(store.is_news(&key, &newest));
        assert_eq!(store.import(key, newest, NOW).unwrap()["Title"], "newest");
        assert_eq!(store.findings().count(), 1);
    }

    #[test]
    fn an_unseen_finding_is_not_found() {
        let mut store = Store::default();
        let (key, finding) = titled("one", "2026-03-02T00:00:00Z");
        let fields = Finding::from_iter([("Confidence".to_owned(), json!(1))]);
        let code = |it: Result<&Finding, (String, String)>| it.unwrap_err().0;
        assert_eq!(
            code(store.update(&key, |_| true, &fields, NOW)),
            "FindingNotFound"
        );
        store.import(key.clone(), finding, NOW);
        assert_eq!(
            code(store.update(&key, |_| false, &fields, NOW)),
            "FindingNotFound"
        );
        assert!(store.update(&key, |_| true, &fields, NOW).is_ok());
    }

    #[test]
    fn a_customers_field_survives_the_next_import() {
        let mut store = Store::default();
        let (key, finding) = titled("one", "2026-03-02T00:00:00Z");
        store.import(key.clone(), finding.clone(), NOW);
        let fields = json!({"Severity": {"Label": "LOW"}, "Workflow": {"Status": "SUPPRESSED"}});
        let fields = fields.as_object().unwrap();
        store.update(&key, |_| true, fields, NOW).unwrap();
        let after = store.import(key, finding, NOW).unwrap();
        assert_eq!(after["Severity"]["Label"], "LOW");
        assert_eq!(after["Workflow"]["Status"], "SUPPRESSED");
    }
    #[test]
    fn a_finding_that_would_be_too_large_stays_as_it_is_and_takes_less() {
        let mut store = Store::default();
        let (key, mut finding) = titled("one", "2026-03-02T00:00:00Z");
        let resource = |number: usize| {
            let other: serde_json::Map<String, Value> = (0..7)
                .map(|it| (format!("k{it}"), json!("x".repeat(1_000))))
                .collect();
            json!({"Type": "Other", "Id": number.to_string(), "Details": {"Other": other}})
        };
        let resources: Vec<Value> = (0..32).map(resource).collect();
        finding.insert("Resources".to_owned(), json!(resources));
        let used = serde_json::to_vec(&finding).unwrap().len();
        // A thousand bytes below the limit.
        let padding = "x".repeat(240 * 1024 - 1_000 - used);
        finding.insert("SomethingNew".to_owned(), json!(padding));
        assert_eq!(limits::finding(&finding), Ok(()));
        store.import(key.clone(), finding, NOW);

        let fields = |length: usize| {
            let fields = json!({"UserDefinedFields": {"a": "v".repeat(length)}});
            fields.as_object().unwrap().clone()
        };
        let (code, _) = store
            .update(&key, |_| true, &fields(1_000), NOW)
            .unwrap_err();
        assert_eq!(code, "FindingSizeExceeded");
        let stored = store.findings().next().unwrap();
        assert!(!stored.contains_key("UserDefinedFields"));
        assert!(store.update(&key, |_| true, &fields(100), NOW).is_ok());
    }
}
