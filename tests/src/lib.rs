//! The testbed: a local AWS IoT Core and a simulated board, close enough to the real ones that the programs run unchanged.
//!
//! The stand-ins use neither the provisioner's nor the Lambda's code, so that a mistake there cannot hide behind the
//! same mistake here. Only [`fleet`] and [`crashes`] run the Lambda's code: it is what is measured there.

/// The examples of the page for testers.
#[cfg(doctest)]
#[doc = include_str!("../docs/testers.md")]
mod testers {}

mod access;
pub mod beside;
pub mod board;
pub mod certificate_store;
pub mod connect;
pub mod crashes;
pub mod demo;
pub mod device;
mod explained;
pub mod faults;
pub mod fleet;
pub mod iot_core;
pub mod journal;
pub mod lambda_host;
pub mod manifest;
mod secret;
pub mod serve;
pub mod softhsm;
mod testbed;
mod uuid;
pub mod wait;

pub use access::Access;
pub use explained::explained;
pub use testbed::{Error, HOST, Options, Testbed};
