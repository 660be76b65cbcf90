//! What is read out of a message of the findings queue.

use orgkeeper_shared::security_hub::{
    event::{self, UnusableEvent},
    finding::{self, Finding, MalformedFinding},
};

/// Why a message cannot be understood. Says where, never what it holds: that is a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is no event with findings.
    #[error(transparent)]
    Event(#[from] UnusableEvent),
    /// One finding cannot be understood.
    #[error("finding {place} of the event cannot be understood")]
    Malformed {
        /// Place in `detail.findings`, from 0.
        place: usize,
        /// Why.
        #[source]
        reason: MalformedFinding,
    },
}

/// What EventBridge sends in place of findings that are only counted.
const COUNT: &str = r#"{"task":"count"}"#;

/// The findings in the body of a message: every one of `detail.findings`, none if the message is only counted.
///
/// # Errors
/// If anything in it cannot be understood: the message is then of use to a person only.
pub fn findings_in(body: &str) -> Result<Vec<Finding>, Unusable> {
    if body == COUNT {
        return Ok(Vec::new());
    }
    let event = event::read(body)?;
    event
        .findings
        .iter()
        .enumerate()
        .map(|(place, json)| {
            let finding = finding::read(json.get())
                .map_err(|reason| Unusable::Malformed { place, reason })?;
            Ok(Finding {
                seen_at: event.sent_at.clone(),
                ..finding
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, error::Error as _};

    use orgkeeper_shared::{
        account_directory::entry::{AccountEntry, OuPath},
        enrichment::{Style, plan::update},
        security_hub::FindingUpdate,
    };

    use super::*;

    /// A sample event, by the name of its file.
    macro_rules! sample {
        ($name:literal) => {
            findings_in(include_str!(concat!(
                "../../../events/finding-enricher/",
                $name,
                ".json"
            )))
            .unwrap()
        };
    }

    fn only(findings: Vec<Finding>) -> Finding {
        assert_eq!(findings.len(), 1);
        findings.into_iter().next().unwrap()
    }

    fn entry(finding: &Finding) -> AccountEntry {
        AccountEntry {
            account_id: finding.account.clone(),
            name: "lab".into(),
            ou_path: OuPath::default(),
            tags: BTreeMap::from([("Environment".into(), "LAB".into())]),
            security_contact: None,
            refreshed_at: 0,
            state: None,
            gone_since: None,
            earlier_fields: BTreeMap::new(),
            re_enrich_since: None,
            re_enriched_at: None,
            version: 0,
        }
    }

    /// The update of a finding, after a check that every field of others is in it as it was.
    fn enriched(finding: &Finding) -> FindingUpdate {
        let update = update(finding, &entry(finding), &Style::default()).unwrap();
        for (name, value) in &finding.user_defined_fields {
            assert_eq!(
                update.user_defined_fields.get(name),
                Some(value),
                "{name:?}"
            );
        }
        update
    }

    #[test]
    fn both_generations_and_other_products_are_read() {
        for (finding, id_part, product_part) in [
            (
                sample!("imported-consolidated"),
                "security-control/S3.1/finding/",
                "aws/securityhub",
            ),
            (
                sample!("imported-per-standard"),
                "subscription/aws-foundational",
                "aws/securityhub",
            ),
            (
                sample!("imported-third-party"),
                "prowler-",
                "prowler/prowler",
            ),
            (
                sample!("one-control-of-four-standards"),
                "security-control/KMS.4/",
                "aws/securityhub",
            ),
            (
                sample!("partner-product"),
                "scan 2026/10 #17: ünïcode ✓ \"quoted\" <b>&amp;</b> 漢字 مرحبا",
                "303132333435:product/plover-labs/hedge",
            ),
            (
                sample!("own-product"),
                "home-made/1",
                "product/777788889999/default",
            ),
            (
                sample!("another-region"),
                "ap-southeast-2",
                "ap-southeast-2::product/aws/securityhub",
            ),
        ] {
            let finding = only(finding);
            assert!(finding.id.id.contains(id_part), "{finding:?}");
            assert!(
                finding.id.product_arn.ends_with(product_part),
                "{finding:?}"
            );
            assert_eq!(finding.account, finding.publisher);
            assert!(!finding.seen_at.is_empty());
        }
    }

    #[test]
    fn large_and_unknown_resources_do_not_matter() {
        for (findings, account) in [
            (sample!("database-and-its-key"), "777788889999"),
            (sample!("function-with-vulnerable-code"), "111122223333"),
            (sample!("attack-sequence"), "444455556666"),
            (sample!("unknown-kind-of-resource"), "111122223333"),
            (sample!("resource-of-another-cloud"), "444455556666"),
            (sample!("empty-details"), "777788889999"),
        ] {
            assert_eq!(only(findings).account.as_str(), account);
        }
    }

    #[test]
    fn what_an_administrator_publishes_is_about_the_owner() {
        for (findings, owner) in [
            (sample!("unused-role-of-a-member"), "777788889999"),
            (sample!("macie-object-of-a-member"), "444455556666"),
        ] {
            let finding = only(findings);
            assert_eq!(finding.account.as_str(), owner);
            assert_eq!(finding.publisher.as_str(), "999900001111");
            let update = enriched(&finding);
            assert_eq!(update.user_defined_fields["AccountId"], owner);
            assert_eq!(update.user_defined_fields["PublishedBy"], "999900001111");
            let note = update.note.unwrap().text;
            assert!(note.contains(&format!("Account lab ({owner})")), "{note}");
            assert!(note.contains("published by account 999900001111"), "{note}");
        }
    }

    #[test]
    fn an_account_that_is_only_mentioned_is_not_the_owner() {
        for (findings, account) in [
            (sample!("mentioned-caller"), "111122223333"),
            (sample!("mentioned-registry"), "777788889999"),
            (sample!("mentioned-role"), "444455556666"),
        ] {
            let finding = only(findings);
            assert_eq!(finding.account.as_str(), account);
            assert_eq!(finding.publisher.as_str(), account);
        }
    }

    #[test]
    fn findings_of_different_accounts_in_one_event_are_separate() {
        let findings = sample!("member-and-invited-account");
        let accounts: Vec<&str> = findings
            .iter()
            .map(|finding| finding.account.as_str())
            .collect();
        assert_eq!(accounts, ["111122223333", "222233334444"]);
    }

    #[test]
    fn an_invited_account_is_said_not_to_be_in_the_organization() {
        for findings in [
            sample!("invited-account"),
            sample!("invited-account-second-finding"),
            sample!("invited-account-third-finding"),
            sample!("invited-account-fourth-finding"),
        ] {
            let finding = only(findings);
            let invited = AccountEntry {
                name: String::new(),
                tags: BTreeMap::new(),
                gone_since: Some(1),
                ..entry(&finding)
            };
            let update = update(&finding, &invited, &Style::default()).unwrap();
            let expected = [
                ("AccountState", "NOT_IN_ORGANIZATION"),
                ("findingEnriched", "True"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(update.user_defined_fields, BTreeMap::from(expected));
            assert_eq!(
                update.note.unwrap().text,
                "Account 222233334444 is not in the organization."
            );
        }
    }

    #[test]
    fn the_note_of_a_person_and_the_fields_of_a_robot_stay() {
        let newer = only(sample!("note-of-a-person"));
        let update = enriched(&newer);
        assert_eq!(update.note, None);
        assert_eq!(
            update.user_defined_fields["owner-says"],
            "shared on purpose"
        );
        let older = only(sample!("note-of-a-person-older-event"));
        assert_eq!(older.id, newer.id);
        assert!(older.seen_at < newer.seen_at);
        enriched(&only(sample!("fields-of-a-robot")));
    }

    #[test]
    fn fields_with_our_names_and_blanks_stay_as_they_are() {
        let update = enriched(&only(sample!("fields-with-our-names")));
        for (name, value) in [
            ("AccountName", "lab"),
            ("orgkeeper:OUPath", "Root"),
            ("orgkeeper:Environment", "LAB"),
        ] {
            assert_eq!(update.user_defined_fields[name], value);
        }
        let blanks = only(sample!("blanks-in-fields"));
        assert_eq!(blanks.user_defined_fields["windows"], "a\r\nb\r\n");
        assert_eq!(blanks.user_defined_fields[" name with blanks "], "x");
        assert_eq!(enriched(&blanks).user_defined_fields.len(), 6 + 5);
    }

    #[test]
    fn forty_six_fields_of_others_stay_and_what_does_not_fit_is_named() {
        let finding = only(sample!("forty-six-fields"));
        assert_eq!(finding.user_defined_fields.len(), 46);
        let update = enriched(&finding);
        assert_eq!(update.user_defined_fields.len(), 50);
        assert_eq!(update.user_defined_fields["AccountName"], "lab");
        assert_eq!(
            update.user_defined_fields["enrichmentNotShown"],
            "not shown or cut: OUPath, Environment"
        );
    }

    #[test]
    fn what_is_only_counted_has_no_findings() {
        assert_eq!(findings_in(r#"{"task":"count"}"#).unwrap(), []);
    }

    #[test]
    fn every_finding_of_an_event_is_read() {
        let body = r#"{"time":"2026-03-01T10:15:30Z","detail":{"findings":[
            {"Id":"a","ProductArn":"p","AwsAccountId":"111122223333","Note":null},
            {"Id":"b","ProductArn":"p","AwsAccountId":"444455556666",
             "Note":{"Text":"mine","UpdatedBy":"ana","UpdatedAt":"2026-03-01T10:00:00Z"},
             "UserDefinedFields":{"ticket":"SEC-1","count":2,"nothing":null}}]}}"#;
        let findings = findings_in(body).unwrap();
        assert_eq!(findings[0].note, None);
        assert_eq!(findings[1].note.as_ref().unwrap().updated_by, "ana");
        assert_eq!(findings[1].seen_at, "2026-03-01T10:15:30Z");
        assert_eq!(
            findings[1].user_defined_fields,
            BTreeMap::from([
                ("count".into(), "2".into()),
                ("ticket".into(), "SEC-1".into())
            ])
        );
    }

    #[test]
    fn a_malformed_message_is_reported_without_repeating_it() {
        for (body, expected) in [
            (" ", "the message is empty"),
            ("secret", "(line 1, column 1)"),
            (
                r#"{"detail":{"findings":"secret"}}"#,
                "no Security Hub event",
            ),
            (r#"{"Records":[]}"#, "no Security Hub event"),
            (r#"{"detail":{"findings":[]}}"#, "is empty"),
            (
                r#"{"detail":{"findings":["secret"]}}"#,
                "finding 0 of the event cannot be understood: it is no object",
            ),
            (
                r#"{"detail":{"findings":[{"Id":"a","ProductArn":"p"}]}}"#,
                "`AwsAccountId`",
            ),
            (
                r#"{"detail":{"findings":[{"Id":"a","ProductArn":"p","AwsAccountId":"secret"}]}}"#,
                "`AwsAccountId`",
            ),
            (
                r#"{"detail":{"findings":[{"Id":" ","ProductArn":"p","AwsAccountId":"111122223333"}]}}"#,
                "`Id`",
            ),
        ] {
            let error = findings_in(body).unwrap_err();
            let error = match error.source() {
                Some(reason) => format!("{error}: {reason}"),
                None => error.to_string(),
            };
            assert!(error.contains(expected), "{body}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(body in ".*") {
            let _ = findings_in(&body);
        }
    }
}
