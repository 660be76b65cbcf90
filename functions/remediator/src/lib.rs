//! `remediator`: changes one resource in a member account, or says what it would change.
//!
//! It decides nothing: `remediation-planner` orders, `remediation-proxy` passes the order on. Read it in this order:
//! * [`action`]: what an action is: read, plan, apply. [`actions`]: all of them, a file for each family of controls and
//!   one row for each action in [`actions::ACTIONS`].
//! * [`action_row`]: an action in that table.
//! * [`runner`]: the same steps for every action: read, plan, apply, read back; and back again in an undo. [`undo`]: how
//!   the states of a fix are compared then.
//! * [`permission`]: the permissions that an action declares; [`session_policy`]: the policy that its calls are made with;
//!   [`member_policy`]: the policy of the role in member accounts.
//! * [`member`]: the credentials for one order. [`refusal`]: what a refused call means, in words.
//! * [`policy_document`], [`parameters`], [`ports`], [`security_group_rule`], [`network_acl`], [`selectors`],
//!   [`cis_filters`]: what actions know, as plain values.
//! * [`who_changed`]: who changed a resource last, as the account's trail has it.
//! * [`handler`]: an order in, a report out.
//! * [`calls`]: what it may call, as IAM names it.

pub mod action;
pub mod action_row;
pub mod actions;
pub mod calls;
pub mod cis_filters;
#[cfg(test)]
mod fuzz;
pub mod handler;
pub mod member;
pub mod member_policy;
pub mod network_acl;
pub mod parameters;
pub mod permission;
pub mod policy_document;
pub mod ports;
pub mod refusal;
pub mod runner;
pub mod security_group_rule;
pub mod selectors;
pub mod session_policy;
pub mod undo;
pub mod who_changed;
