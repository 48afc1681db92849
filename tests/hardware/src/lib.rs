//! The kits' own provisioning firmware, unmodified, on models of the chips of the kit.
//!
//! Nothing of the firmware is patched or replaced: the models are of processors, registers and bytes on buses. The hex files
//! are Microchip's and are no part of this crate; PyPI's package `pykitcommander` has them.
//!
//! Time is virtual: a board is as fast as the computer, and two runs with the same input are the same. Assumed, and not known
//! from a document, are the permissions of the secure element's slots, the times of its commands and of the flash, and that the
//! Wi-Fi module starts at once. The flash of the SAM D21 has no wait states here, so its times are lower bounds.

mod atmega4808;
mod avrxt;
mod board;
mod cortex;
mod intel_hex;
mod machine;
mod registers;
mod samd21;
mod secure_element;
mod uart;
mod wifi_module;

pub use board::{Board, Options};
pub use wifi_module::Write;

/// Time on the kit, in microseconds since power-on.
type Micros = u64;

/// What a processor cannot do: the program would be lost on a real one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no code at this address.
    #[error("no code at {0:#x}")]
    Fetch(u32),
    /// No instruction has this code.
    #[error("undefined instruction {op:#06x} at {at:#x}")]
    Undefined {
        /// Address in bytes.
        at: u32,
        /// The first halfword.
        op: u16,
    },
    /// An access that is not aligned to its size.
    #[error("unaligned access to {0:#x}")]
    Unaligned(u32),
    /// An access to an address where nothing is.
    #[error("access to {0:#x}, where nothing is")]
    Nothing(u32),
}

/// Why a board does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a line of Intel HEX, or its check sum is wrong.
    #[error("line {0} is not Intel HEX")]
    Hex(usize),
    /// The end record is missing.
    #[error("the hex file has no end record; it is not complete")]
    Incomplete,
    /// No microcontroller for this program is modelled.
    #[error("the program is neither for an ATSAMD21G18A nor for an ATmega4808")]
    Microcontroller,
    /// Not a private key of P-256.
    #[error("the device key is not a scalar of P-256")]
    Key,
    /// The program went where no program can.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The firmware did not print `READY`.
    #[error("the firmware has not become ready; it printed {0:?}")]
    NotReady(String),
}
