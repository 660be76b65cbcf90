//! Findings of IAM Access Analyzer: somebody outside of the zone of trust has access.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::{Cause, Draft},
    event::{Event, account_id_in, text_of},
    event_rule::EventRule,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
    policy_document::{EVERYBODY, LetsIn, OUTSIDE},
    severity::{self, Content, row},
    text::name_of,
};

/// Somebody outside has access, and it is no AWS account.
const OTHERS: Content = Content::grave("lets in somebody outside who is no account");
/// The finding is resolved or archived.
const OVER: Content = Content::new("resolved or archived");
/// Rights that nobody uses, or access within the organization.
const NO_OUTSIDER: Content = Content::new("unused access, or access within the organization");

/// A finding of IAM Access Analyzer.
pub const KIND: &Kind = &Kind {
    name: "access-analyzer.finding",
    plural: "findings of IAM Access Analyzer",
    severities: &[
        row(Severity::Info).content(OVER).fixed(),
        row(Severity::Critical).content(EVERYBODY).fixed(),
        row(Severity::Error).content(OUTSIDE),
        row(Severity::Error).content(OTHERS),
        row(Severity::Info).content(NO_OUTSIDER),
        row(Severity::Info),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "IAM Access Analyzer found access from outside, for everybody, that nobody uses, or within the organization",
    rules: &[EventRule::of(
        "AccessAnalyzerFinding",
        "Findings of IAM Access Analyzer",
        r#"{"source":["aws.access-analyzer"],"detail-type":["Access Analyzer Finding","Internal Access Finding",
            "Unused Access Finding for IAM entities"]}"#,
    )],
    calls: &[],
    samples: &[
        "access-analyzer-finding",
        "access-analyzer-finding-public",
        "access-analyzer-finding-resolved",
        "access-analyzer-finding-unused",
    ],
    classify,
};

const EXTERNAL_ACCESS: &str = "Access Analyzer Finding";
/// Detail types, and what they are about in the title.
const TYPES: &[(&str, &str)] = &[
    (EXTERNAL_ACCESS, "opened to somebody outside"),
    (
        "Internal Access Finding",
        "can be used within the organization",
    ),
    (
        "Unused Access Finding for IAM entities",
        "has access that nobody uses",
    ),
];

const CLOSE: &str = "If it is not meant to be public, close it now: change its policy or its sharing. Then find out in \
    CloudTrail who opened it and who used it.";
const ASK: &str = "Ask the account's owner whose account or identity provider this is. If nobody knows, close it, and find \
    out in CloudTrail who opened it and who used it. If it is meant so, archive the finding.";
const TIDY: &str = "Nothing at night. Remove what is not needed, or archive the finding.";
const IS_OVER: &str = "Nothing: the finding is resolved or archived.";
const NOT_READ: &str =
    "Access Analyzer could not read the resource. See whether a policy keeps it out.";

/// What to do, by the content.
const NEXT: &[(Content, &str)] = &[
    (EVERYBODY, CLOSE),
    (OUTSIDE, ASK),
    (OTHERS, ASK),
    (NO_OUTSIDER, TIDY),
    (OVER, IS_OVER),
];
/// What became of a resource in the title, by the content.
const OPENED: &[(Content, &str)] = &[
    (EVERYBODY, "opened to everybody"),
    (OUTSIDE, "opened to another account"),
];

/// Classifies a finding.
fn classify(event: &Event) -> Option<Classification> {
    let kind = event.value("/detail-type")?;
    let (kind, about) = TYPES.iter().find(|(known, _)| *known == kind)?;
    let detail = |name: &str| event.value(&format!("/detail/{name}"));
    let mut draft = Draft::of(event, KIND, "");
    draft.before_account = ": ";
    draft.account = event.account(&["/detail/accountId", "/detail/resourceOwnerAccount"]);
    draft.region = event.region(&["/detail/region"]);
    draft.time = event.time(&["/detail/updatedAt", "/detail/analyzedAt"]);
    let resource = resource(event);
    let error = detail("error");
    if *kind == EXTERNAL_ACCESS && error.is_none() {
        read_principal(&mut draft, event);
    } else {
        draft.is_about(NO_OUTSIDER);
    }
    let opened = OPENED
        .iter()
        .find(|(content, _)| draft.content == Some(*content));
    let words = opened.map_or(*about, |(_, opened)| opened);
    let words = if error.is_some() {
        "could not be analyzed"
    } else {
        words
    };
    let status = detail("status").unwrap_or_default();
    let is_over = ["RESOLVED", "ARCHIVED"].contains(&status.as_str())
        || event.is("/detail/isDeleted", "true");
    draft.headline = if is_over {
        draft.is_about(OVER);
        draft.weight = severity::NOTHING;
        format!("Over: {resource} {words}")
    } else {
        format!("{resource} {words}")
    };
    let found = if is_over {
        "The finding is resolved or archived"
    } else {
        "IAM Access Analyzer found"
    };
    draft.what_happened(format!("{found}: {resource} {words}."));
    draft.detail(
        "Status",
        detail("status").map(|status| status.to_lowercase()),
    );
    draft.detail("Finding", detail("findingType"));
    draft.detail("Resource", detail("resource"));
    let actions = event.elements("/detail/action").iter();
    let actions: Vec<String> = actions.filter_map(|action| text_of(Some(action))).collect();
    draft.detail("Allows", (!actions.is_empty()).then(|| actions.join(", ")));
    let next = NEXT
        .iter()
        .find(|(content, _)| draft.content == Some(*content));
    draft.what_to_do(if error.is_some() {
        NOT_READ
    } else {
        next.map_or(TIDY, |(_, next)| next)
    });
    add_key(&mut draft, event, &status);
    Some(draft.into())
}

/// The resource: `Bucket invoices`.
fn resource(event: &Event) -> String {
    let kind = event.value("/detail/resourceType");
    let kind = kind
        .as_deref()
        .and_then(|kind| kind.rsplit("::").next())
        .unwrap_or("Resource");
    match event.value("/detail/resource") {
        Some(resource) => format!("{kind} {}", name_of(&resource)),
        None => format!("{kind} without a name"),
    }
}

/// Adds whom the finding is about.
fn read_principal(draft: &mut Draft, event: &Event) {
    let principal = event.value("/detail/principal/AWS");
    let account = principal.as_deref().and_then(account_id_in);
    let everybody = event.is("/detail/isPublic", "true") || principal.as_deref() == Some("*");
    if everybody || account.is_some() {
        draft.lets_in(LetsIn {
            everybody,
            accounts: account.into_iter().filter(|_| !everybody).collect(),
            ..LetsIn::default()
        });
        return;
    }
    draft.is_about(OTHERS);
    let others = ["Federated", "CanonicalUser", "Service", "AWS"];
    let others = others
        .iter()
        .find_map(|kind| event.value(&format!("/detail/principal/{kind}")));
    draft.detail("Lets in", others);
}

/// A finding is sent again after each analysis; another status or another content is news. Roles are the same in each
/// Region.
fn add_key(draft: &mut Draft, event: &Event, status: &str) {
    let id = event.first(&["/detail/id", "/detail/findingId"]);
    let updated = event.value("/detail/updatedAt");
    if let (Some(id), Some(updated)) = (id, updated) {
        draft.key = format!("{id}#{status}#{updated}");
    }
    let resource = event.value("/detail/resource");
    if let Some(resource) = resource.filter(|resource| resource.contains(":iam::")) {
        let principal = event.value("/detail/principal/AWS").unwrap_or_default();
        draft.cause = Some(Cause {
            key: format!("{resource}#{principal}#{status}"),
            place: draft.region.clone(),
        });
    }
    status.clone_into(&mut draft.burst_key);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::tried::{draft, severity_of};

    fn finding(detail: &Value) -> Value {
        let mut event = json!({ "detail-type": EXTERNAL_ACCESS, "source": "aws.access-analyzer",
            "id": "e-1", "account": "111122223333", "region": "eu-west-1",
            "detail": { "id": "f-1", "status": "ACTIVE", "accountId": "111122223333", "isPublic": false,
                "resourceType": "AWS::S3::Bucket", "resource": "arn:aws:s3:::invoices",
                "updatedAt": "2026-03-01T12:00:00Z" } });
        let more = detail.as_object().unwrap().clone();
        event["detail"].as_object_mut().unwrap().extend(more);
        event
    }

    #[test]
    fn access_from_outside_is_an_error_and_public_is_critical() {
        let outsider = json!({ "AWS": "444455556666" });
        for (detail, wanted) in [
            (
                json!({ "isPublic": true, "principal": { "AWS": "*" } }),
                Severity::Critical,
            ),
            (json!({ "principal": { "AWS": "*" } }), Severity::Critical),
            (json!({ "principal": outsider }), Severity::Error),
            (
                json!({ "principal": { "Federated": "accounts.google.com" } }),
                Severity::Error,
            ),
            (json!({}), Severity::Error),
            (
                json!({ "principal": outsider, "status": "RESOLVED" }),
                Severity::Info,
            ),
            (
                json!({ "isPublic": true, "status": "ARCHIVED" }),
                Severity::Info,
            ),
            (
                json!({ "isPublic": true, "isDeleted": true }),
                Severity::Info,
            ),
            (json!({ "error": "ACCESS_DENIED" }), Severity::Info),
        ] {
            assert_eq!(
                severity_of(KIND, &finding(&detail)),
                Some(wanted),
                "{detail}"
            );
        }
        let mut unused = finding(&json!({ "findingType": "UnusedPermission" }));
        unused["detail-type"] = "Unused Access Finding for IAM entities".into();
        assert_eq!(severity_of(KIND, &unused), Some(Severity::Info));
    }

    #[test]
    fn an_account_of_the_organization_is_information() {
        let event = finding(&json!({ "principal": { "AWS": "444455556666" } }));
        let mut draft = draft(KIND, &event).unwrap();
        assert_eq!(draft.headline, "Bucket invoices opened to another account");
        let names = [("444455556666".parse().unwrap(), "partner".to_owned())];
        draft.know_trusted(&names.into(), false);
        let rules = crate::rules::Rules::default();
        let verdict = rules.judge(&draft, None, draft.time);
        assert_eq!(verdict.severity, Severity::Info);
    }

    #[test]
    fn a_finding_is_news_when_it_changes_and_a_role_is_one_in_all_regions() {
        let key = |detail: Value| draft(KIND, &finding(&detail)).unwrap().key;
        assert_eq!(
            key(json!({})),
            key(json!({ "analyzedAt": "2026-03-02T12:00:00Z" }))
        );
        assert_ne!(
            key(json!({})),
            key(json!({ "updatedAt": "2026-03-02T12:00:00Z" }))
        );
        assert_ne!(key(json!({})), key(json!({ "status": "RESOLVED" })));
        let role = finding(&json!({ "resource": "arn:aws:iam::111122223333:role/app" }));
        let mut elsewhere = role.clone();
        elsewhere["region"] = "us-east-1".into();
        let cause = |event| draft(KIND, event).unwrap().cause.unwrap();
        assert_eq!(cause(&role).key, cause(&elsewhere).key);
        assert_ne!(cause(&role).place, cause(&elsewhere).place);
    }
}
