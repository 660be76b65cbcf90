//! What keeps the tables right after something was lost: messages, records of the stream, items.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    expression::{Expression, names, number, text},
    file::FileId,
    ledger::{BY_STATUS, Ledger, account_key, file_key, file_of, name_key, readable, state_key},
    request::{AccountRequest, Status},
};
use crate::{
    aws_error::{AwsCallError, Service},
    items::{Item, read_items},
};

impl Ledger {
    /// What [`Self::forget`] calls beside what it shares with others, on `VendingState`.
    pub const FORGET: &[&str] = &["dynamodb:PutItem"];
    /// What [`Self::open_files`] calls, on `VendingState`.
    pub const FIND_FILES: &[&str] = &["dynamodb:Scan"];

    /// Frees what an item that was deleted from the table held: its name, and its place in the counts of its files,
    /// once however often this is called. The record of it expires at `expires_at` (seconds since 1970).
    ///
    /// # Errors
    /// If a call fails.
    pub async fn forget(
        &self,
        deleted: &AccountRequest,
        expires_at: i64,
    ) -> Result<(), AwsCallError> {
        let record = Item::from([
            (
                "Id".to_owned(),
                text(&format!("deleted#{}", deleted.attempt_id())),
            ),
            ("ExpiresAt".to_owned(), number(expires_at)),
        ]);
        let once = Expression::of("attribute_not_exists(#Id)").put(&self.state, record);
        let files = deleted.files.iter().filter_map(|file| file.parse().ok());
        let counts = files.map(|file: FileId| self.count_open(&file, -1));
        let actions = std::iter::once(once).chain(counts).collect();
        self.transact(actions).await?;
        self.free_abandoned_name(&deleted.account_name, &deleted.account_email)
            .await?;
        if deleted.status == Status::Provisioning {
            self.release_abandoned_slot(&deleted.account_email).await?;
        }
        Ok(())
    }

    /// Frees a name that no open request has: somebody deleted the item, say.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn free_abandoned_name(
        &self,
        account_name: &str,
        email: &str,
    ) -> Result<(), AwsCallError> {
        let not_open = Expression::of(
            "attribute_not_exists(#AccountEmail) OR #Status IN (:succeeded, :failed)",
        )
        .values([
            (":succeeded", text(Status::Succeeded.as_str())),
            (":failed", text(Status::Failed.as_str())),
        ])
        .check(&self.accounts, account_key(email));
        let actions = vec![not_open, self.free_name(email, &name_key(account_name))];
        self.transact(actions).await.map(drop)
    }

    /// Corrects the number of a file's open requests downwards, after items of the table were lost.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn correct_open(&self, file: &FileId, open: usize) -> Result<(), AwsCallError> {
        let action = Expression::of("#Open > :open")
            .values([(":open", number(open))])
            .update(&self.state, state_key(&file_key(file)), "SET #Open = :open");
        self.transact(vec![action]).await.map(drop)
    }

    /// The requests with this status that were queued after `since` (milliseconds since 1970), the oldest first.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn with_status(
        &self,
        status: Status,
        since: i64,
    ) -> Result<Vec<AccountRequest>, AwsCallError> {
        let mut requests = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.accounts)
                .index_name(BY_STATUS)
                .key_condition_expression("#Status = :status AND #QueuedAt > :since")
                .set_expression_attribute_names(Some(names(&["#Status", "#QueuedAt"])))
                .expression_attribute_values(":status", text(status.as_str()))
                .expression_attribute_values(":since", number(since))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::DynamoDb, "Query", &error))?;
            requests.extend(
                page.items
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(readable),
            );
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(requests);
            }
        }
    }

    /// The files that have been processed and have open requests.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn open_files(&self) -> Result<Vec<FileId>, AwsCallError> {
        let mut files = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.state)
                .filter_expression("#Open > :none AND #TakenIn = :yes")
                .set_expression_attribute_names(Some(names(&["#Open", "#TakenIn"])))
                .expression_attribute_values(":none", number(0))
                .expression_attribute_values(":yes", AttributeValue::Bool(true))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::DynamoDb, "Scan", &error))?;
            let items = page.items.unwrap_or_default();
            files.extend(items.iter().filter_map(file_of));
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(files);
            }
        }
    }

    /// Which of these records of `VendingState` do not say that their work is done.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn not_done(&self, ids: &[String]) -> Result<BTreeSet<String>, AwsCallError> {
        let mut left: BTreeSet<String> = ids.iter().cloned().collect();
        let keys = left.iter().map(|id| state_key(id)).collect();
        for item in read_items(&self.client, &self.state, keys).await? {
            let value = |name| item.get(name).and_then(|value| value.as_s().ok());
            if let (Some(id), Some(state)) = (value("Id"), value("State"))
                && state == "done"
            {
                left.remove(id);
            }
        }
        Ok(left)
    }

    /// Has the assignments of a request sent again at `now` (milliseconds since 1970): gives the request as it is then,
    /// or nothing if it changed since it was read.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn send_assignments_again(
        &self,
        request: &AccountRequest,
        now: i64,
    ) -> Result<Option<AccountRequest>, AwsCallError> {
        let next = AccountRequest {
            assign_chain: request.assign_chain + 1,
            assign_sent_at: Some(now),
            ..request.clone()
        };
        let row = self.step(
            request,
            Status::Assigning,
            Status::Assigning,
            "#AssignChain = :chain, #AssignSentAt = :now",
            [(":chain", number(next.assign_chain)), (":now", number(now))],
        );
        Ok(self.transact(vec![row]).await?.is_none().then_some(next))
    }
}
