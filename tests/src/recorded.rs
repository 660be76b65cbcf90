//! The calls of contract tests, recorded for `make permissions`: which test needs which permission.

use std::{collections::BTreeSet, fs::OpenOptions, io::Write as _};

use orgkeeper_shared::lambda::settings::environment;
use serde_json::Value;

use crate::call::Call;

/// The file to which uses are added, each as a line: test, action, resource.
const FILE: &str = "ORGKEEPER_CALLS";

/// Records the calls of one test; nothing if no file is named.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// The test, if it is recorded.
    test: Option<String>,
    known: BTreeSet<(String, String)>,
}

impl Recorder {
    /// The recorder of the test that runs on this thread.
    pub(crate) fn of_this_test() -> Self {
        let name = std::thread::current().name().map(str::to_owned);
        Self {
            test: environment(FILE).and(name),
            known: BTreeSet::new(),
        }
    }

    /// Records a call by `service` (the name in the credential scope).
    pub(crate) fn record(&mut self, service: &str, call: &Call) {
        let (Some(test), Some(file)) = (&self.test, environment(FILE)) else {
            return;
        };
        for (action, resource) in uses(service, call) {
            let line = format!("{test}\t{action}\t{resource}\n");
            if self.known.insert((action, resource)) {
                let file = OpenOptions::new().create(true).append(true).open(&file);
                let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
                assert!(written.is_ok(), "{FILE}: {written:?}");
            }
        }
    }
}

/// The actions that IAM checks for a call, each with the name of its resource as far as the call says it.
fn uses(service: &str, call: &Call) -> Vec<(String, String)> {
    let operation = call.operation.as_str();
    if operation == "TransactWriteItems" {
        return parts(&call.body);
    }
    let resources = match service {
        "dynamodb" if operation == "BatchGetItem" => {
            let tables = call.body["RequestItems"].as_object();
            tables
                .into_iter()
                .flatten()
                .map(|(table, _)| table.clone())
                .collect()
        }
        "dynamodb" => match (text(&call.body, "TableName"), text(&call.body, "IndexName")) {
            (table, "") => vec![table.to_owned()],
            (table, index) => vec![format!("{table}/index/{index}")],
        },
        "sqs" => vec![last(text(&call.body, "QueueUrl"), '/')],
        "sns" => vec![last(text(&call.body, "TopicArn"), ':')],
        _ => vec![String::new()],
    };
    let actions: &[&str] = match operation {
        "ChangeMessageVisibilityBatch" => &["ChangeMessageVisibility"],
        "SendMessageBatch" => &["SendMessage"],
        "Invoke" => &["InvokeFunction"],
        "GetObject" if call.uri.contains("versions") => &["ListBucketVersions"],
        // Whether a missing object is "denied" depends on the permission to list.
        "GetObject" if call.uri.contains("versionId=") => &["GetObjectVersion", "ListBucket"],
        "GetObject" => &["GetObject", "ListBucket"],
        other => &[other],
    };
    let uses = resources.into_iter().flat_map(|resource| {
        let actions = actions.iter();
        actions.map(move |action| (format!("{service}:{action}"), resource.clone()))
    });
    uses.collect()
}

/// A transaction is checked by its parts.
fn parts(body: &Value) -> Vec<(String, String)> {
    const ACTIONS: [(&str, &str); 4] = [
        ("ConditionCheck", "ConditionCheckItem"),
        ("Delete", "DeleteItem"),
        ("Put", "PutItem"),
        ("Update", "UpdateItem"),
    ];
    let items = body["TransactItems"].as_array().into_iter().flatten();
    items
        .flat_map(|item| {
            ACTIONS
                .iter()
                .map(move |(part, action)| (item, part, action))
        })
        .filter_map(|(item, part, action)| {
            let table = item[part]["TableName"].as_str()?;
            Some((format!("dynamodb:{action}"), table.to_owned()))
        })
        .collect()
}

fn text<'b>(body: &'b Value, name: &str) -> &'b str {
    body[name].as_str().unwrap_or_default()
}

fn last(name: &str, separator: char) -> String {
    name.rsplit(separator).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use serde_json::json;

    use super::*;

    fn used(service: &str, operation: &str, uri: &str, body: Value) -> Vec<(String, String)> {
        let call = Call {
            operation: operation.to_owned(),
            access_key: String::new(),
            body,
            uri: uri.to_owned(),
            headers: HeaderMap::new(),
            text: String::new(),
        };
        uses(service, &call)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(action, on)| ((*action).to_owned(), (*on).to_owned()))
            .collect()
    }

    #[test]
    fn a_transaction_needs_the_permissions_of_its_parts() {
        let body = json!({ "TransactItems": [
            { "Put": { "TableName": "accounts" } },
            { "ConditionCheck": { "TableName": "state" } },
        ] });
        let expected = pairs(&[
            ("dynamodb:PutItem", "accounts"),
            ("dynamodb:ConditionCheckItem", "state"),
        ]);
        assert_eq!(used("dynamodb", "TransactWriteItems", "/", body), expected);
    }

    #[test]
    fn calls_have_the_names_that_iam_has_for_them() {
        let queue = json!({ "QueueUrl": "https://sqs.us-east-1.amazonaws.com/111111111111/one" });
        assert_eq!(
            used("sqs", "SendMessageBatch", "/", queue),
            pairs(&[("sqs:SendMessage", "one")])
        );
        let query = json!({ "TableName": "accounts", "IndexName": "ByStatus" });
        assert_eq!(
            used("dynamodb", "Query", "/", query),
            pairs(&[("dynamodb:Query", "accounts/index/ByStatus")])
        );
        let object = "/bucket/key?versionId=1&x-id=GetObject";
        assert_eq!(
            used("s3", "GetObject", object, json!(null)),
            pairs(&[("s3:GetObjectVersion", ""), ("s3:ListBucket", "")])
        );
        assert_eq!(
            used("s3", "GetObject", "/bucket?prefix=x&versions", json!(null)),
            pairs(&[("s3:ListBucketVersions", "")])
        );
    }
}
