//! docs/deploy.md as a new user follows it: each topology, its commands as they are printed, on a local cloud where nothing is
//! deployed (`ORGKEEPER_FORM=empty`). Then everything is removed again, as the page says.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use aws_config::SdkConfig;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use orgkeeper_tests::{
    documents::{Block, Executed, blocks, root},
    local_cloud::{LocalCloud, eventually},
};

/// Entries of the account directory appear in groups of five, two seconds apart.
const PATIENCE: Duration = Duration::from_mins(2);
const PAGE: &str = "docs/deploy.md";
const ONE_ACCOUNT: &str = "One account";
const SEVERAL: &str = "Management, security and service account";
const WITHOUT_CONTROL_TOWER: &str = "Without Control Tower";

/// The page's steps of a section, counted from 0.
struct Steps(&'static str, Range<usize>);

/// A way through the page.
struct Topology {
    name: &'static str,
    steps: &'static [Steps],
    /// The accounts that have a stack then, each with its environment of samconfig.toml.
    stacks: &'static [(&'static str, &'static str)],
}

const TOPOLOGIES: [Topology; 3] = [
    Topology {
        name: ONE_ACCOUNT,
        steps: &[Steps(ONE_ACCOUNT, 0..8)],
        stacks: &[("management", "default")],
    },
    Topology {
        name: SEVERAL,
        steps: &[Steps(ONE_ACCOUNT, 0..2), Steps(SEVERAL, 0..8)],
        stacks: &[
            ("management", "management"),
            ("security", "security"),
            ("service", "service"),
        ],
    },
    Topology {
        name: WITHOUT_CONTROL_TOWER,
        steps: &[
            Steps(ONE_ACCOUNT, 0..3),
            Steps(WITHOUT_CONTROL_TOWER, 0..2),
            Steps(ONE_ACCOUNT, 4..8),
        ],
        stacks: &[("management", "default")],
    },
];

/// The names of the accounts in the example organization, whose management account is none of its members.
const ACCOUNTS: [(&str, &str); 2] = [
    ("security", "security-tooling"),
    ("service", "shared-services"),
];
const MANAGEMENT: &str = "111111111111";

/// A copy of the repository, in which samconfig.toml may be changed. Its tools are the repository's, and never installed
/// again. `make build`, which needs the cross compiler, is left out: the local cloud has built the functions. The questions
/// of `make deploy` and `make uninstall` are answered.
const PRELUDE: &str = r#"
copy="$(mktemp --directory)"
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --preserve=timestamps --target-directory="$copy"
mkdir "$copy/target"
ln -s "$PWD/.venv" "$copy/.venv"
ln -s "$PWD/target/lambda" "$copy/target/lambda"
cd "$copy"
aws() { .venv/docs/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
make() {
  local ENV=default argument
  for argument in "$@"; do case "$argument" in ENV=*) ENV="${argument#ENV=}" ;; esac; done
  case "$1" in
    deploy) .venv/cloud/bin/python infra/local/deployment.py deploy "$ENV" x86_64 <<< y ;;
    uninstall) command make --no-print-directory --old-file=.venv/cloud/installed "$@" YES=1 ;;
    *) return 1 ;;
  esac
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn each_topology_is_deployed_and_removed_as_the_page_says() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    let mut accounts = BTreeMap::from([("management", MANAGEMENT)]);
    for (part, name) in ACCOUNTS {
        accounts.insert(part, cloud.accounts.get(name).context("no such account")?);
    }
    let page = blocks(PAGE)?;
    for topology in &TOPOLOGIES {
        let mut script = vec![PRELUDE.to_owned()];
        for Steps(section, range) in topology.steps {
            let steps = steps_of(&page, section);
            let chosen = steps.get(range.clone());
            let chosen = chosen.with_context(|| format!("{section} has {} steps", steps.len()))?;
            for block in chosen {
                script.push(step(block, &accounts)?);
            }
        }
        execute(&cloud, topology.name, &script)?;
        for (part, _) in topology.stacks {
            let account = accounts[part];
            let status = stack_status(&cloud, account)?;
            ensure!(
                status.as_deref() == Some("CREATE_COMPLETE"),
                "{}: the stack in the {part} account is {status:?}",
                topology.name
            );
        }
        every_account_is_in_the_directory(&cloud, topology, &accounts).await?;
        let removal = removal(topology, &accounts);
        execute(&cloud, topology.name, &removal)?;
        for (part, _) in topology.stacks {
            let status = stack_status(&cloud, accounts[part])?;
            ensure!(
                status.is_none(),
                "{}: the stack in the {part} account is still there: {status:?}",
                topology.name
            );
        }
    }
    Ok(())
}

/// The blocks of a section that the topologies execute, with the one that sets the outputs as variables.
fn steps_of<'a>(page: &'a [Block], section: &str) -> Vec<&'a Block> {
    let of_section = page.iter().filter(|block| block.section == section);
    of_section
        .filter(|block| block.executed() != Executed::OnAws)
        .collect()
}

/// A block with its account's credentials.
fn step(block: &Block, accounts: &BTreeMap<&str, &str>) -> Result<String> {
    let account = match block.executed() {
        Executed::InAccount(account) => account,
        Executed::OnLocalCloud => "management".to_owned(),
        other => bail!("{PAGE}:{}: {other:?}", block.line),
    };
    let id = accounts
        .get(account.as_str())
        .with_context(|| format!("{PAGE}:{}: no account {account}", block.line))?;
    let line = block.line;
    Ok(format!(
        "echo '--- {PAGE}:{line}'\nexport AWS_ACCESS_KEY_ID={id}\n{}",
        block.text
    ))
}

/// What removes a topology with everything that it kept: "Removing it".
fn removal(topology: &Topology, accounts: &BTreeMap<&str, &str>) -> Vec<String> {
    let mut script = vec![PRELUDE.to_owned()];
    for (part, environment) in topology.stacks {
        let id = accounts[part];
        script.push(format!(
            "export AWS_ACCESS_KEY_ID={id}\nmake uninstall ENV={environment} DELETE_DATA=1\n"
        ));
    }
    script
}

/// Executes a script as one shell.
fn execute(cloud: &LocalCloud, topology: &str, script: &[String]) -> Result<()> {
    let endpoint = cloud.sdk.endpoint_url().context("no endpoint")?;
    let block = Block {
        file: PAGE.to_owned(),
        section: topology.to_owned(),
        line: 0,
        text: script.join("\n"),
    };
    let done = block.execute(
        "",
        &[
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("SAM_CLI_TELEMETRY", "0"),
        ],
    )?;
    let printed = String::from_utf8_lossy(&done.stdout);
    ensure!(
        done.status.success(),
        "{topology}: {}\n{}",
        last_lines(&printed),
        last_lines(&String::from_utf8_lossy(&done.stderr))
    );
    Ok(())
}

/// The end of what was printed.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// For clients of an account's own.
fn sdk_of(cloud: &LocalCloud, account: &str) -> SdkConfig {
    let own = Credentials::new(account, "test", None, None, "own");
    let sdk = cloud.sdk.to_builder();
    sdk.credentials_provider(SharedCredentialsProvider::new(own))
        .build()
}

/// The last step fills the directory: every account that is not closed gets an entry.
async fn every_account_is_in_the_directory(
    cloud: &LocalCloud,
    topology: &Topology,
    accounts: &BTreeMap<&str, &str>,
) -> Result<()> {
    let (part, _) = topology
        .stacks
        .iter()
        .find(|(part, _)| *part == "security")
        .unwrap_or(&topology.stacks[0]);
    let sdk = sdk_of(cloud, accounts[part]);
    let tables = aws_sdk_dynamodb::Client::new(&sdk);
    let names = tables.list_tables().send().await?;
    let table = names
        .table_names()
        .iter()
        .find(|name| name.contains("AccountDirectory"))
        .context("no account directory")?;
    eventually(
        "every account has an entry in the directory",
        PATIENCE,
        async || {
            let found = tables.scan().table_name(table).send().await?;
            // The management account too.
            Ok(found.count() > i32::try_from(cloud.accounts.len())? - 1)
        },
    )
    .await
}

/// The status of the stack in an account; none if there is none.
fn stack_status(cloud: &LocalCloud, account: &str) -> Result<Option<String>> {
    let done = std::process::Command::new(root().join(".venv/docs/bin/aws"))
        .args([
            "--endpoint-url",
            cloud.sdk.endpoint_url().context("no endpoint")?,
        ])
        .args(["--region", "us-east-1", "--output", "text"])
        .args([
            "cloudformation",
            "describe-stacks",
            "--stack-name",
            "orgkeeper",
        ])
        .args(["--query", "Stacks[0].StackStatus"])
        .env("AWS_ACCESS_KEY_ID", account)
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .output()?;
    let printed = String::from_utf8(done.stdout)?.trim().to_owned();
    let refused = String::from_utf8_lossy(&done.stderr);
    ensure!(
        done.status.success() || refused.contains("does not exist"),
        "{refused}"
    );
    Ok(done.status.success().then_some(printed))
}
