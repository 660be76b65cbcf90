//! Events of AWS Health about an account.

mod leaked_key;

use orgkeeper_shared::alert::Severity;

use crate::{
    console,
    draft::{Cause, Draft},
    event::{Event, text_of},
    event_rule::EventRule,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
    severity::{Content, row},
    text::name_of,
};

const OVER: Content = Content::new("it is over");
const LEAKED_KEY: Content = Content::grave("a key or a password has leaked");
const ABUSE: Content = Content::grave("a report of abuse");
const ISSUE: Content = Content::new("an issue");
const NOTICE: Content = Content::new("a notice");

/// An event of AWS Health.
pub const KIND: &Kind = &Kind {
    name: "health.event",
    plural: "AWS Health events",
    severities: &[
        row(Severity::Info).content(OVER).fixed(),
        row(Severity::Critical).content(LEAKED_KEY).fixed(),
        row(Severity::Error).content(ABUSE),
        row(Severity::Error).content(ISSUE),
        row(Severity::Info),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "an event of AWS Health, once for all accounts that it is about",
    rules: &[EventRule::of(
        "Health",
        "AWS Health events",
        r#"{"source":["aws.health"]}"#,
    )],
    calls: &[],
    samples: &[
        "health-abuse",
        "health-change",
        "health-issue",
        "health-leaked-key",
        "health-over",
        "health-page",
        "health-public",
    ],
    classify,
};

/// Resources that are named.
const NAMED: usize = 10;
/// Members of the metadata that are named.
const MEMBERS: usize = 10;
/// Members of the metadata that say nothing to people.
const SILENT: &[&str] = &["accountId", "truncated"];

/// Words for each category of event, and its content.
const CATEGORIES: &[(&str, &str, Content)] = &[
    ("issue", "issue", ISSUE),
    ("investigation", "problem under investigation", ISSUE),
    ("scheduledChange", "scheduled change", NOTICE),
    ("accountNotification", "notification", NOTICE),
];

/// Words of event codes that are written in capitals.
const CAPITALS: &[&str] = &[
    "acm", "ami", "api", "az", "cpu", "ddos", "dns", "dos", "ebs", "ec2", "efs", "eks", "elb",
    "iam", "ip", "kms", "mfa", "rds", "s3", "sns", "sqs", "ssl", "tls", "vpc", "vpn",
];

const ABUSE_TO_DO: &str = "Answer AWS before its deadline: it can suspend what it reported. Find the resource, and who \
    runs it.";
const ISSUE_TO_DO: &str =
    "Check whether your workloads there are affected, and follow the event until AWS closes it.";
const READ: &str = "Read it, and do what it asks for by its date.";

/// How much an event matters.
fn content(event: &Event, is_abuse: bool) -> Content {
    let category = event.value("/detail/eventTypeCategory").unwrap_or_default();
    let of_category = CATEGORIES.iter().find(|(name, ..)| *name == category);
    match of_category {
        _ if event.is("/detail/statusCode", "closed") => OVER,
        _ if leaked_key::is_reported(event) => LEAKED_KEY,
        _ if is_abuse => ABUSE,
        Some((.., content)) => *content,
        None => NOTICE,
    }
}

/// Classifies an event of AWS Health.
fn classify(event: &Event) -> Option<Classification> {
    let is_abuse = event.is("/detail-type", "AWS Health Abuse Event");
    let is_health = is_abuse || event.is("/source", "aws.health");
    if !is_health {
        return None;
    }
    let detail = |name: &str| event.value(&format!("/detail/{name}"));
    let is_abuse = is_abuse || event.is("/detail/service", "ABUSE");
    let content = content(event, is_abuse);
    let category = category(event);
    let mut draft = Draft::of(event, KIND, headline(event, is_abuse, category));
    if !leaked_key::is_reported(event) {
        draft.before_account = " for ";
    }
    draft.account = event.account(&["/detail/affectedAccount"]);
    draft.region = event.region(&["/detail/eventRegion"]);
    draft.time = event.time(&["/detail/lastUpdatedTime", "/detail/startTime"]);
    draft.is_about(content);
    draft.what_happened(description(event).unwrap_or_else(|| format!("AWS reports: {category}.")));
    draft.detail("Event", detail("eventTypeCode"));
    draft.detail(
        "Category",
        (!category.is_empty()).then(|| category.to_owned()),
    );
    if leaked_key::is_reported(event) {
        leaked_key::describe(&mut draft, event);
    }
    draft.detail("Resources", resources(event));
    let page = pages(event).map(|(page, all)| format!("{page} of {all}: each has other resources"));
    draft.detail("Page", page);
    draft.detail("More", more(event));
    draft.detail("Begins", event.readable_time("/detail/startTime"));
    draft.detail("Ends", event.readable_time("/detail/endTime"));
    match content {
        LEAKED_KEY => draft.what_to_do(leaked_key::to_do(event)),
        ABUSE => draft.what_to_do(ABUSE_TO_DO),
        ISSUE => draft.what_to_do(ISSUE_TO_DO),
        NOTICE => draft.what_to_do(READ),
        _ => {}
    }
    draft.link = detail("eventArn")
        .as_deref()
        .and_then(console::health_event);
    if let Some(key) = key(event, &draft) {
        draft.key = key;
    }
    if event.is("/detail/eventScopeCode", "PUBLIC") {
        draft.cause = cause(event, &draft);
    }
    if draft.cause.is_some() {
        // It is about every account that it is delivered for.
        draft.before_account = "";
    }
    draft.burst_key = detail("eventTypeCode").unwrap_or_default();
    Some(draft.into())
}

fn category(event: &Event) -> &'static str {
    let category = event.value("/detail/eventTypeCategory").unwrap_or_default();
    let words = CATEGORIES.iter().find(|(name, ..)| *name == category);
    words.map_or("event", |(_, words, _)| words)
}

/// The headline: service, code in words and Region.
fn headline(event: &Event, is_abuse: bool, category: &str) -> String {
    let over = match event.is("/detail/statusCode", "closed") {
        true if leaked_key::is_reported(event) => " (closed by AWS)",
        true => " is over",
        false => "",
    };
    if leaked_key::is_reported(event) {
        return format!("{}{over}", leaked_key::headline(event));
    }
    let region = event.known_region(&["/detail/eventRegion"]);
    let region = match region.filter(|_| event.value("/detail/eventRegion").is_some()) {
        Some(region) if region == "global" => " (global)".to_owned(),
        Some(region) => format!(" in {region}"),
        None => String::new(),
    };
    let page = pages(event).map_or(String::new(), |(page, all)| {
        format!(" (page {page} of {all})")
    });
    let service = event.value("/detail/service");
    let code = event.value("/detail/eventTypeCode");
    let words = code.map(|code| in_words(&code, service.as_deref().unwrap_or_default()));
    let words = words.filter(|words| !words.is_empty());
    if is_abuse {
        let words = words.map_or(String::new(), |words| format!(": {words}"));
        format!("AWS reports abuse{words}{region}{over}{page}")
    } else {
        let service = service.unwrap_or_else(|| "AWS".to_owned());
        let words = words.unwrap_or_else(|| category.to_owned());
        format!("AWS Health: {service} {words}{region}{over}{page}")
    }
}

/// The code of an event in words, without its service: `AWS_EC2_OPERATIONAL_ISSUE` -> `operational issue`.
fn in_words(code: &str, service: &str) -> String {
    let code = code.strip_prefix("AWS_").unwrap_or(code);
    let code = code
        .strip_prefix(service)
        .and_then(|rest| rest.strip_prefix('_'))
        .unwrap_or(code);
    let words: Vec<String> = code
        .split('_')
        .filter(|word| !word.is_empty())
        .map(|word| {
            let small = word.to_lowercase();
            if CAPITALS.contains(&small.as_str()) {
                word.to_uppercase()
            } else {
                small
            }
        })
        .collect();
    words.join(" ")
}

/// Equal for the messages that report the same thing: AWS sends an event to a second Region too, and page by page.
/// `None` if the event does not say which it is.
fn key(event: &Event, draft: &Draft) -> Option<String> {
    let detail = |name: &str| event.value(&format!("/detail/{name}"));
    let account = draft.account.as_ref()?;
    let report = detail("communicationId").or_else(|| {
        let parts = ["eventArn", "statusCode", "lastUpdatedTime"].map(detail);
        let parts: Option<Vec<String>> = parts.into_iter().collect();
        Some(parts?.join("#"))
    })?;
    let page = detail("page").unwrap_or_else(|| "1".to_owned());
    Some(format!("{report}#{page}#{account}"))
}

/// The event, wherever it comes up.
fn cause(event: &Event, draft: &Draft) -> Option<Cause> {
    let arn = event.value("/detail/eventArn")?;
    let status = event.value("/detail/statusCode").unwrap_or_default();
    Some(Cause {
        key: format!("{arn}#{status}"),
        place: draft.account.as_ref()?.to_string(),
    })
}

/// Which page of how many, if there are several.
fn pages(event: &Event) -> Option<(String, String)> {
    let all = event.value("/detail/totalPages").filter(|all| all != "1")?;
    Some((event.value("/detail/page")?, all))
}

/// What else the event says about itself.
fn more(event: &Event) -> Option<String> {
    let has_lines = leaked_key::is_reported(event);
    let members = event.members("/detail/eventMetadata").into_iter();
    let members: Vec<String> = members
        .filter(|(name, _)| !SILENT.contains(&name.as_str()))
        .filter(|(name, _)| !(has_lines && leaked_key::is_known(name)))
        .take(MEMBERS)
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    (!members.is_empty()).then(|| members.join(", "))
}

/// AWS's description, in English if there is one.
fn description(event: &Event) -> Option<String> {
    let descriptions = event.elements("/detail/eventDescription");
    let english = descriptions.iter().find(|description| {
        text_of(description.get("language")).is_some_and(|language| language.starts_with("en"))
    });
    text_of(english.or(descriptions.first())?.get("latestDescription"))
}

fn resources(event: &Event) -> Option<String> {
    let entities = event.elements("/detail/affectedEntities");
    let names: Vec<String> = entities
        .iter()
        .take(NAMED)
        .filter_map(|entity| Some(name_of(&text_of(entity.get("entityValue"))?).to_owned()))
        .collect();
    let more = match entities.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more, {} in all", entities.len()),
    };
    (!names.is_empty()).then(|| format!("{}{more}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn event(service: &str, code: &str, more: &Value) -> Value {
        let mut event = json!({ "id": "e-1", "detail-type": "AWS Health Event", "source": "aws.health",
            "account": "999900001111", "region": "us-east-1",
            "detail": {
                "eventArn": format!("arn:aws:health:eu-west-1::event/{service}/{code}/1"), "service": service,
                "eventTypeCode": code, "eventTypeCategory": "issue", "statusCode": "open",
                "eventRegion": "eu-west-1", "communicationId": "c-1", "affectedAccount": "111122223333",
                "lastUpdatedTime": "Wed, 04 Mar 2026 09:20:00 GMT" } });
        for (name, value) in more.as_object().unwrap() {
            event["detail"][name] = value.clone();
        }
        event
    }

    fn draft(event: &Value) -> Draft {
        let event = Event::read(&event.to_string(), "message-1", Timestamp::UNIX_EPOCH);
        match classify(&event) {
            Some(Classification::Alert(draft)) => *draft,
            other => panic!("{other:?}"),
        }
    }

    fn detail<'d>(draft: &'d Draft, label: &str) -> Option<&'d str> {
        let detail = draft.details.iter().find(|(of, _)| *of == label);
        detail.map(|(_, text)| text.as_str())
    }

    #[test]
    fn a_title_has_the_code_in_words_and_the_region() {
        for (service, code, more, headline) in [
            (
                "EC2",
                "AWS_EC2_OPERATIONAL_ISSUE",
                json!({}),
                "AWS Health: EC2 operational issue in eu-west-1",
            ),
            (
                "RDS",
                "AWS_RDS_MAINTENANCE_SCHEDULED",
                json!({ "statusCode": "closed" }),
                "AWS Health: RDS maintenance scheduled in eu-west-1 is over",
            ),
            (
                "IAM",
                "AWS_IAM_API_ISSUE",
                json!({ "eventRegion": "global" }),
                "AWS Health: IAM API issue (global)",
            ),
            (
                "ABUSE",
                "AWS_ABUSE_DOS_REPORT",
                json!({}),
                "AWS reports abuse: DOS report in eu-west-1",
            ),
            (
                "VPN",
                "",
                json!({ "eventRegion": "" }),
                "AWS Health: VPN issue",
            ),
        ] {
            assert_eq!(draft(&event(service, code, &more)).headline, headline);
        }
    }

    #[test]
    fn a_leaked_key_is_critical_and_has_its_user_and_place() {
        for (service, code, words) in [
            ("RISK", "AWS_RISK_CREDENTIALS_EXPOSED", "Exposed"),
            (
                "RISK",
                "AWS_RISK_CREDENTIALS_EXPOSURE_SUSPECTED",
                "Possibly exposed",
            ),
            ("RISK", "AWS_RISK_CREDENTIALS_COMPROMISED", "Compromised"),
            (
                "RISK",
                "AWS_RISK_CREDENTIALS_COMPROMISE_SUSPECTED",
                "Possibly compromised",
            ),
            (
                "RISK",
                "AWS_RISK_IAM_QUARANTINE",
                "Put in quarantine by AWS",
            ),
            ("RISK", "AWS_RISK_SOMETHING_NEW", "At risk"),
            ("ABUSE", "AWS_ABUSE_ACCESS_KEY_EXPOSED", "Exposed"),
        ] {
            let more = json!({ "eventTypeCategory": "accountNotification",
                "affectedEntities": [{ "entityValue": "AKIAEXAMPLEKEY000001" }],
                "eventMetadata": { "userName": "report-mailer", "exposedUrl": "https://paste.example.com/raw/7d1k",
                    "truncated": "false", "findings": 3 } });
            let draft = draft(&event(service, code, &more));
            assert_eq!(draft.rated().0, Severity::Critical, "{code}");
            assert_eq!(
                draft.headline,
                format!("{words}: access key AKIAEXAMPLEKEY000001 of user report-mailer")
            );
            assert_eq!(detail(&draft, "User"), Some("report-mailer"));
            assert_eq!(detail(&draft, "Access key"), Some("AKIAEXAMPLEKEY000001"));
            assert_eq!(
                detail(&draft, "Found at"),
                Some("https://paste.example.com/raw/7d1k")
            );
            assert_eq!(detail(&draft, "More"), Some("findings 3"));
            assert!(detail(&draft, "What to do").unwrap().contains("Deactivate"));
        }
    }

    #[test]
    fn other_reports_about_credentials() {
        let console = draft(&event(
            "RISK",
            "AWS_RISK_ACCOUNT_CONSOLE_COMPROMISE",
            &json!({}),
        ));
        assert_eq!(console.headline, "Compromised: the console of this account");
        assert_eq!(console.rated().0, Severity::Critical);
        let entities = json!([{ "entityValue": "AKIA1" }, { "entityValue": "AKIA2" }]);
        let closed = json!({ "statusCode": "closed", "affectedEntities": entities });
        let closed = draft(&event("RISK", "AWS_RISK_CREDENTIALS_EXPOSED", &closed));
        assert_eq!(
            closed.headline,
            "Exposed: access key AKIA1 and 1 more (closed by AWS)"
        );
        assert_eq!(closed.rated(), (Severity::Info, true));
        let abuse = draft(&event("ABUSE", "AWS_ABUSE_SPAM_REPORT", &json!({})));
        assert_eq!(abuse.rated().0, Severity::Error);
    }

    #[test]
    fn a_page_is_news_and_a_backup_is_not() {
        let key = |more: Value| draft(&event("RDS", "AWS_RDS_X", &more)).key;
        let first = key(json!({ "page": "1", "totalPages": "2" }));
        assert_ne!(first, key(json!({ "page": "2", "totalPages": "2" })));
        let mut backup = event(
            "RDS",
            "AWS_RDS_X",
            &json!({ "page": 1, "backupEvent": true }),
        );
        backup["region"] = "us-west-2".into();
        assert_eq!(first, draft(&backup).key);
        assert_ne!(first, key(json!({ "affectedAccount": "444455556666" })));
        let paged = draft(&event(
            "RDS",
            "AWS_RDS_X",
            &json!({ "page": "2", "totalPages": "2" }),
        ));
        assert!(paged.headline.ends_with(" in eu-west-1 (page 2 of 2)"));
        assert_eq!(
            detail(&paged, "Page"),
            Some("2 of 2: each has other resources")
        );
    }

    #[test]
    fn what_does_not_say_which_event_it_is_is_sent() {
        let key = |more: Value| draft(&event("RDS", "AWS_RDS_X", &more)).key;
        let known = key(json!({ "communicationId": null }));
        assert_eq!(
            known,
            "arn:aws:health:eu-west-1::event/RDS/AWS_RDS_X/1#open#Wed, 04 Mar 2026 09:20:00 GMT#1#111122223333"
        );
        assert_eq!(
            key(json!({ "communicationId": null, "lastUpdatedTime": null })),
            "e-1"
        );
        assert_eq!(
            key(json!({ "communicationId": null, "eventArn": null })),
            "e-1"
        );
    }

    #[test]
    fn a_public_event_has_one_cause_and_no_account_in_its_title() {
        let public = |more: &Value| draft(&event("LAMBDA", "AWS_LAMBDA_OPERATIONAL_ISSUE", more));
        let one = public(&json!({ "eventScopeCode": "PUBLIC" }));
        let cause = one.cause.clone().unwrap();
        assert_eq!(cause.place, "111122223333");
        let other =
            public(&json!({ "eventScopeCode": "PUBLIC", "affectedAccount": "444455556666" }));
        assert_eq!(cause.key, other.cause.clone().unwrap().key);
        assert_ne!(one.key, other.key);
        let over = public(&json!({ "eventScopeCode": "PUBLIC", "statusCode": "closed" }));
        assert_ne!(cause.key, over.cause.unwrap().key);
        assert_eq!(one.before_account, "");
        assert_eq!(public(&json!({})).cause, None);
    }

    #[test]
    fn the_link_is_of_the_partition() {
        let mut event = event("EC2", "AWS_EC2_X", &json!({}));
        assert!(draft(&event).link.is_some());
        event["detail"]["eventArn"] = "arn:aws-eusc:health:eusc-de-east-1::event/EC2/x/y".into();
        assert_eq!(draft(&event).link, None);
    }
}
