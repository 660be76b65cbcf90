//! Classifies a failed AWS call, in one place.

use std::{error::Error, fmt};

use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::{display::DisplayErrorContext, metadata::ProvideErrorMetadata};

/// The services whose error codes mean something of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// IAM Access Analyzer.
    AccessAnalyzer,
    /// AWS Account Management.
    Account,
    /// Amazon API Gateway.
    ApiGateway,
    /// AWS Budgets.
    Budgets,
    /// AWS Control Tower.
    ControlTower,
    /// AWS CloudFormation.
    CloudFormation,
    /// AWS CloudTrail.
    CloudTrail,
    /// Amazon CloudWatch.
    CloudWatch,
    /// Amazon CloudWatch Logs.
    CloudWatchLogs,
    /// AWS Config.
    Config,
    /// Amazon Detective.
    Detective,
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon EC2.
    Ec2,
    /// Amazon ECR.
    Ecr,
    /// Amazon EventBridge.
    EventBridge,
    /// Amazon GuardDuty.
    GuardDuty,
    /// AWS IAM.
    Iam,
    /// The identity store of IAM Identity Center.
    IdentityStore,
    /// Amazon Inspector.
    Inspector,
    /// AWS KMS.
    Kms,
    /// AWS Lambda.
    Lambda,
    /// Elastic Load Balancing.
    LoadBalancing,
    /// Amazon Macie.
    Macie,
    /// AWS Organizations.
    Organizations,
    /// Amazon RDS.
    Rds,
    /// Amazon S3.
    S3,
    /// Account-wide settings of Amazon S3.
    S3Control,
    /// Amazon EventBridge Scheduler.
    Scheduler,
    /// AWS Secrets Manager.
    SecretsManager,
    /// AWS Security Hub.
    SecurityHub,
    /// AWS Service Catalog.
    ServiceCatalog,
    /// AWS Step Functions.
    Sfn,
    /// Amazon SNS.
    Sns,
    /// Amazon SQS.
    Sqs,
    /// AWS Systems Manager.
    Ssm,
    /// IAM Identity Center.
    SsoAdmin,
    /// AWS STS.
    Sts,
    /// Any other service: its codes mean what they mean everywhere.
    Other,
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsErrorClass {
    /// Too many calls.
    Throttled,
    /// No answer in time.
    TimedOut,
    /// No connection, or an answer that was none of AWS's.
    Unreachable,
    /// The service failed.
    ServiceFault,
    /// Another caller was changing the same resource.
    Conflict,
    /// A condition of ours did not hold.
    ConditionFailed,
    /// The resource does not exist.
    NotFound,
    /// Permission is missing.
    Denied,
    /// Somebody has to change the environment first: a set-up is not complete, or a quota is reached.
    SetUp,
    /// The request itself is wrong.
    Refused,
}

impl AwsErrorClass {
    /// Whether the same call can succeed a moment later.
    #[must_use]
    pub fn transient(self) -> bool {
        match self {
            Self::Throttled | Self::TimedOut | Self::Unreachable | Self::ServiceFault => true,
            Self::Conflict
            | Self::ConditionFailed
            | Self::NotFound
            | Self::Denied
            | Self::SetUp
            | Self::Refused => false,
        }
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn retryable(self) -> bool {
        match self {
            Self::Throttled
            | Self::TimedOut
            | Self::Unreachable
            | Self::ServiceFault
            | Self::Conflict => true,
            Self::ConditionFailed | Self::NotFound | Self::Denied | Self::SetUp | Self::Refused => {
                false
            }
        }
    }
}

/// A failed AWS call. Its text carries no payload: AWS echoes what it was sent in many of its
/// messages, so only a denial's own words (who may not do what) are in it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation} failed ({class:?}): {reason}")]
pub struct AwsCallError {
    operation: &'static str,
    class: AwsErrorClass,
    code: Option<String>,
    reason: String,
    words: Words,
}

/// AWS's own words, which no log shows.
#[derive(Clone, Default)]
struct Words(String);

impl fmt::Debug for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("..")
    }
}

use AwsErrorClass::{
    ConditionFailed, Conflict, Denied, NotFound, Refused, ServiceFault, SetUp, Throttled, TimedOut,
    Unreachable,
};

/// Codes that mean one thing in one service; looked at before [`CODES`].
const CODES_OF_A_SERVICE: &[(Service, &str, AwsErrorClass)] = &[
    // Its documentation gives this code for its rate, with HTTP status 429.
    (Service::SecurityHub, "LimitExceededException", Throttled),
    (Service::SecurityHub, "InvalidAccessException", Denied),
    (Service::SecurityHub, "InternalException", ServiceFault),
    // It exists already, or is being changed: it has to be read again.
    (Service::SecurityHub, "ResourceConflictException", Conflict),
    (
        Service::AccessAnalyzer,
        "ServiceQuotaExceededException",
        SetUp,
    ),
    (Service::Detective, "ServiceQuotaExceededException", SetUp),
    (Service::Inspector, "ServiceQuotaExceededException", SetUp),
    (Service::Macie, "ServiceQuotaExceededException", SetUp),
    (
        Service::GuardDuty,
        "InternalServerErrorException",
        ServiceFault,
    ),
    // What the call is to do was done before.
    (
        Service::Organizations,
        "AccountAlreadyRegisteredException",
        ConditionFailed,
    ),
    (
        Service::Organizations,
        "AccountNotRegisteredException",
        NotFound,
    ),
    (
        Service::DynamoDb,
        "LimitExceededException",
        Throttled, // Control plane operations in progress.
    ),
    // An encrypted topic; the code comes with HTTP status 400.
    (Service::Sns, "KMSThrottling", Throttled),
    (Service::Sns, "KMSThrottlingException", Throttled),
    (Service::Sns, "Throttled", Throttled),
    // Its key cannot be used: nothing can be published.
    (Service::Sns, "KMSAccessDenied", Denied),
    (Service::Sns, "KMSDisabled", Denied),
    (Service::Sns, "KMSInvalidState", Denied),
    (Service::Sns, "KMSNotFound", NotFound),
    (Service::Sns, "KMSOptInRequired", Denied),
    (Service::Sns, "NotFound", NotFound),
    (Service::Sns, "AuthorizationError", Denied),
    (Service::Sns, "ConcurrentAccess", Conflict),
    (Service::Sqs, "OverLimit", Throttled),
    (Service::Sqs, "QueueDoesNotExist", NotFound),
    (
        Service::Sqs,
        "AWS.SimpleQueueService.NonExistentQueue",
        NotFound,
    ),
    (Service::Sqs, "KmsThrottled", Throttled),
    (Service::Iam, "NoSuchEntity", NotFound),
    (Service::Iam, "ConcurrentModification", Conflict),
    (Service::Iam, "EntityTemporarilyUnmodifiable", Conflict),
    (Service::Budgets, "NotFoundException", NotFound),
    (Service::Budgets, "DuplicateRecordException", Conflict),
    // "You've exceeded the notification or subscriber limit."
    (Service::Budgets, "CreationLimitExceededException", SetUp),
    (Service::Kms, "NotFoundException", NotFound),
    (Service::Kms, "DependencyTimeoutException", ServiceFault),
    // Somebody else created the alias at the same time.
    (Service::Kms, "AlreadyExistsException", Conflict),
    (Service::CloudTrail, "TrailNotFoundException", NotFound),
    // A role that was just created is not seen everywhere yet.
    (
        Service::CloudTrail,
        "InvalidCloudWatchLogsRoleArnException",
        Conflict,
    ),
    (
        Service::CloudWatchLogs,
        "OperationAbortedException",
        Conflict,
    ),
    (Service::Lambda, "ResourceConflictException", Conflict),
    (Service::Lambda, "PreconditionFailedException", Conflict),
    (Service::ApiGateway, "NotFoundException", NotFound),
    (Service::LoadBalancing, "LoadBalancerNotFound", NotFound),
    (Service::Ssm, "ParameterNotFound", NotFound),
    // EC2: each kind of resource has codes of its own, and none is an exception in the model.
    (Service::Ec2, "InvalidGroup.NotFound", NotFound),
    (Service::Ec2, "InvalidGroupId.Malformed", NotFound),
    (Service::Ec2, "InvalidInstanceID.NotFound", NotFound),
    (Service::Ec2, "InvalidInstanceID.Malformed", NotFound),
    (Service::Ec2, "InvalidNetworkAclID.NotFound", NotFound),
    (Service::Ec2, "InvalidSnapshot.NotFound", NotFound),
    (Service::Ec2, "InvalidSubnetID.NotFound", NotFound),
    (Service::Ec2, "InvalidTransitGatewayID.NotFound", NotFound),
    (Service::Ec2, "InvalidVpcID.NotFound", NotFound),
    // A rule is gone, or a number taken, since the resource was read: it has to be read again.
    (Service::Ec2, "InvalidPermission.NotFound", Conflict),
    (
        Service::Ec2,
        "InvalidSecurityGroupRuleId.NotFound",
        Conflict,
    ),
    (Service::Ec2, "NetworkAclEntryAlreadyExists", Conflict),
    // The resource is being changed, or starts.
    (Service::Ec2, "IncorrectInstanceState", Conflict),
    (Service::Ec2, "IncorrectState", Conflict),
    (Service::Ec2, "SnapshotAttributeUpdateInProgress", Conflict),
    (Service::Ec2, "UnauthorizedOperation", Denied),
    (Service::Ec2, "AuthFailure", Denied),
    (Service::Ec2, "OptInRequired", Denied),
    (Service::Ec2, "Unavailable", ServiceFault),
    (Service::Rds, "DBInstanceNotFound", NotFound),
    (Service::Rds, "DBClusterNotFoundFault", NotFound),
    (Service::Rds, "DBSnapshotNotFound", NotFound),
    (Service::Rds, "DBClusterSnapshotNotFoundFault", NotFound),
    // The database is being changed, backed up or restarted.
    (Service::Rds, "InvalidDBInstanceState", Conflict),
    (Service::Rds, "InvalidDBClusterStateFault", Conflict),
    (Service::Rds, "InvalidDBSnapshotState", Conflict),
    (Service::Rds, "InvalidDBClusterSnapshotStateFault", Conflict),
    (Service::Ecr, "RepositoryNotFoundException", NotFound),
    (Service::Ecr, "ServerException", ServiceFault),
    (Service::Ssm, "InvalidDocument", NotFound),
    (Service::Ssm, "ServiceSettingNotFound", NotFound),
    // Its role or bucket was created a moment ago, and is not seen everywhere yet.
    (
        Service::Config,
        "InsufficientDeliveryPolicyException",
        Conflict,
    ),
    // Somebody created one since it was read.
    (
        Service::Config,
        "MaxNumberOfConfigurationRecordersExceededException",
        Conflict,
    ),
    (
        Service::Config,
        "MaxNumberOfDeliveryChannelsExceededException",
        Conflict,
    ),
    // The version that was asked for is a delete marker.
    (Service::S3, "MethodNotAllowed", NotFound),
    (Service::S3, "NoSuchBucket", NotFound),
    // Another change of the same bucket is in progress.
    (Service::S3, "OperationAborted", Conflict),
    // HeadObject: its answers have no body to say more in.
    (Service::S3, "NotFound", NotFound),
    // Account Factory: "another execution is in progress" (not in the API's own list).
    (Service::ServiceCatalog, "ResourceInUseException", Conflict),
    (Service::ServiceCatalog, "LimitExceededException", SetUp),
    // An organization that was just created.
    (
        Service::Organizations,
        "FinalizingOrganizationException",
        Conflict,
    ),
    // What an organization may not do (yet); the reason is beside the code.
    (
        Service::Organizations,
        "ConstraintViolationException",
        SetUp,
    ),
    // The type of policy is not enabled in the organization.
    (
        Service::Organizations,
        "PolicyTypeNotEnabledException",
        SetUp,
    ),
    (
        Service::Organizations,
        "PolicyTypeNotAvailableForOrganizationException",
        SetUp,
    ),
    (
        Service::Organizations,
        "PolicyChangesInProgressException",
        Conflict,
    ),
    // It was attached a moment ago, or is not detached everywhere yet.
    (Service::Organizations, "PolicyInUseException", Conflict),
    // What the call is to do was done before.
    (
        Service::Organizations,
        "DuplicatePolicyException",
        ConditionFailed,
    ),
    (
        Service::Organizations,
        "DuplicatePolicyAttachmentException",
        ConditionFailed,
    ),
    (
        Service::Organizations,
        "PolicyNotAttachedException",
        NotFound,
    ),
    (Service::Organizations, "PolicyNotFoundException", NotFound),
    (Service::Scheduler, "ConflictException", ConditionFailed),
    (Service::Scheduler, "ServiceQuotaExceededException", SetUp),
    (Service::SsoAdmin, "ServiceQuotaExceededException", SetUp),
];

/// What the words of an answer mean where its code says too little: `InvalidParametersException` is a wrong
/// parameter, and also Control Tower's "not now". Words are compared in lower case, the first row that fits counts.
/// They are looked at for [`Refused`], [`NotFound`] and [`SetUp`], and for reasons that an operation failed for.
const WORDS_OF_A_SERVICE: &[(Service, &str, AwsErrorClass)] = &[
    // A role that was just created is not seen everywhere yet; the code says nothing.
    (
        Service::ApiGateway,
        "does not have required permissions",
        Conflict,
    ),
    // AWS Control Tower does one thing at a time, and says so under several codes.
    (Service::ServiceCatalog, "in progress", Conflict),
    (Service::ServiceCatalog, "another execution", Conflict),
    (Service::ServiceCatalog, "another operation", Conflict),
    (Service::ServiceCatalog, "under_change", Conflict),
    (Service::ServiceCatalog, "try again later", Conflict),
    (Service::ServiceCatalog, "finaliz", Conflict),
    (Service::ServiceCatalog, "launch path", SetUp),
    (Service::ServiceCatalog, "not authorized", Denied),
    (Service::ServiceCatalog, "number of accounts", SetUp),
    (Service::ServiceCatalog, "account limit", SetUp),
    (Service::ServiceCatalog, "limit exceeded", SetUp),
    (Service::ServiceCatalog, "quota", SetUp),
    (Service::ServiceCatalog, "internal error", ServiceFault),
    (Service::ServiceCatalog, "internal failure", ServiceFault),
    (Service::ServiceCatalog, "internal_failure", ServiceFault),
    // `FailureReason` of `CreateAccountStatus`, and `Reason` of `ConstraintViolationException`.
    (Service::Organizations, "internal_failure", ServiceFault),
    (
        Service::Organizations,
        "concurrent_account_modification",
        Conflict,
    ),
    (
        Service::Organizations,
        "pending_business_validation",
        Conflict,
    ),
    (
        Service::Organizations,
        "account_creation_rate_limit_exceeded",
        Throttled,
    ),
    (Service::Organizations, "at a time", Throttled),
    (
        Service::Organizations,
        "account_creation_not_complete",
        Conflict,
    ),
    (Service::Organizations, "finaliz", Conflict),
    // Tags that the row names.
    (Service::Organizations, "tag_policy", Refused),
    (Service::Organizations, "tag_limit", Refused),
    (Service::Organizations, "limit_exceeded", SetUp),
    (Service::Organizations, "number of accounts", SetUp),
    (Service::Organizations, "quota", SetUp),
    (Service::Organizations, "business_validation", SetUp),
    (Service::Organizations, "payment_instrument", SetUp),
    (Service::Organizations, "invalid_address", SetUp),
    (
        Service::Organizations,
        "update_existing_resource_policy_with_tags_not_supported",
        SetUp,
    ),
];

/// Codes that mean the same in every service that uses them.
const CODES: &[(&str, AwsErrorClass)] = &[
    ("ThrottlingException", Throttled),
    ("Throttling", Throttled),
    ("ThrottledException", Throttled),
    ("TooManyRequestsException", Throttled),
    ("TooManyRequests", Throttled),
    ("RequestThrottled", Throttled),
    ("RequestThrottledException", Throttled),
    ("RequestLimitExceeded", Throttled),
    ("ProvisionedThroughputExceededException", Throttled),
    ("SlowDown", Throttled),
    ("ConcurrentModificationException", Conflict),
    ("ConflictException", Conflict),
    ("TransactionConflictException", Conflict),
    ("ConditionalRequestConflict", Conflict),
    ("ConditionalCheckFailedException", ConditionFailed),
    ("PreconditionFailed", ConditionFailed),
    ("AccountNotFoundException", NotFound),
    ("ChildNotFoundException", NotFound),
    ("CreateAccountStatusNotFoundException", NotFound),
    ("OrganizationalUnitNotFoundException", NotFound),
    ("DestinationParentNotFoundException", NotFound),
    ("ParentNotFoundException", NotFound),
    ("TargetNotFoundException", NotFound),
    ("ResourceNotFoundException", NotFound),
    ("NoSuchKey", NotFound),
    ("NoSuchVersion", NotFound),
    ("AccessDenied", Denied),
    ("AccessDeniedException", Denied),
    ("UnauthorizedException", Denied),
    ("NotAuthorizedException", Denied),
    ("UnrecognizedClientException", Denied),
    ("InvalidClientTokenId", Denied),
    // Credentials that ran out between two invocations: the next call has new ones.
    ("ExpiredToken", ServiceFault),
    ("ExpiredTokenException", ServiceFault),
    ("RequestTimeout", TimedOut),
    ("RequestTimeoutException", TimedOut),
    ("InternalError", ServiceFault),
    ("InternalFailure", ServiceFault),
    ("InternalServerError", ServiceFault),
    ("InternalServerException", ServiceFault),
    ("ServiceException", ServiceFault),
    ("ServiceUnavailable", ServiceFault),
    ("ServiceUnavailableException", ServiceFault),
];

fn class_of(service: Service, code: Option<&str>, status: u16) -> AwsErrorClass {
    let by_code = code.and_then(|code| {
        CODES_OF_A_SERVICE
            .iter()
            .find(|(of, name, _)| *of == service && *name == code)
            .map(|(_, _, class)| *class)
            .or_else(|| {
                CODES
                    .iter()
                    .find(|(name, _)| *name == code)
                    .map(|(_, class)| *class)
            })
    });
    // The code alone is new: the status still says whose fault it is.
    by_code.unwrap_or(class_of_status(status))
}

fn class_of_status(status: u16) -> AwsErrorClass {
    match status {
        429 => Throttled,
        401 | 403 => Denied,
        500.. => ServiceFault,
        ..=428 | 430..=499 => Refused,
    }
}

/// The class of an answer whose service is not known, for counting.
pub(crate) fn class_of_answer(code: Option<&str>, status: u16) -> AwsErrorClass {
    let by_code = CODES.iter().find(|(name, _)| Some(*name) == code);
    match (class_of_status(status), by_code) {
        (Throttled, _) => Throttled,
        (_, Some((_, class))) => *class,
        (by_status, None) => by_status,
    }
}

/// What AWS's own words about a failure mean; `None` if they say nothing beyond it.
#[must_use]
pub fn class_of_words(service: Service, words: &str) -> Option<AwsErrorClass> {
    let words = words.to_lowercase();
    WORDS_OF_A_SERVICE
        .iter()
        .find(|(of, text, _)| *of == service && words.contains(text))
        .map(|(.., class)| *class)
}

/// The class of a code, or that of the words where the code says too little.
fn class_with_words(service: Service, class: AwsErrorClass, words: &str) -> AwsErrorClass {
    match class {
        Refused | NotFound | SetUp => class_of_words(service, words).unwrap_or(class),
        class => class,
    }
}

impl AwsCallError {
    /// Classifies what the SDK gave back after its own retries. `operation` is the API's name.
    pub fn new<E>(
        service: Service,
        operation: &'static str,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let Some(refused) = assume_role_error(error) {
            return Self::new(Service::Sts, "AssumeRole", refused);
        }
        let answered = |code: Option<&str>, message: Option<&str>, status| {
            let class = match (code, class_of(service, code, status)) {
                // An answer without a code that blames the request was not written by AWS.
                (None, Refused) => Unreachable,
                (_, class) => class_with_words(service, class, message.unwrap_or_default()),
            };
            let reason = match (code, message) {
                (Some(code), Some(message)) if class == Denied => format!("{code}: {message}"),
                (Some(code), _) => code.to_owned(),
                (None, _) => format!("HTTP status {status}"),
            };
            (class, reason)
        };
        let (class, reason) = match error {
            SdkError::ServiceError(context) => answered(
                context.err().code(),
                context.err().message(),
                context.raw().status().as_u16(),
            ),
            SdkError::ResponseError(context) => {
                answered(None, None, context.raw().status().as_u16())
            }
            SdkError::TimeoutError(_) => (TimedOut, "no answer in time".to_owned()),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                (TimedOut, "no connection in time".to_owned())
            }
            SdkError::DispatchFailure(_) => (Unreachable, DisplayErrorContext(error).to_string()),
            SdkError::ConstructionFailure(_) => (Refused, DisplayErrorContext(error).to_string()),
            other => (Refused, DisplayErrorContext(other).to_string()),
        };
        let (code, words) = match error {
            SdkError::ServiceError(context) => (context.err().code(), context.err().message()),
            _ => (None, None),
        };
        Self {
            operation,
            class,
            code: code.map(str::to_owned),
            reason,
            words: Words(words.unwrap_or_default().to_owned()),
        }
    }

    /// A part of a call that AWS answered with an error of its own, in an answer that says success.
    #[must_use]
    pub fn of_part(
        service: Service,
        operation: &'static str,
        code: Option<&str>,
        message: &str,
    ) -> Self {
        Self {
            operation,
            class: class_of(service, code, 400),
            code: code.map(str::to_owned),
            reason: code.unwrap_or("refused without a code").to_owned(),
            words: Words(message.to_owned()),
        }
    }

    /// A batched call of which AWS left a part undone: that part is retryable.
    #[must_use]
    pub fn unfinished(operation: &'static str) -> Self {
        Self {
            operation,
            class: Throttled,
            code: None,
            reason: "AWS left part of the batch undone".to_owned(),
            words: Words::default(),
        }
    }

    /// A call that its caller gave up on: it is retryable.
    #[must_use]
    pub fn timed_out(operation: &'static str) -> Self {
        Self {
            operation,
            class: TimedOut,
            code: None,
            reason: "no answer in time".to_owned(),
            words: Words::default(),
        }
    }

    /// A call that lost against concurrent changes: it is retryable.
    #[must_use]
    pub fn overtaken(operation: &'static str) -> Self {
        Self {
            operation,
            class: Conflict,
            code: None,
            reason: "concurrent changes of the same item".to_owned(),
            words: Words::default(),
        }
    }

    /// A call that AWS answered, but without what was looked for; `words` say to a person what to do.
    #[must_use]
    pub fn not_found(operation: &'static str, words: &str) -> Self {
        Self {
            operation,
            class: NotFound,
            code: None,
            reason: "not in the answer".to_owned(),
            words: Words(words.to_owned()),
        }
    }

    /// The same error, classified by a reason that the answer gives beside its code and words.
    #[must_use]
    pub fn because(mut self, service: Service, reason: Option<&str>) -> Self {
        self.class = class_with_words(service, self.class, reason.unwrap_or_default());
        self
    }

    /// AWS's own words for the person who asked for the call. Never for a log: they can repeat
    /// what was sent.
    #[must_use]
    pub fn in_words(&self) -> &str {
        if self.words.0.is_empty() {
            &self.reason
        } else {
            &self.words.0
        }
    }

    /// The operation that was called.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The error code that AWS gave.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Whether AWS gave this error code.
    #[must_use]
    pub fn has_code(&self, code: &str) -> bool {
        self.code() == Some(code)
    }

    /// Whether a message that failed by it is to be retried: as [`retryable`](Self::retryable), and where permission
    /// is missing, which can be on its way (a first deployment, a new administrator) and is not the message's fault.
    #[must_use]
    pub fn retryable_or_denied(&self) -> bool {
        self.retryable() || self.class == Denied
    }

    /// Why it failed.
    #[must_use]
    pub fn class(&self) -> AwsErrorClass {
        self.class
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.class.retryable()
    }
}

/// The `AssumeRole` call that failed, where a call never left for want of credentials.
fn assume_role_error<'a>(
    error: &'a (dyn Error + 'static),
) -> Option<&'a SdkError<AssumeRoleError, HttpResponse>> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref() {
            return Some(refused);
        }
        cause = inner.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_per_service() {
        let class = |service, code| class_of(service, Some(code), 400);
        assert_eq!(
            class(Service::SecurityHub, "LimitExceededException"),
            Throttled
        );
        assert_eq!(class(Service::Account, "LimitExceededException"), Refused);
        assert_eq!(
            class(Service::Organizations, "ConcurrentModificationException"),
            Conflict
        );
        assert_eq!(
            class(Service::Organizations, "TooManyRequestsException"),
            Throttled
        );
        assert_eq!(
            class(Service::Organizations, "AccountNotFoundException"),
            NotFound
        );
        assert_eq!(class(Service::Ec2, "InvalidGroup.NotFound"), NotFound);
        assert_eq!(class(Service::Ec2, "RequestLimitExceeded"), Throttled);
        assert_eq!(class(Service::Rds, "InvalidDBInstanceState"), Conflict);
        assert_eq!(class(Service::Iam, "InvalidDBInstanceState"), Refused);
    }

    #[test]
    fn a_part_is_classified_like_a_call() {
        let part = |code| AwsCallError::of_part(Service::Ec2, "CreateFlowLogs", code, "words");
        assert_eq!(part(Some("InvalidVpcID.NotFound")).class(), NotFound);
        assert_eq!(part(Some("Access Error")).class(), Refused);
        assert_eq!(part(Some("Access Error")).in_words(), "words");
        assert_eq!(part(None).class(), Refused);
    }

    #[test]
    fn an_unknown_code_is_judged_by_its_status() {
        let class = |status| class_of(Service::Account, Some("BrandNewException"), status);
        assert_eq!(class(400), Refused);
        assert_eq!(class(403), Denied);
        assert_eq!(class(429), Throttled);
        assert_eq!(class(503), ServiceFault);
    }

    #[test]
    fn words_decide_where_the_code_says_too_little() {
        let class = |code, words| {
            let class = class_of(Service::ServiceCatalog, Some(code), 400);
            class_with_words(Service::ServiceCatalog, class, words)
        };
        let invalid = "InvalidParametersException";
        let busy = "Not now: another AWS Control Tower operation is in progress.";
        assert_eq!(class(invalid, busy), Conflict);
        assert_eq!(class("ResourceInUseException", ""), Conflict);
        assert_eq!(
            class("ResourceNotFoundException", "No launch paths found for x"),
            SetUp
        );
        assert_eq!(
            class("ResourceNotFoundException", "Record not found"),
            NotFound
        );
        assert_eq!(class(invalid, "Parameter is not valid"), Refused);
        // A code that says enough is not overruled.
        assert_eq!(class("ThrottlingException", "launch path"), Throttled);
        let of_organizations = |words| class_of_words(Service::Organizations, words);
        assert_eq!(
            of_organizations("PENDING_BUSINESS_VALIDATION"),
            Some(Conflict)
        );
        assert_eq!(of_organizations("FAILED_BUSINESS_VALIDATION"), Some(SetUp));
        assert_eq!(of_organizations("ACCOUNT_LIMIT_EXCEEDED"), Some(SetUp));
        assert_eq!(
            of_organizations("ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED"),
            Some(Throttled)
        );
        assert_eq!(of_organizations("EMAIL_ALREADY_EXISTS"), None);
        assert_eq!(of_organizations("TAG_POLICY_VIOLATION"), Some(Refused));
        assert_eq!(of_organizations("MAX_TAG_LIMIT_EXCEEDED"), Some(Refused));
    }

    #[test]
    fn no_code_occurs_twice() {
        for (place, (code, _)) in CODES.iter().enumerate() {
            assert!(
                CODES[..place].iter().all(|(other, _)| other != code),
                "{code}"
            );
        }
    }
}
