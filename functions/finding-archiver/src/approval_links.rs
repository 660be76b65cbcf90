//! The links by which a person can answer a request.

use orgkeeper_shared::{
    aws_error::AwsCallError,
    remediation::{
        link::{Claim, Decision},
        link_secret::LinkSecret,
        record::Record,
    },
};

/// The links of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    approve: String,
    refuse: String,
}

impl Links {
    /// The link that answers so.
    #[must_use]
    pub fn of(&self, decision: Decision) -> &str {
        match decision {
            Decision::Approve => &self.approve,
            Decision::Refuse => &self.refuse,
        }
    }
}

/// Makes links.
#[derive(Debug)]
pub struct ApprovalLinks {
    /// The address of the function that they lead to.
    pub address: String,
    /// Where their key is.
    pub secret: LinkSecret,
}

impl ApprovalLinks {
    /// The links of a record's request; nothing if it has none.
    ///
    /// # Errors
    /// If the key cannot be read.
    pub async fn of(&self, record: &Record) -> Result<Option<Links>, AwsCallError> {
        let Some(request) = &record.request else {
            return Ok(None);
        };
        let key = self.secret.key().await?;
        let link = |decision| {
            let claim = Claim {
                id: record.id(),
                decision,
                until: request.until.as_second(),
            };
            key.link(&self.address, &claim)
        };
        Ok(Some(Links {
            approve: link(Decision::Approve),
            refuse: link(Decision::Refuse),
        }))
    }
}
