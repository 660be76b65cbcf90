//! The uploaded file that a request came from.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One version of an object in the accounts bucket. Written as `<version>#<key>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId {
    /// The object's key.
    pub key: String,
    /// Its version id, or its entity tag in a bucket without versions.
    pub version: String,
}

/// The text names no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file reads <version>#<key>")]
pub struct InvalidFileId;

impl fmt::Display for FileId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#{}", self.version, self.key)
    }
}

impl FromStr for FileId {
    type Err = InvalidFileId;

    fn from_str(text: &str) -> Result<Self, InvalidFileId> {
        let (version, key) = text.split_once('#').ok_or(InvalidFileId)?;
        Ok(Self {
            key: key.to_owned(),
            version: version.to_owned(),
        })
    }
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileProgress {
    /// Its requests that have not ended.
    pub open: u64,
    /// Whether all of its rows have been processed.
    pub processed: bool,
}

impl FileProgress {
    /// Whether every request of the file has ended.
    #[must_use]
    pub fn ended(self) -> bool {
        self.processed && self.open == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_is_written() {
        let file = FileId {
            key: "team/#1 accounts.csv".to_owned(),
            version: "v1".to_owned(),
        };
        assert_eq!(file.to_string().parse(), Ok(file));
        assert_eq!("accounts.csv".parse::<FileId>(), Err(InvalidFileId));
    }
}
