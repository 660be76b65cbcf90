//! The message of the assignments queue.
//!
//! AWS works on an assignment by itself: whoever asked for it has to ask again how it went. No
//! function waits for that; the message carries what is known and is sent again with a delay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::step::{Step, got_on};

/// The seconds until a request is looked at again, by how often it was looked at in vain.
const DELAYS: [u64; 9] = [1, 1, 1, 2, 3, 5, 10, 20, 30];

/// A piece of work. As JSON: `{"task":"assign","email":"aws+x@example.com","attempt":1}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Task {
    /// Give groups their access to the account of a request.
    Assign(Assign),
}

/// How far the access to an account is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assign {
    /// The request's key.
    pub email: String,
    /// Its attempt.
    pub attempt: u32,
    /// Where each access of the request stands, in its order; those beyond are open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// How often they were looked at in vain since one of them got further.
    #[serde(default)]
    pub polls: u32,
}

impl Assign {
    /// Where each of a request's `accesses` stands.
    #[must_use]
    pub fn steps_of(&self, accesses: usize) -> Vec<Step> {
        let mut steps = self.steps.clone();
        steps.resize(accesses, Step::Open);
        steps
    }

    /// The same later, now that the accesses stand at `steps`.
    #[must_use]
    pub fn followed_by(&self, steps: Vec<Step>) -> Self {
        let polls = if got_on(&self.steps_of(steps.len()), &steps) {
            0
        } else {
            self.polls.saturating_add(1)
        };
        Self {
            steps,
            polls,
            ..self.clone()
        }
    }

    /// In how long it is looked at again.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let polls = usize::try_from(self.polls).unwrap_or(usize::MAX);
        Duration::from_secs(DELAYS[polls.min(DELAYS.len() - 1)])
    }

    /// The start of every token that the request holds a place with.
    #[must_use]
    pub fn tokens(&self) -> String {
        format!("{}#{}#", self.email, self.attempt)
    }

    /// What the access at `place` of the request holds its place with.
    #[must_use]
    pub fn token(&self, place: usize) -> String {
        format!("{}{place}", self.tokens())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = include_str!("../../../events/create-account-assignment/assign.json");
    const FOLLOW_UP: &str =
        include_str!("../../../events/create-account-assignment/follow-up.json");

    fn read(text: &str) -> Assign {
        let Task::Assign(assign) = serde_json::from_str(text).unwrap();
        assign
    }

    fn asked(id: &str) -> Step {
        Step::Asked(id.to_owned())
    }

    #[test]
    fn the_first_message_knows_nothing() {
        let task = read(FIRST);
        assert_eq!(task.email, "aws+payments@example.com");
        assert_eq!(task.attempt, 1);
        assert_eq!(task.steps_of(2), [Step::Open, Step::Open]);
        assert_eq!(task.polls, 0);
    }

    #[test]
    fn a_follow_up_survives_the_queue() {
        let task = read(FOLLOW_UP);
        assert_eq!(
            task.steps,
            [
                Step::Given,
                asked("c0ffee00-0000-4111-8222-333344445555"),
                Step::Open,
                Step::Refused("The role quota is exceeded.".to_owned()),
            ]
        );
        let text = serde_json::to_string(&Task::Assign(task.clone())).unwrap();
        assert_eq!(read(&text), task);
    }

    #[test]
    fn what_is_looked_at_in_vain_is_looked_at_later() {
        let mut task = read(FIRST).followed_by(vec![asked("a"), Step::Open]);
        let mut delays = Vec::new();
        for _ in 0..11 {
            delays.push(task.delay().as_secs());
            task = task.followed_by(task.steps.clone());
        }
        assert_eq!(delays, [1, 1, 1, 2, 3, 5, 10, 20, 30, 30, 30]);
        // Another id for the same access is no news, its end is.
        task = task.followed_by(vec![asked("b"), Step::Open]);
        assert_eq!(task.delay().as_secs(), 30);
        task = task.followed_by(vec![Step::Given, Step::Open]);
        assert_eq!(task.delay().as_secs(), 1);
    }

    #[test]
    fn each_access_of_each_attempt_has_its_token() {
        let first = read(FIRST);
        let second = Assign {
            attempt: 11,
            ..first.clone()
        };
        assert_eq!(first.token(1), "aws+payments@example.com#1#1");
        assert!(first.token(1).starts_with(&first.tokens()));
        assert!(!second.token(1).starts_with(&first.tokens()));
    }
}
