//! Reads the playbook from TOML. One fault refuses the whole file, with its line: nothing is changed, exempted or
//! suppressed by accident.

use std::collections::BTreeMap;

use orgkeeper_shared::{
    ids::AccountId,
    remediation::{control, order::Parameters},
    rule_file::{self, Check, account_of, filled, unit_path_of},
};
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::{
    hours::{Hours, day_of, hours_of, zone_of},
    parameters::names,
    playbook::{
        ChangeWindow, Exception, InvalidMode, Mode, Override, Playbook, Reapplied, Selector, Unit,
    },
};

/// The name of every control.
const EVERY: &str = "*";

/// Everything that is wrong with the playbook, each with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the playbook is refused: {}", .0.join("; "))]
pub struct PlaybookError(pub Vec<String>);

impl Playbook {
    /// The playbook in this text.
    ///
    /// # Errors
    /// Names everything that is wrong, with its line.
    pub fn parse(text: &str) -> Result<Self, PlaybookError> {
        rule_file::parse(text, playbook).map_err(PlaybookError)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    defaults: RawDefaults,
    #[serde(default)]
    control: BTreeMap<Spanned<String>, RawControl>,
    #[serde(default, rename = "override")]
    overrides: Vec<Spanned<RawOverride>>,
    #[serde(default)]
    exemption: Vec<Spanned<RawException>>,
    #[serde(default)]
    suppression: Vec<Spanned<RawException>>,
    #[serde(default)]
    window: Vec<Spanned<RawWindow>>,
    #[serde(default)]
    reapply: Vec<Spanned<RawReapply>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDefaults {
    mode: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawControl {
    mode: Option<Spanned<String>>,
    #[serde(default)]
    parameters: BTreeMap<Spanned<String>, Spanned<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOverride {
    control: Option<Spanned<String>>,
    account: Option<Spanned<String>>,
    ou: Option<Spanned<String>>,
    mode: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawException {
    control: Option<Spanned<String>>,
    account: Option<Spanned<String>>,
    ou: Option<Spanned<String>>,
    tag: Option<Spanned<String>>,
    account_tag: Option<Spanned<String>>,
    resource: Option<Spanned<String>>,
    reason: Option<Spanned<String>>,
    until: Option<Spanned<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawWindow {
    control: Option<Spanned<String>>,
    account: Option<Spanned<String>>,
    ou: Option<Spanned<String>>,
    tag: Option<Spanned<String>>,
    account_tag: Option<Spanned<String>>,
    resource: Option<Spanned<String>>,
    #[serde(default)]
    days: Vec<Spanned<String>>,
    hours: Option<Spanned<String>>,
    time_zone: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawReapply {
    control: Option<Spanned<String>>,
    account: Option<Spanned<String>>,
    ou: Option<Spanned<String>>,
    tag: Option<Spanned<String>>,
    account_tag: Option<Spanned<String>>,
    resource: Option<Spanned<String>>,
    undone_before: Option<Spanned<Value>>,
}

/// What a row names of its subject.
struct RawSelector<'a> {
    account: &'a Option<Spanned<String>>,
    ou: &'a Option<Spanned<String>>,
    tag: &'a Option<Spanned<String>>,
    account_tag: &'a Option<Spanned<String>>,
    resource: &'a Option<Spanned<String>>,
}

/// What a raw row names of its subject.
macro_rules! selector_of {
    ($raw:expr) => {
        RawSelector {
            account: &$raw.account,
            ou: &$raw.ou,
            tag: &$raw.tag,
            account_tag: &$raw.account_tag,
            resource: &$raw.resource,
        }
    };
}

fn playbook(check: &mut Check, document: &Document) -> Playbook {
    let mut playbook = Playbook {
        default_mode: check
            .read(document.defaults.mode.as_ref(), mode_of)
            .unwrap_or(Mode::Observe),
        modes: BTreeMap::new(),
        parameters: BTreeMap::new(),
        overrides: Vec::new(),
        exemptions: Vec::new(),
        suppressions: Vec::new(),
        windows: Vec::new(),
        reapplied: Vec::new(),
    };
    let mut known = Vec::new();
    for (id, raw) in &document.control {
        let control = check.read(Some(id), control_of);
        let mode = check.read(raw.mode.as_ref(), mode_of);
        let Some(control) = control else { continue };
        let parameters = parameters(check, control, raw);
        if known.contains(&control) {
            check.refuse(id, format!("there is {control} already, in other letters"));
        }
        known.push(control);
        playbook.modes.extend(mode.map(|mode| (control, mode)));
        if !parameters.is_empty() {
            playbook.parameters.insert(control, parameters);
        }
    }
    for raw in &document.overrides {
        let read = over(check, raw, &playbook.overrides);
        playbook.overrides.extend(read);
    }
    for raw in &document.exemption {
        playbook
            .exemptions
            .extend(exception(check, "an exemption", raw));
    }
    for raw in &document.suppression {
        playbook
            .suppressions
            .extend(exception(check, "a suppression", raw));
    }
    for raw in &document.window {
        playbook.windows.extend(window(check, raw));
    }
    for raw in &document.reapply {
        playbook.reapplied.extend(reapplied(check, raw));
    }
    playbook
}

fn parameters(check: &mut Check, control: &str, raw: &RawControl) -> Parameters {
    let mut parameters = Parameters::new();
    for (name, value) in &raw.parameters {
        let name = check.read(Some(name), |name| parameter_of(control, name));
        let values = values_of(value.as_ref());
        if values.is_none() {
            check.refuse(
                value,
                "a parameter is a text, a number, true or false, or a list of these",
            );
        }
        parameters.extend(name.zip(values));
    }
    parameters
}

fn over(check: &mut Check, over: &Spanned<RawOverride>, known: &[Override]) -> Option<Override> {
    let raw = over.as_ref();
    let what = "an override";
    let control = check.needed(
        over,
        what,
        "control",
        raw.control.as_ref(),
        control_or_every,
    );
    if raw.account.is_some() == raw.ou.is_some() {
        check.refuse(over, "an override has either an account or an ou");
    }
    let account = check.read(raw.account.as_ref(), account_of);
    let unit = check.read(raw.ou.as_ref(), unit_of);
    let mode = check.needed(over, what, "mode", raw.mode.as_ref(), mode_of);
    let read = Override {
        line: check.line(over),
        mode: mode?,
        control: control?,
        account,
        unit,
    };
    // Fixes that cut people off, or that somebody switched off, are never switched on by the way.
    if read.control.is_none() && read.mode == Mode::Auto {
        check.refuse(
            over,
            "an override of every control only lowers: ask, observe or off",
        );
    }
    let same = |known: &&Override| {
        (known.control, &known.account, &known.unit) == (read.control, &read.account, &read.unit)
    };
    if let Some(known) = known.iter().find(same) {
        check.refuse(
            over,
            format!("there is such an override already, in line {}", known.line),
        );
    }
    Some(read)
}

fn exception(
    check: &mut Check,
    what: &str,
    exception: &Spanned<RawException>,
) -> Option<Exception> {
    let raw = exception.as_ref();
    let selector = selector(check, exception, what, &selector_of!(raw));
    let control = check.needed(
        exception,
        what,
        "control",
        raw.control.as_ref(),
        control_or_every,
    );
    let reason = check.needed(exception, what, "reason", raw.reason.as_ref(), filled);
    let until = check.until(exception, what, raw.until.as_ref());
    Some(Exception {
        line: check.line(exception),
        control: control?,
        selector,
        reason: reason?,
        until: until?,
    })
}

/// What a row is about; it has to name something.
fn selector<T>(check: &mut Check, row: &Spanned<T>, what: &str, raw: &RawSelector<'_>) -> Selector {
    let RawSelector {
        account,
        ou,
        tag,
        account_tag,
        resource,
    } = raw;
    let given = [account, ou, tag, account_tag, resource];
    if given.iter().all(|given| given.is_none()) {
        check.refuse(
            row,
            format!("{what} names an account, an ou, a tag, an account-tag or a resource"),
        );
    }
    Selector {
        account: check.read(account.as_ref(), account_of),
        unit: check.read(ou.as_ref(), unit_of),
        tag: check.read(tag.as_ref(), tag_of),
        account_tag: check.read(account_tag.as_ref(), tag_of),
        resource: check.read(resource.as_ref(), resource_of),
    }
}

fn window(check: &mut Check, row: &Spanned<RawWindow>) -> Option<ChangeWindow> {
    let (raw, what) = (row.as_ref(), "a window");
    let selector = selector(check, row, what, &selector_of!(raw));
    let control = check.needed(row, what, "control", raw.control.as_ref(), control_or_every);
    if raw.days.is_empty() {
        check.refuse(row, "a window has days: a list of mon, tue, …");
    }
    let days = raw.days.iter();
    let days: Vec<_> = days
        .filter_map(|day| check.read(Some(day), day_of))
        .collect();
    let hours = check.needed(row, what, "hours", raw.hours.as_ref(), hours_of);
    let zone = check.needed(row, what, "time-zone", raw.time_zone.as_ref(), zone_of);
    let (from, until) = hours?;
    Some(ChangeWindow {
        line: check.line(row),
        control: control?,
        selector,
        hours: Hours {
            days,
            from,
            until,
            zone: zone?,
        },
    })
}

fn reapplied(check: &mut Check, row: &Spanned<RawReapply>) -> Option<Reapplied> {
    let (raw, what) = (row.as_ref(), "a reapply");
    let selector = selector(check, row, what, &selector_of!(raw));
    let control = check.needed(row, what, "control", raw.control.as_ref(), control_or_every);
    let before = check.day(row, what, "undone-before", raw.undone_before.as_ref());
    Some(Reapplied {
        line: check.line(row),
        control: control?,
        selector,
        before: before?,
    })
}

fn mode_of(text: &str) -> Result<Mode, String> {
    text.parse()
        .map_err(|problem: InvalidMode| problem.to_string())
}

fn control_of(text: &str) -> Result<&'static str, String> {
    control::control(text)
        .map(|control| control.id)
        .ok_or_else(|| format!("{text:?} is no control that has a fix"))
}

fn parameter_of(control: &str, text: &str) -> Result<String, String> {
    let known: Vec<&str> = names(control).collect();
    if known.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(if known.is_empty() {
        format!("{text:?} is no parameter: {control} has none")
    } else {
        format!(
            "{text:?} is no parameter of {control}: {}",
            known.join(", ")
        )
    })
}

/// A control, or none for every control.
fn control_or_every(text: &str) -> Result<Option<&'static str>, String> {
    if text == EVERY {
        return Ok(None);
    }
    control_of(text)
        .map(Some)
        .map_err(|problem| format!("{problem}; \"*\" is every control"))
}

fn unit_of(text: &str) -> Result<Unit, String> {
    let Some(rest) = text.strip_prefix("ou-") else {
        return unit_path_of(text)
            .map(Unit::Path)
            .map_err(|problem| format!("{problem}, and no id, ou-ab12-34cdefgh say"));
    };
    let is_part = |part: &str, least: usize| {
        (least..=32).contains(&part.len())
            && part
                .bytes()
                .all(|it| it.is_ascii_digit() || it.is_ascii_lowercase())
    };
    match rest.split_once('-') {
        Some((root, unit)) if is_part(root, 4) && is_part(unit, 8) => Ok(Unit::Id(text.to_owned())),
        _ => Err(format!(
            "{text:?} is no id of an organizational unit, ou-ab12-34cdefgh say"
        )),
    }
}

fn tag_of(text: &str) -> Result<String, String> {
    match text.split('=').next() {
        Some(key) if !key.trim().is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is no tag: its key, or key=value")),
    }
}

/// A pattern of a resource as findings name it.
fn resource_of(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts[..] {
        ["arn", _, service, _, _, _] if service != EVERY => Ok(text.to_owned()),
        ["AWS", "", "", "", "Account", account] if account.parse::<AccountId>().is_ok() => {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "{text:?} is no resource: its ARN with its service, arn:aws:s3:::public-* say"
        )),
    }
}

/// The values of a parameter as texts.
fn values_of(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => values.iter().map(text_of).collect(),
        value => Some(vec![text_of(value)?]),
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use orgkeeper_shared::remediation::control::{CONTROLS, Shipped};
    use proptest::prelude::*;

    use super::*;
    use crate::active_playbook::SHIPPED;

    fn problems(text: &str) -> Vec<String> {
        Playbook::parse(text).unwrap_err().0
    }

    #[test]
    fn the_shipped_playbook_is_the_table_of_controls() {
        let playbook = Playbook::parse(SHIPPED).unwrap();
        let expected: BTreeMap<&str, Mode> = CONTROLS
            .iter()
            .map(|control| {
                let mode = match control.shipped {
                    Shipped::Auto => Mode::Auto,
                    Shipped::Observe => Mode::Observe,
                    Shipped::Ask => Mode::Ask,
                };
                (control.id, mode)
            })
            .collect();
        assert_eq!(playbook.modes, expected);
        assert_eq!(playbook.default_mode, Mode::Observe);
        assert!(playbook.parameters.is_empty());
        assert!(playbook.overrides.is_empty());
        assert!(playbook.exemptions.is_empty());
        assert!(playbook.suppressions.is_empty());
        assert!(playbook.windows.is_empty() && playbook.reapplied.is_empty());
    }

    #[test]
    fn its_examples_are_correct() {
        // Lines that are commented out with `#:` are examples.
        let examples: Vec<&str> = SHIPPED
            .lines()
            .filter_map(|line| line.strip_prefix("#:"))
            .map(str::trim_start)
            .collect();
        let examples = examples.join("\n");
        let playbook = Playbook::parse(&examples).unwrap();
        assert!(!playbook.overrides.is_empty());
        assert!(!playbook.exemptions.is_empty());
        assert!(!playbook.suppressions.is_empty());
        assert!(!playbook.parameters.is_empty());
        assert!(!playbook.windows.is_empty() && !playbook.reapplied.is_empty());
    }

    #[test]
    fn the_playbooks_of_the_documentation_are_correct() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/remediation.md");
        let page = std::fs::read_to_string(page).unwrap();
        let examples: Vec<&str> = page
            .split("```toml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .collect();
        assert!(!examples.is_empty());
        for example in &examples {
            Playbook::parse(example).unwrap();
        }
        let all = Playbook::parse(&examples.concat()).unwrap();
        assert!(!all.modes.is_empty() && !all.parameters.is_empty());
        assert!(!all.overrides.is_empty());
        assert!(!all.exemptions.is_empty() && !all.suppressions.is_empty());
    }

    #[test]
    fn a_fault_is_refused_with_its_line() {
        for (text, line, word) in [
            (
                "[control]\n\"S3.80\" = { mode = \"auto\" }",
                2,
                "no control that has a fix",
            ),
            (
                "[control]\n\"S3.8\" = { mode = \"on\" }",
                2,
                "no mode: off, observe, ask, auto",
            ),
            (
                "[control]\n\"S3.8\" = { modes = \"auto\" }",
                2,
                "unknown field",
            ),
            ("[control]\n\"S3.8\" = \"auto\"", 2, "invalid type"),
            (
                "[control.\"EC2.18\"]\n\n[control.\"ec2.18\"]",
                3,
                "in other letters",
            ),
            ("[defaults]\nmode = \"always\"", 2, "no mode"),
            ("\n[controls]\n", 2, "unknown field"),
            ("[[exemption]]\nunit = \"Root\"", 2, "unknown field"),
            ("[[exemption]]\naccount = 7", 2, "invalid type"),
            ("[[suppression]", 1, ""),
            ("a = 1\na = 2\n", 2, "duplicate"),
        ] {
            let problems = problems(text);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(
                problems[0].starts_with(&format!("line {line}: ")),
                "{text}: {problems:?}"
            );
            assert!(problems[0].contains(word), "{problems:?}");
            assert!(!problems[0].contains('\n'), "{problems:?}");
        }
    }

    #[test]
    fn every_fault_is_named_in_the_order_of_lines() {
        let text = "\
[defaults]
mode = \"asks\"
[control]
\"S3.8\" = { mode = \"never\", parameters = { a = 1 } }
\"S3.99\" = {}
\"EC2.18\" = { parameters = { authorizedTcpPorts = [[80]], authorizedUdpPorts = \"\" } }
\"EC2.19\" = { parameters = { blockedPort = 22, blockedPorts = [21, 22.5, true, \"23\"] } }
[[override]]
mode = \"auto\"
[[override]]
control = \"*\"
ou = \"Root\"
mode = \"auto\"
[[override]]
control = \"S3.8\"
account = \"1\"
ou = \"Workloads\"
[[override]]
control = \"S3.8\"
ou = \"Root/A\"
mode = \"off\"
[[override]]
control = \"s3.8\"
ou = \"Root/A/\"
mode = \"auto\"
[[exemption]]
[[exemption]]
control = \"S3\"
ou = \"ou-1\"
tag = \"=x\"
account-tag = \" \"
resource = \"arn:*\"
reason = \" \"
until = 2026-06-30T10:00:00Z
[[suppression]]
control = \"*\"
resource = \"arn:aws:*:::x\"
account = \"111122223333\"
until = \"2026-6-30\"
[[suppression]]
control = \"*\"
ou = \"Root//A\"
resource = \"arn:aws:*:*:*:*\"
reason = \"r\"
until = 2026-06-30
";
        let problems = problems(text);
        let starts = [
            "line 2: \"asks\" is no mode",
            "line 4: \"a\" is no parameter: S3.8 has none",
            "line 4: \"never\" is no mode",
            "line 5: \"S3.99\" is no control",
            "line 6: a parameter is a text",
            "line 7: \"blockedPort\" is no parameter of EC2.19: blockedPorts",
            "line 8: an override has a control",
            "line 8: an override has either an account or an ou",
            "line 10: an override of every control only lowers",
            "line 14: an override has a mode",
            "line 14: an override has either an account or an ou",
            "line 16: \"1\": an AWS account id",
            "line 17: \"Workloads\" is no path",
            "line 22: there is such an override already, in line 18",
            "line 26: an exemption has a control",
            "line 26: an exemption has a reason",
            "line 26: an exemption has an until",
            "line 26: an exemption names an account",
            "line 28: \"S3\" is no control that has a fix; \"*\"",
            "line 29: \"ou-1\" is no id",
            "line 30: \"=x\" is no tag",
            "line 31: \" \" is no tag",
            "line 32: \"arn:*\" is no resource",
            "line 33: is empty",
            "line 34: until is a day",
            "line 35: a suppression has a reason",
            "line 37: \"arn:aws:*:::x\" is no resource",
            "line 39: until is a day",
            "line 42: \"Root//A\" is no path",
            "line 43: \"arn:aws:*:*:*:*\" is no resource",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem} / {start}");
        }
    }

    #[test]
    fn a_control_without_a_mode_has_the_default() {
        let playbook =
            Playbook::parse("[control.\"ec2.18\"]\nparameters = { authorizedTcpPorts = [] }")
                .unwrap();
        assert!(playbook.modes.is_empty());
        assert_eq!(playbook.parameters["EC2.18"]["authorizedTcpPorts"], [""; 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_with_a_line(text in "(?s).{0,80}") {
            if let Err(error) = Playbook::parse(&text) {
                prop_assert!(error.0.iter().all(|problem| problem.starts_with("line ")));
            }
        }

        #[test]
        fn any_value_is_read_or_refused_with_a_line(value in "(?s).{0,40}", key in "(control|account|ou|tag|resource|until|mode)") {
            for table in ["override", "exemption", "suppression"] {
                let text = format!("[[{table}]]\n{key} = {}\n", toml_text(&value));
                if let Err(error) = Playbook::parse(&text) {
                    prop_assert!(error.0.iter().all(|problem| problem.starts_with("line ")));
                }
            }
        }
    }

    /// The value as TOML writes it.
    fn toml_text(value: &str) -> String {
        let escaped = value.chars().map(|it| format!("\\U{:08X}", u32::from(it)));
        format!("\"{}\"", escaped.collect::<String>())
    }
}
