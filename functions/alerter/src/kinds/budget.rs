//! Budgets, which AWS tells of in plain text, and cost anomalies.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    console,
    draft::{Draft, Plain, fit},
    event::{Event, account_of, said},
    kinds::{Kind, Reading},
};

/// Causes of an anomaly that are named.
const CAUSES: usize = 3;

const EXCEEDED: &str = "Find in Cost Explorer what costs more than planned, stop what nobody needs, or raise the \
    budget.";
const FORECAST: &str =
    "Find in Cost Explorer what grows, and stop it before the budget is used up.";
const UNEXPECTED: &str = "Open the anomaly, ask the account's owner whether they know what it names, and stop it \
    if nobody does: it can be somebody else's use of your credentials.";

/// What AWS Budgets writes.
struct Notice<'t> {
    text: &'t str,
}

impl<'t> Notice<'t> {
    /// The value of the line `label: value`.
    fn line(&self, label: &str) -> Option<&'t str> {
        self.text.lines().find_map(|line| {
            let value = line.trim().strip_prefix(label)?.strip_prefix(':')?.trim();
            (!value.is_empty()).then_some(value)
        })
    }

    /// The account of the line `AWS Account 111122223333`.
    fn account(&self) -> Option<&'t str> {
        self.text
            .lines()
            .find_map(|line| line.trim().strip_prefix("AWS Account "))
    }

    /// The day of the line `AWS Budget Notification March 01, 2026`.
    fn day(&self) -> Option<Date> {
        self.text.lines().find_map(|line| {
            let day = line.trim().strip_prefix("AWS Budget Notification ")?;
            Date::strptime("%B %d, %Y", day).ok()
        })
    }

    /// Whether the budget is of days: "… for the current day."
    fn daily(&self) -> bool {
        self.text.contains("for the current day")
    }
}

/// Reads a notice of AWS Budgets.
pub(super) fn read(event: &Event) -> Option<Reading> {
    if !event.is_plain() {
        return None;
    }
    let notice = Notice { text: event.text() };
    let name = notice.line("Budget Name")?;
    let kind_of_alert = notice.line("Alert Type").unwrap_or_default();
    let threshold = notice.line("Alert Threshold").unwrap_or_default();
    let budgeted = notice.line("Budgeted Amount");
    let amount = notice
        .line(&format!("{kind_of_alert} Amount"))
        .or_else(|| notice.line("ACTUAL Amount"))
        .or_else(|| notice.line("FORECASTED Amount"));
    let forecast = kind_of_alert.eq_ignore_ascii_case("FORECASTED");
    let share = amount
        .and_then(number)
        .zip(budgeted.and_then(number))
        .filter(|(_, budgeted)| *budgeted > 0.0)
        .map(|(amount, budgeted)| amount / budgeted);
    // A budget of use (of reservations, say) is told of when it is under its threshold.
    let wants_more = threshold.starts_with('<');
    let kind = match share {
        Some(share) if share < 1.0 && !wants_more => Kind::BudgetBelow,
        _ if forecast => Kind::BudgetForecast,
        _ => Kind::BudgetExceeded,
    };
    let short = fit(name, 40);
    let of = match (amount, budgeted) {
        (Some(amount), Some(budgeted)) => format!(": {amount} of {budgeted}"),
        (Some(amount), None) => format!(": {amount}"),
        (None, _) => String::new(),
    };
    let what = match kind {
        _ if wants_more => format!("Budget {short} is under its threshold{of}"),
        Kind::BudgetBelow if forecast => format!("Budget {short} forecast{of}"),
        Kind::BudgetBelow => format!("Budget {short} passed a threshold{of}"),
        Kind::BudgetForecast => format!("Budget {short} will be exceeded{of}"),
        _ => format!("Budget {short} exceeded{of}"),
    };
    let mut draft = Draft::of(event, kind, what);
    let day = notice.day();
    draft.account = notice.account().and_then(account_of);
    draft.happened(sentence(name, forecast, amount, threshold, share));
    draft.say("Type", notice.line("Budget Type").map(str::to_owned));
    draft.say("Budgeted", budgeted.map(str::to_owned));
    let label = if forecast { "Forecast" } else { "So far" };
    draft.say(label, amount.map(str::to_owned));
    match kind {
        Kind::BudgetForecast => draft.to_do(FORECAST),
        Kind::BudgetExceeded => draft.to_do(EXCEEDED),
        _ => {}
    }
    draft.link = Some(console::budgets());
    let account = draft
        .account
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let period = period(day, draft.time, notice.daily());
    draft.key = format!("{account}#{name}#{kind_of_alert}#{threshold}#{period}");
    Some(draft.into())
}

fn sentence(
    name: &str,
    forecast: bool,
    amount: Option<&str>,
    threshold: &str,
    share: Option<f64>,
) -> String {
    let amount = amount.unwrap_or("an amount that is not said");
    let stands = if forecast {
        format!("AWS expects {amount} for budget {name} by the end of its period")
    } else {
        format!("Budget {name} stands at {amount}")
    };
    let share = share.map_or(String::new(), |share| {
        format!(", {} % of it", Plain((share * 100.0).round()))
    });
    let asked = if threshold.is_empty() {
        String::new()
    } else {
        let threshold = threshold
            .replacen('>', "above", 1)
            .replacen('<', "below", 1);
        format!("; you asked to be told {threshold}")
    };
    format!("{stands}{share}{asked}.")
}

/// Which period a notice is about: a budget is told of once in each.
fn period(day: Option<Date>, time: Timestamp, daily: bool) -> String {
    let day = day.unwrap_or_else(|| time.to_zoned(TimeZone::UTC).date());
    let format = if daily { "%Y-%m-%d" } else { "%Y-%m" };
    day.strftime(format).to_string()
}

/// The number in `$1,234.50`, `> $80.00` or `120 GB (80.0% of your budget)`.
fn number(amount: &str) -> Option<f64> {
    let amount = amount.split('(').next()?.replace(',', "");
    let start = amount.find(|character: char| character.is_ascii_digit())?;
    let digits: String = amount[start..]
        .chars()
        .take_while(|character| character.is_ascii_digit() || *character == '.')
        .collect();
    digits.parse().ok()
}

/// Reads a cost anomaly, from a topic or as an event.
pub(super) fn read_anomaly(event: &Event) -> Option<Reading> {
    let start = ["", "/detail"]
        .into_iter()
        .find(|start| event.value(&format!("{start}/anomalyId")).is_some())?;
    let field = |name: &str| event.value(&format!("{start}/{name}"));
    let money = |name: &str| event.number(&format!("{start}/impact/{name}")).map(dollars);
    let about = field("dimensionalValue").or_else(|| field("dimensionValue"));
    let of = about.map_or(String::new(), |about| format!(" {about}"));
    let more = money("totalImpact").or_else(|| money("maxImpact"));
    let what = match &more {
        Some(more) => format!("Cost anomaly{of}: {more} more than expected"),
        None => format!("Cost anomaly{of}"),
    };
    let mut draft = Draft::of(event, Kind::CostAnomaly, what);
    let at = |name: &str| format!("{start}/{name}");
    let (cause, payer) = (at("rootCauses/0/linkedAccount"), at("accountId"));
    draft.account = event.account(&[&cause, &payer]);
    draft.region = event.region(&[&at("rootCauses/0/region")]);
    let began = at("anomalyStartDate");
    draft.happened(match &more {
        Some(more) => format!(
            "AWS charged {more} more than it expected{}.",
            since(field("anomalyStartDate"))
        ),
        None => format!(
            "AWS charged more than it expected{}.",
            since(field("anomalyStartDate"))
        ),
    });
    draft.say("Spent", money("totalActualSpend"));
    draft.say("Expected", money("totalExpectedSpend"));
    draft.say("Causes", causes(event, &at("rootCauses")));
    draft.say("Monitor", field("monitorName"));
    draft.to_do(UNEXPECTED);
    draft.link = field("anomalyDetailsLink")
        .and_then(console::trusted)
        .or_else(|| Some(console::anomalies()));
    draft.key = field("anomalyId")?;
    // The day is all that it says; a message's own time is closer.
    draft.time = event.time(&[]).max(event.time(&[&began]));
    Some(draft.into())
}

fn since(start: Option<String>) -> String {
    start
        .and_then(|start| Some(format!(" since {}", start.get(..10)?)))
        .unwrap_or_default()
}

fn dollars(amount: f64) -> String {
    format!("${}", Plain(amount))
}

fn causes(event: &Event, pointer: &str) -> Option<String> {
    let causes: Vec<String> = event
        .elements(pointer)
        .iter()
        .take(CAUSES)
        .map(|cause| {
            let parts = [
                "service",
                "usageType",
                "region",
                "linkedAccountName",
                "linkedAccount",
            ];
            let parts: Vec<String> = parts
                .iter()
                .filter_map(|part| said(cause.get(part)))
                .collect();
            parts.join(", ")
        })
        .filter(|cause| !cause.is_empty())
        .collect();
    (!causes.is_empty()).then(|| causes.join("; "))
}
