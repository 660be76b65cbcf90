//! The baseline in force: the file that its bucket has, or the shipped one.

use orgkeeper_shared::versioned_file::active::Written;

use crate::{baseline::Baseline, baseline_file::BaselineError};

/// The shipped baseline.
pub const SHIPPED: &str = include_str!("../../../infra/baseline.toml");

impl Written for Baseline {
    const KEY: &'static str = "baseline.toml";

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        Self::parse(text).map_err(|BaselineError(faults)| faults)
    }

    fn shipped() -> Result<Self, Vec<String>> {
        Self::parse(SHIPPED).map_err(|BaselineError(faults)| faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::items::ITEMS;

    #[test]
    fn the_shipped_baseline_is_the_table_of_items() {
        let baseline = Baseline::parse(SHIPPED).unwrap();
        for item in ITEMS {
            let rule = &baseline.items[item.name];
            assert_eq!(rule.mode, Some(item.shipped), "{item:?}");
        }
        assert_eq!(baseline.items.len(), ITEMS.len());
        assert!(baseline.sections.is_empty() && baseline.mode.is_none());
    }

    #[test]
    fn its_examples_are_correct() {
        // Lines that are commented out with `#:` are examples.
        let examples: Vec<&str> = SHIPPED
            .lines()
            .filter_map(|line| line.strip_prefix("#:"))
            .map(str::trim_start)
            .collect();
        let baseline = Baseline::parse(&examples.join("\n")).unwrap();
        assert!(!baseline.items.is_empty() && !baseline.sections.is_empty());
    }

    #[test]
    fn the_baselines_of_the_documentation_are_correct() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/baseline.md");
        let page = std::fs::read_to_string(page).unwrap();
        let examples = page.split("```toml\n").skip(1);
        let examples: Vec<&str> = examples
            .filter_map(|rest| rest.split("```").next())
            .collect();
        assert!(!examples.is_empty());
        for example in examples {
            Baseline::parse(example).unwrap();
        }
    }
}
