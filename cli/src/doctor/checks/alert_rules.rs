//! The rules of alerts, read as `alerter` reads them.

use alerter::rules::Rules;
use aws_sdk_ssm::Client;
use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};

use crate::{
    doctor::{
        check::{Check, Verdict},
        subject::Subject,
    },
    queues::Flow,
};

pub(super) const CHECK: Check = Check {
    id: "alert-rules",
    question: "Are the rules of alerts correct?",
    needs: &["ssm:GetParameter"],
    needs_stack: true,
    applies: |subject| {
        subject.has(&[Flow::Alert]) && subject.parameter("AlertRulesParameter").is_some()
    },
    run: |subject| Box::pin(run(subject)),
};

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let name = subject.parameter("AlertRulesParameter").unwrap_or_default();
    let store = format!(
        "orgkeeper alert try --rules rules.toml, then aws ssm put-parameter --name {name} --type String --overwrite \
         --value file://rules.toml"
    );
    let answer = Client::new(&subject.sdk)
        .get_parameter()
        .name(name)
        .with_decryption(true);
    let answer = answer.send().await;
    let answer = answer.map_err(|error| AwsCallError::new(Service::Ssm, "GetParameter", &error));
    let rules = match answer {
        Err(error) if error.class() == AwsErrorClass::NotFound => {
            return Ok(Verdict::to_do(
                format!("{name} does not exist: no rule applies"),
                store,
            ));
        }
        answer => answer?
            .parameter
            .and_then(|it| it.value)
            .unwrap_or_default(),
    };
    Ok(match Rules::parse(&rules) {
        Ok(_) => Verdict::fine(format!("{name} has correct rules")),
        Err(refused) => Verdict::to_do(
            format!("{name} is refused: {}", refused.0.join("; ")),
            store,
        ),
    })
}
