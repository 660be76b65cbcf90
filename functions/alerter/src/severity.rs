//! How severe an alert is: kind × outcome × actor × content. Each kind has a table of rows; the first row that fits
//! decides.

use orgkeeper_shared::alert::Severity;

use crate::{actor::ActorClass, draft::Draft};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// It was denied.
    Denied,
    /// It failed, because what it names does not exist.
    NotThere,
    /// It failed for another reason.
    Failed,
}

/// What an alert is about, as far as it decides how severe it is: "gives every right".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// In words, for the table in `docs/alerts.md`.
    pub label: &'static str,
    /// The weight beside alerts of the same kind and severity: see [`Draft::weight`].
    pub weight: u8,
}

impl Content {
    /// Content with these words.
    #[must_use]
    pub const fn new(label: &'static str) -> Self {
        Self {
            label,
            weight: ORDINARY,
        }
    }

    /// Content that is not held back behind what has none of its kind.
    #[must_use]
    pub const fn grave(label: &'static str) -> Self {
        Self {
            label,
            weight: GRAVE,
        }
    }
}

/// The weight of what did not happen.
pub const NOTHING: u8 = 0;
/// The weight of what happened.
pub const ORDINARY: u8 = 1;
/// The weight of what gives power, opens something or weakens a sign-in.
pub const GRAVE: u8 = 2;

/// A row of a kind's severities. What it does not name fits everything.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The severity of the alerts that it fits.
    pub severity: Severity,
    /// Whether a rule for the kind leaves this severity alone.
    pub fixed: bool,
    outcome: Option<Outcome>,
    actor: Option<ActorClass>,
    content: Option<Content>,
}

/// A row that fits every alert.
#[must_use]
pub const fn row(severity: Severity) -> Row {
    Row {
        severity,
        fixed: false,
        outcome: None,
        actor: None,
        content: None,
    }
}

/// What does not exist cannot be harmed.
pub const NOT_THERE: Row = row(Severity::Info).outcome(Outcome::NotThere).fixed();
/// Nothing was changed, but somebody tried.
pub const DENIED: Row = row(Severity::Error).outcome(Outcome::Denied);
/// A service's own role does what the organization asked the service for.
pub const BY_A_SERVICE: Row = row(Severity::Info).by(ActorClass::AwsService).fixed();
/// What a deployment does was reviewed before.
pub const BY_A_DEPLOYMENT: Row = row(Severity::Info).by(ActorClass::DeploymentTool).fixed();

impl Row {
    /// Fits only calls that ended like this.
    #[must_use]
    pub const fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Fits only what these actors did.
    #[must_use]
    pub const fn by(mut self, actor: ActorClass) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Fits only alerts with this content.
    #[must_use]
    pub const fn content(mut self, content: Content) -> Self {
        self.content = Some(content);
        self
    }

    /// A rule for the kind leaves this severity alone.
    #[must_use]
    pub const fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }

    fn fits(&self, draft: &Draft, actor: Option<ActorClass>) -> bool {
        self.outcome.is_none_or(|outcome| outcome == draft.outcome)
            && self.actor.is_none_or(|wanted| Some(wanted) == actor)
            && self
                .content
                .is_none_or(|wanted| draft.content == Some(wanted))
    }

    /// Whether it fits every alert.
    #[must_use]
    pub fn fits_all(&self) -> bool {
        self.outcome.is_none() && self.actor.is_none() && self.content.is_none()
    }

    /// When it fits, in words; empty if it fits every alert.
    #[must_use]
    pub fn condition(&self) -> String {
        let outcome = self.outcome.map(|outcome| match outcome {
            Outcome::Done => "done",
            Outcome::Denied => "denied",
            Outcome::NotThere => "it does not exist",
            Outcome::Failed => "failed",
        });
        let parts = [
            self.content.map(|content| content.label),
            outcome,
            self.actor.map(ActorClass::by),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The row that decides on a draft by this actor.
#[must_use]
pub fn decide(draft: &Draft, actor: Option<ActorClass>) -> Row {
    let rows = draft.kind.severities.iter();
    let found = rows.copied().find(|row| row.fits(draft, actor));
    // A test holds that the last row of each kind fits everything.
    found.unwrap_or(row(Severity::Error))
}
