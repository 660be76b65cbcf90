//! What is written on a finding, and which findings share an update.
//!
//! Plain values in, plain values out: [`plan`] takes findings and the entries of their accounts and
//! gives updates, by way of [`fields`] and [`note`].

pub mod fields;
pub mod note;
pub mod plan;
mod text;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::ids::{AccountId, FindingId};

/// A finding as an event tells of it: what decides how it is enriched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What identifies it.
    pub id: FindingId,
    /// The account that it is about.
    pub account: AccountId,
    /// The user-defined fields that are there.
    pub user_defined_fields: BTreeMap<String, String>,
    /// Who wrote the note and what it says, if there is one.
    pub note: Option<FindingNote>,
    /// When the event was sent, as in its envelope (RFC 3339 in UTC, so that text order is time order).
    pub seen_at: String,
}

/// The note on a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FindingNote {
    /// What it says.
    pub text: String,
    /// Who says it.
    pub updated_by: String,
}
