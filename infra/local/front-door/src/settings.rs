//! The command line of the front door.

use clap::Parser;

use crate::{backend, scope};

/// The settings of the front door.
#[derive(Debug, Clone, Parser)]
#[command(name = "front-door", about = "The front door of the local cloud")]
pub struct Settings {
    /// Port on 127.0.0.1 to listen at.
    #[arg(long, default_value_t = 4566)]
    pub port: u16,
    /// Address of `MiniStack`, such as `http://127.0.0.1:4567`.
    #[arg(long, value_parser = backend::base_address)]
    pub ministack: String,
    /// Address of the moto server, such as `http://127.0.0.1:4568`.
    #[arg(long, value_parser = backend::base_address)]
    pub moto: String,
    /// The organization's management account.
    #[arg(long, value_parser = scope::account_id)]
    pub management_account: String,
    /// Region of the front door's own calls.
    #[arg(long, default_value = "us-east-1")]
    pub region: String,
}
