//! What `alerter` and `slack-notifier` would do with an event: severity, topics, mail and message to Slack.

use std::collections::HashMap;

use alerter::{
    draft::Draft,
    kinds::{self, classifier::Classification},
    message::Message,
    rules::{Rules, Silence},
};
use jiff::Timestamp;
use orgkeeper_shared::alert::{AlertAccount, Severity};
use serde::Serialize;
use serde_json::Value;
use slack_notifier::{blocks, card::Card, message::Message as SlackMessage};

use crate::slack_text;

/// What the account directory would know of the account that an event is about.
#[derive(Clone, Debug, Default)]
pub struct AssumedAccount {
    /// Its name.
    pub name: Option<String>,
    /// The path of its organizational unit.
    pub ou_path: Option<String>,
}

/// What would be done with an event.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Preview {
    /// It is a task of `alerter`, no event.
    Task,
    /// Nothing is published about it.
    NotReported,
    /// An alert is published, unless it is silenced.
    Alert(Box<AlertPreview>),
}

/// An alert, and where it would go.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertPreview {
    /// The kind of alert.
    pub kind: String,
    /// Its severity.
    pub severity: Severity,
    /// The rule that silences it.
    pub silence: Option<SilencePreview>,
    /// The topics that it is published on. None if it is silenced.
    pub topics: Vec<TopicPreview>,
    /// There are routes by organizational unit, and the unit is not given.
    pub unknown_routes: bool,
    /// The position in a burst from which it is critical.
    pub critical_from: Option<usize>,
    /// The mail.
    pub mail: MailPreview,
    /// The message to Slack: its blocks, and the text for notifications.
    pub slack: Value,
}

/// A silence.
#[derive(Debug, Serialize)]
pub struct SilencePreview {
    /// Its line in the rules.
    pub line: usize,
    /// Its last day.
    pub until: String,
    /// The reason for it.
    pub reason: String,
}

/// A topic.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopicPreview {
    /// The stack's topic for this severity.
    Severity(Severity),
    /// The topic of a route.
    Route {
        /// The route's name.
        name: String,
        /// The topic's ARN.
        arn: String,
    },
}

/// A mail.
#[derive(Debug, Serialize)]
pub struct MailPreview {
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: String,
}

impl From<&Silence> for SilencePreview {
    fn from(silence: &Silence) -> Self {
        Self {
            line: silence.line,
            until: silence.until.to_string(),
            reason: silence.reason.clone(),
        }
    }
}

/// What would be done with a message of the alerts queue under these rules at the time `now`.
#[must_use]
pub fn preview(body: &str, rules: &Rules, assumed: &AssumedAccount, now: Timestamp) -> Preview {
    match Message::read(body, "dry-run", now) {
        Message::Task(_) => Preview::Task,
        Message::Event(event) => match kinds::classify(&event) {
            Classification::NotReported => Preview::NotReported,
            Classification::Alert(mut draft) => {
                draft.know_trusted(&HashMap::new(), true);
                Preview::Alert(Box::new(alert(&draft, rules, assumed, now)))
            }
        },
    }
}

fn alert(draft: &Draft, rules: &Rules, assumed: &AssumedAccount, now: Timestamp) -> AlertPreview {
    let account = draft.account.clone().map(|id| AlertAccount {
        id: Some(id),
        name: assumed.name.clone(),
        ou_path: assumed.ou_path.clone(),
    });
    let verdict = rules.judge(draft, account.as_ref(), now);
    let alert = draft.alert(account.as_ref(), verdict.severity);
    let topics = match verdict.silence {
        Some(_) => Vec::new(),
        None => topics(rules, account.as_ref(), alert.severity),
    };
    let posted = serde_json::to_string(&alert).unwrap_or_default();
    let card = Card::of(&SlackMessage::read(&posted, "dry-run", now));
    AlertPreview {
        severity: alert.severity,
        silence: verdict.silence.map(SilencePreview::from),
        topics,
        unknown_routes: verdict.silence.is_none()
            && rules.route_by_unit()
            && assumed.ou_path.is_none(),
        critical_from: draft.critical_from,
        mail: MailPreview {
            subject: alert.subject(),
            body: alert.text(),
        },
        slack: blocks::message(&card),
        kind: alert.kind,
    }
}

fn topics(rules: &Rules, account: Option<&AlertAccount>, severity: Severity) -> Vec<TopicPreview> {
    let routes = rules.topics(account, severity).into_iter();
    let routes = routes.map(|(name, arn)| TopicPreview::Route {
        name: name.to_owned(),
        arn: arn.to_owned(),
    });
    [TopicPreview::Severity(severity)]
        .into_iter()
        .chain(routes)
        .collect()
}

impl Preview {
    /// The preview as text for people.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Task => "This is a task of the alerter, not an event: no alert.\n".to_owned(),
            Self::NotReported => "This event is not reported: no alert.\n".to_owned(),
            Self::Alert(alert) => alert.text(),
        }
    }
}

impl AlertPreview {
    fn text(&self) -> String {
        let mut lines = vec![
            format!("Kind:      {}", self.kind),
            format!("Severity:  {}", self.severity.word()),
        ];
        if let Some(silence) = &self.silence {
            lines.push(format!(
                "Silenced:  by line {} until {}: {}",
                silence.line, silence.until, silence.reason
            ));
        }
        lines.extend(self.topics.iter().map(|topic| match topic {
            TopicPreview::Severity(severity) => format!("Topic:     {}", severity.word()),
            TopicPreview::Route { name, arn } => format!("Route:     {name}: {arn}"),
        }));
        if self.unknown_routes {
            lines.push(
                "Route:     unknown, there are routes by organizational unit: give --ou".to_owned(),
            );
        }
        if let (Some(from), None) = (self.critical_from, &self.silence) {
            lines.push(format!("Raised:    to critical from no. {from} of a burst"));
        }
        let slack = slack_text::text(&self.slack);
        lines.extend([
            format!("\nMail: {}\n", self.mail.subject),
            indented(&self.mail.body),
            "\nSlack:\n".to_owned(),
            indented(slack.trim_end()),
            String::new(),
        ]);
        lines.join("\n")
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("    {line}").trim_end().to_owned())
        .collect();
    lines.join("\n")
}
