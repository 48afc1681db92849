//! Copies of a board's root certificate store, in the board's folder: the first is kept for ever, the others have numbers.

use std::path::{Path, PathBuf};

use durable_files::{Access, Kind, folder};

/// What the name of a copy begins with; its number and [`AFTER`] follow.
const BEFORE: &str = "root-store-";
const AFTER: &str = ".bin";

/// The copy that iotprovision makes, each time anew: what the board held before its last change.
pub const OF_IOTPROVISION: &str = "root_certs_backup.bin";

/// A copy of a root certificate store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Its number, from 1; 0 for the one that iotprovision has made.
    pub number: u32,
    /// Its file.
    pub path: PathBuf,
    /// The bytes of the sector.
    pub bytes: Vec<u8>,
}

/// Whether a file of a board's folder has the name of a copy.
pub fn is_copy(name: &str) -> bool {
    number(name).is_some()
}

fn number(name: &str) -> Option<u32> {
    if name == OF_IOTPROVISION {
        return Some(0);
    }
    let number = name.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
    let is_number = !number.starts_with('0') && number.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| number.parse().ok()).flatten()
}

/// The copies in a board's folder: ours by their numbers, then iotprovision's.
///
/// # Errors
/// Those of reading.
pub fn copies(folder: &Path) -> Result<Vec<Copy>, durable_files::Error> {
    let mut copies = Vec::new();
    for folder::Entry { path, kind } in folder::entries(folder)?.unwrap_or_default() {
        let number = path.file_name().and_then(|name| name.to_str()).and_then(number);
        if let (Some(number), Kind::File) = (number, kind)
            && let Some(bytes) = durable_files::read(&path)?
        {
            copies.push(Copy { number, path, bytes });
        }
    }
    copies.sort_by_key(|copy| (copy.number == 0, copy.number));
    Ok(copies)
}

/// Keeps `sector`: the first copy of all in any case, a further one where `is_worth_keeping` and none has the same bytes. Says
/// where it is, once it is durable. No copy is ever changed.
///
/// # Errors
/// [`durable_files::Error`].
pub fn keep(
    folder: &Path,
    sector: &[u8],
    is_worth_keeping: bool,
) -> Result<Option<PathBuf>, durable_files::Error> {
    let _lock = folder::lock(folder)?;
    let copies: Vec<Copy> = copies(folder)?.into_iter().filter(|copy| copy.number > 0).collect();
    if let Some(same) = copies.iter().find(|copy| copy.bytes == sector) {
        return Ok(Some(same.path.clone()));
    }
    let last = copies.last().map_or(0, |copy| copy.number);
    if last > 0 && !is_worth_keeping {
        return Ok(None);
    }
    let path = folder.join(format!("{BEFORE}{}{AFTER}", last + 1));
    durable_files::write(&path, sector, Access::Public)?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_copy_stays_and_others_get_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let name = |path: Option<PathBuf>| path.map(|path| path.file_name().unwrap().to_owned());
        std::fs::write(folder.join(OF_IOTPROVISION), [9; 8]).unwrap();
        assert_eq!(name(keep(folder, &[1; 8], false).unwrap()).unwrap(), "root-store-1.bin");
        assert_eq!(name(keep(folder, &[2; 8], false).unwrap()), None, "what is no store is not kept");
        assert_eq!(name(keep(folder, &[2; 8], true).unwrap()).unwrap(), "root-store-2.bin");
        assert_eq!(name(keep(folder, &[1; 8], true).unwrap()).unwrap(), "root-store-1.bin");
        assert_eq!(name(keep(folder, &[9; 8], true).unwrap()).unwrap(), "root-store-3.bin");
        let found: Vec<_> = copies(folder).unwrap().iter().map(|copy| (copy.number, copy.bytes[0])).collect();
        assert_eq!(found, [(1, 1), (2, 2), (3, 9), (0, 9)]);
        // Somebody else's file of the name stays as it is.
        std::fs::create_dir(folder.join("root-store-4.bin")).unwrap();
        assert!(keep(folder, &[5; 8], true).is_err());
    }

    #[test]
    fn copies_have_these_names_alone() {
        for name in ["root-store-1.bin", "root-store-12.bin", "root_certs_backup.bin"] {
            assert!(is_copy(name), "{name}");
        }
        for name in ["root-store-.bin", "root-store-01.bin", "root-store-0.bin", "root-store-1.bin.old", "x"]
        {
            assert!(!is_copy(name), "{name}");
        }
    }
}
