//! The parameters of items: which there are, and what values they take.

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A number between these two, both included.
    Number(u32, u32),
    /// `true` or `false`.
    Flag,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// The ARN of an SNS topic.
    Topic,
    /// What an alias is made of.
    Alias,
}

/// A parameter of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; nothing: every name is one (the keys of tags).
    pub name: Option<&'static str>,
    /// What values it takes.
    pub kind: Kind,
    /// Whether the item can do nothing without it.
    pub needed: bool,
    /// Its value where no file has one.
    pub default: Option<&'static str>,
}

/// A parameter without which the item can do nothing.
pub(crate) const fn needed(name: &'static str, kind: Kind) -> Parameter {
    Parameter {
        needed: true,
        ..optional(name, kind)
    }
}

/// A parameter that may be missing.
pub(crate) const fn optional(name: &'static str, kind: Kind) -> Parameter {
    Parameter {
        name: Some(name),
        ..any(kind)
    }
}

/// Any number of parameters with any names.
pub(crate) const fn any(kind: Kind) -> Parameter {
    Parameter {
        name: None,
        kind,
        needed: false,
        default: None,
    }
}

/// The longest value: an e-mail address of the contact has 254 characters, a tag's value 256.
const LONGEST: usize = 256;
/// The longest key of a tag.
const LONGEST_NAME: usize = 128;

impl Parameter {
    /// What is wrong with a value, in words; nothing if it is right.
    #[must_use]
    pub fn fault(&self, value: &str) -> Option<String> {
        if value.trim().is_empty() {
            return Some("is empty".to_owned());
        }
        if value.chars().count() > LONGEST {
            return Some(format!("has more than {LONGEST} characters"));
        }
        let fault = match self.kind {
            Kind::Text => return None,
            Kind::Number(least, most) => match value.parse::<u32>() {
                Ok(number) if (least..=most).contains(&number) => return None,
                _ => format!("is a number from {least} to {most}"),
            },
            Kind::Flag if ["true", "false"].contains(&value) => return None,
            Kind::Flag => "is true or false".to_owned(),
            Kind::Email => match value.split_once('@') {
                Some((name, domain))
                    if !name.is_empty() && domain.contains('.') && !value.contains(' ') =>
                {
                    return None;
                }
                _ => "is an e-mail address".to_owned(),
            },
            Kind::Phone => {
                let digits = value.bytes().filter(u8::is_ascii_digit).count();
                let known = |it: char| it.is_ascii_digit() || "+-() ".contains(it);
                if (3..=25).contains(&digits) && value.chars().all(known) {
                    return None;
                }
                "is a phone number, +1 555 0100 say".to_owned()
            }
            Kind::Topic => {
                let mut parts = value.split(':');
                if parts.next() == Some("arn") && parts.nth(1) == Some("sns") && parts.count() == 3
                {
                    return None;
                }
                "is the ARN of an SNS topic".to_owned()
            }
            Kind::Alias => {
                let plain = value.replace("{name}", "").replace("{account}", "");
                let known = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
                if plain.chars().all(known) && value.contains('{') {
                    return None;
                }
                "is an alias with {name} or {account} in it, since each account needs another one: acme-{name} say"
                    .to_owned()
            }
        };
        Some(fault)
    }
}

/// What is wrong with the name of a parameter that may have any.
#[must_use]
pub fn name_fault(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() || name.chars().count() > LONGEST_NAME {
        return Some("is no key of a tag: 1 to 128 characters");
    }
    let of_aws = name.to_lowercase().starts_with("aws:");
    of_aws.then_some("is no key of a tag: AWS keeps aws: for itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_by_kind() {
        for (kind, value, right) in [
            (Kind::Text, "x", true),
            (Kind::Text, "  ", false),
            (Kind::Number(1, 24), "24", true),
            (Kind::Number(1, 24), "25", false),
            (Kind::Number(1, 24), "-1", false),
            (Kind::Flag, "true", true),
            (Kind::Flag, "yes", false),
            (Kind::Email, "security+{name}@example.com", true),
            (Kind::Email, "example.com", false),
            (Kind::Phone, "+1 (555) 0100", true),
            (Kind::Phone, "call me", false),
            (Kind::Alias, "acme-{name}", true),
            (Kind::Alias, "acme", false),
            (Kind::Alias, "Acme {name}", false),
        ] {
            assert_eq!(any(kind).fault(value).is_none(), right, "{kind:?} {value}");
        }
        assert!(name_fault("AWS:x").is_some() && name_fault("org").is_none());
    }
}
