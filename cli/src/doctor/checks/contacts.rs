//! The role that reads contacts of accounts: only the management account can.

use std::future::ready;

use orgkeeper_shared::aws_error::AwsCallError;

use crate::doctor::{
    check::{Check, Verdict},
    subject::Subject,
};

pub(super) const CHECK: Check = Check {
    id: "contacts",
    question: "Can the account directory read contacts?",
    needs: &["organizations:DescribeOrganization"],
    needs_stack: true,
    applies: Subject::has_directory,
    run: |subject| Box::pin(ready(run(subject))),
};

fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let management = &subject.organization()?.management;
    let deploy = format!(
        "in the management account {management}: aws cloudformation deploy --stack-name orgkeeper-contact-role \
         --template-file infra/contact-role.yaml (see docs/deploy.md), then {}",
        subject.set_parameter(&format!("ManagementAccountId={management}"))
    );
    Ok(match subject.parameter("ManagementAccountId") {
        None if management == &subject.account => {
            Verdict::fine("the management account reads them itself")
        }
        None => Verdict::to_do(
            "this is not the management account, and no role reads contacts there: findings and alerts have none",
            deploy,
        ),
        Some(account) if account == management => Verdict::fine(format!(
            "the role OrgkeeperContacts of {account} reads them"
        )),
        Some(account) => Verdict::to_do(
            format!(
                "the management account is {management}, not {account}: contacts cannot be read"
            ),
            deploy,
        ),
    })
}
