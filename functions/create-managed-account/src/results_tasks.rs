//! Which files have a task in progress that writes their results again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use orgkeeper_shared::vending::file::FileId;

/// How much later the results of a file are written after one of its rows changed: several changes are one task.
pub const DELAY: Duration = Duration::from_secs(20);

/// The delayed tasks that this instance of the function has sent, by their files, with the time they are due at.
///
/// A task reads the rows when it is due, and so shows every change before that. Another instance sends its own.
#[derive(Debug, Default)]
pub struct ResultsTasks {
    due: Mutex<HashMap<FileId, Timestamp>>,
}

impl ResultsTasks {
    /// Whether a task for this file is due after `now`.
    #[must_use]
    pub fn has_one_after(&self, file: &FileId, now: Timestamp) -> bool {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.get(file).is_some_and(|due| *due > now)
    }

    /// Remembers the delayed tasks for these files, which were sent at `now` or later.
    pub fn sent(&self, files: impl IntoIterator<Item = FileId>, now: Timestamp) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.retain(|_, due| *due > now);
        due.extend(files.into_iter().map(|file| (file, now + DELAY)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_shows_what_changes_before_it_is_due() {
        let file = |key: &str| FileId {
            key: key.to_owned(),
            version: "v1".to_owned(),
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let tasks = ResultsTasks::default();
        tasks.sent([file("a.csv")], at(100));
        assert!(tasks.has_one_after(&file("a.csv"), at(119)));
        assert!(!tasks.has_one_after(&file("a.csv"), at(120)));
        assert!(!tasks.has_one_after(&file("b.csv"), at(100)));
        tasks.sent([file("b.csv")], at(130));
        assert!(!tasks.has_one_after(&file("a.csv"), at(100)), "forgotten");
    }
}
