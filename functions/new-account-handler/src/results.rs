//! What the results and the alerts say about a file.

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, Severity},
    vending::{
        file::FileId,
        request::{AccountRequest, Status},
    },
};

use crate::{
    csv::{Column, File, Row},
    message::results_key,
    waiting::Line,
};

/// What the results say of a row whose request somebody deleted from the table.
const LOST: &str = "its request is not in the table of accounts any more: upload the file again; an account that was \
                    being created is found";
/// Rows whose faults an alert repeats.
const FAULTS_IN_ALERT: usize = 5;

/// The rows of a file, counted by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that it started.
    pub started: usize,
    /// Rows whose request was in progress already.
    pub in_progress: usize,
    /// Rows that were done already.
    pub done: usize,
    /// Rows that were refused.
    pub refused: usize,
    /// Waiting rows of an earlier version of the file that were taken back.
    pub taken_back: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.started += more.started;
        self.in_progress += more.in_progress;
        self.done += more.done;
        self.refused += more.refused;
        self.taken_back += more.taken_back;
    }
}

impl Counts {
    /// Counts an accepted row by its request's status; `ours` if this file has started it.
    pub fn accepted(&mut self, request: &AccountRequest, ours: bool) {
        let count = match request.status {
            _ if ours => &mut self.started,
            Status::Succeeded | Status::Failed => &mut self.done,
            Status::Valid | Status::Provisioning | Status::Assigning => &mut self.in_progress,
        };
        *count += 1;
    }
}

/// Fills in the status of a row.
pub fn fill_in(row: &mut Row, request: &AccountRequest) {
    let account = request.account_id.as_ref().map_or("", |id| id.as_str());
    row.set(Column::Status, request.status.as_str());
    row.set(Column::AccountId, account);
    // What AWS said stays one line of text that can be read again.
    let message = request.error_msg.as_deref().unwrap_or_default();
    row.set(Column::ErrorMsg, &message.replace(char::is_control, " "));
}

/// Fills in why a row was refused.
pub fn refuse(row: &mut Row, words: &str) {
    row.set(Column::Status, Status::Failed.as_str());
    row.set(Column::AccountId, "");
    row.set(Column::ErrorMsg, words);
}

/// Empties what the results fill in.
pub fn clear(row: &mut Row) {
    for column in Column::FILLED {
        row.set(column, "");
    }
}

/// Whether a row's request was in progress when the row was filled in.
#[must_use]
pub fn is_open(row: &Row) -> bool {
    [Status::Valid, Status::Provisioning, Status::Assigning]
        .iter()
        .any(|status| row.get(Column::Status) == status.as_str())
}

/// Whether a row's request has succeeded, and the account was not known to have its baseline.
#[must_use]
pub fn may_become_ready(row: &Row) -> bool {
    row.get(Column::Status) == Status::Succeeded.as_str() && row.get(Column::ErrorMsg).is_empty()
}

/// What the results of a file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// Whether a row has changed.
    pub changed: bool,
    /// Whether the table has lost a request.
    pub lost: bool,
    /// Rows whose request has not ended.
    pub open: usize,
}

/// Fills in again the open rows of the results of `file`, by the requests with their keys.
pub fn refresh<'r>(
    results: &mut File,
    file: &FileId,
    line: &Line<'_>,
    request_of: impl Fn(&str) -> Option<&'r AccountRequest>,
) -> Refreshed {
    let before = results.clone();
    let mut lost = false;
    for row in results.rows.iter_mut().filter(|row| is_open(row)) {
        let Some(request) = request_of(&row.key()) else {
            lost = true;
            refuse(row, LOST);
            continue;
        };
        fill_in(row, request);
        if !request.status.ended() {
            row.set(Column::ErrorMsg, &line.in_words(request));
        }
        if !request.is_of(file) {
            // A row that somebody has sent again since, in another file.
            let elsewhere = request.files.iter().find_map(|file| file.parse().ok());
            let elsewhere = elsewhere.map_or_else(String::new, |file: FileId| {
                format!(": see {}", results_key(&file.key))
            });
            row.set(
                Column::ErrorMsg,
                &format!("another file has asked for it since{elsewhere}"),
            );
        }
    }
    for row in results.rows.iter_mut().filter(|row| may_become_ready(row)) {
        let request = request_of(&row.key());
        if let Some(request) = request.filter(|it| it.is_ready() && it.is_of(file)) {
            fill_in(row, request);
        }
    }
    Refreshed {
        changed: *results != before,
        lost,
        open: results.rows.iter().filter(|row| is_open(row)).count(),
    }
}

/// The alerts about a file.
#[derive(Clone, Copy, Debug)]
pub struct UploadAlerts<'a> {
    /// The file.
    pub file: &'a FileId,
    /// The bucket that it is in.
    pub bucket: &'a str,
    /// The Region that this runs in.
    pub region: &'a str,
    /// The time.
    pub now: Timestamp,
}

impl UploadAlerts<'_> {
    fn alert(&self, severity: Severity, title: String, details: Vec<(&str, String)>) -> Alert {
        let results = format!("s3://{}/{}", self.bucket, results_key(&self.file.key));
        Alert {
            severity,
            kind: "accounts.file".to_owned(),
            title,
            account: None,
            region: self.region.to_owned(),
            time: self.now,
            actor: None,
            source: None,
            details: details.into_iter().chain([("Results", results)]).collect(),
            link: None,
            dedup_key: format!("accounts.file#{}", self.file),
        }
    }

    /// The alert about the rows of a processed file.
    #[must_use]
    pub fn rows(&self, counts: Counts, faults: &[String]) -> Alert {
        let Counts {
            started,
            in_progress,
            done,
            refused,
            taken_back,
        } = counts;
        let accepted = started + in_progress + done;
        let all = accepted + refused;
        let key = &self.file.key;
        let (severity, title) = match refused {
            0 => (Severity::Info, format!("{key}: {all} rows accepted")),
            _ => (
                Severity::Error,
                format!("{key}: {accepted} of {all} rows accepted, {refused} refused"),
            ),
        };
        let mut details = vec![
            ("Started", started.to_string()),
            ("In progress already", in_progress.to_string()),
            ("Done already", done.to_string()),
            ("Refused", refused.to_string()),
        ];
        if taken_back > 0 {
            details.push(("Taken back", taken_back.to_string()));
        }
        if !faults.is_empty() {
            let mut lines = faults[..faults.len().min(FAULTS_IN_ALERT)].to_vec();
            if faults.len() > FAULTS_IN_ALERT {
                lines.push("… the others are in the results".to_owned());
            }
            details.push(("Why", lines.join("\n")));
        }
        self.alert(severity, title, details)
    }

    /// The alert that the whole file was refused.
    #[must_use]
    pub fn refused(&self, reason: &str) -> Alert {
        let title = format!("{}: {reason}: nothing was started", self.file.key);
        self.alert(Severity::Error, title, Vec::new())
    }

    /// The alert that a permanent error keeps the file from being processed.
    #[must_use]
    pub fn failed(&self, reason: &str) -> Alert {
        let title = format!("{} could not be processed", self.file.key);
        self.alert(Severity::Error, title, vec![("Why", reason.to_owned())])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;
    use crate::csv::{Owner, read, tests::HEADER};

    fn file(version: &str) -> FileId {
        FileId {
            key: "accounts.csv".to_owned(),
            version: version.to_owned(),
        }
    }

    fn line() -> Line<'static> {
        Line {
            keys: &[],
            now: "2026-03-01T12:00:00Z".parse().unwrap(),
        }
    }

    fn request(email: &str, status: Status, files: &[&str]) -> (String, AccountRequest) {
        let request = serde_json::from_value(serde_json::json!({
            "AccountEmail": email, "AccountName": "n", "SSOUserEmail": "s", "SSOUserFirstName": "f",
            "SSOUserLastName": "l", "OrgUnit": "o", "Status": status,
            "Unit": { "Id": "ou-1", "Name": "o", "Path": "Root/o" },
            "Attempt": 1, "QueuedAt": 0,
            "AccountId": "111122223333",
            "ErrorMsg": (status == Status::Failed).then_some("no"),
            "Files": files.iter().map(|version| file(version).to_string()).collect::<BTreeSet<_>>(),
        }))
        .unwrap();
        (email.to_owned(), request)
    }

    #[test]
    fn only_what_was_in_progress_is_filled_in_again() {
        let lines = [
            "a,,a@x.com,,,,VALID,,",
            "b,,B@x.com,,,,PROVISIONING,,",
            "c,,c@x.com,,,,FAILED,,\"line 4, OrgUnit: is empty\"",
            "d,,d@x.com,,,,VALID,,",
            "e,,e@x.com,,,,VALID,,",
            "f,,f@x.com,,,,VALID,,",
        ];
        let text = format!("{HEADER}\n{}\n", lines.join("\n"));
        let mut results = read(text.as_bytes(), Owner::Required).unwrap();
        let requests = HashMap::from([
            request("a@x.com", Status::Succeeded, &["v1"]),
            request("b@x.com", Status::Failed, &["v1", "v2"]),
            request("c@x.com", Status::Succeeded, &["v1"]),
            request("d@x.com", Status::Valid, &["v2"]),
            request("f@x.com", Status::Valid, &["v1"]),
        ]);
        let request_of = |key: &str| requests.get(key);
        let refreshed = refresh(&mut results, &file("v1"), &line(), request_of);
        assert_eq!(
            refreshed,
            Refreshed {
                changed: true,
                lost: true,
                open: 2
            }
        );
        let filled: Vec<String> = results
            .rows
            .iter()
            .map(|row| Column::FILLED.map(|column| row.get(column)).join("|"))
            .collect();
        assert_eq!(
            filled,
            [
                "SUCCEEDED|111122223333|",
                "FAILED|111122223333|no",
                "FAILED||line 4, OrgUnit: is empty",
                "VALID|111122223333|another file has asked for it since: see results/accounts.csv",
                "FAILED||its request is not in the table of accounts any more: upload the file again; an account that was being created is found",
                "VALID|111122223333|waits for its turn",
            ]
        );
        let again = refresh(&mut results, &file("v1"), &line(), request_of);
        assert!(!again.changed && !again.lost);
    }

    #[test]
    fn the_alert_counts_and_explains() {
        let file = file("v1");
        let alerts = UploadAlerts {
            file: &file,
            bucket: "bucket",
            region: "eu-west-1",
            now: Timestamp::UNIX_EPOCH,
        };
        let mut counts = Counts {
            started: 250,
            ..Counts::default()
        };
        let alert = alerts.rows(counts, &[]);
        assert_eq!(alert.severity, Severity::Info);
        assert_eq!(alert.title, "accounts.csv: 250 rows accepted");
        assert_eq!(alert.dedup_key, "accounts.file#v1#accounts.csv");
        counts.refused = 60;
        let faults: Vec<String> = (0..60).map(|n| format!("line {n}: no")).collect();
        let alert = alerts.rows(counts, &faults);
        assert_eq!(alert.severity, Severity::Error);
        assert_eq!(
            alert.text(),
            "accounts.csv: 250 of 310 rows accepted, 60 refused\n\n\
             Started: 250\nIn progress already: 0\nDone already: 0\nRefused: 60\n\
             Why: line 0: no\n> line 1: no\n> line 2: no\n> line 3: no\n> line 4: no\n\
             > … the others are in the results\n\
             Results: s3://bucket/results/accounts.csv\n\
             When: 1970-01-01 00:00:00 UTC, eu-west-1"
        );
        assert_eq!(
            alerts.refused("is empty").title,
            "accounts.csv: is empty: nothing was started"
        );
    }
}
