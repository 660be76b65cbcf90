//! The files that call AWS and Slack. SDK types do not leave them.

pub mod chat_topic;
pub mod shared_backoff;
pub mod webhook;
pub mod webhook_secret;
