//! The queue (Amazon SQS) that an event goes to when the function has failed for good.

use aws_sdk_lambda::types::{DestinationConfig, OnFailure, OnSuccess};
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use jitr::scope::Arn;

use super::setup::deploy;
use super::{Account, Error as AccountError};

/// Most messages that one call brings (Amazon SQS API reference, `ReceiveMessage`).
pub(super) const BATCH: i32 = 10;
/// With a wait every server of the queue is asked, not only some: an empty answer is then an empty queue.
const WAIT_SECONDS: i32 = 1;

/// A queue.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name.
    pub name: String,
    url: String,
}

/// Whether the call failed because there is no such queue: the code of the JSON protocol, and that of the query protocol
/// (Amazon SQS API reference, "GetQueueUrl").
pub(super) fn is_missing(error: &AccountError) -> bool {
    error.has_code("QueueDoesNotExist") || error.has_code("AWS.SimpleQueueService.NonExistentQueue")
}

/// Where AWS Lambda sends what became of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Destinations {
    /// ARN of the place of events that failed for good: the function's on-failure destination, or else its dead-letter
    /// target.
    pub(super) failed: Option<String>,
    /// ARN of the function's on-success destination.
    pub(super) succeeded: Option<String>,
    /// Whether anything is set for asynchronous invocations: destinations, repetitions, age.
    pub(super) is_configured: bool,
}

/// Looks at the destinations of a function.
///
/// # Errors
/// Errors of the calls.
pub(super) async fn destinations(account: &Account, function: &str) -> Result<Destinations, AccountError> {
    let answer = account.lambda().get_function_event_invoke_config().function_name(function).send().await;
    let config = account.found("lambda:GetFunctionEventInvokeConfig", answer)?;
    let is_configured = config.is_some();
    let config = config.and_then(|config| config.destination_config);
    let (on_failure, on_success) =
        config.map_or((None, None), |config| (config.on_failure, config.on_success));
    let named = |arn: &String| !arn.is_empty();
    let succeeded = on_success.and_then(|on_success| on_success.destination).filter(named);
    let failed = match on_failure.and_then(|on_failure| on_failure.destination).filter(named) {
        Some(arn) => Some(arn),
        None => deploy::find(account, function).await?.and_then(|deployed| deployed.dead_letter),
    };
    Ok(Destinations { failed, succeeded, is_configured })
}

/// Sends the events of a function that fail for good to the queue with this ARN. What else is set stays: AWS Lambda replaces
/// both destinations together, so `succeeded` is that of events that succeeded.
///
/// # Errors
/// Errors of the calls.
pub(super) async fn set_destination(
    account: &Account,
    function: &str,
    queue: &str,
    succeeded: Option<&str>,
) -> Result<(), AccountError> {
    let lambda = account.lambda();
    let on_failure = OnFailure::builder().destination(queue).build();
    let on_success = succeeded.map(|arn| OnSuccess::builder().destination(arn).build());
    let destination = DestinationConfig::builder().on_failure(on_failure).set_on_success(on_success).build();
    let request = lambda.update_function_event_invoke_config().function_name(function);
    let answer = request.destination_config(destination.clone()).send().await;
    if account.found("lambda:UpdateFunctionEventInvokeConfig", answer)?.is_some() {
        return Ok(());
    }
    let request = lambda.put_function_event_invoke_config().function_name(function);
    let answer = request.destination_config(destination).send().await;
    answer.map(drop).map_err(account.failed("lambda:PutFunctionEventInvokeConfig"))
}

impl Queue {
    /// The queue that an ARN, a URL or a name means; `None` for the ARN of something else.
    ///
    /// # Errors
    /// Errors of `sqs:GetQueueUrl`.
    pub(super) async fn find(account: &Account, wanted: &str) -> Result<Option<Self>, AccountError> {
        let (name, owner) = match Arn::parse(wanted) {
            Some(Arn { service: "sqs", account, resource, .. }) => {
                (resource.to_owned(), Some(account.to_owned()))
            }
            Some(_) => return Ok(None),
            _ if wanted.contains("://") => {
                let name = wanted.rsplit('/').next().unwrap_or_default().to_owned();
                return Ok(Some(Self { name, url: wanted.to_owned() }));
            }
            _ => (wanted.to_owned(), None),
        };
        const ACTION: &str = "sqs:GetQueueUrl";
        let request = account.sqs().get_queue_url().queue_name(&name).set_queue_owner_aws_account_id(owner);
        let answer = request.send().await.map_err(account.failed(ACTION))?;
        let url = answer.queue_url.ok_or(AccountError::Incomplete { action: ACTION, what: "the URL" })?;
        Ok(Some(Self { name, url }))
    }

    /// How many messages are in it, including those in flight. AWS's number is approximate.
    ///
    /// # Errors
    /// Errors of `sqs:GetQueueAttributes`.
    pub async fn depth(&self, account: &Account) -> Result<u64, AccountError> {
        const ACTION: &str = "sqs:GetQueueAttributes";
        let counted = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = account.sqs().get_queue_attributes().queue_url(&self.url);
        let request = request.set_attribute_names(Some(counted.to_vec()));
        let answer = request.send().await.map_err(account.failed(ACTION))?;
        let attributes = answer.attributes.unwrap_or_default();
        let counts = counted.iter().filter_map(|name| attributes.get(name)?.parse::<u64>().ok());
        Ok(counts.sum())
    }

    /// Takes some messages; they are invisible to others for `seconds`.
    pub(super) async fn receive(
        &self,
        account: &Account,
        seconds: i32,
    ) -> Result<Vec<Message>, AccountError> {
        let request = account.sqs().receive_message().queue_url(&self.url).max_number_of_messages(BATCH);
        let request = request.visibility_timeout(seconds).wait_time_seconds(WAIT_SECONDS);
        let answer = request.send().await.map_err(account.failed("sqs:ReceiveMessage"))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Deletes a message that was taken.
    pub(super) async fn delete(&self, account: &Account, receipt: &str) -> Result<(), AccountError> {
        let request = account.sqs().delete_message().queue_url(&self.url).receipt_handle(receipt);
        request.send().await.map(drop).map_err(account.failed("sqs:DeleteMessage"))
    }

    /// Gives a message back that was taken.
    pub(super) async fn give_back(&self, account: &Account, receipt: &str) -> Result<(), AccountError> {
        let request = account.sqs().change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
        let request = request.visibility_timeout(0);
        request.send().await.map(drop).map_err(account.failed("sqs:ChangeMessageVisibility"))
    }
}
