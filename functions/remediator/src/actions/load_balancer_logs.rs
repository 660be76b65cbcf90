//! ELB.5: access logs of an application load balancer.

use aws_sdk_elasticloadbalancingv2::types::LoadBalancerAttribute;
use orgkeeper_shared::{aws_error::Service, remediation::order::Order};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::buckets::{OwnBucket, access_log_bucket, arn_of, require_tls};
use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client, parameters,
    refusal::{CallFailed, failed},
    row,
};

/// The action of this file.
pub(super) const ROWS: &[Row] = &[row!("load-balancer-logs", LoadBalancerLogs,
reads: ["elasticloadbalancing:DescribeLoadBalancerAttributes" on "*"],
writes: [
    "elasticloadbalancing:ModifyLoadBalancerAttributes" on "{resource}",
    "s3:GetBucketPolicy" on "arn:{partition}:s3:::orgkeeper-access-logs-{account}-*",
    "s3:CreateBucket" on "arn:{partition}:s3:::orgkeeper-access-logs-{account}-*",
    "s3:PutBucketPolicy" on "arn:{partition}:s3:::orgkeeper-access-logs-{account}-*",
],
undo: ["elasticloadbalancing:ModifyLoadBalancerAttributes" on "{resource}"])];

const ENABLED: &str = "access_logs.s3.enabled";
const BUCKET: &str = "access_logs.s3.bucket";
const PREFIX: &str = "access_logs.s3.prefix";
/// The folder in the bucket, beside those of buckets.
const OWN_PREFIX: &str = "load-balancers";

/// ELB.5.
struct LoadBalancerLogs;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogsState {
    /// Nothing if they are off: the bucket that the attributes then name has no effect.
    access_logs: Option<Destination>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    bucket: String,
    prefix: String,
}

impl Action for LoadBalancerLogs {
    type State = LogsState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<LogsState, CallFailed> {
        let answer = member_client!(aws_sdk_elasticloadbalancingv2, member)
            .describe_load_balancer_attributes()
            .load_balancer_arn(&member.target.resource)
            .send()
            .await
            .map_err(failed(
                Service::LoadBalancing,
                "DescribeLoadBalancerAttributes",
            ))?;
        let value = |key: &str| {
            let attribute = answer.attributes().iter().find(|it| it.key() == Some(key));
            attribute
                .and_then(LoadBalancerAttribute::value)
                .unwrap_or_default()
                .to_owned()
        };
        let access_logs = (value(ENABLED) == "true").then(|| Destination {
            bucket: value(BUCKET),
            prefix: value(PREFIX),
        });
        Ok(LogsState { access_logs })
    }

    fn plan(&self, state: &LogsState, order: &Order) -> Plan<LogsState> {
        if state.access_logs.is_some() {
            return Plan::Compliant;
        }
        let target = &order.target;
        let bucket = match parameters::log_bucket(order) {
            Some(theirs) => theirs.to_owned(),
            None => access_log_bucket(target, &target.region).name,
        };
        Plan::Change(LogsState {
            access_logs: Some(Destination {
                bucket,
                prefix: OWN_PREFIX.to_owned(),
            }),
        })
    }

    async fn apply(
        &self,
        member: &Member,
        order: &Order,
        _before: &LogsState,
        after: &LogsState,
    ) -> Result<(), CallFailed> {
        let mut attributes = vec![attribute(ENABLED, &after.access_logs.is_some().to_string())];
        if let Some(logs) = &after.access_logs {
            attributes.push(attribute(BUCKET, &logs.bucket));
            attributes.push(attribute(PREFIX, &logs.prefix));
            if parameters::log_bucket(order).is_none() {
                let ours = access_log_bucket(&member.target, &member.target.region);
                ours.complete(member, statements(member, &ours)).await?;
            }
        }
        member_client!(aws_sdk_elasticloadbalancingv2, member)
            .modify_load_balancer_attributes()
            .load_balancer_arn(&member.target.resource)
            .set_attributes(Some(attributes))
            .send()
            .await
            .map_err(failed(
                Service::LoadBalancing,
                "ModifyLoadBalancerAttributes",
            ))?;
        Ok(())
    }
}

fn attribute(key: &str, value: &str) -> LoadBalancerAttribute {
    LoadBalancerAttribute::builder()
        .key(key)
        .value(value)
        .build()
}

/// Lets Elastic Load Balancing write the logs of this account's load balancers, over TLS only ("Enable access logs for your
/// Application Load Balancer"). It looks whether it may write before it accepts the attributes.
fn statements(member: &Member, log_bucket: &OwnBucket) -> Vec<Value> {
    let target = &member.target;
    let bucket = arn_of(target, &log_bucket.name);
    let write = json!({
        "Sid": "OrgkeeperLoadBalancerLogs",
        "Effect": "Allow",
        "Principal": { "Service": "logdelivery.elasticloadbalancing.amazonaws.com" },
        "Action": "s3:PutObject",
        "Resource": format!("{bucket}/{OWN_PREFIX}/AWSLogs/{}/*", target.account),
    });
    vec![write, require_tls(target, &log_bucket.name)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests::order;

    const BALANCER: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/50dc6c495c0c9188";

    #[test]
    fn logs_go_to_a_bucket_of_the_same_region_or_to_the_one_that_is_named() {
        for (parameters, bucket) in [
            (&[][..], "orgkeeper-access-logs-111122223333-eu-west-1"),
            (&[("log_bucket", "central")], "central"),
        ] {
            let order = order("ELB.5", BALANCER, parameters);
            let Plan::Change(planned) =
                LoadBalancerLogs.plan(&LogsState { access_logs: None }, &order)
            else {
                panic!("nothing is changed");
            };
            assert_eq!(planned.access_logs.as_ref().unwrap().bucket, bucket);
            assert_eq!(LoadBalancerLogs.plan(&planned, &order), Plan::Compliant);
        }
    }
}
