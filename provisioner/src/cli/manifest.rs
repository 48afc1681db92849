//! Secure-element manifests that are named on the command line.

use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use std::iter;
use std::path::{Path, PathBuf};

use device_pki::manifest::{Damage, Element, Elements, Signers};

use super::{Error, certificate_file};

/// What helps where the signer of an element is unknown.
pub(super) const SIGNER_CURE: &str = "Microchip's manifest signers are known up to number 005. Check who the signer is, and name its \
    certificate with --manifest-signer FILE";

/// Microchip's manifest signers, and those whose certificates are in these files.
///
/// # Errors
/// [`Error::File`] for a certificate that no manifest signer can have; as [`certificate_file::read`].
pub(super) fn signers(paths: &[PathBuf]) -> Result<Signers, Error> {
    let mut known = Signers::default();
    for path in paths {
        for certificate in certificate_file::read(path)? {
            known.add(&certificate).map_err(|error| Error::File {
                path: path.clone(),
                reason: format!("this can be no manifest signer's certificate: {error}"),
            })?;
        }
    }
    Ok(known)
}

/// An open manifest. It can be too long to be held, and is read as often as it is needed.
pub(super) struct Manifest {
    /// The file, for people.
    pub(super) source: String,
    file: File,
}

/// Why the rest of a manifest has no element.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("the manifest has no element")]
    Empty,
    #[error("cannot be read: {0}")]
    Io(io::Error),
    #[error(transparent)]
    Damaged(Damage),
}

impl From<Damage> for Unread {
    fn from(damage: Damage) -> Self {
        match damage {
            Damage::Io(error) => Self::Io(error),
            damage => Self::Damaged(damage),
        }
    }
}

impl Manifest {
    /// Opens it.
    ///
    /// # Errors
    /// [`Error::Named`] for one that is not there or is no regular file.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = durable_files::input(path).map_err(Error::Named)?;
        Ok(Self { source: path.display().to_string(), file })
    }

    /// The file, and the place of an element in it, for people.
    pub(super) fn place(&self, number: u64) -> String {
        format!("{}:{number}", self.source)
    }

    /// Each element, from the beginning. Nothing follows an error.
    pub(super) fn elements(&self, signers: &Signers) -> impl Iterator<Item = Result<Element, Unread>> {
        let mut file = &self.file;
        let begun = file.seek(io::SeekFrom::Start(0));
        let mut elements = Elements::new(BufReader::new(file), signers);
        let (mut unread, mut is_empty, mut ended) = (begun.err().map(Unread::Io), true, false);
        iter::from_fn(move || {
            if ended {
                return None;
            }
            let next = match unread.take() {
                Some(error) => Some(Err(error)),
                None => elements.next().map(|element| element.map_err(Unread::from)),
            };
            ended = !matches!(next, Some(Ok(_)));
            let next = next.or_else(|| is_empty.then_some(Err(Unread::Empty)));
            is_empty = false;
            next
        })
    }
}
