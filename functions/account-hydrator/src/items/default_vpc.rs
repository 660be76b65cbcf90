//! No default VPC, where nothing hangs on it.

use aws_sdk_ec2::types::Filter;
use orgkeeper_shared::{aws_error::Service, remediation::order::Order};
use remediator::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    refusal::{CallFailed, failed},
};
use serde::{Deserialize, Serialize};

use crate::{
    item::{Does, Item, Place, own_row},
    mode::Mode,
};

pub(super) const ITEM: Item = Item {
    name: "default-vpc",
    place: Place::Region,
    // Somebody may count on it.
    shipped: Mode::Off,
    control: "default-vpc",
    does: Does::Own(&ROW),
    parameters: &[],
    undone_by: ("ec2", &["CreateDefaultVpc"]),
};

const ROW: Row = own_row!("default-vpc", DefaultVpc,
    reads: [
        "ec2:DescribeInternetGateways" on "*",
        "ec2:DescribeNetworkInterfaces" on "*",
        "ec2:DescribeSubnets" on "*",
        "ec2:DescribeVpcs" on "*",
    ],
    writes: [
        "ec2:DeleteInternetGateway" on "arn:{partition}:ec2:{region}:{account}:internet-gateway/*",
        "ec2:DetachInternetGateway" on "arn:{partition}:ec2:{region}:{account}:internet-gateway/*",
        "ec2:DetachInternetGateway" on "arn:{partition}:ec2:{region}:{account}:vpc/*",
        "ec2:DeleteSubnet" on "arn:{partition}:ec2:{region}:{account}:subnet/*",
        "ec2:DeleteVpc" on "arn:{partition}:ec2:{region}:{account}:vpc/*",
    ],
    undo: ["ec2:CreateDefaultVpc" on "*"]);

struct DefaultVpc;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VpcState {
    /// The default VPC, if there is one.
    vpc: Option<String>,
    subnets: Vec<String>,
    internet_gateways: Vec<String>,
    /// How many network interfaces are in it.
    network_interfaces: usize,
}

fn of_vpc(name: &str, vpc: &str) -> Filter {
    Filter::builder().name(name).values(vpc).build()
}

impl Action for DefaultVpc {
    type State = VpcState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<VpcState, CallFailed> {
        let client = member_client!(aws_sdk_ec2, member);
        let found = client
            .describe_vpcs()
            .filters(Filter::builder().name("is-default").values("true").build())
            .send()
            .await
            .map_err(failed(Service::Ec2, "DescribeVpcs"))?;
        let vpc = found.vpcs.unwrap_or_default().pop();
        let Some(vpc) = vpc.and_then(|vpc| vpc.vpc_id) else {
            return Ok(VpcState::default());
        };
        let interfaces = client
            .describe_network_interfaces()
            .filters(of_vpc("vpc-id", &vpc))
            .send()
            .await
            .map_err(failed(Service::Ec2, "DescribeNetworkInterfaces"))?;
        let subnets = client
            .describe_subnets()
            .filters(of_vpc("vpc-id", &vpc))
            .send()
            .await
            .map_err(failed(Service::Ec2, "DescribeSubnets"))?;
        let gateways = client
            .describe_internet_gateways()
            .filters(of_vpc("attachment.vpc-id", &vpc))
            .send()
            .await
            .map_err(failed(Service::Ec2, "DescribeInternetGateways"))?;
        let subnets = subnets.subnets.unwrap_or_default();
        let gateways = gateways.internet_gateways.unwrap_or_default();
        Ok(VpcState {
            vpc: Some(vpc),
            subnets: subnets.into_iter().filter_map(|it| it.subnet_id).collect(),
            internet_gateways: gateways
                .into_iter()
                .filter_map(|it| it.internet_gateway_id)
                .collect(),
            network_interfaces: interfaces.network_interfaces.unwrap_or_default().len(),
        })
    }

    fn plan(&self, state: &VpcState, _order: &Order) -> Plan<VpcState> {
        match (&state.vpc, state.network_interfaces) {
            (None, _) => Plan::Compliant,
            (Some(_), 0) => Plan::Change(VpcState::default()),
            (Some(vpc), several) => Plan::NotApplicable(format!(
                "the default VPC {vpc} is in use: it has {several} network interfaces"
            )),
        }
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        before: &VpcState,
        after: &VpcState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_ec2, member);
        let Some(vpc) = before.vpc.as_deref().filter(|_| after.vpc.is_none()) else {
            client
                .create_default_vpc()
                .send()
                .await
                .map_err(failed(Service::Ec2, "CreateDefaultVpc"))?;
            return Ok(());
        };
        for gateway in &before.internet_gateways {
            client
                .detach_internet_gateway()
                .internet_gateway_id(gateway)
                .vpc_id(vpc)
                .send()
                .await
                .map_err(failed(Service::Ec2, "DetachInternetGateway"))?;
            client
                .delete_internet_gateway()
                .internet_gateway_id(gateway)
                .send()
                .await
                .map_err(failed(Service::Ec2, "DeleteInternetGateway"))?;
        }
        for subnet in &before.subnets {
            client
                .delete_subnet()
                .subnet_id(subnet)
                .send()
                .await
                .map_err(failed(Service::Ec2, "DeleteSubnet"))?;
        }
        client
            .delete_vpc()
            .vpc_id(vpc)
            .send()
            .await
            .map_err(failed(Service::Ec2, "DeleteVpc"))?;
        Ok(())
    }

    /// A restored VPC has other ids.
    fn comparable(&self, state: serde_json::Value) -> serde_json::Value {
        serde_json::Value::Bool(state["Vpc"].is_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::testing::order;

    #[test]
    fn one_that_is_in_use_stays() {
        let order = order("default-vpc", &[]);
        let state = |network_interfaces| VpcState {
            vpc: Some("vpc-1".to_owned()),
            subnets: vec!["subnet-1".to_owned()],
            internet_gateways: vec!["igw-1".to_owned()],
            network_interfaces,
        };
        let none = VpcState::default();
        assert_eq!(
            DefaultVpc.plan(&state(0), &order),
            Plan::Change(none.clone())
        );
        assert!(matches!(
            DefaultVpc.plan(&state(2), &order),
            Plan::NotApplicable(_)
        ));
        assert_eq!(DefaultVpc.plan(&none, &order), Plan::Compliant);
    }
}
