//! Two member accounts of the local cloud, the remediator in this process, and what every fix has to show there.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use jiff::Timestamp;
use orgkeeper_shared::{
    aws::CallCounter,
    ids::AccountId,
    lambda::settings::environment,
    remediation::{
        control::{Scope, control},
        order::{Order, Parameters, Task, Undo},
        report::{Outcome, Report},
        target::Target,
    },
};
use orgkeeper_tests::local_cloud::LocalCloud;
use remediator::{
    action_row::Undoing,
    actions::{self, trail_bucket::is_of_a_trail},
    handler::Remediator,
    member::ROLE,
    member_policy::{application_policy, member_policy, opt_in_policy},
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The address of a MiniStack with moto behind it, in place of the whole local cloud.
const ALONE: &str = "ORGKEEPER_EMULATORS";
/// The remediator's role, and the member accounts, where there is nothing but the emulators.
const SERVICE_ROLE: &str = "arn:aws:iam::111111111111:role/OrgkeeperRemediator";
const ACCOUNTS: [&str; 2] = ["222222222222", "333333333333"];
/// The member accounts in the example organization.
const MEMBERS: [&str; 2] = ["webshop-dev", "webshop-prod"];
const REGION: &str = "us-east-1";
const OTHER_REGION: &str = "eu-west-1";
/// The most calls of a fix, the one that assumes the role included.
const MOST_CALLS: u64 = 8;
/// As long as an invocation has.
const MOST_TIME: Duration = Duration::from_secs(90);

/// One Region of one account, for its root user.
pub(crate) struct Place {
    pub(crate) account: AccountId,
    pub(crate) region: &'static str,
    /// For clients.
    pub(crate) sdk: SdkConfig,
}

impl Place {
    fn new(sdk: &SdkConfig, account: &AccountId, region: &'static str) -> Self {
        let root = Credentials::new(account.as_str(), "test", None, None, "root");
        Self {
            account: account.clone(),
            region,
            sdk: with_credentials(sdk, region, root),
        }
    }

    /// The ARN of a resource here.
    pub(crate) fn arn(&self, service: &str, path: &str) -> String {
        if service == "apigateway" {
            return format!("arn:aws:apigateway:{}::{path}", self.region);
        }
        format!("arn:aws:{service}:{}:{}:{path}", self.region, self.account)
    }

    /// The account as a resource.
    pub(crate) fn as_resource(&self) -> String {
        format!("AWS::::Account:{}", self.account)
    }
}

fn with_credentials(sdk: &SdkConfig, region: &'static str, credentials: Credentials) -> SdkConfig {
    sdk.to_builder()
        .region(Region::from_static(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// A name that no other test has.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{:08x}", fastrand::u32(..))
}

/// The accounts and the remediator.
pub(crate) struct Stage {
    /// Where the violation is fixed.
    pub(crate) here: Place,
    pub(crate) other_region: Place,
    pub(crate) other_account: Place,
    /// With the credentials of the remediator's role.
    pub(crate) service: SdkConfig,
    remediator: Remediator,
    _cloud: Option<LocalCloud>,
}

impl Stage {
    /// Connects to the local cloud.
    pub(crate) async fn open() -> Result<Self> {
        let alone = environment(ALONE);
        let cloud = match alone {
            Some(_) => None,
            None => Some(LocalCloud::attach().await?),
        };
        let (sdk, role, members) = match &cloud {
            Some(cloud) => {
                let member = |name| cloud.accounts.get(name).context("an account is missing");
                let members = [member(MEMBERS[0])?.clone(), member(MEMBERS[1])?.clone()];
                (
                    cloud.sdk.clone(),
                    cloud.output("RemediatorRoleArn")?.to_owned(),
                    members,
                )
            }
            None => (
                emulators(alone).await,
                SERVICE_ROLE.to_owned(),
                ACCOUNTS.map(str::to_owned),
            ),
        };
        let [here, other] = members;
        let (here, other): (AccountId, AccountId) = (here.parse()?, other.parse()?);
        let service = session_of(&sdk, &role).await?;
        let stage = Self {
            other_region: Place::new(&sdk, &here, OTHER_REGION),
            other_account: Place::new(&sdk, &other, REGION),
            here: Place::new(&sdk, &here, REGION),
            remediator: Remediator::new(service.clone()),
            service,
            _cloud: cloud,
        };
        for member in [&stage.here, &stage.other_account] {
            create_member_role(member, &role).await?;
        }
        Ok(stage)
    }

    /// Carries out an order; gives the report and the number of calls.
    pub(crate) async fn run(&self, order: &Order) -> Result<(Report, u64)> {
        let calls = CallCounter::default();
        let until = Instant::now() + MOST_TIME;
        let report = self.remediator.carry_out(order, &calls, now(), until);
        let report = Box::pin(report).await?;
        // The calls that assume the role have a client of their own: one for the trail, one for its bucket.
        let control = control(&order.control).context("no such control")?;
        let sessions = 1 + u64::from(is_of_a_trail(control, &order.target));
        Ok((report, calls.take().sent + sessions))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the emulators have their own clock, which is this one"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// For clients of the emulators without a front door.
async fn emulators(endpoint: Option<String>) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .endpoint_url(endpoint.unwrap_or_default())
        .region(Region::from_static(REGION))
        .credentials_provider(Credentials::new("test", "test", None, None, "local"))
        .load()
        .await
}

/// A session of the remediator's role, which Lambda gives to the function. So that a test can have one too, the role also
/// trusts its own account.
async fn session_of(sdk: &SdkConfig, role: &str) -> Result<SdkConfig> {
    let account = role.split(':').nth(4).context("no ARN of a role")?;
    let name = role.rsplit('/').next().context("no ARN of a role")?;
    let root = Place::new(sdk, &account.parse()?, REGION);
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {
                "Service": "lambda.amazonaws.com",
                "AWS": format!("arn:aws:iam::{account}:root"),
            },
            "Action": "sts:AssumeRole",
        },
    });
    let iam = aws_sdk_iam::Client::new(&root.sdk);
    if iam.get_role().role_name(name).send().await.is_ok() {
        iam.update_assume_role_policy()
            .role_name(name)
            .policy_document(trust.to_string())
            .send()
            .await?;
    } else {
        iam.create_role()
            .role_name(name)
            .assume_role_policy_document(trust.to_string())
            .send()
            .await?;
        let statement = json!({
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Resource": format!("arn:aws:iam::*:role/{ROLE}"),
        });
        let policy = json!({ "Version": "2012-10-17", "Statement": statement });
        put_policy(&iam, name, "Actions", &policy).await?;
    }
    let session = aws_sdk_sts::Client::new(&root.sdk)
        .assume_role()
        .role_arn(role)
        .role_session_name("emulators")
        .send()
        .await?;
    let given = session.credentials.context("no credentials")?;
    let credentials = Credentials::new(
        given.access_key_id,
        given.secret_access_key,
        Some(given.session_token),
        None,
        "remediator",
    );
    Ok(with_credentials(sdk, REGION, credentials))
}

/// The role that `infra/member-account.yaml` has, where it was not deployed.
async fn create_member_role(member: &Place, trusted: &str) -> Result<()> {
    let iam = aws_sdk_iam::Client::new(&member.sdk);
    if iam.get_role().role_name(ROLE).send().await.is_ok() {
        return Ok(());
    }
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": { "AWS": trusted },
            "Action": "sts:AssumeRole",
        },
    });
    iam.create_role()
        .role_name(ROLE)
        .assume_role_policy_document(trust.to_string())
        .send()
        .await?;
    let account = member.account.as_str();
    put_policy(&iam, ROLE, "Actions", &member_policy("aws", account)).await?;
    let of_applications = application_policy("aws", account);
    put_policy(&iam, ROLE, "Applications", &of_applications).await?;
    put_policy(&iam, ROLE, "UserPolicies", &opt_in_policy("aws", account)).await
}

async fn put_policy(
    iam: &aws_sdk_iam::Client,
    role: &str,
    name: &str,
    policy: &Value,
) -> Result<()> {
    iam.put_role_policy()
        .role_name(role)
        .policy_name(name)
        .policy_document(policy.to_string())
        .send()
        .await?;
    Ok(())
}

/// The order for a control on a resource.
pub(crate) fn order(task: Task, id: &str, place: &Place, resource: &str) -> Result<Order> {
    let control = control(id).context("no such control")?;
    let target = Target::new(control, place.account.clone(), place.region, resource)?;
    Ok(Order {
        task,
        control: control.id.to_owned(),
        action: control.action.to_owned(),
        target,
        parameters: Parameters::new(),
        undo: None,
        since: None,
    })
}

/// The undo of a fix.
pub(crate) fn undoing(fix: &Order, states: Undo) -> Order {
    Order {
        task: Task::Undo,
        undo: Some(states),
        ..fix.clone()
    }
}

/// What a fix and its undo have to show.
pub(crate) struct Check {
    control: &'static str,
    parameters: Parameters,
    most_calls: u64,
    why_more: &'static str,
    renewed: &'static [&'static str],
    left: Option<&'static str>,
}

impl Check {
    /// The fix of this control.
    pub(crate) fn of(control: &'static str) -> Self {
        Self {
            control,
            parameters: Parameters::new(),
            most_calls: MOST_CALLS,
            why_more: "",
            renewed: &[],
            left: None,
        }
    }

    /// With a parameter.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters
            .insert(name.to_owned(), vec![value.to_owned()]);
        self
    }

    /// With another limit of calls, since AWS has no fewer for it: `why` says which they are.
    pub(crate) fn calls(mut self, most: u64, why: &'static str) -> Self {
        self.most_calls = most;
        self.why_more = why;
        self
    }

    /// An undo gives what these words begin with (an id, the time of a change) another value.
    pub(crate) fn renews(mut self, starts: &'static [&'static str]) -> Self {
        self.renewed = starts;
        self
    }

    /// An undo leaves this, so that an ordinary client sees something else than before the fix.
    pub(crate) fn leaves(mut self, what: &'static str) -> Self {
        self.left = Some(what);
        self
    }

    /// What is seen of a resource, without what an undo renews, and in whatever order.
    fn lasting(&self, seen: &str) -> Vec<String> {
        let words = seen.split([' ', ',', '(', ')', '[', ']', '\n', '"']);
        let mut words: Vec<String> = words
            .filter(|word| !self.renewed.iter().any(|start| word.starts_with(start)))
            .map(str::to_owned)
            .collect();
        words.sort();
        words
    }

    fn order(&self, task: Task, place: &Place, resource: &str) -> Result<Order> {
        Ok(Order {
            parameters: self.parameters.clone(),
            ..order(task, self.control, place, resource)?
        })
    }

    /// Makes a violation by `make`, which gives the resource, and fixes it; `look` is what an ordinary client sees of it.
    /// The fix is undone, and made again. The same violation is made in another account and another Region, and has to
    /// stay there. Gives the report.
    pub(crate) async fn run(
        self,
        stage: &Stage,
        make: impl AsyncFn(&Place) -> Result<String>,
        look: impl AsyncFn(&Place, &str) -> Result<String>,
    ) -> Result<Report> {
        let id = self.control;
        let scope = control(id).context("no such control")?.scope;
        let mut others = vec![&stage.other_account];
        if scope == Scope::Regional {
            others.push(&stage.other_region);
        }
        let mut untouched = Vec::new();
        for place in others {
            let resource = make(place).await?;
            let seen = look(place, &resource).await?;
            untouched.push((place, resource, seen));
        }
        let here = &stage.here;
        let resource = make(here).await?;
        let violated = look(here, &resource).await?;

        let (preview, _) = stage
            .run(&self.order(Task::Preview, here, &resource)?)
            .await?;
        ensure!(
            preview.outcome == Outcome::WouldFix,
            "{id}: the preview gives {preview:?}"
        );
        let seen = look(here, &resource).await?;
        ensure!(seen == violated, "{id}: the preview changed {seen}");

        let fix = self.order(Task::Fix, here, &resource)?;
        let started = Instant::now();
        let (fixed, calls) = stage.run(&fix).await?;
        let took = started.elapsed();
        ensure!(
            fixed.outcome == Outcome::Fixed,
            "{id}: the fix gives {fixed:?}"
        );
        ensure!(
            fixed.before == preview.before && fixed.after == preview.after,
            "{id}: {fixed:?} is not what the preview said: {preview:?}"
        );
        ensure!(calls <= self.most_calls, "{id}: {calls} calls");
        let closed = look(here, &resource).await?;
        ensure!(closed != violated, "{id}: nothing changed");

        let (again, _) = stage.run(&fix).await?;
        ensure!(
            again.outcome == Outcome::AlreadyCompliant,
            "{id}: the second fix gives {again:?}"
        );
        let seen = look(here, &resource).await?;
        ensure!(seen == closed, "{id}: the second fix changed {seen}");
        let undo = self.undo_and_fix_again(stage, &fix, &fixed, (&resource, &violated), &look);
        Box::pin(undo).await?;
        for (place, resource, before) in untouched {
            let seen = look(place, &resource).await?;
            ensure!(
                seen == before,
                "{id}: {resource} in {} was changed too: {before} -> {seen}",
                place.region
            );
        }
        println!(
            "{id:<14} {calls:>2} calls of {:>2} {:>6} ms  {}",
            self.most_calls,
            took.as_millis(),
            self.why_more
        );
        Ok(fixed)
    }

    /// Undoes a fix, unless its action has no undo, and makes it again. `was` is the resource, and what was seen of it before
    /// the fix.
    async fn undo_and_fix_again(
        &self,
        stage: &Stage,
        fix: &Order,
        fixed: &Report,
        was: (&str, &str),
        look: &impl AsyncFn(&Place, &str) -> Result<String>,
    ) -> Result<()> {
        let (id, here, (resource, violated)) = (self.control, &stage.here, was);
        let closed = look(here, resource).await?;
        let action = actions::of(&fix.action).context("no such action")?;
        let undo = Undo {
            before: fixed.before.clone().context("no state before")?,
            after: fixed.after.clone().context("no state after")?,
        };
        if let Undoing::Not(_) = action.undo {
            let (kept, _) = stage.run(&undoing(fix, undo)).await?;
            ensure!(kept.outcome == Outcome::NotUndoable, "{id}: {kept:?}");
        } else {
            // As if somebody had changed it after another fix.
            let other = Undo {
                before: undo.before.clone(),
                after: undo.before.clone(),
            };
            let (refused, _) = stage.run(&undoing(fix, other)).await?;
            ensure!(
                refused.outcome == Outcome::Refused && !refused.differences.is_empty(),
                "{id}: an undo of something else gives {refused:?}"
            );
            ensure!(look(here, resource).await? == closed, "{id}: it changed");

            let undo = undoing(fix, undo);
            let (undone, calls) = stage.run(&undo).await?;
            ensure!(
                undone.outcome == Outcome::Undone && undone.before == fixed.after,
                "{id}: the undo gives {undone:?} after {fixed:?}"
            );
            let restored = look(here, resource).await?;
            ensure!(
                self.left.is_some() || self.lasting(&restored) == self.lasting(violated),
                "{id}: the undo made {restored} of {violated}"
            );
            let (again, _) = stage.run(&undo).await?;
            ensure!(again.outcome == Outcome::AlreadyUndone, "{id}: {again:?}");
            let left = self.left.map(|it| format!(" and leave {it}"));
            println!(
                "{id:<14} {calls:>2} calls undo it{}",
                left.unwrap_or_default()
            );

            let (again, _) = stage.run(fix).await?;
            ensure!(
                again.outcome == Outcome::Fixed,
                "{id}: {again:?} after an undo"
            );
        }
        Ok(())
    }
}
