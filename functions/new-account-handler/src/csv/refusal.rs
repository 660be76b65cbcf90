//! Why nothing of a file is read.

/// What tells a person how to save a file that this can read.
pub(super) const SAVE_AS: &str = "save it as \"CSV UTF-8\"";

/// Why nothing of a file is read, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Refusal {
    /// The file has more bytes than a file may have.
    #[must_use]
    pub fn too_long() -> Self {
        Self("the file is longer than 5 MB: split it into several files".to_owned())
    }
}
