//! What names a key in AWS KMS.

use std::fmt;
use std::str::FromStr;

/// A key in KMS: `awskms:` and its id, its ARN, or `alias/NAME`. With nothing behind the colon, a key that is to be made;
/// with `new/NUMBER`, one whose making was begun under this number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KmsUri {
    pub(super) id: Option<String>,
    pub(super) request: Option<Request>,
}

/// The making of a key. KMS knows it by its number, which is in the key's description: what comes of a request whose answer
/// was lost is found again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Request {
    pub(super) number: String,
    /// Whether this run has chosen the number, so that no key can have it yet.
    pub(super) is_fresh: bool,
}

/// What precedes the number of a request.
const NEW: &str = "new/";

/// Why a text names no key in KMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key in AWS KMS is named by its id, its ARN or alias/NAME")]
pub struct Malformed;

impl FromStr for KmsUri {
    type Err = Malformed;

    /// Reads what follows `awskms:`.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        // Other tools write `awskms:///ID`.
        let id = text.strip_prefix("///").unwrap_or(text);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_/:".contains(&b);
        // KMS's own limit on KeyId.
        if id.len() > 2048 || !id.bytes().all(allowed) || id.starts_with('/') {
            return Err(Malformed);
        }
        if let Some(number) = id.strip_prefix(NEW) {
            let request = Request { number: number.to_owned(), is_fresh: false };
            return Ok(Self { id: None, request: Some(request) });
        }
        Ok(Self { id: (!id.is_empty()).then(|| id.to_owned()), request: None })
    }
}

impl KmsUri {
    /// For a key that is to be made: what is to be recorded before it is.
    #[cfg(feature = "kms")]
    pub(in crate::key) fn requested(&self) -> Result<Option<Self>, crate::key::Error> {
        if self.id.is_some() || self.request.is_some() {
            return Ok(None);
        }
        let mut number = [0; 16];
        aws_lc_rs::rand::fill(&mut number)
            .map_err(|_| crate::key::Error::Cryptography { action: "make a random number" })?;
        let request = Request { number: hex::encode(number), is_fresh: true };
        Ok(Some(Self { id: None, request: Some(request) }))
    }

    /// Whether `other` can be the key that this asks for; one that is to be made can be any.
    pub(in crate::key) fn means(&self, other: &Self) -> bool {
        self.id.is_none() || self == other
    }

    /// The Region that the ARN names.
    #[cfg(any(test, feature = "kms"))]
    pub(super) fn region(&self) -> Option<&str> {
        match self.id.as_deref()?.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "kms", region, ..] if !region.is_empty() => Some(region),
            _ => None,
        }
    }
}

impl fmt::Display for KmsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.request {
            Some(Request { number, .. }) => write!(f, "awskms:{NEW}{number}"),
            None => write!(f, "awskms:{}", self.id.as_deref().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_of_an_arn_is_the_one_that_is_asked() {
        let arn: KmsUri = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd".parse().unwrap();
        assert_eq!(arn.region(), Some("eu-central-1"));
        for other in ["alias/signer", "1234abcd-12ab-34cd-56ef-1234567890ab", ""] {
            assert_eq!(other.parse::<KmsUri>().unwrap().region(), None, "{other}");
        }
        assert_eq!("///alias/signer".parse::<KmsUri>().unwrap().to_string(), "awskms:alias/signer");
        for bad in ["key id", "//host/key", "a?b"] {
            assert_eq!(bad.parse::<KmsUri>(), Err(Malformed), "{bad}");
        }
        let begun: KmsUri = "new/1f2e".parse().unwrap();
        assert_eq!((begun.id.as_ref(), begun.to_string().as_str()), (None, "awskms:new/1f2e"));
    }
}
