//! Revocation lists that cannot be used, and why.

use std::path::PathBuf;

use crate::reader::Kind;

/// Revocation lists that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// A file or the folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The folder has no such file.
    #[error("{} holds no file NAME.{extension}", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
        /// `crl` or `crt`.
        extension: &'static str,
    },
    /// Not a revocation list.
    #[error("{what} is not a certificate revocation list, PEM or DER{}", instead(*found))]
    Format {
        /// Where it comes from.
        what: String,
        /// What it is instead, where that is known.
        found: Option<Kind>,
    },
    /// A file without a certificate.
    #[error("{} is not used: {}", path.display(), crate::certificate::Malformed { found: *found })]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        found: Kind,
    },
    /// The list is nobody's.
    #[error("{list} was not signed by {}", expected(cas))]
    Signature {
        /// Where the list comes from.
        list: String,
        /// The CAs' certificates that were tried.
        cas: Vec<PathBuf>,
    },
    /// The CA may not sign lists (RFC 5280, section 6.3.3 (f)).
    #[error("{list} is not used: the CA in {} may not sign lists (its key usage lacks cRLSign)", ca.display())]
    NoCrlSign {
        /// Where the list comes from.
        list: String,
        /// The CA's certificate.
        ca: PathBuf,
    },
    /// The CA's list, but not one that tells of every certificate that the CA has revoked, or not yet.
    #[error("{list} cannot be used: it {reason}")]
    Unfit {
        /// Where the list comes from.
        list: String,
        /// Why.
        reason: Unfit,
    },
}

fn instead(found: Option<Kind>) -> String {
    match found {
        None | Some(Kind::RevocationList) => String::new(),
        Some(found) => format!(": it is {found}"),
    }
}

fn expected(cas: &[PathBuf]) -> String {
    match cas {
        [] => "any CA: there is none".to_owned(),
        [ca] => format!("the CA in {}", ca.display()),
        cas => format!("any of the {} CAs beside it", cas.len()),
    }
}

/// Why a list that its CA has signed is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It means something that is not known here (RFC 5280, section 5.2).
    #[error("has the critical extension {0}, which is not known")]
    CriticalExtension(String),
    /// An extension twice (RFC 5280, section 4.2).
    #[error("has the extension {0} twice")]
    ExtensionTwice(String),
    /// An extension that cannot be read.
    #[error("has the extension {0}, which cannot be read")]
    Extension(String),
    /// It says what has changed since another one (RFC 5280, section 5.2.4).
    #[error("is a delta list; a complete one is needed")]
    Delta,
    /// It speaks for other CAs (RFC 5280, sections 5.2.5 and 5.3.3).
    #[error("is an indirect list")]
    Indirect,
    /// It leaves out the certificates of devices (RFC 5280, section 5.2.5).
    #[error("is for the certificates of CAs alone")]
    CaCertificates,
    /// It leaves out the certificates of devices (RFC 5280, section 5.2.5).
    #[error("is for attribute certificates alone")]
    AttributeCertificates,
    /// It leaves out what was revoked for other reasons (RFC 5280, section 5.2.5).
    #[error("is for some reasons of revocation alone")]
    SomeReasons,
    /// It is for the certificates that name this point, and those of devices name none (RFC 5280, section 6.3.3 (b)).
    #[error("is for one distribution point alone, which the devices' certificates do not name")]
    DistributionPoint,
    /// Two algorithms, inside and outside of what is signed (RFC 5280, section 5.1.1.2).
    #[error("names two signature algorithms")]
    Algorithms,
    /// It is of a time to come.
    #[error("is dated {0} s in the future")]
    Ahead(i64),
    /// More bytes than [`MAX_SIZE`](super::MAX_SIZE).
    #[error("is longer than {} bytes", super::MAX_SIZE)]
    TooLong,
    /// More entries than [`MAX_ENTRIES`](super::MAX_ENTRIES).
    #[error("has more than {} entries", super::MAX_ENTRIES)]
    TooManyEntries,
    /// Another list of the CA, which was seen already, is newer.
    #[error("is older than one that was seen before")]
    Older,
}
