//! Makes the updates of a plan, as far as time allows.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use super::plan::Update;
use crate::{
    ids::FindingId,
    security_hub::{FindingUpdate, SecurityHub, UpdateError},
};

/// `BatchUpdateFindings` calls in progress at once.
const UPDATES_AT_ONCE: usize = 8;

/// What became of the findings; one that is not in here was not reached in time.
#[derive(Debug, Default)]
pub struct Written {
    /// Whether each finding was updated, or why not.
    pub by_finding: HashMap<FindingId, Result<(), UpdateError>>,
    /// Whether every update was made.
    pub complete: bool,
}

/// Makes the updates in their order, until the deadline.
///
/// `smallest` gives what a finding gets that is too large for its update.
pub async fn write(
    security_hub: &SecurityHub,
    updates: &[Update],
    smallest: impl Fn(&FindingId) -> Option<FindingUpdate>,
    deadline: Instant,
) -> Written {
    let mut written = Written::default();
    let mut answers = stream::iter(updates.iter().map(async |update| {
        let not_updated = security_hub.update(&update.findings, &update.update).await;
        (&update.findings, not_updated)
    }))
    .buffer_unordered(UPDATES_AT_ONCE);
    let mut too_large = Vec::new();
    loop {
        match timeout_at(deadline, answers.next()).await {
            Ok(Some((findings, not_updated))) => {
                let all = findings.iter().map(|finding| (finding.clone(), Ok(())));
                written.by_finding.extend(all);
                for (finding, reason) in not_updated {
                    if reason.too_large() {
                        written.by_finding.remove(&finding);
                        too_large.push(finding);
                    } else {
                        written.by_finding.insert(finding, Err(reason));
                    }
                }
            }
            Ok(None) => {
                written.complete = true;
                break;
            }
            Err(_) => break,
        }
    }
    drop(answers);
    let (mut shortened, mut left) = (0, 0);
    for finding in too_large {
        let Some(update) = smallest(&finding) else {
            continue;
        };
        let update = security_hub.update(std::slice::from_ref(&finding), &update);
        let Ok(mut not_updated) = timeout_at(deadline, update).await else {
            written.complete = false;
            continue;
        };
        let outcome = match not_updated.pop() {
            None => {
                shortened += 1;
                Ok(())
            }
            // Nothing can be added to it, now or later.
            Some((_, reason)) if reason.too_large() => {
                left += 1;
                Ok(())
            }
            Some((_, reason)) => Err(reason),
        };
        written.by_finding.insert(finding, outcome);
    }
    if shortened + left > 0 {
        tracing::warn!(
            shortened,
            left,
            "findings are too large for all that belongs on them"
        );
    }
    written
}
