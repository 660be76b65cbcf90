//! The playbook in force: the file that its bucket has, or the shipped one.

use orgkeeper_shared::versioned_file::active::{self, ActiveFile, NoFile, RefusedFile, Written};

use crate::{playbook::Playbook, playbook_file::PlaybookError};

/// The shipped playbook.
pub const SHIPPED: &str = include_str!("../../../infra/playbook.toml");

/// The playbook in force.
pub type InForce = active::InForce<Playbook>;
/// Keeps the playbook in force.
pub type ActivePlaybook = ActiveFile<Playbook>;
/// A version of the playbook that is refused.
pub type RefusedPlaybook = RefusedFile;
/// Why there is no playbook.
pub type NoPlaybook = NoFile;

impl Written for Playbook {
    const KEY: &'static str = "playbook.toml";

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        Self::parse(text).map_err(|PlaybookError(faults)| faults)
    }

    fn shipped() -> Result<Self, Vec<String>> {
        Self::parse(SHIPPED).map_err(|PlaybookError(faults)| faults)
    }
}
