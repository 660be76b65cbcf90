//! Buckets, in whatever Region they are; and the buckets that orgkeeper creates in a member account.

use std::error::Error;

use aws_sdk_s3::{
    Client,
    types::{BucketLocationConstraint, CreateBucketConfiguration},
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
    policy_document::{PolicyDocument, PolicyText},
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

/// The Region whose S3 says nothing when the caller creates a bucket that it has, and has no location constraint.
const FIRST_REGION: &str = "us-east-1";

/// A bucket that orgkeeper creates in a member account. S3 blocks all public access to a new bucket (since April 2023),
/// so that this is no call of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnBucket {
    pub(super) name: String,
    pub(super) region: String,
}

/// Our bucket for access logs in a Region: logs can only be written to a bucket of the same Region.
pub(super) fn access_log_bucket(target: &Target, region: &str) -> OwnBucket {
    OwnBucket {
        name: format!("orgkeeper-access-logs-{}-{region}", target.account),
        region: region.to_owned(),
    }
}

impl OwnBucket {
    /// Adds those statements to the bucket's policy that are not there by their Sids. Where the bucket exists, that is
    /// one call; else it is created.
    pub(super) async fn complete(
        &self,
        member: &Member,
        statements: Vec<Value>,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_s3, member.in_region(&self.region));
        let read = client
            .get_bucket_policy()
            .bucket(&self.name)
            .expected_bucket_owner(member.target.account.as_str())
            .send()
            .await
            .map_err(failed(Service::S3, "GetBucketPolicy"));
        let policy = match read {
            Ok(answer) => answer.policy.map(PolicyText::new),
            Err(error) if error.has_code("NoSuchBucketPolicy") => None,
            Err(error) if error.has_code("NoSuchBucket") => {
                self.create(&client).await?;
                None
            }
            Err(error) => return Err(error.into()),
        };
        let known = policy.and_then(|it| it.document().ok());
        self.put_policy(&client, member, known.unwrap_or_default(), statements)
            .await
    }

    /// The same for a bucket that most likely does not exist: it is created without being looked for.
    pub(super) async fn create_with(
        &self,
        member: &Member,
        statements: Vec<Value>,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_s3, member.in_region(&self.region));
        if self.region == FIRST_REGION || !self.create(&client).await? {
            return self.complete(member, statements).await;
        }
        self.put_policy(&client, member, PolicyDocument::default(), statements)
            .await
    }

    async fn put_policy(
        &self,
        client: &Client,
        member: &Member,
        mut document: PolicyDocument,
        mut statements: Vec<Value>,
    ) -> Result<(), CallFailed> {
        statements.retain(|statement| {
            let sid = statement["Sid"].as_str();
            !sid.is_some_and(|sid| document.has_sid(sid))
        });
        if statements.is_empty() {
            return Ok(());
        }
        for statement in statements {
            document.append(statement);
        }
        client
            .put_bucket_policy()
            .bucket(&self.name)
            .expected_bucket_owner(member.target.account.as_str())
            .policy(document.text().as_str())
            .send()
            .await
            .map_err(failed(Service::S3, "PutBucketPolicy"))?;
        Ok(())
    }

    /// Creates the bucket; says whether it did not exist.
    async fn create(&self, client: &Client) -> Result<bool, AwsCallError> {
        let elsewhere = (self.region != FIRST_REGION).then(|| {
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
            Ok(_) => Ok(true),
            Err(error) if error.has_code("BucketAlreadyOwnedByYou") => Ok(false),
            Err(error) => Err(error),
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
