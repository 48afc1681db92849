//! Certificates: the chain of root and signer CA, and what the signer issues.
//!
//! [`profile`] says what a certificate contains, [`certificate`] reads one, [`chain`] checks root and signer as a
//! whole and issues, [`mod@create`] makes them, [`store`] keeps the files, [`key`] is where the keys are. Everything that is
//! signed passes through [`signer`].

use std::path::PathBuf;

pub mod authorities;
pub mod certificate;
pub mod chain;
pub mod create;
pub mod crl;
pub mod export;
pub mod key;
pub mod profile;
pub mod rotate;
pub mod signer;
pub mod store;
#[cfg(test)]
mod tests;

pub use certificate::Certificate;
pub use chain::{Chain, verification_certificate};
pub use signer::{Purpose, Signer};

/// What can go wrong with certificates and their keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No certificate authority has been made yet.
    #[error("there is no certificate authority in {}", folder.display())]
    Missing {
        /// The home folder.
        folder: PathBuf,
    },
    /// Some files are there and others are not.
    #[error("the certificate authority in {} is incomplete: {} missing", folder.display(), files.join(", "))]
    Incomplete {
        /// The home folder.
        folder: PathBuf,
        /// Names of the missing files.
        files: Vec<&'static str>,
    },
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
    /// The home folder says where a key is in words that are no key URI.
    #[error("cannot use {file}: {source}")]
    KeyUri {
        /// The file.
        file: &'static str,
        /// Why.
        source: key::Malformed,
    },
    /// A certificate authority is there, and its key is at another place than the one asked for.
    #[error("the key is at {there}, not at {ordered}")]
    OtherKey {
        /// Where it is.
        there: key::Uri,
        /// Where it is asked to be.
        ordered: key::Uri,
    },
    /// The root's key is to be taken out of the home, and is not there.
    #[error("the root's key is not in a file of the home: it is at {uri}")]
    RootElsewhere {
        /// Where it is.
        uri: String,
    },
    /// A folder that the root's key cannot be exported to.
    #[error("the root's key cannot go to {}: {reason}", folder.display())]
    ExportPlace {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// There is nothing where a key should be.
    #[error("there is no key at {uri}")]
    NoKey {
        /// Where it should be.
        uri: key::Uri,
    },
    /// The key is where it cannot be read from now.
    #[error("the root's key is not here ({uri}), and nothing else can sign this")]
    RootOffline {
        /// Where it was looked for.
        uri: key::Uri,
    },
    /// A signer's key is in a place that was chosen, and nobody has chosen one for the next signer's.
    #[error("the signer's key is at {there}, and nothing says where the next one is to be")]
    NextKey {
        /// Where the old one is.
        there: key::Uri,
    },
    /// A new signer with the key of the old one is no new signer.
    #[error("the key at {uri} is the one of the signer that is to be retired")]
    SameKey {
        /// Where it is.
        uri: key::Uri,
    },
    /// A signer CA that was revoked signs nothing for boards.
    #[error("the signer CA in {} was revoked on {}", folder.display(), when.date())]
    Withdrawn {
        /// The folder.
        folder: PathBuf,
        /// When.
        when: time::OffsetDateTime,
    },
    /// The files of two signers are being exchanged.
    #[error("the signer CA in {} is being changed, or that was interrupted", folder.display())]
    Rotating {
        /// The home folder.
        folder: PathBuf,
    },
    /// Nobody knows what the user named, or it could be several.
    #[error("there is no signer CA `{name}` in the home folder, or more than one")]
    NoAuthority {
        /// As given.
        name: String,
        /// Key identifiers of those that are there.
        known: Vec<String>,
    },
    /// A line in the notes on what was revoked that is none.
    #[error("line {line} of {} is no revocation", file.display())]
    Revocations {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A private key and a certificate that do not belong together.
    #[error("{key} does not belong to {certificate}")]
    KeyMismatch {
        /// The key's file.
        key: &'static str,
        /// The certificate's file.
        certificate: &'static str,
    },
    /// The root is not self-signed.
    #[error("{} is not signed by its own key", store::ROOT_CERTIFICATE)]
    NotSelfSigned,
    /// The signer was not signed by this root.
    #[error(
        "{} was not issued by {}: perhaps a new root over an old signer",
        store::SIGNER_CERTIFICATE,
        store::ROOT_CERTIFICATE
    )]
    ForeignSigner,
    /// A certificate that is not a CA's.
    #[error("{certificate} is not the certificate of a certificate authority")]
    NotCa {
        /// The certificate's file.
        certificate: &'static str,
    },
    /// A CA certificate without the extension that devices' certificates refer to.
    #[error("{certificate} has no subject key identifier")]
    NoKeyIdentifier {
        /// The certificate's file.
        certificate: &'static str,
    },
    /// A certificate past its end, or before its start.
    #[error("{certificate} is valid from {} to {}, and now is {}",
        certificate::rfc3339(*not_before), certificate::rfc3339(*not_after), certificate::rfc3339(*now))]
    NotValidNow {
        /// The certificate's file.
        certificate: &'static str,
        /// Start of the validity.
        not_before: time::OffsetDateTime,
        /// End of the validity.
        not_after: time::OffsetDateTime,
        /// The time it was checked for.
        now: time::OffsetDateTime,
    },
    /// A public key of another kind.
    #[error("the public key is not a P-256 key")]
    NotP256,
    /// A name that no certificate can carry.
    #[error("\"{}\" cannot be a name in a certificate", name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
    /// A signing request that cannot be trusted.
    #[error("the certificate signing request is not signed by the key in it")]
    Request,
    /// The operating system has no random numbers.
    #[error("this machine gave no random numbers")]
    Random,
    /// Signing failed.
    #[error("cannot sign: {0}")]
    Sign(rcgen::Error),
}
