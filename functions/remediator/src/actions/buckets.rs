//! Buckets, in whatever Region they are; and the buckets that orgkeeper creates in a member account.

use std::error::Error;

use aws_sdk_s3::{
    Client,
    types::{BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration},
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    remediation::target::Target,
};
use serde_json::{Value, json};

use crate::{
    member::Member,
    member_client,
    policy_document::PolicyText,
    refusal::{CallFailed, failed},
};

/// Calls S3 in the order's Region and, if the bucket is in another one, there. Gives the answer and the Region.
///
/// A finding about a bucket can come from another Region than the bucket's.
pub(super) async fn at_bucket<T, E>(
    member: &Member,
    operation: &'static str,
    call: impl AsyncFn(Client) -> Result<T, SdkError<E, HttpResponse>>,
) -> Result<(T, String), AwsCallError>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let here = &member.target.region;
    let refused = match call(member_client!(aws_sdk_s3, member)).await {
        Ok(answer) => return Ok((answer, here.clone())),
        Err(refused) => refused,
    };
    let elsewhere = refused
        .raw_response()
        .and_then(|answer| answer.headers().get("x-amz-bucket-region"))
        .filter(|region| region != here)
        .map(str::to_owned);
    let Some(elsewhere) = elsewhere else {
        return Err(failed(Service::S3, operation)(refused));
    };
    let client = member_client!(aws_sdk_s3, member.in_region(&elsewhere));
    match call(client).await {
        Ok(answer) => Ok((answer, elsewhere)),
        Err(refused) => Err(failed(Service::S3, operation)(refused)),
    }
}

/// The policy of the order's bucket; nothing if it has none.
pub(super) async fn policy(member: &Member) -> Result<Option<PolicyText>, AwsCallError> {
    let read = at_bucket(member, "GetBucketPolicy", async |client| {
        client
            .get_bucket_policy()
            .bucket(member.target.name())
            .expected_bucket_owner(member.target.account.as_str())
            .send()
            .await
    });
    match read.await {
        Ok((answer, _)) => Ok(answer.policy.map(PolicyText::new)),
        Err(error) if error.has_code("NoSuchBucketPolicy") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every kind of public access blocked.
pub(super) fn all_blocked() -> PublicAccessBlockConfiguration {
    PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build()
}

/// The Sid of [`require_tls`].
pub(super) const REQUIRE_TLS: &str = "OrgkeeperRequireTls";

/// The statement that denies every call to a bucket without TLS.
pub(super) fn require_tls(target: &Target, bucket: &str) -> Value {
    let arn = arn_of(target, bucket);
    json!({
        "Sid": REQUIRE_TLS,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, format!("{arn}/*")],
        "Condition": { "Bool": { "aws:SecureTransport": "false" } },
    })
}

/// The ARN of a bucket.
pub(super) fn arn_of(target: &Target, bucket: &str) -> String {
    format!("arn:{}:s3:::{bucket}", target.partition())
}

/// A bucket that orgkeeper creates in a member account, as it was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OwnBucket {
    pub(super) name: String,
    pub(super) region: String,
    pub(super) exists: bool,
    pub(super) policy: Option<PolicyText>,
}

impl OwnBucket {
    /// Looks for the bucket.
    pub(super) async fn read(
        member: &Member,
        region: &str,
        name: String,
    ) -> Result<Self, AwsCallError> {
        let read = member_client!(aws_sdk_s3, member.in_region(region))
            .get_bucket_policy()
            .bucket(&name)
            .expected_bucket_owner(member.target.account.as_str())
            .send()
            .await
            .map_err(failed(Service::S3, "GetBucketPolicy"));
        let (exists, policy) = match read {
            Ok(answer) => (true, answer.policy.map(PolicyText::new)),
            Err(error) if error.has_code("NoSuchBucketPolicy") => (true, None),
            Err(error) if error.has_code("NoSuchBucket") => (false, None),
            Err(error) => return Err(error),
        };
        Ok(Self {
            name,
            region: region.to_owned(),
            exists,
            policy,
        })
    }

    /// Creates the bucket if it does not exist, and adds those statements to its policy that are not there by their
    /// Sids. A bucket that has them all is not changed.
    pub(super) async fn complete(
        &self,
        member: &Member,
        statements: Vec<Value>,
    ) -> Result<(), CallFailed> {
        let known = self.policy.as_ref().and_then(|it| it.document().ok());
        let mut document = known.unwrap_or_default();
        let missing: Vec<Value> = statements
            .into_iter()
            .filter(|statement| {
                let sid = statement["Sid"].as_str();
                !sid.is_some_and(|sid| document.has_sid(sid))
            })
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        for statement in missing {
            document.append(statement);
        }
        let client = member_client!(aws_sdk_s3, member.in_region(&self.region));
        if !self.exists {
            self.create(&client).await?;
        }
        client
            .put_public_access_block()
            .bucket(&self.name)
            .public_access_block_configuration(all_blocked())
            .send()
            .await
            .map_err(failed(Service::S3, "PutPublicAccessBlock"))?;
        client
            .put_bucket_policy()
            .bucket(&self.name)
            .policy(document.text().as_str())
            .send()
            .await
            .map_err(failed(Service::S3, "PutBucketPolicy"))?;
        Ok(())
    }

    async fn create(&self, client: &Client) -> Result<(), AwsCallError> {
        // The one Region that has no location constraint.
        let elsewhere = (self.region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(self.region.as_str()))
                .build()
        });
        let created = client
            .create_bucket()
            .bucket(&self.name)
            .set_create_bucket_configuration(elsewhere)
            .send()
            .await
            .map_err(failed(Service::S3, "CreateBucket"));
        match created {
            Err(error) if !error.has_code("BucketAlreadyOwnedByYou") => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_config::Region;
    use orgkeeper_shared::aws_error::AwsErrorClass;
    use orgkeeper_tests::wire::{Answer, Wire};

    use super::*;
    use crate::parameters::tests::order;

    async fn member(wire: &Wire) -> Member {
        let target = order("S3.5", "arn:aws:s3:::data", &[]).target;
        let region = Region::new(target.region.clone());
        let sdk = wire.sdk_config().await.to_builder().region(region).build();
        Member::for_test(sdk, target)
    }

    #[tokio::test]
    async fn a_bucket_is_found_in_its_own_region() {
        let wire = Wire::start(|call| {
            if call.header("authorization").contains("/us-west-2/s3/") {
                return Answer::xml(200, r#"{"Version":"2012-10-17"}"#);
            }
            Answer::xml_error(301, "PermanentRedirect")
                .with_header("x-amz-bucket-region", "us-west-2")
        })
        .await
        .unwrap();
        let member = member(&wire).await;
        let policy = policy(&member).await.unwrap();
        assert_eq!(policy, Some(PolicyText::new(r#"{"Version":"2012-10-17"}"#)));
        assert_eq!(wire.calls().len(), 2);
        assert_eq!(
            wire.calls()[1].header("x-amz-expected-bucket-owner"),
            "111122223333"
        );
    }

    #[tokio::test]
    async fn a_bucket_without_a_policy_is_none_that_is_gone() {
        for (code, expected) in [
            ("NoSuchBucketPolicy", Ok(None)),
            ("NoSuchBucket", Err(AwsErrorClass::NotFound)),
            ("AccessDenied", Err(AwsErrorClass::Denied)),
        ] {
            let wire = Wire::start(move |_| {
                Answer::xml_error(404, code).with_header("x-amz-bucket-region", "eu-west-1")
            })
            .await
            .unwrap();
            let read = policy(&member(&wire).await).await;
            assert_eq!(read.map_err(|error| error.class()), expected, "{code}");
            assert_eq!(wire.calls().len(), 1);
        }
    }
}
