//! Reads the rehearsals from TOML. One fault refuses the whole file, with its line: nobody loses a service by accident.

use std::collections::HashMap;

use jiff::Timestamp;
use orgkeeper_shared::rule_file::{self, Check};
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::{
    denial::{Denial, actions_of},
    rehearsal::{Rehearsal, Target},
};

/// The key of the file in its bucket.
pub const KEY: &str = "rehearsals.toml";
/// The most characters of a name.
const LONGEST_NAME: usize = 40;

/// Everything that is wrong with the file, each with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rehearsals.toml is refused: {}", .0.join("; "))]
pub struct FileError(pub Vec<String>);

/// The rehearsals in this text.
///
/// # Errors
/// Names everything that is wrong, with its line.
pub fn parse(text: &str) -> Result<Vec<Rehearsal>, FileError> {
    rule_file::parse(text, rehearsals).map_err(FileError)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    rehearsal: Vec<Spanned<RawRehearsal>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawRehearsal {
    name: Option<Spanned<String>>,
    target: Option<Spanned<String>>,
    deny: Option<Vec<Spanned<String>>>,
    region: Option<Spanned<String>>,
    from: Option<Spanned<Value>>,
    until: Option<Spanned<Value>>,
    exempt_role: Option<Spanned<String>>,
}

fn rehearsals(check: &mut Check, document: &Document) -> Vec<Rehearsal> {
    let mut lines: HashMap<String, usize> = HashMap::new();
    let mut read = Vec::new();
    for row in &document.rehearsal {
        let Some(rehearsal) = rehearsal(check, row) else {
            continue;
        };
        if let Some(line) = lines.insert(rehearsal.id(), rehearsal.line) {
            let problem =
                format!("there is a rehearsal of this name and beginning already, in line {line}");
            check.refuse(row, problem);
        }
        read.push(rehearsal);
    }
    read
}

fn rehearsal(check: &mut Check, row: &Spanned<RawRehearsal>) -> Option<Rehearsal> {
    let (raw, what) = (row.as_ref(), "a rehearsal");
    let name = check.needed(row, what, "name", raw.name.as_ref(), name_of);
    let target = check.needed(row, what, "target", raw.target.as_ref(), target_of);
    let denial = denial(check, row);
    let from = time(check, row, "from", raw.from.as_ref());
    let until = time(check, row, "until", raw.until.as_ref());
    let exempt_role = check.read(raw.exempt_role.as_ref(), role_of);
    let (from, until) = (from?, until?);
    if until <= from {
        check.refuse(row, "until is later than from");
    }
    Some(Rehearsal {
        line: check.line(row),
        name: name?,
        target: target?,
        denial: denial?,
        from,
        until,
        exempt_role,
    })
}

fn denial(check: &mut Check, row: &Spanned<RawRehearsal>) -> Option<Denial> {
    let raw = row.as_ref();
    let region = check.read(raw.region.as_ref(), region_of);
    match (&raw.deny, &raw.region) {
        (None, Some(_)) => region.map(Denial::Region),
        (Some(entries), None) if !entries.is_empty() => {
            let mut actions: Vec<String> = Vec::new();
            for entry in entries {
                actions.extend(check.read(Some(entry), actions_of).unwrap_or_default());
            }
            actions.sort();
            actions.dedup();
            Some(Denial::Actions(actions))
        }
        _ => {
            check.refuse(
                row,
                "a rehearsal has either deny, a list of presets and patterns of actions, or a region",
            );
            None
        }
    }
}

/// A time with its offset, to the second.
fn time(
    check: &mut Check,
    row: &Spanned<RawRehearsal>,
    name: &str,
    value: Option<&Spanned<Value>>,
) -> Option<Timestamp> {
    let Some(value) = value else {
        check.refuse(row, format!("a rehearsal has a {name}"));
        return None;
    };
    let text = match value.as_ref() {
        Value::String(text) => text.clone(),
        Value::Datetime(time) => time.to_string(),
        _ => String::new(),
    };
    match text.parse::<Timestamp>() {
        Ok(time) if time.subsec_nanosecond() == 0 => Some(time),
        _ => {
            check.refuse(
                value,
                format!(
                    "{name} is a time with its offset, 2026-12-01T10:00:00Z say, without fractions of a second"
                ),
            );
            None
        }
    }
}

fn name_of(text: &str) -> Result<String, String> {
    let fits = (1..=LONGEST_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'-');
    if fits {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is no name: letters, digits and hyphens, {LONGEST_NAME} at most"
    ))
}

/// The root, an organizational unit or an account.
fn target_of(text: &str) -> Result<Target, String> {
    let is_part = |part: &str, least: usize| {
        (least..=32).contains(&part.len())
            && part
                .bytes()
                .all(|it| it.is_ascii_digit() || it.is_ascii_lowercase())
    };
    if let Ok(account) = text.parse() {
        return Ok(Target::Account(account));
    }
    match text.splitn(3, '-').collect::<Vec<_>>()[..] {
        ["r", root] if is_part(root, 4) => Ok(Target::Root(text.to_owned())),
        ["ou", root, unit] if is_part(root, 4) && is_part(unit, 8) => {
            Ok(Target::Unit(text.to_owned()))
        }
        _ => Err(format!(
            "{text:?} is no target: the id of an account, or of an organizational unit, ou-ab12-34cdefgh say"
        )),
    }
}

fn region_of(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('-').collect();
    let is_letters =
        |part: &&str| part.len() >= 2 && part.bytes().all(|it| it.is_ascii_lowercase());
    let fits = match parts.split_last() {
        Some((number, words)) => {
            words.len() >= 2
                && words.iter().all(is_letters)
                && (1..=2).contains(&number.len())
                && number.bytes().all(|it| it.is_ascii_digit())
        }
        None => false,
    };
    if fits && text.len() <= 32 {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no Region, eu-west-1 say"))
}

/// The name of a role, with its path: no pattern, since anyone who may create roles could fit one.
fn role_of(text: &str) -> Result<String, String> {
    let fits = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || b"+=,.@_-".contains(&it))
    };
    if text.split('/').all(fits) && text.len() <= 512 {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is no name of a role, BreakGlass or team/BreakGlass say"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::{FILE, rehearsal as sample};

    fn problems(text: &str) -> Vec<String> {
        parse(text).unwrap_err().0
    }

    #[test]
    fn the_sample_is_read() {
        let read = parse(FILE).unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!(
            read[0],
            Rehearsal {
                line: read[0].line,
                ..sample()
            }
        );
        assert_eq!(read[1].denial, Denial::Region("eu-west-1".to_owned()));
        assert_eq!(read[1].from, "2026-12-02T09:00:00Z".parse().unwrap());
        assert_eq!(
            read[2].denial,
            Denial::Actions(vec!["iam:*".to_owned(), "sqs:Send*".to_owned()])
        );
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        let text = r#"[[rehearsal]]
name = "a b"
target = "Root/Sandbox"
deny = ["dns", "sts:*"]
from = 2026-12-01T10:00:00
until = 2026-12-01
exempt-role = "Break*"

[[rehearsal]]
region = "Ireland"
deny = ["iam"]

[[rehearsal]]
name = "x"
target = "ou-ab12-34cdefgh"
region = "eu-west-1"
from = 2026-12-01T10:00:00Z
until = 2026-12-01T10:00:00Z

[[rehearsal]]
name = "x"
target = "111122223333"
region = "eu-west-1"
from = 2026-12-01T11:00:00+01:00
until = 2026-12-01T11:00:00Z
"#;
        let expected = [
            "line 2: \"a b\" is no name: letters, digits and hyphens, 40 at most",
            "line 3: \"Root/Sandbox\" is no target: the id of an account, or of an organizational unit, ou-ab12-34cdefgh say",
            "line 4: \"dns\" is no preset (route53, iam) and no pattern of actions, sqs:* or s3:Get* say",
            "line 4: \"sts:*\": sts is never denied, or nobody could assume the break-glass role",
            "line 5: from is a time with its offset, 2026-12-01T10:00:00Z say, without fractions of a second",
            "line 6: until is a time with its offset, 2026-12-01T10:00:00Z say, without fractions of a second",
            "line 7: \"Break*\" is no name of a role, BreakGlass or team/BreakGlass say",
            "line 9: a rehearsal has a from",
            "line 9: a rehearsal has a name",
            "line 9: a rehearsal has a target",
            "line 9: a rehearsal has a until",
            "line 9: a rehearsal has either deny, a list of presets and patterns of actions, or a region",
            "line 10: \"Ireland\" is no Region, eu-west-1 say",
            "line 13: until is later than from",
            "line 20: there is a rehearsal of this name and beginning already, in line 13",
        ];
        assert_eq!(problems(text), expected);
    }

    #[test]
    fn a_field_that_nobody_knows_is_a_fault() {
        let found = problems("[[rehearsal]]\nname = \"x\"\nexempt = \"y\"\n");
        assert!(
            found[0].starts_with("line 3: unknown field `exempt`"),
            "{found:?}"
        );
        assert!(problems("[rehearsals]\n")[0].starts_with("line 1:"));
    }

    #[test]
    fn the_root_is_read_so_that_it_can_be_refused_by_name() {
        assert_eq!(target_of("r-ab12"), Ok(Target::Root("r-ab12".to_owned())));
        for wrong in [
            "r-",
            "r-a",
            "ou-ab12",
            "ou-ab12-",
            "ou-AB12-34cdefgh",
            "1234",
        ] {
            assert!(target_of(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_lines(text in "\\PC{0,60}", name in "[a-z\"\\\\ ]{0,8}", hour in 0_u8..30) {
            let row = format!("[[rehearsal]]\nname = \"{name}\"\nfrom = 2026-12-01T{hour:02}:00:00Z\n{text}\n");
            for text in [text.as_str(), row.as_str()] {
                if let Err(FileError(problems)) = parse(text) {
                    prop_assert!(!problems.is_empty());
                    prop_assert!(problems.iter().all(|problem| problem.starts_with("line ")));
                }
            }
        }

        #[test]
        fn what_is_written_is_what_is_read(
            name in "[A-Za-z0-9-]{1,40}", unit in "ou-[a-z0-9]{4}-[a-z0-9]{8}", role in "[A-Za-z0-9+=,.@_-]{1,64}",
            from in 0_i64..4_000_000_000, seconds in 1_i64..100_000,
        ) {
            let from = Timestamp::from_second(from).unwrap();
            let until = Timestamp::from_second(from.as_second() + seconds).unwrap();
            let text = format!(
                "[[rehearsal]]\nname = \"{name}\"\ntarget = \"{unit}\"\nregion = \"eu-west-1\"\nfrom = {from}\n\
                 until = \"{until}\"\nexempt-role = \"{role}\"\n"
            );
            let read = parse(&text).unwrap();
            prop_assert_eq!(&read[0], &Rehearsal {
                line: 1, name, target: Target::Unit(unit), denial: Denial::Region("eu-west-1".to_owned()),
                from, until, exempt_role: Some(role),
            });
        }
    }
}
