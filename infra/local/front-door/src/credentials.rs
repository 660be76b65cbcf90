//! The age of a user's credentials: a test makes them older instead of waiting for months.

use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::backend::{Backend, OwnCall, Unreachable};
use crate::reply::json_answer;
use crate::scope::is_account_id;

/// Whose credentials, and how old they become.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Age {
    account: String,
    user: String,
    created_days: u32,
    /// `None`: never used.
    used_days: Option<u32>,
}

/// Reads `{"account": "111122223333", "user": "anna", "created_days": 120, "used_days": 95}`; the error explains what is
/// wrong.
pub(crate) fn age(body: &[u8]) -> Result<Age, String> {
    match serde_json::from_slice::<Age>(body) {
        Ok(age) if is_account_id(&age.account) => Ok(age),
        Ok(_) => Err("an account id has 12 digits".to_owned()),
        Err(error) => Err(format!(
            "{error}; an age looks like {{\"account\": \"111122223333\", \"user\": \"anna\", \"created_days\": 120}}"
        )),
    }
}

impl Age {
    /// The call to `MiniStack`, whose action AWS does not have.
    fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", "AgeCredentials")
            .append_pair("UserName", &self.user)
            .append_pair("CreatedDays", &self.created_days.to_string());
        if let Some(days) = self.used_days {
            form.append_pair("UsedDays", &days.to_string());
        }
        form.finish()
    }
}

/// Makes the user, its password and its access keys older.
pub(crate) async fn make_older(
    ministack: &Backend,
    region: &str,
    age: &Age,
) -> Result<Response, Unreachable> {
    let call = OwnCall {
        account: &age.account,
        region,
        service: "iam",
        content_type: "application/x-www-form-urlencoded",
        target: "",
        body: age.form(),
    };
    let answer = ministack.call(call).await?;
    if answer.status.is_success() {
        return Ok(json_answer(StatusCode::OK, &json!({})));
    }
    let error = format!("account {} has no user {}", age.account, age.user);
    let body = json!({ "error": error });
    Ok(json_answer(StatusCode::NOT_FOUND, &body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_names_account_and_user() {
        let good = br#"{"account": "111122223333", "user": "anna", "created_days": 120}"#;
        assert_eq!(age(good).unwrap().used_days, None);
        for bad in [
            r#"{"account": "1", "user": "anna", "created_days": 120}"#,
            r#"{"account": "111122223333", "created_days": 120}"#,
            r#"{"account": "111122223333", "user": "anna", "created_days": -1}"#,
            "",
        ] {
            assert!(age(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
