//! Changes of who may do what: policies, users, keys, passwords, MFA devices, trust, identity providers.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::Draft,
    event::Event,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call},
        classifier::{Classification, Classifier},
    },
};

/// Who may do what changed.
pub(crate) const IAM_CHANGE: Kind = Kind::new("iam.change", Severity::Error, "IAM changes");
pub(super) const CLASSIFIER: Classifier = Classifier {
    kinds: &[IAM_CHANGE],
    calls: CALLS,
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

/// A user changed their own password: only information.
const OWN_PASSWORD: &str = "ChangePassword";

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
    iam(OWN_PASSWORD, CHANGE, "their own password", ""),
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
const DENIED: &str = "Nothing was changed. Ask them: an unexpected denial can be somebody who tries \
    stolen credentials.";
const FAILED: &str = "Nothing was changed. Ask them if you do not expect this from them.";

/// Classifies a change of who may do what.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, IAM_CHANGE, words.what(event));
    let next = NextSteps {
        done: DONE,
        denied: DENIED,
        failed: FAILED,
    };
    describe_call(&mut draft, words, event, next);
    if words.operation == OWN_PASSWORD {
        draft.fix_severity(Severity::Info);
    }
    Some(draft.into())
}
