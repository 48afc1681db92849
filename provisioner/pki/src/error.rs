//! What can go wrong with certificates and their keys.

use time::OffsetDateTime;

use crate::admission_list::AdmissionError;
use crate::certificate::{self, rfc3339};
use crate::key;

/// A cause of which only the implementation of a trait of this crate knows the type.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong with certificates and their keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that is no certificate.
    #[error("cannot use {file}: {source}")]
    Malformed {
        /// The file.
        file: String,
        /// Why.
        source: certificate::Malformed,
    },
    /// A key that cannot be opened, made or used.
    #[error(transparent)]
    Key(#[from] key::Error),
    /// There is nothing where a key should be.
    #[error("there is no key at {uri}")]
    NoKey {
        /// Where it should be.
        uri: key::Uri,
    },
    /// A private key and a certificate that do not belong together.
    #[error("{key} does not belong to {certificate}")]
    KeyMismatch {
        /// What the key is called.
        key: &'static str,
        /// What the certificate is called.
        certificate: &'static str,
    },
    /// The root is not self-signed.
    #[error("{root} is not signed by its own key")]
    NotSelfSigned {
        /// What the root's certificate is called.
        root: &'static str,
    },
    /// Root and signer are in each other's place.
    #[error("{root} and {signer} are swapped: the certificate in {root} was issued by that in {signer}")]
    Swapped {
        /// What the root's certificate is called.
        root: &'static str,
        /// What the signer's certificate is called.
        signer: &'static str,
    },
    /// The signer was not signed by this root.
    #[error("{signer} was not issued by {root}: perhaps the root CA was replaced and the signer CA was not")]
    ForeignSigner {
        /// What the signer's certificate is called.
        signer: &'static str,
        /// What the root's certificate is called.
        root: &'static str,
    },
    /// A certificate whose issuer's key is of a kind that no signature is accepted of.
    #[error("the key of {certificate} is {found}, and no signature by such a key is accepted")]
    IssuerKey {
        /// What the issuer's certificate is called.
        certificate: &'static str,
        /// The kind of its key.
        found: String,
    },
    /// A certificate that another CA than its issuer has signed, by the names (RFC 5280, section 6.1.3).
    #[error("{certificate} was signed with the key of {issuer}, but names another CA as its issuer")]
    IssuerName {
        /// What the certificate is called.
        certificate: &'static str,
        /// What the certificate of the key is called.
        issuer: &'static str,
    },
    /// A certificate whose authority key identifier is not the subject key identifier of its issuer (RFC 5280, section 4.2.1.1).
    #[error(
        "{certificate} was signed with the key of {issuer}, but its authority key identifier is that of another key"
    )]
    IssuerKeyIdentifier {
        /// What the certificate is called.
        certificate: &'static str,
        /// What the certificate of the key is called.
        issuer: &'static str,
    },
    /// A certificate that is not a CA's.
    #[error("{certificate} is not the certificate of a certificate authority")]
    NotCa {
        /// What the certificate is called.
        certificate: &'static str,
    },
    /// A CA that signs no certificates.
    #[error("{certificate} may not sign certificates: its key usage lacks keyCertSign")]
    NoCertSign {
        /// What the certificate is called.
        certificate: &'static str,
    },
    /// A serial number that no revocation list of ours can have.
    #[error("the serial number {serial_number} cannot be put on a revocation list")]
    SerialNumber {
        /// As it is written.
        serial_number: String,
    },
    /// A CA certificate without the extension that devices' certificates refer to.
    #[error("{certificate} has no subject key identifier")]
    NoKeyIdentifier {
        /// What the certificate is called.
        certificate: &'static str,
    },
    /// A certificate past its end, or before its start.
    #[error("{certificate} is valid from {} to {}, and now is {}",
        rfc3339(*not_before), rfc3339(*not_after), rfc3339(*now))]
    NotValidNow {
        /// What the certificate is called.
        certificate: &'static str,
        /// Start of the validity.
        not_before: OffsetDateTime,
        /// End of the validity.
        not_after: OffsetDateTime,
        /// The time it was checked for.
        now: OffsetDateTime,
    },
    /// A clock that is wrong: what is signed would begin at a time that it was not signed at.
    #[error("the clock of this computer shows {}, which is {}", rfc3339(*now), match *now < crate::profile::EARLIEST {
        true => format!("before this program was made ({})", crate::profile::EARLIEST.date()),
        false => format!("after the end of every device certificate ({})", crate::profile::LATEST.date()),
    })]
    Clock {
        /// What it shows.
        now: OffsetDateTime,
    },
    /// A public key of another kind.
    #[error("the public key is not a P-256 key")]
    NotP256,
    /// A signer whose key is of another kind.
    #[error("the key of {certificate} is {found}; that of the signer CA has to be P-256")]
    SignerKey {
        /// What the certificate is called.
        certificate: &'static str,
        /// The kind of its key.
        found: String,
    },
    /// A root whose key is of a kind that nothing is signed with here.
    #[error("the key of {certificate} is {found}, and this program signs with P-256 keys alone")]
    RootKey {
        /// What the certificate is called.
        certificate: &'static str,
        /// The kind of its key.
        found: String,
    },
    /// A signature that is not verified here.
    #[error("{certificate} is signed with {algorithm}, which is not accepted")]
    Algorithm {
        /// What the certificate is called.
        certificate: &'static str,
        /// The algorithm.
        algorithm: String,
    },
    /// A signer CA that signs no revocation lists.
    #[error("{certificate} may not sign revocation lists: its key usage lacks cRLSign")]
    NoCrlSign {
        /// What the certificate is called.
        certificate: &'static str,
    },
    /// A CA with a critical extension that is not known (RFC 5280, section 4.2).
    #[error(
        "{certificate} has the critical extension {extension}, which is not known: whoever checks it has to refuse it"
    )]
    CriticalExtension {
        /// What the certificate is called.
        certificate: &'static str,
        /// Its object identifier.
        extension: String,
    },
    /// A CA that has more CAs below it than it allows (RFC 5280, section 4.2.1.9).
    #[error("{certificate} allows {allowed} CAs below it (pathLenConstraint), and there are {below}")]
    PathLength {
        /// What the certificate is called.
        certificate: &'static str,
        /// How many it allows.
        allowed: u32,
        /// How many there are.
        below: usize,
    },
    /// A CA under which no device may have the name that it would get (RFC 5280, section 4.2.1.10).
    #[error("{certificate} does not allow devices to be called {name} (nameConstraints)")]
    NameConstraints {
        /// What the certificate is called.
        certificate: &'static str,
        /// The name of a device.
        name: String,
    },
    /// An admission list that cannot be used, or made.
    #[error(transparent)]
    AdmissionList(#[from] AdmissionError),
    /// A document that cannot be written as DER.
    #[error("cannot encode what is to be signed: {0}")]
    Encoding(#[from] der::Error),
    /// A name that no certificate can carry.
    #[error("\"{}\" cannot be a name in a certificate", name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
    /// A signing request that cannot be trusted.
    #[error("the certificate signing request is not signed by the key in it")]
    Request,
    /// The operating system has no random numbers, or the same ones again.
    #[error("the operating system provides no random numbers")]
    Random,
    /// Signing failed.
    #[error("cannot sign: {0}")]
    Sign(#[from] rcgen::Error),
    /// A file of keys or PINs.
    #[cfg(any(feature = "file", feature = "pkcs11"))]
    #[error(transparent)]
    File(#[from] durable_files::Error),
    /// The observer of signatures could not note one, and the document is withheld.
    #[error(transparent)]
    Withheld(Cause),
}
