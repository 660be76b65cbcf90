//! The AWS services that an upload is processed with; an SDK type or error never leaves them. Organizations
//! and IAM Identity Center are [shared](orgkeeper_shared::gateway).

pub mod bucket;
pub mod control_tower;
