//! The reports in the bucket.

use aws_sdk_s3::{Client, primitives::ByteStream};
use orgkeeper_shared::aws_error::{AwsCallError, Service};

/// A gateway to the reports.
#[derive(Debug)]
pub struct Reports {
    client: Client,
    bucket: String,
}

impl Reports {
    /// What it calls.
    pub const CALLS: &[&str] = &["s3:PutObject"];

    /// A gateway over `client` to the reports in this bucket.
    #[must_use]
    pub fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Writes a report over the one of the same key.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn write(
        &self,
        key: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), AwsCallError> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .body(ByteStream::from(body))
            .send()
            .await
            .map(drop)
            .map_err(|error| AwsCallError::new(Service::S3, "PutObject", &error))
    }
}
