//! The inbound entries of a network ACL, and those that close its ports for administration.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    ports::Ports,
    security_group_rule::{ANY_IPV4, ANY_IPV6},
};

/// The ports of SSH and RDP.
const CLOSED: &[u16] = &[22, 3389];
/// The lowest number of an entry.
const LOWEST: i32 = 1;
/// TCP, as an entry has it.
const TCP: &str = "6";

/// Whether an entry lets traffic pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It passes.
    Allow,
    /// It does not.
    Deny,
}

/// An inbound entry. The first one that fits decides, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// Its place.
    pub number: i32,
    /// Allow or deny.
    pub action: Verdict,
    /// A protocol's number, or `-1` for every protocol.
    pub protocol: String,
    /// The ports.
    pub ports: Ports,
    /// A range of addresses.
    pub source: String,
}

/// There is no free number for an entry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no number is free for an entry that denies port {port} before entry {before}: renumber the entries of the network \
     ACL"
)]
pub struct NoFreeNumber {
    port: u16,
    before: i32,
}

impl Entry {
    fn fits(&self, port: u16) -> bool {
        (self.protocol == TCP || self.protocol == "-1") && self.ports.contains(port)
    }

    /// Whether it is about IPv6 addresses.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.source.contains(':')
    }
}

/// The entries that are missing so that nobody reaches the ports from `0.0.0.0/0` or `::/0`.
///
/// A new entry comes directly before the one that lets everybody in: what people allowed to some addresses before it
/// stays allowed.
///
/// # Errors
/// If no number is free.
pub fn missing_entries(entries: &[Entry]) -> Result<Vec<Entry>, NoFreeNumber> {
    let mut taken: BTreeSet<i32> = entries.iter().map(|entry| entry.number).collect();
    let mut missing = Vec::new();
    for source in [ANY_IPV4, ANY_IPV6] {
        for port in CLOSED.iter().copied() {
            let Some(before) = opened_by(entries, source, port) else {
                continue;
            };
            let after = allowed_before(entries, before, port);
            let number = (after + 1..before.number)
                .rev()
                .find(|number| !taken.contains(number));
            let number = number.ok_or(NoFreeNumber {
                port,
                before: before.number,
            })?;
            taken.insert(number);
            missing.push(Entry {
                number,
                action: Verdict::Deny,
                protocol: TCP.to_owned(),
                ports: Ports::one(port),
                source: source.to_owned(),
            });
        }
    }
    Ok(missing)
}

/// The entry that lets everybody in to the port; nothing if none does, or one before it denies it.
fn opened_by<'a>(entries: &'a [Entry], source: &str, port: u16) -> Option<&'a Entry> {
    entries
        .iter()
        .filter(|entry| entry.source == source && entry.fits(port))
        .min_by_key(|entry| entry.number)
        .filter(|entry| entry.action == Verdict::Allow)
}

/// The number of the last entry before `before` that allows the port to some addresses of the same family.
fn allowed_before(entries: &[Entry], before: &Entry, port: u16) -> i32 {
    entries
        .iter()
        .filter(|entry| entry.number < before.number && entry.is_ipv6() == before.is_ipv6())
        .filter(|entry| entry.action == Verdict::Allow && entry.fits(port))
        .map(|entry| entry.number)
        .max()
        .unwrap_or(LOWEST - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(number: i32, action: Verdict, ports: (i32, i32), source: &str) -> Entry {
        Entry {
            number,
            action,
            protocol: if ports.0 < 0 { "-1" } else { TCP }.to_owned(),
            ports: Ports::of_rule(Some(ports.0), Some(ports.1)),
            source: source.to_owned(),
        }
    }

    fn numbers(entries: &[Entry]) -> Vec<(i32, String, String)> {
        let missing = missing_entries(entries).unwrap();
        let row = |entry: Entry| (entry.number, entry.ports.to_string(), entry.source);
        missing.into_iter().map(row).collect()
    }

    fn added(number: i32, port: &str, source: &str) -> (i32, String, String) {
        (number, port.to_owned(), source.to_owned())
    }

    #[test]
    fn everybody_is_denied_directly_before_they_are_allowed() {
        let all = [
            entry(100, Verdict::Allow, (-1, -1), ANY_IPV4),
            entry(101, Verdict::Allow, (-1, -1), ANY_IPV6),
            entry(32_767, Verdict::Deny, (-1, -1), ANY_IPV4),
        ];
        assert_eq!(
            numbers(&all),
            [
                added(99, "22", ANY_IPV4),
                added(98, "3389", ANY_IPV4),
                added(97, "22", ANY_IPV6),
                added(96, "3389", ANY_IPV6),
            ]
        );
        let closed: Vec<Entry> = missing_entries(&all)
            .unwrap()
            .into_iter()
            .chain(all)
            .collect();
        assert_eq!(numbers(&closed), []);
    }

    #[test]
    fn some_addresses_keep_what_was_allowed_to_them() {
        let entries = [
            entry(90, Verdict::Allow, (22, 22), "10.0.0.0/8"),
            entry(92, Verdict::Allow, (0, 1024), ANY_IPV4),
        ];
        assert_eq!(numbers(&entries), [added(91, "22", ANY_IPV4)]);
        let full = [
            entry(91, Verdict::Allow, (22, 22), "10.0.0.0/8"),
            entry(92, Verdict::Allow, (0, 1024), ANY_IPV4),
        ];
        assert_eq!(
            missing_entries(&full),
            Err(NoFreeNumber {
                port: 22,
                before: 92
            })
        );
        let first = [entry(1, Verdict::Allow, (-1, -1), ANY_IPV4)];
        assert!(missing_entries(&first).is_err());
    }

    #[test]
    fn what_is_denied_already_is_left_alone() {
        let entries = [
            entry(10, Verdict::Deny, (0, 65_535), ANY_IPV4),
            entry(100, Verdict::Allow, (-1, -1), ANY_IPV4),
        ];
        assert_eq!(numbers(&entries), []);
        // The denial comes too late.
        let late = [
            entry(100, Verdict::Allow, (22, 22), ANY_IPV4),
            entry(200, Verdict::Deny, (22, 22), ANY_IPV4),
        ];
        assert_eq!(numbers(&late), [added(99, "22", ANY_IPV4)]);
        assert_eq!(
            numbers(&[entry(100, Verdict::Allow, (443, 443), ANY_IPV4)]),
            []
        );
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let source = prop::sample::select(vec![ANY_IPV4, ANY_IPV6, "10.0.0.0/8", "fd00::/8"]);
        let ports = prop::sample::select(vec![
            (-1, -1),
            (22, 22),
            (3389, 3389),
            (0, 1024),
            (443, 443),
        ]);
        let action = prop::sample::select(vec![Verdict::Allow, Verdict::Deny]);
        prop::collection::btree_map(1..40_i32, (action, ports, source), 0..12).prop_map(|entries| {
            entries
                .into_iter()
                .map(|(number, (action, ports, source))| entry(number, action, ports, source))
                .collect()
        })
    }

    /// Whether somebody to whom these sources apply reaches the port.
    fn reaches(entries: &[Entry], sources: &[&str], port: u16) -> bool {
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        sorted.sort();
        let first = sorted
            .into_iter()
            .find(|entry| sources.contains(&entry.source.as_str()) && entry.fits(port));
        first.is_some_and(|entry| entry.action == Verdict::Allow)
    }

    fn first_number(entries: &[Entry], source: &str, port: u16) -> Option<i32> {
        let of_source = entries
            .iter()
            .filter(|entry| entry.source == source && entry.fits(port));
        of_source.map(|entry| entry.number).min()
    }

    proptest! {
        #[test]
        fn nobody_reaches_a_closed_port_and_all_else_stays(before in entries()) {
            let Ok(missing) = missing_entries(&before) else { return Ok(()) };
            let after: Vec<Entry> = before.iter().cloned().chain(missing).collect();
            for source in [ANY_IPV4, ANY_IPV6] {
                for port in CLOSED {
                    prop_assert!(!reaches(&after, &[source], *port));
                }
                prop_assert_eq!(reaches(&after, &[source], 443), reaches(&before, &[source], 443));
            }
            let numbers: BTreeSet<i32> = after.iter().map(|entry| entry.number).collect();
            prop_assert_eq!(numbers.len(), after.len());
            prop_assert!(numbers.first().is_none_or(|first| *first >= LOWEST));
            // Who was allowed by an entry of their own before everybody was, still is.
            for (mine, everybody) in [("10.0.0.0/8", ANY_IPV4), ("fd00::/8", ANY_IPV6)] {
                for port in CLOSED {
                    let own = first_number(&before, mine, *port);
                    let all = first_number(&before, everybody, *port);
                    if own.is_some_and(|own| all.is_none_or(|all| own < all)) {
                        let sources = [mine, everybody];
                        prop_assert_eq!(reaches(&after, &sources, *port), reaches(&before, &sources, *port));
                    }
                }
            }
        }
    }
}
