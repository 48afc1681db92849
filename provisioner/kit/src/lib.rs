//! The AVR-IoT, PIC-IoT and SAM-IoT kits, as a computer sees them over USB.
//!
//! A kit has three parts that matter here: a microcontroller, whose provisioning firmware speaks a line protocol
//! ([`command`], [`codec`]); a secure element, which keeps the device key ([`secure_element`]); and a Wi-Fi module, whose
//! flash holds certificates, names and trusted roots ([`flash`], [`store`], [`root_store`], [`wifi_module`]). Its debugger serves a serial port ([`ports`])
//! and a disk ([`disk`]).
//!
//! Start from [`ports::kits`], [`ports::open`] and [`Session::start`]. Nothing here knows AWS or certificate authorities,
//! and nothing prints. What has no I/O (codec, store, flash, intel_hex) works on bytes alone:
//!
//! ```
//! use iot_kit::codec::{Decoder, Event};
//! use iot_kit::command::Command;
//! use iot_kit::store;
//!
//! assert_eq!(Command::SecureElementSerial.line(), "MC+ECC+SERIAL\r\n");
//! let mut decoder = Decoder::default();
//! let events = decoder.push(b"0123AABBCCDDEEFFEE\r\nOK\r\n");
//! assert_eq!(events, [Event::Line("0123AABBCCDDEEFFEE".into()), Event::Ok]);
//!
//! let files = store::device_files(&[("1A", b"certificate"), ("2B", b"signer")]);
//! let flash = store::build(&files)?;
//! assert_eq!(store::read(&flash.image(iot_kit::flash::CLIENT_STORE, store::SIZE_MAX))?, files);
//! # Ok::<(), store::Error>(())
//! ```

pub mod codec;
pub mod command;
pub mod disk;
mod error;
pub mod flash;
pub mod intel_hex;
pub mod kits;
pub mod ports;
pub mod root_store;
#[cfg(any(test, feature = "test-util"))]
pub mod scripted;
pub mod secure_element;
pub mod session;
pub mod store;
#[cfg(test)]
mod tests;
pub mod wifi;
pub mod wifi_module;

pub use error::Error;
pub use ports::Kit;
pub use session::Session;
