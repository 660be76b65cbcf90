//! A person is asked: by command and by link, and the fix is undone again.

use aws_config::SdkConfig;
use orgkeeper_cli::outcome::Outcome;
use orgkeeper_shared::remediation::record::asking::id_of;
use orgkeeper_tests::orgkeeper::{Run, orgkeeper};
use reqwest::{Client, Method, StatusCode, Url};

use super::*;

/// How often a program that looks at links opens one.
const OPENED_BY_SCANNERS: usize = 20;

pub(super) async fn remediation(sdk: &SdkConfig, arguments: &[&str]) -> Result<Run> {
    let arguments = [&["remediation"], arguments].concat();
    let region = ["--region", REGION];
    let arguments = [&arguments[..], &region[..]].concat();
    orgkeeper(sdk.clone(), &arguments, now(), Duration::from_millis(100)).await
}

/// A bucket of a member account that anybody may open, and what the flow knows of it.
struct OpenBucket {
    name: String,
    key: String,
    id: String,
}

impl OpenBucket {
    /// Makes the bucket and its finding, and waits until a person is asked about it.
    async fn asked_about(cloud: &LocalCloud, member: &Member, prefix: &str) -> Result<Self> {
        let name = unique(prefix).trim_end_matches('-').to_owned();
        member.open_bucket(&name).await?;
        let bucket = Self {
            key: key_of_bucket(&member.id, &name),
            id: id_of(&key_of_bucket(&member.id, &name)),
            name,
        };
        send(cloud, &[bucket.finding(&member.id)]).await?;
        until_status(cloud, &bucket.key, "WAITING").await?;
        eventually("a person is asked in Slack", PATIENCE, async || {
            let posts = cloud.slack().await?;
            Ok(posts.iter().any(|post| {
                post.text.contains("May this be fixed?") && post.text.contains(&bucket.id)
            }))
        })
        .await?;
        Ok(bucket)
    }

    fn finding(&self, account: &str) -> Value {
        let arn = format!("arn:aws:s3:::{}", self.name);
        let id = format!("{}-finding", self.name);
        failed(&id, account, "S3.8", "AwsS3Bucket", &arn)
    }

    /// The link with this answer in the alert.
    async fn link(&self, cloud: &LocalCloud, decision: &str) -> Result<Url> {
        let wanted = format!("/?id={}&decision={decision}&", self.id);
        for post in cloud.slack().await? {
            let text = post.text.replace("&amp;", "&");
            let links = text.split(['<', '>', '|', '"', ' ', '\\']);
            let mut links = links.filter(|link| link.starts_with("http"));
            if let Some(link) = links.find(|link| link.contains(&wanted)) {
                return Ok(link.parse()?);
            }
        }
        anyhow::bail!("no link with {wanted}")
    }
}

/// Sends a request of a browser to a function URL: the emulator knows it by its host name.
async fn browse(cloud: &LocalCloud, method: Method, link: &Url, form: &str) -> Result<StatusCode> {
    let mut address: Url = cloud.endpoint.parse()?;
    address.set_path(link.path());
    address.set_query(link.query().filter(|_| method == Method::GET));
    let host = link.host_str().context("no host")?;
    let request = Client::new().request(method, address).header("host", host);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    Ok(request.body(form.to_owned()).send().await?.status())
}

#[tokio::test]
async fn a_person_allows_a_fix_by_command_once_and_undoes_it() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    with_ceiling(&cloud, "ask", async |cloud| {
        let member = Member::of(cloud, ACCOUNT)?;
        let bucket = OpenBucket::asked_about(cloud, &member, "asked").await?;
        assert!(
            member.block(&bucket.name).await.is_none(),
            "asking changes nothing"
        );

        let shown = remediation(&cloud.sdk, &["approve", &bucket.id]).await?;
        assert_eq!(shown.outcome, Outcome::Found, "{}{}", shown.out, shown.err);
        assert!(shown.out.contains("Nothing was done. Add --yes to do it."));
        let arguments = ["approve", &bucket.id, "--yes"];
        let approved = remediation(&cloud.sdk, &arguments).await?;
        assert_eq!(approved.outcome, Outcome::Done, "{}", approved.err);
        let refused = remediation(&cloud.sdk, &["refuse", &bucket.id, "--yes"]).await?;
        assert_ne!(refused.outcome, Outcome::Done, "{}", refused.out);

        until_status(cloud, &bucket.key, "FIXED").await?;
        assert!(member.block(&bucket.name).await.is_some());

        let undone = remediation(&cloud.sdk, &["undo", &bucket.id, "--yes"]).await?;
        assert_eq!(undone.outcome, Outcome::Done, "{}", undone.err);
        until_status(cloud, &bucket.key, "UNDONE").await?;
        assert!(
            member.block(&bucket.name).await.is_none(),
            "as it was before"
        );

        // What was undone is not fixed again, and nobody is asked.
        send(cloud, &[bucket.finding(&member.id)]).await?;
        all_done_and_no_dead_letter(cloud).await?;
        until_status(cloud, &bucket.key, "UNDONE").await?;
        assert!(member.block(&bucket.name).await.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_link_decides_once_and_only_by_its_form() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.clear_slack().await?;
    cloud.deploy("ApprovalLinks=on").await?;
    let done = with_ceiling(&cloud, "ask", async |cloud| {
        let member = Member::of(cloud, ACCOUNT)?;
        let bucket = OpenBucket::asked_about(cloud, &member, "linked").await?;
        let link = bucket.link(cloud, "approve").await?;
        let query = link.query().context("no query")?.to_owned();
        for _ in 0..OPENED_BY_SCANNERS {
            let opened = browse(cloud, Method::GET, &link, "").await?;
            assert_eq!(opened, StatusCode::OK);
        }
        until_status(cloud, &bucket.key, "WAITING").await?;

        let other = query.replace("decision=approve", "decision=refuse");
        let (sound, last) = query.split_at(query.len() - 1);
        let forged = format!("{sound}{}&name=Eve", if last == "0" { "1" } else { "0" });
        for form in [format!("{other}&name=Eve"), forged, String::new()] {
            let answer = browse(cloud, Method::POST, &link, &form).await?;
            assert_eq!(answer, StatusCode::FORBIDDEN, "{form}");
        }
        until_status(cloud, &bucket.key, "WAITING").await?;
        assert!(member.block(&bucket.name).await.is_none());

        // Two at once: one of them decides.
        let (anna, ben) = (format!("{query}&name=Anna"), format!("{query}&name=Ben"));
        let (anna, ben) = tokio::join!(
            browse(cloud, Method::POST, &link, &anna),
            browse(cloud, Method::POST, &link, &ben),
        );
        let answers = [anna?, ben?];
        let decided = answers.iter().filter(|answer| answer.is_success());
        assert_eq!(decided.count(), 1, "{answers:?}");

        let item = until_status(cloud, &bucket.key, "FIXED").await?;
        assert!(member.block(&bucket.name).await.is_some());
        assert!(format!("{item:?}").contains("(by link, from "), "{item:?}");
        all_done_and_no_dead_letter(cloud).await
    })
    .await;
    cloud.deploy("ApprovalLinks=off").await?;
    done
}
