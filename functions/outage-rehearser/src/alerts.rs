//! The alerts of this function.

use jiff::Timestamp;
use orgkeeper_shared::alert::{Alert, Details, Severity, WHAT_HAPPENED, WHAT_TO_DO};

use crate::{record::Record, rehearsal_file::FileError, report::Report};

/// Faults of a file that are listed; the rest is counted.
const MOST_FAULTS: usize = 20;

/// Where the function is: what every alert needs.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The Region of the stack.
    pub region: &'a str,
    /// The time.
    pub now: Timestamp,
}

impl Around<'_> {
    fn alert(
        self,
        severity: Severity,
        kind: &str,
        title: String,
        details: Details,
        key: &str,
    ) -> Alert {
        Alert {
            severity,
            kind: kind.to_owned(),
            title,
            account: None,
            region: self.region.to_owned(),
            time: self.now,
            actor: None,
            source: None,
            details,
            link: None,
            dedup_key: format!("{kind}#{key}"),
        }
    }

    /// The alert about a file that is refused.
    #[must_use]
    pub fn file_refused(self, version: &str, error: &FileError) -> Alert {
        let mut listed: Vec<String> = error.0.iter().take(MOST_FAULTS).cloned().collect();
        if error.0.len() > MOST_FAULTS {
            listed.push(format!("{} more", error.0.len() - MOST_FAULTS));
        }
        let details = [
            (
                WHAT_HAPPENED,
                "The newest version of rehearsals.toml is wrong. The last good one stays in force."
                    .to_owned(),
            ),
            ("Faults", listed.join("; ")),
            ("Version", version.to_owned()),
            (
                WHAT_TO_DO,
                "Correct the file and upload it again.".to_owned(),
            ),
        ];
        self.alert(
            Severity::Error,
            "rehearsal.file-refused",
            "rehearsals.toml is refused".to_owned(),
            details.into_iter().collect(),
            version,
        )
    }

    /// The alert about a rehearsal that is refused.
    #[must_use]
    pub fn refused(self, record: &Record) -> Alert {
        let reason = record.reason.as_deref().unwrap_or_default();
        let details = [
            (
                WHAT_HAPPENED,
                format!("The rehearsal {} of {} does not begin: {reason}.", record.name, record.target),
            ),
            ("Window", window(record)),
            (
                WHAT_TO_DO,
                "Change that, or take the rehearsal out of rehearsals.toml. Until its end it is looked at again.".to_owned(),
            ),
        ];
        self.alert(
            Severity::Error,
            "rehearsal.refused",
            format!("Rehearsal {} is refused", record.name),
            details.into_iter().collect(),
            &format!("{}#{reason}", record.id),
        )
    }

    /// The alert about a rehearsal whose policy is attached.
    #[must_use]
    pub fn attached(self, record: &Record) -> Alert {
        let details = [
            (
                WHAT_HAPPENED,
                format!(
                    "The policy of the rehearsal {} is attached to {}: {} accounts cannot call {} in the window.",
                    record.name,
                    record.target,
                    record.accounts.len(),
                    record.denial
                ),
            ),
            ("Window", window(record)),
            (
                WHAT_TO_DO,
                format!(
                    "Nothing. To end it earlier: orgkeeper rehearsal end '{}' --yes",
                    record.id
                ),
            ),
        ];
        self.alert(
            Severity::Info,
            "rehearsal.attached",
            format!("Rehearsal {} begins at {}", record.name, record.from),
            details.into_iter().collect(),
            &record.id,
        )
    }

    /// The alert with the report.
    #[must_use]
    pub fn report(self, record: &Record, report: &Report, bucket: &str) -> Alert {
        let (callers, calls) = (report.callers(), report.calls());
        let title = if calls == 0 {
            format!("Rehearsal {}: nobody was denied anything", record.name)
        } else {
            format!(
                "Rehearsal {}: {callers} callers were denied {calls} calls",
                record.name
            )
        };
        let happened = format!(
            "The rehearsal {} of {} denied {} and is over: {}.",
            record.name,
            record.target,
            record.denial,
            record.reason.as_deref().unwrap_or_default()
        );
        let mut details = vec![
            (WHAT_HAPPENED, happened),
            ("Window", window(record)),
            ("Callers", report.summary()),
            ("Report", format!("s3://{bucket}/{}", Report::key(record))),
            (
                WHAT_TO_DO,
                "Ask the owners of these roles whether their service goes on without these calls."
                    .to_owned(),
            ),
        ];
        if calls == 0 {
            details.retain(|(label, _)| !["Callers", WHAT_TO_DO].contains(label));
        }
        self.alert(
            Severity::Info,
            "rehearsal.report",
            title,
            details.into_iter().collect(),
            &record.id,
        )
    }
}

fn window(record: &Record) -> String {
    format!("{} to {}", record.from, record.until)
}
