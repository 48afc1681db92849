//! The devices: switched on, disconnected, and connecting again until they are registered. And the topic of their events.

use std::time::Duration;

use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::UnboundedSender;

use super::Options;
use super::calendar::Calendar;
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

/// The devices' certificates. All are made from one: only the key differs. Nobody verifies signatures in the simulation, and
/// a million of them would take longer than everything else.
#[derive(Debug)]
pub(super) struct Certificates {
    der: Vec<u8>,
    key_at: usize,
    key_size: usize,
    seed: u64,
    ids: Vec<[u8; 32]>,
}

impl Certificates {
    pub(super) fn new(devices: usize, chance: &mut fastrand::Rng) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "board");
        let der = params.self_signed(&key)?.der().to_vec();
        let point = key.der_bytes();
        let key_at = der.windows(point.len()).position(|window| window == point).unwrap_or_default();
        let (seed, key_size, ids) = (chance.u64(..), point.len(), Vec::new());
        let mut certificates = Self { der, key_at, key_size, seed, ids };
        certificates.ids = (0..devices as u64)
            .map(|device| Sha256::digest((u128::from(seed) << 64 | u128::from(device)).to_le_bytes()).into())
            .collect();
        Ok(certificates)
    }

    /// The certificate of a device, with a made-up key.
    fn der(&self, device: usize) -> Vec<u8> {
        let mut der = self.der.clone();
        let mut chance = fastrand::Rng::with_seed(self.seed.wrapping_add(device as u64));
        // The first byte says that the point is not compressed.
        chance.fill(&mut der[self.key_at + 1..self.key_at + self.key_size]);
        der
    }

    pub(super) fn pem(&self, device: usize) -> String {
        x509::to_pem(&self.der(device))
    }

    /// SHA-256 of each device's certificate.
    pub(super) fn ids(&self) -> &[[u8; 32]] {
        &self.ids
    }
}

/// A registration event on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    device: u32,
    /// When it was published, milliseconds since 1970.
    timestamp: u64,
}

impl Event {
    /// The event as AWS IoT publishes it.
    pub(super) fn json(self, certificates: &Certificates) -> String {
        format!(
            r#"{{"certificateId":"{}","caCertificateId":"{CA_ID}","timestamp":{},"certificateStatus":"PENDING_ACTIVATION","awsAccountId":"{ACCOUNT}","certificateRegistrationTimestamp":null}}"#,
            hex::encode(certificates.ids[self.device as usize]),
            self.timestamp
        )
    }
}

/// What is counted of the devices and their topic.
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

enum Due {
    /// A device connects. The bound of its next pause, if it is not let in, is the first one doubled so often.
    Connect {
        device: u32,
        doubled: u8,
    },
    Deliver(Event),
}

/// All devices, and the topic with what can happen to an event on its way.
pub(super) struct Fleet {
    clock: Clock,
    registry: Registry,
    deliver: UnboundedSender<Event>,
    chance: fastrand::Rng,
    calendar: Calendar<Due>,
    duplicated: f64,
    delayed: f64,
    counts: Counts,
}

impl Fleet {
    pub(super) fn new(
        registry: Registry,
        deliver: UnboundedSender<Event>,
        mut chance: fastrand::Rng,
        options: &Options,
    ) -> Self {
        let mut calendar = Calendar::default();
        for device in 0..options.devices as u32 {
            let at = options.switched_on_within.mul_f64(chance.f64());
            calendar.put(at, Due::Connect { device, doubled: 0 });
        }
        let (duplicated, delayed) = (options.duplicated, options.delayed);
        let (clock, counts) = (registry.clock(), Counts::default());
        Self { clock, registry, deliver, chance, calendar, duplicated, delayed, counts }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Each device connects until it is let in, and every event gets to the rule.
    pub(super) async fn live(&mut self) {
        while let Some(at) = self.calendar.next() {
            self.clock.sleep_until(at).await;
            for due in self.calendar.take(self.clock.elapsed()).unwrap_or_default() {
                match due {
                    Due::Connect { device, doubled } => self.connect(device, doubled),
                    // The receiver is gone when the simulation is over.
                    Due::Deliver(event) => drop(self.deliver.send(event)),
                }
            }
        }
    }

    fn connect(&mut self, device: u32, doubled: u8) {
        let connect = self.registry.connect(device as usize);
        self.counts.connects += 1;
        match connect {
            Connect::Accepted => return,
            Connect::Pending => self.publish(device),
            Connect::Throttled => self.counts.connects_throttled += 1,
        }
        let bound = (FIRST_PAUSE * (1 << doubled)).min(LONGEST_PAUSE);
        let pause = bound.mul_f64(0.5 + self.chance.f64() / 2.0);
        let doubled = if bound < LONGEST_PAUSE { doubled + 1 } else { doubled };
        self.calendar.put(self.clock.elapsed() + pause, Due::Connect { device, doubled });
    }

    /// Publishes the event of a device that waits.
    fn publish(&mut self, device: u32) {
        let event = Event { device, timestamp: self.clock.timestamp() };
        let twice = self.chance.f64() < self.duplicated;
        self.counts.published += 1;
        self.counts.duplicated += u64::from(twice);
        for _ in 0..=u8::from(twice) {
            let longest = if self.chance.f64() < self.delayed { LONGEST_DELAY } else { USUAL_DELAY };
            let delay = longest.mul_f64(self.chance.f64());
            self.calendar.put(self.clock.elapsed() + delay, Due::Deliver(event));
        }
    }
}
