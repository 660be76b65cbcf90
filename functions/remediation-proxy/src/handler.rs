//! Orders in, reports out: one order of the state machine, or a batch of previews.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aws_lambda_events::sqs::SqsMessage;
use orgkeeper_shared::{
    account_directory::table::DirectoryTable,
    aws_error::AwsCallError,
    lambda::{
        Error, Function, Invocation, Malformed, MessageError, NamedError, Outcomes, QueueFunction,
        Time, Work, each,
    },
    queue::{Failure, Queue, Reason},
    remediation::{
        archive::{ArchiveTask, OrderError},
        claims::{Claim, SettingClaims},
        control::{Control, ROOT_CREDENTIALS},
        order::{Order, Task},
        report::Report,
    },
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    check::{Rejected, Rules},
    gateway::remediators::{NoReport, Remediators},
    request::{Forwarded, Incoming, Preview},
};

/// Previews at once. The members' own quotas are what limits them: they are for people, and never urgent.
const PREVIEWS_AT_ONCE: usize = 2;

/// Why root credentials are left.
const NO_ROOT_CREDENTIALS: &str = "root credentials are left alone here: set the parameter RootCredentials=on in the management \
                                   account and in the account that decides";

/// Passes orders on.
#[derive(Debug)]
pub struct Proxy {
    /// The organization's accounts.
    pub directory: DirectoryTable,
    /// The settings that fixes share.
    pub claims: SettingClaims,
    /// The functions that carry orders out.
    pub remediators: Remediators,
    /// What orders are checked against.
    pub rules: Rules,
    /// Sends the results of previews.
    pub queue: Queue,
    /// To this queue.
    pub archive_queue_url: String,
}

/// The function: [`Proxy`] in the harness.
#[derive(Debug)]
pub struct ProxyFunction(pub QueueFunction<Proxy>);

/// Why an order has no report.
#[derive(Debug, thiserror::Error)]
pub enum NotCarriedOut {
    /// The order was refused: nothing was invoked.
    #[error("the order is refused")]
    Rejected(#[source] Rejected),
    /// The directory could not be read: nothing was invoked.
    #[error("the account directory could not be read")]
    Directory(#[source] Arc<AwsCallError>),
    /// The setting that the fix shares with others could not be claimed: nothing was invoked.
    #[error("the setting could not be claimed")]
    Claim(#[source] AwsCallError),
    /// Another fix is changing the same setting: nothing was invoked.
    #[error("another fix is changing the account's {0}")]
    InUse(&'static str),
    /// The remediator gave no report.
    #[error(transparent)]
    NoReport(NoReport),
    /// The result of a preview could not be sent.
    #[error("the result could not be sent")]
    Send(#[source] AwsCallError),
}

impl Reason for NotCarriedOut {
    fn retryable(&self) -> bool {
        match self {
            Self::Rejected(_) => false,
            Self::Directory(error) => error.retryable_or_denied(),
            Self::InUse(_) => true,
            Self::NoReport(error) => error.retryable(),
            Self::Claim(error) | Self::Send(error) => error.retryable_or_denied(),
        }
    }
}

impl NotCarriedOut {
    /// What the state machine receives: a stable name, and words for a person.
    fn named(&self) -> NamedError {
        let (name, message) = match self {
            Self::Rejected(rejected) => ("Rejected", rejected.to_string()),
            Self::Directory(error) if error.retryable() => ("Unavailable", self.in_words(error)),
            Self::Directory(error) => ("Denied", self.in_words(error)),
            Self::Claim(error) if error.retryable() => ("Unavailable", self.in_words(error)),
            Self::Claim(error) => ("Denied", self.in_words(error)),
            Self::InUse(_) => ("Busy", self.to_string()),
            Self::NoReport(NoReport::Call(error)) => {
                let name = if error.retryable() {
                    "Throttled"
                } else {
                    "Denied"
                };
                (name, self.in_words(error))
            }
            Self::NoReport(failed @ NoReport::Failed { message, .. }) => {
                (failed.name(), format!("{failed}: {message}"))
            }
            Self::NoReport(NoReport::Answer) => ("Refused", self.to_string()),
            Self::Send(error) => ("Unavailable", self.in_words(error)),
        };
        NamedError { name, message }
    }

    fn in_words(&self, error: &AwsCallError) -> String {
        format!("{self}: {error}")
    }
}

impl Proxy {
    /// Checks an order and has it carried out by `function`.
    ///
    /// # Errors
    /// If it is refused, or has no report.
    pub async fn carry_out(
        &self,
        function: &str,
        order: &Order,
        time: &Time,
    ) -> Result<Report, NotCarriedOut> {
        self.rules
            .check_function(function)
            .map_err(NotCarriedOut::Rejected)?;
        let account = &order.target.account;
        let mut read = self
            .directory
            .read(&BTreeSet::from([account.clone()]))
            .await;
        let entry = read
            .remove(account)
            .transpose()
            .map_err(NotCarriedOut::Directory)?;
        let control = self
            .rules
            .check_order(order, entry.as_ref())
            .map_err(NotCarriedOut::Rejected)?;
        let function = match &self.rules.root_credentials {
            // A member's trail is read in the member.
            _ if control.action != ROOT_CREDENTIALS || order.task == Task::WhoChanged => function,
            Some(function) => function,
            None => return Ok(Report::blocked(NO_ROOT_CREDENTIALS)),
        };
        let claim = self.claim(control, order, time).await?;
        let report = self.remediators.carry_out(function, order).await;
        let at_work = report.as_ref().is_err_and(NoReport::may_be_at_work);
        if let Some(claim) = claim.filter(|_| !at_work)
            && let Err(error) = self.claims.release(&claim).await
        {
            tracing::warn!(%error, "other fixes of the same setting wait until the claim has expired");
        }
        report.map_err(NotCarriedOut::NoReport)
    }

    /// Claims the setting that a fix or an undo shares with those of other controls, if it shares one.
    async fn claim(
        &self,
        control: &Control,
        order: &Order,
        time: &Time,
    ) -> Result<Option<Claim>, NotCarriedOut> {
        let shared = control.shared_setting();
        let Some(setting) = shared.filter(|_| order.task.changes()) else {
            return Ok(None);
        };
        let claim = self
            .claims
            .claim(setting, control, &order.target, time.now(), time.end());
        match claim.await {
            Ok(Some(claim)) => Ok(Some(claim)),
            Ok(None) => Err(NotCarriedOut::InUse(setting)),
            Err(error) => Err(NotCarriedOut::Claim(error)),
        }
    }

    /// Previews an order, and sends what came of it to the archive queue.
    async fn preview(
        &self,
        message: &SqsMessage,
        time: &Time,
    ) -> Result<(), MessageError<NotCarriedOut>> {
        let body = message.body.as_deref().unwrap_or_default();
        let Preview {
            key,
            mut order,
            findings,
            actor,
        } = serde_json::from_str(body).map_err(|error| Malformed::json("preview", &error))?;
        // Whatever the message says: this queue changes nothing.
        if order.task.changes() {
            order.task = Task::Preview;
        }
        order.undo = None;
        let function = self.rules.remediators.first().map_or("", String::as_str);
        let (report, error) = match self.carry_out(function, &order, time).await {
            Ok(report) => (Some(report), None),
            Err(error) if error.retryable() => return Err(MessageError::Failed(error)),
            Err(error) => (None, Some(error.named())),
        };
        let result = ArchiveTask::Result {
            key,
            attempt: 0,
            order,
            report,
            error: error.map(|error| OrderError {
                error: error.name.to_owned(),
                cause: error.message,
            }),
            findings,
            execution: None,
            actor,
        };
        let body = json!(result).to_string();
        let sent = self
            .queue
            .send(&self.archive_queue_url, vec![(body, Duration::ZERO)]);
        sent.await
            .map_err(|error| MessageError::Failed(NotCarriedOut::Send(error)))
    }
}

impl Work for Proxy {
    const FUNCTION: &'static str = "remediation-proxy";
    type Reason = MessageError<NotCarriedOut>;

    async fn work<'a>(
        &self,
        messages: &'a [SqsMessage],
        time: &Time,
    ) -> Outcomes<'a, Self::Reason> {
        let results = each(messages, PREVIEWS_AT_ONCE, time.deadline(), |message| {
            self.preview(message, time)
        });
        let failures = results.await.into_iter().filter_map(|(message, result)| {
            let reason = result.err()?;
            Some(Failure { message, reason })
        });
        Outcomes::new(failures.collect())
    }
}

impl Function for ProxyFunction {
    type Event = Incoming;
    type Response = Value;

    async fn handle(&self, event: Incoming, invocation: Invocation) -> Result<Value, Error> {
        match event {
            Incoming::Previews(batch) => Ok(json!(self.0.handle(batch, invocation).await)),
            Incoming::Order(forwarded) => {
                let Forwarded { function, order } = *forwarded;
                let (time_to_work, time) = (invocation.time_to_work(), Time::start(invocation));
                let carried_out = self.0.work().carry_out(&function, &order, &time);
                match timeout(time_to_work, carried_out).await {
                    Ok(Ok(report)) => {
                        tracing::info!(control = order.control, outcome = ?report.outcome, "order passed on");
                        Ok(json!(report))
                    }
                    Ok(Err(error)) => {
                        let named = error.named();
                        tracing::warn!(control = order.control, error.name = named.name, %error, "order failed");
                        Err(named.into())
                    }
                    Err(_) => Err(NamedError {
                        name: "Unavailable",
                        message: "the invocation's time ran out".to_owned(),
                    }
                    .into()),
                }
            }
        }
    }
}
