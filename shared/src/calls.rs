//! What functions may call, as IAM names it. Each gateway says what it calls, next to its code; the `calls.rs` of each
//! function says which of that it calls, and with which resources of the template. A test holds these rows equal to the
//! function's role in `template.yaml`, another one the gateways' rows to the SDK calls in their code.

/// Calls with every one of these actions on every one of these resources.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// IAM's names of the actions, `dynamodb:GetItem`.
    pub actions: &'static [&'static str],
    /// The resources: logical ids of the template with what follows the ARN (`AccountsBucket/results/*`), or ARNs as the
    /// template writes them.
    pub on: &'static [&'static str],
}

/// Calls with these actions on these resources.
#[must_use]
pub const fn calls(actions: &'static [&'static str], on: &'static [&'static str]) -> Calls {
    Calls { actions, on }
}

/// The resource of an action that has no resource type.
pub const NO_RESOURCE: &[&str] = &["*"];

/// What SSM and Secrets Manager call for a function that reads a setting under the key of parameter `SettingsKeyArn`.
///
/// Sources: "Restricting decryption of `SecureString` parameter values" (Systems Manager user guide) and "Secret encryption and
/// decryption in AWS Secrets Manager", section "Permissions for the KMS key" (Secrets Manager user guide).
pub const DECRYPT_SETTING: Calls = calls(&["kms:Decrypt"], &["SettingsKeyArn"]);

/// What every function calls that assumes a role.
pub const ASSUME_ROLE: &[&str] = &["sts:AssumeRole"];
