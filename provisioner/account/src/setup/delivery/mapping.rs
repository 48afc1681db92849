//! The event source mapping, by which AWS Lambda takes events from the queue and hands them to the function.

use aws_sdk_lambda::types::{EventSourceMappingConfiguration, FunctionResponseType, ScalingConfig};

use super::super::link::Link;
use super::super::waiting::{For, Waiting, is_role_too_new};
use super::of_arn;
use crate::account::existing;
use crate::{Account, Error as AccountError, Resource};
use jitr::scope::Arn;

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

/// The mappings of a function, and those of the queue with this ARN whatever version of the function they are for.
pub(crate) async fn find(
    account: &Account,
    function: &str,
    queue: &str,
) -> Result<Vec<EventSourceMappingConfiguration>, AccountError> {
    const CALL: &str = "lambda:ListEventSourceMappings";
    let list = || account.lambda().list_event_source_mappings();
    let of_function = |marker| list().function_name(function).set_marker(marker).send();
    let of_queue = |marker| list().event_source_arn(queue).set_marker(marker).send();
    let (of_function, of_queue) = tokio::join!(
        account.all(CALL, of_function, |page| page.event_source_mappings),
        account.all(CALL, of_queue, |page| page.event_source_mappings),
    );
    let mut found = existing(of_function)?.unwrap_or_default();
    let of_queue = existing(of_queue)?.unwrap_or_default();
    let is_new = |mapping: &EventSourceMappingConfiguration| {
        !found.iter().any(|known: &EventSourceMappingConfiguration| known.uuid() == mapping.uuid())
    };
    let others: Vec<_> = of_queue.into_iter().filter(is_new).collect();
    found.extend(others);
    Ok(found)
}

/// Whether a mapping takes messages now, or will in a moment.
pub(crate) fn is_enabled(mapping: &EventSourceMappingConfiguration) -> bool {
    !matches!(mapping.state(), Some("Disabled" | "Disabling" | "Deleting"))
}

/// The mapping of the queue with this ARN to the function with this ARN. A mapping that is there keeps its numbers. One that is
/// for another version of the function is moved: with two, both versions would take events.
pub(crate) fn decide(found: &[EventSourceMappingConfiguration], queue: &str, function: &str) -> Step {
    let of_queue = |mapping: &&EventSourceMappingConfiguration| {
        mapping.event_source_arn().and_then(of_arn) == of_arn(queue) && mapping.state() != Some("Deleting")
    };
    let is_for_it =
        |mapping: &EventSourceMappingConfiguration| mapping.function_arn().is_none_or(|arn| arn == function);
    let of_queue: Vec<_> = found.iter().filter(of_queue).collect();
    let Some(mapping) = of_queue.iter().find(|mapping| is_for_it(mapping)).or(of_queue.first()).copied()
    else {
        return Step::Create;
    };
    let mut changes = Vec::new();
    if !is_for_it(mapping) {
        let short = |arn: &str| Arn::parse(arn).map_or(arn, |arn| arn.resource).replace("function:", "");
        let now = short(mapping.function_arn().unwrap_or_default());
        changes.push(format!("invokes {now}, should invoke {}", short(function)));
    }
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
                let mut waiting = Waiting::start(For::Role);
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
                    .function_name(function)
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
    const FUNCTION: &str = "arn:aws:lambda:us-east-2:123456789012:function:JITR";

    #[test]
    fn a_mapping_of_the_queue_that_works_is_left_whatever_its_numbers() {
        let mapping = EventSourceMappingConfiguration::builder()
            .uuid("id")
            .event_source_arn(QUEUE)
            .batch_size(10)
            .function_response_types(FunctionResponseType::ReportBatchItemFailures);
        let of = |state: &str| [mapping.clone().state(state).build()];
        for state in ["Enabled", "Enabling", "Creating", "Updating"] {
            assert_eq!(decide(&of(state), QUEUE, FUNCTION), Step::Leave, "{state}");
        }
        assert_eq!(
            decide(&of("Disabled"), QUEUE, FUNCTION),
            Step::Change("id".into(), vec!["is off".into()])
        );
        assert_eq!(decide(&of("Deleting"), QUEUE, FUNCTION), Step::Create);
        assert_eq!(decide(&of("Enabled"), &format!("{QUEUE}-2"), FUNCTION), Step::Create);
        let moved = mapping.clone().function_arn(format!("{FUNCTION}:1")).state("Enabled").build();
        assert_eq!(
            decide(std::slice::from_ref(&moved), QUEUE, FUNCTION),
            Step::Change("id".into(), vec!["invokes JITR:1, should invoke JITR".into()])
        );
        let both = [moved, mapping.clone().function_arn(FUNCTION).state("Enabled").build()];
        assert_eq!(decide(&both, QUEUE, FUNCTION), Step::Leave);
        let whole = mapping.set_function_response_types(None).state("Enabled").build();
        assert!(matches!(decide(&[whole], QUEUE, FUNCTION), Step::Change(_, changes) if changes.len() == 1));
    }
}
