//! Account.1: a security contact.

use aws_sdk_account::types::AlternateContactType;
use orgkeeper_shared::{
    aws_error::{AwsErrorClass, Service},
    remediation::order::Order,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client, parameters,
    refusal::{CallFailed, failed},
    row,
};

/// The action of this file.
pub(super) const ROWS: &[Row] = &[row!("account-security-contact", SecurityContact,
    reads: ["account:GetAlternateContact" on "arn:{partition}:account::{account}:account"],
    writes: ["account:PutAlternateContact" on "arn:{partition}:account::{account}:account"],
    undo: ["account:DeleteAlternateContact" on "arn:{partition}:account::{account}:account"])];

/// Account.1.
struct SecurityContact;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContactState {
    /// The contact's fingerprint: states are shown in alerts and on findings, a person's address is not.
    security_contact: Option<String>,
}

/// A contact; AWS asks for all of it.
struct Contact<'a> {
    name: &'a str,
    title: &'a str,
    email: &'a str,
    phone: &'a str,
}

impl Contact<'_> {
    fn fingerprint(&self) -> String {
        let parts = [self.name, self.title, self.email, self.phone].join("\n");
        let hash = Sha256::digest(parts);
        format!("set ({})", hex::encode(&hash[..6]))
    }
}

/// The contact of the playbook.
fn contact(order: &Order) -> Option<Contact<'_>> {
    Some(Contact {
        name: parameters::text(order, "contact_name")?,
        title: parameters::text(order, "contact_title")?,
        email: parameters::text(order, "contact_email")?,
        phone: parameters::text(order, "contact_phone")?,
    })
}

/// The account as the call names it: only the management account may.
fn named(member: &Member) -> Option<String> {
    member.named.as_ref().map(ToString::to_string)
}

impl Action for SecurityContact {
    type State = ContactState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<ContactState, CallFailed> {
        let answer = member_client!(aws_sdk_account, member)
            .get_alternate_contact()
            .set_account_id(named(member))
            .alternate_contact_type(AlternateContactType::Security)
            .send()
            .await
            .map_err(failed(Service::Account, "GetAlternateContact"));
        let contact = match answer {
            Ok(answer) => answer.alternate_contact,
            Err(error) if error.class() == AwsErrorClass::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let text = |part: Option<String>| part.unwrap_or_default();
        let security_contact = contact.map(|contact| {
            let (name, title) = (text(contact.name), text(contact.title));
            let (email, phone) = (text(contact.email_address), text(contact.phone_number));
            let contact = Contact {
                name: &name,
                title: &title,
                email: &email,
                phone: &phone,
            };
            contact.fingerprint()
        });
        Ok(ContactState { security_contact })
    }

    fn plan(&self, state: &ContactState, order: &Order) -> Plan<ContactState> {
        if state.security_contact.is_some() {
            return Plan::Compliant;
        }
        match contact(order) {
            Some(contact) => Plan::Change(ContactState {
                security_contact: Some(contact.fingerprint()),
            }),
            None => Plan::Blocked(
                "it is not known who the security contact is: name it for this control by the parameters contact_name, \
                 contact_title, contact_email and contact_phone"
                    .to_owned(),
            ),
        }
    }

    async fn apply(
        &self,
        member: &Member,
        order: &Order,
        _before: &ContactState,
        after: &ContactState,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_account, member);
        let kind = AlternateContactType::Security;
        let contact = contact(order).filter(|_| after.security_contact.is_some());
        let Some(contact) = contact else {
            client
                .delete_alternate_contact()
                .set_account_id(named(member))
                .alternate_contact_type(kind)
                .send()
                .await
                .map_err(failed(Service::Account, "DeleteAlternateContact"))?;
            return Ok(());
        };
        client
            .put_alternate_contact()
            .set_account_id(named(member))
            .alternate_contact_type(kind)
            .name(contact.name)
            .title(contact.title)
            .email_address(contact.email)
            .phone_number(contact.phone)
            .send()
            .await
            .map_err(failed(Service::Account, "PutAlternateContact"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests::account_order;

    #[test]
    fn a_contact_is_set_only_as_the_playbook_has_it_and_shown_to_nobody() {
        let none = ContactState {
            security_contact: None,
        };
        let whole = [
            ("contact_name", "Sam Example"),
            ("contact_title", "Security"),
            ("contact_email", "security@example.com"),
            ("contact_phone", "+1 555 0100"),
        ];
        let Plan::Change(after) = SecurityContact.plan(&none, &account_order("Account.1", &whole))
        else {
            panic!("no change");
        };
        let shown = after.security_contact.clone().unwrap();
        assert!(
            shown.starts_with("set (") && !shown.contains("example"),
            "{shown}"
        );
        let plan = |parameters: &[(&str, &str)], state: &ContactState| {
            SecurityContact.plan(state, &account_order("Account.1", parameters))
        };
        assert_eq!(plan(&whole, &after), Plan::Compliant);
        for missing in 0..whole.len() {
            let mut part = whole.to_vec();
            part.remove(missing);
            assert!(matches!(plan(&part, &none), Plan::Blocked(_)));
        }
    }
}
