//! The front door as a library, so that tests can start one on a port of their own. `main.rs` has the map.

mod account;
mod account_factory;
mod alarms;
mod assignments;
mod backend;
mod bus;
mod callers;
mod calls;
mod clock;
mod control;
mod controltower;
mod credentials;
mod delivery;
mod faults;
mod lock;
mod operation;
mod organizations;
mod pages;
mod posture_operations;
mod problem;
mod queue_clock;
mod quotas;
mod reply;
mod roles;
mod router;
mod scope;
mod securityhub;
mod service_events;
mod services;
mod settings;
mod slack;
mod trail;
mod vending;

use std::net::Ipv4Addr;

use anyhow::Context;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

pub use settings::Settings;

/// Binds the port on the loopback interface; port 0 binds any free one.
///
/// # Errors
/// If the port is in use or may not be bound.
pub async fn bind(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen at 127.0.0.1:{port}"))
}

/// Answers calls until the future is dropped.
///
/// # Errors
/// If the listener fails permanently.
pub async fn serve(listener: TcpListener, settings: Settings) -> anyhow::Result<()> {
    let listener = listener.tap_io(|connection| {
        // Otherwise small answers wait for the peer's delayed acknowledgement.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
    });
    axum::serve(listener, router::router(settings)).await?;
    Ok(())
}
