//! Admission lists that cannot be used, and why.

use std::path::PathBuf;

/// An admission list that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Not an admission list.
    #[error("{what} is not an admission list")]
    Format {
        /// Where it comes from.
        what: String,
    },
    /// Signed by another key, or changed since.
    #[error("{list} was not signed by the admission key")]
    Signature {
        /// Where the list comes from.
        list: String,
    },
    /// A list that is not used.
    #[error("{list} cannot be used: it {reason}")]
    Unfit {
        /// Where the list comes from.
        list: String,
        /// Why.
        reason: Unfit,
    },
}

/// Why a list is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The numbers begin with 1.
    #[error("has the number 0")]
    Number,
    /// It ends before it begins.
    #[error("ends before it begins")]
    Dates,
    /// It is of a time to come.
    #[error("is dated {0} s in the future")]
    Ahead(i64),
    /// The octets are not those of key identifiers alone.
    #[error("has a key identifier that is cut off")]
    Ragged,
    /// Keys that are not in ascending order, or twice.
    #[error("has keys that are not in order, or twice")]
    Unsorted,
    /// More bytes than [`MAX_SIZE`](super::MAX_SIZE).
    #[error("is longer than {} bytes", super::MAX_SIZE)]
    TooLong,
    /// More keys than [`MAX_KEYS`](super::MAX_KEYS).
    #[error("has more than {} keys", super::MAX_KEYS)]
    TooManyKeys,
    /// A list with a greater number was seen already.
    #[error("has a lower number than one that was seen before")]
    Older,
}
