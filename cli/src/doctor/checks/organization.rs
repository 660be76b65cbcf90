//! The organization's features.

use std::future::ready;

use orgkeeper_shared::aws_error::AwsCallError;

use crate::doctor::{
    check::{Check, NO_ORGANIZATION, Verdict},
    subject::Subject,
};

pub(super) const CHECK: Check = Check {
    id: "organization",
    question: "Does the organization have all features?",
    needs: &["organizations:DescribeOrganization"],
    needs_stack: false,
    applies: |_| true,
    run: |subject| Box::pin(ready(run(subject))),
};

fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let organization = match subject.organization() {
        Err(error) if error.has_code(NO_ORGANIZATION) => {
            return Ok(Verdict::to_do(
                "this account is in no organization",
                "aws organizations create-organization --feature-set ALL",
            ));
        }
        organization => organization?,
    };
    if organization.all_features {
        return Ok(Verdict::fine(format!(
            "{} has all features",
            organization.id
        )));
    }
    Ok(Verdict::to_do(
        format!("{} has consolidated billing only", organization.id),
        "in the management account: aws organizations enable-all-features",
    ))
}
