//! `new-account-handler`'s handler with real SDK clients over the wire: every answer AWS can give.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use new_account_handler::{config::Config, csv, setup};
use orgkeeper_shared::lambda::Invocation;
use orgkeeper_tests::{
    dynamodb::{ACCOUNTS, VENDING_STATE as STATE},
    organization::{MANAGEMENT_ACCOUNT, account},
    sqs,
    vending::{
        BUCKET, HEADER, INSTANCE, Vending, account_arn, member, row, unit, unit_arn, uploaded,
    },
    wire::{Answer, Call, Wire, at_first},
};
use serde_json::{Value, json};

const NOW: &str = "2026-03-01T12:10:01Z";
const KEY: &str = "teams/new accounts.csv";
const RESULTS: &str = "results/teams/new accounts.csv";
const INFO: &str = "arn:aws:sns:us-east-1:111111111111:info";
const ERROR: &str = "arn:aws:sns:us-east-1:111111111111:error";
const GROUP: &str = "1234567890-platform";
const SET: &str = "arn:aws:sso:::permissionSet/ssoins-1234567890abcdef/ps-admin";

/// Settings beside the usual ones.
type Settings<'a> = &'a [(&'a str, &'a str)];

/// Forgets the calls so far.
fn forget(wire: &Wire) {
    drop(wire.take_calls());
}

/// Without Control Tower.
const WITHOUT_CONTROL_TOWER: Settings = &[("ACCOUNT_CREATION", "organizations")];

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn csv(rows: &[&str]) -> String {
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

/// Runs a batch of messages, named by their place, each received so many times, and gives those that come back.
async fn returned(
    wire: &Wire,
    settings: Settings<'_>,
    bodies: &[Value],
    receives: u32,
    remaining: Duration,
) -> Vec<String> {
    returned_at(wire, settings, bodies, receives, remaining, now()).await
}

/// As [`returned`], at another time.
async fn returned_at(
    wire: &Wire,
    settings: Settings<'_>,
    bodies: &[Value],
    receives: u32,
    remaining: Duration,
    now: Timestamp,
) -> Vec<String> {
    let usual = [
        ("ACCOUNTS_BUCKET", BUCKET),
        ("ACCOUNTS_TABLE", ACCOUNTS),
        ("VENDING_STATE_TABLE", STATE),
        ("INFO_TOPIC_ARN", INFO),
        ("ERROR_TOPIC_ARN", ERROR),
        ("QUOTA_PERCENT", "0"),
        ("ALLOWED_GROUPS", "*"),
        ("ALLOWED_PERMISSION_SETS", "*"),
    ];
    let lookup = |name: &str| {
        let mut all = settings.iter().chain(&usual);
        let (_, value) = all.find(|(own, _)| *own == name)?;
        Some((*value).to_owned())
    };
    let config = Config::from_env(&lookup).unwrap();
    let handler = setup::function(&config, &wire.sdk_config().await);
    let invocation = Invocation {
        now,
        remaining,
        account: MANAGEMENT_ACCOUNT.parse().ok(),
    };
    let event = sqs::event(&sqs::batch(bodies, receives));
    sqs::returned(handler.handle(event, invocation).await)
}

/// Runs one message with these settings and tells whether it comes back.
async fn is_retried_with(wire: &Wire, settings: Settings<'_>, body: &Value) -> bool {
    let bodies = std::slice::from_ref(body);
    returned(wire, settings, bodies, 1, Duration::from_mins(2)).await == ["0"]
}

/// Runs one message and tells whether it comes back.
async fn is_retried(wire: &Wire, body: &Value) -> bool {
    is_retried_with(wire, &[], body).await
}

/// Runs one message, which has to be done.
async fn done(wire: &Wire, body: &Value) {
    assert!(!is_retried(wire, body).await);
}

/// A wire over an organization; `special` answers first.
async fn wire_over(
    vending: &Arc<Vending>,
    special: impl Fn(&Call) -> Option<Answer> + Send + Sync + 'static,
) -> Wire {
    let vending = Arc::clone(vending);
    Wire::start(move |call| special(call).unwrap_or_else(|| vending.answer(call)))
        .await
        .unwrap()
}

async fn plain(vending: &Arc<Vending>) -> Wire {
    wire_over(vending, |_| None).await
}

fn organization() -> Arc<Vending> {
    Arc::new(Vending::new(3, 6))
}

/// The delays of messages that were given back, in seconds.
fn delays(wire: &Wire) -> Vec<i64> {
    let delays = sqs::delays(wire).into_iter();
    delays.map(|(_, seconds)| seconds).collect()
}

/// What a column of the results says, row by row.
fn column(vending: &Vending, key: &str, column: &str) -> Vec<String> {
    let results = vending.results(key);
    results.iter().map(|row| row[column].clone()).collect()
}

/// An attribute of a request in the table.
fn attribute(vending: &Vending, email: &str, name: &str) -> Value {
    vending.tables.get(ACCOUNTS, email).unwrap()[name].clone()
}

fn set(vending: &Vending, email: &str, attributes: &Value) {
    vending.tables.set(ACCOUNTS, email, attributes);
}

/// The item of a file in the table of what is in progress.
fn file_item(vending: &Vending, key: &str, version: &str) -> Value {
    let id = format!("file#{version}#{key}");
    vending.tables.get(STATE, &id).unwrap()
}

/// How many requests of a file have not ended, and whether all of its rows were answered.
fn progress(vending: &Vending, key: &str, version: &str) -> (String, bool) {
    let item = file_item(vending, key, version);
    let open = item["Open"]["N"].as_str().unwrap_or_default().to_owned();
    (open, item["TakenIn"]["BOOL"] == true)
}

/// What was published: the topic and the title.
fn published(vending: &Vending) -> Vec<(String, String)> {
    let world = vending.look();
    let published = world.published.iter();
    published
        .map(|(topic, alert)| (topic.clone(), alert["title"].as_str().unwrap().to_owned()))
        .collect()
}

fn new_email(n: usize) -> String {
    format!("aws+new-{n}@example.com")
}

fn requests(vending: &Vending) -> usize {
    vending.tables.items(ACCOUNTS).len()
}

/// The results of a file of these rows; everything else is as usual.
async fn answers(vending: &Arc<Vending>, settings: Settings<'_>, rows: &[&str]) -> Vec<String> {
    let wire = plain(vending).await;
    let event = vending.upload(KEY, &csv(rows));
    assert!(!is_retried_with(&wire, settings, &event).await);
    column(vending, RESULTS, "ErrorMsg")
}

#[tokio::test]
async fn a_good_file_is_started_answered_and_published() {
    let vending = organization();
    let wire = plain(&vending).await;
    let rows = [row(0, 1), row(1, 5), row(2, 0)];
    let event = vending.upload(KEY, &csv(&rows.each_ref().map(String::as_str)));
    done(&wire, &event).await;

    let results = vending.results(RESULTS);
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"; 3]);
    assert_eq!(column(&vending, RESULTS, "ErrorMsg"), [""; 3]);
    assert_eq!(results[1]["AccountEmail"], new_email(1));
    let world = vending.look();
    let object = &world.objects[RESULTS][0];
    assert_eq!(object.content_type, "text/csv; charset=utf-8");
    assert_eq!(object.source_version, "v1");

    let item = vending.tables.get(ACCOUNTS, &new_email(1)).unwrap();
    let at = now().as_millisecond();
    for (name, value) in [
        ("AccountName", json!({ "S": "new-1" })),
        ("Status", json!({ "S": "VALID" })),
        ("Attempt", json!({ "N": "1" })),
        ("QueuedAt", json!({ "N": (at + 1).to_string() })),
        ("Enrol", json!({ "BOOL": false })),
        ("Files", json!({ "SS": [format!("v1#{KEY}")] })),
        ("Access", json!({ "L": [] })),
        (
            "Unit",
            json!({ "M": { "Id": { "S": unit(5) }, "Name": { "S": "Unit 5" },
                "Path": { "S": "Root/Unit 0/Unit 5" } } }),
        ),
    ] {
        assert_eq!(item[name], value, "{name}");
    }
    let name = vending.tables.get(STATE, "name#new-2").unwrap();
    assert_eq!(name["AccountEmail"]["S"], new_email(2));
    let (topic, alert) = &world.published[0];
    assert_eq!(topic, INFO);
    assert_eq!(alert["kind"], "accounts.file");
    assert_eq!(alert["title"], format!("{KEY}: 3 rows accepted"));
    assert_eq!(alert["details"]["Started"], "3");
    assert_eq!(
        alert["details"]["Results"],
        format!("s3://{BUCKET}/{RESULTS}")
    );
    assert_eq!(alert["region"], "us-east-1");
    assert_eq!(world.published.len(), 1);
    drop(world);
    assert_eq!(progress(&vending, KEY, "v1"), ("3".to_owned(), true));
    let forget = now().as_second() + 90 * 86_400;
    assert_eq!(
        file_item(&vending, KEY, "v1")["ExpiresAt"]["N"],
        forget.to_string()
    );
}

#[tokio::test]
async fn the_sample_file_of_the_repository_is_good() {
    let vending = organization();
    {
        let mut world = vending.look();
        for (id, parent, name) in [
            ("ou-w", "r-a1b2", "Workloads"),
            ("ou-d", "ou-w", "Dev"),
            ("ou-p", "ou-w", "Prod"),
            ("ou-s", "r-a1b2", "Sandbox"),
        ] {
            let unit = (id.to_owned(), parent.to_owned(), name.to_owned());
            world.units.push(unit);
            world.governed.insert(unit_arn(id), "SUCCEEDED");
        }
    }
    let wire = plain(&vending).await;
    let file = include_str!("../../../events/new-account-handler/accounts.csv");
    let event = vending.upload(KEY, file);
    done(&wire, &event).await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"; 3]);
}

#[tokio::test]
async fn every_fault_of_every_row_is_named_and_the_good_rows_start() {
    let vending = organization();
    vending
        .look()
        .units
        .push(("ou-a1b2-second00".to_owned(), unit(0), "Unit 1".to_owned()));
    vending.look().units.push((
        "ou-a1b2-free0000".to_owned(),
        unit(0),
        "Unregistered".to_owned(),
    ));
    let good =
        |name: &str| format!("{name},ana@example.com,aws+{name}@example.com,Ana,Silva,Unit 2,,,");
    let email = |email: &str, n: usize| format!("e{n},ana@example.com,{email},Ana,Silva,Unit 2,,,");
    let at_unit = |unit: &str, n: usize| {
        format!("u{n},ana@example.com,aws+u{n}@example.com,Ana,Silva,{unit},,,")
    };
    let long = "n".repeat(51);
    let rows: Vec<(String, String)> = [
        (good("first"), ""),
        (good("second"), ""),
        (good("pay ments"), "AccountEmail: has a space before the @: only the letters a to z, digits and . _ + - are taken there"),
        (good(&long).replace(&format!("aws+{long}"), "aws+long"), "AccountName: has 51 characters, 50 are the most"),
        (email("nobody.example.com", 1), "AccountEmail: has no @"),
        (email("a@b@example.com", 2), "AccountEmail: has 2 @, an address has one"),
        (email("o'neil@example.com", 3), "AccountEmail: has ' before the @: only the letters a to z, digits and . _ + - are taken there"),
        (email("a@b.co", 4), "AccountEmail: has 6 characters, 8 are the least"),
        (email(".dot@example.com", 5), "AccountEmail: starts with a dot"),
        (email("two..dots@example.com", 6), "AccountEmail: has two dots in a row"),
        (email("nobody@localhost", 7), "AccountEmail: has no dot after the @"),
        (email("nobody@example.c0m", 8), "AccountEmail: ends in .c0m: only letters are taken after the last dot"),
        (email("", 9), "AccountEmail: is empty"),
        (email("AWS+First@example.com", 10), "AccountEmail: is the same as in line 2"),
        ("First,ana@example.com,aws+again@example.com,Ana,Silva,Unit 2,,,".to_owned(), "AccountName: is the same as in line 2"),
        ("account-1,ana@example.com,aws+taken@example.com,Ana,Silva,Unit 2,,,".to_owned(), &format!("AccountName: is the name of account {} already", account(1))),
        (email("aws+1@example.com", 11), &format!("AccountName: account {} with this AccountEmail is named \"account-1\": write that name", account(1))),
        (at_unit("Unit 9", 1), "OrgUnit: there is no organizational unit \"Unit 9\": did you mean Root/Unit 0"),
        (at_unit("Unit 1", 2), "OrgUnit: \"Unit 1\" fits several organizational units: Root/Unit 1 (ou-a1b2-00000001), Root/Unit 0/Unit 1 (ou-a1b2-second00); write the path, or the id of the one that is meant"),
        (at_unit("Unit 2 (ou-a1b2-00000003)", 3), "OrgUnit: ou-a1b2-00000003 is not \"Unit 2\": it is Root/Unit 3 (ou-a1b2-00000003)"),
        (at_unit("Unit 2 (ou-a1b2-none)", 4), "OrgUnit: there is no organizational unit with the id ou-a1b2-none"),
        (at_unit("unit 2", 5), "OrgUnit: there is no organizational unit \"unit 2\", written just so: is it Root/Unit 2 (ou-a1b2-00000002)?"),
        (at_unit("Unregistered", 6), "OrgUnit: Root/Unit 0/Unregistered (ou-a1b2-free0000) is not registered with Control Tower: register it there first"),
        ("s1,ana,aws+s1@example.com, ,Silva,Unit 2,,,".to_owned(), "SSOUserEmail: has 3 characters, 8 are the least; line {}, SSOUserEmail: has no @; line {}, SSOUserFirstName: is empty"),
        ("s2,ana@example.com,aws+s2@example.com,Ana,=1+1\u{7},Unit 2,,,".to_owned(), "SSOUserLastName: has a line break or another control character"),
        ("few,ana@example.com".to_owned(), "has 2 cells, but line 1 names 9 columns"),
        (format!("{}surplus", good("many,")), "=many"),
    ]
    .into_iter()
    .map(|(row, words)| (row, words.to_owned()))
    .collect();
    let (rows, words): (Vec<String>, Vec<String>) = rows.into_iter().unzip();
    let found = answers(
        &vending,
        &[],
        &rows.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    let rows = rows.len();
    assert_eq!(found.len(), rows);
    for (place, (found, words)) in found.iter().zip(&words).enumerate() {
        let line = place + 2;
        match words.as_str() {
            "" => assert_eq!(found, ""),
            "=many" => {
                let words = format!(
                    "line {line}: has \"surplus\" in cell 11, for which line 1 names no column"
                );
                assert!(found.starts_with(&words), "{found}");
            }
            words => {
                let separator = if words.starts_with("has ") {
                    ": "
                } else {
                    ", "
                };
                let words = words.replace("{}", &line.to_string());
                assert!(
                    found.starts_with(&format!("line {line}{separator}{words}")),
                    "{found}\nlacks\n{words}"
                );
            }
        }
    }
    assert_eq!(requests(&vending), 2, "only the good rows are started");
    assert_eq!(progress(&vending, KEY, "v1"), ("2".to_owned(), true));
    let world = vending.look();
    let (topic, alert) = &world.published[0];
    assert_eq!(topic, ERROR);
    assert_eq!(
        alert["title"],
        format!("{KEY}: 2 of {rows} rows accepted, {} refused", rows - 2)
    );
    let why = alert["details"]["Why"].as_str().unwrap();
    assert!(
        why.starts_with("line 4, AccountEmail: has a space"),
        "{why}"
    );
    // What was written stays as it was, and calculates nothing.
    let text = &world.objects[RESULTS][0].text;
    assert!(text.contains(",Ana,'=1+1\u{7},"), "{text}");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_refused_whole() {
    let long = "x".repeat(csv::MOST_BYTES + 1);
    let many = csv(&vec![row(0, 0).as_str(); csv::MOST_ROWS + 1]);
    for (key, text, words) in [
        (
            "a.txt",
            csv(&[&row(0, 0)]),
            "\"a.txt\" is not a CSV: its name has to end in .csv",
        ),
        ("a.csv", String::new(), "the file is empty"),
        (
            "a.csv",
            HEADER.to_owned(),
            "the file has a header, but no rows below it",
        ),
        (
            "a.csv",
            row(0, 0),
            "line 1 has to name the columns: AccountName,",
        ),
        (
            "a.csv",
            csv(&[]).replace(',', ";"),
            "the file has a header, but no rows below it",
        ),
        (
            "a.csv",
            csv(&[&row(0, 0)]).replace("OrgUnit", "Unit"),
            "line 1 names a column \"Unit\" that is not known (did you mean OrgUnit?), lacks the column OrgUnit. Needed are AccountName,",
        ),
        (
            "a.csv",
            "PK\u{3}\u{4}".to_owned(),
            "the file is not a CSV but an Excel workbook or a zip archive: save it as \"CSV UTF-8\"",
        ),
        (
            "a.csv",
            "a\0b\0".to_owned(),
            "the file is not a CSV: it has a zero character in line 1: save it as \"CSV UTF-8\"",
        ),
        (
            "a.csv",
            many.clone(),
            "the file has more than 5000 rows: split it into several files",
        ),
        (
            "a.csv",
            long.clone(),
            "the file is longer than 5 MB: split it into several files",
        ),
    ] {
        let vending = organization();
        let wire = plain(&vending).await;
        let mut event = vending.upload(key, &text);
        if text.len() > csv::MOST_BYTES {
            // Nothing is read of what says that it is too long.
            done(&wire, &event).await;
            let read = wire.calls_of("GetObject");
            assert!(read.iter().all(|call| call.uri.contains("/results/")));
            assert!(column(&vending, "results/a.csv", "ErrorMsg")[0].starts_with(words));
            // What is longer than it says is not read to its end.
            event = vending.upload(key, &text);
            event["detail"]["object"]["size"] = 10.into();
            vending.look().published.clear();
        }
        done(&wire, &event).await;
        let results = if key == "a.txt" {
            "results/a.txt.csv"
        } else {
            "results/a.csv"
        };
        assert_eq!(column(&vending, results, "Status"), ["FAILED"]);
        let found = &column(&vending, results, "ErrorMsg")[0];
        assert!(found.starts_with(words), "{found}");
        let [(topic, title)] = &published(&vending)[..] else {
            panic!("published once: {:?}", published(&vending));
        };
        assert_eq!(topic, ERROR);
        assert!(title.starts_with(&format!("{key}: {words}")), "{title}");
        assert!(title.ends_with("nothing was started"), "{title}");
        assert_eq!(requests(&vending), 0);
        assert_eq!(wire.calls_of("ListAccounts").len(), 0);
        // It is published once, however often the event is received.
        done(&wire, &event).await;
        assert_eq!(published(&vending).len(), 1);
    }
}

#[tokio::test]
async fn a_version_that_is_gone_is_published_once() {
    let vending = organization();
    let wire = plain(&vending).await;
    for (key, event) in [
        ("never.csv", uploaded("never.csv", "v9", 10)),
        ("other.csv", {
            vending.upload("other.csv", "x");
            uploaded("other.csv", "deleted", 10)
        }),
    ] {
        vending.look().published.clear();
        done(&wire, &event).await;
        done(&wire, &event).await;
        let [(topic, title)] = &published(&vending)[..] else {
            panic!("published once: {:?}", published(&vending));
        };
        assert_eq!(topic, ERROR);
        assert!(
            title.contains("deleted or replaced before it could be read"),
            "{title}"
        );
        assert_eq!(
            column(&vending, &format!("results/{key}"), "Status"),
            ["FAILED"]
        );
    }
}

#[tokio::test]
async fn a_bucket_without_versions_is_asked_by_entity_tag() {
    let vending = organization();
    let wire = plain(&vending).await;
    let mut event = vending.upload(KEY, &csv(&[&row(0, 0)]));
    let object = event["detail"]["object"].as_object_mut().unwrap();
    object.remove("version-id");
    done(&wire, &event).await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"]);
    let read = &wire.calls_of("GetObject")[1];
    assert_eq!(read.header("if-match"), "\"tag-of-v1\"");
    assert!(!read.uri.contains("versionId"), "{}", read.uri);
    // Written over meanwhile: the newer upload has its own event.
    let mut older = uploaded("b.csv", "v1", 10);
    vending.upload("b.csv", "new");
    older["detail"]["object"]["version-id"] = "null".into();
    done(&wire, &older).await;
    assert_eq!(column(&vending, "results/b.csv", "Status"), ["FAILED"]);
}

#[tokio::test]
async fn results_and_folders_are_no_uploads_and_nonsense_is_returned() {
    let vending = organization();
    let wire = plain(&vending).await;
    for key in [RESULTS, "results/x.txt", "teams/"] {
        done(&wire, &uploaded(key, "v1", 0)).await;
    }
    assert_eq!(wire.calls().len(), 0);
    let mut elsewhere = uploaded(KEY, "v1", 0);
    elsewhere["detail"]["bucket"]["name"] = "another".into();
    let bodies = [json!({}), elsewhere, json!({ "task": "other" })];
    let back = returned(&wire, &[], &bodies, 1, Duration::from_mins(2)).await;
    assert_eq!(back, ["0", "1", "2"]);
    assert_eq!(delays(&wire), [0, 0, 0], "to the dead-letter queue");
}

#[tokio::test]
async fn the_same_event_again_does_nothing() {
    let vending = organization();
    let wire = plain(&vending).await;
    let event = vending.upload(KEY, &csv(&[&row(0, 1), "bad,,,,,,,,"]));
    // Twice in one batch, and later again.
    let twice = [event.clone(), event.clone()];
    let back = returned(&wire, &[], &twice, 1, Duration::from_mins(2)).await;
    assert!(back.is_empty());
    assert_eq!(published(&vending).len(), 1);
    let before = vending.tables.all();
    forget(&wire);
    done(&wire, &event).await;
    let operations: Vec<String> = wire
        .calls()
        .into_iter()
        .map(|call| call.operation)
        .collect();
    assert_eq!(operations, ["BatchGetItem"]);
    assert_eq!(vending.tables.all(), before);
}

#[tokio::test]
async fn a_crash_anywhere_ends_the_same() {
    // The usual end, to compare with.
    let rows = [row(0, 1), row(1, 2), "bad,,,,,,,,".to_owned()];
    let text = csv(&rows.each_ref().map(String::as_str));
    let usual = organization();
    let event = usual.upload(KEY, &text);
    done(&plain(&usual).await, &event).await;

    for (operation, told_times) in [
        ("GetObject", 1),
        ("ListAccounts", 1),
        ("ListEnabledBaselines", 1),
        ("TransactWriteItems", 1),
        ("PutObject", 1),
        ("Publish", 1),
        // The one case in which people get two alerts.
        ("UpdateItem", 2),
    ] {
        let vending = organization();
        let failure = match operation {
            "GetObject" | "PutObject" => Answer::xml_error(503, "SlowDown"),
            _ => Answer::error(500, "InternalFailure"),
        };
        let wire = wire_over(&vending, at_first(operation, 1, failure)).await;
        let event = vending.upload(KEY, &text);
        assert!(is_retried(&wire, &event).await, "{operation}");
        assert_eq!(delays(&wire), [2], "{operation}");
        if operation == "UpdateItem" {
            // Another invocation may be publishing it: not before its claim has expired.
            assert!(is_retried(&wire, &event).await);
            let later = now() + Duration::from_mins(4);
            let bodies = std::slice::from_ref(&event);
            let back = returned_at(&wire, &[], bodies, 3, Duration::from_mins(2), later).await;
            assert!(back.is_empty());
            let told = format!("told#v1#{KEY}");
            let record = usual.tables.get(STATE, &told).unwrap();
            vending.tables.put(STATE, &record);
            let file = file_item(&usual, KEY, "v1");
            vending.tables.put(STATE, &file);
        } else {
            done(&wire, &event).await;
        }
        assert_eq!(vending.tables.all(), usual.tables.all(), "{operation}");
        assert_eq!(
            vending.results(RESULTS),
            usual.results(RESULTS),
            "{operation}"
        );
        let published = published(&vending);
        assert_eq!(published.len(), told_times, "{operation}");
        assert!(
            published
                .iter()
                .all(|(_, title)| title.ends_with("2 of 3 rows accepted, 1 refused"))
        );
    }
}

#[tokio::test]
async fn what_ended_before_the_file_was_answered_is_shown_as_it_ended() {
    let vending = organization();
    let fast = Arc::clone(&vending);
    // Both requests end before the file is recorded as processed.
    let wire = wire_over(&vending, move |call| {
        if call.operation == "Publish" {
            for (n, status) in [(0, "SUCCEEDED"), (1, "FAILED")] {
                set(
                    &fast,
                    &new_email(n),
                    &json!({ "Status": { "S": status }, "ErrorMsg": { "S": "=said\nso" },
                        "AccountId": { "S": account(900 + n) } }),
                );
            }
            let none = json!({ "Open": { "N": "0" } });
            fast.tables.set(STATE, &format!("file#v1#{KEY}"), &none);
        }
        None
    })
    .await;
    let event = vending.upload(KEY, &csv(&[&row(0, 1), &row(1, 1)]));
    done(&wire, &event).await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["SUCCEEDED", "FAILED"]);
    assert_eq!(
        column(&vending, RESULTS, "AccountId"),
        [account(900), account(901)]
    );
    assert_eq!(column(&vending, RESULTS, "ErrorMsg")[1], "'=said so");

    // Had it crashed just before, the next event would have done it.
    vending.look().objects.get_mut(RESULTS).unwrap().pop();
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"; 2]);
    done(&wire, &event).await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["SUCCEEDED", "FAILED"]);
    assert_eq!(published(&vending).len(), 1);
}

#[tokio::test]
async fn throttling_brings_the_message_back_and_tells_nobody() {
    for operation in [
        "ListAccounts",
        "ListRoots",
        "ListOrganizationalUnitsForParent",
        "ListBaselines",
    ] {
        let vending = organization();
        let throttled = move |call: &Call| {
            (call.operation == operation).then(|| Answer::error(400, "TooManyRequestsException"))
        };
        let wire = wire_over(&vending, throttled).await;
        let event = vending.upload(KEY, &csv(&[&row(0, 1)]));
        assert!(is_retried(&wire, &event).await);
        assert_eq!(delays(&wire), [2]);
        assert_eq!(published(&vending), []);
        assert_eq!(vending.results(RESULTS), Vec::<BTreeMap<_, _>>::new());
        assert_eq!(requests(&vending), 0);
    }
}

#[tokio::test]
async fn a_denial_is_explained_once_and_the_message_kept() {
    let vending = organization();
    let wire = wire_over(&vending, |call| {
        (call.operation == "ListAccounts").then(|| Answer::error(400, "AccessDeniedException"))
    })
    .await;
    let event = vending.upload(KEY, &csv(&[&row(0, 1)]));
    assert!(is_retried(&wire, &event).await);
    assert_eq!(delays(&wire), [0], "to the dead-letter queue");
    assert_eq!(
        published(&vending),
        [(ERROR.to_owned(), format!("{KEY} could not be processed"))]
    );
    assert_eq!(column(&vending, RESULTS, "Status"), ["FAILED"]);
    let words = &column(&vending, RESULTS, "ErrorMsg")[0];
    assert!(
        words.starts_with("the file could not be processed: ListAccounts failed (Denied): AccessDeniedException: refused by the test. Once that is fixed"),
        "{words}"
    );
    // On its way to the dead-letter queue it is not published again.
    let bodies = [event.clone()];
    let back = returned(&wire, &[], &bodies, 2, Duration::from_mins(2)).await;
    assert_eq!(back, ["0"]);
    assert_eq!(published(&vending).len(), 1);
    // Fixed, and redriven from there.
    let wire = plain(&vending).await;
    done(&wire, &event).await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"]);
    assert_eq!(published(&vending).len(), 2);
}

#[tokio::test]
async fn a_denial_to_publish_is_not_published() {
    let vending = organization();
    let wire = wire_over(&vending, |call| match call.operation.as_str() {
        "ListAccounts" => Some(Answer::error(400, "AccessDeniedException")),
        "Publish" | "PutObject" => Some(Answer::xml_error(403, "AccessDenied")),
        _ => None,
    })
    .await;
    let event = vending.upload(KEY, &csv(&[&row(0, 1)]));
    assert!(is_retried(&wire, &event).await);
    assert_eq!(delays(&wire), [0]);
}

#[tokio::test]
async fn the_time_running_out_brings_the_message_back() {
    let vending = organization();
    let wire = wire_over(&vending, |call| {
        (call.operation == "ListRoots")
            .then(|| Answer::ok(json!({})).after(Duration::from_secs(30)))
    })
    .await;
    let bodies = [vending.upload(KEY, &csv(&[&row(0, 1)]))];
    let back = returned(&wire, &[], &bodies, 1, Duration::from_millis(400)).await;
    assert_eq!(back, ["0"]);
    assert_eq!(published(&vending), []);
}

/// Processes one file with `row(0, 1)`, as its first version.
async fn one_in_progress(vending: &Arc<Vending>) {
    let event = vending.upload("first.csv", &csv(&[&row(0, 1)]));
    done(&plain(vending).await, &event).await;
    vending.look().published.clear();
}

#[tokio::test]
async fn a_name_that_is_in_progress_is_taken() {
    let vending = organization();
    one_in_progress(&vending).await;
    let same_name = "NEW-0,ana@example.com,other@example.com,Ana,Silva,Unit 1,,,";
    let found = answers(&vending, &[], &[same_name, &row(1, 1)]).await;
    assert_eq!(
        found,
        [
            "line 2, AccountName: is the name of the account for aws+new-0@example.com, which is in progress already",
            ""
        ]
    );
    assert_eq!(progress(&vending, KEY, "v3"), ("1".to_owned(), true));
    assert_eq!(requests(&vending), 2);
}

#[tokio::test]
async fn a_request_in_progress_is_followed() {
    let vending = organization();
    one_in_progress(&vending).await;
    set(
        &vending,
        &new_email(0),
        &json!({ "Status": { "S": "ASSIGNING" }, "AccountId": { "S": account(900) } }),
    );
    let found = answers(&vending, &[], &[&row(0, 1)]).await;
    assert_eq!(found, [""]);
    let results = vending.results(RESULTS);
    assert_eq!(results[0]["Status"], "ASSIGNING");
    assert_eq!(results[0]["AccountId"], account(900));
    assert_eq!(progress(&vending, KEY, "v3"), ("1".to_owned(), true));
    assert_eq!(
        attribute(&vending, &new_email(0), "Files")["SS"],
        json!(["v1#first.csv", format!("v3#{KEY}")])
    );
    assert_eq!(
        vending.look().published[0].1["details"]["In progress already"],
        "1"
    );
    assert_eq!(published(&vending)[0].0, INFO);

    // Another wish has to wait.
    let found = answers(&vending, &[], &[&row(0, 2)]).await;
    assert_eq!(
        found,
        [
            "line 2, AccountEmail: is in progress already, with OrgUnit Unit 1 (ou-a1b2-00000001): wait until it has ended, then upload the file again"
        ]
    );
    assert_eq!(progress(&vending, KEY, "v5"), ("0".to_owned(), true));
}

#[tokio::test]
async fn what_ends_while_it_is_looked_at_is_shown_as_it_ended() {
    for status in ["SUCCEEDED", "FAILED"] {
        let vending = organization();
        one_in_progress(&vending).await;
        let fast = Arc::clone(&vending);
        let wire = wire_over(&vending, move |call| {
            if call.operation == "TransactWriteItems" {
                set(&fast, &new_email(0), &json!({ "Status": { "S": status } }));
            }
            None
        })
        .await;
        let event = vending.upload(KEY, &csv(&[&row(0, 1)]));
        done(&wire, &event).await;
        assert_eq!(column(&vending, RESULTS, "Status"), [status]);
        assert_eq!(
            vending.look().published[0].1["details"]["Done already"],
            "1"
        );
        assert_eq!(attribute(&vending, &new_email(0), "Attempt")["N"], "1");
    }
}

#[tokio::test]
async fn a_row_that_somebody_else_starts_meanwhile_is_followed() {
    let vending = organization();
    let other = Arc::clone(&vending);
    // Between reading and writing another file brings the same row.
    let wire = wire_over(&vending, move |call| {
        if call.operation == "TransactWriteItems" && requests(&other) == 0 {
            let mut item = call.body["TransactItems"][0]["Put"]["Item"].clone();
            item["Files"] = json!({ "SS": ["v0#other.csv"] });
            other.tables.put(ACCOUNTS, &item);
        }
        None
    })
    .await;
    let event = vending.upload(KEY, &csv(&[&row(0, 1), &row(1, 1)]));
    done(&wire, &event).await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"; 2]);
    assert_eq!(
        attribute(&vending, &new_email(0), "Files")["SS"],
        json!(["v0#other.csv", format!("v1#{KEY}")])
    );
    assert_eq!(progress(&vending, KEY, "v1"), ("2".to_owned(), true));
}

#[tokio::test]
async fn what_others_change_all_the_time_is_tried_later() {
    let vending = organization();
    one_in_progress(&vending).await;
    set(
        &vending,
        &new_email(0),
        &json!({ "Status": { "S": "FAILED" } }),
    );
    let busy = Arc::clone(&vending);
    let attempts = AtomicUsize::new(1);
    let wire = wire_over(&vending, move |call| {
        if call.operation == "TransactWriteItems" {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
            let attempt = json!({ "Attempt": { "N": attempt.to_string() } });
            set(&busy, &new_email(0), &attempt);
        }
        None
    })
    .await;
    let event = vending.upload(KEY, &csv(&[&row(0, 1)]));
    assert!(is_retried(&wire, &event).await);
    assert_eq!(delays(&wire), [2]);
    assert_eq!(published(&vending), []);
    assert_eq!(wire.calls_of("TransactWriteItems").len(), 3);
}

#[tokio::test]
async fn two_files_at_once_start_each_row_once() {
    let vending = Arc::new(Vending::new(3, 6));
    let wire = plain(&vending).await;
    let rows: Vec<String> = (0..120).map(|n| row(n, 1)).collect();
    let text = csv(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let [one, two] = ["one.csv", "two.csv"].map(|key| vending.upload(key, &text));
    let (one, two) = tokio::join!(is_retried(&wire, &one), is_retried(&wire, &two));
    assert!(!one && !two);
    assert_eq!(requests(&vending), 120);
    let mut open = BTreeMap::from([("v1#one.csv", 0), ("v2#two.csv", 0)]);
    for n in 0..120 {
        assert_eq!(attribute(&vending, &new_email(n), "Attempt")["N"], "1");
        let files = attribute(&vending, &new_email(n), "Files");
        for file in files["SS"].as_array().unwrap() {
            *open.get_mut(file.as_str().unwrap()).unwrap() += 1;
        }
    }
    assert_eq!(open.values().copied().collect::<Vec<i32>>(), [120, 120]);
    for (key, version) in [("one.csv", "v1"), ("two.csv", "v2")] {
        assert_eq!(progress(&vending, key, version), ("120".to_owned(), true));
        let results = format!("results/{key}");
        assert_eq!(column(&vending, &results, "Status"), ["VALID"; 120]);
    }
}

/// An organization in which the account of `row(0, 1)` is done.
async fn one_done() -> Arc<Vending> {
    let vending = organization();
    one_in_progress(&vending).await;
    set(
        &vending,
        &new_email(0),
        &json!({ "Status": { "S": "SUCCEEDED" }, "AccountId": { "S": account(900) } }),
    );
    vending.tables.delete(STATE, "name#new-0");
    let mut world = vending.look();
    world
        .accounts
        .push(member(&account(900), "new-0", &new_email(0)));
    world
        .governed
        .insert(account_arn(&account(900)), "SUCCEEDED");
    drop(world);
    vending
}

#[tokio::test]
async fn a_done_row_is_as_the_organization_says() {
    let vending = one_done().await;
    let before = vending.tables.items(ACCOUNTS);
    assert_eq!(answers(&vending, &[], &[&row(0, 1)]).await, [""]);
    let results = vending.results(RESULTS);
    assert_eq!(results[0]["Status"], "SUCCEEDED");
    assert_eq!(results[0]["AccountId"], account(900));
    assert_eq!(
        vending.tables.items(ACCOUNTS),
        before,
        "nothing is to be done"
    );
    assert_eq!(
        vending.look().published[0].1["details"]["Done already"],
        "1"
    );

    // Somebody moved it: the row says where it belongs.
    let moved = one_done().await;
    moved.look().parents.insert(account(900), unit(3));
    assert_eq!(answers(&moved, &[], &[&row(0, 1)]).await, [""]);
    assert_eq!(column(&moved, RESULTS, "Status"), ["VALID"]);
    assert_eq!(attribute(&moved, &new_email(0), "Existing")["S"], "CHANGE");
    assert_eq!(attribute(&moved, &new_email(0), "Attempt")["N"], "2");

    for (what, state, words) in [
        (
            "closed",
            "CLOSED",
            "is CLOSED: it has to be ACTIVE (a closed account can be reopened within 90 days",
        ),
        ("being closed", "PENDING_CLOSURE", "is PENDING_CLOSURE"),
        ("renamed", "ACTIVE", "is named \"other\": write that name"),
        ("removed", "", "is not in the organization any more"),
    ] {
        let vending = one_done().await;
        {
            let mut world = vending.look();
            let last = world.accounts.len() - 1;
            match what {
                "removed" => drop(world.accounts.remove(last)),
                "renamed" => world.accounts[last]["Name"] = json!("other"),
                _ => world.accounts[last]["State"] = json!(state),
            }
        }
        let before = vending.tables.items(ACCOUNTS);
        let found = answers(&vending, &[], &[&row(0, 1)]).await;
        assert!(found[0].contains(words), "{what}: {found:?}");
        assert!(found[0].contains(&account(900)), "{what}: {found:?}");
        assert_eq!(column(&vending, RESULTS, "Status"), ["FAILED"]);
        assert_eq!(vending.tables.items(ACCOUNTS), before);
    }
}

#[tokio::test]
async fn a_done_row_with_another_owner_is_changed() {
    let vending = one_done().await;
    let other = row(0, 1).replace("Ana,Silva", "Tarek,Boll");
    assert_eq!(answers(&vending, &[], &[&other]).await, [""]);
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"]);
    assert_eq!(
        attribute(&vending, &new_email(0), "Existing")["S"],
        "CHANGE"
    );
    assert_eq!(
        attribute(&vending, &new_email(0), "SSOUserLastName")["S"],
        "Boll"
    );
}

#[tokio::test]
async fn a_done_request_that_starts_again_meanwhile_is_not_replaced() {
    let vending = one_done().await;
    vending.look().parents.insert(account(900), unit(3));
    let change = json!({ "Attempt": { "N": "2" }, "Status": { "S": "PROVISIONING" } });
    let wire = wire_over(&vending, changed_at_first(&vending, change)).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(0, 1)]))).await;
    assert_eq!(attribute(&vending, &new_email(0), "Attempt")["N"], "2");
    assert_eq!(column(&vending, RESULTS, "Status"), ["PROVISIONING"]);
}

/// The organization of the cases: `Workloads/Dev`, `Test`, `Prod`, and `Sandbox`.
fn example_organization() -> Arc<Vending> {
    let vending = organization();
    for (id, parent, name) in [
        ("ou-w", "r-a1b2", "Workloads"),
        ("ou-d", "ou-w", "Dev"),
        ("ou-t", "ou-w", "Test"),
        ("ou-p", "ou-w", "Prod"),
        ("ou-s", "r-a1b2", "Sandbox"),
    ] {
        add_unit(&vending, id, parent, name);
    }
    vending
}

fn add_unit(vending: &Vending, id: &str, parent: &str, name: &str) {
    let mut world = vending.look();
    let unit = (id.to_owned(), parent.to_owned(), name.to_owned());
    world.units.push(unit);
    world.governed.insert(unit_arn(id), "SUCCEEDED");
}

/// Ends the request of a row: its account is in the organization, in this unit.
fn succeed(vending: &Vending, n: usize, email: &str, name: &str, unit: &str) {
    set(
        vending,
        email,
        &json!({ "Status": { "S": "SUCCEEDED" }, "AccountId": { "S": account(n) } }),
    );
    let mut world = vending.look();
    world.accounts.push(member(&account(n), name, email));
    world.governed.insert(account_arn(&account(n)), "SUCCEEDED");
    world.parents.insert(account(n), unit.to_owned());
}

fn status_of(vending: &Vending, email: &str, status: &str) {
    set(vending, email, &json!({ "Status": { "S": status } }));
}

/// The results of `key`, each row's account name with one of its cells.
fn cells<'r>(
    results: &'r [BTreeMap<String, String>],
    column: &'r str,
) -> BTreeMap<&'r str, &'r str> {
    results
        .iter()
        .map(|row| (row["AccountName"].as_str(), row[column].as_str()))
        .collect()
}

/// Uploads `01-waiting.csv` as `berth.csv`; the first five rows have begun.
async fn pier() -> (Arc<Vending>, Wire) {
    let vending = example_organization();
    let wire = plain(&vending).await;
    let text = include_str!("../../../events/new-account-handler/cases/01-waiting.csv");
    done(&wire, &vending.upload("berth.csv", text)).await;
    for n in 1..=5 {
        status_of(
            &vending,
            &format!("aws+pier-{n}@example.com"),
            "PROVISIONING",
        );
    }
    (vending, wire)
}

#[tokio::test]
async fn case_01_waiting_owner_corrected() {
    let (vending, wire) = pier().await;
    let text =
        include_str!("../../../events/new-account-handler/cases/01-waiting-owner-corrected.csv");
    done(&wire, &vending.upload("berth.csv", text)).await;
    let results = vending.results("results/berth.csv");
    assert_eq!(results.len(), 8);
    assert_eq!(cells(&results, "Status")["pier-7"], "VALID");
    assert_eq!(cells(&results, "Status")["pier-1"], "PROVISIONING");
    let email = "aws+pier-7@example.com";
    assert_eq!(attribute(&vending, email, "SSOUserFirstName")["S"], "Tarek");
    assert_eq!(attribute(&vending, email, "Attempt")["N"], "2");
    let files = json!(["v3#berth.csv"]);
    assert_eq!(attribute(&vending, email, "Files")["SS"], files);
    assert_eq!(
        progress(&vending, "berth.csv", "v1"),
        ("7".to_owned(), true)
    );
    assert_eq!(
        progress(&vending, "berth.csv", "v3"),
        ("8".to_owned(), true)
    );

    // A correction that comes too late says so, and what to do.
    status_of(&vending, email, "PROVISIONING");
    let text = include_str!("../../../events/new-account-handler/cases/01-waiting.csv");
    done(&wire, &vending.upload("berth.csv", text)).await;
    let results = vending.results("results/berth.csv");
    let why = cells(&results, "ErrorMsg")["pier-7"];
    assert!(
        why.contains("SSOUserFirstName \"Tarek\"")
            && why.contains("wait until it has ended, then upload the file again"),
        "{why}"
    );
    assert_eq!(attribute(&vending, email, "SSOUserFirstName")["S"], "Tarek");
}

#[tokio::test]
async fn case_01_waiting_row_taken_out() {
    let (vending, wire) = pier().await;
    let text =
        include_str!("../../../events/new-account-handler/cases/01-waiting-row-taken-out.csv");
    let event = vending.upload("berth.csv", text);
    done(&wire, &event).await;
    let results = vending.results("results/berth.csv");
    assert_eq!(cells(&results, "Status")["pier-8"], "FAILED");
    let why = cells(&results, "ErrorMsg")["pier-8"];
    assert!(why.starts_with("taken back before it began"), "{why}");
    assert_eq!(cells(&results, "Status")["pier-7"], "VALID");
    let email = "aws+pier-8@example.com";
    assert_eq!(attribute(&vending, email, "Status")["S"], "FAILED");
    assert_eq!(attribute(&vending, email, "Withdrawn")["BOOL"], true);
    assert_eq!(vending.tables.get(STATE, "name#pier-8"), None);
    assert_eq!(
        progress(&vending, "berth.csv", "v1"),
        ("7".to_owned(), true)
    );
    let (topic, alert) = vending.look().published.last().unwrap().clone();
    assert_eq!(topic, INFO);
    assert_eq!(alert["details"]["Taken back"], "1");
    // Name and address are free for another file.
    let text = "pier-8,ines.moll@example.com,aws+pier-8@example.com,Ines,Moll,Sandbox,,,";
    done(&wire, &vending.upload("other.csv", &csv(&[text]))).await;
    assert_eq!(column(&vending, "results/other.csv", "Status"), ["VALID"]);
    assert_eq!(attribute(&vending, email, "Withdrawn")["BOOL"], false);
}

#[tokio::test]
async fn a_row_that_was_left_out_too_late_is_followed_to_its_end() {
    let (vending, wire) = pier().await;
    status_of(&vending, "aws+pier-8@example.com", "ASSIGNING");
    let text =
        include_str!("../../../events/new-account-handler/cases/01-waiting-row-taken-out.csv");
    done(&wire, &vending.upload("berth.csv", text)).await;
    let results = vending.results("results/berth.csv");
    assert_eq!(cells(&results, "Status")["pier-8"], "ASSIGNING");
    let why = cells(&results, "ErrorMsg")["pier-8"];
    assert!(why.contains("it had begun"), "{why}");
    let files = attribute(&vending, "aws+pier-8@example.com", "Files");
    assert_eq!(files["SS"], json!(["v1#berth.csv", "v3#berth.csv"]));
    status_of(&vending, "aws+pier-8@example.com", "SUCCEEDED");
    let task = json!({ "task": "results", "key": "berth.csv", "version": "v3" });
    done(&wire, &task).await;
    let results = vending.results("results/berth.csv");
    assert_eq!(cells(&results, "Status")["pier-8"], "SUCCEEDED");
}

#[tokio::test]
async fn of_forty_rows_that_are_replaced_while_they_wait_no_wrong_one_is_left() {
    let vending = organization();
    let wire = plain(&vending).await;
    let wrong: Vec<String> = (0..40).map(|n| row(n, 1)).collect();
    let text = csv(&wrong.iter().map(String::as_str).collect::<Vec<_>>());
    done(&wire, &vending.upload(KEY, &text)).await;
    for n in 0..5 {
        status_of(&vending, &new_email(n), "PROVISIONING");
    }
    // Every name is corrected, and the last five rows are taken out.
    let right: Vec<String> = (5..35)
        .map(|n| row(n, 2).replacen(&format!("new-{n}"), &format!("right-{n}"), 1))
        .collect();
    let text = csv(&right.iter().map(String::as_str).collect::<Vec<_>>());
    done(&wire, &vending.upload(KEY, &text)).await;
    for n in 5..35 {
        let email = new_email(n);
        assert_eq!(attribute(&vending, &email, "Status")["S"], "VALID");
        let name = json!(format!("right-{n}"));
        assert_eq!(attribute(&vending, &email, "AccountName")["S"], name);
        let unit_id = &attribute(&vending, &email, "Unit")["M"]["Id"]["S"];
        assert_eq!(*unit_id, json!(unit(2)));
        assert_eq!(vending.tables.get(STATE, &format!("name#new-{n}")), None);
        let taken = vending
            .tables
            .get(STATE, &format!("name#right-{n}"))
            .unwrap();
        assert_eq!(taken["AccountEmail"]["S"], json!(email));
    }
    for n in 35..40 {
        assert_eq!(attribute(&vending, &new_email(n), "Status")["S"], "FAILED");
    }
    assert_eq!(progress(&vending, KEY, "v1"), ("5".to_owned(), true));
    assert_eq!(progress(&vending, KEY, "v3"), ("35".to_owned(), true));
    assert_eq!(vending.results(RESULTS).len(), 40);
    assert_eq!(requests(&vending), 40);
}

#[tokio::test]
async fn a_waiting_row_whose_newer_version_has_a_fault_is_taken_back() {
    let vending = organization();
    let wire = plain(&vending).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(0, 1), &row(1, 1)]))).await;
    done(
        &wire,
        &vending.upload(KEY, &csv(&[&row(0, 1), &row(1, 99)])),
    )
    .await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID", "FAILED"]);
    let why = &column(&vending, RESULTS, "ErrorMsg")[1];
    assert!(
        why.contains("there is no organizational unit")
            && why.ends_with("its earlier version, which waited, was taken back"),
        "{why}"
    );
    assert_eq!(attribute(&vending, &new_email(1), "Status")["S"], "FAILED");
}

#[tokio::test]
async fn a_row_that_another_file_asks_for_too_is_not_taken_back() {
    let vending = organization();
    let wire = plain(&vending).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(0, 1), &row(1, 1)]))).await;
    done(&wire, &vending.upload("other.csv", &csv(&[&row(1, 1)]))).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(0, 1)]))).await;
    assert_eq!(attribute(&vending, &new_email(1), "Status")["S"], "VALID");
    let files = attribute(&vending, &new_email(1), "Files");
    assert_eq!(files["SS"], json!(["v3#other.csv"]));
    assert_eq!(progress(&vending, KEY, "v1"), ("1".to_owned(), true));
    let why = &column(&vending, RESULTS, "ErrorMsg")[1];
    assert!(
        why.ends_with("another one does: see results/other.csv"),
        "{why}"
    );
}

#[tokio::test]
async fn another_file_replaces_a_waiting_row_and_the_first_one_is_told() {
    let vending = organization();
    let wire = plain(&vending).await;
    done(&wire, &vending.upload("first.csv", &csv(&[&row(0, 1)]))).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(0, 2)]))).await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"]);
    let unit_id = &attribute(&vending, &new_email(0), "Unit")["M"]["Id"]["S"];
    assert_eq!(*unit_id, json!(unit(2)));
    assert_eq!(
        progress(&vending, "first.csv", "v1"),
        ("0".to_owned(), true)
    );
    let task = json!({ "task": "results", "key": "first.csv", "version": "v1" });
    done(&wire, &task).await;
    assert_eq!(
        column(&vending, "results/first.csv", "ErrorMsg"),
        [format!(
            "another file has asked for it since: see {RESULTS}"
        )]
    );
}

#[tokio::test]
async fn a_waiting_row_that_begins_or_is_joined_meanwhile_is_not_replaced() {
    for change in [
        json!({ "Status": { "S": "PROVISIONING" } }),
        json!({ "Attempt": { "N": "7" }, "Status": { "S": "ASSIGNING" } }),
        // Somebody else has replaced it for the same file.
        json!({ "Attempt": { "N": "7" } }),
        json!({ "Files": { "SS": ["v0#joined.csv", "v1#first.csv"] } }),
    ] {
        let vending = organization();
        one_in_progress(&vending).await;
        let joined = change["Files"].is_object();
        if change["Attempt"]["N"] == "7" && change["Status"].is_null() {
            let wire = wire_over(&vending, changed_at_first(&vending, change)).await;
            done(&wire, &vending.upload(KEY, &csv(&[&row(0, 2)]))).await;
            // It is read again, and that attempt is replaced.
            assert_eq!(attribute(&vending, &new_email(0), "Attempt")["N"], "8");
            continue;
        }
        let wire = wire_over(&vending, changed_at_first(&vending, change)).await;
        done(&wire, &vending.upload(KEY, &csv(&[&row(0, 2)]))).await;
        let unit_id = attribute(&vending, &new_email(0), "Unit")["M"]["Id"]["S"].clone();
        if joined {
            // It is read again, and replaced for both.
            assert_eq!(unit_id, json!(unit(2)));
            let joined = vending.tables.get(STATE, "file#v0#joined.csv").unwrap();
            assert_eq!(joined["Open"]["N"], "-1");
        } else {
            assert_eq!(unit_id, json!(unit(1)));
            assert_eq!(column(&vending, RESULTS, "Status"), ["FAILED"]);
        }
    }
}

#[tokio::test]
async fn a_row_that_begins_while_it_is_taken_back_goes_on() {
    for change in [
        json!({ "Status": { "S": "PROVISIONING" } }),
        json!({ "Files": { "SS": ["v0#joined.csv", format!("v1#{KEY}")] } }),
        // The other file has left: nobody asks for it any more.
        json!({ "Files": { "SS": [format!("v1#{KEY}")] } }),
    ] {
        let vending = organization();
        let alone = change["Files"]["SS"].as_array().map(Vec::len) == Some(1);
        let wire = plain(&vending).await;
        done(&wire, &vending.upload(KEY, &csv(&[&row(0, 1), &row(1, 1)]))).await;
        // Of two files that wait for it, one leaves.
        let files = json!({ "Files": { "SS": ["v9#other.csv", format!("v1#{KEY}")] } });
        set(&vending, &new_email(0), &files);
        let (other, calls) = (Arc::clone(&vending), AtomicUsize::new(0));
        let wire = wire_over(&vending, move |call| {
            let leaves = call.operation == "TransactWriteItems"
                && call.body.to_string().contains(":leaving");
            if leaves && calls.fetch_add(1, Ordering::Relaxed) == 0 {
                set(&other, &new_email(0), &change);
            }
            None
        })
        .await;
        done(&wire, &vending.upload(KEY, &csv(&[&row(1, 1)]))).await;
        let files = attribute(&vending, &new_email(0), "Files")["SS"].clone();
        let status = attribute(&vending, &new_email(0), "Status")["S"].clone();
        if alone {
            assert_eq!(status, "FAILED");
        } else if status == "PROVISIONING" {
            assert!(
                files
                    .as_array()
                    .unwrap()
                    .contains(&json!(format!("v3#{KEY}")))
            );
        } else {
            assert!(!files.to_string().contains(KEY), "{files}");
        }
    }
}

#[tokio::test]
async fn what_an_interrupted_older_version_has_started_is_taken_back() {
    let vending = organization();
    let older = vending.upload(KEY, &csv(&[&row(0, 1), &row(1, 1)]));
    // It stops after its rows were stored.
    let wire = wire_over(&vending, |call| {
        (call.operation == "PutObject").then(|| Answer::xml_error(503, "SlowDown"))
    })
    .await;
    assert!(is_retried(&wire, &older).await);
    assert_eq!(requests(&vending), 2);
    let wire = plain(&vending).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(0, 1)]))).await;
    done(&wire, &older).await;
    assert_eq!(attribute(&vending, &new_email(0), "Status")["S"], "VALID");
    assert_eq!(attribute(&vending, &new_email(1), "Status")["S"], "FAILED");
    assert_eq!(column(&vending, RESULTS, "AccountName"), ["new-0"]);
    assert_eq!(progress(&vending, KEY, "v1"), ("0".to_owned(), true));
}

#[tokio::test]
async fn case_02_after_success() {
    let vending = example_organization();
    add_unit(&vending, "ou-lamps", "ou-s", "Lamps");
    let wire = plain(&vending).await;
    let text = include_str!("../../../events/new-account-handler/cases/02-after-success.csv");
    done(&wire, &vending.upload("lamps.csv", text)).await;
    succeed(&vending, 901, "aws+lamp-1@example.com", "lamp-1", "ou-s");
    succeed(
        &vending,
        902,
        "aws+lamp-2@example.com",
        "lamp-2",
        "ou-lamps",
    );
    {
        let mut world = vending.look();
        for closed in world
            .accounts
            .iter_mut()
            .filter(|it| it["Name"] == "lamp-1")
        {
            closed["State"] = json!("PENDING_CLOSURE");
        }
        for unit in world.units.iter_mut().filter(|it| it.0 == "ou-lamps") {
            "Lanterns".clone_into(&mut unit.2);
        }
    }
    done(&wire, &vending.upload("lamps.csv", text)).await;
    let results = vending.results("results/lamps.csv");
    let why = cells(&results, "ErrorMsg");
    assert!(why["lamp-1"].contains(&account(901)), "{why:?}");
    assert!(why["lamp-1"].contains("PENDING_CLOSURE"), "{why:?}");
    assert!(
        why["lamp-2"].contains("is in Root/Sandbox/Lanterns"),
        "{why:?}"
    );
    assert_eq!(
        column(&vending, "results/lamps.csv", "Status"),
        ["FAILED"; 2]
    );

    let before = vending.tables.items(ACCOUNTS);
    let text =
        include_str!("../../../events/new-account-handler/cases/02-after-success-unit-renamed.csv");
    done(&wire, &vending.upload("lamps.csv", text)).await;
    let results = vending.results("results/lamps.csv");
    assert_eq!(cells(&results, "Status")["lamp-2"], "SUCCEEDED");
    assert_eq!(cells(&results, "AccountId")["lamp-2"], account(902));
    assert_eq!(vending.tables.items(ACCOUNTS), before, "nothing is started");
}

/// The example organization with the group and the permission set of the cases, and the settings for them.
fn analysts() -> Arc<Vending> {
    let vending = example_organization();
    let mut world = vending.look();
    world.groups = vec![
        (GROUP.to_owned(), "platform".to_owned()),
        ("g-analysts".to_owned(), "security-analysts".to_owned()),
    ];
    world.permission_sets = vec![
        (SET.to_owned(), "AdministratorAccess".to_owned()),
        (
            "arn:aws:sso:::permissionSet/ssoins-1234567890abcdef/ps-read".to_owned(),
            "ReadOnlyAccess".to_owned(),
        ),
    ];
    drop(world);
    vending
}

#[tokio::test]
async fn case_17_governed_already() {
    let vending = analysts();
    succeed(&vending, 917, "aws+dock-1@example.com", "dock-1", "ou-s");
    vending.tables.delete(ACCOUNTS, "aws+dock-1@example.com");
    let read = "arn:aws:sso:::permissionSet/ssoins-1234567890abcdef/ps-read";
    {
        let mut world = vending.look();
        // Access of others, and one of the two, beyond the first page.
        for n in 0..3 {
            let other = (account(n), "g-analysts".to_owned(), read.to_owned());
            world.assignments.push(other);
        }
        world
            .assignments
            .push((account(917), "g-analysts".to_owned(), read.to_owned()));
    }
    let assignments = assignments();
    let settings = [
        ("IDENTITY_CENTER_INSTANCE_ARN", INSTANCE),
        ("ASSIGNMENTS", assignments.as_str()),
    ];
    let wire = plain(&vending).await;
    let text = include_str!("../../../events/new-account-handler/cases/17-governed-already.csv");
    let event = vending.upload("dock.csv", text);
    assert!(!is_retried_with(&wire, &settings, &event).await);
    let email = "aws+dock-1@example.com";
    assert_eq!(
        column(&vending, "results/dock.csv", "Status"),
        ["ASSIGNING"]
    );
    assert_eq!(attribute(&vending, email, "AccountId")["S"], account(917));
    assert_eq!(attribute(&vending, email, "Enrol")["BOOL"], false);
    let access = attribute(&vending, email, "Access");
    assert_eq!(access["L"].as_array().map(Vec::len), Some(2));

    // With its access it is done, and nothing is stored.
    vending.tables.delete(ACCOUNTS, email);
    vending
        .look()
        .assignments
        .push((account(917), GROUP.to_owned(), SET.to_owned()));
    let event = vending.upload("again.csv", text);
    assert!(!is_retried_with(&wire, &settings, &event).await);
    assert_eq!(
        column(&vending, "results/again.csv", "Status"),
        ["SUCCEEDED"]
    );
    assert_eq!(
        column(&vending, "results/again.csv", "AccountId"),
        [account(917)]
    );
    assert_eq!(vending.tables.get(ACCOUNTS, email), None);

    // In another unit it is not moved: orgkeeper did not create it.
    vending
        .look()
        .parents
        .insert(account(917), "ou-d".to_owned());
    let event = vending.upload("elsewhere.csv", text);
    assert!(!is_retried_with(&wire, &settings, &event).await);
    let why = &column(&vending, "results/elsewhere.csv", "ErrorMsg")[0];
    assert!(why.contains("is in Root/Workloads/Dev (ou-d)"), "{why}");
    assert_eq!(vending.tables.get(ACCOUNTS, email), None);
}

#[tokio::test]
async fn access_of_a_user_is_its_own_and_not_that_of_its_groups() {
    let vending = analysts();
    succeed(&vending, 917, "aws+dock-1@example.com", "dock-1", "ou-s");
    vending.tables.delete(ACCOUNTS, "aws+dock-1@example.com");
    let read = "arn:aws:sso:::permissionSet/ssoins-1234567890abcdef/ps-read";
    {
        let mut world = vending.look();
        world.users = vec![(
            "u-maria".to_owned(),
            "maria".to_owned(),
            "maria@example.com".to_owned(),
        )];
        world.members = vec![("g-analysts".to_owned(), "u-maria".to_owned())];
        for (id, set) in [("g-analysts", read), (GROUP, SET)] {
            let has = (account(917), id.to_owned(), set.to_owned());
            world.assignments.push(has);
        }
    }
    let assignments = assignments();
    let settings = [
        ("IDENTITY_CENTER_INSTANCE_ARN", INSTANCE),
        ("ASSIGNMENTS", assignments.as_str()),
    ];
    let wire = plain(&vending).await;
    let text = format!(
        "{HEADER},Users,PermissionSet\n\
         dock-1,ines.moll@example.com,aws+dock-1@example.com,Ines,Moll,Sandbox,,,,maria,ReadOnlyAccess\n"
    );
    for (key, status) in [("a.csv", "ASSIGNING"), ("b.csv", "SUCCEEDED")] {
        let event = vending.upload(key, &text);
        assert!(!is_retried_with(&wire, &settings, &event).await);
        let results = format!("results/{key}");
        assert_eq!(column(&vending, &results, "Status"), [status]);
        vending.tables.delete(ACCOUNTS, "aws+dock-1@example.com");
        let has = (account(917), "u-maria".to_owned(), read.to_owned());
        vending.look().assignments.push(has);
    }
}

#[tokio::test]
async fn an_account_that_exists_gets_the_tags_and_contacts_that_its_row_names() {
    let vending = one_done().await;
    let wire = plain(&vending).await;
    let named = |team: &str, phone: &str| {
        let columns = "tag:Team,SecurityContactName,SecurityContactTitle,SecurityContactEmail,SecurityContactPhone";
        let row = row(0, 1);
        format!("{HEADER},{columns}\n{row},{team},Desk,Security,sec@example.com,{phone}\n")
    };
    let email = new_email(0);
    let mut attempt = 1;
    for (team, phone, starts) in [
        ("blue", "+1 555 0100", true),
        ("blue", "+1 555 0100", false),
        ("red", "+1 555 0100", true),
        ("red", "+1 555 0199", true),
        // What a row does not name stays.
        ("", "+1 555 0199", false),
    ] {
        done(&wire, &vending.upload(KEY, &named(team, phone))).await;
        let status = if starts { "VALID" } else { "SUCCEEDED" };
        assert_eq!(
            column(&vending, RESULTS, "Status"),
            [status],
            "{team} {phone}"
        );
        attempt += u32::from(starts);
        let number = attempt.to_string();
        assert_eq!(attribute(&vending, &email, "Attempt")["N"], number);
        if starts {
            assert_eq!(attribute(&vending, &email, "Existing")["S"], "DETAILS");
            assert_eq!(attribute(&vending, &email, "AccountId")["S"], account(900));
        }
        status_of(&vending, &email, "SUCCEEDED");
        vending.tables.delete(STATE, "name#new-0");
    }
    // Tags that could not be set are not taken as given.
    status_of(&vending, &email, "FAILED");
    done(&wire, &vending.upload(KEY, &named("red", "+1 555 0199"))).await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"]);
    // Those of a row in progress are named.
    status_of(&vending, &email, "PROVISIONING");
    done(&wire, &vending.upload(KEY, &named("green", "+1 555 0100"))).await;
    let why = &column(&vending, RESULTS, "ErrorMsg")[0];
    assert!(why.contains("with other tags, other contacts"), "{why}");
}

#[tokio::test]
async fn case_19_table_lost() {
    let vending = example_organization();
    let wire = plain(&vending).await;
    let text = include_str!("../../../events/new-account-handler/cases/19-table-lost.csv");
    let email = "aws+oar-1@example.com";
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..3 {
        let event = vending.upload("oar.csv", text);
        let later = now() + Duration::from_secs(60 * n);
        let bodies = std::slice::from_ref(&event);
        let back = returned_at(&wire, &[], bodies, 1, Duration::from_mins(2), later).await;
        assert!(back.is_empty());
        assert_eq!(column(&vending, "results/oar.csv", "Status"), ["VALID"]);
        assert_eq!(attribute(&vending, email, "Attempt")["N"], "1");
        let requested = attribute(&vending, email, "RequestedAt")["N"].clone();
        assert!(
            seen.insert(requested.to_string()),
            "each attempt is a new one"
        );
        // The table loses it, but not the name that it had.
        vending.tables.delete(ACCOUNTS, email);
    }
}

#[tokio::test]
async fn a_name_whose_request_was_deleted_is_free() {
    let vending = organization();
    one_in_progress(&vending).await;
    vending.tables.delete(ACCOUNTS, &new_email(0));
    let same_name = "NEW-0,ana@example.com,other@example.com,Ana,Silva,Unit 1,,,";
    assert_eq!(answers(&vending, &[], &[same_name]).await, [""]);
    let name = vending.tables.get(STATE, "name#new-0").unwrap();
    assert_eq!(name["AccountEmail"]["S"], "other@example.com");
    // So is that of one that has ended.
    status_of(&vending, "other@example.com", "FAILED");
    let again = same_name.replace("other@", "third@");
    assert_eq!(answers(&vending, &[], &[&again]).await, [""]);
    // One that starts meanwhile keeps it.
    let (other, calls) = (Arc::clone(&vending), AtomicUsize::new(0));
    status_of(&vending, "third@example.com", "FAILED");
    let wire = wire_over(&vending, move |call| {
        let frees = call.operation == "TransactWriteItems"
            && call.body.to_string().contains("ConditionCheck");
        if frees && calls.fetch_add(1, Ordering::Relaxed) == 0 {
            status_of(&other, "third@example.com", "VALID");
        }
        None
    })
    .await;
    let fourth = same_name.replace("other@", "fourth@");
    done(&wire, &vending.upload("fourth.csv", &csv(&[&fourth]))).await;
    let why = &column(&vending, "results/fourth.csv", "ErrorMsg")[0];
    assert!(
        why.contains("is the name of the account for third@example.com"),
        "{why}"
    );
}

#[tokio::test]
async fn the_results_of_a_request_that_was_deleted_end() {
    let vending = organization();
    let wire = plain(&vending).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(0, 1), &row(1, 1)]))).await;
    vending.tables.delete(ACCOUNTS, &new_email(0));
    done(&wire, &results_task("v1")).await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["FAILED", "VALID"]);
    let why = column(&vending, RESULTS, "ErrorMsg");
    assert!(why[0].contains("upload the file again"), "{why:?}");
    assert_eq!(
        why[1],
        "since 2026-03-01 12:10 UTC: waits for its turn: number 1 of 1 in the line"
    );
    // Its file waits for one request less, and not for fewer than there are.
    assert_eq!(progress(&vending, KEY, "v1"), ("1".to_owned(), true));
    let event = vending.upload("more.csv", &csv(&[&row(2, 1), &row(3, 1)]));
    done(&wire, &event).await;
    let none = json!({ "Open": { "N": "0" } });
    vending.tables.set(STATE, "file#v4#more.csv", &none);
    vending.tables.delete(ACCOUNTS, &new_email(2));
    let task = json!({ "task": "results", "key": "more.csv", "version": "v4" });
    done(&wire, &task).await;
    assert_eq!(progress(&vending, "more.csv", "v4"), ("0".to_owned(), true));
}

#[tokio::test]
async fn the_results_say_what_each_row_waits_for_while_it_waits() {
    let vending = organization();
    let wire = plain(&vending).await;
    let rows = [row(0, 1), row(1, 1), row(2, 1), row(3, 1)];
    done(
        &wire,
        &vending.upload(KEY, &csv(&rows.each_ref().map(String::as_str))),
    )
    .await;
    let began = json!({ "N": now().as_millisecond().to_string() });
    set(
        &vending,
        &new_email(0),
        &json!({ "Status": { "S": "PROVISIONING" }, "StartedAt": began }),
    );
    set(
        &vending,
        &new_email(1),
        &json!({ "WaitsFor": { "S": "AWS is busy with another operation" } }),
    );
    done(&wire, &results_task("v1")).await;
    assert_eq!(
        column(&vending, RESULTS, "ErrorMsg"),
        [
            "since 2026-03-01 12:10 UTC: the account is being created",
            "since 2026-03-01 12:10 UTC: waits: AWS is busy with another operation. It is tried again by itself",
            "since 2026-03-01 12:10 UTC: waits for its turn: number 2 of 3 in the line",
            "since 2026-03-01 12:10 UTC: waits for its turn: number 3 of 3 in the line",
        ]
    );
    // Nothing has changed: nothing is written.
    forget(&wire);
    done(&wire, &results_task("v1")).await;
    assert_eq!(wire.calls_of("PutObject").len(), 0);
}

#[tokio::test]
async fn a_failed_row_that_was_corrected_starts_again() {
    let vending = organization();
    one_in_progress(&vending).await;
    set(
        &vending,
        &new_email(0),
        &json!({ "Status": { "S": "FAILED" }, "ErrorMsg": { "S": "no" },
            "ProvisionedProductId": { "S": "pp-1" } }),
    );
    vending.tables.delete(STATE, "name#new-0");
    assert_eq!(answers(&vending, &[], &[&row(0, 2)]).await, [""]);
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"]);
    for (name, value) in [
        ("Attempt", json!({ "N": "2" })),
        ("ProvisionedProductId", json!({ "S": "pp-1" })),
        ("Status", json!({ "S": "VALID" })),
        ("ErrorMsg", Value::Null),
        ("Files", json!({ "SS": [format!("v3#{KEY}")] })),
    ] {
        assert_eq!(attribute(&vending, &new_email(0), name), value, "{name}");
    }
}

#[tokio::test]
async fn an_account_of_the_organization_is_enrolled() {
    let vending = organization();
    {
        let mut world = vending.look();
        let mut suspended = member(&account(11), "suspended", "suspended@example.com");
        suspended.as_object_mut().unwrap().remove("State");
        // A service that does not know `State` yet.
        suspended["Status"] = "SUSPENDED".into();
        world.accounts.extend([
            member(&account(10), "Old & grown", "Old@example.com"),
            suspended,
            member(&account(12), "half", "half@example.com"),
        ]);
        world.governed.insert(account_arn(&account(12)), "FAILED");
    }
    let rest = "ana@example.com";
    let rows = [
        format!("Old & grown,{rest},OLD@example.com,Ana,Silva,Unit 1,,,"),
        format!("half,{rest},half@example.com,Ana,Silva,Unit 1,,,"),
        format!("suspended,{rest},suspended@example.com,Ana,Silva,Unit 1,,,"),
        format!("management,{rest},management@example.com,Ana,Silva,Unit 1,,,"),
        format!("new-name,{rest},aws+0@example.com,Ana,Silva,Unit 1,,,"),
    ];
    let found = answers(&vending, &[], &rows.each_ref().map(String::as_str)).await;
    assert_eq!(
        found,
        [
            String::new(),
            String::new(),
            format!(
                "line 4, AccountEmail: account {} has this address and is SUSPENDED: it has to be ACTIVE (a closed account can be reopened within 90 days of its closure), or take another address",
                account(11)
            ),
            format!(
                "line 5, AccountEmail: is the address of the management account {MANAGEMENT_ACCOUNT}, which cannot be enrolled"
            ),
            format!(
                "line 6, AccountName: account {} with this AccountEmail is named \"account-0\": write that name",
                account(0)
            ),
        ]
    );
    for (email, id) in [
        ("old@example.com", account(10)),
        ("half@example.com", account(12)),
    ] {
        assert_eq!(attribute(&vending, email, "Enrol")["BOOL"], true);
        assert_eq!(attribute(&vending, email, "AccountId")["S"], id);
    }
    assert_eq!(column(&vending, RESULTS, "AccountId")[0], account(10));
}

#[tokio::test]
async fn another_name_than_the_account_has_is_a_fault() {
    let vending = organization();
    vending
        .look()
        .accounts
        .push(member(&account(10), "Old & grown", "old@example.com"));
    let found = answers(
        &vending,
        &[],
        &["old,ana@example.com,old@example.com,Ana,Silva,Unit 1,,,"],
    )
    .await;
    assert_eq!(
        found,
        [format!(
            "line 2, AccountName: account {} with this AccountEmail is named \"Old & grown\": write that name",
            account(10)
        )]
    );
}

#[tokio::test]
async fn without_control_tower_it_is_not_asked_and_accounts_are_new() {
    let vending = organization();
    vending.look().governed.clear();
    let wire = plain(&vending).await;
    let existing = "account-0,ana@example.com,aws+0@example.com,Ana,Silva,Unit 1,,,";
    let event = vending.upload(KEY, &csv(&[&row(0, 1), existing]));
    assert!(!is_retried_with(&wire, WITHOUT_CONTROL_TOWER, &event).await);
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID", "SUCCEEDED"]);
    assert_eq!(column(&vending, RESULTS, "AccountId")[1], account(0));
    let operations: Vec<String> = wire
        .calls()
        .into_iter()
        .map(|call| call.operation)
        .collect();
    assert!(
        !operations
            .iter()
            .any(|operation| operation.contains("Baselines"))
    );
    assert!(
        !operations
            .iter()
            .any(|operation| operation == "ListInstances")
    );
}

fn with_access() -> Arc<Vending> {
    let vending = organization();
    let mut world = vending.look();
    world.groups = (0..150)
        .map(|n| (format!("id-{n}"), format!("Team {n}")))
        .chain([(GROUP.to_owned(), "Platform".to_owned())])
        .collect();
    let arn = |n: usize| format!("arn:aws:sso:::permissionSet/ssoins-1234567890abcdef/ps-{n}");
    world.permission_sets = (0..150)
        .map(|n| (arn(n), format!("Set {n}")))
        .chain([(SET.to_owned(), "Admin".to_owned())])
        .collect();
    drop(world);
    vending
}

const ACCESS_HEADER: &str = "AccountName,SSOUserEmail,AccountEmail,SSOUserFirstName,SSOUserLastName,OrgUnit,Groups,PermissionSet";

/// A file with the access columns.
fn access_csv(access: &[(&str, &str)]) -> String {
    let rows: Vec<String> = access
        .iter()
        .enumerate()
        .map(|(n, (groups, sets))| {
            format!(
                "new-{n},ana@example.com,aws+new-{n}@example.com,Ana,Silva,Unit 1,{groups},{sets}"
            )
        })
        .collect();
    format!("{ACCESS_HEADER}\n{}\n", rows.join("\n"))
}

fn assignments() -> String {
    format!("{GROUP}={SET}")
}

/// Who gets access to the `n`th new account: group and permission set.
fn access_of(vending: &Vending, n: usize) -> Vec<(String, String)> {
    let access = attribute(vending, &new_email(n), "Access");
    let text = |access: &Value, name: &str| access["M"][name]["S"].as_str().unwrap().to_owned();
    let access = access["L"].as_array().unwrap().iter();
    access
        .map(|access| (text(access, "GroupName"), text(access, "PermissionSetName")))
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(group, set): &(&str, &str)| ((*group).to_owned(), (*set).to_owned());
    pairs.iter().map(owned).collect()
}

#[tokio::test]
async fn access_is_what_is_configured_and_what_the_row_names() {
    let vending = with_access();
    let wire = plain(&vending).await;
    let event = vending.upload(
        KEY,
        &access_csv(&[
            ("", ""),
            ("Team 1; Team 120", "Set 3"),
            ("Team 1", ""),
            ("Team 999", "Set 3;Set 999"),
        ]),
    );
    let assignments = assignments();
    let settings = [
        ("IDENTITY_CENTER_INSTANCE_ARN", INSTANCE),
        ("ASSIGNMENTS", assignments.as_str()),
    ];
    assert!(!is_retried_with(&wire, &settings, &event).await);
    assert_eq!(
        column(&vending, RESULTS, "ErrorMsg"),
        [
            "",
            "",
            "",
            "line 5, Groups: there is no group \"Team 999\" in IAM Identity Center; \
             line 5, PermissionSet: there is no permission set \"Set 999\" in IAM Identity Center",
        ]
    );
    let usual = ("Platform", "Admin");
    assert_eq!(access_of(&vending, 0), pairs(&[usual]));
    assert_eq!(
        access_of(&vending, 1),
        pairs(&[usual, ("Team 1", "Set 3"), ("Team 120", "Set 3")])
    );
    assert_eq!(access_of(&vending, 2), pairs(&[usual, ("Team 1", "Admin")]));
    let access = attribute(&vending, &new_email(1), "Access");
    assert_eq!(access["L"][0]["M"]["GroupId"]["S"], GROUP);
    assert_eq!(access["L"][0]["M"]["PermissionSetArn"]["S"], SET);
    assert_eq!(access["L"][1]["M"]["GroupId"]["S"], "id-1");
    assert_eq!(wire.calls_of("ListGroups").len(), 2);
    assert_eq!(wire.calls_of("ListPermissionSets").len(), 2);
    // The configured set is not described again.
    assert_eq!(wire.calls_of("DescribePermissionSet").len(), 151);
}

#[tokio::test]
async fn names_are_read_only_as_far_as_they_are_needed() {
    let vending = with_access();
    let wire = plain(&vending).await;
    let assignments = assignments();
    let settings = [
        ("IDENTITY_CENTER_INSTANCE_ARN", INSTANCE),
        ("ASSIGNMENTS", assignments.as_str()),
    ];
    let event = vending.upload(KEY, &access_csv(&[("Team 1", "Set 3")]));
    assert!(!is_retried_with(&wire, &settings, &event).await);
    assert_eq!(wire.calls_of("ListGroups").len(), 1);
    assert!(wire.calls_of("DescribePermissionSet").len() < 20);

    forget(&wire);
    let event = vending.upload("b.csv", &csv(&[&row(5, 1)]));
    assert!(!is_retried_with(&wire, &settings, &event).await);
    let asked = |operation| wire.calls_of(operation).len();
    assert_eq!(
        [
            "ListInstances",
            "DescribeGroup",
            "DescribePermissionSet",
            "ListGroups",
            "ListPermissionSets"
        ]
        .map(asked),
        [1, 1, 1, 0, 0]
    );
    // Nothing configured and nothing named: nothing is asked.
    forget(&wire);
    let event = vending.upload("c.csv", &csv(&[&row(6, 1)]));
    assert!(!is_retried_with(&wire, &settings[..1], &event).await);
    assert_eq!(asked("ListInstances"), 0);
    assert_eq!(column(&vending, "results/c.csv", "Status"), ["VALID"]);
}

#[tokio::test]
async fn a_file_gives_only_the_access_that_is_allowed() {
    let vending = with_access();
    let wire = plain(&vending).await;
    let assignments = assignments();
    let settings = |groups, sets| {
        [
            ("IDENTITY_CENTER_INSTANCE_ARN", INSTANCE),
            ("ASSIGNMENTS", assignments.as_str()),
            ("ALLOWED_GROUPS", groups),
            ("ALLOWED_PERMISSION_SETS", sets),
        ]
    };
    let event = vending.upload(KEY, &access_csv(&[("Team 1", "Admin"), ("", "")]));
    assert!(!is_retried_with(&wire, &settings("", ""), &event).await);
    assert_eq!(column(&vending, RESULTS, "Status"), ["FAILED", "VALID"]);
    let words = &column(&vending, RESULTS, "ErrorMsg")[0];
    let group = "Groups: group \"Team 1\" may not be given access by a file: leave it out, or ask those who run orgkeeper to \
                 add its id, id-1, to the parameter AllowedGroups";
    assert!(words.contains(group), "{words}");

    let event = vending.upload("b.csv", &access_csv(&[("Team 1", "Admin"), ("", "")]));
    assert!(!is_retried_with(&wire, &settings("id-1", SET), &event).await);
    let status = column(&vending, "results/b.csv", "Status");
    assert_ne!(status[0], "FAILED", "{status:?}");
}

#[tokio::test]
async fn without_identity_center_the_access_columns_are_empty() {
    let vending = organization();
    let wire = plain(&vending).await;
    let event = vending.upload(KEY, &access_csv(&[("", ""), ("Team 1", "")]));
    let settings = [("IDENTITY_CENTER_INSTANCE_ARN", "")];
    assert!(!is_retried_with(&wire, &settings, &event).await);
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID", "FAILED"]);
    let words = &column(&vending, RESULTS, "ErrorMsg")[1];
    assert!(
        words.starts_with("line 3, Groups: has to be empty"),
        "{words}"
    );
}

#[tokio::test]
async fn settings_that_name_nobody_refuse_the_file() {
    let assignments = assignments();
    for (settings, words) in [
        (
            [
                ("IDENTITY_CENTER_INSTANCE_ARN", INSTANCE),
                ("ASSIGNMENTS", "nobody=arn:aws:sso:::x"),
            ],
            "the parameter Assignments of orgkeeper names ",
        ),
        (
            [
                (
                    "IDENTITY_CENTER_INSTANCE_ARN",
                    "arn:aws:sso:::instance/other",
                ),
                ("ASSIGNMENTS", assignments.as_str()),
            ],
            "the parameter IdentityCenterInstanceArn of orgkeeper names arn:aws:sso:::instance/other,",
        ),
    ] {
        let vending = with_access();
        let wire = plain(&vending).await;
        let event = vending.upload(KEY, &csv(&[&row(0, 1)]));
        assert!(!is_retried_with(&wire, &settings, &event).await);
        assert_eq!(requests(&vending), 0);
        let found = &column(&vending, RESULTS, "ErrorMsg")[0];
        assert!(found.contains(words), "{found}");
        assert_eq!(published(&vending)[0].0, ERROR);
    }
}

fn results_task(version: &str) -> Value {
    json!({ "task": "results", "key": KEY, "version": version })
}

#[tokio::test]
async fn the_results_are_written_again_at_the_end() {
    let vending = organization();
    let wire = plain(&vending).await;
    let event = vending.upload(KEY, &csv(&[&row(0, 1), &row(1, 1), "bad,,,,,,,,"]));
    done(&wire, &event).await;
    let refused = column(&vending, RESULTS, "ErrorMsg")[2].clone();
    for (n, status, message) in [(0, "SUCCEEDED", ""), (1, "FAILED", "no room")] {
        set(
            &vending,
            &new_email(n),
            &json!({ "Status": { "S": status }, "ErrorMsg": { "S": message },
                "AccountId": { "S": account(900 + n) } }),
        );
    }
    forget(&wire);
    done(&wire, &results_task("v1")).await;
    assert_eq!(
        column(&vending, RESULTS, "Status"),
        ["SUCCEEDED", "FAILED", "FAILED"]
    );
    assert_eq!(
        column(&vending, RESULTS, "ErrorMsg"),
        ["", "no room", &refused]
    );
    let operations: Vec<String> = wire
        .calls()
        .into_iter()
        .map(|call| call.operation)
        .collect();
    assert_eq!(operations, ["GetObject", "BatchGetItem", "PutObject"]);
    assert_eq!(published(&vending).len(), 1);
    // Once more changes nothing.
    forget(&wire);
    done(&wire, &results_task("v1")).await;
    assert_eq!(wire.calls_of("PutObject").len(), 0);
    // The account has its baseline some time later.
    set(
        &vending,
        &new_email(0),
        &json!({ "ErrorMsg": { "S": "ready" } }),
    );
    done(&wire, &results_task("v1")).await;
    assert_eq!(
        column(&vending, RESULTS, "ErrorMsg"),
        ["ready", "no room", &refused]
    );
    forget(&wire);
    done(&wire, &results_task("v1")).await;
    assert_eq!(wire.calls_of("PutObject").len(), 0);
}

#[tokio::test]
async fn results_give_way_to_a_newer_upload() {
    let vending = organization();
    let wire = plain(&vending).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(0, 1)]))).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(1, 1)]))).await;
    forget(&wire);
    done(&wire, &results_task("v1")).await;
    done(
        &wire,
        &json!({ "task": "results", "key": "never.csv", "version": "v1" }),
    )
    .await;
    assert_eq!(wire.calls_of("PutObject").len(), 0);
    // One that comes in between is not written over.
    let newer = Arc::clone(&vending);
    set(
        &vending,
        &new_email(1),
        &json!({ "Status": { "S": "SUCCEEDED" } }),
    );
    let wire = wire_over(&vending, move |call| {
        if call.operation == "BatchGetItem" {
            newer.upload(RESULTS, "newer");
        }
        None
    })
    .await;
    assert!(is_retried(&wire, &results_task("v3")).await);
    assert_eq!(delays(&wire), [2]);
    assert_eq!(
        vending.look().objects[RESULTS].last().unwrap().text,
        "newer"
    );
}

#[tokio::test]
async fn an_older_upload_does_not_write_over_the_results_of_a_newer_one() {
    let vending = organization();
    let wire = plain(&vending).await;
    let older = vending.upload(KEY, &csv(&[&row(0, 1)]));
    let newer = vending.upload(KEY, &csv(&[&row(1, 1)]));
    done(&wire, &newer).await;
    done(&wire, &older).await;
    assert_eq!(
        column(&vending, RESULTS, "AccountEmail"),
        [new_email(1)],
        "the newer file's"
    );
    assert_eq!(requests(&vending), 1, "the older one starts nothing");
    assert_eq!(published(&vending).len(), 1);
    assert_eq!(progress(&vending, KEY, "v1"), ("0".to_owned(), true));
    // Its outcome is still in the results.
    set(
        &vending,
        &new_email(1),
        &json!({ "Status": { "S": "SUCCEEDED" } }),
    );
    done(&wire, &results_task("v2")).await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["SUCCEEDED"]);
    let sequencer = vending.look().objects[RESULTS]
        .last()
        .unwrap()
        .source_sequencer
        .clone();
    assert_eq!(newer["detail"]["object"]["sequencer"], sequencer);

    // Both at the same moment: the second one reads again.
    let between = Arc::clone(&vending);
    let text = csv(&[&row(2, 1)]);
    let wire = wire_over(&vending, move |call| {
        if call.operation == "PutObject" {
            between.upload(RESULTS, "newer");
        }
        None
    })
    .await;
    let event = vending.upload(KEY, &text);
    assert!(is_retried(&wire, &event).await);
    assert_eq!(delays(&wire), [2]);
    done(&plain(&vending).await, &event).await;
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"]);
    assert_eq!(published(&vending).len(), 2);
}

#[tokio::test]
async fn results_that_somebody_changed_by_hand_are_left() {
    let vending = organization();
    let wire = plain(&vending).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(0, 1)]))).await;
    vending.look().objects.get_mut(RESULTS).unwrap()[0].text =
        "nothing that can be read".to_owned();
    forget(&wire);
    done(&wire, &results_task("v1")).await;
    assert_eq!(wire.calls_of("PutObject").len(), 0);
}

#[tokio::test]
async fn every_page_is_read() {
    let vending = Arc::new(Vending::new(120, 30));
    {
        let mut world = vending.look();
        world.empty_pages = true;
        for n in 0..45 {
            let (id, name) = (format!("ou-a1b2-wide{n:04}"), format!("Wide {n}"));
            world.governed.insert(unit_arn(&id), "SUCCEEDED");
            world.units.push((id, unit(3), name));
        }
    }
    let taken = "account-119,ana@example.com,new@example.com,Ana,Silva,Wide 44,,,";
    let enrolled = "account-118,ana@example.com,aws+118@example.com,Ana,Silva,Unit 29,,,";
    let found = answers(&vending, &[], &[taken, enrolled, &row(0, 29)]).await;
    assert!(found[0].contains(&account(119)), "{}", found[0]);
    assert!(found[1].contains("is in Root/Unit 1"), "{}", found[1]);
    assert_eq!(found[2], "");
}

#[tokio::test]
async fn a_thousand_rows_take_a_hundred_calls() {
    let vending = Arc::new(Vending::new(500, 20));
    let wire = plain(&vending).await;
    let rows: Vec<String> = (0..1_000).map(|n| row(n, n % 20)).collect();
    let text = csv(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    done(&wire, &vending.upload(KEY, &text)).await;
    assert_eq!(requests(&vending), 1_000);
    assert_eq!(progress(&vending, KEY, "v1"), ("1000".to_owned(), true));
    let calls = wire.calls().len();
    assert!(calls <= 120, "{calls} calls");
}

/// Another invocation changes the first request before the first transaction.
fn changed_at_first(
    vending: &Arc<Vending>,
    change: Value,
) -> impl Fn(&Call) -> Option<Answer> + use<> {
    let (other, calls) = (Arc::clone(vending), AtomicUsize::new(0));
    move |call| {
        if call.operation == "TransactWriteItems" && calls.fetch_add(1, Ordering::Relaxed) == 0 {
            set(&other, &new_email(0), &change);
        }
        None
    }
}

#[tokio::test]
async fn another_attempt_that_starts_meanwhile_is_shown_and_not_followed() {
    let vending = organization();
    one_in_progress(&vending).await;
    let attempt = json!({ "Attempt": { "N": "2" } });
    let wire = wire_over(&vending, changed_at_first(&vending, attempt)).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(0, 1)]))).await;
    assert_eq!(
        attribute(&vending, &new_email(0), "Files")["SS"],
        json!(["v1#first.csv"])
    );
    assert_eq!(column(&vending, RESULTS, "Status"), ["VALID"]);
}

#[tokio::test]
async fn a_duplicate_of_the_same_upload_is_not_counted_twice() {
    let vending = organization();
    one_in_progress(&vending).await;
    let event = vending.upload(KEY, &csv(&[&row(0, 1)]));
    // The duplicate has followed the request between this one's read and its transaction.
    let files = json!({ "Files": { "SS": ["v1#first.csv", format!("v3#{KEY}")] } });
    let wire = wire_over(&vending, changed_at_first(&vending, files)).await;
    done(&wire, &event).await;
    assert_eq!(progress(&vending, KEY, "v3"), ("0".to_owned(), true));
}

#[tokio::test]
async fn a_failed_request_that_is_started_meanwhile_is_not_replaced() {
    let vending = organization();
    one_in_progress(&vending).await;
    let status = |status: &str| json!({ "Status": { "S": status } });
    set(&vending, &new_email(0), &status("FAILED"));
    let wire = wire_over(&vending, changed_at_first(&vending, status("VALID"))).await;
    done(&wire, &vending.upload(KEY, &csv(&[&row(0, 1)]))).await;
    assert_eq!(attribute(&vending, &new_email(0), "Attempt")["N"], "1");
}

#[tokio::test]
async fn a_failed_request_whose_name_is_still_its_own_starts_again() {
    let vending = organization();
    one_in_progress(&vending).await;
    set(
        &vending,
        &new_email(0),
        &json!({ "Status": { "S": "FAILED" } }),
    );
    assert_eq!(answers(&vending, &[], &[&row(0, 1)]).await, [""]);
    assert_eq!(attribute(&vending, &new_email(0), "Attempt")["N"], "2");
}

#[tokio::test]
async fn ninety_files_at_most_wait_for_one_request() {
    let vending = organization();
    one_in_progress(&vending).await;
    let files: Vec<String> = (0..90).map(|n| format!("v{n}#many.csv")).collect();
    set(
        &vending,
        &new_email(0),
        &json!({ "Files": { "SS": files } }),
    );
    let wire = plain(&vending).await;
    is_retried(&wire, &vending.upload(KEY, &csv(&[&row(0, 1)]))).await;
    let files = attribute(&vending, &new_email(0), "Files");
    assert_eq!(files["SS"].as_array().map(Vec::len), Some(90));
}
