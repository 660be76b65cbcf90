//! One SDK configuration for every client of a function, and one count of its calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_config::{BehaviorVersion, SdkConfig, sts::AssumeRoleProvider, timeout::TimeoutConfig};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::interceptors::{
        Intercept,
        context::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef},
        dyn_dispatch_hint,
    },
    client::runtime_components::RuntimeComponents,
};
use aws_smithy_types::config_bag::ConfigBag;

use crate::{
    aws_error::{AwsErrorClass, class_of_answer},
    ids::RoleArn,
};

/// The SDK's configuration from the function's environment.
///
/// The SDK retries a call itself (standard mode, three attempts). A call that hangs is cut off
/// after ten seconds, well inside the shortest function timeout.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(2))
                .operation_attempt_timeout(Duration::from_secs(5))
                .operation_timeout(Duration::from_secs(10))
                .build(),
        )
        .load()
        .await
}

/// The same configuration with the credentials of another role.
///
/// The role is assumed at the first call, and again before its credentials run out.
pub async fn assume(config: &SdkConfig, role: &RoleArn, session_name: &str) -> SdkConfig {
    let credentials = AssumeRoleProvider::builder(role.as_str())
        .session_name(session_name)
        .configure(config)
        .build()
        .await;
    config
        .to_builder()
        .credentials_provider(aws_sdk_sts::config::SharedCredentialsProvider::new(
            credentials,
        ))
        .build()
}

/// A client of the SDK crate `$sdk` that carries the count of calls.
#[macro_export]
macro_rules! client {
    ($sdk:ident, $config:expr, $calls:expr) => {
        $sdk::Client::from_conf(
            $sdk::config::Builder::from($config)
                .interceptor($calls.clone())
                .build(),
        )
    };
}
pub use client;

/// Requests to AWS, retries by the SDK included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// All of them.
    pub sent: u64,
    /// Those that AWS throttled.
    pub throttled: u64,
    /// Those that were denied, that AWS failed to answer, or that did not reach it. What an answer means to the
    /// caller, such as "not found", is no failure.
    pub failed: u64,
}

/// Counts the requests that the clients send which carry it.
#[derive(Clone, Debug, Default)]
pub struct CallCounter(Arc<[AtomicU64; 3]>);

impl CallCounter {
    /// The requests since the last call of this.
    #[must_use]
    pub fn take(&self) -> CallCounts {
        let [sent, throttled, failed] = &*self.0;
        CallCounts {
            sent: sent.swap(0, Ordering::Relaxed),
            throttled: throttled.swap(0, Ordering::Relaxed),
            failed: failed.swap(0, Ordering::Relaxed),
        }
    }
}

/// The error code in the debug text of an error. Here its type is erased, and so is everything else about it.
fn code_in(text: &str) -> Option<&str> {
    text.split_once("code: Some(\"")?.1.split('"').next()
}

#[dyn_dispatch_hint]
impl Intercept for CallCounter {
    fn name(&self) -> &'static str {
        "CallCounter"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let [sent, ..] = &*self.0;
        sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Err(error)) = context.output_or_error() else {
            return Ok(());
        };
        let class = context
            .response()
            .map_or(AwsErrorClass::Unreachable, |response| {
                let status = response.status().as_u16();
                class_of_answer(code_in(&format!("{error:?}")), status)
            });
        let [_, throttled, failed] = &*self.0;
        match class {
            AwsErrorClass::Throttled => throttled.fetch_add(1, Ordering::Relaxed),
            AwsErrorClass::Denied
            | AwsErrorClass::ServiceFault
            | AwsErrorClass::TimedOut
            | AwsErrorClass::Unreachable => failed.fetch_add(1, Ordering::Relaxed),
            AwsErrorClass::Conflict
            | AwsErrorClass::ConditionFailed
            | AwsErrorClass::NotFound
            | AwsErrorClass::SetUp
            | AwsErrorClass::Refused => 0,
        };
        Ok(())
    }
}
