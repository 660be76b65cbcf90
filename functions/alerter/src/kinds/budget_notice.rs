//! Notices of AWS Budgets, which are plain text: one reader for the kinds of budgets.

mod notice;

use crate::{
    console,
    draft::Draft,
    event::{Event, account_id_in},
    kind::Kind,
    kinds::classifier::Classification,
    text::{ReadableNumber, shorten_middle},
};
use notice::{Notice, readable};

/// What a notice says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// The budget is used up, or too little of something is used.
    Exceeded,
    /// It is forecast to be used up.
    Forecast,
    /// A threshold below its amount was passed.
    Below,
}

/// Characters of a budget's name in a title.
const NAME_CHARACTERS: usize = 40;

const EXCEEDED_TO_DO: &str = "Find in Cost Explorer what costs more than planned, stop what is not needed, or raise the \
    budget.";
const FORECAST_TO_DO: &str =
    "Find in Cost Explorer what grows, and stop it before the budget is used up.";
/// What to do if too little is used or covered, by a word of the budget's type.
const TOO_LITTLE_TO_DO: &[(&str, &str)] = &[
    (
        "utilization",
        "Find in Cost Explorer which reservations or Savings Plans are paid for and not used, and move work to them, \
         exchange or sell them.",
    ),
    (
        "coverage",
        "Find in Cost Explorer what runs at on-demand prices, and whether a reservation or Savings Plan ended.",
    ),
    ("", "Find in Cost Explorer what is used less than planned."),
];

/// Classifies a notice of AWS Budgets, if it is of this kind.
pub(super) fn classify(
    event: &Event,
    wanted: Passed,
    kind: &'static Kind,
) -> Option<Classification> {
    if !event.is_plain() {
        return None;
    }
    let notice = Notice::of(event.text());
    let name = notice.line("Budget Name")?;
    let budgeted = notice.line("Budgeted Amount");
    let amount = notice.amount();
    let forecast = notice.is_forecast();
    let share = notice.share();
    let too_little = notice.threshold().starts_with('<');
    let passed = match share {
        Some(share) if share < 1.0 && !too_little => Passed::Below,
        _ if forecast => Passed::Forecast,
        _ => Passed::Exceeded,
    };
    if passed != wanted {
        return None;
    }
    let mut draft = Draft::of(event, kind, headline(&notice, name, passed, too_little));
    draft.account = notice.account().and_then(account_id_in);
    draft.what_happened(sentence(&notice, name));
    draft.detail("Type", notice.line("Budget Type").map(str::to_owned));
    draft.detail("Budgeted", budgeted.map(readable));
    let label = if forecast { "Forecast" } else { "So far" };
    draft.detail(label, amount.map(readable));
    draft.detail("Period", period_words(&notice));
    if too_little {
        draft.what_to_do(too_little_to_do(&notice));
    } else if passed == Passed::Forecast {
        draft.what_to_do(FORECAST_TO_DO);
    } else if passed == Passed::Exceeded {
        draft.what_to_do(EXCEEDED_TO_DO);
    }
    let partition = event.partition(&[]).unwrap_or_default();
    draft.link = notice
        .link()
        .and_then(|link| console::trusted(link.to_owned()))
        .or_else(|| console::budgets(&partition));
    // A notice that does not say which it is is sent: its key is its message.
    if let Some(key) = notice.key(name) {
        draft.key = key;
    }
    Some(draft.into())
}

fn headline(notice: &Notice<'_>, name: &str, passed: Passed, too_little: bool) -> String {
    let budget = format!("Budget {}", shorten_middle(name, NAME_CHARACTERS));
    let of = match (notice.amount(), notice.line("Budgeted Amount")) {
        (Some(amount), Some(budgeted)) => {
            format!(": {} of {}", readable(amount), readable(budgeted))
        }
        (Some(amount), None) => format!(": {}", readable(amount)),
        (None, _) => String::new(),
    };
    let forecast = notice.is_forecast();
    if too_little {
        let threshold = readable(notice.threshold().trim_start_matches(['<', ' ']));
        let amount = notice
            .amount()
            .map_or(String::new(), |amount| format!(": {}", readable(amount)));
        let verb = if forecast { "will be" } else { "is" };
        return format!("{budget} {verb} below {threshold}{amount}");
    }
    if passed == Passed::Below {
        let verb = if forecast {
            "forecast"
        } else {
            "passed a threshold"
        };
        return format!("{budget} {verb}{of}");
    }
    let verb = if forecast {
        "will be exceeded"
    } else {
        "exceeded"
    };
    format!("{budget} {verb}{of}")
}

fn sentence(notice: &Notice<'_>, name: &str) -> String {
    let amount = notice
        .amount()
        .map_or("an unknown amount".to_owned(), readable);
    let amount = if notice.is_forecast() {
        format!("AWS expects {amount} for budget {name} by the end of its period")
    } else {
        format!("Budget {name} is at {amount}")
    };
    let share = notice.share().map_or(String::new(), |share| {
        format!(", {} % of it", ReadableNumber((share * 100.0).round()))
    });
    let threshold = notice.threshold();
    let asked = if threshold.is_empty() {
        String::new()
    } else {
        let threshold = readable(threshold)
            .replacen('>', "above", 1)
            .replacen('<', "below", 1);
        format!("; this alert is for {threshold}")
    };
    format!("{amount}{share}{asked}.")
}

/// The budget's period and the day of the notice, as far as they are known.
fn period_words(notice: &Notice<'_>) -> Option<String> {
    let day = notice.day().map(|day| format!("notice of {day}"));
    match (notice.period(), day) {
        (Some(period), Some(day)) => Some(format!("{}, {day}", period.words())),
        (Some(period), None) => Some(period.words().to_owned()),
        (None, day) => day,
    }
}

fn too_little_to_do(notice: &Notice<'_>) -> &'static str {
    let of = notice
        .line("Budget Type")
        .unwrap_or_default()
        .to_lowercase();
    TOO_LITTLE_TO_DO
        .iter()
        .find(|(word, _)| of.contains(word))
        .map_or("", |(_, to_do)| to_do)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::kinds::{self, budget_exceeded, budget_forecast};

    /// A notice with these parts: the period's words, type, budgeted amount, alert type, threshold and amount.
    fn notice([period, of, budgeted, alert, threshold, amount]: [&str; 6]) -> String {
        format!(
            "AWS Budget Notification January 31, 2026\nAWS Account 111122223333\n\nDear AWS Customer,\n\nYou requested \
             that we alert you when the {alert} {of} associated with your night jobs budget is {threshold} {period} \
             You can find additional details below.\n\nBudget Name: night jobs\nBudget Type: {of}\n\
             Budgeted Amount: {budgeted}\nAlert Type: {alert}\nAlert Threshold: {threshold}\n{alert} Amount: {amount}\n\n\
             [1] https://console.aws.amazon.com/billing/home#/budgets\n"
        )
    }

    fn draft(text: &str) -> Draft {
        let event = Event::read(text, "message-1", Timestamp::UNIX_EPOCH);
        match kinds::classify(&event) {
            Classification::Alert(draft) => *draft,
            Classification::NotReported => panic!("not reported"),
        }
    }

    fn detail<'d>(draft: &'d Draft, label: &str) -> Option<&'d str> {
        let detail = draft.details.iter().find(|(of, _)| *of == label);
        detail.map(|(_, text)| text.as_str())
    }

    const DAILY: [&str; 6] = [
        "per day. Yesterday, it was.",
        "Cost",
        "$20.00",
        "ACTUAL",
        "> $15.00",
        "$16.10",
    ];

    #[test]
    fn each_day_and_threshold_of_a_daily_budget_is_news() {
        let first = draft(&notice(DAILY));
        assert_eq!(
            first.key,
            "111122223333#night jobs#ACTUAL#> $15.00#2026-01-31"
        );
        assert_eq!(
            first.headline,
            "Budget night jobs passed a threshold: $16.10 of $20.00"
        );
        assert_eq!(
            detail(&first, "Period"),
            Some("per day, notice of 2026-01-31")
        );
        let tomorrow = notice(DAILY).replace("January 31", "February 01");
        assert_ne!(first.key, draft(&tomorrow).key);
        let mut other = DAILY;
        other[4] = "> $18.00";
        assert_ne!(first.key, draft(&notice(other)).key);
        other = DAILY;
        other[0] = "for the current day.";
        assert_eq!(first.key, draft(&notice(other)).key);
    }

    #[test]
    fn longer_periods_are_reported_once_each() {
        for (words, period) in [
            ("for the current month.", "2026-01"),
            ("for the current quarter.", "2026-Q1"),
            ("for the current year.", "2026"),
            ("for the period of your project.", "2026-01-31"),
        ] {
            let mut parts = DAILY;
            parts[0] = words;
            let draft = draft(&notice(parts));
            assert!(draft.key.ends_with(&format!("#{period}")), "{}", draft.key);
        }
    }

    #[test]
    fn the_name_of_a_budget_says_nothing_about_its_period() {
        let mut parts = DAILY;
        parts[0] = "for the current month.";
        let named = notice(parts).replace("night jobs", "for the current day");
        assert!(draft(&named).key.ends_with("#2026-01"));
    }

    #[test]
    fn a_notice_that_does_not_say_which_it_is_is_sent() {
        for line in [
            "AWS Budget Notification January 31, 2026\n",
            "AWS Account 111122223333\n",
            "Alert Type: ACTUAL\n",
            "Alert Threshold: > $15.00\n",
        ] {
            assert_eq!(
                draft(&notice(DAILY).replace(line, "")).key,
                "message-1",
                "{line}"
            );
        }
        let unnamed = notice(DAILY).replace("Budget Name: night jobs\n", "");
        let event = Event::read(&unnamed, "message-1", Timestamp::UNIX_EPOCH);
        let passed = [Passed::Below, Passed::Exceeded, Passed::Forecast];
        let none = |passed: &Passed| classify(&event, *passed, budget_exceeded::KIND).is_none();
        assert!(passed.iter().all(none));
    }

    #[test]
    fn amounts_are_rounded_in_every_currency_and_unit() {
        for (budgeted, amount, words) in [
            ("$1000.00", "$1131.7543", "$1,131.75 of $1,000.00"),
            ("CNY 1000", "CNY 1131.7", "CNY 1,131.70 of CNY 1,000.00"),
            (
                "1000.00 EUR",
                "1131.754 EUR",
                "1,131.75 EUR of 1,000.00 EUR",
            ),
            ("£1,000", "£1,131.7", "£1,131.70 of £1,000.00"),
            ("100.0 GB", "120.5512 GB", "120.55 GB of 100 GB"),
        ] {
            let parts = [
                "for the current month.",
                "Cost",
                budgeted,
                "ACTUAL",
                "> 90%",
                amount,
            ];
            let draft = draft(&notice(parts));
            assert_eq!(
                draft.headline,
                format!("Budget night jobs exceeded: {words}")
            );
            assert_eq!(draft.kind, budget_exceeded::KIND);
        }
    }

    #[test]
    fn a_budget_of_reservations_alerts_below_its_threshold() {
        let parts = [
            "for the current day.",
            "RI Utilization",
            "100.0%",
            "ACTUAL",
            "< 80.0%",
            "71.333%",
        ];
        let used = draft(&notice(parts));
        assert_eq!(used.headline, "Budget night jobs is below 80%: 71.33%");
        assert_eq!(used.kind, budget_exceeded::KIND);
        assert!(detail(&used, "What to do").unwrap().contains("not used"));
        let covered = draft(&notice(parts).replace("RI Utilization", "Savings Plans Coverage"));
        assert!(
            detail(&covered, "What to do")
                .unwrap()
                .contains("on-demand")
        );
    }

    #[test]
    fn a_forecast_says_so() {
        let parts = [
            "for the current month.",
            "Cost",
            "$100.00",
            "FORECASTED",
            "> $100.00",
            "$131.75",
        ];
        let draft = draft(&notice(parts));
        assert_eq!(draft.kind, budget_forecast::KIND);
        assert_eq!(
            draft.headline,
            "Budget night jobs will be exceeded: $131.75 of $100.00"
        );
        assert_eq!(detail(&draft, "Forecast"), Some("$131.75"));
    }
}
