//! A deployment package: a zip file, unpacked where the function finds it.

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};

use super::Error;

const BOOTSTRAP: &str = "bootstrap";
/// Bytes of an ELF file up to the end of `e_machine` (System V ABI, "ELF Header").
const ELF_HEADER: u64 = 20;
/// `e_machine` of programs of this computer.
const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// An unpacked deployment package; the folder goes when the last environment that uses it has gone.
#[derive(Debug)]
pub(super) struct Package {
    folder: TempDir,
    /// The zip file as it came.
    zip: NamedTempFile,
    /// Size of the zip file in bytes.
    pub(super) size: usize,
    /// SHA-256 of the zip file, base64.
    pub(super) sha256: String,
}

impl Package {
    /// Unpacks `zip`. File modes come from the archive, as in Lambda: a `bootstrap` without the executable bit cannot be run.
    pub(super) fn unpack(zip: &[u8]) -> Result<Self, Error> {
        let invalid = |e: zip::result::ZipError| Error::InvalidParameter {
            reason: format!("could not unzip the uploaded file: {e}"),
        };
        let mut archive = zip::ZipArchive::new(Cursor::new(zip)).map_err(invalid)?;
        let folder = tempfile::Builder::new()
            .prefix("testbed-function-")
            .tempdir()
            .map_err(|source| Error::Io { action: "create a folder for the function", source })?;
        archive.extract(folder.path()).map_err(invalid)?;
        check_processor(&folder.path().join(BOOTSTRAP))?;
        let io = |source| Error::Io { action: "keep the function's package", source };
        let mut file = NamedTempFile::with_prefix("testbed-package-").map_err(io)?;
        file.write_all(zip).map_err(io)?;
        Ok(Self { folder, zip: file, size: zip.len(), sha256: STANDARD.encode(Sha256::digest(zip)) })
    }

    /// `LAMBDA_TASK_ROOT`.
    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The zip file.
    pub(super) fn zip(&self) -> Result<Vec<u8>, Error> {
        let io = |source| Error::Io { action: "read the function's package", source };
        std::fs::read(self.zip.path()).map_err(io)
    }

    /// The program that runs the function.
    pub(super) fn bootstrap(&self) -> PathBuf {
        self.root().join(BOOTSTRAP)
    }
}

/// Refuses a program for another processor than that of this computer. What is no ELF file, such as a script, is left to the system.
fn check_processor(bootstrap: &Path) -> Result<(), Error> {
    let failed = |source| Error::Io { action: "read the function's program", source };
    let mut header = Vec::new();
    match std::fs::File::open(bootstrap) {
        Ok(program) => program.take(ELF_HEADER).read_to_end(&mut header).map_err(failed)?,
        // What there is no program for shows when it is invoked, as in Lambda.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let [.., low, high] = header[..] else { return Ok(()) };
    let is_elf = header.len() as u64 == ELF_HEADER && header.starts_with(b"\x7fELF");
    match (is_elf, u16::from_le_bytes([low, high])) {
        (true, machine) if machine != MACHINE => Err(Error::InvalidParameter {
            reason: format!(
                "the testbed runs functions on this computer ({}), and bootstrap is for another processor (ELF machine {machine})",
                std::env::consts::ARCH
            ),
        }),
        _ => Ok(()),
    }
}

/// A deployment package around the program at `executable`, not compressed: it is read once, on the same machine.
pub fn package_of(executable: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Io { action: "package the function", source };
    let program = std::fs::read(executable).map_err(failed)?;
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::with_capacity(program.len() + 1024)));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .unix_permissions(0o755);
    writer.start_file(BOOTSTRAP, options).map_err(|e| failed(e.into()))?;
    writer.write_all(&program).map_err(failed)?;
    Ok(writer.finish().map_err(|e| failed(e.into()))?.into_inner())
}
