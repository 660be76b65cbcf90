//! Who may do what changed: policies, users, keys, passwords, MFA devices, trust, identity providers.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::Draft,
    event::Event,
    kinds::{
        Kind, Reading,
        words::{self, Next, Words, say_call},
    },
};

const fn iam(
    operation: &'static str,
    verb: [&'static str; 2],
    object: &'static str,
    rest: &'static str,
) -> Words {
    words::row("iam", operation, verb, object, rest)
}

/// A user changed the password that they have: everyday life, told for the record.
const OWN_PASSWORD: &str = "ChangePassword";

const ADD: [&str; 2] = ["add", "added"];
const ATTACH: [&str; 2] = ["attach", "attached"];
const CHANGE: [&str; 2] = ["change", "changed"];
const CREATE: [&str; 2] = ["create", "created"];
const DELETE: [&str; 2] = ["delete", "deleted"];
const DETACH: [&str; 2] = ["detach", "detached"];
const REMOVE: [&str; 2] = ["remove", "removed"];
const SET: [&str; 2] = ["set", "set"];

/// The calls that are told. EventBridge's rule has to name the same ones.
pub const CALLS: &[Words] = &[
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

const DONE: &str = "If you do not expect this from them, ask. If nobody knows: undo it, deactivate their keys \
    or revoke the role's sessions, and look in CloudTrail for what else they did.";
const DENIED: &str = "Nothing was changed. Ask them: denials where nobody expects any can be somebody who \
    tries out stolen credentials.";
const FAILED: &str = "Nothing was changed. Ask them if you do not expect this from them.";

/// Reads a change of who may do what.
pub(super) fn read(event: &Event) -> Option<Reading> {
    let words = words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, Kind::IamChange, words.what(event));
    let next = Next {
        done: DONE,
        denied: DENIED,
        failed: FAILED,
    };
    say_call(&mut draft, words, event, next);
    if words.operation == OWN_PASSWORD {
        draft.settle(Severity::Info);
    }
    Some(draft.into())
}
