//! The report of a rehearsal: which role called which denied action how often.

use orgkeeper_shared::spreadsheet::escaped;

use crate::record::Record;

/// Calls of one caller that are counted one by one; beyond that there are "at least" so many.
pub const MOST_CALLS: usize = 2_000;
/// Callers that the alert lists; the report has all.
const LISTED: usize = 10;

/// A caller, what it called, and how often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// How often.
    pub calls: usize,
    /// Who: the ARN of a role or user.
    pub caller: String,
    /// The denied action.
    pub action: String,
    /// The Region.
    pub region: String,
}

/// The report, those that called most often first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(Vec<Row>);

impl Report {
    /// The report of these callers.
    #[must_use]
    pub fn of(mut rows: Vec<Row>) -> Self {
        rows.sort_by(|one, other| {
            let names = |row: &Row| (row.caller.clone(), row.action.clone(), row.region.clone());
            (other.calls.cmp(&one.calls)).then_with(|| names(one).cmp(&names(other)))
        });
        Self(rows)
    }

    /// Where it is stored in the bucket.
    #[must_use]
    pub fn key(record: &Record) -> String {
        let from = record.from.strftime("%Y%m%dT%H%MZ");
        format!("reports/{}-{from}.csv", record.name)
    }

    /// It as a CSV file.
    #[must_use]
    pub fn csv(&self) -> String {
        let rows = self.0.iter().map(|row| {
            let Row {
                calls,
                caller,
                action,
                region,
            } = row;
            [caller, action, region, &count(*calls)]
                .map(|text| field(text))
                .join(",")
        });
        let header = "caller,action,region,calls".to_owned();
        std::iter::once(header)
            .chain(rows)
            .map(|line| line + "\n")
            .collect()
    }

    /// How many callers there are, each counted once.
    #[must_use]
    pub fn callers(&self) -> usize {
        let mut callers: Vec<&str> = self.0.iter().map(|row| row.caller.as_str()).collect();
        callers.sort_unstable();
        callers.dedup();
        callers.len()
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.0.iter().map(|row| row.calls).sum()
    }

    /// The first of them, in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut lines: Vec<String> = self
            .0
            .iter()
            .take(LISTED)
            .map(|row| {
                format!(
                    "{}: {} in {}, {}",
                    row.caller,
                    row.action,
                    row.region,
                    count(row.calls)
                )
            })
            .collect();
        if self.0.len() > LISTED {
            lines.push(format!("{} more", self.0.len() - LISTED));
        }
        lines.join("; ")
    }
}

fn count(calls: usize) -> String {
    if calls >= MOST_CALLS {
        format!("at least {MOST_CALLS}")
    } else {
        calls.to_string()
    }
}

/// A field that no spreadsheet takes for a formula; names of roles may have commas.
fn field(text: &str) -> String {
    let text = escaped(text);
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(caller: &str, action: &str, calls: usize) -> Row {
        Row {
            calls,
            caller: caller.to_owned(),
            action: action.to_owned(),
            region: "us-east-1".to_owned(),
        }
    }

    #[test]
    fn the_one_that_called_most_often_comes_first() {
        let report = Report::of(vec![
            row("b,c", "route53:GetChange", 1),
            row("a", "route53:ListHostedZones", 2_050),
            row("a", "route53:GetChange", 1),
            row("=1+1", "x:Y", 3),
        ]);
        assert_eq!(
            report.csv(),
            "caller,action,region,calls\n\
             a,route53:ListHostedZones,us-east-1,at least 2000\n\
             '=1+1,x:Y,us-east-1,3\n\
             a,route53:GetChange,us-east-1,1\n\
             \"b,c\",route53:GetChange,us-east-1,1\n"
        );
        assert_eq!((report.callers(), report.calls()), (3, 2_055));
        assert!(
            report
                .summary()
                .starts_with("a: route53:ListHostedZones in us-east-1, at least 2000; ")
        );
    }

    #[test]
    fn an_alert_lists_ten() {
        let rows = (0..12).map(|n| row(&format!("role-{n:02}"), "x:Y", 1));
        let summary = Report::of(rows.collect()).summary();
        assert!(
            summary.ends_with("role-09: x:Y in us-east-1, 1; 2 more"),
            "{summary}"
        );
        assert_eq!(Report::default().summary(), "");
    }
}
