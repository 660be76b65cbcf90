//! What is told of an event, before it is known whose account it is and what the rules say.

use std::fmt;

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{
        Alert, AlertAccount, AlertSource, Details, Severity, WHAT_HAPPENED, WHAT_TO_DO, one_line,
    },
    ids::AccountId,
};

use crate::{
    console,
    event::Event,
    kinds::Kind,
    who::{self, Who},
};

/// Characters of a title: what fits a phone's list of mails, and a subject of SNS.
const TITLE_CHARACTERS: usize = 90;
/// Characters of an account's name in a title: half of it is left to what happened.
const ACCOUNT_CHARACTERS: usize = 45;
/// Characters of a detail: longer ones are cut, and say so.
const DETAIL_CHARACTERS: usize = 1_000;

/// How often and how gravely something was seen that is told again only when that rose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// How often.
    pub count: f64,
    /// How gravely.
    pub severity: f64,
}

impl Level {
    /// Whether this is news to somebody who has heard of `told`.
    #[must_use]
    pub fn rose_above(&self, told: &Self) -> bool {
        self.count > told.count || self.severity > told.severity
    }
}

/// What is told of an event.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What kind of thing happened.
    pub kind: Kind,
    /// How much it matters by itself.
    pub severity: Severity,
    /// Whether that stands, whatever a rule says of the kind.
    pub stands: bool,
    /// What happened, in a few words; the title says where as well.
    pub what: String,
    /// What stands between that and the account in a title.
    pub before_account: &'static str,
    /// The account that it is about.
    pub account: Option<AccountId>,
    /// Where it happened.
    pub region: String,
    /// When it happened.
    pub time: Timestamp,
    /// Who did it.
    pub who: Option<Who>,
    /// What they did it with.
    pub tool: Option<String>,
    /// The address that it came from.
    pub address: Option<String>,
    /// Everything else, by labels.
    pub details: Vec<(&'static str, String)>,
    /// Where to look.
    pub link: Option<String>,
    /// What is the same for events that tell the same.
    pub key: String,
    /// What is the same, beside kind, severity and account, for events that are alike.
    pub like: String,
    /// From which one alike within a burst's window on it is critical.
    pub critical_from: Option<usize>,
    /// The thing that is told again only when its level rose, and the level.
    pub level: Option<(String, Level)>,
}

impl Draft {
    /// A draft with what an event of any kind can say.
    #[must_use]
    pub fn of(event: &Event, kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            severity: kind.severity(),
            stands: false,
            what: what.into(),
            before_account: " in ",
            account: event.account(&[]),
            region: event.region(&[]),
            time: event.time(&[]),
            who: None,
            tool: None,
            address: None,
            details: Vec::new(),
            link: None,
            key: event.id(),
            like: String::new(),
            critical_from: None,
            level: None,
        }
    }

    /// A draft about a call that CloudTrail recorded: who, from where, with what.
    #[must_use]
    pub fn of_call(event: &Event, kind: Kind, what: impl Into<String>) -> Self {
        let who = Who::of(event);
        let region = event.region(&["/detail/awsRegion"]);
        let principal = who.as_ref().and_then(|who| {
            let principals = who.role.iter().chain(&who.principals);
            principals.chain([&who.words]).next().cloned()
        });
        Self {
            account: event.account(&[
                "/detail/recipientAccountId",
                "/detail/userIdentity/accountId",
            ]),
            link: event
                .value("/detail/eventID")
                .map(|id| console::trail_event(&region, &id)),
            region,
            address: who::address(event),
            like: principal.unwrap_or_default(),
            // A service has no tool.
            tool: who::tool(event).filter(|_| who.as_ref().is_none_or(|who| who.service.is_none())),
            who,
            ..Self::of(event, kind, what)
        }
    }

    /// Adds what happened, in a sentence.
    pub fn happened(&mut self, sentence: impl Into<String>) {
        self.say(WHAT_HAPPENED, Some(sentence.into()));
    }

    /// Adds a detail, if there is one.
    pub fn say(&mut self, label: &'static str, text: Option<String>) {
        self.details.extend(text.map(|text| {
            let short = fit(&text, DETAIL_CHARACTERS);
            let cut = if short == text { "" } else { " (cut)" };
            (label, format!("{short}{cut}"))
        }));
    }

    /// Adds what to do next.
    pub fn to_do(&mut self, next: &str) {
        self.say(WHAT_TO_DO, Some(next.to_owned()));
    }

    /// Makes it matter so much, whatever a rule says of the kind.
    pub fn settle(&mut self, severity: Severity) {
        self.severity = severity;
        self.stands = true;
    }

    /// Whoever did it, in words; somebody if nothing says who.
    #[must_use]
    pub fn who(&self) -> &str {
        self.who.as_ref().map_or("somebody", |who| &who.words)
    }

    /// Whoever did it and with what, as far as it is known.
    fn actor(&self) -> Option<String> {
        let words = match &self.tool {
            Some(tool) => format!("{} with {tool}", self.who()),
            None => self.who.as_ref()?.words.clone(),
        };
        Some(fit(&words, DETAIL_CHARACTERS))
    }

    /// What is the same for alerts that tell the same.
    #[must_use]
    pub fn dedup_key(&self) -> String {
        format!("{}#{}", self.kind, self.key)
    }

    /// The alert that this is about `account` with that severity.
    #[must_use]
    pub fn alert(&self, account: Option<&AlertAccount>, severity: Severity) -> Alert {
        Alert {
            severity,
            kind: self.kind.to_string(),
            title: title(&self.what, self.before_account, account, ""),
            account: account.cloned(),
            region: self.region.clone(),
            time: self.time,
            actor: self.actor(),
            source: self.address.clone().map(|ip| AlertSource { ip }),
            details: self.details.iter().cloned().collect::<Details>(),
            link: self.link.clone(),
            dedup_key: self.dedup_key(),
        }
    }
}

/// What happened and to which account, within the length of a title; `end` is never cut.
#[must_use]
pub fn title(what: &str, before: &str, account: Option<&AlertAccount>, end: &str) -> String {
    let account = account.and_then(|account| {
        let id = account.id.as_ref().map(ToString::to_string);
        account.name.as_deref().map(one_line).or(id)
    });
    let end = match account {
        Some(account) => format!("{before}{}{end}", fit(&account, ACCOUNT_CHARACTERS)),
        None => end.to_owned(),
    };
    let left = TITLE_CHARACTERS.saturating_sub(end.chars().count());
    format!("{}{end}", fit(&one_line(what), left))
}

/// A text within so many characters; one that is cut ends with `...`.
#[must_use]
pub fn fit(text: &str, characters: usize) -> String {
    if text.chars().nth(characters).is_none() {
        return text.to_owned();
    }
    let cut: String = text.chars().take(characters.saturating_sub(3)).collect();
    format!("{}...", cut.trim_end())
}

/// The end of an ARN, a name as it is: `arn:aws:iam::aws:policy/Reader` -> `Reader`.
#[must_use]
pub fn name_of(text: &str) -> &str {
    match text.strip_prefix("arn:") {
        Some(arn) => arn.rsplit(['/', ':']).next().unwrap_or(arn),
        None => text,
    }
}

/// A text with its first letter in upper case.
#[must_use]
pub fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

/// A text with its first letter in lower case, unless its first word is a name in capitals.
#[must_use]
pub fn uncapitalized(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

/// A number as a person writes it: `8`, `8.5`, `1,001.25`.
pub struct Plain(pub f64);

impl fmt::Display for Plain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0);
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let (sign, digits) = match whole.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", whole),
        };
        formatter.write_str(sign)?;
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                formatter.write_str(",")?;
            }
            write!(formatter, "{digit}")?;
        }
        match part.trim_end_matches('0') {
            "" => Ok(()),
            part => write!(formatter, ".{part}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> AlertAccount {
        AlertAccount {
            id: "111122223333".parse().ok(),
            name: Some(name.to_owned()),
            ou_path: None,
        }
    }

    #[test]
    fn a_title_says_where_and_fits() {
        fn title(what: &str, account: Option<&AlertAccount>) -> String {
            super::title(what, " in ", account, "")
        }
        assert_eq!(
            title("User ana created", Some(&account("payments"))),
            "User ana created in payments"
        );
        assert_eq!(title("User ana created", None), "User ana created");
        let unnamed = AlertAccount {
            name: None,
            ..account("")
        };
        assert_eq!(title("x", Some(&unnamed)), "x in 111122223333");
        let long = title(&"wörd ".repeat(40), Some(&account(&"ü".repeat(80))));
        assert!((80..=TITLE_CHARACTERS).contains(&long.chars().count()));
        assert!(
            long.contains("... in üüü") && long.ends_with("ü..."),
            "{long}"
        );
        assert_eq!(
            title("a\nb", Some(&account("x\u{202e}y"))),
            "a b in x\u{fffd}y"
        );
    }

    #[test]
    fn numbers_are_written_for_people() {
        let plain = |number| Plain(number).to_string();
        assert_eq!(plain(8.0), "8");
        assert_eq!(plain(8.5), "8.5");
        assert_eq!(plain(1_001.256), "1,001.26");
        assert_eq!(plain(-1_234_567.0), "-1,234,567");
    }

    #[test]
    fn the_end_of_an_arn_is_its_name() {
        assert_eq!(name_of("arn:aws:iam::aws:policy/job/Reader"), "Reader");
        assert_eq!(name_of("arn:aws:sns:eu-west-1:111122223333:topic"), "topic");
        assert_eq!(name_of("path/name"), "path/name");
    }
}
