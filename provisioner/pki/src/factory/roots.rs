//! The vendor's root CAs, which the certificates of genuine secure elements lead to.
//!
//! `roots.pem` has ATECC Root CA 001 and Crypto Authentication Root CA 002, as Microchip gives them out with its own tools:
//! both in `certs/RootCA` of the Python package pytrustplatform 1.1.4.18, and the second in `app/tng/tng_root_cert.c` of
//! cryptoauthlib (commit 788acf6).

use super::{Certificates, Error};
use crate::Certificate;

const MICROCHIP: &[u8] = include_bytes!("roots.pem");

/// The roots that are in the program.
pub fn microchip() -> Vec<Certificate> {
    Certificate::read_all(MICROCHIP).unwrap_or_default()
}

/// Whether the certificates lead to one of `roots`: its key has signed the signer's certificate. The device's is
/// verified with the signer's key already. The time is not looked at: what the factory has signed stays what it was.
///
/// # Errors
/// [`Error::OtherRoot`], [`Error::ForgedSigner`].
pub fn verify(found: &Certificates, roots: &[Certificate]) -> Result<(), Error> {
    if roots.iter().any(|root| root.is_ca() && found.signer.is_signed_by(root)) {
        return Ok(());
    }
    let issuer = found.signer.facts().issuer.clone();
    let trusted: Vec<String> = roots.iter().map(|root| root.facts().subject.clone()).collect();
    Err(match trusted.contains(&issuer) {
        true => Error::ForgedSigner { issuer },
        false => Error::OtherRoot { issuer, trusted },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_those_that_the_vendor_gives_out() {
        // SHA-256 of each file in the vendor's package.
        let expected = [
            ("ATECC Root CA 001", "7a09e57d8c5d0ac769bd90add894653632292113105acb8b40e12f1194b9111e"),
            (
                "Crypto Authentication Root CA 002",
                "a5b883bf22933f43a9414fedcd4da87dd468e7301d875b86c5b783f22a0116bd",
            ),
        ];
        let roots = microchip();
        assert_eq!(roots.len(), expected.len());
        for (root, (name, fingerprint)) in roots.iter().zip(expected) {
            let facts = root.facts();
            assert_eq!(facts.subject, format!("O=Microchip Technology Inc, CN={name}"));
            assert_eq!(facts.certificate_id, fingerprint);
            assert!(root.is_ca() && root.is_signed_by(root));
        }
    }
}
