//! Files in a wheel, which is a zip archive (PyPA, "Binary distribution format").

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::{ZipError, ZipResult};

/// More bytes than the wheel has.
pub(super) const LARGEST: usize = 16 << 20;

/// The content of each of `paths`, `None` where it is not there.
pub(super) fn files<'a>(
    wheel: &[u8],
    paths: impl Iterator<Item = &'a str>,
) -> ZipResult<Vec<Option<Vec<u8>>>> {
    let mut archive = ZipArchive::new(Cursor::new(wheel))?;
    let read = |path: &str| match archive.by_name(path) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(super::LARGEST as u64).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(ZipError::FileNotFound) => Ok(None),
        Err(error) => Err(error),
    };
    paths.map(read).collect()
}
