//! The network of an account in a Region, as far as it decides what is exposed: plain values.

use std::collections::{BTreeMap, BTreeSet};

/// The two families of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The account that read it.
    pub account: String,
    /// Interfaces with a public address or an IPv6 address.
    pub interfaces: Vec<Interface>,
    /// Subnets in which there is an interface with a public IPv4 address.
    pub subnets_in_use: BTreeSet<String>,
    /// Elastic IP addresses that nothing uses.
    pub idle_addresses: Vec<IdleAddress>,
    /// Route tables.
    pub tables: Vec<RouteTable>,
    /// Internet gateways, each with the VPCs that it is attached to.
    pub gateways: BTreeMap<String, BTreeSet<String>>,
    /// Subnets by id.
    pub subnets: BTreeMap<String, Subnet>,
    /// Security groups by id.
    pub groups: BTreeMap<String, Vec<Rule>>,
    /// VPC Block Public Access of the account.
    pub block: Block,
    /// Exclusions from it, by the id of a VPC or subnet: what is blocked there.
    pub exclusions: BTreeMap<String, Block>,
    /// Load balancers that face the internet.
    pub load_balancers: Vec<LoadBalancer>,
}

/// What VPC Block Public Access stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Block {
    /// Nothing.
    #[default]
    Off,
    /// Connections from outside.
    Ingress,
    /// All traffic by internet gateways.
    Bidirectional,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its id.
    pub id: String,
    /// The account that owns it: in a shared subnet, another one than the subnet's.
    pub owner: Option<String>,
    /// Its type, `interface` or that of a service.
    pub kind: String,
    /// What the service that made it says.
    pub description: String,
    /// The instance that it is attached to.
    pub instance: Option<String>,
    /// Whether it is attached to anything.
    pub in_use: bool,
    /// Its VPC.
    pub vpc: String,
    /// Its subnet.
    pub subnet: String,
    /// Its security groups.
    pub groups: Vec<String>,
    /// Its public IPv4 addresses.
    pub addresses: Vec<String>,
    /// Its IPv6 addresses.
    pub ipv6: Vec<String>,
    /// Whether all traffic by internet gateways is denied to it.
    pub denies_gateways: bool,
}

/// An Elastic IP address that nothing uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleAddress {
    /// The address.
    pub address: String,
    /// The id of its allocation.
    pub allocation: String,
}

/// A route table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    /// Its id.
    pub id: String,
    /// The account that owns it.
    pub owner: Option<String>,
    /// Its VPC.
    pub vpc: String,
    /// Whether it is the main table of its VPC, which subnets without a table use.
    pub main: bool,
    /// The subnets that are associated with it.
    pub subnets: BTreeSet<String>,
    /// Its routes.
    pub routes: Vec<Route>,
}

/// A route. Each part can be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The destination.
    pub destination: Destination,
    /// Where the traffic goes.
    pub target: Option<String>,
    /// Whether the target does not exist any more.
    pub blackhole: bool,
}

/// The destination of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Destination {
    /// IPv4 addresses.
    V4(String),
    /// IPv6 addresses.
    V6(String),
    /// A prefix list, whose addresses are not read.
    PrefixList(String),
    /// AWS gave none.
    #[default]
    None,
}

/// A subnet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subnet {
    /// Its VPC.
    pub vpc: String,
    /// The account that owns it.
    pub owner: Option<String>,
    /// Its IPv4 range, or the first of its IPv6 ranges.
    pub range: String,
    /// Whether instances get a public address when they start.
    pub gives_addresses: bool,
    /// What Block Public Access stops there, if AWS says so.
    pub block: Option<Block>,
}

/// A rule of a security group that lets somebody in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The protocol as EC2 has it: a name, a number, or `-1`.
    pub protocol: String,
    /// The first and last port, where the protocol has ports.
    pub ports: Option<(i32, i32)>,
    /// IPv4 ranges.
    pub v4: Vec<String>,
    /// IPv6 ranges.
    pub v6: Vec<String>,
    /// Prefix lists.
    pub prefix_lists: Vec<String>,
}

/// A load balancer that faces the internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadBalancer {
    /// Its ARN.
    pub arn: String,
    /// Its DNS name.
    pub name: String,
    /// The families of its public addresses.
    pub families: &'static [Family],
    /// Its security groups; a network load balancer may have none, and then lets everybody in.
    pub groups: Vec<String>,
    /// Its VPC.
    pub vpc: String,
    /// Its subnets.
    pub subnets: Vec<String>,
    /// Protocol (`tcp` or `udp`) and port of its listeners.
    pub listeners: Vec<(&'static str, u16)>,
}

/// A database with public access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// Its ARN.
    pub arn: String,
    /// The name of its endpoint; its identifier while there is none.
    pub name: String,
    /// The port of its endpoint; none while it is being created.
    pub port: Option<u16>,
    /// Its security groups.
    pub groups: Vec<String>,
    /// The subnets that it can be in.
    pub subnets: Vec<String>,
}

/// Function URLs without authentication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    /// The URLs.
    pub urls: Vec<FunctionUrl>,
    /// Which functions were asked for theirs, if not all were.
    pub some: Option<SomeFunctions>,
}

/// Functions of a Region in the order of their names: those after one and up to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SomeFunctions {
    /// The names of all that exist.
    pub all: BTreeSet<String>,
    /// The one before the first; none if it is from the beginning.
    pub after: Option<String>,
    /// The last one; none if it is to the end.
    pub until: Option<String>,
}

impl SomeFunctions {
    /// Whether it was found out what there is of the function with this ARN: it was asked, or does not exist.
    #[must_use]
    pub fn covers(&self, arn: &str) -> bool {
        let name = arn.split(':').nth(6).unwrap_or_default();
        let is_after = self.after.as_deref().is_none_or(|after| name > after);
        let is_within = is_after && self.until.as_deref().is_none_or(|until| name <= until);
        is_within || !self.all.contains(name)
    }
}

/// A function URL without authentication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionUrl {
    /// The ARN of the function, with its alias if it has one.
    pub function: String,
    /// The URL.
    pub url: String,
}
