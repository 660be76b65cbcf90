//! A person answers by a signed link.

use super::*;

/// The answer to a request of a browser: status and page.
async fn browse(flow: &Flow, method: &str, query: &str, body: &str) -> (i64, String) {
    let event = json!({
        "rawQueryString": query, "body": body, "isBase64Encoded": false,
        "requestContext": { "http": { "method": method, "sourceIp": "203.0.113.7" } },
    });
    let event = serde_json::from_value(event).unwrap();
    let response = flow
        .approver
        .handle(event, flow.invocation())
        .await
        .unwrap();
    let policy = response["headers"]["content-security-policy"]
        .as_str()
        .unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(response["headers"]["cache-control"], "no-store");
    (
        response["statusCode"].as_i64().unwrap(),
        response["body"].as_str().unwrap().to_owned(),
    )
}

/// The query of the link in the alert that asks.
fn query(flow: &Flow, decision: &str) -> String {
    let mail = flow.alerts("May this be fixed?").pop().unwrap();
    let start = format!("{URL}?");
    let mut links = mail
        .split_whitespace()
        .filter_map(|word| word.strip_prefix(&start));
    let link = links
        .find(|link| link.contains(&format!("decision={decision}")))
        .unwrap();
    link.to_owned()
}

#[tokio::test]
async fn looking_at_a_link_decides_nothing_and_answering_it_decides_once() {
    let flow = flow(&mode("ask")).await;
    let mut logs = bucket("logs");
    logs["Resources"][0]["Id"] = "arn:aws:s3:::logs".into();
    flow.found(&[logs]).await;
    let (approve, refuse) = (query(&flow, "approve"), query(&flow, "refuse"));
    for method in ["GET", "HEAD"] {
        for _ in 0..20 {
            let (status, page) = browse(&flow, method, &approve, "").await;
            assert_eq!(status, 200);
            assert!(
                page.contains("Public: true → false") && page.contains("method=\"post\""),
                "{page}"
            );
            assert!(!page.contains("<script"));
        }
    }
    flow.settle().await;
    flow.schedule().await;
    assert_eq!(
        (flow.status(&key_of("logs")).await, flow.orders().len()),
        ("WAITING", 0)
    );

    // A link answers in its own way only, and as a whole.
    let forged = approve.replace("decision=approve", "decision=refuse");
    let later = approve.replacen("until=1", "until=2", 1);
    let other = approve.replacen("id=", "id=0", 1);
    let cut = &approve[..approve.len() - 2];
    for wrong in [
        &forged[..],
        &later,
        &other,
        cut,
        "",
        "id=&decision=approve&until=1&signature=00",
    ] {
        let calls = flow.wire.calls_of("Query").len();
        assert_eq!(browse(&flow, "GET", wrong, "").await.0, 403, "{wrong}");
        assert_eq!(
            browse(&flow, "POST", "", &format!("{wrong}&name=Eve"))
                .await
                .0,
            403
        );
        assert_eq!(
            flow.wire.calls_of("Query").len(),
            calls,
            "nothing is read for it"
        );
    }
    assert_eq!(browse(&flow, "PUT", &approve, "").await.0, 405);
    assert_eq!(
        browse(&flow, "POST", "", &approve).await.0,
        400,
        "nobody says who they are"
    );
    assert_eq!(
        browse(&flow, "POST", &approve, "").await.0,
        403,
        "a query is no answer"
    );
    assert_eq!(browse(&flow, "POST", "", &"x".repeat(5_000)).await.0, 403);

    let (status, page) = browse(&flow, "POST", "", &format!("{approve}&name=Anna+%3CLee%3E")).await;
    assert_eq!(status, 200, "{page}");
    flow.settle().await;
    assert_eq!(flow.orders(), ["fix S3.8"]);
    let fixed = flow.alerts("Fixed: S3.8 on logs");
    assert!(
        fixed[0].contains("Anna <Lee> (by link, from 203.0.113.7)"),
        "{}",
        fixed[0]
    );
    // Neither link is good for anything any more.
    for used in [&approve, &refuse] {
        assert_eq!(browse(&flow, "GET", used, "").await.0, 410);
        assert_eq!(
            browse(&flow, "POST", "", &format!("{used}&name=Ben"))
                .await
                .0,
            410
        );
    }
    flow.settle().await;
    assert_eq!(flow.orders().len(), 1);
}

#[tokio::test]
async fn of_two_people_one_decides() {
    let flow = flow(&mode("ask")).await;
    flow.found(&[bucket("logs")]).await;
    let (approve, refuse) = (query(&flow, "approve"), query(&flow, "refuse"));
    let (anna, ben) = (format!("{approve}&name=Anna"), format!("{refuse}&name=Ben"));
    let (one, other) = tokio::join!(
        browse(&flow, "POST", "", &anna),
        browse(&flow, "POST", "", &ben)
    );
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert!(matches!(statuses, [200, 409 | 410]), "{one:?} {other:?}");
    flow.settle().await;
    let fixed = flow.orders().len();
    let expected = if one.0 == 200 {
        ("FIXED", 1)
    } else {
        ("DECLINED", 0)
    };
    assert_eq!((flow.status(&key_of("logs")).await, fixed), expected);
}

#[tokio::test]
async fn a_link_expires_with_its_request_and_does_not_answer_the_next_one() {
    let flow = flow(&mode("ask")).await;
    flow.found(&[bucket("logs")]).await;
    let first = query(&flow, "approve");
    flow.later(25);
    // Before the schedule has come round, too.
    assert_eq!(browse(&flow, "GET", &first, "").await.0, 410);
    assert_eq!(
        browse(&flow, "POST", "", &format!("{first}&name=Anna"))
            .await
            .0,
        410
    );
    flow.schedule().await;
    flow.later(24 * 8);
    flow.found(&[bucket("logs")]).await;
    let second = query(&flow, "approve");
    assert_ne!(first, second);
    assert_eq!(
        browse(&flow, "POST", "", &format!("{first}&name=Anna"))
            .await
            .0,
        410
    );
    assert_eq!(flow.orders().len(), 0);
    assert_eq!(
        browse(&flow, "POST", "", &format!("{second}&name=Anna"))
            .await
            .0,
        200
    );
    flow.settle().await;
    assert_eq!(flow.orders(), ["fix S3.8"]);
}
