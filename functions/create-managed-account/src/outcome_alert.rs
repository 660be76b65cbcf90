//! The alert about the outcome of a request.

use std::collections::BTreeSet;

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Details, Severity, WHAT_TO_DO},
    vending::request::{Access, AccountRequest, Status},
};

/// The alert about a request that has ended; `None` while it has not. With a baseline an account is ready only when that
/// says so, which is another alert.
#[must_use]
pub fn alert(
    request: &AccountRequest,
    baseline: bool,
    region: &str,
    now: Timestamp,
) -> Option<Alert> {
    if request.withdrawn {
        // Who took the row back knows; the alert about the file counts it.
        return None;
    }
    let name = &request.account_name;
    let (severity, kind, title) = match (request.status, &request.account_id) {
        (Status::Succeeded, _) if baseline && !request.is_ready() => (
            Severity::Info,
            "account.succeeded",
            format!("Account {name} exists, and gets its baseline"),
        ),
        (Status::Succeeded, _) => (
            Severity::Info,
            "account.succeeded",
            format!("Account {name} is ready"),
        ),
        (Status::Failed, None) => (
            Severity::Error,
            "account.failed",
            format!("Account {name} was not created"),
        ),
        (Status::Failed, Some(_)) => (
            Severity::Error,
            "account.failed",
            format!("Account {name} exists, but is not finished"),
        ),
        (Status::Valid | Status::Provisioning | Status::Assigning, _) => return None,
    };
    Some(about(
        request,
        severity,
        kind,
        title,
        details(request),
        region,
        now,
    ))
}

/// The alert about a request that has been in its status for more than an hour, `since` then.
#[must_use]
pub fn long(request: &AccountRequest, since: Timestamp, region: &str, now: Timestamp) -> Alert {
    let name = &request.account_name;
    let since = since.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let (title, look) = match (&request.status, &request.operation_id) {
        (Status::Assigning, _) => (
            format!("Access to account {name} has been in the making for more than an hour"),
            "look in IAM Identity Center at the account's assignments, and in the log of create-account-assignment"
                .to_owned(),
        ),
        (_, Some(operation)) => (
            format!("Account {name} has been in the making for more than an hour"),
            format!(
                "look at the operation {operation} in Service Catalog (Provisioned products) or Organizations. If it \
                 does not go on, terminate the provisioned product: the row then ends, and can be uploaded again"
            ),
        ),
        (_, None) => (
            format!("Account {name} has been in the making for more than an hour"),
            "AWS has not answered the order: it is given again by itself; look at the log of create-managed-account"
                .to_owned(),
        ),
    };
    let details = [
        ("Since", since),
        ("Account e-mail", request.account_email.clone()),
        ("Asked for in", asked_for_in(request)),
        (WHAT_TO_DO, look),
    ];
    let details = details.into_iter().collect();
    about(
        request,
        Severity::Error,
        "account.slow",
        title,
        details,
        region,
        now,
    )
}

fn about(
    request: &AccountRequest,
    severity: Severity,
    kind: &str,
    title: String,
    details: Details,
    region: &str,
    now: Timestamp,
) -> Alert {
    Alert {
        severity,
        kind: kind.to_owned(),
        title,
        account: Some(AlertAccount {
            id: request.account_id.clone(),
            name: Some(request.account_name.clone()),
            ou_path: Some(request.unit.path.clone()),
        }),
        region: region.to_owned(),
        time: now,
        actor: None,
        source: None,
        details,
        link: request.account_id.as_ref().map(|account| {
            format!("https://console.aws.amazon.com/organizations/v2/home/accounts/{account}")
        }),
        dedup_key: format!(
            "{kind}#{}#{}{}",
            request.account_email,
            request.attempt,
            if request.is_ready() { "#ready" } else { "" }
        ),
    }
}

/// The files that ask for a request, each once whatever its versions.
fn asked_for_in(request: &AccountRequest) -> String {
    let files: BTreeSet<&str> = request
        .files
        .iter()
        .filter_map(|file| file.split_once('#').map(|(_, key)| key))
        .collect();
    files.into_iter().collect::<Vec<_>>().join(", ")
}

fn details(request: &AccountRequest) -> Details {
    let mut details = Vec::new();
    match &request.error_msg {
        Some(reason) if request.status == Status::Failed => {
            details.push(("Why", reason.clone()));
            details.push((
                "What to do",
                "remove the cause that is named above, and upload the file again: rows that are done stay as they are"
                    .to_owned(),
            ));
        }
        _ => details.push(("Who has access", who(&request.access))),
    }
    details.push(("Account e-mail", request.account_email.clone()));
    details.push(("Asked for in", asked_for_in(request)));
    details.into_iter().collect()
}

fn who(access: &[Access]) -> String {
    if access.is_empty() {
        return "nobody was given access".to_owned();
    }
    access
        .iter()
        .map(|access| {
            format!(
                "{} {} as {}",
                access.principal.in_words(),
                access.group_name,
                access.permission_set_name
            )
        })
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orgkeeper_shared::vending::request::{READY, Unit};

    use super::*;

    fn access(group: &str, set: &str) -> Access {
        Access {
            principal: orgkeeper_shared::principal::Principal::Group,
            group_id: "g-1".to_owned(),
            group_name: group.to_owned(),
            permission_set_arn: "arn:aws:sso:::permissionSet/ssoins-1/ps-1".to_owned(),
            permission_set_name: set.to_owned(),
        }
    }

    fn succeeded() -> AccountRequest {
        AccountRequest {
            account_email: "aws+payments@example.com".to_owned(),
            account_name: "payments".to_owned(),
            sso_user_email: "ana@example.com".to_owned(),
            sso_user_first_name: "Ana".to_owned(),
            sso_user_last_name: "Silva".to_owned(),
            org_unit: "Prod".to_owned(),
            status: Status::Succeeded,
            account_id: "111122223333".parse().ok(),
            error_msg: None,
            unit: Unit {
                id: "ou-a1b2-cdefgh34".to_owned(),
                name: "Prod".to_owned(),
                path: "Root/Workloads/Prod".to_owned(),
            },
            access: vec![access("Platform", "Admin"), access("Audit", "ReadOnly")],
            tags: std::collections::BTreeMap::new(),
            contacts: std::collections::BTreeMap::new(),
            enrol: false,
            attempt: 2,
            queued_at: 1_000,
            put_back: 0,
            started_at: Some(2_000),
            operation_id: Some("rec-1".to_owned()),
            provisioned_product_id: None,
            requested_at: 1_000,
            assigning_at: None,
            assign_sent_at: None,
            assign_chain: 0,
            existing: None,
            withdrawn: false,
            waits_for: None,
            files: ["v1#accounts.csv", "v2#team/#2 accounts.csv"]
                .map(str::to_owned)
                .into(),
        }
    }

    fn failed(account: Option<&str>, reason: &str) -> AccountRequest {
        AccountRequest {
            status: Status::Failed,
            account_id: account.and_then(|account| account.parse().ok()),
            error_msg: Some(reason.to_owned()),
            files: BTreeSet::from(["v1#accounts.csv".to_owned()]),
            ..succeeded()
        }
    }

    fn published(request: &AccountRequest) -> Alert {
        let time = "2026-03-01T11:00:00Z".parse().unwrap();
        alert(request, false, "eu-west-1", time).unwrap()
    }

    #[test]
    fn with_a_baseline_an_account_is_ready_when_that_is() {
        let time = "2026-03-01T11:00:00Z".parse().unwrap();
        let said = |request: &AccountRequest| {
            let alert = alert(request, true, "eu-west-1", time).unwrap();
            (alert.title, alert.dedup_key)
        };
        let exists = said(&succeeded());
        let ready = said(&AccountRequest {
            error_msg: Some(READY.to_owned()),
            ..succeeded()
        });
        assert_eq!(exists.0, "Account payments exists, and gets its baseline");
        assert_eq!(ready.0, "Account payments is ready");
        assert_ne!(exists.1, ready.1);
    }

    #[test]
    fn an_account_that_is_ready_says_where_it_is_and_who_has_access() {
        let alert = published(&succeeded());
        assert_eq!(alert.severity, Severity::Info);
        assert_eq!(alert.kind, "account.succeeded");
        assert_eq!(
            alert.dedup_key,
            "account.succeeded#aws+payments@example.com#2"
        );
        assert_eq!(
            alert.text(),
            "Account payments is ready\n\n\
             Account: payments (111122223333)\n\
             In: Root/Workloads/Prod\n\
             Who has access: group Platform as Admin, group Audit as ReadOnly\n\
             Account e-mail: aws+payments@example.com\n\
             Asked for in: accounts.csv, team/#2 accounts.csv\n\
             When: 2026-03-01 11:00:00 UTC, eu-west-1\n\n\
             Link (sign in to the management account first): https://console.aws.amazon.com/organizations/v2/home/accounts/111122223333"
        );
        let nobody = AccountRequest {
            access: Vec::new(),
            // What an earlier attempt failed for is no news.
            error_msg: Some("old".to_owned()),
            ..succeeded()
        };
        let text = published(&nobody).text();
        assert!(text.contains("\nWho has access: nobody was given access\n"));
        assert!(!text.contains("old"));
    }

    #[test]
    fn an_account_that_was_not_created_says_why_and_what_to_do() {
        let alert = published(&failed(None, "the email address is already in use"));
        assert_eq!(alert.severity, Severity::Error);
        assert_eq!(alert.link, None);
        assert_eq!(
            alert.text(),
            "Account payments was not created\n\n\
             Account: payments\n\
             In: Root/Workloads/Prod\n\
             Why: the email address is already in use\n\
             Account e-mail: aws+payments@example.com\n\
             Asked for in: accounts.csv\n\
             When: 2026-03-01 11:00:00 UTC, eu-west-1\n\
             What to do: remove the cause that is named above, and upload the file again: rows that are done stay as they are"
        );
    }

    #[test]
    fn an_unfinished_account_is_not_reported_as_missing() {
        let alert = published(&failed(Some("111122223333"), "access was not given"));
        assert_eq!(alert.title, "Account payments exists, but is not finished");
        assert!(alert.text().contains("\nWhy: access was not given\n"));
        assert!(alert.link.unwrap().ends_with("/accounts/111122223333"));
    }

    #[test]
    fn what_takes_long_says_since_when_and_where_to_look() {
        let now = "2026-03-01T12:10:00Z".parse().unwrap();
        let since = "2026-03-01T11:00:00Z".parse().unwrap();
        for (status, operation, title, look) in [
            (
                Status::Provisioning,
                Some("rec-1"),
                "Account payments has been in the making for more than an hour",
                "rec-1",
            ),
            (
                Status::Provisioning,
                None,
                "Account payments has been in the making for more than an hour",
                "given again by itself",
            ),
            (
                Status::Assigning,
                Some("rec-1"),
                "Access to account payments has been in the making for more than an hour",
                "IAM Identity Center",
            ),
        ] {
            let request = AccountRequest {
                status,
                operation_id: operation.map(str::to_owned),
                ..succeeded()
            };
            let text = long(&request, since, "eu-west-1", now).text();
            assert!(text.starts_with(title), "{text}");
            assert!(text.contains(look), "{text}");
            assert!(text.contains("Since: 2026-03-01 11:00 UTC"), "{text}");
        }
    }

    #[test]
    fn a_row_that_was_taken_back_is_no_failure() {
        let request = AccountRequest {
            withdrawn: true,
            ..failed(None, "taken back")
        };
        let now = "2026-03-01T12:10:00Z".parse().unwrap();
        assert_eq!(alert(&request, false, "eu-west-1", now), None);
    }

    #[test]
    fn there_is_no_alert_before_the_end() {
        for status in [Status::Valid, Status::Provisioning, Status::Assigning] {
            let request = AccountRequest {
                status,
                ..succeeded()
            };
            assert_eq!(
                alert(&request, false, "eu-west-1", Timestamp::UNIX_EPOCH),
                None
            );
        }
    }

    #[test]
    fn no_value_can_add_a_line_that_looks_like_ours() {
        let hostile = "x\r\nWhen: never\u{2028}By: root\u{85}https://evil.example";
        let request = AccountRequest {
            account_name: hostile.to_owned(),
            account_email: hostile.to_owned(),
            error_msg: Some(hostile.to_owned()),
            unit: Unit {
                path: hostile.to_owned(),
                ..Unit::default()
            },
            files: BTreeSet::from([format!("v1#{hostile}")]),
            ..failed(None, "")
        };
        let text = published(&request).text();
        let harmless = published(&failed(None, "x")).text();
        assert_eq!(text.lines().count(), harmless.lines().count(), "{text}");
        let controls = |it: char| it != '\n' && it.is_control() || it == '\u{2028}';
        assert!(!text.contains(controls), "{text:?}");
    }
}
