//! Where to look in the AWS console. Links exist only where their form has been stable for years.

/// The region of what has none.
pub const NO_REGION: &str = "us-east-1";

/// A partition of AWS whose console is known.
struct Partition {
    name: &'static str,
    /// How its Regions begin.
    regions: &'static [&'static str],
    /// The domain of its console.
    console: &'static str,
    /// Whether billing has a page of its own there.
    billing: bool,
}

/// The partitions whose console is known. A Region of another one has no link: no link is better than a wrong one.
const PARTITIONS: &[Partition] = &[
    Partition {
        name: "aws-cn",
        regions: &["cn-"],
        console: "console.amazonaws.cn",
        billing: true,
    },
    Partition {
        name: "aws-us-gov",
        regions: &["us-gov-"],
        console: "console.amazonaws-us-gov.com",
        billing: false,
    },
    Partition {
        name: "aws-eusc",
        regions: &["eusc-"],
        console: "console.amazonaws-eusc.eu",
        billing: false,
    },
    Partition {
        name: AWS,
        regions: &[
            "af-", "ap-", "ca-", "eu-", "il-", "me-", "mx-", "sa-", "us-",
        ],
        console: "console.aws.amazon.com",
        billing: true,
    },
];

/// The partition that AWS Health's own pages are in.
const AWS: &str = "aws";
/// How the Regions of isolated partitions begin, which look like others.
const ISOLATED: &[&str] = &["us-iso", "eu-iso"];

fn partition_of(region: &str) -> Option<&'static Partition> {
    let starts = |start: &&str| region.starts_with(*start);
    if ISOLATED.iter().any(starts) {
        return None;
    }
    PARTITIONS
        .iter()
        .find(|partition| partition.regions.iter().any(starts))
}

/// The console of `service` in a region.
fn home(region: &str, service: &str) -> Option<String> {
    let domain = partition_of(region)?.console;
    Some(format!(
        "https://{region}.{domain}/{service}/home?region={region}"
    ))
}

/// An event of CloudTrail; it can be seen a few minutes after it happened.
#[must_use]
pub fn trail_event(region: &str, event: &str) -> Option<String> {
    let home = home(region, "cloudtrailv2")?;
    Some(format!("{home}#/events/{}", encoded(event)))
}

/// A finding of GuardDuty.
#[must_use]
pub fn guardduty_finding(region: &str, finding: &str) -> Option<String> {
    let (home, finding) = (home(region, "guardduty")?, encoded(finding));
    Some(format!("{home}#/findings?macros=current&fId={finding}"))
}

/// An alarm of CloudWatch.
#[must_use]
pub fn alarm(region: &str, alarm: &str) -> Option<String> {
    let home = home(region, "cloudwatch")?;
    Some(format!("{home}#alarmsV2:alarm/{}", encoded(alarm)))
}

/// AWS Control Tower.
#[must_use]
pub fn control_tower(region: &str) -> Option<String> {
    home(region, "controltower")
}

/// All budgets of a partition.
#[must_use]
pub fn budgets(partition: &str) -> Option<String> {
    billing(partition, "billing/home#/budgets")
}

/// All cost anomalies of a partition.
#[must_use]
pub fn anomalies(partition: &str) -> Option<String> {
    billing(
        partition,
        "cost-management/home#/anomaly-detection/overview",
    )
}

fn billing(partition: &str, page: &str) -> Option<String> {
    PARTITIONS
        .iter()
        .find(|known| known.name == partition && known.billing)
        .map(|known| format!("https://{}/{page}", known.console))
}

/// An event of AWS Health; only the partition `aws` has its pages.
#[must_use]
pub fn health_event(arn: &str) -> Option<String> {
    (partition_in(arn)? == AWS).then(|| {
        let arn = encoded(arn);
        format!("https://health.aws.amazon.com/health/home#/account/event-log?eventID={arn}")
    })
}

/// The partition in an ARN: `arn:aws-cn:…` -> `aws-cn`.
#[must_use]
pub fn partition_in(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:")?.split(':').next()
}

/// A link that came with a message, if it leads to the console.
#[must_use]
pub fn trusted(link: String) -> Option<String> {
    let host = link
        .strip_prefix("https://")?
        .split(['/', '?', '#'])
        .next()?;
    let ours = PARTITIONS.iter().any(|partition| {
        let domain = partition.console;
        host == domain || host.ends_with(&format!(".{domain}"))
    });
    ours.then_some(link)
}

/// Whether a text can be a region's name.
#[must_use]
pub fn is_region(text: &str) -> bool {
    (4..=25).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A value as a part of a link.
fn encoded(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_console() {
        assert_eq!(
            trail_event("eu-west-1", "a b/#").unwrap(),
            "https://eu-west-1.console.aws.amazon.com/cloudtrailv2/home?region=eu-west-1#/events/a%20b%2F%23"
        );
        for (region, console) in [
            ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
            (
                "us-gov-west-1",
                "us-gov-west-1.console.amazonaws-us-gov.com",
            ),
            ("eusc-de-east-1", "eusc-de-east-1.console.amazonaws-eusc.eu"),
            ("mx-central-1", "mx-central-1.console.aws.amazon.com"),
        ] {
            let start = format!("https://{console}/cloudwatch/home?region={region}#");
            assert!(alarm(region, "x").unwrap().starts_with(&start), "{region}");
        }
    }

    #[test]
    fn an_unknown_partition_has_no_link() {
        for region in [
            "us-iso-east-1",
            "eu-isoe-west-1",
            "moon-base-1",
            "global",
            "",
        ] {
            assert_eq!(alarm(region, "x"), None, "{region}");
        }
        let health = |partition: &str| health_event(&format!("arn:{partition}:health:::event/x"));
        assert!(health("aws").is_some());
        assert_eq!(health("aws-eusc"), None);
        assert_eq!(health_event("no ARN"), None);
        assert_eq!(
            budgets("aws-cn").unwrap(),
            "https://console.amazonaws.cn/billing/home#/budgets"
        );
        assert_eq!(anomalies("aws-us-gov"), None);
    }

    #[test]
    fn only_the_console_is_trusted() {
        for right in [
            "https://console.aws.amazon.com/cost-management/home#/x",
            "https://us-east-1.console.aws.amazon.com/x",
            "https://console.amazonaws-eusc.eu/x",
        ] {
            assert_eq!(trusted(right.to_owned()).as_deref(), Some(right));
        }
        for wrong in [
            "http://console.aws.amazon.com/",
            "https://console.aws.amazon.com.example.com/",
            "https://evilconsole.aws.amazon.com@example.com/",
            "https://example.com/#console.aws.amazon.com",
        ] {
            assert_eq!(trusted(wrong.to_owned()), None, "{wrong}");
        }
    }

    #[test]
    fn a_region_is_short_and_plain() {
        assert!(is_region("ap-southeast-2"));
        for wrong in ["", "EU (Ireland)", "x.example.com/", &"a".repeat(26)] {
            assert!(!is_region(wrong), "{wrong}");
        }
    }
}
