//! The function on a simulated AWS in virtual time: from nothing to in place, observed, twice, throttled, stopped in the middle.

mod cloud;
mod services;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use orgkeeper_shared::posture::{
    keep::{KeepTask, Reason},
    setting_record::State,
};
use orgkeeper_tests::wire::Answer;
use serde_json::Value;

use self::{
    cloud::World,
    services::{ADMINISTRATOR, MANAGEMENT, Made, offered},
};

/// Some Regions; DevOps Guru and Detective are not in the second, Macie not in the third.
const REGIONS: [&str; 4] = ["eu-central-1", "ap-northeast-3", "ap-east-2", "us-east-1"];
const SERVICES: &str = r#"
[organization]
administrator = "security"
home_region = "eu-central-1"
regions = ["eu-central-1", "ap-northeast-3", "ap-east-2", "us-east-1"]
[services]
guardduty = { on = true }
detective = { on = true }
inspector = { on = true }
macie = { on = true }
access-analyzer = { on = true }
devops-guru = { on = true }
"#;
const STANDARDS: &str = r#"
[organization]
administrator = "security"
home_region = "eu-central-1"
regions = ["eu-central-1", "us-east-1"]
[[scope]]
target = "Root"
standards = ["pci-dss/v/4.0.1"]
[[scope]]
target = "Root/Workloads/Prod"
controls_off = { "CloudTrail.5" = "archive", "S3.1" = "public site", "IAM.6" = "no root" }
"#;
const LOCAL: &str = r#"
[organization]
regions = ["eu-central-1", "us-east-1"]
[[scope]]
target = "Root/Workloads"
standards = ["pci-dss/v/4.0.1", "nist-800-53/v/5.0.0"]
controls_off = { "CloudTrail.5" = "archive", "S3.1" = "public site", "EC2.9" = "not here" }
regions = ["eu-central-1", "us-east-1"]
"#;
const PCI: &str = "arn:aws:securityhub:us-east-1::standards/pci-dss/v/4.0.1";

/// The changing calls, each as a record has it.
fn changes(made: &[Made]) -> Vec<String> {
    let changes = made.iter().filter(|made| made.changes());
    changes
        .map(|made| {
            words(
                made.operation.service.name,
                made.operation.name,
                &made.parameters,
            )
        })
        .collect()
}

/// A call in words, where what only AWS can say is the same on both sides.
fn words(service: &str, operation: &str, parameters: &Value) -> String {
    fn known(value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let is_email = text.ends_with("@example.com") || text.starts_with("{email:");
                let is_id = text.starts_with("graph-")
                    || text.starts_with("policy-")
                    || text == "d"
                    || text == "r-root";
                let is_unknown = text.starts_with('{');
                let word = match (is_email, is_id || is_unknown) {
                    (true, _) => "EMAIL",
                    (_, true) => "ID",
                    (false, false) => text,
                };
                Value::String(word.to_owned())
            }
            Value::Array(all) => all.iter().map(known).collect(),
            Value::Object(all) => all
                .iter()
                .map(|(name, it)| (name.clone(), known(it)))
                .collect(),
            other => other.clone(),
        }
    }
    format!("{service} {operation} {}", known(parameters))
}

/// The calls that records name, all of them that would be made.
fn recorded(world: &World) -> Vec<String> {
    let mut recorded = Vec::new();
    for record in world.records().values() {
        let open = record.differences.iter().filter(|it| it.refused.is_none());
        for call in open.filter_map(|it| it.call.as_ref()) {
            let parameters: Value = serde_json::from_str(&call.parameters).unwrap();
            recorded.push(words(&call.service, &call.operation, &parameters));
        }
    }
    recorded.sort();
    recorded
}

fn hubs_on(world: &World) {
    world.cloud.services(|services| {
        let accounts = services.accounts.clone();
        for account in accounts {
            for region in REGIONS {
                services.hubs.insert((account.clone(), region.to_owned()));
            }
        }
    });
}

fn states(world: &World) -> BTreeMap<State, usize> {
    let mut states = BTreeMap::new();
    for record in world.records().into_values() {
        *states.entry(record.state).or_default() += 1;
    }
    states
}

/// One in so many, at random but always the same.
fn one_in(of: u64) -> impl FnMut() -> bool + Send {
    let mut random = 1_u64;
    move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33).is_multiple_of(of)
    }
}

#[tokio::test(start_paused = true)]
async fn services_come_from_nothing_to_in_place_in_every_region_that_offers_them() {
    let world = World::with("apply", SERVICES, 7).await;
    world.run("r1", 1).await;
    assert!(world.has_ended("r1"));
    let open: Vec<_> = world
        .records()
        .into_values()
        .filter(|record| !record.state.is_settled())
        .map(|record| (record.pair, record.state, record.reason, record.differences))
        .collect();
    assert!(open.is_empty(), "{open:#?}");
    let [detective, inspector, macie, devops_guru] = offered(&REGIONS);
    for region in REGIONS {
        let covers = world.cloud.services(|services| services.covers_all(region));
        let is = [
            true,
            detective.contains(&region),
            inspector.contains(&region),
            macie.contains(&region),
        ];
        assert_eq!(covers, is, "{region}");
        let state = |setting: &str, account| world.record(setting, account, region).state;
        let expected = |offered: &[&str]| {
            if offered.contains(&region) {
                State::InPlace
            } else {
                State::NotOffered
            }
        };
        assert_eq!(
            state("detective-administrator", MANAGEMENT),
            expected(&detective)
        );
        assert_eq!(
            state("detective-members", ADMINISTRATOR),
            expected(&detective)
        );
        assert_eq!(state("macie-members", ADMINISTRATOR), expected(&macie));
        assert_eq!(
            state("devops-guru-coverage", "300000000003"),
            expected(&devops_guru)
        );
    }
    // The second run makes no changing call.
    world.cloud.take();
    let end = world.cloud.services(|services| services.end());
    world.run("r2", 1).await;
    let (made, _) = world.cloud.take();
    assert_eq!(changes(&made), [""; 0]);
    assert_eq!(world.cloud.services(|services| services.end()), end);
    assert!(world.has_ended("r2"));
}

#[tokio::test(start_paused = true)]
async fn observing_changes_nothing_and_names_exactly_what_applying_does() {
    for (file, accounts) in [(SERVICES, 7), (STANDARDS, 40)] {
        let observed = World::with("observe", file, accounts).await;
        let nothing = observed.cloud.services(|services| services.end());
        observed.run("r1", 1).await;
        let (made, _) = observed.cloud.take();
        assert_eq!(changes(&made), [""; 0]);
        assert_eq!(observed.cloud.services(|services| services.end()), nothing);
        assert!(observed.has_ended("r1"));
        let applied = World::with("apply", file, accounts).await;
        applied.run("r1", 1).await;
        let (made, _) = applied.cloud.take();
        let mut made = changes(&made);
        made.sort();
        let recorded = recorded(&observed);
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these
                .iter()
                .filter(|it| !those.contains(it))
                .cloned()
                .collect()
        };
        assert_eq!(only(&made, &recorded), [""; 0], "made and not recorded");
        assert_eq!(only(&recorded, &made), [""; 0], "recorded and not made");
        assert_eq!(made, recorded);
        assert!(!made.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn pci_with_three_controls_off_for_one_unit_is_two_policies_and_two_associations() {
    let mut world = World::with("apply", STANDARDS, 40).await;
    world.run("r1", 1).await;
    let (made, _) = world.cloud.take();
    let of = |name: &str| made.iter().filter(|it| it.operation.name == name).count();
    assert_eq!(of("CreateConfigurationPolicy"), 2);
    assert_eq!(of("StartConfigurationPolicyAssociation"), 2);
    let names = world.cloud.services(|services| {
        let names = services.policy_names().into_iter().map(str::to_owned);
        names.collect::<BTreeSet<String>>()
    });
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.starts_with("orgkeeper-")));
    assert_eq!(states(&world).keys().collect::<Vec<_>>(), [&State::InPlace]);
    // A new account inherits: nothing is to be done for it.
    world.know("400000000001", "new", &["Workloads", "Prod"]);
    world.run("r2", 1).await;
    let (made, _) = world.cloud.take();
    assert_eq!(changes(&made), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn locally_a_pair_takes_four_calls_at_most_when_nothing_differs() {
    let world = World::with("apply", LOCAL, 10).await;
    hubs_on(&world);
    world.run("r1", 1).await;
    let reason =
        |record: &orgkeeper_shared::posture::setting_record::SettingRecord| record.reason.clone();
    // EC2.9 is in no Region: that is known, and nothing to be said.
    assert_eq!(
        states(&world).keys().collect::<Vec<_>>(),
        [&State::InPlace],
        "{:?}",
        world
            .records()
            .values()
            .map(reason)
            .collect::<BTreeSet<_>>()
    );
    world.cloud.services(|services| {
        for region in ["eu-central-1", "us-east-1"] {
            let pci = PCI.replace("us-east-1", region);
            assert!(services.is_off(("300000000001", region), &pci, "S3.1"));
            assert!(!services.is_off(("300000000001", region), &pci, "S3.8"));
        }
    });
    let (first, _) = world.cloud.take();
    assert!(!changes(&first).is_empty());
    world.run("r2", 1).await;
    let (made, sessions) = world.cloud.take();
    assert_eq!(changes(&made), [""; 0]);
    let mut calls: BTreeMap<(String, String), usize> = BTreeMap::new();
    for made in made
        .into_iter()
        .filter(|made| made.operation.service.name == "securityhub")
    {
        *calls.entry((made.account, made.region)).or_default() += 1;
    }
    assert_eq!(calls.len(), 20);
    assert!(calls.values().all(|count| *count <= 4), "{calls:?}");
    assert_eq!(sessions, 10, "one for each account");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_undoes_comes_back_and_it_is_known_who_did_it() {
    let world = World::with(
        "apply",
        &format!("{SERVICES}{}", &LOCAL[LOCAL.find("[[scope]]").unwrap()..]),
        6,
    )
    .await;
    hubs_on(&world);
    world.run("r1", 1).await;
    let member = "300000000001";
    world.cloud.services(|services| {
        services.switch((member, "us-east-1"), PCI, "S3.1", true);
        services.switch((member, "us-east-1"), PCI, "S3.8", false);
        services.set_automatic("us-east-1", "NONE");
    });
    world.event(
        "security-hub-standards",
        Some(member),
        "us-east-1",
        &["S3.1", "S3.8"],
    );
    world.event("guardduty-members", None, "us-east-1", &[]);
    world.work().await;
    world.cloud.services(|services| {
        assert!(services.is_off((member, "us-east-1"), PCI, "S3.1"));
        assert!(!services.is_off((member, "us-east-1"), PCI, "S3.8"));
        assert!(services.covers_all("us-east-1")[0]);
    });
    for (setting, account) in [
        ("security-hub-standards", member),
        ("guardduty-members", ADMINISTRATOR),
    ] {
        let record = world.record(setting, account, "us-east-1");
        let drift = record.drift.unwrap();
        assert!(drift.put_back, "{setting}");
        assert_eq!(drift.by.unwrap().who, "anna");
        assert_eq!(record.state, State::InPlace);
        assert!(record.claimed_until.is_none());
    }
    // What somebody has switched stays watched.
    let watched = world
        .record("security-hub-standards", member, "us-east-1")
        .watched;
    assert!(watched.contains("S3.8"));
}

#[tokio::test(start_paused = true)]
async fn while_observing_what_somebody_undoes_is_reported() {
    let world = World::with("apply", SERVICES, 4).await;
    world.run("r1", 1).await;
    let observing = World::with("observe", SERVICES, 4).await;
    // The same cloud, observed from now on.
    observing.cloud.services(|services| {
        world
            .cloud
            .services(|others| std::mem::swap(services, others));
    });
    observing.run("r1", 1).await;
    assert!(!states(&observing).contains_key(&State::Differs));
    observing
        .cloud
        .services(|services| services.set_automatic("us-east-1", "NEW"));
    observing.cloud.take();
    observing.event("guardduty-members", None, "us-east-1", &[]);
    observing.work().await;
    let (made, _) = observing.cloud.take();
    assert_eq!(changes(&made), [""; 0]);
    let record = observing.record("guardduty-members", ADMINISTRATOR, "us-east-1");
    assert_eq!(record.state, State::Differs);
    let drift = record.drift.unwrap();
    assert_eq!(drift.what, ["automatic enabling: NEW, should be ALL"]);
    assert!(!drift.put_back && drift.by.is_some());
}

#[tokio::test(start_paused = true)]
async fn throttled_twice_and_stopped_anywhere_it_ends_the_same() {
    let both = format!(
        "{SERVICES}{}",
        &STANDARDS[STANDARDS.find("[[scope]]").unwrap()..]
    );
    let undisturbed = World::with("apply", &both, 7).await;
    undisturbed.run("r1", 1).await;
    let end = undisturbed.cloud.services(|services| services.end());
    assert_eq!(states(&undisturbed).get(&State::Failed), None);
    // A third of all calls throttled, and every message twice.
    let world = World::with("apply", &both, 7).await;
    let mut one_in_three = one_in(3);
    world
        .cloud
        .fault(move |_| one_in_three().then(|| Answer::error(429, "TooManyRequestsException")));
    world.run("r1", 2).await;
    assert_eq!(world.cloud.services(|services| services.end()), end);
    assert!(world.has_ended("r1"));
    // Stopped after so many calls, each time.
    for calls in [3, 40, 90, 160, 300, 420] {
        let world = World::with("apply", &both, 7).await;
        world.cloud.stop_after(calls);
        world.run("r1", 2).await;
        assert_eq!(
            world.cloud.services(|services| services.end()),
            end,
            "after {calls}"
        );
        assert!(world.has_ended("r1"), "after {calls}");
        let claimed = world
            .records()
            .into_values()
            .filter(|it| it.claimed_until.is_some());
        assert_eq!(claimed.count(), 0, "after {calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_invocations_at_once_make_each_change_once() {
    let world = World::with("apply", SERVICES, 3).await;
    world.run("r1", 1).await;
    world
        .cloud
        .services(|services| services.set_automatic("us-east-1", "NONE"));
    world.cloud.take();
    for _ in 0..3 {
        world.event("guardduty-members", None, "us-east-1", &[]);
    }
    world.work_at_once().await;
    let (made, _) = world.cloud.take();
    assert_eq!(changes(&made).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_ends_something_needs_allow_delete() {
    for allow_delete in [false, true] {
        let world = World::with("apply", SERVICES, 3).await;
        world.run("r1", 1).await;
        let off = SERVICES.replace("detective = { on = true }", "detective = { on = false }");
        let off = off.replace(
            "[organization]",
            &format!("[organization]\nallow_delete = {allow_delete}"),
        );
        world.upload(&off, "v2");
        world.cloud.take();
        world.run("r2", 1).await;
        let (made, _) = world.cloud.take();
        let record = world.record("detective-administrator", MANAGEMENT, "us-east-1");
        let ended = changes(&made)
            .iter()
            .filter(|it| it.contains("Disable"))
            .count();
        if allow_delete {
            assert_eq!(record.state, State::InPlace);
            assert!(ended >= 2, "{ended}");
        } else {
            assert_eq!(record.state, State::Blocked);
            assert_eq!(ended, 0);
            let refused = record.differences[0].refused.as_ref().unwrap();
            assert!(refused.contains("allow_delete"), "{refused}");
            assert!(record.differences[0].call.is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_administrator_that_no_call_sets_is_a_persons_work() {
    for (service, allow_delete) in [("macie", false), ("detective", true)] {
        let on = format!("[services]\n{service} = {{ on = true }}\n");
        let file = format!("{}{on}", &SERVICES[..SERVICES.find("[services]").unwrap()]);
        let world = World::with("apply", &file, 3).await;
        world.run("r1", 1).await;
        let other = file.replace(
            "administrator = \"security\"",
            &format!("administrator = \"300000000001\"\nallow_delete = {allow_delete}"),
        );
        world.upload(&other, "v2");
        world.cloud.take();
        let setting = format!("{service}-administrator");
        for rest in [
            format!(r#""setting":"{service}-trusted-access","places":[{{}}]"#),
            format!(
                r#""setting":"{setting}","places":[{{"regions":["eu-central-1","us-east-1"]}}]"#
            ),
        ] {
            world.send(&task(&rest));
            world.work().await;
        }
        let (made, _) = world.cloud.take();
        assert_eq!(changes(&made), [""; 0]);
        // Nothing comes by itself: it is looked at once, not forty times.
        let looks = made.iter().filter(|it| it.operation.name.contains("Admin"));
        assert_eq!(looks.count(), 2, "{made:?}");
        let record = world.record(&setting, MANAGEMENT, "us-east-1");
        assert_eq!(record.state, State::Blocked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_missing_and_a_hub_that_is_not_on_are_said() {
    let world = World::with("apply", LOCAL, 3).await;
    // The hubs of new accounts come a while later.
    world.run("r1", 1).await;
    let record = world.record("security-hub-standards", "300000000001", "us-east-1");
    assert_eq!(record.state, State::Waiting);
    assert!(record.reason.unwrap().contains("not on"));
    hubs_on(&world);
    world.run("r2", 1).await;
    let record = world.record("security-hub-standards", "300000000001", "us-east-1");
    assert_eq!(record.state, State::InPlace);
    // A policy of the organization denies it.
    world.cloud.fault(|made| {
        let denied = made.operation.name == "GetEnabledStandards" && made.region == "us-east-1";
        denied.then(|| Answer::error(403, "AccessDeniedException"))
    });
    world.run("r3", 1).await;
    assert!(world.has_ended("r3"));
    let record = world.record("security-hub-standards", "300000000001", "us-east-1");
    assert_eq!(record.state, State::Blocked);
    let other = world.record("security-hub-standards", "300000000001", "eu-central-1");
    assert_eq!(other.state, State::InPlace);
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_can_be_as_before() {
    let world = World::with("apply", SERVICES, 3).await;
    world.run("r1", 1).await;
    let before = world.record("guardduty-members", ADMINISTRATOR, "us-east-1");
    assert_eq!(
        before.before.as_deref(),
        Some(r#"{"automatic":"NONE","detector":"d"}"#)
    );
    assert_eq!(before.applied.len(), 1);
    let mut task: orgkeeper_shared::posture::keep::KeepTask = serde_json::from_str(
        r#"{"run":"u","version":"v1","reason":"request","setting":"guardduty-members","places":[{"regions":["us-east-1"]}]}"#,
    )
    .unwrap();
    task.undo = true;
    world.cloud.take();
    world.send(&task);
    world.work().await;
    let (made, _) = world.cloud.take();
    assert_eq!(
        changes(&made),
        [
            r#"guardduty UpdateOrganizationConfiguration {"autoEnableOrganizationMembers":"NONE","detectorId":"ID"}"#
        ]
    );
    let record = world.record("guardduty-members", ADMINISTRATOR, "us-east-1");
    assert_eq!(record.state, State::Differs);
    assert!(record.applied.is_empty());
}

/// A task about a setting, beside what a run sends.
fn task(rest: &str) -> KeepTask {
    let text = format!(r#"{{"run":"t","version":"v1","reason":"request",{rest}}}"#);
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_can_be_as_before_although_the_file_is_another_one() {
    let world = World::with("apply", SERVICES, 3).await;
    world.run("r1", 1).await;
    // Looked at for another version, and then not any more.
    world.upload(SERVICES, "v2");
    world.run("r2", 1).await;
    let without = SERVICES.replace("guardduty = { on = true }", "");
    world.upload(&without, "v3");
    world.run("r3", 1).await;
    world.cloud.take();
    let undo = r#""setting":"guardduty-members","places":[{"regions":["us-east-1"]}],"undo":true"#;
    world.send(&task(undo));
    world.work().await;
    let (made, _) = world.cloud.take();
    assert_eq!(
        changes(&made),
        [
            r#"guardduty UpdateOrganizationConfiguration {"autoEnableOrganizationMembers":"NONE","detectorId":"ID"}"#
        ]
    );
    // A standard that came on goes off again, where that is allowed.
    for allow_delete in [false, true] {
        let local = World::with("apply", LOCAL, 3).await;
        hubs_on(&local);
        local.run("r1", 1).await;
        let may_end = format!("[organization]\nallow_delete = {allow_delete}\n");
        local.upload(&may_end, "v2");
        local.cloud.take();
        let undo = r#""setting":"security-hub-standards","places":[{"account":"300000000001","regions":["us-east-1"]}],"undo":true"#;
        local.send(&task(undo));
        local.work().await;
        let (made, _) = local.cloud.take();
        let made = changes(&made);
        assert_eq!(made.len(), 1 + usize::from(allow_delete), "{made:?}");
        assert!(made[0].contains("BatchUpdateStandardsControlAssociations"));
        let record = local.record("security-hub-standards", "300000000001", "us-east-1");
        let (state, left) = if allow_delete {
            assert!(
                made[1].contains("us-east-1:300000000001") || made[1].contains("/subscription")
            );
            (State::Differs, 0)
        } else {
            (State::Blocked, 1)
        };
        assert_eq!((record.state, record.way_back.len()), (state, left));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_administrator_comes_again_and_no_call_is_made_twice_in_a_look() {
    let world = World::with("apply", SERVICES, 3).await;
    let mut count = 0;
    world.cloud.fault(move |made| {
        let is_refused = made.operation.name.starts_with("Enable")
            && made.operation.name.contains("Admin")
            && made.region == "us-east-1"
            && count < 5;
        count += u32::from(is_refused);
        is_refused.then(|| Answer::error(400, "BadRequestException"))
    });
    world.run("r1", 1).await;
    assert!(!states(&world).contains_key(&State::Failed));
    let record = world.record("guardduty-administrator", MANAGEMENT, "us-east-1");
    assert_eq!(record.state, State::InPlace);
    // AWS takes its time to show what was set.
    world
        .cloud
        .services(|services| services.set_automatic("us-east-1", "NONE"));
    world.cloud.take();
    world.cloud.fault(|made| {
        let configures = made.operation.name == "UpdateOrganizationConfiguration";
        configures.then(|| Answer::ok(serde_json::json!({})))
    });
    world.event("guardduty-members", None, "us-east-1", &[]);
    world.work().await;
    let (made, _) = world.cloud.take();
    let looks = made
        .iter()
        .filter(|it| it.operation.name == "ListDetectors");
    assert!(changes(&made).len() * 2 <= looks.count());
}

#[tokio::test(start_paused = true)]
async fn too_many_policies_block_only_those_that_are_missing() {
    let world = World::with("apply", STANDARDS, 6).await;
    world.cloud.fault(|made| {
        let is_second = made.operation.name == "CreateConfigurationPolicy"
            && made.parameters.to_string().contains("CloudTrail.5");
        is_second.then(|| Answer::error(429, "LimitExceededException"))
    });
    world.run("r1", 1).await;
    let (made, _) = world.cloud.take();
    let associated = changes(&made);
    let associated = associated
        .iter()
        .filter(|it| it.contains("StartConfigurationPolicyAssociation"));
    assert_eq!(associated.count(), 1);
    let record = world.record("security-hub-policies", ADMINISTRATOR, "eu-central-1");
    assert_eq!(record.state, State::Blocked);
    let reason = record.reason.unwrap();
    assert!(reason.contains("refused by the test"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_a_policy_keeps_out_does_not_keep_the_others() {
    let world = World::with("apply", SERVICES, 3).await;
    world.cloud.services(|services| {
        services.kept_out.insert(ADMINISTRATOR.to_owned());
    });
    world.run("r1", 1).await;
    assert!(world.has_ended("r1"));
    let record = world.record("inspector-members", ADMINISTRATOR, "us-east-1");
    assert_eq!(record.state, State::Failed);
    let reason = record.reason.unwrap();
    assert!(
        reason.contains("BLOCKED_BY_ORGANIZATION_POLICY"),
        "{reason}"
    );
    // The others are members a while later, and are scanned then.
    let scans = |all: &[orgkeeper_shared::posture::setting_record::Difference]| {
        all.iter().filter(|it| it.what == "scans").count()
    };
    assert_eq!((scans(&record.applied), scans(&record.differences)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_central_configuration_still_denies_is_waited_for() {
    let both = format!(
        "{STANDARDS}{}",
        &LOCAL[LOCAL.find("[[scope]]").unwrap()..].replace("Root/Workloads", "Root/Workloads/Test")
    );
    let world = World::with("apply", &both, 3).await;
    hubs_on(&world);
    let mut count = 0;
    world.cloud.fault(move |made| {
        let is_denied = made.operation.name == "BatchEnableStandards"
            && made.account == "300000000001"
            && count < 12;
        count += u32::from(is_denied);
        is_denied.then(|| Answer::error(403, "AccessDeniedException"))
    });
    world.run("r1", 1).await;
    let (made, _) = world.cloud.take();
    let asked = made
        .iter()
        .filter(|it| it.operation.name == "BatchEnableStandards" && it.account == "300000000001");
    assert_eq!(asked.count(), 14);
    for region in ["eu-central-1", "us-east-1"] {
        let record = world.record("security-hub-standards", "300000000001", region);
        assert_eq!(record.state, State::InPlace, "{:?}", record.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_takes_longer_than_an_invocation_leaves_its_record() {
    let world = World::with("apply", SERVICES, 30).await;
    world.cloud.slow("CreateMember", Duration::from_secs(10));
    world.run("r1", 1).await;
    assert!(world.has_ended("r1"));
    let record = world.record("macie-members", ADMINISTRATOR, "us-east-1");
    assert_eq!(record.state, State::InPlace);
    let members = record.applied.iter().filter(|it| it.what == "member");
    assert_eq!(members.count(), 31);
    let (made, _) = world.cloud.take();
    let of = |name: &str| made.iter().filter(|it| it.operation.name == name).count();
    assert_eq!(of("ListAccounts"), 1, "addresses are known after that");
}

#[tokio::test(start_paused = true)]
async fn only_new_accounts_are_covered_where_the_file_says_so() {
    let new = SERVICES.replace(
        "devops-guru = { on = true }",
        "devops-guru = { on = true, members = \"new\" }",
    );
    let world = World::with("apply", &new, 3).await;
    let (old, region) = ("300000000001", "us-east-1");
    world.event("devops-guru-coverage", Some(old), region, &[]);
    world.event("devops-guru-coverage", Some(old), "sa-east-1", &[]);
    world.work().await;
    let (made, _) = world.cloud.take();
    assert_eq!(changes(&made), [""; 0]);
    // One that has come is covered, and stays so.
    let came = r#""setting":"devops-guru-coverage","places":[{"account":"300000000002","regions":["us-east-1","sa-east-1"]}]"#;
    world.send(&task(came));
    world.work().await;
    let (made, _) = world.cloud.take();
    assert_eq!(changes(&made).len(), 1);
    let record = world.record("devops-guru-coverage", "300000000002", region);
    assert_eq!(record.state, State::InPlace);
}

#[tokio::test(start_paused = true)]
async fn a_new_account_is_no_drift() {
    for (reason, other) in [
        (Reason::Hint, false),
        (Reason::Schedule, false),
        (Reason::Schedule, true),
    ] {
        let mut world = World::with("apply", SERVICES, 3).await;
        world.run("r1", 1).await;
        world.know("400000000001", "new", &["Workloads", "Prod"]);
        if other {
            world
                .cloud
                .services(|services| services.leave_macie("us-east-1", "300000000001"));
        }
        let hint = r#""setting":"macie-members","places":[{"regions":["us-east-1"]}]"#;
        let mut task = task(hint);
        task.reason = reason;
        world.cloud.take();
        world.send(&task);
        world.work().await;
        let (made, _) = world.cloud.take();
        assert_eq!(changes(&made).len(), 1 + usize::from(other));
        let record = world.record("macie-members", ADMINISTRATOR, "us-east-1");
        assert_eq!(record.state, State::InPlace);
        // What somebody has ended meanwhile is one.
        let drift = record.drift.map(|drift| drift.what.join(" "));
        let expected = other.then_some("member: none, should be 300000000001");
        assert_eq!(drift.as_deref(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_a_region_on_by_default_does_not_know_are_said() {
    let world = World::with("apply", SERVICES, 3).await;
    world.run("r1", 1).await;
    world.cloud.fault(|made| {
        let refuses = made.operation.name == "GetResourceCollection"
            || made.operation.name == "ListAnalyzers";
        refuses.then(|| Answer::error(403, "UnrecognizedClientException"))
    });
    world.run("r2", 1).await;
    let state = |region| {
        world
            .record("access-analyzer-analyzer", ADMINISTRATOR, region)
            .state
    };
    assert_eq!(state("us-east-1"), State::Blocked);
    assert_eq!(state("ap-east-2"), State::NotOffered);
}

/// Every request, as it was sent: `infra/local/test_posture_calls.py` holds them equal to AWS's models.
#[tokio::test(start_paused = true)]
async fn the_requests_are_those_of_the_snapshot() {
    let mut requests: BTreeMap<String, String> = BTreeMap::new();
    let mut note = |world: &World| {
        let (made, _) = world.cloud.take();
        for made in made {
            let name = format!("{} {}", made.operation.service.name, made.operation.name);
            requests
                .entry(name)
                .or_insert_with(|| made.parameters.to_string());
        }
    };
    let scopes = &STANDARDS[STANDARDS.find("[[scope]]").unwrap()..];
    let both = format!("{SERVICES}{scopes}");
    let world = World::with("apply", &both, 3).await;
    world.run("r1", 1).await;
    note(&world);
    // Fewer standards, another administrator, and no service: what ends is in it, too.
    let fewer = both
        .replace("[organization]", "[organization]\nallow_delete = true")
        .replace("standards = [\"pci-dss/v/4.0.1\"]", "standards = []")
        .replace("on = true", "on = false");
    world.upload(&fewer, "v2");
    world.run("r2", 1).await;
    note(&world);
    let unit = fewer
        .find("[[scope]]\ntarget = \"Root/Workloads/Prod\"")
        .unwrap();
    world.upload(&fewer[..unit], "v3");
    world.run("r3", 1).await;
    note(&world);
    let local = World::with("apply", LOCAL, 3).await;
    hubs_on(&local);
    local.run("r1", 1).await;
    note(&local);
    let less = LOCAL
        .replace(", \"nist-800-53/v/5.0.0\"", "")
        .replace("[organization]", "[organization]\nallow_delete = true");
    local.upload(&less, "v2");
    local.run("r2", 1).await;
    note(&local);
    let lines = requests
        .iter()
        .map(|(name, parameters)| format!("{name} {parameters}"));
    insta::assert_snapshot!("requests", lines.collect::<Vec<_>>().join("\n"));
}
