//! Where to look in the AWS console. Links exist only where their form has been stable for years.

/// The region of what has none.
pub const NO_REGION: &str = "us-east-1";

/// The console's domain for a region, by the start of its name.
const DOMAINS: &[(&str, &str)] = &[
    ("cn-", "console.amazonaws.cn"),
    ("us-gov-", "console.amazonaws-us-gov.com"),
    ("", "console.aws.amazon.com"),
];

/// The console of `service` in a region.
fn home(region: &str, service: &str) -> String {
    let domain = DOMAINS
        .iter()
        .find(|(start, _)| region.starts_with(start))
        .map_or("", |(_, domain)| domain);
    format!("https://{region}.{domain}/{service}/home?region={region}")
}

/// An event of CloudTrail; it can be seen a few minutes after it happened.
#[must_use]
pub fn trail_event(region: &str, event: &str) -> String {
    let home = home(region, "cloudtrailv2");
    format!("{home}#/events/{}", encoded(event))
}

/// A finding of GuardDuty.
#[must_use]
pub fn guardduty_finding(region: &str, finding: &str) -> String {
    let home = home(region, "guardduty");
    format!("{home}#/findings?macros=current&fId={}", encoded(finding))
}

/// An alarm of CloudWatch.
#[must_use]
pub fn alarm(region: &str, alarm: &str) -> String {
    let home = home(region, "cloudwatch");
    format!("{home}#alarmsV2:alarm/{}", encoded(alarm))
}

/// AWS Control Tower.
#[must_use]
pub fn control_tower(region: &str) -> String {
    home(region, "controltower")
}

/// All budgets.
#[must_use]
pub fn budgets() -> String {
    "https://console.aws.amazon.com/billing/home#/budgets".to_owned()
}

/// All cost anomalies.
#[must_use]
pub fn anomalies() -> String {
    "https://console.aws.amazon.com/cost-management/home#/anomaly-detection/overview".to_owned()
}

/// An event of AWS Health.
#[must_use]
pub fn health_event(arn: &str) -> String {
    let arn = encoded(arn);
    format!("https://health.aws.amazon.com/health/home#/account/event-log?eventID={arn}")
}

/// A link that came with a message, if it leads to the console.
#[must_use]
pub fn trusted(link: String) -> Option<String> {
    let host = link
        .strip_prefix("https://")?
        .split(['/', '?', '#'])
        .next()?;
    let ours = DOMAINS
        .iter()
        .any(|(_, domain)| host == *domain || host.ends_with(&format!(".{domain}")));
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
            trail_event("eu-west-1", "a b/#"),
            "https://eu-west-1.console.aws.amazon.com/cloudtrailv2/home?region=eu-west-1#/events/a%20b%2F%23"
        );
        assert!(
            guardduty_finding("cn-north-1", "1")
                .starts_with("https://cn-north-1.console.amazonaws.cn/guardduty/home")
        );
        assert!(
            alarm("us-gov-west-1", "x")
                .starts_with("https://us-gov-west-1.console.amazonaws-us-gov.com/cloudwatch/")
        );
    }

    #[test]
    fn only_the_console_is_trusted() {
        for right in [
            "https://console.aws.amazon.com/cost-management/home#/x",
            "https://us-east-1.console.aws.amazon.com/x",
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
