//! The landing zone of Control Tower.

use aws_sdk_controltower::Client;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    queues::Flow,
};

pub(super) const CHECK: Check = Check {
    id: "landing-zone",
    question: "Is this the home Region of Control Tower?",
    needs: &["controltower:ListLandingZones"],
    needs_stack: false,
    applies: by_account_factory,
    run: |subject| Box::pin(run(subject)),
};

/// Whether Account Factory creates the accounts, as by default.
pub(super) fn by_account_factory(subject: &Subject) -> bool {
    let creation = subject.parameter("AccountCreation");
    subject.has(&[Flow::Vend]) && creation.is_none_or(|creation| creation == "account-factory")
}

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let answer = Client::new(&subject.sdk).list_landing_zones().send().await;
    let answer = answer
        .map_err(|error| AwsCallError::new(Service::ControlTower, "ListLandingZones", &error))?;
    let here = &subject.region;
    let arns = answer.landing_zones.into_iter().filter_map(|zone| zone.arn);
    let regions: Vec<String> = arns
        .filter_map(|arn| arn.split(':').nth(3).map(str::to_owned))
        .collect();
    if regions.contains(here) {
        return Ok(Verdict::fine(format!("the landing zone's home is {here}")));
    }
    Ok(match regions.first() {
        Some(home) => Verdict::to_do(
            format!("the landing zone's home is {home}, and the stack is in {here}"),
            format!("deploy the vend flow in {home}: AWS_REGION={home} make deploy ENV=management"),
        ),
        None => Verdict::to_do(
            format!("{here} has no landing zone of Control Tower"),
            format!(
                "deploy in its home Region; without Control Tower {}",
                subject.set_parameter("AccountCreation=organizations")
            ),
        ),
    })
}
