//! The checks, in the order in which a deployment needs what they look at.

mod account;
mod account_factory;
mod alert_rules;
mod buses;
mod contacts;
mod dead_letters;
mod event_rules;
mod event_sources;
mod identity_center;
mod landing_zone;
mod mail;
mod organization;
mod region_policies;
mod security_hub;
mod settings_key;
mod stack;
mod stack_sets;
mod trail;
mod trusted_access;
mod webhook;

use super::check::Check;

/// Every check.
pub const CHECKS: &[Check] = &[
    account::CHECK,
    stack::CHECK,
    organization::CHECK,
    trail::CHECK,
    trusted_access::CHECK,
    contacts::CHECK,
    security_hub::ADMINISTRATOR,
    security_hub::REGION,
    landing_zone::CHECK,
    account_factory::CHECK,
    identity_center::CHECK,
    buses::ALERTS,
    buses::ORGANIZATION,
    region_policies::CHECK,
    mail::CHECK,
    webhook::CHECK,
    alert_rules::CHECK,
    stack_sets::MEMBER_ROLES,
    stack_sets::FORWARDING,
    event_rules::CHECK,
    event_sources::CHECK,
    dead_letters::CHECK,
];
