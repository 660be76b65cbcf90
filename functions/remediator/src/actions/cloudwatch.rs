//! CloudWatch.1 to CloudWatch.14, and Prowler's check of AWS Organizations: a metric filter, an alarm and a topic with a
//! subscriber for what CIS wants to be alarmed about.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use aws_sdk_cloudwatch::types::{ComparisonOperator, MetricAlarm, Statistic};
use aws_sdk_cloudwatchlogs::types::{MetricFilter, MetricTransformation};
use orgkeeper_shared::{
    aws_error::{AwsErrorClass, Service},
    remediation::{order::Order, target::Target},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::trails;
use crate::{
    action::{Action, Plan},
    action_row::Row,
    cis_filters::CisFilter,
    member::Member,
    member_client, parameters,
    refusal::{CallFailed, failed, incomplete},
    row,
};

/// The action of this file.
pub(super) const ROWS: &[Row] = &[row!("cloudwatch-metric-filter", MetricFilters,
reads: [
    "cloudtrail:DescribeTrails" on "*",
    "logs:DescribeMetricFilters" on "arn:{partition}:logs:*:{account}:log-group:*",
    "cloudwatch:DescribeAlarmsForMetric" on "*",
    "sns:ListSubscriptionsByTopic" on "arn:{partition}:sns:*:{account}:*",
],
writes: [
    "logs:PutMetricFilter" on "arn:{partition}:logs:*:{account}:log-group:*",
    "cloudwatch:PutMetricAlarm" on "arn:{partition}:cloudwatch:*:{account}:alarm:orgkeeper-cis-*",
    "sns:CreateTopic" on "arn:{partition}:sns:*:{account}:orgkeeper-cis",
    "sns:Subscribe" on "arn:{partition}:sns:*:{account}:orgkeeper-cis",
],
undo: [
    "logs:DeleteMetricFilter" on "arn:{partition}:logs:*:{account}:log-group:*",
    "cloudwatch:DeleteAlarms" on "arn:{partition}:cloudwatch:*:{account}:alarm:orgkeeper-cis-*",
])];

/// The topic that alarms are sent to.
pub(super) const TOPIC: &str = "orgkeeper-cis";
const NAMESPACE: &str = "orgkeeper/cis";

/// CloudWatch.1 to CloudWatch.14, and Prowler's check of AWS Organizations.
///
/// A fix is eight calls once the topic has a subscriber: the role; trails, filters and subscribers; filter and alarm;
/// both again. The second pattern of CloudWatch.13 is one more, and so are topic, subscription, and reading it.
struct MetricFilters;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FiltersState {
    /// The log group of the trail.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_group: Option<String>,
    /// Filters with the control's patterns, by name, that the alarms are on.
    metric_filters: BTreeMap<String, String>,
    alarms: Vec<String>,
    topic: Option<Topic>,
    #[serde(skip)]
    trail: TrailFacts,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Topic {
    #[serde(rename = "TopicARN")]
    arn: String,
    /// With those who were asked by e-mail and have not confirmed.
    subscribers: usize,
    /// How many of them have not.
    #[serde(skip)]
    unconfirmed: usize,
    #[serde(skip)]
    exists: bool,
}

impl Topic {
    fn is_received(&self) -> bool {
        self.subscribers > self.unconfirmed
    }
}

/// Where the events of the account are.
#[derive(Clone, Debug, Default, PartialEq)]
enum TrailFacts {
    /// There is no trail of every Region.
    #[default]
    NoTrail,
    /// Only the organization has one.
    Organizations,
    /// The trail has no log group.
    NoLogGroup,
    /// In this log group, in the trail's home Region.
    LogGroup { name: String, region: String },
}

/// What is looked for once in an order.
struct Surroundings {
    trail: TrailFacts,
    /// Topics with a subscriber who has confirmed.
    subscribed: RefCell<BTreeMap<String, Topic>>,
}

async fn surroundings(member: &Member) -> Result<Surroundings, CallFailed> {
    let target = &member.target;
    let trails = trails::all(member).await?;
    let mut of_every_region = trails.iter().filter(|it| trails::is_multi_region(it));
    let own: Vec<_> = of_every_region
        .clone()
        .filter(|trail| !trails::is_of_organization(trail, target))
        .collect();
    let log_group = own.iter().find_map(|trail| {
        let arn = trail.cloud_watch_logs_log_group_arn.as_deref()?;
        Some(TrailFacts::LogGroup {
            name: log_group_of(arn, target)?.to_owned(),
            region: trails::home(trail, target).to_owned(),
        })
    });
    let trail = match log_group {
        Some(log_group) => log_group,
        None if !own.is_empty() => TrailFacts::NoLogGroup,
        None if of_every_region.next().is_some() => TrailFacts::Organizations,
        None => TrailFacts::NoTrail,
    };
    Ok(Surroundings {
        trail,
        subscribed: RefCell::default(),
    })
}

/// The name in the ARN of a log group of this account (`…:log-group:<name>:*`).
fn log_group_of<'a>(arn: &'a str, target: &Target) -> Option<&'a str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, "logs", _, account, path] = parts[..] else {
        return None;
    };
    let name = path.strip_prefix("log-group:")?;
    (account == target.account.as_str()).then(|| name.strip_suffix(":*").unwrap_or(name))
}

impl FiltersState {
    /// The patterns that no filter with an alarm has.
    fn missing(&self, filter: &CisFilter) -> Vec<String> {
        let mut patterns: Vec<String> = filter.patterns().collect();
        patterns.retain(|pattern| !self.metric_filters.values().any(|it| it == pattern));
        patterns
    }
}

impl Action for MetricFilters {
    type State = FiltersState;

    async fn read(&self, member: &Member, order: &Order) -> Result<FiltersState, CallFailed> {
        let surroundings = member.once(async || surroundings(member).await).await?;
        let mut state = FiltersState {
            log_group: None,
            metric_filters: BTreeMap::new(),
            alarms: Vec::new(),
            topic: None,
            trail: surroundings.trail.clone(),
        };
        let (Some(filter), TrailFacts::LogGroup { name, region }) =
            (CisFilter::of(&order.control), &surroundings.trail)
        else {
            return Ok(state);
        };
        let member = member.in_region(region);
        let found = filters(&member, name, filter).await?;
        let alarms = alarms(&member, &found).await?;
        let ours = own_topic(&member.target, region);
        let mut topics: Vec<&str> = alarms.iter().map(|(_, it)| it.topic.as_str()).collect();
        topics.push(&ours);
        topics.dedup();
        state.topic = first_subscribed(&member, &surroundings, &topics).await?;
        // An alarm that nobody receives is none.
        for (filter, alarm) in alarms {
            if state.topic.as_ref().is_some_and(|it| it.arn == alarm.topic) {
                if !state.alarms.contains(&alarm.name) {
                    state.alarms.push(alarm.name);
                }
                state.metric_filters.extend(named(&filter));
            }
        }
        state.log_group = Some(name.clone());
        Ok(state)
    }

    fn plan(&self, state: &FiltersState, order: &Order) -> Plan<FiltersState> {
        let Some(filter) = CisFilter::of(&order.control) else {
            return Plan::NotApplicable("the control asks for no metric filter".to_owned());
        };
        match &state.trail {
            TrailFacts::NoTrail => return Plan::Needs("CloudTrail.1"),
            TrailFacts::NoLogGroup => return Plan::Needs("CloudTrail.5"),
            TrailFacts::Organizations => {
                return Plan::NotApplicable(
                    "a trail of the organization records this account: its metric filters are in the account that \
                     has its log group"
                        .to_owned(),
                );
            }
            TrailFacts::LogGroup { .. } => {}
        }
        let Some(topic) = &state.topic else {
            return Plan::Blocked("the topic of the alarms is not known".to_owned());
        };
        let missing = state.missing(filter);
        let email = parameters::text(order, "email");
        if !topic.is_received() {
            if missing.is_empty() && topic.unconfirmed > 0 {
                return Plan::Blocked(format!(
                    "the subscription to the topic {TOPIC} has not been confirmed: somebody has to follow the link in \
                     the e-mail"
                ));
            }
            if topic.unconfirmed == 0 && email.is_none() {
                return Plan::Blocked(format!(
                    "nobody would receive the alarm: name an e-mail address for this control by the parameter email, \
                     or subscribe somebody to the topic {TOPIC}"
                ));
            }
        } else if missing.is_empty() {
            return Plan::Compliant;
        }
        let mut after = state.clone();
        for (number, pattern) in filter.patterns().enumerate() {
            if missing.contains(&pattern) {
                after
                    .metric_filters
                    .insert(own_filter(filter, number), pattern);
            }
        }
        let alarm = own_alarm(filter);
        if !missing.is_empty() && !after.alarms.contains(&alarm) {
            after.alarms.push(alarm);
        }
        if let Some(topic) = &mut after.topic {
            let asked = usize::from(topic.subscribers == 0);
            topic.subscribers += asked;
            topic.unconfirmed += asked;
            topic.exists = true;
        }
        Plan::Change(after)
    }

    async fn apply(
        &self,
        member: &Member,
        order: &Order,
        before: &FiltersState,
        after: &FiltersState,
    ) -> Result<(), CallFailed> {
        let (Some(filter), TrailFacts::LogGroup { name, region }, Some(topic)) =
            (CisFilter::of(&order.control), &before.trail, &before.topic)
        else {
            return Ok(());
        };
        let member = member.in_region(region);
        let gone = before
            .metric_filters
            .keys()
            .filter(|name| !after.metric_filters.contains_key(*name));
        let mut is_gone = false;
        for filter_name in gone {
            delete_filter(&member, name, filter_name).await?;
            is_gone = true;
        }
        if is_gone {
            // The topic and those who receive it stay: other alarms use them.
            return delete_alarms(&member, before, after).await;
        }
        if !topic.exists {
            create_topic(&member).await?;
        }
        if topic.subscribers == 0 {
            let email = parameters::text(order, "email").unwrap_or_default();
            subscribe(&member, &topic.arn, email).await?;
        }
        let new = after
            .metric_filters
            .iter()
            .filter(|(name, _)| !before.metric_filters.contains_key(*name));
        let mut is_new = false;
        for (filter_name, pattern) in new {
            put_filter(&member, name, filter, filter_name, pattern).await?;
            is_new = true;
        }
        if is_new {
            put_alarm(&member, filter, &topic.arn).await?;
        }
        Ok(())
    }

    fn comparable(&self, mut state: Value) -> Value {
        // A subscription cannot be taken back before it is confirmed, and others use the topic.
        if let Some(members) = state.as_object_mut() {
            members.remove("Topic");
        }
        state
    }
}

async fn delete_filter(member: &Member, log_group: &str, name: &str) -> Result<(), CallFailed> {
    member_client!(aws_sdk_cloudwatchlogs, member)
        .delete_metric_filter()
        .log_group_name(log_group)
        .filter_name(name)
        .send()
        .await
        .map_err(failed(Service::CloudWatchLogs, "DeleteMetricFilter"))?;
    Ok(())
}

/// Deletes the alarms that a fix created.
async fn delete_alarms(
    member: &Member,
    before: &FiltersState,
    after: &FiltersState,
) -> Result<(), CallFailed> {
    let gone = before.alarms.iter();
    let gone: Vec<String> = gone
        .filter(|name| !after.alarms.contains(name))
        .cloned()
        .collect();
    if gone.is_empty() {
        return Ok(());
    }
    member_client!(aws_sdk_cloudwatch, member)
        .delete_alarms()
        .set_alarm_names(Some(gone))
        .send()
        .await
        .map_err(failed(Service::CloudWatch, "DeleteAlarms"))?;
    Ok(())
}

fn own_topic(target: &Target, region: &str) -> String {
    let (partition, account) = (target.partition(), &target.account);
    format!("arn:{partition}:sns:{region}:{account}:{TOPIC}")
}

fn own_alarm(filter: &CisFilter) -> String {
    format!("orgkeeper-cis-{}", filter.name)
}

fn own_filter(filter: &CisFilter, number: usize) -> String {
    match number {
        0 => own_alarm(filter),
        _ => format!("{}-{}", own_alarm(filter), number + 1),
    }
}

/// Name and pattern of a filter.
fn named(filter: &MetricFilter) -> Option<(String, String)> {
    filter
        .filter_name
        .clone()
        .zip(filter.filter_pattern.clone())
}

/// The filters of a log group that have one of the patterns.
async fn filters(
    member: &Member,
    log_group: &str,
    wanted: &CisFilter,
) -> Result<Vec<MetricFilter>, CallFailed> {
    let patterns: Vec<String> = wanted.patterns().collect();
    let mut found = Vec::new();
    let mut all = member_client!(aws_sdk_cloudwatchlogs, member)
        .describe_metric_filters()
        .log_group_name(log_group)
        .into_paginator()
        .items()
        .send();
    while let Some(filter) = all.next().await {
        let filter = filter.map_err(failed(Service::CloudWatchLogs, "DescribeMetricFilters"))?;
        let pattern = filter.filter_pattern.as_deref().unwrap_or_default();
        if patterns.iter().any(|it| it == pattern) {
            found.push(filter);
        }
    }
    Ok(found)
}

/// An alarm, and a topic of the account that it is sent to.
#[derive(Clone)]
struct Alarm {
    name: String,
    topic: String,
}

/// The filters that have alarms, one entry for each alarm and topic.
async fn alarms(
    member: &Member,
    filters: &[MetricFilter],
) -> Result<Vec<(MetricFilter, Alarm)>, CallFailed> {
    let mut of_metrics: BTreeMap<(String, String), Vec<Alarm>> = BTreeMap::new();
    let mut found = Vec::new();
    for filter in filters {
        for metric in filter.metric_transformations.iter().flatten() {
            let key = (metric.metric_namespace.clone(), metric.metric_name.clone());
            let alarms = match of_metrics.get(&key) {
                Some(alarms) => alarms.clone(),
                None => of_metric(member, &key).await?,
            };
            found.extend(alarms.iter().map(|alarm| (filter.clone(), alarm.clone())));
            of_metrics.insert(key, alarms);
        }
    }
    Ok(found)
}

async fn of_metric(
    member: &Member,
    (namespace, name): &(String, String),
) -> Result<Vec<Alarm>, CallFailed> {
    let answer = member_client!(aws_sdk_cloudwatch, member)
        .describe_alarms_for_metric()
        .namespace(namespace)
        .metric_name(name)
        .send()
        .await
        .map_err(failed(Service::CloudWatch, "DescribeAlarmsForMetric"))?;
    let alarms = answer.metric_alarms.unwrap_or_default();
    Ok(alarms
        .iter()
        .flat_map(|alarm| own_topics(alarm, &member.target))
        .collect())
}

/// The topics of the account that an alarm is sent to.
fn own_topics(alarm: &MetricAlarm, target: &Target) -> Vec<Alarm> {
    let Some(name) = alarm
        .alarm_name
        .as_ref()
        .filter(|_| alarm.actions_enabled != Some(false))
    else {
        return Vec::new();
    };
    let actions = alarm.alarm_actions.iter().flatten();
    actions
        .filter(|action| {
            let parts: Vec<&str> = action.splitn(6, ':').collect();
            matches!(parts[..], [_, _, "sns", _, account, _] if account == target.account.as_str())
        })
        .map(|topic| Alarm {
            name: name.clone(),
            topic: topic.clone(),
        })
        .collect()
}

/// The first topic that somebody receives; the last one if there is none.
async fn first_subscribed(
    member: &Member,
    surroundings: &Rc<Surroundings>,
    topics: &[&str],
) -> Result<Option<Topic>, CallFailed> {
    let mut last = None;
    for arn in topics {
        let known = surroundings.subscribed.borrow().get(*arn).cloned();
        let topic = match known {
            Some(known) => known,
            None => topic(member, arn).await?,
        };
        let is_received = topic.is_received();
        last = Some(topic.clone());
        if is_received {
            let mut subscribed = surroundings.subscribed.borrow_mut();
            subscribed.insert((*arn).to_owned(), topic);
            break;
        }
    }
    Ok(last)
}

async fn topic(member: &Member, arn: &str) -> Result<Topic, CallFailed> {
    let mut topic = Topic {
        arn: arn.to_owned(),
        subscribers: 0,
        unconfirmed: 0,
        exists: true,
    };
    let mut subscriptions = member_client!(aws_sdk_sns, member)
        .list_subscriptions_by_topic()
        .topic_arn(arn)
        .into_paginator()
        .items()
        .send();
    while let Some(subscription) = subscriptions.next().await {
        let subscription = subscription.map_err(failed(Service::Sns, "ListSubscriptionsByTopic"));
        match subscription {
            // In place of the ARN it can say "PendingConfirmation" or "Deleted".
            Ok(it) => {
                let state = it.subscription_arn.as_deref().unwrap_or_default();
                topic.subscribers += usize::from(state != "Deleted");
                topic.unconfirmed += usize::from(state != "Deleted" && !state.starts_with("arn:"));
            }
            Err(error) if error.class() == AwsErrorClass::NotFound => {
                topic.exists = false;
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(topic)
}

async fn create_topic(member: &Member) -> Result<(), CallFailed> {
    member_client!(aws_sdk_sns, member)
        .create_topic()
        .name(TOPIC)
        .send()
        .await
        .map_err(failed(Service::Sns, "CreateTopic"))?;
    Ok(())
}

async fn subscribe(member: &Member, topic: &str, email: &str) -> Result<(), CallFailed> {
    member_client!(aws_sdk_sns, member)
        .subscribe()
        .topic_arn(topic)
        .protocol("email")
        .endpoint(email)
        .send()
        .await
        .map_err(failed(Service::Sns, "Subscribe"))?;
    Ok(())
}

async fn put_filter(
    member: &Member,
    log_group: &str,
    filter: &CisFilter,
    name: &str,
    pattern: &str,
) -> Result<(), CallFailed> {
    const OPERATION: &str = "PutMetricFilter";
    let metric = MetricTransformation::builder()
        .metric_namespace(NAMESPACE)
        .metric_name(filter.name)
        .metric_value("1")
        .build()
        .map_err(incomplete(Service::CloudWatchLogs, OPERATION))?;
    member_client!(aws_sdk_cloudwatchlogs, member)
        .put_metric_filter()
        .log_group_name(log_group)
        .filter_name(name)
        .filter_pattern(pattern)
        .metric_transformations(metric)
        .send()
        .await
        .map_err(failed(Service::CloudWatchLogs, OPERATION))?;
    Ok(())
}

async fn put_alarm(member: &Member, filter: &CisFilter, topic: &str) -> Result<(), CallFailed> {
    member_client!(aws_sdk_cloudwatch, member)
        .put_metric_alarm()
        .alarm_name(own_alarm(filter))
        .alarm_description(format!("{} of Security Hub", filter.control))
        .namespace(NAMESPACE)
        .metric_name(filter.name)
        .statistic(Statistic::Sum)
        .period(300)
        .evaluation_periods(1)
        .threshold(1.0)
        .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
        .treat_missing_data("notBreaching")
        .alarm_actions(topic)
        .send()
        .await
        .map_err(failed(Service::CloudWatch, "PutMetricAlarm"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests::account_order;

    const EMAIL: &[(&str, &str)] = &[("email", "security@example.com")];

    fn state(confirmed: usize, unconfirmed: usize) -> FiltersState {
        FiltersState {
            log_group: Some("g".to_owned()),
            metric_filters: BTreeMap::new(),
            alarms: Vec::new(),
            topic: Some(Topic {
                arn: "arn:aws:sns:eu-west-1:111122223333:orgkeeper-cis".to_owned(),
                subscribers: confirmed + unconfirmed,
                unconfirmed,
                exists: true,
            }),
            trail: TrailFacts::LogGroup {
                name: "g".to_owned(),
                region: "eu-west-1".to_owned(),
            },
        }
    }

    fn planned(
        control: &str,
        state: &FiltersState,
        parameters: &[(&str, &str)],
    ) -> Plan<FiltersState> {
        MetricFilters.plan(state, &account_order(control, parameters))
    }

    fn changed(plan: Plan<FiltersState>) -> FiltersState {
        match plan {
            Plan::Change(after) => after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_trail_with_a_log_group_comes_first() {
        for (trail, expected) in [
            (TrailFacts::NoTrail, Plan::Needs("CloudTrail.1")),
            (TrailFacts::NoLogGroup, Plan::Needs("CloudTrail.5")),
        ] {
            let state = FiltersState {
                trail,
                ..state(1, 0)
            };
            assert_eq!(planned("CloudWatch.1", &state, &[]), expected);
        }
        let organizations = FiltersState {
            trail: TrailFacts::Organizations,
            ..state(1, 0)
        };
        assert!(matches!(
            planned("CloudWatch.1", &organizations, &[]),
            Plan::NotApplicable(_)
        ));
    }

    #[test]
    fn filter_and_alarm_are_added_where_somebody_receives_them() {
        for control in ["CloudWatch.1", "CloudWatch.13"] {
            let after = changed(planned(control, &state(1, 0), &[]));
            let patterns = CisFilter::of(control).unwrap().patterns();
            assert_eq!(after.metric_filters.len(), patterns.count());
            assert_eq!(after.alarms.len(), 1);
            assert_eq!(after.topic, state(1, 0).topic);
            assert_eq!(planned(control, &after, &[]), Plan::Compliant);
        }
    }

    #[test]
    fn a_filter_of_others_counts() {
        let pattern = CisFilter::of("CloudWatch.13")
            .unwrap()
            .patterns()
            .next()
            .unwrap();
        let mut state = state(1, 0);
        state.metric_filters.insert("theirs".to_owned(), pattern);
        state.alarms.push("theirs".to_owned());
        let after = changed(planned("CloudWatch.13", &state, &[]));
        let names: Vec<_> = after.metric_filters.keys().collect();
        assert_eq!(names, ["orgkeeper-cis-route-table-changes-2", "theirs"]);
    }

    #[test]
    fn somebody_has_to_receive_the_alarm() {
        let nobody = state(0, 0);
        assert!(
            matches!(planned("CloudWatch.1", &nobody, &[]), Plan::Blocked(reason) if reason.contains("email"))
        );
        let after = changed(planned("CloudWatch.1", &nobody, EMAIL));
        assert_eq!(after.topic.as_ref().unwrap().unconfirmed, 1);
        // Until the link in the e-mail is followed.
        for parameters in [&[][..], EMAIL] {
            let again = planned("CloudWatch.1", &after, parameters);
            assert!(matches!(again, Plan::Blocked(reason) if reason.contains("confirmed")));
        }
        // Another control's filter is added meanwhile.
        let other = changed(planned("CloudWatch.2", &state(0, 1), &[]));
        assert_eq!(other.topic, state(0, 1).topic);
    }

    #[test]
    fn a_log_group_is_one_of_the_account() {
        let target = account_order("CloudWatch.1", &[]).target;
        for (arn, name) in [
            (
                "arn:aws:logs:eu-west-1:111122223333:log-group:/a/b:*",
                Some("/a/b"),
            ),
            ("arn:aws:logs:eu-west-1:111122223333:log-group:c", Some("c")),
            ("arn:aws:logs:eu-west-1:444455556666:log-group:c:*", None),
            ("c", None),
        ] {
            assert_eq!(log_group_of(arn, &target), name, "{arn}");
        }
    }

    #[test]
    fn an_alarm_is_sent_to_a_topic_of_the_account() {
        let target = account_order("CloudWatch.1", &[]).target;
        let alarm = |topic: &str, enabled| {
            let alarm = MetricAlarm::builder()
                .alarm_name("a")
                .actions_enabled(enabled)
                .alarm_actions(topic)
                .build();
            own_topics(&alarm, &target).len()
        };
        assert_eq!(alarm("arn:aws:sns:eu-west-1:111122223333:t", true), 1);
        assert_eq!(alarm("arn:aws:sns:eu-west-1:111122223333:t", false), 0);
        assert_eq!(alarm("arn:aws:sns:eu-west-1:444455556666:t", true), 0);
        assert_eq!(
            alarm("arn:aws:lambda:eu-west-1:111122223333:function:f", true),
            0
        );
    }
}
