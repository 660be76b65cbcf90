//! Users: their policies, access keys and passwords; server certificates; the policy of AWS `CloudShell`; the security contact.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aws_sdk_account::types::AlternateContactType;
use aws_sdk_iam::{Client, types::StatusType};
use orgkeeper_shared::remediation::{
    order::{Task, Undo},
    report::Outcome,
};
use serde_json::json;

use crate::common::{Check, Place, Stage, order, undoing, unique};

fn name(resource: &str) -> &str {
    resource.rsplit('/').next().unwrap_or_default()
}

async fn user(place: &Place) -> Result<String> {
    let name = unique("ada");
    let client = Client::new(&place.sdk);
    let created = client
        .create_user()
        .user_name(&name)
        .path("/staff/")
        .send()
        .await?;
    Ok(created.user.context("no user")?.arn)
}

const INLINE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:ListQueues","Resource":"*"}]}"#;

async fn user_with_policies(place: &Place) -> Result<String> {
    let resource = user(place).await?;
    let client = Client::new(&place.sdk);
    let own = client
        .create_policy()
        .policy_name(unique("own"))
        .policy_document(INLINE)
        .send()
        .await?;
    let own = own.policy.and_then(|it| it.arn).context("no policy")?;
    for policy in ["arn:aws:iam::aws:policy/PowerUserAccess", &own] {
        client
            .attach_user_policy()
            .user_name(name(&resource))
            .policy_arn(policy)
            .send()
            .await?;
    }
    client
        .put_user_policy()
        .user_name(name(&resource))
        .policy_name("queues")
        .policy_document(INLINE)
        .send()
        .await?;
    Ok(resource)
}

/// The policies of the user, and those of its groups.
async fn policies(place: &Place, resource: &str) -> Result<String> {
    let client = Client::new(&place.sdk);
    let user = name(resource);
    let attached = client
        .list_attached_user_policies()
        .user_name(user)
        .send()
        .await?;
    let inline = client.list_user_policies().user_name(user).send().await?;
    let mut seen = format!(
        "{:?} {:?}",
        attached.attached_policies(),
        inline.policy_names()
    );
    let groups = client.list_groups_for_user().user_name(user).send().await?;
    for group in groups.groups() {
        let group = &group.group_name;
        let attached = client
            .list_attached_group_policies()
            .group_name(group)
            .send()
            .await?;
        let inline = client
            .list_group_policies()
            .group_name(group)
            .send()
            .await?;
        let (attached, inline) = (attached.attached_policies(), inline.policy_names());
        write!(seen, " {group} {attached:?} {inline:?}")?;
    }
    Ok(seen)
}

#[tokio::test]
async fn the_policies_of_a_user_move_to_a_group_of_its_own() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("IAM.2")
        .calls(
            25,
            "three policies move one by one, and both owners are read twice",
        )
        .run(&stage, user_with_policies, policies)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_policy_that_somebody_gave_the_user_since_stays() -> Result<()> {
    let stage = Stage::open().await?;
    let resource = user_with_policies(&stage.here).await?;
    let fix = order(Task::Fix, "IAM.2", &stage.here, &resource)?;
    let (fixed, _) = stage.run(&fix).await?;
    ensure!(fixed.outcome == Outcome::Fixed, "{fixed:?}");
    let client = Client::new(&stage.here.sdk);
    let read = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    client
        .attach_user_policy()
        .user_name(name(&resource))
        .policy_arn(read)
        .send()
        .await?;
    let before = policies(&stage.here, &resource).await?;
    let states = Undo {
        before: fixed.before.context("no state")?,
        after: fixed.after.context("no state")?,
    };
    let (refused, _) = stage.run(&undoing(&fix, states)).await?;
    ensure!(refused.outcome == Outcome::Refused, "{refused:?}");
    let [difference] = &refused.differences[..] else {
        anyhow::bail!("{refused:?}");
    };
    ensure!(difference.path == "User.Attached[]" && difference.now == Some(json!(read)));
    ensure!(policies(&stage.here, &resource).await? == before);
    Ok(())
}

async fn user_with_key(place: &Place) -> Result<String> {
    let resource = user(place).await?;
    let client = Client::new(&place.sdk);
    client
        .create_access_key()
        .user_name(name(&resource))
        .send()
        .await?;
    // A date of IAM has whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    Ok(resource)
}

async fn user_with_password(place: &Place) -> Result<String> {
    let resource = user(place).await?;
    Client::new(&place.sdk)
        .create_login_profile()
        .user_name(name(&resource))
        .password("Only-a-test-1")
        .send()
        .await?;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    Ok(resource)
}

async fn credentials(place: &Place, resource: &str) -> Result<String> {
    let client = Client::new(&place.sdk);
    let user = name(resource);
    let keys = client.list_access_keys().user_name(user).send().await?;
    let profile = client.get_login_profile().user_name(user).send().await;
    Ok(format!(
        "{:?} {}",
        keys.access_key_metadata(),
        profile.is_ok()
    ))
}

#[tokio::test]
async fn old_and_unused_access_keys_become_inactive() -> Result<()> {
    let stage = Stage::open().await?;
    for (control, parameter) in [
        ("IAM.3", "maxAccessKeyAge"),
        ("IAM.8", "maxCredentialUsageAge"),
        ("IAM.22", "maxCredentialUsageAge"),
    ] {
        Check::of(control)
            .with(parameter, "0")
            .run(&stage, user_with_key, credentials)
            .await?;
    }
    let resource = user_with_key(&stage.here).await?;
    let fix = order(Task::Fix, "IAM.3", &stage.here, &resource)?;
    let (report, _) = stage.run(&fix).await?;
    ensure!(report.outcome == Outcome::AlreadyCompliant, "{report:?}");
    let keys = Client::new(&stage.here.sdk)
        .list_access_keys()
        .user_name(name(&resource))
        .send()
        .await?;
    let statuses: Vec<_> = keys
        .access_key_metadata()
        .iter()
        .map(|it| &it.status)
        .collect();
    ensure!(statuses == [&Some(StatusType::Active)]);
    Ok(())
}

#[tokio::test]
async fn an_unused_password_is_deleted_only_if_the_playbook_says_so() -> Result<()> {
    let stage = Stage::open().await?;
    let resource = user_with_password(&stage.here).await?;
    let mut fix = order(Task::Fix, "IAM.22", &stage.here, &resource)?;
    let zero = vec!["0".to_owned()];
    fix.parameters
        .insert("maxCredentialUsageAge".to_owned(), zero);
    let (blocked, _) = stage.run(&fix).await?;
    ensure!(blocked.outcome == Outcome::Blocked, "{blocked:?}");
    ensure!(credentials(&stage.here, &resource).await?.ends_with("true"));
    let yes = vec!["true".to_owned()];
    fix.parameters.insert("delete_password".to_owned(), yes);
    let (fixed, _) = stage.run(&fix).await?;
    ensure!(fixed.outcome == Outcome::Fixed, "{fixed:?}");
    ensure!(
        credentials(&stage.here, &resource)
            .await?
            .ends_with("false")
    );
    let states = Undo {
        before: fixed.before.context("no state")?,
        after: fixed.after.context("no state")?,
    };
    let (kept, _) = stage.run(&undoing(&fix, states)).await?;
    ensure!(kept.outcome == Outcome::NotUndoable, "{kept:?}");
    Ok(())
}

async fn expired_certificate(place: &Place) -> Result<String> {
    let name = unique("shop");
    Client::new(&place.sdk)
        .upload_server_certificate()
        .server_certificate_name(&name)
        .certificate_body("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----")
        .private_key("not looked at")
        .send()
        .await?;
    Ok(format!(
        "arn:aws:iam::{}:server-certificate/{name}",
        place.account
    ))
}

async fn certificate(place: &Place, resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .get_server_certificate()
        .server_certificate_name(name(resource))
        .send()
        .await;
    Ok(answer.is_ok().to_string())
}

#[tokio::test]
async fn an_expired_certificate_is_deleted() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("IAM.26")
        .run(&stage, expired_certificate, certificate)
        .await?;
    Ok(())
}

const CLOUDSHELL: &str = "arn:aws:iam::aws:policy/AWSCloudShellFullAccess";

async fn user_of_cloudshell(place: &Place) -> Result<String> {
    let resource = user(place).await?;
    Client::new(&place.sdk)
        .attach_user_policy()
        .user_name(name(&resource))
        .policy_arn(CLOUDSHELL)
        .send()
        .await?;
    Ok(resource)
}

async fn group_of_cloudshell(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let group = client
        .create_group()
        .group_name(unique("dev"))
        .send()
        .await?;
    let group = group.group.context("no group")?;
    let call = client.attach_group_policy().group_name(&group.group_name);
    call.policy_arn(CLOUDSHELL).send().await?;
    Ok(group.arn)
}

async fn role_of_cloudshell(place: &Place) -> Result<String> {
    let client = Client::new(&place.sdk);
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": { "Service": "ec2.amazonaws.com" },
        "Action": "sts:AssumeRole",
    }] });
    let role = client
        .create_role()
        .role_name(unique("ci"))
        .assume_role_policy_document(trust.to_string())
        .send()
        .await?;
    let role = role.role.context("no role")?;
    let call = client.attach_role_policy().role_name(&role.role_name);
    call.policy_arn(CLOUDSHELL).send().await?;
    Ok(role.arn)
}

async fn principals(place: &Place, _resource: &str) -> Result<String> {
    let answer = Client::new(&place.sdk)
        .list_entities_for_policy()
        .policy_arn(CLOUDSHELL)
        .send()
        .await?;
    Ok(format!(
        "{:?} {:?} {:?}",
        answer.policy_groups(),
        answer.policy_roles(),
        answer.policy_users()
    ))
}

#[tokio::test]
async fn the_policy_of_cloudshell_is_detached() -> Result<()> {
    let stage = Stage::open().await?;
    let check = || Check::of("IAM.27");
    check().run(&stage, group_of_cloudshell, principals).await?;
    check().run(&stage, role_of_cloudshell, principals).await?;
    check().run(&stage, user_of_cloudshell, principals).await?;
    // As Prowler reports it.
    let all = async |place: &Place| {
        user_of_cloudshell(place).await?;
        group_of_cloudshell(place).await?;
        Ok(CLOUDSHELL.to_owned())
    };
    check().run(&stage, all, principals).await?;
    Ok(())
}

async fn no_contact(place: &Place) -> Result<String> {
    // It may not be there.
    let _ = aws_sdk_account::Client::new(&place.sdk)
        .delete_alternate_contact()
        .alternate_contact_type(AlternateContactType::Security)
        .send()
        .await;
    Ok(place.as_resource())
}

async fn contact(place: &Place, _resource: &str) -> Result<String> {
    let answer = aws_sdk_account::Client::new(&place.sdk)
        .get_alternate_contact()
        .alternate_contact_type(AlternateContactType::Security)
        .send()
        .await;
    Ok(format!(
        "{:?}",
        answer.ok().and_then(|it| it.alternate_contact)
    ))
}

#[tokio::test]
async fn an_account_gets_the_security_contact_of_the_playbook() -> Result<()> {
    let stage = Stage::open().await?;
    Check::of("Account.1")
        .with("contact_name", "Sam Example")
        .with("contact_title", "Security")
        .with("contact_email", "security@example.com")
        .with("contact_phone", "+1 555 0100")
        .run(&stage, no_contact, contact)
        .await?;
    Ok(())
}
