//! The admission list: which boards an account lets in, whoever has signed their certificates.
//!
//! Off by default. Without it, a certificate of a registered CA is enough, and whoever copies the signer CA's key makes boards that get
//! in. With it, the board's key has to be on a list that another key has signed ([`device_pki::admission_list`]).
//!
//! A board that is not on the list that is held is looked for on the one that is published now: a board gets in as soon as the list is
//! published. One that was taken off stays out once the list is fetched again, within 15 minutes of events.
//!
//! A list that is missing, or no longer counts, lets nobody in: the event fails and is repeated. A list with a lower number than
//! the one that is held is never used. An environment that starts holds none: until its end, an earlier list may be shown to
//! it by whoever controls the place where lists are published. So a list should count for no longer than is needed.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use device_pki::admission_list::{
    AdmissionError, AdmissionKey, AdmissionList, KeyIdentifier, MAX_SIZE, Unfit,
};

use crate::published::{Kept, List, ListUrl, Older, Source};

#[cfg(test)]
mod tests;

/// The name of the list in its folder.
pub const FILE: &str = "admission.der";

/// What becomes of a board that is not on the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is registered; a line in the log and a metric say that it would be refused.
    Report,
}

impl Mode {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Report => "report",
        }
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "enforce" => Ok(Self::Enforce),
            "report" => Ok(Self::Report),
            _ => Err("allowed are \"enforce\" and \"report\""),
        }
    }
}

/// What the list says of a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is let in.
    Admitted,
    /// It is not on the list, and is let in all the same: see [`Mode::Report`].
    Reported,
    /// It is not on the list.
    Refused,
}

/// It is not known whether a board is on the list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the admission list {list} {problem}")]
pub struct Unavailable {
    /// Where the list should be.
    pub list: String,
    /// What is wrong, for people.
    pub problem: String,
}

impl List for AdmissionList {
    const KIND: &'static str = "admission list";
    const LONGEST: usize = MAX_SIZE;
    // 20 MB at 16 Mbit/s. An event that has less time fails and is repeated; the fetch goes on meanwhile.
    const TIME: Duration = Duration::from_secs(10);

    fn is_older_than(&self, other: &Self) -> bool {
        self.number() < other.number()
    }

    fn is_overdue(&self) -> bool {
        self.is_overdue()
    }

    fn is_dated(&self) -> bool {
        true
    }
}

/// Whether a board is let in.
#[derive(Debug, Default)]
pub struct Admission {
    list: Where,
    mode: Mode,
    /// Boards that were registered and that [`Mode::Enforce`] would have refused.
    reported: AtomicU64,
}

/// Where the list comes from.
#[derive(Debug, Default)]
enum Where {
    /// It is not asked.
    #[default]
    Off,
    /// From the function's package.
    Packaged { path: String, list: AdmissionList },
    /// From where it is published.
    Published(Arc<Published>),
}

#[derive(Debug)]
struct Published {
    source: Box<dyn Source>,
    key: AdmissionKey,
    kept: Kept<AdmissionList>,
}

impl Admission {
    /// By the list in the function's package, read from `path`.
    pub fn packaged(path: String, list: AdmissionList, mode: Mode) -> Self {
        Self { list: Where::Packaged { path, list }, mode, ..Self::default() }
    }

    /// By the list [`FILE`] in the folder at `url`, which `source` fetches and `key` has to have signed. Nothing is fetched yet.
    pub fn published(url: &ListUrl, source: Box<dyn Source>, key: AdmissionKey, mode: Mode) -> Self {
        let kept = Kept::new(url, FILE.to_owned(), None);
        Self { list: Where::Published(Arc::new(Published { source, key, kept })), mode, ..Self::default() }
    }

    /// Gets what is needed before an event can be answered.
    pub async fn warm_up(&self) {
        if let Where::Published(list) = &self.list {
            list.arrived().await;
        }
    }

    /// Begins to ask for a list that is no longer fresh. Nothing waits for it.
    pub fn refresh(&self) {
        if let Where::Published(list) = &self.list
            && list.kept.waits()
        {
            drop(list.fetch(false));
        }
    }

    /// What the list says of the board of a certificate, PEM. One whose key has no identifier is on none.
    ///
    /// # Errors
    /// If the list is not to be had, or counts no more. It may be later.
    pub async fn look_up(&self, certificate_pem: &str) -> Result<Answer, Unavailable> {
        let is_on = |list: &AdmissionList| {
            KeyIdentifier::of_certificate(certificate_pem).is_some_and(|key| list.has(&key))
        };
        let is_on = match &self.list {
            Where::Off => return Ok(Answer::Admitted),
            Where::Packaged { path, list } if list.is_overdue() => {
                let problem = "in the package counts no more: deploy the function with a newer one";
                return Err(Unavailable { list: path.clone(), problem: problem.to_owned() });
            }
            Where::Packaged { list, .. } => is_on(list),
            Where::Published(published) => {
                if published.kept.is_missing() {
                    published.arrived().await;
                }
                let is_on_held = is_on(&*published.usable()?);
                if is_on_held {
                    true
                } else {
                    // It may have been published since.
                    let _ = published.fetch(true).await;
                    is_on(&*published.usable()?)
                }
            }
        };
        Ok(match (is_on, self.mode) {
            (true, _) => Answer::Admitted,
            (false, Mode::Enforce) => Answer::Refused,
            (false, Mode::Report) => {
                self.reported.fetch_add(1, Ordering::Relaxed);
                Answer::Reported
            }
        })
    }

    /// How many boards were let in so far that are not on the list: in [`Mode::Report`].
    pub fn reported(&self) -> u64 {
        self.reported.load(Ordering::Relaxed)
    }

    /// What is left of the validity of the list that is held, in per cent; `None` without a list.
    pub fn left(&self, now: SystemTime) -> Option<i64> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        match &self.list {
            Where::Off => None,
            Where::Packaged { list, .. } => Some(list.left(now)),
            Where::Published(list) => Some(list.kept.held()?.left(now)),
        }
    }
}

impl Published {
    /// Asks for the list if it is due, in a task of its own: who gives up waiting does not cut the connection.
    /// `now`: also if the list is fresh.
    fn fetch(self: &Arc<Self>, now: bool) -> tokio::task::JoinHandle<()> {
        let own = Arc::clone(self);
        tokio::spawn(async move { own.kept.fetch(&*own.source, now, |bytes| own.take(bytes)).await })
    }

    async fn arrived(self: &Arc<Self>) {
        // Its panic would be one of the task.
        let _ = self.fetch(false).await;
    }

    fn usable(&self) -> Result<Arc<AdmissionList>, Unavailable> {
        let unavailable = |problem| Unavailable { list: self.kept.address().to_owned(), problem };
        self.kept.usable().map_err(unavailable)
    }

    fn take(&self, bytes: Vec<u8>) -> Result<(), crate::published::ListError> {
        let address = self.kept.address();
        let list = AdmissionList::verified(bytes, address, &self.key)?;
        let older = |Older| AdmissionError::Unfit { list: address.to_owned(), reason: Unfit::Older };
        Ok(self.kept.take(list).map_err(older)?)
    }
}
