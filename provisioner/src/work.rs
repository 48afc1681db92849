//! What is done: certificate authorities made and rotated, boards provisioned, one or many, and what is known of them.
//!
//! [`create`], [`rotate`] and [`export`] see to the certificate authorities, [`revocation`] publishes their lists, [`admission`] the list of keys that are let in, [`revoked_keys`] says
//! what is kept out.
//! [`mod@provision`] takes one board from start to end, [`station`] does so and keeps ledger and labels, [`fleet`] does it with
//! many boards side by side. [`firmware`] has the images that go into a board. [`inspection`] reads a board, [`diagnosis`] judges one, [`roots`]
//! replaces the roots that it trusts, [`inventory`] compares what is known of every device certificate, [`audit`] what is signed with the audit log.
//! Nothing here prints or asks.

pub mod admission;
pub mod audit;
pub mod create;
pub mod diagnosis;
mod error;
mod exchange;
pub mod export;
pub mod firmware;
pub mod fleet;
pub mod inspection;
pub mod inventory;
pub mod kms;
pub mod label;
pub mod provision;
pub mod revocation;
pub mod revoked_keys;
pub mod roots;
pub mod rotate;
pub mod station;

pub use error::{AuthorityError, Error, FleetError, chain};

/// The organisation of a chain unless the user says another. Short, because it is in every certificate that goes to a
/// board over the serial line.
pub const DEFAULT_ORGANISATION: &str = "Zero Touch";
