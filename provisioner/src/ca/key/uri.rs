//! What names a key: the URI that `ca create` records and everything that signs reads.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Uri {
    /// `file:PATH`, or a path alone: PKCS#8 PEM.
    File(PathBuf),
}

/// Text that names no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A scheme that no backend has.
    #[error("`{scheme}:` is no place for keys; `file:` is")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// Nothing after the scheme.
    #[error("`file:` needs the path of a key file")]
    NoPath,
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
            _ => Err(Malformed::Scheme { scheme: scheme.to_owned() }),
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_reads_back_as_it_was_written() {
        let text = "file:/media/usb/root-ca.key";
        assert_eq!(text.parse::<Uri>().unwrap().to_string(), text);
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
