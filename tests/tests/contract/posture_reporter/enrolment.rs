//! Accounts that are not under Control Tower, as a file that the vend flow takes.

use new_account_handler::{
    csv::{Column, Owner, read},
    rules::{faults_of_form, faults_of_repetition},
};
use orgkeeper_shared::posture::enrolment::{EnrolmentRecord, EnrolmentSummary};

use super::*;

fn account(id: &str, name: &str, inside: &[&str], survey_id: &str) -> EnrolmentRecord {
    let account = id.parse().unwrap();
    EnrolmentRecord {
        pair: EnrolmentRecord::key(&account),
        account,
        name: name.into(),
        email: format!("aws+{id}@example.com"),
        unit: "Dev (ou-ab12-cdefgh34)".into(),
        outside: Vec::new(),
        inside: inside.iter().map(|&it| it.to_owned()).collect(),
        looked_at: Some(at(10)),
        survey_id: survey_id.into(),
        expires_at: 0,
    }
}

async fn files(summary: &EnrolmentSummary) -> BTreeMap<String, String> {
    let world = World::new().await;
    surveyed(&world, SURVEY, 0);
    world.tables.put(POSTURE, &item(summary));
    for record in [
        account("222222222222", "shop", &[], SURVEY),
        account("333333333333", "a name, \"with\" marks", &[], SURVEY),
        account(
            "444444444444",
            "old",
            &["role AWSControlTowerExecution is missing"],
            SURVEY,
        ),
        account(
            "555555555555",
            "two, words",
            &["AWS Config has a recorder in eu-west-1"],
            SURVEY,
        ),
        // Enrolled since.
        account("666666666666", "earlier", &[], "earlier"),
    ] {
        world.tables.put(POSTURE, &item(&record));
    }
    world.report().await
}

#[tokio::test]
async fn the_vend_flow_takes_the_file_once_owners_are_filled_in_and_ignores_blocked_accounts() {
    let files = files(&EnrolmentSummary::new(SURVEY, at(5), None)).await;
    let text = &files["enrolment.csv"];
    let mut file = read(text.as_bytes(), Owner::Required).unwrap();
    let names = file.rows.iter().map(|row| row.get(Column::AccountName));
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["a name, \"with\" marks", "shop"]
    );
    for row in &file.rows {
        let faults = faults_of_form(row, true, Owner::Required);
        let columns: Vec<_> = faults.iter().map(|fault| fault.column).collect();
        // Nothing starts before a person has named the owner.
        assert_eq!(columns, Column::OWNER.map(Some), "{faults:?}");
        assert!(faults_of_form(row, true, Owner::Optional).is_empty());
    }
    for row in &mut file.rows {
        row.set(Column::SsoUserEmail, "ana@example.com");
        row.set(Column::SsoUserFirstName, "Ana");
        row.set(Column::SsoUserLastName, "Silva");
    }
    let filled = read(&file.write(), Owner::Required).unwrap();
    assert_eq!(filled.rows.len(), 2);
    for row in &filled.rows {
        assert_eq!(faults_of_form(row, true, Owner::Required), []);
        assert_eq!(row.get(Column::OrgUnit), "Dev (ou-ab12-cdefgh34)");
    }
    assert!(faults_of_repetition(&filled.rows).iter().all(Vec::is_empty));
    // What is in the way stays in the results, as a comment.
    let written = String::from_utf8(filled.write()).unwrap();
    for line in [
        "# old,,aws+444444444444@example.com,,,Dev (ou-ab12-cdefgh34),BLOCKED,444444444444,role AWSControlTowerExecution is missing",
        "# \"two, words\",,aws+555555555555@example.com,,,Dev (ou-ab12-cdefgh34),BLOCKED,555555555555,AWS Config has a recorder in eu-west-1",
    ] {
        assert!(written.lines().any(|found| found == line), "{written}");
    }
    assert!(!text.contains("earlier"), "{text}");
    assert!(files["index.html"].contains("4 accounts, of which 2 can be enrolled"));
}

#[tokio::test]
async fn without_control_tower_there_is_no_file_and_the_page_says_why() {
    let denied = "not known: what is under Control Tower: ListEnabledBaselines failed (Denied)";
    let files = files(&EnrolmentSummary::new(SURVEY, at(5), Some(denied.into()))).await;
    assert!(!files.contains_key("enrolment.csv"));
    let line = format!("<p>There is no enrolment.csv: {denied}</p>");
    assert!(
        files["index.html"].contains(&line),
        "{}",
        files["index.html"]
    );
}
