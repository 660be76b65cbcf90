//! The shares of the published rates against `template.yaml`: how many invocations share one, and who needs one.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::gateway::rates::{INVOCATIONS_AT_ONCE, PublishedRate, RATES};
use orgkeeper_tests::template::{Template, branches};
use serde_json::Value;

/// The statement with what Account Factory calls with the caller's permissions. The function itself calls none of it.
const OF_ACCOUNT_FACTORY: &str = "AccountFactory";
/// The bucket of all operations of IAM Identity Center's service.
const ALL_OPERATIONS: &str = "IAM Identity Center";

/// The functions of the template, each by the name of its folder.
fn functions(template: &Template) -> BTreeMap<&str, &Value> {
    let functions =
        template
            .resources_of_type("AWS::Serverless::Function")
            .map(|(logical_id, properties)| {
                let folder = properties["CodeUri"].as_str().and_then(|uri| {
                    let uri = uri.trim_end_matches('/');
                    uri.strip_prefix("target/lambda/")
                });
                (folder.unwrap_or(logical_id), properties)
            });
    functions.collect()
}

/// The invocations at once that the event sources of a function allow.
fn invocations_at_once(properties: &Value) -> Option<u64> {
    let sources = properties["Events"].as_object().into_iter().flatten();
    sources
        .map(|(_, source)| match source["Type"].as_str()? {
            // A shard has one invocation, unless the template says otherwise.
            "DynamoDB" => Some(
                source["Properties"]["ParallelizationFactor"]
                    .as_u64()
                    .unwrap_or(1),
            ),
            _ => source["Properties"]["ScalingConfig"]["MaximumConcurrency"].as_u64(),
        })
        .sum()
}

/// Whether a function may call an operation that counts against `rate`.
fn may_call(template: &Template, properties: &Value, rate: &PublishedRate) -> bool {
    template
        .statements_of_role(properties)
        .unwrap()
        .into_iter()
        .filter(|statement| {
            statement["Effect"] == "Allow" && statement["Sid"] != OF_ACCOUNT_FACTORY
        })
        .flat_map(|statement| branches(&statement["Action"]))
        .filter_map(|action| action.as_str()?.split_once(':'))
        .any(|(service, operation)| {
            let counts = match operation.strip_suffix('*') {
                Some(start) => rate.bucket.starts_with(start),
                None => rate.bucket == operation,
            };
            service == rate.service && (counts || rate.bucket == ALL_OPERATIONS)
        })
}

#[test]
fn a_share_is_divided_among_the_invocations_that_the_template_allows() {
    let template = Template::load("template.yaml").unwrap();
    let functions = functions(&template);
    for (name, invocations) in INVOCATIONS_AT_ONCE {
        let properties = functions.get(name).copied().unwrap_or(&Value::Null);
        assert_eq!(
            invocations_at_once(properties),
            Some(u64::from(*invocations)),
            "{name}"
        );
    }
}

#[test]
fn whoever_may_call_an_operation_has_a_share_of_its_rate_and_nobody_else() {
    let template = Template::load("template.yaml").unwrap();
    let functions = functions(&template);
    for rate in RATES {
        let callers: BTreeSet<&str> = functions
            .iter()
            .filter(|(_, properties)| may_call(&template, properties, rate))
            .map(|(name, _)| *name)
            .collect();
        let shares: BTreeSet<&str> = rate.shares.iter().map(|(name, _)| *name).collect();
        assert_eq!(callers, shares, "{}.{}", rate.service, rate.bucket);
    }
}
