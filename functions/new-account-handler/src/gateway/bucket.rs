//! The accounts bucket: files and their results.

use aws_sdk_s3::{
    Client, error::SdkError, operation::get_object::GetObjectError, primitives::ByteStream,
};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    vending::file::FileId,
};

use crate::{
    csv::{MOST_BYTES, content_type},
    message::{Upload, Version, results_key},
};

/// The metadata of results that say which version of the file they are of.
const SOURCE_VERSION: &str = "source-version";
/// The metadata of results that say that version's place among all of the file.
const SOURCE_SEQUENCER: &str = "source-sequencer";

/// The metadata of results of a check that say which version of the results it was written over.
const RESULTS_BEFORE: &str = "results-before";

/// The metadata of a file that say what is done with it.
pub const MODE: &str = "orgkeeper-mode";
/// The mode of a file that is only checked.
pub const CHECK: &str = "check";

/// The content of a file.
#[derive(Debug)]
pub enum Content {
    /// Its bytes.
    Bytes {
        /// All of them.
        bytes: Vec<u8>,
        /// What its metadata [`MODE`] say, if they say anything.
        mode: Option<String>,
    },
    /// It is longer than a file may be.
    TooLong,
    /// This version of it was deleted.
    Deleted,
}

/// The results of the version of a file that was processed last.
#[derive(Debug)]
pub struct Results {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// The version of the file that they are of.
    pub version: Option<String>,
    /// What identifies the state of the object.
    tag: Option<String>,
    sequencer: Option<String>,
    /// The version of the object that they are.
    object_version: Option<String>,
}

impl Results {
    /// Whether they are of a later version of the file than this upload.
    #[must_use]
    pub fn are_later_than(&self, upload: &Upload) -> bool {
        let sequencer = self.sequencer.as_ref();
        self.version.as_ref() != Some(&upload.file.version)
            && sequencer.is_some_and(|sequencer| upload.is_before(sequencer))
    }
}

/// The gateway to the bucket.
#[derive(Debug)]
pub struct Bucket {
    client: Client,
    name: String,
}

impl Bucket {
    /// What reading files calls.
    pub const READ: &[&str] = &["s3:GetObject", "s3:GetObjectVersion"];
    /// Without it S3 answers "denied" for an object that does not exist.
    pub const FIND: &[&str] = &["s3:ListBucket"];
    /// What writing results calls.
    pub const WRITE: &[&str] = &["s3:PutObject"];

    /// A gateway over `client` to the bucket with this name.
    #[must_use]
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of a file that was uploaded.
    ///
    /// # Errors
    /// If the call fails for another reason than that the version was deleted.
    pub async fn file(&self, upload: &Upload) -> Result<Content, AwsCallError> {
        let request = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(&upload.file.key);
        let request = match &upload.version {
            Version::Id(id) => request.version_id(id),
            Version::Tag(tag) => request.if_match(format!("\"{tag}\"")),
        };
        match request.send().await {
            Ok(object) => {
                let mode = object.metadata().and_then(|metadata| metadata.get(MODE));
                let mode = mode.cloned();
                Ok(match bytes(object.body, MOST_BYTES).await? {
                    Some(bytes) => Content::Bytes { bytes, mode },
                    None => Content::TooLong,
                })
            }
            Err(error) => {
                let error = failed("GetObject", &error);
                match error.class() {
                    AwsErrorClass::NotFound | AwsErrorClass::ConditionFailed => {
                        Ok(Content::Deleted)
                    }
                    _ => Err(error),
                }
            }
        }
    }

    /// The results of the file with this key, whichever version of it they are of. Where a check was written over
    /// results, those: a check changes nothing about what was started.
    ///
    /// # Errors
    /// If a call fails for another reason than that there are none.
    pub async fn results(&self, key: &str) -> Result<Option<Results>, AwsCallError> {
        let Some((latest, before)) = self.version_of_results(key, None).await? else {
            return Ok(None);
        };
        if before.is_none() {
            return Ok(Some(latest));
        }
        let processed = self.version_of_results(key, before).await?;
        Ok(Some(match processed {
            Some((processed, _)) => Results {
                tag: latest.tag,
                ..processed
            },
            None => latest,
        }))
    }

    /// A version of the results or, without one, the latest; and which version a check was written over.
    async fn version_of_results(
        &self,
        key: &str,
        version: Option<String>,
    ) -> Result<Option<(Results, Option<String>)>, AwsCallError> {
        let answer = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(results_key(key))
            .set_version_id(version)
            .send()
            .await;
        let object = match answer {
            Ok(object) => object,
            Err(error) => {
                let error = failed("GetObject", &error);
                return match error.class() {
                    AwsErrorClass::NotFound => Ok(None),
                    _ => Err(error),
                };
            }
        };
        let of_metadata = |name: &str| object.metadata()?.get(name).cloned();
        let version = of_metadata(SOURCE_VERSION);
        let sequencer = of_metadata(SOURCE_SEQUENCER);
        let before = of_metadata(RESULTS_BEFORE);
        let object_version = object.version_id.clone();
        let tag = object.e_tag.clone();
        let bytes = bytes(object.body, usize::MAX).await?;
        Ok(bytes.map(|bytes| {
            let results = Results {
                bytes,
                version,
                tag,
                sequencer,
                object_version,
            };
            (results, before)
        }))
    }

    /// Writes the results of an upload in place of those that were read, or of none.
    ///
    /// # Errors
    /// If the call fails; [`Conflict`](AwsErrorClass::Conflict) if another invocation writes them too.
    pub async fn write_results(
        &self,
        upload: &Upload,
        over: Option<&Results>,
        bytes: Vec<u8>,
    ) -> Result<(), AwsCallError> {
        let metadata = [(SOURCE_SEQUENCER, upload.sequencer.clone())];
        self.put_results(&upload.file, bytes, metadata, over).await
    }

    /// Writes what a check of a file says in place of the results that were read, or of none.
    ///
    /// # Errors
    /// As [`write_results`](Self::write_results).
    pub async fn write_check(
        &self,
        upload: &Upload,
        over: Option<&Results>,
        bytes: Vec<u8>,
    ) -> Result<(), AwsCallError> {
        let of_processed =
            |get: fn(&Results) -> &Option<String>| over.and_then(|it| get(it).clone());
        let metadata = [
            (SOURCE_SEQUENCER, of_processed(|it| &it.sequencer)),
            (RESULTS_BEFORE, of_processed(|it| &it.object_version)),
        ];
        self.put_results(&upload.file, bytes, metadata, over).await
    }

    /// Writes the results of a file again, over these.
    ///
    /// # Errors
    /// If the call fails; [`Conflict`](AwsErrorClass::Conflict) if they have changed.
    pub async fn rewrite_results(
        &self,
        file: &FileId,
        over: &Results,
        bytes: Vec<u8>,
    ) -> Result<(), AwsCallError> {
        let metadata = [(SOURCE_SEQUENCER, over.sequencer.clone())];
        self.put_results(file, bytes, metadata, Some(over)).await
    }

    async fn put_results(
        &self,
        file: &FileId,
        bytes: Vec<u8>,
        metadata: impl IntoIterator<Item = (&'static str, Option<String>)>,
        over: Option<&Results>,
    ) -> Result<(), AwsCallError> {
        const OPERATION: &str = "PutObject";
        let mut request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(results_key(&file.key))
            .content_type(content_type(&bytes))
            .metadata(SOURCE_VERSION, &file.version)
            .body(ByteStream::from(bytes));
        for (name, value) in metadata {
            if let Some(value) = value {
                request = request.metadata(name, value);
            }
        }
        request = match over {
            None => request.if_none_match("*"),
            Some(results) => request.set_if_match(results.tag.clone()),
        };
        request.send().await.map(drop).map_err(|error| {
            let error = failed(OPERATION, &error);
            match error.class() {
                AwsErrorClass::ConditionFailed | AwsErrorClass::NotFound => {
                    AwsCallError::overtaken(OPERATION)
                }
                _ => error,
            }
        })
    }
}

/// All of an object, unless it has more than `most` bytes.
async fn bytes(mut body: ByteStream, most: usize) -> Result<Option<Vec<u8>>, AwsCallError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| {
            failed::<GetObjectError>("GetObject", &SdkError::timeout_error(error))
        })?;
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

fn failed<E>(operation: &'static str, error: &SdkError<E>) -> AwsCallError
where
    E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::S3, operation, error)
}
