//! The account and ARN of a caller, by access key.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::lock::lock;
use crate::scope::is_account_id;

/// The caller of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) arn: String,
}

/// The access keys of assumed roles that STS has returned.
#[derive(Debug)]
pub(crate) struct Callers {
    management: String,
    sessions: Mutex<HashMap<String, Caller>>,
}

impl Callers {
    pub(crate) fn new(management: &str) -> Self {
        Self {
            management: management.to_owned(),
            sessions: Mutex::default(),
        }
    }

    /// Stores the access key of an assumed role.
    pub(crate) fn store(&self, access_key: String, caller: Caller) {
        lock(&self.sessions).insert(access_key, caller);
    }

    /// A key of 12 digits is an account id; an unknown key belongs to the management account, so
    /// that `test` works.
    pub(crate) fn of(&self, access_key: Option<&str>) -> Caller {
        let account = match access_key {
            Some(key) if is_account_id(key) => key,
            Some(key) => match lock(&self.sessions).get(key) {
                Some(caller) => return caller.clone(),
                None => &self.management,
            },
            None => &self.management,
        };
        Caller {
            account: account.to_owned(),
            arn: format!("arn:aws:iam::{account}:root"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_identifies_the_account() {
        let callers = Callers::new("999988887777");
        let session = Caller {
            account: "222233334444".to_owned(),
            arn: "arn:aws:sts::222233334444:assumed-role/reader/me".to_owned(),
        };
        callers.store("ASIAEXAMPLE".to_owned(), session.clone());
        assert_eq!(callers.of(Some("111122223333")).account, "111122223333");
        assert_eq!(callers.of(Some("ASIAEXAMPLE")), session);
        for other in [Some("test"), None] {
            assert_eq!(callers.of(other).arn, "arn:aws:iam::999988887777:root");
        }
    }
}
