//! An alert: a message for people, in one form for topics, mail and chat.

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};

use crate::ids::AccountId;

/// Characters of an SNS subject: "up to 100", so that the last can say that it goes on.
const SUBJECT_CHARACTERS: usize = 99;
/// Bytes that a text may have: SNS takes 262,144 for a message, which holds it up to three times over as JSON.
const TEXT_BYTES: usize = 40_000;

/// The label of the sentence that says what happened. It follows the title.
pub const WHAT_HAPPENED: &str = "What happened";
/// The label of the detail that says what to do. It follows everything else.
pub const WHAT_TO_DO: &str = "What to do";
/// The label of an unrecognized message. It comes at the very end.
pub const ORIGINAL_MESSAGE: &str = "Original message";

/// Domains of the AWS console.
const CONSOLES: &[&str] = &[
    "console.aws.amazon.com",
    "console.amazonaws.cn",
    "console.amazonaws-us-gov.com",
    "health.aws.amazon.com",
];
/// The kinds whose link opens in the management account, whatever account they are about, by the start of their name.
const KINDS_IN_MANAGEMENT_ACCOUNT: &str = "organization.";
/// Consoles that exist in the management account alone.
const CONSOLES_OF_MANAGEMENT_ACCOUNT: &[&str] = &["/organizations/", "/controltower/"];

/// How severe an alert is. Each severity has a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For information.
    Info,
    /// Somebody has to act.
    Error,
    /// Somebody has to act now.
    Critical,
}

impl Severity {
    /// The severity as a word, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// The account that an alert is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertAccount {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AccountId>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The path of its organizational unit, `Root/Workloads/Prod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ou_path: Option<String>,
}

/// Where the call came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertSource {
    /// The IP address.
    pub ip: String,
}

/// Labels and texts, in the order in which people read them. An object in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details(pub Vec<(String, String)>);

impl<L: Into<String>, T: Into<String>> FromIterator<(L, T)> for Details {
    fn from_iter<I: IntoIterator<Item = (L, T)>>(details: I) -> Self {
        Self(
            details
                .into_iter()
                .map(|(label, text)| (label.into(), text.into()))
                .collect(),
        )
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (label, text) in &self.0 {
            map.serialize_entry(label, text)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Details;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Details, A::Error> {
                let mut details = Vec::new();
                while let Some(detail) = map.next_entry()? {
                    details.push(detail);
                }
                Ok(Details(details))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A message for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// How severe it is.
    pub severity: Severity,
    /// The kind of alert, for example `account.succeeded`.
    pub kind: String,
    /// What happened, in a few words.
    pub title: String,
    /// The account that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AlertAccount>,
    /// Where it happened.
    pub region: String,
    /// When it happened.
    pub time: Timestamp,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The address that they did it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<AlertSource>,
    /// Everything else.
    pub details: Details,
    /// Where to look in the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Equal for alerts that report the same thing.
    pub dedup_key: String,
}

impl Alert {
    /// One line for a mail's subject: printable ASCII, as SNS asks for.
    #[must_use]
    pub fn subject(&self) -> String {
        let line: String = one_line(&self.title)
            .chars()
            .map(|character| match character {
                ' '..='~' => character,
                _ if character.is_whitespace() => ' ',
                _ => '?',
            })
            .collect();
        let line = line.trim();
        if line.len() <= SUBJECT_CHARACTERS {
            return line.to_owned();
        }
        format!("{}...", line[..SUBJECT_CHARACTERS - 3].trim_end())
    }

    /// The alert as plain text that fits a phone: what happened, where, who, when, what to do.
    ///
    /// No value can add a line that looks like one of these (see [`one_line`]).
    #[must_use]
    pub fn text(&self) -> String {
        const PLACED: [&str; 3] = [WHAT_HAPPENED, WHAT_TO_DO, ORIGINAL_MESSAGE];
        let mut lines = vec![one_line(&self.title), String::new()];
        for (_, text) in self.details_of(|label| label == WHAT_HAPPENED) {
            lines.extend([quoted(text), String::new()]);
        }
        let mut say = |label: &str, text: &str| {
            lines.push(format!("{}: {}", one_line(label), quoted(text)));
        };
        if let Some(account) = &self.account {
            let name = account.name.as_deref().map(one_line);
            let id = account.id.as_ref().map(ToString::to_string);
            let named = match (name, id) {
                (Some(name), Some(id)) => format!("{name} ({id})"),
                (name, id) => name.or(id).unwrap_or_default(),
            };
            say("Account", &named);
            if let Some(path) = &account.ou_path {
                say("In", &one_line(path));
            }
        }
        for (label, text) in self.details_of(|label| !PLACED.contains(&label)) {
            say(label, text);
        }
        if let Some(actor) = &self.actor {
            say("By", &one_line(actor));
        }
        if let Some(source) = &self.source {
            say("From", &one_line(&source.ip));
        }
        let time = self.time.strftime("%Y-%m-%d %H:%M:%S UTC");
        say("When", &format!("{time}, {}", one_line(&self.region)));
        for (label, text) in self.details_of(|label| label == WHAT_TO_DO) {
            say(label, text);
        }
        if let Some(link) = &self.link {
            let label = match self.link_account() {
                Some(account) => format!("Link (sign in to {account} first)"),
                None => "Link".to_owned(),
            };
            lines.extend([String::new(), format!("{label}: {}", one_line(link))]);
        }
        for (label, text) in self.details_of(|label| label == ORIGINAL_MESSAGE) {
            lines.extend([String::new(), format!("{label}: {}", quoted(text))]);
        }
        cut(lines.join("\n"))
    }

    /// The account in whose console the link opens, by its name or id, on one line; nothing if the link does not lead to
    /// the console.
    ///
    /// The account that an alert is about is not always the one where the link opens.
    #[must_use]
    pub fn link_account(&self) -> Option<String> {
        let link = self.link.as_deref().filter(|link| leads_to_console(link))?;
        let id = |account: &AlertAccount| account.id.as_ref().map(ToString::to_string);
        let about = self.account.as_ref();
        // The resource's own ARN says where it is.
        if let Some(account) = account_of_arn(link)
            && about.and_then(id).as_deref() != Some(account)
        {
            return Some(account.to_owned());
        }
        let in_management = self.kind.starts_with(KINDS_IN_MANAGEMENT_ACCOUNT)
            || CONSOLES_OF_MANAGEMENT_ACCOUNT
                .iter()
                .any(|console| link.contains(console));
        if in_management {
            return Some("the management account".to_owned());
        }
        let named = about.and_then(|account| {
            let name = account.name.as_deref().map(one_line);
            name.filter(|name| !name.is_empty()).or_else(|| id(account))
        });
        Some(named.unwrap_or_else(|| "its account".to_owned()))
    }

    fn details_of(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (&str, &str)> {
        self.details
            .0
            .iter()
            .map(|(label, text)| (label.as_str(), text.as_str()))
            .filter(move |(label, _)| wanted(label))
    }
}

/// Whether a link leads to the AWS console, in any partition: it opens only for somebody who is signed in.
fn leads_to_console(link: &str) -> bool {
    let host = link
        .strip_prefix("https://")
        .and_then(|rest| rest.split(['/', '?', '#']).next());
    host.is_some_and(|host| {
        CONSOLES.iter().any(|console| {
            host.strip_suffix(console)
                .is_some_and(|region| region.is_empty() || region.ends_with('.'))
        })
    })
}

/// The account of the ARN that a link ends with.
fn account_of_arn(link: &str) -> Option<&str> {
    let (_, arn) = link.split_once("/arn:")?;
    arn.split(':')
        .nth(3)
        .filter(|account| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A text on one line, without hidden characters: a line break becomes a space; an invisible character, or one
/// that changes the direction of reading, becomes `�`.
#[must_use]
pub fn one_line(text: &str) -> String {
    unbroken(text).trim().to_owned()
}

fn unbroken(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            // Soft hyphen, combining joiner, Arabic letter mark, fillers, zero width, direction,
            // joiners, byte order mark, annotations, tags and variation selectors.
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}' => line.push('\u{fffd}'),
            _ => line.push(character),
        }
    }
    line
}

/// A text in which each line after the first starts with `> `.
#[must_use]
pub fn quoted(text: &str) -> String {
    // Our own lists use `\n`. A `\r\n` comes from outside and becomes a space.
    let lines: Vec<String> = text
        .trim()
        .replace("\r\n", "\r")
        .split('\n')
        .map(unbroken)
        .collect();
    lines.join("\n> ")
}

/// A text within [`TEXT_BYTES`]. A longer one is cut and marked.
pub(crate) fn cut(mut text: String) -> String {
    const MARK: &str = "\n(cut here: the rest is too long for a message)";
    if text.len() > TEXT_BYTES {
        let mut end = TEXT_BYTES - MARK.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Alert {
        Alert {
            severity: Severity::Info,
            kind: "account.succeeded".to_owned(),
            title: "Account payments is ready".to_owned(),
            account: Some(AlertAccount {
                id: "111122223333".parse().ok(),
                name: Some("payments".to_owned()),
                ou_path: Some("Root/Workloads/Prod".to_owned()),
            }),
            region: "eu-west-1".to_owned(),
            time: Timestamp::UNIX_EPOCH,
            actor: None,
            source: None,
            details: [("Access", "Platform: Admin"), ("A file", "accounts.csv")]
                .into_iter()
                .collect(),
            link: Some("https://example.com/".to_owned()),
            dedup_key: "account#payments#1".to_owned(),
        }
    }

    #[test]
    fn the_text_has_its_order() {
        assert_eq!(
            alert().text(),
            "Account payments is ready\n\n\
             Account: payments (111122223333)\n\
             In: Root/Workloads/Prod\n\
             Access: Platform: Admin\n\
             A file: accounts.csv\n\
             When: 1970-01-01 00:00:00 UTC, eu-west-1\n\n\
             Link: https://example.com/"
        );
    }

    #[test]
    fn what_happened_comes_first_and_what_to_do_last() {
        let details = [
            (WHAT_TO_DO, "ask them"),
            ("MFA", "no"),
            (WHAT_HAPPENED, "Somebody signed in."),
        ];
        let alert = Alert {
            actor: Some("the root user".to_owned()),
            source: Some(AlertSource {
                ip: "192.0.2.10".to_owned(),
            }),
            details: details.into_iter().collect(),
            ..alert()
        };
        assert_eq!(
            alert.text(),
            "Account payments is ready\n\n\
             Somebody signed in.\n\n\
             Account: payments (111122223333)\n\
             In: Root/Workloads/Prod\n\
             MFA: no\n\
             By: the root user\n\
             From: 192.0.2.10\n\
             When: 1970-01-01 00:00:00 UTC, eu-west-1\n\
             What to do: ask them\n\n\
             Link: https://example.com/"
        );
        let json = serde_json::to_value(&alert).unwrap();
        assert_eq!(json["source"]["ip"], "192.0.2.10");
    }

    #[test]
    fn a_link_says_which_account_it_opens_for() {
        let trail = "https://us-east-1.console.aws.amazon.com/cloudtrailv2/home";
        let execution = "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/arn:aws:states:eu-west-1:999900001111:execution:Fix:a";
        let nobody = AlertAccount::default();
        let unnamed = AlertAccount {
            id: "111122223333".parse().ok(),
            ..nobody.clone()
        };
        let named = alert().account.unwrap();
        for (kind, account, link, opens_for) in [
            ("root.sign-in", Some(&named), trail, Some("payments")),
            ("root.sign-in", Some(&unnamed), trail, Some("111122223333")),
            ("root.sign-in", Some(&nobody), trail, Some("its account")),
            ("root.sign-in", None, trail, Some("its account")),
            (
                "root.sign-in",
                Some(&named),
                "https://cn-north-1.console.amazonaws.cn/iam/home",
                Some("payments"),
            ),
            (
                "organization.change",
                Some(&named),
                trail,
                Some("the management account"),
            ),
            (
                "account.succeeded",
                Some(&named),
                "https://console.aws.amazon.com/organizations/v2/home/accounts/111122223333",
                Some("the management account"),
            ),
            (
                "remediation.fixed",
                Some(&named),
                execution,
                Some("999900001111"),
            ),
            (
                "remediation.fixed",
                Some(&named),
                &execution.replace("999900001111", "111122223333"),
                Some("payments"),
            ),
            ("root.sign-in", Some(&named), "https://example.com/", None),
            (
                "root.sign-in",
                Some(&named),
                "https://evilconsole.aws.amazon.com/",
                None,
            ),
        ] {
            let alert = Alert {
                kind: kind.to_owned(),
                account: account.cloned(),
                link: Some(link.to_owned()),
                ..alert()
            };
            assert_eq!(alert.link_account().as_deref(), opens_for, "{kind} {link}");
            let label = match opens_for {
                Some(account) => format!("Link (sign in to {account} first)"),
                None => "Link".to_owned(),
            };
            let text = alert.text();
            assert!(text.ends_with(&format!("\n\n{label}: {link}")), "{text}");
        }
    }

    #[test]
    fn a_value_adds_no_line_that_looks_like_ours() {
        let hostile = "x\r\nWhen: never\u{2028}By: root\u{85}\u{202e}\nLine: two";
        let alert = Alert {
            title: hostile.to_owned(),
            region: hostile.to_owned(),
            actor: Some(hostile.to_owned()),
            details: [(hostile, hostile)].into_iter().collect(),
            link: Some(hostile.to_owned()),
            ..alert()
        };
        let line = "x When: never By: root \u{fffd} Line: two";
        assert_eq!(
            alert.text(),
            format!(
                "{line}\n\n\
                 Account: payments (111122223333)\n\
                 In: Root/Workloads/Prod\n\
                 {line}: x When: never By: root \u{fffd}\n\
                 > Line: two\n\
                 By: {line}\n\
                 When: 1970-01-01 00:00:00 UTC, {line}\n\n\
                 Link: {line}"
            )
        );
    }

    #[test]
    fn details_keep_their_order_through_json() {
        let text = serde_json::to_string(&alert()).unwrap();
        assert!(text.find("Access").unwrap() < text.find("A file").unwrap());
        assert_eq!(serde_json::from_str::<Alert>(&text).unwrap(), alert());
    }

    #[test]
    fn a_subject_is_one_short_line_of_ascii() {
        let title = format!("Überall\r\nBcc: x {}", "y".repeat(200));
        let subject = Alert { title, ..alert() }.subject();
        assert!(subject.starts_with("?berall Bcc: x yyy"), "{subject}");
        assert!(subject.ends_with("..."));
        assert_eq!(subject.len(), SUBJECT_CHARACTERS);
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let title = "ü".repeat(TEXT_BYTES);
        let text = Alert { title, ..alert() }.text();
        assert!(text.len() <= TEXT_BYTES);
        assert!(text.ends_with("too long for a message)"));
    }
}
