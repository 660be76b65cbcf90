//! The file of a sweep: what is asked, where, and how fast. A wrong one is refused, each fault with its line.

use std::collections::BTreeSet;

use orgkeeper_shared::{
    ids::AccountId,
    rule_file::{self, Check, account_of, filled, unit_path_of},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use super::{
    filter::Filter,
    service::{self, SweptService},
};

/// The role that is assumed in each account.
pub const ROLE: &str = "OrgkeeperAudit";
/// Calls a second in each account.
const PER_SECOND: f64 = 10.0;
/// The most that a file may ask for.
const MOST_PER_SECOND: f64 = 100.0;

/// What a file asks.
#[derive(Debug)]
pub struct Question {
    /// The service.
    pub service: &'static SweptService,
    /// The operation.
    pub operation: String,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// How an answer goes on: where it has the token, and the parameter that takes it.
    pub next: Vec<(String, String)>,
    /// What makes rows of an answer.
    pub filter: Filter,
    /// The columns in their order; empty: all that the rows have, by name.
    pub columns: Vec<String>,
    /// Where it is asked.
    pub scope: Scope,
    /// Calls a second in each account.
    pub per_second: f64,
}

/// Where a question is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The role.
    pub role: String,
    /// These accounts; empty: all.
    pub accounts: BTreeSet<AccountId>,
    /// The accounts of these units and of those below them; empty: all.
    pub units: Vec<String>,
    /// Not these accounts.
    pub except: BTreeSet<AccountId>,
    /// These Regions; empty: all that an account has.
    pub regions: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    call: Spanned<CallTable>,
    rows: Spanned<RowsTable>,
    #[serde(default, rename = "where")]
    scope: ScopeTable,
    #[serde(default)]
    pace: PaceTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallTable {
    service: Option<Spanned<String>>,
    operation: Option<Spanned<String>>,
    parameters: Option<Spanned<toml::Table>>,
    next: Option<Spanned<NextTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NextTable {
    answer: String,
    request: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowsTable {
    filter: Option<Spanned<String>>,
    #[serde(default)]
    columns: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ScopeTable {
    role: Option<Spanned<String>>,
    #[serde(default)]
    accounts: Vec<Spanned<String>>,
    #[serde(default)]
    units: Vec<Spanned<String>>,
    #[serde(default)]
    except: Vec<Spanned<String>>,
    #[serde(default)]
    regions: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PaceTable {
    calls_per_second: Option<Spanned<f64>>,
}

/// Reads a file.
///
/// # Errors
/// Names everything that is wrong, with its line.
pub fn parse(text: &str) -> Result<Question, Vec<String>> {
    let question = rule_file::parse(text, |check, document: &Document| read(check, document))?;
    // A fault that was noted is an error already.
    question.ok_or_else(|| vec!["line 1: the file asks nothing".to_owned()])
}

fn read(check: &mut Check, document: &Document) -> Option<Question> {
    let call = document.call.as_ref();
    let service = check.needed(
        &document.call,
        "[call]",
        "service",
        call.service.as_ref(),
        |name| {
            SweptService::named(name).ok_or_else(|| {
                format!(
                    "{name:?} is no service that can be asked; these are: {}",
                    service::names()
                )
            })
        },
    );
    if call.operation.is_none() {
        check.refuse(&document.call, "[call] has an operation");
    }
    let operation = check.read(call.operation.as_ref(), |name| {
        match service.and_then(|service| service.refusal(name)) {
            Some(refusal) => Err(refusal),
            None => filled(name),
        }
    });
    let parameters = call.parameters.as_ref().map(|parameters| {
        let read = json_of(&toml::Value::Table(parameters.as_ref().clone()));
        match read {
            Ok(Value::Object(parameters)) => parameters,
            Ok(_) => Map::new(),
            Err(problem) => {
                check.refuse(parameters, problem);
                Map::new()
            }
        }
    });
    let filter = check.needed(
        &document.rows,
        "[rows]",
        "filter",
        document.rows.as_ref().filter.as_ref(),
        |text| {
            Filter::parse(text).map_err(|problem| format!("the filter is no JMESPath: {problem}"))
        },
    );
    let columns = columns(check, &document.rows.as_ref().columns);
    let scope = scope(check, &document.scope);
    let per_second = per_second(check, document.pace.calls_per_second.as_ref());
    let (service, operation) = (service?, operation?);
    let next = match &call.next {
        Some(next) => {
            let NextTable { answer, request } = next.as_ref();
            vec![(answer.clone(), request.clone())]
        }
        None => service
            .next(&operation)
            .into_iter()
            .map(|next| (next.answer.to_owned(), next.request.to_owned()))
            .collect(),
    };
    Some(Question {
        next,
        service,
        operation,
        parameters: parameters.unwrap_or_default(),
        filter: filter?,
        columns,
        scope,
        per_second,
    })
}

fn columns(check: &mut Check, columns: &[Spanned<String>]) -> Vec<String> {
    let mut names = Vec::new();
    for column in columns {
        let name = column.as_ref();
        if name.trim().is_empty() {
            check.refuse(column, "a column has a name");
        } else if names.contains(name) {
            check.refuse(column, format!("the column {name} is there twice"));
        }
        names.push(name.clone());
    }
    names
}

fn scope(check: &mut Check, scope: &ScopeTable) -> Scope {
    let role = check.read(scope.role.as_ref(), role_of);
    let accounts = accounts(check, &scope.accounts);
    let except = accounts_but(check, &scope.except, &accounts);
    let mut units = Vec::new();
    for unit in &scope.units {
        units.extend(check.read(Some(unit), unit_path_of));
    }
    let mut regions = BTreeSet::new();
    for region in &scope.regions {
        regions.extend(check.read(Some(region), region_of));
    }
    Scope {
        role: role.unwrap_or_else(|| ROLE.to_owned()),
        accounts,
        units,
        except,
        regions,
    }
}

fn accounts(check: &mut Check, ids: &[Spanned<String>]) -> BTreeSet<AccountId> {
    let ids = ids.iter();
    ids.filter_map(|id| check.read(Some(id), account_of))
        .collect()
}

/// Accounts that are left out; one that is asked for too is a fault.
fn accounts_but(
    check: &mut Check,
    ids: &[Spanned<String>],
    wanted: &BTreeSet<AccountId>,
) -> BTreeSet<AccountId> {
    let ids = ids.iter();
    ids.filter_map(|id| {
        let id_read = check.read(Some(id), account_of)?;
        if wanted.contains(&id_read) {
            check.refuse(id, format!("{id_read} is in accounts too"));
        }
        Some(id_read)
    })
    .collect()
}

fn per_second(check: &mut Check, value: Option<&Spanned<f64>>) -> f64 {
    let Some(value) = value else {
        return PER_SECOND;
    };
    let number = *value.as_ref();
    if !(number > 0.0 && number <= MOST_PER_SECOND) {
        check.refuse(
            value,
            format!("calls_per_second is more than 0 and at most {MOST_PER_SECOND}"),
        );
    }
    number
}

/// The name of a role, with its path if it has one.
fn role_of(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
    let good = !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('/');
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no name of a role, {ROLE} say"))
    }
}

/// The code of a Region.
fn region_of(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('-').collect();
    let lower =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match parts.as_slice() {
        [names @ .., last] if names.len() >= 2 && names.iter().all(lower) && number(last) => {
            Ok(text.to_owned())
        }
        _ => Err(format!("{text:?} is no Region, eu-central-1 say")),
    }
}

/// A value of the file as JSON.
fn json_of(value: &toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text.clone()),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => {
            let number = serde_json::Number::from_f64(*number);
            Value::Number(number.ok_or("a parameter is no number")?)
        }
        toml::Value::Boolean(value) => (*value).into(),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(values) => values.iter().map(json_of).collect::<Result<_, _>>()?,
        toml::Value::Table(table) => {
            let members = table.iter();
            let members = members.map(|(name, value)| Ok((name.clone(), json_of(value)?)));
            Value::Object(members.collect::<Result<_, String>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[call]
service = "ec2"
operation = "DescribeInstances"
parameters = { MaxResults = 1000, Filters = [{ Name = "instance-state-name", Values = ["running"] }] }

[rows]
filter = "reservationSet[].instancesSet[].{id: instanceId, ip: ipAddress}"
columns = ["id", "ip"]

[where]
units = ["Root/Workloads/"]
except = ["111122223333"]
regions = ["eu-central-1", "us-gov-west-1"]

[pace]
calls_per_second = 5.0
"#;

    #[test]
    fn a_file_is_read() {
        let question = parse(GOOD).unwrap();
        assert_eq!(question.operation, "DescribeInstances");
        assert_eq!(question.parameters["MaxResults"], 1_000);
        assert_eq!(question.columns, ["id", "ip"]);
        assert_eq!(question.scope.units, ["Root/Workloads"]);
        assert_eq!(question.scope.role, "OrgkeeperAudit");
        assert_eq!(question.scope.except.len(), 1);
        assert!((question.per_second - 5.0).abs() < 0.001);
        assert_eq!(
            question.next[0],
            ("nextToken".to_owned(), "NextToken".to_owned())
        );
    }

    #[test]
    fn each_fault_has_its_line_and_words() {
        for (from, to, expected) in [
            (
                "\"ec2\"",
                "\"ec3\"",
                "line 3: \"ec3\" is no service that can be asked; these are: accessanalyzer, ",
            ),
            (
                "DescribeInstances",
                "RunInstances",
                "line 4: RunInstances may change something",
            ),
            (
                "operation = \"DescribeInstances\"",
                "",
                "line 2: [call] has an operation",
            ),
            (
                "ipAddress}",
                "ipAddress",
                "line 8: the filter is no JMESPath: ",
            ),
            (
                "\"id\", \"ip\"",
                "\"id\", \"id\"",
                "line 9: the column id is there twice",
            ),
            (
                "Root/Workloads/",
                "Workloads",
                "line 12: \"Workloads\" is no path of an organizational unit",
            ),
            (
                "111122223333",
                "12",
                "line 13: \"12\": an AWS account id has twelve digits",
            ),
            (
                "eu-central-1",
                "Frankfurt",
                "line 14: \"Frankfurt\" is no Region",
            ),
            ("5.0", "0.0", "line 17: calls_per_second is more than 0"),
            ("5.0", "nan", "line 17: calls_per_second is more than 0"),
            ("[pace]", "[speed]", "line 16: unknown field `speed`"),
            (
                "[where]",
                "[where]\nrole = \"a b\"",
                "line 12: \"a b\" is no name of a role",
            ),
            (
                "[where]",
                "[where]\naccounts = [\"111122223333\"]",
                "line 14: 111122223333 is in accounts too",
            ),
            ("1000", "nan", "line 5: a parameter is no number"),
        ] {
            let faults = parse(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].starts_with(expected), "{expected:?}: {faults:?}");
        }
        assert_eq!(parse("").unwrap_err().len(), 1);
        assert!(parse("[call]\n[rows]\n").unwrap_err().len() > 2);
    }
}
