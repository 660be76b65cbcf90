//! The rules that are in force, as their parameter has them: read at the start, and again every few minutes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use aws_sdk_ssm::Client;
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::aws_error::{AwsCallError, Service};
use tokio::time::timeout;

use crate::rules::Rules;

/// So long rules are in force before they are read again.
const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// How long a batch waits for that.
const READ: Duration = Duration::from_secs(1);

/// The rules, and where they are read.
#[derive(Debug)]
pub struct Rulebook {
    /// The client, and the parameter's name; without it the rules are as they are.
    source: Option<(Client, String)>,
    page: Mutex<Page>,
}

/// What is in force, and since when; the first batch says what time it is.
#[derive(Debug)]
struct Page {
    rules: Arc<Rules>,
    read_at: Option<Timestamp>,
}

impl From<Rules> for Rulebook {
    /// Rules that stay as they are.
    fn from(rules: Rules) -> Self {
        let (rules, read_at) = (Arc::new(rules), None);
        Self {
            source: None,
            page: Mutex::new(Page { rules, read_at }),
        }
    }
}

impl Rulebook {
    /// Reads the rules of the parameter with this name.
    ///
    /// # Errors
    /// If the parameter cannot be read or a rule is wrong: the function does not start then, so that
    /// nothing is told otherwise than somebody meant it.
    pub async fn open(client: Client, parameter: String) -> anyhow::Result<Self> {
        let rules = read(&client, &parameter).await?;
        Ok(Self {
            source: Some((client, parameter)),
            ..rules.into()
        })
    }

    /// The rules that are in force.
    #[must_use]
    pub fn in_force(&self) -> Arc<Rules> {
        Arc::clone(&self.page().rules)
    }

    /// Reads the rules again if it is time to. Where that fails, or one of them is wrong, those that
    /// stand are kept: what is refused never silences.
    pub async fn refresh(&self, now: Timestamp) {
        let Some((client, parameter)) = &self.source else {
            return;
        };
        let stale = {
            let mut page = self.page();
            let read_at = *page.read_at.get_or_insert(now);
            let stale = now.duration_since(read_at) >= FRESH;
            if stale {
                page.read_at = Some(now);
            }
            stale
        };
        if !stale {
            return;
        }
        match timeout(READ, read(client, parameter)).await {
            Ok(Ok(rules)) => self.page().rules = Arc::new(rules),
            Ok(Err(error)) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the rules that stand are kept"
                );
            }
            Err(_) => {
                tracing::warn!("the rules could not be read in time: those that stand are kept");
            }
        }
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(client: &Client, parameter: &str) -> anyhow::Result<Rules> {
    let answer = client
        .get_parameter()
        .name(parameter)
        .with_decryption(true)
        .send()
        .await
        .map_err(|error| AwsCallError::new(Service::Ssm, "GetParameter", &error))
        .with_context(|| format!("the parameter {parameter} of the rules cannot be read"))?;
    let text = answer.parameter.and_then(|parameter| parameter.value);
    Rules::read(&text.unwrap_or_default()).with_context(|| format!("parameter {parameter}"))
}
