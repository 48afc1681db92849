//! Certificates in files that are named on the command line.

use std::path::Path;

use device_pki::Certificate;
use device_pki::reader::{self, Kind};
use iot_account::counted;

use super::{Error, named};

/// Every certificate of a file, in order; there is one at least.
///
/// # Errors
/// [`Error::Certificates`]; [`Error::File`] where there is no such file; [`Error::Named`].
pub(super) fn read(path: &Path) -> Result<Vec<Certificate>, Error> {
    let missing = || Error::File { path: path.to_owned(), reason: "there is no such file".to_owned() };
    in_bytes(path, &named::read(path)?.ok_or_else(missing)?)
}

/// As [`read`], where what looks like a certificate and cannot be read could be the one that is meant.
///
/// # Errors
/// As [`read`]; [`Error::File`] for a block that cannot be read.
pub(super) fn read_whole(path: &Path) -> Result<Vec<Certificate>, Error> {
    let bytes = named::read(path)?.unwrap_or_default();
    let certificates = in_bytes(path, &bytes)?;
    let parts = reader::parts(&bytes);
    // Parameters of keys are passed over.
    let readable = parts.iter().filter(|part| !part.der.is_empty() || part.kind == Kind::Parameters).count();
    let blocks = String::from_utf8_lossy(&bytes).to_ascii_uppercase().matches("-BEGIN ").count();
    let blocks = blocks.max(parts.len());
    if readable < blocks {
        let reason = format!("{} in it, and {readable} that can be read", counted(blocks, "PEM block"));
        return Err(Error::File { path: path.to_owned(), reason });
    }
    Ok(certificates)
}

/// Whether a certificate of a file is of the chain of another one in it: a CA's that has signed the other.
pub(super) fn is_of_chain(certificate: &Certificate, all: &[Certificate]) -> bool {
    let signs = |other: &Certificate| other != certificate && other.is_signed_by(certificate);
    certificate.is_ca() && all.iter().any(signs)
}

fn in_bytes(path: &Path, bytes: &[u8]) -> Result<Vec<Certificate>, Error> {
    Certificate::read_all(bytes).map_err(|source| Error::Certificates { path: path.to_owned(), source })
}
