//! Alerts on the local cloud: sends the events, reads the e-mails and the messages in Slack.

use std::{collections::BTreeMap, path::PathBuf};

use alerter::{
    draft::Draft,
    event::Event,
    kinds::{self, classifier::Classification},
    rules::Rules,
};
use anyhow::{Context as _, Result};
use jiff::Timestamp;
use orgkeeper_shared::alert::Alert;
use serde::Deserialize;
use serde_json::Value;

use crate::local_cloud::LocalCloud;

/// The accounts of the samples, which each event replaces by its own.
const ACCOUNTS_OF_SAMPLES: [&str; 3] = ["111122223333", "999900001111", "000000000000"];

/// An event made from a sample of `events/alerter/`, with ids of its own.
#[derive(Clone, Debug)]
pub struct SampleEvent {
    /// The sample's name.
    pub sample: &'static str,
    /// Its account.
    pub account: String,
    body: Value,
}

impl SampleEvent {
    /// The `number`th event of a run, about an account of its own.
    ///
    /// # Errors
    /// If the sample does not exist.
    pub fn of(sample: &'static str, run: u64, number: usize) -> Result<Self> {
        let account = format!("{:06}{number:06}", 300_000 + run % 100_000);
        Self::about(sample, run, number, account)
    }

    /// The `number`th event of a run, about this account.
    ///
    /// # Errors
    /// If the sample does not exist.
    pub fn about(sample: &'static str, run: u64, number: usize, account: String) -> Result<Self> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../events/alerter")
            .join(format!("{sample}.json"));
        let mut text =
            std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        for other in ACCOUNTS_OF_SAMPLES {
            text = text.replace(other, &account);
        }
        let id = format!("{:08x}{number:04x}", run & 0xffff_ffff);
        // The ids by which the samples of each kind are deduplicated.
        for (id_in_sample, instead) in [
            (
                "-0000-4111-8222-",
                format!("-{number:04x}-4{:03x}-8222-", run & 0xfff),
            ),
            ("06c9a1b2c3d4e5f60718", format!("06c9a1b2{id}")),
            ("01b0993207d81a09dcd552eb", format!("01b0993207d8{id}")),
            ("_0123456789", format!("_{id}")),
            (
                "12345678-abcd-ef12-3456-",
                format!("12345678-abcd-{number:04x}-{:04x}-", run & 0xffff),
            ),
            // Where the event lacks its account, this identifies it.
            ("payments-dev", format!("payments-{account}")),
            ("i-0abc1234def567890", format!("i-{account}")),
        ] {
            text = text.replace(id_in_sample, &instead);
        }
        Ok(Self {
            sample,
            account,
            body: serde_json::from_str(&text)?,
        })
    }

    /// The same event with another value at this JSON pointer.
    ///
    /// # Errors
    /// If the sample has nothing there.
    pub fn with(mut self, pointer: &str, value: Value) -> Result<Self> {
        let place = self.body.pointer_mut(pointer);
        *place.with_context(|| format!("{} has no {pointer}", self.sample))? = value;
        Ok(self)
    }

    /// The body of its message in the alerts queue.
    #[must_use]
    pub fn message(&self) -> &Value {
        &self.body
    }

    /// What `alerter` makes of it, before rules and names.
    #[must_use]
    pub fn draft(&self) -> Option<Draft> {
        let event = Event::read(&self.body.to_string(), "message", Timestamp::UNIX_EPOCH);
        match kinds::classify(&event) {
            Classification::Alert(draft) => Some(*draft),
            Classification::NotReported => None,
        }
    }

    /// The alert that `alerter` publishes, without any rule and without the account's name.
    #[must_use]
    pub fn alert(&self) -> Option<Alert> {
        let draft = self.draft()?;
        let rules = Rules::default();
        let severity = rules.judge(&draft, None, Timestamp::UNIX_EPOCH).severity;
        Some(draft.alert(None, severity))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }
}

/// Sends events as AWS does, each from its own account: on the default bus or, as if forwarded, on the bus of alerts;
/// notifications of Budgets, Cost Management and alarms on the topic of signals.
///
/// # Errors
/// If a call fails or refuses an event.
pub async fn send(
    cloud: &LocalCloud,
    sample_events: &[SampleEvent],
    forwarded: bool,
) -> Result<()> {
    let (signals, events): (Vec<_>, Vec<_>) = sample_events
        .iter()
        .partition(|event| event.text("TopicArn").is_some());
    let topics = aws_sdk_sns::Client::new(&cloud.sdk);
    for signal in signals {
        topics
            .publish()
            .topic_arn(cloud.output("SignalsTopicArn")?)
            .set_subject(signal.text("Subject").map(str::to_owned))
            .message(
                signal
                    .text("Message")
                    .context("a signal without a message")?,
            )
            .send()
            .await?;
    }
    let bus = if forwarded {
        cloud.output("AlertsBusArn")?.to_owned()
    } else {
        cloud.default_bus()?
    };
    let events = events
        .into_iter()
        .map(|event| {
            let mut event = event.body.clone();
            event["bus"] = bus.as_str().into();
            event
        })
        .collect();
    cloud.send_service_events(events).await
}

/// An e-mail, or a message in Slack.
#[derive(Clone, Debug)]
pub struct Notification {
    /// When it arrived.
    pub time: Timestamp,
    /// The topic of an e-mail, by the name of its output or its own name; empty for Slack.
    pub topic: String,
    /// Its whole text.
    pub text: String,
}

#[derive(Deserialize)]
struct Mail {
    time: Timestamp,
    topic: String,
    subject: String,
    text: String,
}

#[derive(Deserialize)]
struct Posts {
    messages: Vec<Post>,
}

#[derive(Deserialize)]
struct Post {
    time: Timestamp,
    body: Value,
}

impl LocalCloud {
    /// Every e-mail since the local cloud was started, oldest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn mails(&self) -> Result<Vec<Notification>> {
        let names: BTreeMap<&str, &str> = ["CriticalTopicArn", "ErrorTopicArn", "InfoTopicArn"]
            .into_iter()
            .filter_map(|name| Some((self.output(name).ok()?, name)))
            .collect();
        let text = std::fs::read_to_string(crate::local_cloud::state_folder().join("mail.jsonl"))
            .unwrap_or_default();
        text.lines()
            .map(|line| {
                let mail: Mail = serde_json::from_str(line)?;
                let own = mail.topic.rsplit(':').next().unwrap_or_default();
                let topic = names.get(mail.topic.as_str()).copied().unwrap_or(own);
                Ok(Notification {
                    time: mail.time,
                    topic: topic.to_owned(),
                    text: format!("{}\n{}", mail.subject, mail.text),
                })
            })
            .collect()
    }

    /// Every message in Slack since it was cleared, oldest first.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn slack(&self) -> Result<Vec<Notification>> {
        let answer = self.control(reqwest::Method::GET, "slack", None).await?;
        let posts: Posts = serde_json::from_str(&answer)?;
        let notifications = posts.messages.into_iter().map(|post| Notification {
            time: post.time,
            topic: String::new(),
            text: post.body.to_string(),
        });
        Ok(notifications.collect())
    }

    /// Removes every message from Slack.
    ///
    /// # Errors
    /// If the front door does not answer.
    pub async fn clear_slack(&self) -> Result<()> {
        self.control(reqwest::Method::DELETE, "slack", None)
            .await
            .map(drop)
    }

    /// Sets the answers of Slack for a while, as the front door documents them; `None` ends the outage.
    ///
    /// # Errors
    /// If the front door refuses it.
    pub async fn slack_answers(&self, answers: Option<Value>) -> Result<()> {
        let method = match answers {
            Some(_) => reqwest::Method::POST,
            None => reqwest::Method::DELETE,
        };
        self.control(method, "slack-answers", answers)
            .await
            .map(drop)
    }
}
