//! Why a rehearsal is refused, as one table.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use orgkeeper_shared::{gateway::organizations::OrganizationAccount, ids::AccountId};

use crate::{
    policy::{MOST_CHARACTERS, text},
    rehearsal::{Rehearsal, Target},
};

/// The longest rehearsal.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(4);
/// The tag that its owner gives a target.
pub const TAG: (&str, &str) = ("rehearsal", "allowed");
/// The most service control policies that a target can have, by the largest of the published limits. Where it is less, AWS refuses.
pub const PLACES: usize = 10;

/// What is known of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its tags; nothing if the organization has no such target.
    pub tags: Option<BTreeMap<String, String>>,
    /// The accounts that it is, or has below it.
    pub accounts: Vec<AccountId>,
    /// Whether one of them must not be reached, or may be below it: what is not known counts as that.
    pub reaches_protected: bool,
    /// The service control policies that it has, without that of the rehearsal itself.
    pub policies: usize,
}

impl Facts {
    /// What the organization's accounts say about a target: which accounts it reaches, and whether a protected one is among them.
    #[must_use]
    pub fn of_accounts(
        target: &Target,
        all: &[OrganizationAccount],
        protected: &[AccountId],
    ) -> Self {
        let is_below = |account: &OrganizationAccount| match target {
            Target::Account(id) => Some(*id == account.id),
            Target::Root(_) => Some(true),
            Target::Unit(unit) => account
                .path
                .as_ref()
                .map(|path| path.iter().any(|above| above.0 == *unit)),
        };
        let is_protected = |account: &OrganizationAccount| {
            account.is_management || protected.contains(&account.id)
        };
        Self {
            accounts: all
                .iter()
                .filter(|account| is_below(account) == Some(true))
                .map(|account| account.id.clone())
                .collect(),
            reaches_protected: all
                .iter()
                .any(|account| is_protected(account) && is_below(account) != Some(false)),
            ..Self::default()
        }
    }
}

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The target is the root.
    Root,
    /// It takes more than four hours.
    TooLong,
    /// It names no break-glass role.
    NoExemptRole,
    /// Its policy is too long.
    TooLarge,
    /// There is no such target.
    NoTarget,
    /// It would reach an account that has to go on.
    Protected,
    /// The target is not tagged.
    NotAllowed,
    /// The target has no place for another policy.
    NoPlace,
}

type Applies = fn(&Rehearsal, &Facts) -> bool;

/// What is seen in the file alone, and needs no call.
const IN_THE_FILE: &[(Refusal, Applies)] = &[
    (Refusal::Root, |rehearsal, _| {
        matches!(rehearsal.target, Target::Root(_))
    }),
    (Refusal::TooLong, |rehearsal, _| {
        rehearsal.until.duration_since(rehearsal.from) > LONGEST
    }),
    (Refusal::NoExemptRole, |rehearsal, _| {
        rehearsal.exempt_role.is_none()
    }),
    (Refusal::TooLarge, |rehearsal, _| {
        text(rehearsal, "aws-us-gov").chars().count() > MOST_CHARACTERS
    }),
];

/// What the organization says.
const IN_THE_ORGANIZATION: &[(Refusal, Applies)] = &[
    (Refusal::NoTarget, |_, facts| facts.tags.is_none()),
    (Refusal::Protected, |_, facts| facts.reaches_protected),
    (Refusal::NotAllowed, |_, facts| {
        let (key, value) = TAG;
        let tag = facts.tags.as_ref().and_then(|tags| tags.get(key));
        tag.is_none_or(|given| given != value)
    }),
    (Refusal::NoPlace, |_, facts| facts.policies >= PLACES),
];

impl Refusal {
    /// Why the rehearsal is refused, as far as the file says.
    #[must_use]
    pub fn in_the_file(rehearsal: &Rehearsal) -> Option<Self> {
        first(IN_THE_FILE, rehearsal, &Facts::default())
    }

    /// Why the rehearsal is refused.
    #[must_use]
    pub fn of(rehearsal: &Rehearsal, facts: &Facts) -> Option<Self> {
        Self::in_the_file(rehearsal).or_else(|| first(IN_THE_ORGANIZATION, rehearsal, facts))
    }

    /// In words for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Root => "the root is never a target: choose an organizational unit or an account",
            Self::TooLong => "it takes more than four hours",
            Self::NoExemptRole => {
                "it names no exempt-role, the break-glass role by which people end the outage"
            }
            Self::TooLarge => "its policy has more than 5,120 characters: name fewer actions",
            Self::NoTarget => "the organization has no such unit or account",
            Self::Protected => {
                "the target is, or has below it, an account that no rehearsal may reach: that of security, of logs, of \
                 orgkeeper, or the management account"
            }
            Self::NotAllowed => {
                "the target is not tagged rehearsal=allowed: its owner has to allow it"
            }
            Self::NoPlace => "the target has no free place for a service control policy",
        }
    }
}

fn first(table: &[(Refusal, Applies)], rehearsal: &Rehearsal, facts: &Facts) -> Option<Refusal> {
    let row = table.iter().find(|(_, applies)| applies(rehearsal, facts));
    row.map(|(refusal, _)| *refusal)
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::gateway::organizations::OuId;

    use super::*;
    use crate::{
        denial::Denial,
        samples::{UNIT, at, rehearsal},
    };

    fn allowed() -> Facts {
        Facts {
            tags: Some([(TAG.0.to_owned(), TAG.1.to_owned())].into()),
            policies: 9,
            ..Facts::default()
        }
    }

    fn account(id: &str, path: Option<&[&str]>) -> OrganizationAccount {
        OrganizationAccount {
            id: id.parse().unwrap(),
            name: None,
            email: None,
            state: "ACTIVE".to_owned(),
            is_management: id == "999988887777",
            path: path.map(|path| path.iter().map(|unit| OuId((*unit).to_owned())).collect()),
        }
    }

    #[test]
    fn each_reason_has_a_case() {
        let good = rehearsal();
        assert_eq!(Refusal::of(&good, &allowed()), None);
        let four_hours = Rehearsal {
            until: at(240),
            ..good.clone()
        };
        assert_eq!(Refusal::of(&four_hours, &allowed()), None);
        let files = [
            (
                Refusal::Root,
                Rehearsal {
                    target: Target::Root("r-ab12".to_owned()),
                    ..good.clone()
                },
            ),
            (
                Refusal::TooLong,
                Rehearsal {
                    until: at(241),
                    ..good.clone()
                },
            ),
            (
                Refusal::NoExemptRole,
                Rehearsal {
                    exempt_role: None,
                    ..good.clone()
                },
            ),
            (
                Refusal::TooLarge,
                Rehearsal {
                    denial: Denial::Actions((0..500).map(|n| format!("service{n}:*")).collect()),
                    ..good.clone()
                },
            ),
        ];
        for (refusal, rehearsal) in files {
            assert_eq!(Refusal::in_the_file(&rehearsal), Some(refusal));
            assert_eq!(Refusal::of(&rehearsal, &allowed()), Some(refusal));
        }
        let tagged = |value: &str| Some([("rehearsal".to_owned(), value.to_owned())].into());
        let organizations = [
            (
                Refusal::NoTarget,
                Facts {
                    tags: None,
                    ..allowed()
                },
            ),
            (
                Refusal::Protected,
                Facts {
                    reaches_protected: true,
                    ..allowed()
                },
            ),
            (
                Refusal::NotAllowed,
                Facts {
                    tags: tagged("Allowed"),
                    ..allowed()
                },
            ),
            (
                Refusal::NotAllowed,
                Facts {
                    tags: Some(BTreeMap::new()),
                    ..allowed()
                },
            ),
            (
                Refusal::NoPlace,
                Facts {
                    policies: 10,
                    ..allowed()
                },
            ),
        ];
        for (refusal, facts) in organizations {
            assert_eq!(Refusal::of(&good, &facts), Some(refusal));
        }
    }

    #[test]
    fn a_protected_account_is_found_below_the_target_or_where_its_path_is_not_known() {
        let target = Target::Unit(UNIT.to_owned());
        let protected = ["222222222222".parse().unwrap()];
        let below: &[&str] = &["r-ab12", UNIT, "ou-ab12-deeper00"];
        let beside: &[&str] = &["r-ab12", "ou-ab12-other000"];
        let facts = |of_protected: Option<&[&str]>, of_management: Option<&[&str]>| {
            let all = [
                account("111122223333", Some(below)),
                account("222222222222", of_protected),
                account("333333333333", Some(beside)),
                account("444444444444", None),
                account("999988887777", of_management),
            ];
            Facts::of_accounts(&target, &all, &protected)
        };
        let good = facts(Some(beside), Some(&["r-ab12"]));
        assert!(!good.reaches_protected);
        assert_eq!(good.accounts, ["111122223333".parse().unwrap()]);
        assert!(facts(Some(below), Some(beside)).reaches_protected);
        assert!(facts(Some(beside), Some(below)).reaches_protected);
        assert!(facts(None, Some(beside)).reaches_protected);

        let one = Target::Account("111122223333".parse().unwrap());
        let all = [account("111122223333", None), account("222222222222", None)];
        assert!(!Facts::of_accounts(&one, &all, &protected).reaches_protected);
        let other = Target::Account("222222222222".parse().unwrap());
        assert!(Facts::of_accounts(&other, &all, &protected).reaches_protected);
    }
}
