//! Settings and counts of account operations: how long they take, how many run at once, which fail, and which of their
//! events are lost or duplicated. Account Factory and `CreateAccount` share them.
//!
//! `GET /_orgkeeper/account-factory` returns, and `POST` or `PUT` returns after merging the settings in its body:
//! ```json
//! {
//!   "settings": {
//!     "duration_ms": 2000,
//!     "at_once": 5,
//!     "create_account_ms": 0,
//!     "events_lost": 0.0,
//!     "events_twice": false,
//!     "fail": [{"email": "x@example.com", "message": "no", "tainted": false, "times": 1}],
//!     "unregistered": ["ou-ab12-cdefgh34"],
//!     "launch_paths": 1,
//!     "busy_code": "ResourceInUseException",
//!     "shared": ["aws+log-archive@example.com"]
//!   },
//!   "running": 0, "most_at_once": 0,
//!   "started": 0, "succeeded": 0, "failed": 0, "refused_in_use": 0
//! }
//! ```

use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::lock::lock;

/// What a test sets; a missing member keeps its value, a list is replaced as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// How long Account Factory takes to create, enroll or update an account.
    duration_ms: u64,
    /// How many operations may run at once, of Account Factory and of `CreateAccount` each.
    at_once: usize,
    /// How long `CreateAccount` takes; at 0 its own answer already has the status SUCCEEDED.
    create_account_ms: u64,
    /// Share of lifecycle and `CreateAccountResult` events that are lost.
    events_lost: f64,
    /// Whether the others are sent twice.
    events_twice: bool,
    fail: Vec<Failure>,
    /// Ids of organizational units that are not registered with Control Tower.
    unregistered: Vec<String>,
    /// By how many portfolios the caller has access to Account Factory: none, its own, or another one too.
    launch_paths: usize,
    /// The code by which Account Factory says that it is busy; the words are the same.
    busy_code: String,
    /// The addresses of Control Tower's shared accounts (log archive, audit), which it does not enroll.
    shared: Vec<String>,
}

/// An account whose operation fails.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    /// In upper or lower case; `*` is every address.
    email: String,
    #[serde(default = "default_message")]
    pub(crate) message: String,
    /// Whether it fails after the account was created.
    #[serde(default)]
    pub(crate) tainted: bool,
    /// How often it fails; always if missing. A rule is removed after its last use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
}

fn default_message() -> String {
    "AWS Control Tower failed to deploy one or more stack set instances.".to_owned()
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            duration_ms: 2_000,
            at_once: 5,
            create_account_ms: 0,
            events_lost: 0.0,
            events_twice: false,
            fail: Vec::new(),
            unregistered: Vec::new(),
            launch_paths: 1,
            busy_code: "ResourceInUseException".to_owned(),
            shared: [
                "aws+log-archive@example.com",
                "aws+security-tooling@example.com",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }
}

/// Each kind has slots of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    AccountFactory,
    CreateAccount,
}

#[derive(Debug, Default)]
struct Counts {
    account_factory: usize,
    create_account: usize,
    /// The maximum of one kind.
    most_at_once: usize,
    started: u64,
    succeeded: u64,
    failed: u64,
    refused_in_use: u64,
}

impl Counts {
    fn running(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::AccountFactory => &mut self.account_factory,
            Kind::CreateAccount => &mut self.create_account,
        }
    }
}

/// Settings and counts.
#[derive(Debug, Default)]
pub(crate) struct Vending {
    state: Mutex<(Settings, Counts)>,
}

impl Vending {
    /// Settings and counts as JSON.
    pub(crate) fn report(&self) -> Value {
        let (settings, counts) = &*lock(&self.state);
        json!({
            "settings": settings,
            "running": counts.account_factory + counts.create_account,
            "most_at_once": counts.most_at_once,
            "started": counts.started,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "refused_in_use": counts.refused_in_use,
        })
    }

    /// Merges settings; the error is a sentence that says how to correct them.
    pub(crate) fn set(&self, body: &[u8]) -> Result<(), String> {
        let mut state = lock(&self.state);
        state.0 = merged(&state.0, body)?;
        Ok(())
    }

    /// Resets settings and counts; running operations continue.
    pub(crate) fn reset(&self) {
        let (settings, counts) = &mut *lock(&self.state);
        *settings = Settings::default();
        *counts = Counts {
            account_factory: counts.account_factory,
            create_account: counts.create_account,
            most_at_once: counts.account_factory.max(counts.create_account),
            ..Counts::default()
        };
    }

    /// Takes a slot for an operation; `false` if none is free.
    pub(crate) fn start(&self, kind: Kind) -> bool {
        let (settings, counts) = &mut *lock(&self.state);
        let running = counts.running(kind);
        if *running >= settings.at_once {
            counts.refused_in_use += 1;
            return false;
        }
        *running += 1;
        let running = *running;
        counts.most_at_once = counts.most_at_once.max(running);
        counts.started += 1;
        true
    }

    /// Releases the slot.
    pub(crate) fn end(&self, kind: Kind, succeeded: bool) {
        let counts = &mut lock(&self.state).1;
        let running = counts.running(kind);
        *running = running.saturating_sub(1);
        if succeeded {
            counts.succeeded += 1;
        } else {
            counts.failed += 1;
        }
    }

    /// How long an operation of Account Factory takes.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_millis(lock(&self.state).0.duration_ms)
    }

    /// How long `CreateAccount` takes; `None` if its answer has the status SUCCEEDED at once.
    pub(crate) fn create_account_duration(&self) -> Option<Duration> {
        let milliseconds = lock(&self.state).0.create_account_ms;
        (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
    }

    /// How often an event is sent: never, once or twice. `draw` is from 0 to 1.
    pub(crate) fn copies(&self, draw: f64) -> usize {
        let settings = &lock(&self.state).0;
        if draw < settings.events_lost {
            return 0;
        }
        1 + usize::from(settings.events_twice)
    }

    /// The rule by which the account with this address fails, used once.
    pub(crate) fn failure(&self, email: &str) -> Option<Failure> {
        let rules = &mut lock(&self.state).0.fail;
        let is_meant = |rule: &Failure| rule.email == "*" || rule.email.eq_ignore_ascii_case(email);
        let index = rules.iter().position(is_meant)?;
        let left = &mut rules[index].times;
        *left = left.map(|times| times.saturating_sub(1));
        match left {
            Some(0) => Some(rules.remove(index)),
            _ => Some(rules[index].clone()),
        }
    }

    /// By how many portfolios the caller has access to Account Factory.
    pub(crate) fn launch_paths(&self) -> usize {
        lock(&self.state).0.launch_paths
    }

    /// The code by which Account Factory says that it is busy.
    pub(crate) fn busy_code(&self) -> String {
        lock(&self.state).0.busy_code.clone()
    }

    /// Whether the account with this address is one of Control Tower's shared accounts.
    pub(crate) fn is_shared(&self, email: &str) -> bool {
        let shared = &lock(&self.state).0.shared;
        shared.iter().any(|it| it.eq_ignore_ascii_case(email))
    }

    /// Whether an organizational unit is registered with Control Tower.
    pub(crate) fn is_registered(&self, unit: &str) -> bool {
        !lock(&self.state).0.unregistered.iter().any(|it| it == unit)
    }
}

fn merged(settings: &Settings, body: &[u8]) -> Result<Settings, String> {
    let hint = "send JSON such as {\"duration_ms\":500,\"at_once\":5,\"events_lost\":0.1}";
    let not_understood =
        |error: serde_json::Error| format!("the settings are not understood ({error}); {hint}");
    let new: Value = serde_json::from_slice(body).map_err(not_understood)?;
    let Value::Object(new) = new else {
        return Err(format!("the settings are not an object; {hint}"));
    };
    let mut all = json!(settings);
    for (name, value) in new {
        all[name] = value;
    }
    let settings: Settings = serde_json::from_value(all).map_err(not_understood)?;
    let problems = [
        (
            !(0.0..=1.0).contains(&settings.events_lost),
            "set events_lost to a number from 0 to 1",
        ),
        (settings.at_once == 0, "set at_once to 1 or more"),
        (settings.launch_paths > 2, "set launch_paths to 0, 1 or 2"),
        (
            settings.fail.iter().any(|it| it.times == Some(0)),
            "set times to 1 or more, or leave it out",
        ),
    ];
    match problems.iter().find(|it| it.0) {
        Some((_, sentence)) => Err((*sentence).to_owned()),
        None => Ok(settings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vending(settings: &Value) -> Vending {
        let vending = Vending::default();
        vending.set(settings.to_string().as_bytes()).unwrap();
        vending
    }

    #[test]
    fn settings_are_merged() {
        let vending = vending(&json!({"duration_ms": 5, "unregistered": ["ou-1"]}));
        vending.set(br#"{"at_once": 2}"#).unwrap();
        let settings = vending.report()["settings"].take();
        let expected = json!({
            "duration_ms": 5,
            "at_once": 2,
            "create_account_ms": 0,
            "events_lost": 0.0,
            "events_twice": false,
            "fail": [],
            "unregistered": ["ou-1"],
            "launch_paths": 1,
            "busy_code": "ResourceInUseException",
            "shared": ["aws+log-archive@example.com", "aws+security-tooling@example.com"],
        });
        assert_eq!(settings, expected);
        assert!(!vending.is_registered("ou-1"));
        assert!(vending.is_registered("ou-2"));
        vending.reset();
        assert!(vending.is_registered("ou-1"));
    }

    #[test]
    fn invalid_settings_are_refused_with_a_hint_and_change_nothing() {
        let vending = Vending::default();
        for (settings, word) in [
            (json!({"events_lost": 2}), "events_lost"),
            (json!({"at_once": 0}), "at_once"),
            (json!({"launch_paths": 3}), "launch_paths"),
            (json!({"duration": 1}), "duration"),
            (json!({"fail": [{"message": "no"}]}), "email"),
            (json!({"fail": [{"email": "a", "times": 0}]}), "times"),
            (json!([]), "object"),
        ] {
            let sentence = vending.set(settings.to_string().as_bytes()).unwrap_err();
            assert!(sentence.contains(word), "{settings}: {sentence}");
        }
        assert_eq!(vending.report(), Vending::default().report());
    }

    #[test]
    fn each_kind_has_its_own_slots() {
        let vending = vending(&json!({"at_once": 2}));
        let started = [(); 3].map(|()| vending.start(Kind::AccountFactory));
        assert_eq!(started, [true, true, false]);
        assert!(vending.start(Kind::CreateAccount));
        vending.end(Kind::AccountFactory, true);
        assert!(vending.start(Kind::AccountFactory));
        vending.end(Kind::AccountFactory, false);
        let mut report = vending.report();
        report["settings"].take();
        let expected = json!({
            "settings": null,
            "running": 2,
            "most_at_once": 2,
            "started": 4,
            "succeeded": 1,
            "failed": 1,
            "refused_in_use": 1,
        });
        assert_eq!(report, expected);
        vending.reset();
        let report = vending.report();
        assert_eq!(
            (&report["running"], &report["started"]),
            (&json!(2), &json!(0))
        );
        assert_eq!(report["most_at_once"], 1);
    }

    #[test]
    fn a_failure_rule_is_used_once() {
        let vending = vending(&json!({"fail": [
            {"email": "A@example.com", "message": "no", "tainted": true, "times": 2},
            {"email": "*", "message": "never"},
        ]}));
        let messages = ["a@example.com"; 3].map(|it| vending.failure(it).unwrap().message);
        assert_eq!(messages, ["no", "no", "never"]);
        assert_eq!(
            vending.report()["settings"]["fail"],
            json!([
                {"email": "*", "message": "never", "tainted": false},
            ])
        );
    }

    #[test]
    fn shared_accounts_are_known_by_their_address() {
        let vending = Vending::default();
        assert!(vending.is_shared("AWS+log-archive@example.com"));
        assert!(!vending.is_shared("aws+dock-1@example.com"));
        assert_eq!(vending.busy_code(), "ResourceInUseException");
        vending
            .set(br#"{"shared": [], "busy_code": "InvalidParametersException"}"#)
            .unwrap();
        assert!(!vending.is_shared("aws+log-archive@example.com"));
        assert_eq!(vending.busy_code(), "InvalidParametersException");
    }

    #[test]
    fn events_are_lost_by_share_or_sent_twice() {
        let vending = vending(&json!({"events_lost": 0.1, "events_twice": true}));
        assert_eq!([0.05, 0.1, 0.9].map(|it| vending.copies(it)), [0, 2, 2]);
        assert_eq!(Vending::default().copies(0.0), 1);
    }
}
