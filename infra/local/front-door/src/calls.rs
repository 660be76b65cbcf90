//! Counts the calls of each operation, so that a test can check what a function calls.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::lock::lock;

#[derive(Debug, Default)]
struct Count {
    calls: u64,
    refused: u64,
    busiest_second: u64,
    second: i64,
    in_this_second: u64,
}

/// Calls from outside, by operation.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    counts: Mutex<BTreeMap<String, Count>>,
}

impl Calls {
    /// Counts a call, at `second` of the clock.
    pub(crate) fn count(&self, operation: &str, second: i64) {
        let mut counts = lock(&self.counts);
        let count = counts.entry(operation.to_owned()).or_default();
        if count.second != second {
            count.second = second;
            count.in_this_second = 0;
        }
        count.calls += 1;
        count.in_this_second += 1;
        count.busiest_second = count.busiest_second.max(count.in_this_second);
    }

    /// Counts a call that was answered with an error.
    pub(crate) fn count_refused(&self, operation: &str) {
        // The counts may have been reset since the call arrived.
        if let Some(count) = lock(&self.counts).get_mut(operation) {
            count.refused += 1;
        }
    }

    /// All counts, sorted by operation.
    pub(crate) fn report(&self) -> Value {
        let counts = lock(&self.counts);
        counts
            .iter()
            .map(|(operation, count)| {
                let count = json!({
                    "calls": count.calls,
                    "refused": count.refused,
                    "busiest_second": count.busiest_second,
                });
                (operation.clone(), count)
            })
            .collect()
    }

    /// Sets every count to zero.
    pub(crate) fn reset(&self) {
        lock(&self.counts).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_operation_and_second() {
        let calls = Calls::default();
        for second in [7, 7, 7, 8, 9, 9] {
            calls.count("sqs.SendMessage", second);
        }
        calls.count("s3.GET", 9);
        calls.count_refused("s3.GET");
        let expected = json!({
            "s3.GET": {"calls": 1, "refused": 1, "busiest_second": 1},
            "sqs.SendMessage": {"calls": 6, "refused": 0, "busiest_second": 3},
        });
        assert_eq!(calls.report(), expected);
        calls.reset();
        calls.count_refused("s3.GET");
        assert_eq!(calls.report(), json!({}));
    }
}
