//! The HTML page: no script, no file beside it, everything from outside escaped.

use std::collections::BTreeMap;

use askama::Template;
use jiff::Timestamp;
use orgkeeper_shared::posture::{
    exposure::{Exposure, Kind},
    pair::Outcome,
};

use super::{
    chart::Chart,
    error::ReportError,
    left_out::NOT_LOOKED_AT,
    recording::{Gap, PoorSource, SecondSource},
    snapshot::Snapshot,
};
use crate::administrative_ports::critical;

/// Rows of a table; `exposure.csv` and `coverage.csv` have all.
const ROWS: usize = 200;
/// Bars of a chart.
const BARS: usize = 12;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'s> {
    day: String,
    began: String,
    ended: String,
    accounts: usize,
    pairs: usize,
    seen: usize,
    total: usize,
    reachable: usize,
    unexpected: usize,
    on_administrative_ports: usize,
    by_kind: Chart,
    by_unit: Chart,
    by_outcome: Chart,
    attention: Rows,
    new: Rows,
    unread: Vec<UnreadRow>,
    unread_more: usize,
    second_source: Option<SecondRows>,
    /// Accounts outside Control Tower, and how many of them nothing is in the way of.
    enrolment: Option<(usize, usize)>,
    no_enrolment: Option<&'s str>,
    not_looked_at: &'s [&'s str],
}

/// Rows of a table, and how many more there are.
struct Rows {
    rows: Vec<Row>,
    more: usize,
}

struct Row {
    account: String,
    unit: String,
    region: String,
    kind: Kind,
    resource: String,
    address: String,
    open: String,
    since: String,
    is_critical: bool,
    stale: bool,
}

struct UnreadRow {
    account: String,
    region: String,
    outcome: &'static str,
    reason: String,
    seen: String,
}

/// What AWS Config lacks.
struct SecondRows {
    aggregator: String,
    /// Why it could not be asked.
    unasked: Option<String>,
    recorded: usize,
    lacking: usize,
    gaps: Vec<GapRow>,
    gaps_more: usize,
    sources: Vec<PoorSource>,
    sources_more: usize,
    sources_unasked: Option<String>,
}

struct GapRow {
    account: String,
    unit: String,
    region: String,
    count: usize,
    resources: String,
}

/// The page.
///
/// # Errors
/// If it cannot be written.
pub fn page(snapshot: &Snapshot) -> Result<String, ReportError> {
    let accounts: std::collections::BTreeSet<_> = snapshot
        .pairs
        .iter()
        .map(|record| &record.pair.account)
        .collect();
    let mut names = Names {
        snapshot,
        known: BTreeMap::new(),
    };
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for exposure in &snapshot.exposures {
        *kinds.entry(exposure.kind.word()).or_default() += 1;
    }
    let mut units: BTreeMap<String, usize> = BTreeMap::new();
    for exposure in snapshot.reachable() {
        let (_, unit) = names.of(exposure);
        let unit = if unit.is_empty() {
            "unit not known".to_owned()
        } else {
            unit
        };
        *units.entry(unit).or_default() += 1;
    }
    let kinds = kinds
        .into_iter()
        .map(|(kind, count)| (kind.to_owned(), count));
    let outcomes = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome.word().to_owned(), snapshot.count(outcome)));
    let outcomes = outcomes.filter(|(_, count)| *count > 0);
    let mut attention: Vec<&Exposure> = snapshot.unexpected().collect();
    attention.sort_by_key(|exposure| critical(exposure).next().is_none());
    let unread: Vec<UnreadRow> = snapshot
        .unread()
        .take(ROWS)
        .map(|record| UnreadRow {
            account: names.account(&record.pair.account).0,
            region: record.pair.region.clone(),
            outcome: record.outcome.word(),
            reason: record.reason.clone().unwrap_or_default(),
            seen: record.seen_at.map_or_else(|| "never".to_owned(), minute),
        })
        .collect();
    let page = Page {
        day: snapshot.day().to_string(),
        began: minute(snapshot.survey.began_at),
        ended: snapshot
            .survey
            .ended_at
            .map_or_else(|| "not yet".to_owned(), minute),
        accounts: accounts.len(),
        pairs: snapshot.pairs.len(),
        seen: snapshot.count(Outcome::Seen),
        total: snapshot.exposures.len(),
        reachable: snapshot.reachable().count(),
        unexpected: attention.len(),
        on_administrative_ports: attention
            .iter()
            .filter(|exposure| critical(exposure).next().is_some())
            .count(),
        by_kind: Chart::of(kinds.collect(), BARS),
        by_unit: Chart::of(units.into_iter().collect(), BARS),
        by_outcome: Chart::of(outcomes.collect(), BARS),
        attention: rows(attention.into_iter(), &mut names),
        new: rows(snapshot.new_since_yesterday(), &mut names),
        unread_more: snapshot.unread().count().saturating_sub(unread.len()),
        unread,
        second_source: second_rows(snapshot, &mut names),
        enrolment: snapshot.enrolment.counts(),
        no_enrolment: snapshot.enrolment.left_out(),
        not_looked_at: NOT_LOOKED_AT,
    };
    Ok(page.render()?)
}

/// Names and units of accounts.
struct Names<'s> {
    snapshot: &'s Snapshot,
    known: BTreeMap<orgkeeper_shared::ids::AccountId, (String, String)>,
}

impl Names<'_> {
    fn of(&mut self, exposure: &Exposure) -> (String, String) {
        self.account(&exposure.pair.account)
    }

    fn account(&mut self, id: &orgkeeper_shared::ids::AccountId) -> (String, String) {
        let found = self.known.entry(id.clone()).or_insert_with(|| {
            let account = self.snapshot.account(id);
            let name = if account.name.is_empty() {
                id.to_string()
            } else {
                format!("{} ({id})", account.name)
            };
            (name, account.unit)
        });
        found.clone()
    }
}

fn rows<'e>(exposures: impl Iterator<Item = &'e Exposure>, names: &mut Names<'_>) -> Rows {
    let exposures: Vec<&Exposure> = exposures.collect();
    let rows = exposures.iter().take(ROWS).map(|exposure| {
        let (account, unit) = names.of(exposure);
        let open: Vec<String> = exposure.open.iter().map(ToString::to_string).collect();
        Row {
            account,
            unit,
            region: exposure.pair.region.clone(),
            kind: exposure.kind,
            resource: exposure.resource.clone(),
            address: exposure.address.clone(),
            open: if open.is_empty() {
                exposure.reason.clone()
            } else {
                open.join("; ")
            },
            since: minute(exposure.first_seen),
            is_critical: critical(exposure).next().is_some(),
            stale: exposure.stale,
        }
    });
    let rows: Vec<Row> = rows.collect();
    Rows {
        more: exposures.len() - rows.len(),
        rows,
    }
}

fn second_rows(snapshot: &Snapshot, names: &mut Names<'_>) -> Option<SecondRows> {
    let mut rows = SecondRows {
        aggregator: String::new(),
        unasked: None,
        recorded: 0,
        lacking: 0,
        gaps: Vec::new(),
        gaps_more: 0,
        sources: Vec::new(),
        sources_more: 0,
        sources_unasked: None,
    };
    match &snapshot.second_source {
        SecondSource::Off => return None,
        SecondSource::Unasked { aggregator, reason } => {
            rows.aggregator.clone_from(aggregator);
            rows.unasked = Some(reason.clone());
        }
        SecondSource::Asked(recorded) => {
            rows.aggregator.clone_from(&recorded.aggregator);
            rows.recorded = recorded.addresses.len();
            match &recorded.sources {
                Ok(sources) => {
                    rows.sources = sources.iter().take(ROWS).cloned().collect();
                    rows.sources_more = sources.len() - rows.sources.len();
                }
                Err(reason) => rows.sources_unasked = Some(reason.clone()),
            }
        }
    }
    let gaps = snapshot.recording_gaps();
    let gaps = gaps.iter().filter(|(_, gap)| !gap.lacks.is_empty());
    let gaps: Vec<(_, &Gap<'_>)> = gaps.collect();
    rows.lacking = gaps.iter().map(|(_, gap)| gap.lacks.len()).sum();
    let shown = gaps.iter().take(ROWS).map(|(pair, gap)| {
        let (account, unit) = names.account(&pair.account);
        GapRow {
            account,
            unit,
            region: pair.region.clone(),
            count: gap.lacks.len(),
            resources: gap.in_words(),
        }
    });
    rows.gaps = shown.collect();
    rows.gaps_more = gaps.len() - rows.gaps.len();
    Some(rows)
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::{
            enrolment_csv::Enrolment,
            samples::{self, snapshot},
        },
        samples::exposure,
    };

    #[test]
    fn the_page_says_what_there_is_and_what_is_not_looked_at() {
        insta::assert_snapshot!("page", page(&snapshot()).unwrap());
    }

    #[test]
    fn what_aws_config_lacks_is_a_section() {
        let text = page(&samples::with_second_source(snapshot())).unwrap();
        let section = section(&text);
        assert!(section.contains("1 public address that the survey saw is not recorded"));
        insta::assert_snapshot!("second-source", section);
    }

    #[test]
    fn the_page_says_why_aws_config_could_not_be_asked() {
        let unasked = SecondSource::Unasked {
            aggregator: "organization".into(),
            reason: "SelectAggregateResourceConfig failed (Denied): <b>".into(),
        };
        let text = page(&snapshot().with_second_source(unasked)).unwrap();
        let section = section(&text);
        assert!(
            section.contains(
                "could not be asked: SelectAggregateResourceConfig failed (Denied): &#60;b&#62;"
            ),
            "{section}"
        );
        assert!(!section.contains("<table>"), "{section}");
        // Without an aggregator there is none.
        let text = page(&snapshot()).unwrap();
        assert!(!text.contains("AWS Config"), "{text}");
    }

    /// The part about the second source.
    fn section(page: &str) -> &str {
        let from = page.find("<h2>Not recorded by AWS Config").unwrap();
        let to = page.find("<h2>Not looked at").unwrap();
        &page[from..to]
    }

    #[test]
    fn the_page_counts_accounts_outside_control_tower_or_says_why_not() {
        let text = page(&snapshot().with_enrolment(samples::enrolment())).unwrap();
        assert!(
            text.contains("<p>5 accounts, of which 3 can be enrolled"),
            "{text}"
        );
        assert!(!text.contains("no enrolment.csv"), "{text}");
        let unknown = Enrolment::Unknown("denied <b>".into());
        let text = page(&snapshot().with_enrolment(unknown)).unwrap();
        assert!(
            text.contains("<p>There is no enrolment.csv: denied &#60;b&#62;</p>"),
            "{text}"
        );
        assert!(!text.contains("Outside Control Tower"), "{text}");
    }

    #[test]
    fn the_page_has_no_script_and_needs_no_other_file() {
        let mut snapshot = snapshot();
        snapshot.exposures[0].resource = "<script>alert(1)</script>".into();
        snapshot.exposures[0].owner.account_name = "\"><img src=x onerror=alert(1)>".into();
        snapshot.exposures[0].owner.unit = "</text></svg><script>".into();
        snapshot.accounts.clear();
        snapshot.pairs[0].reason = Some("<b>&".into());
        snapshot.pairs[0].outcome = Outcome::Failed;
        let page = page(&snapshot).unwrap();
        for word in [
            "<script", "<img", "http:", "https:", "src=\"", "<link", "<b>",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
    }

    #[test]
    fn a_large_organization_has_a_small_page() {
        let mut snapshot = snapshot();
        snapshot.exposures = (0..40_000)
            .map(|place| exposure(&format!("i-{place}")))
            .collect();
        let page = page(&snapshot).unwrap();
        assert!(page.len() < 200_000, "{}", page.len());
        assert!(page.contains("and 39800 more"));
    }
}
