//! Functions that send messages to the queue that they read: Lambda stops a chain of about sixteen invocations, unless
//! the template allows it.

use orgkeeper_tests::{queue_loops::in_a_loop, template::Template};
use serde_json::json;

#[test]
fn functions_in_a_loop_of_queues_are_allowed_to_be_and_no_others() {
    let template = Template::load("template.yaml").unwrap();
    let in_a_loop = in_a_loop(&template);
    assert!(in_a_loop.contains("DirectoryRefresher"), "{in_a_loop:?}");
    for (name, properties) in template.resources_of_type("AWS::Serverless::Function") {
        let allowed = in_a_loop.contains(name).then(|| json!("Allow"));
        assert_eq!(properties.get("RecursiveLoop"), allowed.as_ref(), "{name}");
    }
    assert_eq!(template.function_default("RecursiveLoop"), None);
}
