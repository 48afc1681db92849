//! Messages on their way from a publisher to the subscribers.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{LastWill, PublishProperties};
use tokio::time::Instant;
use tokio_util::bytes::Bytes;

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    /// To be kept for later subscribers; on its way to one: it was kept.
    pub(super) retain: bool,
    /// Of MQTT 5: what goes on to the subscribers as it came.
    pub(super) properties: PublishProperties,
    /// When it is of no use any more.
    pub(super) expires: Option<Instant>,
}

impl Message {
    /// One without properties, at quality of service 1.
    pub(super) fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: PublishProperties::default(),
            expires: None,
        }
    }

    /// What a client publishes, to the topic that its topic or its alias stands for.
    pub(super) fn published(publish: Publish, topic: String, now: Instant) -> Self {
        let Publish { payload, qos, retain, properties, .. } = publish;
        let mut message = Self { qos, retain, ..Self::new(topic, payload) };
        message.set_properties(properties.unwrap_or_default(), now);
        message
    }

    /// A last will that is published now.
    pub(super) fn will(will: LastWill, now: Instant) -> Self {
        let mut message =
            Self { qos: will.qos, retain: will.retain, ..Self::new(will.topic.to_string(), will.message) };
        let properties = PublishProperties {
            correlation_data: will.correlation_data,
            message_expiry_interval: will.message_expiry_interval,
            content_type: will.content_type,
            user_properties: will.user_properties,
            is_utf8_payload: will.is_utf8_payload.unwrap_or_default(),
            response_topic: will.response_topic,
            ..PublishProperties::default()
        };
        message.set_properties(properties, now);
        message
    }

    fn set_properties(&mut self, properties: PublishProperties, now: Instant) {
        let seconds =
            properties.message_expiry_interval.map(|seconds| Duration::from_secs(seconds.get().into()));
        self.expires = seconds.map(|interval| now + interval);
        self.properties = PublishProperties { topic_alias: None, subscription_ids: Vec::new(), ..properties };
    }

    /// The same for one subscriber.
    pub(super) fn copy(&self, subscribed: QoS, retain: bool) -> Self {
        Self { qos: self.qos.min(subscribed), retain, ..self.clone() }
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// The packet that brings it to a subscriber.
    pub(super) fn packet(&self, packet_id: Option<NonZeroU16>, now: Instant) -> Publish {
        let mut properties = self.properties.clone();
        let left = self.expires.map(|expires| expires.saturating_duration_since(now).as_secs());
        properties.message_expiry_interval =
            left.and_then(|seconds| NonZeroU32::new(u32::try_from(seconds).unwrap_or(u32::MAX).max(1)));
        Publish {
            dup: false,
            retain: self.retain,
            qos: self.qos,
            topic: self.topic.clone().into(),
            packet_id,
            payload: self.payload.clone(),
            properties: Some(properties),
        }
    }
}
