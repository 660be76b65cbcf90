//! The password policy, the role for AWS Support, the analyzer of external access.

use anyhow::{Context as _, Result};
use aws_sdk_iam::Client;

use crate::common::{Check, Place, Stage};

async fn no_password_policy(place: &Place) -> Result<String> {
    // It may not be there.
    let _ = Client::new(&place.sdk)
        .delete_account_password_policy()
        .send()
        .await;
    Ok(place.as_resource())
}

async fn lax_password_policy(place: &Place) -> Result<String> {
    let resource = no_password_policy(place).await?;
    Client::new(&place.sdk)
        .update_account_password_policy()
        .minimum_password_length(6)
        .allow_users_to_change_password(true)
        .max_password_age(120)
        .password_reuse_prevention(3)
        .hard_expiry(true)
        .send()
        .await?;
    Ok(resource)
}

async fn password_policy(place: &Place, _resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .get_account_password_policy()
        .send()
        .await;
    Ok(format!(
        "{:?}",
        answer.ok().and_then(|it| it.password_policy)
    ))
}

#[tokio::test]
async fn passwords_are_as_strict_as_asked_for() -> Result<()> {
    let stage = Stage::open().await?;
    for control in [
        "IAM.7", "IAM.11", "IAM.12", "IAM.13", "IAM.14", "IAM.15", "IAM.16", "IAM.17",
    ] {
        Check::of(control)
            .run(&stage, no_password_policy, password_policy)
            .await?;
        let report = Check::of(control)
            .run(&stage, lax_password_policy, password_policy)
            .await?;
        let (before, after) = (
            report.before.context("no state")?,
            report.after.context("no state")?,
        );
        let before = before.as_object().context("no policy")?;
        let changed: Vec<&str> = before
            .iter()
            .filter(|(name, value)| after[name.as_str()] != **value)
            .map(|(name, _)| name.as_str())
            .collect();
        println!("{control}: {}", changed.join(", "));
        assert_eq!(changed.len(), if control == "IAM.7" { 5 } else { 1 });
    }
    Ok(())
}

const SUPPORT: &str = "arn:aws:iam::aws:policy/AWSSupportAccess";

async fn nobody_for_support(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let answer = client
        .list_entities_for_policy()
        .policy_arn(SUPPORT)
        .send()
        .await?;
    for role in answer.policy_roles.unwrap_or_default() {
        client
            .detach_role_policy()
            .policy_arn(SUPPORT)
            .role_name(role.role_name.context("no name")?)
            .send()
            .await?;
    }
    Ok(place.as_resource())
}

async fn support(place: &Place, _resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .list_entities_for_policy()
        .policy_arn(SUPPORT)
        .send()
        .await?;
    let roles = answer.policy_roles.unwrap_or_default();
    let names: Vec<_> = roles.iter().map(|role| &role.role_name).collect();
    Ok(format!("{names:?}"))
}

#[tokio::test]
async fn a_role_manages_incidents_with_support() -> Result<()> {
    let stage = Stage::open().await?;
    // The second time the role exists.
    for _ in 0..2 {
        Check::of("IAM.18")
            .run(&stage, nobody_for_support, support)
            .await?;
    }
    Ok(())
}

async fn no_analyzer(place: &Place) -> Result<String> {
    let client = aws_sdk_accessanalyzer::Client::new(&place.sdk);
    let answer = client.list_analyzers().send().await?;
    for analyzer in answer.analyzers {
        client
            .delete_analyzer()
            .analyzer_name(analyzer.name)
            .send()
            .await?;
    }
    Ok(place.as_resource())
}

async fn analyzers(place: &Place, _resource: &str) -> Result<String> {
    let answer = aws_sdk_accessanalyzer::Client::new(&place.sdk)
        .list_analyzers()
        .send()
        .await?;
    let names: Vec<_> = answer.analyzers.iter().map(|it| &it.arn).collect();
    Ok(format!("{names:?}"))
}

#[tokio::test]
async fn an_analyzer_looks_for_external_access() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("IAM.28")
        .run(&stage, no_analyzer, analyzers)
        .await?;
    Ok(())
}
