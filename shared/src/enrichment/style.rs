//! How an account is shown on findings: what the template's parameters decide.

/// How an account is shown on findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// Names of the tags that come first, in this order; the others follow by name.
    pub tag_order: Vec<String>,
    /// Whether a note is written. Without it a note that is there stays, also one of ours.
    pub note: bool,
    /// Whether phone numbers are shown.
    pub phone: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            tag_order: Vec::new(),
            note: true,
            phone: true,
        }
    }
}

impl Style {
    /// Reads `TAG_ORDER` (comma-separated tag names), `WRITE_NOTE` and `SHOW_PHONE` (`on` or `off`).
    #[cfg(feature = "lambda")]
    #[must_use]
    pub fn from_env(read: &crate::lambda::settings::Variables<'_>) -> Self {
        let order: String = read.optional("TAG_ORDER").unwrap_or_default();
        Self {
            tag_order: order
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            note: read.switch("WRITE_NOTE", true),
            phone: read.switch("SHOW_PHONE", true),
        }
    }
}

#[cfg(all(test, feature = "lambda"))]
mod tests {
    use super::*;
    use crate::lambda::settings::Variables;

    #[test]
    fn without_settings_everything_is_shown() {
        let read = Variables::new(&|_| None);
        assert_eq!(read.finish(Style::from_env(&read)), Ok(Style::default()));
    }

    #[test]
    fn settings_are_read() {
        let read = Variables::new(&|name| {
            let value = match name {
                "TAG_ORDER" => " Environment,cost center ,, team",
                "WRITE_NOTE" | "SHOW_PHONE" => "off",
                _ => return None,
            };
            Some(value.to_owned())
        });
        assert_eq!(
            read.finish(Style::from_env(&read)),
            Ok(Style {
                tag_order: ["Environment", "cost center", "team"]
                    .map(str::to_owned)
                    .to_vec(),
                note: false,
                phone: false,
            })
        );
    }

    #[test]
    fn a_typo_in_a_switch_is_named() {
        let read = Variables::new(&|name| (name == "SHOW_PHONE").then(|| "no".to_owned()));
        let error = read.finish(Style::from_env(&read)).unwrap_err();
        assert!(error.to_string().contains("SHOW_PHONE"), "{error}");
    }
}
