//! What was decided about versions of `posture.toml`, in the table `Posture`: a version that names a unit or an account which
//! the organization does not have is refused when it is uploaded, and not later because a unit was renamed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The key of the item.
pub const KEY: &str = "file";
/// Refused versions that are remembered.
const MOST: usize = 100;

/// Why a version is refused, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Refusal {
    /// When it was decided.
    pub at: Timestamp,
    /// What is wrong with it, each fault with its line and what to do.
    pub faults: Vec<String>,
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

    /// With what was decided about a version: it is in force if it has no faults.
    #[must_use]
    pub fn with(mut self, version: &str, faults: Vec<String>, now: Timestamp) -> Self {
        self.newest = Some(version.to_owned());
        if faults.is_empty() {
            self.refused.remove(version);
            return self;
        }
        let refusal = Refusal { at: now, faults };
        self.refused.insert(version.to_owned(), refusal);
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
        let right = verdicts.with("v149", vec![], at(200));
        assert!(!right.refused_versions().contains("v149"));
    }
}
