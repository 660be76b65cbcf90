//! Insights of DevOps Guru: each severe one is published once, whatever fails in between.

use super::*;

const ON: &str = "[organization]\nadministrator = \"111111111111\"\nregions = [\"eu-west-1\", \"us-east-1\", \"ap-northeast-3\"]\n\n[services]\ndevops-guru = { on = true }\n";

/// What a Region lists, by Region and kind; nothing where it denies the call.
type Lists = Arc<Mutex<BTreeMap<(&'static str, &'static str), Option<Vec<Value>>>>>;

fn insight(id: &str, severity: &str) -> Value {
    json!({ "Id": id, "AccountId": "444444444444", "Name": format!("Latency of {id}"), "Severity": severity, "Status": "ONGOING",
            "InsightTimeRange": { "StartTime": 1_795_745_400 },
            "ResourceCollection": { "CloudFormation": { "StackNames": ["shop"] } } })
}

/// A world with this file and these lists, one insight a page.
async fn world(file: &'static str) -> (World, Lists) {
    let world = World::new().await;
    surveyed(&world, SURVEY, 0);
    let lists: Lists = Arc::default();
    let of_script = Arc::clone(&lists);
    world.fails(move |call| match call.operation.as_str() {
        "GetObject" if !call.uri.contains("versions") => {
            Some(Answer::xml(200, file).with_header("x-amz-version-id", "v1"))
        }
        "ListOrganizationInsights" => {
            let region = call
                .header("authorization")
                .split('/')
                .nth(2)
                .unwrap()
                .to_owned();
            let filter = &call.body["StatusFilter"];
            let of = |status: &str| filter[status]["Type"].as_str().map(str::to_owned);
            let is_ongoing = filter["Any"].is_null();
            let kind = of("Ongoing").or_else(|| of("Any")).unwrap();
            assert_eq!(call.body["MaxResults"], 100);
            let lists = of_script.lock().unwrap();
            let found = lists
                .iter()
                .find(|((of, it), _)| *of == region && *it == kind);
            let Some(mut list) = found.map_or(Some(Vec::new()), |(_, list)| list.clone()) else {
                return Some(Answer::error(403, "AccessDeniedException"));
            };
            let since = filter["Any"]["StartTimeRange"]["FromTime"].as_f64();
            list.retain(|it| {
                let range = &it["InsightTimeRange"];
                let ended = !range["EndTime"].is_null();
                match since {
                    Some(since) => range["StartTime"].as_f64().unwrap() >= since,
                    None => is_ongoing && !ended,
                }
            });
            let page: usize = call.body["NextToken"]
                .as_str()
                .map_or(0, |token| token.parse().unwrap());
            let name = if kind == "REACTIVE" {
                "ReactiveInsights"
            } else {
                "ProactiveInsights"
            };
            let mut answer = json!({ name: list.get(page).into_iter().collect::<Vec<_>>() });
            if page + 1 < list.len() {
                answer["NextToken"] = (page + 1).to_string().into();
            }
            Some(Answer::ok(answer))
        }
        _ => None,
    });
    (world, lists)
}

impl World {
    /// The schedule's message, received twice.
    async fn list_insights(&self, seconds: i64) {
        for message_id in ["1", "2"] {
            let body = include_str!("../../../../events/posture-reporter/insights.json");
            let returned = self
                .invoke(at(seconds), &[sqs::record(message_id, body, 1)])
                .await;
            assert!(returned.is_empty(), "{returned:?}");
        }
    }

    fn insight(&self, key: &str) -> Value {
        self.tables
            .get(EXPOSURE_NOTICES, &format!("insights\n{key}"))
            .unwrap()
    }
}

#[tokio::test]
async fn a_severe_insight_is_published_once_and_closed_when_it_is_over() {
    let (world, lists) = world(ON).await;
    lists.lock().unwrap().extend([
        (
            ("eu-west-1", "REACTIVE"),
            Some(vec![insight("a", "HIGH"), insight("b", "LOW")]),
        ),
        (
            ("us-east-1", "PROACTIVE"),
            Some(vec![insight("c", "MEDIUM"), insight("d", "HIGH")]),
        ),
    ]);
    world.list_insights(0).await;
    world.list_insights(900).await;
    let mut titles = world.titles();
    titles.sort();
    assert_eq!(
        titles,
        [
            "DevOps Guru in <script>, eu-west-1: Latency of a",
            "DevOps Guru in <script>, us-east-1: Latency of d",
        ]
    );
    let (topic, alert) = world.published().remove(0);
    assert_eq!(
        (topic.as_str(), &alert["kind"], &alert["severity"]),
        (ERROR, &json!("insight.new"), &json!("error"))
    );
    assert_eq!(alert["account"]["id"], "444444444444");
    assert_eq!(alert["details"]["Resources"], "stack shop");
    assert_eq!(
        alert["link"],
        "https://eu-west-1.console.aws.amazon.com/devops-guru/#/insight/reactive/a"
    );
    // It is over; another Region denies the call, and so nothing is over there.
    lists
        .lock()
        .unwrap()
        .insert(("eu-west-1", "REACTIVE"), Some(vec![insight("b", "LOW")]));
    lists
        .lock()
        .unwrap()
        .insert(("us-east-1", "REACTIVE"), None);
    lists
        .lock()
        .unwrap()
        .insert(("us-east-1", "PROACTIVE"), Some(Vec::new()));
    world.list_insights(1_800).await;
    assert_eq!(world.published().len(), 2);
    let closed_at = world.insight("eu-west-1#a")["ClosedAt"]["N"].clone();
    let closed_at: i64 = closed_at.as_str().unwrap().parse().unwrap();
    assert!((0..60_000).contains(&(closed_at - at(1_800).as_millisecond())));
    assert!(world.insight("us-east-1#d").get("ClosedAt").is_none());
    assert!(world.insight("eu-west-1#b").get("PublishedAt").is_none());
    // The Region without the service was not asked.
    let asked = world.wire.calls_of("ListOrganizationInsights").into_iter();
    assert!(
        asked
            .into_iter()
            .all(|call| !call.header("authorization").contains("ap-northeast-3"))
    );
}

#[tokio::test]
async fn one_that_ended_before_it_was_listed_is_published_once_unless_it_is_old() {
    let (world, lists) = world(ON).await;
    let ended = |id: &str, hours_ago: i64| {
        let began = at(0).as_second() - hours_ago * 3_600;
        let mut insight = insight(id, "HIGH");
        insight["InsightTimeRange"] = json!({ "StartTime": began, "EndTime": began + 300 });
        insight
    };
    let listed = vec![ended("lately", 3), ended("old", 40)];
    lists
        .lock()
        .unwrap()
        .insert(("eu-west-1", "REACTIVE"), Some(listed));
    world.list_insights(0).await;
    world.list_insights(900).await;
    assert_eq!(
        world.titles(),
        ["DevOps Guru in <script>, eu-west-1: Latency of lately"]
    );
    let known = world.insight("eu-west-1#lately");
    assert!(known.get("ClosedAt").is_some() && known.get("PublishedAt").is_some());
}

#[tokio::test]
async fn an_alert_that_fails_is_published_the_next_time() {
    let (world, lists) = world(ON).await;
    lists
        .lock()
        .unwrap()
        .insert(("eu-west-1", "REACTIVE"), Some(vec![insight("a", "HIGH")]));
    let script = world.fault.lock().unwrap().take().unwrap();
    let failed = AtomicUsize::new(0);
    world.fails(move |call| {
        let first = call.operation == "Publish" && failed.fetch_add(1, Ordering::Relaxed) == 0;
        if first {
            Some(Answer::query_error(500, "InternalFailure"))
        } else {
            script(call)
        }
    });
    let body = include_str!("../../../../events/posture-reporter/insights.json");
    let message = sqs::record("1", body, 1);
    assert_eq!(
        world.invoke(at(0), std::slice::from_ref(&message)).await,
        ["1"]
    );
    assert!(
        world
            .invoke(at(400), std::slice::from_ref(&message))
            .await
            .is_empty()
    );
    world.list_insights(900).await;
    // The first call failed.
    assert_eq!(world.published().len(), 2);
    assert!(world.insight("eu-west-1#a").get("PublishedAt").is_some());
}

#[tokio::test]
async fn where_the_file_does_not_say_so_nothing_is_listed() {
    for file in [
        "",
        "[services]\ndevops-guru = { on = false }\n",
        "[organization]\nadministrator = \"111111111111\"\n[services]\nguardduty = { on = true }\n",
    ] {
        let (world, _) = world(file).await;
        world.list_insights(0).await;
        assert!(
            world.wire.calls_of("ListOrganizationInsights").is_empty(),
            "{file}"
        );
    }
}
