//! The accounts bucket: files and their results.

use aws_sdk_s3::{
    Client, error::SdkError, operation::get_object::GetObjectError, primitives::ByteStream,
};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    vending::file::FileId,
};

use crate::{
    csv::MOST_BYTES,
    message::{Upload, Version, results_key},
};

/// The metadata of results that say which version of the file they are of.
const SOURCE_VERSION: &str = "source-version";
/// The metadata of results that say that version's place among all of the file.
const SOURCE_SEQUENCER: &str = "source-sequencer";

/// The content of a file.
#[derive(Debug)]
pub enum Content {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It is longer than a file may be.
    TooLong,
    /// This version of it was deleted.
    Deleted,
}

/// The results of a file as they are.
#[derive(Debug)]
pub struct Results {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// The version of the file that they are of.
    pub version: Option<String>,
    /// What identifies this state of them.
    tag: Option<String>,
    sequencer: Option<String>,
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
            Ok(object) => Ok(match bytes(object.body, MOST_BYTES).await? {
                Some(bytes) => Content::Bytes(bytes),
                None => Content::TooLong,
            }),
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

    /// The results of the file with this key, whichever version of it they are of.
    ///
    /// # Errors
    /// If the call fails for another reason than that there are none.
    pub async fn results(&self, key: &str) -> Result<Option<Results>, AwsCallError> {
        let answer = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(results_key(key))
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
        let tag = object.e_tag.clone();
        let bytes = bytes(object.body, usize::MAX).await?;
        Ok(bytes.map(|bytes| Results {
            bytes,
            version,
            tag,
            sequencer,
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
        let sequencer = upload.sequencer.clone();
        self.put_results(&upload.file, bytes, sequencer, over).await
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
        let sequencer = over.sequencer.clone();
        self.put_results(file, bytes, sequencer, Some(over)).await
    }

    async fn put_results(
        &self,
        file: &FileId,
        bytes: Vec<u8>,
        sequencer: Option<String>,
        over: Option<&Results>,
    ) -> Result<(), AwsCallError> {
        const OPERATION: &str = "PutObject";
        let mut request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(results_key(&file.key))
            .content_type("text/csv; charset=utf-8")
            .metadata(SOURCE_VERSION, &file.version)
            .body(ByteStream::from(bytes));
        if let Some(sequencer) = sequencer {
            request = request.metadata(SOURCE_SEQUENCER, sequencer);
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
