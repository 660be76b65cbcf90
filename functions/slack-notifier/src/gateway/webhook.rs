//! An incoming webhook of Slack.

use std::{sync::OnceLock, time::Duration};

use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorSettings},
    orchestrator::{HttpRequest, HttpResponse},
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use tokio::time::timeout;

use crate::{
    gateway::webhook_secret::WebhookSecret, post_error::PostError, slack_answer::SlackAnswer,
    webhook_address::WebhookAddress,
};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a whole post may take. Slack usually answers within a second.
const POST: Duration = Duration::from_secs(5);
/// How long an idle connection is kept: Lambda may freeze the process between two invocations.
const IDLE: Duration = Duration::from_secs(10);
/// The most that is read of an answer; Slack answers with one word.
const ANSWER_BYTES: usize = 200;

/// An incoming webhook.
#[derive(Debug)]
pub struct Webhook {
    secret: WebhookSecret,
    /// Created at the first post: it reads the root certificates.
    connector: OnceLock<Connector>,
}

impl Webhook {
    /// The webhook whose address is in this secret.
    #[must_use]
    pub fn new(secret: WebhookSecret) -> Self {
        Self {
            secret,
            connector: OnceLock::new(),
        }
    }

    /// Posts a message. If Slack does not know the address, it is read again, once: it may have been replaced.
    ///
    /// # Errors
    /// If the message was not posted, or if that is unknown.
    pub async fn post(&self, message: &str) -> Result<(), PostError> {
        let address = self.secret.address().await?;
        match self.post_to(&address, message).await {
            Err(PostError::ChannelUnavailable { .. }) => {
                let address = self.secret.read_again().await?;
                self.post_to(&address, message).await
            }
            answer => answer,
        }
    }

    async fn post_to(&self, address: &WebhookAddress, message: &str) -> Result<(), PostError> {
        let Some(request) = request(address, message) else {
            let why = "the secret holds no address of an incoming webhook".to_owned();
            return Err(PostError::ChannelUnavailable { why });
        };
        let answer = async {
            let response = self.connector().call(request).await.ok()?;
            read(response).await
        };
        // The error of a connection is left out: it may name the address.
        match timeout(POST, answer).await {
            Ok(Some(answer)) => answer.result(),
            Ok(None) => Err(PostError::retryable("Slack cannot be reached")),
            Err(_) => Err(PostError::retryable("Slack did not answer in time")),
        }
    }

    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| {
            Connector::builder()
                .connector_settings(
                    HttpConnectorSettings::builder()
                        .connect_timeout(CONNECT)
                        .build(),
                )
                .pool_idle_timeout(IDLE)
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .build()
        })
    }
}

fn request(address: &WebhookAddress, message: &str) -> Option<HttpRequest> {
    let mut request = HttpRequest::new(SdkBody::from(message));
    request.set_method("POST").ok()?;
    request.set_uri(address.as_str()).ok()?;
    request
        .headers_mut()
        .insert("content-type", "application/json; charset=utf-8");
    Some(request)
}

async fn read(response: HttpResponse) -> Option<SlackAnswer> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").map(str::to_owned);
    let mut stream = ByteStream::new(response.into_body());
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES
        && let Some(bytes) = stream.next().await
    {
        body.extend_from_slice(&bytes.ok()?);
    }
    body.truncate(ANSWER_BYTES);
    Some(SlackAnswer {
        status,
        retry_after,
        body: String::from_utf8_lossy(&body).trim().to_owned(),
    })
}
