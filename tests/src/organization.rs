//! Answers of a made-up organization, for the wire.

use serde_json::{Value, json};

use crate::{
    dynamodb::{ACCOUNT_DIRECTORY, DynamoDb},
    wire::{Answer, Call},
};

/// The management account of every made-up organization.
pub const MANAGEMENT_ACCOUNT: &str = "111111111111";

/// The id of the `n`th member account.
#[must_use]
pub fn account(n: usize) -> String {
    format!("2222{n:08}")
}

/// The directory entry of the `n`th account, as the table holds it, read at `refreshed_at`.
#[must_use]
pub fn directory_item(n: usize, refreshed_at: i64) -> Value {
    json!({
        "AccountId": { "S": account(n) },
        "Name": { "S": format!("account-{n}") },
        "OuPath": { "L": [
            { "M": { "Id": { "S": "ou-a1b2-workload" }, "Name": { "S": "Workloads" } } },
            { "M": { "Id": { "S": "ou-a1b2-prod0000" }, "Name": { "S": "Prod" } } },
        ] },
        "Tags": { "M": {
            "Environment": { "S": "PROD" },
            "team": { "S": format!("team-{}", n % 7) },
        } },
        "SecurityContact": { "M": {
            "Name": { "S": "Sam Lee" },
            "Email": { "S": format!("security-{n}@example.com") },
            "Phone": { "S": "+1 555 0100" },
        } },
        "RefreshedAt": { "N": refreshed_at.to_string() },
        "Version": { "N": "1" },
    })
}

/// A finding about an account, as an event carries it.
#[must_use]
pub fn finding(id: &str, account: &str) -> Value {
    json!({
        "SchemaVersion": "2018-10-08",
        "Id": id,
        "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub",
        "GeneratorId": "security-control/S3.1",
        "AwsAccountId": account,
        "CreatedAt": "2026-03-01T09:00:00.000Z",
        "UpdatedAt": "2026-03-01T10:15:00.000Z",
        "Severity": { "Label": "MEDIUM" },
        "Title": "S3 general purpose buckets should have block public access settings enabled",
        "Description": "A finding of a test.",
        "Types": ["Software and Configuration Checks"],
        "Resources": [{ "Type": "AwsAccount", "Id": format!("AWS::::Account:{account}") }],
        "Compliance": { "Status": "FAILED", "SecurityControlId": "S3.1" },
        "Workflow": { "Status": "NEW" },
        "RecordState": "ACTIVE",
    })
}

/// The event that tells of findings.
#[must_use]
pub fn imported(time: &str, findings: &[Value]) -> Value {
    json!({
        "version": "0",
        "id": "0f1e2d3c-0000-4111-8222-333344445555",
        "detail-type": "Security Hub Findings - Imported",
        "source": "aws.securityhub",
        "account": MANAGEMENT_ACCOUNT,
        "time": time,
        "region": "us-east-1",
        "resources": [],
        "detail": { "findings": findings },
    })
}

/// An organization of `accounts` member accounts that answers as AWS does, its table included.
pub struct Organization {
    accounts: usize,
    /// The directory's table.
    pub tables: DynamoDb,
}

impl Organization {
    /// An organization whose directory table is empty.
    #[must_use]
    pub fn cold(accounts: usize) -> Self {
        Self {
            accounts,
            tables: DynamoDb::new(),
        }
    }

    /// An organization whose directory table knows every account, as read at `refreshed_at`.
    #[must_use]
    pub fn warm(accounts: usize, refreshed_at: i64) -> Self {
        Self::with(
            accounts,
            (0..accounts).map(|n| directory_item(n, refreshed_at)),
        )
    }

    /// An organization whose directory table holds these items.
    #[must_use]
    pub fn with(accounts: usize, items: impl IntoIterator<Item = Value>) -> Self {
        let organization = Self::cold(accounts);
        for item in items {
            organization.tables.put(ACCOUNT_DIRECTORY, &item);
        }
        organization
    }

    /// The item that the table holds of an account.
    #[must_use]
    pub fn stored(&self, account: &str) -> Option<Value> {
        self.tables.get(ACCOUNT_DIRECTORY, account)
    }

    /// The answer to a call, every finding updated and every contact absent but the security one.
    pub fn answer(&self, call: &Call) -> Answer {
        if let Some(answer) = self.tables.answer(call) {
            return answer;
        }
        let text = |name: &str| call.body[name].as_str().unwrap_or_default();
        match call.operation.as_str() {
            "DescribeAccount" => self.describe(text("AccountId")),
            "DescribeOrganizationalUnit" => {
                let id = text("OrganizationalUnitId");
                let name = if id == "ou-a1b2-prod0000" {
                    "Prod"
                } else {
                    "Workloads"
                };
                Answer::ok(json!({ "OrganizationalUnit": { "Id": id, "Name": name } }))
            }
            "ListOrganizationalUnitsForParent" => Answer::ok(match text("ParentId") {
                "r-a1b2" => json!({ "OrganizationalUnits":
                    [{ "Id": "ou-a1b2-workload", "Name": "Workloads" }] }),
                "ou-a1b2-workload" => json!({ "OrganizationalUnits":
                    [{ "Id": "ou-a1b2-prod0000", "Name": "Prod" }] }),
                _ => json!({ "OrganizationalUnits": [] }),
            }),
            "ListAccounts" => self.list_accounts(text("NextToken")),
            "GetFindings" => Answer::ok(json!({ "Findings": [] })),
            "ListParents" => Answer::ok(match text("ChildId") {
                "ou-a1b2-workload" => json!({ "Parents": [{ "Id": "r-a1b2", "Type": "ROOT" }] }),
                "ou-a1b2-prod0000" => json!({ "Parents":
                    [{ "Id": "ou-a1b2-workload", "Type": "ORGANIZATIONAL_UNIT" }] }),
                _ => json!({ "Parents":
                    [{ "Id": "ou-a1b2-prod0000", "Type": "ORGANIZATIONAL_UNIT" }] }),
            }),
            // Two pages, the first of them empty, as AWS may answer.
            "ListTagsForResource" => Answer::ok(match text("NextToken") {
                "" => json!({ "Tags": [], "NextToken": "one" }),
                "one" => json!({ "Tags": [{ "Key": "Environment", "Value": "PROD" }],
                    "NextToken": "two" }),
                _ => json!({ "Tags": [{ "Key": "team", "Value": "payments" }] }),
            }),
            "GetAlternateContact" if text("AlternateContactType") == "SECURITY" => {
                Answer::ok(json!({ "AlternateContact": {
                    "AlternateContactType": "SECURITY",
                    "Name": "Sam Lee",
                    "Title": "Head of security",
                    "EmailAddress": "sam@example.com",
                    "PhoneNumber": "+1 555 0100",
                } }))
            }
            "GetAlternateContact" | "GetContactInformation" => {
                Answer::error(404, "ResourceNotFoundException")
            }
            "BatchUpdateFindings" => Answer::ok(json!({
                "ProcessedFindings": call.body["FindingIdentifiers"],
                "UnprocessedFindings": [],
            })),
            "ChangeMessageVisibilityBatch" | "SendMessageBatch" => {
                Answer::ok(json!({ "Successful": [], "Failed": [] }))
            }
            _ => Answer::error(400, "UnknownOperationException"),
        }
    }

    /// Pages of twenty; the token is the number of the first account of the page.
    fn list_accounts(&self, token: &str) -> Answer {
        let Ok(first) = (if token.is_empty() {
            Ok(0)
        } else {
            token.parse::<usize>()
        }) else {
            return Answer::error(400, "InvalidInputException");
        };
        let end = self.accounts.min(first + 20);
        let accounts: Vec<Value> = (first..end).map(|n| described(&account(n))).collect();
        let next = (end < self.accounts).then(|| end.to_string());
        Answer::ok(json!({ "Accounts": accounts, "NextToken": next }))
    }

    fn describe(&self, id: &str) -> Answer {
        let known = id == MANAGEMENT_ACCOUNT || (0..self.accounts).any(|n| account(n) == id);
        if !known {
            return Answer::error(400, "AccountNotFoundException");
        }
        Answer::ok(json!({ "Account": described(id) }))
    }
}

fn described(id: &str) -> Value {
    json!({
        "Id": id,
        "Arn": format!("arn:aws:organizations::{MANAGEMENT_ACCOUNT}:account/o-aa111/{id}"),
        "Name": format!("name-of-{id}"),
        "State": "ACTIVE",
        "Paths": [format!("o-aa111/r-a1b2/ou-a1b2-workload/ou-a1b2-prod0000/{id}/")],
    })
}
