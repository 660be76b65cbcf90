//! What the messages of a batch together request of one account: it is read once for all of them.

use orgkeeper_shared::account_directory::{
    live::Listed,
    task::{Account, Part, Task},
};

/// What is to be read of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Its name, its state and its organizational unit.
    pub placement: bool,
    /// Its tags.
    pub tags: bool,
    /// Its contacts.
    pub contact: bool,
}

impl Parts {
    /// Everything.
    pub const ALL: Self = Self {
        placement: true,
        tags: true,
        contact: true,
    };

    /// Just this part, or everything if none is said.
    #[must_use]
    pub fn of(only: Option<Part>) -> Self {
        let is = |part| only.is_none() || only == Some(part);
        Self {
            placement: is(Part::Placement),
            tags: is(Part::Tags),
            contact: is(Part::Contact),
        }
    }

    /// These and those.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            placement: self.placement || other.placement,
            tags: self.tags || other.tags,
            contact: self.contact || other.contact,
        }
    }
}

/// What is requested of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshRequest {
    /// What is to be read.
    pub parts: Parts,
    /// What a list of the organization said just now, if no message says that it changed later.
    pub listed: Option<Listed>,
    /// Re-enrich the account's findings even if nothing has changed.
    pub every_finding: bool,
    /// Names of organizational units that were read before this are read again (seconds since 1970).
    pub names_since: i64,
    /// An entry that was read since this is new enough (seconds since 1970), if every message says so.
    pub needed_since: Option<i64>,
    /// Whether somebody needs an entry, also of an account that the organization does not have.
    pub needed: bool,
}

/// How much older than a whole refresh the names of organizational units may be that it uses, in seconds: an hour.
const NAMES_OLDER_BY: i64 = 3_600;

impl RefreshRequest {
    /// What `task` requests of one of its accounts; `None` if it is another task.
    #[must_use]
    pub fn of(task: &Task, account: &Account) -> Option<Self> {
        let Task::Refresh {
            accounts: _,
            only,
            every_finding,
            refresh_began,
            needed_since,
        } = task
        else {
            return None;
        };
        Some(Self {
            parts: Parts::of(*only),
            listed: account.listed.clone(),
            every_finding: *every_finding,
            names_since: refresh_began.map_or(0, |began| began - NAMES_OLDER_BY),
            needed_since: *needed_since,
            needed: needed_since.is_some(),
        })
    }

    /// Both requests as one.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let has_list = |one: &Self| one.listed.is_some() || !one.parts.placement;
        let listed = if has_list(&self) && has_list(&other) {
            self.listed.or(other.listed)
        } else {
            None
        };
        Self {
            parts: self.parts.with(other.parts),
            listed,
            every_finding: self.every_finding || other.every_finding,
            names_since: self.names_since.max(other.names_since),
            needed_since: match (self.needed_since, other.needed_since) {
                (Some(one), Some(another)) => Some(one.max(another)),
                _ => None,
            },
            needed: self.needed || other.needed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_one_account_are_read_once() {
        let request = |only, name: Option<&str>| RefreshRequest {
            parts: Parts::of(only),
            listed: name.map(|name| Listed {
                name: name.into(),
                ..Listed::default()
            }),
            every_finding: false,
            names_since: 0,
            needed_since: None,
            needed: false,
        };
        let tags = request(Some(Part::Tags), None);
        let moved = request(Some(Part::Placement), None);
        let listed = request(None, Some("listed"));
        assert_eq!(tags.clone().with(listed.clone()), listed);
        // The list may have been read before the account was moved.
        assert_eq!(moved.clone().with(listed).listed, None);
        let both = tags.with(moved);
        assert!(both.parts.tags && both.parts.placement && !both.parts.contact);
    }

    #[test]
    fn an_entry_is_new_enough_only_if_every_message_says_so() {
        let account = Account {
            id: "111122223333".parse().unwrap(),
            listed: None,
        };
        let needed = |since| {
            let task = Task::entries_needed([account.id.clone()], since);
            RefreshRequest::of(&task, &account).unwrap()
        };
        let changed =
            RefreshRequest::of(&Task::refresh(account.id.clone(), None), &account).unwrap();
        assert_eq!(needed(1).with(needed(2)).needed_since, Some(2));
        let both = needed(1).with(changed);
        assert_eq!(both.needed_since, None);
        assert!(both.needed);
    }
}
