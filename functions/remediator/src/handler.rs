//! An order in, a report out.

use aws_config::SdkConfig;
use orgkeeper_shared::{
    aws::CallCounter,
    lambda::{Error, Function, Invocation, NamedError, telemetry::Metrics},
    remediation::{control::control, order::Order, report::Report},
};
use tokio::time::timeout;

use crate::{actions, member::Member, session_policy::session_policy};

const FUNCTION: &str = "remediator";
/// The session's name in the trail of the member account.
const SESSION: &str = "orgkeeper-remediator";

/// The function.
#[derive(Debug)]
pub struct Remediator {
    sdk: SdkConfig,
}

impl Remediator {
    /// A remediator whose calls start from these credentials. Makes no call.
    #[must_use]
    pub fn new(sdk: SdkConfig) -> Self {
        Self { sdk }
    }

    /// Carries out an order.
    ///
    /// # Errors
    /// If the order is none of ours, or a call failed for a reason that passes.
    pub async fn carry_out(
        &self,
        order: &Order,
        calls: &CallCounter,
    ) -> Result<Report, NamedError> {
        let refused = |message: &str| NamedError {
            name: "Refused",
            message: message.to_owned(),
        };
        let control = control(&order.control).ok_or_else(|| refused("unknown control"))?;
        let row = actions::of(&order.action)
            .filter(|row| row.name == control.action)
            .ok_or_else(|| refused("the control has another action"))?;
        order
            .target
            .check(control)
            .map_err(|mismatch| refused(&mismatch.to_string()))?;
        let policy = session_policy(row, control.scope, order.task, &order.target);
        let target = order.target.clone();
        let member = Member::connect(&self.sdk, calls, target, &policy, SESSION).await;
        (row.run)(&member, order)
            .await
            .map_err(|failed| NamedError {
                name: failed.name(),
                message: failed.to_string(),
            })
    }
}

impl Function for Remediator {
    type Event = Order;
    type Response = Report;

    async fn handle(&self, order: Order, invocation: Invocation) -> Result<Report, Error> {
        let calls = CallCounter::default();
        let began = invocation.now;
        let report = timeout(invocation.time_to_work(), self.carry_out(&order, &calls)).await;
        let report = report.unwrap_or_else(|_| {
            Err(NamedError {
                name: "Unavailable",
                message: "the invocation's time ran out".to_owned(),
            })
        });
        let calls = calls.take();
        Metrics::of(FUNCTION)
            .count("AwsCalls", calls)
            .write(began.as_millisecond());
        match &report {
            Ok(report) => tracing::info!(
                control = order.control,
                outcome = ?report.outcome,
                aws.calls = calls,
                "order carried out"
            ),
            Err(error) => {
                tracing::warn!(control = order.control, %error, aws.calls = calls, "order failed");
            }
        }
        Ok(report?)
    }
}
