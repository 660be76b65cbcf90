//! What a person reads about each sample event by mail and in Slack, and where it goes: the output of
//! `orgkeeper alert try`.
//!
//! After a change: `INSTA_UPDATE=always cargo test --workspace --test contract alert_texts::`, and read the difference.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use orgkeeper_cli::outcome::Outcome;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs `orgkeeper` with these arguments: its outcome, standard output and standard error.
fn orgkeeper(arguments: &[&str]) -> Result<(Outcome, String, String)> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["orgkeeper"].iter().chain(arguments);
    let outcome = orgkeeper_cli::run(arguments, Timestamp::UNIX_EPOCH, &mut out, &mut err);
    Ok((outcome, String::from_utf8(out)?, String::from_utf8(err)?))
}

/// The path of a sample, from the root of the repository.
fn sample(file: &str) -> String {
    root()
        .join("events/alerter")
        .join(file)
        .display()
        .to_string()
}

/// Tries a sample event under the sample rules.
fn try_sample(file: &str, more: &[&str]) -> Result<String> {
    let rules = format!("--rules={}", sample("rules.toml"));
    let event = sample(file);
    let arguments = [
        "alert",
        "try",
        &rules,
        "--at=2026-03-02T12:00:00Z",
        "--name=payments-dev",
        "--ou=Root/Workloads/Dev",
        &event,
    ];
    let (outcome, text, errors) = orgkeeper(&[&arguments[..], more].concat())?;
    ensure!(
        outcome == Outcome::Done && errors.is_empty(),
        "{file}: {errors}"
    );
    Ok(text.replace(&format!("{}/", root().display()), ""))
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("alert_texts");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn every_sample_reads_as_it_should() -> Result<()> {
    let _bound = settings().bind_to_scope();
    let mut samples = 0;
    for file in std::fs::read_dir(root().join("events/alerter"))? {
        let path = file?.path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let name = path.file_stem().context("a name")?.to_string_lossy();
        insta::assert_snapshot!(name.as_ref(), try_sample(&format!("{name}.json"), &[])?);
        samples += 1;
    }
    ensure!(samples > 30, "only {samples} samples");
    Ok(())
}

#[test]
fn json_has_the_alert_its_topics_and_its_messages() -> Result<()> {
    let text = try_sample("root-sign-in.json", &["--output=json"])?;
    let report: Value = serde_json::from_str(&text)?;
    let event = &report["events"][0];
    ensure!(
        report["version"] == 1 && event["result"] == "alert",
        "{text}"
    );
    ensure!(event["severity"] == "critical" && event["silence"].is_null());
    ensure!(event["topics"][0]["severity"] == "critical");
    ensure!(
        event["mail"]["body"]
            .as_str()
            .is_some_and(|body| body.contains("What to do: "))
    );
    ensure!(event["slack"]["blocks"][0]["type"] == "header");
    let _bound = settings().bind_to_scope();
    insta::assert_snapshot!("json", text);
    Ok(())
}

#[test]
fn a_wrong_rule_is_refused_with_its_line() -> Result<()> {
    let rules = std::env::temp_dir().join(format!("orgkeeper-rules-{}.toml", std::process::id()));
    std::fs::write(
        &rules,
        "[[silence]]\nkind = \"iam.change\"\nreason = \"tests\"\nuntil = 2026-06-30\nacount = \"1\"\n",
    )?;
    let argument = format!("--rules={}", rules.display());
    let (outcome, text, _) = orgkeeper(&["alert", "try", &argument])?;
    let (_, json, _) = orgkeeper(&["alert", "try", &argument, "--output=json"])?;
    std::fs::remove_file(&rules)?;
    ensure!(
        outcome == Outcome::Found && text.contains("line 5") && text.contains("acount"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&json)?;
    ensure!(
        json["ruleFaults"][0]
            .as_str()
            .is_some_and(|fault| fault.starts_with("line 5: "))
    );
    Ok(())
}

#[test]
fn correct_rules_are_called_correct() -> Result<()> {
    let rules = format!("--rules={}", sample("rules.toml"));
    let (outcome, text, _) = orgkeeper(&["alert", "try", &rules])?;
    ensure!(
        outcome == Outcome::Done && text.contains("the rules are correct"),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_mistake_has_an_error_that_says_what_to_do() -> Result<()> {
    let missing = sample("missing.json");
    let (outcome, text, errors) = orgkeeper(&["alert", "try", &missing])?;
    ensure!(outcome == Outcome::Failed && text.is_empty());
    ensure!(
        errors.starts_with("error: cannot read ") && errors.contains("Check the path."),
        "{errors}"
    );
    let toml = sample("rules.toml");
    let (outcome, _, errors) = orgkeeper(&["alert", "try", &toml])?;
    ensure!(outcome == Outcome::Failed);
    ensure!(
        errors.contains("is not JSON (line 1, ") && errors.contains("events/alerter/"),
        "{errors}"
    );
    let (outcome, _, errors) = orgkeeper(&["alert", "try"])?;
    ensure!(
        outcome == Outcome::WrongUsage && errors.contains("<FILE>"),
        "{errors}"
    );
    Ok(())
}

#[test]
fn help_names_the_commands_and_the_exit_codes() -> Result<()> {
    let (outcome, text, _) = orgkeeper(&["--help"])?;
    ensure!(
        outcome == Outcome::Done && text.contains("alert") && text.contains("Exit codes"),
        "{text}"
    );
    Ok(())
}
