//! Outages: answers that the webhooks give for a while instead of accepting messages.
//!
//! `POST /_orgkeeper/slack-answers` sets one answer, or a list of answers that follow each other:
//! `[{"status": 429, "retry_after": 2, "seconds": 20}, {"status": 500, "seconds": 5}, {"status": 404}]`.
//! The last one may lack `seconds`: it stays. `{"status": 200, "seconds": 5}` accepts messages for 5 s.
//! `GET` returns the remaining answers, `DELETE` removes them.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lock::lock;

/// Slack's error code for a status.
const WORDS: &[(u16, &str)] = &[
    (400, "invalid_payload"),
    (403, "action_prohibited"),
    (404, "no_service"),
    (410, "channel_is_archived"),
    (429, "rate_limited"),
    (500, "rollup_error"),
];

/// An answer as a test defines it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    status: u16,
    retry_after: Option<u64>,
    seconds: Option<f64>,
    /// Only what comes faster than this is answered so; the rest is accepted.
    per_second: Option<f64>,
}

/// One answer or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Definition),
    More(Vec<Definition>),
}

/// An answer with the time until which it is given, if it ends.
#[derive(Debug)]
struct Answer {
    definition: Definition,
    until: Option<Instant>,
    /// When a post was accepted, if there is a rate.
    accepted: Option<Instant>,
}

/// The answer to a post that is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) status: StatusCode,
    pub(crate) word: &'static str,
    pub(crate) retry_after: Option<u64>,
}

/// The remaining answers.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<VecDeque<Answer>>);

impl Answers {
    /// Replaces the remaining answers; the error is a sentence that says how to correct them.
    pub(crate) fn set(&self, body: &[u8], now: Instant) -> Result<(), String> {
        let definition = match serde_json::from_slice(body) {
            Ok(OneOrMore::One(definition)) => vec![definition],
            Ok(OneOrMore::More(definition)) => definition,
            Err(_) => {
                return Err("the answers are not understood; send JSON such as \
                     {\"status\":429,\"retry_after\":2,\"seconds\":20}, or a list of such objects"
                    .to_owned());
            }
        };
        let last = definition.len().saturating_sub(1);
        let mut from = Some(now);
        let mut answers = VecDeque::new();
        for (index, definition) in definition.into_iter().enumerate() {
            if definition.status != 200 && !(400..=599).contains(&definition.status) {
                return Err("set status to 200 or to a number from 400 to 599".to_owned());
            }
            if definition
                .per_second
                .is_some_and(|rate| !(rate > 0.0 && rate.is_finite()))
            {
                return Err("set per_second to a number above zero".to_owned());
            }
            if definition.seconds.is_none() && index < last {
                return Err("set seconds in every answer but the last".to_owned());
            }
            let seconds = definition.seconds.map(Duration::try_from_secs_f64);
            let until = match (from, seconds) {
                (_, Some(Err(_))) => {
                    return Err("set seconds to a number that is not negative".to_owned());
                }
                (Some(from), Some(Ok(seconds))) => from.checked_add(seconds),
                _ => None,
            };
            from = until;
            answers.push_back(Answer {
                definition,
                until,
                accepted: None,
            });
        }
        *lock(&self.0) = answers;
        Ok(())
    }

    /// Removes the remaining answers.
    pub(crate) fn reset(&self) {
        lock(&self.0).clear();
    }

    /// The answer to a post now; `None` if it is accepted.
    pub(crate) fn current(&self, now: Instant) -> Option<Bad> {
        let mut answers = lock(&self.0);
        let answer = answers.iter_mut().find(|answer| !answer.over(now))?;
        if answer.accepts(now) {
            answer.accepted = Some(now);
            return None;
        }
        let definition = &answer.definition;
        let status = StatusCode::from_u16(definition.status).ok()?;
        (status != StatusCode::OK).then(|| Bad {
            status,
            word: WORDS
                .iter()
                .find(|(of, _)| *of == definition.status)
                .map_or("error", |(_, word)| word),
            retry_after: definition.retry_after,
        })
    }

    /// The remaining answers as JSON.
    pub(crate) fn report(&self, now: Instant) -> Value {
        let answers = lock(&self.0);
        let left = answers.iter().filter(|answer| !answer.over(now));
        let left: Vec<Value> = left
            .map(|answer| {
                let until = answer.until;
                json!({
                    "status": answer.definition.status,
                    "retry_after": answer.definition.retry_after,
                    "per_second": answer.definition.per_second,
                    "seconds_left": until.map(|it| it.duration_since(now).as_secs_f64()),
                })
            })
            .collect();
        json!({"answers": left})
    }
}

impl Answer {
    /// Whether a post is within the rate, if there is one.
    fn accepts(&self, now: Instant) -> bool {
        self.definition.per_second.is_some_and(|rate| {
            self.accepted
                .is_none_or(|last| now.duration_since(last).as_secs_f64() >= rate.recip())
        })
    }

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
        let bad = answers.current(now + Duration::from_secs(seconds))?;
        Some(bad.status.as_u16())
    }

    #[test]
    fn the_answers_of_a_list_follow_each_other() {
        let (answers, now) = set(&json!([
            {"status": 429, "retry_after": 2, "seconds": 20},
            {"status": 200, "seconds": 1},
            {"status": 500, "seconds": 5},
            {"status": 404},
        ]));
        let bad = answers.current(now).unwrap();
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
    fn an_answer_expires() {
        let (answers, now) = set(&json!({"status": 503, "seconds": 0.5}));
        let bad = answers.current(now).unwrap();
        assert_eq!((bad.word, bad.retry_after), ("error", None));
        let left = answers.report(now);
        let expected =
            json!({"status": 503, "retry_after": null, "per_second": null, "seconds_left": 0.5});
        assert_eq!(left["answers"], json!([expected]));
        assert_eq!(status(&answers, now, 1), None);
        let later = now + Duration::from_secs(1);
        assert_eq!(answers.report(later), json!({"answers": []}));
    }

    #[test]
    fn what_exceeds_a_rate_is_refused() {
        let (answers, now) =
            set(&json!({"status": 429, "retry_after": 1, "per_second": 1, "seconds": 60}));
        for (second, expected) in [
            (0, None),
            (0, Some(429)),
            (1, None),
            (1, Some(429)),
            (1, Some(429)),
            (4, None),
            (60, None),
            (60, None),
        ] {
            assert_eq!(status(&answers, now, second), expected, "{second} s");
        }
        assert_eq!(answers.report(now)["answers"][0]["per_second"], 1.0);
    }

    #[test]
    fn an_invalid_answer_is_refused_with_a_hint() {
        for (wrong, word) in [
            (json!({"status": 300}), "status"),
            (json!({"seconds": 1}), "status"),
            (json!({"status": 500, "seconds": -1}), "negative"),
            (json!([{"status": 500}, {"status": 404}]), "every answer"),
            (json!({"status": 500, "for": 1}), "retry_after"),
            (json!({"status": 429, "per_second": 0}), "per_second"),
            (json!({"status": 429, "per_second": -1}), "per_second"),
        ] {
            let answers = Answers::default();
            let sentence = answers.set(wrong.to_string().as_bytes(), Instant::now());
            let sentence = sentence.unwrap_err();
            assert!(sentence.contains(word), "{wrong}: {sentence}");
        }
    }
}
