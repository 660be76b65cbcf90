//! The columns of the file.

use std::fmt;

use orgkeeper_shared::vending::request::ContactKind;

use crate::characters::bare;

/// A column of the file that has a name of its own; tags have columns beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// The account's name.
    AccountName,
    /// The e-mail address of the user who owns the account.
    SsoUserEmail,
    /// The account's e-mail address.
    AccountEmail,
    /// The first name of the user who owns the account.
    SsoUserFirstName,
    /// The last name of the user who owns the account.
    SsoUserLastName,
    /// The organizational unit that the account goes into.
    OrgUnit,
    /// Groups that get access, by name, separated by `;`.
    Groups,
    /// The permission sets that groups and users get, by name, separated by `;`.
    PermissionSet,
    /// Users that get access, by name or e-mail address, separated by `;`.
    Users,
    /// A part of an alternate contact of the account.
    Contact(ContactKind, ContactPart),
    /// Filled in the results: the status of the row's request.
    Status,
    /// Filled in the results: the account's id.
    AccountId,
    /// Filled in the results: what is wrong.
    ErrorMsg,
}

/// A part of an alternate contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContactPart {
    /// The name of a person or a team.
    Name,
    /// What this person or team is.
    Title,
    /// The e-mail address.
    Email,
    /// The telephone number.
    Phone,
}

impl ContactPart {
    /// Every part; AWS takes a contact with all of them only (`PutAlternateContact`).
    pub const ALL: [Self; 4] = [Self::Name, Self::Title, Self::Email, Self::Phone];
}

/// The columns with their names, but those of contacts.
const NAMES: [(Column, &str); 12] = [
    (Column::AccountName, "AccountName"),
    (Column::SsoUserEmail, "SSOUserEmail"),
    (Column::AccountEmail, "AccountEmail"),
    (Column::SsoUserFirstName, "SSOUserFirstName"),
    (Column::SsoUserLastName, "SSOUserLastName"),
    (Column::OrgUnit, "OrgUnit"),
    (Column::Groups, "Groups"),
    (Column::PermissionSet, "PermissionSet"),
    (Column::Users, "Users"),
    (Column::Status, "Status"),
    (Column::AccountId, "AccountId"),
    (Column::ErrorMsg, "ErrorMsg"),
];

impl Column {
    /// Those that a file needs, in the usual order.
    pub const REQUIRED: [Self; 6] = [
        Self::AccountName,
        Self::SsoUserEmail,
        Self::AccountEmail,
        Self::SsoUserFirstName,
        Self::SsoUserLastName,
        Self::OrgUnit,
    ];
    /// Those of them that say who owns the account: only Control Tower needs them.
    pub const OWNER: [Self; 3] = [
        Self::SsoUserEmail,
        Self::SsoUserFirstName,
        Self::SsoUserLastName,
    ];
    /// Those that say who gets access.
    pub const ACCESS: [Self; 3] = [Self::Groups, Self::PermissionSet, Self::Users];
    /// Those that the results fill in.
    pub const FILLED: [Self; 3] = [Self::Status, Self::AccountId, Self::ErrorMsg];

    /// Every column.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        let contacts = ContactKind::ALL.into_iter().flat_map(|kind| {
            let parts = ContactPart::ALL.into_iter();
            parts.map(move |part| Self::Contact(kind, part))
        });
        let named = NAMES.iter().map(|(column, _)| *column);
        named.chain(contacts)
    }

    /// As the header names it.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Contact(kind, part) => format!("{kind:?}Contact{part:?}"),
            _ => NAMES
                .iter()
                .find(|(column, _)| *column == self)
                .map(|(_, name)| (*name).to_owned())
                .unwrap_or_default(),
        }
    }

    /// The column that a cell of the header names, in any case.
    pub(super) fn named(cell: &str) -> Option<Self> {
        // The spelling of the AWS sample's own header.
        if cell.eq_ignore_ascii_case("ErrroMsg") {
            return Some(Self::ErrorMsg);
        }
        Self::all().find(|column| cell.eq_ignore_ascii_case(&column.name()))
    }
}

impl fmt::Display for Column {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())
    }
}

/// What begins the name of a column of tags.
const TAG: &str = "tag:";

/// What a cell of the header names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heading {
    /// A column with a name of its own.
    Column(Column),
    /// `tag:<Key>`: the tags with this key.
    Tag(String),
    /// Nothing, or nothing that is known.
    Other(String),
}

impl Heading {
    /// What this cell names.
    pub(super) fn of(cell: &str) -> Self {
        let text = bare(cell);
        let prefix = text.get(..TAG.len()).unwrap_or_default();
        match Column::named(text) {
            Some(column) => Self::Column(column),
            None if prefix.eq_ignore_ascii_case(TAG) => {
                Self::Tag(text[TAG.len()..].trim().to_owned())
            }
            None => Self::Other(cell.to_owned()),
        }
    }

    /// As the results write it.
    pub(super) fn written(&self) -> String {
        match self {
            Self::Column(column) => column.name(),
            Self::Tag(key) => format!("{TAG}{key}"),
            Self::Other(text) => text.clone(),
        }
    }

    /// Whether it is known.
    pub(super) fn is_known(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

/// The names of columns, as a header has them.
pub(super) fn list(columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| column.name()).collect();
    names.join(",")
}
