//! The operation of a request, `<service>.<Operation>`, and the protocol of its errors. Faults and counts
//! use this name.

use http::{HeaderMap, Method, Uri, header::CONTENT_TYPE};

use crate::posture_operations::OPERATIONS;
use crate::scope::Scope;

/// The protocols of AWS whose errors differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Json10,
    Json11,
    RestJson,
    RestXml,
    Query,
    Ec2Query,
    Cbor,
}

/// A request's service and operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
}

/// REST-JSON operations with a known name: service, method, path, operation.
const REST_JSON: &[(&str, &str, &str, &str)] = &[
    (
        "account",
        "POST",
        "/acceptPrimaryEmailUpdate",
        "AcceptPrimaryEmailUpdate",
    ),
    (
        "account",
        "POST",
        "/deleteAlternateContact",
        "DeleteAlternateContact",
    ),
    ("account", "POST", "/disableRegion", "DisableRegion"),
    ("account", "POST", "/enableRegion", "EnableRegion"),
    (
        "account",
        "POST",
        "/getAccountInformation",
        "GetAccountInformation",
    ),
    (
        "account",
        "POST",
        "/getAlternateContact",
        "GetAlternateContact",
    ),
    (
        "account",
        "POST",
        "/getContactInformation",
        "GetContactInformation",
    ),
    ("account", "POST", "/getPrimaryEmail", "GetPrimaryEmail"),
    (
        "account",
        "POST",
        "/getRegionOptStatus",
        "GetRegionOptStatus",
    ),
    ("account", "POST", "/listRegions", "ListRegions"),
    ("account", "POST", "/putAccountName", "PutAccountName"),
    (
        "account",
        "POST",
        "/putAlternateContact",
        "PutAlternateContact",
    ),
    (
        "account",
        "POST",
        "/putContactInformation",
        "PutContactInformation",
    ),
    (
        "account",
        "POST",
        "/startPrimaryEmailUpdate",
        "StartPrimaryEmailUpdate",
    ),
    ("controltower", "POST", "/get-landingzone", "GetLandingZone"),
    ("controltower", "POST", "/list-baselines", "ListBaselines"),
    (
        "controltower",
        "POST",
        "/list-enabled-baselines",
        "ListEnabledBaselines",
    ),
    (
        "controltower",
        "POST",
        "/list-landingzones",
        "ListLandingZones",
    ),
];

/// Services whose REST errors are XML.
const REST_XML: &[&str] = &["s3", "s3express", "cloudfront", "route53"];

impl Operation {
    /// Reads the operation of a request; one without a signature belongs to the service `unsigned`.
    pub(crate) fn read(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        scope: Option<&Scope>,
        body: &[u8],
    ) -> Self {
        let service = scope.map_or("unsigned", |scope| scope.service.as_str());
        let path = uri.path();
        if let Some((_, name)) = header(headers, "x-amz-target").and_then(|it| it.rsplit_once('.'))
        {
            return Self::new(service, name, json_version(headers));
        }
        if let Some(name) = cbor_operation(path) {
            return Self::new(service, name, Protocol::Cbor);
        }
        if let Some(name) = action(uri, headers, body) {
            let protocol = match service {
                "ec2" => Protocol::Ec2Query,
                _ => Protocol::Query,
            };
            return Self::new(service, &name, protocol);
        }
        let known = REST_JSON
            .iter()
            .chain(OPERATIONS)
            .find(|it| it.0 == service && it.1 == method.as_str() && is_at(path, it.2));
        let protocol = if REST_XML.contains(&service) {
            Protocol::RestXml
        } else {
            Protocol::RestJson
        };
        Self::new(service, known.map_or(method.as_str(), |it| it.3), protocol)
    }

    /// The operation with this name.
    pub(crate) fn new(service: &str, name: &str, protocol: Protocol) -> Self {
        Self {
            service: service.to_owned(),
            name: name.to_owned(),
            protocol,
        }
    }

    /// `<service>.<Operation>`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}.{}", self.service, self.name)
    }
}

/// Whether a path is the one in the table, with any name for each `{}`.
fn is_at(path: &str, at: &str) -> bool {
    let (parts, wanted) = (path.split('/'), at.split('/'));
    let same =
        |(part, wanted): (&str, &str)| wanted == part || (wanted == "{}" && !part.is_empty());
    parts.clone().count() == wanted.clone().count() && parts.zip(wanted).all(same)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn json_version(headers: &HeaderMap) -> Protocol {
    match header(headers, CONTENT_TYPE.as_str()) {
        Some(kind) if kind.ends_with("json-1.0") => Protocol::Json10,
        _ => Protocol::Json11,
    }
}

/// `/service/<Service>/operation/<Operation>` of the Smithy RPC v2 protocol.
fn cbor_operation(path: &str) -> Option<&str> {
    let (service, operation) = path.strip_prefix("/service/")?.split_once("/operation/")?;
    (!service.contains('/') && !operation.is_empty() && !operation.contains('/'))
        .then_some(operation)
}

/// `Action=` of the query protocol, in a form body or in the query.
fn action(uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let is_form = header(headers, CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let in_body = is_form.then(|| form_value(body, "Action")).flatten();
    in_body.or_else(|| form_value(uri.query()?.as_bytes(), "Action"))
}

/// The first value of `name` in a form.
fn form_value(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(
        service: &str,
        method: &Method,
        path: &str,
        header: Option<(&'static str, &str)>,
        body: &str,
    ) -> Operation {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let scope = Scope {
            access_key: "test".to_owned(),
            region: "us-east-1".to_owned(),
            service: service.to_owned(),
        };
        let uri = path.parse().unwrap();
        Operation::read(method, &uri, &headers, Some(&scope), body.as_bytes())
    }

    #[test]
    fn a_json_call_is_named_by_its_target() {
        let target = ("x-amz-target", "AWSOrganizationsV20161128.ListAccounts");
        let it = read("organizations", &Method::POST, "/", Some(target), "{}");
        assert_eq!(it.full_name(), "organizations.ListAccounts");
        assert_eq!(it.protocol, Protocol::Json11);
    }

    #[test]
    fn a_query_call_is_named_by_its_action() {
        let form = (
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        );
        let body = "Action=AssumeRole&Version=2011-06-15";
        let it = read("sts", &Method::POST, "/", Some(form), body);
        assert_eq!(it.full_name(), "sts.AssumeRole");
        assert_eq!(it.protocol, Protocol::Query);
        let it = read("ec2", &Method::GET, "/?Action=DescribeVpcs", None, "");
        assert_eq!(it.full_name(), "ec2.DescribeVpcs");
        assert_eq!(it.protocol, Protocol::Ec2Query);
    }

    #[test]
    fn a_cbor_call_is_named_by_its_path() {
        let path = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
        let it = read("monitoring", &Method::POST, path, None, "");
        assert_eq!(it.full_name(), "monitoring.PutMetricData");
        assert_eq!(it.protocol, Protocol::Cbor);
    }

    #[test]
    fn rest_calls_are_named_by_table_or_method() {
        let named = [
            (
                "securityhub",
                Method::POST,
                "/findings",
                "securityhub.GetFindings",
            ),
            (
                "securityhub",
                Method::POST,
                "/findings/import",
                "securityhub.BatchImportFindings",
            ),
            (
                "securityhub",
                Method::PATCH,
                "/findings/batchupdate",
                "securityhub.BatchUpdateFindings",
            ),
            (
                "account",
                Method::POST,
                "/getAlternateContact",
                "account.GetAlternateContact",
            ),
            (
                "controltower",
                Method::POST,
                "/list-enabled-baselines",
                "controltower.ListEnabledBaselines",
            ),
            (
                "access-analyzer",
                Method::GET,
                "/analyzer/mine",
                "access-analyzer.GetAnalyzer",
            ),
            (
                "access-analyzer",
                Method::GET,
                "/analyzer?type=ACCOUNT",
                "access-analyzer.ListAnalyzers",
            ),
            ("s3", Method::PUT, "/bucket/key?x-id=PutObject", "s3.PUT"),
            ("lambda", Method::GET, "/2015-03-31/functions", "lambda.GET"),
        ];
        for (service, method, path, name) in named {
            assert_eq!(read(service, &method, path, None, "").full_name(), name);
        }
    }

    #[test]
    fn a_call_without_a_signature_is_unsigned() {
        let uri = Uri::from_static("/bucket");
        let it = Operation::read(&Method::GET, &uri, &HeaderMap::new(), None, b"");
        assert_eq!(it.full_name(), "unsigned.GET");
    }
}
