//! What the function calls; its role in `template.yaml` allows exactly this.

use orgkeeper_shared::calls::{ASSUME_ROLE, Calls, calls};

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[calls(
    ASSUME_ROLE,
    &["arn:${AWS::Partition}:iam::*:role/OrgkeeperRemediation"],
)];

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
        let mut called = declared(CALLS);
        called.extend(by_lambda(&template, "Remediator"));
        let wrong = differences("Remediator", &granted(&template, "Remediator"), &called);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
