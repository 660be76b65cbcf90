//! Who acts as the root user, and what to do about it.

use crate::{
    actor::{Actor, RootAccess},
    draft::Draft,
    event::Event,
};

const LOCK: &str = "If this was not announced, ask the account's owner now. If it was not them: recover \
    the root password by its e-mail address, remove unknown MFA devices and access keys, and undo what \
    CloudTrail shows since then.";
const BY_A_SERVICE: &str = "Nothing, if you know why this service acts for the root user. Otherwise ask the account's owner.";
pub(super) const BY_A_SESSION: &str = "Ask the people who manage central root access whether this task was planned. If \
    not, find in CloudTrail of the management account who called AssumeRoot, and revoke their access.";

const BY_A_PROVIDER: &str = "Ask the account's owner. CloudTrail records this sign-in as root, but the password and the \
    keys of the root user were not used.";

/// What to do about a call of the root user, by the way in which somebody is it.
pub(super) fn what_to_do(actor: &Actor) -> &'static str {
    match actor.root_access {
        RootAccess::Service => BY_A_SERVICE,
        RootAccess::CentralSession => BY_A_SESSION,
        RootAccess::IdentityProvider => BY_A_PROVIDER,
        RootAccess::Credentials | RootAccess::NotRoot => LOCK,
    }
}

/// Marks a call that looks like the root user's own, but may belong to a central session: its temporary key tells.
/// IAM User Guide, "Track privileged tasks in CloudTrail".
pub(super) fn may_be_a_session(draft: &mut Draft, event: &Event, actor: &Actor) {
    let temporary = actor
        .access_key
        .clone()
        .filter(|key| key.starts_with("ASIA"));
    if actor.root_access == RootAccess::Credentials && temporary.is_some() {
        draft.session_key = temporary;
        draft.session_event = Some(Box::new(event.clone()));
    }
}
