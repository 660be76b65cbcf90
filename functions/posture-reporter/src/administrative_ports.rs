//! The ports by which something is administered, or by which data is read: open to the internet they are critical.

use orgkeeper_shared::posture::exposure::{Exposure, Kind, Opening, Reachable};

/// The ports, and what listens there as a rule.
pub const PORTS: &[(u16, &str)] = &[
    (22, "SSH"),
    (23, "Telnet"),
    (135, "RPC of Windows"),
    (139, "NetBIOS"),
    (445, "SMB"),
    (1_433, "SQL Server"),
    (1_521, "Oracle"),
    (2_049, "NFS"),
    (2_375, "Docker"),
    (2_376, "Docker"),
    (2_379, "etcd"),
    (3_306, "MySQL"),
    (3_389, "RDP"),
    (5_432, "PostgreSQL"),
    (5_439, "Redshift"),
    (5_601, "Kibana"),
    (5_900, "VNC"),
    (5_985, "WinRM"),
    (5_986, "WinRM"),
    (6_379, "Redis"),
    (6_443, "Kubernetes"),
    (8_182, "Neptune"),
    (9_042, "Cassandra"),
    (9_092, "Kafka"),
    (9_200, "OpenSearch"),
    (9_300, "OpenSearch"),
    (10_250, "kubelet"),
    (11_211, "Memcached"),
    (27_017, "MongoDB"),
];
/// IPv4 ranges with at most so many bits of prefix are as good as everybody: 0.0.0.0/1 and 128.0.0.0/1 are all of it.
const WIDE_V4: u8 = 8;
/// IPv6 ranges with at most so many bits of prefix are as good as everybody.
const WIDE_V6: u8 = 16;

/// What listens on the administrative ports of an opening, each once.
#[must_use]
pub fn names(opening: &Opening) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (port, name) in PORTS {
        if opening.has_port(*port) && !names.contains(name) {
            names.push(*name);
        }
    }
    names
}

/// The openings that make an exposure critical: an administrative port, or any port of a database, for everybody.
pub fn critical(exposure: &Exposure) -> impl Iterator<Item = &Opening> {
    let reachable = exposure.reachable == Reachable::Yes;
    let any_port = exposure.kind == Kind::Database;
    exposure.open.iter().filter(move |opening| {
        reachable && is_wide(opening) && (any_port || !names(opening).is_empty())
    })
}

/// Whether an opening is to everybody, or to a range that is as good as that.
#[must_use]
pub fn is_wide(opening: &Opening) -> bool {
    opening.is_to_everybody() || opening.sources.iter().any(|source| is_wide_range(source))
}

fn is_wide_range(source: &str) -> bool {
    let Some((address, bits)) = source.split_once('/') else {
        return false;
    };
    let most = if address.contains(':') {
        WIDE_V6
    } else {
        WIDE_V4
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::exposure;

    fn is_critical(change: impl Fn(&mut Exposure)) -> bool {
        let mut exposure = exposure("i-1");
        change(&mut exposure);
        critical(&exposure).next().is_some()
    }

    #[test]
    fn an_administrative_port_for_everybody_is_critical() {
        assert!(is_critical(|_| {}));
        assert!(is_critical(
            |exposure| exposure.open[0].sources = vec!["::/0".into()]
        ));
        assert!(is_critical(
            |exposure| exposure.open[0].sources = vec!["128.0.0.0/1".into()]
        ));
        assert!(is_critical(|exposure| exposure.open[0].to = 80));
        assert!(!is_critical(|exposure| exposure.open[0].from = 23_000));
        assert!(!is_critical(|exposure| {
            (exposure.open[0].from, exposure.open[0].to) = (443, 443);
        }));
        assert!(!is_critical(
            |exposure| exposure.open[0].sources = vec!["203.0.113.0/24".into()]
        ));
        assert!(!is_critical(
            |exposure| exposure.open[0].sources = vec!["pl-1".into()]
        ));
        assert!(!is_critical(
            |exposure| exposure.reachable = Reachable::Unknown
        ));
        assert!(is_critical(|exposure| {
            exposure.kind = Kind::Database;
            (exposure.open[0].from, exposure.open[0].to) = (15_432, 15_432);
        }));
    }

    #[test]
    fn ports_are_in_order_and_have_names() {
        assert!(PORTS.is_sorted_by_key(|(port, _)| *port));
        let all = Opening {
            protocol: "all".into(),
            from: 0,
            to: u16::MAX,
            sources: vec![],
        };
        assert_eq!(names(&all)[..3], ["SSH", "Telnet", "RPC of Windows"]);
        assert_eq!(
            names(&all).iter().filter(|name| **name == "WinRM").count(),
            1
        );
    }
}
