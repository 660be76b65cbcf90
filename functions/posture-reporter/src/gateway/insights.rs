//! Amazon DevOps Guru: the insights of the organization, Region by Region.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use aws_config::{Region, SdkConfig};
use aws_sdk_devopsguru::{
    Client,
    primitives::DateTime,
    types::{
        CloudFormationCollection, InsightSeverity, InsightTimeRange, InsightType,
        ListInsightsAnyStatusFilter, ListInsightsOngoingStatusFilter, ListInsightsStatusFilter,
        ResourceCollection, ServiceCollection, StartTimeRange,
    },
};
use jiff::Timestamp;
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, Service},
};

use crate::insight::{Insight, InsightKind};

/// Insights of a page (`ListOrganizationInsights`: 100 at most).
const PAGE: i32 = 100;

/// What a summary says: the SDK has a type for each kind, with the same members.
macro_rules! said {
    ($it:ident) => {
        Said {
            id: $it.id,
            account: $it.account_id,
            name: $it.name,
            severity: $it.severity,
            range: $it.insight_time_range,
            resources: $it.resource_collection,
            services: $it.service_collection,
        }
    };
}

/// A gateway to all Regions.
#[derive(Debug)]
pub struct Insights {
    sdk: SdkConfig,
    calls: CallCounter,
    /// A client for each Region that was asked: each has its own connections.
    clients: Mutex<BTreeMap<String, Client>>,
}

impl Insights {
    /// What it calls. The action has no resource type.
    pub const CALLS: &[&str] = &["devops-guru:ListOrganizationInsights"];

    /// A gateway. Makes no AWS call.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter) -> Self {
        Self {
            sdk: sdk.clone(),
            calls: calls.clone(),
            clients: Mutex::default(),
        }
    }

    fn client(&self, region: &str) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let made = clients.entry(region.to_owned()).or_insert_with(|| {
            let sdk = self.sdk.to_builder().region(Region::new(region.to_owned()));
            client!(aws_sdk_devopsguru, &sdk.build(), self.calls)
        });
        made.clone()
    }

    /// The insights in a Region that are ongoing, and those that began at `since` or later.
    ///
    /// # Errors
    /// If a call fails: never a part of them, or the rest would be closed.
    pub async fn insights(
        &self,
        region: &str,
        since: Timestamp,
    ) -> Result<Vec<Insight>, AwsCallError> {
        let mut all = BTreeMap::new();
        for kind in InsightKind::ALL {
            for filter in filters(kind, since)? {
                // The second list is the newer one.
                let listed = self.list(region, filter).await?;
                all.extend(
                    listed
                        .into_iter()
                        .map(|insight| (insight.id.clone(), insight)),
                );
            }
        }
        Ok(all.into_values().collect())
    }

    async fn list(
        &self,
        region: &str,
        filter: ListInsightsStatusFilter,
    ) -> Result<Vec<Insight>, AwsCallError> {
        let client = self.client(region);
        let mut all = Vec::new();
        let mut token = None;
        loop {
            let page = client
                .list_organization_insights()
                .status_filter(filter.clone())
                .max_results(PAGE)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| AwsCallError::new(Service::Other, OPERATION, &error))?;
            for it in page.reactive_insights.unwrap_or_default() {
                all.extend(insight(region, InsightKind::Reactive, said!(it)));
            }
            for it in page.proactive_insights.unwrap_or_default() {
                all.extend(insight(region, InsightKind::Proactive, said!(it)));
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        Ok(all)
    }
}

const OPERATION: &str = "ListOrganizationInsights";

/// What is asked for: a filter has one status.
fn filters(
    kind: InsightKind,
    since: Timestamp,
) -> Result<[ListInsightsStatusFilter; 2], AwsCallError> {
    let kind = match kind {
        InsightKind::Reactive => InsightType::Reactive,
        InsightKind::Proactive => InsightType::Proactive,
    };
    let incomplete = |_| AwsCallError::unfinished(OPERATION);
    let ongoing = ListInsightsOngoingStatusFilter::builder()
        .r#type(kind.clone())
        .build()
        .map_err(incomplete)?;
    let began = StartTimeRange::builder()
        .from_time(DateTime::from_secs(since.as_second()))
        .build();
    let any = ListInsightsAnyStatusFilter::builder()
        .r#type(kind)
        .start_time_range(began)
        .build()
        .map_err(incomplete)?;
    let filter = ListInsightsStatusFilter::builder;
    Ok([filter().ongoing(ongoing).build(), filter().any(any).build()])
}

/// What both kinds say.
struct Said {
    id: Option<String>,
    account: Option<String>,
    name: Option<String>,
    severity: Option<InsightSeverity>,
    range: Option<InsightTimeRange>,
    resources: Option<ResourceCollection>,
    services: Option<ServiceCollection>,
}

/// An insight as plain values; nothing of one without an id.
fn insight(region: &str, kind: InsightKind, said: Said) -> Option<Insight> {
    let time = |time: DateTime| Timestamp::from_second(time.secs()).ok();
    let range = said.range;
    let stacks = said.resources.as_ref().and_then(|it| it.cloud_formation());
    let stacks = stacks
        .into_iter()
        .flat_map(CloudFormationCollection::stack_names);
    let stacks = stacks.map(|stack| format!("stack {stack}"));
    let tags = said.resources.iter().flat_map(ResourceCollection::tags);
    let tags = tags.map(|tag| {
        let values = tag.tag_values().join(", ");
        format!("tag {}: {values}", tag.app_boundary_key())
    });
    let services = said
        .services
        .unwrap_or_else(|| ServiceCollection::builder().build());
    let services = services.service_names().iter();
    let insight = Insight {
        region: region.to_owned(),
        id: said.id?,
        kind,
        account: said.account.and_then(|account| account.parse().ok()),
        name: said.name.unwrap_or_default(),
        high: said.severity == Some(InsightSeverity::High),
        began_at: range.as_ref().and_then(|range| time(range.start_time)),
        ended_at: range.and_then(|range| range.end_time).and_then(time),
        resources: stacks.chain(tags).collect(),
        services: services
            .map(|service| service.as_str().to_owned())
            .collect(),
    };
    Some(insight.short())
}
