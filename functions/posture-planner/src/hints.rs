//! The calls after which a look at their account and Region is worth it. A test holds the EventBridge rules equal.

use orgkeeper_shared::posture::{pair::Pair, regions};
use serde_json::Value;

/// The calls of a service.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    /// The service, as CloudTrail names it before `.amazonaws.com`.
    pub service: &'static str,
    /// Names of calls.
    pub names: &'static [&'static str],
    /// How names begin, where CloudTrail adds the version of the API.
    pub beginnings: &'static [&'static str],
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
            "CreateVpcBlockPublicAccessExclusion",
            "DeleteNatGateway",
            "DeleteRoute",
            "DeleteVpcBlockPublicAccessExclusion",
            "DetachInternetGateway",
            "DisassociateAddress",
            "DisassociateRouteTable",
            "ModifyInstanceAttribute",
            "ModifyNetworkInterfaceAttribute",
            "ModifySecurityGroupRules",
            "ModifySubnetAttribute",
            "ModifyVpcBlockPublicAccessExclusion",
            "ModifyVpcBlockPublicAccessOptions",
            "ReleaseAddress",
            "ReplaceRoute",
            "ReplaceRouteTableAssociation",
            "RevokeSecurityGroupIngress",
            "RunInstances",
            "StartInstances",
            "TerminateInstances",
        ],
        beginnings: &[],
    },
    Hints {
        service: "elasticloadbalancing",
        names: &[
            "CreateListener",
            "CreateLoadBalancer",
            "DeleteListener",
            "DeleteLoadBalancer",
            "ModifyListener",
            "SetSecurityGroups",
            "SetSubnets",
        ],
        beginnings: &[],
    },
    Hints {
        service: "lambda",
        names: &[],
        beginnings: &[
            "CreateFunctionUrlConfig",
            "DeleteFunctionUrlConfig",
            "UpdateFunctionUrlConfig",
        ],
    },
    Hints {
        service: "rds",
        names: &["CreateDBInstance", "DeleteDBInstance", "ModifyDBInstance"],
        beginnings: &[],
    },
];

/// The pair that a recorded call hints at. A call that failed has changed nothing, and a Region that does not exist has
/// nobody in it.
#[must_use]
pub fn hinted(detail: &Value) -> Option<Pair> {
    if !detail["errorCode"].is_null() {
        return None;
    }
    let service = detail["eventSource"]
        .as_str()?
        .strip_suffix(".amazonaws.com")?;
    let name = detail["eventName"].as_str()?;
    let hints = HINTS.iter().find(|hints| hints.service == service)?;
    let fits = hints.names.contains(&name)
        || hints
            .beginnings
            .iter()
            .any(|beginning| name.starts_with(beginning));
    let region = detail["awsRegion"].as_str()?;
    if !fits || !regions::exists(region) {
        return None;
    }
    let places = ["/recipientAccountId", "/userIdentity/accountId"];
    let account = places
        .iter()
        .find_map(|place| detail.pointer(place)?.as_str()?.parse().ok())?;
    Some(Pair::new(&account, region))
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
        for (service, name, wanted) in [
            ("ec2", "RunInstances", true),
            ("ec2", "DescribeInstances", false),
            ("rds", "RunInstances", false),
            ("lambda", "CreateFunctionUrlConfig20211031", true),
            ("lambda", "CreateFunction20150331", false),
            ("s3", "PutObject", false),
        ] {
            let pair = hinted(&call(service, name)).map(|pair| pair.to_string());
            let expected = wanted.then(|| "111122223333#eu-west-1".to_owned());
            assert_eq!(pair, expected, "{service} {name}");
        }
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
