//! The answer to `GetFindings`, read without the SDK's types of findings.
//!
//! Those have a type for every kind of `Resources[].Details`: reading one overflows the stack of a build without
//! optimization (aws-sdk-rust issue 1144), and holds in memory what nobody here looks at.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_securityhub::operation::get_findings::{GetFindings, GetFindingsOutput};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{BeforeSerializationInterceptorContextMut, Error, Output},
            dyn_dispatch_hint,
        },
        orchestrator::{HttpResponse, OrchestratorError},
        runtime_components::RuntimeComponents,
        runtime_plugin::RuntimePlugin,
        ser_de::{DeserializeResponse, SharedResponseDeserializer},
    },
};
use aws_smithy_types::config_bag::{ConfigBag, FrozenLayer};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::finding::{Finding, read};

/// The findings of one answer.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    /// The same as JSON, if that is wanted.
    pub(super) json: Vec<Box<RawValue>>,
    /// Those that cannot be read.
    pub(super) unreadable: usize,
}

/// Reads the answer to one call: an interceptor of that call, and where its findings are afterwards.
#[derive(Clone, Debug, Default)]
pub(super) struct AnswerReader {
    found: Arc<Mutex<Found>>,
    keeps_json: bool,
}

impl AnswerReader {
    /// One that keeps the JSON of findings, or not.
    pub(super) fn keeping_json(keeps_json: bool) -> Self {
        Self {
            keeps_json,
            ..Self::default()
        }
    }

    /// The findings of the answer.
    pub(super) fn take(&self) -> Found {
        mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[dyn_dispatch_hint]
impl Intercept for AnswerReader {
    fn name(&self) -> &'static str {
        "AnswerReader"
    }

    fn modify_before_serialization(
        &self,
        _context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let deserializer = Deserializer {
            of_the_sdk: GetFindings::new().config(),
            found: self.clone(),
        };
        config
            .interceptor_state()
            .store_put(SharedResponseDeserializer::new(deserializer));
        Ok(())
    }
}

/// Replaces the SDK's deserializer of one call, except for errors.
#[derive(Debug)]
struct Deserializer {
    of_the_sdk: Option<FrozenLayer>,
    found: AnswerReader,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(borrow)]
    findings: Option<Vec<&'a RawValue>>,
    next_token: Option<String>,
}

impl DeserializeResponse for Deserializer {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        config: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        if !response.status().is_success() {
            return self
                .of_the_sdk
                .as_ref()
                .and_then(|layer| layer.load::<SharedResponseDeserializer>())
                .ok_or_else(|| OrchestratorError::other("GetFindings has no deserializer"))?
                .deserialize_nonstreaming_with_config(response, config);
        }
        let body = response.body().bytes().unwrap_or_default();
        let answer: Answer = serde_json::from_slice(body).map_err(|error| {
            // serde_json's own words may repeat what is in the answer.
            let place = format!("line {}, column {}", error.line(), error.column());
            OrchestratorError::response(format!("no page of findings ({place})").into())
        })?;
        let listed = answer.findings.unwrap_or_default();
        let mut found = Found::default();
        for json in listed {
            match read(json.get()) {
                Ok(finding) => {
                    found.findings.push(finding);
                    if self.found.keeps_json {
                        found.json.push(json.to_owned());
                    }
                }
                Err(_) => found.unreadable += 1,
            }
        }
        *self
            .found
            .found
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = found;
        Ok(Output::erase(
            GetFindingsOutput::builder()
                .set_next_token(answer.next_token)
                .build(),
        ))
    }
}
