//! What is done about a finding: a pure function of the finding, the account's entry, the playbook and the ceiling.
//!
//! Whatever is not known means that nothing is changed.

use std::sync::Arc;

use jiff::{Timestamp, civil::Date};
use orgkeeper_shared::{
    account_directory::entry::AccountEntry,
    aws_error::AwsCallError,
    ids::AccountId,
    remediation::{
        control::Control,
        order::{Order, Task},
        target::{Mismatch, Target},
    },
};

use crate::{
    finding::Finding,
    generator::control_of,
    playbook::{Cover, Exception, Mode, Playbook, Subject},
    targets::Candidate,
};

/// The state of an account that can be changed, as the directory has it.
const ACTIVE: &str = "ACTIVE";

/// What is the same for all findings of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The playbook in force.
    pub playbook: &'a Playbook,
    /// The most that is done.
    pub ceiling: Mode,
    /// The day, in UTC.
    pub today: Date,
    /// The time.
    pub now: Timestamp,
    /// Accounts in which nothing is changed: the management account and the one of the stack.
    pub protected: &'a [AccountId],
}

/// What the directory knows of an account. An entry that is too old to be believed counts as missing.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    /// Its entry.
    Entry(&'a AccountEntry),
    /// It has no entry.
    Missing,
    /// It could not be read.
    Failed,
}

impl<'a> From<Option<&'a Result<AccountEntry, Arc<AwsCallError>>>> for Lookup<'a> {
    fn from(stored: Option<&'a Result<AccountEntry, Arc<AwsCallError>>>) -> Self {
        match stored {
            Some(Ok(entry)) => Self::Entry(entry),
            Some(Err(_)) => Self::Failed,
            None => Self::Missing,
        }
    }
}

/// What is done about one control on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Ignore(Ignored),
    /// It is said what would be changed.
    Observe {
        /// The order of a preview.
        order: Order,
        /// Why it is not fixed.
        because: Restraint,
    },
    /// Its findings are suppressed.
    Suppress {
        /// The reason, as the playbook gives it.
        reason: String,
        /// The last day.
        until: Date,
    },
    /// A person is asked, and it is fixed if they allow it.
    Ask {
        /// The order of a preview: what a person is asked about.
        order: Order,
        /// When it may be fixed.
        conditions: Conditions,
    },
    /// It is fixed.
    Fix {
        /// The order.
        order: Order,
        /// When it may be fixed.
        conditions: Conditions,
    },
    /// Nothing, and that is reported.
    Refused(Refusal),
}

/// When something may be fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// When its change window opens; nothing if it may start now.
    pub opens_at: Option<Timestamp>,
    /// It is fixed again if it was undone or left open before this time.
    pub again_before: Option<Timestamp>,
}

/// Why a finding is ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// It is about nothing that has a fix.
    #[error("it is about no control that has a fix")]
    NoControl,
    /// It is archived, or does not say that it is active.
    #[error("it is not active")]
    NotActive,
    /// It is resolved or suppressed already.
    #[error("its workflow status is neither NEW nor NOTIFIED")]
    Closed,
    /// The resource is compliant, or that is not known.
    #[error("its compliance status is neither FAILED nor WARNING")]
    NotFailed,
    /// The playbook, or the ceiling, says so.
    #[error("the control is off")]
    Off,
    /// The playbook exempts it.
    #[error("exempt until {until} (line {line} of the playbook): {reason}")]
    Exempt {
        /// The line of the exemption.
        line: usize,
        /// The reason for it.
        reason: String,
        /// Its last day.
        until: Date,
    },
}

/// Why something is observed and not fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Restraint {
    /// The playbook says so.
    #[error("the playbook has the control on observe")]
    Playbook,
    /// The template's parameter says so.
    #[error("RemediationMode is observe")]
    Ceiling,
    /// An exemption or suppression may cover it.
    #[error(
        "the finding has no tags of the resource, and line {line} of the playbook exempts some by tag"
    )]
    UnknownTags {
        /// The line.
        line: usize,
    },
}

/// Why nothing is done although something should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Account, Region and resource do not agree.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The account could not be looked up.
    #[error("the account could not be looked up")]
    LookupFailed,
    /// The account is not in the directory.
    #[error("the account is not in the directory")]
    NoEntry,
    /// The account is not in the organization.
    #[error("the account is not in the organization")]
    OutsideOrganization,
    /// The account is suspended or closed, or its state is not known.
    #[error("the account is not active: {state}")]
    AccountNotActive {
        /// Its state.
        state: String,
    },
    /// The account is one in which nothing is changed.
    #[error("nothing is changed in the management account and in the account of the stack")]
    Protected,
}

impl Refusal {
    /// Whether it can pass by itself, so that the finding is worth a retry.
    #[must_use]
    pub fn can_pass(&self) -> bool {
        match self {
            Self::LookupFailed | Self::NoEntry => true,
            Self::Mismatch(_)
            | Self::OutsideOrganization
            | Self::AccountNotActive { .. }
            | Self::Protected => false,
        }
    }
}

/// The control that a finding is about, if it can come to anything. Nothing has to be looked up for that: of many
/// findings most end here.
///
/// # Errors
/// If the finding is ignored whatever its account is.
pub fn control_to_decide(
    finding: &Finding,
    rules: &Rules<'_>,
) -> Result<&'static Control, Ignored> {
    is_open(finding)?;
    let control = control_of(finding).ok_or(Ignored::NoControl)?;
    if rules.ceiling == Mode::Off || rules.playbook.is_off(control, rules.today) {
        return Err(Ignored::Off);
    }
    Ok(control)
}

/// What is done about one resource of a finding.
#[must_use]
pub fn decide(
    finding: &Finding,
    control: &'static Control,
    candidate: &Candidate<'_>,
    account: Lookup<'_>,
    rules: &Rules<'_>,
) -> Decision {
    let decided = weigh(finding, control, candidate, account, rules);
    decided.unwrap_or_else(Decision::from)
}

/// What ends a decision early.
enum End {
    Ignore(Ignored),
    Suppress { reason: String, until: Date },
    Refuse(Refusal),
}

impl From<Ignored> for End {
    fn from(ignored: Ignored) -> Self {
        Self::Ignore(ignored)
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

impl From<End> for Decision {
    fn from(end: End) -> Self {
        match end {
            End::Ignore(ignored) => Self::Ignore(ignored),
            End::Suppress { reason, until } => Self::Suppress { reason, until },
            End::Refuse(refusal) => Self::Refused(refusal),
        }
    }
}

/// The decision, or what ends it early.
fn weigh(
    finding: &Finding,
    control: &'static Control,
    candidate: &Candidate<'_>,
    account: Lookup<'_>,
    rules: &Rules<'_>,
) -> Result<Decision, End> {
    let Rules {
        playbook, today, ..
    } = rules;
    is_open(finding)?;
    if rules.ceiling == Mode::Off || playbook.is_off(control, *today) {
        return Err(Ignored::Off.into());
    }
    let target = candidate.target.as_ref();
    let target = target.map_err(|mismatch| Refusal::Mismatch(*mismatch))?;
    let subject = Subject {
        control,
        target,
        tags: candidate.tags,
        entry: active(account, target)?,
    };
    let doubtful = [
        suppressed(playbook.suppression(&subject, *today))?,
        exempt(playbook.exemption(&subject, *today))?,
    ];
    let mode = playbook.mode(&subject);
    if mode == Mode::Off {
        return Err(Ignored::Off.into());
    }
    if rules.protected.contains(&target.account) {
        return Err(Refusal::Protected.into());
    }
    let order = |task| Order {
        task,
        control: control.id.to_owned(),
        action: control.action.to_owned(),
        target: target.clone(),
        parameters: playbook.parameters(control, &finding.parameters),
        undo: None,
        since: None,
    };
    let doubt = doubtful.into_iter().flatten().next();
    if let Some(because) = doubt.or(restraint(mode, finding.ordered, rules.ceiling)) {
        return Ok(Decision::Observe {
            order: order(Task::Preview),
            because,
        });
    }
    let conditions = Conditions {
        // A person's order is for now.
        opens_at: playbook
            .opens_at(&subject, rules.now)
            .filter(|_| !finding.ordered),
        again_before: playbook.reapplied_before(&subject),
    };
    let asks = rules.ceiling == Mode::Ask || (mode == Mode::Ask && !finding.ordered);
    Ok(if asks {
        Decision::Ask {
            order: order(Task::Preview),
            conditions,
        }
    } else {
        Decision::Fix {
            order: order(Task::Fix),
            conditions,
        }
    })
}

/// Whether a finding is about something that failed and that nobody has dealt with.
fn is_open(finding: &Finding) -> Result<(), Ignored> {
    if finding.record_state.as_deref() != Some("ACTIVE") {
        return Err(Ignored::NotActive);
    }
    // Security Hub sets NEW if a product sends none.
    if !matches!(
        finding.workflow_status.as_deref(),
        None | Some("NEW" | "NOTIFIED")
    ) {
        return Err(Ignored::Closed);
    }
    if !matches!(
        finding.compliance_status.as_deref(),
        Some("FAILED" | "WARNING")
    ) {
        return Err(Ignored::NotFailed);
    }
    Ok(())
}

/// The entry of a target's account, if the account can be changed.
fn active<'a>(account: Lookup<'a>, target: &Target) -> Result<&'a AccountEntry, Refusal> {
    let entry = match account {
        Lookup::Entry(entry) if entry.account_id == target.account => entry,
        Lookup::Entry(_) | Lookup::Failed => return Err(Refusal::LookupFailed),
        Lookup::Missing => return Err(Refusal::NoEntry),
    };
    if entry.gone_since.is_some() {
        return Err(Refusal::OutsideOrganization);
    }
    match entry.state.as_deref() {
        Some(ACTIVE) => Ok(entry),
        state => Err(Refusal::AccountNotActive {
            state: state.unwrap_or("its state is not known").to_owned(),
        }),
    }
}

fn suppressed(cover: Cover<'_>) -> Result<Option<Restraint>, End> {
    match cover {
        Cover::No => Ok(None),
        Cover::Unknown(exception) => Ok(Some(unknown(exception))),
        Cover::Yes(exception) => Err(End::Suppress {
            reason: exception.reason.clone(),
            until: exception.until,
        }),
    }
}

fn exempt(cover: Cover<'_>) -> Result<Option<Restraint>, Ignored> {
    match cover {
        Cover::No => Ok(None),
        Cover::Unknown(exception) => Ok(Some(unknown(exception))),
        Cover::Yes(exception) => Err(Ignored::Exempt {
            line: exception.line,
            reason: exception.reason.clone(),
            until: exception.until,
        }),
    }
}

fn unknown(exception: &Exception) -> Restraint {
    Restraint::UnknownTags {
        line: exception.line,
    }
}

/// Why something is not fixed, if so. A person's order raises what the playbook only observes, up to the ceiling.
fn restraint(mode: Mode, ordered: bool, ceiling: Mode) -> Option<Restraint> {
    match (mode, ceiling) {
        (_, Mode::Off | Mode::Observe) => Some(Restraint::Ceiling),
        (Mode::Ask | Mode::Auto, Mode::Ask | Mode::Auto) => None,
        (Mode::Off | Mode::Observe, Mode::Ask | Mode::Auto) => {
            (!ordered).then_some(Restraint::Playbook)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use orgkeeper_shared::remediation::control::{CONTROLS, control};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        finding::Resource,
        samples::{day, entry, playbook, security_hub_finding},
        targets::targets_of,
    };

    const AUTO: &str = "[control]\n\"S3.8\" = { mode = \"auto\" }\n";

    /// A case: each test changes one thing about a finding that is fixed.
    struct Case {
        finding: Finding,
        entry: AccountEntry,
        playbook: String,
        ceiling: Mode,
        protected: Vec<AccountId>,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                finding: security_hub_finding(),
                entry: entry(),
                playbook: AUTO.to_owned(),
                ceiling: Mode::Auto,
                protected: vec!["999900001111".parse().unwrap()],
            }
        }
    }

    impl Case {
        fn decide(&self) -> Decision {
            self.decide_with(Lookup::Entry(&self.entry))
        }

        fn decide_with(&self, lookup: Lookup<'_>) -> Decision {
            let control = control("S3.8").unwrap();
            let candidates = targets_of(&self.finding, control);
            let playbook = playbook(&self.playbook);
            let rules = Rules {
                playbook: &playbook,
                ceiling: self.ceiling,
                today: day("2026-06-30"),
                now: "2026-06-30T12:00:00Z".parse().unwrap(),
                protected: &self.protected,
            };
            decide(&self.finding, control, &candidates[0], lookup, &rules)
        }

        /// In one word, and why.
        fn outcome(&self) -> (&'static str, String) {
            match self.decide() {
                Decision::Ignore(why) => ("ignore", why.to_string()),
                Decision::Observe { because, .. } => ("observe", because.to_string()),
                Decision::Suppress { reason, until } => ("suppress", format!("{until}: {reason}")),
                Decision::Ask { .. } => ("ask", String::new()),
                Decision::Fix { .. } => ("fix", String::new()),
                Decision::Refused(why) => ("refused", why.to_string()),
            }
        }
    }

    #[test]
    fn a_fix_is_ordered_with_what_it_needs() {
        let mut case = Case::default();
        case.finding
            .parameters
            .insert("log_bucket".to_owned(), vec!["theirs".to_owned()]);
        let Decision::Fix { order, .. } = case.decide() else {
            panic!("{:?}", case.decide());
        };
        assert_eq!(order.task, Task::Fix);
        assert_eq!(
            (order.control.as_str(), order.action.as_str()),
            ("S3.8", "s3-bucket-public-access-block")
        );
        assert_eq!(order.target.resource, "arn:aws:s3:::public-site");
        assert_eq!(order.target.region, "eu-west-1");
        assert_eq!(order.target.account.as_str(), "111122223333");
        assert!(order.parameters.is_empty());
        case.ceiling = Mode::Observe;
        let Decision::Observe { order, .. } = case.decide() else {
            panic!("{:?}", case.decide());
        };
        assert_eq!(order.task, Task::Preview);
    }

    #[test]
    fn only_what_failed_and_is_open_counts() {
        let some = |text: &str| Some(text.to_owned());
        for (record, workflow, compliance, expected) in [
            (some("ACTIVE"), some("NEW"), some("FAILED"), "fix"),
            (some("ACTIVE"), some("NOTIFIED"), some("WARNING"), "fix"),
            (some("ACTIVE"), None, some("FAILED"), "fix"),
            (some("ARCHIVED"), some("NEW"), some("FAILED"), "ignore"),
            (None, some("NEW"), some("FAILED"), "ignore"),
            (some("ACTIVE"), some("RESOLVED"), some("FAILED"), "ignore"),
            (some("ACTIVE"), some("SUPPRESSED"), some("FAILED"), "ignore"),
            (some("ACTIVE"), some("SOMETHING"), some("FAILED"), "ignore"),
            (some("ACTIVE"), some("NEW"), some("PASSED"), "ignore"),
            (some("ACTIVE"), some("NEW"), some("NOT_AVAILABLE"), "ignore"),
            (some("ACTIVE"), some("NEW"), None, "ignore"),
        ] {
            let mut case = Case::default();
            case.finding.record_state.clone_from(&record);
            case.finding.workflow_status.clone_from(&workflow);
            case.finding.compliance_status.clone_from(&compliance);
            for ordered in [false, true] {
                case.finding.ordered = ordered;
                let (outcome, why) = case.outcome();
                assert_eq!(
                    outcome, expected,
                    "{record:?} {workflow:?} {compliance:?}: {why}"
                );
            }
        }
    }

    #[test]
    fn an_account_that_is_not_known_to_be_ours_and_active_is_refused() {
        let case = Case::default();
        for (lookup, expected) in [
            (Lookup::Failed, Refusal::LookupFailed),
            (Lookup::Missing, Refusal::NoEntry),
            (Lookup::from(None), Refusal::NoEntry),
            (
                Lookup::Entry(&AccountEntry {
                    account_id: "444455556666".parse().unwrap(),
                    ..entry()
                }),
                Refusal::LookupFailed,
            ),
            (
                Lookup::Entry(&AccountEntry {
                    gone_since: Some(1),
                    ..entry()
                }),
                Refusal::OutsideOrganization,
            ),
            (
                Lookup::Entry(&AccountEntry {
                    state: Some("SUSPENDED".to_owned()),
                    ..entry()
                }),
                Refusal::AccountNotActive {
                    state: "SUSPENDED".to_owned(),
                },
            ),
            (
                Lookup::Entry(&AccountEntry {
                    state: None,
                    ..entry()
                }),
                Refusal::AccountNotActive {
                    state: "its state is not known".to_owned(),
                },
            ),
        ] {
            let can_pass = matches!(expected, Refusal::LookupFailed | Refusal::NoEntry);
            assert_eq!(expected.can_pass(), can_pass);
            assert_eq!(
                case.decide_with(lookup),
                Decision::Refused(expected),
                "{lookup:?}"
            );
        }
    }

    #[test]
    fn a_protected_account_is_refused() {
        let mut case = Case {
            protected: vec!["111122223333".parse().unwrap()],
            ..Case::default()
        };
        for (ceiling, ordered) in [
            (Mode::Auto, false),
            (Mode::Observe, false),
            (Mode::Auto, true),
        ] {
            case.ceiling = ceiling;
            case.finding.ordered = ordered;
            assert_eq!(case.decide(), Decision::Refused(Refusal::Protected));
        }
        // Nobody wants to be reminded of what is exempt.
        case.playbook += "[[exemption]]\ncontrol = \"*\"\naccount = \"111122223333\"\nreason = \"r\"\nuntil = 2026-06-30\n";
        assert_eq!(case.outcome().0, "ignore");
    }

    #[test]
    fn what_disagrees_is_refused() {
        for (resource, expected) in [
            ("arn:aws:s3:::a b", Mismatch::Characters),
            ("arn:aws-cn:s3:::logs", Mismatch::OtherPartition),
            ("arn:aws:s3::444455556666:logs", Mismatch::OtherAccount),
            ("arn:aws:sqs:eu-west-1:111122223333:logs", Mismatch::Kind),
        ] {
            let mut case = Case::default();
            case.finding.resources[0].id = resource.to_owned();
            assert_eq!(
                case.decide(),
                Decision::Refused(Refusal::Mismatch(expected)),
                "{resource}"
            );
        }
        let mut case = Case::default();
        case.finding.resources.clear();
        assert_eq!(case.outcome().0, "refused");
        let mut case = Case::default();
        case.finding.region = "everywhere".to_owned();
        assert_eq!(case.outcome().0, "refused");
    }

    #[test]
    fn the_mode_and_the_ceiling_decide() {
        use Mode::{Ask, Auto, Observe, Off};
        for (mode, ceiling, ordered, expected, why) in [
            ("auto", Auto, false, "fix", ""),
            ("auto", Observe, false, "observe", "RemediationMode"),
            ("auto", Off, false, "ignore", "off"),
            ("observe", Auto, false, "observe", "the playbook"),
            ("observe", Observe, false, "observe", ""),
            ("observe", Off, false, "ignore", "off"),
            ("off", Auto, false, "ignore", "off"),
            ("off", Observe, false, "ignore", "off"),
            ("auto", Auto, true, "fix", ""),
            ("auto", Observe, true, "observe", "RemediationMode"),
            ("auto", Off, true, "ignore", "off"),
            ("observe", Auto, true, "fix", ""),
            ("observe", Observe, true, "observe", "RemediationMode"),
            ("off", Auto, true, "ignore", "off"),
            ("ask", Auto, false, "ask", ""),
            ("ask", Ask, false, "ask", ""),
            ("ask", Observe, false, "observe", "RemediationMode"),
            ("ask", Off, false, "ignore", "off"),
            ("auto", Ask, false, "ask", ""),
            ("observe", Ask, false, "observe", "the playbook"),
            // A person's order counts as an answer, unless everything is to be asked about.
            ("ask", Auto, true, "fix", ""),
            ("ask", Ask, true, "ask", ""),
            ("auto", Ask, true, "ask", ""),
            ("observe", Ask, true, "ask", ""),
            ("off", Ask, true, "ignore", "off"),
        ] {
            let mut case = Case {
                playbook: AUTO.replace("auto", mode),
                ceiling,
                ..Case::default()
            };
            case.finding.ordered = ordered;
            let (outcome, found) = case.outcome();
            assert_eq!(outcome, expected, "{mode} {ceiling:?} {ordered}");
            assert!(found.contains(why), "{found}");
            // Off for one account by an override is the same.
            if mode == "off" {
                case.playbook = AUTO.to_owned()
                    + "[[override]]\ncontrol = \"S3.8\"\nou = \"Root\"\nmode = \"off\"\n";
                assert_eq!(case.outcome().0, "ignore");
            }
        }
    }

    fn exception(table: &str, lines: &str, until: &str) -> String {
        format!(
            "[[{table}]]\ncontrol = \"*\"\n{lines}\nreason = \"{table} {until}\"\nuntil = {until}\n"
        )
    }

    #[test]
    fn exemptions_and_suppressions_win_over_a_fix() {
        let ou = "ou = \"Root/Workloads\"";
        let tag = "tag = \"public\"";
        let exempt = |lines, until| exception("exemption", lines, until);
        let suppress = |lines, until| exception("suppression", lines, until);
        for (rules, tags, expected, why) in [
            (
                exempt(ou, "2026-06-30"),
                None,
                "ignore",
                "exempt until 2026-06-30 (line 3 of the playbook): exemption",
            ),
            (exempt(ou, "2026-06-29"), None, "fix", ""),
            (
                suppress(ou, "2026-06-30"),
                None,
                "suppress",
                "2026-06-30: suppression",
            ),
            (suppress(ou, "2026-06-29"), None, "fix", ""),
            (
                suppress(ou, "2026-06-30") + &suppress("ou = \"Root\"", "2027-01-31"),
                None,
                "suppress",
                "2027-01-31",
            ),
            (
                exempt(ou, "2026-12-31") + &suppress(ou, "2026-06-30"),
                None,
                "suppress",
                "",
            ),
            (exempt(tag, "2026-06-30"), Some(true), "ignore", "exempt"),
            (exempt(tag, "2026-06-30"), Some(false), "fix", ""),
            (
                exempt(tag, "2026-06-30"),
                None,
                "observe",
                "line 3 of the playbook",
            ),
            (exempt(tag, "2026-06-29"), None, "fix", ""),
            (suppress(tag, "2026-06-30"), Some(true), "suppress", ""),
            (suppress(tag, "2026-06-30"), Some(false), "fix", ""),
            (suppress(tag, "2026-06-30"), None, "observe", "no tags"),
            (
                exempt(ou, "2026-06-30") + &suppress(tag, "2026-06-30"),
                None,
                "ignore",
                "exempt",
            ),
        ] {
            for ordered in [false, true] {
                let mut case = Case {
                    playbook: AUTO.to_owned() + &rules,
                    ..Case::default()
                };
                case.finding.ordered = ordered;
                case.finding.resources[0].tags = tags.map(|public| {
                    let tag = public.then(|| ("public".to_owned(), "yes".to_owned()));
                    BTreeMap::from_iter(tag)
                });
                let (outcome, found) = case.outcome();
                assert_eq!(outcome, expected, "{rules} {tags:?}: {found}");
                assert!(found.contains(why), "{found}");
            }
        }
    }

    #[test]
    fn suppressions_hold_unless_everything_is_off() {
        let suppress = exception("suppression", "ou = \"Root\"", "2026-06-30");
        for (mode, ceiling, expected) in [
            ("off", Mode::Auto, "suppress"),
            ("observe", Mode::Observe, "suppress"),
            ("auto", Mode::Off, "ignore"),
        ] {
            let case = Case {
                playbook: AUTO.replace("auto", mode) + &suppress,
                ceiling,
                ..Case::default()
            };
            assert_eq!(case.outcome().0, expected, "{mode} {ceiling:?}");
        }
    }

    #[test]
    fn what_comes_to_nothing_is_not_looked_up() {
        let shipped = playbook(crate::active_playbook::SHIPPED);
        let off = playbook("[defaults]\nmode = \"off\"");
        let case = Case::default();
        let rules = |playbook, ceiling| Rules {
            playbook,
            ceiling,
            today: day("2026-06-30"),
            now: "2026-06-30T12:00:00Z".parse().unwrap(),
            protected: &case.protected,
        };
        let decided = |finding: &Finding, rules: &Rules<'_>| {
            control_to_decide(finding, rules).map(|control| control.id)
        };
        let finding = security_hub_finding();
        assert_eq!(
            decided(&finding, &rules(&shipped, Mode::Observe)),
            Ok("S3.8")
        );
        assert_eq!(
            decided(&finding, &rules(&shipped, Mode::Off)),
            Err(Ignored::Off)
        );
        assert_eq!(
            decided(&finding, &rules(&off, Mode::Auto)),
            Err(Ignored::Off)
        );
        let unknown = Finding {
            control_id: Some("EC2.4".to_owned()),
            ..security_hub_finding()
        };
        assert_eq!(
            decided(&unknown, &rules(&shipped, Mode::Auto)),
            Err(Ignored::NoControl)
        );
        let passed = Finding {
            compliance_status: Some("PASSED".to_owned()),
            ..security_hub_finding()
        };
        assert_eq!(
            decided(&passed, &rules(&shipped, Mode::Auto)),
            Err(Ignored::NotFailed)
        );
    }

    #[test]
    fn every_control_of_the_shipped_playbook_is_decided() {
        let playbook = playbook(crate::active_playbook::SHIPPED);
        let entry = entry();
        let rules = Rules {
            playbook: &playbook,
            ceiling: Mode::Auto,
            today: day("2026-06-30"),
            now: "2026-06-30T12:00:00Z".parse().unwrap(),
            protected: &[],
        };
        for control in CONTROLS {
            let form = control.form;
            let resource = form.resources("aws", "eu-west-1", "111122223333", "x");
            let finding = Finding {
                control_id: Some(control.id.to_owned()),
                resources: vec![Resource {
                    id: resource[0].clone(),
                    ..Resource::default()
                }],
                ..security_hub_finding()
            };
            assert_eq!(
                control_to_decide(&finding, &rules).map(|it| it.id),
                Ok(control.id)
            );
            let candidates = targets_of(&finding, control);
            let decision = decide(
                &finding,
                control,
                &candidates[0],
                Lookup::Entry(&entry),
                &rules,
            );
            let expected = playbook.modes[control.id] == Mode::Auto;
            assert_eq!(
                matches!(decision, Decision::Fix { .. }),
                expected,
                "{decision:?}"
            );
            assert!(matches!(
                decision,
                Decision::Fix { .. } | Decision::Ask { .. } | Decision::Observe { .. }
            ));
        }
    }

    fn modes() -> impl Strategy<Value = Mode> {
        prop_oneof![
            Just(Mode::Off),
            Just(Mode::Observe),
            Just(Mode::Ask),
            Just(Mode::Auto)
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_fixed_on_a_guess(
            state in prop_oneof![Just(None), Just(Some("ACTIVE".to_owned())), "[A-Z]{0,9}".prop_map(Some)],
            gone in any::<bool>(),
            lookup in 0..3_u8,
            protected in any::<bool>(),
            ordered in any::<bool>(),
            ceiling in modes(),
            of_control in prop_oneof![Just("off"), Just("observe"), Just("ask"), Just("auto")],
            resource in prop_oneof![Just("arn:aws:s3:::logs".to_owned()), ".{0,30}"],
            exempt in any::<bool>(),
        ) {
            let mut case = Case {
                entry: AccountEntry { state: state.clone(), gone_since: gone.then_some(1), ..entry() },
                playbook: AUTO.replace("auto", of_control),
                ceiling,
                ..Case::default()
            };
            if exempt {
                case.playbook += &exception("exemption", "tag = \"public\"", "2026-06-30");
            }
            if protected {
                case.protected.push("111122223333".parse().unwrap());
            }
            case.finding.ordered = ordered;
            case.finding.resources[0].id = resource;
            let found = match lookup {
                0 => Lookup::Failed,
                1 => Lookup::Missing,
                _ => Lookup::Entry(&case.entry),
            };
            let decision = case.decide_with(found);
            if let Decision::Fix { order, .. } = &decision {
                prop_assert!(lookup == 2 && !gone && state.as_deref() == Some("ACTIVE"));
                prop_assert!(!protected && !exempt);
                prop_assert!(ceiling == Mode::Auto);
                prop_assert!(of_control == "auto" || ordered && of_control != "off");
                prop_assert!(order.target.check(control("S3.8").unwrap()).is_ok());
            }
            if let Decision::Ask { order, .. } = &decision {
                prop_assert!(lookup == 2 && !gone && state.as_deref() == Some("ACTIVE"));
                prop_assert!(!protected && !exempt && ceiling >= Mode::Ask && of_control != "off");
                prop_assert_eq!(order.task, Task::Preview);
                prop_assert!(order.target.check(control("S3.8").unwrap()).is_ok());
            }
            if ceiling == Mode::Off {
                prop_assert_eq!(decision, Decision::Ignore(Ignored::Off));
            }
        }
    }
}
