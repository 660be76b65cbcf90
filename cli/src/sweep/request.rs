//! A call as a request, in the protocol of its service.

use orgkeeper_shared::signed::Request;
use serde_json::{Map, Value};

use super::service::{Protocol, SweptService};
use crate::aws::query::form_post;

/// The request of a call with these parameters. Nothing for an operation that is not in the service's list.
#[must_use]
pub fn request(
    service: &SweptService,
    operation: &str,
    parameters: &Map<String, Value>,
) -> Option<Request> {
    match service.protocol {
        Protocol::Query { version } => Some(form(operation, version, parameters, false)),
        Protocol::Ec2 { version } => Some(form(operation, version, parameters, true)),
        Protocol::Json { version, target } => Some(Request {
            method: "POST",
            path: "/".to_owned(),
            headers: vec![
                ("content-type", format!("application/x-amz-json-{version}")),
                ("x-amz-target", format!("{target}.{operation}")),
            ],
            body: text_of(parameters),
        }),
        Protocol::RestJson(_) | Protocol::RestXml(_) => {
            let row = service.rest(operation)?;
            Some(match row.method {
                "GET" => Request {
                    method: row.method,
                    path: with_query(row.path, parameters),
                    ..Request::default()
                },
                _ => Request {
                    method: row.method,
                    path: row.path.to_owned(),
                    headers: vec![("content-type", "application/json".to_owned())],
                    body: text_of(parameters),
                },
            })
        }
    }
}

fn text_of(parameters: &Map<String, Value>) -> String {
    Value::Object(parameters.clone()).to_string()
}

fn form(operation: &str, version: &str, parameters: &Map<String, Value>, ec2: bool) -> Request {
    let mut fields = Vec::new();
    for (name, value) in parameters {
        flatten(name, value, ec2, &mut fields);
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", operation);
    form.append_pair("Version", version);
    form_post(form.extend_pairs(fields).finish())
}

/// The fields of a value: elements of lists are numbered, as the protocol asks for.
///
/// A name with a dot is as on the wire. Else `Values` of EC2 are `Value.1`, and those of the others `Values.member.1`.
fn flatten(name: &str, value: &Value, ec2: bool, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Array(elements) => {
            let own_name = name.rsplit('.').next().unwrap_or_default();
            let on_the_wire = name.contains('.') && !ec2;
            let list = match own_name.strip_suffix('s') {
                Some(_) if ec2 && !KEEP_THEIR_S.iter().any(|start| own_name.starts_with(start)) => {
                    name[..name.len() - 1].to_owned()
                }
                _ if ec2 || on_the_wire => name.to_owned(),
                _ => format!("{name}.member"),
            };
            for (element, place) in elements.iter().zip(1..) {
                flatten_element(&format!("{list}.{place}"), element, ec2, fields);
            }
        }
        Value::Object(members) => {
            for (member, value) in members {
                flatten_member(name, member, value, ec2, fields);
            }
        }
        Value::String(text) => fields.push((name.to_owned(), text.clone())),
        Value::Bool(_) | Value::Number(_) => fields.push((name.to_owned(), value.to_string())),
    }
}

fn flatten_element(name: &str, value: &Value, ec2: bool, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                flatten_member(name, member, value, ec2, fields);
            }
        }
        value => flatten(name, value, ec2, fields),
    }
}

fn flatten_member(
    name: &str,
    member: &str,
    value: &Value,
    ec2: bool,
    fields: &mut Vec<(String, String)>,
) {
    // Whether a name is one of the wire is decided by what the file says of this member alone.
    let mut below = Vec::new();
    flatten(member, value, ec2, &mut below);
    let below = below.into_iter();
    fields.extend(below.map(|(field, value)| (format!("{name}.{field}"), value)));
}

/// Lists of EC2 that keep the last letter of their names.
const KEEP_THEIR_S: &[&str] = &["TransitGateway"];

fn with_query(path: &str, parameters: &Map<String, Value>) -> String {
    if parameters.is_empty() {
        return path.to_owned();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values {
            match value {
                Value::String(text) => query.append_pair(name, text),
                value => query.append_pair(name, &value.to_string()),
            };
        }
    }
    // A signature knows no plus sign for a space.
    format!("{path}?{}", query.finish().replace('+', "%20"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(service: &str, operation: &str, parameters: &Value) -> Request {
        let service = SweptService::named(service).unwrap();
        request(service, operation, parameters.as_object().unwrap()).unwrap()
    }

    #[test]
    fn ec2_numbers_its_lists() {
        let parameters = json!({ "Filters": [{ "Name": "state", "Values": ["a b", "c"] }], "MaxResults": 5,
                                 "TransitGatewayIds": ["tgw-1"], "Owner.1": "self" });
        assert_eq!(
            sent("ec2", "DescribeImages", &parameters).body,
            "Action=DescribeImages&Version=2016-11-15&Filter.1.Name=state&Filter.1.Value.1=a+b&Filter.1.Value.2=c\
             &MaxResults=5&Owner.1=self&TransitGatewayIds.1=tgw-1"
        );
    }

    #[test]
    fn the_query_protocol_has_members() {
        let parameters = json!({ "Filters.Filter": [{ "Name": "engine", "Values.Value": ["x"] }],
                                 "LoadBalancerArns": ["arn"], "Deep": { "List": [true] } });
        assert_eq!(
            sent("rds", "DescribeDBInstances", &parameters).body,
            "Action=DescribeDBInstances&Version=2014-10-31&Deep.List.member.1=true&Filters.Filter.1.Name=engine\
             &Filters.Filter.1.Values.Value.1=x&LoadBalancerArns.member.1=arn"
        );
    }

    #[test]
    fn json_names_the_operation_in_a_header() {
        let request = sent("ecs", "ListClusters", &json!({ "maxResults": 100 }));
        assert_eq!(request.body, r#"{"maxResults":100}"#);
        assert!(request.headers.contains(&(
            "x-amz-target",
            "AmazonEC2ContainerServiceV20141113.ListClusters".to_owned()
        )));
    }

    #[test]
    fn rest_calls_have_a_path() {
        let request = sent(
            "lambda",
            "ListFunctions",
            &json!({ "MaxItems": 50, "Marker": "a b+c" }),
        );
        assert_eq!(
            request.path,
            "/2015-03-31/functions?Marker=a%20b%2Bc&MaxItems=50"
        );
        assert!(request.method == "GET" && request.body.is_empty());
        let request = sent("securityhub", "GetEnabledStandards", &json!({}));
        assert!(request.method == "POST" && request.body == "{}");
    }
}
