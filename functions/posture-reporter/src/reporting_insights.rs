//! The task that lists the insights of Amazon DevOps Guru: what is new and severe is published once.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use orgkeeper_shared::{lambda::Time, posture::setting::regions_in_use};

use crate::{
    gateway::notices::Claimed,
    insight::{KnownInsight, changes, offered},
    insight_alert::alert,
    reporter::{Done, Reporter, ReporterError},
};

/// The service as `posture.toml` names it.
const SERVICE: &str = "devops-guru";
/// What began so lately is listed although it has ended: for so long no list may have been answered.
const LATELY: SignedDuration = SignedDuration::from_hours(24);

impl Reporter {
    /// Lists the insights that are ongoing or began lately, writes down what has changed, and publishes what is new and severe. A Region that
    /// gives no answer is asked the next time.
    ///
    /// # Errors
    /// If it is not known whether this is wanted, or a table or an alert cannot be written.
    pub(crate) async fn insights(&self, time: &Time) -> Result<Done, ReporterError> {
        let verdicts = self.tables.verdicts().await?;
        let in_force = verdicts.in_force(&self.file, time.began()).await?;
        let file = &in_force.file;
        let setting = file.services.get(SERVICE);
        if !setting.is_some_and(|setting| setting.on) {
            return Ok(Done::default());
        }
        self.claimed(&Claimed::Insights, time, async || {
            let mut answers = BTreeMap::new();
            let mut done = Done::default();
            let regions = regions_in_use(file, &self.region);
            for region in offered(&regions) {
                match self.devops_guru.insights(region, time.now() - LATELY).await {
                    Ok(insights) => {
                        answers.insert(region.to_owned(), insights);
                    }
                    Err(error) => {
                        tracing::warn!(region, %error, "insights cannot be listed, the next time is in 15 minutes");
                        done.insights_unread += 1;
                    }
                }
            }
            let known = self.notices.insights().await?;
            let changes = changes(known, &answers, time.now());
            let severe = changes.iter().any(KnownInsight::is_to_be_published);
            let accounts = if severe {
                self.known_accounts().await
            } else {
                BTreeMap::new()
            };
            for mut known in changes {
                if known.is_to_be_published() {
                    let account = known.insight.account.as_ref();
                    let account = account.and_then(|account| accounts.get(account));
                    let alert = alert(&known.insight, account, time.now());
                    self.topics.publish(&alert).await?;
                    known.published_at = Some(time.now().as_millisecond());
                    done.insights += 1;
                }
                self.notices.store_insight(&known).await?;
            }
            Ok(done)
        })
        .await
    }
}
