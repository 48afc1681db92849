//! The stand-in of AWS that the functions call: latency, transport, and boards that connect for the first time.

use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;
use tempfile::NamedTempFile;
use testbed::iot_core::account::{CertificateMode, RegisterAuthority};
use testbed::iot_core::control_plane::{Fault, Interceptor, Operation};
use testbed::iot_core::directory::{Directory, Peer, Verdict};
use testbed::journal::{Call, Entry, Happening};
use testbed::{Access, Options, Testbed};
use tokio::sync::broadcast::Receiver;

use crate::function::Function;
use crate::programs::{Program, Programs};

/// What calls go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Transport {
    Http,
    Tls,
}

/// Lets every call take a while. The runtime's timer counts whole milliseconds and is up to two late, as long as all that is
/// measured beside the calls; the system's is not.
struct Latency(Duration);

impl Interceptor for Latency {
    fn intercept(&self, _: &Operation<'_>) -> Option<Fault> {
        if !self.0.is_zero() {
            tokio::task::block_in_place(|| std::thread::sleep(self.0));
        }
        None
    }
}

/// Root certificates.
struct Roots {
    /// With the system's.
    system: NamedTempFile,
    /// With the five that are in `jitr`: it would not take the stand-in for AWS with those alone.
    built_in: NamedTempFile,
}

impl Roots {
    fn new(authority: &str) -> Self {
        let file = |others: &str| {
            let mut file = NamedTempFile::new().unwrap();
            write!(file, "{authority}\n{others}").unwrap();
            file
        };
        let system = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
        let system = system.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let built_in = include_str!("../../../provisioner/pki/src/amazon.pem");
        Self { system: file(&system), built_in: file(built_in) }
    }
}

/// An account with one CA.
pub(crate) struct BenchAccount {
    testbed: Testbed,
    ca: CertifiedIssuer<'static, KeyPair>,
    ca_id: String,
    /// The stand-in's root certificate beside those that a function knows on AWS Lambda.
    roots: Option<Roots>,
    journal: Mutex<Receiver<Entry>>,
}

impl BenchAccount {
    pub(crate) async fn start(transport: Transport, latency: Duration) -> Self {
        let https = transport == Transport::Tls;
        let options = Options { https, interceptor: Arc::new(Latency(latency)), ..Options::default() };
        let testbed = Testbed::start(options).await.unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "bench CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let ca_id = testbed
            .account()
            .register_authority(RegisterAuthority {
                certificate: ca.as_ref().pem(),
                verification: None,
                active: true,
                auto_registration: true,
                registration_config: None,
                mode: CertificateMode::SniOnly,
            })
            .unwrap();
        let roots = testbed.authority().map(Roots::new);
        let journal = Mutex::new(testbed.journal().follow());
        Self { testbed, ca, ca_id, roots, journal }
    }

    /// Has the function register a board, so that policy and thing type are there.
    pub(crate) async fn onboard(&self, programs: &Programs) {
        Function::start(programs, Program::Jitr, self, None).await.invoke(self).await;
        self.take_calls();
    }

    /// What a function's environment says about this account.
    pub(crate) fn variables(&self, program: Program) -> Vec<(&'static str, String)> {
        let access = self.testbed.access().environment();
        let mut variables: Vec<_> = access.map(|(name, value)| (name, value.to_owned())).into();
        if let Some(roots) = &self.roots {
            let file = if program == Program::Jitr { &roots.built_in } else { &roots.system };
            let path = file.path().to_string_lossy().into_owned();
            variables.extend([("SSL_CERT_FILE", path.clone()), ("AWS_CA_BUNDLE", path)]);
        }
        variables
    }

    /// The event of a new board.
    pub(crate) fn event(&self) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "board");
        let board = params.signed_by(&KeyPair::generate().unwrap(), &self.ca).unwrap();
        let peer = Peer { address: Ipv4Addr::LOCALHOST.into(), server_name: true };
        let Verdict::Registered { certificate_id } = self.testbed.directory().connecting(board.der(), peer)
        else {
            panic!("the board is not new");
        };
        json!({
            "certificateId": certificate_id,
            "caCertificateId": self.ca_id,
            "timestamp": 1_761_991_200_123_u64,
            "certificateStatus": "PENDING_ACTIVATION",
            "awsAccountId": self.testbed.account().identity().account_id,
            "certificateRegistrationTimestamp": null,
        })
        .to_string()
    }

    pub(crate) fn access(&self) -> &Access {
        self.testbed.access()
    }

    /// The stand-in's root certificate, in PEM.
    pub(crate) fn authority(&self) -> Option<&[u8]> {
        self.testbed.authority().map(str::as_bytes)
    }

    /// The calls since the last time.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        let mut journal = self.journal.lock().unwrap();
        let entries = std::iter::from_fn(|| journal.try_recv().ok());
        entries
            .filter_map(|entry| if let Happening::Call(call) = entry.what { Some(call) } else { None })
            .collect()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.testbed.connections()
    }
}
