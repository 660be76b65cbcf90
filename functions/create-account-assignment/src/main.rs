//! create-account-assignment
fn main() {}
