//! Invokes a function of another account by its ARN: `MiniStack` looks only in the caller's account, so the
//! call is signed as one of the function's account.

use http::header::{AUTHORIZATION, HeaderMap};

use crate::scope::{is_account_id, with_access_key};

/// The account of the function ARN in a path such as `/2015-03-31/functions/<arn>/invocations`.
pub(crate) fn function_account(path: &str) -> Option<String> {
    let (_, rest) = path.split_once("/functions/")?;
    let named = rest
        .split('/')
        .next()?
        .replace("%3A", ":")
        .replace("%3a", ":");
    let account = named.strip_prefix("arn:aws:lambda:")?.split(':').nth(1)?;
    is_account_id(account).then(|| account.to_owned())
}

/// Signs the call as one of `account`.
pub(crate) fn call_as(headers: &mut HeaderMap, account: &str) {
    let exchanged = headers
        .get(AUTHORIZATION)
        .and_then(|it| with_access_key(it, account));
    if let Some(value) = exchanged {
        headers.insert(AUTHORIZATION, value);
        headers.remove("x-amz-security-token");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_the_arns() {
        let path = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A111122223333%3Afunction%3Afix/invocations";
        assert_eq!(function_account(path).unwrap(), "111122223333");
        for other in [
            "/2015-03-31/functions/fix/invocations",
            "/2015-03-31/layers",
        ] {
            assert_eq!(function_account(other), None);
        }
    }
}
