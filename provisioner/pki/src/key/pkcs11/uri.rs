//! PKCS #11 URIs (RFC 7512): which key in which token, and the module that leads to it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::key::Passphrase;

/// Characters that values have unescaped (RFC 7512, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'+');

/// A key in a token.
#[derive(Clone, Debug, Default)]
pub struct TokenUri {
    /// `token`, `manufacturer`, `model`, `serial`: what the token has to say of itself.
    pub token: Option<String>,
    /// See [`TokenUri::token`].
    pub manufacturer: Option<String>,
    /// See [`TokenUri::token`].
    pub model: Option<String>,
    /// See [`TokenUri::token`].
    pub serial: Option<String>,
    /// `object`: the key's label.
    pub object: Option<String>,
    /// `id`: the key's identifier, any bytes.
    pub id: Option<Vec<u8>>,
    /// `module-path`: the library of the token.
    pub module_path: PathBuf,
    /// `pin-source`: a file with the PIN in its first line.
    pub pin_source: Option<PathBuf>,
    /// `pin-value`: the PIN. It is never printed, and so never recorded.
    pub pin_value: Option<Passphrase>,
}

/// Why a text is no PKCS #11 URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No `name=value`.
    #[error("`{part}` is not of the form name=value")]
    Form {
        /// The part.
        part: String,
    },
    /// An attribute that says nothing here.
    #[error("the attribute `{name}` is not supported")]
    Attribute {
        /// Its name.
        name: String,
    },
    /// An attribute that occurs twice.
    #[error("the attribute `{name}` occurs twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// A value that is no text.
    #[error("the value of `{name}` is not text")]
    Text {
        /// The attribute's name.
        name: String,
    },
    /// A PIN from a program, or from the network.
    #[error("pin-source has to be a file")]
    PinSource,
    /// Nothing says where the module is.
    #[error(
        "module-path is missing, as in `pkcs11:token=ca;object=signer?module-path=/usr/lib/softhsm/libsofthsm2.so`"
    )]
    NoModule,
    /// Nothing says which key.
    #[error("`object` or `id` is needed to name a key")]
    NoKey,
}

impl FromStr for TokenUri {
    type Err = Malformed;

    /// Reads what follows `pkcs11:`.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let parts = path.split(';').chain(query.split('&')).filter(|part| !part.is_empty());
        let mut uri = Self::default();
        for part in parts {
            let (name, value) =
                part.split_once('=').ok_or_else(|| Malformed::Form { part: part.to_owned() })?;
            uri.set(name, percent_decode_str(value).collect())?;
        }
        if uri.module_path.as_os_str().is_empty() {
            return Err(Malformed::NoModule);
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(Malformed::NoKey);
        }
        Ok(uri)
    }
}

impl TokenUri {
    /// Whether `other` can be the key that this asks for: what this says, it says as well.
    pub(in crate::key) fn means(&self, other: &Self) -> bool {
        fn says<T: PartialEq>(this: &Option<T>, other: &Option<T>) -> bool {
            this.is_none() || this == other
        }
        says(&self.token, &other.token)
            && says(&self.manufacturer, &other.manufacturer)
            && says(&self.model, &other.model)
            && says(&self.serial, &other.serial)
            && says(&self.object, &other.object)
            && says(&self.id, &other.id)
            && self.module_path == other.module_path
    }

    fn set(&mut self, name: &str, value: Vec<u8>) -> Result<(), Malformed> {
        let twice = Malformed::Twice { name: name.to_owned() };
        if name == "id" {
            return if self.id.replace(value).is_none() { Ok(()) } else { Err(twice) };
        }
        let text = String::from_utf8(value).map_err(|_| Malformed::Text { name: name.to_owned() })?;
        let place = match name {
            "token" => &mut self.token,
            "manufacturer" => &mut self.manufacturer,
            "model" => &mut self.model,
            "serial" => &mut self.serial,
            "object" => &mut self.object,
            "type" if text == "private" => return Ok(()),
            "module-path" if self.module_path.as_os_str().is_empty() => {
                self.module_path = text.into();
                return Ok(());
            }
            "pin-source" if self.pin_source.is_none() => {
                let path = text.strip_prefix("file:").unwrap_or(&text);
                let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
                if path.starts_with('|') || path.is_empty() || path.contains("://") {
                    return Err(Malformed::PinSource);
                }
                self.pin_source = Some(path.into());
                return Ok(());
            }
            "pin-value" if self.pin_value.is_none() => {
                self.pin_value = Some(text.into());
                return Ok(());
            }
            "module-path" | "pin-source" | "pin-value" => return Err(twice),
            _ => return Err(Malformed::Attribute { name: name.to_owned() }),
        };
        if place.replace(text).is_none() { Ok(()) } else { Err(twice) }
    }
}

impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let texts = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
            ("serial", &self.serial),
            ("object", &self.object),
        ];
        let mut between = "";
        for (name, text) in texts {
            if let Some(text) = text {
                write!(f, "{between}{name}={}", percent_encode(text.as_bytes(), ENCODED))?;
                between = ";";
            }
        }
        if let Some(id) = &self.id {
            write!(f, "{between}id=")?;
            id.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
        }
        let path = |path: &PathBuf| percent_encode(path.as_os_str().as_encoded_bytes(), ENCODED).to_string();
        write!(f, "?module-path={}", path(&self.module_path))?;
        if let Some(source) = &self.pin_source {
            write!(f, "&pin-source=file:{}", path(source))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_read_with_a_module_added() {
        let uri: TokenUri =
            "token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;serial=;object=my-certificate;\
             type=private;id=%69%95%3E%5C%F4%BD%EC%91?module-path=/m.so&pin-source=file:/etc/token_pin"
                .parse()
                .unwrap();
        assert_eq!(uri.token.as_deref(), Some("The Software PKCS#11 Softtoken"));
        assert_eq!(uri.manufacturer.as_deref(), Some("Snake Oil, Inc."));
        assert_eq!(uri.serial.as_deref(), Some(""));
        assert_eq!(uri.id.as_deref(), Some(&[0x69, 0x95, 0x3E, 0x5C, 0xF4, 0xBD, 0xEC, 0x91][..]));
        assert_eq!(uri.pin_source, Some("/etc/token_pin".into()));
        assert_eq!(
            uri.to_string(),
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil%2C%20Inc.;serial=;\
             object=my-certificate;id=%69%95%3E%5C%F4%BD%EC%91?module-path=/m.so&pin-source=file:/etc/token_pin"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, expected) in [
            ("object=a", Malformed::NoModule),
            ("token=a?module-path=/m.so", Malformed::NoKey),
            ("object=a;object=b?module-path=/m.so", Malformed::Twice { name: "object".into() }),
            (
                "object=a;library-version=3?module-path=/m.so",
                Malformed::Attribute { name: "library-version".into() },
            ),
            ("object=a;type=public?module-path=/m.so", Malformed::Attribute { name: "type".into() }),
            ("object?module-path=/m.so", Malformed::Form { part: "object".into() }),
            ("object=%FF?module-path=/m.so", Malformed::Text { name: "object".into() }),
            ("object=a?module-path=/m.so&pin-source=|cat%20pin", Malformed::PinSource),
            ("object=a?module-path=/m.so&pin-source=https://pin", Malformed::PinSource),
        ] {
            assert_eq!(text.parse::<TokenUri>().unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn a_pin_is_never_printed() {
        let uri: TokenUri = "object=a?module-path=/m.so&pin-value=73173".parse().unwrap();
        assert!(!format!("{uri} {uri:?}").contains("73173"));
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(
            token in proptest::option::of(".*"),
            object in ".*",
            id in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            module in "/[^\0]+",
        ) {
            let uri = TokenUri {
                token, object: Some(object), id, module_path: module.into(), ..TokenUri::default()
            };
            let text = uri.to_string();
            let read: TokenUri = text.strip_prefix("pkcs11:").unwrap().parse().unwrap();
            prop_assert_eq!(read.to_string(), text);
            prop_assert_eq!((read.token, read.object, read.id), (uri.token, uri.object, uri.id));
        }

        #[test]
        fn no_text_is_too_odd_to_be_looked_at(text in ".*") {
            let _ = text.parse::<TokenUri>();
        }
    }
}
