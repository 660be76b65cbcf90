//! `posture-planner`: decides what `organization-surveyor` looks at and what `posture-keeper` keeps, and when. It calls nothing in
//! other accounts.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`hints`]: the calls after which a look is worth it. [`starts`]: what a message or event starts.
//! * [`survey`]: a survey of many accounts, in parts. [`pacing`]: when a hinted pair is looked at.
//! * [`switched`]: the calls that undo a setting. [`keep`]: a run over all settings, in parts.
//! * [`gateway`]: the table, and the controls of Security Hub. [`handler`]: a batch in, tasks out. [`setup`]: the clients.
//! * [`calls`]: what it may call, as IAM names it.

pub mod calls;
pub mod config;
pub mod gateway;
pub mod handler;
pub mod hints;
pub mod keep;
pub mod pacing;
pub mod setup;
pub mod starts;
pub mod survey;
pub mod switched;
