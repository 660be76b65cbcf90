//! What DevOps Guru analyses in an account and Region: every stack, unless somebody has chosen resources by a tag.

use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    posture::setting_record::Difference,
};
use serde_json::{Value, json};

use crate::{
    difference::{Closed, differs},
    look::Look,
    operation::{DEVOPS_GURU_GET_COVERAGE, DEVOPS_GURU_UPDATE_COVERAGE},
    setting::Setting,
    wanted::Wanted,
};

/// Every stack.
const EVERY: &str = "*";

pub(super) static SETTING: Setting = Setting {
    names: &["devops-guru-coverage"],
    operations: &[&DEVOPS_GURU_GET_COVERAGE, &DEVOPS_GURU_UPDATE_COVERAGE],
    needs: &["iam:CreateServiceLinkedRole"],
    read: |look| Box::pin(read(look)),
    differs: found,
};

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let stacks = collection(look, "AWS_CLOUD_FORMATION").await?;
    let stacks = stacks["CloudFormation"]["StackNames"].clone();
    let has_every = |all: &Vec<Value>| all.iter().any(|name| name == EVERY);
    let tags = if stacks.as_array().is_some_and(has_every) {
        Value::Null
    } else {
        collection(look, "AWS_TAGS").await?["Tags"].clone()
    };
    Ok(json!({ "stacks": stacks, "tags": tags }))
}

async fn collection(look: &Look<'_>, kind: &str) -> Result<Value, AwsCallError> {
    let of_kind = json!({ "ResourceCollectionType": kind });
    match look.call(&DEVOPS_GURU_GET_COVERAGE, &of_kind).await {
        Ok(mut answer) => Ok(answer["ResourceCollection"].take()),
        Err(error) if error.class() == AwsErrorClass::NotFound => Ok(Value::Null),
        Err(error) => Err(error),
    }
}

fn found(_wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    let names = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let stacks = names(&seen["stacks"]);
    if stacks.iter().any(|name| name == EVERY) || !names(&seen["tags"]).is_empty() {
        return Vec::new();
    }
    let is = if stacks.is_empty() {
        "nothing".to_owned()
    } else {
        format!("{} stacks", stacks.len())
    };
    let update = |action: &str| json!({ "Action": action, "ResourceCollection": { "CloudFormation": { "StackNames": [EVERY] } } });
    vec![
        differs("coverage", is, "every stack")
            .by(&DEVOPS_GURU_UPDATE_COVERAGE, &update("ADD"))
            .undone_by(&DEVOPS_GURU_UPDATE_COVERAGE, &update("REMOVE")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{MEMBER, calls, differences};

    #[test]
    fn every_stack_is_covered_unless_a_tag_says_what_is() {
        let of = |seen: &Value| {
            let file = "[services]\ndevops-guru = { on = true }";
            differences("devops-guru-coverage", file, (MEMBER, "eu-west-1"), seen)
        };
        assert_eq!(
            calls(&of(&json!({ "stacks": ["shop"] }))),
            [
                r#"UpdateResourceCollection {"Action":"ADD","ResourceCollection":{"CloudFormation":{"StackNames":["*"]}}}"#
            ]
        );
        assert!(of(&json!({ "stacks": ["*"] })).is_empty());
        assert!(of(&json!({ "tags": [{ "AppBoundaryKey": "devops-guru-app" }] })).is_empty());
    }
}
