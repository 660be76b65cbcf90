//! What AWS takes as a tag of an account (`Tag` of the Organizations API reference).

use crate::characters::{first_hidden, shown, spoilt};

/// Tags of an account ("Quotas for AWS Organizations").
const MOST: usize = 50;
/// Characters of a key and of a value.
const KEY_CHARACTERS: usize = 128;
const VALUE_CHARACTERS: usize = 256;
/// What begins the keys that AWS keeps for itself, in any case.
const RESERVED: &str = "aws:";

/// What is wrong with a file that has so many columns of tags.
#[must_use]
pub fn too_many(count: usize) -> Option<String> {
    (count > MOST).then(|| format!("names {count} tags, {MOST} are the most"))
}

/// What is wrong with a key.
#[must_use]
pub fn faults_of_key(key: &str) -> Vec<String> {
    let mut found = faults_of_text(key, KEY_CHARACTERS);
    let prefix = key.get(..RESERVED.len()).unwrap_or_default();
    if prefix.eq_ignore_ascii_case(RESERVED) {
        found.push(format!(
            "begins with {RESERVED}, which AWS keeps for itself"
        ));
    }
    found
        .into_iter()
        .map(|fault| format!("names a tag {} that {fault}", shown(key)))
        .collect()
}

/// What is wrong with a value.
#[must_use]
pub fn faults_of_value(value: &str) -> Vec<String> {
    faults_of_text(value, VALUE_CHARACTERS)
}

fn faults_of_text(text: &str, most: usize) -> Vec<String> {
    let length = text.chars().count();
    let mut found = Vec::new();
    if length > most {
        found.push(format!("has {length} characters, {most} are the most"));
    }
    if text.contains(char::is_control) {
        found.push("has a line break or another control character".to_owned());
    }
    found
        .extend(first_hidden(text, &[]).map(|hidden| format!("has {hidden}: write it without it")));
    found.extend(spoilt(text).map(|spoilt| spoilt.in_words(text)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_have_the_limits_of_aws() {
        for key in ["Team", "cost-center/2027 @x", "Büro", &"k".repeat(128)] {
            assert_eq!(faults_of_key(key), Vec::<String>::new(), "{key}");
        }
        for (key, part) in [
            ("AWS:team", "begins with aws:, which AWS keeps for itself"),
            (&"k".repeat(129), "has 129 characters, 128 are the most"),
            ("a\u{200B}b", "has U+200B (a zero-width space) after \"a\""),
        ] {
            let found = faults_of_key(key).join("");
            assert!(found.contains(part), "{found}");
        }
        assert_eq!(faults_of_value(&"v".repeat(256)), Vec::<String>::new());
        assert_eq!(
            faults_of_value(&"v".repeat(257)),
            ["has 257 characters, 256 are the most"]
        );
        assert_eq!(too_many(50), None);
        assert!(too_many(51).is_some());
    }
}
