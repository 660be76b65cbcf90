//! The alert about a setting that was as `posture.toml` says, and is not or was put back.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Severity, WHAT_HAPPENED, WHAT_TO_DO, one_line},
    ids::AccountId,
    posture::{pair::Pair, setting_record::SettingRecord},
};

use crate::{
    notice::{DriftedSetting, Happened, Notice},
    report::snapshot::KnownAccount,
};

/// A drift that is older is no news: its record was written for another reason.
const RECENT: SignedDuration = SignedDuration::from_hours(24);

/// What people have to know of a change of a record. Nothing while it is being changed: what comes of that is written a moment
/// later.
#[must_use]
pub fn of_change(
    old: Option<&SettingRecord>,
    new: &SettingRecord,
    now: Timestamp,
) -> Option<Notice> {
    let drift = new.drift.as_ref()?;
    if new.claimed_until.is_some() || now.duration_since(drift.at) > RECENT {
        return None;
    }
    let was_claimed = old.is_some_and(|old| old.claimed_until.is_some());
    let known = old.and_then(|old| old.drift.as_ref()) == Some(drift);
    if known && !was_claimed {
        return None;
    }
    let pair = Pair::new(&new.account, &new.region);
    let change = format!("{}#{}#{}", new.setting, drift.at, drift.put_back);
    let setting = DriftedSetting {
        setting: new.setting.clone(),
        reason: new.reason.clone(),
        drift: drift.clone(),
    };
    Some(Notice::of_setting(pair, &change, setting, now))
}

/// The alert about a notice.
#[must_use]
pub fn alert(
    notice: &Notice,
    accounts: &BTreeMap<AccountId, KnownAccount>,
    bucket: &str,
) -> Option<Alert> {
    let drifted = notice
        .setting
        .as_ref()
        .filter(|_| notice.happened == Happened::Drifted)?;
    let drift = &drifted.drift;
    let id = &notice.pair.account;
    let known = accounts.get(id).cloned().unwrap_or_default();
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let name = match one_line(&known.name) {
        name if name.is_empty() => id.to_string(),
        name => name,
    };
    let place = match notice.pair.region.as_str() {
        "global" => name,
        region => format!("{name}, {region}"),
    };
    let (state, title) = if drift.put_back {
        (
            "was put back",
            format!("{} in {place} was put back", drifted.setting),
        )
    } else {
        let title = format!(
            "{} in {place} is not as posture.toml says any more",
            drifted.setting
        );
        ("differs", title)
    };
    let by = drift.by.as_ref().map(|by| {
        let at = by.at.strftime("%Y-%m-%d %H:%M UTC");
        format!("{} by {} at {at}", one_line(&by.call), one_line(&by.who))
    });
    let happened = format!(
        "The setting {} was in place, and somebody has changed it. It {state}.",
        drifted.setting
    );
    let what: Vec<String> = drift.what.iter().map(|line| one_line(line)).collect();
    let mut details = vec![
        (WHAT_HAPPENED, happened),
        ("What differed", what.join("\n")),
        (
            "Changed by",
            by.unwrap_or_else(|| "not known: no recorded call says it".to_owned()),
        ),
    ];
    if let Some(reason) = drifted.reason.as_ref().filter(|_| !drift.put_back) {
        details.push(("Why it stays so", one_line(reason)));
    }
    let to_do = if drift.put_back {
        format!(
            "Ask who did it why. If the change is wanted, write it in desired/posture.toml (bucket {bucket}), or it is put back \
             each time."
        )
    } else {
        format!(
            "If the change is wanted, write it in desired/posture.toml (bucket {bucket}). Else make the call that the next \
             drift.csv lists, or set PostureMode to apply."
        )
    };
    details.push((WHAT_TO_DO, to_do));
    Some(Alert {
        severity: if drift.put_back {
            Severity::Info
        } else {
            Severity::Error
        },
        kind: "posture.drift".to_owned(),
        title,
        account: Some(AlertAccount {
            id: Some(id.clone()),
            name: filled(known.name),
            ou_path: filled(known.unit),
        }),
        region: notice.pair.region.clone(),
        time: drift.at,
        actor: drift.by.as_ref().map(|by| one_line(&by.who)),
        source: None,
        details: details.into_iter().collect(),
        link: None,
        dedup_key: format!("posture.drift#{}#{}", notice.pair, notice.event),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::setting;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_drift_is_noted_once_when_it_is_over() {
        let new = setting(Some(false));
        let notice = of_change(None, &new, at(5)).unwrap();
        assert_eq!(notice.happened, Happened::Drifted);
        assert_eq!(of_change(Some(&new), &new, at(5)), None);
        assert_eq!(of_change(None, &setting(None), at(5)), None);
        // While it is being changed, and long after.
        let mut claimed = new.clone();
        claimed.claimed_until = Some(9);
        assert_eq!(of_change(None, &claimed, at(5)), None);
        assert_eq!(of_change(None, &new, at(100_000)), None);
        let back = of_change(Some(&claimed), &setting(Some(true)), at(9)).unwrap();
        assert_ne!(back.event, notice.event);
    }

    #[test]
    fn the_alert_says_what_who_and_what_to_do() {
        let accounts = BTreeMap::from([(
            "222222222222".parse().unwrap(),
            KnownAccount {
                name: "shop".into(),
                unit: "Root/Workloads".into(),
            },
        )]);
        let texts = [false, true].map(|put_back| {
            let notice = of_change(None, &setting(Some(put_back)), at(5)).unwrap();
            let alert = alert(&notice, &accounts, "posture").unwrap();
            serde_json::to_string_pretty(&alert).unwrap()
        });
        insta::assert_snapshot!("drift", texts.join("\n"));
    }
}
