//! An alert before rules and account names are applied.

use std::collections::HashMap;

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, AlertSource, Details, Severity, WHAT_HAPPENED, WHAT_TO_DO},
    ids::AccountId,
};

use crate::{
    actor::{self, Actor, ActorClass},
    console,
    event::Event,
    kind::Kind,
    outcome::Outcome,
    policy_document::{EVERYBODY, LetsIn, OUTSIDE},
    severity::{self, Content, Decisive},
    text::{fit, title},
};

/// Characters of a detail. A longer one is cut and marked.
const DETAIL_CHARACTERS: usize = 1_000;

/// How much of something there is and how severe it is. It is reported again only when one of them rose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// How often it was seen, or what it costs.
    pub count: f64,
    /// Its severity, in the unit of its service.
    pub severity: f64,
    /// How many times the published count is news.
    pub factor: f64,
    /// The count below which more is no news.
    pub least: f64,
}

/// The cause of an alert that comes up in several accounts or Regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Equal for the alerts that have the same cause, wherever they come up.
    pub key: String,
    /// Where this one came up: a Region, or an account's id.
    pub place: String,
}

impl Level {
    /// Whether the severity is higher than the published one, or the count so many times as high.
    #[must_use]
    pub fn rose_above(&self, (count, severity): (f64, f64)) -> bool {
        let news = (count * self.factor).max(self.least);
        self.severity > severity || self.count >= news
    }
}

/// An alert before rules and account names are applied.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The kind of alert.
    pub kind: &'static Kind,
    /// How the call ended.
    pub outcome: Outcome,
    /// What it is about, as far as it decides how severe it is.
    pub content: Option<Content>,
    /// What happened, in a few words. The title adds the account.
    pub headline: String,
    /// The words between headline and account in the title; if empty, the title leaves the account out.
    pub before_account: &'static str,
    /// The account that the alert is about.
    pub account: Option<AccountId>,
    /// Where it happened.
    pub region: String,
    /// When it happened.
    pub time: Timestamp,
    /// Who made the call.
    pub actor: Option<Actor>,
    /// The program that the call was made with.
    pub tool: Option<String>,
    /// The address that the call came from.
    pub source_ip: Option<String>,
    /// Everything else, as labels and texts.
    pub details: Vec<(&'static str, String)>,
    /// Where to look in the console.
    pub link: Option<String>,
    /// Equal for events that report the same thing. With the kind it makes the deduplication key.
    pub key: String,
    /// Alerts of one kind, severity, weight and account with the same value count as one burst.
    pub burst_key: String,
    /// How much it weighs beside alerts of the same kind and severity: what gives power or weakens a sign-in is
    /// not held back behind what does not.
    pub weight: u8,
    /// What else comes up with the same cause, elsewhere, is counted and listed with the first.
    pub cause: Option<Cause>,
    /// The position in a burst from which an alert is critical.
    pub critical_from: Option<usize>,
    /// The thing that is reported again only when its level rose, and the level.
    pub level: Option<(String, Level)>,
    /// The accounts that a policy lets in, beside its own.
    pub trusted_accounts: Vec<AccountId>,
    /// The central root session that the call opened.
    pub opened_session: Option<OpenedSession>,
    /// The access key of a session that may be a central one of the root user, and the event.
    pub session_key: Option<String>,
    /// The event, where [`Self::session_key`] is one.
    pub session_event: Option<Box<Event>>,
}

/// A central root session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedSession {
    /// The id of its access key.
    pub access_key_id: String,
    /// Who opened it, in words.
    pub who: String,
}

impl Draft {
    /// A draft with the fields that every event has.
    #[must_use]
    pub fn of(event: &Event, kind: &'static Kind, headline: impl Into<String>) -> Self {
        Self {
            kind,
            outcome: Outcome::Done,
            content: None,
            headline: headline.into(),
            before_account: " in ",
            account: event.account(&[]),
            region: event.region(&[]),
            time: event.time(&[]),
            actor: None,
            tool: None,
            source_ip: None,
            details: Vec::new(),
            link: None,
            key: event.id(),
            burst_key: String::new(),
            weight: severity::ORDINARY,
            cause: None,
            critical_from: None,
            level: None,
            trusted_accounts: Vec::new(),
            opened_session: None,
            session_key: None,
            session_event: None,
        }
    }

    /// A draft about a call that CloudTrail recorded: who, from where, with what.
    #[must_use]
    pub fn of_call(event: &Event, kind: &'static Kind, headline: impl Into<String>) -> Self {
        let actor = Actor::of(event);
        let known_region = event.known_region(&["/detail/awsRegion"]);
        let region = event.region(&["/detail/awsRegion"]);
        let principal = actor.as_ref().and_then(|actor| {
            let principals = actor.role.iter().chain(&actor.principals);
            principals.chain([&actor.description]).next().cloned()
        });
        let outcome = Outcome::of(event);
        Self {
            outcome,
            weight: match outcome {
                Outcome::Done => severity::ORDINARY,
                Outcome::Denied | Outcome::NotThere | Outcome::Failed => severity::NOTHING,
            },
            account: event.account(&[
                "/detail/recipientAccountId",
                "/detail/userIdentity/accountId",
            ]),
            link: event
                .value("/detail/eventID")
                .zip(known_region)
                .and_then(|(id, region)| console::trail_event(&region, &id)),
            region,
            source_ip: actor::source_ip(event),
            burst_key: principal.unwrap_or_default(),
            // The user agent of a service says nothing.
            tool: actor::tool(event)
                .filter(|_| actor.as_ref().is_none_or(|actor| actor.service.is_none())),
            actor,
            ..Self::of(event, kind, headline)
        }
    }

    /// Adds a sentence that says what happened.
    pub fn what_happened(&mut self, sentence: impl Into<String>) {
        self.detail(WHAT_HAPPENED, Some(sentence.into()));
    }

    /// Adds a detail, if there is one.
    pub fn detail(&mut self, label: &'static str, text: Option<String>) {
        self.details.extend(text.map(|text| {
            let short = fit(&text, DETAIL_CHARACTERS);
            let cut = if short == text { "" } else { " (cut)" };
            (label, format!("{short}{cut}"))
        }));
    }

    /// Adds what to do next.
    pub fn what_to_do(&mut self, next: &str) {
        self.detail(WHAT_TO_DO, Some(next.to_owned()));
    }

    /// Says what it is about, as far as it decides how severe it is.
    pub fn is_about(&mut self, content: Content) {
        self.content = Some(content);
        if self.outcome == Outcome::Done {
            self.weight = content.weight;
        }
    }

    /// Adds whom a policy lets in. Accounts count as outside of the organization until [`Self::know_trusted`].
    pub fn lets_in(&mut self, lets_in: LetsIn) {
        let LetsIn {
            everybody,
            organizations,
            accounts,
        } = lets_in;
        if everybody {
            self.detail(
                "Lets in",
                Some("everybody, whatever their account".to_owned()),
            );
            self.is_about(EVERYBODY);
        } else if !accounts.is_empty() {
            self.is_about(OUTSIDE);
        }
        if !organizations.is_empty() {
            let all: Vec<String> = organizations.into_iter().collect();
            let all = format!("everybody in organization {}", all.join(", "));
            self.detail("Lets in", Some(all));
        }
        self.trusted_accounts = accounts.into_iter().collect();
    }

    /// Names the accounts that a policy lets in, by those that the directory knows; `unread` if it could not be read.
    pub fn know_trusted(&mut self, names: &HashMap<AccountId, String>, unread: bool) {
        if self.trusted_accounts.is_empty() {
            return;
        }
        let words = self.trusted_accounts.iter().map(|id| match names.get(id) {
            Some(name) => format!("{name} ({id})"),
            None if unread => format!("account {id}, which the directory could not be asked about"),
            None => format!("account {id}, which is outside of the organization"),
        });
        let words = words.collect::<Vec<_>>().join("; ");
        let known = self
            .trusted_accounts
            .iter()
            .all(|id| names.contains_key(id));
        self.detail("Lets in", Some(words));
        if known && self.content == Some(OUTSIDE) {
            self.content = None;
            self.weight = self.weight.min(severity::ORDINARY);
        }
    }

    /// What decides how severe it is, by this actor.
    #[must_use]
    pub fn decisive(&self, actor: Option<ActorClass>) -> Decisive {
        Decisive {
            outcome: self.outcome,
            actor,
            content: self.content,
        }
    }

    /// Who made the call; "somebody" if that is unknown.
    #[must_use]
    pub fn actor_name(&self) -> &str {
        self.actor
            .as_ref()
            .map_or("somebody", |actor| &actor.description)
    }

    /// Who made the call and with what, as far as it is known.
    fn actor_line(&self) -> Option<String> {
        let line = match &self.tool {
            Some(tool) => format!("{} with {tool}", self.actor_name()),
            None => self.actor.as_ref()?.description.clone(),
        };
        Some(fit(&line, DETAIL_CHARACTERS))
    }

    /// Equal for alerts that report the same thing.
    #[must_use]
    pub fn dedup_key(&self) -> String {
        format!("{}#{}", self.kind, self.key)
    }

    /// The alert about `account` with that severity.
    #[must_use]
    pub fn alert(&self, account: Option<&AlertAccount>, severity: Severity) -> Alert {
        Alert {
            severity,
            kind: self.kind.to_string(),
            title: title(&self.headline, self.before_account, account, ""),
            account: account.cloned(),
            region: self.region.clone(),
            time: self.time,
            actor: self.actor_line(),
            source: self.source_ip.clone().map(|ip| AlertSource { ip }),
            details: self.details.iter().cloned().collect::<Details>(),
            link: self.link.clone(),
            dedup_key: self.dedup_key(),
        }
    }
}

#[cfg(test)]
impl Draft {
    /// Its severity without rules, by an unknown actor, and whether rules leave it alone.
    pub(crate) fn rated(&self) -> (Severity, bool) {
        let row = severity::decide(self.kind.severities, self.decisive(None));
        (row.severity, row.fixed)
    }
}
