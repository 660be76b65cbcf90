//! The accounts bucket: files and their results.

use std::collections::HashMap;

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

/// The metadata of a file that say what is done with it.
pub const MODE: &str = "orgkeeper-mode";

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

/// The results of a file as they are.
#[derive(Debug)]
pub struct Results {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// What identifies this state of them.
    tag: Option<String>,
    sequencer: Option<String>,
}

/// What has to be there when results are written.
enum Over {
    Nothing,
    /// What has this tag.
    Tag(Option<String>),
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

    /// The results of a file, if there are any of this version of it.
    ///
    /// # Errors
    /// If the call fails for another reason than that there are none.
    pub async fn results(&self, file: &FileId) -> Result<Option<Results>, AwsCallError> {
        let answer = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(results_key(&file.key))
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
        let of_version = object
            .metadata()
            .and_then(|metadata| metadata.get(SOURCE_VERSION));
        if of_version != Some(&file.version) {
            return Ok(None);
        }
        let sequencer = sequencer_of(object.metadata());
        let tag = object.e_tag.clone();
        let bytes = bytes(object.body, usize::MAX).await?;
        Ok(bytes.map(|bytes| Results {
            bytes,
            tag,
            sequencer,
        }))
    }

    /// Writes the results of an upload, unless those of a later one are there.
    ///
    /// # Errors
    /// If a call fails; [`Conflict`](AwsErrorClass::Conflict) if another invocation writes them too.
    pub async fn write_results(&self, upload: &Upload, bytes: Vec<u8>) -> Result<(), AwsCallError> {
        let head = self
            .client
            .head_object()
            .bucket(&self.name)
            .key(results_key(&upload.file.key))
            .send()
            .await
            .map_err(|error| failed("HeadObject", &error));
        let over = match head {
            Ok(existing) => {
                let later = sequencer_of(existing.metadata());
                if later.is_some_and(|later| upload.is_before(&later)) {
                    tracing::info!(
                        file.key = upload.file.key,
                        "the results of a later upload are kept"
                    );
                    return Ok(());
                }
                Over::Tag(existing.e_tag)
            }
            Err(error) if error.class() == AwsErrorClass::NotFound => Over::Nothing,
            Err(error) => return Err(error),
        };
        self.put_results(&upload.file, bytes, upload.sequencer.clone(), over)
            .await
    }

    /// Writes the results of a file again, over these.
    ///
    /// # Errors
    /// If the call fails; [`Conflict`](AwsErrorClass::Conflict) if they have changed.
    pub async fn rewrite_results(
        &self,
        file: &FileId,
        over: Results,
        bytes: Vec<u8>,
    ) -> Result<(), AwsCallError> {
        self.put_results(file, bytes, over.sequencer, Over::Tag(over.tag))
            .await
    }

    async fn put_results(
        &self,
        file: &FileId,
        bytes: Vec<u8>,
        sequencer: Option<String>,
        over: Over,
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
        if let Some(sequencer) = sequencer {
            request = request.metadata(SOURCE_SEQUENCER, sequencer);
        }
        request = match over {
            Over::Nothing => request.if_none_match("*"),
            Over::Tag(tag) => request.set_if_match(tag),
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

fn sequencer_of(metadata: Option<&HashMap<String, String>>) -> Option<String> {
    metadata?.get(SOURCE_SEQUENCER).cloned()
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
