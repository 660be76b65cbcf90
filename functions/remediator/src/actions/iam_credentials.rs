//! IAM.3: no old access key. IAM.8, IAM.22: no credential that nobody uses.
//!
//! Access keys are made inactive, never deleted. A password is deleted only if the playbook says so: nobody can give it
//! back.

use std::{cell::RefCell, collections::BTreeMap};

use aws_sdk_iam::types::StatusType;
use aws_smithy_types::DateTime;
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    aws_error::{AwsErrorClass, Service},
    remediation::order::Order,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client, parameters,
    refusal::{CallFailed, failed},
    row,
};

/// The action of this file.
pub(super) const ROWS: &[Row] = &[row!("iam-user-credentials", Credentials,
reads: [
    "iam:GetAccessKeyLastUsed" on "{resource}",
    "iam:GetLoginProfile" on "{resource}",
    "iam:GetUser" on "{resource}",
    "iam:ListAccessKeys" on "{resource}",
],
writes: [
    "iam:DeleteLoginProfile" on "{resource}",
    "iam:UpdateAccessKey" on "{resource}",
],
undo: ["iam:UpdateAccessKey" on "{resource}"])];

/// IAM.3, IAM.8, IAM.22.
struct Credentials;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsState {
    access_keys: Vec<AccessKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Credential>,
    /// When it was read.
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AccessKey {
    #[serde(rename = "AccessKeyId")]
    id: String,
    status: String,
    #[serde(flatten)]
    credential: Credential,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credential {
    create_date: Timestamp,
    /// What was never used has no date.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_date: Option<Timestamp>,
}

impl AccessKey {
    fn is_active(&self) -> bool {
        self.status == StatusType::Active.as_str()
    }
}

/// When access keys and the password were last used, by id; the password has none. An order does not change it, so that it is
/// read once.
#[derive(Default)]
struct LastUses(RefCell<BTreeMap<Option<String>, Option<Timestamp>>>);

/// What a control calls too old.
#[derive(Clone, Copy)]
enum TooOld {
    /// Access keys that were created longer ago.
    Created(SignedDuration),
    /// Credentials that were used longer ago.
    Used(SignedDuration),
}

impl TooOld {
    /// What the order's control says.
    fn of(order: &Order) -> Result<Self, String> {
        let (name, given, default) = match order.control.as_str() {
            "IAM.3" => (
                "maxAccessKeyAge",
                parameters::text(order, "maxAccessKeyAge"),
                90,
            ),
            id => (
                "maxCredentialUsageAge",
                parameters::text(order, "maxCredentialUsageAge"),
                if id == "IAM.22" { 45 } else { 90 },
            ),
        };
        let days: u16 = given
            .map_or(Ok(default), str::parse)
            .map_err(|_| format!("the parameter {name} is no number of days"))?;
        let time = SignedDuration::from_hours(i64::from(days) * 24);
        Ok(match order.control.as_str() {
            "IAM.3" => Self::Created(time),
            _ => Self::Used(time),
        })
    }

    fn is(self, credential: Credential, now: Timestamp) -> bool {
        let (since, most) = match self {
            Self::Created(most) => (credential.create_date, most),
            Self::Used(most) => (
                credential.last_used_date.unwrap_or(credential.create_date),
                most,
            ),
        };
        now.duration_since(since) > most
    }
}

impl Action for Credentials {
    type State = CredentialsState;

    async fn read(&self, member: &Member, order: &Order) -> Result<CredentialsState, CallFailed> {
        let client = member_client!(aws_sdk_iam, member);
        let name = member.target.leaf();
        let last_uses = member.once(async || Ok(LastUses::default())).await?;
        let known = |id: &Option<String>| last_uses.0.borrow().get(id).copied();
        let mut access_keys = Vec::new();
        let mut keys = client
            .list_access_keys()
            .user_name(name)
            .into_paginator()
            .items()
            .send();
        while let Some(key) = keys.next().await {
            let key = key.map_err(failed(Service::Iam, "ListAccessKeys"))?;
            let id = key.access_key_id.clone();
            let last_used_date = if let Some(date) = known(&id) {
                date
            } else {
                let answer = client
                    .get_access_key_last_used()
                    .set_access_key_id(id.clone())
                    .send()
                    .await
                    .map_err(failed(Service::Iam, "GetAccessKeyLastUsed"))?;
                let date = answer.access_key_last_used.and_then(|it| it.last_used_date);
                date.and_then(timestamp)
            };
            last_uses.0.borrow_mut().insert(id.clone(), last_used_date);
            access_keys.push(AccessKey {
                id: id.unwrap_or_default(),
                status: key
                    .status
                    .map(|it| it.as_str().to_owned())
                    .unwrap_or_default(),
                credential: Credential {
                    // Without a date it is not old.
                    create_date: key.create_date.and_then(timestamp).unwrap_or(member.now),
                    last_used_date,
                },
            });
        }
        access_keys.sort_by(|one, other| one.id.cmp(&other.id));
        let password = match order.control.as_str() {
            "IAM.3" => None,
            _ => password(member, &last_uses).await?,
        };
        Ok(CredentialsState {
            access_keys,
            password,
            now: member.now,
        })
    }

    fn plan(&self, state: &CredentialsState, order: &Order) -> Plan<CredentialsState> {
        let too_old = match TooOld::of(order) {
            Ok(too_old) => too_old,
            Err(reason) => return Plan::Blocked(reason),
        };
        let mut after = state.clone();
        for key in &mut after.access_keys {
            if key.is_active() && too_old.is(key.credential, state.now) {
                StatusType::Inactive.as_str().clone_into(&mut key.status);
            }
        }
        let unused = after.password.filter(|it| too_old.is(*it, state.now));
        let delete = parameters::flag(order, "delete_password") == Some(true);
        if unused.is_some() && delete {
            after.password = None;
        }
        if after != *state {
            return Plan::Change(after);
        }
        match unused {
            None => Plan::Compliant,
            Some(_) => Plan::Blocked(
                "nobody has used the user's password for so long, and nobody could give it back: delete it by hand (aws \
                 iam delete-login-profile), or let orgkeeper do it by the parameter delete_password"
                    .to_owned(),
            ),
        }
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &CredentialsState,
        after: &CredentialsState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_iam, member);
        let user = member.target.leaf();
        for key in &after.access_keys {
            let was = before.access_keys.iter().find(|it| it.id == key.id);
            if was.is_some_and(|was| was.status != key.status) {
                client
                    .update_access_key()
                    .user_name(user)
                    .access_key_id(&key.id)
                    .status(StatusType::from(key.status.as_str()))
                    .send()
                    .await
                    .map_err(failed(Service::Iam, "UpdateAccessKey"))?;
            }
        }
        if before.password.is_some() && after.password.is_none() {
            client
                .delete_login_profile()
                .user_name(user)
                .send()
                .await
                .map_err(failed(Service::Iam, "DeleteLoginProfile"))?;
        }
        Ok(())
    }

    fn comparable(&self, mut state: Value) -> Value {
        // A key that was left active is used, and that changes nothing of it.
        let keys = state
            .pointer_mut("/AccessKeys")
            .and_then(Value::as_array_mut);
        let keys = keys.into_iter().flatten().filter_map(Value::as_object_mut);
        for key in keys {
            key.remove("LastUsedDate");
        }
        if let Some(password) = state
            .pointer_mut("/Password")
            .and_then(Value::as_object_mut)
        {
            password.remove("LastUsedDate");
        }
        state
    }

    fn undoable(&self, now: &CredentialsState, before: &CredentialsState) -> Result<(), String> {
        let of_now = |key: &AccessKey| {
            let mut keys = now.access_keys.iter();
            keys.any(|it| it.id == key.id)
        };
        if before.password.is_some() && now.password.is_none() {
            return Err(
                "a password that was deleted cannot be given back: create a new one (aws iam create-login-profile), and \
                 activate the keys that the record names (aws iam update-access-key --status Active)"
                    .to_owned(),
            );
        }
        if before.access_keys.iter().all(of_now) {
            Ok(())
        } else {
            Err("an access key was deleted meanwhile: create a new one".to_owned())
        }
    }
}

/// The password of the order's user, if there is one.
async fn password(member: &Member, last_uses: &LastUses) -> Result<Option<Credential>, CallFailed> {
    let client = member_client!(aws_sdk_iam, member);
    let name = member.target.leaf();
    let answer = client
        .get_login_profile()
        .user_name(name)
        .send()
        .await
        .map_err(failed(Service::Iam, "GetLoginProfile"));
    let profile = match answer {
        Ok(answer) => answer.login_profile,
        Err(error) if error.class() == AwsErrorClass::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let Some(profile) = profile else {
        return Ok(None);
    };
    let known = last_uses.0.borrow().get(&None).copied();
    let last_used_date = if let Some(date) = known {
        date
    } else {
        let answer = client
            .get_user()
            .user_name(name)
            .send()
            .await
            .map_err(failed(Service::Iam, "GetUser"))?;
        let date = answer.user.and_then(|user| user.password_last_used);
        date.and_then(timestamp)
    };
    last_uses.0.borrow_mut().insert(None, last_used_date);
    Ok(Some(Credential {
        create_date: timestamp(profile.create_date).unwrap_or(member.now),
        last_used_date,
    }))
}

fn timestamp(time: DateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests::order;

    const USER: &str = "arn:aws:iam::111122223333:user/staff/ada";

    fn days_ago(days: i64) -> Timestamp {
        now() - SignedDuration::from_hours(days * 24)
    }

    fn now() -> Timestamp {
        "2026-11-27T12:00:00Z".parse().unwrap()
    }

    fn credential(created: i64, used: Option<i64>) -> Credential {
        Credential {
            create_date: days_ago(created),
            last_used_date: used.map(days_ago),
        }
    }

    fn key(id: &str, status: &str, created: i64, used: Option<i64>) -> AccessKey {
        AccessKey {
            id: id.to_owned(),
            status: status.to_owned(),
            credential: credential(created, used),
        }
    }

    fn state(keys: &[AccessKey], password: Option<Credential>) -> CredentialsState {
        CredentialsState {
            access_keys: keys.to_vec(),
            password,
            now: now(),
        }
    }

    #[test]
    fn old_and_unused_keys_become_inactive() {
        let keys = [
            key("AKIA1", "Active", 400, Some(1)),
            key("AKIA2", "Active", 60, None),
            key("AKIA3", "Active", 89, Some(44)),
            key("AKIA4", "Inactive", 400, None),
        ];
        for (control, parameters, expected) in [
            ("IAM.3", &[][..], "AKIA1"),
            ("IAM.8", &[], ""),
            ("IAM.22", &[], "AKIA2"),
            ("IAM.3", &[("maxAccessKeyAge", "60")], "AKIA1 AKIA3"),
            ("IAM.8", &[("maxCredentialUsageAge", "43")], "AKIA2 AKIA3"),
        ] {
            let planned = Credentials.plan(&state(&keys, None), &order(control, USER, parameters));
            let changed = match &planned {
                Plan::Change(after) => after.access_keys.as_slice(),
                Plan::Compliant => &keys,
                other => panic!("{other:?}"),
            };
            let changed: Vec<&str> = changed
                .iter()
                .zip(&keys)
                .filter(|(after, before)| after != before)
                .map(|(after, _)| {
                    assert_eq!(after.status, "Inactive");
                    after.id.as_str()
                })
                .collect();
            assert_eq!(changed.join(" "), expected, "{control} {parameters:?}");
        }
    }

    #[test]
    fn a_parameter_that_is_no_number_changes_nothing() {
        let old = state(&[key("AKIA1", "Active", 400, None)], None);
        for bad in ["-1", "soon", "1e3", "99999999"] {
            for (control, name) in [
                ("IAM.3", "maxAccessKeyAge"),
                ("IAM.22", "maxCredentialUsageAge"),
            ] {
                let planned = Credentials.plan(&old, &order(control, USER, &[(name, bad)]));
                assert!(matches!(planned, Plan::Blocked(reason) if reason.contains(name)));
            }
        }
    }

    #[test]
    fn a_password_goes_only_if_the_playbook_says_so() {
        let unused = Some(credential(300, Some(50)));
        let alone = state(&[], unused);
        let plan = |state: &CredentialsState, parameters: &[(&str, &str)]| {
            Credentials.plan(state, &order("IAM.22", USER, parameters))
        };
        assert!(matches!(plan(&alone, &[]), Plan::Blocked(_)));
        let delete = [("delete_password", "true")];
        assert_eq!(plan(&alone, &delete), Plan::Change(state(&[], None)));
        assert_eq!(
            plan(&state(&[], Some(credential(300, Some(40)))), &delete),
            Plan::Compliant
        );
        // The keys are made inactive all the same.
        let keys = [key("AKIA1", "Active", 400, None)];
        let after = state(&[key("AKIA1", "Inactive", 400, None)], unused);
        assert_eq!(plan(&state(&keys, unused), &[]), Plan::Change(after));
        assert!(Credentials.undoable(&state(&[], None), &alone).is_err());
        assert!(
            Credentials
                .undoable(&state(&keys, unused), &state(&keys, unused))
                .is_ok()
        );
    }
}
