//! A card for Slack: Block Kit, within its limits.
//!
//! Foreign text is in `plain_text` objects, where nothing is formatted, linked or mentioned. Only labels are
//! `mrkdwn`, because they are bold.

use orgkeeper_shared::alert::WHAT_TO_DO;
use serde_json::{Value, json};

use crate::{
    card::{Card, Row},
    escape::{fit, length, markdown},
};

/// Slack's limits, in characters unless it says otherwise ("Reference: blocks").
const HEADER: usize = 150;
const SECTION: usize = 3_000;
const FIELD: usize = 2_000;
const FIELDS_PER_SECTION: usize = 10;
const CONTEXT: usize = 3_000;
const BUTTON: usize = 75;
const BLOCKS: usize = 50;

/// The text for notifications and for readers that show no blocks.
const FALLBACK: usize = 300;
/// A longer fact takes the whole width.
const SHORT: usize = 80;
/// Characters of all facts: nobody reads more in Slack.
const ALL_ROWS: usize = 12_000;
/// Blocks besides the rows: the header, the whole title, the context, the button.
const OTHER_BLOCKS: usize = 4;
/// Blocks for what to do, and for everything after it.
const TO_DO_BLOCKS: usize = 6;

/// The message for the webhook.
#[must_use]
pub fn message(card: &Card) -> Value {
    let headline = card.headline();
    let header = fit(&headline, HEADER);
    let cut = header != fit(&headline, usize::MAX);

    let mut blocks = vec![json!({ "type": "header", "text": plain(header) })];
    blocks.extend(cut.then(|| section(&card.title)));
    blocks.extend(rows(&card.rows));
    let footer = plain(fit(&card.footer(), CONTEXT));
    blocks.push(json!({ "type": "context", "elements": [footer] }));
    if let Some(link) = &card.link {
        let button = json!({
            "type": "button",
            "text": plain(fit(&card.link_label(), BUTTON)),
            "url": link,
        });
        blocks.push(json!({ "type": "actions", "elements": [button] }));
    }

    let account = if card.account.is_empty() {
        String::new()
    } else {
        format!(" · {}", card.account)
    };
    json!({
        "text": fit(&format!("{headline}{account}"), FALLBACK),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

/// The facts, then what to do, which is kept however many facts there are.
fn rows(rows: &[Row]) -> Vec<Value> {
    let to_do = rows.iter().position(|row| row.label == WHAT_TO_DO);
    let (facts, to_do) = rows.split_at(to_do.unwrap_or(rows.len()));
    let mut blocks = some(facts, BLOCKS - OTHER_BLOCKS - TO_DO_BLOCKS);
    blocks.extend(some(to_do, TO_DO_BLOCKS));
    blocks
}

/// Short rows beside their labels, long ones in the whole width, as many as fit into `most` blocks.
fn some(rows: &[Row], most: usize) -> Vec<Value> {
    let mut blocks = Vec::new();
    let mut fields = Vec::new();
    let mut room = ALL_ROWS;
    let mut left_out = rows.len();
    for row in rows {
        // The fields so far and what is left out take a block each.
        if room == 0 || blocks.len() + 2 >= most {
            break;
        }
        room = room.saturating_sub(length(&row.label) + length(&row.text));
        left_out -= 1;
        if is_short(row) {
            fields.extend(pair(row));
        } else {
            flush(&mut fields, &mut blocks);
            blocks.push(section(&paragraph(row)));
        }
        if fields.len() == FIELDS_PER_SECTION {
            flush(&mut fields, &mut blocks);
        }
    }
    flush(&mut fields, &mut blocks);
    if left_out > 0 {
        blocks.push(section(&format!("… {left_out} more (cut)")));
    }
    blocks
}

fn is_short(row: &Row) -> bool {
    !row.label.is_empty()
        && length(&row.label) + length(&row.text) <= SHORT
        && !row.text.contains('\n')
}

fn pair(row: &Row) -> [Value; 2] {
    let label = format!("*{}*", fit(&markdown(&row.label), FIELD - 2));
    [
        json!({ "type": "mrkdwn", "text": label, "verbatim": true }),
        plain(fit(&row.text, FIELD)),
    ]
}

fn paragraph(row: &Row) -> String {
    if row.label.is_empty() {
        row.text.clone()
    } else {
        format!("{}: {}", row.label, row.text)
    }
}

fn flush(fields: &mut Vec<Value>, blocks: &mut Vec<Value>) {
    if !fields.is_empty() {
        let fields = std::mem::take(fields);
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": plain(fit(text, SECTION)) })
}

/// `text` is already escaped.
#[expect(
    clippy::needless_pass_by_value,
    reason = "every caller makes the text in place"
)]
fn plain(text: String) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::message::Message;

    /// The samples, by their names.
    fn samples() -> Vec<(String, String)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/slack-notifier");
        let files = std::fs::read_dir(folder).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .map(|path| {
                let name = path.display().to_string();
                (name, std::fs::read_to_string(path).unwrap())
            })
            .collect()
    }

    fn posted(body: &str) -> Value {
        let sent = "2026-03-01T10:15:31Z".parse().unwrap();
        message(&Card::of(&Message::read(body, "a", sent)))
    }

    /// Everything that Slack would refuse the message for.
    fn refusals(message: &Value) -> Vec<String> {
        let mut refusals = Vec::new();
        let mut check = |what: &str, value: &Value, limit: usize| {
            let size = value.as_str().map_or(0, length);
            if !(1..=limit).contains(&size) {
                refusals.push(format!("{what}: {size} of {limit}"));
            }
        };
        let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
        check("text", &message["text"], 4_000);
        let blocks = array(&message["blocks"]);
        let mut counts = vec![("blocks", blocks.len(), 50)];
        for block in &blocks {
            match block["type"].as_str().unwrap() {
                "header" => check("header", &block["text"]["text"], 150),
                "section" if block["fields"].is_array() => {
                    let fields = array(&block["fields"]);
                    counts.push(("fields", fields.len(), 10));
                    for field in fields {
                        check("field", &field["text"], 2_000);
                    }
                }
                "section" => check("section", &block["text"]["text"], 3_000),
                "context" => {
                    let elements = array(&block["elements"]);
                    counts.push(("elements", elements.len(), 10));
                    for element in elements {
                        check("context", &element["text"], 3_000);
                    }
                }
                "actions" => {
                    for button in array(&block["elements"]) {
                        check("button", &button["text"]["text"], 75);
                        check("link", &button["url"], 3_000);
                    }
                }
                other => panic!("{other}"),
            }
        }
        for (what, count, limit) in counts {
            if !(1..=limit).contains(&count) {
                refusals.push(format!("{what}: {count} of {limit}"));
            }
        }
        refusals
    }

    /// Every text in the message with its type; the one for notifications is plain.
    fn texts(value: &Value) -> Vec<(&str, &str)> {
        match value {
            Value::Object(object) => match (object.get("type"), object.get("text")) {
                (Some(Value::String(kind)), Some(Value::String(text))) => vec![(kind, text)],
                _ => object.values().flat_map(texts).collect(),
            },
            Value::Array(array) => array.iter().flat_map(texts).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn slack_accepts_every_sample() {
        assert!(samples().len() > 10);
        for (name, body) in samples() {
            assert_eq!(refusals(&posted(&body)), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn short_facts_are_fields() {
        let body = include_str!("../../../events/slack-notifier/root-sign-in.json");
        let message = posted(body);
        assert_eq!(
            message["text"],
            "🚨 CRITICAL: Root signed in to payments-dev, without MFA · payments-dev (111122223333)"
        );
        for off in ["mrkdwn", "unfurl_links", "unfurl_media"] {
            assert_eq!(message[off], false);
        }
        assert_eq!(
            message["blocks"][2]["fields"][0],
            json!({ "type": "mrkdwn", "text": "*Account*", "verbatim": true })
        );
        assert_eq!(
            message["blocks"][2]["fields"][1],
            json!({ "type": "plain_text", "text": "payments-dev (111122223333)", "emoji": false })
        );
    }

    #[test]
    fn a_hostile_alert_formats_and_mentions_nothing() {
        let message = posted(include_str!("../../../events/slack-notifier/hostile.json"));
        for (kind, text) in texts(&message) {
            assert!(!text.contains(['<', '>', '\u{202e}', '\u{200b}']), "{text}");
            let formatted = text.trim_matches('*');
            assert!(
                kind != "mrkdwn" || !formatted.contains(['*', '_', '~', '`']),
                "{text}"
            );
        }
    }

    prop_compose! {
        fn any_alert()(
            severity in prop_oneof![Just("info"), Just("error"), Just("critical")],
            title in any_text(400),
            kind in any_text(50),
            region in any_text(50),
            name in proptest::option::of(any_text(4_000)),
            path in proptest::option::of(any_text(100)),
            actor in proptest::option::of(any_text(4_000)),
            ip in proptest::option::of(any_text(50)),
            link in proptest::option::of(any_text(4_000)),
            details in proptest::collection::vec((any_text(100), any_text(200)), 0..80),
            long in any_text(20_000),
        ) -> Value {
            let mut details: serde_json::Map<_, _> =
                details.into_iter().map(|(label, text)| (label, text.into())).collect();
            details.insert("What happened".to_owned(), long.into());
            let mut alert = json!({
                "severity": severity, "kind": kind, "title": title, "region": region,
                "account": { "name": name, "ouPath": path }, "time": "2026-03-01T10:15:00Z",
                "details": details, "dedupKey": "x",
            });
            for (field, value) in [("actor", json!(actor)), ("link", json!(link))] {
                if !value.is_null() {
                    alert[field] = value;
                }
            }
            if let Some(ip) = ip {
                alert["source"] = json!({ "ip": ip });
            }
            alert
        }
    }

    /// Text that is as long as `longest` now and then, and full of what Slack reads.
    fn any_text(longest: usize) -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<String>(),
            "[a-z &<>*_~`]{0,20}",
            Just("<!channel> <@U1> https://evil.example\n".to_owned()),
        ];
        (piece, prop_oneof![Just(1), 1..=longest]).prop_map(move |(piece, length)| {
            let times = length.div_ceil(piece.chars().count().max(1));
            piece.repeat(times).chars().take(length).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn slack_accepts_every_alert(alert in any_alert()) {
            let body = alert.to_string();
            let card = Card::of(&Message::read(&body, "a", Timestamp::UNIX_EPOCH));
            prop_assert_ne!(&card.kind, "unrecognized");
            let message = message(&card);
            prop_assert_eq!(refusals(&message), Vec::<String>::new());
            for (kind, text) in texts(&message) {
                prop_assert!(!text.contains(['<', '>']), "{}", text);
                prop_assert!(kind == "plain_text" || text.matches('*').count() == 2, "{}", text);
            }
        }

        #[test]
        fn slack_accepts_every_message(body in any::<String>(), times in 1_usize..1_000) {
            let message = posted(&body.repeat(times));
            prop_assert_eq!(refusals(&message), Vec::<String>::new());
            let says_so = message["blocks"][0]["text"]["text"].as_str().unwrap().contains("Unrecognized");
            prop_assert!(says_so);
        }
    }
}
