//! What a report does not have, so that nobody takes its absence for safety.

/// What no survey looks at.
pub const NOT_LOOKED_AT: &[&str] = &[
    "Global Accelerator, CloudFront, API Gateway, App Runner and Lightsail: they have no interface in the account",
    "OpenSearch, MSK and EKS endpoints, and Redshift, with public access",
    "S3 buckets, snapshots and images that are shared with everybody",
    "what is behind a load balancer, and which rules its listeners have",
    "network ACLs and firewalls of a VPC or of an instance",
    "routes and public subnets of a Region in which the account has no network interface",
    "IPv6 prefixes of interfaces, and carrier addresses",
    "resource policies of functions: a function URL without authentication counts as reachable, whatever they say",
    "what other accounts reach by peering, transit gateways, VPN or PrivateLink",
];
