//! The account that a call of the management account is about.

use crate::{draft::Draft, event::Event};

/// Makes a draft about the account that one of these fields of the request names, with `before` between headline and
/// account. Without one it stays about the account that made the call.
pub fn take(draft: &mut Draft, event: &Event, fields: &[&str], before: &'static str) {
    let concerned = fields.iter().find_map(|field| {
        let account = event.value(&format!("/detail/requestParameters/{field}"))?;
        account.parse().ok()
    });
    if concerned.is_some() {
        draft.account = concerned;
        draft.before_account = before;
    }
}
