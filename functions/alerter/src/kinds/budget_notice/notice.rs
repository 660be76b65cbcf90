//! The text of a notice of AWS Budgets: lines of the form `label: value` below a letter.

use jiff::civil::Date;

use crate::text::{ReadableMoney, ReadableNumber};

/// A notice of AWS Budgets.
pub(super) struct Notice<'t> {
    text: &'t str,
}

/// For how long a budget is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    Day,
    Month,
    Quarter,
    Year,
}

/// How the letter says for how long the budget is.
const PERIODS: &[(&str, Period)] = &[
    (" per day", Period::Day),
    ("for the current day", Period::Day),
    ("for the current month", Period::Month),
    ("for the current quarter", Period::Quarter),
    ("for the current year", Period::Year),
];

impl Period {
    /// The period in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Day => "per day",
            Self::Month => "per month",
            Self::Quarter => "per quarter",
            Self::Year => "per year",
        }
    }

    /// The period that a day is in, for a key.
    fn of(self, day: Date) -> String {
        match self {
            Self::Day => day.to_string(),
            Self::Month => day.strftime("%Y-%m").to_string(),
            Self::Quarter => format!("{}-Q{}", day.year(), (day.month() - 1) / 3 + 1),
            Self::Year => day.year().to_string(),
        }
    }
}

impl<'t> Notice<'t> {
    /// The notice with this text.
    pub(super) fn of(text: &'t str) -> Self {
        Self { text }
    }

    /// The value of the line `label: value`.
    pub(super) fn line(&self, label: &str) -> Option<&'t str> {
        self.text.lines().find_map(|line| {
            let value = line.trim().strip_prefix(label)?.strip_prefix(':')?.trim();
            (!value.is_empty()).then_some(value)
        })
    }

    /// The account of the line `AWS Account 111122223333`.
    pub(super) fn account(&self) -> Option<&'t str> {
        self.text
            .lines()
            .find_map(|line| line.trim().strip_prefix("AWS Account "))
            .map(str::trim)
    }

    /// The day of the line `AWS Budget Notification March 01, 2026`.
    pub(super) fn day(&self) -> Option<Date> {
        self.text.lines().find_map(|line| {
            let day = line.trim().strip_prefix("AWS Budget Notification ")?;
            Date::strptime("%B %d, %Y", day.trim()).ok()
        })
    }

    /// For how long the budget is, if the letter says it in known words outside of the budget's name.
    pub(super) fn period(&self) -> Option<Period> {
        let name = self.line("Budget Name").unwrap_or_default();
        let letter = if name.is_empty() {
            self.text.to_owned()
        } else {
            self.text.replace(name, "")
        };
        let words = PERIODS.iter().find(|(words, _)| letter.contains(words));
        words.map(|(_, period)| *period)
    }

    /// `ACTUAL` or `FORECASTED`.
    fn alert_type(&self) -> &'t str {
        self.line("Alert Type").unwrap_or_default()
    }

    /// Whether it is about what AWS expects.
    pub(super) fn is_forecast(&self) -> bool {
        self.alert_type().eq_ignore_ascii_case("FORECASTED")
    }

    /// The threshold: `> $80.00`.
    pub(super) fn threshold(&self) -> &'t str {
        self.line("Alert Threshold").unwrap_or_default()
    }

    /// The amount that passed the threshold.
    pub(super) fn amount(&self) -> Option<&'t str> {
        self.line(&format!("{} Amount", self.alert_type()))
            .or_else(|| self.line("ACTUAL Amount"))
            .or_else(|| self.line("FORECASTED Amount"))
    }

    /// The amount as a part of the budgeted one.
    pub(super) fn share(&self) -> Option<f64> {
        let amount = number(self.amount()?)?;
        let budgeted = number(self.line("Budgeted Amount")?)?;
        (budgeted > 0.0).then(|| amount / budgeted)
    }

    /// The link at its end.
    pub(super) fn link(&self) -> Option<&'t str> {
        self.text.lines().find_map(|line| {
            let link = line.trim().strip_prefix("[1]")?.trim();
            link.starts_with("https://").then_some(link)
        })
    }

    /// Equal for notices about the same threshold in the same period. `None` if it does not say all of it; a budget
    /// whose period is not known is reported each day.
    pub(super) fn key(&self, name: &str) -> Option<String> {
        let account = self.account()?;
        let (of, threshold) = (self.line("Alert Type")?, self.line("Alert Threshold")?);
        let period = self.period().unwrap_or(Period::Day).of(self.day()?);
        Some(format!("{account}#{name}#{of}#{threshold}#{period}"))
    }
}

/// The number in an amount, and where it is: `$1,234.50`, `> CNY 80`, `120 GB (80.0% of your budget)`.
fn number_in(amount: &str) -> Option<(f64, std::ops::Range<usize>)> {
    let start = amount.find(|character: char| character.is_ascii_digit())?;
    let length = amount[start..]
        .find(|character: char| !character.is_ascii_digit() && !matches!(character, '.' | ','))
        .unwrap_or(amount.len() - start);
    let digits = amount[start..start + length].trim_end_matches(['.', ',']);
    let number = digits.replace(',', "").parse().ok()?;
    Some((number, start..start + digits.len()))
}

fn number(amount: &str) -> Option<f64> {
    number_in(amount).map(|(number, _)| number)
}

/// An amount for people: rounded, with separators, and with two decimals if it is money.
pub(super) fn readable(amount: &str) -> String {
    let Some((number, place)) = number_in(amount) else {
        return amount.to_owned();
    };
    let (before, after) = (&amount[..place.start], &amount[place.end..]);
    let number = if is_currency(before) || is_currency(after.split('(').next().unwrap_or_default())
    {
        ReadableMoney(number).to_string()
    } else {
        ReadableNumber(number).to_string()
    };
    format!("{before}{number}{after}")
}

/// Whether what is before or after a number is a currency: a sign, or a code of three letters.
fn is_currency(text: &str) -> bool {
    let text = text
        .trim_matches(|it: char| it.is_whitespace() || matches!(it, '<' | '>' | '=' | '-' | '.'));
    let code = text.len() == 3 && text.bytes().all(|it| it.is_ascii_uppercase());
    let signs = "$€£¥₹₩₪₺₽฿₫₴₦₱";
    text.chars().any(|it| signs.contains(it)) || code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_readable() {
        for (amount, text) in [
            ("$1.6", "$1.60"),
            ("> $1234567.891", "> $1,234,567.89"),
            (
                "> $1.60 (80.0% of your budget)",
                "> $1.60 (80.0% of your budget)",
            ),
            ("12345.678 Hrs", "12,345.68 Hrs"),
            ("-$5", "-$5.00"),
            ("71.30%", "71.3%"),
            ("CN¥80.", "CN¥80.00."),
            ("much", "much"),
            ("", ""),
        ] {
            assert_eq!(readable(amount), text);
        }
    }

    #[test]
    fn a_quarter_has_three_months() {
        let of = |month| Period::Quarter.of(Date::new(2026, month, 1).unwrap());
        assert_eq!(
            [of(1), of(3), of(4), of(12)],
            ["2026-Q1", "2026-Q1", "2026-Q2", "2026-Q4"]
        );
    }
}
