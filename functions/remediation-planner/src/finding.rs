//! What is read out of a message of the remediation queue: of each finding, what decides about its remediation.
//!
//! Everything else is skipped without being taken apart, and a field of an odd type counts as absent. A finding that
//! lacks what identifies it is reported alone: it does not keep the others of its message from being decided.

use std::collections::BTreeMap;

use jiff::Timestamp;
use orgkeeper_shared::{
    ids::{AccountId, FindingId},
    remediation::order::Parameters,
    security_hub::{
        OUR_NOTES, REMEDIATION_FIELD,
        event::{self, UnusableEvent},
        finding::{MalformedFinding, identity},
        lenient::Lenient,
        owner::owner,
    },
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The event that a person sends with the custom action; any other is sent by Security Hub itself.
const CUSTOM_ACTION: &str = "Security Hub Findings - Custom Action";
/// `ResourceRole` of a resource that did something: it is not what the finding is about.
///
/// Source: `Resource` in the API's reference of Security Hub.
const ACTOR: &str = "Actor";
/// The product field by which a product of one's own can say who made the resource as it is.
const ACTOR_FIELD: &str = "orgkeeper:Actor";

/// A finding: what decides about its remediation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What identifies it.
    pub id: FindingId,
    /// The account that owns the resource that it is about.
    pub account: AccountId,
    /// Its Region, else that of the product that published it; empty if neither is known.
    pub region: String,
    /// `RecordState`: `ACTIVE` or `ARCHIVED`.
    pub record_state: Option<String>,
    /// `Workflow.Status`: `NEW`, `NOTIFIED`, `RESOLVED` or `SUPPRESSED`.
    pub workflow_status: Option<String>,
    /// `Compliance.Status`: `PASSED`, `WARNING`, `FAILED` or `NOT_AVAILABLE`.
    pub compliance_status: Option<String>,
    /// `Compliance.SecurityControlId`.
    pub control_id: Option<String>,
    /// `Compliance.SecurityControlParameters`.
    pub parameters: Parameters,
    /// `GeneratorId`.
    pub generator_id: String,
    /// `ProductFields`, those with a text.
    pub product_fields: BTreeMap<String, String>,
    /// The resources that have an id, without those that only did something.
    pub resources: Vec<Resource>,
    /// Who made the resource as it is, if the finding says it.
    pub actor: Option<String>,
    /// Whether nothing is on it that a suppression would have to keep: neither a person's note, nor our own field, which
    /// is replaced with all others.
    pub bare: bool,
    /// Whether a person sent it by the custom action: an order.
    pub ordered: bool,
    /// When its event was sent, as in the envelope; empty if that does not say it.
    pub sent_at: String,
    /// `UpdatedAt`: when its product last found it so. What Security Hub and people note on it does not change it.
    pub updated_at: Option<Timestamp>,
}

/// A resource of a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Its id, mostly an ARN.
    pub id: String,
    /// Its type, such as `AwsS3Bucket`; empty if it is not known.
    pub kind: String,
    /// Its Region.
    pub region: Option<String>,
    /// Its tags. Absent means unknown: Security Hub leaves them out if it does not have them.
    pub tags: Option<BTreeMap<String, String>>,
}

/// A finding of a message that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("finding {place} of the event cannot be understood")]
pub struct Malformed {
    /// Its place in `detail.findings`, from 0.
    pub place: usize,
    /// Why.
    #[source]
    pub reason: MalformedFinding,
}

impl Finding {
    /// The product that published it, such as `aws/securityhub`; empty text if it names none.
    #[must_use]
    pub fn product(&self) -> &str {
        let product = self.id.product_arn.split_once(":product/");
        product.map_or("", |(_, product)| product)
    }
}

/// The findings in the body of a message, each on its own.
///
/// # Errors
/// If the body is no event with findings.
pub fn findings_in(body: &str) -> Result<Vec<Result<Finding, Malformed>>, UnusableEvent> {
    let event = event::read(body)?;
    let ordered = event.detail_type == CUSTOM_ACTION;
    let findings = event.findings.iter().enumerate();
    Ok(findings
        .map(|(place, json)| {
            let finding = read(json.get()).map_err(|reason| Malformed { place, reason })?;
            Ok(Finding {
                ordered,
                sent_at: event.sent_at.clone(),
                ..finding
            })
        })
        .collect())
}

fn read(json: &str) -> Result<Finding, MalformedFinding> {
    if !json.trim_start().starts_with('{') {
        return Err(MalformedFinding::NoObject { column: 1 });
    }
    let asff: Asff = serde_json::from_str(json).map_err(|error| MalformedFinding::NoObject {
        column: error.column(),
    })?;
    let (id, publisher) = identity(asff.id, asff.product_arn, asff.aws_account_id)?;
    let compliance = asff.compliance.0.unwrap_or_default();
    let of_product = || id.product_arn.split(':').nth(3).unwrap_or_default();
    let product_fields = product_fields(asff.product_fields);
    let (actors, resources) = resources(asff.resources);
    let of_field = product_fields.get(ACTOR_FIELD).cloned();
    Ok(Finding {
        account: owner(&id.product_arn, asff.product_fields, asff.resources).unwrap_or(publisher),
        region: text(asff.region).unwrap_or_else(|| of_product().to_owned()),
        id,
        record_state: text(asff.record_state),
        workflow_status: asff.workflow.0.and_then(|workflow| text(workflow.status)),
        compliance_status: text(compliance.status),
        control_id: text(compliance.security_control_id),
        parameters: parameters(compliance.security_control_parameters),
        generator_id: asff.generator_id.0.unwrap_or_default(),
        actor: of_field.or_else(|| actors.into_iter().next()),
        bare: is_bare(asff.note, asff.user_defined_fields),
        product_fields,
        resources,
        ordered: false,
        sent_at: String::new(),
        updated_at: text(asff.updated_at).and_then(|time| time.trim().parse().ok()),
    })
}

fn text(value: Lenient<String>) -> Option<String> {
    value.0.filter(|text| !text.trim().is_empty())
}

fn parameters(parameters: Lenient<Vec<Lenient<Parameter>>>) -> Parameters {
    let parameters = parameters.0.unwrap_or_default();
    let parameters = parameters.into_iter().filter_map(|parameter| parameter.0);
    parameters
        .filter_map(|parameter| {
            let values = parameter.value.0.unwrap_or_default();
            let values = values.into_iter().filter_map(|value| value.0).collect();
            Some((text(parameter.name)?, values))
        })
        .collect()
}

fn product_fields(json: Option<&RawValue>) -> BTreeMap<String, String> {
    let fields = json
        .and_then(|json| serde_json::from_str::<BTreeMap<String, Lenient<String>>>(json.get()).ok())
        .unwrap_or_default();
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.0?)))
        .collect()
}

/// The ids of the resources that only did something, and the other resources.
fn resources(json: Option<&RawValue>) -> (Vec<String>, Vec<Resource>) {
    let given = json
        .and_then(|json| serde_json::from_str::<Vec<Lenient<RawResource>>>(json.get()).ok())
        .unwrap_or_default();
    let (mut actors, mut resources) = (Vec::new(), Vec::new());
    for resource in given.into_iter().filter_map(|resource| resource.0) {
        let Some(id) = text(resource.id) else {
            continue;
        };
        if resource.resource_role.0.as_deref() == Some(ACTOR) {
            actors.push(id);
            continue;
        }
        resources.push(Resource {
            id,
            kind: resource.kind.0.unwrap_or_default(),
            region: text(resource.region),
            tags: resource.tags.0,
        });
    }
    (actors, resources)
}

/// See [`Finding::bare`]. What cannot be read may be anything.
fn is_bare(note: Option<&RawValue>, fields: Option<&RawValue>) -> bool {
    fn there<'a>(json: Option<&'a RawValue>) -> Option<&'a str> {
        json.map(RawValue::get).filter(|json| *json != "null")
    }
    let ours = |json: &str| {
        let note: Option<Note> = serde_json::from_str(json).ok();
        let author = note.and_then(|note| note.updated_by.0);
        author.is_some_and(|author| author.starts_with(OUR_NOTES))
    };
    let without_ours = |json: &str| {
        let fields: Option<BTreeMap<String, &RawValue>> = serde_json::from_str(json).ok();
        fields.is_some_and(|fields| !fields.contains_key(REMEDIATION_FIELD))
    };
    there(note).is_none_or(ours) && there(fields).is_none_or(without_ours)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asff<'a> {
    #[serde(default)]
    id: Lenient<String>,
    #[serde(default)]
    product_arn: Lenient<String>,
    #[serde(default)]
    aws_account_id: Lenient<String>,
    #[serde(default)]
    region: Lenient<String>,
    #[serde(default)]
    record_state: Lenient<String>,
    #[serde(default)]
    updated_at: Lenient<String>,
    #[serde(default)]
    workflow: Lenient<Workflow>,
    #[serde(default)]
    compliance: Lenient<Compliance>,
    #[serde(default)]
    generator_id: Lenient<String>,
    #[serde(borrow)]
    product_fields: Option<&'a RawValue>,
    #[serde(borrow)]
    resources: Option<&'a RawValue>,
    #[serde(borrow)]
    note: Option<&'a RawValue>,
    #[serde(borrow)]
    user_defined_fields: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Note {
    updated_by: Lenient<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Workflow {
    status: Lenient<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Compliance {
    status: Lenient<String>,
    security_control_id: Lenient<String>,
    security_control_parameters: Lenient<Vec<Lenient<Parameter>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Parameter {
    name: Lenient<String>,
    value: Lenient<Vec<Lenient<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawResource {
    id: Lenient<String>,
    #[serde(rename = "Type")]
    kind: Lenient<String>,
    region: Lenient<String>,
    resource_role: Lenient<String>,
    tags: Lenient<BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn finding() -> Value {
        json!({
            "Id": "a",
            "ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/securityhub",
            "AwsAccountId": "111122223333",
            "Region": "eu-west-2",
            "RecordState": "ACTIVE",
            "Workflow": { "Status": "NEW" },
            "Compliance": {
                "Status": "FAILED",
                "SecurityControlId": "EC2.18",
                "SecurityControlParameters": [
                    { "Name": "authorizedTcpPorts", "Value": ["80", "443"] },
                    { "Name": "authorizedUdpPorts", "Value": [] },
                ],
            },
            "GeneratorId": "security-control/EC2.18",
            "ProductFields": { "RuleId": "2.1", "count": 7 },
            "Resources": [
                { "Id": "arn:aws:ec2:eu-west-2:111122223333:security-group/sg-1", "Type": "AwsEc2SecurityGroup",
                  "Region": "eu-west-2", "Tags": { "team": "red" }, "Details": { "AwsEc2SecurityGroup": {} } },
                { "Id": "AWS::::Account:111122223333" },
            ],
        })
    }

    fn event(detail_type: &Value, findings: &[Value]) -> String {
        json!({
            "detail-type": detail_type,
            "time": "2026-03-01T10:15:30Z",
            "detail": { "findings": findings },
        })
        .to_string()
    }

    fn only(finding: &Value) -> Finding {
        let body = event(
            &json!("Security Hub Findings - Imported"),
            std::slice::from_ref(finding),
        );
        findings_in(&body).unwrap().pop().unwrap().unwrap()
    }

    #[test]
    fn what_decides_is_read() {
        let found = only(&finding());
        assert_eq!(found.id.id, "a");
        assert_eq!(found.account.as_str(), "111122223333");
        assert_eq!(found.region, "eu-west-2");
        assert_eq!(found.record_state.as_deref(), Some("ACTIVE"));
        assert_eq!(found.workflow_status.as_deref(), Some("NEW"));
        assert_eq!(found.compliance_status.as_deref(), Some("FAILED"));
        assert_eq!(found.control_id.as_deref(), Some("EC2.18"));
        assert_eq!(found.parameters["authorizedTcpPorts"], ["80", "443"]);
        assert_eq!(found.parameters["authorizedUdpPorts"], [""; 0]);
        assert_eq!(found.generator_id, "security-control/EC2.18");
        assert_eq!(found.product_fields.len(), 1);
        assert_eq!(found.product(), "aws/securityhub");
        assert_eq!(found.sent_at, "2026-03-01T10:15:30Z");
        let [group, account] = &found.resources[..] else {
            panic!("{:?}", found.resources);
        };
        assert_eq!(group.kind, "AwsEc2SecurityGroup");
        assert_eq!(group.region.as_deref(), Some("eu-west-2"));
        assert_eq!(group.tags.as_ref().unwrap()["team"], "red");
        assert_eq!(account.tags, None);
    }

    #[test]
    fn only_a_custom_action_is_an_order() {
        for (detail_type, ordered) in [
            (json!("Security Hub Findings - Custom Action"), true),
            (json!("Security Hub Findings - Imported"), false),
            (json!(null), false),
            (json!(["Security Hub Findings - Custom Action"]), false),
        ] {
            let findings = findings_in(&event(&detail_type, &[finding()])).unwrap();
            assert_eq!(
                findings[0].as_ref().unwrap().ordered,
                ordered,
                "{detail_type}"
            );
        }
    }

    #[test]
    fn a_malformed_finding_is_reported_alone() {
        let mut lacking = finding();
        lacking["AwsAccountId"] = json!("1");
        let body = event(
            &json!("Security Hub Findings - Imported"),
            &[json!("secret"), finding(), lacking, finding()],
        );
        let findings = findings_in(&body).unwrap();
        let malformed: Vec<&Malformed> =
            findings.iter().filter_map(|it| it.as_ref().err()).collect();
        assert_eq!(malformed.len(), 2);
        assert_eq!((malformed[0].place, malformed[1].place), (0, 2));
        assert!(!format!("{malformed:?}").contains("secret"));
    }

    #[test]
    fn a_field_of_an_odd_type_counts_as_absent() {
        for odd in [
            json!(null),
            json!(7),
            json!("text"),
            json!([]),
            json!([[], 1, null, {}]),
            json!({}),
            json!({ "Status": [], "SecurityControlId": 1, "SecurityControlParameters": [{ "Name": [] }, 3] }),
        ] {
            for field in [
                "Region",
                "RecordState",
                "Workflow",
                "Compliance",
                "GeneratorId",
                "ProductFields",
                "Resources",
                "SomethingNew",
            ] {
                let mut finding = finding();
                finding[field] = odd.clone();
                let found = only(&finding);
                assert_eq!(found.account.as_str(), "111122223333", "{field}: {odd}");
            }
        }
    }

    #[test]
    fn the_region_of_the_product_counts_if_there_is_no_other() {
        let mut finding = finding();
        finding["Region"] = json!(null);
        assert_eq!(only(&finding).region, "eu-west-1");
    }

    #[test]
    fn tags_that_cannot_be_read_are_unknown() {
        for (tags, known) in [
            (json!({}), true),
            (json!({ "a": "" }), true),
            (json!({ "a": 1 }), false),
            (json!(null), false),
            (json!([]), false),
        ] {
            let mut finding = finding();
            finding["Resources"][0]["Tags"] = tags.clone();
            assert_eq!(only(&finding).resources[0].tags.is_some(), known, "{tags}");
        }
    }

    #[test]
    fn a_resource_that_did_something_is_no_resource_of_the_finding() {
        let mut finding = finding();
        assert_eq!(only(&finding).actor, None);
        finding["Resources"][1]["ResourceRole"] = json!("Target");
        assert_eq!(only(&finding).actor, None);
        let user = "arn:aws:iam::111122223333:user/ana";
        let actor = json!({ "Id": user, "Type": "AwsIamUser", "ResourceRole": "Actor" });
        finding["Resources"]
            .as_array_mut()
            .unwrap()
            .insert(0, actor);
        let found = only(&finding);
        assert_eq!(found.actor.as_deref(), Some(user));
        assert_eq!(found.resources.len(), 2);
        finding["ProductFields"][ACTOR_FIELD] = json!("ben");
        assert_eq!(only(&finding).actor.as_deref(), Some("ben"));
    }

    #[test]
    fn a_finding_is_bare_if_nothing_has_to_be_kept() {
        let note = |by: &str| json!({ "Text": "t", "UpdatedBy": by });
        let ours = json!({ REMEDIATION_FIELD: "would fix: it" });
        for (name, value, bare) in [
            ("Note", json!(null), true),
            ("Note", note("orgkeeper/finding-enricher"), true),
            ("Note", note("ana"), false),
            ("Note", json!({ "Text": "t" }), false),
            ("Note", json!(["odd"]), false),
            ("UserDefinedFields", json!(null), true),
            ("UserDefinedFields", json!({ "ticket": "SEC-1" }), true),
            ("UserDefinedFields", ours, false),
            ("UserDefinedFields", json!("odd"), false),
        ] {
            let mut finding = finding();
            finding[name] = value.clone();
            assert_eq!(only(&finding).bare, bare, "{name}: {value}");
        }
    }

    #[test]
    fn depth_takes_no_stack() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let object = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        for nested in [&deep, &object] {
            for place in [
                "Details",
                "Resources",
                "Compliance",
                "Workflow",
                "ProductFields",
                "Note",
                "UserDefinedFields",
            ] {
                let mut finding = finding();
                finding[place] = json!("here");
                let body = event(&json!(null), &[finding]).replace("\"here\"", nested);
                assert!(findings_in(&body).unwrap()[0].is_ok());
            }
            let mut finding = finding();
            finding["Resources"][0]["Details"] = json!("here");
            finding["Compliance"]["More"] = json!("here");
            let body = event(&json!(null), &[finding]).replace("\"here\"", nested);
            let findings = findings_in(&body).unwrap();
            assert_eq!(findings[0].as_ref().unwrap().resources.len(), 2);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(body in "(?s).{0,200}") {
            let _ = findings_in(&body);
            let _ = read(&body);
        }
    }
}
