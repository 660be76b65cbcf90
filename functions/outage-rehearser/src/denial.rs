//! What a rehearsal denies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The presets, and the actions that each stands for.
pub const PRESETS: &[(&str, &[&str])] = &[
    // Data planes go on: `route53-recovery-cluster` is another prefix, and DNS answers are no calls.
    ("route53", &["route53:*", "route53domains:*"]),
    // Not STS: sessions that exist go on, and the break-glass role has to be assumed.
    ("iam", &["iam:*"]),
];

/// What is left out of the outage of a Region: services that have their control plane elsewhere, and calls by which people find
/// out what happens. They are those of `infra/policies/regions.json`.
pub const GLOBAL: &[&str] = &[
    "account:*",
    "acm:*",
    "artifact:*",
    "aws-marketplace:*",
    "billing:*",
    "budgets:*",
    "ce:*",
    "chatbot:*",
    "cloudfront:*",
    "cloudtrail:LookupEvents",
    "compute-optimizer:*",
    "consolidatedbilling:*",
    "cost-optimization-hub:*",
    "cur:*",
    "ec2:DescribeRegions",
    "ecr-public:*",
    "events:*",
    "freetier:*",
    "globalaccelerator:*",
    "health:*",
    "iam:*",
    "invoicing:*",
    "networkmanager:*",
    "notifications:*",
    "organizations:*",
    "payments:*",
    "pricing:*",
    "resource-explorer-2:*",
    "route53:*",
    "route53-recovery-cluster:*",
    "route53-recovery-control-config:*",
    "route53-recovery-readiness:*",
    "route53domains:*",
    "s3:GetAccountPublicAccessBlock",
    "s3:ListAllMyBuckets",
    "s3:PutAccountPublicAccessBlock",
    "savingsplans:*",
    "shield:*",
    "signin:*",
    "sso:*",
    "sts:*",
    "support:*",
    "supportplans:*",
    "sustainability:*",
    "tag:Get*",
    "tax:*",
    "trustedadvisor:*",
    "waf:*",
    "wafv2:*",
];

/// What is denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Denial {
    /// These actions, everywhere: `route53:*`.
    Actions(Vec<String>),
    /// Every action in this Region but the [global](GLOBAL) ones.
    Region(String),
}

impl Denial {
    /// Whether it denies this action, `route53:ListHostedZones`, in this Region.
    #[must_use]
    pub fn denies(&self, action: &str, region: &str) -> bool {
        match self {
            Self::Actions(patterns) => patterns.iter().any(|pattern| fits(pattern, action)),
            Self::Region(denied) => {
                denied == region && !GLOBAL.iter().any(|pattern| fits(pattern, action))
            }
        }
    }
}

/// In words: `route53:*, route53domains:*`, or `Region eu-west-1`.
impl fmt::Display for Denial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actions(patterns) => formatter.write_str(&patterns.join(", ")),
            Self::Region(region) => write!(formatter, "Region {region}"),
        }
    }
}

/// Whether an action fits a pattern, whose only asterisk is at its end. IAM does not look at the case.
fn fits(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    match pattern.strip_suffix('*') {
        Some(start) => action.starts_with(start),
        None => action == pattern,
    }
}

/// The actions that an entry of `deny` stands for: those of a preset, or itself.
///
/// # Errors
/// If it is neither, or if it would lock out those who end the outage.
pub fn actions_of(text: &str) -> Result<Vec<String>, String> {
    if let Some((_, actions)) = PRESETS.iter().find(|(name, _)| *name == text) {
        return Ok(actions.iter().map(|action| (*action).to_owned()).collect());
    }
    let presets: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
    let wrong = || {
        format!(
            "{text:?} is no preset ({}) and no pattern of actions, sqs:* or s3:Get* say",
            presets.join(", ")
        )
    };
    let (service, action) = text.split_once(':').ok_or_else(wrong)?;
    let start = action.strip_suffix('*').unwrap_or(action);
    let is_service = !service.is_empty()
        && service
            .bytes()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-');
    let is_action = start.bytes().all(|it| it.is_ascii_alphanumeric()) && !action.is_empty();
    if !is_service || !is_action {
        return Err(wrong());
    }
    if service == "sts" {
        return Err(format!(
            "{text:?}: sts is never denied, or nobody could assume the break-glass role"
        ));
    }
    Ok(vec![text.to_owned()])
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_global_services_are_those_of_the_policy_of_regions() {
        let policy: Value =
            serde_json::from_str(include_str!("../../../infra/policies/regions.json")).unwrap();
        assert_eq!(
            policy["Statement"][0]["NotAction"],
            serde_json::json!(GLOBAL)
        );
    }

    #[test]
    fn what_is_denied_is_what_the_policy_says() {
        let dns = Denial::Actions(actions_of("route53").unwrap());
        assert!(dns.denies("route53:ListHostedZones", "us-east-1"));
        assert!(dns.denies("Route53:listhostedzones", "us-east-1"));
        assert!(!dns.denies(
            "route53-recovery-cluster:GetRoutingControlState",
            "us-east-1"
        ));
        let iam = Denial::Actions(actions_of("iam").unwrap());
        assert!(iam.denies("iam:GetRole", "us-east-1"));
        assert!(!iam.denies("sts:AssumeRole", "us-east-1"));
        let region = Denial::Region("eu-west-1".to_owned());
        assert!(region.denies("ec2:RunInstances", "eu-west-1"));
        assert!(!region.denies("ec2:RunInstances", "eu-central-1"));
        assert!(!region.denies("iam:GetRole", "eu-west-1"));
    }

    #[test]
    fn an_entry_is_a_preset_or_a_pattern() {
        assert_eq!(actions_of("sqs:Send*").unwrap(), ["sqs:Send*"]);
        assert_eq!(actions_of("s3:GetObject").unwrap(), ["s3:GetObject"]);
        for wrong in [
            "", "*", "sqs", "sqs:", ":x", "s*:x", "sqs:*x", "sqs:a*b", "SQS:x", "sts:*", "sts:A*",
        ] {
            assert!(actions_of(wrong).is_err(), "{wrong}");
        }
    }
}
