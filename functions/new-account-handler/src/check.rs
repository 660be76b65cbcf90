//! Checking a file: what its results would say, while nothing is started.

use std::collections::{BTreeSet, HashMap};

use orgkeeper_shared::vending::{file::FileId, request::AccountRequest, submission::Submission};

use crate::{
    access::Names,
    csv::{self, Fault, File, Owner, Refusal, Row},
    message::acceptable,
    plan::{Decision, RequestedAccount, decide},
    results::{self, Counts},
    rules::{faults_of_form, faults_of_repetition, in_words},
    upload_processor::{NotRead, UploadError, UploadProcessor, name_taken},
};

/// What a file asks for, and what the results say of it.
#[derive(Debug)]
pub struct Checked {
    /// The results.
    pub results: File,
    /// Its rows, counted by what would become of them.
    pub counts: Counts,
    /// Whether nothing of the file could be used.
    pub is_refused: bool,
}

impl Checked {
    /// Nothing of the file could be used.
    fn refused(refusal: &Refusal) -> Self {
        Self {
            results: File::refused(&refusal.0),
            counts: Counts::default(),
            is_refused: true,
        }
    }

    /// Whether somebody has to correct something.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        self.is_refused || self.counts.refused > 0
    }
}

/// Checks what can be checked without AWS: the form of the file and of each cell, and what two rows share. The status
/// of a row without a fault stays empty.
#[must_use]
pub fn check_form(key: &str, bytes: &[u8], owner: Owner) -> Checked {
    let read = acceptable(key, bytes.len() as u64).and_then(|()| csv::read(bytes, owner));
    let mut results = match read {
        Ok(file) => file,
        Err(refusal) => return Checked::refused(&refusal),
    };
    let mut counts = Counts::default();
    let repetitions = faults_of_repetition(&results.rows);
    for (row, repetition) in results.rows.iter_mut().zip(repetitions) {
        let mut faults = faults_of_form(row, false, owner);
        faults.extend(repetition);
        if faults.is_empty() {
            counts.started += 1;
            results::clear(row);
        } else {
            refuse(row, &faults, &mut counts);
        }
    }
    Checked {
        results,
        counts,
        is_refused: false,
    }
}

impl UploadProcessor {
    /// What the results of this file would say if it were uploaded under this key now. Starts, writes and publishes
    /// nothing.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn check(&self, key: &str, bytes: &[u8]) -> Result<Checked, UploadError> {
        match self.checked(key, bytes).await {
            Ok(checked) => Ok(checked),
            Err(NotRead::Refused(refusal)) => Ok(Checked::refused(&refusal)),
            Err(NotRead::Failed(error)) => Err(error),
        }
    }

    async fn checked(&self, key: &str, bytes: &[u8]) -> Result<Checked, NotRead> {
        acceptable(key, bytes.len() as u64)?;
        let mut results = csv::read(bytes, self.owner())?;
        // Boxed: so many calls at once make a large future.
        let names = Names::of(&results.rows);
        let (mut organization, catalog) = Box::pin(self.read_organization(&names)).await?;
        self.read_existing(&results.rows, &mut organization, catalog.as_ref())
            .await?;
        let requested: Vec<RequestedAccount<'_>> = results
            .rows
            .iter()
            .zip(faults_of_repetition(&results.rows))
            .map(|(row, repetition)| {
                RequestedAccount::of(row, repetition, &organization, catalog.as_ref())
            })
            .collect();
        let keys: Vec<String> = requested.iter().filter_map(RequestedAccount::key).collect();
        let held = self.ledger.read(keys.iter().map(String::as_str)).await?;
        // No file has this version.
        let file = FileId {
            key: key.to_owned(),
            version: String::new(),
        };
        let decided: Vec<Decision> = requested
            .iter()
            .map(|requested| {
                let held = requested.key().and_then(|key| held.get(&key));
                decide(requested, held, &organization, &file, 0)
            })
            .collect();
        let names = decided.iter().filter_map(started);
        let names = names.map(|request| request.account_name.as_str());
        let holders = self.holders_of(names).await?;
        let mut accepted = BTreeSet::new();
        let mut counts = Counts::default();
        for (row, decision) in results.rows.iter_mut().zip(decided) {
            let holder = started(&decision)
                .and_then(|request| {
                    let holder = holders.get(&request.account_name.to_lowercase())?;
                    (*holder != request.account_email).then_some(holder)
                })
                .map(|holder| name_taken(holder));
            match (holder, decision) {
                (Some(fault), _) => refuse(row, &[fault], &mut counts),
                (None, Decision::Submit(_, request) | Decision::Exists(request)) => {
                    accepted.insert(request.account_email.clone());
                    counts.accepted(&request, request.is_of(&file));
                    results::fill_in(row, &request);
                }
                (None, Decision::Refused(faults)) => refuse(row, &faults, &mut counts),
            }
        }
        if let Some(former) = self.bucket.results(key).await? {
            counts.taken_back = self
                .would_take_back(&file, &former, &accepted, &mut results)
                .await?;
        }
        Ok(Checked {
            results,
            counts,
            is_refused: false,
        })
    }

    /// Which of these account names requests in progress have: names in lower case, each with its request's key.
    async fn holders_of(
        &self,
        names: impl Iterator<Item = &str>,
    ) -> Result<HashMap<String, String>, NotRead> {
        let mut holders = self.ledger.names_in_progress(names).await?;
        let held = self
            .ledger
            .read(holders.values().map(String::as_str))
            .await?;
        // Somebody deleted the request that had the name.
        holders.retain(|_, email| held.get(email).is_some_and(|it| !it.status.ended()));
        Ok(holders)
    }
}

/// The request that a decision starts.
fn started(decision: &Decision) -> Option<&AccountRequest> {
    match decision {
        Decision::Submit(Submission::Start { request, .. }, _) => Some(request),
        Decision::Submit(Submission::Follow { .. }, _)
        | Decision::Exists(_)
        | Decision::Refused(_) => None,
    }
}

fn refuse(row: &mut Row, faults: &[Fault], counts: &mut Counts) {
    counts.refused += 1;
    results::refuse(row, &in_words(row.line, faults));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::Column;

    #[test]
    fn the_form_is_checked_without_aws() {
        let file =
            b"AccountName;AccountEmail;OrgUnit\nfirst;a@b.example;Sandbox\nfirst;c@d.example;\n";
        let checked = check_form("a.csv", file, Owner::Optional);
        assert!(checked.has_faults());
        assert_eq!((checked.counts.started, checked.counts.refused), (1, 1));
        let words: Vec<&str> = checked
            .results
            .rows
            .iter()
            .map(|row| row.get(Column::ErrorMsg))
            .collect();
        assert_eq!(
            words,
            [
                "",
                "line 3, OrgUnit: is empty; line 3, AccountName: is the same as in line 2"
            ]
        );
        assert!(check_form("a.csv", file, Owner::Required).is_refused);
        assert!(check_form("a.txt", file, Owner::Optional).is_refused);
    }
}
