//! What is orgkeeper's own: the names of its resources and of its functions' roles contain its name.

use crate::{actor::Actor, text::name_of};

/// The name of its stacks, in lower case. `CloudFormation` puts it into the names that it generates.
const NAME: &str = "orgkeeper";

/// Whether a name, an ARN or a URL is that of a resource of orgkeeper, in any case.
#[must_use]
pub fn is_own(resource: &str) -> bool {
    resource.to_lowercase().contains(NAME)
}

/// Whether somebody has the role of a function of orgkeeper. An administrator can give this name to any role, so it
/// excuses nothing that is grave.
#[must_use]
pub fn has_own_role(actor: Option<&Actor>) -> bool {
    let role = actor.and_then(|actor| actor.role.as_deref());
    role.is_some_and(|role| is_own(name_of(role)))
}
