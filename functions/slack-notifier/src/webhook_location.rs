//! Where the address of the incoming webhook is stored.

/// Where the address of the incoming webhook is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookLocation {
    /// A secret of AWS Secrets Manager, by its ARN.
    Secret(String),
    /// A parameter of AWS Systems Manager (a `SecureString`), by its name or ARN.
    Parameter(String),
}

impl WebhookLocation {
    /// An ARN of either service, `ssm:<name>`, or a name that begins with `/`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("ssm:") {
            return (!name.is_empty()).then(|| Self::Parameter(name.to_owned()));
        }
        if text.starts_with('/') {
            return Some(Self::Parameter(text.to_owned()));
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts[..] {
            ["arn", _, "secretsmanager", _, _, resource] if resource.starts_with("secret:") => {
                Some(Self::Secret(text.to_owned()))
            }
            ["arn", _, "ssm", _, _, resource] if resource.starts_with("parameter/") => {
                Some(Self::Parameter(text.to_owned()))
            }
            _ => None,
        }
    }

    /// Its ARN or name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Secret(name) | Self::Parameter(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_services_are_recognized() {
        let parameter = |name: &str| Some(WebhookLocation::Parameter(name.to_owned()));
        assert_eq!(
            WebhookLocation::parse("/orgkeeper/slack"),
            parameter("/orgkeeper/slack")
        );
        assert_eq!(WebhookLocation::parse("ssm:slack"), parameter("slack"));
        let arn = "arn:aws:ssm:eu-west-1:111122223333:parameter/orgkeeper/slack";
        assert_eq!(WebhookLocation::parse(arn), parameter(arn));
        for wrong in [
            "slack",
            "ssm:",
            "arn:aws:sns:eu-west-1:1:secret:x",
            "",
            "http://x",
        ] {
            assert_eq!(WebhookLocation::parse(wrong), None, "{wrong}");
        }
    }
}
