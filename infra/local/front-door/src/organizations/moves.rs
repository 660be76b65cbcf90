//! Refuses a `MoveAccount` as AWS does, where moto would accept it.

use serde_json::Value;

use crate::reply::Refusal;
use crate::scope::is_account_id;

const SOURCE: (&str, &str) = (
    "SourceParentNotFoundException",
    "You specified a source parent that doesn't exist.",
);
const DESTINATION: (&str, &str) = (
    "DestinationParentNotFoundException",
    "You specified a destination parent that doesn't exist.",
);
const DUPLICATE: (&str, &str) = (
    "DuplicateAccountException",
    "The specified account already exists in the destination parent.",
);
const ACCOUNT: (&str, &str) = (
    "AccountNotFoundException",
    "You specified an account that doesn't exist.",
);
const PATTERN: (&str, &str) = (
    "InvalidInputException",
    "You provided a value that does not match the required pattern.",
);

/// Checks the move of an account under `parent`, which is `None` if the account does not exist.
pub(super) fn check(input: &Value, parent: Option<&str>) -> Result<(), Refusal> {
    let refuse = |(code, message)| Err(Refusal::new(code, message));
    if !input["AccountId"].as_str().is_some_and(is_account_id) {
        return refuse(PATTERN);
    }
    match parent {
        None => refuse(ACCOUNT),
        Some(parent) if input["DestinationParentId"] == parent => refuse(DUPLICATE),
        Some(parent) if input["SourceParentId"] != parent => refuse(SOURCE),
        Some(_) => Ok(()),
    }
}

/// Converts moto's error, which is the same for both parents: after `check` only the destination can be missing.
pub(super) fn error_of(answer: &Value) -> Option<Refusal> {
    (answer["__type"] == "ParentNotFoundException")
        .then(|| Refusal::new(DESTINATION.0, DESTINATION.1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(account: &str, source: &str, destination: &str, parent: Option<&str>) -> String {
        let input = json!({
            "AccountId": account,
            "SourceParentId": source,
            "DestinationParentId": destination,
        });
        check(&input, parent).map_or_else(|it| it.code, |()| "no".to_owned())
    }

    #[test]
    fn a_move_starts_at_the_accounts_parent() {
        let id = "111122223333";
        for (account, source, destination, parent, code) in [
            (id, "r-1", "ou-1", Some("r-1"), "no"),
            (id, "r-1", "ou-1", Some("ou-1"), "DuplicateAccountException"),
            (
                id,
                "ou-1",
                "ou-1",
                Some("ou-1"),
                "DuplicateAccountException",
            ),
            (
                id,
                "ou-2",
                "ou-1",
                Some("r-1"),
                "SourceParentNotFoundException",
            ),
            (id, "r-1", "ou-1", None, "AccountNotFoundException"),
            ("1", "r-1", "ou-1", None, "InvalidInputException"),
        ] {
            assert_eq!(refused(account, source, destination, parent), code);
        }
    }

    #[test]
    fn a_parent_that_moto_misses_is_the_destination() {
        let answer = json!({"__type": "ParentNotFoundException"});
        assert_eq!(
            error_of(&answer).unwrap().code,
            "DestinationParentNotFoundException"
        );
        assert_eq!(error_of(&json!({})), None);
    }
}
