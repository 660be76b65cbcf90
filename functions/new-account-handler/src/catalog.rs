//! Reading the catalog: the groups and permission sets that a file and the settings name.

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    gateway::identity_center::{IdentityCenter, IdentityStore},
    vending::request::Access,
};

use crate::{
    access::{AccessCatalog, Names},
    config::Assignments,
    csv::Refusal,
};

/// Permission sets and groups described at once.
const AT_ONCE: usize = 4;

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The settings name what does not exist.
    #[error(transparent)]
    Settings(Refusal),
    /// A call failed.
    #[error(transparent)]
    Call(#[from] AwsCallError),
}

/// Reads the catalog from IAM Identity Center and its identity store.
#[derive(Debug)]
pub struct CatalogReader {
    /// The instance of IAM Identity Center.
    pub identity_center: IdentityCenter,
    /// Its identity store.
    pub identity_store: IdentityStore,
    /// What every account gets.
    pub assignments: Assignments,
}

impl CatalogReader {
    /// What is configured, and the ids of what `names` names as far as it exists.
    ///
    /// # Errors
    /// If the settings name an instance, a group or a permission set that does not exist, or a call fails.
    pub async fn read(&self, names: &Names) -> Result<AccessCatalog, CatalogError> {
        let pairs = &self.assignments.0;
        if pairs.is_empty() && *names == Names::default() {
            return Ok(AccessCatalog::default());
        }
        let store = self.identity_store_id().await?;
        let (group_names, set_names) = tokio::try_join!(
            self.named(pairs.iter().map(|(group, _)| group), |id| self
                .group_name(&store, id)),
            self.named(pairs.iter().map(|(_, set)| set), |arn| self
                .permission_set_name(arn)),
        )?;
        let configured = pairs
            .iter()
            .map(|(group, set)| Access {
                group_id: group.clone(),
                group_name: group_names.get(group).cloned().unwrap_or_default(),
                permission_set_arn: set.clone(),
                permission_set_name: set_names.get(set).cloned().unwrap_or_default(),
            })
            .collect();
        let (groups, permission_sets) = tokio::try_join!(
            self.groups(&store, &names.groups),
            self.permission_sets(&names.permission_sets, set_names),
        )?;
        Ok(AccessCatalog {
            configured,
            groups,
            permission_sets,
        })
    }

    async fn identity_store_id(&self) -> Result<String, CatalogError> {
        let store = self.identity_center.identity_store_id().await?;
        let instance = self.identity_center.instance();
        store.ok_or_else(|| unknown("IdentityCenterInstanceArn", instance))
    }

    /// The names of these ids, each read once.
    async fn named<'a, F>(
        &self,
        ids: impl Iterator<Item = &'a String>,
        name_of: impl Fn(&'a str) -> F,
    ) -> Result<HashMap<String, String>, CatalogError>
    where
        F: Future<Output = Result<String, CatalogError>>,
    {
        let ids: BTreeSet<&String> = ids.collect();
        stream::iter(ids)
            .map(|id| {
                let name = name_of(id);
                async move { Ok((id.clone(), name.await?)) }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn group_name(&self, store: &str, id: &str) -> Result<String, CatalogError> {
        let name = self.identity_store.group_name(store, id).await;
        name.map_err(|error| unknown_or_failed(error, id))
    }

    async fn permission_set_name(&self, arn: &str) -> Result<String, CatalogError> {
        let name = self.identity_center.permission_set_name(arn).await;
        name.map_err(|error| unknown_or_failed(error, arn))
    }

    /// The ids of the groups with these names; no page is read after all are found.
    async fn groups(
        &self,
        store: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<HashMap<String, String>, CatalogError> {
        let mut found = HashMap::new();
        let mut next_token = None;
        while found.len() < wanted.len() {
            let page = self.identity_store.groups(store, next_token).await?;
            for group in page.entries {
                if let Some(name) = group.name.filter(|name| wanted.contains(name)) {
                    found.insert(name, group.id);
                }
            }
            next_token = page.next_token;
            if next_token.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The ARNs of the permission sets with these names; those in `known` (names by ARNs) are not described
    /// again, and no page is read after all are found.
    async fn permission_sets(
        &self,
        wanted: &BTreeSet<String>,
        known: HashMap<String, String>,
    ) -> Result<HashMap<String, String>, CatalogError> {
        let described: BTreeSet<String> = known.keys().cloned().collect();
        let mut found: HashMap<String, String> = known
            .into_iter()
            .filter(|(_, name)| wanted.contains(name))
            .map(|(arn, name)| (name, arn))
            .collect();
        let mut next_token = None;
        while found.len() < wanted.len() {
            let page = self.identity_center.permission_sets(next_token).await?;
            let arns = page
                .entries
                .into_iter()
                .filter(|arn| !described.contains(arn));
            let mut names = stream::iter(arns)
                .map(async |arn| {
                    Ok::<_, CatalogError>((self.permission_set_name(&arn).await?, arn))
                })
                .buffer_unordered(AT_ONCE);
            while found.len() < wanted.len()
                && let Some((name, arn)) = names.try_next().await?
            {
                if wanted.contains(&name) {
                    found.insert(name, arn);
                }
            }
            next_token = page.next_token;
            if next_token.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

/// Something that does not exist is named by the settings.
fn unknown_or_failed(error: AwsCallError, name: &str) -> CatalogError {
    match error.class() {
        AwsErrorClass::NotFound => unknown("Assignments", name),
        _ => error.into(),
    }
}

/// The parameter `parameter` of the stack names what IAM Identity Center does not know.
fn unknown(parameter: &str, name: &str) -> CatalogError {
    CatalogError::Settings(Refusal(format!(
        "nothing can be processed: the parameter {parameter} of orgkeeper names {name}, \
         which IAM Identity Center does not know"
    )))
}
