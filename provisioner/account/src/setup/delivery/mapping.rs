//! The event source mapping, by which AWS Lambda takes events from the queue and hands them to the function.

use aws_sdk_lambda::types::{EventSourceMappingConfiguration, FunctionResponseType, ScalingConfig};

use super::super::link::Link;
use super::super::waiting::{Waiting, is_role_too_new};
use super::of_arn;
use crate::account::existing;
use crate::{Account, Error as AccountError, Resource};

/// Messages in a batch: about AWS Lambda's limit of 6 MB. The fuller a batch, the fewer devices are asked for twice.
pub(crate) const BATCH: i32 = 4000;
/// Seconds that a batch may wait to be filled: a single board waits so long.
pub(crate) const WINDOW: i32 = 1;
/// Environments at the same time: the smallest number that AWS Lambda takes. They use up the default quota of AWS IoT.
pub(crate) const CONCURRENCY: i32 = 2;

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Leave,
    Create,
    /// Changes the mapping of this id.
    Change(String, Vec<String>),
}

/// The mappings of a function; none if there is no function.
pub(crate) async fn find(
    account: &Account,
    function: &str,
) -> Result<Vec<EventSourceMappingConfiguration>, AccountError> {
    let pages = account.lambda().list_event_source_mappings().function_name(function).into_paginator();
    let found =
        account.all("lambda:ListEventSourceMappings", pages.send(), |page| page.event_source_mappings).await;
    Ok(existing(found)?.unwrap_or_default())
}

/// Whether a mapping takes messages now, or will in a moment.
pub(crate) fn is_enabled(mapping: &EventSourceMappingConfiguration) -> bool {
    !matches!(mapping.state(), Some("Disabled" | "Disabling" | "Deleting"))
}

/// The mapping of the queue with this ARN. A mapping that is there keeps its numbers.
pub(crate) fn decide(found: &[EventSourceMappingConfiguration], queue: &str) -> Step {
    let of_queue = |mapping: &&EventSourceMappingConfiguration| {
        mapping.event_source_arn().and_then(of_arn) == of_arn(queue) && mapping.state() != Some("Deleting")
    };
    let Some(mapping) = found.iter().find(of_queue) else { return Step::Create };
    let mut changes = Vec::new();
    if !is_enabled(mapping) {
        changes.push("is off".to_owned());
    }
    if !mapping.function_response_types().contains(&FunctionResponseType::ReportBatchItemFailures) {
        changes.push("should report single failures of a batch".to_owned());
    }
    match changes.is_empty() {
        true => Step::Leave,
        false => Step::Change(mapping.uuid().unwrap_or_default().to_owned(), changes),
    }
}

impl Step {
    pub(crate) fn link(&self, queue: &str) -> Link {
        let changes = match self {
            Self::Leave | Self::Create => Vec::new(),
            Self::Change(_, changes) => changes.clone(),
        };
        Link::new(Resource::EventSourceMapping, queue, *self != Self::Create, changes)
    }

    /// Does it, trying again while the role's new policy is not known everywhere.
    pub(crate) async fn apply(
        &self,
        account: &Account,
        function: &str,
        queue: &str,
    ) -> Result<(), AccountError> {
        let lambda = account.lambda();
        match self {
            Self::Leave => Ok(()),
            Self::Create => {
                let scaling = ScalingConfig::builder().maximum_concurrency(CONCURRENCY).build();
                let mut waiting = Waiting::start();
                loop {
                    let request = lambda
                        .create_event_source_mapping()
                        .function_name(function)
                        .event_source_arn(queue)
                        .batch_size(BATCH)
                        .maximum_batching_window_in_seconds(WINDOW)
                        .function_response_types(FunctionResponseType::ReportBatchItemFailures)
                        .scaling_config(scaling.clone());
                    let answer = request.send().await;
                    match answer.map_err(account.failed("lambda:CreateEventSourceMapping")) {
                        Ok(_) => return Ok(()),
                        Err(error) if is_role_too_new(&error) && waiting.pause().await => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Self::Change(id, _) => {
                let request = lambda
                    .update_event_source_mapping()
                    .uuid(id)
                    .enabled(true)
                    .function_response_types(FunctionResponseType::ReportBatchItemFailures);
                let answer = request.send().await;
                answer.map(drop).map_err(account.failed("lambda:UpdateEventSourceMapping"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:us-east-2:123456789012:JITR-waiting-events";

    #[test]
    fn a_mapping_of_the_queue_that_works_is_left_whatever_its_numbers() {
        let mapping = EventSourceMappingConfiguration::builder()
            .uuid("id")
            .event_source_arn(QUEUE)
            .batch_size(10)
            .function_response_types(FunctionResponseType::ReportBatchItemFailures);
        let of = |state: &str| [mapping.clone().state(state).build()];
        for state in ["Enabled", "Enabling", "Creating", "Updating"] {
            assert_eq!(decide(&of(state), QUEUE), Step::Leave, "{state}");
        }
        assert_eq!(decide(&of("Disabled"), QUEUE), Step::Change("id".into(), vec!["is off".into()]));
        assert_eq!(decide(&of("Deleting"), QUEUE), Step::Create);
        assert_eq!(decide(&of("Enabled"), &format!("{QUEUE}-2")), Step::Create);
        let whole = mapping.set_function_response_types(None).state("Enabled").build();
        assert!(matches!(decide(&[whole], QUEUE), Step::Change(_, changes) if changes.len() == 1));
    }
}
