//! AWS CloudFormation: a stack, and the stacks of a stack set.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use orgkeeper_shared::aws_error::{AwsCallError, AwsErrorClass, Service};

use super::{
    query::{QueryService, call},
    xml::Element,
};

const CLOUDFORMATION: QueryService = QueryService {
    service: Service::CloudFormation,
    name: "cloudformation",
    version: "2010-05-15",
};

/// A stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedStack {
    /// `CREATE_COMPLETE`, say.
    pub status: String,
    /// Parameters by name.
    pub parameters: BTreeMap<String, String>,
    /// Outputs by name.
    pub outputs: BTreeMap<String, String>,
}

/// A resource of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackResource {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name or address in AWS.
    pub physical_id: String,
    /// Its type, `AWS::SQS::Queue` say.
    pub kind: String,
}

/// A stack set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackSet {
    /// Whether accounts that join the organization get a stack by themselves.
    pub auto_deployment: bool,
    /// Its stacks.
    pub instances: Vec<StackInstance>,
}

/// One stack of a stack set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackInstance {
    /// The account that it is in.
    pub account: String,
    /// The Region that it is in.
    pub region: String,
    /// `CURRENT`, `OUTDATED` or `INOPERABLE`.
    pub status: String,
}

/// The stack of this name; `None` if there is none.
///
/// # Errors
/// If the call fails.
pub async fn stack(sdk: &SdkConfig, name: &str) -> Result<Option<DescribedStack>, AwsCallError> {
    let fields = [("StackName".to_owned(), name.to_owned())];
    match call(sdk, CLOUDFORMATION, "DescribeStacks", &fields).await {
        Ok(answer) => Ok(answer.members("Stacks").next().map(described)),
        // CloudFormation says so with the code of every wrong request.
        Err(error) if error.has_code("ValidationError") && error.in_words().contains("exist") => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn described(stack: &Element) -> DescribedStack {
    let pairs = |list, key, value| {
        stack
            .members(list)
            .map(|member| (member.child(key).to_owned(), member.child(value).to_owned()))
            .collect()
    };
    DescribedStack {
        status: stack.child("StackStatus").to_owned(),
        parameters: pairs("Parameters", "ParameterKey", "ParameterValue"),
        outputs: pairs("Outputs", "OutputKey", "OutputValue"),
    }
}

/// The resources of a stack.
///
/// # Errors
/// If a call fails: never a part of them.
pub async fn resources(sdk: &SdkConfig, stack: &str) -> Result<Vec<StackResource>, AwsCallError> {
    let fields = vec![("StackName".to_owned(), stack.to_owned())];
    let members = all(sdk, "ListStackResources", fields, "StackResourceSummaries").await?;
    Ok(members
        .iter()
        .map(|member| StackResource {
            logical_id: member.child("LogicalResourceId").to_owned(),
            physical_id: member.child("PhysicalResourceId").to_owned(),
            kind: member.child("ResourceType").to_owned(),
        })
        .collect())
}

/// The stack set of this name; `None` if there is none. The management account owns it; others see it as delegated
/// administrators.
///
/// # Errors
/// If a call fails: never a part of its stacks.
pub async fn stack_set(
    sdk: &SdkConfig,
    name: &str,
    management: bool,
) -> Result<Option<StackSet>, AwsCallError> {
    let caller = if management {
        "SELF"
    } else {
        "DELEGATED_ADMIN"
    };
    let fields = vec![
        ("StackSetName".to_owned(), name.to_owned()),
        ("CallAs".to_owned(), caller.to_owned()),
    ];
    let described = match call(sdk, CLOUDFORMATION, "DescribeStackSet", &fields).await {
        Ok(described) => described,
        Err(error)
            if error.has_code("StackSetNotFoundException")
                || error.class() == AwsErrorClass::NotFound =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let automatic = described.find("AutoDeployment");
    let members = all(sdk, "ListStackInstances", fields, "Summaries").await?;
    let instances = members.iter().map(|member| StackInstance {
        account: member.child("Account").to_owned(),
        region: member.child("Region").to_owned(),
        status: member.child("Status").to_owned(),
    });
    Ok(Some(StackSet {
        auto_deployment: automatic.is_some_and(|it| it.child("Enabled") == "true"),
        instances: instances.collect(),
    }))
}

/// The members of a list, of all pages.
async fn all(
    sdk: &SdkConfig,
    operation: &'static str,
    fields: Vec<(String, String)>,
    list: &str,
) -> Result<Vec<Element>, AwsCallError> {
    let mut members = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut fields = fields.clone();
        fields.extend(next.map(|token| ("NextToken".to_owned(), token)));
        let page = call(sdk, CLOUDFORMATION, operation, &fields).await?;
        members.extend(page.members(list).cloned());
        next = page.text_of("NextToken").map(str::to_owned);
        if next.is_none() {
            return Ok(members);
        }
    }
}
