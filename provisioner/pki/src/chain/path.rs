//! The CAs between a signer and a root: found by their signatures, and where there is no path, why not.

use super::{Names, check_ca};
use crate::signature::Unverified;
use crate::{Certificate, Error};

/// What a CA between root and signer is called in messages.
const BETWEEN: &str = "an intermediate CA between root and signer";
/// So many signatures are looked at: CAs that have signed one another make many paths.
const STEPS_MAX: usize = 4096;

/// A certificate, and what it is called.
pub(super) type Named<'a> = (&'a Certificate, &'static str);

/// The CAs from the signer up to the root.
pub(super) type Path<'a> = Vec<Named<'a>>;

/// Every path from the signer up to the root by way of `others`, the shortest branches first.
pub(super) fn all<'a>(
    root: &'a Certificate,
    others: &'a [Certificate],
    signer: &'a Certificate,
    names: Names,
) -> Vec<Path<'a>> {
    let mut search = Search {
        root: (root, names.root),
        others: between(root, others, signer),
        steps: 0,
        found: Vec::new(),
    };
    search.climb(&mut vec![(signer, names.signer)]);
    search.found
}

/// CAs that may be between the two.
fn between<'a>(root: &Certificate, others: &'a [Certificate], signer: &Certificate) -> Vec<&'a Certificate> {
    others.iter().filter(|other| *other != root && *other != signer).collect()
}

struct Search<'a> {
    root: Named<'a>,
    others: Vec<&'a Certificate>,
    steps: usize,
    found: Vec<Path<'a>>,
}

impl<'a> Search<'a> {
    /// Goes on from the last of `path` to every CA that has issued it.
    fn climb(&mut self, path: &mut Path<'a>) {
        let Some(&(lowest, _)) = path.last() else { return };
        if lowest.is_signed_by(self.root.0) {
            self.found.push([path.as_slice(), &[self.root]].concat());
        }
        for index in 0..self.others.len() {
            let other = self.others[index];
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return;
            }
            if path.iter().all(|(known, _)| *known != other) && other.is_ca() && lowest.is_signed_by(other) {
                path.push((other, BETWEEN));
                self.climb(path);
                path.pop();
            }
        }
    }
}

/// Why there is no path from the signer to the root: what the certificate lacks that has signed the last one.
pub(super) fn missing(
    root: &Certificate,
    others: &[Certificate],
    signer: &Certificate,
    names: Names,
) -> Error {
    let others = between(root, others, signer);
    let issuers = || others.iter().map(|other| (*other, BETWEEN)).chain([(root, names.root)]);
    let mut reached = vec![(signer, names.signer)];
    let mut next = 0;
    while let Some(&lowest) = reached.get(next) {
        for issuer in issuers().filter(|(issuer, _)| *issuer != lowest.0) {
            match check_issued(lowest, issuer) {
                Ok(None) => {}
                Ok(Some(())) if reached.iter().any(|(known, _)| *known == issuer.0) => {}
                Ok(Some(())) => match check_ca(issuer.0, issuer.1) {
                    Ok(()) => reached.push(issuer),
                    Err(error) => return error,
                },
                Err(error) => return error,
            }
        }
        next += 1;
    }
    Error::ForeignSigner { signer: names.signer, root: names.root }
}

/// Whether the second has issued the first; `None` where its key has not.
///
/// # Errors
/// [`Error::Algorithm`], [`Error::IssuerKey`] where that cannot be told; [`Error::IssuerName`], [`Error::IssuerKeyIdentifier`] where
/// the first says that another has.
pub(super) fn check_issued(
    (certificate, name): Named<'_>,
    (issuer, issuer_name): Named<'_>,
) -> Result<Option<()>, Error> {
    match certificate.check_signed_by(issuer) {
        Ok(()) => Ok(Some(())),
        Err(Unverified::Wrong) => Ok(None),
        Err(Unverified::Algorithm(algorithm)) => Err(Error::Algorithm { certificate: name, algorithm }),
        Err(Unverified::Key(found)) => Err(Error::IssuerKey { certificate: issuer_name, found }),
        Err(Unverified::Name) => Err(Error::IssuerName { certificate: name, issuer: issuer_name }),
        Err(Unverified::KeyIdentifier) => {
            Err(Error::IssuerKeyIdentifier { certificate: name, issuer: issuer_name })
        }
    }
}
