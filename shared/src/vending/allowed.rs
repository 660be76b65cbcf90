//! Who may get access to accounts: what is configured for every account, and what a file may name beside it. Anyone who can
//! upload a file chooses among that, and nothing else.

use std::{collections::BTreeSet, str::FromStr};

use super::request::Access;
use crate::principal::Principal;

/// Groups and the permission sets that they get: `<group id>=<permission set ARN>[,…]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignments(pub Vec<(String, String)>);

/// The text is no list of assignments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("assignments read <group id>=<permission set ARN>, separated by commas")]
pub struct InvalidAssignments;

impl FromStr for Assignments {
    type Err = InvalidAssignments;

    fn from_str(text: &str) -> Result<Self, InvalidAssignments> {
        text.split(',')
            .map(|pair| match pair.trim().split_once('=') {
                Some((group, set)) if !group.is_empty() && set.starts_with("arn:") => {
                    Ok((group.to_owned(), set.to_owned()))
                }
                _ => Err(InvalidAssignments),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// The ids or ARNs that a parameter lists, separated by commas; `*` is all of them. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    all: bool,
    listed: BTreeSet<String>,
}

impl AllowList {
    /// All there are.
    #[must_use]
    pub fn all() -> Self {
        "*".parse().unwrap_or_default()
    }

    fn has(&self, id: &str) -> bool {
        self.all || self.listed.contains(id)
    }
}

impl FromStr for AllowList {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let listed: BTreeSet<String> = text
            .split(',')
            .map(|id| id.trim().to_owned())
            .filter(|id| !id.is_empty())
            .collect();
        Ok(Self {
            all: listed.contains("*"),
            listed,
        })
    }
}

/// What may be assigned: the pairs that are configured, and every pair of a group or user and a permission set of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedAccess {
    configured: Assignments,
    groups: AllowList,
    permission_sets: AllowList,
}

impl AllowedAccess {
    /// What the parameters `Assignments`, `AllowedGroups` and `AllowedPermissionSets` allow. Groups and permission sets of
    /// `Assignments` need not be listed.
    #[must_use]
    pub fn new(
        configured: Assignments,
        mut groups: AllowList,
        mut permission_sets: AllowList,
    ) -> Self {
        for (group, set) in &configured.0 {
            groups.listed.insert(group.clone());
            permission_sets.listed.insert(set.clone());
        }
        Self {
            configured,
            groups,
            permission_sets,
        }
    }

    /// What every account gets.
    #[must_use]
    pub fn configured(&self) -> &Assignments {
        &self.configured
    }

    /// Why a group or user may not be given access, in words that say what to do; `None` if it may.
    #[must_use]
    pub fn refused_principal(&self, kind: Principal, name: &str, id: &str) -> Option<String> {
        let refusal = || {
            format!(
                "{} {name} may not be given access by a file: leave it out, or ask those who run orgkeeper to add its id, \
                 {id}, to the parameter AllowedGroups",
                kind.in_words()
            )
        };
        (!self.groups.has(id)).then(refusal)
    }

    /// Why a permission set may not be given, in words that say what to do; `None` if it may.
    #[must_use]
    pub fn refused_permission_set(&self, name: &str, arn: &str) -> Option<String> {
        let refusal = || {
            format!(
                "permission set {name} may not be given by a file: leave it out, or ask those who run orgkeeper to add its \
                 ARN, {arn}, to the parameter AllowedPermissionSets"
            )
        };
        (!self.permission_sets.has(arn)).then(refusal)
    }

    /// Why an assignment may not be made, in words that say what to do; `None` if it may.
    #[must_use]
    pub fn refusal(&self, access: &Access) -> Option<String> {
        let principal =
            self.refused_principal(access.principal, &access.group_name, &access.group_id);
        principal.or_else(|| {
            self.refused_permission_set(&access.permission_set_name, &access.permission_set_arn)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: &str = "arn:aws:sso:::permissionSet/x/admin";
    const READ: &str = "arn:aws:sso:::permissionSet/x/read";

    fn list(text: &str) -> AllowList {
        text.parse().unwrap()
    }

    fn allows(allowed: &AllowedAccess, id: &str, arn: &str) -> bool {
        let access = Access {
            principal: Principal::Group,
            group_id: id.to_owned(),
            group_name: "Group".to_owned(),
            permission_set_arn: arn.to_owned(),
            permission_set_name: "Set".to_owned(),
        };
        allowed.refusal(&access).is_none()
    }

    #[test]
    fn without_lists_only_what_is_configured_is_allowed() {
        let nothing = AllowedAccess::default();
        assert!(!allows(&nothing, "g-1", READ));
        let configured = format!("g-1={READ}").parse().unwrap();
        let allowed = AllowedAccess::new(configured, list(""), list(""));
        assert!(allows(&allowed, "g-1", READ));
        assert!(!allows(&allowed, "g-1", ADMIN));
        assert!(!allows(&allowed, "g-2", READ));
    }

    #[test]
    fn each_list_adds_to_its_side() {
        let configured = || format!("g-1={READ}").parse().unwrap();
        let groups = AllowedAccess::new(configured(), list("g-2, g-3"), list(""));
        assert!(allows(&groups, "g-3", READ));
        assert!(!allows(&groups, "g-3", ADMIN));
        assert!(!allows(&groups, "g-4", READ));
        let sets = AllowedAccess::new(configured(), list(""), list(ADMIN));
        assert!(allows(&sets, "g-1", ADMIN));
        assert!(!allows(&sets, "g-2", ADMIN));
    }

    #[test]
    fn a_star_is_all_of_one_side() {
        let groups = AllowedAccess::new(Assignments::default(), AllowList::all(), list(READ));
        assert!(allows(&groups, "anybody", READ));
        assert!(!allows(&groups, "anybody", ADMIN));
        let sets = AllowedAccess::new(Assignments::default(), list("g-1"), list(" * "));
        assert!(allows(&sets, "g-1", ADMIN));
        assert!(!allows(&sets, "g-2", ADMIN));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let nothing = AllowedAccess::default();
        assert_eq!(
            nothing
                .refused_principal(Principal::User, "ana@example.com", "u-1")
                .unwrap(),
            "user ana@example.com may not be given access by a file: leave it out, or ask those who run orgkeeper to add its \
             id, u-1, to the parameter AllowedGroups"
        );
        assert_eq!(
            nothing.refused_permission_set("Read", READ).unwrap(),
            format!(
                "permission set Read may not be given by a file: leave it out, or ask those who run orgkeeper to add its ARN, \
                 {READ}, to the parameter AllowedPermissionSets"
            )
        );
    }
}
