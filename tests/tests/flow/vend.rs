//! The vend flow on the local cloud, with the deployed template.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use orgkeeper_tests::{
    findings::unique,
    local_cloud::{LocalCloud, eventually},
};
use serde_json::json;

/// Rows of a file.
const ROWS: usize = 40;
/// How long the local Account Factory takes for an account.
const ACCOUNT_TIME: Duration = Duration::from_secs(5);
/// Account operations that may run at once.
const AT_ONCE: u64 = 5;
/// Assignments that may be outstanding at once.
const ASSIGNMENTS_AT_ONCE: u64 = 15;
/// The longest time of all rows without faults; one by one they take 200 s.
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest time with faults, which includes the visibility timeout of a killed function's messages.
const LONG_PATIENCE: Duration = Duration::from_mins(8);
/// How long the same rows may take without Control Tower: each account is moved as well, and a move waits up to
/// 1.7 seconds for the function's share of `MoveAccount` while its slot is taken (eight turns, five at once).
const PACED_PATIENCE: Duration = Duration::from_secs(60 + 8 * 2);
/// Organizational units of the example organization; a file writes them in three ways.
const UNITS: [&str; 4] = [
    "Root/Sandbox",
    "Root/Workloads/Dev",
    "Root/Workloads/Prod",
    "Root/Workloads/Prod/Payments",
];
/// The functions of the flow.
const FUNCTIONS: [&str; 3] = [
    "NewAccountHandlerFunctionName",
    "CreateManagedAccountFunctionName",
    "CreateAccountAssignmentFunctionName",
];
/// Their queues.
const QUEUES: [&str; 3] = [
    "UploadsQueueUrl",
    "AccountEventsQueueUrl",
    "AssignmentsQueueUrl",
];
/// Their dead-letter queues.
const DEAD_LETTERS: [&str; 3] = [
    "UploadsDeadLetterQueueUrl",
    "AccountEventsDeadLetterQueueUrl",
    "AssignmentsDeadLetterQueueUrl",
];
/// Operations that are throttled in a fifth of the calls, in the test with faults.
const THROTTLED: [&str; 3] = ["servicecatalog.*", "sso.*", "dynamodb.*"];
const HEADER: &str = "AccountName,SSOUserEmail,AccountEmail,SSOUserFirstName,SSOUserLastName,OrgUnit,Status,AccountId,";

/// Requests by the e-mail address of their account, with their attributes.
type Requests = BTreeMap<String, BTreeMap<String, String>>;

/// A row of a file: a requested account.
struct Row {
    name: String,
    email: String,
    unit: &'static str,
}

/// A file and its rows.
struct File {
    key: String,
    rows: Vec<Row>,
    text: String,
}

impl File {
    /// How many rows have a request with this status.
    fn count(&self, requests: &Requests, status: &str) -> usize {
        self.rows
            .iter()
            .filter_map(|row| requests.get(&row.email.to_lowercase()))
            .filter(|request| request["Status"] == status)
            .count()
    }
}

/// A file of valid rows that no other run has.
fn file(cloud: &LocalCloud, count: usize, last_column: &str) -> File {
    let run = unique("v").replace("v-", "");
    let run = &run[..8];
    let mut text = format!("\u{feff}{HEADER}{last_column}\r\n");
    let rows: Vec<Row> = (0..count)
        .map(|n| Row {
            name: format!("vend-{run}-{n:03}"),
            // In upper and lower case: the table's key is in lower case.
            email: format!("AWS+vend-{run}-{n:03}@Example.com"),
            unit: UNITS[n % UNITS.len()],
        })
        .collect();
    for (n, row) in rows.iter().enumerate() {
        let Row { name, email, unit } = row;
        let leaf = unit.rsplit('/').next().unwrap_or_default();
        let unit = match n % 3 {
            0 => (*unit).to_owned(),
            1 => unit.trim_start_matches("Root/").to_owned(),
            _ => format!("{leaf} ({})", cloud.organizational_units[*unit]),
        };
        let cells = [
            name,
            "ana.silva@example.com",
            email,
            "Ana",
            "\"Silva, PhD\"",
            &unit,
            ",,",
        ];
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    File {
        key: format!("team a/accounts-{run}.csv"),
        rows,
        text,
    }
}

async fn upload(cloud: &LocalCloud, key: &str, text: &str) -> Result<()> {
    aws_sdk_s3::Client::from_conf(s3(cloud))
        .put_object()
        .bucket(cloud.output("AccountsBucketName")?)
        .key(key)
        .body(text.as_bytes().to_vec().into())
        .send()
        .await?;
    Ok(())
}

fn s3(cloud: &LocalCloud) -> aws_sdk_s3::Config {
    aws_sdk_s3::config::Builder::from(&cloud.sdk)
        .force_path_style(true)
        .build()
}

/// The rows of a results file, column to cell; none before it exists.
async fn results(cloud: &LocalCloud, key: &str) -> Result<Vec<BTreeMap<String, String>>> {
    let answer = aws_sdk_s3::Client::from_conf(s3(cloud))
        .get_object()
        .bucket(cloud.output("AccountsBucketName")?)
        .key(format!("results/{key}"))
        .send()
        .await;
    let Ok(object) = answer else {
        return Ok(Vec::new());
    };
    let body = object.body.collect().await?.into_bytes();
    let mut reader = csv::Reader::from_reader(&body[..]);
    let rows = reader.deserialize().collect::<Result<_, _>>()?;
    Ok(rows)
}

/// The table's requests by their key.
async fn requests(cloud: &LocalCloud) -> Result<Requests> {
    let items = aws_sdk_dynamodb::Client::new(&cloud.sdk)
        .scan()
        .table_name(cloud.output("AccountsTableName")?)
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await?;
    Ok(items
        .into_iter()
        .map(|item| {
            let item: BTreeMap<String, String> = item
                .into_iter()
                .filter_map(|(name, value)| match value {
                    AttributeValue::S(text) => Some((name, text)),
                    _ => None,
                })
                .collect();
            (item.get("AccountEmail").cloned().unwrap_or_default(), item)
        })
        .collect())
}

/// Waits until every row has succeeded; visibility timeouts of these queues are skipped.
async fn all_end(
    cloud: &LocalCloud,
    file: &File,
    patience: Duration,
    queues: &[&str],
) -> Result<()> {
    let start = Instant::now();
    let mut shown = 0;
    let holds = async || {
        let requests = requests(cloud).await?;
        ensure!(
            file.count(&requests, "FAILED") == 0,
            "a row failed: {:?}",
            failed(&requests, file)
        );
        let done = file.count(&requests, "SUCCEEDED");
        if done / 10 > shown {
            shown = done / 10;
            println!(
                "{done} of {} after {:.0?}",
                file.rows.len(),
                start.elapsed()
            );
        }
        Ok(done == file.rows.len())
    };
    cloud
        .eventually(queues, "every row succeeds", patience, holds)
        .await?;
    println!("all {} rows after {:.1?}", file.rows.len(), start.elapsed());
    Ok(())
}

fn failed(requests: &Requests, file: &File) -> Vec<String> {
    file.rows
        .iter()
        .filter_map(|row| requests.get(&row.email.to_lowercase()))
        .filter(|request| request["Status"] == "FAILED")
        .map(|request| format!("{}: {}", request["AccountName"], request["ErrorMsg"]))
        .collect()
}

/// Checks that every account is in the organization once, in its organizational unit and with its assignment, and that
/// the results file agrees.
async fn everything_is_created(cloud: &LocalCloud, file: &File) -> Result<()> {
    everything_but_is_created(cloud, file, 0).await
}

/// The same of a file whose results end with so many rows that were taken back.
async fn everything_but_is_created(
    cloud: &LocalCloud,
    file: &File,
    taken_back: usize,
) -> Result<()> {
    let organizations = aws_sdk_organizations::Client::new(&cloud.sdk);
    let accounts = organizations
        .list_accounts()
        .into_paginator()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await?;
    let mut by_email: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for account in accounts
        .into_iter()
        .flat_map(|page| page.accounts.unwrap_or_default())
    {
        let email = account.email.unwrap_or_default().to_lowercase();
        let account = (
            account.id.unwrap_or_default(),
            account.name.unwrap_or_default(),
        );
        by_email.entry(email).or_default().push(account);
    }
    let key = &file.key;
    eventually("the results file is complete", PATIENCE, async || {
        let results = results(cloud, key).await?;
        let mut wanted = results.iter().take(file.rows.len());
        Ok(results.len() == file.rows.len() + taken_back
            && wanted.all(|row| row["Status"] == "SUCCEEDED"))
    })
    .await?;
    let results = results(cloud, key).await?;
    let requests = requests(cloud).await?;
    for (row, result) in file.rows.iter().zip(&results) {
        let created = &by_email[&row.email.to_lowercase()];
        ensure!(
            created.len() == 1,
            "{} was created {} times",
            row.name,
            created.len()
        );
        let (id, name) = &created[0];
        assert_eq!(name, &row.name);
        assert_eq!(&requests[&row.email.to_lowercase()]["AccountId"], id);
        assert_eq!(&result["AccountName"], name);
        assert_eq!(&result["AccountId"], id);
        assert_eq!(&result["ErrorMsg"], "");
        let parents = organizations.list_parents().child_id(id).send().await?;
        let parent = parents.parents().first().and_then(|parent| parent.id());
        assert_eq!(
            parent,
            Some(cloud.organizational_units[row.unit].as_str()),
            "{name} is in its organizational unit"
        );
        has_access(cloud, id).await?;
    }
    Ok(())
}

async fn has_access(cloud: &LocalCloud, account: &str) -> Result<()> {
    let center = &cloud.identity_center;
    let assignments = aws_sdk_ssoadmin::Client::new(&cloud.sdk)
        .list_account_assignments()
        .instance_arn(&center.instance_arn)
        .account_id(account)
        .permission_set_arn(&center.permission_sets["AdministratorAccess"])
        .send()
        .await?;
    let groups: BTreeSet<_> = assignments
        .account_assignments()
        .iter()
        .filter_map(|assignment| assignment.principal_id())
        .collect();
    let group = center.groups["platform-engineers"].as_str();
    assert_eq!(groups, BTreeSet::from([group]), "access to {account}");
    Ok(())
}

async fn no_dead_letters(cloud: &LocalCloud) -> Result<()> {
    for queue in DEAD_LETTERS {
        let url = cloud.output(queue)?;
        let depth = cloud.depth(url).await?;
        ensure!(depth == 0, "{queue}: {:?}", cloud.drain(url).await?);
    }
    Ok(())
}

#[tokio::test]
async fn forty_rows_five_at_a_time() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud
        .set_account_factory(json!({ "duration_ms": ACCOUNT_TIME.as_millis() }))
        .await?;
    let file = file(&cloud, ROWS, "ErrroMsg");
    upload(&cloud, &file.key, &file.text).await?;
    all_end(&cloud, &file, PATIENCE, &[]).await?;
    let counts = cloud.account_factory().await?;
    println!("account factory: {counts}");
    assert_eq!(counts["most_at_once"], AT_ONCE);
    assert_eq!(counts["refused_in_use"], 0);
    everything_is_created(&cloud, &file).await?;
    no_dead_letters(&cloud).await?;

    // The same file again changes nothing.
    let before = requests(&cloud).await?;
    upload(&cloud, &file.key, &file.text).await?;
    everything_is_created(&cloud, &file).await?;
    assert_eq!(requests(&cloud).await?, before);
    cloud.reset_vending().await
}

#[tokio::test]
async fn forty_rows_through_lost_and_duplicate_events_throttling_and_a_crash() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud
        .set_account_factory(json!({
            "duration_ms": ACCOUNT_TIME.as_millis(),
            "events_lost": 0.1,
        }))
        .await?;
    for operation in THROTTLED {
        cloud
            .set_fault(
                json!({ "operation": operation, "error": "ThrottlingException",
                "status": 400, "share": 0.2 }),
            )
            .await?;
    }
    cloud.deliver_twice(true)?;
    let file = file(&cloud, ROWS, "ErrorMsg");
    upload(&cloud, &file.key, &file.text).await?;
    eventually("a third has succeeded", LONG_PATIENCE, async || {
        let requests = requests(&cloud).await?;
        Ok(file.count(&requests, "SUCCEEDED") >= ROWS / 3)
    })
    .await?;
    let names = FUNCTIONS
        .iter()
        .map(|name| cloud.output(name))
        .collect::<Result<Vec<_>>>()?;
    let killed = cloud
        .kill_during("sso.CreateAccountAssignment", &names, LONG_PATIENCE)
        .await?;
    println!("{killed} functions killed");
    assert!(killed > 0, "no function was running");
    cloud.pass_visibility_timeouts(&QUEUES).await?;
    all_end(&cloud, &file, LONG_PATIENCE, &QUEUES).await?;
    cloud.clear_faults().await?;
    let counts = cloud.account_factory().await?;
    let assignments = cloud.assignments().await?;
    println!("account factory: {counts}\nassignments: {assignments}");
    assert!(counts["most_at_once"].as_u64() <= Some(AT_ONCE));
    assert!(assignments["most_outstanding"].as_u64() <= Some(ASSIGNMENTS_AT_ONCE));
    everything_is_created(&cloud, &file).await?;
    cloud.deliver_twice(false)?;
    no_dead_letters(&cloud).await?;
    cloud.reset_vending().await
}

/// Invalid cells: column, cell, and words in the `ErrorMsg`.
const INVALID: [(&str, &str, &str); 20] = [
    ("AccountName", "", "AccountName"),
    ("AccountName", "N\u{f6}rdlich", "has \u{f6}"),
    (
        "AccountName",
        "x12345678901234567890123456789012345678901234567890",
        "50",
    ),
    ("OrgUnit", "=cmd|' /C calc'!A0", "OrgUnit"),
    ("AccountEmail", "", "AccountEmail"),
    ("AccountEmail", "a@b.co", "AccountEmail"),
    ("AccountEmail", "nobody.example.com", "@"),
    ("AccountEmail", "two@at@example.com", "@"),
    ("AccountEmail", "o'hara@example.com", "'"),
    ("AccountEmail", ".dot@example.com", "AccountEmail"),
    ("AccountEmail", "nobody@localhost", "AccountEmail"),
    ("SSOUserEmail", "", "SSOUserEmail"),
    ("SSOUserEmail", "ana at example.com", "SSOUserEmail"),
    ("SSOUserFirstName", "", "SSOUserFirstName"),
    ("SSOUserLastName", " ", "SSOUserLastName"),
    ("OrgUnit", "", "OrgUnit"),
    ("OrgUnit", "Marketing", "OrgUnit"),
    ("OrgUnit", "Prod (ou-zzzz-zzzzzzzz)", "ou-zzzz-zzzzzzzz"),
    ("OrgUnit", "Workloads/Sandbox", "OrgUnit"),
    ("AccountEmail", "(the first row's)", "line 2"),
];

#[tokio::test]
async fn of_310_rows_250_are_vended_and_60_get_an_error_message() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud
        .set_account_factory(json!({ "duration_ms": 100 }))
        .await?;
    let mut file = file(&cloud, 310, "ErrorMsg");
    let mut reader = csv::Reader::from_reader(file.text.trim_start_matches('\u{feff}').as_bytes());
    let header = reader.headers()?.clone();
    let mut rows: Vec<Vec<String>> = reader
        .records()
        .map(|row| Ok(row?.iter().map(str::to_owned).collect()))
        .collect::<Result<_>>()?;
    // Each of the twenty invalid cells three times, in every fifth row; never the first row, which others repeat.
    let invalid: BTreeMap<usize, usize> = (0..60).map(|n| (n * 5 + 3, n % INVALID.len())).collect();
    let first = rows[0][2].clone();
    for (&place, &fault) in &invalid {
        let (column, cell, _) = INVALID[fault];
        let column = header
            .iter()
            .position(|name| name == column)
            .context("no column")?;
        rows[place][column] = match cell {
            "(the first row's)" => first.to_uppercase(),
            cell => cell.to_owned(),
        };
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header)?;
    for row in &rows {
        writer.write_record(row)?;
    }
    let text = String::from_utf8(writer.into_inner()?)?;
    upload(&cloud, &file.key, &text).await?;

    eventually("the results file exists", PATIENCE, async || {
        Ok(results(&cloud, &file.key).await?.len() == rows.len())
    })
    .await?;
    let first_results = results(&cloud, &file.key).await?;
    for (&place, &fault) in &invalid {
        let (column, cell, words) = INVALID[fault];
        let result = &first_results[place];
        let message = &result["ErrorMsg"];
        assert_eq!(result["Status"], "FAILED", "{column} {cell:?}");
        for part in [
            format!("line {}", place + 2),
            column.to_owned(),
            words.to_owned(),
        ] {
            assert!(message.contains(&part), "{column} {cell:?}: {message}");
        }
    }
    for row in &first_results {
        for cell in row.values() {
            assert!(
                !cell.starts_with(['=', '+', '-', '@']),
                "{cell} starts a formula"
            );
        }
    }
    let mut place = 0;
    file.rows.retain(|_| {
        place += 1;
        !invalid.contains_key(&(place - 1))
    });
    assert_eq!(file.rows.len(), 250);
    all_end(&cloud, &file, LONG_PATIENCE, &[]).await?;
    eventually("the results file is complete", PATIENCE, async || {
        let results = results(&cloud, &file.key).await?;
        let ended = |status: &str| results.iter().filter(|row| row["Status"] == status).count();
        Ok(ended("SUCCEEDED") == 250 && ended("FAILED") == 60)
    })
    .await?;
    no_dead_letters(&cloud).await?;
    cloud.reset_vending().await
}

#[tokio::test]
async fn forty_rows_without_control_tower() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.deploy("AccountCreation=organizations").await?;
    let done = by_organizations(&cloud).await;
    cloud.deploy("AccountCreation=account-factory").await?;
    done
}

async fn by_organizations(cloud: &LocalCloud) -> Result<()> {
    cloud
        .set_account_factory(json!({ "create_account_ms": ACCOUNT_TIME.as_millis() }))
        .await?;
    let file = file(cloud, ROWS, "ErrorMsg");
    upload(cloud, &file.key, &file.text).await?;
    all_end(cloud, &file, PACED_PATIENCE, &[]).await?;
    let counts = cloud.account_factory().await?;
    println!("account factory: {counts}");
    assert_eq!(counts["most_at_once"], AT_ONCE);
    everything_is_created(cloud, &file).await?;
    no_dead_letters(cloud).await?;
    cloud.reset_vending().await
}

/// Rows of a small file.
const FEW: usize = 8;
/// How long an account takes where rows have to wait for a while.
const SLOW_ACCOUNT: Duration = Duration::from_secs(15);

/// Waits until five rows of a file have begun.
async fn five_have_begun(cloud: &LocalCloud, file: &File) -> Result<()> {
    eventually("five rows have begun", PATIENCE, async || {
        let requests = requests(cloud).await?;
        Ok(file.count(&requests, "PROVISIONING") == 5)
    })
    .await
}

#[tokio::test]
async fn a_waiting_row_that_the_next_version_leaves_out_is_not_vended() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    let slow = json!({ "duration_ms": SLOW_ACCOUNT.as_millis() });
    cloud.set_account_factory(slow).await?;
    let mut file = file(&cloud, FEW, "ErrorMsg");
    upload(&cloud, &file.key, &file.text).await?;
    five_have_begun(&cloud, &file).await?;
    let left_out = file.rows.pop().context("no row")?;
    let lines: Vec<&str> = file.text.split_inclusive("\r\n").collect();
    let shorter = lines[..lines.len() - 1].concat();
    upload(&cloud, &file.key, &shorter).await?;
    eventually(
        "the results say that it was taken back",
        PATIENCE,
        async || {
            let results = results(&cloud, &file.key).await?;
            Ok(results.iter().any(|row| {
                row["AccountName"] == left_out.name
                    && row["Status"] == "FAILED"
                    && row["ErrorMsg"].starts_with("taken back")
            }))
        },
    )
    .await?;
    all_end(&cloud, &file, PATIENCE, &[]).await?;
    everything_but_is_created(&cloud, &file, 1).await?;
    let requests = requests(&cloud).await?;
    assert_eq!(requests[&left_out.email.to_lowercase()]["Status"], "FAILED");
    no_dead_letters(&cloud).await?;
    cloud.reset_vending().await
}

#[tokio::test]
async fn without_a_launch_path_no_row_fails_and_all_go_on_when_there_is_one() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    let none = json!({ "duration_ms": 100, "launch_paths": 0 });
    cloud.set_account_factory(none).await?;
    let file = file(&cloud, FEW, "ErrorMsg");
    upload(&cloud, &file.key, &file.text).await?;
    eventually("a row says what it waits for", PATIENCE, async || {
        let requests = requests(&cloud).await?;
        ensure!(file.count(&requests, "FAILED") == 0, "a row failed");
        Ok(requests.values().any(|request| {
            let reason = request.get("WaitsFor").map(String::as_str);
            reason.is_some_and(|reason| reason.contains("No launch paths found"))
        }))
    })
    .await?;
    // Two portfolios have it: the path of its own is found.
    cloud
        .set_account_factory(json!({ "launch_paths": 2 }))
        .await?;
    all_end(&cloud, &file, LONG_PATIENCE, &[]).await?;
    everything_is_created(&cloud, &file).await?;
    no_dead_letters(&cloud).await?;
    cloud.reset_vending().await
}
