//! Lists that the CAs publish, fetched when they are needed and kept for as long as they are good.
//!
//! A list is fetched again after [`FRESH`], beside the events: an event whose CA has a valid list does not wait. If that
//! fails, the present list is used until its next update is due. After that, or without a list, it is not known whether a
//! certificate of that CA is revoked: the event fails and is repeated. A server that is down never makes the function skip
//! the check. No list replaces a newer one, also if the newer one is in the package.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use device_pki::revocation_list::{CaCertificate, RevocationError, RevocationList, Unfit, with_certificate};

use super::{Answer, RevocationLists, Unavailable, issuer};

/// For so long a list is not asked for again.
pub(super) const FRESH: Duration = Duration::from_secs(15 * 60);
/// For so long it is not asked for again when that has brought nothing better.
pub(super) const PAUSE: Duration = Duration::from_secs(5);
/// For so long a list counts that does not say when the next one is due (RFC 5280 demands it, section 5.1.2.5).
pub(super) const UNDATED: Duration = Duration::from_secs(24 * 3600);

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

/// Which lists are published where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The folder of the lists.
    pub url: ListUrl,
    /// The CAs, and the lists of them that are in the package: no older one counts. The list of the CA in `NAME.crt` is
    /// `NAME.crl`.
    pub packaged: RevocationLists,
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
    /// Longer than [`MAX_SIZE`](device_pki::revocation_list::MAX_SIZE).
    #[error("it is longer than {} bytes", device_pki::revocation_list::MAX_SIZE)]
    TooLong,
    /// The request cannot be put together.
    #[error("the request cannot be made: {0}")]
    Request(String),
    /// What came is not the CA's list.
    #[error(transparent)]
    List(#[from] RevocationError),
}

/// Fetches published lists.
pub trait Source: fmt::Debug + Send + Sync {
    /// The list of this name, such as `signer-ca.crl`, unless `version` still is the current one.
    fn fetch<'a>(
        &'a self,
        name: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Fetched, ListError>>;
}

/// The lists of a [`Publication`] that were packaged or fetched.
#[derive(Debug)]
pub struct PublishedLists(Arc<Lists>);

#[derive(Debug)]
struct Lists {
    url: ListUrl,
    source: Box<dyn Source>,
    cas: Vec<CaCertificate>,
    /// One for each of the CAs.
    kept: Vec<Kept>,
}

/// The list of one CA.
#[derive(Debug)]
struct Kept {
    name: String,
    state: Mutex<State>,
    /// One fetches at a time; who comes meanwhile waits and finds it done.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    list: Option<Arc<RevocationList>>,
    version: Option<String>,
    /// When it was last known to be the current one.
    checked: Option<Instant>,
    /// When it was asked for last.
    asked: Option<Instant>,
    /// Why it could not be fetched then.
    failure: Option<String>,
}

impl State {
    /// Takes a list unless it is older than the present one.
    fn take(&mut self, list: RevocationList, origin: &str) -> Result<(), RevocationError> {
        if self.list.as_ref().is_some_and(|held| list.is_older_than(held)) {
            return Err(RevocationError::Unfit { list: origin.to_owned(), reason: Unfit::Older });
        }
        self.list = Some(Arc::new(list));
        Ok(())
    }

    /// Why the list does not count, if it does not.
    fn problem(&self) -> Option<&'static str> {
        match &self.list {
            None => Some("cannot be fetched"),
            Some(list) if list.is_overdue() => Some("is out of date, and there is no newer one"),
            Some(list)
                if list.next_update().is_none()
                    && self.checked.is_none_or(|checked| checked.elapsed() >= UNDATED) =>
            {
                Some("has not been confirmed for a day")
            }
            Some(_) => None,
        }
    }
}

impl Kept {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self) -> bool {
        let state = self.state();
        let fresh = state.checked.is_some_and(|checked| checked.elapsed() < FRESH)
            && !state.list.as_ref().is_some_and(|list| list.is_overdue());
        !fresh && state.asked.is_none_or(|asked| asked.elapsed() >= PAUSE)
    }
}

impl PublishedLists {
    /// Nothing is fetched yet.
    pub fn new(publication: Publication, source: Box<dyn Source>) -> Self {
        let Publication { url, packaged } = publication;
        let kept = |ca: &CaCertificate| {
            let name = ca.path().file_stem().unwrap_or_default().to_string_lossy();
            let list = packaged.list_of(ca).cloned().map(Arc::new);
            Kept {
                name: format!("{name}.crl"),
                state: Mutex::new(State { list, ..State::default() }),
                fetching: tokio::sync::Mutex::default(),
            }
        };
        let kept = packaged.cas().iter().map(kept).collect();
        Self(Arc::new(Lists { url, source, cas: packaged.cas().to_vec(), kept }))
    }

    /// Begins to fetch the lists that are due, side by side.
    pub(super) fn refresh(&self) {
        for (index, kept) in self.0.kept.iter().enumerate() {
            if kept.is_due() && kept.fetching.try_lock().is_ok() {
                drop(self.0.fetch(index));
            }
        }
    }

    /// Waits until each list that is missing, or does not count any more, was asked for.
    pub(super) async fn arrived(&self) {
        self.awaited(0..self.0.kept.len()).await;
    }

    async fn awaited(&self, wanted: impl Iterator<Item = usize>) {
        let missing = wanted.filter(|index| self.0.kept[*index].state().problem().is_some());
        join_all(missing.map(|index| self.0.fetch(index))).await;
    }

    /// What the list of its CA says of a certificate, PEM. Only a list that does not count yet is waited for.
    pub(super) async fn look_up(
        &self,
        certificate_pem: &str,
        ca: Option<&str>,
    ) -> Result<Answer, Unavailable> {
        let own = with_certificate(certificate_pem, |certificate| {
            let cas = &self.0.cas;
            let issuer = issuer(cas.iter(), certificate, ca);
            // A CA may have several certificates, and a list beside each: all of them have to be there.
            let own = cas.iter().enumerate().filter(|(_, ca)| issuer.is_some_and(|own| own.has_key_of(ca)));
            own.map(|(index, _)| index).collect::<Vec<_>>()
        });
        let Some(own) = own else { return Ok(Answer::Good) };
        if own.is_empty() {
            return Ok(Answer::NoList);
        }
        self.awaited(own.iter().copied()).await;
        let mut revoked = false;
        for index in own {
            let list = self.0.usable(&self.0.kept[index])?;
            revoked |= with_certificate(certificate_pem, |found| list.names(found)).unwrap_or(false);
        }
        Ok(Answer::of(revoked))
    }
}

impl Lists {
    /// Fetches a list if it is due, in a task of its own: who gives up waiting does not cut the connection.
    fn fetch(self: &Arc<Self>, index: usize) -> JoinHandle<()> {
        let lists = Arc::clone(self);
        tokio::spawn(async move {
            let kept = &lists.kept[index];
            let _fetching = kept.fetching.lock().await;
            if kept.is_due() {
                let fetched = lists.fetched(index).await;
                let mut state = kept.state();
                state.asked = Some(Instant::now());
                state.failure = None;
                match fetched {
                    Ok(()) => state.checked = state.asked,
                    Err(error) => {
                        tracing::warn!(list = lists.address(kept), %error, "the revocation list cannot be fetched");
                        state.failure = Some(error.to_string());
                    }
                }
            }
        })
    }

    async fn fetched(&self, index: usize) -> Result<(), ListError> {
        let kept = &self.kept[index];
        let version = kept.state().version.clone();
        let (bytes, version) = match self.source.fetch(&kept.name, version.as_deref()).await? {
            Fetched::Unchanged => return Ok(()),
            Fetched::List { bytes, version } => (bytes, version),
        };
        let address = self.address(kept);
        let mut own = false;
        for (ca, list) in RevocationList::read_all(&bytes, &address, &self.cas)? {
            let same = self.cas.iter().enumerate().filter(|(_, other)| other.has_key_of(ca));
            let same: Vec<usize> = same.map(|(index, _)| index).collect();
            if same.contains(&index) {
                own = true;
                kept.state().take(list, &address)?;
            } else {
                for index in same {
                    // Its own file may have a newer one.
                    let _ = self.kept[index].state().take(list.clone(), &address);
                }
            }
        }
        if !own {
            let cas = vec![self.cas[index].path().to_owned()];
            return Err(RevocationError::Signature { list: address, cas }.into());
        }
        kept.state().version = version;
        Ok(())
    }

    fn address(&self, kept: &Kept) -> String {
        format!("{}/{}", self.url, kept.name)
    }

    fn usable(&self, kept: &Kept) -> Result<Arc<RevocationList>, Unavailable> {
        let state = kept.state();
        match (&state.list, state.problem()) {
            (Some(list), None) => Ok(Arc::clone(list)),
            (_, problem) => {
                let reason = state.failure.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                let problem = format!("{}{reason}", problem.unwrap_or_default());
                Err(Unavailable::List { list: self.address(kept), problem })
            }
        }
    }
}

#[cfg(test)]
mod tests;
