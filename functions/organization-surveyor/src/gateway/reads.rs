//! The reads of an account in a Region. Lists are read page by page, and only what decides something is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_config::SdkConfig;
use aws_sdk_ec2::types::{
    self as ec2, AttachmentStatus, BlockPublicAccessMode, InternetGatewayBlockMode,
    InternetGatewayExclusionMode, NetworkInterfaceStatus, RouteState,
};
use aws_sdk_elasticloadbalancingv2::types::{self as elb, LoadBalancerSchemeEnum, ProtocolEnum};
use aws_sdk_lambda::types::FunctionUrlAuthType;
use futures::{StreamExt, stream};
use orgkeeper_shared::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, AwsErrorClass, Service},
    ids::AccountId,
    pace::Pace,
};
use tokio::time::Instant;

use super::caller::Caller;
use crate::network::{
    Block, Database, Destination, Family, FunctionUrl, Functions, IdleAddress, Interface,
    LoadBalancer, Route, RouteTable, Rule, SomeFunctions, Subnet,
};

/// Calls about single functions: Lambda's control plane takes 15 a second of an account in a Region, everybody's together.
const FUNCTIONS_A_SECOND: f64 = 8.0;
/// Of these, at once.
const FUNCTIONS_AT_ONCE: u32 = 8;

/// Interfaces, as far as they count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Whether there is any.
    pub any: bool,
    /// Those with a public or an IPv6 address.
    pub exposed: Vec<Interface>,
    /// The subnets of those with a public IPv4 address.
    pub subnets_in_use: BTreeSet<String>,
}

/// Reads one Region.
#[derive(Debug)]
pub struct Reads<'c> {
    sdk: SdkConfig,
    calls: CallCounter,
    caller: &'c Caller,
    account: AccountId,
    client: aws_sdk_ec2::Client,
}

impl<'c> Reads<'c> {
    /// What it calls in a session, as IAM names it.
    pub const CALLS: &'static [&'static str] = &[
        "ec2:DescribeAddresses",
        "ec2:DescribeInternetGateways",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcBlockPublicAccessExclusions",
        "ec2:DescribeVpcBlockPublicAccessOptions",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeLoadBalancers",
        "lambda:ListFunctionUrlConfigs",
        "lambda:ListFunctions",
        "rds:DescribeDBInstances",
    ];

    /// Reads with this session's configuration.
    #[must_use]
    pub(super) fn new(
        sdk: SdkConfig,
        calls: &CallCounter,
        caller: &'c Caller,
        account: &AccountId,
    ) -> Self {
        Self {
            client: client!(aws_sdk_ec2, &sdk, calls),
            sdk,
            calls: calls.clone(),
            caller,
            account: account.clone(),
        }
    }

    /// The account that is read.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// All interfaces.
    ///
    /// # Errors
    /// If a call fails: never a part of them.
    pub async fn interfaces(&self) -> Result<Interfaces, AwsCallError> {
        let mut interfaces = Interfaces::default();
        let mut token = None;
        loop {
            let read = async || {
                self.client
                    .describe_network_interfaces()
                    .max_results(1_000)
                    .include_managed_resources(true)
                    .set_next_token(token.clone())
                    .send()
                    .await
                    .map_err(|error| ec2_error("DescribeNetworkInterfaces", &error))
            };
            let page = self.caller.call(read).await?;
            for interface in page.network_interfaces.unwrap_or_default() {
                interfaces.any = true;
                let interface = interface_of(interface);
                if !interface.addresses.is_empty() {
                    interfaces.subnets_in_use.insert(interface.subnet.clone());
                }
                if !interface.addresses.is_empty() || !interface.ipv6.is_empty() {
                    interfaces.exposed.push(interface);
                }
            }
            token = next(page.next_token);
            if token.is_none() {
                return Ok(interfaces);
            }
        }
    }

    /// The Elastic IP addresses that nothing uses.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn idle_addresses(&self) -> Result<Vec<IdleAddress>, AwsCallError> {
        let read = async || {
            let answer = self.client.describe_addresses().send().await;
            answer.map_err(|error| ec2_error("DescribeAddresses", &error))
        };
        let addresses = self.caller.call(read).await?.addresses.unwrap_or_default();
        let used = |id: &Option<String>| id.as_deref().is_some_and(|id| !id.is_empty());
        let idle = addresses.into_iter().filter(|address| {
            !used(&address.association_id)
                && !used(&address.network_interface_id)
                && !used(&address.instance_id)
        });
        let idle = idle.filter_map(|address| {
            let public = address.public_ip?;
            Some(IdleAddress {
                allocation: address.allocation_id.unwrap_or_else(|| public.clone()),
                address: public,
            })
        });
        Ok(idle.collect())
    }

    /// The route tables.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn route_tables(&self) -> Result<Vec<RouteTable>, AwsCallError> {
        let mut tables = Vec::new();
        let mut token = None;
        loop {
            let read = async || {
                self.client
                    .describe_route_tables()
                    .max_results(100)
                    .set_next_token(token.clone())
                    .send()
                    .await
                    .map_err(|error| ec2_error("DescribeRouteTables", &error))
            };
            let page = self.caller.call(read).await?;
            tables.extend(
                page.route_tables
                    .unwrap_or_default()
                    .into_iter()
                    .map(table_of),
            );
            token = next(page.next_token);
            if token.is_none() {
                return Ok(tables);
            }
        }
    }

    /// The internet gateways, each with the VPCs that it is attached to.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn gateways(&self) -> Result<BTreeMap<String, BTreeSet<String>>, AwsCallError> {
        let mut gateways = BTreeMap::new();
        let mut token = None;
        loop {
            let read = async || {
                self.client
                    .describe_internet_gateways()
                    .max_results(1_000)
                    .set_next_token(token.clone())
                    .send()
                    .await
                    .map_err(|error| ec2_error("DescribeInternetGateways", &error))
            };
            let page = self.caller.call(read).await?;
            for gateway in page.internet_gateways.unwrap_or_default() {
                let attachments = gateway.attachments.unwrap_or_default().into_iter();
                // One that is attached reads "available".
                let attached = attachments.filter(|it| {
                    let gone = [AttachmentStatus::Detached, AttachmentStatus::Detaching];
                    it.state.as_ref().is_none_or(|state| !gone.contains(state))
                });
                let vpcs = attached
                    .filter_map(|attachment| attachment.vpc_id)
                    .collect();
                gateways.insert(gateway.internet_gateway_id.unwrap_or_default(), vpcs);
            }
            token = next(page.next_token);
            if token.is_none() {
                return Ok(gateways);
            }
        }
    }

    /// The subnets by id.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn subnets(&self) -> Result<BTreeMap<String, Subnet>, AwsCallError> {
        let mut subnets = BTreeMap::new();
        let mut token = None;
        loop {
            let read = async || {
                self.client
                    .describe_subnets()
                    .max_results(1_000)
                    .set_next_token(token.clone())
                    .send()
                    .await
                    .map_err(|error| ec2_error("DescribeSubnets", &error))
            };
            let page = self.caller.call(read).await?;
            for mut subnet in page.subnets.unwrap_or_default() {
                let id = subnet.subnet_id.take().unwrap_or_default();
                subnets.insert(id, subnet_of(subnet));
            }
            token = next(page.next_token);
            if token.is_none() {
                return Ok(subnets);
            }
        }
    }

    /// What security groups let in, by the group's id.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn groups(&self) -> Result<BTreeMap<String, Vec<Rule>>, AwsCallError> {
        let mut groups = BTreeMap::new();
        let mut token = None;
        loop {
            let read = async || {
                self.client
                    .describe_security_groups()
                    .max_results(1_000)
                    .set_next_token(token.clone())
                    .send()
                    .await
                    .map_err(|error| ec2_error("DescribeSecurityGroups", &error))
            };
            let page = self.caller.call(read).await?;
            for group in page.security_groups.unwrap_or_default() {
                let rules = group.ip_permissions.unwrap_or_default();
                let rules = rules.into_iter().map(rule_of).collect();
                groups.insert(group.group_id.unwrap_or_default(), rules);
            }
            token = next(page.next_token);
            if token.is_none() {
                return Ok(groups);
            }
        }
    }

    /// What VPC Block Public Access stops for the account, and the exclusions from it.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn block(&self) -> Result<(Block, BTreeMap<String, Block>), AwsCallError> {
        let read = async || {
            self.client
                .describe_vpc_block_public_access_options()
                .send()
                .await
                .map_err(|error| ec2_error("DescribeVpcBlockPublicAccessOptions", &error))
        };
        let options = match self.caller.call(read).await {
            Ok(answer) => answer.vpc_block_public_access_options,
            // A partition that does not have it yet.
            Err(error) if error.has_code("InvalidAction") => None,
            Err(error) => return Err(error),
        };
        let mode = options.and_then(|options| options.internet_gateway_block_mode);
        let block = match mode {
            Some(InternetGatewayBlockMode::BlockIngress) => Block::Ingress,
            Some(InternetGatewayBlockMode::BlockBidirectional) => Block::Bidirectional,
            _ => Block::Off,
        };
        let exclusions = match block {
            Block::Off => BTreeMap::new(),
            Block::Ingress | Block::Bidirectional => self.exclusions().await?,
        };
        Ok((block, exclusions))
    }

    async fn exclusions(&self) -> Result<BTreeMap<String, Block>, AwsCallError> {
        let mut exclusions = BTreeMap::new();
        let mut token = None;
        loop {
            let read = async || {
                self.client
                    .describe_vpc_block_public_access_exclusions()
                    .max_results(1_000)
                    .set_next_token(token.clone())
                    .send()
                    .await
                    .map_err(|error| ec2_error("DescribeVpcBlockPublicAccessExclusions", &error))
            };
            let page = self.caller.call(read).await?;
            let exclusions_of_page = page.vpc_block_public_access_exclusions.unwrap_or_default();
            for exclusion in exclusions_of_page.into_iter().filter(is_in_force) {
                let resource = exclusion.resource_arn.unwrap_or_default();
                let id = resource.rsplit('/').next().unwrap_or_default().to_owned();
                let block = match exclusion.internet_gateway_exclusion_mode {
                    Some(InternetGatewayExclusionMode::AllowBidirectional) => Block::Off,
                    _ => Block::Ingress,
                };
                exclusions.insert(id, block);
            }
            token = next(page.next_token);
            if token.is_none() {
                return Ok(exclusions);
            }
        }
    }

    /// The load balancers that face the internet, with their listeners.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn load_balancers(&self) -> Result<Vec<LoadBalancer>, AwsCallError> {
        let client = client!(aws_sdk_elasticloadbalancingv2, &self.sdk, self.calls);
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let read = async || {
                client
                    .describe_load_balancers()
                    .page_size(400)
                    .set_marker(marker.clone())
                    .send()
                    .await
                    .map_err(|error| {
                        AwsCallError::new(Service::LoadBalancing, "DescribeLoadBalancers", &error)
                    })
            };
            let page = self.caller.call(read).await?;
            let balancers = page.load_balancers.unwrap_or_default().into_iter();
            let facing = balancers
                .filter(|it| it.scheme == Some(LoadBalancerSchemeEnum::InternetFacing))
                .map(balancer_of);
            found.extend(facing);
            marker = next(page.next_marker);
            if marker.is_none() {
                break;
            }
        }
        let listeners = found
            .iter()
            .map(|balancer| self.listeners(&client, &balancer.arn));
        let listeners: Vec<_> = stream::iter(listeners).buffered(8).collect().await;
        let mut with_listeners = Vec::new();
        for (mut balancer, listeners) in found.into_iter().zip(listeners) {
            // One that is gone since the list was read has none.
            if let Some(listeners) = listeners? {
                balancer.listeners = listeners;
                with_listeners.push(balancer);
            }
        }
        Ok(with_listeners)
    }

    async fn listeners(
        &self,
        client: &aws_sdk_elasticloadbalancingv2::Client,
        balancer: &str,
    ) -> Result<Option<Vec<(&'static str, u16)>>, AwsCallError> {
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let read = async || {
                client
                    .describe_listeners()
                    .load_balancer_arn(balancer)
                    .set_marker(marker.clone())
                    .send()
                    .await
                    .map_err(|error| {
                        AwsCallError::new(Service::LoadBalancing, "DescribeListeners", &error)
                    })
            };
            let page = match self.caller.call(read).await {
                Ok(page) => page,
                Err(error) if error.class() == AwsErrorClass::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            for listener in page.listeners.unwrap_or_default() {
                let port = listener.port.and_then(|port| u16::try_from(port).ok());
                let protocols = protocols_of(listener.protocol.as_ref());
                found.extend(
                    port.into_iter()
                        .flat_map(|port| protocols.iter().map(move |it| (*it, port))),
                );
            }
            marker = next(page.next_marker);
            if marker.is_none() {
                found.sort_unstable();
                return Ok(Some(found));
            }
        }
    }

    /// The databases with public access.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn public_databases(&self) -> Result<Vec<Database>, AwsCallError> {
        let client = client!(aws_sdk_rds, &self.sdk, self.calls);
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let read = async || {
                client
                    .describe_db_instances()
                    .max_records(100)
                    .set_marker(marker.clone())
                    .send()
                    .await
                    .map_err(|error| AwsCallError::new(Service::Rds, "DescribeDBInstances", &error))
            };
            let page = self.caller.call(read).await?;
            let instances = page.db_instances.unwrap_or_default().into_iter();
            let public = instances.filter(|it| it.publicly_accessible == Some(true));
            found.extend(public.map(database_of));
            marker = next(page.marker);
            if marker.is_none() {
                return Ok(found);
            }
        }
    }

    /// The function URLs without authentication: a call for each function, in the order of names from the one after `after` on.
    /// When that has taken `time`, no further one is asked.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn open_urls(
        &self,
        after: Option<&str>,
        time: Duration,
    ) -> Result<Functions, AwsCallError> {
        let client = client!(aws_sdk_lambda, &self.sdk, self.calls);
        let all = self.functions(&client).await?;
        let end = Instant::now() + time;
        let pace = Pace::new(FUNCTIONS_A_SECOND, FUNCTIONS_AT_ONCE);
        let is_after = |name: &&String| after.is_none_or(|after| name.as_str() > after);
        // One at least: so each look goes on.
        let asked = all.iter().filter(is_after).enumerate();
        let asked = asked.take_while(|(number, _)| *number == 0 || Instant::now() < end);
        let asked = asked.map(async |(_, name)| (name, self.urls_of(&client, &pace, name).await));
        let asked: Vec<_> = stream::iter(asked)
            .buffered(FUNCTIONS_AT_ONCE as usize)
            .collect()
            .await;
        let last = asked.last().map(|(name, _)| (*name).clone());
        let mut urls = Vec::new();
        for (_, of_function) in asked {
            urls.extend(of_function?);
        }
        let until = last.filter(|last| all.last() != Some(last));
        let some = (after.is_some() || until.is_some()).then(|| SomeFunctions {
            after: after.map(str::to_owned),
            until,
            all,
        });
        Ok(Functions { urls, some })
    }

    async fn functions(
        &self,
        client: &aws_sdk_lambda::Client,
    ) -> Result<BTreeSet<String>, AwsCallError> {
        let mut functions = BTreeSet::new();
        let mut marker = None;
        loop {
            let read = async || {
                client
                    .list_functions()
                    .max_items(50)
                    .set_marker(marker.clone())
                    .send()
                    .await
                    .map_err(|error| AwsCallError::new(Service::Lambda, "ListFunctions", &error))
            };
            let page = self.caller.call(read).await?;
            let names = page.functions.unwrap_or_default().into_iter();
            functions.extend(names.filter_map(|function| function.function_name));
            marker = next(page.next_marker);
            if marker.is_none() {
                return Ok(functions);
            }
        }
    }

    async fn urls_of(
        &self,
        client: &aws_sdk_lambda::Client,
        pace: &Pace,
        function: &str,
    ) -> Result<Vec<FunctionUrl>, AwsCallError> {
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let read = async || {
                client
                    .list_function_url_configs()
                    .function_name(function)
                    .set_marker(marker.clone())
                    .send()
                    .await
                    .map_err(|error| {
                        AwsCallError::new(Service::Lambda, "ListFunctionUrlConfigs", &error)
                    })
            };
            let listed = match self.caller.paced(pace, read).await {
                Ok(listed) => listed,
                // It is gone since the list was read.
                Err(error) if error.class() == AwsErrorClass::NotFound => return Ok(found),
                Err(error) => return Err(error),
            };
            let open = listed.function_url_configs.into_iter();
            let open = open.filter(|it| it.auth_type == FunctionUrlAuthType::None);
            found.extend(open.map(|it| FunctionUrl {
                function: it.function_arn,
                url: it.function_url,
            }));
            marker = next(listed.next_marker);
            if marker.is_none() {
                return Ok(found);
            }
        }
    }
}

fn ec2_error<E>(operation: &'static str, error: &aws_sdk_ec2::error::SdkError<E>) -> AwsCallError
where
    E: aws_sdk_ec2::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    AwsCallError::new(Service::Ec2, operation, error)
}

/// Whether an exclusion from Block Public Access is in force: one that is being created, has failed, or is deleted or disabled
/// is not.
fn is_in_force(exclusion: &ec2::VpcBlockPublicAccessExclusion) -> bool {
    use ec2::VpcBlockPublicAccessExclusionState as State;
    let in_force = [
        State::CreateComplete,
        State::UpdateComplete,
        State::UpdateFailed,
        State::UpdateInProgress,
    ];
    exclusion
        .state
        .as_ref()
        .is_some_and(|state| in_force.contains(state))
}

/// Where the next page begins; an empty token is none.
fn next(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

fn interface_of(interface: ec2::NetworkInterface) -> Interface {
    let own = interface.association.and_then(|it| it.public_ip);
    let of_private = interface
        .private_ip_addresses
        .unwrap_or_default()
        .into_iter();
    let of_private = of_private.filter_map(|it| it.association?.public_ip);
    let addresses: BTreeSet<String> = own.into_iter().chain(of_private).collect();
    let ipv6 = interface.ipv6_addresses.unwrap_or_default().into_iter();
    let ipv6: BTreeSet<String> = ipv6.filter_map(|it| it.ipv6_address).collect();
    let groups = interface.groups.unwrap_or_default().into_iter();
    let attachment = interface.attachment;
    let in_use = interface.status.as_ref() != Some(&NetworkInterfaceStatus::Available);
    Interface {
        id: interface.network_interface_id.unwrap_or_default(),
        owner: interface.owner_id,
        kind: interface
            .interface_type
            .map_or_else(String::new, |it| it.as_str().to_owned()),
        description: interface.description.unwrap_or_default(),
        instance: attachment
            .and_then(|it| it.instance_id)
            .filter(|id| !id.is_empty()),
        in_use,
        vpc: interface.vpc_id.unwrap_or_default(),
        subnet: interface.subnet_id.unwrap_or_default(),
        groups: groups.filter_map(|group| group.group_id).collect(),
        addresses: addresses.into_iter().collect(),
        ipv6: ipv6.into_iter().collect(),
        denies_gateways: interface.deny_all_igw_traffic == Some(true),
    }
}

fn table_of(table: ec2::RouteTable) -> RouteTable {
    let mut found = RouteTable {
        id: table.route_table_id.unwrap_or_default(),
        owner: table.owner_id,
        vpc: table.vpc_id.unwrap_or_default(),
        ..RouteTable::default()
    };
    for association in table.associations.unwrap_or_default() {
        found.main |= association.main == Some(true);
        // One with a gateway is about what comes in by it.
        found.subnets.extend(association.subnet_id);
    }
    found.routes = table
        .routes
        .unwrap_or_default()
        .into_iter()
        .map(route_of)
        .collect();
    found
}

fn route_of(route: ec2::Route) -> Route {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let v4 = filled(route.destination_cidr_block).map(Destination::V4);
    let v6 = filled(route.destination_ipv6_cidr_block).map(Destination::V6);
    let list = filled(route.destination_prefix_list_id).map(Destination::PrefixList);
    let targets = [
        route.gateway_id,
        route.egress_only_internet_gateway_id,
        route.nat_gateway_id,
        route.transit_gateway_id,
        route.carrier_gateway_id,
        route.local_gateway_id,
        route.vpc_peering_connection_id,
        route.core_network_arn,
        route.network_interface_id,
        route.instance_id,
    ];
    Route {
        destination: v4.or(v6).or(list).unwrap_or_default(),
        target: targets.into_iter().find_map(filled),
        blackhole: route.state == Some(RouteState::Blackhole),
    }
}

fn subnet_of(subnet: ec2::Subnet) -> Subnet {
    let ipv6 = subnet.ipv6_cidr_block_association_set.unwrap_or_default();
    let ipv6 = ipv6.into_iter().find_map(|it| it.ipv6_cidr_block);
    let states = subnet.block_public_access_states;
    let mode = states.and_then(|states| states.internet_gateway_block_mode);
    Subnet {
        vpc: subnet.vpc_id.unwrap_or_default(),
        owner: subnet.owner_id,
        range: subnet.cidr_block.or(ipv6).unwrap_or_default(),
        gives_addresses: subnet.map_public_ip_on_launch == Some(true),
        block: mode.map(|mode| match mode {
            BlockPublicAccessMode::Off => Block::Off,
            BlockPublicAccessMode::BlockIngress => Block::Ingress,
            _ => Block::Bidirectional,
        }),
    }
}

fn rule_of(rule: ec2::IpPermission) -> Rule {
    let v4 = rule.ip_ranges.unwrap_or_default().into_iter();
    let v6 = rule.ipv6_ranges.unwrap_or_default().into_iter();
    let lists = rule.prefix_list_ids.unwrap_or_default().into_iter();
    Rule {
        protocol: rule.ip_protocol.unwrap_or_default(),
        ports: rule.from_port.zip(rule.to_port),
        v4: v4.filter_map(|range| range.cidr_ip).collect(),
        v6: v6.filter_map(|range| range.cidr_ipv6).collect(),
        prefix_lists: lists.filter_map(|list| list.prefix_list_id).collect(),
    }
}

fn balancer_of(balancer: elb::LoadBalancer) -> LoadBalancer {
    let zones = balancer.availability_zones.unwrap_or_default().into_iter();
    LoadBalancer {
        arn: balancer.load_balancer_arn.unwrap_or_default(),
        name: balancer.dns_name.unwrap_or_default(),
        families: families_of(balancer.ip_address_type.as_ref()),
        groups: balancer.security_groups.unwrap_or_default(),
        vpc: balancer.vpc_id.unwrap_or_default(),
        subnets: zones.filter_map(|zone| zone.subnet_id).collect(),
        listeners: Vec::new(),
    }
}

/// The families of a load balancer's public addresses.
fn families_of(kind: Option<&elb::IpAddressType>) -> &'static [Family] {
    match kind {
        Some(elb::IpAddressType::Dualstack) => &[Family::V4, Family::V6],
        Some(elb::IpAddressType::DualstackWithoutPublicIpv4) => &[Family::V6],
        _ => &[Family::V4],
    }
}

/// The protocols of a listener on the wire.
fn protocols_of(protocol: Option<&ProtocolEnum>) -> &'static [&'static str] {
    match protocol {
        Some(ProtocolEnum::Udp | ProtocolEnum::Quic) => &["udp"],
        Some(ProtocolEnum::TcpUdp | ProtocolEnum::TcpQuic) => &["tcp", "udp"],
        _ => &["tcp"],
    }
}

fn database_of(instance: aws_sdk_rds::types::DbInstance) -> Database {
    let identifier = instance.db_instance_identifier.unwrap_or_default();
    // While it is being created, there is no endpoint, one without address, or port 0.
    let endpoint = instance.endpoint.and_then(|endpoint| {
        let port = endpoint.port.and_then(|port| u16::try_from(port).ok());
        let port = port.filter(|port| *port > 0)?;
        Some((endpoint.address.filter(|it| !it.is_empty())?, port))
    });
    let (name, port) = endpoint.unzip();
    let groups = instance.vpc_security_groups.unwrap_or_default().into_iter();
    let subnets = instance.db_subnet_group.and_then(|group| group.subnets);
    let subnets = subnets.unwrap_or_default().into_iter();
    Database {
        arn: instance
            .db_instance_arn
            .unwrap_or_else(|| identifier.clone()),
        name: name.unwrap_or(identifier),
        port,
        groups: groups
            .filter_map(|group| group.vpc_security_group_id)
            .collect(),
        subnets: subnets
            .filter_map(|subnet| subnet.subnet_identifier)
            .collect(),
    }
}
