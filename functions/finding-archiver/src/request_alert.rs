//! The alerts about a request: a person is asked, or it came to nothing.

use orgkeeper_shared::{
    alert::{Alert, Severity, WHAT_HAPPENED, WHAT_TO_DO},
    remediation::{link::Decision, record::Record},
};

use crate::{
    approval_links::Links,
    outcome_alert::{changed, name_of},
    owner::About,
};

/// The alert that asks a person; nothing if nobody was asked.
#[must_use]
pub fn asked(record: &Record, about: About, links: Option<&Links>) -> Option<Alert> {
    let request = record.request.as_ref()?;
    let id = record.id();
    let command = |decision: Decision| {
        let command = format!("orgkeeper remediation {} {id}", decision.word());
        match links.map(|links| links.of(decision)) {
            Some(link) => format!("{command}, or {link}"),
            None => command,
        }
    };
    let mut details = details(record, &about);
    details.insert(
        0,
        (
            WHAT_HAPPENED,
            "A control failed, and the playbook asks a person before it is fixed. Nothing was changed.".to_owned(),
        ),
    );
    details.extend([
        ("Approve", command(Decision::Approve)),
        ("Refuse", command(Decision::Refuse)),
        ("Answer until", request.until.to_string()),
        (
            WHAT_TO_DO,
            "Look at the change, and approve or refuse it. Without an answer nothing is changed."
                .to_owned(),
        ),
    ]);
    Some(Alert {
        severity: Severity::Error,
        kind: "remediation.approval".to_owned(),
        title: format!(
            "May this be fixed? {} on {}",
            record.control,
            name_of(&record.resource)
        ),
        account: Some(about.account),
        region: record.region.clone(),
        time: request.asked_at,
        actor: None,
        source: None,
        details: details.into_iter().collect(),
        link: None,
        dedup_key: format!("remediation.approval#{}#{}", record.key, request.asked_at),
    })
}

/// The alert about a request that a person refused, or that nobody answered; nothing if nobody was asked.
#[must_use]
pub fn declined(record: &Record, about: About) -> Option<Alert> {
    let request = record.request.as_ref()?;
    let mut details = details(record, &about);
    let (title, time) = match &request.answer {
        Some(answer) => ("Refused", answer.at),
        None => ("Nobody answered", request.until),
    };
    details.insert(
        0,
        (
            WHAT_HAPPENED,
            format!(
                "Nothing was changed: {}.",
                record.reason.as_deref().unwrap_or("no reason is known")
            ),
        ),
    );
    details.push((
        WHAT_TO_DO,
        "Exempt the resource in playbook.toml if it stays so. To fix it nevertheless, choose the custom action Remediate \
         of its finding."
            .to_owned(),
    ));
    Some(Alert {
        severity: Severity::Info,
        kind: "remediation.declined".to_owned(),
        title: format!(
            "{title}: {} on {}",
            record.control,
            name_of(&record.resource)
        ),
        account: Some(about.account),
        region: record.region.clone(),
        time,
        actor: None,
        source: None,
        details: details.into_iter().collect(),
        link: None,
        dedup_key: format!("remediation.declined#{}#{}", record.key, request.asked_at),
    })
}

fn details(record: &Record, about: &About) -> Vec<(&'static str, String)> {
    let state = |text: &Option<String>| serde_json::from_str(text.as_deref()?).ok();
    let (before, after) = (state(&record.before), state(&record.after));
    let optional = [
        ("Would be changed", changed(before.as_ref(), after.as_ref())),
        ("Made so by", record.actor.clone()),
        ("Owner", about.owner.clone()),
    ];
    let mut details = vec![
        ("Control", record.control.clone()),
        ("Resource", record.resource.clone()),
        ("Id", record.id()),
    ];
    let optional = optional.into_iter();
    details.extend(optional.filter_map(|(label, text)| Some((label, text?))));
    details
}
