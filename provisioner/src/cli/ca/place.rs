//! Where `ca show` says that a key is, and what protects it there.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::cli::Error;
use crate::state::home::Home;
use crate::state::store::{self, Role};
use device_pki::key::{self, Keys, Protection, Uri};
use device_pki::reader::Kind;

/// The place of a key.
#[derive(Serialize)]
pub(super) struct Place {
    #[serde(serialize_with = "as_text")]
    uri: Uri,
    pub(super) protection: Protection,
}

fn as_text<S: Serializer>(uri: &Uri, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(uri)
}

impl Place {
    /// The place of a key of the home folder. Nothing is opened, and no service is asked.
    pub(super) fn of(home: &Home, keys: &Keys, role: Role) -> Result<Self, Error> {
        let uri = store::key_uri(home, role)?;
        let protection = match keys.protection(&uri) {
            // A root's key of another kind signs nothing here. The file is closed, or the command had refused it.
            Err(device_pki::Error::Key(key::Error::Malformed { found: Kind::PrivateKey(_), .. }))
                if role == Role::Root =>
            {
                Protection::Permissions
            }
            protection => protection?,
        };
        Ok(Self { uri, protection })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uri, protection } = self;
        match protection {
            Protection::Permissions => write!(f, "{uri}, not encrypted, readable by its owner only"),
            Protection::Passphrase => write!(f, "{uri}, encrypted"),
            Protection::Token | Protection::Kms => write!(f, "{uri}"),
            Protection::Absent => write!(f, "not here ({uri})"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cli::ca) fn place(uri: &str, protection: Protection) -> Place {
        Place { uri: uri.parse().unwrap(), protection }
    }

    #[test]
    fn a_place_says_what_protects_the_key() {
        let token = "pkcs11:token=bench1;object=signer?module-path=/usr/lib/softhsm/libsofthsm2.so";
        let said = [
            place("/home/me/.microchip-iot/signer-ca.key", Protection::Permissions),
            place("/home/me/.microchip-iot/signer-ca.key", Protection::Passphrase),
            place("/media/usb/root-ca.key", Protection::Absent),
            place(token, Protection::Token),
            place("awskms:alias/signer", Protection::Kms),
        ];
        insta::assert_snapshot!(said.map(|place| place.to_string()).join("\n"), @r"
        file:/home/me/.microchip-iot/signer-ca.key, not encrypted, readable by its owner only
        file:/home/me/.microchip-iot/signer-ca.key, encrypted
        not here (file:/media/usb/root-ca.key)
        pkcs11:token=bench1;object=signer?module-path=/usr/lib/softhsm/libsofthsm2.so
        awskms:alias/signer
        ");
    }
}
