//! The end of an order: its metrics, and its line in the log.

use jiff::Timestamp;

use super::{order::Order, report::Report};
use crate::{
    aws::CallCounter,
    lambda::{NamedError, telemetry::Metrics},
};

/// Writes what came of an order that began at `began`, and how many calls it took. What was changed is not in it.
pub fn write(
    function: &'static str,
    order: &Order,
    report: &Result<Report, NamedError>,
    calls: &CallCounter,
    began: Timestamp,
) {
    let calls = calls.take();
    Metrics::of(function)
        .calls(calls)
        .write(began.as_millisecond());
    match report {
        Ok(report) => tracing::info!(
            control = order.control,
            outcome = ?report.outcome,
            aws.calls = calls.sent,
            "order carried out"
        ),
        Err(error) => {
            tracing::warn!(control = order.control, %error, aws.calls = calls.sent, "order failed");
        }
    }
}
