//! create-managed-account
fn main() {}
