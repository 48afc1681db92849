//! Keys in AWS KMS: how they are named, and with the feature `kms` how they are used.

#[cfg(feature = "kms")]
mod service;
mod uri;

#[cfg(feature = "kms")]
pub use service::{CallError, Connection, Kms};
#[cfg(feature = "kms")]
pub(super) use service::{make, open};
pub use uri::{KmsUri, Malformed};
