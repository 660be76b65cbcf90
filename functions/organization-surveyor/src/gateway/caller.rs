//! How many calls are in flight, and what is called again.

use std::time::Duration;

use orgkeeper_shared::{aws_error::AwsCallError, pace::Pace};
use tokio::sync::Semaphore;

/// Calls in flight, for all accounts and Regions of an invocation together.
const IN_FLIGHT: usize = 64;
/// Attempts of a call that fails for a reason that passes. The SDK's own retries are off: they would hold a place.
const ATTEMPTS: u32 = 6;
/// The longest wait before the second attempt; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// Makes the calls in accounts.
#[derive(Debug)]
pub struct Caller {
    places: Semaphore,
}

impl Default for Caller {
    fn default() -> Self {
        Self {
            places: Semaphore::new(IN_FLIGHT),
        }
    }
}

impl Caller {
    /// Makes a call as soon as there is a place; again, if it fails for a reason that passes.
    ///
    /// # Errors
    /// Those of the last attempt.
    pub async fn call<T>(
        &self,
        attempt: impl AsyncFn() -> Result<T, AwsCallError>,
    ) -> Result<T, AwsCallError> {
        self.paced(&Pace::new(0.0, 0), attempt).await
    }

    /// Makes a call at this pace. A call that waits for the pace has no place yet: the calls of others go on.
    ///
    /// # Errors
    /// Those of the last attempt.
    pub async fn paced<T>(
        &self,
        pace: &Pace,
        attempt: impl AsyncFn() -> Result<T, AwsCallError>,
    ) -> Result<T, AwsCallError> {
        let mut backoff = FIRST_BACKOFF;
        for _ in 1..ATTEMPTS {
            match self.once(pace, &attempt).await {
                Err(error) if error.class().transient() => {
                    tokio::time::sleep(backoff.mul_f64(f64::midpoint(fastrand::f64(), 1.0))).await;
                    backoff *= 2;
                }
                answer => return answer,
            }
        }
        self.once(pace, &attempt).await
    }

    async fn once<T>(
        &self,
        pace: &Pace,
        attempt: &impl AsyncFn() -> Result<T, AwsCallError>,
    ) -> Result<T, AwsCallError> {
        pace.wait().await;
        // It is never closed.
        let _place = self.places.acquire().await.ok();
        attempt().await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_than_64_calls_are_in_flight() {
        let (caller, now, most) = (Caller::default(), Cell::new(0), Cell::new(0));
        let call = async || {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            tokio::time::sleep(Duration::from_millis(10)).await;
            now.set(now.get() - 1);
            Ok::<(), AwsCallError>(())
        };
        let calls = (0..500).map(|_| caller.call(&call));
        assert!(join_all(calls).await.iter().all(Result::is_ok));
        assert_eq!(most.get(), IN_FLIGHT);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_wait_for_their_pace_hold_up_no_others() {
        let (caller, pace) = (Caller::default(), Pace::new(1.0, 1));
        let began = tokio::time::Instant::now();
        let call = async || Ok::<(), AwsCallError>(());
        let slow = join_all((0..=IN_FLIGHT).map(|_| caller.paced(&pace, call)));
        let other = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            caller.call(call).await.unwrap();
            began.elapsed()
        };
        let (slow, other) = futures::future::join(slow, other).await;
        assert!(slow.iter().all(Result::is_ok));
        assert!(other < Duration::from_millis(100), "{other:?}");
        assert!(began.elapsed() >= Duration::from_mins(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_called_again_and_the_rest_is_not() {
        let (caller, attempts) = (Caller::default(), Cell::new(0));
        let throttled = caller.call(async || {
            attempts.set(attempts.get() + 1);
            Err::<(), _>(AwsCallError::unfinished("DescribeRegions"))
        });
        assert!(throttled.await.is_err());
        assert_eq!(attempts.take(), ATTEMPTS);
        let gone = caller.call(async || {
            attempts.set(attempts.get() + 1);
            Err::<(), _>(AwsCallError::not_found("DescribeRegions", "none"))
        });
        assert!(gone.await.is_err());
        assert_eq!(attempts.take(), 1);
    }
}
