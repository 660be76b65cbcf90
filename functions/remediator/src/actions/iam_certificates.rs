//! IAM.26: no server certificate that has expired.

use jiff::Timestamp;
use orgkeeper_shared::{
    aws_error::{AwsErrorClass, Service},
    remediation::order::Order,
};
use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client,
    refusal::{CallFailed, failed},
    row,
};

/// The action of this file.
pub(super) const ROWS: &[Row] = &[row!("iam-server-certificate", ServerCertificate,
    reads: ["iam:GetServerCertificate" on "{resource}"],
    writes: ["iam:DeleteServerCertificate" on "{resource}"],
    not_undoable: "the private key of a deleted certificate is gone: upload certificate and key again (aws iam \
                   upload-server-certificate)")];

/// IAM.26.
struct ServerCertificate;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CertificateState {
    /// Nothing if it was deleted.
    server_certificate: Option<Certificate>,
    /// When it was read.
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Certificate {
    server_certificate_id: String,
    /// Without a date it is not expired.
    expiration: Option<Timestamp>,
}

impl Action for ServerCertificate {
    type State = CertificateState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<CertificateState, CallFailed> {
        let answer = member_client!(aws_sdk_iam, member)
            .get_server_certificate()
            .server_certificate_name(member.target.leaf())
            .send()
            .await
            .map_err(failed(Service::Iam, "GetServerCertificate"));
        let found = match answer {
            Ok(answer) => answer.server_certificate,
            Err(error) if error.class() == AwsErrorClass::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let metadata = found.and_then(|it| it.server_certificate_metadata);
        Ok(CertificateState {
            server_certificate: metadata.map(|it| Certificate {
                server_certificate_id: it.server_certificate_id,
                expiration: it
                    .expiration
                    .and_then(|time| Timestamp::from_second(time.secs()).ok()),
            }),
            now: member.now,
        })
    }

    fn plan(&self, state: &CertificateState, _order: &Order) -> Plan<CertificateState> {
        let expiration = state.server_certificate.as_ref().map(|it| it.expiration);
        match expiration.flatten() {
            Some(expiration) if expiration < state.now => Plan::Change(CertificateState {
                server_certificate: None,
                now: state.now,
            }),
            _ => Plan::Compliant,
        }
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &CertificateState,
        _after: &CertificateState,
    ) -> Result<(), CallFailed> {
        let deleted = member_client!(aws_sdk_iam, member)
            .delete_server_certificate()
            .server_certificate_name(member.target.leaf())
            .send()
            .await
            .map_err(failed(Service::Iam, "DeleteServerCertificate"));
        match deleted {
            Err(error) if error.class() != AwsErrorClass::NotFound => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::testing::order;

    #[test]
    fn only_what_has_expired_goes() {
        let arn = "arn:aws:iam::111122223333:server-certificate/web/shop";
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
        let state = |expiration: Option<&str>| CertificateState {
            server_certificate: Some(Certificate {
                server_certificate_id: "ASCA1".to_owned(),
                expiration: expiration.map(|it| it.parse().unwrap()),
            }),
            now,
        };
        let gone = CertificateState {
            server_certificate: None,
            now,
        };
        let plan = |state: &CertificateState| ServerCertificate.plan(state, &order("IAM.26", arn));
        let expired = state(Some("2026-11-27T11:59:59Z"));
        assert_eq!(plan(&expired), Plan::Change(gone.clone()));
        for good in [state(Some("2026-11-28T00:00:00Z")), state(None), gone] {
            assert_eq!(plan(&good), Plan::Compliant);
        }
    }
}
