//! Contract tests: each function's handler with real SDK clients over a loopback socket, and what people read.

mod accounts_cases;
mod alert_texts;
mod alerter;
mod create_account_assignment;
mod create_managed_account;
mod directory_refresher;
mod doctor;
mod documents;
mod dynamodb;
mod event_rules;
mod finding_archiver;
mod finding_enricher;
mod new_account_handler;
mod operator;
mod playbook;
mod queue_loops;
mod rates;
mod redrive;
mod remediation_planner;
mod remediation_proxy;
mod remediations;
mod security_hub;
mod simulation;
mod slack_notifier;
mod status;
mod words;
