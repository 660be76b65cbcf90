//! Both tables of the vending pipeline.
//!
//! A request changes its state in one transaction with everything that depends on it, each part
//! under a condition: however many invocations try at once, one of them does it and the others see
//! that it is done.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, CancellationReason, ReturnValue, TransactWriteItem},
};

use super::{
    expression::{Collisions, Expression, failed, names, number, set, set_of, text},
    file::{FileId, FileProgress},
    request::{AccountRequest, ExistingAccount, READY, Status, Unit},
};
use crate::{
    aws::CallCounter,
    aws_error::{AwsCallError, Service},
    ids::AccountId,
    items::{Item, read_items},
};

/// A fault of the set-up that stays is published again after so long: a day, in milliseconds.
const FAULT_TOLD_AGAIN_MS: i64 = 86_400_000;
/// The same fault is published again after so long if it was over in between: an hour, in milliseconds.
const NEXT_FAULT_TOLD_MS: i64 = 3_600_000;
/// The index of `Accounts` by `Status` and `QueuedAt`.
pub(super) const BY_STATUS: &str = "ByStatus";
/// The item of `VendingState` that lists the operation slots that are held.
const OPERATIONS: &str = "operations";
/// The item of `VendingState` that lists the assignment slots that are held.
const ASSIGNMENTS: &str = "assignments";

/// What came of an attempt to claim an operation slot for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotClaim {
    /// The caller holds the slot and has to start the operation.
    Claimed,
    /// All slots are held.
    NoFreeSlot,
    /// Another invocation has claimed a slot for the request.
    ClaimedByOther,
}

/// What changes together with a request's status.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The account, once it exists.
    pub account_id: Option<AccountId>,
    /// Why it failed.
    pub error_msg: Option<String>,
    /// Since when access is assigned, in milliseconds since 1970.
    pub assigning_at: Option<i64>,
    /// Whether it failed because the row was taken back.
    pub withdrawn: bool,
}

/// How a request that had a slot waits for another.
#[derive(Clone, Copy, Debug)]
pub struct PutBack<'a> {
    /// From when on it can get a slot, in milliseconds since 1970.
    pub queued_at: i64,
    /// What it waits for, for the person who wrote the row.
    pub waits_for: &'a str,
    /// Whether no other request gets a slot before that either: what it waits for concerns all.
    pub all_wait: bool,
    /// Its organizational unit, if that has another name by now.
    pub unit: Option<&'a Unit>,
    /// The account, if it exists.
    pub account: Option<&'a AccountId>,
    /// What is to be done about it, if that is less by now.
    pub existing: Option<ExistingAccount>,
}

/// The gateway to both tables.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) client: Client,
    pub(super) accounts: String,
    pub(super) state: String,
}

impl Ledger {
    /// What reading items of either table calls.
    pub const READ: &[&str] = &["dynamodb:BatchGetItem"];
    /// What changing requests and what depends on them calls, on either table: IAM knows the parts of a transaction.
    pub const UPDATE: &[&str] = &["dynamodb:UpdateItem"];
    /// What freeing names calls, on `VendingState`.
    pub const FREE_NAMES: &[&str] = &["dynamodb:DeleteItem"];
    /// What a transaction calls that wants to know a request not to be open, on `Accounts`.
    pub const CHECK: &[&str] = &["dynamodb:ConditionCheckItem"];
    /// What [`Self::waiting`] and [`Self::with_status`] call, on the index.
    pub const FIND: &[&str] = &["dynamodb:Query"];

    /// Over the tables `accounts` and `state`. Makes no AWS call.
    #[must_use]
    pub fn connect(
        sdk: &aws_config::SdkConfig,
        calls: &CallCounter,
        accounts: &str,
        state: &str,
    ) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(sdk)
            .interceptor(calls.clone())
            .retry_classifier(Collisions)
            .build();
        Self {
            client: Client::from_conf(config),
            accounts: accounts.to_owned(),
            state: state.to_owned(),
        }
    }

    /// The requests with these keys; those that the table does not hold are left out.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn read(
        &self,
        emails: impl IntoIterator<Item = &str>,
    ) -> Result<HashMap<String, AccountRequest>, AwsCallError> {
        let keys: BTreeSet<&str> = emails.into_iter().collect();
        let keys: Vec<Item> = keys.into_iter().map(account_key).collect();
        let items = read_items(&self.client, &self.accounts, keys).await?;
        Ok(items
            .into_iter()
            .filter_map(readable)
            .map(|request| (request.account_email.clone(), request))
            .collect())
    }

    /// The requests that wait for a slot at `now` (milliseconds since 1970), the oldest first.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn waiting(
        &self,
        now: i64,
        most: usize,
    ) -> Result<Vec<AccountRequest>, AwsCallError> {
        let answer = self
            .client
            .query()
            .table_name(&self.accounts)
            .index_name(BY_STATUS)
            .key_condition_expression("#Status = :valid AND #QueuedAt <= :now")
            .set_expression_attribute_names(Some(names(&["#Status", "#QueuedAt"])))
            .expression_attribute_values(":valid", text(Status::Valid.as_str()))
            .expression_attribute_values(":now", number(now))
            .limit(i32::try_from(most).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "Query", &error))?;
        Ok(answer
            .items
            .unwrap_or_default()
            .into_iter()
            .filter_map(readable)
            .collect())
    }

    /// Claims one of `slots` operation slots for a request that waits.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn claim_slot(
        &self,
        request: &AccountRequest,
        now: i64,
        slots: u32,
    ) -> Result<SlotClaim, AwsCallError> {
        let row = self.step(
            request,
            Status::Valid,
            Status::Provisioning,
            "#StartedAt = :now REMOVE #OperationId, #ErrorMsg",
            [(":now", number(now))],
        );
        let operation = Expression::of(
            "(attribute_not_exists(#PausedUntil) OR #PausedUntil <= :now) AND \
             (attribute_not_exists(#Running) OR (size(#Running) < :most AND NOT contains(#Running, :email)))",
        )
        .values([
            (":now", number(now)),
            (":most", number(slots)),
            (":email", text(&request.account_email)),
            (":emails", set([request.account_email.clone()])),
        ])
        .update(&self.state, state_key(OPERATIONS), "ADD #Running :emails");
        let reasons = self.transact(vec![row, operation]).await?;
        Ok(match reasons.as_deref() {
            None => SlotClaim::Claimed,
            Some([row, ..]) if failed(row) => SlotClaim::ClaimedByOther,
            Some(_) => SlotClaim::NoFreeSlot,
        })
    }

    /// Stores AWS's id of the operation of a request that holds a slot.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn store_operation(
        &self,
        request: &AccountRequest,
        operation_id: &str,
        provisioned_product_id: Option<&str>,
    ) -> Result<(), AwsCallError> {
        let mut set = "#OperationId = :operation".to_owned();
        let mut values = vec![(":operation", text(operation_id))];
        if let Some(product) = provisioned_product_id {
            set.push_str(", #ProvisionedProductId = :product");
            values.push((":product", text(product)));
        }
        let row = self.step(
            request,
            Status::Provisioning,
            Status::Provisioning,
            &set,
            values,
        );
        self.transact(vec![row]).await.map(drop)
    }

    /// Releases the slot of a request, which waits for another. `false` if it did not hold one any more.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn put_back(
        &self,
        request: &AccountRequest,
        how: PutBack<'_>,
    ) -> Result<bool, AwsCallError> {
        let mut change = "#QueuedAt = :queued, #PutBack = :times, #WaitsFor = :reason".to_owned();
        let mut values = vec![
            (":queued", number(how.queued_at)),
            (":times", number(request.put_back + 1)),
            (":reason", text(how.waits_for)),
        ];
        if let Some(unit) = how.unit {
            change.push_str(", #Unit = :unit");
            let unit: Item = serde_dynamo::to_item(unit).map_err(no_item)?;
            values.push((":unit", AttributeValue::M(unit)));
        }
        if let Some(account) = how.account {
            change.push_str(", #AccountId = :account");
            values.push((":account", text(account.as_str())));
        }
        if let Some(existing) = how.existing {
            change.push_str(", #Existing = :existing");
            values.push((":existing", text(existing.as_str())));
        }
        change.push_str(" REMOVE #OperationId, #StartedAt");
        let row = self.step(
            request,
            Status::Provisioning,
            Status::Valid,
            &change,
            values,
        );
        let slot = if how.all_wait {
            Expression::of("")
                .values([
                    (":tokens", set([request.account_email.clone()])),
                    (":until", number(how.queued_at)),
                ])
                .update(
                    &self.state,
                    state_key(OPERATIONS),
                    "SET #PausedUntil = :until DELETE #Running :tokens",
                )
        } else {
            self.release_slot(&request.account_email)
        };
        let done = self.transact(vec![row, slot]).await?;
        Ok(done.is_none())
    }

    /// Claims the alert about a fault of the set-up, in these `words`, at `now` (milliseconds since 1970). `false` if
    /// it was published within a day; or within an hour, if it was over in between: of several accounts some may
    /// still meet it.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn claim_fault_alert(&self, words: &str, now: i64) -> Result<bool, AwsCallError> {
        let action = Expression::of(
            "attribute_not_exists(#FaultTold) OR #FaultTold <> :words OR #FaultToldAt <= :day \
             OR (#FaultOver = :yes AND #FaultToldAt <= :hour)",
        )
        .values([
            (":words", text(words)),
            (":now", number(now)),
            (":day", number(now - FAULT_TOLD_AGAIN_MS)),
            (":hour", number(now - NEXT_FAULT_TOLD_MS)),
            (":yes", AttributeValue::Bool(true)),
        ])
        .update(
            &self.state,
            state_key(OPERATIONS),
            "SET #FaultTold = :words, #FaultToldAt = :now REMOVE #FaultOver",
        );
        Ok(self.transact(vec![action]).await?.is_none())
    }

    /// Releases the claim of the alert about a fault: it could not be published.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn forget_fault_alert(&self) -> Result<(), AwsCallError> {
        let action = Expression::of("").update(
            &self.state,
            state_key(OPERATIONS),
            "REMOVE #FaultTold, #FaultToldAt",
        );
        self.transact(vec![action]).await.map(drop)
    }

    /// Stores that the fault of the set-up is over: nothing is paused, and the next one is published.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn end_fault(&self) -> Result<(), AwsCallError> {
        let action = Expression::of("")
            .values([(":yes", AttributeValue::Bool(true))])
            .update(
                &self.state,
                state_key(OPERATIONS),
                "SET #FaultOver = :yes REMOVE #PausedUntil",
            );
        self.transact(vec![action]).await.map(drop)
    }

    /// Changes a request from the status that it was read in to `to`, with everything that depends on it:
    /// its slot is released, its name is free, its files have one open request less. `false` if another
    /// invocation has changed its status meanwhile.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn advance(
        &self,
        request: &AccountRequest,
        to: Status,
        outcome: &Outcome,
    ) -> Result<bool, AwsCallError> {
        let mut set = Vec::new();
        let mut values = Vec::new();
        if let Some(account) = &outcome.account_id {
            set.push("#AccountId = :account");
            values.push((":account", text(account.as_str())));
        }
        if let Some(message) = &outcome.error_msg {
            set.push("#ErrorMsg = :message");
            values.push((":message", text(message)));
        }
        if let Some(since) = outcome.assigning_at {
            set.push("#AssigningAt = :since");
            values.push((":since", number(since)));
        }
        if outcome.withdrawn {
            set.push("#Withdrawn = :yes");
            values.push((":yes", AttributeValue::Bool(true)));
        }
        let row = self.step(request, request.status, to, &set.join(", "), values);
        let mut actions = vec![row];
        if request.status == Status::Provisioning {
            actions.push(self.release_slot(&request.account_email));
        }
        if to.ended() {
            let name = name_key(&request.account_name);
            actions.push(self.free_name(&request.account_email, &name));
            actions.extend(
                request
                    .files
                    .iter()
                    .filter_map(|file| file.parse().ok())
                    .map(|file: FileId| self.count_open(&file, -1)),
            );
        }
        Ok(self.transact(actions).await?.is_none())
    }

    /// Notes that the account of a request is as its baseline says. `false` if the request has changed meanwhile.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn mark_ready(&self, request: &AccountRequest) -> Result<bool, AwsCallError> {
        let action = Expression::of("#Status = :succeeded AND #Attempt = :attempt")
            .values([
                (":succeeded", text(Status::Succeeded.as_str())),
                (":attempt", number(request.attempt)),
                (":ready", text(READY)),
            ])
            .update(
                &self.accounts,
                account_key(&request.account_email),
                "SET #ErrorMsg = :ready",
            );
        Ok(self.transact(vec![action]).await?.is_none())
    }

    /// The keys of the requests that hold an operation slot.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn operation_slots(&self) -> Result<BTreeSet<String>, AwsCallError> {
        self.list(OPERATIONS).await
    }

    /// Releases an operation slot whose request is not being provisioned: somebody deleted the item, say.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn release_abandoned_slot(&self, email: &str) -> Result<(), AwsCallError> {
        let not_in_progress =
            Expression::of("attribute_not_exists(#AccountEmail) OR #Status <> :provisioning")
                .values([(":provisioning", text(Status::Provisioning.as_str()))])
                .check(&self.accounts, account_key(email));
        let actions = vec![not_in_progress, self.release_slot(email)];
        self.transact(actions).await.map(drop)
    }

    /// Claims one of `slots` assignment slots under a name; idempotent. `false` if all are held.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn claim_assignment_slot(
        &self,
        name: &str,
        slots: u32,
    ) -> Result<bool, AwsCallError> {
        let action = Expression::of(
            "attribute_not_exists(#Running) OR contains(#Running, :token) OR size(#Running) < :most",
        )
        .values([
            (":most", number(slots)),
            (":token", text(name)),
            (":tokens", set([name.to_owned()])),
        ])
        .update(&self.state, state_key(ASSIGNMENTS), "ADD #Running :tokens");
        Ok(self.transact(vec![action]).await?.is_none())
    }

    /// Releases assignment slots by their names.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn release_assignment_slots(
        &self,
        names: impl IntoIterator<Item = String>,
    ) -> Result<(), AwsCallError> {
        let names: Vec<String> = names.into_iter().collect();
        if names.is_empty() {
            return Ok(());
        }
        let action = self.release(ASSIGNMENTS, names);
        self.transact(vec![action]).await.map(drop)
    }

    /// The names of the assignment slots that are held.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn assignment_slots(&self) -> Result<BTreeSet<String>, AwsCallError> {
        self.list(ASSIGNMENTS).await
    }

    /// How far these files are.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn progress(
        &self,
        files: impl IntoIterator<Item = &FileId>,
    ) -> Result<HashMap<FileId, FileProgress>, AwsCallError> {
        let keys: BTreeSet<&FileId> = files.into_iter().collect();
        let keys = keys
            .into_iter()
            .map(|file| state_key(&file_key(file)))
            .collect();
        let items = read_items(&self.client, &self.state, keys).await?;
        Ok(items
            .iter()
            .filter_map(|item| Some((file_of(item)?, progress_of(Some(item)))))
            .collect())
    }

    /// Which of these account names requests in progress have: names in lower case, each with its request's key.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn names_in_progress(
        &self,
        names: impl IntoIterator<Item = &str>,
    ) -> Result<HashMap<String, String>, AwsCallError> {
        let ids: BTreeSet<String> = names.into_iter().map(name_key).collect();
        let keys = ids.iter().map(|id| state_key(id)).collect();
        let items = read_items(&self.client, &self.state, keys).await?;
        let holders = items.iter().filter_map(|item| {
            let name = item.get("Id")?.as_s().ok()?.strip_prefix(NAME)?;
            let holder = item.get("AccountEmail")?.as_s().ok()?;
            Some((name.to_owned(), holder.clone()))
        });
        Ok(holders.collect())
    }

    /// Stores that every row of a file has been processed; the item expires at `expires_at` (seconds since
    /// 1970). Gives how far the file is.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn mark_processed(
        &self,
        file: &FileId,
        expires_at: i64,
    ) -> Result<FileProgress, AwsCallError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.state)
            .set_key(Some(state_key(&file_key(file))))
            .update_expression("SET #TakenIn = :yes, #ExpiresAt = :then ADD #Open :none")
            .set_expression_attribute_names(Some(names(&["#TakenIn", "#ExpiresAt", "#Open"])))
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .expression_attribute_values(":then", number(expires_at))
            .expression_attribute_values(":none", number(0))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error))?;
        Ok(progress_of(answer.attributes.as_ref()))
    }

    /// The change of a request's own item.
    pub(super) fn step<'v>(
        &self,
        request: &AccountRequest,
        from: Status,
        to: Status,
        set: &str,
        values: impl IntoIterator<Item = (&'v str, AttributeValue)>,
    ) -> TransactWriteItem {
        let update = match set {
            "" => "SET #Status = :to".to_owned(),
            set => format!("SET #Status = :to, {set}"),
        };
        let mut condition = "#Status = :from AND #Attempt = :attempt".to_owned();
        let mut values: Vec<_> = values.into_iter().collect();
        if to.ended() {
            // A file that has joined since the request was read would wait forever.
            if request.files.is_empty() {
                condition.push_str(" AND attribute_not_exists(#Files)");
            } else {
                condition.push_str(" AND #Files = :files");
                values.push((":files", set_of(&request.files)));
            }
        }
        values.extend([
            (":from", text(from.as_str())),
            (":to", text(to.as_str())),
            (":attempt", number(request.attempt)),
        ]);
        Expression::of(&condition).values(values).update(
            &self.accounts,
            account_key(&request.account_email),
            &update,
        )
    }

    fn release_slot(&self, email: &str) -> TransactWriteItem {
        self.release(OPERATIONS, [email.to_owned()])
    }

    fn release(&self, id: &str, names: impl IntoIterator<Item = String>) -> TransactWriteItem {
        Expression::of("").values([(":tokens", set(names))]).update(
            &self.state,
            state_key(id),
            "DELETE #Running :tokens",
        )
    }

    /// Frees the name with this key, if it is that of the request of `email`.
    pub(super) fn free_name(&self, email: &str, key: &str) -> TransactWriteItem {
        Expression::of("attribute_not_exists(#AccountEmail) OR #AccountEmail = :email")
            .values([(":email", text(email))])
            .delete(&self.state, state_key(key))
    }

    pub(super) fn count_open(&self, file: &FileId, by: i64) -> TransactWriteItem {
        Expression::of("").values([(":by", number(by))]).update(
            &self.state,
            state_key(&file_key(file)),
            "ADD #Open :by",
        )
    }

    /// Makes all changes or none; gives the reasons, one for each action, if a condition failed.
    pub(super) async fn transact(
        &self,
        actions: Vec<TransactWriteItem>,
    ) -> Result<Option<Vec<CancellationReason>>, AwsCallError> {
        const OPERATION: &str = "TransactWriteItems";
        let answer = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions))
            .send()
            .await;
        let Err(error) = answer else {
            return Ok(None);
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                if cancelled.cancellation_reasons().iter().any(failed) {
                    Ok(Some(cancelled.cancellation_reasons().to_vec()))
                } else {
                    Err(AwsCallError::overtaken(OPERATION))
                }
            }
            _ => Err(AwsCallError::new(Service::DynamoDb, OPERATION, &error)),
        }
    }

    async fn list(&self, id: &str) -> Result<BTreeSet<String>, AwsCallError> {
        let items = read_items(&self.client, &self.state, vec![state_key(id)]).await?;
        Ok(items
            .into_iter()
            .next()
            .and_then(|mut item| item.remove("Running"))
            .and_then(|running| running.as_ss().ok().cloned())
            .unwrap_or_default()
            .into_iter()
            .collect())
    }
}

/// What cannot be written as an item.
pub(super) fn no_item(error: serde_dynamo::Error) -> AwsCallError {
    AwsCallError::new::<TransactWriteItemsError>(
        Service::DynamoDb,
        "TransactWriteItems",
        &SdkError::construction_failure(error),
    )
}

pub(super) fn account_key(email: &str) -> Item {
    Item::from([("AccountEmail".to_owned(), text(email))])
}

pub(super) fn state_key(id: &str) -> Item {
    Item::from([("Id".to_owned(), text(id))])
}

/// What the ids of names of accounts begin with.
const NAME: &str = "name#";

pub(super) fn name_key(account_name: &str) -> String {
    format!("{NAME}{}", account_name.to_lowercase())
}

pub(super) fn file_key(file: &FileId) -> String {
    format!("file#{file}")
}

/// The file that an item of `VendingState` is about.
pub(super) fn file_of(item: &Item) -> Option<FileId> {
    let id = item.get("Id")?.as_s().ok()?;
    id.strip_prefix("file#")?.parse().ok()
}

fn progress_of(item: Option<&Item>) -> FileProgress {
    let value = |name| item.and_then(|item| item.get(name));
    FileProgress {
        open: value("Open")
            .and_then(|open| open.as_n().ok()?.parse().ok())
            .unwrap_or_default(),
        processed: value("TakenIn").is_some_and(|yes| yes.as_bool() == Ok(&true)),
    }
}

/// An item as a request. One that somebody changed by hand until it is none is logged and skipped.
pub(super) fn readable(item: Item) -> Option<AccountRequest> {
    serde_dynamo::from_item(item)
        .inspect_err(|error| tracing::error!(%error, "an item of the Accounts table is no request"))
        .ok()
}
