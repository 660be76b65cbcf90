//! Groups and permission sets of IAM Identity Center by their names.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_identitystore::Client as IdentityStore;
use aws_sdk_ssoadmin::Client as SsoAdmin;
use futures::{StreamExt, TryStreamExt, stream};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    pace::{Pace, Quota},
    vending::request::Access,
};

use crate::{
    access::{AccessCatalog, Names},
    config::AccessConfig,
    csv::Refusal,
};

/// Calls a second of all IAM Identity Center APIs together, and of each API of the identity store
/// ("IAM Identity Center quotas"); bursts are not published.
const ALL_CALLS: Quota = Quota {
    per_second: 20,
    burst: 20,
};
/// Entries of a page (`ListGroups`, `ListPermissionSets`: up to 100).
const PAGE: i32 = 100;
/// Permission sets and groups described at once.
const AT_ONCE: usize = 4;

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum NoCatalog {
    /// The settings name what is not there.
    #[error(transparent)]
    Settings(Refusal),
    /// A call failed.
    #[error(transparent)]
    Call(#[from] AwsCallError),
}

/// The gateway to IAM Identity Center and its identity store.
#[derive(Debug)]
pub struct IdentityCenter {
    sso_admin: SsoAdmin,
    identity_store: IdentityStore,
    config: AccessConfig,
    pace: Pace,
}

impl IdentityCenter {
    /// A gateway over these clients that keeps to one of `shares` parts of the published rate (0: no pace).
    #[must_use]
    pub fn new(
        sso_admin: SsoAdmin,
        identity_store: IdentityStore,
        config: AccessConfig,
        shares: u32,
    ) -> Self {
        Self {
            sso_admin,
            identity_store,
            config,
            pace: Pace::share(ALL_CALLS, shares),
        }
    }

    /// What is configured, and the ids of what `names` names as far as it exists.
    ///
    /// # Errors
    /// If the settings name an instance, a group or a permission set that does not exist, or a call fails.
    pub async fn catalog(&self, names: &Names) -> Result<AccessCatalog, NoCatalog> {
        let pairs = &self.config.assignments.0;
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

    async fn identity_store_id(&self) -> Result<String, NoCatalog> {
        let instance = &self.config.instance;
        let mut next_token = None;
        loop {
            self.pace.wait().await;
            let page = self
                .sso_admin
                .list_instances()
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::SsoAdmin, "ListInstances", &error))?;
            let found = page
                .instances()
                .iter()
                .find(|found| found.instance_arn() == Some(instance))
                .and_then(|found| found.identity_store_id());
            if let Some(store) = found {
                return Ok(store.to_owned());
            }
            next_token = page.next_token;
            if next_token.is_none() {
                return Err(unknown("IdentityCenterInstanceArn", instance));
            }
        }
    }

    /// The names of these ids, each asked for once.
    async fn named<'a, F>(
        &self,
        ids: impl Iterator<Item = &'a String>,
        name_of: impl Fn(&'a str) -> F,
    ) -> Result<HashMap<String, String>, NoCatalog>
    where
        F: Future<Output = Result<String, NoCatalog>>,
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

    async fn group_name(&self, store: &str, id: &str) -> Result<String, NoCatalog> {
        self.pace.wait().await;
        let answer = self
            .identity_store
            .describe_group()
            .identity_store_id(store)
            .group_id(id)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::IdentityStore, "DescribeGroup", &error));
        match answer {
            Ok(group) => Ok(group.display_name.unwrap_or_else(|| id.to_owned())),
            Err(error) if error.class() == AwsErrorClass::NotFound => {
                Err(unknown("Assignments", id))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn permission_set_name(&self, arn: &str) -> Result<String, NoCatalog> {
        self.pace.wait().await;
        let answer = self
            .sso_admin
            .describe_permission_set()
            .instance_arn(&self.config.instance)
            .permission_set_arn(arn)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::SsoAdmin, "DescribePermissionSet", &error));
        match answer {
            Ok(answer) => Ok(answer
                .permission_set
                .and_then(|set| set.name)
                .unwrap_or_else(|| arn.to_owned())),
            Err(error) if error.class() == AwsErrorClass::NotFound => {
                Err(unknown("Assignments", arn))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The ids of the groups with these names; reading ends where all are found.
    async fn groups(
        &self,
        store: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<HashMap<String, String>, NoCatalog> {
        let mut found = HashMap::new();
        let mut next_token = None;
        while found.len() < wanted.len() {
            self.pace.wait().await;
            let page = self
                .identity_store
                .list_groups()
                .identity_store_id(store)
                .max_results(PAGE)
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::IdentityStore, "ListGroups", &error))?;
            for group in page.groups {
                if let Some(name) = group.display_name.filter(|name| wanted.contains(name)) {
                    found.insert(name, group.group_id);
                }
            }
            next_token = page.next_token;
            if next_token.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The ARNs of the permission sets with these names, those in `known` (names by ARNs) not asked
    /// for again; reading ends where all are found.
    async fn permission_sets(
        &self,
        wanted: &BTreeSet<String>,
        known: HashMap<String, String>,
    ) -> Result<HashMap<String, String>, NoCatalog> {
        let asked: BTreeSet<String> = known.keys().cloned().collect();
        let mut found: HashMap<String, String> = known
            .into_iter()
            .filter(|(_, name)| wanted.contains(name))
            .map(|(arn, name)| (name, arn))
            .collect();
        let mut next_token = None;
        while found.len() < wanted.len() {
            self.pace.wait().await;
            let page = self
                .sso_admin
                .list_permission_sets()
                .instance_arn(&self.config.instance)
                .max_results(PAGE)
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| {
                    AwsCallError::new(Service::SsoAdmin, "ListPermissionSets", &error)
                })?;
            let arns = page
                .permission_sets
                .unwrap_or_default()
                .into_iter()
                .filter(|arn| !asked.contains(arn));
            let mut names = stream::iter(arns)
                .map(async |arn| Ok::<_, NoCatalog>((self.permission_set_name(&arn).await?, arn)))
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

/// The parameter `parameter` of the stack names what IAM Identity Center does not know.
fn unknown(parameter: &str, name: &str) -> NoCatalog {
    NoCatalog::Settings(Refusal(format!(
        "nothing can be taken in: the parameter {parameter} of orgkeeper names {name}, \
         which IAM Identity Center does not know"
    )))
}
