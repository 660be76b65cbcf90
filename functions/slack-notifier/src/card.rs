//! What is shown of a message, in reading order.

use jiff::Timestamp;
use orgkeeper_shared::alert::{
    Alert, AlertAccount, Severity, WHAT_HAPPENED, WHAT_TO_DO, one_line, quoted,
};

use crate::message::{Content, Message};

/// The longest link of a button in Slack.
const LINK: usize = 3_000;

/// What a message says whose record could not be written.
const MAY_BE_DUPLICATE: &str =
    "this alert may be a duplicate: the table of posted alerts does not answer.";

/// A fact with its label, or a paragraph without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is; empty for a paragraph that needs no label.
    pub label: String,
    /// The text.
    pub text: String,
}

/// A message as it is shown. No text contains hidden characters, but none is escaped yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// How severe it is.
    pub severity: Severity,
    /// What it is about, in a line.
    pub title: String,
    /// Facts and paragraphs.
    pub rows: Vec<Row>,
    /// The kind of alert.
    pub kind: String,
    /// Where, if that is known.
    pub region: String,
    /// When, as people read it.
    pub time: String,
    /// Its account, if there is one: its name and id.
    pub account: String,
    /// Where to look.
    pub link: Option<String>,
    /// The account that the link opens for, if it leads to the console.
    pub link_account: Option<String>,
}

impl Card {
    /// The card of a message.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        match &message.content {
            Content::Alert(alert) => Self::of_alert(alert),
            Content::Unrecognized {
                subject,
                text,
                time,
            } => Self {
                severity: message.severity(),
                title: match subject.as_deref().map(one_line) {
                    Some(subject) if !subject.is_empty() => {
                        format!("Unrecognized message: {subject}")
                    }
                    _ => "Unrecognized message".to_owned(),
                },
                rows: vec![row("Message", &quoted(text.trim()))],
                kind: "unrecognized".to_owned(),
                region: String::new(),
                time: when(*time),
                account: String::new(),
                link: None,
                link_account: None,
            },
        }
    }

    fn of_alert(alert: &Alert) -> Self {
        let details = |wanted: fn(&str) -> bool| {
            alert
                .details
                .0
                .iter()
                .filter(move |(label, _)| wanted(label))
        };
        let account = alert.account.as_ref().map(named).unwrap_or_default();
        let path = alert.account.as_ref().and_then(|it| it.ou_path.as_deref());
        let optional = |label: &str, text: Option<&str>| text.map(|it| row(label, &one_line(it)));
        // A malformed link is shown as text instead of a button.
        let (link, malformed_link) = match alert.link.as_deref() {
            Some(link) if is_link(link) => (Some(link.to_owned()), None),
            other => (None, other),
        };

        let mut rows: Vec<Row> = details(|label| label == WHAT_HAPPENED)
            .map(|(_, text)| row("", &quoted(text)))
            .collect();
        rows.extend((!account.is_empty()).then(|| row("Account", &account)));
        rows.extend(optional("In", path));
        rows.extend(
            details(|label| ![WHAT_HAPPENED, WHAT_TO_DO].contains(&label))
                .map(|(label, text)| row(&one_line(label), &quoted(text))),
        );
        rows.extend(optional("By", alert.actor.as_deref()));
        rows.extend(optional(
            "From",
            alert.source.as_ref().map(|it| it.ip.as_str()),
        ));
        rows.extend(
            details(|label| label == WHAT_TO_DO).map(|(label, text)| row(label, &quoted(text))),
        );
        rows.extend(optional("Link", malformed_link));
        Self {
            severity: alert.severity,
            title: or_dash(one_line(&alert.title)),
            rows,
            kind: one_line(&alert.kind),
            region: one_line(&alert.region),
            time: when(alert.time),
            account,
            link,
            link_account: alert.link_account(),
        }
    }

    /// Adds that the message may be a duplicate.
    pub fn may_be_duplicate(&mut self) {
        self.rows.push(row("Note", MAY_BE_DUPLICATE));
    }

    /// The severity in a word.
    #[must_use]
    pub fn severity_word(&self) -> &'static str {
        self.look().1
    }

    /// Severity and title, in a line.
    #[must_use]
    pub fn headline(&self) -> String {
        let (sign, word) = self.look();
        format!("{sign} {word}: {}", self.title)
    }

    fn look(&self) -> (&'static str, &'static str) {
        match self.severity {
            Severity::Critical => ("🚨", "CRITICAL"),
            Severity::Error => ("🟠", "ERROR"),
            Severity::Info => ("🔵", "INFO"),
        }
    }

    /// What the link does, and for whom: it opens only for somebody signed in to that account.
    #[must_use]
    pub fn link_label(&self) -> String {
        match &self.link_account {
            Some(account) => format!("Open in the console (sign in to {account} first)"),
            None => "Open".to_owned(),
        }
    }

    /// Kind, region and time, in a line.
    #[must_use]
    pub fn footer(&self) -> String {
        let parts = [&self.kind, &self.region, &self.time].map(String::as_str);
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(" · ")
    }
}

fn row(label: &str, text: &str) -> Row {
    Row {
        label: label.to_owned(),
        text: or_dash(text.to_owned()),
    }
}

/// Slack takes no empty text.
fn or_dash(text: String) -> String {
    if text.is_empty() {
        "–".to_owned()
    } else {
        text
    }
}

fn named(account: &AlertAccount) -> String {
    let id = account.id.as_ref().map(ToString::to_string);
    match (account.name.as_deref().map(one_line), id) {
        (Some(name), Some(id)) => format!("{name} ({id})"),
        (name, id) => name.or(id).unwrap_or_default(),
    }
}

fn when(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn is_link(link: &str) -> bool {
    link.len() <= LINK
        && link.starts_with("https://")
        && link
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"<>|\"\\^`{}".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn card(body: &str) -> Card {
        Card::of(&Message::read(body, "a", Timestamp::UNIX_EPOCH))
    }

    fn rows(card: &Card) -> Vec<(&str, &str)> {
        card.rows
            .iter()
            .map(|row| (row.label.as_str(), row.text.as_str()))
            .collect()
    }

    #[test]
    fn rows_go_from_what_happened_to_what_to_do() {
        let alert = json!({
            "severity": "critical",
            "kind": "root.sign-in",
            "title": "Root signed in to payments-dev",
            "account": { "id": "111122223333", "name": "payments-dev", "ouPath": "Root/Dev" },
            "region": "us-east-1",
            "time": "2026-03-01T10:15:00Z",
            "actor": "the root user",
            "source": { "ip": "192.0.2.10" },
            "details": { "What to do": "Ask.", "MFA": "no", "What happened": "Somebody did." },
            "link": "https://console.aws.amazon.com/",
            "dedupKey": "x",
        });
        let card = card(&alert.to_string());
        assert_eq!(
            card.headline(),
            "🚨 CRITICAL: Root signed in to payments-dev"
        );
        assert_eq!(
            rows(&card),
            [
                ("", "Somebody did."),
                ("Account", "payments-dev (111122223333)"),
                ("In", "Root/Dev"),
                ("MFA", "no"),
                ("By", "the root user"),
                ("From", "192.0.2.10"),
                ("What to do", "Ask."),
            ]
        );
        assert_eq!(
            card.footer(),
            "root.sign-in · us-east-1 · 2026-03-01 10:15:00 UTC"
        );
        assert_eq!(
            card.link.as_deref(),
            Some("https://console.aws.amazon.com/")
        );
        assert_eq!(
            card.link_label(),
            "Open in the console (sign in to payments-dev first)"
        );
    }

    #[test]
    fn empty_and_malformed_values_are_shown() {
        let alert = json!({
            "severity": "info",
            "kind": "",
            "title": "\n",
            "account": {},
            "region": "",
            "time": "2026-03-01T10:15:00Z",
            "details": { "": "" },
            "link": "javascript:alert(1)",
            "dedupKey": "x",
        });
        let card = card(&alert.to_string());
        assert_eq!(card.headline(), "🔵 INFO: –");
        assert_eq!(rows(&card), [("", "–"), ("Link", "javascript:alert(1)")]);
        assert_eq!(card.footer(), "2026-03-01 10:15:00 UTC");
        assert_eq!(card.link, None);
    }

    #[test]
    fn anything_but_an_alert_is_unrecognized() {
        let card = card("line one\nline two");
        assert_eq!(card.headline(), "🟠 ERROR: Unrecognized message");
        assert_eq!(rows(&card), [("Message", "line one\n> line two")]);
        assert_eq!(card.footer(), "unrecognized · 1970-01-01 00:00:00 UTC");
    }

    #[test]
    fn only_an_https_link_is_a_link() {
        for wrong in [
            "http://example.com/",
            "https://example.com/|click",
            "https://example.com/ x",
            "https://example.com/\u{202e}",
            "",
        ] {
            assert!(!is_link(wrong), "{wrong}");
        }
        assert!(is_link(
            "https://eu-west-1.console.aws.amazon.com/x?a=b#c/$252Fd"
        ));
        assert!(!is_link(&format!("https://{}", "x".repeat(LINK))));
    }
}
