//! IAM Identity Center: assignments, permission sets, people and groups, MFA devices, where people sign in.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call, row as call},
        classifier::{Classification, Classifier},
        concerned_account,
        iam_change::{ADMINISTRATOR_POLICIES, EVERY_RIGHT, WEAKER},
        own_stack::has_own_role,
    },
    outcome::Outcome,
    policy_document::PolicyDocument,
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
    text::name_of,
};

/// Somebody else can decide who signs in, or nobody can sign in any more.
const SIGN_IN: Content = Content::grave("changes how people sign in");
/// An assignment for a new account.
const BY_ORGKEEPER: Content = Content::new("an assignment by orgkeeper");
/// A person registers one for each device, and so does who has taken over their account.
const MFA_DEVICE: Content = Content::new("an MFA device was registered");
/// Neither gives a right: a membership or an assignment does.
const PEOPLE: Content = Content::new("people and groups, without rights");
/// Somebody may do less than before.
const TAKEN_AWAY: Content = Content::new("takes rights away");

/// Who may sign in to which account with which rights changed.
pub const KIND: &Kind = &Kind {
    name: "identity-center.change",
    plural: "changes of Identity Center",
    severities: &[
        NOT_THERE,
        DENIED,
        row(Severity::Info).content(PEOPLE),
        row(Severity::Error).outcome(Outcome::Failed),
        BY_A_SERVICE,
        BY_A_DEPLOYMENT,
        row(Severity::Critical).content(EVERY_RIGHT).fixed(),
        row(Severity::Critical).content(SIGN_IN).fixed(),
        row(Severity::Error).content(WEAKER).fixed(),
        row(Severity::Info).content(BY_ORGKEEPER).fixed(),
        row(Severity::Info).content(MFA_DEVICE),
        row(Severity::Info).content(TAKEN_AWAY),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "assignments, permission sets, people, groups, MFA devices or the identity provider of IAM Identity Center changed, or an attempt",
    rules: &[EventRule::of_calls(
        "IdentityCenterChanged",
        "Changes to permission sets, assignments, people, groups and sign-in of IAM Identity Center",
    )],
    calls: CALLS,
    samples: &[
        "identity-center-change",
        "identity-center-change-assignment",
        "identity-center-change-group",
        "identity-center-change-mfa",
        "identity-center-change-own-assignment",
    ],
    classify,
};

const ADD: [&str; 2] = ["add", "added"];
const ATTACH: [&str; 2] = ["attach", "attached"];
const CHANGE: [&str; 2] = ["change", "changed"];
const CREATE: [&str; 2] = ["create", "created"];
const DELETE: [&str; 2] = ["delete", "deleted"];
const DETACH: [&str; 2] = ["detach", "detached"];
const DISABLE: [&str; 2] = ["disable", "disabled"];
const ENABLE: [&str; 2] = ["enable", "enabled"];
const REGISTER: [&str; 2] = ["register", "registered"];
const REMOVE: [&str; 2] = ["remove", "removed"];
const SET: [&str; 2] = ["set", "set"];

const ACCESS_ATTRIBUTES: &str = "the attributes for access control of Identity Center";
const ASSIGNMENT: &str = "an assignment|of permission set {permissionSetArn}";
const GROUP: &str = "Identity Center group {groupId}";
const ISSUER: &str = "trusted token issuer {trustedTokenIssuerArn}";
const FROM_SET: &str = "from permission set {permissionSetArn}";
const TO_SET: &str = "to permission set {permissionSetArn}";
const PERMISSION_SET: &str = "permission set {permissionSetArn}";
const PROVIDER: &str = "the external identity provider of Identity Center";
const USER: &str = "Identity Center user {userId}";

/// The calls that are reported. What the console does with people and groups has a source of its own, with other names
/// ("IAM Identity Center information in CloudTrail" in its User Guide).
pub const CALLS: &[CallWords] = &[
    call("sso", "CreateAccountAssignment", CREATE, ASSIGNMENT, ""),
    call("sso", "DeleteAccountAssignment", DELETE, ASSIGNMENT, ""),
    call(
        "sso",
        "CreatePermissionSet",
        CREATE,
        "permission set {name}",
        "",
    ),
    call("sso", "UpdatePermissionSet", CHANGE, PERMISSION_SET, ""),
    call("sso", "DeletePermissionSet", DELETE, PERMISSION_SET, ""),
    call(
        "sso",
        "AttachManagedPolicyToPermissionSet",
        ATTACH,
        "policy {managedPolicyArn}",
        TO_SET,
    ),
    call(
        "sso",
        "DetachManagedPolicyFromPermissionSet",
        DETACH,
        "policy {managedPolicyArn}",
        FROM_SET,
    ),
    call(
        "sso",
        "AttachCustomerManagedPolicyReferenceToPermissionSet",
        ATTACH,
        "policy {customerManagedPolicyReference.name}",
        TO_SET,
    ),
    call(
        "sso",
        "DetachCustomerManagedPolicyReferenceFromPermissionSet",
        DETACH,
        "policy {customerManagedPolicyReference.name}",
        FROM_SET,
    ),
    call(
        "sso",
        "PutInlinePolicyToPermissionSet",
        SET,
        "the inline policy|of permission set {permissionSetArn}",
        "",
    ),
    call(
        "sso",
        "DeleteInlinePolicyFromPermissionSet",
        DELETE,
        "the inline policy|of permission set {permissionSetArn}",
        "",
    ),
    call(
        "sso",
        "PutPermissionsBoundaryToPermissionSet",
        SET,
        "the permissions boundary|of permission set {permissionSetArn}",
        "",
    ),
    call(
        "sso",
        "DeletePermissionsBoundaryFromPermissionSet",
        DELETE,
        "the permissions boundary|of permission set {permissionSetArn}",
        "",
    ),
    call(
        "sso",
        "CreateInstance",
        CREATE,
        "an instance of Identity Center",
        "",
    ),
    call(
        "sso",
        "DeleteInstance",
        DELETE,
        "an instance of Identity Center",
        "",
    ),
    call(
        "sso",
        "CreateTrustedTokenIssuer",
        CREATE,
        "trusted token issuer {name}",
        "",
    ),
    call("sso", "UpdateTrustedTokenIssuer", CHANGE, ISSUER, ""),
    call("sso", "DeleteTrustedTokenIssuer", DELETE, ISSUER, ""),
    call(
        "sso",
        "CreateInstanceAccessControlAttributeConfiguration",
        CREATE,
        ACCESS_ATTRIBUTES,
        "",
    ),
    call(
        "sso",
        "UpdateInstanceAccessControlAttributeConfiguration",
        CHANGE,
        ACCESS_ATTRIBUTES,
        "",
    ),
    call(
        "sso",
        "DeleteInstanceAccessControlAttributeConfiguration",
        DELETE,
        ACCESS_ATTRIBUTES,
        "",
    ),
    call(
        "sso",
        "AssociateDirectory",
        CHANGE,
        "the identity source of Identity Center",
        "",
    ),
    call(
        "sso",
        "DisassociateDirectory",
        REMOVE,
        "the identity source of Identity Center",
        "",
    ),
    call(
        "sso",
        "PutMfaDeviceManagementForDirectory",
        CHANGE,
        "the MFA settings of Identity Center",
        "",
    ),
    call(
        "identitystore",
        "CreateUser",
        CREATE,
        "an Identity Center user",
        "",
    ),
    call("identitystore", "UpdateUser", CHANGE, USER, ""),
    call("identitystore", "DeleteUser", DELETE, USER, ""),
    call(
        "identitystore",
        "CreateGroup",
        CREATE,
        "an Identity Center group",
        "",
    ),
    call("identitystore", "UpdateGroup", CHANGE, GROUP, ""),
    call("identitystore", "DeleteGroup", DELETE, GROUP, ""),
    call(
        "identitystore",
        "CreateGroupMembership",
        ADD,
        "a user",
        "to Identity Center group {groupId}",
    ),
    call(
        "identitystore",
        "DeleteGroupMembership",
        REMOVE,
        "a user",
        "from an Identity Center group",
    ),
    call(
        "sso-directory",
        "CreateUser",
        CREATE,
        "an Identity Center user",
        "",
    ),
    call("sso-directory", "UpdateUser", CHANGE, USER, ""),
    call("sso-directory", "EnableUser", ENABLE, USER, ""),
    call("sso-directory", "DisableUser", DISABLE, USER, ""),
    call("sso-directory", "DeleteUser", DELETE, USER, ""),
    call(
        "sso-directory",
        "UpdatePassword",
        CHANGE,
        "the password|of Identity Center user {userId}",
        "",
    ),
    call(
        "sso-directory",
        "CreateGroup",
        CREATE,
        "Identity Center group {displayName}",
        "",
    ),
    call("sso-directory", "UpdateGroup", CHANGE, GROUP, ""),
    call("sso-directory", "DeleteGroup", DELETE, GROUP, ""),
    call(
        "sso-directory",
        "AddMemberToGroup",
        ADD,
        "a user",
        "to Identity Center group {groupId}",
    ),
    call(
        "sso-directory",
        "RemoveMemberFromGroup",
        REMOVE,
        "a user",
        "from Identity Center group {groupId}",
    ),
    call(
        "sso-directory",
        "CompleteVirtualMfaDeviceRegistration",
        REGISTER,
        "an MFA device of an Identity Center user",
        "",
    ),
    call(
        "sso-directory",
        "CompleteWebAuthnDeviceRegistration",
        REGISTER,
        "an MFA device of an Identity Center user",
        "",
    ),
    call(
        "sso-directory",
        "DeleteMfaDeviceForUser",
        DELETE,
        "an MFA device of an Identity Center user",
        "",
    ),
    call(
        "sso-directory",
        "CreateExternalIdPConfigurationForDirectory",
        CREATE,
        PROVIDER,
        "",
    ),
    call(
        "sso-directory",
        "UpdateExternalIdPConfigurationForDirectory",
        CHANGE,
        PROVIDER,
        "",
    ),
    call(
        "sso-directory",
        "EnableExternalIdPConfigurationForDirectory",
        ENABLE,
        PROVIDER,
        "",
    ),
    call(
        "sso-directory",
        "DisableExternalIdPConfigurationForDirectory",
        DISABLE,
        PROVIDER,
        "",
    ),
    call(
        "sso-directory",
        "DeleteExternalIdPConfigurationForDirectory",
        DELETE,
        PROVIDER,
        "",
    ),
    call(
        "sso-directory",
        "ImportExternalIdPCertificate",
        ADD,
        "a certificate of the external identity provider",
        "",
    ),
    call(
        "sso-directory",
        "CreateBearerToken",
        CREATE,
        "an access token for provisioning Identity Center",
        "",
    ),
];

/// What calls do, whatever their request says.
const CONTENTS: &[(Content, &[&str])] = &[
    (
        SIGN_IN,
        &[
            "AssociateDirectory",
            "CreateExternalIdPConfigurationForDirectory",
            "CreateTrustedTokenIssuer",
            "DeleteExternalIdPConfigurationForDirectory",
            "DeleteInstance",
            "DisableExternalIdPConfigurationForDirectory",
            "DisassociateDirectory",
            "EnableExternalIdPConfigurationForDirectory",
            "ImportExternalIdPCertificate",
            "PutMfaDeviceManagementForDirectory",
            "UpdateExternalIdPConfigurationForDirectory",
            "UpdateTrustedTokenIssuer",
        ],
    ),
    (
        WEAKER,
        &[
            "DeleteMfaDeviceForUser",
            "DeletePermissionsBoundaryFromPermissionSet",
            "UpdatePassword",
        ],
    ),
    (
        MFA_DEVICE,
        &[
            "CompleteVirtualMfaDeviceRegistration",
            "CompleteWebAuthnDeviceRegistration",
        ],
    ),
    (
        PEOPLE,
        &[
            "CreateGroup",
            "CreateUser",
            "DeleteGroup",
            "DeleteUser",
            "DisableUser",
            "UpdateGroup",
            "UpdateUser",
        ],
    ),
    (
        TAKEN_AWAY,
        &[
            "DeleteAccountAssignment",
            "DeleteGroupMembership",
            "DeleteInlinePolicyFromPermissionSet",
            "DeleteTrustedTokenIssuer",
            "DetachCustomerManagedPolicyReferenceFromPermissionSet",
            "DetachManagedPolicyFromPermissionSet",
            "RemoveMemberFromGroup",
        ],
    ),
];

const DONE: &str = "If you do not expect this from them, ask. If it was not planned: undo it, end the sessions of those who \
    got access, and check in CloudTrail what else they did.";
const POWER: &str = "Ask them now. If it was not planned: take it back, end the sessions of everybody who has this \
    permission set, and check in CloudTrail what was done with the new rights.";
const OTHER_SIGN_IN: &str = "Ask them now. If it was not planned: undo it before anybody else signs in, end all sessions \
    of Identity Center, and check in CloudTrail who signed in since.";
const DEVICE: &str = "Ask the person whose device it is. If it was not them: remove unknown devices, end their sessions, \
    and have their password changed.";
const HARMLESS: &str = "Nothing, if you expect this from them.";
const NOT_DONE: &str = "Nothing was changed. Ask them if you do not expect this from them.";

/// Whom a call is about: label, and where the request or the answer says it.
const ABOUT: &[(&str, &[&str])] = &[
    ("Given to", &["/detail/requestParameters/principalId"]),
    (
        "Permission set",
        &["/detail/requestParameters/permissionSetArn"],
    ),
    (
        "User",
        &[
            "/detail/requestParameters/member/memberId",
            "/detail/requestParameters/memberId/userId",
            "/detail/requestParameters/user/userId",
            "/detail/requestParameters/userId",
            "/detail/responseElements/userId",
            "/detail/responseElements/user/userId",
            "/detail/userIdentity/onBehalfOf/userId",
        ],
    ),
];

/// Classifies a change of Identity Center.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    // The management account makes the call; the assignment is about another one.
    concerned_account::take(&mut draft, event, &["targetId"], " in ");
    if let Some(content) = content(event, words.operation, &draft) {
        draft.is_about(content);
    }
    let done = match draft.content {
        Some(EVERY_RIGHT) => POWER,
        Some(SIGN_IN) => OTHER_SIGN_IN,
        Some(MFA_DEVICE) => DEVICE,
        Some(WEAKER) if words.operation != "DeletePermissionsBoundaryFromPermissionSet" => DEVICE,
        Some(PEOPLE | TAKEN_AWAY | BY_ORGKEEPER) => HARMLESS,
        _ => DONE,
    };
    let next = NextSteps {
        done,
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    for (label, places) in ABOUT {
        draft.detail(label, event.first(places));
    }
    Some(draft.into())
}

/// What a call does.
fn content(event: &Event, operation: &str, draft: &Draft) -> Option<Content> {
    let request = |name: &str| format!("/detail/requestParameters/{name}");
    let attached = event
        .value(&request("managedPolicyArn"))
        .filter(|_| operation.starts_with("Attach"));
    let administrates = attached.is_some_and(|arn| ADMINISTRATOR_POLICIES.contains(&name_of(&arn)));
    let inline = PolicyDocument::read(event.node(&request("inlinePolicy")));
    if administrates || inline.is_some_and(|policy| policy.gives_every_right()) {
        return Some(EVERY_RIGHT);
    }
    if operation == "CreateAccountAssignment" {
        return has_own_role(draft.actor.as_ref()).then_some(BY_ORGKEEPER);
    }
    let known = CONTENTS
        .iter()
        .find(|(_, operations)| operations.contains(&operation));
    known.map(|(content, _)| *content)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::test_events::{DEPLOYER, PERSON, SERVICE, call as event, draft, judged};

    const FUNCTION: &str =
        "arn:aws:iam::999900001111:role/orgkeeper-CreateAccountAssignmentRole-1A";

    fn severity(service: &str, operation: &str, role: &str, request: &Value) -> Severity {
        let event = event(
            service,
            operation,
            role,
            &json!({ "requestParameters": request }),
        );
        let (kind, severity, _) = judged(&event).unwrap();
        assert_eq!(kind, KIND.name);
        severity
    }

    #[test]
    fn what_a_person_gives_decides() {
        let set = "arn:aws:sso:::permissionSet/ssoins-1/ps-1";
        let all = r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        let read = r#"{"Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}"#;
        for (service, operation, request, wanted) in [
            (
                "sso",
                "AttachManagedPolicyToPermissionSet",
                json!({ "permissionSetArn": set, "managedPolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess" }),
                Severity::Critical,
            ),
            (
                "sso",
                "AttachManagedPolicyToPermissionSet",
                json!({ "permissionSetArn": set, "managedPolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess" }),
                Severity::Error,
            ),
            (
                "sso",
                "DetachManagedPolicyFromPermissionSet",
                json!({ "permissionSetArn": set, "managedPolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess" }),
                Severity::Info,
            ),
            (
                "sso",
                "PutInlinePolicyToPermissionSet",
                json!({ "permissionSetArn": set, "inlinePolicy": all }),
                Severity::Critical,
            ),
            (
                "sso",
                "PutInlinePolicyToPermissionSet",
                json!({ "permissionSetArn": set, "inlinePolicy": read }),
                Severity::Error,
            ),
            (
                "sso",
                "CreateAccountAssignment",
                json!({ "permissionSetArn": set, "targetId": "111122223333" }),
                Severity::Error,
            ),
            (
                "sso",
                "CreateTrustedTokenIssuer",
                json!({ "name": "x" }),
                Severity::Critical,
            ),
            (
                "sso-directory",
                "EnableExternalIdPConfigurationForDirectory",
                Value::Null,
                Severity::Critical,
            ),
            (
                "sso-directory",
                "DeleteMfaDeviceForUser",
                json!({ "deviceId": "d" }),
                Severity::Error,
            ),
            (
                "sso-directory",
                "CompleteWebAuthnDeviceRegistration",
                Value::Null,
                Severity::Info,
            ),
            (
                "sso-directory",
                "AddMemberToGroup",
                json!({ "groupId": "g" }),
                Severity::Error,
            ),
            (
                "identitystore",
                "CreateGroupMembership",
                json!({ "groupId": "g" }),
                Severity::Error,
            ),
            ("identitystore", "CreateUser", Value::Null, Severity::Info),
            (
                "sso-directory",
                "DisableUser",
                json!({ "userId": "u" }),
                Severity::Info,
            ),
        ] {
            assert_eq!(
                severity(service, operation, PERSON, &request),
                wanted,
                "{operation} {request}"
            );
        }
    }

    #[test]
    fn services_deployments_and_orgkeeper_do_what_was_planned() {
        let request = json!({ "permissionSetArn": "arn:aws:sso:::permissionSet/i/ps-1", "targetId": "111122223333" });
        for role in [DEPLOYER, SERVICE, FUNCTION] {
            assert_eq!(
                severity("sso", "CreateAccountAssignment", role, &request),
                Severity::Info,
                "{role}"
            );
        }
        let administrator =
            json!({ "managedPolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess" });
        let severity = severity(
            "sso",
            "AttachManagedPolicyToPermissionSet",
            FUNCTION,
            &administrator,
        );
        assert_eq!(
            severity,
            Severity::Critical,
            "the name of a role excuses nothing grave"
        );
    }

    #[test]
    fn an_assignment_is_about_the_account_that_it_opens() {
        let request = json!({ "requestParameters": { "targetId": "111122223333", "principalType": "GROUP",
            "principalId": "34887428-4081", "permissionSetArn": "arn:aws:sso:::permissionSet/i/ps-1" } });
        let given = draft(&event("sso", "CreateAccountAssignment", PERSON, &request)).unwrap();
        assert_eq!(given.account, "111122223333".parse().ok());
        assert_eq!(given.headline, "Assignment of permission set ps-1 created");
        assert!(
            given
                .details
                .contains(&("Given to", "34887428-4081".to_owned()))
        );
        let members =
            json!({ "requestParameters": { "groupId": "g-1", "member": { "memberId": "u-1" } } });
        let member = draft(&event(
            "sso-directory",
            "AddMemberToGroup",
            PERSON,
            &members,
        ))
        .unwrap();
        assert_eq!(member.account, "999900001111".parse().ok());
        assert_eq!(member.headline, "User added to Identity Center group g-1");
        assert!(member.details.contains(&("User", "u-1".to_owned())));
    }

    #[test]
    fn what_was_not_done_is_no_more_than_an_error() {
        let set = json!({ "managedPolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess" });
        for (code, wanted) in [
            ("AccessDeniedException", Severity::Error),
            ("ConflictException", Severity::Error),
            ("ResourceNotFoundException", Severity::Info),
        ] {
            let failed = json!({ "requestParameters": set, "errorCode": code });
            let failed = judged(&event(
                "sso",
                "AttachManagedPolicyToPermissionSet",
                PERSON,
                &failed,
            ));
            assert_eq!(failed.unwrap().1, wanted, "{code}");
        }
    }
}
