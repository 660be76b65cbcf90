//! The words for people: what became of a request.

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Details, Severity},
    vending::request::{Access, AccountRequest, Status},
};

/// What is told when a request has come to its end; `None` while it has not.
#[must_use]
pub fn alert(request: &AccountRequest, region: &str, now: Timestamp) -> Option<Alert> {
    let name = &request.account_name;
    let (severity, kind, title) = match (request.status, &request.account_id) {
        (Status::Succeeded, _) => (
            Severity::Info,
            "account.succeeded",
            format!("Account {name} is ready"),
        ),
        (Status::Failed, None) => (
            Severity::Error,
            "account.failed",
            format!("Account {name} was not made"),
        ),
        (Status::Failed, Some(_)) => (
            Severity::Error,
            "account.failed",
            format!("Account {name} stands, but is not finished"),
        ),
        (Status::Valid | Status::Provisioning | Status::Assigning, _) => return None,
    };
    Some(Alert {
        severity,
        kind: kind.to_owned(),
        title,
        account: Some(AlertAccount {
            id: request.account_id.clone(),
            name: Some(name.clone()),
            ou_path: Some(request.unit.path.clone()),
        }),
        region: region.to_owned(),
        time: now,
        actor: None,
        details: details(request),
        link: request.account_id.as_ref().map(|account| {
            format!("https://console.aws.amazon.com/organizations/v2/home/accounts/{account}")
        }),
        dedup_key: format!("{kind}#{}#{}", request.account_email, request.attempt),
    })
}

fn details(request: &AccountRequest) -> Details {
    let mut details = Vec::new();
    match &request.error_msg {
        Some(reason) if request.status == Status::Failed => {
            details.push(("Why", reason.clone()));
            details.push((
                "What to do",
                "correct the row and upload the file again: rows that are done stay as they are"
                    .to_owned(),
            ));
        }
        _ => details.push(("Who has access", who(&request.access))),
    }
    details.push(("Account e-mail", request.account_email.clone()));
    let files: Vec<&str> = request
        .files
        .iter()
        .filter_map(|file| file.split_once('#').map(|(_, key)| key))
        .collect();
    details.push(("Asked for in", files.join(", ")));
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
                "group {} as {}",
                access.group_name, access.permission_set_name
            )
        })
        .collect::<Vec<_>>()
        .join(", ")
}
