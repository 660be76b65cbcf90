//! The contacts of an account: AWS Account Management.

use aws_sdk_account::{Client, types::AlternateContactType};

use super::entry::Contact;
use crate::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    ids::AccountId,
    pace::{Pace, Quota},
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

/// Published rate of both operations ("Quotas for AWS Account Management").
const GET_CONTACT: Quota = Quota {
    per_second: 10,
    burst: 15,
};

/// The contacts of the organization's accounts.
#[derive(Debug)]
pub struct Contacts {
    client: Client,
    role_account: Option<AccountId>,
    get_alternate_contact: Pace,
    get_contact_information: Pace,
}

impl Contacts {
    /// A gateway over `client` that keeps to one of `shares` parts of the published rates (0: no
    /// pace). `role_account` is the account of the role that the client assumes, `None` if it calls
    /// with the function's own credentials.
    #[must_use]
    pub fn new(client: Client, role_account: Option<AccountId>, shares: u32) -> Self {
        Self {
            client,
            role_account,
            get_alternate_contact: Pace::share(GET_CONTACT, shares),
            get_contact_information: Pace::share(GET_CONTACT, shares),
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
        self.get_alternate_contact.wait().await;
        let answer = self
            .client
            .get_alternate_contact()
            .set_account_id(account)
            .alternate_contact_type(kind)
            .send()
            .await;
        let contact = match answer {
            Ok(answer) => answer.alternate_contact,
            Err(error) => none_if_absent("GetAlternateContact", &error)?,
        };
        Ok(contact.map(|contact| Contact {
            name: contact.name.unwrap_or_default(),
            email: contact.email_address,
            phone: contact.phone_number,
        }))
    }

    async fn primary(&self, account: Option<String>) -> Result<Option<Contact>, AwsCallError> {
        self.get_contact_information.wait().await;
        let answer = self
            .client
            .get_contact_information()
            .set_account_id(account)
            .send()
            .await;
        let contact = match answer {
            Ok(answer) => answer.contact_information,
            Err(error) => none_if_absent("GetContactInformation", &error)?,
        };
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
