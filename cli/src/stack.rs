//! A deployed stack: which flows are on, and what its resources are called.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use orgkeeper_shared::aws_error::AwsCallError;

use crate::{
    aws::cloudformation::{self, DescribedStack, StackResource},
    queues::{Flow, QUEUES, QueueRow},
};

/// A deployed stack.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Its state, `CREATE_COMPLETE` say.
    pub status: String,
    parameters: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
    resources: BTreeMap<String, StackResource>,
}

/// A queue of the stack, with its dead-letter queue.
#[derive(Clone, Copy, Debug)]
pub struct StackQueue<'s> {
    /// Its row.
    pub row: &'static QueueRow,
    /// Its address.
    pub url: &'s str,
    /// The address of its dead-letter queue.
    pub dead_letters_url: &'s str,
}

impl Stack {
    /// Reads the stack of this name; `None` if there is none.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn read(sdk: &SdkConfig, name: &str) -> Result<Option<Self>, AwsCallError> {
        let Some(stack) = cloudformation::stack(sdk, name).await? else {
            return Ok(None);
        };
        let DescribedStack {
            status,
            parameters,
            outputs,
        } = stack;
        let resources = cloudformation::resources(sdk, name).await?;
        Ok(Some(Self {
            name: name.to_owned(),
            status,
            parameters,
            outputs,
            resources: resources
                .into_iter()
                .map(|resource| (resource.logical_id.clone(), resource))
                .collect(),
        }))
    }

    /// Whether a flow is on.
    #[must_use]
    pub fn has(&self, flow: Flow) -> bool {
        self.parameter(flow.parameter()) == Some("on")
    }

    /// The value of a parameter; `None` if it is empty.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let value = self.parameters.get(name)?.as_str();
        (!value.is_empty()).then_some(value)
    }

    /// The value of an output.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<&str> {
        self.outputs.get(name).map(String::as_str)
    }

    /// The name or address of a resource, by its name in the template.
    #[must_use]
    pub fn resource(&self, logical_id: &str) -> Option<&str> {
        let id = self.resources.get(logical_id)?.physical_id.as_str();
        (!id.is_empty()).then_some(id)
    }

    /// The names or addresses of all resources of a type.
    pub fn resources_of(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.resources
            .values()
            .filter(move |resource| resource.kind == kind && !resource.physical_id.is_empty())
            .map(|resource| resource.physical_id.as_str())
    }

    /// Its queues, in the order of the flows.
    pub fn queues(&self) -> impl Iterator<Item = StackQueue<'_>> {
        QUEUES.iter().filter_map(|row| self.queue(row))
    }

    /// The queue of a row; `None` if its flow is off.
    #[must_use]
    pub fn queue(&self, row: &'static QueueRow) -> Option<StackQueue<'_>> {
        Some(StackQueue {
            row,
            url: self.resource(row.queue)?,
            dead_letters_url: self.resource(row.dead_letters)?,
        })
    }
}
