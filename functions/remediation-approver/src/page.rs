//! What a person sees: a page of plain HTML. Everything from outside is escaped, and nothing on it runs.

use orgkeeper_shared::remediation::{
    difference::changes,
    link::Decision,
    record::{Record, asking::Answer},
};
use serde_json::{Value, json};

use crate::request::Fields;

/// Nothing is loaded, nothing runs, and the form leads to this function only.
const POLICY: &str =
    "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Changes that are shown; the rest is counted.
const MOST_CHANGES: usize = 50;

/// The answer to a request of a browser.
#[must_use]
pub fn response(status: u16, title: &str, body: &str) -> Value {
    let title = escaped(title);
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"></head><body><h1>{title}</h1>{body}</body></html>"
    );
    json!({
        "statusCode": status,
        "headers": {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": POLICY,
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "x-robots-tag": "noindex, nofollow",
        },
        "body": page,
        "isBase64Encoded": false,
    })
}

/// A page with one sentence.
#[must_use]
pub fn sentence(status: u16, title: &str, text: &str) -> Value {
    response(status, title, &format!("<p>{}</p>", escaped(text)))
}

/// The page of a request: the change, and a form that answers as the link says.
#[must_use]
pub fn asked(record: &Record, decision: Decision, fields: &Fields) -> Value {
    let state = |text: &Option<String>| serde_json::from_str(text.as_deref()?).ok();
    let (before, after): (Option<Value>, Option<Value>) =
        (state(&record.before), state(&record.after));
    let mut changes = changes(before.as_ref(), after.as_ref());
    let more = changes.len().saturating_sub(MOST_CHANGES);
    changes.truncate(MOST_CHANGES);
    if more > 0 {
        changes.push(format!("and {more} more"));
    }
    let rows = [
        ("Control", record.control.as_str()),
        ("Account", record.account.as_str()),
        ("Region", &record.region),
        ("Resource", &record.resource),
        ("Would be changed", &changes.join("\n")),
    ];
    let rows = rows.map(|(label, text)| {
        let text = escaped(text);
        format!("<dt>{label}</dt><dd><pre>{text}</pre></dd>")
    });
    let rows = rows.concat();
    let hidden = [
        ("id", &fields.id),
        ("decision", &fields.decision),
        ("until", &fields.until),
        ("signature", &fields.signature),
    ];
    let hidden = hidden.map(|(name, value)| {
        let value = escaped(value);
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
    });
    let hidden = hidden.concat();
    let (title, button) = match decision {
        Decision::Approve => ("Approve this fix?", "Approve"),
        Decision::Refuse => ("Refuse this fix?", "Refuse"),
    };
    let body = format!(
        "<dl>{rows}</dl><form method=\"post\" action=\"/\">{hidden}<p><label>Your name, which is kept with the answer: \
         <input name=\"name\" maxlength=\"60\" required></label></p><p><button>{button}</button></p></form>"
    );
    response(200, title, &body)
}

/// The page about an answer that was given before.
#[must_use]
pub fn answered(answer: &Answer) -> Value {
    let word = if answer.approved {
        "approved"
    } else {
        "refused"
    };
    let text = format!("It was {word} by {} at {}.", answer.by, answer.at);
    sentence(409, "Answered before", &text)
}

/// A text that can stand in a page or in an attribute.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_becomes_a_tag_or_ends_an_attribute(text in ".{0,60}|[<>&\"'a]{0,20}") {
            let escaped = escaped(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let back = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            prop_assert_eq!(back.replace("&#39;", "'").replace("&amp;", "&"), text);
        }
    }
}
