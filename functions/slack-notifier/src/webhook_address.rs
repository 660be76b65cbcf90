//! The address of the incoming webhook. Who knows it can post, so nothing shows it.

use std::fmt;

use http::Uri;
use serde::Deserialize;

/// Hosts on this machine: the local cloud's stand-in for Slack has no certificate.
const LOOPBACK: &[&str] = &["127.0.0.1", "localhost"];

/// An address to post to.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookAddress(String);

impl fmt::Debug for WebhookAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebhookAddress(..)")
    }
}

/// A secret created in the console: a JSON object.
#[derive(Deserialize)]
struct Named {
    url: String,
}

impl WebhookAddress {
    /// The address in a secret: the text itself, or the value named `url` of a JSON object.
    #[must_use]
    pub fn parse(secret: &str) -> Option<Self> {
        let text = match serde_json::from_str::<Named>(secret) {
            Ok(named) => named.url,
            Err(_) => secret.to_owned(),
        };
        let text = text.trim();
        let uri: Uri = text.parse().ok()?;
        let host = uri.host()?;
        let safe = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => LOOPBACK.contains(&host),
            _ => false,
        };
        (safe && uri.path() != "/").then(|| Self(text.to_owned()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_an_address_or_names_one() {
        let address = "https://hooks.slack.com/services/T0/B0/x";
        let expected = Some(WebhookAddress(address.to_owned()));
        assert_eq!(WebhookAddress::parse(address), expected);
        assert_eq!(WebhookAddress::parse(&format!(" {address}\n")), expected);
        assert_eq!(
            WebhookAddress::parse(&format!("{{\"url\":\"{address}\"}}")),
            expected
        );
        let local = "http://127.0.0.1:4566/_orgkeeper/slack/alerts";
        assert_eq!(
            WebhookAddress::parse(local),
            Some(WebhookAddress(local.to_owned()))
        );
    }

    #[test]
    fn anything_else_is_no_address() {
        for wrong in [
            "",
            "xoxb-1",
            "http://hooks.slack.com/services/T0/B0/x",
            "https://hooks.slack.com",
            "ftp://hooks.slack.com/services",
            "http://127.0.0.1.example.com/x",
            "{\"webhook\":\"https://hooks.slack.com/services/T0/B0/x\"}",
        ] {
            assert_eq!(WebhookAddress::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_is_not_shown() {
        let address = WebhookAddress::parse("https://hooks.slack.com/services/T0/B0/x").unwrap();
        assert_eq!(format!("{address:?}"), "WebhookAddress(..)");
    }
}
