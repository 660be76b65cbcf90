//! What the function calls; its role in `template.yaml` allows exactly this, with the task policies of
//! [`RootTask`](crate::root_session::RootTask). What it calls as root is not its role's.

use orgkeeper_shared::calls::{Calls, calls};

use crate::root_session::RootSession;

/// Every call of the function, and with which resources of the template.
pub const CALLS: &[Calls] = &[calls(
    RootSession::CALLS,
    &["arn:${AWS::Partition}:iam::*:root"],
)];

#[cfg(test)]
mod tests {
    use orgkeeper_tests::{
        permissions::{by_lambda, declared, differences, granted},
        template::Template,
    };

    use super::*;

    const NAME: &str = "RootCredentialsRemover";

    #[test]
    fn the_role_allows_what_the_function_calls_and_nothing_else() {
        let template = Template::load("template.yaml").unwrap();
        let mut called = declared(CALLS);
        called.extend(by_lambda(&template, NAME));
        let wrong = differences(NAME, &granted(&template, NAME), &called);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
