//! Access of the function's role to Account Factory: without it Service Catalog finds no launch path.

use aws_sdk_servicecatalog::Client;
use orgkeeper_shared::aws_error::{AwsCallError, Service};

use super::landing_zone::by_account_factory;
use crate::doctor::{
    check::{Check, Verdict},
    subject::Subject,
};

pub(super) const CHECK: Check = Check {
    id: "account-factory",
    question: "May the function's role use Account Factory?",
    needs: &[
        "servicecatalog:ListPortfolios",
        "servicecatalog:ListPrincipalsForPortfolio",
    ],
    needs_stack: true,
    applies: by_account_factory,
    run: |subject| Box::pin(run(subject)),
};

/// What Control Tower calls its portfolio.
const PORTFOLIO: &str = "AWS Control Tower Account Factory Portfolio";

async fn run(subject: &Subject) -> Result<Verdict, AwsCallError> {
    let client = Client::new(&subject.sdk);
    let stack = subject.stack.as_ref();
    let role = stack.and_then(|stack| stack.output("CreateManagedAccountRoleArn"));
    let role = role.unwrap_or_default();
    let portfolio = match subject.parameter("AccountFactoryPortfolioId") {
        Some(id) => Some(id.to_owned()),
        None => find(&client).await?,
    };
    let Some(portfolio) = portfolio else {
        return Ok(Verdict::to_do(
            format!("this Region has no portfolio \"{PORTFOLIO}\""),
            "deploy in the home Region of Control Tower, or set up its landing zone first",
        ));
    };
    let mut pages = client
        .list_principals_for_portfolio()
        .portfolio_id(&portfolio)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| {
            AwsCallError::new(
                Service::ServiceCatalog,
                "ListPrincipalsForPortfolio",
                &error,
            )
        })?;
        let principals = page.principals.unwrap_or_default();
        if principals
            .iter()
            .any(|principal| principal.principal_arn.as_deref() == Some(role))
        {
            return Ok(Verdict::fine(format!(
                "the role is associated with {portfolio}"
            )));
        }
    }
    Ok(Verdict::to_do(
        format!("the role of create-managed-account is not associated with {portfolio}"),
        format!(
            "aws servicecatalog associate-principal-with-portfolio --portfolio-id {portfolio} \
             --principal-arn {role} --principal-type IAM"
        ),
    ))
}

/// The id of Account Factory's portfolio.
async fn find(client: &Client) -> Result<Option<String>, AwsCallError> {
    let mut pages = client.list_portfolios().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| {
            AwsCallError::new(Service::ServiceCatalog, "ListPortfolios", &error)
        })?;
        let mut portfolios = page.portfolio_details.unwrap_or_default().into_iter();
        if let Some(found) = portfolios.find(|it| it.display_name.as_deref() == Some(PORTFOLIO)) {
            return Ok(found.id);
        }
    }
    Ok(None)
}
