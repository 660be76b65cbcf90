//! GET shows the change and a form, POST answers. Nothing is called before the signature is verified.

use std::time::Duration;

use jiff::Timestamp;
use orgkeeper_shared::{
    aws_error::AwsCallError,
    lambda::{Error, Function, Invocation, Time},
    queue::Queue,
    remediation::{
        archive::ArchiveTask,
        link::Claim,
        link_secret::LinkSecret,
        record::{
            Record,
            asking::{Judged, id_of},
            waiting::WaitFor,
        },
        table::RemediationTable,
    },
};
use serde_json::{Value, json};

use crate::{
    page,
    request::{Fields, UrlEvent, Wanted},
};

/// Answers browsers.
#[derive(Debug)]
pub struct Approver {
    /// The table with the requests.
    pub table: RemediationTable,
    /// What links are signed with.
    pub secret: LinkSecret,
    /// Sends what was answered.
    pub queue: Queue,
    /// To this queue.
    pub archive_queue_url: String,
}

impl Function for Approver {
    type Event = UrlEvent;
    type Response = Value;

    async fn handle(&self, event: UrlEvent, invocation: Invocation) -> Result<Value, Error> {
        let time = Time::start(invocation);
        let answer = match event.wanted() {
            Wanted::NoMethod => Ok(page::sentence(
                405,
                "Not allowed",
                "Open the link in a browser.",
            )),
            Wanted::Malformed => Ok(not_valid()),
            Wanted::Page(fields) => self.show(&fields, &time).await,
            Wanted::Answer(fields) => self.answer(&fields, event.address(), &time).await,
        };
        Ok(answer.unwrap_or_else(|error| {
            tracing::error!(%error, "a link does not work");
            page::sentence(
                503,
                "Not now",
                "AWS does not answer. Try it again in a minute, or use orgkeeper remediation approve.",
            )
        }))
    }
}

impl Approver {
    /// The page of a link. Changes nothing.
    async fn show(&self, fields: &Fields, time: &Time) -> Result<Value, AwsCallError> {
        let Some(claim) = self.verified(fields).await? else {
            return Ok(not_valid());
        };
        Ok(match self.request_of(&claim, time).await? {
            Some(record) => page::asked(&record, claim.decision, fields),
            None => too_late(),
        })
    }

    /// Records an answer, once.
    async fn answer(
        &self,
        fields: &Fields,
        address: &str,
        time: &Time,
    ) -> Result<Value, AwsCallError> {
        let Some(claim) = self.verified(fields).await? else {
            return Ok(not_valid());
        };
        let Some(until) = claim.expires_at() else {
            return Ok(not_valid());
        };
        if fields.name.is_empty() {
            return Ok(page::sentence(
                400,
                "No name",
                "Go back, and say who you are.",
            ));
        }
        let Some(key) = self.key_of(&claim).await? else {
            return Ok(too_late());
        };
        // What was typed is not verified: the words say so.
        let by = format!("{} (by link, from {address})", fields.name);
        let approved = claim.decision.approved();
        let judged = self
            .table
            .judge(&key, until, approved, &by, time.now())
            .await?;
        Ok(match judged {
            Judged::Now => {
                self.send(&key).await?;
                let text = if approved {
                    "The fix starts within seconds, or when its change window opens."
                } else {
                    "Nothing is changed."
                };
                page::sentence(200, "Thank you", text)
            }
            // Its message may not have been sent.
            Judged::Before(answer) if answer.approved == approved && answer.by == by => {
                self.send(&key).await?;
                page::answered(&answer)
            }
            Judged::Before(answer) => page::answered(&answer),
            Judged::Expired | Judged::NotAsked => too_late(),
        })
    }

    async fn verified(&self, fields: &Fields) -> Result<Option<Claim>, AwsCallError> {
        let Fields {
            id,
            decision,
            until,
            signature,
            ..
        } = fields;
        // What has not the form of a signature costs no call.
        if signature.len() != 64 {
            return Ok(None);
        }
        Ok(self
            .secret
            .key()
            .await?
            .verify(id, decision, until, signature))
    }

    /// The record of a request that can still be answered.
    async fn request_of(&self, claim: &Claim, time: &Time) -> Result<Option<Record>, AwsCallError> {
        let Some(key) = self.key_of(claim).await? else {
            return Ok(None);
        };
        let is_this = |record: &Record| {
            let until = record.request.as_ref().map(|request| request.until);
            let left = until.is_some_and(|until| until > time.now());
            record.waits_for_answer()
                && left
                && until.map(Timestamp::as_second) == Some(claim.until)
        };
        Ok(self.table.read(&key).await?.filter(is_this))
    }

    /// The key of the record with this id, if it waits for an answer, or was answered a moment ago.
    async fn key_of(&self, claim: &Claim) -> Result<Option<String>, AwsCallError> {
        for what in [WaitFor::Answer, WaitFor::Start] {
            let keys = self.table.waiting(what, Timestamp::MAX).await?;
            if let Some(key) = keys.into_iter().find(|key| id_of(key) == claim.id) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    async fn send(&self, key: &str) -> Result<(), AwsCallError> {
        let task = ArchiveTask::Answered {
            key: key.to_owned(),
        };
        let body = json!(task).to_string();
        self.queue
            .send(&self.archive_queue_url, vec![(body, Duration::ZERO)])
            .await
    }
}

fn not_valid() -> Value {
    page::sentence(
        403,
        "Not valid",
        "This link is not one of ours, or it is not whole.",
    )
}

fn too_late() -> Value {
    page::sentence(
        410,
        "Too late",
        "This was answered before, or the time for an answer is over. The alert about it says what came of it.",
    )
}
