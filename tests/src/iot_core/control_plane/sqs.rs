//! Amazon SQS (JSON 1.0), standard queues. Digests of bodies are not computed; clients take them as optional.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Named;
use super::reply::{Reply, ServiceError};
use super::request::Call;
use crate::iot_core::account::{Account, Message};

/// Every operation the testbed knows.
pub(super) const OPERATIONS: &[Named] = &[
    ("CreateQueue", create),
    ("DeleteQueue", delete),
    ("GetQueueUrl", url),
    ("ListQueues", list),
    ("GetQueueAttributes", attributes),
    ("SetQueueAttributes", set_attributes),
    ("TagQueue", tag),
    ("ListQueueTags", list_tags),
    ("SendMessage", send),
    ("ReceiveMessage", receive),
    ("DeleteMessage", delete_message),
    ("ChangeMessageVisibility", change_visibility),
];

/// The fields of all requests.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Body {
    queue_name: String,
    queue_name_prefix: String,
    queue_url: String,
    attributes: BTreeMap<String, String>,
    /// `CreateQueue` has it in lower case.
    #[serde(alias = "tags")]
    tags: BTreeMap<String, String>,
    message_body: String,
    receipt_handle: String,
    max_number_of_messages: Option<usize>,
    visibility_timeout: Option<u64>,
}

impl Body {
    /// The queue's name is the last part of its URL.
    fn queue(&self) -> &str {
        self.queue_url.rsplit('/').next().unwrap_or_default()
    }
}

/// A queue's URL, on the host that the caller used.
fn url_of(account: &Account, call: &Call, name: &str) -> String {
    let host = call.header("host").unwrap_or("localhost");
    format!("http://{host}/{}/{name}", account.identity().account_id)
}

fn queue_url(account: &Account, call: &Call, name: &str) -> Value {
    json!({ "QueueUrl": url_of(account, call, name) })
}

fn create(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    account.create_queue(&body.queue_name, body.attributes)?;
    account.tag_queue(&body.queue_name, body.tags)?;
    Ok(Reply::json(queue_url(account, call, &body.queue_name)))
}

fn list(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let prefix = call.json::<Body>()?.queue_name_prefix;
    let names = account.queues().map(|(name, _)| name).filter(|name| name.starts_with(&prefix));
    let urls: Vec<_> = names.map(|name| url_of(account, call, name)).collect();
    Ok(Reply::json(json!({ "QueueUrls": urls })))
}

fn set_attributes(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    account.set_queue_attributes(body.queue(), body.attributes.clone())?;
    Ok(Reply::json(json!({})))
}

fn tag(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    account.tag_queue(body.queue(), body.tags.clone())?;
    Ok(Reply::json(json!({})))
}

fn list_tags(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    Ok(Reply::json(json!({ "Tags": account.queue(body.queue())?.tags })))
}

fn delete(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.delete_queue(call.json::<Body>()?.queue())?;
    Ok(Reply::json(json!({})))
}

fn url(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let name = call.json::<Body>()?.queue_name;
    account.queue(&name)?;
    Ok(Reply::json(queue_url(account, call, &name)))
}

fn attributes(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    let queue = account.queue(body.queue())?;
    let (visible, in_flight) = queue.depth();
    let mut attributes = queue.attributes.clone();
    attributes.extend([
        ("QueueArn".into(), account.queue_arn(body.queue())),
        ("ApproximateNumberOfMessages".into(), visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible".into(), in_flight.to_string()),
    ]);
    Ok(Reply::json(json!({ "Attributes": attributes })))
}

fn send(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    let id = account.send_message(body.queue(), &body.message_body)?;
    Ok(Reply::json(json!({ "MessageId": id })))
}

fn receive(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    let most = body.max_number_of_messages.unwrap_or(1).clamp(1, 10);
    let hidden = body.visibility_timeout.map(Duration::from_secs);
    let messages = account.receive_messages(body.queue(), most, hidden)?;
    let described = |message: Message| {
        json!({
            "MessageId": message.id,
            "ReceiptHandle": message.receipt(),
            "Body": message.body,
            "Attributes": { "ApproximateReceiveCount": message.received.to_string() },
        })
    };
    Ok(Reply::json(json!({ "Messages": messages.into_iter().map(described).collect::<Vec<_>>() })))
}

fn delete_message(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    account.delete_message(body.queue(), &body.receipt_handle)?;
    Ok(Reply::json(json!({})))
}

fn change_visibility(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    let hidden = Duration::from_secs(body.visibility_timeout.unwrap_or_default());
    account.change_message_visibility(body.queue(), &body.receipt_handle, hidden)?;
    Ok(Reply::json(json!({})))
}
