//! The function's package: a zip with one executable, `bootstrap`, whose header has the architecture.

use std::fmt;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use aws_sdk_lambda::types::Architecture;
use aws_smithy_types::base64;
use zip::ZipArchive;

/// What Lambda runs in the `provided` runtimes.
const BOOTSTRAP: &str = "bootstrap";
/// Largest package that can be sent directly, in bytes (Lambda quotas: 50 MB zipped).
const LARGEST: u64 = 50 * 1024 * 1024;
/// Bytes of an ELF file up to and including `e_machine`.
const ELF_HEADER: usize = 20;

/// A file that is not a package Lambda can run.
#[derive(Debug, thiserror::Error)]
#[error("{} is not a Lambda package: {reason}", path.display())]
pub struct Error {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("it cannot be read ({0})")]
    Unreadable(std::io::Error),
    #[error("it is larger than 50 MB")]
    TooLarge,
    #[error("it is not a zip file ({0})")]
    Zip(zip::result::ZipError),
    #[error("there is no file `bootstrap` at its top")]
    NoBootstrap,
    #[error("`bootstrap` is not marked as executable")]
    NotExecutable,
    #[error("`bootstrap` is not a 64-bit Linux program")]
    NotElf,
    #[error("`bootstrap` is built for a processor that Lambda does not have (ELF machine {0})")]
    Machine(u16),
}

/// A package that has been checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Package {
    pub(crate) bytes: Vec<u8>,
    pub(crate) architecture: Architecture,
    /// SHA-256 in base64, as Lambda's `CodeSha256`.
    pub(crate) sha256: String,
}

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Package({} bytes, {}, {})", self.bytes.len(), self.architecture, self.sha256)
    }
}

impl Package {
    /// Reads and checks the package at `path`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = match durable_files::read_up_to(path, LARGEST as usize + 1) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Reason::Unreadable(durable_files::Error::missing(path).into())),
            Err(durable_files::Error::TooLong { .. }) => Err(Reason::TooLarge),
            Err(error) => Err(Reason::Unreadable(error.into())),
        };
        bytes.and_then(Self::check).map_err(|reason| Error { path: path.to_owned(), reason })
    }

    fn check(bytes: Vec<u8>) -> Result<Self, Reason> {
        if bytes.len() as u64 > LARGEST {
            return Err(Reason::TooLarge);
        }
        let mut archive = ZipArchive::new(Cursor::new(&bytes)).map_err(Reason::Zip)?;
        let mut bootstrap = archive.by_name(BOOTSTRAP).map_err(|_| Reason::NoBootstrap)?;
        // Packages made on Windows carry no mode; Lambda takes those.
        if bootstrap.unix_mode().is_some_and(|mode| mode & 0o111 == 0) {
            return Err(Reason::NotExecutable);
        }
        let mut header = [0; ELF_HEADER];
        bootstrap.read_exact(&mut header).map_err(|_| Reason::NotElf)?;
        let architecture = architecture(&header)?;
        drop(bootstrap);
        let sha256 = base64::encode(digest::digest(&digest::SHA256, &bytes).as_ref());
        Ok(Self { bytes, architecture, sha256 })
    }
}

/// The architecture that an ELF header names (System V ABI, "ELF Header": `EI_CLASS` 2, `EI_DATA` 1, `e_machine`).
fn architecture(header: &[u8; ELF_HEADER]) -> Result<Architecture, Reason> {
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err(Reason::NotElf);
    }
    match u16::from_le_bytes([header[18], header[19]]) {
        62 => Ok(Architecture::X8664),
        183 => Ok(Architecture::Arm64),
        other => Err(Reason::Machine(other)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    fn elf(machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(18, 0);
        bytes.extend(machine.to_le_bytes());
        bytes.resize(64, 0);
        bytes
    }

    fn zipped(name: &str, mode: u32, content: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap().into_inner()
    }

    /// A package for x86-64 that passes every check.
    pub(crate) fn package() -> Package {
        Package::check(zipped(BOOTSTRAP, 0o755, &elf(62))).unwrap()
    }

    #[test]
    fn the_architecture_is_read_from_the_executable() {
        assert_eq!(package().architecture, Architecture::X8664);
        let arm = Package::check(zipped(BOOTSTRAP, 0o755, &elf(183))).unwrap();
        assert_eq!(arm.architecture, Architecture::Arm64);
    }

    #[test]
    fn the_digest_is_the_one_lambda_reports() {
        // SHA-256 of nothing, in base64.
        let empty = digest::digest(&digest::SHA256, b"");
        assert_eq!(base64::encode(empty.as_ref()), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn files_that_lambda_could_not_run_are_refused_with_the_reason() {
        let cases = [
            (b"not a zip".to_vec(), "not a zip file"),
            (zipped("bin/bootstrap", 0o755, &elf(62)), "no file `bootstrap`"),
            (zipped(BOOTSTRAP, 0o644, &elf(62)), "executable"),
            (zipped(BOOTSTRAP, 0o755, b"#!/bin/sh"), "not a 64-bit Linux program"),
            (zipped(BOOTSTRAP, 0o755, b"#!/bin/sh\nexec python3 handler.py\n"), "not a 64-bit Linux program"),
            (zipped(BOOTSTRAP, 0o755, &elf(243)), "ELF machine 243"),
        ];
        for (bytes, reason) in cases {
            let error = Package::check(bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Package::read(Path::new("/nowhere/bootstrap.zip")).unwrap_err().to_string();
        assert!(
            error.starts_with("/nowhere/bootstrap.zip is not a Lambda package: it cannot be read"),
            "{error}"
        );
    }
}
