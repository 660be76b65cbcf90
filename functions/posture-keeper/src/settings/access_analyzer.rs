//! An analyzer of the whole organization in each Region.

use orgkeeper_shared::{aws_error::AwsCallError, posture::setting_record::Difference};
use serde_json::{Value, json};

use crate::{
    difference::{Closed, differs},
    look::Look,
    operation::{ACCESS_ANALYZER_CREATE, ACCESS_ANALYZER_DELETE, ACCESS_ANALYZER_LIST},
    setting::Setting,
    wanted::Wanted,
};

/// Its name.
const NAME: &str = "orgkeeper-organization";

pub(super) static SETTING: Setting = Setting {
    names: &["access-analyzer-analyzer"],
    operations: &[
        &ACCESS_ANALYZER_LIST,
        &ACCESS_ANALYZER_CREATE,
        &ACCESS_ANALYZER_DELETE,
    ],
    needs: &[
        "iam:CreateServiceLinkedRole",
        "organizations:DescribeOrganization",
        "organizations:ListAWSServiceAccessForOrganization",
        "organizations:ListDelegatedAdministrators",
    ],
    read: |look| Box::pin(read(look)),
    differs: found,
};

async fn read(look: &Look<'_>) -> Result<Value, AwsCallError> {
    let of_organization = json!({ "type": "ORGANIZATION" });
    let list = look.list(&ACCESS_ANALYZER_LIST, &of_organization, "analyzers");
    let list = list.await?;
    let analyzers = list.iter().map(|analyzer| {
        json!({ "name": analyzer["name"], "status": analyzer["status"], "reason": analyzer["statusReason"]["code"] })
    });
    Ok(json!({ "analyzers": analyzers.collect::<Vec<_>>() }))
}

fn found(_wanted: &Wanted<'_>, seen: &Value) -> Vec<Difference> {
    let analyzers = seen["analyzers"].as_array();
    let analyzers: Vec<&Value> = analyzers.into_iter().flatten().collect();
    if analyzers.iter().any(|it| it["status"] == "ACTIVE") {
        return Vec::new();
    }
    let Some(analyzer) = analyzers.first() else {
        let create = json!({ "analyzerName": NAME, "type": "ORGANIZATION" });
        return vec![
            differs("analyzer of the organization", "none", "ACTIVE")
                .by(&ACCESS_ANALYZER_CREATE, &create)
                .undone_by(&ACCESS_ANALYZER_DELETE, &json!({ "analyzerName": NAME })),
        ];
    };
    let status = analyzer["status"].as_str().unwrap_or_default();
    let difference = differs("analyzer of the organization", status, "ACTIVE");
    vec![if status == "CREATING" {
        difference.later("it is being created")
    } else {
        let reason = analyzer["reason"].as_str().unwrap_or("no reason given");
        difference.refused(format!(
            "Access Analyzer says {reason}: delete it, then it is created"
        ))
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{ADMINISTRATOR, calls, differences};

    #[test]
    fn one_analyzer_is_enough_whatever_its_name() {
        let of = |analyzers: Value| {
            differences(
                "access-analyzer-analyzer",
                "[services]\naccess-analyzer = { on = true }",
                (ADMINISTRATOR, "eu-west-1"),
                &json!({ "analyzers": analyzers }),
            )
        };
        assert_eq!(
            calls(&of(json!([]))),
            [r#"CreateAnalyzer {"analyzerName":"orgkeeper-organization","type":"ORGANIZATION"}"#]
        );
        assert!(of(json!([{ "name": "theirs", "status": "ACTIVE" }])).is_empty());
        assert!(
            of(json!([{ "name": "x", "status": "CREATING" }]))[0]
                .later
                .is_some()
        );
        let failed =
            of(json!([{ "name": "x", "status": "FAILED", "reason": "ORGANIZATION_DELETED" }]));
        assert!(
            failed[0]
                .refused
                .as_ref()
                .unwrap()
                .contains("ORGANIZATION_DELETED")
        );
    }
}
