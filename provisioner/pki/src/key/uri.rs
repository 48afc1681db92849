//! What names a key: the URI that `ca create` records and everything that signs reads.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::str::FromStr;

use super::kms::{self, KmsUri};
use super::pkcs11::{self, TokenUri};

/// Where a key is. Two are equal if they are written alike, so that a PIN makes no difference.
#[derive(Clone, Debug)]
pub enum Uri {
    /// `file:PATH`, or a path alone: PKCS#8 PEM.
    File(PathBuf),
    /// `pkcs11:…` (RFC 7512): in a token.
    Pkcs11(Box<TokenUri>),
    /// `awskms:…`: in AWS KMS.
    AwsKms(KmsUri),
}

impl Uri {
    /// Whether the key is in a file.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Whether `other` can be the key that this asks for: it is the same, or says more of it than this does.
    pub fn means(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(this), Self::File(other)) => this == other,
            (Self::Pkcs11(this), Self::Pkcs11(other)) => this.means(other),
            (Self::AwsKms(this), Self::AwsKms(other)) => this.means(other),
            _ => false,
        }
    }

    /// Whether a secret is written in it.
    pub fn holds_a_pin(&self) -> bool {
        matches!(self, Self::Pkcs11(uri) if uri.pin_value.is_some())
    }
}

impl PartialEq for Uri {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Uri {}

impl Hash for Uri {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_string().hash(state);
    }
}

/// Text that names no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A scheme that no backend has.
    #[error("`{scheme}:` is no place for keys; `file:`, `pkcs11:` and `awskms:` are")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// Nothing after the scheme.
    #[error("`file:` needs the path of a key file")]
    NoPath,
    /// No PKCS #11 URI.
    #[error(transparent)]
    Pkcs11(#[from] pkcs11::Malformed),
    /// No key in KMS.
    #[error(transparent)]
    AwsKms(#[from] kms::Malformed),
}

impl FromStr for Uri {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        // A single letter is a drive of Windows.
        let is_scheme = |scheme: &str| {
            scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        };
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
            _ => ("file", text),
        };
        match scheme {
            "file" if rest.trim_start_matches('/').is_empty() => Err(Malformed::NoPath),
            "file" => {
                // RFC 8089 has `file:///path` as well as `file:/path`.
                let path = rest.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(rest);
                Ok(Self::File(std::path::absolute(path).unwrap_or_else(|_| path.into())))
            }
            "pkcs11" => Ok(Self::Pkcs11(Box::new(rest.parse()?))),
            "awskms" => Ok(Self::AwsKms(rest.parse()?)),
            _ => Err(Malformed::Scheme { scheme: scheme.to_owned() }),
        }
    }
}

impl Uri {
    /// For a key that is to be made in a service which may make it and not be able to say so: the same with the number of
    /// the request, to be recorded before [`Keys::make`](super::Keys::make), which then does not make it twice.
    ///
    /// # Errors
    /// [`Error::Cryptography`](super::Error::Cryptography).
    pub fn requested(&self) -> Result<Option<Self>, super::Error> {
        match self {
            #[cfg(feature = "kms")]
            Self::AwsKms(named) => Ok(named.requested()?.map(Self::AwsKms)),
            _ => Ok(None),
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Pkcs11(uri) => uri.fmt(f),
            Self::AwsKms(uri) => uri.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_reads_back_as_it_was_written() {
        for text in [
            "file:/media/usb/root-ca.key",
            "pkcs11:token=ca;object=signer?module-path=/usr/lib/softhsm/libsofthsm2.so",
            "awskms:alias/signer",
            "awskms:arn:aws:kms:us-east-2:123456789012:key/1234abcd",
            "awskms:",
            "awskms:new/1f2e",
        ] {
            assert_eq!(text.parse::<Uri>().unwrap().to_string(), text);
        }
        for same in ["/media/usb/root-ca.key", "file:///media/usb/root-ca.key"] {
            assert_eq!(same.parse::<Uri>().unwrap(), Uri::File("/media/usb/root-ca.key".into()));
        }
        assert!(matches!("keys/root.key".parse(), Ok(Uri::File(path)) if path.is_absolute()));
    }

    #[test]
    fn what_names_no_key_is_refused() {
        assert_eq!("file:".parse::<Uri>(), Err(Malformed::NoPath));
        assert_eq!("".parse::<Uri>(), Err(Malformed::NoPath));
        let unknown = "tpm2:handle=1".parse::<Uri>();
        assert_eq!(unknown, Err(Malformed::Scheme { scheme: "tpm2".into() }));
    }
}
