//! Signed lists that are published: where they are, how they are fetched, and how long one is kept.
//!
//! A list is fetched again after 15 minutes, beside the events: an event that has a valid list does not wait. If that fails, the present
//! list is used for as long as it counts. After that, or without a list, the event fails and is repeated. A server that is
//! down never makes the function skip a check. No list replaces a newer one.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use device_pki::admission_list::AdmissionError;
use device_pki::revocation_list::RevocationError;

#[cfg(feature = "lists")]
pub mod client;

/// For so long a list is not asked for again.
pub(crate) const FRESH: Duration = Duration::from_secs(15 * 60);
/// For so long it is not asked for again when that has brought nothing better.
pub(crate) const PAUSE: Duration = Duration::from_secs(5);
/// For so long a list counts that does not say when the next one is due (RFC 5280 demands it, section 5.1.2.5).
pub(crate) const UNDATED: Duration = Duration::from_secs(24 * 3600);

const ALLOWED: &str = "allowed are https://HOST/FOLDER and s3://BUCKET/PREFIX";

/// Where lists are published: `<this>/NAME.crl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListUrl {
    /// A folder on a web server.
    Https(String),
    /// Objects in Amazon S3, in a bucket of the function's Region.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the keys begin with; without a slash at its end.
        prefix: String,
    },
}

/// A URL that lists cannot be fetched from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListUrlError {
    /// Another scheme, or a query.
    #[error("{ALLOWED}")]
    Url,
    /// Not the name of a bucket (Amazon S3 User Guide, "Bucket naming rules").
    #[error("{0:?} is not the name of a bucket; {ALLOWED}")]
    Bucket(String),
}

impl FromStr for ListUrl {
    type Err = ListUrlError;

    fn from_str(text: &str) -> Result<Self, ListUrlError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:@".contains(c);
        let text = text.trim_end_matches('/');
        if !text.chars().all(plain) {
            return Err(ListUrlError::Url);
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(valid) {
                return Err(ListUrlError::Bucket(bucket.to_owned()));
            }
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        }
        match text.strip_prefix("https://") {
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(Self::Https(text.to_owned())),
            _ => Err(ListUrlError::Url),
        }
    }
}

impl fmt::Display for ListUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(url) => f.write_str(url),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// What a source answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The list is the one that the caller has.
    Unchanged,
    /// A list, PEM or DER.
    List {
        /// Its bytes.
        bytes: Vec<u8>,
        /// What to name when it is asked for again (HTTP's entity tag).
        version: Option<String>,
    },
}

/// Why a list was not fetched, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// No connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// Another answer than the list.
    #[error("the server answers with status {0}")]
    Status(u16),
    /// Longer than a list of its kind may be, in bytes.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// The request cannot be put together.
    #[error("the request cannot be made: {0}")]
    Request(String),
    /// What came is not the CA's list.
    #[error(transparent)]
    Revocation(#[from] RevocationError),
    /// What came is not the admission list.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
}

/// What is asked of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The name of the list, such as `signer-ca.crl`.
    pub name: &'a str,
    /// The version that the caller has.
    pub version: Option<&'a str>,
    /// Bytes that it may have.
    pub longest: usize,
    /// How long fetching it may take in all. An event without a valid list waits for it.
    pub time: Duration,
}

/// Fetches published lists.
pub trait Source: fmt::Debug + Send + Sync {
    /// The list, unless the version that the caller has is still the current one.
    fn fetch<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Fetched, ListError>>;
}

/// A list that is kept.
pub(crate) trait List: fmt::Debug + Send + Sync {
    /// What it is called in messages.
    const KIND: &'static str;
    /// Bytes that it may have.
    const LONGEST: usize;
    /// How long fetching it may take in all.
    const TIME: Duration;
    /// Whether `other` was made later.
    fn is_older_than(&self, other: &Self) -> bool;
    /// Whether it counts no more.
    fn is_overdue(&self) -> bool;
    /// Whether it says until when it counts.
    fn is_dated(&self) -> bool;
}

/// A list was made before the one that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Older;

/// One list, and what is known of it.
#[derive(Debug)]
pub(crate) struct Kept<L> {
    name: String,
    /// Where it is published, for people.
    address: String,
    state: Mutex<State<L>>,
    /// One fetches at a time; who comes meanwhile waits and finds it done.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State<L> {
    list: Option<Arc<L>>,
    version: Option<String>,
    /// When it was last known to be the current one.
    checked: Option<Instant>,
    /// When it was asked for last.
    asked: Option<Instant>,
    /// Why it could not be fetched then.
    failure: Option<String>,
}

impl<L: List> State<L> {
    /// Why the list does not count, if it does not.
    fn problem(&self) -> Option<&'static str> {
        match &self.list {
            None => Some("cannot be fetched"),
            Some(list) if list.is_overdue() => Some("is out of date, and there is no newer one"),
            Some(list)
                if !list.is_dated() && self.checked.is_none_or(|checked| checked.elapsed() >= UNDATED) =>
            {
                Some("has not been confirmed for a day")
            }
            Some(_) => None,
        }
    }
}

impl<L: List> Kept<L> {
    /// The list `name` in the folder at `url`. `list` is one that is there before any is fetched.
    pub(crate) fn new(url: &ListUrl, name: String, list: Option<Arc<L>>) -> Self {
        let address = format!("{url}/{name}");
        let state = State { list, version: None, checked: None, asked: None, failure: None };
        Self { name, address, state: Mutex::new(state), fetching: tokio::sync::Mutex::default() }
    }

    /// Where it is published, for people.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn state(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list that is held, whether it counts or not.
    pub(crate) fn held(&self) -> Option<Arc<L>> {
        self.state().list.clone()
    }

    /// Takes a list unless it is older than the present one.
    ///
    /// # Errors
    /// [`Older`]; the present one stays.
    pub(crate) fn take(&self, list: L) -> Result<(), Older> {
        let mut state = self.state();
        if state.list.as_ref().is_some_and(|held| list.is_older_than(held)) {
            return Err(Older);
        }
        state.list = Some(Arc::new(list));
        Ok(())
    }

    /// Whether it is time to ask for it; `now`: also if it is fresh.
    fn is_due(&self, now: bool) -> bool {
        let state = self.state();
        let fresh = state.checked.is_some_and(|checked| checked.elapsed() < FRESH)
            && !state.list.as_ref().is_some_and(|list| list.is_overdue());
        (now || !fresh) && state.asked.is_none_or(|asked| asked.elapsed() >= PAUSE)
    }

    /// Whether it is time to ask for it, and nobody does.
    pub(crate) fn waits(&self) -> bool {
        self.is_due(false) && self.fetching.try_lock().is_ok()
    }

    /// Whether there is none that counts.
    pub(crate) fn is_missing(&self) -> bool {
        self.state().problem().is_some()
    }

    /// Asks for it if it is due, or if somebody needs to know now and nobody has asked for a while. `take` takes what comes.
    pub(crate) async fn fetch(
        &self,
        source: &dyn Source,
        now: bool,
        take: impl FnOnce(Vec<u8>) -> Result<(), ListError>,
    ) {
        let _fetching = self.fetching.lock().await;
        if !self.is_due(now) {
            return;
        }
        let held = self.state().version.clone();
        let wanted =
            Wanted { name: &self.name, version: held.as_deref(), longest: L::LONGEST, time: L::TIME };
        let fetched = match source.fetch(wanted).await {
            Ok(Fetched::Unchanged) => Ok(held),
            Ok(Fetched::List { bytes, version }) => take(bytes).map(|()| version),
            Err(error) => Err(error),
        };
        let mut state = self.state();
        state.asked = Some(Instant::now());
        state.failure = None;
        match fetched {
            Ok(version) => {
                state.version = version;
                state.checked = state.asked;
            }
            Err(error) => {
                tracing::warn!(list = self.address, %error, "the {} cannot be fetched", L::KIND);
                state.failure = Some(error.to_string());
            }
        }
    }

    /// The list, if it counts.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn usable(&self) -> Result<Arc<L>, String> {
        let state = self.state();
        match (&state.list, state.problem()) {
            (Some(list), None) => Ok(Arc::clone(list)),
            (_, problem) => {
                let reason = state.failure.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                Err(format!("{}{reason}", problem.unwrap_or_default()))
            }
        }
    }
}
