//! `orgkeeper accounts`: files of accounts.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use orgkeeper_shared::{aws::sdk_config, vending::creation::AccountCreation};

use crate::{
    accounts_check::{AccountsFile, check, check_form},
    context::Context,
    outcome::{CommandError, Outcome},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print what results/ would say about a file of accounts, before it is uploaded.
    ///
    /// Nothing is uploaded, stored or started. It needs the credentials of the management account, and reads the settings
    /// of the deployed function, Organizations, Control Tower, IAM Identity Center and the tables of the stack.
    Check(Check),
}

impl Command {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        match self {
            Self::Check(arguments) => arguments.run(context),
        }
    }
}

/// The arguments of `orgkeeper accounts check`.
#[derive(Args)]
pub(crate) struct Check {
    /// The name of the function new-account-handler, whose settings are used. Without it, the only one of the account and
    /// Region.
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Check only what can be checked without AWS: the form of the file and of each cell.
    #[arg(long, conflicts_with = "function")]
    offline: bool,
    /// With --offline: how accounts are created, account-factory or organizations.
    #[arg(
        long,
        value_name = "WAY",
        requires = "offline",
        default_value = "account-factory"
    )]
    account_creation: AccountCreation,
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Check {
    fn run(self, context: &mut Context<'_>) -> Result<Outcome, CommandError> {
        let file = AccountsFile::read(&self.file)?;
        if self.offline {
            return check_form(&file, self.account_creation).print(context);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let report = runtime.block_on(async {
            let sdk = sdk_config().await;
            check(&file, &sdk, self.function).await
        });
        report?.print(context)
    }
}
