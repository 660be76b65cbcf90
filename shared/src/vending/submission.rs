//! What a file asks the table for, and takes back.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{CancellationReason, TransactWriteItem};

use super::{
    expression::{Expression, failed, number, set, set_of, text},
    file::FileId,
    ledger::{Ledger, Outcome, account_key, file_key, name_key, no_item, state_key},
    request::{AccountRequest, Status},
};
use crate::{aws_error::AwsCallError, items::Item};

/// Actions that one `TransactWriteItems` takes (its API reference).
const ACTIONS_PER_TRANSACTION: usize = 100;
/// Files that can wait for one request: ending it changes each in one transaction.
const FILES_PER_REQUEST: usize = 90;

/// What a file asks the table for.
#[derive(Debug)]
pub enum Submission {
    /// A request that is to be started.
    Start {
        /// The request.
        request: Box<AccountRequest>,
        /// What it replaces.
        over: Over,
    },
    /// A request that is in progress already: the file waits for it too.
    Follow {
        /// Its key.
        account_email: String,
        /// Its attempt.
        attempt: u32,
    },
}

/// What a submitted request replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// Nothing: the table does not know the account.
    Nothing,
    /// An attempt that has ended.
    Ended {
        /// How it ended.
        status: Status,
        /// Its number.
        attempt: u32,
    },
    /// An attempt that has not begun: nobody waits for it any more.
    Waiting(Box<AccountRequest>),
}

/// Why a submission was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another request in progress has the same name: its key.
    NameTaken(String),
    /// The request has changed since it was read.
    Changed,
}

/// What a submission does in a transaction.
#[derive(Debug, Default)]
struct Planned {
    actions: Vec<TransactWriteItem>,
    /// The items of `VendingState` that the actions change.
    state_keys: Vec<String>,
    /// Files that wait for one request less.
    left: Vec<FileId>,
}

impl Ledger {
    /// What [`Self::submit`] calls beside what it shares with others, on `Accounts`.
    pub const SUBMIT: &[&str] = &["dynamodb:PutItem"];

    /// Stores what a file asks for and counts it as open; gives the index of each submission that was not
    /// accepted, and why.
    ///
    /// # Errors
    /// If a call fails. What was stored before stays: the same file again finds it.
    pub async fn submit(
        &self,
        file: &FileId,
        submissions: &[Submission],
    ) -> Result<Vec<(usize, Refusal)>, AwsCallError> {
        let mut refused = Vec::new();
        let mut rest: Vec<usize> = (0..submissions.len()).rev().collect();
        while !rest.is_empty() {
            let mut batch: Vec<(usize, Planned)> = Vec::new();
            let mut keys: BTreeSet<String> = BTreeSet::new();
            // The last actions count the open requests of this file, and of those that are left.
            let mut room = ACTIONS_PER_TRANSACTION - 1;
            while let Some(place) = rest.pop() {
                let planned = self.planned(file, &submissions[place])?;
                let left = planned.left.iter().map(file_key);
                let new: Vec<String> = left.filter(|key| !keys.contains(key)).collect();
                let needed = planned.actions.len() + new.len();
                // A transaction changes no item twice.
                if needed > room || planned.state_keys.iter().any(|key| keys.contains(key)) {
                    rest.push(place);
                    break;
                }
                room -= needed;
                keys.extend(new);
                keys.extend(planned.state_keys.iter().cloned());
                batch.push((place, planned));
            }
            // A refused submission is left out, and the others are tried again.
            while !batch.is_empty() {
                let own = batch.iter().flat_map(|(_, planned)| &planned.actions);
                let mut actions: Vec<_> = own.cloned().collect();
                let more = i64::try_from(batch.len()).unwrap_or(i64::MAX);
                let mut counts = BTreeMap::from([(file, more)]);
                for left in batch.iter().flat_map(|(_, planned)| &planned.left) {
                    *counts.entry(left).or_default() -= 1;
                }
                let counts = counts.into_iter().filter(|(_, by)| *by != 0);
                actions.extend(counts.map(|(file, by)| self.count_open(file, by)));
                let Some(reasons) = self.transact(actions).await? else {
                    break;
                };
                let mut reasons = reasons.into_iter();
                let before = batch.len();
                batch.retain(|(place, planned)| {
                    let own: Vec<_> = reasons.by_ref().take(planned.actions.len()).collect();
                    let refusal = refusal(&own);
                    refused.extend(refusal.clone().map(|why| (*place, why)));
                    refusal.is_none()
                });
                if batch.len() == before {
                    return Err(AwsCallError::overtaken("TransactWriteItems"));
                }
            }
        }
        Ok(refused)
    }

    fn planned(&self, file: &FileId, submission: &Submission) -> Result<Planned, AwsCallError> {
        match submission {
            Submission::Start { request, over } => self.start(request, over),
            Submission::Follow {
                account_email,
                attempt,
            } => Ok(Planned {
                actions: vec![self.follow(file, account_email, *attempt)],
                ..Planned::default()
            }),
        }
    }

    fn start(&self, request: &AccountRequest, over: &Over) -> Result<Planned, AwsCallError> {
        let item: Item = serde_dynamo::to_item(request).map_err(no_item)?;
        let email = &request.account_email;
        let replaced = |status: Status, attempt: u32, more: &str| {
            Expression::of(&format!("#Status = :status AND #Attempt = :over{more}")).values([
                (":status", text(status.as_str())),
                (":over", number(attempt)),
            ])
        };
        let put = match over {
            Over::Nothing => Expression::of("attribute_not_exists(#AccountEmail)"),
            Over::Ended { status, attempt } => replaced(*status, *attempt, ""),
            Over::Waiting(held) => replaced(held.status, held.attempt, " AND #Files = :files")
                .values([(":files", set_of(&held.files))]),
        };
        let name = name_key(&request.account_name);
        let take = Expression::of("attribute_not_exists(#AccountEmail) OR #AccountEmail = :email")
            .values([(":email", text(email))])
            .update(&self.state, state_key(&name), "SET #AccountEmail = :email");
        let mut planned = Planned {
            actions: vec![put.put(&self.accounts, item), take],
            state_keys: vec![name.clone()],
            left: Vec::new(),
        };
        if let Over::Waiting(held) = over {
            planned.left = held.files.iter().filter_map(|it| it.parse().ok()).collect();
            let former = name_key(&held.account_name);
            if former != name {
                planned.actions.push(self.free_name(email, &former));
                planned.state_keys.push(former);
            }
        }
        Ok(planned)
    }

    fn follow(&self, file: &FileId, account_email: &str, attempt: u32) -> TransactWriteItem {
        Expression::of(
            "#Attempt = :attempt AND #Status IN (:valid, :provisioning, :assigning) \
             AND NOT contains(#Files, :file) AND size(#Files) < :most",
        )
        .values([
            (":attempt", number(attempt)),
            (":valid", text(Status::Valid.as_str())),
            (":provisioning", text(Status::Provisioning.as_str())),
            (":assigning", text(Status::Assigning.as_str())),
            (":file", text(&file.to_string())),
            (":files", set([file.to_string()])),
            (":most", number(FILES_PER_REQUEST)),
        ])
        .update(
            &self.accounts,
            account_key(account_email),
            "ADD #Files :files",
        )
    }

    /// Takes a waiting request back for these of its files. It ends, for this `reason`, if no other file waits for it.
    /// `false` if it has begun or changed since it was read.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn withdraw(
        &self,
        request: &AccountRequest,
        files: &[FileId],
        reason: &str,
    ) -> Result<bool, AwsCallError> {
        if files.len() >= request.files.len() {
            let outcome = Outcome {
                error_msg: Some(reason.to_owned()),
                withdrawn: true,
                ..Outcome::default()
            };
            return self.advance(request, Status::Failed, &outcome).await;
        }
        let leaving = set(files.iter().map(ToString::to_string));
        let leave = Expression::of("#Status = :valid AND #Files = :files")
            .values([
                (":valid", text(Status::Valid.as_str())),
                (":files", set_of(&request.files)),
                (":leaving", leaving),
            ])
            .update(
                &self.accounts,
                account_key(&request.account_email),
                "DELETE #Files :leaving",
            );
        let counts = files.iter().map(|file| self.count_open(file, -1));
        let actions = std::iter::once(leave).chain(counts).collect();
        Ok(self.transact(actions).await?.is_none())
    }
}

/// Why a submission was refused, from the reasons of its own actions.
fn refusal(reasons: &[CancellationReason]) -> Option<Refusal> {
    let place = reasons.iter().position(failed)?;
    let holder = reasons[place]
        .item
        .as_ref()
        .and_then(|item| item.get("AccountEmail")?.as_s().ok());
    match (place, holder) {
        (1, Some(holder)) => Some(Refusal::NameTaken(holder.clone())),
        _ => Some(Refusal::Changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_is_not_a_changed_request() {
        let reason = |code: &str, item: Option<Item>| {
            CancellationReason::builder()
                .code(code)
                .set_item(item)
                .build()
        };
        let holder = Item::from([("AccountEmail".to_owned(), text("other@example.com"))]);
        let none = || reason("None", None);
        let hit = |item| reason("ConditionalCheckFailed", item);
        assert_eq!(refusal(&[none(), none()]), None);
        assert_eq!(
            refusal(&[none(), hit(Some(holder.clone()))]),
            Some(Refusal::NameTaken("other@example.com".to_owned()))
        );
        assert_eq!(
            refusal(&[hit(Some(holder)), none()]),
            Some(Refusal::Changed)
        );
    }
}
