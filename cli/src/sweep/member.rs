//! A session in one account, and its calls.

use std::{collections::BTreeSet, time::Duration};

use aws_config::{SdkConfig, identity::IdentityCache, retry::RetryConfig};
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    ids::AccountId,
    pace::Pace,
    signed::{read_json, send},
};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::{
    answer::{goes_on, read_xml, text_at},
    question_file::Question,
    request::request,
    service::{Protocol, SweptService},
};

/// What a call is called in errors; its name is in the file.
const CALL: &str = "the call";
/// Attempts of a call that fails for a reason that passes.
const ATTEMPTS: u32 = 8;
/// The name of the session, which CloudTrail shows.
const SESSION: &str = "orgkeeper-sweep";
/// Opt-in states of a Region that the account has.
const ON: [&str; 2] = ["opt-in-not-required", "opted-in"];

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// The partition, `aws` say.
    pub partition: String,
}

/// Who asks, by the credentials.
///
/// # Errors
/// If the call fails, or its answer names no account.
pub async fn caller(sdk: &SdkConfig) -> Result<Caller, AwsCallError> {
    const OPERATION: &str = "GetCallerIdentity";
    let identity = aws_sdk_sts::Client::new(sdk).get_caller_identity().send();
    let identity = identity
        .await
        .map_err(|error| AwsCallError::new(Service::Sts, OPERATION, &error))?;
    let arn = identity.arn.unwrap_or_default();
    let nobody = |_| AwsCallError::not_found(OPERATION, "the credentials belong to no account");
    Ok(Caller {
        account: AccountId::from_arn(&arn).map_err(nobody)?,
        partition: arn.split(':').nth(1).unwrap_or("aws").to_owned(),
    })
}

/// The configuration with a session of this role in that account.
///
/// # Errors
/// If the role cannot be assumed.
pub async fn assume(
    sdk: &SdkConfig,
    caller: &Caller,
    account: &AccountId,
    role: &str,
    backoff: Duration,
) -> Result<SdkConfig, AwsCallError> {
    const OPERATION: &str = "AssumeRole";
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(backoff);
    let config = aws_sdk_sts::config::Builder::from(sdk).retry_config(retries);
    let answer = aws_sdk_sts::Client::from_conf(config.build())
        .assume_role()
        .role_arn(format!(
            "arn:{}:iam::{account}:role/{role}",
            caller.partition
        ))
        .role_session_name(SESSION)
        .send()
        .await
        .map_err(|error| AwsCallError::new(Service::Sts, OPERATION, &error))?;
    let given = answer
        .credentials
        .ok_or_else(|| AwsCallError::not_found(OPERATION, "the answer has no credentials"))?;
    let credentials = Credentials::new(
        given.access_key_id,
        given.secret_access_key,
        Some(given.session_token),
        None,
        SESSION,
    );
    Ok(sdk
        .to_builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // They are at hand: a cache would keep those of each account.
        .identity_cache(IdentityCache::no_cache())
        .build())
}

/// A session in one account, with the account's pace.
#[derive(Debug)]
pub struct Member<'s> {
    /// With the credentials of the session.
    sdk: SdkConfig,
    question: &'s Question,
    pace: Pace,
    in_flight: &'s Semaphore,
    /// The wait before the second attempt of a call.
    backoff: Duration,
}

/// Why a look at a Region ended early.
#[derive(Debug)]
pub enum LookError {
    /// A call failed.
    Call(AwsCallError),
    /// The answer is not as the file expects.
    Answer(String),
}

impl<'s> Member<'s> {
    /// A session with these credentials.
    #[must_use]
    pub fn new(
        sdk: SdkConfig,
        question: &'s Question,
        in_flight: &'s Semaphore,
        backoff: Duration,
    ) -> Self {
        Self {
            pace: Pace::new(question.per_second, burst(question.per_second)),
            sdk,
            question,
            in_flight,
            backoff,
        }
    }

    /// The Regions that the account has.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn regions(&self) -> Result<BTreeSet<String>, AwsCallError> {
        const OPERATION: &str = "DescribeRegions";
        let not_offered = || AwsCallError::not_found(OPERATION, "EC2 cannot be asked");
        let ec2 = SweptService::named("ec2").ok_or_else(not_offered)?;
        let home = self.sdk.region().map(ToString::to_string);
        let parameters = Map::from_iter([("AllRegions".to_owned(), Value::Bool(true))]);
        let home = home.unwrap_or_default();
        let answer = self.call(ec2, OPERATION, &parameters, &home).await?;
        let regions = answer.get("regionInfo").and_then(Value::as_array);
        let regions = regions.into_iter().flatten();
        let text =
            |region: &Value, name| region.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(regions
            .filter(|region| {
                let status = text(region, "optInStatus");
                status.is_none_or(|status| ON.contains(&status.as_str()))
            })
            .filter_map(|region| text(region, "regionName"))
            .collect())
    }

    /// The rows of a Region, page by page.
    ///
    /// # Errors
    /// If a call fails, or an answer is not as expected. What was read before is dropped: half of a list is no answer.
    pub async fn rows(&self, region: &str) -> Result<Vec<Value>, LookError> {
        let question = self.question;
        let mut parameters = question.parameters.clone();
        let (mut rows, mut before) = (Vec::new(), None);
        loop {
            let call = self.call(question.service, &question.operation, &parameters, region);
            let answer = call.await.map_err(LookError::Call)?;
            rows.extend(question.filter.rows(&answer).map_err(LookError::Answer)?);
            let next = question.next.iter().find_map(|(place, parameter)| {
                Some((parameter, text_at(&answer, place)?.to_owned()))
            });
            let Some((parameter, token)) = next else {
                return match goes_on(&answer) {
                    Some(member) => Err(LookError::Answer(format!(
                        "the answer is a part of a list ({member}), and no token of it is known: set next in the file"
                    ))),
                    None => Ok(rows),
                };
            };
            if before.as_ref() == Some(&token) {
                let words =
                    format!("the answer repeats its token: set next in the file ({parameter})");
                return Err(LookError::Answer(words));
            }
            parameters.insert(parameter.clone(), Value::String(token.clone()));
            before = Some(token);
        }
    }

    /// Makes a call; one that fails for a reason that passes is made again, at the account's pace.
    async fn call(
        &self,
        service: &SweptService,
        operation: &str,
        parameters: &Map<String, Value>,
        region: &str,
    ) -> Result<Value, AwsCallError> {
        let mut backoff = self.backoff;
        for _ in 1..ATTEMPTS {
            match self.attempt(service, operation, parameters, region).await {
                Err(error) if error.class().transient() && !has_no_host(&error) => {
                    tokio::time::sleep(backoff.mul_f64(fastrand::f64())).await;
                    backoff *= 2;
                }
                answer => return answer,
            }
        }
        self.attempt(service, operation, parameters, region).await
    }

    async fn attempt(
        &self,
        service: &SweptService,
        operation: &str,
        parameters: &Map<String, Value>,
        region: &str,
    ) -> Result<Value, AwsCallError> {
        let unknown = || AwsCallError::not_found(CALL, "the service has no such operation");
        let request = request(service, operation, parameters).ok_or_else(unknown)?;
        let read = match service.protocol {
            Protocol::Json { .. } | Protocol::RestJson(_) => read_json,
            Protocol::Query { .. } | Protocol::Ec2 { .. } | Protocol::RestXml(_) => read_xml,
        };
        self.pace.wait().await;
        // It is never closed, and without a permit the call would only be one too many.
        let _permit = self.in_flight.acquire().await.ok();
        let destination = service.destination(region);
        let operation = operation.to_owned();
        // The pace is waited for before each attempt, which the SDK's own retries would not do.
        let no_retries = RetryConfig::disabled();
        send(
            &self.sdk,
            &destination,
            operation,
            request,
            &no_retries,
            read,
            None,
        )
        .await
        .map_err(|error| AwsCallError::new(service.errors(), CALL, &error))
    }
}

/// Whether there is no such host, so that another attempt is in vain.
fn has_no_host(error: &AwsCallError) -> bool {
    super::failure::outcome_of(error, true).0
        == orgkeeper_shared::posture::pair::Outcome::NotOffered
}

/// Calls at once after a pause: those of a second.
fn burst(per_second: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a file asks for a hundred at most"
    )]
    let burst = per_second.ceil() as u32;
    burst.max(1)
}
