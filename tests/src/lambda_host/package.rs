//! A deployment package: a zip file, unpacked where the function finds it.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::Error;

/// An unpacked deployment package; the folder goes when the last environment that uses it has gone.
#[derive(Debug)]
pub(super) struct Package {
    folder: TempDir,
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
        Ok(Self { folder, size: zip.len(), sha256: STANDARD.encode(Sha256::digest(zip)) })
    }

    /// `LAMBDA_TASK_ROOT`.
    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The program that runs the function.
    pub(super) fn bootstrap(&self) -> PathBuf {
        self.root().join("bootstrap")
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
    writer.start_file("bootstrap", options).map_err(|e| failed(e.into()))?;
    std::io::Write::write_all(&mut writer, &program).map_err(failed)?;
    Ok(writer.finish().map_err(|e| failed(e.into()))?.into_inner())
}
