//! What a setting is.

use futures::future::BoxFuture;
use orgkeeper_shared::{aws_error::AwsCallError, posture::setting_record::Difference};
use serde_json::Value;

use crate::{look::Look, operation::Operation, wanted::Wanted};

/// Reads how it is. What comes out is kept in the record, as what was there before a change.
pub type Read = for<'l> fn(&'l Look<'l>) -> BoxFuture<'l, Result<Value, AwsCallError>>;
/// Says what is not as it should be, each with the call that closes it and the one that is the way back. Where nothing could be
/// read yet, since another setting comes first, it is given `null`.
pub type Differs = fn(&Wanted<'_>, &Value) -> Vec<Difference>;

/// A setting, or one that several services have in the same way.
#[derive(Clone, Copy)]
pub struct Setting {
    /// Its names in the table of `shared/src/posture/setting.rs`.
    pub names: &'static [&'static str],
    /// What it calls, undoing it included.
    pub operations: &'static [&'static Operation],
    /// What the services do with the caller's permissions.
    pub needs: &'static [&'static str],
    /// Reads it.
    pub read: Read,
    /// What differs. Applying it is sending these calls, undoing it sending those of the way back.
    pub differs: Differs,
}
