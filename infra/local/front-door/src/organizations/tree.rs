//! The paths of accounts and organizational units, and the members that AWS derives from them.

use std::collections::HashMap;

use serde_json::{Value, json};

/// `Status`, and the `State` that AWS adds; here only closing an account suspends it.
const STATES: &[(&str, &str)] = &[
    ("ACTIVE", "ACTIVE"),
    ("PENDING_CLOSURE", "PENDING_CLOSURE"),
    ("SUSPENDED", "CLOSED"),
];

/// moto's fixed name of the management account, and its name here.
const MANAGEMENT_NAME: (&str, &str) = ("master", "management");

/// Operations whose answers get paths, and the member that holds one item or a list.
pub(super) const WITH_PATHS: &[(&str, &str, Member)] = &[
    ("DescribeAccount", "Account", Member::Account),
    ("ListAccounts", "Accounts", Member::Account),
    ("ListAccountsForParent", "Accounts", Member::Account),
    (
        "DescribeOrganizationalUnit",
        "OrganizationalUnit",
        Member::Unit,
    ),
    (
        "ListOrganizationalUnitsForParent",
        "OrganizationalUnits",
        Member::Unit,
    ),
];

#[derive(Debug, Clone, Copy)]
pub(super) enum Member {
    Account,
    Unit,
}

/// Path by the id of a root, an organizational unit or an account:
/// `o-…/r-…/ou-…/` and, for an account, `o-…/r-…/ou-…/123456789012/`.
pub(super) type Tree = HashMap<String, String>;

/// Adds what moto lacks of one account or organizational unit.
pub(super) fn add(thing: &mut Value, member: Member, tree: &Tree) {
    let path = id(thing).and_then(|id| tree.get(id));
    match member {
        Member::Account => {
            if thing["Name"] == MANAGEMENT_NAME.0 {
                thing["Name"] = json!(MANAGEMENT_NAME.1);
            }
            let status = thing["Status"].as_str().unwrap_or_default();
            let state = STATES.iter().find(|it| it.0 == status);
            if let Some((_, state)) = state {
                thing["State"] = json!(state);
            }
            if let Some(path) = path {
                thing["Paths"] = json!([path]);
            }
        }
        Member::Unit => {
            if let Some(path) = path {
                thing["Path"] = json!(path);
            }
        }
    }
}

pub(super) fn id(value: &Value) -> Option<&str> {
    value["Id"].as_str()
}

/// The organization's id in `arn:aws:organizations::<management>:root/<organization>/<root>`.
pub(super) fn organization(root: &Value) -> Option<&str> {
    root["Arn"].as_str()?.split('/').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_gets_state_and_paths() {
        let path = "o-a/r-b/ou-c/111122223333/";
        let tree = Tree::from([("111122223333".to_owned(), path.to_owned())]);
        let mut account = json!({"Id": "111122223333", "Status": "SUSPENDED"});
        add(&mut account, Member::Account, &tree);
        assert_eq!(account["Paths"], json!([path]));
        assert_eq!(account["State"], "CLOSED");
        assert_eq!(account["Status"], "SUSPENDED");
    }

    #[test]
    fn an_unknown_unit_gets_no_path() {
        let mut unit = json!({"Id": "ou-x"});
        add(&mut unit, Member::Unit, &Tree::new());
        assert_eq!(unit, json!({"Id": "ou-x"}));
    }
}
