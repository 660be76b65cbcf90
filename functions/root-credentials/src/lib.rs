//! `root-credentials`: takes the credentials of the root user from member accounts (IAM.4, IAM.6, IAM.9), or says what it
//! would take. It runs in the management account, and only if the template's parameter `RootCredentials` is `on`.
//!
//! Read it in this order:
//! * [`handler`]: an order in, a report out.
//! * [`credentials`]: what the root user of an account has, and what a control leaves of it.
//! * [`root_session`]: a session as root, limited to one task, and the calls that are made with it.
//! * [`calls`]: what it may call.

pub mod calls;
pub mod credentials;
pub mod handler;
pub mod root_session;
