//! The AWS services that several functions call. An SDK type or error never leaves a gateway.

#[cfg(feature = "contacts")]
pub mod contacts;
#[cfg(feature = "identity-center")]
pub mod identity_center;
#[cfg(feature = "organizations")]
pub mod organizations;
pub mod rates;
