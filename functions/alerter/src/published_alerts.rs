//! How many alerts were published, by severity, for the metrics.

use std::sync::atomic::{AtomicUsize, Ordering};

use orgkeeper_shared::alert::Severity;

/// The severities and the names of their metrics.
const METRICS: [(Severity, &str); 3] = [
    (Severity::Critical, "AlertsCritical"),
    (Severity::Error, "AlertsError"),
    (Severity::Info, "AlertsInfo"),
];

/// Alerts that were published since they were last counted.
#[derive(Debug, Default)]
pub struct PublishedAlerts([AtomicUsize; METRICS.len()]);

impl PublishedAlerts {
    /// Counts an alert.
    pub fn add(&self, severity: Severity) {
        for ((of, _), count) in METRICS.iter().zip(&self.0) {
            count.fetch_add(usize::from(*of == severity), Ordering::Relaxed);
        }
    }

    /// The counts by the names of their metrics, without those that are zero.
    pub fn take(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let counts = METRICS.iter().zip(&self.0);
        counts
            .map(|((_, name), count)| (*name, count.swap(0, Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_counted_once() {
        let published = PublishedAlerts::default();
        published.add(Severity::Error);
        published.add(Severity::Info);
        published.add(Severity::Info);
        let counted: Vec<_> = published.take().collect();
        assert_eq!(counted, [("AlertsError", 1), ("AlertsInfo", 2)]);
        assert_eq!(published.take().count(), 0);
    }
}
