//! What faces the internet, or could: one item of the table `Exposure` each.

use std::fmt;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::pair::Pair;

/// The attribute that is the sort key of the table.
pub const SORT_KEY: &str = "ExposureId";

/// What is exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An instance's interface with a public IPv4 address.
    Instance,
    /// Another interface with a public IPv4 address: a container, an appliance, a service's own.
    Interface,
    /// An interface with an IPv6 address in a subnet that routes to an internet gateway.
    Ipv6,
    /// A load balancer with the scheme `internet-facing`.
    LoadBalancer,
    /// A NAT gateway with a public address: outbound only.
    NatGateway,
    /// An Elastic IP address that nothing uses.
    IdleAddress,
    /// A database with public access.
    Database,
    /// A function URL without authentication.
    FunctionUrl,
    /// A subnet that routes to an internet gateway and has no public address in it yet.
    PublicSubnet,
    /// A route to public addresses: a way, not an address.
    Route,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Instance,
        Self::Interface,
        Self::Ipv6,
        Self::LoadBalancer,
        Self::NatGateway,
        Self::IdleAddress,
        Self::Database,
        Self::FunctionUrl,
        Self::PublicSubnet,
        Self::Route,
    ];

    /// As a word: in tables, reports and `posture.toml`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Interface => "interface",
            Self::Ipv6 => "ipv6",
            Self::LoadBalancer => "load-balancer",
            Self::NatGateway => "nat-gateway",
            Self::IdleAddress => "idle-address",
            Self::Database => "database",
            Self::FunctionUrl => "function-url",
            Self::PublicSubnet => "public-subnet",
            Self::Route => "route",
        }
    }

    /// Whether somebody outside could connect to one. The others are listed, for cost, allow lists and what may follow.
    #[must_use]
    pub fn is_inbound(self) -> bool {
        match self {
            Self::Instance
            | Self::Interface
            | Self::Ipv6
            | Self::LoadBalancer
            | Self::Database
            | Self::FunctionUrl => true,
            Self::NatGateway | Self::IdleAddress | Self::PublicSubnet | Self::Route => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// Whether somebody outside can connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reachable {
    /// Routes and security groups let somebody in.
    Yes,
    /// Something is in the way.
    No,
    /// It cannot be decided from what was read.
    Unknown,
}

impl Reachable {
    /// As a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// Ports that are open, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Opening {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, the number of another protocol, or `all`.
    pub protocol: String,
    /// The first port; 0 where the protocol has none.
    pub from: u16,
    /// The last port; 65535 for all of them.
    pub to: u16,
    /// To whom: address ranges and prefix lists, sorted.
    pub sources: Vec<String>,
}

impl Opening {
    /// Whether a TCP or UDP port is within it.
    #[must_use]
    pub fn has_port(&self, port: u16) -> bool {
        matches!(self.protocol.as_str(), "tcp" | "udp" | "all")
            && (self.from..=self.to).contains(&port)
    }

    /// Whether it is open to every IPv4 or every IPv6 address.
    #[must_use]
    pub fn is_to_everybody(&self) -> bool {
        let everybody = |source: &String| source == "0.0.0.0/0" || source == "::/0";
        self.sources.iter().any(everybody)
    }
}

/// On one line: `tcp 443 to 0.0.0.0/0`.
impl fmt::Display for Opening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.protocol)?;
        if matches!(self.protocol.as_str(), "tcp" | "udp") {
            match (self.from, self.to) {
                (from, to) if from == to => write!(formatter, " {from}")?,
                (from, to) => write!(formatter, " {from}-{to}")?,
            }
        }
        write!(formatter, " to {}", self.sources.join(" "))
    }
}

/// Whose account it is, by the account directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Owner {
    /// The account's name; empty if the directory does not have it.
    pub account_name: String,
    /// The path of its organizational unit, `Root/Workloads/Prod`; empty if the directory does not have it.
    pub unit: String,
}

/// Whether `posture.toml` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "As",
    rename_all = "kebab-case",
    rename_all_fields = "PascalCase"
)]
pub enum Expectation {
    /// Nothing in the file mentions it.
    #[default]
    Unexpected,
    /// A scope expects its kind and ports.
    Expected {
        /// The target of the scope.
        scope: String,
    },
    /// Somebody has accepted it.
    Accepted {
        /// Why.
        reason: String,
        /// The last day.
        until: Date,
    },
}

/// An item of the table `Exposure`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Exposure {
    /// The table's partition key: account and Region.
    pub pair: Pair,
    /// The table's sort key: kind, resource and address (of a database no address: it has none at first), so that a later survey
    /// finds the same item.
    pub exposure_id: String,
    /// What it is.
    pub kind: Kind,
    /// The public address, or the name (load balancers, databases, function URLs); the subnet's range for a subnet.
    pub address: String,
    /// The resource: its ARN where AWS gives one, else its id.
    pub resource: String,
    /// Whose it is.
    #[serde(default)]
    pub owner: Owner,
    /// What is open, to whom. Empty where nothing is, or where it is not known.
    #[serde(default)]
    pub open: Vec<Opening>,
    /// Whether somebody outside can connect.
    pub reachable: Reachable,
    /// Why it is reachable, is not, or why that is not known.
    pub reason: String,
    /// Whether `posture.toml` has it.
    #[serde(default)]
    pub expectation: Expectation,
    /// When a survey first found it; anew if it was gone in between.
    pub first_seen: Timestamp,
    /// When something of it last changed.
    pub last_change: Timestamp,
    /// Since when it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
    /// Whether the last look could not read it, so that all this is older.
    #[serde(default)]
    pub stale: bool,
    /// Whether it was there when a survey of the organization saw its pair for the first time: nobody knows since when.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_look: bool,
    /// When DynamoDB may delete it, in seconds since 1970: only of one that is gone, or whose account has left the organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

impl Exposure {
    /// Whether somebody outside can connect to a port by TCP or UDP.
    #[must_use]
    pub fn reaches_port(&self, port: u16) -> bool {
        self.reachable == Reachable::Yes && self.open.iter().any(|open| open.has_port(port))
    }

    /// Whether it is one that people have to look at: nobody expects or has accepted it by that day, and somebody can
    /// connect, or that is not known.
    #[must_use]
    pub fn is_unexpected(&self, today: Date) -> bool {
        let mentioned = match &self.expectation {
            Expectation::Unexpected => false,
            Expectation::Expected { .. } => true,
            Expectation::Accepted { until, .. } => *until >= today,
        };
        self.kind.is_inbound() && self.reachable != Reachable::No && !mentioned
    }
}

/// What a change of an item means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before, or it was gone.
    New,
    /// It is gone.
    Gone,
    /// What is open, whether it is reachable, or what the file says of it has changed.
    Changed,
    /// Nothing that people have to know: stale or not, or other words.
    Same,
}

/// What it means that `old` was replaced by `new`.
#[must_use]
pub fn change(old: Option<&Exposure>, new: &Exposure) -> Change {
    let old = old.filter(|old| old.gone_at.is_none());
    match (old, new.gone_at) {
        (None, None) => Change::New,
        (Some(_), Some(_)) => Change::Gone,
        (None, Some(_)) => Change::Same,
        (Some(old), None) => {
            let same = old.open == new.open
                && old.reachable == new.reachable
                && old.expectation == new.expectation
                && old.address == new.address;
            if same { Change::Same } else { Change::Changed }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposure() -> Exposure {
        Exposure {
            pair: "111122223333#eu-west-1".parse().unwrap(),
            exposure_id: "instance#eni-1#203.0.113.5".into(),
            kind: Kind::Instance,
            address: "203.0.113.5".into(),
            resource: "i-1".into(),
            owner: Owner {
                account_name: "payments".into(),
                unit: "Root/Workloads".into(),
            },
            open: vec![Opening {
                protocol: "tcp".into(),
                from: 22,
                to: 22,
                sources: vec!["0.0.0.0/0".into()],
            }],
            reachable: Reachable::Yes,
            reason: "routed to igw-1".into(),
            expectation: Expectation::Unexpected,
            first_seen: "2026-01-01T00:00:00Z".parse().unwrap(),
            last_change: "2026-01-01T00:00:00Z".parse().unwrap(),
            gone_at: None,
            stale: false,
            first_look: false,
            expires_at: None,
        }
    }

    fn gone() -> Exposure {
        Exposure {
            gone_at: Some("2026-01-02T00:00:00Z".parse().unwrap()),
            ..exposure()
        }
    }

    #[test]
    fn an_exposure_is_an_item_and_back() {
        for expectation in [
            Expectation::Unexpected,
            Expectation::Expected {
                scope: "Root/Workloads".into(),
            },
            Expectation::Accepted {
                reason: "a demo".into(),
                until: "2026-12-31".parse().unwrap(),
            },
        ] {
            let exposure = Exposure {
                expectation,
                ..gone()
            };
            let item: serde_dynamo::Item = serde_dynamo::to_item(&exposure).unwrap();
            assert_eq!(
                serde_dynamo::from_item::<_, Exposure>(item).unwrap(),
                exposure
            );
        }
    }

    #[test]
    fn what_comes_again_is_new() {
        let (here, gone) = (exposure(), gone());
        let closed = Exposure {
            open: vec![],
            reachable: Reachable::No,
            ..exposure()
        };
        let stale = Exposure {
            stale: true,
            ..exposure()
        };
        assert_eq!(change(None, &here), Change::New);
        assert_eq!(change(Some(&gone), &here), Change::New);
        assert_eq!(change(Some(&here), &gone), Change::Gone);
        assert_eq!(change(Some(&here), &closed), Change::Changed);
        assert_eq!(change(Some(&here), &stale), Change::Same);
        assert_eq!(change(Some(&gone), &gone), Change::Same);
    }

    #[test]
    fn what_is_accepted_is_unexpected_after_its_last_day() {
        let today: Date = "2026-06-30".parse().unwrap();
        let accepted = |until: &str| Exposure {
            expectation: Expectation::Accepted {
                reason: "a demo".into(),
                until: until.parse().unwrap(),
            },
            ..exposure()
        };
        assert!(exposure().is_unexpected(today));
        assert!(!accepted("2026-06-30").is_unexpected(today));
        assert!(accepted("2026-06-29").is_unexpected(today));
        assert!(
            !Exposure {
                kind: Kind::NatGateway,
                ..exposure()
            }
            .is_unexpected(today)
        );
        assert!(
            !Exposure {
                reachable: Reachable::No,
                ..exposure()
            }
            .is_unexpected(today)
        );
    }

    #[test]
    fn what_is_open_reads_on_one_line() {
        let open = exposure().open.remove(0);
        assert_eq!(open.to_string(), "tcp 22 to 0.0.0.0/0");
        assert_eq!(
            Opening {
                to: 80,
                ..open.clone()
            }
            .to_string(),
            "tcp 22-80 to 0.0.0.0/0"
        );
        assert!(open.is_to_everybody() && open.has_port(22) && !open.has_port(23));
        let all = Opening {
            protocol: "all".into(),
            from: 0,
            to: u16::MAX,
            sources: vec!["pl-1".into()],
        };
        assert_eq!(all.to_string(), "all to pl-1");
        assert!(all.has_port(3389) && !all.is_to_everybody());
    }
}
