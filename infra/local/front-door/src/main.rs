//! The front door of the local cloud: one address that receives every AWS call of this machine.
//!
//! Read the modules in this order:
//! * `router` – reads a call, counts it, applies the fault rules and passes it on; `services` – what it passes it to;
//! * `scope`, `operation`, `posture_operations` – service, Region, account and operation of a request;
//! * `backend` – the HTTP client for `MiniStack` and moto; `reply` – answers and errors in each AWS protocol;
//! * `callers` – who calls, and whether `MiniStack` allows it; `roles` – roles that the front door creates;
//! * `organizations`, `account` – what moto lacks of both services;
//! * `account_factory` – Account Factory behind Service Catalog: `catalog`, `request`, `store`, `search`, `work`, `lifecycle`;
//! * `controltower` – which organizational units are registered; `assignments` – asynchronous account assignments;
//! * `trail` – the events that `CloudTrail` sends of changes; `bus` – sends events to EventBridge; `delivery` – loses or
//!   duplicates some of them;
//! * `securityhub` – a store of findings: `limits`, `finding`, `update`, `filters`, `store`, `events`; the rest of Security Hub
//!   and the services that an account administers for the organization are in moto (`infra/local/posture/`);
//! * `faults`, `quotas`, `calls`, `slack`, `vending`, `queue_clock`, `alarms`, `service_events`, `credentials`, `control` – what tests set and read under
//!   `/_orgkeeper`;
//! * `problem`, `pages` – errors and pagination of the front door's own services;
//! * `clock`, `lock` – the only places that read the time and take a lock.

use std::process::ExitCode;

use clap::Parser;
use front_door::{Settings, bind, serve};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("front_door=info")),
        )
        .with_writer(std::io::stderr)
        .init();
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("front-door: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = bind(settings.port).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    // A long poll lasts up to 20 s, so the shutdown does not wait for open connections.
    tokio::select! {
        ended = serve(listener, settings) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
