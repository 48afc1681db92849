//! Why a file cannot be put into a board.

use super::Format;
use crate::kits::Target;

/// Why a file cannot be put into a board.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another kind of file.
    #[error("this is {0}, not Intel HEX")]
    Other(Format),
    /// A line that is no record.
    #[error("line {line}: {trouble}")]
    Record {
        /// Number of the line, from 1 on.
        line: usize,
        /// What is wrong with it.
        trouble: Trouble,
    },
    /// The file ends without its end record.
    #[error("the file ends after line {lines} without an end record")]
    NoEnd {
        /// How many lines there are.
        lines: usize,
    },
    /// More than any target can hold.
    #[error("the image has more than 1 MiB")]
    Large,
    /// No content at all.
    #[error("there is no content in the file")]
    Empty,
    /// Content where the target has no memory.
    #[error("the image has content at {address:#08x}, where the {target} has no memory")]
    Outside {
        /// The first such address.
        address: u32,
        /// The microcontroller.
        target: Target,
    },
    /// No code where the target begins to execute.
    #[error("the image has no code at address 0, where the {target} begins")]
    NoStart {
        /// The microcontroller.
        target: Target,
    },
    /// Code of another kind.
    #[error("the image does not begin as a program for the {target} does{}",
        looks_like.map(|other| format!(", but as one for the {other}")).unwrap_or_default())]
    OtherTarget {
        /// The microcontroller.
        target: Target,
        /// The one that it looks like.
        looks_like: Option<Target>,
    },
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It does not begin with a colon.
    #[error("the record does not begin with a colon")]
    Colon,
    /// Something else than pairs of hex digits.
    #[error("there are other characters than pairs of hex digits")]
    Digits,
    /// Shorter or longer than it says.
    #[error("the record says {said} bytes of data and has {found}")]
    Length {
        /// Its length field.
        said: usize,
        /// What there is.
        found: usize,
    },
    /// Too short for a record of any kind.
    #[error("the record is cut short")]
    Short,
    /// The checksum is wrong.
    #[error("the checksum is {said:#04x} and should be {right:#04x}")]
    Checksum {
        /// The one in the record.
        said: u8,
        /// The right one.
        right: u8,
    },
    /// A type that is not known.
    #[error("there is no record type {0:#04x}")]
    Type(u8),
    /// A record of a known type with a length that it cannot have.
    #[error("a record of type {0:#04x} cannot have this length")]
    TypeLength(u8),
    /// The same address twice with different bytes.
    #[error("another byte than before at address {0:#08x}")]
    Twice(u32),
    /// An address that 32 bits do not hold.
    #[error("the data extends past the end of the address space")]
    Overflow,
}
