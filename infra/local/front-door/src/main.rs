//! The one door of the local cloud: every AWS call of this machine comes in at one address.
//!
//! Read in this order (the crate's modules, then what each one knows):
//! * `door` – a call's way: read it, count it, fault it, route it;
//! * `scope`, `operation` – which service, region and account a request means, and what it is called;
//! * `backend` – the HTTP client that reaches `MiniStack` and moto; `reply` – an error in each AWS protocol;
//! * `callers` – whose account an access key is; `sts`, `lambda` – two repairs to what `MiniStack` does;
//! * `organizations`, `account` – what moto leaves out of both services;
//! * `factory` – Account Factory behind Service Catalog: `catalog`, `request`, `store`, `search`, `work`, `lifecycle`;
//! * `controltower` – which organizational units are registered; `assignments` – access that takes its time;
//! * `trail` – the events that `CloudTrail` would send of changes; `bus` – how any event leaves the door,
//!   `delivery` – and how some are lost or come twice;
//! * `securityhub` – a store of findings: `limits`, `finding`, `update`, `filters`, `store`, `events`;
//! * `faults`, `calls`, `slack`, `vending`, `control` – what a test sets and reads under `/_orgkeeper`;
//! * `problem`, `pages` – how the door's own services refuse, and cut long lists;
//! * `clock`, `lock` – the one place each where the time is asked and a lock is taken.

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
    tracing::info!(address = %listener.local_addr()?, "open");
    // A long poll may hang for 20 s, so ending does not wait for the open connections.
    tokio::select! {
        ended = serve(listener, settings) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
