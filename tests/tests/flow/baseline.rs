//! The baseline flow on the local cloud: accounts that come in each way, settings that somebody undoes, a move, and an account by
//! itself. `ORGKEEPER_FORM=baseline` deploys it, with the stack sets of all other accounts.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use orgkeeper_tests::{alerts::Notification, findings::unique, local_cloud::LocalCloud};
use serde_json::{Value, json};

const HOME: &str = "us-east-1";
/// A Region that forwards its calls too.
const OTHER_REGION: &str = "eu-central-1";
const PATIENCE: Duration = Duration::from_mins(2);
const QUEUES: [&str; 1] = ["BaselineQueueUrl"];
/// The unit whose accounts keep the baseline, another one with a stricter password policy, and one that is left alone.
const KEPT: &str = "Root/Sandbox";
const STRICTER: &str = "Root/Workloads/Dev";
/// An account of a unit in which nothing is changed.
const CHECKED: &str = "webshop-prod";
const BASELINE: &str = r#"
[item]
security-contact = { mode = "check", parameters = { contact_name = "Security team", contact_title = "Security", contact_email = "security@example.com", contact_phone = "+1 555 0100" } }
account-alias = { mode = "check", parameters = { alias = "orgkeeper-{account}" } }
account-tags = { mode = "check", parameters = { cost-center = "{account}" } }
budget = { mode = "check", parameters = { amount = 250, topic = "arn:aws:sns:us-east-1:111111111111:signals" } }

[[unit]]
ou = "Root/Sandbox"
mode = "keep"

[[unit]]
ou = "Root/Workloads/Dev"
mode = "keep"
item.password-policy = { mode = "keep", parameters = { MinimumPasswordLength = 20 } }
"#;
const UNDONE: &str = include_str!("../../../events/account-hydrator/undone.json");

/// The cloud with its baseline.
struct Baselines {
    cloud: LocalCloud,
    organizations: aws_sdk_organizations::Client,
    tables: aws_sdk_dynamodb::Client,
}

impl Baselines {
    /// Attaches to the cloud and uploads the baseline.
    async fn attach() -> Result<Self> {
        let cloud = LocalCloud::attach().await?;
        let baselines = Self {
            organizations: aws_sdk_organizations::Client::new(&cloud.sdk),
            tables: aws_sdk_dynamodb::Client::new(&cloud.sdk),
            cloud,
        };
        baselines
            .upload("baseline.toml", "BaselineBucketName", BASELINE)
            .await?;
        Ok(baselines)
    }

    async fn upload(&self, key: &str, bucket: &str, text: &str) -> Result<()> {
        aws_sdk_s3::Client::new(&self.cloud.sdk)
            .put_object()
            .bucket(self.cloud.output(bucket)?)
            .key(key)
            .body(text.as_bytes().to_vec().into())
            .send()
            .await?;
        Ok(())
    }

    async fn item(&self, account: &str) -> Result<HashMap<String, AttributeValue>> {
        let item = self
            .tables
            .get_item()
            .table_name(self.cloud.output("BaselineTableName")?)
            .key("AccountId", AttributeValue::S(account.to_owned()))
            .send()
            .await?
            .item;
        Ok(item.unwrap_or_default())
    }

    /// What came of an item of the baseline.
    async fn came(&self, account: &str, key: &str) -> Result<Option<String>> {
        let record = self.item(account).await?;
        let items = record.get("Items").and_then(|items| items.as_m().ok());
        let entry = items.and_then(|items| items.get(key)?.as_m().ok());
        Ok(entry
            .and_then(|entry| entry.get("Came")?.as_s().ok())
            .cloned())
    }

    async fn record(&self, account: &str) -> Result<Value> {
        let item = self.item(account).await?;
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        let number = |name: &str| item.get(name).and_then(|value| value.as_n().ok()).cloned();
        Ok(json!({
            "state": text("State"), "unit": text("Unit"), "began": number("Began"), "ready": number("ReadyAt"),
        }))
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        self.cloud
            .eventually(&QUEUES, what, PATIENCE, async || holds().await)
            .await
    }

    /// Waits until an account is ready in its unit, and prints how long it took since it appeared.
    async fn until_ready(&self, account: &str, unit: &str, how: &str) -> Result<()> {
        self.until(&format!("{account} ({how}) is READY"), async || {
            let record = self.record(account).await?;
            Ok(record["state"] == "READY" && record["unit"] == unit)
        })
        .await?;
        let record = self.record(account).await?;
        let seconds = |name: &str| {
            record[name]
                .as_str()
                .and_then(|text| text.parse::<i64>().ok())
        };
        let took = seconds("ready")
            .zip(seconds("began"))
            .map(|(ready, began)| ready - began);
        println!("{how}: READY after {took:?} s");
        Ok(())
    }

    async fn create_account(&self, unit: Option<&str>) -> Result<String> {
        let name = name();
        self.organizations
            .create_account()
            .account_name(&name)
            .email(format!("{name}@example.com"))
            .send()
            .await?;
        let mut id = String::new();
        self.until(&format!("account {name} exists"), async || {
            let accounts = self.cloud.accounts_now().await?;
            id = accounts.get(&name).cloned().unwrap_or_default();
            Ok(!id.is_empty())
        })
        .await?;
        if let Some(unit) = unit {
            self.move_account(&id, unit).await?;
        }
        Ok(id)
    }

    async fn move_account(&self, account: &str, unit: &str) -> Result<()> {
        let parents = self
            .organizations
            .list_parents()
            .child_id(account)
            .send()
            .await?;
        let parent = parents.parents().first().and_then(|parent| parent.id());
        self.organizations
            .move_account()
            .account_id(account)
            .source_parent_id(parent.context("no parent")?)
            .destination_parent_id(
                self.cloud
                    .organizational_units
                    .get(unit)
                    .context("no such unit")?,
            )
            .send()
            .await?;
        Ok(())
    }

    /// The settings of an account, as another program reads them.
    async fn settings(&self, account: &str) -> Result<Value> {
        let arguments = ["infra/local/account_settings.py", account];
        Ok(serde_json::from_str(&self.cloud.python(&arguments).await?)?)
    }

    /// Somebody switches default encryption off, in one Region of an account; the trail of the account says so.
    async fn undo(&self, account: &str, region: &str) -> Result<()> {
        self.switch_encryption(account, region, "disable").await?;
        let mut event: Value = serde_json::from_str(&UNDONE.replace("111122223333", account))?;
        event["account"] = account.into();
        event["region"] = region.into();
        event["detail"]["awsRegion"] = region.into();
        self.cloud.send_service_events(vec![event]).await
    }

    async fn switch_encryption(&self, account: &str, region: &str, switch: &str) -> Result<()> {
        let code = format!(
            "import sys; sys.path.insert(0, 'infra/local'); from account_settings import Account; \
             Account('{account}').client('ec2', '{region}').{switch}_ebs_encryption_by_default()"
        );
        self.cloud.python(&["-c", &code]).await.map(drop)
    }

    /// The mails about an account whose first line has these words.
    fn mails(&self, account: &str, words: &str) -> Result<Vec<Notification>> {
        let mut mails = self.cloud.mails()?;
        mails.retain(|mail| mail.text.contains(account) && mail.text.contains(words));
        Ok(mails)
    }
}

fn name() -> String {
    unique("base").trim_end_matches('-').to_owned()
}

/// Every item that the baseline claims is as it should be, in every Region.
fn is_hardened(settings: &Value, account: &str) -> Result<()> {
    let once = &settings["account"];
    for part in [
        "BlockPublicAcls",
        "IgnorePublicAcls",
        "BlockPublicPolicy",
        "RestrictPublicBuckets",
    ] {
        ensure!(once["s3-public-access-block"][part] == true, "{once}");
    }
    ensure!(
        once["password-policy"]["MinimumPasswordLength"].as_u64() >= Some(14),
        "{once}"
    );
    ensure!(
        once["account-alias"] == json!([format!("orgkeeper-{account}")]),
        "{once}"
    );
    ensure!(once["security-contact"] == "security@example.com", "{once}");
    ensure!(once["account-tags"]["cost-center"] == account, "{once}");
    let budget = json!({ "amount": 250.0, "of": { "LinkedAccount": [account] } });
    ensure!(once["budget"] == budget, "{once}");
    let regions = settings["regions"].as_object().context("no Regions")?;
    ensure!(regions.len() >= 17, "{} Regions", regions.len());
    for (name, region) in regions {
        let expected: BTreeMap<&str, Value> = BTreeMap::from([
            ("ebs-encryption", true.into()),
            ("snapshot-block", "block-all-sharing".into()),
            ("image-block", "block-new-sharing".into()),
            ("serial-console", false.into()),
            ("ssm-document-sharing", "Disable".into()),
            ("default-security-groups", 0.into()),
        ]);
        for (item, value) in expected {
            ensure!(region[item] == value, "{item} in {name}: {}", region[item]);
        }
        ensure!(
            region["instance-metadata-defaults"]["HttpTokens"] == "required",
            "{name}: {region}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_account_is_ready_however_it_came() -> Result<()> {
    let baselines = Baselines::attach().await?;
    let other = baselines
        .cloud
        .accounts
        .get(CHECKED)
        .context(CHECKED)?
        .clone();
    let before = baselines.settings(&other).await?;

    let created = baselines.create_account(Some(KEPT)).await?;
    baselines
        .until_ready(&created, KEPT, "CreateAccount")
        .await?;
    is_hardened(&baselines.settings(&created).await?, &created)?;
    ensure!(
        !baselines.mails(&created, "is ready")?.is_empty(),
        "no message"
    );

    // By a file: Account Factory creates it, and enrols it.
    let name = name();
    let key = format!("{name}.csv");
    let row = format!(
        "AccountName,SSOUserEmail,AccountEmail,SSOUserFirstName,SSOUserLastName,OrgUnit,Status,AccountId,ErrorMsg\r\n\
         {name},ana.silva@example.com,{name}@example.com,Ana,Silva,{KEPT},,,\r\n"
    );
    baselines.upload(&key, "AccountsBucketName", &row).await?;
    let mut vended = String::new();
    baselines
        .until(&format!("{name} exists"), async || {
            let accounts = baselines.cloud.accounts_now().await?;
            vended = accounts.get(&name).cloned().unwrap_or_default();
            Ok(!vended.is_empty())
        })
        .await?;
    baselines.until_ready(&vended, KEPT, "CSV").await?;
    is_hardened(&baselines.settings(&vended).await?, &vended)?;
    let storage = aws_sdk_s3::Client::new(&baselines.cloud.sdk);
    let bucket = baselines.cloud.output("AccountsBucketName")?;
    baselines
        .until("the results say that it is ready", async || {
            let object = storage
                .get_object()
                .bucket(bucket)
                .key(format!("results/{key}"))
                .send()
                .await;
            let Ok(object) = object else { return Ok(false) };
            let text = String::from_utf8(object.body.collect().await?.to_vec())?;
            Ok(text.contains(&format!("SUCCEEDED,{vended},ready")))
        })
        .await?;
    let last = |words: &str| baselines.mails(&vended, words);
    baselines
        .until("both messages were sent", async || {
            Ok(!last("exists, and gets its baseline")?.is_empty() && last("is ready")?.len() >= 2)
        })
        .await?;

    // By an invitation: the event of its acceptance, and the account in the organization.
    let bus = baselines.cloud.default_bus()?;
    let management = bus.split(':').nth(4).context("an ARN of a bus")?;
    let invited = baselines.create_account(None).await?;
    let joined = include_str!("../../../events/account-hydrator/joined.json");
    baselines.move_account(&invited, KEPT).await?;
    let mut joined: Value = serde_json::from_str(&joined.replace("111122223333", &invited))?;
    joined["account"] = management.into();
    baselines.cloud.send_service_events(vec![joined]).await?;
    baselines.until_ready(&invited, KEPT, "invitation").await?;
    is_hardened(&baselines.settings(&invited).await?, &invited)?;

    ensure!(
        baselines.settings(&other).await? == before,
        "another account was changed"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_undone_is_put_back_or_reported_with_the_name() -> Result<()> {
    let baselines = Baselines::attach().await?;
    let kept = baselines.create_account(Some(KEPT)).await?;
    baselines.until_ready(&kept, KEPT, "CreateAccount").await?;
    for region in [HOME, OTHER_REGION] {
        let before = std::time::Instant::now();
        baselines.undo(&kept, region).await?;
        baselines
            .until(
                &format!("default encryption of {region} is on again"),
                async || {
                    let settings = baselines.settings(&kept).await?;
                    Ok(settings["regions"][region]["ebs-encryption"] == true)
                },
            )
            .await?;
        println!("{region}: put back after {:?}", before.elapsed());
    }
    baselines
        .until("both messages name who did it", async || {
            let mails = baselines.mails(&kept, "and put back")?;
            Ok(mails
                .iter()
                .filter(|mail| mail.text.contains("eve"))
                .count()
                == 2)
        })
        .await?;

    // In mode check it is only reported.
    let checked = baselines
        .cloud
        .accounts
        .get(CHECKED)
        .context(CHECKED)?
        .clone();
    baselines
        .switch_encryption(&checked, HOME, "enable")
        .await?;
    baselines.ask(&checked).await?;
    let item = format!("ebs-encryption@{HOME}");
    baselines
        .until("it is known to be right", async || {
            Ok(baselines.came(&checked, &item).await?.as_deref() == Some("RIGHT"))
        })
        .await?;
    baselines.undo(&checked, HOME).await?;
    baselines
        .until("it is reported", async || {
            let mails = baselines.mails(&checked, "left as it is")?;
            Ok(mails.iter().any(|mail| mail.text.contains("eve")))
        })
        .await?;
    let settings = baselines.settings(&checked).await?;
    ensure!(
        settings["regions"][HOME]["ebs-encryption"] == false,
        "it was put back"
    );
    Ok(())
}

#[tokio::test]
async fn an_account_that_is_moved_follows_its_new_unit() -> Result<()> {
    let baselines = Baselines::attach().await?;
    let account = baselines.create_account(Some(KEPT)).await?;
    baselines
        .until_ready(&account, KEPT, "CreateAccount")
        .await?;
    let before = std::time::Instant::now();
    baselines.move_account(&account, STRICTER).await?;
    baselines
        .until("the password policy is the new unit's", async || {
            let settings = baselines.settings(&account).await?;
            Ok(settings["account"]["password-policy"]["MinimumPasswordLength"] == 20)
        })
        .await?;
    println!("followed after {:?}", before.elapsed());
    baselines.until_ready(&account, STRICTER, "move").await?;
    baselines
        .move_account(&account, "Root/Workloads/Prod")
        .await?;
    baselines
        .until("the record is of the next unit", async || {
            let record = baselines.record(&account).await?;
            Ok(record["unit"] == "Root/Workloads/Prod" && record["state"] != "WAITING")
        })
        .await?;
    // There nothing is changed any more.
    baselines.undo(&account, HOME).await?;
    baselines
        .until("it is reported", async || {
            Ok(!baselines.mails(&account, "left as it is")?.is_empty())
        })
        .await
}

/// A single person's start: one deployment, no stack set.
#[tokio::test]
async fn one_account_has_its_own_baseline_without_an_organization() -> Result<()> {
    let baselines = Baselines::attach().await?;
    let bus = baselines.cloud.default_bus()?;
    let own = bus.split(':').nth(4).context("an ARN of a bus")?.to_owned();
    baselines.cloud.deploy("AccountBaseline=own").await?;
    let everything = "mode = \"keep\"\n";
    baselines
        .upload(
            "baseline.toml",
            "BaselineBucketName",
            &format!("[[unit]]\naccount = \"{own}\"\n{everything}"),
        )
        .await?;
    baselines.ask(&own).await?;
    let hardened = baselines.until_ready(&own, "Root", "own").await;
    baselines
        .cloud
        .deploy("AccountBaseline=organization")
        .await?;
    hardened?;
    let settings = baselines.settings(&own).await?;
    ensure!(
        settings["regions"][HOME]["snapshot-block"] == "block-all-sharing",
        "{settings}"
    );
    ensure!(
        settings["account"]["s3-public-access-block"]["BlockPublicAcls"] == true,
        "{settings}"
    );
    Ok(())
}

impl Baselines {
    async fn ask(&self, account: &str) -> Result<()> {
        aws_sdk_sqs::Client::new(&self.cloud.sdk)
            .send_message()
            .queue_url(self.cloud.output("BaselineQueueUrl")?)
            .message_body(json!({ "account": account }).to_string())
            .send()
            .await?;
        Ok(())
    }
}
