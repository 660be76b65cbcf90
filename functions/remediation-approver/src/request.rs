//! What a browser sends to a function URL, within limits.

use std::collections::BTreeMap;

use aws_smithy_types::base64;
use serde::Deserialize;

/// Bytes of a query string, and of a body.
const QUERY_BYTES: usize = 2_000;
const BODY_BYTES: usize = 4_000;
/// Characters of a name that somebody types.
const NAME_CHARS: usize = 60;

/// An event of a function URL (payload 2.0): what is read of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlEvent {
    raw_query_string: String,
    body: Option<String>,
    is_base64_encoded: bool,
    request_context: Context,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Context {
    http: Http,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Http {
    method: String,
    source_ip: String,
}

/// What a link or form says; nothing is verified yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The id of the record.
    pub id: String,
    /// The answer.
    pub decision: String,
    /// Until when it counts.
    pub until: String,
    /// The signature.
    pub signature: String,
    /// The name that somebody typed.
    pub name: String,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The page.
    Page(Fields),
    /// An answer is given.
    Answer(Fields),
    /// Another method.
    NoMethod,
    /// It is longer than any of ours, or no text.
    Malformed,
}

impl UrlEvent {
    /// What is asked for.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        match self.request_context.http.method.as_str() {
            "GET" | "HEAD" if self.raw_query_string.len() <= QUERY_BYTES => {
                Wanted::Page(fields(self.raw_query_string.as_bytes()))
            }
            "GET" | "HEAD" => Wanted::Malformed,
            "POST" => match self.form() {
                Some(form) => Wanted::Answer(fields(&form)),
                None => Wanted::Malformed,
            },
            _ => Wanted::NoMethod,
        }
    }

    /// Where it came from.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.request_context.http.source_ip
    }

    fn form(&self) -> Option<Vec<u8>> {
        let body = self.body.as_deref().unwrap_or_default();
        if body.len() > BODY_BYTES {
            return None;
        }
        if self.is_base64_encoded {
            return base64::decode(body).ok();
        }
        Some(body.as_bytes().to_vec())
    }
}

fn fields(encoded: &[u8]) -> Fields {
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(encoded) {
        // Of two the first counts.
        named.entry(name.into_owned()).or_insert(value.into_owned());
    }
    let mut take = |name: &str| named.remove(name).unwrap_or_default();
    Fields {
        id: take("id"),
        decision: take("decision"),
        until: take("until"),
        signature: take("signature"),
        name: plain(&take("name")),
    }
}

/// A name on one line.
fn plain(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    let line = words.join(" ");
    let visible = line.chars().filter(|character| !character.is_control());
    visible.take(NAME_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn wanted(method: &str, query: &str, body: Option<&str>, base64: bool) -> Wanted {
        let event = json!({
            "version": "2.0", "rawPath": "/", "rawQueryString": query, "body": body, "isBase64Encoded": base64,
            "requestContext": { "http": { "method": method, "sourceIp": "203.0.113.7" } },
        });
        let event: UrlEvent = serde_json::from_value(event).unwrap();
        assert_eq!(event.address(), "203.0.113.7");
        event.wanted()
    }

    #[test]
    fn a_get_asks_for_the_page_and_a_post_answers() {
        let query = "id=a&decision=approve&until=1&signature=ff&id=b";
        let fields = Fields {
            id: "a".to_owned(),
            decision: "approve".to_owned(),
            until: "1".to_owned(),
            signature: "ff".to_owned(),
            name: String::new(),
        };
        assert_eq!(
            wanted("GET", query, None, false),
            Wanted::Page(fields.clone())
        );
        assert_eq!(
            wanted("HEAD", query, None, false),
            Wanted::Page(fields.clone())
        );
        let named = Fields {
            name: "Anna Lee".to_owned(),
            ..fields
        };
        let form = format!("{query}&name=Anna%0A+Lee");
        assert_eq!(
            wanted("POST", "id=x", Some(&form), false),
            Wanted::Answer(named.clone())
        );
        let encoded = base64::encode(&form);
        assert_eq!(
            wanted("POST", "", Some(&encoded), true),
            Wanted::Answer(named)
        );
        for method in ["PUT", "DELETE", "OPTIONS", ""] {
            assert_eq!(wanted(method, query, None, false), Wanted::NoMethod);
        }
        let long = "x".repeat(5_000);
        assert_eq!(wanted("GET", &long, None, false), Wanted::Malformed);
        assert_eq!(wanted("POST", "", Some(&long), false), Wanted::Malformed);
        assert_eq!(wanted("POST", "", Some("%"), true), Wanted::Malformed);
    }

    #[test]
    fn the_sample_is_understood() {
        let sample = include_str!("../../../events/remediation-approver/page.json");
        let event: UrlEvent = serde_json::from_str(sample).unwrap();
        assert!(matches!(event.wanted(), Wanted::Page(fields) if fields.decision == "approve"));
    }

    proptest! {
        #[test]
        fn any_request_is_understood_or_refused(query in ".{0,100}", body in proptest::option::of(".{0,100}"), base64 in any::<bool>()) {
            for method in ["GET", "POST"] {
                let event = UrlEvent {
                    raw_query_string: query.clone(),
                    body: body.clone(),
                    is_base64_encoded: base64,
                    request_context: Context { http: Http { method: method.to_owned(), source_ip: String::new() } },
                };
                if let Wanted::Answer(fields) | Wanted::Page(fields) = event.wanted() {
                    prop_assert!(fields.name.chars().count() <= NAME_CHARS && !fields.name.contains(['\n', '\r']));
                }
            }
        }
    }
}
