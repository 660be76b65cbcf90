//! The account directory and re-enrichment on the local cloud, with the deployed template.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_organizations::types::Tag;
use orgkeeper_tests::{
    findings::{field, findings, send, unique},
    local_cloud::{LocalCloud, eventually, soak},
    organization::finding,
};
use serde_json::{Value, json};

/// The longest time of a refresh: five accounts every two seconds, with those of other tests, and the visibility
/// timeout of a killed function's messages.
const PATIENCE: Duration = Duration::from_mins(20);
/// The function's queue.
const QUEUE: &str = "DirectoryQueueUrl";
/// Accounts to read, and those of the long test (`make soak`).
const ACCOUNTS: usize = 120;
const SOAK_ACCOUNTS: usize = 300;
const FINDINGS: usize = 2_000;

/// Published rates ("Quotas for AWS Organizations", "Quotas for AWS Account Management", Security
/// Hub's service quotas): calls a second, and calls at once after a pause.
const RATES: [(&str, u64, u64); 8] = [
    ("organizations.ListAccounts", 8, 12),
    ("organizations.DescribeAccount", 20, 30),
    ("organizations.DescribeOrganizationalUnit", 2, 2),
    ("organizations.ListOrganizationalUnitsForParent", 5, 8),
    ("organizations.ListTagsForResource", 10, 15),
    ("account.GetAlternateContact", 10, 15),
    ("account.GetContactInformation", 10, 15),
    ("securityhub.GetFindings", 3, 6),
];

type Item = std::collections::HashMap<String, AttributeValue>;

/// Accounts in nested organizational units, created once per local cloud: names to ids.
struct Fleet {
    accounts: BTreeMap<String, String>,
    units: BTreeMap<&'static str, String>,
}

/// Organizational units, each with its parent.
const UNITS: [(&str, Option<&str>); 4] = [
    ("Fleet", None),
    ("North", Some("Fleet")),
    ("South", Some("Fleet")),
    ("Harbour", Some("South")),
];
/// Organizational units of the accounts, in turn.
const HOLDING: [&str; 3] = ["North", "South", "Harbour"];

async fn fleet(cloud: &LocalCloud) -> Result<Fleet> {
    let organizations = aws_sdk_organizations::Client::new(&cloud.sdk);
    let contacts = aws_sdk_account::Client::new(&cloud.sdk);
    let root = organizations
        .list_roots()
        .send()
        .await?
        .roots
        .and_then(|mut roots| roots.pop()?.id)
        .context("no root")?;
    let mut units = BTreeMap::new();
    for (name, above) in UNITS {
        let parent = above.map_or(&root, |above| &units[above]);
        let known = organizations
            .list_organizational_units_for_parent()
            .parent_id(parent)
            .into_paginator()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await?
            .into_iter()
            .flat_map(|page| page.organizational_units.unwrap_or_default())
            .find(|unit| unit.name() == Some(name))
            .and_then(|unit| unit.id);
        let id = match known {
            Some(id) => id,
            None => organizations
                .create_organizational_unit()
                .parent_id(parent)
                .name(name)
                .send()
                .await?
                .organizational_unit
                .and_then(|unit| unit.id)
                .context("no organizational unit")?,
        };
        units.insert(name, id);
    }
    let mut accounts = cloud.accounts_now().await?;
    accounts.retain(|name, _| name.starts_with("fleet-"));
    let count = if soak() { SOAK_ACCOUNTS } else { ACCOUNTS };
    for n in 0..count {
        let name = format!("fleet-{n:03}");
        if accounts.contains_key(&name) {
            continue;
        }
        let id = organizations
            .create_account()
            .account_name(&name)
            .email(format!("aws+{name}@example.com"))
            .tags(
                Tag::builder()
                    .key("team")
                    .value(format!("crew-{n}"))
                    .build()?,
            )
            .send()
            .await?
            .create_account_status
            .and_then(|status| status.account_id)
            .context("an account was not created at once")?;
        contacts
            .put_alternate_contact()
            .account_id(&id)
            .alternate_contact_type(aws_sdk_account::types::AlternateContactType::Security)
            .name("Fleet Desk")
            .title("Security")
            .email_address(format!("desk-{n}@example.com"))
            .phone_number("+1 555 0100")
            .send()
            .await?;
        organizations
            .move_account()
            .account_id(&id)
            .source_parent_id(&root)
            .destination_parent_id(&units[HOLDING[n % HOLDING.len()]])
            .send()
            .await?;
        accounts.insert(name, id);
    }
    Ok(Fleet { accounts, units })
}

async fn directory(cloud: &LocalCloud) -> Result<BTreeMap<String, Item>> {
    let items = aws_sdk_dynamodb::Client::new(&cloud.sdk)
        .scan()
        .table_name(cloud.output("AccountDirectoryTableName")?)
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await?;
    Ok(items
        .into_iter()
        .filter_map(|item| Some((item.get("AccountId")?.as_s().ok()?.clone(), item)))
        .collect())
}

fn refreshed_at(item: &Item) -> i64 {
    item.get("RefreshedAt")
        .and_then(|value| value.as_n().ok()?.parse().ok())
        .unwrap_or_default()
}

async fn start(cloud: &LocalCloud, task: &Value) -> Result<()> {
    aws_sdk_sqs::Client::new(&cloud.sdk)
        .send_message()
        .queue_url(cloud.output("DirectoryQueueUrl")?)
        .message_body(task.to_string())
        .send()
        .await?;
    Ok(())
}

/// A token bucket that holds `burst` and gains `rate` a second gives no more than both in one
/// second, and `rate` in the long run. Retries of throttled calls are among them.
async fn under_the_published_rates(cloud: &LocalCloud, seconds: u64) -> Result<()> {
    for (operation, rate, burst) in RATES {
        let calls = cloud.calls_of(operation).await?;
        println!(
            "{operation}: {} calls in {seconds} s (at most {rate} a second), {} refused, \
             {} in the busiest second (at most {} at once)",
            calls.calls,
            calls.refused,
            calls.busiest_second,
            rate + burst
        );
        assert!(calls.calls <= rate * seconds, "{operation}: {calls:?}");
        assert!(
            calls.busiest_second <= rate + burst,
            "{operation}: {calls:?}"
        );
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "entries have the time of the function's own clock"
)]
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The fields and the note of a finding, without the note's time.
fn shown(finding: &aws_sdk_securityhub::types::AwsSecurityFinding) -> BTreeMap<String, String> {
    let mut shown: BTreeMap<String, String> = finding
        .user_defined_fields()
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let note = finding.note().and_then(|note| note.text());
    shown.insert("(note)".into(), note.unwrap_or_default().into());
    shown
}

/// Sends findings of every second account and waits until they are enriched; one has a person's note.
async fn enriched_findings(cloud: &LocalCloud, prefix: &str, accounts: &[&String]) -> Result<()> {
    let sent: Vec<Value> = (0..FINDINGS)
        .map(|n| {
            let mut finding = finding(&format!("{prefix}{n:04}"), accounts[n * 2 % accounts.len()]);
            if n == 0 {
                finding["Note"] = json!({ "Text": "mine", "UpdatedBy": "ana",
                    "UpdatedAt": "2026-03-01T10:00:00.000Z" });
                finding["UserDefinedFields"] = json!({ "ticket": "SEC-1" });
            }
            finding
        })
        .collect();
    send(cloud, &sent).await?;
    eventually("every finding is enriched", PATIENCE, async || {
        let found = findings(cloud, prefix).await?;
        let enriched = found
            .values()
            .filter(|finding| field(finding, "findingEnriched") == Some("True"));
        Ok(enriched.count() == FINDINGS)
    })
    .await
}

/// An organizational unit renamed, an account moved, one tagged and untagged, one with another contact.
struct Changes<'a> {
    mark: String,
    harbour: String,
    in_harbour: BTreeSet<&'a String>,
    moved: &'a String,
    tagged: &'a String,
    contacted: &'a String,
}

impl<'a> Changes<'a> {
    fn new(prefix: &str, accounts: &[&'a String]) -> Self {
        // Only every second account has findings.
        let of_unit = |unit: &str| {
            (0..accounts.len())
                .filter(|n| n % 2 == 0 && HOLDING[n % HOLDING.len()] == unit)
                .map(|n| accounts[n])
                .collect::<Vec<_>>()
        };
        let (north, south) = (of_unit("North"), of_unit("South"));
        Self {
            mark: prefix.trim_end_matches('-').to_owned(),
            harbour: format!("Harbour {}", &prefix[6..10]),
            in_harbour: of_unit("Harbour").into_iter().collect(),
            // The account of the finding with a person's note.
            moved: north[0],
            tagged: south[1],
            contacted: south[2],
        }
    }

    async fn make(&self, cloud: &LocalCloud, fleet: &Fleet) -> Result<()> {
        let organizations = aws_sdk_organizations::Client::new(&cloud.sdk);
        rename(cloud, fleet, &self.harbour).await?;
        organizations
            .move_account()
            .account_id(self.moved)
            .source_parent_id(&fleet.units["North"])
            .destination_parent_id(&fleet.units["Fleet"])
            .send()
            .await?;
        organizations
            .tag_resource()
            .resource_id(self.tagged)
            .tags(
                Tag::builder()
                    .key("Environment")
                    .value(&self.mark)
                    .build()?,
            )
            .send()
            .await?;
        organizations
            .untag_resource()
            .resource_id(self.tagged)
            .tag_keys("team")
            .send()
            .await?;
        aws_sdk_account::Client::new(&cloud.sdk)
            .put_alternate_contact()
            .account_id(self.contacted)
            .alternate_contact_type(aws_sdk_account::types::AlternateContactType::Security)
            .name("New Desk")
            .title("Security")
            .email_address(format!("{}@example.com", self.mark))
            .phone_number("+1 555 0177")
            .send()
            .await?;
        Ok(())
    }

    async fn undo(&self, cloud: &LocalCloud, fleet: &Fleet) -> Result<()> {
        rename(cloud, fleet, "Harbour").await?;
        aws_sdk_organizations::Client::new(&cloud.sdk)
            .move_account()
            .account_id(self.moved)
            .source_parent_id(&fleet.units["Fleet"])
            .destination_parent_id(&fleet.units["North"])
            .send()
            .await?;
        Ok(())
    }

    fn affect(&self, account: &String) -> bool {
        self.in_harbour.contains(account)
            || [self.moved, self.tagged, self.contacted].contains(&account)
    }

    /// Whether a finding of this account shows the change.
    fn shown_by(&self, account: &String, shown: &BTreeMap<String, String>) -> bool {
        let is = |name: &str, value: &str| shown.get(name).is_some_and(|shown| shown == value);
        if self.in_harbour.contains(account) {
            is("OU", &self.harbour) && is("OUPath", &format!("Root/Fleet/South/{}", self.harbour))
        } else if account == self.moved {
            is("OU", "Fleet") && is("OUPath", "Root/Fleet")
        } else if account == self.tagged {
            is("Environment", &self.mark) && !shown.contains_key("team")
        } else if account == self.contacted {
            shown
                .get("securityContact")
                .is_some_and(|contact| contact.contains(&self.mark))
        } else {
            true
        }
    }
}

async fn rename(cloud: &LocalCloud, fleet: &Fleet, name: &str) -> Result<()> {
    aws_sdk_organizations::Client::new(&cloud.sdk)
        .update_organizational_unit()
        .organizational_unit_id(&fleet.units["Harbour"])
        .name(name)
        .send()
        .await?;
    Ok(())
}

#[tokio::test]
async fn the_directory_follows_the_organization_and_findings_follow_the_directory() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    // What it writes on findings would be counted here. A contract test of finding-archiver shows that no field is lost.
    cloud.deploy("RemediationMode=off").await?;
    let fleet = fleet(&cloud).await?;
    // New accounts reach the directory by their events alone.
    eventually("every account is in the directory", PATIENCE, async || {
        let directory = directory(&cloud).await?;
        Ok(fleet.accounts.values().all(|id| directory.contains_key(id)))
    })
    .await?;
    cloud.until_empty(QUEUE, PATIENCE).await?;
    let prefix = unique("fleet");
    let accounts: Vec<&String> = fleet.accounts.values().collect();
    enriched_findings(&cloud, &prefix, &accounts).await?;
    let before = findings(&cloud, &prefix).await?;

    let changes = Changes::new(&prefix, &accounts);
    cloud.reset_calls().await?;
    changes.make(&cloud, &fleet).await?;
    let changed_at = Instant::now();
    let minute = Duration::from_mins(1);
    let without_change = async || {
        let mut found = findings(&cloud, &prefix).await?;
        found.retain(|_, finding| {
            let account = finding.aws_account_id.clone().unwrap_or_default();
            !changes.shown_by(&account, &shown(finding))
        });
        anyhow::Ok(found)
    };
    let all = eventually("every affected finding shows it", minute, async || {
        Ok(without_change().await?.is_empty())
    });
    if let Err(error) = all.await {
        let left = without_change().await?;
        let some: Vec<_> = left.values().take(3).map(shown).collect();
        return Err(error.context(format!("{} do not, such as {some:?}", left.len())));
    }
    println!("changes visible after {:.1?}", changed_at.elapsed());
    let look_ups = cloud.calls_of("securityhub.GetFindings").await?.calls;
    cloud.until_empty(QUEUE, PATIENCE).await?;

    let mut affected = BTreeSet::new();
    for (id, finding) in findings(&cloud, &prefix).await? {
        let account = finding.aws_account_id.clone().unwrap_or_default();
        if changes.affect(&account) {
            affected.insert(account);
        } else {
            assert_eq!(shown(&finding), shown(&before[&id]), "{id} is not affected");
        }
        if id == format!("{prefix}0000") {
            assert_eq!(field(&finding, "ticket"), Some("SEC-1"));
            assert_eq!(finding.note().and_then(|note| note.text()), Some("mine"));
        }
    }
    let calls = async |operation: &str| {
        let calls = cloud.calls_of(operation).await?.calls;
        println!("{operation}: {calls}");
        Ok::<_, anyhow::Error>(calls)
    };
    println!(
        "{} affected accounts, {look_ups} GetFindings calls, our own included",
        affected.len()
    );
    assert_eq!(calls("organizations.ListAccounts").await?, 0);
    assert_eq!(calls("organizations.DescribeAccount").await?, 1);
    // The renamed unit. The name of the one that the account was moved to is known.
    assert_eq!(calls("organizations.DescribeOrganizationalUnit").await?, 1);
    assert_eq!(
        calls("organizations.ListOrganizationalUnitsForParent").await?,
        0
    );
    // Tagged and untagged: one read or two, depending on the batches.
    assert!(calls("organizations.ListTagsForResource").await? <= 2);
    assert_eq!(calls("account.GetAlternateContact").await?, 1);
    assert_eq!(calls("account.GetContactInformation").await?, 0);
    // One call for the findings of an account, and two more: one account changed twice, one has a finding with a note.
    let most = affected.len() as u64 + 2;
    assert!(
        calls("securityhub.BatchUpdateFindings").await? <= most,
        "at most {most}"
    );

    // For the next run on this cloud.
    changes.undo(&cloud, &fleet).await?;
    cloud.until_empty(QUEUE, PATIENCE).await?;
    cloud.deploy("RemediationMode=observe").await
}

#[tokio::test]
async fn a_whole_refresh_survives_a_crash_a_duplicate_and_throttling() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    let fleet = fleet(&cloud).await?;
    cloud.until_empty(QUEUE, PATIENCE).await?;
    let dead = cloud.output("DirectoryDeadLetterQueueUrl")?;
    cloud.drain(dead).await?;
    cloud
        .set_fault(
            json!({ "operation": "organizations.*", "error": "TooManyRequestsException",
            "status": 400, "share": 0.2 }),
        )
        .await?;
    cloud.reset_calls().await?;
    let started_at = now();
    start(&cloud, &json!({ "task": "refresh-all" })).await?;
    start(&cloud, &json!({ "task": "refresh-all" })).await?;
    let refreshed = async || {
        let directory = directory(&cloud).await?;
        let fresh = |id: &String| {
            directory
                .get(id)
                .is_some_and(|item| refreshed_at(item) >= started_at)
        };
        Ok::<_, anyhow::Error>(fleet.accounts.values().filter(|id| fresh(id)).count())
    };
    let count = fleet.accounts.len();
    eventually("half of the accounts are read", PATIENCE, async || {
        Ok(refreshed().await? >= count / 2)
    })
    .await?;
    let function = cloud.output("DirectoryRefresherFunctionName")?;
    let killed = cloud
        .kill_during("organizations.ListTagsForResource", &[function], PATIENCE)
        .await?;
    assert!(killed > 0, "the function was not running");
    let queue = cloud.messages(cloud.output(QUEUE)?).await?;
    assert!(queue.in_flight > 0, "no message is in flight: {queue:?}");
    // Not moved at once: that would also end the delays which spread the refresh.
    cloud
        .eventually(&[QUEUE], "every account is read", PATIENCE, async || {
            Ok(refreshed().await? == count)
        })
        .await?;
    let seconds = u64::try_from(now() - started_at)?;
    println!("{count} accounts read after {seconds} s, {killed} killed");
    under_the_published_rates(&cloud, seconds).await?;
    let throttled = cloud.calls_of("organizations.ListTagsForResource").await?;
    assert!(throttled.refused > 0, "no call was throttled");
    assert_eq!(cloud.depth(dead).await?, 0);
    cloud.clear_faults().await
}
