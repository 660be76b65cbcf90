//! The credentials of a root user, as plain values.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What the root user of an account has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootUser {
    /// Whether there is a password.
    pub password: bool,
    /// Ids of access keys.
    pub access_keys: BTreeSet<String>,
    /// Ids of signing certificates.
    pub signing_certificates: BTreeSet<String>,
    /// Serial numbers of MFA devices.
    pub mfa_devices: BTreeSet<String>,
}

impl RootUser {
    /// What a control leaves of it: IAM.4 asks for no access key, the others for MFA or no credentials at all.
    #[must_use]
    pub fn left_by(&self, control: &str) -> Self {
        match control {
            "IAM.4" => Self {
                access_keys: BTreeSet::new(),
                ..self.clone()
            },
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_control_takes_what_it_is_about() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let user = RootUser {
            password: true,
            access_keys: names(&["AKIA1"]),
            signing_certificates: names(&["C1"]),
            mfa_devices: names(&["arn:aws:iam::111122223333:mfa/root"]),
        };
        let left = user.left_by("IAM.4");
        assert!(left.access_keys.is_empty() && left.password && !left.mfa_devices.is_empty());
        for control in ["IAM.6", "IAM.9"] {
            assert_eq!(user.left_by(control), RootUser::default());
        }
    }
}
