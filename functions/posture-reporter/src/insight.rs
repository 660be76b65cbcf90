//! Insights of Amazon DevOps Guru: what is known of each, and what follows from a list of those that are ongoing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use orgkeeper_shared::ids::AccountId;
use serde::{Deserialize, Serialize};

/// The Regions that offer DevOps Guru, as of November 2026 (endpoints of botocore 1.43). Elsewhere it has no host.
const REGIONS: [&str; 16] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
/// The partition key of insights in the table of notices.
pub const KEY: &str = "insights";
/// Days that an insight is known after it was last written.
const KEPT_DAYS: i64 = 100;
/// It is written again in time while it is ongoing, or it would be new once more.
const RENEWED_DAYS: i64 = 50;
const SECONDS_PER_DAY: i64 = 86_400;
/// Names of resources that are kept.
const RESOURCES: usize = 20;

/// Of the Regions in use, those that offer DevOps Guru.
pub fn offered(in_use: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    let in_use = in_use.iter().map(String::as_str);
    in_use.filter(|region| REGIONS.contains(region))
}

/// What an insight says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InsightKind {
    /// Something behaves otherwise than usual.
    Reactive,
    /// Something is predicted.
    Proactive,
}

impl InsightKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Reactive, Self::Proactive];

    /// As a word, also in links.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Reactive => "reactive",
            Self::Proactive => "proactive",
        }
    }
}

/// An insight that is ongoing, or began lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Insight {
    /// Its Region.
    pub region: String,
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: InsightKind,
    /// The account that it is about, if AWS says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Its name: a sentence.
    pub name: String,
    /// Whether its severity is high.
    pub high: bool,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// When it ended; nothing while it is ongoing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Stacks and tags that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Services that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

impl Insight {
    /// The same with few resources: a list of them can be long.
    #[must_use]
    pub fn short(mut self) -> Self {
        self.resources.truncate(RESOURCES);
        self.services.truncate(RESOURCES);
        self
    }

    /// The table's sort key.
    #[must_use]
    pub fn event(&self) -> String {
        format!("{}#{}", self.region, self.id)
    }
}

/// What is known of an insight, as an item of the table of notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KnownInsight {
    /// The table's partition key, [`KEY`].
    pub pair: String,
    /// The table's sort key.
    pub event: String,
    /// The insight.
    #[serde(flatten)]
    pub insight: Insight,
    /// When it was found, in milliseconds since 1970.
    pub found_at: i64,
    /// When it was published, in milliseconds since 1970; nothing unless its severity is high.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<i64>,
    /// When it was seen not to be ongoing any more, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<i64>,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: i64,
}

impl KnownInsight {
    fn new(insight: Insight, now: Timestamp) -> Self {
        Self {
            pair: KEY.to_owned(),
            event: insight.event(),
            closed_at: insight.ended_at.map(Timestamp::as_millisecond),
            insight,
            found_at: now.as_millisecond(),
            published_at: None,
            expires_at: expiry(now),
        }
    }

    /// Whether people have to know of it: once.
    #[must_use]
    pub fn is_to_be_published(&self) -> bool {
        self.insight.high && self.published_at.is_none()
    }
}

fn expiry(now: Timestamp) -> i64 {
    now.as_second().saturating_add(KEPT_DAYS * SECONDS_PER_DAY)
}

/// What is to be written, given what is known, and what is ongoing or began lately in the Regions that gave an answer. Of
/// another Region nothing is known: nothing there is closed.
#[must_use]
pub fn changes(
    known: Vec<KnownInsight>,
    answers: &BTreeMap<String, Vec<Insight>>,
    now: Timestamp,
) -> Vec<KnownInsight> {
    let mut known: BTreeMap<String, KnownInsight> = known
        .into_iter()
        .map(|known| (known.event.clone(), known))
        .collect();
    let mut changes = Vec::new();
    for insight in answers.values().flatten() {
        let Some(old) = known.remove(&insight.event()) else {
            changes.push(KnownInsight::new(insight.clone(), now));
            continue;
        };
        let renewed = now.as_second() + RENEWED_DAYS * SECONDS_PER_DAY >= old.expires_at;
        let new = KnownInsight {
            insight: insight.clone(),
            closed_at: insight.ended_at.map(Timestamp::as_millisecond),
            expires_at: if renewed { expiry(now) } else { old.expires_at },
            ..old.clone()
        };
        if new != old || new.is_to_be_published() {
            changes.push(new);
        }
    }
    let over = known
        .into_values()
        .filter(|known| known.closed_at.is_none() && answers.contains_key(&known.insight.region));
    changes.extend(over.map(|known| KnownInsight {
        closed_at: Some(now.as_millisecond()),
        expires_at: expiry(now),
        ..known
    }));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::insight;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * SECONDS_PER_DAY).unwrap()
    }

    fn in_region(insights: &[Insight]) -> BTreeMap<String, Vec<Insight>> {
        [("eu-west-1".to_owned(), insights.to_vec())].into()
    }

    fn published(mut known: KnownInsight) -> KnownInsight {
        known.published_at = Some(at(0).as_millisecond());
        known
    }

    #[test]
    fn the_regions_in_use_are_asked_as_far_as_they_have_the_service() {
        let used = ["ap-northeast-3", "eu-central-2", "us-east-1"].map(str::to_owned);
        assert_eq!(offered(&used.into()).collect::<Vec<_>>(), ["us-east-1"]);
    }

    #[test]
    fn one_that_began_and_ended_between_two_lists_is_published_once() {
        let ended = Insight {
            ended_at: Some(at(0)),
            ..insight("a", true)
        };
        let found = changes(Vec::new(), &in_region(std::slice::from_ref(&ended)), at(1));
        assert!(found[0].is_to_be_published());
        assert_eq!(found[0].closed_at, Some(at(0).as_millisecond()));
        let known = published(found[0].clone());
        assert_eq!(
            changes(vec![known.clone()], &in_region(&[ended]), at(1)),
            []
        );
        assert_eq!(changes(vec![known], &in_region(&[]), at(3)), []);
    }

    #[test]
    fn a_new_insight_is_written_once_and_published_only_if_it_is_severe() {
        let found = changes(
            Vec::new(),
            &in_region(&[insight("a", true), insight("b", false)]),
            at(0),
        );
        let to_publish: Vec<bool> = found.iter().map(KnownInsight::is_to_be_published).collect();
        assert_eq!(to_publish, [true, false]);
        let known: Vec<KnownInsight> = vec![published(found[0].clone()), found[1].clone()];
        let again = in_region(&[insight("a", true), insight("b", false)]);
        assert_eq!(changes(known.clone(), &again, at(1)), []);
        // It becomes severe.
        let worse = changes(
            known,
            &in_region(&[insight("a", true), insight("b", true)]),
            at(1),
        );
        assert_eq!(worse.len(), 1);
        assert!(worse[0].is_to_be_published() && worse[0].found_at == at(0).as_millisecond());
        // Noted, and not published: the function was stopped in between.
        let left = changes(found, &again, at(1));
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn one_that_is_not_listed_any_more_is_closed_where_the_region_gave_an_answer() {
        let known = published(KnownInsight::new(insight("a", true), at(0)));
        assert_eq!(changes(vec![known.clone()], &BTreeMap::new(), at(1)), []);
        let closed = changes(vec![known], &in_region(&[]), at(1));
        assert_eq!(closed[0].closed_at, Some(at(1).as_millisecond()));
        assert_eq!(changes(closed.clone(), &in_region(&[]), at(2)), []);
        // It is ongoing again: that is no new one.
        let open = changes(closed, &in_region(&[insight("a", true)]), at(2));
        assert!(open[0].closed_at.is_none() && !open[0].is_to_be_published());
    }

    #[test]
    fn an_insight_that_lasts_is_not_forgotten() {
        let known = published(KnownInsight::new(insight("a", true), at(0)));
        let list = in_region(&[insight("a", true)]);
        assert_eq!(changes(vec![known.clone()], &list, at(49)), []);
        let renewed = changes(vec![known], &list, at(50));
        assert_eq!(renewed[0].expires_at, expiry(at(50)));
        assert!(!renewed[0].is_to_be_published());
    }

    #[test]
    fn an_insight_is_an_item_and_back() {
        let known = published(KnownInsight::new(insight("a", true), at(0)));
        let item: serde_dynamo::Item = serde_dynamo::to_item(&known).unwrap();
        assert_eq!(
            serde_dynamo::from_item::<_, KnownInsight>(item).unwrap(),
            known
        );
    }
}
