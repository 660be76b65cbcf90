//! README.md and docs/ against the repository: commands, links, parameters, alarms, metrics and log messages.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, Result, ensure};
use orgkeeper_tests::{
    documents::{
        Block, ELSEWHERE, Executed, blocks, make_targets, makefile_targets, pages, read, root,
    },
    template::Template,
};

fn all_blocks() -> Result<Vec<Block>> {
    let mut all = Vec::new();
    for page in pages()? {
        all.extend(blocks(&page)?);
    }
    ensure!(all.len() > 10, "only {} blocks", all.len());
    Ok(all)
}

/// The code spans of a text.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_command_without_a_cloud_succeeds() -> Result<()> {
    let mut executed = 0;
    for block in all_blocks()? {
        if block.executed() == Executed::WithoutCloud {
            let Block { file, line, .. } = &block;
            let done = block.execute("", &[("CARGO_TERM_QUIET", "true")])?;
            ensure!(
                done.status.success() && !done.stdout.is_empty(),
                "{file}:{line} fails: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            executed += 1;
        }
    }
    ensure!(executed > 0, "no block was executed");
    Ok(())
}

#[test]
fn every_block_is_valid_shell() -> Result<()> {
    for block in all_blocks()? {
        let done = std::process::Command::new("bash")
            .args(["-n", "-c", &block.text])
            .output()?;
        let Block { file, line, .. } = &block;
        ensure!(
            done.status.success(),
            "{file}:{line}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    Ok(())
}

/// The flow test executes `make up` and `make demo`; what it leaves out is executed elsewhere.
#[test]
fn every_make_target_exists_and_is_executed() -> Result<()> {
    let existing = makefile_targets()?;
    for block in all_blocks()? {
        for target in make_targets(&block.text) {
            let Block { file, line, .. } = &block;
            ensure!(
                existing.contains(&target),
                "{file}:{line}: the Makefile has no target {target}"
            );
            let known = ELSEWHERE.iter().any(|(name, ..)| *name == target);
            ensure!(
                known || ["up", "demo"].contains(&target.as_str()),
                "{file}:{line}: nothing executes make {target}"
            );
        }
    }
    for (target, file, how) in ELSEWHERE {
        ensure!(
            read(file)?.contains(how),
            "{file} does not execute make {target} by {how}"
        );
    }
    for page in pages()?
        .iter()
        .map(String::as_str)
        .chain(["ARCHITECTURE.md", "CONTRIBUTING.md"])
    {
        for span in code_spans(&read(page)?) {
            for target in make_targets(span) {
                ensure!(
                    existing.contains(&target),
                    "{page}: the Makefile has no target {target}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn every_link_leads_somewhere() -> Result<()> {
    let mut links = 0;
    for page in pages()?.iter().map(String::as_str).chain([
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ]) {
        for target in read(page)?
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(page).parent().context("a folder")?;
            let file = if file.is_empty() {
                page.into()
            } else {
                folder.join(file)
            };
            ensure!(
                root().join(&file).exists(),
                "{page}: {target} does not exist"
            );
            if !anchor.is_empty() {
                let text = read(&file.to_string_lossy())?;
                let headings: BTreeSet<String> = text
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .map(slug)
                    .collect();
                ensure!(
                    headings.contains(anchor),
                    "{page}: {target} has no such heading"
                );
            }
            links += 1;
        }
    }
    ensure!(links > 20, "only {links} links");
    Ok(())
}

/// The anchor that GitHub gives to a heading.
fn slug(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim();
    heading
        .chars()
        .filter_map(|character| match character {
            ' ' => Some('-'),
            _ if character.is_alphanumeric() || character == '-' || character == '_' => {
                Some(character.to_ascii_lowercase())
            }
            _ => None,
        })
        .collect()
}

#[test]
fn readme_can_be_read_in_two_minutes() -> Result<()> {
    let lines = read("README.md")?.lines().count();
    ensure!(lines <= 130, "README.md has {lines} lines");
    Ok(())
}

#[test]
fn every_alarm_has_an_entry_that_says_what_to_do() -> Result<()> {
    let operations = read("docs/operations.md")?;
    let template = Template::load("template.yaml")?;
    let alarms: BTreeSet<&str> = template
        .resources_of_type("AWS::CloudWatch::Alarm")
        .map(|(name, _)| name)
        .collect();
    ensure!(alarms.len() >= 15, "only {} alarms", alarms.len());
    let mut documented = BTreeSet::new();
    for entry in operations.split("\n### ").skip(1) {
        let entry = entry.split("\n## ").next().unwrap_or_default();
        let (name, text) = entry.split_once('\n').context("an entry")?;
        for part in ["*Means:*", "*Look at:*", "*Do:*"] {
            ensure!(text.contains(part), "the entry of {name} has no {part}");
        }
        documented.insert(name);
    }
    ensure!(
        alarms == documented,
        "alarms and entries differ: {:?}",
        alarms.symmetric_difference(&documented)
    );
    Ok(())
}

#[test]
fn every_parameter_is_explained() -> Result<()> {
    let deploy = read("docs/deploy.md")?;
    let rows: String = deploy
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let explained: BTreeSet<&str> = code_spans(&rows).collect();
    let template = Template::load("template.yaml")?;
    let mut parameters = 0;
    for name in template.names("Parameters") {
        ensure!(
            explained.contains(name),
            "docs/deploy.md does not explain the parameter {name}"
        );
        parameters += 1;
    }
    ensure!(parameters > 30, "only {parameters} parameters");
    Ok(())
}

/// Parameters that only the section about updates names.
const OF_EARLIER_RELEASES: [&str; 2] = ["ContactRoleArn", "RemediationProxyRoleArn"];

/// Outputs and log messages that the pages name.
#[test]
fn what_the_operator_looks_for_exists() -> Result<()> {
    let operations = read("docs/operations.md")?;
    let mut sources = String::new();
    for folder in ["functions", "shared"] {
        sources.push_str(&source(&root().join(folder))?);
    }
    for message in [
        "batch processed",
        "will be retried",
        "failed for good: goes to the dead-letter queue",
        "the contact is left out",
    ] {
        ensure!(
            operations.contains(&format!("`{message}`")),
            "operations.md does not name {message:?}"
        );
        ensure!(
            sources.contains(&format!("\"{message}\"")),
            "no function logs {message:?}"
        );
    }
    let template = Template::load("template.yaml")?;
    let forwarding = Template::load("infra/alert-events.yaml")?;
    let members = Template::load("infra/member-account.yaml")?;
    let outputs: BTreeSet<&str> = template
        .names("Outputs")
        .chain(forwarding.names("Outputs"))
        .collect();
    for page in pages()? {
        let page = read(&page)?;
        let variables = page.split('$').skip(1).map(|rest| {
            let end = rest.find(|character: char| !character.is_alphanumeric() && character != '_');
            &rest[..end.unwrap_or(rest.len())]
        });
        for name in variables.filter(|name| is_output(name)) {
            ensure!(outputs.contains(name), "the template has no output {name}");
        }
        for name in
            code_spans(&page).filter(|span| OUTPUT_ENDS.iter().any(|end| span.ends_with(end)))
        {
            let known = outputs.contains(name)
                || OF_EARLIER_RELEASES.contains(&name)
                || [&template, &members]
                    .iter()
                    .any(|it| it.names("Parameters").any(|other| other == name));
            ensure!(
                known || !is_output(name),
                "the template has no output {name}"
            );
        }
    }
    Ok(())
}

/// How outputs end.
const OUTPUT_ENDS: [&str; 4] = ["QueueUrl", "FunctionName", "TopicArn", "RoleArn"];

/// Whether a name is written as outputs are: `LikeThis`.
fn is_output(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
        && name.contains(char::is_lowercase)
        && name.chars().all(char::is_alphanumeric)
}

/// The Rust code below a folder.
fn source(folder: &Path) -> Result<String> {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.push_str(&source(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs") {
            all.push_str(&std::fs::read_to_string(path)?);
        }
    }
    Ok(all)
}

#[test]
fn the_pictures_show_no_path_of_a_machine() -> Result<()> {
    for picture in ["docs/demo.svg", "docs/flows.svg"] {
        let text = read(picture)?;
        for path in ["/home/", "/tmp/", "/Users/", "/root/", "target/debug/deps"] {
            ensure!(!text.contains(path), "{picture} shows {path}");
        }
        ensure!(text.len() < 150_000, "{picture} has {} bytes", text.len());
    }
    Ok(())
}

#[test]
fn every_kind_of_alert_about_fixes_is_in_the_table() -> Result<()> {
    let mut kinds = BTreeSet::new();
    for folder in ["remediation-planner", "finding-archiver"] {
        for file in std::fs::read_dir(root().join("functions").join(folder).join("src"))? {
            let path = file?.path();
            if path.is_file() {
                let text = std::fs::read_to_string(path)?;
                let named = text.split("\"remediation.").skip(1);
                let named = named.filter_map(|rest| rest.split(['"', '#']).next());
                kinds.extend(named.map(|kind| format!("remediation.{kind}")));
            }
        }
    }
    let alerts = read("docs/alerts.md")?;
    let table = alerts.split("\n## Alerts about fixes").nth(1);
    let table = table
        .context("no alerts about fixes")?
        .split("\n## ")
        .next();
    let rows = table.unwrap_or_default().lines();
    let documented: BTreeSet<String> = rows
        .filter_map(|row| row.split(" | ").nth(1))
        .filter(|cell| cell.starts_with('`'))
        .map(|cell| cell.trim_matches('`').to_owned())
        .collect();
    ensure!(
        kinds == documented,
        "kinds and rows differ: {:?}",
        kinds.symmetric_difference(&documented)
    );
    Ok(())
}

/// The dry run's texts have every kind of alert.
#[test]
fn every_kind_of_alert_is_in_the_table() -> Result<()> {
    let mut kinds = BTreeSet::new();
    for file in std::fs::read_dir(root().join("tests/tests/contract/alert_texts"))? {
        let text = std::fs::read_to_string(file?.path())?;
        let named = text.lines().filter_map(|line| line.strip_prefix("Kind:"));
        kinds.extend(named.map(|kind| kind.trim().to_owned()));
    }
    ensure!(kinds.len() > 30, "only {} kinds", kinds.len());
    // The function finds it out by itself: there is no event to try.
    kinds.insert("alerting.rules-refused".to_owned());
    let alerts = read("docs/alerts.md")?;
    let table = alerts.split("\n## Kinds").nth(1).context("no kinds")?;
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let documented: BTreeSet<String> = rows
        .filter_map(|row| {
            row.split(" | ")
                .next()?
                .strip_prefix("| `")?
                .strip_suffix('`')
        })
        .map(str::to_owned)
        .collect();
    ensure!(
        kinds == documented,
        "kinds and rows differ: {:?}",
        kinds.symmetric_difference(&documented)
    );
    Ok(())
}
