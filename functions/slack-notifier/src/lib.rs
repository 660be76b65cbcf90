//! `slack-notifier`: tells alerts in Slack, one after the other, the worst first.
//!
//! Read it in this order:
//! * [`config`]: what the template sets.
//! * [`message`]: a message of the queue: an alert, or what is none, and its turn.
//! * [`card`]: what is shown of it, in the order in which it is read.
//! * [`escape`]: text that is not ours, made harmless; [`blocks`]: a card as Slack takes it;
//!   [`text`]: such a message on a terminal.
//! * [`notification`]: a card as Amazon Q Developer in chat applications takes it.
//! * [`channel`]: where cards are posted, and what can come of it; [`webhook`] with its [`address`],
//!   [`chat`] for Amazon Q.
//! * [`pause`]: how long nothing is posted; [`pauses`]: where every invocation reads that.
//! * [`trouble`]: what cannot be told in Slack, told by mail.
//! * [`handler`]: a batch of messages in, those that have to come back out.
//! * [`setup`]: the clients that it works with.
//!
//! No alert is posted twice: a record of each is begun before and done after. There is one exception. When
//! nobody knows whether a post arrived (no answer in time, a crash in between), it is posted again: told
//! twice rather than never.

pub mod address;
pub mod blocks;
pub mod card;
pub mod channel;
pub mod chat;
pub mod config;
pub mod escape;
pub mod handler;
pub mod message;
pub mod notification;
pub mod pause;
pub mod pauses;
pub mod setup;
pub mod text;
pub mod trouble;
pub mod webhook;
