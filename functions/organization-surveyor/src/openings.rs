//! Which ports security groups open, and to whom outside.

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::posture::exposure::Opening;

use crate::{
    network::{Family, Network, Rule},
    ranges::is_public,
};

/// What groups open to the internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// What is open, in the order of protocols and ports.
    pub open: Vec<Opening>,
    /// Groups that could not be read, another account's say.
    pub unread: Vec<String>,
}

impl Opened {
    /// Whether all that is open is open to prefix lists, whose addresses are not read.
    #[must_use]
    pub fn is_to_lists_only(&self) -> bool {
        let is_list = |source: &String| source.starts_with("pl-");
        !self.open.is_empty()
            && self
                .open
                .iter()
                .all(|open| open.sources.iter().all(is_list))
    }
}

/// What these groups open for addresses of one family.
#[must_use]
pub fn opened(network: &Network, groups: &[String], family: Family) -> Opened {
    let mut by_ports: BTreeMap<(String, u16, u16), BTreeSet<String>> = BTreeMap::new();
    let mut unread = Vec::new();
    for group in groups {
        let Some(rules) = network.groups.get(group) else {
            unread.push(group.clone());
            continue;
        };
        for rule in rules {
            let sources = sources(rule, family);
            if sources.is_empty() {
                continue;
            }
            let ports = ports(rule);
            by_ports.entry(ports).or_default().extend(sources);
        }
    }
    let open = by_ports
        .into_iter()
        .map(|((protocol, from, to), sources)| Opening {
            protocol,
            from,
            to,
            sources: sources.into_iter().collect(),
        });
    Opened {
        open: open.collect(),
        unread,
    }
}

/// What of it reaches one port that something listens on.
#[must_use]
pub fn at_port(opened: &[Opening], protocol: &str, port: u16) -> Option<Opening> {
    let fits = |open: &&Opening| {
        (open.protocol == protocol || open.protocol == "all")
            && (open.from..=open.to).contains(&port)
    };
    let sources: BTreeSet<String> = opened
        .iter()
        .filter(fits)
        .flat_map(|open| open.sources.iter().cloned())
        .collect();
    (!sources.is_empty()).then(|| Opening {
        protocol: protocol.to_owned(),
        from: port,
        to: port,
        sources: sources.into_iter().collect(),
    })
}

/// Everything, to everybody of a family: where there are no groups.
#[must_use]
pub fn everything(family: Family) -> Opening {
    let everybody = match family {
        Family::V4 => "0.0.0.0/0",
        Family::V6 => "::/0",
    };
    Opening {
        protocol: "all".to_owned(),
        from: 0,
        to: u16::MAX,
        sources: vec![everybody.to_owned()],
    }
}

/// Whom a rule lets in from outside: another group or a private range is nobody there.
fn sources(rule: &Rule, family: Family) -> BTreeSet<String> {
    let ranges = match family {
        Family::V4 => &rule.v4,
        Family::V6 => &rule.v6,
    };
    let public = ranges.iter().filter(|range| is_public(range));
    public.chain(&rule.prefix_lists).cloned().collect()
}

/// Protocol and ports of a rule, as they are shown.
fn ports(rule: &Rule) -> (String, u16, u16) {
    let number = |port: i32| u16::try_from(port.max(0)).unwrap_or(u16::MAX);
    let protocol = match rule.protocol.as_str() {
        "" | "-1" | "all" => return ("all".to_owned(), 0, u16::MAX),
        "1" => "icmp",
        "6" => "tcp",
        "17" => "udp",
        "58" => "icmpv6",
        other => other,
    };
    match (protocol, rule.ports) {
        // The numbers of ICMP are types.
        ("icmp" | "icmpv6", _) => (protocol.to_owned(), 0, 0),
        ("tcp" | "udp", Some((from, to))) if from >= 0 => {
            (protocol.to_owned(), number(from), number(to.max(from)))
        }
        (_, _) => (protocol.to_owned(), 0, u16::MAX),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(protocol: &str, ports: Option<(i32, i32)>, v4: &[&str]) -> Rule {
        Rule {
            protocol: protocol.into(),
            ports,
            v4: v4.iter().map(|it| (*it).to_owned()).collect(),
            ..Rule::default()
        }
    }

    fn network(rules: Vec<Rule>) -> Network {
        Network {
            groups: BTreeMap::from([("sg-1".to_owned(), rules)]),
            ..Network::default()
        }
    }

    fn lines(rules: Vec<Rule>, family: Family) -> Vec<String> {
        let opened = opened(&network(rules), &["sg-1".to_owned()], family);
        opened.open.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_open_to_private_ranges_and_groups_is_left_out() {
        let rules = vec![
            rule("tcp", Some((22, 22)), &["10.0.0.0/8", "203.0.113.0/24"]),
            rule("6", Some((443, 443)), &["0.0.0.0/0"]),
            rule("tcp", Some((5432, 5432)), &["192.168.0.0/16"]),
            rule("tcp", Some((9000, 9000)), &[]),
        ];
        assert_eq!(
            lines(rules.clone(), Family::V4),
            ["tcp 22 to 203.0.113.0/24", "tcp 443 to 0.0.0.0/0"]
        );
        assert_eq!(lines(rules, Family::V6), [""; 0]);
    }

    #[test]
    fn every_form_of_protocol_and_port_is_read() {
        let open =
            |protocol: &str, ports| lines(vec![rule(protocol, ports, &["0.0.0.0/0"])], Family::V4);
        assert_eq!(open("-1", None), ["all to 0.0.0.0/0"]);
        assert_eq!(open("-1", Some((-1, -1))), ["all to 0.0.0.0/0"]);
        assert_eq!(open("icmp", Some((8, -1))), ["icmp to 0.0.0.0/0"]);
        assert_eq!(open("17", Some((0, 65_535))), ["udp 0-65535 to 0.0.0.0/0"]);
        assert_eq!(open("tcp", None), ["tcp 0-65535 to 0.0.0.0/0"]);
        assert_eq!(open("tcp", Some((90, 80))), ["tcp 90 to 0.0.0.0/0"]);
        assert_eq!(
            open("tcp", Some((1, i32::MAX))),
            ["tcp 1-65535 to 0.0.0.0/0"]
        );
        assert_eq!(open("50", None), ["50 to 0.0.0.0/0"]);
    }

    #[test]
    fn a_prefix_list_is_somebody_who_is_not_known() {
        let list = Rule {
            prefix_lists: vec!["pl-1".into()],
            ..rule("tcp", Some((443, 443)), &[])
        };
        let listed = opened(&network(vec![list.clone()]), &["sg-1".into()], Family::V6);
        assert!(listed.is_to_lists_only());
        let both = opened(
            &network(vec![list, rule("tcp", Some((80, 80)), &["0.0.0.0/0"])]),
            &["sg-1".into()],
            Family::V4,
        );
        assert!(!both.is_to_lists_only());
        assert!(!Opened::default().is_to_lists_only());
    }

    #[test]
    fn a_group_that_cannot_be_read_is_named() {
        let opened = opened(
            &network(vec![]),
            &["sg-1".into(), "sg-2".into()],
            Family::V4,
        );
        assert_eq!(opened.unread, ["sg-2"]);
    }

    #[test]
    fn only_what_reaches_the_port_of_a_listener_counts() {
        let open = opened(
            &network(vec![
                rule("tcp", Some((0, 1000)), &["203.0.113.0/24"]),
                rule("-1", None, &["198.51.100.0/24"]),
                rule("udp", Some((443, 443)), &["0.0.0.0/0"]),
            ]),
            &["sg-1".into()],
            Family::V4,
        )
        .open;
        let at = |protocol, port| at_port(&open, protocol, port).map(|open| open.to_string());
        assert_eq!(
            at("tcp", 443).as_deref(),
            Some("tcp 443 to 198.51.100.0/24 203.0.113.0/24")
        );
        assert_eq!(
            at("tcp", 8080).as_deref(),
            Some("tcp 8080 to 198.51.100.0/24")
        );
        assert_eq!(at_port(&[], "tcp", 443), None);
    }

    proptest! {
        #[test]
        fn any_rule_is_read_and_every_source_is_public(
            protocol in "[a-z0-9-]{0,4}",
            from in any::<i32>(), to in any::<i32>(),
            v4 in prop::collection::vec("[0-9]{1,3}\\.[0-9]{1,3}\\.0\\.0/[0-9]{1,2}", 0..4),
        ) {
            let ranges: Vec<&str> = v4.iter().map(String::as_str).collect();
            let rule = rule(&protocol, Some((from, to)), &ranges);
            let opened = opened(&network(vec![rule]), &["sg-1".into()], Family::V4);
            for open in &opened.open {
                prop_assert!(open.from <= open.to);
                prop_assert!(open.sources.iter().all(|source| is_public(source)));
            }
            prop_assert_eq!(opened.open.is_empty(), !v4.iter().any(|range| is_public(range)));
        }
    }
}
