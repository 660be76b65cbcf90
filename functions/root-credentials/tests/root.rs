//! Root credentials are planted in three member accounts of the local cloud, taken, and given back as far as it goes.

use anyhow::{Context as _, Result, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use orgkeeper_shared::{
    aws::CallCounter,
    ids::AccountId,
    lambda::settings::environment,
    remediation::{
        control::control,
        order::{Order, Parameters, Task, Undo},
        report::{Outcome, Report},
        target::Target,
    },
};
use orgkeeper_tests::local_cloud::LocalCloud;
use root_credentials::{credentials::RootUser, handler::RootCredentials};

/// The address of a MiniStack with moto behind it, in place of the whole local cloud.
const ALONE: &str = "ORGKEEPER_EMULATORS";
const ACCOUNTS: [&str; 3] = ["222222222222", "333333333333", "444444444444"];
const MEMBERS: [&str; 3] = ["webshop-dev", "webshop-prod", "payments-api-prod"];
const REGION: &str = "us-east-1";

struct Stage {
    sdk: SdkConfig,
    management: AccountId,
    members: Vec<AccountId>,
    function: RootCredentials,
    _cloud: Option<LocalCloud>,
}

fn with_key(sdk: &SdkConfig, key: &str) -> SdkConfig {
    let root = Credentials::new(key, "test", None, None, "root");
    sdk.to_builder()
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(root))
        .build()
}

impl Stage {
    async fn open() -> Result<Self> {
        let alone = environment(ALONE);
        let cloud = match alone {
            Some(_) => None,
            None => Some(LocalCloud::attach().await?),
        };
        let (sdk, members) = match &cloud {
            Some(cloud) => {
                let member = |name| cloud.accounts.get(name).context("an account is missing");
                let members: Result<Vec<String>> = MEMBERS
                    .iter()
                    .map(|name| Ok(member(*name)?.clone()))
                    .collect();
                (cloud.sdk.clone(), members?)
            }
            None => (
                aws_config::defaults(BehaviorVersion::v2026_01_12())
                    .endpoint_url(alone.unwrap_or_default())
                    .region(Region::from_static(REGION))
                    .credentials_provider(Credentials::new("test", "test", None, None, "local"))
                    .load()
                    .await,
                ACCOUNTS.map(str::to_owned).to_vec(),
            ),
        };
        let own = with_key(&sdk, "test");
        let identity = aws_sdk_sts::Client::new(&own)
            .get_caller_identity()
            .send()
            .await?;
        let members: Result<Vec<AccountId>, _> = members.iter().map(|id| id.parse()).collect();
        Ok(Self {
            management: identity.account.context("no account")?.parse()?,
            members: members?,
            function: RootCredentials::new(own),
            sdk,
            _cloud: cloud,
        })
    }

    /// Gives the root user of an account everything.
    async fn plant(&self, account: &AccountId) -> Result<RootUser> {
        let user = RootUser {
            password: true,
            access_keys: [format!("AKIAROOT{account}")].into(),
            signing_certificates: [format!("CERTIFICATE{account:0>14}")].into(),
            mfa_devices: [format!("arn:aws:iam::{account}:mfa/root")].into(),
        };
        let first =
            |names: &std::collections::BTreeSet<String>| names.first().cloned().unwrap_or_default();
        let form = format!(
            "Action=PlantRootCredentials&password=true&keys={}&certificates={}&devices={}",
            first(&user.access_keys),
            first(&user.signing_certificates),
            first(&user.mfa_devices)
        );
        let endpoint = self.sdk.endpoint_url().context("no endpoint")?;
        let scope = format!("{account}/20260301/{REGION}/iam/aws4_request");
        reqwest::Client::new()
            .post(endpoint)
            .header(
                "Authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}"),
            )
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await?
            .error_for_status()?;
        Ok(user)
    }

    fn order(task: Task, id: &str, account: &AccountId) -> Result<Order> {
        let control = control(id).context("no such control")?;
        let resource = format!("AWS::::Account:{account}");
        Ok(Order {
            task,
            control: control.id.to_owned(),
            action: control.action.to_owned(),
            target: Target::new(control, account.clone(), REGION, &resource)?,
            parameters: Parameters::new(),
            undo: None,
            since: None,
        })
    }

    async fn run(&self, order: &Order) -> Result<(Report, u64)> {
        let calls = CallCounter::default();
        let report = self
            .function
            .carry_out(order, Some(&self.management), &calls)
            .await?;
        Ok((report, calls.take().sent))
    }
}

#[tokio::test]
async fn root_credentials_are_taken_and_given_back() -> Result<()> {
    let stage = Stage::open().await?;
    for (account, id) in stage.members.iter().zip(["IAM.4", "IAM.6", "IAM.9"]) {
        let planted = stage.plant(account).await?;
        let (preview, _) = stage
            .run(&Stage::order(Task::Preview, id, account)?)
            .await?;
        ensure!(preview.outcome == Outcome::WouldFix, "{id}: {preview:?}");
        ensure!(
            preview.before == Some(serde_json::to_value(&planted)?),
            "{id}: {preview:?}"
        );
        let fix = Stage::order(Task::Fix, id, account)?;
        let (fixed, calls) = stage.run(&fix).await?;
        ensure!(fixed.outcome == Outcome::Fixed, "{id}: {fixed:?}");
        let left = planted.left_by(id);
        ensure!(
            fixed.after == Some(serde_json::to_value(&left)?),
            "{id}: {fixed:?}"
        );
        let (again, _) = stage.run(&fix).await?;
        ensure!(
            again.outcome == Outcome::AlreadyCompliant,
            "{id}: {again:?}"
        );
        let undo = Order {
            task: Task::Undo,
            undo: Some(Undo {
                before: fixed.before.context("no state")?,
                after: fixed.after.context("no state")?,
            }),
            ..fix
        };
        let (undone, _) = stage.run(&undo).await?;
        let expected = if id == "IAM.4" {
            Outcome::NotUndoable
        } else {
            Outcome::Undone
        };
        ensure!(undone.outcome == expected, "{id}: {undone:?}");
        println!("{id:<14} {calls:>2} calls take the root credentials of {account}");
    }
    Ok(())
}

#[tokio::test]
async fn the_management_account_is_refused() -> Result<()> {
    let stage = Stage::open().await?;
    let order = Stage::order(Task::Fix, "IAM.9", &stage.management)?;
    ensure!(stage.run(&order).await.is_err());
    Ok(())
}
