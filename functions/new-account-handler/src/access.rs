//! Who gets access to the account of a row.

use std::collections::{BTreeSet, HashMap};

use orgkeeper_shared::vending::request::Access;

use crate::csv::{Column, Fault, Row, shown};

/// Assignments that one account can have; each is a request to IAM Identity Center later.
const MOST: usize = 50;

/// What IAM Identity Center knows of what the files and the settings name.
#[derive(Debug, Default)]
pub struct AccessCatalog {
    /// What every account gets.
    pub configured: Vec<Access>,
    /// Ids of groups by their names.
    pub groups: HashMap<String, String>,
    /// ARNs of permission sets by their names.
    pub permission_sets: HashMap<String, String>,
}

/// The names that a file uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Of groups.
    pub groups: BTreeSet<String>,
    /// Of permission sets.
    pub permission_sets: BTreeSet<String>,
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
        }
    }
}

/// The names in a cell, `one; two`.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(';')
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// Who gets access to the account of this row: what is configured, and each group of the row with
/// each of its permission sets. If the row has only one of both, the configured ones are taken for
/// the other. Without a catalog there is no IAM Identity Center.
///
/// # Errors
/// Everything that is wrong, for the person who wrote it.
pub fn access_of(row: &Row, catalog: Option<&AccessCatalog>) -> Result<Vec<Access>, Vec<Fault>> {
    let Some(catalog) = catalog else {
        let faults: Vec<Fault> = Column::OPTIONAL
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
    let mut faults = Vec::new();
    let mut found = |column, known: &HashMap<String, String>, kind| {
        let mut found = Vec::new();
        for name in names(row.get(column)) {
            match known.get(name) {
                Some(id) => found.push((name.to_owned(), id.clone())),
                None => faults.push(Fault::of(
                    column,
                    format!("there is no {kind} {} in IAM Identity Center", shown(name)),
                )),
            }
        }
        found
    };
    let mut groups = found(Column::Groups, &catalog.groups, "group");
    let mut sets = found(
        Column::PermissionSet,
        &catalog.permission_sets,
        "permission set",
    );
    if !faults.is_empty() {
        return Err(faults);
    }
    let named = !(groups.is_empty() && sets.is_empty());
    let usual = |of: fn(&Access) -> (&String, &String)| {
        let distinct: BTreeSet<_> = catalog.configured.iter().map(of).collect();
        distinct
            .into_iter()
            .map(|(name, id)| (name.clone(), id.clone()))
            .collect::<Vec<_>>()
    };
    if named && groups.is_empty() {
        groups = usual(|access| (&access.group_name, &access.group_id));
    }
    if named && sets.is_empty() {
        sets = usual(|access| (&access.permission_set_name, &access.permission_set_arn));
    }
    for (column, other, found) in [
        (Column::PermissionSet, Column::Groups, &groups),
        (Column::Groups, Column::PermissionSet, &sets),
    ] {
        if named && found.is_empty() {
            return Err(vec![Fault::of(
                column,
                format!("needs {other} beside it: nothing is configured that could stand for it"),
            )]);
        }
    }
    let own = groups.iter().flat_map(|(group_name, group_id)| {
        sets.iter().map(move |(set_name, set_arn)| Access {
            group_id: group_id.clone(),
            group_name: group_name.clone(),
            permission_set_arn: set_arn.clone(),
            permission_set_name: set_name.clone(),
        })
    });
    let mut all: Vec<Access> = Vec::new();
    for access in catalog.configured.iter().cloned().chain(own) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{
        in_words,
        tests::{GOOD, row},
    };

    fn access(group: &str, set: &str) -> Access {
        Access {
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
            groups: ids(&["blue", "red"], "id"),
            permission_sets: ids(&["Admin", "Read"], "arn"),
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
            "line 12, PermissionSet: needs Groups beside it: nothing is configured that could stand for it"
        );
        assert_eq!(with("", "", Some(&none)), Ok(vec![]));
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
