//! What the function calls; its role in `template.yaml` allows exactly this. What it reads in accounts is compared with the
//! policy of the audit role.

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    calls::{Calls, calls},
    queue::Queue,
    versioned_file::object::VersionedObject,
};

use crate::gateway::{
    exposure_table::ExposureTable, members::Members, posture_table::PostureTable,
};

/// Calls of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["SurveyQueue"]),
    calls(Queue::SEND, &["SurveyQueue"]),
    calls(PostureTable::CALLS, &["Posture"]),
    calls(ExposureTable::CALLS, &["Exposure"]),
    calls(DirectoryTable::READ, &["AccountDirectory"]),
    calls(
        VersionedObject::READ,
        &["PostureBucket/desired/posture.toml"],
    ),
    calls(VersionedObject::FIND, &["PostureBucket"]),
    calls(
        Members::CALLS,
        &["arn:${AWS::Partition}:iam::*:role/OrgkeeperAudit"],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orgkeeper_tests::{
        permissions::{by_lambda, declared, differences, granted},
        template::Template,
    };
    use serde_json::Value;

    use super::*;
    use crate::gateway::{management::Management, readiness::Readiness, reads::Reads};

    #[test]
    fn the_role_allows_what_the_function_calls_and_nothing_else() {
        let template = Template::load("template.yaml").unwrap();
        let granted = granted(&template, "OrganizationSurveyor");
        let mut called = declared(CALLS);
        called.extend(by_lambda(&template, "OrganizationSurveyor"));
        let wrong = differences("OrganizationSurveyor", &granted, &called);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// The audit role of accounts is for the whole flow: it allows more than this function reads.
    #[test]
    fn the_audit_role_allows_what_is_read() {
        let members = Template::load("infra/member-account.yaml").unwrap();
        let policy = members.resource("AuditPolicy").unwrap();
        let statements = &policy["Properties"]["PolicyDocument"]["Statement"];
        let mut allowed: BTreeSet<String> = BTreeSet::new();
        for statement in statements.as_array().unwrap() {
            match &statement["Action"] {
                Value::String(action) => {
                    allowed.insert(action.clone());
                }
                actions => allowed.extend(
                    actions
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|it| it.as_str().unwrap().to_owned()),
                ),
            }
        }
        let called = [
            Reads::CALLS,
            Members::LOOK,
            Management::CALLS,
            Readiness::CALLS,
        ];
        for action in called.into_iter().flatten() {
            assert!(allowed.contains(*action), "{action}");
        }
    }
}
