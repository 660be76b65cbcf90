//! The contacts of an account: AWS Account Management.

use aws_sdk_account::{Client, types::AlternateContactType};

use super::entry::Contact;
use crate::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    calls::{Calls, calls},
    gateway::rates::{Paces, QuotaShare, account as rates, no_retries},
    ids::AccountId,
};

/// Alternate contacts in the order in which they are responsible for security matters.
const ORDER: [AlternateContactType; 2] = [
    AlternateContactType::Security,
    AlternateContactType::Operations,
];

/// What reading a security contact came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecurityContact {
    /// The contact, or that none is named.
    Known(Option<Contact>),
    /// It may not be read.
    Denied,
}

/// The contacts of the organization's accounts.
#[derive(Debug)]
pub struct Contacts {
    client: Client,
    role_account: Option<AccountId>,
    paces: Paces,
}

impl Contacts {
    /// What it calls, without a role in the management account.
    pub const CALLS: Calls = calls(
        &[
            "account:GetAlternateContact",
            "account:GetContactInformation",
        ],
        &[
            "arn:${AWS::Partition}:account::${AWS::AccountId}:account",
            "arn:${AWS::Partition}:account::*:account/o-*/*",
        ],
    );

    /// A gateway over `client` that keeps to this share of the published rates. `role_account` is the account of the
    /// role that the client assumes, `None` if it calls with the function's own credentials.
    #[must_use]
    pub fn new(client: &Client, role_account: Option<AccountId>, share: QuotaShare) -> Self {
        let config = client.config().to_builder().retry_config(no_retries());
        Self {
            client: Client::from_conf(config.build()),
            role_account,
            paces: Paces::new(share, client.config().retry_config()),
        }
    }

    /// The security contact of an account, or else the operations contact, or else the primary
    /// one.
    ///
    /// The calling account's own contacts are read without its id: the management account may not pass its
    /// own ("`GetAlternateContact`", parameter `AccountId`). `function_account` is the account that
    /// the function runs in, where that is known.
    ///
    /// # Errors
    /// Retryable ones only.
    pub async fn security_contact(
        &self,
        account: &AccountId,
        function_account: Option<&AccountId>,
    ) -> Result<SecurityContact, AwsCallError> {
        let caller = self.role_account.as_ref().or(function_account);
        let id = (caller != Some(account)).then(|| account.to_string());
        for kind in ORDER {
            match self.alternate(id.clone(), kind).await {
                Ok(Some(contact)) => return Ok(SecurityContact::Known(Some(contact))),
                Ok(None) => {}
                Err(error) => return left_out(account, error),
            }
        }
        match self.primary(id).await {
            Ok(contact) => Ok(SecurityContact::Known(contact)),
            Err(error) => left_out(account, error),
        }
    }

    async fn alternate(
        &self,
        account: Option<String>,
        kind: AlternateContactType,
    ) -> Result<Option<Contact>, AwsCallError> {
        let contact = self
            .paces
            .call(&rates::GET_ALTERNATE_CONTACT, async || {
                let answer = self
                    .client
                    .get_alternate_contact()
                    .set_account_id(account.clone())
                    .alternate_contact_type(kind.clone())
                    .send()
                    .await;
                match answer {
                    Ok(answer) => Ok(answer.alternate_contact),
                    Err(error) => none_if_absent("GetAlternateContact", &error),
                }
            })
            .await?;
        Ok(contact.map(|contact| Contact {
            name: contact.name.unwrap_or_default(),
            email: contact.email_address,
            phone: contact.phone_number,
        }))
    }

    async fn primary(&self, account: Option<String>) -> Result<Option<Contact>, AwsCallError> {
        let contact = self
            .paces
            .call(&rates::GET_CONTACT_INFORMATION, async || {
                let answer = self
                    .client
                    .get_contact_information()
                    .set_account_id(account.clone())
                    .send()
                    .await;
                match answer {
                    Ok(answer) => Ok(answer.contact_information),
                    Err(error) => none_if_absent("GetContactInformation", &error),
                }
            })
            .await?;
        Ok(contact.map(|contact| Contact {
            name: contact.full_name,
            email: None,
            phone: Some(contact.phone_number),
        }))
    }
}

fn none_if_absent<T, E>(
    operation: &'static str,
    error: &aws_sdk_account::error::SdkError<E>,
) -> Result<Option<T>, AwsCallError>
where
    E: aws_sdk_account::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    let error = AwsCallError::new(Service::Account, operation, error);
    if error.class() == AwsErrorClass::NotFound {
        Ok(None)
    } else {
        Err(error)
    }
}

/// A contact that may not be read never keeps a finding from being enriched.
fn left_out(account: &AccountId, error: AwsCallError) -> Result<SecurityContact, AwsCallError> {
    if error.retryable() {
        return Err(error);
    }
    tracing::warn!(account.id = %account, %error, "the contact is left out");
    Ok(SecurityContact::Denied)
}
