//! new-account-handler
fn main() {}
