//! What the board does: it connects, exchanges messages, and tries what the policy denies.

use std::time::Duration;

use super::story::{Story, StoryError};
use super::timeline::shortened;
use crate::device::{Device, DeviceError};
use crate::iot_core::account::x509;
use crate::iot_core::gateway::{Ended, Event, Refusal};

/// How long the board goes on trying to connect.
const LET_IN_WITHIN: Duration = Duration::from_secs(20);

/// One attempt that must fail at CONNECT.
pub(super) async fn knock(story: &Story, index: usize, client_id: &str) -> Result<(), StoryError> {
    match Device::connect(&story.endpoint(index)?, &story.credentials(index)?, client_id).await {
        Err(DeviceError::Connection(_)) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(StoryError::Differs(format!("connected as {client_id}"))),
    }
}

pub(super) async fn is_turned_away(story: &mut Story, index: usize) -> Result<String, StoryError> {
    let thing_name = story.store(index)?.thing_name.clone();
    let certificate_id = x509::certificate_id(&story.store(index)?.certificates[0].content);
    knock(story, index, &thing_name).await?;
    let registered = |event| match event {
        Event::Registered { certificate_id, .. } => Some(certificate_id),
        _ => None,
    };
    let registered = story.gateway_event("registration", registered).await?;
    if registered != certificate_id {
        return Err(StoryError::Differs(format!("certificate {registered} registered")));
    }
    Ok(format!("disconnected; certificate {} is PENDING_ACTIVATION", shortened(&certificate_id)))
}

pub(super) async fn is_let_in(story: &mut Story, index: usize) -> Result<String, StoryError> {
    let thing_name = story.store(index)?.thing_name.clone();
    let (endpoint, credentials) = (story.endpoint(index)?, story.credentials(index)?);
    let (device, attempts) =
        Device::connect_until_let_in(&endpoint, &credentials, &thing_name, LET_IN_WITHIN).await?;
    story.boards[index].device = Some(device);
    let connected = |event| match event {
        Event::Connected { client_id, .. } => Some(client_id),
        _ => None,
    };
    let client_id = story.gateway_event("CONNACK at the gateway", connected).await?;
    let attempts = if attempts == 1 { "at once".to_owned() } else { format!("at attempt {attempts}") };
    Ok(format!("connected {attempts}, as {}", shortened(&client_id)))
}

pub(super) async fn publishes(story: &mut Story, index: usize) -> Result<String, StoryError> {
    let thing_name = story.store(index)?.thing_name.clone();
    let topic = format!("{thing_name}/sensors");
    let device = story.device(index)?;
    device.subscribe(&format!("{thing_name}/#")).await?;
    device.publish(&topic, br#"{"Light":412,"Temp":2315}"#).await?;
    let published = |event| match event {
        Event::Published { client_id: Some(client_id), topic, bytes } => Some((client_id, topic, bytes)),
        _ => None,
    };
    let (client_id, seen, bytes) = story.gateway_event("message at the gateway", published).await?;
    if (client_id.as_str(), seen.as_str()) != (thing_name.as_str(), topic.as_str()) {
        return Err(StoryError::Differs(format!("{client_id} published to {seen}")));
    }
    Ok(format!("{}/sensors, {bytes} bytes, accepted", shortened(&thing_name)))
}

pub(super) async fn gets_a_message(story: &mut Story, index: usize) -> Result<String, StoryError> {
    let thing_name = story.store(index)?.thing_name.clone();
    let topic = format!("{thing_name}/command");
    let payload = br#"{"led":"on"}"#;
    story.testbed.gateway().publisher().publish(&topic, payload);
    let device = story.device(index)?;
    // The board has subscribed to all of its topics, so what it published comes back first.
    let mut message = device.receive().await?;
    while message.topic != topic {
        message = device.receive().await?;
    }
    if message.payload != payload {
        return Err(StoryError::Differs(String::from_utf8_lossy(&message.payload).into_owned()));
    }
    Ok(format!("{}/command: {}", shortened(&thing_name), String::from_utf8_lossy(payload)))
}

pub(super) async fn claims_the_name_of(
    story: &mut Story,
    index: usize,
    other: usize,
) -> Result<String, StoryError> {
    let claimed = story.store(other)?.thing_name.clone();
    knock(story, index, &claimed).await?;
    let refused = |event| match event {
        Event::Refused { client_id, refusal, .. } if client_id == claimed => Some(refusal),
        _ => None,
    };
    policy_refusal(story.gateway_event("refusal", refused).await?, "iot:Connect")
}

pub(super) async fn publishes_to_the_topic_of(
    story: &mut Story,
    index: usize,
    other: usize,
) -> Result<String, StoryError> {
    let thing_name = story.store(index)?.thing_name.clone();
    let foreign = format!("{}/sensors", story.store(other)?.thing_name);
    match story.device(index)?.publish(&foreign, b"{}").await {
        Err(DeviceError::Connection(_)) => {}
        Err(error) => return Err(error.into()),
        Ok(()) => return Err(StoryError::Differs(format!("accepted on {foreign}"))),
    }
    story.boards[index].device = None;
    let closed = |event| match event {
        Event::Closed { client_id, ended: Ended::Violation(refusal) } if client_id == thing_name => {
            Some(refusal)
        }
        _ => None,
    };
    policy_refusal(story.gateway_event("violation", closed).await?, "iot:Publish")
}

fn policy_refusal(refusal: Refusal, expected: &str) -> Result<String, StoryError> {
    match refusal {
        Refusal::Policy { action, .. } if action == expected => {
            Ok(format!("refused: no policy allows {action} there"))
        }
        other => Err(StoryError::Differs(other.to_string())),
    }
}
