//! The root user of a member account: its credentials are taken after a yes, and given back.

use orgkeeper_cli::outcome::Outcome;
use orgkeeper_shared::remediation::record::asking::id_of;

use super::{asking::remediation, *};

/// An account whose root user no other test looks at.
const WITH_ROOT_USER: &str = "payments-api-prod";

/// Gives the root user of an account a password and an access key, by the local cloud's own call.
async fn plant(cloud: &LocalCloud, account: &str) -> Result<()> {
    let form = format!("Action=PlantRootCredentials&password=true&keys=AKIAROOT{account}");
    let scope = format!("{account}/20260301/{REGION}/iam/aws4_request");
    reqwest::Client::new()
        .post(&cloud.endpoint)
        .header(
            "Authorization",
            format!("AWS4-HMAC-SHA256 Credential={scope}"),
        )
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await?
        .error_for_status()?;
    Ok(())
}

#[tokio::test]
async fn root_credentials_of_a_member_are_taken_after_a_yes_and_given_back() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.deploy("RootCredentials=on").await?;
    let done = with_ceiling(&cloud, "ask", async |cloud| {
        let account = Member::of(cloud, WITH_ROOT_USER)?.id;
        plant(cloud, &account).await?;
        let resource = format!("AWS::::Account:{account}");
        let key = format!("{account}#global#IAM.9#{resource}");
        let id = id_of(&key);
        let finding = failed(&unique("root"), &account, "IAM.9", "AwsAccount", &resource);
        send(cloud, &[finding]).await?;
        until_status(cloud, &key, "WAITING").await?;
        let approved = remediation(&cloud.sdk, &["approve", &id, "--yes"]).await?;
        assert_eq!(approved.outcome, Outcome::Done, "{}", approved.err);
        let fixed = until_status(cloud, &key, "FIXED").await?;
        let kept = format!("{fixed:?}");
        assert!(kept.contains(&format!("AKIAROOT{account}")), "{kept}");

        let undone = remediation(&cloud.sdk, &["undo", &id, "--yes"]).await?;
        assert_eq!(undone.outcome, Outcome::Done, "{}", undone.err);
        until_status(cloud, &key, "UNDONE").await?;
        all_done_and_no_dead_letter(cloud).await
    })
    .await;
    cloud.deploy("RootCredentials=off").await?;
    done
}
