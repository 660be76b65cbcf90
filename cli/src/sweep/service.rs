//! The services that can be asked, and how each is called.
//!
//! With the query, EC2 and JSON protocols the name of the operation says what a call does, so that a name that begins with
//! `Describe`, `List` or `Get` reads. With the REST protocols method and path say it: there only the operations of a list
//! can be called.

use orgkeeper_shared::{
    aws_error::Service,
    signed::{Destination, domain},
};

/// A service.
#[derive(Clone, Copy, Debug)]
pub struct SweptService {
    /// Its name in the file, as in the AWS CLI.
    pub name: &'static str,
    /// Its name in addresses.
    host: &'static str,
    /// Its name in signatures.
    signing_name: &'static str,
    /// How it is called.
    pub protocol: Protocol,
    /// Where it is.
    pub place: Place,
}

/// How a service is called.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// A form is sent, XML comes back.
    Query {
        /// The version of the API.
        version: &'static str,
    },
    /// The same with other names of fields.
    Ec2 {
        /// The version of the API.
        version: &'static str,
    },
    /// JSON both ways; a header names the operation.
    Json {
        /// The version of the protocol.
        version: &'static str,
        /// What precedes the name of the operation in the header.
        target: &'static str,
    },
    /// Method and path name the operation; JSON comes back.
    RestJson(&'static [RestOperation]),
    /// The same, and XML comes back.
    RestXml(&'static [RestOperation]),
}

/// An operation of a REST protocol.
#[derive(Clone, Copy, Debug)]
pub struct RestOperation {
    /// Its name.
    pub name: &'static str,
    /// `GET`, or `POST` with the parameters as JSON.
    pub method: &'static str,
    /// Its path.
    pub path: &'static str,
    /// How it goes on, where that is not as usual.
    pub next: Option<Next>,
}

/// How an operation goes on after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Where the answer has the token, as a path of names with dots.
    pub answer: &'static str,
    /// The parameter of the next call that takes it.
    pub request: &'static str,
}

/// Where a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In each Region.
    Regional,
    /// Once, for all Regions; the host and the Region of signatures in the partition `aws`.
    Global {
        /// The host.
        host: &'static str,
        /// The Region.
        region: &'static str,
    },
}

impl SweptService {
    /// The service of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SERVICES.iter().find(|service| service.name == name)
    }

    /// Its destination in a Region.
    #[must_use]
    pub fn destination(&self, region: &str) -> Destination {
        match self.place {
            Place::Regional => Destination {
                host: format!("{}.{region}.{}", self.host, domain(region)),
                signing_name: self.signing_name,
                region: region.to_owned(),
            },
            Place::Global { host, region } => Destination {
                host: host.to_owned(),
                signing_name: self.signing_name,
                region: region.to_owned(),
            },
        }
    }

    /// The REST operation of this name.
    #[must_use]
    pub fn rest(&self, operation: &str) -> Option<&'static RestOperation> {
        match self.protocol {
            Protocol::RestJson(rows) | Protocol::RestXml(rows) => {
                rows.iter().find(|row| row.name == operation)
            }
            Protocol::Query { .. } | Protocol::Ec2 { .. } | Protocol::Json { .. } => None,
        }
    }

    /// How an operation may go on after a page; the first that the answer has counts.
    #[must_use]
    pub fn next(&self, operation: &str) -> Vec<Next> {
        if let Some(next) = self.rest(operation).and_then(|row| row.next) {
            return vec![next];
        }
        let usual = match self.protocol {
            Protocol::Query { .. } | Protocol::Ec2 { .. } => NEXT_XML,
            Protocol::Json { .. } if self.name == "wafv2" => NEXT_WAF,
            Protocol::Json { .. } => NEXT_JSON,
            Protocol::RestJson(_) | Protocol::RestXml(_) => NEXT_REST,
        };
        usual.to_vec()
    }

    /// Which codes its errors have.
    #[must_use]
    pub fn errors(&self) -> Service {
        match self.name {
            "ec2" => Service::Ec2,
            "elb" | "elbv2" => Service::LoadBalancing,
            "iam" => Service::Iam,
            "rds" => Service::Rds,
            "securityhub" => Service::SecurityHub,
            _ => Service::Other,
        }
    }

    /// Why the operation cannot be called; nothing if it can.
    #[must_use]
    pub fn refusal(&self, operation: &str) -> Option<String> {
        if !READS.iter().any(|start| operation.starts_with(start)) {
            return Some(format!(
                "{operation} may change something: only operations that begin with Describe, List or Get are called"
            ));
        }
        if !operation.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Some(format!("{operation:?} is no name of an operation"));
        }
        if GIVES_SECRETS.contains(&operation) {
            return Some(format!(
                "{operation} gives a secret, and a sweep asks for none"
            ));
        }
        let operations = match self.protocol {
            Protocol::Query { .. } | Protocol::Ec2 { .. } | Protocol::Json { .. } => return None,
            Protocol::RestJson(operations) | Protocol::RestXml(operations) => operations,
        };
        let names: Vec<&str> = operations.iter().map(|known| known.name).collect();
        (!names.contains(&operation)).then(|| {
            let names = names.join(", ");
            format!(
                "{operation} of {} cannot be called; these can: {names}",
                self.name
            )
        })
    }
}

/// The names of all services.
#[must_use]
pub fn names() -> String {
    let names: Vec<&str> = SERVICES.iter().map(|service| service.name).collect();
    names.join(", ")
}

/// How the names of operations that read begin.
const READS: [&str; 3] = ["Describe", "List", "Get"];
/// Operations whose answer is a secret, whatever the role may do.
const GIVES_SECRETS: &[&str] = &[
    "GetAuthorizationToken",
    "GetCredentials",
    "GetFederationToken",
    "GetLoginPassword",
    "GetParameter",
    "GetParameterHistory",
    "GetParameters",
    "GetParametersByPath",
    "GetPasswordData",
    "GetRandomPassword",
    "GetClusterCredentials",
    "GetClusterCredentialsWithIAM",
    "GetDeploymentParameters",
    "GetInstanceAccessDetails",
    "GetRelationalDatabaseMasterUserPassword",
    "GetBucketAccessKeys",
    "GetSecretValue",
    "GetSessionToken",
];

const fn query(name: &'static str, host: &'static str, version: &'static str) -> SweptService {
    SweptService {
        name,
        host,
        signing_name: host,
        protocol: Protocol::Query { version },
        place: Place::Regional,
    }
}

const fn json(
    name: &'static str,
    host: &'static str,
    signing_name: &'static str,
    version: &'static str,
    target: &'static str,
) -> SweptService {
    SweptService {
        name,
        host,
        signing_name,
        protocol: Protocol::Json { version, target },
        place: Place::Regional,
    }
}

const fn rest(
    name: &'static str,
    host: &'static str,
    signing_name: &'static str,
    operations: &'static [RestOperation],
) -> SweptService {
    SweptService {
        name,
        host,
        signing_name,
        protocol: Protocol::RestJson(operations),
        place: Place::Regional,
    }
}

const fn global(
    name: &'static str,
    host: &'static str,
    region: &'static str,
    protocol: Protocol,
) -> SweptService {
    SweptService {
        name,
        host: name,
        signing_name: name,
        protocol,
        place: Place::Global { host, region },
    }
}

const fn get(name: &'static str, path: &'static str) -> RestOperation {
    RestOperation {
        name,
        method: "GET",
        path,
        next: None,
    }
}

const fn post(name: &'static str, path: &'static str) -> RestOperation {
    RestOperation {
        name,
        method: "POST",
        path,
        next: None,
    }
}

const fn get_on(
    name: &'static str,
    path: &'static str,
    answer: &'static str,
    request: &'static str,
) -> RestOperation {
    RestOperation {
        next: Some(Next { answer, request }),
        ..get(name, path)
    }
}

const fn next(answer: &'static str, request: &'static str) -> Next {
    Next { answer, request }
}

/// How answers in XML go on.
const NEXT_XML: &[Next] = &[
    next("nextToken", "NextToken"),
    next("NextToken", "NextToken"),
    next("NextMarker", "Marker"),
    next("Marker", "Marker"),
];
/// How answers in JSON go on.
const NEXT_JSON: &[Next] = &[
    next("NextToken", "NextToken"),
    next("nextToken", "nextToken"),
    next("NextMarker", "Marker"),
    next("Marker", "Marker"),
    next("nextPageToken", "pageToken"),
    next("PaginationToken", "PaginationToken"),
    next("LastEvaluatedTableName", "ExclusiveStartTableName"),
];
/// How REST answers go on. A `Marker` there is that of the request.
const NEXT_REST: &[Next] = &[
    next("nextToken", "nextToken"),
    next("NextToken", "NextToken"),
    next("NextMarker", "Marker"),
    next("position", "position"),
];
/// AWS WAF calls the token alike in both directions.
const NEXT_WAF: &[Next] = &[next("NextMarker", "NextMarker")];

/// The services, by name.
#[rustfmt::skip]
pub const SERVICES: &[SweptService] = &[
    rest("accessanalyzer", "access-analyzer", "access-analyzer", &[get("ListAnalyzers", "/analyzer")]),
    json("acm", "acm", "acm", "1.1", "CertificateManager"),
    rest("apigateway", "apigateway", "apigateway", &[
        get("GetDomainNames", "/domainnames"), get("GetRestApis", "/restapis"), get("GetVpcLinks", "/vpclinks"),
    ]),
    rest("apigatewayv2", "apigateway", "apigateway", &[
        get("GetApis", "/v2/apis"), get("GetDomainNames", "/v2/domainnames"), get("GetVpcLinks", "/v2/vpclinks"),
    ]),
    json("apprunner", "apprunner", "apprunner", "1.0", "AppRunner"),
    json("athena", "athena", "athena", "1.1", "AmazonAthena"),
    query("autoscaling", "autoscaling", "2011-01-01"),
    rest("backup", "backup", "backup", &[
        get_on("ListBackupPlans", "/backup/plans/", "NextToken", "nextToken"),
        get_on("ListBackupVaults", "/backup-vaults/", "NextToken", "nextToken"),
        get_on("ListProtectedResources", "/resources/", "NextToken", "nextToken"),
    ]),
    rest("batch", "batch", "batch", &[
        post("DescribeComputeEnvironments", "/v1/describecomputeenvironments"),
        post("DescribeJobQueues", "/v1/describejobqueues"),
    ]),
    query("cloudformation", "cloudformation", "2010-05-15"),
    global("cloudfront", "cloudfront.amazonaws.com", "us-east-1", Protocol::RestXml(&[
        get_on("ListDistributions", "/2020-05-31/distribution", "DistributionList.NextMarker", "Marker"),
    ])),
    json("cloudtrail", "cloudtrail", "cloudtrail", "1.1", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"),
    query("cloudwatch", "monitoring", "2010-08-01"),
    json("codebuild", "codebuild", "codebuild", "1.1", "CodeBuild_20161006"),
    json("config", "config", "config", "1.1", "StarlingDoveService"),
    rest("detective", "api.detective", "detective", &[post("ListGraphs", "/graphs/list")]),
    json("dms", "dms", "dms", "1.1", "AmazonDMSv20160101"),
    json("ds", "ds", "ds", "1.1", "DirectoryService_20150416"),
    json("dynamodb", "dynamodb", "dynamodb", "1.0", "DynamoDB_20120810"),
    SweptService {
        name: "ec2", host: "ec2", signing_name: "ec2", protocol: Protocol::Ec2 { version: "2016-11-15" },
        place: Place::Regional,
    },
    json("ecr", "api.ecr", "ecr", "1.1", "AmazonEC2ContainerRegistry_V20150921"),
    json("ecs", "ecs", "ecs", "1.1", "AmazonEC2ContainerServiceV20141113"),
    rest("efs", "elasticfilesystem", "elasticfilesystem", &[
        get("DescribeAccessPoints", "/2015-02-01/access-points"), get("DescribeFileSystems", "/2015-02-01/file-systems"),
    ]),
    rest("eks", "eks", "eks", &[get("ListClusters", "/clusters")]),
    query("elasticache", "elasticache", "2015-02-02"),
    query("elasticbeanstalk", "elasticbeanstalk", "2010-12-01"),
    query("elb", "elasticloadbalancing", "2012-06-01"),
    query("elbv2", "elasticloadbalancing", "2015-12-01"),
    json("events", "events", "events", "1.1", "AWSEvents"),
    json("firehose", "firehose", "firehose", "1.1", "Firehose_20150804"),
    json("fsx", "fsx", "fsx", "1.1", "AWSSimbaAPIService_v20180301"),
    global("globalaccelerator", "globalaccelerator.us-west-2.amazonaws.com", "us-west-2", Protocol::Json {
        version: "1.1", target: "GlobalAccelerator_V20180706",
    }),
    json("glue", "glue", "glue", "1.1", "AWSGlue"),
    rest("guardduty", "guardduty", "guardduty", &[get("ListDetectors", "/detector")]),
    global("iam", "iam.amazonaws.com", "us-east-1", Protocol::Query { version: "2010-05-08" }),
    rest("inspector2", "inspector2", "inspector2", &[post("ListCoverage", "/coverage/list")]),
    rest("kafka", "kafka", "kafka", &[
        get("ListClusters", "/v1/clusters"), get("ListClustersV2", "/api/v2/clusters"),
    ]),
    json("kinesis", "kinesis", "kinesis", "1.1", "Kinesis_20131202"),
    json("kms", "kms", "kms", "1.1", "TrentService"),
    rest("lambda", "lambda", "lambda", &[
        get("GetAccountSettings", "/2016-08-19/account-settings"),
        get("ListEventSourceMappings", "/2015-03-31/event-source-mappings"),
        get("ListFunctions", "/2015-03-31/functions"), get("ListLayers", "/2018-10-31/layers"),
    ]),
    json("lightsail", "lightsail", "lightsail", "1.1", "Lightsail_20161128"),
    json("logs", "logs", "logs", "1.1", "Logs_20140328"),
    rest("macie2", "macie2", "macie2", &[get("GetMacieSession", "/macie")]),
    json("memorydb", "memory-db", "memorydb", "1.1", "AmazonMemoryDB"),
    rest("mq", "mq", "mq", &[get("ListBrokers", "/v1/brokers")]),
    json("network-firewall", "network-firewall", "network-firewall", "1.0", "NetworkFirewall_20201112"),
    rest("opensearch", "es", "es", &[get("ListDomainNames", "/2021-01-01/domain")]),
    query("rds", "rds", "2014-10-31"),
    query("redshift", "redshift", "2012-12-01"),
    json("redshift-serverless", "redshift-serverless", "redshift-serverless", "1.1", "RedshiftServerless"),
    json("resourcegroupstaggingapi", "tagging", "tagging", "1.1", "ResourceGroupsTaggingAPI_20170126"),
    global("route53", "route53.amazonaws.com", "us-east-1", Protocol::RestXml(&[
        get_on("ListHealthChecks", "/2013-04-01/healthcheck", "NextMarker", "marker"),
        get_on("ListHostedZones", "/2013-04-01/hostedzone", "NextMarker", "marker"),
    ])),
    json("sagemaker", "api.sagemaker", "sagemaker", "1.1", "SageMaker"),
    json("secretsmanager", "secretsmanager", "secretsmanager", "1.1", "secretsmanager"),
    rest("securityhub", "securityhub", "securityhub", &[
        get("DescribeHub", "/accounts"), post("GetEnabledStandards", "/standards/get"),
    ]),
    json("service-quotas", "servicequotas", "servicequotas", "1.1", "ServiceQuotasV20190624"),
    query("sns", "sns", "2010-03-31"),
    json("sqs", "sqs", "sqs", "1.0", "AmazonSQS"),
    json("ssm", "ssm", "ssm", "1.1", "AmazonSSM"),
    json("stepfunctions", "states", "states", "1.0", "AWSStepFunctions"),
    json("transfer", "transfer", "transfer", "1.1", "TransferService"),
    json("wafv2", "wafv2", "wafv2", "1.1", "AWSWAF_20190729"),
    json("workspaces", "workspaces", "workspaces", "1.1", "WorkspacesService"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_are_in_order_and_each_is_there_once() {
        let names: Vec<&str> = SERVICES.iter().map(|service| service.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }

    #[test]
    fn no_operation_of_a_list_changes_anything() {
        for service in SERVICES {
            if let Protocol::RestJson(rows) | Protocol::RestXml(rows) = service.protocol {
                for row in rows {
                    assert_eq!(service.refusal(row.name), None);
                    assert!(["GET", "POST"].contains(&row.method));
                }
            }
        }
    }

    #[test]
    fn what_is_no_read_is_refused() {
        let refusal = |service: &str, operation: &str| {
            SweptService::named(service).and_then(|service| service.refusal(operation))
        };
        assert_eq!(refusal("ec2", "DescribeInstances"), None);
        for (service, operation, words) in [
            ("ec2", "TerminateInstances", "may change something"),
            ("ec2", "DescribeInstances&Action=RunInstances", "is no name"),
            ("secretsmanager", "GetSecretValue", "gives a secret"),
            ("lambda", "GetFunction", "these can: GetAccountSettings, "),
        ] {
            let refused = refusal(service, operation).unwrap();
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn a_host_is_that_of_the_partition() {
        let host = |service: &str, region: &str| {
            let service = SweptService::named(service).unwrap();
            service.destination(region).host
        };
        assert_eq!(host("ecr", "eu-west-1"), "api.ecr.eu-west-1.amazonaws.com");
        assert_eq!(host("ec2", "cn-north-1"), "ec2.cn-north-1.amazonaws.com.cn");
        assert_eq!(host("iam", "eu-west-1"), "iam.amazonaws.com");
    }
}
