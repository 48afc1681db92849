//! What is on this computer: keys, certificates and boards' files in the home folder, and the logs beside them.
//!
//! [`home`] is the folder, [`store`] the files of the certificate authorities, [`authorities`] every signer among them,
//! [`exchange`] the state between two signers, [`certificates`] every device certificate, [`revocations`] what was revoked,
//! [`admission`] which keys are let in, [`audit`] every signature, [`signatures`] what happens before one is released, [`ledger`] every attempt at a board,
//! [`board`] the files of a board, [`root_store`] the copies of its root certificate store.

pub mod admission;
pub mod audit;
pub mod authorities;
pub mod board;
pub mod certificates;
mod error;
pub mod exchange;
pub mod home;
pub mod ledger;
pub mod revocations;
pub mod root_store;
pub mod signatures;
pub mod spreadsheet;
pub mod store;

pub use error::Error;

/// The time, as the files of the home folder have it: UTC, to the second.
pub fn now() -> time::OffsetDateTime {
    let now = time::OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now)
}
