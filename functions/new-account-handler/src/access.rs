//! Who gets access to the account of a row.

use std::collections::{BTreeSet, HashMap};

use orgkeeper_shared::{
    principal::Principal,
    vending::{allowed::AllowedAccess, request::Access},
};

use crate::{
    characters::{first_hidden, shown, spoilt},
    csv::{Column, Fault, Row},
    similar::similar,
};

/// Assignments that one account can have; each is a request to IAM Identity Center later.
const MOST: usize = 50;
/// Names that a message repeats.
const NAMED: usize = 5;

/// What IAM Identity Center knows of what the files and the settings name.
#[derive(Debug, Default)]
pub struct AccessCatalog {
    /// What every account gets.
    pub configured: Vec<Access>,
    /// Ids of the groups that were read, by their names: all of them, if a name was not found.
    pub groups: HashMap<String, String>,
    /// ARNs of the permission sets that were read, by their names: all of them, if a name was not found.
    pub permission_sets: HashMap<String, String>,
    /// Users by what a file names them: a name or an e-mail address.
    pub users: HashMap<String, User>,
    /// What a file may name.
    pub allowed: AllowedAccess,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Its id in the identity store.
    pub id: String,
    /// The names of its groups; read only where the file takes the user for a group.
    pub groups: Vec<String>,
}

/// The names that a file uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Of groups.
    pub groups: BTreeSet<String>,
    /// Of permission sets.
    pub permission_sets: BTreeSet<String>,
    /// Of users, or their e-mail addresses.
    pub users: BTreeSet<String>,
}

impl Names {
    /// All of these rows.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let all = |column| {
            rows.iter()
                .flat_map(|row| names(row.get(column)))
                .map(str::to_owned)
                .collect()
        };
        Self {
            groups: all(Column::Groups),
            permission_sets: all(Column::PermissionSet),
            users: all(Column::Users),
        }
    }
}

/// The names in a cell, `one; two`, or one on each line.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split([';', '\n'])
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// A kind of name that a cell can have.
struct Kind {
    column: Column,
    /// As a message calls it.
    name: &'static str,
}

const GROUP: Kind = Kind {
    column: Column::Groups,
    name: "group",
};
const PERMISSION_SET: Kind = Kind {
    column: Column::PermissionSet,
    name: "permission set",
};
const USER: Kind = Kind {
    column: Column::Users,
    name: "user",
};

impl AccessCatalog {
    /// Why a name is not known, and what was probably meant.
    fn unknown(&self, name: &str, kind: &Kind) -> String {
        let known = match kind.column {
            Column::Groups => &self.groups,
            Column::PermissionSet => &self.permission_sets,
            _ => {
                return format!(
                    "there is no user with the name or e-mail address {} in IAM Identity Center",
                    shown(name)
                );
            }
        };
        let is_known = |name: &&str| known.contains_key(*name);
        let parts: Vec<&str> = name.split(',').map(str::trim).collect();
        if parts.len() > 1 && parts.iter().all(is_known) {
            return format!(
                "separates names by commas, {}: write ; between them, {}",
                shown(name),
                shown(&parts.join(";"))
            );
        }
        let by_id = known.iter().find(|(_, id)| *id == name);
        if let Some((own, _)) = by_id {
            return format!(
                "has the id of a {}, {}: write its name, {}",
                kind.name,
                shown(name),
                shown(own)
            );
        }
        if name.starts_with("arn:") {
            return format!(
                "has an ARN, {}: write the name of the {}",
                shown(name),
                kind.name
            );
        }
        if let (Column::Groups, Some(user)) = (kind.column, self.users.get(name)) {
            return taken_for_group(name, user);
        }
        let hidden = first_hidden(name, &[]);
        let hidden = hidden.map_or_else(String::new, |hidden| format!(" (it has {hidden})"));
        let unknown = format!(
            "there is no {} {} in IAM Identity Center{hidden}",
            kind.name,
            shown(name)
        );
        let mut names: Vec<&str> = known.keys().map(String::as_str).collect();
        names.sort_unstable();
        let original = spoilt(name).and_then(|spoilt| spoilt.original);
        let near = similar(original.as_deref().unwrap_or(name), &names);
        match near[..] {
            [] => unknown,
            // So many are no hint.
            _ if near.len() > NAMED => unknown,
            [only] if only.to_lowercase() == name.to_lowercase() => {
                format!("{unknown}, written just so: is it {}?", shown(only))
            }
            _ => {
                let names: Vec<String> = near.iter().map(|name| shown(name)).collect();
                format!("{unknown}: did you mean {}?", names.join(", "))
            }
        }
    }
}

fn taken_for_group(name: &str, user: &User) -> String {
    let mut groups: Vec<String> = user.groups.iter().take(NAMED).map(|it| shown(it)).collect();
    if user.groups.len() > NAMED {
        groups.push("others".to_owned());
    }
    let groups = match groups[..] {
        [] => String::new(),
        _ => format!(", who is in {}", groups.join(", ")),
    };
    format!(
        "{} is a person{groups}: only groups can be named here; write a group, or the person into the column {}",
        shown(name),
        Column::Users
    )
}

/// Who gets access to the account of this row: what is configured, and each group and user of the row with each of
/// its permission sets. If the row has only one of both, the configured ones are taken for the other. Without a
/// catalog there is no IAM Identity Center.
///
/// # Errors
/// Everything that is wrong, for the person who wrote it.
pub fn access_of(row: &Row, catalog: Option<&AccessCatalog>) -> Result<Vec<Access>, Vec<Fault>> {
    let Some(catalog) = catalog else {
        let faults: Vec<Fault> = Column::ACCESS
            .into_iter()
            .filter(|column| names(row.get(*column)).next().is_some())
            .map(|column| {
                Fault::of(
                    column,
                    "has to be empty: access is not assigned here (orgkeeper runs without IAM Identity Center)",
                )
            })
            .collect();
        return if faults.is_empty() {
            Ok(Vec::new())
        } else {
            Err(faults)
        };
    };
    let own = Named::of(row, catalog)?.completed(row, &catalog.configured)?;
    let mut all: Vec<Access> = Vec::new();
    for access in catalog.configured.iter().cloned().chain(own.each()) {
        if !all.contains(&access) {
            all.push(access);
        }
        if all.len() > MOST {
            return Err(vec![Fault::of(
                Column::Groups,
                format!("asks for more than {MOST} assignments together with the permission sets"),
            )]);
        }
    }
    Ok(all)
}

/// What a row names.
struct Named {
    /// Groups and users: kind, name and id.
    principals: Vec<(Principal, String, String)>,
    /// Permission sets: name and ARN.
    sets: Vec<(String, String)>,
}

impl Named {
    /// What the cells of the row name.
    fn of(row: &Row, catalog: &AccessCatalog) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut found = |kind: Kind, id_of: &dyn Fn(&str) -> Option<String>| {
            let mut found = Vec::new();
            for name in names(row.get(kind.column)) {
                match id_of(name) {
                    Some(id) => found.push((name.to_owned(), id)),
                    None => faults.push(Fault::of(kind.column, catalog.unknown(name, &kind))),
                }
            }
            found
        };
        let groups = found(GROUP, &|name| catalog.groups.get(name).cloned());
        let sets = found(PERMISSION_SET, &|name| {
            catalog.permission_sets.get(name).cloned()
        });
        let users = found(USER, &|name| Some(catalog.users.get(name)?.id.clone()));
        let of_kind = |principal, found: Vec<(String, String)>| {
            let found = found.into_iter();
            found.map(move |(name, id)| (principal, name, id))
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let groups = of_kind(Principal::Group, groups);
        let named = Self {
            principals: groups.chain(of_kind(Principal::User, users)).collect(),
            sets,
        };
        let faults = named.not_allowed(&catalog.allowed);
        if faults.is_empty() {
            Ok(named)
        } else {
            Err(faults)
        }
    }

    /// What of it files may not name.
    fn not_allowed(&self, allowed: &AllowedAccess) -> Vec<Fault> {
        let principals = self.principals.iter().filter_map(|(kind, name, id)| {
            let column = match kind {
                Principal::Group => Column::Groups,
                Principal::User => Column::Users,
            };
            let refusal = allowed.refused_principal(*kind, &shown(name), id)?;
            Some(Fault::of(column, refusal))
        });
        let sets = self.sets.iter().filter_map(|(name, arn)| {
            let refusal = allowed.refused_permission_set(&shown(name), arn)?;
            Some(Fault::of(Column::PermissionSet, refusal))
        });
        principals.chain(sets).collect()
    }

    /// The same, with what is configured where the row names only one side.
    fn completed(mut self, row: &Row, configured: &[Access]) -> Result<Self, Vec<Fault>> {
        if self.principals.is_empty() && self.sets.is_empty() {
            return Ok(self);
        }
        if self.principals.is_empty() {
            let principals = configured.iter().map(|access| {
                let (name, id) = (access.group_name.clone(), access.group_id.clone());
                (access.principal, name, id)
            });
            self.principals = distinct(principals);
        }
        if self.sets.is_empty() {
            self.sets = distinct(configured.iter().map(|access| {
                let arn = access.permission_set_arn.clone();
                (access.permission_set_name.clone(), arn)
            }));
        }
        if self.principals.is_empty() {
            return Err(vec![alone(Column::PermissionSet, "Groups or Users")]);
        }
        if self.sets.is_empty() {
            let column = match names(row.get(Column::Groups)).next() {
                Some(_) => Column::Groups,
                None => Column::Users,
            };
            return Err(vec![alone(column, "PermissionSet")]);
        }
        Ok(self)
    }

    /// Each group and user with each permission set.
    fn each(&self) -> impl Iterator<Item = Access> {
        self.principals.iter().flat_map(|(principal, name, id)| {
            self.sets.iter().map(move |(set_name, set_arn)| Access {
                principal: *principal,
                group_id: id.clone(),
                group_name: name.clone(),
                permission_set_arn: set_arn.clone(),
                permission_set_name: set_name.clone(),
            })
        })
    }
}

fn distinct<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.collect::<BTreeSet<T>>().into_iter().collect()
}

/// The fault that a cell has no use without another.
fn alone(column: Column, other: &str) -> Fault {
    Fault::of(
        column,
        format!("needs {other} beside it: nothing is configured that could stand for it"),
    )
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::vending::allowed::{AllowList, Assignments};

    use super::*;
    use crate::rules::{
        in_words,
        tests::{GOOD, row},
    };

    fn access(group: &str, set: &str) -> Access {
        Access {
            principal: Principal::Group,
            group_id: format!("id-{group}"),
            group_name: group.to_owned(),
            permission_set_arn: format!("arn-{set}"),
            permission_set_name: set.to_owned(),
        }
    }

    fn catalog(configured: &[(&str, &str)]) -> AccessCatalog {
        let ids = |names: &[&str], prefix: &str| {
            let pairs = names
                .iter()
                .map(|name| ((*name).to_owned(), format!("{prefix}-{name}")));
            pairs.collect()
        };
        AccessCatalog {
            configured: configured
                .iter()
                .map(|(group, set)| access(group, set))
                .collect(),
            groups: ids(&["blue", "red", "Büro"], "id"),
            permission_sets: ids(&["Admin", "Read"], "arn"),
            users: HashMap::from([(
                "ana@example.com".to_owned(),
                User {
                    id: "u-1".to_owned(),
                    groups: vec!["blue".to_owned()],
                },
            )]),
            allowed: AllowedAccess::new(Assignments::default(), AllowList::all(), AllowList::all()),
        }
    }

    fn with(
        groups: &str,
        sets: &str,
        catalog: Option<&AccessCatalog>,
    ) -> Result<Vec<Access>, String> {
        let mut row = row(GOOD);
        row.set(Column::Groups, groups);
        row.set(Column::PermissionSet, sets);
        access_of(&row, catalog).map_err(|faults| in_words(row.line, &faults))
    }

    #[test]
    fn what_is_configured_comes_first_and_once() {
        let catalog = catalog(&[("platform", "Admin"), ("blue", "Read")]);
        let with = |groups, sets| with(groups, sets, Some(&catalog)).unwrap();
        let usual = [access("platform", "Admin"), access("blue", "Read")];
        assert_eq!(with("", " ; "), usual);
        assert_eq!(with("blue", "Read"), usual);
        assert_eq!(with("red; blue", "Read")[2..], [access("red", "Read")]);
        // One side alone: the configured ones stand for the other.
        assert_eq!(
            with("red", "")[2..],
            [access("red", "Admin"), access("red", "Read")]
        );
        assert_eq!(with("", "Read")[2..], [access("platform", "Read")]);
    }

    #[test]
    fn every_unknown_name_is_a_fault() {
        let none = catalog(&[]);
        assert_eq!(
            with("blue;green; grey", "Nothing", Some(&none)).unwrap_err(),
            "line 12, Groups: there is no group \"green\" in IAM Identity Center; \
             line 12, Groups: there is no group \"grey\" in IAM Identity Center; \
             line 12, PermissionSet: there is no permission set \"Nothing\" in IAM Identity Center"
        );
        assert_eq!(
            with("blue", "", Some(&none)).unwrap_err(),
            "line 12, Groups: needs PermissionSet beside it: nothing is configured that could stand for it"
        );
        assert_eq!(
            with("", "Read", Some(&none)).unwrap_err(),
            "line 12, PermissionSet: needs Groups or Users beside it: nothing is configured that could stand for it"
        );
        assert_eq!(with("", "", Some(&none)), Ok(vec![]));
    }

    #[test]
    fn a_user_gets_what_a_group_gets() {
        let catalog = catalog(&[("platform", "Admin")]);
        let mut row = row(GOOD);
        row.set(Column::Groups, "red");
        row.set(Column::Users, "ana@example.com");
        row.set(Column::PermissionSet, "Read");
        let all = access_of(&row, Some(&catalog)).unwrap();
        let user = Access {
            principal: Principal::User,
            group_id: "u-1".to_owned(),
            group_name: "ana@example.com".to_owned(),
            ..access("", "Read")
        };
        assert_eq!(all[1..], [access("red", "Read"), user]);
        row.set(Column::Users, "nobody");
        let faults = access_of(&row, Some(&catalog)).unwrap_err();
        assert_eq!(
            in_words(row.line, &faults),
            "line 12, Users: there is no user with the name or e-mail address \"nobody\" in IAM Identity Center"
        );
    }

    #[test]
    fn a_file_names_only_what_it_may() {
        let only = |groups: &str, sets: &str| AccessCatalog {
            allowed: AllowedAccess::new(
                Assignments(vec![("id-blue".to_owned(), "arn-Read".to_owned())]),
                groups.parse().unwrap(),
                sets.parse().unwrap(),
            ),
            ..catalog(&[("blue", "Read")])
        };
        assert_eq!(with("blue", "Read", Some(&only("", ""))).unwrap().len(), 1);
        assert_eq!(
            with("red", "Admin", Some(&only("", ""))).unwrap_err(),
            "line 12, Groups: group \"red\" may not be given access by a file: leave it out, or ask those who run orgkeeper to \
             add its id, id-red, to the parameter AllowedGroups; \
             line 12, PermissionSet: permission set \"Admin\" may not be given by a file: leave it out, or ask those who run \
             orgkeeper to add its ARN, arn-Admin, to the parameter AllowedPermissionSets"
        );
        let allowed = with("red", "Admin", Some(&only("id-red", "arn-Admin"))).unwrap();
        assert_eq!(allowed[1..], [access("red", "Admin")]);
        let mut row = row(GOOD);
        row.set(Column::Users, "ana@example.com");
        let words = |catalog| {
            let faults = access_of(&row, Some(&catalog)).unwrap_err();
            in_words(row.line, &faults)
        };
        assert!(
            words(only("", ""))
                .starts_with("line 12, Users: user \"ana@example.com\" may not be given access")
        );
        assert!(access_of(&row, Some(&only("u-1", ""))).is_ok());
    }

    #[test]
    fn what_was_probably_meant_is_named() {
        let none = catalog(&[]);
        for (groups, sets, words) in [
            (
                "Blue",
                "",
                "Groups: there is no group \"Blue\" in IAM Identity Center, written just so: is it \"blue\"?",
            ),
            (
                "blues",
                "",
                "Groups: there is no group \"blues\" in IAM Identity Center: did you mean \"blue\"?",
            ),
            (
                "blue, red",
                "",
                "Groups: separates names by commas, \"blue, red\": write ; between them, \"blue;red\"",
            ),
            (
                "id-red",
                "",
                "Groups: has the id of a group, \"id-red\": write its name, \"red\"",
            ),
            (
                "BÃ¼ro",
                "",
                "Groups: there is no group \"BÃ¼ro\" in IAM Identity Center: did you mean \"Büro\"?",
            ),
            (
                "ana@example.com",
                "",
                "Groups: \"ana@example.com\" is a person, who is in \"blue\": only groups can be named here; write a \
                 group, or the person into the column Users",
            ),
            (
                "",
                "arn:x",
                "PermissionSet: has an ARN, \"arn:x\": write the name of the permission set",
            ),
            (
                "",
                "arn-Read",
                "PermissionSet: has the id of a permission set, \"arn-Read\": write its name, \"Read\"",
            ),
            (
                "bl\u{200B}ue",
                "",
                "Groups: there is no group \"bl[U+200B]ue\" in IAM Identity Center (it has U+200B (a zero-width space) \
                 after \"bl\"): did you mean \"blue\"?",
            ),
        ] {
            assert_eq!(
                with(groups, sets, Some(&none)).unwrap_err(),
                format!("line 12, {words}")
            );
        }
        assert_eq!(with("blue\nred", "Read", Some(&none)).unwrap().len(), 2);
    }

    #[test]
    fn without_identity_center_both_are_empty() {
        assert_eq!(with("", "", None), Ok(vec![]));
        let words = with("blue", "Read", None).unwrap_err();
        assert!(words.contains("Groups: has to be empty"), "{words}");
        assert!(words.contains("PermissionSet: has to be empty"), "{words}");
    }

    #[test]
    fn no_row_asks_for_hundreds() {
        let mut catalog = catalog(&[]);
        for n in 0..60 {
            catalog.groups.insert(format!("g{n}"), format!("id-{n}"));
        }
        let groups: Vec<String> = (0..60).map(|n| format!("g{n}")).collect();
        let words = with(&groups.join(";"), "Read", Some(&catalog)).unwrap_err();
        assert!(words.contains("more than 50"), "{words}");
    }
}
