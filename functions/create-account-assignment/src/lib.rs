//! create-account-assignment
