//! How severe an alert is: kind × outcome × actor × content. Each kind has a table of rows; the first row that fits
//! decides.

use orgkeeper_shared::alert::Severity;

use crate::{actor::ActorClass, outcome::Outcome};

/// What an alert is about, as far as it decides how severe it is: "gives every right".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// In words, for the table in `docs/alerts.md`.
    pub label: &'static str,
    /// The weight beside alerts of the same kind and severity.
    pub weight: u8,
}

impl Content {
    /// Content with these words.
    #[must_use]
    pub const fn new(label: &'static str) -> Self {
        Self {
            label,
            weight: ORDINARY,
        }
    }

    /// Content that is not held back behind what has none of its kind.
    #[must_use]
    pub const fn grave(label: &'static str) -> Self {
        Self {
            label,
            weight: GRAVE,
        }
    }
}

/// The weight of what did not happen.
pub const NOTHING: u8 = 0;
/// The weight of what happened.
pub const ORDINARY: u8 = 1;
/// The weight of what gives power, opens something or weakens a sign-in.
pub const GRAVE: u8 = 2;

/// A row of a kind's severities. What it does not name fits everything.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The severity of the alerts that it fits.
    pub severity: Severity,
    /// Whether a rule for the kind leaves this severity alone.
    pub fixed: bool,
    outcome: Option<Outcome>,
    actor: Option<ActorClass>,
    content: Option<Content>,
}

/// A row that fits every alert.
#[must_use]
pub const fn row(severity: Severity) -> Row {
    Row {
        severity,
        fixed: false,
        outcome: None,
        actor: None,
        content: None,
    }
}

/// What does not exist cannot be harmed.
pub const NOT_THERE: Row = row(Severity::Info).outcome(Outcome::NotThere).fixed();
/// Nothing was changed, but somebody tried.
pub const DENIED: Row = row(Severity::Error).outcome(Outcome::Denied);
/// A service's own role does what the organization asked the service for.
pub const BY_A_SERVICE: Row = row(Severity::Info).by(ActorClass::AwsService).fixed();
/// What a deployment does was reviewed before.
pub const BY_A_DEPLOYMENT: Row = row(Severity::Info).by(ActorClass::DeploymentTool).fixed();

impl Row {
    /// Fits only calls that ended like this.
    #[must_use]
    pub const fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Fits only what these actors did.
    #[must_use]
    pub const fn by(mut self, actor: ActorClass) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Fits only alerts with this content.
    #[must_use]
    pub const fn content(mut self, content: Content) -> Self {
        self.content = Some(content);
        self
    }

    /// A rule for the kind leaves this severity alone.
    #[must_use]
    pub const fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }

    fn fits(&self, decisive: Decisive) -> bool {
        let Decisive {
            outcome,
            actor,
            content,
        } = decisive;
        self.outcome.is_none_or(|wanted| wanted == outcome)
            && self.actor.is_none_or(|wanted| Some(wanted) == actor)
            && self.content.is_none_or(|wanted| Some(wanted) == content)
    }

    /// Whether it fits every alert.
    #[must_use]
    pub fn fits_all(&self) -> bool {
        self.outcome.is_none() && self.actor.is_none() && self.content.is_none()
    }

    /// When it fits, in words; empty if it fits every alert.
    #[must_use]
    pub fn condition(&self) -> String {
        let outcome = self.outcome.map(|outcome| match outcome {
            Outcome::Done => "done",
            Outcome::Denied => "denied",
            Outcome::NotThere => "it does not exist",
            Outcome::Failed => "failed",
        });
        let parts = [
            self.content.map(|content| content.label),
            outcome,
            self.actor.map(ActorClass::by),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// What decides how severe an alert of a kind is.
#[derive(Clone, Copy, Debug)]
pub struct Decisive {
    /// How the call ended.
    pub outcome: Outcome,
    /// Who made it, as far as that is known.
    pub actor: Option<ActorClass>,
    /// What it is about.
    pub content: Option<Content>,
}

/// The row of a kind that decides.
#[must_use]
pub fn decide(rows: &[Row], decisive: Decisive) -> Row {
    let found = rows.iter().copied().find(|row| row.fits(decisive));
    // A test holds that the last row of each kind fits everything.
    found.unwrap_or(row(Severity::Error))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use crate::{
        draft::Draft,
        event::Event,
        kinds::{self, classifier::Classification, root_use},
        rules::Rules,
    };

    fn draft(event: &Value) -> Draft {
        let event = Event::read(&event.to_string(), "1", Timestamp::UNIX_EPOCH);
        match kinds::classify(&event) {
            Classification::Alert(draft) => *draft,
            Classification::NotReported => panic!("not reported"),
        }
    }

    fn severity(event: &Value) -> &'static str {
        let verdict = Rules::default()
            .judge(&draft(event), None, Timestamp::UNIX_EPOCH)
            .severity;
        verdict.word()
    }

    /// Who makes the call: the rest of the record beside the call itself.
    fn by(who: &str) -> Value {
        let role = |arn: &str, name: &str, service: Value| {
            json!({ "userIdentity": { "type": "AssumedRole", "invokedBy": service,
                "arn": format!("arn:aws:sts::111122223333:assumed-role/{name}/x"),
                "sessionContext": { "sessionIssuer": { "arn": format!("arn:aws:iam::111122223333:role/{arn}"),
                    "userName": name } } } })
        };
        match who {
            "person" => role("Admin", "Admin", Value::Null),
            "person through CloudFormation" => {
                role("Admin", "Admin", "cloudformation.amazonaws.com".into())
            }
            "cdk" => role(
                "cdk-x-cfn-exec-role-1",
                "cdk-x-cfn-exec-role-1",
                "cloudformation.amazonaws.com".into(),
            ),
            "service-linked" => role(
                "aws-service-role/securityhub.amazonaws.com/AWSServiceRoleForSecurityHub",
                "AWSServiceRoleForSecurityHub",
                Value::Null,
            ),
            "imitation" => role(
                "AWSServiceRoleForSecurityHub",
                "AWSServiceRoleForSecurityHub",
                Value::Null,
            ),
            "control tower" => role(
                "AWSControlTowerExecution",
                "AWSControlTowerExecution",
                "cloudformation.amazonaws.com".into(),
            ),
            "person as control tower" => role(
                "AWSControlTowerExecution",
                "AWSControlTowerExecution",
                Value::Null,
            ),
            "service" => {
                json!({ "userIdentity": { "type": "AWSService", "invokedBy": "config.amazonaws.com" } })
            }
            other => panic!("{other}"),
        }
    }

    fn call(service: &str, operation: &str, who: &str, request: Value, error: &str) -> Value {
        let mut detail = by(who);
        detail["eventSource"] = format!("{service}.amazonaws.com").into();
        detail["eventName"] = operation.into();
        detail["requestParameters"] = request;
        if !error.is_empty() {
            detail["errorCode"] = error.into();
        }
        json!({ "detail-type": "AWS API Call via CloudTrail", "source": format!("aws.{service}"), "detail": detail })
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn a_change_of_the_audit_trail_is_as_severe_as_what_it_does_and_who_does_it() {
        let off = || json!({ "enable": false });
        for (service, operation, who, request, error, wanted) in [
            (
                "cloudtrail",
                "StopLogging",
                "person",
                json!({ "name": "t" }),
                "",
                "critical",
            ),
            (
                "cloudtrail",
                "StopLogging",
                "person",
                json!({ "name": "t" }),
                "AccessDenied",
                "critical",
            ),
            (
                "cloudtrail",
                "StopLogging",
                "person",
                json!({ "name": "t" }),
                "TrailNotFoundException",
                "info",
            ),
            (
                "cloudtrail",
                "StopLogging",
                "person through CloudFormation",
                json!({ "name": "t" }),
                "",
                "critical",
            ),
            (
                "cloudtrail",
                "DeleteTrail",
                "cdk",
                json!({ "name": "t" }),
                "",
                "error",
            ),
            (
                "cloudtrail",
                "UpdateTrail",
                "cdk",
                json!({ "name": "t" }),
                "",
                "info",
            ),
            (
                "cloudtrail",
                "UpdateTrail",
                "person",
                json!({ "name": "t", "isMultiRegionTrail": true }),
                "",
                "critical",
            ),
            (
                "cloudtrail",
                "UpdateTrail",
                "cdk",
                json!({ "isMultiRegionTrail": false }),
                "",
                "error",
            ),
            (
                "config",
                "PutConfigurationRecorder",
                "control tower",
                json!({}),
                "",
                "info",
            ),
            (
                "config",
                "StopConfigurationRecorder",
                "control tower",
                json!({}),
                "",
                "info",
            ),
            (
                "config",
                "StopConfigurationRecorder",
                "person as control tower",
                json!({}),
                "",
                "critical",
            ),
            (
                "config",
                "PutDeliveryChannel",
                "service",
                json!({}),
                "",
                "info",
            ),
            (
                "guardduty",
                "UpdateDetector",
                "person",
                json!({ "enable": true }),
                "",
                "info",
            ),
            (
                "guardduty",
                "UpdateDetector",
                "person",
                off(),
                "",
                "critical",
            ),
            (
                "guardduty",
                "UpdateDetector",
                "person",
                json!({ "enable": true, "features": [{ "name": "S3", "status": "DISABLED" }] }),
                "",
                "critical",
            ),
            (
                "guardduty",
                "UpdateDetector",
                "imitation",
                off(),
                "",
                "critical",
            ),
            (
                "guardduty",
                "UpdateDetector",
                "service-linked",
                off(),
                "",
                "info",
            ),
            (
                "guardduty",
                "UpdateFilter",
                "person",
                json!({ "action": "ARCHIVE" }),
                "",
                "critical",
            ),
            (
                "securityhub",
                "UpdateStandardsControl",
                "person",
                json!({ "ControlStatus": "ENABLED" }),
                "",
                "info",
            ),
            (
                "securityhub",
                "UpdateStandardsControl",
                "person",
                json!({ "ControlStatus": "DISABLED" }),
                "",
                "critical",
            ),
        ] {
            let event = call(service, operation, who, request, error);
            assert_eq!(severity(&event), wanted, "{event}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn what_grants_power_outranks_what_does_not() {
        let policy = |statement: Value| json!({ "policyDocument": json!({ "Statement": statement }).to_string() });
        let attach = |name: &str| json!({ "userName": "ana", "policyArn": format!("arn:aws:iam::aws:policy/{name}") });
        let everything = || policy(json!({ "Effect": "Allow", "Action": "*", "Resource": "*" }));
        let trust = |principal: Value| {
            policy(json!({ "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole" }))
        };
        for (operation, who, request, error, wanted) in [
            (
                "AttachUserPolicy",
                "person",
                attach("ReadOnlyAccess"),
                "",
                "error",
            ),
            (
                "AttachUserPolicy",
                "person",
                attach("AdministratorAccess"),
                "",
                "critical",
            ),
            (
                "AttachUserPolicy",
                "person",
                attach("AdministratorAccess"),
                "AccessDenied",
                "error",
            ),
            (
                "AttachUserPolicy",
                "person",
                attach("AdministratorAccess"),
                "NoSuchEntityException",
                "info",
            ),
            (
                "AttachUserPolicy",
                "cdk",
                attach("AdministratorAccess"),
                "",
                "info",
            ),
            (
                "AttachUserPolicy",
                "person",
                attach("AWSCompromisedKeyQuarantineV2"),
                "",
                "critical",
            ),
            (
                "AttachUserPolicy",
                "service",
                attach("AWSCompromisedKeyQuarantineV9"),
                "",
                "critical",
            ),
            (
                "DetachUserPolicy",
                "person",
                attach("AdministratorAccess"),
                "",
                "error",
            ),
            ("PutUserPolicy", "person", everything(), "", "critical"),
            (
                "CreatePolicyVersion",
                "person",
                everything(),
                "",
                "critical",
            ),
            ("PutUserPolicy", "person", policy(json!([])), "", "error"),
            (
                "UpdateAssumeRolePolicy",
                "person",
                trust(json!("*")),
                "",
                "critical",
            ),
            (
                "UpdateAssumeRolePolicy",
                "cdk",
                trust(json!("*")),
                "",
                "error",
            ),
            (
                "UpdateAssumeRolePolicy",
                "person",
                trust(json!({ "AWS": "444455556666" })),
                "",
                "critical",
            ),
            (
                "UpdateAssumeRolePolicy",
                "person",
                trust(json!({ "Service": "lambda.amazonaws.com" })),
                "",
                "error",
            ),
            ("ChangePassword", "person", json!({}), "", "info"),
            (
                "DeactivateMFADevice",
                "person",
                json!({ "userName": "ana" }),
                "",
                "error",
            ),
            ("CreateRole", "control tower", json!({}), "", "info"),
        ] {
            let event = call("iam", operation, who, request, error);
            assert_eq!(severity(&event), wanted, "{event}");
        }
        let lighter = draft(&call("iam", "CreateUser", "person", json!({}), ""));
        let heavier = draft(&call("iam", "DeactivateMFADevice", "person", json!({}), ""));
        assert!(heavier.weight > lighter.weight);
    }

    #[test]
    fn an_account_of_the_organization_is_no_stranger() {
        let trust = json!({ "policyDocument": json!({ "Statement": { "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": { "AWS": ["444455556666", "777788889999"] } } }).to_string() });
        let event = call("iam", "UpdateAssumeRolePolicy", "person", trust, "");
        let judged = |names: &[(&str, &str)]| {
            let mut draft = draft(&event);
            let names = names
                .iter()
                .map(|(id, name)| (id.parse().unwrap(), (*name).to_owned()))
                .collect();
            draft.know_trusted(&names, false);
            let verdict = Rules::default()
                .judge(&draft, None, Timestamp::UNIX_EPOCH)
                .severity;
            let text = draft.alert(None, verdict).text();
            (verdict.word(), text)
        };
        let (word, text) = judged(&[("777788889999", "audit")]);
        assert_eq!(word, "critical");
        assert!(
            text.contains(
                "account 444455556666, which is outside of the organization; audit (777788889999)"
            ),
            "{text}"
        );
        let (word, text) = judged(&[("777788889999", "audit"), ("444455556666", "shared")]);
        assert_eq!(word, "error");
        assert!(!text.contains("outside"), "{text}");
    }

    #[test]
    fn who_is_recorded_as_root_is_told_as_what_they_are() {
        let root = |more: Value| {
            let mut identity = json!({ "type": "Root", "arn": "arn:aws:iam::111122223333:root",
                "accessKeyId": "ASIAEXAMPLETASK0001" });
            identity
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            json!({ "detail-type": "AWS API Call via CloudTrail", "detail": { "userIdentity": identity,
                "eventSource": "sqs.amazonaws.com", "eventName": "ListQueues" } })
        };
        let assumed = json!({ "sessionContext": { "assumedRoot": "true" } });
        for (more, wanted, words) in [
            (json!({}), "critical", "Root user called"),
            (assumed, "error", "Central root session called"),
            (
                json!({ "identityProvider": "idp.example.com", "userName": "mara" }),
                "error",
                "Federated user called",
            ),
            (
                json!({ "invokedBy": "support.amazonaws.com" }),
                "info",
                "AWS service as root called",
            ),
        ] {
            let event = root(more);
            assert_eq!(severity(&event), wanted, "{event}");
            assert!(
                draft(&event).headline.starts_with(words),
                "{}",
                draft(&event).headline
            );
        }
        // The session is known by its key only.
        let mut draft = draft(&root(json!({})));
        assert_eq!(draft.session_key.as_deref(), Some("ASIAEXAMPLETASK0001"));
        root_use::attribute(&mut draft, Some("role RootTasks (session mara)"));
        let verdict = Rules::default()
            .judge(&draft, None, Timestamp::UNIX_EPOCH)
            .severity;
        let text = draft.alert(None, verdict).text();
        assert_eq!(verdict.word(), "error");
        assert!(
            text.contains(
                "The central root session that role RootTasks (session mara) opened called sqs"
            ),
            "{text}"
        );
        assert!(!text.contains("recover the root password"), "{text}");
    }
}
