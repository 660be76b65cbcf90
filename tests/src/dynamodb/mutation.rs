//! One clause of one condition taken out, on request: how `make mutations` proves that a test needs it.
//!
//! A condition is what the function sends, so that no function has to be compiled anew for it.

use std::{borrow::Cow, fs::OpenOptions, io::Write as _};

use orgkeeper_shared::lambda::settings::environment;
use serde_json::Value;

/// `<put, update or delete>` tab `<condition>` tab `<clause>` tab `<what replaces it>`.
const MUTATION: &str = "ORGKEEPER_MUTATION";
/// A file to which every condition is added that arrives, as `<put, update or delete>` tab `<condition>`.
const SEEN: &str = "ORGKEEPER_CONDITIONS_SEEN";

/// The condition `text` of a request, without the clause that the environment names.
pub(super) fn applied<'t>(request: &Value, text: &'t str) -> Cow<'t, str> {
    let action = if request["Item"].is_object() {
        "put"
    } else if request["UpdateExpression"].is_string() {
        "update"
    } else {
        "delete"
    };
    if let Some(path) = environment(SEEN) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        // In one piece: tests run at the same time.
        file.write_all(format!("{action}\t{text}\n").as_bytes())
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let Some(mutation) = environment(MUTATION) else {
        return text.into();
    };
    let [of, condition, clause, replacement] = mutation.split('\t').collect::<Vec<_>>()[..] else {
        panic!("{MUTATION} has four parts: {mutation}");
    };
    if of == action && condition == text {
        text.replacen(clause, replacement, 1).into()
    } else {
        text.into()
    }
}
