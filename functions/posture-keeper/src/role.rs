//! The role in accounts, and its session.

/// The role in every account (`infra/member-account.yaml`).
pub const ROLE: &str = "OrgkeeperPosture";
/// The session's name in the trail of the account.
pub const SESSION: &str = "orgkeeper-posture-keeper";
