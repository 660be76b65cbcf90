//! A card for Amazon Q Developer in chat applications: a custom notification.
//!
//! Schema and limits: "Custom notifications using Amazon Q Developer in chat applications" in its
//! administrator guide. A notification above a limit is silently dropped.

use serde_json::{Map, Value, json};

use crate::{
    card::Card,
    escape::{CUT, fit, length, markdown},
};

/// The limits, in characters.
const TITLE: usize = 250;
const DESCRIPTION: usize = 8_000;
const NEXT_STEP: usize = 350;
const KEYWORD: usize = 75;

/// The label of a link is short, so that a long link has room.
const LINK_LABEL: usize = 75;
/// Values without a published limit are kept short.
const SHORT: usize = 250;
/// The least room for a line of the description.
const LEAST: usize = 40;

/// The message for the topic; `id` identifies it.
#[must_use]
pub fn notification(card: &Card, id: &str) -> Value {
    let keywords = [&card.kind, &card.account].map(|it| shown(it, KEYWORD));
    let mut content = json!({
        "textType": "client-markdown",
        "title": shown(&card.headline(), TITLE),
        "description": description(card),
        "keywords": keywords.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>(),
    });
    let link = card.link.as_ref().map(|link| {
        let link = fit(link, usize::MAX);
        format!("<{link}|{}>", shown(&card.link_label(), LINK_LABEL))
    });
    if let Some(link) = link.filter(|link| length(link) <= NEXT_STEP) {
        content["nextSteps"] = json!([link]);
    }
    json!({
        "version": "1.0",
        "source": "custom",
        "id": id,
        "content": content,
        "metadata": {
            "summary": shown(&card.title, SHORT),
            "eventType": shown(&card.kind, SHORT),
            "additionalContext": context(card),
        },
    })
}

/// The facts, a line each, as many as fit.
fn description(card: &Card) -> String {
    let footer = shown(&card.footer(), SHORT);
    let mut room = DESCRIPTION - length(&footer) - length(CUT) - 1;
    let mut lines = Vec::new();
    for row in &card.rows {
        let label = match row.label.as_str() {
            "" => String::new(),
            label => format!("*{}*: ", shown(label, SHORT)),
        };
        // The line break counts, too.
        let used = length(&label) + 1;
        if room < used + LEAST {
            lines.push(CUT.to_owned());
            break;
        }
        let text = shown(&row.text, room - used);
        room -= used + length(&text);
        lines.push(label + &text);
    }
    lines.push(footer);
    lines.join("\n")
}

/// Values for custom actions.
fn context(card: &Card) -> Map<String, Value> {
    [
        ("severity", card.severity_word()),
        ("account", &card.account),
        ("region", &card.region),
    ]
    .into_iter()
    .filter(|(_, text)| !text.is_empty())
    .map(|(name, text)| (name.to_owned(), fit(text, SHORT).into()))
    .collect()
}

/// Foreign text, escaped for markdown.
fn shown(text: &str, limit: usize) -> String {
    fit(&markdown(text), limit)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::message::Message;

    fn notified(body: &str) -> Value {
        let message = Message::read(body, "a", Timestamp::UNIX_EPOCH);
        notification(&Card::of(&message), &message.record_id())
    }

    #[test]
    fn an_alert_is_a_custom_notification() {
        let alert = include_str!("../../../events/slack-notifier/root-sign-in.json");
        let mut notification = notified(alert);
        assert!(notification["id"].as_str().unwrap().starts_with("slack#"));
        notification["id"] = Value::Null;
        assert_eq!(
            notification,
            json!({
                "version": "1.0",
                "source": "custom",
                "id": null,
                "content": {
                    "textType": "client-markdown",
                    "title": "🚨 CRITICAL: Root signed in to payments-dev, without MFA",
                    "description": "The root user signed in to the AWS console. Nobody should need it from day to day.\n\
                        *Account*: payments-dev (111122223333)\n\
                        *In*: Root/Workloads/Dev\n\
                        *MFA*: no\n\
                        *By*: root user\n\
                        *From*: 192.0.2.10\n\
                        *What to do*: Ask the account's owner whether it was them. If nobody knows of it, \
                        change the root password, delete root access keys and add MFA.\n\
                        root.sign-in · us-east-1 · 2026-03-01 10:15:00 UTC",
                    "keywords": ["root.sign-in", "payments-dev (111122223333)"],
                    "nextSteps": ["<https://us-east-1.console.aws.amazon.com/cloudtrailv2/home?region=us-east-1#/events/1f2e3d4c|Open in the console (sign in to payments-dev first)>"],
                },
                "metadata": {
                    "summary": "Root signed in to payments-dev, without MFA",
                    "eventType": "root.sign-in",
                    "additionalContext": {
                        "severity": "CRITICAL",
                        "account": "payments-dev (111122223333)",
                        "region": "us-east-1",
                    },
                },
            })
        );
    }

    #[test]
    fn a_hostile_alert_formats_and_mentions_nothing() {
        let alert = include_str!("../../../events/slack-notifier/hostile.json");
        let notification = notified(alert);
        let description = notification["content"]["description"].as_str().unwrap();
        assert!(!description.contains("<!channel>"), "{description}");
        assert!(!description.contains("<@"), "{description}");
        assert!(!description.contains("://"), "{description}");
        for line in description.lines().filter(|line| !line.starts_with('*')) {
            assert!(!line.contains(['*', '~', '`']), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_limit_is_exceeded(
            title in "\\PC{0,400}",
            details in proptest::collection::vec(("\\PC{0,100}", "[a-z&<\\n]{0,30}", 0_usize..300), 0..6),
            link in "https://[a-z&]{0,500}",
        ) {
            let details: Map<_, _> = details
                .into_iter()
                .map(|(label, text, times)| (label, text.repeat(times).into()))
                .collect();
            let alert = json!({
                "severity": "error", "kind": &title, "title": &title, "region": &title,
                "account": { "name": &title }, "time": "2026-03-01T10:15:00Z",
                "details": details, "link": link, "dedupKey": "x",
            });
            let content = &notified(&alert.to_string())["content"];
            let size = |text: &Value| length(text.as_str().unwrap());
            prop_assert!(size(&content["title"]) <= 250);
            prop_assert!((1..=8_000).contains(&size(&content["description"])));
            let items = |name: &str| content[name].as_array().cloned().unwrap_or_default();
            prop_assert!(items("nextSteps").iter().all(|it| size(it) <= 350));
            prop_assert!(items("keywords").iter().all(|it| size(it) <= 75));
        }
    }
}
