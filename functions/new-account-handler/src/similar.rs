//! Names that somebody may have meant.

/// Letters that two names may differ in to be taken for each other: one of three, and no more than these.
const TYPOS: usize = 2;
/// Letters that a part of a name needs to be taken for the whole.
const PART: usize = 4;

/// Which of `names` somebody may have meant by `written`: those that differ in case and blanks only, else those that
/// differ in a few letters, else those that begin with it or contain it.
#[must_use]
pub fn similar<'n>(written: &str, names: &[&'n str]) -> Vec<&'n str> {
    let plain = |text: &str| -> String {
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ").to_lowercase()
    };
    let written = plain(written);
    let meant = |fits: &dyn Fn(&str) -> bool| -> Vec<&'n str> {
        let names = names.iter().copied();
        names.filter(|name| fits(&plain(name))).collect()
    };
    let same = meant(&|name| name == written);
    if !same.is_empty() {
        return same;
    }
    let near = meant(&|name| is_near(name, &written));
    if !near.is_empty() || written.chars().count() < PART {
        return near;
    }
    let parts = |text: &str| text.replace([' ', '-', '_'], "");
    let written = parts(&written);
    meant(&|name| parts(name).contains(&written))
}

/// Whether two texts differ in a few letters only (Levenshtein's distance).
#[must_use]
pub fn is_near(one: &str, other: &str) -> bool {
    // What is as short as its typos is near to everything. A letter has four bytes at most.
    if one.len().min(other.len()) <= TYPOS || one.len().abs_diff(other.len()) > 4 * TYPOS {
        return false;
    }
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let most = (one.len().min(other.len()) / 3).clamp(1, TYPOS);
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (place, against) in other.iter().enumerate() {
            let changed = last[place] + usize::from(letter != against);
            next.push(changed.min(last[place + 1] + 1).min(next[place] + 1));
        }
        last = next;
    }
    last[other.len()] <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_are_found() {
        let names = [
            "ReadOnlyAccess",
            "AdministratorAccess",
            "platform-engineers",
            "dev",
            "red",
            "a",
        ];
        for (written, meant) in [
            ("readonlyaccess", &["ReadOnlyAccess"][..]),
            ("readonly", &["ReadOnlyAccess"]),
            ("read only", &["ReadOnlyAccess"]),
            ("platform-engineer", &["platform-engineers"]),
            ("Platform-Engineers", &["platform-engineers"]),
            ("Access", &["ReadOnlyAccess", "AdministratorAccess"]),
            ("b", &[]),
            ("dew", &["dev"]),
            ("grey", &[]),
            ("nothing like it", &[]),
        ] {
            assert_eq!(similar(written, &names), meant, "{written}");
        }
    }
}
