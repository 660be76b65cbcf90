//! create-managed-account
