//! Accounts by CSV on the local cloud, with the deployed template.

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

/// Rows of the file that everything is tried with.
const ROWS: usize = 40;
/// How long the made-up Account Factory takes for an account.
const ACCOUNT_TIME: Duration = Duration::from_secs(5);
/// Accounts that may be made at once.
const AT_ONCE: u64 = 5;
/// Assignments that may be under way at once.
const ASSIGNMENTS_AT_ONCE: u64 = 15;
/// In which all rows have to be done when nothing goes wrong: one by one they take 200 s.
const PATIENCE: Duration = Duration::from_mins(1);
/// In which they have to be when everything does: a killed function's messages come back after the queue's
/// visibility timeout.
const LONG_PATIENCE: Duration = Duration::from_mins(8);
/// Organizational units of the example organization, each written in another of the ways that a file may.
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
/// Where what could not be done ends up.
const DEAD_LETTERS: [&str; 3] = [
    "UploadsDeadLetterQueueUrl",
    "AccountEventsDeadLetterQueueUrl",
    "AssignmentsDeadLetterQueueUrl",
];
/// What a fifth of the calls to is refused when everything goes wrong.
const THROTTLED: [&str; 3] = ["servicecatalog.*", "sso.*", "dynamodb.*"];
const HEADER: &str = "AccountName,SSOUserEmail,AccountEmail,SSOUserFirstName,SSOUserLastName,OrgUnit,Status,AccountId,";

/// A row that is to become an account.
struct Row {
    name: String,
    email: String,
    unit: &'static str,
}

/// A file of rows, and the rows.
struct File {
    key: String,
    rows: Vec<Row>,
    text: String,
}

/// A file of good rows that no other run has.
fn file(cloud: &LocalCloud, count: usize, last_column: &str) -> File {
    let run = unique("v").replace("v-", "");
    let run = &run[..8];
    let mut text = format!("\u{feff}{HEADER}{last_column}\r\n");
    let rows: Vec<Row> = (0..count)
        .map(|n| Row {
            name: format!("vend-{run}-{n:03}"),
            // The table's key is in lower case, whatever the file says.
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

/// The results of a file, row by row, column to cell; none while there are no results.
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
async fn requests(cloud: &LocalCloud) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
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

/// Waits until every row has the status, and the results say so.
async fn all_end(cloud: &LocalCloud, file: &File, patience: Duration) -> Result<()> {
    let start = Instant::now();
    let mut shown = 0;
    eventually("every row succeeds", patience, async || {
        let requests = requests(cloud).await?;
        let count = |status: &str| {
            let is = |row: &&Row| {
                requests
                    .get(&row.email.to_lowercase())
                    .is_some_and(|request| request["Status"] == status)
            };
            file.rows.iter().filter(is).count()
        };
        ensure!(
            count("FAILED") == 0,
            "a row failed: {:?}",
            failed(&requests, file)
        );
        let done = count("SUCCEEDED");
        if done / 10 > shown {
            shown = done / 10;
            println!(
                "{done} of {} after {:.0?}",
                file.rows.len(),
                start.elapsed()
            );
        }
        Ok(done == file.rows.len())
    })
    .await?;
    println!("all {} rows after {:.1?}", file.rows.len(), start.elapsed());
    Ok(())
}

fn failed(requests: &BTreeMap<String, BTreeMap<String, String>>, file: &File) -> Vec<String> {
    file.rows
        .iter()
        .filter_map(|row| requests.get(&row.email.to_lowercase()))
        .filter(|request| request["Status"] == "FAILED")
        .map(|request| format!("{}: {}", request["AccountName"], request["ErrorMsg"]))
        .collect()
}

/// Every account is in the organization once, in its unit, and the group has its permission set on it;
/// the results say the same.
async fn everything_stands(cloud: &LocalCloud, file: &File) -> Result<()> {
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
    eventually("the results are written again", PATIENCE, async || {
        let results = results(cloud, key).await?;
        Ok(results.len() == file.rows.len()
            && results.iter().all(|row| row["Status"] == "SUCCEEDED"))
    })
    .await?;
    let results = results(cloud, key).await?;
    let requests = requests(cloud).await?;
    for (row, result) in file.rows.iter().zip(&results) {
        let made = &by_email[&row.email.to_lowercase()];
        ensure!(
            made.len() == 1,
            "{} was made {} times",
            row.name,
            made.len()
        );
        let (id, name) = &made[0];
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
            "{name} stands where it should"
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

async fn nothing_is_left(cloud: &LocalCloud) -> Result<()> {
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
        .set_factory(json!({ "duration_ms": ACCOUNT_TIME.as_millis() }))
        .await?;
    let file = file(&cloud, ROWS, "ErrroMsg");
    upload(&cloud, &file.key, &file.text).await?;
    all_end(&cloud, &file, PATIENCE).await?;
    let counts = cloud.factory().await?;
    println!("factory: {counts}");
    assert_eq!(counts["most_at_once"], AT_ONCE);
    assert_eq!(counts["refused_in_use"], 0);
    everything_stands(&cloud, &file).await?;
    nothing_is_left(&cloud).await?;

    // The same file again changes nothing.
    let before = requests(&cloud).await?;
    upload(&cloud, &file.key, &file.text).await?;
    everything_stands(&cloud, &file).await?;
    assert_eq!(requests(&cloud).await?, before);
    cloud.reset_vending().await
}

#[tokio::test]
async fn forty_rows_although_everything_goes_wrong() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud
        .set_factory(json!({
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
    let middle = || async {
        let requests = requests(&cloud).await.unwrap_or_default();
        let done = file.rows.iter().filter(|row| {
            requests
                .get(&row.email.to_lowercase())
                .is_some_and(|request| request["Status"] == "SUCCEEDED")
        });
        done.count() >= ROWS / 3
    };
    eventually(
        "a third is done",
        LONG_PATIENCE,
        async || Ok(middle().await),
    )
    .await?;
    let names = FUNCTIONS
        .iter()
        .map(|name| cloud.output(name))
        .collect::<Result<Vec<_>>>()?;
    let killed = cloud.kill(&names)?;
    println!("{killed} functions killed");
    assert!(killed > 0, "no function was running");
    all_end(&cloud, &file, LONG_PATIENCE).await?;
    cloud.clear_faults().await?;
    let counts = cloud.factory().await?;
    let assignments = cloud.assignments().await?;
    println!("factory: {counts}\nassignments: {assignments}");
    assert!(counts["most_at_once"].as_u64() <= Some(AT_ONCE));
    assert!(assignments["most_outstanding"].as_u64() <= Some(ASSIGNMENTS_AT_ONCE));
    everything_stands(&cloud, &file).await?;
    cloud.deliver_twice(false)?;
    nothing_is_left(&cloud).await?;
    cloud.reset_vending().await
}

/// What is wrong with a row, as the file has it, and words that have to be in its `ErrorMsg`.
const WRONG: [(&str, &str, &str); 20] = [
    ("AccountName", "", "AccountName"),
    ("AccountName", "white space", "AccountName"),
    (
        "AccountName",
        "x12345678901234567890123456789012345678901234567890",
        "50",
    ),
    ("AccountName", "=cmd|' /C calc'!A0", "AccountName"),
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
async fn of_310_rows_250_are_vended_and_60_explained() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    cloud.set_factory(json!({ "duration_ms": 100 })).await?;
    let mut file = file(&cloud, 310, "ErrorMsg");
    let mut reader = csv::Reader::from_reader(file.text.trim_start_matches('\u{feff}').as_bytes());
    let header = reader.headers()?.clone();
    let mut rows: Vec<Vec<String>> = reader
        .records()
        .map(|row| Ok(row?.iter().map(str::to_owned).collect()))
        .collect::<Result<_>>()?;
    // Each of the twenty faults three times, every fifth row; never the first, which others repeat.
    let wrong: BTreeMap<usize, usize> = (0..60).map(|n| (n * 5 + 3, n % WRONG.len())).collect();
    let first = rows[0][2].clone();
    for (&place, &fault) in &wrong {
        let (column, cell, _) = WRONG[fault];
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

    eventually("the file is taken in", PATIENCE, async || {
        Ok(results(&cloud, &file.key).await?.len() == rows.len())
    })
    .await?;
    let explained = results(&cloud, &file.key).await?;
    for (&place, &fault) in &wrong {
        let (column, cell, words) = WRONG[fault];
        let result = &explained[place];
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
    for row in &explained {
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
        !wrong.contains_key(&(place - 1))
    });
    assert_eq!(file.rows.len(), 250);
    all_end(&cloud, &file, LONG_PATIENCE).await?;
    eventually("the results are written again", PATIENCE, async || {
        let results = results(&cloud, &file.key).await?;
        let ended = |status: &str| results.iter().filter(|row| row["Status"] == status).count();
        Ok(ended("SUCCEEDED") == 250 && ended("FAILED") == 60)
    })
    .await?;
    nothing_is_left(&cloud).await?;
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
        .set_factory(json!({ "create_account_ms": ACCOUNT_TIME.as_millis() }))
        .await?;
    let file = file(cloud, ROWS, "ErrorMsg");
    upload(cloud, &file.key, &file.text).await?;
    all_end(cloud, &file, PATIENCE).await?;
    let counts = cloud.factory().await?;
    println!("factory: {counts}");
    assert_eq!(counts["most_at_once"], AT_ONCE);
    everything_stands(cloud, &file).await?;
    nothing_is_left(cloud).await?;
    cloud.reset_vending().await
}
