//! What a sweep prints: rows as CSV or JSON, the outcome of each account and Region, and a summary.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use orgkeeper_shared::{alert::one_line, posture::pair::Outcome, spreadsheet::escaped};
use serde::Serialize;
use serde_json::Value;

use super::{question_file::Question, run::LookedAt};

/// Columns that every row has.
const PLACE: [&str; 3] = ["AccountId", "AccountName", "Region"];
/// The column of a row that is no object.
const VALUE: &str = "Value";
/// Lines of the summary about what could not be read.
const LISTED: usize = 20;

/// The result as JSON. Its fields are only added to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<'r> {
    service: &'static str,
    operation: &'r str,
    /// Pairs of account and Region, by outcome.
    counts: BTreeMap<&'static str, usize>,
    pairs: Vec<PairEntry<'r>>,
    rows: Vec<RowEntry<'r>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PairEntry<'r> {
    account_id: &'r str,
    account_name: &'r str,
    region: &'r str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'r str,
    rows: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RowEntry<'r> {
    account_id: &'r str,
    account_name: &'r str,
    region: &'r str,
    row: &'r Value,
}

impl<'r> Document<'r> {
    /// The result of a sweep.
    #[must_use]
    pub fn of(question: &'r Question, looks: &'r [LookedAt]) -> Self {
        let pairs = looks.iter().map(|look| PairEntry {
            account_id: look.account.as_str(),
            account_name: &look.name,
            region: &look.region,
            outcome: look.outcome.word(),
            reason: &look.reason,
            rows: look.rows.len(),
        });
        let rows = looks.iter().flat_map(|look| {
            look.rows.iter().map(|row| RowEntry {
                account_id: look.account.as_str(),
                account_name: &look.name,
                region: &look.region,
                row,
            })
        });
        Self {
            service: question.service.name,
            operation: &question.operation,
            counts: counts(looks),
            pairs: pairs.collect(),
            rows: rows.collect(),
        }
    }
}

/// Pairs of account and Region, by outcome.
fn counts(looks: &[LookedAt]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for look in looks {
        *counts.entry(look.outcome.word()).or_default() += 1;
    }
    counts
}

/// Writes the rows as CSV. No spreadsheet program calculates a cell of it.
///
/// # Errors
/// If they cannot be written.
pub fn write_rows(columns: &[String], looks: &[LookedAt], out: &mut dyn Write) -> io::Result<()> {
    let columns: Vec<String> = if columns.is_empty() {
        let rows = looks.iter().flat_map(|look| &look.rows);
        let names: BTreeSet<String> = rows.flat_map(names_of).collect();
        names.into_iter().collect()
    } else {
        columns.to_vec()
    };
    let mut csv = csv::Writer::from_writer(out);
    let heads = columns.iter().map(|name| {
        // A reader of the file looks up columns by their names.
        let mark = if PLACE.contains(&name.as_str()) {
            "_"
        } else {
            ""
        };
        escaped(&format!("{name}{mark}"))
    });
    csv.write_record(PLACE.map(str::to_owned).into_iter().chain(heads))?;
    for look in looks {
        for row in &look.rows {
            let place = [look.account.as_str(), &look.name, &look.region];
            let cells = columns
                .iter()
                .enumerate()
                .map(|(index, name)| cell(value_of(row, name, index)));
            csv.write_record(place.into_iter().map(escaped).chain(cells))?;
        }
    }
    csv.flush()
}

/// Writes the outcome of each account and Region as CSV.
///
/// # Errors
/// If they cannot be written.
pub fn write_pairs(looks: &[LookedAt], out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(PLACE.into_iter().chain(["Outcome", "Rows", "Reason"]))?;
    for look in looks {
        let rows = look.rows.len().to_string();
        let cells = [
            look.account.as_str(),
            &look.name,
            &look.region,
            look.outcome.word(),
            &rows,
            &look.reason,
        ];
        csv.write_record(cells.map(escaped))?;
    }
    csv.flush()
}

/// The names of a row's columns.
fn names_of(row: &Value) -> Vec<String> {
    match row {
        Value::Object(members) => members.keys().cloned().collect(),
        Value::Array(values) => (0..values.len()).map(place_name).collect(),
        _ => vec![VALUE.to_owned()],
    }
}

/// The name of a column of rows that are lists; it sorts as a number does.
fn place_name(index: usize) -> String {
    format!("{VALUE}{:02}", index + 1)
}

/// The value of a row in a column.
fn value_of<'v>(row: &'v Value, name: &str, index: usize) -> Option<&'v Value> {
    match row {
        Value::Object(members) => members.get(name),
        Value::Array(values) => values.get(index),
        value => (index == 0).then_some(value),
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => escaped(text),
        // A negative number is a number.
        Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
        Some(value @ (Value::Array(_) | Value::Object(_))) => escaped(&value.to_string()),
    }
}

/// Writes how many pairs ended how, and what could not be read.
///
/// # Errors
/// If it cannot be written.
pub fn write_summary(
    question: &Question,
    looks: &[LookedAt],
    out: &mut dyn Write,
) -> io::Result<()> {
    let accounts: BTreeSet<_> = looks.iter().map(|look| &look.account).collect();
    let rows: usize = looks.iter().map(|look| look.rows.len()).sum();
    writeln!(
        out,
        "{} {}: {} accounts, {} pairs of account and Region, {rows} rows",
        question.service.name,
        question.operation,
        accounts.len(),
        looks.len()
    )?;
    let counts = counts(looks);
    for outcome in Outcome::ALL {
        if let Some(count) = counts.get(outcome.word()) {
            writeln!(out, "  {:<16} {count:>6}", outcome.word())?;
        }
    }
    let unread = unread(looks);
    if unread.is_empty() {
        return Ok(());
    }
    writeln!(out, "Not read, so that rows may be missing:")?;
    for line in unread.iter().take(LISTED) {
        writeln!(out, "  {line}")?;
    }
    if unread.len() > LISTED {
        writeln!(
            out,
            "  and {} more: --pairs FILE has all",
            unread.len() - LISTED
        )?;
    }
    Ok(())
}

/// What could not be read: a line for each account and reason, with its Regions.
fn unread(looks: &[LookedAt]) -> Vec<String> {
    let mut lines: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for look in looks.iter().filter(|look| !look.outcome.is_accounted_for()) {
        let key = (look.outcome, &look.account, &look.name, &look.reason);
        lines.entry(key).or_default().push(&look.region);
    }
    lines
        .into_iter()
        .map(|((outcome, account, name, reason), regions)| {
            let account = match one_line(name) {
                name if name.is_empty() => account.to_string(),
                name => format!("{name} ({account})"),
            };
            let regions = match regions.as_slice() {
                ["*"] => "all Regions".to_owned(),
                regions => regions.join(" "),
            };
            format!("{} {account}, {regions}: {reason}", outcome.word())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(rows: &Value) -> LookedAt {
        LookedAt {
            account: "111122223333".parse().unwrap(),
            name: "=cmd()".to_owned(),
            region: "eu-west-1".to_owned(),
            outcome: Outcome::Seen,
            reason: String::new(),
            rows: rows.as_array().unwrap().clone(),
        }
    }

    fn csv_of(columns: &[&str], rows: &Value) -> String {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        let mut out = Vec::new();
        write_rows(&columns, &[look(rows)], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_cell_is_calculated() {
        let rows = json!([{ "id": "+1", "tags": [{ "Key": "a" }], "size": -5, "Region": "@x", "=k": "a,\"b" }]);
        assert_eq!(
            csv_of(&[], &rows),
            "AccountId,AccountName,Region,'=k,Region_,id,size,tags\n\
             111122223333,'=cmd(),eu-west-1,\"a,\"\"b\",'@x,'+1,-5,\"[{\"\"Key\"\":\"\"a\"\"}]\"\n"
        );
    }

    #[test]
    fn rows_of_every_form_have_columns() {
        for (columns, rows, expected) in [
            (
                vec![],
                json!(["a", 1]),
                "AccountId,AccountName,Region,Value\n*a\n*1\n",
            ),
            (
                vec!["id"],
                json!(["a", null]),
                "AccountId,AccountName,Region,id\n*a\n*\n",
            ),
            (
                vec![],
                json!([["a", "b"]]),
                "AccountId,AccountName,Region,Value01,Value02\n*a,b\n",
            ),
            (
                vec!["y", "x"],
                json!([["a", "b"], { "x": 1, "z": 2 }]),
                "AccountId,AccountName,Region,y,x\n*a,b\n*,1\n",
            ),
            (vec![], json!([]), "AccountId,AccountName,Region\n"),
        ] {
            let expected = expected.replace('*', "111122223333,'=cmd(),eu-west-1,");
            assert_eq!(csv_of(&columns, &rows), expected);
        }
    }
}
