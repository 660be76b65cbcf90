//! The commands in README.md and docs/, and who executes them.
//!
//! A fenced `sh` block that starts with `# needs AWS` is for a reader with an account. One that starts with the account whose
//! credentials it needs, `# in the security account`, is a step of a topology in docs/deploy.md. Every other block is
//! executed by itself: on the local cloud if it calls AWS, without it if not. [`ELSEWHERE`] names the `make` targets that
//! are executed elsewhere.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};

/// `make` targets that no documents test executes, each with the file that does and how.
pub const ELSEWHERE: [(&str, &str, &str); 3] = [
    // Stops what `cloud.py up` started, as `cloud.py during` does after its command.
    ("down", "Makefile", "cloud.py during"),
    // Without `make build`, which needs the cross compiler.
    (
        "deploy",
        "tests/tests/flow/topologies.rs",
        "deployment.py deploy",
    ),
    ("uninstall", "tests/tests/flow/topologies.rs", "uninstall)"),
];

/// How variables start that a person's shell does not have.
const NOT_A_SHELLS: [&str; 7] = [
    "AWS_",
    "CARGO_BIN",
    "CARGO_MANIFEST",
    "CARGO_PKG",
    "MAKE",
    "MFLAGS",
    "NEXTEST",
];
/// How a block starts that nothing here executes.
const NEEDS_AWS: &str = "# needs AWS";
/// How a step begins that needs the credentials of one of the accounts, which is named next.
const IN_ACCOUNT: &str = "# in the ";
/// Words of a line that reaches the local cloud.
const CALLS: [&str; 4] = ["aws ", "curl ", "make up", "make demo"];

/// A fenced `sh` block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The file, from the repository's root.
    pub file: String,
    /// The heading of its section.
    pub section: String,
    /// The line of its first command.
    pub line: usize,
    /// The commands.
    pub text: String,
}

/// Who executes a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Executed {
    /// A reader with an AWS account.
    OnAws,
    /// The flow test of the topologies, with the credentials of this account.
    InAccount(String),
    /// The flow test, on the local cloud.
    OnLocalCloud,
    /// The contract test.
    WithoutCloud,
}

impl Block {
    /// Who executes it.
    #[must_use]
    pub fn executed(&self) -> Executed {
        if self.text.starts_with(NEEDS_AWS) {
            Executed::OnAws
        } else if let Some(account) = self.account() {
            Executed::InAccount(account.to_owned())
        } else if CALLS.iter().any(|call| self.text.contains(call)) {
            Executed::OnLocalCloud
        } else {
            Executed::WithoutCloud
        }
    }

    /// The account whose credentials it needs.
    fn account(&self) -> Option<&str> {
        let named = self.text.strip_prefix(IN_ACCOUNT)?;
        named.split_once(" account").map(|(account, _)| account)
    }

    /// Executes it in bash from the repository's root, after `prelude` and with these variables.
    ///
    /// It starts as from a person's shell: without what cargo and make set for a test, or AWS settings.
    ///
    /// # Errors
    /// If bash does not start.
    pub fn execute(&self, prelude: &str, variables: &[(&str, &str)]) -> Result<Output> {
        let script = format!("set -euo pipefail\n{prelude}\n{}", self.text);
        let mut command = Command::new("bash");
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if NOT_A_SHELLS.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command
            .args(["-c", &script])
            .envs(variables.iter().copied())
            .current_dir(root())
            .output()
            .context("bash does not start")
    }
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the repository.
///
/// # Errors
/// If it cannot be read.
pub fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(root().join(file)).with_context(|| format!("{file} cannot be read"))
}

/// README.md and the pages in docs/.
///
/// # Errors
/// If docs/ cannot be read.
pub fn pages() -> Result<Vec<String>> {
    let mut pages = vec!["README.md".to_owned()];
    for file in std::fs::read_dir(root().join("docs"))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|end| end == "md") {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort();
    Ok(pages)
}

/// Every `sh` block of a page.
///
/// # Errors
/// If the page cannot be read, or a block does not end.
pub fn blocks(file: &str) -> Result<Vec<Block>> {
    let text = read(file)?;
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize, bool)> = None;
    let mut section = "";
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(kind)) => {
                let block = Block {
                    file: file.to_owned(),
                    section: section.to_owned(),
                    line: number + 2,
                    text: String::new(),
                };
                open = Some((block, indent, kind == "sh"));
            }
            (Some(_), Some(_)) => {
                if let Some((block, _, true)) = open.take() {
                    blocks.push(block);
                }
            }
            (Some((block, indent, _)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, None) => section = line.strip_prefix("## ").unwrap_or(section),
        }
    }
    ensure!(open.is_none(), "{file}: a block does not end");
    Ok(blocks)
}

/// The targets that lines of these commands give to `make`.
#[must_use]
pub fn make_targets(commands: &str) -> BTreeSet<String> {
    commands
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("make "))
        .filter_map(|rest| rest.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// The targets of the Makefile.
///
/// # Errors
/// If it cannot be read.
pub fn makefile_targets() -> Result<BTreeSet<String>> {
    let makefile = read("Makefile")?;
    let names = makefile.lines().filter_map(|line| line.split_once(':'));
    Ok(names.map(|(name, _)| name.to_owned()).collect())
}
