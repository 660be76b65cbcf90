//! What an account gets beside its access: tags and alternate contacts.

use std::sync::Arc;

use orgkeeper_shared::{
    aws_error::AwsCallError,
    gateway::{contacts::Contacts, organizations::Organizations},
    ids::AccountId,
    vending::request::AccountRequest,
};

/// Gives accounts their tags and alternate contacts.
#[derive(Debug)]
pub struct AccountDetails {
    organizations: Arc<Organizations>,
    contacts: Contacts,
}

/// What an account did not get, and why.
#[derive(Debug)]
pub struct NotGiven {
    /// What it is: its tags, or one of its contacts.
    pub what: String,
    /// Why.
    pub error: AwsCallError,
}

impl AccountDetails {
    /// Through these gateways.
    #[must_use]
    pub fn new(organizations: Arc<Organizations>, contacts: Contacts) -> Self {
        Self {
            organizations,
            contacts,
        }
    }

    /// Gives the account what its request asks for; other tags and contacts that it has stay. Idempotent.
    ///
    /// # Errors
    /// If a call fails. What was given before stays: the same again gives the rest.
    pub async fn give(
        &self,
        request: &AccountRequest,
        account: &AccountId,
    ) -> Result<(), NotGiven> {
        if !request.tags.is_empty() {
            let tags: Vec<(&str, String)> = request
                .tags
                .iter()
                .map(|(key, value)| (key.as_str(), value.clone()))
                .collect();
            let tagged = self.organizations.tag_account(account, &tags).await;
            tagged.map_err(|error| NotGiven {
                what: "tags".to_owned(),
                error,
            })?;
        }
        for (kind, contact) in &request.contacts {
            let put = self.contacts.put(account, *kind, contact).await;
            put.map_err(|error| NotGiven {
                what: format!("{} contact", format!("{kind:?}").to_lowercase()),
                error,
            })?;
        }
        Ok(())
    }
}
