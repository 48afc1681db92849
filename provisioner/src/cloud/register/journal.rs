//! What has been registered, one JSON object a line: an interrupted run goes on where it stopped.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::home;

/// The journal of one home folder. While it is open, no other run can open it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    target: String,
    /// Thing names by certificate id.
    done: HashMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    target: String,
    certificate_id: String,
    thing_name: String,
}

impl Journal {
    /// Opens the journal at `path` and reads what was done for `target`: account, Region and settings as one text.
    /// A line that a kill cut short counts as not written.
    ///
    /// # Errors
    /// [`Error::Busy`] while another run has it open; [`Error::Home`].
    pub fn open(path: &Path, target: String) -> Result<Self, Error> {
        let fail = |source| Error::Home(home::Error::Io { action: "open", path: path.to_owned(), source });
        let mut file = File::options().create(true).append(true).read(true).open(path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fail)?;
        if !bytes.is_empty() && !bytes.ends_with(b"\n") {
            file.write_all(b"\n").map_err(fail)?;
        }
        let entries =
            bytes.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<Entry>(line).ok());
        let done = entries
            .filter(|entry| entry.target == target)
            .map(|entry| (entry.certificate_id, entry.thing_name))
            .collect();
        Ok(Self { path: path.to_owned(), file, target, done })
    }

    /// Counts nothing as registered, for a run that looks at everything again. What is written stays.
    pub fn forget(&mut self) {
        self.done.clear();
    }

    /// The thing of a certificate that was registered before.
    pub fn thing_of(&self, certificate_id: &str) -> Option<&str> {
        self.done.get(certificate_id).map(String::as_str)
    }

    /// Writes down that a certificate is registered; on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::Home`].
    pub fn record(&mut self, certificate_id: &str, thing_name: &str) -> Result<(), Error> {
        let fail = |source| Error::Home(home::Error::Io { action: "write", path: self.path.clone(), source });
        let entry = Entry {
            target: self.target.clone(),
            certificate_id: certificate_id.to_owned(),
            thing_name: thing_name.to_owned(),
        };
        let mut line = serde_json::to_vec(&entry).map_err(|error| fail(error.into()))?;
        line.push(b'\n');
        // One write for the whole line, so that a kill leaves a line or a beginning of one.
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(fail)?;
        self.done.insert(entry.certificate_id, entry.thing_name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("register.jsonl");
        (folder, path)
    }

    #[test]
    fn what_was_recorded_is_known_to_the_next_run_for_the_same_target_only() {
        let (_guard, path) = journal();
        Journal::open(&path, "a".into()).unwrap().record("1f", "thing").unwrap();
        assert_eq!(Journal::open(&path, "a".into()).unwrap().thing_of("1f"), Some("thing"));
        assert_eq!(Journal::open(&path, "b".into()).unwrap().thing_of("1f"), None);
    }

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other() {
        let (_guard, path) = journal();
        Journal::open(&path, "a".into()).unwrap().record("1f", "thing").unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            Journal::open(&path, "a".into()).unwrap().record("2e", "other").unwrap();
            let reopened = Journal::open(&path, "a".into()).unwrap();
            assert_eq!(reopened.thing_of("2e"), Some("other"), "cut at {cut}");
            assert_eq!(reopened.thing_of("1f").is_some(), cut + 1 >= whole.len(), "cut at {cut}");
        }
    }

    #[test]
    fn two_runs_do_not_share_a_journal() {
        let (_guard, path) = journal();
        let _open = Journal::open(&path, "a".into()).unwrap();
        assert!(matches!(Journal::open(&path, "a".into()), Err(Error::Busy { .. })));
    }
}
