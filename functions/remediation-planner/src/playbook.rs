//! The playbook: what is done about each control and where, what is exempt, and what is suppressed. `infra/playbook.toml`
//! is the one that is shipped; [`playbook_file`](crate::playbook_file) reads it.

use std::{collections::BTreeMap, str::FromStr};

use jiff::{Timestamp, civil::Date, tz::Offset};
use orgkeeper_shared::{
    account_directory::entry::{AccountEntry, OuPath},
    ids::AccountId,
    pattern::matches,
    remediation::{
        control::{Control, Form},
        order::Parameters,
        target::Target,
    },
};

use crate::{hours::Hours, parameters};

/// What is done about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nothing.
    Off,
    /// It is said what would be changed, and nothing is changed.
    Observe,
    /// A person is asked, and it is fixed if they allow it.
    Ask,
    /// It is fixed.
    Auto,
}

/// The text is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mode: off, observe, ask, auto")]
pub struct InvalidMode(String);

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, InvalidMode> {
        match text {
            "off" => Ok(Self::Off),
            "observe" => Ok(Self::Observe),
            "ask" => Ok(Self::Ask),
            "auto" => Ok(Self::Auto),
            _ => Err(InvalidMode(text.to_owned())),
        }
    }
}

/// An organizational unit, and everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// By its id.
    Id(String),
    /// By its path of names: `Root/Workloads`.
    Path(String),
}

impl Unit {
    /// How deep in this path the unit is, if it is in it: 0 for the root.
    fn depth(&self, path: &OuPath) -> Option<usize> {
        match self {
            Self::Id(id) => path
                .0
                .iter()
                .position(|unit| unit.id == *id)
                .map(|place| place + 1),
            Self::Path(wanted) => (0..=path.0.len())
                .find(|depth| OuPath(path.0[..*depth].to_vec()).to_string() == *wanted),
        }
    }
}

/// What a rule of the playbook is about. Everything that it names has to match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    pub(crate) account: Option<AccountId>,
    pub(crate) unit: Option<Unit>,
    /// A tag of the account or of the resource: its key, or `key=value`.
    pub(crate) tag: Option<String>,
    /// A tag of the account alone.
    pub(crate) account_tag: Option<String>,
    /// The resource's ARN, in which `*` matches anything.
    pub(crate) resource: Option<String>,
}

/// An exemption or a suppression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Its line in the file.
    pub line: usize,
    /// The reason for it.
    pub reason: String,
    /// Its last day.
    pub until: Date,
    /// The control that it is about; none means every control.
    pub(crate) control: Option<&'static str>,
    pub(crate) selector: Selector,
}

/// Another mode for an account or an organizational unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Its line in the file.
    pub line: usize,
    pub(crate) mode: Mode,
    /// The control that it is about; none means every control.
    pub(crate) control: Option<&'static str>,
    pub(crate) account: Option<AccountId>,
    pub(crate) unit: Option<Unit>,
}

/// The playbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playbook {
    /// The mode of a control without one of its own.
    pub(crate) default_mode: Mode,
    pub(crate) modes: BTreeMap<&'static str, Mode>,
    pub(crate) parameters: BTreeMap<&'static str, Parameters>,
    pub(crate) overrides: Vec<Override>,
    pub(crate) exemptions: Vec<Exception>,
    pub(crate) suppressions: Vec<Exception>,
    pub(crate) windows: Vec<ChangeWindow>,
    pub(crate) reapplied: Vec<Reapplied>,
}

/// When fixes of what it covers may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeWindow {
    /// Its line in the file.
    pub line: usize,
    /// The control that it is about; none means every control.
    pub(crate) control: Option<&'static str>,
    pub(crate) selector: Selector,
    pub(crate) hours: Hours,
}

/// What was undone or left open before a day, and is fixed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reapplied {
    /// Its line in the file.
    pub line: usize,
    /// The control that it is about; none means every control.
    pub(crate) control: Option<&'static str>,
    pub(crate) selector: Selector,
    /// What was undone or left open before this day (UTC).
    pub(crate) before: Date,
}

/// One control on one resource of one account.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The control.
    pub control: &'static Control,
    /// The resource.
    pub target: &'a Target,
    /// The resource's tags; none means that they are not known.
    pub tags: Option<&'a BTreeMap<String, String>>,
    /// The account's entry in the directory.
    pub entry: &'a AccountEntry,
}

/// Whether an exception covers a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover<'p> {
    /// None does.
    No,
    /// This one may: it names a tag, and the resource's tags are not known.
    Unknown(&'p Exception),
    /// This one does.
    Yes(&'p Exception),
}

impl Playbook {
    /// What the playbook does about a subject: the mode that is closest to its account. Those for every control lower
    /// it, and never raise it.
    #[must_use]
    pub fn mode(&self, subject: &Subject<'_>) -> Mode {
        let of_control = self.modes.get(subject.control.id);
        let of_control = *of_control.unwrap_or(&self.default_mode);
        let covering = || {
            self.overrides
                .iter()
                .filter_map(|it| Some((it.place(subject.entry)?, it)))
        };
        let closest = covering()
            .filter(|(_, it)| it.control == Some(subject.control.id))
            // Of two that are as close, the one that does less.
            .max_by_key(|(place, it)| (*place, std::cmp::Reverse(it.mode)));
        let mode = closest.map_or(of_control, |(_, it)| it.mode);
        let lowering = covering().filter(|(_, it)| it.control.is_none());
        lowering.fold(mode, |mode, (_, it)| mode.min(it.mode))
    }

    /// Whether nothing comes of a control in any account: it is off everywhere, and nothing of it is suppressed.
    #[must_use]
    pub fn is_off(&self, control: &Control, today: Date) -> bool {
        let mode = *self.modes.get(control.id).unwrap_or(&self.default_mode);
        let raised = self
            .overrides
            .iter()
            .any(|it| it.control == Some(control.id) && it.mode > Mode::Off);
        let suppressed = self
            .suppressions
            .iter()
            .any(|it| it.holds(today) && it.is_about(control));
        mode == Mode::Off && !raised && !suppressed
    }

    /// Whether a subject is exempt.
    #[must_use]
    pub fn exemption(&self, subject: &Subject<'_>, today: Date) -> Cover<'_> {
        cover(&self.exemptions, subject, today)
    }

    /// Whether the findings about a subject are suppressed.
    #[must_use]
    pub fn suppression(&self, subject: &Subject<'_>, today: Date) -> Cover<'_> {
        cover(&self.suppressions, subject, today)
    }

    /// When a fix that is ready `now` may start: `None` means now, as does a subject that no window covers. Of several
    /// windows that cover it one has to be open. Tags that are not known may be those of a window.
    #[must_use]
    pub fn opens_at(&self, subject: &Subject<'_>, now: Timestamp) -> Option<Timestamp> {
        let covering = self.windows.iter().filter(|window| {
            window.control.is_none_or(|id| id == subject.control.id)
                && window.selector.covers(subject) != Covers::No
        });
        let opens: Vec<Timestamp> = covering.map(|window| window.hours.opens_at(now)).collect();
        opens.into_iter().min().filter(|opens_at| *opens_at > now)
    }

    /// Until when undone and left open fixes of a subject are forgotten, if the playbook says so.
    #[must_use]
    pub fn reapplied_before(&self, subject: &Subject<'_>) -> Option<Timestamp> {
        let covering = self.reapplied.iter().filter(|it| {
            it.control.is_none_or(|id| id == subject.control.id)
                && it.selector.covers(subject) == Covers::Yes
        });
        let before = covering.map(|it| it.before).max()?;
        Offset::UTC.to_timestamp(before.at(0, 0, 0, 0)).ok()
    }

    /// A control's parameters: those of the playbook, and for the rest those of the finding.
    #[must_use]
    pub fn parameters(&self, control: &Control, of_finding: &Parameters) -> Parameters {
        let mut parameters = parameters::of_finding(control, of_finding);
        parameters.extend(self.parameters.get(control.id).cloned().unwrap_or_default());
        parameters
    }

    /// The exemptions and suppressions that have expired, each with what it is called.
    pub fn expired(&self, today: Date) -> impl Iterator<Item = (&'static str, &Exception)> {
        let exemptions = self.exemptions.iter().map(|it| ("exemption", it));
        let suppressions = self.suppressions.iter().map(|it| ("suppression", it));
        let all = exemptions.chain(suppressions);
        all.filter(move |(_, it)| !it.holds(today))
    }
}

/// The exception that covers a subject, the longest of several.
fn cover<'p>(exceptions: &'p [Exception], subject: &Subject<'_>, today: Date) -> Cover<'p> {
    let covering = exceptions
        .iter()
        .filter(|it| it.holds(today) && it.is_about(subject.control))
        .map(|it| (it.selector.covers(subject), it))
        .max_by_key(|(covers, it)| (*covers, it.until));
    match covering {
        Some((Covers::Yes, it)) => Cover::Yes(it),
        Some((Covers::Unknown, it)) => Cover::Unknown(it),
        Some((Covers::No, _)) | None => Cover::No,
    }
}

impl Exception {
    /// The last day is included.
    fn holds(&self, today: Date) -> bool {
        today <= self.until
    }

    fn is_about(&self, control: &Control) -> bool {
        self.control.is_none_or(|id| id == control.id)
    }
}

/// Where an override is: an account is closer than a unit, a deeper unit closer than one above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Unit(usize),
    Account,
}

impl Override {
    /// Where it is, if it covers this account.
    fn place(&self, entry: &AccountEntry) -> Option<Place> {
        if let Some(account) = &self.account {
            return (*account == entry.account_id).then_some(Place::Account);
        }
        self.unit.as_ref()?.depth(&entry.ou_path).map(Place::Unit)
    }
}

/// Whether a selector covers a subject. The order makes a conjunction the minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Covers {
    No,
    Unknown,
    Yes,
}

impl From<bool> for Covers {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl Selector {
    fn covers(&self, subject: &Subject<'_>) -> Covers {
        let entry = subject.entry;
        let parts = [
            self.account
                .as_ref()
                .map(|account| (*account == entry.account_id).into()),
            self.unit
                .as_ref()
                .map(|unit| unit.depth(&entry.ou_path).is_some().into()),
            self.tag.as_ref().map(|tag| covers_tag(tag, subject)),
            self.account_tag
                .as_ref()
                .map(|tag| has_tag(&entry.tags, tag).into()),
            self.resource
                .as_ref()
                .map(|pattern| matches(pattern, &subject.target.resource).into()),
        ];
        parts.into_iter().flatten().min().unwrap_or(Covers::No)
    }
}

fn covers_tag(tag: &str, subject: &Subject<'_>) -> Covers {
    match subject.tags {
        _ if has_tag(&subject.entry.tags, tag) => Covers::Yes,
        Some(tags) => has_tag(tags, tag).into(),
        // An account as a whole has no other tags than those of its entry.
        None if subject.control.form == Form::Account => Covers::No,
        None => Covers::Unknown,
    }
}

/// Whether there is a tag with this key, or with this key and value. A key can hold `=` itself.
fn has_tag(tags: &BTreeMap<String, String>, tag: &str) -> bool {
    let mut splits = tag
        .match_indices('=')
        .map(|(place, _)| (&tag[..place], &tag[place + 1..]));
    tags.contains_key(tag) || splits.any(|(key, value)| tags.get(key).is_some_and(|it| it == value))
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::remediation::control::control;

    use super::*;
    use crate::samples::{day, entry, playbook};

    const BUCKET: &str = "arn:aws:s3:::public-site";

    fn mode(text: &str, id: &str) -> Mode {
        let playbook = playbook(text);
        let control = control(id).unwrap();
        let entry = entry();
        let target = Target {
            account: entry.account_id.clone(),
            region: "eu-west-1".to_owned(),
            resource: BUCKET.to_owned(),
        };
        playbook.mode(&Subject {
            control,
            target: &target,
            tags: None,
            entry: &entry,
        })
    }

    #[test]
    fn the_closest_mode_counts() {
        // The account 111122223333 is in Root/Workloads (ou-ab12-workload) and Prod (ou-ab12-prodprod).
        let over = |control: &str, place: &str, mode: &str| {
            format!("[[override]]\ncontrol = \"{control}\"\n{place}\nmode = \"{mode}\"\n")
        };
        let root = "ou = \"Root\"";
        let workloads = "ou = \"Root/Workloads\"";
        let prod = "ou = \"ou-ab12-prodprod\"";
        let same = "ou = \"Root/Workloads/Prod\"";
        let beside = "ou = \"Root/Work\"";
        let account = "account = \"111122223333\"";
        let other = "account = \"444455556666\"";
        let auto = "[control]\n\"S3.8\" = { mode = \"auto\" }\n".to_owned();
        let off = "[control]\n\"S3.8\" = { mode = \"off\" }\n".to_owned();
        for (text, expected) in [
            (String::new(), Mode::Observe),
            ("[defaults]\nmode = \"off\"\n".to_owned(), Mode::Off),
            (
                "[defaults]\nmode = \"off\"\n".to_owned() + &auto,
                Mode::Auto,
            ),
            (auto.clone() + &over("S3.8", root, "observe"), Mode::Observe),
            (auto.clone() + &over("S3.8", beside, "observe"), Mode::Auto),
            (auto.clone() + &over("S3.8", other, "observe"), Mode::Auto),
            (auto.clone() + &over("S3.2", root, "observe"), Mode::Auto),
            (
                off.clone() + &over("S3.8", root, "observe") + &over("S3.8", workloads, "auto"),
                Mode::Auto,
            ),
            (
                off.clone() + &over("S3.8", prod, "observe") + &over("S3.8", workloads, "auto"),
                Mode::Observe,
            ),
            (
                off.clone() + &over("S3.8", prod, "observe") + &over("S3.8", account, "auto"),
                Mode::Auto,
            ),
            // Of two that are as close, the one that does less.
            (
                off.clone() + &over("S3.8", prod, "auto") + &over("S3.8", same, "observe"),
                Mode::Observe,
            ),
            (
                off.clone() + &over("S3.8", same, "auto") + &over("S3.8", prod, "off"),
                Mode::Off,
            ),
            // One for every control only lowers.
            (off.clone() + &over("*", account, "observe"), Mode::Off),
            (auto.clone() + &over("*", root, "observe"), Mode::Observe),
            (
                auto.clone() + &over("*", root, "observe") + &over("S3.8", account, "auto"),
                Mode::Observe,
            ),
            (auto.clone() + &over("*", beside, "off"), Mode::Auto),
        ] {
            assert_eq!(mode(&text, "S3.8"), expected, "{text}");
        }
    }

    /// Whether an exemption with these lines covers the bucket, which has these tags.
    fn exempt(lines: &str, tags: Option<&[(&str, &str)]>, id: &str) -> Option<bool> {
        let text = format!("[[exemption]]\nreason = \"r\"\nuntil = 2026-06-30\n{lines}\n");
        let playbook = playbook(&text);
        let entry = entry();
        let control = control(id).unwrap();
        let target = Target {
            account: entry.account_id.clone(),
            region: "eu-west-1".to_owned(),
            resource: match control.form {
                Form::Account => "AWS::::Account:111122223333".to_owned(),
                Form::Arn { .. } => BUCKET.to_owned(),
            },
        };
        let tags = tags.map(|tags| {
            tags.iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        });
        let subject = Subject {
            control,
            target: &target,
            tags: tags.as_ref(),
            entry: &entry,
        };
        match playbook.exemption(&subject, day("2026-06-30")) {
            Cover::No => Some(false),
            Cover::Unknown(_) => None,
            Cover::Yes(_) => Some(true),
        }
    }

    #[test]
    fn an_exemption_has_to_match_in_everything_it_names() {
        let s3 = "control = \"S3.8\"\n";
        let all = "control = \"*\"\n";
        for (control, lines, wanted) in [
            (s3, "account = \"111122223333\"", true),
            (all, "account = \"111122223333\"", true),
            ("control = \"S3.2\"\n", "account = \"111122223333\"", false),
            (s3, "account = \"444455556666\"", false),
            (s3, "ou = \"Root\"", true),
            (s3, "ou = \"Root/Workloads/\"", true),
            (s3, "ou = \"Root/Workloads/Prod\"", true),
            (s3, "ou = \"Root/Workloads/Prod/Deep\"", false),
            (s3, "ou = \"Root/Work\"", false),
            (s3, "ou = \"ou-ab12-workload\"", true),
            (s3, "ou = \"ou-ab12-prodprod\"", true),
            (s3, "ou = \"ou-ab12-elsewhere\"", false),
            (s3, "account-tag = \"stage\"", true),
            (s3, "account-tag = \"stage=prod\"", true),
            (s3, "account-tag = \"stage=dev\"", false),
            (s3, "account-tag = \"public\"", false),
            (s3, "tag = \"stage=prod\"", true),
            (s3, "tag = \"public\"", true),
            (s3, "tag = \"public=yes\"", true),
            (s3, "tag = \"public=no\"", false),
            (s3, "tag = \"url=a=b\"", true),
            (s3, "tag = \"odd=key=1\"", true),
            (s3, "resource = \"arn:aws:s3:::public-*\"", true),
            (s3, "resource = \"arn:aws:s3:::public-site\"", true),
            (s3, "resource = \"arn:aws:s3:::private-*\"", false),
            (s3, "tag = \"public\"\naccount = \"111122223333\"", true),
            (s3, "tag = \"public\"\naccount = \"444455556666\"", false),
        ] {
            let tags = [("public", "yes"), ("url", "a=b"), ("odd=key", "1")];
            let lines = format!("{control}{lines}");
            assert_eq!(exempt(&lines, Some(&tags), "S3.8"), Some(wanted), "{lines}");
        }
    }

    #[test]
    fn tags_that_are_not_known_may_match() {
        for (lines, id, wanted) in [
            ("tag = \"public\"", "S3.8", None),
            // The account has it, whatever the resource has.
            ("tag = \"stage\"", "S3.8", Some(true)),
            ("account-tag = \"public\"", "S3.8", Some(false)),
            (
                "tag = \"public\"\naccount = \"444455556666\"",
                "S3.8",
                Some(false),
            ),
            ("tag = \"public\"\naccount = \"111122223333\"", "S3.8", None),
            // An account is its own resource.
            ("tag = \"public\"", "IAM.15", Some(false)),
            ("tag = \"stage\"", "IAM.15", Some(true)),
        ] {
            let lines = format!("control = \"*\"\n{lines}");
            assert_eq!(exempt(&lines, None, id), wanted, "{id}: {lines}");
        }
        assert_eq!(
            exempt("control = \"*\"\ntag = \"public\"", Some(&[]), "S3.8"),
            Some(false)
        );
    }

    #[test]
    fn an_exception_expires_after_its_last_day_and_is_listed() {
        let playbook = playbook(
            "[[exemption]]\ncontrol = \"*\"\nou = \"Root\"\nreason = \"r\"\nuntil = 2026-06-30\n\
             [[suppression]]\ncontrol = \"S3.8\"\nou = \"Root\"\nreason = \"s\"\nuntil = \"2026-07-31\"\n",
        );
        let expired = |today| -> Vec<(&str, usize)> {
            let expired = playbook.expired(day(today));
            expired.map(|(name, it)| (name, it.line)).collect()
        };
        assert_eq!(expired("2026-06-30"), []);
        assert_eq!(expired("2026-07-01"), [("exemption", 1)]);
        assert_eq!(
            expired("2026-08-01"),
            [("exemption", 1), ("suppression", 6)]
        );
        assert!(!playbook.exemptions[0].holds(day("2026-07-01")));
    }

    #[test]
    fn a_control_is_off_if_nothing_comes_of_it_anywhere() {
        let off = "[control]\n\"S3.8\" = { mode = \"off\" }\n";
        let over =
            |mode| format!("[[override]]\ncontrol = \"S3.8\"\nou = \"Root\"\nmode = \"{mode}\"\n");
        let suppress =
            "[[suppression]]\ncontrol = \"*\"\nou = \"Root\"\nreason = \"r\"\nuntil = 2026-06-30\n";
        for (text, is_off) in [
            (String::new(), false),
            (off.to_owned(), true),
            (off.to_owned() + &over("off"), true),
            (off.to_owned() + &over("observe"), false),
            (off.to_owned() + suppress, false),
            (off.to_owned() + &suppress.replace("06-30", "06-29"), true),
        ] {
            let playbook = playbook(&text);
            let control = control("S3.8").unwrap();
            assert_eq!(
                playbook.is_off(control, day("2026-06-30")),
                is_off,
                "{text}"
            );
        }
    }

    #[test]
    fn the_playbooks_parameters_replace_those_of_the_finding() {
        let playbook = playbook(
            "[control.\"EC2.18\".parameters]\nauthorizedTcpPorts = [443, \"8000-8443\"]\n",
        );
        let of_finding = Parameters::from([
            ("authorizedTcpPorts".to_owned(), vec!["80".to_owned()]),
            ("authorizedUdpPorts".to_owned(), vec!["53".to_owned()]),
            ("blockedPorts".to_owned(), vec!["22".to_owned()]),
        ]);
        let parameters = playbook.parameters(control("EC2.18").unwrap(), &of_finding);
        assert_eq!(parameters.len(), 2);
        assert_eq!(parameters["authorizedTcpPorts"], ["443", "8000-8443"]);
        assert_eq!(parameters["authorizedUdpPorts"], ["53"]);
        let other = playbook.parameters(control("EC2.19").unwrap(), &of_finding);
        assert_eq!(
            other,
            Parameters::from([("blockedPorts".to_owned(), vec!["22".to_owned()])])
        );
    }

    #[test]
    fn a_mode_has_a_name() {
        assert_eq!("auto".parse(), Ok(Mode::Auto));
        assert_eq!("ask".parse(), Ok(Mode::Ask));
        assert!("Auto".parse::<Mode>().is_err());
        assert!(Mode::Off < Mode::Observe && Mode::Observe < Mode::Ask && Mode::Ask < Mode::Auto);
    }
}
