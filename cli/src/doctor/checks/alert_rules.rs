//! The rules of alerts, read as `alerter` reads them.

use alerter::rules::Rules;
use aws_sdk_ssm::{Client, types::ParameterType};
use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};

use super::settings_key;
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
    needs: &["ssm:GetParameter", "ssm:DescribeParameters", "kms:Decrypt"],
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
    let parameter = match answer {
        Err(error) if error.class() == AwsErrorClass::NotFound => {
            return Ok(Verdict::to_do(
                format!("{name} does not exist: no rule applies"),
                store,
            ));
        }
        answer => answer?.parameter,
    };
    let rules = parameter.as_ref().and_then(|it| it.value.as_deref());
    if let Err(refused) = Rules::parse(rules.unwrap_or_default()) {
        let found = format!("{name} is refused: {}", refused.0.join("; "));
        return Ok(Verdict::to_do(found, store));
    }
    let encrypted = parameter.and_then(|it| it.r#type) == Some(ParameterType::SecureString);
    let to_do = if encrypted {
        let key = settings_key::of_parameter(subject, name).await?;
        key.and_then(|key| settings_key::to_do(subject, name, &key, &store))
    } else {
        None
    };
    Ok(to_do.unwrap_or_else(|| Verdict::fine(format!("{name} has correct rules"))))
}
