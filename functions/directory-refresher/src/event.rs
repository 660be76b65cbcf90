//! The tasks that follow from a change to the organization.
//!
//! The events are CloudTrail's, from the default bus of the management account or forwarded from
//! there. One that changes nothing here gives no task; none is an error.

use orgkeeper_shared::account_directory::{
    organizations::OuId,
    task::{Part, Task},
};
use serde_json::Value;

/// What an event is about.
enum Subject {
    /// An account, whose id is at the first of these places; only this part of it.
    Account(&'static [&'static str], Option<Part>),
    /// An account as above, or else all of them: the place is not documented.
    AccountOrAll(&'static [&'static str]),
    /// An organizational unit, whose id is at this place.
    Unit(&'static str),
}
use Subject::{Account as OneAccount, AccountOrAll, Unit};

const ORGANIZATIONS: &str = "organizations.amazonaws.com";
const ACCOUNT: &str = "account.amazonaws.com";

/// Where Account Management names the account: it is absent if an account called about itself.
const OF_ACCOUNT_MANAGEMENT: &[&str] = &[
    "/requestParameters/accountId",
    "/recipientAccountId",
    "/userIdentity/accountId",
];
const JOINED_OR_LEFT: &[&str] = &[
    "/serviceEventDetails/accountId",
    "/serviceEventDetails/account/accountId",
    "/requestParameters/accountId",
    "/responseElements/accountId",
];

/// Event source and name, and what such an event is about.
const EVENTS: &[(&str, &str, Subject)] = &[
    (
        ORGANIZATIONS,
        "CreateAccountResult",
        OneAccount(
            &["/serviceEventDetails/createAccountStatus/accountId"],
            None,
        ),
    ),
    (
        ORGANIZATIONS,
        "CloseAccountResult",
        OneAccount(&["/serviceEventDetails/closeAccountStatus/accountId"], None),
    ),
    (
        ORGANIZATIONS,
        "MoveAccount",
        OneAccount(&["/requestParameters/accountId"], Some(Part::Placement)),
    ),
    (
        ORGANIZATIONS,
        "RemoveAccountFromOrganization",
        OneAccount(&["/requestParameters/accountId"], Some(Part::Placement)),
    ),
    (
        ORGANIZATIONS,
        "LeaveOrganization",
        OneAccount(&["/userIdentity/accountId"], Some(Part::Placement)),
    ),
    (
        ORGANIZATIONS,
        "AcceptHandshake",
        OneAccount(&["/userIdentity/accountId"], None),
    ),
    (
        ORGANIZATIONS,
        "AccountJoinedOrganization",
        AccountOrAll(JOINED_OR_LEFT),
    ),
    (
        ORGANIZATIONS,
        "AccountDepartedOrganization",
        AccountOrAll(JOINED_OR_LEFT),
    ),
    (
        ORGANIZATIONS,
        "TagResource",
        OneAccount(&["/requestParameters/resourceId"], Some(Part::Tags)),
    ),
    (
        ORGANIZATIONS,
        "UntagResource",
        OneAccount(&["/requestParameters/resourceId"], Some(Part::Tags)),
    ),
    (
        ORGANIZATIONS,
        "UpdateOrganizationalUnit",
        Unit("/requestParameters/organizationalUnitId"),
    ),
    (
        ACCOUNT,
        "PutAccountName",
        OneAccount(OF_ACCOUNT_MANAGEMENT, Some(Part::Placement)),
    ),
    (
        ACCOUNT,
        "PutAlternateContact",
        OneAccount(OF_ACCOUNT_MANAGEMENT, Some(Part::Contact)),
    ),
    (
        ACCOUNT,
        "DeleteAlternateContact",
        OneAccount(OF_ACCOUNT_MANAGEMENT, Some(Part::Contact)),
    ),
    (
        ACCOUNT,
        "PutContactInformation",
        OneAccount(OF_ACCOUNT_MANAGEMENT, Some(Part::Contact)),
    ),
];

/// The tasks that follow from an event's `detail` (a CloudTrail record).
#[must_use]
pub fn tasks(detail: &Value) -> Vec<Task> {
    // A call that was denied changed nothing.
    if !detail["errorCode"].is_null() {
        return Vec::new();
    }
    let text = |place: &str| detail.pointer(place).and_then(Value::as_str);
    let subject = EVENTS.iter().find(|(source, name, _)| {
        text("/eventSource") == Some(source) && text("/eventName") == Some(name)
    });
    let account = |places: &[&str]| {
        places
            .iter()
            .find_map(|place| text(place))
            .and_then(|id| id.parse().ok())
    };
    match subject {
        // A tag can also be an organizational unit's or a policy's.
        Some((_, _, OneAccount(places, only))) => account(places)
            .map(|id| Task::refresh(id, *only))
            .into_iter()
            .collect(),
        Some((_, _, AccountOrAll(places))) => {
            vec![account(places).map_or_else(Task::refresh_all, |id| Task::refresh(id, None))]
        }
        Some((_, _, Unit(place))) => text(place)
            .map(|unit| Task::RenameUnit {
                unit: OuId(unit.to_owned()),
            })
            .into_iter()
            .collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "111122223333";

    fn one(only: Option<Part>) -> Vec<Task> {
        vec![Task::refresh(ID.parse().unwrap(), only)]
    }

    fn organizations(name: &str, more: &Value) -> Vec<Task> {
        let mut detail = json!({ "eventSource": ORGANIZATIONS, "eventName": name });
        for (key, value) in more.as_object().unwrap() {
            detail[key] = value.clone();
        }
        tasks(&detail)
    }

    #[test]
    fn the_sample_events_are_understood() {
        let detail = |text: &str| serde_json::from_str::<Value>(text).unwrap()["detail"].clone();
        assert_eq!(
            tasks(&detail(include_str!(
                "../../../events/directory-refresher/move-account.json"
            ))),
            one(Some(Part::Placement))
        );
        assert_eq!(
            tasks(&detail(include_str!(
                "../../../events/directory-refresher/create-account-result.json"
            ))),
            one(None)
        );
        assert_eq!(
            tasks(&detail(include_str!(
                "../../../events/directory-refresher/put-alternate-contact.json"
            ))),
            one(Some(Part::Contact))
        );
    }

    #[test]
    fn a_tag_counts_if_it_is_an_accounts() {
        let tagged = |id: &str| {
            organizations(
                "TagResource",
                &json!({ "requestParameters": { "resourceId": id } }),
            )
        };
        assert_eq!(tagged(ID), one(Some(Part::Tags)));
        assert_eq!(tagged("ou-ab12-cdefgh34"), []);
    }

    #[test]
    fn a_renamed_unit_is_named_by_its_id() {
        let renamed = organizations(
            "UpdateOrganizationalUnit",
            &json!({ "requestParameters": { "organizationalUnitId": "ou-ab12-cdefgh34", "name": "New" } }),
        );
        assert_eq!(
            renamed,
            [Task::RenameUnit {
                unit: OuId("ou-ab12-cdefgh34".into())
            }]
        );
    }

    #[test]
    fn an_account_that_names_itself_by_nothing() {
        let detail = json!({ "eventSource": ACCOUNT, "eventName": "DeleteAlternateContact",
            "requestParameters": { "alternateContactType": "SECURITY" }, "recipientAccountId": ID });
        assert_eq!(tasks(&detail), one(Some(Part::Contact)));
    }

    #[test]
    fn what_changes_nothing_gives_no_task() {
        for (name, more) in [
            (
                "CreateAccountResult",
                json!({ "serviceEventDetails":
                { "createAccountStatus": { "state": "FAILED", "failureReason": "EMAIL_ALREADY_EXISTS" } } }),
            ),
            (
                "MoveAccount",
                json!({ "errorCode": "AccessDenied",
                "requestParameters": { "accountId": ID } }),
            ),
            ("MoveAccount", json!({ "requestParameters": null })),
            ("SomethingNew", json!({})),
        ] {
            assert_eq!(organizations(name, &more), [], "{name} {more}");
        }
    }

    #[test]
    fn an_account_that_joined_is_read_or_else_all_are() {
        let joined = |more: Value| organizations("AccountJoinedOrganization", &more);
        assert_eq!(
            joined(json!({ "serviceEventDetails": { "accountId": ID } })),
            one(None)
        );
        assert_eq!(
            joined(json!({ "serviceEventDetails": { "joinedMethod": "Invited" } })),
            [Task::refresh_all()]
        );
    }
}
