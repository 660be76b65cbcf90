//! The rules of `EventBridge` that deliver the events of a kind. `template.yaml` and `infra/alert-events.yaml` have
//! them; a test compares, and writes them with `REWRITE=1`.

/// A rule of `EventBridge`.
#[derive(Clone, Copy, Debug)]
pub struct EventRule {
    /// Its name in the templates, without `Rule` at its end.
    pub id: &'static str,
    /// What it delivers, as a part of a sentence.
    pub description: &'static str,
    /// What it matches.
    pub pattern: Pattern,
    /// Events that services record by themselves, beside the calls.
    pub service_events: &'static [&'static str],
    /// Whether it delivers calls that only read, too (EventBridge User Guide, "Receiving read-only management events").
    pub reads: bool,
    /// Where its events occur.
    pub place: Place,
}

/// What a rule matches.
#[derive(Clone, Copy, Debug)]
pub enum Pattern {
    /// The calls that the kind has words for.
    Calls,
    /// A pattern in JSON.
    Json(&'static str),
}

/// Where the events of a rule occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In every account and Region: other accounts forward them.
    Everywhere,
    /// In the stack's own account and Region only.
    OwnAccount,
    /// On the bus that other accounts and Regions forward to.
    AlertsBus,
}

impl EventRule {
    /// The rule for the calls of a kind.
    #[must_use]
    pub const fn of_calls(id: &'static str, description: &'static str) -> Self {
        Self {
            id,
            description,
            pattern: Pattern::Calls,
            service_events: &[],
            reads: false,
            place: Place::Everywhere,
        }
    }

    /// The rule for a pattern in JSON.
    #[must_use]
    pub const fn of(id: &'static str, description: &'static str, pattern: &'static str) -> Self {
        Self {
            pattern: Pattern::Json(pattern),
            ..Self::of_calls(id, description)
        }
    }

    /// The rule, with events that the services record by themselves.
    #[must_use]
    pub const fn with_service_events(mut self, events: &'static [&'static str]) -> Self {
        self.service_events = events;
        self
    }

    /// The rule, with calls that only read.
    #[must_use]
    pub const fn with_reads(mut self) -> Self {
        self.reads = true;
        self
    }

    /// The rule, for the stack's own account and Region.
    #[must_use]
    pub const fn in_own_account(mut self) -> Self {
        self.place = Place::OwnAccount;
        self
    }

    /// The rule, for events on the bus that other accounts and Regions forward to.
    #[must_use]
    pub const fn on_alerts_bus(mut self) -> Self {
        self.place = Place::AlertsBus;
        self
    }
}
