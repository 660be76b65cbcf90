//! The Lambda Runtime API, to run a function's binary under and measure it.
//!
//! Form: "Using the Lambda runtime API for custom runtimes" in the Lambda developer guide.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc},
};

/// How long a start or an invocation may take before the run is given up.
const PATIENCE: Duration = Duration::from_mins(2);
/// The function's ARN, as it receives it.
const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:111111111111:function:under-test";

enum Said {
    Ready(Instant),
    Answered(Instant, Bytes),
    Failed(Bytes),
}

struct Shared {
    said: mpsc::UnboundedSender<Said>,
    timeout: Duration,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
}

/// A function's process under its own Runtime API.
pub struct Function {
    process: Child,
    said: mpsc::UnboundedReceiver<Said>,
    events: mpsc::UnboundedSender<String>,
    /// From the start of the process to its first request for an event: what Lambda calls INIT.
    pub cold_start: Duration,
}

/// What came of an invocation.
#[derive(Debug)]
pub struct Answer {
    /// The function's answer.
    pub body: Value,
    /// From handing the event out to having the answer: what Lambda bills, before rounding up.
    pub billed: Duration,
}

impl Function {
    /// Starts `binary` with these variables, this memory in MB and this timeout of each invocation, and waits
    /// until it asks for its first event.
    ///
    /// # Errors
    /// If it cannot be started, fails at start or does not ask in time.
    pub async fn start(
        binary: &Path,
        variables: &BTreeMap<String, String>,
        memory: u64,
        timeout: Duration,
    ) -> Result<Self> {
        let (said_sender, mut said) = mpsc::unbounded_channel();
        let (events, events_receiver) = mpsc::unbounded_channel();
        let address = serve(Shared {
            said: said_sender,
            timeout,
            events: Mutex::new(events_receiver),
        })
        .await?;
        let started = Instant::now();
        let mut process = Command::new(binary)
            .env_clear()
            .envs(variables)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "under-test")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory.to_string())
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        let cold_start = tokio::select! {
            said = tokio::time::timeout(PATIENCE, said.recv()) => match said {
                Ok(Some(Said::Ready(at))) => at - started,
                Ok(Some(Said::Failed(body))) => {
                    bail!("the function failed at start: {}", String::from_utf8_lossy(&body))
                }
                _ => bail!("the function never asked for an event"),
            },
            status = process.wait() => bail!("the function ended at start: {}", status?),
        };
        Ok(Self {
            process,
            said,
            events,
            cold_start,
        })
    }

    /// Hands an event to the function and waits for the answer.
    ///
    /// # Errors
    /// If the function reports an error or does not answer in time.
    pub async fn invoke(&mut self, event: &Value) -> Result<Answer> {
        let event = event.to_string();
        let handed = Instant::now();
        self.events.send(event)?;
        loop {
            match tokio::time::timeout(PATIENCE, self.said.recv()).await? {
                Some(Said::Ready(_)) => {}
                Some(Said::Answered(at, body)) => {
                    return Ok(Answer {
                        body: serde_json::from_slice(&body)?,
                        billed: at - handed,
                    });
                }
                Some(Said::Failed(body)) => {
                    bail!("the function failed: {}", String::from_utf8_lossy(&body))
                }
                None => bail!("the function is gone"),
            }
        }
    }

    /// The most memory that the process has had at once, in bytes.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn peak_memory(&self) -> Result<u64> {
        let id = self.process.id().context("the function is gone")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let kilobytes: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .context("no VmHWM in the process status")?
            .trim()
            .parse()?;
        Ok(kilobytes * 1_024)
    }
}

async fn serve(shared: Shared) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route(
            "/2018-06-01/runtime/invocation/{id}/response",
            post(response),
        )
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(error))
        .with_state(Arc::new(shared));
    let listener = listener.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    tokio::spawn(async move {
        // A server on a bound loopback socket ends with the runtime only.
        let _ = axum::serve(listener, router).await;
    });
    Ok(address)
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let _ = shared.said.send(Said::Ready(Instant::now()));
    let Some(event) = shared.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (
            "lambda-runtime-aws-request-id",
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(),
        ),
        (
            "lambda-runtime-deadline-ms",
            deadline_ms(shared.timeout).to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            FUNCTION_ARN.to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned(),
        ),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    (headers, event).into_response()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the Runtime API tells the deadline as a time of day"
)]
fn deadline_ms(timeout: Duration) -> u128 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    (now + timeout).as_millis()
}

async fn response(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let _ = shared.said.send(Said::Answered(Instant::now(), body));
    StatusCode::ACCEPTED
}

async fn error(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let _ = shared.said.send(Said::Failed(body));
    StatusCode::ACCEPTED
}
