//! What has been registered, one JSON object a line: an interrupted run continues where it stopped.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use durable_files::{Access, Held, Log, Torn, lines};
use jitr::scope::Scope;
use serde::{Deserialize, Serialize};

use super::Error;

/// The journal in one file. While it is open, no other run can open it.
#[derive(Debug)]
pub struct Journal {
    log: Held,
    target: String,
    /// Thing names by certificate id.
    done: HashMap<String, String>,
}

/// Where certificates were registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Id of the account, 12 digits.
    pub account: String,
    /// The Region.
    pub region: String,
    /// How many.
    pub certificates: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Entry {
    Registered {
        target: String,
        certificate_id: String,
        thing_name: String,
    },
    /// The certificate was taken out of the account and Region.
    Removed {
        removed_from: String,
        certificate_id: String,
    },
}

impl Journal {
    /// Opens the journal at `path` and reads what was done for `target`: account, Region and settings as one text.
    /// A line that a kill cut short counts as not written.
    ///
    /// # Errors
    /// [`Error::Busy`] while another run has it open; [`Error::File`].
    pub fn open(path: &Path, target: String) -> Result<Self, Error> {
        let log = Log::new(path, Access::Public, Torn::Keep).hold();
        let mut log = log.map_err(|error| match error {
            durable_files::Error::Busy { path } => Error::Busy { path },
            error => Error::File(error),
        })?;
        let done = registered(&log.read()?, &target);
        Ok(Self { log, target, done })
    }

    /// The thing names of the certificates that the journal at `path` has as registered for `target`, by certificate id.
    /// Nothing is held or made; without a file there are none.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn peek(path: &Path, target: &str) -> Result<HashMap<String, String>, Error> {
        let text = durable_files::read(path)?.unwrap_or_default();
        Ok(registered(&text, target))
    }

    /// The other account and Region that most of the certificates were registered in whose ids are `asked_for`, by what the journal
    /// at `path` says, and how many of them; none if any was registered in that of `scope`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn elsewhere(
        path: &Path,
        scope: &Scope,
        asked_for: impl Fn(&str) -> bool,
    ) -> Result<Option<Elsewhere>, Error> {
        let text = durable_files::read(path)?.unwrap_or_default();
        let mut places = BTreeMap::<String, HashSet<String>>::new();
        for entry in lines(&text).filter_map(|line| serde_json::from_slice::<Entry>(line).ok()) {
            match entry {
                Entry::Registered { target, certificate_id, .. } => {
                    let place = target.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ");
                    if asked_for(&certificate_id) {
                        places.entry(place).or_default().insert(certificate_id);
                    }
                }
                Entry::Removed { removed_from, certificate_id } => {
                    places.entry(removed_from.trim_end().to_owned()).or_default().remove(&certificate_id);
                }
            }
        }
        if places.get(super::place(scope).trim_end()).is_some_and(|here| !here.is_empty()) {
            return Ok(None);
        }
        let most = places.into_iter().max_by_key(|(_, ids)| ids.len()).filter(|(_, ids)| !ids.is_empty());
        Ok(most.and_then(|(place, ids)| {
            let (account, region) = place.split_once(' ')?;
            let (account, region) = (account.to_owned(), region.to_owned());
            Some(Elsewhere { account, region, certificates: ids.len() })
        }))
    }

    /// Counts these certificates as registered, and no other: thing names by certificate id. What is written stays.
    pub fn believe(&mut self, registered: HashMap<String, String>) {
        self.done = registered;
    }

    /// The thing of a certificate that was registered before.
    pub fn thing_of(&self, certificate_id: &str) -> Option<&str> {
        self.done.get(certificate_id).map(String::as_str)
    }

    /// Writes down that a certificate is registered, for later runs; on the disk when this returns. In memory it is not kept: there
    /// can be many.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn record(&mut self, certificate_id: &str, thing_name: &str) -> Result<(), Error> {
        self.append(&Entry::Registered {
            target: self.target.clone(),
            certificate_id: certificate_id.to_owned(),
            thing_name: thing_name.to_owned(),
        })
    }

    /// Records that a certificate is not in the account and Region of the target any more, no matter what it was registered
    /// with.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn record_removal(&mut self, scope: &Scope, certificate_id: &str) -> Result<(), Error> {
        let certificate_id = certificate_id.to_owned();
        self.done.remove(&certificate_id);
        self.append(&Entry::Removed { removed_from: super::place(scope), certificate_id })
    }

    fn append(&mut self, entry: &Entry) -> Result<(), Error> {
        let line = serde_json::to_vec(entry).map_err(|source| Error::Entry { source })?;
        Ok(self.log.append(line)?)
    }
}

fn registered(text: &[u8], target: &str) -> HashMap<String, String> {
    let mut done = HashMap::new();
    for entry in lines(text).filter_map(|line| serde_json::from_slice::<Entry>(line).ok()) {
        match entry {
            Entry::Registered { target: of, certificate_id, thing_name } if of == target => {
                done.insert(certificate_id, thing_name);
            }
            Entry::Removed { removed_from, certificate_id } if target.starts_with(&removed_from) => {
                done.remove(&certificate_id);
            }
            Entry::Registered { .. } | Entry::Removed { .. } => {}
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> (tempfile::TempDir, std::path::PathBuf) {
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
    fn what_was_removed_from_an_account_counts_as_not_registered_there() {
        let (_guard, path) = journal();
        let scope = |region: &str| Scope {
            partition: "aws".into(),
            region: region.into(),
            account: "123456789012".into(),
        };
        let target = |region: &str| format!("{}zt_policy kit", super::super::place(&scope(region)));
        for region in ["us-east-1", "us-east-2"] {
            Journal::open(&path, target(region)).unwrap().record("1f", "thing").unwrap();
        }
        Journal::open(&path, String::new()).unwrap().record_removal(&scope("us-east-1"), "1f").unwrap();
        assert_eq!(Journal::open(&path, target("us-east-1")).unwrap().thing_of("1f"), None);
        assert_eq!(Journal::open(&path, target("us-east-2")).unwrap().thing_of("1f"), Some("thing"));
        Journal::open(&path, target("us-east-1")).unwrap().record("1f", "thing").unwrap();
        assert_eq!(Journal::open(&path, target("us-east-1")).unwrap().thing_of("1f"), Some("thing"));
    }

    #[test]
    fn another_account_than_the_journals_is_told() {
        let (_guard, path) = journal();
        let scope = |account: &str| Scope {
            partition: "aws".into(),
            region: "us-east-1".into(),
            account: account.into(),
        };
        let target = |account: &str| format!("{}zt_policy kit", super::super::place(&scope(account)));
        let (one, two) = ("111111111111", "222222222222");
        let ids = HashSet::from(["1f", "2e"]);
        let elsewhere =
            |account: &str| Journal::elsewhere(&path, &scope(account), |id| ids.contains(id)).unwrap();
        assert_eq!(elsewhere(one), None);
        for id in ["1f", "2e", "3d"] {
            Journal::open(&path, target(one)).unwrap().record(id, "thing").unwrap();
        }
        assert_eq!(elsewhere(one), None);
        let found = Elsewhere { account: one.into(), region: "us-east-1".into(), certificates: 2 };
        assert_eq!(elsewhere(two), Some(found.clone()));
        Journal::open(&path, String::new()).unwrap().record_removal(&scope(one), "1f").unwrap();
        assert_eq!(elsewhere(two), Some(Elsewhere { certificates: 1, ..found }));
        Journal::open(&path, target(two)).unwrap().record("2e", "thing").unwrap();
        assert_eq!(elsewhere(two), None);
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
