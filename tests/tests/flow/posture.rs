//! The posture flow on the local cloud: a survey beside a plain script's listing, hints until Slack, and faults.
//! `ORGKEEPER_FORM=posture` deploys it, with the stack sets of all other accounts.

mod keeping;
mod other_sources;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use orgkeeper_shared::posture::{
    exposure::{Expectation, Exposure},
    pair::{Outcome, Pair, PairRecord},
    survey::SurveySummary,
};
use orgkeeper_tests::local_cloud::{LocalCloud, eventually};
use serde_json::{Value, json};

const HOME: &str = "us-east-1";
/// A Region that forwards its calls too.
const OTHER_REGION: &str = "eu-central-1";
const PATIENCE: Duration = Duration::from_mins(3);
/// The same, with visibility timeouts of killed functions, which are skipped.
const WITH_TIMEOUTS: Duration = Duration::from_mins(40);
/// How long a survey of the example organization may take.
const SURVEY: Duration = Duration::from_secs(30);
/// How long it may take until a new address is in Slack.
const POSTED: Duration = Duration::from_mins(1);
/// Without that of the reporter, in which a survey is watched for hours.
const QUEUES: [&str; 2] = ["PostureQueueUrl", "SurveyQueueUrl"];
/// A Region that a policy of the organization denies, and an account without the role.
const DENIED: &str = "sa-east-1";
const DENIED_ACCOUNTS: [&str; 2] = ["webshop-dev", "network"];
const WITHOUT_ROLE: &str = "log-archive";
const CLOSED: &str = "old-crm";
/// The Regions that every account has.
const REGIONS: usize = 17;
/// Addresses whose way to Slack is measured, at least.
const ADDRESSES: usize = 46;
const ESTATE: &str = "infra/local/posture_estate.py";
const POSTURE: &str = r#"
[[scope]]
target = "Root/Workloads/Prod"
internet = [{ kind = "load-balancer" }]

[[scope]]
target = "Root/Infrastructure"
internet = [{ kind = "function-url", ports = [443] }]
"#;
const STARTED: &str = include_str!("../../../events/posture-planner/instance-started.json");

/// A row of an exposure: account, Region, kind, address or name.
type Row = [String; 4];

/// The cloud with the flow.
struct Posture {
    cloud: LocalCloud,
    tables: aws_sdk_dynamodb::Client,
    management: String,
}

impl Posture {
    async fn attach() -> Result<Self> {
        let cloud = LocalCloud::attach().await?;
        let bus = cloud.default_bus()?;
        aws_sdk_sqs::Client::new(&cloud.sdk)
            .send_message()
            .queue_url(cloud.output("DirectoryQueueUrl")?)
            .message_body(r#"{"task":"refresh-all"}"#)
            .send()
            .await?;
        let tables = aws_sdk_dynamodb::Client::new(&cloud.sdk);
        let directory = cloud.output("AccountDirectoryTableName")?;
        eventually("the account directory is filled", PATIENCE, async || {
            let known = tables.scan().table_name(directory).send().await?;
            // The management account is one more.
            Ok(known.items().len() > cloud.accounts.len())
        })
        .await?;
        cloud
            .set_stand_in("trail", json!({ "every_call": true }))
            .await?;
        let management = bus.split(':').nth(4).context("an ARN of a bus")?;
        Ok(Self {
            tables,
            management: management.to_owned(),
            cloud,
        })
    }

    async fn items<T: serde::de::DeserializeOwned>(&self, table: &str) -> Result<Vec<T>> {
        let pages = self
            .tables
            .scan()
            .table_name(self.cloud.output(table)?)
            .into_paginator()
            .items()
            .send();
        let items: Vec<_> = pages.collect::<Result<_, _>>().await?;
        // The table of pairs has items of other forms, too.
        let items = items
            .into_iter()
            .filter_map(|item| serde_dynamo::from_item(item).ok());
        Ok(items.collect())
    }

    /// What is exposed, and not gone.
    async fn exposures(&self) -> Result<Vec<Exposure>> {
        let mut exposures: Vec<Exposure> = self.items("ExposureTableName").await?;
        exposures.retain(|exposure| exposure.gone_at.is_none());
        Ok(exposures)
    }

    async fn rows(&self) -> Result<BTreeSet<Row>> {
        let exposures = self.exposures().await?;
        let rows = exposures.into_iter().map(|exposure| {
            let Pair { account, region } = exposure.pair;
            let kind = exposure.kind.word().to_owned();
            [account.to_string(), region, kind, exposure.address]
        });
        Ok(rows.collect())
    }

    /// What a plain script finds.
    async fn listing(&self) -> Result<BTreeSet<Row>> {
        Ok(serde_json::from_str(
            &self.cloud.python(&[ESTATE, "list"]).await?,
        )?)
    }

    async fn pairs(&self) -> Result<Vec<PairRecord>> {
        self.items("PostureTableName").await
    }

    /// Makes a survey, and waits until it has ended; `beginning` is what happens meanwhile.
    async fn survey(&self, beginning: impl AsyncFnOnce() -> Result<()>) -> Result<SurveySummary> {
        let known = self.ended().await?;
        aws_sdk_sqs::Client::new(&self.cloud.sdk)
            .send_message()
            .queue_url(self.cloud.output("PostureQueueUrl")?)
            .message_body(r#"{"task":"survey"}"#)
            .send()
            .await?;
        beginning().await?;
        let mut new = None;
        let ended = async || {
            let mut ended = self.ended().await?;
            ended.retain(|id, _| !known.contains_key(id));
            new = ended.into_values().next();
            Ok(new.is_some())
        };
        self.cloud
            .eventually(&QUEUES, "the survey has ended", WITH_TIMEOUTS, ended)
            .await?;
        new.context("no survey")
    }

    async fn ended(&self) -> Result<BTreeMap<String, SurveySummary>> {
        let surveys: Vec<SurveySummary> = self.items("PostureTableName").await?;
        let ended = surveys.into_iter().filter(SurveySummary::has_ended);
        Ok(ended
            .map(|survey| (survey.survey_id.clone(), survey))
            .collect())
    }

    /// Waits until what was started is looked at. The second look at a database would come a quarter of an hour later.
    async fn until_quiet(&self) -> Result<()> {
        let queue = self.cloud.output("SurveyQueueUrl")?;
        let looked_at = async || {
            let messages = self.cloud.messages(queue).await?;
            Ok(messages.visible + messages.in_flight == 0)
        };
        self.cloud
            .eventually(
                &["SurveyQueueUrl"],
                "all is looked at",
                WITH_TIMEOUTS,
                looked_at,
            )
            .await?;
        let queues = aws_sdk_sqs::Client::new(&self.cloud.sdk);
        queues.purge_queue().queue_url(queue).send().await?;
        Ok(())
    }

    /// Uploads a file; its version.
    async fn upload(&self, file: &str) -> Result<String> {
        let uploaded = aws_sdk_s3::Client::new(&self.cloud.sdk)
            .put_object()
            .bucket(self.cloud.output("PostureBucketName")?)
            .key("desired/posture.toml")
            .body(file.as_bytes().to_vec().into())
            .send()
            .await?;
        uploaded.version_id.context("no version")
    }

    async fn object(&self, key: &str) -> Result<String> {
        let object = aws_sdk_s3::Client::new(&self.cloud.sdk)
            .get_object()
            .bucket(self.cloud.output("PostureBucketName")?)
            .key(key)
            .send()
            .await?;
        Ok(String::from_utf8(object.body.collect().await?.to_vec())?)
    }

    /// Nothing fails or is denied any more.
    async fn clear_faults(&self) -> Result<()> {
        self.cloud.clear_faults().await?;
        let nothing = json!({ "denied": [] });
        self.cloud.set_stand_in("regions", nothing).await
    }

    /// A policy of the organization denies all calls of some accounts in a Region.
    async fn deny(&self) -> Result<()> {
        let denied: Vec<String> = self.denied()?.iter().map(denied_place).collect();
        let settings = json!({ "denied": denied });
        self.cloud.set_stand_in("regions", settings).await
    }

    fn denied(&self) -> Result<Vec<Pair>> {
        let accounts = DENIED_ACCOUNTS.iter();
        accounts
            .map(|name| Ok(Pair::new(&self.cloud.accounts[*name].parse()?, DENIED)))
            .collect()
    }

    /// The role of an account is gone.
    async fn without_role(&self, account: &str) -> Result<()> {
        let code = format!(
            "import sys; sys.path.insert(0, 'infra/local'); from account_settings import Account; \
             iam = Account('{account}').client('iam'); role = 'OrgkeeperAudit'; \
             [iam.detach_role_policy(RoleName=role, PolicyArn=one['PolicyArn']) \
             for one in iam.list_attached_role_policies(RoleName=role)['AttachedPolicies']]; \
             [iam.delete_role_policy(RoleName=role, PolicyName=one) for one in iam.list_role_policies(RoleName=role)['PolicyNames']]; \
             iam.delete_role(RoleName=role)"
        );
        self.cloud.python(&["-c", &code]).await.map(drop)
    }

    /// Starts an instance with a public address in each pair; the address, and when that began, by pair.
    async fn start(&self, pairs: &[Pair]) -> Result<BTreeMap<Pair, (String, Timestamp)>> {
        let pairs: Vec<String> = pairs.iter().map(ToString::to_string).collect();
        let arguments = [ESTATE, "start"]
            .into_iter()
            .chain(pairs.iter().map(String::as_str));
        let printed = self.cloud.python(&arguments.collect::<Vec<_>>()).await?;
        Ok(serde_json::from_str(&printed)?)
    }

    /// The trail of an account says that an instance was started.
    async fn hint(&self, pair: &Pair) -> Result<()> {
        let mut event: Value =
            serde_json::from_str(&STARTED.replace("111122223333", pair.account.as_str()))?;
        event["id"] = uuid(rand::random()).into();
        event["region"] = pair.region.as_str().into();
        event["detail"]["awsRegion"] = pair.region.as_str().into();
        self.cloud.send_service_events(vec![event]).await
    }

    /// The messages in Slack with these words, by the time of their arrival.
    async fn posts(&self, words: &str) -> Result<Vec<Timestamp>> {
        let posts = self.cloud.slack().await?;
        let posts = posts.into_iter().filter(|post| post.text.contains(words));
        Ok(posts.map(|post| post.time).collect())
    }

    /// The pairs whose calls are forwarded.
    fn forwarded(&self) -> Result<Vec<Pair>> {
        let mut pairs = vec![Pair::new(&self.management.parse()?, HOME)];
        for (name, account) in &self.cloud.accounts {
            if name != CLOSED && name != WITHOUT_ROLE {
                for region in [HOME, OTHER_REGION] {
                    pairs.push(Pair::new(&account.parse()?, region));
                }
            }
        }
        Ok(pairs)
    }

    async fn no_dead_letters(&self) -> Result<()> {
        for queue in [
            "PostureDeadLetterQueueUrl",
            "SurveyDeadLetterQueueUrl",
            "ReporterDeadLetterQueueUrl",
            "AlertsDeadLetterQueueUrl",
        ] {
            ensure!(
                self.cloud.depth(self.cloud.output(queue)?).await? == 0,
                "{queue}"
            );
        }
        Ok(())
    }
}

fn denied_place(pair: &Pair) -> String {
    format!("{}/{}", pair.account, pair.region)
}

fn uuid(number: u128) -> String {
    let digits = format!("{number:032x}");
    [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ]
    .join("-")
}

/// What has to be the same after another survey of the same.
fn settled(exposures: Vec<Exposure>) -> BTreeMap<String, Exposure> {
    let settled = exposures.into_iter();
    settled
        .map(|exposure| {
            (
                format!("{} {}", exposure.pair, exposure.exposure_id),
                exposure,
            )
        })
        .collect()
}

#[tokio::test]
async fn a_survey_finds_what_a_plain_listing_finds_and_accounts_for_every_pair() -> Result<()> {
    let posture = Posture::attach().await?;
    posture.cloud.python(&[ESTATE, "seed"]).await?;
    let without_role = posture.cloud.accounts[WITHOUT_ROLE].clone();
    posture.without_role(&without_role).await?;
    posture.deny().await?;
    let known = posture.ended().await?;
    posture.upload(POSTURE).await?;
    // The one that the upload starts comes first. It doubts for a minute and a half what is denied since the last look.
    eventually("the upload is surveyed", PATIENCE, async || {
        let mut ended = posture.ended().await?;
        ended.retain(|id, _| !known.contains_key(id));
        Ok(!ended.is_empty())
    })
    .await?;
    posture.until_quiet().await?;

    let before = Instant::now();
    let survey = posture.survey(async || Ok(())).await?;
    let took = before.elapsed();
    println!(
        "{} pairs of {} accounts after {took:.1?}: {:?}",
        survey.counts.total(),
        survey.accounts,
        survey.counts
    );
    ensure!(took <= SURVEY, "{took:?}");

    posture.clear_faults().await?;
    let listed = posture.listing().await?;
    let rows = posture.rows().await?;
    ensure!(listed.len() >= 12, "the estate is too small: {listed:?}");
    ensure!(
        rows == listed,
        "only in the table: {:?}; only in the listing: {:?}",
        rows.difference(&listed).collect::<Vec<_>>(),
        listed.difference(&rows).collect::<Vec<_>>()
    );

    posture.every_pair_ended_rightly(&survey).await?;
    let exposures = posture.exposures().await?;
    what_is_expected_is_known(&exposures)?;
    posture.the_report_has(&listed).await?;
    posture.faults_change_nothing(&survey, exposures).await
}

impl Posture {
    /// Every pair of every account has an outcome, and the right one.
    async fn every_pair_ended_rightly(&self, survey: &SurveySummary) -> Result<()> {
        let pairs = self.pairs().await?;
        let denied = self.denied()?;
        let closed = &self.cloud.accounts[CLOSED];
        let without_role = &self.cloud.accounts[WITHOUT_ROLE];
        let mut regions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for record in &pairs {
            let Pair { account, region } = &record.pair;
            regions.entry(account.as_str()).or_default().insert(region);
        }
        ensure!(
            regions.len() == self.cloud.accounts.len() + 1,
            "{regions:?}"
        );
        ensure!(
            regions.values().all(|of| of.len() >= REGIONS),
            "{regions:?}"
        );
        for record in &pairs {
            let Pair { account, region } = &record.pair;
            let right: &[Outcome] = match (account.as_str(), region.as_str()) {
                (account, _) if account == closed => &[Outcome::Suspended],
                // Before the role was gone, a survey saw which Regions the account does not have.
                (account, _) if account == without_role => {
                    &[Outcome::RoleMissing, Outcome::RegionOff]
                }
                _ if denied.contains(&record.pair) => &[Outcome::DeniedByPolicy],
                _ => &[Outcome::Seen, Outcome::RegionOff],
            };
            ensure!(
                right.contains(&record.outcome),
                "{}: {:?} {:?}",
                record.pair,
                record.outcome,
                record.reason
            );
        }
        let pairs = regions.len() * REGIONS;
        ensure!(survey.counts.total() >= pairs as u64, "{:?}", survey.counts);
        ensure!(survey.counts.failed == 0, "{:?}", survey.counts);
        Ok(())
    }

    /// The report of the day has every row, and says what was not seen.
    async fn the_report_has(&self, listed: &BTreeSet<Row>) -> Result<()> {
        let folder = format!("reports/{}", today());
        let coverage = format!("{folder}/coverage.csv");
        eventually(
            "the report of this survey is written",
            PATIENCE,
            async || {
                let csv = self.object(&coverage).await.unwrap_or_default();
                Ok(csv.contains("DENIED_BY_POLICY") && csv.contains("ROLE_MISSING"))
            },
        )
        .await?;
        let exposures = self.object(&format!("{folder}/exposure.csv")).await?;
        let routes = self.object(&format!("{folder}/routes.csv")).await?;
        for [account, region, kind, address] in listed {
            let (csv, cells) = match address.split_once(' ') {
                Some((destination, target)) => (&routes, [account, region, destination, target]),
                None => (&exposures, [account.as_str(), region, kind, address]),
            };
            let has = |line: &str| cells.iter().all(|cell| line.contains(cell));
            ensure!(csv.lines().any(has), "{cells:?} is not in:\n{csv}");
        }
        let page = self.object(&format!("{folder}/index.html")).await?;
        ensure!(page.contains("<svg") && !page.contains("<script"), "{page}");
        Ok(())
    }

    /// Throttled, killed and delivered twice, a survey comes to the same end: nothing is new, nothing gone.
    async fn faults_change_nothing(
        &self,
        survey: &SurveySummary,
        exposures: Vec<Exposure>,
    ) -> Result<()> {
        let settled_before = settled(exposures);
        self.deny().await?;
        let throttled = json!({ "operation": "ec2.*", "status": 503, "error": "RequestLimitExceeded", "share": 0.3 });
        self.cloud.set_fault(throttled).await?;
        self.cloud.deliver_twice(true)?;
        let function = self
            .cloud
            .output("OrganizationSurveyorFunctionName")?
            .to_owned();
        let again = self
            .survey(async || {
                let killed = self
                    .cloud
                    .kill_during("ec2.DescribeNetworkInterfaces", &[&function], PATIENCE)
                    .await?;
                println!("{killed} processes killed");
                Ok(())
            })
            .await?;
        self.cloud.deliver_twice(false)?;
        self.clear_faults().await?;
        ensure!(
            again.counts == survey.counts,
            "{:?} and {:?}",
            again.counts,
            survey.counts
        );
        let settled_after = settled(self.exposures().await?);
        ensure!(
            settled_before == settled_after,
            "{settled_before:?}\n{settled_after:?}"
        );
        self.no_dead_letters().await
    }
}

/// What posture.toml expects is expected, SSH is not, and everything has an owner.
fn what_is_expected_is_known(exposures: &[Exposure]) -> Result<()> {
    let owned = |exposure: &Exposure| !exposure.owner.account_name.is_empty();
    ensure!(
        exposures.iter().all(owned),
        "an exposure without an owner: {exposures:?}"
    );
    let unexpected =
        |exposure: &Exposure| exposure.reaches_port(22) && exposure.is_unexpected(today());
    ensure!(exposures.iter().any(unexpected), "{exposures:?}");
    let expected =
        |exposure: &Exposure| matches!(exposure.expectation, Expectation::Expected { .. });
    ensure!(exposures.iter().any(expected), "{exposures:?}");
    Ok(())
}

#[tokio::test]
async fn a_new_address_is_in_slack_within_a_minute_and_once() -> Result<()> {
    let posture = Posture::attach().await?;
    posture.survey(async || Ok(())).await?;
    let pairs = posture.forwarded()?;
    posture.cloud.deliver_twice(true)?;
    let mut took: Vec<Duration> = Vec::new();
    // Twice in each pair, more than a minute apart. The trail of each account says by itself what was done.
    while took.len() < ADDRESSES {
        posture.cloud.clear_slack().await?;
        let started = posture.start(&pairs).await?;
        let all = eventually("every address is in Slack", PATIENCE, async || {
            let posts = posture.cloud.slack().await?;
            let posted = |(address, _): &(String, Timestamp)| {
                posts
                    .iter()
                    .any(|post| post.text.contains(address.as_str()))
            };
            Ok(started.values().all(posted))
        });
        all.await?;
        // Time for a second message that nobody wants.
        tokio::time::sleep(POSTED).await;
        for (address, began) in started.values() {
            let posts = posture.posts(address).await?;
            let [posted] = posts[..] else {
                anyhow::bail!("{} messages about {address}", posts.len());
            };
            took.push(Duration::try_from(posted.duration_since(*began))?);
        }
    }
    posture.cloud.deliver_twice(false)?;
    took.sort();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    println!(
        "{} addresses, everything delivered twice: p50 {:.1?}, p99 {:.1?}",
        took.len(),
        at(50),
        at(99)
    );
    ensure!(at(99) <= POSTED, "{took:?}");
    posture.no_dead_letters().await
}

#[tokio::test]
async fn many_calls_in_a_pair_are_one_look_and_one_summary() -> Result<()> {
    let posture = Posture::attach().await?;
    let pair = Pair::new(
        &posture.cloud.accounts["webshop-test"].parse()?,
        OTHER_REGION,
    );
    posture.until_quiet().await?;
    posture.cloud.clear_slack().await?;
    posture.cloud.reset_calls().await?;
    let mut addresses = Vec::new();
    for _ in 0..3 {
        addresses.extend(
            posture
                .start(std::slice::from_ref(&pair))
                .await?
                .into_values(),
        );
    }
    for _ in 0..300 {
        posture.hint(&pair).await?;
    }
    eventually("all are in Slack", PATIENCE, async || {
        let posts = posture.cloud.slack().await?;
        let posted = |(address, _): &(String, Timestamp)| {
            posts
                .iter()
                .any(|post| post.text.contains(address.as_str()))
        };
        Ok(addresses.iter().all(posted))
    })
    .await?;
    let looks = posture
        .cloud
        .calls_of("ec2.DescribeNetworkInterfaces")
        .await?;
    let mut posts = posture.cloud.slack().await?;
    // The alert flow has its own messages about the rules of the groups.
    posts.retain(|post| {
        addresses
            .iter()
            .any(|(address, _)| post.text.contains(address.as_str()))
    });
    println!(
        "300 calls and more: {} look, {} message",
        looks.calls,
        posts.len()
    );
    ensure!(looks.calls == 1, "{} looks", looks.calls);
    ensure!(posts.len() == 1, "{posts:?}");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the reports of the day are read")]
fn today() -> jiff::civil::Date {
    Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}
