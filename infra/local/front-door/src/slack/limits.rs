//! What Slack refuses to post: Block Kit's limits ("Reference: blocks").

use serde_json::Value;

const INVALID: &str = "invalid_payload";
const NO_TEXT: &str = "no_text";

const BLOCKS: usize = 50;
const ATTACHMENTS: usize = 100;
const BLOCK_ID: usize = 255;
const HEADER: usize = 150;
const SECTION: usize = 3_000;
const FIELDS: usize = 10;
const FIELD: usize = 2_000;
const CONTEXT_ELEMENTS: usize = 10;
const ACTIONS: usize = 25;
const BUTTON: usize = 75;
const LINK: usize = 3_000;

/// Types of blocks that are accepted unchecked.
const UNCHECKED: &[&str] = &["divider", "image", "rich_text", "video", "file"];

/// Slack's error code for an invalid message.
pub(crate) fn refusal(message: &Value) -> Option<&'static str> {
    if !message.is_object() {
        return Some(INVALID);
    }
    let has = |name: &str| match &message[name] {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if !has("text") && !has("blocks") && !has("attachments") {
        return Some(NO_TEXT);
    }
    let sound = (message["text"].is_null() || message["text"].is_string())
        && list(&message["attachments"], 0, ATTACHMENTS, |_| true)
        && list(&message["blocks"], 0, BLOCKS, block);
    (!sound).then_some(INVALID)
}

fn block(block: &Value) -> bool {
    let id = &block["block_id"];
    if !id.is_null() && !text(id, BLOCK_ID) {
        return false;
    }
    match block["type"].as_str() {
        Some("header") => object(&block["text"], &["plain_text"], HEADER),
        Some("section") => {
            let (heading, fields) = (&block["text"], &block["fields"]);
            (!heading.is_null() || !fields.is_null())
                && (heading.is_null() || object(heading, ANY_TEXT, SECTION))
                && (fields.is_null() || list(fields, 1, FIELDS, |it| object(it, ANY_TEXT, FIELD)))
        }
        Some("context") => list(&block["elements"], 1, CONTEXT_ELEMENTS, |element| {
            element["type"] == "image" || object(element, ANY_TEXT, SECTION)
        }),
        Some("actions") => list(&block["elements"], 1, ACTIONS, action),
        Some(other) => UNCHECKED.contains(&other),
        None => false,
    }
}

const ANY_TEXT: &[&str] = &["plain_text", "mrkdwn"];

fn action(element: &Value) -> bool {
    let url = &element["url"];
    element["type"] != "button"
        || (object(&element["text"], &["plain_text"], BUTTON) && (url.is_null() || text(url, LINK)))
}

/// A text object of one of these types.
fn object(value: &Value, types: &[&str], limit: usize) -> bool {
    value["type"].as_str().is_some_and(|it| types.contains(&it)) && text(&value["text"], limit)
}

fn text(value: &Value, limit: usize) -> bool {
    value
        .as_str()
        .is_some_and(|text| (1..=limit).contains(&text.chars().count()))
}

/// A list with a minimum and maximum length; one that may be empty may be missing.
fn list(value: &Value, least: usize, most: usize, sound: impl Fn(&Value) -> bool) -> bool {
    match value {
        Value::Array(items) => (least..=most).contains(&items.len()) && items.iter().all(sound),
        Value::Null => least == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(length: usize) -> Value {
        json!({"type": "plain_text", "text": "ü".repeat(length)})
    }

    fn with(blocks: &Value) -> Option<&'static str> {
        refusal(&json!({"text": "x", "blocks": blocks}))
    }

    fn fields(count: usize, length: usize) -> Value {
        json!({"type": "section", "fields": vec![plain(length); count]})
    }

    fn button(text: usize, url: usize) -> Value {
        let button = json!({"type": "button", "text": plain(text), "url": "u".repeat(url)});
        json!({"type": "actions", "elements": [button]})
    }

    #[test]
    fn values_within_the_limits_are_accepted() {
        assert_eq!(refusal(&json!({"text": "root login"})), None);
        let context = json!({"type": "context", "elements": vec![plain(3_000); 10]});
        let header = json!({"type": "header", "text": plain(150), "block_id": "b".repeat(255)});
        let section = json!({"type": "section", "text": plain(3_000)});
        let blocks = json!([
            header,
            section,
            fields(10, 2_000),
            context,
            button(75, 3_000)
        ]);
        assert_eq!(with(&blocks), None);
        assert_eq!(with(&json!(vec![json!({"type": "divider"}); 50])), None);
    }

    #[test]
    fn values_over_a_limit_are_refused() {
        let elements = |count| json!({"type": "context", "elements": vec![plain(1); count]});
        for wrong in [
            json!({"type": "header", "text": plain(151)}),
            json!({"type": "header", "text": plain(0)}),
            json!({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}),
            json!({"type": "header", "text": plain(1), "block_id": "b".repeat(256)}),
            json!({"type": "section"}),
            json!({"type": "section", "text": plain(3_001)}),
            json!({"type": "section", "text": "x"}),
            fields(11, 1),
            fields(1, 2_001),
            fields(1, 0),
            fields(0, 1),
            elements(11),
            elements(0),
            button(76, 1),
            button(1, 3_001),
            json!({"type": "actions", "elements": []}),
            json!({"type": "marquee"}),
            json!({}),
            json!("x"),
        ] {
            assert_eq!(with(&json!([wrong])), Some(INVALID), "{wrong}");
        }
        assert_eq!(
            with(&json!(vec![json!({"type": "divider"}); 51])),
            Some(INVALID)
        );
        assert_eq!(with(&json!("x")), Some(INVALID));
    }

    #[test]
    fn a_message_has_text() {
        for nothing in [json!({}), json!({"text": ""}), json!({"blocks": []})] {
            assert_eq!(refusal(&nothing), Some(NO_TEXT), "{nothing}");
        }
        for wrong in [
            json!(null),
            json!([]),
            json!("x"),
            json!({"text": 1, "blocks": [fields(1, 1)]}),
        ] {
            assert_eq!(refusal(&wrong), Some(INVALID), "{wrong}");
        }
    }
}
