//! IAM.28: an analyzer of external access in every Region.

use aws_sdk_accessanalyzer::types::{AnalyzerStatus, Type};
use orgkeeper_shared::{
    aws_error::{AwsErrorClass, Service},
    remediation::order::Order,
};
use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    refusal::{CallFailed, failed},
    row,
};

/// The action of this file.
pub(super) const ROWS: &[Row] = &[row!("access-analyzer", Analyzer,
reads: ["access-analyzer:ListAnalyzers" on "*"],
writes: [
    "access-analyzer:CreateAnalyzer" on "arn:{partition}:access-analyzer:{region}:{account}:analyzer/orgkeeper",
    "iam:CreateServiceLinkedRole" on "arn:{partition}:iam::{account}:role/aws-service-role/access-analyzer.amazonaws.com/AWSServiceRoleForAccessAnalyzer",
],
undo: ["access-analyzer:DeleteAnalyzer" on "arn:{partition}:access-analyzer:{region}:{account}:analyzer/orgkeeper"],
)];

/// IAM.28.
struct Analyzer;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnalyzerState {
    analyzers: Vec<Found>,
}

/// An analyzer of external access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    name: String,
    r#type: String,
    status: String,
}

const NAME: &str = "orgkeeper";

impl Action for Analyzer {
    type State = AnalyzerState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<AnalyzerState, CallFailed> {
        let mut analyzers = Vec::new();
        let mut pages = member_client!(aws_sdk_accessanalyzer, member)
            .list_analyzers()
            .into_paginator()
            .items()
            .send();
        while let Some(analyzer) = pages.next().await {
            let analyzer = analyzer.map_err(failed(Service::AccessAnalyzer, "ListAnalyzers"))?;
            // Others look for unused or internal access.
            if [Type::Account, Type::Organization].contains(&analyzer.r#type) {
                analyzers.push(Found {
                    name: analyzer.name,
                    r#type: analyzer.r#type.as_str().to_owned(),
                    status: analyzer.status.as_str().to_owned(),
                });
            }
        }
        Ok(AnalyzerState { analyzers })
    }

    fn plan(&self, state: &AnalyzerState, _order: &Order) -> Plan<AnalyzerState> {
        let works = [AnalyzerStatus::Active, AnalyzerStatus::Creating];
        if state
            .analyzers
            .iter()
            .any(|it| works.iter().any(|status| status.as_str() == it.status))
        {
            return Plan::Compliant;
        }
        let account = Type::Account.as_str();
        // A Region has one analyzer for the account.
        if let Some(broken) = state.analyzers.iter().find(|it| it.r#type == account) {
            return Plan::Blocked(format!(
                "the analyzer {} is {}: delete it, and orgkeeper creates another one",
                broken.name, broken.status
            ));
        }
        let mut after = state.clone();
        after.analyzers.push(Found {
            name: NAME.to_owned(),
            r#type: account.to_owned(),
            status: AnalyzerStatus::Active.as_str().to_owned(),
        });
        Plan::Change(after)
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &AnalyzerState,
        after: &AnalyzerState,
    ) -> Result<(), CallFailed> {
        if !after.analyzers.iter().any(|it| it.name == NAME) {
            return delete(member).await;
        }
        let created = member_client!(aws_sdk_accessanalyzer, member)
            .create_analyzer()
            .analyzer_name(NAME)
            .r#type(Type::Account)
            .send()
            .await
            .map_err(failed(Service::AccessAnalyzer, "CreateAnalyzer"));
        match created {
            // It exists meanwhile.
            Err(error) if !error.has_code("ConflictException") => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Deletes our analyzer.
async fn delete(member: &Member) -> Result<(), CallFailed> {
    let deleted = member_client!(aws_sdk_accessanalyzer, member)
        .delete_analyzer()
        .analyzer_name(NAME)
        .send()
        .await
        .map_err(failed(Service::AccessAnalyzer, "DeleteAnalyzer"));
    match deleted {
        Err(error) if error.class() != AwsErrorClass::NotFound => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use orgkeeper_shared::remediation::report::Outcome;
    use orgkeeper_tests::wire::{Answer, Wire};
    use serde_json::json;

    use super::*;
    use crate::{parameters::tests::account_order, runner};

    #[tokio::test]
    async fn an_analyzer_is_created_and_read_back() {
        let created = AtomicBool::new(false);
        let wire = Wire::start(move |call| match call.operation.as_str() {
            "PUT /analyzer" => {
                assert_eq!(call.body["type"], "ACCOUNT");
                created.store(true, Ordering::Relaxed);
                Answer::ok(json!({ "arn": "a" }))
            }
            "GET /analyzer" if created.load(Ordering::Relaxed) => {
                Answer::ok(json!({ "analyzers": [{
                "arn": "a",
                "name": "orgkeeper",
                "type": "ACCOUNT",
                "createdAt": "2026-11-26T00:00:00Z",
                "status": "ACTIVE",
            }] }))
            }
            "GET /analyzer" => Answer::ok(json!({ "analyzers": [] })),
            other => panic!("{other}"),
        })
        .await
        .unwrap();
        let order = account_order("IAM.28", &[]);
        let member = Member::for_test(wire.sdk_config().await, order.target.clone());
        let report = runner::run(&Analyzer, &member, &order).await.unwrap();
        assert_eq!(report.outcome, Outcome::Fixed, "{report:?}");
        assert_eq!(wire.calls().len(), 3);
    }

    #[test]
    fn one_working_analyzer_is_enough() {
        let order = account_order("IAM.28", &[]);
        let state = |analyzers: &[(&str, &str, &str)]| AnalyzerState {
            analyzers: analyzers
                .iter()
                .map(|(name, kind, status)| Found {
                    name: (*name).to_owned(),
                    r#type: (*kind).to_owned(),
                    status: (*status).to_owned(),
                })
                .collect(),
        };
        let planned = |analyzers| Analyzer.plan(&state(analyzers), &order);
        assert_eq!(
            planned(&[]),
            Plan::Change(state(&[("orgkeeper", "ACCOUNT", "ACTIVE")]))
        );
        assert_eq!(planned(&[("a", "ACCOUNT", "CREATING")]), Plan::Compliant);
        assert_eq!(planned(&[("a", "ORGANIZATION", "ACTIVE")]), Plan::Compliant);
        assert!(matches!(
            planned(&[("a", "ACCOUNT", "DISABLED")]),
            Plan::Blocked(_)
        ));
        assert!(matches!(
            planned(&[("a", "ORGANIZATION", "FAILED")]),
            Plan::Change(_)
        ));
    }
}
