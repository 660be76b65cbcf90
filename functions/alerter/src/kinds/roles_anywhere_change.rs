//! IAM Roles Anywhere: who has a certificate of a trust anchor gets credentials, from outside of AWS.

use orgkeeper_shared::alert::Severity;

use crate::{
    actor::ActorClass,
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call},
        classifier::{Classification, Classifier},
    },
    outcome::Outcome,
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
    text::name_of,
};

/// Other certificates are trusted.
const NEW_TRUST: Content = Content::grave("other certificates are trusted");
/// Certificates get other roles, or revoked ones are accepted again.
const MORE_ROLES: Content =
    Content::grave("certificates get other roles, or revoked ones are accepted");
/// Fewer certificates get credentials.
const LESS: Content = Content::new("fewer certificates are trusted");

/// What certificates get credentials for changed.
pub const KIND: &Kind = &Kind {
    name: "roles-anywhere.change",
    plural: "changes of IAM Roles Anywhere",
    severities: &[
        NOT_THERE,
        DENIED,
        row(Severity::Error).outcome(Outcome::Failed),
        BY_A_SERVICE,
        row(Severity::Info).content(LESS).fixed(),
        row(Severity::Error)
            .content(NEW_TRUST)
            .by(ActorClass::DeploymentTool),
        BY_A_DEPLOYMENT,
        row(Severity::Critical).content(NEW_TRUST),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "trust anchors, profiles or revocation lists of IAM Roles Anywhere created or changed, or an attempt",
    rules: &[EventRule::of_calls(
        "RolesAnywhereChanged",
        "Changes to trust anchors, profiles and revocation lists of IAM Roles Anywhere",
    )],
    calls: CALLS,
    samples: &["roles-anywhere-change", "roles-anywhere-change-profile"],
    classify,
};

const fn roles_anywhere(
    operation: &'static str,
    verb: [&'static str; 2],
    object: &'static str,
) -> CallWords {
    call_words::row("rolesanywhere", operation, verb, object, "")
}

const CHANGE: [&str; 2] = ["change", "changed"];
const CREATE: [&str; 2] = ["create", "created"];
const DELETE: [&str; 2] = ["delete", "deleted"];
const DISABLE: [&str; 2] = ["disable", "disabled"];
const ENABLE: [&str; 2] = ["enable", "enabled"];

const ANCHOR: &str = "trust anchor {trustAnchorId}";
const PROFILE: &str = "profile {profileId}|of Roles Anywhere";
const REVOKED: &str = "revocation list {crlId}|of Roles Anywhere";

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    roles_anywhere("CreateTrustAnchor", CREATE, "trust anchor {name}"),
    roles_anywhere("UpdateTrustAnchor", CHANGE, ANCHOR),
    roles_anywhere("EnableTrustAnchor", ENABLE, ANCHOR),
    roles_anywhere("DisableTrustAnchor", DISABLE, ANCHOR),
    roles_anywhere("DeleteTrustAnchor", DELETE, ANCHOR),
    roles_anywhere("CreateProfile", CREATE, "profile {name}|of Roles Anywhere"),
    roles_anywhere("UpdateProfile", CHANGE, PROFILE),
    roles_anywhere("EnableProfile", ENABLE, PROFILE),
    roles_anywhere("DisableProfile", DISABLE, PROFILE),
    roles_anywhere("DeleteProfile", DELETE, PROFILE),
    roles_anywhere("PutAttributeMapping", CHANGE, PROFILE),
    roles_anywhere("DeleteAttributeMapping", CHANGE, PROFILE),
    roles_anywhere("UpdateCrl", CHANGE, REVOKED),
    roles_anywhere("DisableCrl", DISABLE, REVOKED),
    roles_anywhere("DeleteCrl", DELETE, REVOKED),
];

/// What the calls do.
const CONTENTS: &[(&str, Content)] = &[
    ("CreateTrustAnchor", NEW_TRUST),
    ("UpdateTrustAnchor", NEW_TRUST),
    ("EnableTrustAnchor", NEW_TRUST),
    ("DisableTrustAnchor", LESS),
    ("DeleteTrustAnchor", LESS),
    ("DisableProfile", LESS),
    ("DeleteProfile", LESS),
];

const TRUSTED: &str = "Ask them now. Everybody who has a certificate of this authority gets credentials of the profiles' roles, \
    from anywhere. If it was not planned: disable the trust anchor, revoke the roles' sessions, and check in CloudTrail \
    for CreateSession.";
const ROLES: &str = "If you do not expect this from them, ask. If it was not planned: disable the profile, revoke the \
    roles' sessions, and check in CloudTrail for CreateSession.";
const FEWER: &str =
    "Nothing, if they clean up. Programs that use these certificates get no credentials any more.";
const NOT_DONE: &str =
    "Nothing was changed, but somebody tried. Ask them if you do not expect this from them.";

/// What to do, by the content.
const NEXT: &[(Content, &str)] = &[(NEW_TRUST, TRUSTED), (MORE_ROLES, ROLES), (LESS, FEWER)];

/// Classifies a change of IAM Roles Anywhere.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    let content = CONTENTS
        .iter()
        .find(|(operation, _)| *operation == words.operation);
    let content = content.map_or(MORE_ROLES, |(_, content)| *content);
    draft.is_about(content);
    let roles = event.elements("/detail/requestParameters/roleArns");
    let roles: Vec<&str> = roles
        .iter()
        .filter_map(|role| role.as_str())
        .map(name_of)
        .collect();
    draft.detail("Roles", (!roles.is_empty()).then(|| roles.join(", ")));
    let source = event.value("/detail/requestParameters/source/sourceType");
    draft.detail(
        "Certificates",
        source.map(|source| {
            let own = "an authority of AWS Private CA";
            let theirs = "an authority outside of AWS, by its certificate";
            match source.as_str() {
                "AWS_ACM_PCA" => own.to_owned(),
                "CERTIFICATE_BUNDLE" => theirs.to_owned(),
                _ => source,
            }
        }),
    );
    let next = NEXT.iter().find(|(of, _)| *of == content);
    let next = NextSteps {
        done: next.map_or(ROLES, |(_, next)| next),
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    Some(draft.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::tried::{DEPLOYMENT, PERSON, severity, severity_if_denied};

    #[test]
    fn other_certificates_are_critical_by_a_person() {
        let request =
            json!({ "name": "laptops", "roleArns": ["arn:aws:iam::111122223333:role/app"] });
        for (operation, by_person, by_deployment) in [
            ("CreateTrustAnchor", Severity::Critical, Severity::Error),
            ("UpdateTrustAnchor", Severity::Critical, Severity::Error),
            ("CreateProfile", Severity::Error, Severity::Info),
            ("DisableCrl", Severity::Error, Severity::Info),
            ("DeleteTrustAnchor", Severity::Info, Severity::Info),
        ] {
            let of = |actor| severity(KIND, "rolesanywhere", operation, &request, actor);
            assert_eq!(of(PERSON), Some(by_person), "{operation}");
            assert_eq!(of(DEPLOYMENT), Some(by_deployment), "{operation}");
        }
        let denied = severity_if_denied(KIND, "rolesanywhere", "CreateTrustAnchor", &request);
        assert_eq!(denied, Some(Severity::Error));
    }
}
