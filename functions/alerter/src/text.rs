//! Texts for people: titles, cut texts, names out of ARNs, numbers.

use std::fmt;

use orgkeeper_shared::alert::{AlertAccount, one_line};

/// Characters of a title: it fits a list of mails on a phone, and a subject of SNS.
pub const TITLE_CHARACTERS: usize = 90;
/// Characters of the names and of the account in a title, in the order in which they are tried until it fits.
const NAMES_AND_ACCOUNT: &[(usize, usize)] = &[(20, 45), (20, 30), (12, 30), (12, 20)];
/// A word with more characters is a name; a shorter one only if it is not all letters.
const WORD_CHARACTERS: usize = 20;
/// What replaces characters that are left out. Plain ASCII: a subject of SNS takes nothing else.
const LEFT_OUT: &str = "...";

/// A title out of what happened and the account, within its length. What is too long loses the middle of its names,
/// then its own middle: how it begins and how it ends is never cut, nor is `end`. An empty `before` leaves the
/// account out.
#[must_use]
pub fn title(what: &str, before: &str, account: Option<&AlertAccount>, end: &str) -> String {
    let account = account.filter(|_| !before.is_empty()).and_then(|account| {
        let id = account.id.as_ref().map(ToString::to_string);
        account.name.as_deref().map(one_line).or(id)
    });
    let what = one_line(what);
    let mut title = String::new();
    for (of_name, of_account) in NAMES_AND_ACCOUNT {
        let end = match &account {
            Some(account) => format!("{before}{}{end}", shorten_middle(account, *of_account)),
            None => end.to_owned(),
        };
        let left = TITLE_CHARACTERS.saturating_sub(end.chars().count());
        let named = shorten_names(&what, left, *of_name);
        let fits = named.chars().count() <= left;
        title = format!("{}{end}", leave_out_words(&named, left));
        if fits {
            break;
        }
    }
    title
}

/// A text for a title within so many characters: long names lose their middle, then the text does.
#[must_use]
pub fn shorten(text: &str, characters: usize) -> String {
    let (of_name, _) = NAMES_AND_ACCOUNT[0];
    leave_out_words(&shorten_names(text, characters, of_name), characters)
}

/// A name within so many characters, without its middle: `integration-with-the...arehouse`.
#[must_use]
pub fn shorten_middle(name: &str, characters: usize) -> String {
    let count = name.chars().count();
    if count <= characters {
        return name.to_owned();
    }
    let kept = characters.saturating_sub(LEFT_OUT.len());
    let tail = kept * 2 / 5;
    let head: String = name.chars().take(kept - tail).collect();
    let tail: String = name.chars().skip(count - tail).collect();
    format!("{}{LEFT_OUT}{}", head.trim_end(), tail.trim_start())
}

/// A text whose names are shortened, the longest first, until it has so many characters or no name has more than
/// `least`.
fn shorten_names(text: &str, characters: usize, least: usize) -> String {
    let words: Vec<(&str, usize)> = text
        .split(' ')
        .map(|word| (word, word.chars().count()))
        .collect();
    let length = |limit: usize| -> usize {
        let words = words.iter().map(|(word, length)| {
            if is_name(word) {
                (*length).min(limit)
            } else {
                *length
            }
        });
        words.sum::<usize>() + text.matches(' ').count()
    };
    let fits = (least..=characters)
        .rev()
        .find(|limit| length(*limit) <= characters);
    let limit = fits.unwrap_or(least);
    let words = words.iter().map(|(word, _)| {
        if is_name(word) {
            shorten_middle(word, limit)
        } else {
            (*word).to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a word is a name of something: longer than a word, or with digits or signs in it.
fn is_name(word: &str) -> bool {
    let plain = word.trim_matches(|it: char| it.is_ascii_punctuation());
    word.chars().nth(WORD_CHARACTERS).is_some() || !plain.chars().all(char::is_alphabetic)
}

/// A text within so many characters, without the words in its middle.
fn leave_out_words(text: &str, characters: usize) -> String {
    let count = text.chars().count();
    if count <= characters {
        return text.to_owned();
    }
    // A space on both sides.
    let kept = characters.saturating_sub(LEFT_OUT.len() + 2);
    let tail = kept * 2 / 5;
    let head: String = text.chars().take(kept - tail).collect();
    let tail: String = text.chars().skip(count - tail).collect();
    let head = match head.rsplit_once(' ') {
        Some((words, cut)) if cut.len() < head.len() / 2 => words,
        _ => &head,
    };
    let tail = match tail.split_once(' ') {
        Some((cut, words)) if cut.len() < tail.len() / 2 => words,
        _ => &tail,
    };
    fit(
        &format!("{} {LEFT_OUT} {}", head.trim_end(), tail.trim_start()),
        characters,
    )
}

/// A text within so many characters; one that is cut ends with `...`.
#[must_use]
pub fn fit(text: &str, characters: usize) -> String {
    if text.chars().nth(characters).is_none() {
        return text.to_owned();
    }
    let cut: String = text
        .chars()
        .take(characters.saturating_sub(LEFT_OUT.len()))
        .collect();
    format!("{}{LEFT_OUT}", cut.trim_end())
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

/// A number as a person writes it: `8`, `8.5`, `1,001.25`, `0.005`.
#[derive(Clone, Copy, Debug)]
pub struct ReadableNumber(pub f64);

impl fmt::Display for ReadableNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two decimals would make nothing out of it.
        if self.0 != 0.0 && self.0.abs() < 0.01 {
            return if self.0.abs() < 1e-6 {
                write!(formatter, "{:e}", self.0)
            } else {
                write!(formatter, "{}", self.0)
            };
        }
        let text = ReadableMoney(self.0).to_string();
        formatter.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// An amount of money, always with two decimals: `14.20`, `1,930.50`.
#[derive(Clone, Copy, Debug)]
pub struct ReadableMoney(pub f64);

impl fmt::Display for ReadableMoney {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0);
        let (whole, part) = text.split_once('.').unwrap_or((&text, "00"));
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
        write!(formatter, ".{part}")
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
            long.starts_with("wörd wörd") && long.contains("wörd ... wörd"),
            "{long}"
        );
        assert!(
            long.contains("wörd in üüü") && long.ends_with("ü"),
            "{long}"
        );
        assert_eq!(
            title("a\nb", Some(&account("x\u{202e}y"))),
            "a b in x\u{fffd}y"
        );
    }

    #[test]
    fn a_title_keeps_its_verb_and_its_end() {
        let user = "integration-with-the-logistics-partner-of-the-northern-warehouse";
        let headlines = [
            format!("Permissions boundary of user {user} set to boundary"),
            format!("Permissions boundary of user {user} removed"),
            format!("Access key AKIAEXAMPLEKEY000002 of user {user} set to Active"),
            format!("Access key AKIAEXAMPLEKEY000002 of user {user} set to Inactive"),
            format!("Denied: attach policy {user} to role {user}"),
        ];
        for name in [
            "payments-dev",
            "company-platform-of-the-northern-region-payments-dev",
        ] {
            let account = account(name);
            let title = |what: &String| title(what, " in ", Some(&account), "");
            let titles: Vec<String> = headlines.iter().map(title).collect();
            for (place, title) in titles.iter().enumerate() {
                assert!(title.chars().count() <= TITLE_CHARACTERS, "{title}");
                assert!(title.contains("int") && title.contains("use "), "{title}");
                assert!(!titles[..place].contains(title), "{title}");
            }
            assert!(titles[1].contains("use removed in "), "{}", titles[1]);
            assert!(titles[3].contains(" set to Inactive in "), "{}", titles[3]);
        }
    }

    #[test]
    fn a_name_loses_its_middle_and_a_sentence_its_middle_words() {
        assert_eq!(shorten_middle("short", 5), "short");
        assert_eq!(
            shorten_middle("integration-of-the-northern-warehouse", 20),
            "integration...ehouse"
        );
        let sentence = "Group of all the people who look after the northern warehouse was deleted";
        let short = shorten(sentence, 40);
        assert_eq!(short, "Group of all the ... was deleted");
    }

    #[test]
    fn a_public_event_is_about_no_single_account() {
        assert_eq!(
            title("EC2 issue", "", Some(&account("payments")), ""),
            "EC2 issue"
        );
    }

    #[test]
    fn numbers_are_written_for_people() {
        let plain = |number| ReadableNumber(number).to_string();
        assert_eq!(plain(8.0), "8");
        assert_eq!(plain(8.5), "8.5");
        assert_eq!(plain(1_001.256), "1,001.26");
        assert_eq!(plain(-1_234_567.0), "-1,234,567");
        assert_eq!(plain(100.0), "100");
        assert_eq!(plain(0.0), "0");
        assert_eq!(plain(0.005), "0.005");
        assert_eq!(ReadableMoney(14.2).to_string(), "14.20");
        assert_eq!(ReadableMoney(1_990.0).to_string(), "1,990.00");
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
