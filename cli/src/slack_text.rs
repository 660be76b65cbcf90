//! A message to Slack as text for a terminal.

use serde_json::Value;

/// The width of the labels.
const LABELS: usize = 14;

/// What a person sees of a message to Slack.
#[must_use]
pub fn text(message: &Value) -> String {
    let empty = Vec::new();
    let blocks = message["blocks"].as_array().unwrap_or(&empty);
    let lines: Vec<String> = if blocks.is_empty() {
        vec![shown(&message["text"])]
    } else {
        blocks.iter().flat_map(block).collect()
    };
    lines.join("\n") + "\n"
}

fn block(block: &Value) -> Vec<String> {
    let elements = || block["elements"].as_array().into_iter().flatten();
    match block["type"].as_str() {
        Some("header") => vec![shown(&block["text"]["text"])],
        Some("section") if block["fields"].is_array() => fields(&block["fields"]),
        Some("section") => indented(&shown(&block["text"]["text"])),
        Some("context") => {
            let parts: Vec<String> = elements().map(|element| shown(&element["text"])).collect();
            vec![format!("  ({})", parts.join(" "))]
        }
        Some("actions") => elements()
            .map(|button| {
                let label = shown(&button["text"]["text"]);
                format!("  [{label}] {}", button["url"].as_str().unwrap_or_default())
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Labels and texts alternate.
fn fields(fields: &Value) -> Vec<String> {
    let texts: Vec<String> = fields
        .as_array()
        .into_iter()
        .flatten()
        .map(|field| shown(&field["text"]))
        .collect();
    texts
        .chunks(2)
        .map(|pair| {
            let label = pair[0].trim_matches('*');
            let text = pair.get(1).map_or("", String::as_str);
            format!("  {label:LABELS$}  {text}")
        })
        .collect()
}

fn indented(text: &str) -> Vec<String> {
    text.lines().map(|line| format!("  {line}")).collect()
}

/// A text as Slack shows it.
fn shown(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use jiff::Timestamp;
    use serde_json::json;
    use slack_notifier::{blocks, card::Card, message::Message};

    use super::*;

    #[test]
    fn every_sample_reads_well() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/slack-notifier");
        let sent: Timestamp = "2026-03-01T10:15:31Z".parse().unwrap();
        let mut compared = 0;
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|end| end == "json") {
                let message = Message::read(&fs::read_to_string(&path).unwrap(), "a", sent);
                let shown = text(&blocks::message(&Card::of(&message)));
                let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
                assert_eq!(shown, expected, "{}", path.display());
                compared += 1;
            }
        }
        assert!(compared > 10, "only {compared} samples");
    }

    #[test]
    fn a_message_without_blocks_is_its_text() {
        assert_eq!(
            text(&json!({ "text": "a &lt; b &amp;amp; c" })),
            "a < b &amp; c\n"
        );
    }

    #[test]
    fn unknown_blocks_are_left_out() {
        let blocks = json!([{ "type": "divider" }, 1, { "type": "section" }]);
        assert_eq!(text(&json!({ "blocks": blocks })), "\n");
    }
}
