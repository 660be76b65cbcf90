//! What the schedule counts, for the metrics.

/// How many requests have each status, and for how many seconds the oldest operation has been going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// They wait for a slot.
    pub valid: usize,
    /// Their accounts are being created.
    pub provisioning: usize,
    /// Access is being assigned.
    pub assigning: usize,
    /// Those of the last 14 days that succeeded.
    pub succeeded: usize,
    /// Those of the last 14 days that failed.
    pub failed: usize,
    /// The oldest operation.
    pub oldest_operation_seconds: usize,
}
