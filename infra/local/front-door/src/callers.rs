//! Who calls one of the front door's own services. `MiniStack` checks signature, session and policies of the call, as of
//! every other, and answers with the caller's ARN or with the refusal.

use axum::body::Bytes;
use axum::response::Response;
use http::HeaderMap;
use http::header::HeaderName;
use http::request::Parts;

use crate::backend::{Backend, Unreachable};
use crate::scope::is_account_id;

/// The header of an answer of `MiniStack` that allows the call.
const CALLER: HeaderName = HeaderName::from_static("x-orgkeeper-caller");

/// The management account's own access key: that of tests and people.
const MANAGEMENT_KEY: &str = "test";

/// The caller of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) arn: String,
}

/// Asks `MiniStack` who calls.
#[derive(Debug)]
pub(crate) struct Callers {
    management: String,
    ministack: Backend,
}

impl Callers {
    pub(crate) fn new(management: &str, ministack: Backend) -> Self {
        Self {
            management: management.to_owned(),
            ministack,
        }
    }

    /// The caller, if the call is allowed; the refusal as its client reads it otherwise.
    pub(crate) async fn check(
        &self,
        access_key: Option<&str>,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Result<Caller, Response>, Unreachable> {
        if let Some(caller) = access_key.and_then(|it| self.account_itself(it)) {
            return Ok(Ok(caller));
        }
        let answer = self.ministack.forward_and_read(parts, body.clone()).await?;
        Ok(named(&answer.headers).ok_or_else(|| answer.into_response()))
    }

    /// A key of 12 digits is an account's own, to which everything is allowed.
    fn account_itself(&self, access_key: &str) -> Option<Caller> {
        let account = match access_key {
            MANAGEMENT_KEY => &self.management,
            key if is_account_id(key) => key,
            _ => return None,
        };
        Some(Caller {
            account: account.to_owned(),
            arn: format!("arn:aws:iam::{account}:root"),
        })
    }
}

/// The caller that `MiniStack` names.
pub(crate) fn named(headers: &HeaderMap) -> Option<Caller> {
    let arn = headers.get(CALLER)?.to_str().ok()?.to_owned();
    let account = arn.split(':').nth(4).filter(|it| is_account_id(it))?;
    let account = account.to_owned();
    Some(Caller { account, arn })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_accounts_own_key_identifies_it() {
        let ministack = Backend::new("MiniStack", "http://127.0.0.1:1");
        let callers = Callers::new("999988887777", ministack);
        let account = |key| callers.account_itself(key).map(|it| it.account);
        assert_eq!(account("111122223333").unwrap(), "111122223333");
        assert_eq!(account("test").unwrap(), "999988887777");
        assert_eq!(account("ASIAEXAMPLE"), None);
    }

    #[test]
    fn an_allowed_caller_is_read_from_the_answer() {
        let arn = "arn:aws:sts::111122223333:assumed-role/reader/me";
        let headers = HeaderMap::from_iter([(CALLER, HeaderValue::from_static(arn))]);
        let caller = named(&headers).unwrap();
        assert_eq!(caller.account, "111122223333");
        assert_eq!(caller.arn, arn);
        assert_eq!(named(&HeaderMap::new()), None);
    }
}
