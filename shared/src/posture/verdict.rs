//! What was decided about versions of `posture.toml`, in the table `Posture`: a version that names a unit or an account which
//! the organization does not have is refused when it is uploaded, and not later because a unit was renamed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::file::PostureFile;
use crate::versioned_file::active::{ActiveFile, InForce, NoFile};

/// The key of the item.
pub const KEY: &str = "file";
/// Refused versions that are remembered.
const MOST: usize = 100;
/// Of these, the newest that are remembered with their faults.
const WITH_FAULTS: usize = 10;
/// Faults of a version that are remembered, and characters of one: the item has to fit into 400 KB.
const MOST_FAULTS: usize = 50;
const CHARACTERS: usize = 300;

/// Why a version is refused, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Refusal {
    /// When it was decided.
    pub at: Timestamp,
    /// What is wrong with it, each fault with its line and what to do; of many the first. None of an older version.
    pub faults: Vec<String>,
}

/// As many faults as are remembered.
#[must_use]
pub fn remembered(mut faults: Vec<String>) -> Vec<String> {
    let more = faults.len().saturating_sub(MOST_FAULTS);
    faults.truncate(MOST_FAULTS);
    for fault in &mut faults {
        if let Some((end, _)) = fault.char_indices().nth(CHARACTERS) {
            fault.truncate(end);
            fault.push('…');
        }
    }
    faults.extend((more > 0).then(|| format!("and {more} more")));
    faults
}

/// The item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FileVerdicts {
    /// The table's key, [`KEY`].
    pub pair: String,
    /// The newest version that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
    /// The versions that are refused.
    #[serde(default)]
    pub refused: BTreeMap<String, Refusal>,
}

impl Default for FileVerdicts {
    fn default() -> Self {
        Self {
            pair: KEY.to_owned(),
            newest: None,
            refused: BTreeMap::new(),
        }
    }
}

impl FileVerdicts {
    /// The versions that are not to come into force.
    #[must_use]
    pub fn refused_versions(&self) -> BTreeSet<String> {
        self.refused.keys().cloned().collect()
    }

    /// The file in force: the newest that is not refused, read again if another one was uploaded than the process knows.
    ///
    /// # Errors
    /// As [`ActiveFile::in_force`].
    pub async fn in_force(
        &self,
        file: &ActiveFile<PostureFile>,
        now: Timestamp,
    ) -> Result<Arc<InForce<PostureFile>>, NoFile> {
        let refused = self.refused_versions();
        let newest = self.newest.as_deref();
        let newest = newest.filter(|newest| !refused.contains(*newest));
        file.in_force_without(now, &refused, newest).await
    }

    /// With what was decided about a version: it is in force if it has no faults.
    #[must_use]
    pub fn with(mut self, version: &str, faults: Vec<String>, now: Timestamp) -> Self {
        self.newest = Some(version.to_owned());
        if faults.is_empty() {
            self.refused.remove(version);
            return self;
        }
        let faults = remembered(faults);
        let refusal = Refusal { at: now, faults };
        self.refused.insert(version.to_owned(), refusal);
        let mut newest: Vec<&mut Refusal> = self.refused.values_mut().collect();
        newest.sort_by_key(|refusal| std::cmp::Reverse(refusal.at));
        for older in newest.into_iter().skip(WITH_FAULTS) {
            older.faults.clear();
        }
        while self.refused.len() > MOST {
            let oldest = self.refused.iter().min_by_key(|(_, refusal)| refusal.at);
            let Some(oldest) = oldest.map(|(version, _)| version.clone()) else {
                break;
            };
            self.refused.remove(&oldest);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_refused_until_it_is_found_right() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut verdicts = FileVerdicts::default();
        for second in 0..150 {
            let fault = vec!["line 1: no unit".to_owned()];
            verdicts = verdicts.with(&format!("v{second}"), fault, at(second));
        }
        assert_eq!(verdicts.refused.len(), MOST);
        assert!(!verdicts.refused.contains_key("v49") && verdicts.refused.contains_key("v50"));
        let item: serde_dynamo::Item = serde_dynamo::to_item(&verdicts).unwrap();
        assert_eq!(
            serde_dynamo::from_item::<_, FileVerdicts>(item).unwrap(),
            verdicts
        );
        let with_faults = verdicts.refused.values().filter(|it| !it.faults.is_empty());
        assert_eq!(with_faults.count(), WITH_FAULTS);
        let right = verdicts.with("v149", vec![], at(200));
        assert!(!right.refused_versions().contains("v149"));
    }

    #[test]
    fn many_long_faults_fit_into_an_item() {
        let mut verdicts = FileVerdicts::default();
        let faults = vec!["ä".repeat(2_000); 4_000];
        for second in 0..200 {
            let at = Timestamp::from_second(second).unwrap();
            verdicts = verdicts.with(&format!("{second:032}"), faults.clone(), at);
        }
        assert!(serde_json::to_vec(&verdicts).unwrap().len() < 400_000);
        let last = &verdicts.refused[&format!("{:032}", 199)].faults;
        assert_eq!(last.len(), MOST_FAULTS + 1);
        assert_eq!(last[MOST_FAULTS], "and 3950 more");
    }
}
