//! An incoming webhook of Slack.

use std::{sync::OnceLock, time::Duration};

use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorSettings},
    orchestrator::{HttpRequest, HttpResponse},
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use tokio::time::timeout;

use crate::{
    address::{Address, Addresses},
    channel::NotPosted,
};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a whole post may take. Slack usually answers within a second.
const POST: Duration = Duration::from_secs(5);
/// How long a connection is kept: Lambda may stop the function's clock between two invocations.
const IDLE: Duration = Duration::from_secs(10);
/// The longest answer that is read; Slack's are a word.
const ANSWER_BYTES: usize = 200;

/// An incoming webhook.
#[derive(Debug)]
pub struct Webhook {
    addresses: Addresses,
    /// Made at the first post: it reads the root certificates.
    connector: OnceLock<Connector>,
}

/// An answer of Slack's.
#[derive(Debug)]
struct Answer {
    status: u16,
    retry_after: Option<String>,
    body: String,
}

impl Webhook {
    /// The webhook whose address is kept there.
    #[must_use]
    pub fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            connector: OnceLock::new(),
        }
    }

    /// Posts a message. Where its address is not known to Slack it is read again, once: it may have
    /// been changed.
    ///
    /// # Errors
    /// If it was not posted, or if nobody knows.
    pub async fn post(&self, message: &str) -> Result<(), NotPosted> {
        let address = self.addresses.known().await?;
        match self.post_to(&address, message).await {
            Err(NotPosted::Closed { .. }) => {
                let address = self.addresses.read().await?;
                self.post_to(&address, message).await
            }
            answer => answer,
        }
    }

    async fn post_to(&self, address: &Address, message: &str) -> Result<(), NotPosted> {
        let later = |why: &str| NotPosted::Later {
            after: None,
            why: why.to_owned(),
        };
        let Some(request) = request(address, message) else {
            let why = "the secret holds no address of an incoming webhook".to_owned();
            return Err(NotPosted::Closed { why });
        };
        let answer = async {
            let response = self.connector().call(request).await.ok()?;
            read(response).await
        };
        // An error of the connection is not repeated: it may name what it was connected to.
        match timeout(POST, answer).await {
            Ok(Some(answer)) => judge(&answer),
            Ok(None) => Err(later("Slack cannot be reached")),
            Err(_) => Err(later("Slack did not answer in time")),
        }
    }

    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| {
            Connector::builder()
                .connector_settings(
                    HttpConnectorSettings::builder()
                        .connect_timeout(CONNECT)
                        .build(),
                )
                .pool_idle_timeout(IDLE)
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .build()
        })
    }
}

fn request(address: &Address, message: &str) -> Option<HttpRequest> {
    let mut request = HttpRequest::new(SdkBody::from(message));
    request.set_method("POST").ok()?;
    request.set_uri(address.as_str()).ok()?;
    request
        .headers_mut()
        .insert("content-type", "application/json; charset=utf-8");
    Some(request)
}

async fn read(response: HttpResponse) -> Option<Answer> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").map(str::to_owned);
    let mut stream = ByteStream::new(response.into_body());
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES
        && let Some(bytes) = stream.next().await
    {
        body.extend_from_slice(&bytes.ok()?);
    }
    body.truncate(ANSWER_BYTES);
    Some(Answer {
        status,
        retry_after,
        body: String::from_utf8_lossy(&body).trim().to_owned(),
    })
}

/// What an answer means ("Handling errors" in "Sending messages using incoming webhooks").
fn judge(answer: &Answer) -> Result<(), NotPosted> {
    let why = format!("Slack answered {}{}", answer.status, word(&answer.body));
    match answer.status {
        200 if answer.body == "ok" => Ok(()),
        429 => {
            let seconds = answer
                .retry_after
                .as_deref()
                .and_then(|it| it.trim().parse().ok());
            let after = seconds.map(Duration::from_secs);
            Err(NotPosted::Later { after, why })
        }
        408 | 500.. => Err(NotPosted::Later { after: None, why }),
        400 | 413 | 422 => Err(NotPosted::Refused { why }),
        // A page that is none of Slack's says 200, too.
        _ => Err(NotPosted::Closed { why }),
    }
}

/// Slack's own word for it. Anything else is not repeated: it might hold what was sent.
fn word(body: &str) -> String {
    let is_word = (1..=40).contains(&body.len())
        && body
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_word {
        format!(" ({body})")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, retry_after: Option<&str>, body: &str) -> Result<(), NotPosted> {
        judge(&Answer {
            status,
            retry_after: retry_after.map(str::to_owned),
            body: body.to_owned(),
        })
    }

    fn why(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn only_slacks_ok_is_a_post() {
        assert_eq!(judged(200, None, "ok"), Ok(()));
        for (status, body) in [(200, "<html>"), (204, ""), (302, ""), (301, "ok")] {
            let answer = judged(status, None, body);
            assert!(matches!(answer, Err(NotPosted::Closed { .. })), "{status}");
        }
    }

    #[test]
    fn slack_says_how_long_to_wait() {
        for (header, after) in [
            (Some("30"), Some(30)),
            (Some(" 0 "), Some(0)),
            (Some("soon"), None),
            (Some("-1"), None),
            (Some("1.5"), None),
            (Some("Wed, 21 Oct 2026 07:28:00 GMT"), None),
            (None, None),
        ] {
            let after = after.map(Duration::from_secs);
            let why = why("Slack answered 429 (rate_limited)");
            let expected = Err(NotPosted::Later { after, why });
            assert_eq!(judged(429, header, "rate_limited"), expected, "{header:?}");
        }
    }

    #[test]
    fn a_refusal_is_of_the_message_or_of_the_address() {
        let refused = NotPosted::Refused {
            why: why("Slack answered 400 (invalid_payload)"),
        };
        assert_eq!(judged(400, None, "invalid_payload"), Err(refused));
        for (status, word) in [
            (403, "action_prohibited"),
            (404, "no_service"),
            (410, "channel_is_archived"),
        ] {
            let why = format!("Slack answered {status} ({word})");
            assert_eq!(judged(status, None, word), Err(NotPosted::Closed { why }));
        }
        for status in [408, 500, 502, 503, 504, 599] {
            let why = format!("Slack answered {status}");
            let later = NotPosted::Later { after: None, why };
            assert_eq!(judged(status, None, "Oops, sorry"), Err(later));
        }
    }
}
