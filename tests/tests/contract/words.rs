//! Plain words: what people read uses the field's terms.
//!
//! Read are the pages, the templates, the Makefile, the local cloud's Python files and, of Rust code, comments, strings
//! that are more than one word, and public names. The better word comes from the glossary in CONTRIBUTING.md.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// Words and phrases, and what says it better. A phrase is found whatever its case and punctuation.
const WORDS: &[(&str, &str)] = &[
    ("told", "sent, published, reported, posted"),
    ("mend", "correct, repair"),
    ("mends", "corrects, repairs"),
    ("mended", "corrected, repaired"),
    ("whoever", "who, anyone who, the caller"),
    ("stands", "exists, is, remains, applies"),
    ("stood", "existed, was, remained"),
    ("that stand", "that exist, that apply"),
    ("come to stand", "are created"),
    ("stand before", "are before"),
    ("stand beside", "are beside"),
    ("comes to its end", "ends"),
    ("come to its end", "ended"),
    ("come to their end", "ended"),
    ("comes twice", "is a duplicate"),
    ("come twice", "are duplicates"),
    ("came twice", "was a duplicate"),
    ("hear of", "receive, be notified of"),
    ("hears of", "receives, is notified of"),
    ("heard of", "received, notified of"),
    ("taken in", "processed, accepted"),
    ("takes in", "processes, accepts"),
    ("take in", "process, accept"),
    ("under way", "in progress"),
    ("tried again later", "retried"),
    ("not so fast", "throttled"),
    ("given way", "been replaced"),
    ("gives way", "is replaced"),
    ("give way", "are replaced"),
    ("is unwell", "fails"),
    ("good news", "information"),
    ("has landed", "arrived"),
    ("accounts are made", "accounts are created"),
    ("account was made", "account was created"),
    ("accounts were made", "accounts were created"),
    ("make an account", "create an account"),
    ("makes accounts", "creates accounts"),
    ("make accounts", "create accounts"),
];

/// Phrases that may hold one of the words.
const FINE: &[&str] = &["stands for", "stands in for", "told apart"];

/// Names of types and modules, and what says it better.
const NAMES: &[(&str, &str)] = &[
    ("Teller", "a publisher: AlertPublisher"),
    ("News", "what it is: an alert, a notification"),
    ("Moment", "the time: Timestamp"),
    ("Wish", "a request"),
    ("Landscape", "a snapshot: OrganizationSnapshot"),
    ("Rulebook", "the rules in force: ActiveRules"),
    ("Told", "published, posted"),
];

const PAGES: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "Makefile",
    "samconfig.toml",
    "template.yaml",
];
/// Folders whose files of these kinds are read.
const FOLDERS: &[(&str, &str)] = &[
    ("docs", "md"),
    ("infra", "yaml"),
    ("infra/local", "py"),
    ("infra/release", "py"),
    ("infra/local/front-door", "rs"),
    ("functions", "rs"),
    ("shared", "rs"),
    ("cli", "rs"),
    ("tests", "rs"),
];

#[test]
fn people_read_plain_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: Vec<PathBuf> = PAGES.iter().map(|page| root.join(page)).collect();
    for (folder, kind) in FOLDERS {
        find(&root.join(folder), kind, *folder != "infra", &mut files);
    }
    files.sort();
    let mut report = String::new();
    let mut count = 0;
    for file in files {
        // This file holds them all.
        if file.ends_with("contract/words.rs") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&file) else {
            panic!("{} cannot be read", file.display());
        };
        let shown = file.strip_prefix(&root).unwrap_or(&file).display();
        for (line, found, better) in
            findings(&text, file.extension().is_some_and(|end| end == "rs"))
        {
            let _ = writeln!(report, "{shown}:{line}: \"{found}\": better: {better}");
            count += 1;
        }
    }
    assert!(
        report.is_empty(),
        "{count} words that are not plain:\n{report}"
    );
}

/// The files of a kind in a folder and, if `deep`, in the folders below it.
fn find(folder: &Path, kind: &str, deep: bool, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            let built = path.ends_with("target") || path.ends_with("__pycache__");
            if deep && !built {
                find(&path, kind, deep, files);
            }
        } else if path.extension().is_some_and(|end| end == kind) {
            files.push(path);
        }
    }
}

/// Line, word and better word of everything that is not plain.
fn findings(text: &str, is_rust: bool) -> Vec<(usize, &'static str, &'static str)> {
    let lines: Vec<(usize, String)> = if is_rust {
        prose_of(text)
    } else {
        text.lines().map(str::to_owned).enumerate().collect()
    };
    let mut found = Vec::new();
    for (line, prose) in lines {
        let mut words = format!(" {} ", in_words(&prose));
        for fine in FINE {
            words = words.replace(&format!(" {fine} "), " ");
        }
        for (word, better) in WORDS {
            if words.contains(&format!(" {word} ")) {
                found.push((line + 1, *word, *better));
            }
        }
    }
    if is_rust {
        for (line, code) in text.lines().enumerate() {
            for (name, better) in NAMES {
                let mut names =
                    code.split(|character: char| !character.is_alphanumeric() && character != '_');
                if names.any(|other| other == *name) {
                    found.push((line + 1, *name, *better));
                }
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// A text's words in lower case, with single spaces.
fn in_words(text: &str) -> String {
    let words = text.split(|character: char| !character.is_alphanumeric() && character != '\'');
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join(" ")
}

/// Comments, strings of more than one word, and the lines with public names, each with its line.
fn prose_of(code: &str) -> Vec<(usize, String)> {
    let mut prose: Vec<(usize, String)> = code
        .lines()
        .enumerate()
        .filter(|(_, line)| line.trim_start().starts_with("pub "))
        .map(|(number, line)| {
            (
                number,
                line.split("//").next().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    let mut rest = code;
    let mut line = 0;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        line += rest[..at].matches('\n').count();
        let raw = hashes_before(&rest[..at]);
        rest = &rest[at..];
        let (text, length) = if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            (&rest[..end], end)
        } else if rest.starts_with('"') {
            let end = string_end(rest, raw);
            let text = &rest[1..end];
            (if text.trim().contains(' ') { text } else { "" }, end + 1)
        } else if rest.starts_with("'\"'") {
            ("", 3)
        } else if let Some(escaped) = rest.strip_prefix("'\\") {
            // The quote after an escaped character belongs to the literal.
            ("", 2 + escaped.chars().next().map_or(0, char::len_utf8))
        } else {
            ("", 1)
        };
        for (below, text) in text.lines().enumerate() {
            prose.push((line + below, text.to_owned()));
        }
        let length = length.min(rest.len());
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    prose
}

/// For a raw string that starts after `code`: the number of its hashes.
fn hashes_before(code: &str) -> Option<usize> {
    let before = code.trim_end_matches('#');
    before.ends_with('r').then(|| code.len() - before.len())
}

/// Where the string that `code` starts with ends.
fn string_end(code: &str, raw: Option<usize>) -> usize {
    if let Some(hashes) = raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return code[1..].find(&end).map_or(code.len() - 1, |end| end + 1);
    }
    let mut escaped = false;
    for (at, character) in code.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    code.len() - 1
}

#[test]
fn words_are_found_where_people_read_them() {
    let found = |text: &str| {
        let found = findings(text, true);
        let words: Vec<_> = found
            .into_iter()
            .map(|(line, word, _)| (line, word))
            .collect();
        words
    };
    assert_eq!(found("/// What was told.\nlet told = 1;"), [(1, "told")]);
    assert_eq!(found("let quote = '\"';\n// Whoever\n"), [(2, "whoever")]);
    assert_eq!(
        found("info!(\n  \"a record Stands, until\"\n)"),
        [(2, "stands")]
    );
    assert_eq!(
        found("r#\"it says \"told\" twice\"#; let told = \"told\";"),
        [(1, "told")]
    );
    assert_eq!(
        found("pub fn told_before() {}\nfn told() {}"),
        [(1, "told")]
    );
    assert_eq!(found("struct Teller;\nlet tellers = 1;"), [(1, "Teller")]);
    assert_eq!(found("// `*` stands for anything; what is told apart"), []);
}
