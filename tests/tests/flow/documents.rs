//! The commands of README.md and docs/ that reach the local cloud, executed as they are written.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, ensure};
use orgkeeper_tests::{
    documents::{Block, Executed, blocks, pages, root},
    local_cloud::{LocalCloud, eventually},
};

/// A refresh of the whole organization takes two seconds for five accounts, also those of other flows.
const PATIENCE: Duration = Duration::from_mins(10);

/// The AWS CLI of version 1 ignores the endpoint's variable for SQS; `make down` would stop the cloud that this test
/// uses.
const PRELUDE: &str = r#"
aws() { .venv/docs/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
make() { case "$1" in down) ;; *) command make --no-print-directory "$@" ;; esac }
"#;

/// The block that sets the stack's outputs as variables: the other pages refer to it.
const OUTPUTS: &str = "eval \"$(aws cloudformation describe-stacks";

#[tokio::test(flavor = "multi_thread")]
async fn every_command_for_the_local_cloud_succeeds() -> Result<()> {
    let cloud = LocalCloud::attach().await?;
    let tool = root().join(".venv/docs/bin/aws");
    ensure!(
        tool.exists(),
        "the AWS CLI is missing: make .venv/docs/installed"
    );
    let endpoint = cloud.sdk.endpoint_url().context("no endpoint")?;
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ];
    let mut all = Vec::new();
    for page in pages()? {
        all.extend(blocks(&page)?);
    }
    all.retain(|block| block.executed() == Executed::OnLocalCloud);
    let outputs = all
        .iter()
        .find(|block| block.text.starts_with(OUTPUTS))
        .context("no block sets the outputs")?;
    let prelude = format!("{PRELUDE}\n{}", outputs.text);
    let mut executed = BTreeSet::new();
    all.push(restore_rules());
    for block in &all {
        let Block { file, line, text, .. } = block;
        // The documented port is the default one.
        let block = Block {
            text: text.replace("http://127.0.0.1:4566", endpoint),
            ..block.clone()
        };
        let done = block.execute(&prelude, &variables)?;
        ensure!(
            done.status.success(),
            "{file}:{line} fails: {}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
        executed.insert(file.clone());
    }
    ensure!(
        executed.len() > 5,
        "commands of these pages only: {executed:?}"
    );
    every_uploaded_row_succeeds(&cloud).await?;
    // The refreshes that docs/findings.md starts.
    eventually("the directory queue is empty", PATIENCE, async || {
        Ok(cloud.depth(cloud.output("DirectoryQueueUrl")?).await? == 0)
    })
    .await
}

/// Stores the rules that the other flows need: docs/alerts.md stores the sample's.
fn restore_rules() -> Block {
    let store = "aws ssm put-parameter --overwrite --type String --name /orgkeeper/alert-rules";
    Block {
        section: String::new(),
        file: "tests/tests/flow/documents.rs".to_owned(),
        line: line!() as usize,
        text: format!("{store} --value file://infra/local/alert-rules.toml"),
    }
}

/// The file that docs/accounts.md uploads.
async fn every_uploaded_row_succeeds(cloud: &LocalCloud) -> Result<()> {
    let storage = aws_sdk_s3::Client::new(&cloud.sdk);
    eventually(
        "every row of accounts.csv has succeeded",
        PATIENCE,
        async || {
            let results = storage
                .get_object()
                .bucket(cloud.output("AccountsBucketName")?)
                .key("results/accounts.csv")
                .send()
                .await?;
            let text = results.body.collect().await?.into_bytes();
            let text = String::from_utf8(text.to_vec())?;
            Ok(text.lines().skip(1).count() == 3
                && text.lines().skip(1).all(|row| row.contains(",SUCCEEDED,")))
        },
    )
    .await
}
