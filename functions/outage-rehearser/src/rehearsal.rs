//! A rehearsal as people ask for it.

use std::fmt;

use jiff::Timestamp;
use orgkeeper_shared::ids::AccountId;
use sha2::{Digest, Sha256};

use crate::denial::Denial;

/// What a rehearsal is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The root: everything. It is refused.
    Root(String),
    /// An organizational unit, and all below it.
    Unit(String),
    /// An account.
    Account(AccountId),
}

impl Target {
    /// Its id, as AWS Organizations has it.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Root(id) | Self::Unit(id) => id,
            Self::Account(account) => account.as_str(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}

/// A rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// Its line in the file.
    pub line: usize,
    /// Its name: letters, digits and hyphens, forty at most.
    pub name: String,
    /// Whom it reaches.
    pub target: Target,
    /// What is denied.
    pub denial: Denial,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// The break-glass role to which nothing is denied: its name, with its path if it has one.
    pub exempt_role: Option<String>,
}

impl Rehearsal {
    /// What identifies it: its name and its beginning, so that the same one can be held again on another day.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}#{}", self.name, self.from)
    }

    /// What changes if anything about it but its line does.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let Self {
            line: _,
            name,
            target,
            denial,
            from,
            until,
            exempt_role,
        } = self;
        let whole = format!("{name} {target} {denial:?} {from} {until} {exempt_role:?}");
        hex::encode(&Sha256::digest(whole)[..4])
    }

    /// The name of its policy, which is another one if the rehearsal is.
    #[must_use]
    pub fn policy_name(&self) -> String {
        let from = self.from.strftime("%Y%m%dT%H%MZ");
        format!("{POLICY_PREFIX}{}-{from}-{}", self.name, self.fingerprint())
    }
}

/// What the name of every policy of ours begins with.
pub const POLICY_PREFIX: &str = "orgkeeper-rehearsal-";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::rehearsal;

    #[test]
    fn another_rehearsal_has_another_policy() {
        let one = rehearsal();
        assert_eq!(one.id(), "dns#2026-12-01T10:00:00Z");
        assert!(
            one.policy_name()
                .starts_with("orgkeeper-rehearsal-dns-20261201T1000Z-")
        );
        let moved = Rehearsal {
            line: 99,
            ..one.clone()
        };
        assert_eq!(moved.policy_name(), one.policy_name());
        let other = Rehearsal {
            target: Target::Unit("ou-ab12-other000".to_owned()),
            ..one.clone()
        };
        assert_ne!(other.policy_name(), one.policy_name());
        assert_eq!(other.id(), one.id());
    }

    #[test]
    fn the_longest_name_fits() {
        let longest = Rehearsal {
            name: "n".repeat(40),
            ..rehearsal()
        };
        assert!(longest.policy_name().len() <= 128);
    }
}
