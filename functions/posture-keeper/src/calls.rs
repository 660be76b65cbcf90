//! What the function calls; its role in `template.yaml` allows exactly this. What its role in accounts allows is in
//! [`member_policy`](crate::member_policy).

use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    calls::{Calls, NO_RESOURCE, calls},
    queue::Queue,
    versioned_file::object::VersionedObject,
};

use crate::gateway::{members::Members, posture_table::PostureTable};

/// Calls of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[
    calls(Queue::RETURN, &["ChangesQueue"]),
    calls(Queue::SEND, &["ChangesQueue"]),
    calls(PostureTable::CALLS, &["Posture"]),
    calls(DirectoryTable::LIST, &["AccountDirectory"]),
    calls(
        VersionedObject::READ,
        &["PostureBucket/desired/posture.toml"],
    ),
    calls(VersionedObject::FIND, &["PostureBucket"]),
    calls(
        Members::CALLS,
        &["arn:${AWS::Partition}:iam::*:role/OrgkeeperPosture"],
    ),
    calls(Members::OWN, NO_RESOURCE),
];

#[cfg(test)]
mod tests {
    use orgkeeper_tests::{
        permissions::{by_lambda, declared, differences, granted},
        template::Template,
    };

    use super::*;

    #[test]
    fn the_role_allows_what_the_function_calls_and_nothing_else() {
        let template = Template::load("template.yaml").unwrap();
        let granted = granted(&template, "PostureKeeper");
        let mut called = declared(CALLS);
        called.extend(by_lambda(&template, "PostureKeeper"));
        let wrong = differences("PostureKeeper", &granted, &called);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
