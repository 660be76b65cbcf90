//! What findings show of an account, before and after.

use std::collections::BTreeMap;

use orgkeeper_shared::{
    account_directory::entry::AccountEntry,
    enrichment::{fields::user_defined_fields, note::note},
};

/// Whether findings of the account show something else with the new entry.
#[must_use]
pub fn shows_difference(old: &AccountEntry, new: &AccountEntry) -> bool {
    fields(old) != fields(new) || note(None, old) != note(None, new)
}

/// The fields that an entry puts on a finding that has none.
#[must_use]
pub fn fields(entry: &AccountEntry) -> BTreeMap<String, String> {
    user_defined_fields(&BTreeMap::new(), entry).map
}
