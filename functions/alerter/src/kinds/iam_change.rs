//! Changes of who may do what: policies, users, keys, passwords, MFA devices, trust, identity providers.

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
    policy_document::{EVERYBODY, OUTSIDE, PolicyDocument},
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
    text::name_of,
};

/// AWS itself attached a policy that quarantines a leaked key.
const QUARANTINE: Content = Content::grave("AWS quarantines a leaked key");
/// Somebody may do everything now.
pub(super) const EVERY_RIGHT: Content = Content::grave("gives every right");
/// A sign-in or a boundary is weaker than before.
pub(super) const WEAKER: Content = Content::grave("weakens a sign-in or a boundary");
/// A user changed their own password.
const OWN_PASSWORD: Content = Content::new("their own password");

/// Who may do what changed.
pub const KIND: &Kind = &Kind {
    name: "iam.change",
    plural: "IAM changes",
    severities: &[
        NOT_THERE,
        row(Severity::Critical).content(QUARANTINE).fixed(),
        DENIED,
        row(Severity::Error).outcome(Outcome::Failed),
        BY_A_SERVICE,
        row(Severity::Error)
            .content(EVERYBODY)
            .by(ActorClass::DeploymentTool),
        row(Severity::Error)
            .content(OUTSIDE)
            .by(ActorClass::DeploymentTool),
        BY_A_DEPLOYMENT,
        row(Severity::Critical).content(EVERYBODY).fixed(),
        row(Severity::Critical).content(OUTSIDE).fixed(),
        row(Severity::Critical).content(EVERY_RIGHT).fixed(),
        row(Severity::Error).content(WEAKER).fixed(),
        row(Severity::Info).content(OWN_PASSWORD).fixed(),
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "policies, users, keys, MFA, trust or identity providers changed, or an attempt",
    rules: &[EventRule::of_calls(
        "IamChanged",
        "Changes to IAM users, roles, policies and credentials",
    )],
    calls: CALLS,
    samples: &[
        "hostile",
        "iam-change",
        "iam-change-access-key",
        "iam-change-administrator",
        "iam-change-denied",
        "iam-change-deployment",
        "iam-change-not-there",
        "iam-change-quarantine",
        "iam-change-trust",
        "iam-change-without-arn",
    ],
    classify,
};

const fn iam(
    operation: &'static str,
    verb: [&'static str; 2],
    object: &'static str,
    rest: &'static str,
) -> CallWords {
    call_words::row("iam", operation, verb, object, rest)
}

const ADD: [&str; 2] = ["add", "added"];
const ATTACH: [&str; 2] = ["attach", "attached"];
const CHANGE: [&str; 2] = ["change", "changed"];
const CREATE: [&str; 2] = ["create", "created"];
const DELETE: [&str; 2] = ["delete", "deleted"];
const DETACH: [&str; 2] = ["detach", "detached"];
const REMOVE: [&str; 2] = ["remove", "removed"];
const SET: [&str; 2] = ["set", "set"];

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    // Policies.
    iam(
        "AttachRolePolicy",
        ATTACH,
        "policy {policyArn}",
        "to role {roleName}",
    ),
    iam(
        "AttachUserPolicy",
        ATTACH,
        "policy {policyArn}",
        "to user {userName}",
    ),
    iam(
        "AttachGroupPolicy",
        ATTACH,
        "policy {policyArn}",
        "to group {groupName}",
    ),
    iam(
        "DetachRolePolicy",
        DETACH,
        "policy {policyArn}",
        "from role {roleName}",
    ),
    iam(
        "DetachUserPolicy",
        DETACH,
        "policy {policyArn}",
        "from user {userName}",
    ),
    iam(
        "DetachGroupPolicy",
        DETACH,
        "policy {policyArn}",
        "from group {groupName}",
    ),
    iam(
        "PutRolePolicy",
        SET,
        "inline policy {policyName}|of role {roleName}",
        "",
    ),
    iam(
        "PutUserPolicy",
        SET,
        "inline policy {policyName}|of user {userName}",
        "",
    ),
    iam(
        "PutGroupPolicy",
        SET,
        "inline policy {policyName}|of group {groupName}",
        "",
    ),
    iam(
        "DeleteRolePolicy",
        DELETE,
        "inline policy {policyName}|of role {roleName}",
        "",
    ),
    iam(
        "DeleteUserPolicy",
        DELETE,
        "inline policy {policyName}|of user {userName}",
        "",
    ),
    iam(
        "DeleteGroupPolicy",
        DELETE,
        "inline policy {policyName}|of group {groupName}",
        "",
    ),
    iam("CreatePolicy", CREATE, "policy {policyName}", ""),
    iam("DeletePolicy", DELETE, "policy {policyArn}", ""),
    iam("CreatePolicyVersion", CHANGE, "policy {policyArn}", ""),
    iam(
        "DeletePolicyVersion",
        DELETE,
        "version {versionId}|of policy {policyArn}",
        "",
    ),
    iam(
        "SetDefaultPolicyVersion",
        CHANGE,
        "policy {policyArn}",
        "to version {versionId}",
    ),
    iam(
        "PutRolePermissionsBoundary",
        SET,
        "the permissions boundary|of role {roleName}",
        "",
    ),
    iam(
        "PutUserPermissionsBoundary",
        SET,
        "the permissions boundary|of user {userName}",
        "",
    ),
    iam(
        "DeleteRolePermissionsBoundary",
        REMOVE,
        "the permissions boundary|of role {roleName}",
        "",
    ),
    iam(
        "DeleteUserPermissionsBoundary",
        REMOVE,
        "the permissions boundary|of user {userName}",
        "",
    ),
    iam(
        "UpdateAccountPasswordPolicy",
        CHANGE,
        "the password policy",
        "",
    ),
    iam(
        "DeleteAccountPasswordPolicy",
        DELETE,
        "the password policy",
        "",
    ),
    // Users.
    iam("CreateUser", CREATE, "user {userName}", ""),
    iam("UpdateUser", CHANGE, "user {userName}", ""),
    iam("DeleteUser", DELETE, "user {userName}", ""),
    iam(
        "AddUserToGroup",
        ADD,
        "user {userName}",
        "to group {groupName}",
    ),
    iam(
        "RemoveUserFromGroup",
        REMOVE,
        "user {userName}",
        "from group {groupName}",
    ),
    // Keys.
    iam(
        "CreateAccessKey",
        CREATE,
        "an access key",
        "for user {userName}",
    ),
    iam(
        "UpdateAccessKey",
        CHANGE,
        "access key {accessKeyId}|of user {userName}",
        "to {status}",
    ),
    iam(
        "DeleteAccessKey",
        DELETE,
        "access key {accessKeyId}|of user {userName}",
        "",
    ),
    iam(
        "UploadSSHPublicKey",
        ADD,
        "an SSH key",
        "to user {userName}",
    ),
    iam(
        "UploadSigningCertificate",
        ADD,
        "a signing certificate",
        "to user {userName}",
    ),
    iam(
        "CreateServiceSpecificCredential",
        CREATE,
        "a password|for {serviceName}",
        "for user {userName}",
    ),
    // Passwords and MFA devices.
    iam("ChangePassword", CHANGE, "their own password", ""),
    iam(
        "CreateLoginProfile",
        CREATE,
        "a console password",
        "for user {userName}",
    ),
    iam(
        "UpdateLoginProfile",
        CHANGE,
        "the console password|of user {userName}",
        "",
    ),
    iam(
        "DeleteLoginProfile",
        DELETE,
        "the console password|of user {userName}",
        "",
    ),
    iam(
        "CreateVirtualMFADevice",
        CREATE,
        "MFA device {virtualMFADeviceName}",
        "",
    ),
    iam(
        "EnableMFADevice",
        ADD,
        "MFA device {serialNumber}",
        "to user {userName}",
    ),
    iam(
        "ResyncMFADevice",
        CHANGE,
        "MFA device {serialNumber}|of user {userName}",
        "",
    ),
    iam(
        "DeactivateMFADevice",
        REMOVE,
        "MFA device {serialNumber}",
        "from user {userName}",
    ),
    iam(
        "DeleteVirtualMFADevice",
        DELETE,
        "MFA device {serialNumber}",
        "",
    ),
    // Trust: a new role comes with a trust policy.
    iam("CreateRole", CREATE, "role {roleName}", ""),
    iam(
        "UpdateAssumeRolePolicy",
        CHANGE,
        "the trust policy|of role {roleName}",
        "",
    ),
    // Identity providers.
    iam("CreateSAMLProvider", CREATE, "SAML provider {name}", ""),
    iam(
        "UpdateSAMLProvider",
        CHANGE,
        "SAML provider {sAMLProviderArn}",
        "",
    ),
    iam(
        "DeleteSAMLProvider",
        DELETE,
        "SAML provider {sAMLProviderArn}",
        "",
    ),
    iam(
        "CreateOpenIDConnectProvider",
        CREATE,
        "OpenID Connect provider {url}",
        "",
    ),
    iam(
        "UpdateOpenIDConnectProviderThumbprint",
        CHANGE,
        "OpenID Connect provider {openIDConnectProviderArn}",
        "",
    ),
    iam(
        "AddClientIDToOpenIDConnectProvider",
        ADD,
        "client {clientID}",
        "to OpenID Connect provider {openIDConnectProviderArn}",
    ),
    iam(
        "RemoveClientIDFromOpenIDConnectProvider",
        REMOVE,
        "client {clientID}",
        "from OpenID Connect provider {openIDConnectProviderArn}",
    ),
    iam(
        "DeleteOpenIDConnectProvider",
        DELETE,
        "OpenID Connect provider {openIDConnectProviderArn}",
        "",
    ),
];

const DONE: &str = "If you do not expect this from them, ask. If it was not planned: undo it, deactivate their keys \
    or revoke the role's sessions, and check in CloudTrail what else they did.";
const DENIED_TO_DO: &str = "Nothing was changed. Ask them: an unexpected denial can be somebody who tries \
    stolen credentials.";
const FAILED: &str = "Nothing was changed. Ask them if you do not expect this from them.";
const REPLACE_THE_KEY: &str = "AWS found an access key of this user where others can read it, and limits what it can \
    do. Replace the key and deactivate it now, then check in CloudTrail what was done with it. Leave the policy until \
    then.";
const POWER: &str = "Ask them now. If it was not planned: take it back, deactivate their keys or revoke the role's \
    sessions, and check in CloudTrail what was done with the new rights.";

/// The policies that AWS attaches to a user whose key it found in public (AWS Managed Policy Reference). Later
/// versions end with their number.
const QUARANTINE_POLICY: &str = "AWSCompromisedKeyQuarantine";
/// Managed policies that allow everything, or to allow oneself everything.
pub(super) const ADMINISTRATOR_POLICIES: &[&str] = &["AdministratorAccess", "IAMFullAccess"];

/// What weakens a sign-in or a boundary.
const WEAKENING: &[&str] = &[
    "DeactivateMFADevice",
    "DeleteAccountPasswordPolicy",
    "DeleteRolePermissionsBoundary",
    "DeleteUserPermissionsBoundary",
    "DeleteVirtualMFADevice",
];

/// Where a request has a policy, and a trust policy.
const POLICY: &str = "/detail/requestParameters/policyDocument";
const TRUST: &[(&str, &str)] = &[
    (
        "CreateRole",
        "/detail/requestParameters/assumeRolePolicyDocument",
    ),
    ("UpdateAssumeRolePolicy", POLICY),
];

/// Classifies a change of who may do what.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    let trust = TRUST
        .iter()
        .find(|(operation, _)| *operation == words.operation);
    let mut done = DONE;
    if let Some((_, place)) = trust {
        if let Some(document) = PolicyDocument::read(event.node(place)) {
            draft.lets_in(document.lets_in(draft.account.as_ref()));
        }
    } else if let Some(content) = content(event, words.operation) {
        draft.is_about(content);
    }
    if draft.content == Some(QUARANTINE) {
        draft.headline = format!("AWS holds a key{} for leaked", of_user(event));
        done = REPLACE_THE_KEY;
    } else if draft.weight == crate::severity::GRAVE && draft.content != Some(WEAKER) {
        done = POWER;
    }
    let next = NextSteps {
        done,
        denied: DENIED_TO_DO,
        failed: FAILED,
    };
    describe_call(&mut draft, words, event, next);
    Some(draft.into())
}

/// Whose key it is: ` of user ana`.
fn of_user(event: &Event) -> String {
    let user = event.value("/detail/requestParameters/userName");
    user.map_or(String::new(), |user| format!(" of user {user}"))
}

/// What a call that is not about trust does.
fn content(event: &Event, operation: &str) -> Option<Content> {
    let attached = event
        .value("/detail/requestParameters/policyArn")
        .filter(|_| operation.starts_with("Attach"));
    if let Some(policy) = attached.as_deref().map(name_of) {
        if policy.starts_with(QUARANTINE_POLICY) {
            return Some(QUARANTINE);
        }
        return ADMINISTRATOR_POLICIES
            .contains(&policy)
            .then_some(EVERY_RIGHT);
    }
    let gives = PolicyDocument::read(event.node(POLICY)).is_some_and(|it| it.gives_every_right());
    match operation {
        _ if gives => Some(EVERY_RIGHT),
        "ChangePassword" => Some(OWN_PASSWORD),
        _ => WEAKENING.contains(&operation).then_some(WEAKER),
    }
}
