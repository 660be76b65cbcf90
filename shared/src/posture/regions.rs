//! The Regions that AWS has, as of November 2026. An account's own list says which of them it has enabled.

/// The Regions of the partition `aws`, and whether they are enabled without being asked for.
const REGIONS: &[(&str, bool)] = &[
    ("af-south-1", false),
    ("ap-east-1", false),
    ("ap-east-2", false),
    ("ap-northeast-1", true),
    ("ap-northeast-2", true),
    ("ap-northeast-3", true),
    ("ap-south-1", true),
    ("ap-south-2", false),
    ("ap-southeast-1", true),
    ("ap-southeast-2", true),
    ("ap-southeast-3", false),
    ("ap-southeast-4", false),
    ("ap-southeast-5", false),
    ("ap-southeast-6", false),
    ("ap-southeast-7", false),
    ("ca-central-1", true),
    ("ca-west-1", false),
    ("eu-central-1", true),
    ("eu-central-2", false),
    ("eu-north-1", true),
    ("eu-south-1", false),
    ("eu-south-2", false),
    ("eu-west-1", true),
    ("eu-west-2", true),
    ("eu-west-3", true),
    ("il-central-1", false),
    ("me-central-1", false),
    ("me-south-1", false),
    ("mx-central-1", false),
    ("sa-east-1", true),
    ("us-east-1", true),
    ("us-east-2", true),
    ("us-west-1", true),
    ("us-west-2", true),
];
/// The Regions of the other partitions.
const ELSEWHERE: &[&[&str]] = &[
    &["cn-north-1", "cn-northwest-1"],
    &["us-gov-east-1", "us-gov-west-1"],
];

/// Whether AWS has a Region of this name.
#[must_use]
pub fn exists(region: &str) -> bool {
    REGIONS.iter().any(|(name, _)| *name == region)
        || ELSEWHERE.iter().any(|names| names.contains(&region))
}

/// The Regions of the partition that `region` is in. Those of `aws` if it is in none that is known.
pub fn beside(region: &str) -> impl Iterator<Item = &'static str> {
    let elsewhere = ELSEWHERE.iter().find(|names| names.contains(&region));
    let names: Vec<&'static str> = match elsewhere {
        Some(names) => names.to_vec(),
        None => REGIONS.iter().map(|(name, _)| *name).collect(),
    };
    names.into_iter()
}

/// Whether an account has a Region without asking for it.
#[must_use]
pub fn is_on_by_default(region: &str) -> bool {
    REGIONS.iter().any(|(name, on)| *name == region && *on)
        || ELSEWHERE.iter().any(|names| names.contains(&region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_regions_are_on_by_default() {
        let on = beside("eu-west-1")
            .filter(|region| is_on_by_default(region))
            .count();
        assert_eq!((on, beside("eu-west-1").count()), (17, 34));
        assert_eq!(
            beside("cn-north-1").collect::<Vec<_>>(),
            ["cn-north-1", "cn-northwest-1"]
        );
        assert!(exists("us-gov-west-1") && !exists("eu-west-9"));
    }
}
