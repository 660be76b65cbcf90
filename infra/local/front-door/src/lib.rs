//! The front door as a library, so that tests can open one on a port of their own. `main.rs` has the map.

mod account;
mod assignments;
mod backend;
mod bus;
mod callers;
mod calls;
mod clock;
mod control;
mod controltower;
mod delivery;
mod door;
mod factory;
mod faults;
mod lambda;
mod lock;
mod operation;
mod organizations;
mod pages;
mod problem;
mod reply;
mod scope;
mod securityhub;
mod slack;
mod sts;
mod trail;
mod vending;

use std::net::Ipv4Addr;

use anyhow::Context;
use axum::serve::ListenerExt;
use clap::Parser;
use tokio::net::TcpListener;

/// What the door is told when it starts.
#[derive(Debug, Clone, Parser)]
#[command(name = "front-door", about = "The one door of the local cloud")]
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
    /// The organization's management account; it is the Security Hub administrator too.
    #[arg(long, value_parser = scope::account_id)]
    pub management_account: String,
    /// Region of the calls that the door makes by itself.
    #[arg(long, default_value = "us-east-1")]
    pub region: String,
}

/// Takes the port on the loopback interface; port 0 takes any free one.
///
/// # Errors
/// When the port is in use or may not be taken.
pub async fn bind(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen at 127.0.0.1:{port}"))
}

/// Answers calls until the future is dropped.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(listener: TcpListener, settings: Settings) -> anyhow::Result<()> {
    let listener = listener.tap_io(|connection| {
        // Small answers would otherwise wait for the peer's delayed acknowledgement.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
    });
    axum::serve(listener, door::router(settings)).await?;
    Ok(())
}
