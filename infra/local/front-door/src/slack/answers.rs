//! Bad days: how the webhooks answer for a while instead of keeping what they are sent.
//!
//! `POST /_orgkeeper/slack-answers` takes one answer, or a list that is played one after the other:
//! `[{"status": 429, "retry_after": 2, "seconds": 20}, {"status": 500, "seconds": 5}, {"status": 404}]`.
//! The last one may be without `seconds`: it stays. `{"status": 200, "seconds": 5}` is a good while.
//! `GET` gives what is still to be played, `DELETE` ends it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lock::lock;

/// What Slack says with a status.
const WORDS: &[(u16, &str)] = &[
    (400, "invalid_payload"),
    (403, "action_prohibited"),
    (404, "no_service"),
    (410, "channel_is_archived"),
    (429, "rate_limited"),
    (500, "rollup_error"),
];

/// An answer as it is asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    status: u16,
    retry_after: Option<u64>,
    seconds: Option<f64>,
}

/// One or several of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Wanted),
    More(Vec<Wanted>),
}

/// An answer that is played until a time, or for ever.
#[derive(Debug)]
struct Answer {
    wanted: Wanted,
    until: Option<Instant>,
}

/// How a post is answered that is not kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) status: StatusCode,
    pub(crate) word: &'static str,
    pub(crate) retry_after: Option<u64>,
}

/// The answers that are still to be played.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<VecDeque<Answer>>);

impl Answers {
    /// Plays these answers from now on, and none of those before; the error is a sentence that says what
    /// to do.
    pub(crate) fn set(&self, body: &[u8], now: Instant) -> Result<(), String> {
        let wanted = match serde_json::from_slice(body) {
            Ok(OneOrMore::One(wanted)) => vec![wanted],
            Ok(OneOrMore::More(wanted)) => wanted,
            Err(_) => {
                return Err("the answers are not understood; send JSON such as \
                     {\"status\":429,\"retry_after\":2,\"seconds\":20}, or a list of such objects"
                    .to_owned());
            }
        };
        let last = wanted.len().saturating_sub(1);
        let mut from = Some(now);
        let mut answers = VecDeque::new();
        for (place, wanted) in wanted.into_iter().enumerate() {
            if wanted.status != 200 && !(400..=599).contains(&wanted.status) {
                return Err("set status to 200 or to a number from 400 to 599".to_owned());
            }
            if wanted.seconds.is_none() && place < last {
                return Err("set seconds in every answer but the last".to_owned());
            }
            let seconds = wanted.seconds.map(Duration::try_from_secs_f64);
            let until = match (from, seconds) {
                (_, Some(Err(_))) => {
                    return Err("set seconds to a number that is not negative".to_owned());
                }
                (Some(from), Some(Ok(seconds))) => from.checked_add(seconds),
                _ => None,
            };
            from = until;
            answers.push_back(Answer { wanted, until });
        }
        *lock(&self.0) = answers;
        Ok(())
    }

    /// Ends them.
    pub(crate) fn reset(&self) {
        lock(&self.0).clear();
    }

    /// How a post is answered now; `None`: well.
    pub(crate) fn playing(&self, now: Instant) -> Option<Bad> {
        let answers = lock(&self.0);
        let wanted = &answers.iter().find(|answer| !answer.over(now))?.wanted;
        let status = StatusCode::from_u16(wanted.status).ok()?;
        (status != StatusCode::OK).then(|| Bad {
            status,
            word: WORDS
                .iter()
                .find(|(of, _)| *of == wanted.status)
                .map_or("error", |(_, word)| word),
            retry_after: wanted.retry_after,
        })
    }

    /// What is still to be played.
    pub(crate) fn report(&self, now: Instant) -> Value {
        let answers = lock(&self.0);
        let left = answers.iter().filter(|answer| !answer.over(now));
        let left: Vec<Value> = left
            .map(|answer| {
                let until = answer.until;
                json!({
                    "status": answer.wanted.status,
                    "retry_after": answer.wanted.retry_after,
                    "seconds_left": until.map(|it| it.duration_since(now).as_secs_f64()),
                })
            })
            .collect();
        json!({"answers": left})
    }
}

impl Answer {
    fn over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(answers: &Value) -> (Answers, Instant) {
        let (playing, now) = (Answers::default(), Instant::now());
        playing.set(answers.to_string().as_bytes(), now).unwrap();
        (playing, now)
    }

    fn status(answers: &Answers, now: Instant, seconds: u64) -> Option<u16> {
        let bad = answers.playing(now + Duration::from_secs(seconds))?;
        Some(bad.status.as_u16())
    }

    #[test]
    fn a_list_is_played_one_after_the_other() {
        let (answers, now) = set(&json!([
            {"status": 429, "retry_after": 2, "seconds": 20},
            {"status": 200, "seconds": 1},
            {"status": 500, "seconds": 5},
            {"status": 404},
        ]));
        let bad = answers.playing(now).unwrap();
        assert_eq!(bad.word, "rate_limited");
        assert_eq!(bad.retry_after, Some(2));
        for (second, expected) in [
            (19, Some(429)),
            (20, None),
            (21, Some(500)),
            (25, Some(500)),
            (26, Some(404)),
            (9_999, Some(404)),
        ] {
            assert_eq!(status(&answers, now, second), expected, "{second} s");
        }
        answers.reset();
        assert_eq!(status(&answers, now, 0), None);
    }

    #[test]
    fn an_answer_ends_by_itself() {
        let (answers, now) = set(&json!({"status": 503, "seconds": 0.5}));
        let bad = answers.playing(now).unwrap();
        assert_eq!((bad.word, bad.retry_after), ("error", None));
        let left = answers.report(now);
        let expected = json!({"status": 503, "retry_after": null, "seconds_left": 0.5});
        assert_eq!(left["answers"], json!([expected]));
        assert_eq!(status(&answers, now, 1), None);
        let later = now + Duration::from_secs(1);
        assert_eq!(answers.report(later), json!({"answers": []}));
    }

    #[test]
    fn a_wrong_answer_is_told_what_to_do() {
        for (wrong, word) in [
            (json!({"status": 300}), "status"),
            (json!({"seconds": 1}), "status"),
            (json!({"status": 500, "seconds": -1}), "negative"),
            (json!([{"status": 500}, {"status": 404}]), "every answer"),
            (json!({"status": 500, "for": 1}), "retry_after"),
        ] {
            let answers = Answers::default();
            let sentence = answers.set(wrong.to_string().as_bytes(), Instant::now());
            let sentence = sentence.unwrap_err();
            assert!(sentence.contains(word), "{wrong}: {sentence}");
        }
    }
}
