//! The object in a bucket that is the file.

use crate::aws_error::{AwsCallError, AwsErrorClass, Service};
use aws_sdk_s3::{
    Client,
    error::SdkError,
    operation::get_object::GetObjectOutput,
    primitives::{ByteStream, DateTime},
};

/// What S3 answers if the object has not changed.
const NOT_MODIFIED: u16 = 304;
/// Bytes that a file may have.
const MOST_BYTES: i64 = 1_000_000;
/// Earlier versions that are looked at.
const MOST_VERSIONS: i32 = 100;

/// What the bucket has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No such file.
    Nothing,
    /// The file that was read before.
    Unchanged,
    /// A version of it.
    Version(Version),
}

/// A version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its id; in a bucket without versions its tag.
    pub id: String,
    /// What identifies its content.
    pub tag: String,
    /// Its text, or why it is none.
    pub text: Result<String, &'static str>,
}

/// A gateway to the object.
#[derive(Debug)]
pub struct VersionedObject {
    client: Client,
    bucket: String,
    key: &'static str,
}

impl VersionedObject {
    /// What reading the object calls.
    pub const READ: &[&str] = &["s3:GetObject", "s3:GetObjectVersion"];
    /// What listing its versions calls, on the bucket. Without `ListBucket` S3 answers "denied" for an object that does not
    /// exist.
    pub const FIND: &[&str] = &["s3:ListBucket", "s3:ListBucketVersions"];

    /// A gateway over `client` to the object with this key in this bucket.
    #[must_use]
    pub fn new(client: Client, bucket: String, key: &'static str) -> Self {
        Self {
            client,
            bucket,
            key,
        }
    }

    /// The file as it is now, unless `known` is its tag.
    ///
    /// # Errors
    /// If the call fails for another reason than that there is none.
    pub async fn read(&self, known: Option<&str>) -> Result<Found, AwsCallError> {
        let answer = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(self.key)
            .set_if_none_match(known.map(str::to_owned))
            .send()
            .await;
        match answer {
            Ok(object) => Ok(Found::Version(version_of(object).await?)),
            Err(error) if status(&error) == Some(NOT_MODIFIED) => Ok(Found::Unchanged),
            Err(error) => {
                let error = failed("GetObject", &error);
                match error.class() {
                    AwsErrorClass::NotFound => Ok(Found::Nothing),
                    _ => Err(error),
                }
            }
        }
    }

    /// The ids of the versions before the current one, the newest first, back to where the file was deleted.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn earlier(&self) -> Result<Vec<String>, AwsCallError> {
        let answer = self
            .client
            .list_object_versions()
            .bucket(&self.bucket)
            .prefix(self.key)
            .max_keys(MOST_VERSIONS)
            .send()
            .await
            .map_err(|error| failed("ListObjectVersions", &error))?;
        let deleted = answer
            .delete_markers()
            .iter()
            .filter(|marker| marker.key() == Some(self.key))
            .filter_map(|marker| marker.last_modified().copied())
            .max_by_key(DateTime::as_nanos);
        let versions = answer.versions().iter().filter(|version| {
            let since = deleted.is_none_or(|deleted| {
                version
                    .last_modified()
                    .is_some_and(|time| time.as_nanos() > deleted.as_nanos())
            });
            version.key() == Some(self.key) && version.is_latest() != Some(true) && since
        });
        Ok(versions
            .filter_map(|version| version.version_id().map(str::to_owned))
            .collect())
    }

    /// An earlier version, if it still exists.
    ///
    /// # Errors
    /// If the call fails for another reason than that there is none.
    pub async fn version(&self, id: &str) -> Result<Option<Version>, AwsCallError> {
        let answer = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(self.key)
            .version_id(id)
            .send()
            .await;
        match answer {
            Ok(object) => version_of(object).await.map(Some),
            Err(error) => {
                let error = failed("GetObject", &error);
                match error.class() {
                    AwsErrorClass::NotFound => Ok(None),
                    _ => Err(error),
                }
            }
        }
    }
}

async fn version_of(object: GetObjectOutput) -> Result<Version, AwsCallError> {
    let tag = object.e_tag.unwrap_or_default();
    let id = object
        .version_id
        .filter(|id| !id.is_empty() && id != "null");
    let too_long = object
        .content_length
        .is_some_and(|bytes| bytes > MOST_BYTES);
    Ok(Version {
        id: id.unwrap_or_else(|| tag.clone()),
        tag,
        text: if too_long {
            Err("line 1: the file has more than a million bytes")
        } else {
            text_of(object.body).await?
        },
    })
}

async fn text_of(body: ByteStream) -> Result<Result<String, &'static str>, AwsCallError> {
    let bytes = body.collect().await.map_err(|error| {
        let error: SdkError<aws_sdk_s3::operation::get_object::GetObjectError> =
            SdkError::timeout_error(error);
        failed("GetObject", &error)
    })?;
    let text = String::from_utf8(bytes.to_vec());
    Ok(text.map_err(|_| "line 1: the file is no text in UTF-8"))
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

fn failed<E>(operation: &'static str, error: &SdkError<E>) -> AwsCallError
where
    E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::S3, operation, error)
}
