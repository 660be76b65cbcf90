//! The settings of a deployed function.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_lambda::{Client, error::SdkError};

use crate::outcome::CommandError;

/// What a message calls this.
const LOOKING: &str = "the deployed function";

/// The environment variables of the function with this name or, without one, of the only function of the account and
/// Region whose name has `part` in it.
///
/// # Errors
/// If a call fails, or there is no such function, or several.
pub async fn settings(
    sdk: &SdkConfig,
    name: Option<String>,
    part: &'static str,
) -> Result<HashMap<String, String>, CommandError> {
    let client = Client::new(sdk);
    if let Some(name) = name {
        let function = client
            .get_function_configuration()
            .function_name(name)
            .send()
            .await
            .map_err(failed)?;
        let variables = function.environment.and_then(|it| it.variables);
        return Ok(variables.unwrap_or_default());
    }
    let mut found = Vec::new();
    let mut pages = client.list_functions().into_paginator().send();
    while let Some(page) = pages.next().await {
        let functions = page.map_err(failed)?.functions.unwrap_or_default();
        found.extend(functions.into_iter().filter(|function| {
            let name = function.function_name.as_deref().unwrap_or_default();
            name.contains(part)
        }));
    }
    if found.len() > 1 {
        let names = found
            .into_iter()
            .filter_map(|function| function.function_name);
        return Err(CommandError::SeveralFunctions {
            part,
            names: names.collect::<Vec<_>>().join(", "),
        });
    }
    match found.pop() {
        Some(function) => {
            let variables = function.environment.and_then(|it| it.variables);
            Ok(variables.unwrap_or_default())
        }
        None => Err(CommandError::NoFunction { part }),
    }
}

fn failed<E>(error: SdkError<E>) -> CommandError
where
    E: std::error::Error + Send + Sync + 'static,
{
    CommandError::Aws {
        what: LOOKING,
        said: aws_sdk_lambda::error::DisplayErrorContext(error).to_string(),
    }
}
