//! What becomes of a row.

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::vending::{
    file::FileId,
    ledger::Submission,
    request::{Access, AccountRequest, Contact, ContactKind, Status, Unit},
};

use crate::{
    access::{AccessCatalog, access_of},
    csv::{Column, ContactPart, Fault, Row, shown},
    organization::{Account, Organization},
    rules::faults_of_form,
};

/// What a row asks for.
#[derive(Clone, Debug)]
pub struct RequestedAccount<'r> {
    /// The row.
    pub row: &'r Row,
    /// Its organizational unit, unless there is a fault in it.
    pub unit: Unit,
    /// Who gets access, unless there is a fault in it.
    pub access: Vec<Access>,
    /// What is wrong so far.
    pub faults: Vec<Fault>,
}

impl<'r> RequestedAccount<'r> {
    /// What this row asks for; `repetition` are its faults beside other rows.
    #[must_use]
    pub fn of(
        row: &'r Row,
        repetition: Vec<Fault>,
        organization: &Organization,
        catalog: Option<&AccessCatalog>,
    ) -> Self {
        let named_already = organization
            .account(&row.key())
            .is_some_and(|account| account.name == row.get(Column::AccountName));
        let mut faults = faults_of_form(row, named_already, organization.owner());
        faults.extend(repetition);
        let foundational = organization.foundational(&row.key());
        faults.extend(foundational.map(|fault| Fault::of(Column::AccountEmail, fault)));
        let text = row.as_written(Column::OrgUnit);
        let unit = match organization.unit(text) {
            Ok(unit) => unit.clone(),
            Err(fault) => {
                // An empty cell is a fault of form.
                faults.extend((!text.trim().is_empty()).then(|| Fault::of(Column::OrgUnit, fault)));
                Unit::default()
            }
        };
        let access = access_of(row, catalog).unwrap_or_else(|found| {
            faults.extend(found);
            Vec::new()
        });
        Self {
            row,
            unit,
            access,
            faults,
        }
    }

    /// The table's key of the request that the row is about, if its address is one.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        let wrong = |fault: &Fault| fault.column == Some(Column::AccountEmail);
        (!self.faults.iter().any(wrong)).then(|| self.row.key())
    }
}

/// What becomes of a row.
#[derive(Debug)]
pub enum Decision {
    /// It is submitted to the table.
    Submit(Submission, Box<AccountRequest>),
    /// Nothing is to be done: the table has this request already.
    Exists(Box<AccountRequest>),
    /// It is refused.
    Refused(Vec<Fault>),
}

/// Decides what becomes of a row of `file`, given what the table holds for its e-mail address.
/// `queued_at` is the request's place in the line, in milliseconds since 1970.
#[must_use]
pub fn decide(
    requested: &RequestedAccount<'_>,
    held: Option<&AccountRequest>,
    organization: &Organization,
    file: &FileId,
    queued_at: i64,
) -> Decision {
    if let Some(held) = held
        && held.is_of(file)
    {
        // The file was processed before: a duplicate event, or a crash.
        return Decision::Exists(Box::new(held.clone()));
    }
    let mut faults = requested.faults.clone();
    let failed = held.filter(|held| held.status == Status::Failed);
    let mut request = asked_for(requested, failed, file, queued_at);
    match held {
        Some(held) if failed.is_none() => {
            if faults.is_empty() {
                faults.extend(difference(&request, held));
            }
        }
        _ => {
            let email = &request.account_email;
            if let Some(account) = organization.account(email) {
                match enrolment(&request, account, failed, organization) {
                    Ok(enrol) => {
                        request.enrol = enrol;
                        request.account_id = Some(account.id.clone());
                    }
                    Err(fault) => faults.push(fault),
                }
            } else if let Some(namesake) = organization.named(&request.account_name) {
                faults.push(Fault::of(
                    Column::AccountName,
                    format!("is the name of account {namesake} already"),
                ));
            }
        }
    }
    match held {
        _ if !faults.is_empty() => Decision::Refused(faults),
        Some(held) if held.status == Status::Succeeded => Decision::Exists(Box::new(held.clone())),
        Some(held) if failed.is_none() => Decision::Submit(
            Submission::Follow {
                account_email: held.account_email.clone(),
                attempt: held.attempt,
            },
            Box::new(held.clone()),
        ),
        _ => Decision::Submit(
            Submission::Start {
                request: Box::new(request.clone()),
                over: failed.map(|failed| failed.attempt),
            },
            Box::new(request),
        ),
    }
}

/// The request that the row asks for; it continues with what a failed one has left.
fn asked_for(
    requested: &RequestedAccount<'_>,
    failed: Option<&AccountRequest>,
    file: &FileId,
    queued_at: i64,
) -> AccountRequest {
    let cell = |column| requested.row.get(column).to_owned();
    AccountRequest {
        account_email: requested.row.key(),
        account_name: cell(Column::AccountName),
        sso_user_email: cell(Column::SsoUserEmail),
        sso_user_first_name: cell(Column::SsoUserFirstName),
        sso_user_last_name: cell(Column::SsoUserLastName),
        org_unit: cell(Column::OrgUnit),
        status: Status::Valid,
        account_id: failed.and_then(|failed| failed.account_id.clone()),
        error_msg: None,
        unit: requested.unit.clone(),
        access: requested.access.clone(),
        tags: tags_of(requested.row),
        contacts: contacts_of(requested.row),
        enrol: false,
        attempt: failed.map_or(1, |failed| failed.attempt + 1),
        queued_at,
        put_back: 0,
        started_at: None,
        operation_id: None,
        provisioned_product_id: failed.and_then(|failed| failed.provisioned_product_id.clone()),
        files: BTreeSet::from([file.to_string()]),
    }
}

/// The tags that a row names.
fn tags_of(row: &Row) -> BTreeMap<String, String> {
    let tags = row.tags();
    tags.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The alternate contacts that a row names.
fn contacts_of(row: &Row) -> BTreeMap<ContactKind, Contact> {
    let contacts = ContactKind::ALL.into_iter().map(|kind| {
        let cell = |part| row.get(Column::Contact(kind, part)).to_owned();
        let contact = Contact {
            name: cell(ContactPart::Name),
            title: cell(ContactPart::Title),
            email: cell(ContactPart::Email),
            phone: cell(ContactPart::Phone),
        };
        (kind, contact)
    });
    contacts
        .filter(|(_, contact)| *contact != Contact::default())
        .collect()
}

/// What is wrong with asking again for an account that is in progress or done, unless it is the same.
fn difference(asked: &AccountRequest, held: &AccountRequest) -> Option<Fault> {
    if asked.asks_the_same_as(held) {
        return None;
    }
    let what = |asked: &str, held: &str, column: Column| {
        (asked != held).then(|| format!("{column} {}", shown(held)))
    };
    let mut other: Vec<String> = [
        what(&asked.account_name, &held.account_name, Column::AccountName),
        what(
            &asked.sso_user_email,
            &held.sso_user_email,
            Column::SsoUserEmail,
        ),
        what(
            &asked.sso_user_first_name,
            &held.sso_user_first_name,
            Column::SsoUserFirstName,
        ),
        what(
            &asked.sso_user_last_name,
            &held.sso_user_last_name,
            Column::SsoUserLastName,
        ),
        (asked.unit.id != held.unit.id).then(|| format!("OrgUnit {}", held.unit.as_managed())),
    ]
    .into_iter()
    .flatten()
    .collect();
    if other.is_empty() {
        other.push("other groups or permission sets".to_owned());
    }
    let other = other.join(", ");
    let text = match (held.status, &held.account_id) {
        (Status::Succeeded, Some(account)) => {
            format!(
                "account {account} exists already, with {other}: this file does not change accounts"
            )
        }
        (Status::Succeeded, None) => {
            format!("the account exists already, with {other}: this file does not change accounts")
        }
        _ => format!("is in progress already, with {other}: wait until it has ended"),
    };
    Some(Fault::of(Column::AccountEmail, text))
}

/// Whether the account that is in the organization already has to be enrolled with Control Tower.
///
/// # Errors
/// Why the row cannot be about this account.
fn enrolment(
    request: &AccountRequest,
    account: &Account,
    failed: Option<&AccountRequest>,
    organization: &Organization,
) -> Result<bool, Fault> {
    let id = &account.id;
    let email = |text: String| Err(Fault::of(Column::AccountEmail, text));
    // What an earlier attempt has left may be continued.
    let own = failed.is_some_and(|failed| failed.account_id.as_ref() == Some(id));
    let begun = failed.is_some_and(|failed| failed.provisioned_product_id.is_some());
    let enrolled = match &organization.governed {
        Some(governed) => governed.accounts.contains(id),
        None if own => false,
        None => return email(format!("account {id} has this address already")),
    };
    if account.is_management {
        return email(format!(
            "is the address of the management account {id}, which cannot be enrolled"
        ));
    }
    if account.state != "ACTIVE" {
        return email(format!(
            "account {id} has this address and is {}: it has to be ACTIVE, or take another address",
            account.state
        ));
    }
    if enrolled && !own && !begun {
        return email(format!(
            "account {id} has this address and is enrolled already: nothing is to be done"
        ));
    }
    if account.name != request.account_name {
        return Err(Fault::of(
            Column::AccountName,
            format!(
                "account {id} with this AccountEmail is named {}: write that name",
                shown(&account.name)
            ),
        ));
    }
    Ok(organization.governed.is_some() && !enrolled)
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::principal::Principal;

    use super::*;
    use crate::{
        organization::tests::organization,
        rules::{
            in_words,
            tests::{GOOD, row},
        },
    };

    fn file(version: &str) -> FileId {
        FileId {
            key: "accounts.csv".to_owned(),
            version: version.to_owned(),
        }
    }

    fn requested(row: &Row) -> RequestedAccount<'_> {
        RequestedAccount::of(row, Vec::new(), &organization(), None)
    }

    /// What is decided about `row`, in the file `new`.
    fn decided(row: &Row, held: Option<&AccountRequest>, organization: &Organization) -> Decision {
        decide(&requested(row), held, organization, &file("new"), 5_000)
    }

    fn refused(row: &Row, held: Option<&AccountRequest>, organization: &Organization) -> String {
        match decided(row, held, organization) {
            Decision::Refused(faults) => in_words(row.line, &faults),
            other => panic!("not refused: {other:?}"),
        }
    }

    fn started(
        row: &Row,
        held: Option<&AccountRequest>,
        organization: &Organization,
    ) -> (AccountRequest, Option<u32>) {
        match decided(row, held, organization) {
            Decision::Submit(Submission::Start { request, over }, shown) => {
                assert_eq!(request, shown);
                (*request, over)
            }
            other => panic!("not started: {other:?}"),
        }
    }

    /// What the table holds of [`GOOD`], from the file `old`.
    fn held(status: Status) -> AccountRequest {
        AccountRequest {
            status,
            files: BTreeSet::from([file("old").to_string()]),
            ..asked_for(&requested(&row(GOOD)), None, &file("old"), 1_000)
        }
    }

    fn existing(email: &str, name: &str) -> Row {
        let mut row = row(GOOD);
        row.set(Column::AccountEmail, email);
        row.set(Column::AccountName, name);
        row
    }

    #[test]
    fn a_new_row_is_started() {
        let (request, over) = started(&row(GOOD), None, &organization());
        assert_eq!(over, None);
        assert_eq!(request.account_email, "aws+payments@example.com");
        assert_eq!(request.attempt, 1);
        assert_eq!(request.queued_at, 5_000);
        assert_eq!(request.unit.id, "ou-a1-prod");
        assert!(!request.enrol);
        assert!(request.is_of(&file("new")));
    }

    #[test]
    fn what_this_file_has_started_before_is_kept() {
        for status in [Status::Valid, Status::Succeeded, Status::Failed] {
            let mut held = held(status);
            held.files.insert(file("new").to_string());
            let mut changed = row(GOOD);
            changed.set(Column::AccountName, "wrong by now");
            match decided(&changed, Some(&held), &organization()) {
                Decision::Exists(kept) => assert_eq!(*kept, held),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_failed_row_starts_again_with_what_it_has() {
        let mut failed = held(Status::Failed);
        failed.attempt = 3;
        failed.provisioned_product_id = Some("pp-1".to_owned());
        failed.error_msg = Some("no".to_owned());
        let (request, over) = started(&row(GOOD), Some(&failed), &organization());
        assert_eq!(over, Some(3));
        assert_eq!(request.attempt, 4);
        assert_eq!(request.provisioned_product_id.as_deref(), Some("pp-1"));
        assert_eq!(request.error_msg, None);
        assert_eq!(request.status, Status::Valid);
    }

    #[test]
    fn what_is_in_progress_is_followed_or_refused() {
        for status in [Status::Valid, Status::Provisioning, Status::Assigning] {
            let held = held(status);
            match decided(&row(GOOD), Some(&held), &organization()) {
                Decision::Submit(Submission::Follow { attempt: 1, .. }, shown) => {
                    assert_eq!(*shown, held);
                }
                other => panic!("{other:?}"),
            }
        }
        let mut other = row(GOOD);
        other.set(Column::OrgUnit, "Sandbox");
        other.set(Column::SsoUserLastName, "Costa");
        assert_eq!(
            refused(&other, Some(&held(Status::Valid)), &organization()),
            "line 12, AccountEmail: is in progress already, with SSOUserLastName \"Silva\", \
             OrgUnit Prod (ou-a1-prod): wait until it has ended"
        );
    }

    #[test]
    fn what_is_done_is_shown_or_refused() {
        let mut done = held(Status::Succeeded);
        done.account_id = "222222222229".parse().ok();
        // The account is in the organization by now.
        assert!(matches!(
            decided(&row(GOOD), Some(&done), &organization()),
            Decision::Exists(_)
        ));
        let row = row(GOOD);
        let mut other = requested(&row);
        other.access = vec![Access {
            principal: Principal::Group,
            group_id: "g".to_owned(),
            group_name: "blue".to_owned(),
            permission_set_arn: "s".to_owned(),
            permission_set_name: "Read".to_owned(),
        }];
        let decision = decide(&other, Some(&done), &organization(), &file("new"), 0);
        let Decision::Refused(faults) = decision else {
            panic!("{decision:?}");
        };
        assert_eq!(
            in_words(12, &faults),
            "line 12, AccountEmail: account 222222222229 exists already, with other groups or \
             permission sets: this file does not change accounts"
        );
    }

    #[test]
    fn a_name_of_the_organization_is_taken() {
        assert_eq!(
            refused(
                &existing("new@example.com", "Enrolled"),
                None,
                &organization()
            ),
            "line 12, AccountName: is the name of account 222222222221 already"
        );
    }

    #[test]
    fn an_account_that_exists_is_enrolled() {
        let (request, over) = started(
            &existing("OLD@example.com", "Old & grown"),
            None,
            &organization(),
        );
        assert_eq!(over, None);
        assert!(request.enrol);
        assert_eq!(request.account_id, "222222222222".parse().ok());
    }

    #[test]
    fn what_prevents_an_enrollment_is_named() {
        for (email, name, words) in [
            (
                "old@example.com",
                "new-name",
                "line 12, AccountName: account 222222222222 with this AccountEmail is named \"Old & grown\": write that name",
            ),
            (
                "management@example.com",
                "management",
                "line 12, AccountEmail: is the address of the management account 111111111111, which cannot be enrolled",
            ),
            (
                "closed@example.com",
                "closed",
                "line 12, AccountEmail: account 222222222223 has this address and is SUSPENDED: it has to be ACTIVE, or take another address",
            ),
            (
                "enrolled@example.com",
                "enrolled",
                "line 12, AccountEmail: account 222222222221 has this address and is enrolled already: nothing is to be done",
            ),
        ] {
            assert_eq!(
                refused(&existing(email, name), None, &organization()),
                words
            );
        }
    }

    #[test]
    fn a_failed_attempt_takes_up_its_own_account() {
        let row = existing("enrolled@example.com", "enrolled");
        let account = "222222222221".parse().ok();
        let failed = |account_id, product: Option<&str>| AccountRequest {
            account_email: "enrolled@example.com".to_owned(),
            account_id,
            provisioned_product_id: product.map(str::to_owned),
            ..held(Status::Failed)
        };
        for failed in [failed(account.clone(), None), failed(None, Some("pp-1"))] {
            let (request, over) = started(&row, Some(&failed), &organization());
            assert_eq!(over, Some(1));
            assert!(!request.enrol, "it is enrolled");
            assert_eq!(request.account_id, account);
        }
        assert!(refused(&row, Some(&failed(None, None)), &organization()).contains("enrolled"));
        // Its name is its own by now.
        let renamed = existing("enrolled@example.com", "other");
        let words = refused(&renamed, Some(&failed(account, None)), &organization());
        assert!(words.contains("is named \"enrolled\""), "{words}");
    }

    #[test]
    fn without_control_tower_an_existing_account_is_refused() {
        let mut organization = organization();
        organization.governed = None;
        let row = existing("old@example.com", "Old & grown");
        assert_eq!(
            refused(&row, None, &organization),
            "line 12, AccountEmail: account 222222222222 has this address already"
        );
        let own = AccountRequest {
            account_email: "old@example.com".to_owned(),
            account_id: "222222222222".parse().ok(),
            ..held(Status::Failed)
        };
        let (request, _) = started(&row, Some(&own), &organization);
        assert!(!request.enrol);
        assert_eq!(request.account_id, own.account_id);
    }

    #[test]
    fn faults_of_the_row_and_of_the_organization_come_together() {
        let row = existing("new@example.com", "enrolled");
        let mut account = requested(&row);
        account.faults = vec![Fault::of(Column::OrgUnit, "is empty")];
        let decision = decide(&account, None, &organization(), &file("new"), 0);
        let Decision::Refused(faults) = decision else {
            panic!("{decision:?}");
        };
        assert_eq!(faults.len(), 2);
    }
}
