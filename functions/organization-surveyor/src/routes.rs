//! Where the traffic of a subnet goes.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    network::{Destination, Family, Network, Route, RouteTable},
    ranges::{is_everything, is_public},
};

/// The way out of a subnet for one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By an internet gateway, which also lets in.
    Internet {
        /// The gateway.
        gateway: String,
        /// The destinations, if it is not all of the internet.
        only: Vec<String>,
    },
    /// To something that may let in, and was not looked into.
    Through(String),
    /// To something that lets nobody in: a NAT gateway, an egress-only gateway, a transit gateway.
    Elsewhere(String),
    /// Nowhere, for this reason.
    Nowhere(String),
    /// It cannot be read, for this reason.
    NotKnown(String),
}

/// The table that a subnet uses: its own, or the main one of its VPC.
#[must_use]
pub fn table_of<'n>(network: &'n Network, subnet: &str, vpc: &str) -> Option<&'n RouteTable> {
    let own = network
        .tables
        .iter()
        .find(|table| table.subnets.contains(subnet));
    own.or_else(|| {
        network
            .tables
            .iter()
            .find(|table| table.main && table.vpc == vpc)
    })
}

/// The way out of a subnet.
#[must_use]
pub fn way(network: &Network, subnet: &str, vpc: &str, family: Family) -> Way {
    let Some(table) = table_of(network, subnet, vpc) else {
        return Way::NotKnown(format!(
            "no route table of {subnet} can be read: its VPC may belong to another account"
        ));
    };
    // No order of the routes may decide: AWS lists them in any.
    let mut elsewhere = BTreeMap::new();
    let mut nowhere = BTreeSet::new();
    let mut internet: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for route in &table.routes {
        let (Some(reach), Some(target)) = (reach(route, family), route.target.as_deref()) else {
            continue;
        };
        if route.blackhole {
            nowhere.insert(format!("its route to {target} is a blackhole"));
        } else if !is_internet_gateway(target) {
            if let Some(way) = elsewhere_of(target) {
                // What goes everywhere says more than a route to a part, and what may let in more than what does not.
                let may_let_in = matches!(way, Way::Through(_));
                elsewhere.insert((is_everything(reach), may_let_in, target), way);
            }
        } else if is_attached(network, table, target) {
            let only = internet.entry(target).or_default();
            only.insert(reach.to_owned());
        } else {
            nowhere.insert(format!("{target} is not attached to its VPC"));
        }
    }
    // A VPC has one internet gateway.
    if let Some((gateway, only)) = internet.pop_first() {
        let all = only.iter().any(|range| is_everything(range));
        return Way::Internet {
            gateway: gateway.to_owned(),
            only: if all {
                Vec::new()
            } else {
                only.into_iter().collect()
            },
        };
    }
    if let Some((_, way)) = elsewhere.pop_last() {
        return way;
    }
    let reason = nowhere.pop_first();
    Way::Nowhere(reason.unwrap_or_else(|| "its subnet has no route to the internet".to_owned()))
}

/// The destination of a route, if it has public addresses of this family. A prefix list may have; one at an endpoint is a
/// service of AWS, not the internet.
fn reach(route: &Route, family: Family) -> Option<&str> {
    match (&route.destination, family) {
        (Destination::V4(range), Family::V4) | (Destination::V6(range), Family::V6) => {
            is_public(range).then_some(range)
        }
        (Destination::PrefixList(list), _) => {
            let is_endpoint = |target: &str| target.starts_with("vpce-");
            (!route.target.as_deref().is_some_and(is_endpoint)).then_some(list)
        }
        _ => None,
    }
}

fn is_internet_gateway(target: &str) -> bool {
    target.starts_with("igw-")
}

/// Whether a gateway is attached to the VPC of a table. Of another account's VPC the gateways are not listed.
fn is_attached(network: &Network, table: &RouteTable, gateway: &str) -> bool {
    let foreign = table
        .owner
        .as_ref()
        .is_some_and(|owner| *owner != network.account);
    let attached = network.gateways.get(gateway);
    foreign || attached.is_some_and(|vpcs| vpcs.contains(&table.vpc))
}

/// What a target other than an internet gateway means, if it is a way to the internet at all.
fn elsewhere_of(target: &str) -> Option<Way> {
    const LETS_NOBODY_IN: &[&str] = &["nat-", "eigw-", "tgw-", "vgw-", "pcx-", "arn:"];
    // An endpoint of a firewall, an appliance, a carrier or local gateway.
    const MAY_LET_IN: &[&str] = &["vpce-", "eni-", "i-", "cagw-", "lgw-"];
    let is_of = |prefixes: &[&str]| prefixes.iter().any(|prefix| target.starts_with(prefix));
    if is_of(LETS_NOBODY_IN) {
        return Some(Way::Elsewhere(target.to_owned()));
    }
    is_of(MAY_LET_IN).then(|| Way::Through(target.to_owned()))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn route(destination: &str, target: &str) -> Route {
        let destination = match destination {
            "" => Destination::None,
            list if list.starts_with("pl-") => Destination::PrefixList(list.into()),
            range if range.contains(':') => Destination::V6(range.into()),
            range => Destination::V4(range.into()),
        };
        Route {
            destination,
            target: (!target.is_empty()).then(|| target.into()),
            blackhole: false,
        }
    }

    pub(crate) fn table(main: bool, subnets: &[&str], routes: Vec<Route>) -> RouteTable {
        RouteTable {
            id: "rtb-1".into(),
            owner: Some("111122223333".into()),
            vpc: "vpc-1".into(),
            main,
            subnets: subnets.iter().map(|it| (*it).to_owned()).collect(),
            routes,
        }
    }

    pub(crate) fn network(tables: Vec<RouteTable>) -> Network {
        Network {
            account: "111122223333".into(),
            tables,
            gateways: BTreeMap::from([("igw-1".into(), BTreeSet::from(["vpc-1".into()]))]),
            ..Network::default()
        }
    }

    fn of(routes: Vec<Route>, family: Family) -> Way {
        let network = network(vec![table(true, &[], routes)]);
        way(&network, "subnet-1", "vpc-1", family)
    }

    fn internet(only: &[&str]) -> Way {
        Way::Internet {
            gateway: "igw-1".into(),
            only: only.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    #[test]
    fn a_subnet_without_a_table_uses_the_main_one() {
        let public = || vec![route("10.0.0.0/16", "local"), route("0.0.0.0/0", "igw-1")];
        let private = || vec![route("10.0.0.0/16", "local"), route("0.0.0.0/0", "nat-1")];
        let network = network(vec![
            table(false, &["subnet-2"], private()),
            table(true, &["subnet-3"], public()),
            RouteTable {
                vpc: "vpc-2".into(),
                ..table(true, &[], private())
            },
        ]);
        let way = |subnet, vpc| way(&network, subnet, vpc, Family::V4);
        assert_eq!(way("subnet-1", "vpc-1"), internet(&[]));
        assert_eq!(way("subnet-3", "vpc-1"), internet(&[]));
        assert_eq!(way("subnet-2", "vpc-1"), Way::Elsewhere("nat-1".into()));
        assert_eq!(way("subnet-4", "vpc-2"), Way::Elsewhere("nat-1".into()));
        assert!(matches!(way("subnet-5", "vpc-3"), Way::NotKnown(_)));
    }

    #[test]
    fn an_egress_only_gateway_lets_nobody_in() {
        let dual = || vec![route("0.0.0.0/0", "igw-1"), route("::/0", "eigw-1")];
        assert_eq!(of(dual(), Family::V4), internet(&[]));
        assert_eq!(of(dual(), Family::V6), Way::Elsewhere("eigw-1".into()));
        let open = vec![route("0.0.0.0/0", "nat-1"), route("::/0", "igw-1")];
        assert_eq!(of(open.clone(), Family::V6), internet(&[]));
        assert_eq!(of(open, Family::V4), Way::Elsewhere("nat-1".into()));
    }

    #[test]
    fn a_blackhole_is_no_way() {
        let gone = Route {
            blackhole: true,
            ..route("0.0.0.0/0", "igw-1")
        };
        let Way::Nowhere(reason) = of(vec![gone], Family::V4) else {
            panic!("a blackhole")
        };
        assert!(reason.contains("blackhole"), "{reason}");
    }

    #[test]
    fn a_gateway_that_is_not_attached_is_no_way() {
        let Way::Nowhere(reason) = of(vec![route("0.0.0.0/0", "igw-9")], Family::V4) else {
            panic!("no gateway")
        };
        assert!(reason.contains("not attached"), "{reason}");
        // The gateways of another account's VPC are not listed.
        let mut shared = network(vec![table(true, &[], vec![route("0.0.0.0/0", "igw-9")])]);
        shared.tables[0].owner = Some("444455556666".into());
        let way = way(&shared, "subnet-1", "vpc-1", Family::V4);
        assert!(matches!(way, Way::Internet { .. }));
    }

    #[test]
    fn a_route_to_a_part_of_the_internet_is_named() {
        let part = vec![
            route("203.0.113.0/24", "igw-1"),
            route("0.0.0.0/0", "nat-1"),
        ];
        assert_eq!(of(part, Family::V4), internet(&["203.0.113.0/24"]));
        let list = vec![route("pl-1", "igw-1")];
        assert_eq!(of(list, Family::V4), internet(&["pl-1"]));
        let private = vec![route("10.9.0.0/16", "igw-1")];
        assert!(matches!(of(private, Family::V4), Way::Nowhere(_)));
    }

    #[test]
    fn a_firewall_may_let_somebody_in() {
        assert_eq!(
            of(vec![route("0.0.0.0/0", "vpce-1")], Family::V4),
            Way::Through("vpce-1".into())
        );
    }

    #[test]
    fn the_endpoint_of_a_service_is_no_way_although_its_prefix_list_is_public() {
        let s3 = || route("pl-68a54001", "vpce-2");
        for (family, default, target) in [
            (Family::V4, "0.0.0.0/0", "nat-1"),
            (Family::V6, "::/0", "eigw-1"),
        ] {
            let expected = Way::Elsewhere(target.into());
            for routes in [
                vec![s3(), route(default, target)],
                vec![route(default, target), s3()],
            ] {
                assert_eq!(of(routes, family), expected);
            }
            assert!(matches!(of(vec![s3()], family), Way::Nowhere(_)));
        }
    }

    #[test]
    fn a_default_route_counts_more_than_a_part() {
        let part = || route("203.0.113.0/24", "vpce-1");
        assert_eq!(
            of(vec![part(), route("0.0.0.0/0", "nat-1")], Family::V4),
            Way::Elsewhere("nat-1".into())
        );
        assert_eq!(
            of(vec![route("0.0.0.0/0", "nat-1"), part()], Family::V4),
            Way::Elsewhere("nat-1".into())
        );
        assert_eq!(
            of(vec![part(), route("198.51.100.0/24", "nat-1")], Family::V4),
            Way::Through("vpce-1".into())
        );
    }

    #[test]
    fn a_route_without_destination_or_target_is_passed_over() {
        let routes = vec![route("", "igw-1"), route("0.0.0.0/0", ""), Route::default()];
        assert!(matches!(of(routes, Family::V4), Way::Nowhere(_)));
    }

    fn any_route() -> impl Strategy<Value = Route> {
        let destination = prop_oneof![
            Just(Destination::None),
            "[0-9./:]{0,12}".prop_map(Destination::V4),
            "[0-9a-f/:]{0,12}".prop_map(Destination::V6),
            Just(Destination::V4("0.0.0.0/0".into())),
            Just(Destination::V6("::/0".into())),
            Just(Destination::PrefixList("pl-1".into())),
        ];
        let target = prop_oneof![
            Just(None),
            Just(Some("igw-1".to_owned())),
            Just(Some("igw-2".to_owned())),
            Just(Some("eigw-1".to_owned())),
            Just(Some("nat-1".to_owned())),
            Just(Some("vpce-1".to_owned())),
            Just(Some("local".to_owned())),
            "[a-z]{0,4}-?[0-9]{0,3}".prop_map(Some),
        ];
        (destination, target, any::<bool>()).prop_map(|(destination, target, blackhole)| Route {
            destination,
            target,
            blackhole,
        })
    }

    proptest! {
        #[test]
        fn only_an_active_route_to_an_attached_gateway_is_a_way_in(
            routes in prop::collection::vec(any_route(), 0..8)
        ) {
            for family in [Family::V4, Family::V6] {
                let found = of(routes.clone(), family);
                let expected = routes.iter().any(|route| {
                    !route.blackhole
                        && route.target.as_deref() == Some("igw-1")
                        && reach(route, family).is_some()
                });
                prop_assert_eq!(matches!(found, Way::Internet { .. }), expected, "{:?}", found);
            }
        }

        #[test]
        fn the_order_of_routes_decides_nothing(
            (routes, others) in prop::collection::vec(any_route(), 0..6)
                .prop_flat_map(|routes| (Just(routes.clone()), Just(routes).prop_shuffle()))
        ) {
            for family in [Family::V4, Family::V6] {
                prop_assert_eq!(of(routes.clone(), family), of(others.clone(), family));
            }
        }
    }
}
