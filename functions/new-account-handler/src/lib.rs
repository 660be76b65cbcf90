//! new-account-handler
