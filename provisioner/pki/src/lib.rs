//! Certificates of IoT devices: read, checked and issued.
//!
//! Without features the crate reads: [`reader`] finds what is in a file, [`Certificate`] is one with the facts that matter, [`revocation_list`] checks lists
//! (RFC 5280, section 5) with their CA's certificate, [`admission_list`] lists of keys that are let in, [`manifest`] reads what the vendor of
//! secure elements delivers with them, [`factory`] rebuilds the certificates that a secure element leaves its
//! factory with. The features add:
//!
//! - `issue`: certificate profiles, requests, chains of root and signer CA, and the one place that signatures pass
//!   through;
//! - `file`, `pkcs11`, `kms`: keys that sign, in files (PKCS#8), in tokens (PKCS #11) and in AWS KMS.
//!
//! Every key that signs here is ECDSA on P-256, every signature that is made ECDSA with SHA-256.
//!
//! ```
//! use device_pki::Certificate;
//!
//! # let key = rcgen::KeyPair::generate()?;
//! # let mut params = rcgen::CertificateParams::default();
//! # params.distinguished_name.push(rcgen::DnType::CommonName, "board 1");
//! # let pem = params.self_signed(&key)?.pem();
//! let certificate = Certificate::read(pem.as_bytes())?;
//! let facts = certificate.facts();
//! println!("{} until {}", facts.subject, facts.not_after);
//! // The subject key identifier of the device's key, which AWS IoT things are named by.
//! assert_eq!(facts.subject_key_identifier.as_ref().map(String::len), Some(40));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `file`, a signer CA and a device certificate for a request:
//!
//! ```
//! # #[cfg(feature = "file")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use device_pki::key::{Keys, Uri};
//! use device_pki::{Chain, Purpose, Signer, chain, profile};
//!
//! let folder = tempfile::tempdir()?;
//! let now = time::OffsetDateTime::now_utc();
//! let keys = Keys::new(());
//! let made = |name: &str| keys.make(&Uri::File(folder.path().join(name)), false);
//! let (root_key, signer_key) = (Signer::new(&keys, made("root.key")?), Signer::new(&keys, made("signer.key")?));
//!
//! let name = profile::Name::new("Example", "Example Root CA")?;
//! let root = profile::root(&name, root_key.open()?.public(), now)?;
//! let root = root_key.self_signed(Purpose::RootCertificate, &root)?;
//! let name = profile::Name::new("Example", "Example Signer")?;
//! let public = *signer_key.open()?.public();
//! let signer = profile::signer(&name, &public, now)?;
//! let signer = root_key.certificate(Purpose::SignerCertificate, &signer, &root)?;
//! let names = chain::Names { root: "root.crt", signer: "signer.crt" };
//! let chain = Chain::new(root, &[], signer, signer_key, names, now)?;
//!
//! // On the device: a request, signed with its own key.
//! let name = profile::device_name(Some("Example"), "0123AABBCCDDEEFFEE")?;
//! let request = profile::signing_request(&name).serialize_request(&rcgen::KeyPair::generate()?)?;
//! let device = chain.issue_device(request.der(), &name, &|_| false, now)?;
//! assert!(device.is_signed_by(chain.signer()));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "file"))]
//! # fn main() {}
//! ```

#[cfg(feature = "issue")]
mod admission;
pub mod admission_list;
pub mod amazon;
#[cfg(feature = "issue")]
pub mod builder;
pub mod certificate;
#[cfg(feature = "issue")]
pub mod chain;
mod encoding;
#[cfg(feature = "issue")]
mod error;
pub mod factory;
#[cfg(feature = "issue")]
pub mod key;
pub mod manifest;
pub mod name;
#[cfg(feature = "issue")]
pub mod observer;
#[cfg(feature = "issue")]
mod possession;
#[cfg(feature = "issue")]
pub mod profile;
pub mod public_key;
pub mod reader;
pub mod request;
#[cfg(feature = "issue")]
pub mod revocation;
pub mod revocation_list;
pub mod serial_number;
mod signature;
#[cfg(feature = "issue")]
mod signer;
#[cfg(feature = "issue")]
pub mod signing;
mod trust_anchor;
pub mod visible;

pub use admission_list::AdmissionList;
pub use certificate::Certificate;
#[cfg(feature = "issue")]
pub use chain::{Chain, verification_certificate};
pub use encoding::ecdsa_sig_value;
#[cfg(feature = "issue")]
pub use error::{Cause, Error};
#[cfg(feature = "issue")]
pub use observer::Purpose;
#[cfg(feature = "issue")]
pub use possession::Challenge;
pub use public_key::{PUBLIC_KEY_SIZE, point_of, subject_key_identifier};
pub use revocation_list::RevocationList;
pub use serial_number::SerialNumber;
#[cfg(feature = "issue")]
pub use signer::{Holder, Issuer, Signer};
pub use trust_anchor::{AnchorKey, TrustAnchor};
