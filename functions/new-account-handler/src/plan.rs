//! What becomes of a row.

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::vending::{
    file::FileId,
    request::{Access, AccountRequest, Contact, ContactKind, ExistingAccount, Status, Unit},
    submission::{Over, Submission},
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
///
/// The table answers for requests that have not ended, the organization for all others.
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
    let request = asked_for(requested, held, file, queued_at);
    match held {
        Some(held) if !held.status.ended() => {
            if !requested.faults.is_empty() {
                return Decision::Refused(requested.faults.clone());
            }
            if request.asks_the_same_as(held) {
                let submission = Submission::Follow {
                    account_email: held.account_email.clone(),
                    attempt: held.attempt,
                };
                return Decision::Submit(submission, Box::new(held.clone()));
            }
            if held.status == Status::Valid {
                return desired(requested, request, Some(held), organization);
            }
            Decision::Refused(vec![too_late(&request, held)])
        }
        _ => desired(requested, request, held, organization),
    }
}

/// What has to be done about an account that is in the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ToDo {
    /// Control Tower has to enrol it.
    Enrol,
    /// An earlier attempt has left it, and goes on.
    Continue,
    /// It has to be changed: its organizational unit or its owner.
    Change,
    /// It is as the row says except for its tags, its contacts and perhaps its access.
    Details,
    /// Access has to be assigned.
    Assign,
    /// Nothing: it is as the row says.
    Nothing,
}

/// Decides about a row by what is in the organization, and what has to become of it.
fn desired(
    requested: &RequestedAccount<'_>,
    mut request: AccountRequest,
    held: Option<&AccountRequest>,
    organization: &Organization,
) -> Decision {
    let mut faults = requested.faults.clone();
    let mut to_do = None;
    if let Some(account) = organization.account(&request.account_email) {
        // A row about an account of Control Tower's own has its fault already.
        let foundational = organization.foundational(&request.account_email).is_some();
        if !foundational {
            match existing(&request, account, held, organization) {
                Ok(found) => to_do = Some(found),
                Err(fault) => faults.push(fault),
            }
        }
        request.account_id = Some(account.id.clone());
    } else if let Some(held) = held
        && held.status == Status::Succeeded
    {
        faults.push(gone(held));
    } else if let Some(namesake) = organization.named(&request.account_name) {
        faults.push(Fault::of(
            Column::AccountName,
            format!("is the name of account {namesake} already"),
        ));
    }
    if !faults.is_empty() {
        return Decision::Refused(faults);
    }
    match to_do {
        Some(ToDo::Enrol) => request.enrol = true,
        Some(ToDo::Change) => request.existing = Some(ExistingAccount::Change),
        Some(ToDo::Assign) => {
            request.status = Status::Assigning;
            request.assigning_at = Some(request.requested_at);
        }
        Some(ToDo::Nothing) if held.is_none_or(|held| held.status.ended()) => {
            // The organization answers: the table need not know it.
            request.status = Status::Succeeded;
            request.files = BTreeSet::new();
            return Decision::Exists(Box::new(request));
        }
        // What waits has been accepted, and has to end.
        Some(ToDo::Details | ToDo::Nothing) => request.existing = Some(ExistingAccount::Details),
        Some(ToDo::Continue) | None => {}
    }
    let over = match held {
        None => Over::Nothing,
        Some(held) if held.status.ended() => Over::Ended {
            status: held.status,
            attempt: held.attempt,
        },
        Some(held) => Over::Waiting(Box::new(held.clone())),
    };
    let submission = Submission::Start {
        request: Box::new(request.clone()),
        over,
    };
    Decision::Submit(submission, Box::new(request))
}

/// The request that the row asks for; it continues with what an earlier one has left, and in its place in the line.
fn asked_for(
    requested: &RequestedAccount<'_>,
    held: Option<&AccountRequest>,
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
        account_id: held.and_then(|held| held.account_id.clone()),
        error_msg: None,
        unit: requested.unit.clone(),
        access: requested.access.clone(),
        tags: tags_of(requested.row),
        contacts: contacts_of(requested.row),
        enrol: false,
        attempt: held.map_or(1, |held| held.attempt + 1),
        queued_at: held
            .filter(|held| held.status == Status::Valid)
            .map_or(queued_at, |held| held.queued_at.min(queued_at)),
        put_back: 0,
        started_at: None,
        operation_id: None,
        provisioned_product_id: held.and_then(|held| held.provisioned_product_id.clone()),
        requested_at: queued_at,
        assigning_at: None,
        assign_sent_at: None,
        assign_chain: 0,
        existing: None,
        withdrawn: false,
        waits_for: None,
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

/// What is wrong with asking for an account in another way while it is in progress.
fn too_late(asked: &AccountRequest, held: &AccountRequest) -> Fault {
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
    let set = |it: &AccountRequest| it.access.iter().cloned().collect::<BTreeSet<_>>();
    for (differs, what) in [
        (
            set(asked) != set(held),
            "other groups, users or permission sets",
        ),
        (asked.tags != held.tags, "other tags"),
        (asked.contacts != held.contacts, "other contacts"),
    ] {
        other.extend(differs.then(|| what.to_owned()));
    }
    let other = other.join(", ");
    Fault::of(
        Column::AccountEmail,
        format!(
            "is in progress already, with {other}: wait until it has ended, then upload the file again"
        ),
    )
}

/// What is wrong with asking for an account that was created once and is not in the organization any more.
fn gone(held: &AccountRequest) -> Fault {
    let account = held.account_id.as_ref().map_or("", |id| id.as_str());
    Fault::of(
        Column::AccountEmail,
        format!(
            "account {account} of this row is not in the organization any more (removed, or closed for more than 90 \
             days) and keeps this address: invite it to the organization, or take another address"
        ),
    )
}

/// What has to be done about an account that is in the organization.
///
/// # Errors
/// Why the row cannot be about this account.
fn existing(
    request: &AccountRequest,
    account: &Account,
    held: Option<&AccountRequest>,
    organization: &Organization,
) -> Result<ToDo, Fault> {
    let id = &account.id;
    let email = |text: String| Err(Fault::of(Column::AccountEmail, text));
    if account.is_management {
        return email(format!(
            "is the address of the management account {id}, which cannot be enrolled"
        ));
    }
    if account.state != "ACTIVE" {
        return email(format!(
            "account {id} has this address and is {}: it has to be ACTIVE (a closed account can be reopened within \
             90 days of its closure), or take another address",
            account.state
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
    let governed = organization.governed.as_ref();
    if governed.is_some_and(|governed| !governed.accounts.contains(id)) {
        return Ok(ToDo::Enrol);
    }
    let own = held.filter(|held| held.account_id.as_ref() == Some(id));
    if own.is_some_and(|held| {
        held.existing == Some(ExistingAccount::Change) && held.status != Status::Succeeded
    }) {
        // A change that waits or failed is still to be made.
        return Ok(ToDo::Change);
    }
    let left = held.is_some_and(|held| {
        held.status != Status::Succeeded && held.provisioned_product_id.is_some()
    });
    if left {
        return Ok(ToDo::Continue);
    }
    if let Some(parent) = &account.parent
        && *parent != request.unit.id
    {
        // A unit that is not known is a fault already; this says where the account is.
        return match own {
            Some(_) if !request.unit.id.is_empty() => Ok(ToDo::Change),
            _ => Err(Fault::of(
                Column::OrgUnit,
                format!(
                    "account {id} with this AccountEmail is in {}: write that unit, or move the account first",
                    organization.described(parent)
                ),
            )),
        };
    }
    let owner = |it: &AccountRequest| {
        (
            it.sso_user_email.to_lowercase(),
            it.sso_user_first_name.clone(),
            it.sso_user_last_name.clone(),
        )
    };
    if own.is_some_and(|held| held.status == Status::Succeeded && owner(held) != owner(request)) {
        return Ok(ToDo::Change);
    }
    if !details_are_given(request, own) {
        return Ok(ToDo::Details);
    }
    let missing = request.access.iter().any(|access| {
        let access = (access.group_id.clone(), access.permission_set_arn.clone());
        !organization
            .assigned
            .contains(&(id.clone(), access.0, access.1))
    });
    Ok(if missing { ToDo::Assign } else { ToDo::Nothing })
}

/// Whether an account has the tags and contacts that are asked for, as far as its last request says. What the account
/// has beside them stays.
fn details_are_given(request: &AccountRequest, own: Option<&AccountRequest>) -> bool {
    let done = own.filter(|held| held.status == Status::Succeeded);
    let given =
        |key: &String, value: &String| done.is_some_and(|held| held.tags.get(key) == Some(value));
    let set = |kind: &ContactKind, contact: &Contact| {
        done.is_some_and(|held| held.contacts.get(kind) == Some(contact))
    };
    request.tags.iter().all(|(key, value)| given(key, value))
        && request
            .contacts
            .iter()
            .all(|(kind, contact)| set(kind, contact))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use orgkeeper_shared::principal::Principal;

    use super::*;
    use crate::{
        organization::{SharedAccount, tests::organization},
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
    ) -> (AccountRequest, Over) {
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

    fn failed_attempt(attempt: u32) -> Over {
        Over::Ended {
            status: Status::Failed,
            attempt,
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
        assert_eq!(over, Over::Nothing);
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
        assert_eq!(over, failed_attempt(3));
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
            refused(&other, Some(&held(Status::Provisioning)), &organization()),
            "line 12, AccountEmail: is in progress already, with SSOUserLastName \"Silva\", \
             OrgUnit Prod (ou-a1-prod): wait until it has ended, then upload the file again"
        );
    }

    #[test]
    fn what_waits_is_replaced_and_keeps_its_place() {
        let waiting = held(Status::Valid);
        let mut other = row(GOOD);
        other.set(Column::SsoUserLastName, "Costa");
        let (request, over) = started(&other, Some(&waiting), &organization());
        assert_eq!(over, Over::Waiting(Box::new(waiting.clone())));
        assert_eq!(request.attempt, 2);
        assert_eq!(request.queued_at, waiting.queued_at);
        assert_eq!(request.requested_at, 5_000);
        assert_eq!(request.sso_user_last_name, "Costa");
        assert_ne!(request.token(), waiting.token());
        assert_eq!(request.files, BTreeSet::from([file("new").to_string()]));
    }

    /// What the table holds of an account that is in the organization and enrolled.
    fn done() -> AccountRequest {
        AccountRequest {
            account_email: "enrolled@example.com".to_owned(),
            account_name: "enrolled".to_owned(),
            account_id: "222222222221".parse().ok(),
            ..held(Status::Succeeded)
        }
    }

    /// The organization with that account in this unit.
    fn in_unit(unit: &str) -> Organization {
        let mut organization = organization();
        organization.set_parent("enrolled@example.com", unit.to_owned());
        organization
    }

    #[test]
    fn what_is_done_is_as_the_organization_says() {
        let row = existing("enrolled@example.com", "enrolled");
        for held in [Some(done()), None] {
            match decided(&row, held.as_ref(), &in_unit("ou-a1-prod")) {
                Decision::Exists(request) => {
                    assert_eq!(request.status, Status::Succeeded);
                    assert_eq!(request.account_id, "222222222221".parse().ok());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_own_account_in_another_unit_is_moved_and_one_of_others_is_not() {
        let row = existing("enrolled@example.com", "enrolled");
        let elsewhere = in_unit("ou-a1-sand");
        let (request, over) = started(&row, Some(&done()), &elsewhere);
        assert_eq!(request.existing, Some(ExistingAccount::Change));
        assert_eq!(request.status, Status::Valid);
        assert_eq!(
            over,
            Over::Ended {
                status: Status::Succeeded,
                attempt: 1
            }
        );
        let words = refused(&row, None, &elsewhere);
        assert!(
            words.starts_with(
                "line 12, OrgUnit: account 222222222221 with this AccountEmail is in "
            ),
            "{words}"
        );
    }

    #[test]
    fn another_owner_is_a_change() {
        let mut row = existing("enrolled@example.com", "enrolled");
        row.set(Column::SsoUserLastName, "Costa");
        let (request, _) = started(&row, Some(&done()), &in_unit("ou-a1-prod"));
        assert_eq!(request.existing, Some(ExistingAccount::Change));
        // Who owns an account of others is not known.
        assert!(matches!(
            decided(&row, None, &in_unit("ou-a1-prod")),
            Decision::Exists(_)
        ));
    }

    #[test]
    fn an_account_of_control_towers_set_up_has_one_fault_only() {
        let mut organization = in_unit("ou-a1-sand");
        let shared = ("222222222221".parse().unwrap(), SharedAccount::Audit);
        let governed = organization.governed.as_mut().unwrap();
        governed.landing_zone.shared_accounts = HashMap::from([shared]);
        let row = existing("enrolled@example.com", "another-name");
        let asked = RequestedAccount::of(&row, Vec::new(), &organization, None);
        let Decision::Refused(faults) = decide(&asked, None, &organization, &file("new"), 0) else {
            panic!("not refused");
        };
        let words = in_words(row.line, &faults);
        assert_eq!(faults.len(), 1, "{words}");
        assert!(
            words.contains("the audit account of Control Tower"),
            "{words}"
        );
    }

    #[test]
    fn what_waits_and_has_nothing_left_to_do_ends_without_an_order() {
        let waiting = AccountRequest {
            status: Status::Valid,
            existing: Some(ExistingAccount::Details),
            tags: BTreeMap::from([("Team".to_owned(), "blue".to_owned())]),
            ..done()
        };
        let row = existing("enrolled@example.com", "enrolled");
        let (request, over) = started(&row, Some(&waiting), &in_unit("ou-a1-prod"));
        assert_eq!(over, Over::Waiting(Box::new(waiting)));
        assert_eq!(request.existing, Some(ExistingAccount::Details));
    }

    #[test]
    fn a_change_that_has_not_been_made_is_still_one() {
        let mut row = existing("enrolled@example.com", "enrolled");
        row.set(Column::SsoUserLastName, "Costa");
        for status in [Status::Valid, Status::Failed] {
            let earlier = AccountRequest {
                status,
                existing: Some(ExistingAccount::Change),
                provisioned_product_id: Some("pp-1".to_owned()),
                ..done()
            };
            let (request, _) = started(&row, Some(&earlier), &in_unit("ou-a1-prod"));
            assert_eq!(
                request.existing,
                Some(ExistingAccount::Change),
                "{status:?}"
            );
        }
    }

    #[test]
    fn access_that_is_missing_is_assigned() {
        let access = Access {
            principal: Principal::Group,
            group_id: "g".to_owned(),
            group_name: "blue".to_owned(),
            permission_set_arn: "s".to_owned(),
            permission_set_name: "Read".to_owned(),
        };
        let row = existing("enrolled@example.com", "enrolled");
        let mut asked = requested(&row);
        asked.access = vec![access];
        let mut organization = in_unit("ou-a1-prod");
        for held in [Some(done()), None] {
            match decide(&asked, held.as_ref(), &organization, &file("new"), 7) {
                Decision::Submit(Submission::Start { request, .. }, _) => {
                    assert_eq!(request.status, Status::Assigning);
                    assert_eq!(request.assigning_at, Some(7));
                    assert_eq!(request.account_id, "222222222221".parse().ok());
                }
                other => panic!("{other:?}"),
            }
        }
        let has = (
            "222222222221".parse().unwrap(),
            "g".to_owned(),
            "s".to_owned(),
        );
        organization.assigned.insert(has);
        assert!(matches!(
            decide(&asked, Some(&done()), &organization, &file("new"), 7),
            Decision::Exists(_)
        ));
    }

    #[test]
    fn what_is_gone_is_said_and_not_created_again() {
        let gone = AccountRequest {
            account_id: "222222222229".parse().ok(),
            ..held(Status::Succeeded)
        };
        let words = refused(&row(GOOD), Some(&gone), &organization());
        assert!(
            words.starts_with("line 12, AccountEmail: account 222222222229 of this row is not in the organization any more"),
            "{words}"
        );
    }

    #[test]
    fn a_unit_that_is_not_known_does_not_hide_where_the_account_is() {
        let mut row = existing("enrolled@example.com", "enrolled");
        row.set(Column::OrgUnit, "Lamps");
        let words = refused(&row, Some(&done()), &in_unit("ou-a1-sand"));
        assert!(
            words.contains("there is no organizational unit \"Lamps\""),
            "{words}"
        );
        assert!(
            words.contains("with this AccountEmail is in Root/"),
            "{words}"
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
        assert_eq!(over, Over::Nothing);
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
                "line 12, AccountEmail: account 222222222223 has this address and is SUSPENDED: it has to be ACTIVE (a closed account can be reopened within 90 days of its closure), or take another address",
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
        let (request, over) = started(&row, Some(&failed(None, Some("pp-1"))), &organization());
        assert_eq!(over, failed_attempt(1));
        assert!(!request.enrol, "it is enrolled");
        assert_eq!(request.account_id, account);
        // Without anything left to do, the organization answers.
        for failed in [failed(account.clone(), None), failed(None, None)] {
            let decision = decided(&row, Some(&failed), &in_unit("ou-a1-prod"));
            assert!(matches!(decision, Decision::Exists(_)), "{decision:?}");
        }
        // Its name is its own by now.
        let renamed = existing("enrolled@example.com", "other");
        let words = refused(&renamed, Some(&failed(account, None)), &organization());
        assert!(words.contains("is named \"enrolled\""), "{words}");
    }

    #[test]
    fn without_control_tower_an_existing_account_is_taken_as_it_is() {
        let mut organization = organization();
        organization.governed = None;
        let row = existing("old@example.com", "Old & grown");
        match decided(&row, None, &organization) {
            Decision::Exists(request) => {
                assert_eq!(request.account_id, "222222222222".parse().ok());
            }
            other => panic!("{other:?}"),
        }
        // What an earlier attempt could not move is moved.
        organization.set_parent("old@example.com", "r-a1".to_owned());
        let own = AccountRequest {
            account_email: "old@example.com".to_owned(),
            account_id: "222222222222".parse().ok(),
            ..held(Status::Failed)
        };
        let (request, _) = started(&row, Some(&own), &organization);
        assert!(!request.enrol);
        assert_eq!(request.existing, Some(ExistingAccount::Change));
        assert_eq!(request.account_id, own.account_id);
        assert!(refused(&row, None, &organization).contains("is in Root (r-a1)"));
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
