//! Rules of a security group, and which of them a control calls open.

use std::collections::BTreeMap;

use orgkeeper_shared::remediation::order::Parameters;
use serde::{Deserialize, Serialize};

use crate::ports::{NoPorts, Ports};

/// Every IPv4 address.
pub const ANY_IPV4: &str = "0.0.0.0/0";
/// Every IPv6 address.
pub const ANY_IPV6: &str = "::/0";

/// Which way a rule lets traffic pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into the group.
    Ingress,
    /// Out of it.
    Egress,
}

/// A rule of a security group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rule {
    /// `sgr-…`.
    pub id: String,
    /// Ingress or egress.
    pub direction: Direction,
    /// `tcp`, `udp`, `icmp`, a number, or `-1` for every protocol.
    pub protocol: String,
    /// The ports; all of them where the protocol has none.
    pub ports: Ports,
    /// What ICMP has in place of ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_types: Option<MessageTypes>,
    /// A range of addresses, another group, or a prefix list. The destination, if the direction is egress.
    pub source: String,
    /// The account of another group, if it is another account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_owner: Option<String>,
    /// What people wrote about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// A type and a code of ICMP messages, as EC2 has them in place of ports; -1 is every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageTypes {
    /// The type.
    pub r#type: i32,
    /// The code.
    pub code: i32,
}

/// Protocols with messages in place of ports.
const WITH_MESSAGES: &[&str] = &["icmp", "1", "icmpv6", "58"];

impl MessageTypes {
    /// What a rule of EC2 says, if its protocol has messages.
    #[must_use]
    pub fn of(protocol: &str, from: Option<i32>, to: Option<i32>) -> Option<Self> {
        WITH_MESSAGES.contains(&protocol).then(|| Self {
            r#type: from.unwrap_or(-1),
            code: to.unwrap_or(-1),
        })
    }
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A range of IPv4 addresses.
    Ipv4,
    /// A range of IPv6 addresses.
    Ipv6,
    /// A prefix list.
    PrefixList,
    /// Another security group.
    Group,
}

impl Rule {
    /// Whether another rule says the same, whatever its id.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        *self
            == Self {
                id: self.id.clone(),
                ..other.clone()
            }
    }

    /// What its source is.
    #[must_use]
    pub fn kind_of_source(&self) -> Source {
        match self.source.as_str() {
            source if source.contains(':') => Source::Ipv6,
            source if source.contains('/') => Source::Ipv4,
            source if source.starts_with("pl-") => Source::PrefixList,
            _ => Source::Group,
        }
    }

    /// Whether it says all that EC2 needs to write it again: older records lack the types of messages.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.message_types.is_some() || !WITH_MESSAGES.contains(&self.protocol.as_str())
    }

    /// The range as EC2 takes it: ports, a type and a code, or nothing.
    #[must_use]
    pub fn range(&self) -> (Option<i32>, Option<i32>) {
        match (self.message_types, Transport::of(&self.protocol)) {
            (Some(types), _) => (Some(types.r#type), Some(types.code)),
            (None, Transport::Tcp | Transport::Udp) => (
                Some(self.ports.first().into()),
                Some(self.ports.last().into()),
            ),
            (None, Transport::All | Transport::Other) => (None, None),
        }
    }
}

/// What a control calls open.
#[derive(Debug)]
pub struct Openness {
    sources: &'static [&'static str],
    ports: OpenPorts,
}

#[derive(Debug)]
enum OpenPorts {
    /// One of these ports.
    Of(Vec<Ports>),
    /// A port that is none of these.
    OtherThan { tcp: Vec<Ports>, udp: Vec<Ports> },
}

/// A parameter has a value that names no ports.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {name} has the value {value}, which is {cause}")]
pub struct BadParameter {
    name: &'static str,
    value: String,
    cause: NoPorts,
}

const BOTH: &[&str] = &[ANY_IPV4, ANY_IPV6];
const SSH: &[u16] = &[22];
const RDP: &[u16] = &[3389];
const ADMINISTRATION: &[u16] = &[22, 3389];
const WEB: &[u16] = &[80, 443];
const HIGH_RISK: &[u16] = &[
    20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500,
    5601, 8080, 8088, 8888, 9200, 9300,
];
/// The controls that close ports: id, the sources that are everybody, the ports, and the parameter that replaces them.
const CLOSED: &[(&str, &[&str], &[u16], &str)] = &[
    ("EC2.13", BOTH, SSH, "restrictedPorts"),
    ("EC2.14", BOTH, RDP, "restrictedPorts"),
    ("EC2.19", BOTH, HIGH_RISK, "blockedPorts"),
    ("EC2.53", &[ANY_IPV4], ADMINISTRATION, "restrictedPorts"),
    ("EC2.54", &[ANY_IPV6], ADMINISTRATION, "restrictedPorts"),
];

impl Openness {
    /// What `control` calls open; EC2.18, which has a list of the ports that may be open, unless it is one of
    /// those that have a list of the closed ones.
    ///
    /// # Errors
    /// If a parameter names no ports.
    pub fn of(control: &str, parameters: &Parameters) -> Result<Self, BadParameter> {
        let ports = |name, default| ports_of(parameters, name, default);
        let closed = CLOSED.iter().find(|(id, ..)| *id == control);
        Ok(match closed {
            Some((_, sources, default, parameter)) => Self {
                sources,
                ports: OpenPorts::Of(ports(parameter, default)?),
            },
            None => Self {
                sources: BOTH,
                ports: OpenPorts::OtherThan {
                    tcp: ports("authorizedTcpPorts", WEB)?,
                    udp: ports("authorizedUdpPorts", &[])?,
                },
            },
        })
    }

    /// Whether the rule lets everybody in where the control wants it closed. Protocols without ports do not count.
    #[must_use]
    pub fn has(&self, rule: &Rule) -> bool {
        if rule.direction != Direction::Ingress || !self.sources.contains(&rule.source.as_str()) {
            return false;
        }
        match (Transport::of(&rule.protocol), &self.ports) {
            (Transport::Other, _) => false,
            (Transport::All, OpenPorts::OtherThan { .. }) => true,
            (Transport::All, OpenPorts::Of(closed)) => !closed.is_empty(),
            (Transport::Tcp | Transport::Udp, OpenPorts::Of(closed)) => {
                closed.iter().any(|ports| rule.ports.overlaps(*ports))
            }
            (Transport::Tcp, OpenPorts::OtherThan { tcp, .. }) => !rule.ports.within(tcp),
            (Transport::Udp, OpenPorts::OtherThan { udp, .. }) => !rule.ports.within(udp),
        }
    }
}

/// What a protocol means for ports.
enum Transport {
    All,
    Tcp,
    Udp,
    Other,
}

impl Transport {
    fn of(protocol: &str) -> Self {
        match protocol {
            "-1" | "all" => Self::All,
            "tcp" | "6" => Self::Tcp,
            "udp" | "17" => Self::Udp,
            _ => Self::Other,
        }
    }
}

/// The ports of a parameter: each value is a port, a range, or a list of them with commas.
fn ports_of(
    parameters: &Parameters,
    name: &'static str,
    default: &[u16],
) -> Result<Vec<Ports>, BadParameter> {
    let Some(values) = parameters.get(name) else {
        return Ok(default.iter().copied().map(Ports::one).collect());
    };
    values
        .iter()
        .flat_map(|value| value.split(','))
        .map(|value| {
            value.parse().map_err(|cause| BadParameter {
                name,
                value: value.to_owned(),
                cause,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTROLS: &[&str] = &["EC2.13", "EC2.14", "EC2.18", "EC2.19", "EC2.53", "EC2.54"];

    fn rule(protocol: &str, ports: (i32, i32), source: &str) -> Rule {
        Rule {
            id: "sgr-1".to_owned(),
            direction: Direction::Ingress,
            protocol: protocol.to_owned(),
            ports: Ports::of_rule(Some(ports.0), Some(ports.1)),
            message_types: MessageTypes::of(protocol, Some(ports.0), Some(ports.1)),
            source: source.to_owned(),
            source_owner: None,
            description: None,
            tags: BTreeMap::new(),
        }
    }

    fn open(control: &str, rule: &Rule) -> bool {
        Openness::of(control, &Parameters::new()).unwrap().has(rule)
    }

    #[test]
    fn each_control_has_its_own_open_rules() {
        for (protocol, ports, source, expected) in [
            ("tcp", (22, 22), ANY_IPV4, "EC2.13 EC2.18 EC2.19 EC2.53"),
            ("tcp", (22, 22), ANY_IPV6, "EC2.13 EC2.18 EC2.19 EC2.54"),
            ("tcp", (3389, 3389), ANY_IPV4, "EC2.14 EC2.18 EC2.19 EC2.53"),
            ("tcp", (443, 443), ANY_IPV4, ""),
            ("tcp", (80, 443), ANY_IPV4, "EC2.18 EC2.19"),
            ("tcp", (6000, 6000), ANY_IPV4, "EC2.18"),
            ("udp", (443, 443), ANY_IPV4, "EC2.18"),
            ("udp", (3389, 3389), ANY_IPV6, "EC2.14 EC2.18 EC2.19 EC2.54"),
            (
                "-1",
                (-1, -1),
                ANY_IPV4,
                "EC2.13 EC2.14 EC2.18 EC2.19 EC2.53",
            ),
            (
                "-1",
                (-1, -1),
                ANY_IPV6,
                "EC2.13 EC2.14 EC2.18 EC2.19 EC2.54",
            ),
            (
                "tcp",
                (0, 65_535),
                ANY_IPV4,
                "EC2.13 EC2.14 EC2.18 EC2.19 EC2.53",
            ),
            ("icmp", (8, -1), ANY_IPV4, ""),
            ("-1", (-1, -1), "10.0.0.0/8", ""),
            ("tcp", (22, 22), "0.0.0.0/1", ""),
            ("tcp", (22, 22), "sg-2", ""),
        ] {
            let rule = rule(protocol, ports, source);
            let found: Vec<&str> = CONTROLS
                .iter()
                .copied()
                .filter(|control| open(control, &rule))
                .collect();
            assert_eq!(found.join(" "), expected, "{rule:?}");
        }
    }

    #[test]
    fn parameters_say_which_ports() {
        let parameters = |name: &str, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            Parameters::from([(name.to_owned(), values)])
        };
        let ranges = parameters("authorizedTcpPorts", &["443,1020-1025", "8443"]);
        let openness = Openness::of("EC2.18", &ranges).unwrap();
        assert!(openness.has(&rule("tcp", (80, 80), ANY_IPV4)));
        assert!(!openness.has(&rule("tcp", (1020, 1025), ANY_IPV4)));
        assert!(openness.has(&rule("tcp", (1020, 1026), ANY_IPV4)));
        let udp = parameters("authorizedUdpPorts", &["500"]);
        let openness = Openness::of("EC2.18", &udp).unwrap();
        assert!(!openness.has(&rule("udp", (500, 500), ANY_IPV4)));
        let closed = parameters("restrictedPorts", &["23"]);
        let openness = Openness::of("EC2.53", &closed).unwrap();
        assert!(openness.has(&rule("tcp", (23, 23), ANY_IPV4)));
        assert!(!openness.has(&rule("tcp", (22, 22), ANY_IPV4)));
        let bad = Openness::of("EC2.19", &parameters("blockedPorts", &["22", "ssh"]));
        assert_eq!(
            bad.unwrap_err().to_string(),
            "the parameter blockedPorts has the value ssh, which is not a port or a range of ports"
        );
    }

    fn rules() -> impl Strategy<Value = Rule> {
        let protocol = prop_oneof![
            Just("tcp"),
            Just("udp"),
            Just("-1"),
            Just("icmp"),
            "[0-9]{1,2}".prop_map(|_| "50")
        ];
        let source = prop_oneof![
            Just(ANY_IPV4.to_owned()),
            Just(ANY_IPV6.to_owned()),
            "[0-9]{1,3}\\.0\\.0\\.0/[1-9]",
            "[0-9a-f]{1,4}::/[1-9][0-9]",
            "(sg|pl)-[0-9a-f]{8}",
        ];
        let egress = any::<bool>();
        (protocol, any::<(u16, u16)>(), source, egress).prop_map(
            |(protocol, ports, source, egress)| {
                let (first, last) = (ports.0.min(ports.1), ports.0.max(ports.1));
                Rule {
                    direction: if egress {
                        Direction::Egress
                    } else {
                        Direction::Ingress
                    },
                    ..rule(protocol, (first.into(), last.into()), &source)
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_rule_with_a_restricted_source_is_never_open(rule in rules(), control in prop::sample::select(CONTROLS)) {
            let everybody = rule.source == ANY_IPV4 || rule.source == ANY_IPV6;
            if open(control, &rule) {
                prop_assert!(everybody && rule.direction == Direction::Ingress);
            }
            if control == "EC2.53" && rule.source == ANY_IPV6 || control == "EC2.54" && rule.source == ANY_IPV4 {
                prop_assert!(!open(control, &rule));
            }
        }

        #[test]
        fn a_tcp_rule_is_open_if_one_of_its_ports_is_to_be_closed(first in 0..9_400_u16, more in 0..300_u16) {
            let last = first + more;
            let rule = rule("tcp", (first.into(), last.into()), ANY_IPV4);
            let closed = HIGH_RISK.iter().any(|port| (first..=last).contains(port));
            prop_assert_eq!(open("EC2.19", &rule), closed);
            let other = (first..=last).any(|port| !WEB.contains(&port));
            prop_assert_eq!(open("EC2.18", &rule), other);
        }
    }
}
