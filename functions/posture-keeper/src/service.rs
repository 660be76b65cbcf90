//! The services whose settings are kept: how they are addressed, and where they are.

use orgkeeper_shared::aws_error;

/// A service.
#[derive(Debug)]
pub struct Service {
    /// Its name in the AWS CLI, and in records.
    pub name: &'static str,
    /// How its host begins.
    host: &'static str,
    /// Its name in signatures.
    pub signing_name: &'static str,
    /// Its target prefix, if it speaks AWS's JSON protocol; else it is REST with JSON.
    pub target: Option<&'static str>,
    /// For the classes of its errors.
    pub class: aws_error::Service,
    /// Where it is not.
    not_in: &'static [&'static str],
}

/// AWS Organizations, which has one Region in each partition.
pub static ORGANIZATIONS: Service = Service {
    name: "organizations",
    host: "organizations",
    signing_name: "organizations",
    target: Some("AWSOrganizationsV20161128"),
    class: aws_error::Service::Organizations,
    not_in: &[],
};
/// AWS Security Hub (CSPM).
pub static SECURITY_HUB: Service = Service {
    name: "securityhub",
    host: "securityhub",
    signing_name: "securityhub",
    target: None,
    class: aws_error::Service::SecurityHub,
    not_in: &[],
};
/// Amazon GuardDuty.
pub static GUARDDUTY: Service = Service {
    name: "guardduty",
    host: "guardduty",
    signing_name: "guardduty",
    target: None,
    class: aws_error::Service::GuardDuty,
    not_in: &[],
};
/// Amazon Detective.
pub static DETECTIVE: Service = Service {
    name: "detective",
    host: "api.detective",
    signing_name: "detective",
    target: None,
    class: aws_error::Service::Detective,
    not_in: &[
        "ap-east-2",
        "ap-northeast-3",
        "ap-south-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ap-southeast-5",
        "ap-southeast-6",
        "ap-southeast-7",
        "ca-west-1",
        "cn-north-1",
        "cn-northwest-1",
        "eu-central-2",
        "eu-south-2",
        "me-central-1",
        "mx-central-1",
    ],
};
/// Amazon Inspector.
pub static INSPECTOR: Service = Service {
    name: "inspector2",
    host: "inspector2",
    signing_name: "inspector2",
    target: None,
    class: aws_error::Service::Inspector,
    not_in: &["ap-southeast-6"],
};
/// Amazon Macie.
pub static MACIE: Service = Service {
    name: "macie2",
    host: "macie2",
    signing_name: "macie2",
    target: None,
    class: aws_error::Service::Macie,
    not_in: &[
        "ap-east-2",
        "ap-south-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ap-southeast-5",
        "ap-southeast-6",
        "ap-southeast-7",
        "ca-west-1",
        "cn-north-1",
        "cn-northwest-1",
        "eu-central-2",
        "eu-south-2",
        "me-central-1",
        "mx-central-1",
        "us-gov-east-1",
        "us-gov-west-1",
    ],
};
/// IAM Access Analyzer.
pub static ACCESS_ANALYZER: Service = Service {
    name: "accessanalyzer",
    host: "access-analyzer",
    signing_name: "access-analyzer",
    target: None,
    class: aws_error::Service::AccessAnalyzer,
    not_in: &[],
};
/// Amazon DevOps Guru.
pub static DEVOPS_GURU: Service = Service {
    name: "devops-guru",
    host: "devops-guru",
    signing_name: "devops-guru",
    target: None,
    class: aws_error::Service::Other,
    not_in: &[
        "af-south-1",
        "ap-east-1",
        "ap-east-2",
        "ap-northeast-3",
        "ap-south-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ap-southeast-5",
        "ap-southeast-6",
        "ap-southeast-7",
        "ca-west-1",
        "cn-north-1",
        "cn-northwest-1",
        "eu-central-2",
        "eu-south-1",
        "eu-south-2",
        "il-central-1",
        "me-central-1",
        "me-south-1",
        "mx-central-1",
        "us-gov-east-1",
        "us-gov-west-1",
    ],
};

impl Service {
    /// Whether it was in this Region in November 2026 (AWS's own list of endpoints). A Region without it has no host, which
    /// looks like a network that is down: so no answer counts as "not offered" only where the list agrees.
    #[must_use]
    pub fn is_listed_in(&self, region: &str) -> bool {
        !self.not_in.contains(&region)
    }

    /// Its host in a Region.
    #[must_use]
    pub fn host(&self, region: &str, domain: &str) -> String {
        format!("{}.{region}.{domain}", self.host)
    }
}

/// The service that `posture.toml` calls so.
#[must_use]
pub fn of(name: &str) -> Option<&'static Service> {
    Some(match name {
        "access-analyzer" => &ACCESS_ANALYZER,
        "detective" => &DETECTIVE,
        "devops-guru" => &DEVOPS_GURU,
        "guardduty" => &GUARDDUTY,
        "inspector" => &INSPECTOR,
        "macie" => &MACIE,
        "security-hub" => &SECURITY_HUB,
        _ => return None,
    })
}

/// The Region that Organizations answers in.
#[must_use]
pub fn region_of_organizations(here: &str) -> &'static str {
    match here.split('-').next() {
        Some("cn") => "cn-northwest-1",
        Some("us") if here.starts_with("us-gov-") => "us-gov-west-1",
        _ => "us-east-1",
    }
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::posture::regions;

    use super::*;

    #[test]
    fn every_region_of_the_lists_exists() {
        let all = [&DETECTIVE, &INSPECTOR, &MACIE, &DEVOPS_GURU];
        for (service, offered) in all.into_iter().zip([21, 33, 22, 16]) {
            for region in service.not_in {
                assert!(regions::exists(region), "{region}");
            }
            let here = regions::beside("us-east-1");
            let here = here.filter(|region| service.is_listed_in(region));
            assert_eq!(here.count(), offered, "{}", service.name);
        }
    }

    #[test]
    fn each_service_of_the_settings_is_known() {
        for row in orgkeeper_shared::posture::setting::SETTINGS {
            assert!(of(row.service).is_some(), "{}", row.service);
        }
        assert!(of("coffee").is_none());
    }

    #[test]
    fn organizations_has_one_region_in_each_partition() {
        assert_eq!(region_of_organizations("eu-west-1"), "us-east-1");
        assert_eq!(region_of_organizations("us-gov-east-1"), "us-gov-west-1");
        assert_eq!(region_of_organizations("cn-north-1"), "cn-northwest-1");
        let host = DETECTIVE.host("eu-west-1", "amazonaws.com");
        assert_eq!(host, "api.detective.eu-west-1.amazonaws.com");
    }
}
