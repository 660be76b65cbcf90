//! `remediation-approver`: a person answers a request for a fix by a signed link.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`request`]: what a browser sends, within limits.
//! * [`page`]: what a person sees. Everything from outside is escaped, and nothing on a page runs.
//! * [`handler`]: GET shows the change and a form, POST answers. [`setup`]: the clients.
//! * [`calls`]: what it may call, as IAM names it.
//!
//! Programs that look at mail open every link: so GET changes nothing. Nothing is called before the signature is verified.

pub mod calls;
pub mod config;
pub mod handler;
pub mod page;
pub mod request;
pub mod setup;
