//! Notices of AWS Budgets, which are plain text, and cost anomalies.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use orgkeeper_shared::alert::Severity;

use crate::{
    console,
    draft::Draft,
    event::{Event, account_id_in, text_of},
    kind::Kind,
    kinds::classifier::{Classification, Classifier},
    text::{ReadableNumber, fit},
};

/// A budget is used up.
const EXCEEDED: Kind = Kind::new("budget.exceeded", Severity::Error, "exceeded budgets");
/// A budget is forecast to be used up.
const FORECAST: Kind = Kind::new(
    "budget.forecast",
    Severity::Error,
    "budgets that are forecast to be exceeded",
);
/// A budget passed a threshold below its amount.
const BELOW: Kind = Kind::new("budget.below", Severity::Info, "budget thresholds");
/// Unexpected costs.
const ANOMALY: Kind = Kind::new("cost.anomaly", Severity::Error, "cost anomalies");
pub(super) const CLASSIFIER: Classifier = Classifier {
    kinds: &[EXCEEDED, FORECAST, BELOW, ANOMALY],
    calls: &[],
    classify: |event| classify_budget(event).or_else(|| classify_anomaly(event)),
};

/// Causes that are named.
const CAUSES: usize = 3;

const EXCEEDED_TO_DO: &str = "Find in Cost Explorer what costs more than planned, stop what is not needed, or raise the \
    budget.";
const FORECAST_TO_DO: &str =
    "Find in Cost Explorer what grows, and stop it before the budget is used up.";
const ANOMALY_TO_DO: &str = "Open the anomaly, ask the account's owner whether they know what it names, and stop it \
    if they do not: it can be a stranger who uses your credentials.";

/// A notice of AWS Budgets.
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

/// Classifies a notice of AWS Budgets.
fn classify_budget(event: &Event) -> Option<Classification> {
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
    // A budget for usage, for example of reservations, alerts below its threshold.
    let wants_more = threshold.starts_with('<');
    let kind = match share {
        Some(share) if share < 1.0 && !wants_more => BELOW,
        _ if forecast => FORECAST,
        _ => EXCEEDED,
    };
    let short = fit(name, 40);
    let of = match (amount, budgeted) {
        (Some(amount), Some(budgeted)) => format!(": {amount} of {budgeted}"),
        (Some(amount), None) => format!(": {amount}"),
        (None, _) => String::new(),
    };
    let what = match kind {
        _ if wants_more => format!("Budget {short} is under its threshold{of}"),
        BELOW if forecast => format!("Budget {short} forecast{of}"),
        BELOW => format!("Budget {short} passed a threshold{of}"),
        FORECAST => format!("Budget {short} will be exceeded{of}"),
        _ => format!("Budget {short} exceeded{of}"),
    };
    let mut draft = Draft::of(event, kind, what);
    let day = notice.day();
    draft.account = notice.account().and_then(account_id_in);
    draft.what_happened(sentence(name, forecast, amount, threshold, share));
    draft.detail("Type", notice.line("Budget Type").map(str::to_owned));
    draft.detail("Budgeted", budgeted.map(str::to_owned));
    let label = if forecast { "Forecast" } else { "So far" };
    draft.detail(label, amount.map(str::to_owned));
    match kind {
        FORECAST => draft.what_to_do(FORECAST_TO_DO),
        EXCEEDED => draft.what_to_do(EXCEEDED_TO_DO),
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
    let amount = amount.unwrap_or("an unknown amount");
    let amount = if forecast {
        format!("AWS expects {amount} for budget {name} by the end of its period")
    } else {
        format!("Budget {name} is at {amount}")
    };
    let share = share.map_or(String::new(), |share| {
        format!(", {} % of it", ReadableNumber((share * 100.0).round()))
    });
    let asked = if threshold.is_empty() {
        String::new()
    } else {
        let threshold = threshold
            .replacen('>', "above", 1)
            .replacen('<', "below", 1);
        format!("; this alert is for {threshold}")
    };
    format!("{amount}{share}{asked}.")
}

/// The period of a notice: a budget has one alert in each.
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

/// Classifies a cost anomaly, from a topic or as an event.
fn classify_anomaly(event: &Event) -> Option<Classification> {
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
    let mut draft = Draft::of(event, ANOMALY, what);
    let at = |name: &str| format!("{start}/{name}");
    let (cause, payer) = (at("rootCauses/0/linkedAccount"), at("accountId"));
    draft.account = event.account(&[&cause, &payer]);
    draft.region = event.region(&[&at("rootCauses/0/region")]);
    let began = at("anomalyStartDate");
    draft.what_happened(match &more {
        Some(more) => format!(
            "AWS charged {more} more than it expected{}.",
            since(field("anomalyStartDate"))
        ),
        None => format!(
            "AWS charged more than it expected{}.",
            since(field("anomalyStartDate"))
        ),
    });
    draft.detail("Spent", money("totalActualSpend"));
    draft.detail("Expected", money("totalExpectedSpend"));
    draft.detail("Causes", causes(event, &at("rootCauses")));
    draft.detail("Monitor", field("monitorName"));
    draft.what_to_do(ANOMALY_TO_DO);
    draft.link = field("anomalyDetailsLink")
        .and_then(console::trusted)
        .or_else(|| Some(console::anomalies()));
    draft.key = field("anomalyId")?;
    // The anomaly has a day only: the time of the message is closer.
    draft.time = event.time(&[]).max(event.time(&[&began]));
    Some(draft.into())
}

fn since(start: Option<String>) -> String {
    start
        .and_then(|start| Some(format!(" since {}", start.get(..10)?)))
        .unwrap_or_default()
}

fn dollars(amount: f64) -> String {
    format!("${}", ReadableNumber(amount))
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
                .filter_map(|part| text_of(cause.get(part)))
                .collect();
            parts.join(", ")
        })
        .filter(|cause| !cause.is_empty())
        .collect();
    (!causes.is_empty()).then(|| causes.join("; "))
}
