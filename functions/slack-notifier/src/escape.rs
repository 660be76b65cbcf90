//! Escapes foreign text, so that Slack formats, links and mentions nothing in it: it may contain any name of a user
//! or a bucket. Hidden characters were removed before ([`orgkeeper_shared::alert::one_line`]).

/// The mark at the end of a text that was cut.
pub const CUT: &str = "… (cut)";
/// Characters that format text in markdown, and lookalikes of them.
const FORMATTING: &[(char, char)] = &[
    ('*', '\u{2217}'),
    ('_', '\u{2cd}'),
    ('~', '\u{223c}'),
    ('`', '\u{2cb}'),
    ('[', '\u{ff3b}'),
];

/// The text without any formatting or link in markdown. Underscores in names (`my_bucket`) stay, so that the name can
/// be copied.
#[must_use]
pub fn markdown(text: &str) -> String {
    let text = text.replace("://", ":\u{2215}\u{2215}");
    let mut harmless = String::with_capacity(text.len());
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let inside = |neighbour: Option<&char>| neighbour.is_some_and(|it| it.is_alphanumeric());
        let in_word = character == '_' && inside(before.as_ref()) && inside(characters.peek());
        let lookalike = FORMATTING.iter().find(|(from, _)| *from == character);
        harmless.push(match lookalike {
            Some((_, to)) if !in_word => *to,
            _ => character,
        });
        before = Some(character);
    }
    harmless
}

/// The length that counts against Slack's limits, in UTF-16 units.
#[must_use]
pub fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The text with `&`, `<` and `>` escaped for Slack. One that is longer than `limit` is cut and marked.
#[must_use]
pub fn fit(text: &str, limit: usize) -> String {
    let mut fitting = String::with_capacity(text.len());
    let room = limit.saturating_sub(length(CUT));
    let mut room_for_cut = None;
    let mut used = 0;
    for character in text.chars() {
        let mut buffer = [0; 4];
        let escaped = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => character.encode_utf8(&mut buffer),
        };
        used += length(escaped);
        if room_for_cut.is_none() && used > room {
            room_for_cut = Some(fitting.len());
        }
        if used > limit {
            fitting.truncate(room_for_cut.unwrap_or_default());
            return fitting.trim_end().to_owned() + CUT;
        }
        fitting.push_str(escaped);
    }
    fitting
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mentions_and_links_are_escaped() {
        assert_eq!(
            fit("<!channel> & <@U1> <https://evil.example|here>", 100),
            "&lt;!channel&gt; &amp; &lt;@U1&gt; &lt;https://evil.example|here&gt;"
        );
    }

    #[test]
    fn a_long_text_is_cut_and_marked() {
        assert_eq!(fit("0123456789", 10), "0123456789");
        assert_eq!(fit("01234567890", 10), "012… (cut)");
        assert_eq!(fit("a<<<<<<<", 13), "a&lt;… (cut)");
        assert_eq!(fit("🚨🚨🚨🚨🚨🚨", 11), "🚨🚨… (cut)");
    }

    #[test]
    fn markdown_formats_nothing() {
        assert_eq!(markdown("*b* _i_ ~s~ `c`"), "∗b∗ ˍiˍ ∼s∼ ˋcˋ");
        assert_eq!(markdown("my_bucket_name"), "my_bucket_name");
        assert_eq!(
            markdown("[x](https://e.example)"),
            "［x](:∕∕e.example)".replacen(':', "https:", 1)
        );
    }

    proptest! {
        #[test]
        fn nothing_fits_that_is_too_long(text in any::<String>(), limit in 20_usize..200) {
            let fitting = fit(&text, limit);
            prop_assert!(length(&fitting) <= limit);
            prop_assert!(!fitting.contains(['<', '>']));
            let entities = ["&amp;", "&lt;", "&gt;"].iter().map(|it| fitting.matches(it).count());
            prop_assert_eq!(fitting.matches('&').count(), entities.sum::<usize>());
        }

        #[test]
        fn no_markdown_is_left(text in "[a-z*_~`\\[\\] ]{0,40}") {
            let harmless = markdown(&text);
            prop_assert!(!harmless.contains(['*', '~', '`', '[']));
            prop_assert!(!harmless.contains(" _") && !harmless.contains("_ "));
        }
    }
}
