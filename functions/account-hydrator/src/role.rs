//! The role in member accounts, and its session.

/// The role in every member account (`infra/member-account.yaml`).
pub const ROLE: &str = "OrgkeeperBaseline";
/// The session's name in the trail of the member account.
pub const SESSION: &str = "orgkeeper-hydrator";
