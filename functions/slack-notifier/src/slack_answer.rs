//! What Slack answered to a post, and what it means.

use std::time::Duration;

use crate::post_error::PostError;

/// An answer of Slack.
#[derive(Debug)]
pub struct SlackAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The start of the body.
    pub body: String,
}

impl SlackAnswer {
    /// What the answer means ("Handling errors" in "Sending messages using incoming webhooks").
    ///
    /// # Errors
    /// If the message was not posted.
    pub fn result(&self) -> Result<(), PostError> {
        let why = format!("Slack answered {}{}", self.status, word(&self.body));
        match self.status {
            200 if self.body == "ok" => Ok(()),
            429 => {
                let header = self.retry_after.as_deref();
                let seconds = header.and_then(|header| header.trim().parse().ok());
                let after = seconds.map(Duration::from_secs);
                Err(PostError::Retryable { after, why })
            }
            408 | 500.. => Err(PostError::retryable(why)),
            400 | 413 | 422 => Err(PostError::MessageRefused { why }),
            // A page that is not Slack's can say 200 too.
            _ => Err(PostError::ChannelUnavailable { why }),
        }
    }
}

/// Slack's own code. Any other text is left out: it might contain the message.
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

    fn judged(status: u16, retry_after: Option<&str>, body: &str) -> Result<(), PostError> {
        SlackAnswer {
            status,
            retry_after: retry_after.map(str::to_owned),
            body: body.to_owned(),
        }
        .result()
    }

    fn why(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn only_ok_means_posted() {
        assert_eq!(judged(200, None, "ok"), Ok(()));
        for (status, body) in [(200, "<html>"), (204, ""), (302, ""), (301, "ok")] {
            let answer = judged(status, None, body);
            assert!(
                matches!(answer, Err(PostError::ChannelUnavailable { .. })),
                "{status}"
            );
        }
    }

    #[test]
    fn a_throttled_answer_says_how_long_to_wait() {
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
            let expected = Err(PostError::Retryable { after, why });
            assert_eq!(judged(429, header, "rate_limited"), expected, "{header:?}");
        }
    }

    #[test]
    fn a_refusal_is_about_the_message_or_about_the_channel() {
        let refused = PostError::MessageRefused {
            why: why("Slack answered 400 (invalid_payload)"),
        };
        assert_eq!(judged(400, None, "invalid_payload"), Err(refused));
        for (status, word) in [
            (403, "action_prohibited"),
            (404, "no_service"),
            (410, "channel_is_archived"),
        ] {
            let why = format!("Slack answered {status} ({word})");
            assert_eq!(
                judged(status, None, word),
                Err(PostError::ChannelUnavailable { why })
            );
        }
        for status in [408, 500, 502, 503, 504, 599] {
            let why = format!("Slack answered {status}");
            let later = PostError::Retryable { after: None, why };
            assert_eq!(judged(status, None, "Oops, sorry"), Err(later));
        }
    }
}
