//! The resource that a finding is about, checked: it belongs to the finding's account and Region, and it is of the kind
//! that its control is about.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::control::{Control, Form, places_in_arn};
use crate::ids::AccountId;

/// Characters of an ARN (`arn:aws:iam::…:role/a+=,.@-_/b`); `*` and `$` stand for other things in a policy.
const ARN_CHARACTERS: &str = "-_./:+=,@#";
/// The longest ARN of any service.
const ARN_LENGTH: usize = 2_048;
/// Bytes of a partition key in DynamoDB ("Constraints in Amazon DynamoDB").
const KEY_BYTES: usize = 2_048;
/// What separates the beginning of a long identifier from its hash; no ARN has it.
const HASHED: char = '~';

/// A resource in an account and Region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The account that owns it.
    pub account: AccountId,
    /// The Region that calls go to.
    pub region: String,
    /// Its ARN, or `AWS::::Account:<account>` for the account as a whole.
    pub resource: String,
}

/// Why a resource is none that a control can be fixed on. Nothing is changed on a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It has characters that no ARN has, or is too long.
    #[error("the resource's identifier has characters that no ARN has")]
    Characters,
    /// The Region is no name of a Region.
    #[error("the finding's Region is no name of a Region")]
    Region,
    /// It is of another kind than the control is about.
    #[error("the resource is of another kind than the control is about")]
    Kind,
    /// It belongs to another account than the finding says.
    #[error("the resource belongs to another account than the finding says")]
    OtherAccount,
    /// It is in another Region than the finding says.
    #[error("the resource is in another Region than the finding says")]
    OtherRegion,
    /// It is in another partition than the Region.
    #[error("the resource is in another partition than the Region")]
    OtherPartition,
}

impl Target {
    /// The target of a finding about `resource`, as the finding has it (`Resources[0].Id`).
    ///
    /// # Errors
    /// If account, Region and resource do not fit each other or the control.
    pub fn new(
        control: &Control,
        account: AccountId,
        region: &str,
        resource: &str,
    ) -> Result<Self, Mismatch> {
        if !is_region(region) {
            return Err(Mismatch::Region);
        }
        let is_api = matches!(
            control.form,
            Form::Arn {
                service: "apigateway",
                ..
            }
        );
        // A stage of an API can have the name `$default`; without a brace it stands for nothing else.
        let allowed = |character: char| {
            character.is_ascii_alphanumeric()
                || ARN_CHARACTERS.contains(character)
                || (character == '$' && is_api)
        };
        // The ARN of a log group, as some of its calls give it.
        let resource = match control.form {
            Form::Arn {
                service: "logs", ..
            } => resource.strip_suffix(":*").unwrap_or(resource),
            Form::Arn { .. } | Form::Account => resource,
        };
        if resource.is_empty() || resource.len() > ARN_LENGTH || !resource.chars().all(allowed) {
            return Err(Mismatch::Characters);
        }
        let resource = match control.form {
            Form::Account => {
                of_form(control.form, &account, region, resource)?;
                format!("AWS::::Account:{account}")
            }
            Form::Arn { .. } => {
                let forms = [Some(control.form), control.also];
                let of_form = |form| of_form(form, &account, region, resource);
                let mut checked = forms.into_iter().flatten().map(of_form);
                let other = |checked: &Result<(), Mismatch>| *checked != Err(Mismatch::Kind);
                checked.find(other).unwrap_or(Err(Mismatch::Kind))?;
                resource.to_owned()
            }
        };
        Ok(Self {
            account,
            region: region.to_owned(),
            resource,
        })
    }

    /// Whether an order's target is one that [`new`](Self::new) gives: what arrives from outside is checked again.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn check(&self, control: &Control) -> Result<(), Mismatch> {
        let checked = Self::new(control, self.account.clone(), &self.region, &self.resource)?;
        if checked == *self {
            Ok(())
        } else {
            Err(Mismatch::Kind)
        }
    }

    /// The partition of the Region: `aws`, `aws-cn` or `aws-us-gov`.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        partition_of(&self.region)
    }

    /// The part of the ARN after the account: `security-group/sg-1`; the whole text for an account.
    #[must_use]
    pub fn path(&self) -> &str {
        path_of(&self.resource)
    }

    /// The resource's own name: `sg-1` of `security-group/sg-1`, `f` of `function:f`, `a/b` of `repository/a/b`, the
    /// name of a bucket, topic or queue.
    #[must_use]
    pub fn name(&self) -> &str {
        name_of(&self.resource)
    }

    /// The name without the path before it: `ada` of `user/staff/ada`.
    #[must_use]
    pub fn leaf(&self) -> &str {
        let name = self.name();
        name.rsplit('/').next().unwrap_or(name)
    }

    /// What identifies an order in the table `Remediations`: `account#region#control#resource`. A global resource is
    /// the same in whatever Region a finding about it was made. Of a resource that makes the key too long the beginning
    /// is in it, and a hash of the whole.
    #[must_use]
    pub fn key(&self, control: &Control) -> String {
        let region = match control.scope {
            super::control::Scope::Global => "global",
            super::control::Scope::Regional => &self.region,
        };
        let before = format!("{}#{region}#{}#", self.account, control.id);
        if before.len() + self.resource.len() <= KEY_BYTES {
            return before + &self.resource;
        }
        let hash = hex::encode(Sha256::digest(&self.resource));
        let room = KEY_BYTES.saturating_sub(before.len() + HASHED.len_utf8() + hash.len());
        let beginning = &self.resource[..self.resource.floor_char_boundary(room)];
        format!("{before}{beginning}{HASHED}{hash}")
    }
}

/// An account-wide finding names the account, or, by other products, something that is no resource: `…:password-policy`.
fn of_account(account: &AccountId, resource: &str) -> Result<(), Mismatch> {
    let named = resource.strip_prefix("AWS::::Account:").unwrap_or_else(|| {
        let account = resource.split(':').nth(4);
        account.unwrap_or(resource)
    });
    match named.parse::<AccountId>() {
        Ok(named) if named != *account => Err(Mismatch::OtherAccount),
        _ => Ok(()),
    }
}

fn of_form(form: Form, account: &AccountId, region: &str, resource: &str) -> Result<(), Mismatch> {
    let Form::Arn { service, kinds } = form else {
        return of_account(account, resource);
    };
    let parts: Vec<&str> = resource.splitn(6, ':').collect();
    let ["arn", partition, of_service, of_region, of_account, path] = parts[..] else {
        return Err(Mismatch::Kind);
    };
    let name = kinds.iter().find_map(|kind| path.strip_prefix(kind));
    if of_service != service || name.is_none_or(str::is_empty) {
        return Err(Mismatch::Kind);
    }
    if partition != partition_of(region) {
        return Err(Mismatch::OtherPartition);
    }
    // A managed policy of AWS is the same in every account.
    let is_of_aws = service == "iam" && of_account == "aws" && path.starts_with("policy/");
    // A bucket's ARN has neither account nor Region.
    if !of_account.is_empty() && of_account != account.as_str() && !is_of_aws {
        return Err(Mismatch::OtherAccount);
    }
    if !of_region.is_empty() && of_region != region {
        return Err(Mismatch::OtherRegion);
    }
    let (has_account, has_region) = places_in_arn(service);
    if of_account.is_empty() == has_account || of_region.is_empty() == has_region {
        return Err(Mismatch::Kind);
    }
    Ok(())
}

/// `us-east-1`, `us-gov-west-1`, `ap-southeast-2`: lower case words and a number.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let (Some((number, words)), true) = (parts.split_last(), (3..=4).contains(&parts.len())) else {
        return false;
    };
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|it| it.is_ascii_lowercase());
    words.iter().all(is_word)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|it| it.is_ascii_digit())
}

fn partition_of(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

fn path_of(resource: &str) -> &str {
    resource.splitn(6, ':').nth(5).unwrap_or(resource)
}

/// [`Target::name`] of a resource.
#[must_use]
pub fn name_of(resource: &str) -> &str {
    let path = path_of(resource);
    match path.find(['/', ':']) {
        Some(place) => &path[place + 1..],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remediation::control::control;

    fn target(id: &str, region: &str, resource: &str) -> Result<Target, Mismatch> {
        let account = "111122223333".parse().unwrap();
        Target::new(control(id).unwrap(), account, region, resource)
    }

    #[test]
    fn account_region_and_resource_have_to_agree() {
        for (id, region, resource, expected) in [
            ("S3.8", "eu-west-1", "arn:aws:s3:::logs", None),
            ("S3.8", "cn-north-1", "arn:aws-cn:s3:::logs", None),
            (
                "S3.8",
                "us-gov-west-1",
                "arn:aws:s3:::logs",
                Some(Mismatch::OtherPartition),
            ),
            (
                "EC2.2",
                "eu-west-1",
                "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1",
                None,
            ),
            (
                "EC2.2",
                "eu-west-2",
                "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1",
                Some(Mismatch::OtherRegion),
            ),
            (
                "EC2.2",
                "eu-west-1",
                "arn:aws:ec2:eu-west-1:444455556666:security-group/sg-1",
                Some(Mismatch::OtherAccount),
            ),
            (
                "EC2.2",
                "eu-west-1",
                "arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-1",
                Some(Mismatch::Kind),
            ),
            (
                "EC2.2",
                "eu-west-1",
                "arn:aws:ec2:eu-west-1:111122223333:security-group/",
                Some(Mismatch::Kind),
            ),
            (
                "EC2.2",
                "eu-west-1",
                "arn:aws:ec2:eu-west-1:111122223333:security-group/*",
                Some(Mismatch::Characters),
            ),
            ("EC2.2", "eu-west-1", "sg-1", Some(Mismatch::Kind)),
            // As Prowler has it: the trail that writes to the bucket.
            (
                "CloudTrail.7",
                "eu-west-1",
                "arn:aws:cloudtrail:eu-west-1:111122223333:trail/all",
                None,
            ),
            ("CloudTrail.7", "eu-west-1", "arn:aws:s3:::trail", None),
            (
                "CloudTrail.6",
                "eu-west-1",
                "arn:aws:cloudtrail:eu-west-1:111122223333:trail/all",
                None,
            ),
            (
                "CloudTrail.7",
                "eu-west-1",
                "arn:aws:cloudtrail:eu-west-1:444455556666:trail/all",
                Some(Mismatch::OtherAccount),
            ),
            (
                "S3.9",
                "eu-west-1",
                "arn:aws:cloudtrail:eu-west-1:111122223333:trail/all",
                Some(Mismatch::Kind),
            ),
            (
                "APIGateway.9",
                "eu-west-1",
                "arn:aws:apigateway:eu-west-1::/apis/abc/stages/$default",
                None,
            ),
            (
                "APIGateway.9",
                "eu-west-1",
                "arn:aws:apigateway:eu-west-1::/apis/${aws:username}",
                Some(Mismatch::Characters),
            ),
            (
                "APIGateway.1",
                "eu-west-1",
                "arn:aws:apigateway:eu-west-1:111122223333:/restapis/abc/stages/prod",
                Some(Mismatch::Kind),
            ),
            ("EC2.2", "eu-west-1/../", "sg-1", Some(Mismatch::Region)),
            (
                "SQS.1",
                "eu-west-1",
                "arn:aws:sqs:::q",
                Some(Mismatch::Kind),
            ),
            ("IAM.7", "eu-west-1", "AWS::::Account:111122223333", None),
            (
                "IAM.7",
                "eu-west-1",
                "AWS::::Account:444455556666",
                Some(Mismatch::OtherAccount),
            ),
            // As Prowler has it.
            (
                "IAM.15",
                "eu-west-1",
                "arn:aws:iam:eu-west-1:111122223333:password-policy",
                None,
            ),
            (
                "IAM.18",
                "eu-west-1",
                "arn:aws:iam::aws:policy/AWSSupportAccess",
                None,
            ),
            (
                "IAM.15",
                "eu-west-1",
                "arn:aws:iam:eu-west-1:444455556666:password-policy",
                Some(Mismatch::OtherAccount),
            ),
        ] {
            let found = target(id, region, resource);
            assert_eq!(found.as_ref().err(), expected.as_ref(), "{id} {resource}");
            if let Ok(found) = found {
                assert_eq!(found.check(control(id).unwrap()), Ok(()), "{id} {resource}");
            }
        }
    }

    #[test]
    fn a_resource_has_a_name() {
        for (id, resource, name) in [
            ("S3.8", "arn:aws:s3:::logs.example", "logs.example"),
            (
                "EC2.2",
                "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1",
                "sg-1",
            ),
            (
                "ECR.1",
                "arn:aws:ecr:eu-west-1:111122223333:repository/a/b",
                "a/b",
            ),
            (
                "Lambda.1",
                "arn:aws:lambda:eu-west-1:111122223333:function:f",
                "f",
            ),
            ("SNS.1", "arn:aws:sns:eu-west-1:111122223333:t", "t"),
            (
                "CloudWatch.16",
                "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/f",
                "/aws/lambda/f",
            ),
            (
                "CloudWatch.16",
                "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/f:*",
                "/aws/lambda/f",
            ),
        ] {
            assert_eq!(target(id, "eu-west-1", resource).unwrap().name(), name);
        }
    }

    #[test]
    fn a_global_resource_has_one_key_in_all_regions() {
        let key = |region| {
            let target = target("S3.8", region, "arn:aws:s3:::logs").unwrap();
            target.key(control("S3.8").unwrap())
        };
        assert_eq!(
            key("eu-west-1"),
            "111122223333#global#S3.8#arn:aws:s3:::logs"
        );
        assert_eq!(key("eu-west-1"), key("us-east-1"));
    }

    #[test]
    fn a_long_resource_has_a_key_that_dynamodb_takes() {
        let key = |length: usize, end: &str| {
            let start = "arn:aws:logs:eu-west-1:111122223333:log-group:";
            let name = "n".repeat(length - start.len() - end.len());
            let target = target("CloudWatch.16", "eu-west-1", &format!("{start}{name}{end}"));
            target.unwrap().key(control("CloudWatch.16").unwrap())
        };
        let before = "111122223333#eu-west-1#CloudWatch.16#".len();
        let longest = key(KEY_BYTES - before, "a");
        assert!(longest.len() == KEY_BYTES && longest.ends_with("na"));
        let (one, other) = (key(ARN_LENGTH, "a"), key(ARN_LENGTH, "b"));
        for hashed in [&one, &other, &key(KEY_BYTES - before + 1, "a")] {
            assert_eq!(hashed.len(), KEY_BYTES);
            assert!(hashed.starts_with(
                "111122223333#eu-west-1#CloudWatch.16#arn:aws:logs:eu-west-1:111122223333:log-group:nn"
            ));
        }
        assert_eq!(one, key(ARN_LENGTH, "a"));
        assert_ne!(one, other);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_target_or_refused(region in ".*", resource in ".*") {
            for id in ["S3.8", "EC2.2", "IAM.7"] {
                if let Ok(target) = target(id, &region, &resource) {
                    proptest::prop_assert!(target.check(control(id).unwrap()).is_ok());
                }
            }
        }
    }
}
