//! What AWS IoT limits or does not support in MQTT (AWS IoT Core developer guide, "MQTT"; "AWS IoT Core endpoints and quotas").

use std::time::Duration;

use rmqtt_codec::v5::DisconnectReasonCode;
use serde::{Serialize, Serializer};

/// The largest payload, in bytes.
pub(super) const MAX_PAYLOAD: usize = 128 * 1024;
pub(super) const MAX_CLIENT_ID: usize = 128;
pub(super) const MAX_FILTERS_A_PACKET: usize = 8;
pub(super) const MAX_SUBSCRIPTIONS: usize = 50;
/// The keep-alive interval, in seconds, of a client that asks for none or for a longer one, and the shortest that is held to.
pub(super) const MAX_KEEP_ALIVE: u16 = 1200;
pub(super) const MIN_KEEP_ALIVE: u16 = 30;
/// Topic aliases that a client may use, from 1.
pub(super) const TOPIC_ALIASES: u16 = 8;
/// Messages that may wait for their PUBACK, either way.
pub(super) const IN_FLIGHT: u16 = 100;
/// How long a session outlives its connection at the most, unless AWS raises the account's quota.
pub(super) const MAX_SESSION_EXPIRY: Duration = Duration::from_secs(3600);
/// How long a connection over WebSocket lasts at the most.
pub(super) const MAX_WEBSOCKET: Duration = Duration::from_secs(24 * 3600);
/// Messages that wait for the client of a session that has no connection; older ones are dropped.
pub(super) const MAX_WAITING: usize = 1024;

/// One of them, run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Only 0 and 1 exist.
    #[error("AWS IoT has no quality of service 2")]
    QualityOfService,
    /// Length or form of a topic name.
    #[error("a topic has 1 to 256 bytes, at most 7 slashes and no wildcards")]
    TopicName,
    /// Length or form of a topic filter.
    #[error(
        "a topic filter has 1 to 256 bytes, at most 7 slashes and whole levels of wildcards; a shared one begins with $share/GROUP/"
    )]
    TopicFilter,
    /// Size of a payload.
    #[error("a payload has at most 128 KiB")]
    Payload,
    /// A topic that AWS alone publishes to.
    #[error("topics that begin with $ are reserved; devices publish to $aws/things/… and $aws/rules/… alone")]
    ReservedTopic,
    /// Length of a client id.
    #[error("a client id has 1 to 128 bytes")]
    ClientId,
    /// Topic filters in one packet.
    #[error("a SUBSCRIBE has at most 8 topic filters")]
    FiltersAPacket,
    /// Subscriptions of one connection.
    #[error("a connection has at most 50 subscriptions")]
    Subscriptions,
    /// A property of MQTT 5.
    #[error("AWS IoT has no subscription identifiers")]
    SubscriptionIdentifier,
    /// An alias that is 0, larger than 8, or not set yet.
    #[error("a topic alias is 1 to 8, and comes with its topic the first time")]
    TopicAlias,
}

impl Limit {
    /// What MQTT 5 clients are told.
    pub(super) fn code(self) -> DisconnectReasonCode {
        use DisconnectReasonCode as Code;
        match self {
            Self::QualityOfService => Code::QosNotSupported,
            Self::TopicName => Code::TopicNameInvalid,
            Self::TopicFilter => Code::TopicFilterInvalid,
            Self::Payload => Code::PacketTooLarge,
            Self::ReservedTopic => Code::NotAuthorized,
            Self::ClientId => Code::UnspecifiedError,
            Self::FiltersAPacket | Self::Subscriptions => Code::QuotaExceeded,
            Self::SubscriptionIdentifier => Code::SubscriptionIdentifiersNotSupported,
            Self::TopicAlias => Code::TopicAliasInvalid,
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
