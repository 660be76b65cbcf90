//! Texts for people: titles, cut texts, names out of ARNs, numbers.

use std::fmt;

use orgkeeper_shared::alert::{AlertAccount, one_line};

/// Characters of a title: it fits a list of mails on a phone, and a subject of SNS.
const TITLE_CHARACTERS: usize = 90;
/// Characters of an account's name in a title: half of the title is left for what happened.
const ACCOUNT_CHARACTERS: usize = 45;

/// A title out of what happened and the account, within its length; `end` is never cut.
#[must_use]
pub fn title(what: &str, before: &str, account: Option<&AlertAccount>, end: &str) -> String {
    let account = account.and_then(|account| {
        let id = account.id.as_ref().map(ToString::to_string);
        account.name.as_deref().map(one_line).or(id)
    });
    let end = match account {
        Some(account) => format!("{before}{}{end}", fit(&account, ACCOUNT_CHARACTERS)),
        None => end.to_owned(),
    };
    let left = TITLE_CHARACTERS.saturating_sub(end.chars().count());
    format!("{}{end}", fit(&one_line(what), left))
}

/// A text within so many characters; one that is cut ends with `...`.
#[must_use]
pub fn fit(text: &str, characters: usize) -> String {
    if text.chars().nth(characters).is_none() {
        return text.to_owned();
    }
    let cut: String = text.chars().take(characters.saturating_sub(3)).collect();
    format!("{}...", cut.trim_end())
}

/// The end of an ARN or of a queue's URL, a name as it is: `arn:aws:iam::aws:policy/Reader` -> `Reader`. Where an id
/// comes last, the name before it: of a stack, and the topic of a subscription.
#[must_use]
pub fn name_of(text: &str) -> &str {
    if let Some((_, stack)) = text.split_once(":stack/") {
        return stack.split('/').next().unwrap_or(stack);
    }
    if text.starts_with("https://sqs.") {
        return text.rsplit('/').next().unwrap_or(text);
    }
    if text.starts_with("arn:") && text.contains(":sns:") {
        return text.split(':').nth(5).unwrap_or(text);
    }
    match text.strip_prefix("arn:") {
        Some(arn) => arn.rsplit(['/', ':']).next().unwrap_or(arn),
        None => text,
    }
}

/// A text with its first letter in upper case.
#[must_use]
pub fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

/// A text with its first letter in lower case, unless its first word is a name in capitals.
#[must_use]
pub fn uncapitalized(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

/// A number as a person writes it: `8`, `8.5`, `1,001.25`.
pub struct ReadableNumber(pub f64);

impl fmt::Display for ReadableNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0);
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let (sign, digits) = match whole.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", whole),
        };
        formatter.write_str(sign)?;
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                formatter.write_str(",")?;
            }
            write!(formatter, "{digit}")?;
        }
        match part.trim_end_matches('0') {
            "" => Ok(()),
            part => write!(formatter, ".{part}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> AlertAccount {
        AlertAccount {
            id: "111122223333".parse().ok(),
            name: Some(name.to_owned()),
            ou_path: None,
        }
    }

    #[test]
    fn a_title_names_the_account_and_fits() {
        fn title(what: &str, account: Option<&AlertAccount>) -> String {
            super::title(what, " in ", account, "")
        }
        assert_eq!(
            title("User ana created", Some(&account("payments"))),
            "User ana created in payments"
        );
        assert_eq!(title("User ana created", None), "User ana created");
        let unnamed = AlertAccount {
            name: None,
            ..account("")
        };
        assert_eq!(title("x", Some(&unnamed)), "x in 111122223333");
        let long = title(&"wörd ".repeat(40), Some(&account(&"ü".repeat(80))));
        assert!((80..=TITLE_CHARACTERS).contains(&long.chars().count()));
        assert!(
            long.contains("... in üüü") && long.ends_with("ü..."),
            "{long}"
        );
        assert_eq!(
            title("a\nb", Some(&account("x\u{202e}y"))),
            "a b in x\u{fffd}y"
        );
    }

    #[test]
    fn numbers_are_written_for_people() {
        let plain = |number| ReadableNumber(number).to_string();
        assert_eq!(plain(8.0), "8");
        assert_eq!(plain(8.5), "8.5");
        assert_eq!(plain(1_001.256), "1,001.26");
        assert_eq!(plain(-1_234_567.0), "-1,234,567");
    }

    #[test]
    fn the_end_of_an_arn_is_its_name() {
        assert_eq!(name_of("arn:aws:iam::aws:policy/job/Reader"), "Reader");
        assert_eq!(name_of("arn:aws:sns:eu-west-1:111122223333:topic"), "topic");
        assert_eq!(name_of("path/name"), "path/name");
        for (text, name) in [
            (
                "arn:aws:sns:eu-west-1:111122223333:topic:0b1c-2d3e",
                "topic",
            ),
            (
                "arn:aws:cloudformation:eu-west-1:111122223333:stack/orgkeeper/0b1c-2d3e",
                "orgkeeper",
            ),
            (
                "https://sqs.eu-west-1.amazonaws.com/111122223333/queue",
                "queue",
            ),
            ("https://example.com/issuer", "https://example.com/issuer"),
        ] {
            assert_eq!(name_of(text), name);
        }
    }
}
