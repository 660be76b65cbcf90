//! A row of the file, and what is wrong with it.

use std::collections::BTreeMap;

use super::column::Column;

/// What is wrong with a row, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The column that it is in; nothing for the row as a whole, or a tag.
    pub column: Option<Column>,
    /// The key of the tag that it is in.
    pub tag: Option<String>,
    /// What is wrong, and what to do.
    pub text: String,
}

impl Fault {
    /// A fault of one cell.
    pub fn of(column: Column, text: impl Into<String>) -> Self {
        Self {
            column: Some(column),
            tag: None,
            text: text.into(),
        }
    }

    /// A fault of the tag with this key.
    pub fn of_tag(key: &str, text: impl Into<String>) -> Self {
        Self {
            column: None,
            tag: Some(key.to_owned()),
            text: text.into(),
        }
    }

    /// A fault of the row as a whole.
    pub fn of_row(text: impl Into<String>) -> Self {
        Self {
            column: None,
            tag: None,
            text: text.into(),
        }
    }
}

/// A row of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The line of the file that it begins in.
    pub line: usize,
    /// What is wrong with its form.
    pub faults: Vec<Fault>,
    cells: BTreeMap<Column, String>,
    tags: BTreeMap<String, String>,
    /// Cells that belong to no column, by their place.
    pub(super) others: BTreeMap<usize, String>,
    /// The comments and empty lines before it.
    pub(super) before: String,
}

impl Row {
    /// An empty row in this line.
    #[must_use]
    pub fn at(line: usize) -> Self {
        Self {
            line,
            ..Self::default()
        }
    }

    /// A cell, without blanks around it; empty if the file does not have the column.
    #[must_use]
    pub fn get(&self, column: Column) -> &str {
        self.as_written(column).trim()
    }

    /// A cell with the blanks around it.
    #[must_use]
    pub fn as_written(&self, column: Column) -> &str {
        self.cells.get(&column).map_or("", String::as_str)
    }

    /// Fills a cell.
    pub fn set(&mut self, column: Column, text: &str) {
        self.cells.insert(column, text.to_owned());
    }

    /// The tags that it names, values by keys; an empty cell names none.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        let tags = self.tags.iter();
        tags.map(|(key, value)| (key.as_str(), value.trim()))
            .filter(|(_, value)| !value.is_empty())
    }

    /// The cell of the tags with this key, with the blanks around it.
    #[must_use]
    pub(super) fn tag_as_written(&self, key: &str) -> &str {
        self.tags.get(key).map_or("", String::as_str)
    }

    /// Fills the cell of the tags with this key.
    pub fn set_tag(&mut self, key: &str, value: &str) {
        self.tags.insert(key.to_owned(), value.to_owned());
    }

    /// The table's key for the row's account.
    #[must_use]
    pub fn key(&self) -> String {
        self.get(Column::AccountEmail).to_lowercase()
    }
}
