//! The CSV files. No spreadsheet program calculates a cell of them.

use std::collections::BTreeMap;

use orgkeeper_shared::{ids::AccountId, posture::exposure::Expectation, spreadsheet::escaped};

use super::{
    error::ReportError,
    snapshot::{KnownAccount, Snapshot},
};

/// The columns of `exposure.csv`. New ones come last.
pub const EXPOSURE: &[&str] = &[
    "AccountId",
    "AccountName",
    "Unit",
    "Region",
    "Kind",
    "Address",
    "Resource",
    "Reachable",
    "Open",
    "Reason",
    "Expectation",
    "ExpectationReason",
    "ExpectationUntil",
    "FirstSeen",
    "LastChange",
    "Stale",
];
/// The columns of `routes.csv`. New ones come last.
pub const ROUTES: &[&str] = &[
    "AccountId",
    "AccountName",
    "Unit",
    "Region",
    "RouteTable",
    "Destination",
    "Target",
    "Way",
    "FirstSeen",
    "LastChange",
    "Stale",
];
/// The columns of `coverage.csv`. New ones come last.
pub const COVERAGE: &[&str] = &[
    "AccountId",
    "AccountName",
    "Unit",
    "Region",
    "Outcome",
    "Reason",
    "LookedAt",
    "SeenAt",
    "Stale",
    "Exposures",
    "RecordedByConfig",
    "NotRecorded",
    "NotRecordedResources",
];

/// What faces the internet.
///
/// # Errors
/// If it cannot be written.
pub fn exposure(snapshot: &Snapshot) -> Result<Vec<u8>, ReportError> {
    let mut known = Accounts::of(snapshot);
    let rows = snapshot.exposures.iter().map(|exposure| {
        let account = known.get(&exposure.pair.account);
        let (expectation, reason, until) = match &exposure.expectation {
            Expectation::Unexpected => ("unexpected", String::new(), String::new()),
            Expectation::Expected { scope } => ("expected", scope.clone(), String::new()),
            Expectation::Accepted { reason, until } => {
                ("accepted", reason.clone(), until.to_string())
            }
        };
        let open: Vec<String> = exposure.open.iter().map(ToString::to_string).collect();
        vec![
            exposure.pair.account.to_string(),
            account.name,
            account.unit,
            exposure.pair.region.clone(),
            exposure.kind.word().to_owned(),
            exposure.address.clone(),
            exposure.resource.clone(),
            exposure.reachable.word().to_owned(),
            open.join("; "),
            exposure.reason.clone(),
            expectation.to_owned(),
            reason,
            until,
            exposure.first_seen.to_string(),
            exposure.last_change.to_string(),
            yes_or_no(exposure.stale),
        ]
    });
    written(EXPOSURE, rows)
}

/// The ways between the accounts and the internet.
///
/// # Errors
/// If it cannot be written.
pub fn routes(snapshot: &Snapshot) -> Result<Vec<u8>, ReportError> {
    let mut known = Accounts::of(snapshot);
    let rows = snapshot.routes.iter().map(|route| {
        let account = known.get(&route.pair.account);
        let address = route.address.split_once(' ');
        let (destination, target) = address.unwrap_or((&route.address, ""));
        vec![
            route.pair.account.to_string(),
            account.name,
            account.unit,
            route.pair.region.clone(),
            route.resource.clone(),
            destination.to_owned(),
            target.to_owned(),
            route.reason.clone(),
            route.first_seen.to_string(),
            route.last_change.to_string(),
            yes_or_no(route.stale),
        ]
    });
    written(ROUTES, rows)
}

/// What was read.
///
/// # Errors
/// If it cannot be written.
pub fn coverage(snapshot: &Snapshot) -> Result<Vec<u8>, ReportError> {
    let mut known = Accounts::of(snapshot);
    let gaps = snapshot.recording_gaps();
    let rows = snapshot.pairs.iter().map(|record| {
        let account = known.get(&record.pair.account);
        // Empty where there is no second source, or nothing to record.
        let recorded = gaps.get(&record.pair).map_or_else(Default::default, |gap| {
            [
                yes_or_no(gap.lacks.is_empty()),
                gap.lacks.len().to_string(),
                gap.in_words(),
            ]
        });
        let row = [
            record.pair.account.to_string(),
            account.name,
            account.unit,
            record.pair.region.clone(),
            record.outcome.word().to_owned(),
            record.reason.clone().unwrap_or_default(),
            record.looked_at.to_string(),
            record
                .seen_at
                .map(|time| time.to_string())
                .unwrap_or_default(),
            yes_or_no(record.stale),
            record.exposures.to_string(),
        ];
        row.into_iter().chain(recorded).collect()
    });
    written(COVERAGE, rows)
}

/// Accounts that were looked up: an organization has more rows than accounts.
struct Accounts<'s> {
    snapshot: &'s Snapshot,
    found: BTreeMap<AccountId, KnownAccount>,
}

impl<'s> Accounts<'s> {
    fn of(snapshot: &'s Snapshot) -> Self {
        Self {
            snapshot,
            found: BTreeMap::new(),
        }
    }

    fn get(&mut self, id: &AccountId) -> KnownAccount {
        let found = self.found.entry(id.clone());
        found.or_insert_with(|| self.snapshot.account(id)).clone()
    }
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

pub(super) fn written(
    columns: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<Vec<u8>, ReportError> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(columns)?;
    for row in rows {
        csv.write_record(row.iter().map(|cell| escaped(cell)))?;
    }
    csv.flush()?;
    csv.into_inner()
        .map_err(|error| ReportError::Io(error.into_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::snapshot;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_files_have_their_columns() {
        let files = [
            text(exposure(&snapshot()).unwrap()),
            text(routes(&snapshot()).unwrap()),
            text(coverage(&snapshot()).unwrap()),
        ];
        insta::assert_snapshot!("csv", files.join("\n"));
    }

    #[test]
    fn the_coverage_says_what_aws_config_lacks() {
        let snapshot = crate::report::samples::with_second_source(snapshot());
        let text = text(coverage(&snapshot).unwrap());
        let has_end = |end: &str| text.lines().any(|line| line.ends_with(end));
        assert!(has_end(",no,0,no,1,i-0abc at 203.0.113.5"), "{text}");
        // Nothing there has a public address.
        assert!(has_end(",no,0,,,"), "{text}");
        insta::assert_snapshot!("coverage-with-config", text);
    }

    #[test]
    fn no_cell_is_calculated() {
        let mut snapshot = snapshot();
        snapshot.exposures[0].resource = "=cmd()".into();
        snapshot.exposures[0].reason = "@a,\"b\"\n".into();
        snapshot.accounts.clear();
        snapshot.exposures[0].owner.account_name = "+x".into();
        let text = text(exposure(&snapshot).unwrap());
        assert!(
            text.contains(",'=cmd(),")
                && text.contains(",\"'@a,\"\"b\"\"\n\",")
                && text.contains(",'+x,"),
            "{text}"
        );
    }
}
