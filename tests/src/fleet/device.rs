//! The devices: switched on, disconnected, and connecting again until they are registered. And the topic of their events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use super::Options;
use super::clock::Clock;
use super::registry::{ACCOUNT, CA_ID, Connect, Registry};
use crate::iot_core::account::x509;

/// The bound of the first pause between two attempts to connect; it doubles up to the longest. The pause is random in
/// its upper half (AWS IoT Device SDKs: 1 s to 128 s).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(128);
/// What an event usually needs to get from the gateway to the rule's action.
const USUAL_DELAY: Duration = Duration::from_millis(250);
/// What a late one needs at the most.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// A certificate that all the devices' certificates are made from: only the key differs. Nobody verifies signatures in
/// the simulation, and ten thousand of them would take longer than everything else.
pub(super) struct Pattern {
    der: Vec<u8>,
    key_at: usize,
    key_size: usize,
}

impl Pattern {
    pub(super) fn new() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "board");
        let der = params.self_signed(&key)?.der().to_vec();
        let point = key.der_bytes();
        let key_at = der.windows(point.len()).position(|window| window == point).unwrap_or_default();
        Ok(Self { der, key_at, key_size: point.len() })
    }

    /// The certificate, DER, of a made-up key.
    pub(super) fn certificate(&self, chance: &mut fastrand::Rng) -> Vec<u8> {
        let mut der = self.der.clone();
        // The first byte says that the point is not compressed.
        chance.fill(&mut der[self.key_at + 1..self.key_at + self.key_size]);
        der
    }
}

/// What the topic counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts to connect.
    pub connects: u64,
    /// Attempts that the gateway throttled.
    pub connects_throttled: u64,
    /// Events published, duplicates not counted.
    pub published: u64,
    /// Events published twice.
    pub duplicated: u64,
}

/// The topic of the registration events, with what can happen to an event on its way.
#[derive(Clone)]
pub(super) struct Topic {
    clock: Clock,
    publish: UnboundedSender<String>,
    chance: Arc<Mutex<fastrand::Rng>>,
    counts: Arc<Mutex<Counts>>,
    duplicated: f64,
    delayed: f64,
}

impl Topic {
    pub(super) fn new(
        clock: Clock,
        publish: UnboundedSender<String>,
        chance: fastrand::Rng,
        options: &Options,
    ) -> Self {
        let (duplicated, delayed) = (options.duplicated, options.delayed);
        let chance = Arc::new(Mutex::new(chance));
        Self { clock, publish, chance, counts: Arc::default(), duplicated, delayed }
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Publishes the event of a device that waits.
    fn publish(&self, certificate_id: &str) {
        let event = format!(
            r#"{{"certificateId":"{certificate_id}","caCertificateId":"{CA_ID}","timestamp":{},"certificateStatus":"PENDING_ACTIVATION","awsAccountId":"{ACCOUNT}","certificateRegistrationTimestamp":null}}"#,
            self.clock.timestamp()
        );
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        let twice = chance.f64() < self.duplicated;
        self.count(|counts| {
            counts.published += 1;
            counts.duplicated += u64::from(twice);
        });
        for _ in 0..=u8::from(twice) {
            let longest = if chance.f64() < self.delayed { LONGEST_DELAY } else { USUAL_DELAY };
            let delay = longest.mul_f64(chance.f64());
            let (publish, event) = (self.publish.clone(), event.clone());
            tokio::spawn(async move {
                sleep(delay).await;
                // The receiver is gone when the simulation is over.
                let _ = publish.send(event);
            });
        }
    }
}

pub(super) struct Device {
    certificate_id: String,
    pem: String,
    chance: fastrand::Rng,
}

impl Device {
    pub(super) fn new(certificate: &[u8], chance: fastrand::Rng) -> Self {
        let certificate_id = hex::encode(Sha256::digest(certificate));
        Self { certificate_id, pem: x509::to_pem(certificate), chance }
    }

    /// Connects until it is let in.
    pub(super) async fn live(mut self, switched_on: Duration, registry: Registry, topic: Topic) {
        sleep(switched_on).await;
        let mut bound = FIRST_PAUSE;
        loop {
            let connect = registry.connect(&self.certificate_id, &self.pem);
            topic.count(|counts| {
                counts.connects += 1;
                counts.connects_throttled += u64::from(connect == Connect::Throttled);
            });
            match connect {
                Connect::Accepted => return,
                Connect::Pending => topic.publish(&self.certificate_id),
                Connect::Throttled => {}
            }
            sleep(bound.mul_f64(0.5 + self.chance.f64() / 2.0)).await;
            bound = (bound * 2).min(LONGEST_PAUSE);
        }
    }
}
