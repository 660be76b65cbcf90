//! The calls that can make data public or share it, and where their requests say with whom.

use crate::kinds::call_words::{CallWords, row as call};

/// A call, and how it can open something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// Its words.
    pub words: CallWords,
    /// Where its request says to whom.
    pub opens: Opens,
    /// Fields that are there where nobody is let in: the request changes something else, or takes something back.
    pub harmless: &'static [&'static str],
}

/// Where a request says who is let in. Fields are JSON pointers below the request, without the first slash.
#[derive(Clone, Copy, Debug)]
pub(super) enum Opens {
    /// A policy document in the first of these fields that is there.
    ByPolicy(&'static [&'static str]),
    /// Accounts, or a word for everybody, in any of these fields.
    ToAccounts(&'static [&'static str]),
    /// An access control list of S3.
    ByAccessList,
    /// A principal and its conditions, as Lambda has them.
    ToPrincipal,
    /// A database can be reached from the internet, if this field is true.
    Database(&'static str),
    /// Everybody can call a function, unless this field says who.
    FunctionUrl(&'static str),
    /// A block of public access, of one bucket, with less in it.
    BucketBlock,
    /// A block of public access for the whole account, with less in it.
    AccountBlock,
    /// The block of a bucket is gone.
    NoBucketBlock,
    /// The block of the account is gone.
    NoAccountBlock,
}

const CHANGE: [&str; 2] = ["change", "changed"];
const REMOVE: [&str; 2] = ["remove", "removed"];
const WEAKEN: [&str; 2] = ["weaken", "weakened"];

const fn changes(
    service: &'static str,
    operation: &'static str,
    access: &'static str,
    opens: Opens,
) -> Way {
    of(call(service, operation, CHANGE, access, ""), opens)
}

const fn of(words: CallWords, opens: Opens) -> Way {
    Way {
        words,
        opens,
        harmless: &[],
    }
}

impl Way {
    const fn harmless_with(mut self, fields: &'static [&'static str]) -> Self {
        self.harmless = fields;
        self
    }
}

/// The words of each row.
pub(super) const fn words<const N: usize>(ways: &[Way; N]) -> [CallWords; N] {
    let mut words = [ways[0].words; N];
    let mut place = 1;
    while place < N {
        words[place] = ways[place].words;
        place += 1;
    }
    words
}

const QUEUE: &str = "access|to a queue";
const TOPIC: &str = "access|to topic {topicArn}";
const FUNCTION: &str = "access|to function {functionName}";
const DATABASE: &str = "access|to database {dBInstanceIdentifier}";
const CLUSTER: &str = "access|to cluster {clusterIdentifier}";
const DOMAIN: &str = "access|to search domain {domainName}";
const SHARE: &str = "access|to resource share {name}";
const BLOCK: &str = "the block of public access";

/// The calls.
pub(super) const WAYS: &[Way; 36] = &[
    changes(
        "s3",
        "PutBucketPolicy",
        "access|to bucket {bucketName}",
        Opens::ByPolicy(&["bucketPolicy", "policy"]),
    ),
    changes(
        "s3",
        "PutBucketAcl",
        "access|to bucket {bucketName}",
        Opens::ByAccessList,
    ),
    changes(
        "s3",
        "PutAccessPointPolicy",
        "access|to access point {name}",
        Opens::ByPolicy(&["policy", "Policy", "PutAccessPointPolicyRequest/Policy"]),
    ),
    of(
        call(
            "s3",
            "PutBucketPublicAccessBlock",
            WEAKEN,
            "the block of public access|of bucket {bucketName}",
            "",
        ),
        Opens::BucketBlock,
    ),
    of(
        call(
            "s3",
            "DeleteBucketPublicAccessBlock",
            REMOVE,
            "the block of public access|of bucket {bucketName}",
            "",
        ),
        Opens::NoBucketBlock,
    ),
    of(
        call(
            "s3",
            "PutAccountPublicAccessBlock",
            WEAKEN,
            BLOCK,
            "for all buckets",
        ),
        Opens::AccountBlock,
    ),
    of(
        call(
            "s3",
            "DeleteAccountPublicAccessBlock",
            REMOVE,
            BLOCK,
            "for all buckets",
        ),
        Opens::NoAccountBlock,
    ),
    changes(
        "ec2",
        "ModifySnapshotAttribute",
        "access|to snapshot {snapshotId}",
        Opens::ToAccounts(&["createVolumePermission/add"]),
    )
    .harmless_with(&["createVolumePermission/remove"]),
    changes(
        "ec2",
        "ModifyImageAttribute",
        "access|to image {imageId}",
        Opens::ToAccounts(&["launchPermission/add"]),
    )
    .harmless_with(&[
        "launchPermission/remove",
        "description",
        "deprecateAt",
        "imdsSupport",
    ]),
    of(
        call(
            "ec2",
            "DisableSnapshotBlockPublicAccess",
            REMOVE,
            BLOCK,
            "for all snapshots",
        ),
        Opens::NoAccountBlock,
    ),
    of(
        call(
            "ec2",
            "DisableImageBlockPublicAccess",
            REMOVE,
            BLOCK,
            "for all images",
        ),
        Opens::NoAccountBlock,
    ),
    changes(
        "rds",
        "ModifyDBSnapshotAttribute",
        "access|to database snapshot {dBSnapshotIdentifier}",
        Opens::ToAccounts(&["valuesToAdd"]),
    )
    .harmless_with(&["valuesToRemove"]),
    changes(
        "rds",
        "ModifyDBClusterSnapshotAttribute",
        "access|to database snapshot {dBClusterSnapshotIdentifier}",
        Opens::ToAccounts(&["valuesToAdd"]),
    )
    .harmless_with(&["valuesToRemove"]),
    changes(
        "rds",
        "CreateDBInstance",
        DATABASE,
        Opens::Database("publiclyAccessible"),
    )
    .harmless_with(&["dBInstanceIdentifier"]),
    changes(
        "rds",
        "ModifyDBInstance",
        DATABASE,
        Opens::Database("publiclyAccessible"),
    )
    .harmless_with(&["dBInstanceIdentifier"]),
    changes(
        "redshift",
        "CreateCluster",
        CLUSTER,
        Opens::Database("publiclyAccessible"),
    )
    .harmless_with(&["clusterIdentifier"]),
    changes(
        "redshift",
        "ModifyCluster",
        CLUSTER,
        Opens::Database("publiclyAccessible"),
    )
    .harmless_with(&["clusterIdentifier"]),
    changes(
        "redshift",
        "AuthorizeSnapshotAccess",
        "access|to database snapshot {snapshotIdentifier}",
        Opens::ToAccounts(&["accountWithRestoreAccess"]),
    ),
    changes(
        "lambda",
        "CreateFunctionUrlConfig",
        FUNCTION,
        Opens::FunctionUrl("authType"),
    ),
    changes(
        "lambda",
        "UpdateFunctionUrlConfig",
        FUNCTION,
        Opens::FunctionUrl("authType"),
    )
    .harmless_with(&["cors", "invokeMode"]),
    changes(
        "lambda",
        "AddPermission20150331v2",
        FUNCTION,
        Opens::ToPrincipal,
    ),
    changes(
        "lambda",
        "AddLayerVersionPermission20181031",
        "access|to layer {layerName}",
        Opens::ToPrincipal,
    ),
    changes(
        "sqs",
        "SetQueueAttributes",
        QUEUE,
        Opens::ByPolicy(&["attributes/Policy"]),
    )
    .harmless_with(&["attributes"]),
    changes(
        "sqs",
        "AddPermission",
        QUEUE,
        Opens::ToAccounts(&["aWSAccountIds", "accountIds"]),
    ),
    changes(
        "sns",
        "SetTopicAttributes",
        TOPIC,
        Opens::ByPolicy(&["attributeValue"]),
    ),
    changes(
        "sns",
        "AddPermission",
        TOPIC,
        Opens::ToAccounts(&["aWSAccountId", "aWSAccountIds"]),
    ),
    changes(
        "secretsmanager",
        "PutResourcePolicy",
        "access|to secret {secretId}",
        Opens::ByPolicy(&["resourcePolicy"]),
    ),
    changes(
        "ecr",
        "SetRepositoryPolicy",
        "access|to image repository {repositoryName}",
        Opens::ByPolicy(&["policyText"]),
    ),
    changes(
        "es",
        "UpdateElasticsearchDomainConfig",
        DOMAIN,
        Opens::ByPolicy(&["accessPolicies"]),
    )
    .harmless_with(&["domainName"]),
    changes(
        "es",
        "UpdateDomainConfig",
        DOMAIN,
        Opens::ByPolicy(&["accessPolicies"]),
    )
    .harmless_with(&["domainName"]),
    changes(
        "glue",
        "PutResourcePolicy",
        "access|to the data catalog",
        Opens::ByPolicy(&["policyInJson"]),
    ),
    changes(
        "dynamodb",
        "PutResourcePolicy",
        "access|to table {resourceArn}",
        Opens::ByPolicy(&["policy"]),
    ),
    changes(
        "elasticfilesystem",
        "PutFileSystemPolicy",
        "access|to file system {fileSystemId}",
        Opens::ByPolicy(&["policy"]),
    ),
    changes(
        "backup",
        "PutBackupVaultAccessPolicy",
        "access|to backup vault {backupVaultName}",
        Opens::ByPolicy(&["policy"]),
    ),
    changes(
        "ram",
        "CreateResourceShare",
        SHARE,
        Opens::ToAccounts(&["principals"]),
    )
    .harmless_with(&["name"]),
    changes(
        "ram",
        "AssociateResourceShare",
        "access|to resource share {resourceShareArn}",
        Opens::ToAccounts(&["principals"]),
    )
    .harmless_with(&["resourceArns"]),
];
