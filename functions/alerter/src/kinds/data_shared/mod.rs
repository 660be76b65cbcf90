//! Data made public, or shared with an account outside of the organization.

mod calls;
mod request;

use orgkeeper_shared::alert::Severity;

use self::{
    calls::WAYS,
    request::{ACCOUNT_BLOCK, BUCKET_BLOCK, DATABASE, FUNCTION_URL},
};
use crate::{
    actor::ActorClass,
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{NextSteps, describe_call},
        classifier::{Classification, Classifier},
        opened::name_whom,
    },
    outcome::Outcome,
    policy_document::{EVERYBODY, OUTSIDE, UNREAD},
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
};

/// Data was made public or shared.
pub const KIND: &Kind = &Kind {
    name: "data.shared",
    plural: "shared data",
    severities: &[
        NOT_THERE,
        DENIED,
        row(Severity::Error).outcome(Outcome::Failed),
        BY_A_SERVICE,
        row(Severity::Error)
            .content(EVERYBODY)
            .by(ActorClass::DeploymentTool),
        row(Severity::Error)
            .content(OUTSIDE)
            .by(ActorClass::DeploymentTool),
        row(Severity::Error)
            .content(DATABASE)
            .by(ActorClass::DeploymentTool),
        row(Severity::Error)
            .content(ACCOUNT_BLOCK)
            .by(ActorClass::DeploymentTool),
        BY_A_DEPLOYMENT,
        row(Severity::Critical).content(EVERYBODY).fixed(),
        row(Severity::Critical).content(OUTSIDE),
        row(Severity::Error).content(DATABASE),
        row(Severity::Error).content(FUNCTION_URL),
        row(Severity::Error).content(ACCOUNT_BLOCK).fixed(),
        row(Severity::Error).content(BUCKET_BLOCK),
        row(Severity::Error).content(UNREAD),
        row(Severity::Info),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "buckets, snapshots, images, databases, functions, queues, secrets … made public or shared with another \
        account, a block of public access removed, or an attempt",
    rules: &[
        EventRule::of(
            "BucketPolicy",
            "Policies of buckets that allow something",
            BUCKET_POLICIES,
        ),
        EventRule::of(
            "BucketAccess",
            "Access control lists and blocks of public access of buckets and access points",
            BUCKETS,
        ),
        EventRule::of("CopyShared", "Snapshots and images that are shared", COPIES),
        EventRule::of(
            "DatabasePublic",
            "Databases that can be reached from the internet",
            DATABASES,
        ),
        EventRule::of(
            "FunctionShared",
            "Functions and layers that others can use",
            FUNCTIONS,
        ),
        EventRule::of(
            "ResourceShared",
            "Policies of queues, topics, secrets and other resources, and resource shares",
            RESOURCES,
        ),
    ],
    calls: &calls::words(WAYS),
    samples: &[
        "data-shared",
        "data-shared-account-block",
        "data-shared-denied",
        "data-shared-function-url",
        "data-shared-image",
        "data-shared-outside",
    ],
    classify,
};

/// A policy that only denies lets in nobody.
const BUCKET_POLICIES: &str = r#"{"source":["aws.s3"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["PutBucketPolicy"],
    "requestParameters":{"bucketPolicy":{"Statement":{"Effect":["Allow",{"exists":false}]}}}}}"#;
const BUCKETS: &str = r#"{"source":["aws.s3"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["DeleteAccountPublicAccessBlock","DeleteBucketPublicAccessBlock","PutAccessPointPolicy",
    "PutAccountPublicAccessBlock","PutBucketAcl","PutBucketPublicAccessBlock"]}}"#;
const COPIES: &str = r#"{"source":["aws.ec2","aws.rds","aws.redshift"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["AuthorizeSnapshotAccess","DisableImageBlockPublicAccess",
    "DisableSnapshotBlockPublicAccess","ModifyDBClusterSnapshotAttribute","ModifyDBSnapshotAttribute",
    "ModifyImageAttribute","ModifySnapshotAttribute"]}}"#;
/// Databases are changed often; a request that cannot be read is delivered as well.
const DATABASES: &str = r#"{"source":["aws.rds","aws.redshift"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["CreateCluster","CreateDBInstance","ModifyCluster","ModifyDBInstance"],
    "requestParameters":{"$or":[{"publiclyAccessible":[true]},
    {"clusterIdentifier":[{"exists":false}],"dBInstanceIdentifier":[{"exists":false}]}]}}}"#;
/// Most permissions are for services.
const FUNCTIONS: &str = r#"{"source":["aws.lambda"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["AddLayerVersionPermission20181031","AddPermission20150331v2",
    "CreateFunctionUrlConfig","UpdateFunctionUrlConfig"],
    "requestParameters":{"principal":[{"exists":false},{"anything-but":{"suffix":".amazonaws.com"}}]}}}"#;
const RESOURCES: &str = r#"{"source":["aws.backup","aws.dynamodb","aws.ecr","aws.elasticfilesystem","aws.es",
    "aws.glue","aws.ram","aws.secretsmanager","aws.sns","aws.sqs"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["AddPermission","AssociateResourceShare","CreateResourceShare",
    "PutBackupVaultAccessPolicy","PutFileSystemPolicy","PutResourcePolicy","SetQueueAttributes",
    "SetRepositoryPolicy","SetTopicAttributes","UpdateDomainConfig","UpdateElasticsearchDomainConfig"]}}"#;

const PUBLIC: &str = "If it is not meant to be public, take this back now, then find out who read it (CloudTrail, \
    access logs), and treat what it holds as published. If it was not planned, revoke the access of the person who did it.";
const SHARED: &str = "If the account is not one of the organization's, ask now whose it is. If it was not planned: take \
    this back, revoke the access of the person who did it, and treat the data as copied.";
const REACHABLE: &str = "If it is not meant to be reached from everywhere, take this back, and look in its logs for who \
    has used it since.";
const BLOCK: &str = "Nothing is public by this alone, but one policy is enough now. If it was not planned: put the block \
    back, and look for policies that were changed since.";
const ASK: &str = "If you do not expect this from them, look at who has access now, and ask.";
const NOT_DONE: &str =
    "Nothing was changed, but somebody tried. Ask them if you do not expect this from them.";

/// What became of it in the title, and what to do, by the content.
const WORDS: &[(Content, &str, &str)] = &[
    (EVERYBODY, "opened to everybody", PUBLIC),
    (OUTSIDE, "opened to another account", SHARED),
    (DATABASE, "opened to the internet", REACHABLE),
    (FUNCTION_URL, "opened to everybody", REACHABLE),
    (BUCKET_BLOCK, "", BLOCK),
    (ACCOUNT_BLOCK, "", BLOCK),
];

/// Classifies a change of who can read data. What lets in nobody else is not reported.
fn classify(event: &Event) -> Option<Classification> {
    let call = event.call()?;
    let way = WAYS
        .iter()
        .find(|way| way.words.service == call.service && way.words.operation == call.operation)?;
    // Only one attribute of a topic is its policy.
    let attribute = event.value("/detail/requestParameters/attributeName");
    if call.service == "sns" && attribute.is_some_and(|name| name != "Policy") {
        return Some(Classification::NotReported);
    }
    let mut draft = Draft::of_call(event, KIND, way.words.what(event));
    if !request::read(&mut draft, event, way.opens, way.harmless) {
        return Some(Classification::NotReported);
    }
    let words = WORDS
        .iter()
        .find(|(content, ..)| draft.content == Some(*content));
    let queue = event.value("/detail/requestParameters/queueUrl");
    draft.detail("Queue", queue);
    let next = NextSteps {
        done: words.map_or(ASK, |(.., next)| next),
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, &way.words, event, next);
    name_whom(
        &mut draft,
        &way.words,
        event,
        words.map_or("", |(_, opened, _)| opened),
    );
    Some(draft.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::tried::{DEPLOYMENT, PERSON, severity, severity_if_denied, title};

    const CRITICAL: Option<Severity> = Some(Severity::Critical);
    const ERROR: Option<Severity> = Some(Severity::Error);
    const INFO: Option<Severity> = Some(Severity::Info);

    fn policy(principal: &Value) -> Value {
        json!({ "Statement": [{ "Effect": "Allow", "Principal": principal, "Action": "*" }] })
    }

    fn block(policy: bool) -> Value {
        json!({ "bucketName": "invoices", "PublicAccessBlockConfiguration": { "BlockPublicAcls": true,
            "BlockPublicPolicy": policy, "IgnorePublicAcls": true, "RestrictPublicBuckets": true } })
    }

    fn access_list(grantee: &Value) -> Value {
        json!({ "bucketName": "invoices", "AccessControlPolicy": { "Owner": { "ID": "aa11" },
            "AccessControlList": { "Grant": [
                { "Grantee": { "ID": "aa11", "xsi:type": "CanonicalUser" }, "Permission": "FULL_CONTROL" },
                { "Grantee": grantee, "Permission": "READ" },
            ] } } })
    }

    /// Service, operation, request, severity by a person, by a deployment.
    type Case = (
        &'static str,
        &'static str,
        Value,
        Option<Severity>,
        Option<Severity>,
    );

    fn check(cases: &[Case]) {
        for (service, operation, request, by_person, by_deployment) in cases {
            let of = |actor| severity(KIND, service, operation, request, actor);
            assert_eq!(of(PERSON), *by_person, "{operation} {request}");
            assert_eq!(of(DEPLOYMENT), *by_deployment, "{operation} {request}");
        }
    }

    #[test]
    fn a_policy_is_as_severe_as_whom_it_lets_in() {
        let everybody = policy(&json!("*"));
        let outsider = policy(&json!({ "AWS": "444455556666" }));
        let service = policy(&json!({ "Service": "cloudfront.amazonaws.com" }));
        let own = policy(&json!({ "AWS": ["arn:aws:iam::111122223333:role/app", "AROAEXAMPLE"] }));
        let cloudfront = "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1";
        let bucket = |policy: &Value| json!({ "bucketName": "invoices", "bucketPolicy": policy });
        let queue = |policy: &Value| json!({ "attributes": { "Policy": policy.to_string() } });
        let topic =
            |name: &str, value: &Value| json!({ "attributeName": name, "attributeValue": value });
        check(&[
            ("s3", "PutBucketPolicy", bucket(&everybody), CRITICAL, ERROR),
            ("s3", "PutBucketPolicy", bucket(&outsider), CRITICAL, ERROR),
            ("s3", "PutBucketPolicy", bucket(&service), None, None),
            ("s3", "PutBucketPolicy", bucket(&own), None, None),
            (
                "s3",
                "PutBucketPolicy",
                bucket(&policy(&json!({ "AWS": cloudfront }))),
                None,
                None,
            ),
            (
                "s3",
                "PutBucketPolicy",
                bucket(&policy(&json!({ "CanonicalUser": "ab" }))),
                ERROR,
                INFO,
            ),
            (
                "s3",
                "PutBucketPolicy",
                bucket(&json!({ "Statement": [] })),
                ERROR,
                INFO,
            ),
            ("s3", "PutBucketPolicy", json!(null), ERROR, INFO),
            (
                "sqs",
                "SetQueueAttributes",
                queue(&everybody),
                CRITICAL,
                ERROR,
            ),
            (
                "sqs",
                "SetQueueAttributes",
                json!({ "attributes": { "DelaySeconds": "5" } }),
                None,
                None,
            ),
            (
                "sns",
                "SetTopicAttributes",
                topic("Policy", &everybody.to_string().into()),
                CRITICAL,
                ERROR,
            ),
            (
                "sns",
                "SetTopicAttributes",
                topic("DisplayName", &json!("*")),
                None,
                None,
            ),
            (
                "secretsmanager",
                "PutResourcePolicy",
                json!({ "resourcePolicy": outsider.to_string() }),
                CRITICAL,
                ERROR,
            ),
            (
                "es",
                "UpdateDomainConfig",
                json!({ "domainName": "logs" }),
                None,
                None,
            ),
            (
                "es",
                "UpdateDomainConfig",
                json!({ "domainName": "logs",
                "accessPolicies": everybody.to_string() }),
                CRITICAL,
                ERROR,
            ),
        ]);
    }

    #[test]
    fn a_copy_is_as_severe_as_whom_it_is_shared_with() {
        let snapshot =
            |add: Value| json!({ "createVolumePermission": { "add": { "items": add } } });
        let image = |add: Value| json!({ "launchPermission": { "add": { "items": add } } });
        let everybody = json!([{ "group": "all" }]);
        let outsider = json!([{ "userId": "444455556666" }]);
        let own = json!([{ "userId": "111122223333" }]);
        let unit = json!([{ "organizationalUnitArn":
            "arn:aws:organizations::999900001111:ou/o-a1b2c3d4e5/ou-ab12-cdefgh34" }]);
        let database = |add: Value| json!({ "attributeName": "restore", "valuesToAdd": add });
        let removed = json!({ "createVolumePermission": { "remove": { "items": everybody } } });
        check(&[
            (
                "ec2",
                "ModifySnapshotAttribute",
                snapshot(everybody.clone()),
                CRITICAL,
                ERROR,
            ),
            (
                "ec2",
                "ModifySnapshotAttribute",
                snapshot(outsider.clone()),
                CRITICAL,
                ERROR,
            ),
            ("ec2", "ModifySnapshotAttribute", snapshot(own), None, None),
            ("ec2", "ModifySnapshotAttribute", removed, None, None),
            ("ec2", "ModifySnapshotAttribute", json!({}), ERROR, INFO),
            (
                "ec2",
                "ModifyImageAttribute",
                image(everybody),
                CRITICAL,
                ERROR,
            ),
            (
                "ec2",
                "ModifyImageAttribute",
                image(outsider),
                CRITICAL,
                ERROR,
            ),
            ("ec2", "ModifyImageAttribute", image(unit), INFO, INFO),
            (
                "ec2",
                "ModifyImageAttribute",
                json!({ "description": { "value": "x" } }),
                None,
                None,
            ),
            (
                "rds",
                "ModifyDBSnapshotAttribute",
                database(json!(["all"])),
                CRITICAL,
                ERROR,
            ),
            (
                "rds",
                "ModifyDBClusterSnapshotAttribute",
                database(json!(["444455556666"])),
                CRITICAL,
                ERROR,
            ),
            (
                "rds",
                "ModifyDBSnapshotAttribute",
                json!({ "valuesToRemove": ["all"] }),
                None,
                None,
            ),
            (
                "redshift",
                "AuthorizeSnapshotAccess",
                json!({ "accountWithRestoreAccess": "444455556666" }),
                CRITICAL,
                ERROR,
            ),
            (
                "ram",
                "CreateResourceShare",
                json!({ "name": "subnets", "principals": ["444455556666"] }),
                CRITICAL,
                ERROR,
            ),
            (
                "ram",
                "CreateResourceShare",
                json!({ "name": "subnets" }),
                None,
                None,
            ),
            (
                "sqs",
                "AddPermission",
                json!({ "aWSAccountIds": ["444455556666"] }),
                CRITICAL,
                ERROR,
            ),
        ]);
    }

    #[test]
    fn what_can_be_reached_from_the_internet_is_reported() {
        let public = |is: bool| json!({ "dBInstanceIdentifier": "shop", "publiclyAccessible": is });
        let permission = |principal: &str, more: (&str, &str)| json!({ "functionName": "checkout", "principal": principal, more.0: more.1 });
        check(&[
            ("rds", "ModifyDBInstance", public(true), ERROR, ERROR),
            ("rds", "CreateDBInstance", public(false), None, None),
            (
                "rds",
                "ModifyDBInstance",
                json!({ "dBInstanceIdentifier": "shop" }),
                None,
                None,
            ),
            ("rds", "ModifyDBInstance", json!(null), ERROR, INFO),
            (
                "redshift",
                "ModifyCluster",
                json!({ "publiclyAccessible": true }),
                ERROR,
                ERROR,
            ),
            (
                "lambda",
                "CreateFunctionUrlConfig",
                json!({ "authType": "NONE" }),
                ERROR,
                INFO,
            ),
            (
                "lambda",
                "CreateFunctionUrlConfig",
                json!({ "authType": "AWS_IAM" }),
                None,
                None,
            ),
            (
                "lambda",
                "UpdateFunctionUrlConfig",
                json!({ "cors": {} }),
                None,
                None,
            ),
            (
                "lambda",
                "AddPermission20150331v2",
                permission("*", ("action", "lambda:*")),
                CRITICAL,
                ERROR,
            ),
            (
                "lambda",
                "AddPermission20150331v2",
                permission("*", ("functionUrlAuthType", "NONE")),
                ERROR,
                INFO,
            ),
            (
                "lambda",
                "AddPermission20150331v2",
                permission("444455556666", ("action", "x")),
                CRITICAL,
                ERROR,
            ),
            (
                "lambda",
                "AddPermission20150331v2",
                permission("*", ("principalOrgID", "o-1")),
                INFO,
                INFO,
            ),
            (
                "lambda",
                "AddPermission20150331v2",
                permission("s3.amazonaws.com", ("action", "x")),
                None,
                None,
            ),
        ]);
    }

    #[test]
    fn less_of_a_block_is_reported() {
        check(&[
            (
                "s3",
                "PutBucketPublicAccessBlock",
                block(false),
                ERROR,
                INFO,
            ),
            ("s3", "PutBucketPublicAccessBlock", block(true), None, None),
            (
                "s3",
                "DeleteBucketPublicAccessBlock",
                json!({ "bucketName": "invoices" }),
                ERROR,
                INFO,
            ),
            (
                "s3",
                "PutAccountPublicAccessBlock",
                block(false),
                ERROR,
                ERROR,
            ),
            ("s3", "PutAccountPublicAccessBlock", json!({}), ERROR, ERROR),
            (
                "s3",
                "DeleteAccountPublicAccessBlock",
                json!({}),
                ERROR,
                ERROR,
            ),
            (
                "ec2",
                "DisableSnapshotBlockPublicAccess",
                json!({}),
                ERROR,
                ERROR,
            ),
        ]);
    }

    #[test]
    fn an_access_list_is_public_by_its_groups() {
        let group =
            |name: &str| json!({ "URI": format!("http://acs.amazonaws.com/groups/{name}") });
        check(&[
            (
                "s3",
                "PutBucketAcl",
                access_list(&group("global/AllUsers")),
                CRITICAL,
                ERROR,
            ),
            (
                "s3",
                "PutBucketAcl",
                access_list(&group("global/AuthenticatedUsers")),
                CRITICAL,
                ERROR,
            ),
            (
                "s3",
                "PutBucketAcl",
                access_list(&group("s3/LogDelivery")),
                None,
                None,
            ),
            (
                "s3",
                "PutBucketAcl",
                access_list(&json!({ "ID": "bb22" })),
                ERROR,
                INFO,
            ),
            (
                "s3",
                "PutBucketAcl",
                json!({ "x-amz-acl": ["public-read"] }),
                CRITICAL,
                ERROR,
            ),
            (
                "s3",
                "PutBucketAcl",
                json!({ "x-amz-acl": "private" }),
                None,
                None,
            ),
            (
                "s3",
                "PutBucketAcl",
                json!({ "x-amz-grant-read": "uri=http://x/AllUsers" }),
                CRITICAL,
                ERROR,
            ),
            ("s3", "PutBucketAcl", json!({}), ERROR, INFO),
        ]);
    }

    #[test]
    fn a_denied_attempt_is_an_error_and_a_title_says_to_whom() {
        let request = json!({ "bucketName": "invoices", "bucketPolicy": policy(&json!("*")) });
        assert_eq!(
            severity_if_denied(KIND, "s3", "PutBucketPolicy", &request),
            ERROR
        );
        let title =
            |service, operation, request: &Value| title(KIND, service, operation, request, PERSON);
        assert_eq!(
            title("s3", "PutBucketPolicy", &request),
            "Bucket invoices opened to everybody"
        );
        let database = json!({ "dBInstanceIdentifier": "shop", "publiclyAccessible": true });
        assert_eq!(
            title("rds", "ModifyDBInstance", &database),
            "Database shop opened to the internet"
        );
        assert_eq!(
            title("s3", "PutBucketPublicAccessBlock", &block(false)),
            "Block of public access of bucket invoices weakened"
        );
    }
}
