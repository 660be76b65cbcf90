//! An account request and its status.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::file::FileId;
use crate::{ids::AccountId, principal::Principal};

/// The status of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Accepted; waits for a slot.
    Valid,
    /// Its account is being created.
    Provisioning,
    /// Its account exists; access is being assigned.
    Assigning,
    /// Everything is done.
    Succeeded,
    /// It failed for the reason in `ErrorMsg`.
    Failed,
}

impl Status {
    /// As the table and the results write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::Provisioning => "PROVISIONING",
            Self::Assigning => "ASSIGNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }

    /// Whether nothing more happens to a request with this status.
    #[must_use]
    pub fn ended(self) -> bool {
        match self {
            Self::Valid | Self::Provisioning | Self::Assigning => false,
            Self::Succeeded | Self::Failed => true,
        }
    }
}

/// What a request that has succeeded says in `ErrorMsg` once the account is as its baseline says.
pub const READY: &str = "ready";

/// A group or user of IAM Identity Center and the permission set that it gets on an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Access {
    /// What `group_id` and `group_name` are about.
    #[serde(default, skip_serializing_if = "Principal::is_group")]
    pub principal: Principal,
    /// The group's or the user's id in the identity store.
    pub group_id: String,
    /// The group's or the user's name.
    pub group_name: String,
    /// The permission set's ARN.
    pub permission_set_arn: String,
    /// The permission set's name.
    pub permission_set_name: String,
}

/// What is to be done about an account that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ExistingAccount {
    /// Its organizational unit or its owner changes, then what follows.
    Change,
    /// It gets its tags, its contacts and its access.
    Details,
}

impl ExistingAccount {
    /// As the table writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Change => "CHANGE",
            Self::Details => "DETAILS",
        }
    }
}

/// What an alternate contact is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContactKind {
    /// Invoices.
    Billing,
    /// The operation of the account.
    Operations,
    /// Security.
    Security,
}

impl ContactKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Security, Self::Billing, Self::Operations];
}

/// An alternate contact of an account (`PutAlternateContact` wants all four).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Contact {
    /// The name of a person or a team.
    pub name: String,
    /// What this person or team is.
    pub title: String,
    /// The e-mail address.
    pub email: String,
    /// The telephone number.
    pub phone: String,
}

/// An organizational unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Unit {
    /// Its id, `ou-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The names from the root down, `Root/Workloads/Prod`.
    pub path: String,
}

impl Unit {
    /// As Account Factory wants it: `Prod (ou-a1b2-cdefgh34)`.
    #[must_use]
    pub fn as_managed(&self) -> String {
        format!("{} ({})", self.name, self.id)
    }

    /// The unit with another name, in the same place.
    #[must_use]
    pub fn renamed(&self, name: &str) -> Self {
        let above = self.path.strip_suffix(&self.name).unwrap_or_default();
        Self {
            id: self.id.clone(),
            name: name.to_owned(),
            path: format!("{above}{name}"),
        }
    }
}

/// A requested account: an item of the `Accounts` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountRequest {
    /// The account's e-mail address in lower case: the table's key.
    pub account_email: String,
    /// The account's name.
    pub account_name: String,
    /// The e-mail address of the user who owns the account.
    #[serde(rename = "SSOUserEmail")]
    pub sso_user_email: String,
    /// That user's first name.
    #[serde(rename = "SSOUserFirstName")]
    pub sso_user_first_name: String,
    /// That user's last name.
    #[serde(rename = "SSOUserLastName")]
    pub sso_user_last_name: String,
    /// The organizational unit as the file names it.
    pub org_unit: String,
    /// Its status.
    pub status: Status,
    /// The account's id, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,
    /// Why the request failed; [`READY`] of one that succeeded and whose account has its baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_msg: Option<String>,
    /// The organizational unit that `org_unit` means.
    pub unit: Unit,
    /// Who gets access to the account.
    #[serde(default)]
    pub access: Vec<Access>,
    /// The tags that the account gets, values by keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The alternate contacts that the account gets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contacts: BTreeMap<ContactKind, Contact>,
    /// Whether the account is in the organization already and is only enrolled.
    #[serde(default)]
    pub enrol: bool,
    /// Counts the times that the request was sent: a corrected row is another attempt.
    pub attempt: u32,
    /// From when on the request can get a slot, in milliseconds since 1970.
    pub queued_at: i64,
    /// How often the request had a slot and was put back.
    #[serde(default)]
    pub put_back: u32,
    /// When it got its slot, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    /// AWS's id of the operation: of a record of Service Catalog, or of a request of `CreateAccount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// The provisioned product of Account Factory; an earlier attempt's until this one has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned_product_id: Option<String>,
    /// When the attempt was asked for, in milliseconds since 1970; 0 in requests of an earlier version.
    #[serde(default)]
    pub requested_at: i64,
    /// Since when access is assigned, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigning_at: Option<i64>,
    /// When the schedule sent its assignments again, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assign_sent_at: Option<i64>,
    /// How often its assignments were sent again: messages of an earlier time have nothing to do any more.
    #[serde(default)]
    pub assign_chain: u32,
    /// What is to be done about an account that exists and is enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<ExistingAccount>,
    /// Whether it failed because the row was taken back.
    #[serde(default)]
    pub withdrawn: bool,
    /// What the request waits for, where that is more than its turn; of its last attempt to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// The files that wait for it, as [`FileId`]s.
    #[serde(
        default,
        serialize_with = "serde_dynamo::string_set::serialize",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub files: BTreeSet<String>,
}

impl AccountRequest {
    /// Whether both ask for the same, whatever their status.
    #[must_use]
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        let asked_for = |it: &Self| {
            (
                it.account_email.clone(),
                it.account_name.clone(),
                it.sso_user_email.clone(),
                it.sso_user_first_name.clone(),
                it.sso_user_last_name.clone(),
                it.unit.id.clone(),
                it.access.iter().cloned().collect::<BTreeSet<_>>(),
                it.tags.clone(),
                it.contacts.clone(),
            )
        };
        asked_for(self) == asked_for(other)
    }

    /// Whether its account is as its baseline says.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status == Status::Succeeded && self.error_msg.as_deref() == Some(READY)
    }

    /// The versions of the file with this key that wait for it.
    #[must_use]
    pub fn versions_of(&self, key: &str) -> Vec<FileId> {
        self.files
            .iter()
            .filter_map(|file| file.parse().ok())
            .filter(|file: &FileId| file.key == key)
            .collect()
    }

    /// The name of this attempt: no other request has it, not even after the table lost this one.
    #[must_use]
    pub fn attempt_id(&self) -> String {
        format!(
            "{}#{}#{}",
            self.account_email, self.attempt, self.requested_at
        )
    }

    /// Whether `file` waits for it.
    #[must_use]
    pub fn is_of(&self, file: &FileId) -> bool {
        self.files.contains(&file.to_string())
    }

    /// The idempotency token of the order: AWS does its work once, however often it is asked.
    ///
    /// An order whose answer was lost has the token that it had. One that AWS has answered by an error, or that
    /// begins anew after the table lost its item, has another: to the same token AWS would repeat its old answer.
    ///
    /// 64 hexadecimal digits (Service Catalog takes up to 128 of `[a-zA-Z0-9_-]`).
    #[must_use]
    pub fn token(&self) -> String {
        let of_order = if self.requested_at == 0 {
            // As an earlier version derived it: it may have given the order.
            format!("{}#{}", self.account_email, self.attempt)
        } else {
            format!("{}#{}", self.attempt_id(), self.put_back)
        };
        hex::encode(Sha256::digest(of_order))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request that was just accepted.
    pub(crate) fn request() -> AccountRequest {
        AccountRequest {
            account_email: "aws+payments@example.com".to_owned(),
            account_name: "payments".to_owned(),
            sso_user_email: "ana@example.com".to_owned(),
            sso_user_first_name: "Ana".to_owned(),
            sso_user_last_name: "Silva".to_owned(),
            org_unit: "Prod".to_owned(),
            status: Status::Valid,
            account_id: None,
            error_msg: None,
            unit: Unit {
                id: "ou-a1b2-cdefgh34".to_owned(),
                name: "Prod".to_owned(),
                path: "Root/Workloads/Prod".to_owned(),
            },
            access: Vec::new(),
            tags: BTreeMap::new(),
            contacts: BTreeMap::new(),
            enrol: false,
            attempt: 1,
            queued_at: 1_000,
            put_back: 0,
            started_at: None,
            operation_id: None,
            provisioned_product_id: None,
            requested_at: 1_000,
            assigning_at: None,
            assign_sent_at: None,
            assign_chain: 0,
            existing: None,
            withdrawn: false,
            waits_for: None,
            files: BTreeSet::from(["v1#accounts.csv".to_owned()]),
        }
    }

    #[test]
    fn the_item_has_the_columns_of_the_file() {
        let item: std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue> =
            serde_dynamo::to_item(request()).unwrap();
        for column in [
            "AccountName",
            "SSOUserEmail",
            "AccountEmail",
            "SSOUserFirstName",
            "SSOUserLastName",
            "OrgUnit",
            "Status",
        ] {
            assert!(item[column].is_s(), "{column}");
        }
        assert!(item["Files"].is_ss());
        assert_eq!(item["Status"].as_s().unwrap(), Status::Valid.as_str());
        let again: AccountRequest = serde_dynamo::from_item(item).unwrap();
        assert_eq!(again, request());
    }

    #[test]
    fn tags_contacts_and_users_are_kept_and_need_not_be_there() {
        let mut full = request();
        full.tags = BTreeMap::from([("Team".to_owned(), "blue".to_owned())]);
        full.contacts = BTreeMap::from([(ContactKind::Security, Contact::default())]);
        full.access = vec![Access {
            principal: Principal::User,
            group_id: "u-1".to_owned(),
            group_name: "ana".to_owned(),
            permission_set_arn: "arn".to_owned(),
            permission_set_name: "Read".to_owned(),
        }];
        let item: std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue> =
            serde_dynamo::to_item(full.clone()).unwrap();
        let contacts = item["Contacts"].as_m().unwrap();
        assert!(contacts["SECURITY"].as_m().unwrap().contains_key("Email"));
        let again: AccountRequest = serde_dynamo::from_item(item).unwrap();
        assert_eq!(again, full);
        assert!(!full.asks_the_same_as(&request()));
        // An item of the version before.
        let group = serde_json::json!({ "GroupId": "g", "GroupName": "blue",
            "PermissionSetArn": "arn", "PermissionSetName": "Read" });
        let access: Access = serde_json::from_value(group.clone()).unwrap();
        assert_eq!(access.principal, Principal::Group);
        assert_eq!(serde_json::to_value(access).unwrap(), group);
    }

    #[test]
    fn what_is_to_be_done_is_written_as_it_is_named() {
        for existing in [ExistingAccount::Change, ExistingAccount::Details] {
            let written = serde_json::to_value(existing).unwrap();
            assert_eq!(written, serde_json::json!(existing.as_str()));
        }
    }

    #[test]
    fn every_status_is_written_as_it_is_named() {
        for status in [
            Status::Valid,
            Status::Provisioning,
            Status::Assigning,
            Status::Succeeded,
            Status::Failed,
        ] {
            assert_eq!(
                serde_json::to_value(status).unwrap(),
                serde_json::json!(status.as_str())
            );
        }
    }

    #[test]
    fn an_attempt_has_one_token() {
        let first = request();
        let mut second = request();
        assert_eq!(first.token(), second.token());
        second.attempt = 2;
        assert_ne!(first.token(), second.token());
        assert_eq!(first.token().len(), 64);
        let mut after_a_loss = request();
        after_a_loss.requested_at = 2_000;
        let mut after_a_refusal = request();
        after_a_refusal.put_back = 1;
        for other in [after_a_loss, after_a_refusal] {
            assert_ne!(first.token(), other.token());
        }
    }

    #[test]
    fn the_status_is_no_part_of_what_is_asked_for() {
        let mut later = request();
        later.status = Status::Failed;
        later.org_unit = "Workloads/Prod".to_owned();
        assert!(request().asks_the_same_as(&later));
        later.account_name = "billing".to_owned();
        assert!(!request().asks_the_same_as(&later));
    }
}
