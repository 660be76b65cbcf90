//! The calls after which a look at their account and Region is worth it. A test holds the EventBridge rules equal.

use std::collections::BTreeSet;

use orgkeeper_shared::posture::{pair::Pair, regions, task::Source};
use serde_json::Value;

/// What calls change, and so what a look is about. Looks at each are paced by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// EC2 and load balancers, and with them who reaches databases.
    Network,
    /// The same, where what a call starts takes minutes: it is looked at twice.
    SlowNetwork,
    /// Function URLs.
    Functions,
}

impl About {
    /// The sources of the look.
    #[must_use]
    pub fn sources(self) -> BTreeSet<Source> {
        match self {
            Self::Network | Self::SlowNetwork => [Source::Network, Source::Databases].into(),
            Self::Functions => [Source::Functions].into(),
        }
    }
}

/// What is to be looked at because of a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hint {
    /// The account and Region.
    pub pair: Pair,
    /// What of it.
    pub about: About,
}

/// Calls of a service.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    /// The service, as CloudTrail names it before `.amazonaws.com`.
    pub service: &'static str,
    /// Names of calls.
    pub names: &'static [&'static str],
    /// How names begin, where CloudTrail adds the version of the API.
    pub beginnings: &'static [&'static str],
    /// What they change.
    pub about: About,
}

/// Every call that is a hint.
pub const HINTS: &[Hints] = &[
    Hints {
        service: "ec2",
        names: &[
            "AllocateAddress",
            "AssignIpv6Addresses",
            "AssociateAddress",
            "AssociateRouteTable",
            "AttachInternetGateway",
            "AttachNetworkInterface",
            "AuthorizeSecurityGroupIngress",
            "CreateNatGateway",
            "CreateNetworkInterface",
            "CreateRoute",
            "DeleteNatGateway",
            "DeleteRoute",
            "DetachInternetGateway",
            "DisassociateAddress",
            "DisassociateRouteTable",
            "ModifyInstanceAttribute",
            "ModifyNetworkInterfaceAttribute",
            "ModifySecurityGroupRules",
            "ModifySubnetAttribute",
            "ReleaseAddress",
            "ReplaceRoute",
            "ReplaceRouteTableAssociation",
            "RevokeSecurityGroupIngress",
            "RunInstances",
            "StartInstances",
            "TerminateInstances",
        ],
        beginnings: &[],
        about: About::Network,
    },
    Hints {
        service: "ec2",
        names: &[
            "CreateVpcBlockPublicAccessExclusion",
            "DeleteVpcBlockPublicAccessExclusion",
            "ModifyVpcBlockPublicAccessExclusion",
            "ModifyVpcBlockPublicAccessOptions",
        ],
        beginnings: &[],
        about: About::SlowNetwork,
    },
    // Those of classic load balancers, too.
    Hints {
        service: "elasticloadbalancing",
        names: &[
            "ApplySecurityGroupsToLoadBalancer",
            "AttachLoadBalancerToSubnets",
            "CreateListener",
            "CreateLoadBalancer",
            "CreateLoadBalancerListeners",
            "DeleteListener",
            "DeleteLoadBalancer",
            "ModifyListener",
            "SetIpAddressType",
            "SetSecurityGroups",
            "SetSubnets",
        ],
        beginnings: &[],
        about: About::Network,
    },
    Hints {
        service: "lambda",
        names: &[],
        beginnings: &[
            "CreateFunctionUrlConfig",
            "DeleteFunctionUrlConfig",
            "UpdateFunctionUrlConfig",
        ],
        about: About::Functions,
    },
    // A cluster has its instances' security groups; one in several zones creates them itself.
    Hints {
        service: "rds",
        names: &[
            "CreateDBCluster",
            "CreateDBInstance",
            "CreateDBInstanceReadReplica",
            "DeleteDBInstance",
            "ModifyDBCluster",
            "ModifyDBInstance",
            "RestoreDBClusterFromSnapshot",
            "RestoreDBClusterToPointInTime",
            "RestoreDBInstanceFromDBSnapshot",
            "RestoreDBInstanceFromS3",
            "RestoreDBInstanceToPointInTime",
            "StartDBCluster",
            "StartDBInstance",
        ],
        beginnings: &[],
        about: About::SlowNetwork,
    },
];

/// What a recorded call hints at. A call that failed has changed nothing, and a Region that does not exist has
/// nobody in it.
#[must_use]
pub fn hinted(detail: &Value) -> Option<Hint> {
    if !detail["errorCode"].is_null() {
        return None;
    }
    let service = detail["eventSource"]
        .as_str()?
        .strip_suffix(".amazonaws.com")?;
    let name = detail["eventName"].as_str()?;
    let begins = |hints: &Hints| hints.beginnings.iter().any(|it| name.starts_with(it));
    let hints = HINTS
        .iter()
        .find(|hints| hints.service == service && (hints.names.contains(&name) || begins(hints)))?;
    let region = detail["awsRegion"].as_str()?;
    if !regions::exists(region) {
        return None;
    }
    let places = ["/recipientAccountId", "/userIdentity/accountId"];
    let account = places
        .iter()
        .find_map(|place| detail.pointer(place)?.as_str()?.parse().ok())?;
    Some(Hint {
        pair: Pair::new(&account, region),
        about: hints.about,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(service: &str, name: &str) -> Value {
        json!({ "eventSource": format!("{service}.amazonaws.com"), "eventName": name,
            "awsRegion": "eu-west-1", "recipientAccountId": "111122223333" })
    }

    #[test]
    fn a_call_hints_at_its_account_and_region() {
        let (network, slow) = (Some(About::Network), Some(About::SlowNetwork));
        let functions = Some(About::Functions);
        for (service, name, wanted) in [
            ("ec2", "RunInstances", network),
            ("ec2", "ModifyVpcBlockPublicAccessOptions", slow),
            ("ec2", "DescribeInstances", None),
            (
                "elasticloadbalancing",
                "AttachLoadBalancerToSubnets",
                network,
            ),
            ("rds", "RestoreDBInstanceFromDBSnapshot", slow),
            ("rds", "RunInstances", None),
            ("lambda", "CreateFunctionUrlConfig20211031", functions),
            ("lambda", "CreateFunction20150331", None),
            ("s3", "PutObject", None),
        ] {
            let hint = hinted(&call(service, name));
            let pair = hint.as_ref().map(|hint| hint.pair.to_string());
            let expected = wanted.map(|_| "111122223333#eu-west-1".to_owned());
            assert_eq!(pair, expected, "{service} {name}");
            assert_eq!(hint.map(|hint| hint.about), wanted, "{service} {name}");
        }
    }

    #[test]
    fn each_call_is_in_one_row() {
        let names: Vec<(&str, &str)> = HINTS
            .iter()
            .flat_map(|hints| hints.names.iter().map(|name| (hints.service, *name)))
            .collect();
        let different: BTreeSet<&(&str, &str)> = names.iter().collect();
        assert_eq!(different.len(), names.len());
    }

    #[test]
    fn a_lying_event_hints_at_nothing() {
        for (key, value) in [
            ("errorCode", json!("Client.UnauthorizedOperation")),
            ("awsRegion", json!("eu-west-1#x")),
            ("awsRegion", json!("../../etc")),
            ("awsRegion", json!(7)),
            ("recipientAccountId", json!("<script>")),
            ("eventName", json!(["RunInstances"])),
            ("eventSource", json!("ec2")),
        ] {
            let mut event = call("ec2", "RunInstances");
            event[key] = value;
            assert_eq!(hinted(&event), None, "{key}");
        }
        assert_eq!(hinted(&json!(null)), None);
    }
}
