//! The alerts of this function: an account is ready, is not after an hour, or somebody has undone an item.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Severity, WHAT_HAPPENED, WHAT_TO_DO},
    versioned_file::active::RefusedFile,
};

use crate::{
    plan::Account,
    record::{Came, Entry, Record},
    starts::Undoing,
};

/// The kind of the alert that an account is ready.
pub const READY: &str = "baseline.ready";
/// Faults, items or reasons that are listed; the rest is counted.
const MOST: usize = 20;

/// What somebody has undone, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The item's key in the record.
    pub key: String,
    /// Who did it by which call, if the trail's event arrived.
    pub by: Option<Undoing>,
    /// Whether it was put back.
    pub put_back: bool,
    /// What it is now, or what it was before it was put back, as JSON.
    pub found: String,
}

/// What became of an item that a person wants to be as it was: its key in the record, and why it is not.
pub type Restored = (String, Result<(), String>);

fn alert(
    kind: &str,
    severity: Severity,
    title: String,
    account: &Account,
    (region, now): (&str, Timestamp),
    details: Vec<(&str, String)>,
) -> Alert {
    Alert {
        severity,
        kind: kind.to_owned(),
        title,
        account: Some(AlertAccount {
            id: Some(account.id.clone()),
            name: Some(account.name.clone()).filter(|name| !name.is_empty()),
            ou_path: account.is_member.then(|| account.path.to_string()),
        }),
        region: region.to_owned(),
        time: now,
        actor: None,
        source: None,
        details: details.into_iter().collect(),
        link: None,
        dedup_key: format!("{kind}#{}", account.id),
    }
}

fn name_of(account: &Account) -> String {
    if account.name.is_empty() {
        account.id.to_string()
    } else {
        account.name.clone()
    }
}

/// The alert that an account is as the baseline says.
#[must_use]
pub fn ready(account: &Account, record: &Record, region: &str, now: Timestamp) -> Alert {
    let took = SignedDuration::from_secs(now.as_second() - record.began);
    let count = |came: Came| {
        let entries = record.items.values();
        entries.filter(|entry| entry.came == came).count()
    };
    let summary = [
        (Came::Set, "set"),
        (Came::Right, "right already"),
        (Came::Would, "would be set (mode check)"),
        (Came::Held, "held by a policy of the organization"),
        (Came::LeftOut, "left out"),
    ]
    .into_iter()
    .filter_map(|(came, words)| {
        let count = count(came);
        (count > 0).then(|| format!("{count} {words}"))
    });
    let summary: Vec<String> = summary.collect();
    let mut details = vec![
        (
            WHAT_HAPPENED,
            "The account is as the baseline says, in all of its Regions.".to_owned(),
        ),
        ("Took", format!("{} s", took.as_secs())),
        ("Settings", summary.join(", ")),
    ];
    let left_out = listed(record, |entry| {
        matches!(entry.came, Came::LeftOut | Came::Held)
    });
    if !left_out.is_empty() {
        details.push(("Left out", left_out));
    }
    let would = listed(record, |entry| entry.came == Came::Would);
    if !would.is_empty() {
        details.push(("Would be set", would));
    }
    let title = format!("Account {} is ready", name_of(account));
    let alert = alert(
        READY,
        Severity::Info,
        title,
        account,
        (region, now),
        details,
    );
    Alert {
        dedup_key: format!("{}#{}", alert.dedup_key, record.began),
        ..alert
    }
}

/// The alert that an account is not as the baseline says, after an hour.
#[must_use]
pub fn failed(account: &Account, record: &Record, region: &str, now: Timestamp) -> Alert {
    let open = |entry: &Entry| !entry.came.is_settled();
    let since = record.items.values().filter(|entry| open(entry));
    let since = since.map(|entry| entry.since).min().unwrap_or_default();
    let details = vec![
        (
            WHAT_HAPPENED,
            "A part of the baseline has not worked in this account for an hour. It is tried again every 15 minutes."
                .to_owned(),
        ),
        ("Not set", listed(record, open)),
        (
            WHAT_TO_DO,
            "Read the reasons. A missing role OrgkeeperBaseline: look at the stack set of the member accounts. What cannot \
             work in this account: set the item to off for it in baseline.toml."
                .to_owned(),
        ),
    ];
    let title = format!("Account {} is not ready", name_of(account));
    let alert = alert(
        "baseline.failed",
        Severity::Error,
        title,
        account,
        (region, now),
        details,
    );
    Alert {
        dedup_key: format!("{}#{since}", alert.dedup_key),
        ..alert
    }
}

/// The alert that somebody has undone a part of the baseline.
#[must_use]
pub fn drift(account: &Account, drift: &Drift, region: &str, now: Timestamp) -> Alert {
    let (item, of_region) = drift.key.split_once('@').unwrap_or((&drift.key, region));
    let (severity, end, what_to_do) = if drift.put_back {
        (
            Severity::Info,
            "put back",
            "Ask who changed it for the reason. To leave it changed, set the item to off or once for this account in \
             baseline.toml.",
        )
    } else {
        (
            Severity::Error,
            "left as it is",
            "Put it back, or set the item to keep in baseline.toml; to accept the change, set it to off for this account.",
        )
    };
    let by = drift.by.as_ref();
    let call = by.map_or("not known: its event did not arrive", |by| by.call.as_str());
    let details = vec![
        (
            WHAT_HAPPENED,
            format!("A setting of the baseline was changed in this account. It was {end}."),
        ),
        ("Item", item.to_owned()),
        ("Call", call.to_owned()),
        ("Changed to", drift.found.clone()),
        (WHAT_TO_DO, what_to_do.to_owned()),
    ];
    let title = format!("{item} was changed in {}, and {end}", name_of(account));
    let alert = alert(
        "baseline.drift",
        severity,
        title,
        account,
        (of_region, now),
        details,
    );
    Alert {
        actor: by.map(|by| by.by.clone()),
        dedup_key: format!("{}#{}#{now}", alert.dedup_key, drift.key),
        ..alert
    }
}

/// The alert that an item is as it was before the baseline set it, or why it is not.
#[must_use]
pub fn undone(
    account: &Account,
    item: &str,
    restored: &[Restored],
    region: &str,
    now: Timestamp,
) -> Alert {
    let name = name_of(account);
    let done = restored.iter().filter(|(_, result)| result.is_ok());
    let done: Vec<&str> = done.map(|(key, _)| key.as_str()).collect();
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, result) in restored {
        if let Err(reason) = result {
            reasons.entry(reason).or_default().push(key);
        }
    }
    let left = reasons
        .iter()
        .map(|(reason, keys)| format!("{}: {reason}", keys.join(", ")));
    let left: Vec<String> = left.collect();
    let (severity, title, words) = match (done.is_empty(), left.is_empty()) {
        (false, true) => (
            Severity::Info,
            format!("{item} was undone in {name}"),
            "The setting is as it was before the baseline set it.",
        ),
        (false, false) => (
            Severity::Error,
            format!("{item} was undone in a part of {name}"),
            "A part of the setting is as it was before the baseline set it.",
        ),
        (true, _) => (
            Severity::Error,
            format!("{item} was not undone in {name}"),
            "The setting stays as it is.",
        ),
    };
    let mut details = vec![(WHAT_HAPPENED, words.to_owned())];
    if !done.is_empty() {
        details.push(("Undone", done.join(", ")));
    }
    if !left.is_empty() {
        details.push(("Not undone", left.join("; ")));
    }
    let alert = alert(
        "baseline.undone",
        severity,
        title,
        account,
        (region, now),
        details,
    );
    Alert {
        dedup_key: format!("{}#{item}#{now}", alert.dedup_key),
        ..alert
    }
}

/// The alert about a baseline that is refused.
#[must_use]
pub fn refused(refused: &RefusedFile, region: &str, now: Timestamp) -> Alert {
    let mut listed: Vec<String> = refused.faults.iter().take(MOST).cloned().collect();
    if refused.faults.len() > MOST {
        listed.push(format!("{} more", refused.faults.len() - MOST));
    }
    Alert {
        severity: Severity::Error,
        kind: "baseline.refused".to_owned(),
        title: "baseline.toml is refused".to_owned(),
        account: None,
        region: region.to_owned(),
        time: now,
        actor: None,
        source: None,
        details: [
            (
                WHAT_HAPPENED,
                "The newest version of baseline.toml is wrong. The last good one stays in force."
                    .to_owned(),
            ),
            ("Faults", listed.join("; ")),
            ("Version", refused.version.clone()),
            (
                WHAT_TO_DO,
                "Correct the file and upload it again.".to_owned(),
            ),
        ]
        .into_iter()
        .collect(),
        link: None,
        dedup_key: format!("baseline.refused#{}", refused.version),
    }
}

/// Items with their reasons, each reason once.
fn listed(record: &Record, which: impl Fn(&Entry) -> bool) -> String {
    let mut reasons: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (key, entry) in record.items.iter().filter(|(_, entry)| which(entry)) {
        let item = key.split('@').next().unwrap_or(key);
        let reason = entry.reason.as_deref().unwrap_or_default();
        *reasons.entry((item, reason)).or_default() += 1;
    }
    let more = reasons.len().saturating_sub(MOST);
    let mut lines: Vec<String> = reasons
        .into_iter()
        .take(MOST)
        .map(|((item, reason), regions)| {
            let regions = match regions {
                1 => String::new(),
                regions => format!(" ({regions} Regions)"),
            };
            let colon = if reason.is_empty() { "" } else { ": " };
            format!("{item}{regions}{colon}{reason}")
        })
        .collect();
    if more > 0 {
        lines.push(format!("{more} more"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::account_directory::entry::OuPath;

    use super::*;

    fn account() -> Account {
        Account {
            id: "111122223333".parse().unwrap(),
            name: "payments".to_owned(),
            path: OuPath::default(),
            is_member: true,
        }
    }

    fn record() -> Record {
        let mut record = Record::new(account().id);
        record.began = 100;
        for (key, came, reason) in [
            ("ebs-encryption@eu-west-1", Came::Set, None),
            ("ebs-encryption@us-east-1", Came::Right, None),
            ("image-block@eu-west-1", Came::Held, Some("a policy")),
            ("image-block@us-east-1", Came::Held, Some("a policy")),
        ] {
            let entry = Entry {
                came,
                since: 100,
                before: None,
                after: None,
                reason: reason.map(str::to_owned),
                drifted: false,
                by: None,
            };
            record.items.insert(key.to_owned(), entry);
        }
        record
    }

    #[test]
    fn the_message_says_how_long_it_took_and_what_was_left_out() {
        let now = Timestamp::from_second(118).unwrap();
        let text = ready(&account(), &record(), "eu-west-1", now).text();
        for line in [
            "Account payments is ready",
            "Took: 18 s",
            "Settings: 1 set, 1 right already, 2 held by a policy of the organization",
            "Left out: image-block (2 Regions): a policy",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_change_names_who_made_it() {
        let by = Undoing {
            item: "ebs-encryption".to_owned(),
            region: Some("eu-west-1".to_owned()),
            by: "arn:aws:iam::111122223333:user/eve".to_owned(),
            call: "DisableEbsEncryptionByDefault".to_owned(),
        };
        let changed = |put_back| Drift {
            key: "ebs-encryption@eu-west-1".to_owned(),
            by: Some(by.clone()),
            put_back,
            found: "{\"EbsEncryptionByDefault\":false}".to_owned(),
        };
        let now = Timestamp::UNIX_EPOCH;
        let put_back = drift(&account(), &changed(true), "us-east-1", now);
        let left = drift(&account(), &changed(false), "us-east-1", now);
        assert_eq!(
            (put_back.severity, left.severity),
            (Severity::Info, Severity::Error)
        );
        let text = put_back.text();
        for words in [
            "user/eve",
            "DisableEbsEncryptionByDefault",
            "put back",
            "eu-west-1",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
        assert!(left.text().contains("left as it is"));
    }
}
