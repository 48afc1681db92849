//! Keys in tokens: how they are named, and with the feature `pkcs11` how they are used.

#[cfg(feature = "pkcs11")]
mod token;
mod uri;

#[cfg(feature = "pkcs11")]
pub(super) use token::{make, open};
pub use uri::{Malformed, TokenUri};
