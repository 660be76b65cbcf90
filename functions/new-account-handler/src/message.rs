//! What a message of the uploads queue asks for.

use orgkeeper_shared::{
    lambda::Malformed,
    vending::{file::FileId, task::UploadsTask},
};
use serde::Deserialize;

use crate::csv::{MOST_BYTES, Refusal, shown};

/// The folder of the results, which is not for uploads.
pub const RESULTS: &str = "results/";

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A file has been uploaded.
    Upload(Upload),
    /// The last request of a file has ended: its results are written again.
    Results(FileId),
}

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Which file.
    pub file: FileId,
    /// How to ask for it.
    pub version: Version,
    /// Its size in bytes.
    pub size: u64,
    /// Its place among the uploads with this key, if S3 said it.
    pub sequencer: Option<String>,
}

/// What identifies a version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// Its version id.
    Id(String),
    /// Its entity tag, in a bucket without versions.
    Tag(String),
}

/// What is wrong with every other message.
const NEITHER: &str = "it is neither an upload to the accounts bucket nor a task";

/// A message as it comes. An event has much more; `detail` is as "Amazon S3 events" of the S3 user guide has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    Task(UploadsTask),
    Event {
        #[serde(rename = "detail-type")]
        detail_type: String,
        detail: Detail,
    },
}

#[derive(Deserialize)]
struct Detail {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Object {
    key: String,
    #[serde(default)]
    size: u64,
    etag: Option<String>,
    version_id: Option<String>,
    sequencer: Option<String>,
}

/// Reads the body of a message about the bucket `bucket`.
///
/// # Errors
/// If it is no such message.
pub fn read(body: &str, bucket: &str) -> Result<Message, Malformed> {
    match serde_json::from_str(body).map_err(|_| NEITHER)? {
        Raw::Task(UploadsTask::Results(file)) => Ok(Message::Results(file)),
        Raw::Event {
            detail_type,
            detail,
        } if detail_type == "Object Created" && detail.bucket.name == bucket => {
            let Object {
                key,
                size,
                etag,
                version_id,
                sequencer,
            } = detail.object;
            // A bucket whose versioning is suspended calls every version "null".
            let version_id = version_id.filter(|id| id != "null").map(Version::Id);
            let version = version_id.or(etag.map(Version::Tag)).ok_or(NEITHER)?;
            let (Version::Id(text) | Version::Tag(text)) = &version;
            Ok(Message::Upload(Upload {
                file: FileId {
                    key,
                    version: text.clone(),
                },
                version,
                size,
                sequencer,
            }))
        }
        Raw::Event { .. } => Err(NEITHER.into()),
    }
}

impl Upload {
    /// Whether it is a file of accounts: neither results nor a folder.
    #[must_use]
    pub fn is_file(&self) -> bool {
        !self.file.key.starts_with(RESULTS) && !self.file.key.ends_with('/')
    }

    /// Whether the upload with this sequencer is a later one of the same file.
    ///
    /// "Right pad the shorter value with zeros, and then do a lexicographical comparison" ("Event message
    /// structure" of the S3 user guide).
    #[must_use]
    pub fn is_before(&self, sequencer: &str) -> bool {
        let padded = |sequencer: &str| sequencer.trim_end_matches('0').to_owned();
        let own = self.sequencer.as_deref().map(padded);
        own.is_some_and(|own| own < padded(sequencer))
    }
}

/// Whether a key names a CSV.
#[must_use]
pub fn is_csv(key: &str) -> bool {
    key.rsplit_once('.')
        .is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("csv"))
}

/// Whether a file with this key and so many bytes is read at all.
///
/// # Errors
/// Why it is not.
pub fn acceptable(key: &str, size: u64) -> Result<(), Refusal> {
    if !is_csv(key) {
        return Err(Refusal(format!(
            "{} is not a CSV: its name has to end in .csv",
            shown(key)
        )));
    }
    if size > MOST_BYTES as u64 {
        return Err(Refusal::too_long());
    }
    Ok(())
}

/// The key of the results of the file with this key.
#[must_use]
pub fn results_key(key: &str) -> String {
    let extension = if is_csv(key) { "" } else { ".csv" };
    format!("{RESULTS}{key}{extension}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BUCKET: &str = "accounts";

    #[test]
    fn an_event_of_eventbridge_is_an_upload() {
        let event = include_str!("../../../events/new-account-handler/object-created.json");
        let Ok(Message::Upload(upload)) = read(event, "orgkeeper-accounts-111111111111") else {
            panic!("the sample event is no upload");
        };
        assert_eq!(upload.file.key, "teams/new accounts.csv");
        assert_eq!(upload.version, Version::Id(upload.file.version.clone()));
        assert_eq!(upload.size, 617);
        assert_eq!(read(event, BUCKET), Err(NEITHER.into()), "another bucket");
    }

    #[test]
    fn a_bucket_without_versions_has_entity_tags() {
        let event = |version| {
            let event = json!({ "detail-type": "Object Created", "detail": {
                "bucket": { "name": BUCKET },
                "object": { "key": "a.csv", "etag": "e1", "version-id": version } } });
            read(&event.to_string(), BUCKET)
        };
        for version in [json!(null), json!("null")] {
            let Ok(Message::Upload(upload)) = event(version) else {
                panic!("it is an upload");
            };
            assert_eq!(upload.version, Version::Tag("e1".to_owned()));
            assert_eq!(upload.file.version, "e1");
        }
    }

    #[test]
    fn later_uploads_come_after_earlier_ones() {
        let upload = |sequencer: Option<&str>| Upload {
            file: FileId {
                key: String::new(),
                version: String::new(),
            },
            version: Version::Tag(String::new()),
            size: 0,
            sequencer: sequencer.map(str::to_owned),
        };
        assert!(upload(Some("0062E99A88")).is_before("0062E99A881"));
        assert!(upload(Some("0062E99A88")).is_before("0062E99B"));
        assert!(!upload(Some("0062E99A88")).is_before("0062E99A8800"));
        assert!(!upload(Some("0062E99A881")).is_before("0062E99A88"));
        assert!(!upload(None).is_before("0062E99A88"));
    }

    #[test]
    fn a_task_is_read_and_nothing_else() {
        let task = include_str!("../../../events/new-account-handler/results.json");
        let Ok(Message::Results(file)) = read(task, BUCKET) else {
            panic!("the sample is no task");
        };
        assert_eq!(file.key, "teams/new accounts.csv");
        for body in ["", "{}", r#"{"task":"other"}"#, "[]"] {
            assert_eq!(read(body, BUCKET), Err(NEITHER.into()), "{body}");
        }
    }

    #[test]
    fn results_are_always_a_csv() {
        assert_eq!(results_key("a/b.CSV"), "results/a/b.CSV");
        assert_eq!(results_key("notes.txt"), "results/notes.txt.csv");
        assert_eq!(results_key("notes"), "results/notes.csv");
    }
}
