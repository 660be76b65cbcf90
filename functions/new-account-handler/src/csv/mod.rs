//! The file: reading what somebody wrote, and writing its results as the file came: separator, encoding, line
//! breaks, and the lines that are no rows.
//!
//! * `encoding`: the bytes, and the text in them. `layout`: what separates the cells, and which line names the columns.
//! * `column`: the columns. `row`: a row, and what is wrong with it.
//! * `file`: reading and writing it. `escape`: what keeps a spreadsheet program from calculating a cell.

mod column;
mod encoding;
mod escape;
mod file;
mod layout;
mod lines;
mod refusal;
mod row;

#[cfg(test)]
pub(crate) use self::file::tests;
pub use self::{
    column::{Column, ContactPart, Heading},
    encoding::content_type,
    file::{File, MOST_BYTES, MOST_ROWS, Owner, read},
    refusal::Refusal,
    row::{Fault, Row},
};
pub use crate::characters::shown;
