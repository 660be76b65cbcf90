//! `slack-notifier`: posts alerts to Slack, one after the other, the most severe first.
//!
//! Read it in this order:
//! * [`config`]: the settings that the template passes. [`webhook_location`]: one of them.
//! * [`message`]: a message of the queue, an alert or anything else.
//! * [`card`]: what is shown of it. [`escape`]: makes foreign text harmless. [`blocks`]: a card for Slack.
//!   [`notification`]: a card for Amazon Q Developer in chat applications.
//! * [`webhook_address`], [`slack_answer`], [`post_error`]: posting, as plain values.
//! * [`backoff`]: how long nothing is posted. [`delivery_failure`]: what cannot be posted, and the mail about it.
//! * [`memory`]: what was posted before. A critical alert does not wait for it.
//! * [`gateway`]: the files that call AWS and Slack. [`channel`]: posts a message to one of two of them.
//! * [`handler`]: a batch of messages in, the messages to be retried out. [`setup`]: the clients.
//! * [`calls`]: what it may call, as IAM names it.
//!
//! An alert is posted once: it has an idempotency record, claimed before the post and completed after it. There are
//! two exceptions. If it is unknown whether a post arrived (no answer in time, a crash), the alert is posted again: a
//! duplicate is better than a lost alert. If the record cannot be claimed within a second, a critical alert is posted
//! nevertheless, once by each instance, and says that it may be a duplicate.
//!
//! Critical alerts have a queue of their own, so that they never wait behind others. Lesser ones wait while a critical
//! one does: they read the shared backoff every half second.

pub mod backoff;
pub mod blocks;
pub mod calls;
pub mod card;
pub mod channel;
pub mod config;
pub mod delivery_failure;
pub mod escape;
pub mod gateway;
pub mod handler;
pub mod memory;
pub mod message;
pub mod notification;
pub mod post_error;
pub mod setup;
pub mod slack_answer;
pub mod webhook_address;
pub mod webhook_location;
