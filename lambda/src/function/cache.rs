//! Which certificates were seen ACTIVE, in a file: the memory of an environment is lost when its process crashes.
//!
//! AWS Lambda then starts the function again in the same environment, and does not clear `/tmp` (AWS Lambda developer guide,
//! "Failures during the invoke phase").

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use super::known::{GENERATION, Key};

/// The file in the environment's folder for temporary files.
pub(super) const NAME: &str = "zero-touch-active-certificates";

/// Records after which the file begins anew, as many as are known at a time: 5.5 MB.
const MOST: usize = 2 * GENERATION;

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
    /// Takes over a file; gives what is in it. A record of which a crash has left a part is cut off.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn read(mut file: File) -> io::Result<(Self, Vec<(Key, u64)>)> {
        let mut bytes = Vec::new();
        file.rewind()?;
        (&file).take((MOST * RECORD) as u64).read_to_end(&mut bytes)?;
        let (records, _) = bytes.as_chunks::<RECORD>();
        file.set_len((records.len() * RECORD) as u64)?;
        file.seek(io::SeekFrom::End(0))?;
        let found = records.iter().filter_map(|record| {
            let (key, asked) = record.split_first_chunk()?;
            Some((*key, u64::from_le_bytes(asked.try_into().ok()?)))
        });
        Ok((Self { file, records: records.len() }, found.collect()))
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
            let (mut cache, found) = Cache::read(file.try_clone().unwrap()).unwrap();
            prop_assert!(found.is_empty());
            for (key, asked) in &records {
                cache.add(key, *asked).unwrap();
            }
            (&file).write_all(&[7; RECORD][..torn]).unwrap();
            let (mut cache, found) = Cache::read(file.try_clone().unwrap()).unwrap();
            prop_assert_eq!(&found, &records);
            cache.add(&[1; KEY], 2).unwrap();
            let (_, found) = Cache::read(file).unwrap();
            prop_assert_eq!(found.last(), Some(&([1; KEY], 2)));
            prop_assert_eq!(found.len(), records.len() + 1);
        }
    }

    #[test]
    fn a_full_file_begins_anew_and_a_longer_one_is_cut() {
        let file = file(&vec![5; (MOST + 3) * RECORD]);
        let (mut cache, found) = Cache::read(file.try_clone().unwrap()).unwrap();
        assert_eq!(found.len(), MOST);
        cache.add(&[1; KEY], 2).unwrap();
        assert_eq!(file.metadata().unwrap().len(), RECORD as u64);
        assert_eq!(Cache::read(file).unwrap().1, [([1; KEY], 2)]);
    }
}
