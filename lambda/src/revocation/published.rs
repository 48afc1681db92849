//! Lists that the CAs publish, fetched when they are needed and kept for as long as they are good.
//!
//! A list is asked for again after [`FRESH`]. If that fails, the one at hand counts until its next update is due; from then
//! on, and when there never was one, it is not known whether a certificate of that CA is revoked: the event fails and
//! comes again. Nobody is let in because a server is down.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::Instant;

use device_pki::revocation_list::{CaCertificate, RevocationError, RevocationList, with_certificate};

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
    /// The CAs. The list of the one in `NAME.crt` is `NAME.crl`.
    pub cas: Vec<CaCertificate>,
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
    /// Longer than any list should be.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
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

/// It is not known whether a certificate is revoked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the revocation list {list} {problem}")]
pub struct Unavailable {
    /// Where the list should be.
    pub list: String,
    /// What is wrong, for people.
    pub problem: String,
}

/// The lists of a [`Publication`], as far as they are at hand.
#[derive(Debug)]
pub struct PublishedLists {
    url: ListUrl,
    source: Box<dyn Source>,
    lists: Vec<Kept>,
    /// One fetches at a time; who comes meanwhile waits and finds it done.
    fetching: tokio::sync::Mutex<()>,
}

/// The list of one CA.
#[derive(Debug)]
struct Kept {
    ca: CaCertificate,
    name: String,
    state: Mutex<State>,
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
        let Publication { url, cas } = publication;
        let kept = |ca: CaCertificate| {
            let name = ca.path().file_stem().unwrap_or_default().to_string_lossy();
            Kept { name: format!("{name}.crl"), ca, state: Mutex::default() }
        };
        Self {
            url,
            source,
            lists: cas.into_iter().map(kept).collect(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// Fetches the lists that are due, side by side.
    pub(super) async fn refresh(&self) {
        if !self.lists.iter().any(Kept::is_due) {
            return;
        }
        let _fetching = self.fetching.lock().await;
        join_all(self.lists.iter().filter(|kept| kept.is_due()).map(|kept| self.fetch(kept))).await;
    }

    async fn fetch(&self, kept: &Kept) {
        let version = kept.state().version.clone();
        let fetched = match self.source.fetch(&kept.name, version.as_deref()).await {
            Ok(Fetched::Unchanged) => Ok(None),
            Ok(Fetched::List { bytes, version }) => {
                RevocationList::verified(bytes, &self.address(kept), &kept.ca)
                    .map(|list| Some((list, version)))
                    .map_err(ListError::from)
            }
            Err(error) => Err(error),
        };
        let now = Instant::now();
        let mut state = kept.state();
        state.asked = Some(now);
        match fetched {
            Ok(new) => {
                if let Some((list, version)) = new {
                    state.list = Some(Arc::new(list));
                    state.version = version;
                }
                state.checked = Some(now);
                state.failure = None;
            }
            Err(error) => {
                tracing::warn!(list = self.address(kept), %error, "the revocation list cannot be fetched");
                state.failure = Some(error.to_string());
            }
        }
    }

    fn address(&self, kept: &Kept) -> String {
        format!("{}/{}", self.url, kept.name)
    }

    /// Whether a certificate, PEM, is on its issuer's list.
    pub(super) fn contains(&self, certificate_pem: &str) -> Result<bool, Unavailable> {
        let judged = with_certificate(certificate_pem, |certificate| {
            // Several CAs may have the same name: each keeps a list of its own, and all of them have to be at hand.
            let own = self.lists.iter().filter(|kept| kept.ca.is_issuer_of(certificate));
            own.map(|kept| self.usable(kept).map(|list| list.names(certificate)))
                .try_fold(false, |revoked, named| named.map(|named| revoked || named))
        });
        judged.unwrap_or(Ok(false))
    }

    fn usable(&self, kept: &Kept) -> Result<Arc<RevocationList>, Unavailable> {
        let state = kept.state();
        let reason = state.failure.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let unavailable = |problem: &str| {
            Err(Unavailable { list: self.address(kept), problem: format!("{problem}{reason}") })
        };
        match &state.list {
            None => unavailable("cannot be fetched"),
            Some(list) if list.is_overdue() => unavailable("is out of date, and there is no newer one"),
            Some(list)
                if list.next_update().is_none()
                    && state.checked.is_none_or(|checked| checked.elapsed() >= UNDATED) =>
            {
                unavailable("has not been confirmed for a day")
            }
            Some(list) => Ok(Arc::clone(list)),
        }
    }
}

#[cfg(test)]
mod tests;
