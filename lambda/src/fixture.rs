//! For tests: an account with a board's certificate in it, waiting for its event.

use std::time::Duration;

use aws_lc_rs::digest;
use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData, SignatureAlgorithm};

use crate::event::Event;
use crate::registration::{Registration, Settings};
use crate::registry::memory::{Account, MemoryRegistry};
use crate::registry::{CertificateStatus, ThingType};
use crate::scope::Scope;
use crate::thing_name::ThingName;

/// How long every call takes, in virtual time.
pub(crate) const LATENCY: Duration = Duration::from_millis(20);

pub(crate) struct Fixture {
    pub(crate) registry: MemoryRegistry,
    pub(crate) certificate_id: String,
    pub(crate) ca_id: String,
    key: KeyPair,
}

fn certificate(key: &KeyPair, common_name: &str) -> (String, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let certificate = params.self_signed(key).unwrap();
    let id = hex::encode(digest::digest(&digest::SHA256, certificate.der()));
    (id, certificate.pem())
}

pub(crate) fn scope() -> Scope {
    Scope { partition: "aws".into(), region: "us-east-2".into(), account: "420230807713".into() }
}

impl Fixture {
    /// A board's first connection to an account in which nothing is set up.
    pub(crate) fn new() -> Self {
        Self::with_key(&rcgen::PKCS_ECDSA_P256_SHA256, "board")
    }

    pub(crate) fn with_key(algorithm: &'static SignatureAlgorithm, common_name: &str) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let (certificate_id, pem) = certificate(&key, common_name);
        let registry = MemoryRegistry::new(scope()).with_latency(LATENCY);
        let ca_id = "ca".repeat(32);
        registry.register_certificate(
            &certificate_id,
            Some(&ca_id),
            &pem,
            CertificateStatus::PendingActivation,
        );
        Self { registry, certificate_id, ca_id, key }
    }

    /// The same in an account that has registered boards before.
    pub(crate) fn onboarded() -> Self {
        let fixture = Self::new();
        let document = Settings::zero_touch().unwrap().policy_template.fill(&scope()).unwrap();
        fixture.registry.account(|account| {
            account.policies.insert("zt_policy".into(), document.to_string());
            account.thing_types.insert("microchip-zero-touch-kit".into(), ThingType { deprecated: false });
        });
        fixture
    }

    pub(crate) fn registration(&self) -> Registration<MemoryRegistry> {
        self.registration_with(Settings::zero_touch().unwrap())
    }

    pub(crate) fn registration_with(&self, settings: Settings) -> Registration<MemoryRegistry> {
        Registration::new(self.registry.clone(), settings)
    }

    /// Another board of the same CA.
    pub(crate) fn another_certificate(&self, common_name: &str) -> String {
        self.add(&KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(), common_name)
    }

    /// Another certificate for the same board.
    pub(crate) fn renewed_certificate(&self) -> String {
        self.add(&self.key, "board, renewed")
    }

    fn add(&self, key: &KeyPair, common_name: &str) -> String {
        let (id, pem) = certificate(key, common_name);
        self.registry.register_certificate(
            &id,
            Some(&self.ca_id),
            &pem,
            CertificateStatus::PendingActivation,
        );
        id
    }

    pub(crate) fn event(&self) -> Event {
        self.event_for(&self.certificate_id)
    }

    pub(crate) fn event_for(&self, certificate_id: &str) -> Event {
        Event {
            certificate_id: certificate_id.to_owned(),
            ca_certificate_id: self.ca_id.clone(),
            aws_account_id: Some(scope().account),
            timestamp: Some(1_761_991_200_123),
        }
    }

    pub(crate) fn thing_name(&self) -> ThingName {
        ThingName::from_public_key(self.key.der_bytes().try_into().unwrap())
    }

    pub(crate) fn set_status(&self, status: CertificateStatus) {
        self.registry.account(|account| {
            account.certificates.get_mut(&self.certificate_id).unwrap().description.status = status;
        });
    }

    pub(crate) fn account(&self) -> Account {
        self.registry.account(|account| account.clone())
    }

    /// The board's certificate is ACTIVE and has everything, and never was ACTIVE without.
    pub(crate) fn assert_registered(&self) {
        self.assert_converged();
        for activation in self.registry.activations() {
            assert!(activation.attached, "activated before everything was attached: {activation:?}");
        }
    }

    /// The board's certificate is ACTIVE and has everything.
    pub(crate) fn assert_converged(&self) {
        let account = self.account();
        let certificate = &account.certificates[&self.certificate_id];
        assert_eq!(certificate.description.status, CertificateStatus::Active);
        assert_eq!(certificate.policies.iter().collect::<Vec<_>>(), ["zt_policy"]);
        let thing = self.thing_name();
        assert_eq!(certificate.things.keys().collect::<Vec<_>>(), [thing.as_str()]);
        assert_eq!(account.things[thing.as_str()].thing_type.as_deref(), Some("microchip-zero-touch-kit"));
        let wanted = Settings::zero_touch().unwrap().policy_template.fill(&scope()).unwrap();
        assert!(wanted.is_same_as(&account.policies["zt_policy"]));
    }
}
