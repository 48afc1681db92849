//! A client that sends and receives single packets, of either version, over TLS or WebSocket.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt, future};
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{
    Connect, ConnectAck, Packet, PublishAck, PublishProperties, Subscribe, SubscribeAckReason,
    SubscriptionOptions,
};
use rmqtt_codec::{MqttCodec, MqttPacket, v3, v5};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use testbed::iot_core::gateway::Gateway;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite;
use tokio_util::bytes::Bytes;
use tokio_util::codec::Framed;
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

use super::Bench;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A key with a certificate, and the certificate's id.
pub(crate) struct Certified {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivatePkcs8KeyDer<'static>,
    pub(crate) id: String,
}

impl Certified {
    pub(crate) fn new() -> Self {
        use sha2::Digest;
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap().der().clone();
        let id = hex::encode(sha2::Sha256::digest(&certificate));
        Self { certificate, key: PrivatePkcs8KeyDer::from(key.serialize_der()), id }
    }
}

/// The server's answer to a WebSocket request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) u16);

pub(crate) async fn tls(
    bench: &Bench,
    certified: Option<&Certified>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    tls_to(&bench.gateway, certified, protocols).await
}

pub(crate) async fn tls_to(
    gateway: &Gateway,
    certified: Option<&Certified>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    tls_with(gateway, certified, protocols, aws_lc_rs::default_provider()).await
}

pub(crate) async fn tls_with(
    gateway: &Gateway,
    certified: Option<&Certified>,
    protocols: &[&[u8]],
    provider: CryptoProvider,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(gateway.server_ca_pem().as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certified {
        None => builder.with_no_client_auth(),
        Some(certified) => builder
            .with_client_auth_cert(vec![certified.certificate.clone()], certified.key.clone_key().into())
            .unwrap(),
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let tcp = TcpStream::connect(("127.0.0.1", gateway.port())).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), tcp).await
}

pub(crate) struct Client {
    framed: Framed<Box<dyn Duplex>, MqttCodec>,
    next: u16,
}

impl Client {
    pub(crate) fn over(stream: impl Duplex + 'static, version: u8) -> Self {
        let codec = match version {
            5 => MqttCodec::V5(v5::Codec::new(0, 0)),
            _ => MqttCodec::V3(v3::Codec::new(0)),
        };
        Self { framed: Framed::new(Box::new(stream), codec), next: 1 }
    }

    /// Over WebSocket, to `query` behind `/mqtt?`.
    pub(crate) async fn websocket(
        bench: &Bench,
        query: &str,
        subprotocol: Option<&str>,
        version: u8,
    ) -> Result<Self, Refused> {
        let stream = tls(bench, None, &[]).await.unwrap();
        let request = tungstenite::ClientRequestBuilder::new(
            format!("wss://localhost:{}/mqtt?{query}", bench.gateway.port()).parse().unwrap(),
        );
        let request = match subprotocol {
            Some(subprotocol) => request.with_sub_protocol(subprotocol),
            None => request,
        };
        match tokio_tungstenite::client_async(request, stream).await {
            Err(tungstenite::Error::Http(response)) => Err(Refused(response.status().as_u16())),
            Err(error) => panic!("{error}"),
            Ok((socket, response)) => {
                assert_eq!(response.headers()["sec-websocket-protocol"], subprotocol.unwrap());
                let (sink, stream) = socket.split();
                let received = stream.filter_map(|message| {
                    future::ready(match message {
                        Ok(tungstenite::Message::Binary(bytes)) => Some(Ok(bytes)),
                        Ok(_) => None,
                        Err(error) => Some(Err(std::io::Error::other(error))),
                    })
                });
                let sent = sink.sink_map_err(std::io::Error::other).with(|bytes: Bytes| {
                    future::ok::<_, std::io::Error>(tungstenite::Message::Binary(bytes))
                });
                let writer = SinkWriter::new(CopyToBytes::new(Box::pin(sent)));
                Ok(Self::over(tokio::io::join(StreamReader::new(Box::pin(received)), writer), version))
            }
        }
    }

    /// MQTT 5 with a certificate, which the account has as ACTIVE with a policy.
    pub(crate) async fn v5(
        bench: &Bench,
        client_id: &str,
        policy: &str,
        adjust: impl FnOnce(&mut Connect),
    ) -> (Self, ConnectAck) {
        let certified = Certified::new();
        bench.account.activate(&certified.id, policy, &[client_id]);
        let mut client = Self::over(tls(bench, Some(&certified), &[]).await.unwrap(), 5);
        let mut connect = Connect { clean_start: true, ..Connect::default() }.client_id(client_id.to_owned());
        adjust(&mut connect);
        client.send(connect.into()).await;
        let Some(Packet::ConnectAck(ack)) = client.receive().await else { panic!("no CONNACK") };
        (client, *ack)
    }

    /// MQTT 3.1.1 with a certificate, which the account has as ACTIVE with a policy; `None` without CONNACK, else whether a session
    /// was there.
    pub(crate) async fn v3(
        bench: &Bench,
        client_id: &str,
        policy: &str,
        adjust: impl FnOnce(&mut v3::Connect),
    ) -> Option<(Self, bool)> {
        let certified = Certified::new();
        bench.account.activate(&certified.id, policy, &[client_id]);
        let mut client = Self::over(tls(bench, Some(&certified), &[]).await.unwrap(), 3);
        let mut connect =
            v3::Connect { clean_session: true, ..v3::Connect::default() }.client_id(client_id.to_owned());
        adjust(&mut connect);
        client.send_v3(connect.into()).await;
        match client.receive_v3().await? {
            v3::Packet::ConnectAck(ack) if ack.return_code == v3::ConnectAckReason::ConnectionAccepted => {
                Some((client, ack.session_present))
            }
            _ => None,
        }
    }

    pub(crate) async fn send(&mut self, packet: Packet) {
        self.framed.send(MqttPacket::V5(packet)).await.unwrap();
    }

    pub(crate) async fn send_v3(&mut self, packet: v3::Packet) {
        self.framed.send(MqttPacket::V3(packet)).await.unwrap();
    }

    /// The next packet, or none at the end of the connection.
    pub(crate) async fn receive(&mut self) -> Option<Packet> {
        match timeout(PATIENCE, self.framed.next()).await.expect("a packet, or an end") {
            Some(Ok((MqttPacket::V5(packet), _))) => Some(packet),
            None | Some(Err(_)) => None,
            Some(Ok(other)) => panic!("{other:?}"),
        }
    }

    pub(crate) async fn receive_v3(&mut self) -> Option<v3::Packet> {
        match timeout(PATIENCE, self.framed.next()).await.expect("a packet, or an end") {
            Some(Ok((MqttPacket::V3(packet), _))) => Some(packet),
            None | Some(Err(_)) => None,
            Some(Ok(other)) => panic!("{other:?}"),
        }
    }

    /// The next message of MQTT 5; it is acknowledged.
    pub(crate) async fn message(&mut self) -> Publish {
        match self.receive().await {
            Some(Packet::Publish(publish)) => {
                if let Some(packet_id) = publish.packet_id {
                    self.send(Packet::PublishAck(PublishAck { packet_id, ..PublishAck::default() })).await;
                }
                *publish
            }
            other => panic!("no message: {other:?}"),
        }
    }

    fn packet_id(&mut self) -> std::num::NonZeroU16 {
        self.next += 1;
        self.next.try_into().unwrap()
    }

    pub(crate) async fn subscribe(&mut self, filter: &str) -> SubscribeAckReason {
        let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
        self.subscribe_with(filter, options).await
    }

    pub(crate) async fn subscribe_with(
        &mut self,
        filter: &str,
        options: SubscriptionOptions,
    ) -> SubscribeAckReason {
        let packet_id = self.packet_id();
        let topic_filters = vec![(filter.to_owned().into(), options)];
        self.send(Subscribe { packet_id, id: None, user_properties: Vec::new(), topic_filters }.into()).await;
        match self.receive().await {
            Some(Packet::SubscribeAck(ack)) => {
                assert_eq!(ack.packet_id, packet_id);
                ack.status[0]
            }
            other => panic!("no SUBACK: {other:?}"),
        }
    }

    /// Publishes at quality of service 1; returns the next packet, which is the PUBACK unless something goes wrong.
    pub(crate) async fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        adjust: impl FnOnce(&mut Publish, &mut PublishProperties),
    ) -> Option<Packet> {
        let mut publish = Publish {
            dup: false,
            retain: false,
            qos: QoS::AtLeastOnce,
            topic: topic.to_owned().into(),
            packet_id: Some(self.packet_id()),
            payload: payload.to_vec().into(),
            properties: None,
        };
        let mut properties = PublishProperties::default();
        adjust(&mut publish, &mut properties);
        publish.properties = Some(properties);
        self.send(publish.into()).await;
        self.receive().await
    }
}
