//! The CSV files about settings: the plan of a version of `posture.toml`, and what is not as it says.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    ids::AccountId,
    posture::setting_record::{Difference, SettingRecord},
};

use super::{csv_files::written, error::ReportError, snapshot::KnownAccount};

/// The columns of `plans/<version>.csv`. New ones come last.
pub const PLAN: &[&str] = &[
    "Setting",
    "Service",
    "AccountId",
    "AccountName",
    "Unit",
    "Region",
    "State",
    "What",
    "Is",
    "ShouldBe",
    "Call",
    "Parameters",
    "Note",
    "WayBack",
];
/// The columns of `drift.csv`. New ones come last.
pub const DRIFT: &[&str] = &[
    "Setting",
    "Service",
    "AccountId",
    "AccountName",
    "Unit",
    "Region",
    "State",
    "Since",
    "What",
    "Is",
    "ShouldBe",
    "Call",
    "Parameters",
    "Note",
    "Version",
    "LookedAt",
    "DriftedAt",
    "PutBack",
    "ChangedBy",
    "ChangedCall",
    "ChangedAt",
];
/// What was put back within so long is shown, too.
const SHOWN: SignedDuration = SignedDuration::from_hours(24);
/// The state of a difference that was closed for this version.
const APPLIED: &str = "APPLIED";

type Accounts = BTreeMap<AccountId, KnownAccount>;

fn in_order(records: &[SettingRecord]) -> Vec<&SettingRecord> {
    let mut records: Vec<&SettingRecord> = records.iter().collect();
    records.sort_by(|one, other| {
        (&one.service, &one.setting, &one.account, &one.region).cmp(&(
            &other.service,
            &other.setting,
            &other.account,
            &other.region,
        ))
    });
    records
}

/// Where a setting is.
fn place(record: &SettingRecord, accounts: &Accounts) -> Vec<String> {
    let known = accounts.get(&record.account).cloned().unwrap_or_default();
    vec![
        record.setting.clone(),
        record.service.clone(),
        record.account.to_string(),
        known.name,
        known.unit,
        record.region.clone(),
    ]
}

/// What differs, the call, and why it is not made.
fn of_difference(difference: &Difference) -> [String; 6] {
    let call = difference.call.as_ref();
    let note = difference.refused.as_ref().or(difference.later.as_ref());
    [
        difference.what.clone(),
        difference.is.clone(),
        difference.should_be.clone(),
        call.map(|call| format!("{} {}", call.service, call.operation))
            .unwrap_or_default(),
        call.map(|call| call.parameters.clone()).unwrap_or_default(),
        note.cloned().unwrap_or_default(),
    ]
}

/// A record without a difference: its reason.
fn of_reason(record: &SettingRecord) -> [String; 6] {
    let mut cells = <[String; 6]>::default();
    cells[5] = record.reason.clone().unwrap_or_default();
    cells
}

/// The differences of a record, or its reason if it has none; what did not fit is counted.
fn rows_of(record: &SettingRecord) -> Vec<[String; 6]> {
    let mut rows: Vec<[String; 6]> = record.differences.iter().map(of_difference).collect();
    if rows.is_empty() && !record.state.is_settled() {
        rows.push(of_reason(record));
    }
    if record.left_out > 0 {
        let mut more = <[String; 6]>::default();
        more[0] = format!("and {} more", record.left_out);
        rows.push(more);
    }
    rows
}

/// Every difference from a version of the file, with the call that closes it; in mode `apply`, with the calls that were made.
///
/// # Errors
/// If it cannot be written.
pub fn plan(
    records: &[SettingRecord],
    version: &str,
    accounts: &Accounts,
) -> Result<Vec<u8>, ReportError> {
    let records = in_order(records);
    let rows = records
        .into_iter()
        .filter(|record| record.version == version);
    let rows = rows.flat_map(|record| {
        let of = |difference: &Difference, state: &str| {
            let undo = difference.undo.as_ref();
            let undo = undo.map(|call| format!("{} {}", call.operation, call.parameters));
            let mut row = place(record, accounts);
            row.push(state.to_owned());
            row.extend(of_difference(difference));
            row.push(undo.unwrap_or_default());
            row
        };
        let applied = record.applied.iter().map(|it| of(it, APPLIED));
        let open = record
            .differences
            .iter()
            .map(|it| of(it, record.state.word()));
        let mut rows: Vec<Vec<String>> = applied.chain(open).collect();
        if record.differences.is_empty() && !record.state.is_settled() {
            let mut row = place(record, accounts);
            row.push(record.state.word().to_owned());
            row.extend(of_reason(record));
            row.push(String::new());
            rows.push(row);
        }
        rows
    });
    written(PLAN, rows)
}

/// What is not as the file says, and what was put back a short while ago.
///
/// # Errors
/// If it cannot be written.
pub fn drift(
    records: &[SettingRecord],
    accounts: &Accounts,
    now: Timestamp,
) -> Result<Vec<u8>, ReportError> {
    let records = in_order(records);
    let rows = records.into_iter().flat_map(|record| {
        let drift = record.drift.as_ref();
        let is_news = drift.is_some_and(|drift| now.duration_since(drift.at) <= SHOWN);
        let mut rows = rows_of(record);
        if rows.is_empty()
            && is_news
            && let Some(drift) = drift
        {
            let mut row = <[String; 6]>::default();
            row[0] = drift.what.join("; ");
            rows.push(row);
        }
        let of = move |cells: [String; 6]| {
            let by = drift.and_then(|drift| drift.by.as_ref());
            let mut row = place(record, accounts);
            row.extend([record.state.word().to_owned(), record.since.to_string()]);
            row.extend(cells);
            row.extend([record.version.clone(), record.looked_at.to_string()]);
            row.extend([
                drift.map(|drift| drift.at.to_string()).unwrap_or_default(),
                drift
                    .map(|drift| if drift.put_back { "yes" } else { "no" }.to_owned())
                    .unwrap_or_default(),
                by.map(|by| by.who.clone()).unwrap_or_default(),
                by.map(|by| by.call.clone()).unwrap_or_default(),
                by.map(|by| by.at.to_string()).unwrap_or_default(),
            ]);
            row
        };
        rows.into_iter().map(of).collect::<Vec<_>>()
    });
    written(DRIFT, rows)
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::posture::setting_record::State;

    use super::*;
    use crate::samples::setting;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    fn records() -> Vec<SettingRecord> {
        let mut in_place = setting(None);
        in_place.state = State::InPlace;
        in_place.differences.clear();
        let mut put_back = setting(Some(true));
        put_back.region = "us-east-1".into();
        put_back.state = State::InPlace;
        put_back.applied = std::mem::take(&mut put_back.differences);
        let mut other = setting(None);
        other.version = "v0".into();
        other.region = "ap-south-1".into();
        other.state = State::Blocked;
        other.reason = Some("=cmd(): it needs allow_delete".into());
        other.differences.clear();
        vec![setting(Some(false)), in_place, put_back, other]
    }

    #[test]
    fn the_files_have_their_columns() {
        let accounts = BTreeMap::from([(
            "222222222222".parse().unwrap(),
            KnownAccount {
                name: "+shop".into(),
                unit: "Root/Workloads".into(),
            },
        )]);
        let now = "2027-01-15T09:00:00Z".parse().unwrap();
        let plan = text(plan(&records(), "v1", &accounts).unwrap());
        let drift = text(drift(&records(), &accounts, now).unwrap());
        assert!(!plan.contains(",+shop") && drift.contains("'=cmd()"));
        insta::assert_snapshot!("settings", format!("{plan}\n{drift}"));
    }
}
