//! Optimistic concurrency: read, change, write under the condition that nobody else wrote in between.

use crate::aws_error::AwsCallError;

/// Makes `attempt` until it gives a value. It gives `None` where another writer was faster: the next attempt
/// reads again.
///
/// # Errors
/// If an attempt fails, or if others were faster in each of `attempts`; `operation` is the call that lost.
pub async fn update<T, E: From<AwsCallError>>(
    operation: &'static str,
    attempts: u32,
    mut attempt: impl AsyncFnMut() -> Result<Option<T>, E>,
) -> Result<T, E> {
    for _ in 0..attempts {
        if let Some(value) = attempt().await? {
            return Ok(value);
        }
    }
    Err(AwsCallError::overtaken(operation).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_attempted_again_until_no_other_writer_is_faster() {
        let mut made = 0;
        let value = update("PutItem", 3, async || {
            made += 1;
            Ok::<_, AwsCallError>((made == 3).then_some(made))
        });
        assert_eq!(value.await.ok(), Some(3));
    }

    #[tokio::test]
    async fn a_writer_that_always_loses_can_be_retried_later() {
        let mut made = 0;
        let lost = update("PutItem", 3, async || {
            made += 1;
            Ok::<Option<()>, AwsCallError>(None)
        });
        let error = lost.await.err();
        assert_eq!(made, 3);
        assert!(error.is_some_and(|error| error.retryable()));
    }

    #[tokio::test]
    async fn an_error_ends_it() {
        let mut made = 0;
        let failed = update("PutItem", 3, async || {
            made += 1;
            Err::<Option<()>, _>(AwsCallError::unfinished("GetItem"))
        });
        assert!(failed.await.is_err());
        assert_eq!(made, 1);
    }
}
