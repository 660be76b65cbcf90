//! Reads the baseline from TOML. One fault refuses the whole file, with its line: nothing is changed by accident.

use std::collections::BTreeMap;

use orgkeeper_shared::{
    ids::AccountId,
    remediation::order::Parameters,
    rule_file::{self, Check, account_of, unit_path_of},
};
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::{
    baseline::{Baseline, Rule, Section, Who},
    item::Item,
    items::{ITEMS, item},
    mode::{InvalidMode, Mode},
    parameter::{Parameter, name_fault},
};

/// Everything that is wrong with the file, each with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the baseline is refused: {}", .0.join("; "))]
pub struct BaselineError(pub Vec<String>);

impl Baseline {
    /// The baseline in this text.
    ///
    /// # Errors
    /// Names everything that is wrong, with its line.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        rule_file::parse(text, baseline).map_err(BaselineError)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    defaults: RawDefaults,
    #[serde(default)]
    item: BTreeMap<Spanned<String>, RawItem>,
    #[serde(default)]
    unit: Vec<Spanned<RawUnit>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDefaults {
    mode: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem {
    mode: Option<Spanned<String>>,
    #[serde(default)]
    parameters: BTreeMap<Spanned<String>, Spanned<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnit {
    ou: Option<Spanned<String>>,
    account: Option<Spanned<String>>,
    mode: Option<Spanned<String>>,
    #[serde(default)]
    item: BTreeMap<Spanned<String>, RawItem>,
}

fn baseline(check: &mut Check, document: &Document) -> Baseline {
    let mode = check.read(document.defaults.mode.as_ref(), mode_of);
    let items = items(check, &document.item);
    let mut sections: Vec<Section> = Vec::new();
    for raw in &document.unit {
        let Some(section) = section(check, raw) else {
            continue;
        };
        if let Some(known) = sections.iter().find(|known| known.who == section.who) {
            let line = known.line;
            check.refuse(
                raw,
                format!("the same is in line {line}: put both into one"),
            );
        }
        sections.push(section);
    }
    let baseline = Baseline {
        mode,
        items,
        sections,
    };
    missing_parameters(check, document, &baseline);
    baseline
}

/// What is switched on without what it needs, in the place that switches it on. A value may come from a wider place.
fn missing_parameters(check: &mut Check, document: &Document, baseline: &Baseline) {
    let of_units = document.unit.iter().flat_map(|unit| &unit.as_ref().item);
    let raw = document.item.iter().chain(of_units);
    for (name, raw) in raw {
        let Some(item) = item(name.as_ref()) else {
            continue;
        };
        let mode = raw
            .mode
            .as_ref()
            .and_then(|mode| mode_of(mode.as_ref()).ok());
        if mode.is_none_or(|mode| mode < Mode::Once) {
            continue;
        }
        let everywhere = baseline.items.get(item.name).into_iter();
        let in_sections = baseline.sections.iter();
        let in_sections = in_sections.filter_map(|section| section.items.get(item.name));
        let rules: Vec<&Rule> = everywhere.chain(in_sections).collect();
        let has = |name: &str| rules.iter().any(|rule| rule.parameters.contains_key(name));
        let needed = item.parameters.iter().filter(|parameter| parameter.needed);
        for missing in needed.filter_map(|it| it.name).filter(|name| !has(name)) {
            check.refuse(name, format!("{} needs the parameter {missing}", item.name));
        }
        let any = item
            .parameters
            .iter()
            .any(|parameter| parameter.name.is_none());
        if any && rules.iter().all(|rule| rule.parameters.is_empty()) {
            check.refuse(name, format!("{} needs parameters", item.name));
        }
    }
}

fn section(check: &mut Check, row: &Spanned<RawUnit>) -> Option<Section> {
    let raw = row.as_ref();
    if raw.account.is_some() == raw.ou.is_some() {
        check.refuse(row, "a unit has either an ou or an account");
    }
    if raw.mode.is_none() && raw.item.is_empty() {
        check.refuse(row, "a unit has a mode or items: this one says nothing");
    }
    let account: Option<AccountId> = check.read(raw.account.as_ref(), account_of);
    let unit = check.read(raw.ou.as_ref(), unit_of);
    let mode = check.read(raw.mode.as_ref(), mode_of);
    let items = items(check, &raw.item);
    Some(Section {
        line: check.line(row),
        who: account.map(Who::Account).or(unit)?,
        mode,
        items,
    })
}

fn items(
    check: &mut Check,
    raw: &BTreeMap<Spanned<String>, RawItem>,
) -> BTreeMap<&'static str, Rule> {
    let mut items = BTreeMap::new();
    for (name, raw) in raw {
        let item = check.read(Some(name), item_of);
        let mode = check.read(raw.mode.as_ref(), mode_of);
        let Some(item) = item else { continue };
        if raw.mode.is_none() && raw.parameters.is_empty() {
            check.refuse(name, format!("{} has a mode or parameters", item.name));
        }
        let parameters = parameters(check, item, raw);
        items.insert(item.name, Rule { mode, parameters });
    }
    items
}

fn parameters(check: &mut Check, item: &Item, raw: &RawItem) -> Parameters {
    let mut parameters = Parameters::new();
    for (name, value) in &raw.parameters {
        let parameter = check.read(Some(name), |name| parameter_of(item, name));
        let Some(text) = text_of(value.as_ref()) else {
            check.refuse(value, "a parameter is a text, a number, or true or false");
            continue;
        };
        let Some(parameter) = parameter else { continue };
        if let Some(fault) = parameter.fault(&text) {
            check.refuse(value, format!("{} {fault}", name.as_ref()));
        }
        parameters.insert(name.as_ref().clone(), vec![text]);
    }
    parameters
}

fn mode_of(text: &str) -> Result<Mode, String> {
    text.parse()
        .map_err(|problem: InvalidMode| problem.to_string())
}

fn item_of(text: &str) -> Result<&'static Item, String> {
    item(text).ok_or_else(|| {
        let names: Vec<&str> = ITEMS.iter().map(|item| item.name).collect();
        format!("{text:?} is no item: {}", names.join(", "))
    })
}

fn parameter_of(item: &Item, text: &str) -> Result<Parameter, String> {
    let exact = item.parameters.iter().find(|it| it.name == Some(text));
    let any = || item.parameters.iter().find(|it| it.name.is_none());
    match (exact.or_else(any), name_fault(text)) {
        (Some(parameter), Some(fault)) if parameter.name.is_none() => {
            Err(format!("{text:?} {fault}"))
        }
        (Some(parameter), _) => Ok(*parameter),
        (None, _) => {
            let names: Vec<&str> = item.parameters.iter().filter_map(|it| it.name).collect();
            Err(if names.is_empty() {
                format!("{text:?} is no parameter: {} has none", item.name)
            } else {
                let names = names.join(", ");
                format!("{text:?} is no parameter of {}: {names}", item.name)
            })
        }
    }
}

fn unit_of(text: &str) -> Result<Who, String> {
    let Some(rest) = text.strip_prefix("ou-") else {
        return unit_path_of(text)
            .map(Who::UnitPath)
            .map_err(|problem| format!("{problem}, and no id, ou-ab12-34cdefgh say"));
    };
    let is_part = |part: &str, least: usize| {
        let known = |it: u8| it.is_ascii_digit() || it.is_ascii_lowercase();
        (least..=32).contains(&part.len()) && part.bytes().all(known)
    };
    match rest.split_once('-') {
        Some((root, unit)) if is_part(root, 4) && is_part(unit, 8) => {
            Ok(Who::UnitId(text.to_owned()))
        }
        _ => Err(format!(
            "{text:?} is no id of an organizational unit, ou-ab12-34cdefgh say"
        )),
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Files with one fault each, its line, and words of it.
    const WRONG: &[(&str, usize, &str)] = &[
        (
            "[defaults]\nmode = \"always\"",
            2,
            "no mode: off, check, once, keep",
        ),
        ("[defaults]\nmodes = \"keep\"", 2, "unknown field"),
        ("mode = \"keep\"", 1, "unknown field"),
        ("\n[items]\n", 2, "unknown field"),
        ("[[units]]\nou = \"Root\"", 1, "unknown field"),
        (
            "[item]\nebs = { mode = \"keep\" }",
            2,
            "\"ebs\" is no item: s3-public-access-block",
        ),
        ("[item]\nebs-encryption = { mode = \"on\" }", 2, "no mode"),
        ("[item]\nebs-encryption = \"keep\"", 2, "invalid type"),
        ("[item]\nebs-encryption = { mode = 1 }", 2, "invalid type"),
        ("[item]\nebs-encryption = {}", 2, "has a mode or parameters"),
        (
            "[item]\nebs-encryption = { modus = \"keep\" }",
            2,
            "unknown field",
        ),
        (
            "[item]\nebs-encryption = { parameters = { key = \"x\" } }",
            2,
            "ebs-encryption has none",
        ),
        (
            "[item]\nebs-encryption = { mode = \"keep\" }\nebs-encryption = { mode = \"off\" }",
            3,
            "duplicate",
        ),
        (
            "[item.password-policy.parameters]\nLength = 12",
            2,
            "no parameter of password-policy: MinimumPasswordLength",
        ),
        (
            "[item.password-policy.parameters]\nMinimumPasswordLength = 4",
            2,
            "a number from 6 to 128",
        ),
        (
            "[item.password-policy.parameters]\nMinimumPasswordLength = [14]",
            2,
            "a parameter is a text",
        ),
        (
            "[item.password-policy.parameters]\nRequireSymbols = \"yes\"",
            2,
            "is true or false",
        ),
        (
            "[item.security-contact]\nparameters = { contact_email = \"example.com\" }",
            2,
            "an e-mail address",
        ),
        (
            "[item.security-contact]\nparameters = { contact_phone = \"soon\" }",
            2,
            "a phone number",
        ),
        (
            "[item.security-contact]\nparameters = { contact_name = \" \" }",
            2,
            "contact_name is empty",
        ),
        (
            "[item.account-alias]\nmode = \"once\"",
            1,
            "needs the parameter alias",
        ),
        (
            "[item.account-alias]\nparameters = { alias = \"acme\" }",
            2,
            "each account needs another one",
        ),
        (
            "[item.account-tags]\nmode = \"keep\"",
            1,
            "account-tags needs parameters",
        ),
        (
            "[item.account-tags]\nparameters = { \"aws:x\" = \"y\" }",
            2,
            "AWS keeps aws:",
        ),
        ("[[unit]]\nmode = \"off\"", 1, "either an ou or an account"),
        (
            "[[unit]]\nou = \"Root\"\naccount = \"111122223333\"\nmode = \"off\"",
            1,
            "either an ou or an account",
        ),
        ("\n[[unit]]\nou = \"Root/Sandbox\"", 2, "says nothing"),
        (
            "[[unit]]\nou = \"Sandbox\"\nmode = \"off\"",
            2,
            "is no path of an organizational unit",
        ),
        (
            "[[unit]]\nou = \"ou-1\"\nmode = \"off\"",
            2,
            "no id of an organizational unit",
        ),
        ("[[unit]]\naccount = \"1\"\nmode = \"off\"", 2, "account id"),
        (
            "[[unit]]\naccount = 111122223333\nmode = \"off\"",
            2,
            "invalid type",
        ),
        (
            "[[unit]]\nou = \"Root/A\"\nmode = \"off\"\n[[unit]]\nou = \"Root/A/\"\nmode = \"keep\"",
            4,
            "the same is in line 1",
        ),
        (
            "[[unit]]\nou = \"Root\"\nitem.ebs = { mode = \"off\" }",
            3,
            "is no item",
        ),
        (
            "[[unit]]\nou = \"Root\"\nitem.ebs-encryption = { mode = \"\" }",
            3,
            "no mode",
        ),
        ("[[unit]", 1, ""),
    ];

    #[test]
    fn a_fault_is_refused_with_its_line() {
        assert!(WRONG.len() >= 30);
        for (text, line, words) in WRONG {
            let problems = Baseline::parse(text).unwrap_err().0;
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            let problem = &problems[0];
            assert!(
                problem.starts_with(&format!("line {line}: ")),
                "{text}: {problem}"
            );
            assert!(problem.contains(words), "{text}: {problem}");
            assert!(!problem.contains('\n'), "{problem}");
        }
    }

    #[test]
    fn every_fault_is_named_in_the_order_of_lines() {
        let text = "[item]\nebs = { mode = \"keep\" }\n[[unit]]\nou = \"A\"\nmode = \"on\"\n[item.security-contact]\nmode = \"keep\"\n";
        let problems = Baseline::parse(text).unwrap_err().0;
        let starts = [
            "line 2: \"ebs\" is no item",
            "line 4: \"A\" is no path",
            "line 5: \"on\" is no mode",
            "line 6: security-contact needs the parameter contact_email",
            "line 6: security-contact needs the parameter contact_name",
            "line 6: security-contact needs the parameter contact_phone",
            "line 6: security-contact needs the parameter contact_title",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem} / {start}");
        }
    }

    #[test]
    fn an_empty_file_is_the_shipped_baseline() {
        assert_eq!(Baseline::parse("").unwrap(), Baseline::default());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_with_a_line(text in "(?s).{0,80}") {
            if let Err(error) = Baseline::parse(&text) {
                prop_assert!(error.0.iter().all(|problem| problem.starts_with("line ")));
            }
        }

        #[test]
        fn any_value_is_read_or_refused_with_a_line(
            value in "(?s).{0,40}",
            key in "(ou|account|mode|item\\.ebs-encryption\\.mode|item\\.account-tags\\.parameters\\.org)",
        ) {
            let escaped = value.chars().map(|it| format!("\\U{:08X}", u32::from(it)));
            let text = format!("[[unit]]\n{key} = \"{}\"\n", escaped.collect::<String>());
            if let Err(error) = Baseline::parse(&text) {
                prop_assert!(error.0.iter().all(|problem| problem.starts_with("line ")));
            }
        }
    }
}
