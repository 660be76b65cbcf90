//! Bursts, causes and levels: drafts as the kinds make them, over real tables.

use std::{collections::BTreeMap, pin::Pin, time::Duration};

use alerter::{
    draft::{Cause, Draft, Level, OpenedSession},
    event::Event,
    kinds::{self, classifier::Classification},
    publisher::{AlertPublisher, PendingAlert, PublishOutcome},
    rules::Rules,
    setup,
};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    alert::AlertAccount,
    aws::CallCounter,
    lambda::{Invocation, Time},
};
use orgkeeper_tests::wire::Answer;
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::{ACCOUNT, LIMIT, NOW, SENT, Stage, config, topic, with};

/// A draft of a sample, under another key and headline.
fn draft(sample: &str, number: usize, headline: &str) -> Draft {
    let event = Event::read(sample, "1", NOW.parse().unwrap());
    let draft = match kinds::classify(&event) {
        Classification::Alert(draft) => Some(*draft),
        Classification::NotReported => None,
    };
    Draft {
        key: number.to_string(),
        headline: headline.to_owned(),
        weight: 1,
        ..draft.unwrap()
    }
}

/// An IAM change by the same actor.
fn iam_change(number: usize, headline: &str, weight: u8) -> Draft {
    Draft {
        weight,
        ..draft(sample!("iam-change"), number, headline)
    }
}

/// A draft about an account that has the same cause as others, elsewhere.
fn of_cause(number: usize, place: &str) -> Draft {
    Draft {
        cause: Some(Cause {
            key: "cause".to_owned(),
            place: place.to_owned(),
        }),
        account: place.parse().ok().or_else(|| ACCOUNT.parse().ok()),
        // Each finding is its own.
        level: None,
        ..draft(
            sample!("guardduty-medium"),
            number,
            "Unusual calls by batch",
        )
    }
}

fn pending(draft: &Draft) -> PendingAlert {
    PendingAlert {
        account: draft.account.clone().map(|id| AlertAccount {
            name: (id.to_string() == ACCOUNT).then(|| "payments-dev".to_owned()),
            id: Some(id),
            ou_path: None,
        }),
        account_unread: false,
        draft: draft.clone(),
    }
}

fn time(seconds: i64) -> Time {
    let now: Timestamp = NOW.parse().unwrap();
    Time::start(Invocation {
        now: now + SignedDuration::from_secs(seconds),
        remaining: Duration::from_secs(20),
        account: None,
    })
}

/// Has these drafts published in batches of ten, `seconds` after the first. Gives the outcome of each.
///
/// A trait object: the compiler gives up on the layout of so many nested futures.
fn publish<'a>(
    publisher: &'a AlertPublisher,
    drafts: &'a [Draft],
    seconds: i64,
) -> Pin<Box<dyn Future<Output = Vec<PublishOutcome>> + 'a>> {
    Box::pin(async move {
        let mut outcomes = Vec::new();
        for batch in drafts.chunks(10) {
            let alerts: Vec<PendingAlert> = batch.iter().map(pending).collect();
            let results = publisher.publish_all(&alerts, &time(seconds)).await;
            outcomes.extend(results.into_iter().map(Result::unwrap));
        }
        outcomes
    })
}

#[tokio::test]
async fn of_sixty_changes_by_one_actor_the_two_that_give_power_are_published_at_once() {
    for places in [[0, 1], [30, 45], [58, 59]] {
        let stage = Stage::new().await;
        let publisher = stage.publisher().await;
        let mut drafts: Vec<Draft> = (0..58)
            .map(|number| iam_change(number, &format!("User trainee-{number} created"), 1))
            .collect();
        for place in places {
            let headline = format!("Everything allowed to role app-{place}");
            drafts.insert(place, iam_change(100 + place, &headline, 2));
        }
        for _ in 0..2 {
            publish(&publisher, &drafts, 0).await;
        }
        let told = stage.look().published();
        assert_eq!(told.len(), LIMIT + 2);
        for place in places {
            let title = format!("Everything allowed to role app-{place} in payments-dev");
            assert!(told.contains(&("error".to_owned(), title)), "{told:?}");
        }
        let summary = "55 more: IAM changes in payments-dev within 5 minutes";
        assert_eq!(
            stage.summaries(301).await,
            [("error".to_owned(), summary.to_owned())]
        );
        let mail = stage.look().mails.pop().unwrap();
        assert!(
            mail.contains("\nAmong them: User … created (55)\n"),
            "{mail}"
        );
    }
}

#[tokio::test]
async fn what_is_held_of_a_heavy_class_is_named_worst_first() {
    let stage = Stage::new().await;
    let publisher = stage.publisher().await;
    let mut drafts: Vec<Draft> = (0..50)
        .map(|number| iam_change(number, &format!("Role {number} opened"), 2))
        .collect();
    drafts.push(iam_change(90, "Everything allowed to everybody", 3));
    publish(&publisher, &drafts, 0).await;
    stage.look().published();
    assert_eq!(stage.summaries(301).await.len(), 1);
    let mail = stage.look().mails.pop().unwrap();
    assert!(
        mail.contains("\nAmong them: Everything allowed to everybody\n> Role ")
            && mail.contains("\n> and 38 more\n"),
        "{mail}"
    );
}

#[tokio::test]
async fn the_summary_of_one_alert_reads_like_that_alert() {
    let stage = Stage::new().await;
    let publisher = stage.publisher().await;
    let drafts: Vec<Draft> = (0..=LIMIT)
        .map(|number| iam_change(number, &format!("User trainee-{number} created"), 1))
        .collect();
    let outcomes = publish(&publisher, &drafts, 0).await;
    assert_eq!(outcomes.last(), Some(&PublishOutcome::Summarized));
    stage.look().published();
    assert_eq!(
        stage.summaries(301).await,
        [(
            "error".to_owned(),
            "User trainee-3 created in payments-dev".to_owned()
        )]
    );
}

#[tokio::test]
async fn one_cause_in_six_regions_is_one_alert_and_a_list() {
    let stage = Stage::new().await;
    let publisher = stage.publisher().await;
    let regions = [
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "us-east-1",
        "us-east-2",
        "us-west-1",
    ];
    let drafts: Vec<Draft> = (0..)
        .zip(regions)
        .map(|(n, region)| of_cause(n, region))
        .collect();
    for _ in 0..2 {
        publish(&publisher, &drafts, 0).await;
    }
    let title = "Unusual calls by batch in payments-dev";
    assert_eq!(
        stage.look().published(),
        [("error".to_owned(), title.to_owned())]
    );
    let title = format!("{title}, also in 5 more Regions");
    assert_eq!(stage.summaries(301).await, [("error".to_owned(), title)]);
    let mail = stage.look().mails.pop().unwrap();
    let list = "\nAlso in: eu-west-2, eu-west-3, us-east-1, us-east-2, us-west-1\n";
    assert!(mail.contains(list), "{mail}");

    // Another principal is another cause.
    let mut other = of_cause(50, "eu-west-1");
    other.cause.as_mut().unwrap().key = "another".to_owned();
    publish(&publisher, &[other], 302).await;
    // What is more severe is published at once, the same again is not, a day later it is.
    let severe = |number, region| Draft {
        content: draft(sample!("guardduty-high"), number, "").content,
        ..of_cause(number, region)
    };
    let outcomes = publish(
        &publisher,
        &[
            severe(60, "sa-east-1"),
            severe(61, "ca-west-1"),
            of_cause(62, "ca-central-1"),
        ],
        303,
    )
    .await;
    assert_eq!(outcomes[0], PublishOutcome::Published);
    assert_eq!(outcomes[1..], [PublishOutcome::Summarized; 2]);
    assert_eq!(stage.look().topics(), ["error", "critical"]);
    assert_eq!(stage.summaries(604).await.len(), 1);
    let outcomes = publish(&publisher, &[of_cause(70, "af-south-1")], 86_400).await;
    assert_eq!(outcomes, [PublishOutcome::Published]);
}

#[tokio::test]
async fn one_cause_in_two_hundred_accounts_is_one_alert_and_a_summary() {
    let stage = Stage::new().await;
    let publisher = stage.publisher().await;
    let mut ids: Vec<String> = (1..200)
        .map(|n| format!("{:012}", 500_000_000_000_u64 + n))
        .collect();
    ids.insert(5, ACCOUNT.to_owned());
    let drafts: Vec<Draft> = (0..).zip(&ids).map(|(n, id)| of_cause(n, id)).collect();
    for _ in 0..2 {
        publish(&publisher, &drafts, 0).await;
    }
    assert_eq!(stage.look().topics(), ["error"]);
    let title = "Unusual calls by batch, also in 199 more accounts".to_owned();
    assert_eq!(stage.summaries(301).await, [("error".to_owned(), title)]);
    let mail = stage.look().mails.pop().unwrap();
    assert!(
        mail.contains("\nAlso in: payments-dev (111122223333), 500000000002, "),
        "{mail}"
    );
    assert!(mail.contains(" and 179 more\n"), "{mail}");
    assert!(!mail.contains("\nAccount: "), "{mail}");
}

#[tokio::test]
async fn a_cause_with_other_routes_is_published_there_too() {
    let stage = Stage::new().await;
    let sdk = stage.wire.sdk_config().await;
    let rules = format!(
        "[[route]]\nname = \"partner\"\naccount = \"500000000002\"\ntopic = {:?}\n",
        topic("partner")
    );
    let rules = Rules::parse(&rules).unwrap().into();
    let publisher = setup::publisher(&config(&[]), &sdk, rules, &CallCounter::default());
    let drafts: Vec<Draft> = (1..4)
        .map(|n| of_cause(n, &format!("50000000000{n}")))
        .collect();
    publish(&publisher, &drafts, 0).await;
    let mut topics = stage.look().topics();
    topics.sort();
    assert_eq!(topics, ["error", "error", "partner"]);
}

#[tokio::test]
async fn more_of_the_same_is_published_when_it_is_ten_times_as_much() {
    let stage = Stage::new().await;
    let publisher = stage.publisher().await;
    for (number, (count, wanted)) in [
        (14.0, true),
        (20.0, false),
        (139.0, false),
        (140.0, true),
        (1_390.0, false),
    ]
    .into_iter()
    .enumerate()
    {
        let level = Level {
            count,
            severity: 0.0,
            factor: 10.0,
            least: 0.0,
        };
        let draft = Draft {
            level: Some(("anomaly".to_owned(), level)),
            ..draft(sample!("cost-anomaly"), number, "Unusual costs")
        };
        let outcome = publish(&publisher, &[draft], 0).await[0];
        assert_eq!(outcome == PublishOutcome::Published, wanted, "{count}");
    }
}

#[tokio::test]
async fn everything_in_any_order_is_published_once_or_counted_in_one_summary() {
    for seed in 0..4 {
        let stage = Stage::new().await;
        let publisher = stage.publisher().await;
        let mut random = StdRng::seed_from_u64(seed);
        let mut drafts: Vec<Draft> = (0..90)
            .map(|number| match number % 5 {
                0 => iam_change(number, "User created", 1),
                1 => iam_change(number, "Everything allowed", 2),
                2 => draft(sample!("root-use"), number, "Root user called"),
                3 => draft(
                    sample!("root-sign-in-failed"),
                    number,
                    "Root sign-in failed",
                ),
                _ => of_cause(number, &format!("eu-west-{number}")),
            })
            .flat_map(|draft| [draft.clone(), draft])
            .collect();
        drafts.shuffle(&mut random);
        let mut outcomes: BTreeMap<String, Vec<PublishOutcome>> = BTreeMap::new();
        // Over two windows. A batch has no duplicates: the handler makes one alert of them.
        for (number, half) in (0..).zip(drafts.chunks(90)) {
            for batch in half.chunks(6) {
                let (mut first, mut again) = (Vec::<Draft>::new(), Vec::new());
                for draft in batch {
                    let is_known = first.iter().any(|known| known.key == draft.key);
                    if is_known { &mut again } else { &mut first }.push(draft.clone());
                }
                for drafts in [first, again] {
                    let results = publish(&publisher, &drafts, number * 301).await;
                    for (draft, outcome) in drafts.iter().zip(results) {
                        outcomes.entry(draft.dedup_key()).or_default().push(outcome);
                    }
                }
            }
        }
        let direct = outcomes
            .values()
            .filter(|outcomes| outcomes.contains(&PublishOutcome::Published))
            .count();
        for outcomes in outcomes.values() {
            assert_eq!(outcomes.len(), 2);
            assert_ne!(outcomes[0], PublishOutcome::Duplicate);
            assert_eq!(outcomes[1], PublishOutcome::Duplicate, "{outcomes:?}");
        }
        assert_eq!(stage.look().published().len(), direct);
        stage.summaries(602).await;
        let counted: usize = stage.look().mails[direct..]
            .iter()
            .map(|mail| counted_in(mail))
            .sum();
        assert_eq!(direct + counted, 90, "seed {seed}");
    }
}

/// How many alerts a summary counts: its title says it, or it is one alert itself.
fn counted_in(mail: &str) -> usize {
    let words: Vec<&str> = mail.lines().next().unwrap().split(' ').collect();
    let more = words
        .iter()
        .position(|word| word.starts_with("more"))
        .unwrap_or_default();
    words[more.saturating_sub(1)].parse().unwrap_or_else(|_| {
        // A list of two Regions names them.
        mail.lines()
            .next()
            .unwrap()
            .matches("eu-west-")
            .count()
            .max(1)
    })
}

#[tokio::test]
async fn who_opened_a_root_session_is_known_in_the_same_batch_and_for_a_day() {
    let stage = Stage::new().await;
    let alerter = stage.handler.work();
    let now: Timestamp = NOW.parse().unwrap();
    let opened = Draft {
        opened_session: Some(OpenedSession {
            access_key_id: "ASIAEXAMPLE1".to_owned(),
            who: "mara".to_owned(),
        }),
        ..draft(sample!("root-session"), 1, "Root session opened")
    };
    let call = |key: &str| {
        let event = with(sample!("root-use"), "/detail/userIdentity/accessKeyId", key);
        draft(&event, 2, "Root user called")
    };
    let by = async |drafts: Vec<Draft>| -> Vec<Option<String>> {
        let alerts = alerter.with_lookups(drafts, now).await.into_iter();
        let actors = alerts.map(|alert| alert.draft.actor_name().to_owned());
        actors
            .map(|actor| actor.contains("session that mara opened").then_some(actor))
            .collect()
    };
    let mara = || Some("the central root session that mara opened".to_owned());
    assert_eq!(by(vec![call("ASIAEXAMPLE1")]).await, [None]);
    assert_eq!(
        by(vec![call("ASIAEXAMPLE1"), opened, call("ASIAEXAMPLE2")]).await,
        [mara(), None, None]
    );
    assert_eq!(by(vec![call("ASIAEXAMPLE1")]).await, [mara()]);
    let items = stage.tables.items(SENT);
    let (id, item) = items.iter().next().unwrap();
    assert!(items.len() == 1 && !id.contains("ASIA"), "{items:?}");
    let day = (now.as_second() + 86_400).to_string();
    assert_eq!(item["ExpiresAt"]["N"], day);
    stage.look().tables_answer = Some(Answer::error(500, "InternalServerError"));
    assert_eq!(by(vec![call("ASIAEXAMPLE1")]).await, [None]);
}

#[tokio::test]
async fn trusted_accounts_are_read_with_the_draft_s_own() {
    let stage = Stage::new().await;
    let trusting = || Draft {
        trusted_accounts: [ACCOUNT, "444455556666"]
            .iter()
            .map(|id| id.parse().unwrap())
            .collect(),
        account: "777788889999".parse().ok(),
        ..iam_change(1, "Trust changed", 2)
    };
    let read = async || {
        let alerts = stage
            .handler
            .work()
            .with_lookups(vec![trusting()], NOW.parse().unwrap());
        let draft = alerts.await.remove(0).draft;
        let lets_in = draft
            .details
            .into_iter()
            .find(|(label, _)| *label == "Lets in");
        lets_in.unwrap().1
    };
    assert_eq!(
        read().await,
        "payments-dev (111122223333); account 444455556666, which is outside of the organization"
    );
    assert_eq!(stage.wire.calls_of("BatchGetItem").len(), 1);
    stage.fail(
        "BatchGetItem",
        vec![Answer::error(500, "InternalServerError")],
    );
    assert!(read().await.contains("could not be asked"));
}
