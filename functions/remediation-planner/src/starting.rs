//! What follows if something is to be fixed: it waits, a person is asked, the circuit breaker holds it, or it starts.

use std::time::Duration;

use jiff::Timestamp;
use orgkeeper_shared::{
    aws_error::AwsCallError,
    lambda::Time,
    remediation::{
        breaker::Taken,
        order::{Order, Task},
        record::{Begun, Observed, Start, asking::Asked, waiting::Waits},
    },
};

use crate::{
    fixing::{Fixing, preview_key},
    handler::Planner,
    matter::Matter,
};

/// CloudTrail has an event about five minutes after its call, and it can be fifteen.
const UNTIL_IN_TRAIL: Duration = Duration::from_mins(15);

impl Planner {
    /// Fixes a matter now, in its change window, or after the circuit breaker is resumed; gives the name of the metric
    /// that counts it.
    pub(crate) async fn fix(
        &self,
        fixing: &Fixing<'_>,
        approved_by: Option<&str>,
        time: &Time,
    ) -> Result<&'static str, AwsCallError> {
        let Fixing {
            matter, sighting, ..
        } = fixing;
        let (subject, now) = (&matter.subject, time.now());
        let by = approved_by.or(matter.by);
        let start = fixing.start(by);
        if let Some(opens_at) = fixing.conditions.opens_at {
            let start = Start {
                stopped: false,
                ..start
            };
            let waits = self
                .table
                .wait_for_window(subject, sighting, &start, opens_at, now);
            return match waits.await? {
                Waits::Yes { unseen } => {
                    self.show_if(unseen || fixing.again, matter).await?;
                    Ok("RemediationsWaiting")
                }
                Waits::No(begun) => self.not_begun(fixing, begun, time).await,
            };
        }
        let attempt = match self.table.begin(subject, sighting, &start, now).await? {
            Begun::Started {
                attempt,
                held_since,
            } => {
                // What a person has resumed, ordered or allowed is not counted.
                let resumed = held_since.is_some_and(|since| Some(since) <= start.resumed_at);
                (attempt, by.is_none() && !resumed)
            }
            // An execution of the same name is not started twice.
            Begun::Running { attempt } if fixing.again => (attempt, by.is_none()),
            begun => return self.not_begun(fixing, begun, time).await,
        };
        let (attempt, counted) = attempt;
        if counted && !self.take(matter, attempt, time).await? {
            let reason = "the circuit breaker stopped it";
            self.table
                .abandon(&subject.key, attempt, reason, now)
                .await?;
            return self.hold(fixing, time).await;
        }
        self.start(matter, &fixing.order_to(Task::Fix), attempt, time)
            .await
    }

    /// Asks a person about a matter, or fixes it if they have allowed it.
    pub(crate) async fn ask(
        &self,
        fixing: &Fixing<'_>,
        time: &Time,
    ) -> Result<&'static str, AwsCallError> {
        let Fixing {
            matter,
            sighting,
            order,
            again,
            ..
        } = fixing;
        let start = Start {
            stopped: false,
            ..fixing.start(None)
        };
        let about = preview_key(order);
        let asked = self
            .table
            .ask(&matter.subject, sighting, &start, &about, time.now());
        match asked.await? {
            Asked::Look(observed) => {
                self.look(matter, order, observed, *again).await?;
                Ok("RemediationsAsked")
            }
            Asked::Waits { unseen } | Asked::Recently { unseen } => {
                self.show_if(unseen || *again, matter).await?;
                Ok("RemediationsWaiting")
            }
            Asked::Approved { by } => Box::pin(self.fix(fixing, Some(&by), time)).await,
            Asked::No(Begun::Running { attempt }) if *again => {
                self.start(matter, &fixing.order_to(Task::Fix), attempt, time)
                    .await
            }
            Asked::No(begun) => self.not_begun(fixing, begun, time).await,
        }
    }

    /// What follows if nothing begins.
    async fn not_begun(
        &self,
        fixing: &Fixing<'_>,
        begun: Begun,
        time: &Time,
    ) -> Result<&'static str, AwsCallError> {
        let matter = fixing.matter;
        match begun {
            Begun::Started { .. } | Begun::Running { .. } => Ok("RemediationsRunning"),
            Begun::RecentlyFixed { unseen } | Begun::RecentlyFailed { unseen } => {
                self.show_if(unseen || fixing.again, matter).await?;
                Ok("RemediationsRecent")
            }
            // It may have been this message that was to have it published, before a crash.
            Begun::Left {
                unpublished: Some(since),
                ..
            } if fixing.again => self.leave_open(fixing, since).await,
            Begun::Left { unseen, .. } => {
                self.show_if(unseen || fixing.again, matter).await?;
                Ok("RemediationsLeft")
            }
            Begun::ReopenedTooOften { since } => self.leave_open(fixing, since).await,
            Begun::Held => self.hold(fixing, time).await,
        }
    }

    /// Only observes what the circuit breaker holds.
    async fn hold(&self, fixing: &Fixing<'_>, time: &Time) -> Result<&'static str, AwsCallError> {
        let Fixing {
            matter, sighting, ..
        } = fixing;
        let order = fixing.order_to(Task::Preview);
        let (about, now) = (preview_key(&order), time.now());
        let observed = self
            .table
            .observe(&matter.subject, sighting, &about, true, now)
            .await?;
        self.look(matter, &order, observed, fixing.again).await?;
        Ok("RemediationsHeld")
    }

    /// Has it published that a resource is left open, and by whom it was changed back: as its findings say, else as the
    /// account's trail says.
    async fn leave_open(
        &self,
        fixing: &Fixing<'_>,
        since: Timestamp,
    ) -> Result<&'static str, AwsCallError> {
        let matter = fixing.matter;
        if matter.actor.is_some() {
            self.publish_left_open(matter).await?;
        } else {
            let order = Order {
                since: Some(since),
                ..fixing.order_to(Task::WhoChanged)
            };
            self.read(matter, &order, UNTIL_IN_TRAIL).await?;
        }
        self.show_if(true, matter).await?;
        Ok("RemediationsLeft")
    }

    /// Has what follows from an observation done: a preview is asked for, or the findings show what is known.
    pub(crate) async fn look(
        &self,
        matter: &Matter,
        order: &Order,
        observed: Observed,
        again: bool,
    ) -> Result<(), AwsCallError> {
        match observed {
            Observed::PreviewWanted => self.preview(matter, order).await,
            // It may have been this message that was to ask or to show, before a crash.
            Observed::PreviewAwaited if again => self.preview(matter, order).await,
            Observed::PreviewAwaited => Ok(()),
            Observed::Known { unseen } => self.show_if(unseen || again, matter).await,
        }
    }

    /// Counts a fix that is to start; `false` if the circuit breaker stops it.
    async fn take(&self, matter: &Matter, attempt: u32, time: &Time) -> Result<bool, AwsCallError> {
        let subject = &matter.subject;
        let name = format!("{}#{attempt}", subject.key);
        let account = &subject.target.account;
        // One after the other: they write the same item.
        let taking = self.taking.lock().await;
        let taken = self.table.take(account, &name, &self.limits, time.now());
        let taken = taken.await?;
        drop(taking);
        match taken {
            Taken::Yes => Ok(true),
            Taken::No { stop: None, .. } => Ok(false),
            Taken::No {
                scope,
                stop: Some(stop),
            } => {
                // If this fails, a later batch publishes it.
                if let Err(error) = self.report_stop(&scope, &stop).await {
                    tracing::warn!(%error, "the alert about the circuit breaker is published later");
                }
                Ok(false)
            }
        }
    }
}
