//! A message to Slack on a terminal: for the demo, the dry run, and to compare with in tests.

use serde_json::Value;

/// The width of the labels.
const LABELS: usize = 14;

/// What a person sees of a message that Slack was sent.
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

/// Labels and texts take turns.
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
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_without_blocks_is_its_text() {
        assert_eq!(
            text(&json!({ "text": "a &lt; b &amp;amp; c" })),
            "a < b &amp; c\n"
        );
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        let blocks = json!([{ "type": "divider" }, 1, { "type": "section" }]);
        assert_eq!(text(&json!({ "blocks": blocks })), "\n");
    }
}
