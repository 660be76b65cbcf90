//! The ways between a VPC and the internet: one row for each route of a table of this account that has public addresses as its
//! destination.

use orgkeeper_shared::posture::exposure::Kind;

use crate::{
    exposed::{Found, no},
    network::{Destination, Network, Route, RouteTable},
    ranges::is_public,
};

/// What a target is, by the beginning of its id. The first row that fits counts.
const TARGETS: &[(&str, &str)] = &[
    ("igw-", "an internet gateway: in and out"),
    ("nat-", "a NAT gateway: out only"),
    ("eigw-", "an egress-only gateway: out only"),
    ("tgw-", "a transit gateway: on to other networks"),
    ("vgw-", "a virtual private gateway: on to other networks"),
    ("pcx-", "a peering: on to another VPC"),
    ("arn:", "a core network: on to other networks"),
    ("vpce-", "an endpoint: a firewall, perhaps"),
    ("eni-", "an interface: an appliance"),
    ("i-", "an instance: an appliance"),
    ("cagw-", "a carrier gateway: in and out"),
    ("lgw-", "a local gateway: on to other networks"),
];

/// The routes. The address of one is destination and target, with a blank between them.
#[must_use]
pub fn of_routes(network: &Network) -> Vec<Found> {
    let mut found = Vec::new();
    for table in &network.tables {
        let foreign = table.owner.as_ref();
        if foreign.is_some_and(|owner| *owner != network.account) {
            continue;
        }
        for route in &table.routes {
            let Some((destination, target)) = leads_out(route) else {
                continue;
            };
            let verdict = no(reason(table, target, route.blackhole));
            let address = format!("{destination} {target}");
            found.push(Found::new(Kind::Route, &table.id, &address, verdict));
        }
    }
    found
}

/// Destination and target of a route to public addresses. A list of prefixes at an endpoint is a service of AWS, not the internet.
fn leads_out(route: &Route) -> Option<(&str, &str)> {
    let target = route.target.as_deref()?;
    let destination = match &route.destination {
        Destination::V4(range) | Destination::V6(range) => is_public(range).then_some(range)?,
        Destination::PrefixList(list) => (!target.starts_with("vpce-")).then_some(list)?,
        Destination::None => return None,
    };
    (target != "local").then_some((destination, target))
}

fn reason(table: &RouteTable, target: &str, blackhole: bool) -> String {
    let words = TARGETS
        .iter()
        .find(|(prefix, _)| target.starts_with(prefix))
        .map_or("a target of a kind that is not known", |(_, words)| words);
    let state = if blackhole {
        ", which does not exist any more"
    } else {
        ""
    };
    let used = match (table.main, table.subnets.len()) {
        (true, _) => "the main table".to_owned(),
        (false, 0) => "a table that no subnet uses".to_owned(),
        (false, 1) => "the table of 1 subnet".to_owned(),
        (false, count) => format!("the table of {count} subnets"),
    };
    format!("{words}{state}; {used} in {}", table.vpc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::tests::{network, route, table};

    #[test]
    fn each_route_to_public_addresses_is_one_row() {
        let mut routes = vec![
            route("10.0.0.0/16", "local"),
            route("0.0.0.0/0", "igw-1"),
            route("::/0", "eigw-1"),
            route("198.51.100.0/24", "tgw-1"),
            route("10.9.0.0/16", "pcx-1"),
            route("pl-s3", "vpce-1"),
            route("pl-partner", "nat-1"),
            route("", "igw-1"),
            route("0.0.0.0/0", ""),
        ];
        routes[1].blackhole = true;
        let network = network(vec![table(false, &["subnet-1", "subnet-2"], routes)]);
        let found = of_routes(&network);
        let rows: Vec<(&str, &str)> = found
            .iter()
            .map(|found| (found.address.as_str(), found.reason.as_str()))
            .collect();
        let used = "the table of 2 subnets in vpc-1";
        assert_eq!(
            rows,
            [
                (
                    "0.0.0.0/0 igw-1",
                    &*format!(
                        "an internet gateway: in and out, which does not exist any more; {used}"
                    )
                ),
                (
                    "::/0 eigw-1",
                    &*format!("an egress-only gateway: out only; {used}")
                ),
                (
                    "198.51.100.0/24 tgw-1",
                    &*format!("a transit gateway: on to other networks; {used}")
                ),
                (
                    "pl-partner nat-1",
                    &*format!("a NAT gateway: out only; {used}")
                ),
            ]
        );
        assert!(found.iter().all(|found| found.resource == "rtb-1"));
    }

    #[test]
    fn tables_of_another_account_are_rows_of_that_account() {
        let mut shared = table(true, &[], vec![route("0.0.0.0/0", "igw-1")]);
        shared.owner = Some("999900001111".into());
        assert_eq!(of_routes(&network(vec![shared])), []);
    }
}
