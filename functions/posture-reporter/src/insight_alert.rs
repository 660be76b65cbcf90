//! The alert about an insight of Amazon DevOps Guru.

use jiff::Timestamp;
use orgkeeper_shared::alert::{Alert, AlertAccount, Severity, WHAT_HAPPENED, WHAT_TO_DO, one_line};

use crate::{
    insight::{Insight, InsightKind},
    report::snapshot::KnownAccount,
};

/// The alert about an insight of high severity.
#[must_use]
pub fn alert(insight: &Insight, known: Option<&KnownAccount>, now: Timestamp) -> Alert {
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let name = known.and_then(|known| filled(one_line(&known.name)));
    let id = insight.account.as_ref().map(ToString::to_string);
    let owner = name.clone().or(id);
    let owner = owner.unwrap_or_else(|| "an account of the organization".to_owned());
    let what = match filled(one_line(&insight.name)) {
        Some(what) => what,
        None => format!("Insight {}", one_line(&insight.id)),
    };
    let happened = match insight.kind {
        InsightKind::Reactive => format!(
            "Amazon DevOps Guru has seen behavior in {owner} that differs from the usual, with high severity: {what}."
        ),
        InsightKind::Proactive => {
            format!("Amazon DevOps Guru predicts trouble in {owner}, with high severity: {what}.")
        }
    };
    let to_do = match insight.kind {
        InsightKind::Reactive => {
            "Open the insight in that account and Region: it has the metrics, the events around its beginning, and \
             recommendations. Ask the owner whether something was deployed then. DevOps Guru closes it when the metrics are as usual \
             again."
        }
        InsightKind::Proactive => {
            "Open the insight in that account and Region, and follow its recommendations before the predicted time. DevOps Guru \
             closes it when the cause is gone."
        }
    };
    let mut details = vec![(WHAT_HAPPENED, happened)];
    for (label, list) in [
        ("Resources", &insight.resources),
        ("Services", &insight.services),
    ] {
        if !list.is_empty() {
            let lines: Vec<String> = list.iter().map(|line| one_line(line)).collect();
            details.push((label, lines.join("\n")));
        }
    }
    if let Some(began) = insight.began_at {
        details.push(("Began", minute(began)));
    }
    if let Some(ended) = insight.ended_at {
        details.push(("Ended", minute(ended)));
    }
    details.push((
        "Insight",
        format!("{} ({})", one_line(&insight.id), insight.kind.word()),
    ));
    details.push((WHAT_TO_DO, to_do.to_owned()));
    let account = insight.account.clone().map(|id| AlertAccount {
        id: Some(id),
        name,
        ou_path: known.and_then(|known| filled(known.unit.clone())),
    });
    Alert {
        severity: Severity::Error,
        kind: "insight.new".to_owned(),
        title: format!("DevOps Guru in {owner}, {}: {what}", insight.region),
        account,
        region: insight.region.clone(),
        time: insight.began_at.unwrap_or(now),
        actor: None,
        source: None,
        details: details.into_iter().collect(),
        link: link(insight),
        dedup_key: format!("insight.new#{}", insight.event()),
    }
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The insight in the console. DevOps Guru is in the partition `aws` alone.
fn link(insight: &Insight) -> Option<String> {
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let known = !insight.id.is_empty() && insight.id.bytes().all(is_id);
    known.then(|| {
        format!(
            "https://{}.console.aws.amazon.com/devops-guru/#/insight/{}/{}",
            insight.region,
            insight.kind.word(),
            insight.id
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::insight;

    fn now() -> Timestamp {
        "2026-11-27T02:15:00Z".parse().unwrap()
    }

    fn mail(alert: &Alert) -> String {
        format!(
            "[{}] {}\n\n{}\n",
            alert.severity.word(),
            alert.subject(),
            alert.text()
        )
    }

    #[test]
    fn the_mail_says_where_it_is_what_it_is_about_and_what_to_do() {
        let known = KnownAccount {
            name: "payments".into(),
            unit: "Root/Workloads/Prod".into(),
        };
        let reactive = alert(&insight("AAk1-x", true), Some(&known), now());
        let proactive = Insight {
            kind: InsightKind::Proactive,
            account: None,
            name: String::new(),
            resources: Vec::new(),
            services: Vec::new(),
            began_at: None,
            ..insight("AAk2-x", true)
        };
        let proactive = alert(&proactive, None, now());
        insta::assert_snapshot!(
            "insight",
            [mail(&reactive), mail(&proactive)].join("\n----\n")
        );
    }

    #[test]
    fn no_text_from_outside_forms_a_line_of_its_own() {
        let mut hostile = insight("a/../b", true);
        hostile.name = "x\nWhat to do: nothing".into();
        hostile.resources = vec!["stack\r\nAccount: other".into()];
        let alert = alert(&hostile, None, now());
        let text = alert.text();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("What to do") || line.starts_with("Account"));
        assert_eq!(lines.count(), 2, "{text}");
        assert_eq!(alert.link, None);
    }
}
