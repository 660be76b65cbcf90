//! What is read about accounts that exist already, for the rows that name them: where they are, and who has access.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use orgkeeper_shared::{aws_error::AwsCallError, ids::AccountId, principal::Principal};

use crate::{
    access::{AccessCatalog, access_of},
    csv::Row,
    organization::Organization,
    upload_processor::UploadProcessor,
};

/// Calls at once.
const AT_ONCE: usize = 4;

impl UploadProcessor {
    /// Reads what the organization does not say of the accounts that rows are about. Makes no call for a file of new
    /// accounts.
    ///
    /// # Errors
    /// If a call fails.
    pub(crate) async fn read_existing(
        &self,
        rows: &[Row],
        organization: &mut Organization,
        catalog: Option<&AccessCatalog>,
    ) -> Result<(), AwsCallError> {
        let mut without_parent: BTreeMap<String, AccountId> = BTreeMap::new();
        let mut principals: BTreeSet<(Principal, String)> = BTreeSet::new();
        for row in rows {
            let key = row.key();
            let Some(account) = organization.account(&key) else {
                continue;
            };
            if account.parent.is_none() {
                without_parent.insert(key, account.id.clone());
            }
            let access = access_of(row, catalog).unwrap_or_default();
            principals.extend(
                access
                    .into_iter()
                    .map(|access| (access.principal, access.group_id)),
            );
        }
        let parents: Vec<(String, String)> = stream::iter(without_parent)
            .map(async |(email, account)| {
                let parent = self.organizations.parent(&account).await?;
                Ok::<_, AwsCallError>((email, parent))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for (email, parent) in parents {
            organization.set_parent(&email, parent);
        }
        let Some(reader) = &self.catalog_reader else {
            return Ok(());
        };
        let assigned: Vec<_> = stream::iter(principals)
            .map(async |(principal, id)| {
                let found = reader
                    .identity_center
                    .assignments_of((principal, &id))
                    .await?;
                Ok::<_, AwsCallError>((id, found))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for (id, found) in assigned {
            let own = found
                .into_iter()
                .map(|(account, set)| (account, id.clone(), set));
            organization.assigned.extend(own);
        }
        Ok(())
    }
}
