//! Why a program cannot go on: it would be lost on a real microcontroller, too.

/// What a processor cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no code at this address.
    #[error("no code at {at:#x}")]
    Fetch {
        /// Address in bytes.
        at: u32,
    },
    /// No instruction has this code.
    #[error("undefined instruction {op:#06x} at {at:#x}")]
    Undefined {
        /// Address in bytes.
        at: u32,
        /// The first halfword.
        op: u16,
    },
    /// An access that is not aligned to its size.
    #[error("unaligned access to {address:#x}")]
    Unaligned {
        /// The address.
        address: u32,
    },
    /// An access to an address where nothing is.
    #[error("access to {address:#x}, where nothing is")]
    Nothing {
        /// The address.
        address: u32,
    },
}
