//! The keys that are to be on the admission list, and the last list: what stations agree on, without asking each other.
//!
//! `admission/keys.csv` has a line for each key that was ever admitted: its identifier, and how often that has changed. An odd number
//! is a key that is admitted, an even one a key that was removed. Of two stations, the greater number counts. So tables can be joined in
//! any order and any number of times, and a key that was removed anywhere stays removed until somebody who knows of that admits it
//! again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use device_pki::admission_list::{AdmissionError, AdmissionList, KeyIdentifier, MAX_SIZE};
use device_pki::key::{Keys, Uri};
use device_pki::{Error as PkiError, Signer};
use durable_files::Access;
use durable_files::folder::{self, Lock};

use super::Error;
use super::home::{ADMISSION, ADMISSION_KEY, ADMISSION_KEY_URI, Home};

/// The table of keys, in the folder.
const KEYS: &str = "keys.csv";
/// The first line of the table.
const HEAD: &str = "subject_key_identifier,changes";
/// Bytes that a table may have: three million keys, most of which were removed.
const MOST: usize = 160 << 20;

/// What adding a key has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is admitted now.
    Now,
    /// It was admitted before.
    Before,
    /// It was removed, and stays so.
    Removed,
}

/// The keys, each with how often it was admitted and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted(BTreeMap<KeyIdentifier, u32>);

/// Whether a key with so many changes is admitted.
fn is_admitted(changes: u32) -> bool {
    changes % 2 == 1
}

impl Admitted {
    /// The table of a home; empty where there is none.
    ///
    /// # Errors
    /// As [`Admitted::read_file`].
    pub fn read(home: &Home) -> Result<Self, Error> {
        Ok(Self::read_file(&file(home))?.unwrap_or_default())
    }

    /// The table in a file; `None` where there is no such file.
    ///
    /// # Errors
    /// [`Error::Admission`] for a line that is none: leaving it out could let a board in again. [`Error::File`].
    pub fn read_file(path: &Path) -> Result<Option<Self>, Error> {
        let text = durable_files::read_up_to(path, MOST)?;
        text.map(|text| Self::parse(&text, path)).transpose()
    }

    /// Whether a file begins as a table does.
    pub fn is_table(text: &[u8]) -> bool {
        text.starts_with(HEAD.as_bytes())
    }

    /// Reads a table. `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Admission`].
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, Error> {
        let wrong = |index: usize| Error::Admission { file: path.to_owned(), line: index + 1 };
        let mut keys = Self::default();
        let mut lines =
            text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        if lines.next() != Some(HEAD.as_bytes()) {
            return Err(wrong(0));
        }
        for (index, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
            let line = std::str::from_utf8(line).ok().and_then(|line| line.split_once(','));
            let line = line.and_then(|(key, changes)| Some((key.parse().ok()?, changes.parse().ok()?)));
            let (key, changes) = line.filter(|(_, changes)| *changes > 0).ok_or_else(|| wrong(index + 1))?;
            keys.raise(key, changes);
        }
        Ok(keys)
    }

    /// Writes the table of a home in one step. Call it under [`lock`].
    ///
    /// # Errors
    /// [`durable_files::Error`].
    pub fn write(&self, home: &Home) -> Result<(), durable_files::Error> {
        let mut text = Vec::with_capacity(HEAD.len() + 1 + self.0.len() * 43);
        text.extend_from_slice(HEAD.as_bytes());
        text.push(b'\n');
        for (key, changes) in &self.0 {
            text.extend_from_slice(format!("{key},{changes}\n").as_bytes());
        }
        folder::create(&home.file(ADMISSION))?;
        durable_files::write(&file(home), &text, Access::Public)
    }

    fn raise(&mut self, key: KeyIdentifier, changes: u32) {
        let known = self.0.entry(key).or_default();
        *known = changes.max(*known);
    }

    /// Admits a key; one that was removed only if `again`.
    pub fn add(&mut self, key: KeyIdentifier, again: bool) -> Added {
        let changes = self.0.entry(key).or_default();
        match *changes {
            0 => *changes = 1,
            known if is_admitted(known) => return Added::Before,
            known if again => *changes = known.saturating_add(1),
            _ => return Added::Removed,
        }
        Added::Now
    }

    /// Removes a key. Says whether it was admitted; one that never was is noted as removed as well.
    pub fn remove(&mut self, key: KeyIdentifier) -> bool {
        let changes = self.0.entry(key).or_default();
        let was_admitted = is_admitted(*changes);
        match *changes {
            0 => *changes = 2,
            known if was_admitted => *changes = known.saturating_add(1),
            _ => {}
        }
        was_admitted
    }

    /// Joins the table of another station: of each key the greater number counts.
    pub fn join(&mut self, other: &Self) {
        for (key, changes) in &other.0 {
            self.raise(*key, *changes);
        }
    }

    /// Joins a list that was published since `seen`, the last one that is known here: what is on it is admitted, and what was on
    /// `seen` and is no more was removed by another station. Gives how many keys were admitted and removed by that.
    pub fn follow(&mut self, published: &AdmissionList, seen: Option<&AdmissionList>) -> (usize, usize) {
        let (mut added, mut removed) = (0, 0);
        for key in published.keys() {
            added += usize::from(self.add(key, false) == Added::Now);
        }
        for key in seen.iter().flat_map(|seen| seen.keys()).filter(|key| !published.has(key)) {
            if self.has(&key) {
                self.remove(key);
                removed += 1;
            }
        }
        (added, removed)
    }

    /// Whether a key is admitted.
    pub fn has(&self, key: &KeyIdentifier) -> bool {
        self.0.get(key).is_some_and(|changes| is_admitted(*changes))
    }

    /// Whether a key was removed.
    pub fn was_removed(&self, key: &KeyIdentifier) -> bool {
        self.0.get(key).is_some_and(|changes| !is_admitted(*changes))
    }

    /// The keys that are admitted, ascending.
    pub fn keys(&self) -> impl Iterator<Item = KeyIdentifier> + '_ {
        self.0.iter().filter(|(_, changes)| is_admitted(**changes)).map(|(key, _)| *key)
    }
}

/// The table of a home.
pub fn file(home: &Home) -> PathBuf {
    home.file(ADMISSION).join(KEYS)
}

/// The last list that this station has published or seen, under its name in every place.
pub fn list_file(home: &Home) -> PathBuf {
    home.file(ADMISSION).join(jitr::admission::FILE)
}

/// The last list that this station has published or seen; `None` where there is none.
///
/// # Errors
/// [`PkiError::AdmissionList`] for a file that is none; [`Error::File`].
pub fn last_list(home: &Home) -> Result<Option<AdmissionList>, Error> {
    let path = list_file(home);
    let bytes = durable_files::read_up_to(&path, MAX_SIZE)?;
    let list = bytes.map(|bytes| AdmissionList::unverified(bytes, &path.display().to_string()));
    list.transpose().map_err(|error: AdmissionError| PkiError::from(error).into())
}

/// Keeps a list as the last one. Call it under [`lock`].
///
/// # Errors
/// [`durable_files::Error`].
pub fn keep_list(home: &Home, list: &AdmissionList) -> Result<(), durable_files::Error> {
    folder::create(&home.file(ADMISSION))?;
    durable_files::write(&list_file(home), list.der(), Access::Public)
}

/// Keeps other runs from changing the keys or publishing lists until it is dropped.
///
/// # Errors
/// [`durable_files::Error`].
pub fn lock(home: &Home) -> Result<Lock, durable_files::Error> {
    folder::lock(&home.file(ADMISSION))
}

/// Where the key is that lists are signed with.
///
/// # Errors
/// [`Error::KeyUri`], [`Error::File`].
pub fn key_uri(home: &Home) -> Result<Uri, Error> {
    let Some(text) = durable_files::read(&home.file(ADMISSION_KEY_URI))? else {
        return Ok(Uri::File(home.file(ADMISSION_KEY)));
    };
    let text = String::from_utf8_lossy(&text);
    text.trim().parse().map_err(|source| Error::KeyUri { file: ADMISSION_KEY_URI, source })
}

/// Notes where the key is, unless it is in its usual file.
///
/// # Errors
/// [`Error::File`].
pub fn keep_key_uri(home: &Home, uri: &Uri) -> Result<(), Error> {
    if key_uri(home).ok().as_ref() == Some(uri) {
        return Ok(());
    }
    Ok(durable_files::write(&home.file(ADMISSION_KEY_URI), format!("{uri}\n").as_bytes(), Access::Private)?)
}

/// The key that lists are signed with: at `uri`, or else where the home says. `None` where there is none.
///
/// # Errors
/// As [`key_uri`] and [`Keys::open`].
pub fn key(home: &Home, keys: &Keys, uri: Option<&Uri>) -> Result<Option<Signer>, Error> {
    let uri = uri.cloned().map_or_else(|| key_uri(home), Ok)?;
    Ok(keys.open(&uri)?.map(|_| Signer::new(keys, uri)))
}

#[cfg(test)]
mod tests {
    use device_pki::key::Keys;
    use proptest::prelude::*;
    use time::OffsetDateTime;

    use super::*;

    fn key(n: u8) -> KeyIdentifier {
        KeyIdentifier([n; 20])
    }

    fn table() -> impl Strategy<Value = Admitted> {
        proptest::collection::btree_map((0..20u8).prop_map(key), 1..6u32, 0..20).prop_map(Admitted)
    }

    fn joined(tables: &[&Admitted]) -> Admitted {
        let mut all = Admitted::default();
        tables.iter().for_each(|table| all.join(table));
        all
    }

    proptest! {
        #[test]
        fn tables_are_joined_in_any_order_and_any_number_of_times(a in table(), b in table(), c in table()) {
            let all = joined(&[&a, &b, &c]);
            prop_assert_eq!(&joined(&[&c, &b, &a, &b]), &all);
            prop_assert_eq!(&joined(&[&joined(&[&a, &b]), &c]), &all);
        }

        #[test]
        fn a_table_is_read_as_it_was_written(table in table()) {
            let folder = tempfile::tempdir().unwrap();
            let home = Home::at(folder.path());
            table.write(&home).unwrap();
            prop_assert_eq!(Admitted::read(&home).unwrap(), table);
        }
    }

    #[test]
    fn what_was_removed_stays_so_until_it_is_admitted_again() {
        let mut here = Admitted::default();
        assert_eq!((here.add(key(1), false), here.add(key(1), true)), (Added::Now, Added::Before));
        let there = here.clone();
        assert!(here.remove(key(1)) && !here.remove(key(1)) && here.was_removed(&key(1)));
        here.join(&there);
        assert!(!here.has(&key(1)), "another station does not know that it was removed");
        assert_eq!((here.add(key(1), false), here.add(key(1), true)), (Added::Removed, Added::Now));
        assert_eq!(here.keys().collect::<Vec<_>>(), [key(1)]);
        // One that was never admitted here may be elsewhere.
        assert!(!here.remove(key(2)));
        let mut other = Admitted::default();
        other.add(key(2), false);
        here.join(&other);
        assert!(here.was_removed(&key(2)));
    }

    #[test]
    fn a_list_of_another_station_adds_its_keys_and_what_it_took_off_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::new(());
        let uri = keys.make(&Uri::File(folder.path().join("a.key")), false).unwrap();
        let signer = Signer::new(&keys, uri);
        let list = |number, on: &[u8]| {
            let on = on.iter().map(|n| key(*n)).collect();
            signer.sign_admission_list(on, number, 90, OffsetDateTime::now_utc()).unwrap()
        };
        let mut here = Admitted::default();
        for n in [1, 2, 3, 9] {
            here.add(key(n), false);
        }
        here.remove(key(3));
        // 9 was added here since; 2 was taken off there; 3 was removed here; 4 came there.
        let counts = here.follow(&list(2, &[1, 3, 4]), Some(&list(1, &[1, 2, 3])));
        assert_eq!(counts, (1, 1));
        assert_eq!(here.keys().collect::<Vec<_>>(), [key(1), key(4), key(9)]);
        assert!(here.was_removed(&key(2)) && here.was_removed(&key(3)));
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let path = Path::new("keys.csv");
        let line = |text: &str| match Admitted::parse(text.as_bytes(), path) {
            Err(Error::Admission { line, .. }) => line,
            other => panic!("{other:?}"),
        };
        let good = format!("{},1", key(1));
        assert_eq!(line("nothing"), 1);
        assert_eq!(line(&format!("{HEAD}\n{good}\n{},0", key(2))), 3);
        assert_eq!(line(&format!("{HEAD}\n{good}\n01,1")), 3);
        assert_eq!(line(&format!("{HEAD}\n{good},")), 2);
        assert!(Admitted::parse(format!("{HEAD}\r\n{good}\r\n").as_bytes(), path).unwrap().has(&key(1)));
    }
}
