//! MQTT 3.1.1 and MQTT 5 on a stream of bytes. Packets have the form of MQTT 5 on this side of it, whichever the client speaks.

use std::num::NonZeroU32;

use futures::{SinkExt, StreamExt};
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::{MQTT_LEVEL_31, QoS};
use rmqtt_codec::v5::{
    self, Connect, ConnectAckReason, Disconnect, DisconnectReasonCode, LastWill, Packet, PublishAck,
    Subscribe, SubscribeAckReason, SubscriptionOptions, Unsubscribe,
};
use rmqtt_codec::version::{ProtocolVersion, VersionCodec};
use rmqtt_codec::{MqttCodec, MqttPacket, v3};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::Framed;

/// The largest packet that AWS IoT takes, in bytes; MQTT 5 clients are told (AWS IoT Core endpoints and quotas).
pub(super) const MAX_PACKET: u32 = 149_504;

/// Bytes to and from a client, whatever carries them.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
pub(super) type Transport = Box<dyn Duplex>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V311,
    V5,
}

/// Why no packet came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The other end has closed the connection.
    Closed,
    /// Something else than MQTT, or out of order.
    Malformed { reason: String },
}

impl From<DecodeError> for Silence {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Io(_) => Self::Closed,
            error => Self::Malformed { reason: error.to_string() },
        }
    }
}

/// Why a packet was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    Closed,
    /// It is larger than the client takes.
    TooLarge,
}

/// A connection with its CONNECT read.
pub(super) struct Wire {
    framed: Framed<Transport, MqttCodec>,
    version: Version,
}

impl Wire {
    /// Reads the CONNECT. The version that it names is the one of everything that follows.
    ///
    /// # Errors
    /// In words, why there is none.
    pub(super) async fn accept(transport: Transport) -> Result<(Self, Connect), String> {
        let mut framed = Framed::new(transport, MqttCodec::Version(VersionCodec));
        let first = framed.next().await.ok_or("closed before CONNECT")?;
        let (codec, version) = match first {
            // The codec has looked at the packet, and left it there.
            Ok((MqttPacket::Version(ProtocolVersion::MQTT3), _)) => {
                (MqttCodec::V3(v3::Codec::new(MAX_PACKET)), Version::V311)
            }
            Ok((MqttPacket::Version(ProtocolVersion::MQTT5), _)) => {
                (MqttCodec::V5(v5::Codec::new(MAX_PACKET, 0)), Version::V5)
            }
            Ok(_) | Err(DecodeError::UnsupportedPacketType) => {
                return Err("the first packet is not CONNECT".to_owned());
            }
            Err(error) => return Err(error.to_string()),
        };
        *framed.codec_mut() = codec;
        let mut wire = Self { framed, version };
        let packet =
            wire.framed.next().await.ok_or("closed before CONNECT")?.map_err(|error| error.to_string())?;
        let connect = match packet.0 {
            MqttPacket::V3(v3::Packet::Connect(connect)) if connect.protocol.level() == MQTT_LEVEL_31 => {
                // MQTT 3.1.1, section 3.1.2.2.
                let refused = v3::ConnectAck {
                    return_code: v3::ConnectAckReason::UnacceptableProtocolVersion,
                    session_present: false,
                };
                let _ = wire.framed.send(MqttPacket::V3(v3::Packet::ConnectAck(refused))).await;
                return Err("the client speaks MQTT 3.1; AWS IoT takes 3.1.1 and 5".to_owned());
            }
            MqttPacket::V3(v3::Packet::Connect(connect)) => connect_of(*connect),
            MqttPacket::V5(Packet::Connect(connect)) => *connect,
            _ => return Err("the first packet is not CONNECT".to_owned()),
        };
        if let (MqttCodec::V5(codec), Some(largest)) = (wire.framed.codec_mut(), connect.max_packet_size) {
            codec.set_max_outbound_size(largest.get());
        }
        Ok((wire, connect))
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// The next packet.
    pub(super) async fn read(&mut self) -> Result<Packet, Silence> {
        match self.framed.next().await.ok_or(Silence::Closed)?? {
            (MqttPacket::V5(packet), _) => Ok(packet),
            (MqttPacket::V3(packet), _) => packet_of(packet),
            (MqttPacket::Version(_), _) => Err(Silence::Closed),
        }
    }

    /// Sends a packet, unless the client's version has none of the kind.
    pub(super) async fn send(&mut self, packet: Packet) -> Result<(), Unsent> {
        let packet = match self.version {
            Version::V5 => Some(MqttPacket::V5(packet)),
            Version::V311 => older(packet).map(MqttPacket::V3),
        };
        let Some(packet) = packet else { return Ok(()) };
        self.framed.send(packet).await.map_err(|error| match error {
            rmqtt_codec::error::EncodeError::OverMaxPacketSize { .. } => Unsent::TooLarge,
            _ => Unsent::Closed,
        })
    }

    pub(super) async fn close(&mut self) {
        // Whatever comes of it, the connection is over.
        let _ = self.framed.close().await;
    }
}

fn connect_of(connect: v3::Connect) -> Connect {
    let will = |will: v3::LastWill| LastWill {
        qos: will.qos,
        retain: will.retain,
        topic: will.topic,
        message: will.message,
        will_delay_interval_sec: None,
        correlation_data: None,
        message_expiry_interval: None,
        content_type: None,
        user_properties: Vec::new(),
        is_utf8_payload: None,
        response_topic: None,
    };
    Connect {
        clean_start: connect.clean_session,
        keep_alive: connect.keep_alive,
        // A session that is not clean lives for as long as the account says.
        session_expiry_interval_secs: if connect.clean_session { 0 } else { u32::MAX },
        last_will: connect.last_will.map(will),
        client_id: connect.client_id,
        username: connect.username,
        password: connect.password,
        ..Connect::default()
    }
}

fn packet_of(packet: v3::Packet) -> Result<Packet, Silence> {
    Ok(match packet {
        v3::Packet::Publish(publish) => Packet::Publish(publish),
        v3::Packet::PublishAck { packet_id } => {
            Packet::PublishAck(PublishAck { packet_id, ..PublishAck::default() })
        }
        v3::Packet::Subscribe { packet_id, topic_filters } => {
            let with_options =
                |(filter, qos)| (filter, SubscriptionOptions { qos, ..SubscriptionOptions::default() });
            Packet::Subscribe(Subscribe {
                packet_id,
                id: None::<NonZeroU32>,
                user_properties: Vec::new(),
                topic_filters: topic_filters.into_iter().map(with_options).collect(),
            })
        }
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            Packet::Unsubscribe(Unsubscribe { packet_id, user_properties: Vec::new(), topic_filters })
        }
        v3::Packet::PingRequest => Packet::PingRequest,
        v3::Packet::Disconnect => {
            Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))
        }
        other => {
            return Err(Silence::Malformed {
                reason: format!("unexpected packet of type {:#04x}", other.packet_type()),
            });
        }
    })
}

/// The packet as MQTT 3.1.1 has it. Its server says nothing to a client that it refuses (AWS IoT sends no CONNACK then), nor why it
/// ends a connection.
fn older(packet: Packet) -> Option<v3::Packet> {
    Some(match packet {
        Packet::ConnectAck(ack) if ack.reason_code == ConnectAckReason::Success => {
            v3::Packet::ConnectAck(v3::ConnectAck {
                return_code: v3::ConnectAckReason::ConnectionAccepted,
                session_present: ack.session_present,
            })
        }
        Packet::Publish(mut publish) => {
            publish.properties = None;
            v3::Packet::Publish(publish)
        }
        Packet::PublishAck(ack) => v3::Packet::PublishAck { packet_id: ack.packet_id },
        Packet::SubscribeAck(ack) => {
            let code = |reason: &SubscribeAckReason| match reason {
                SubscribeAckReason::GrantedQos0 => v3::SubscribeReturnCode::Success(QoS::AtMostOnce),
                SubscribeAckReason::GrantedQos1 => v3::SubscribeReturnCode::Success(QoS::AtLeastOnce),
                _ => v3::SubscribeReturnCode::Failure,
            };
            v3::Packet::SubscribeAck {
                packet_id: ack.packet_id,
                status: ack.status.iter().map(code).collect(),
            }
        }
        Packet::UnsubscribeAck(ack) => v3::Packet::UnsubscribeAck { packet_id: ack.packet_id },
        Packet::PingResponse => v3::Packet::PingResponse,
        _ => return None,
    })
}
