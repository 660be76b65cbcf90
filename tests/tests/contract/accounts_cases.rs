//! Files of accounts as people's programs leave them (`events/new-account-handler/cases/`): what becomes of each row, and
//! that a check of the file says the same, uploaded or by `orgkeeper accounts check`.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use new_account_handler::{
    config::Config,
    csv::{self, Column, Owner},
    setup,
};
use orgkeeper_cli::{
    accounts_check::{AccountsFile, check},
    context::{Context, Surroundings},
    outcome::Outcome,
    output::Format,
};
use orgkeeper_shared::lambda::Invocation;
use orgkeeper_tests::{
    dynamodb::{ACCOUNTS, VENDING_STATE},
    organization::MANAGEMENT_ACCOUNT,
    sqs,
    vending::{BUCKET, INSTANCE, Vending, account_arn, member},
    wire::Wire,
};
use serde_json::{Value, json};

/// The settings of the function.
const SETTINGS: [(&str, &str); 10] = [
    ("ACCOUNTS_BUCKET", BUCKET),
    ("ACCOUNTS_TABLE", ACCOUNTS),
    ("VENDING_STATE_TABLE", VENDING_STATE),
    ("INFO_TOPIC_ARN", "arn:aws:sns:us-east-1:111111111111:info"),
    (
        "ERROR_TOPIC_ARN",
        "arn:aws:sns:us-east-1:111111111111:error",
    ),
    ("QUOTA_PERCENT", "0"),
    ("IDENTITY_CENTER_INSTANCE_ARN", INSTANCE),
    (
        "ASSIGNMENTS",
        "g-platform-engineers=arn:aws:sso:::permissionSet/ssoins-1/ps-AdministratorAccess",
    ),
    ("ALLOWED_GROUPS", "*"),
    ("ALLOWED_PERMISSION_SETS", "*"),
];

/// Calls that change something.
const CHANGES: [&str; 5] = [
    "TransactWriteItems",
    "PutItem",
    "UpdateItem",
    "PutObject",
    "Publish",
];

/// What becomes of a row: the path of its unit if it is started, else what is wrong.
type Became = Result<&'static str, &'static str>;

fn case(name: &str) -> PathBuf {
    let folder = "../events/new-account-handler/cases";
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(format!("{name}.csv"))
}

fn example() -> Arc<Vending> {
    let vending = Vending::example();
    let variables: serde_json::Map<String, Value> = SETTINGS
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    vending.look().functions = vec![
        json!({ "FunctionName": "orgkeeper-Alerter-1A2B" }),
        json!({ "FunctionName": "orgkeeper-NewAccountHandler-3C4D",
            "Environment": { "Variables": variables } }),
    ];
    Arc::new(vending)
}

async fn wire(vending: &Arc<Vending>) -> Wire {
    let vending = Arc::clone(vending);
    Wire::start(move |call| vending.answer(call)).await.unwrap()
}

/// Has the function process an upload.
async fn process(wire: &Wire, event: Value) {
    let lookup = |name: &str| {
        let found = SETTINGS.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let config = Config::from_env(&lookup).unwrap();
    let handler = setup::function(&config, &wire.sdk_config().await);
    let invocation = Invocation {
        now: Timestamp::UNIX_EPOCH,
        remaining: Duration::from_mins(2),
        account: MANAGEMENT_ACCOUNT.parse().ok(),
    };
    let event = sqs::event(&sqs::batch(&[event], 1));
    let returned = sqs::returned(handler.handle(event, invocation).await);
    assert_eq!(returned, Vec::<String>::new());
}

/// What `results/` says of the file.
fn results(vending: &Vending, key: &str) -> String {
    let world = vending.look();
    let versions = &world.objects[&format!("results/{key}")];
    versions.last().unwrap().text.clone()
}

/// What `orgkeeper accounts check` prints.
async fn printed(wire: &Wire, name: &str, function: Option<&str>) -> (Outcome, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut context = Context {
        now: Timestamp::UNIX_EPOCH,
        around: Surroundings::default(),
        format: Format::Table,
        out: &mut out,
        err: &mut err,
    };
    let file = AccountsFile::read(&case(name)).unwrap();
    let sdk = wire.sdk_config().await;
    let report = check(&file, &sdk, function.map(str::to_owned))
        .await
        .unwrap();
    let outcome = report.print(&mut context).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (outcome, text(out), text(err))
}

/// Checks a case by the command and by its metadata, which says the same and changes nothing; then uploads it, which has
/// the same results too. Compares what becomes of each row, by the name of its account.
async fn becomes(vending: &Arc<Vending>, name: &str, rows: &[(&str, Became)]) {
    let key = format!("{name}.csv");
    let text = String::from_utf8(std::fs::read(case(name)).unwrap()).unwrap();
    let wire = wire(vending).await;

    let (outcome, printed, _) = printed(&wire, name, None).await;
    let changes = |calls: &[orgkeeper_tests::wire::Call]| -> Vec<String> {
        let operations = calls.iter().map(|call| call.operation.clone());
        operations
            .filter(|operation| CHANGES.contains(&operation.as_str()))
            .collect()
    };
    assert_eq!(changes(&wire.take_calls()), Vec::<String>::new());
    let has_faults = rows.iter().any(|(_, became)| became.is_err());
    let expected = if has_faults {
        Outcome::Found
    } else {
        Outcome::Done
    };
    assert_eq!(outcome, expected);

    process(&wire, vending.upload_as(&key, &text, "check")).await;
    assert_eq!(
        changes(&wire.take_calls()),
        ["PutObject"],
        "only the results"
    );
    assert_eq!(results(vending, &key), printed);
    assert_eq!(vending.tables.items(ACCOUNTS).len(), 0);

    process(&wire, vending.upload(&key, &text)).await;
    let results = results(vending, &key);
    assert_eq!(results, printed);

    let file = csv::read(results.as_bytes(), Owner::Required).unwrap();
    assert_eq!(file.rows.len(), rows.len(), "{results}");
    for (row, (account, became)) in file.rows.iter().zip(rows) {
        assert_eq!(row.get(Column::AccountName), *account);
        let words = row.get(Column::ErrorMsg);
        match became {
            Ok(path) => {
                assert_eq!((row.get(Column::Status), words), ("VALID", ""), "{account}");
                let item = vending.tables.get(ACCOUNTS, &row.key()).unwrap();
                assert_eq!(item["AccountName"]["S"], *account);
                assert_eq!(item["Unit"]["M"]["Path"]["S"], *path, "{account}");
            }
            Err(part) => {
                assert_eq!(row.get(Column::Status), "FAILED", "{account}");
                assert!(words.contains(part), "{account}: {words}\nlacks\n{part}");
                let line = format!("line {}", row.line);
                assert!(words.starts_with(&line), "{words}");
                assert_eq!(vending.tables.get(ACCOUNTS, &row.key()), None);
            }
        }
    }
    // A round trip changes no cell.
    process(&wire, vending.upload(&key, &results)).await;
    let again = self::results(vending, &key);
    let again = csv::read(again.as_bytes(), Owner::Required).unwrap();
    for (row, again) in file.rows.iter().zip(&again.rows) {
        assert_eq!(row.line, again.line);
        for column in Column::all().filter(|column| *column != Column::ErrorMsg) {
            assert_eq!(row.as_written(column), again.as_written(column));
        }
    }
}

/// Who gets access to the account with this address: names of groups and permission sets.
fn access(vending: &Vending, email: &str) -> Vec<String> {
    let item = vending.tables.get(ACCOUNTS, email).unwrap();
    let access = item["Access"]["L"].as_array().unwrap().iter();
    access
        .map(|access| {
            let text = |name: &str| access["M"][name]["S"].as_str().unwrap().to_owned();
            format!("{}={}", text("GroupName"), text("PermissionSetName"))
        })
        .collect()
}

const SANDBOX: Became = Ok("Root/Sandbox");

#[tokio::test]
async fn case_07_names() {
    let vending = example();
    let rows = [
        ("Harbour Desk", SANDBOX),
        ("harbour.desk", SANDBOX),
        ("Sails & Ropes", SANDBOX),
        ("Skipper's Log (2027)", SANDBOX),
        ("freight/eu-west", SANDBOX),
        (
            "Lotsenstelle Nördlich",
            Err("line 7, AccountName: has ö: only the letters a to z"),
        ),
        (
            "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
            Err("line 8, AccountName: has 51 characters, 50 are the most"),
        ),
        ("", Err("line 9, AccountName: is empty")),
    ];
    becomes(&vending, "07-names", &rows).await;
}

#[tokio::test]
async fn case_08_semicolon() {
    let vending = example();
    let rows = [
        ("rope-1", SANDBOX),
        (
            "rope-2",
            Err(
                "line 3, OrgUnit: there is no organizational unit \"Sandbx\": did you mean Root/Sandbox",
            ),
        ),
    ];
    becomes(&vending, "08-semicolon", &rows).await;
    assert_eq!(
        access(&vending, "aws+rope-1@example.com"),
        [
            "platform-engineers=AdministratorAccess",
            "platform-engineers=ReadOnlyAccess",
            "security-analysts=ReadOnlyAccess"
        ]
    );
    let text = results(&vending, "08-semicolon.csv");
    assert!(
        text.starts_with("\u{FEFF}AccountName;SSOUserEmail;"),
        "{text}"
    );
    assert_eq!(text.matches("\r\n").count(), text.matches('\n').count());
}

#[tokio::test]
async fn case_08_tab() {
    let vending = example();
    becomes(&vending, "08-tab", &[("rope-3", Ok("Root/Workloads/Test"))]).await;
    let text = results(&vending, "08-tab.csv");
    assert!(text.contains("\tAna\tLuz, MSc\t"), "{text}");
    let item = vending
        .tables
        .get(ACCOUNTS, "aws+rope-3@example.com")
        .unwrap();
    assert_eq!(item["SSOUserLastName"]["S"], "Luz, MSc");
}

#[tokio::test]
async fn case_08_sep_semicolon() {
    let vending = example();
    becomes(&vending, "08-sep-semicolon", &[("rope-4", SANDBOX)]).await;
    let text = results(&vending, "08-sep-semicolon.csv");
    assert!(text.starts_with("sep=;\r\nAccountName;"), "{text}");
}

#[tokio::test]
async fn case_08_spoilt_accents() {
    let rows = [
        (
            "rope-5",
            Err(
                "line 2, SSOUserFirstName: has spoilt letters, \"RenÃ©\": a program read the file in another encoding; \
                 write the cell again (\"René\") and save the file as \"CSV UTF-8\"; line 2, SSOUserLastName: has spoilt",
            ),
        ),
        ("rope-6", SANDBOX),
    ];
    becomes(&example(), "08-spoilt-accents", &rows).await;
}

#[tokio::test]
async fn case_09_short_rows() {
    let vending = example();
    let rows = [
        ("knot-1", SANDBOX),
        ("knot-2", SANDBOX),
        ("knot-3", SANDBOX),
        (
            "knot-4",
            Err("line 5: has 5 cells, but line 1 names 11 columns: OrgUnit is missing"),
        ),
        (
            "knot-5",
            Err("line 6: has \"one more\" in cell 12, for which line 1 names no column"),
        ),
    ];
    becomes(&vending, "09-short-rows", &rows).await;
    assert_eq!(
        access(&vending, "aws+knot-3@example.com")[1..],
        ["security-analysts=AdministratorAccess"]
    );
}

#[tokio::test]
async fn case_10_unit_forms() {
    const DEV: Became = Ok("Root/Workloads/Dev");
    let rows = [
        ("form-01", DEV),
        ("form-02", Ok("Root/Workloads/Test")),
        ("form-03", Ok("Root/Workloads/Prod")),
        ("form-04", Ok("Root/Workloads/Prod/Payments")),
        ("form-05", SANDBOX),
        ("form-06", DEV),
        ("form-07", DEV),
        (
            "form-08",
            Err(
                "\"Workloads\\Dev\", written just so: is it Root/Workloads/Dev (ou-5by1-ujzde8gx)?",
            ),
        ),
        (
            "form-09",
            Err(
                "\"Workloads > Dev\", written just so: is it Root/Workloads/Dev (ou-5by1-ujzde8gx)?",
            ),
        ),
        (
            "form-10",
            Err("there is no organizational unit with the id ou-5by1-00000000"),
        ),
        (
            "form-11",
            Err("ou-5by1-ujzde8gx is not \"Test\": it is Root/Workloads/Dev"),
        ),
        ("form-12", Err("\"/\" names no organizational unit")),
        (
            "form-13",
            Err("\"workloads/dev\", written just so: is it Root/Workloads/Dev (ou-5by1-ujzde8gx)?"),
        ),
    ];
    becomes(&example(), "10-unit-forms", &rows).await;
}

#[tokio::test]
async fn case_11_odd_units() {
    let vending = example();
    for (id, name) in [
        ("ou-5by1-odd00001", " Tide"),
        ("ou-5by1-odd00002", "Low  Tide"),
        ("ou-5by1-odd00003", "Sen\u{303}ales"),
        ("ou-5by1-odd00004", "High\u{A0}Tide"),
    ] {
        vending.look().add_unit(id, "r-a1b2", name);
    }
    let rows = [
        ("odd-1", Ok("Root/ Tide")),
        ("odd-2", Ok("Root/Low  Tide")),
        (
            "odd-3",
            Err("\"Low Tide\", written just so: is it Root/Low  Tide (ou-5by1-odd00002)?"),
        ),
        ("odd-4", Ok("Root/Sen\u{303}ales")),
        ("odd-5", Ok("Root/High\u{A0}Tide")),
        (
            "odd-6",
            Err(
                "\"Sand[U+200B]box\" (it has U+200B (a zero-width space) after \"Sand\"), written just so: is it Root/Sandbox",
            ),
        ),
    ];
    becomes(&vending, "11-odd-units", &rows).await;
}

#[tokio::test]
async fn case_12_name_of_closed() {
    becomes(&example(), "12-name-of-closed", &[("old-crm", SANDBOX)]).await;
}

#[tokio::test]
async fn case_15_security_unit() {
    let rows = [(
        "vault-1",
        Err(
            "OrgUnit: Root/Security (ou-5by1-security) is managed by Control Tower itself (landing zone 3.3)",
        ),
    )];
    becomes(&example(), "15-security-unit", &rows).await;
    let newer = example();
    newer.look().landing_zone.as_mut().unwrap()["version"] = json!("4.0");
    becomes(
        &newer,
        "15-security-unit",
        &[("vault-1", Ok("Root/Security"))],
    )
    .await;
}

#[tokio::test]
async fn case_16_shared_accounts() {
    let rows = [
        (
            "log-archive",
            Err("is the address of account 222222222201, the log archive account of Control Tower"),
        ),
        (
            "security-tooling",
            Err("is the address of account 222222222202, the audit account of Control Tower"),
        ),
        (
            "management",
            Err("is the address of the management account 111111111111"),
        ),
    ];
    becomes(&example(), "16-shared-accounts", &rows).await;
}

#[tokio::test]
async fn case_20_hints() {
    let rows = [
        (
            "hint-1",
            Err(
                "there is no group \"Platform-Engineers\" in IAM Identity Center, written just so: is it \"platform-engineers\"?",
            ),
        ),
        (
            "hint-2",
            Err(
                "separates names by commas, \"platform-engineers, security-analysts\": write ; between them, \
                 \"platform-engineers;security-analysts\"",
            ),
        ),
        ("hint-3", Err("did you mean \"platform-engineers\"?")),
        (
            "hint-4",
            Err(
                "\"maria@example.com\" is a person, who is in \"platform-engineers\": only groups can be named here",
            ),
        ),
        ("hint-5", Err("did you mean \"ReadOnlyAccess\"?")),
        ("hint-6", Err("write the name of the permission set")),
    ];
    becomes(&example(), "20-hints", &rows).await;
}

#[tokio::test]
async fn case_21_type_line() {
    becomes(&example(), "21-type-line", &[("sail-1", SANDBOX)]).await;
}

#[tokio::test]
async fn case_21_title() {
    let vending = example();
    becomes(&vending, "21-title", &[("sail-2", SANDBOX)]).await;
    let text = results(&vending, "21-title.csv");
    assert!(
        text.starts_with("Accounts for the spring season,,,,,\r\n,,,,,\r\nAccountName,"),
        "{text}"
    );
}

#[tokio::test]
async fn case_21_comment() {
    let vending = example();
    becomes(
        &vending,
        "21-comment",
        &[("sail-3", SANDBOX), ("sail-4", SANDBOX)],
    )
    .await;
    let text = results(&vending, "21-comment.csv");
    assert!(
        text.contains("\n# the first one is urgent\nsail-3,"),
        "{text}"
    );
}

#[test]
fn every_case_has_a_test() {
    let code = include_str!("accounts_cases.rs");
    for file in std::fs::read_dir(case("x").parent().unwrap()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let (name, _) = name.split_once('.').unwrap();
        let of_waiting = include_str!("new_account_handler.rs").contains(name)
            || include_str!("create_managed_account.rs").contains(name)
            || include_str!("create_account_assignment.rs").contains(name);
        assert!(
            of_waiting || code.contains(&format!("\"{name}\"")),
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_function_can_be_named() {
    let vending = example();
    let wire = wire(&vending).await;
    let name = "orgkeeper-NewAccountHandler-3C4D";
    let (outcome, out, err) = printed(&wire, "08-semicolon", Some(name)).await;
    assert_eq!(outcome, Outcome::Found);
    assert!(out.contains("did you mean Root/Sandbox"), "{out}");
    assert_eq!(
        err,
        "08-semicolon.csv: 1 of 2 rows would be accepted; nothing was started\n"
    );
    let other = vending.look().functions[1].clone();
    vending.look().functions.push(other);
    let file = AccountsFile::read(&case("08-tab")).unwrap();
    let sdk = wire.sdk_config().await;
    let error = check(&file, &sdk, None).await.unwrap_err().to_string();
    assert!(
        error.starts_with("several functions have NewAccountHandler in their name"),
        "{error}"
    );
    vending.look().functions.clear();
    let error = check(&file, &sdk, None).await.unwrap_err().to_string();
    assert!(
        error.starts_with("no function of this account and Region"),
        "{error}"
    );
    let error = check(&file, &sdk, Some("other".to_owned()))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("ResourceNotFoundException"), "{error}");
}

#[tokio::test]
async fn what_is_in_progress_is_checked_too() {
    let vending = example();
    let wire = wire(&vending).await;
    let text = std::fs::read_to_string(case("08-tab")).unwrap();
    process(&wire, vending.upload("first.csv", &text)).await;
    let email = "aws+rope-3@example.com";
    // A row that waits is replaced.
    let elsewhere = text.replace("Workloads/Test", "Sandbox");
    let waiting = vending.tables.get(ACCOUNTS, email);
    process(&wire, vending.upload_as("second.csv", &elsewhere, "check")).await;
    assert!(results(&vending, "second.csv").contains("Sandbox\tVALID"));
    assert_eq!(vending.tables.get(ACCOUNTS, email), waiting);
    let begun = json!({ "Status": { "S": "PROVISIONING" } });
    vending.tables.set(ACCOUNTS, email, &begun);
    for (text, words) in [
        (
            text.replace("aws+rope-3", "aws+other"),
            "AccountName: is the name of the account for aws+rope-3@example.com, which is in progress already",
        ),
        (
            elsewhere,
            "AccountEmail: is in progress already, with OrgUnit Test (ou-5by1-test0000)",
        ),
        (text.clone(), ""),
    ] {
        process(&wire, vending.upload_as("second.csv", &text, "Check")).await;
        let found = results(&vending, "second.csv");
        assert!(found.contains(words), "{found}\nlacks\n{words}");
        assert_eq!(vending.tables.items(ACCOUNTS).len(), 1);
    }
}

#[tokio::test]
async fn a_name_whose_request_was_deleted_is_checked_as_free() {
    let vending = example();
    let wire = wire(&vending).await;
    let text = std::fs::read_to_string(case("08-tab")).unwrap();
    process(&wire, vending.upload("first.csv", &text)).await;
    vending.tables.delete(ACCOUNTS, "aws+rope-3@example.com");
    let other = text.replace("aws+rope-3", "aws+other");
    process(&wire, vending.upload_as("second.csv", &other, "check")).await;
    let checked = results(&vending, "second.csv");
    assert!(checked.contains("\tVALID\t"), "{checked}");
    process(&wire, vending.upload("second.csv", &other)).await;
    assert_eq!(results(&vending, "second.csv"), checked);
}

#[tokio::test]
async fn a_check_of_a_newer_version_says_what_would_be_taken_back_and_leaves_it() {
    let vending = example();
    let wire = wire(&vending).await;
    let both = std::fs::read_to_string(case("08-semicolon")).unwrap();
    let first = both.replace("Sandbx", "Sandbox");
    let lines: Vec<&str> = first.lines().collect();
    let second = format!("{}\n{}\n", lines[0], lines[1]);
    process(&wire, vending.upload("a.csv", &first)).await;
    let waiting = vending.tables.items(ACCOUNTS);
    assert_eq!(waiting.len(), 2);
    let started = results(&vending, "a.csv");

    process(&wire, vending.upload_as("a.csv", &second, "check")).await;
    let checked = results(&vending, "a.csv");
    assert!(checked.contains("taken back before it began"), "{checked}");
    assert_eq!(vending.tables.items(ACCOUNTS), waiting, "nothing changed");
    // So does another check, over the results of the first.
    process(&wire, vending.upload_as("a.csv", &second, "check")).await;
    assert_eq!(results(&vending, "a.csv"), checked);

    // As soon as a row proceeds, its results are those of what was started.
    let version = {
        let world = vending.look();
        world.objects["a.csv"][0].version.clone()
    };
    let begun = json!({ "Status": { "S": "PROVISIONING" } });
    vending
        .tables
        .set(ACCOUNTS, "aws+rope-1@example.com", &begun);
    let task = json!({ "task": "results", "key": "a.csv", "version": version });
    process(&wire, task).await;
    let proceeded = results(&vending, "a.csv");
    assert_ne!(proceeded, checked);
    assert_eq!(proceeded.lines().count(), started.lines().count());
    assert!(proceeded.contains("PROVISIONING"), "{proceeded}");

    // The newer version takes back what the check said, although a check has been written meanwhile.
    process(&wire, vending.upload_as("a.csv", &second, "check")).await;
    let checked = results(&vending, "a.csv");
    process(&wire, vending.upload("a.csv", &second)).await;
    assert_eq!(results(&vending, "a.csv"), checked);
    let left_out = vending.tables.get(ACCOUNTS, "aws+rope-2@example.com");
    assert_eq!(left_out.unwrap()["Status"]["S"], "FAILED");
}

#[tokio::test]
async fn an_existing_account_is_checked_with_where_it_is_and_who_has_access() {
    let vending = example();
    let wire = wire(&vending).await;
    let text = std::fs::read_to_string(case("08-tab")).unwrap();
    let (id, email) = ("222222222299", "aws+rope-3@example.com");
    {
        let mut world = vending.look();
        world.accounts.push(member(id, "rope-3", email));
        world.governed.insert(account_arn(id), "SUCCEEDED");
        let parent = "ou-5by1-test0000".to_owned();
        world.parents.insert(id.to_owned(), parent);
    }
    for status in ["ASSIGNING", "SUCCEEDED"] {
        process(&wire, vending.upload_as("a.csv", &text, "check")).await;
        let checked = results(&vending, "a.csv");
        assert!(checked.contains(&format!("{status}\t{id}\t")), "{checked}");
        assert_eq!(vending.tables.items(ACCOUNTS).len(), 0);
        let set = "arn:aws:sso:::permissionSet/ssoins-1/ps-AdministratorAccess";
        let has = (
            id.to_owned(),
            "g-platform-engineers".to_owned(),
            set.to_owned(),
        );
        vending.look().assignments.push(has);
    }
}

#[tokio::test]
async fn an_unknown_mode_starts_nothing() {
    let vending = example();
    let wire = wire(&vending).await;
    let text = std::fs::read_to_string(case("08-tab")).unwrap();
    process(&wire, vending.upload_as("a.csv", &text, "chek")).await;
    let found = results(&vending, "a.csv");
    assert!(
        found.contains(
            "the metadata orgkeeper-mode of the file is \"\"chek\"\": only check is known"
        ),
        "{found}"
    );
    assert_eq!(vending.tables.items(ACCOUNTS).len(), 0);
}

#[test]
fn offline_the_form_is_checked() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let path = case("07-names").display().to_string();
    let arguments = ["orgkeeper", "accounts", "check", "--offline", &path];
    let outcome = orgkeeper_cli::run(arguments, Timestamp::UNIX_EPOCH, &mut out, &mut err);
    assert_eq!(outcome, Outcome::Found);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("\nLotsenstelle Nördlich,"), "{out}");
    assert!(out.contains("line 9, AccountName: is empty"), "{out}");
    assert_eq!(
        String::from_utf8(err).unwrap(),
        "07-names.csv: 5 of 8 rows have no fault that shows without AWS; nothing was started\n"
    );
    let arguments = [
        "orgkeeper",
        "--output=json",
        "accounts",
        "check",
        "--offline",
        &path,
    ];
    let mut out = Vec::new();
    orgkeeper_cli::run(arguments, Timestamp::UNIX_EPOCH, &mut out, &mut Vec::new());
    let report: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(report["refused"], 3);
    assert_eq!(report["rows"][5]["line"], 7);
    assert_eq!(report["rows"][5]["status"], "FAILED");
}
