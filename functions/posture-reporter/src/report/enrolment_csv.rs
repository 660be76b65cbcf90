//! `enrolment.csv`: accounts that are not under Control Tower, as the vend flow reads files of accounts. An account with
//! something in the way is a comment there, so that nobody vends it by mistake.

use orgkeeper_shared::{
    alert::one_line,
    posture::enrolment::{EnrolmentRecord, EnrolmentSummary},
    spreadsheet::escaped,
};

use super::error::ReportError;

/// The columns, as the vend flow names them.
pub const COLUMNS: &[&str] = &[
    "AccountName",
    "SSOUserEmail",
    "AccountEmail",
    "SSOUserFirstName",
    "SSOUserLastName",
    "OrgUnit",
    "Status",
    "AccountId",
    "ErrorMsg",
];
/// What begins a line that is no row.
const COMMENT: u8 = b'#';

/// The accounts that are not under Control Tower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolment {
    /// They are not known.
    Unknown(String),
    /// They are known.
    Known(Vec<EnrolmentRecord>),
}

impl Default for Enrolment {
    fn default() -> Self {
        Self::of(None, Vec::new())
    }
}

impl Enrolment {
    /// What the last survey that asked for them found, in order: those first that nothing is in the way of.
    #[must_use]
    pub fn of(summary: Option<EnrolmentSummary>, mut records: Vec<EnrolmentRecord>) -> Self {
        let Some(summary) = summary else {
            let reason = "no survey of everything has examined accounts outside Control Tower yet";
            return Self::Unknown(reason.to_owned());
        };
        if let Some(reason) = summary.unknown {
            return Self::Unknown(reason);
        }
        // An account that was enrolled since, or has left, has an item of an earlier survey.
        records.retain(|record| record.survey_id == summary.survey_id);
        records.sort_by(|one, other| {
            let order = |record: &EnrolmentRecord| {
                (
                    !is_ready(record),
                    record.name.clone(),
                    record.account.clone(),
                )
            };
            order(one).cmp(&order(other))
        });
        Self::Known(records)
    }

    /// Why there is no file; nothing if there is one.
    #[must_use]
    pub fn left_out(&self) -> Option<&str> {
        match self {
            Self::Unknown(reason) => Some(reason),
            Self::Known(_) => None,
        }
    }

    /// How many accounts there are, and how many of them nothing is in the way of.
    #[must_use]
    pub fn counts(&self) -> Option<(usize, usize)> {
        match self {
            Self::Unknown(_) => None,
            Self::Known(records) => {
                let ready = records.iter().filter(|record| is_ready(record));
                Some((records.len(), ready.count()))
            }
        }
    }
}

/// Whether nothing is in the way of an account.
fn is_ready(record: &EnrolmentRecord) -> bool {
    record.obstacles().next().is_none()
}

/// The file; nothing if the accounts are not known.
///
/// # Errors
/// If it cannot be written.
pub fn enrolment(enrolment: &Enrolment) -> Result<Option<Vec<u8>>, ReportError> {
    let Enrolment::Known(records) = enrolment else {
        return Ok(None);
    };
    let mut file = line(COLUMNS)?;
    for record in records {
        let obstacles: Vec<&str> = record.obstacles().collect();
        let is_blocked = !obstacles.is_empty();
        let cells = [
            // Nobody but a person knows who is to own it: these cells stay empty.
            record.name.as_str(),
            "",
            record.email.as_str(),
            "",
            "",
            record.unit.as_str(),
            if is_blocked { "BLOCKED" } else { "READY" },
            record.account.as_str(),
            &obstacles.join("; "),
        ];
        let cells = cells.map(|cell| escaped(&one_line(cell)));
        if is_blocked {
            file.extend([COMMENT, b' ']);
        }
        file.extend(line(&cells)?);
    }
    Ok(Some(file))
}

fn line(cells: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, ReportError> {
    // A name that begins as a comment does is put between quotation marks.
    let mut csv = csv::WriterBuilder::new()
        .comment(Some(COMMENT))
        .from_writer(Vec::new());
    csv.write_record(cells)?;
    csv.into_inner()
        .map_err(|error| ReportError::Io(error.into_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::enrolment as known;

    #[test]
    fn ready_accounts_are_rows_and_others_are_comments() {
        let file = enrolment(&known()).unwrap().unwrap();
        let text = String::from_utf8(file).unwrap();
        let starts: Vec<&str> = text
            .lines()
            .map(|line| line.split(',').next().unwrap())
            .collect();
        assert_eq!(
            starts,
            ["AccountName", "\"#1\"", "'=cmd()", "shop", "# \"a", "# old"]
        );
        insta::assert_snapshot!("enrolment", text);
    }

    #[test]
    fn only_items_of_the_last_survey_count() {
        let Enrolment::Known(records) = known() else {
            panic!("known")
        };
        let now = "2026-11-27T02:00:00Z".parse().unwrap();
        let of = |survey: &str, unknown: Option<&str>| {
            let summary = EnrolmentSummary::new(survey, now, unknown.map(str::to_owned));
            Enrolment::of(Some(summary), records.clone())
        };
        assert_eq!(of("s", None).counts(), Some((5, 3)));
        assert_eq!(of("later", None).counts(), Some((0, 0)));
        let header = enrolment(&of("later", None)).unwrap().unwrap();
        assert_eq!(String::from_utf8(header).unwrap().lines().count(), 1);
        let unknown = of("s", Some("denied"));
        assert_eq!(unknown.left_out(), Some("denied"));
        assert_eq!(enrolment(&unknown).unwrap(), None);
        assert!(Enrolment::default().left_out().is_some());
    }
}
