//! AWS Account Management: the alternate contacts of accounts.

use aws_sdk_account::{Client, types::AlternateContactType};

use super::rates::{Paces, QuotaShare, account as rates, no_retries};
use crate::{
    aws_error::{AwsCallError, Service},
    calls::{Calls, calls},
    ids::AccountId,
    vending::request::{Contact, ContactKind},
};

/// The gateway to the contacts of member accounts.
#[derive(Debug)]
pub struct Contacts {
    client: Client,
    paces: Paces,
}

impl Contacts {
    /// What it calls.
    pub const CALLS: Calls = calls(
        &["account:PutAlternateContact"],
        &["arn:${AWS::Partition}:account::*:account/o-*/*"],
    );

    /// A gateway over `client` that keeps to this share of the published rate.
    #[must_use]
    pub fn new(client: &Client, share: QuotaShare) -> Self {
        let config = client.config().to_builder().retry_config(no_retries());
        Self {
            client: Client::from_conf(config.build()),
            paces: Paces::new(share, client.config().retry_config()),
        }
    }

    /// Sets an alternate contact of a member account.
    ///
    /// # Errors
    /// If the call fails: it needs trusted access for AWS Account Management in the organization.
    pub async fn put(
        &self,
        account: &AccountId,
        kind: ContactKind,
        contact: &Contact,
    ) -> Result<(), AwsCallError> {
        const OPERATION: &str = "PutAlternateContact";
        let kind = match kind {
            ContactKind::Billing => AlternateContactType::Billing,
            ContactKind::Operations => AlternateContactType::Operations,
            ContactKind::Security => AlternateContactType::Security,
        };
        self.paces
            .call(&rates::PUT_ALTERNATE_CONTACT, async || {
                self.client
                    .put_alternate_contact()
                    .account_id(account.as_str())
                    .alternate_contact_type(kind.clone())
                    .name(&contact.name)
                    .title(&contact.title)
                    .email_address(&contact.email)
                    .phone_number(&contact.phone)
                    .send()
                    .await
                    .map_err(|error| AwsCallError::new(Service::Account, OPERATION, &error))
            })
            .await
            .map(drop)
    }
}
