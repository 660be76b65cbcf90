//! What a person reads of each sample event, by mail and in Slack, and where it goes: the dry run's answer.
//!
//! Where a text is better than it was: `INSTA_UPDATE=always cargo test --workspace --test alert_texts`, and
//! read what changed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The dry run with these arguments: whether it went well, and all it said.
fn dry_run(arguments: &[&str]) -> Result<(bool, String)> {
    let done = Command::new(env!("CARGO_BIN_EXE_alert"))
        .args(arguments)
        .current_dir(root())
        .output()?;
    let said = [done.stdout, done.stderr].concat();
    Ok((done.status.success(), String::from_utf8(said)?))
}

#[test]
fn every_sample_reads_as_it_should() -> Result<()> {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("alert_texts");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    let mut samples = 0;
    for file in std::fs::read_dir(root().join("events/alerter"))? {
        let path = file?.path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let name = path.file_stem().context("a name")?.to_string_lossy();
        let event = format!("events/alerter/{name}.json");
        let (well, text) = dry_run(&[
            "--rules=events/alerter/rules.toml",
            "--at=2026-03-02T12:00:00Z",
            "--name=payments-dev",
            "--ou=Root/Workloads/Dev",
            &event,
        ])?;
        ensure!(well, "{name}: {text}");
        insta::assert_snapshot!(name.as_ref(), text);
        samples += 1;
    }
    ensure!(samples > 30, "only {samples} samples");
    Ok(())
}

#[test]
fn a_wrong_rule_is_refused_with_its_line() -> Result<()> {
    let rules = std::env::temp_dir().join(format!("orgkeeper-rules-{}.toml", std::process::id()));
    std::fs::write(
        &rules,
        "[[silence]]\nkind = \"iam.change\"\nreason = \"tests\"\nuntil = 2026-06-30\nacount = \"1\"\n",
    )?;
    let (well, text) = dry_run(&[&format!("--rules={}", rules.display())])?;
    std::fs::remove_file(&rules)?;
    ensure!(
        !well && text.contains("line 5") && text.contains("acount"),
        "{text}"
    );
    Ok(())
}
