//! `remediation-planner`.
