//! What a rule of a network lets in: from where, to which ports.

use std::net::IpAddr;

use serde_json::Value;

use crate::event::text_of;

/// A rule that lets something in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Permission {
    /// Its protocol: `tcp`, `6`; `-1` is all.
    pub protocol: String,
    /// The first and the last port. Not there if the protocol has none.
    pub ports: Option<(i64, i64)>,
    /// Addresses that are let in.
    pub addresses: Vec<String>,
    /// Lists of addresses that are let in.
    pub lists: Vec<String>,
    /// Other security groups that are let in.
    pub groups: Vec<String>,
}

/// Names of fields, in lower case: EC2 spells them in several ways.
const PROTOCOLS: &[&str] = &["ipprotocol", "aclprotocol", "protocol"];
const FIRST_PORTS: &[&str] = &["fromport", "from"];
const LAST_PORTS: &[&str] = &["toport", "to"];
const ADDRESSES: &[&str] = &[
    "cidrip",
    "cidripv4",
    "cidripv6",
    "cidrblock",
    "ipv6cidrblock",
];
const LISTS: &[&str] = &["prefixlistid"];
const GROUPS: &[&str] = &["groupid", "groupname", "referencedgroupid"];

/// The protocols without ports that are only good for messages about the network: ICMP.
const MESSAGES: &[&str] = &["icmp", "icmpv6", "1", "58"];
/// Shorter prefixes are a great part of the internet: two halves are the whole.
const SHORTEST_IPV4: u32 = 8;
const SHORTEST_IPV6: u32 = 16;

impl Permission {
    /// The rules in a request: each object with a protocol.
    #[must_use]
    pub(super) fn all(request: Option<&Value>) -> Vec<Self> {
        let mut found = Vec::new();
        if let Some(request) = request {
            find(request, &mut found);
        }
        found
    }

    fn of(value: &Value) -> Self {
        let texts = |names: &[&str]| {
            let mut found = Vec::new();
            collect(value, names, &mut found);
            found
        };
        let port = |names: &[&str]| texts(names).first().and_then(|port| port.parse().ok());
        Self {
            protocol: texts(PROTOCOLS).into_iter().next().unwrap_or_default(),
            ports: port(FIRST_PORTS).zip(port(LAST_PORTS)),
            addresses: texts(ADDRESSES),
            lists: texts(LISTS),
            groups: texts(GROUPS),
        }
    }

    /// Whether it lets in a great part of the internet; `None` if it does not say whom.
    #[must_use]
    pub(super) fn is_open(&self) -> Option<bool> {
        if self.addresses.is_empty() {
            let others = !self.lists.is_empty() || !self.groups.is_empty();
            return others.then_some(false);
        }
        let open: Vec<Option<bool>> = self.addresses.iter().map(|it| is_open(it)).collect();
        if open.contains(&Some(true)) {
            return Some(true);
        }
        (!open.contains(&None)).then_some(false)
    }

    /// Whether it lets in messages about the network only.
    #[must_use]
    pub(super) fn is_of_messages(&self) -> bool {
        MESSAGES.contains(&self.protocol.to_lowercase().as_str())
    }

    /// The ports: all of them if the protocol is all protocols, or has none that are known.
    #[must_use]
    pub(super) fn port_range(&self) -> (i64, i64) {
        const ALL: (i64, i64) = (0, 65_535);
        match self.ports {
            Some((first, last)) if self.protocol != "-1" && first >= 0 => (first, last),
            _ => ALL,
        }
    }
}

/// Whether a block of addresses is a great part of the internet; `None` if it cannot be read.
fn is_open(block: &str) -> Option<bool> {
    let (address, length) = block.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    Some(match address.parse().ok()? {
        IpAddr::V4(_) => length < SHORTEST_IPV4,
        IpAddr::V6(_) => length < SHORTEST_IPV6,
    })
}

fn find(value: &Value, found: &mut Vec<Permission>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| find(value, found)),
        Value::Object(fields) => {
            let has_protocol = fields
                .keys()
                .any(|name| PROTOCOLS.contains(&name.to_lowercase().as_str()));
            if has_protocol {
                found.push(Permission::of(value));
            } else {
                fields.values().for_each(|value| find(value, found));
            }
        }
        _ => {}
    }
}

/// The texts of the fields with one of these names, anywhere within.
fn collect(value: &Value, names: &[&str], found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, names, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match text_of(Some(value)) {
                    Some(text) if names.contains(&name.to_lowercase().as_str()) => found.push(text),
                    _ => collect(value, names, found),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_open_if_it_is_a_great_part_of_the_internet() {
        for (block, wanted) in [
            ("0.0.0.0/0", Some(true)),
            ("128.0.0.0/1", Some(true)),
            ("::/0", Some(true)),
            ("2000::/3", Some(true)),
            ("10.0.0.0/8", Some(false)),
            ("203.0.113.7/32", Some(false)),
            ("2001:db8::/32", Some(false)),
            ("0.0.0.0", None),
            ("everywhere", None),
        ] {
            assert_eq!(is_open(block), wanted, "{block}");
        }
    }
}
