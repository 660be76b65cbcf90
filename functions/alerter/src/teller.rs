//! Alerts in, each told once on its topics, or counted.
//!
//! An alert is claimed by its record, finds its place among those that are alike, is published, and
//! only then noted as done: a crash at any step brings its message back to the same steps. Where it goes
//! to several topics, each has a record of its own, so that one that fails repeats no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, future::join_all, stream};
use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Severity, Topics},
    aws_error::AwsCallError,
    once::{Begin, Once},
    queue::{Queue, Reason},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    burst::{self, Arrival, Group, Limits, Place, Summary, Task},
    draft::{Draft, uncapitalized},
    rulebook::Rulebook,
    sent::{Sent, Stored, alert_id},
};

/// Groups of like alerts worked on at once.
const LANES_AT_ONCE: usize = 16;
/// Alerts of a group worked on at once.
const ALERTS_AT_ONCE: usize = 8;
/// How often a group's windows are tried to be written when others are faster. Each time one of them
/// gets on: this is some times as many as work on the queue at once.
const TRIES: usize = 30;
/// How long it is remembered what was told. `GuardDuty` tells of a finding again for 90 days, a budget
/// within its period.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(100 * 24);

/// Why an alert was not told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotTold {
    /// Its record is another's for now.
    #[error("somebody else is telling it")]
    Busy,
    /// A call about what was told failed.
    #[error("what was told could not be remembered")]
    Memory(#[source] Arc<AwsCallError>),
    /// A topic did not take it.
    #[error("it could not be published")]
    Publish(#[source] Arc<AwsCallError>),
    /// The summary that it is counted in could not be ordered.
    #[error("its summary could not be ordered")]
    Order(#[source] Arc<AwsCallError>),
    /// It was told, but who else hears of it is not known.
    #[error("the account could not be read, and there are routes by organizational unit")]
    Whose,
    /// Time ran out.
    #[error("the invocation's time ran out first")]
    OutOfTime,
}

impl Reason for NotTold {
    fn retryable(&self) -> bool {
        match self {
            Self::Busy | Self::Whose | Self::OutOfTime => true,
            Self::Memory(error) | Self::Publish(error) | Self::Order(error) => error.retryable(),
        }
    }
}

fn memory(error: AwsCallError) -> NotTold {
    NotTold::Memory(Arc::new(error))
}

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was told.
    Told,
    /// It had been told before.
    Repeated,
    /// It is counted in a summary to come.
    Counted,
    /// A rule silences it.
    Silenced,
}

type Result<T> = std::result::Result<T, NotTold>;

/// What is to be told, and about whom.
#[derive(Debug)]
pub struct News {
    /// What happened.
    pub draft: Draft,
    /// The account, as far as it is known.
    pub account: Option<AlertAccount>,
    /// The account directory could not be read.
    pub unread: bool,
}

/// When it is told.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time.
    pub now: Timestamp,
    /// When nobody works on it any more, whatever happens: the end of the invocation.
    pub until: Timestamp,
}

impl Moment {
    fn expires(&self) -> i64 {
        self.now
            .saturating_add(REMEMBERED)
            .map_or(i64::MAX, Timestamp::as_second)
    }
}

/// Tells alerts.
#[derive(Debug)]
pub struct Teller {
    /// The idempotency records.
    pub once: Once,
    /// Bursts and levels.
    pub sent: Sent,
    /// The topics of the severities.
    pub topics: Topics,
    /// The queue that summaries are ordered by, and its URL.
    pub queue: (Queue, String),
    /// The rules.
    pub rules: Rulebook,
    /// When a burst begins.
    pub limits: Limits,
}

/// An alert under way.
struct Claimed<'n> {
    news: &'n News,
    id: String,
    severity: Severity,
}

impl Teller {
    /// Tells all of it until `deadline`, the most severe first; gives what became of each.
    pub async fn tell(&self, news: &[News], at: Moment, deadline: Instant) -> Vec<Result<Outcome>> {
        let mut results: Vec<Result<Outcome>> = vec![Err(NotTold::OutOfTime); news.len()];
        let rules = self.rules.in_force();
        let mut claims = Vec::new();
        for (place, news) in news.iter().enumerate() {
            let verdict = rules.judge(&news.draft, news.account.as_ref(), at.now);
            if let Some(silence) = verdict.silence {
                tracing::info!(silence.line = silence.line, "an alert was silenced");
                results[place] = Ok(Outcome::Silenced);
                continue;
            }
            let claim = Claimed {
                news,
                id: alert_id(&news.draft.dedup_key()),
                severity: verdict.severity,
            };
            claims.push((place, claim));
        }
        claims.sort_by_key(|(_, claim)| std::cmp::Reverse(claim.severity));

        // What is alike is counted together, and needs one place only to be counted at.
        let mut lanes: Vec<(String, Vec<(usize, Claimed<'_>)>)> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for (place, claim) in claims {
            let group = group_of(&claim);
            let lane = *known.entry(group.clone()).or_insert_with(|| {
                lanes.push((group, Vec::new()));
                lanes.len() - 1
            });
            lanes[lane].1.push((place, claim));
        }
        let work = lanes.into_iter().map(async |(group, lane)| {
            let (places, claims): (Vec<usize>, Vec<Claimed<'_>>) = lane.into_iter().unzip();
            let told = timeout_at(deadline, self.lane(&group, claims, at)).await;
            (places, told.unwrap_or_default())
        });
        let done: Vec<_> = stream::iter(work)
            .buffer_unordered(LANES_AT_ONCE)
            .collect()
            .await;
        for (places, told) in done {
            for (place, told) in places.into_iter().zip(told) {
                results[place] = told;
            }
        }
        results
    }

    /// Tells the alerts of one group.
    async fn lane(
        &self,
        group: &str,
        claims: Vec<Claimed<'_>>,
        at: Moment,
    ) -> Vec<Result<Outcome>> {
        let begun: Vec<_> = stream::iter(claims.iter().map(|claim| self.begin(claim, at)))
            .buffered(ALERTS_AT_ONCE)
            .collect()
            .await;
        let mine = |place: &usize| matches!(begun[*place], Ok(Begin::Begun));
        let mut places = vec![Place::Told(1); claims.len()];
        let counted: Vec<usize> = (0..claims.len())
            .filter(mine)
            .filter(|place| is_counted(&claims[*place]))
            .collect();
        if !counted.is_empty() {
            let of_group: Vec<&Claimed<'_>> = counted.iter().map(|place| &claims[*place]).collect();
            match self.places(group, &of_group, at).await {
                Ok(found) => {
                    for (place, found) in counted.into_iter().zip(found) {
                        places[place] = found;
                    }
                }
                Err(error) => {
                    let give_back = claims.iter().zip(&begun).map(async |(claim, begun)| {
                        if matches!(begun, Ok(Begin::Begun)) {
                            self.give_back(&claim.id).await;
                        }
                    });
                    join_all(give_back).await;
                    return vec![Err(error); claims.len()];
                }
            }
        }
        let finish =
            claims.iter().zip(begun).zip(places).map(
                async |((claim, begun), place)| match begun? {
                    Begin::Begun => self.finish(claim, place, at).await,
                    Begin::Done => Ok(Outcome::Repeated),
                    Begin::Busy => Err(NotTold::Busy),
                },
            );
        stream::iter(finish)
            .buffered(ALERTS_AT_ONCE)
            .collect()
            .await
    }

    /// Claims an alert; one about something that was told at the same level before is done.
    async fn begin(&self, claim: &Claimed<'_>, at: Moment) -> Result<Begin> {
        if let Some((thing, level)) = &claim.news.draft.level {
            let told = self.sent.level(thing).await.map_err(memory)?;
            if told.is_some_and(|told| !level.rose_above(&told)) {
                return Ok(Begin::Done);
            }
        }
        self.claim(&claim.id, at).await
    }

    async fn claim(&self, id: &str, at: Moment) -> Result<Begin> {
        let (now, until) = (at.now.as_millisecond(), at.until.as_millisecond());
        let begun = self.once.begin(id, now, until, at.expires()).await;
        begun.map_err(memory)
    }

    /// Lets somebody else try at once. If that fails, they can when the invocation has ended.
    async fn give_back(&self, id: &str) {
        if let Err(error) = self.once.forget(id).await {
            tracing::warn!(%error, "a record stands until its time is over");
        }
    }

    /// Finds the alerts of a group their places, and orders the summary of those that are held.
    async fn places(&self, group: &str, claims: &[&Claimed<'_>], at: Moment) -> Result<Vec<Place>> {
        let keys: Vec<String> = claims
            .iter()
            .map(|claim| claim.news.draft.dedup_key())
            .collect();
        let mut ordered = BTreeSet::new();
        for _ in 0..TRIES {
            let mut stored = self.sent.group(group).await.map_err(memory)?;
            let before = stored.group.clone();
            let places = claims
                .iter()
                .zip(&keys)
                .map(|(claim, key)| {
                    let draft = &claim.news.draft;
                    let arrival = Arrival {
                        key,
                        what: &draft.what,
                        critical_from: match claim.severity {
                            Severity::Critical => Some(1),
                            Severity::Error | Severity::Info => draft.critical_from,
                        },
                    };
                    stored.group.place(arrival, at.now, self.limits)
                })
                .collect();
            if stored.group == before {
                return Ok(places);
            }
            // Ordered before it is held: a summary without anything to tell does no harm.
            let mut to_order = stored.group.to_order();
            to_order.retain(|window| ordered.insert(*window));
            self.order(group, to_order, claims, at).await?;
            if self.keep(group, &stored, at).await? {
                return Ok(places);
            }
        }
        Err(memory(AwsCallError::overtaken("PutItem")))
    }

    async fn keep(&self, group: &str, stored: &Stored, at: Moment) -> Result<bool> {
        let kept = self.sent.keep(group, stored, at.expires()).await;
        kept.map_err(memory)
    }

    async fn order(
        &self,
        group: &str,
        windows: Vec<(i64, i64)>,
        claims: &[&Claimed<'_>],
        at: Moment,
    ) -> Result<()> {
        let Some(one) = claims.last() else {
            return Ok(());
        };
        let tasks = windows.into_iter().map(|(start, end)| {
            let News { draft, account, .. } = one.news;
            Summary {
                group: group.to_owned(),
                start,
                end,
                many: draft.kind.many().to_owned(),
                alert: draft.alert(account.as_ref(), one.severity),
            }
        });
        self.send(tasks.collect(), at).await
    }

    /// Sends summaries to be told when their windows end.
    async fn send(&self, summaries: Vec<Summary>, at: Moment) -> Result<()> {
        if summaries.is_empty() {
            return Ok(());
        }
        let messages = summaries
            .into_iter()
            .filter_map(|summary| {
                let left = summary.end.saturating_sub(at.now.as_millisecond());
                // Whole seconds, and none too early.
                let delay =
                    Duration::from_secs(u64::try_from(left / 1_000 + 1).unwrap_or_default());
                let task = serde_json::to_string(&Task::Summary(summary)).ok()?;
                Some((task, delay))
            })
            .collect();
        let (queue, url) = &self.queue;
        let sent = queue.send(url, messages).await;
        sent.map_err(|error| NotTold::Order(Arc::new(error)))
    }

    /// Tells an alert that was claimed, or leaves it counted.
    async fn finish(&self, claim: &Claimed<'_>, place: Place, at: Moment) -> Result<Outcome> {
        let draft = &claim.news.draft;
        let position = match place {
            Place::Held => {
                self.once.done(&claim.id).await.map_err(memory)?;
                return Ok(Outcome::Counted);
            }
            Place::Told(position) => position,
        };
        let repeated = draft.critical_from.is_some_and(|from| position >= from);
        let severity = if repeated {
            Severity::Critical
        } else {
            claim.severity
        };
        let mut alert = draft.alert(claim.news.account.as_ref(), severity);
        if repeated {
            let window = burst::in_words(self.limits.window);
            alert.title = format!(
                "No. {position} within {window}: {}",
                uncapitalized(&alert.title)
            );
        }
        let published = self.publish(&alert, claim.news.unread, at).await;
        if let Err(error) = published {
            self.give_back(&claim.id).await;
            return Err(error);
        }
        if let Some((thing, level)) = &draft.level {
            let noted = self.sent.note(thing, *level, at.expires()).await;
            noted.map_err(memory)?;
        }
        self.once.done(&claim.id).await.map_err(memory)?;
        Ok(Outcome::Told)
    }

    /// Publishes an alert on the topic of its severity, and on those that its routes add.
    async fn publish(&self, alert: &Alert, unread: bool, at: Moment) -> Result<()> {
        let account = alert.account.as_ref();
        let rules = self.rules.in_force();
        let mut topics = vec![self.topics.of(alert.severity)];
        for (_, topic) in rules.topics(account, alert.severity) {
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        let whose = unread && account.is_some() && rules.route_by_unit();
        if let ([topic], false) = (&topics[..], whose) {
            return self.publish_on(topic, alert).await;
        }
        let mut results = Vec::new();
        for topic in topics {
            results.push(self.publish_once_on(topic, alert, at).await);
        }
        if whose {
            results.push(Err(NotTold::Whose));
        }
        // Of several reasons one that passes counts.
        let failures = results.into_iter().filter_map(std::result::Result::err);
        failures.max_by_key(Reason::retryable).map_or(Ok(()), Err)
    }

    async fn publish_on(&self, topic: &str, alert: &Alert) -> Result<()> {
        let published = self.topics.tell_on(topic, alert).await;
        published.map_err(|error| NotTold::Publish(Arc::new(error)))
    }

    async fn publish_once_on(&self, topic: &str, alert: &Alert, at: Moment) -> Result<()> {
        let id = format!("{}#{topic}", alert_id(&alert.dedup_key));
        match self.claim(&id, at).await? {
            Begin::Done => Ok(()),
            Begin::Busy => Err(NotTold::Busy),
            Begin::Begun => match self.publish_on(topic, alert).await {
                Ok(()) => self.once.done(&id).await.map_err(memory),
                Err(error) => {
                    self.give_back(&id).await;
                    Err(error)
                }
            },
        }
    }

    /// Tells how many alerts a window held.
    ///
    /// # Errors
    /// If that could not be told: the task can be done later.
    pub async fn summarize(&self, summary: &Summary, at: Moment) -> Result<Outcome> {
        if at.now.as_millisecond() < summary.end {
            self.send(vec![summary.clone()], at).await?;
            return Ok(Outcome::Counted);
        }
        let closed = self.change(summary, at, |group| group.close(summary.start));
        let Some((count, among)) = closed.await?.filter(|(count, _)| *count > 0) else {
            return Ok(Outcome::Repeated);
        };
        let alert = summary.told(count, &among);
        let id = alert_id(&alert.dedup_key);
        let outcome = match self.claim(&id, at).await? {
            Begin::Busy => return Err(NotTold::Busy),
            Begin::Done => Outcome::Repeated,
            Begin::Begun => {
                if let Err(error) = self.publish(&alert, false, at).await {
                    self.give_back(&id).await;
                    return Err(error);
                }
                self.once.done(&id).await.map_err(memory)?;
                Outcome::Told
            }
        };
        self.change(summary, at, |group| group.remove(summary.start))
            .await?;
        Ok(outcome)
    }

    /// Changes the windows of a summary's group.
    async fn change<T>(
        &self,
        summary: &Summary,
        at: Moment,
        change: impl Fn(&mut Group) -> T,
    ) -> Result<T> {
        for _ in 0..TRIES {
            let mut stored = self.sent.group(&summary.group).await.map_err(memory)?;
            let before = stored.group.clone();
            let changed = change(&mut stored.group);
            if stored.group == before || self.keep(&summary.group, &stored, at).await? {
                return Ok(changed);
            }
        }
        Err(memory(AwsCallError::overtaken("PutItem")))
    }
}

/// Whether an alert is counted among those that are alike; a critical one is not held back.
fn is_counted(claim: &Claimed<'_>) -> bool {
    claim.severity < Severity::Critical || claim.news.draft.critical_from.is_some()
}

/// What alerts share that are counted together.
fn group_of(claim: &Claimed<'_>) -> String {
    let draft = &claim.news.draft;
    if !is_counted(claim) {
        return draft.dedup_key();
    }
    let account = claim
        .news
        .account
        .as_ref()
        .and_then(|account| account.id.as_ref());
    burst::group(&[
        &draft.kind.to_string(),
        &format!("{:?}", claim.severity),
        &account.map(ToString::to_string).unwrap_or_default(),
        &draft.like,
    ])
}
