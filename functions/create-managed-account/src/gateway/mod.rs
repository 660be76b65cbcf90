//! The AWS services that accounts are created with; an SDK type or error never leaves them. Organizations is
//! [shared](orgkeeper_shared::gateway::organizations).

pub mod service_catalog;
