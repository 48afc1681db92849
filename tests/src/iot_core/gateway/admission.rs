//! Whether a client is let in: first the account decides about its certificate, then the policies.

use std::net::IpAddr;

use rmqtt_codec::types::QoS;
use rmqtt_codec::v5::{Connect, ConnectAckReason};
use sha2::{Digest, Sha256};

use super::access::{Access, Client, Operation, Principal};
use super::journal::{Event, Refusal};
use super::limits::{Limit, MAX_CLIENT_ID, MAX_PAYLOAD};
use super::presence::Presence;
use crate::iot_core::directory::{Peer, Verdict};
use crate::iot_core::topic;
use crate::journal::Caller;

/// What a client has shown before its CONNECT.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// A certificate (DER), and whether its TLS handshake named the server.
    Certificate { leaf: Vec<u8>, server_name: bool },
    /// A signature with keys of the account.
    Keys { access_key_id: String, caller: Caller },
}

/// A client that stays outside.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) event: Event,
    /// What a client of MQTT 5 is told. A certificate that is not ACTIVE is told nothing.
    pub(super) code: Option<ConnectAckReason>,
    /// The attempt, if it has a lifecycle event.
    pub(super) failed: Option<Presence>,
}

/// Asks the account, then the policies, which have to allow the last will as well.
pub(super) fn admit(
    access: &Access,
    connect: &Connect,
    identity: Identity,
    address: IpAddr,
    session: &str,
) -> Result<Client, Box<Refused>> {
    let client_id = connect.client_id.to_string();
    let principal = match identity {
        Identity::Keys { access_key_id, caller } => Principal::Keys { access_key_id, caller },
        Identity::Certificate { leaf, server_name } => {
            let silent = |event| Box::new(Refused { event, code: None, failed: None });
            match access.directory.connecting(&leaf, Peer { address, server_name }) {
                Verdict::Active { certificate_id } => Principal::Certificate(certificate_id),
                Verdict::Registered { certificate_id } => {
                    return Err(silent(Event::Registered { certificate_id, client_id }));
                }
                Verdict::Refused { reason } => {
                    let certificate_id = hex::encode(Sha256::digest(&leaf));
                    let refusal = Refusal::Certificate { reason };
                    return Err(silent(Event::Refused { certificate_id, client_id, refusal }));
                }
            }
        }
    };
    let client = Client { client_id, principal, source_ip: address };
    allowed(access, connect, &client).map_err(|refusal| {
        let attempt = || Presence {
            client_id: client.client_id.clone(),
            principal: client.principal.id().to_owned(),
            address,
            session: session.to_owned(),
            version: 0,
        };
        let (code, failed) = match &refusal {
            Refusal::Policy { .. } => (ConnectAckReason::NotAuthorized, Some(attempt())),
            Refusal::Unsupported { what: Limit::ClientId } => {
                (ConnectAckReason::ClientIdentifierNotValid, None)
            }
            Refusal::Unsupported { what: Limit::QualityOfService } => {
                (ConnectAckReason::QosNotSupported, None)
            }
            Refusal::Unsupported { what: Limit::Payload } => (ConnectAckReason::PacketTooLarge, None),
            Refusal::Unsupported { what: Limit::TopicName } => (ConnectAckReason::TopicNameInvalid, None),
            _ => (ConnectAckReason::UnspecifiedError, None),
        };
        let certificate_id = client.principal.id().to_owned();
        let event = Event::Refused { certificate_id, client_id: client.client_id.clone(), refusal };
        Box::new(Refused { event, code: Some(code), failed })
    })?;
    Ok(client)
}

fn allowed(access: &Access, connect: &Connect, client: &Client) -> Result<(), Refusal> {
    if !(1..=MAX_CLIENT_ID).contains(&client.client_id.len()) {
        return Err(Refusal::Unsupported { what: Limit::ClientId });
    }
    let will = connect.last_will.as_ref().map(|will| &*will.topic);
    access
        .check(client, Operation::Connect { persistent: connect.session_expiry_interval_secs > 0, will })?;
    match &connect.last_will {
        Some(will) => check_publish(access, client, &will.topic, &will.message, will.qos, will.retain),
        None => Ok(()),
    }
}

/// Whether a client may publish a message.
pub(super) fn check_publish(
    access: &Access,
    client: &Client,
    topic: &str,
    payload: &[u8],
    qos: QoS,
    retain: bool,
) -> Result<(), Refusal> {
    within_limits(topic, payload, qos).map_err(|what| Refusal::Unsupported { what })?;
    access.check(client, Operation::Publish(topic))?;
    if retain {
        access.check(client, Operation::RetainPublish(topic))?;
    }
    Ok(())
}

/// Whether a message is one that AWS IoT takes.
pub(super) fn within_limits(topic: &str, payload: &[u8], qos: QoS) -> Result<(), Limit> {
    match () {
        () if qos == QoS::ExactlyOnce => Err(Limit::QualityOfService),
        () if !topic::is_name(topic) => Err(Limit::TopicName),
        () if payload.len() > MAX_PAYLOAD => Err(Limit::Payload),
        () if topic::is_reserved(topic) => Err(Limit::ReservedTopic),
        () => Ok(()),
    }
}
