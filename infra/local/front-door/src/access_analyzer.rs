//! IAM Access Analyzer: the analyzers of each account and Region. They find nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;

use http::Uri;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::lock::lock;
use crate::problem::Problem;
use crate::reply::Refusal;

const TYPES: &[&str] = &[
    "ACCOUNT",
    "ORGANIZATION",
    "ACCOUNT_UNUSED_ACCESS",
    "ORGANIZATION_UNUSED_ACCESS",
];

/// One call.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) operation: &'a str,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) uri: &'a Uri,
    pub(crate) body: &'a [u8],
}

/// An analyzer.
#[derive(Debug, Clone)]
struct Analyzer {
    kind: String,
    created: Timestamp,
}

/// Account, Region and name of an analyzer.
type Key = (String, String, String);

/// All analyzers.
#[derive(Debug, Default)]
pub(crate) struct AccessAnalyzer(Mutex<BTreeMap<Key, Analyzer>>);

impl AccessAnalyzer {
    /// Answers one call.
    pub(crate) fn answer(&self, request: &Request<'_>, now: Timestamp) -> Result<Value, Problem> {
        match request.operation {
            "CreateAnalyzer" => Ok(self.create(request, now)?),
            "GetAnalyzer" => Ok(self.get(request)?),
            "DeleteAnalyzer" => Ok(self.delete(request)?),
            "ListAnalyzers" => Ok(self.list(request)),
            "ListFindings" | "ListFindingsV2" => Ok(json!({"findings": []})),
            "ListTagsForResource" => Ok(json!({"tags": {}})),
            other => Err(Problem::no_such_operation("access analyzer", other)),
        }
    }

    fn create(&self, request: &Request<'_>, now: Timestamp) -> Result<Value, Refusal> {
        let input: Value = serde_json::from_slice(request.body).unwrap_or_default();
        let name = input["analyzerName"].as_str().unwrap_or_default();
        let kind = input["type"].as_str().unwrap_or_default();
        if name.is_empty() || !TYPES.contains(&kind) {
            let message = "analyzerName and a known type are required";
            return Err(Refusal::new("ValidationException", message));
        }
        let key = request.key(name);
        let mut analyzers = lock(&self.0);
        if analyzers.contains_key(&key) {
            let message = format!("An analyzer with the name {name} already exists");
            return Err(Refusal::new("ConflictException", message));
        }
        let analyzer = Analyzer {
            kind: kind.to_owned(),
            created: now,
        };
        let answer = json!({"arn": arn(&key)});
        analyzers.insert(key, analyzer);
        Ok(answer)
    }

    fn get(&self, request: &Request<'_>) -> Result<Value, Refusal> {
        let key = request.named();
        match lock(&self.0).get(&key) {
            Some(analyzer) => Ok(json!({"analyzer": analyzer.summary(&key)})),
            None => Err(missing(&key)),
        }
    }

    fn delete(&self, request: &Request<'_>) -> Result<Value, Refusal> {
        let key = request.named();
        match lock(&self.0).remove(&key) {
            Some(_) => Ok(json!({})),
            None => Err(missing(&key)),
        }
    }

    fn list(&self, request: &Request<'_>) -> Value {
        let query = request.uri.query().unwrap_or_default();
        let kind = form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "type")
            .map(|(_, value)| value.into_owned());
        let analyzers = lock(&self.0);
        let here = analyzers.iter().filter(|((account, region, _), analyzer)| {
            account == request.account
                && region == request.region
                && kind.as_ref().is_none_or(|it| *it == analyzer.kind)
        });
        let summaries: Vec<_> = here.map(|(key, analyzer)| analyzer.summary(key)).collect();
        json!({"analyzers": summaries})
    }
}

impl Analyzer {
    fn summary(&self, key: &Key) -> Value {
        json!({
            "arn": arn(key),
            "name": key.2,
            "type": self.kind,
            "createdAt": self.created.to_string(),
            "status": "ACTIVE",
            "tags": {},
        })
    }
}

impl Request<'_> {
    fn key(&self, name: &str) -> Key {
        (
            self.account.to_owned(),
            self.region.to_owned(),
            name.to_owned(),
        )
    }

    /// The analyzer in the path `/analyzer/<name>`.
    fn named(&self) -> Key {
        let name = self.uri.path().rsplit('/').next();
        self.key(name.unwrap_or_default())
    }
}

fn arn((account, region, name): &Key) -> String {
    format!("arn:aws:access-analyzer:{region}:{account}:analyzer/{name}")
}

fn missing(key: &Key) -> Refusal {
    let message = format!("Analyzer {} does not exist", arn(key));
    Refusal::new("ResourceNotFoundException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "111122223333";

    fn answer(
        analyzers: &AccessAnalyzer,
        operation: &str,
        (region, path): (&str, &str),
        body: &Value,
    ) -> Result<Value, String> {
        let body = body.to_string();
        let request = Request {
            operation,
            account: ACCOUNT,
            region,
            uri: &path.parse().unwrap(),
            body: body.as_bytes(),
        };
        match analyzers.answer(&request, Timestamp::UNIX_EPOCH) {
            Ok(value) => Ok(value),
            Err(Problem::Refused(refusal)) => Err(refusal.code),
            Err(Problem::Unreachable(_)) => Err("unreachable".to_owned()),
        }
    }

    #[test]
    fn an_analyzer_belongs_to_one_region() {
        let all = AccessAnalyzer::default();
        let new = json!({"analyzerName": "external", "type": "ACCOUNT"});
        let (here, there) = ("us-east-1", "eu-west-1");
        let created = answer(&all, "CreateAnalyzer", (here, "/analyzer"), &new).unwrap();
        let arn = "arn:aws:access-analyzer:us-east-1:111122223333:analyzer/external";
        assert_eq!(created, json!({"arn": arn}));
        let list = |region, path| {
            let listed = answer(&all, "ListAnalyzers", (region, path), &json!(null));
            listed.unwrap()["analyzers"].as_array().unwrap().len()
        };
        assert_eq!(list(here, "/analyzer?type=ACCOUNT"), 1);
        assert_eq!(list(here, "/analyzer?type=ORGANIZATION"), 0);
        assert_eq!(list(there, "/analyzer"), 0);
        let again = answer(&all, "CreateAnalyzer", (here, "/analyzer"), &new);
        assert_eq!(again.unwrap_err(), "ConflictException");
        let named = "/analyzer/external";
        let found = answer(&all, "GetAnalyzer", (here, named), &json!(null)).unwrap();
        assert_eq!(found["analyzer"]["status"], "ACTIVE");
        answer(&all, "DeleteAnalyzer", (here, named), &json!(null)).unwrap();
        let gone = answer(&all, "GetAnalyzer", (here, named), &json!(null));
        assert_eq!(gone.unwrap_err(), "ResourceNotFoundException");
    }

    #[test]
    fn an_unknown_type_is_refused() {
        let all = AccessAnalyzer::default();
        let new = json!({"analyzerName": "external", "type": "OTHER"});
        let refused = answer(&all, "CreateAnalyzer", ("us-east-1", "/analyzer"), &new);
        assert_eq!(refused.unwrap_err(), "ValidationException");
    }
}
