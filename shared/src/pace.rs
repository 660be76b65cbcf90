//! Staying under a published API rate.

use std::time::Duration;

use leaky_bucket::RateLimiter;

/// A published rate: a token bucket of `burst` calls that fills by `per_second`.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Calls a second.
    pub per_second: u32,
    /// Calls at once after a pause.
    pub burst: u32,
}

/// A token bucket in front of an API operation.
///
/// AWS throttles most of its control planes by token buckets per account and region, so a caller
/// that keeps one of its own below that is not throttled for its own doing.
#[derive(Debug)]
pub struct Pace(Option<RateLimiter>);

impl Pace {
    /// `per_second` calls a second after `burst` calls at once. 0 a second: no pace at all.
    #[must_use]
    pub fn new(per_second: f64, burst: u32) -> Self {
        if per_second <= 0.0 {
            return Self(None);
        }
        let burst = burst.max(1) as usize;
        Self(Some(
            RateLimiter::builder()
                .initial(burst)
                .max(burst)
                .refill(1)
                .interval(Duration::from_secs_f64(1.0 / per_second))
                .build(),
        ))
    }

    /// Waits until a call may be made.
    pub async fn wait(&self) {
        if let Some(limiter) = &self.0 {
            limiter.acquire_one().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    async fn milliseconds_for(calls: usize, pace: Pace) -> u128 {
        let start = Instant::now();
        for _ in 0..calls {
            pace.wait().await;
        }
        start.elapsed().as_millis()
    }

    #[tokio::test]
    async fn a_burst_goes_at_once_and_the_rest_waits() {
        let pace = Pace::new(20.0, 5);
        let burst = async {
            for _ in 0..5 {
                pace.wait().await;
            }
        };
        assert!(timeout(Duration::from_millis(40), burst).await.is_ok());
        assert!(
            timeout(Duration::from_millis(10), pace.wait())
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn the_rate_is_kept() {
        // Ten more than the burst at 50 a second: a fifth of a second, never less.
        assert!(milliseconds_for(15, Pace::new(50.0, 5)).await >= 180);
    }

    #[tokio::test]
    async fn no_rate_never_waits() {
        let pace = Pace::new(0.0, 1);
        let many = async {
            for _ in 0..1_000 {
                pace.wait().await;
            }
        };
        assert!(timeout(Duration::from_millis(1), many).await.is_ok());
    }
}
