//! Cost anomalies, from a topic or as an event. The service updates one while it goes on: only one that costs twice as
//! much is reported again.

use orgkeeper_shared::alert::Severity;

use crate::{
    console,
    draft::{Draft, Level},
    event::{Event, text_of},
    event_rule::EventRule,
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
    severity::row,
    text::ReadableMoney,
};

/// Unexpected costs.
pub const KIND: &Kind = &Kind {
    name: "cost.anomaly",
    plural: "cost anomalies",
    severities: &[row(Severity::Error)],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "costs that differ from the usual (Cost Anomaly Detection), and again when they have doubled",
    rules: &[EventRule::of(
        "CostAnomaly",
        "Cost anomalies",
        r#"{"source":["aws.ce"],"detail-type":["Anomaly Detected"]}"#,
    )],
    calls: &[],
    samples: &["cost-anomaly", "cost-anomaly-event"],
    classify,
};

/// Causes that are named.
const CAUSES: usize = 3;

/// How many times the published cost is news.
const FACTOR: f64 = 2.0;

/// The currency of a partition, where it is not the dollar.
const CURRENCIES: &[(&str, &str)] = &[("aws-cn", "CN¥"), ("aws-eusc", "€")];

const TO_DO: &str = "Open the anomaly, ask the account's owner whether they know what it names, and stop it if they do \
    not: it can be a stranger who uses your credentials.";

/// Classifies a cost anomaly, from a topic or as an event.
fn classify(event: &Event) -> Option<Classification> {
    let start = ["", "/detail"]
        .into_iter()
        .find(|start| event.value(&format!("{start}/anomalyId")).is_some())?;
    let at = |name: &str| format!("{start}/{name}");
    let field = |name: &str| event.value(&at(name));
    let partition = event.partition(&[&at("monitorArn")]);
    let partition = partition.as_deref().unwrap_or_default();
    let amount = |name: &str| event.number(&at(&format!("impact/{name}")));
    let money = |amount| in_currency(amount, partition);
    let about = field("dimensionalValue").or_else(|| field("dimensionValue"));
    let of = about.map_or(String::new(), |about| format!(" {about}"));
    let impact = amount("totalImpact").or_else(|| amount("maxImpact"));
    let more = impact.map_or("more".to_owned(), |impact| {
        format!("{} more", money(impact))
    });
    let what = match impact {
        Some(_) => format!("Cost anomaly{of}: {more} than expected"),
        None => format!("Cost anomaly{of}"),
    };
    let mut draft = Draft::of(event, KIND, what);
    draft.account = event.account(&[&at("rootCauses/0/linkedAccount"), &at("accountId")]);
    draft.region = event.region(&[&at("rootCauses/0/region")]);
    let since = field("anomalyStartDate")
        .and_then(|start| Some(format!(" since {}", start.get(..10)?)))
        .unwrap_or_default();
    draft.what_happened(format!("AWS charged {more} than it expected{since}."));
    draft.detail("Spent", amount("totalActualSpend").map(money));
    draft.detail("Expected", amount("totalExpectedSpend").map(money));
    draft.detail("Causes", causes(event, &at("rootCauses")));
    draft.detail("Monitor", field("monitorName"));
    draft.what_to_do(TO_DO);
    draft.link = field("anomalyDetailsLink")
        .and_then(console::trusted)
        .or_else(|| console::anomalies(partition));
    // Without its cost it cannot be compared with what was published.
    if let (Some(id), Some(impact)) = (field("anomalyId"), impact) {
        draft.key = format!("{id}#{impact:.0}");
        let level = Level {
            count: impact,
            severity: 0.0,
            factor: FACTOR,
            least: 0.0,
        };
        draft.level = Some((id, level));
    }
    // The anomaly has a day only: the time of the message is closer.
    draft.time = event.time(&[]).max(event.time(&[&at("anomalyStartDate")]));
    Some(draft.into())
}

/// An amount in the currency of a partition: `$1,930.50`.
fn in_currency(amount: f64, partition: &str) -> String {
    let currency = CURRENCIES.iter().find(|(name, _)| *name == partition);
    let currency = currency.map_or("$", |(_, currency)| currency);
    let sign = if amount < 0.0 { "-" } else { "" };
    format!("{sign}{currency}{}", ReadableMoney(amount.abs()))
}

fn causes(event: &Event, pointer: &str) -> Option<String> {
    const PARTS: [&str; 5] = [
        "service",
        "usageType",
        "region",
        "linkedAccountName",
        "linkedAccount",
    ];
    let causes: Vec<String> = event
        .elements(pointer)
        .iter()
        .take(CAUSES)
        .map(|cause| {
            let parts = PARTS.iter().filter_map(|part| text_of(cause.get(part)));
            parts.collect::<Vec<_>>().join(", ")
        })
        .filter(|cause| !cause.is_empty())
        .collect();
    (!causes.is_empty()).then(|| causes.join("; "))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn draft(impact: &Value, partition: &str) -> Draft {
        let event = json!({ "anomalyId": "a-1", "dimensionalValue": "Amazon Bedrock", "impact": impact,
            "monitorArn": format!("arn:{partition}:ce::999900001111:anomalymonitor/x") });
        let event = Event::read(&event.to_string(), "message-1", Timestamp::UNIX_EPOCH);
        match classify(&event) {
            Some(Classification::Alert(draft)) => *draft,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn twice_the_cost_is_news_and_three_percent_are_not() {
        let level = |impact: f64| {
            let draft = draft(&json!({ "totalImpact": impact }), "aws");
            let (thing, level) = draft.level.unwrap();
            assert_eq!(thing, "a-1");
            level
        };
        assert!(level(1_930.5).rose_above((14.2, 0.0)));
        assert!(!level(1_990.0).rose_above((1_930.5, 0.0)));
        assert_eq!(draft(&json!({ "totalImpact": 14.2 }), "aws").key, "a-1#14");
    }

    #[test]
    fn an_anomaly_without_its_cost_is_sent() {
        let draft = draft(&json!({}), "aws");
        assert_eq!(draft.key, "message-1");
        assert_eq!(draft.level, None);
        assert_eq!(draft.headline, "Cost anomaly Amazon Bedrock");
    }

    #[test]
    fn money_has_two_decimals_and_the_partitions_currency_and_console() {
        let headline = |amount: f64, partition: &str| {
            draft(&json!({ "totalImpact": amount }), partition).headline
        };
        for (amount, partition, money) in [
            (14.2, "aws", "$14.20"),
            (1_930.5, "aws", "$1,930.50"),
            (1_990.0, "aws-cn", "CN¥1,990.00"),
            (0.5, "aws-eusc", "€0.50"),
            (-3.0, "aws", "-$3.00"),
        ] {
            assert_eq!(
                headline(amount, partition),
                format!("Cost anomaly Amazon Bedrock: {money} more than expected")
            );
        }
        assert_eq!(draft(&json!({}), "aws-us-gov").link, None);
        assert!(
            draft(&json!({}), "aws-cn")
                .link
                .unwrap()
                .contains("amazonaws.cn")
        );
    }
}
