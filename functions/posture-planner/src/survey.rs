//! A survey of many accounts, in parts of five.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    account_directory::entry::AccountEntry,
    ids::AccountId,
    posture::{
        survey::{Counts, KIND, SurveySummary},
        task::{ACCOUNTS_PER_TASK, AccountLook, Reason, SurveyTask},
    },
};

use crate::starts::Wanted;

/// For so long the summary of a survey is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(100 * 24);
/// For so long an account is looked at that has left the organization: an event that it left can be lost.
const AFTER_LEAVING: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Tasks that are sent at once, and how many a second after that: `organization-surveyor` does more than that, so that a look
/// because of a hint does not wait behind a survey of thousands of accounts.
const AT_ONCE: usize = 20;
const A_SECOND: usize = 2;
/// The longest delay of a message in SQS.
const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// The delay of the task in this place.
#[must_use]
pub fn delay(place: usize) -> Duration {
    let seconds = place.saturating_sub(AT_ONCE) / A_SECOND;
    Duration::from_secs(seconds as u64).min(LONGEST_DELAY)
}

/// The id of a survey that this message starts. Ids compare as their beginnings do, and a duplicate message has the same one.
#[must_use]
pub fn id(began: Timestamp, message_id: &str) -> String {
    let short: String = message_id
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(8)
        .collect();
    format!("{}-{short}", began.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

/// The accounts to look at: those that were named, or all of the organization.
#[must_use]
pub fn accounts(wanted: &Wanted, entries: &[AccountEntry], now: Timestamp) -> Vec<AccountId> {
    if !wanted.accounts.is_empty() {
        let mut named = wanted.accounts.clone();
        named.sort();
        named.dedup();
        return named;
    }
    let oldest = now.as_second().saturating_sub(AFTER_LEAVING.as_secs());
    let members = entries.iter().filter(|entry| match entry.gone_since {
        None => true,
        // An account that was never a member has no name.
        Some(since) => since >= oldest && !entry.name.is_empty(),
    });
    let mut ids: Vec<AccountId> = members.map(|entry| entry.account_id.clone()).collect();
    ids.sort();
    ids
}

/// Accounts that were named and are not, and never were, in the organization.
#[must_use]
pub fn strangers(wanted: &Wanted, entries: &[AccountEntry]) -> Vec<AccountId> {
    let is_known = |id: &AccountId| {
        let mut members = entries.iter().filter(|entry| !entry.name.is_empty());
        members.any(|entry| entry.account_id == *id)
    };
    let named = wanted.accounts.iter();
    named.filter(|id| !is_known(id)).cloned().collect()
}

/// The tasks of a survey, numbered from 1.
#[must_use]
pub fn tasks(id: &str, wanted: &Wanted, accounts: &[AccountId]) -> Vec<SurveyTask> {
    let parts = accounts.chunks(ACCOUNTS_PER_TASK);
    let tasks = (1_u64..).zip(parts).map(|(part, accounts)| SurveyTask {
        survey_id: id.to_owned(),
        reason: wanted.reason,
        accounts: accounts
            .iter()
            .map(|account| AccountLook {
                regions: wanted.regions.clone(),
                ..AccountLook::all_of(account.clone())
            })
            .collect(),
        part: Some(part),
        failures: 0,
        enrolment: false,
        counted: Counts::default(),
    });
    let mut tasks: Vec<SurveyTask> = tasks.collect();
    let part = tasks.len() as u64 + 1;
    tasks.extend(of_enrolment(id, wanted, part).filter(|_| part > 1));
    tasks
}

/// The part of a survey that examines accounts outside Control Tower: one of a survey of everything, by schedule or request.
fn of_enrolment(id: &str, wanted: &Wanted, part: u64) -> Option<SurveyTask> {
    let is_asked_for = match wanted.reason {
        Reason::Schedule | Reason::Request => true,
        Reason::Hint | Reason::Upload => false,
    };
    (is_asked_for && is_of_everything(wanted)).then(|| SurveyTask {
        survey_id: id.to_owned(),
        reason: wanted.reason,
        accounts: Vec::new(),
        part: Some(part),
        failures: 0,
        enrolment: true,
        counted: Counts::default(),
    })
}

fn is_of_everything(wanted: &Wanted) -> bool {
    wanted.accounts.is_empty() && wanted.regions.is_none()
}

/// The summary of a survey that begins.
#[must_use]
pub fn summary(
    id: &str,
    wanted: &Wanted,
    accounts: usize,
    parts: usize,
    began: Timestamp,
) -> SurveySummary {
    SurveySummary {
        pair: SurveySummary::key(id),
        kind: KIND.to_owned(),
        survey_id: id.to_owned(),
        reason: wanted.reason,
        began_at: began,
        is_partial: !is_of_everything(wanted),
        accounts: accounts as u64,
        parts: parts as u64,
        ended: std::collections::BTreeSet::new(),
        ended_at: None,
        counts: Counts::default(),
        expires_at: began.as_second().saturating_add(KEPT.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> Wanted {
        Wanted {
            reason: Reason::Schedule,
            accounts: vec![],
            regions: None,
        }
    }

    fn entry(id: &str, name: &str, gone_since: Option<i64>) -> AccountEntry {
        serde_json::from_value(
            serde_json::json!({ "AccountId": id, "Name": name, "OuPath": [],
            "RefreshedAt": 0, "GoneSince": gone_since }),
        )
        .unwrap()
    }

    #[test]
    fn who_left_is_looked_at_for_a_month() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let days = |days: i64| Some(now.as_second() - days * 86_400);
        let entries = [
            entry("222222222222", "b", None),
            entry("111111111111", "a", days(29)),
            entry("333333333333", "c", days(31)),
            entry("444444444444", "", days(1)),
        ];
        let found = accounts(&all(), &entries, now);
        let ids: Vec<&str> = found.iter().map(AccountId::as_str).collect();
        assert_eq!(ids, ["111111111111", "222222222222"]);
    }

    #[test]
    fn a_large_survey_is_sent_over_some_minutes() {
        let seconds = [0, 19, 21, 22, 599, 100_000].map(|place| delay(place).as_secs());
        assert_eq!(seconds, [0, 0, 0, 1, 289, 900]);
    }

    #[test]
    fn a_message_that_comes_twice_starts_one_survey() {
        let began: Timestamp = "2026-06-01T01:02:03.456Z".parse().unwrap();
        assert_eq!(id(began, "1f-2e#3d-4c5b"), "2026-06-01T01:02:03Z-1f2e3d4c");
        assert!(id(began, "z") < id(began + SignedDuration::from_secs(1), "a"));
    }

    #[test]
    fn only_a_survey_of_everything_examines_accounts_outside_control_tower() {
        let ids: Vec<AccountId> = vec!["111111111111".parse().unwrap()];
        let regions: std::collections::BTreeSet<String> = ["eu-west-1".to_owned()].into();
        for (reason, accounts, regions, expected) in [
            (Reason::Schedule, vec![], None, 1),
            (Reason::Request, vec![], None, 1),
            (Reason::Upload, vec![], None, 0),
            (Reason::Hint, vec![], None, 0),
            (Reason::Request, ids.clone(), None, 0),
            (Reason::Schedule, vec![], Some(regions), 0),
        ] {
            let wanted = Wanted {
                reason,
                accounts,
                regions,
            };
            let tasks = tasks("s", &wanted, &ids);
            let examining = tasks.iter().filter(|task| task.enrolment);
            assert_eq!(examining.count(), expected, "{wanted:?}");
            assert_eq!(tasks.len(), 1 + expected);
            assert!(
                tasks
                    .iter()
                    .all(|task| task.enrolment == task.accounts.is_empty())
            );
        }
        assert!(tasks("s", &all(), &[]).is_empty());
    }

    proptest! {
        #[test]
        fn every_account_is_in_one_part(count in 0_usize..60) {
            let ids: Vec<AccountId> = (0..count).map(|it| format!("{it:012}").parse().unwrap()).collect();
            let upload = Wanted { reason: Reason::Upload, ..all() };
            let tasks = tasks("s", &upload, &ids);
            let found: Vec<AccountId> = tasks.iter().flat_map(|task| &task.accounts).map(|look| look.account.clone()).collect();
            prop_assert_eq!(found, ids);
            prop_assert_eq!(tasks.len(), count.div_ceil(ACCOUNTS_PER_TASK));
            let numbers: Vec<u64> = tasks.iter().filter_map(|task| task.part).collect();
            prop_assert_eq!(numbers, (1..=tasks.len() as u64).collect::<Vec<_>>());
        }
    }
}
