//! Which certificates were seen ACTIVE, in a file: the memory of an environment is lost when its process crashes.
//!
//! AWS Lambda then starts the function again in the same environment, and does not clear `/tmp` (AWS Lambda developer guide,
//! "Failures during the invoke phase").

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};

use super::known::{Key, MOST_ACTIVE};

/// The file in the environment's folder for temporary files.
pub(super) const NAME: &str = "zero-touch-active-certificates";

/// Records after which the file begins anew, as many as are known at a time: 11 MB.
const MOST: usize = 2 * MOST_ACTIVE;

const KEY: usize = size_of::<Key>();
/// A key, and when the certificate was asked for, milliseconds since 1970, little-endian.
const RECORD: usize = KEY + size_of::<u64>();

/// An open file of records.
#[derive(Debug)]
pub(super) struct Cache {
    file: File,
    records: usize,
}

impl Cache {
    /// Takes over a file; `found` gets what is in it. A record of which a crash has left a part is cut off.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn read(mut file: File, mut found: impl FnMut(Key, u64)) -> io::Result<Self> {
        file.rewind()?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let records = (length / RECORD).min(MOST);
        let mut reader = BufReader::new(&file);
        for _ in 0..records {
            let (mut key, mut asked) = (Key::default(), [0; size_of::<u64>()]);
            reader.read_exact(&mut key)?;
            reader.read_exact(&mut asked)?;
            found(key, u64::from_le_bytes(asked));
        }
        file.set_len((records * RECORD) as u64)?;
        file.seek(io::SeekFrom::End(0))?;
        Ok(Self { file, records })
    }

    /// Adds a record. Nothing is synced: a file that is lost costs calls, no more.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn add(&mut self, key: &Key, asked: u64) -> io::Result<()> {
        if self.records >= MOST {
            self.file.set_len(0)?;
            self.file.rewind()?;
            self.records = 0;
        }
        let mut record = [0; RECORD];
        let (first, last) = record.split_at_mut(KEY);
        first.copy_from_slice(key);
        last.copy_from_slice(&asked.to_le_bytes());
        self.file.write_all(&record)?;
        self.records += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(file: &File) -> (Cache, Vec<(Key, u64)>) {
        let mut found = Vec::new();
        let cache = Cache::read(file.try_clone().unwrap(), |key, asked| found.push((key, asked))).unwrap();
        (cache, found)
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    proptest! {
        #[test]
        fn whole_records_are_found_again_whatever_a_crash_has_left(
            records in proptest::collection::vec((any::<Key>(), any::<u64>()), 0..8),
            torn in 0..RECORD,
        ) {
            let file = file(&[]);
            let (mut cache, found) = read(&file);
            prop_assert!(found.is_empty());
            for (key, asked) in &records {
                cache.add(key, *asked).unwrap();
            }
            (&file).write_all(&[7; RECORD][..torn]).unwrap();
            let (mut cache, found) = read(&file);
            prop_assert_eq!(&found, &records);
            cache.add(&[1; KEY], 2).unwrap();
            let (_, found) = read(&file);
            prop_assert_eq!(found.last(), Some(&([1; KEY], 2)));
            prop_assert_eq!(found.len(), records.len() + 1);
        }
    }

    #[test]
    fn a_full_file_begins_anew_and_a_longer_one_is_cut() {
        let file = file(&vec![5; (MOST + 3) * RECORD]);
        let (mut cache, found) = read(&file);
        assert_eq!(found.len(), MOST);
        cache.add(&[1; KEY], 2).unwrap();
        assert_eq!(file.metadata().unwrap().len(), RECORD as u64);
        assert_eq!(read(&file).1, [([1; KEY], 2)]);
    }
}
