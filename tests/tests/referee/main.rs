//! The referees: programs that this project did not write.
//!
//! The programs run against AWS stand-ins of others; nothing of the local AWS IoT Core takes part in that, and the simulated
//! board stands in for a board. They run against the kits' own firmware on models of the kits' chips. Microchip's own tool runs
//! on the simulated board and the local AWS IoT Core.
//!
//! `REFEREES=required` makes a missing referee a failure. Without it, a test whose referee is not installed says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the test's result")]

mod aws_cli;
mod behaviours;
mod catalogue;
mod clients;
#[cfg(feature = "hardware")]
mod firmware;
mod kms;
mod manifests;
mod ministack;
mod models;
mod scenario;
mod server;
mod stack;
mod testers;
mod vendor;

/// Without the models of the kits' chips, the tests of their firmware are not there.
#[cfg(not(feature = "hardware"))]
#[test]
fn the_kits_own_firmware_is_not_asked() {
    assert!(server::present("the kits' own firmware", None::<()>).is_none());
}
