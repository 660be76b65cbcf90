//! Which events the EventBridge rules of the templates deliver: every sample and every call that a function knows, or
//! a name and a reason in a list of exceptions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use alerter::{
    event_rule::{Pattern, Place},
    kinds::KINDS,
};
use anyhow::{Context as _, Result, ensure};
use orgkeeper_shared::alert::Severity;
use orgkeeper_tests::{alerts::SampleEvent, event_pattern::delivers, template::Template};
use serde_json::{Value, json};

/// The rules of other accounts and Regions, which forward to the alerts bus.
const FORWARDING: &str = "infra/alert-events.yaml";

/// Alerts that no rule of the stack's own account delivers.
const NOT_DELIVERED: &[(&str, &str)] = &[
    (
        "alerting-forged",
        "no service of AWS sent it: it comes by the alerts bus only",
    ),
    (
        "unrecognized",
        "an event of a service without a rule: it comes from a rule of somebody else",
    ),
];
/// Alerts that no rule of the other accounts and Regions forwards.
const NOT_FORWARDED: &[(&str, &str)] = &[
    (
        "account-failed",
        "Control Tower sends it in the management account and its home Region only",
    ),
    (
        "account-update-failed",
        "Control Tower sends it in the management account and its home Region only",
    ),
    (
        "alerting-forged",
        "no service of AWS sent it: who forges it puts it on the alerts bus itself",
    ),
    (
        "unrecognized",
        "an event of a service without a rule: it comes from a rule of somebody else",
    ),
];
/// A rule: its logical id and its properties, without functions.
type Rules = Vec<(String, Value)>;

/// The rules of a template with a target that `is_target` accepts. Of `Fn::If` the branch that `condition` says is
/// taken, and a `Ref` is its parameter's or resource's value in `values`.
fn rules(
    template: &str,
    is_target: impl Fn(&Value) -> bool,
    condition: bool,
    values: &BTreeMap<&str, &str>,
) -> Result<Rules> {
    let template = Template::load(template)?;
    let rules: Rules = template
        .resources_of_type("AWS::Events::Rule")
        .filter(|(_, rule)| {
            let targets = rule["Targets"].as_array();
            targets.is_some_and(|targets| targets.iter().any(|target| is_target(&target["Arn"])))
        })
        .map(|(name, rule)| (name.to_owned(), resolved(rule, condition, values)))
        .collect();
    ensure!(!rules.is_empty(), "no rule has this target");
    Ok(rules)
}

fn resolved(part: &Value, condition: bool, values: &BTreeMap<&str, &str>) -> Value {
    match part {
        Value::Array(items) => {
            let items = items.iter();
            items
                .map(|item| resolved(item, condition, values))
                .collect()
        }
        Value::Object(members) => {
            if let Some(Value::Array(parts)) = members.get("Fn::If") {
                return resolved(&parts[if condition { 1 } else { 2 }], condition, values);
            }
            if let Some(value) = part["Ref"].as_str().and_then(|name| values.get(name)) {
                return (*value).into();
            }
            let members = members.iter();
            members
                .map(|(name, value)| (name.clone(), resolved(value, condition, values)))
                .collect()
        }
        plain => plain.clone(),
    }
}

/// The rules that deliver to a queue of the stack.
fn rules_to(queue: &str) -> Result<Rules> {
    let arn = json!({ "Fn::GetAtt": [queue, "Arn"] });
    rules(
        "template.yaml",
        |target| *target == arn,
        true,
        &BTreeMap::new(),
    )
}

/// The stack's rules for alerts on the default bus, without those that send a constant message in place of the event.
fn own_rules() -> Result<Rules> {
    let rules = rules_to("AlertsQueue")?.into_iter();
    Ok(rules
        .filter(|(_, rule)| rule["EventBusName"].is_null() && rule["Targets"][0]["Input"].is_null())
        .collect())
}

fn forwarding_rules() -> Result<Rules> {
    let target = json!({ "Ref": "TargetBusArn" });
    rules(FORWARDING, |arn| *arn == target, true, &BTreeMap::new())
}

fn is_delivered(rules: &Rules, event: &Value) -> bool {
    rules.iter().any(|(_, rule)| delivers(rule, event))
}

/// The samples of a function that are events, by name; not what topics or the function itself send.
fn samples(function: &str) -> Result<BTreeMap<String, Value>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../events")
        .join(function);
    let mut samples = BTreeMap::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|end| end == "json") {
            let sample: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
            let name = path.file_stem().context("a name")?.to_string_lossy();
            if !sample["detail-type"].is_null() {
                samples.insert(name.into_owned(), sample);
            }
        }
    }
    ensure!(!samples.is_empty(), "{function} has no samples");
    Ok(samples)
}

/// The samples of alerts, and an event of a kind that has no sample of its own.
fn alerts() -> Result<BTreeMap<String, Value>> {
    let mut alerts = samples("alerter")?;
    let mut update = samples("create-managed-account")?["update-managed-account"].clone();
    let status = "/detail/serviceEventDetails/updateManagedAccountStatus/state";
    *update.pointer_mut(status).context("a state")? = "FAILED".into();
    alerts.insert("account-update-failed".to_owned(), update);
    Ok(alerts)
}

/// Compares the alerts that no rule delivers with the list of exceptions.
fn only_these_are_missing(rules: &Rules, exceptions: &[(&str, &str)]) -> Result<()> {
    let alerts = alerts()?;
    ensure!(alerts.len() > 25, "only {} alerts", alerts.len());
    let missing: BTreeSet<&str> = alerts
        .iter()
        .filter(|(_, event)| !is_delivered(rules, event))
        .map(|(name, _)| name.as_str())
        .collect();
    let expected: BTreeSet<&str> = exceptions.iter().map(|(name, _)| *name).collect();
    let lost: Vec<_> = missing.difference(&expected).collect();
    ensure!(lost.is_empty(), "no rule delivers {lost:?}");
    let found: Vec<_> = expected.difference(&missing).collect();
    ensure!(
        found.is_empty(),
        "a rule delivers {found:?} now: take them off the list"
    );
    Ok(())
}

/// The events of `events/alerter/cases/`, by file and place.
fn cases() -> Result<BTreeMap<String, Value>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/alerter/cases");
    let mut cases = BTreeMap::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let name = path
            .file_stem()
            .context("a name")?
            .to_string_lossy()
            .into_owned();
        let events = match serde_json::from_str(&fs::read_to_string(&path)?)? {
            Value::Array(events) => events,
            event => vec![event],
        };
        let events = events.into_iter().enumerate();
        let events = events.filter(|(_, event)| !event["detail-type"].is_null());
        cases.extend(events.map(|(place, event)| (format!("{name}/{place}"), event)));
    }
    ensure!(cases.len() > 60, "only {} events", cases.len());
    Ok(cases)
}

#[test]
fn every_case_is_delivered_forwarded_and_delivered_from_the_alerts_bus() -> Result<()> {
    let on_bus: Rules = rules_to("AlertsQueue")?
        .into_iter()
        .filter(|(_, rule)| rule["EventBusName"] == json!({ "Ref": "AlertsBus" }))
        .collect();
    for (name, event) in cases()? {
        for (place, rules) in [
            ("template.yaml", &own_rules()?),
            (FORWARDING, &forwarding_rules()?),
            ("the alerts bus", &on_bus),
        ] {
            ensure!(
                is_delivered(rules, &event),
                "{place}: no rule delivers {name}"
            );
        }
    }
    Ok(())
}

#[test]
fn every_alert_is_delivered_in_the_stacks_own_account() -> Result<()> {
    only_these_are_missing(&own_rules()?, NOT_DELIVERED)
}

#[test]
fn every_alert_is_forwarded_by_other_accounts() -> Result<()> {
    only_these_are_missing(&forwarding_rules()?, NOT_FORWARDED)
}

#[test]
fn every_forwarded_alert_is_delivered_from_the_alerts_bus() -> Result<()> {
    let rules: Rules = rules_to("AlertsQueue")?
        .into_iter()
        .filter(|(_, rule)| rule["EventBusName"] == json!({ "Ref": "AlertsBus" }))
        .collect();
    only_these_are_missing(&rules, &[])
}

/// A call as CloudTrail records it.
fn call(service: &str, operation: &str) -> Value {
    json!({
        "source": format!("aws.{service}"),
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {
            "eventSource": format!("{service}.amazonaws.com"),
            "eventName": operation,
            "eventType": "AwsApiCall",
            "userIdentity": { "type": "AssumedRole" },
        },
    })
}

/// The operations that a pattern names, wherever it does.
fn operations(pattern: &Value, found: &mut BTreeSet<String>) {
    match pattern {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "eventName" {
                    let names = value.as_array().into_iter().flatten();
                    found.extend(names.filter_map(Value::as_str).map(str::to_owned));
                }
                operations(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| operations(value, found)),
        _ => {}
    }
}

#[test]
fn every_call_that_has_words_is_delivered_and_forwarded() -> Result<()> {
    let (own, forwarding) = (own_rules()?, forwarding_rules()?);
    let mut calls = 0;
    for row in KINDS {
        // A rule that looks at the request as well names the operation at least; its samples are delivered.
        let by_request = row
            .rules
            .iter()
            .all(|rule| matches!(rule.pattern, Pattern::Json(_)));
        for words in row.calls {
            calls += 1;
            let event = call(words.service, words.operation);
            for (place, rules) in [("template.yaml", &own), (FORWARDING, &forwarding)] {
                let mut named = BTreeSet::new();
                for (_, rule) in rules {
                    operations(&rule["EventPattern"], &mut named);
                }
                ensure!(
                    is_delivered(rules, &event) || by_request && named.contains(words.operation),
                    "{place}: no rule for {words:?}"
                );
            }
        }
    }
    ensure!(calls > 200, "only {calls} calls");
    Ok(())
}

/// What decides which events a rule delivers.
fn decisive(rules: Rules) -> Result<BTreeSet<String>> {
    let all = rules.into_iter().map(|(_, rule)| {
        Ok(serde_json::to_string(&json!([
            rule["EventPattern"],
            rule["State"]
        ]))?)
    });
    all.collect()
}

#[test]
fn the_rules_of_both_files_are_equal() -> Result<()> {
    let only_own = |name: &str| {
        let rules = KINDS.iter().flat_map(|row| row.rules);
        let mut rules = rules.filter(|rule| rule.place == Place::OwnAccount);
        rules.any(|rule| name.strip_suffix("Rule") == Some(rule.id))
    };
    let own: Rules = own_rules()?
        .into_iter()
        .filter(|(name, _)| !only_own(name))
        .collect();
    let (own, forwarding) = (decisive(own)?, decisive(forwarding_rules()?)?);
    let differ: Vec<_> = own.symmetric_difference(&forwarding).collect();
    ensure!(
        differ.is_empty(),
        "in one of template.yaml and {FORWARDING} only: {differ:#?}"
    );
    Ok(())
}

#[test]
fn every_sample_of_another_function_is_delivered_to_its_queue() -> Result<()> {
    let bucket = BTreeMap::from([
        ("AccountsBucket", "orgkeeper-accounts-111111111111"),
        ("PostureBucket", "orgkeeper-posture-111111111111"),
    ]);
    for (function, queue) in [
        ("finding-enricher", "FindingsQueue"),
        ("directory-refresher", "DirectoryQueue"),
        ("new-account-handler", "UploadsQueue"),
        ("create-managed-account", "AccountEventsQueue"),
        ("posture-planner", "PostureQueue"),
    ] {
        let arn = json!({ "Fn::GetAtt": [queue, "Arn"] });
        // With Control Tower, and without.
        let mut all = Rules::new();
        for condition in [true, false] {
            all.extend(rules(
                "template.yaml",
                |target| *target == arn,
                condition,
                &bucket,
            )?);
        }
        for (name, event) in samples(function)? {
            ensure!(
                is_delivered(&all, &event),
                "{function}: no rule delivers {name}"
            );
        }
    }
    Ok(())
}

#[test]
fn what_the_stack_writes_itself_is_not_delivered() -> Result<()> {
    let bucket = BTreeMap::from([("AccountsBucket", "orgkeeper-accounts-111111111111")]);
    let arn = json!({ "Fn::GetAtt": ["UploadsQueue", "Arn"] });
    let uploads = rules("template.yaml", |target| *target == arn, true, &bucket)?;
    let mut results = samples("new-account-handler")?["object-created"].clone();
    results["detail"]["object"]["key"] = "results/accounts.csv".into();
    ensure!(!is_delivered(&uploads, &results));
    let findings = rules_to("FindingsQueue")?;
    let mut enriched = samples("finding-enricher")?["imported-consolidated"].clone();
    enriched["detail"]["findings"][0]["UserDefinedFields"] = json!({ "findingEnriched": "True" });
    ensure!(!is_delivered(&findings, &enriched));
    Ok(())
}

#[test]
fn changes_of_the_organization_are_forwarded_to_the_directory() -> Result<()> {
    let target = json!({ "Ref": "TargetBusArn" });
    let template = "infra/organization-events.yaml";
    let forwarding = rules(template, |arn| *arn == target, true, &BTreeMap::new())?;
    for (name, event) in samples("directory-refresher")? {
        ensure!(is_delivered(&forwarding, &event), "{name} is not forwarded");
    }
    Ok(())
}

#[test]
fn calls_that_can_expose_something_are_forwarded_and_delivered_and_no_others() -> Result<()> {
    let target = json!({ "Ref": "TargetBusArn" });
    let template = "infra/posture-events.yaml";
    let forwarding = rules(template, |arn| *arn == target, true, &BTreeMap::new())?;
    let from_bus: Rules = rules_to("PostureQueue")?
        .into_iter()
        .filter(|(_, rule)| rule["EventBusName"] == json!({ "Ref": "PostureBus" }))
        .collect();
    let event = &samples("posture-planner")?["instance-started"];
    ensure!(is_delivered(&forwarding, event) && is_delivered(&from_bus, event));
    for (name, value) in [
        ("errorCode", "Client.UnauthorizedOperation"),
        ("eventName", "DescribeInstances"),
    ] {
        let mut other = event.clone();
        other["detail"][name] = value.into();
        ensure!(!is_delivered(&forwarding, &other), "{name}");
    }
    let mut url = call("lambda", "CreateFunctionUrlConfig20211031");
    ensure!(
        is_delivered(&forwarding, &url),
        "by the beginning of its name"
    );
    url["source"] = "aws.s3".into();
    ensure!(!is_delivered(&forwarding, &url));
    Ok(())
}

#[test]
fn denied_calls_are_forwarded_and_delivered_and_no_others() -> Result<()> {
    let target = json!({ "Ref": "TargetBusArn" });
    let template = "infra/rehearsal-events.yaml";
    let forwarding = rules(template, |arn| *arn == target, true, &BTreeMap::new())?;
    let from_bus = rules_to("RehearsalsQueue")?;
    for (name, event) in samples("outage-rehearser")? {
        let mut allowed = event.clone();
        allowed["detail"]["errorMessage"] = "no identity-based policy allows it".into();
        for rules in [&forwarding, &from_bus] {
            ensure!(is_delivered(rules, &event), "{name} is not delivered");
            ensure!(!is_delivered(rules, &allowed), "{name}");
        }
    }
    Ok(())
}

/// The flow test sends each sample several times: each has to be an event of its own, about an account of its own.
#[test]
fn events_of_a_sample_differ_by_their_ids_and_accounts() -> Result<()> {
    for sample in KINDS.iter().flat_map(|row| row.samples).copied() {
        let mut keys = BTreeSet::new();
        for number in 0..2 {
            let event = SampleEvent::of(sample, 7, number)?;
            let draft = event.draft().context(sample)?;
            let is_about_it = draft
                .alert(None, Severity::Info)
                .text()
                .contains(&event.account);
            let by_account = draft.account.is_some_and(|id| id.as_str() == event.account);
            ensure!(
                is_about_it || by_account,
                "{sample} is not about its account"
            );
            keys.insert(draft.key);
        }
        // What has no id is known by its message.
        let by_message = keys.iter().all(|key| key.contains("message"));
        ensure!(keys.len() == 2 || by_message, "{sample}: {keys:?}");
    }
    Ok(())
}

/// Every template, relative to the repository's root.
fn templates() -> Result<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra");
    let mut templates = vec!["template.yaml".to_owned()];
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|end| end == "yaml") && !name.ends_with(".asl") {
            templates.push(format!("infra/{name}.yaml"));
        }
    }
    ensure!(templates.len() > 5, "only {templates:?}");
    Ok(templates)
}

/// Whether a pattern of sources, with any branch of an `Fn::If`, matches nothing but sources of AWS.
fn only_of_aws(sources: &Value) -> bool {
    if let Some(Value::Array(parts)) = sources.get("Fn::If") {
        return parts[1..].iter().all(only_of_aws);
    }
    let of_aws = |source: &Value| {
        let text = source.as_str().or_else(|| source["prefix"].as_str());
        text.is_some_and(|text| text.starts_with("aws."))
    };
    sources
        .as_array()
        .is_some_and(|sources| !sources.is_empty() && sources.iter().all(of_aws))
}

/// A principal of any account can put an event with any other source on a bus that lets it in.
#[test]
fn every_rule_accepts_events_of_aws_only() -> Result<()> {
    let mut checked = 0;
    for name in templates()? {
        for (id, rule) in Template::load(&name)?.resources_of_type("AWS::Events::Rule") {
            // That one catches what is forged, and schedules have no pattern.
            if id == "ForgedEventRule" || rule["EventPattern"].is_null() {
                continue;
            }
            checked += 1;
            let sources = &rule["EventPattern"]["source"];
            ensure!(only_of_aws(sources), "{name}: {id} accepts {sources}");
        }
    }
    ensure!(checked > 80, "only {checked} rules");
    Ok(())
}

/// An event on the alerts bus is matched by one of its two rules, whatever its source.
#[test]
fn what_is_forged_is_caught() -> Result<()> {
    let on_bus: Rules = rules_to("AlertsQueue")?
        .into_iter()
        .filter(|(_, rule)| rule["EventBusName"] == json!({ "Ref": "AlertsBus" }))
        .collect();
    for source in ["aws.signin", "signin", "awsx", "AWS.signin", "a", ""] {
        let event = json!({ "source": source, "detail-type": "Sign In", "detail": {} });
        let matched: Vec<&str> = on_bus
            .iter()
            .filter(|(_, rule)| delivers(rule, &event))
            .map(|(id, _)| id.as_str())
            .collect();
        let wanted = if source.starts_with("aws.") {
            "ForwardedRule"
        } else {
            "ForgedEventRule"
        };
        ensure!(matched == [wanted], "{source}: {matched:?}");
    }
    Ok(())
}

/// What cannot be forwarded is kept and reported: a missing permission is not retried.
#[test]
fn every_target_in_another_account_has_a_dead_letter_queue_and_an_alarm() -> Result<()> {
    let mut checked = 0;
    for name in templates()? {
        let template = Template::load(&name)?;
        let policies: Vec<String> = template
            .resources_of_type("AWS::SQS::QueuePolicy")
            .map(|(_, policy)| policy.to_string())
            .collect();
        let alarms: Vec<String> = template
            .resources_of_type("AWS::CloudWatch::Alarm")
            .map(|(_, alarm)| alarm.to_string())
            .collect();
        for (id, rule) in template.resources_of_type("AWS::Events::Rule") {
            for target in rule["Targets"].as_array().into_iter().flatten() {
                // Only buses of other accounts and Regions need a role.
                if target["RoleArn"].is_null() {
                    continue;
                }
                checked += 1;
                let queue = &target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0];
                let queue = queue.as_str().with_context(|| format!("{name}: {id}"))?;
                let rule_arn = json!({ "Fn::GetAtt": [id, "Arn"] }).to_string();
                ensure!(
                    policies
                        .iter()
                        .any(|policy| policy.contains(queue) && policy.contains(&rule_arn)),
                    "{name}: {queue} does not let {id} in"
                );
                ensure!(
                    policies
                        .iter()
                        .any(|policy| policy.contains("aws:SecureTransport")),
                    "{name}: {queue} is open without TLS"
                );
                for metric in ["FailedInvocations", "ApproximateNumberOfMessagesVisible"] {
                    ensure!(
                        alarms.iter().any(|alarm| alarm.contains(metric)),
                        "{name}: no alarm on {metric}"
                    );
                }
            }
        }
    }
    ensure!(checked > 40, "only {checked} targets");
    Ok(())
}

/// Any principal of an account that a bus lets in can put events on it.
#[test]
fn the_default_bus_is_open_to_the_management_account_alone() -> Result<()> {
    let template = Template::load("template.yaml")?;
    let mut open = Vec::new();
    for (id, policy) in template.resources_of_type("AWS::Events::EventBusPolicy") {
        let statement = &policy["Statement"];
        if policy["EventBusName"].is_null() {
            let principal = statement["Principal"]["AWS"].to_string();
            ensure!(principal.contains("${ManagementAccountId}:root"), "{id}");
        } else {
            let organization = &statement["Condition"]["StringEquals"]["aws:PrincipalOrgID"];
            ensure!(*organization == json!({ "Ref": "OrganizationId" }), "{id}");
        }
        open.push(id);
    }
    ensure!(
        open.iter().copied().collect::<BTreeSet<_>>()
            == BTreeSet::from([
                "AlertsBusPolicy",
                "BaselineBusPolicy",
                "OrganizationEventsPolicy",
                "PostureBusPolicy",
                "RehearsalsBusPolicy"
            ]),
        "{open:?}"
    );
    Ok(())
}

/// `StackSets` refuse transforms and nested stacks, and the local cloud passes these templates as texts.
#[test]
fn the_templates_of_stack_sets_can_be_deployed_by_them() -> Result<()> {
    let forwarding = Template::load("infra/forwarding.yaml")?;
    let mut names = BTreeSet::new();
    for (id, properties) in forwarding.resources_of_type("AWS::CloudFormation::StackSet") {
        let file = properties["TemplateURL"].as_str().context("a template")?;
        names.insert(
            properties["StackSetName"]
                .as_str()
                .context("a name")?
                .to_owned(),
        );
        ensure!(properties["AutoDeployment"]["Enabled"] == true, "{id}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../infra")
            .join(file);
        let text = fs::read_to_string(path)?;
        ensure!(text.len() <= 51_200, "{file} has {} bytes", text.len());
        ensure!(!text.contains("\nTransform:"), "{file} has a transform");
        let template = Template::load(format!("infra/{file}"))?;
        let nested = template
            .resources_of_type("AWS::CloudFormation::Stack")
            .count();
        ensure!(nested == 0, "{file} has nested stacks");
        let given: BTreeSet<&str> = properties["Parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| it["ParameterKey"].as_str())
            .collect();
        let known: BTreeSet<&str> = template.names("Parameters").collect();
        ensure!(given == known, "{id}: {given:?} for {known:?}");
    }
    // The first is what orgkeeper doctor looks for.
    ensure!(
        names
            == BTreeSet::from([
                "orgkeeper-alert-events".into(),
                "orgkeeper-baseline-events".into(),
                "orgkeeper-member-account".into(),
                "orgkeeper-posture-events".into(),
                "orgkeeper-rehearsal-events".into()
            ]),
        "{names:?}"
    );
    Ok(())
}
