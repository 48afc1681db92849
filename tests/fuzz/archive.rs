//! The inputs of a target in one archive. Equal inputs give equal bytes: sorted by name, without dates, and uncompressed, since
//! git compresses them and a compressor's next version may do it otherwise.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Read, Result, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// Inputs by file name.
pub(crate) type Inputs = BTreeMap<String, Vec<u8>>;

/// The inputs in an archive.
pub(crate) fn read(archive: &Path) -> Result<Inputs> {
    let mut archive = ZipArchive::new(File::open(archive)?)?;
    let mut inputs = Inputs::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let name = file.name()?.into_owned();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        inputs.insert(name, bytes);
    }
    Ok(inputs)
}

/// The bytes of an archive with these inputs.
pub(crate) fn pack(inputs: &Inputs) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in inputs {
        archive.start_file(name.as_str(), options)?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}

/// Lays every input of an archive down as a file.
pub(crate) fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, bytes) in read(archive)? {
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// The files of a folder as inputs.
pub(crate) fn gather(folder: &Path) -> Result<Inputs> {
    let mut inputs = Inputs::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        inputs.insert(name, fs::read(path)?);
    }
    Ok(inputs)
}
