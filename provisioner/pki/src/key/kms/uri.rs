//! What names a key in AWS KMS.

use std::fmt;
use std::str::FromStr;

/// A key in KMS: `awskms:` and its id, its ARN, or `alias/NAME`. With nothing behind the colon, a key that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KmsUri {
    pub(super) id: Option<String>,
}

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
        Ok(Self { id: (!id.is_empty()).then(|| id.to_owned()) })
    }
}

impl KmsUri {
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
        write!(f, "awskms:{}", self.id.as_deref().unwrap_or_default())
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
    }
}
