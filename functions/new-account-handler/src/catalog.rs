//! Reading the catalog: the groups, users and permission sets that a file and the settings name.

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    gateway::identity_center::{IdentityCenter, IdentityStore},
    principal::Principal,
    vending::{allowed::AllowedAccess, request::Access},
};

use crate::{
    access::{AccessCatalog, Names, User},
    csv::Refusal,
};

/// Permission sets and groups described at once.
const AT_ONCE: usize = 4;
/// Names of no group that are looked for among the users.
const PEOPLE: usize = 20;

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
    /// What every account gets, and what files may name beside it.
    pub allowed: AllowedAccess,
}

impl CatalogReader {
    /// What is configured, and the ids of what `names` names as far as it exists.
    ///
    /// # Errors
    /// If the settings name an instance, a group or a permission set that does not exist, or a call fails.
    pub async fn read(&self, names: &Names) -> Result<AccessCatalog, CatalogError> {
        let pairs = &self.allowed.configured().0;
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
                principal: Principal::Group,
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
        let users = self.users(&store, names, &groups).await?;
        Ok(AccessCatalog {
            configured,
            groups,
            permission_sets,
            users,
            allowed: self.allowed.clone(),
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

    /// The ids of groups by their names: no page is read after all of these names are found.
    async fn groups(
        &self,
        store: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<HashMap<String, String>, CatalogError> {
        let mut found = HashMap::new();
        let mut next_token = None;
        while !has_all(&found, wanted) {
            let page = self.identity_store.groups(store, next_token).await?;
            let groups = page.entries.into_iter();
            found.extend(groups.filter_map(|group| Some((group.name?, group.id))));
            next_token = page.next_token;
            if next_token.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The ARNs of permission sets by their names; those in `known` (names by ARNs) are not described again, and
    /// none is after all of these names are found.
    async fn permission_sets(
        &self,
        wanted: &BTreeSet<String>,
        known: HashMap<String, String>,
    ) -> Result<HashMap<String, String>, CatalogError> {
        let described: BTreeSet<String> = known.keys().cloned().collect();
        let mut found: HashMap<String, String> =
            known.into_iter().map(|(arn, name)| (name, arn)).collect();
        let mut next_token = None;
        while !has_all(&found, wanted) {
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
            while !has_all(&found, wanted)
                && let Some((name, arn)) = names.try_next().await?
            {
                found.insert(name, arn);
            }
            next_token = page.next_token;
            if next_token.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The users that the file names, and those that it takes for groups.
    async fn users(
        &self,
        store: &str,
        names: &Names,
        groups: &HashMap<String, String>,
    ) -> Result<HashMap<String, User>, CatalogError> {
        let mut users = HashMap::new();
        for name in &names.users {
            if let Some(id) = self.identity_store.user_id(store, name).await? {
                let groups = Vec::new();
                users.insert(name.clone(), User { id, groups });
            }
        }
        let unknown = names.groups.iter().filter(|it| !groups.contains_key(*it));
        for name in unknown.take(PEOPLE) {
            if let Some(id) = self.identity_store.user_id(store, name).await? {
                let groups = self.groups_of(store, &id, groups).await?;
                users.insert(name.clone(), User { id, groups });
            }
        }
        Ok(users)
    }

    /// The names of the groups that a user is in, of these groups.
    async fn groups_of(
        &self,
        store: &str,
        user_id: &str,
        groups: &HashMap<String, String>,
    ) -> Result<Vec<String>, CatalogError> {
        let mut ids = BTreeSet::new();
        let mut next_token = None;
        loop {
            let page = self
                .identity_store
                .groups_of_user(store, user_id, next_token);
            let page = page.await?;
            ids.extend(page.entries);
            next_token = page.next_token;
            if next_token.is_none() {
                break;
            }
        }
        let own = groups.iter().filter(|(_, id)| ids.contains(*id));
        let mut names: Vec<String> = own.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        Ok(names)
    }
}

fn has_all(found: &HashMap<String, String>, wanted: &BTreeSet<String>) -> bool {
    wanted.iter().all(|name| found.contains_key(name))
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
