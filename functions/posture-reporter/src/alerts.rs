//! The alerts of this function.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, ToSpan};
use orgkeeper_shared::{
    alert::{Alert, AlertAccount, Severity, WHAT_HAPPENED, WHAT_TO_DO, one_line},
    ids::AccountId,
    posture::{
        exposure::{Expectation, Exposure, Kind, Opening, Reachable},
        pair::{Outcome, PairRecord},
        survey::SurveySummary,
    },
};

use crate::{
    administrative_ports::{critical, names},
    level::Level,
    notice::{Happened, Notice, day},
};

/// Lines of a list; the rest is counted.
const LISTED: usize = 12;
/// Days that the proposed acceptance lasts.
const ACCEPTED_DAYS: i64 = 30;

/// Where the function is: what every alert needs.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The Region of the stack.
    pub region: &'a str,
    /// The bucket of the reports.
    pub bucket: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// The alerts about notices of one pair: one about all that is new, one about all that is gone.
#[must_use]
pub fn of_notices(around: Around<'_>, notices: &[Notice]) -> Vec<Alert> {
    let of = |gone: bool| {
        let notices = notices
            .iter()
            .filter(move |notice| (notice.happened == Happened::Gone) == gone);
        // The most severe first, then by resource.
        let mut notices: Vec<(&Notice, &Exposure)> = notices
            .filter_map(|notice| Some((notice, notice.exposure.as_ref()?)))
            .collect();
        notices.sort_by_key(|(_, exposure)| {
            (
                std::cmp::Reverse(severity(exposure)),
                &exposure.resource,
                &exposure.address,
            )
        });
        notices
    };
    let (new, gone) = (of(false), of(true));
    let new = match new.as_slice() {
        [] => None,
        [(notice, exposure)] => Some(around.appeared(notice, exposure)),
        several @ [first, ..] => Some(around.several(*first, several, false)),
    };
    let gone = match gone.as_slice() {
        [] => None,
        [(notice, exposure)] => Some(gone_alert(notice, exposure)),
        several @ [first, ..] => Some(around.several(*first, several, true)),
    };
    new.into_iter().chain(gone).collect()
}

/// How severe it is that this faces the internet.
fn severity(exposure: &Exposure) -> Severity {
    if critical(exposure).next().is_some() {
        Severity::Critical
    } else {
        Severity::Error
    }
}

impl Around<'_> {
    fn appeared(self, notice: &Notice, exposure: &Exposure) -> Alert {
        let what = described(exposure);
        let since = minute(time_of(notice, exposure));
        let reach = reach(exposure);
        let happened = match (&notice.happened, &exposure.expectation) {
            (Happened::Opened, _) => {
                format!(
                    "{what} was there before. Since {since} more of it can be reached: {reach}."
                )
            }
            (Happened::Expired, Expectation::Accepted { reason, until }) => format!(
                "{what} was accepted until {until} ({}). That is over, and it still faces the internet: {reach}.",
                one_line(reason)
            ),
            (Happened::Expired, _) => format!(
                "posture.toml does not expect {} any more, and it faces the internet: {reach}.",
                lower_first(&what)
            ),
            (Happened::New | Happened::Gone | Happened::Drifted, _) => {
                format!("{what} faces the internet since {since}: {reach}.")
            }
        };
        let mut details = vec![(WHAT_HAPPENED, happened)];
        details.extend(facts(exposure));
        details.push((WHAT_TO_DO, self.to_do(exposure)));
        let title = title(exposure);
        let with = (notice, exposure);
        of_exposure("exposure.new", severity(exposure), title, with, details)
    }

    fn to_do(self, exposure: &Exposure) -> String {
        let close = match exposure.kind {
            Kind::LoadBalancer => {
                "narrow its security group, or make its scheme internal, which needs a new load balancer"
            }
            Kind::Database => "switch its public access off",
            Kind::FunctionUrl => "set the auth type of its URL to AWS_IAM, or delete the URL",
            Kind::Instance
            | Kind::Interface
            | Kind::Ipv6
            | Kind::NatGateway
            | Kind::IdleAddress
            | Kind::PublicSubnet
            | Kind::Route => {
                "take the address ranges above out of its security group, or its public address away"
            }
        };
        let first = match severity(exposure) {
            Severity::Critical => "Unless its owner knows why, close it now",
            Severity::Error | Severity::Info => "Ask its owner. If nobody needs it from outside",
        };
        let until = day(self.now).saturating_add(ACCEPTED_DAYS.days());
        format!(
            "{first}: {close}. Within minutes an alert says that it is gone. If it has to stay, expect it in a [[scope]] of \
             desired/posture.toml (bucket {}), or accept it:\n[[accepted]]\naccount = {}\nregion = {}\nkind = {}\n\
             resource = {}\nreason = \"why, and who decided it\"\nuntil = {until}",
            self.bucket,
            toml_text(exposure.pair.account.as_str()),
            toml_text(&exposure.pair.region),
            toml_text(exposure.kind.word()),
            toml_text(&exposure.resource),
        )
    }

    /// One alert about several of one pair, the most severe first.
    fn several(
        self,
        first: (&Notice, &Exposure),
        notices: &[(&Notice, &Exposure)],
        gone: bool,
    ) -> Alert {
        let (_, exposure) = first;
        let count = notices.len();
        let place = format!("{}, {}", owner(exposure), exposure.pair.region);
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, exposure) in notices {
            *kinds.entry(exposure.kind.word()).or_default() += 1;
        }
        let kinds: Vec<String> = kinds
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let kinds = kinds.join(", ");
        let list = list(notices.iter().map(|(_, exposure)| line(exposure)));
        if gone {
            let title = format!("{count} resources in {place} do not face the internet any more");
            let happened = format!("{count} exposures are gone or closed: {kinds}.");
            let details = vec![(WHAT_HAPPENED, happened), ("They are", list)];
            let alert = of_exposure("exposure.gone", Severity::Info, title, first, details);
            // It would lead to one of them.
            return Alert {
                link: None,
                ..alert
            };
        }
        let severe = notices
            .iter()
            .filter(|(_, exposure)| severity(exposure) == Severity::Critical)
            .count();
        let title = format!(
            "{count} resources in {place} face the internet{}",
            on_ports(severe)
        );
        let happened = format!("One look found {count} new exposures: {kinds}.");
        let to_do = format!(
            "Look for what they have in common: a security group, a route of their subnet, a deployment. Close that first. The \
             next report has all of them: s3://{}/reports/. What has to stay is expected in a [[scope]] of desired/posture.toml, or \
             accepted with [[accepted]].",
            self.bucket
        );
        let details = vec![
            (WHAT_HAPPENED, happened),
            ("Most severe first", list),
            (WHAT_TO_DO, to_do),
        ];
        let alert = of_exposure("exposure.new", severity(exposure), title, first, details);
        Alert {
            link: None,
            ..alert
        }
    }

    fn about_surveys(
        self,
        kind: &str,
        severity: Severity,
        title: String,
        details: Vec<(&str, String)>,
        key: &str,
    ) -> Alert {
        Alert {
            severity,
            kind: kind.to_owned(),
            title,
            account: None,
            region: self.region.to_owned(),
            time: self.now,
            actor: None,
            source: None,
            details: details.into_iter().collect(),
            link: None,
            dedup_key: format!("{kind}#{key}"),
        }
    }

    /// The alert about what was there when the organization was seen for the first time; nothing if there was nothing.
    #[must_use]
    pub fn first_survey(
        self,
        survey: &SurveySummary,
        mut found: Vec<&Exposure>,
        folder: &str,
    ) -> Option<Alert> {
        found.sort_by_key(|exposure| std::cmp::Reverse(severity(exposure)));
        let worst = severity(found.first()?);
        let count = found.len();
        let accounts: BTreeSet<&AccountId> = found.iter().map(|it| &it.pair.account).collect();
        let severe = found
            .iter()
            .filter(|it| severity(it) == Severity::Critical)
            .count();
        let happened = format!(
            "The survey of {} has seen pairs of account and Region for the first time. {count} resources in {} accounts face the \
             internet, and posture.toml neither expects nor accepts them. Since when they do is not known.",
            minute(survey.began_at),
            accounts.len()
        );
        let to_do = format!(
            "Go through s3://{}/{folder}index.html with the owners, first what is on administrative ports. What has to stay is expected in \
             a [[scope]] of desired/posture.toml, or accepted with [[accepted]]. What is new from now on is an alert of its own.",
            self.bucket
        );
        let lines = found
            .iter()
            .map(|it| format!("{}, {}: {}", owner(it), it.pair.region, line(it)));
        let details = vec![
            (WHAT_HAPPENED, happened),
            ("Most severe first", list(lines)),
            (WHAT_TO_DO, to_do),
        ];
        let title = format!(
            "{count} resources face the internet at the first survey{}",
            on_ports(severe)
        );
        Some(self.about_surveys("exposure.new", worst, title, details, &survey.survey_id))
    }

    /// The alert about a survey that could not read everything, and less than the one before.
    #[must_use]
    pub fn incomplete(
        self,
        survey: &SurveySummary,
        level: &Level,
        pairs: &[PairRecord],
        names: &BTreeMap<AccountId, String>,
        folder: &str,
    ) -> Alert {
        let count = level.total();
        let all = survey.counts.total();
        let happened = format!(
            "The survey of {} could not read {count} of {all} pairs of account and Region. What newly faces the internet there is \
             not seen; what was known before is kept, marked as stale.",
            minute(survey.began_at)
        );
        let mut details = vec![(WHAT_HAPPENED, happened)];
        for (outcome, count) in level.counts() {
            if count > 0 {
                let unread = unread(pairs, outcome, names);
                details.push((label(outcome), list(unread.into_iter())));
            }
        }
        let mut to_do: Vec<&str> = Vec::new();
        for (outcome, count) in level.counts() {
            to_do.extend((count > 0).then(|| remedy(outcome)));
        }
        let to_do = format!(
            "{} All of them: s3://{}/{folder}coverage.csv",
            to_do.join(" "),
            self.bucket
        );
        details.push((WHAT_TO_DO, to_do));
        self.about_surveys(
            "survey.incomplete",
            Severity::Error,
            format!("The survey could not read {count} of {all} pairs of account and Region"),
            details,
            &survey.survey_id,
        )
    }

    /// The alert about a version of `posture.toml` that is refused; without the faults if they are not known any more.
    #[must_use]
    pub fn refused(self, version: &str, faults: &[String]) -> Alert {
        let mut details = vec![(
            WHAT_HAPPENED,
            "The newest version of posture.toml is wrong, and not in force. The last good one is."
                .to_owned(),
        )];
        if !faults.is_empty() {
            let lines: Vec<String> = faults.iter().map(|fault| one_line(fault)).collect();
            details.push(("Faults", lines.join("\n")));
        }
        details.push(("Version", one_line(version)));
        details.push((
            WHAT_TO_DO,
            format!(
                "Correct these lines of desired/posture.toml (bucket {}) and upload it again.",
                self.bucket
            ),
        ));
        self.about_surveys(
            "posture.file-refused",
            Severity::Error,
            "posture.toml is refused".to_owned(),
            details,
            version,
        )
    }

    /// The alert about a survey that has not ended.
    #[must_use]
    pub fn late(self, survey: &SurveySummary) -> Alert {
        let hours = self
            .now
            .duration_since(survey.began_at)
            .max(SignedDuration::ZERO)
            .as_hours();
        let details = vec![
            (
                WHAT_HAPPENED,
                format!(
                    "The survey of {} has not ended after {hours} hours: {} of its {} parts have. What faces the internet in the other \
                     accounts is known from an earlier one only.",
                    minute(survey.began_at),
                    survey.ended.len(),
                    survey.parts
                ),
            ),
            (
                WHAT_TO_DO,
                "Look whether the survey queue has dead letters, read the log of organization-surveyor, remove the cause and \
                 redrive them."
                    .to_owned(),
            ),
        ];
        self.about_surveys(
            "survey.incomplete",
            Severity::Error,
            "The survey of the organization has not ended".to_owned(),
            details,
            &format!("{}#late", survey.survey_id),
        )
    }
}

fn of_exposure(
    kind: &str,
    severity: Severity,
    title: String,
    (notice, exposure): (&Notice, &Exposure),
    details: Vec<(&str, String)>,
) -> Alert {
    Alert {
        severity,
        kind: kind.to_owned(),
        title,
        account: Some(account_of(exposure)),
        region: exposure.pair.region.clone(),
        time: time_of(notice, exposure),
        actor: None,
        source: None,
        details: details.into_iter().collect(),
        link: link(exposure),
        dedup_key: format!("{kind}#{}#{}", notice.pair, notice.event),
    }
}

fn title(exposure: &Exposure) -> String {
    let (resource, account) = (short(&exposure.resource), owner(exposure));
    let named: Vec<&str> = critical(exposure).flat_map(names).collect();
    match (named.first(), exposure.reachable) {
        (Some(name), _) => {
            let more = match named.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            format!("{name}{more} of {resource} in {account} is open to the internet")
        }
        (None, Reachable::Yes) => format!("{resource} in {account} faces the internet"),
        (None, Reachable::No | Reachable::Unknown) => {
            format!("{resource} in {account} may face the internet")
        }
    }
}

fn gone_alert(notice: &Notice, exposure: &Exposure) -> Alert {
    let what = described(exposure);
    let happened = match exposure.gone_at {
        Some(_) => format!("{what} is gone."),
        None => format!(
            "{what} cannot be reached from the internet any more: {}.",
            one_line(&exposure.reason)
        ),
    };
    let details = vec![
        (WHAT_HAPPENED, happened),
        ("Faced the internet since", minute(exposure.first_seen)),
    ];
    let title = format!(
        "{} in {} does not face the internet any more",
        short(&exposure.resource),
        owner(exposure)
    );
    let with = (notice, exposure);
    of_exposure("exposure.gone", Severity::Info, title, with, details)
}

fn account_of(exposure: &Exposure) -> AlertAccount {
    let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    AlertAccount {
        id: Some(exposure.pair.account.clone()),
        name: filled(&exposure.owner.account_name),
        ou_path: filled(&exposure.owner.unit),
    }
}

/// The account by its name, or its id.
fn owner(exposure: &Exposure) -> String {
    match one_line(&exposure.owner.account_name) {
        name if name.is_empty() => exposure.pair.account.to_string(),
        name => name,
    }
}

/// When it happened, as far as the survey knows.
fn time_of(notice: &Notice, exposure: &Exposure) -> Timestamp {
    match notice.happened {
        Happened::New => exposure.first_seen,
        Happened::Gone => exposure.gone_at.unwrap_or(exposure.last_change),
        Happened::Opened => exposure.last_change,
        Happened::Expired | Happened::Drifted => {
            Timestamp::from_millisecond(notice.noted_at).unwrap_or(exposure.last_change)
        }
    }
}

fn facts(exposure: &Exposure) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        (
            "Resource",
            format!("{} ({})", one_line(&exposure.resource), exposure.kind),
        ),
        ("Address", one_line(&exposure.address)),
    ];
    if !exposure.open.is_empty() {
        facts.push(("Open", list(exposure.open.iter().map(opening))));
    }
    let reachable = match exposure.reachable {
        Reachable::Yes => "yes",
        Reachable::No => "no",
        Reachable::Unknown => "not known",
    };
    facts.push((
        "Reachable",
        format!("{reachable}: {}", one_line(&exposure.reason)),
    ));
    facts.push(("First seen", minute(exposure.first_seen)));
    facts
}

/// An opening with what listens there as a rule.
fn opening(opening: &Opening) -> String {
    match names(opening).as_slice() {
        [] => one_line(&opening.to_string()),
        names if names.len() > 3 => format!(
            "{} ({} and more)",
            one_line(&opening.to_string()),
            names[..3].join(", ")
        ),
        names => format!("{} ({})", one_line(&opening.to_string()), names.join(", ")),
    }
}

/// What somebody outside can do.
fn reach(exposure: &Exposure) -> String {
    match (exposure.reachable, exposure.open.first()) {
        (Reachable::Yes, None) => "somebody outside can connect".to_owned(),
        (Reachable::Yes, Some(first)) => {
            let most_severe = critical(exposure).next().unwrap_or(first);
            let more = match exposure.open.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            format!("open is {}{more}", opening(most_severe))
        }
        (Reachable::No | Reachable::Unknown, _) => {
            "whether somebody can connect is not known".to_owned()
        }
    }
}

/// `Instance i-1 at 203.0.113.5`.
fn described(exposure: &Exposure) -> String {
    let kind = match exposure.kind {
        Kind::Instance => "Instance",
        Kind::Interface => "The network interface of",
        Kind::Ipv6 => "The IPv6 address of",
        Kind::LoadBalancer => "Load balancer",
        Kind::NatGateway => "NAT gateway",
        Kind::IdleAddress => "The idle address",
        Kind::Database => "Database",
        Kind::FunctionUrl => "The function URL of",
        Kind::PublicSubnet => "Subnet",
        Kind::Route => "Route",
    };
    format!(
        "{kind} {} at {}",
        one_line(&exposure.resource),
        one_line(&exposure.address)
    )
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        // NAT and names of types keep their letters.
        Some(first) if !text.starts_with("NAT") => first.to_lowercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

/// A resource without the front part of its ARN.
fn short(resource: &str) -> String {
    let resource = one_line(resource);
    match resource.strip_prefix("arn:") {
        Some(arn) => arn.splitn(5, ':').last().unwrap_or_default().to_owned(),
        None => resource,
    }
}

fn on_ports(severe: usize) -> String {
    match severe {
        0 => String::new(),
        severe => format!(", {severe} on administrative ports"),
    }
}

fn line(exposure: &Exposure) -> String {
    let first = critical(exposure).next().or(exposure.open.first());
    let open = first.map(|first| format!(": {}", opening(first)));
    format!(
        "{} at {}{}",
        one_line(&exposure.resource),
        one_line(&exposure.address),
        open.unwrap_or_default()
    )
}

fn list(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    let more = lines.len().saturating_sub(LISTED);
    let mut listed: Vec<String> = lines.into_iter().take(LISTED).collect();
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    listed.join("\n")
}

/// The pairs that ended so: a line for each account.
fn unread(
    pairs: &[PairRecord],
    outcome: Outcome,
    names: &BTreeMap<AccountId, String>,
) -> Vec<String> {
    let mut accounts: BTreeMap<&AccountId, (Vec<&str>, &str)> = BTreeMap::new();
    for record in pairs.iter().filter(|record| record.outcome == outcome) {
        let (regions, reason) = accounts.entry(&record.pair.account).or_default();
        regions.push(&record.pair.region);
        *reason = record.reason.as_deref().unwrap_or_default();
    }
    let accounts = accounts.into_iter();
    accounts
        .map(|(id, (mut regions, reason))| {
            let name = names
                .get(id)
                .map(|name| one_line(name))
                .filter(|name| !name.is_empty());
            let name = name.map_or_else(|| id.to_string(), |name| format!("{name} ({id})"));
            regions.sort_unstable();
            let regions = match regions.as_slice() {
                regions if regions.len() > 4 => format!("{} Regions", regions.len()),
                regions => regions.join(" "),
            };
            format!("{name}, {regions}: {}", one_line(reason))
        })
        .collect()
}

fn label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::DeniedByPolicy => "Denied by a policy",
        Outcome::RoleMissing => "Role missing",
        Outcome::Seen
        | Outcome::RegionOff
        | Outcome::Suspended
        | Outcome::NotOffered
        | Outcome::Failed => "Failed",
    }
}

fn remedy(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::DeniedByPolicy => {
            "Denied by a policy: except the role OrgkeeperAudit from it, or see to it that nothing is there."
        }
        Outcome::RoleMissing => {
            "Role missing: add these accounts to the stack set of infra/member-account.yaml."
        }
        Outcome::Seen
        | Outcome::RegionOff
        | Outcome::Suspended
        | Outcome::NotOffered
        | Outcome::Failed => {
            "Failed: read the log of organization-surveyor; the next survey tries again."
        }
    }
}

/// A text as TOML has it.
fn toml_text(text: &str) -> String {
    // A JSON string is one of TOML, too.
    serde_json::Value::from(one_line(text)).to_string()
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A link to the resource in the console, where one is known.
fn link(exposure: &Exposure) -> Option<String> {
    let region = &exposure.pair.region;
    let elsewhere = region.starts_with("cn-") || region.starts_with("us-gov-");
    let id = &exposure.resource;
    let is_id = id.starts_with("i-")
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (exposure.kind == Kind::Instance && is_id && !elsewhere).then(|| {
        format!(
            "https://{region}.console.aws.amazon.com/ec2/home?region={region}#InstanceDetails:instanceId={id}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        notice::{of_change, of_expired},
        samples::exposure,
    };

    fn around() -> Around<'static> {
        Around {
            region: "eu-central-1",
            bucket: "posture",
            now: "2026-11-27T02:15:00Z".parse().unwrap(),
        }
    }

    fn new(exposure: &Exposure) -> Notice {
        of_change(None, exposure, around().now).unwrap()
    }

    fn mail(alerts: &[Alert]) -> String {
        let texts: Vec<String> = alerts
            .iter()
            .map(|alert| {
                format!(
                    "[{}] {}\n\n{}\n",
                    alert.severity.word(),
                    alert.subject(),
                    alert.text()
                )
            })
            .collect();
        texts.join("\n----\n")
    }

    #[test]
    fn the_mail_says_whose_it_is_what_is_open_since_when_and_what_to_do() {
        insta::assert_snapshot!(
            "new",
            mail(&of_notices(around(), &[new(&exposure("i-0abc"))]))
        );
    }

    #[test]
    fn many_are_one_mail() {
        let notices: Vec<Notice> = (0..300)
            .map(|place| {
                let mut exposure = exposure(&format!("i-{place:04}"));
                if place % 2 == 0 {
                    (exposure.open[0].from, exposure.open[0].to) = (443, 443);
                }
                new(&exposure)
            })
            .collect();
        let alerts = of_notices(around(), &notices);
        assert_eq!(alerts.len(), 1);
        insta::assert_snapshot!("several", mail(&alerts));
    }

    #[test]
    fn what_is_gone_is_an_information() {
        let mut gone = exposure("i-0abc");
        gone.gone_at = Some(around().now);
        let notice = of_change(Some(&exposure("i-0abc")), &gone, around().now).unwrap();
        let mut closed = exposure("i-0abd");
        closed.reachable = Reachable::No;
        closed.reason = "no security group lets anybody in".into();
        let other = of_change(Some(&exposure("i-0abd")), &closed, around().now).unwrap();
        let one = mail(&of_notices(around(), std::slice::from_ref(&notice)));
        let two = mail(&of_notices(around(), std::slice::from_ref(&other)));
        let both = mail(&of_notices(around(), &[notice, other]));
        insta::assert_snapshot!("gone", [one, two, both].join("\n----\n"));
    }

    #[test]
    fn other_mails() {
        let mut opened = exposure("i-0abc");
        opened.open[0].sources.push("::/0".into());
        let opened = of_change(Some(&exposure("i-0abc")), &opened, around().now).unwrap();
        let mut expired =
            exposure("arn:aws:elasticloadbalancing:eu-west-1:222222222222:loadbalancer/app/shop/1");
        expired.kind = Kind::LoadBalancer;
        (expired.open[0].from, expired.open[0].to) = (8_080, 8_080);
        expired.expectation = Expectation::Accepted {
            reason: "a demo \"until\"\nspring".into(),
            until: "2026-11-26".parse().unwrap(),
        };
        let expired = of_expired(&expired, around().now).unwrap();
        let mut unknown = exposure("i-0abd");
        unknown.owner = orgkeeper_shared::posture::exposure::Owner::default();
        unknown.reachable = Reachable::Unknown;
        unknown.reason = "the security groups may not be read".into();
        unknown.open.clear();
        let all =
            [opened, expired, new(&unknown)].map(|notice| mail(&of_notices(around(), &[notice])));
        insta::assert_snapshot!("others", all.join("\n----\n"));
    }

    #[test]
    fn no_text_from_outside_forms_a_line_of_its_own() {
        let mut exposure = exposure("i-1\nWhat to do: nothing\r\n");
        exposure.address = "<script>alert(1)</script>\u{202e}".into();
        exposure.reason = "x\nAccount: other".into();
        exposure.open[0].sources = vec!["0.0.0.0/0\nWhat to do: nothing".into(), "::/0".into()];
        let alerts = of_notices(around(), &[new(&exposure)]);
        let text = alerts[0].text();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("What to do") || line.starts_with("Account"));
        assert_eq!(lines.count(), 2, "{text}");
        assert!(alerts[0].link.is_none());
    }

    #[test]
    fn an_incomplete_survey_is_named_with_its_accounts() {
        let mut survey = crate::report::samples::survey();
        survey.counts.role_missing = 17;
        survey.counts.denied_by_policy = 1;
        let level = Level::default().after(&survey);
        let pairs = crate::report::samples::pairs();
        let names = [("444444444444".parse().unwrap(), "new".to_owned())].into();
        let alert = around().incomplete(&survey, &level, &pairs, &names, "reports/2026-11-27/");
        let late = around().late(&survey);
        insta::assert_snapshot!("survey", mail(&[alert, late]));
    }
}
