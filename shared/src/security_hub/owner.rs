//! Whose resource a finding is about, if another account published it.
//!
//! An administrator of Macie or of IAM Access Analyzer publishes findings about resources of its members
//! under its own account id. Where such a finding names the owner is a row of [`PLACES`] for its product: an
//! account that is only mentioned (a caller, a registry, a role of another account) is not the owner.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::Lenient;
use crate::ids::AccountId;

/// A place in a finding that names the owner of the resource.
#[derive(Clone, Copy)]
enum Place {
    /// The product field of this name. It is also found behind a path (`aws/access-analyzer/…`) and in other
    /// capitals.
    ProductField(&'static str),
    /// `Resources[].Owner.Account.Id` or `Resources[].Owner.AccountId`, of the first resource that has it.
    ResourceOwner,
    /// `Resources[].Details.AwsS3Bucket.OwnerAccountId`, likewise.
    BucketOwner,
    /// The account in the ARN of the first resource.
    FirstArn,
}

/// Product (the end of `ProductArn`) and where it names the owner: the first place that holds an account
/// id counts.
const PLACES: &[(&str, &[Place])] = &[
    (
        "aws/access-analyzer",
        &[
            Place::ProductField("ResourceOwnerAccount"),
            Place::ProductField("ResourceOwnerAccountId"),
            Place::ResourceOwner,
            Place::BucketOwner,
            Place::FirstArn,
        ],
    ),
    // Firewall Manager reports resources that do not comply with a policy of its administrator.
    (
        "aws/firewall-manager",
        &[
            Place::ProductField("ResourceOwnerAccount"),
            Place::ProductField("ResourceOwnerAccountId"),
            Place::ResourceOwner,
            Place::FirstArn,
        ],
    ),
    (
        "aws/macie",
        &[
            Place::ResourceOwner,
            Place::BucketOwner,
            Place::ProductField("ResourceOwnerAccount"),
            Place::ProductField("ResourceOwnerAccountId"),
            Place::FirstArn,
        ],
    ),
];

/// The owner that a finding of this product names, if it is another account than the publisher.
#[must_use]
pub fn owner(
    product_arn: &str,
    product_fields: Option<&RawValue>,
    resources: Option<&RawValue>,
) -> Option<AccountId> {
    let (_, product) = product_arn.split_once(":product/")?;
    let (_, places) = PLACES.iter().find(|(of, _)| *of == product)?;
    let product_fields = product_fields
        .and_then(|json| serde_json::from_str::<BTreeMap<String, Lenient<String>>>(json.get()).ok())
        .unwrap_or_default();
    let resources: Vec<Resource> = resources
        .and_then(|json| serde_json::from_str::<Vec<Lenient<Resource>>>(json.get()).ok())
        .unwrap_or_default()
        .into_iter()
        .map(|resource| resource.0.unwrap_or_default())
        .collect();
    places.iter().find_map(|place| match place {
        Place::ProductField(name) => product_fields
            .iter()
            .filter(|(path, _)| {
                let last = path.rsplit('/').next().unwrap_or(path);
                last.eq_ignore_ascii_case(name)
            })
            .find_map(|(_, value)| value.account()),
        Place::ResourceOwner => resources.iter().find_map(Resource::owner),
        Place::BucketOwner => resources.iter().find_map(Resource::bucket_owner),
        Place::FirstArn => AccountId::from_arn(resources.first()?.id.0.as_ref()?).ok(),
    })
}

impl Lenient<String> {
    fn account(&self) -> Option<AccountId> {
        self.0.as_ref()?.parse().ok()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Resource {
    id: Lenient<String>,
    details: Lenient<Details>,
    owner: Lenient<Owner>,
}

impl Resource {
    fn owner(&self) -> Option<AccountId> {
        let owner = self.owner.0.as_ref()?;
        let account = owner.account.0.as_ref();
        account
            .and_then(|account| account.id.account())
            .or_else(|| owner.account_id.account())
    }

    fn bucket_owner(&self) -> Option<AccountId> {
        let bucket = self.details.0.as_ref()?.aws_s3_bucket.0.as_ref()?;
        bucket.owner_account_id.account()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Details {
    #[serde(rename = "AwsS3Bucket")]
    aws_s3_bucket: Lenient<Bucket>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Bucket {
    owner_account_id: Lenient<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Owner {
    account: Lenient<OwnerAccount>,
    account_id: Lenient<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct OwnerAccount {
    id: Lenient<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ADMINISTRATOR: &str = "arn:aws:securityhub:us-east-1::product/aws/";

    fn owner_of(product: &str, product_fields: &Value, resources: &Value) -> Option<String> {
        let raw = |value: &Value| RawValue::from_string(value.to_string()).unwrap();
        owner(
            &format!("{ADMINISTRATOR}{product}"),
            Some(&raw(product_fields)),
            Some(&raw(resources)),
        )
        .map(String::from)
    }

    #[test]
    fn every_row_names_the_owner() {
        let nothing = json!({});
        let bare = json!([{ "Id": "arn:aws:s3:::exports" }]);
        let fields = [
            json!({ "ResourceOwnerAccount": "777788889999" }),
            json!({ "resourceOwnerAccount": "777788889999" }),
            json!({ "aws/access-analyzer/resourceOwnerAccountId": "777788889999" }),
        ];
        let resources = [
            json!([{ "Id": "arn:aws:s3:::exports", "Owner": { "Account": { "Id": "777788889999" } } }]),
            json!([{ "Id": "x", "Owner": { "Account": { "Id": 7 }, "AccountId": "777788889999" } }]),
            json!([7, { "Owner": { "AccountId": "777788889999" } }]),
            json!([{ "Id": "arn:aws:iam::777788889999:role/quarter-end" }]),
        ];
        let bucket =
            json!([{ "Details": { "AwsS3Bucket": { "OwnerAccountId": "777788889999" } } }]);
        for product in ["access-analyzer", "firewall-manager", "macie"] {
            for fields in &fields {
                let owner = owner_of(product, fields, &bare);
                assert_eq!(
                    owner.as_deref(),
                    Some("777788889999"),
                    "{product}: {fields}"
                );
            }
            for resources in &resources {
                let owner = owner_of(product, &nothing, resources);
                assert_eq!(
                    owner.as_deref(),
                    Some("777788889999"),
                    "{product}: {resources}"
                );
            }
            assert_eq!(owner_of(product, &nothing, &bare), None);
        }
        for product in ["access-analyzer", "macie"] {
            let owner = owner_of(product, &nothing, &bucket);
            assert_eq!(owner.as_deref(), Some("777788889999"), "{product}");
        }
    }

    #[test]
    fn what_is_no_account_id_names_nobody() {
        let fields = json!({ "ResourceOwnerAccount": "somebody", "resourceOwnerAccount": null });
        let resources = json!([
            { "Owner": "777788889999", "Id": ["arn:aws:iam::777788889999:role/x"], "Details": 3 },
            { "Owner": { "Account": "777788889999" }, "Details": { "AwsS3Bucket": [] } },
        ]);
        for product in ["access-analyzer", "firewall-manager", "macie"] {
            assert_eq!(owner_of(product, &fields, &resources), None);
            assert_eq!(owner_of(product, &json!("odd"), &json!({ "Id": 1 })), None);
        }
    }

    #[test]
    fn other_products_name_only_their_own_account() {
        let fields = json!({ "ResourceOwnerAccount": "777788889999" });
        let resources = json!([{ "Id": "arn:aws:iam::777788889999:role/x" }]);
        for product in ["guardduty", "inspector", "securityhub", "macie/else"] {
            assert_eq!(owner_of(product, &fields, &resources), None);
        }
        let raw = RawValue::from_string(fields.to_string()).unwrap();
        assert_eq!(owner("aws/macie", Some(&raw), None), None);
    }
}
