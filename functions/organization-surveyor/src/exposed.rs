//! What of a network faces the internet: plain values in, plain values out.
//!
//! An interface is decided by its subnet's route table, VPC Block Public Access and its security groups. Network ACLs,
//! firewalls in between and what runs on a host are not looked at.

use std::collections::BTreeSet;

use orgkeeper_shared::posture::exposure::{Kind, Opening, Reachable};

use crate::{
    network::{
        Block, Database, Family, FunctionUrl, IdleAddress, Interface, LoadBalancer, Network,
    },
    openings::{Opened, at_port, everything, opened},
    routes::{Way, way},
};

/// Something that is exposed, as a look finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What identifies it within its pair.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// The public address or name.
    pub address: String,
    /// The ARN or id.
    pub resource: String,
    /// What is open.
    pub open: Vec<Opening>,
    /// Whether somebody outside can connect.
    pub reachable: Reachable,
    /// Why, or why not.
    pub reason: String,
}

impl Found {
    pub(crate) fn new(kind: Kind, resource: &str, address: &str, verdict: Verdict) -> Self {
        let id = match kind {
            // It has no endpoint at first.
            Kind::Database => format!("{}#{resource}", kind.word()),
            _ => format!("{}#{resource}#{address}", kind.word()),
        };
        Self {
            id,
            kind,
            address: address.to_owned(),
            resource: resource.to_owned(),
            open: verdict.open,
            reachable: verdict.reachable,
            reason: verdict.reason,
        }
    }
}

/// Whether something is reachable, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    reachable: Reachable,
    reason: String,
    open: Vec<Opening>,
}

/// Nobody outside can connect, for this reason.
pub(crate) fn no(reason: impl Into<String>) -> Verdict {
    Verdict {
        reachable: Reachable::No,
        reason: reason.into(),
        open: Vec::new(),
    }
}

fn unknown(reason: impl Into<String>, open: Vec<Opening>) -> Verdict {
    Verdict {
        reachable: Reachable::Unknown,
        reason: reason.into(),
        open,
    }
}

/// Everything that the network exposes.
#[must_use]
pub fn of_network(network: &Network) -> Vec<Found> {
    let mut found = Vec::new();
    for interface in &network.interfaces {
        of_interface(network, interface, &mut found);
    }
    found.extend(network.idle_addresses.iter().map(idle));
    found.extend(
        network
            .load_balancers
            .iter()
            .map(|it| load_balancer(network, it)),
    );
    public_subnets(network, &mut found);
    // A classic load balancer has several interfaces.
    let mut ids = BTreeSet::new();
    found.retain(|found| ids.insert(found.id.clone()));
    found
}

/// The databases with public access. The network says who reaches them.
#[must_use]
pub fn of_databases(network: &Network, databases: &[Database]) -> Vec<Found> {
    let found = databases.iter().map(|database| {
        let verdict = match database.port {
            Some(port) => listening(
                network,
                &database.subnets,
                None,
                &database.groups,
                &[("tcp", port)],
                &[Family::V4],
            ),
            None => unknown(
                "it is being created: its endpoint is not known yet",
                Vec::new(),
            ),
        };
        Found::new(Kind::Database, &database.arn, &database.name, verdict)
    });
    found.collect()
}

/// The function URLs without authentication.
#[must_use]
pub fn of_urls(urls: &[FunctionUrl]) -> Vec<Found> {
    let found = urls.iter().map(|url| {
        let verdict = Verdict {
            reachable: Reachable::Yes,
            reason: "its URL asks for no authentication".to_owned(),
            open: vec![Opening {
                protocol: "tcp".to_owned(),
                from: 443,
                to: 443,
                sources: vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
            }],
        };
        Found::new(Kind::FunctionUrl, &url.function, &url.url, verdict)
    });
    found.collect()
}

fn of_interface(network: &Network, interface: &Interface, found: &mut Vec<Found>) {
    // In a shared subnet, interfaces of other accounts are listed, too: each account's own look has them.
    let foreign = interface
        .owner
        .as_ref()
        .is_some_and(|owner| *owner != network.account);
    if foreign || is_listed_by_name(network, interface) {
        return;
    }
    let (kind, resource) = what(interface);
    for address in &interface.addresses {
        let (address, verdict) = match kind {
            Kind::NatGateway => (address.as_str(), no("a NAT gateway lets nobody in")),
            // Its addresses change: the name is what stays.
            Kind::LoadBalancer => (resource.as_str(), inbound(network, interface, Family::V4)),
            _ => (address.as_str(), inbound(network, interface, Family::V4)),
        };
        found.push(Found::new(kind, &resource, address, verdict));
    }
    if matches!(kind, Kind::NatGateway | Kind::LoadBalancer) {
        return;
    }
    for address in &interface.ipv6 {
        // Without a way to an internet gateway it is a private address.
        let way = way(network, &interface.subnet, &interface.vpc, Family::V6);
        if matches!(way, Way::Elsewhere(_) | Way::Nowhere(_)) {
            continue;
        }
        let verdict = inbound(network, interface, Family::V6);
        found.push(Found::new(Kind::Ipv6, &resource, address, verdict));
    }
}

/// What has the interface, and its name.
fn what(interface: &Interface) -> (Kind, String) {
    if interface.kind == "natGateway" || interface.kind == "nat_gateway" {
        let mut words = interface.description.split_whitespace();
        let name = words.find(|word| word.starts_with("nat-"));
        return (Kind::NatGateway, name.unwrap_or(&interface.id).to_owned());
    }
    if let Some(name) = classic_load_balancer(interface) {
        return (Kind::LoadBalancer, format!("classic load balancer {name}"));
    }
    match &interface.instance {
        Some(instance) => (Kind::Instance, instance.clone()),
        None => (Kind::Interface, interface.id.clone()),
    }
}

/// The name of a classic load balancer, from what it says at its interfaces.
fn classic_load_balancer(interface: &Interface) -> Option<&str> {
    let name = interface.description.strip_prefix("ELB ")?;
    (interface.instance.is_none() && !name.is_empty() && !name.contains('/')).then_some(name)
}

/// Whether something else is listed in its place: a load balancer or a database by its name.
fn is_listed_by_name(network: &Network, interface: &Interface) -> bool {
    if interface.instance.is_some() {
        return false;
    }
    let of_load_balancer = interface
        .description
        .strip_prefix("ELB ")
        .is_some_and(|name| {
            let end = format!("loadbalancer/{name}");
            network
                .load_balancers
                .iter()
                .any(|it| it.arn.ends_with(&end))
        });
    of_load_balancer || interface.description == "RDSNetworkInterface"
}

/// Whether somebody outside reaches an interface.
fn inbound(network: &Network, interface: &Interface, family: Family) -> Verdict {
    if !interface.in_use {
        return no("its interface is attached to nothing");
    }
    if interface.denies_gateways {
        return no("its interface denies all traffic by internet gateways");
    }
    let opened = opened(network, &interface.groups, family);
    if let Err(verdict) = let_in(network, &interface.subnet, &interface.vpc, family, &opened) {
        return verdict;
    }
    let way = way(network, &interface.subnet, &interface.vpc, family);
    if interface.groups.is_empty() {
        return unknown("its interface has no security group", Vec::new());
    }
    decided(
        &way,
        opened,
        "no security group lets anybody in from outside",
    )
}

/// What is in the way before security groups count, if anything is.
fn let_in(
    network: &Network,
    subnet: &str,
    vpc: &str,
    family: Family,
    opened: &Opened,
) -> Result<(), Verdict> {
    let block = block_of(network, subnet, vpc);
    if block != Block::Off {
        return Err(no("VPC Block Public Access stops connections from outside"));
    }
    match way(network, subnet, vpc, family) {
        Way::Internet { .. } => Ok(()),
        Way::Elsewhere(target) => Err(no(format!(
            "its subnet's way out is {target}, which lets nobody in"
        ))),
        Way::Nowhere(reason) => Err(no(reason)),
        Way::Through(target) => Err(unknown(
            format!("its subnet's way out is {target}, which is not looked into"),
            opened.open.clone(),
        )),
        Way::NotKnown(reason) => Err(unknown(reason, opened.open.clone())),
    }
}

/// The verdict where there is a way in, and these ports are open.
fn decided(way: &Way, opened: Opened, closed: &str) -> Verdict {
    let (by, is_to_a_part) = match way {
        Way::Internet { gateway, only } if only.is_empty() => {
            (format!("its subnet routes to {gateway}"), false)
        }
        Way::Internet { gateway, only } => (
            format!("its subnet routes {} to {gateway}", only.join(", ")),
            true,
        ),
        Way::Through(_) | Way::Elsewhere(_) | Way::Nowhere(_) | Way::NotKnown(_) => {
            (String::new(), false)
        }
    };
    if !opened.unread.is_empty() {
        let groups = opened.unread.join(", ");
        return unknown(
            format!("{by}; the security group {groups} cannot be read"),
            opened.open,
        );
    }
    if opened.open.is_empty() {
        return no(closed);
    }
    if opened.is_to_lists_only() {
        return unknown(
            format!("{by}; it is open to prefix lists, whose addresses are not read"),
            opened.open,
        );
    }
    if is_to_a_part {
        return unknown(
            format!("{by}, and nothing else: nobody outside these addresses gets an answer"),
            opened.open,
        );
    }
    Verdict {
        reachable: Reachable::Yes,
        reason: by,
        open: opened.open,
    }
}

/// What Block Public Access stops in a subnet: as the subnet says, else by the exclusions, else for the account.
fn block_of(network: &Network, subnet: &str, vpc: &str) -> Block {
    let own = network.subnets.get(subnet).and_then(|subnet| subnet.block);
    let excluded = || {
        network
            .exclusions
            .get(subnet)
            .or_else(|| network.exclusions.get(vpc))
            .copied()
    };
    own.or_else(excluded).unwrap_or(network.block)
}

fn idle(address: &IdleAddress) -> Found {
    let verdict = no("nothing uses the address");
    Found::new(
        Kind::IdleAddress,
        &address.allocation,
        &address.address,
        verdict,
    )
}

fn load_balancer(network: &Network, balancer: &LoadBalancer) -> Found {
    let vpc = Some(balancer.vpc.as_str());
    let verdict = if balancer.listeners.is_empty() {
        no("it has no listener")
    } else {
        listening(
            network,
            &balancer.subnets,
            vpc,
            &balancer.groups,
            &balancer.listeners,
            balancer.families,
        )
    };
    Found::new(Kind::LoadBalancer, &balancer.arn, &balancer.name, verdict)
}

/// Whether somebody outside reaches what listens on these ports in some of these subnets.
fn listening(
    network: &Network,
    subnets: &[String],
    vpc: Option<&str>,
    groups: &[String],
    listeners: &[(&'static str, u16)],
    families: &[Family],
) -> Verdict {
    let mut unread = Vec::new();
    let mut open = Vec::new();
    let mut ways: Vec<Result<Way, Verdict>> = Vec::new();
    for family in families {
        let opened = if groups.is_empty() {
            Opened {
                open: vec![everything(*family)],
                unread: Vec::new(),
            }
        } else {
            opened(network, groups, *family)
        };
        unread.extend(opened.unread.iter().cloned());
        let reached = listeners
            .iter()
            .filter_map(|(protocol, port)| at_port(&opened.open, protocol, *port));
        let reached: Vec<Opening> = reached.collect();
        let of_family = Opened {
            open: reached.clone(),
            unread: Vec::new(),
        };
        let mut is_in = false;
        for subnet in subnets {
            let of_subnet = network
                .subnets
                .get(subnet)
                .map(|subnet| subnet.vpc.as_str());
            let vpc = vpc.or(of_subnet).unwrap_or_default();
            let result = let_in(network, subnet, vpc, *family, &of_family);
            is_in |= result.is_ok();
            ways.push(result.map(|()| way(network, subnet, vpc, *family)));
        }
        if is_in || !ways.iter().any(Result::is_ok) {
            open.extend(reached);
        }
    }
    let open = merged(open);
    unread.sort();
    unread.dedup();
    let opened = Opened { open, unread };
    let mut refused = Vec::new();
    let mut way_in = None;
    for way in ways {
        match way {
            Ok(way) => way_in = way_in.or(Some(way)),
            Err(verdict) => refused.push(verdict),
        }
    }
    let Some(way) = way_in else {
        let not_known = refused
            .iter()
            .find(|verdict| verdict.reachable == Reachable::Unknown);
        let first = not_known.or(refused.first()).cloned();
        return first.unwrap_or_else(|| unknown("its subnets are not known", opened.open));
    };
    let verdict = decided(
        &way,
        opened,
        "no security group lets anybody in at its ports",
    );
    // Of a database it is not known in which of its subnets it is.
    let in_some = vpc.is_none() && !refused.is_empty();
    if in_some && verdict.reachable == Reachable::Yes {
        return unknown(
            "only some of its subnets route to an internet gateway",
            verdict.open,
        );
    }
    verdict
}

/// Openings of one port, together.
fn merged(open: Vec<Opening>) -> Vec<Opening> {
    let mut merged: Vec<Opening> = Vec::new();
    for opening in open {
        let same = |it: &&mut Opening| {
            (&it.protocol, it.from, it.to) == (&opening.protocol, opening.from, opening.to)
        };
        match merged.iter_mut().find(same) {
            Some(known) => {
                known.sources.extend(opening.sources);
                known.sources.sort();
                known.sources.dedup();
            }
            None => merged.push(opening),
        }
    }
    merged.sort();
    merged
}

/// Subnets that route to an internet gateway and have no public address in them yet. One that Block Public Access closes is
/// not public.
fn public_subnets(network: &Network, found: &mut Vec<Found>) {
    let with_ipv6: BTreeSet<&str> = network
        .interfaces
        .iter()
        .filter(|interface| !interface.ipv6.is_empty())
        .map(|interface| interface.subnet.as_str())
        .collect();
    for (id, subnet) in &network.subnets {
        let foreign = subnet
            .owner
            .as_ref()
            .is_some_and(|owner| *owner != network.account);
        let closed = block_of(network, id, &subnet.vpc) != Block::Off;
        if foreign || closed || network.subnets_in_use.contains(id) {
            continue;
        }
        let routed = |family| matches!(way(network, id, &subnet.vpc, family), Way::Internet { .. });
        let (v4, v6) = (routed(Family::V4), routed(Family::V6));
        let has_one = v6 && with_ipv6.contains(id.as_str());
        if has_one || !(v4 || v6) {
            continue;
        }
        let reason = if subnet.gives_addresses {
            "it routes to an internet gateway and gives a public address to what starts in it; nothing has one yet"
        } else {
            "it routes to an internet gateway; nothing in it has a public address yet"
        };
        found.push(Found::new(
            Kind::PublicSubnet,
            id,
            &subnet.range,
            no(reason),
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        network::{Route, Rule, Subnet},
        routes::tests::{network, route, table},
    };

    fn rule(port: i32, range: &str) -> Rule {
        let (v4, v6) = if range.contains(':') {
            (vec![], vec![range.to_owned()])
        } else {
            (vec![range.to_owned()], vec![])
        };
        Rule {
            protocol: "tcp".into(),
            ports: Some((port, port)),
            v4,
            v6,
            prefix_lists: vec![],
        }
    }

    fn subnet() -> Subnet {
        Subnet {
            vpc: "vpc-1".into(),
            owner: Some("111122223333".into()),
            range: "10.0.0.0/24".into(),
            gives_addresses: true,
            block: None,
        }
    }

    /// A public subnet in which SSH is open.
    fn public() -> Network {
        let routes = vec![
            route("10.0.0.0/16", "local"),
            route("0.0.0.0/0", "igw-1"),
            route("::/0", "igw-1"),
        ];
        Network {
            subnets: BTreeMap::from([("subnet-1".into(), subnet())]),
            groups: BTreeMap::from([(
                "sg-1".into(),
                vec![rule(22, "0.0.0.0/0"), rule(22, "::/0")],
            )]),
            interfaces: vec![interface()],
            subnets_in_use: BTreeSet::from(["subnet-1".into()]),
            ..network(vec![table(true, &[], routes)])
        }
    }

    fn interface() -> Interface {
        Interface {
            id: "eni-1".into(),
            owner: Some("111122223333".into()),
            kind: "interface".into(),
            instance: Some("i-1".into()),
            in_use: true,
            vpc: "vpc-1".into(),
            subnet: "subnet-1".into(),
            groups: vec!["sg-1".into()],
            addresses: vec!["203.0.113.5".into()],
            ..Interface::default()
        }
    }

    fn one(network: &Network) -> Found {
        let mut found = of_network(network);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn an_instance_in_a_public_subnet_is_reachable_on_what_is_open() {
        let found = one(&public());
        assert_eq!(
            (found.kind, found.reachable),
            (Kind::Instance, Reachable::Yes)
        );
        assert_eq!(
            (found.resource.as_str(), found.address.as_str()),
            ("i-1", "203.0.113.5")
        );
        assert_eq!(found.id, "instance#i-1#203.0.113.5");
        assert_eq!(
            found
                .open
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["tcp 22 to 0.0.0.0/0"]
        );
        assert_eq!(found.reason, "its subnet routes to igw-1");
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let reason_of = |change: &dyn Fn(&mut Network)| {
            let mut network = public();
            change(&mut network);
            let found = one(&network);
            (found.reachable, found.reason)
        };
        for (change, reachable, words) in [
            (
                &(|it: &mut Network| it.groups = BTreeMap::from([("sg-1".into(), vec![])]))
                    as &dyn Fn(&mut Network),
                Reachable::No,
                "no security group",
            ),
            (
                &|it: &mut Network| it.groups.clear(),
                Reachable::Unknown,
                "sg-1 cannot be read",
            ),
            (
                &|it: &mut Network| it.block = Block::Ingress,
                Reachable::No,
                "Block Public Access",
            ),
            (
                &|it: &mut Network| it.block = Block::Bidirectional,
                Reachable::No,
                "Block Public Access",
            ),
            (
                &|it: &mut Network| it.interfaces[0].in_use = false,
                Reachable::No,
                "attached to nothing",
            ),
            (
                &|it: &mut Network| it.interfaces[0].denies_gateways = true,
                Reachable::No,
                "denies all traffic",
            ),
            (
                &|it: &mut Network| it.interfaces[0].groups.clear(),
                Reachable::Unknown,
                "no security group",
            ),
            (
                &|it: &mut Network| it.tables[0].routes = vec![route("0.0.0.0/0", "nat-1")],
                Reachable::No,
                "nat-1",
            ),
            (
                &|it: &mut Network| it.tables[0].routes = vec![route("0.0.0.0/0", "vpce-1")],
                Reachable::Unknown,
                "vpce-1",
            ),
            (
                &|it: &mut Network| it.tables[0].routes = vec![route("203.0.113.0/24", "igw-1")],
                Reachable::Unknown,
                "203.0.113.0/24",
            ),
            (
                &|it: &mut Network| it.tables[0].routes.clear(),
                Reachable::No,
                "no route",
            ),
            (
                &|it: &mut Network| it.tables.clear(),
                Reachable::Unknown,
                "no route table",
            ),
            (
                &|it: &mut Network| it.gateways.clear(),
                Reachable::No,
                "not attached",
            ),
            (
                &|it: &mut Network| {
                    it.groups = BTreeMap::from([(
                        "sg-1".into(),
                        vec![Rule {
                            prefix_lists: vec!["pl-1".into()],
                            ..Rule::default()
                        }],
                    )]);
                },
                Reachable::Unknown,
                "prefix lists",
            ),
        ] {
            let (found, reason) = reason_of(change);
            assert_eq!(found, reachable, "{words}: {reason}");
            assert!(reason.contains(words), "{words}: {reason}");
        }
    }

    #[test]
    fn an_exclusion_from_block_public_access_lets_in() {
        let mut network = public();
        network.block = Block::Bidirectional;
        network.exclusions = BTreeMap::from([("vpc-1".into(), Block::Off)]);
        assert_eq!(one(&network).reachable, Reachable::Yes);
        // The subnet itself says it best.
        network.subnets.get_mut("subnet-1").unwrap().block = Some(Block::Ingress);
        assert_eq!(one(&network).reachable, Reachable::No);
    }

    #[test]
    fn an_ipv6_address_counts_where_it_routes_to_an_internet_gateway() {
        let mut network = public();
        network.interfaces[0].addresses.clear();
        network.interfaces[0].ipv6 = vec!["2001:db8::5".into()];
        let found = one(&network);
        assert_eq!((found.kind, found.reachable), (Kind::Ipv6, Reachable::Yes));
        assert_eq!(found.open[0].sources, ["::/0"]);
        network.tables[0].routes = vec![route("0.0.0.0/0", "igw-1"), route("::/0", "eigw-1")];
        assert_eq!(of_network(&network), []);
        network.tables[0].routes = vec![Route {
            blackhole: true,
            ..route("::/0", "igw-1")
        }];
        assert_eq!(of_network(&network), []);
    }

    #[test]
    fn another_accounts_interface_in_a_shared_subnet_is_left_to_its_own_look() {
        let mut network = public();
        network.interfaces[0].owner = Some("444455556666".into());
        assert_eq!(of_network(&network), []);
        // Seen from there, the route tables belong to the other account.
        network.account = "444455556666".into();
        network.gateways.clear();
        assert_eq!(one(&network).reachable, Reachable::Yes);
        network.tables.clear();
        assert_eq!(one(&network).reachable, Reachable::Unknown);
    }

    #[test]
    fn a_nat_gateway_lets_nobody_in_and_an_idle_address_neither() {
        let mut network = public();
        network.interfaces[0] = Interface {
            kind: "nat_gateway".into(),
            description: "Interface for NAT Gateway nat-1".into(),
            instance: None,
            groups: vec![],
            ..interface()
        };
        network.idle_addresses = vec![IdleAddress {
            address: "203.0.113.9".into(),
            allocation: "eipalloc-1".into(),
        }];
        let found = of_network(&network);
        let ids: Vec<&str> = found.iter().map(|found| found.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "nat-gateway#nat-1#203.0.113.5",
                "idle-address#eipalloc-1#203.0.113.9"
            ]
        );
        assert!(found.iter().all(|found| found.reachable == Reachable::No));
    }

    fn balancer() -> LoadBalancer {
        LoadBalancer {
            arn: "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/1"
                .into(),
            name: "shop.elb.amazonaws.com".into(),
            groups: vec!["sg-1".into()],
            vpc: "vpc-1".into(),
            subnets: vec!["subnet-1".into()],
            listeners: vec![("tcp", 443)],
            families: &[Family::V4],
        }
    }

    #[test]
    fn a_load_balancer_is_its_name_and_listeners() {
        let mut network = public();
        // Its own interface, whose addresses change.
        network.interfaces[0] = Interface {
            instance: None,
            description: "ELB app/shop/1".into(),
            ..interface()
        };
        network.load_balancers = vec![balancer()];
        let closed = one(&network);
        assert_eq!(
            (closed.kind, closed.reachable),
            (Kind::LoadBalancer, Reachable::No)
        );
        network.groups.insert(
            "sg-1".into(),
            vec![rule(443, "0.0.0.0/0"), rule(22, "0.0.0.0/0")],
        );
        let found = one(&network);
        assert_eq!(
            (found.address.as_str(), found.reachable),
            ("shop.elb.amazonaws.com", Reachable::Yes)
        );
        assert_eq!(
            found
                .open
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["tcp 443 to 0.0.0.0/0"]
        );
        network.load_balancers[0].listeners.clear();
        assert_eq!(one(&network).reason, "it has no listener");
        // A network load balancer without groups lets everybody in.
        network.load_balancers[0] = LoadBalancer {
            groups: vec![],
            families: &[Family::V4, Family::V6],
            ..balancer()
        };
        assert_eq!(one(&network).open[0].sources, ["0.0.0.0/0", "::/0"]);
    }

    #[test]
    fn a_load_balancer_without_public_ipv4_addresses_is_reached_by_ipv6_only() {
        let mut network = public();
        network.interfaces.clear();
        network.load_balancers = vec![LoadBalancer {
            families: &[Family::V6],
            ..balancer()
        }];
        let with = |range: &str| {
            let mut network = network.clone();
            network.groups = BTreeMap::from([("sg-1".into(), vec![rule(443, range)])]);
            one(&network)
        };
        assert_eq!(with("0.0.0.0/0").reachable, Reachable::No);
        let found = with("::/0");
        assert_eq!(found.reachable, Reachable::Yes);
        assert_eq!(found.open[0].sources, ["::/0"]);
    }

    #[test]
    fn a_classic_load_balancer_is_one_by_its_name() {
        let mut network = public();
        let of_it = |id: &str, address: &str| Interface {
            id: id.into(),
            instance: None,
            description: "ELB shop".into(),
            addresses: vec![address.into()],
            ..interface()
        };
        network.interfaces = vec![of_it("eni-1", "203.0.113.1"), of_it("eni-2", "203.0.113.2")];
        let found = one(&network);
        assert_eq!(
            (found.kind, found.address.as_str()),
            (Kind::LoadBalancer, "classic load balancer shop")
        );
        assert_eq!(found.reachable, Reachable::Yes);
    }

    #[test]
    fn an_instance_with_the_words_of_a_load_balancer_is_an_instance() {
        let mut network = public();
        for description in ["ELB shop", "RDSNetworkInterface", "ELB app/shop/1"] {
            network.interfaces[0].description = description.into();
            network.load_balancers.clear();
            assert_eq!(one(&network).kind, Kind::Instance, "{description}");
        }
    }

    #[test]
    fn a_database_is_reachable_at_its_port() {
        let mut network = public();
        let database = Database {
            arn: "arn:aws:rds:eu-west-1:1:db:x".into(),
            name: "x.rds.amazonaws.com".into(),
            port: Some(22),
            groups: vec!["sg-1".into()],
            subnets: vec!["subnet-1".into()],
        };
        let of = |network: &Network, database: &Database| {
            of_databases(network, std::slice::from_ref(database)).remove(0)
        };
        assert_eq!(of(&network, &database).reachable, Reachable::Yes);
        assert_eq!(
            of(
                &network,
                &Database {
                    port: Some(5432),
                    ..database.clone()
                }
            )
            .reachable,
            Reachable::No
        );
        network.tables.push(RouteTableOf::private("subnet-2"));
        network.subnets.insert("subnet-2".into(), subnet());
        let in_two = Database {
            subnets: vec!["subnet-1".into(), "subnet-2".into()],
            ..database.clone()
        };
        assert_eq!(of(&network, &in_two).reachable, Reachable::Unknown);
        let nowhere = Database {
            subnets: vec![],
            ..database
        };
        assert_eq!(of(&network, &nowhere).reachable, Reachable::Unknown);
    }

    #[test]
    fn of_a_database_that_is_being_created_it_is_not_known_who_reaches_it() {
        let network = public();
        let created = Database {
            arn: "arn:aws:rds:eu-west-1:1:db:x".into(),
            name: "x".into(),
            port: None,
            groups: vec!["sg-1".into()],
            subnets: vec!["subnet-1".into()],
        };
        let available = Database {
            name: "x.rds.amazonaws.com".into(),
            port: Some(22),
            ..created.clone()
        };
        let found = of_databases(&network, &[created, available]);
        assert_eq!(found[0].reachable, Reachable::Unknown);
        assert!(
            found[0].reason.contains("being created"),
            "{}",
            found[0].reason
        );
        assert_eq!(found[1].reachable, Reachable::Yes);
        assert_eq!(found[0].id, found[1].id, "it stays the same exposure");
    }

    struct RouteTableOf;

    impl RouteTableOf {
        fn private(subnet: &str) -> crate::network::RouteTable {
            table(false, &[subnet], vec![route("0.0.0.0/0", "nat-1")])
        }
    }

    #[test]
    fn a_public_subnet_without_addresses_is_listed() {
        let mut network = public();
        network.interfaces.clear();
        network.subnets_in_use.clear();
        let found = one(&network);
        assert_eq!(
            (found.kind, found.reachable),
            (Kind::PublicSubnet, Reachable::No)
        );
        for block in [Block::Ingress, Block::Bidirectional] {
            network.subnets.get_mut("subnet-1").unwrap().block = Some(block);
            assert_eq!(of_network(&network), [], "{block:?}");
        }
        network.subnets.get_mut("subnet-1").unwrap().block = None;
        network.tables[0].routes = vec![route("0.0.0.0/0", "nat-1")];
        assert_eq!(of_network(&network), []);
    }

    #[test]
    fn a_subnet_with_an_ipv6_address_that_is_reached_is_no_empty_one() {
        let mut network = public();
        network.interfaces[0].addresses.clear();
        network.interfaces[0].ipv6 = vec!["2001:db8::5".into()];
        network.subnets_in_use.clear();
        network.tables[0].routes.push(route("::/0", "igw-1"));
        assert_eq!(one(&network).kind, Kind::Ipv6);
        network.tables[0].routes = vec![route("0.0.0.0/0", "igw-1")];
        assert_eq!(one(&network).kind, Kind::PublicSubnet);
    }

    #[test]
    fn a_function_url_is_open_to_everybody() {
        let url = FunctionUrl {
            function: "arn:f".into(),
            url: "https://x.lambda-url.eu-west-1.on.aws/".into(),
        };
        let found = of_urls(&[url]).remove(0);
        assert_eq!(
            (found.kind, found.reachable),
            (Kind::FunctionUrl, Reachable::Yes)
        );
    }

    fn any_interface() -> impl Strategy<Value = Interface> {
        let word = || "[a-z0-9-]{0,6}";
        (
            (
                prop_oneof![Just("eni-1".to_owned()), word().prop_map(String::from)],
                prop::option::of(word()),
                word(),
                ".{0,20}",
                prop::option::of(word()),
            ),
            (
                any::<bool>(),
                prop_oneof![Just("vpc-1".to_owned()), word().prop_map(String::from)],
                prop_oneof![Just("subnet-1".to_owned()), word().prop_map(String::from)],
            ),
            (
                prop::collection::vec(
                    prop_oneof![Just("sg-1".to_owned()), word().prop_map(String::from)],
                    0..3,
                ),
                prop::collection::vec("[0-9.]{0,10}", 0..3),
                prop::collection::vec("[0-9a-f:]{0,10}", 0..3),
                any::<bool>(),
            ),
        )
            .prop_map(
                |(
                    (id, owner, kind, description, instance),
                    (in_use, vpc, subnet),
                    (groups, addresses, ipv6, denies_gateways),
                )| Interface {
                    id,
                    owner,
                    kind,
                    description,
                    instance,
                    in_use,
                    vpc,
                    subnet,
                    groups,
                    addresses,
                    ipv6,
                    denies_gateways,
                },
            )
    }

    proptest! {
        #[test]
        fn no_interface_makes_it_panic_and_each_is_listed_once(interfaces in prop::collection::vec(any_interface(), 0..6), block in 0..3) {
            let block = [Block::Off, Block::Ingress, Block::Bidirectional][usize::try_from(block).unwrap()];
            let network = Network { interfaces, block, ..public() };
            let found = of_network(&network);
            let ids: BTreeSet<&str> = found.iter().map(|found| found.id.as_str()).collect();
            prop_assert_eq!(ids.len(), found.len());
            for found in &found {
                prop_assert!(!found.reason.is_empty());
                if found.reachable == Reachable::Yes {
                    prop_assert!(!found.open.is_empty());
                    prop_assert_eq!(block, Block::Off);
                }
            }
        }

        #[test]
        fn closing_everything_leaves_nothing_reachable(interfaces in prop::collection::vec(any_interface(), 0..6)) {
            let network = Network { interfaces, groups: BTreeMap::new(), ..public() };
            prop_assert!(of_network(&network).iter().all(|found| found.reachable != Reachable::Yes));
        }
    }
}
