//! Faults of the set-up: no row is wrong, all of them wait, and one alert says what has to be changed.

use jiff::Timestamp;
use orgkeeper_shared::{
    alert::{Alert, Severity, WHAT_TO_DO},
    aws_error::AwsCallError,
    ids::AccountId,
};

use crate::gateway::service_catalog::PORTFOLIO;

/// What is to be done about what AWS says; compared in lower case, the first row that fits counts. `{role}` and
/// `{portfolio}` stand for their names.
const REMEDIES: &[(&str, &str)] = &[
    (
        "no launch path",
        "give the role {role} access to the portfolio \"{portfolio}\": in Service Catalog under Portfolios, Access, or by \
         the parameter AccountFactoryPortfolioId",
    ),
    (
        "launch path",
        "Account Factory is in several portfolios: name the launch path to use by the parameter \
         AccountFactoryLaunchPathId (aws servicecatalog list-launch-paths shows them)",
    ),
    (
        "control tower set up",
        "set up AWS Control Tower, deploy this stack in its home Region, or set the parameter AccountCreation to organizations",
    ),
    (
        "active version",
        "repair or update the landing zone in AWS Control Tower",
    ),
    (
        "payment",
        "correct the payment method of the management account",
    ),
    (
        "invalid_address",
        "correct the postal address of the management account",
    ),
    (
        "business_validation",
        "finish the validation of the business in the management account's billing preferences",
    ),
    (
        "trusted access",
        "enable trusted access for AWS Account Management: aws organizations enable-aws-service-access \
         --service-principal account.amazonaws.com",
    ),
    (
        "alternatecontact",
        "allow the role {role} account:PutAlternateContact, and enable trusted access for AWS Account Management: aws \
         organizations enable-aws-service-access --service-principal account.amazonaws.com",
    ),
    ("number of accounts", QUOTA),
    ("limit", QUOTA),
    ("quota", QUOTA),
    (
        "authorized",
        "allow the role {role} what AWS names above (a service control policy can stand in the way too)",
    ),
];
const QUOTA: &str = "ask AWS for a higher quota: Service Quotas, AWS Organizations, \"Default maximum number of accounts\"; or close \
                     accounts that nobody needs";
/// Where AWS says nothing that is known here.
const OTHER: &str =
    "look at the log of create-managed-account, and allow the role {role} what is missing";

/// A fault of the set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetUpFault {
    /// What AWS says. The same words for each row that meets it.
    pub words: String,
    /// Whether no account can be finished, with or without tags and contacts.
    pub all_wait: bool,
}

impl SetUpFault {
    /// One that keeps accounts from being created.
    #[must_use]
    pub fn of_creation(words: &str) -> Self {
        Self {
            words: words.to_owned(),
            all_wait: true,
        }
    }

    /// One that keeps this `account`, which exists, from being finished.
    #[must_use]
    pub fn after_creation(error: &AwsCallError, account: &AccountId, all_wait: bool) -> Self {
        // AWS names the account, and each row has another one.
        let said = error.in_words().replace(account.as_str(), "*");
        Self {
            words: format!("{}: {said}", error.operation()),
            all_wait,
        }
    }
}

/// What is to be done about a fault that AWS describes in these `words`, for the `role` that calls.
#[must_use]
pub fn remedy(words: &str, role: &str) -> String {
    let lower = words.to_lowercase();
    REMEDIES
        .iter()
        .find(|(text, _)| lower.contains(text))
        .map_or(OTHER, |(_, remedy)| remedy)
        .replace("{role}", role)
        .replace("{portfolio}", PORTFOLIO)
}

/// What a row waits for, as its results say it: those who run orgkeeper have to act, not who wrote the row.
#[must_use]
pub fn waits_for(words: &str) -> String {
    format!(
        "the set-up has to be changed by those who run orgkeeper, nothing is wrong with the row: {words}"
    )
}

/// The alert to those who run orgkeeper.
#[must_use]
pub fn alert(fault: &SetUpFault, role: &str, region: &str, now: Timestamp) -> Alert {
    let words = &fault.words;
    let (title, meanwhile) = if fault.all_wait {
        (
            "No account can be created until the set-up is changed",
            "all rows wait; none has failed. They are tried again by themselves",
        )
    } else {
        (
            "Accounts do not get their tags or contacts until the set-up is changed",
            "rows with tags or contacts wait; none has failed. They are tried again by themselves",
        )
    };
    let details = [
        ("AWS says", words.clone()),
        ("Meanwhile", meanwhile.to_owned()),
        (WHAT_TO_DO, remedy(words, role)),
    ];
    Alert {
        severity: Severity::Error,
        kind: "accounts.set-up".to_owned(),
        title: title.to_owned(),
        account: None,
        region: region.to_owned(),
        time: now,
        actor: None,
        source: None,
        details: details.into_iter().collect(),
        link: None,
        dedup_key: format!("accounts.set-up#{words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::111111111111:role/orgkeeper-CreateManagedAccountRole-1";

    #[test]
    fn each_fault_has_its_remedy() {
        for (words, remedied) in [
            ("No launch paths found for resource: prod-1", ROLE),
            ("No launch paths found for resource: prod-1", PORTFOLIO),
            (
                "several launch paths: name one",
                "AccountFactoryLaunchPathId",
            ),
            (
                "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: controltower:CreateManagedAccount",
                ROLE,
            ),
            (
                "The organization has reached its number of accounts.",
                "Service Quotas",
            ),
            (
                "the payment method (INVALID_PAYMENT_INSTRUMENT)",
                "payment method",
            ),
            ("Something new.", "create-managed-account"),
        ] {
            let remedy = remedy(words, ROLE);
            assert!(remedy.contains(remedied), "{words}: {remedy}");
            assert!(!remedy.contains('{'), "{remedy}");
        }
    }

    #[test]
    fn the_alert_says_who_waits_and_what_to_do() {
        let time = "2026-03-01T11:00:00Z".parse().unwrap();
        let fault = SetUpFault::of_creation("No launch paths found for resource: prod-1");
        let alert = alert(&fault, ROLE, "eu-west-1", time);
        assert_eq!(
            alert.text(),
            "No account can be created until the set-up is changed\n\n\
             AWS says: No launch paths found for resource: prod-1\n\
             Meanwhile: all rows wait; none has failed. They are tried again by themselves\n\
             When: 2026-03-01 11:00:00 UTC, eu-west-1\n\
             What to do: give the role arn:aws:iam::111111111111:role/orgkeeper-CreateManagedAccountRole-1 access to the \
             portfolio \"AWS Control Tower Account Factory Portfolio\": in Service Catalog under Portfolios, Access, or by \
             the parameter AccountFactoryPortfolioId"
        );
    }
}
