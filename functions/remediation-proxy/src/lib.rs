//! `remediation-proxy`.
